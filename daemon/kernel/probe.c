/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/probe.h"

#include "kernel/rtmsg.h"
#include "kernel/rule.h"

#include <errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_KINDS 16

static struct {
	const char *kind;
	bool there;
} known[MAX_KINDS];

/* The errno that the kernel answers the message with. */
static int ask(struct nl_msg *m)
{
	struct nl_sock *sock = nl_socket_alloc();
	union {
		struct nlmsghdr h;
		char b[4096];
	} buf;
	const struct nlmsgerr *err = nlmsg_data(&buf.h);
	int r = -EIO;

	if (sock && !nl_connect(sock, NETLINK_ROUTE)) {
		int fd = nl_socket_get_fd(sock);
		struct nlmsghdr *h = nlmsg_hdr(m);

		h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
		if (send(fd, h, h->nlmsg_len, 0) > 0 &&
		    recv(fd, &buf, sizeof(buf), MSG_DONTWAIT) >=
			    (ssize_t)(NLMSG_HDRLEN + sizeof(*err)) &&
		    buf.h.nlmsg_type == NLMSG_ERROR)
			r = err->error;
	}
	nl_socket_free(sock);
	nlmsg_free(m);
	return r;
}

bool probe_link_kind(const char *kind)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct nl_msg *m;
	struct nlattr *info;
	size_t i = 0;

	while (i < MAX_KINDS && known[i].kind && strcmp(known[i].kind, kind))
		i++;
	if (i == MAX_KINDS)
		abort();
	if (known[i].kind)
		return known[i].there;
	/* A link with a name that no link can have: the kind is looked up first. */
	m = rtmsg_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi), RTMSG_SIZE);
	rtmsg_text(m, IFLA_IFNAME, "a/b");
	info = rtmsg_nest(m, IFLA_LINKINFO);
	rtmsg_text(m, IFLA_INFO_KIND, kind);
	nla_nest_end(m, info);
	known[i].kind = kind;
	known[i].there = ask(m) != -EOPNOTSUPP;
	return known[i].there;
}

bool probe_rule_dscp(void)
{
	static int there = -1;
	/* A DSCP that cannot be, in a rule that cannot be either (goto backwards): a kernel that
	 * knows the attribute complains about its range first. */
	struct rule r = { .family = AF_INET,
			  .action = FR_ACT_GOTO,
			  .pref = 2,
			  .target = 1,
			  .suppress_len = -1,
			  .has_dscp = true,
			  .dscp = 64 };

	if (there < 0)
		there = ask(rule_msg(RTM_NEWRULE, &r)) == -ERANGE;
	return there;
}
