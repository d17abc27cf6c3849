/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: flows, adjacencies and random frames, sound and broken, for tests of what forwards packets
 * of flows; and what the general code (parse.h, flow.h, rewrite.h) makes of a frame, to compare.
 */
#ifndef TESTS_PIPE_FRAMES_H
#define TESTS_PIPE_FRAMES_H

#include "fastpath/csum.h"
#include "fastpath/pipeline.h"
#include "fastpath/rewrite.h"
#include "fastpath/tcp_track.h"

#include "tests/lib/check_main.h"

#include <errno.h>

#define N_FLOWS  500
#define N_ADJ    8
#define POLICY   7
#define HEADROOM 64
#define ROOM     512

static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 1 };
static struct fp_adj adjs[N_ADJ];
static struct fp_l2 l2s[N_ADJ];
static struct fp_flow_mem mem;
static struct fp_flow *table;
static uint64_t rng;
static uint32_t n_ids; /* flows that frames are made of; some do not exist */

static inline uint32_t rnd(uint32_t n)
{
	return (uint32_t)((test_rand(&rng) >> 20) % n);
}

/* ----- tables ----- */

static inline void adjs_make(void)
{
	for (unsigned i = 0; i < N_ADJ; i++) {
		struct fp_l2_spec s = { .dst = { 2, 1, (uint8_t)i },
					.src = { 2, 2, (uint8_t)i },
					.n_vlan = (uint8_t)(i % 3),
					.vlan_tci = { 10, 20 } };

		fp_l2_init(&l2s[i], &s);
		adjs[i] = (struct fp_adj){ .len = l2s[i].len, .mtu = 1500, .port = i };
		memcpy(adjs[i].hdr, l2s[i].hdr, l2s[i].len);
	}
	adjs[0].len = 0;
	adjs[5].shaped = 1;
	adjs[6].mtu = 100;
}

static inline void tuple_of(uint32_t id, struct fp_tuple4 *t4, struct fp_tuple6 *t6)
{
	uint8_t proto = id & 1 ? IPPROTO_TCP : IPPROTO_UDP;

	*t4 = (struct fp_tuple4){ htonl(0x0a000001 + id), htonl(0xc6336401 + (id & 63)),
				  htons((uint16_t)(1000 + id)), htons(443), proto };
	*t6 = (struct fp_tuple6){ .src = { 0xfd, 1 },
				  .dst = { 0x20, 1, 0xd, 0xb8, 9 },
				  .sport_be = htons((uint16_t)(1000 + id)),
				  .dport_be = htons(443),
				  .proto = proto };
	fp_st16(t6->src + 14, (uint16_t)id);
}

