/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: builds the cut trees of one family into its arena.
 *
 * A node is a list of rules in order and a box: the part of key space that can reach it. It becomes
 * a leaf, or is cut along one field into equal slots. The box is first shrunk in each field to the
 * smallest aligned power of two around what the rules have in it; a packet outside that block
 * aliases into it, harmlessly: none of the node's rules matches it and leaves compare in full.
 *
 * Cuts take the top bits of that block, or the lowest bits of the field, which leave the box as it
 * is.
 *
 * Which cut: the one with the lowest estimated time for a packet at a random point of a random rule
 * (node_cost), plus its memory at the plan's price. Slots between which no rule begins or
 * ends share one child.
 *
 * Memory: each node has a budget of bytes in which it could always become a leaf. A cut is only
 * taken when its table and the leaves of all its children fit; what remains is shared out by their
 * numbers of rules. So the arena stays within max_bytes for any rules, and overlap beyond that
 * makes longer leaves.
 *
 * Threads: one. Failure: -ENOMEM, everything freed.
 */
#include "classify_impl.h"

#include "hash.h"

#include <errno.h>

#define MAX_DEPTH      16u /* also bounds the lists that are open at one time */
#define LEAF_TARGET    8u
#define SLOTS_PER_RULE 4u  /* tables of more slots than that are mostly copies */
#define DEDUP_MAX      48u /* rules compared pairwise with each other before a leaf is written */

struct box {
	uint32_t lo[DIM__MAX], hi[DIM__MAX];
};

struct builder {
	const struct cls_plan *plan;
	uint64_t *work;
	const struct cls_core_rule *rules;
	uint32_t *arena;
	size_t n_words, cap_words;
	uint64_t *leaf_tab; /* open addressing: refs of written leaves, 0 = free */
	size_t leaf_cap, n_leaf;
	unsigned words_a_rule;
	unsigned depth, longest;
	double *weight; /* scratch of plan_cut: one value a slot */
	int32_t *diff;
	bool *edge;
	bool failed;
};

/* A candidate: slot = bits bits of dim from shift on; top: the highest ones of a block at base. */
struct cut {
	enum cls_dim dim;
	uint32_t base;
	bool top;
	unsigned shift, bits;
	double score;
};

static const uint32_t dim_max[DIM__MAX] = { UINT32_MAX, UINT32_MAX, 0xffff, 0xffff,
					    0xff,       0xffff,     0xffff };
/* Where a field lies in a key. */
static const struct {
	uint8_t word, shift;
} dim_at[DIM__MAX] = { { 0, 0 }, { 1, 0 }, { 2, 16 }, { 2, 0 }, { 4, 0 }, { 3, 16 }, { 3, 0 } };

static void *grow(struct builder *b, void *p, size_t size)
{
	void *q = realloc(p, size);

	if (!q)
		b->failed = true;
	return q;
}

/* Room for words in the arena; their index. 0 on failure (word 0 is never given out). */
static size_t arena_take(struct builder *b, size_t words, size_t align)
{
	size_t at = ROUND_UP(b->n_words, align);

	if (at + words + ARENA_SLACK > b->cap_words) {
		size_t cap = MAX(b->cap_words * 3 / 2, at + words + ARENA_SLACK + 1024);
		uint32_t *p = at + words > UINT32_MAX ? NULL : grow(b, b->arena, cap * sizeof(*p));
		if (!p) {
			b->failed = true;
			return 0;
		}
		b->arena = p;
		b->cap_words = cap;
	}
	memset(b->arena + b->n_words, 0, (at + words - b->n_words) * sizeof(*b->arena));
	b->n_words = at + words;
	return at;
}

static bool covers(const struct cls_core_rule *a, const struct cls_core_rule *b,
		   const struct box *box)
{
	for (unsigned d = 0; d < DIM__MAX; d++) {
		if (a->lo[d] > MAX(b->lo[d], box->lo[d]) || a->hi[d] < MIN(b->hi[d], box->hi[d]))
			return false;
	}
	return true;
}

