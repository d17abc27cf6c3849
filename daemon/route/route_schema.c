/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines "ip route" and "ipv6 route", and the domain "routes". */
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "route/resolve.h"
#include "route/route.h"
#include "route/route_plan.h"
#include "track/track.h"
#include "vrf/vrf.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS                                                                                     \
	SCH_F(static_route, dst), SCH_F(static_route, via), SCH_F(static_route, nexthop),          \
		SCH_F(static_route, ifname), SCH_F(static_route, distance),                        \
		SCH_F(static_route, weight), SCH_F(static_route, tag), SCH_F(static_route, name),  \
		SCH_F(static_route, track)

static struct sch_field ip_route_fields[] = { FIELDS };
struct sch_type ip_route_type = {
	.name = "ip_route",
	.size = sizeof(struct static_route),
	.fields = ip_route_fields,
	.n_fields = ARRAY_LEN(ip_route_fields),
};

static struct sch_field ipv6_route_fields[] = { FIELDS };
struct sch_type ipv6_route_type = {
	.name = "ipv6_route",
	.size = sizeof(struct static_route),
	.fields = ipv6_route_fields,
	.n_fields = ARRAY_LEN(ipv6_route_fields),
};

#define VRF_TYPE(n)                                                                                \
	static struct sch_field n##_fields[] = { SCH_F(static_route, vrf), FIELDS };               \
	struct sch_type n##_type = { .name = #n,                                                   \
				     .size = sizeof(struct static_route),                          \
				     .fields = n##_fields,                                         \
				     .n_fields = ARRAY_LEN(n##_fields) }
VRF_TYPE(ip_route_vrf);
VRF_TYPE(ipv6_route_vrf);

#define ROUTE_OPTIONS                                                                              \
	"[ <distance:U8(1,255)>][ weight <weight:U8(1,255)>][ name <name:WORD>][ tag <tag:U32>]"   \
	"[ track <track:U16(1,1000)>]"

static const struct sch_row rows[] = {
	SCH_LIST("ip route <dst:PREFIX4> {via:<nexthop:ADDR4>|<ifname:IFNAME>[ <nexthop:ADDR4>]|"
		 "Null0|blackhole|unreachable|prohibit}" ROUTE_OPTIONS,
		 ip_route, .key = "dst via nexthop ifname", .help = "Static route"),
	SCH_LIST("ipv6 route <dst:PREFIX6> {via:<nexthop:ADDR6>|<ifname:IFNAME>[ <nexthop:ADDR6>]|"
		 "Null0|blackhole|unreachable|prohibit}" ROUTE_OPTIONS,
		 ipv6_route, .key = "dst via nexthop ifname", .help = "Static route"),
	SCH_LIST("ip route vrf <vrf:WORD> <dst:PREFIX4> {via:<nexthop:ADDR4>|<ifname:IFNAME>"
		 "[ <nexthop:ADDR4>]|Null0|blackhole|unreachable|prohibit}" ROUTE_OPTIONS,
		 ip_route_vrf, .key = "vrf dst via nexthop ifname",
		 .help = "Static route of a VRF"),
	SCH_LIST("ipv6 route vrf <vrf:WORD> <dst:PREFIX6> {via:<nexthop:ADDR6>|<ifname:IFNAME>"
		 "[ <nexthop:ADDR6>]|Null0|blackhole|unreachable|prohibit}" ROUTE_OPTIONS,
		 ipv6_route_vrf, .key = "vrf dst via nexthop ifname",
		 .help = "Static route of a VRF"),
};

static const struct sch_word words[] = {
	{ "Null0", "Discard silently" },
	{ "blackhole", "Discard silently" },
	{ "name", "Text about the route" },
	{ "prohibit", "Discard, telling the sender that it is administratively prohibited" },
	{ "route", "Static routes" },
	{ "tag", "Number for route maps" },
	{ "unreachable", "Discard, telling the sender that there is no route" },
	{ "weight", "Share of this next hop among several" },
};

/* ---- check ---- */

static void check_nexthop(struct check *c, const struct static_route *s)
{
	char text[RTR_ADDR_STRLEN];
	const struct iface *own;

	if (!s->nexthop.family)
		return;
	rtr_addr_str(&s->nexthop, text);
	own = iface_owner_of(c->new, &s->nexthop);
	if (own)
		check_error(c, &s->rec, "the next hop %s is this router's own, on %s", text,
			    own->name);
	if (rtr_addr_is_any(&s->nexthop) || rtr_addr_is_multicast(&s->nexthop) ||
	    rtr_addr_is_loopback(&s->nexthop))
		check_error(c, &s->rec, "%s cannot be a next hop", text);
	if (s->via == ROUTE_VIA_ADDR && s->nexthop.family == AF_INET6 &&
	    rtr_addr_is_linklocal(&s->nexthop))
		check_error(c, &s->rec, "a link-local next hop needs its interface: <interface> %s",
			    text);
}

static void check_ifname(struct check *c, const struct static_route *s, bool is_new)
{
	const struct iface *i;
	enum iface_kind kind;

	if (s->via != ROUTE_VIA_IFACE)
		return;
	i = iface_find(c->new, s->ifname);
	kind = iface_kind_of(s->ifname);
	if (kind == IFACE_LOOPBACK0)
		check_error(c, &s->rec, "a route cannot leave by %s: Null0 discards", s->ifname);
	if (i && i->bridge_group)
		check_error(c, &s->rec, "%s is a port of BVI%u: name that", s->ifname,
			    i->bridge_group);
	if (!i && kind != IFACE_HARD && kind != IFACE_LOOPBACK0 &&
	    (c->offline || !iface_link(s->ifname)))
		check_error(c, &s->rec, "there is no interface %s", s->ifname);
	else if (!i && is_new && !c->offline && !iface_link(s->ifname))
		check_warn(c, &s->rec,
			   "%s does not exist now; the route is installed when it appears",
			   s->ifname);
}

/* Lines of one prefix: those of one distance share traffic, so they must be of one kind. */
static void check_group(struct check *c, const struct recvec *v, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct static_route *a = (const void *)v->v[i];

		for (size_t j = from; j < i; j++) {
			const struct static_route *b = (const void *)v->v[j];

			if (route_distance(a) != route_distance(b))
				continue;
			if (route_discards(a) || route_discards(b)) {
				check_error(c, &a->rec,
					    "a discarding route shares prefix and distance %u "
					    "with another",
					    route_distance(a));
				return;
			}
			/* The kernel has no IPv6 multipath over bare interfaces. */
			if (a->dst.addr.family == AF_INET6 &&
			    (!a->nexthop.family || !b->nexthop.family)) {
				check_error(c, &a->rec,
					    "several IPv6 routes of one distance need next hops");
				return;
			}
		}
	}
}

