/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: our part of nftables as plain data: a ruleset of tables, chains, sets and objects that
 * several domains fill (NFT_SOURCE) and one domain, "nft", brings into the kernel, all of it in
 * one atomic batch. Expressions of a rule: nft/nft_expr.h; elements of a set: nft/nft_set.h.
 *
 *	static void build(struct nft_ruleset *rs, const struct rec *want)
 *	{
 *		struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
 *		struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){ .name = "transit",
 *			.type = "filter", .hook = NF_INET_FORWARD, .policy = NF_DROP });
 *		struct nft_rule *r = nft_rule_new(id, rec, "access-list 101 seq 10");
 *
 *		nft_ct_state(r, NFT_CT_ESTABLISHED);
 *		nft_counter(r);
 *		nft_verdict(r, NF_ACCEPT);
 *		nft_chain_add(c, r);
 *		nft_table_add_chain(t, c);
 *	}
 *	NFT_SOURCE(firewall, 10, build);
 *
 * Cost: rules, chains and sets are reference-counted and never change once they are in a ruleset
 * (sealed). A source that keeps the rule of a configuration line, or the whole chain of a list
 * that did not change, and adds it again, makes the next commit cost the change only: what is
 * equal by pointer is not looked at. What was built anew and is equal by content costs its
 * comparison and is not written either.
 *
 * Identity: a rule carries in its userdata a comment (nft list shows it), `id` (nft/nft_count.h
 * reads counters back by it) and a digest of its content, which is how a restart knows it again.
 *
 * Owns: see each call. Threads: rtrd's loop only. Failure: none here; what the kernel refuses is
 * told at commit, with the record of the rule, set or chain at fault.
 */
#ifndef RTR_NFT_H
#define RTR_NFT_H

#include "schema/model.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

struct nft_ruleset;
struct nft_table;
struct nft_chain;
struct nft_rule;
struct nft_set; /* nft/nft_set.h */
struct nft_obj; /* below */

/* ---- who fills the ruleset ---- */

struct nft_source {
	const char *name;
	int order; /* lower ones first: what they made is found by nft_table_set and its like */
	/* Adds what the model wants. Called for every plan, so what is kept must be found fast. */
	void (*build)(struct nft_ruleset *rs, const struct rec *want);
};

#define NFT_SOURCE(id, order_, fn)                                                                 \
	static const struct nft_source nft_source_##id = { #id, order_, fn };                      \
	static const struct nft_source *const nft_source_entry_##id                                \
		__attribute__((used, section("rtr_nft_sources"))) = &nft_source_##id

/* "rtr_<instance>": the name of our table in every family. All that a table of this name holds is
 * ours; what is in it and not in the ruleset is deleted. */
const char *nft_table_name(void);

/* ---- ruleset and tables ---- */

/* The table, made on first use. `name` is nft_table_name(), or that of a table shared with others
 * ("mangle", which the NPTv6 targets insist on): there only chains, sets and objects whose names
 * start with nft_table_name() and a slash are ours. */
struct nft_table *nft_ruleset_table(struct nft_ruleset *rs, uint8_t family, const char *name);

/* Each takes the caller's reference and seals. A second one of the same name in a table is a
 * mistake of the sources and aborts. */
void nft_table_add_chain(struct nft_table *t, struct nft_chain *c);
void nft_table_add_set(struct nft_table *t, struct nft_set *s);
void nft_table_add_obj(struct nft_table *t, struct nft_obj *o);
/* NULL when there is none (yet): sources share sets by name. */
const struct nft_chain *nft_table_chain(const struct nft_table *t, const char *name);
const struct nft_set *nft_table_set(const struct nft_table *t, const char *name);
const struct nft_obj *nft_table_obj(const struct nft_table *t, const char *name);

/* ---- chains ---- */

struct nft_chain_spec {
	const char *name;
	const char *type;        /* "filter", "nat", "route"; NULL: not a base chain */
	uint32_t hook;           /* NF_INET_*, NF_NETDEV_INGRESS, ... */
	int32_t prio;            /* NF_IP_PRI_* */
	uint32_t policy;         /* NF_ACCEPT, NF_DROP */
	const char *const *devs; /* family netdev, inet ingress */
	size_t n_devs;
	const struct rec *rec; /* may be NULL */
	/* Of few rules, none of which counts by itself: when one changes all are made anew, so
	 * that the kernel need not tell the handle of each, which costs as much as a rule does. */
	bool whole;
};

struct nft_chain *nft_chain_new(const struct nft_chain_spec *spec);
/* Appends; takes the caller's reference and seals the rule. */
void nft_chain_add(struct nft_chain *c, struct nft_rule *r);
struct nft_chain *nft_chain_ref(const struct nft_chain *c);
struct nft_chain *nft_chain_unref(struct nft_chain *c); /* NULL */
size_t nft_chain_len(const struct nft_chain *c);

/* ---- rules ---- */

