/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rtr-vrrpd may do: it parses what strangers send, so it keeps three capabilities and the
 * system calls that its loop makes; anything else ends it, and its parent starts it again. */
#include "vrrp/vrrpd.h"

#include "system/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

static int drop_caps(void)
{
	capng_clear(CAPNG_SELECT_ALL);
	capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN, CAP_NET_RAW,
		      CAP_IPC_LOCK, -1);
	return capng_apply(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) ? -EPERM : 0;
}

int box_limits(void)
{
	struct rlimit rl;

	/* Two sockets an interface. */
	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return -errno;
	rl.rlim_cur = MIN((rlim_t)(2 * MAX_IFS + 64), rl.rlim_max);
	if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
		return -errno;
	/* Now: capabilities are each thread's own. */
	return drop_caps();
}

int box_close(void)
{
	static const int calls[] = {
		SCMP_SYS(epoll_wait),  SCMP_SYS(epoll_pwait),
		SCMP_SYS(epoll_ctl),   SCMP_SYS(read),
		SCMP_SYS(recvmsg),     SCMP_SYS(recvmmsg),
		SCMP_SYS(sendmsg),     SCMP_SYS(sendmmsg),
		SCMP_SYS(setsockopt),  SCMP_SYS(getsockopt),
		SCMP_SYS(bind),        SCMP_SYS(accept4),
		SCMP_SYS(close),       SCMP_SYS(timerfd_settime),
		SCMP_SYS(exit),        SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(sched_yield), SCMP_SYS(madvise),
		SCMP_SYS(time),        SCMP_SYS(gettimeofday),
	};
	/* An interface that appears gets its receiving sockets. */
	static const int families[] = { AF_INET, AF_INET6 };

	/* A page that has to be fetched is an advert that is late. Where the limit forbids it the
	 * box is small: better late than not at all. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		fprintf(stderr, "rtr-vrrpd: memory is not locked: %s\n", strerror(errno));
	return sandbox_enter_families(calls, ARRAY_LEN(calls), families, ARRAY_LEN(families));
}
