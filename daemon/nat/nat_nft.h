/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the files that compile NAT to nftables share. nat_nft.c says which chains there are.
 * Names of chains and sets start with "nat_" and end in 4 or 6 where they are of one family; those
 * that hold a name of the operator's start with "nat.", and that part, as fwc_part spells it, ends
 * at the next dot: whatever he calls his lists and pools, no two are alike.
 * Registers are counted in words of four bytes: W(0) ... W(15).
 * Owns: what a build makes is kept by nat_nft.c and added again while the policy is the same.
 * Threads: rtrd's loop only. Failure: none here; the kernel judges at commit.
 */
#ifndef RTR_NAT_NFT_H
#define RTR_NAT_NFT_H

#include "id_table.h"
#include "nat/nat.h"
#include "nft/nft.h"
#include "nft/nft_expr.h"
#include "nft/nft_set.h"

#define W(n) ((uint32_t)NFT_REG32_00 + (n))

struct nat_kept {
	struct nft_chain **chains;
	struct nft_set **sets;
	char **names;             /* of the sets */
	struct id_table counters; /* of static lines, by nat_line_id */
	size_t n_chains, n_sets;
};

/* A build of one family. */
struct nat_build {
	const struct nat_policy *p;
	const struct nat_family *f;
	struct nat_kept *kept;
	uint8_t family, nfproto;
	char v; /* '4', '6' */
	unsigned fam;
	uint32_t size, words; /* of an address: bytes, registers */
};

/* ---- keeping (nat_nft.c) ---- */

struct nft_chain *nat_chain(struct nat_build *b, const char *name);
struct nft_chain *nat_base_chain(struct nat_build *b, const struct nft_chain_spec *spec);
void nat_put_set(struct nat_build *b, const char *name, struct nft_set *s);
bool nat_has_set(const struct nat_build *b, const char *name);
/* A map of the keys of another one, whose elements lead to the counters of their lines. */
struct nft_set *nat_hits_map(const struct nft_set_spec *of, const char *name);
/* For an element of such a map: its line's counter, which is made when it is first asked for. */
struct nft_data nat_hits_of(struct nat_build *b, const struct rec *rec);
/* "nat_<what>4" into buf; returns it. */
#define NAT_NAME_MAX 240
char *nat_name(const struct nat_build *b, char buf[NAT_NAME_MAX], const char *what);

/* What counters of the guards are read by. */
enum nat_guard_id {
	NAT_ID_FAST = 1, /* to a port of the fast plane, without a flow */
	NAT_ID_INVALID,  /* of no flow, to a shared address or through the box */
	NAT_ID_LEAK,     /* leaving with an inside source */
	NAT_ID_LOCAL,    /* of the box, from a port of the fast plane: moved */
	NAT_ID_HAIRPIN,
	NAT_ID__MAX
};
uint64_t nat_guard_id(enum nat_guard_id id);

/* ---- matches ---- */

void nat_load_src(const struct nat_build *b, struct nft_rule *r, uint32_t reg);
void nat_load_dst(const struct nat_build *b, struct nft_rule *r, uint32_t reg);
/* iifname or oifname (NFT_META_*) is in a set of names. */
void nat_ifname_in(struct nft_rule *r, uint32_t key, const char *set);

/* ---- lists (nat_nft_list.c) ---- */

struct nat_then {
	int32_t verdict; /* NFT_GOTO, NF_ACCEPT */
	const char *chain;
};
/* Adds to c: what the list permits has the verdict, all else goes on in c. oif "": any. key: names
 * the chain that it may need. */
void nat_list_rules(struct nat_build *b, struct nft_chain *c, const struct pol_list *l,
		    const char *oif, const char *key, const struct nat_then *then);

/* ---- ports and targets (nat_nft_snat.c) ---- */

struct nat_target {
	enum { NAT_T_MASQ, NAT_T_ADDRS, NAT_T_ORIG_DST, NAT_T_SAME } kind;
	struct rtr_addr lo, hi; /* NAT_T_ADDRS */
};
/* Rules that translate the source to the target with a port of the kernel's range. */
void nat_snat_rules(struct nat_build *b, struct nft_chain *c, const struct nat_target *t,
		    const struct rec *rec);
/* Sets that nat_snat_rules looks into; once, not a family's. */
void nat_port_sets(struct nat_build *b);

/* ---- the parts ---- */

void nat_static_sets(struct nat_build *b);                    /* nat_nft_static.c */
void nat_dst_rules(struct nat_build *b, struct nft_chain *c); /* forwards ... rotary */
void nat_src_static(struct nat_build *b, struct nft_chain *c, bool forwards);
/* The same questions, answered by a jump for what a static line would translate. */
void nat_src_static_guard(struct nat_build *b, struct nft_chain *c, const char *chain);
void nat_outside_rules(struct nat_build *b, struct nft_chain *dst, struct nft_chain *src);

#endif
