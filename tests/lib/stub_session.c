/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a session without a router behind it, for tests of the transport, of rtrctl and of the
 * parent: each command drives one thing that conn.h offers. See `cmds` at the end.
 */
#include "cli/conn.h"
#include "stub_session.h"
#include "strbuf.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct session {
	TAILQ_ENTRY(session) link;
	struct conn *c;
	char *prompt;
	unsigned long left, total; /* `count`: lines still to print */
	bool waiting, asked;
	int status;
};

struct stub_stats stub_stats;
static TAILQ_HEAD(, session) sessions = TAILQ_HEAD_INITIALIZER(sessions);

static void put(struct session *s, const char *text)
{
	conn_output(s->c, CONN_OUT, text, strlen(text));
}

struct session *session_new(struct conn *c)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->c = c;
	s->prompt = xstrdup(conn_peer(c)->level == CONN_ADMIN ? "stub# " : "stub> ");
	TAILQ_INSERT_TAIL(&sessions, s, link);
	stub_stats.n_sessions++;
	return s;
}

void session_free(struct session *s)
{
	TAILQ_REMOVE(&sessions, s, link);
	stub_stats.n_sessions--;
	stub_stats.n_freed++;
	free(s->prompt);
	free(s);
}

const char *session_prompt(struct session *s)
{
	return s->prompt;
}

static void done(struct session *s, int status)
{
	conn_done(s->c, status, s->prompt);
}

static void go_on_counting(struct session *s)
{
	char line[64];

	while (s->left && !conn_congested(s->c)) {
		snprintf(line, sizeof(line), "line %lu of %lu\n", s->total - s->left + 1, s->total);
		put(s, line);
		s->left--;
	}
	if (!s->left)
		done(s, 0);
}

static void cmd_echo(struct session *s, const char *arg)
{
	put(s, arg);
	put(s, "\n");
	done(s, 0);
}

static void cmd_err(struct session *s, const char *arg)
{
	conn_output(s->c, CONN_ERR, arg, strlen(arg));
	conn_output(s->c, CONN_ERR, "\n", 1);
	done(s, 1);
}

static void cmd_fail(struct session *s, const char *arg)
{
	done(s, atoi(arg));
}

static void cmd_count(struct session *s, const char *arg)
{
	s->left = s->total = strtoul(arg, NULL, 10);
	go_on_counting(s);
}

/* Ignores congestion, as a command must not. */
static void cmd_flood(struct session *s, const char *arg)
{
	static const char block[1024];
	unsigned long n = strtoul(arg, NULL, 10);

	for (unsigned long i = 0; i < n; i++)
		conn_output(s->c, CONN_OUT, block, sizeof(block));
	done(s, 0);
}

static void cmd_wait(struct session *s, const char *arg)
{
	put(s, "waiting\n");
	s->waiting = true;
}

static void cmd_ask(struct session *s, const char *arg)
{
	if (!conn_peer(s->c)->interactive) {
		put(s, "nobody to ask\n");
		done(s, 1);
		return;
	}
	s->asked = true;
	conn_question(s->c, arg, true);
}

static void cmd_secret(struct session *s, const char *arg)
{
	s->asked = true;
	conn_question(s->c, arg, false);
}

static void cmd_size(struct session *s, const char *arg)
{
	const struct conn_peer *p = conn_peer(s->c);
	char line[64];

	snprintf(line, sizeof(line), "%u columns %u rows\n", p->cols, p->rows);
	put(s, line);
	done(s, 0);
}

/* wide N COLUMNS: lines of so many characters. */
static void cmd_wide(struct session *s, const char *arg)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10), cols = strtoul(end, NULL, 10);

	while (n--) {
		for (unsigned long i = 0; i + 3 < cols; i++)
			put(s, "w");
		put(s, "END\n");
	}
	done(s, 0);
}

static void cmd_size_of(struct session *s, const char *arg)
{
	char line[64];

	snprintf(line, sizeof(line), "%zu bytes\n", stub_stats.last_size);
	put(s, line);
	done(s, 0);
}

static void cmd_length(struct session *s, const char *arg)
{
	conn_set_length(s->c, (unsigned)strtoul(arg, NULL, 10));
	done(s, 0);
}

static void cmd_prompt(struct session *s, const char *arg)
{
	free(s->prompt);
	s->prompt = xasprintf("%s ", arg);
	done(s, 0);
}

static void cmd_end(struct session *s, const char *arg)
{
	put(s, "ended\n");
	cmd_prompt(s, "stub#");
}

