/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/shadow_db.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>

/* Hops of one route that we look at; the kernel's own limit is the message's size. */
#define MAX_HOPS 256
/* What a link's carrier does to a hop is told by no event; the link's own flags tell it. */
#define HOP_FLAGS (RTNH_F_DEAD | RTNH_F_ONLINK)

static uint32_t get_u32(const struct nlattr *a, uint32_t dflt)
{
	return a && nla_len(a) >= 4 ? nla_get_u32(a) : dflt;
}

static void get_text(const struct nlattr *a, char *buf, size_t size)
{
	buf[0] = '\0';
	if (a)
		nla_strlcpy(buf, a, size);
}

static bool get_addr(const struct nlattr *a, int family, struct rtr_addr *ret)
{
	if (!a || nla_len(a) < (int)rtr_family_size((uint8_t)family))
		return false;
	*ret = (struct rtr_addr){ .family = (uint8_t)family };
	memcpy(ret->b, nla_data(a), rtr_family_size((uint8_t)family));
	return true;
}

/* ---- links ---- */

static void parse_kind(struct shadow_link *l, struct nlattr *info)
{
	struct nlattr *tb[IFLA_INFO_MAX + 1], *vlan[IFLA_VLAN_MAX + 1];

	if (!info || nla_parse_nested(tb, IFLA_INFO_MAX, info, NULL))
		return;
	get_text(tb[IFLA_INFO_KIND], l->kind, sizeof(l->kind));
	/* A bridge's is full of timers, and we set nothing of it. */
	if (tb[IFLA_INFO_DATA] && nla_len(tb[IFLA_INFO_DATA]) > 0 && strcmp(l->kind, "bridge")) {
		l->info_size = (size_t)nla_len(tb[IFLA_INFO_DATA]);
		l->info = xmalloc(l->info_size);
		memcpy(l->info, nla_data(tb[IFLA_INFO_DATA]), l->info_size);
	}
	if (!strcmp(l->kind, "vlan") && tb[IFLA_INFO_DATA] &&
	    !nla_parse_nested(vlan, IFLA_VLAN_MAX, tb[IFLA_INFO_DATA], NULL) && vlan[IFLA_VLAN_ID])
		l->vlan_id = nla_get_u16(vlan[IFLA_VLAN_ID]);
}

static void parse_altnames(struct shadow_link *l, struct nlattr *list)
{
	char ours[SHADOW_ALTNAME_STRLEN];
	struct nlattr *a;
	int rem;

	l->ours = l->group == shadow_group();
	if (!list)
		return;
	shadow_altname(l->name, ours);
	nla_for_each_nested(a, list, rem) {
		if (nla_type(a) != IFLA_ALT_IFNAME)
			continue;
		l->altnames = xrealloc(l->altnames, (l->n_altnames + 1) * sizeof(char *));
		l->altnames[l->n_altnames++] = xstrndup(nla_data(a), (size_t)nla_len(a));
		if (!strcmp(l->altnames[l->n_altnames - 1], ours))
			l->ours = true;
	}
}

static bool get_mac(const struct nlattr *a, uint8_t mac[6])
{
	if (!a || nla_len(a) != 6)
		return false;
	memcpy(mac, nla_data(a), 6);
	return true;
}

static unsigned parse_link(const struct nlmsghdr *h)
{
	const struct ifinfomsg *ifi = nlmsg_data(h);
	struct shadow_link l = { 0 };
	struct nlattr *tb[IFLA_MAX + 1];

	/* AF_BRIDGE: a port's bridge settings, and its "deletion" when it leaves the bridge. */
	if (!nlmsg_valid_hdr(h, sizeof(*ifi)) || ifi->ifi_family != AF_UNSPEC)
		return 0;
	if (h->nlmsg_type == RTM_DELLINK)
		return shadow_link_del(ifi->ifi_index);
	/* Wireless events are cut short: no MTU. */
	if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*ifi), tb, IFLA_MAX, NULL) ||
	    !tb[IFLA_IFNAME] || !tb[IFLA_MTU])
		return 0;
	l.ifindex = ifi->ifi_index;
	l.flags = ifi->ifi_flags;
	l.arptype = ifi->ifi_type;
	get_text(tb[IFLA_IFNAME], l.name, sizeof(l.name));
	l.mtu = get_u32(tb[IFLA_MTU], 0);
	l.min_mtu = get_u32(tb[IFLA_MIN_MTU], 0);
	l.max_mtu = get_u32(tb[IFLA_MAX_MTU], 0);
	l.operstate = tb[IFLA_OPERSTATE] ? nla_get_u8(tb[IFLA_OPERSTATE]) : IF_OPER_UNKNOWN;
	l.carrier = tb[IFLA_CARRIER] && nla_get_u8(tb[IFLA_CARRIER]);
	l.has_mac = get_mac(tb[IFLA_ADDRESS], l.mac);
	l.has_perm_mac = get_mac(tb[IFLA_PERM_ADDRESS], l.perm_mac);
	l.master = (int)get_u32(tb[IFLA_MASTER], 0);
	/* A parent in another namespace has a number that means nothing here. */
	if (!tb[IFLA_LINK_NETNSID])
		l.parent = (int)get_u32(tb[IFLA_LINK], 0);
	l.group = get_u32(tb[IFLA_GROUP], 0);
	if (tb[IFLA_IFALIAS])
		l.alias = xstrndup(nla_data(tb[IFLA_IFALIAS]), (size_t)nla_len(tb[IFLA_IFALIAS]));
	parse_kind(&l, tb[IFLA_LINKINFO]);
	parse_altnames(&l, tb[IFLA_PROP_LIST]);
	return shadow_link_put(&l);
}

