/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets of the mirror: one for events, one for dumps, one for what is asked of the kernel. One
 * dump at a time, in the order of enum fc_dump; those wanted are bits of a word.
 */
#include "fib_ctl_priv.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

/* An event is one datagram; a route of 255 IPv6 hops has 9 KB. */
#define EVENT_BYTES 16384u
#define EVENT_BATCH 32u
/* The kernel fills parts of a dump up to 32 KB. */
#define DUMP_BYTES 65536u
/* Charged only while it is used: about 12,000 route events, a second of them at the rate that
 * zebra reaches. */
#define EVENT_RCVBUF (32 << 20)
/* In one turn. */
#define EVENT_TURNS 16u
#define DUMP_TURNS  16u
#define SCAN_BUDGET 20000u

#define VERIFY_MS       250u /* what the kernel withdraws with a link takes it so long at most */
#define VERIFY_AGAIN_MS 2000u
#define RETRY_MS        200u /* a dump that was interrupted */
#define RETRY_MAX       8u   /* then the next resync has to do; the first one goes on */
#define LIMIT_RETRY_MS  60000u
#define KEEPALIVE_MS    1000u
#define FLUSH_MS        50u
#define MAX_OIFS        64u

struct fc_nl {
	int ev_fd, dump_fd, req_fd, wake_fd, ep_fd;
	uint8_t *buf; /* EVENT_BATCH x EVENT_BYTES, or a part of a dump */
	struct mmsghdr mm[EVENT_BATCH];
	struct iovec iov[EVENT_BATCH];
	unsigned wanted;  /* bits of enum fc_dump */
	unsigned current; /* FC_D__MAX = none */
	uint32_t current_oif;
	uint32_t seq; /* of the dump under way */
	unsigned retries;
	bool interrupted;
	uint64_t hold_until; /* no dump before: one was interrupted */
	/* Interfaces whose routes are to be compared. */
	struct {
		uint32_t oif;
		uint64_t at;
		uint8_t left; /* dumps still to make: 2 families x 2 times */
	} verify[MAX_OIFS];
	unsigned n_verify;
	uint64_t resync_began, keepalive_at, flush_at, limit_at;
	bool resync; /* everything is being dumped */
	bool resync_again;
};

static uint64_t now_ms(void)
{
	return rtr_now_ns() / NSEC_PER_MSEC;
}

