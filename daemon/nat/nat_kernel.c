/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What NAT needs of the kernel beside its rules: ports of local sockets, and that the box takes
 * what is sent to addresses that no interface has.
 *
 * Addresses in the network of an outside interface are resolved there: the interface gets each as
 * one more address, of host scope (IPv6: deprecated), so that the kernel answers ARP and neighbour
 * discovery for it and never speaks from it. Their IFA_PROTO is nat_alias_proto, told apart from
 * the addresses of the interface's own lines. Those of a VRRP group are left to its master. All
 * others are routed here, and get a local route: what no connection wants ends here, in place of
 * going back to where it came from.
 */
#include "domain.h"
#include "kernel/apply.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "nat/nat.h"
#include "strbuf.h"
#include "vrrp/vrrp.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Addresses of one line on an interface; the kernel keeps them in a list. */
#define ALIAS_MAX 1024

static uint32_t plan_mark = 0x6e617400; /* apart from the marks of other planners */

/* ---- sysctls ---- */

static bool translates(const struct nat_policy *p)
{
	for (unsigned f = 0; f < 2; f++) {
		if (p->f[f].n_dynamics || p->f[f].n_statics || p->f[f].n_rotaries ||
		    p->f[f].n_outsides)
			return true;
	}
	return false;
}

static void plan_ports(struct plan *p, const struct nat_policy *n)
{
	const struct pol_port_range *r = &n->range[NAT_PORTS_LOCAL];
	struct strbuf b = STRBUF_INIT;

	strbuf_addf(&b, "%u\t%u", r->lo, r->hi);
	plan_sysctl(p, "net/ipv4/ip_local_port_range", strbuf_str(&b), NULL);
	strbuf_reset(&b);
	/* Forwards in the range of local sockets: those keep off. */
	for (size_t i = 0; i < n->carved->n; i++) {
		uint16_t lo = MAX(n->carved->r[i].lo, r->lo), hi = MIN(n->carved->r[i].hi, r->hi);

		if (lo > hi)
			continue;
		strbuf_addf(&b, "%s%u", b.len ? "," : "", lo);
		if (hi != lo)
			strbuf_addf(&b, "-%u", hi);
	}
	if (b.len)
		plan_sysctl(p, "net/ipv4/ip_local_reserved_ports", strbuf_str(&b), NULL);
	strbuf_fini(&b);
}

/* ---- aliases ---- */

#define ROUTE_MSG_SIZE 96

static struct nl_msg *local_route(int type, int flags, const struct rtr_prefix *dst, int lo)
{
	struct rtmsg hdr = { .rtm_family = dst->addr.family,
			     .rtm_dst_len = dst->len,
			     .rtm_table = RT_TABLE_LOCAL,
			     .rtm_protocol = shadow_proto(),
			     .rtm_scope = RT_SCOPE_HOST,
			     .rtm_type = RTN_LOCAL };
	struct nl_msg *m = rtmsg_new(type, flags, &hdr, sizeof(hdr), ROUTE_MSG_SIZE);

	rtmsg_addr(m, RTA_DST, &dst->addr);
	rtmsg_u32(m, RTA_OIF, (uint32_t)lo);
	return m;
}

static bool is_taken(const struct shadow_route *r)
{
	return r->table == RT_TABLE_LOCAL && r->type == RTN_LOCAL;
}

static const struct shadow_route *find_route(const struct rtr_prefix *dst)
{
	/* IPv6 gives every route a metric. */
	static const uint32_t metrics[] = { 0, 1024 };

	for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
		const struct shadow_route *r = shadow_route_find(RT_TABLE_LOCAL, dst, metrics[i]);

		if (r && is_taken(r))
			return r;
	}
	return NULL;
}

static bool is_alias_addr(const struct shadow_addr *a)
{
	return a->proto == nat_alias_proto();
}

static const struct shadow_addr *addr_on(const struct shadow_link *l, const struct rtr_addr *a)
{
	for (size_t i = 0; i < l->n_addrs; i++) {
		if (!rtr_addr_cmp(&l->addrs[i].addr.addr, a))
			return &l->addrs[i];
	}
	return NULL;
}

/* Some link still answers for it: the kernel has a local route of that, and takes no second one. */
static bool is_answered(const struct rtr_prefix *dst)
{
	if (dst->len != rtr_family_bits(dst->addr.family))
		return false;
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		const struct shadow_addr *a = addr_on(l, &dst->addr);

		if (a && is_alias_addr(a))
			return true;
	}
	return false;
}