static bool covers_box(const struct cls_core_rule *a, const struct box *box)
{
	for (unsigned d = 0; d < DIM__MAX; d++) {
		if (a->lo[d] > box->lo[d] || a->hi[d] < box->hi[d])
			return false;
	}
	return true;
}

/* Whether o, where its ranges cover those of r, leaves no packet for r. Later fragments pass by
 * rules that look at layer 4. */
static bool hides(const struct cls_core_rule *o, const struct cls_core_rule *r)
{
	return !o->extra && (!o->layer4 || r->layer4);
}

/* Drops rules that no packet of the box can reach. Returns how many remain. */
static size_t prune(const struct builder *b, uint32_t *list, size_t n, const struct box *box)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct cls_core_rule *r = &b->rules[list[i]];
		bool dead = false;

		for (size_t j = 0; j < kept && n <= DEDUP_MAX && !dead; j++) {
			const struct cls_core_rule *o = &b->rules[list[j]];

			dead = hides(o, r) && covers(o, r, box);
		}
		if (dead)
			continue;
		list[kept++] = list[i];
		if (!r->extra && !r->layer4 && covers_box(r, box))
			break;
	}
	return kept;
}

static uint32_t pair_lo(const struct cls_core_rule *r, enum cls_dim a, enum cls_dim b)
{
	return r->lo[a] << 16 | r->lo[b];
}

static uint32_t pair_span(const struct cls_core_rule *r, enum cls_dim a, enum cls_dim b)
{
	return (r->hi[a] - r->lo[a]) << 16 | (r->hi[b] - r->lo[b]);
}

static void write_block(const struct builder *b, uint32_t *w, const uint32_t *list, size_t m)
{
	for (size_t i = 0; i < m; i++) {
		const struct cls_core_rule *r = &b->rules[list[i]];
		bool any_proto = r->hi[DIM_PROTO] != r->lo[DIM_PROTO];

		w[i] = r->lo[DIM_SRC];
		w[m + i] = r->hi[DIM_SRC] - r->lo[DIM_SRC];
		w[2 * m + i] = r->lo[DIM_DST];
		w[3 * m + i] = r->hi[DIM_DST] - r->lo[DIM_DST];
		w[4 * m + i] = pair_lo(r, DIM_SPORT, DIM_DPORT);
		w[5 * m + i] = pair_span(r, DIM_SPORT, DIM_DPORT);
		w[6 * m + i] = r->order << META_ORDER_SHIFT | (r->extra ? META_EXTRA : 0) |
			       (any_proto ? META_ANY_PROTO : r->lo[DIM_PROTO]);
		if (b->words_a_rule > WORDS_A_RULE) {
			w[7 * m + i] = pair_lo(r, DIM_ZONE_IN, DIM_ZONE_OUT);
			w[8 * m + i] = ~pair_span(r, DIM_ZONE_IN, DIM_ZONE_OUT);
		}
	}
}

static size_t leaf_words(const struct builder *b, size_t n)
{
	return n * b->words_a_rule + (n >= REF_COUNT_MAX);
}

/* Doubles the table of leaves when it is three quarters full. */
static void leaf_tab_grow(struct builder *b)
{
	size_t cap = MAX(b->leaf_cap * 2, (size_t)256);
	uint64_t *tab;

	if (b->n_leaf * 4 < b->leaf_cap * 3)
		return;
	tab = calloc(cap, sizeof(*tab));
	if (!tab) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i < b->leaf_cap; i++) {
		uint64_t ref = b->leaf_tab[i];
		const uint32_t *w = b->arena + (uint32_t)ref;
		uint32_t n = REF_COUNT(ref) == REF_COUNT_MAX ? *w : REF_COUNT(ref);
		size_t h;

		if (!ref)
			continue;
		h = hash_bytes(w, leaf_words(b, n) * sizeof(*w), 0) & (cap - 1);
		while (tab[h])
			h = (h + 1) & (cap - 1);
		tab[h] = ref;
	}
	free(b->leaf_tab);
	b->leaf_tab = tab;
	b->leaf_cap = cap;
}