static int open_socket(uint32_t groups, int rcvbuf)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int one = 1, fd, err;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (rcvbuf && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	/* Not vital: without it filters of dumps are ignored, and more comes than was asked for. */
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int join_groups(int fd)
{
	static const int groups[] = {
		RTNLGRP_LINK,        RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF,
		RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,  RTNLGRP_NEIGH,
		RTNLGRP_NEXTHOP,     RTNLGRP_IPV4_ROUTE,   RTNLGRP_IPV6_ROUTE,
		RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
	};

	for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			return -errno;
	return 0;
}

static int watch(int ep, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data = { .fd = fd } };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static int open_all(struct fibctl *c, struct fc_nl *nl)
{
	int rc;

	nl->ep_fd = epoll_create1(EPOLL_CLOEXEC);
	nl->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (nl->ep_fd < 0 || nl->wake_fd < 0)
		return -errno;
	c->f.wake_fd = nl->wake_fd;
	nl->ev_fd = open_socket(0, c->p.event_bytes ? c->p.event_bytes : EVENT_RCVBUF);
	nl->dump_fd = open_socket(0, 0);
	nl->req_fd = open_socket(0, 0);
	rc = MIN(MIN(nl->ev_fd, nl->dump_fd), MIN(nl->req_fd, 0));
	if (!rc)
		rc = join_groups(nl->ev_fd);
	if (!rc)
		rc = watch(nl->ep_fd, nl->ev_fd);
	if (!rc)
		rc = watch(nl->ep_fd, nl->dump_fd);
	if (!rc)
		rc = watch(nl->ep_fd, nl->req_fd);
	if (!rc)
		rc = watch(nl->ep_fd, nl->wake_fd);
	return rc ? rc : fc_elig_open(c, nl->ep_fd);
}

static void want_all(struct fibctl *c)
{
	struct fc_nl *nl = c->nl;

	/* In the middle of one: what was dumped before may be what was lost. */
	if (nl->resync) {
		nl->resync_again = true;
		return;
	}
	nl->resync = true;
	nl->resync_again = false;
	nl->resync_began = now_ms();
	nl->wanted |= FC_D_ALL;
	nl->n_verify = 0;
	c->limit = false;
	c->st.resyncing = true;
}

int fibctl_open(struct fibctl *c)
{
	struct fc_nl *nl = calloc(1, sizeof(*nl));
	int rc;

	if (!nl || c->nl) {
		free(nl);
		return nl ? -EALREADY : -ENOMEM;
	}
	c->nl = nl;
	nl->ev_fd = nl->dump_fd = nl->req_fd = nl->wake_fd = nl->ep_fd = -1;
	nl->current = FC_D__MAX;
	nl->buf = malloc((size_t)EVENT_BATCH * EVENT_BYTES);
	rc = nl->buf ? open_all(c, nl) : -ENOMEM;
	if (rc) {
		fc_nl_close(c);
		return rc;
	}
	for (unsigned i = 0; i < EVENT_BATCH; i++) {
		nl->iov[i] = (struct iovec){ nl->buf + i * EVENT_BYTES, EVENT_BYTES };
		nl->mm[i].msg_hdr.msg_iov = &nl->iov[i];
		nl->mm[i].msg_hdr.msg_iovlen = 1;
	}
	want_all(c);
	return 0;
}

void fc_nl_close(struct fibctl *c)
{
	struct fc_nl *nl = c->nl;
	int fds[] = { nl ? nl->ev_fd : -1, nl ? nl->dump_fd : -1, nl ? nl->req_fd : -1,
		      nl ? nl->wake_fd : -1, nl ? nl->ep_fd : -1 };

	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (nl)
		free(nl->buf);
	free(nl);
	c->nl = NULL;
	c->f.wake_fd = -1;
	fc_elig_close(c);
}

void fc_nl_want(struct fibctl *c, unsigned dumps)
{
	if (!c->nl)
		return;
	if (dumps == FC_D_ALL)
		want_all(c);
	c->nl->wanted |= dumps;
	/* Rules that change while they are being read are read once more. */
	if (c->nl->current < FC_D__MAX && (dumps & 1u << c->nl->current))
		c->nl->interrupted = true;
	if (dumps & 1u << FC_D_RULE4)
		c->rules_dirty[0] = true;
	if (dumps & 1u << FC_D_RULE6)
		c->rules_dirty[1] = true;
}

void fc_nl_want_oif(struct fibctl *c, uint32_t oif)
{
	struct fc_nl *nl = c->nl;
	unsigned i;

	if (!nl || nl->resync)
		return;
	for (i = 0; i < nl->n_verify && nl->verify[i].oif != oif; i++)
		;
	if (i == MAX_OIFS) {
		fc_nl_want(c, 1u << FC_D_ROUTE4 | 1u << FC_D_ROUTE6);
		return;
	}
	nl->n_verify = MAX(nl->n_verify, i + 1);
	nl->verify[i].oif = oif;
	nl->verify[i].at = now_ms() + VERIFY_MS;
	nl->verify[i].left = 4;
}

bool fc_nl_dumping(const struct fibctl *c, enum fc_dump kind)
{
	return c->nl && c->nl->current == kind;
}

bool fc_nl_busy(const struct fibctl *c)
{
	return c->nl && (c->nl->wanted || c->nl->current != FC_D__MAX);
}

static struct nlmsghdr *begin(void *buf, uint16_t type, uint16_t flags, uint32_t seq)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	h->nlmsg_seq = seq;
	return h;
}

static void put_head(struct nlmsghdr *h, size_t size, uint8_t family)
{
	uint8_t *p = mnl_nlmsg_put_extra_header(h, size);

	p[0] = family; /* all of these headers begin with it */
}

