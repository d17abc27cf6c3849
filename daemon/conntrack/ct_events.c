/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conntrack/ct_wire.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_compat.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct ct_events {
	unsigned mask;
	bool has_filter;
	struct ct_filter f;
	ct_event_fn fn;
	void *arg;
	int fd;
	struct event *ev, *retry;
	struct ct_dump *resync;
	bool lost_again; /* overrun while the dump ran */
	bool *stopped;
	uint64_t overruns;
};

/* Calls fn. False: it stopped us. */
static bool tell(struct ct_events *v, enum ct_event ev, const struct ct_entry *e)
{
	bool stopped = false;

	v->stopped = &stopped;
	v->fn(v->arg, ev, e);
	if (stopped)
		return false;
	v->stopped = NULL;
	return true;
}

/* ---- after an overrun ---- */

static void resync(struct ct_events *v);

static void sync_each(void *arg, const struct ct_entry *e)
{
	tell(arg, CT_EV_SYNC, e);
}

static void retry_soon(struct ct_events *v)
{
	static const struct timeval second = { 1, 0 };

	evtimer_add(v->retry, &second);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	resync(arg);
}

static void sync_done(void *arg, int error)
{
	struct ct_events *v = arg;

	v->resync = NULL;
	if (error) {
		retry_soon(v);
	} else if (v->lost_again) {
		v->lost_again = false;
		if (tell(v, CT_EV_LOST, NULL))
			resync(v);
	} else {
		tell(v, CT_EV_SYNCED, NULL);
	}
}

static void resync(struct ct_events *v)
{
	static const struct ct_dump_fns fns = { .each = sync_each, .done = sync_done };
	int e;

	v->resync = ct_dump_start(v->has_filter ? &v->f : NULL, &fns, v, &e);
	if (!v->resync)
		retry_soon(v);
}

/* False: we were stopped. */
static bool overrun(struct ct_events *v)
{
	v->overruns++;
	if (v->resync || evtimer_pending(v->retry, NULL)) {
		v->lost_again = true;
		return true;
	}
	if (!tell(v, CT_EV_LOST, NULL))
		return false;
	resync(v);
	return true;
}

/* ---- events ---- */

static enum ct_event kind(const struct nlmsghdr *h)
{
	if (NFNL_MSG_TYPE(h->nlmsg_type) == IPCTNL_MSG_CT_DELETE)
		return CT_EV_DESTROY;
	return h->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL) ? CT_EV_NEW : CT_EV_UPDATE;
}

static bool take(struct ct_events *v, const struct nlmsghdr *h)
{
	enum ct_event ev = kind(h);
	struct ct_entry e;

	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_CTNETLINK || !(v->mask & 1u << ev) ||
	    !ct_wire_entry(h, &e) || (v->has_filter && !ct_filter_match(&v->f, &e)))
		return true;
	return tell(v, ev, &e);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	static union {
		struct nlmsghdr h;
		char b[8192];
	} buf;
	struct ct_events *v = arg;
	uint64_t end = rtr_now_ns() + CT_SLICE_NS;

	do {
		ssize_t n = recv(fd, &buf, sizeof(buf), MSG_DONTWAIT);
		int left = (int)n;

		if (n < 0 && errno == ENOBUFS) {
			if (!overrun(v))
				return;
			continue;
		}
		if (n <= 0)
			return;
		for (struct nlmsghdr *h = &buf.h; NLMSG_OK(h, (unsigned)left);
		     h = NLMSG_NEXT(h, left)) {
			if (!take(v, h))
				return;
		}
	} while (rtr_now_ns() < end);
}

static int join(int fd, unsigned mask)
{
	static const int group[] = { [CT_EV_NEW] = NFNLGRP_CONNTRACK_NEW,
				     [CT_EV_UPDATE] = NFNLGRP_CONNTRACK_UPDATE,
				     [CT_EV_DESTROY] = NFNLGRP_CONNTRACK_DESTROY };

	for (unsigned i = 0; i < ARRAY_LEN(group); i++) {
		if ((mask & 1u << i) && setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
						   &group[i], sizeof(group[i])) < 0)
			return -errno;
	}
	return 0;
}

struct ct_events *ct_events_start(unsigned mask, const struct ct_filter *f, ct_event_fn fn,
				  void *arg, int *ret_error)
{
	int fd = ct_wire_socket(SOCK_NONBLOCK), r = fd < 0 ? fd : join(fd, mask);
	struct ct_events *v;

	if (r) {
		if (fd >= 0)
			close(fd);
		*ret_error = r;
		return NULL;
	}
	v = xcalloc(1, sizeof(*v));
	v->mask = mask;
	v->has_filter = f;
	if (f)
		v->f = *f;
	v->fn = fn;
	v->arg = arg;
	v->fd = fd;
	v->ev = event_new(ct_base(), fd, EV_READ | EV_PERSIST, on_readable, v);
	v->retry = evtimer_new(ct_base(), on_retry, v);
	if (!v->ev || !v->retry)
		abort();
	event_add(v->ev, NULL);
	return v;
}

uint64_t ct_events_overruns(const struct ct_events *v)
{
	return v->overruns;
}

struct ct_events *ct_events_stop(struct ct_events *v)
{
	if (!v)
		return NULL;
	if (v->stopped)
		*v->stopped = true;
	ct_dump_cancel(v->resync);
	event_free(v->ev);
	event_free(v->retry);
	close(v->fd);
	free(v);
	return NULL;
}
