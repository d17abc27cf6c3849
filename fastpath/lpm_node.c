/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lpm_node.h"

/* A dense node stays one while it has that many items, also with fewer runs than make one. */
#define DENSE_ITEMS 12
#define MAX_NEST    20 /* covering prefixes in a level of 12 bits, a child, the inherited entry */

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

/* Split words name entries by their number: two a unit. */
static uint32_t split_units(uint32_t bitmap)
{
	return DIV_ROUND_UP((uint32_t)__builtin_popcount(bitmap) + 1, 2);
}

static uint32_t *split_entries(const struct lpm_rib *r, uint32_t x)
{
	return (uint32_t *)(void *)r->data.base + x;
}

static void drop_split(struct lpm_rib *r, uint64_t word, bool seen)
{
	uint32_t bitmap = (uint32_t)(word >> 32);

	if (bitmap)
		drop_block(r, (uint32_t)word / 2, split_units(bitmap), seen);
}

static void drop_node(struct lpm_rib *r, uint32_t e, unsigned bits, bool seen)
{
	uint32_t n_words = 1u << (bits - 5);
	const uint64_t *word;

	if (!(e & LPM_DENSE)) {
		drop_block(r, e & LPM_IDX, node_units(node_n_entries(r, e)), seen);
		return;
	}
	word = lpm_arena_at(&r->data, e & LPM_IDX);
	for (uint32_t i = 0; i < n_words; i++)
		drop_split(r, word[i], seen);
	drop_block(r, e & LPM_IDX, n_words, seen);
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
	for (unsigned i = 0; i < n; i++)
		store_entry(&entry[i], run[i].entry);
	return true;
}

/* Runs of 32 values, the first of them base, to a split word; old: the word before, 0 = none. Where
 * the bitmap stays the entries are stored in place. */
static uint64_t write_split(struct lpm_rib *r, const struct lpm_run *run, unsigned n, unsigned base,
			    uint64_t old)
{
	uint32_t bitmap = 0, x;
	uint32_t *entry;

	for (unsigned i = 0; i + 1 < n; i++)
		bitmap |= 2u << (run[i].end - base);
	if (bitmap && bitmap == (uint32_t)(old >> 32)) {
		entry = split_entries(r, (uint32_t)old);
		for (unsigned i = 0; i < n; i++)
			store_entry(&entry[i], run[i].entry);
		return old;
	}
	drop_split(r, old, true);
	if (!bitmap)
		return run[0].entry;
	x = lpm_arena_alloc(&r->data, split_units(bitmap)) * 2;
	entry = split_entries(r, x);
	for (unsigned i = 0; i < n; i++)
		entry[i] = run[i].entry;
	return (uint64_t)bitmap << 32 | x;
}

/* The words of a dense node that the runs from value `first` on cover. */
static void write_words(struct lpm_rib *r, uint64_t *word, const struct lpm_run *run, unsigned n,
			unsigned first, bool fresh)
{
	struct lpm_run sub[32];

	for (unsigned i = 0, base = first; i < n; base += 32) {
		unsigned last = base + 31, k = 0;
		uint64_t old = fresh ? 0 : word[base / 32], new;

		do
			sub[k++] = run[i];
		while (run[i].end < last && ++i);
		sub[k - 1].end = last;
		if (run[i].end == last)
			i++;
		new = write_split(r, sub, k, base, old);
		if (fresh)
			word[base / 32] = new;
		else if (new != old)
			__atomic_store_n(&word[base / 32], new, __ATOMIC_RELEASE);
	}
}

static void compile_node(struct lpm_rib *r, const struct lpm_level *l, struct lpm_cn *cn,
			 const struct lpm_run *run, unsigned n)
{
	uint32_t old = cn->entry, idx;
	bool had = !cn->dirty && (old & LPM_NODE);

	if (had && !(old & LPM_DENSE) && range_in_place(r, old, run, n))
		return;
	if (n == 1) {
		cn->entry = run[0].entry;
	} else if (n <= LPM_LARGE_ENDS + 1) {
		cn->entry = write_node(r, run, n);
	} else {
		idx = lpm_arena_alloc(&r->data, 1u << (l->bits - 5));
		write_words(r, lpm_arena_at(&r->data, idx), run, n, 0, true);
		cn->entry = LPM_NODE | LPM_DENSE | idx;
	}
	if (had)
		drop_node(r, old, l->bits, true);
}

