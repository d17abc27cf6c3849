/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/shadow_db.h"

#include "hash.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#define ROUTE_BUCKETS_MIN 256

struct shadow_db shadow_db;

/* ---- links ---- */

static struct shadow_link **index_bucket(int ifindex)
{
	return &shadow_db.by_index[(unsigned)ifindex % SHADOW_LINK_BUCKETS];
}

static struct shadow_link **name_bucket(const char *name)
{
	return &shadow_db.by_name[hash_bytes(name, strlen(name), 0) % SHADOW_LINK_BUCKETS];
}

struct shadow_link *shadow_link_get(int ifindex)
{
	struct shadow_link *l = *index_bucket(ifindex);

	while (l && l->ifindex != ifindex)
		l = l->next_index;
	return l;
}

const struct shadow_link *shadow_link_by_index(int ifindex)
{
	return shadow_link_get(ifindex);
}

const struct shadow_link *shadow_link_vrf(const struct shadow_link *l)
{
	const struct shadow_link *m = l->master ? shadow_link_get(l->master) : NULL;

	return m && !strcmp(m->kind, "vrf") ? m : NULL;
}

const struct shadow_link *shadow_link_by_name(const char *kernel_name)
{
	struct shadow_link *l = *name_bucket(kernel_name);

	while (l && strcmp(l->name, kernel_name))
		l = l->next_name;
	return l;
}

const struct shadow_link *shadow_link_next(const struct shadow_link *l)
{
	unsigned b = 0;

	if (l) {
		if (l->next_index)
			return l->next_index;
		b = (unsigned)l->ifindex % SHADOW_LINK_BUCKETS + 1;
	}
	while (b < SHADOW_LINK_BUCKETS && !shadow_db.by_index[b])
		b++;
	return b < SHADOW_LINK_BUCKETS ? shadow_db.by_index[b] : NULL;
}

size_t shadow_n_links(void)
{
	return shadow_db.n_links;
}

static void name_unlink(struct shadow_link *l)
{
	struct shadow_link **pp = name_bucket(l->name);

	while (*pp != l)
		pp = &(*pp)->next_name;
	*pp = l->next_name;
}

static void name_link(struct shadow_link *l)
{
	struct shadow_link **b = name_bucket(l->name);

	l->next_name = *b;
	*b = l;
}

static void link_texts_free(struct shadow_link *l)
{
	free(l->alias);
	free(l->info);
	for (size_t i = 0; i < l->n_altnames; i++)
		free(l->altnames[i]);
	free(l->altnames);
}

