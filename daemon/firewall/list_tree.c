/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_box_impl.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>

/* Cuts of a table; after that a part is as large as it is. The kernel follows 16 chains at most,
 * so late B and C have one less. */
#define MAX_DEPTH 2

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

/* Cut points of a field: values at which boxes begin, one in 2^shift of them, chosen by a hash of
 * the value. */
struct cuts {
	enum lb_field field;
	size_t n;
	lb_num *v;   /* ascending, the first is 0 */
	double cost; /* boxes that a lookup meets, on average */
};

static int num_cmp(const void *a, const void *b)
{
	lb_num x = *(const lb_num *)a, y = *(const lb_num *)b;

	return x < y ? -1 : x > y;
}

static unsigned num_zeros(lb_num x)
{
	uint64_t low = (uint64_t)x, high = (uint64_t)(x >> 64);

	return (unsigned)(low ? __builtin_ctzll(low) : high ? 64 + __builtin_ctzll(high) : 128);
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

/* Values of v at which to cut, about n / LB_LEAF: those with the most zeros at their ends, which
 * split the fewest prefixes, and among these by a hash. `v` has n_v different ones, the first is 0.
 */
static size_t cuts_choose(lb_num *v, size_t n_v, size_t n, unsigned zeros)
{
	size_t above = 0, level = 0, n_cut = 1, shift = 0, want = n / LB_LEAF + 1;
	unsigned least = zeros + 1;

	/* From the roundest values down to where they are enough. */
	do {
		least--;
		above += level;
		level = 0;
		for (size_t i = 1; i < n_v; i++)
			level += MIN(num_zeros(v[i]), zeros) == least;
	} while (above + level < want && least);
	while (above + (level >> shift) > want && level >> shift)
		shift++;
	for (size_t i = 1; i < n_v; i++) {
		unsigned z = MIN(num_zeros(v[i]), zeros);

		if (z > least ||
		    (z == least && !(hash_bytes(&v[i], sizeof(v[i]), 0) & ((1ull << shift) - 1))))
			v[n_cut++] = v[i];
	}
	return n_cut;
}

/* False: this field does not tell them apart, or at too high a price. `zeros`: values with more
 * zeros at their ends than these count as equally round; 0: a hash alone decides. */
static bool cuts_find(const struct lb_set *s, enum lb_field f, unsigned zeros, struct cuts *ret)
{
	lb_num *v = xcalloc(s->n + 1, sizeof(*v));
	size_t n = 1, copies = 0, *size;
	double sum = 0;

	for (size_t i = 0; i < s->n; i++)
		v[i + 1] = s->box[i].lo[f];
	qsort(v, s->n + 1, sizeof(*v), num_cmp);
	for (size_t i = 1; i <= s->n; i++)
		if (v[i] != v[n - 1])
			v[n++] = v[i];
	*ret = (struct cuts){ .field = f, .n = cuts_choose(v, n, s->n, zeros), .v = v };
	size = xcalloc(ret->n, sizeof(*size));
	for (size_t i = 0; i < s->n; i++) {
		size_t last = part_of(ret, s->box[i].hi[f]);

		for (size_t p = part_of(ret, s->box[i].lo[f]); p <= last; p++) {
			size[p]++;
			copies++;
		}
	}
	for (size_t p = 0; p < ret->n; p++)
		sum += (double)size[p] * (double)size[p];
	/* Copies cost, too. */
	ret->cost = sum / (double)MAX(copies, (size_t)1) * (double)copies / (double)s->n;
	free(size);
	if (ret->n > 1 && copies <= 2 * s->n + LB_LEAF && ret->cost * 2 < (double)s->n)
		return true;
	free(v);
	return false;
}

/* Takes the boxes. */
static void tree_cut(struct lb_node *node, const struct lb_boxes *b, uint8_t family, unsigned depth)
{
	struct lb_set set = { .n = b->n, .box = b->v };
	struct cuts best = { .v = NULL }, c;
	struct lb_boxes *part;

	for (enum lb_field f = LB_DST; set.n > 2 * LB_LEAF && depth < MAX_DEPTH && f < LB_FIELDS;
	     f++) {
		for (unsigned zeros = 0; zeros <= 16; zeros += 8) {
			if (!cuts_find(&set, f, zeros, &c))
				continue;
			if (best.v && best.cost <= c.cost) {
				free(c.v);
				continue;
			}
			free(best.v);
			best = c;
		}
	}
	if (!best.v) {
		*node = (struct lb_node){ .leaf = true, .set = set };
		return;
	}
	part = xcalloc(best.n, sizeof(*part));
	for (size_t i = 0; i < set.n; i++) {
		size_t last = part_of(&best, set.box[i].hi[best.field]);

		for (size_t p = part_of(&best, set.box[i].lo[best.field]); p <= last; p++)
			lb_push(&part[p], &set.box[i]);
	}
	*node = (struct lb_node){ .field = best.field,
				  .n = best.n,
				  .from = best.v,
				  .part = xcalloc(best.n, sizeof(*node->part)) };
	for (size_t p = 0; p < best.n; p++)
		tree_cut(&node->part[p], &part[p], family, depth + 1);
	free(part);
	free(set.box);
}

static void drop_guides(struct lb_node *node)
{
	size_t n = 0;

	for (size_t i = 0; node->leaf && i < node->set.n; i++)
		if (node->set.box[i].from != LB_GUIDE)
			node->set.box[n++] = node->set.box[i];
	node->set.n = n;
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		drop_guides(&node->part[i]);
}

void lb_tree_build(struct lb_node *node, const struct lb_boxes *b, const struct lb_boxes *guides,
		   uint8_t family, unsigned depth)
{
	struct lb_boxes all = { 0 };

	lb_push_all(&all, b);
	for (size_t i = 0; guides && i < guides->n; i++) {
		lb_push(&all, &guides->v[i]);
		all.v[all.n - 1].from = LB_GUIDE;
	}
	tree_cut(node, &all, family, depth);
	if (guides)
		drop_guides(node);
}

void lb_tree_drop(struct lb_node *node)
{
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		lb_tree_drop(&node->part[i]);
	free(node->set.box);
	free(node->beside.box);
	free(node->raw.box);
	free(node->from);
	free(node->part);
	*node = (struct lb_node){ .leaf = true };
}

/* ---- parts ---- */

struct part {
	struct lb_node *leaf;
	unsigned depth;
	struct lb_box region; /* of the values that lead to it */
};

struct parts {
	size_t n;
	struct part *v;
};

static void parts_add(struct parts *p, struct lb_node *node, struct lb_box region, unsigned depth)
{
	lb_num end = region.hi[node->leaf ? 0 : node->field];

	if (node->leaf) {
		p->v = xrealloc(p->v, (p->n + 1) * sizeof(*p->v));
		p->v[p->n++] = (struct part){ node, depth, region };
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		region.lo[node->field] = node->from[i];
		region.hi[node->field] = i + 1 < node->n ? node->from[i + 1] - 1 : end;
		parts_add(p, &node->part[i], region, depth + 1);
	}
}

/* The caller frees v. */
static struct parts parts_of(const struct lb_node *node, uint8_t family, unsigned depth)
{
	struct lb_box all = { 0 };
	struct parts p = { 0 };

	for (int f = 0; f < LB_FIELDS; f++)
		all.hi[f] = lb_max(family, (enum lb_field)f);
	parts_add(&p, (struct lb_node *)(uintptr_t)node, all, depth);
	return p;
}

static struct lb_boxes part_boxes(const struct part *p)
{
	return (struct lb_boxes){ .n = p->leaf->set.n, .v = p->leaf->set.box };
}

/* What of c comes before boxes of a part that it overlaps, to clips; is_early: boxes of c that do.
 * Once clips are more than room, only boxes that are not yet known to be early are looked at. */
static void part_early(const struct part *p, const struct lb_boxes *c, struct lb_boxes *clips,
		       size_t room, bool *is_early)
{
	struct lb_boxes in = part_boxes(p);

	for (size_t i = 0; i < c->n; i++) {
		if ((is_early[i] && clips->n > room) || !lb_overlap(&c->v[i], &p->region))
			continue;
		for (size_t k = lb_first_after(&in, c->v[i].rank); k < in.n; k++) {
			struct lb_box x;

			if (!lb_overlap(&c->v[i], &in.v[k]))
				continue;
			is_early[i] = true;
			if (clips->n > room)
				break;
			x = lb_clip(&c->v[i], &in.v[k]);
			lb_push(clips, &x);
		}
	}
}

/* A part's boxes, disjoint; those that its values do not meet are left out. */
static bool part_disjoint(const struct part *p, const struct lb_boxes *in, struct lb_boxes *out,
			  size_t max)
{
	bool fits = lb_disjoint(in, out, max);
	size_t n = 0;

	for (size_t i = 0; i < out->n; i++)
		if (lb_overlap(&out->v[i], &p->region))
			out->v[n++] = out->v[i];
	out->n = n;
	return fits;
}

/* The parts, which are disjoint, with their clips, when they are not many more boxes for it. */
static bool take_clips(struct parts *p, const struct lb_boxes *clips, size_t max)
{
	struct lb_boxes *mixed = xcalloc(p->n, sizeof(*mixed));
	bool fits = true;

	for (size_t i = 0; i < p->n && fits; i++) {
		struct lb_boxes both = { 0 }, in = part_boxes(&p->v[i]);

		if (!clips[i].n)
			continue;
		lb_push_all(&both, &in);
		lb_push_all(&both, &clips[i]);
		lb_sort_by_rank(&both);
		fits = part_disjoint(&p->v[i], &both, &mixed[i], in.n + max);
		max -= MIN(max, mixed[i].n - MIN(in.n, mixed[i].n));
		free(both.v);
	}
	for (size_t i = 0; i < p->n; i++) {
		struct lb_set *s = &p->v[i].leaf->set;

		if (fits && clips[i].n) {
			free(s->box);
			*s = (struct lb_set){ .n = mixed[i].n, .box = mixed[i].v };
		} else {
			free(mixed[i].v);
		}
	}
	free(mixed);
	return fits;
}

void lb_tree_settle(struct lb_node *node, const struct lb_boxes *c, uint8_t family,
		    struct lb_boxes *ret_early)
{
	struct parts p = parts_of(node, family, 0);
	struct lb_boxes *clips = xcalloc(p.n, sizeof(*clips));
	bool *is_early = xcalloc(c->n + 1, sizeof(*is_early));
	size_t n = 0, n_clips = 0, room = LB_LEAF;

	for (size_t i = 0; i < p.n; i++)
		n += p.v[i].leaf->set.n;
	room += n / 2;
	for (size_t i = 0; i < p.n; i++) {
		part_early(&p.v[i], c, &clips[i], n_clips > room ? 0 : room - n_clips, is_early);
		n_clips += clips[i].n;
	}
	for (size_t i = 0; i < c->n; i++)
		if (is_early[i])
			lb_push(ret_early, &c->v[i]);
	if (ret_early->n && n_clips <= room && take_clips(&p, clips, n / 4 + LB_LEAF))
		ret_early->n = 0;
	for (size_t i = 0; i < p.n; i++)
		free(clips[i].v);
	free(clips);
	free(is_early);
	free(p.v);
}

static void tree_sets(struct lb_node *node, uint8_t family)
{
	struct lb_boxes b = { .n = node->set.n, .v = node->set.box };

	if (node->leaf) {
		node->set = lb_set_of(&b, family);
		node->fresh = true;
	}
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		tree_sets(&node->part[i], family);
}

bool lb_tree_disjoint(struct lb_node *node, uint8_t family, size_t max)
{
	struct parts p = parts_of(node, family, 0);
	bool fits = true;

	for (size_t i = 0; i < p.n; i++) {
		struct lb_boxes in = part_boxes(&p.v[i]), out = { 0 };

		fits = fits && part_disjoint(&p.v[i], &in, &out, max);
		max -= MIN(max, out.n);
		p.v[i].leaf->whole = true;
		p.v[i].leaf->raw = (struct lb_set){ .n = in.n, .box = in.v };
		p.v[i].leaf->set = (struct lb_set){ .n = out.n, .box = out.v };
	}
	free(p.v);
	return fits;
}

static void part_finish(struct part *p, uint8_t family)
{
	struct lb_boxes b = part_boxes(p);
	struct lb_set raw = p->leaf->raw;

	tree_cut(p->leaf, &b, family, p->depth);
	p->leaf->whole = true;
	p->leaf->raw = raw;
	tree_sets(p->leaf, family);
}

void lb_tree_finish(struct lb_node *node, uint8_t family, unsigned depth)
{
	struct parts p = parts_of(node, family, depth);

	for (size_t i = 0; i < p.n; i++)
		part_finish(&p.v[i], family);
	free(p.v);
}

static bool parts_beside(struct parts *p, const struct lb_boxes *c, uint8_t family, size_t max)
{
	bool *is_early = xcalloc(c->n + 1, sizeof(*is_early));
	bool fits = true;

	for (size_t i = 0; c->n && i < p->n; i++) {
		struct lb_boxes early = { 0 }, out = { 0 }, over = part_boxes(&p->v[i]);

		memset(is_early, 0, c->n * sizeof(*is_early));
		part_early(&p->v[i], c, &out, 0, is_early);
		out.n = 0;
		for (size_t k = 0; k < c->n; k++)
			if (is_early[k])
				lb_push(&early, &c->v[k]);
		fits = fits && part_disjoint(&p->v[i], &early, &out, max);
		max -= MIN(max, out.n);
		lb_set_froms(&out, &over);
		p->v[i].leaf->beside = lb_set_of(&out, family);
		free(early.v);
	}
	free(is_early);
	return fits;
}

bool lb_tree_beside(struct lb_node *node, const struct lb_boxes *c, uint8_t family, size_t max)
{
	struct parts p = parts_of(node, family, 0);
	bool fits = parts_beside(&p, c, family, max);

	free(p.v);
	return fits;
}

/* ---- patches ---- */

static bool meets(const struct lb_boxes *b, const struct lb_box *region)
{
	for (size_t i = 0; i < b->n; i++)
		if (lb_overlap(&b->v[i], region))
			return true;
	return false;
}

static bool is_gone(const struct lb_boxes *gone, const struct lb_box *x)
{
	for (size_t i = 0; i < gone->n; i++)
		if (gone->v[i].line == x->line)
			return true;
	return false;
}

static void patch_raw(struct lb_node *node, const struct lb_patch_tree *x,
		      const struct lb_box *region)
{
	struct lb_boxes raw = { .n = node->raw.n, .room = node->raw.n, .v = node->raw.box };
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++)
		if (!is_gone(x->gone, &raw.v[i]))
			raw.v[n++] = raw.v[i];
	raw.n = n;
	for (size_t i = 0; i < x->come->n; i++)
		if (lb_overlap(&x->come->v[i], region))
			lb_push(&raw, &x->come->v[i]);
	lb_sort_by_rank(&raw);
	node->raw = (struct lb_set){ 0 };
	lb_tree_drop(node);
	node->raw = (struct lb_set){ .n = raw.n, .box = raw.v };
}

