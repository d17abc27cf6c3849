/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The comparison of rulesets, without a kernel: operations of random pairs of rulesets are carried
 * out on a naive model of nftables that refuses what the kernel refuses (deleting what is used,
 * using what is not there), and must lead to what is wanted, with the least number of rules
 * touched.
 */
#include "nft/nft_diff.h"
#include "../lib/check_main.h"
#include "../lib/nft_random.h"

#define MAX_RULES NFT_RANDOM_RULES
#define MAX_UNITS 400
#define MAX_NODES 32

/* ---- the naive kernel ---- */

struct sim_rule {
	uint64_t handle, hash;
	uint32_t uses[2];
	size_t n_uses;
};

struct sim_node {
	bool used;
	enum nft_kind kind;
	char name[32];
	uint64_t def;
	uint32_t policy;
	struct sim_rule rules[MAX_RULES];
	size_t n_rules;
	struct nft_unit units[MAX_UNITS];
	size_t n_units;
};

static struct {
	bool there;
	struct sim_node v[MAX_NODES];
	uint64_t handle;
} sim;

static struct sim_node *sim_find(enum nft_kind kind, const char *name)
{
	for (size_t i = 0; i < MAX_NODES; i++) {
		if (sim.v[i].used && sim.v[i].kind == kind && !strcmp(sim.v[i].name, name))
			return &sim.v[i];
	}
	return NULL;
}

static bool sim_has_ref(uint32_t ref)
{
	for (size_t i = 0; i < MAX_NODES; i++) {
		if (sim.v[i].used && nft_ref_hash(sim.v[i].kind, sim.v[i].name) == ref)
			return true;
	}
	return false;
}

static bool sim_is_used(uint32_t ref)
{
	for (size_t i = 0; i < MAX_NODES; i++) {
		const struct sim_node *s = &sim.v[i];

		for (size_t k = 0; s->used && k < s->n_rules; k++) {
			for (size_t u = 0; u < s->rules[k].n_uses; u++) {
				if (s->rules[k].uses[u] == ref)
					return true;
			}
		}
		for (size_t k = 0; s->used && k < s->n_units; k++) {
			if (s->units[k].ref == ref)
				return true;
		}
	}
	return false;
}

static void sim_new(const struct nft_node *n)
{
	struct sim_node *s = sim.v;

	ck_assert(sim.there);
	ck_assert_msg(!sim_find(n->kind, n->name), "%s is there already", n->name);
	while (s->used)
		s++;
	*s = (struct sim_node){ .used = true, .kind = n->kind, .def = n->def };
	rtr_strlcpy(s->name, n->name, sizeof(s->name));
	if (n->kind == NFT_CHAIN)
		s->policy = ((const struct nft_chain *)(const void *)n)->policy;
}

static void sim_del(const struct nft_node *n)
{
	struct sim_node *s = sim_find(n->kind, n->name);

	ck_assert(s);
	if (s->kind == NFT_CHAIN)
		ck_assert_uint_eq(s->n_rules, 0);
	s->used = false;
	ck_assert_msg(!sim_is_used(n->ref), "%s is deleted and still used", n->name);
}

static size_t sim_rule_at(const struct sim_node *s, uint64_t handle)
{
	size_t i = 0;

	while (i < s->n_rules && s->rules[i].handle != handle)
		i++;
	ck_assert_uint_lt(i, s->n_rules);
	return i;
}

static void sim_rule_del(const struct nft_op *o)
{
	struct sim_node *s = sim_find(NFT_CHAIN, o->node->name);
	size_t at;

	ck_assert(s);
	if (!o->handle) {
		s->n_rules = 0;
		return;
	}
	at = sim_rule_at(s, o->handle);
	memmove(&s->rules[at], &s->rules[at + 1], (--s->n_rules - at) * sizeof(s->rules[0]));
}