static void cmd_file(struct session *s, enum conn_redirect mode, const char *path)
{
	conn_redirect(s->c, mode, path);
	put(s, "to a file\n");
	done(s, 0);
}

static void cmd_redirect(struct session *s, const char *arg)
{
	cmd_file(s, CONN_REDIRECT, arg);
}

static void cmd_append(struct session *s, const char *arg)
{
	cmd_file(s, CONN_APPEND, arg);
}

static void cmd_tee(struct session *s, const char *arg)
{
	cmd_file(s, CONN_TEE, arg);
}

/* As a subverted rtrd might: a path that nobody typed. */
static void cmd_evil(struct session *s, const char *arg)
{
	cmd_file(s, CONN_APPEND, "/run/rtr-stub-evil");
}

static void cmd_log(struct session *s, const char *arg)
{
	struct session *to;

	TAILQ_FOREACH(to, &sessions, link)
		conn_log(to->c, arg);
	done(s, 0);
}

static void cmd_rename(struct session *s, const char *arg)
{
	struct session *to;

	TAILQ_FOREACH(to, &sessions, link) {
		free(to->prompt);
		to->prompt = xasprintf("%s# ", arg);
		if (to != s)
			conn_prompt(to->c, to->prompt);
	}
	done(s, 0);
}

static void cmd_close(struct session *s, const char *arg)
{
	conn_close(s->c, arg);
}

static void cmd_abort(struct session *s, const char *arg)
{
	raise(SIGKILL);
}

static const struct {
	const char *name;
	void (*run)(struct session *s, const char *arg);
} cmds[] = {
	{ "echo", cmd_echo },         { "err", cmd_err },       { "fail", cmd_fail },
	{ "count", cmd_count },       { "flood", cmd_flood },   { "wait", cmd_wait },
	{ "ask", cmd_ask },           { "secret", cmd_secret }, { "size", cmd_size },
	{ "length", cmd_length },     { "prompt", cmd_prompt }, { "end", cmd_end },
	{ "redirect", cmd_redirect }, { "append", cmd_append }, { "tee", cmd_tee },
	{ "evil", cmd_evil },         { "log", cmd_log },       { "close", cmd_close },
	{ "abort", cmd_abort },       { "wide", cmd_wide },     { "size_of", cmd_size_of },
	{ "rename", cmd_rename },
};

/* Several lines are not run but counted: what matters is that they came as one. */
static void exec_many(struct session *s, const char *text, size_t size)
{
	char line[128];
	unsigned n = 0;

	for (size_t i = 0; i < size; i++)
		n += text[i] == '\n';
	snprintf(line, sizeof(line), "one transaction of %u lines, %zu bytes\n", n, size);
	put(s, line);
	done(s, 0);
}

void session_exec(struct session *s, const char *text, size_t size, bool json)
{
	size_t word = strcspn(text, " \n");
	const char *arg = text + word + strspn(text + word, " ");

	stub_stats.n_execs++;
	stub_stats.last_size = size;
	if (strchr(text, '\n')) {
		exec_many(s, text, size);
		return;
	}
	if (json) {
		put(s, "{}\n");
		done(s, 0);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(cmds); i++)
		if (word == strlen(cmds[i].name) && !memcmp(text, cmds[i].name, word)) {
			cmds[i].run(s, arg);
			return;
		}
	if (size == 0) {
		done(s, 0);
		return;
	}
	cmd_err(s, "% Invalid input detected at '^' marker.");
}

void session_complete(struct session *s, const char *text, size_t cursor)
{
	const char *words[ARRAY_LEN(cmds)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(cmds); i++)
		if (!strncmp(cmds[i].name, text, cursor))
			words[n++] = cmds[i].name;
	conn_completions(s->c, 0, words, n);
}

void session_help(struct session *s, const char *text)
{
	char *line = xasprintf("help for <%s>\n", text);

	put(s, line);
	free(line);
	done(s, 0);
}

void session_interrupt(struct session *s)
{
	stub_stats.n_interrupts++;
	if (s->waiting || s->left || s->asked) {
		s->waiting = s->asked = false;
		s->left = 0;
		put(s, "interrupted\n");
		done(s, 130);
	}
}

void session_answer(struct session *s, const char *text)
{
	char *line = xasprintf("answer <%s>\n", text);

	s->asked = false;
	put(s, line);
	free(line);
	done(s, 0);
}

void session_resize(struct session *s, unsigned cols, unsigned rows)
{
	stub_stats.cols = cols;
	stub_stats.rows = rows;
}

void session_drained(struct session *s)
{
	stub_stats.n_drained++;
	if (s->left)
		go_on_counting(s);
}
