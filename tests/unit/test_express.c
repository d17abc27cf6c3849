/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The express lane in the kernel. Random frames, sound and broken, against the general code; each
 * rule of what goes where, with a worker and without; and through real veths, from a socket in one
 * namespace to a socket in another. Needs root.
 */
#include "tests/lib/express_box.h"

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
 * ones with an untagged link go out, and nothing else is touched; without one the others go too.
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
		out = e.act == FP_A_TX && e.out.headroom == HEADROOM &&
		      (flow_w0_path(w0) == FLOW_P_EXPRESS || !lives);
		if (out)
			ck_assert_msg(sent(&o), "verdict %d, drop %d", o.verdict, o.drop);
		else if (lives || e.act == FP_A_MISS || e.act == FP_A_ADJ)
			ck_assert_msg(!sent(&o), "act %u was sent", e.act);
		n_sent += sent(&o);
		n_other += !sent(&o);
		if (out) {
			uint32_t l3_len = p.end - p.l3_off;

			ck_assert_uint_eq(o.len, f.len);
			ck_assert(!memcmp(o.out, e.out.data, 14 + l3_len));
			ck_assert(
				!memcmp(o.out + 14 + l3_len, d + 14 + l3_len, f.len - 14 - l3_len));
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

struct conn {
	enum flow_family fam;
	uint8_t proto;
	struct fp_flow_new flow;
	uint64_t ref;
	uint8_t data[ROOM];
	uint32_t len;
};

static uint64_t *line_of(const struct conn *c, unsigned dir)
{
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	if (c->fam == FLOW_4)
		return fp_flow_find4(table, &c->flow.dir[dir].key4, &h4) == FLOW_HIT
			       ? &h4.own->word0
			       : NULL;
	return fp_flow_find6(table, &c->flow.dir[dir].key6, &h6) == FLOW_HIT ? &h6.own->word0
									     : NULL;
}

/* The second direction's rewrite: into the inverse of the first one's key. */
static void rewrite_back(struct conn *c)
{
	struct fp_flow_half *h = c->flow.dir;
	struct fp_nat4 n4;
	struct fp_nat6 n6;

	if (c->fam == FLOW_4) {
		const struct flow_key4 *k = &h[1].key4, *to = &h[0].key4;
		struct fp_tuple4 a = { k->saddr, k->daddr, k->sport, k->dport, k->proto };
		struct fp_tuple4 b = { to->daddr, to->saddr, to->dport, to->sport, k->proto };

		fp_nat4_init(&n4, &a, &b);
		h[1].rw4 = (struct flow_rewrite4){ n4.src_be,   n4.dst_be,   n4.sport_be,
						   n4.dport_be, n4.ip_delta, n4.l4_delta };
	} else {
		const struct flow_key6 *k = &h[1].key6, *to = &h[0].key6;
		struct fp_tuple6 a = { .sport_be = k->sport,
				       .dport_be = k->dport,
				       .proto = k->proto };
		struct fp_tuple6 b = { .sport_be = to->dport,
				       .dport_be = to->sport,
				       .proto = k->proto };

		memcpy(a.src, k->saddr, 16);
		memcpy(a.dst, k->daddr, 16);
		memcpy(b.src, to->daddr, 16);
		memcpy(b.dst, to->saddr, 16);
		fp_nat6_init(&n6, &a, &b);
		h[1].rw6 = (struct flow_rewrite6){ .sport = n6.sport_be,
						   .dport = n6.dport_be,
						   .l4_delta = n6.l4_delta };
		memcpy(h[1].rw6.saddr, n6.src, 16);
		memcpy(h[1].rw6.daddr, n6.dst, 16);
	}
}

/* Case numbers 0 to 3: the families by UDP and TCP. */
static struct conn conn_make(int which)
{
	uint32_t id = 4030 + (uint32_t)(which >> 1); /* in no table yet */
	struct conn c = { .fam = which & 1 ? FLOW_6 : FLOW_4,
			  .proto = which >> 1 ? IPPROTO_TCP : IPPROTO_UDP };

	flow_of(id, c.fam == FLOW_6, &c.flow);
	c.flow.policy = POLICY;
	for (int d = 0; d < 2; d++) {
		struct fp_flow_half *h = &c.flow.dir[d];

		h->egress = flow_egress(ADJ, 14, 2);
		h->state = (uint8_t)(FLOW_P_EXPRESS | (which >> 1 ? TCPT_S_ESTABLISHED : 1)
							      << FLOW_TRACK_SHIFT);
		h->flags &= (uint8_t)~FLOW_F_LIBERAL;
	}
	ck_assert(c.flow.dir[0].flags & FLOW_F_REWRITE);
	rewrite_back(&c);
	fp_flow_maintain(table, 4096);
	ck_assert_int_eq(fp_flow_insert(fp_flow_worker(table, 0), c.fam, &c.flow, &c.ref), 0);
	return c;
}

/* A frame of the direction with checksums that are right. */
static void conn_frame(struct conn *c, unsigned dir, unsigned payload)
{
	const struct fp_flow_half *h = &c->flow.dir[dir];
	unsigned ip_len = c->fam == FLOW_4 ? 20 : 40, l4_len = c->proto == IPPROTO_TCP ? 20 : 8;
	uint8_t *d = c->data, *ip = d + 14, *l4 = ip + ip_len;
	struct fp_pkt p;

	memset(d, 0, sizeof(c->data));
	memcpy(d, our_mac, 6);
	c->len = 14 + ip_len + l4_len + payload;
	if (c->fam == FLOW_4) {
		fp_st16(d + 12, FP_ETH_IP4);
		ip[0] = 0x45;
		fp_st16(ip + 2, (uint16_t)(c->len - 14));
		ip[8] = 64;
		ip[9] = c->proto;
		memcpy(ip + 12, &h->key4.saddr, 8);
		memcpy(l4, &h->key4.sport, 4);
		fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
	} else {
		fp_st16(d + 12, FP_ETH_IP6);
		ip[0] = 0x60;
		fp_st16(ip + 4, (uint16_t)(l4_len + payload));
		ip[6] = c->proto;
		ip[7] = 64;
		memcpy(ip + 8, h->key6.saddr, 32);
		memcpy(l4, &h->key6.sport, 4);
	}
	for (unsigned i = 0; i < payload; i++)
		l4[l4_len + i] = (uint8_t)(i * 7 + 1);
	if (c->proto == IPPROTO_UDP) {
		fp_st16(l4 + 4, (uint16_t)(8 + payload));
	} else {
		fp_st32(l4 + 4, 10000);
		fp_st32(l4 + 8, 10000);
		l4[12] = 0x50;
		l4[13] = 0x10;
		fp_st16(l4 + 14, 1000);
	}
	fp_classify(d, c->len, &p);
	ck_assert(fp_csum_l4_fill(d, &p));
}

static uint8_t *conn_l4(struct conn *c)
{
	return c->data + 14 + (c->fam == FLOW_4 ? 20 : 40);
}

/* After a change of the transport header. */
static void conn_sum(struct conn *c)
{
	struct fp_pkt p;
	uint8_t *l4 = conn_l4(c);

	fp_st16(l4 + (c->proto == IPPROTO_TCP ? FP_TCP_CSUM : FP_UDP_CSUM), 0);
	fp_classify(c->data, c->len, &p);
	if (!fp_csum_l4_fill(c->data, &p))
		ck_abort_msg("no checksum");
}

static struct outcome conn_run(struct conn *c)
{
	return run_frame(c->data, c->len);
}

/* Every field of a translated frame, from the tuple of the other direction. */
static void conn_check(const struct conn *c, unsigned dir, const uint8_t *out, uint32_t len)
{
	const struct fp_flow_half *back = &c->flow.dir[!dir];
	uint8_t want[ROOM], *ip = want + 14, *l4 = ip + (c->fam == FLOW_4 ? 20 : 40);
	struct fp_pkt p;

	ck_assert_uint_eq(len, c->len);
	memcpy(want, c->data, len);
	memcpy(want, adjs[ADJ].hdr, 12);
	if (c->fam == FLOW_4) {
		ip[8]--;
		memcpy(ip + 12, &back->key4.daddr, 4);
		memcpy(ip + 16, &back->key4.saddr, 4);
		memcpy(l4, &back->key4.dport, 2);
		memcpy(l4 + 2, &back->key4.sport, 2);
		fp_st16_be(ip + 10, 0);
		fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
	} else {
		ip[7]--;
		memcpy(ip + 8, back->key6.daddr, 16);
		memcpy(ip + 24, back->key6.saddr, 16);
		memcpy(l4, &back->key6.dport, 2);
		memcpy(l4 + 2, &back->key6.sport, 2);
	}
	fp_st16(l4 + (c->proto == IPPROTO_TCP ? FP_TCP_CSUM : FP_UDP_CSUM), 0);
	fp_classify(want, len, &p);
	ck_assert(fp_csum_l4_fill(want, &p));
	for (uint32_t i = 0; i < len; i++)
		ck_assert_msg(out[i] == want[i], "byte %u: %#x, not %#x", i, out[i], want[i]);
}

static void sent_right(struct conn *c, unsigned dir, enum express_verdict v)
{
	struct outcome o = conn_run(c);

	ck_assert_msg(o.verdict == (int)v, "verdict %d, drop %d, not verdict %d", o.verdict, o.drop,
		      v);
	conn_check(c, dir, o.out, o.len);
}

static void not_sent(struct conn *c, int verdict, int reason)
{
	struct outcome o = conn_run(c);

	ck_assert_msg(o.verdict == verdict && o.drop == reason,
		      "verdict %d, drop %d, not %d and %d", o.verdict, o.drop, verdict, reason);
	untouched(&o, c->data, c->len);
}

/* One test for all kinds: a namespace and a program's load take longer than the test. */
static void each(void (*one)(int which), int first, int last)
{
	for (int which = first; which < last; which++) {
		port_in = (struct express_port){ .on = 1, .slot = PORT_IN };
		memcpy(port_in.mac, our_mac, 6);
		port_set();
		fp_xdp_ctl(xdp)->policy = POLICY;
		one(which);
	}
}

#define TO_WORKER(c)    not_sent(c, EXPRESS_V_WORKER_FLOW, -1)
#define DROPPED(c, why) not_sent(c, -1, RTR_DROP_##why)

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
	*fp_xdp_beat(xdp, 0) = monotonic();
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
	not_sent(&c, EXPRESS_V_KERNEL_PLAIN, -1);
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
static int ask_verdict(const char *dst, struct xdp_md *ctx, int ttl)
{
	uint8_t d[100] = { 0 };
	bool six = strchr(dst, ':');
	uint32_t len = six ? 62 : 60;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = d, .data_size_in = len, .ctx_in = ctx,
		    .ctx_size_in = sizeof(*ctx), .repeat = 1);
	struct express_count before = counts(), after;

	memcpy(d, our_mac, 6);
	fp_st16(d + 12, six ? FP_ETH_IP6 : FP_ETH_IP4);
	if (six) {
		d[14] = 0x60;
		fp_st16(d + 18, 8);
		d[20] = IPPROTO_UDP;
		d[21] = (uint8_t)ttl;
		inet_pton(AF_INET6, "2001:db8:6::7", d + 22);
		inet_pton(AF_INET6, dst, d + 38);
		fp_st16(d + 58, 8);
		fp_st16(d + 60, 1);
	} else {
		d[14] = 0x45;
		fp_st16(d + 16, 28);
		d[22] = (uint8_t)ttl;
		d[23] = IPPROTO_UDP;
		inet_pton(AF_INET, "10.9.0.7", d + 26);
		inet_pton(AF_INET, dst, d + 30);
		fp_st16(d + 38, 8);
		fp_st16_be(d + 24, fp_csum_ip4(d + 14, 20));
	}
	ctx->data_end = len;
	ck_assert_int_eq(bpf_prog_test_run_opts(fp_xdp_port_fd(xdp, PORT_IN), &opts), 0);
	after = counts();
	for (int i = 0; i < EXPRESS_V__MAX; i++)
		if (after.verdict[i] != before.verdict[i])
			return i;
	return -1;
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
	struct xdp_md ctx = { .ingress_ifindex = if_nametoindex("in") };

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

				ck_assert_int_eq(ask_verdict(cases[i].dst, &ctx, ttl), want);
				ck_assert_int_eq(ask_verdict(cases[i].dst6, &ctx, ttl), want);
			}
		}
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
	/* Too big for the link; the neighbour is not there; shaped; a tagged link; no such device.
	 */
	for (int i = 0; i < 5; i++) {
		other = adj;
		other.mtu = (uint16_t)(i == 0 ? c.len - 15 : other.mtu);
		other.len = i == 1 ? 0 : i == 3 ? 18 : other.len;
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

/* ----- real links ----- */

static int raw_socket(const char *dev)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_ALL),
				   .sll_ifindex = (int)if_nametoindex(dev) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sll, sizeof(sll)), 0);
	return fd;
}