/* Writes a leaf, or finds the same one written before. */
static uint64_t leaf(struct builder *b, const uint32_t *list, size_t n)
{
	size_t words = leaf_words(b, n), before = b->n_words, at, h;
	uint64_t ref;
	uint32_t *w;

	b->longest = MAX(b->longest, (unsigned)n);
	if (!n)
		return REF_LEAF;
	leaf_tab_grow(b);
	at = b->failed ? 0 : arena_take(b, words, 1);
	if (!at)
		return REF_LEAF;
	w = b->arena + at;
	if (n >= REF_COUNT_MAX)
		*w++ = (uint32_t)n;
	for (size_t i = 0; i < n; i += BLOCK_RULES) {
		size_t m = MIN(n - i, (size_t)BLOCK_RULES);

		write_block(b, w, list + i, m);
		w += m * b->words_a_rule;
	}
	ref = REF_LEAF | (uint64_t)MIN(n, (size_t)REF_COUNT_MAX) << REF_COUNT_SHIFT;
	w = b->arena + at;
	h = hash_bytes(w, words * sizeof(*w), 0) & (b->leaf_cap - 1);
	for (; b->leaf_tab[h]; h = (h + 1) & (b->leaf_cap - 1)) {
		uint64_t old = b->leaf_tab[h];

		if (REF_COUNT(old) == REF_COUNT(ref) &&
		    !memcmp(b->arena + (uint32_t)old, w, words * sizeof(*w))) {
			b->n_words = before;
			return old;
		}
	}
	b->n_leaf++;
	return b->leaf_tab[h] = ref | at;
}

/* Expected time below a node of n rules, in units of one leaf block. Two constants fitted to the
 * measurements of docs/design/classifier.md: a cut costs about a third of a block and tells apart
 * about eight ways. */
static double node_cost(double n)
{
	double blocks = n / LEAF_TARGET;

	if (n <= 0)
		return 0.2;
	if (blocks <= 1)
		return 0.6 + 0.4 * blocks;
	return 1 + 0.4 * (double)(63 - __builtin_clzll((uint64_t)(blocks * blocks))) / 3;
}

/* The aligned block that holds what the rules have of a field inside the box; its size in bits. */
static unsigned block_of(const struct builder *b, const uint32_t *list, size_t n,
			 const struct box *box, enum cls_dim d, uint32_t *ret_base)
{
	uint32_t lo = UINT32_MAX, hi = 0;
	unsigned bits;

	for (size_t i = 0; i < n; i++) {
		const struct cls_core_rule *r = &b->rules[list[i]];

		lo = MIN(lo, MAX(r->lo[d], box->lo[d]));
		hi = MAX(hi, MIN(r->hi[d], box->hi[d]));
	}
	bits = lo == hi ? 0 : 32u - (unsigned)__builtin_clz(lo ^ hi);
	*ret_base = bits >= 32 ? 0 : lo >> bits << bits;
	return bits;
}

struct span {
	uint32_t from, to;
};

/* The slots that hold something of the rule: one span, or two when they pass the last slot. */
static unsigned slots_of(const struct cut *c, const struct cls_core_rule *r, const struct box *box,
			 struct span ret[2])
{
	uint32_t last = (1u << c->bits) - 1;
	uint32_t lo = MAX(r->lo[c->dim], box->lo[c->dim]) >> c->shift;
	uint32_t hi = MIN(r->hi[c->dim], box->hi[c->dim]) >> c->shift;

