/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The express lane in the kernel. Random frames, sound and broken, against the general code; each
 * rule of what goes where, with a worker and without. test_express_link.c has real links. Needs
 * root.
 */
#include "tests/lib/express_conn.h"

#include "tests/lib/ct_sock.h"

/* ----- random frames ----- */

static void inflight_clear(void)
{
	struct flow_pair4 *p4 = mem.base[FP_FLOW_R_LINES4];
	struct flow_pair6 *p6 = mem.base[FP_FLOW_R_LINES6];

	for (uint32_t i = 0; i < mem.n_pairs[FLOW_4]; i++)
		for (int d = 0; d < 2; d++)
			p4[i].dir[d].word0 &= ~(0xffffull << FLOW_W0_INFLIGHT_SHIFT);
	for (uint32_t i = 0; i < mem.n_pairs[FLOW_6]; i++)
		for (int d = 0; d < 2; d++)
			p6[i].dir[d].word0 &= ~(0xffffull << FLOW_W0_INFLIGHT_SHIFT);
}

/*
 * The general code says FP_A_TX for express and worker flows alike. With a worker only the express
 * ones whose link has one tag at most go out, and nothing else is touched; without one the others
 * go too.
 */
START_TEST(random_frames)
{
	bool lives = _i & 1;
	unsigned n_sent = 0, n_other = 0;

	for (int n = 0; n < 20000; n++) {
		struct frame f, general;
		struct expect e;
		struct fp_pkt p;
		struct outcome o;
		uint64_t *word0, w0 = 0;
		const uint8_t *d = f.buf + HEADROOM;
		uint32_t tag;
		bool out;

		frame_make(&f);
		f.len = MAX(f.len, 14u); /* the kernel runs nothing shorter */
		general = f;
		expect_flow(&general, &e);
		fp_classify(d, f.len, &p);
		word0 = plain(&f, &p) ? word0_of(d, &p) : NULL;
		w0 = word0 ? *word0 : 0;
		if (lives)
			worker_lives(true);
		o = run_frame(d, f.len);
		tag = HEADROOM - e.out.headroom;
		out = e.act == FP_A_TX && (!tag || tag == 4) &&
		      (flow_w0_path(w0) == FLOW_P_EXPRESS || !lives);
		if (out)
			ck_assert_msg(sent(&o), "verdict %d, drop %d", o.verdict, o.drop);
		else if (lives || e.act == FP_A_MISS || e.act == FP_A_ADJ)
			ck_assert_msg(!sent(&o), "act %u was sent", e.act);
		n_sent += sent(&o);
		n_other += !sent(&o);
		if (out) {
			uint32_t l3_len = p.end - p.l3_off;

			ck_assert_uint_eq(o.len, f.len + tag);
			ck_assert(!memcmp(o.out, e.out.data, 14 + tag + l3_len));
			ck_assert(!memcmp(o.out + 14 + tag + l3_len, d + 14 + l3_len,
					  f.len - 14 - l3_len));
		} else if (!sent(&o)) {
			untouched(&o, d, f.len);
		}
		ck_assert_uint_eq(o.rc, sent(&o) || o.verdict == EXPRESS_V_WORKER_FLOW ||
							o.verdict == EXPRESS_V_WORKER_NEW
						? 4
					: o.drop >= 0 ? 1
						      : 2);
		if (o.verdict == EXPRESS_V_WORKER_FLOW)
			inflight_clear();
		else if (word0)
			*word0 = w0; /* flags as before */
	}
	ck_assert_uint_gt(n_sent, 200);
	ck_assert_uint_gt(n_other, 10000);
}
END_TEST

/* ----- one flow ----- */

