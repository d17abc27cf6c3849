/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/nft_diff.h"

#include <stdlib.h>
#include <string.h>

/* What a table's comparison works on. */
struct ctx {
	struct nft_change *c;
	const struct nft_table *have, *want; /* NULL: not there, not wanted */
	/* Of each wanted node the place of the one of its name that is there, SIZE_MAX: none; and
	 * of each that is there, whether it has one. */
	size_t *at[NFT_KINDS];
	bool *wanted[NFT_KINDS];
	/* nft_ref_hash of what is made anew: who refers to it is made anew too. Few, mostly none.
	 */
	uint32_t *anew;
	size_t n_anew;
};

static struct nft_op *op(struct ctx *x, enum nft_op_kind kind, const struct nft_table *t,
			 const struct nft_node *n)
{
	struct nft_ops *o = &x->c->ops[kind];

	if (o->n == o->room) {
		o->room = o->room ? o->room * 2 : 16;
		o->v = xrealloc(o->v, o->room * sizeof(*o->v));
	}
	x->c->n++;
	o->v[o->n] = (struct nft_op){ .table = t, .node = n, .msg = NFBATCH_NONE };
	return &o->v[o->n++];
}

/* What is there by the name of wanted node i; NULL. */
static const struct nft_node *there(const struct ctx *x, enum nft_kind kind, size_t i)
{
	size_t at = x->at[kind][i];

	return at == SIZE_MAX ? NULL : x->have->nodes[kind].v[at];
}

/* Most nodes are the same objects in the same order. */
static void pair_nodes(struct ctx *x, enum nft_kind kind)
{
	static const struct nft_nodes none;
	const struct nft_nodes *w = x->want ? &x->want->nodes[kind] : &none;
	const struct nft_nodes *h = x->have ? &x->have->nodes[kind] : &none;
	size_t next = 0;

	x->at[kind] = xcalloc(w->n + 1, sizeof(*x->at[kind]));
	x->wanted[kind] = xcalloc(h->n + 1, sizeof(*x->wanted[kind]));
	for (size_t i = 0; i < w->n; i++) {
		size_t at = next < h->n && h->v[next] == w->v[i] ? next
								 : nft_nodes_find_like(h, w->v[i]);

		x->at[kind][i] = at;
		if (at == SIZE_MAX)
			continue;
		x->wanted[kind][at] = true;
		next = at + 1;
	}
}

/* ---- what is made anew ---- */

static bool is_anew(const struct ctx *x, uint32_t ref)
{
	for (size_t i = 0; i < x->n_anew; i++) {
		if (x->anew[i] == ref)
			return true;
	}
	return false;
}

static bool rule_uses_anew(const struct ctx *x, const struct nft_rule *r)
{
	for (size_t i = 0; x->n_anew && i < r->n_uses; i++) {
		if (is_anew(x, r->uses[i]))
			return true;
	}
	return false;
}

static bool chain_uses_anew(const struct ctx *x, const struct nft_chain *c)
{
	for (size_t i = 0; x->n_anew && i < c->n; i++) {
		if (rule_uses_anew(x, c->rules[i]))
			return true;
	}
	return false;
}

static bool set_uses_anew(const struct ctx *x, const struct nft_set *s)
{
	for (size_t i = 0; x->n_anew && i < s->n; i++) {
		if (is_anew(x, s->units[i].ref))
			return true;
	}
	return false;
}

static void find_anew(struct ctx *x)
{
	for (int k = 0; x->have && x->want && k < NFT_KINDS; k++) {
		for (size_t i = 0; i < x->want->nodes[k].n; i++) {
			const struct nft_node *w = x->want->nodes[k].v[i];
			const struct nft_node *h = there(x, (enum nft_kind)k, i);

			if (!h || h == w || h->def == w->def)
				continue;
			x->anew = xrealloc(x->anew, (x->n_anew + 1) * sizeof(*x->anew));
			x->anew[x->n_anew++] = w->ref;
		}
	}
}

/* ---- rules ---- */

/*
 * Pairs the wanted rules with those that are there: pair[i] is the place of the same rule, or
 * SIZE_MAX. What is equal at both ends is paired as it lies; in between, equal ones are paired in
 * order and the longest run that keeps the order stays (patience sorting).
 */
struct slot {
	uint64_t hash;
	size_t next; /* place + 1 of the first one not yet paired */
};

