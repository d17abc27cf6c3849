/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: an upgrade in place. On SIGUSR2 the parent ends the worker and starts its own program
 * again, as it is on disk now, in the same process: the lock, the sockets, what the worker gave to
 * hold and rtr-vrrpd with its memory go over to it, so that no virtual router moves and no client
 * is refused.
 * Owns: nothing; descriptors stay open over the exec. Threads: the parent's loop.
 * Failure: without what it expects the new program starts as any other does.
 */
#ifndef RTR_PARENT_EXEC_H
#define RTR_PARENT_EXEC_H

#include "system/parent.h"

struct parent_keep {
	int lock_fd, listen_fd;
	pid_t vrrp_pid; /* 0 = none */
	int vrrp_shm_fd, vrrp_listen_fd;
	uint64_t vrrp_started_ns;
	struct held_fd held[PARENT_MAX_HELD];
	size_t n_held;
};

/* The program's path, to be asked for before it is replaced. NULL: unknown. */
char *parent_exec_path(void);
/* Starts it. Returns only when that fails: -errno. */
int parent_exec(const char *path, char *const *argv, const struct parent_keep *k);
/* What a former program in this process left to us. False: nothing. */
bool parent_exec_taken(struct parent_keep *k);

#endif