static void sim_rule_new(struct nft_op *o)
{
	const struct nft_chain *c = (const void *)o->node;
	const struct nft_rule *r = c->rules[o->at];
	struct sim_node *s = sim_find(NFT_CHAIN, o->node->name);
	size_t at;

	ck_assert(s);
	ck_assert_uint_lt(s->n_rules, MAX_RULES);
	for (size_t u = 0; u < r->n_uses; u++)
		ck_assert_msg(sim_has_ref(r->uses[u]), "a rule uses what is not there");
	at = o->place == NFT_APPEND    ? s->n_rules
	     : o->place == NFT_PREPEND ? 0
				       : sim_rule_at(s, o->handle) + 1;
	memmove(&s->rules[at + 1], &s->rules[at], (s->n_rules++ - at) * sizeof(s->rules[0]));
	s->rules[at] = (struct sim_rule){ .handle = ++sim.handle,
					  .hash = r->hash,
					  .n_uses = r->n_uses };
	ck_assert_uint_le(r->n_uses, ARRAY_LEN(s->rules[at].uses));
	if (r->n_uses)
		memcpy(s->rules[at].uses, r->uses, r->n_uses * sizeof(r->uses[0]));
	o->msg = sim.handle; /* for check_handles */
}

static size_t sim_unit(const struct sim_node *s, uint64_t key)
{
	size_t i = 0;

	while (i < s->n_units && s->units[i].key != key)
		i++;
	return i;
}

static void sim_unit_op(const struct nft_op *o, bool add)
{
	const struct nft_set *set = (const void *)o->node;
	const struct nft_unit *u = &set->units[o->at];
	struct sim_node *s = sim_find(NFT_SET, o->node->name);
	size_t at;

	ck_assert(s);
	at = sim_unit(s, u->key);
	if (add) {
		ck_assert_msg(at == s->n_units, "an element is added twice");
		ck_assert(!u->ref || sim_has_ref(u->ref));
		s->units[s->n_units++] = *u;
	} else {
		ck_assert_msg(at < s->n_units, "an element is deleted that is not there");
		s->units[at] = s->units[--s->n_units];
	}
}

static void sim_op(enum nft_op_kind kind, struct nft_op *o)
{
	switch (kind) {
	case NFT_OP_RULE_DEL:
		sim_rule_del(o);
		break;
	case NFT_OP_RULE_NEW:
		sim_rule_new(o);
		break;
	case NFT_OP_UNIT_DEL:
	case NFT_OP_UNIT_ADD:
		sim_unit_op(o, kind == NFT_OP_UNIT_ADD);
		break;
	case NFT_OP_CHAIN_SET:
		sim_find(NFT_CHAIN, o->node->name)
			->policy = ((const struct nft_chain *)(const void *)o->node)->policy;
		break;
	case NFT_OP_SET_DEL:
	case NFT_OP_CHAIN_DEL:
	case NFT_OP_OBJ_DEL:
		sim_del(o->node);
		break;
	case NFT_OP_TABLE_NEW:
		ck_assert(!sim.there);
		sim.there = true;
		break;
	case NFT_OP_TABLE_DEL:
		memset(&sim, 0, sizeof(sim));
		break;
	default:
		sim_new(o->node);
	}
}

static void sim_run(struct nft_change *c)
{
	for (int k = 0; k < NFT_OP__MAX; k++) {
		for (size_t i = 0; i < c->ops[k].n; i++)
			sim_op((enum nft_op_kind)k, &c->ops[k].v[i]);
	}
}

/* ---- is it what was wanted ---- */

static void check_chain(const struct nft_chain *c, const struct nft_handles *h)
{
	const struct sim_node *s = sim_find(NFT_CHAIN, c->node.name);

	ck_assert(s);
	ck_assert_uint_eq(s->def, c->node.def);
	ck_assert_uint_eq(s->policy, c->policy);
	ck_assert_uint_eq(s->n_rules, c->n);
	ck_assert_uint_eq(h->n, c->n);
	for (size_t i = 0; i < c->n; i++) {
		ck_assert_uint_eq(s->rules[i].hash, c->rules[i]->hash);
		ck_assert_uint_eq(s->rules[i].handle, h->v[i]);
	}
}

static void check_set(const struct nft_set *w)
{
	const struct sim_node *s = sim_find(NFT_SET, w->node.name);

	ck_assert(s);
	ck_assert_uint_eq(s->def, w->node.def);
	ck_assert_uint_eq(s->n_units, w->n);
	for (size_t i = 0; i < w->n; i++) {
		size_t at = sim_unit(s, w->units[i].key);

		ck_assert_uint_lt(at, s->n_units);
		ck_assert_uint_eq(s->units[at].hash, w->units[i].hash);
	}
}

