/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Named stateful objects. */
#include "nft/nft_data.h"

#include <stdlib.h>
#include <string.h>

struct nft_obj *nft_obj_new(const char *name, uint32_t type, uint64_t id)
{
	struct nft_obj *o = xcalloc(1, sizeof(*o));

	nft_node_init(&o->node, NFT_OBJ, name, NULL);
	o->type = type;
	o->id = id;
	return o;
}

void nft_obj_destroy(struct nft_obj *o)
{
	nft_attrs_fini(&o->data);
}

void nft_obj_seal(struct nft_obj *o)
{
	uint64_t h = nft_hash(o->node.name, strlen(o->node.name), o->type);

	if (o->node.sealed)
		return;
	o->node.sealed = true;
	h = nft_hash(&o->id, sizeof(o->id), h);
	o->node.def = nft_hash(nft_attrs_bytes(&o->data), nft_attrs_size(&o->data), h);
	o->node.hash = o->node.def;
}

void nft_obj_set_rec(struct nft_obj *o, const struct rec *rec)
{
	rec_unref(o->node.rec);
	o->node.rec = rec ? rec_ref(rec) : NULL;
}

struct nft_obj *nft_obj_ref(const struct nft_obj *o)
{
	nft_node_ref(&o->node);
	return (struct nft_obj *)(uintptr_t)o;
}

struct nft_obj *nft_obj_unref(struct nft_obj *o)
{
	if (o)
		nft_node_unref(&o->node);
	return NULL;
}

struct nft_obj *nft_obj_counter(const char *name, uint64_t id)
{
	return nft_obj_new(name, NFT_OBJECT_COUNTER, id);
}

struct nft_obj *nft_obj_quota(const char *name, uint64_t id, uint64_t bytes, bool over)
{
	struct nft_obj *o = nft_obj_new(name, NFT_OBJECT_QUOTA, id);

	nft_attrs_u64(&o->data, NFTA_QUOTA_BYTES, bytes);
	nft_attrs_u32(&o->data, NFTA_QUOTA_FLAGS, over ? NFT_QUOTA_F_INV : 0);
	return o;
}

struct nft_obj *nft_obj_limit(const char *name, uint64_t rate, uint64_t unit_sec, uint32_t burst,
			      uint32_t type, bool over)
{
	struct nft_obj *o = nft_obj_new(name, NFT_OBJECT_LIMIT, 0);

	nft_attrs_u64(&o->data, NFTA_LIMIT_RATE, rate);
	nft_attrs_u64(&o->data, NFTA_LIMIT_UNIT, unit_sec);
	nft_attrs_u32(&o->data, NFTA_LIMIT_BURST, burst);
	nft_attrs_u32(&o->data, NFTA_LIMIT_TYPE, type);
	nft_attrs_u32(&o->data, NFTA_LIMIT_FLAGS, over ? NFT_LIMIT_F_INV : 0);
	return o;
}

struct nft_obj *nft_obj_helper(const char *name, const char *helper, uint16_t l3, uint8_t l4)
{
	struct nft_obj *o = nft_obj_new(name, NFT_OBJECT_CT_HELPER, 0);

	nft_attrs_text(&o->data, NFTA_CT_HELPER_NAME, helper);
	nft_attrs_u16(&o->data, NFTA_CT_HELPER_L3PROTO, l3);
	nft_attrs_u8(&o->data, NFTA_CT_HELPER_L4PROTO, l4);
	return o;
}

struct nft_obj *nft_obj_timeout(const char *name, uint16_t l3, uint8_t l4, const uint32_t *sec,
				size_t n)
{
	struct nft_obj *o = nft_obj_new(name, NFT_OBJECT_CT_TIMEOUT, 0);
	size_t nest;

	nft_attrs_u16(&o->data, NFTA_CT_TIMEOUT_L3PROTO, l3);
	nft_attrs_u8(&o->data, NFTA_CT_TIMEOUT_L4PROTO, l4);
	nest = nft_attrs_nest(&o->data, NFTA_CT_TIMEOUT_DATA);
	for (size_t i = 0; i < n; i++) {
		if (sec[i])
			nft_attrs_u32(&o->data, (uint16_t)(i + 1), sec[i]);
	}
	nft_attrs_nest_end(&o->data, nest);
	return o;
}

struct nft_obj *nft_obj_expect(const char *name, uint16_t l3, uint8_t l4, uint16_t dport,
			       uint32_t timeout_ms, uint8_t size)
{
	struct nft_obj *o = nft_obj_new(name, NFT_OBJECT_CT_EXPECT, 0);

	nft_attrs_u16(&o->data, NFTA_CT_EXPECT_L3PROTO, l3);
	nft_attrs_u8(&o->data, NFTA_CT_EXPECT_L4PROTO, l4);
	nft_attrs_u16(&o->data, NFTA_CT_EXPECT_DPORT, dport);
	/* In the host's order, unlike all others. */
	nft_attrs_put(&o->data, NFTA_CT_EXPECT_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	nft_attrs_u8(&o->data, NFTA_CT_EXPECT_SIZE, size);
	return o;
}

struct nft_obj *nft_obj_synproxy(const char *name, uint16_t mss, uint8_t wscale, uint32_t flags)
{
	struct nft_obj *o = nft_obj_new(name, NFT_OBJECT_SYNPROXY, 0);

	nft_attrs_u16(&o->data, NFTA_SYNPROXY_MSS, mss);
	nft_attrs_u8(&o->data, NFTA_SYNPROXY_WSCALE, wscale);
	nft_attrs_u32(&o->data, NFTA_SYNPROXY_FLAGS, flags);
	return o;
}