	if (hi - lo >= last) {
		ret[0] = (struct span){ 0, last };
		return 1;
	}
	lo &= last;
	hi &= last;
	ret[0] = (struct span){ lo, hi };
	if (lo <= hi)
		return 1;
	ret[0] = (struct span){ 0, hi };
	ret[1] = (struct span){ lo, last };
	return 2;
}

/* Estimates the cut: its time, and the bytes of its table and of its children as leaves. */
static double judge(struct builder *b, const uint32_t *list, size_t n, const struct box *box,
		    const struct cut *c, size_t *ret_bytes)
{
	size_t slots = (size_t)1 << c->bits, copies = 0;
	double time = 0, w = 0;
	int32_t here = 0;

	*b->work -= MIN(*b->work, slots + n);
	memset(b->diff, 0, (slots + 1) * sizeof(*b->diff));
	memset(b->weight, 0, (slots + 1) * sizeof(*b->weight));
	memset(b->edge, 0, (slots + 1) * sizeof(*b->edge));
	for (size_t i = 0; i < n; i++) {
		struct span at[2];
		unsigned parts = slots_of(c, &b->rules[list[i]], box, at);
		uint32_t held = at[0].to - at[0].from + 1;

		if (parts == 2)
			held += at[1].to - at[1].from + 1;
		for (unsigned p = 0; p < parts; p++) {
			uint32_t s = at[p].from, e = at[p].to + 1;

			b->diff[s]++;
			b->diff[e]--;
			b->weight[s] += 1.0 / held;
			b->weight[e] -= 1.0 / held;
			b->edge[s] = b->edge[e] = true;
		}
	}
	for (size_t i = 0; i < slots; i++) {
		here += b->diff[i];
		w += b->weight[i];
		time += w * node_cost(here);
		if (b->edge[i] || !i)
			copies += (size_t)here;
	}
	*ret_bytes = slots * sizeof(uint64_t) + copies * b->words_a_rule * sizeof(uint32_t);
	return time / (double)n;
}

static void try_cut(struct builder *b, const uint32_t *list, size_t n, const struct box *box,
		    size_t budget, struct cut *c, unsigned shift, bool top, struct cut *best)
{
	double own = (double)(n * b->words_a_rule * sizeof(uint32_t));
	size_t bytes;

	c->shift = shift;
	c->top = top;
	c->score = 0.4 + judge(b, list, n, box, c, &bytes);
	c->score += b->plan->memory_price * (double)bytes / own;
	if (bytes <= budget && c->score < best->score)
		*best = *c;
}

/* The best cut within budget; false when a leaf is better. */
static bool plan_cut(struct builder *b, const uint32_t *list, size_t n, const struct box *box,
		     size_t budget, struct cut *ret)
{
	double as_leaf = n <= LEAF_TARGET ? node_cost((double)n) : (double)n / LEAF_TARGET;
	struct cut c;

	ret->score = as_leaf + b->plan->memory_price;
	for (c.dim = 0; c.dim < DIM__MAX; c.dim++) {
		unsigned size = block_of(b, list, n, box, c.dim, &c.base);

		for (c.bits = 1; c.bits <= MIN(size, REF_MAX_BITS); c.bits++) {
			if (sizeof(uint64_t) << c.bits > budget ||
			    1ul << c.bits > SLOTS_PER_RULE * n + 4)
				break;
			try_cut(b, list, n, box, budget, &c, size - c.bits, true, ret);
			/* Scattered single values, such as ports, differ in their low bits. */
			if (size > c.bits)
				try_cut(b, list, n, box, budget, &c, 0, false, ret);
		}
	}
	return ret->score < as_leaf + b->plan->memory_price;
}

/* The children of a cut: slots first[i] .. first[i + 1] - 1 have the rules list[at[i]] ..
 * list[at[i + 1] - 1]. */
struct children {
	uint32_t n;
	uint32_t *first;
	uint32_t *list;
	size_t *at;
};

static void children_fini(struct children *ch)
{
	free(ch->first);
	free(ch->list);
	free(ch->at);
}

