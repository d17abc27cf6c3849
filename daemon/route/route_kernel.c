/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Static routes: what the kernel has of ours against what the lines are worth now. Lines of one
 * prefix and distance are one kernel route. What is missing is added and what differs replaced
 * before what is left over goes. Ten thousand routes that are right cost some 2 ms: one lookup
 * each, no walk over the shadow.
 */
#include "auto/auto.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/rtmsg.h"
#include "route/route_plan.h"
#include "strbuf.h"
#include "vrf/vrf.h"

#include <linux/if_addr.h>
#include <stdlib.h>
#include <string.h>

/* A route message without hops. */
#define ROUTE_MSG_SIZE 128
/* One hop of a multipath route with an IPv6 gateway, or of a single one. */
#define HOP_MSG_SIZE 40

static uint32_t plan_mark;

/* ---- messages ---- */

static void put_hops(struct nl_msg *m, struct rtmsg *rtm, const struct route_want *w)
{
	struct nlattr *mp;

	if (w->n_hops == 1) {
		rtmsg_u32(m, RTA_OIF, (uint32_t)w->hops[0].ifindex);
		if (w->hops[0].gw.family)
			rtmsg_addr(m, RTA_GATEWAY, &w->hops[0].gw);
		rtm->rtm_flags = w->hops[0].flags;
		return;
	}
	mp = rtmsg_nest(m, RTA_MULTIPATH);
	for (size_t i = 0; i < w->n_hops; i++) {
		struct rtnexthop *nh = nlmsg_reserve(m, sizeof(*nh), NLMSG_ALIGNTO);
		const char *start = (const char *)nh;

		if (!nh)
			abort();
		*nh = (struct rtnexthop){ .rtnh_flags = w->hops[i].flags,
					  .rtnh_hops = (uint8_t)(w->hops[i].weight - 1),
					  .rtnh_ifindex = w->hops[i].ifindex };
		if (w->hops[i].gw.family)
			rtmsg_addr(m, RTA_GATEWAY, &w->hops[i].gw);
		nh->rtnh_len = (uint16_t)((const char *)nlmsg_tail(nlmsg_hdr(m)) - start);
	}
	nla_nest_end(m, mp);
}

static struct nl_msg *route_msg(int type, int flags, const struct route_want *w)
{
	struct rtmsg hdr = { .rtm_family = w->dst.addr.family,
			     .rtm_dst_len = w->dst.len,
			     .rtm_table = w->table < 256 ? (unsigned char)w->table
							 : RT_TABLE_COMPAT,
			     .rtm_protocol = shadow_proto(),
			     .rtm_type = w->type };
	struct nl_msg *m;

	/* A route out of an interface, without gateway, is for what is on the link. */
	if (w->dst.addr.family == AF_INET && w->type == RTN_UNICAST && w->n_hops == 1 &&
	    !w->hops[0].gw.family)
		hdr.rtm_scope = RT_SCOPE_LINK;
	if (type == RTM_DELROUTE)
		hdr.rtm_scope = RT_SCOPE_NOWHERE; /* whichever it has */
	m = rtmsg_new(type, flags, &hdr, sizeof(hdr), ROUTE_MSG_SIZE + w->n_hops * HOP_MSG_SIZE);
	if (w->dst.len)
		rtmsg_addr(m, RTA_DST, &w->dst.addr);
	rtmsg_u32(m, RTA_TABLE, w->table);
	rtmsg_u32(m, RTA_PRIORITY, w->metric);
	if (w->n_hops && type == RTM_NEWROUTE)
		put_hops(m, nlmsg_data(nlmsg_hdr(m)), w);
	return m;
}

static const char *type_name(uint8_t type)
{
	switch (type) {
	case RTN_BLACKHOLE:
		return " blackhole";
	case RTN_UNREACHABLE:
		return " unreachable";
	case RTN_PROHIBIT:
		return " prohibit";
	default:
		return "";
	}
}

