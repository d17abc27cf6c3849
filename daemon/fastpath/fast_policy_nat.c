/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Translations for the fast plane. */
#include "fastpath/fast_policy.h"

#include "hash.h"
#include "nat/nat.h"

#include <stdlib.h>
#include <string.h>

/* rtr-fastpath walks through its pools, and tells XDP of addresses; lines of more pools, or of
 * larger ones, are the kernel's. */
#define POOLS_MAX      64
#define POOL_ADDRS_MAX 4096

static uint8_t family_of(unsigned fam)
{
	return fam ? AF_INET6 : AF_INET;
}

/* ---- static lines ---- */

static void put_static(struct fp_compile *c, enum fastpol_section s, uint8_t family,
		       const struct nat_static *l)
{
	static const uint8_t kinds[] = { [NAT_HOST] = FASTPOL_HOST,
					 [NAT_NETWORK] = FASTPOL_NETWORK,
					 [NAT_TCP] = FASTPOL_TCP,
					 [NAT_UDP] = FASTPOL_UDP };
	struct fastpol_static *to = fp_add(c, s);

	*to = (struct fastpol_static){ .family = family,
				       .kind = kinds[l->kind],
				       .len = l->len,
				       .bound = *l->ifname != '\0',
				       .ifindex = fp_ifindex(c, l->ifname),
				       .line = nat_line_id(l->rec),
				       .lport = l->lport,
				       .gport = l->gport,
				       .n_ports = l->n_ports };
	fp_addr(to->local, &l->local);
	fp_addr(to->global, &l->global);
}

static int by_global(const void *a, const void *b)
{
	const struct nat_outside *const *x = a, *const *y = b;
	int c = rtr_addr_cmp(&(*x)->global, &(*y)->global);

	/* Of several with one address the first in order, as the judge takes them. */
	return c ? c : (*x > *y) - (*x < *y);
}

static void put_outside(struct fp_compile *c, enum fastpol_section s, uint8_t family,
			const struct nat_outside *o)
{
	struct fastpol_outside *to = fp_add(c, s);

	to->family = family;
	to->line = nat_line_id(o->rec);
	fp_addr(to->local, &o->local);
	fp_addr(to->global, &o->global);
}

static void put_fixed(struct fp_compile *c, unsigned fam)
{
	const struct nat_family *f = &c->p->nat->f[fam];
	const struct nat_outside **v = xcalloc(f->n_outsides + 1, sizeof(struct nat_outside *));

	for (size_t i = 0; i < f->n_statics; i++) {
		put_static(c, FASTPOL_S_GLOBALS, family_of(fam), &f->statics[i]);
		put_static(c, FASTPOL_S_LOCALS, family_of(fam), &f->by_local[i]);
	}
	for (size_t i = 0; i < f->n_outsides; i++) {
		v[i] = &f->outsides[i];
		put_outside(c, FASTPOL_S_OUT_LOCAL, family_of(fam), v[i]);
	}
	qsort(v, f->n_outsides, sizeof(struct nat_outside *), by_global);
	for (size_t i = 0; i < f->n_outsides; i++)
		put_outside(c, FASTPOL_S_OUT_GLOBAL, family_of(fam), v[i]);
	free(v);
}

/* ---- pools ---- */

/* The pool of just these addresses. Ports of an address are handed out by one pool only: what
 * overlaps with another one has none. */
static uint32_t pool_with(struct fp_compile *c, struct fastpol_pool p, const struct rtr_addr *lo,
			  const struct rtr_addr *hi)
{
	const struct fp_vec *v = &c->sec[FASTPOL_S_POOLS];
	struct fastpol_pool *to;

	p.family = lo->family;
	fp_addr(p.lo, lo);
	fp_addr(p.hi, hi);
	for (uint32_t i = 0; i < v->n; i++) {
		const struct fastpol_pool *o = (const struct fastpol_pool *)(void *)v->v + i;

		if (!memcmp(o, &p, sizeof(p)))
			return i;
		if (o->family == p.family && memcmp(o->lo, p.hi, 16) <= 0 &&
		    memcmp(p.lo, o->hi, 16) <= 0)
			return FASTPOL_NONE;
	}
	if (v->n == POOLS_MAX || nat_addr_diff(hi, lo) >= POOL_ADDRS_MAX)
		return FASTPOL_NONE;
	to = fp_add(c, FASTPOL_S_POOLS);
	*to = p;
	return v->n - 1;
}

