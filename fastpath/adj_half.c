/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "adj_half.h"

#include "flow.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>

struct vacate {
	struct fp_adj *adj;
	uint32_t n, first;
	bool *named;  /* [n]: by a flow */
	uint32_t *to; /* [n / 2]: its copy; 0: none yet */
	uint32_t next, moved;
};

/* Of the flow that lives in the line, or NULL. */
static uint32_t *egress_of(const struct fp_flow_mem *mem, enum flow_family fam, uint32_t line)
{
	struct flow_line4 *l4 = (struct flow_line4 *)mem->base[FP_FLOW_R_LINES4] + line;
	struct flow_line6 *l6 = (struct flow_line6 *)mem->base[FP_FLOW_R_LINES6] + line;
	const uint64_t *word0 = fam == FLOW_4 ? &l4->word0 : &l6->word0;

	if (!flow_lives(__atomic_load_n(word0, __ATOMIC_RELAXED)))
		return NULL;
	return fam == FLOW_4 ? &l4->egress : &l6->egress;
}

static bool is_mine(const struct vacate *v, uint32_t i)
{
	return i && i >= v->first && i < v->first + v->n / 2;
}

/* Number 0 of a half is no adjacency. */
static uint32_t copy_of(struct vacate *v, uint32_t i)
{
	uint32_t half = v->n / 2, other = half - v->first, *to = &v->to[i - v->first];

	while (!*to && ++v->next < half) {
		if (v->named[other + v->next])
			continue;
		*to = other + v->next;
		v->adj[*to] = v->adj[i];
	}
	return *to;
}

static void move(struct vacate *v, uint32_t *egress)
{
	uint32_t old = __atomic_load_n(egress, __ATOMIC_RELAXED), new;

	do {
		if (!is_mine(v, old & FLOW_EGRESS_ADJ_MASK))
			return;
		new = (old & ~FLOW_EGRESS_ADJ_MASK) | copy_of(v, old & FLOW_EGRESS_ADJ_MASK);
	} while (!__atomic_compare_exchange_n(egress, &old, new, false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	v->moved++;
}

static void name(struct vacate *v, uint32_t *egress)
{
	uint32_t i = __atomic_load_n(egress, __ATOMIC_RELAXED) & FLOW_EGRESS_ADJ_MASK;

	if (i < v->n)
		v->named[i] = true;
}

static void each(struct vacate *v, const struct fp_flow_mem *mem,
		 void (*fn)(struct vacate *v, uint32_t *egress))
{
	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		for (uint32_t line = 0; line < 2 * mem->n_pairs[fam]; line++) {
			uint32_t *egress = egress_of(mem, (enum flow_family)fam, line);

			if (egress)
				fn(v, egress);
		}
	}
}

uint32_t fp_adj_half_vacate(const struct fp_flow_mem *mem, struct fp_adj *adj, uint32_t n,
			    uint32_t first)
{
	struct vacate v = { .adj = adj,
			    .n = n,
			    .first = first,
			    .named = xcalloc(n, sizeof(*v.named)),
			    .to = xcalloc(n / 2, sizeof(*v.to)) };

	each(&v, mem, name);
	each(&v, mem, move);
	for (uint32_t i = first; i < first + n / 2; i++) {
		if (!adj[i].len)
			continue;
		/* seq goes on: somebody may be reading. */
		__atomic_store_n(&adj[i].len, 0, __ATOMIC_RELEASE);
	}
	free(v.named);
	free(v.to);
	return v.moved;
}
