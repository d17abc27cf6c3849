/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration side of a session: session.h tells how lines become commits. */
#include "cli/session.h"

#include "domain.h"
#include "schema/text.h"
#include "system/log.h"
#include "txn/archive.h"
#include "txn/txn.h"

#include <errno.h>
#include <string.h>

/* A pasted text is told all its faults up to this many, then refused as a whole. */
#define MAX_TOLD_ERRORS 20

static struct session *candidate_owner;

const struct session *config_candidate_owner(void)
{
	return candidate_owner;
}

/* ---- the lines typed since the last commit ---- */

static void log_clear_lines(struct edit_log *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->line[i]);
	while (l->depth)
		rec_unref(l->at[--l->depth]);
	free(l->line);
	rec_unref(l->base);
	*l = (struct edit_log){ 0 };
}

static void log_line(struct edit_log *l, const char *line)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 8;
		l->line = xrealloc(l->line, l->room * sizeof(*l->line));
	}
	l->line[l->n++] = xstrdup(line);
}

/* The first line of a commit: it starts from what runs now. */
static void log_start(struct session *s)
{
	struct edit_log *l = &s->log;

	if (l->base)
		return;
	l->base = rec_ref(txn_running());
	editor_rebase(&s->ed, l->base);
	for (; l->depth < s->ed.depth; l->depth++)
		l->at[l->depth] = rec_ref(s->ed.at[l->depth]);
}

/* Types the lines again at another model. NULL with the reason when one does not fit any more. */
static struct rec *replay(const struct edit_log *l, const struct rec *root, struct strbuf *err)
{
	struct editor e;
	struct rec *result = NULL;
	size_t i;

	editor_init(&e, root);
	for (; e.depth < l->depth; e.depth++)
		e.at[e.depth] = rec_ref(l->at[e.depth]);
	for (i = 0; i < l->n; i++) {
		struct edit_error ee;
		bool changed;
		int r = 0;

		if (!strcmp(l->line[i], "exit"))
			editor_leave(&e);
		else
			r = editor_line(&e, l->line[i], &changed, &ee);
		if (r) {
			strbuf_addf(err, "error: the configuration changed meanwhile: \"%s\": %s\n",
				    l->line[i],
				    ee.text.len ? strbuf_str(&ee.text) : "no longer fits");
			edit_error_fini(&ee);
			break;
		}
	}
	if (i == l->n)
		result = rec_ref(e.root);
	editor_fini(&e);
	return result;
}

/* ---- commit ---- */

/* Lines that the log has of a commit, and how much of the difference is printed to find them. */
#define AUDIT_LINES 20
#define AUDIT_BYTES 16384

static struct rec *build(void *arg, const struct rec *running, struct strbuf *err)
{
	struct session *s = arg;

	return running == s->log.base ? rec_ref(s->ed.root) : replay(&s->log, running, err);
}

/* "error: ..." and "warning: ..." lines as IOS prints them. */
static void tell(struct session *s, const char *text)
{
	for (const char *l = text, *e; *l; l = *e ? e + 1 : e) {
		int n;

		e = l + strcspn(l, "\n");
		n = (int)(e - l);
		if (!strncmp(l, "error: ", 7))
			session_printf(s, CONN_ERR, "%% %.*s\n", n - 7, l + 7);
		else if (!strncmp(l, "warning: ", 9))
			session_printf(s, CONN_ERR, "%% Warning: %.*s\n", n - 9, l + 9);
		else if (!strncmp(l, "note: ", 6))
			session_printf(s, CONN_OUT, "%.*s\n", n - 6, l + 6);
		else
			session_printf(s, CONN_ERR, "%% %.*s\n", n, l);
	}
}

/* Who changed what, and how it went. Secrets are masked by printing the difference, of a large one
 * only what is logged. */
static void audit(const struct session *s, const struct rec *old, const struct rec *new,
		  const char *result)
{
	struct strbuf b = STRBUF_INIT;
	size_t left = text_diff_some(old, new, TEXT_MASKED, AUDIT_BYTES, &b);
	unsigned n = 0;

	for (const char *l = strbuf_str(&b), *e; *l; l = *e ? e + 1 : e) {
		e = l + strcspn(l, "\n");
		if (*l == ' ')
			continue;
		if (++n > AUDIT_LINES) {
			left++;
			continue;
		}
		log_event("PARSER", LOG_L_NOTICE, "CFGLOG_LOGGEDCMD", "User:%s %s:%.*s",
			  conn_peer(s->conn)->user, result, (int)(e - l), l);
	}
	if (left)
		log_event("PARSER", LOG_L_NOTICE, "CFGLOG_LOGGEDCMD",
			  "User:%s %s: and %zu more changes", conn_peer(s->conn)->user, result,
			  left);
	strbuf_fini(&b);
}