static void pair_by_hash(const struct nft_chain *h, const struct nft_chain *w, size_t lo,
			 size_t h_hi, size_t w_hi, size_t *pair)
{
	size_t n = 16, mask, *later = xcalloc(h_hi - lo + 1, sizeof(*later));
	struct slot *tab;

	while (n < (h_hi - lo) * 2)
		n *= 2;
	mask = n - 1;
	tab = xcalloc(n, sizeof(*tab));
	for (size_t i = h_hi; i-- > lo;) {
		size_t at = h->rules[i]->hash & mask;

		while (tab[at].next && tab[at].hash != h->rules[i]->hash)
			at = (at + 1) & mask;
		later[i - lo] = tab[at].next;
		tab[at] = (struct slot){ h->rules[i]->hash, i + 1 };
	}
	for (size_t i = lo; i < w_hi; i++) {
		size_t at = w->rules[i]->hash & mask;

		if (pair[i] == SIZE_MAX - 1)
			continue;
		while (tab[at].hash != w->rules[i]->hash && (tab[at].next || tab[at].hash))
			at = (at + 1) & mask;
		if (!tab[at].next || tab[at].hash != w->rules[i]->hash)
			continue;
		pair[i] = tab[at].next - 1;
		tab[at].next = later[pair[i] - lo];
	}
	free(tab);
	free(later);
}

static void keep_longest_run(size_t *pair, size_t lo, size_t hi)
{
	/* tails[k]: wanted rule that ends the best run of length k + 1; prev: the one before it. */
	size_t *tails = xcalloc(hi - lo + 1, sizeof(*tails));
	size_t *prev = xcalloc(hi - lo + 1, sizeof(*prev));
	size_t n = 0, i;

	for (i = lo; i < hi; i++) {
		size_t a = 0, b = n;

		if (pair[i] >= SIZE_MAX - 1)
			continue;
		while (a < b) {
			size_t mid = (a + b) / 2;

			if (pair[tails[mid]] < pair[i])
				a = mid + 1;
			else
				b = mid;
		}
		prev[i - lo] = a ? tails[a - 1] : SIZE_MAX;
		tails[a] = i;
		n = MAX(n, a + 1);
	}
	i = n ? tails[n - 1] : SIZE_MAX;
	for (size_t j = hi; j-- > lo;) {
		if (j == i)
			i = prev[j - lo];
		else
			pair[j] = SIZE_MAX;
	}
	free(tails);
	free(prev);
}

static bool same_rule(const struct nft_rule *a, const struct nft_rule *b)
{
	return a == b || a->hash == b->hash;
}

/* The caller frees. */
static size_t *pair_rules(const struct ctx *x, const struct nft_chain *h, const struct nft_chain *w)
{
	size_t *pair = xcalloc(w->n + 1, sizeof(*pair));
	size_t lo = 0, h_hi = h->n, w_hi = w->n;

	while (lo < h_hi && lo < w_hi && same_rule(h->rules[lo], w->rules[lo]) &&
	       !rule_uses_anew(x, w->rules[lo])) {
		pair[lo] = lo;
		lo++;
	}
	while (h_hi > lo && w_hi > lo && same_rule(h->rules[h_hi - 1], w->rules[w_hi - 1]) &&
	       !rule_uses_anew(x, w->rules[w_hi - 1]))
		pair[--w_hi] = --h_hi;
	for (size_t i = lo; i < w_hi; i++)
		pair[i] = rule_uses_anew(x, w->rules[i]) ? SIZE_MAX - 1 : SIZE_MAX;
	if (lo < h_hi && lo < w_hi) {
		pair_by_hash(h, w, lo, h_hi, w_hi, pair);
		keep_longest_run(pair, lo, w_hi);
	}
	for (size_t i = lo; i < w_hi; i++) {
		if (pair[i] == SIZE_MAX - 1)
			pair[i] = SIZE_MAX;
	}
	return pair;
}

static void delete_rules(struct ctx *x, const struct nft_chain *h,
			 const struct nft_handles *handles, const size_t *pair, size_t n_pair)
{
	bool *kept = xcalloc(h->n + 1, sizeof(*kept));
	size_t n = 0;

	for (size_t i = 0; i < n_pair; i++) {
		if (pair[i] == SIZE_MAX)
			continue;
		kept[pair[i]] = true;
		n++;
	}
	if (!n && h->n)
		op(x, NFT_OP_RULE_DEL, x->have, &h->node);
	for (size_t i = 0; n && i < h->n; i++) {
		if (!kept[i])
			op(x, NFT_OP_RULE_DEL, x->have, &h->node)->handle = handles->v[i];
	}
	free(kept);
}

/*
 * The kernel finds the rule that a position names by walking the chain from its start: so at the
 * start and the end no position is used, and a run in between is added in reverse after the kept
 * rule before it, which stays as near to the start as it is.
 */
