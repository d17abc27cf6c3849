/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_box_impl.h"

#include <stdlib.h>
#include <string.h>

/* With fewer boxes looking at each costs less than an index. */
#define INDEX_BOXES 256

void lb_push(struct lb_boxes *b, const struct lb_box *x)
{
	if (b->n == b->room) {
		b->room = MAX(b->room * 2, (size_t)64);
		b->v = xrealloc(b->v, b->room * sizeof(*b->v));
	}
	b->v[b->n++] = *x;
}

void lb_push_all(struct lb_boxes *to, const struct lb_boxes *from)
{
	for (size_t i = 0; i < from->n; i++)
		lb_push(to, &from->v[i]);
}

/* ---- overlaps: boxes sorted by one address, with the highest end below each ---- */

struct span {
	lb_num lo, hi;
	lb_num top; /* highest hi in the half-open part of the array whose middle this is */
	size_t box;
};

/* By destination and by source: a box is looked for by the one with fewer candidates. */
struct index {
	size_t n;
	const struct lb_boxes *boxes;
	struct span *v[2];
	size_t wide[2]; /* boxes that are not specific in it */
};

static int span_cmp(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return x->box < y->box ? -1 : x->box > y->box;
}

static lb_num index_tops(struct span *v, size_t lo, size_t hi)
{
	size_t mid = lo + (hi - lo) / 2;
	lb_num top, t;

	if (lo == hi)
		return 0;
	top = v[mid].hi;
	t = index_tops(v, lo, mid);
	top = MAX(top, t);
	t = index_tops(v, mid + 1, hi);
	top = MAX(top, t);
	return v[mid].top = top;
}

static struct index index_build(const struct lb_boxes *b)
{
	struct index ix = { .n = b->n, .boxes = b };

	for (int f = LB_DST; f <= LB_SRC; f++) {
		struct span *v = xcalloc(b->n + 1, sizeof(*v));

		for (size_t i = 0; i < b->n; i++)
			v[i] = (struct span){ b->v[i].lo[f], b->v[i].hi[f], 0, i };
		qsort(v, b->n, sizeof(*v), span_cmp);
		index_tops(v, 0, b->n);
		ix.v[f] = v;
		for (size_t i = 0; i < b->n; i++)
			ix.wide[f] += v[i].hi - v[i].lo > v[b->n / 2].top >> LB_SPECIFIC_BITS;
	}
	return ix;
}

static void index_drop(struct index *ix)
{
	free(ix->v[LB_DST]);
	free(ix->v[LB_SRC]);
}

struct found {
	size_t n, room, *v;
};

static void found_add(struct found *f, size_t box)
{
	if (f->n == f->room) {
		f->room = MAX(f->room * 2, (size_t)64);
		f->v = xrealloc(f->v, f->room * sizeof(*f->v));
	}
	f->v[f->n++] = box;
}

struct search {
	const struct index *ix;
	const struct lb_box *x;
	enum lb_field f;
	size_t from, to;
	struct found *ret;
};

static void search_part(const struct search *s, size_t lo, size_t hi)
{
	const struct span *v = s->ix->v[s->f];

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct span *m = &v[mid];

		if (m->top < s->x->lo[s->f])
			return;
		search_part(s, lo, mid);
		if (m->lo > s->x->hi[s->f])
			return;
		if (m->hi >= s->x->lo[s->f] && m->box >= s->from && m->box < s->to &&
		    lb_overlap(&s->ix->boxes->v[m->box], s->x)) {
			found_add(s->ret, m->box);
		}
		lo = mid + 1;
	}
}

static size_t starts_below(const struct index *ix, enum lb_field f, lb_num value)
{
	size_t lo = 0, hi = ix->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ix->v[f][mid].lo < value)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* About how many boxes overlap x in a field. */
static size_t candidates(const struct index *ix, const struct lb_box *x, enum lb_field f)
{
	return starts_below(ix, f, x->hi[f]) + 1 - starts_below(ix, f, x->lo[f]) + ix->wide[f];
}

/* Boxes of the index that overlap x and whose number is in [from, to). */
static void index_find(const struct index *ix, const struct lb_box *x, size_t from, size_t to,
		       struct found *ret)
{
	bool by_src = candidates(ix, x, LB_SRC) < candidates(ix, x, LB_DST);
	struct search s = { ix, x, by_src ? LB_SRC : LB_DST, from, to, ret };

