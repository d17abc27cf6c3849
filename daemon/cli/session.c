/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/session.h"

#include "schema/schema.h"
#include "system/global.h"
#include "system/log.h"
#include "txn/txn.h"

#include <string.h>
#include <time.h>

static struct session *sessions;
static struct event_base *loop;

struct event_base *cmd_base(void)
{
	return loop;
}

const struct session *session_first(void)
{
	return sessions;
}

struct session *session_new(struct conn *c)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->conn = c;
	s->enabled = conn_peer(c)->level == CONN_ADMIN;
	s->width = conn_peer(c)->cols;
	s->since = time(NULL);
	s->next_session = sessions;
	sessions = s;
	return s;
}

static void monitor_line(void *arg, const char *line)
{
	struct session *s = arg;

	conn_log(s->conn, line);
}

static void cmd_free(struct cmd_ctx *c)
{
	syn_words_fini(&c->words);
	syn_result_fini(&c->match);
	pipe_fini(&c->pipe);
	free(c->text);
	free(c);
}

void session_free(struct session *s)
{
	struct session **p = &sessions;

	while (*p != s)
		p = &(*p)->next_session;
	*p = s->next_session;
	s->several = false;
	free(s->text);
	s->text = s->next = NULL;
	if (s->cmd)
		s->cmd->put = true;
	if (s->cmd && s->cmd->cmd->interrupt)
		s->cmd->cmd->interrupt(s->cmd);
	if (s->cmd)
		cmd_free(s->cmd);
	txn_forget(s);
	config_hangup(s);
	if (s->turn)
		event_free(s->turn);
	free(s->comment);
	if (s->monitor)
		log_sink_remove(monitor_line, s);
	for (size_t i = 0; i < s->n_history; i++)
		free(s->history[i]);
	free(s);
}

void session_monitor(struct session *s, bool on)
{
	if (on && !s->monitor)
		log_sink_add(monitor_line, s);
	else if (!on && s->monitor)
		log_sink_remove(monitor_line, s);
	s->monitor = on;
}

void session_tell_all(const char *line)
{
	for (struct session *s = sessions; s; s = s->next_session)
		conn_log(s->conn, line);
}

/* ---- prompt and messages ---- */

static const char *hostname(void)
{
	const struct global *g = (const void *)txn_running();

	return g && g->hostname ? g->hostname : "rtr";
}

const char *session_prompt(struct session *s)
{
	const struct sch_type *mode = s->mode == MODE_EXEC ? NULL : editor_mode(&s->ed);
	const char *name = mode && mode->row ? mode->row->prompt : "config";

	if (!mode)
		snprintf(s->prompt, sizeof(s->prompt), "%s%c", hostname(), s->enabled ? '#' : '>');
	else
		snprintf(s->prompt, sizeof(s->prompt), "%s(%s%s)#", hostname(), name,
			 s->mode == MODE_CANDIDATE ? "*" : "");
	return s->prompt;
}

/* A hostname of somebody else's, or of a change that was taken back. */
static void published(const struct rec *old, const struct rec *new, const char *user,
		      const char *source)
{
	for (struct session *s = sessions; s; s = s->next_session) {
		char before[sizeof(s->prompt)];

		if (!conn_peer(s->conn)->interactive || s->text)
			continue;
		rtr_strlcpy(before, s->prompt, sizeof(before));
		if (strcmp(before, session_prompt(s)))
			conn_prompt(s->conn, s->prompt);
	}
}

void session_init(struct event_base *base)
{
	loop = base;
	txn_on_publish(published);
}

void session_printf(struct session *s, enum conn_stream st, const char *fmt, ...)
{
	struct strbuf b = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&b, fmt, ap);
	va_end(ap);
	conn_output(s->conn, st, strbuf_str(&b), b.len);
	strbuf_fini(&b);
}

