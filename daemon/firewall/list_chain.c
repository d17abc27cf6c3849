/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_impl.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <stdlib.h>
#include <string.h>

/* ---- chains of a use ---- */

bool lc_returns(const struct use *u)
{
	for (int i = 0; i < LC_ACTIONS; i++)
		if (u->u.verdict[i].code == NFT_RETURN)
			return true;
	return false;
}

/* Of a part: few rules, and hits are counted in a set. */
static struct nft_chain *part_chain(const struct lc_list *l, const char *name)
{
	return nft_chain_new(
		&(struct nft_chain_spec){ .name = name, .rec = l->rec, .whole = true });
}

struct nft_chain *lc_new_chain(const struct lc_list *l, const char *name)
{
	return nft_chain_new(&(struct nft_chain_spec){ .name = name, .rec = l->rec });
}

void lc_hold_chain(struct use *u, struct nft_chain *c)
{
	if (u->n_chains == u->chains_room) {
		u->chains_room = MAX(2 * u->chains_room, (size_t)64);
		u->chains = xrealloc(u->chains, u->chains_room * sizeof(struct nft_chain *));
	}
	u->chains[u->n_chains++] = c;
}

struct nft_chain *lc_keep_part(struct use *u, const void *of, int end)
{
	const struct use *old = u->old;

	for (size_t i = 0; old && i < old->n_parts; i++) {
		size_t at = (u->old_at + i) % old->n_parts;

		if (old->parts[at].of != of || old->parts[at].end != end)
			continue;
		u->old_at = at + 1;
		return nft_chain_ref(old->parts[at].chain);
	}
	return NULL;
}

void lc_hold_part(struct use *u, const void *of, int end, struct nft_chain *c)
{
	if (u->n_parts == u->parts_room) {
		u->parts_room = MAX(2 * u->parts_room, (size_t)64);
		u->parts = xrealloc(u->parts, u->parts_room * sizeof(*u->parts));
	}
	u->parts[u->n_parts++] = (struct part){ of, end, c };
	lc_hold_chain(u, c);
}

/* ---- rules that look into the tables ---- */

static void load_field(struct nft_rule *r, uint8_t family, enum lb_class class, unsigned f,
		       uint32_t reg)
{
	unsigned size = rtr_family_size(family), at = family == AF_INET6 ? 8 : 12;

	if (f == LB_SRC)
		nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, at, size, reg);
	else if (f == LB_DST)
		nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, at + size, size, reg);
	else if (f == LB_PROTO)
		nft_meta(r, NFT_META_L4PROTO, reg);
	else if (f == LB_P0)
		nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, reg);
	else if (f == LB_P1)
		nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg);
	/* A rank is where the lookup before left it. */
}

static void load(struct nft_rule *r, uint8_t family, enum lb_class class, const struct layout *l)
{
	for (unsigned i = 0; i < l->n; i++)
		load_field(r, family, class, l->v[i].f, REG(l->v[i].reg));
}

/* What a lookup gives: above the longest key, IPv6 with a rank. */
#define DATA_REG  12
#define DATA_ACT  (DATA_REG + 1)
#define DATA_RANK (DATA_REG + 2)
#define DATA_ID   (DATA_REG + 3)

/* From what a lookup gave to its place in the keys that follow. nft aborts when it lists a key of
 * which a part is what a map gave; of a register that it does not know it says so and goes on. */
static void move(struct nft_rule *r, uint32_t from, uint32_t to)
{
	static const uint8_t zero[4], ones[4] = { 0xff, 0xff, 0xff, 0xff };

	nft_bitwise(r, from, to, 4, ones, zero);
}

/* A lookup in a table; where it has nothing, the rule ends. */
static void lookup(struct nft_rule *r, const struct lc_list *l, const struct place *p)
{
	struct layout lay = lc_layout_at(l, p);
	char name[NAME_SIZE];

	load(r, l->list->family, p->class, &lay);
	lc_place_name(l->key, p, name);
	nft_map(r, name, REG(0), REG(DATA_REG));
}

/* What the first match does. */
static void act(struct nft_rule *r, const struct use *u)
{
	lc_found_act(r, u, &(struct lc_found){ .id_reg = REG(DATA_ID), .act_reg = REG(DATA_ACT) });
}

/* The rank that was found to where the table has it in its key. */
static void rank_to(struct nft_rule *r, const struct lc_list *l, const struct place *p)
{
	struct layout lay = lc_layout_at(l, p);

	move(r, REG(DATA_RANK), REG(lay.v[lay.n - 1].reg));
}

