/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the inside of the shadow, shared by its files: shadow.c (sockets, dumps, events),
 * shadow_parse.c (messages), shadow_db.c and shadow_neigh.c (tables). Nobody else includes this.
 */
#ifndef RTR_SHADOW_DB_H
#define RTR_SHADOW_DB_H

#include "kernel/shadow.h"

#include <linux/netlink.h>

#define SHADOW_LINK_BUCKETS  1024 /* some thousand VLANs stay cheap */
#define SHADOW_NEIGH_BUCKETS 1024 /* typed by hand: some thousand at most */

struct shadow_db {
	uint8_t proto;
	uint32_t group;
	char instance[64];
	/* Chains. Part of the struct: without a kernel (rtrd -t) they are there, and empty. */
	struct shadow_link *by_index[SHADOW_LINK_BUCKETS], *by_name[SHADOW_LINK_BUCKETS];
	size_t n_links;
	struct shadow_route **routes;
	size_t n_routes, n_buckets;
	struct shadow_neigh **neighs; /* chains; SHADOW_NEIGH_BUCKETS */
	uint32_t dump; /* number of the dump under way: what it shows is marked seen */
	uint64_t generation;
};

extern struct shadow_db shadow_db;

void shadow_db_init(const char *instance);
void shadow_db_fini(void);

/* What a message says: each returns the enum shadow_change bits that it caused. `dump`: part of a
 * dump (its order counts), else an event. */
unsigned shadow_parse(const struct nlmsghdr *h, bool dump);

/* The event socket's filter (shadow.c says what it passes) into f. Returns its length. */
#define SHADOW_FILTER_LEN 26
struct sock_filter;
size_t shadow_filter(struct sock_filter *f, uint8_t proto);

/* ---- tables ---- */

struct shadow_link *shadow_link_get(int ifindex);
/* Takes over l's alias and altnames; l itself is copied. */
unsigned shadow_link_put(const struct shadow_link *l);
unsigned shadow_link_del(int ifindex);

unsigned shadow_addr_put(struct shadow_link *l, const struct shadow_addr *a, bool dump);
unsigned shadow_addr_del(struct shadow_link *l, const struct shadow_addr *a);

/* r is the caller's; copied. */
unsigned shadow_route_put(const struct shadow_route *r);
unsigned shadow_route_del(uint32_t table, const struct rtr_prefix *dst, uint32_t metric);
/* IPv6 tells of the end of single hops: takes those of r out of the route. */
unsigned shadow_route_del_hops(const struct shadow_route *r);
/* The kernel drops IPv4 routes over a link that goes down without a word. */
unsigned shadow_routes_link_down(int ifindex, bool deleted);
void shadow_routes_link_up(int ifindex);

/* n is the caller's; copied. */
unsigned shadow_neigh_put(const struct shadow_neigh *n);
unsigned shadow_neigh_del(int ifindex, const struct rtr_addr *addr, bool proxy);
/* The kernel drops proxy entries of a link that goes down without a word. */
unsigned shadow_neighs_link_down(int ifindex);
void shadow_neighs_free(void);
/* shadow_rule.c */
unsigned shadow_parse_rule(const struct nlmsghdr *h);
unsigned shadow_sweep_rules(void);
void shadow_rules_free(void);

/* Removes what the dump that just ended did not show. */
unsigned shadow_sweep_links(void);
unsigned shadow_sweep_addrs(int family);
unsigned shadow_sweep_link_addrs(struct shadow_link *l, int family);
unsigned shadow_sweep_routes(int family);
unsigned shadow_sweep_neighs(bool proxy);

#endif