/* The next frame with a source MAC of the adjacency. */
static uint32_t receive(int fd, uint8_t *buf)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	for (;;) {
		ck_assert_msg(poll(&pfd, 1, 5000) == 1, "the frame did not arrive");
		n = recv(fd, buf, ROOM, 0);
		ck_assert_int_gt(n, 13);
		if (!memcmp(buf + 6, adjs[ADJ].hdr + 6, 6))
			return (uint32_t)n;
	}
}

static void inject_run(unsigned who, unsigned n, uint32_t size)
{
	static uint8_t data[500];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = size, .repeat = (int)n,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = n);

	data[0] = (uint8_t)who;
	ck_assert_int_eq(bpf_prog_test_run_opts(fp_xdp_port_fd(xdp, PORT_OUT), &o), 0);
}

/* Frames of workers leave by the program of the port: their bytes, their lengths, in order. */
START_TEST(injects)
{
	static const uint16_t lens[] = { 60, 500, 14, 61, 390, 64 };
	struct express_port out = { .slot = PORT_OUT, .flags = EXPRESS_PF_INJECT },
			    peer = { .slot = 5 };
	int to = raw_socket("out-peer");
	struct express_inject *j;
	uint8_t buf[ROOM], *area;
	void *p;

	ck_assert(!fp_xdp_inject(xdp, 2, &p, &j));
	ck_assert(fp_xdp_inject(xdp, 1, &p, &j));
	area = p;
	ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("out-peer"), &peer), 0);
	ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("out"), &out), 0);
	for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
		uint8_t *d = area + i * EXPRESS_FRAME_SIZE + 16 * i;

		for (unsigned k = 0; k < lens[i]; k++)
			d[k] = (uint8_t)(k * 7 + i);
		memcpy(d, adjs[ADJ].hdr, FP_ETH_LEN);
		/* Buffers of worker 1 are behind those of worker 0. */
		j->desc[i] = (struct express_inject_desc){ 8 + i, (uint16_t)(16 * i), lens[i],
							   PORT_OUT };
	}
	inject_run(1, ARRAY_LEN(lens), 500);
	ck_assert_uint_eq(j->at, ARRAY_LEN(lens));
	ck_assert_uint_eq(j->sent, ARRAY_LEN(lens));
	for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
		ck_assert_uint_eq(receive(to, buf), lens[i]);
		ck_assert_mem_eq(buf, area + i * EXPRESS_FRAME_SIZE + 16 * i, lens[i]);
	}
	/* What nobody wrote that way is not sent. */
	j->at = j->sent = 0;
	j->desc[0].frame = 16;
	j->desc[1].off = EXPRESS_INJECT_OFF + 1;
	j->desc[2].len = 13;
	j->desc[3].len = EXPRESS_INJECT_LEN + 1;
	j->desc[4].port = 9;
	inject_run(1, 6, 500);
	ck_assert_uint_eq(j->at, 6);
	ck_assert_uint_eq(j->sent, 1);
	ck_assert_uint_eq(receive(to, buf), 64);
	j->at = EXPRESS_INJECT_MAX;
	inject_run(1, 1, 64);
	inject_run(2, 1, 64);
	ck_assert_uint_eq(j->sent, 1);
	close(to);
}
END_TEST

