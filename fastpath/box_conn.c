/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections of the fast plane as rtrd gets them, and their end when it asks for it. */
#include "box.h"
#include "nat_mapping.h"
#include "nat_way.h"

#include <arpa/inet.h>

/* A ref has the generation in bits 32 to 47, the name below. */
#define REF_V6 (1ull << 63)

static void addresses(struct fastpath_conn *c, const struct fp_flow_view *v)
{
	const union fp_flow_key *a = &v->dir[0].key, *b = &v->dir[1].key;

	if (v->fam == FLOW_4) {
		memcpy(c->src, &a->v4.saddr, 4);
		memcpy(c->dst, &a->v4.daddr, 4);
		memcpy(c->reply_src, &b->v4.saddr, 4);
		memcpy(c->reply_dst, &b->v4.daddr, 4);
		c->sport_be = a->v4.sport;
		c->dport_be = a->v4.dport;
		c->reply_sport_be = b->v4.sport;
		c->reply_dport_be = b->v4.dport;
		c->proto = a->v4.proto;
		return;
	}
	memcpy(c->src, a->v6.saddr, 16);
	memcpy(c->dst, a->v6.daddr, 16);
	memcpy(c->reply_src, b->v6.saddr, 16);
	memcpy(c->reply_dst, b->v6.daddr, 16);
	c->sport_be = a->v6.sport;
	c->dport_be = a->v6.dport;
	c->reply_sport_be = b->v6.sport;
	c->reply_dport_be = b->v6.dport;
	c->proto = a->v6.proto;
}

static int32_t in_of(const struct fp_box *b, const struct fp_flow_view *v, unsigned dir)
{
	uint16_t slot = fp_flow_view_zone(v, dir);

	return slot < FP_PORTS_MAX ? (int32_t)b->port[slot].ifindex : 0;
}

void fp_box_tell_conn(struct fp_box *b, const struct fp_flow_view *v, struct fastpath_conn *c)
{
	int32_t left = (int32_t)(fp_flow_view_end(v) - fp_flow_now());
	uint64_t w0 = v->dir[0].word0, w1 = v->dir[1].word0;
	bool tcp = flow_w0_flags(w0) & FLOW_F_TCP;
	uint32_t label[4];

	*c = (struct fastpath_conn){ .ref = v->ref | (v->fam == FLOW_6 ? REF_V6 : 0),
				     .family = v->fam == FLOW_4 ? 4 : 6,
				     .path = flow_w0_path(w0),
				     .tcp_state = tcp ? flow_w0_state(w0) >> FLOW_TRACK_SHIFT : 0,
				     .replied = flow_w0_state(w1) >> FLOW_TRACK_SHIFT != 0,
				     .mirrored = !!(flow_w0_flags(w0) & FLOW_F_MIRRORED),
				     .in = in_of(b, v, 0),
				     .out = in_of(b, v, 1) };
	addresses(c, v);
	fp_box_label(b, v, label);
	memcpy(c->label, label, sizeof(c->label));
	if (left > 0)
		c->left_sec = (uint32_t)(((uint64_t)left << FLOW_TIME_SHIFT) / NSEC_PER_SEC);
	for (int d = 0; d < 2; d++) {
		c->packets[d] = v->dir[d].packets;
		c->bytes[d] = v->dir[d].bytes;
	}
}

/* Connections that the fast plane looks after. */
static bool ours(const struct fp_flow_view *v)
{
	uint8_t path = flow_w0_path(v->dir[0].word0);

	return v->flags & FLOW_COLD_TRACKED && !(v->flags & FLOW_COLD_GIVEN) &&
	       (path == FLOW_P_WORKER || path == FLOW_P_EXPRESS);
}

