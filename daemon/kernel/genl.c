/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/genl.h"

#include "kernel/rtmsg.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

/* One answer: a NIC's features with their names are some 6 KiB. */
#define ANSWER_SIZE 32768

static struct nl_sock *sock;
static uint32_t seq;

static int open_sock(void)
{
	int one = 1;

	if (sock)
		return 0;
	sock = nl_socket_alloc();
	if (!sock || nl_connect(sock, NETLINK_GENERIC)) {
		nl_socket_free(sock);
		sock = NULL;
		return -EIO;
	}
	nl_socket_set_nonblocking(sock);
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return 0;
}

struct nl_msg *genl_msg(uint16_t family, uint8_t cmd, uint8_t version, size_t room)
{
	struct genlmsghdr g = { .cmd = cmd, .version = version };
	struct nl_msg *m = rtmsg_new(family, 0, &g, sizeof(g), room);

	nlmsg_set_proto(m, NETLINK_GENERIC);
	return m;
}

bool genl_is(const struct nl_msg *m)
{
	return nlmsg_get_proto((struct nl_msg *)(uintptr_t)m) == NETLINK_GENERIC;
}

static void take_words(const struct nlmsghdr *h, struct strbuf *err)
{
	const struct nlmsgerr *e = nlmsg_data(h);
	struct nlattr *tb[NLMSGERR_ATTR_MSG + 1];
	int skip = NLMSG_HDRLEN + (int)sizeof(*e);

	/* With NLM_F_CAPPED nothing of the request comes back but its header. */
	if (h->nlmsg_flags & NLM_F_ACK_TLVS && h->nlmsg_flags & NLM_F_CAPPED &&
	    !nla_parse(tb, NLMSGERR_ATTR_MSG, (struct nlattr *)(uintptr_t)((const char *)h + skip),
		       (int)h->nlmsg_len - skip, NULL) &&
	    tb[NLMSGERR_ATTR_MSG])
		strbuf_adds(err, nla_get_string(tb[NLMSGERR_ATTR_MSG]));
}

/* Reads until the acknowledgement, which stands behind every answer, or the end of a dump, which
 * the kernel goes on with as it is read. */
static int read_answers(uint32_t want, kquery_fn fn, void *arg, struct strbuf *err)
{
	static union {
		struct nlmsghdr h;
		char b[ANSWER_SIZE];
	} buf;

	for (;;) {
		ssize_t n = recv(nl_socket_get_fd(sock), &buf, sizeof(buf), MSG_DONTWAIT);
		int rem = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (struct nlmsghdr *h = &buf.h; nlmsg_ok(h, rem); h = nlmsg_next(h, &rem)) {
			if (h->nlmsg_seq != want)
				continue;
			if (h->nlmsg_type == NLMSG_DONE)
				return nlmsg_datalen(h) >= (int)sizeof(int)
					       ? *(const int *)nlmsg_data(h)
					       : 0;
			if (h->nlmsg_type == NLMSG_ERROR) {
				take_words(h, err);
				return ((const struct nlmsgerr *)nlmsg_data(h))->error;
			}
			if (fn)
				fn(arg, h);
		}
	}
}

int genl_ask(struct nl_msg *m, kquery_fn fn, void *arg, struct strbuf *err)
{
	struct nlmsghdr *h = nlmsg_hdr(m);
	int r = open_sock();

	if (r)
		return r;
	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = ++seq;
	h->nlmsg_pid = 0;
	if (send(nl_socket_get_fd(sock), h, h->nlmsg_len, MSG_DONTWAIT) < 0)
		return -errno;
	return read_answers(h->nlmsg_seq, fn, arg, err);
}

static void take_id(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[CTRL_ATTR_MAX + 1];

	if (!nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, GENL_HDRLEN, tb, CTRL_ATTR_MAX, NULL) &&
	    tb[CTRL_ATTR_FAMILY_ID])
		*(uint16_t *)arg = nla_get_u16(tb[CTRL_ATTR_FAMILY_ID]);
}

uint16_t genl_family(const char *name)
{
	struct nl_msg *m = genl_msg(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, 128);
	struct strbuf err = STRBUF_INIT;
	uint16_t id = 0;

	rtmsg_text(m, CTRL_ATTR_FAMILY_NAME, name);
	if (genl_ask(m, take_id, &id, &err))
		id = 0;
	strbuf_fini(&err);
	nlmsg_free(m);
	return id;
}