static void go_on_from_running(struct session *s)
{
	log_clear_lines(&s->log);
	editor_rebase(&s->ed, txn_running());
}

/* Nothing of what was typed holds: a mode that came to be by it takes none of the lines to come. */
static void give_up_lines(struct session *s)
{
	struct rec *gone = s->ed.depth ? rec_ref(s->ed.at[s->ed.depth - 1]) : NULL;
	unsigned depth = s->ed.depth;

	go_on_from_running(s);
	if (s->ed.depth < depth) {
		struct strbuf line = STRBUF_INIT;

		text_rec(gone, &line);
		editor_refuse(&s->ed, gone->type, strbuf_str(&line));
		strbuf_fini(&line);
	}
	rec_unref(gone);
}

static void committed(void *arg, const struct txn_result *res)
{
	struct session *s = arg;
	void (*then)(struct session *) = s->then;

	s->committing = false;
	tell(s, res->text);
	if (res->error) {
		s->status = 1;
		s->n_errors++;
		audit(s, s->log.base, s->ed.root, "refused");
	} else if (res->changed) {
		s->changed = true;
		audit(s, s->log.base, txn_running(), "configured");
		if (s->mode == MODE_CANDIDATE)
			archive_add(txn_running(), conn_peer(s->conn)->user,
				    s->comment ? s->comment : "candidate");
	}
	/* A candidate that was refused stays for mending. */
	if (!res->error)
		go_on_from_running(s);
	else if (s->mode != MODE_CANDIDATE)
		give_up_lines(s);
	then(s);
}

static void submit(struct session *s, unsigned confirm_sec, void (*then)(struct session *s))
{
	struct txn_req q = {
		.build = build,
		.done = committed,
		.arg = s,
		.source = s->mode == MODE_CANDIDATE ? "candidate"
			  : s->several              ? "paste"
						    : "console",
		.confirm_sec = confirm_sec,
		/* A further `commit confirmed` keeps the first way back and moves the deadline. */
		.overrides_confirm = confirm_sec > 0,
	};

	rtr_strlcpy(q.user, conn_peer(s->conn)->user, sizeof(q.user));
	s->committing = true;
	s->then = then;
	txn_submit(&q);
}

void config_flush(struct session *s, void (*then)(struct session *s))
{
	if (s->several && s->n_errors && s->log.base) {
		session_printf(s, CONN_ERR, "%% %u error%s; nothing of it was applied\n",
			       s->n_errors, s->n_errors == 1 ? "" : "s");
		give_up_lines(s);
	}
	if (!s->log.base || s->ed.root == s->log.base) {
		log_clear_lines(&s->log);
		then(s);
		return;
	}
	submit(s, 0, then);
}

/* ---- lines ---- */

static void touch(struct session *s)
{
	struct timeval tv = { .tv_sec = CANDIDATE_IDLE_SEC };

	if (s->idle)
		event_add(s->idle, &tv);
}

void config_line(struct session *s, const char *line)
{
	struct edit_error err;
	bool changed, buffered;
	unsigned depth;
	int r;

	touch(s);
	if (!s->several && !editor_buffered(&s->ed) && s->mode == MODE_TERMINAL)
		log_clear_lines(&s->log);
	log_start(s);
	buffered = editor_buffered(&s->ed);
	depth = s->ed.depth;
	r = editor_line(&s->ed, line, &changed, &err);
	if (r) {
		for (; depth > s->ed.depth; depth--)
			log_line(&s->log, "exit");
		if (s->n_errors < MAX_TOLD_ERRORS)
			session_syntax_error(s, err.status, line, err.col, strbuf_str(&err.text));
		else
			s->n_errors++;
		s->status = 1;
	} else {
		if (err.absent)
			session_printf(s, CONN_ERR, "%% Warning: there is no such line: %s\n",
				       line);
		if (err.repeated)
			session_printf(s, CONN_ERR,
				       "%% Warning: this line is there already, and stays: %s\n",
				       strbuf_str(&err.text));
		else
			log_line(&s->log, line);
	}
	edit_error_fini(&err);
	/* Leaving a buffered mode by a line of another one is leaving it. */
	if (s->mode == MODE_TERMINAL && !s->several && (buffered || !r) && !editor_buffered(&s->ed))
		config_flush(s, session_next);
	else
		session_next(s);
}