static void plan_route(struct plan *p, const char *verb, struct nl_msg *m,
		       const struct route_want *w)
{
	struct strbuf hops = STRBUF_INIT;
	char text[RTR_PREFIX_STRLEN], gw[RTR_ADDR_STRLEN], table[32] = "";

	if (w->table != RT_TABLE_MAIN)
		snprintf(table, sizeof(table), " table %u", w->table);
	for (size_t i = 0; i < w->n_hops; i++) {
		const struct shadow_link *l = shadow_link_by_index(w->hops[i].ifindex);

		if (w->hops[i].gw.family) {
			strbuf_adds(&hops, " via ");
			strbuf_adds(&hops, rtr_addr_str(&w->hops[i].gw, gw));
		}
		strbuf_adds(&hops, " dev ");
		strbuf_adds(&hops, l ? l->name : "?");
	}
	plan_nl(p, m, w->rec, "%s route %s%s distance %u%s%s", verb, rtr_prefix_str(&w->dst, text),
		table, w->metric >> 24, type_name(w->type), strbuf_str(&hops));
	strbuf_fini(&hops);
}

/* ---- comparing ---- */

static bool right(const struct shadow_route *r, const struct route_want *w)
{
	if (r->type != w->type || r->n_hops != w->n_hops)
		return false;
	for (size_t i = 0; i < w->n_hops; i++) {
		const struct shadow_hop *a = &r->hops[i], *b = &w->hops[i];

		if (shadow_hop_cmp(a, b) || (a->flags ^ b->flags) & RTNH_F_ONLINK ||
		    (w->n_hops > 1 && a->weight != b->weight))
			return false;
	}
	return true;
}

/*
 * IPv6 replaces like by like only: routes with gateways, which may be multipath, and others
 * (rt6_qualify_for_ecmp). Otherwise it would add the new one beside the old.
 */
static bool replaceable(const struct shadow_route *r, const struct route_want *w)
{
	bool a = r->n_hops && r->hops[0].gw.family, b = w->n_hops && w->hops[0].gw.family;

	return r->dst.addr.family == AF_INET || a == b;
}

void route_plan_delete(struct plan *p, const struct shadow_route *r)
{
	struct route_want w = {
		.table = r->table, .dst = r->dst, .metric = r->metric, .type = r->type
	};

	plan_route(p, "delete", route_msg(RTM_DELROUTE, 0, &w), &w);
}

bool route_plan_one(struct plan *p, const struct route_want *w, uint32_t mark)
{
	const struct shadow_route *r = shadow_route_find(w->table, &w->dst, w->metric);
	bool add = !r;

	if (r) {
		shadow_route_mark(r, mark);
		if (right(r, w))
			return true;
		add = !replaceable(r, w);
		if (add)
			route_plan_delete(p, r);
	}
	if (add)
		plan_route(p, "add", route_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, w), w);
	else
		plan_route(p, "replace", route_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, w),
			   w);
	return r != NULL;
}

/* ---- what the lines are worth ---- */

static int link_up(const char *ifname)
{
	const struct shadow_link *l = iface_link(ifname);

	return l && shadow_link_is_up(l) ? l->ifindex : 0;
}

/* master: of the VRF, 0 = the main table. A link in a bridge or channel has no addresses, so its
 * master tells of VRFs only. */
static void add_nets(struct resolve *r, uint8_t family, int master)
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		if (!shadow_link_is_up(l) || (l->master != master && l->ifindex != master))
			continue;
		for (size_t i = 0; i < l->n_addrs; i++) {
			const struct shadow_addr *a = &l->addrs[i];
			struct rtr_prefix net = a->addr;

			if (a->addr.addr.family != family || a->flags & IFA_F_DADFAILED ||
			    (family == AF_INET6 && rtr_addr_is_linklocal(&a->addr.addr)))
				continue;
			if (a->peer.family)
				net.addr = a->peer;
			resolve_add_net(r, &net, &a->addr.addr, l->ifindex);
		}
	}
}

static uint8_t discard_type(const struct recvec *v, size_t from, size_t to, uint8_t distance)
{
	for (size_t i = from; i < to; i++) {
		const struct static_route *s = (const void *)v->v[i];

		if (!route_discards(s) || route_distance(s) != distance ||
		    !route_track_usable(s, NULL, 0))
			continue;
		if (s->via == ROUTE_VIA_UNREACHABLE)
			return RTN_UNREACHABLE;
		return s->via == ROUTE_VIA_PROHIBIT ? RTN_PROHIBIT : RTN_BLACKHOLE;
	}
	return 0;
}

