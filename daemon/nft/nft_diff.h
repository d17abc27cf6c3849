/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what has to be done to make one ruleset of another, as a list of operations (pure), and
 * those as messages to the kernel.
 *
 * Phases, in the order of enum nft_op_kind: first goes what is not wanted, from what refers to
 * what is referred to, then comes what is missing, the other way round. So nothing is deleted
 * while it is used nor used before it is there, and a definition that changed is deleted and made
 * anew under the same name in one batch, together with the rules and elements that refer to it.
 *
 * Rules: those that both have, in the same order (longest increasing subsequence), are not touched:
 * their counters go on.
 *
 * Owns: references to the rulesets that it names. Threads: rtrd's loop only. Failure: none.
 */
#ifndef RTR_NFT_DIFF_H
#define RTR_NFT_DIFF_H

#include "kernel/nfbatch.h"
#include "nft/nft_data.h"

enum nft_op_kind {
	NFT_OP_RULE_DEL, /* handle; 0: all of the chain */
	NFT_OP_UNIT_DEL, /* of a set: unit `at` */
	NFT_OP_SET_DEL,
	NFT_OP_CHAIN_DEL,
	NFT_OP_OBJ_DEL,
	NFT_OP_TABLE_DEL, /* node NULL */
	NFT_OP_TABLE_NEW,
	NFT_OP_OBJ_NEW,
	NFT_OP_CHAIN_NEW,
	NFT_OP_CHAIN_SET, /* another policy */
	NFT_OP_SET_NEW,
	NFT_OP_UNIT_ADD,
	NFT_OP_RULE_NEW, /* rule `at` */
	NFT_OP__MAX,
};

enum nft_place {
	NFT_APPEND,  /* at the end of the chain */
	NFT_PREPEND, /* at its start */
	NFT_AFTER,   /* the rule `handle` */
};

struct nft_op {
	const struct nft_table *table;
	const struct nft_node *node;
	uint64_t handle;
	uint32_t at;
	enum nft_place place;
	size_t msg; /* its message, once there is a batch */
};

struct nft_ops {
	struct nft_op *v;
	size_t n, room;
};

struct nft_change {
	struct nft_ruleset *have, *want;
	struct nft_ruleset *next; /* what the kernel has after it; handles of new rules missing; 0:
				     of a whole chain */
	struct nft_ops ops[NFT_OP__MAX];
	size_t n;
};

struct nft_change *nft_diff(struct nft_ruleset *have, struct nft_ruleset *want);
struct nft_change *nft_change_free(struct nft_change *c);

/* Adds the change to a batch. */
void nft_emit(struct nft_change *c, struct nfbatch *b);
/* What message msg of it does and for whom: for errors. */
void nft_describe(const struct nft_change *c, size_t msg, struct strbuf *ret);
/* "add 3 rules and 1 chain, delete 2 elements": the same for the same change. */
void nft_summary(const struct nft_change *c, struct strbuf *ret);

#endif