static inline void flow_of(uint32_t id, bool six, struct fp_flow_new *f)
{
	struct fp_tuple4 t4, to4;
	struct fp_tuple6 t6, to6;
	struct fp_nat4 n4;
	struct fp_nat6 n6;
	bool tcp = id & 1, nat = id % 3;

	*f = (struct fp_flow_new){ .time = 5,
				   .timeout = 1000,
				   .policy = (uint16_t)(POLICY - (id % 5 == 4 ? 2 : id % 2)) };
	tuple_of(id, &t4, &t6);
	to4 = t4;
	to6 = t6;
	if (nat) {
		to4.src_be = htonl(0xcb007105);
		to4.sport_be = htons((uint16_t)(40000 + id));
		to6.src[0] = 0x20;
		to6.sport_be = to4.sport_be;
	}
	fp_nat4_init(&n4, &t4, &to4);
	fp_nat6_init(&n6, &t6, &to6);
	for (int d = 0; d < 2; d++) {
		struct fp_flow_half *h = &f->dir[d];

		if (six) {
			h->key6 = (struct flow_key6){ .sport = d ? to6.dport_be : t6.sport_be,
						      .dport = d ? to6.sport_be : t6.dport_be,
						      .proto = t6.proto };
			memcpy(h->key6.saddr, d ? to6.dst : t6.src, 16);
			memcpy(h->key6.daddr, d ? to6.src : t6.dst, 16);
			h->rw6 = (struct flow_rewrite6){ .sport = n6.sport_be,
							 .dport = n6.dport_be,
							 .l4_delta = n6.l4_delta };
			memcpy(h->rw6.saddr, n6.src, 16);
			memcpy(h->rw6.daddr, n6.dst, 16);
		} else {
			h->key4 = (struct flow_key4){ d ? to4.dst_be : t4.src_be,
						      d ? to4.src_be : t4.dst_be,
						      d ? to4.dport_be : t4.sport_be,
						      d ? to4.sport_be : t4.dport_be,
						      t4.proto,
						      0,
						      0 };
			h->rw4 = (struct flow_rewrite4){ n4.src_be,   n4.dst_be,   n4.sport_be,
							 n4.dport_be, n4.ip_delta, n4.l4_delta };
		}
		h->egress = flow_egress(id % 11 == 10 ? 100 : id % N_ADJ, 14, 2);
		h->state = (uint8_t)((id % 17 == 3 ? FLOW_P_KERNEL
				      : id & 4     ? FLOW_P_EXPRESS
						   : FLOW_P_WORKER) |
				     (tcp ? TCPT_S_ESTABLISHED : 1) << FLOW_TRACK_SHIFT);
		h->flags = (uint8_t)((nat ? FLOW_F_REWRITE : 0) | (tcp ? FLOW_F_TCP : 0) |
				     (id % 19 == 5 ? FLOW_F_LIBERAL : 0));
		h->tcp = (struct flow_tcp){ 10000, 10000 + 30000 };
	}
}

/* Both families' flows into the open table. */
static inline void flows_fill(void)
{
	for (uint32_t id = 0; id < 2 * N_FLOWS; id++) {
		struct fp_flow_new f;
		uint64_t ref;
		int rc = -ENOSPC;

		flow_of(id / 2, id & 1, &f);
		for (int tries = 0; tries < 8 && rc == -ENOSPC; tries++) {
			rc = fp_flow_insert(fp_flow_worker(table, 0), id & 1 ? FLOW_6 : FLOW_4, &f,
					    &ref);
			if (rc == -ENOSPC)
				fp_flow_maintain(table, 4096);
		}
		ck_assert_int_eq(rc, 0);
	}
}

/* ----- frames ----- */

struct frame {
	uint8_t buf[HEADROOM + ROOM];
	uint32_t len;
};

static inline uint8_t *l4_of(uint8_t *h, uint8_t proto, uint16_t sport, uint16_t dport,
			     unsigned len)
{
	static const uint8_t flag_sets[] = { 0x10, 0x10, 0x10, 0x18, 0x50, 0x11, 0x02, 0x14, 0x30 };
	static const int32_t offs[] = { 0, 0, 0, 1, -1, 100, 29999, 30001, -20000, -70000 };

	fp_st16_be(h, sport);
	fp_st16_be(h + 2, dport);
	for (unsigned i = 4; i < len; i++)
		h[i] = (uint8_t)rnd(256);
	if (proto == IPPROTO_UDP) {
		fp_st16(h + 4, (uint16_t)(rnd(20) ? len : rnd(len + 20)));
		fp_st16(h + 6, (uint16_t)(rnd(5) ? rnd(65536) : 0));
		return h;
	}
	fp_st32(h + 4, 10000 + (uint32_t)offs[rnd(ARRAY_LEN(offs))]);
	fp_st32(h + 8, 10000 + (uint32_t)offs[rnd(ARRAY_LEN(offs))]);
	h[12] = (uint8_t)(rnd(10) ? 0x50 : rnd(3) ? 0x80 : rnd(256));
	if (h[12] == 0x80 && len >= 32)
		fp_st32(h + 20, rnd(3) ? 0x0101080a : rnd(1u << 31));
	h[13] = flag_sets[rnd(ARRAY_LEN(flag_sets))];
	fp_st16(h + 14, (uint16_t)rnd(9000));
	return h;
}

