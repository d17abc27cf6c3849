/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/sandbox.h"

#include <errno.h>
#include <sys/prctl.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

static int enter(const int *calls, size_t n, const int *families, size_t n_families,
		 uint32_t otherwise)
{
#ifdef SANITIZED
	return 0;
#else
	static const int common[] = {
		SCMP_SYS(recvfrom),   SCMP_SYS(sendto),       SCMP_SYS(brk),
		SCMP_SYS(mmap),       SCMP_SYS(munmap),       SCMP_SYS(mremap),
		SCMP_SYS(write),      SCMP_SYS(futex),        SCMP_SYS(clock_gettime),
		SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
	};
	scmp_filter_ctx ctx;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	ctx = seccomp_init(otherwise);
	r = ctx ? 0 : -ENOMEM;
	if (!r)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; i < ARRAY_LEN(common) && !r; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, common[i], 0);
	for (size_t i = 0; i < n && !r; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	for (size_t i = 0; i < n_families && !r; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	if (!r)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
#endif
}

int sandbox_enter(const int *calls, size_t n, int family)
{
	return enter(calls, n, &family, family != SANDBOX_NO_SOCKETS, SCMP_ACT_KILL_PROCESS);
}

int sandbox_enter_families(const int *calls, size_t n, const int *families, size_t n_families)
{
	return enter(calls, n, families, n_families, SCMP_ACT_KILL_PROCESS);
}

int sandbox_enter_refusing(const int *calls, size_t n, int family)
{
	return enter(calls, n, &family, family != SANDBOX_NO_SOCKETS, SCMP_ACT_ERRNO(EPERM));
}