/* Both directions, counters, time, TCP's edges. */
static void both_ways_case(int which)
{
	struct conn c = conn_make(which);

	for (unsigned dir = 0; dir < 2; dir++) {
		const struct flow_line4 *l4 = (void *)line_of(&c, dir);
		const struct flow_line6 *l6 = (void *)line_of(&c, dir);
		uint32_t before = fp_flow_now(), time;
		const struct flow_tcp *t = c.fam == FLOW_4 ? &l4->tcp : &l6->tcp;

		conn_frame(&c, dir, 100);
		sent_right(&c, dir, EXPRESS_V_SENT);
		conn_frame(&c, dir, 33);
		sent_right(&c, dir, EXPRESS_V_SENT);
		time = c.fam == FLOW_4 ? l4->time : l6->time;
		/* The tick and the clock are tied within one unit. */
		ck_assert_uint_ge(time + 1, before);
		ck_assert_uint_le(time, fp_flow_now() + 1);
		ck_assert_uint_eq(c.fam == FLOW_4 ? l4->count : l6->count,
				  2 * FLOW_COUNT_ONE(c.len - 14) + 100 - 33);
		if (c.proto == IPPROTO_TCP) {
			ck_assert_uint_eq(t->end, 10100);
			ck_assert_uint_eq(t->edge, 40000); /* 10000 + 4000 is less */
		}
	}
}

/* The translated sum of a UDP packet may come out as 0, which would say "none" (RFC 768). */
START_TEST(udp_zero_sum)
{
	for (int which = 0; which < 2; which++) {
		struct conn c = conn_make(which);
		uint8_t *word;
		unsigned l4_off;
		struct outcome o;
		uint32_t sum;

		conn_frame(&c, 0, 20);
		o = conn_run(&c);
		l4_off = (unsigned)(conn_l4(&c) - c.data);
		/* What the sum lacks goes into the payload. */
		word = conn_l4(&c) + 8;
		sum = (uint32_t)fp_ld16(word) + fp_ld16(o.out + l4_off + FP_UDP_CSUM);
		fp_st16(word, (uint16_t)(sum + (sum >> 16)));
		conn_sum(&c);
		o = conn_run(&c);
		ck_assert_uint_eq(fp_ld16(o.out + l4_off + FP_UDP_CSUM), 0xffff);
		conn_check(&c, 0, o.out, o.len);
	}
}
END_TEST

START_TEST(both_ways)
{
	each(both_ways_case, 0, 4);
}
END_TEST

/* What goes to a live worker, and that all of a direction follows it there. */
static void worker_case(int which)
{
	struct conn c = conn_make(which);
	struct fp_flow_worker *wk = fp_flow_worker(table, 0);
	uint64_t *w0 = line_of(&c, 0);

	worker_lives(true);
	conn_frame(&c, 0, 10);
	sent_right(&c, 0, EXPRESS_V_SENT);
	ck_assert_int_eq(fp_flow_set_path(wk, c.fam, c.ref, FLOW_P_WORKER, false), 0);
	TO_WORKER(&c);
	ck_assert_uint_eq(flow_w0_inflight(*w0), 1);
	/* The path turns only when none is on its way; forced, packets still follow the others. */
	ck_assert_int_eq(fp_flow_set_path(wk, c.fam, c.ref, FLOW_P_EXPRESS, false), -EBUSY);
	ck_assert_int_eq(fp_flow_set_path(wk, c.fam, c.ref, FLOW_P_EXPRESS, true), 0);
	TO_WORKER(&c);
	ck_assert_uint_eq(flow_w0_inflight(*w0), 2);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(fp_flow_inflight_done(wk, c.fam, c.ref), 0);
	sent_right(&c, 0, EXPRESS_V_SENT);
	ck_assert_uint_eq(flow_w0_inflight(*line_of(&c, 1)), 0);
	/* A queue without socket, and a beat of long ago, are no worker. */
	fp_flow_set_path(wk, c.fam, c.ref, FLOW_P_WORKER, false);
	worker_lives(false);
	sent_right(&c, 0, EXPRESS_V_SENT_ALONE);
	worker_lives(true);
	port_in.xsk_base = 0;
	port_set();
	fp_xdp_queue(xdp, 0)->beat = monotonic();
	sent_right(&c, 0, EXPRESS_V_SENT_ALONE);
	ck_assert_uint_eq(flow_w0_inflight(*w0), 0);
	/* What a commit or `clear` ended does not go on because nobody can free it. */
	ck_assert_int_eq(fp_flow_end(table, c.fam, c.ref), 0);
	DROPPED(&c, CT_CLOSED);
	worker_lives(true);
	TO_WORKER(&c);
}

