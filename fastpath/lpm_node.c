/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lpm_node.h"

#define MAX_NEST 20 /* covering prefixes in a level of 12 bits, a child, the inherited entry */

static void retire(struct lpm_rib *r, uint32_t idx, uint32_t units)
{
	struct lpm_retired *b = r->open;

	if (!b) {
		uint32_t self = lpm_arena_alloc(&r->ctl, LPM_BATCH_UNITS);

		b = lpm_arena_at(&r->ctl, self);
		b->next = NULL;
		b->rib = r;
		b->self = self;
		b->n = 0;
		r->open = b;
	}
	b->block[b->n].idx = idx;
	b->block[b->n].units = units;
	r->n_retired_units += lpm_arena_round(units);
	if (++b->n == LPM_RETIRED_MAX) {
		b->next = r->full;
		r->full = b;
		r->open = NULL;
	}
}

/* Sizes that keep a small node in one line and the ends of a large one in one. */
static uint32_t node_units(unsigned n_entries)
{
	if (n_entries <= LPM_SMALL_ENDS + 1)
		return n_entries <= 4 ? 4 : 8;
	return n_entries <= 16 ? 16 : n_entries <= 32 ? 24 : 32;
}

static unsigned node_n_entries(const struct lpm_rib *r, uint32_t e)
{
	const uint16_t *ends = lpm_node_ends(r->data.base, e);
	unsigned n = 0, max = lpm_node_max(e);

	while (n < max && ends[n] != (uint16_t)(0xffff ^ LPM_BIAS))
		n++;
	return n + 1;
}

static uint32_t *node_entries(const struct lpm_rib *r, uint32_t e)
{
	uint8_t *p = lpm_arena_at(&r->data, e & LPM_IDX);

	return (uint32_t *)(void *)(p + lpm_node_max(e) * sizeof(uint16_t));
}

static void drop_block(struct lpm_rib *r, uint32_t idx, uint32_t units, bool seen)
{
	if (seen)
		retire(r, idx, units);
	else
		lpm_arena_free(&r->data, idx, units);
}

/* A range node and the rest of its key's tree. */
static void drop_range(struct lpm_rib *r, uint32_t e, bool seen)
{
	unsigned n = node_n_entries(r, e);
	const uint32_t *entry = node_entries(r, e);

	for (unsigned i = 0; i < n; i++)
		if ((entry[i] & (LPM_NODE | LPM_SAME)) == (LPM_NODE | LPM_SAME))
			drop_range(r, entry[i], seen);
	drop_block(r, e & LPM_IDX, node_units(n), seen);
}

static uint32_t write_node(struct lpm_rib *r, const struct lpm_run *run, unsigned n)
{
	uint32_t e = lpm_arena_alloc(&r->data, node_units(n));
	unsigned max;
	uint16_t *ends = lpm_arena_at(&r->data, e);
	uint32_t *entry;

	e |= LPM_NODE | (n > LPM_SMALL_ENDS + 1 ? LPM_LARGE : 0);
	max = lpm_node_max(e);
	entry = node_entries(r, e);
	for (unsigned i = 0; i < max; i++)
		ends[i] = (uint16_t)((i < n - 1 ? run[i].end : 0xffff) ^ LPM_BIAS);
	for (unsigned i = 0; i < n; i++)
		entry[i] = run[i].entry;
	return e;
}

/* Runs to a tree of nodes, from the leaves up; overwrites the runs. */
static uint32_t write_range(struct lpm_rib *r, struct lpm_run *run, unsigned n)
{
	while (n > LPM_LARGE_ENDS + 1) {
		unsigned out = 0;

		for (unsigned i = 0; i < n; i += LPM_LARGE_ENDS + 1) {
			unsigned k = MIN(n - i, LPM_LARGE_ENDS + 1);
			struct lpm_run top = run[i + k - 1];

			if (k > 1)
				top.entry = write_node(r, run + i, k) | LPM_SAME;
			run[out++] = top;
		}
		n = out;
	}
	return n == 1 ? run[0].entry : write_node(r, run, n);
}

static void store_entry(uint32_t *p, uint32_t e)
{
	if (*p != e)
		__atomic_store_n(p, e, __ATOMIC_RELEASE);
}

