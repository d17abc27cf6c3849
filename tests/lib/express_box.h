/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the express lane loaded in a network namespace of its own, frames run through it, what
 * became of them. For test_express*.c.
 * Owns: the program and its maps between setup() and teardown(). Threads: one. Failure: ends the
 * test.
 */
#ifndef RTR_TEST_EXPRESS_BOX_H
#define RTR_TEST_EXPRESS_BOX_H

#include "tests/lib/pipe_frames.h"

#include "fastpath/xdp_load.h"
#include "tests/lib/netns.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>

#define PORT_IN  0
#define PORT_OUT 1
#define ADJ      3 /* of pipe_frames.h: 14 bytes, 1500 */

static struct fp_xdp *xdp;
static int xsk = -1;
static struct express_port port_in;

/* ----- what the tests stand on ----- */

static void port_set(void)
{
	ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("in"), &port_in), 0);
}

static void setup(void)
{
	const uint32_t pairs[] = { 2048, 2048 };
	struct fp_flow_conf conf = { .n_workers = 1 };
	struct fp_xdp_conf xc = { .mem = &mem,
				  .n_ports = N_ADJ + 2,
				  .n_adj = 16,
				  .n_xsks = 2,
				  .n_workers = 2,
				  .n_frames = 8 };
	uint32_t entries = 64;

	rng = test_seed;
	n_ids = N_FLOWS + 20;
	netns_enter();
	/* Nothing but the tests' frames. */
	ck_assert(sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 "
		     "net.ipv6.conf.default.disable_ipv6=1"));
	ck_assert(sh("ip link add in type veth peer name in-peer && ip link set in up && "
		     "ip link set in-peer up && ip link add out type veth peer name out-peer && "
		     "ip link set out up && ip link set out-peer up"));
	adjs_make();
	ck_assert_int_eq(fp_flow_mem_bpf(pairs, NULL, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	flows_fill();
	ck_assert_int_eq(fp_xdp_new(&xc, &xdp), 0);
	fp_xdp_ctl(xdp)->policy = POLICY;
	port_in = (struct express_port){ .on = 1, .slot = PORT_IN };
	memcpy(port_in.mac, our_mac, 6);
	port_set();
	for (uint32_t i = 1; i < N_ADJ; i++) {
		struct fp_adj a = adjs[i];

		a.port = PORT_OUT;
		ck_assert_int_eq(fp_xdp_adj_set(xdp, i, &a), 0);
	}
	ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("out"),
					 &(struct express_port){ .slot = PORT_OUT }),
			 0);
	/* A socket with a ring is all that the map of sockets asks for. */
	xsk = socket(AF_XDP, SOCK_RAW, 0);
	ck_assert_int_ge(xsk, 0);
	ck_assert_int_eq(setsockopt(xsk, SOL_XDP, XDP_RX_RING, &entries, sizeof(entries)), 0);
	ck_assert_int_eq(fp_xdp_xsk_set(xdp, 1, xsk), 0);
}

