/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: builds the bit vectors of one family.
 *
 * Rows are collected in sets, in which equal ones are held once; a row's number is its class. A
 * field's rows come from a sweep over the begins and ends of its ranges, with one running row in
 * which each of them flips a bit. A fold is the set of the ANDs of all pairs of rows of two sets.
 *
 * Memory: what would be larger than the bound for trees is given up as soon as that shows, and
 * the caller takes trees. Threads: one. Failure: -ENOMEM or -E2BIG, everything freed.
 */
#include "classify_vec.h"

#include "hash.h"

#include <errno.h>

/* Pairs of a fold: 128 Ki rows of 256 bytes are some 10 ms to AND and hash. */
#define MAX_PAIRS (128u << 10)
/* A table of values is taken for protocols, and where values are ranks, nearly all of which begin
 * or end a range. */
#define DIRECT_MAX  256u
#define DIRECT_RATE 4u

static const uint32_t dim_max[DIM__MAX] = { UINT32_MAX, UINT32_MAX, 0xffff, 0xffff,
					    0xff,       0xffff,     0xffff };

/* Different rows, numbered as they came. */
struct row_set {
	uint64_t *row;
	uint32_t *slot; /* open addressing: number + 1, 0 = free */
	size_t n, cap, n_slots;
};

/* A field split into parts: part i ends with end[i], the last one with the field. */
struct split {
	uint32_t *end;
	uint16_t *class_of;
	size_t n_ends;
};

struct event {
	uint32_t at, rule;
};

struct vec_builder {
	const struct cls_core_rule *rules;
	size_t n, words; /* of a row */
	size_t budget;
	bool zones;
	struct row_set set[DIM__MAX];
	struct split split[DIM__MAX];
	struct row_set folded[VEC_FOLDS];
	uint16_t *fold[VEC_FOLDS];
	unsigned n_folds;
};

static void row_set_fini(struct row_set *s)
{
	free(s->row);
	free(s->slot);
}

static uint64_t *row_at(const struct vec_builder *b, const struct row_set *s, size_t i)
{
	return s->row + i * b->words;
}

static size_t row_hash(const struct vec_builder *b, const uint64_t *row)
{
	uint64_t h = 0;

	for (size_t i = 0; i < b->words; i++)
		h = hash_mix64(h ^ row[i]);
	return h;
}

static int row_set_grow(const struct vec_builder *b, struct row_set *s)
{
	size_t cap = MAX(s->cap * 2, (size_t)64), row_bytes = b->words * sizeof(*s->row);
	uint64_t *row = realloc(s->row, cap * row_bytes);
	uint32_t *slot = calloc(cap * 2, sizeof(*slot));

	if (row)
		s->row = row;
	if (!row || !slot) {
		free(slot);
		return -ENOMEM;
	}
	free(s->slot);
	s->slot = slot;
	s->cap = cap;
	s->n_slots = cap * 2;
	for (size_t i = 0; i < s->n; i++) {
		size_t h = row_hash(b, row_at(b, s, i)) & (s->n_slots - 1);

		while (slot[h])
			h = (h + 1) & (s->n_slots - 1);
		slot[h] = (uint32_t)i + 1;
	}
	return 0;
}

/* The number of the row in the set, where it is put if it is new. */
static int row_class(const struct vec_builder *b, struct row_set *s, const uint64_t *row,
		     uint16_t *ret)
{
	size_t bytes = b->words * sizeof(*row), h;
	int r = s->n < s->cap ? 0 : row_set_grow(b, s);

	if (r)
		return r;
	h = row_hash(b, row) & (s->n_slots - 1);
	for (; s->slot[h]; h = (h + 1) & (s->n_slots - 1)) {
		if (!memcmp(row_at(b, s, s->slot[h] - 1), row, bytes)) {
			*ret = (uint16_t)(s->slot[h] - 1);
			return 0;
		}
	}
	if (s->n > UINT16_MAX || (s->n + 1) * bytes > b->budget)
		return -E2BIG;
	memcpy(row_at(b, s, s->n), row, bytes);
	*ret = (uint16_t)s->n++;
	s->slot[h] = (uint32_t)s->n;
	return 0;
}

static int event_cmp(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* Where the rules' ranges of d begin and what follows their ends, sorted. */
static size_t events_of(const struct vec_builder *b, unsigned d, struct event *ret)
{
	size_t m = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		const struct cls_core_rule *r = &b->rules[i];

		ret[m++] = (struct event){ r->lo[d], i };
		if (r->hi[d] < dim_max[d])
			ret[m++] = (struct event){ r->hi[d] + 1, i };
	}
	qsort(ret, m, sizeof(*ret), event_cmp);
	return m;
}

