/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the opaque structs of nft.h are, for daemon/nft alone. Chains, sets and objects start
 * with a struct nft_node; a table holds them by name. The same structs describe what the kernel
 * has (nft_read.c): nodes are then ghosts, known by their digests only, and chains have handles.
 * Owns: nodes, rules and handles are reference-counted. Threads: rtrd's loop only; the sender of
 * a batch sees only bytes.
 */
#ifndef RTR_NFT_DATA_H
#define RTR_NFT_DATA_H

#include "nft/nft.h"
#include "nft/nft_set.h"

#include <netlink/attr.h>
#include <netlink/msg.h>

/* ---- attributes in memory, as the kernel gets them ---- */

/* Behind a message header that is never sent: libnftnl's builders want one. */
struct nft_attrs {
	struct nlmsghdr *h;
	size_t room;
};

void nft_attrs_need(struct nft_attrs *a, size_t size);
void nft_attrs_put(struct nft_attrs *a, uint16_t attr, const void *data, size_t size);
void nft_attrs_text(struct nft_attrs *a, uint16_t attr, const char *s);
void nft_attrs_u8(struct nft_attrs *a, uint16_t attr, uint8_t v);
void nft_attrs_u16(struct nft_attrs *a, uint16_t attr, uint16_t v); /* these in network order */
void nft_attrs_u32(struct nft_attrs *a, uint16_t attr, uint32_t v);
void nft_attrs_u64(struct nft_attrs *a, uint16_t attr, uint64_t v);
size_t nft_attrs_nest(struct nft_attrs *a, uint16_t attr);
void nft_attrs_nest_end(struct nft_attrs *a, size_t nest);
const void *nft_attrs_bytes(const struct nft_attrs *a);
size_t nft_attrs_size(const struct nft_attrs *a);
void nft_attrs_reset(struct nft_attrs *a);
void nft_attrs_fini(struct nft_attrs *a);

/* Not FNV: three megabytes of rules are hashed in a commit. Eight bytes a step. */
uint64_t nft_hash(const void *bytes, size_t size, uint64_t seed);

/* ---- userdata ---- */

/* Beside nft's own types, which count from 0: an identity and a digest, eight bytes each. */
#define NFT_UDATA_COMMENT 0
#define NFT_UDATA_ID      0xc0
#define NFT_UDATA_DIGEST  0xc1
#define NFT_UDATA_MAX     256

struct nft_udata {
	uint8_t b[NFT_UDATA_MAX];
	size_t size;
};
void nft_udata_put(struct nft_udata *u, uint8_t type, const void *v, uint8_t size);
/* Its eight bytes; 0 when there is none. */
uint64_t nft_udata_get(const void *udata, size_t size, uint8_t type);

/* ---- nodes ---- */

enum nft_kind { NFT_CHAIN, NFT_SET, NFT_OBJ, NFT_KINDS };

struct nft_node {
	unsigned refs;
	enum nft_kind kind;
	bool sealed;
	uint64_t def;  /* digest of the definition: when it differs, the node is made anew */
	uint64_t hash; /* digest of all of it */
	uint32_t ref;  /* nft_ref_hash of kind and name */
	char *name;
	struct rec *rec;
};

/* What rules and elements remember of the nodes that they refer to. */
uint32_t nft_ref_hash(enum nft_kind kind, const char *name);

struct nft_node *nft_node_ref(const struct nft_node *n);
struct nft_node *nft_node_unref(struct nft_node *n);

struct nft_rule {
	unsigned refs;
	bool sealed, counts; /* counts: it has a counter, or as a ghost may have one */
	uint64_t hash, id;
	struct rec *rec;
	char *comment;
	unsigned n_exprs;
	uint8_t compat_proto; /* that x_tables extensions are told to be for; 0: any */
	uint32_t *uses;       /* nft_ref_hash of what it refers to */
	size_t n_uses;
	struct nft_attrs open; /* expressions, until sealed */
	/* NFTA_RULE_EXPRESSIONS, NFTA_RULE_USERDATA; a ghost has none */
	void *attrs;
	size_t attrs_size;
};

void nft_rule_seal(struct nft_rule *r);
void nft_rule_uses(struct nft_rule *r, enum nft_kind kind, const char *name);
struct nft_rule *nft_rule_ghost(uint64_t hash, uint64_t id);

