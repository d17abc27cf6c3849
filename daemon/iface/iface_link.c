/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: which exist, and their MTU, MAC, alias, bridge, state and sysctls. */
#include "iface/iface.h"

#include "domain.h"
#include "kernel/apply.h"
#include "kernel/baseline.h"
#include "kernel/probe.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "system/global.h"

#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define KEY_SIZE 128

static struct nl_msg *link_msg(int type, int flags, int ifindex, unsigned set, unsigned change)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC,
				 .ifi_index = ifindex,
				 .ifi_flags = set,
				 .ifi_change = change };

	return rtmsg_new(type, flags, &ifi, sizeof(ifi), RTMSG_SIZE);
}

/* ---- creating and deleting ---- */

static const struct shadow_link *parent_of(const struct iface *i)
{
	char parent[IFNAMSIZ];

	return iface_parent_name(i->name, parent) ? iface_link(parent) : NULL;
}

static void plan_create(struct plan *p, const struct iface *i)
{
	const char *name = iface_kernel_name(i->name);
	struct iface_make mk;
	struct nl_msg *m;
	struct nlattr *info, *data;

	iface_make(p->want, i, &mk);
	if (!mk.kind)
		return;
	m = link_msg(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
	rtmsg_text(m, IFLA_IFNAME, name);
	rtmsg_u32(m, IFLA_GROUP, shadow_group());
	if (mk.parent && iface_kind_of(i->name) == IFACE_SUB)
		rtmsg_u32(m, IFLA_LINK, (uint32_t)mk.parent);
	if (!strcmp(mk.kind, "bridge")) {
		/* A bridge without a MAC of its own takes its members' lowest: neighbours would
		 * lose us whenever a member comes or goes. */
		uint8_t mac[6];

		if (getrandom(mac, sizeof(mac), 0) != sizeof(mac))
			abort();
		mac[0] = (uint8_t)((mac[0] & 0xfe) | 2);
		rtmsg_put(m, IFLA_ADDRESS, mac, sizeof(mac));
	}
	info = rtmsg_nest(m, IFLA_LINKINFO);
	rtmsg_text(m, IFLA_INFO_KIND, mk.kind);
	if (mk.n_info) {
		data = rtmsg_nest(m, IFLA_INFO_DATA);
		for (unsigned k = 0; k < mk.n_info; k++)
			rtmsg_put(m, mk.info[k].type, mk.info[k].data, mk.info[k].size);
		nla_nest_end(m, data);
	}
	nla_nest_end(m, info);
	plan_nl(p, m, &i->rec, "create %s %s", mk.kind, name);
}

/* Is the link what the model says? Loopbacks made before dummy was there stay bridges. */
static bool right_link(const struct rec *root, const struct iface *i, const struct shadow_link *l)
{
	struct iface_make mk;

	switch (iface_kind_of(i->name)) {
	case IFACE_LOOPBACK:
		return !strcmp(l->kind, "dummy") || !strcmp(l->kind, "bridge");
	case IFACE_BVI:
		return !strcmp(l->kind, "bridge");
	case IFACE_SUB:
		if (!i->dot1q)
			return !l->ours;
		/* fallthrough */
	case IFACE_TUNNEL:
	case IFACE_BOND:
	case IFACE_NVE:
		iface_make(root, i, &mk);
		return mk.kind && iface_is_made(&mk, l);
	default:
		return true;
	}
}

static void plan_delete(struct plan *p, const struct shadow_link *l, const struct rec *rec)
{
	plan_nl(p, link_msg(RTM_DELLINK, 0, l->ifindex, 0, 0), rec, "delete %s %s", l->kind,
		l->name);
}

/* Ours that nobody wants go first: a VLAN number may be wanted by another name. */
static void plan_deletes(struct plan *p)
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		const struct iface *i = iface_find(p->want, iface_operator_name(l->name));

		/* Those of kind vrf are for the domain "vrf" to judge. */
		if (l->ours && strcmp(l->kind, "vrf") && (!i || !right_link(p->want, i, l)))
			plan_delete(p, l, i ? &i->rec : NULL);
	}
}

