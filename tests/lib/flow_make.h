/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: flows for tests and benches, made from a number: two of different numbers differ in both
 * keys, and every word of the rewrite can be checked against the number.
 */
#ifndef TESTS_FLOW_MAKE_H
#define TESTS_FLOW_MAKE_H

#include "flow.h"
#include "hash.h"

/* Both keys of flow id; zone keeps flows of different tests apart. */
static inline void flow_make_keys(enum flow_family fam, uint32_t id, uint16_t zone,
				  struct fp_flow_half dir[2])
{
	for (int d = 0; d < 2; d++) {
		uint32_t salt = (uint32_t)hash_mix64((uint64_t)id << 8 | (uint32_t)d << 1 | fam);

		memset(dir[d].key, 0, sizeof(dir[d].key));
		memset(dir[d].rw, 0, sizeof(dir[d].rw));
		if (fam == FLOW_4) {
			dir[d].key4 = (struct flow_key4){ .saddr = id,
							  .daddr = salt,
							  .sport = (uint16_t)(salt >> 7),
							  .dport = d ? 443 : 53,
							  .proto = 17,
							  .zone = zone };
			dir[d].rw4 = (struct flow_rewrite4){ .saddr = ~id, .daddr = ~salt };
		} else {
			memcpy(dir[d].key6.saddr + 12, &id, 4);
			memcpy(dir[d].key6.daddr + 8, &salt, 4);
			dir[d].key6.dport = d ? 443 : 53;
			dir[d].key6.proto = 17;
			dir[d].key6.zone = zone;
			for (int i = 0; i < 4; i++)
				dir[d].rw6.saddr[4 * i] = (uint8_t)(~id >> (8 * i));
			dir[d].rw6.l4_delta = (uint16_t)salt;
		}
	}
}

static inline struct fp_flow_new flow_make(enum flow_family fam, uint32_t id, uint16_t zone,
					   uint32_t now)
{
	struct fp_flow_new f = { .time = now, .timeout = 600, .rule = id, .policy = 7 };

	flow_make_keys(fam, id, zone, f.dir);
	for (int d = 0; d < 2; d++) {
		f.dir[d].egress = flow_egress(id & 0xffff, 14, 7);
		f.dir[d].state = FLOW_P_EXPRESS;
		f.dir[d].flags = FLOW_F_REWRITE;
		f.dir[d].tcp = (struct flow_tcp){ id, ~id };
	}
	return f;
}

/* Looks a direction up; on a hit the rewrite must be the flow's. -1: it is another's. */
static inline int flow_make_find(const struct fp_flow *t, enum flow_family fam,
				 const struct fp_flow_half *h, uint64_t *ret_ref)
{
	enum flow_find found;
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	if (fam == FLOW_4) {
		found = fp_flow_find4(t, &h->key4, &h4);
		if (found != FLOW_HIT)
			return found;
		*ret_ref = flow_ref(flow_w0_gen(h4.word0), h4.line);
		return memcmp(&h4.rw, &h->rw4, sizeof(h4.rw)) ? -1 : FLOW_HIT;
	}
	found = fp_flow_find6(t, &h->key6, &h6);
	if (found != FLOW_HIT)
		return found;
	*ret_ref = flow_ref(flow_w0_gen(h6.word0), h6.line);
	return memcmp(&h6.rw, &h->rw6, sizeof(h6.rw)) ? -1 : FLOW_HIT;
}

#endif
