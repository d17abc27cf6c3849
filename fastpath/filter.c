/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "filter.h"

#include "util.h"

#include <errno.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <sys/prctl.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED
#elif defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#ifdef SANITIZED

int fp_filter_control(void)
{
	return 0;
}

int fp_filter_worker(void)
{
	return 0;
}

int fp_filter_mirror(void)
{
	return 0;
}

#else

static int load(scmp_filter_ctx ctx, const int *calls, size_t n, uint32_t action)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = seccomp_rule_add(ctx, action, calls[i], 0);
	return r ?: seccomp_load(ctx);
}

int fp_filter_control(void)
{
	static const int never[] = {
		SCMP_SYS(execve),         SCMP_SYS(execveat),
		SCMP_SYS(ptrace),         SCMP_SYS(mount),
		SCMP_SYS(umount2),        SCMP_SYS(pivot_root),
		SCMP_SYS(chroot),         SCMP_SYS(init_module),
		SCMP_SYS(finit_module),   SCMP_SYS(kexec_load),
		SCMP_SYS(reboot),         SCMP_SYS(setns),
		SCMP_SYS(unshare),        SCMP_SYS(setuid),
		SCMP_SYS(setgid),         SCMP_SYS(setresuid),
		SCMP_SYS(setresgid),      SCMP_SYS(process_vm_readv),
		SCMP_SYS(keyctl),         SCMP_SYS(process_vm_writev),
		SCMP_SYS(io_uring_setup), SCMP_SYS(listen),
		SCMP_SYS(accept),         SCMP_SYS(accept4),
	};
	scmp_filter_ctx ctx;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	ctx = seccomp_init(SCMP_ACT_ALLOW);
	r = ctx ? load(ctx, never, ARRAY_LEN(never), SCMP_ACT_KILL_PROCESS) : -ENOMEM;
	seccomp_release(ctx);
	return r;
}

int fp_filter_worker(void)
{
	static const int calls[] = {
		SCMP_SYS(poll),       SCMP_SYS(ppoll),          SCMP_SYS(read),
		SCMP_SYS(sendto),     SCMP_SYS(futex),          SCMP_SYS(clock_gettime),
		SCMP_SYS(membarrier), SCMP_SYS(sched_yield),    SCMP_SYS(gettid),
		SCMP_SYS(getpid),     SCMP_SYS(tgkill),         SCMP_SYS(brk),
		SCMP_SYS(mmap),       SCMP_SYS(munmap),         SCMP_SYS(madvise),
		SCMP_SYS(mprotect),   SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
		SCMP_SYS(exit),       SCMP_SYS(exit_group),     SCMP_SYS(restart_syscall),
		SCMP_SYS(write),      SCMP_SYS(rseq),           SCMP_SYS(set_robust_list),
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
			     SCMP_A0(SCMP_CMP_EQ, BPF_PROG_TEST_RUN));
	if (!r)
		r = load(ctx, calls, ARRAY_LEN(calls), SCMP_ACT_ALLOW);
	seccomp_release(ctx);
	return r;
}

int fp_filter_mirror(void)
{
	static const int calls[] = {
		SCMP_SYS(sendto),
		SCMP_SYS(recvfrom),
		SCMP_SYS(futex),
		SCMP_SYS(clock_gettime),
		SCMP_SYS(membarrier),
		SCMP_SYS(sched_yield),
		SCMP_SYS(gettid),
		SCMP_SYS(getpid),
		SCMP_SYS(tgkill),
		SCMP_SYS(brk),
		SCMP_SYS(mmap),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(madvise),
		SCMP_SYS(mprotect),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
		SCMP_SYS(restart_syscall),
		SCMP_SYS(rseq),
		SCMP_SYS(set_robust_list),
		SCMP_SYS(clock_nanosleep),
		SCMP_SYS(poll),
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = ctx ? load(ctx, calls, ARRAY_LEN(calls), SCMP_ACT_ALLOW) : -ENOMEM;

	seccomp_release(ctx);
	return r;
}

#endif