void config_type(struct session *s, const char *lines, void (*then)(struct session *s))
{
	char *copy = xstrdup(lines), *save = NULL;

	touch(s);
	if (!s->several && !editor_buffered(&s->ed) && s->mode == MODE_TERMINAL)
		log_clear_lines(&s->log);
	log_start(s);
	/* The lines are those of the global mode, when they are typed again, too. */
	for (unsigned i = s->ed.depth; i; i--)
		log_line(&s->log, "exit");
	editor_top(&s->ed);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error err;
		bool changed;

		if (!editor_line(&s->ed, l, &changed, &err))
			log_line(&s->log, l);
		edit_error_fini(&err);
	}
	editor_top(&s->ed);
	free(copy);
	if (s->mode == MODE_TERMINAL && !s->several)
		config_flush(s, then);
	else
		then(s);
}

/* ---- entering and leaving ---- */

static void candidate_expired(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	log_event("SYS", LOG_L_WARN, "CANDIDATE",
		  "The candidate of %s was idle too long and is given up",
		  conn_peer(s->conn)->user);
	conn_close(s->conn, "the candidate was idle too long");
}

void config_enter(struct session *s, enum session_mode mode)
{
	s->mode = mode;
	s->changed = false;
	editor_init(&s->ed, txn_running());
	if (mode == MODE_CANDIDATE) {
		candidate_owner = s;
		s->idle = evtimer_new(cmd_base(), candidate_expired, s);
		touch(s);
		log_start(s);
	}
}

void config_leave(struct session *s)
{
	const struct conn_peer *p = conn_peer(s->conn);

	if (s->mode == MODE_EXEC)
		return;
	if (s->changed) {
		log_event("SYS", LOG_L_NOTICE, "CONFIG_I", "Configured from %s by %s (pid %d)",
			  p->interactive ? "console" : "rtrctl", p->user, (int)p->pid);
		if (s->mode == MODE_TERMINAL)
			archive_add(txn_running(), p->user, "terminal");
	}
	if (candidate_owner == s)
		candidate_owner = NULL;
	if (s->idle)
		event_free(s->idle);
	s->idle = NULL;
	log_clear_lines(&s->log);
	editor_fini(&s->ed);
	s->mode = MODE_EXEC;
}

void config_hangup(struct session *s)
{
	if (s->mode != MODE_EXEC && !s->committing && s->log.base && s->ed.root != s->log.base)
		log_event("SYS", LOG_L_WARN, "CONFIG_LOST",
			  "%s hung up; %zu lines that were not committed are discarded",
			  conn_peer(s->conn)->user, s->log.n);
	/* A commit under way goes on without anybody to tell: the log is told what it is. */
	if (s->committing && s->log.base)
		audit(s, s->log.base, s->ed.root, "hung up, committing");
	config_leave(s);
}

/* ---- commands of the modes ---- */

static void ctx_over(struct session *s)
{
	if (s->status)
		s->cmd->status = s->status;
	cmd_done(s->cmd);
}

static void leave_after_commit(struct session *s)
{
	config_leave(s);
	ctx_over(s);
}

static bool has_uncommitted(const struct session *s)
{
	return s->mode == MODE_CANDIDATE && s->log.base && !model_equal(s->ed.root, s->log.base);
}

static void answer_leave(struct cmd_ctx *c, const char *text)
{
	size_t n = strlen(text);

	if (n && !strncasecmp(text, "yes", n)) {
		submit(c->s, 0, leave_after_commit);
		return;
	}
	if ((n && !strncasecmp(text, "no", n)) || !conn_peer(c->s->conn)->interactive ||
	    c->s->several) {
		session_printf(c->s, CONN_ERR,
			       "%% The candidate was not committed; it is discarded\n");
		c->status = !n;
		config_leave(c->s);
	}
	cmd_done(c);
}

static void leave_config(struct cmd_ctx *c)
{
	cmd_pend(c);
	if (has_uncommitted(c->s))
		cmd_ask(c,
			"Uncommitted changes found, commit them? [yes/no/CANCEL]: ", answer_leave);
	else if (c->s->mode == MODE_CANDIDATE)
		leave_after_commit(c->s);
	else
		config_flush(c->s, leave_after_commit);
}

static void run_end(struct cmd_ctx *c)
{
	editor_top(&c->s->ed);
	leave_config(c);
}

static void run_exit(struct cmd_ctx *c)
{
	struct session *s = c->s;

	if (editor_leave_refused(&s->ed))
		return;
	if (!s->ed.depth) {
		leave_config(c);
		return;
	}
	editor_leave(&s->ed);
	if (s->log.base)
		log_line(&s->log, "exit");
	if (s->mode == MODE_TERMINAL && !s->several && !editor_buffered(&s->ed)) {
		cmd_pend(c);
		config_flush(s, ctx_over);
	}
}