void session_syntax_error(struct session *s, enum syn_status status, const char *line, unsigned col,
			  const char *why)
{
	static const char *const texts[] = {
		[SYN_OK] = "",
		[SYN_INCOMPLETE] = "% Incomplete command.",
		[SYN_INVALID] = "% Invalid input detected at '^' marker.",
	};
	bool echoed = conn_peer(s->conn)->interactive && !s->several;

	s->status = 1;
	s->n_errors++;
	if (s->several)
		session_printf(s, CONN_ERR, "line %u: %s\n", s->line_no, line);
	if (status == SYN_INVALID) {
		if (!echoed && !s->several)
			session_printf(s, CONN_ERR, "%s\n", line);
		/* The prompt as it was shown: what it is made of may have changed since. */
		col += (unsigned)(echoed       ? strlen(s->prompt)
				  : s->several ? (size_t)snprintf(NULL, 0, "line %u: ", s->line_no)
					       : 0);
		session_printf(s, CONN_ERR, "%*s^\n", (int)col, "");
	}
	if (status == SYN_AMBIGUOUS)
		session_printf(s, CONN_ERR, "%% Ambiguous command:  \"%s\"\n", line);
	else if (status != SYN_OK)
		session_printf(s, CONN_ERR, "%s\n", texts[status]);
	if (*why)
		session_printf(s, CONN_ERR, "%% %s\n", why);
}

/* ---- running a command ---- */

static void to_conn(void *arg, const char *text, size_t size)
{
	struct session *s = arg;

	conn_output(s->conn, CONN_OUT, text, size);
}

static void run_data(struct cmd_ctx *c)
{
	json_t *doc = c->cmd->data(c);
	char *text;

	if (!doc)
		return;
	if (cmd_json(c)) {
		text = json_dumps(doc, JSON_INDENT(2) | JSON_ENCODE_ANY);
		cmd_printf(c, "%s\n", text);
		free(text);
	} else if (c->cmd->text) {
		c->cmd->text(c, doc);
	}
	json_decref(doc);
}

void cmd_done(struct cmd_ctx *c)
{
	struct session *s = c->s;

	if (s->cmd != c)
		return; /* the session is being freed */
	/* A table without rows and heading: that it is empty, not that nothing happened. */
	if (!c->put && !c->failed && !c->status && !c->pipe.n && !strncmp(c->cmd->line, "show ", 5))
		cmd_puts(c, "No entries.\n");
	pipe_end(&c->pipe);
	if (c->status)
		s->status = c->status;
	s->n_errors += c->failed;
	s->cmd = NULL;
	cmd_free(c);
	session_next(s);
}

/* The error of a command that could not even be read, as JSON when that was asked for. */
static void refuse_line(struct session *s, struct outpipe *p, enum syn_status status,
			const char *line, unsigned col, const char *why)
{
	static const char *const texts[] = { "", "Incomplete command", "Ambiguous command",
					     "Invalid input" };
	json_t *e;
	char *text;

	if (!p->json) {
		session_syntax_error(s, status, line, col, why);
		return;
	}
	s->status = 1;
	s->n_errors++;
	e = json_pack("{s:s,s:s,s:i}", "error", *why ? why : texts[status], "command", line,
		      "column", (int)col);
	text = json_dumps(e, JSON_INDENT(2));
	session_printf(s, CONN_OUT, "%s\n", text);
	free(text);
	json_decref(e);
}

