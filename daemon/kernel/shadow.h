/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the kernel as it is: all links, all addresses, and those routes and neighbours that are
 * ours. Filled by dumps, kept fresh by events; it never holds what we wish, only what the kernel
 * told.
 *
 * Marks: everything that rtr makes carries a sign that it is ours, by instance, so that a restart
 * finds it and what others made is left alone.
 *	routes, addresses  rtm_protocol, IFA_PROTO, NDA_PROTOCOL: 98 for the instance "main", for
 *	and neighbours     others 200 + hash(name) % 50 (no routing daemon uses 200-249). rtrd takes
 *away what carries it and is not in the model, so nobody else may use it: rtr-vrrpd's virtual
 *addresses have a number of their own links              altname "rtr.<instance>.<ifname>"; and,
 *from the moment of creation, the link group 0x72740000 + that number (an altname cannot be given
 *in the creating message: kill -9 between the two must leave no orphan)
 *
 * Foreign routes and neighbours never wake us: the event socket's filter runs in the kernel and
 * passes such messages of our own protocol, and foreign NLM_F_REPLACE ones of routes whose metric
 * could be ours.
 * A lost event (ENOBUFS) or an interrupted dump (NLM_F_DUMP_INTR) means a resync: everything is
 * dumped again, at most once in SHADOW_RESYNC_MS, until a dump is whole.
 *
 * Owns: all that it returns; pointers are valid until the loop's next turn or the next
 * shadow_drain. Threads: rtrd's loop only. Failure: see shadow_init; later ones are counted and
 * retried.
 */
#ifndef RTR_SHADOW_H
#define RTR_SHADOW_H

#include "kernel/rule.h"
#include "prefix.h"

#include <event2/event.h>
#include <net/if.h>

#define SHADOW_RESYNC_MS 200

struct shadow_addr {
	struct rtr_prefix addr; /* local address with the length of its subnet */
	struct rtr_addr peer;   /* point-to-point: the other end; family 0 = none */
	uint32_t flags;         /* IFA_F_* */
	uint8_t scope;
	uint8_t proto; /* IFA_PROTO */
	bool ours;
	uint32_t seen;
};

struct shadow_link {
	int ifindex;
	char name[IFNAMSIZ];
	char kind[16];     /* "bridge", "vlan", "veth", ...; "" for hardware */
	uint32_t flags;    /* IFF_* */
	uint16_t arptype;  /* ARPHRD_* */
	uint8_t operstate; /* IF_OPER_* */
	bool carrier;
	uint32_t mtu, min_mtu, max_mtu;
	uint8_t mac[6], perm_mac[6];
	bool has_mac, has_perm_mac;
	int master;       /* ifindex, 0 = none */
	int parent;       /* IFLA_LINK in this namespace, 0 = none */
	uint16_t vlan_id; /* kind vlan */
	uint8_t *info;    /* IFLA_INFO_DATA as told, for kinds that we make; NULL = none */
	size_t info_size;
	uint32_t group;
	char *alias; /* NULL = none */
	char **altnames;
	size_t n_altnames;
	bool ours; /* we created it */
	/* Both families; those of one family in the kernel's order (the first IPv4 one is primary)
	 */
	struct shadow_addr *addrs;
	size_t n_addrs, addrs_room;
	uint32_t seen;
	struct shadow_link *next_index, *next_name; /* hash chains */
};

struct shadow_hop {
	int ifindex;        /* 0: none (blackhole) */
	uint16_t weight;    /* 1-256 */
	uint8_t flags;      /* RTNH_F_DEAD, RTNH_F_ONLINK */
	struct rtr_addr gw; /* family 0 = on link */
};

struct shadow_route {
	uint32_t table, metric;
	struct rtr_prefix dst;
	uint8_t type; /* RTN_* */
	uint16_t n_hops;
	uint32_t hash;
	uint32_t seen; /* dump */
	uint32_t mark; /* free for the planner: shadow_route_mark */
	struct shadow_route *next;
	struct shadow_hop hops[]; /* in order of shadow_hop_cmp: the kernel has none for IPv6 */
};

struct shadow_neigh {
	int ifindex; /* 0: a proxy entry for all links */
	struct rtr_addr addr;
	bool proxy; /* we answer for it (NTF_PROXY); else it is told who it is */
	uint8_t mac[6];
	uint16_t state; /* NUD_* */
	uint32_t seen;
	struct shadow_neigh *next; /* hash chain */
};

