/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/policy_set.h"

#include <stdlib.h>
#include <string.h>

/* ---- addresses ---- */

void pol_ranges_add(struct pol_ranges *l, const struct rtr_addr *lo, const struct rtr_addr *hi)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->n++] = (struct pol_addr_range){ .lo = *lo, .hi = *hi };
}

void pol_ranges_fini(struct pol_ranges *l)
{
	free(l->v);
	*l = (struct pol_ranges){ 0 };
}

void pol_ranges_add_prefix(struct pol_ranges *l, const struct rtr_prefix *p)
{
	struct rtr_prefix net = rtr_prefix_network(*p);
	struct rtr_addr mask = rtr_mask_of_len(net.addr.family, net.len), hi = net.addr;

	for (unsigned i = 0; i < rtr_family_size(hi.family); i++)
		hi.b[i] |= (uint8_t)~mask.b[i];
	pol_ranges_add(l, &net.addr, &hi);
}

void pol_ranges_add_set(struct pol_ranges *l, const struct pol_addrs *a)
{
	for (size_t i = 0; a && i < a->n; i++)
		pol_ranges_add(l, &a->r[i].lo, &a->r[i].hi);
}

static bool bit(const struct rtr_addr *a, unsigned i)
{
	return a->b[i / 8] >> (7 - i % 8) & 1;
}

static void set_bit(struct rtr_addr *a, unsigned i)
{
	a->b[i / 8] |= (uint8_t)(1 << (7 - i % 8));
}

void pol_ranges_add_wild(struct pol_ranges *l, const struct acl_addr *a)
{
	unsigned bits = rtr_family_bits(a->addr.family), low = bits, n_high = 0;
	unsigned high[ACL_WILD_HIGH];

	/* The lowest run of wild bits is one range. */
	while (low && bit(&a->wild, low - 1))
		low--;
	for (unsigned i = 0; i < low; i++) {
		if (bit(&a->wild, i) && n_high < ARRAY_LEN(high))
			high[n_high++] = i;
	}
	for (unsigned k = 0; k < 1u << n_high; k++) {
		struct rtr_addr lo = a->addr, hi;

		for (unsigned i = 0; i < n_high; i++) {
			if (k >> i & 1)
				set_bit(&lo, high[i]);
		}
		hi = lo;
		for (unsigned i = low; i < bits; i++)
			set_bit(&hi, i);
		pol_ranges_add(l, &lo, &hi);
	}
}

static int range_cmp(const void *a, const void *b)
{
	const struct pol_addr_range *x = a, *y = b;
	int c = rtr_addr_cmp(&x->lo, &y->lo);

	return c ? c : rtr_addr_cmp(&x->hi, &y->hi);
}

/* b is the address after a. */
static bool follows(const struct rtr_addr *a, const struct rtr_addr *b)
{
	struct rtr_addr n = *a;
	unsigned i = rtr_family_size(a->family);

	while (i && !++n.b[i - 1])
		i--;
	return i && !rtr_addr_cmp(&n, b);
}

struct pol_addrs *pol_ranges_set(const struct pol_ranges *l, uint8_t family, const char *group)
{
	struct pol_addrs *a = xcalloc(1, sizeof(*a) + l->n * sizeof(*a->r));
	size_t n = 0, out = 0;

	a->refs = 1;
	a->group = group ? xstrdup(group) : NULL;
	a->family = family;
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].lo.family == family)
			a->r[n++] = l->v[i];
	}
	if (n)
		qsort(a->r, n, sizeof(*a->r), range_cmp);
	for (size_t i = 1; i < n; i++) {
		struct pol_addr_range *last = &a->r[out];

		if (rtr_addr_cmp(&a->r[i].lo, &last->hi) <= 0 || follows(&last->hi, &a->r[i].lo)) {
			if (rtr_addr_cmp(&a->r[i].hi, &last->hi) > 0)
				last->hi = a->r[i].hi;
		} else {
			a->r[++out] = a->r[i];
		}
	}
	a->n = n ? out + 1 : 0;
	return a;
}