static void want_route(struct plan *p, const struct rtr_prefix *dst, int lo, const struct rec *rec)
{
	const struct shadow_route *r = find_route(dst);
	char text[RTR_PREFIX_STRLEN];

	if (r) {
		shadow_route_mark(r, plan_mark);
		return;
	}
	/* The next round takes it, when the alias is gone. */
	if (is_answered(dst))
		return;
	plan_nl(p, local_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, dst, lo), rec, "take %s",
		rtr_prefix_str(dst, text));
}

/* Networks that cover lo to hi exactly. */
static void want_range(struct plan *p, struct rtr_addr lo, const struct rtr_addr *hi, int dev,
		       const struct rec *rec)
{
	for (;;) {
		struct rtr_prefix net = { .addr = lo, .len = (uint8_t)rtr_family_bits(lo.family) };
		struct rtr_addr last = lo;

		while (net.len > 1) {
			struct rtr_prefix wider = { .addr = lo, .len = (uint8_t)(net.len - 1) };
			struct rtr_addr end = nat_prefix_last(&wider);

			if (rtr_prefix_has_host_bits(&wider) || rtr_addr_cmp(&end, hi) > 0)
				break;
			net = wider;
			last = end;
		}
		want_route(p, &net, dev, rec);
		if (!rtr_addr_cmp(&last, hi) || !nat_addr_add(&last, 1))
			return;
		lo = last;
	}
}

/* An address to answer for on a link. */
struct alias {
	int ifindex;
	struct rtr_addr addr;
};

struct aliases {
	size_t n;
	struct alias *v;
};

static struct nl_msg *alias_msg(int type, int flags, const struct shadow_link *l,
				const struct rtr_addr *a)
{
	bool v6 = a->family == AF_INET6;
	struct ifaddrmsg ifa = { .ifa_family = a->family,
				 .ifa_prefixlen = (uint8_t)rtr_family_bits(a->family),
				 .ifa_scope = v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_HOST,
				 .ifa_index = (uint32_t)l->ifindex };
	/* Never spoken from: deprecated, or of host scope. */
	struct ifa_cacheinfo info = { .ifa_prefered = 0, .ifa_valid = UINT32_MAX };
	uint8_t proto = nat_alias_proto();
	struct nl_msg *m = rtmsg_new(type, flags, &ifa, sizeof(ifa), 256);

	rtmsg_addr(m, IFA_LOCAL, a);
	rtmsg_addr(m, IFA_ADDRESS, a);
	if (type == RTM_NEWADDR) {
		rtmsg_put(m, IFA_PROTO, &proto, sizeof(proto));
		if (v6) {
			rtmsg_put(m, IFA_CACHEINFO, &info, sizeof(info));
			rtmsg_u32(m, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
		}
	}
	return m;
}

static void want_addr(struct plan *p, struct aliases *all, const struct shadow_link *l,
		      const struct rtr_addr *a, const struct rec *rec)
{
	char text[RTR_ADDR_STRLEN];

	all->v = xrealloc(all->v, (all->n + 1) * sizeof(*all->v));
	all->v[all->n++] = (struct alias){ l->ifindex, *a };
	if (!addr_on(l, a))
		plan_nl(p, alias_msg(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, l, a), rec,
			"answer for %s on %s", rtr_addr_str(a, text), l->name);
}

/* The outside link in whose network both addresses are; NULL: they are routed here. */
static const struct shadow_link *link_of(const struct nat_policy *n, const struct rtr_addr *lo,
					 const struct rtr_addr *hi)
{
	for (size_t i = 0; i < n->n_ifaces; i++) {
		const struct shadow_link *l = shadow_link_by_name(n->ifaces[i].name);

		if (n->ifaces[i].side[nat_fam(lo->family)] != NAT_OUTSIDE || !l)
			continue;
		for (size_t k = 0; k < l->n_addrs; k++) {
			struct rtr_prefix net = rtr_prefix_network(l->addrs[k].addr);

			if (!is_alias_addr(&l->addrs[k]) && rtr_prefix_contains(&net, lo) &&
			    rtr_prefix_contains(&net, hi))
				return l;
		}
	}
	return NULL;
}

struct alias_ctx {
	struct plan *p;
	const struct nat_policy *n;
	struct aliases all;
	struct vrrp_wants groups;
	int lo; /* ifindex */
};

/* The master of the group has it, under the group's MAC; a backup must not answer for it. */
static bool has_group(const struct alias_ctx *x, const struct rtr_addr *a)
{
	for (size_t i = 0; i < x->groups.n; i++) {
		const struct vrrp_conf *c = &x->groups.v[i].conf;

		for (unsigned k = 0; k < c->n_addrs; k++) {
			if (!rtr_addr_cmp(&c->addrs[k], a))
				return true;
		}
	}
	return false;
}

static void want_span(struct alias_ctx *x, struct rtr_addr lo, const struct rtr_addr *hi,
		      const struct rec *rec)
{
	const struct shadow_link *l = link_of(x->n, &lo, hi);

	if (!l) {
		want_range(x->p, lo, hi, x->lo, rec);
		return;
	}
	if (nat_addr_diff(hi, &lo) >= ALIAS_MAX) {
		plan_error(x->p, rec,
			   "more than %d addresses to answer for on %s: say no-alias, and have "
			   "them routed here",
			   ALIAS_MAX, l->name);
		return;
	}
	for (;;) {
		if (!has_group(x, &lo))
			want_addr(x->p, &x->all, l, &lo, rec);
		if (!rtr_addr_cmp(&lo, hi) || !nat_addr_add(&lo, 1))
			return;
	}
}

static bool has_alias(const struct aliases *all, int ifindex, const struct rtr_addr *a)
{
	for (size_t i = 0; i < all->n; i++) {
		if (all->v[i].ifindex == ifindex && !rtr_addr_cmp(&all->v[i].addr, a))
			return true;
	}
	return false;
}

static void drop_addrs(struct plan *p, const struct aliases *keep)
{
	char text[RTR_ADDR_STRLEN];

	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		for (size_t i = 0; i < l->n_addrs; i++) {
			const struct rtr_addr *a = &l->addrs[i].addr.addr;

			if (is_alias_addr(&l->addrs[i]) && !has_alias(keep, l->ifindex, a))
				plan_nl(p, alias_msg(RTM_DELADDR, 0, l, a), NULL,
					"no longer answer for %s on %s", rtr_addr_str(a, text),
					l->name);
		}
	}
}

