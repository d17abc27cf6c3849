/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/nft_read.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

/* A ruleset that others change all the time is read this often in a row at most. */
#define READ_TRIES 5

uint64_t nft_table_mark(void)
{
	return nft_hash(nft_table_name(), strlen(nft_table_name()), 0);
}

struct reader {
	struct nftq *q;
	struct nft_ruleset *rs;
	struct nft_table *t;     /* whose rules, sets and objects are read */
	struct nft_chain *chain; /* of the last rule */
	size_t chain_at;
	uint64_t *handles; /* of the chain's rules; room as the chain's */
	/* elements of a plain interval set, until they are paired */
	struct nft_set *set;
	struct raw *raw;
	size_t n_raw, raw_room;
};

struct raw {
	uint8_t key[NFT_KEY_MAX];
	size_t size;
	bool end;
	struct nft_data data;
	char *text; /* what data points to */
	uint8_t value[NFT_KEY_MAX];
};

static uint64_t digest(const struct nlattr *udata, uint8_t type)
{
	return udata ? nft_udata_get(nla_data(udata), (size_t)nla_len(udata), type) : 0;
}

/* ---- tables and chains ---- */

static void take_table(void *arg, const struct nlmsghdr *h)
{
	struct reader *r = arg;
	struct nlattr *tb[NFTA_TABLE_MAX + 1];
	struct nft_table *t;

	if (!nftq_parse(h, tb, NFTA_TABLE_MAX))
		return;
	t = nft_ruleset_table(r->rs, nftq_family(h), nftq_text(tb[NFTA_TABLE_NAME]));
	t->flags = nftq_u32(tb[NFTA_TABLE_FLAGS]);
	t->made_by_us = digest(tb[NFTA_TABLE_USERDATA], NFT_UDATA_DIGEST) == nft_table_mark();
}

/* False when the node is somebody else's. */
static bool ours(struct nft_table *t, const char *name)
{
	if (!t->shared || nft_name_is_ours(name))
		return true;
	t->n_foreign++;
	return false;
}

static void take_devs(struct nft_chain *c, struct nlattr *const *hook)
{
	const struct nlattr *a;
	int rem;

	if (!hook[NFTA_HOOK_DEVS])
		return;
	nla_for_each_nested(a, hook[NFTA_HOOK_DEVS], rem) {
		c->devs = xrealloc(c->devs, (c->n_devs + 1) * sizeof(*c->devs));
		c->devs[c->n_devs++] = xstrdup(nftq_text(a));
	}
}

static void take_chain(void *arg, const struct nlmsghdr *h)
{
	struct reader *r = arg;
	struct nlattr *tb[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1];
	struct nft_table *t;
	struct nft_chain *c;

	if (!nftq_parse(h, tb, NFTA_CHAIN_MAX))
		return;
	t = nft_ruleset_find(r->rs, nftq_family(h), nftq_text(tb[NFTA_CHAIN_TABLE]));
	/* One without a name belongs to its rule. */
	if (!t || nftq_u32(tb[NFTA_CHAIN_FLAGS]) & NFT_CHAIN_BINDING ||
	    !ours(t, nftq_text(tb[NFTA_CHAIN_NAME])))
		return;
	c = nft_chain_new(&(struct nft_chain_spec){ .name = nftq_text(tb[NFTA_CHAIN_NAME]) });
	if (tb[NFTA_CHAIN_HOOK] &&
	    !nla_parse_nested(hook, NFTA_HOOK_MAX, tb[NFTA_CHAIN_HOOK], NULL)) {
		c->base = true;
		c->type = xstrdup(nftq_text(tb[NFTA_CHAIN_TYPE]));
		c->hook = nftq_u32(hook[NFTA_HOOK_HOOKNUM]);
		c->prio = (int32_t)nftq_u32(hook[NFTA_HOOK_PRIORITY]);
		c->policy = nftq_u32(tb[NFTA_CHAIN_POLICY]);
		take_devs(c, hook);
	}
	if (!nft_nodes_add(&t->nodes[NFT_CHAIN], &c->node))
		nft_chain_unref(c);
}

