/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the published form of the mirror: what fib_lookup.c reads and fib_ctl's files write.
 *
 *	rules -> table -> LPM -> path -> hop -> adjacency
 *	                              \-> connected: hash of (egress, address) -> adjacency
 *
 * A path is a set of next hops (or a verdict) that any number of routes share: the LPM's next hop
 * is its number. A link that goes down compiles its paths anew, never its routes.
 *
 * Who frees what: rules, paths and link nodes are immutable once published, replaced by one store
 * of a pointer, and freed by the control thread a grace period later (fib_defer.h). LPM pieces
 * likewise (lpm_rib.h). Tables, chunks of the path array, adjacency arrays live until fibctl_free.
 * An adjacency's index is used again after a grace period and a pass over all flows.
 *
 * Threads: the control thread writes; readers under QSBR. Failure: none.
 */
#ifndef FP_FIB_PRIV_H
#define FP_FIB_PRIV_H

#include "fib.h"
#include "lpm4.h"
#include "lpm6.h"
#include "util.h"

#define FIB_FAMILIES 2 /* 0 IPv4, 1 IPv6 */

static inline unsigned fib_fam(uint8_t family)
{
	return family == 10; /* AF_INET6 of Linux; keeps socket headers out of the hot path */
}

/* What an LPM answers: a path's number and what is to be known of the prefix. */
#define FIB_NH_DEFAULT   0x40000000u /* the prefix is the default route */
#define FIB_NH_PATH_MASK 0x00ffffffu

#define FIB_PATH_CHUNK 4096u
#define FIB_N_CHUNKS   256u /* 1M paths; full tables have thousands */

/* Hash buckets of a path with several live hops. A power of two; 1,024 of one byte keep the shares
 * within 3 % of the weights (standard deviation of rendezvous hashing). */
#define FIB_BUCKETS  1024u
#define FIB_MAX_HOPS 255u

/* Beside enum fib_verdict: the next rule decides. */
#define FIB_V_THROW FIB_V__MAX

struct fib_hop {
	union fib_ip nh; /* connected: zero */
	uint32_t oif;
	uint32_t adj;      /* 0: connected, the destination is the next hop; or no room for one */
	uint8_t nh_family; /* 0: connected */
	uint8_t reason;    /* enum elig: the egress is the kernel's */
	uint8_t dead;
	uint8_t weight; /* as in the kernel, 0 = 1 */
};

struct fib_path {
	uint8_t verdict;
	uint8_t reason;
	uint16_t n_hops;
	uint16_t only; /* the hop to take when bucket is NULL */
	uint8_t scope; /* RT_SCOPE_ */
	const uint8_t *bucket;
	union fib_ip prefsrc; /* zero: none */
	struct fib_hop hop[];
};

struct fib_table {
	uint32_t id;
	uint8_t family;
	struct fib_table *next; /* cp:own */
	union {
		struct lpm4 *t4;
		struct lpm6 *t6;
	};
};

enum fib_rule_action {
	FIB_RA_LOOKUP,
	FIB_RA_L3MDEV, /* the table of the ingress's VRF */
	FIB_RA_GOTO,
	FIB_RA_NOP,
	FIB_RA_VERDICT,
};

struct fib_rule {
	uint32_t pref;
	union fib_ip src, dst;
	uint8_t src_len, dst_len;
	uint8_t action;
	uint8_t verdict;
	uint8_t invert;
	uint8_t unmodelled;       /* has a selector that we cannot test: a match is the kernel's */
	uint8_t suppress_default; /* a default route does not count */
	uint8_t proto;
	uint8_t never; /* a selector that no forwarded packet meets: oif, or a link that is gone */
	uint32_t iif;
	uint32_t mark, mark_mask;
	uint16_t sport[2], dport[2]; /* first and last; 0,0 = any */
	uint32_t target;             /* GOTO: index of the rule */
	const struct fib_table *table;
};

struct fib_rules {
	uint32_t n;
	uint8_t plain; /* unconditional lookups only */
	struct fib_rule rule[];
};

/* Selectors of IPsec policies: what matches one is the kernel's. */
struct fib_xfrm_sel {
	union fib_ip src, dst;
	uint16_t sport, sport_mask, dport, dport_mask;
	uint8_t src_len, dst_len;
	uint8_t family; /* 0 = both */
	uint8_t proto;
};

