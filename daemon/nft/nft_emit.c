/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations as messages, and as words. */
#include "nft/nft_diff.h"
#include "nft/nft_read.h"
#include "schema/text.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

/* Elements in one message: an attribute holds 64 KiB, and what is left out of that is room for the
 * rest of the message and the element that crosses the line. */
#define ELEMS_BYTES 60000

/* nft's own mark of byte order in a set's userdata, or it prints nonsense. */
#define UDATA_KEYBYTEORDER  0
#define UDATA_DATABYTEORDER 1
/* Data are pairs, from and to: without it nft dies of printing them. */
#define UDATA_DATA_INTERVAL 6
#define BYTEORDER_HOST      1
#define BYTEORDER_BIG       2

static void begin(struct nfbatch *b, struct nft_op *o, uint8_t type, uint16_t flags)
{
	o->msg = nfbatch_msg(b, type, o->table->family, flags);
	/* Attribute 1 of every message: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE ... */
	nfbatch_text(b, 1, o->table->name);
}

static void put_digest(struct nfbatch *b, uint16_t attr, struct nft_udata *u, uint64_t id,
		       uint64_t digest)
{
	nft_udata_put(u, NFT_UDATA_ID, &id, sizeof(id));
	nft_udata_put(u, NFT_UDATA_DIGEST, &digest, sizeof(digest));
	nfbatch_put(b, attr, u->b, u->size);
}

/* ---- tables, chains ---- */