/* ---- addresses ---- */

static unsigned parse_addr(const struct nlmsghdr *h, bool dump)
{
	const struct ifaddrmsg *ifa = nlmsg_data(h);
	struct nlattr *tb[IFA_MAX + 1];
	struct shadow_addr a = { 0 };
	struct rtr_addr local, address;
	struct shadow_link *l;
	bool has_local, has_address;

	if (!nlmsg_valid_hdr(h, sizeof(*ifa)) ||
	    (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*ifa), tb, IFA_MAX, NULL))
		return 0;
	l = shadow_link_get((int)ifa->ifa_index);
	has_local = get_addr(tb[IFA_LOCAL], ifa->ifa_family, &local);
	has_address = get_addr(tb[IFA_ADDRESS], ifa->ifa_family, &address);
	if (!l || (!has_local && !has_address))
		return 0;
	a.addr.addr = has_local ? local : address;
	a.addr.len = ifa->ifa_prefixlen;
	if (has_local && has_address && rtr_addr_cmp(&local, &address))
		a.peer = address;
	if (h->nlmsg_type == RTM_DELADDR)
		return shadow_addr_del(l, &a);
	a.flags = get_u32(tb[IFA_FLAGS], ifa->ifa_flags);
	a.scope = ifa->ifa_scope;
	a.proto = tb[IFA_PROTO] ? nla_get_u8(tb[IFA_PROTO]) : 0;
	a.ours = a.proto == shadow_proto();
	return shadow_addr_put(l, &a, dump);
}

/* ---- routes ---- */

static void parse_gateway(struct shadow_hop *hop, int family, const struct nlattr *gw,
			  const struct nlattr *via)
{
	const struct rtvia *v;

	if (get_addr(gw, family, &hop->gw) || !via || nla_len(via) < (int)sizeof(*v))
		return;
	v = nla_data(via);
	if ((v->rtvia_family == AF_INET || v->rtvia_family == AF_INET6) &&
	    nla_len(via) >= (int)(sizeof(*v) + rtr_family_size((uint8_t)v->rtvia_family))) {
		hop->gw.family = (uint8_t)v->rtvia_family;
		memcpy(hop->gw.b, v->rtvia_addr, rtr_family_size(hop->gw.family));
	}
}

static unsigned parse_multipath(struct shadow_hop *hops, int family, const struct nlattr *mp)
{
	const struct rtnexthop *nh = nla_data(mp);
	int rem = nla_len(mp);
	unsigned n = 0;

	while (n < MAX_HOPS && rem >= (int)sizeof(*nh) && nh->rtnh_len >= sizeof(*nh) &&
	       nh->rtnh_len <= rem) {
		struct nlattr *tb[RTA_MAX + 1];
		struct nlattr *first = (struct nlattr *)(uintptr_t)RTNH_DATA(nh);
		int step = RTNH_ALIGN(nh->rtnh_len);

		hops[n] = (struct shadow_hop){ .ifindex = nh->rtnh_ifindex,
					       .weight = (uint16_t)(nh->rtnh_hops + 1),
					       .flags = nh->rtnh_flags & HOP_FLAGS };
		if (!nla_parse(tb, RTA_MAX, first, nh->rtnh_len - (int)sizeof(*nh), NULL))
			parse_gateway(&hops[n], family, tb[RTA_GATEWAY], tb[RTA_VIA]);
		n++;
		rem -= step;
		nh = (const void *)((const char *)nh + step);
	}
	return n;
}

