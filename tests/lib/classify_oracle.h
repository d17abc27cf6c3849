/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the classifier's contract as one loop over the rules, for its tests and its fuzz target,
 * and a small maker of keys at and next to the bounds of rules, where mistakes are.
 */
#ifndef CLASSIFY_ORACLE_H
#define CLASSIFY_ORACLE_H

#include "classify.h"

#include <sys/socket.h>

static inline bool oracle_in(struct fp_cls_addr a, struct fp_cls_addr lo, struct fp_cls_addr hi)
{
	unsigned __int128 x = (unsigned __int128)a.hi << 64 | a.lo;

	return x >= ((unsigned __int128)lo.hi << 64 | lo.lo) &&
	       x <= ((unsigned __int128)hi.hi << 64 | hi.lo);
}

static inline bool oracle_match(const struct fp_cls_rule *r, uint8_t family,
				const struct fp_cls_key6 *k)
{
	uint16_t sport = (uint16_t)(k->ports >> 16), dport = (uint16_t)k->ports;
	uint8_t proto = (uint8_t)k->misc, flags = (uint8_t)(k->misc >> 8);
	uint8_t dscp = (uint8_t)(k->misc >> 16), frag = (uint8_t)(k->misc >> 24);
	bool any_port = !r->sport_lo && !r->dport_lo && r->sport_hi == 0xffff &&
			r->dport_hi == 0xffff;

	if (r->family != AF_UNSPEC &&
	    (r->family != family || !oracle_in(k->src, r->src_lo, r->src_hi) ||
	     !oracle_in(k->dst, r->dst_lo, r->dst_hi)))
		return false;
	if (frag == FP_CLS_LATER_FRAG && (!any_port || r->tcp_mask))
		return false;
	return sport >= r->sport_lo && sport <= r->sport_hi && dport >= r->dport_lo &&
	       dport <= r->dport_hi && (r->proto == FP_CLS_PROTO_ANY || r->proto == proto) &&
	       (!r->zone_in || r->zone_in == k->zones >> 16) &&
	       (!r->zone_out || r->zone_out == (uint16_t)k->zones) &&
	       (flags & r->tcp_mask) == (r->tcp_flags & r->tcp_mask) &&
	       (dscp & r->dscp_mask) == (r->dscp & r->dscp_mask) && r->frags >> frag & 1;
}

/* IPv4 keys as IPv6 ones with the address in the lowest bits. */
static inline uint32_t oracle_lookup(const struct fp_cls_rule *rules, size_t n, uint8_t family,
				     const struct fp_cls_key6 *k)
{
	for (size_t i = 0; i < n; i++) {
		if (oracle_match(&rules[i], family, k))
			return rules[i].id;
	}
	return FP_CLS_NONE;
}

static inline struct fp_cls_key4 oracle_key4(const struct fp_cls_key6 *k)
{
	return (struct fp_cls_key4){ .src = (uint32_t)k->src.lo,
				     .dst = (uint32_t)k->dst.lo,
				     .ports = k->ports,
				     .zones = k->zones,
				     .misc = k->misc };
}

/* One of: an end of the range, its neighbour, something between. Draws from next(state). */
static inline struct fp_cls_addr oracle_pick(struct fp_cls_addr lo, struct fp_cls_addr hi,
					     uint64_t (*next)(uint64_t *), uint64_t *state)
{
	unsigned __int128 l = (unsigned __int128)lo.hi << 64 | lo.lo, x;
	unsigned __int128 h = (unsigned __int128)hi.hi << 64 | hi.lo;
	unsigned __int128 r = (unsigned __int128)next(state) << 64;

	r |= next(state);
	switch (next(state) % 6) {
	case 0:
		x = l;
		break;
	case 1:
		x = h;
		break;
	case 2:
		x = l - 1;
		break;
	case 3:
		x = h + 1;
		break;
	default:
		x = h - l + 1 ? l + r % (h - l + 1) : r;
	}
	return (struct fp_cls_addr){ (uint64_t)(x >> 64), (uint64_t)x };
}

static inline uint16_t oracle_pick16(uint16_t lo, uint16_t hi, uint64_t (*next)(uint64_t *),
				     uint64_t *state)
{
	struct fp_cls_addr a = oracle_pick((struct fp_cls_addr){ 0, lo },
					   (struct fp_cls_addr){ 0, hi }, next, state);

	return (uint16_t)a.lo;
}

/* A key in or near a rule. */
static inline struct fp_cls_key6 oracle_key(const struct fp_cls_rule *r, uint8_t family,
					    uint64_t (*next)(uint64_t *), uint64_t *state)
{
	struct fp_cls_key6 k = { .src = oracle_pick(r->src_lo, r->src_hi, next, state),
				 .dst = oracle_pick(r->dst_lo, r->dst_hi, next, state) };
	uint64_t x = next(state);
	uint8_t proto = r->proto == FP_CLS_PROTO_ANY || x % 8 == 0 ? (uint8_t)(x >> 8)
								   : (uint8_t)r->proto;
	uint8_t noise = x >> 16 & 3 ? 0 : (uint8_t)(x >> 24);
	uint8_t frag = x >> 32 & 7 ? FP_CLS_WHOLE : (uint8_t)((x >> 36) % 3);

	if (family == AF_INET) {
		k.src = (struct fp_cls_addr){ 0, (uint32_t)k.src.lo };
		k.dst = (struct fp_cls_addr){ 0, (uint32_t)k.dst.lo };
	}
	if (frag != FP_CLS_LATER_FRAG)
		k.ports = fp_cls_pair(oracle_pick16(r->sport_lo, r->sport_hi, next, state),
				      oracle_pick16(r->dport_lo, r->dport_hi, next, state));
	k.zones = fp_cls_pair(x >> 40 & 7 ? r->zone_in : 1, x >> 43 & 7 ? r->zone_out : 2);
	k.misc = fp_cls_misc(proto, r->tcp_flags ^ noise, (r->dscp ^ noise) & 0x3f, frag);
	return k;
}

#endif