struct shadow_rule {
	struct rule rule;
	uint32_t seen, mark; /* mark: free for the planner */
	struct shadow_rule *next;
};

enum shadow_change {
	SHADOW_LINK = 1 << 0,
	SHADOW_ADDR = 1 << 1,
	SHADOW_ROUTE = 1 << 2, /* one of ours came, went or changed */
	SHADOW_NEIGH = 1 << 3, /* likewise */
	SHADOW_RULE = 1 << 4,  /* likewise */
	/* A link has come, or its carrier came or went while it is meant to be up: nobody's hands.
	 */
	SHADOW_CARRIER = 1 << 5,
};

struct shadow_stats {
	uint64_t events, dumps, dump_interrupts, overruns, resyncs;
};

/* Opens the sockets and starts the first dump. `ready` is called once, from the loop, when it is
 * complete. 0 or -errno. */
int shadow_init(struct event_base *base, const char *instance, void (*ready)(void *arg), void *arg);
void shadow_fini(void);

/* Called from the loop after events were taken in, with the OR of enum shadow_change; also for
 * the echo of our own writes (a plan made then queues nothing). One only; NULL for none. */
void shadow_on_change(void (*fn)(void *arg, unsigned change), void *arg);
/* Reads all events (and dumps under way) to their end, now. After an acknowledged write the
 * kernel has already queued its notifications, so that what was written is then seen here.
 * Returns the OR of what changed; the change callback is called for it later, from the loop. */
unsigned shadow_drain(void);
/* The next drain asks for this link: the kernel sends no event for alias, altname and group of a
 * link that is down. */
void shadow_touch_link(int ifindex);
/* And for its IPv6 addresses: of one that is still tentative the kernel tells nothing until
 * duplicate address detection has ended. */
void shadow_touch_addrs(int ifindex);
/* And for proxy neighbours: of those the kernel tells nothing ever. */
void shadow_touch_proxies(void);
/* False from a lost event until the resync is complete. */
bool shadow_synced(void);
/* Calls fn(arg) once, from the loop, when synced (soon, when it is now). */
void shadow_when_synced(void (*fn)(void *arg), void *arg);
/* Asks for a resync, within the rate limit. */
void shadow_resync(void);
/* Changes with every change of the content. */
uint64_t shadow_generation(void);
const struct shadow_stats *shadow_stats(void);

const char *shadow_instance(void); /* "" before shadow_init */
uint8_t shadow_proto(void);        /* our rtm_protocol and IFA_PROTO */
uint8_t shadow_proto_of(const char *instance);
uint32_t shadow_group(void); /* IFLA_GROUP of links that we create */
/* "rtr.<instance>.<ifname>" into buf; returns it. */
#define SHADOW_ALTNAME_STRLEN 128
char *shadow_altname(const char *ifname, char buf[SHADOW_ALTNAME_STRLEN]);

const struct shadow_link *shadow_link_by_name(const char *kernel_name);
const struct shadow_link *shadow_link_by_index(int ifindex);
/* The VRF that it is in; NULL: none. */
const struct shadow_link *shadow_link_vrf(const struct shadow_link *l);
/* Iterates in no order; pass NULL first, NULL at the end. */
const struct shadow_link *shadow_link_next(const struct shadow_link *l);
size_t shadow_n_links(void);
/* Administratively up with carrier. Loopback interfaces (lo, LoopbackN: a memberless bridge has
 * no carrier) need no carrier. */
bool shadow_link_is_up(const struct shadow_link *l);

const struct shadow_route *shadow_route_find(uint32_t table, const struct rtr_prefix *dst,
					     uint32_t metric);
const struct shadow_route *shadow_route_next(const struct shadow_route *r);
size_t shadow_n_routes(void);
int shadow_hop_cmp(const struct shadow_hop *a, const struct shadow_hop *b); /* gateway, link */
void shadow_hops_sort(struct shadow_hop *hops, size_t n);
void shadow_route_mark(const struct shadow_route *r, uint32_t mark);

const struct shadow_neigh *shadow_neigh_find(int ifindex, const struct rtr_addr *addr, bool proxy);
const struct shadow_neigh *shadow_neigh_next(const struct shadow_neigh *n);
/* Our rules of policy routing: those with our FRA_PROTOCOL. */
const struct shadow_rule *shadow_rule_find(const struct rule *r);
const struct shadow_rule *shadow_rule_next(const struct shadow_rule *r);
void shadow_rule_mark(const struct shadow_rule *r, uint32_t mark);

#endif