/* Is it an address of a NAT interface, which answers for itself? */
static bool is_own(const struct nat_policy *n, const struct rtr_addr *a)
{
	for (size_t i = 0; i < n->n_ifaces; i++) {
		const struct nat_iface *f = &n->ifaces[i];

		for (size_t k = 0; k < f->n_addrs[nat_fam(a->family)]; k++) {
			if (!rtr_addr_cmp(&f->addrs[nat_fam(a->family)][k], a))
				return true;
		}
	}
	return false;
}

static void want_aliases(struct alias_ctx *x)
{
	for (unsigned f = 0; f < 2; f++) {
		const struct nat_family *v = &x->n->f[f];

		for (size_t i = 0; i < v->n_pools; i++) {
			if (v->pools[i].alias && !v->pools[i].rotary)
				want_span(x, v->pools[i].lo, &v->pools[i].hi, v->pools[i].rec);
		}
		for (size_t i = 0; i < v->n_statics; i++) {
			const struct nat_static *s = &v->statics[i];
			struct rtr_prefix net = { .addr = s->global, .len = s->len };
			struct rtr_addr last = nat_prefix_last(&net);

			/* Neighbours in order: a second port of one address. */
			if (s->alias && !is_own(x->n, &s->global) &&
			    !(i && !rtr_addr_cmp(&s[-1].global, &s->global)))
				want_span(x, s->global, &last, s->rec);
		}
	}
}

void nat_plan(struct plan *p)
{
	const struct nat_policy *n = nat_policy_for(p->want);
	const struct shadow_link *lo = shadow_link_by_name("lo");
	struct alias_ctx x = { .p = p, .n = n, .lo = lo ? lo->ifindex : 1 };
	char text[RTR_PREFIX_STRLEN];

	plan_mark++;
	if (n && translates(n)) {
		plan_ports(p, n);
		vrrp_want(p->want, &x.groups);
		want_aliases(&x);
		vrrp_wants_fini(&x.groups);
	}
	for (const struct shadow_route *r = shadow_route_next(NULL); r; r = shadow_route_next(r)) {
		if (is_taken(r) && r->mark != plan_mark)
			plan_nl(p, local_route(RTM_DELROUTE, 0, &r->dst, x.lo), NULL,
				"no longer take %s", rtr_prefix_str(&r->dst, text));
	}
	drop_addrs(p, &x.all);
	free(x.all.v);
}