static int split_field(struct vec_builder *b, unsigned d)
{
	struct event *ev = malloc((2 * b->n + 1) * sizeof(*ev));
	uint64_t *row = calloc(b->words, sizeof(*row));
	struct split *s = &b->split[d];
	size_t m, i = 0;
	int r = -ENOMEM;

	s->end = malloc((2 * b->n + 1) * sizeof(*s->end));
	s->class_of = malloc((2 * b->n + 1) * sizeof(*s->class_of));
	if (!ev || !row || !s->end || !s->class_of)
		goto out;
	m = events_of(b, d, ev);
	/* Nothing has begun before the first event, unless that is at 0. */
	for (uint32_t at = 0;; at = ev[i].at) {
		for (; i < m && ev[i].at == at; i++)
			row[ev[i].rule / 64] ^= 1ull << ev[i].rule % 64;
		r = row_class(b, &b->set[d], row, &s->class_of[s->n_ends]);
		if (r || i == m)
			break;
		s->end[s->n_ends++] = ev[i].at - 1;
	}
out:
	free(ev);
	free(row);
	return r;
}

/* out = the rows of all pairs of x and y, and their classes. */
static int fold_sets(const struct vec_builder *b, const struct row_set *x, const struct row_set *y,
		     struct row_set *out, uint16_t **ret_class_of)
{
	uint16_t *class_of;
	uint64_t *row;
	int r = -ENOMEM;

	if (x->n * y->n > MAX_PAIRS || x->n * y->n * sizeof(*class_of) > b->budget)
		return -E2BIG;
	class_of = malloc(x->n * y->n * sizeof(*class_of));
	row = malloc(b->words * sizeof(*row));
	if (!class_of || !row)
		goto out;
	r = 0;
	for (size_t i = 0; i < x->n && !r; i++) {
		for (size_t j = 0; j < y->n && !r; j++) {
			for (size_t w = 0; w < b->words; w++)
				row[w] = row_at(b, x, i)[w] & row_at(b, y, j)[w];
			r = row_class(b, out, row, &class_of[i * y->n + j]);
		}
	}
out:
	free(row);
	if (r)
		free(class_of);
	else
		*ret_class_of = class_of;
	return r;
}

static int fold_fields(struct vec_builder *b)
{
	const struct row_set *before = &b->set[DIM_SPORT];

	b->n_folds = b->zones ? VEC_FOLDS : VEC_FOLDS - 2;
	for (unsigned i = 0; i < b->n_folds; i++) {
		int r = fold_sets(b, before, &b->set[DIM_DPORT + i], &b->folded[i], &b->fold[i]);

		if (r)
			return r;
		before = &b->folded[i];
	}
	return 0;
}

/* Lays the parts of the final block out one after the other: without a block, only counts. */
struct layout {
	uint8_t *base;
	size_t used;
};

static void *place(struct layout *l, size_t bytes)
{
	uint8_t *at = l->base ? l->base + l->used : NULL;

	l->used += ROUND_UP(bytes, (size_t)RTR_CACHELINE);
	return at;
}

static const void *place_copy(struct layout *l, const void *from, size_t bytes)
{
	void *at = place(l, bytes);

	if (at)
		memcpy(at, from, bytes);
	return at;
}

/* The ends between the children, of child_parts parts each, of a node of the level at level_at. */
static void write_node(int32_t *nodes, size_t level_at, size_t node, size_t child_parts,
		       const struct split *s)
{
	for (size_t i = 0; i < VEC_NODE; i++) {
		size_t e = (node * (VEC_NODE + 1) + i + 1) * child_parts - 1;
		uint32_t end = e < s->n_ends ? s->end[e] : UINT32_MAX;

		nodes[(level_at + node) * VEC_NODE + i] = (int32_t)(end ^ VEC_BIAS);
	}
}

static void place_search(struct layout *l, struct cls_axis *a, const struct split *s)
{
	size_t parts = 1, n_nodes = 0, of_level = 1;
	int32_t *nodes;

	for (a->steps = 0; parts <= s->n_ends || !a->steps; a->steps++) {
		parts *= VEC_NODE + 1;
		n_nodes += of_level;
		of_level *= VEC_NODE + 1;
	}
	nodes = place(l, n_nodes * VEC_NODE * sizeof(*nodes));
	a->end = nodes;
	a->class_of = place_copy(l, s->class_of, (s->n_ends + 1) * sizeof(*s->class_of));
	if (!nodes)
		return;
	for (size_t at = 0, of = 1; at < n_nodes; at += of, of *= VEC_NODE + 1) {
		parts /= VEC_NODE + 1;
		for (size_t i = 0; i < of; i++)
			write_node(nodes, at, i, parts, s);
	}
}