/* next, with the handles that the kernel gave, is what the kernel has. */
static void check_next(struct nft_change *c)
{
	const struct nft_ops *o = &c->ops[NFT_OP_RULE_NEW];
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++) {
		struct nft_table *t = nft_ruleset_find(c->next, o->v[i].table->family,
						       o->v[i].table->name);

		t->handles[nft_nodes_find(&t->nodes[NFT_CHAIN], o->v[i].node->name)]
			->v[o->v[i].at] = o->v[i].msg;
	}
	for (size_t i = 0; i < c->next->n; i++) {
		const struct nft_table *t = c->next->tables[i];

		for (size_t k = 0; k < t->nodes[NFT_CHAIN].n; k++)
			check_chain((const void *)t->nodes[NFT_CHAIN].v[k], t->handles[k]);
		for (size_t k = 0; k < t->nodes[NFT_SET].n; k++)
			check_set((const void *)t->nodes[NFT_SET].v[k]);
		for (int k = 0; k < NFT_KINDS; k++)
			n += t->nodes[k].n;
	}
	for (size_t i = 0; i < MAX_NODES; i++)
		n -= sim.v[i].used;
	ck_assert_uint_eq(n, 0);
	ck_assert(sim.there == (c->next->n > 0));
}

/* Length of the longest common subsequence, the naive way. */
static size_t lcs(const struct nft_chain *a, const struct nft_chain *b)
{
	static size_t t[MAX_RULES + 1][MAX_RULES + 1];

	for (size_t i = a->n + 1; i-- > 0;) {
		for (size_t k = b->n + 1; k-- > 0;) {
			if (i == a->n || k == b->n)
				t[i][k] = 0;
			else if (a->rules[i]->hash == b->rules[k]->hash)
				t[i][k] = t[i + 1][k + 1] + 1;
			else
				t[i][k] = MAX(t[i + 1][k], t[i][k + 1]);
		}
	}
	return t[0][0];
}

/* ---- tests ---- */

/* Rules are touched only when they differ, unless what they refer to is made anew. */
static void check_least(const struct nft_change *c)
{
	for (size_t i = 0; !c->ops[NFT_OP_SET_DEL].n && !c->ops[NFT_OP_OBJ_DEL].n &&
			   !c->ops[NFT_OP_CHAIN_DEL].n && i < c->want->n;
	     i++) {
		const struct nft_table *w = c->want->tables[i],
				       *h = nft_ruleset_find(c->have, w->family, w->name);
		size_t add = 0;

		for (size_t k = 0; h && k < w->nodes[NFT_CHAIN].n; k++) {
			const struct nft_chain *wc = (const void *)w->nodes[NFT_CHAIN].v[k];
			const struct nft_chain *hc = nft_table_chain(h, wc->node.name);

			add += wc->n - (hc ? lcs(hc, wc) : 0);
		}
		/* Equal rules are paired in order, which now and then keeps some fewer than the
		 * longest run has. */
		if (h) {
			ck_assert_uint_ge(c->ops[NFT_OP_RULE_NEW].n, add);
			ck_assert_uint_le(c->ops[NFT_OP_RULE_NEW].n, add + add / 2 + 20);
		}
	}
}

START_TEST(random_pairs)
{
	struct nft_ruleset *have = nft_ruleset_new();

	nft_random_seed = test_seed;
	memset(&sim, 0, sizeof(sim));
	for (int i = 0; i < 500; i++) {
		struct nft_ruleset *want = nft_random_ruleset(have);
		struct nft_change *c = nft_diff(have, want), *again;

		sim_run(c);
		check_next(c);
		check_least(c);
		nft_ruleset_unref(have);
		have = nft_ruleset_ref(c->next);
		again = nft_diff(have, want);
		ck_assert_uint_eq(again->n, 0);
		nft_change_free(again);
		nft_change_free(c);
		nft_ruleset_unref(want);
	}
	nft_ruleset_unref(have);
}
END_TEST

