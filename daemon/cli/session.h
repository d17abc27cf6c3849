/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: one operator's session: EXEC and configuration modes, prompt, the lines that are being
 * executed, the candidate. conn.h is its other side.
 *
 * Configuration lines become commits in one of three ways:
 *	configure terminal, a line typed      its own commit, at once
 *	... in a mode marked buffered         one commit when the mode is left
 *	... several lines at once (a paste)   one commit for all, or none
 *	configure candidate                   when `commit` says so
 * Each is kept as the lines typed, so that it can be done again on a model that somebody else
 * changed meanwhile.
 *
 * Owns: its editor and lines; the candidate is one for the whole box.
 * Threads: rtrd's loop only. Failure: told to the operator; nothing half-applied.
 */
#ifndef RTR_SESSION_H
#define RTR_SESSION_H

#include "cli/command.h"
#include "cli/conn.h"
#include "cli/pipe.h"
#include "schema/edit.h"

#include <event2/event.h>

/* A candidate that nobody touched for so long is given up. */
#define CANDIDATE_IDLE_SEC 1800
#define HISTORY_LEN        100
/* A text of many lines gives the loop back after so long: what another operator then waits is of
 * the order of one commit. */
#define TURN_NS (5 * NSEC_PER_MSEC)

enum session_mode { MODE_EXEC, MODE_TERMINAL, MODE_CANDIDATE };

/* Commands under way: parsed line, output filters, exit status. */
struct cmd_ctx {
	struct session *s;
	const struct cmd *cmd;
	struct syn_words words;
	struct syn_result match;
	struct outpipe pipe;
	int status;
	bool failed, pending;
	bool put;   /* something was put out, or was to be */
	char *text; /* the line without its filters; words point into it */
	void *data;
	void (*answer)(struct cmd_ctx *c, const char *text);
};

/* Configuration lines that belong together, and where they start. */
struct edit_log {
	char **line;
	size_t n, room;
	struct rec *at[MODEL_MAX_DEPTH]; /* the modes at the start */
	unsigned depth;
	struct rec *base; /* the running model that they were typed on; NULL: none yet */
};

struct session {
	struct conn *conn;
	bool enabled;
	enum session_mode mode;
	struct editor ed; /* .root NULL in EXEC */
	struct edit_log log;
	bool changed;    /* something was configured since `configure`: for CONFIG_I, the archive */
	bool committing; /* a txn request of ours is under way */
	char *comment;   /* of that commit, for the archive; NULL: none */
	struct event *idle;

	/* the text being executed */
	char *text, *next;
	unsigned line_no, n_errors;
	bool several, json;
	bool stepping, again; /* session_next was called from below itself */
	bool parked;          /* between two lines, for others' turn or until output is taken */
	struct event *turn;
	uint64_t turn_ns; /* when this turn began */
	int status;
	void (*then)(struct session *s); /* after the commit under way */

	struct cmd_ctx *cmd;
	bool monitor;
	char *history[HISTORY_LEN];
	size_t n_history;
	unsigned width;
	time_t since;
	struct session *next_session;
	char prompt[160];
};

/* All sessions, newest first, for `show users` and the logs. */
const struct session *session_first(void);
void session_init(struct event_base *base);
/* Links the commands of all domains. NULL, or what is wrong. */
struct domain;
const char *commands_init(const struct domain *const *domains, size_t n);
void commands_fini(void);
/* All commands, for the manual; returns how many there are. */
size_t commands_all(const struct cmd **ret, size_t room);
/* The programs of the commands that can be typed now. */
const struct syn_set *commands_set(enum cmd_where where, bool admin);
const struct cmd *command_of(const struct syn_prog *p); /* NULL: a configuration line's */

/* ---- session.c, for config.c ---- */

void session_printf(struct session *s, enum conn_stream st, const char *fmt, ...) RTR_PRINTF(3, 4);
/* Goes on with the next line of the text, or ends it. */
void session_next(struct session *s);
/* A syntax error in IOS's words, with the caret under the column. */
void session_syntax_error(struct session *s, enum syn_status status, const char *line, unsigned col,
			  const char *why);

void session_monitor(struct session *s, bool on); /* `terminal monitor` */
/* A line that every operator must see, whatever he monitors. */
void session_tell_all(const char *line);

/* ---- config.c: what configuration lines do ---- */

void config_enter(struct session *s, enum session_mode mode);
/* A line that is no command of the mode. Calls session_next when it is done. */
void config_line(struct session *s, const char *line);
/* Lines that a command makes (text_delta), as if typed in the global mode. */
void config_type(struct session *s, const char *lines, void (*then)(struct session *s));
/* The lines typed so far are committed, then `then` runs. */
void config_flush(struct session *s, void (*then)(struct session *s));
void config_leave(struct session *s); /* no commit: what was not committed is given up */
void config_hangup(struct session *s);
const struct session *config_candidate_owner(void);

#endif
