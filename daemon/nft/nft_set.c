/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets and their elements, serialised as they are added. */
#include "nft/nft_set.h"

#include "nft/nft_data.h"

#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <stdlib.h>
#include <string.h>

#define EXPR_ROOM 512

static void put_exprs(struct nft_set *s, const struct nft_set_spec *spec)
{
	struct nft_attrs *a = &s->exprs;
	size_t outer = 0;

	if (!spec->n_exprs)
		return;
	if (spec->n_exprs > NFT_SET_EXPRS)
		abort();
	nft_attrs_need(a, 64 + spec->n_exprs * EXPR_ROOM);
	if (spec->n_exprs > 1)
		outer = nft_attrs_nest(a, NFTA_SET_EXPRESSIONS);
	for (size_t i = 0; i < spec->n_exprs; i++) {
		struct nftnl_expr *e = nft_stateful_expr(&spec->exprs[i]);
		struct nlattr *nest = mnl_attr_nest_start(a->h, spec->n_exprs > 1 ? NFTA_LIST_ELEM
										  : NFTA_SET_EXPR);

		nftnl_expr_build_payload(a->h, e);
		mnl_attr_nest_end(a->h, nest);
		nftnl_expr_free(e);
	}
	if (outer)
		nft_attrs_nest_end(a, outer);
}

struct nft_set *nft_set_new(const struct nft_set_spec *spec)
{
	struct nft_set *s = xcalloc(1, sizeof(*s));

	if (spec->key_size > NFT_KEY_MAX || spec->n_fields > NFT_FIELDS_MAX)
		abort();
	nft_node_init(&s->node, NFT_SET, spec->name, spec->rec);
	s->flags = spec->flags;
	s->key_type = spec->key_type;
	s->key_size = spec->key_size;
	s->n_fields = spec->n_fields;
	memcpy(s->field_size, spec->field_size, sizeof(s->field_size));
	s->data_type = spec->data_type;
	s->data_size = spec->data_size;
	s->obj_type = spec->obj_type;
	s->timeout_ms = spec->timeout_ms;
	s->gc_ms = spec->gc_ms;
	s->size = spec->size;
	if (s->n_fields)
		s->flags |= NFT_SET_CONCAT;
	if (s->data_type)
		s->flags |= NFT_SET_MAP;
	if (s->obj_type)
		s->flags |= NFT_SET_OBJECT;
	if (s->timeout_ms)
		s->flags |= NFT_SET_TIMEOUT;
	put_exprs(s, spec);
	return s;
}

void nft_set_destroy(struct nft_set *s)
{
	nft_attrs_fini(&s->exprs);
	free(s->units);
	free(s->bytes);
}

struct nft_set *nft_set_ref(const struct nft_set *s)
{
	nft_node_ref(&s->node);
	return (struct nft_set *)(uintptr_t)s;
}

struct nft_set *nft_set_unref(struct nft_set *s)
{
	if (s)
		nft_node_unref(&s->node);
	return NULL;
}

size_t nft_set_len(const struct nft_set *s)
{
	return s->n;
}

bool nft_set_is_dynamic(const struct nft_set *s)
{
	return s->flags & (NFT_SET_EVAL | NFT_SET_TIMEOUT);
}

void nft_set_seal(struct nft_set *s)
{
	uint32_t v[] = { s->flags, s->key_type, s->data_type, s->obj_type, s->gc_ms,
			 s->size,  s->key_size, s->data_size, s->n_fields };
	uint64_t h = nft_hash(s->node.name, strlen(s->node.name), 2);

	if (s->node.sealed)
		return;
	s->node.sealed = true;
	h = nft_hash(v, sizeof(v), h);
	h = nft_hash(s->field_size, s->n_fields, h);
	h = nft_hash(&s->timeout_ms, sizeof(s->timeout_ms), h);
	s->node.def = h = nft_hash(nft_attrs_bytes(&s->exprs), nft_attrs_size(&s->exprs), h);
	/* The order of elements is not part of a set. */
	for (size_t i = 0; i < s->n; i++)
		h += s->units[i].hash * 0x9e3779b97f4a7c15ull;
	s->node.hash = h;
}

/* ---- elements ---- */

static uint32_t keep_bytes(struct nft_set *s, const struct nft_attrs *a)
{
	size_t size = nft_attrs_size(a), at = s->n_bytes;

	if (at + size > s->bytes_room) {
		s->bytes_room = MAX(s->bytes_room * 2, at + size + 256);
		s->bytes = xrealloc(s->bytes, s->bytes_room);
	}
	memcpy(s->bytes + at, nft_attrs_bytes(a), size);
	s->n_bytes += size;
	return (uint32_t)at;
}

static void put_value(struct nft_attrs *a, uint16_t attr, const void *v, size_t size)
{
	size_t nest = nft_attrs_nest(a, attr);

	nft_attrs_put(a, NFTA_DATA_VALUE, v, size);
	nft_attrs_nest_end(a, nest);
}

