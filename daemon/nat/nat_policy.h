/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what NAT does to the first packet of a connection, free of any plane: built from the
 * model, judged by nat_dnat and nat_snat, compiled to nftables by nat_nft*.c and to the port
 * pools of the fast plane. Later packets follow their connection.
 *
 * Order of evaluation; the first that matches decides:
 *
 *	destination (nat_dnat)                    source (nat_snat)
 *	1 outside static: L -> G, from inside     1 hairpin: inside to inside, after a translated
 *	2 port forward                              destination
 *	3 static host                             2 outside static: G -> L, from outside
 *	4 static network                          From inside to outside only:
 *	5 rotary list                             3 exemptions (... exempt)
 *	                                          4 port forward, host, network: the way back
 *	                                          5 policy lines by number
 *	                                          6 lists to pools, then to interfaces, by name
 *
 * Lines of 2-5 on the left hold for packets from inside, from outside and of the box itself: who
 * is inside and asks for the public address gets there too, and is seen there with a public
 * address as if he came from outside (hairpin, RFC 4787 REQ-9). An interface that is neither
 * inside nor outside takes no part. A packet that no line names goes on as it is. In a list a deny
 * means "not by this line": the next one is asked.
 *
 * NPTv6 is not among these: it is stateless, done to every packet next to the wire, before (in)
 * and after (out) all else: access lists and zones see inside addresses only. nat_npt_in comes
 * first of all, nat_npt_out last.
 *
 * Ports: of an address that many share each port belongs to one of three, so that an answer's port
 * alone tells who must take it: sockets of the box (local), NAT by the kernel, NAT by the fast
 * plane. Ports of forwards and reserved ones are carved out of all three. 1-10239 belong to nobody:
 * services of the box and forwards live there undisturbed.
 *
 *	0        10240            40960          57344      65535
 *	| services |     fast       |    kernel    |   local   |    the defaults
 *
 * Owns: a policy is immutable, reference-counted, owns all it points at but access lists, which
 * belong to the struct policy that holds it. Threads: rtrd's loop only.
 * Failure: nat_policy_build reports by check_error; the judges cannot fail.
 */
#ifndef RTR_NAT_POLICY_H
#define RTR_NAT_POLICY_H

#include "firewall/policy.h"

enum nat_side { NAT_NO_SIDE, NAT_INSIDE, NAT_OUTSIDE };

struct nat_iface {
	char name[IFNAMSIZ]; /* the kernel's name, as everywhere here */
	uint8_t side[2];     /* enum nat_side; [0] IPv4, [1] IPv6 */
	/* Global addresses, of the model and those that it has now, the one that the kernel
	 * translates to first. */
	size_t n_addrs[2];
	struct rtr_addr *addrs[2];
};

/* Addresses from lo to hi. */
struct nat_addrs {
	const char *name;
	struct rtr_addr lo, hi;
	uint8_t len; /* of the network that they are in */
	bool rotary, match_host, alias;
	uint16_t det_ports; /* deterministic: of the fast plane, for each host; else 0 */
	const struct rec *rec;
};

enum nat_static_kind { NAT_HOST, NAT_NETWORK, NAT_TCP, NAT_UDP, NAT_STATIC__MAX };

/* A static line: local <-> global. A forward to an interface's address has one for each address. */
struct nat_static {
	uint8_t kind; /* enum nat_static_kind */
	uint8_t len;  /* NAT_NETWORK: of both; else that of an address */
	struct rtr_addr local, global;
	uint16_t lport, gport, n_ports; /* NAT_TCP, NAT_UDP: first ones and their number */
	char ifname[IFNAMSIZ];          /* the interface whose address it is; "" written */
	bool alias;
	const struct rec *rec;
};

struct nat_outside {
	struct rtr_addr global, local;
	const struct rec *rec;
};

/* Sources lo to hi become dst and the following, one to one. */
struct nat_map_range {
	struct rtr_addr lo, hi, dst;
};

