/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the root parent does once before the first child: user, folders, lock, listening
 * socket; and what a child does first: give up root.
 * Threads: none. Failure: a sentence on stderr and an enum rtrd_exit; a missing user `rtr` or
 * capability is one warning line and rtrd goes on without.
 */
#ifndef RTR_PARENT_SETUP_H
#define RTR_PARENT_SETUP_H

#include "parent.h"

#include <sys/types.h>

struct parent_user {
	bool drop; /* false: the child stays what we are */
	uid_t uid;
	gid_t gid;
};

/* Whom the child runs as; warns when that is not user rtr. */
struct parent_user parent_find_user(void);
/* Makes base (mode 0755, ours) and path (given mode, the user's). 0 or -errno. */
int parent_folder(const char *base, const char *path, mode_t mode, const struct parent_user *u);
/* state_dir/captures, for the user and group rtradmin: packets are not for readers. */
int parent_captures_folder(const char *state_dir, const struct parent_user *u);
/* A bpffs for the fast plane's tables, the user's: run_dir/bpf, or a folder of the machine's own
 * where we may not mount. Complains and goes on without. */
#define PARENT_BPFFS "/sys/fs/bpf"
void parent_bpffs(const char *run_dir, const char *name, const struct parent_user *u);
/* Opens and locks run_dir/lock. The descriptor, -EWOULDBLOCK when another rtrd holds it (its
 * process id in *ret_pid), or another -errno. */
int parent_lock(const char *run_dir, pid_t *ret_pid);
/* The CLI's listening socket, non-blocking, or -errno. */
int parent_listen(const char *path);
/* In the child: becomes the user with the capabilities that rtrd needs. 0 or -errno. */
int parent_drop(const struct parent_user *u);
/* The same with the n capabilities of caps. */
int parent_drop_to(const struct parent_user *u, const int *caps, size_t n);

#endif