START_TEST(worker)
{
	each(worker_case, 0, 4);
}
END_TEST

/* Frames of no flow, by mode, and interfaces that are off or elsewhere. */
static void no_flow_case(int which)
{
	struct conn c = conn_make(which);
	uint8_t mac[6];

	conn_frame(&c, 0, 10);
	conn_l4(&c)[3] ^= 1;
	conn_sum(&c);
	not_sent(&c, EXPRESS_V_KERNEL_NEW, -1);
	worker_lives(true);
	not_sent(&c, EXPRESS_V_WORKER_NEW, -1);
	fp_xdp_ctl(xdp)->gone = 1;
	not_sent(&c, EXPRESS_V_KERNEL_NEW, -1);
	fp_xdp_ctl(xdp)->gone = 0;
	fp_xdp_ctl(xdp)->mode = EXPRESS_M_RETURN;
	not_sent(&c, EXPRESS_V_KERNEL_NEW, -1);
	fp_xdp_ctl(xdp)->mode = EXPRESS_M_RUN;
	worker_lives(false);
	not_sent(&c, EXPRESS_V_KERNEL_NEW, -1);

	conn_frame(&c, 0, 10);
	port_in.zone = 9;
	port_set();
	not_sent(&c, EXPRESS_V_KERNEL_NEW, -1);
	port_in.zone = 0;
	port_in.on = 0;
	port_set();
	not_sent(&c, EXPRESS_V_KERNEL_OFF, -1);
	port_in.on = 1;
	memcpy(mac, port_in.mac, 6);
	port_in.mac[5] ^= 1;
	port_set();
	not_sent(&c, EXPRESS_V_KERNEL_MAC, -1);
	c.data[0] ^= 1; /* to a group of stations, which is not another station */
	not_sent(&c, EXPRESS_V_KERNEL_PLAIN, -1);
	c.data[0] ^= 1;
	memcpy(port_in.mac, mac, 6);
	port_set();
	sent_right(&c, 0, EXPRESS_V_SENT);
	fp_flow_set_path(fp_flow_worker(table, 0), c.fam, c.ref, FLOW_P_KERNEL, false);
	not_sent(&c, EXPRESS_V_KERNEL_FLOW, -1);
	ck_assert_int_eq(fp_flow_free(fp_flow_worker(table, 0), c.fam, c.ref), 0);
	/* Gone at once, also for a CPU that remembers its slot; a second life has its own. */
	not_sent(&c, EXPRESS_V_KERNEL_NEW, -1);
	fp_flow_maintain(table, 4096);
	ck_assert_int_eq(fp_flow_insert(fp_flow_worker(table, 0), c.fam, &c.flow, &c.ref), 0);
	sent_right(&c, 0, EXPRESS_V_SENT);
}

START_TEST(no_flow)
{
	each(no_flow_case, 0, 4);
}
END_TEST

