/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_impl.h"
#include "strbuf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *const lc_class_names[LB_CLASSES] = { "ports", "udp", "icmp", "other" };

/* What an element leads to: four registers. */
struct lc_data {
	uint32_t pad;    /* nft knows the first register alone, and aborts over keys made of it */
	uint32_t act;    /* enum pol_action, or the id of a line with effects */
	uint8_t rank[4]; /* as the field of a key has it */
	uint32_t id;
};
static_assert(sizeof(struct lc_data) == 16, "four registers");

/* ---- fields of keys ---- */

static unsigned rank_bytes(uint32_t none)
{
	return none <= UINT16_MAX ? 2 : 4;
}

/* nft lists a set only when each field has a type of its size. */
uint32_t lc_field_type(unsigned f, unsigned size)
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
unsigned lc_field_size(uint8_t family, enum lb_class class, enum lb_field f)
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
			field_add(&l, f, lc_field_size(family, class, f));
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
/* ---- names ---- */

void lc_place_name(const char *stem, const struct place *p, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%s.%zu.%s.%s", stem, p->block, lc_class_names[p->class],
		 p->path);
}

static const struct lb_block *block_of(const struct lc_list *l, const struct place *p)
{
	return &l->prog->blocks[p->block];
}

const struct lb_tables *lc_tables_of(const struct lc_list *l, const struct place *p)
{
	return &block_of(l, p)->class[p->class];
}

static bool is_place(const struct place *p, const char *table)
{
	size_t n = strlen(table);

	return !strncmp(p->path, table, n) && (!p->path[n] || p->path[n] == '.');
}

enum lb_field lc_other_of(const struct lb_tables *t)
{
	return t->lead == LB_DST ? LB_SRC : LB_DST;
}

/* E has a field for a rank; in it and in B the other address leads. */
struct layout lc_layout_at(const struct lc_list *l, const struct place *p)
{
	enum lb_field lead = lc_tables_of(l, p)->lead;
	bool early = is_place(p, "E");

	if (early || is_place(p, "B"))
		lead = lc_other_of(lc_tables_of(l, p));
	return layout_of(l->list->family, p->class, lead, p->set->used,
			 early ? block_of(l, p)->none : 0);
}

/* The part that begins at `from`. */
struct place lc_part_at(const struct place *p, lb_num from)
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

static struct lc_data data_of(const struct pol_rule *r, uint32_t rank, uint32_t none)
{
	struct lc_data d = { .act = lc_has_effects(r) ? r->id : r->action, .id = r->id };

	lc_put_num(d.rank, rank, rank_bytes(none));
	return d;
}

bool lc_keep_set(struct sets *sets, const struct sets *old, size_t *at, const char *name)
{
	for (size_t i = 0; i < old->n; i++) {
		size_t k = (*at + i) % old->n;

		if (strcmp(old->v[k].name, name) != 0)
			continue;
		*at = k + 1;
		lc_hold_set(sets, name, nft_set_ref(old->v[k].set));
		return true;
	}
	return false;
}

static void add_table(struct lc_list *l, const struct place *p, bool fresh)
{
	const struct lb_set *boxes = p->set;
	uint32_t none = block_of(l, p)->none;
	struct layout lay = lc_layout_at(l, p);
	struct nft_set_spec spec = { .flags = NFT_SET_INTERVAL,
				     .key_size = (uint8_t)(4 * lay.regs),
				     .n_fields = lay.n,
				     .data_type = NFT_T4(NFT_T_MARK, NFT_T_MARK, NFT_T_MARK,
							 NFT_T_MARK),
				     .data_size = sizeof(struct lc_data),
				     .rec = l->rec };
	char name[NAME_SIZE];
	struct nft_set *s;

	if (!boxes->n)
		return;
	lc_place_name(l->key, p, name);
	if (!fresh && l->before && lc_keep_set(&l->sets, &l->before->sets, &l->old_at, name))
		return;
	spec.name = name;
	for (unsigned i = 0; i < lay.n; i++) {
		spec.field_size[i] = lay.v[i].size;
		spec.key_type = spec.key_type << 6 | lc_field_type(lay.v[i].f, lay.v[i].size);
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
	const struct lb_tables *t = lc_tables_of(l, p);
	uint8_t family = l->list->family, lo[16], hi[16];
	unsigned size = rtr_family_size(family);
	struct lb_ranges near = lb_union(t->early, ARRAY_LEN(t->early), lc_other_of(t));
	char name[NAME_SIZE];
	struct nft_set *s;

	lc_place_name(l->key, p, name);
	s = nft_set_new(&(struct nft_set_spec){ .name = name,
						.flags = NFT_SET_INTERVAL,
						.key_type = lc_field_type(LB_DST, size),
						.key_size = (uint8_t)size,
						.rec = l->rec });
	for (size_t i = 0; i < near.n; i++) {
		lc_put_num(lo, near.v[i].lo, size);
		lc_put_num(hi, near.v[i].hi, size);
		nft_set_add_range(s, lo, hi, NULL);
	}
	free(near.v);
	lc_hold_set(&l->sets, name, s);
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
		q = lc_part_at(p, node->from[i]);
		add_tree(l, &q, &node->part[i]);
	}
}

void lc_add_tables(struct lc_list *l, size_t block)
{
	for (int c = 0; c < LB_CLASSES; c++) {
		const struct lb_tables *t = &l->prog->blocks[block].class[c];

		add_tree(l, &(struct place){ block, c, NULL, "A" }, &t->a);
		add_tree(l, &(struct place){ block, c, NULL, "B" }, &t->b);
		add_table(l, &(struct place){ block, c, &t->early[0], "E" }, false);
		add_table(l, &(struct place){ block, c, &t->early[1], "E.udp" }, false);
		if (t->near)
			add_near(l, &(struct place){ block, c, NULL, "N" });
		add_tree(l, &(struct place){ block, c, NULL, "C" }, &t->c);
	}
}