static bool text_equal(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool link_equal(const struct shadow_link *a, const struct shadow_link *b)
{
	if (strcmp(a->name, b->name) || strcmp(a->kind, b->kind) || a->flags != b->flags ||
	    a->arptype != b->arptype || a->operstate != b->operstate || a->carrier != b->carrier ||
	    a->mtu != b->mtu || a->min_mtu != b->min_mtu || a->max_mtu != b->max_mtu ||
	    memcmp(a->mac, b->mac, 6) || memcmp(a->perm_mac, b->perm_mac, 6) ||
	    a->has_mac != b->has_mac || a->has_perm_mac != b->has_perm_mac ||
	    a->master != b->master || a->parent != b->parent || a->vlan_id != b->vlan_id ||
	    a->group != b->group || !text_equal(a->alias, b->alias) || a->ours != b->ours ||
	    a->n_altnames != b->n_altnames || a->info_size != b->info_size ||
	    (a->info_size && memcmp(a->info, b->info, a->info_size)))
		return false;
	for (size_t i = 0; i < a->n_altnames; i++) {
		if (strcmp(a->altnames[i], b->altnames[i]))
			return false;
	}
	return true;
}

unsigned shadow_link_put(const struct shadow_link *n)
{
	struct shadow_link *l = shadow_link_get(n->ifindex);
	struct shadow_link old;
	bool up = l && l->flags & IFF_UP;
	unsigned changed = SHADOW_LINK;

	if (!l) {
		changed |= SHADOW_CARRIER;
		l = xcalloc(1, sizeof(*l));
		l->ifindex = n->ifindex;
		l->next_index = *index_bucket(n->ifindex);
		*index_bucket(n->ifindex) = l;
		shadow_db.n_links++;
	} else {
		l->seen = shadow_db.dump;
		if (link_equal(l, n)) {
			struct shadow_link copy = *n;

			link_texts_free(&copy);
			return 0;
		}
		name_unlink(l);
	}
	old = *l;
	link_texts_free(l);
	*l = *n;
	l->addrs = old.addrs;
	l->n_addrs = old.n_addrs;
	l->addrs_room = old.addrs_room;
	l->next_index = old.next_index;
	l->seen = shadow_db.dump;
	name_link(l);
	if (up && l->flags & IFF_UP && (old.flags ^ l->flags) & IFF_RUNNING)
		changed |= SHADOW_CARRIER;
	if (up && !(l->flags & IFF_UP))
		changed |= shadow_routes_link_down(l->ifindex, false) |
			   shadow_neighs_link_down(l->ifindex);
	else if (!up && l->flags & IFF_UP)
		shadow_routes_link_up(l->ifindex);
	return changed;
}

unsigned shadow_link_del(int ifindex)
{
	struct shadow_link **pp = index_bucket(ifindex), *l;
	unsigned changed = SHADOW_LINK;

	while (*pp && (*pp)->ifindex != ifindex)
		pp = &(*pp)->next_index;
	l = *pp;
	if (!l)
		return 0;
	*pp = l->next_index;
	name_unlink(l);
	shadow_db.n_links--;
	if (l->n_addrs)
		changed |= SHADOW_ADDR;
	changed |= shadow_routes_link_down(ifindex, true) | shadow_neighs_link_down(ifindex);
	link_texts_free(l);
	free(l->addrs);
	free(l);
	return changed;
}

bool shadow_link_is_up(const struct shadow_link *l)
{
	if (!(l->flags & IFF_UP))
		return false;
	return l->flags & (IFF_RUNNING | IFF_LOOPBACK) || !strcmp(l->kind, "dummy") ||
	       (l->ours && !strncmp(l->name, "Loopback", 8));
}

/* ---- addresses ---- */

/* An address is known by its local part, length and peer. */
static struct shadow_addr *addr_find(struct shadow_link *l, const struct shadow_addr *a)
{
	for (size_t i = 0; i < l->n_addrs; i++) {
		struct shadow_addr *o = &l->addrs[i];

		if (!rtr_prefix_cmp(&o->addr, &a->addr) && !rtr_addr_cmp(&o->peer, &a->peer))
			return o;
	}
	return NULL;
}

static void addr_take(struct shadow_link *l, size_t i)
{
	l->n_addrs--;
	memmove(&l->addrs[i], &l->addrs[i + 1], (l->n_addrs - i) * sizeof(l->addrs[0]));
}

/*
 * Where the kernel puts a new IPv4 address (inet_insert_ifa): a secondary last; a primary, new or
 * promoted, after the last primary of the same or a wider scope number.
 */
static size_t addr_place(const struct shadow_link *l, const struct shadow_addr *a)
{
	size_t at = 0;

	if (a->addr.addr.family != AF_INET || a->flags & IFA_F_SECONDARY)
		return l->n_addrs;
	for (size_t i = 0; i < l->n_addrs; i++) {
		const struct shadow_addr *o = &l->addrs[i];

		if (o->addr.addr.family == AF_INET && !(o->flags & IFA_F_SECONDARY) &&
		    a->scope <= o->scope)
			at = i + 1;
	}
	return at;
}

unsigned shadow_addr_put(struct shadow_link *l, const struct shadow_addr *n, bool dump)
{
	struct shadow_addr a = *n, *old = addr_find(l, n);
	unsigned changed = SHADOW_ADDR;
	size_t at;

	a.seen = shadow_db.dump;
	if (old) {
		bool same = old->flags == a.flags && old->scope == a.scope && old->proto == a.proto;
		bool moved = (old->flags ^ a.flags) & IFA_F_SECONDARY;

		if (!dump && !moved) {
			*old = a;
			return same ? 0 : changed;
		}
		if (same)
			changed = 0;
		addr_take(l, (size_t)(old - l->addrs));
	}
	at = dump ? l->n_addrs : addr_place(l, &a);
	if (l->n_addrs == l->addrs_room) {
		l->addrs_room = l->addrs_room ? l->addrs_room * 2 : 4;
		l->addrs = xrealloc(l->addrs, l->addrs_room * sizeof(l->addrs[0]));
	}
	memmove(&l->addrs[at + 1], &l->addrs[at], (l->n_addrs - at) * sizeof(l->addrs[0]));
	l->addrs[at] = a;
	l->n_addrs++;
	if (!dump && a.addr.addr.family == AF_INET && l->flags & IFF_UP)
		shadow_routes_link_up(l->ifindex);
	return changed;
}

static bool has_family(const struct shadow_link *l, int family)
{
	for (size_t i = 0; i < l->n_addrs; i++) {
		if (l->addrs[i].addr.addr.family == family)
			return true;
	}
	return false;
}

unsigned shadow_addr_del(struct shadow_link *l, const struct shadow_addr *a)
{
	struct shadow_addr *old = addr_find(l, a);
	int family = a->addr.addr.family;

	if (!old)
		return 0;
	addr_take(l, (size_t)(old - l->addrs));
	/* fib_disable_ip: without any IPv4 address the link carries no IPv4 route. */
	if (family == AF_INET && !has_family(l, AF_INET))
		return SHADOW_ADDR | shadow_routes_link_down(l->ifindex, false);
	return SHADOW_ADDR;
}

/* ---- routes ---- */

static uint32_t route_hash(uint32_t table, const struct rtr_prefix *dst, uint32_t metric)
{
	const uint32_t *w = dst->addr.w_be;
	uint64_t h = (uint64_t)w[0] << 32 | dst->len;

	h = hash_mix64(h ^ ((uint64_t)metric << 8) ^ table);
	if (dst->addr.family == AF_INET6) {
		h ^= (uint64_t)w[1] << 32 | w[2];
		h = hash_mix64(h + w[3] + 1);
	}
	return (uint32_t)h;
}

static struct shadow_route **route_slot(uint32_t table, const struct rtr_prefix *dst,
					uint32_t metric, uint32_t hash)
{
	struct shadow_route **pp = &shadow_db.routes[hash & (shadow_db.n_buckets - 1)];

	for (; *pp; pp = &(*pp)->next) {
		const struct shadow_route *r = *pp;

		if (r->hash == hash && r->metric == metric && r->table == table &&
		    !rtr_prefix_cmp(&r->dst, dst))
			break;
	}
	return pp;
}

static void routes_resize(size_t n)
{
	struct shadow_route **old = shadow_db.routes;
	size_t n_old = shadow_db.n_buckets;

	shadow_db.routes = xcalloc(n, sizeof(*old));
	shadow_db.n_buckets = n;
	for (size_t i = 0; i < n_old; i++) {
		for (struct shadow_route *r = old[i], *next; r; r = next) {
			next = r->next;
			r->next = shadow_db.routes[r->hash & (n - 1)];
			shadow_db.routes[r->hash & (n - 1)] = r;
		}
	}
	free(old);
}

const struct shadow_route *shadow_route_find(uint32_t table, const struct rtr_prefix *dst,
					     uint32_t metric)
{
	return *route_slot(table, dst, metric, route_hash(table, dst, metric));
}

const struct shadow_route *shadow_route_next(const struct shadow_route *r)
{
	size_t b = 0;

	if (r) {
		if (r->next)
			return r->next;
		b = (r->hash & (shadow_db.n_buckets - 1)) + 1;
	}
	while (b < shadow_db.n_buckets && !shadow_db.routes[b])
		b++;
	return b < shadow_db.n_buckets ? shadow_db.routes[b] : NULL;
}

size_t shadow_n_routes(void)
{
	return shadow_db.n_routes;
}

void shadow_route_mark(const struct shadow_route *r, uint32_t mark)
{
	((struct shadow_route *)(uintptr_t)r)->mark = mark;
}

static size_t route_size(unsigned n_hops)
{
	return sizeof(struct shadow_route) + n_hops * sizeof(struct shadow_hop);
}

int shadow_hop_cmp(const struct shadow_hop *a, const struct shadow_hop *b)
{
	int c = rtr_addr_cmp(&a->gw, &b->gw);

	return c ? c : (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

void shadow_hops_sort(struct shadow_hop *hops, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct shadow_hop h = hops[i];
		size_t j = i;

		for (; j && shadow_hop_cmp(&hops[j - 1], &h) > 0; j--)
			hops[j] = hops[j - 1];
		hops[j] = h;
	}
}

static bool route_equal(const struct shadow_route *a, const struct shadow_route *b)
{
	if (a->type != b->type || a->n_hops != b->n_hops)
		return false;
	for (unsigned i = 0; i < a->n_hops; i++) {
		if (shadow_hop_cmp(&a->hops[i], &b->hops[i]) ||
		    a->hops[i].weight != b->hops[i].weight || a->hops[i].flags != b->hops[i].flags)
			return false;
	}
	return true;
}

unsigned shadow_route_put(const struct shadow_route *n)
{
	uint32_t hash = route_hash(n->table, &n->dst, n->metric);
	struct shadow_route **pp = route_slot(n->table, &n->dst, n->metric, hash);
	struct shadow_route *old = *pp, *r;

	if (old && route_equal(old, n)) {
		old->seen = shadow_db.dump;
		return 0;
	}
	r = xmalloc(route_size(n->n_hops));
	memcpy(r, n, route_size(n->n_hops));
	r->hash = hash;
	r->seen = shadow_db.dump;
	r->mark = 0;
	r->next = old ? old->next : NULL;
	*pp = r;
	free(old);
	if (!old && ++shadow_db.n_routes > shadow_db.n_buckets)
		routes_resize(shadow_db.n_buckets * 2);
	return SHADOW_ROUTE;
}

static void route_unlink(struct shadow_route **pp)
{
	struct shadow_route *r = *pp;

	*pp = r->next;
	free(r);
	shadow_db.n_routes--;
}

unsigned shadow_route_del(uint32_t table, const struct rtr_prefix *dst, uint32_t metric)
{
	struct shadow_route **pp = route_slot(table, dst, metric, route_hash(table, dst, metric));

	if (!*pp)
		return 0;
	route_unlink(pp);
	return SHADOW_ROUTE;
}

unsigned shadow_route_del_hops(const struct shadow_route *n)
{
	struct shadow_route **pp = route_slot(n->table, &n->dst, n->metric,
					      route_hash(n->table, &n->dst, n->metric));
	struct shadow_route *r = *pp;
	unsigned left = 0;

	if (!r)
		return 0;
	for (unsigned i = 0; i < r->n_hops; i++) {
		bool gone = false;

		for (unsigned j = 0; j < n->n_hops; j++)
			gone |= !shadow_hop_cmp(&r->hops[i], &n->hops[j]);
		if (!gone)
			r->hops[left++] = r->hops[i];
	}
	r->n_hops = (uint16_t)left;
	if (!left)
		route_unlink(pp);
	return SHADOW_ROUTE;
}

static bool hops_over(struct shadow_route *r, int ifindex, bool dead)
{
	bool any = false;

	for (unsigned i = 0; i < r->n_hops; i++) {
		if (r->hops[i].ifindex != ifindex)
			continue;
		any = true;
		if (dead)
			r->hops[i].flags |= RTNH_F_DEAD;
		else
			r->hops[i].flags &= (uint8_t)~RTNH_F_DEAD;
	}
	return any;
}

static bool all_dead(const struct shadow_route *r)
{
	for (unsigned i = 0; i < r->n_hops; i++) {
		if (!(r->hops[i].flags & RTNH_F_DEAD))
			return false;
	}
	return true;
}

/* As fib_sync_down_dev: a hop over the link is dead; a route of dead hops is gone; when the link is
 * deleted every route with a hop over it is. */
unsigned shadow_routes_link_down(int ifindex, bool deleted)
{
	unsigned changed = 0;

	for (size_t b = 0; b < shadow_db.n_buckets; b++) {
		struct shadow_route **pp = &shadow_db.routes[b];

		while (*pp) {
			if ((*pp)->dst.addr.family == AF_INET && hops_over(*pp, ifindex, true)) {
				changed = SHADOW_ROUTE;
				if (deleted || all_dead(*pp)) {
					route_unlink(pp);
					continue;
				}
			}
			pp = &(*pp)->next;
		}
	}
	return changed;
}

/* As fib_sync_up: the hop of a surviving multipath route is used again. */
void shadow_routes_link_up(int ifindex)
{
	for (size_t b = 0; b < shadow_db.n_buckets; b++) {
		for (struct shadow_route *r = shadow_db.routes[b]; r; r = r->next) {
			if (r->dst.addr.family == AF_INET && r->n_hops > 1)
				hops_over(r, ifindex, false);
		}
	}
}

/* ---- the end of a dump ---- */

unsigned shadow_sweep_links(void)
{
	const struct shadow_link *l = shadow_link_next(NULL), *next;
	unsigned changed = 0;

	for (; l; l = next) {
		next = shadow_link_next(l);
		if (l->seen != shadow_db.dump)
			changed |= shadow_link_del(l->ifindex);
	}
	return changed;
}

unsigned shadow_sweep_link_addrs(struct shadow_link *l, int family)
{
	unsigned changed = 0;

	for (size_t i = 0; i < l->n_addrs;) {
		if (l->addrs[i].addr.addr.family != family || l->addrs[i].seen == shadow_db.dump) {
			i++;
			continue;
		}
		addr_take(l, i);
		changed = SHADOW_ADDR;
	}
	return changed;
}

unsigned shadow_sweep_addrs(int family)
{
	unsigned changed = 0;

	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l))
		changed |= shadow_sweep_link_addrs(shadow_link_get(l->ifindex), family);
	return changed;
}

