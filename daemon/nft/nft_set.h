/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: named sets, maps and verdict maps, and their elements. Between two rulesets only elements
 * that differ are written. Dynamic sets (NFT_SET_EVAL) and elements with a timeout belong to the
 * packets: we make the set, its elements are left alone.
 * Owns, threads, failure: as nft/nft.h.
 */
#ifndef RTR_NFT_SET_H
#define RTR_NFT_SET_H

#include "nft/nft.h"
#include "nft/nft_expr.h"

/* Data types, as nft prints them; a key of several fields is NFT_T2, NFT_T3 ... of theirs. */
enum nft_type {
	NFT_T_VERDICT = 1,
	NFT_T_NFPROTO = 2,
	NFT_T_INTEGER = 4,
	NFT_T_IPADDR = 7,
	NFT_T_IP6ADDR = 8,
	NFT_T_ETHERADDR = 9,
	NFT_T_INET_PROTO = 12,
	NFT_T_INET_SERVICE = 13,
	NFT_T_ICMP_TYPE = 14,
	NFT_T_TCP_FLAG = 15,
	NFT_T_MARK = 19,
	NFT_T_IFINDEX = 20,
	NFT_T_ICMP6_TYPE = 29,
	NFT_T_IFNAME = 41,
};
#define NFT_T2(a, b)       ((uint32_t)(a) << 6 | (b))
#define NFT_T3(a, b, c)    (NFT_T2(a, b) << 6 | (c))
#define NFT_T4(a, b, c, d) (NFT_T3(a, b, c) << 6 | (d))

/* Keys: fields of a concatenation are padded to four bytes each. */
#define NFT_KEY_MAX    64
#define NFT_FIELDS_MAX 8

struct nft_set_spec {
	const char *name;
	/* NFT_SET_INTERVAL, NFT_SET_EVAL, NFT_SET_TIMEOUT, NFT_SET_CONSTANT; those for maps,
	 * objects and concatenations follow from the rest. */
	uint32_t flags;
	uint32_t key_type; /* NFT_T_*, NFT_T2 ... */
	uint8_t key_size;  /* bytes, padding included */
	/* A concatenation: bytes of each field, unpadded. */
	uint8_t n_fields, field_size[NFT_FIELDS_MAX];
	uint32_t data_type; /* a map: NFT_T_*; 0: none */
	uint8_t data_size;  /* not for verdicts */
	uint32_t obj_type;  /* NFT_OBJECT_*; a map of objects */
	uint64_t timeout_ms;
	uint32_t gc_ms;
	uint32_t size; /* most elements; 0: no limit */
	/* What each element carries: its own counter, limit, ... (at most NFT_SET_EXPRS). */
	const struct nft_stateful *exprs;
	size_t n_exprs;
	const struct rec *rec; /* may be NULL */
};
#define NFT_SET_EXPRS 2

struct nft_set *nft_set_new(const struct nft_set_spec *spec);
struct nft_set *nft_set_ref(const struct nft_set *s);
struct nft_set *nft_set_unref(struct nft_set *s); /* NULL */
size_t nft_set_len(const struct nft_set *s);      /* elements, an interval being one */

/* What an element leads to. All zero: nothing (a set). */
struct nft_data {
	const void *bytes; /* data_size of them */
	int32_t verdict;   /* NFT_JUMP, NFT_GOTO, NF_DROP, ...; used when data_type is a verdict */
	const char *chain;
	const char *obj; /* a map of objects */
};

/* One key. key_size bytes, network order for addresses and ports. data may be NULL. */
void nft_set_add(struct nft_set *s, const void *key, const struct nft_data *data);
/* From lo to hi, both in it; in a concatenation each field is a range of its own. Ranges of a plain
 * (one field) interval set may touch each other but not overlap. */
void nft_set_add_range(struct nft_set *s, const void *lo, const void *hi,
		       const struct nft_data *data);
/* What is in no other element (NFT_SET_ELEM_CATCHALL). */
void nft_set_add_catchall(struct nft_set *s, const struct nft_data *data);

#endif