/* What the kernel tracks is the kernel's, in both directions, when the policy says so. */
static void kernel_connection_case(int which)
{
	struct conn c = conn_make(which);
	const struct fp_flow_half *a = &c.flow.dir[0], *b = &c.flow.dir[1];
	struct fp_mirror_flow f = { .family = c.fam == FLOW_4 ? AF_INET : AF_INET6,
				    .proto = c.proto,
				    .tcp_state = TCPT_S_ESTABLISHED,
				    .timeout_sec = 100 };
	bool six = c.fam == FLOW_6;

	memcpy(f.src.addr, six ? a->key6.saddr : (void *)&a->key4.saddr, six ? 16 : 4);
	memcpy(f.dst.addr, six ? a->key6.daddr : (void *)&a->key4.daddr, six ? 16 : 4);
	memcpy(f.reply_src.addr, six ? b->key6.saddr : (void *)&b->key4.saddr, six ? 16 : 4);
	memcpy(f.reply_dst.addr, six ? b->key6.daddr : (void *)&b->key4.daddr, six ? 16 : 4);
	f.src.port_be = six ? a->key6.sport : a->key4.sport;
	f.dst.port_be = six ? a->key6.dport : a->key4.dport;
	f.reply_src.port_be = six ? b->key6.sport : b->key4.sport;
	f.reply_dst.port_be = six ? b->key6.dport : b->key4.dport;
	ck_assert_int_eq(ct_say(fp_mirror_msg_new, &f), 0);
	worker_lives(true);
	for (unsigned dir = 0; dir < 2; dir++) {
		conn_frame(&c, dir, 10);
		sent_right(&c, dir, EXPRESS_V_SENT);
	}
	ck_assert_int_eq(fp_flow_free(fp_flow_worker(table, 0), c.fam, c.ref), 0);
	for (unsigned stateful = 0; stateful < 2; stateful++) {
		ck_assert_int_eq(fp_xdp_stateful(xdp, stateful), 0);
		for (unsigned dir = 0; dir < 2; dir++) {
			conn_frame(&c, dir, 10);
			not_sent(&c, stateful ? EXPRESS_V_KERNEL_CT : EXPRESS_V_WORKER_NEW, -1);
			conn_l4(&c)[2] ^= 1;
			conn_sum(&c);
			not_sent(&c, EXPRESS_V_WORKER_NEW, -1);
		}
	}
	ck_assert_int_eq(ct_say(fp_mirror_msg_end, &f), 0);
	conn_frame(&c, 0, 10);
	not_sent(&c, EXPRESS_V_WORKER_NEW, -1);
	ck_assert_int_eq(fp_xdp_stateful(xdp, false), 0);
}

START_TEST(kernel_connection)
{
	if (!fp_xdp_sees_ct(xdp)) {
		ck_assert_int_eq(fp_xdp_stateful(xdp, true), -EOPNOTSUPP);
		return;
	}
	ct_open();
	each(kernel_connection_case, 0, 4);
	close(ct_fd);
}
END_TEST

/* Protocols that workers do not track are the kernel's when connections count; what may be about
 * one of ours is not. The type of an ICMP message: 256 for none. */
static void protocol_case(int which)
{
	static const struct {
		uint8_t proto4, proto6;
		unsigned type4, type6;
		bool kernel;
	} cases[] = {
		{ 1, 58, 8, 128, true }, /* echo */
		{ 1, 58, 3, 1, false },  /* unreachable */
		{ 1, 58, 11, 3, false },    { 47, 47, 256, 256, true },
		{ 50, 50, 256, 256, true }, { 17, 44, 256, 256, false }, /* IPv4: a piece */
	};
	struct conn c = conn_make(which);

	worker_lives(true);
	for (unsigned i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		unsigned type;
		uint8_t *ip = c.data + 14;

		conn_frame(&c, 0, 30);
		if (c.fam == FLOW_4) {
			ip[9] = cases[i / 2].proto4;
			fp_st16(ip + 6, ip[9] == 17 ? 8 : 0);
			fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
			type = cases[i / 2].type4;
		} else {
			ip[6] = cases[i / 2].proto6;
			type = cases[i / 2].type6;
		}
		if (type < 256)
			conn_l4(&c)[0] = (uint8_t)type;
		ck_assert_int_eq(fp_xdp_stateful(xdp, i & 1), 0);
		not_sent(&c,
			 i & 1 && cases[i / 2].kernel ? EXPRESS_V_KERNEL_CT : EXPRESS_V_WORKER_NEW,
			 -1);
	}
	ck_assert_int_eq(fp_xdp_stateful(xdp, false), 0);
}

START_TEST(protocols)
{
	if (fp_xdp_sees_ct(xdp))
		each(protocol_case, 0, 4);
}
END_TEST