static void emit_table(struct nfbatch *b, struct nft_op *o, enum nft_op_kind kind)
{
	struct nft_udata u = { .size = 0 };

	if (kind == NFT_OP_TABLE_DEL) {
		/* Of a shared table only an empty one. */
		begin(b, o, NFT_MSG_DELTABLE, o->table->shared ? NLM_F_NONREC : 0);
		return;
	}
	begin(b, o, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	if (!o->table->shared)
		nfbatch_u32(b, NFTA_TABLE_FLAGS, 0);
	put_digest(b, NFTA_TABLE_USERDATA, &u, 0, nft_table_mark());
}

static void put_hook(struct nfbatch *b, const struct nft_chain *c)
{
	size_t hook = nfbatch_nest(b, NFTA_CHAIN_HOOK), devs;

	nfbatch_u32(b, NFTA_HOOK_HOOKNUM, c->hook);
	nfbatch_u32(b, NFTA_HOOK_PRIORITY, (uint32_t)c->prio);
	if (c->n_devs == 1) {
		nfbatch_text(b, NFTA_HOOK_DEV, c->devs[0]);
	} else if (c->n_devs) {
		devs = nfbatch_nest(b, NFTA_HOOK_DEVS);
		for (size_t i = 0; i < c->n_devs; i++)
			nfbatch_text(b, NFTA_DEVICE_NAME, c->devs[i]);
		nfbatch_nest_end(b, devs);
	}
	nfbatch_nest_end(b, hook);
}

static void emit_chain(struct nfbatch *b, struct nft_op *o, enum nft_op_kind kind)
{
	const struct nft_chain *c = (const void *)o->node;

	begin(b, o, kind == NFT_OP_CHAIN_DEL ? NFT_MSG_DELCHAIN : NFT_MSG_NEWCHAIN,
	      kind == NFT_OP_CHAIN_DEL ? 0 : NLM_F_CREATE);
	nfbatch_text(b, NFTA_CHAIN_NAME, c->node.name);
	if (kind == NFT_OP_CHAIN_DEL || !c->base)
		return;
	if (kind == NFT_OP_CHAIN_NEW) {
		put_hook(b, c);
		nfbatch_text(b, NFTA_CHAIN_TYPE, c->type);
	}
	nfbatch_u32(b, NFTA_CHAIN_POLICY, c->policy);
}

/* ---- rules ---- */

static void put_handle(struct nfbatch *b, uint16_t attr, uint64_t handle)
{
	nfbatch_u64(b, attr, handle);
}

static void emit_rule(struct nfbatch *b, struct nft_op *o, enum nft_op_kind kind)
{
	const struct nft_chain *c = (const void *)o->node;
	uint16_t flags = NLM_F_CREATE | (c->whole ? 0 : NLM_F_ECHO);

	if (kind == NFT_OP_RULE_DEL) {
		begin(b, o, NFT_MSG_DELRULE, 0);
		nfbatch_text(b, NFTA_RULE_CHAIN, c->node.name);
		if (o->handle)
			put_handle(b, NFTA_RULE_HANDLE, o->handle);
		return;
	}
	if (o->place != NFT_PREPEND)
		flags |= NLM_F_APPEND;
	begin(b, o, NFT_MSG_NEWRULE, flags);
	nfbatch_text(b, NFTA_RULE_CHAIN, c->node.name);
	if (o->place == NFT_AFTER)
		put_handle(b, NFTA_RULE_POSITION, o->handle);
	nfbatch_raw(b, c->rules[o->at]->attrs, c->rules[o->at]->attrs_size);
}

/* ---- sets ---- */

static uint32_t byteorder(uint32_t type, bool interval)
{
	bool host = type == NFT_T_MARK || type == NFT_T_IFINDEX || type == NFT_T_IFNAME ||
		    type == NFT_T_INTEGER;

	/* Ranges of the host's numbers are looked up in network order. */
	return host && !interval ? BYTEORDER_HOST : BYTEORDER_BIG;
}

static void put_desc(struct nfbatch *b, const struct nft_set *s)
{
	size_t desc, concat, field;

	if (!s->size && !s->n_fields)
		return;
	desc = nfbatch_nest(b, NFTA_SET_DESC);
	if (s->size)
		nfbatch_u32(b, NFTA_SET_DESC_SIZE, s->size);
	if (s->n_fields) {
		concat = nfbatch_nest(b, NFTA_SET_DESC_CONCAT);
		for (size_t i = 0; i < s->n_fields; i++) {
			field = nfbatch_nest(b, NFTA_LIST_ELEM);
			nfbatch_u32(b, NFTA_SET_FIELD_LEN, s->field_size[i]);
			nfbatch_nest_end(b, field);
		}
		nfbatch_nest_end(b, concat);
	}
	nfbatch_nest_end(b, desc);
}

static void put_data_type(struct nfbatch *b, const struct nft_set *s)
{
	bool verdict = s->data_type == NFT_T_VERDICT;

	if (s->obj_type)
		nfbatch_u32(b, NFTA_SET_OBJ_TYPE, s->obj_type);
	if (!s->data_type)
		return;
	nfbatch_u32(b, NFTA_SET_DATA_TYPE, verdict ? NFT_DATA_VERDICT : s->data_type);
	if (!verdict)
		nfbatch_u32(b, NFTA_SET_DATA_LEN, s->data_size);
}

static void emit_set(struct nfbatch *b, struct nft_op *o, enum nft_op_kind kind)
{
	const struct nft_set *s = (const void *)o->node;
	struct nft_udata u = { .size = 0 };
	uint32_t order = byteorder(s->key_type, s->flags & NFT_SET_INTERVAL);

	begin(b, o, kind == NFT_OP_SET_DEL ? NFT_MSG_DELSET : NFT_MSG_NEWSET,
	      kind == NFT_OP_SET_DEL ? 0 : NLM_F_CREATE);
	nfbatch_text(b, NFTA_SET_NAME, s->node.name);
	if (kind == NFT_OP_SET_DEL)
		return;
	nfbatch_u32(b, NFTA_SET_FLAGS, s->flags);
	nfbatch_u32(b, NFTA_SET_KEY_TYPE, s->key_type);
	nfbatch_u32(b, NFTA_SET_KEY_LEN, s->key_size);
	nfbatch_u32(b, NFTA_SET_ID, (uint32_t)o->msg + 1); /* any number of its own in the batch */
	put_data_type(b, s);
	put_desc(b, s);
	if (s->timeout_ms)
		nfbatch_u64(b, NFTA_SET_TIMEOUT, s->timeout_ms);
	if (s->gc_ms)
		nfbatch_u32(b, NFTA_SET_GC_INTERVAL, s->gc_ms);
	if (nft_attrs_size(&s->exprs))
		nfbatch_raw(b, nft_attrs_bytes(&s->exprs), nft_attrs_size(&s->exprs));
	nft_udata_put(&u, UDATA_KEYBYTEORDER, &order, sizeof(order));
	if (s->data_type && s->data_type != NFT_T_VERDICT) {
		order = byteorder(s->data_type, false);
		nft_udata_put(&u, UDATA_DATABYTEORDER, &order, sizeof(order));
	}
	if ((s->data_type == NFT_T_IPADDR && s->data_size == 8) ||
	    (s->data_type == NFT_T_IP6ADDR && s->data_size == 32)) {
		order = 1;
		nft_udata_put(&u, UDATA_DATA_INTERVAL, &order, sizeof(order));
	}
	put_digest(b, NFTA_SET_USERDATA, &u, 0, s->node.def);
}

/* As many of the operations as fit into one message; returns their number. */
static size_t emit_units(struct nfbatch *b, struct nft_op *o, size_t n, enum nft_op_kind kind)
{
	const struct nft_set *s = (const void *)o->node;
	bool add = kind == NFT_OP_UNIT_ADD;
	size_t list, i;

	begin(b, o, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0);
	nfbatch_text(b, NFTA_SET_ELEM_LIST_SET, s->node.name);
	list = nfbatch_nest(b, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (i = 0; i < n && o[i].node == o->node && nfbatch_msg_size(b) < ELEMS_BYTES; i++) {
		const struct nft_unit *u = &s->units[o[i].at];

		o[i].msg = o->msg;
		nfbatch_raw(b, s->bytes + (add ? u->add : u->del), add ? u->add_size : u->del_size);
	}
	nfbatch_nest_end(b, list);
	return i;
}

/* ---- objects ---- */

static void emit_obj(struct nfbatch *b, struct nft_op *x, enum nft_op_kind kind)
{
	const struct nft_obj *o = (const void *)x->node;
	struct nft_udata u = { .size = 0 };
	size_t data;

	begin(b, x, kind == NFT_OP_OBJ_DEL ? NFT_MSG_DELOBJ : NFT_MSG_NEWOBJ,
	      kind == NFT_OP_OBJ_DEL ? 0 : NLM_F_CREATE);
	nfbatch_text(b, NFTA_OBJ_NAME, o->node.name);
	nfbatch_u32(b, NFTA_OBJ_TYPE, o->type);
	if (kind == NFT_OP_OBJ_DEL)
		return;
	data = nfbatch_nest(b, NFTA_OBJ_DATA);
	nfbatch_raw(b, nft_attrs_bytes(&o->data), nft_attrs_size(&o->data));
	nfbatch_nest_end(b, data);
	put_digest(b, NFTA_OBJ_USERDATA, &u, o->id, o->node.def);
}

static size_t emit_one(struct nfbatch *b, struct nft_op *o, size_t n, enum nft_op_kind kind)
{
	switch (kind) {
	case NFT_OP_TABLE_DEL:
	case NFT_OP_TABLE_NEW:
		emit_table(b, o, kind);
		break;
	case NFT_OP_CHAIN_DEL:
	case NFT_OP_CHAIN_NEW:
	case NFT_OP_CHAIN_SET:
		emit_chain(b, o, kind);
		break;
	case NFT_OP_RULE_DEL:
	case NFT_OP_RULE_NEW:
		emit_rule(b, o, kind);
		break;
	case NFT_OP_SET_DEL:
	case NFT_OP_SET_NEW:
		emit_set(b, o, kind);
		break;
	case NFT_OP_UNIT_DEL:
	case NFT_OP_UNIT_ADD:
		return emit_units(b, o, n, kind);
	default:
		emit_obj(b, o, kind);
	}
	return 1;
}

void nft_emit(struct nft_change *c, struct nfbatch *b)
{
	for (int k = 0; k < NFT_OP__MAX; k++) {
		struct nft_ops *o = &c->ops[k];

		for (size_t i = 0; i < o->n;)
			i += emit_one(b, &o->v[i], o->n - i, (enum nft_op_kind)k);
	}
}

/* ---- words ---- */

static const struct nft_op *find_op(const struct nft_change *c, size_t msg, int *ret_kind)
{
	for (int k = 0; k < NFT_OP__MAX; k++) {
		const struct nft_ops *o = &c->ops[k];

		/* Messages ascend within a kind and from kind to kind. */
		for (size_t i = 0; o->n && msg <= o->v[o->n - 1].msg && i < o->n; i++) {
			if (o->v[i].msg == msg) {
				*ret_kind = k;
				return &o->v[i];
			}
		}
	}
	return NULL;
}

void nft_describe(const struct nft_change *c, size_t msg, struct strbuf *ret)
{
	static const char *const what[] = { "chain", "set", "object" };
	const struct rec *rec = NULL;
	const struct nft_op *o;
	int kind;

	o = find_op(c, msg, &kind);
	if (!o)
		return;
	if (kind == NFT_OP_RULE_NEW) {
		const struct nft_rule *r = ((const struct nft_chain *)(const void *)o->node)
						   ->rules[o->at];

		rec = r->rec;
		strbuf_addf(ret, "rule %u%s%s%s of ", o->at + 1, r->comment ? " (" : "",
			    r->comment ? r->comment : "", r->comment ? ")" : "");
	} else if (kind == NFT_OP_RULE_DEL) {
		strbuf_adds(ret, "old rule of ");
	} else if (kind == NFT_OP_UNIT_ADD || kind == NFT_OP_UNIT_DEL) {
		strbuf_addf(ret, "elements of ");
	}
	if (o->node) {
		rec = rec ? rec : o->node->rec;
		strbuf_addf(ret, "%s %s in ", what[o->node->kind], o->node->name);
	}
	strbuf_addf(ret, "table %s", o->table->name);
	if (rec) {
		strbuf_adds(ret, ", from \"");
		text_rec(rec, ret);
		strbuf_addc(ret, '"');
	}
}

static void count(struct strbuf *ret, const char *verb, const char *thing, size_t n)
{
	if (!n)
		return;
	strbuf_addf(ret, "%s%s %zu %s%s", ret->len ? ", " : "", verb, n, thing, n == 1 ? "" : "s");
}

void nft_summary(const struct nft_change *c, struct strbuf *ret)
{
	static const struct {
		enum nft_op_kind kind;
		const char *verb, *thing;
	} w[] = {
		{ NFT_OP_TABLE_NEW, "add", "table" },     { NFT_OP_CHAIN_NEW, "add", "chain" },
		{ NFT_OP_SET_NEW, "add", "set" },         { NFT_OP_OBJ_NEW, "add", "object" },
		{ NFT_OP_RULE_NEW, "add", "rule" },       { NFT_OP_UNIT_ADD, "add", "element" },
		{ NFT_OP_CHAIN_SET, "change", "policy" }, { NFT_OP_RULE_DEL, "delete", "rule" },
		{ NFT_OP_UNIT_DEL, "delete", "element" }, { NFT_OP_CHAIN_DEL, "delete", "chain" },
		{ NFT_OP_SET_DEL, "delete", "set" },      { NFT_OP_OBJ_DEL, "delete", "object" },
		{ NFT_OP_TABLE_DEL, "delete", "table" },
	};
	struct strbuf b = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		count(&b, w[i].verb, w[i].thing, c->ops[w[i].kind].n);
	strbuf_adds(ret, strbuf_str(&b));
	strbuf_fini(&b);
}
