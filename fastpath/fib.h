/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: routes, next hops and links as workers read them: the kernel's own tables, mirrored by the
 * control thread (fib_ctl.h). Every question that the mirror cannot answer exactly as the kernel
 * would is answered FIB_V_KERNEL with a reason (eligible.h).
 *
 *	fib_lookup          which way: by ingress, addresses, flow hash, and what ip rules ask
 *	fib_resolve         the next hop has no MAC address yet: have the kernel find it
 *	fib_adj_used        traffic flows to a next hop: keep it alive
 *	fib_rpf             is this where the source may come from
 *	fib_icmp_way        which way an ICMP error takes, and from which address
 *	fib_touched         has the way to a destination changed since (route sweep)
 *	fib_link            MAC, MTU, port, sysctls of an interface
 *
 * An adjacency (rtr/adj.h) stands for (egress, next hop) and its index means the same until every
 * flow that may name it has been looked at again: see fib_ctl.h, fibctl_swept.
 *
 * How a worker parks: the verdict is FORWARD and adj_state is not ready -> keep the frame, call
 * fib_resolve once, and look it up again when fib_adj_gen() changed. FIB_ADJ_FAILED: the kernel got
 * no answer within its own limits (about 3 s); drop, or send host unreachable. FIB_ADJ_DEAD: the
 * egress is down.
 *
 * Owns: nothing. Threads: any that the caller's QSBR covers; results are copies and stay good,
 * pointers (fib_link) only until the next quiescent state. Failure: a verdict, never else.
 */
#ifndef FP_FIB_H
#define FP_FIB_H

#include "eligible.h"
#include "rtr/adj.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fib;

/* An address in network order; IPv4 in the first four bytes, the others zero. */
union fib_ip {
	uint8_t b[16];
	uint32_t v4_be;
	uint32_t w_be[4];
	uint64_t q[2];
};

enum fib_verdict {
	FIB_V_KERNEL, /* the kernel decides: reason. What a zeroed result says */
	FIB_V_FORWARD,
	FIB_V_LOCAL, /* for the box, broadcast and anycast included */
	FIB_V_BLACKHOLE,
	FIB_V_UNREACHABLE,
	FIB_V_PROHIBIT,
	FIB_V_NO_ROUTE,
	FIB_V__MAX
};

enum fib_adj_state {
	FIB_ADJ_NONE,       /* no entry yet */
	FIB_ADJ_INCOMPLETE, /* being resolved, or not asked for yet */
	FIB_ADJ_RESOLVED,   /* ready */
	FIB_ADJ_STALE,      /* ready; the kernel is to confirm it: fib_adj_used */
	FIB_ADJ_FAILED,     /* no answer */
	FIB_ADJ_DEAD,       /* the link is down or gone, or the index waits to be used again */
	FIB_ADJ__MAX
};

/* Static texts; "unknown" beyond the enums, never NULL. */
const char *fib_verdict_text(unsigned verdict);
const char *fib_adj_state_text(unsigned state);

static inline bool fib_adj_ready(unsigned state)
{
	return state == FIB_ADJ_RESOLVED || state == FIB_ADJ_STALE;
}

struct fib_key {
	union fib_ip src, dst;
	uint32_t iif;  /* ifindex that the packet came in by */
	uint32_t hash; /* of the flow, the same for all its packets: picks among equal paths */
	uint32_t mark; /* that policy gave the packet */
	uint16_t sport, dport; /* host order */
	uint8_t family;        /* AF_INET, AF_INET6 */
	uint8_t proto;
};

enum fib_res_flag {
	FIB_RF_CONNECTED = 1 << 0, /* the destination is its own next hop */
	FIB_RF_SAME_LINK = 1 << 1, /* leaves where it came in: the kernel may owe a redirect */
	FIB_RF_DEFAULT = 1 << 2,   /* by a default route */
};

struct fib_res {
	uint32_t adj; /* FORWARD: index of the adjacency; 0 = none yet */
	uint32_t oif; /* FORWARD: ifindex of the egress */
	uint8_t verdict;
	uint8_t reason;    /* enum elig */
	uint8_t adj_state; /* enum fib_adj_state */
	uint8_t flags;
	uint8_t nh_family; /* of nh; IPv4 may go by an IPv6 next hop */
	union fib_ip nh;   /* FORWARD */
};

void fib_lookup(const struct fib *f, const struct fib_key *k, struct fib_res *ret);

