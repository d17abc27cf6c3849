/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what one user takes of the CLI, over all of its connections: how many, and how many
 * bytes and messages a second. An empty allowance is not an offence: the connection is read
 * again when it has filled, and the client's own send blocks meanwhile.
 * Owns: a record a uid; it outlives the user's last connection until its allowance is full
 * again, so that hanging up does not refill it. Threads: rtrd's loop only. Failure: none.
 */
#ifndef RTR_CONN_ALLOW_H
#define RTR_CONN_ALLOW_H

#include "conn.h"

#include <sys/queue.h>

struct conn_user {
	TAILQ_ENTRY(conn_user) link;
	uid_t uid;
	unsigned n_conns;
	/* What may still be taken; below zero after a message larger than what was left. */
	int64_t bytes, msgs;
	uint64_t filled_ns;
};

TAILQ_HEAD(conn_users, conn_user);

/* The user's record with one more connection, or NULL when it has as many as it may. */
struct conn_user *conn_allow_enter(struct conn_users *users, const struct conn_limits *lim,
				   uid_t uid, uint64_t now_ns);
void conn_allow_leave(struct conn_user *u);
/* Takes; the answer is how long to wait before reading on, 0 = go on. */
uint64_t conn_allow_take(struct conn_user *u, const struct conn_limits *lim, size_t bytes,
			 unsigned msgs, uint64_t now_ns);
void conn_allow_free(struct conn_users *users);

#endif