const struct pol_addrs *pol_addrs_ref(const struct pol_addrs *a)
{
	if (a)
		((struct pol_addrs *)(uintptr_t)a)->refs++;
	return a;
}

const struct pol_addrs *pol_addrs_unref(const struct pol_addrs *a)
{
	struct pol_addrs *w = (struct pol_addrs *)(uintptr_t)a;

	if (w && !--w->refs) {
		free((char *)(uintptr_t)w->group);
		free(w);
	}
	return NULL;
}

bool pol_addrs_has(const struct pol_addrs *a, const struct rtr_addr *addr)
{
	size_t lo = 0, hi = a->n;

	if (addr->family != a->family)
		return false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rtr_addr_cmp(&a->r[mid].hi, addr) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < a->n && rtr_addr_cmp(&a->r[lo].lo, addr) <= 0;
}

bool pol_addrs_equal(const struct pol_addrs *a, const struct pol_addrs *b)
{
	if (!a || !b)
		return a == b;
	return a->family == b->family && a->n == b->n &&
	       !memcmp(a->r, b->r, a->n * sizeof(*a->r)) && !a->group == !b->group &&
	       (!a->group || !strcmp(a->group, b->group));
}

/* ---- ports ---- */

static int port_cmp(const void *a, const void *b)
{
	const struct pol_port_range *x = a, *y = b;

	return (int)x->lo - (int)y->lo;
}

static size_t ports_merge(struct pol_port_range *r, size_t n)
{
	size_t out = 0;

	qsort(r, n, sizeof(*r), port_cmp);
	for (size_t i = 1; i < n; i++) {
		if (r[i].lo <= r[out].hi + 1)
			r[out].hi = MAX(r[out].hi, r[i].hi);
		else
			r[++out] = r[i];
	}
	return out + 1;
}

const struct pol_ports *pol_ports_of(const struct acl_ports *p)
{
	struct pol_ports *a = xcalloc(1, sizeof(*a) + (ACL_PORTS_MAX + 1) *
							      sizeof(struct pol_port_range));
	struct pol_port_range in[ACL_PORTS_MAX];
	size_t n = p->n;
	unsigned from = 0;

	a->refs = 1;
	for (size_t i = 0; i < n; i++) {
		in[i] = (struct pol_port_range){ .lo = p->r[i].lo, .hi = p->r[i].hi };
		if (p->op == ACL_PORT_LT)
			in[i] = (struct pol_port_range){ .lo = 0, .hi = in[i].lo - 1 };
		else if (p->op == ACL_PORT_GT)
			in[i] = (struct pol_port_range){ .lo = in[i].lo + 1, .hi = 65535 };
	}
	n = ports_merge(in, n);
	if (p->op != ACL_PORT_NEQ) {
		memcpy(a->r, in, n * sizeof(*in));
		a->n = n;
		return a;
	}
	for (size_t i = 0; i < n; i++) {
		if (in[i].lo > from)
			a->r[a->n++] = (struct pol_port_range){ .lo = (uint16_t)from,
								.hi = in[i].lo - 1 };
		from = in[i].hi + 1u;
	}
	if (from <= 65535)
		a->r[a->n++] = (struct pol_port_range){ .lo = (uint16_t)from, .hi = 65535 };
	return a;
}

const struct pol_ports *pol_ports_ref(const struct pol_ports *p)
{
	if (p)
		((struct pol_ports *)(uintptr_t)p)->refs++;
	return p;
}

const struct pol_ports *pol_ports_unref(const struct pol_ports *p)
{
	struct pol_ports *w = (struct pol_ports *)(uintptr_t)p;

	if (w && !--w->refs)
		free(w);
	return NULL;
}

bool pol_ports_has(const struct pol_ports *p, uint16_t port)
{
	for (size_t i = 0; i < p->n; i++) {
		if (port >= p->r[i].lo && port <= p->r[i].hi)
			return true;
	}
	return false;
}
