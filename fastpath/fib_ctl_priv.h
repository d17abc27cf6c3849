/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the control thread's side of the mirror, shared by fib_ctl*.c and fib_nl.c.
 *
 *	fib_nl.c         sockets, dumps, what is asked of the kernel
 *	fib_msg.c        a message -> a struct
 *	fib_ctl.c        life, a message -> the part it belongs to, timers
 *	fib_ctl_link.c   links, their addresses and sysctls -> fib_link_node
 *	fib_ctl_adj.c    neighbours, requests -> adjacencies
 *	fib_ctl_path.c   sets of next hops, shared by routes -> fib_path
 *	fib_ctl_route.c  routes by prefix -> LPM
 *	fib_ctl_rule.c   rules -> fib_rules
 *	fib_elig.c       what XDP would bypass -> reasons of links, selectors of IPsec
 *
 * Every kernel object carries the epoch in which it was last seen. A dump raises the epoch; what an
 * event has touched since is not overwritten by the dump, what neither has seen goes when it ends.
 * A deletion during a dump leaves a tombstone, so that a part of the dump made before does not
 * bring the object back.
 *
 * Threads: the control thread. Failure: -ENOMEM is a limit, counted and shown; lookups become the
 * kernel's.
 */
#ifndef FP_FIB_CTL_PRIV_H
#define FP_FIB_CTL_PRIV_H

#include "fib_ctl.h"
#include "fib_msg.h"
#include "fib_priv.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/if.h>

#define FC_MAX_TABLES   1024u /* 256 KB resident each, empty */
#define FC_MAX_LINKS    65536u
#define FC_MAX_RULES    4096u
#define FC_MAX_NEXTHOPS 65536u
#define FC_MAX_TOMBS    (1u << 20) /* deletions during one dump; more of them start it anew */

/* What is dumped, in this order. */
enum fc_dump {
	FC_D_LINK,
	FC_D_RULE4, /* closed while events are lost: soon */
	FC_D_RULE6,
	FC_D_NETCONF4,
	FC_D_NETCONF6,
	FC_D_ADDR,
	FC_D_NEIGH,
	FC_D_NEXTHOP,
	FC_D_ROUTE4,
	FC_D_ROUTE6,
	FC_D__MAX
};
#define FC_D_ALL ((1u << FC_D__MAX) - 1)

struct fc_addr {
	struct fib_addr a;
	uint8_t epoch;
};

struct fc_link {
	struct fib_link_node *pub;
	struct fc_link *next;
	uint32_t ifindex, flags, mtu, mtu6, master, parent, slot, vrf_table;
	uint16_t type, vlan, vlan_proto;
	uint8_t mac[6], has_mac, is_vrf, known; /* not known: only its port is */
	uint8_t vlan_qos;
	uint8_t epoch;
	uint8_t foreign, foreign_new, has_clsact; /* fib_elig.c: enum elig; while it judges */
	int8_t forwarding[FIB_FAMILIES], ignore_linkdown[FIB_FAMILIES], rp_filter, bc_forwarding;
	uint8_t send_redirects, accept_local;
	char name[16];
	uint32_t n_addr, cap_addr;
	struct fc_addr *addr;
};

struct fc_path {
	uint32_t refs, hnext, nh_id;
	uint8_t family, verdict, reason; /* of the key; links may say otherwise */
	uint8_t live;                    /* has a hop that lives, or another verdict than FORWARD */
	uint8_t dirty, doomed;           /* live changed; the kernel withdraws its routes */
	uint64_t hash;
	struct fib_path *pub;
};

/* Of a route in the pool. */
enum fc_route_flag {
	FC_R_USED = 1 << 0,
	FC_R_GATEWAY = 1 << 1, /* IPv6: of the kind that joins others of its metric */
	FC_R_DOOMED = 1 << 2,  /* gone with its link; to be taken out */
};

struct fc_route {
	union fib_ip dst;
	uint32_t next; /* hash chain, or free list */
	uint32_t table, metric, path;
	uint8_t fam, len, src_len, tos;
	uint8_t flags, epoch, protocol, zero;
};

struct fc_nexthop {
	struct fc_nexthop *next;
	uint32_t id;
	struct fib_msg_hop hop;
	uint8_t blackhole, other, epoch;
	uint16_t n_group;
	struct {
		uint32_t id;
		uint8_t weight;
	} * group;
};