static struct nft_rule *new_rule(const struct lc_list *l)
{
	return nft_rule_new(0, l->rec, NULL);
}

/* Goes on with packets that may be in a box of E: to find that out costs less than E does. */
static void if_near(struct nft_rule *r, const struct lc_list *l, const struct place *p)
{
	char name[NAME_SIZE];

	if (!lc_tables_of(l, p)->near)
		return;
	load_field(r, l->list->family, p->class, lc_other_of(lc_tables_of(l, p)), REG(0));
	lc_place_name(l->key, &(struct place){ p->block, p->class, NULL, "N" }, name);
	nft_lookup(r, name, REG(0), false);
}

static struct place early_of(const struct lc_list *l, const struct place *p, int k)
{
	struct place e = { p->block, p->class, &lc_tables_of(l, p)->early[k], "E" };

	if (k)
		rtr_strlcpy(e.path, "E.udp", sizeof(e.path));
	return e;
}

static bool any_asks(const struct lb_tables *t, const struct lb_box *boxes, size_t n, int k)
{
	for (size_t i = 0; i < n; i++)
		if (lb_asks(t, &boxes[i], k))
			return true;
	return false;
}

/* The beginning of a rule that asks an E: for packets of its protocol. */
static struct nft_rule *ask(const struct lc_list *l, const struct place *p, int k)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct nft_rule *r = new_rule(l);

	if (lc_tables_of(l, p)->n_early > 1)
		nft_l4proto_is(r, protos[k]);
	if_near(r, l, p);
	return r;
}

static void ask_for(struct nft_rule *r, const struct lc_list *l, const struct use *u,
		    const struct place *e, uint32_t rank)
{
	struct layout lay = lc_layout_at(l, e);
	uint8_t bytes[4] = { 0 };

	lc_put_num(bytes, rank, lay.v[lay.n - 1].size);
	nft_imm(r, REG(lay.v[lay.n - 1].reg), bytes, sizeof(bytes));
	lookup(r, l, e);
	act(r, u);
}

/* Lines between whose ranks nothing of E comes ask alike: as the first rank that does. */
static bool ask_rank(const struct lb_tables *t, uint32_t rank, uint32_t *ret)
{
	size_t lo = 0, hi = t->n_froms;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->froms[mid] <= rank)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo)
		*ret = t->froms[lo - 1];
	return lo;
}

static void ask_name(const struct use *u, const struct place *p, uint32_t rank,
		     char name[NAME_SIZE])
{
	struct place q = { p->block, p->class, NULL, "" };

	snprintf(q.path, sizeof(q.path), "E.%x", rank);
	lc_place_name(u->name, &q, name);
}

/* A part that is a set: what is found there may have something of E before it. */
static void table_rules(const struct lc_list *l, const struct use *u, struct nft_chain *c,
			const struct place *p, const struct lb_node *leaf)
{
	struct nft_rule *r;

	for (int k = 0; k < 2; k++) {
		struct place e = early_of(l, p, k);

		/* An E that holds nothing has no set either. */
		if (!e.set->n || !any_asks(lc_tables_of(l, p), leaf->set.box, leaf->set.n, k))
			continue;
		r = ask(l, p, k);
		lookup(r, l, p);
		rank_to(r, l, &e);
		lookup(r, l, &e);
		act(r, u);
		nft_chain_add(c, r);
	}
	r = new_rule(l);
	lookup(r, l, p);
	act(r, u);
	nft_chain_add(c, r);
}

/* Values that are compared at once: registers that follow each other. */
struct exact {
	struct nft_rule *r;
	uint8_t value[16];
	unsigned size;
};

static void exact_end(struct exact *e)
{
	if (e->size)
		nft_cmp(e->r, REG(0), NFT_CMP_EQ, e->value, e->size);
	*e = (struct exact){ .r = e->r };
}

static void exact_add(struct exact *e, const struct lc_list *l, enum lb_class class,
		      enum lb_field f, lb_num value)
{
	unsigned size = lc_field_size(l->list->family, class, f), room = ROUND_UP(size, 4u);

	if (e->size + room > sizeof(e->value))
		exact_end(e);
	load_field(e->r, l->list->family, class, f, REG(e->size / 4));
	lc_put_num(e->value + e->size, value, size);
	e->size += room;
}