unsigned shadow_sweep_routes(int family)
{
	unsigned changed = 0;

	for (size_t b = 0; b < shadow_db.n_buckets; b++) {
		struct shadow_route **pp = &shadow_db.routes[b];

		while (*pp) {
			if ((*pp)->dst.addr.family == family && (*pp)->seen != shadow_db.dump) {
				route_unlink(pp);
				changed = SHADOW_ROUTE;
			} else {
				pp = &(*pp)->next;
			}
		}
	}
	return changed;
}

/* ---- life ---- */

void shadow_db_init(const char *instance)
{
	rtr_strlcpy(shadow_db.instance, instance, sizeof(shadow_db.instance));
	shadow_db.proto = shadow_proto_of(instance);
	shadow_db.group = 0x72740000u + shadow_db.proto; /* "rt" */
	shadow_db.neighs = xcalloc(SHADOW_NEIGH_BUCKETS, sizeof(*shadow_db.neighs));
	routes_resize(ROUTE_BUCKETS_MIN);
}

void shadow_db_fini(void)
{
	const struct shadow_link *l;
	const struct shadow_route *r;

	while ((r = shadow_route_next(NULL)))
		shadow_route_del(r->table, &r->dst, r->metric);
	while ((l = shadow_link_next(NULL)))
		shadow_link_del(l->ifindex);
	shadow_neighs_free();
	shadow_rules_free();
	free(shadow_db.routes);
	memset(&shadow_db, 0, sizeof(shadow_db));
}