/* The same ends as the node has: only the entries that differ are stored. */
static bool range_in_place(struct lpm_rib *r, uint32_t e, const struct lpm_run *run, unsigned n)
{
	const uint16_t *ends = lpm_node_ends(r->data.base, e);
	uint32_t *entry = node_entries(r, e);

	if (n < 2 || (n > LPM_SMALL_ENDS + 1) != !!(e & LPM_LARGE) || node_n_entries(r, e) != n)
		return false;
	for (unsigned i = 0; i < n - 1; i++)
		if (ends[i] != (uint16_t)(run[i].end ^ LPM_BIAS))
			return false;
	for (unsigned i = 0; i < n; i++) {
		uint32_t old = entry[i];

		store_entry(&entry[i], run[i].entry);
		if ((old & (LPM_NODE | LPM_SAME)) == (LPM_NODE | LPM_SAME))
			drop_range(r, old, true);
	}
	return true;
}

static void compile_range(struct lpm_rib *r, struct lpm_cn *cn, struct lpm_run *run, unsigned n)
{
	uint32_t old = cn->entry;
	bool had = !cn->dirty && (old & LPM_NODE);

	if (had && range_in_place(r, old, run, n))
		return;
	cn->entry = write_range(r, run, n);
	if (had)
		drop_range(r, old, true);
}

static void compile_array(struct lpm_rib *r, const struct lpm_level *l, struct lpm_cn *cn,
			  const struct lpm_run *run, unsigned n)
{
	uint32_t size = 1u << l->bits, pos = 0;
	uint32_t *entry;

	if (cn->dirty)
		cn->entry = LPM_NODE | lpm_arena_alloc(&r->data, size / 2);
	entry = lpm_arena_at(&r->data, cn->entry & LPM_IDX);
	for (unsigned i = 0; i < n; i++)
		for (; pos <= run[i].end; pos++)
			if (cn->dirty)
				entry[pos] = run[i].entry;
			else
				store_entry(&entry[pos], run[i].entry);
}

static uint32_t bitmap_units(uint32_t bitmap)
{
	return DIV_ROUND_UP((uint32_t)__builtin_popcount(bitmap) + 1, 2);
}

static void compile_bitmap(struct lpm_rib *r, struct lpm_cn *cn, const struct lpm_run *run,
			   unsigned n)
{
	uint32_t bitmap = 0, old = cn->bitmap, old_idx = cn->entry / 2;
	uint32_t *entry;

	for (unsigned i = 0; i + 1 < n; i++)
		bitmap |= 2u << run[i].end;
	if (bitmap && bitmap == old) {
		entry = (uint32_t *)(void *)r->data.base + cn->entry;
		for (unsigned i = 0; i < n; i++)
			store_entry(&entry[i], run[i].entry);
		return;
	}
	cn->bitmap = bitmap;
	if (bitmap) {
		cn->entry = lpm_arena_alloc(&r->data, DIV_ROUND_UP(n, 2)) * 2;
		entry = (uint32_t *)(void *)r->data.base + cn->entry;
		for (unsigned i = 0; i < n; i++)
			entry[i] = run[i].entry;
	} else {
		cn->entry = run[0].entry;
	}
	if (old)
		retire(r, old_idx, bitmap_units(old));
}

static unsigned add_run(struct lpm_run *run, unsigned n, uint32_t end, uint32_t entry)
{
	if (n && run[n - 1].entry == entry) {
		run[n - 1].end = end;
		return n;
	}
	run[n] = (struct lpm_run){ end, entry };
	return n + 1;
}

/*
 * Items come by (key, len): a covering prefix before what it covers. The stack holds the prefixes
 * that are open at pos; the innermost one gives the entry until the next item starts or it ends.
 */
static unsigned sweep(struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn, uint32_t dflt,
		      struct lpm_run *run)
{
	const struct lpm_item *it = lpm_cn_items(r, cn);
	const uint32_t last = (1u << r->shape->level[lv].bits) - 1;
	struct lpm_run open[MAX_NEST] = { { last, dflt } };
	unsigned top = 0, n = 0;
	uint32_t pos = 0;