/* From a socket on one link, through the program, to a socket behind the other. */
START_TEST(through_veth)
{
	struct express_port peer = { .slot = 5 };
	int from = raw_socket("in-peer"), to = raw_socket("out-peer");
	uint8_t buf[ROOM];

	/* The far end of a redirect needs a program. */
	ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("out-peer"), &peer), 0);
	for (int which = 0; which < 4; which++) {
		struct conn c = conn_make(which);

		for (unsigned dir = 0; dir < 2; dir++)
			for (unsigned payload = 26; payload < 300; payload += 91) {
				uint32_t n;

				conn_frame(&c, dir, payload);
				ck_assert_int_eq(send(from, c.data, c.len, 0), c.len);
				n = receive(to, buf);
				conn_check(&c, dir, buf, n);
			}
	}
	close(from);
	close(to);
}
END_TEST

/* The program and its maps outlive the process that pinned them; the next one takes them over. */
START_TEST(pinned)
{
	struct fp_xdp_conf xc = { .mem = &mem, .n_ports = 2, .n_adj = 16, .n_xsks = 2 };
	struct express_port p = { .on = 1, .slot = 0 };
	char dir[] = "/tmp/rtr-bpf-XXXXXX";
	struct express_count c;
	struct fp_xdp *x;
	unsigned ifindex;

	ck_assert(sh("ip link add pin type veth peer name pin-peer && ip link set pin up && "
		     "ip link set pin-peer up"));
	ifindex = if_nametoindex("pin");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("bpf", dir, "bpf", 0, NULL), 0);
	xc.pin_dir = dir;
	ck_assert_int_eq(fp_xdp_new(&xc, &x), 0);
	fp_xdp_ctl(x)->policy = 77;
	ck_assert_int_eq(fp_xdp_port_set(x, ifindex, &p), 0);
	fp_xdp_free(x);
	ck_assert(sh("ip link show pin | grep -q prog/xdp"));
	ck_assert_int_eq(fp_xdp_new(&xc, &x), 0);
	ck_assert_uint_eq(fp_xdp_ctl(x)->policy, 77);
	ck_assert_int_eq(fp_xdp_counts(x, 0, &c), 0);
	ck_assert_int_eq(fp_xdp_port_set(x, ifindex, &p), 0);
	ck_assert_int_eq(fp_xdp_port_del(x, 0), 0);
	ck_assert(sh("! ip link show pin | grep -q prog/xdp"));
	ck_assert_int_eq(fp_xdp_port_del(x, 0), -ENOENT);
	fp_xdp_free(x);
	xc.n_adj = 32;
	ck_assert_int_eq(fp_xdp_new(&xc, &x), -EPROTO);
	ck_assert_int_eq(umount2(dir, MNT_DETACH), 0);
	ck_assert_int_eq(rmdir(dir), 0);
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
	tcase_add_test(tc, injects);
	tcase_add_test(tc, through_veth);
	tcase_add_test(tc, pinned);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