/* The current generation of the policy and the one before it hold. */
static void policy_case(int which)
{
	struct conn c = conn_make(which);

	conn_frame(&c, 0, 10);
	for (uint16_t ahead = 0; ahead < 4; ahead++) {
		fp_xdp_ctl(xdp)->policy = (uint16_t)(POLICY + ahead);
		worker_lives(true);
		*line_of(&c, 0) &= ~(0xffffull << FLOW_W0_INFLIGHT_SHIFT);
		if (ahead < 2)
			sent_right(&c, 0, EXPRESS_V_SENT);
		else
			TO_WORKER(&c);
		worker_lives(false);
		*line_of(&c, 0) &= ~(0xffffull << FLOW_W0_INFLIGHT_SHIFT);
		if (ahead < 2)
			sent_right(&c, 0, EXPRESS_V_SENT);
		else if (ahead == 2)
			sent_right(&c, 0, EXPRESS_V_SENT_ALONE);
		else
			DROPPED(&c, GENERATION);
	}
}

/* What becomes of a UDP packet without a flow that comes in by ctx. */
static int ask_verdict(const char *dst, int ttl)
{
	uint8_t l4[8] = { 0 };
	struct box_frame f;

	fp_st16(l4 + 4, sizeof(l4));
	fp_st16(l4 + 6, 1);
	box_frame_to(&f, dst, IPPROTO_UDP, l4, sizeof(l4), 0, (uint8_t)ttl);
	return box_frame_verdict(&f);
}

/* What the kernel would not forward by another fast interface now is the kernel's. */
START_TEST(asks_kernel)
{
	static const struct {
		const char *dst, *dst6;
		int verdict;
	} cases[] = {
		{ "198.51.100.2", "2001:db8:9::2", EXPRESS_V_WORKER_NEW },
		{ "198.51.100.3", "2001:db8:9::3", EXPRESS_V_KERNEL_ROUTE }, /* unknown neighbour */
		{ "198.51.100.1", "2001:db8:9::1", EXPRESS_V_KERNEL_ROUTE }, /* ours */
		{ "192.0.2.1", "2001:db8:8::1", EXPRESS_V_KERNEL_ROUTE },    /* no route */
		{ "203.0.113.1", "2001:db8:7::1", EXPRESS_V_KERNEL_ROUTE },  /* blackhole */
		{ "10.9.0.2", "2001:db8:6::2", EXPRESS_V_KERNEL_ROUTE }, /* out by where it came */
	};
	ck_assert(sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.in.disable_ipv6=0 "
		     "net.ipv6.conf.out.disable_ipv6=0 net.ipv6.conf.all.forwarding=1 && "
		     "ip addr add 10.9.0.1/24 dev in && ip addr add 198.51.100.1/24 dev out && "
		     "ip addr add 2001:db8:6::1/64 dev in nodad && "
		     "ip addr add 2001:db8:9::1/64 dev out nodad && "
		     "ip route add blackhole 203.0.113.0/24 && "
		     "ip -6 route add blackhole 2001:db8:7::/64 && "
		     "ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:09 dev out && "
		     "ip neigh add 2001:db8:9::2 lladdr 02:00:00:00:00:09 dev out && "
		     "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:08 dev in && "
		     "ip neigh add 2001:db8:6::2 lladdr 02:00:00:00:00:08 dev in"));
	worker_lives(true);
	port_in.flags = EXPRESS_PF_ASK;
	port_set();
	for (int on = 1; on >= 0; on--) {
		ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("out"),
						 &(struct express_port){ .slot = PORT_OUT,
									 .on = (uint8_t)on }),
				 0);
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			for (int ttl = 64; ttl > 0; ttl -= 63) {
				int want = on && ttl > 1 ? cases[i].verdict
							 : EXPRESS_V_KERNEL_ROUTE;

				ck_assert_int_eq(ask_verdict(cases[i].dst, ttl), want);
				ck_assert_int_eq(ask_verdict(cases[i].dst6, ttl), want);
			}
		}
		/* A connection waits for its neighbour at a worker. */
		if (!fp_xdp_sees_ct(xdp))
			continue;
		ck_assert_int_eq(fp_xdp_stateful(xdp, true), 0);
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			int want = on && i < 2 ? EXPRESS_V_WORKER_NEW : EXPRESS_V_KERNEL_ROUTE;

			ck_assert_int_eq(ask_verdict(cases[i].dst, 64), want);
			ck_assert_int_eq(ask_verdict(cases[i].dst6, 64), want);
		}
		ck_assert_int_eq(ask_verdict(cases[1].dst, 1), EXPRESS_V_KERNEL_ROUTE);
		ck_assert_int_eq(fp_xdp_stateful(xdp, false), 0);
	}
	port_in.flags = 0;
}
END_TEST