enum nat_port_user { NAT_PORTS_LOCAL, NAT_PORTS_KERNEL, NAT_PORTS_FAST, NAT_PORTS__MAX };

/* Who has which share of a deterministic pool (nat_det.c). */
struct nat_det {
	uint32_t n_hosts, per_addr;    /* hosts in all, of each address */
	uint32_t size[NAT_PORTS__MAX]; /* ports of a host */
	size_t n;
	struct nat_det_range {
		struct rtr_addr lo, hi; /* hosts ... */
		uint32_t first;         /* ... of this number and the following */
	} r[];
};

struct nat_dynamic {
	const struct pol_list *list;
	const struct nat_addrs *pool; /* NULL: the interface's address, or exempt */
	bool exempt, overload;
	uint16_t seq;            /* of a policy line, else 0 */
	char ifname[IFNAMSIZ];   /* leaving by this interface; "" any outside one */
	char loopback[IFNAMSIZ]; /* the address is that of this loopback; "" it is not */
	/* A pool without overload: who gets which address. */
	size_t n_map;
	struct nat_map_range *map;
	struct nat_det *det; /* of a deterministic pool */
	const struct rec *rec;
};

struct nat_rotary {
	const struct pol_list *list;
	const struct nat_addrs *pool;
	const struct rec *rec;
};

struct nat_npt {
	char ifname[IFNAMSIZ];
	struct rtr_prefix inside, outside; /* of one length */
	const struct rec *rec;
};

struct nat_family {
	size_t n_pools, n_dynamics, n_rotaries, n_statics, n_outsides;
	struct nat_addrs *pools;      /* by name */
	struct nat_dynamic *dynamics; /* in order of evaluation */
	struct nat_rotary *rotaries;  /* by name of the list */
	struct nat_static *statics;   /* by kind, global address, port */
	struct nat_static *by_local;  /* the same by kind, local address, port */
	struct nat_outside *outsides; /* by local address */
};

struct nat_policy {
	unsigned refs;
	struct nat_family f[2]; /* [0] IPv4, [1] IPv6 */
	size_t n_ifaces, n_npts;
	struct nat_iface *ifaces; /* by name: inside, outside, or named by a line */
	struct nat_npt *npts;
	bool eim; /* an inside endpoint has one external one, on the fast plane */
	bool eif; /* by which anybody outside may reach it */
	/* On the fast plane a host has ports by blocks of `block`, at most `blocks` of them; 0: no.
	 */
	uint16_t block, blocks;
	/* The range as configured, and what is left of it after carving out. */
	struct pol_port_range range[NAT_PORTS__MAX];
	struct pol_ports *ports[NAT_PORTS__MAX];
	struct pol_ports *carved;          /* of forwards and reserved */
	const struct pol_aliases *aliases; /* reference; the judge is asked by interfaces only */
	const struct rec *model;           /* reference */
};

struct nat_lookup {
	/* The access list of that name; NULL: there is none. */
	const struct pol_list *(*list)(void *arg, uint8_t family, const char *name);
	void *arg;
	const struct pol_aliases *aliases;
};

/* NULL: no NAT line in the model, or something was reported. Equal to old: a reference to old. */
const struct nat_policy *nat_policy_build(const struct rec *model, const struct nat_policy *old,
					  const struct nat_lookup *look, struct check *c);
/* False when interfaces have other addresses now: build it again. NULL is fresh. */
bool nat_policy_fresh(const struct nat_policy *p);
const struct nat_policy *nat_policy_ref(const struct nat_policy *p);
const struct nat_policy *nat_policy_unref(const struct nat_policy *p); /* NULL */

/* ---- the judge; p may be NULL ---- */

/* Destination translation of a packet as received; iif "" is the box itself. A rotary line's
 * lo..hi: one of them, in turn. */
struct pol_xlate nat_dnat(const struct nat_policy *p, const struct pol_packet *pkt,
			  const char *iif);
