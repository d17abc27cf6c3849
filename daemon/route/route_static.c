/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which static lines are in use, and why others are not: show ip static route, and the warning
 * about a line that cannot come into use as the interfaces are configured.
 */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "route/resolve.h"
#include "route/route.h"
#include "route/route_plan.h"
#include "schema/text.h"
#include "track/track.h"
#include "txn/txn.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- where a next hop is ---- */

/* The interface whose network holds the address but that is down; NULL: none. */
static const struct shadow_link *down_link(const struct rtr_addr *a)
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		for (size_t i = 0; i < l->n_addrs && !shadow_link_is_up(l); i++) {
			struct rtr_prefix net = rtr_prefix_network(l->addrs[i].addr);

			if (rtr_prefix_contains(&net, a))
				return l;
		}
	}
	return NULL;
}

static void why_unreached(const struct resolve *r, const struct static_route *s, struct strbuf *why)
{
	const struct shadow_link *down = down_link(&s->nexthop);
	const struct static_route *by = resolve_holder(r, &s->nexthop);
	char text[RTR_ADDR_STRLEN], net[RTR_PREFIX_STRLEN];

	rtr_addr_str(&s->nexthop, text);
	if (down)
		strbuf_addf(why, "%s is reached by %s, which is down", text,
			    iface_operator_name(down->name));
	else if (!by)
		strbuf_addf(why, "%s is in no connected network", text);
	else if (!by->dst.len)
		strbuf_addf(why, "%s is reached by the default route only", text);
	else
		strbuf_addf(why, "%s is reached by the route to %s, which %s", text,
			    rtr_prefix_str(&by->dst, net),
			    route_discards(by) ? "discards" : "is not in use");
}

/* False: the line is in use. */
static bool why_not(struct resolve *r, const struct static_route *s, struct strbuf *why)
{
	struct shadow_hop hops[RESOLVE_MAX_HOPS];
	enum track_state state = TRACK_UNKNOWN;

	if (SCH_HAS(s, track))
		track_get(s->track, &state);
	if (route_distance(s) == 255)
		strbuf_adds(why, "a route of distance 255 is never used");
	else if (state == TRACK_DOWN)
		strbuf_addf(why, "track %u is down", s->track);
	else if (!route_discards(s) && !resolve_line(r, s, hops)) {
		if (s->via == ROUTE_VIA_ADDR)
			why_unreached(r, s, why);
		else
			strbuf_addf(why, iface_link(s->ifname) ? "%s is down" : "there is no %s",
				    s->ifname);
	}
	return why->len;
}

/* ---- show ip static route ---- */

static void add_lines(json_t *out, struct resolve *r)
{
	const struct static_route *s;

	recvec_foreach(r->routes, s) {
		struct strbuf line = STRBUF_INIT, why = STRBUF_INIT;
		bool idle = why_not(r, s, &why);
		json_t *o;

		text_rec(&s->rec, &line);
		o = json_pack("{s:s,s:b}", "line", strbuf_str(&line), "active", !idle);
		if (idle)
			json_object_set_new(o, "reason", json_string(strbuf_str(&why)));
		json_array_append_new(out, o);
		strbuf_fini(&line);
		strbuf_fini(&why);
	}
}

static void add_vrf_lines(json_t *out, const struct sch_type *type, uint8_t family)
{
	const struct recvec *all = rec_kids(txn_running(), type);

	for (size_t i = 0; i < all->len;) {
		const struct static_route *s = (const void *)all->v[i];
		const struct shadow_link *l = shadow_link_by_name(s->vrf);
		struct recvec *v = route_vrf_lines(all, i, &i);
		struct resolve r;

		route_resolver_lines(&r, v, family, l ? l->ifindex : -1);
		add_lines(out, &r);
		resolve_fini(&r);
		free(v);
	}
}

static json_t *show_static(struct cmd_ctx *c)
{
	bool v6 = cmd_choice(c, "family") == 1;
	uint8_t family = v6 ? AF_INET6 : AF_INET;
	json_t *out = json_array();
	struct resolve r;

	route_resolver_init(&r, txn_running(), family);
	add_lines(out, &r);
	resolve_fini(&r);
	add_vrf_lines(out, v6 ? &ipv6_route_vrf_type : &ip_route_vrf_type, family);
	return out;
}

