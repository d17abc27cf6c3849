/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the model and the kernel tell at once. */
#include "diag/diagnose.h"

#include "iface/iface.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "route/resolve.h"
#include "schema/text.h"
#include "track/track.h"
#include "txn/txn.h"

#include <errno.h>
#include <string.h>

const char *diag_link_name(int ifindex)
{
	const struct shadow_link *l = shadow_link_by_index(ifindex);

	return l ? iface_operator_name(l->name) : "an interface that is gone";
}

/* ---- VRFs ---- */

bool diag_in_vrf(const struct diagnose *d, const struct shadow_link *l)
{
	const struct shadow_link *m = shadow_link_vrf(l);

	return (m ? m->ifindex : 0) == d->vrf_if || (d->vrf_if && l->ifindex == d->vrf_if);
}

const char *diag_route_words(const struct diagnose *d)
{
	static char words[32 + IFNAMSIZ];

	snprintf(words, sizeof(words), "%s route%s%s", d->dst.family == AF_INET6 ? "ipv6" : "ip",
		 *d->vrf ? " vrf " : "", d->vrf);
	return words;
}

/* ---- addresses ---- */

bool diag_look_own(struct diagnose *d, const struct rtr_addr *a)
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		for (size_t i = 0; diag_in_vrf(d, l) && i < l->n_addrs; i++) {
			if (rtr_addr_cmp(&l->addrs[i].addr.addr, a))
				continue;
			diag_verdict(d, LAYER_ADDRESS, "%s is this router's own address, on %s",
				     d->dst_text, diag_link_name(l->ifindex));
			return true;
		}
	}
	return false;
}

const struct shadow_link *diag_connected(const struct diagnose *d, const struct rtr_addr *a,
					 struct rtr_prefix *ret_net)
{
	const struct shadow_link *found = NULL;

	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		for (size_t i = 0; diag_in_vrf(d, l) && i < l->n_addrs; i++) {
			const struct rtr_prefix *p = &l->addrs[i].addr;
			struct rtr_prefix net = rtr_prefix_network(*p);

			if (p->addr.family != a->family || !rtr_prefix_contains(&net, a) ||
			    p->len == rtr_family_bits(a->family) || (l->flags & IFF_LOOPBACK) ||
			    (found && p->len <= ret_net->len))
				continue;
			found = l;
			*ret_net = *p;
		}
	}
	return found;
}

bool diag_look_link(struct diagnose *d, int ifindex)
{
	const struct shadow_link *l = shadow_link_by_index(ifindex);
	const char *name = diag_link_name(ifindex);

	if (!l) {
		diag_verdict(d, LAYER_LINK, "the interface is gone");
		return true;
	}
	if (!(l->flags & IFF_UP)) {
		diag_step(d, LAYER_LINK, DIAG_BAD, "%s is administratively down", name);
		diag_fix(d, "interface %s", name);
		diag_fix(d, "no shutdown");
		diag_verdict(d, LAYER_LINK, "%s is shut down", name);
		return true;
	}
	if (!shadow_link_is_up(l)) {
		diag_step(d, LAYER_LINK, DIAG_BAD, "%s is up, but has no carrier", name);
		diag_verdict(d, LAYER_LINK,
			     "%s has no carrier: the cable, the port or the power of the other end",
			     name);
		return true;
	}
	diag_step(d, LAYER_LINK, DIAG_OK, "%s is up, MTU %u", name, l->mtu);
	return false;
}

static bool line_contains(const struct rec *r, const struct rtr_addr *a, bool v6)
{
	const struct rtr_prefix *p = v6 ? &((const struct iface_addr6 *)(const void *)r)->addr
					: &((const struct iface_addr4 *)(const void *)r)->addr;
	struct rtr_prefix net = rtr_prefix_network(*p);

	return rtr_prefix_contains(&net, a);
}