START_TEST(policy)
{
	each(policy_case, 0, 4);
}
END_TEST

/* The first answer is a worker's, who learns that there is one. */
static void first_answer_case(int which)
{
	struct conn c = conn_make(which);
	uint64_t *w0 = line_of(&c, 1);

	*w0 &= ~((uint64_t)(0xff & ~FLOW_PATH_MASK) << FLOW_W0_STATE_SHIFT);
	worker_lives(true);
	conn_frame(&c, 1, 10);
	TO_WORKER(&c);
	ck_assert_uint_eq(flow_w0_inflight(*w0), 1);
	worker_lives(false);
	sent_right(&c, 1, EXPRESS_V_SENT_ALONE);
}

START_TEST(first_answer)
{
	each(first_answer_case, 0, 2);
}
END_TEST

/* A hit that cannot be sent: a worker's, else the kernel's if it knows the flow, else dropped. */
static void cannot(struct conn *c)
{
	uint64_t *w0 = line_of(c, 0), was = *w0;

	worker_lives(true);
	TO_WORKER(c);
	*w0 = was;
	worker_lives(false);
	DROPPED(c, NO_WORKER);
	*w0 = was | (uint64_t)FLOW_F_MIRRORED << FLOW_W0_FLAGS_SHIFT;
	not_sent(c, EXPRESS_V_KERNEL_MIRROR, -1);
	*w0 = was;
	conn_frame(c, 0, 10);
	sent_right(c, 0, EXPRESS_V_SENT);
}

static void cannot_be_sent_case(int which)
{
	struct conn c = conn_make(which);
	struct fp_adj adj = adjs[ADJ], other;
	uint64_t *w0 = line_of(&c, 0);
	uint8_t *ip = c.data + 14;

	adj.port = PORT_OUT;
	/* No hop left. */
	conn_frame(&c, 0, 10);
	if (c.fam == FLOW_4) {
		ip[8] = 1;
		fp_st16_be(ip + 10, 0);
		fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
	} else {
		ip[7] = 1;
	}
	cannot(&c);
	/* Too big for the link; the neighbour is not there; shaped; a link with two tags; no such
	 * device.
	 */
	for (int i = 0; i < 5; i++) {
		other = adj;
		other.mtu = (uint16_t)(i == 0 ? c.len - 15 : other.mtu);
		other.len = i == 1 ? 0 : i == 3 ? 22 : other.len;
		other.shaped = i == 2;
		other.port = i == 4 ? 7 : other.port;
		conn_frame(&c, 0, 10);
		ck_assert_int_eq(fp_xdp_adj_set(xdp, ADJ, &other), 0);
		worker_lives(false);
		if (i == 4)
			DROPPED(&c, EGRESS_DOWN);
		else
			DROPPED(&c, NO_WORKER);
		worker_lives(true);
		if (i < 4)
			TO_WORKER(&c);
		*w0 &= ~(0xffffull << FLOW_W0_INFLIGHT_SHIFT);
		fp_xdp_adj_set(xdp, ADJ, &adj);
		sent_right(&c, 0, EXPRESS_V_SENT);
	}
	/* The MTU is of the packet, not of the frame. */
	other = adj;
	other.mtu = (uint16_t)(c.len - 14);
	fp_xdp_adj_set(xdp, ADJ, &other);
	sent_right(&c, 0, EXPRESS_V_SENT);
	fp_xdp_adj_set(xdp, ADJ, &adj);
	*w0 |= (uint64_t)FLOW_F_SHAPED << FLOW_W0_FLAGS_SHIFT;
	worker_lives(false);
	DROPPED(&c, NO_WORKER);
	*w0 &= ~((uint64_t)FLOW_F_SHAPED << FLOW_W0_FLAGS_SHIFT);
	if (c.fam == FLOW_6)
		return;
	/* A first fragment; options. */
	conn_frame(&c, 0, 10);
	fp_st16(ip + 6, FP_IP4_MF);
	fp_st16_be(ip + 10, 0);
	fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
	cannot(&c);
	conn_frame(&c, 0, 10);
	memmove(ip + 24, ip + 20, c.len - 34);
	memset(ip + 20, 1, 4);
	c.len += 4;
	ip[0] = 0x46;
	fp_st16(ip + 2, (uint16_t)(c.len - 14));
	fp_st16_be(ip + 10, 0);
	fp_st16_be(ip + 10, fp_csum_ip4(ip, 24));
	cannot(&c);
}

