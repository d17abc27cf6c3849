/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VLANs in the express lane: frames that come in tagged, that leave tagged, and both; what becomes
 * of them otherwise, whose counters move, and which interface the kernel is asked about. Needs
 * root.
 */
#include "tests/lib/express_conn.h"

#include <errno.h>

#define RED      2 /* slots */
#define BLUE     3
#define RED_ID   10
#define BLUE_ID  4094
#define TAG_SEEN 0xb000 /* priority 5 and drop eligible: the sender's */

static struct express_port red;
static struct express_vlan_key red_key;

static void red_set(void)
{
	ck_assert_int_eq(fp_xdp_vlan_set(xdp, &red_key, &red), 0);
}

static void begin(void)
{
	setup();
	red_key = (struct express_vlan_key){ .ifindex = if_nametoindex("in"), .vlan = RED_ID };
	red = (struct express_port){ .on = 1, .slot = RED, .ifindex = 1000 };
	red_set();
}

static struct express_count counts_of(uint32_t slot)
{
	struct express_count c;

	ck_assert_int_eq(fp_xdp_counts(xdp, slot, &c), 0);
	return c;
}

/* What the flow's frames leave with: a tag, or none. */
static void leaves_by(uint16_t vlan)
{
	struct fp_adj a = adjs[ADJ];

	a.port = PORT_OUT;
	if (vlan) {
		a.len = 18;
		a.port = BLUE;
		fp_st16(a.hdr + 12, FP_ETH_VLAN);
		fp_st16(a.hdr + 14, vlan);
		/* A slot of its own, the same device. */
		ck_assert_int_eq(
			fp_xdp_vlan_set(xdp,
					&(struct express_vlan_key){ if_nametoindex("out"), vlan },
					&(struct express_port){ .slot = BLUE, .ifindex = 1001 }),
			0);
	}
	ck_assert_int_eq(fp_xdp_adj_set(xdp, ADJ, &a), 0);
}

struct tagged {
	uint8_t data[ROOM];
	uint32_t len;
};

static struct tagged tag(const struct conn *c, uint16_t tci)
{
	struct tagged t = { .len = c->len + (tci ? 4 : 0) };

	memcpy(t.data, c->data, 12);
	fp_st16(t.data + 12, FP_ETH_VLAN);
	fp_st16(t.data + 14, tci);
	memcpy(t.data + (tci ? 16 : 12), c->data + 12, c->len - 12);
	return t;
}

/* It comes in by "in"; what slot counted then, and how many slots counted at all. */
static struct outcome run_by(const struct tagged *t, uint32_t slot)
{
	struct outcome o = { .verdict = -1, .drop = -1 };
	struct xdp_md ctx = { .ingress_ifindex = if_nametoindex("in"), .data_end = t->len };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = t->data, .data_size_in = t->len,
		    .data_out = o.out, .data_size_out = sizeof(o.out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);
	struct express_count before[BLUE + 1], after;
	uint64_t events = 0;

	for (uint32_t s = 0; s <= BLUE; s++)
		before[s] = counts_of(s);
	ck_assert_int_eq(bpf_prog_test_run_opts(fp_xdp_port_fd(xdp, PORT_IN), &opts), 0);
	o.rc = opts.retval;
	o.len = opts.data_size_out;
	for (uint32_t s = 0; s <= BLUE; s++) {
		after = counts_of(s);
		for (int i = 0; i < EXPRESS_V__MAX; i++) {
			events += after.verdict[i] - before[s].verdict[i];
			if (s == slot && after.verdict[i] != before[s].verdict[i])
				o.verdict = i;
		}
		for (int i = 0; i < RTR_DROP__MAX; i++) {
			events += after.drop[i] - before[s].drop[i];
			if (s == slot && after.drop[i] != before[s].drop[i])
				o.drop = i;
		}
	}
	ck_assert_msg(events == 1, "a frame was counted %llu times", (unsigned long long)events);
	return o;
}

static void becomes(const struct tagged *t, uint32_t slot, int verdict, int reason)
{
	struct outcome o = run_by(t, slot);

	ck_assert_msg(o.verdict == verdict && o.drop == reason,
		      "verdict %d, drop %d, not %d and %d", o.verdict, o.drop, verdict, reason);
	untouched(&o, t->data, t->len);
}

/* The frame as it left, without the tag that it has to have. */
static void left_right(const struct conn *c, struct outcome *o, uint16_t vlan)
{
	ck_assert_msg(o->verdict == EXPRESS_V_SENT, "verdict %d, drop %d", o->verdict, o->drop);
	ck_assert_uint_eq(o->rc, XDP_REDIRECT);
	if (vlan) {
		ck_assert_uint_eq(fp_ld16(o->out + 12), FP_ETH_VLAN);
		ck_assert_uint_eq(fp_ld16(o->out + 14), vlan);
		memmove(o->out + 12, o->out + 16, o->len - 16);
		o->len -= 4;
	}
	conn_check(c, 0, o->out, o->len);
}

