/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: one flow in the express lane's table, frames of its two directions, and what they are to
 * become. For test_express*.c.
 * Owns: nothing. Threads: one. Failure: ends the test.
 */
#ifndef RTR_TEST_EXPRESS_CONN_H
#define RTR_TEST_EXPRESS_CONN_H

#include "tests/lib/express_box.h"

struct conn {
	enum flow_family fam;
	uint8_t proto;
	struct fp_flow_new flow;
	uint64_t ref;
	uint8_t data[ROOM];
	uint32_t len;
};

static inline uint64_t *line_of(const struct conn *c, unsigned dir)
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
static inline void rewrite_back(struct conn *c)
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
static inline struct conn conn_make(int which)
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
static inline void conn_frame(struct conn *c, unsigned dir, unsigned payload)
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
static inline void conn_sum(struct conn *c)
{
	struct fp_pkt p;
	uint8_t *l4 = conn_l4(c);

	fp_st16(l4 + (c->proto == IPPROTO_TCP ? FP_TCP_CSUM : FP_UDP_CSUM), 0);
	fp_classify(c->data, c->len, &p);
	if (!fp_csum_l4_fill(c->data, &p))
		ck_abort_msg("no checksum");
}

static inline struct outcome conn_run(struct conn *c)
{
	return run_frame(c->data, c->len);
}

/* Every field of a translated frame, from the tuple of the other direction. */
static inline void conn_check(const struct conn *c, unsigned dir, const uint8_t *out, uint32_t len)
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

static inline void sent_right(struct conn *c, unsigned dir, enum express_verdict v)
{
	struct outcome o = conn_run(c);

	ck_assert_msg(o.verdict == (int)v, "verdict %d, drop %d, not verdict %d", o.verdict, o.drop,
		      v);
	conn_check(c, dir, o.out, o.len);
}

static inline void not_sent(struct conn *c, int verdict, int reason)
{
	struct outcome o = conn_run(c);

	ck_assert_msg(o.verdict == verdict && o.drop == reason,
		      "verdict %d, drop %d, not %d and %d", o.verdict, o.drop, verdict, reason);
	untouched(&o, c->data, c->len);
}

/* One test for all kinds: a namespace and a program's load take longer than the test. */
static inline void each(void (*one)(int which), int first, int last)
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

#endif