START_TEST(cannot_be_sent)
{
	each(cannot_be_sent_case, 0, 4);
}
END_TEST

/* A sender that left the checksum to its NIC: never out by XDP where that can happen. */
static void partial_checksum_case(int which)
{
	struct conn c = conn_make(which);
	struct fp_pkt p;
	uint64_t sum;

	conn_frame(&c, 0, 40);
	port_in.flags = EXPRESS_PF_PARTIAL;
	port_set();
	sent_right(&c, 0, EXPRESS_V_SENT);
	fp_classify(c.data, c.len, &p);
	sum = fp_csum_pkt_pseudo(c.data, &p);
	fp_st16_be(conn_l4(&c) + (c.proto == IPPROTO_TCP ? FP_TCP_CSUM : FP_UDP_CSUM),
		   fp_csum_fold(sum));
	ck_assert(fp_csum_l4_is_partial(c.data, &p));
	cannot(&c);
}

START_TEST(partial_checksum)
{
	each(partial_checksum_case, 0, 4);
}
END_TEST

/* A new MAC address acts at once, and nothing goes out while the adjacency is being changed. */
static void adjacency_case(int which)
{
	struct conn c = conn_make(which);
	struct fp_adj a = adjs[ADJ], was = adjs[ADJ];

	conn_frame(&c, 0, 10);
	a.port = PORT_OUT;
	a.hdr[5] = 0x77;
	adjs[ADJ] = a;
	ck_assert_int_eq(fp_xdp_adj_set(xdp, ADJ, &a), 0);
	sent_right(&c, 0, EXPRESS_V_SENT);
	adjs[ADJ] = was;
	ck_assert_int_eq(fp_xdp_adj_set(xdp, 0, &a), -EINVAL);
	ck_assert_int_eq(fp_xdp_adj_set(xdp, 16, &a), -EINVAL);
}

START_TEST(adjacency)
{
	each(adjacency_case, 0, 4);
}
END_TEST

static void window_set(const struct conn *c, unsigned dir, uint8_t win_log2)
{
	ck_assert_int_eq(
		fp_flow_set_window(fp_flow_worker(table, 0), c->fam, c->ref ^ dir, win_log2, 2), 0);
}

/* Has the twin sent since a direction copied what it is judged by? */
static bool copy_old(const struct conn *c, unsigned dir)
{
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	if (c->fam == FLOW_4) {
		ck_assert_int_eq(fp_flow_find4(table, &c->flow.dir[dir].key4, &h4), FLOW_HIT);
		return memcmp(&h4.side->peer, &h4.twin->tcp, sizeof(h4.twin->tcp)) != 0;
	}
	ck_assert_int_eq(fp_flow_find6(table, &c->flow.dir[dir].key6, &h6), FLOW_HIT);
	return memcmp(&h6.side->peer, &h6.twin->tcp, sizeof(h6.twin->tcp)) != 0;
}