/* Calls out the children that hold the rule: counts in ch->at[k + 2], or, with put, appends it. */
static size_t deal(struct children *ch, const struct cut *c, const struct builder *b,
		   const uint32_t *child, uint32_t index, const struct box *box, bool put)
{
	struct span at[2];
	unsigned parts = slots_of(c, &b->rules[index], box, at);
	size_t n = 0;

	for (unsigned p = 0; p < parts; p++) {
		for (uint32_t k = child[at[p].from]; k <= child[at[p].to]; k++, n++) {
			if (put)
				ch->list[ch->at[k + 1]++] = index;
			else
				ch->at[k + 2]++;
		}
	}
	return n;
}

/* Splits list by the cut; b->edge is from the judge of this cut. False when out of memory. */
static bool children_init(struct children *ch, const struct builder *b, const uint32_t *list,
			  size_t n, const struct box *box, const struct cut *c)
{
	uint32_t slots = 1u << c->bits, *child = malloc(slots * sizeof(*child));
	size_t total = 0;

	*ch = (struct children){ 0 };
	ch->first = malloc((slots + 1) * sizeof(*ch->first));
	ch->at = calloc(slots + 2, sizeof(*ch->at));
	if (!child || !ch->first || !ch->at)
		goto out;
	for (uint32_t s = 0; s < slots; s++) {
		if (!s || b->edge[s])
			ch->first[ch->n++] = s;
		child[s] = ch->n - 1;
	}
	ch->first[ch->n] = slots;
	for (size_t i = 0; i < n; i++)
		total += deal(ch, c, b, child, list[i], box, false);
	ch->list = malloc((total + 1) * sizeof(*ch->list));
	if (!ch->list)
		goto out;
	for (uint32_t k = 2; k <= ch->n; k++)
		ch->at[k] += ch->at[k - 1];
	/* at[k + 1] is where the next rule of child k goes, and in the end where it ends. */
	for (size_t i = 0; i < n; i++)
		deal(ch, c, b, child, list[i], box, true);
out:
	free(child);
	return ch->list;
}

static uint64_t node(struct builder *b, uint32_t *list, size_t n, struct box box, size_t budget,
		     unsigned depth);

/* What of the box reaches slots from..to of a cut by the top bits of its block. */
static void narrow(struct box *box, const struct cut *c, uint32_t from, uint32_t to)
{
	uint32_t lo = c->base + (from << c->shift);
	uint32_t hi = c->base + (to << c->shift) + ((1u << c->shift) - 1);

	box->lo[c->dim] = MAX(box->lo[c->dim], lo);
	box->hi[c->dim] = MIN(box->hi[c->dim], hi);
}

static uint64_t cut_node(struct builder *b, const uint32_t *list, size_t n, const struct box *box,
			 const struct cut *c, size_t budget, unsigned depth)
{
	uint32_t slots = 1u << c->bits;
	size_t bytes, spare, table;
	struct children ch;

	judge(b, list, n, box, c, &bytes);
	spare = budget - bytes;
	bytes -= slots * sizeof(uint64_t);
	b->failed |= !children_init(&ch, b, list, n, box, c);
	table = b->failed ? 0 : arena_take(b, slots * 2, 2);
	for (uint32_t i = 0; i < ch.n && !b->failed; i++) {
		size_t m = ch.at[i + 1] - ch.at[i], own = m * b->words_a_rule * sizeof(uint32_t);
		struct box part = *box;
		uint64_t child;

		if (c->top)
			narrow(&part, c, ch.first[i], ch.first[i + 1] - 1);
		own += (size_t)((double)spare * (double)own / (double)MAX(bytes, 1ul));
		child = node(b, ch.list + ch.at[i], m, part, own, depth + 1);
		for (uint32_t s = ch.first[i]; s < ch.first[i + 1] && !b->failed; s++)
			memcpy(b->arena + table + 2 * s, &child, sizeof(child));
	}
	children_fini(&ch);
	return table | (uint64_t)(slots - 1) << REF_MASK_SHIFT |
	       (uint64_t)dim_at[c->dim].word << REF_WORD_SHIFT |
	       (uint64_t)(c->shift + dim_at[c->dim].shift) << REF_SHIFT_SHIFT;
}

