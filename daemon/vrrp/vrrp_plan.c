/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A group with a virtual MAC has a macvlan on its interface, made here, down and without
 * addresses: rtr-vrrpd takes it up and gives it the addresses while the group is master. Its mode
 * is bridge: in the private one the kernel gives multicast frames from the virtual MAC to the
 * macvlan alone (macvlan_handle_frame), and two masters would never hear each other.
 * Its mark is the link group; its name vrrp4-<interface's number>-<group>.
 *
 * Sysctls, with their reasons:
 *	arp_ignore 1    on both: each answers for its own addresses only, or hosts would learn the
 *	                physical MAC for the virtual address, and the other way round
 *	rp_filter 2     macvlan: the way back to the host is by the interface below
 *	accept_local 1  on both: adverts of the address's owner come from the address that is ours
 *			as long as we are master
 *	disable_ipv6 1  macvlan of IPv4: coming up, the kernel would report multicast groups from
 *			the virtual MAC, and switches send us the hosts' packets a skew too early
 *	accept_dad 0    macvlan of IPv6: the peer may hold the address for another moment
 */
#include "domain.h"
#include "iface/iface.h"
#include "kernel/apply.h"
#include "kernel/probe.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "system/parent.h"
#include "system/parent_vrrp.h"
#include "vrrp/vrrp.h"
#include "vrrp/vrrp_packet.h"

#include <linux/if_link.h>
#include <net/if_arp.h>
#include <string.h>

/* "vr" and the number of the instance. */
#define GROUP_BASE 0x76720000u

static uint32_t mark(void)
{
	return GROUP_BASE + shadow_proto();
}

/* The macvlan's name; false when the group has none. */
static bool vmac_name(const struct vrrp_want *w, const struct shadow_link *l, char name[IFNAMSIZ])
{
	int n;

	memset(name, 0, IFNAMSIZ);
	if (!w->virtual_mac || !l || l->arptype != ARPHRD_ETHER || !probe_link_kind("macvlan"))
		return false;
	n = snprintf(name, IFNAMSIZ, "vrrp%d-%d-%d", w->conf.family == AF_INET ? 4 : 6, l->ifindex,
		     w->conf.vrid);
	return n > 0 && n < IFNAMSIZ;
}

void vrrp_foreach_vmac(const struct rec *root, vrrp_vmac_fn *fn, void *arg)
{
	struct vrrp_wants ws;
	char name[IFNAMSIZ];

	vrrp_want(root, &ws);
	for (size_t i = 0; i < ws.n; i++) {
		const struct shadow_link *l = shadow_link_by_name(ws.v[i].conf.ifname), *m;

		if (!vmac_name(&ws.v[i], l, name))
			continue;
		m = shadow_link_by_name(name);
		fn(l->name, name, m && m->group == mark() ? m->ifindex : 0, arg);
	}
	vrrp_wants_fini(&ws);
}

bool vrrp_is_vmac(const struct shadow_link *l)
{
	return l->group == mark() && !strcmp(l->kind, "macvlan");
}

bool vrrp_set_addr(const struct shadow_link *l, const struct shadow_addr *a)
{
	/* Kernels before 5.18 keep no IFA_PROTO: there only the macvlan tells. */
	return a->proto ? parent_args() && a->proto == parent_vrrp_proto(parent_args()->name)
			: vrrp_is_vmac(l);
}

static bool is_right(const struct shadow_link *m, const struct vrrp_want *w,
		     const struct shadow_link *l)
{
	uint8_t mac[6];

	vrrp_virtual_mac(w->conf.family, w->conf.vrid, mac);
	return vrrp_is_vmac(m) && m->parent == l->ifindex && !memcmp(m->mac, mac, sizeof(mac));
}