static unsigned parse_route(const struct nlmsghdr *h)
{
	static union {
		struct shadow_route r;
		char room[sizeof(struct shadow_route) + MAX_HOPS * sizeof(struct shadow_hop)];
	} buf;
	struct shadow_route *r = &buf.r;
	const struct rtmsg *rtm = nlmsg_data(h);
	struct nlattr *tb[RTA_MAX + 1];

	if (!nlmsg_valid_hdr(h, sizeof(*rtm)) || rtm->rtm_flags & RTM_F_CLONED || rtm->rtm_tos ||
	    (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*rtm), tb, RTA_MAX, NULL))
		return 0;
	*r = (struct shadow_route){ 0 };
	r->table = get_u32(tb[RTA_TABLE], rtm->rtm_table);
	r->metric = get_u32(tb[RTA_PRIORITY], 0);
	if (!get_addr(tb[RTA_DST], rtm->rtm_family, &r->dst.addr))
		r->dst.addr.family = rtm->rtm_family;
	r->dst.len = rtm->rtm_dst_len;
	r->type = rtm->rtm_type;
	if (rtm->rtm_protocol != shadow_proto()) {
		/* Somebody's route took the place of ours. */
		if (h->nlmsg_type == RTM_NEWROUTE && h->nlmsg_flags & NLM_F_REPLACE)
			return shadow_route_del(r->table, &r->dst, r->metric);
		return 0;
	}
	if (r->type != RTN_UNICAST) {
		r->n_hops = 0; /* IPv6 names lo */
	} else if (tb[RTA_MULTIPATH]) {
		r->n_hops = (uint16_t)parse_multipath(r->hops, rtm->rtm_family, tb[RTA_MULTIPATH]);
	} else {
		r->n_hops = 1;
		r->hops[0] = (struct shadow_hop){ .ifindex = (int)get_u32(tb[RTA_OIF], 0),
						  .weight = 1,
						  .flags = rtm->rtm_flags & HOP_FLAGS };
		parse_gateway(&r->hops[0], rtm->rtm_family, tb[RTA_GATEWAY], tb[RTA_VIA]);
	}
	shadow_hops_sort(r->hops, r->n_hops);
	/*
	 * IPv4 tells of whole routes. IPv6: a new or appended hop is told with the whole route
	 * (ip6_route_mpath_notify, rt6_fill_node walk the siblings); a deletion names the hops that
	 * went, which are all of them for a route deleted as such, one when a link took it away.
	 */
	if (h->nlmsg_type == RTM_NEWROUTE)
		return shadow_route_put(r);
	if (rtm->rtm_family == AF_INET6)
		return shadow_route_del_hops(r);
	return shadow_route_del(r->table, &r->dst, r->metric);
}

/* ---- neighbours ---- */

static unsigned parse_neigh(const struct nlmsghdr *h)
{
	const struct ndmsg *nd = nlmsg_data(h);
	struct nlattr *tb[NDA_MAX + 1];
	struct shadow_neigh n = { 0 };

	if (!nlmsg_valid_hdr(h, sizeof(*nd)) ||
	    (nd->ndm_family != AF_INET && nd->ndm_family != AF_INET6) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*nd), tb, NDA_MAX, NULL) ||
	    !tb[NDA_PROTOCOL] || nla_get_u8(tb[NDA_PROTOCOL]) != shadow_proto() ||
	    !get_addr(tb[NDA_DST], nd->ndm_family, &n.addr))
		return 0;
	n.ifindex = nd->ndm_ifindex;
	n.proxy = nd->ndm_flags & NTF_PROXY;
	n.state = nd->ndm_state;
	get_mac(tb[NDA_LLADDR], n.mac);
	/* One without an address on its way out is told as FAILED first. */
	if (h->nlmsg_type == RTM_DELNEIGH || (!n.proxy && n.state & NUD_FAILED))
		return shadow_neigh_del(n.ifindex, &n.addr, n.proxy);
	return shadow_neigh_put(&n);
}

unsigned shadow_parse(const struct nlmsghdr *h, bool dump)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return parse_link(h);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return parse_addr(h, dump);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return parse_route(h);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return parse_neigh(h);
	case RTM_NEWRULE:
	case RTM_DELRULE:
		return shadow_parse_rule(h);
	default:
		return 0;
	}
}
