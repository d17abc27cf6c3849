/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_compile.h"

#include "firewall/list_impl.h"
#include "strbuf.h"

#include <assert.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdlib.h>
#include <string.h>

/* A use that returns has tables for at least so many lines: they cost it chains. */
#define RETURN_LINES 64

static const char *const class_names[LB_CLASSES] = { "ports", "udp", "icmp", "other" };

/* A table's place in names: "A", or "A.c0a80000" for the part that begins there. */
struct place {
	size_t block;
	enum lb_class class;
	const struct lb_set *set; /* NULL: none, or not a leaf */
	char path[NAME_SIZE / 2];
};

/* What an element leads to: four registers. */
struct lc_data {
	uint32_t pad;    /* nft knows the first register alone, and aborts over keys made of it */
	uint32_t act;    /* enum pol_action, or the id of a line with effects */
	uint8_t rank[4]; /* as the field of a key has it */
	uint32_t id;
};
static_assert(sizeof(struct lc_data) == 16, "four registers");

/* ---- fields of keys ---- */

enum { F_RANK = LB_FIELDS, FIELDS };

struct layout {
	uint8_t n;
	struct {
		uint8_t f; /* enum lb_field, F_RANK */
		uint8_t size, reg;
	} v[FIELDS];
	uint8_t regs;
};

static unsigned rank_bytes(uint32_t none)
{
	return none <= UINT16_MAX ? 2 : 4;
}

/* nft lists a set only when each field has a type of its size. */
static uint32_t field_type(unsigned f, unsigned size)
{
	if (f <= LB_SRC && size == 4)
		return NFT_T_IPADDR;
	switch (size) {
	case 1:
		return NFT_T_INET_PROTO;
	case 2:
		return NFT_T_INET_SERVICE;
	case 16:
		return NFT_T_IP6ADDR;
	default:
		return NFT_T_MARK;
	}
}

/* Bytes of a field in a class; 0: not looked at. */
static unsigned field_size(uint8_t family, enum lb_class class, enum lb_field f)
{
	if (f == LB_DST || f == LB_SRC)
		return rtr_family_size(family);
	if (f == LB_PROTO)
		return class == LB_PORTS || class == LB_OTHER ? 1 : 0;
	if (f == LB_P0)
		return class == LB_OTHER ? 0 : 2;
	return class == LB_PORTS || class == LB_UDP ? 2 : 0;
}

static void field_add(struct layout *l, unsigned f, unsigned size)
{
	if (!size)
		return;
	l->v[l->n].f = (uint8_t)f;
	l->v[l->n].size = (uint8_t)size;
	l->v[l->n++].reg = l->regs;
	l->regs = (uint8_t)(l->regs + DIV_ROUND_UP(size, 4));
}

/* The kernel narrows field by field, at the cost of what is still in: the telling ones first. What
 * is everything in all boxes is not looked at. */
static struct layout layout_of(uint8_t family, enum lb_class class, enum lb_field first,
			       uint8_t used, uint32_t rank_none)
{
	enum lb_field second = first == LB_DST ? LB_SRC : LB_DST;
	const enum lb_field plain[] = { first, second, LB_P0, LB_P1, LB_PROTO };
	const enum lb_field ranked[] = { first, LB_P0, LB_P1, LB_PROTO, second };
	struct layout l = { 0 };

	for (int i = 0; i < LB_FIELDS; i++) {
		enum lb_field f = rank_none ? ranked[i] : plain[i];

		if (used & 1u << f)
			field_add(&l, f, field_size(family, class, f));
	}
	if (rank_none)
		field_add(&l, F_RANK, rank_bytes(rank_none));
	return l;
}

void lc_put_num(uint8_t *to, lb_num n, unsigned size)
{
	for (unsigned i = size; i-- > 0; n >>= 8)
		to[i] = (uint8_t)n;
}

static void put_field(uint8_t *key, const struct layout *l, unsigned i, const struct lb_box *x,
		      bool hi, uint32_t none)
{
	uint8_t *to = key + 4 * l->v[i].reg;

	if (l->v[i].f == F_RANK)
		lc_put_num(to, hi ? none : x->from, l->v[i].size);
	else
		lc_put_num(to, hi ? x->hi[l->v[i].f] : x->lo[l->v[i].f], l->v[i].size);
}

