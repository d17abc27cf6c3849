/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel tells of interfaces and addresses. Events come by a socket of their own; a
 * question is asked on another and answered inside the system call. Lost events (ENOBUFS) mean
 * that all interfaces are asked again.
 */
#include "vrrp/vrrpd.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define NL_BUFFER (1 << 20)
/* IFF_LOWER_UP: <linux/if.h> has it, which excludes <net/if.h>. */
#define LOWER_UP (1u << 16)
/* Messages read before the loop gets its turn. */
#define TURN 64

static int event_fd, query_fd;
static uint32_t seq;

typedef void (*nl_fn)(const struct nlmsghdr *h, void *arg);

static union {
	char buf[65536];
	struct nlmsghdr h;
} in;

static const struct rtattr *find_attr(const struct nlmsghdr *h, size_t hdr, unsigned short type)
{
	int left = (int)h->nlmsg_len - (int)NLMSG_SPACE(hdr);
	const struct rtattr *a = (const void *)((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(hdr));

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	}
	return NULL;
}

/* Sends a question and calls fn for each message of the answer. 0 or -errno. */
static int query(struct nlmsghdr *q, nl_fn fn, void *arg)
{
	q->nlmsg_seq = ++seq;
	q->nlmsg_flags |= NLM_F_REQUEST;
	if (send(query_fd, q, q->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(query_fd, in.buf, sizeof(in.buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (struct nlmsghdr *h = &in.h; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_seq != seq)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			fn(h, arg);
			if (!(q->nlmsg_flags & NLM_F_DUMP))
				return 0;
		}
	}
}

/* ---- links ---- */

struct link_info {
	char name[IFNAMSIZ];
	int ifindex;
	unsigned flags;
	uint8_t mac[6];
	bool has_mac;
};

static bool parse_link(const struct nlmsghdr *h, struct link_info *ret)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(h);
	const struct rtattr *name, *mac;

	/* A bridge tells of its ports in the same way, and of one that it lets go as if the link
	 * were gone. */
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*ifi)) || ifi->ifi_family != AF_UNSPEC)
		return false;
	*ret = (struct link_info){ .ifindex = ifi->ifi_index, .flags = ifi->ifi_flags };
	name = find_attr(h, sizeof(*ifi), IFLA_IFNAME);
	mac = find_attr(h, sizeof(*ifi), IFLA_ADDRESS);
	if (!name || !rtr_strlcpy(ret->name, RTA_DATA(name), sizeof(ret->name)))
		return false;
	ret->has_mac = mac && RTA_PAYLOAD(mac) == sizeof(ret->mac);
	if (ret->has_mac)
		memcpy(ret->mac, RTA_DATA(mac), sizeof(ret->mac));
	return true;
}

static void keep_link(const struct nlmsghdr *h, void *arg)
{
	if (h->nlmsg_type == RTM_NEWLINK)
		(void)parse_link(h, arg);
}

static bool ask_link(const char *name, struct link_info *ret)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg ifi;
		struct rtattr a;
		char name[IFNAMSIZ];
	} q = { .h = { .nlmsg_len = sizeof(q), .nlmsg_type = RTM_GETLINK },
		.a = { .rta_type = IFLA_IFNAME, .rta_len = RTA_LENGTH(IFNAMSIZ) } };

	*ret = (struct link_info){ 0 };
	rtr_strlcpy(q.name, name, sizeof(q.name));
	q.a.rta_len = (unsigned short)RTA_LENGTH(strlen(q.name) + 1);
	q.h.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(q.ifi)) + RTA_ALIGN(q.a.rta_len));
	return query(&q.h, keep_link, ret) == 0 && ret->ifindex;
}

int link_index(const char *name, unsigned *ret_flags)
{
	struct link_info l;

	if (!ask_link(name, &l))
		return 0;
	*ret_flags = l.flags;
	return l.ifindex;
}

static void each_group(struct vif *v, uint64_t now)
{
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		if (vd.groups[i].used && vd.groups[i].vif == v)
			vg_usable(&vd.groups[i], now, VRRP_R_LINK);
	}
}