static void exec_line(struct session *s, enum cmd_where where, const char *line)
{
	struct cmd_ctx *c = xcalloc(1, sizeof(*c));
	char *copy = xstrdup(line), *err;
	const struct syn_set *set = commands_set(where, s->enabled);
	unsigned col = 0;

	c->s = s;
	c->text = copy;
	err = pipe_parse(&c->pipe, copy, &col);
	c->pipe.json |= s->json;
	c->pipe.sink = to_conn;
	c->pipe.arg = s;
	if (err) {
		refuse_line(s, &c->pipe, SYN_INVALID, line, col, err);
	} else {
		syn_words_init(&c->words, copy);
		syn_match(set, &c->words, 0, c->words.n, &c->match);
		if (c->match.status != SYN_OK)
			refuse_line(s, &c->pipe, c->match.status, line,
				    c->words.n ? c->words.col[MIN(c->match.bad, c->words.n - 1)]
					       : 0,
				    strbuf_str(&c->match.why));
	}
	if (err || c->match.status != SYN_OK) {
		free(err);
		cmd_free(c);
		session_next(s);
		return;
	}
	c->cmd = command_of(c->match.thread[0].prog);
	s->cmd = c;
	if (c->pipe.path)
		conn_redirect(s->conn, c->pipe.mode, c->pipe.path);
	if (c->cmd->data)
		run_data(c);
	else
		c->cmd->run(c);
	if (s->cmd == c && !c->pending)
		cmd_done(c);
}

/* ---- lines ---- */

static void remember(struct session *s, const char *line)
{
	if (s->several || (s->n_history && !strcmp(s->history[s->n_history - 1], line)))
		return;
	if (s->n_history == HISTORY_LEN) {
		free(s->history[0]);
		memmove(s->history, s->history + 1, (HISTORY_LEN - 1) * sizeof(*s->history));
		s->n_history--;
	}
	s->history[s->n_history++] = xstrdup(line);
}

/* Words before a lone `|`. */
static size_t words_before_bar(const struct syn_words *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (!strcmp(w->tok[i], "|"))
			return i;
	}
	return w->n;
}

/* True when the line's first word may be one of a mode's commands. Most lines of a long text are
 * told apart here, before anything is matched. */
static bool may_be_command(const struct session *s, const char *line)
{
	size_t len = strcspn(line, " \t");

	for (int where = CMD_CONFIG;
	     where <= (s->mode == MODE_CANDIDATE ? CMD_CANDIDATE : CMD_CONFIG); where++) {
		const struct syn_set *set = commands_set((enum cmd_where)where, true);

		for (size_t i = 0; i < set->n; i++) {
			if (!strncasecmp(set->prog[i]->tree->kid[0]->word, line, len))
				return true;
		}
	}
	return false;
}

/* In a configuration mode: a command of the mode (exit, end, commit), or a line. Both are matched
 * side by side, so that an abbreviation of one does not swallow the other. */
static const struct cmd *config_command(struct session *s, const char *line,
					enum cmd_where *ret_where, bool *ret_ambiguous)
{
	const struct syn_set *parts[] = { commands_set(CMD_CONFIG, true),
					  s->mode == MODE_CANDIDATE
						  ? commands_set(CMD_CANDIDATE, true)
						  : NULL,
					  schema_set(editor_mode(&s->ed)) };
	struct syn_set all = { 0 };
	struct syn_words w;
	struct syn_result r;
	const struct cmd *cmd = NULL;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		for (size_t k = 0; parts[i] && k < parts[i]->n; k++)
			syn_set_add(&all, parts[i]->prog[k]);
	}
	syn_words_init(&w, line);
	syn_match(&all, &w, 0, words_before_bar(&w), &r);
	*ret_ambiguous = r.status == SYN_AMBIGUOUS;
	if (r.n_threads)
		cmd = command_of(r.thread[0].prog);
	if (cmd)
		*ret_where = cmd->where;
	syn_result_fini(&r);
	syn_words_fini(&w);
	syn_set_fini(&all);
	return cmd;
}