/* ---- rules ---- */

static struct nft_handles **handles_of(struct nft_table *t, size_t chain)
{
	if (!t->handles)
		t->handles = xcalloc(t->nodes[NFT_CHAIN].n + 1, sizeof(struct nft_handles *));
	return &t->handles[chain];
}

static void end_chain(struct reader *r)
{
	struct nft_handles *h;

	if (!r->chain)
		return;
	h = nft_handles_new(r->chain->n);
	memcpy(h->v, r->handles, r->chain->n * sizeof(h->v[0]));
	*handles_of(r->t, r->chain_at) = h;
	free(r->handles);
	r->handles = NULL;
	r->chain = NULL;
}

static void take_rule(void *arg, const struct nlmsghdr *h)
{
	struct reader *r = arg;
	struct nlattr *tb[NFTA_RULE_MAX + 1];
	const char *name;
	size_t room;

	if (!nftq_parse(h, tb, NFTA_RULE_MAX))
		return;
	/* Rules come chain by chain. */
	name = nftq_text(tb[NFTA_RULE_CHAIN]);
	if (!r->chain || strcmp(r->chain->node.name, name)) {
		end_chain(r);
		r->chain_at = nft_nodes_find(&r->t->nodes[NFT_CHAIN], name);
		if (r->chain_at == SIZE_MAX)
			return;
		r->chain = (void *)r->t->nodes[NFT_CHAIN].v[r->chain_at];
		if (*handles_of(r->t, r->chain_at)) {
			r->chain = NULL; /* seen before: the dump is not one of one moment */
			return;
		}
	}
	room = r->chain->room;
	nft_chain_add(r->chain, nft_rule_ghost(digest(tb[NFTA_RULE_USERDATA], NFT_UDATA_DIGEST),
					       digest(tb[NFTA_RULE_USERDATA], NFT_UDATA_ID)));
	if (r->chain->room != room)
		r->handles = xrealloc(r->handles, r->chain->room * sizeof(*r->handles));
	r->handles[r->chain->n - 1] = nftq_u64(tb[NFTA_RULE_HANDLE]);
}

/* ---- sets ---- */

static void take_fields(struct nft_set *s, const struct nlattr *set_desc)
{
	struct nlattr *desc[NFTA_SET_DESC_MAX + 1], *field[NFTA_SET_FIELD_MAX + 1];
	const struct nlattr *a;
	int rem;

	if (!set_desc ||
	    nla_parse_nested(desc, NFTA_SET_DESC_MAX, (struct nlattr *)(uintptr_t)set_desc, NULL))
		return;
	if (!desc[NFTA_SET_DESC_CONCAT])
		return;
	nla_for_each_nested(a, desc[NFTA_SET_DESC_CONCAT], rem) {
		if (s->n_fields < NFT_FIELDS_MAX &&
		    !nla_parse_nested(field, NFTA_SET_FIELD_MAX, (struct nlattr *)(uintptr_t)a,
				      NULL))
			s->field_size[s->n_fields++] = (uint8_t)nftq_u32(field[NFTA_SET_FIELD_LEN]);
	}
}