/* l NULL: it is gone. */
static void set_link(struct vif *v, const struct link_info *l, uint64_t now)
{
	bool up = l && (l->flags & (IFF_UP | LOWER_UP)) == (IFF_UP | LOWER_UP);
	bool other = l && memcmp(v->mac, l->mac, sizeof(v->mac));

	other |= up != v->up;
	if (v->ifindex != (l ? l->ifindex : 0)) {
		other = true;
		/* The sockets belong to the one that is gone. */
		v->up = false;
		io_rx_update(v);
		v->ifindex = l ? l->ifindex : 0;
		v->local[V4] = v->local[V6] = (struct rtr_addr){ 0 };
	}
	if (l)
		memcpy(v->mac, l->mac, sizeof(v->mac));
	if (up && !v->up)
		v->up_ns = now;
	if (!other)
		return;
	v->up = up;
	io_rx_update(v);
	if (up)
		link_query_local(v);
	each_group(v, now);
}

void link_query(struct vif *v)
{
	struct link_info l;

	set_link(v, ask_link(v->name, &l) ? &l : NULL, rtr_now_ns());
}

static void event_link(const struct nlmsghdr *h, uint64_t now)
{
	struct link_info l;
	bool gone = h->nlmsg_type == RTM_DELLINK;

	if (!parse_link(h, &l))
		return;
	for (unsigned i = 0; i < MAX_IFS; i++) {
		struct vif *v = &vd.ifs[i];
		bool is_it = !strcmp(v->name, l.name);

		if (!v->n_groups || (!is_it && v->ifindex != l.ifindex))
			continue;
		/* Renamed away is as good as gone. */
		set_link(v, gone || !is_it ? NULL : &l, now);
	}
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vg *g = &vd.groups[i];

		if (!g->used || !g->slot->conf.vmac[0] || strcmp(g->slot->conf.vmac, l.name))
			continue;
		g->vmac_ifindex = gone ? 0 : l.ifindex;
		g->vmac_up = !gone && l.flags & IFF_UP;
		vg_usable(g, now, VRRP_R_LINK);
	}
}

/* ---- addresses ---- */

struct addr_search {
	int ifindex;
	struct rtr_addr found[2];
};

static void take_addr(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	struct addr_search *s = arg;
	const struct rtattr *proto, *flags, *local;
	unsigned fam = FAM(ifa->ifa_family);
	uint32_t f;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*ifa)) ||
	    (int)ifa->ifa_index != s->ifindex || s->found[fam].family ||
	    (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
		return;
	proto = find_attr(h, sizeof(*ifa), IFA_PROTO);
	flags = find_attr(h, sizeof(*ifa), IFA_FLAGS);
	local = find_attr(h, sizeof(*ifa), IFA_LOCAL);
	if (!local)
		local = find_attr(h, sizeof(*ifa), IFA_ADDRESS);
	f = flags && RTA_PAYLOAD(flags) >= 4 ? *(const uint32_t *)RTA_DATA(flags) : ifa->ifa_flags;
	if (!local || RTA_PAYLOAD(local) < rtr_family_size(ifa->ifa_family) ||
	    (proto && *(const uint8_t *)RTA_DATA(proto) == vd.proto))
		return;
	/* IPv6 adverts come from the link-local address (RFC 9568 section 5.1.2.1). */
	if (ifa->ifa_family == AF_INET6
		    ? ifa->ifa_scope != RT_SCOPE_LINK || f & (IFA_F_TENTATIVE | IFA_F_DADFAILED)
		    : f & IFA_F_SECONDARY)
		return;
	s->found[fam].family = ifa->ifa_family;
	memcpy(s->found[fam].b, RTA_DATA(local), rtr_family_size(ifa->ifa_family));
}

