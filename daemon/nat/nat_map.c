/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pools without overload: each source that the list permits has an address of its own, fixed by
 * the two sets alone, so that it is the same after a restart, on the other plane and on the other
 * router. The n-th permitted address gets the n-th of the pool; with match-host the one with the
 * same host part. Where the sources do not fit, the line is refused: the kernel cannot hand out
 * addresses in turn and keep each to one host.
 */
#include "domain.h"
#include "nat/nat.h"

#include <stdlib.h>
#include <string.h>

/* Elements of the kernel's map for one line, about 100 bytes each. */
#define MAP_ELEMENTS_MAX 65536

struct ranges {
	size_t n, room;
	struct pol_addr_range *v;
};

static void ranges_add(struct ranges *r, struct rtr_addr lo, struct rtr_addr hi)
{
	if (r->n == r->room) {
		r->room = r->room ? r->room * 2 : 16;
		r->v = xrealloc(r->v, r->room * sizeof(*r->v));
	}
	r->v[r->n++] = (struct pol_addr_range){ lo, hi };
}

/* Adds what of lo..hi is not in `have` (ascending, disjoint). */
static void add_new(struct ranges *to, const struct ranges *have, struct rtr_addr lo,
		    struct rtr_addr hi)
{
	for (size_t i = 0; i < have->n; i++) {
		const struct pol_addr_range *h = &have->v[i];
		struct rtr_addr before = h->lo;

		if (rtr_addr_cmp(&h->hi, &lo) < 0)
			continue;
		if (rtr_addr_cmp(&h->lo, &hi) > 0)
			break;
		if (rtr_addr_cmp(&lo, &h->lo) < 0) {
			for (unsigned b = rtr_family_size(before.family); b--;) {
				if (before.b[b]--)
					break;
			}
			ranges_add(to, lo, before);
		}
		lo = h->hi;
		if (!nat_addr_add(&lo, 1) || rtr_addr_cmp(&lo, &hi) > 0)
			return;
	}
	ranges_add(to, lo, hi);
}

static int range_cmp(const void *a, const void *b)
{
	return rtr_addr_cmp(&((const struct pol_addr_range *)a)->lo,
			    &((const struct pol_addr_range *)b)->lo);
}

static void merge(struct ranges *a, const struct ranges *b)
{
	for (size_t i = 0; i < b->n; i++)
		ranges_add(a, b->v[i].lo, b->v[i].hi);
	if (a->n)
		qsort(a->v, a->n, sizeof(*a->v), range_cmp);
}

bool nat_list_is_sources(const struct pol_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct pol_rule *r = l->rules[i];

		if (r->dst || r->n_services != 1 || r->services[0].proto != POL_PROTO_ANY)
			return false;
	}
	return true;
}

struct pol_addrs *nat_list_sources(const struct pol_list *l)
{
	struct ranges seen = { 0 }, out = { 0 };
	struct pol_addrs *ret;

	for (size_t i = 0; i < l->n; i++) {
		const struct pol_rule *r = l->rules[i];
		struct rtr_prefix all = { .addr = { .family = l->family } };
		struct pol_addr_range any = { all.addr, nat_prefix_last(&all) };
		const struct pol_addr_range *v = r->src ? r->src->r : &any;
		struct ranges fresh = { 0 };

		if (!r->active)
			continue;
		for (size_t k = 0; k < (r->src ? r->src->n : 1); k++)
			add_new(&fresh, &seen, v[k].lo, v[k].hi);
		merge(&seen, &fresh);
		if (r->action == POL_PERMIT)
			merge(&out, &fresh);
		free(fresh.v);
	}
	ret = xcalloc(1, sizeof(*ret) + out.n * sizeof(ret->r[0]));
	ret->refs = 1;
	ret->family = l->family;
	for (size_t i = 0; i < out.n; i++) {
		struct rtr_addr next = ret->n ? ret->r[ret->n - 1].hi : out.v[0].lo;

		if (ret->n && nat_addr_add(&next, 1) && !rtr_addr_cmp(&next, &out.v[i].lo))
			ret->r[ret->n - 1].hi = out.v[i].hi;
		else
			ret->r[ret->n++] = out.v[i];
	}
	free(out.v);
	free(seen.v);
	return ret;
}

static void map_add(struct nat_dynamic *d, struct rtr_addr lo, struct rtr_addr hi,
		    struct rtr_addr dst)
{
	d->map = xrealloc(d->map, (d->n_map + 1) * sizeof(*d->map));
	d->map[d->n_map++] = (struct nat_map_range){ lo, hi, dst };
}

/* False: more sources than addresses. */
static bool map_by_rank(struct nat_dynamic *d, const struct pol_addrs *src)
{
	struct rtr_addr next = d->pool->lo;
	uint64_t left = nat_addrs_size(d->pool);

	for (size_t i = 0; i < src->n; i++) {
		uint64_t n = nat_addr_diff(&src->r[i].hi, &src->r[i].lo);

		if (n == UINT64_MAX || ++n > left)
			return false;
		map_add(d, src->r[i].lo, src->r[i].hi, next);
		left -= n;
		if (!nat_addr_add(&next, n))
			return left == 0 && i + 1 == src->n;
	}
	return true;
}

