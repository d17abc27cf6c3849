/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: who is at the other end of a UNIX socket, and what the user may do: group `rtr` reads,
 * group `rtradmin`, root and rtrd's own user change.
 * Owns: nothing. Threads: any. Failure: a peer that the kernel does not name is refused.
 * Names come from /etc/passwd and /etc/group themselves: the system's name service may ask the
 * network, and rtrd's loop must not wait for a network that it is itself to bring up.
 */
#ifndef RTR_CONN_AUTH_H
#define RTR_CONN_AUTH_H

#include "conn.h"

#define CONN_NO_GID ((gid_t)-1)

struct conn_groups {
	gid_t reader, admin; /* CONN_NO_GID where the group does not exist */
};

/* The groups as /etc/group has them now. */
struct conn_groups conn_auth_groups(void);
/* The decision alone. False: refused. */
bool conn_auth_level(const struct conn_groups *g, uid_t uid, uid_t own_uid, const gid_t *gids,
		     size_t n_gids, enum conn_level *ret);
/* Fills uid, pid, user and level of ret. 0, -EACCES, or another -errno. */
int conn_auth_peer(int fd, struct conn_peer *ret);

#endif