static struct nlmsghdr *dump_request(struct fc_nl *nl, void *buf, enum fc_dump kind, uint32_t oif)
{
	static const struct {
		uint16_t type;
		uint8_t family, size;
	} what[FC_D__MAX] = {
		[FC_D_LINK] = { RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg) },
		[FC_D_NETCONF4] = { RTM_GETNETCONF, AF_INET, sizeof(struct netconfmsg) },
		[FC_D_NETCONF6] = { RTM_GETNETCONF, AF_INET6, sizeof(struct netconfmsg) },
		[FC_D_ADDR] = { RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg) },
		[FC_D_NEIGH] = { RTM_GETNEIGH, AF_UNSPEC, sizeof(struct ndmsg) },
		[FC_D_NEXTHOP] = { RTM_GETNEXTHOP, AF_UNSPEC, sizeof(struct nhmsg) },
		[FC_D_ROUTE4] = { RTM_GETROUTE, AF_INET, sizeof(struct rtmsg) },
		[FC_D_ROUTE6] = { RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg) },
		[FC_D_RULE4] = { RTM_GETRULE, AF_INET, sizeof(struct fib_rule_hdr) },
		[FC_D_RULE6] = { RTM_GETRULE, AF_INET6, sizeof(struct fib_rule_hdr) },
	};
	struct nlmsghdr *h = begin(buf, what[kind].type, NLM_F_REQUEST | NLM_F_DUMP, ++nl->seq);

	put_head(h, what[kind].size, what[kind].family);
	if (oif)
		mnl_attr_put_u32(h, RTA_OIF, oif);
	return h;
}

static void refused(struct fibctl *c, const char *what, int err)
{
	char text[96];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(err));
	fc_event(c, FIBCTL_EV_REFUSED, text);
}

/* The next dump that is due. False when there is none. */
static bool next_dump(struct fibctl *c, enum fc_dump *ret_kind, uint32_t *ret_oif)
{
	struct fc_nl *nl = c->nl;
	uint64_t now = now_ms();

	if (now < nl->hold_until)
		return false;
	if (nl->wanted) {
		*ret_kind = (enum fc_dump)__builtin_ctz(nl->wanted);
		*ret_oif = 0;
		nl->wanted &= ~(1u << *ret_kind);
		return true;
	}
	for (unsigned i = 0; i < nl->n_verify; i++) {
		if (now < nl->verify[i].at)
			continue;
		*ret_kind = nl->verify[i].left & 1 ? FC_D_ROUTE6 : FC_D_ROUTE4;
		*ret_oif = nl->verify[i].oif;
		if (--nl->verify[i].left == 2)
			nl->verify[i].at = now + VERIFY_AGAIN_MS;
		if (!nl->verify[i].left)
			nl->verify[i] = nl->verify[--nl->n_verify];
		return true;
	}
	return false;
}

static void begin_dump(struct fibctl *c)
{
	struct fc_nl *nl = c->nl;
	uint8_t buf[256];
	struct nlmsghdr *h;
	enum fc_dump kind;
	uint32_t oif;

	if (nl->current != FC_D__MAX || !next_dump(c, &kind, &oif))
		return;
	fc_tomb_clear(c);
	c->epoch = c->epoch == UINT8_MAX ? 1 : (uint8_t)(c->epoch + 1);
	nl->current = kind;
	nl->current_oif = oif;
	nl->interrupted = false;
	if (kind == FC_D_RULE4 || kind == FC_D_RULE6) {
		c->rules_dirty[kind == FC_D_RULE6] = false;
		fc_rules_begin(c, kind == FC_D_RULE6);
	}
	h = dump_request(nl, buf, kind, oif);
	if (send(nl->dump_fd, h, h->nlmsg_len, 0) < 0) {
		nl->current = FC_D__MAX;
		nl->hold_until = now_ms() + RETRY_MS;
		fc_nl_want(c, 1u << kind);
	}
}

/* What neither the dump nor an event since its beginning has named is gone. */
static void sweep(struct fibctl *c, enum fc_dump kind, uint32_t oif)
{
	switch (kind) {
	case FC_D_LINK:
		fc_links_swept(c);
		break;
	case FC_D_ADDR:
		fc_addrs_swept(c);
		break;
	case FC_D_NEIGH:
		fc_neighs_swept(c);
		break;
	case FC_D_NEXTHOP:
		fc_nexthops_swept(c);
		break;
	case FC_D_ROUTE4:
	case FC_D_ROUTE6:
		fc_routes_swept(c, kind == FC_D_ROUTE6, oif);
		break;
	case FC_D_RULE4:
	case FC_D_RULE6:
		fc_rules_publish(c, kind == FC_D_RULE6);
		break;
	case FC_D_NETCONF4:
	case FC_D_NETCONF6:
	case FC_D__MAX:
		break;
	}
}

