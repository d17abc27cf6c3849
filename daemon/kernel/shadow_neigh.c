/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shadow's neighbours: those that carry our protocol. */
#include "hash.h"
#include "kernel/shadow_db.h"

#include <stdlib.h>
#include <string.h>

static struct shadow_neigh **slot(int ifindex, const struct rtr_addr *addr, bool proxy)
{
	uint64_t h = hash_bytes(addr->b, rtr_family_size(addr->family), (uint32_t)ifindex);
	struct shadow_neigh **pp = &shadow_db.neighs[h % SHADOW_NEIGH_BUCKETS];

	while (*pp && ((*pp)->ifindex != ifindex || (*pp)->proxy != proxy ||
		       rtr_addr_cmp(&(*pp)->addr, addr)))
		pp = &(*pp)->next;
	return pp;
}

const struct shadow_neigh *shadow_neigh_find(int ifindex, const struct rtr_addr *addr, bool proxy)
{
	return *slot(ifindex, addr, proxy);
}

/* The first one from bucket b on. */
static struct shadow_neigh *first_from(unsigned b)
{
	while (b < SHADOW_NEIGH_BUCKETS && !shadow_db.neighs[b])
		b++;
	return b < SHADOW_NEIGH_BUCKETS ? shadow_db.neighs[b] : NULL;
}

const struct shadow_neigh *shadow_neigh_next(const struct shadow_neigh *n)
{
	uint64_t h;

	if (!n)
		return first_from(0);
	if (n->next)
		return n->next;
	h = hash_bytes(n->addr.b, rtr_family_size(n->addr.family), (uint32_t)n->ifindex);
	return first_from((unsigned)(h % SHADOW_NEIGH_BUCKETS) + 1);
}

unsigned shadow_neigh_put(const struct shadow_neigh *n)
{
	struct shadow_neigh **pp = slot(n->ifindex, &n->addr, n->proxy), *old = *pp;
	bool same = old && old->state == n->state && !memcmp(old->mac, n->mac, sizeof(n->mac));

	if (!old) {
		*pp = xcalloc(1, sizeof(**pp));
		**pp = *n;
		(*pp)->next = NULL;
	} else {
		old->state = n->state;
		memcpy(old->mac, n->mac, sizeof(old->mac));
	}
	(*pp)->seen = shadow_db.dump;
	return same ? 0 : SHADOW_NEIGH;
}

static void take(struct shadow_neigh **pp)
{
	struct shadow_neigh *n = *pp;

	*pp = n->next;
	free(n);
}

unsigned shadow_neigh_del(int ifindex, const struct rtr_addr *addr, bool proxy)
{
	struct shadow_neigh **pp = slot(ifindex, addr, proxy);

	if (!*pp)
		return 0;
	take(pp);
	return SHADOW_NEIGH;
}

/* Takes away what a test says. */
static unsigned take_all(bool (*doomed)(const struct shadow_neigh *n, int arg), int arg)
{
	unsigned changed = 0;

	for (unsigned b = 0; b < SHADOW_NEIGH_BUCKETS; b++) {
		struct shadow_neigh **pp = &shadow_db.neighs[b];

		while (*pp) {
			if (doomed(*pp, arg)) {
				take(pp);
				changed = SHADOW_NEIGH;
			} else {
				pp = &(*pp)->next;
			}
		}
	}
	return changed;
}

static bool is_proxy_of(const struct shadow_neigh *n, int ifindex)
{
	return n->proxy && n->ifindex == ifindex;
}

unsigned shadow_neighs_link_down(int ifindex)
{
	return take_all(is_proxy_of, ifindex);
}

static bool is_unseen(const struct shadow_neigh *n, int proxy)
{
	return n->proxy == proxy && n->seen != shadow_db.dump;
}

unsigned shadow_sweep_neighs(bool proxy)
{
	return take_all(is_unseen, proxy);
}

static bool is_any(const struct shadow_neigh *n, int arg)
{
	return true;
}

void shadow_neighs_free(void)
{
	take_all(is_any, 0);
	free(shadow_db.neighs);
}