/* ---- sets ---- */

void lc_hold_set(struct sets *sets, const char *name, struct nft_set *s)
{
	sets->v = xrealloc(sets->v, (sets->n + 1) * sizeof(*sets->v));
	sets->v[sets->n].name = xstrdup(name);
	sets->v[sets->n++].set = s;
}

bool lc_holds_set(const struct sets *sets, const char *name)
{
	for (size_t i = 0; i < sets->n; i++)
		if (!strcmp(sets->v[i].name, name))
			return true;
	return false;
}

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

bool lc_has_effects(const struct pol_rule *r)
{
	/* Who waits for a name is logged when that is known: fw_log_name. */
	return (r->log && !r->tls_name) || r->helper || r->limit.rate || r->limit.conns;
}

static struct lc_data data_of(const struct pol_rule *r, uint32_t rank, uint32_t none)
{
	struct lc_data d = { .act = lc_has_effects(r) ? r->id : r->action, .id = r->id };

	lc_put_num(d.rank, rank, rank_bytes(none));
	return d;
}

static void place_name(const char *stem, const struct place *p, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%s.%zu.%s.%s", stem, p->block, class_names[p->class], p->path);
}

static const struct lb_block *block_of(const struct lc_list *l, const struct place *p)
{
	return &l->prog->blocks[p->block];
}

static const struct lb_tables *tables_of(const struct lc_list *l, const struct place *p)
{
	return &block_of(l, p)->class[p->class];
}

static bool is_place(const struct place *p, const char *table)
{
	size_t n = strlen(table);

	return !strncmp(p->path, table, n) && (!p->path[n] || p->path[n] == '.');
}

static enum lb_field other_of(const struct lb_tables *t)
{
	return t->lead == LB_DST ? LB_SRC : LB_DST;
}

/* E has a field for a rank; in it and in B the other address leads. */
static struct layout layout_at(const struct lc_list *l, const struct place *p)
{
	enum lb_field lead = tables_of(l, p)->lead;
	bool early = is_place(p, "E");

	if (early || is_place(p, "B"))
		lead = other_of(tables_of(l, p));
	return layout_of(l->list->family, p->class, lead, p->set->used,
			 early ? block_of(l, p)->none : 0);
}

/* A set of the list before, as it is; false: there is none. */
static bool keep_set(struct lc_list *l, const char *name)
{
	struct sets *old = l->before ? &l->before->sets : NULL;

	/* They mostly come in the same order. */
	for (size_t i = 0; old && i < old->n; i++) {
		size_t at = (l->old_at + i) % old->n;

		if (strcmp(old->v[at].name, name) != 0)
			continue;
		l->old_at = at + 1;
		lc_hold_set(&l->sets, name, nft_set_ref(old->v[at].set));
		return true;
	}
	return false;
}

static void add_table(struct lc_list *l, const struct place *p, bool fresh)
{
	const struct lb_set *boxes = p->set;
	uint32_t none = block_of(l, p)->none;
	struct layout lay = layout_at(l, p);
	struct nft_set_spec spec = { .flags = NFT_SET_INTERVAL,
				     .key_size = (uint8_t)(4 * lay.regs),
				     .n_fields = lay.n,
				     .data_type = NFT_T4(NFT_T_MARK, NFT_T_MARK, NFT_T_MARK,
							 NFT_T_MARK),
				     .data_size = sizeof(struct lc_data),
				     .rec = l->list->rec };
	char name[NAME_SIZE];
	struct nft_set *s;

	if (!boxes->n)
		return;
	place_name(l->key, p, name);
	if (!fresh && keep_set(l, name))
		return;
	spec.name = name;
	for (unsigned i = 0; i < lay.n; i++) {
		spec.field_size[i] = lay.v[i].size;
		spec.key_type = spec.key_type << 6 | field_type(lay.v[i].f, lay.v[i].size);
	}
	s = nft_set_new(&spec);
	for (size_t i = 0; i < boxes->n; i++) {
		const struct lb_box *x = &boxes->box[i];
		uint8_t lo[NFT_KEY_MAX] = { 0 }, hi[NFT_KEY_MAX] = { 0 };
		struct lc_data d = data_of(x->line, x->rank, none);

		for (unsigned f = 0; f < lay.n; f++) {
			put_field(lo, &lay, f, x, false, none);
			put_field(hi, &lay, f, x, true, none);
		}
		nft_set_add_range(s, lo, hi, &(struct nft_data){ .bytes = &d });
	}
	lc_hold_set(&l->sets, name, s);
}

