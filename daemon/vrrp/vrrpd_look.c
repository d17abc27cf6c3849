/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that asks the kernel: for a link by its name, an interface's own address, a
 * neighbour; and that opens and closes the receiving sockets, which join groups. All of it takes
 * the kernel's routing lock, which a commit of ten thousand routes holds for half a second with
 * short gaps: the loop would be late by 40 adverts of 10 ms. The answer comes in the struct of the
 * question. vrrpd_addr.c's thread is another one, so that a long dump of neighbours holds up no
 * takeover.
 *
 * At the start, when there is nothing yet that could be late, the loop asks for itself.
 */
#include "vrrp/vrrpd.h"
#include "vrrp/vrrpd_work.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of each interface a link, an address, and a socket of both families to open and to close; of each
 * group a macvlan and a neighbour. */
#define N_ASK 16384
_Static_assert(N_ASK >= 6 * MAX_IFS + 2 * VRRP_MAX_GROUPS, "every question has a place");

enum what { ASK_LINK, ASK_LOCAL, ASK_NEIGHBOUR, ASK_OPEN, ASK_CLOSE };

struct ask {
	enum what what;
	unsigned no; /* of the interface or the group */
	uint8_t family;
	unsigned skip, hope; /* of neighbours: to pass over; of the one found */
	int fd;
	struct link_info link; /* what is asked for, then what there is */
	struct rtr_addr addr[2];
};

/* A socket for questions and its buffer. */
struct asker {
	int fd;
	uint32_t seq;
	union {
		char buf[65536];
		struct nlmsghdr h;
	} in;
};

static struct asker thread_asker, own_asker;

/* ---- netlink ---- */

const struct rtattr *look_attr(const struct nlmsghdr *h, size_t hdr, unsigned short type)
{
	int left = (int)h->nlmsg_len - (int)NLMSG_SPACE(hdr);
	const struct rtattr *a = (const void *)((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(hdr));

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	}
	return NULL;
}

typedef void (*nl_fn)(const struct nlmsghdr *h, void *arg);

/* Sends a question and calls fn for each message of the answer. 0 or -errno. */
static int query(struct asker *k, struct nlmsghdr *q, nl_fn fn, void *arg)
{
	q->nlmsg_seq = ++k->seq;
	q->nlmsg_flags |= NLM_F_REQUEST;
	if (send(k->fd, q, q->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(k->fd, k->in.buf, sizeof(k->in.buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (struct nlmsghdr *h = &k->in.h; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_seq != k->seq)
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

static int open_asker(struct asker *k)
{
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int one = 1;

	k->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (k->fd < 0 || bind(k->fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		return -errno;
	/* So that the kernel looks at the interface that a question names. */
	setsockopt(k->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	return 0;
}

/* ---- links ---- */

bool look_parse_link(const struct nlmsghdr *h, struct link_info *ret)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(h);
	const struct rtattr *name, *mac;

	/* A bridge tells of its ports in the same way, and of one that it lets go as if the link
	 * were gone. */
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*ifi)) || ifi->ifi_family != AF_UNSPEC)
		return false;
	*ret = (struct link_info){ .ifindex = ifi->ifi_index, .flags = ifi->ifi_flags };
	name = look_attr(h, sizeof(*ifi), IFLA_IFNAME);
	mac = look_attr(h, sizeof(*ifi), IFLA_ADDRESS);
	if (!name || !rtr_strlcpy(ret->name, RTA_DATA(name), sizeof(ret->name)))
		return false;
	if (mac && RTA_PAYLOAD(mac) == sizeof(ret->mac))
		memcpy(ret->mac, RTA_DATA(mac), sizeof(ret->mac));
	return true;
}

static void keep_link(const struct nlmsghdr *h, void *arg)
{
	if (h->nlmsg_type == RTM_NEWLINK)
		(void)look_parse_link(h, arg);
}

/* Fills in all but the name; ifindex 0: there is none. */
static void find_link(struct asker *k, struct link_info *l)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg ifi;
		struct rtattr a;
		char name[IFNAMSIZ];
	} q = { .h = { .nlmsg_type = RTM_GETLINK }, .a = { .rta_type = IFLA_IFNAME } };
	struct link_info found = { 0 };

	rtr_strlcpy(q.name, l->name, sizeof(q.name));
	q.a.rta_len = (unsigned short)RTA_LENGTH(strlen(q.name) + 1);
	q.h.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(q.ifi)) + RTA_ALIGN(q.a.rta_len));
	if (query(k, &q.h, keep_link, &found))
		found.ifindex = 0;
	memcpy(found.name, l->name, sizeof(found.name));
	*l = found;
}

