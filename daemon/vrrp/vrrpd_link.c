/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel tells of interfaces and addresses. Events come by a socket of their own and are
 * read as they come; what they do not tell is asked for by vrrpd_look.c's thread. An answer counts
 * only when no event came since the question: the event is newer. Lost events (ENOBUFS) mean that
 * all interfaces are asked for again.
 */
#include "vrrp/vrrpd.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define NL_BUFFER (1 << 20)
/* IFF_LOWER_UP: <linux/if.h> has it, which excludes <net/if.h>. */
#define LOWER_UP (1u << 16)
/* Messages read before the loop gets its turn. */
#define TURN 64

static int event_fd;

void link_each_group(struct vif *v, uint64_t now)
{
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		if (vd.groups[i].used && vd.groups[i].vif == v)
			vg_usable(&vd.groups[i], now, VRRP_R_LINK);
	}
}

/* ---- our own addresses ---- */

static void ask_local(struct vif *v)
{
	if (v->asking_local) {
		v->local_changed = true;
		return;
	}
	v->asking_local = true;
	v->local_changed = false;
	look_local(v);
}

void link_found_local(struct vif *v, int ifindex, const struct rtr_addr found[2], uint64_t now)
{
	bool changed = v->local_changed;

	v->asking_local = v->local_changed = false;
	if (!v->n_groups || v->ifindex != ifindex)
		changed = v->n_groups && v->ifindex;
	else if (!changed && memcmp(v->local, found, sizeof(v->local)) != 0) {
		memcpy(v->local, found, sizeof(v->local));
		link_each_group(v, now);
	}
	if (changed)
		ask_local(v);
}

static void event_lost(const struct nlmsghdr *h, const struct rtr_addr *a)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);

	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		if (vd.groups[i].used)
			addr_lost(&vd.groups[i], (int)ifa->ifa_index, a);
	}
}

/* Whom we are changes only when it must: the address that we speak from is gone or unusable. */
static void event_addr(const struct nlmsghdr *h, uint64_t now)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	bool usable, gone = h->nlmsg_type == RTM_DELADDR;
	struct rtr_addr a, *mine;

	if (!look_parse_local(h, &a, &usable))
		return;
	if (look_is_ours(h)) {
		/* By our own hand, or by that of somebody who knows nothing of us. */
		if (gone)
			event_lost(h, &a);
		return;
	}
	usable = usable && !gone;
	for (unsigned i = 0; i < MAX_IFS; i++) {
		struct vif *v = &vd.ifs[i];

		if (!v->n_groups || v->ifindex != (int)ifa->ifa_index)
			continue;
		mine = &v->local[FAM(a.family)];
		v->local_changed = v->asking_local;
		if (!mine->family && usable) {
			*mine = a;
			link_each_group(v, now);
		} else if (!rtr_addr_cmp(mine, &a) && !usable) {
			ask_local(v);
		}
		return;
	}
}

/* ---- links ---- */

/* ifindex 0: it is gone. */
static void set_link(struct vif *v, const struct link_info *l, uint64_t now)
{
	bool up = l->ifindex && (l->flags & (IFF_UP | LOWER_UP)) == (IFF_UP | LOWER_UP);
	bool other = l->ifindex && memcmp(v->mac, l->mac, sizeof(v->mac)) != 0;

	other |= up != v->up;
	if (v->ifindex != l->ifindex) {
		other = true;
		/* The sockets belong to the one that is gone. */
		v->up = false;
		io_rx_update(v);
		v->ifindex = l->ifindex;
		v->local[V4] = v->local[V6] = (struct rtr_addr){ 0 };
	}
	if (l->ifindex)
		memcpy(v->mac, l->mac, sizeof(v->mac));
	if (up && !v->up)
		v->up_ns = now;
	if (!other)
		return;
	v->up = up;
	io_rx_update(v);
	if (up && !vd.restoring)
		ask_local(v);
	link_each_group(v, now);
}

void link_query(struct vif *v)
{
	v->asking_link = true;
	look_link(v->name);
}