/* The host part of a in the pool's network. */
static struct rtr_addr with_host(const struct nat_addrs *pool, const struct rtr_addr *a)
{
	struct rtr_addr mask = rtr_mask_of_len(a->family, pool->len), r = *a;

	for (unsigned i = 0; i < rtr_family_size(a->family); i++)
		r.b[i] = (uint8_t)((pool->lo.b[i] & mask.b[i]) | (a->b[i] & ~mask.b[i]));
	return r;
}

static bool map_by_host(struct nat_dynamic *d, const struct pol_addrs *src)
{
	struct rtr_prefix net = { 0 };

	for (size_t i = 0; i < src->n; i++) {
		struct rtr_addr lo = with_host(d->pool, &src->r[i].lo);
		struct rtr_addr hi = with_host(d->pool, &src->r[i].hi);

		if (!i)
			net = rtr_prefix_network(
				(struct rtr_prefix){ .addr = src->r[i].lo, .len = d->pool->len });
		if (!rtr_prefix_contains(&net, &src->r[i].lo) ||
		    !rtr_prefix_contains(&net, &src->r[i].hi) ||
		    rtr_addr_cmp(&lo, &d->pool->lo) < 0 || rtr_addr_cmp(&hi, &d->pool->hi) > 0)
			return false;
		map_add(d, src->r[i].lo, src->r[i].hi, lo);
	}
	return true;
}

/* The low bits in which a and b are equal: a block of 2^that moves by a change of prefix. */
static unsigned equal_bits(const struct rtr_addr *a, const struct rtr_addr *b)
{
	unsigned n = 0;

	for (unsigned i = rtr_family_size(a->family); i--; n += 8) {
		uint8_t x = a->b[i] ^ b->b[i];

		if (x)
			return n + (unsigned)__builtin_ctz(x);
	}
	return n;
}

/* Zero bits at the end of an address. */
static unsigned zero_bits(const struct rtr_addr *a)
{
	struct rtr_addr zero = { .family = a->family };

	return equal_bits(a, &zero);
}

bool nat_map_blocks(const struct nat_map_range *m, nat_block_fn fn, void *arg)
{
	struct rtr_addr src = m->lo, dst = m->dst;
	uint64_t left = nat_addr_diff(&m->hi, &m->lo), step;

	for (;;) {
		unsigned bits = MIN(zero_bits(&src), zero_bits(&dst));

		bits = MIN(bits, 63u);
		while ((1ull << bits) - 1 > left)
			bits--;
		step = 1ull << bits;
		if (!fn(arg, &src, &dst, bits))
			return false;
		if (left < step)
			return true;
		left -= step;
		nat_addr_add(&src, step);
		nat_addr_add(&dst, step);
	}
}

static bool count_block(void *arg, const struct rtr_addr *src, const struct rtr_addr *dst,
			unsigned bits)
{
	return ++*(size_t *)arg <= MAP_ELEMENTS_MAX;
}

static bool map_fits_kernel(const struct nat_dynamic *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_map; i++) {
		if (!nat_map_blocks(&d->map[i], count_block, &n))
			return false;
	}
	return true;
}

void nat_map_build(struct nat_dynamic *d, struct check *c)
{
	struct pol_addrs *src;
	char text[RTR_ADDR_STRLEN];

	if (!nat_list_is_sources(d->list)) {
		if (c)
			check_error(c, d->rec,
				    "without overload the list %s may name sources only, not "
				    "destinations, protocols or ports",
				    d->list->name);
		return;
	}
	src = nat_list_sources(d->list);
	if (d->pool->match_host ? !map_by_host(d, src) : !map_by_rank(d, src)) {
		if (c && d->pool->match_host)
			check_error(c, d->rec,
				    "not every source of list %s has its host part in pool %s",
				    d->list->name, d->pool->name);
		else if (c)
			check_error(c, d->rec,
				    "list %s permits more sources than pool %s has addresses from "
				    "%s: say overload, or permit fewer",
				    d->list->name, d->pool->name, rtr_addr_str(&d->pool->lo, text));
	} else if (c && !map_fits_kernel(d)) {
		check_error(c, d->rec,
			    "sources and pool are so far out of step that they need more than %d "
			    "pairs: let both start at a multiple of their size",
			    MAP_ELEMENTS_MAX);
	}
	free(src);
}

bool nat_map_find(const struct nat_dynamic *d, const struct rtr_addr *src, struct rtr_addr *ret)
{
	for (size_t i = 0; i < d->n_map; i++) {
		const struct nat_map_range *m = &d->map[i];

		if (rtr_addr_cmp(src, &m->lo) < 0 || rtr_addr_cmp(src, &m->hi) > 0)
			continue;
		*ret = m->dst;
		return nat_addr_add(ret, nat_addr_diff(src, &m->lo));
	}
	return false;
}