static void run_abort(struct cmd_ctx *c)
{
	config_leave(c->s);
}

static bool stale(struct cmd_ctx *c)
{
	if (c->s->log.base == txn_running())
		return false;
	cmd_fail(
		c,
		"The running configuration changed since; \"rebase\" puts your lines on top of it");
	return true;
}

static void after_commit(struct session *s)
{
	bool ok = !s->status;
	unsigned left;

	if (ok)
		log_start(s);
	if (ok && s->cmd->cmd->where == CMD_CANDIDATE)
		session_printf(s, CONN_OUT, "Commit complete.\n");
	if (ok && txn_confirm_pending(&left))
		session_printf(s, CONN_OUT,
			       "Going back in %u minute%s unless confirmed: \"commit\" keeps the "
			       "change, \"commit abort\" goes back now.\n",
			       DIV_ROUND_UP(left, 60u), left > 60 ? "s" : "");
	ctx_over(s);
}

static void run_commit(struct cmd_ctx *c)
{
	struct session *s = c->s;
	uint32_t minutes = 0;
	bool confirmed = cmd_get(c, "minutes", &minutes);

	touch(s);
	if (txn_confirm_pending(NULL) && !confirmed) {
		const char *why = txn_confirm();

		if (why) {
			cmd_fail(c, "%s", why);
			return;
		}
		cmd_puts(c, "The change that waited for its confirmation stays.\n");
		if (!has_uncommitted(s))
			return;
	}
	if (stale(c))
		return;
	free(s->comment);
	s->comment = NULL;
	cmd_get(c, "comment", &s->comment);
	cmd_pend(c);
	s->status = 0;
	submit(s, confirmed ? minutes * 60 : 0, after_commit);
}

static json_t *show_commit(struct cmd_ctx *c)
{
	unsigned left;

	if (!txn_confirm_pending(&left))
		return json_pack("{s:b,s:n,s:n}", "pending", 0, "user", "seconds_left");
	return json_pack("{s:b,s:s,s:i}", "pending", 1, "user", txn_confirm_by(), "seconds_left",
			 (int)left);
}

static void print_commit(struct cmd_ctx *c, const json_t *doc)
{
	int left = (int)json_integer_value(json_object_get(doc, "seconds_left"));
	const char *user = json_string_value(json_object_get(doc, "user"));

	if (!json_is_true(json_object_get(doc, "pending"))) {
		cmd_puts(c, "No change waits for a confirmation.\n");
		return;
	}
	cmd_printf(c,
		   "A change by %s waits for its confirmation; going back in %d:%02d.\n"
		   "\"commit\" keeps the change, \"commit abort\" goes back now.\n",
		   user && *user ? user : "somebody", left / 60, left % 60);
}

static void say_good(void *arg, const char *text)
{
	struct cmd_ctx *c = arg;

	tell(c->s, text);
	cmd_puts(c, "The candidate is good.\n");
	cmd_done(c);
}

static void stop_commit_check(struct cmd_ctx *c)
{
	txn_get_preview()->stop(c);
	cmd_done(c);
}

static void run_commit_check(struct cmd_ctx *c)
{
	const struct txn_preview *p = txn_get_preview();
	struct strbuf b = STRBUF_INIT;

	if (txn_check(c->s->log.base, c->s->ed.root, 0, &b))
		c->status = 1;
	tell(c->s, strbuf_str(&b));
	if (!c->status && c->s->log.base != txn_running())
		stale(c);
	strbuf_fini(&b);
	if (c->status)
		return;
	if (p->start && p->start(c->s->log.base, c->s->ed.root, say_good, c))
		cmd_pend(c);
	else
		cmd_puts(c, "The candidate is good.\n");
}

static void run_rebase(struct cmd_ctx *c)
{
	struct session *s = c->s;
	struct strbuf err = STRBUF_INIT;
	struct rec *root = replay(&s->log, txn_running(), &err);

	if (!root) {
		cmd_fail(c, "%s", strbuf_str(&err) + 7);
	} else {
		rec_unref(s->log.base);
		s->log.base = rec_ref(txn_running());
		editor_rebase(&s->ed, root);
		rec_unref(root);
	}
	strbuf_fini(&err);
}

static void run_discard(struct cmd_ctx *c)
{
	log_clear_lines(&c->s->log);
	editor_top(&c->s->ed);
	log_start(c->s);
}

