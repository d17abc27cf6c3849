/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_box_impl.h"

#include <stdlib.h>
#include <string.h>

/* Cuts of a table; after that a part is as large as it is. The kernel follows 16 chains at most,
 * so C, which is behind the others, has one less. */
#define MAX_DEPTH 2
/* What a part costs at commit, in lines: its chain and its element of the map. */
#define PART_LINES 1
/* Of B it is this part of C, too: lines that come before some of B are taken in by each part. */
#define PART_OF_C 32
/* What twice as many lines at commit are worth, in lines that a packet meets. The first cut is
 * followed by another, which has the fewer lines still to tell apart. */
static const double copy_lines[MAX_DEPTH] = { 100, 16 };
/* In a part of more lines nobody looks which of them hide others. */
#define MAX_HIDE 512

struct lb_set lb_set_of(const struct lb_boxes *b, uint8_t family)
{
	struct lb_set s = { .n = b->n, .box = b->v };

	for (int f = 0; f < LB_FIELDS; f++)
		for (size_t i = 0; i < b->n; i++)
			if (b->v[i].lo[f] != 0 || b->v[i].hi[f] != lb_max(family, f))
				s.used |= (uint8_t)(1u << f);
	/* A set of several fields has two, and those of the ports are not in all classes. */
	if (!(s.used & (s.used - 1)))
		s.used |= 1u << LB_DST | 1u << LB_SRC;
	return s;
}

/* ---- where to cut ---- */

/* A value at which boxes begin, or behind which one ends. */
struct bound {
	lb_num v;
	size_t starts, ends;
	size_t before; /* boxes that start at lower values */
	size_t cross;  /* of those, the ones that end behind this value */
};

struct bounds {
	enum lb_field field;
	size_t n;
	struct bound *v; /* ascending; the first is 0 */
};

struct cuts {
	enum lb_field field;
	size_t n;
	lb_num *v;
	double cost; /* in lines that a packet meets, on average */
};

static int bound_cmp(const void *a, const void *b)
{
	const struct bound *x = a, *y = b;

	return x->v < y->v ? -1 : x->v > y->v;
}

/* The caller frees v. */
static struct bounds bounds_of(const struct lb_boxes *b, enum lb_field f, uint8_t family)
{
	struct bounds s = { .field = f, .v = xcalloc(2 * b->n + 1, sizeof(*s.v)) };
	size_t n = 1, open = 0;

	for (size_t i = 0; i < b->n; i++) {
		s.v[n++] = (struct bound){ .v = b->v[i].lo[f], .starts = 1 };
		if (b->v[i].hi[f] < lb_max(family, f))
			s.v[n++] = (struct bound){ .v = b->v[i].hi[f] + 1, .ends = 1 };
	}
	qsort(s.v, n, sizeof(*s.v), bound_cmp);
	for (size_t i = 1; i < n; i++) {
		struct bound *last = &s.v[s.n];

		if (s.v[i].v == last->v) {
			last->starts += s.v[i].starts;
			last->ends += s.v[i].ends;
		} else {
			s.v[++s.n] = s.v[i];
		}
	}
	s.n++;
	for (size_t i = 0; i < s.n; i++) {
		s.v[i].before = i ? s.v[i - 1].before + s.v[i - 1].starts : 0;
		s.v[i].cross = open - s.v[i].ends;
		open = s.v[i].cross + s.v[i].starts;
	}
	return s;
}

struct search {
	const struct bounds *s;
	size_t n_boxes;
	double part, copy; /* PART_LINES and more, copy_lines */
};

/* Where the part that begins at bound `from` ends: before it has more than `size` boxes that begin
 * in it, and where the fewest go on for as many as it has. s->n: there is no next part. */
static size_t part_end(const struct search *x, size_t from, size_t size)
{
	const struct bounds *s = x->s;
	size_t best = from + 1;
	double least = 0;

	for (size_t i = from + 1; i <= s->n; i++) {
		size_t has = (i < s->n ? s->v[i].before : x->n_boxes) - s->v[from].before;
		double cost;

		if (has > size && i > from + 1)
			break;
		if (i == s->n)
			return i;
		cost = ((double)s->v[i].cross + x->part) / ((double)has + 0.5);
		if (i == from + 1 || cost <= least) {
			best = i;
			least = cost;
		}
	}
	return best;
}