/* True when an IPsec policy may match. fib_lookup has asked it of the addresses in its key; where
 * they are translated, ask it of the others, too. */
bool fib_xfrm(const struct fib *f, const struct fib_key *k);

#define FIB_BURST 64
/* Up to FIB_BURST keys of one family; every access to memory overlaps with those of the others. */
void fib_lookup_burst(const struct fib *f, const struct fib_key *k, struct fib_res *ret,
		      unsigned n);

/* Makes the control thread have the kernel resolve a next hop; any thread. Asking again is cheap
 * and harmless. -EAGAIN: the queue is full, ask again with the next packet. */
int fib_resolve(const struct fib *f, uint32_t oif, uint8_t nh_family, const union fib_ip *nh);
/* Rises whenever a next hop became ready or failed. */
uint32_t fib_adj_gen(const struct fib *f);
enum fib_adj_state fib_adj_state(const struct fib *f, uint32_t adj);
/* Traffic went there; from any thread, as seldom as once a harvest of counters. */
void fib_adj_used(const struct fib *f, uint32_t adj);

struct fib_adj_info {
	union fib_ip nh;
	uint32_t oif;
	uint8_t nh_family, state;
};
bool fib_adj_info(const struct fib *f, uint32_t adj, struct fib_adj_info *ret);

enum fib_rpf_mode {
	FIB_RPF_SYSCTL, /* as rp_filter of the ingress says (IPv6: no test) */
	FIB_RPF_STRICT, /* verify unicast source reachable-via rx */
	FIB_RPF_LOOSE,  /* verify unicast source reachable-via any */
	FIB_RPF_ALLOW_DEFAULT = 0x10,
};

enum fib_rpf_verdict {
	FIB_RPF_PASS,
	FIB_RPF_FAIL,
	FIB_RPF_MARTIAN, /* the source is an address of the box, or none that a host can have */
	FIB_RPF_KERNEL,  /* the kernel decides */
};

/* May k->src come in by k->iif? oif: the egress of the packet, 0 for local ones. */
enum fib_rpf_verdict fib_rpf(const struct fib *f, const struct fib_key *k, uint32_t oif,
			     unsigned mode);

/* The address and the way that the kernel would send an ICMP error by, about a packet as it came
 * in: both are those of a packet of the box's own, to its sender. *ret is no FORWARD when the
 * egress is the kernel's. False: it would send none, or it cannot be told what. */
bool fib_icmp_way(const struct fib *f, const struct fib_key *about, union fib_ip *ret_src,
		  struct fib_res *ret);

/*
 * Route sweep. A pass over the flows begins with now = fib_seq(f); a flow whose destination is
 * fib_touched since the seq of the pass before is looked up again. A change that happens during the
 * pass counts for the next one. Hashed by /16 (IPv4) and /32 (IPv6): may say yes without a cause.
 */
uint32_t fib_seq(const struct fib *f);
bool fib_touched(const struct fib *f, uint8_t family, const union fib_ip *dst, uint32_t since);

#define FIB_NO_SLOT 0xffffffffu

struct fib_link {
	uint32_t ifindex;
	uint32_t slot; /* of its port; a VLAN has one of its own */
	uint32_t mtu, mtu6;
	uint32_t master;    /* ifindex of bridge, bond, VRF; 0 = none */
	uint32_t vrf_table; /* table of the VRF that it is in; 0 = none */
	char name[16];
	uint8_t mac[6];
	uint8_t up; /* administratively, and has carrier */
	uint8_t admin_up;
	uint8_t ignore_linkdown; /* sysctl, bit 0 IPv4, bit 1 IPv6: no carrier, no route */
	uint8_t reason;    /* enum elig: why packets of it are the kernel's, either direction */
	uint8_t forward4;  /* sysctls: forwarding */
	uint8_t forward6;  /* all/forwarding, or force_forwarding of this one */
	uint8_t rp_filter; /* the greater of all's and this one's */
	uint8_t send_redirects, accept_local, bc_forwarding;
	uint16_t vlan; /* 802.1Q, by the link `parent`; 0: none */
	uint32_t parent;
};

/* The device of the VRF that it is in; 0: none. */
static inline uint32_t fib_link_vrf(const struct fib_link *l)
{
	return l && l->vrf_table ? l->master : 0;
}

/* NULL when there is none. */
const struct fib_link *fib_link(const struct fib *f, uint32_t ifindex);

#endif
