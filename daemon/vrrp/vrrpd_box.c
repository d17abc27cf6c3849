/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rtr-vrrpd may do: it parses what strangers send, so it keeps three capabilities and the
 * system calls that its loop makes; anything else ends it, and its parent starts it again. */
#include "vrrp/vrrpd.h"

#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

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

#ifndef SANITIZED
static const int calls[] = {
	SCMP_SYS(epoll_wait),      SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),       SCMP_SYS(read),
	SCMP_SYS(write),           SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),        SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),         SCMP_SYS(sendmmsg),
	SCMP_SYS(sendto),          SCMP_SYS(setsockopt),
	SCMP_SYS(getsockopt),      SCMP_SYS(bind),
	SCMP_SYS(accept4),         SCMP_SYS(close),
	SCMP_SYS(timerfd_settime), SCMP_SYS(clock_gettime),
	SCMP_SYS(futex),           SCMP_SYS(exit),
	SCMP_SYS(exit_group),      SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),  SCMP_SYS(restart_syscall),
	SCMP_SYS(sched_yield),     SCMP_SYS(munmap),
	SCMP_SYS(madvise),         SCMP_SYS(time),
	SCMP_SYS(gettimeofday),
};
static const uint64_t families[] = { AF_INET, AF_INET6 };

/* TSYNC: the thread of vrrpd_addr.c too. */
static int filter_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = ctx ? 0 : -ENOMEM;

	if (!r)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; i < ARRAY_LEN(calls) && !r; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	for (size_t i = 0; i < ARRAY_LEN(families) && !r; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, families[i]));
	if (!r)
		r = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return r;
}
#else
static int filter_calls(void)
{
	return 0; /* the sanitizers make calls of their own */
}
#endif

int box_close(void)
{
	/* A page that has to be fetched is an advert that is late. Where the limit forbids it the
	 * box is small: better late than not at all. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		fprintf(stderr, "rtr-vrrpd: memory is not locked: %s\n", strerror(errno));
	return filter_calls();
}
