/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables and what they hold by name. */
#include "nft/nft_data.h"

#include "hash.h"
#include "kernel/shadow.h"

#include <stdlib.h>
#include <string.h>

/* "rtr_" and the name of an instance (shadow_db.h: below 64 bytes). */
#define NFT_TABLE_NAME_SIZE 80

const char *nft_table_name(void)
{
	static char name[NFT_TABLE_NAME_SIZE];
	const char *instance = shadow_instance();

	snprintf(name, sizeof(name), "rtr_%s", *instance ? instance : "main");
	return name;
}

bool nft_name_is_ours(const char *name)
{
	size_t n = strlen(nft_table_name());

	/* No instance has a slash in its name: it would be in a path. */
	return !strncmp(name, nft_table_name(), n) && name[n] == '/';
}

/* ---- nodes ---- */

uint32_t nft_ref_hash(enum nft_kind kind, const char *name)
{
	return (uint32_t)hash_bytes(name, strlen(name), (uint64_t)kind + 1) | 1;
}

void nft_node_init(struct nft_node *n, enum nft_kind kind, const char *name, const struct rec *rec)
{
	n->refs = 1;
	n->kind = kind;
	n->name = xstrdup(name);
	n->ref = nft_ref_hash(kind, name);
	n->rec = rec ? rec_ref(rec) : NULL;
}

struct nft_node *nft_node_ref(const struct nft_node *n)
{
	struct nft_node *m = (struct nft_node *)(uintptr_t)n;

	m->refs++;
	return m;
}

struct nft_node *nft_node_unref(struct nft_node *n)
{
	if (!n || --n->refs)
		return NULL;
	if (n->kind == NFT_CHAIN)
		nft_chain_destroy((void *)n);
	else if (n->kind == NFT_SET)
		nft_set_destroy((void *)n);
	else
		nft_obj_destroy((void *)n);
	rec_unref(n->rec);
	free(n->name);
	free(n);
	return NULL;
}

static struct nft_slot *slot(const struct nft_nodes *m, const char *name, uint32_t ref)
{
	size_t i = ref & (m->n_index - 1);

	while (m->index[i].place) {
		if (m->index[i].ref == ref && !strcmp(m->v[m->index[i].place - 1]->name, name))
			break;
		i = (i + 1) & (m->n_index - 1);
	}
	return &m->index[i];
}

size_t nft_nodes_find(const struct nft_nodes *m, const char *name)
{
	uint32_t place;

	if (!m->n)
		return SIZE_MAX;
	place = slot(m, name, nft_ref_hash(m->v[0]->kind, name))->place;
	return place ? place - 1 : SIZE_MAX;
}

size_t nft_nodes_find_like(const struct nft_nodes *m, const struct nft_node *n)
{
	uint32_t place = m->n ? slot(m, n->name, n->ref)->place : 0;

	return place ? place - 1 : SIZE_MAX;
}

static void index_grow(struct nft_nodes *m)
{
	free(m->index);
	m->n_index = m->n_index ? m->n_index * 2 : 16;
	m->index = xcalloc(m->n_index, sizeof(*m->index));
	for (size_t i = 0; i < m->n; i++)
		*slot(m, m->v[i]->name, m->v[i]->ref) = (struct nft_slot){ m->v[i]->ref,
									   (uint32_t)i + 1 };
}

bool nft_nodes_add(struct nft_nodes *m, struct nft_node *n)
{
	struct nft_slot *at;

	if (m->n * 2 >= m->n_index)
		index_grow(m);
	at = slot(m, n->name, n->ref);
	if (at->place)
		return false;
	if (m->n == m->room) {
		m->room = m->room ? m->room * 2 : 8;
		m->v = xrealloc(m->v, m->room * sizeof(struct nft_node *));
	}
	m->v[m->n++] = n;
	*at = (struct nft_slot){ n->ref, (uint32_t)m->n };
	return true;
}

