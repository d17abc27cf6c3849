/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline.h"

#include "csum.h"
#include "tcp_track.h"
#include "wire.h"

#include <endian.h>

/*
 * Frames lie 2 KiB apart with equal headroom: a burst of them maps to 2 sets of a 64-set L1, 16
 * lines of it at most, and the others wait in L2. They are fetched once more, this many packets
 * ahead: 2 to 6 are alike, none costs a quarter of the rate.
 */
#define AHEAD 4

#define ETH_MIN 60
#define TS_ONLY 0x0101080au /* NOP NOP timestamp */
#define L3      FP_ETH_LEN
#define L4_4    (FP_ETH_LEN + FP_IP4_LEN)
#define L4_6    (FP_ETH_LEN + FP_IP6_LEN)

/* One hop less, as a checksum delta: the word of TTL and protocol falls by 0x0100. */
#define TTL_DELTA ((uint16_t)~htons(0x0100))

static inline uint64_t ld64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t all_of(unsigned n)
{
	return n < 64 ? (1ull << n) - 1 : ~0ull;
}

void fp_pipe_fetch(const struct fp_burst *b)
{
	for (unsigned i = 0; i < b->n; i++)
		__builtin_prefetch(b->data[i], 1);
}

/* ----- parse ----- */

/* A sound TCP or UDP header of len bytes at h. */
static inline bool plain_l4(const uint8_t *h, unsigned len, uint8_t proto, bool need_csum)
{
	unsigned said;

	if (proto == IPPROTO_TCP) {
		if (len < 20)
			return false;
		said = (h[12] >> 4) * 4u;
		return said >= 20 && said <= len;
	}
	if (proto != IPPROTO_UDP || len < 8)
		return false;
	said = fp_ld16(h + 4);
	return said >= 8 && said <= len && (!need_csum || fp_ld16_be(h + FP_UDP_CSUM));
}

/* The five words of an IPv4 header add up to minus zero. */
static inline bool ip4_sum_ok(const uint8_t *ip)
{
	uint64_t s = ld64(ip), t = ld64(ip + 8);

	s = (s & 0xffffffff) + (s >> 32) + (t & 0xffffffff) + (t >> 32) + fp_ld32_be(ip + 16);
	return fp_csum_fold(s) == 0xffff;
}

static inline bool plain4(const uint8_t *d, uint32_t len, uint16_t *ret_l3_len)
{
	const uint8_t *ip = d + L3;
	unsigned total = fp_ld16(ip + 2);

	*ret_l3_len = (uint16_t)total;
	return ip[0] == 0x45 && total + L3 <= len && total >= FP_IP4_LEN + 8 &&
	       !(fp_ld16_be(ip + 6) & htons(FP_IP4_MF | FP_IP4_OFF_MASK)) && ip[8] > 1 &&
	       plain_l4(ip + FP_IP4_LEN, total - FP_IP4_LEN, ip[9], false) && ip4_sum_ok(ip);
}

static inline bool plain6(const uint8_t *d, uint32_t len, uint16_t *ret_l3_len)
{
	const uint8_t *ip = d + L3;
	unsigned total = fp_ld16(ip + 4) + FP_IP6_LEN;

	*ret_l3_len = (uint16_t)total;
	return ip[0] >> 4 == 6 && total + L3 <= len && total >= FP_IP6_LEN + 8 && total <= 65535 &&
	       ip[7] > 1 && plain_l4(ip + FP_IP6_LEN, total - FP_IP6_LEN, ip[6], true);
}

static inline void key4_of(struct flow_key4 *k, const uint8_t *d, uint16_t zone)
{
	uint64_t addrs = ld64(d + L3 + 12);
	uint32_t ports = fp_ld32_be(d + L4_4);

	memcpy(k, &addrs, 8);
	memcpy((uint8_t *)k + 8, &ports, 4);
	k->proto = d[L3 + 9];
	k->zero = 0;
	k->zone = zone;
}

static inline void key6_of(struct flow_key6 *k, const uint8_t *d, uint16_t zone)
{
	uint32_t ports = fp_ld32_be(d + L4_6);

	memcpy(k, d + L3 + 8, 32);
	memcpy((uint8_t *)k + 32, &ports, 4);
	k->proto = d[L3 + 6];
	k->zero = 0;
	k->zone = zone;
}