static void run_candidate_diff(struct cmd_ctx *c)
{
	struct strbuf b = STRBUF_INIT;

	text_diff(c->s->log.base, c->s->ed.root, cmd_admin(c) ? 0 : TEXT_MASKED, &b);
	cmd_lines(c, strbuf_str(&b));
	strbuf_fini(&b);
}

static void run_candidate_show(struct cmd_ctx *c)
{
	cmd_config(c, c->s->ed.root, 0);
}

static void run_candidate_rollback(struct cmd_ctx *c)
{
	struct strbuf errs = STRBUF_INIT, delta = STRBUF_INIT;
	struct session *s = c->s;
	struct rec *root;
	uint32_t n = 0;
	char *copy, *save = NULL;

	cmd_get(c, "n", &n);
	if (archive_load(n, &root, &errs)) {
		cmd_fail(c, "%s", strbuf_str(&errs));
		strbuf_fini(&errs);
		return;
	}
	/* As lines, so that a later rebase knows what was meant. */
	text_delta(s->ed.root, root, &delta);
	editor_top(&s->ed);
	log_line(&s->log, "exit");
	for (unsigned i = 1; i < MODEL_MAX_DEPTH; i++)
		log_line(&s->log, "exit");
	copy = strbuf_steal(&delta);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		log_line(&s->log, l);
	free(copy);
	editor_rebase(&s->ed, root);
	rec_unref(root);
	strbuf_fini(&errs);
}

/* ---- entering, from EXEC ---- */

static void run_configure(struct cmd_ctx *c)
{
	if (c->s->mode != MODE_EXEC) {
		cmd_fail(c, "Already in a configuration mode");
		return;
	}
	if (cmd_choice(c, "kind") == 1 && candidate_owner) {
		cmd_fail(c, "%s (pid %d) holds the candidate",
			 conn_peer(candidate_owner->conn)->user,
			 (int)conn_peer(candidate_owner->conn)->pid);
		return;
	}
	config_enter(c->s, cmd_choice(c, "kind") == 1 ? MODE_CANDIDATE : MODE_TERMINAL);
	if (conn_peer(c->s->conn)->interactive && !c->s->several && c->s->mode == MODE_TERMINAL)
		cmd_puts(c, "Enter configuration commands, one per line.  End with CNTL/Z.\n");
}

static const struct cmd cmds[] = {
	{ "configure[ {kind:terminal|candidate}]", "Enter configuration mode", .run = run_configure,
	  .admin = true },
	{ "end", "Leave configuration mode", .run = run_end, .where = CMD_CONFIG },
	{ "exit", "Leave this mode", .run = run_exit, .where = CMD_CONFIG },
	{ "abort", "Leave without committing", .run = run_abort, .where = CMD_CANDIDATE },
	{ "commit[ confirmed <minutes:U32(1,1440)>][ comment <comment:LINE>]",
	  "Make the candidate the running configuration", .run = run_commit,
	  .where = CMD_CANDIDATE },
	{ "show commit", "The change that waits for its confirmation, and the time left",
	  .data = show_commit, .text = print_commit },
	{ "commit check", "Only check the candidate", .run = run_commit_check,
	  .interrupt = stop_commit_check, .where = CMD_CANDIDATE },
	{ "rebase", "Put the candidate's lines on top of what runs now", .run = run_rebase,
	  .where = CMD_CANDIDATE },
	{ "discard", "Start again from what runs now", .run = run_discard, .where = CMD_CANDIDATE },
	{ "rollback <n:U32(1,999)>", "Load an archived configuration into the candidate",
	  .run = run_candidate_rollback, .where = CMD_CANDIDATE },
	{ "show candidate diff", "What the candidate changes", .run = run_candidate_diff,
	  .where = CMD_CANDIDATE },
	{ "show candidate", "The candidate as a whole", .run = run_candidate_show,
	  .where = CMD_CANDIDATE },
};

static const struct sch_word words[] = {
	{ "configure", "Enter configuration mode" },
	{ "configure terminal", "Line by line, at once" },
	{ "candidate", "A candidate that is committed as a whole" },
	{ "commit", "Confirm, abort or save" },
	{ "show commit", "The change that waits, and how many were made" },
	{ "confirmed", "Go back unless confirmed in time" },
	{ "comment", "A remark for the archive" },
	{ "check", "Check only" },
	{ "abort", "Give up" },
	{ "rebase", "Put the candidate on top of what runs now" },
	{ "discard", "Start again from what runs now" },
	{ "rollback", "Go back to an archived configuration" },
	{ "diff", "What changes" },
	{ "show", "Show running system information" },
};

static const struct domain config_domain = {
	.name = "config",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(config_domain);