static void add_run(struct ctx *x, const struct nft_chain *w, size_t from, size_t to,
		    const struct nft_handles *handles)
{
	struct nft_op *o;

	if (to == w->n) {
		for (size_t i = from; i < to; i++) {
			o = op(x, NFT_OP_RULE_NEW, x->want, &w->node);
			o->at = (uint32_t)i;
			o->place = NFT_APPEND;
		}
		return;
	}
	for (size_t i = to; i-- > from;) {
		o = op(x, NFT_OP_RULE_NEW, x->want, &w->node);
		o->at = (uint32_t)i;
		o->place = from ? NFT_AFTER : NFT_PREPEND;
		o->handle = from ? handles->v[from - 1] : 0;
	}
}

static struct nft_handles *replace_rules(struct ctx *x, const struct nft_chain *h,
					 const struct nft_chain *w)
{
	if (h->n)
		op(x, NFT_OP_RULE_DEL, x->have, &h->node);
	for (size_t i = 0; i < w->n; i++)
		op(x, NFT_OP_RULE_NEW, x->want, &w->node)->at = (uint32_t)i;
	return nft_handles_new(w->n);
}

static struct nft_handles *diff_rules(struct ctx *x, const struct nft_chain *h,
				      const struct nft_handles *old, const struct nft_chain *w)
{
	struct nft_handles *handles = nft_handles_new(w->n);
	size_t *pair = pair_rules(x, h, w);

	for (size_t i = 0; i < w->n; i++)
		handles->v[i] = pair[i] == SIZE_MAX ? 0 : old->v[pair[i]];
	delete_rules(x, h, old, pair, w->n);
	for (size_t i = 0, end; i < w->n; i = end) {
		end = i + 1;
		if (pair[i] != SIZE_MAX)
			continue;
		while (end < w->n && pair[end] == SIZE_MAX)
			end++;
		add_run(x, w, i, end, handles);
	}
	free(pair);
	return handles;
}

static void new_chain(struct ctx *x, const struct nft_chain *w)
{
	op(x, NFT_OP_CHAIN_NEW, x->want, &w->node);
	for (size_t i = 0; i < w->n; i++)
		op(x, NFT_OP_RULE_NEW, x->want, &w->node)->at = (uint32_t)i;
}

static void delete_chain(struct ctx *x, const struct nft_chain *h)
{
	if (h->n)
		op(x, NFT_OP_RULE_DEL, x->have, &h->node);
	op(x, NFT_OP_CHAIN_DEL, x->have, &h->node);
}

/* Returns the handles of the wanted chain's rules. */
static struct nft_handles *diff_chain(struct ctx *x, size_t i)
{
	const struct nft_chain *w = (const void *)x->want->nodes[NFT_CHAIN].v[i];
	const struct nft_chain *h = (const void *)there(x, NFT_CHAIN, i);
	size_t at = x->at[NFT_CHAIN][i];
	bool same = h && (h == w || h->node.hash == w->node.hash);

	if (same && !chain_uses_anew(x, w))
		return nft_handles_ref(x->have->handles[at]);
	if (!h || h->node.def != w->node.def) {
		if (h)
			delete_chain(x, h);
		new_chain(x, w);
		return nft_handles_new(w->n);
	}
	if (h->policy != w->policy)
		op(x, NFT_OP_CHAIN_SET, x->want, &w->node);
	return w->whole ? replace_rules(x, h, w) : diff_rules(x, h, x->have->handles[at], w);
}

/* ---- sets ---- */

static const struct nft_unit **unit_slot(const struct nft_unit **tab, size_t mask, uint64_t key)
{
	size_t i = key & mask;

	while (tab[i] && tab[i]->key != key)
		i = (i + 1) & mask;
	return &tab[i];
}

static void diff_units(struct ctx *x, const struct nft_set *h, const struct nft_set *w)
{
	size_t n = 16, left = h->n;
	const struct nft_unit **tab;
	bool *kept = xcalloc(h->n + 1, sizeof(*kept));

	while (n < h->n * 2)
		n *= 2;
	tab = xcalloc(n, sizeof(*tab));
	for (size_t i = 0; i < h->n; i++)
		*unit_slot(tab, n - 1, h->units[i].key) = &h->units[i];
	for (size_t i = 0; i < w->n; i++) {
		const struct nft_unit *u = *unit_slot(tab, n - 1, w->units[i].key);

		if (u && u->hash == w->units[i].hash && !is_anew(x, u->ref)) {
			left -= !kept[u - h->units];
			kept[u - h->units] = true;
		} else {
			op(x, NFT_OP_UNIT_ADD, x->want, &w->node)->at = (uint32_t)i;
		}
	}
	for (size_t i = 0; left && i < h->n; i++) {
		if (kept[i])
			continue;
		op(x, NFT_OP_UNIT_DEL, x->have, &h->node)->at = (uint32_t)i;
		left--;
	}
	free(tab);
	free(kept);
}