static void put_data(const struct nft_set *s, struct nft_attrs *a, const struct nft_data *d)
{
	size_t nest, verdict;

	if (s->obj_type) {
		nft_attrs_text(a, NFTA_SET_ELEM_OBJREF, d->obj);
	} else if (s->data_type == NFT_T_VERDICT) {
		nest = nft_attrs_nest(a, NFTA_SET_ELEM_DATA);
		verdict = nft_attrs_nest(a, NFTA_DATA_VERDICT);
		nft_attrs_u32(a, NFTA_VERDICT_CODE, (uint32_t)d->verdict);
		if (d->verdict == NFT_JUMP || d->verdict == NFT_GOTO)
			nft_attrs_text(a, NFTA_VERDICT_CHAIN, d->chain);
		nft_attrs_nest_end(a, verdict);
		nft_attrs_nest_end(a, nest);
	} else {
		put_value(a, NFTA_SET_ELEM_DATA, d->bytes, s->data_size);
	}
}

struct elem {
	const void *key, *end; /* NULL: none */
	uint32_t flags;
	const struct nft_data *data;
};

/* One element, with its data or only what names it. */
static void put_elem(const struct nft_set *s, struct nft_attrs *a, const struct elem *e, bool all)
{
	size_t nest = nft_attrs_nest(a, NFTA_LIST_ELEM);

	if (e->key)
		put_value(a, NFTA_SET_ELEM_KEY, e->key, s->key_size);
	if (e->end)
		put_value(a, NFTA_SET_ELEM_KEY_END, e->end, s->key_size);
	if (e->flags)
		nft_attrs_u32(a, NFTA_SET_ELEM_FLAGS, e->flags);
	if (all && e->data && !(e->flags & NFT_SET_ELEM_INTERVAL_END))
		put_data(s, a, e->data);
	nft_attrs_nest_end(a, nest);
}

static uint32_t data_ref(const struct nft_set *s, const struct nft_data *d)
{
	if (!d)
		return 0;
	if (s->obj_type)
		return nft_ref_hash(NFT_OBJ, d->obj);
	if (s->data_type == NFT_T_VERDICT && (d->verdict == NFT_JUMP || d->verdict == NFT_GOTO))
		return nft_ref_hash(NFT_CHAIN, d->chain);
	return 0;
}

static void add_unit(struct nft_set *s, const struct elem *e, size_t n)
{
	static struct nft_attrs a; /* kept: millions of elements pass through it */
	struct nft_unit *u;

	if (s->node.sealed || !s->data_type != !(s->flags & NFT_SET_MAP))
		abort();
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 16;
		s->units = xrealloc(s->units, s->room * sizeof(*s->units));
	}
	u = &s->units[s->n++];
	nft_attrs_reset(&a);
	for (size_t i = 0; i < n; i++)
		put_elem(s, &a, &e[i], true);
	u->add = keep_bytes(s, &a);
	u->add_size = (uint32_t)nft_attrs_size(&a);
	u->hash = nft_hash(nft_attrs_bytes(&a), u->add_size, 0);
	u->ref = data_ref(s, e->data);
	nft_attrs_reset(&a);
	for (size_t i = 0; i < n; i++)
		put_elem(s, &a, &e[i], false);
	u->del = keep_bytes(s, &a);
	u->del_size = (uint32_t)nft_attrs_size(&a);
	u->key = nft_hash(nft_attrs_bytes(&a), u->del_size, 1);
}

void nft_set_add(struct nft_set *s, const void *key, const struct nft_data *data)
{
	/* In a set of intervals each key is one. */
	if (s->flags & NFT_SET_INTERVAL)
		nft_set_add_range(s, key, key, data);
	else
		add_unit(s, &(struct elem){ .key = key, .data = data }, 1);
}

/* The key after this one; false when it was the last. */
static bool increment(uint8_t *key, size_t size)
{
	while (size--) {
		if (++key[size])
			return true;
	}
	return false;
}

void nft_set_add_range(struct nft_set *s, const void *lo, const void *hi,
		       const struct nft_data *data)
{
	uint8_t after[NFT_KEY_MAX];
	struct elem e[2] = { { .key = lo, .data = data },
			     { .key = after, .flags = NFT_SET_ELEM_INTERVAL_END } };

	if (s->n_fields) {
		e[0].end = hi;
		add_unit(s, e, 1);
		return;
	}
	if (!(s->flags & NFT_SET_INTERVAL))
		abort();
	/* Start and first key after the end; what reaches to the last key has no end. */
	memcpy(after, hi, s->key_size);
	add_unit(s, e, increment(after, s->key_size) ? 2 : 1);
}

void nft_set_add_catchall(struct nft_set *s, const struct nft_data *data)
{
	add_unit(s, &(struct elem){ .flags = NFT_SET_ELEM_CATCHALL, .data = data }, 1);
}