struct fibctl {
	struct fib f;
	struct fibctl_params p;
	struct fibctl_stats st;
	uint8_t epoch;

	/* links */
	struct fc_link *link[FIB_LINK_BUCKETS];
	int8_t all_forwarding[FIB_FAMILIES], all_rp_filter, all_ignore_linkdown[FIB_FAMILIES];

	/* paths */
	struct fc_path *path[FIB_N_CHUNKS];
	uint32_t n_path_ever, path_free, *path_hash, path_hash_mask;
	bool paths_dirty;

	/* routes */
	struct fc_route *route;
	uint32_t n_route_ever, route_free, max_routes, *route_hash, route_hash_mask, n_routes;
	size_t route_hash_size;
	uint32_t scan, scan_end; /* of paths_dirty and doomed routes; scan < scan_end: under way */
	struct fib_table *tables[FIB_FAMILIES];

	/* rules */
	struct fib_msg_rule *rule[FIB_FAMILIES];
	uint32_t n_rule[FIB_FAMILIES];
	bool rules_dirty[FIB_FAMILIES]; /* an event since the dump began */

	struct fc_nexthop *nexthop[1024];

	/* adjacencies */
	struct fp_adj *adj_out; /* what was last given to adj_set */
	uint32_t n_adj_ever, adj_free_first, adj_free_last;
	uint32_t pass_begun, pass_done; /* any:rw */
	uint32_t keepalive_at;          /* next index of the timer's walk */

	/* tombstones of the dump under way: a set of hashes */
	uint64_t *tomb;
	uint32_t n_tombs, cap_tombs;

	bool touched, touch_all;
	bool limit;
	uint32_t path_of_reason[ELIG__MAX];
	bool classifying;
	struct fc_nl *nl;
	struct fc_elig *elig;
	struct fib_msg msg;
};

static inline unsigned fc_family(unsigned fam)
{
	return fam ? 10 : 2; /* AF_INET6, AF_INET */
}

/* What readers may hold: allocated, and freed after a grace period. */
void *fc_pub_alloc(struct fibctl *c, size_t size);
void fc_pub_free(struct fibctl *c, void *p);
/* The same for what is not an allocation: done() is called on the control thread. */
void fc_defer(struct fibctl *c, struct fib_defer *d);
void fc_drain(struct fibctl *c, bool wait);
void fc_limit(struct fibctl *c, const char *what);
void fc_event(struct fibctl *c, enum fibctl_event ev, const char *what);
/* Why everything is the kernel's, if it is. */
void fc_reason_publish(struct fibctl *c);
uint32_t fc_now_sec(void);

/* Everything that an object was keyed by, hashed; kind keeps different ones apart. */
uint64_t fc_key(enum fib_msg_kind kind, const void *key, size_t size);
void fc_tomb_add(struct fibctl *c, uint64_t key);
bool fc_tomb_has(const struct fibctl *c, uint64_t key);
void fc_tomb_clear(struct fibctl *c);

/* A message of an event (dump false) or of a dump. */
void fc_apply(struct fibctl *c, const struct fib_msg *m, bool dump);

/* fib_ctl_link.c */
struct fc_link *fc_link_find(const struct fibctl *c, uint32_t ifindex);
struct fc_link *fc_link_by_name(const struct fibctl *c, const char *name);
void fc_link_apply(struct fibctl *c, const struct fib_msg *m, bool dump);
void fc_netconf_apply(struct fibctl *c, const struct fib_msg *m, bool dump);
void fc_addr_apply(struct fibctl *c, const struct fib_msg *m, bool dump);
void fc_links_swept(struct fibctl *c);
void fc_addrs_swept(struct fibctl *c);
void fc_link_publish(struct fibctl *c, struct fc_link *l);
/* Looks at what no event tells. */
void fc_links_tick(struct fibctl *c);
void fc_links_fini(struct fibctl *c);
/* Why frames cannot leave by it; ELIG_OK when they can. NULL link: unknown. */
unsigned fc_link_egress_reason(const struct fc_link *l);
bool fc_link_is_down(const struct fc_link *l);
/* It is no port of ours, nor on top of one: nothing passes it unseen by the kernel. */
bool fc_link_is_aside(const struct fc_link *l);