/* Of a line only what the packets of a part do not all have; what is one value first. */
static void match_box(struct nft_rule *r, const struct lc_list *l, const struct place *p,
		      const struct lb_box *x, const struct lb_box *at)
{
	static const enum lb_field order[] = { LB_P1, LB_P0, LB_PROTO, LB_DST, LB_SRC };
	struct exact e = { .r = r };

	for (int ranges = 0; ranges < 2; ranges++) {
		for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
			enum lb_field f = order[i];
			unsigned size = lc_field_size(l->list->family, p->class, f);
			uint8_t lo[16], hi[16];

			if (!size || (x->lo[f] <= at->lo[f] && x->hi[f] >= at->hi[f]) ||
			    ranges != (x->lo[f] != x->hi[f]))
				continue;
			if (!ranges) {
				exact_add(&e, l, p->class, f, x->lo[f]);
				continue;
			}
			lc_put_num(lo, x->lo[f], size);
			lc_put_num(hi, x->hi[f], size);
			load_field(r, l->list->family, p->class, f, REG(0));
			nft_range(r, REG(0), NFT_RANGE_EQ, lo, hi, size);
		}
		exact_end(&e);
	}
}

/* Asks for a line that does not say itself what it does: a chain for each rank asks E, and returns;
 * where a verdict is to return, the line does so. */
static void line_asks(const struct lc_list *l, const struct use *u, struct nft_chain *c,
		      const struct place *p, const struct lb_box *x, const struct lb_box *at)
{
	const struct lb_tables *t = lc_tables_of(l, p);
	char name[NAME_SIZE];
	uint32_t rank = 0;
	struct nft_rule *r;

	if (!x->asks || !ask_rank(t, x->rank, &rank))
		return;
	if (!lc_returns(u)) {
		r = new_rule(l);
		match_box(r, l, p, x, at);
		ask_name(u, p, rank, name);
		nft_jump(r, name);
		nft_chain_add(c, r);
		return;
	}
	for (int k = 0; k < 2; k++) {
		struct place e = early_of(l, p, k);

		if (!lb_asks(t, x, k) || !e.set->n)
			continue;
		r = ask(l, p, k);
		match_box(r, l, p, x, at);
		ask_for(r, l, u, &e, rank);
		nft_chain_add(c, r);
	}
}

/* What a line's rule ends with; `ask_end`: it asks on its way to the end. */
static bool ask_end(const struct lc_list *l, const struct use *u, const struct place *p,
		    const struct lb_box *x, char name[NAME_SIZE])
{
	char stem[NAME_SIZE];
	uint32_t rank = 0;

	if (!x->asks || lc_returns(u) || lc_is_alone(u, x->line) ||
	    !ask_rank(lc_tables_of(l, p), x->rank, &rank))
		return false;
	ask_name(u, p, rank, stem);
	lc_end_name(stem, x->line, name);
	return true;
}

/* A part of few lines, in their order. */
static void line_rules(const struct lc_list *l, const struct use *u, struct nft_chain *c,
		       const struct place *p, const struct lb_node *leaf)
{
	const struct lb_block *b = &l->prog->blocks[p->block];
	char end[NAME_SIZE];

	for (size_t i = 0; i < leaf->set.n; i++) {
		const struct lb_box *x = &leaf->set.box[i];
		bool asks = ask_end(l, u, p, x, end);
		struct nft_rule *r;

		if (!asks)
			line_asks(l, u, c, p, x, &leaf->at);
		r = nft_rule_new(0, x->line->rec, NULL);
		match_box(r, l, p, x, &leaf->at);
		if (asks)
			lc_line_act_at(r, x->line, end);
		else if (lb_is_shared(b, x))
			lc_line_act_shared(r, u, x->line);
		else
			lc_line_act(r, u, x->line);
		nft_chain_add(c, r);
	}
}

static void leaf_rules(const struct lc_list *l, const struct use *u, struct nft_chain *c,
		       const struct place *at, const struct lb_node *leaf)
{
	struct place p = *at;

	p.set = &leaf->set;
	if (!leaf->set.n)
		return;
	if (leaf->table)
		table_rules(l, u, c, &p, leaf);
	else
		line_rules(l, u, c, &p, leaf);
}

/* Chains that are reached by goto say themselves where they go on. */
static void go_on(struct nft_chain *c, const struct lc_list *l, const char *next)
{
	struct nft_rule *r;

	if (!next)
		return;
	r = nft_rule_new(0, l->rec, NULL);
	nft_goto(r, next);
	nft_chain_add(c, r);
}

static void tree_rules(const struct lc_list *l, struct use *u, struct nft_chain *c,
		       const struct place *p, const struct lb_node *node, const char *next);