static void diff_set(struct ctx *x, size_t place)
{
	const struct nft_set *w = (const void *)x->want->nodes[NFT_SET].v[place];
	const struct nft_set *h = (const void *)there(x, NFT_SET, place);

	if (!h || h->node.def != w->node.def) {
		if (h)
			op(x, NFT_OP_SET_DEL, x->have, &h->node);
		op(x, NFT_OP_SET_NEW, x->want, &w->node);
		for (size_t i = 0; i < w->n; i++)
			op(x, NFT_OP_UNIT_ADD, x->want, &w->node)->at = (uint32_t)i;
		return;
	}
	if (nft_set_is_dynamic(w))
		return;
	if ((h != w && h->node.hash != w->node.hash) || set_uses_anew(x, w))
		diff_units(x, h, w);
}

static void diff_obj(struct ctx *x, size_t i)
{
	const struct nft_node *w = x->want->nodes[NFT_OBJ].v[i], *h = there(x, NFT_OBJ, i);

	if (h && h->def == w->def)
		return;
	if (h)
		op(x, NFT_OP_OBJ_DEL, x->have, h);
	op(x, NFT_OP_OBJ_NEW, x->want, w);
}

/* ---- tables ---- */

static void delete_gone(struct ctx *x)
{
	for (int k = 0; k < NFT_KINDS; k++) {
		const struct nft_nodes *m = &x->have->nodes[k];

		for (size_t i = 0; i < m->n; i++) {
			if (x->wanted[k][i])
				continue;
			if (k == NFT_CHAIN)
				delete_chain(x, (const void *)m->v[i]);
			else
				op(x, k == NFT_SET ? NFT_OP_SET_DEL : NFT_OP_OBJ_DEL, x->have,
				   m->v[i]);
		}
	}
}

static void diff_wanted(struct ctx *x, struct nft_table *next)
{
	const struct nft_nodes *m = x->want->nodes;

	next->handles = xcalloc(m[NFT_CHAIN].n + 1, sizeof(struct nft_handles *));
	for (size_t i = 0; i < m[NFT_CHAIN].n; i++)
		next->handles[i] = diff_chain(x, i);
	for (size_t i = 0; i < m[NFT_SET].n; i++)
		diff_set(x, i);
	for (size_t i = 0; i < m[NFT_OBJ].n; i++)
		diff_obj(x, i);
	for (int k = 0; k < NFT_KINDS; k++)
		nft_nodes_copy(&next->nodes[k], &m[k]);
}

static void diff_table(struct nft_change *c, const struct nft_table *have,
		       const struct nft_table *want)
{
	struct ctx x = { .c = c, .have = have, .want = want };
	struct nft_table *next;

	for (int k = 0; k < NFT_KINDS; k++)
		pair_nodes(&x, (enum nft_kind)k);
	if (!want) {
		if (have->shared)
			delete_gone(&x);
		if (!have->shared || (have->made_by_us && !have->n_foreign))
			op(&x, NFT_OP_TABLE_DEL, have, NULL);
		goto end;
	}
	next = nft_ruleset_table(c->next, want->family, want->name);
	next->made_by_us = have && have->made_by_us;
	next->n_foreign = have ? have->n_foreign : 0;
	find_anew(&x);
	/* Missing; or dormant, which would be the end of all of it. */
	if (!have || (have->flags && !want->shared))
		op(&x, NFT_OP_TABLE_NEW, want, NULL);
	if (have)
		delete_gone(&x);
	diff_wanted(&x, next);
end:
	for (int k = 0; k < NFT_KINDS; k++) {
		free(x.at[k]);
		free(x.wanted[k]);
	}
	free(x.anew);
}

struct nft_change *nft_diff(struct nft_ruleset *have, struct nft_ruleset *want)
{
	struct nft_change *c = xcalloc(1, sizeof(*c));

	c->have = nft_ruleset_ref(have);
	c->want = nft_ruleset_ref(want);
	c->next = nft_ruleset_new();
	for (size_t i = 0; i < have->n; i++) {
		const struct nft_table *h = have->tables[i];

		if (!nft_ruleset_find(want, h->family, h->name))
			diff_table(c, h, NULL);
	}
	for (size_t i = 0; i < want->n; i++) {
		const struct nft_table *w = want->tables[i];

		diff_table(c, nft_ruleset_find(have, w->family, w->name), w);
	}
	return c;
}

struct nft_change *nft_change_free(struct nft_change *c)
{
	if (!c)
		return NULL;
	for (int k = 0; k < NFT_OP__MAX; k++)
		free(c->ops[k].v);
	nft_ruleset_unref(c->have);
	nft_ruleset_unref(c->want);
	nft_ruleset_unref(c->next);
	free(c);
	return NULL;
}
