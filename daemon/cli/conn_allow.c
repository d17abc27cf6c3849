/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conn_allow.h"

#include <stdlib.h>

/* Adds what `ns` at `per_sec` is worth, up to `burst`. */
static int64_t fill(int64_t have, uint64_t ns, uint64_t per_sec, uint64_t burst)
{
	uint64_t more = (uint64_t)((unsigned __int128)ns * per_sec / NSEC_PER_SEC);

	if (more > burst * 2 || have + (int64_t)more > (int64_t)burst)
		return (int64_t)burst;
	return have + (int64_t)more;
}

static void refill(struct conn_user *u, const struct conn_limits *lim, uint64_t now_ns)
{
	uint64_t ns = now_ns - u->filled_ns;

	/* Shorter steps would round the smaller rate down to nothing. */
	if (ns < 10 * NSEC_PER_MSEC)
		return;
	u->bytes = fill(u->bytes, ns, lim->bytes_per_sec, lim->bytes_burst);
	u->msgs = fill(u->msgs, ns, lim->msgs_per_sec, lim->msgs_burst);
	u->filled_ns = now_ns;
}

/* Frees the records of users who left and whose allowance is full. */
static void forget_old(struct conn_users *users, const struct conn_limits *lim, uint64_t now_ns)
{
	struct conn_user *u, *next;

	for (u = TAILQ_FIRST(users); u; u = next) {
		next = TAILQ_NEXT(u, link);
		refill(u, lim, now_ns);
		if (u->n_conns || u->bytes < (int64_t)lim->bytes_burst ||
		    u->msgs < (int64_t)lim->msgs_burst)
			continue;
		TAILQ_REMOVE(users, u, link);
		free(u);
	}
}

struct conn_user *conn_allow_enter(struct conn_users *users, const struct conn_limits *lim,
				   uid_t uid, uint64_t now_ns)
{
	struct conn_user *u;

	forget_old(users, lim, now_ns);
	TAILQ_FOREACH(u, users, link)
		if (u->uid == uid)
			break;
	if (!u) {
		u = xcalloc(1, sizeof(*u));
		u->uid = uid;
		u->bytes = (int64_t)lim->bytes_burst;
		u->msgs = (int64_t)lim->msgs_burst;
		u->filled_ns = now_ns;
		TAILQ_INSERT_TAIL(users, u, link);
	}
	if (u->n_conns >= lim->max_conns_uid)
		return NULL;
	u->n_conns++;
	return u;
}

void conn_allow_leave(struct conn_user *u)
{
	u->n_conns--;
}

/* How long until `have`, below zero, is zero again. */
static uint64_t wait_ns(int64_t have, uint64_t per_sec)
{
	return have >= 0 ? 0 : (uint64_t)-have * NSEC_PER_SEC / per_sec + 10 * NSEC_PER_MSEC;
}

uint64_t conn_allow_take(struct conn_user *u, const struct conn_limits *lim, size_t bytes,
			 unsigned msgs, uint64_t now_ns)
{
	uint64_t a, b;

	refill(u, lim, now_ns);
	u->bytes -= (int64_t)bytes;
	u->msgs -= msgs;
	a = wait_ns(u->bytes, lim->bytes_per_sec);
	b = wait_ns(u->msgs, lim->msgs_per_sec);
	return MAX(a, b);
}

void conn_allow_free(struct conn_users *users)
{
	struct conn_user *u;

	while ((u = TAILQ_FIRST(users))) {
		TAILQ_REMOVE(users, u, link);
		free(u);
	}
}