/* The chain of a part that is not empty. */
static void part_rules(const struct lc_list *l, struct use *u, const struct place *p,
		       const struct lb_node *cut, size_t i, const char *next)
{
	const struct lb_node *part = &cut->part[i];
	struct nft_chain *c = part->leaf && !part->fresh ? lc_keep_part(u, part, -1) : NULL;

	if (!c) {
		struct place q = lc_part_at(p, cut->from[i]);
		char name[NAME_SIZE];

		lc_place_name(u->name, &q, name);
		c = part_chain(l, name);
		tree_rules(l, u, c, &q, part, next);
		go_on(c, l, next);
	}
	lc_hold_part(u, part, -1, c);
}

/* The values of the cut field to the chains of the parts. */
static void cut_map(const struct lc_list *l, struct use *u, const struct place *p,
		    const struct lb_node *node, const char *name)
{
	unsigned size = lc_field_size(l->list->family, p->class, node->field);
	lb_num max = lb_max(l->list->family, node->field);
	char target[NAME_SIZE];
	struct nft_data d = { .verdict = lc_returns(u) ? NFT_GOTO : NFT_JUMP, .chain = target };
	struct nft_set *s;

	s = nft_set_new(&(struct nft_set_spec){ .name = name,
						.flags = NFT_SET_INTERVAL,
						.key_type = lc_field_type(node->field, size),
						.key_size = (uint8_t)size,
						.data_type = NFT_T_VERDICT,
						.rec = l->rec });
	for (size_t i = 0; i < node->n; i++) {
		lb_num hi = i + 1 < node->n ? node->from[i + 1] - 1 : max;
		struct place q;
		uint8_t from[16], to[16];

		if (lb_tree_empty(&node->part[i]))
			continue;
		q = lc_part_at(p, node->from[i]);
		lc_place_name(u->name, &q, target);
		lc_put_num(from, node->from[i], size);
		lc_put_num(to, hi, size);
		nft_set_add_range(s, from, to, &d);
	}
	lc_hold_set(&u->sets, name, s);
}

static void cut_rules(const struct lc_list *l, struct use *u, struct nft_chain *c,
		      const struct place *p, const struct lb_node *node, const char *next)
{
	char name[NAME_SIZE];
	struct nft_rule *r;

	for (size_t i = 0; i < node->n; i++)
		if (!lb_tree_empty(&node->part[i]))
			part_rules(l, u, p, node, i, next);
	lc_place_name(u->name, p, name);
	if (node->fresh || !u->old || !lc_keep_set(&u->sets, &u->old->sets, &u->old_set_at, name))
		cut_map(l, u, p, node, name);
	r = nft_rule_new(0, l->rec, NULL);
	load_field(r, l->list->family, p->class, node->field, REG(0));
	nft_vmap(r, name, REG(0));
	nft_chain_add(c, r);
}

static void tree_rules(const struct lc_list *l, struct use *u, struct nft_chain *c,
		       const struct place *p, const struct lb_node *node, const char *next)
{
	if (node->leaf)
		leaf_rules(l, u, c, p, node);
	else
		cut_rules(l, u, c, p, node, next);
}

static struct nft_chain *ask_chain(const struct lc_list *l, const struct use *u,
				   const struct place *p, uint32_t rank, const char *name)
{
	struct nft_chain *c = part_chain(l, name);

	for (int k = 0; k < 2; k++) {
		struct place e = early_of(l, p, k);
		struct nft_rule *r;

		if (!e.set->n)
			continue;
		r = ask(l, p, k);
		ask_for(r, l, u, &e, rank);
		nft_chain_add(c, r);
	}
	return c;
}

/* Asks E, and comes to the end of an action. */
static struct nft_chain *ask_end_chain(const struct lc_list *l, const char *name, const char *ask,
				       const char *end)
{
	struct nft_chain *c = part_chain(l, name);
	struct nft_rule *r = new_rule(l);

	nft_jump(r, ask);
	nft_chain_add(c, r);
	r = new_rule(l);
	nft_goto(r, end);
	nft_chain_add(c, r);
	return c;
}

