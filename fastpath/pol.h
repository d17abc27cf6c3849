/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the policy on the fast plane: what becomes of the first packet of a flow, as
 * daemon/firewall/policy.h says it and docs/design/policy.md orders it. Made of a blob that rtrd
 * compiled (rtr/fastpol.h) after the same model as the kernel's ruleset.
 *
 *	fp_pol_in    ingress: martians, access list `in`, destination translation
 *	(route)      the caller asks the mirror with st->dst
 *	fp_pol_out   zone pair, access list `out`, source translation
 *
 * Both planes agree, or the kernel does it alone: whatever is not a plain permit or a silent deny -
 * a log, a limit, a reject, a helper, a server name, a pass class, reverse path tests, rotary
 * pools, NPTv6 - is FP_POL_KERNEL. Then the packet goes to the kernel as it came in, and its flow
 *is the kernel's.
 *
 * Owns: a policy is immutable but for its counters, which each worker has for itself.
 * Threads: made and freed by the control thread; read by workers and the keeper under QSBR.
 * Failure: fp_pol_new says why in text; a verdict cannot fail.
 */
#ifndef FP_POL_H
#define FP_POL_H

#include "util.h"

struct fp_pol;
struct fp_nat;

enum fp_pol_act {
	FP_POL_PERMIT,
	FP_POL_DROP,   /* silently; counted with its line */
	FP_POL_KERNEL, /* its flow is the kernel's */
};

/* The first packet of a flow; addresses and ports as on the wire, IPv4 in the first four bytes. An
 * ICMP query never gets here: it is the kernel's. */
struct fp_pol_key {
	uint8_t family, proto;
	uint8_t tcp_flags, dscp, ttl;
	/* Judged again, long after its first packet, as with struct pol_past of the daemon: lines
	 * that ask for DSCP, TTL, length or TCP flags count as not met; what is done with first
	 * packets only (log, limits, helpers, SYN proxy) is over; a pass class is a permit, a
	 * reject a drop. */
	bool past;
	/* past: the policy that it was judged by last (NULL: not known, the same), and its ids
	 * there: the line that admitted it is met when it asks for the same as then. */
	const struct fp_pol *old;
	uint32_t old_id[3];
	uint16_t len; /* of the IP packet */
	uint16_t sport_be, dport_be;
	uint8_t src[16], dst[16];
	unsigned ifindex; /* that it came in by */
	/* The VRF of that, 0: none. Behind its first hook the kernel takes packets of a VRF for
	 * packets that came by the VRF. */
	unsigned vrf;
	/* Who is behind the destination by an endpoint-independent mapping: fp_pol_mapped. */
	bool mapped;
	uint16_t inside_port_be;
	uint8_t inside[16];
};

enum fp_pol_xlate_kind {
	FP_XL_NONE,
	FP_XL_EXACT, /* this address; port_be 0: kept */
	FP_XL_POOL,  /* an address and port of fp_pol_pools()[pool] */
};

struct fp_pol_xlate {
	uint8_t kind; /* enum fp_pol_xlate_kind */
	uint16_t port_be;
	uint32_t pool;
	uint32_t host; /* of a pool with shares: its number */
	uint8_t addr[16];
};

#define FP_POL_HITS 16 /* lines that one packet may count at; beyond it is the kernel's */

struct fp_pol_state {
	/* After fp_pol_in: destination as the route and the stages behind it see it. */
	uint8_t dst[16];
	uint16_t dport_be;
	struct fp_pol_xlate dnat, snat;
	uint32_t id[3]; /* pol_id of `in`, pair or class, `out`; 0: none (labels of conntrack) */
	uint8_t drop;   /* enum rtr_drop, of FP_POL_DROP */
	uint16_t len;   /* of the packet */
	uint8_t n_hits;
	uint32_t hit[FP_POL_HITS]; /* counters: fp_pol_count */
};

struct nat_ports {
	uint16_t lo, hi; /* inclusive */
};

/* Addresses that many share, with the ports that are the fast plane's there. */
struct fp_pol_pool {
	/* Hash of the addresses, ports and shares: equal over commits while these are. */
	uint64_t identity;
	uint8_t family;
	uint8_t lo[16], hi[16]; /* inclusive, as on the wire */
	unsigned n_fast, n_carve;
	const struct nat_ports *fast, *carve;
	/* Each host has blocks of so many ports for itself (0: all have all): one that its number
	 * says, or as many as `blocks` in turn. */
	uint16_t share, blocks;
	bool eim; /* an inside endpoint has one external one, for all destinations */
};