void fp_pipe_parse(struct fp_burst *b)
{
	uint64_t mac = 0;
	unsigned n4 = 0, n6 = 0;

	memcpy(&mac, b->mac, 6);
	for (unsigned i = 0; i < b->n; i++) {
		const uint8_t *d = b->data[i];
		uint16_t type;

		if (i + AHEAD < b->n)
			__builtin_prefetch(b->data[i + AHEAD], 1);
		b->act[i] = FP_A_SLOW;
		/* The shortest plain frame has 42 bytes; a TCP header is looked into behind them.
		 */
		if (unlikely(b->len[i] < L4_4 + 20 || b->len[i] > 65535 ||
			     (ld64(d) & htobe64(0xffffffffffff0000)) != mac))
			continue;
		type = fp_ld16_be(d + 12);
		if (likely(type == htons(FP_ETH_IP4))) {
			if (unlikely(!plain4(d, b->len[i], &b->l3_len[i])))
				continue;
			key4_of(&b->key4[n4], d, b->zone);
			b->idx4[n4++] = (uint8_t)i;
		} else if (type == htons(FP_ETH_IP6) && b->len[i] >= L4_6 + 8) {
			if (unlikely(!plain6(d, b->len[i], &b->l3_len[i])))
				continue;
			key6_of(&b->key6[n6], d, b->zone);
			b->idx6[n6++] = (uint8_t)i;
		}
	}
	b->n4 = n4;
	b->n6 = n6;
	b->live4 = all_of(n4);
	b->live6 = all_of(n6);
}

/* ----- lookup ----- */

/* The packets of out leave the fast way. */
static inline void leave(struct fp_burst *b, const uint8_t *idx, uint64_t out, enum fp_act act)
{
	for (; out; out &= out - 1)
		b->act[idx[__builtin_ctzll(out)]] = (uint8_t)act;
}

void fp_pipe_lookup(const struct fp_pipe *p, struct fp_burst *b)
{
	uint64_t stale, hit;

	if (b->n4) {
		hit = fp_flow_find4_burst(p->flows, b->key4, b->n4, b->hit4, &stale);
		leave(b, b->idx4, b->live4 & ~hit, FP_A_MISS);
		b->live4 &= hit;
	}
	if (b->n6) {
		hit = fp_flow_find6_burst(p->flows, b->key6, b->n6, b->hit6, &stale);
		leave(b, b->idx6, b->live6 & ~hit, FP_A_MISS);
		b->live6 &= hit;
	}
}

/* ----- judge ----- */

static inline struct tcp_express express_of(const struct flow_tcp *t, uint32_t egress)
{
	return (struct tcp_express){
		.end = __atomic_load_n(&t->end, __ATOMIC_RELAXED),
		.edge = __atomic_load_n(&t->edge, __ATOMIC_RELAXED),
		.scale = egress >> FLOW_EGRESS_SCALE_SHIFT & 15,
		.win_log2 = egress >> FLOW_EGRESS_WLOG_SHIFT & 31,
	};
}

/* Renews the copy of the twin's window; false: it was as the twin is. */
static inline bool ask_twin(struct flow_side *side, const struct flow_tcp *twin)
{
	flow_word *copy = (flow_word *)(void *)&side->peer;
	uint64_t now = __atomic_load_n((const flow_word *)(const void *)twin, __ATOMIC_RELAXED);

	if (__atomic_load_n(copy, __ATOMIC_RELAXED) == now)
		return false;
	__atomic_store_n(copy, now, __ATOMIC_RELAXED);
	return true;
}

/* A plain ACK or data segment that cannot surprise the tracker. */
static inline bool tcp_passes(const uint8_t *h, unsigned len, uint64_t word0,
			      const struct flow_tcp *own, uint32_t egress, struct flow_side *side,
			      const struct flow_tcp *twin)
{
	unsigned hlen = (h[12] >> 4) * 4u;
	struct tcp_express o, t;
	uint32_t seq = fp_ld32(h + 4), end = seq + len - hlen;

	if ((h[13] & 0x37) != FP_TCP_ACK ||
	    flow_w0_state(word0) >> FLOW_TRACK_SHIFT != TCPT_S_ESTABLISHED)
		return false;
	if (hlen != 20 && (hlen != 32 || fp_ld32(h + 20) != TS_ONLY))
		return false;
	if (flow_w0_flags(word0) & FLOW_F_LIBERAL)
		return true;
	o = express_of(own, egress);
	do {
		t = express_of(&side->peer, 0);
		t.win_log2 = (uint8_t)(__atomic_load_n(&side->name, __ATOMIC_RELAXED) >>
				       FLOW_SIDE_WLOG_SHIFT);
		if (tcp_express_ok(&o, &t, seq, end, fp_ld32(h + 8), fp_ld16(h + 14)))
			return true;
	} while (ask_twin(side, twin));
	return false;
}