	search_part(&s, 0, ix->n);
}

static int size_cmp(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

/* ---- cutting ---- */

/* What of z is not in y: up to two boxes a field. The addresses first: their ranges then are
 * few and whole, and a range costs the kernel up to twice its bits. */
static void cut(struct lb_boxes *out, struct lb_box z, const struct lb_box *y)
{
	for (int f = 0; f < LB_FIELDS; f++) {
		if (z.lo[f] < y->lo[f]) {
			struct lb_box w = z;

			w.hi[f] = y->lo[f] - 1;
			z.lo[f] = y->lo[f];
			lb_push(out, &w);
		}
		if (z.hi[f] > y->hi[f]) {
			struct lb_box w = z;

			w.lo[f] = y->hi[f] + 1;
			z.hi[f] = y->hi[f];
			lb_push(out, &w);
		}
	}
}

/* x without the boxes of `in` that f names, to out. False: more than max pieces. */
static bool cut_all(struct lb_boxes *out, const struct lb_box *x, const struct lb_boxes *in,
		    const struct found *f, size_t max)
{
	struct lb_boxes cur = { 0 }, next = { 0 };
	bool fits = true;

	lb_push(&cur, x);
	for (size_t k = 0; k < f->n && cur.n && fits; k++) {
		const struct lb_box *y = &in->v[f->v[k]];
		struct lb_boxes t = cur;

		next.n = 0;
		for (size_t p = 0; p < cur.n; p++) {
			if (lb_overlap(&cur.v[p], y))
				cut(&next, cur.v[p], y);
			else
				lb_push(&next, &cur.v[p]);
		}
		cur = next;
		next = t;
		fits = cur.n <= max;
	}
	for (size_t p = 0; p < cur.n; p++)
		lb_push(out, &cur.v[p]);
	free(cur.v);
	free(next.v);
	return fits;
}

/* Earlier boxes that overlap one. */
static void find_before(const struct lb_boxes *in, const struct index *ix, size_t i,
			struct found *f)
{
	f->n = 0;
	if (ix->n) {
		index_find(ix, &in->v[i], 0, i, f);
		if (f->n)
			qsort(f->v, f->n, sizeof(*f->v), size_cmp);
		return;
	}
	for (size_t k = 0; k < i; k++)
		if (lb_overlap(&in->v[k], &in->v[i]))
			found_add(f, k);
}

bool lb_disjoint(const struct lb_boxes *in, struct lb_boxes *out, size_t max)
{
	struct index ix = { .n = 0 };
	struct found f = { 0 };
	bool fits = true;

	if (in->n > INDEX_BOXES)
		ix = index_build(in);
	for (size_t i = 0; i < in->n && fits; i++) {
		find_before(in, &ix, i, &f);
		if (f.n)
			fits = cut_all(out, &in->v[i], in, &f, max);
		else
			lb_push(out, &in->v[i]);
		fits = fits && out->n <= max;
	}
	index_drop(&ix);
	free(f.v);
	return fits;
}

static int rank_cmp(const void *a, const void *b)
{
	const struct lb_box *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return memcmp(x->lo, y->lo, sizeof(x->lo));
}

void lb_sort_by_rank(struct lb_boxes *b)
{
	if (b->n)
		qsort(b->v, b->n, sizeof(*b->v), rank_cmp);
}

size_t lb_first_after(const struct lb_boxes *b, uint32_t rank)
{
	size_t lo = 0, hi = b->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->v[mid].rank <= rank)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The lowest rank of `ranks` above `rank` begins somewhere in (highest one below, rank + 1]: the
 * number there with the most zeros at its end, because a range from it splits into the fewest
 * aligned parts in the kernel. */
static uint32_t rank_from(const struct lb_boxes *ranks, uint32_t rank)
{
	size_t lo = rank ? lb_first_after(ranks, rank - 1) : 0;
	uint32_t below, top = rank + 1;

	if (lo == 0)
		return 0;
	below = ranks->v[lo - 1].rank;
	while ((top & (top - 1)) > below)
		top &= top - 1;
	return top;
}

void lb_set_froms(struct lb_boxes *b, const struct lb_boxes *over)
{
	for (size_t i = 0; i < b->n; i++)
		b->v[i].from = rank_from(over, b->v[i].rank);
}