/* ----- tests ----- */

static const struct {
	uint16_t in, out;
} ways[] = { { RED_ID, 0 }, { RED_ID, BLUE_ID }, { 0, BLUE_ID }, { 0, 0 } };

static void sends_case(int which)
{
	struct conn c = conn_make(which);

	for (size_t k = 0; k < ARRAY_LEN(ways); k++) {
		uint32_t in = ways[k].in ? RED : PORT_IN, out = ways[k].out ? BLUE : PORT_OUT;
		struct express_count was_in = counts_of(in), was_out = counts_of(out), now;
		struct outcome o;
		struct tagged t;

		leaves_by(ways[k].out);
		conn_frame(&c, 0, 100);
		t = tag(&c, ways[k].in ? TAG_SEEN | ways[k].in : 0);
		o = run_by(&t, in);
		left_right(&c, &o, ways[k].out);
		now = counts_of(in);
		ck_assert_uint_eq(now.vlan.rx - was_in.vlan.rx, ways[k].in ? 1 : 0);
		ck_assert_uint_eq(now.vlan.rx_bytes - was_in.vlan.rx_bytes,
				  ways[k].in ? c.len - 14 : 0);
		now = counts_of(out);
		ck_assert_uint_eq(now.vlan.tx - was_out.vlan.tx, ways[k].out ? 1 : 0);
		ck_assert_uint_eq(now.vlan.tx_bytes - was_out.vlan.tx_bytes,
				  ways[k].out ? c.len : 0);
	}
}

START_TEST(sends)
{
	each(sends_case, 0, 4);
}
END_TEST

/* A tag less makes a frame too short: zeros behind it. */
START_TEST(pads)
{
	struct conn c = conn_make(0);
	static const uint8_t zero[18];
	struct outcome o;
	struct tagged t;

	leaves_by(0);
	conn_frame(&c, 0, 0);
	t = tag(&c, RED_ID);
	o = run_by(&t, RED);
	ck_assert_int_eq(o.verdict, EXPRESS_V_SENT);
	ck_assert_uint_eq(o.len, 60);
	conn_check(&c, 0, o.out, c.len);
	ck_assert_mem_eq(o.out + c.len, zero, 60 - c.len);
}
END_TEST

/* Other tags, VLANs that are nobody's or off, what is too big: as without a VLAN, and untouched. */
static void others_case(int which)
{
	struct conn c = conn_make(which);
	struct fp_adj a = adjs[ADJ];
	struct tagged t;

	conn_frame(&c, 0, 40);
	t = tag(&c, RED_ID + 1);
	becomes(&t, PORT_IN, EXPRESS_V_KERNEL_PLAIN, -1);
	t = tag(&c, RED_ID);
	fp_st16(t.data + 12, FP_ETH_QINQ);
	becomes(&t, PORT_IN, EXPRESS_V_KERNEL_PLAIN, -1);
	t = tag(&c, RED_ID);
	fp_st16(t.data + 16, FP_ETH_VLAN);
	becomes(&t, RED, EXPRESS_V_KERNEL_PLAIN, -1);
	t = tag(&c, RED_ID);
	t.len = 18 + 27;
	becomes(&t, PORT_IN, EXPRESS_V_KERNEL_PLAIN, -1);
	t = tag(&c, RED_ID);
	red.on = 0;
	red_set();
	becomes(&t, RED, EXPRESS_V_KERNEL_OFF, -1);
	red.on = 1;
	/* By its own zone: the flow is another interface's. */
	red.zone = RED;
	red_set();
	becomes(&t, RED, EXPRESS_V_KERNEL_NEW, -1);
	red.zone = 0;
	red_set();
	/* Of a policy of before yesterday, and for nobody: dropped, and counted as received. */
	fp_xdp_ctl(xdp)->policy = POLICY + 9;
	becomes(&t, RED, -1, RTR_DROP_GENERATION);
	fp_xdp_ctl(xdp)->policy = POLICY;
	a.port = PORT_OUT;
	a.mtu = (uint16_t)(c.len - 14 - 1);
	ck_assert_int_eq(fp_xdp_adj_set(xdp, ADJ, &a), 0);
	becomes(&t, RED, -1, RTR_DROP_NO_WORKER);
	leaves_by(0);
	/* The interface that they all come in by is off. */
	port_in.on = 0;
	port_set();
	becomes(&t, PORT_IN, EXPRESS_V_KERNEL_OFF, -1);
	port_in.on = 1;
	port_in.mac[5] ^= 1;
	port_set();
	becomes(&t, PORT_IN, EXPRESS_V_KERNEL_MAC, -1);
	port_in.mac[5] ^= 1;
	port_set();
}

