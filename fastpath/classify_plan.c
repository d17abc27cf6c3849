/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: chooses how the rules of a family are shared out to trees.
 *
 * Rules fall into four groups: wide in source, in destination, in both, in none. Wide means that
 * the range holds the starts of a sixteenth of all rules, which is what a cut would copy it to; it
 * is a measure that fits ranges, prefixes and ranks alike. One tree of all groups saves a walk,
 * trees of their own save copies, and which is better depends on the rules: so several plans are
 * built, each is walked with packets at random points of random rules, and the cheapest is kept.
 *
 * The first plan is the one whose effort grows least; the others may use a multiple of its effort
 * in all, counted, not timed, so that the result depends on the rules alone.
 *
 * Threads: one. Failure: -ENOMEM, everything freed.
 */
#include "classify_impl.h"

#include <errno.h>

#define WIDE_SHARE 16u
#define SAMPLES    1024u
/* Beyond this a commit waits longer for the choice than the choice gains. */
#define PLAN_MAX_RULES 32768u
#define RETRY_WORK     6u /* effort of all further plans, as a multiple of the first one's */

/* Cycles on the machine of docs/design/classifier.md. */
#define COST_TREE  8.0
#define COST_CUT   8.0
#define COST_LEAF  14.0
#define COST_SLOW  22.0 /* a second block: a branch that is often not foreseen */
#define COST_BLOCK 12.0

static const struct cls_plan plans[] = {
	{ { 0, 1, 2, 3 }, 0.06 },  { { 0, 1, 2, 3 }, 0.015 }, { { 0, 1, 1, 1 }, 0.06 },
	{ { 0, 1, 1, 1 }, 0.015 }, { { 0, 0, 1, 1 }, 0.03 },  { { 0, 1, 0, 1 }, 0.03 },
	{ { 0, 0, 0, 1 }, 0.03 },  { { 0, 0, 0, 0 }, 0.06 },  { { 0, 0, 0, 0 }, 0.02 },
	{ { 0, 1, 2, 1 }, 0.03 },  { { 0, 1, 2, 2 }, 0.03 },
};

static int u32_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* How many of the n sorted values are below x. */
static size_t rank_below(const uint32_t *v, size_t n, uint64_t x)
{
	size_t at = 0;

	while (n) {
		size_t half = n / 2;

		if (v[at + half] < x) {
			at += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return at;
}

/* Adds `bit` to the group of each rule whose range of d holds the starts of many others: the ones
 * that a cut of d would copy. Needs n values of scratch. */
static void mark_wide(const struct cls_core_rule *rules, size_t n, enum cls_dim d, uint8_t bit,
		      uint32_t *scratch, uint8_t *group)
{
	for (size_t i = 0; i < n; i++)
		scratch[i] = rules[i].lo[d];
	qsort(scratch, n, sizeof(*scratch), u32_cmp);
	for (size_t i = 0; i < n; i++) {
		size_t held = rank_below(scratch, n, (uint64_t)rules[i].hi[d] + 1) -
			      rank_below(scratch, n, rules[i].lo[d]);

		if (held * WIDE_SHARE > n && rules[i].hi[d] != rules[i].lo[d])
			group[i] |= bit;
	}
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* A random point of a rule. */
static struct fp_cls_key4 point_in(const struct cls_core_rule *r, uint64_t *rng)
{
	uint32_t v[DIM__MAX];

	for (unsigned d = 0; d < DIM__MAX; d++)
		v[d] = r->lo[d] + (uint32_t)(next(rng) % ((uint64_t)r->hi[d] - r->lo[d] + 1));
	return (struct fp_cls_key4){
		.src = v[DIM_SRC],
		.dst = v[DIM_DST],
		.ports = fp_cls_pair((uint16_t)v[DIM_SPORT], (uint16_t)v[DIM_DPORT]),
		.zones = fp_cls_pair((uint16_t)v[DIM_ZONE_IN], (uint16_t)v[DIM_ZONE_OUT]),
		.misc = fp_cls_misc((uint8_t)v[DIM_PROTO], 0, 0, FP_CLS_WHOLE),
	};
}

/* Cost of the leaf; lowers best to the order of its first match by the ranges alone. */
static double walk_leaf(const struct cls_family *f, uint64_t ref, const struct fp_cls_key4 *k,
			uint32_t *best)
{
	const uint32_t *w = f->arena + (uint32_t)ref;
	uint32_t n = REF_COUNT(ref) == REF_COUNT_MAX ? *w++ : REF_COUNT(ref);
	unsigned words = WORDS_A_RULE + (f->zones ? WORDS_ZONES : 0);
	double cost = COST_LEAF;

	for (bool first = true; n; first = false) {
		unsigned m = MIN(n, BLOCK_RULES);
		uint32_t hits = cls_block_match(w, m, k, f->zones);

		if (hits) {
			uint32_t meta = w[6 * m + (unsigned)__builtin_ctz(hits)];

			*best = MIN(*best, meta >> META_ORDER_SHIFT);
			break;
		}
		w += m * words;
		n -= m;
		if (n)
			cost += COST_BLOCK + (first ? COST_SLOW : 0);
	}
	return cost;
}

/* Mean cost of a lookup. */
static double cost_of(const struct cls_family *f, const struct cls_core_rule *rules, size_t n)
{
	uint64_t rng = 0x9e3779b97f4a7c15ull;
	double cost = 0;

	for (unsigned s = 0; s < SAMPLES; s++) {
		struct fp_cls_key4 k = point_in(&rules[next(&rng) % n], &rng);
		const uint32_t *words = &k.src;
		uint32_t best = FP_CLS_NONE;

		for (unsigned t = 0; t < f->n_trees; t++) {
			uint64_t ref = f->tree[t].root;

			if (f->tree[t].first_order >= best)
				break;
			cost += COST_TREE;
			for (; !(ref & REF_LEAF); cost += COST_CUT)
				ref = *cls_child_at(f->arena, ref, words);
			cost += walk_leaf(f, ref, &k, &best);
		}
	}
	return cost / SAMPLES;
}

static int choose(struct cls_family *f, const struct cls_core_rule *rules, const uint8_t *group,
		  size_t n)
{
	uint64_t work = UINT64_MAX;
	double least;
	int r = cls_trees_try(f, rules, group, n, &plans[0], &work);

	if (r || !n || n > PLAN_MAX_RULES)
		return r;
	least = cost_of(f, rules, n);
	work = (UINT64_MAX - work) * RETRY_WORK;
	for (size_t p = 1; p < ARRAY_LEN(plans) && work; p++) {
		struct cls_family other;
		double cost;

		/* Not enough memory for a better one: the one at hand will do. */
		if (cls_trees_try(&other, rules, group, n, &plans[p], &work))
			break;
		cost = cost_of(&other, rules, n);
		if (cost < least) {
			struct cls_family worse = *f;

			least = cost;
			*f = other;
			other = worse;
		}
		free(other.arena);
	}
	return 0;
}

int cls_trees_build(struct cls_family *f, const struct cls_core_rule *rules, size_t n)
{
	uint32_t *scratch = malloc((n + 1) * sizeof(*scratch));
	uint8_t *group = calloc(n + 1, sizeof(*group));
	int r = -ENOMEM;

	if (scratch && group) {
		mark_wide(rules, n, DIM_SRC, CLS_GROUP_SRC_WIDE, scratch, group);
		mark_wide(rules, n, DIM_DST, CLS_GROUP_DST_WIDE, scratch, group);
		r = choose(f, rules, group, n);
	}
	free(scratch);
	free(group);
	return r;
}