static uint64_t node(struct builder *b, uint32_t *list, size_t n, struct box box, size_t budget,
		     unsigned depth)
{
	struct cut c;

	b->depth = MAX(b->depth, depth);
	n = prune(b, list, n, &box);
	if (n <= 2 || depth == MAX_DEPTH || !*b->work || !plan_cut(b, list, n, &box, budget, &c))
		return leaf(b, list, n);
	return cut_node(b, list, n, &box, &c, budget, depth);
}

/* The tree that the plan gives number which. */
static void add_tree(struct builder *b, struct cls_family *f, const uint8_t *group, uint8_t which,
		     uint32_t *list, size_t n)
{
	struct box all = { .lo = { 0 } };
	size_t m = 0;

	for (size_t i = 0; i < n && !b->failed; i++) {
		if (b->plan->tree_of[group[i]] == which)
			list[m++] = (uint32_t)i;
	}
	if (!m)
		return;
	memcpy(all.hi, dim_max, sizeof(all.hi));
	f->tree[f->n_trees++] = (struct cls_tree){
		.first_order = b->rules[list[0]].order,
		.root = node(b, list, m, all, CLS_ARENA_PER_RULE * m + CLS_ARENA_FIXED / MAX_TREES,
			     0),
	};
}

static int tree_cmp(const void *a, const void *b)
{
	const struct cls_tree *x = a, *y = b;

	return x->first_order < y->first_order ? -1 : x->first_order > y->first_order;
}

/* Gives back what growing took too much; a block that cannot shrink stays as it is. */
static void *shrunk(void *p, size_t size)
{
	void *q = realloc(p, size);

	return q ? q : p;
}

int cls_trees_try(struct cls_family *f, const struct cls_core_rule *rules, const uint8_t *group,
		  size_t n, const struct cls_plan *plan, uint64_t *work)
{
	struct builder b = {
		.plan = plan, .work = work, .rules = rules, .words_a_rule = WORDS_A_RULE
	};
	size_t slots = MIN((size_t)1 << REF_MAX_BITS, n * SLOTS_PER_RULE + 4) + 1;
	uint32_t *list = malloc((n + 1) * sizeof(*list));

	*f = (struct cls_family){ 0 };
	b.weight = malloc(slots * sizeof(*b.weight));
	b.diff = malloc(slots * sizeof(*b.diff));
	b.edge = malloc(slots * sizeof(*b.edge));
	b.failed = !list || !b.weight || !b.diff || !b.edge;
	for (size_t i = 0; i < n; i++)
		f->zones |= rules[i].lo[DIM_ZONE_IN] || rules[i].lo[DIM_ZONE_OUT];
	if (f->zones)
		b.words_a_rule += WORDS_ZONES;
	/* The empty leaf is read like any other: word 0 and the slack after it exist. */
	if (!b.failed)
		arena_take(&b, 1, 1);
	for (uint8_t t = 0; t < MAX_TREES; t++)
		add_tree(&b, f, group, t, list, n);
	qsort(f->tree, f->n_trees, sizeof(*f->tree), tree_cmp);
	f->n_words = b.n_words + ARENA_SLACK;
	f->arena = b.failed ? b.arena : shrunk(b.arena, f->n_words * sizeof(*b.arena));
	f->depth = b.depth;
	f->longest = b.longest;
	free(list);
	free(b.weight);
	free(b.diff);
	free(b.edge);
	free(b.leaf_tab);
	if (b.failed) {
		free(f->arena);
		*f = (struct cls_family){ 0 };
		return -ENOMEM;
	}
	return 0;
}
