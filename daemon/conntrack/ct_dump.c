/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conntrack/ct_wire.h"
#include "rtr/ctnl.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* recv() into a buffer of CT_PIECE and send(): 64 KiB is twice what they need. */
#define STACK_SIZE (128u << 10)
#define QUEUE_SIZE (4 * CT_PIECE)

struct ct_dump {
	struct ct_filter f;
	bool has_filter, paused;
	struct ct_dump_fns fns;
	void *arg;
	int fd; /* our end of the pair */
	struct event *ev;
	bool *cancelled; /* set while callbacks run: somebody may cancel inside */
};

static unsigned n_dumps;

/* ---- the reader thread ---- */

struct reader {
	int netlink, out;
	uint32_t size;
	char request[CT_REQUEST_SIZE];
};

union piece {
	struct nlmsghdr h;
	char b[CT_PIECE];
};

static bool is_last(const union piece *p, ssize_t n)
{
	int left = (int)n;

	for (const struct nlmsghdr *h = &p->h; NLMSG_OK(h, (unsigned)left);
	     h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return true;
	}
	return false;
}

/* The kernel's last word never comes: the loop shall hear why. */
static ssize_t make_error(union piece *p, int error)
{
	struct nlmsgerr *e = NLMSG_DATA(&p->h);

	memset(p, 0, NLMSG_SPACE(sizeof(*e)));
	p->h.nlmsg_len = NLMSG_LENGTH(sizeof(*e));
	p->h.nlmsg_type = NLMSG_ERROR;
	e->error = error;
	return (ssize_t)p->h.nlmsg_len;
}

static void *read_table(void *arg)
{
	struct reader *r = arg;
	union piece p;
	bool more = true;
	ssize_t n;

	if (send(r->netlink, r->request, r->size, 0) < 0) {
		n = make_error(&p, -errno);
		send(r->out, &p, (size_t)n, MSG_NOSIGNAL);
		more = false;
	}
	while (more) {
		n = recv(r->netlink, &p, sizeof(p), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			n = make_error(&p, n < 0 ? -errno : -EIO);
		more = !is_last(&p, n);
		/* Fails when the dump was cancelled. */
		if (send(r->out, &p, (size_t)n, MSG_NOSIGNAL) < 0)
			more = false;
	}
	close(r->netlink);
	close(r->out);
	free(r);
	return NULL;
}

static int start_thread(struct reader *r)
{
	pthread_attr_t attr;
	pthread_t t;
	sigset_t all, old;
	int e;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	/* Signals are the loop's. */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&t, &attr, read_table, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -e;
}

/* What the loop has not read yet: the only memory that a dump takes. */
static void bound_queue(int fd)
{
	int size = QUEUE_SIZE;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int start_reader(const struct ct_filter *f, int *ret_fd)
{
	struct reader *r = xcalloc(1, sizeof(*r));
	struct nlmsghdr *h;
	int pair[2], e;

	h = ctnl_start(r->request, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
	if (f)
		ct_wire_filter(h, f);
	r->size = h->nlmsg_len;
	r->netlink = ct_wire_socket(0);
	e = r->netlink < 0 ? r->netlink : 0;
	if (!e && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		e = -errno;
		close(r->netlink);
	}
	if (e) {
		free(r);
		return e;
	}
	r->out = pair[1];
	bound_queue(r->out);
	e = start_thread(r);
	if (e) {
		close(r->netlink);
		close(pair[0]);
		close(pair[1]);
		free(r);
		return e;
	}
	*ret_fd = pair[0];
	return 0;
}

/* ---- the loop's side ---- */

static void release(struct ct_dump *d)
{
	if (d->cancelled)
		*d->cancelled = true;
	event_free(d->ev);
	close(d->fd);
	free(d);
	n_dumps--;
}

static void finish(struct ct_dump *d, int error)
{
	struct ct_dump_fns fns = d->fns;
	void *arg = d->arg;

	release(d);
	fns.done(arg, error);
}

/* One message. 1: more may follow, 0: the end, -errno. */
static int take(struct ct_dump *d, const struct nlmsghdr *h)
{
	const struct nlmsgerr *err = NLMSG_DATA(h);
	struct ct_entry e;

	if (h->nlmsg_type == NLMSG_DONE)
		return 0;
	if (h->nlmsg_type == NLMSG_ERROR)
		return err->error ? err->error : -EIO;
	if (ct_wire_entry(h, &e) && (!d->has_filter || ct_filter_match(&d->f, &e)))
		d->fns.each(d->arg, &e);
	return 1;
}

/* One piece. False: the dump is gone, or there is nothing to read. */
static bool read_piece(struct ct_dump *d)
{
	static union piece p;
	bool cancelled = false;
	ssize_t n = recv(d->fd, &p, sizeof(p), MSG_DONTWAIT);
	int left = (int)n, r = 1;

	if (n < 0)
		return false;
	d->cancelled = &cancelled;
	for (struct nlmsghdr *h = &p.h; r > 0 && NLMSG_OK(h, (unsigned)left);
	     h = NLMSG_NEXT(h, left)) {
		r = take(d, h);
		if (cancelled)
			return false;
	}
	d->cancelled = NULL;
	if (r > 0 && n > 0)
		return true;
	finish(d, n > 0 ? r : -EIO);
	return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ct_dump *d = arg;
	uint64_t end = rtr_now_ns() + CT_SLICE_NS;

	while (read_piece(d) && !d->paused && rtr_now_ns() < end)
		;
}

struct ct_dump *ct_dump_start(const struct ct_filter *f, const struct ct_dump_fns *fns, void *arg,
			      int *ret_error)
{
	struct ct_dump *d;
	int fd, e;

	e = n_dumps < CT_MAX_DUMPS ? start_reader(f, &fd) : -EBUSY;
	if (e) {
		*ret_error = e;
		return NULL;
	}
	n_dumps++;
	d = xcalloc(1, sizeof(*d));
	d->fd = fd;
	d->fns = *fns;
	d->arg = arg;
	d->has_filter = f;
	if (f)
		d->f = *f;
	d->ev = event_new(ct_base(), fd, EV_READ | EV_PERSIST, on_readable, d);
	if (!d->ev)
		abort();
	event_add(d->ev, NULL);
	return d;
}

void ct_dump_pause(struct ct_dump *d)
{
	d->paused = true;
	event_del(d->ev);
}

void ct_dump_resume(struct ct_dump *d)
{
	d->paused = false;
	event_add(d->ev, NULL);
}

struct ct_dump *ct_dump_cancel(struct ct_dump *d)
{
	if (d)
		release(d);
	return NULL;
}
