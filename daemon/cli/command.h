/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: EXEC commands: what a domain offers beside its configuration lines. The notation of a
 * line is that of schema.h.
 *
 *	static json_t *show_clock(struct cmd_ctx *c) { return json_pack("{s:s}", "time", ...); }
 *	static void print_clock(struct cmd_ctx *c, const json_t *doc) { cmd_printf(c, ...); }
 *	static const struct cmd cmds[] = {
 *		{ "show clock", "Time of day", .data = show_clock, .text = print_clock },
 *		{ "ping <host:WORD>[ repeat <n:U32(1,1000)>]", "Send echo requests", .run = ping,
 *		  .interrupt = ping_stop },
 *	};
 *
 * A show command gives one JSON document; `| json` prints it as it is, otherwise text() makes the
 * table from it, so that the two never disagree. Others print as they go from run().
 * Threads: rtrd's loop only. A command that waits (ping) returns from run after cmd_pend and ends
 * with cmd_done; it must not block the loop.
 * Failure: cmd_fail, once; with `| json` it becomes {"error": "..."}.
 */
#ifndef RTR_COMMAND_H
#define RTR_COMMAND_H

#include "util.h"

#include <jansson.h>

struct cmd_ctx;
struct rec;
struct session;

enum cmd_where {
	CMD_EXEC,
	CMD_CONFIG,    /* in every configuration mode, beside its lines: exit, end */
	CMD_CANDIDATE, /* in `configure candidate`: commit, rebase */
};

struct cmd {
	const char *line, *help;
	json_t *(*data)(struct cmd_ctx *c); /* NULL after cmd_fail */
	void (*text)(struct cmd_ctx *c, const json_t *doc);
	void (*run)(struct cmd_ctx *c);
	void (*interrupt)(struct cmd_ctx *c); /* ^C or hang-up: must lead to cmd_done at once */
	void (*drained)(struct cmd_ctx *c);   /* the client took its output: see cmd_congested */
	enum cmd_where where;
	bool admin; /* needs `enable` */
	bool alias; /* other words for a command that there is: told once in show tech-support */
};

/* ---- what was typed ---- */

/* Reads value `name` into dst (an object of the type's size; text: a char * that the caller
 * frees). False when it was not given. */
bool cmd_get(const struct cmd_ctx *c, const char *name, void *dst);
/* The alternative of {name:a|b}, or of a flag [ name] 1; -1 when not given. */
int cmd_choice(const struct cmd_ctx *c, const char *name);
#define cmd_flag(c, name) (cmd_choice(c, name) >= 0)

/* ---- output ---- */

void cmd_puts(struct cmd_ctx *c, const char *text);
void cmd_printf(struct cmd_ctx *c, const char *fmt, ...) RTR_PRINTF(2, 3);
/* Text whose lines are all that there is to it, such as a difference: {"lines": [...]} as JSON. */
void cmd_lines(struct cmd_ctx *c, const char *text);
/* A whole configuration, as text or JSON (flags: schema/text.h). A reader sees secrets masked; an
 * admin sees what a save would write. */
void cmd_config(struct cmd_ctx *c, const struct rec *root, unsigned flags);
/* "% text", exit status 1. The text has no "% " and no newline. */
void cmd_fail(struct cmd_ctx *c, const char *fmt, ...) RTR_PRINTF(2, 3);
bool cmd_json(const struct cmd_ctx *c); /* `| json` was asked for: run() commands print JSON */
/* The client reads slower than we write: stop, and go on in drained(). */
bool cmd_congested(const struct cmd_ctx *c);

/* ---- commands that wait ---- */

void cmd_pend(struct cmd_ctx *c);
void cmd_done(struct cmd_ctx *c);
/* Kept for the command between its callbacks; freed by it before cmd_done. */
void cmd_set_data(struct cmd_ctx *c, void *data);
void *cmd_data(const struct cmd_ctx *c);
/* Asks the person; answer() gets the text. Non-interactive sessions get "" at once. */
void cmd_ask(struct cmd_ctx *c, const char *question,
	     void (*answer)(struct cmd_ctx *c, const char *text));

/* In answer(): a person was asked, and "" is what he typed. */
bool cmd_asked(const struct cmd_ctx *c);

struct session *cmd_session(const struct cmd_ctx *c);
const char *cmd_user(const struct cmd_ctx *c);
bool cmd_admin(const struct cmd_ctx *c); /* secrets may be shown */

struct event_base *cmd_base(void); /* rtrd's loop, for timers and sockets of commands */

#endif