static void take_set(void *arg, const struct nlmsghdr *h)
{
	struct reader *r = arg;
	struct nlattr *tb[NFTA_SET_MAX + 1];
	struct nft_set *s;
	uint32_t flags, type;

	if (!nftq_parse(h, tb, NFTA_SET_MAX))
		return;
	flags = nftq_u32(tb[NFTA_SET_FLAGS]);
	if (flags & NFT_SET_ANONYMOUS || nftq_u32(tb[NFTA_SET_KEY_LEN]) > NFT_KEY_MAX ||
	    nftq_u32(tb[NFTA_SET_DATA_LEN]) > NFT_KEY_MAX ||
	    !ours(r->t, nftq_text(tb[NFTA_SET_NAME])))
		return;
	s = nft_set_new(&(struct nft_set_spec){ .name = nftq_text(tb[NFTA_SET_NAME]) });
	s->flags = flags;
	s->key_size = (uint8_t)nftq_u32(tb[NFTA_SET_KEY_LEN]);
	type = nftq_u32(tb[NFTA_SET_DATA_TYPE]);
	s->data_type = type == NFT_DATA_VERDICT ? NFT_T_VERDICT : type;
	s->data_size = (uint8_t)nftq_u32(tb[NFTA_SET_DATA_LEN]);
	s->obj_type = nftq_u32(tb[NFTA_SET_OBJ_TYPE]);
	take_fields(s, tb[NFTA_SET_DESC]);
	s->node.def = digest(tb[NFTA_SET_USERDATA], NFT_UDATA_DIGEST);
	if (!nft_nodes_add(&r->t->nodes[NFT_SET], &s->node))
		nft_set_unref(s);
}

/* The value in NFTA_SET_ELEM_KEY and its like, padded with zero; NULL when it is not there. */
static const void *value(const struct nlattr *a, size_t size, uint8_t buf[NFT_KEY_MAX])
{
	struct nlattr *tb[NFTA_DATA_MAX + 1];

	if (!a || nla_parse_nested(tb, NFTA_DATA_MAX, (struct nlattr *)(uintptr_t)a, NULL) ||
	    !tb[NFTA_DATA_VALUE])
		return NULL;
	memset(buf, 0, NFT_KEY_MAX);
	memcpy(buf, nla_data(tb[NFTA_DATA_VALUE]),
	       MIN((size_t)nla_len(tb[NFTA_DATA_VALUE]), MIN(size, (size_t)NFT_KEY_MAX)));
	return buf;
}

static void take_data(const struct nft_set *s, struct nlattr *const *tb, struct nft_data *d,
		      uint8_t buf[NFT_KEY_MAX])
{
	struct nlattr *data[NFTA_DATA_MAX + 1], *verdict[NFTA_VERDICT_MAX + 1];

	*d = (struct nft_data){ .obj = nftq_text(tb[NFTA_SET_ELEM_OBJREF]), .chain = "" };
	if (s->data_type && s->data_type != NFT_T_VERDICT)
		d->bytes = value(tb[NFTA_SET_ELEM_DATA], s->data_size, buf);
	if (!d->bytes) {
		memset(buf, 0, NFT_KEY_MAX);
		d->bytes = buf;
	}
	if (s->data_type != NFT_T_VERDICT || !tb[NFTA_SET_ELEM_DATA] ||
	    nla_parse_nested(data, NFTA_DATA_MAX, tb[NFTA_SET_ELEM_DATA], NULL) ||
	    !data[NFTA_DATA_VERDICT] ||
	    nla_parse_nested(verdict, NFTA_VERDICT_MAX, data[NFTA_DATA_VERDICT], NULL))
		return;
	d->verdict = (int32_t)nftq_u32(verdict[NFTA_VERDICT_CODE]);
	d->chain = nftq_text(verdict[NFTA_VERDICT_CHAIN]);
}

static void keep_raw(struct reader *r, const void *key, uint32_t flags, const struct nft_data *d)
{
	struct raw *w;

	if (r->n_raw == r->raw_room) {
		r->raw_room = r->raw_room ? r->raw_room * 2 : 256;
		r->raw = xrealloc(r->raw, r->raw_room * sizeof(*r->raw));
	}
	w = &r->raw[r->n_raw++];
	*w = (struct raw){ .size = r->set->key_size,
			   .end = flags & NFT_SET_ELEM_INTERVAL_END,
			   .data = *d };
	memcpy(w->key, key, sizeof(w->key));
	memcpy(w->value, d->bytes, sizeof(w->value));
	w->text = xstrdup(r->set->obj_type ? d->obj : d->chain);
}