static void resync_done(struct fibctl *c)
{
	struct fc_nl *nl = c->nl;
	bool first = !c->f.ready;

	nl->resync = false;
	c->st.resyncing = false;
	c->st.last_resync_ms = (uint32_t)(now_ms() - nl->resync_began);
	if (nl->resync_again) {
		want_all(c);
		return;
	}
	if (c->limit)
		nl->limit_at = now_ms() + LIMIT_RETRY_MS;
	fc_reason_publish(c);
	fc_elig_tick(c);
	fc_touch_all(c);
	__atomic_store_n(&c->f.ready, 1, __ATOMIC_RELEASE);
	c->st.n_resyncs += !first;
	fc_event(c, first ? FIBCTL_EV_READY : FIBCTL_EV_RESYNC, "");
}

static void end_dump(struct fibctl *c, int err)
{
	struct fc_nl *nl = c->nl;
	enum fc_dump kind = (enum fc_dump)nl->current;

	nl->current = FC_D__MAX;
	fc_tomb_clear(c);
	if (err == ENODEV && nl->current_oif)
		err = 0; /* gone, and with it whatever went that way */
	if (err == EOPNOTSUPP && kind == FC_D_NEXTHOP)
		err = 0; /* before 5.3 */
	if (err && err != EAGAIN && err != EBUSY)
		refused(c, "dump", err);
	if ((nl->interrupted || err) && (!c->f.ready || nl->retries < RETRY_MAX)) {
		/* Not complete: nothing may be concluded from what it lacks. */
		nl->retries++;
		c->st.n_dump_again++;
		if (kind != FC_D_RULE4 && kind != FC_D_RULE6)
			nl->hold_until = now_ms() + RETRY_MS;
		nl->wanted |= 1u << kind;
		return;
	}
	nl->retries = 0;
	if (!nl->interrupted && !err)
		sweep(c, kind, nl->current_oif);
	if (nl->resync && !nl->wanted)
		resync_done(c);
}

static void message(struct fibctl *c, const struct nlmsghdr *h, bool dump)
{
	int rc = fib_msg_decode(h, &c->msg);

	if (rc == -EINVAL)
		c->st.n_bad++;
	if (!rc)
		fc_apply(c, &c->msg, dump);
}

static void lost(struct fibctl *c)
{
	c->st.n_lost++;
	fc_event(c, FIBCTL_EV_LOST, "");
	/* Rules may have been among them. */
	fc_rules_close(c, 0);
	fc_rules_close(c, 1);
	want_all(c);
}

/* False when there was nothing. */
static bool read_events(struct fibctl *c)
{
	struct fc_nl *nl = c->nl;
	int n = recvmmsg(nl->ev_fd, nl->mm, EVENT_BATCH, MSG_DONTWAIT, NULL);

	if (n < 0) {
		if (errno == ENOBUFS)
			lost(c);
		return errno == ENOBUFS;
	}
	for (int i = 0; i < n; i++) {
		const struct nlmsghdr *h = nl->iov[i].iov_base;
		size_t len = nl->mm[i].msg_len;

		if (nl->mm[i].msg_hdr.msg_flags & MSG_TRUNC) {
			lost(c);
			continue;
		}
		for (; fib_msg_ok(h, len); h = fib_msg_next(h, &len)) {
			c->st.n_events++;
			message(c, h, false);
		}
	}
	return true;
}

static int error_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

	return mnl_nlmsg_get_payload_len(h) < sizeof(e->error) ? EPROTO : -e->error;
}

/* A part of the dump under way. */
static void dump_part(struct fibctl *c, const struct nlmsghdr *h, size_t len)
{
	struct fc_nl *nl = c->nl;

	for (; fib_msg_ok(h, len); h = fib_msg_next(h, &len)) {
		if (h->nlmsg_seq != nl->seq || nl->current == FC_D__MAX)
			continue;
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			nl->interrupted = true;
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
			end_dump(c, error_of(h));
			return;
		}
		message(c, h, true);
	}
}