/* Addresses that boxes of E have. */
static void add_near(struct lc_list *l, const struct place *p)
{
	const struct lb_tables *t = tables_of(l, p);
	uint8_t family = l->list->family, lo[16], hi[16];
	unsigned size = rtr_family_size(family);
	struct lb_ranges near = lb_union(t->early, ARRAY_LEN(t->early), other_of(t));
	char name[NAME_SIZE];
	struct nft_set *s;

	place_name(l->key, p, name);
	s = nft_set_new(&(struct nft_set_spec){ .name = name,
						.flags = NFT_SET_INTERVAL,
						.key_type = field_type(LB_DST, size),
						.key_size = (uint8_t)size,
						.rec = l->list->rec });
	for (size_t i = 0; i < near.n; i++) {
		lc_put_num(lo, near.v[i].lo, size);
		lc_put_num(hi, near.v[i].hi, size);
		nft_set_add_range(s, lo, hi, NULL);
	}
	free(near.v);
	lc_hold_set(&l->sets, name, s);
}

/* The part that begins at `from`. */
static struct place part_at(const struct place *p, lb_num from)
{
	struct place q = *p;
	size_t at = strlen(q.path);

	if (from >> 32)
		snprintf(q.path + at, sizeof(q.path) - at, ".%llx.%llx",
			 (unsigned long long)(from >> 64), (unsigned long long)from);
	else
		snprintf(q.path + at, sizeof(q.path) - at, ".%llx", (unsigned long long)from);
	return q;
}

static void add_tree(struct lc_list *l, const struct place *p, const struct lb_node *node)
{
	struct place q = *p;

	if (node->leaf) {
		q.set = &node->set;
		if (node->table)
			add_table(l, &q, node->fresh);
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		q = part_at(p, node->from[i]);
		add_tree(l, &q, &node->part[i]);
	}
}