static inline void frame_make(struct frame *f)
{
	uint32_t id = rnd(n_ids);
	bool six = rnd(2);
	struct fp_tuple4 t4;
	struct fp_tuple6 t6;
	uint8_t *d = f->buf + HEADROOM, *ip = d + FP_ETH_LEN;
	unsigned l4_len = 20 + rnd(rnd(4) ? 40 : 200), total = (six ? 40 : 20) + l4_len, least;

	/* Behind the packet lies what an older frame left there. */
	memset(f->buf, 0xee, sizeof(f->buf));
	memset(d, 0, FP_ETH_LEN + total);
	tuple_of(id, &t4, &t6);
	memcpy(d, our_mac, 6);
	d[5] = (uint8_t)(rnd(50) ? d[5] : rnd(256));
	fp_st16(d + 12, (uint16_t)(rnd(60) ? (six ? FP_ETH_IP6 : FP_ETH_IP4) : rnd(65536)));
	if (six) {
		ip[0] = 0x60;
		fp_st16(ip + 4, (uint16_t)l4_len);
		ip[6] = rnd(40) ? t6.proto : (uint8_t)rnd(256);
		ip[7] = (uint8_t)rnd(255) % (rnd(10) ? 255 : 3);
		memcpy(ip + 8, t6.src, 16);
		memcpy(ip + 24, t6.dst, 16);
		l4_of(ip + 40, t6.proto, t6.sport_be, t6.dport_be, l4_len);
	} else {
		ip[0] = (uint8_t)(rnd(50) ? 0x45 : rnd(256));
		fp_st16(ip + 2, (uint16_t)total);
		fp_st16(ip + 6, (uint16_t)(rnd(20) ? FP_IP4_DF : rnd(65536)));
		ip[8] = (uint8_t)rnd(255) % (rnd(10) ? 255 : 3);
		ip[9] = rnd(40) ? t4.proto : (uint8_t)rnd(256);
		fp_st32_be(ip + 12, t4.src_be);
		fp_st32_be(ip + 16, t4.dst_be);
		fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
		ip[10] = (uint8_t)(ip[10] ^ !rnd(30));
		l4_of(ip + 20, t4.proto, t4.sport_be, t4.dport_be, l4_len);
	}
	least = rnd(5) ? 60 : 0;
	f->len = MAX(FP_ETH_LEN + total, least) + (rnd(10) ? 0 : rnd(30));
	if (!rnd(40))
		f->len = rnd(f->len);
}

/* ----- the general way ----- */