bool diag_look_configured(struct diagnose *d, const struct rtr_addr *a)
{
	const struct recvec *v = rec_kids(txn_running(), &iface_type);
	bool v6 = a->family == AF_INET6;
	const struct iface *i;

	recvec_foreach(v, i) {
		const struct recvec *lines = rec_kids(&i->rec,
						      v6 ? &iface_addr6_type : &iface_addr4_type);
		const struct shadow_link *l = iface_link(i->name);

		if (strcmp(i->vrf ? i->vrf : "", d->vrf))
			continue;
		for (size_t k = 0; k < lines->len; k++) {
			if (!line_contains(lines->v[k], a, v6) || (l && shadow_link_is_up(l)))
				continue;
			if (l)
				return diag_look_link(d, l->ifindex);
			diag_step(d, LAYER_LINK, DIAG_BAD,
				  "%s is configured, and not there in the kernel", i->name);
			diag_verdict(d, LAYER_LINK, "there is no interface %s in the kernel",
				     i->name);
			return true;
		}
	}
	return false;
}

/* ---- routes ---- */

static void take_route(void *arg, const struct nlmsghdr *h)
{
	struct diag_route *t = arg;
	const struct rtmsg *r = NLMSG_DATA(h);
	struct nlattr *tb[RTA_MAX + 1];

	if (h->nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr(h, sizeof(*r)) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*r), tb, RTA_MAX, NULL))
		return;
	t->type = r->rtm_type;
	if (tb[RTA_OIF])
		t->oif = (int)nla_get_u32(tb[RTA_OIF]);
	if (tb[RTA_GATEWAY] && (size_t)nla_len(tb[RTA_GATEWAY]) >= rtr_family_size(r->rtm_family)) {
		t->gw = (struct rtr_addr){ .family = r->rtm_family };
		memcpy(t->gw.b, nla_data(tb[RTA_GATEWAY]), rtr_family_size(r->rtm_family));
	}
}

void diag_ask_route(const struct diagnose *d, const struct rtr_addr *dst, int oif,
		    struct diag_route *ret)
{
	struct rtmsg hdr = { .rtm_family = dst->family,
			     .rtm_dst_len = (unsigned char)rtr_family_bits(dst->family) };
	struct nl_msg *m = rtmsg_new(RTM_GETROUTE, 0, &hdr, sizeof(hdr), 128);
	struct strbuf err = STRBUF_INIT;

	*ret = (struct diag_route){ .type = RTN_UNICAST };
	rtmsg_addr(m, RTA_DST, dst);
	if (oif || d->vrf_if)
		rtmsg_u32(m, RTA_OIF, (uint32_t)(oif ? oif : d->vrf_if));
	ret->error = kquery_one(m, take_route, ret, &err);
	strbuf_fini(&err);
}

/* The line with the longest prefix around the destination; NULL: none. */
static const struct static_route *line_for(const struct diagnose *d)
{
	static const struct sch_type *const types[2][2] = {
		{ &ip_route_type, &ipv6_route_type }, { &ip_route_vrf_type, &ipv6_route_vrf_type }
	};
	bool v6 = d->dst.family == AF_INET6;
	const struct recvec *v = rec_kids(txn_running(), types[*d->vrf != '\0'][v6]);
	const struct static_route *s, *best = NULL;

	recvec_foreach(v, s) {
		if (!strcmp(s->vrf ? s->vrf : "", d->vrf) &&
		    rtr_prefix_contains(&s->dst, &d->dst) && (!best || s->dst.len >= best->dst.len))
			best = s;
	}
	return best;
}

static char *line_text(const struct rec *r)
{
	struct strbuf b = STRBUF_INIT;

	text_rec(r, &b);
	return strbuf_steal(&b);
}

