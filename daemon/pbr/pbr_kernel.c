/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy routing in the kernel: tables first, then rules, then what is left over goes, rules before
 * the tables that they look up.
 */
#include "domain.h"
#include "iface/iface.h"
#include "kernel/apply.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "pbr/pbr.h"
#include "route/route.h"
#include "route/route_plan.h"
#include "track/track.h"

#include <stdlib.h>
#include <string.h>

/* Of the one route of a table. */
#define TABLE_METRIC route_metric(ROUTE_DISTANCE_DEFAULT)

static uint32_t plan_mark;

static bool is_table(uint32_t table)
{
	return table >> 16 == pbr_table_base(shadow_proto()) >> 16;
}

static struct rtr_prefix any_prefix(uint8_t family)
{
	return (struct rtr_prefix){ .addr = { .family = family } };
}

const struct shadow_route *pbr_installed(const struct pbr_table *t)
{
	struct rtr_prefix any = any_prefix(t->family);

	return shadow_route_find(t->id, &any, TABLE_METRIC);
}

/* ---- where a table leads ---- */

static bool try_hop(struct resolve *r, const struct rtr_addr *hop, struct route_want *w)
{
	struct static_route line = { .rec = { .type = &ip_route_type },
				     .via = ROUTE_VIA_ADDR,
				     .nexthop = *hop };

	if (!hop->family)
		return false;
	w->n_hops = resolve_line(r, &line, w->hops);
	for (size_t i = 0; i < w->n_hops; i++)
		w->hops[i].weight = 1;
	shadow_hops_sort(w->hops, w->n_hops);
	return w->n_hops > 0;
}

/* While a state is not known the table stays as the kernel has it. */
static bool hop_in_use(const struct pbr_table *t, const struct route_want *w)
{
	const struct shadow_route *r = pbr_installed(t);

	if (!r || r->n_hops != w->n_hops)
		return false;
	for (size_t i = 0; i < w->n_hops; i++) {
		if (shadow_hop_cmp(&r->hops[i], &w->hops[i]))
			return false;
	}
	return true;
}

static bool try_verified(struct resolve *r, const struct pbr_table *t, struct route_want *w)
{
	const struct recvec *v = rec_kids(&t->map->rec, t->family == AF_INET6
								? &route_map_verify6_type
								: &route_map_verify4_type);
	const struct route_map_verify *h;

	recvec_foreach(v, h) {
		enum track_state s = TRACK_UNKNOWN;

		track_get(h->track, &s);
		if (s != TRACK_DOWN && try_hop(r, &h->hop, w) &&
		    (s == TRACK_UP || hop_in_use(t, w)))
			return true;
	}
	return false;
}

static bool try_interface(const struct pbr_table *t, struct route_want *w)
{
	const struct shadow_link *l = iface_link(t->map->ifname);

	if (!strcasecmp(t->map->ifname, "Null0")) {
		w->type = RTN_BLACKHOLE;
		w->n_hops = 0;
		return true;
	}
	if (!t->map->ifname[0] || !l || !shadow_link_is_up(l))
		return false;
	w->hops[0] = (struct shadow_hop){ .ifindex = l->ifindex, .weight = 1 };
	w->n_hops = 1;
	return true;
}

static bool table_route(struct resolve *r, const struct pbr_table *t, struct route_want *w)
{
	const struct route_map *m = t->map;
	const struct rtr_addr *set4[] = { &m->hop4_1, &m->hop4_2, &m->hop4_3, &m->hop4_4 };
	const struct rtr_addr *set6[] = { &m->hop6_1, &m->hop6_2, &m->hop6_3, &m->hop6_4 };
	const struct rtr_addr *dflt4[] = { &m->dflt4_1, &m->dflt4_2 };
	const struct rtr_addr *dflt6[] = { &m->dflt6_1, &m->dflt6_2 };
	bool v6 = t->family == AF_INET6;
	const struct rtr_addr **hops = t->dflt ? (v6 ? dflt6 : dflt4) : (v6 ? set6 : set4);

	w->type = RTN_UNICAST;
	if (!t->dflt && try_verified(r, t, w))
		return true;
	for (unsigned i = 0; i < (t->dflt ? ARRAY_LEN(dflt4) : ARRAY_LEN(set4)); i++) {
		if (try_hop(r, hops[i], w))
			return true;
	}
	return !t->dflt && try_interface(t, w);
}

static void plan_tables(struct plan *p, const struct pbr *b)
{
	struct resolve r4, r6;

	if (!b->n_tables)
		return;
	route_resolver_init(&r4, p->want, AF_INET);
	route_resolver_init(&r6, p->want, AF_INET6);
	for (size_t i = 0; i < b->n_tables; i++) {
		const struct pbr_table *t = &b->tables[i];
		struct route_want w = { .table = t->id,
					.metric = TABLE_METRIC,
					.dst = any_prefix(t->family),
					.rec = &t->map->rec };

		if (table_route(t->family == AF_INET6 ? &r6 : &r4, t, &w))
			route_plan_one(p, &w, plan_mark);
	}
	resolve_fini(&r4);
	resolve_fini(&r6);
}

/* ---- rules ---- */

static void plan_rule(struct plan *p, int type, const struct rule *r, const struct rec *rec)
{
	struct strbuf b = STRBUF_INIT;

	rule_text(r, &b);
	plan_nl(p, rule_msg(type, r), rec, "%s %s rule %s", type == RTM_NEWRULE ? "add" : "delete",
		r->family == AF_INET6 ? "IPv6" : "IPv4", strbuf_str(&b));
	strbuf_fini(&b);
}

void pbr_plan(struct plan *p)
{
	struct pbr b;

	plan_mark++;
	pbr_compile(&b, p->want, shadow_proto(), pbr_table_base(shadow_proto()));
	plan_tables(p, &b);
	for (size_t i = 0; i < b.n_rules; i++) {
		const struct shadow_rule *s = shadow_rule_find(&b.rules[i].rule);

		if (s)
			shadow_rule_mark(s, plan_mark);
		else
			plan_rule(p, RTM_NEWRULE, &b.rules[i].rule,
				  b.rules[i].map ? &b.rules[i].map->rec : NULL);
	}
	for (const struct shadow_rule *s = shadow_rule_next(NULL); s; s = shadow_rule_next(s)) {
		if (s->mark != plan_mark)
			plan_rule(p, RTM_DELRULE, &s->rule, NULL);
	}
	for (const struct shadow_route *s = shadow_route_next(NULL); s; s = shadow_route_next(s)) {
		if (is_table(s->table) && s->mark != plan_mark)
			route_plan_delete(p, s);
	}
	pbr_fini(&b);
}

/* ---- all rules of the kernel ---- */

struct rule_list {
	struct rule *v;
	size_t n, room;
};

static void take_rule(void *arg, const struct nlmsghdr *h)
{
	struct rule_list *l = arg;
	struct rule r;

	if (h->nlmsg_type != RTM_NEWRULE || !rule_parse(h, &r))
		return;
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->n++] = r;
}

int pbr_kernel_rules(uint8_t family, struct rule **ret)
{
	struct fib_rule_hdr f = { .family = family };
	struct rule_list l = { 0 };
	int r = kquery_all(rtmsg_new(RTM_GETRULE, 0, &f, sizeof(f), 64), take_rule, &l);

	if (r) {
		free(l.v);
		return r;
	}
	*ret = l.v; /* the kernel dumps them in order */
	return (int)l.n;
}
