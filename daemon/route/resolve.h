/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: from the lines of the static routes to what each is worth now: which hops its next hop
 * leads to. Pure: connected networks and routes come in, hops come out.
 *
 * A next hop is looked up like a packet would be: the longest match of the connected networks (of
 * links that are up) and of the static routes that resolve themselves; at most
 * RESOLVE_MAX_DEPTH routes in a chain, which also ends the routes that lead to themselves. The
 * default route resolves nothing (it would resolve everything, and no route would ever leave when
 * its network does), nor does a discarding route. Each (next hop, depth) is worked out once.
 * Owns: the tables until resolve_fini. Threads: rtrd's loop only. Failure: none; a next hop that
 * leads nowhere has no hops.
 */
#ifndef RTR_RESOLVE_H
#define RTR_RESOLVE_H

#include "kernel/shadow.h"
#include "route/route.h"

#define RESOLVE_MAX_DEPTH 8
#define RESOLVE_MAX_HOPS  64 /* of one route; IOS takes 32 */

struct resolve_net {
	struct rtr_prefix net;
	struct rtr_addr own; /* our address in it: never a next hop */
	int ifindex;
};

struct resolve_memo;

struct resolve {
	const struct recvec *routes; /* struct static_route, sorted by prefix */
	struct resolve_net *nets;    /* sorted by prefix */
	size_t n_nets, nets_room;
	uint8_t net_lens[129], route_lens[129]; /* that occur, longest first */
	unsigned n_net_lens, n_route_lens;
	int (*link_up)(const char *ifname); /* ifindex of a link that is up, 0 = none */
	/* NULL, or: may the line be used now, having these hops? (`track`) */
	bool (*usable)(const struct static_route *line, const struct shadow_hop *hops, size_t n);
	struct resolve_memo *memo;
	size_t memo_room, n_memo;
};

void resolve_init(struct resolve *r, const struct recvec *routes, int (*link_up)(const char *));
void resolve_add_net(struct resolve *r, const struct rtr_prefix *net, const struct rtr_addr *own,
		     int ifindex);
void resolve_ready(struct resolve *r); /* after the last net */
void resolve_fini(struct resolve *r);

/* The hops of one line; 0: it leads nowhere. Not for discarding lines. */
size_t resolve_line(struct resolve *r, const struct static_route *line,
		    struct shadow_hop hops[RESOLVE_MAX_HOPS]);

/* The line with the longest prefix that holds an address, a default route too; NULL: none. */
const struct static_route *resolve_holder(const struct resolve *r, const struct rtr_addr *a);

/* The hops of the lines [from, to) of one prefix that have this distance, sorted, once each. */
size_t resolve_group(struct resolve *r, size_t from, size_t to, uint8_t distance,
		     struct shadow_hop hops[RESOLVE_MAX_HOPS]);
/* The end of the lines with the prefix of routes->v[from]. */
size_t resolve_prefix_end(const struct recvec *routes, size_t from);
/* The smallest distance above `above` (-1: the smallest of all) in [from, to); 0 = none. */
uint8_t resolve_next_distance(const struct recvec *routes, size_t from, size_t to, int above);

static inline bool route_discards(const struct static_route *s)
{
	return s->via >= ROUTE_VIA_NULL0;
}

static inline uint8_t route_distance(const struct static_route *s)
{
	return s->distance ? s->distance : ROUTE_DISTANCE_DEFAULT;
}

#endif
