/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: which IPv4 addresses of a link to add and to delete, in which order: a pure function.
 *
 * The kernel's list of a link's IPv4 addresses has primaries first, then secondaries. The first
 * address of a subnet is its primary, later ones are secondaries; a new primary goes behind the
 * last primary, a secondary to the end. When a primary is deleted, the first secondary of its
 * subnet is promoted (with promote_secondaries) and goes behind the last primary. The list has no
 * other operations: an address is moved by deleting and adding it.
 *
 * What is wanted: exactly the addresses of the model beside those of others; the operator's
 * primary first of ours (it is the source of what the router says on that link); in each subnet
 * the first one in the model's order is the kernel's primary. Addresses are added before others
 * are deleted, so that the link never loses its last one (the kernel would flush its routes), and
 * moved only when the order is wrong.
 */
#ifndef RTR_ADDR_ORDER_H
#define RTR_ADDR_ORDER_H

#include "prefix.h"

struct ao_addr {
	struct rtr_prefix addr;
	bool secondary; /* the kernel's flag, not the operator's word */
	bool foreign;   /* never deleted or moved */
};

struct ao_step {
	bool add; /* else delete */
	struct rtr_prefix addr;
};

struct ao_list {
	struct ao_addr *v;
	size_t len, room;
};

/* The kernel's two operations on its list. */
void ao_add(struct ao_list *l, const struct rtr_prefix *addr);
void ao_del(struct ao_list *l, const struct rtr_prefix *addr);

/* want: in the model's order, primary first. Returns the number of steps; *ret is the caller's to
 * free. */
size_t ao_plan(const struct ao_addr *have, size_t n_have, const struct rtr_prefix *want,
	       size_t n_want, struct ao_step **ret);

#endif