START_TEST(others)
{
	each(others_case, 0, 4);
}
END_TEST

/* To the worker of its parent's queue, tag and all. */
static void worker_case(int which)
{
	struct conn c = conn_make(which);
	struct tagged t;

	worker_lives(true);
	red.n_queues = port_in.n_queues;
	red.xsk_base = port_in.xsk_base;
	red_set();
	conn_frame(&c, 0, 40);
	t = tag(&c, TAG_SEEN | RED_ID);
	fp_flow_set_path(fp_flow_worker(table, 0), c.fam, c.ref, FLOW_P_WORKER, false);
	becomes(&t, RED, EXPRESS_V_WORKER_FLOW, -1);
	ck_assert_uint_eq(flow_w0_inflight(*line_of(&c, 0)), 1);
	conn_l4(&c)[3] ^= 1;
	conn_sum(&c);
	t = tag(&c, TAG_SEEN | RED_ID);
	becomes(&t, RED, EXPRESS_V_WORKER_NEW, -1);
}

START_TEST(worker)
{
	each(worker_case, 0, 4);
}
END_TEST

/* The kernel is asked about the VLAN's packets, not about the interface's that they come in by. */
START_TEST(asks_kernel)
{
	struct express_port out = { .slot = PORT_OUT, .on = 1 };
	uint8_t port_53[8] = { 0, 1, 0, 53, 0, 32 };
	struct box_frame f;
	struct conn c = { .len = 0 };
	struct tagged t;

	/* In the place of a VLAN's device, which this kernel may not have. */
	ck_assert(sh("ip link add red type veth peer name red-peer && ip link set red up && "
		     "ip link set red-peer up && sysctl -qw net.ipv4.ip_forward=1 && "
		     "ip addr add 10.9.0.1/24 dev red && ip addr add 198.51.100.1/24 dev out && "
		     "ip addr add 192.0.2.1/24 dev in && "
		     "ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:09 dev out && "
		     "ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:08 dev in && "
		     "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:08 dev red"));
	worker_lives(true);
	ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("out"), &out), 0);
	red.n_queues = port_in.n_queues;
	red.xsk_base = port_in.xsk_base;
	red.flags = EXPRESS_PF_ASK;
	red.ifindex = if_nametoindex("red");
	red_set();
	for (int k = 0; k < 4; k++) {
		/* By another interface, by the untagged one of the same wire, back; not at all. */
		static const char *const to[] = { "198.51.100.2", "192.0.2.2", "10.9.0.2",
						  "198.51.100.2" };

		if (k == 3)
			ck_assert(sh("sysctl -qw net.ipv4.conf.red.forwarding=0"));
		box_frame_to(&f, to[k], IPPROTO_UDP, port_53, sizeof(port_53), 0, 64);
		memcpy(c.data, f.data, f.len);
		c.len = f.len;
		t = tag(&c, RED_ID);
		becomes(&t, RED, k < 2 ? EXPRESS_V_WORKER_NEW : EXPRESS_V_KERNEL_ROUTE, -1);
	}
}
END_TEST

/* A VLAN that goes leaves no figures to the next one of its slot; a process finds what it had. */
START_TEST(goes)
{
	struct conn c = conn_make(0);
	struct express_vlan_key found;
	struct tagged t;

	leaves_by(0);
	conn_frame(&c, 0, 40);
	t = tag(&c, RED_ID);
	run_by(&t, RED);
	ck_assert_uint_eq(counts_of(RED).vlan.rx, 1);
	ck_assert_uint_eq(fp_xdp_vlan_found(xdp, RED, &found), 1000);
	ck_assert_mem_eq(&found, &red_key, sizeof(found));
	ck_assert_uint_eq(fp_xdp_vlan_found(xdp, BLUE, &found), 0);
	ck_assert_int_eq(fp_xdp_vlan_del(xdp, &red_key), 0);
	ck_assert_int_eq(fp_xdp_vlan_del(xdp, &red_key), -ENOENT);
	becomes(&t, PORT_IN, EXPRESS_V_KERNEL_PLAIN, -1);
	ck_assert_uint_eq(counts_of(RED).vlan.rx, 0);
	ck_assert_uint_eq(counts_of(RED).verdict[EXPRESS_V_SENT], 1);
	ck_assert_int_eq(fp_xdp_vlan_set(xdp, &(struct express_vlan_key){ 1, 0 }, &red), -EINVAL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("express_vlan");
	TCase *tc = tcase_create("express_vlan");

	netns_or_skip();
	tcase_add_checked_fixture(tc, begin, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, sends);
	tcase_add_test(tc, pads);
	tcase_add_test(tc, others);
	tcase_add_test(tc, worker);
	tcase_add_test(tc, asks_kernel);
	tcase_add_test(tc, goes);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