void link_query_now(struct vif *v)
{
	struct rtr_addr local[2] = { 0 };
	struct link_info l;

	look_now(v->name, &l, local);
	set_link(v, &l, rtr_now_ns());
	memcpy(v->local, local, sizeof(v->local));
}

static void set_vmac(struct vg *g, const struct link_info *l, uint64_t now)
{
	bool other = l->ifindex && l->ifindex != g->vmac_ifindex;

	g->asking_vmac = false;
	g->vmac_ifindex = l->ifindex;
	g->vmac_up = l->ifindex && l->flags & IFF_UP;
	vg_usable(g, now, VRRP_R_LINK);
	if (other && g->fsm.state == VRRP_S_ACTIVE && !vd.restoring) {
		probe_start(g, now);
		vg_schedule(g);
	}
}

void link_query_vmac(struct vg *g)
{
	g->asking_vmac = true;
	look_link(g->slot->conf.vmac);
}

void link_query_vmac_now(struct vg *g)
{
	struct link_info l;

	look_now(g->slot->conf.vmac, &l, NULL);
	set_vmac(g, &l, rtr_now_ns());
}

void link_found(const struct link_info *l, uint64_t now)
{
	for (unsigned i = 0; i < MAX_IFS; i++) {
		struct vif *v = &vd.ifs[i];

		if (!v->n_groups || !v->asking_link || strcmp(v->name, l->name) != 0)
			continue;
		v->asking_link = false;
		set_link(v, l, now);
	}
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vg *g = &vd.groups[i];

		if (g->used && g->asking_vmac && !strcmp(g->slot->conf.vmac, l->name))
			set_vmac(g, l, now);
	}
}

static void event_link(const struct nlmsghdr *h, uint64_t now)
{
	static const struct link_info none;
	bool gone = h->nlmsg_type == RTM_DELLINK;
	struct link_info l;

	if (!look_parse_link(h, &l))
		return;
	for (unsigned i = 0; i < MAX_IFS; i++) {
		struct vif *v = &vd.ifs[i];
		bool is_it = !strcmp(v->name, l.name);

		if (!v->n_groups || (!is_it && v->ifindex != l.ifindex))
			continue;
		v->asking_link = false;
		/* Renamed away is as good as gone. */
		set_link(v, gone || !is_it ? &none : &l, now);
	}
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vg *g = &vd.groups[i];

		if (g->used && g->slot->conf.vmac[0] && !strcmp(g->slot->conf.vmac, l.name))
			set_vmac(g, gone ? &none : &l, now);
	}
}

/* ---- events ---- */

int link_init(void)
{
	struct sockaddr_nl me = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
					       RTMGRP_IPV6_IFADDR };
	int size = NL_BUFFER;

	event_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (event_fd < 0)
		return -errno;
	setsockopt(event_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(event_fd, (struct sockaddr *)&me, sizeof(me)) < 0)
		return -errno;
	vrrpd_watch(event_fd, WATCH_LINK);
	return 0;
}

static void ask_all(void)
{
	for (unsigned i = 0; i < MAX_IFS; i++) {
		struct vif *v = &vd.ifs[i];

		if (!v->n_groups || v->asking_link)
			continue;
		link_query(v);
		if (v->ifindex)
			ask_local(v);
	}
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vg *g = &vd.groups[i];

		if (g->used && g->slot->conf.vmac[0] && !g->asking_vmac)
			link_query_vmac(g);
	}
	addr_all_lost();
}

void link_read(uint64_t now)
{
	static union {
		char buf[32768];
		struct nlmsghdr h;
	} ev;

	for (unsigned i = 0; i < TURN; i++) {
		ssize_t n = recv(event_fd, ev.buf, sizeof(ev.buf), 0);

		if (n < 0 && errno == ENOBUFS)
			ask_all();
		if (n <= 0)
			return;
		for (struct nlmsghdr *h = &ev.h; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK)
				event_link(h, now);
			else if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR)
				event_addr(h, now);
		}
	}
}
