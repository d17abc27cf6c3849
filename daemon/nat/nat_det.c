/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deterministic pools (RFC 7422): which public address and ports an inside host has follows from
 * the configuration alone, so nothing need be logged to tell who it was.
 *
 * Of each address K hosts have a share: one of the K blocks that the fast plane's ports are cut
 * into, each of the ports that the line says, and one of the kernel's, which are then cut into as
 * many blocks, as large as they can be. The n-th host that the list permits has address n / K of
 * the pool and block n % K (sequential, in RFC 7422's words): so hosts and addresses that are added
 * behind change nobody's share. No block has a hole where forwards or reserved ports are.
 */
#include "domain.h"
#include "nat/nat.h"

#include <stdlib.h>

/* Elements of the kernel's map for one line, about 130 bytes each. */
#define HOSTS_MAX 65536

/* ---- blocks of ports ---- */

static uint32_t n_blocks(const struct pol_ports *p, uint32_t size)
{
	uint32_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += (p->r[i].hi - p->r[i].lo + 1u) / size;
	return n;
}

uint32_t nat_ports_blocks(const struct nat_policy *p, enum nat_port_user who, uint32_t size)
{
	return n_blocks(p->ports[who], size);
}

/* Block at of that size; it is there. */
static struct pol_port_range block_at(const struct pol_ports *p, uint32_t size, uint32_t at)
{
	for (size_t i = 0; i < p->n; i++) {
		uint32_t n = (p->r[i].hi - p->r[i].lo + 1u) / size, lo = p->r[i].lo + at * size;

		if (at < n)
			return (struct pol_port_range){ (uint16_t)lo, (uint16_t)(lo + size - 1) };
		at -= n;
	}
	return (struct pol_port_range){ 0, 0 };
}

/* Number of the block that the port is in; -1: of none. */
static int64_t block_of(const struct pol_ports *p, uint32_t size, uint16_t port)
{
	uint32_t before = 0;

	for (size_t i = 0; i < p->n; i++) {
		uint32_t n = (p->r[i].hi - p->r[i].lo + 1u) / size;

		if (port >= p->r[i].lo && port <= p->r[i].hi) {
			uint32_t at = (port - p->r[i].lo) / size;

			return at < n ? (int64_t)(before + at) : -1;
		}
		before += n;
	}
	return -1;
}

/* The largest of which there are n; 0: not even of one port. */
static uint32_t largest_block(const struct pol_ports *p, uint32_t n)
{
	uint32_t lo = 0, hi = UINT16_MAX;

	while (lo < hi) {
		uint32_t mid = (lo + hi + 1) / 2;

		if (n_blocks(p, mid) >= n)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

/* ---- making ---- */

/* UINT64_MAX: more than anybody counts. */
static uint64_t count(const struct pol_addrs *src)
{
	uint64_t n = 0;

	for (size_t i = 0; i < src->n; i++) {
		uint64_t d = nat_addr_diff(&src->r[i].hi, &src->r[i].lo);

		if (d >= UINT64_MAX - 1 - n)
			return UINT64_MAX;
		n += d + 1;
	}
	return n;
}

static bool check_list(const struct nat_dynamic *d, struct check *c)
{
	bool ok = nat_list_is_sources(d->list);

	if (!ok && c)
		check_error(c, d->rec,
			    "a deterministic pool goes by sources only: list %s names "
			    "destinations, protocols or ports",
			    d->list->name);
	for (size_t i = 0; ok && i < d->list->n; i++) {
		if (!d->list->rules[i]->time_range)
			continue;
		if (c)
			check_error(c, d->rec,
				    "list %s, line %u: shares of a deterministic pool do not "
				    "change with the hour",
				    d->list->name, d->list->rules[i]->seq);
		ok = false;
	}
	return ok;
}

uint64_t nat_det_room(const struct nat_dynamic *d, const struct nat_det *t)
{
	uint64_t room;

	return __builtin_mul_overflow(nat_addrs_size(d->pool), t->per_addr, &room) ? UINT64_MAX
										   : room;
}

/* Is there room for so many hosts? */
static bool check_room(const struct nat_dynamic *d, const struct nat_det *t, uint64_t hosts,
		       struct check *c)
{
	uint64_t addrs = nat_addrs_size(d->pool), room = nat_det_room(d, t);
	const char *why = hosts > room ? "there is no room" : NULL;

	if (!why && hosts <= HOSTS_MAX)
		return true;
	if (!c)
		return false;
	if (!why)
		check_error(c, d->rec, "list %s permits more than %d hosts: use several lines",
			    d->list->name, HOSTS_MAX);
	else
		check_error(c, d->rec,
			    "list %s permits %llu hosts, pool %s has room for %llu: %llu addresses "
			    "for %u hosts each, with %u of the fast plane's ports a host",
			    d->list->name, (unsigned long long)hosts, d->pool->name,
			    (unsigned long long)room, (unsigned long long)addrs, t->per_addr,
			    t->size[NAT_PORTS_FAST]);
	return false;
}

static struct nat_det *det_new(const struct nat_policy *p, const struct nat_dynamic *d,
			       const struct pol_addrs *src)
{
	struct nat_det *t = xcalloc(1, sizeof(*t) + src->n * sizeof(t->r[0]));

	t->size[NAT_PORTS_FAST] = d->pool->det_ports;
	t->per_addr = n_blocks(p->ports[NAT_PORTS_FAST], d->pool->det_ports);
	t->size[NAT_PORTS_KERNEL] = t->per_addr
					    ? largest_block(p->ports[NAT_PORTS_KERNEL], t->per_addr)
					    : 0;
	for (size_t i = 0; i < src->n; i++) {
		t->r[t->n++] = (struct nat_det_range){ src->r[i].lo, src->r[i].hi, t->n_hosts };
		t->n_hosts += (uint32_t)nat_addr_diff(&src->r[i].hi, &src->r[i].lo) + 1;
	}
	return t;
}

static void build(const struct nat_policy *p, struct nat_dynamic *d, struct check *c)
{
	struct pol_addrs *src;
	struct nat_det *t;

	if (!check_list(d, c))
		return;
	src = nat_list_sources(d->list);
	t = det_new(p, d, src);
	if (!t->size[NAT_PORTS_KERNEL] || !t->size[NAT_PORTS_FAST]) {
		/* Without a single port of either that was said already. */
		if (c && p->ports[NAT_PORTS_FAST]->n && p->ports[NAT_PORTS_KERNEL]->n)
			check_error(c, d->rec,
				    "pool %s: %u ports a host are %u hosts of an address, and the "
				    "kernel has %u ports",
				    d->pool->name, d->pool->det_ports, t->per_addr,
				    n_blocks(p->ports[NAT_PORTS_KERNEL], 1));
	} else if (check_room(d, t, count(src), c)) {
		d->det = t;
		t = NULL;
	}
	free(t);
	free(src);
}

void nat_det_build(struct nat_policy *p, struct check *c)
{
	for (unsigned f = 0; f < 2; f++) {
		for (size_t i = 0; i < p->f[f].n_dynamics; i++) {
			struct nat_dynamic *d = &p->f[f].dynamics[i];

			if (d->pool && d->pool->det_ports)
				build(p, d, c);
		}
	}
}

/* ---- asking ---- */

void nat_det_share(const struct nat_policy *p, const struct nat_dynamic *d, uint32_t host,
		   struct nat_share *ret)
{
	const struct nat_det *t = d->det;
	uint32_t at = host % t->per_addr;

	ret->addr = d->pool->lo;
	nat_addr_add(&ret->addr, host / t->per_addr);
	ret->fast = block_at(p->ports[NAT_PORTS_FAST], t->size[NAT_PORTS_FAST], at);
	ret->kernel = block_at(p->ports[NAT_PORTS_KERNEL], t->size[NAT_PORTS_KERNEL], at);
}

bool nat_det_find(const struct nat_policy *p, const struct nat_dynamic *d,
		  const struct rtr_addr *src, struct nat_share *ret)
{
	const struct nat_det *t = d->det;

	for (size_t lo = 0, hi = t ? t->n : 0; lo < hi;) {
		size_t mid = (lo + hi) / 2;
		const struct nat_det_range *r = &t->r[mid];

		if (rtr_addr_cmp(src, &r->lo) < 0) {
			hi = mid;
		} else if (rtr_addr_cmp(src, &r->hi) > 0) {
			lo = mid + 1;
		} else {
			nat_det_share(p, d, r->first + (uint32_t)nat_addr_diff(src, &r->lo), ret);
			return true;
		}
	}
	return false;
}

/* The host of that number; it is there. */
static struct rtr_addr host_at(const struct nat_det *t, uint32_t host)
{
	size_t i = t->n - 1;
	struct rtr_addr a;

	while (t->r[i].first > host)
		i--;
	a = t->r[i].lo;
	nat_addr_add(&a, host - t->r[i].first);
	return a;
}

bool nat_det_behind(const struct nat_policy *p, const struct nat_dynamic *d,
		    const struct rtr_addr *addr, uint16_t port, struct rtr_addr *ret)
{
	static const enum nat_port_user users[] = { NAT_PORTS_FAST, NAT_PORTS_KERNEL };
	const struct nat_det *t = d->det;
	uint64_t at;

	if (!t || rtr_addr_cmp(addr, &d->pool->lo) < 0 || rtr_addr_cmp(addr, &d->pool->hi) > 0)
		return false;
	at = nat_addr_diff(addr, &d->pool->lo);
	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		int64_t b = block_of(p->ports[users[i]], t->size[users[i]], port);

		if (b < 0 || b >= t->per_addr || at >= HOSTS_MAX ||
		    at * t->per_addr + (uint64_t)b >= t->n_hosts)
			continue;
		*ret = host_at(t, (uint32_t)at * t->per_addr + (uint32_t)b);
		return true;
	}
	return false;
}