/* Returns the number of kernel routes that were found and stay. */
static size_t plan_prefix(struct plan *p, struct resolve *r, uint32_t table, size_t from, size_t to)
{
	const struct recvec *v = r->routes;
	size_t found = 0;
	int above = -1;
	uint8_t d;

	while ((d = resolve_next_distance(v, from, to, above))) {
		struct route_want w; /* its hops are too many to clear for each route */

		above = d;
		if (d == 255)
			break; /* never believed */
		w.dst = ((const struct static_route *)(const void *)v->v[from])->dst;
		w.table = table;
		w.metric = route_metric(d);
		w.rec = v->v[from];
		w.n_hops = resolve_group(r, from, to, d, w.hops);
		w.type = w.n_hops ? RTN_UNICAST : discard_type(v, from, to, d);
		if (w.type)
			found += route_plan_one(p, &w, plan_mark);
	}
	return found;
}

void route_resolver_lines(struct resolve *r, const struct recvec *lines, uint8_t family, int master)
{
	resolve_init(r, lines, link_up);
	r->usable = route_track_usable;
	add_nets(r, family, master);
	resolve_ready(r);
}

void route_resolver_init(struct resolve *r, const struct rec *root, uint8_t family)
{
	route_resolver_lines(r,
			     rec_kids(root, family == AF_INET6 ? &ipv6_route_type : &ip_route_type),
			     family, 0);
}

/* The lines of one table. Returns the number of kernel routes that were found and stay. */
static size_t plan_lines(struct plan *p, struct resolve *r, uint32_t table)
{
	const struct recvec *v = r->routes;
	size_t found = 0;

	for (size_t i = 0, end; i < v->len; i = end) {
		end = resolve_prefix_end(v, i);
		found += plan_prefix(p, r, table, i, end);
	}
	return found;
}

static size_t plan_family(struct plan *p, const struct sch_type *type, uint8_t family)
{
	const struct recvec *v = rec_kids(p->want, type);
	struct resolve r;
	size_t found = 0;

	if (!v->len)
		return 0;
	route_resolver_init(&r, p->want, family);
	found = plan_lines(p, &r, RT_TABLE_MAIN);
	resolve_fini(&r);
	return found;
}

/* Without a route of its own a VRF's packets would go on to the main table. */
static size_t plan_vrf_end(struct plan *p, const struct vrf *vrf, uint32_t table, uint8_t family)
{
	struct route_want w = { .table = table,
				.metric = route_metric(255),
				.dst = { .addr = { .family = family } },
				.type = RTN_UNREACHABLE,
				.rec = &vrf->rec };

	return route_plan_one(p, &w, plan_mark);
}

static size_t plan_vrf(struct plan *p, const struct vrf *vrf, const struct sch_type *type,
		       uint8_t family)
{
	const struct shadow_link *l = shadow_link_by_name(vrf->name);
	const struct recvec *all = rec_kids(p->want, type);
	uint32_t table = vrf_table(p->want, vrf->name);
	size_t found;

	if (!l || strcmp(l->kind, "vrf"))
		return 0;
	found = plan_vrf_end(p, vrf, table, family);
	for (size_t i = 0; i < all->len;) {
		const struct static_route *s = (const void *)all->v[i];
		struct recvec *v = route_vrf_lines(all, i, &i);
		struct resolve r;

		if (!strcmp(s->vrf, vrf->name)) {
			route_resolver_lines(&r, v, family, l->ifindex);
			found += plan_lines(p, &r, table);
			resolve_fini(&r);
		}
		free(v);
	}
	return found;
}

static size_t plan_vrfs(struct plan *p)
{
	const struct recvec *vrfs = rec_kids(p->want, &vrf_type);
	const struct vrf *vrf;
	size_t found = 0;

	recvec_foreach(vrfs, vrf) {
		found += plan_vrf(p, vrf, &ip_route_vrf_type, AF_INET);
		found += plan_vrf(p, vrf, &ipv6_route_vrf_type, AF_INET6);
	}
	return found;
}

void route_plan(struct plan *p)
{
	size_t found;

	plan_mark++;
	found = plan_family(p, &ip_route_type, AF_INET);
	found += plan_family(p, &ipv6_route_type, AF_INET6);
	found += plan_vrfs(p);
	found += auto_plan_routes(p, plan_mark);
	if (found == shadow_n_routes())
		return;
	for (const struct shadow_route *s = shadow_route_next(NULL); s; s = shadow_route_next(s)) {
		if (s->mark != plan_mark && (s->table == RT_TABLE_MAIN || vrf_is_table(s->table)))
			route_plan_delete(p, s);
	}
}
