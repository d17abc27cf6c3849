/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow_view.h"

#include "flow_priv.h"

uint32_t fp_flow_n_pairs(const struct fp_flow *t, enum flow_family fam)
{
	return t->fam[fam].n_pairs;
}

/* Offsets of the words egress and time, and count: rtr/flow.h. */
static int egress_at(enum flow_family fam)
{
	return fam == FLOW_4 ? 5 : 6;
}

static void view_half(const struct flow_table *ft, enum flow_family fam, const flow_word *line,
		      struct fp_flow_view_half *ret)
{
	uint64_t egress = FLOW_LD(line + egress_at(fam)), n = FLOW_LD(line + egress_at(fam) + 1);

	ret->word0 = FLOW_LD(line);
	for (int i = 0; i < flow_key_len(fam); i++)
		ret->key.w[i] = FLOW_LD(line + 1 + i);
	ret->egress = (uint32_t)egress;
	ret->time = (uint32_t)(egress >> 32);
	ret->packets = n >> FLOW_COUNT_BYTES_BITS;
	ret->bytes = n & ((1ull << FLOW_COUNT_BYTES_BITS) - 1);
}

bool fp_flow_view(const struct fp_flow *t, enum flow_family fam, uint32_t pair,
		  struct fp_flow_view *ret)
{
	const struct flow_table *ft = &t->fam[fam];
	const struct flow_cold *c = &ft->cold[pair];
	uint16_t gen = __atomic_load_n(&c->gen, __ATOMIC_ACQUIRE);
	const flow_word *line[2];
	uint32_t place[2];

	if (gen & 1 || !gen)
		return false;
	flow_places(ft, fam, pair, place);
	*ret = (struct fp_flow_view){ .fam = fam, .ref = flow_ref(gen, 2 * pair) };
	ret->flags = __atomic_load_n(&c->flags, __ATOMIC_RELAXED);
	ret->timeout = __atomic_load_n(&c->timeout, __ATOMIC_RELAXED);
	for (int d = 0; d < 2; d++) {
		line[d] = flow_line(ft, fam, place[d]);
		view_half(ft, fam, line[d], &ret->dir[d]);
		ret->dir[d].packets += __atomic_load_n(&c->packets[d], __ATOMIC_RELAXED);
		ret->dir[d].bytes += __atomic_load_n(&c->bytes[d], __ATOMIC_RELAXED);
	}
	for (int d = 0; d < 2; d++) {
		uint64_t now = FLOW_LD(line[d]);

		if (flow_w0_gen(ret->dir[d].word0) != gen || flow_w0_gen(now) != gen ||
		    !flow_lives(now))
			return false;
	}
	return true;
}

void fp_flow_touch(const struct fp_flow *t, enum flow_family fam, uint64_t ref, uint32_t now)
{
	const struct flow_table *ft = &t->fam[fam];
	uint32_t pair = (uint32_t)ref >> 1, place[2], *time;

	flow_places(ft, fam, pair, place);
	time = (uint32_t *)(flow_line(ft, fam, place[ref & 1]) + egress_at(fam)) + 1;
	if (__atomic_load_n(&ft->cold[pair].gen, __ATOMIC_ACQUIRE) == (uint16_t)(ref >> 32))
		__atomic_store_n(time, now, __ATOMIC_RELAXED);
}