void link_query_local(struct vif *v)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct addr_search s = { .ifindex = v->ifindex };

	for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
		struct {
			struct nlmsghdr h;
			struct ifaddrmsg ifa;
		} q = { .h = { .nlmsg_len = sizeof(q),
			       .nlmsg_type = RTM_GETADDR,
			       .nlmsg_flags = NLM_F_DUMP },
			.ifa = { .ifa_family = families[i], .ifa_index = (uint32_t)v->ifindex } };

		if (!v->ifindex || query(&q.h, take_addr, &s))
			return;
	}
	memcpy(v->local, s.found, sizeof(v->local));
}

/* A virtual address went: by our own hand, or by that of somebody who knows nothing of us. */
static void event_lost(const struct nlmsghdr *h)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	const struct rtattr *local = find_attr(h, sizeof(*ifa), IFA_LOCAL);
	struct rtr_addr a = { .family = ifa->ifa_family };
	unsigned size = rtr_family_size(a.family);

	if (!local)
		local = find_attr(h, sizeof(*ifa), IFA_ADDRESS);
	if (!local || RTA_PAYLOAD(local) < size)
		return;
	memcpy(a.b, RTA_DATA(local), size);
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		if (vd.groups[i].used)
			addr_lost(&vd.groups[i], (int)ifa->ifa_index, &a);
	}
}

static void event_addr(const struct nlmsghdr *h, uint64_t now)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	const struct rtattr *proto;
	struct rtr_addr was[2];

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*ifa)))
		return;
	proto = find_attr(h, sizeof(*ifa), IFA_PROTO);
	if (proto && *(const uint8_t *)RTA_DATA(proto) == vd.proto) {
		if (h->nlmsg_type == RTM_DELADDR)
			event_lost(h);
		return;
	}
	for (unsigned i = 0; i < MAX_IFS; i++) {
		struct vif *v = &vd.ifs[i];

		if (!v->n_groups || v->ifindex != (int)ifa->ifa_index)
			continue;
		memcpy(was, v->local, sizeof(was));
		link_query_local(v);
		if (memcmp(was, v->local, sizeof(was)))
			each_group(v, now);
		return;
	}
}

/* ---- neighbours ---- */

struct neigh_search {
	int ifindex;
	uint8_t family;
	unsigned skip;
	struct rtr_addr found;
};

static void take_neigh(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *nd = NLMSG_DATA(h);
	struct neigh_search *s = arg;
	const struct rtattr *dst;

	if (h->nlmsg_type != RTM_NEWNEIGH || h->nlmsg_len < NLMSG_LENGTH(sizeof(*nd)) ||
	    nd->ndm_ifindex != s->ifindex || nd->ndm_family != s->family ||
	    (s->found.family && !s->skip) ||
	    !(nd->ndm_state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)))
		return;
	dst = find_attr(h, sizeof(*nd), NDA_DST);
	if (!dst || RTA_PAYLOAD(dst) < rtr_family_size(s->family))
		return;
	s->skip -= s->found.family && s->skip;
	s->found.family = s->family;
	memcpy(s->found.b, RTA_DATA(dst), rtr_family_size(s->family));
}

bool link_neighbour(struct vif *v, uint8_t family, unsigned skip, struct rtr_addr *ret)
{
	struct {
		struct nlmsghdr h;
		struct ndmsg nd;
		struct rtattr a;
		uint32_t ifindex;
	} q = { .h = { .nlmsg_len = sizeof(q),
		       .nlmsg_type = RTM_GETNEIGH,
		       .nlmsg_flags = NLM_F_DUMP },
		.nd = { .ndm_family = family },
		.a = { .rta_type = NDA_IFINDEX, .rta_len = RTA_LENGTH(4) },
		.ifindex = (uint32_t)v->ifindex };
	struct neigh_search s = { .ifindex = v->ifindex, .family = family, .skip = skip };

	if (query(&q.h, take_neigh, &s) || !s.found.family)
		return false;
	*ret = s.found;
	return true;
}

/* ---- what a dead process left behind ---- */

struct sweep {
	unsigned n;
	struct {
		int ifindex;
		uint8_t family, len;
		struct rtr_addr a;
	} v[256];
};