/* Path, policy and, without TCP, whether the answer has been seen before. */
static inline bool word0_passes(const struct fp_pipe *p, uint64_t word0)
{
	unsigned path = flow_w0_path(word0);

	if (path != FLOW_P_EXPRESS && path != FLOW_P_WORKER)
		return false;
	if ((uint16_t)(p->policy - flow_w0_policy(word0)) > 1)
		return false;
	return flow_w0_flags(word0) & FLOW_F_TCP || flow_w0_state(word0) >> FLOW_TRACK_SHIFT;
}

#define DEFINE_JUDGE(v, L4_OFF, IP_LEN)                                                            \
	static inline bool judge##v(const struct fp_pipe *p, struct fp_burst *b, unsigned k)       \
	{                                                                                          \
		const struct flow_hit##v *h = &b->hit##v[k];                                       \
		unsigned i = b->idx##v[k];                                                         \
		uint32_t egress = __atomic_load_n(&h->own->egress, __ATOMIC_RELAXED);              \
                                                                                                   \
		if (!word0_passes(p, h->word0))                                                    \
			return false;                                                              \
		if (flow_w0_flags(h->word0) & FLOW_F_TCP &&                                        \
		    !tcp_passes(b->data[i] + (L4_OFF), b->l3_len[i] - (IP_LEN), h->word0,          \
				&h->own->tcp, egress, h->side, &h->twin->tcp))                     \
			return false;                                                              \
		b->adj[i] = egress & FLOW_EGRESS_ADJ_MASK;                                         \
		__builtin_prefetch(&p->adj[b->adj[i]]);                                            \
		return true;                                                                       \
	}                                                                                          \
                                                                                                   \
	static void judge_all##v(const struct fp_pipe *p, struct fp_burst *b)                      \
	{                                                                                          \
		uint64_t out = 0;                                                                  \
                                                                                                   \
		for (uint64_t m = b->live##v; m; m &= m - 1)                                       \
			if (unlikely(!judge##v(p, b, (unsigned)__builtin_ctzll(m))))               \
				out |= m & -m;                                                     \
		leave(b, b->idx##v, out, FP_A_STATE);                                              \
		b->live##v &= ~out;                                                                \
	}

DEFINE_JUDGE(4, L4_4, FP_IP4_LEN)
DEFINE_JUDGE(6, L4_6, FP_IP6_LEN)

/* Adjacency ready, not shaped, big enough. Before the rewrite: who leaves here is untouched. */
static inline bool adj_passes(const struct fp_pipe *p, const struct fp_burst *b, unsigned i)
{
	const struct fp_adj *a = &p->adj[b->adj[i]];

	return b->adj[i] < p->n_adj && a->len && !a->shaped && b->l3_len[i] <= a->mtu;
}

static inline uint64_t adj_judge(const struct fp_pipe *p, struct fp_burst *b, const uint8_t *idx,
				 uint64_t live)
{
	uint64_t out = 0;

	for (uint64_t m = live; m; m &= m - 1)
		if (unlikely(!adj_passes(p, b, idx[__builtin_ctzll(m)])))
			out |= m & -m;
	leave(b, idx, out, FP_A_ADJ);
	return live & ~out;
}

void fp_pipe_judge(const struct fp_pipe *p, struct fp_burst *b)
{
	judge_all4(p, b);
	judge_all6(p, b);
	b->live4 = adj_judge(p, b, b->idx4, b->live4);
	b->live6 = adj_judge(p, b, b->idx6, b->live6);
}

/* ----- rewrite ----- */

static inline void rewrite_l4(uint8_t *h, uint8_t proto, uint32_t ports, uint16_t delta)
{
	uint8_t *c = h + (proto == IPPROTO_TCP ? FP_TCP_CSUM : FP_UDP_CSUM);
	uint16_t old = fp_ld16_be(c);

	memcpy(h, &ports, 4);
	fp_st16_be(c, proto == IPPROTO_TCP ? fp_csum_adjust(old, delta)
					   : fp_csum_adjust_udp(old, delta));
}

static inline uint16_t ip4_csum_step(uint16_t old, uint16_t delta)
{
	return (uint16_t)~fp_csum_fold((uint32_t)(uint16_t)~old + delta + TTL_DELTA);
}

static inline void rewrite4(uint8_t *d, const struct flow_hit4 *h, uint8_t proto)
{
	uint8_t *ip = d + L3;
	uint16_t delta = 0;
	uint32_t ports;

	ip[8]--;
	if (likely(flow_w0_flags(h->word0) & FLOW_F_REWRITE)) {
		memcpy(ip + 12, &h->rw.saddr, 8);
		memcpy(&ports, &h->rw.sport, 4);
		rewrite_l4(ip + FP_IP4_LEN, proto, ports, h->rw.l4_delta);
		delta = h->rw.l3_delta;
	}
	fp_st16_be(ip + 10, ip4_csum_step(fp_ld16_be(ip + 10), delta));
}

static inline void rewrite6(uint8_t *d, const struct flow_hit6 *h, uint8_t proto)
{
	uint8_t *ip = d + L3;
	uint32_t ports;

	ip[7]--;
	if (!(flow_w0_flags(h->word0) & FLOW_F_REWRITE))
		return;
	memcpy(ip + 8, h->rw.saddr, 32);
	memcpy(&ports, &h->rw.sport, 4);
	rewrite_l4(ip + FP_IP6_LEN, proto, ports, h->rw.l4_delta);
}

void fp_pipe_rewrite(struct fp_burst *b)
{
	for (uint64_t m = b->live4; m; m &= m - 1) {
		unsigned k = (unsigned)__builtin_ctzll(m);

		rewrite4(b->data[b->idx4[k]], &b->hit4[k], b->key4[k].proto);
	}
	for (uint64_t m = b->live6; m; m &= m - 1) {
		unsigned k = (unsigned)__builtin_ctzll(m);

		rewrite6(b->data[b->idx6[k]], &b->hit6[k], b->key6[k].proto);
	}
}

/* ----- link ----- */

/* No byte of an older frame leaves: what follows the packet is cut, what is missing is zero. */
static inline void link_one(const struct fp_pipe *p, struct fp_burst *b, unsigned i, uint16_t type)
{
	const struct fp_adj *a = &p->adj[b->adj[i]];
	uint8_t *d = b->data[i] + L3 - a->len;
	uint32_t end = a->len + b->l3_len[i];

	if (likely(a->len == FP_ETH_LEN))
		memcpy(d, a->hdr, FP_ETH_LEN - 2);
	else
		memcpy(d, a->hdr, a->len - 2u);
	fp_st16_be(d + a->len - 2, type);
	if (unlikely(end < ETH_MIN)) {
		memset(d + end, 0, ETH_MIN - end);
		end = ETH_MIN;
	}
	b->data[i] = d;
	b->len[i] = end;
	b->port[i] = a->port;
	b->act[i] = FP_A_TX;
}

void fp_pipe_link(const struct fp_pipe *p, struct fp_burst *b)
{
	for (uint64_t m = b->live4; m; m &= m - 1)
		link_one(p, b, b->idx4[__builtin_ctzll(m)], htons(FP_ETH_IP4));
	for (uint64_t m = b->live6; m; m &= m - 1)
		link_one(p, b, b->idx6[__builtin_ctzll(m)], htons(FP_ETH_IP6));
}

/* ----- account ----- */

static inline void advance(struct flow_tcp *t, uint32_t egress, const uint8_t *h, unsigned len)
{
	struct tcp_express was = express_of(t, egress), e = was;
	uint32_t seq = fp_ld32(h + 4);

	tcp_express_advance(&e, seq + len - (h[12] >> 4) * 4u, fp_ld32(h + 8), fp_ld16(h + 14));
	/* Written only when changed: other CPUs keep their copies of the line. */
	if (e.end != was.end)
		__atomic_store_n(&t->end, e.end, __ATOMIC_RELAXED);
	if (e.edge != was.edge)
		__atomic_store_n(&t->edge, e.edge, __ATOMIC_RELAXED);
}

#define DEFINE_ACCOUNT(v, L4_OFF_BACK)                                                             \
	static inline void account##v(const struct fp_pipe *p, struct fp_burst *b, unsigned k)     \
	{                                                                                          \
		struct flow_line##v *own = b->hit##v[k].own;                                       \
		unsigned i = b->idx##v[k];                                                         \
                                                                                                   \
		__atomic_fetch_add(&own->count, FLOW_COUNT_ONE(b->l3_len[i]), __ATOMIC_RELAXED);   \
		if (__atomic_load_n(&own->time, __ATOMIC_RELAXED) != p->now)                       \
			__atomic_store_n(&own->time, p->now, __ATOMIC_RELAXED);                    \
		if (flow_w0_flags(b->hit##v[k].word0) & FLOW_F_TCP)                                \
			advance(&own->tcp, __atomic_load_n(&own->egress, __ATOMIC_RELAXED),        \
				b->data[i] + p->adj[b->adj[i]].len + (L4_OFF_BACK),                \
				b->l3_len[i] - (L4_OFF_BACK));                                     \
	}

DEFINE_ACCOUNT(4, FP_IP4_LEN)
DEFINE_ACCOUNT(6, FP_IP6_LEN)

void fp_pipe_account(const struct fp_pipe *p, struct fp_burst *b)
{
	for (uint64_t m = b->live4; m; m &= m - 1)
		account4(p, b, (unsigned)__builtin_ctzll(m));
	for (uint64_t m = b->live6; m; m &= m - 1)
		account6(p, b, (unsigned)__builtin_ctzll(m));
}

/* ----- routing without flows ----- */

/* Addresses that need a second look: 0/8, 127/8, 169.254/16, multicast and above. */
static inline bool odd4(uint32_t a)
{
	uint8_t top = (uint8_t)(a >> 24);

	return top == 0 || top == 127 || top == 169 || top >= 224;
}

/* Global and unique local unicast only. */
static inline bool odd6(const uint8_t a[16])
{
	return (a[0] & 0xe0) != 0x20 && (a[0] & 0xfe) != 0xfc;
}

static void route4(const struct fp_pipe *p, struct fp_burst *b)
{
	uint32_t dst[FP_PIPE_BURST], nh[FP_PIPE_BURST];
	uint64_t out = 0;

	for (unsigned k = 0; k < b->n4; k++) {
		uint32_t src = ntohl(b->key4[k].saddr);

		dst[k] = ntohl(b->key4[k].daddr);
		if (unlikely(odd4(src) || odd4(dst[k]) || src == dst[k]))
			out |= 1ull << k;
	}
	b->live4 &= ~out; /* act says SLOW already */
	lpm4_lookup_batch(p->lpm4, dst, nh, b->n4);
	for (unsigned k = 0; k < b->n4; k++) {
		b->adj[b->idx4[k]] = nh[k];
		__builtin_prefetch(&p->adj[nh[k]]);
	}
	b->live4 = adj_judge(p, b, b->idx4, b->live4);
	for (uint64_t m = b->live4; m; m &= m - 1) {
		uint8_t *ip = b->data[b->idx4[__builtin_ctzll(m)]] + L3;

		ip[8]--;
		fp_st16_be(ip + 10, ip4_csum_step(fp_ld16_be(ip + 10), 0));
	}
}

static void route6(const struct fp_pipe *p, struct fp_burst *b)
{
	uint8_t dst[FP_PIPE_BURST][16];
	uint32_t nh[FP_PIPE_BURST];
	uint64_t out = 0;

	for (unsigned k = 0; k < b->n6; k++) {
		const struct flow_key6 *key = &b->key6[k];

		memcpy(dst[k], key->daddr, 16);
		if (unlikely(odd6(key->saddr) || odd6(key->daddr) ||
			     !memcmp(key->saddr, key->daddr, 16)))
			out |= 1ull << k;
	}
	b->live6 &= ~out;
	lpm6_lookup_batch(p->lpm6, (const uint8_t(*)[16])dst, nh, b->n6);
	for (unsigned k = 0; k < b->n6; k++) {
		b->adj[b->idx6[k]] = nh[k];
		__builtin_prefetch(&p->adj[nh[k]]);
	}
	b->live6 = adj_judge(p, b, b->idx6, b->live6);
	for (uint64_t m = b->live6; m; m &= m - 1)
		b->data[b->idx6[__builtin_ctzll(m)]][L3 + 7]--;
}

void fp_pipe_route(const struct fp_pipe *p, struct fp_burst *b)
{
	if (b->n4)
		route4(p, b);
	if (b->n6)
		route6(p, b);
}

void fp_pipe_flows(const struct fp_pipe *p, struct fp_burst *b, const struct fp_burst *next)
{
	fp_pipe_parse(b);
	if (next)
		fp_pipe_fetch(next);
	fp_pipe_lookup(p, b);
	fp_pipe_judge(p, b);
	fp_pipe_rewrite(b);
	fp_pipe_link(p, b);
	fp_pipe_account(p, b);
}

void fp_pipe_routes(const struct fp_pipe *p, struct fp_burst *b, const struct fp_burst *next)
{
	fp_pipe_parse(b);
	if (next)
		fp_pipe_fetch(next);
	fp_pipe_route(p, b);
	fp_pipe_link(p, b);
}