/* fib_ctl_adj.c */
int fc_adjs_init(struct fibctl *c);
void fc_adjs_fini(struct fibctl *c);
uint32_t fc_adj_get(struct fibctl *c, uint32_t oif, uint8_t nh_family, const union fib_ip *nh);
void fc_adj_put(struct fibctl *c, uint32_t i);
void fc_neigh_apply(struct fibctl *c, const struct fib_msg *m, bool dump);
void fc_neighs_swept(struct fibctl *c);
void fc_adjs_link_changed(struct fibctl *c, uint32_t ifindex, bool gone);
void fc_adjs_requests(struct fibctl *c);
void fc_adjs_keepalive(struct fibctl *c);
bool fc_adj_is_failed(const struct fibctl *c, uint32_t i);

/* fib_ctl_path.c */
int fc_paths_init(struct fibctl *c);
void fc_paths_fini(struct fibctl *c);
/* The path of a route, with a reference more; 0 = no room. */
uint32_t fc_path_intern(struct fibctl *c, const struct fib_msg_route *r);
/* The one that says no more than why the kernel decides. */
uint32_t fc_path_kernel(struct fibctl *c, unsigned reason);
void fc_path_unref(struct fibctl *c, uint32_t i);
struct fc_path *fc_path_at(const struct fibctl *c, uint32_t i);
/* Compiles anew those that use a link, an adjacency or a next hop object. */
void fc_paths_link_changed(struct fibctl *c, uint32_t ifindex);
void fc_paths_adj_changed(struct fibctl *c, uint32_t adj);
void fc_nexthop_apply(struct fibctl *c, const struct fib_msg *m, bool dump);
/* The kernel withdraws those of a link without carrier, and tells nobody. */
void fc_nexthops_link_down(struct fibctl *c, uint32_t ifindex);
void fc_nexthops_swept(struct fibctl *c);
void fc_nexthops_fini(struct fibctl *c);
bool fc_path_uses(const struct fc_path *p, uint32_t oif);

/* fib_ctl_route.c */
int fc_routes_init(struct fibctl *c);
void fc_routes_fini(struct fibctl *c);
struct fib_table *fc_table_get(struct fibctl *c, uint8_t family, uint32_t id);
void fc_route_apply(struct fibctl *c, const struct fib_msg *m, bool dump);
/* oif 0: all of the family; else those that use it. */
void fc_routes_swept(struct fibctl *c, unsigned fam, uint32_t oif);
/* Marks the IPv4 routes that the kernel withdraws without a word with a link. */
void fc_routes_link_down(struct fibctl *c, uint32_t ifindex, bool gone);
/* Takes out the routes whose path says doomed. */
void fc_routes_doom(struct fibctl *c);
/* Starts the walk over routes whose path came to life or died. */
void fc_routes_scan(struct fibctl *c);
/* Goes on with it; false when there is nothing left. */
bool fc_routes_scan_some(struct fibctl *c, uint32_t budget);
/* At the end of the turn. */
void fc_touch_all(struct fibctl *c);
void fc_touch_end(struct fibctl *c);
void fc_tables_flush(struct fibctl *c);

/* fib_ctl_rule.c */
int fc_rules_init(struct fibctl *c);
void fc_rules_fini(struct fibctl *c);
/* Publishes the rules as they were collected. */
void fc_rules_publish(struct fibctl *c, unsigned fam);
/* All is the kernel's until fc_rules_publish. */
void fc_rules_close(struct fibctl *c, unsigned fam);
void fc_rules_begin(struct fibctl *c, unsigned fam);
void fc_rule_add(struct fibctl *c, const struct fib_msg_rule *r);
/* Compiles what is there anew: names of interfaces came to mean something else. */
void fc_rules_renamed(struct fibctl *c);

/* fib_nl.c */
void fc_nl_want(struct fibctl *c, unsigned dumps);
/* Routes that use a link are compared with the kernel's soon. */
void fc_nl_want_oif(struct fibctl *c, uint32_t oif);
/* Has the kernel resolve or confirm a neighbour. */
int fc_nl_probe(struct fibctl *c, uint32_t oif, uint8_t family, const union fib_ip *nh);
bool fc_nl_dumping(const struct fibctl *c, enum fc_dump kind);
bool fc_nl_busy(const struct fibctl *c);
void fc_nl_close(struct fibctl *c);

/* fib_elig.c */
int fc_elig_open(struct fibctl *c, int ep_fd);
void fc_elig_close(struct fibctl *c);
/* Reads what events tell of, and judges anew. */
void fc_elig_turn(struct fibctl *c);
/* Every second, and before the first lookup: what no event tells. */
void fc_elig_tick(struct fibctl *c);

#endif