/* The blob is copied. like: NULL, or a policy with which it shares the classifiers of lists that
 * are the same. text: of FASTPATH_TEXT bytes. -EINVAL, -E2BIG, -ENOMEM. Any thread, if nobody frees
 * `like` meanwhile, or another one that shares with it. */
int fp_pol_new(const void *blob, size_t len, unsigned n_workers, const struct fp_pol *like,
	       struct fp_pol **ret, char *text);
struct fp_pol *fp_pol_free(struct fp_pol *p);
/* Before it is published: the generation of its flows. */
void fp_pol_renumber(struct fp_pol *p, uint16_t generation);
uint16_t fp_pol_generation(const struct fp_pol *p);

/* Flows are tracked: some list, zone or NAT line needs connections. Else flows are routes. */
bool fp_pol_stateful(const struct fp_pol *p);

/* The kernel may expect connections that the policy would not let in: those of helpers. */
bool fp_pol_expects(const struct fp_pol *p);
/* Connections that a source may have here; 0: any number. */
uint32_t fp_pol_host_max(const struct fp_pol *p);

enum fp_pol_act fp_pol_in(const struct fp_pol *p, const struct fp_pol_key *k,
			  struct fp_pol_state *ret);
/* Before it: may the packet come in by a mapping of its destination, if there is one? Then the
 * caller looks for it (nat_mapping.h), and fills k->mapped and what follows. */
bool fp_pol_mapped(const struct fp_pol *p, const struct fp_pol_key *k);
/* oif: of the route to st->dst. */
enum fp_pol_act fp_pol_out(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif,
			   struct fp_pol_state *st);
/* Tests of the source that each packet has to pass, also one of a known connection (where it came
 * by another interface than before) or about one. DROP: *ret_drop; KERNEL: the interface has
 * reverse path tests, which only the kernel makes. */
enum fp_pol_act fp_pol_source(const struct fp_pol *p, const struct fp_pol_key *k,
			      uint8_t *ret_drop);
/* Would the kernel drop the packet, which leaves as it is, because its source is one that is
 * translated from inside to outside? */
bool fp_pol_leaks(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif);
/* `adjust-mss` of a SYN's two interfaces, each of which may have one: all of it holds. */
struct fp_pol_mss {
	uint16_t max; /* 0: none */
	bool path;    /* no more than fits both ways of the connection */
};
/* iif: 0 for one in a VRF, whose packets do not come by it as these see it. */
struct fp_pol_mss fp_pol_mss(const struct fp_pol *p, uint8_t family, unsigned iif, unsigned oif);
/* One more connection of these lines, or one more packet that they drop: told to rtrd as theirs.
 * Not of a packet that is the kernel's: it counts there. */
void fp_pol_count(struct fp_pol *p, unsigned worker, const struct fp_pol_state *st,
		  uint64_t now_ns);
/* What counter i has; returns the id of its line or class. */
unsigned fp_pol_n_counters(const struct fp_pol *p);
struct fp_pol_hits {
	uint64_t n, bytes, last_ns;
};
uint64_t fp_pol_counter(const struct fp_pol *p, unsigned i, struct fp_pol_hits *ret);

/* An array. */
unsigned fp_pol_pools(const struct fp_pol *p, const struct fp_pol_pool **ret);
/* The same as fp_nat_insert wants them (nat_way.h). */
struct fp_nat *fp_pol_nat(const struct fp_pol *p);

/* p goes on with what lines of both counted in old, which nobody uses any more. The control
 * thread's, as fp_pol_counter is. */
void fp_pol_inherit(struct fp_pol *p, const struct fp_pol *old);

/* Packets to NAT addresses that a worker shall have although the route ends here: the express
 * lane's maps are filled from these, and from the pools. */
enum fp_pol_claim_kind {
	FP_POL_CLAIM_PORTS,  /* of forwards */
	FP_POL_CLAIM_ALL,    /* static hosts and networks */
	FP_POL_CLAIM_ERRORS, /* errors and fragments only: sources are translated to these */
};
struct fp_pol_claim {
	uint8_t family, kind; /* enum fp_pol_claim_kind */
	uint8_t proto;        /* of PORTS */
	uint8_t first[16], last[16];
	uint16_t lo, hi; /* ports, host order */
};
unsigned fp_pol_claims(const struct fp_pol *p, const struct fp_pol_claim **ret);

#endif