/* Both vectors have the same order and share what did not change, so the old one is walked beside
 * the new one; *at is where it stands. */
static bool is_new_line(const struct recvec *old, size_t *at, const struct static_route *s)
{
	while (*at < old->len && old->v[*at] != &s->rec && rec_order_cmp(old->v[*at], &s->rec) < 0)
		(*at)++;
	return *at == old->len || old->v[*at] != &s->rec;
}

/* The lines of one table; *at walks over the old ones beside them. */
static void check_lines(struct check *c, const struct recvec *v, const struct recvec *old,
			size_t *at, bool ifaces_same)
{
	struct route_reach reach = { .asked = false };

	for (size_t i = 0, end; i < v->len; i = end) {
		end = resolve_prefix_end(v, i);
		check_group(c, v, i, end);
		for (; i < end; i++) {
			const struct static_route *s = (const void *)v->v[i];
			bool is_new = is_new_line(old, at, s);

			if (is_new)
				route_reach_check(&reach, c, v, s);
			if (is_new || !ifaces_same) {
				check_nexthop(c, s);
				check_ifname(c, s, is_new);
				if (SCH_HAS(s, track))
					track_check_ref(c, &s->rec, s->track);
			}
			if (rtr_addr_is_multicast(&s->dst.addr) && s->dst.len >= 4)
				check_error(c, &s->rec, "a unicast route to a multicast network");
		}
	}
	route_reach_fini(&reach);
}

struct recvec *route_vrf_lines(const struct recvec *all, size_t from, size_t *ret_end)
{
	const struct static_route *first = (const void *)all->v[from];
	struct recvec *v;
	size_t end = from;

	while (end < all->len &&
	       !strcmp(((const struct static_route *)(const void *)all->v[end])->vrf, first->vrf))
		end++;
	v = xcalloc(1, sizeof(*v) + (end - from) * sizeof(v->v[0]));
	v->len = end - from;
	memcpy(v->v, all->v + from, v->len * sizeof(v->v[0]));
	*ret_end = end;
	return v;
}

static void check_type(struct check *c, const struct sch_type *type)
{
	const struct recvec *v = rec_kids(c->new, type), *old = rec_kids(c->old, type);
	bool ifaces_same = rec_kids(c->old, &iface_type) == rec_kids(c->new, &iface_type);
	size_t at = 0;

	/* Ten thousand lines that did not change, nor the interfaces: nothing to say. */
	if (!ifaces_same || old != v)
		check_lines(c, v, old, &at, ifaces_same);
}

static void check_vrfs(struct check *c, const struct sch_type *type)
{
	const struct recvec *all = rec_kids(c->new, type), *old = rec_kids(c->old, type);
	bool ifaces_same = rec_kids(c->old, &iface_type) == rec_kids(c->new, &iface_type);
	size_t at = 0;

	for (size_t i = 0; i < all->len;) {
		const struct static_route *s = (const void *)all->v[i];
		struct recvec *v = route_vrf_lines(all, i, &i);

		vrf_check_ref(c, &s->rec, s->vrf);
		check_lines(c, v, old, &at, ifaces_same);
		free(v);
	}
}

static void route_check(struct check *c)
{
	check_type(c, &ip_route_type);
	check_type(c, &ipv6_route_type);
	check_vrfs(c, &ip_route_vrf_type);
	check_vrfs(c, &ipv6_route_vrf_type);
}

static const char *const after_addresses[] = { "addresses", "track", NULL };

static const struct domain routes_domain = {
	.name = "routes",
	.after = after_addresses,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.check = route_check,
	.plan = route_plan,
};
RTR_DOMAIN(routes_domain);