static bool accounted(int ifindex, const struct rtr_addr *a)
{
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		const struct vg *g = &vd.groups[i];

		for (unsigned k = 0; g->used && k < g->kern.n; k++) {
			if (g->kern.ifindex == ifindex && !rtr_addr_cmp(&g->kern.a[k], a))
				return true;
		}
	}
	return false;
}

static void sweep_one(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	const struct rtattr *proto, *local;
	struct rtr_addr a = { .family = ifa->ifa_family };
	struct sweep *s = arg;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*ifa)) ||
	    (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6) || s->n == ARRAY_LEN(s->v))
		return;
	proto = find_attr(h, sizeof(*ifa), IFA_PROTO);
	local = find_attr(h, sizeof(*ifa), IFA_LOCAL);
	if (!local)
		local = find_attr(h, sizeof(*ifa), IFA_ADDRESS);
	if (!proto || *(const uint8_t *)RTA_DATA(proto) != vd.proto || !local ||
	    RTA_PAYLOAD(local) < rtr_family_size(a.family))
		return;
	memcpy(a.b, RTA_DATA(local), rtr_family_size(a.family));
	if (accounted((int)ifa->ifa_index, &a))
		return;
	s->v[s->n].ifindex = (int)ifa->ifa_index;
	s->v[s->n].family = ifa->ifa_family;
	s->v[s->n].len = ifa->ifa_prefixlen;
	s->v[s->n++].a = a;
}

static void nothing(const struct nlmsghdr *h, void *arg)
{
}

void link_sweep(void)
{
	struct sweep s;

	do {
		struct {
			struct nlmsghdr h;
			struct ifaddrmsg ifa;
		} q = { .h = { .nlmsg_len = sizeof(q),
			       .nlmsg_type = RTM_GETADDR,
			       .nlmsg_flags = NLM_F_DUMP } };

		s.n = 0;
		if (query(&q.h, sweep_one, &s))
			return;
		for (unsigned i = 0; i < s.n; i++) {
			struct {
				struct nlmsghdr h;
				struct ifaddrmsg ifa;
				struct rtattr a;
				uint8_t b[16];
			} d = { .h = { .nlmsg_type = RTM_DELADDR, .nlmsg_flags = NLM_F_ACK },
				.ifa = { .ifa_family = s.v[i].family,
					 .ifa_prefixlen = s.v[i].len,
					 .ifa_index = (uint32_t)s.v[i].ifindex },
				.a = { .rta_type = IFA_LOCAL } };
			unsigned size = rtr_family_size(s.v[i].family);

			d.a.rta_len = (unsigned short)RTA_LENGTH(size);
			d.h.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(d.ifa)) + RTA_LENGTH(size));
			memcpy(d.b, s.v[i].a.b, size);
			query(&d.h, nothing, NULL);
		}
	} while (s.n == ARRAY_LEN(s.v));
}

/* ---- events ---- */

int link_init(void)
{
	struct sockaddr_nl me = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
					       RTMGRP_IPV6_IFADDR };
	struct sockaddr_nl plain = { .nl_family = AF_NETLINK };
	int one = 1, size = NL_BUFFER;

	event_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	query_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (event_fd < 0 || query_fd < 0)
		return -errno;
	setsockopt(event_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	/* So that the kernel looks at the interface that a question names. */
	setsockopt(query_fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	if (bind(event_fd, (struct sockaddr *)&me, sizeof(me)) < 0 ||
	    bind(query_fd, (struct sockaddr *)&plain, sizeof(plain)) < 0)
		return -errno;
	vrrpd_watch(event_fd, WATCH_LINK);
	return 0;
}

static void ask_all(uint64_t now)
{
	for (unsigned i = 0; i < MAX_IFS; i++) {
		struct vif *v = &vd.ifs[i];

		if (!v->n_groups)
			continue;
		link_query(v);
		link_query_local(v);
		each_group(v, now);
	}
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
			ask_all(now);
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