/* One rule changed in a long chain is one rule deleted and one added, at its place. */
START_TEST(one_rule)
{
	struct nft_ruleset *rs[2];
	struct nft_change *c, *first;
	struct nft_ruleset *none = nft_ruleset_new();

	for (int v = 0; v < 2; v++) {
		struct nft_chain *ch = nft_chain_new(&(struct nft_chain_spec){ .name = "c" });

		for (unsigned i = 0; i < 150; i++) {
			struct nft_rule *r = nft_rule_new(i == 70 && v ? 1000 : i, NULL, NULL);

			nft_counter(r);
			nft_chain_add(ch, r);
		}
		rs[v] = nft_ruleset_new();
		nft_table_add_chain(nft_ruleset_table(rs[v], NFPROTO_INET, nft_table_name()), ch);
	}
	first = nft_diff(none, rs[0]);
	memset(&sim, 0, sizeof(sim));
	sim_run(first);
	check_next(first);
	c = nft_diff(first->next, rs[1]);
	ck_assert_uint_eq(c->n, 2);
	ck_assert_uint_eq(c->ops[NFT_OP_RULE_DEL].v[0].handle, 71);
	ck_assert_uint_eq(c->ops[NFT_OP_RULE_NEW].v[0].handle, 70);
	ck_assert_int_eq(c->ops[NFT_OP_RULE_NEW].v[0].place, NFT_AFTER);
	sim_run(c);
	check_next(c);
	nft_change_free(c);
	nft_change_free(first);
	nft_ruleset_unref(none);
	nft_ruleset_unref(rs[0]);
	nft_ruleset_unref(rs[1]);
}
END_TEST

/* A chain of which one rule changed, made anew at once: no handle is asked for, none is needed. */
START_TEST(whole_chain)
{
	struct nft_ruleset *rs[2], *none = nft_ruleset_new();
	struct nft_change *c, *first;
	struct nfbatch *b = nfbatch_new();

	for (int v = 0; v < 2; v++) {
		struct nft_chain *ch = nft_chain_new(
			&(struct nft_chain_spec){ .name = "c", .whole = true });

		for (unsigned i = 0; i < 10; i++) {
			struct nft_rule *r = nft_rule_new(i == 7 && v ? 1000 : i, NULL, NULL);

			nft_verdict(r, NF_DROP);
			nft_chain_add(ch, r);
		}
		rs[v] = nft_ruleset_new();
		nft_table_add_chain(nft_ruleset_table(rs[v], NFPROTO_INET, nft_table_name()), ch);
	}
	first = nft_diff(none, rs[0]);
	memset(&sim, 0, sizeof(sim));
	sim_run(first);
	check_next(first);
	c = nft_diff(first->next, rs[1]);
	ck_assert_uint_eq(c->ops[NFT_OP_RULE_DEL].n, 1);
	ck_assert_uint_eq(c->ops[NFT_OP_RULE_DEL].v[0].handle, 0);
	ck_assert_uint_eq(c->ops[NFT_OP_RULE_NEW].n, 10);
	nft_emit(c, b);
	for (size_t i = 0; i < b->n; i++)
		ck_assert(!(((struct nlmsghdr *)(void *)(b->buf + b->at[i]))->nlmsg_flags &
			    NLM_F_ECHO));
	sim_run(c);
	check_next(c);
	nfbatch_unref(b);
	nft_change_free(c);
	nft_change_free(first);
	nft_ruleset_unref(none);
	nft_ruleset_unref(rs[0]);
	nft_ruleset_unref(rs[1]);
}
END_TEST

/* What a shared table holds of others stays; ours in it goes; the table when we made it. */
START_TEST(shared_table)
{
	for (int made = 0; made < 2; made++) {
		for (size_t foreign = 0; foreign < 2; foreign++) {
			struct nft_ruleset *have = nft_ruleset_new(), *none = nft_ruleset_new();
			struct nft_table *t = nft_ruleset_table(have, NFPROTO_IPV6, "mangle");
			char *name = xasprintf("%s/x", nft_table_name());
			struct nft_change *c;

			nft_table_add_chain(
				t, nft_chain_new(&(struct nft_chain_spec){ .name = name }));
			t->handles = xcalloc(1, sizeof(struct nft_handles *));
			t->handles[0] = nft_handles_new(0);
			t->made_by_us = made;
			t->n_foreign = foreign;
			c = nft_diff(have, none);
			ck_assert_uint_eq(c->ops[NFT_OP_CHAIN_DEL].n, 1);
			ck_assert_uint_eq(c->ops[NFT_OP_TABLE_DEL].n, made && !foreign);
			nft_change_free(c);
			nft_ruleset_unref(have);
			nft_ruleset_unref(none);
			free(name);
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nft_diff");
	TCase *tc = tcase_create("nft_diff");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, random_pairs);
	tcase_add_test(tc, one_rule);
	tcase_add_test(tc, whole_chain);
	tcase_add_test(tc, shared_table);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