struct nft_chain {
	struct nft_node node;
	bool base, whole, counts; /* counts: a rule does */
	char *type;
	uint32_t hook, policy;
	int32_t prio;
	char **devs;
	size_t n_devs;
	struct nft_rule **rules;
	size_t n, room;
};

void nft_chain_seal(struct nft_chain *c);

/* One element, or the two that are an interval; ready to be sent. */
struct nft_unit {
	uint64_t key, hash;     /* of what deletes it, of all of it */
	uint32_t ref;           /* chain or object that it leads to; 0 none */
	uint32_t add, add_size; /* in bytes of the set */
	uint32_t del, del_size;
};

struct nft_set {
	struct nft_node node;
	uint32_t flags, key_type, data_type, obj_type, gc_ms, size;
	uint8_t key_size, data_size, n_fields, field_size[NFT_FIELDS_MAX];
	uint64_t timeout_ms;
	struct nft_attrs exprs; /* NFTA_SET_EXPR or NFTA_SET_EXPRESSIONS */
	struct nft_unit *units;
	size_t n, room;
	uint8_t *bytes;
	size_t n_bytes, bytes_room;
};

void nft_set_seal(struct nft_set *s);
/* Its elements are the packets': not compared. */
bool nft_set_is_dynamic(const struct nft_set *s);

struct nft_obj {
	struct nft_node node;
	uint32_t type;
	uint64_t id;
	struct nft_attrs data; /* content of NFTA_OBJ_DATA */
};

void nft_obj_seal(struct nft_obj *o);
struct nft_obj *nft_obj_new(const char *name, uint32_t type, uint64_t id);
void nft_chain_destroy(struct nft_chain *c);
void nft_set_destroy(struct nft_set *s);
void nft_obj_destroy(struct nft_obj *o);
void nft_node_init(struct nft_node *n, enum nft_kind kind, const char *name, const struct rec *rec);
void nft_node_fini(struct nft_node *n);

/* Expressions inside other things: elements and dynsets. */
struct nftnl_expr;
struct nftnl_expr *nft_stateful_expr(const struct nft_stateful *s);

/* ---- tables ---- */

struct nft_handles {
	unsigned refs;
	size_t n;
	uint64_t v[];
};
struct nft_handles *nft_handles_new(size_t n);
struct nft_handles *nft_handles_ref(struct nft_handles *h);
struct nft_handles *nft_handles_unref(struct nft_handles *h);

struct nft_nodes {
	struct nft_node **v;
	size_t n, room;
	struct nft_slot {
		uint32_t ref, place; /* of its node; place + 1 in v */
	} * index;                   /* open addressing by name */
	size_t n_index;
};

struct nft_table {
	uint8_t family;
	char *name;
	bool shared;
	struct nft_nodes nodes[NFT_KINDS];
	/* of what the kernel has */
	struct nft_handles **handles; /* of the chain with the same number */
	uint32_t flags;
	bool made_by_us; /* shared: the table itself */
	size_t n_foreign;
};

struct nft_ruleset {
	unsigned refs;
	struct nft_table **tables;
	size_t n;
};

void nft_table_free(struct nft_table *t);
struct nft_ruleset *nft_ruleset_new(void);
struct nft_ruleset *nft_ruleset_ref(struct nft_ruleset *rs);
struct nft_ruleset *nft_ruleset_unref(struct nft_ruleset *rs);
struct nft_table *nft_ruleset_find(const struct nft_ruleset *rs, uint8_t family, const char *name);
/* Index of the node; SIZE_MAX when there is none. */
size_t nft_nodes_find(const struct nft_nodes *m, const char *name);
/* The same by the name of another node of the kind. */
size_t nft_nodes_find_like(const struct nft_nodes *m, const struct nft_node *n);
/* Into an empty one, with references of their own. */
void nft_nodes_copy(struct nft_nodes *to, const struct nft_nodes *from);
/* Takes the reference. False when the name is there already. */
bool nft_nodes_add(struct nft_nodes *m, struct nft_node *n);
/* In a table shared with others: is the name one of ours? */
bool nft_name_is_ours(const char *name);

#endif