static inline bool plain(const struct frame *f, const struct fp_pkt *p)
{
	return p->verdict == FP_V_FORWARD && !memcmp(f->buf + HEADROOM, our_mac, 6) && !p->n_vlan &&
	       !(p->flags & ~(uint32_t)(FP_F_L4 | FP_F_PORTS | FP_F_DF | FP_F_UDP_NOCSUM)) &&
	       (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && !p->n_ext &&
	       !(p->family == AF_INET6 && p->flags & FP_F_UDP_NOCSUM);
}

struct expect {
	enum fp_act act;
	uint32_t port;
	struct fp_buf out;
};

static inline bool tcp_stays(const uint8_t *h, const struct fp_pkt *p, uint64_t word0,
			     uint32_t egress, const struct flow_tcp *own,
			     const struct flow_tcp *twin)
{
	struct tcp_seg s;
	struct tcp_express o = { own->end, own->edge, egress >> 28, egress >> 23 & 31 };
	struct tcp_express t = { twin->end, twin->edge, egress >> 28, egress >> 23 & 31 };

	if (tcp_seg_parse(&s, h, (size_t)(p->end - p->l4_off), (size_t)(p->end - p->l4_off)) ||
	    (s.flags & 0x37) != 0x10)
		return false;
	if (s.opts && !(h[12] >> 4 == 8 && fp_ld32(h + 20) == 0x0101080a))
		return false;
	return flow_w0_flags(word0) & FLOW_F_LIBERAL ||
	       tcp_express_ok(&o, &t, s.seq, s.end, s.ack, s.win);
}

static inline enum fp_act judge(const uint8_t *d, const struct fp_pkt *p, uint64_t word0,
				uint32_t egress, const struct flow_tcp *own,
				const struct flow_tcp *twin)
{
	uint32_t adj = egress & FLOW_EGRESS_ADJ_MASK;
	unsigned path = flow_w0_path(word0);

	if (path != FLOW_P_EXPRESS && path != FLOW_P_WORKER)
		return FP_A_STATE;
	if (flow_w0_policy(word0) != POLICY && flow_w0_policy(word0) != POLICY - 1)
		return FP_A_STATE;
	if (p->proto == IPPROTO_TCP && !tcp_stays(d + p->l4_off, p, word0, egress, own, twin))
		return FP_A_STATE;
	if (adj >= N_ADJ || !adjs[adj].len || adjs[adj].shaped ||
	    p->end - p->l3_off > adjs[adj].mtu)
		return FP_A_ADJ;
	return FP_A_TX;
}

static inline void apply(struct expect *e, struct fp_pkt *p, uint64_t word0, uint32_t egress,
			 const struct fp_nat4 *n4, const struct fp_nat6 *n6)
{
	if (flow_w0_flags(word0) & FLOW_F_REWRITE) {
		if (n4)
			ck_assert_int_eq(fp_nat4_apply(e->out.data, p, n4), RTR_DROP_NONE);
		else
			ck_assert_int_eq(fp_nat6_apply(e->out.data, p, n6), RTR_DROP_NONE);
	}
	fp_ttl_dec(e->out.data, p);
	ck_assert_int_eq(fp_l2_apply(&e->out, p, &l2s[egress & FLOW_EGRESS_ADJ_MASK]),
			 RTR_DROP_NONE);
	e->port = adjs[egress & FLOW_EGRESS_ADJ_MASK].port;
}

static inline void expect4(struct expect *e, struct fp_pkt *p)
{
	const uint8_t *ip = e->out.data + p->l3_off;
	struct flow_key4 k = { .sport = p->sport_be, .dport = p->dport_be, .proto = p->proto };
	struct flow_hit4 h;
	struct fp_nat4 n;

	memcpy(&k.saddr, ip + 12, 8);
	e->act = FP_A_MISS;
	if (fp_flow_find4(table, &k, &h) != FLOW_HIT)
		return;
	e->act = judge(e->out.data, p, h.word0, h.own->egress, &h.own->tcp, &h.twin->tcp);
	n = (struct fp_nat4){ h.rw.saddr, h.rw.daddr,    h.rw.sport,
			      h.rw.dport, h.rw.l3_delta, h.rw.l4_delta };
	if (e->act == FP_A_TX)
		apply(e, p, h.word0, h.own->egress, &n, NULL);
}

static inline void expect6(struct expect *e, struct fp_pkt *p)
{
	const uint8_t *ip = e->out.data + p->l3_off;
	struct flow_key6 k = { .sport = p->sport_be, .dport = p->dport_be, .proto = p->proto };
	struct flow_hit6 h;
	struct fp_nat6 n = { .sport_be = 0 };

	memcpy(k.saddr, ip + 8, 32);
	e->act = FP_A_MISS;
	if (fp_flow_find6(table, &k, &h) != FLOW_HIT)
		return;
	e->act = judge(e->out.data, p, h.word0, h.own->egress, &h.own->tcp, &h.twin->tcp);
	if (e->act != FP_A_TX)
		return;
	if (flow_w0_flags(h.word0) & FLOW_F_REWRITE) {
		memcpy(n.src, h.rw.saddr, 32);
		n.sport_be = h.rw.sport;
		n.dport_be = h.rw.dport;
		n.l4_delta = h.rw.l4_delta;
	}
	apply(e, p, h.word0, h.own->egress, NULL, &n);
}

static inline void expect_flow(struct frame *f, struct expect *e)
{
	struct fp_pkt p;

	*e = (struct expect){ .act = FP_A_SLOW,
			      .out = { f->buf + HEADROOM, f->len, HEADROOM, ROOM - f->len } };
	fp_classify(e->out.data, f->len, &p);
	if (!plain(f, &p))
		return;
	if (p.family == AF_INET)
		expect4(e, &p);
	else
		expect6(e, &p);
}

#endif
