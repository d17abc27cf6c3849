/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: kernel routes of ours, in any table: what one shall be, and the write that makes it so. For
 * the domains that own a table: static routes (main, and those of VRFs), policy routing.
 * Owns: nothing. Threads: rtrd's loop only. Failure: as plan_nl's.
 */
#ifndef RTR_ROUTE_PLAN_H
#define RTR_ROUTE_PLAN_H

#include "domain.h"
#include "route/resolve.h"

struct route_want {
	uint32_t table, metric;
	struct rtr_prefix dst;
	uint8_t type; /* RTN_* */
	size_t n_hops;
	struct shadow_hop hops[RESOLVE_MAX_HOPS]; /* in order of shadow_hops_sort */
	const struct rec *rec;
};

/* Queues what makes the kernel have it. `mark` is put on the route that is there. True when the
 * kernel has one of ours for it. */
bool route_plan_one(struct plan *p, const struct route_want *w, uint32_t mark);
void route_plan_delete(struct plan *p, const struct shadow_route *r);

/* A resolver over the links and addresses as they are and the static routes of the model. */
void route_resolver_init(struct resolve *r, const struct rec *root, uint8_t family);
/* The same for the lines of one VRF, whose link is master. */
void route_resolver_lines(struct resolve *r, const struct recvec *lines, uint8_t family,
			  int master);

/* ---- route_static.c ---- */

/* Lines that are not in use now, of the main table. */
size_t route_static_idle(const struct rec *root, uint8_t family);

/* For the check of the lines of one table: zero before the first one. */
struct route_reach {
	struct resolve r;
	bool asked, known;
};
/* Warns when the line's next hop is reached by nothing that is configured. */
void route_reach_check(struct route_reach *x, struct check *c, const struct recvec *lines,
		       const struct static_route *s);
void route_reach_fini(struct route_reach *x);

#endif