/* Source translation. pkt: after destination translation; orig: as received, NULL when its
 * destination was not translated. lo..hi of an overloaded pool: one, the same for each source.
 * port_lo..port_hi: the kernel plane's range less carve-outs; a source port that is in it is kept
 * while it is free. */
struct pol_xlate nat_snat(const struct nat_policy *p, const struct pol_packet *pkt,
			  const struct pol_packet *orig, const char *iif, const char *oif);
/* NPTv6 at the interface that a packet comes by (destination) or leaves by (source). */
struct pol_xlate nat_npt_in(const struct nat_policy *p, const struct pol_packet *pkt,
			    const char *iif);
struct pol_xlate nat_npt_out(const struct nat_policy *p, const struct pol_packet *pkt,
			     const char *oif);
/* What becomes of an address: of a range the first one. Ports are the caller's. */
void nat_xlate_addr(const struct pol_xlate *x, struct rtr_addr *a);
/* Does an xlate produce this address and port? For comparing with a live connection. */
bool nat_xlate_covers(const struct nat_policy *p, const struct pol_xlate *x,
		      const struct rtr_addr *addr, uint16_t port);

/* Did a static line make a connection whose first packet was pkt go to dst, or come from src? */
bool nat_is_static(const struct nat_policy *p, const struct pol_packet *pkt,
		   const struct rtr_addr *dst, const struct rtr_addr *src);

enum nat_side nat_side_of(const struct nat_policy *p, uint8_t family, const char *ifname);
const struct nat_iface *nat_iface_find(const struct nat_policy *p, const char *ifname);
/* The pool that holds an address; NULL: none. For figures of show ip nat statistics. */
const struct nat_addrs *nat_pool_of(const struct nat_policy *p, const struct rtr_addr *a);
/* What a host has of a deterministic pool. */
struct nat_share {
	struct rtr_addr addr;
	struct pol_port_range kernel, fast;
};
/* False: d has no such pool, or src no share of it. */
bool nat_det_find(const struct nat_policy *p, const struct nat_dynamic *d,
		  const struct rtr_addr *src, struct nat_share *ret);
/* Hosts that its pool has room for, UINT64_MAX when that is too small to tell. */
uint64_t nat_det_room(const struct nat_dynamic *d, const struct nat_det *t);
/* Of the host of that number, which there is. */
void nat_det_share(const struct nat_policy *p, const struct nat_dynamic *d, uint32_t host,
		   struct nat_share *ret);
/* The host that has the port of the address; false: nobody. */
bool nat_det_behind(const struct nat_policy *p, const struct nat_dynamic *d,
		    const struct rtr_addr *addr, uint16_t port, struct rtr_addr *ret);
/* Number of its addresses, UINT64_MAX when that is too small to tell. */
uint64_t nat_addrs_size(const struct nat_addrs *a);
/* Are the ports of the address shared: of overload, or with forwards? */
bool nat_is_shared(const struct nat_policy *p, const struct rtr_addr *a);
/* Is it one that something is translated to, by a line that is not an exemption? */
bool nat_is_global(const struct nat_policy *p, const struct rtr_addr *a);
/* Is it dropped before destination translation: to a shared address, of no connection, and invalid
 * or for a port of the fast plane? p may be NULL. */
bool nat_guarded(const struct nat_policy *p, const struct pol_packet *pkt);
/* Is the port (ICMP: identifier) in what is left of a range? */
bool nat_port_in(const struct nat_policy *p, enum nat_port_user who, uint16_t port);
/* Names a line to counters, apart from pol_ids, which have 32 bits. */
uint64_t nat_line_id(const struct rec *rec);

/* Has it lines that translate connections? Then its chains and sets are in the table. */
static inline bool nat_family_used(const struct nat_family *f)
{
	return f->n_dynamics || f->n_rotaries || f->n_statics || f->n_outsides;
}

static inline unsigned nat_fam(uint8_t family)
{
	return family == AF_INET6;
}

#endif
