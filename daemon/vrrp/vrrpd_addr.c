/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that writes virtual addresses. The kernel answers each request inside the system
 * call, but waits there for its routing lock: while rtrd commits ten thousand routes, or a link
 * is taken down, that takes longer than an interval. So the loop only says what it wants (a job:
 * from what the kernel has to what it should have); a group has one job under way at most, and what
 * was wanted meanwhile is made good by the next.
 */
#include "vrrp/vrrpd.h"
#include "vrrp/vrrpd_work.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

struct job {
	unsigned group;
	struct owned from, to;
	int error; /* first failure of an addition */
};

static int nl_fd;
static unsigned n_jobs;

/* ---- the thread ---- */

struct request {
	struct nlmsghdr h;
	union {
		struct ifaddrmsg ifa;
		struct ifinfomsg ifi;
	} u;
	uint8_t attrs[128];
};

static void put_attr(struct request *q, unsigned short type, const void *data, size_t size)
{
	struct rtattr *a = (void *)((char *)q + NLMSG_ALIGN(q->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(size);
	memcpy(RTA_DATA(a), data, size);
	q->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->h.nlmsg_len) + RTA_ALIGN(a->rta_len));
}

/* Sends and waits for the answer. 0 or -errno. */
static int ask(struct request *q)
{
	static uint32_t seq;
	union {
		char buf[4096];
		struct nlmsghdr h;
	} in;
	ssize_t n;

	q->h.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	q->h.nlmsg_seq = ++seq;
	if (send(nl_fd, q, q->h.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		n = recv(nl_fd, in.buf, sizeof(in.buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
			return n < 0 ? -errno : -EIO;
		if (in.h.nlmsg_type == NLMSG_ERROR && in.h.nlmsg_seq == seq)
			return ((struct nlmsgerr *)NLMSG_DATA(&in.h))->error;
	}
}

static int write_addr(int ifindex, const struct rtr_addr *a, bool add)
{
	struct request q = { .h = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
				    .nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR,
				    .nlmsg_flags = add ? NLM_F_CREATE | NLM_F_REPLACE : 0 },
			     .u.ifa = { .ifa_family = a->family,
					.ifa_prefixlen = (uint8_t)rtr_family_bits(a->family),
					.ifa_index = (uint32_t)ifindex } };
	unsigned size = rtr_family_size(a->family);
	/* The other router may hold it for another moment: no duplicate address detection. The
	 * network's route is the interface's own address's. */
	uint32_t flags = IFA_F_NODAD | IFA_F_NOPREFIXROUTE;

	put_attr(&q, IFA_LOCAL, a->b, size);
	put_attr(&q, IFA_ADDRESS, a->b, size);
	if (add) {
		put_attr(&q, IFA_FLAGS, &flags, sizeof(flags));
		put_attr(&q, IFA_PROTO, &vd.proto, sizeof(vd.proto));
	}
	return ask(&q);
}

static int write_link(int ifindex, bool up)
{
	struct request q = { .h = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
				    .nlmsg_type = RTM_NEWLINK },
			     .u.ifi = { .ifi_index = ifindex,
					.ifi_flags = up ? IFF_UP : 0,
					.ifi_change = IFF_UP } };

	return ask(&q);
}

static bool has(const struct owned *o, int ifindex, const struct rtr_addr *a)
{
	for (unsigned i = 0; i < o->n && o->ifindex == ifindex; i++) {
		if (!rtr_addr_cmp(&o->a[i], a))
			return true;
	}
	return false;
}

static bool write_all(void *item)
{
	struct job *j = item;

	if (j->to.vmac && j->to.up)
		write_link(j->to.vmac, true);
	for (unsigned i = 0; i < j->to.n; i++) {
		/* Those that should be there already too: somebody may have taken them. */
		int r = write_addr(j->to.ifindex, &j->to.a[i], true);

		if (r && r != -EEXIST && !j->error)
			j->error = r;
	}
	for (unsigned i = 0; i < j->from.n; i++) {
		if (!has(&j->to, j->from.ifindex, &j->from.a[i]))
			write_addr(j->from.ifindex, &j->from.a[i], false);
	}
	/* Down: frames to the virtual MAC are not for a backup (RFC 9568 section 6.4.2). */
	if (j->from.vmac && (j->to.vmac != j->from.vmac || !j->to.up))
		write_link(j->from.vmac, false);
	return true;
}

/* A group has one job under way at most. */
WORK_DEFINE(writer, struct job, VRRP_MAX_GROUPS, write_all);

/* ---- the loop's side ---- */

int addr_init(void)
{
	struct sockaddr_nl me = { .nl_family = AF_NETLINK };

	nl_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (nl_fd < 0 || bind(nl_fd, (struct sockaddr *)&me, sizeof(me)) < 0)
		return -errno;
	return work_init(&writer, WATCH_ADDR);
}

static int vmac_of(const struct vg *g)
{
	return g->slot->st.mac_test != VRRP_MAC_DEAF ? g->vmac_ifindex : 0;
}

/* Whether the group has the address on the interface itself, or will have by a job that is queued
 * before the next one. */
static bool claims(const struct vg *g, const struct rtr_addr *a)
{
	const struct vrrp_conf *c = &g->slot->conf;

	if (!g->owning || vmac_of(g) || c->flags & VRRP_F_OWNER)
		return false;
	for (unsigned i = 0; i < c->n_addrs; i++) {
		if (!rtr_addr_cmp(&c->addrs[i], a))
			return true;
	}
	return false;
}

/* Groups with physical MACs share the interface: an address that went from one to another, or a
 * group that went on under another number, is not taken from it. */
static void keep_claimed(const struct vg *g, struct owned *from)
{
	unsigned fam = FAM(g->slot->conf.family), n = 0;

	for (unsigned i = 0; i < from->n; i++) {
		bool claimed = false;

		for (unsigned v = 1; v < 256 && !claimed; v++) {
			unsigned no = g->vif->by_vrid[fam][v];

			claimed = no && no - 1 != g->no && claims(&vd.groups[no - 1], &from->a[i]);
		}
		if (!claimed)
			from->a[n++] = from->a[i];
	}
	from->n = n;
}

static void want(const struct vg *g, struct owned *to)
{
	const struct vrrp_conf *c = &g->slot->conf;

	*to = (struct owned){ 0 };
	if (!(g->owning || g->preparing) || !g->vif->ifindex || c->flags & VRRP_F_OWNER)
		return;
	to->vmac = vmac_of(g);
	to->up = to->vmac;
	to->ifindex = to->vmac ? to->vmac : g->vif->ifindex;
	if (g->retesting) {
		to->vmac = g->vmac_ifindex;
		to->up = true;
	}
	if (!g->owning)
		return;
	to->n = c->n_addrs;
	memcpy(to->a, c->addrs, sizeof(to->a));
}

/* The macvlan that has the addresses; 0: the interface itself has them. */
static int on_vmac(const struct owned *o)
{
	return o->ifindex == o->vmac ? o->vmac : 0;
}

void addr_update(struct vg *g)
{
	struct job j = { .group = g->no, .from = g->kern };
	struct vrrp_status *st;

	if (g->job)
		return;
	g->again = false;
	want(g, &j.to);
	if (!j.to.n && !j.from.n && j.to.up == j.from.up)
		return;
	if (j.from.ifindex == g->vif->ifindex)
		keep_claimed(g, &j.from);
	st = st_begin(g);
	st->owned = j.to.n || j.from.n;
	st->vmac_ifindex = on_vmac(j.to.n ? &j.to : &j.from);
	st_end(g);
	g->job = true;
	n_jobs++;
	work_ask(&writer, &j);
}

static void lost(struct vg *g)
{
	if (g->job)
		g->again = true;
	else
		addr_update(g);
}

void addr_lost(struct vg *g, int ifindex, const struct rtr_addr *a)
{
	/* Under way, it may be one that the job has just put there; the next one looks. */
	if (g->owning && (g->job || has(&g->kern, ifindex, a)))
		lost(g);
}

void addr_all_lost(void)
{
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vg *g = &vd.groups[i];

		if (g->used && g->owning)
			lost(g);
	}
}

