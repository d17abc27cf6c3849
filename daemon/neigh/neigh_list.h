/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: reads the kernel's neighbours, of which there may be very many, for commands: one compact
 * struct each, filtered while reading.
 * Owns: the vector. Threads: rtrd's loop only; the kernel answers inside the system calls.
 * Failure: -errno, and what was read so far is dropped.
 */
#ifndef RTR_NEIGH_LIST_H
#define RTR_NEIGH_LIST_H

#include "prefix.h"

struct neigh_entry {
	struct rtr_addr addr;
	int ifindex;
	uint16_t state; /* NUD_* */
	uint8_t mac[6];
	bool has_mac, proxy, ours, own;
	uint8_t flags; /* NTF_* */
	uint32_t probes, refs;
	uint32_t confirmed_ms, used_ms, updated_ms; /* ago */
};

struct neigh_list {
	int family;
	struct rtr_addr addr; /* this one alone; family 0: all */
	int ifindex;          /* of this interface alone; 0: all */
	struct neigh_entry *v;
	size_t n, room;
};

/* Entries that name a neighbour; multicast and broadcast ones (NOARP) are left out. With proxies:
 * those that the router answers for too. Sorted by address. */
int neigh_list_read(struct neigh_list *l, bool proxies);
/* The interfaces' own addresses of the family, as entries without a neighbour. */
void neigh_list_own(struct neigh_list *l);
void neigh_list_sort(struct neigh_list *l);
void neigh_list_fini(struct neigh_list *l);

#endif