/* ---- addresses ---- */

bool look_parse_local(const struct nlmsghdr *h, struct rtr_addr *ret, bool *ret_usable)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	const struct rtattr *flags, *local;
	uint32_t f;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*ifa)) ||
	    (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
		return false;
	flags = look_attr(h, sizeof(*ifa), IFA_FLAGS);
	local = look_attr(h, sizeof(*ifa), IFA_LOCAL);
	if (!local)
		local = look_attr(h, sizeof(*ifa), IFA_ADDRESS);
	if (!local || RTA_PAYLOAD(local) < rtr_family_size(ifa->ifa_family))
		return false;
	f = flags && RTA_PAYLOAD(flags) >= 4 ? *(const uint32_t *)RTA_DATA(flags) : ifa->ifa_flags;
	/* IPv6 adverts come from the link-local address (RFC 9568 section 5.1.2.1). IPv4 ones not
	 * from what the interface only answers for, as NAT has it on both routers. */
	*ret_usable = ifa->ifa_family == AF_INET6
			      ? ifa->ifa_scope == RT_SCOPE_LINK &&
					!(f & (IFA_F_TENTATIVE | IFA_F_DADFAILED))
			      : ifa->ifa_scope < RT_SCOPE_HOST && !(f & IFA_F_SECONDARY);
	*ret = (struct rtr_addr){ .family = ifa->ifa_family };
	memcpy(ret->b, RTA_DATA(local), rtr_family_size(ifa->ifa_family));
	return true;
}

bool look_is_ours(const struct nlmsghdr *h)
{
	const struct rtattr *proto = look_attr(h, sizeof(struct ifaddrmsg), IFA_PROTO);

	return proto && *(const uint8_t *)RTA_DATA(proto) == vd.proto;
}

struct addr_search {
	int ifindex;
	struct rtr_addr found[2];
};

static void take_addr(const struct nlmsghdr *h, void *arg)
{
	struct addr_search *s = arg;
	struct rtr_addr a;
	bool usable;

	if (h->nlmsg_type == RTM_NEWADDR && look_parse_local(h, &a, &usable) && usable &&
	    !look_is_ours(h) &&
	    (int)((const struct ifaddrmsg *)NLMSG_DATA(h))->ifa_index == s->ifindex &&
	    !s->found[FAM(a.family)].family)
		s->found[FAM(a.family)] = a;
}

static void find_local(struct asker *k, int ifindex, struct rtr_addr ret[2])
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct addr_search s = { .ifindex = ifindex };

	for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
		struct {
			struct nlmsghdr h;
			struct ifaddrmsg ifa;
		} q = { .h = { .nlmsg_len = sizeof(q),
			       .nlmsg_type = RTM_GETADDR,
			       .nlmsg_flags = NLM_F_DUMP },
			.ifa = { .ifa_family = families[i], .ifa_index = (uint32_t)ifindex } };

		if (query(k, &q.h, take_addr, &s))
			s.found[FAM(families[i])].family = 0;
	}
	memcpy(ret, s.found, sizeof(s.found));
}

/* ---- neighbours ---- */

/* Those that we talk to are there; a stale one may have left long ago. */
static unsigned hope_of(unsigned nud)
{
	return nud & NUD_REACHABLE             ? 3
	       : nud & (NUD_DELAY | NUD_PROBE) ? 2
	       : nud & NUD_STALE               ? 1
					       : 0;
}

static void take_neigh(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *nd = NLMSG_DATA(h);
	struct ask *s = arg;
	const struct rtattr *dst;
	unsigned hope = hope_of(nd->ndm_state);

	if (h->nlmsg_type != RTM_NEWNEIGH || h->nlmsg_len < NLMSG_LENGTH(sizeof(*nd)) ||
	    nd->ndm_ifindex != s->link.ifindex || nd->ndm_family != s->family || !hope ||
	    (s->addr[0].family && !s->skip && hope <= s->hope))
		return;
	dst = look_attr(h, sizeof(*nd), NDA_DST);
	if (!dst || RTA_PAYLOAD(dst) < rtr_family_size(s->family))
		return;
	s->skip -= s->addr[0].family && s->skip;
	s->addr[0].family = s->family;
	s->hope = hope;
	memcpy(s->addr[0].b, RTA_DATA(dst), rtr_family_size(s->family));
}