struct fib_xfrm {
	uint32_t n;
	uint8_t all; /* more than can be told, or they could not be read */
	struct fib_xfrm_sel sel[];
};

struct fib_addr {
	union fib_ip ip;
	uint8_t len, family, scope;
	uint8_t secondary; /* IPv4 */
	uint8_t deprecated, temporary;
	uint8_t unusable; /* tentative or a duplicate */
};

struct fib_link_node {
	struct fib_link l;
	struct fib_link_node *next; /* rcu */
	uint32_t n_addr;
	struct fib_addr addr[];
};

#define FIB_LINK_BUCKETS 1024u

/* The part of an adjacency that stages do not need. */
struct fib_adj {
	union fib_ip nh;
	uint32_t oif;
	uint32_t next; /* rcu: chain of the hash */
	uint8_t nh_family;
	uint8_t state;  /* cp:w wk:r */
	uint8_t kernel; /* cp:own from here: NUD_ state, 0 = no entry */
	uint8_t free, epoch, mac[6];
	uint8_t unanswered; /* failed without ever having answered */
	uint8_t gone;       /* likewise, and the kernel has forgotten it since */
	uint32_t n_paths;   /* that name it */
	uint32_t asked;     /* seconds of the last request to the kernel, 0 = none */
	uint32_t next_free;
	uint32_t freed; /* pass over the flows that must end before it is used again */
};

#define FIB_REQ_RING 1024u

/* A bounded queue of many writers (Vyukov's): seq says whose turn the cell is. */
struct fib_req {
	uint32_t seq;
	uint32_t oif;
	union fib_ip nh;
	uint8_t nh_family;
};

struct fib {
	const struct fib_rules *rules[FIB_FAMILIES]; /* rcu */
	const struct fib_xfrm *xfrm;                 /* rcu; NULL: no policy */
	struct fib_path **path[FIB_N_CHUNKS];        /* rcu, chunk and pointer */
	struct fib_adj *adj;
	uint32_t *adj_hash; /* rcu */
	uint8_t *adj_used;  /* any:w cp:rw */
	uint32_t n_adj, adj_hash_mask;
	uint8_t ready; /* cp:w */
	uint8_t global_reason;
	uint64_t adj_seed;
	struct fib_link_node *link[FIB_LINK_BUCKETS]; /* rcu */
	uint32_t *touched[FIB_FAMILIES];              /* cp:w; 65,536 each */
	uint32_t seq RTR_CACHE_ALIGNED;               /* cp:w */
	uint32_t adj_gen;                             /* cp:w */
	int wake_fd;
	struct fib_req *ring;
	uint32_t ring_head RTR_CACHE_ALIGNED; /* wk:rw */
	uint32_t ring_tail RTR_CACHE_ALIGNED; /* cp:own */
};

static inline uint32_t fib_touch_bucket(unsigned fam, const union fib_ip *dst)
{
	if (!fam)
		return (uint32_t)dst->b[0] << 8 | dst->b[1];
	return (uint32_t)(__builtin_bswap32(dst->w_be[0]) * 2654435761u) >> 16;
}

static inline bool fib_ip_eq(const union fib_ip *a, const union fib_ip *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

uint32_t fib_adj_bucket(const struct fib *f, uint32_t oif, uint8_t nh_family,
			const union fib_ip *nh);
/* 0 = none. */
uint32_t fib_adj_find(const struct fib *f, uint32_t oif, uint8_t nh_family, const union fib_ip *nh);
const struct fib_path *fib_path_get(const struct fib *f, uint32_t nh);
const struct fib_link_node *fib_link_node(const struct fib *f, uint32_t ifindex);
/* The one of its hops that the packet takes; where that leads. */
const struct fib_hop *fib_hop_of(const struct fib_path *p, const struct fib_key *k);
void fib_take_hop(const struct fib *f, const struct fib_key *k, const struct fib_path *p,
		  uint32_t nh, struct fib_res *ret);
/* The path that the rules lead to, NULL with *ret_verdict set when they end otherwise. member: in
 * whose VRF it is looked up; NULL or in none: outside of VRFs. */
const struct fib_path *fib_walk_rules(const struct fib *f, const struct fib_key *k,
				      const struct fib_link *member, uint8_t *ret_verdict,
				      uint8_t *ret_reason, uint32_t *ret_nh);

#endif