static bool returns(const struct use *u)
{
	for (int i = 0; i < LC_ACTIONS; i++)
		if (u->u.verdict[i].code == NFT_RETURN)
			return true;
	return false;
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

void lc_label(struct nft_rule *r, int word, uint32_t id_reg)
{
	static const uint8_t zero[16], ones[4] = { 0xff, 0xff, 0xff, 0xff };

	nft_imm(r, REG(0), zero, sizeof(zero));
	nft_bitwise(r, id_reg, REG(word), 4, ones, zero);
	nft_ct_set(r, NFT_CT_LABELS, NFT_REG_1);
}

void lc_hit(struct nft_rule *r, uint32_t id_reg)
{
	const struct nft_stateful counter = { .kind = NFT_S_COUNTER };

	nft_dynset(r, LC_HITS, NFT_DYNSET_OP_UPDATE, id_reg, 0, 0, &counter, 1);
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
	struct layout lay = layout_at(l, p);
	char name[NAME_SIZE];

	load(r, l->list->family, p->class, &lay);
	place_name(l->key, p, name);
	nft_map(r, name, REG(0), REG(DATA_REG));
}

/* What the first match does. */
static void act(struct nft_rule *r, const struct use *u)
{
	char name[NAME_SIZE];

	if (u->u.word >= 0)
		lc_label(r, u->u.word, REG(DATA_ID));
	if (u->u.count)
		lc_hit(r, REG(DATA_ID));
	snprintf(name, sizeof(name), "%s.act", u->name);
	nft_vmap(r, name, REG(DATA_ACT));
}

/* The rank that was found to where the table has it in its key. */
static void rank_to(struct nft_rule *r, const struct lc_list *l, const struct place *p)
{
	struct layout lay = layout_at(l, p);

	move(r, REG(DATA_RANK), REG(lay.v[lay.n - 1].reg));
}

static struct nft_rule *new_rule(const struct lc_list *l)
{
	return nft_rule_new(0, l->list->rec, NULL);
}

/* Goes on with packets that may be in a box of E: to find that out costs less than E does. */
static void if_near(struct nft_rule *r, const struct lc_list *l, const struct place *p)
{
	char name[NAME_SIZE];

	if (!tables_of(l, p)->near)
		return;
	load_field(r, l->list->family, p->class, other_of(tables_of(l, p)), REG(0));
	place_name(l->key, &(struct place){ p->block, p->class, NULL, "N" }, name);
	nft_lookup(r, name, REG(0), false);
}

static struct place early_of(const struct lc_list *l, const struct place *p, int k)
{
	struct place e = { p->block, p->class, &tables_of(l, p)->early[k], "E" };

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

	if (tables_of(l, p)->n_early > 1)
		nft_l4proto_is(r, protos[k]);
	if_near(r, l, p);
	return r;
}

static void ask_for(struct nft_rule *r, const struct lc_list *l, const struct use *u,
		    const struct place *e, uint32_t rank)
{
	struct layout lay = layout_at(l, e);
	uint8_t bytes[4] = { 0 };

	lc_put_num(bytes, rank, lay.v[lay.n - 1].size);
	nft_imm(r, REG(lay.v[lay.n - 1].reg), bytes, sizeof(bytes));
	lookup(r, l, e);
	act(r, u);
}

/* Lines between whose ranks nothing of E comes ask alike: as the first rank that does. */
static bool ask_rank(const struct lb_tables *t, uint32_t rank, uint32_t *ret)
{
	bool found = false;

	for (size_t k = 0; k < t->n_early; k++) {
		for (size_t i = 0; i < t->early[k].n; i++) {
			uint32_t from = t->early[k].box[i].from;

			if (from <= rank && (!found || from > *ret)) {
				*ret = from;
				found = true;
			}
		}
	}
	return found;
}

static void ask_name(const struct use *u, const struct place *p, uint32_t rank,
		     char name[NAME_SIZE])
{
	struct place q = { p->block, p->class, NULL, "" };

	snprintf(q.path, sizeof(q.path), "E.%x", rank);
	place_name(u->name, &q, name);
}

/* A part that is a set: what is found there may have something of E before it. */
static void table_rules(const struct lc_list *l, const struct use *u, struct nft_chain *c,
			const struct place *p, const struct lb_node *leaf)
{
	struct nft_rule *r;

	for (int k = 0; k < 2; k++) {
		struct place e = early_of(l, p, k);

		/* An E that holds nothing has no set either. */
		if (!e.set->n || !any_asks(tables_of(l, p), leaf->set.box, leaf->set.n, k))
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

/* Of a line only what the packets of a part do not all have. */
static void match_box(struct nft_rule *r, const struct lc_list *l, const struct place *p,
		      const struct lb_box *x, const struct lb_box *at)
{
	static const enum lb_field order[] = { LB_P1, LB_P0, LB_PROTO, LB_DST, LB_SRC };

	for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
		enum lb_field f = order[i];
		unsigned size = field_size(l->list->family, p->class, f);
		uint8_t lo[16], hi[16];

		if (!size || (x->lo[f] <= at->lo[f] && x->hi[f] >= at->hi[f]))
			continue;
		lc_put_num(lo, x->lo[f], size);
		lc_put_num(hi, x->hi[f], size);
		load_field(r, l->list->family, p->class, f, REG(0));
		lc_in_range(r, lo, hi, size);
	}
}

/* A chain for each rank asks E, and returns; where a verdict is to return, the line does so. */
static void line_asks(const struct lc_list *l, const struct use *u, struct nft_chain *c,
		      const struct place *p, const struct lb_box *x, const struct lb_box *at)
{
	const struct lb_tables *t = tables_of(l, p);
	char name[NAME_SIZE];
	uint32_t rank = 0;
	struct nft_rule *r;

	if (!x->asks || !ask_rank(t, x->rank, &rank))
		return;
	if (!returns(u)) {
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

/* A part of few lines, in their order. */
static void line_rules(const struct lc_list *l, const struct use *u, struct nft_chain *c,
		       const struct place *p, const struct lb_node *leaf)
{
	for (size_t i = 0; i < leaf->set.n; i++) {
		const struct lb_box *x = &leaf->set.box[i];
		struct nft_rule *r;

		line_asks(l, u, c, p, x, &leaf->at);
		r = nft_rule_new(0, x->line->rec, NULL);
		match_box(r, l, p, x, &leaf->at);
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

static struct nft_chain *new_chain(const struct lc_list *l, const char *name)
{
	return nft_chain_new(&(struct nft_chain_spec){ .name = name, .rec = l->list->rec });
}

static void hold_chain(struct use *u, struct nft_chain *c)
{
	u->chains = xrealloc(u->chains, (u->n_chains + 1) * sizeof(struct nft_chain *));
	u->chains[u->n_chains++] = c;
}

/* Chains that are reached by goto say themselves where they go on. */
static void go_on(struct nft_chain *c, const struct lc_list *l, const char *next)
{
	struct nft_rule *r;

	if (!next)
		return;
	r = nft_rule_new(0, l->list->rec, NULL);
	nft_goto(r, next);
	nft_chain_add(c, r);
}

static void tree_rules(const struct lc_list *l, struct use *u, struct nft_chain *c,
		       const struct place *p, const struct lb_node *node, const char *next);

/* A chain as the same use of the list before has it; NULL. */
static struct nft_chain *keep_chain(struct use *u, const char *name)
{
	const struct use *old = u->old;

	for (size_t i = 0; old && i < old->n_parts; i++) {
		size_t at = (u->old_at + i) % old->n_parts;

		if (strcmp(old->parts[at].name, name) != 0)
			continue;
		u->old_at = at + 1;
		return nft_chain_ref(old->parts[at].chain);
	}
	return NULL;
}

static void hold_part(struct use *u, const char *name, struct nft_chain *c)
{
	u->parts = xrealloc(u->parts, (u->n_parts + 1) * sizeof(*u->parts));
	u->parts[u->n_parts].name = xstrdup(name);
	u->parts[u->n_parts++].chain = c;
	hold_chain(u, c);
}

/* A map of the cut field's values to the chains of the parts. */
static void cut_rules(const struct lc_list *l, struct use *u, struct nft_chain *c,
		      const struct place *p, const struct lb_node *node, const char *next)
{
	unsigned size = field_size(l->list->family, p->class, node->field);
	lb_num max = lb_max(l->list->family, node->field);
	char name[NAME_SIZE], target[NAME_SIZE];
	struct nft_data d = { .verdict = returns(u) ? NFT_GOTO : NFT_JUMP, .chain = target };
	struct nft_rule *r;
	struct nft_set *s;

	place_name(u->name, p, name);
	s = nft_set_new(&(struct nft_set_spec){ .name = name,
						.flags = NFT_SET_INTERVAL,
						.key_type = field_type(node->field, size),
						.key_size = (uint8_t)size,
						.data_type = NFT_T_VERDICT,
						.rec = l->list->rec });
	for (size_t i = 0; i < node->n; i++) {
		const struct lb_node *part = &node->part[i];
		lb_num hi = i + 1 < node->n ? node->from[i + 1] - 1 : max;
		struct place q = part_at(p, node->from[i]);
		uint8_t from[16], to[16];
		struct nft_chain *sub;

		if (part->leaf && !part->set.n)
			continue;
		place_name(u->name, &q, target);
		sub = part->leaf && !part->fresh ? keep_chain(u, target) : NULL;
		if (!sub) {
			sub = new_chain(l, target);
			tree_rules(l, u, sub, &q, part, next);
			go_on(sub, l, next);
		}
		hold_part(u, target, sub);
		lc_put_num(from, node->from[i], size);
		lc_put_num(to, hi, size);
		nft_set_add_range(s, from, to, &d);
	}
	lc_hold_set(&u->sets, name, s);
	r = nft_rule_new(0, l->list->rec, NULL);
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

static bool tree_empty(const struct lb_node *n)
{
	return n->leaf && !n->set.n;
}

static int rank_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static struct nft_chain *ask_chain(const struct lc_list *l, const struct use *u,
				   const struct place *p, uint32_t rank, const char *name)
{
	struct nft_chain *c = new_chain(l, name);

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

/* The chains of all ranks with which E is asked. lb_patch leaves E as it is. */
static void add_asks(const struct lc_list *l, struct use *u, const struct place *p)
{
	const struct lb_tables *t = tables_of(l, p);
	uint32_t *ranks = xcalloc(t->early[0].n + t->early[1].n + 1, sizeof(*ranks));
	size_t n = 0;

	for (int k = 0; k < 2; k++)
		for (size_t i = 0; i < t->early[k].n; i++)
			ranks[n++] = t->early[k].box[i].from;
	qsort(ranks, n, sizeof(*ranks), rank_cmp);
	for (size_t i = 0; i < n; i++) {
		char name[NAME_SIZE];
		struct nft_chain *c;

		if (i && ranks[i] == ranks[i - 1])
			continue;
		ask_name(u, p, ranks[i], name);
		c = keep_chain(u, name);
		hold_part(u, name, c ? c : ask_chain(l, u, p, ranks[i], name));
	}
	free(ranks);
}

/* One table after the other, and `next`. Where a verdict is to return, parts in chains of their own
 * are reached by goto and go on where their table does; else they are jumped to, and return. */
static void add_class(const struct lc_list *l, struct use *u, size_t block, enum lb_class class,
		      const char *next)
{
	static const char *const paths[] = { "A", "B", "C" };
	struct place p = { .block = block, .class = class };
	const struct lb_tables *t = tables_of(l, &p);
	const struct lb_node *trees[] = { &t->a, &t->b, &t->c };
	char name[NAME_SIZE];
	struct nft_chain *chain;

	if (!returns(u))
		add_asks(l, u, &p);
	snprintf(name, sizeof(name), "%s.%zu.%s", u->name, block, class_names[class]);
	chain = new_chain(l, name);
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		bool more = false;

		for (size_t k = i + 1; k < ARRAY_LEN(trees); k++)
			more = more || !tree_empty(trees[k]);
		rtr_strlcpy(p.path, paths[i], sizeof(p.path));
		if (!returns(u) || trees[i]->leaf || !more) {
			tree_rules(l, u, chain, &p, trees[i], next);
			continue;
		}
		snprintf(name, sizeof(name), "%s.%zu.%s.after%s", u->name, block,
			 class_names[class], paths[i]);
		tree_rules(l, u, chain, &p, trees[i], name);
		go_on(chain, l, name);
		hold_chain(u, chain);
		chain = new_chain(l, name);
	}
	go_on(chain, l, next);
	hold_chain(u, chain);
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
static void block_rules(const struct lc_list *l, struct use *u, struct nft_chain *chain,
			size_t block, int32_t how, const char *next)
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
						.rec = l->list->rec });
	for (int c = 0; c < LB_CLASSES; c++) {
		struct nft_data d = { .verdict = how, .chain = target };

		if (lb_empty(&b->class[c])) {
			/* Not to the chain of the class "other". */
			d = (struct nft_data){ .verdict = NFT_CONTINUE };
			class_keys(s, b, l->list->family, c, &d);
			continue;
		}
		snprintf(target, sizeof(target), "%s.%zu.%s", u->name, block, class_names[c]);
		add_class(l, u, block, c, next);
		if (c == LB_OTHER)
			nft_set_add_catchall(s, &d);
		else
			class_keys(s, b, l->list->family, c, &d);
	}
	lc_hold_set(&u->sets, name, s);
	r = nft_rule_new(0, l->list->rec, NULL);
	nft_meta(r, NFT_META_L4PROTO, REG(0));
	nft_vmap(r, name, REG(0));
	nft_chain_add(chain, r);
	go_on(chain, l, next);
}

/* ---- a use ---- */

static void set_verdict(struct nft_data *d, const struct lc_verdict *v)
{
	*d = (struct nft_data){ .verdict = v->code, .chain = v->chain };
}

/* Chains of lines that do more than decide; and the map from action to verdict. */
static void add_actions(struct lc_list *l, struct use *u, const struct lc_ops *ops)
{
	char name[NAME_SIZE];
	struct nft_data d;
	struct nft_set *s;

	snprintf(name, sizeof(name), "%s.act", u->name);
	s = nft_set_new(&(struct nft_set_spec){ .name = name,
						.key_type = NFT_T_MARK,
						.key_size = 4,
						.data_type = NFT_T_VERDICT,
						.rec = l->list->rec });
	for (uint32_t a = 0; a < LC_ACTIONS; a++) {
		set_verdict(&d, &u->u.verdict[a]);
		nft_set_add(s, &a, &d);
	}
	for (size_t i = 0; i < l->list->n; i++) {
		const struct pol_rule *p = l->list->rules[i];
		struct nft_chain *c;
		struct nft_rule *r;

		if (!lc_has_effects(p) || lb_is_void(p))
			continue;
		snprintf(name, sizeof(name), "%s.%08x", u->name, p->id);
		c = nft_chain_new(&(struct nft_chain_spec){ .name = name, .rec = p->rec });
		if (ops && ops->effects)
			ops->effects(ops->arg, c, p);
		r = nft_rule_new(0, p->rec, NULL);
		if (u->u.verdict[p->action].code == NFT_GOTO)
			nft_goto(r, u->u.verdict[p->action].chain);
		else
			nft_verdict(r, u->u.verdict[p->action].code);
		nft_chain_add(c, r);
		hold_chain(u, c);
		if (lb_is_plain(p)) {
			d = (struct nft_data){ .verdict = NFT_GOTO, .chain = name };
			nft_set_add(s, &p->id, &d);
		}
	}
	snprintf(name, sizeof(name), "%s.act", u->name);
	lc_hold_set(&u->sets, name, s);
}

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
static void add_blocks(struct lc_list *l, struct use *u, struct nft_table *t,
		       const struct lc_ops *ops)
{
	struct line x = { l, u, t, new_chain(l, u->name), ops, NULL };
	size_t n = l->prog->n_blocks, big = largest(l->prog);
	char next[NAME_SIZE];

	snprintf(next, sizeof(next), "%s.next", u->name);
	for (size_t b = 0; b < n; b++) {
		const struct lb_block *blk = &l->prog->blocks[b];

		if (blk->linear || u->u.lines ||
		    (returns(u) && (b != big || blk->end - blk->first < RETURN_LINES))) {
			add_lines(&x, blk);
		} else if (!returns(u)) {
			block_rules(l, u, x.c, b, NFT_JUMP, NULL);
		} else {
			block_rules(l, u, x.c, b, NFT_GOTO, b + 1 < n ? next : NULL);
			if (b + 1 == n)
				break;
			hold_chain(u, x.c);
			x.c = new_chain(l, next);
		}
	}
	hold_chain(u, x.c);
}

static bool same_verdict(const struct lc_verdict *a, const struct lc_verdict *b)
{
	return a->code == b->code && !a->chain == !b->chain &&
	       (!a->chain || !strcmp(a->chain, b->chain));
}

static bool same_use(const struct use *u, const struct lc_use *w)
{
	if (strcmp(u->name, w->chain) != 0 || u->u.word != w->word || u->u.count != w->count ||
	    u->u.lines != w->lines || !u->u.wait != !w->wait ||
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
	add_actions(l, u, ops);
	add_blocks(l, u, t, ops);
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
	l->key = xstrdup(key);
	make_prog(l, before);
	for (size_t b = 0; b < l->prog->n_blocks; b++) {
		const struct lb_block *blk = &l->prog->blocks[b];

		for (int c = 0; !blk->linear && c < LB_CLASSES; c++) {
			const struct lb_tables *t = &blk->class[c];

			add_tree(l, &(struct place){ b, c, NULL, "A" }, &t->a);
			add_tree(l, &(struct place){ b, c, NULL, "B" }, &t->b);
			add_table(l, &(struct place){ b, c, &t->early[0], "E" }, false);
			add_table(l, &(struct place){ b, c, &t->early[1], "E.udp" }, false);
			if (t->near)
				add_near(l, &(struct place){ b, c, NULL, "N" });
			add_tree(l, &(struct place){ b, c, NULL, "C" }, &t->c);
		}
		/* Also of lines in tables: a use that returns has some of them as lines. */
		for (size_t i = blk->first; i < blk->end; i++) {
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
		for (size_t k = 0; k < u->n_parts; k++)
			free(u->parts[k].name);
		free(u->parts);
		free(u->chains);
		free(u->name);
		free(u->wait);
	}
	free(l->uses);
	lb_free(l->prog);
	free(l->key);
	free(l);
	return NULL;
}