static void find_neighbour(struct asker *k, struct ask *a)
{
	struct {
		struct nlmsghdr h;
		struct ndmsg nd;
		struct rtattr a;
		uint32_t ifindex;
	} q = { .h = { .nlmsg_len = sizeof(q),
		       .nlmsg_type = RTM_GETNEIGH,
		       .nlmsg_flags = NLM_F_DUMP },
		.nd = { .ndm_family = a->family },
		.a = { .rta_type = NDA_IFINDEX, .rta_len = RTA_LENGTH(4) },
		.ifindex = (uint32_t)a->link.ifindex };

	if (query(k, &q.h, take_neigh, a))
		a->addr[0].family = 0;
}

/* ---- the thread ---- */

static bool answer(void *item)
{
	struct ask *a = item;

	switch (a->what) {
	case ASK_LINK:
		find_link(&thread_asker, &a->link);
		break;
	case ASK_LOCAL:
		find_local(&thread_asker, a->link.ifindex, a->addr);
		break;
	case ASK_NEIGHBOUR:
		find_neighbour(&thread_asker, a);
		break;
	case ASK_OPEN:
		a->fd = io_rx_open(FAM(a->family), a->link.ifindex, a->link.name);
		break;
	case ASK_CLOSE:
		close(a->fd);
		return false;
	}
	return true;
}

WORK_DEFINE(looker, struct ask, N_ASK, answer);

/* ---- the loop's side ---- */

int look_init(void)
{
	int r = open_asker(&thread_asker);

	if (!r)
		r = open_asker(&own_asker);
	return r ? r : work_init(&looker, WATCH_LOOK);
}

void look_link(const char *name)
{
	struct ask a = { .what = ASK_LINK };

	rtr_strlcpy(a.link.name, name, sizeof(a.link.name));
	work_ask(&looker, &a);
}

void look_local(const struct vif *v)
{
	work_ask(&looker, &(struct ask){ .what = ASK_LOCAL,
					 .no = (unsigned)(v - vd.ifs),
					 .link.ifindex = v->ifindex });
}

void look_neighbour(const struct vg *g, unsigned skip)
{
	work_ask(&looker, &(struct ask){ .what = ASK_NEIGHBOUR,
					 .no = g->no,
					 .family = g->slot->conf.family,
					 .skip = skip,
					 .link.ifindex = g->vif->ifindex });
}

void look_open(const struct vif *v, int fam)
{
	struct ask a = { .what = ASK_OPEN,
			 .no = (unsigned)(v - vd.ifs),
			 .family = fam == V4 ? AF_INET : AF_INET6,
			 .link.ifindex = v->ifindex };

	memcpy(a.link.name, v->name, sizeof(a.link.name));
	work_ask(&looker, &a);
}

void look_close(int fd)
{
	work_ask(&looker, &(struct ask){ .what = ASK_CLOSE, .fd = fd });
}

void look_read(uint64_t now)
{
	struct ask a;

	work_hear(&looker);
	while (work_answer(&looker, &a)) {
		if (a.what == ASK_LINK)
			link_found(&a.link, now);
		else if (a.what == ASK_LOCAL)
			link_found_local(&vd.ifs[a.no], a.link.ifindex, a.addr, now);
		else if (a.what == ASK_NEIGHBOUR)
			probe_neighbour(&vd.groups[a.no], &a.addr[0], now);
		else
			io_rx_opened(&vd.ifs[a.no], FAM(a.family), &a.link, a.fd, now);
	}
}

void look_now(const char *name, struct link_info *ret, struct rtr_addr ret_local[2])
{
	*ret = (struct link_info){ 0 };
	rtr_strlcpy(ret->name, name, sizeof(ret->name));
	find_link(&own_asker, ret);
	if (ret_local && ret->ifindex)
		find_local(&own_asker, ret->ifindex, ret_local);
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
	struct sweep *s = arg;
	struct rtr_addr a;
	bool usable;

	if (h->nlmsg_type != RTM_NEWADDR || !look_parse_local(h, &a, &usable) || !look_is_ours(h) ||
	    s->n == ARRAY_LEN(s->v) || accounted((int)ifa->ifa_index, &a))
		return;
	s->v[s->n].ifindex = (int)ifa->ifa_index;
	s->v[s->n].family = ifa->ifa_family;
	s->v[s->n].len = ifa->ifa_prefixlen;
	s->v[s->n++].a = a;
}

static void nothing(const struct nlmsghdr *h, void *arg)
{
}

void look_sweep(void)
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
		if (query(&own_asker, &q.h, sweep_one, &s))
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
			query(&own_asker, &d.h, nothing, NULL);
		}
	} while (s.n == ARRAY_LEN(s.v));
}