static bool read_dump(struct fibctl *c)
{
	struct fc_nl *nl = c->nl;
	ssize_t n = recv(nl->dump_fd, nl->buf, DUMP_BYTES, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && errno != EAGAIN && errno != EINTR && nl->current != FC_D__MAX)
		nl->interrupted = true;
	if (n <= 0)
		return false;
	if ((size_t)n > DUMP_BYTES)
		nl->interrupted = true;
	dump_part(c, (void *)nl->buf, MIN((size_t)n, DUMP_BYTES));
	return true;
}

/* Only refusals answer. */
static void read_answers(struct fibctl *c)
{
	uint8_t buf[4096];
	ssize_t n;

	while ((n = recv(c->nl->req_fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *h = (void *)buf;
		size_t len = (size_t)n;

		for (; fib_msg_ok(h, len); h = fib_msg_next(h, &len))
			if (h->nlmsg_type == NLMSG_ERROR && error_of(h))
				c->st.n_probe_errors++;
	}
}

int fc_nl_probe(struct fibctl *c, uint32_t oif, uint8_t family, const union fib_ip *nh)
{
	uint8_t buf[128];
	struct nlmsghdr *h;
	struct ndmsg *nd;

	if (!c->nl)
		return -ENOTCONN;
	h = begin(buf, RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE, 0);
	nd = mnl_nlmsg_put_extra_header(h, sizeof(*nd));
	nd->ndm_family = family;
	nd->ndm_ifindex = (int)oif;
	nd->ndm_flags = NTF_USE;
	nd->ndm_state = NUD_NONE;
	mnl_attr_put(h, NDA_DST, family == AF_INET ? 4 : 16, nh->b);
	return send(c->nl->req_fd, h, h->nlmsg_len, MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void timers(struct fibctl *c)
{
	struct fc_nl *nl = c->nl;
	uint64_t now = now_ms();

	if (now >= nl->keepalive_at) {
		nl->keepalive_at = now + KEEPALIVE_MS;
		fc_adjs_keepalive(c);
		if (c->f.ready) {
			fc_links_tick(c);
			fc_elig_tick(c);
		}
	}
	if (now >= nl->flush_at) {
		nl->flush_at = now + FLUSH_MS;
		fc_tables_flush(c);
	}
	if (c->limit && !nl->resync && now >= nl->limit_at)
		want_all(c);
}

int fibctl_fd(const struct fibctl *c)
{
	return c->nl ? c->nl->ep_fd : -1;
}

bool fibctl_pending(const struct fibctl *c)
{
	struct epoll_event ev;

	return c->nl && epoll_wait(c->nl->ep_fd, &ev, 1, 0) > 0;
}

int fibctl_next_ms(const struct fibctl *c)
{
	const struct fc_nl *nl = c->nl;
	uint64_t now = now_ms(), next;

	if (!nl || c->scan < c->scan_end)
		return 0;
	next = nl->keepalive_at;
	if (nl->current == FC_D__MAX) {
		if (nl->wanted)
			next = MIN(next, nl->hold_until);
		for (unsigned i = 0; i < nl->n_verify; i++)
			next = MIN(next, MAX(nl->verify[i].at, nl->hold_until));
	}
	return next <= now ? 0 : (int)MIN(next - now, (uint64_t)KEEPALIVE_MS);
}

int fibctl_run(struct fibctl *c, int timeout_ms)
{
	struct fc_nl *nl = c->nl;
	struct epoll_event ev[8];
	int next = fibctl_next_ms(c);
	uint64_t drain;

	if (!nl)
		return -ENOTCONN;
	timeout_ms = timeout_ms < 0 ? next : MIN(timeout_ms, next);
	begin_dump(c);
	if (epoll_wait(nl->ep_fd, ev, ARRAY_LEN(ev), timeout_ms) < 0 && errno != EINTR)
		return -errno;
	if (read(nl->wake_fd, &drain, sizeof(drain)) < 0 && errno != EAGAIN)
		return -errno;
	fc_elig_turn(c);
	for (unsigned i = 0; i < EVENT_TURNS && read_events(c); i++)
		;
	for (unsigned i = 0; i < DUMP_TURNS && read_dump(c); i++)
		;
	read_answers(c);
	fc_drain(c, false);
	fc_adjs_requests(c);
	fc_routes_scan(c);
	fc_routes_scan_some(c, SCAN_BUDGET);
	timers(c);
	fc_touch_end(c);
	begin_dump(c);
	return 0;
}