static void place_axis(struct layout *l, struct cls_axis *a, const struct split *s)
{
	uint16_t *table;
	size_t part = 0;

	a->last = s->n_ends ? s->end[s->n_ends - 1] + 1 : 0;
	if (a->last > DIRECT_MAX && a->last / DIRECT_RATE > s->n_ends) {
		place_search(l, a, s);
		return;
	}
	a->steps = 0;
	table = place(l, (a->last + 1ul) * sizeof(*table));
	a->class_of = table;
	for (uint32_t v = 0; table && v <= a->last; v++) {
		table[v] = s->class_of[part];
		part += part < s->n_ends && s->end[part] == v;
	}
}

static const uint64_t *place_rows(const struct vec_builder *b, struct layout *l,
				  const struct row_set *s)
{
	return place_copy(l, s->row, s->n * b->words * sizeof(*s->row));
}

static void place_all(const struct vec_builder *b, struct layout *l, struct cls_vec *v,
		      const uint32_t *id)
{
	const struct row_set *before = &b->set[DIM_SPORT];
	struct cls_vec_rule *rule;

	for (unsigned d = 0; d < DIM_DPORT + b->n_folds; d++)
		place_axis(l, &v->axis[d], &b->split[d]);
	for (unsigned i = 0; i < b->n_folds; i++) {
		v->fold[i].n = (uint32_t)b->set[DIM_DPORT + i].n;
		v->fold[i].class_of = place_copy(l, b->fold[i],
						 before->n * v->fold[i].n * sizeof(*b->fold[i]));
		before = &b->folded[i];
	}
	v->src = place_rows(b, l, &b->set[DIM_SRC]);
	v->dst = place_rows(b, l, &b->set[DIM_DST]);
	v->rest = place_rows(b, l, before);
	rule = place(l, b->n * sizeof(*rule));
	v->rule = rule;
	for (size_t i = 0; rule && i < b->n; i++) {
		uint32_t order = b->rules[i].order;

		rule[i] = (struct cls_vec_rule){ id[order], order << 1 | b->rules[i].extra };
	}
}

/* The block is counted, allocated, and filled. */
static int emit(const struct vec_builder *b, struct cls_vec *ret, const uint32_t *id)
{
	struct cls_vec v = { .lines = (unsigned)(b->words / VEC_LINE_WORDS),
			     .n_folds = b->n_folds };
	struct layout l = { 0 };

	place_all(b, &l, &v, id);
	v.bytes = l.used + RTR_CACHELINE;
	if (v.bytes > b->budget)
		return -E2BIG;
	v.mem = malloc(v.bytes);
	if (!v.mem)
		return -ENOMEM;
	l.base = (uint8_t *)ROUND_UP((uintptr_t)v.mem, (uintptr_t)RTR_CACHELINE);
	l.used = 0;
	place_all(b, &l, &v, id);
	*ret = v;
	return 0;
}

int cls_vec_build(struct cls_vec *v, const struct cls_core_rule *rules, size_t n,
		  const uint32_t *id)
{
	struct vec_builder b = {
		.rules = rules,
		.n = n,
		.words = ROUND_UP(MAX(n, (size_t)1), (size_t)VEC_LINE_RULES) / 64,
		.budget = CLS_ARENA_PER_RULE * n + CLS_ARENA_FIXED,
	};
	int r = n > VEC_MAX_RULES ? -E2BIG : 0;

	for (size_t i = 0; i < n; i++)
		b.zones |= rules[i].lo[DIM_ZONE_IN] || rules[i].lo[DIM_ZONE_OUT];
	for (unsigned d = 0; d < (b.zones ? DIM__MAX : DIM_ZONE_IN) && !r; d++)
		r = split_field(&b, d);
	if (!r)
		r = fold_fields(&b);
	if (!r)
		r = emit(&b, v, id);
	for (unsigned d = 0; d < DIM__MAX; d++) {
		row_set_fini(&b.set[d]);
		free(b.split[d].end);
		free(b.split[d].class_of);
	}
	for (unsigned i = 0; i < VEC_FOLDS; i++) {
		row_set_fini(&b.folded[i]);
		free(b.fold[i]);
	}
	return r;
}
