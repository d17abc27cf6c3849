/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_compile.h"

#include "firewall/list_impl.h"

#include <stdlib.h>
#include <string.h>

/* A use that returns has tables for at least so many lines: they cost it chains. */
#define RETURN_LINES 64

static void add_sets(struct nft_table *t, const struct sets *sets)
{
	for (size_t i = 0; i < sets->n; i++)
		if (!nft_table_set(t, sets->v[i].name))
			nft_table_add_set(t, nft_set_ref(sets->v[i].set));
}

static void drop_sets(struct sets *sets)
{
	for (size_t i = 0; i < sets->n; i++) {
		nft_set_unref(sets->v[i].set);
		free(sets->v[i].name);
	}
	free(sets->v);
}

/* ---- a use ---- */

static void add_lines(const struct line *with, const struct lb_block *b)
{
	struct line x = *with;

	for (size_t i = b->first; i < b->end; i++) {
		x.p = x.l->list->rules[i];
		if (!lb_is_void(x.p))
			lc_line_rules(&x);
	}
}

static size_t largest(const struct lb_prog *p)
{
	size_t best = 0, n = 0;

	for (size_t i = 0; i < p->n_blocks; i++) {
		if (!p->blocks[i].linear && p->blocks[i].end - p->blocks[i].first > n) {
			best = i;
			n = p->blocks[i].end - p->blocks[i].first;
		}
	}
	return best;
}

/* Blocks one after the other: the main chain jumps to the tables of one and goes on with the next
 * when they return. But where a verdict of the use is to return, that would come back here: then
 * the tables are reached by goto and go on by goto, and as the kernel follows 16 chains at most,
 * this is for the largest block; others are lines. */
static void add_blocks(struct lc_list *l, struct use *u, struct nft_table *t)
{
	struct line x = { l, u, t, lc_new_chain(l, u->name), NULL };
	size_t n = l->prog->n_blocks, big = largest(l->prog);
	char next[NAME_SIZE];

	snprintf(next, sizeof(next), "%s.next", u->name);
	for (size_t b = 0; b < n; b++) {
		const struct lb_block *blk = &l->prog->blocks[b];

		if (blk->linear || u->u.lines ||
		    (lc_returns(u) && (b != big || blk->end - blk->first < RETURN_LINES))) {
			add_lines(&x, blk);
		} else if (!lc_returns(u)) {
			lc_block_rules(l, u, x.c, b, NFT_JUMP, NULL);
		} else {
			lc_block_rules(l, u, x.c, b, NFT_GOTO, b + 1 < n ? next : NULL);
			if (b + 1 == n)
				break;
			lc_hold_chain(u, x.c);
			x.c = lc_new_chain(l, next);
		}
	}
	lc_hold_chain(u, x.c);
}

static bool same_verdict(const struct lc_verdict *a, const struct lc_verdict *b)
{
	return a->code == b->code && !a->chain == !b->chain &&
	       (!a->chain || !strcmp(a->chain, b->chain));
}

static bool same_use(const struct use *u, const struct lc_use *w)
{
	if (strcmp(u->name, w->chain) != 0 || u->u.word != w->word || u->u.count != w->count ||
	    u->u.lines != w->lines || u->u.carry != w->carry || !u->u.wait != !w->wait ||
	    (w->wait && strcmp(u->u.wait, w->wait) != 0))
		return false;
	for (int i = 0; i < LC_ACTIONS; i++)
		if (!same_verdict(&u->u.verdict[i], &w->verdict[i]))
			return false;
	return true;
}

static void use_build(struct lc_list *l, struct use *u, struct nft_table *t,
		      const struct lc_ops *ops)
{
	for (size_t i = 0; l->before && i < l->before->n_uses; i++)
		if (same_use(&l->before->uses[i], &u->u))
			u->old = &l->before->uses[i];
	lc_add_ends(l, u, ops);
	add_blocks(l, u, t);
	u->old = NULL;
}

static struct use *use_new(struct lc_list *l, const struct lc_use *w)
{
	struct use *u;