/* Takes cuts into parts of about a size when they are better than `best`. */
static void cuts_try(const struct search *x, size_t size, struct cuts *best)
{
	const struct bounds *s = x->s;
	struct cuts c = { .field = s->field, .v = xcalloc(s->n, sizeof(*c.v)) };
	size_t copies = 0, next;
	double sum = 0;

	for (size_t from = 0; from < s->n; from = next) {
		size_t has;

		next = part_end(x, from, size);
		has = s->v[from].cross + (next < s->n ? s->v[next].before : x->n_boxes) -
		      s->v[from].before;
		c.v[c.n++] = s->v[from].v;
		copies += has;
		sum += (double)has * (double)has;
	}
	c.cost = sum / (double)MAX(copies, (size_t)1) +
		 x->copy * ((double)copies + x->part * (double)c.n) / (double)x->n_boxes;
	if (c.n < 2 || copies > 2 * x->n_boxes || best->cost <= c.cost) {
		free(c.v);
		return;
	}
	free(best->v);
	*best = c;
}

/* v NULL: not at all. */
static struct cuts cuts_find(const struct lb_boxes *b, const struct lb_build *build, unsigned depth)
{
	struct search x = { .n_boxes = b->n, .part = PART_LINES };
	struct cuts best = { .v = NULL };

	if (b->n <= 2 * LB_LEAF || depth >= MAX_DEPTH)
		return best;
	if (build->is_b)
		x.part += (double)(build->n_c / PART_OF_C);
	x.copy = copy_lines[depth];
	best.cost = (double)b->n + x.copy;
	for (enum lb_field f = LB_DST; f < LB_FIELDS; f++) {
		struct bounds s = bounds_of(b, f, build->family);

		x.s = &s;
		for (size_t size = LB_LEAF / 2; s.n > 1 && size < b->n; size *= 2)
			cuts_try(&x, size, &best);
		free(s.v);
	}
	return best;
}

static size_t part_of(const struct cuts *c, lb_num value)
{
	size_t lo = 0, hi = c->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->v[mid] <= value)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* ---- parts ---- */

static bool covers(const struct lb_box *a, const struct lb_box *b)
{
	for (int f = 0; f < LB_FIELDS; f++)
		if (a->lo[f] > b->lo[f] || a->hi[f] < b->hi[f])
			return false;
	return true;
}

/* What both have; they overlap. All else is of a. */
static struct lb_box clip(const struct lb_box *a, const struct lb_box *b)
{
	struct lb_box x = *a;

	for (int d = 0; d < LB_FIELDS; d++) {
		x.lo[d] = MAX(x.lo[d], b->lo[d]);
		x.hi[d] = MIN(x.hi[d], b->hi[d]);
	}
	return x;
}

static void widen(struct lb_box *hull, const struct lb_box *x)
{
	for (int d = 0; d < LB_FIELDS; d++) {
		hull->lo[d] = MIN(hull->lo[d], x->lo[d]);
		hull->hi[d] = MAX(hull->hi[d], x->hi[d]);
	}
}

static bool before_any(const struct lb_box *x, const struct lb_boxes *b, size_t from)
{
	for (size_t i = from; i < b->n; i++)
		if (lb_overlap(x, &b->v[i]))
			return true;
	return false;
}

/* Which of lb_build.later have to do with a part, ascending. */
struct near {
	size_t n;
	uint32_t *v;
};

/* A part while it is made. */
struct part {
	const struct lb_build *x;
	struct lb_box at, hull; /* hull: of its boxes */
	struct lb_boxes own, taken;
	struct near near; /* those that may come before a box of it */
};

static bool is_b(const struct lb_build *x, const struct lb_box *b)
{
	return lb_specific(b, x->other, x->family);
}

/* Of those of the part around it; NULL: of all. The caller frees v. */
static struct near near_of(const struct lb_build *x, const struct near *around,
			   const struct lb_box *at)
{
	size_t n = around ? around->n : x->later.n;
	struct near ret = { .v = xcalloc(n + 1, sizeof(*ret.v)) };

	for (size_t i = 0; i < n; i++) {
		uint32_t k = around ? around->v[i] : (uint32_t)i;
		const struct lb_box *b = &x->later.v[k];

		if (lb_overlap(b, at) && !(x->is_b && !around && is_b(x, b)))
			ret.v[ret.n++] = k;
	}
	return ret;
}

/* Takes in what of later tables comes before boxes of the part, or before what was taken in: from
 * the last one up, so that this is known. False: too many, none. */