void addr_prepare(struct vg *g)
{
	bool soon = g->fsm.state == VRRP_S_BACKUP && !g->fsm.better_until &&
		    g->fsm.expiry_why != VRRP_R_MASTER_DOWN;

	if (soon == g->preparing)
		return;
	g->preparing = soon;
	/* One that has become active asks for all of it next. */
	if (g->fsm.state != VRRP_S_ACTIVE)
		addr_update(g);
}

bool addr_idle(void)
{
	return !n_jobs;
}

static void finished(const struct job *j, uint64_t now)
{
	struct vg *g = &vd.groups[j->group];
	struct vrrp_status *st;
	struct owned to;

	g->job = false;
	n_jobs--;
	g->kern = j->to;
	st = st_begin(g);
	st->owned = j->to.n > 0;
	st_end(g);
	if (j->error)
		conf_notice(g, now, VRRP_N_ADDR_FAIL, (uint8_t)-j->error, NULL, 0);
	want(g, &to);
	if (g->again || to.n != j->to.n || to.up != j->to.up || to.ifindex != j->to.ifindex ||
	    to.vmac != j->to.vmac || memcmp(to.a, j->to.a, to.n * sizeof(to.a[0])))
		addr_update(g);
	else if (g->removing && !to.n)
		conf_forget(g);
}

void addr_read(uint64_t now)
{
	struct job j;

	work_hear(&writer);
	while (work_answer(&writer, &j))
		finished(&j, now);
}
