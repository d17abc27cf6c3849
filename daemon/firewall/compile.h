/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the policy as nftables, in the table of family inet; docs/design/policy.md gives hooks and
 * order. Chains of lists come from firewall/list_compile.h; those here are small and made anew with
 * every plan, compared by content.
 *
 *	fw-raw      prerouting, raw       martians, reverse path
 *	fw-notrack  prerouting, raw + 10  what is not tracked; fw-notrack-out its answers
 *	fw-quota    prerouting, mangle-10 connections of one source
 *	fw-in       prerouting, mangle    access list of the ingress interface
 *	fw-inspect  prerouting, mangle+1  connections whose server name is awaited
 *	fw-mss      forward, mangle       segment sizes
 *	fw-forward  forward, filter       zone pairs
 *	fw-out      forward, filter + 10  access list of the egress interface
 *	fw-syn      forward, filter + 20  handshakes of protected services
 *	fw-inspect-new  forward, filter+11  the same, first packets
 *	fw-input    input, filter         the box itself
 *	fw-output   output, filter        pairs with the source self
 *
 * A chain that would let everything through is not made: a plain router pays nothing.
 *
 * Owns: compiled lists, kept from plan to plan. Threads: rtrd's loop only. Failure: none here; the
 * kernel judges at commit.
 */
#ifndef RTR_FW_COMPILE_H
#define RTR_FW_COMPILE_H

#include "firewall/list_compile.h"
#include "firewall/policy.h"
#include "nft/nft.h"
#include "nft/nft_expr.h"
#include "nft/nft_set.h"

/* Counters of what is no line of a list; below the kernel's 32 bits of pol_id none of these. */
enum fw_counter {
	FW_CNT_MARTIAN,
	FW_CNT_URPF,
	FW_CNT_INVALID,
	FW_CNT_NO_PAIR, /* between zones without a pair */
	FW_CNT_BOX,     /* the box is closed */
	FW_CNT_IN_END,  /* end of an access list in, out */
	FW_CNT_OUT_END,
	FW_CNT_LIMIT,
	FW_CNT_HOST, /* above host-sessions */
	FW_CNT_NAME, /* connections whose server name was denied */
	FW_CNT__MAX
};
#define FW_CNT_ID(c) (0x100000000ull + (c))

struct fwc {
	struct nft_ruleset *rs;
	struct nft_table *t; /* of family inet */
	const struct policy *p;
	bool has_pass; /* some class passes without state */
};

#define FWC_NAME 160

/* ---- compile.c ---- */

/* A use of an access list: its chains are in the table after it. */
void fwc_list(struct fwc *f, const struct pol_list *l, const struct lc_use *use);
/* A rule that counts and drops. */
void fwc_drop(struct nft_chain *c, enum fw_counter why, const char *comment);
/* Rules that reject; the chain of them, made on first use. */
void fwc_add_reject(struct nft_chain *c);
const char *fwc_reject(struct fwc *f);
/* A map from interface names to verdicts. */
struct nft_set *fwc_iface_map(const char *name);
/* Elements for an interface, under each of its names. */
void fwc_iface_to(struct fwc *f, struct nft_set *s, const char *ifname, int32_t verdict,
		  const char *chain);
void fwc_iface_add(struct fwc *f, struct nft_set *s, const char *ifname);
void fwc_name_to(struct nft_set *s, const char *ifname, const struct nft_data *data); /* one name */
void fwc_iface_vmap(struct nft_chain *c, uint32_t meta, const char *map);
struct nft_chain *fwc_base(const char *name, uint32_t hook, int32_t prio, uint32_t policy);
/* Known connections pass; but the answers of a `pass` class go to the chain `again` (NULL: they
 * pass, too). */
void fwc_accept_known(struct fwc *f, struct nft_chain *c, const char *again);
/* Half of label word 3: the interface that a new connection comes by, or (high) leaves by. */
void fwc_label_iface(struct nft_chain *c, uint32_t meta, bool high);
/* Neighbour solicitations and advertisements pass. */
void fwc_accept_nd(struct nft_chain *c);
/* A name of the configuration in the name of a chain or set: what nft cannot read, and the dot that
 * separates, is spelt as "/2e". Returns buf. */
#define FWC_PART 112
char *fwc_part(const char *name, char buf[FWC_PART]);
/* Puts an id into a word of the label of a connection that is new. */
void fwc_label(struct nft_rule *r, int word, uint32_t id);

/* The policy that the last plan was made of; NULL: none yet. */
const struct policy *fw_planned(void);
void fw_compile_fini(void);

/* ---- compile_raw.c ---- */
void fwc_raw(struct fwc *f);

/* ---- compile_zone.c ---- */
void fwc_zones(struct fwc *f);

/* ---- compile_guard.c ---- */
void fwc_guards(struct fwc *f);
/* Handshakes of protected services go to the chain `judge` (NULL: pass), whatever their state. */
void fwc_syn_to(struct fwc *f, struct nft_chain *c, const char *judge);

/* ---- compile_tls.c ---- */

/* Packets of connections whose server name is awaited, to the queue. */
void fwc_inspect(struct fwc *f, const struct rec *want);
uint16_t fw_queue(void); /* its number: of this instance */

/* ---- compile_effects.c ---- */

/* Sets and objects that lines of a list need beside their chains. */
void fwc_effect_objects(struct fwc *f, const struct pol_list *l);
void fwc_effects(void *arg, struct nft_chain *c, const struct pol_rule *r);
void fwc_log(struct nft_chain *c, uint32_t id, const struct rec *rec, uint32_t lines_a_minute);
/* The NFLOG group of this instance. */
uint16_t fw_log_group(void);
/* Log lines a minute of one rule when its line names no rate. */
#define FW_LOG_RATE 60

#endif