static uint32_t pool_of(struct fp_compile *c, const struct rtr_addr *lo, const struct rtr_addr *hi)
{
	return pool_with(c, (struct fastpol_pool){ 0 }, lo, hi);
}

/* Mappings of before are not those of hosts that have other shares now. */
static uint32_t share_pool(struct fp_compile *c, const struct nat_dynamic *d)
{
	struct fastpol_pool p = { .share = d->pool->det_ports };

	for (size_t i = 0; i < d->det->n; i++) {
		const struct nat_det_range *r = &d->det->r[i];
		uint64_t h = hash_bytes(r->lo.b, sizeof(r->lo.b), r->first);

		p.shares = (uint32_t)hash_bytes(r->hi.b, sizeof(r->hi.b), h ^ p.shares);
	}
	return pool_with(c, p, &d->pool->lo, &d->pool->hi);
}

/* ---- lists ---- */

static struct fastpol_span put_hosts(struct fp_compile *c, const struct nat_det *t)
{
	struct fastpol_span s = { c->sec[FASTPOL_S_HOSTS].n, (uint32_t)t->n };

	for (size_t i = 0; i < t->n; i++) {
		struct fastpol_hosts *h = fp_add(c, FASTPOL_S_HOSTS);

		fp_addr(h->lo, &t->r[i].lo);
		fp_addr(h->hi, &t->r[i].hi);
		h->first = t->r[i].first;
	}
	return s;
}

static struct fastpol_span put_map(struct fp_compile *c, const struct nat_dynamic *d)
{
	struct fastpol_span s = { c->sec[FASTPOL_S_MAPS].n, (uint32_t)d->n_map };

	for (size_t i = 0; i < d->n_map; i++) {
		struct fastpol_map *m = fp_add(c, FASTPOL_S_MAPS);

		fp_addr(m->lo, &d->map[i].lo);
		fp_addr(m->hi, &d->map[i].hi);
		fp_addr(m->dst, &d->map[i].dst);
	}
	return s;
}

static uint32_t dynamic_pool(struct fp_compile *c, unsigned fam, const struct nat_dynamic *d)
{
	const struct nat_iface *i;

	if (d->pool)
		return pool_of(c, &d->pool->lo, &d->pool->hi);
	i = nat_iface_find(c->p->nat, *d->loopback ? d->loopback : d->ifname);
	if (!i || !i->n_addrs[fam])
		return FASTPOL_NONE;
	return pool_of(c, &i->addrs[fam][0], &i->addrs[fam][0]);
}

static void put_dynamic(struct fp_compile *c, unsigned fam, const struct nat_dynamic *d)
{
	struct fastpol_dynamic to = { .kind = FASTPOL_D_EXEMPT,
				      .bound = *d->ifname != '\0',
				      .ifindex = fp_ifindex(c, d->ifname),
				      .list = fp_list(c, d->list),
				      .pool = FASTPOL_NONE,
				      .line = nat_line_id(d->rec) };

	if (!d->exempt && d->pool && !d->overload) {
		to.kind = FASTPOL_D_MAP;
		to.map = put_map(c, d);
	} else if (d->det) {
		to.map = put_hosts(c, d->det);
		to.pool = share_pool(c, d);
		to.kind = to.pool == FASTPOL_NONE ? FASTPOL_D_KERNEL : FASTPOL_D_SHARE;
	} else if (!d->exempt) {
		to.pool = dynamic_pool(c, fam, d);
		to.kind = to.pool == FASTPOL_NONE ? FASTPOL_D_KERNEL : FASTPOL_D_POOL;
	}
	*(struct fastpol_dynamic *)fp_add(c, FASTPOL_S_DYNAMICS) = to;
}