static bool take_in(struct part *p, bool b_too, size_t max)
{
	struct lb_box hull = p->hull;

	for (size_t i = p->near.n; i-- > 0 && p->taken.n <= max;) {
		const struct lb_box *b = &p->x->later.v[p->near.v[i]];

		if (!lb_overlap(b, &p->hull) || (!b_too && is_b(p->x, b)) ||
		    (!before_any(b, &p->own, lb_first_after(&p->own, b->rank)) &&
		     !before_any(b, &p->taken, 0)))
			continue;
		lb_push(&p->taken, b);
		widen(&p->hull, b);
	}
	if (p->taken.n <= max)
		return true;
	p->taken.n = 0;
	p->hull = hull;
	return false;
}

/* What of later tables was not taken in is asked for. */
static void let_ask(const struct part *p, struct lb_boxes *lines, bool c_too)
{
	for (size_t i = 0; i < p->near.n; i++) {
		const struct lb_box *b = &p->x->later.v[p->near.v[i]];

		if (!lb_overlap(b, &p->hull) || (!c_too && !is_b(p->x, b)))
			continue;
		for (size_t k = lb_first_after(lines, b->rank); k < lines->n; k++) {
			if (!lb_overlap(b, &lines->v[k]))
				continue;
			lines->v[k].asks = true;
			if (p->x->early)
				p->x->early[p->near.v[i]] = true;
		}
	}
}

/* Own ones and those taken in, but for those that cannot be the first to match. */
static struct lb_boxes part_lines(const struct part *p)
{
	struct lb_boxes all = { 0 };
	size_t n = 0;

	lb_push_all(&all, &p->own);
	lb_push_all(&all, &p->taken);
	lb_sort_by_rank(&all);
	for (size_t i = 0; i < all.n && all.n <= MAX_HIDE; i++) {
		struct lb_box in = clip(&all.v[i], &p->at);
		bool hidden = false;

		for (size_t k = 0; k < n && !hidden; k++)
			hidden = covers(&all.v[k], &in);
		if (!hidden)
			all.v[n++] = all.v[i];
	}
	if (all.n <= MAX_HIDE)
		all.n = n;
	return all;
}

/* Many lines as a set. */
static bool part_table(struct lb_node *leaf, const struct lb_boxes *lines, uint8_t family)
{
	struct lb_boxes out = { 0 };
	size_t n = 0;

	if (lines->n <= LB_RULES || !lb_disjoint(lines, &out, LB_SET_TIMES * lines->n)) {
		free(out.v);
		return false;
	}
	for (size_t i = 0; i < out.n; i++)
		if (lb_overlap(&out.v[i], &leaf->at))
			out.v[n++] = out.v[i];
	out.n = n;
	leaf->set = lb_set_of(&out, family);
	return true;
}

/* Takes the boxes. */
static void leaf_make(struct lb_node *leaf, const struct lb_boxes *own, const struct lb_box *at,
		      const struct lb_build *x, const struct near *near)
{
	struct part p = { .x = x, .at = *at, .own = *own };
	struct lb_boxes lines;
	bool all, c;

	if (own->n) {
		uint32_t last = own->v[own->n - 1].rank;

		p.near = *near;
		p.hull = own->v[0];
		while (p.near.n && x->later.v[p.near.v[p.near.n - 1]].rank > last)
			p.near.n--;
	}
	for (size_t i = 1; i < own->n; i++)
		widen(&p.hull, &own->v[i]);
	all = take_in(&p, true, LB_TAKE);
	c = all || take_in(&p, false, x->take_c);
	lines = part_lines(&p);
	if (!all)
		let_ask(&p, &lines, !c);
	*leaf = (struct lb_node){
		.leaf = true, .fresh = true, .own = { .n = own->n, .box = own->v }, .at = *at
	};
	leaf->table = part_table(leaf, &lines, x->family);
	if (leaf->table)
		free(lines.v);
	else
		leaf->set = (struct lb_set){ .n = lines.n, .box = lines.v };
	free(p.taken.v);
}

/* ---- tables ---- */

static struct lb_box region_of(const struct lb_node *node, size_t part, const struct lb_box *at)
{
	struct lb_box r = *at;

	r.lo[node->field] = MAX(r.lo[node->field], node->from[part]);
	if (part + 1 < node->n)
		r.hi[node->field] = node->from[part + 1] - 1;
	return r;
}

