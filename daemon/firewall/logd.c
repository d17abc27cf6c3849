/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-logd: reads the headers of packets that lines with `log` decided, as the kernel hands them
 * over, and tells rtrd what stands there. Started by rtrd's root parent with the first such packet,
 * with one socket to rtrd (include/rtr/logd.h).
 *
 * Owns: nothing; the kernel's socket is rtrd's, and keeps what comes while we do not run.
 * Privileges: user rtr, no capability; seccomp leaves two sockets and no way to open another.
 * Threads: none. Failure: rtrd starts another. When rtrd does not read we do not either: the
 * kernel drops what has no room, and its numbers say how many those were.
 */
#include "firewall/logd_packet.h"
#include "system/fdpass.h"
#include "system/helper.h"
#include "system/sandbox.h"
#include "util.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Before anything else: what a packet might talk us into finds no system call. */
static int start(int *ret_nl)
{
	static const int calls[] = { SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(madvise) };
	struct logd_req q;

	if (!helper_is_started("rtr-logd"))
		return -EINVAL;
	if (fd_recv(HELPER_RTRD_FD, &q, sizeof(q), 0, ret_nl) != sizeof(q) || q.op != LOGD_SOCKET ||
	    *ret_nl < 0)
		return -EPROTO;
	return sandbox_enter(calls, ARRAY_LEN(calls), SANDBOX_NO_SOCKETS);
}

/* False: rtrd is gone. Waits while rtrd has more than it reads. */
static bool take_messages(int nl)
{
	static char buf[16384] __attribute__((aligned(8)));
	ssize_t n = recv(nl, buf, sizeof(buf), MSG_DONTWAIT);
	const struct nlmsghdr *h = (const void *)buf;

	for (int left = (int)n; n > 0 && mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		struct logd_event e;

		if (logd_message(h, &e) && send(HELPER_RTRD_FD, &e, sizeof(e), MSG_NOSIGNAL) < 0 &&
		    errno != EINTR)
			return false;
	}
	return true;
}

int main(void)
{
	int nl = -1, r = start(&nl);
	struct pollfd fds[] = { { .fd = HELPER_RTRD_FD }, { .fd = nl, .events = POLLIN } };

	if (r) {
		fprintf(stderr, "rtr-logd: %s\n", strerror(-r));
		return 1;
	}
	for (;;) {
		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents)
			return 0; /* hung up: it says nothing more */
		if (fds[1].revents && !take_messages(nl))
			return 0;
	}
}