bool fp_box_tell_conns(struct fp_box *b, uint64_t *at, uint32_t max, struct fastpath_event *ret)
{
	uint64_t n4 = fp_flow_n_pairs(b->flows, FLOW_4), n = n4 + fp_flow_n_pairs(b->flows, FLOW_6);
	uint32_t *got = &ret->u.conns.n;
	struct fp_flow_view v;

	*ret = (struct fastpath_event){ .kind = FASTPATH_CONN };
	for (; *at < n && *got < MIN(max, (uint32_t)FASTPATH_CONNS_MAX); ++*at) {
		enum flow_family fam = *at < n4 ? FLOW_4 : FLOW_6;
		uint32_t pair = (uint32_t)(*at < n4 ? *at : *at - n4);

		if (fp_flow_cold(b->flows, fam, 2 * pair)->flags & FLOW_COLD_TRACKED &&
		    fp_flow_view(b->flows, fam, pair, &v) && ours(&v))
			fp_box_tell_conn(b, &v, &ret->u.conns.conn[(*got)++]);
	}
	return *got;
}

/* --- blocks of ports --- */

/* False: it is of a pool that is cut otherwise now, and about to end. */
static bool fill_block(const struct fp_box *b, const struct fp_flow_view *v,
		       struct fastpath_block *to)
{
	bool v4 = v->fam == FLOW_4;
	const struct flow_key4 *a4 = &v->dir[0].key.v4, *b4 = &v->dir[1].key.v4;
	const struct flow_key6 *a6 = &v->dir[0].key.v6, *b6 = &v->dir[1].key.v6;
	const struct fp_pol *pol = b->pol.now;
	uint16_t size;
	uint32_t pool;

	memcpy(&pool, v4 ? (const void *)&a4->daddr : a6->daddr, sizeof(pool));
	size = pol ? fp_nat_block_size(fp_pol_nat(pol), pool) : 0;
	*to = (struct fastpath_block){ .family = v4 ? 4 : 6,
				       .lo = ntohs(v4 ? b4->dport : b6->dport) };
	to->hi = (uint16_t)(to->lo + size - 1);
	memcpy(to->host, v4 ? (const void *)&a4->saddr : a6->saddr, v4 ? 4 : 16);
	memcpy(to->addr, v4 ? (const void *)&b4->daddr : b6->daddr, v4 ? 4 : 16);
	return size;
}

static bool is_block(const struct fp_flow_view *v)
{
	return (v->fam == FLOW_4 ? v->dir[0].key.v4.proto : v->dir[0].key.v6.proto) == 0 &&
	       fp_flow_view_zone(v, 0) == FP_ZONE_MAPPING;
}

bool fp_box_tell_blocks(const struct fp_box *b, uint64_t *at, struct fastpath_event *ret)
{
	uint64_t n4 = fp_flow_n_pairs(b->flows, FLOW_4), n = n4 + fp_flow_n_pairs(b->flows, FLOW_6);
	uint32_t *got = &ret->u.blocks.n;
	struct fp_flow_view v;

	*ret = (struct fastpath_event){ .kind = FASTPATH_BLOCK };
	for (; *at < n && *got < FASTPATH_BLOCKS_MAX; ++*at) {
		enum flow_family fam = *at < n4 ? FLOW_4 : FLOW_6;
		uint32_t pair = (uint32_t)(*at < n4 ? *at : *at - n4);

		if (fp_flow_cold(b->flows, fam, 2 * pair)->flags & FLOW_COLD_BLOCK &&
		    fp_flow_view(b->flows, fam, pair, &v) && is_block(&v))
			*got += fill_block(b, &v, &ret->u.blocks.block[*got]);
	}
	return *got;
}

unsigned fp_box_end_conns(struct fp_box *b, const uint64_t *ref, unsigned n)
{
	unsigned ended = 0;

	for (unsigned i = 0; i < MIN(n, (unsigned)FASTPATH_REFS); i++) {
		enum flow_family fam = ref[i] & REF_V6 ? FLOW_6 : FLOW_4;

		if (((uint32_t)ref[i] & FLOW_NAME_MASK) >> 1 < fp_flow_n_pairs(b->flows, fam))
			ended += !fp_flow_end(b->flows, fam,
					      ref[i] & (0xffffull << 32 | FLOW_NAME_MASK));
	}
	return ended;
}
