/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ending entries while a dump walks the table. Requests go out BATCH to a system
 * call; only the last asks for an acknowledgement, so that the others answer by errors alone. The
 * kernel works inside send() (10 us an entry that ends), so all answers lie ready after it.
 */
#include "conntrack/ct_wire.h"
#include "rtr/ctnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* 0.6 ms of the kernel's time. */
#define BATCH 64
/* Walks of a table that is resized meanwhile; a resize is an operator's act, not traffic's. */
#define MAX_WALKS 4

struct ct_change {
	struct ct_dump *dump;
	struct ct_filter f;
	ct_judge_fn judge; /* NULL: all end */
	ct_change_fn done;
	void *arg;
	int fd;
	unsigned n, walks;
	uint32_t seq, buckets;
	size_t size;
	bool *cancelled;
	struct ct_change_result res;
	char buf[BATCH * CT_REQUEST_SIZE];
};

/* ---- a batch ---- */

static void put_end(struct ct_change *c, const struct ct_entry *e)
{
	struct nlmsghdr *h = ctnl_start(c->buf + c->size, IPCTNL_MSG_CT_DELETE, 0,
					e->orig.src.family);

	ct_wire_tuple(h, &e->orig);
	/* Not the successor that took its place since it was read (told apart unless it lies in
	 * the same memory: the kernel's id is a hash of address and tuple). */
	mnl_attr_put_u32(h, CTA_ID, htonl(e->id));
}

static void count(struct ct_change *c, int error)
{
	if (error == -ENOENT) {
		c->res.gone++;
	} else if (error) {
		if (!c->res.failed++)
			c->res.fail_errno = -error;
	} else {
		c->res.ended++;
	}
}

/* The errors of a batch whose first message has number `first`. */
static void read_errors(struct ct_change *c, uint32_t first, int error[BATCH])
{
	union {
		struct nlmsghdr h;
		char b[8192];
	} buf;
	ssize_t n;

	while ((n = recv(c->fd, &buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		int left = (int)n;

		for (struct nlmsghdr *h = &buf.h; NLMSG_OK(h, (unsigned)left);
		     h = NLMSG_NEXT(h, left)) {
			uint32_t i = h->nlmsg_seq - first;

			if (h->nlmsg_type == NLMSG_ERROR && i < c->n)
				error[i] = ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		}
	}
}

static void flush(struct ct_change *c)
{
	int error[BATCH] = { 0 };
	uint32_t first = c->seq - c->n + 1;
	ssize_t r;

	if (!c->n)
		return;
	r = send(c->fd, c->buf, c->size, 0);
	if (r >= 0)
		read_errors(c, first, error);
	for (unsigned i = 0; i < c->n; i++)
		count(c, r < 0 ? -errno : error[i]);
	c->n = 0;
	c->size = 0;
}

static void queue(struct ct_change *c, const struct ct_entry *e)
{
	struct nlmsghdr *h = (void *)(c->buf + c->size);

	put_end(c, e);
	h->nlmsg_seq = ++c->seq;
	c->n++;
	c->size += NLMSG_ALIGN(h->nlmsg_len);
	if (c->n == BATCH)
		flush(c);
}

/* ---- the walk ---- */

static void release(struct ct_change *c)
{
	if (c->cancelled)
		*c->cancelled = true;
	ct_dump_cancel(c->dump);
	close(c->fd);
	free(c);
}

static void each(void *arg, const struct ct_entry *e)
{
	struct ct_change *c = arg;
	enum ct_verdict v = CT_END;
	bool cancelled = false;

	c->res.judged++;
	if (c->judge) {
		c->cancelled = &cancelled;
		v = c->judge(c->arg, e);
		if (cancelled)
			return;
		c->cancelled = NULL;
	}
	if (v != CT_KEEP)
		queue(c, e);
}

static int walk(struct ct_change *c);

static void walked(void *arg, int error)
{
	struct ct_change *c = arg;
	struct ct_count now;

	c->dump = NULL;
	flush(c);
	/* A dump goes by bucket: a resize meanwhile may have moved entries past it. */
	if (!error)
		error = ct_count_get(&now);
	if (!error && now.buckets != c->buckets) {
		error = ++c->walks < MAX_WALKS ? walk(c) : -EAGAIN;
		if (!error)
			return;
	}
	c->res.error = error;
	c->done(c->arg, &c->res);
	release(c);
}

static int walk(struct ct_change *c)
{
	static const struct ct_dump_fns fns = { .each = each, .done = walked };
	struct ct_count now;
	int e = ct_count_get(&now);

	if (e)
		return e;
	c->buckets = now.buckets;
	c->dump = ct_dump_start(&c->f, &fns, c, &e);
	return c->dump ? 0 : e;
}

struct ct_change *ct_rejudge(const struct ct_filter *f, ct_judge_fn judge, ct_change_fn done,
			     void *arg, int *ret_error)
{
	struct ct_change *c = xcalloc(1, sizeof(*c));
	int e;

	if (f)
		c->f = *f;
	c->judge = judge;
	c->done = done;
	c->arg = arg;
	c->fd = ct_wire_socket(SOCK_NONBLOCK);
	e = c->fd < 0 ? c->fd : walk(c);
	if (!e)
		return c;
	if (c->fd >= 0)
		close(c->fd);
	free(c);
	*ret_error = e;
	return NULL;
}

struct ct_change *ct_delete(const struct ct_filter *f, ct_change_fn done, void *arg, int *ret_error)
{
	return ct_rejudge(f, NULL, done, arg, ret_error);
}

struct ct_change *ct_change_cancel(struct ct_change *c)
{
	if (c)
		release(c);
	return NULL;
}