static void plan_create(struct plan *p, const struct vrrp_want *w, const struct shadow_link *l,
			const char *name)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct nl_msg *m = rtmsg_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi),
				     RTMSG_SIZE);
	uint8_t mac[6];
	struct nlattr *info, *data;

	vrrp_virtual_mac(w->conf.family, w->conf.vrid, mac);
	rtmsg_text(m, IFLA_IFNAME, name);
	rtmsg_u32(m, IFLA_GROUP, mark());
	rtmsg_u32(m, IFLA_LINK, (uint32_t)l->ifindex);
	rtmsg_put(m, IFLA_ADDRESS, mac, sizeof(mac));
	info = rtmsg_nest(m, IFLA_LINKINFO);
	rtmsg_text(m, IFLA_INFO_KIND, "macvlan");
	data = rtmsg_nest(m, IFLA_INFO_DATA);
	rtmsg_u32(m, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
	nla_nest_end(m, data);
	nla_nest_end(m, info);
	plan_nl(p, m, w->rec, "create %s, the virtual MAC of group %u on %s", name, w->conf.vrid,
		l->name);
}

static void plan_delete(struct plan *p, const struct shadow_link *m)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC, .ifi_index = m->ifindex };

	plan_nl(p, rtmsg_new(RTM_DELLINK, 0, &ifi, sizeof(ifi), RTMSG_SIZE), NULL,
		"delete %s, a virtual MAC", m->name);
}

static void set(struct plan *p, const struct vrrp_want *w, const char *dev, const char *family,
		const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "net/%s/conf/%s/%s", family, dev, name);
	plan_sysctl(p, path, value, w->rec);
}

static void plan_sysctls(struct plan *p, const struct vrrp_want *w, const char *parent,
			 const char *vmac)
{
	static const char *const off6[] = { "accept_ra", "autoconf", "accept_redirects",
					    "accept_dad", "dad_transmits" };

	set(p, w, parent, "ipv4", "arp_ignore", "1");
	set(p, w, vmac, "ipv4", "arp_ignore", "1");
	set(p, w, vmac, "ipv4", "rp_filter", "2");
	set(p, w, vmac, "ipv4", "accept_local", "1");
	set(p, w, vmac, "ipv4", "send_redirects", "0");
	if (w->conf.family == AF_INET) {
		set(p, w, vmac, "ipv6", "disable_ipv6", "1");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(off6); i++)
		set(p, w, vmac, "ipv6", off6[i], "0");
	/* No link-local address of its own: it is nobody but the group. */
	set(p, w, vmac, "ipv6", "addr_gen_mode", "1");
}

static bool wanted_vmac(const struct vrrp_wants *ws, const struct shadow_link *m)
{
	for (size_t i = 0; i < ws->n; i++) {
		if (!strcmp(ws->v[i].conf.vmac, m->name))
			return true;
	}
	return false;
}

/* Orphans of a crash before the events were seen, and those whose group went. */
static void plan_deletes(struct plan *p, const struct vrrp_wants *ws)
{
	for (const struct shadow_link *m = shadow_link_next(NULL); m; m = shadow_link_next(m)) {
		if (vrrp_is_vmac(m) && !wanted_vmac(ws, m))
			plan_delete(p, m);
	}
}

/* Fills in the macvlan's name. False: it has to be made first. */
static bool plan_vmac(struct plan *p, struct vrrp_want *w)
{
	const struct shadow_link *l = shadow_link_by_name(w->conf.ifname), *m;
	char name[IFNAMSIZ];

	if (l && w->conf.family == AF_INET)
		set(p, w, l->name, "ipv4", "accept_local", "1");
	if (!vmac_name(w, l, name))
		return true;
	memcpy(w->conf.vmac, name, sizeof(name));
	m = shadow_link_by_name(name);
	if (!m) {
		plan_create(p, w, l, name);
		return false;
	}
	if (!is_right(m, w, l)) {
		if (m->group != mark()) {
			plan_error(p, w->rec, "%s exists and is not ours", name);
			return true;
		}
		plan_delete(p, m);
		return false;
	}
	plan_sysctls(p, w, l->name, name);
	return true;
}

void vrrp_plan(struct plan *p)
{
	struct vrrp_wants ws;
	bool ready = true;

	vrrp_want(p->want, &ws);
	for (size_t i = 0; i < ws.n; i++)
		ready = plan_vmac(p, &ws.v[i]) && ready;
	plan_deletes(p, &ws);
	/* rtr-vrrpd gets the groups when what they stand on is there: the routes are planned before
	 * us, the macvlans in this round or one before. It compares for itself. */
	if (ready)
		vrrp_client_push(&ws);
	else
		vrrp_wants_fini(&ws);
}