static void add_ask(const struct lc_list *l, struct use *u, const struct place *p,
		    const uint32_t *rank)
{
	struct nft_chain *c = lc_keep_part(u, rank, -1);
	char name[NAME_SIZE], behind[NAME_SIZE], end[NAME_SIZE];

	ask_name(u, p, *rank, name);
	lc_hold_part(u, rank, -1, c ? c : ask_chain(l, u, p, *rank, name));
	for (int a = 0; a < LC_ACTIONS; a++) {
		if (!u->ends[a])
			continue;
		c = lc_keep_part(u, rank, a);
		if (!c) {
			lc_end_name(name, u->ends[a], behind);
			lc_end_name(u->name, u->ends[a], end);
			c = ask_end_chain(l, behind, name, end);
		}
		lc_hold_part(u, rank, a, c);
	}
}

/* The chains of all ranks with which E is asked. lb_patch leaves E as it is. */
static void add_asks(const struct lc_list *l, struct use *u, const struct place *p)
{
	const struct lb_tables *t = lc_tables_of(l, p);

	for (size_t i = 0; i < t->n_froms; i++)
		add_ask(l, u, p, &t->froms[i]);
}

/* One table after the other, and `next`. Where a verdict is to return, parts in chains of their own
 * are reached by goto and go on where their table does; else they are jumped to, and return. */
static void add_class(const struct lc_list *l, struct use *u, size_t block, enum lb_class class,
		      const char *next)
{
	static const char *const paths[] = { "A", "B", "C" };
	struct place p = { .block = block, .class = class };
	const struct lb_tables *t = lc_tables_of(l, &p);
	const struct lb_node *trees[] = { &t->a, &t->b, &t->c };
	char name[NAME_SIZE];
	struct nft_chain *chain;

	if (!lc_returns(u))
		add_asks(l, u, &p);
	snprintf(name, sizeof(name), "%s.%zu.%s", u->name, block, lc_class_names[class]);
	chain = lc_new_chain(l, name);
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		bool more = false;

		for (size_t k = i + 1; k < ARRAY_LEN(trees); k++)
			more = more || !lb_tree_empty(trees[k]);
		rtr_strlcpy(p.path, paths[i], sizeof(p.path));
		if (!lc_returns(u) || trees[i]->leaf || !more) {
			tree_rules(l, u, chain, &p, trees[i], next);
			continue;
		}
		snprintf(name, sizeof(name), "%s.%zu.%s.after%s", u->name, block,
			 lc_class_names[class], paths[i]);
		tree_rules(l, u, chain, &p, trees[i], name);
		go_on(chain, l, name);
		lc_hold_chain(u, chain);
		chain = lc_new_chain(l, name);
	}
	go_on(chain, l, next);
	lc_hold_chain(u, chain);
}

static void class_keys(struct nft_set *s, const struct lb_block *b, uint8_t family,
		       enum lb_class class, const struct nft_data *d)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6 };

	for (unsigned i = 0; i < ARRAY_LEN(protos); i++)
		if (class != LB_OTHER && lb_class_of(b, family, protos[i]) == class)
			nft_set_add(s, &protos[i], d);
}

/* One rule sends a packet to the chain of its class; those of no class here go on. */
void lc_block_rules(const struct lc_list *l, struct use *u, struct nft_chain *chain, size_t block,
		    int32_t how, const char *next)
{
	const struct lb_block *b = &l->prog->blocks[block];
	char name[NAME_SIZE], target[NAME_SIZE];
	struct nft_set *s;
	struct nft_rule *r;

	snprintf(name, sizeof(name), "%s.%zu.class", u->name, block);
	s = nft_set_new(&(struct nft_set_spec){ .name = name,
						.key_type = NFT_T_INET_PROTO,
						.key_size = 1,
						.data_type = NFT_T_VERDICT,
						.rec = l->rec });
	for (int c = 0; c < LB_CLASSES; c++) {
		struct nft_data d = { .verdict = how, .chain = target };

		if (lb_empty(&b->class[c])) {
			/* Not to the chain of the class "other". */
			d = (struct nft_data){ .verdict = NFT_CONTINUE };
			class_keys(s, b, l->list->family, c, &d);
			continue;
		}
		snprintf(target, sizeof(target), "%s.%zu.%s", u->name, block, lc_class_names[c]);
		add_class(l, u, block, c, next);
		if (c == LB_OTHER)
			nft_set_add_catchall(s, &d);
		else
			class_keys(s, b, l->list->family, c, &d);
	}
	lc_hold_set(&u->sets, name, s);
	lc_add_shared(l, u, block);
	r = nft_rule_new(0, l->rec, NULL);
	nft_meta(r, NFT_META_L4PROTO, REG(0));
	nft_vmap(r, name, REG(0));
	nft_chain_add(chain, r);
	go_on(chain, l, next);
}