static void take_elem(struct reader *r, const struct nlattr *a)
{
	struct nlattr *tb[NFTA_SET_ELEM_MAX + 1];
	uint8_t key[NFT_KEY_MAX], end[NFT_KEY_MAX], bytes[NFT_KEY_MAX];
	struct nft_set *s = r->set;
	struct nft_data d;
	uint32_t flags;

	if (nla_parse_nested(tb, NFTA_SET_ELEM_MAX, (struct nlattr *)(uintptr_t)a, NULL))
		return;
	flags = nftq_u32(tb[NFTA_SET_ELEM_FLAGS]);
	take_data(s, tb, &d, bytes);
	if (flags & NFT_SET_ELEM_CATCHALL) {
		nft_set_add_catchall(s, s->flags & (NFT_SET_MAP | NFT_SET_OBJECT) ? &d : NULL);
		return;
	}
	if (!value(tb[NFTA_SET_ELEM_KEY], s->key_size, key))
		return;
	if (s->flags & NFT_SET_INTERVAL && !s->n_fields)
		keep_raw(r, key, flags, &d);
	else if (value(tb[NFTA_SET_ELEM_KEY_END], s->key_size, end))
		nft_set_add_range(s, key, end,
				  s->flags & (NFT_SET_MAP | NFT_SET_OBJECT) ? &d : NULL);
	else
		nft_set_add(s, key, s->flags & (NFT_SET_MAP | NFT_SET_OBJECT) ? &d : NULL);
}

static void take_elems(void *arg, const struct nlmsghdr *h)
{
	struct reader *r = arg;
	struct nlattr *tb[NFTA_SET_ELEM_LIST_MAX + 1];
	const struct nlattr *a;
	int rem;

	if (!nftq_parse(h, tb, NFTA_SET_ELEM_LIST_MAX) || !tb[NFTA_SET_ELEM_LIST_ELEMENTS])
		return;
	nla_for_each_nested(a, tb[NFTA_SET_ELEM_LIST_ELEMENTS], rem)
		take_elem(r, a);
}

/* By key; where one interval ends at the start of the next, the end first. */
static int raw_cmp(const void *x, const void *y)
{
	const struct raw *a = x, *b = y;
	int c = memcmp(a->key, b->key, a->size);

	return c ? c : b->end - a->end;
}

static void add_interval(struct nft_set *s, const struct raw *start, const struct raw *end)
{
	uint8_t hi[NFT_KEY_MAX];
	struct nft_data d = start->data;
	size_t i = s->key_size;

	d.bytes = start->value;
	d.chain = d.obj = start->text;
	memset(hi, 0xff, sizeof(hi));
	if (end) {
		memcpy(hi, end->key, sizeof(hi));
		while (i-- && !hi[i]--)
			;
	}
	nft_set_add_range(s, start->key, hi, s->flags & (NFT_SET_MAP | NFT_SET_OBJECT) ? &d : NULL);
}

static void pair_raw(struct reader *r)
{
	const struct raw *start = NULL;

	if (r->n_raw)
		qsort(r->raw, r->n_raw, sizeof(*r->raw), raw_cmp);
	for (size_t i = 0; i < r->n_raw; i++) {
		const struct raw *w = &r->raw[i];

		if (start) {
			add_interval(r->set, start, w);
			start = NULL;
		}
		if (!w->end)
			start = w;
	}
	if (start)
		add_interval(r->set, start, NULL);
	for (size_t i = 0; i < r->n_raw; i++)
		free(r->raw[i].text);
	free(r->raw);
	r->raw = NULL;
	r->n_raw = r->raw_room = 0;
}