static void run_line(struct session *s, char *line)
{
	enum cmd_where where = CMD_EXEC;
	bool ambiguous = false;
	size_t len;

	line += strspn(line, " \t");
	for (len = strlen(line); len && strchr(" \t\r", line[len - 1]);)
		line[--len] = '\0';
	if (!*line || *line == '!' || *line == '#') {
		session_next(s);
		return;
	}
	remember(s, line);
	if (s->mode == MODE_EXEC) {
		exec_line(s, CMD_EXEC, line);
	} else if (!strncasecmp(line, "do ", 3)) {
		exec_line(s, CMD_EXEC, line + 3);
	} else if (!strncasecmp(line, "show ", 5) && strncasecmp(line, "show candidate", 9)) {
		exec_line(s, CMD_EXEC, line);
	} else if (may_be_command(s, line) && config_command(s, line, &where, &ambiguous)) {
		exec_line(s, where, line);
	} else if (ambiguous) {
		session_syntax_error(s, SYN_AMBIGUOUS, line, 0, "");
		session_next(s);
	} else {
		config_line(s, line);
	}
}

static void finish_text(struct session *s)
{
	int status = s->status;

	free(s->text);
	s->text = s->next = NULL;
	s->several = false;
	conn_done(s->conn, status, session_prompt(s));
}

static void step(struct session *s)
{
	char *line = s->next, *nl;

	/* A faulty line in a text of several ends it: what follows was meant to come after. */
	if (!line || !*line || (s->several && s->n_errors && s->mode == MODE_EXEC)) {
		s->next = NULL;
		if (s->mode == MODE_TERMINAL && s->several)
			config_flush(s, finish_text);
		else
			finish_text(s);
		return;
	}
	nl = strchr(line, '\n');
	s->next = nl ? nl + 1 : line + strlen(line);
	if (nl)
		*nl = '\0';
	s->line_no++;
	run_line(s, line);
}

static void unpark(struct session *s)
{
	if (!s->parked)
		return;
	s->parked = false;
	s->turn_ns = rtr_now_ns();
	session_next(s);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	unpark(arg);
}

/* True when the lines that are left have to wait: for others, or for the client to read. */
static bool park(struct session *s)
{
	static const struct timeval now;
	bool congested;

	if (!s->several || !s->next || !*s->next)
		return false;
	congested = conn_congested(s->conn);
	if (!congested && rtr_now_ns() - s->turn_ns < TURN_NS)
		return false;
	s->parked = true;
	if (!congested) {
		if (!s->turn)
			s->turn = evtimer_new(loop, on_turn, s);
		event_add(s->turn, &now);
	}
	return true;
}

void session_next(struct session *s)
{
	if (s->stepping) {
		s->again = true;
		return;
	}
	s->stepping = true;
	do {
		s->again = false;
		if (s->text && !park(s))
			step(s);
	} while (s->again);
	s->stepping = false;
}

void session_exec(struct session *s, const char *text, size_t size, bool json)
{
	char *nl;

	s->text = s->next = xstrndup(text, size);
	nl = strchr(s->text, '\n');
	s->several = nl && nl[1 + strspn(nl + 1, " \t\r\n")];
	s->json = json;
	s->status = 0;
	s->line_no = s->n_errors = 0;
	s->turn_ns = rtr_now_ns();
	session_next(s);
}

void session_interrupt(struct session *s)
{
	struct cmd_ctx *c = s->cmd;
	bool asked = c && c->answer;

	/* What is left of a text is not run, and what came of it is not half applied. */
	if (s->next && *s->next) {
		s->next += strlen(s->next);
		s->n_errors++;
		s->status = 1;
	}
	if (asked)
		c->answer = NULL;
	if (c)
		c->put = true;
	if (c && c->cmd->interrupt)
		c->cmd->interrupt(c);
	else if (asked)
		cmd_done(c);
	unpark(s);
}

void session_answer(struct session *s, const char *text)
{
	struct cmd_ctx *c = s->cmd;
	void (*answer)(struct cmd_ctx *, const char *) = c ? c->answer : NULL;

	if (answer) {
		c->answer = NULL;
		answer(c, text);
	}
}

void session_resize(struct session *s, unsigned cols, unsigned rows)
{
	s->width = cols;
}

void session_drained(struct session *s)
{
	if (s->cmd && s->cmd->cmd->drained)
		s->cmd->cmd->drained(s->cmd);
	else
		unpark(s);
}
