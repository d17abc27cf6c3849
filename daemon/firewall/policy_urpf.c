/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which sources an interface may bring, as far as the configuration tells: the networks that it is
 * on, and those that a static route leads to by it, be it the best one or not, installed or not
 * (RFC 3704 section 2.3, feasible path). What a routing daemon learned is feasible when it is the
 * best route: its other routes never reach the kernel.
 */
#include "firewall/policy_impl.h"

#include "iface/iface.h"
#include "route/route.h"

#include <string.h>

/* A next hop behind a next hop; more is a mistake. */
#define RECURSION_MAX 4
/* Never installed, by IOS's rule. */
#define DISTANCE_NEVER 255

static bool same_vrf(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

struct routes {
	const struct recvec *v;
	const struct iface *i;
};

static bool leads_out(const struct routes *r, const struct static_route *s, unsigned depth);

/* The narrowest lines that the next hop is reached by lead out by the interface. */
static bool hop_leads_out(const struct routes *r, const struct rtr_addr *hop, unsigned depth)
{
	const struct static_route *s;
	int best = -1;
	bool out = false;

	recvec_foreach(r->v, s) {
		if (!same_vrf(s->vrf, r->i->vrf) || !rtr_prefix_contains(&s->dst, hop) ||
		    s->dst.len < best || s->distance == DISTANCE_NEVER)
			continue;
		if (s->dst.len > best)
			out = false;
		best = s->dst.len;
		out = out || leads_out(r, s, depth + 1);
	}
	return out;
}

static bool leads_out(const struct routes *r, const struct static_route *s, unsigned depth)
{
	if (s->via == ROUTE_VIA_IFACE)
		return !strcmp(s->ifname, r->i->name);
	if (s->via != ROUTE_VIA_ADDR || depth > RECURSION_MAX)
		return false;
	return iface_on_link(r->i, &s->nexthop) || hop_leads_out(r, &s->nexthop, depth);
}

/* Both vectors of a family: lines of the box, lines of VRFs. */
static void each_route(const struct rec *model, const struct iface *i, uint8_t family,
		       void (*fn)(void *arg, const struct static_route *s), void *arg)
{
	struct sch_type *const types[2][2] = { { &ip_route_type, &ip_route_vrf_type },
					       { &ipv6_route_type, &ipv6_route_vrf_type } };
	struct routes r = { rec_kids(model, types[family == AF_INET6][i->vrf != NULL]), i };
	const struct static_route *s;

	recvec_foreach(r.v, s) {
		if (same_vrf(s->vrf, i->vrf) && s->distance != DISTANCE_NEVER &&
		    leads_out(&r, s, 0))
			fn(arg, s);
	}
}

static void note_default(void *arg, const struct static_route *s)
{
	if (!s->dst.len)
		*(bool *)arg = true;
}

bool urpf_default_by(const struct rec *model, const struct iface *i, uint8_t family)
{
	bool found = false;

	each_route(model, i, family, note_default, &found);
	return found;
}

struct feasible {
	struct pol_ranges l;
	bool allow_default;
};

static void add_route(void *arg, const struct static_route *s)
{
	struct feasible *f = arg;

	if (s->dst.len || f->allow_default)
		pol_ranges_add_prefix(&f->l, &s->dst);
}

const struct pol_addrs *urpf_feasible(const struct rec *model, const struct iface *i,
				      uint8_t family, bool allow_default)
{
	const struct recvec *v4 = rec_kids(&i->rec, &iface_addr4_type);
	const struct recvec *v6 = rec_kids(&i->rec, &iface_addr6_type);
	struct feasible f = { .allow_default = allow_default };
	const struct pol_addrs *a;
	const struct iface_addr4 *x;
	const struct iface_addr6 *y;

	recvec_foreach(v4, x) {
		struct rtr_prefix net = rtr_prefix_network(x->addr);

		if (family == AF_INET)
			pol_ranges_add_prefix(&f.l, &net);
	}
	recvec_foreach(v6, y) {
		struct rtr_prefix net = rtr_prefix_network(y->addr);

		if (family == AF_INET6)
			pol_ranges_add_prefix(&f.l, &net);
	}
	each_route(model, i, family, add_route, &f);
	a = pol_ranges_set(&f.l, family, NULL);
	pol_ranges_fini(&f.l);
	return a;
}
