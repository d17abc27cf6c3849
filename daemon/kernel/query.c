/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/query.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel fills dump buffers of at most 32 KiB when the reader offers as much. */
#define PIECE 32768

struct kdump {
	struct nl_sock *sk;
};

static struct nl_sock *open_socket(int *ret_error)
{
	struct nl_sock *sk = nl_socket_alloc();
	int one = 1, r;

	if (!sk) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	r = nl_connect(sk, NETLINK_ROUTE);
	if (r < 0) {
		nl_socket_free(sk);
		*ret_error = -ECONNREFUSED;
		return NULL;
	}
	nl_socket_disable_auto_ack(sk);
	setsockopt(nl_socket_get_fd(sk), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	setsockopt(nl_socket_get_fd(sk), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	return sk;
}

static struct nl_sock *ask(struct nl_msg *req, int flags, int *ret_error)
{
	struct nl_sock *sk = open_socket(ret_error);

	if (sk) {
		nlmsg_hdr(req)->nlmsg_flags |= NLM_F_REQUEST | flags;
		if (nl_send_auto(sk, req) < 0) {
			nl_socket_free(sk);
			sk = NULL;
			*ret_error = -EIO;
		}
	}
	nlmsg_free(req);
	return sk;
}

struct kdump *kdump_start(struct nl_msg *req, int *ret_error)
{
	struct nl_sock *sk = ask(req, NLM_F_DUMP, ret_error);
	struct kdump *d;

	if (!sk)
		return NULL;
	d = xcalloc(1, sizeof(*d));
	d->sk = sk;
	return d;
}

struct kdump *kdump_free(struct kdump *d)
{
	if (d)
		nl_socket_free(d->sk);
	free(d);
	return NULL;
}

/* The kernel's words in an error message: NLMSGERR_ATTR_MSG, behind the (capped) request. */
static void read_extack(const struct nlmsghdr *h, struct strbuf *err)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	size_t skip = sizeof(*e) +
		      (h->nlmsg_flags & NLM_F_CAPPED ? 0 : e->msg.nlmsg_len - NLMSG_HDRLEN);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS) || h->nlmsg_len < NLMSG_HDRLEN + skip)
		return;
	if (!nla_parse(tb, NLMSGERR_ATTR_MAX,
		       (struct nlattr *)(uintptr_t)((const char *)e + NLMSG_ALIGN(skip)),
		       (int)(h->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(skip)), NULL) &&
	    tb[NLMSGERR_ATTR_MSG])
		strbuf_adds(err, nla_get_string(tb[NLMSGERR_ATTR_MSG]));
}

/* One receive. 1 = more may follow, 0 = the end, -errno. */
static int read_piece(struct nl_sock *sk, kquery_fn fn, void *arg, struct strbuf *err)
{
	static union {
		struct nlmsghdr h;
		char b[PIECE];
	} buf;
	ssize_t n = recv(nl_socket_get_fd(sk), buf.b, sizeof(buf.b), 0);
	int left = (int)n;

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	for (struct nlmsghdr *h = &buf.h; NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			if (err)
				read_extack(h, err);
			return e->error;
		}
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		fn(arg, h);
		if (!(h->nlmsg_flags & NLM_F_MULTI))
			return 0;
	}
	return 1;
}

int kdump_step(struct kdump *d, kquery_fn fn, void *arg)
{
	return read_piece(d->sk, fn, arg, NULL);
}

int kquery_all(struct nl_msg *req, kquery_fn fn, void *arg)
{
	int r = 0;
	struct kdump *d = kdump_start(req, &r);

	while (d && (r = kdump_step(d, fn, arg)) > 0)
		;
	kdump_free(d);
	return r;
}

int kquery_one(struct nl_msg *req, kquery_fn fn, void *arg, struct strbuf *err)
{
	int r = 0;
	struct nl_sock *sk = ask(req, 0, &r);

	if (!sk)
		return r;
	r = read_piece(sk, fn, arg, err);
	nl_socket_free(sk);
	return MIN(r, 0);
}