/* id: what counters are read back by, 0 for none; several rules may share one, their counters are
 * then added up. rec and comment (at most NFT_COMMENT_MAX bytes, cut) may be NULL. */
struct nft_rule *nft_rule_new(uint64_t id, const struct rec *rec, const char *comment);
struct nft_rule *nft_rule_ref(const struct nft_rule *r);
struct nft_rule *nft_rule_unref(struct nft_rule *r); /* NULL */
#define NFT_COMMENT_MAX 127

/* ---- stateful objects ---- */
/* Not connlimit: nft 1.0.6 aborts when it lists one; use the expression. */

/* A named counter: outlives the rules that use it, so that a rule may be split, moved or edited
 * without losing its count. id as for rules. */
struct nft_obj *nft_obj_counter(const char *name, uint64_t id);
struct nft_obj *nft_obj_quota(const char *name, uint64_t id, uint64_t bytes, bool over);
struct nft_obj *nft_obj_limit(const char *name, uint64_t rate, uint64_t unit_sec, uint32_t burst,
			      uint32_t type /* NFT_LIMIT_PKT_BYTES */, bool over);
/* l3: NFPROTO_*, of the connection; l4: IPPROTO_*. */
struct nft_obj *nft_obj_helper(const char *name, const char *helper, uint16_t l3, uint8_t l4);
/* sec[i]: timeout of state i (enum ctattr_timeout_tcp - 1 ...), 0 = the system's. */
struct nft_obj *nft_obj_timeout(const char *name, uint16_t l3, uint8_t l4, const uint32_t *sec,
				size_t n);
struct nft_obj *nft_obj_expect(const char *name, uint16_t l3, uint8_t l4, uint16_t dport,
			       uint32_t timeout_ms, uint8_t size);
struct nft_obj *nft_obj_synproxy(const char *name, uint16_t mss, uint8_t wscale, uint32_t flags);
struct nft_obj *nft_obj_ref(const struct nft_obj *o);
struct nft_obj *nft_obj_unref(struct nft_obj *o); /* NULL */
/* Whose line it is, for errors; before it is in a table. */
void nft_obj_set_rec(struct nft_obj *o, const struct rec *rec);

/* ---- what this kernel can do ---- */

/* Answers from one batch in a table that never comes to be; asked once. What cannot be asked
 * (rtrd -t: c->offline) counts as there. */
#define NFT_CAPS(X)                                                                                \
	X(QUEUE, "queue", "packets to user space by the queue expression")                         \
	X(XT_NFQUEUE, "xt-nfqueue", "packets to user space by the NFQUEUE target")                 \
	X(FLOWTABLE, "flowtable", "flow offload")                                                  \
	X(SYNPROXY, "synproxy", "SYN proxy")                                                       \
	X(XT_SYNPROXY6, "xt-synproxy6", "SYN proxy of IPv6 by the SYNPROXY target")                \
	X(TPROXY, "tproxy", "transparent proxy")                                                   \
	X(CONNLIMIT, "connlimit", "limit of connections")                                          \
	X(FIB, "fib", "route lookup in rules (reverse path)")                                      \
	X(OSF, "osf", "passive OS fingerprint")                                                    \
	X(SOCKET, "socket", "socket lookup")                                                       \
	X(NPT, "npt", "NPTv6 by the SNPT and DNPT targets")                                        \
	X(CT_HELPER, "ct-helper", "application helpers (FTP)")                                     \
	X(CT_TIMEOUT, "ct-timeout", "timeouts for each service")                                   \
	X(CT_EXPECT, "ct-expectation", "expected connections")                                     \
	X(NOTRACK, "notrack", "traffic without state")                                             \
	X(NAT, "nat", "address translation")                                                       \
	X(MASQ, "masquerade", "translation to the address of the interface")                       \
	X(LOG, "log", "logging of packets")                                                        \
	X(QUOTA, "quota", "quotas of bytes")                                                       \
	X(DUP, "dup", "copies of packets")                                                         \
	X(TCPOPT, "tcp-option", "rewriting of TCP options (MSS)")                                  \
	X(CONCAT_RANGES, "concat-ranges", "ranges in sets of several fields")                      \
	X(NETDEV, "netdev", "chains at the ingress of an interface")                               \
	X(NETDEV_EGRESS, "netdev-egress", "chains at the egress of an interface")                  \
	X(BRIDGE, "bridge", "chains in bridges")                                                   \
	X(SECMARK, "secmark", "one rule tells another which line matched")

enum nft_cap {
#define X(id, name, help) NFT_CAP_##id,
	NFT_CAPS(X)
#undef X
		NFT_CAP__MAX
};

bool nft_cap(enum nft_cap cap);
/* Its name, and the kernel's answer as errno (0: there). */
const char *nft_cap_name(enum nft_cap cap);
const char *nft_cap_help(enum nft_cap cap);
int nft_cap_error(enum nft_cap cap);

#endif