/* A line would lead there, and the kernel has no such route: why? */
static void judge_line(struct diagnose *d, const struct static_route *s)
{
	char *text = line_text(&s->rec), hop[RTR_ADDR_STRLEN];
	const struct shadow_link *l;
	enum track_state state = TRACK_UP;
	struct rtr_prefix net;

	diag_step(d, LAYER_ROUTE, DIAG_BAD, "the line \"%s\" is not in the kernel", text);
	free(text);
	if (SCH_HAS(s, distance) && s->distance == 255) {
		diag_verdict(d, LAYER_ROUTE, "its distance is 255, which is never installed");
		return;
	}
	if (s->track && track_get(s->track, &state) && state == TRACK_DOWN) {
		diag_verdict(d, LAYER_ROUTE, "track %u, which the route follows, is down",
			     s->track);
		return;
	}
	if (s->via == ROUTE_VIA_IFACE && iface_link(s->ifname) &&
	    diag_look_link(d, iface_link(s->ifname)->ifindex))
		return;
	if (s->nexthop.family) {
		rtr_addr_str(&s->nexthop, hop);
		l = diag_connected(d, &s->nexthop, &net);
		if (l ? diag_look_link(d, l->ifindex) : diag_look_configured(d, &s->nexthop))
			return;
		if (!l) {
			diag_verdict(d, LAYER_ROUTE,
				     "the next hop %s is in none of the connected networks: its "
				     "address is wrong, or that of an interface",
				     hop);
			return;
		}
	}
	diag_verdict(d, LAYER_ROUTE,
		     "the route is configured and not installed: show kernel drift");
}

static void no_route(struct diagnose *d, const struct diag_route *r)
{
	bool v6 = d->dst.family == AF_INET6;
	const struct static_route *s = line_for(d);
	const char *word = r->type == RTN_BLACKHOLE || r->error == -EINVAL  ? "discards it"
			   : r->type == RTN_PROHIBIT || r->error == -EACCES ? "prohibits it"
			   : r->type == RTN_UNREACHABLE || r->error == -EHOSTUNREACH
				   ? "calls it unreachable"
				   : NULL;
	char *text;

	if (s && route_discards(s)) {
		text = line_text(&s->rec);
		diag_step(d, LAYER_ROUTE, DIAG_BAD, "the longest line around it is \"%s\"", text);
		diag_fix(d, "no %s", text);
		free(text);
		diag_verdict(d, LAYER_ROUTE, "a route of the configuration %s",
			     word ? word : "discards it");
		return;
	}
	if (s) {
		judge_line(d, s);
		return;
	}
	/* What no route of a VRF takes ends in its table's last one, which is ours. */
	if (*d->vrf)
		word = NULL;
	diag_step(d, LAYER_ROUTE, DIAG_BAD, "the kernel: %s", word ? word : "no route leads to it");
	diag_fix(d, "%s %s <next hop>", diag_route_words(d), v6 ? "::/0" : "0.0.0.0/0");
	diag_verdict(d, LAYER_ROUTE,
		     word      ? "a route that others made %s"
		     : *d->vrf ? "there is no route to %s in vrf %s"
			       : "there is no route to %s",
		     word ? word : d->dst_text, d->vrf);
}

bool diag_look_route(struct diagnose *d)
{
	struct diag_route r;
	char hop[RTR_ADDR_STRLEN];

	diag_ask_route(d, &d->dst, d->hop_if, &r);
	/* While its link is down another route, often the default one, takes a network's packets.
	 */
	if (!d->hop_if && diag_look_configured(d, &d->dst))
		return true;
	if (r.error || (r.type != RTN_UNICAST && r.type != RTN_LOCAL)) {
		no_route(d, &r);
		return true;
	}
	if (r.type == RTN_LOCAL && diag_look_own(d, &d->dst))
		return true;
	d->hop = r.gw.family ? r.gw : d->dst;
	d->hop_if = r.oif;
	diag_step(d, LAYER_ROUTE, DIAG_OK, "%s %s, by %s", r.gw.family ? "via" : "on the link",
		  rtr_addr_str(&d->hop, hop), diag_link_name(r.oif));
	return diag_look_link(d, r.oif);
}
