/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules and chains as data: built, sealed with their digests, shared by reference. */
#include "nft/nft_data.h"

#include <stdlib.h>
#include <string.h>

/* ---- rules ---- */

struct nft_rule *nft_rule_new(uint64_t id, const struct rec *rec, const char *comment)
{
	struct nft_rule *r = xcalloc(1, sizeof(*r));

	r->refs = 1;
	r->id = id;
	r->rec = rec ? rec_ref(rec) : NULL;
	r->comment = comment ? xstrndup(comment, NFT_COMMENT_MAX) : NULL;
	return r;
}

struct nft_rule *nft_rule_ghost(uint64_t hash, uint64_t id)
{
	struct nft_rule *r = xcalloc(1, sizeof(*r));

	r->refs = 1;
	r->sealed = true;
	r->hash = hash;
	r->id = id;
	r->counts = id;
	return r;
}

struct nft_rule *nft_rule_ref(const struct nft_rule *r)
{
	struct nft_rule *m = (struct nft_rule *)(uintptr_t)r; /* the count is not part of it */

	m->refs++;
	return m;
}

struct nft_rule *nft_rule_unref(struct nft_rule *r)
{
	if (!r || --r->refs)
		return NULL;
	rec_unref(r->rec);
	free(r->comment);
	free(r->uses);
	free(r->attrs);
	nft_attrs_fini(&r->open);
	free(r);
	return NULL;
}

void nft_rule_uses(struct nft_rule *r, enum nft_kind kind, const char *name)
{
	r->uses = xrealloc(r->uses, (r->n_uses + 1) * sizeof(*r->uses));
	r->uses[r->n_uses++] = nft_ref_hash(kind, name);
}

void nft_rule_seal(struct nft_rule *r)
{
	struct nft_udata u = { .size = 0 };
	struct nft_attrs all = { 0 };

	if (r->sealed)
		return;
	r->sealed = true;
	nft_attrs_put(&all, NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, nft_attrs_bytes(&r->open),
		      nft_attrs_size(&r->open));
	if (r->compat_proto) {
		size_t nest = nft_attrs_nest(&all, NFTA_RULE_COMPAT);

		nft_attrs_u32(&all, NFTA_RULE_COMPAT_PROTO, r->compat_proto);
		nft_attrs_u32(&all, NFTA_RULE_COMPAT_FLAGS, 0);
		nft_attrs_nest_end(&all, nest);
	}
	if (r->comment)
		nft_udata_put(&u, NFT_UDATA_COMMENT, r->comment, (uint8_t)(strlen(r->comment) + 1));
	nft_udata_put(&u, NFT_UDATA_ID, &r->id, sizeof(r->id));
	r->hash = nft_hash(nft_attrs_bytes(&all), nft_attrs_size(&all), nft_hash(u.b, u.size, 0));
	nft_udata_put(&u, NFT_UDATA_DIGEST, &r->hash, sizeof(r->hash));
	nft_attrs_put(&all, NFTA_RULE_USERDATA, u.b, u.size);
	r->attrs_size = nft_attrs_size(&all);
	r->attrs = xmalloc(r->attrs_size);
	memcpy(r->attrs, nft_attrs_bytes(&all), r->attrs_size);
	nft_attrs_fini(&all);
	nft_attrs_fini(&r->open);
}

/* ---- chains ---- */

struct nft_chain *nft_chain_new(const struct nft_chain_spec *spec)
{
	struct nft_chain *c = xcalloc(1, sizeof(*c));

	nft_node_init(&c->node, NFT_CHAIN, spec->name, spec->rec);
	c->base = spec->type;
	c->whole = spec->whole;
	if (!c->base)
		return c;
	c->type = xstrdup(spec->type);
	c->hook = spec->hook;
	c->prio = spec->prio;
	c->policy = spec->policy;
	c->n_devs = spec->n_devs;
	c->devs = xcalloc(spec->n_devs + 1, sizeof(*c->devs));
	for (size_t i = 0; i < spec->n_devs; i++)
		c->devs[i] = xstrdup(spec->devs[i]);
	return c;
}

void nft_chain_add(struct nft_chain *c, struct nft_rule *r)
{
	if (c->node.sealed)
		abort();
	nft_rule_seal(r);
	if (c->n == c->room) {
		c->room = c->room ? c->room * 2 : 8;
		c->rules = xrealloc(c->rules, c->room * sizeof(struct nft_rule *));
	}
	c->rules[c->n++] = r;
	c->counts |= r->counts;
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void nft_chain_seal(struct nft_chain *c)
{
	uint64_t h;

	if (c->node.sealed)
		return;
	c->node.sealed = true;
	h = nft_hash(c->node.name, strlen(c->node.name), 1);
	if (c->base) {
		uint32_t v[2] = { c->hook, (uint32_t)c->prio };

		h = nft_hash(c->type, strlen(c->type), h);
		h = nft_hash(v, sizeof(v), h);
		if (c->n_devs)
			qsort(c->devs, c->n_devs, sizeof(*c->devs), name_cmp);
		for (size_t i = 0; i < c->n_devs; i++)
			h = nft_hash(c->devs[i], strlen(c->devs[i]), h);
	}
	c->node.def = h;
	h = nft_hash(&c->policy, sizeof(c->policy), h);
	for (size_t i = 0; i < c->n; i++)
		h = nft_hash(&c->rules[i]->hash, sizeof(c->rules[i]->hash), h);
	c->node.hash = h;
}

void nft_chain_destroy(struct nft_chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		nft_rule_unref(c->rules[i]);
	free(c->rules);
	for (size_t i = 0; i < c->n_devs; i++)
		free(c->devs[i]);
	free(c->devs);
	free(c->type);
}

struct nft_chain *nft_chain_ref(const struct nft_chain *c)
{
	nft_node_ref(&c->node);
	return (struct nft_chain *)(uintptr_t)c;
}

struct nft_chain *nft_chain_unref(struct nft_chain *c)
{
	if (c)
		nft_node_unref(&c->node);
	return NULL;
}

size_t nft_chain_len(const struct nft_chain *c)
{
	return c->n;
}