static void compile_array(struct lpm_rib *r, const struct lpm_level *l, struct lpm_cn *cn,
			  const struct lpm_run *run, unsigned n, unsigned pos)
{
	uint32_t *entry;

	if (cn->dirty)
		cn->entry = LPM_NODE | lpm_arena_alloc(&r->data, 1u << (l->bits - 1));
	entry = lpm_arena_at(&r->data, cn->entry & LPM_IDX);
	for (unsigned i = 0; i < n; i++)
		for (; pos <= run[i].end; pos++)
			if (cn->dirty)
				entry[pos] = run[i].entry;
			else
				store_entry(&entry[pos], run[i].entry);
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

/* Prefixes that start before value `first` and cover it, shortest first, onto the stack. */
static unsigned open_covering(const struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn,
			      struct lpm_run *open, unsigned first, unsigned last)
{
	unsigned top = 0, bits = r->shape->level[lv].bits, all = (1u << bits) - 1;

	for (unsigned len = 1; len < bits; len++) {
		unsigned key = first & ~(all >> len);
		const struct lpm_item *it;

		if (key == first)
			break;
		it = lpm_item_find(r, cn, key, len);
		if (it)
			open[++top] = (struct lpm_run){ MIN(key | all >> len, last), it->val };
	}
	return top;
}

/*
 * The runs of values first..last. Items come by (key, len): a covering prefix before what it
 * covers. The stack holds the prefixes that are open at pos; the innermost one gives the entry
 * until the next item starts or it ends.
 */
static unsigned sweep(struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn, unsigned first,
		      unsigned last, struct lpm_run *run)
{
	const struct lpm_item *it = lpm_cn_items(r, cn);
	const uint32_t all = (1u << r->shape->level[lv].bits) - 1;
	struct lpm_run open[MAX_NEST] = { { last, cn->dflt } };
	unsigned top = open_covering(r, lv, cn, open, first, last), n = 0;
	uint32_t pos = first;

	for (unsigned i = lpm_item_pos(r, cn, first, 0); i < cn->n && it[i].key <= last; i++) {
		struct lpm_cn *child;

		for (; it[i].key > open[top].end; top--)
			if (open[top].end >= pos) {
				n = add_run(run, n, open[top].end, open[top].entry);
				pos = open[top].end + 1;
			}
		if (it[i].key > pos) {
			n = add_run(run, n, it[i].key - 1u, open[top].entry);
			pos = it[i].key;
		}
		if (it[i].len != LPM_CHILD) {
			open[top + 1].end = MIN(it[i].key | all >> it[i].len, last);
			open[++top].entry = it[i].val;
			continue;
		}
		child = lpm_cn_at(r, it[i].val);
		if (child->dirty || child->dflt != open[top].entry)
			lpm_node_compile(r, lv + 1, child, open[top].entry, LPM_ALL_KEYS);
		open[top + 1] = (struct lpm_run){ it[i].key, child->entry };
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

void lpm_node_compile(struct lpm_rib *r, unsigned lv, struct lpm_cn *cn, uint32_t dflt,
		      unsigned first, unsigned last)
{
	const struct lpm_level *l = &r->shape->level[lv];
	struct lpm_run *run = r->runs[lv];
	unsigned n, all = (1u << l->bits) - 1;
	bool in_words = l->kind == LPM_K_NODE && (cn->entry & LPM_DENSE) && cn->n >= DENSE_ITEMS;
	uint64_t word;

	last = MIN(last, all) | 31;
	first &= ~31u;
	if (cn->dirty || cn->dflt != dflt || !(in_words || l->kind == LPM_K_ARRAY)) {
		first = 0;
		last = all;
	}
	cn->dflt = dflt;
	n = sweep(r, lv, cn, first, last, run);
	if (l->kind == LPM_K_SPLIT) {
		word = (uint64_t)cn->bitmap << 32 | cn->entry;
		word = write_split(r, run, n, 0, word);
		cn->bitmap = (uint32_t)(word >> 32);
		cn->entry = (uint32_t)word;
	} else if (l->kind == LPM_K_ARRAY) {
		compile_array(r, l, cn, run, n, first);
	} else if (!cn->dirty && in_words) {
		write_words(r, lpm_arena_at(&r->data, cn->entry & LPM_IDX), run, n, first, false);
	} else {
		compile_node(r, l, cn, run, n);
	}
	cn->dirty = 0;
}

size_t lpm_node_bound(const struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn)
{
	const struct lpm_level *l = &r->shape->level[lv];
	/* An item splits a run in three, a merge only takes away. */
	size_t runs = MIN(2 * ((size_t)cn->n + 1) + 1, (size_t)1 << l->bits);

	if (l->kind == LPM_K_SPLIT)
		return DIV_ROUND_UP(runs, 2);
	if (l->kind == LPM_K_ARRAY)
		return (size_t)1 << (l->bits - 1);
	if (runs <= LPM_LARGE_ENDS + 1 && cn->n < DENSE_ITEMS)
		return node_units((unsigned)runs);
	/* A range node, or the words and for each the entries of its runs. */
	return 32 + ((size_t)1 << (l->bits - 5)) + runs;
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
	enum lpm_kind kind = r->shape->level[lv].kind;
	uint32_t e = cn->entry;
	uint64_t word;

	if (kind == LPM_K_ARRAY)
		return (uint32_t *)lpm_arena_at(&r->data, e & LPM_IDX) + key;
	if (kind == LPM_K_NODE && !(e & LPM_DENSE))
		return node_entries(r, e) +
		       (lpm_node_slot(r->data.base, e, key) - (const uint32_t *)node_entries(r, e));
	word = kind == LPM_K_SPLIT ? (uint64_t)cn->bitmap << 32 | e
				   : *lpm_dense_word(r->data.base, e, key);
	return split_entries(r, (uint32_t)word) +
	       __builtin_popcount((uint32_t)(word >> 32) & lpm_run_mask(key));
}

void lpm_node_drop(struct lpm_rib *r, unsigned lv, struct lpm_cn *cn, bool seen)
{
	const struct lpm_level *l = &r->shape->level[lv];

	if (cn->dirty)
		return;
	if (l->kind == LPM_K_SPLIT)
		drop_split(r, (uint64_t)cn->bitmap << 32 | cn->entry, seen);
	else if (l->kind == LPM_K_ARRAY)
		drop_block(r, cn->entry & LPM_IDX, 1u << (l->bits - 1), seen);
	else if (cn->entry & LPM_NODE)
		drop_node(r, cn->entry, l->bits, seen);
}
