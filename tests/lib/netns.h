/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a network namespace of its own for a Check program, and iproute2 in it to play the
 * foreigner. Without root the program ends with 77, a skip.
 */
#ifndef RTR_TEST_NETNS_H
#define RTR_TEST_NETNS_H

#include "util.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* At the start of suite(): ends the program as skipped where namespaces cannot be made. */
static inline void netns_or_skip(void)
{
	pid_t pid = fork();
	int r = 0;

	if (!pid)
		_exit(unshare(CLONE_NEWNET) < 0);
	if (pid < 0 || waitpid(pid, &r, 0) != pid || r) {
		printf("SKIP: needs root for a network namespace\n");
		exit(77);
	}
}

static inline void netns_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		abort();
}

/* Runs a shell command line; true when it succeeded. */
static inline bool sh(const char *fmt, ...) RTR_PRINTF(1, 2);
static inline bool sh(const char *fmt, ...)
{
	char *cmd;
	va_list ap;
	pid_t pid;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&cmd, fmt, ap);
	va_end(ap);
	if (r < 0)
		abort();
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	free(cmd);
	return pid > 0 && waitpid(pid, &r, 0) == pid && WIFEXITED(r) && !WEXITSTATUS(r);
}

#endif
