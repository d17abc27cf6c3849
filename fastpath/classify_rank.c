/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: turns 128-bit addresses into 32-bit ranks among the bounds that rules name. Order is kept,
 * so a range of addresses becomes the range of the ranks of its ends.
 *
 * A bound is where the set of matching rules can change: the low end of a range and the address
 * after its high end. All keys of a batch search together, one step at a time, so that their
 * misses overlap; the steps have no branch on data.
 */
#include "classify_impl.h"

#include <errno.h>

static bool below_eq(const struct fp_cls_addr *a, const struct fp_cls_addr *b)
{
	return a->hi < b->hi || (a->hi == b->hi && a->lo <= b->lo);
}

static int bound_cmp(const void *a, const void *b)
{
	const struct fp_cls_addr *x = a, *y = b;

	return !below_eq(x, y) - !below_eq(y, x);
}

int cls_rank_build(struct cls_rank *rank, const struct fp_cls_addr *lo,
		   const struct fp_cls_addr *hi, size_t n)
{
	struct fp_cls_addr *b = malloc((2 * n + 1) * sizeof(*b));
	size_t m = 0, kept = 0;

	if (!b)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct fp_cls_addr after = { hi[i].hi + (hi[i].lo == UINT64_MAX), hi[i].lo + 1 };

		b[m++] = lo[i];
		b[m++] = after;
	}
	qsort(b, m, sizeof(*b), bound_cmp);
	for (size_t i = 0; i < m; i++) {
		/* 0 is below every address, or the wrap of the highest one: no bound. */
		if ((b[i].hi || b[i].lo) && (!kept || bound_cmp(&b[kept - 1], &b[i])))
			b[kept++] = b[i];
	}
	rank->n = (uint32_t)kept;
	rank->bound = realloc(b, (kept + 1) * sizeof(*b));
	if (!rank->bound)
		rank->bound = b;
	return 0;
}

uint32_t cls_rank(const struct cls_rank *rank, const struct fp_cls_addr *a)
{
	const struct fp_cls_addr *at = rank->bound;
	uint32_t left = rank->n;

	if (!left)
		return 0;
	while (left > 1) {
		at += below_eq(&at[left / 2], a) ? left / 2 : 0;
		left -= left / 2;
	}
	return (uint32_t)(at - rank->bound) + below_eq(at, a);
}

static const struct fp_cls_addr *addr_of(const struct fp_cls_key6 *k, bool dst)
{
	return dst ? &k->dst : &k->src;
}

static inline __attribute__((always_inline)) void rank_batch(const struct cls_rank *rank,
							     const struct fp_cls_key6 *keys,
							     unsigned n, bool dst, uint32_t *ret)
{
	const struct fp_cls_addr *at[BATCH];
	uint32_t left = rank->n;

	for (unsigned i = 0; i < n; i++)
		at[i] = rank->bound;
	for (; left > 1; left -= left / 2) {
		uint32_t next = (left - left / 2) / 2;

		for (unsigned i = 0; i < n; i++) {
			at[i] += below_eq(&at[i][left / 2], addr_of(&keys[i], dst)) ? left / 2 : 0;
			__builtin_prefetch(&at[i][next]);
		}
	}
	for (unsigned i = 0; i < n; i++)
		ret[i] = left ? (uint32_t)(at[i] - rank->bound) +
					 below_eq(at[i], addr_of(&keys[i], dst))
			      : 0;
}

void cls_rank_keys(const struct fp_cls *cls, const struct fp_cls_key6 *keys, unsigned n,
		   struct fp_cls_key4 *ret)
{
	uint32_t src[BATCH] = { 0 }, dst[BATCH] = { 0 };

	rank_batch(&cls->src6, keys, n, false, src);
	rank_batch(&cls->dst6, keys, n, true, dst);
	for (unsigned i = 0; i < n; i++) {
		ret[i] = (struct fp_cls_key4){
			.src = src[i],
			.dst = dst[i],
			.ports = keys[i].ports,
			.zones = keys[i].zones,
			.misc = keys[i].misc,
		};
	}
}