static void teardown(void)
{
	close(xsk);
	xdp = fp_xdp_free(xdp);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

static inline uint64_t monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Queue 0 has the socket 1; the worker beats now, and for as long as it may take to ask. */
static inline void worker_lives(bool lives)
{
	port_in.n_queues = 1;
	port_in.xsk_base = 1;
	port_set();
	fp_xdp_queue(xdp, 1)->beat = lives ? monotonic() + 60 * NSEC_PER_SEC
					   : monotonic() - 2 * EXPRESS_BEAT_MAX_NS;
}

static struct express_count counts(void)
{
	struct express_count c;

	ck_assert_int_eq(fp_xdp_counts(xdp, PORT_IN, &c), 0);
	return c;
}

/* What happened to a frame: its verdict or drop reason, and the frame as it left. */
struct outcome {
	int verdict, drop; /* -1: not that */
	uint32_t rc, len;
	uint8_t out[ROOM];
};

static inline struct outcome run_frame(const uint8_t *data, uint32_t len)
{
	struct outcome o = { .verdict = -1, .drop = -1 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = len,
		    .data_out = o.out, .data_size_out = sizeof(o.out), .repeat = 1);
	struct express_count before = counts(), after;
	uint64_t events = 0;

	ck_assert_int_eq(bpf_prog_test_run_opts(fp_xdp_port_fd(xdp, PORT_IN), &opts), 0);
	o.rc = opts.retval;
	o.len = opts.data_size_out;
	after = counts();
	for (int i = 0; i < EXPRESS_V__MAX; i++)
		if (after.verdict[i] != before.verdict[i]) {
			o.verdict = i;
			events += after.verdict[i] - before.verdict[i];
		}
	for (int i = 0; i < RTR_DROP__MAX; i++)
		if (after.drop[i] != before.drop[i]) {
			o.drop = i;
			events += after.drop[i] - before.drop[i];
		}
	ck_assert_msg(events == 1, "a frame was counted %llu times", (unsigned long long)events);
	return o;
}

/* ----- frames to an address ----- */

struct box_frame {
	uint8_t data[128];
	uint32_t len;
};

/* From a host behind "in"; l4: the first bytes behind the header, frag: IPv4's field, or an IPv6
 * fragment header when set. */
static inline void box_frame_to(struct box_frame *f, const char *dst, uint8_t proto,
				const uint8_t *l4, unsigned n, uint16_t frag, uint8_t ttl)
{
	bool six = strchr(dst, ':');
	uint8_t *ip = f->data + 14, *p;

	memset(f->data, 0, sizeof(f->data));
	memcpy(f->data, our_mac, 6);
	fp_st16(f->data + 12, six ? FP_ETH_IP6 : FP_ETH_IP4);
	if (six) {
		ip[0] = 0x60;
		fp_st16(ip + 4, (uint16_t)(32 + (frag ? 8 : 0)));
		ip[6] = frag ? IPPROTO_FRAGMENT : proto;
		ip[7] = ttl;
		inet_pton(AF_INET6, "2001:db8:6::7", ip + 8);
		inet_pton(AF_INET6, dst, ip + 24);
		p = ip + 40;
		if (frag) {
			p[0] = proto;
			fp_st16(p + 2, frag);
			p += 8;
		}
	} else {
		ip[0] = 0x45;
		fp_st16(ip + 2, 20 + 32);
		fp_st16(ip + 6, frag);
		ip[8] = ttl;
		ip[9] = proto;
		inet_pton(AF_INET, "10.9.0.7", ip + 12);
		inet_pton(AF_INET, dst, ip + 16);
		fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
		p = ip + 20;
	}
	memcpy(p, l4, n);
	f->len = (uint32_t)(p + 32 - f->data);
}

/* As it came in by the interface "in"; -1: not a verdict. */
static inline int box_frame_verdict(const struct box_frame *f)
{
	struct xdp_md ctx = { .ingress_ifindex = if_nametoindex("in"), .data_end = f->len };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = f->len,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);
	struct express_count before = counts(), after;

	ck_assert_int_eq(bpf_prog_test_run_opts(fp_xdp_port_fd(xdp, PORT_IN), &opts), 0);
	after = counts();
	for (int i = 0; i < EXPRESS_V__MAX; i++)
		if (after.verdict[i] != before.verdict[i])
			return i;
	return -1;
}

static inline bool sent(const struct outcome *o)
{
	return o->verdict == EXPRESS_V_SENT || o->verdict == EXPRESS_V_SENT_ALONE;
}

/* But for the mark of what is counted for no flow. */
static inline void untouched(const struct outcome *o, const uint8_t *data, uint32_t len)
{
	uint8_t want[ROOM];

	ck_assert_uint_eq(o->len, len);
	memcpy(want, data, len);
	if (o->verdict == EXPRESS_V_WORKER_NEW)
		want[EXPRESS_UNCOUNTED_AT] |= EXPRESS_UNCOUNTED;
	ck_assert_msg(!memcmp(o->out, want, len), "verdict %d, drop %d: the frame was changed",
		      o->verdict, o->drop);
}

/* The line of a frame's flow, and its word0; NULL: none. */
static inline uint64_t *word0_of(const uint8_t *d, const struct fp_pkt *p)
{
	struct flow_key4 k4 = { .sport = p->sport_be, .dport = p->dport_be, .proto = p->proto };
	struct flow_key6 k6 = { .sport = p->sport_be, .dport = p->dport_be, .proto = p->proto };
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	if (p->family == AF_INET) {
		memcpy(&k4.saddr, d + p->l3_off + 12, 8);
		return fp_flow_find4(table, &k4, &h4) == FLOW_HIT ? &h4.own->word0 : NULL;
	}
	memcpy(k6.saddr, d + p->l3_off + 8, 32);
	return fp_flow_find6(table, &k6, &h6) == FLOW_HIT ? &h6.own->word0 : NULL;
}

#endif
