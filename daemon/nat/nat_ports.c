/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address arithmetic; the three port ranges of a shared address, less what is carved out. */
#include "domain.h"
#include "nat/nat.h"

#include <stdlib.h>
#include <string.h>

/* nat_policy.h draws them. Local is what a box needs for sockets of its own; the fast plane gets
 * the largest part. */
static const struct pol_port_range range_default[NAT_PORTS__MAX] = {
	[NAT_PORTS_LOCAL] = { 57344, 65535 },
	[NAT_PORTS_KERNEL] = { 40960, 57343 },
	[NAT_PORTS_FAST] = { 10240, 40959 },
};

/* Static ranges may carve a range to pieces; the kernel picks one of the pieces by a map. */
#define MAX_PIECES 256

/* ---- addresses as numbers ---- */

bool nat_addr_add(struct rtr_addr *a, uint64_t n)
{
	unsigned size = rtr_family_size(a->family);

	for (unsigned i = size; i-- && n;) {
		n += a->b[i];
		a->b[i] = (uint8_t)n;
		n >>= 8;
	}
	return !n;
}

uint64_t nat_addr_diff(const struct rtr_addr *b, const struct rtr_addr *a)
{
	unsigned size = rtr_family_size(a->family);
	uint64_t d = 0;
	int borrow = 0;
	uint8_t out[16];

	for (unsigned i = size; i--;) {
		int v = (int)b->b[i] - a->b[i] - borrow;

		borrow = v < 0;
		out[i] = (uint8_t)v;
	}
	for (unsigned i = 0; i < size; i++) {
		if (size - i > 8 && out[i])
			return UINT64_MAX;
		d = d << 8 | out[i];
	}
	return d;
}

struct rtr_addr nat_prefix_last(const struct rtr_prefix *p)
{
	struct rtr_addr a = p->addr, mask = rtr_mask_of_len(p->addr.family, p->len);

	for (unsigned i = 0; i < rtr_family_size(a.family); i++)
		a.b[i] |= (uint8_t)~mask.b[i];
	return a;
}

/* ---- sets of ports ---- */

static struct pol_ports *ports_new(size_t room)
{
	struct pol_ports *p = xcalloc(1, sizeof(*p) + room * sizeof(p->r[0]));

	p->refs = 1;
	return p;
}

static int span_cmp(const void *a, const void *b)
{
	const struct pol_port_range *x = a, *y = b;

	return x->lo != y->lo ? (int)x->lo - y->lo : (int)x->hi - y->hi;
}

/* Sorts and joins what overlaps or touches. */
static void ports_tidy(struct pol_ports *p)
{
	size_t n = 0;

	if (p->n)
		qsort(p->r, p->n, sizeof(p->r[0]), span_cmp);
	for (size_t i = 0; i < p->n; i++) {
		if (n && p->r[i].lo <= p->r[n - 1].hi + 1u)
			p->r[n - 1].hi = MAX(p->r[n - 1].hi, p->r[i].hi);
		else
			p->r[n++] = p->r[i];
	}
	p->n = n;
}

/* What of `range` is not in `out`. */
static struct pol_ports *ports_without(struct pol_port_range range, const struct pol_ports *out)
{
	struct pol_ports *p = ports_new(out->n + 1);
	uint32_t at = range.lo;

	for (size_t i = 0; i < out->n && at <= range.hi; i++) {
		if (out->r[i].hi < at)
			continue;
		if (out->r[i].lo > range.hi)
			break;
		if (out->r[i].lo > at)
			p->r[p->n++] = (struct pol_port_range){ (uint16_t)at,
								(uint16_t)(out->r[i].lo - 1) };
		at = out->r[i].hi + 1u;
	}
	if (at <= range.hi)
		p->r[p->n++] = (struct pol_port_range){ (uint16_t)at, range.hi };
	return p;
}

/* Ports that forwards answer on, and reserved ones. By the lines, whatever address an interface has
 * or lacks now: blocks of deterministic pools must not move with it. */
static struct pol_ports *carved(const struct rec *model)
{
	const struct recvec *reserved = rec_kids(model, &nat_reserve_type);
	size_t room = reserved->len + rec_kids(model, nat_static_types[0])->len +
		      rec_kids(model, nat_static_types[1])->len;
	const struct nat_reserve_conf *res;
	struct pol_ports *out = ports_new(room);

	for (unsigned f = 0; f < 2; f++) {
		const struct nat_static_conf *s;

		recvec_foreach(rec_kids(model, nat_static_types[f]), s) {
			if (s->kind >= NAT_TCP)
				out->r[out->n++] = (struct pol_port_range){ s->gports.lo,
									    s->gports.hi };
		}
	}
	recvec_foreach(reserved, res) {
		out->r[out->n++] = (struct pol_port_range){ res->ports.lo, res->ports.hi };
	}
	ports_tidy(out);
	return out;
}

static void check_ranges(const struct nat_policy *p, const struct rec *const rec[NAT_PORTS__MAX],
			 struct check *c)
{
	static const char *const names[NAT_PORTS__MAX] = { "local", "kernel", "fast" };

	for (unsigned i = 0; i < NAT_PORTS__MAX; i++) {
		if (p->range[i].lo > p->range[i].hi)
			check_error(c, rec[i], "the first port is above the last");
		for (unsigned k = 0; k < i; k++) {
			if (p->range[i].lo <= p->range[k].hi && p->range[k].lo <= p->range[i].hi)
				check_error(c, rec[i] ? rec[i] : rec[k],
					    "overlaps with the %s range %u-%u",
					    names[rec[i] ? k : i], p->range[rec[i] ? k : i].lo,
					    p->range[rec[i] ? k : i].hi);
		}
		if (!p->ports[i]->n)
			check_error(c, rec[i], "forwards and reserved ports leave no %s port",
				    names[i]);
		if (p->ports[i]->n > MAX_PIECES)
			check_error(c, rec[i], "forwards cut the %s ports into more than %d pieces",
				    names[i], MAX_PIECES);
	}
}

void nat_ports_build(struct nat_policy *p, const struct rec *model, struct check *c)
{
	const struct recvec *v = rec_kids(model, &nat_range_type);
	const struct rec *rec[NAT_PORTS__MAX] = { NULL };
	const struct nat_range_conf *r;

	memcpy(p->range, range_default, sizeof(p->range));
	recvec_foreach(v, r) {
		p->range[r->who] = (struct pol_port_range){ r->lo, r->hi };
		rec[r->who] = &r->rec;
	}
	p->carved = carved(model);
	for (unsigned i = 0; i < NAT_PORTS__MAX; i++)
		p->ports[i] = ports_without(p->range[i], p->carved);
	if (c)
		check_ranges(p, rec, c);
}

void nat_ports_fini(struct nat_policy *p)
{
	for (unsigned i = 0; i < NAT_PORTS__MAX; i++)
		free(p->ports[i]);
	free(p->carved);
}

bool nat_port_in(const struct nat_policy *p, enum nat_port_user who, uint16_t port)
{
	const struct pol_ports *v = p->ports[who];

	for (size_t lo = 0, hi = v->n; lo < hi;) {
		size_t mid = (lo + hi) / 2;

		if (port < v->r[mid].lo)
			hi = mid;
		else if (port > v->r[mid].hi)
			lo = mid + 1;
		else
			return true;
	}
	return false;
}