	l->uses = xrealloc(l->uses, (l->n_uses + 1) * sizeof(*l->uses));
	u = &l->uses[l->n_uses++];
	*u = (struct use){ .u = *w, .name = xstrdup(w->chain) };
	for (int i = 0; i < LC_ACTIONS; i++) {
		u->targets[i] = w->verdict[i].chain ? xstrdup(w->verdict[i].chain) : NULL;
		u->u.verdict[i].chain = u->targets[i];
	}
	u->wait = w->wait ? xstrdup(w->wait) : NULL;
	u->u.wait = u->wait;
	u->u.chain = u->name;
	return u;
}

static void hits_set(struct nft_table *t)
{
	if (nft_table_set(t, LC_HITS))
		return;
	/* As many as lines there can be; the kernel allocates what is used. */
	nft_table_add_set(t, nft_set_new(&(struct nft_set_spec){ .name = LC_HITS,
								 .flags = NFT_SET_EVAL,
								 .key_type = NFT_T_MARK,
								 .key_size = 4,
								 .timeout_ms = LC_HITS_TIMEOUT_MS,
								 .size = 1u << 20 }));
}

void lc_add(struct lc_list *l, struct nft_table *t, const struct lc_use *use,
	    const struct lc_ops *ops)
{
	struct use *u = NULL;

	for (size_t i = 0; i < l->n_uses && !u; i++)
		if (same_use(&l->uses[i], use))
			u = &l->uses[i];
	if (use->count)
		hits_set(t);
	if (!u) {
		u = use_new(l, use);
		use_build(l, u, t, ops);
	}
	/* Another use of the list, or another list of the same group, may have added them. */
	add_sets(t, &l->sets);
	add_sets(t, &u->sets);
	for (size_t i = 0; i < u->n_chains; i++)
		nft_table_add_chain(t, nft_chain_ref(u->chains[i]));
}

/* The program of a list from that of the one before, which loses it, or from nothing. */
static void make_prog(struct lc_list *l, struct lc_list *before)
{
	if (before && before->prog && !strcmp(before->key, l->key) &&
	    before->list->family == l->list->family && lb_patch(before->prog, l->list)) {
		l->prog = before->prog;
		before->prog = NULL;
		l->before = before;
		before->after = l;
	} else {
		l->prog = lb_build(l->list);
	}
}

struct lc_list *lc_compile(const struct pol_list *list, const char *key, struct lc_list *before)
{
	struct lc_list *l = xcalloc(1, sizeof(*l));

	l->list = list;
	l->rec = list->rec ? rec_key_copy(list->rec) : NULL;
	l->key = xstrdup(key);
	make_prog(l, before);
	for (size_t b = 0; b < l->prog->n_blocks; b++) {
		const struct lb_block *blk = &l->prog->blocks[b];

		if (!blk->linear)
			lc_add_tables(l, b);
		/* Also of lines in tables: a use that returns has some of them as lines. */
		for (size_t i = blk->first; i < blk->end && !list->no_sets; i++) {
			if (lb_is_void(list->rules[i]))
				continue;
			lc_add_addr_set(l, list->rules[i], LB_SRC);
			lc_add_addr_set(l, list->rules[i], LB_DST);
		}
	}
	return l;
}

struct lc_list *lc_free(struct lc_list *l)
{
	if (!l)
		return NULL;
	if (l->before)
		l->before->after = NULL;
	if (l->after)
		l->after->before = NULL;
	drop_sets(&l->sets);
	for (size_t i = 0; i < l->n_uses; i++) {
		struct use *u = &l->uses[i];

		for (size_t k = 0; k < u->n_chains; k++)
			nft_chain_unref(u->chains[k]);
		drop_sets(&u->sets);
		for (int k = 0; k < LC_ACTIONS; k++)
			free(u->targets[k]);
		free(u->parts);
		free(u->chains);
		free(u->name);
		free(u->wait);
	}
	free(l->uses);
	lb_free(l->prog);
	rec_unref(l->rec);
	free(l->key);
	free(l);
	return NULL;
}