static void put_lists(struct fp_compile *c, unsigned fam)
{
	const struct nat_family *f = &c->p->nat->f[fam];

	for (size_t i = 0; i < f->n_dynamics; i++)
		put_dynamic(c, fam, &f->dynamics[i]);
	for (size_t i = 0; i < f->n_rotaries; i++) {
		uint32_t list = fp_list(c, f->rotaries[i].list);

		((struct fastpol_rotary *)fp_add(c, FASTPOL_S_ROTARIES))->list = list;
	}
	/* Hairpin: who asks for a forwarded port from inside comes from its address. */
	for (size_t i = 0; i < f->n_statics; i++) {
		if (f->statics[i].kind >= NAT_TCP)
			pool_of(c, &f->statics[i].global, &f->statics[i].global);
	}
}

/* ---- shared addresses: nat_is_shared ---- */

static void share(struct fp_compile *c, const struct rtr_addr *lo, const struct rtr_addr *hi)
{
	struct fastpol_shared *s = fp_add(c, FASTPOL_S_SHARED);

	s->family = lo->family;
	fp_addr(s->lo, lo);
	fp_addr(s->hi, hi);
}

static void share_dynamic(struct fp_compile *c, unsigned fam, const struct nat_dynamic *d)
{
	const struct nat_iface *i;

	if (d->pool) {
		if (d->overload)
			share(c, &d->pool->lo, &d->pool->hi);
		return;
	}
	i = d->exempt ? NULL : nat_iface_find(c->p->nat, *d->loopback ? d->loopback : d->ifname);
	for (size_t k = 0; i && k < i->n_addrs[fam]; k++)
		share(c, &i->addrs[fam][k], &i->addrs[fam][k]);
}

static int shared_cmp(const void *a, const void *b)
{
	const struct fastpol_shared *x = a, *y = b;

	return x->family != y->family ? (int)x->family - y->family : memcmp(x->lo, y->lo, 16);
}

static void put_shared(struct fp_compile *c)
{
	struct fp_vec *v = &c->sec[FASTPOL_S_SHARED];
	struct fastpol_shared *s;
	uint32_t n = 0;

	for (unsigned fam = 0; fam < 2; fam++) {
		const struct nat_family *f = &c->p->nat->f[fam];

		for (size_t i = 0; i < f->n_dynamics; i++)
			share_dynamic(c, fam, &f->dynamics[i]);
		for (size_t i = 0; i < f->n_statics; i++) {
			if (f->statics[i].kind >= NAT_TCP)
				share(c, &f->statics[i].global, &f->statics[i].global);
		}
	}
	if (!v->n)
		return;
	qsort(v->v, v->n, sizeof(*s), shared_cmp);
	s = (void *)v->v;
	for (uint32_t i = 0; i < v->n; i++) {
		if (n && s[n - 1].family == s[i].family && memcmp(s[i].lo, s[n - 1].hi, 16) <= 0) {
			if (memcmp(s[i].hi, s[n - 1].hi, 16) > 0)
				memcpy(s[n - 1].hi, s[i].hi, 16);
		} else {
			s[n++] = s[i];
		}
	}
	v->n = n;
}

void fp_compile_nat(struct fp_compile *c)
{
	const struct nat_policy *nat = c->p->nat;
	const struct pol_ports *carved = nat->carved;

	c->hdr.block = nat->block;
	c->hdr.blocks = nat->blocks;
	c->hdr.fast_lo = nat->range[NAT_PORTS_FAST].lo;
	c->hdr.fast_hi = nat->range[NAT_PORTS_FAST].hi;
	c->hdr.carved = (struct fastpol_span){ c->sec[FASTPOL_S_PORTS].n, (uint32_t)carved->n };
	for (size_t i = 0; i < carved->n; i++)
		*(struct fastpol_ports *)fp_add(c, FASTPOL_S_PORTS) = (struct fastpol_ports){
			carved->r[i].lo, carved->r[i].hi
		};
	for (unsigned fam = 0; fam < 2; fam++) {
		put_fixed(c, fam);
		put_lists(c, fam);
	}
	put_shared(c);
}