static void plan_altname(struct plan *p, const struct shadow_link *l, const struct rec *rec)
{
	char name[SHADOW_ALTNAME_STRLEN];
	struct nl_msg *m;
	struct nlattr *list;

	shadow_altname(l->name, name);
	for (size_t i = 0; i < l->n_altnames; i++) {
		if (!strcmp(l->altnames[i], name))
			return;
	}
	m = link_msg(RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND, l->ifindex, 0, 0);
	list = rtmsg_nest(m, IFLA_PROP_LIST | NLA_F_NESTED);
	rtmsg_text(m, IFLA_ALT_IFNAME, name);
	nla_nest_end(m, list);
	plan_nl(p, m, rec, "add altname %s to %s", name, l->name);
}

/* ---- attributes, with the value from before us ---- */

/* plan_goal of an attribute. */
static const char *goal(struct plan *p, const struct shadow_link *l, const char *attr,
			const char *want, const char *now)
{
	char key[KEY_SIZE];

	snprintf(key, sizeof(key), "link %d %s %s", l->ifindex, l->name, attr);
	return plan_goal(p, key, want, now);
}

static char *mac_text(const uint8_t mac[6], char buf[18])
{
	snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
	return buf;
}

static void plan_mac(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	char want[18], now[18];
	unsigned b[6];
	uint8_t mac[6];
	const char *to = goal(p, l, "mac", i && SCH_HAS(i, mac) ? mac_text(i->mac, want) : NULL,
			      mac_text(l->mac, now));
	struct nl_msg *m;

	if (!to || sscanf(to, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
		return;
	for (int k = 0; k < 6; k++)
		mac[k] = (uint8_t)b[k];
	m = link_msg(RTM_SETLINK, 0, l->ifindex, 0, 0);
	rtmsg_put(m, IFLA_ADDRESS, mac, sizeof(mac));
	plan_nl(p, m, i ? &i->rec : NULL, "set MAC address of %s to %s", l->name, to);
}

static void plan_mtu(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	const struct shadow_link *parent = i ? parent_of(i) : NULL;
	char want[16], now[16];
	const char *to;
	struct nl_msg *m;

	snprintf(now, sizeof(now), "%u", l->mtu);
	snprintf(want, sizeof(want), "%u", i ? i->mtu : 0);
	if (i && SCH_HAS(i, mtu)) {
		to = goal(p, l, "mtu", want, now);
	} else if (l->ours && !strcmp(l->kind, "vlan") && parent) {
		/* A subinterface has its parent's MTU: the kernel lowers it with the parent's, but
		 * does not raise it again. */
		snprintf(want, sizeof(want), "%u", parent->mtu);
		to = strcmp(want, now) ? want : NULL;
	} else {
		to = goal(p, l, "mtu", NULL, now);
	}
	if (!to)
		return;
	m = link_msg(RTM_SETLINK, 0, l->ifindex, 0, 0);
	rtmsg_u32(m, IFLA_MTU, (uint32_t)strtoul(to, NULL, 10));
	plan_nl(p, m, i ? &i->rec : NULL, "set MTU of %s to %s", l->name, to);
}

static void plan_alias(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	const char *want = i && SCH_HAS(i, description) ? i->description : NULL;
	const char *to = goal(p, l, "alias", want, l->alias ? l->alias : "");
	struct nl_msg *m;

	if (!to)
		return;
	m = link_msg(RTM_SETLINK, 0, l->ifindex, 0, 0);
	rtmsg_put(m, IFLA_IFALIAS, to, strlen(to)); /* nothing at all: removes it */
	plan_nl(p, m, i ? &i->rec : NULL, "set alias of %s to \"%s\"", l->name, to);
}

/* What the interface is a part of: a bridge, a channel, a VRF. */
static bool wanted_master(const struct iface *i, char *buf, size_t size)
{
	if (i->bridge_group)
		snprintf(buf, size, "BVI%u", i->bridge_group);
	else if (SCH_HAS(i, channel_group))
		snprintf(buf, size, "Port-channel%u", i->channel_group);
	else if (i->vrf)
		rtr_strlcpy(buf, i->vrf, size);
	else
		return false;
	return true;
}

static void plan_master(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	const struct shadow_link *now = l->master ? shadow_link_by_index(l->master) : NULL,
				 *to_link;
	char want[32];
	bool wants = i && wanted_master(i, want, sizeof(want));
	const char *to = goal(p, l, "master", wants ? want : NULL, now ? now->name : "");
	const struct rec *rec = i ? &i->rec : NULL;
	struct nl_msg *m;

	to_link = to && *to ? shadow_link_by_name(to) : NULL;
	/* The master comes in an earlier round; one from before us may be gone for good. */
	if (!to || (*to && !to_link && wants) || (!to_link && !l->master))
		return;
	/* A bond takes nothing that is up, and takes it up itself. */
	if (to_link && !strcmp(to_link->kind, "bond") && l->flags & IFF_UP)
		plan_nl(p, link_msg(RTM_SETLINK, 0, l->ifindex, 0, IFF_UP), rec,
			"set %s down for %s", l->name, to_link->name);
	m = link_msg(RTM_SETLINK, 0, l->ifindex, 0, 0);
	rtmsg_u32(m, IFLA_MASTER, to_link ? (uint32_t)to_link->ifindex : 0);
	if (to_link)
		plan_nl(p, m, rec, "put %s into %s %s", l->name, to_link->kind, to_link->name);
	else
		plan_nl(p, m, rec, "take %s out of %s", l->name, now ? now->name : "its master");
}

static void plan_state(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	const struct shadow_link *parent = i ? parent_of(i) : NULL;
	const char *now = l->flags & IFF_UP ? "up" : "down", *to;
	struct nl_msg *m;

	/* The kernel refuses a VLAN over a parent that is down, and takes it up with it. */
	if (i && !i->shutdown && l->parent && parent && !(parent->flags & IFF_UP))
		return;
	to = goal(p, l, "state", i ? (i->shutdown ? "down" : "up") : NULL, now);
	if (!to)
		return;
	m = link_msg(RTM_SETLINK, 0, l->ifindex, strcmp(to, "up") ? 0 : IFF_UP, IFF_UP);
	plan_nl(p, m, i ? &i->rec : NULL, "set %s %s", l->name, to);
}

/* ---- sysctls ---- */

static void iface_sysctl(struct plan *p, const struct iface *i, const struct shadow_link *l,
			 const char *family, const char *name, const char *value)
{
	char path[KEY_SIZE];

	snprintf(path, sizeof(path), "net/%s/conf/%s/%s", family, l->name, name);
	plan_sysctl(p, path, value, &i->rec);
}

/*
 * promote_secondaries: see addr_order.h. accept_ra, accept_redirects: a router learns no routes
 * from its neighbours' say-so. ignore_routes_with_linkdown: as on IOS, the network of an interface
 * without carrier is not reachable through it. keep_addr_on_down: configured addresses are not the
 * kernel's to remove. forwarding: in case somebody switched it off for one interface.
 */
static void plan_sysctls(struct plan *p, const struct iface *i, const struct shadow_link *l,
			 const char *forward4, const char *forward6)
{
	bool loopback = l->flags & IFF_LOOPBACK || iface_kind_of(i->name) == IFACE_LOOPBACK;

	iface_sysctl(p, i, l, "ipv4", "promote_secondaries", "1");
	if (l->flags & IFF_LOOPBACK)
		return;
	iface_sysctl(p, i, l, "ipv4", "send_redirects", iface_redirects(i) ? "1" : "0");
	iface_sysctl(p, i, l, "ipv4", "accept_redirects", "0");
	if (!loopback)
		iface_sysctl(p, i, l, "ipv4", "ignore_routes_with_linkdown", "1");
	if (forward4)
		iface_sysctl(p, i, l, "ipv4", "forwarding", forward4);
	iface_sysctl(p, i, l, "ipv6", "accept_ra", "0");
	iface_sysctl(p, i, l, "ipv6", "autoconf", "0");
	iface_sysctl(p, i, l, "ipv6", "accept_redirects", "0");
	if (forward6)
		iface_sysctl(p, i, l, "ipv6", "forwarding", forward6);
	if (!iface_wants_ipv6(i))
		return;
	if (!loopback)
		iface_sysctl(p, i, l, "ipv6", "ignore_routes_with_linkdown", "1");
	iface_sysctl(p, i, l, "ipv6", "disable_ipv6", "0");
	iface_sysctl(p, i, l, "ipv6", "keep_addr_on_down", "1");
	if (i->link_local.family)
		iface_sysctl(p, i, l, "ipv6", "addr_gen_mode", "1"); /* none */
}

/* "0" or "1" for each interface. NULL when the switch for all is written now: it sets each one's,
 * so that they are looked at in the next round. */
static const char *plan_routing(struct plan *p, const char *path, bool on)
{
	const char *value = on ? "1" : "0";

	return plan_sysctl(p, path, value, p->want) ? NULL : value;
}

static void plan_all_sysctls(struct plan *p)
{
	const struct global *g = (const void *)p->want;
	const struct recvec *ifaces = rec_kids(p->want, &iface_type);
	const struct iface *i;
	const char *v4, *v6;
	bool redirects_off = false;

	v4 = plan_routing(p, "net/ipv4/ip_forward", SCH_HAS(g, ip_routing) ? g->ip_routing : true);
	v6 = plan_routing(p, "net/ipv6/conf/all/forwarding",
			  SCH_HAS(g, ipv6_unicast_routing) ? g->ipv6_unicast_routing : true);
	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = iface_link(i->name);

		redirects_off |= !iface_redirects(i);
		if (l)
			plan_sysctls(p, i, l, v4, v6);
	}
	/* Redirects are sent when either this or the interface's own says so. */
	if (redirects_off)
		plan_sysctl(p, "net/ipv4/conf/all/send_redirects", "0", p->want);
}

/* ---- all of it ---- */

static void plan_attrs(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	plan_master(p, i, l);
	plan_mac(p, i, l);
	plan_mtu(p, i, l);
	plan_alias(p, i, l);
	plan_state(p, i, l);
}

/* A link that the model does not name any more gets back what was before; the memory of one that
 * is gone goes. */
static void restore_one(void *arg, const char *key, const char *value)
{
	struct plan *p = arg;
	char name[IFNAMSIZ], attr[16];
	const struct shadow_link *l;
	int ifindex;

	if (sscanf(key, "link %d %15s %15s", &ifindex, name, attr) != 3)
		return;
	l = shadow_link_by_index(ifindex);
	if (!l || strcmp(l->name, name)) {
		plan_drop(p, key);
		return;
	}
	if (iface_find(p->want, iface_operator_name(name)))
		return;
	if (!strcmp(attr, "master"))
		plan_master(p, NULL, l);
	else if (!strcmp(attr, "mac"))
		plan_mac(p, NULL, l);
	else if (!strcmp(attr, "mtu"))
		plan_mtu(p, NULL, l);
	else if (!strcmp(attr, "alias"))
		plan_alias(p, NULL, l);
	else if (!strcmp(attr, "state"))
		plan_state(p, NULL, l);
}

void iface_plan_links(struct plan *p)
{
	const struct recvec *ifaces = rec_kids(p->want, &iface_type);
	const struct iface *i;

	plan_deletes(p);
	plan_all_sysctls(p); /* before a link comes up: it must not accept a router's advert */
	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = iface_link(i->name);

		if (!l) {
			plan_create(p, i);
			continue;
		}
		if (!right_link(p->want, i, l)) {
			if (!l->ours)
				plan_error(p, &i->rec, "%s exists and is not what %s needs",
					   l->name, i->name);
			continue;
		}
		if (l->ours)
			plan_altname(p, l, &i->rec);
		plan_attrs(p, i, l);
	}
	baseline_foreach("link ", restore_one, p);
}