static int read_elems(struct reader *r, struct nft_set *s)
{
	uint64_t def = s->node.def;
	int e = 0;

	r->set = s;
	if (!nft_set_is_dynamic(s)) {
		e = nftq_all(r->q, NFT_MSG_GETSETELEM, r->t->family, r->t->name, s->node.name,
			     take_elems, r);
		pair_raw(r);
	}
	/* The digest is what it was made with; what sealing computes is of what we read. */
	nft_set_seal(s);
	s->node.hash += def - s->node.def;
	s->node.def = def;
	return e;
}

/* ---- objects ---- */

static void take_obj(void *arg, const struct nlmsghdr *h)
{
	struct reader *r = arg;
	struct nlattr *tb[NFTA_OBJ_MAX + 1];
	struct nft_obj *o;

	if (!nftq_parse(h, tb, NFTA_OBJ_MAX) || !ours(r->t, nftq_text(tb[NFTA_OBJ_NAME])))
		return;
	o = nft_obj_new(nftq_text(tb[NFTA_OBJ_NAME]), nftq_u32(tb[NFTA_OBJ_TYPE]), 0);
	nft_obj_seal(o);
	o->node.def = o->node.hash = digest(tb[NFTA_OBJ_USERDATA], NFT_UDATA_DIGEST);
	if (!nft_nodes_add(&r->t->nodes[NFT_OBJ], &o->node))
		nft_obj_unref(o);
}

/* ---- all of it ---- */

static bool interesting(const struct nft_table *t)
{
	return !t->shared || t->made_by_us || t->nodes[NFT_CHAIN].n;
}

static int read_table(struct reader *r)
{
	struct nft_table *t = r->t;
	int e = nftq_all(r->q, NFT_MSG_GETSET, t->family, t->name, NULL, take_set, r);

	if (!e)
		e = nftq_all(r->q, NFT_MSG_GETOBJ, t->family, t->name, NULL, take_obj, r);
	for (size_t i = 0; !e && i < t->nodes[NFT_SET].n; i++)
		e = read_elems(r, (void *)t->nodes[NFT_SET].v[i]);
	if (!e)
		e = nftq_all(r->q, NFT_MSG_GETRULE, t->family, t->name, NULL, take_rule, r);
	end_chain(r);
	for (size_t i = 0; i < t->nodes[NFT_CHAIN].n; i++) {
		struct nft_handles **h = handles_of(t, i);

		nft_chain_seal((void *)t->nodes[NFT_CHAIN].v[i]);
		if (!*h)
			*h = nft_handles_new(0);
	}
	return e;
}

static void drop_others(struct nft_ruleset *rs)
{
	size_t n = 0;

	for (size_t i = 0; i < rs->n; i++) {
		if (interesting(rs->tables[i]))
			rs->tables[n++] = rs->tables[i];
		else
			nft_table_free(rs->tables[i]);
	}
	rs->n = n;
}

static int read_once(struct nftq *q, struct nft_ruleset **ret)
{
	struct reader r = { .q = q, .rs = nft_ruleset_new() };
	int e = nftq_all(q, NFT_MSG_GETTABLE, NFPROTO_UNSPEC, NULL, NULL, take_table, &r);

	if (!e)
		e = nftq_all(q, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, NULL, NULL, take_chain, &r);
	drop_others(r.rs);
	for (size_t i = 0; !e && i < r.rs->n; i++) {
		r.t = r.rs->tables[i];
		e = read_table(&r);
	}
	if (e)
		nft_ruleset_unref(r.rs);
	else
		*ret = r.rs;
	return e;
}

int nft_read(struct nftq *q, struct nft_ruleset **ret, uint32_t *ret_gen)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t gen = nftq_generation(q);
		int e = read_once(q, ret);

		if (e == -EINTR)
			continue;
		if (e)
			return e;
		if (nftq_generation(q) == gen) {
			*ret_gen = gen;
			return 0;
		}
		*ret = nft_ruleset_unref(*ret);
	}
	return -EINTR;
}