/* What the tracker must see goes to the worker; without one it goes out and is noted. */
static void tcp_thought_case(int which)
{
	static const struct {
		uint8_t flags;
		uint32_t seq, ack;
		uint8_t note;
	} cases[] = {
		{ 0x11, 10000, 10000, FLOW_F_FIN },
		{ 0x14, 10000, 10000, FLOW_F_RST },
		{ 0x02, 10000, 0, 0 },
		{ 0x10, 10000 + 30001, 10000, FLOW_F_WINDOW },
		{ 0x10, 10000, 10001, FLOW_F_WINDOW },
		{ 0x10, 10000 - 20000, 10000, FLOW_F_WINDOW },
	};
	struct conn c = conn_make(which);
	uint64_t *w0 = line_of(&c, 0), was = *w0;

	for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
		conn_frame(&c, 0, 10);
		fp_st32(conn_l4(&c) + 4, cases[k].seq);
		fp_st32(conn_l4(&c) + 8, cases[k].ack);
		conn_l4(&c)[13] = cases[k].flags;
		conn_sum(&c);
		worker_lives(true);
		TO_WORKER(&c);
		ck_assert_uint_eq(*w0, was + FLOW_W0_INFLIGHT_ONE);
		*w0 = was;
		worker_lives(false);
		sent_right(&c, 0, EXPRESS_V_SENT_ALONE);
		ck_assert_uint_eq(*w0, was | (uint64_t)cases[k].note << FLOW_W0_FLAGS_SHIFT);
		*w0 = was;
	}
	/* How far back a segment may lie is what the other end's window says. */
	conn_frame(&c, 0, 10);
	fp_st32(conn_l4(&c) + 4, 10000 - 5000);
	fp_st16(conn_l4(&c) + 14, 100); /* a window that 2^10 covers as well */
	conn_sum(&c);
	worker_lives(true);
	sent_right(&c, 0, EXPRESS_V_SENT);
	window_set(&c, 1, 10);
	TO_WORKER(&c);
	*w0 = was;
	window_set(&c, 1, 14);
	window_set(&c, 0, 10);
	sent_right(&c, 0, EXPRESS_V_SENT);
	/* What one end sends the other may acknowledge at once: that renews its copy of the window.
	 */
	conn_frame(&c, 1, 10);
	fp_st32(conn_l4(&c) + 8, 10010);
	conn_sum(&c);
	TO_WORKER(&c);
	ck_assert(!copy_old(&c, 1));
	window_set(&c, 0, 14);
	inflight_clear();
	conn_frame(&c, 0, 10);
	conn_sum(&c);
	sent_right(&c, 0, EXPRESS_V_SENT);
	ck_assert(copy_old(&c, 1));
	conn_frame(&c, 1, 10);
	conn_sum(&c);
	sent_right(&c, 1, EXPRESS_V_SENT);
	ck_assert(copy_old(&c, 1));
	conn_frame(&c, 1, 10);
	fp_st32(conn_l4(&c) + 8, 10011);
	conn_sum(&c);
	TO_WORKER(&c);
	ck_assert(!copy_old(&c, 1));
	inflight_clear();
	conn_frame(&c, 0, 10);
	fp_st32(conn_l4(&c) + 4, 10010);
	conn_sum(&c);
	sent_right(&c, 0, EXPRESS_V_SENT);
	ck_assert(copy_old(&c, 1));
	conn_frame(&c, 1, 10);
	fp_st32(conn_l4(&c) + 8, 10020);
	conn_sum(&c);
	sent_right(&c, 1, EXPRESS_V_SENT);
	ck_assert(!copy_old(&c, 1));
}

START_TEST(tcp_thought)
{
	each(tcp_thought_case, 2, 4);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("express");
	TCase *tc = tcase_create("express");

	netns_or_skip();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, random_frames, 0, 2);
	tcase_add_test(tc, both_ways);
	tcase_add_test(tc, worker);
	tcase_add_test(tc, no_flow);
	tcase_add_test(tc, asks_kernel);
	tcase_add_test(tc, kernel_connection);
	tcase_add_test(tc, protocols);
	tcase_add_test(tc, policy);
	tcase_add_test(tc, first_answer);
	tcase_add_test(tc, cannot_be_sent);
	tcase_add_test(tc, partial_checksum);
	tcase_add_test(tc, adjacency);
	tcase_add_test(tc, tcp_thought);
	tcase_add_test(tc, udp_zero_sum);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
