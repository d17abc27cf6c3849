/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the programs that the root parent starts when the worker asks: a fixed list, each with its
 * own few capabilities as user `rtr`, each with one socket to the worker as descriptor
 * PARENT_PROG_FD. No string comes from the worker.
 * rtr-fastpath has another socket, to us: parent_xt.h; and the types of connection tracking:
 * parent_types.h.
 * Owns: their process ids, our end of that socket. Threads: none. Failure: a program that cannot be
 * started or dies shows to the worker as the end of file of its socket; it asks again.
 */
#ifndef RTR_PARENT_PROG_H
#define RTR_PARENT_PROG_H

#include "parent.h"
#include "parent_setup.h"

struct parent_progs {
	pid_t pid[PARENT_PROG__MAX]; /* 0 = not running */
	int xt_fd; /* rtr-fastpath asks for descriptors (parent_xt.h); negative = it does not run */
};

void parent_prog_init(struct parent_progs *ps);
/* Where rtr-fastpath asks, for poll. Negative: it does not run. */
int parent_prog_fd(const struct parent_progs *ps);
void parent_prog_serve(struct parent_progs *ps);
/* In another child, which has no use for it. */
void parent_prog_forget(struct parent_progs *ps);
/* prog is what the worker asked for; others than those of the list are ignored. fd stays the
 * caller's. */
void parent_prog_start(struct parent_progs *ps, uint32_t prog, const char *instance, int fd,
		       const struct parent_user *u);
void parent_prog_reap(struct parent_progs *ps); /* after SIGCHLD */
/* All of them, and waits. again: the same will be asked for once more. */
void parent_prog_end(struct parent_progs *ps, bool again);

#endif