	for (unsigned i = 0; i < cn->n; i++, it++) {
		struct lpm_cn *child;

		for (; it->key > open[top].end; top--)
			if (open[top].end >= pos) {
				n = add_run(run, n, open[top].end, open[top].entry);
				pos = open[top].end + 1;
			}
		if (it->key > pos) {
			n = add_run(run, n, it->key - 1u, open[top].entry);
			pos = it->key;
		}
		if (it->len != LPM_CHILD) {
			open[top + 1] = (struct lpm_run){ it->key | last >> it->len, it->val };
			top++;
			continue;
		}
		child = lpm_cn_at(r, it->val);
		if (child->dirty || child->dflt != open[top].entry)
			lpm_node_compile(r, lv + 1, child, open[top].entry);
		open[top + 1] = (struct lpm_run){ it->key, child->entry };
		top++;
	}
	for (;; top--) {
		if (open[top].end >= pos) {
			n = add_run(run, n, open[top].end, open[top].entry);
			pos = open[top].end + 1;
		}
		if (!top)
			return n;
	}
}

void lpm_node_compile(struct lpm_rib *r, unsigned lv, struct lpm_cn *cn, uint32_t dflt)
{
	const struct lpm_level *l = &r->shape->level[lv];
	struct lpm_run *run = r->runs[lv];
	unsigned n = sweep(r, lv, cn, dflt, run);

	cn->dflt = dflt;
	switch (l->kind) {
	case LPM_K_BITMAP:
		compile_bitmap(r, cn, run, n);
		break;
	case LPM_K_ARRAY:
		compile_array(r, l, cn, run, n);
		break;
	default:
		compile_range(r, cn, run, n);
	}
	cn->dirty = 0;
}

size_t lpm_node_bound(const struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn)
{
	const struct lpm_level *l = &r->shape->level[lv];
	/* An item splits a run in three, a merge only takes away. */
	size_t runs = MIN(2 * ((size_t)cn->n + 1) + 1, (size_t)1 << l->bits);

	if (l->kind == LPM_K_BITMAP)
		return DIV_ROUND_UP(runs, 2);
	if (l->kind == LPM_K_ARRAY)
		return (size_t)1 << (l->bits - 1);
	if (runs <= LPM_LARGE_ENDS + 1)
		return node_units((unsigned)runs);
	/* Nodes of 32 units at most, 33 runs each, and the tree above them. */
	return (runs / 32 + 4) * 32;
}

size_t lpm_node_bound_deep(const struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn)
{
	const struct lpm_item *it = lpm_cn_items(r, cn);
	size_t units = lpm_node_bound(r, lv, cn);

	for (unsigned i = 0; i < cn->n; i++)
		if (it[i].len == LPM_CHILD && lpm_cn_at(r, it[i].val)->dflt == cn->dflt)
			units += lpm_node_bound_deep(r, lv + 1, lpm_cn_at(r, it[i].val));
	return units;
}

uint32_t *lpm_node_entry(const struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn,
			 unsigned key)
{
	uint32_t *p, e = cn->entry;

	switch (r->shape->level[lv].kind) {
	case LPM_K_BITMAP:
		p = (uint32_t *)(void *)r->data.base + e;
		return p + __builtin_popcount(cn->bitmap & ~0u >> (31 - key));
	case LPM_K_ARRAY:
		return (uint32_t *)lpm_arena_at(&r->data, e & LPM_IDX) + key;
	default:
		do {
			p = node_entries(r, e);
			p += lpm_node_slot(r->data.base, e, key) - p;
			e = *p;
		} while ((e & (LPM_NODE | LPM_SAME)) == (LPM_NODE | LPM_SAME));
		return p;
	}
}

void lpm_node_drop(struct lpm_rib *r, unsigned lv, struct lpm_cn *cn, bool seen)
{
	if (cn->dirty)
		return;
	if (cn->bitmap)
		drop_block(r, cn->entry / 2, bitmap_units(cn->bitmap), seen);
	else if (r->shape->level[lv].kind == LPM_K_ARRAY)
		drop_block(r, cn->entry & LPM_IDX, 1u << (r->shape->level[lv].bits - 1), seen);
	else if (cn->entry & LPM_NODE && r->shape->level[lv].kind == LPM_K_RANGE)
		drop_range(r, cn->entry, seen);
}