/* Takes the boxes. */
static void node_build(struct lb_node *node, struct lb_boxes *b, const struct lb_box *at,
		       const struct lb_build *x, const struct near *around, unsigned depth)
{
	struct near near = near_of(x, around, at);
	struct cuts c = cuts_find(b, x, depth);
	struct lb_boxes *part;

	if (!c.v) {
		leaf_make(node, b, at, x, &near);
		free(near.v);
		return;
	}
	part = xcalloc(c.n, sizeof(*part));
	for (size_t i = 0; i < b->n; i++) {
		size_t last = part_of(&c, b->v[i].hi[c.field]);

		for (size_t p = part_of(&c, b->v[i].lo[c.field]); p <= last; p++)
			lb_push(&part[p], &b->v[i]);
	}
	*node = (struct lb_node){ .fresh = true,
				  .field = c.field,
				  .n = c.n,
				  .from = c.v,
				  .part = xcalloc(c.n, sizeof(*node->part)) };
	for (size_t p = 0; p < c.n; p++) {
		struct lb_box region = region_of(node, p, at);

		node_build(&node->part[p], &part[p], &region, x, &near, depth + 1);
	}
	free(near.v);
	free(part);
	free(b->v);
}

static struct lb_box everything(uint8_t family)
{
	struct lb_box all = { 0 };

	for (int f = 0; f < LB_FIELDS; f++)
		all.hi[f] = lb_max(family, (enum lb_field)f);
	return all;
}

void lb_tree_build(struct lb_node *node, const struct lb_boxes *b, const struct lb_build *x,
		   unsigned depth)
{
	struct lb_box all = everything(x->family);
	struct lb_boxes copy = { 0 };

	lb_push_all(&copy, b);
	node_build(node, &copy, &all, x, NULL, depth);
}

void lb_tree_drop(struct lb_node *node)
{
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		lb_tree_drop(&node->part[i]);
	free(node->set.box);
	free(node->own.box);
	free(node->from);
	free(node->part);
	*node = (struct lb_node){ .leaf = true };
}

/* ---- patches ---- */

static bool is_gone(const struct lb_boxes *gone, const struct lb_box *x)
{
	for (size_t i = 0; i < gone->n; i++)
		if (gone->v[i].line == x->line)
			return true;
	return false;
}

static void patch_leaf(struct lb_node *node, const struct lb_change *c, const struct lb_build *x,
		       unsigned depth)
{
	struct lb_box at = node->at;
	struct lb_boxes own = { 0 };

	for (size_t i = 0; i < node->own.n; i++)
		if (!is_gone(&c->gone, &node->own.box[i]))
			lb_push(&own, &node->own.box[i]);
	for (size_t i = 0; i < c->come.n; i++)
		if (lb_overlap(&c->come.v[i], &at))
			lb_push(&own, &c->come.v[i]);
	lb_sort_by_rank(&own);
	lb_tree_drop(node);
	node_build(node, &own, &at, x, NULL, depth);
}

static void patch_node(struct lb_node *node, const struct lb_change *c, const struct lb_build *x,
		       const struct lb_box *at, unsigned depth)
{
	if (!before_any(at, &c->gone, 0) && !before_any(at, &c->come, 0))
		return;
	if (node->leaf) {
		patch_leaf(node, c, x, depth);
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		struct lb_box region = region_of(node, i, at);
		bool empty = lb_tree_empty(&node->part[i]);

		patch_node(&node->part[i], c, x, &region, depth + 1);
		node->fresh |= lb_tree_empty(&node->part[i]) != empty;
	}
}

void lb_tree_patch(struct lb_node *node, const struct lb_change *c, const struct lb_build *x,
		   unsigned depth)
{
	struct lb_box all = everything(x->family);

	patch_node(node, c, x, &all, depth);
}

void lb_tree_stale(struct lb_node *node)
{
	node->fresh = false;
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		lb_tree_stale(&node->part[i]);
}

void lb_tree_asking(const struct lb_node *node, struct lb_boxes *to)
{
	for (size_t i = 0; node->leaf && i < node->set.n; i++) {
		struct lb_box x = { .rank = node->set.box[i].rank };

		if (node->table || node->set.box[i].asks)
			lb_push(to, &x);
	}
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		lb_tree_asking(&node->part[i], to);
}

void lb_tree_copies(const struct lb_node *node, struct id_table *to)
{
	for (size_t i = 0; node->leaf && !node->table && i < node->set.n; i++) {
		const struct lb_box *x = &node->set.box[i];
		struct lb_copies *c;

		if (x->asks)
			continue;
		c = id_table_take(to, (uint64_t)x->rank + 1);
		c->line = x->line;
		c->n++;
	}
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		lb_tree_copies(&node->part[i], to);
}