static void print_static(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *o;
	size_t i;

	cmd_puts(c, "Codes: A - in use, N - not in use\n\n");
	json_array_foreach(doc, i, o) {
		const char *why = json_string_value(json_object_get(o, "reason"));

		cmd_printf(c, "%c  %s\n", why ? 'N' : 'A',
			   json_string_value(json_object_get(o, "line")));
		if (why)
			cmd_printf(c, "     %s\n", why);
	}
}

size_t route_static_idle(const struct rec *root, uint8_t family)
{
	const struct static_route *s;
	struct resolve r;
	size_t n = 0;

	route_resolver_init(&r, root, family);
	recvec_foreach(r.routes, s) {
		struct strbuf why = STRBUF_INIT;

		n += why_not(&r, s, &why);
		strbuf_fini(&why);
	}
	resolve_fini(&r);
	return n;
}

/* ---- the warning ---- */

/* Interfaces are taken to be up, so that the order of lines and links does not matter. */
static int always_up(const char *ifname)
{
	return INT_MAX;
}

static bool in_vrf(const struct iface *i, const char *vrf)
{
	return !strcmp(i->vrf ? i->vrf : "", vrf ? vrf : "");
}

static void add_net(struct resolve *r, const struct rtr_prefix *addr, int ifindex)
{
	resolve_add_net(r, addr, &addr->addr, ifindex);
}

/* The configured networks, and those that the kernel has beside them. False: others come by DHCP,
 * and are not known yet. */
static bool add_nets(struct resolve *r, const struct rec *root, const char *vrf, uint8_t family)
{
	const struct iface *i;
	int n = 0;

	recvec_foreach(rec_kids(root, &iface_type), i) {
		const struct iface_addr4 *a4;
		const struct iface_addr6 *a6;

		if (!in_vrf(i, vrf))
			continue;
		if (SCH_HAS(i, dhcp))
			return false;
		n++;
		recvec_foreach(rec_kids(&i->rec, &iface_addr4_type), a4) {
			if (family == AF_INET)
				add_net(r, &a4->addr, n);
		}
		recvec_foreach(rec_kids(&i->rec, &iface_addr6_type), a6) {
			if (family == AF_INET6)
				add_net(r, &a6->addr, n);
		}
	}
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		for (size_t k = 0; k < l->n_addrs; k++) {
			const struct shadow_addr *a = &l->addrs[k];
			struct rtr_prefix net = a->addr;

			if (a->addr.addr.family != family)
				continue;
			if (a->peer.family)
				net.addr = a->peer;
			resolve_add_net(r, &net, &a->addr.addr, INT_MAX);
		}
	}
	return true;
}

void route_reach_check(struct route_reach *x, struct check *c, const struct recvec *lines,
		       const struct static_route *s)
{
	struct shadow_hop hops[RESOLVE_MAX_HOPS];
	char text[RTR_ADDR_STRLEN];

	if (c->offline || s->via != ROUTE_VIA_ADDR)
		return;
	if (!x->asked) {
		x->asked = true;
		resolve_init(&x->r, lines, always_up);
		x->known = add_nets(&x->r, c->new, s->vrf, s->dst.addr.family);
		resolve_ready(&x->r);
	}
	if (x->known && !resolve_line(&x->r, s, hops))
		check_warn(c, &s->rec,
			   "the next hop %s is in no connected network and reached by no other "
			   "static route than a default one: the route waits",
			   rtr_addr_str(&s->nexthop, text));
}

void route_reach_fini(struct route_reach *x)
{
	if (x->asked)
		resolve_fini(&x->r);
}

static const struct cmd cmds[] = {
	{ "show {family:ip|ipv6} static route",
	  "Static lines, whether they are in use, and why not", .data = show_static,
	  .text = print_static },
};

static const struct domain route_static_domain = {
	.name = "route-static",
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(route_static_domain);