void nft_nodes_copy(struct nft_nodes *to, const struct nft_nodes *from)
{
	*to = (struct nft_nodes){ .n = from->n, .room = from->n, .n_index = from->n_index };
	if (!from->n)
		to->n_index = 0;
	if (!to->n_index)
		return;
	to->v = xmalloc(to->n * sizeof(struct nft_node *));
	to->index = xmalloc(to->n_index * sizeof(*to->index));
	memcpy(to->index, from->index, to->n_index * sizeof(*to->index));
	for (size_t i = 0; i < to->n; i++)
		to->v[i] = nft_node_ref(from->v[i]);
}

/* ---- handles ---- */

struct nft_handles *nft_handles_new(size_t n)
{
	struct nft_handles *h = xcalloc(1, sizeof(*h) + n * sizeof(h->v[0]));

	h->refs = 1;
	h->n = n;
	return h;
}

struct nft_handles *nft_handles_ref(struct nft_handles *h)
{
	h->refs++;
	return h;
}

struct nft_handles *nft_handles_unref(struct nft_handles *h)
{
	if (h && !--h->refs)
		free(h);
	return NULL;
}

/* ---- tables ---- */

struct nft_ruleset *nft_ruleset_new(void)
{
	struct nft_ruleset *rs = xcalloc(1, sizeof(*rs));

	rs->refs = 1;
	return rs;
}

struct nft_ruleset *nft_ruleset_ref(struct nft_ruleset *rs)
{
	rs->refs++;
	return rs;
}

void nft_table_free(struct nft_table *t)
{
	for (size_t i = 0; t->handles && i < t->nodes[NFT_CHAIN].n; i++)
		nft_handles_unref(t->handles[i]);
	for (int k = 0; k < NFT_KINDS; k++) {
		for (size_t i = 0; i < t->nodes[k].n; i++)
			nft_node_unref(t->nodes[k].v[i]);
		free(t->nodes[k].v);
		free(t->nodes[k].index);
	}
	free(t->handles);
	free(t->name);
	free(t);
}

struct nft_ruleset *nft_ruleset_unref(struct nft_ruleset *rs)
{
	if (!rs || --rs->refs)
		return NULL;
	for (size_t i = 0; i < rs->n; i++)
		nft_table_free(rs->tables[i]);
	free(rs->tables);
	free(rs);
	return NULL;
}

struct nft_table *nft_ruleset_find(const struct nft_ruleset *rs, uint8_t family, const char *name)
{
	for (size_t i = 0; i < rs->n; i++) {
		if (rs->tables[i]->family == family && !strcmp(rs->tables[i]->name, name))
			return rs->tables[i];
	}
	return NULL;
}

struct nft_table *nft_ruleset_table(struct nft_ruleset *rs, uint8_t family, const char *name)
{
	struct nft_table *t = nft_ruleset_find(rs, family, name);

	if (t)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->family = family;
	t->name = xstrdup(name);
	t->shared = strcmp(name, nft_table_name());
	rs->tables = xrealloc(rs->tables, (rs->n + 1) * sizeof(struct nft_table *));
	rs->tables[rs->n++] = t;
	return t;
}

static void add(struct nft_table *t, struct nft_node *n)
{
	/* A second one, or one that would not be known as ours. */
	if ((t->shared && !nft_name_is_ours(n->name)) || !nft_nodes_add(&t->nodes[n->kind], n))
		abort();
}

void nft_table_add_chain(struct nft_table *t, struct nft_chain *c)
{
	nft_chain_seal(c);
	add(t, &c->node);
}

void nft_table_add_set(struct nft_table *t, struct nft_set *s)
{
	nft_set_seal(s);
	add(t, &s->node);
}

void nft_table_add_obj(struct nft_table *t, struct nft_obj *o)
{
	nft_obj_seal(o);
	add(t, &o->node);
}

static const void *find(const struct nft_table *t, enum nft_kind kind, const char *name)
{
	size_t i = nft_nodes_find(&t->nodes[kind], name);

	return i == SIZE_MAX ? NULL : t->nodes[kind].v[i];
}

const struct nft_chain *nft_table_chain(const struct nft_table *t, const char *name)
{
	return find(t, NFT_CHAIN, name);
}

const struct nft_set *nft_table_set(const struct nft_table *t, const char *name)
{
	return find(t, NFT_SET, name);
}

const struct nft_obj *nft_table_obj(const struct nft_table *t, const char *name)
{
	return find(t, NFT_OBJ, name);
}