static void part_clip(struct part *p, const struct lb_boxes *c)
{
	struct lb_boxes clips = { 0 };
	bool *is_early = xcalloc(c->n + 1, sizeof(*is_early));

	part_early(p, c, &clips, SIZE_MAX, is_early);
	take_clips(&(struct parts){ 1, p }, &clips, SIZE_MAX / 2);
	free(clips.v);
	free(is_early);
}

static void patch_part(struct lb_node *node, const struct lb_patch_tree *x,
		       const struct lb_box *region, unsigned depth)
{
	struct part p = { node, depth, *region };
	struct lb_boxes raw, out = { 0 };
	struct parts leaves = { 0 };

	patch_raw(node, x, region);
	raw = (struct lb_boxes){ .n = node->raw.n, .v = node->raw.box };
	part_disjoint(&p, &raw, &out, SIZE_MAX);
	node->set = (struct lb_set){ .n = out.n, .box = out.v };
	for (int i = 0; i < 2; i++)
		part_clip(&p, &x->clips[i]);
	part_finish(&p, x->family);
	parts_add(&leaves, node, *region, depth);
	parts_beside(&leaves, &x->beside, x->family, SIZE_MAX);
	free(leaves.v);
}

static void patch_node(struct lb_node *node, const struct lb_patch_tree *x, struct lb_box region,
		       unsigned depth)
{
	lb_num end;

	if (!meets(x->gone, &region) && !meets(x->come, &region))
		return;
	if (node->whole) {
		patch_part(node, x, &region, depth);
		return;
	}
	end = region.hi[node->field];
	for (size_t i = 0; i < node->n; i++) {
		region.lo[node->field] = node->from[i];
		region.hi[node->field] = i + 1 < node->n ? node->from[i + 1] - 1 : end;
		patch_node(&node->part[i], x, region, depth + 1);
	}
}

void lb_tree_patch(struct lb_node *node, const struct lb_patch_tree *x)
{
	struct lb_box all = { 0 };

	for (int f = 0; f < LB_FIELDS; f++)
		all.hi[f] = lb_max(x->family, (enum lb_field)f);
	patch_node(node, x, all, 0);
}

void lb_tree_stale(struct lb_node *node)
{
	node->fresh = false;
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		lb_tree_stale(&node->part[i]);
}

size_t lb_tree_size(const struct lb_node *node)
{
	size_t n = node->leaf ? node->set.n : 0;

	for (size_t i = 0; !node->leaf && i < node->n; i++)
		n += lb_tree_size(&node->part[i]);
	return n;
}

static void add_ranks(const struct lb_node *node, struct lb_boxes *to)
{
	for (size_t i = 0; node->leaf && i < node->set.n; i++) {
		struct lb_box x = { .rank = node->set.box[i].rank };

		lb_push(to, &x);
	}
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		add_ranks(&node->part[i], to);
}

struct lb_boxes lb_tree_ranks(const struct lb_node *node)
{
	struct lb_boxes ranks = { 0 };

	add_ranks(node, &ranks);
	lb_sort_by_rank(&ranks);
	return ranks;
}
