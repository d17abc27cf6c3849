/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a client's connection (conn.c: framing, allowances, output queue) and the session that
 * gives it meaning (session.c: modes, commands). conn.c knows nothing of commands; session.c
 * nothing of sockets, so that tests drive a session without one.
 * Wire messages: include/rtr/cliproto.h. Threads: rtrd's loop only.
 * Failure: a client that breaks the protocol, floods, or does not read is closed with a BYE that
 * says why; its session sees session_free, as at a hang-up.
 */
#ifndef RTR_CONN_H
#define RTR_CONN_H

#include "util.h"

#include <sys/types.h>

struct conn;
struct session;

enum conn_level { CONN_READER, CONN_ADMIN }; /* group rtr; group rtradmin or root */

struct conn_peer {
	uid_t uid;
	pid_t pid;
	char user[33];         /* name, or "uid N" */
	enum conn_level level; /* the most it may become by `enable` */
	bool interactive;      /* a person at a terminal: pager, questions, prompt */
	unsigned cols, rows;
};

enum conn_stream { CONN_OUT, CONN_ERR };

/* ---- offered by conn.c ---- */

/* Appends to the output queue. Never blocks. */
void conn_output(struct conn *c, enum conn_stream stream, const void *buf, size_t size);
/* True while the output queue is above its high-water mark: a long-running command pauses and
 * goes on when session_drained is called. A command that ignores it is cut at a hard limit. */
bool conn_congested(const struct conn *c);
/* The command is over: exit status for rtrctl (0 = good), next prompt. */
void conn_done(struct conn *c, int status, const char *prompt);
/* Asks the person; the answer comes by session_answer. Only when peer.interactive. */
void conn_question(struct conn *c, const char *text, bool echo);
/* A log line for `terminal monitor`; dropped (and counted) when the queue is congested. */
void conn_log(struct conn *c, const char *line);
/* Of an interactive session that waits for a line: its prompt is another one. */
void conn_prompt(struct conn *c, const char *prompt);
/* `| redirect|append|tee FILE`: rtrctl writes the following output with its own rights. */
enum conn_redirect { CONN_REDIRECT, CONN_APPEND, CONN_TEE };
void conn_redirect(struct conn *c, enum conn_redirect mode, const char *path);
/* Completions: the words that may replace text[start..cursor). */
void conn_completions(struct conn *c, unsigned start, const char *const *words, size_t n);
/* Lines a page of the client's pager: 0 = no pager, CONN_LENGTH_AUTO (the start) = its screen. */
#define CONN_LENGTH_AUTO 0xffffffffu
void conn_set_length(struct conn *c, unsigned rows);
/* Ends the connection once what was put out is taken; "" = as the user wished (`exit`). */
void conn_close(struct conn *c, const char *reason);
const struct conn_peer *conn_peer(const struct conn *c);

/* ---- the listener, for rtrd.c ---- */

struct event_base;
struct conn_server;

/* What one client and one user may take; NULL in conn_server_new means conn_limits_default. */
struct conn_limits {
	size_t out_high, out_low, out_hard; /* bytes of output not yet taken by the client */
	unsigned stall_ms;                  /* output waits and the client takes nothing */
	unsigned hello_ms;                  /* to the first message, or between parts of one */
	unsigned max_queued;                /* messages that wait for the running command */
	size_t max_queued_bytes;
	unsigned max_conns, max_conns_uid;
	size_t max_exec_reader; /* a reader has no configuration to paste */
	uint64_t bytes_per_sec, bytes_burst, msgs_per_sec, msgs_burst; /* of all conns of a uid */
};
extern const struct conn_limits conn_limits_default;

/* Accepts on listen_fd (not closed by conn_server_free: the parent keeps it too). */
struct conn_server *conn_server_new(struct event_base *base, int listen_fd,
				    const struct conn_limits *limits);
/* Says BYE to all with the reason and closes; NULL. */
struct conn_server *conn_server_free(struct conn_server *s, const char *reason);
/* Takes a connected socket, as if accepted; closes it when the peer may not come in. */
void conn_server_add(struct conn_server *s, int fd);

/* ---- offered by session.c, called by conn.c ---- */

struct session *session_new(struct conn *c);
void session_free(struct session *s); /* hang-up: pending edits are discarded and logged */
const char *session_prompt(struct session *s);
/* One line typed, or several at once (a paste, a file, -c): one transaction. `json`: as if every
 * show ended in `| json`. conn.c passes the next one only after conn_done. */
void session_exec(struct session *s, const char *text, size_t size, bool json);
void session_complete(struct session *s, const char *text, size_t cursor); /* -> conn_completions */
void session_help(struct session *s, const char *text); /* `?`: output, then conn_done */
void session_interrupt(struct session *s);              /* ^C: the running command ends soon */
void session_answer(struct session *s, const char *text);
void session_resize(struct session *s, unsigned cols, unsigned rows);
void session_drained(struct session *s);

#endif
