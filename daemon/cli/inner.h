/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrd as a client of its own: show commands run as any reader's session runs them, with
 * secrets masked, and their output comes to a callback. For what reads many of them: metrics,
 * show tech-support.
 * It is a socket pair into conn.c, so that a long command pauses when its output is not taken.
 * Owns: its end of the pair and what has come by it. Threads: rtrd's loop only; nothing waits.
 * Failure: NULL from inner_new; later the end of the session is an exit status of -1.
 */
#ifndef RTR_INNER_H
#define RTR_INNER_H

#include "util.h"

struct conn_server;
struct inner;

struct inner_ops {
	void (*output)(void *arg, const char *text, size_t size);
	/* The command is over; -1: the session is, too. The inner may be freed here. */
	void (*done)(void *arg, int status);
};

/* For rtrd.c: where clients come in; NULL before it goes. */
void inner_set_server(struct conn_server *s);

struct inner *inner_new(const struct inner_ops *ops, void *arg);
struct inner *inner_free(struct inner *i); /* the running command is interrupted; NULL */
/* One command at a time. */
void inner_exec(struct inner *i, const char *line, bool json);
/* While paused no output is taken. */
void inner_pause(struct inner *i, bool on);

#endif
