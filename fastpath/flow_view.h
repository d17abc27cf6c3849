/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a flow as a whole, copied out of the table by its pair: for who walks over all of them
 * beside the workers (mirror.h, what is shown).
 *
 * Owns: nothing. Threads: any. Failure: false, there is no living flow.
 */
#ifndef FP_FLOW_VIEW_H
#define FP_FLOW_VIEW_H

#include "flow.h"

union fp_flow_key {
	struct flow_key4 v4;
	struct flow_key6 v6;
	uint64_t w[5];
};

struct fp_flow_view {
	enum flow_family fam;
	uint64_t ref;     /* of the opener's half */
	uint16_t flags;   /* enum flow_cold_flag */
	uint32_t timeout; /* units of rtr/flow.h */
	/* [0] the direction that opened the flow. */
	struct fp_flow_view_half {
		union fp_flow_key key;
		uint64_t word0;
		uint32_t egress, time;
		uint64_t packets, bytes;
	} dir[2];
};

bool fp_flow_view(const struct fp_flow *t, enum flow_family fam, uint32_t pair,
		  struct fp_flow_view *ret);
/* As if a packet had come now. */
void fp_flow_touch(const struct fp_flow *t, enum flow_family fam, uint64_t ref, uint32_t now);
uint32_t fp_flow_n_pairs(const struct fp_flow *t, enum flow_family fam);

/* When it ends if no packet comes, in units of rtr/flow.h. */
static inline uint32_t fp_flow_view_end(const struct fp_flow_view *v)
{
	uint32_t a = v->dir[0].time, b = v->dir[1].time;

	return ((int32_t)(a - b) > 0 ? a : b) + v->timeout;
}

/* The interface slot that packets of a direction come in by. */
static inline uint16_t fp_flow_view_zone(const struct fp_flow_view *v, unsigned dir)
{
	return v->fam == FLOW_4 ? v->dir[dir].key.v4.zone : v->dir[dir].key.v6.zone;
}

#endif
