/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "txn/startup.h"

#include "cli/command.h"
#include "domain.h"
#include "kernel/apply.h"
#include "schema/conffile.h"
#include "schema/edit.h"
#include "schema/text.h"
#include "system/log.h"
#include "txn/archive.h"
#include "txn/disk.h"
#include "txn/txn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
	struct event_base *base;
	char *path;
	struct event *reload; /* reload in|at */
	time_t reload_at;
	char *reload_reason;
	/* show reload last */
	time_t last_at;
	char *last_source, *last_text;
	int last_error;
} st;

/* One file on its way to the disk. */
struct saving {
	struct saving *next;
	struct cmd_ctx *ctx; /* NULL: nobody waits any more */
	char *user;
	struct rec *root;                           /* NULL: erased */
	void (*then)(struct cmd_ctx *c, bool good); /* ends the command */
};

static struct saving *savings;

const char *startup_path(void)
{
	return st.path;
}

/* ---- replacing the whole configuration ---- */

/* One replacement on its way: a SIGHUP, configure replace, rollback, boot. */
struct replacement {
	struct rec *root;
	bool merge; /* copy startup-config running-config: on top of what runs */
	const char *source;
	char *user;          /* NULL: rtrd itself */
	struct cmd_ctx *ctx; /* NULL: nobody waits, or not any more */
	void (*done)(void *arg);
	void *arg;
};

static struct rec *merge_onto(const struct rec *running, const struct rec *add, struct strbuf *err)
{
	struct rec *empty = model_new(), *result = NULL;
	struct strbuf lines = STRBUF_INIT;
	struct editor e;
	char *copy, *save = NULL;

	text_delta(empty, add, &lines);
	copy = strbuf_steal(&lines);
	editor_init(&e, running);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error ee;
		bool changed;
		int r = editor_line(&e, l, &changed, &ee);

		if (r)
			strbuf_addf(err, "error: %s: %s\n", l, strbuf_str(&ee.text));
		edit_error_fini(&ee);
	}
	if (!err->len)
		result = rec_ref(e.root);
	editor_fini(&e);
	free(copy);
	rec_unref(empty);
	return result;
}

static struct rec *build(void *arg, const struct rec *running, struct strbuf *err)
{
	struct replacement *p = arg;

	return p->merge ? merge_onto(running, p->root, err) : rec_ref(p->root);
}

static void remember_reload(const struct replacement *p, const struct txn_result *res)
{
	free(st.last_text);
	free(st.last_source);
	st.last_at = time(NULL);
	st.last_source = xstrdup(p->source);
	st.last_text = xstrdup(res->text);
	st.last_error = res->error;
}

/* Texts of a commit as IOS prints them: "% Warning: ...", and errors without the word. */
static void tell(struct cmd_ctx *c, const char *text)
{
	for (const char *l = text, *e; *l; l = *e ? e + 1 : e) {
		const char *said = l, *mark = "";

		e = l + strcspn(l, "\n");
		if (!strncmp(l, "error: ", 7)) {
			said += 7;
		} else if (!strncmp(l, "warning: ", 9)) {
			said += 9;
			mark = "Warning: ";
		}
		cmd_printf(c, "%% %s%.*s\n", mark, (int)(e - said), said);
	}
}

static void replaced(void *arg, const struct txn_result *res)
{
	struct replacement *p = arg;

	remember_reload(p, res);
	if (res->error)
		log_event("SYS", LOG_L_ERR, "CONFIG_FAILED", "%s: refused: %s", p->source,
			  res->text);
	else
		log_event("SYS", LOG_L_NOTICE, "CONFIG_I", "Configured from %s%s%s%s", p->source,
			  p->user ? " by " : "", p->user ? p->user : "",
			  res->changed ? "" : ": nothing differs");
	if (p->ctx) {
		tell(p->ctx, res->text);
		if (res->error)
			cmd_fail(p->ctx, "The running configuration is as before");
		else if (!cmd_json(p->ctx))
			cmd_puts(p->ctx,
				 res->changed ? "[OK]\n" : "Nothing differs from what runs.\n");
	}
	/* That of the boot too: the first change has something to go back to. */
	if (!res->error && res->changed)
		archive_add(txn_running(), p->user ? p->user : "rtrd", p->source);
	if (p->ctx)
		cmd_done(p->ctx);
	if (p->done)
		p->done(p->arg);
	rec_unref(p->root);
	free(p->user);
	free(p);
}

/* Consumes root. */
static void replace_with(struct rec *root, const char *source, struct cmd_ctx *c, bool merge,
			 void (*done)(void *), void *arg)
{
	struct replacement *p = xcalloc(1, sizeof(*p));
	struct txn_req q = {
		.build = build,
		.done = replaced,
		.arg = p,
		.source = source,
		/* At boot a confirmed commit of before has nothing to protect yet. */
		.overrides_confirm = !strcmp(source, "boot"),
	};

	*p = (struct replacement){
		.root = root, .merge = merge, .source = source, .ctx = c, .done = done, .arg = arg
	};
	if (c) {
		p->user = xstrdup(cmd_user(c));
		cmd_set_data(c, p);
	}
	rtr_strlcpy(q.user, c ? p->user : "rtrd", sizeof(q.user));
	txn_submit(&q);
}

/* ^C or a hang-up: the operator goes, the replacement goes on. */
static bool let_go_of_save(struct cmd_ctx *c);

static void let_go(struct cmd_ctx *c)
{
	struct replacement *p = let_go_of_save(c) ? NULL : cmd_data(c);

	if (p) {
		p->ctx = NULL;
		cmd_puts(c, "The replacement goes on.\n");
	}
	cmd_done(c);
}

void startup_reload(const char *source, void (*done)(void *arg), void *arg)
{
	struct strbuf errs = STRBUF_INIT;
	struct rec *root;
	int r = conffile_read(st.path, &root, &errs);

	if (r) {
		struct replacement p = { .source = source };
		struct txn_result res = { .error = r, .text = strbuf_str(&errs) };

		remember_reload(&p, &res);
		for (char *l = errs.s, *e; l && *l; l = e + (*e != '\0')) {
			e = l + strcspn(l, "\n");
			log_event("SYS", LOG_L_ERR, "CONFIG_FAILED",
				  "%s: nothing was changed: %.*s", source, (int)(e - l), l);
		}
		if (done)
			done(arg);
	} else {
		replace_with(root, source, NULL, false, done, arg);
	}
	strbuf_fini(&errs);
}

/* ---- boot ---- */

static bool passes_check(const struct rec *root, struct strbuf *why)
{
	struct rec *empty = model_new();
	bool ok = !txn_check(empty, root, TXN_CHECK_CONFIRMED | TXN_CHECK_SAVED, why);

	rec_unref(empty);
	return ok;
}

/* The first start. The file is there from then on, readable by its owner alone: passwords of what
 * people add by hand must not depend on their umask. */
static void make_first(void)
{
	struct rec *empty = model_new();
	char *text = conffile_text(empty, "made by the first start");
	int r = rtr_file_replace(st.path, text, strlen(text), 0600, NULL);

	if (r)
		log_event("SYS", LOG_L_NOTICE, "STARTUP",
			  "There is no %s yet: starting empty; it cannot be made: %s", st.path,
			  strerror(-r));
	else
		log_event("SYS", LOG_L_NOTICE, "STARTUP",
			  "There was no %s yet: made, starting empty", st.path);
	free(text);
	rec_unref(empty);
}

static void boot(void)
{
	struct strbuf why = STRBUF_INIT;
	struct rec *root = NULL;
	char *name = NULL;
	int r = conffile_read(st.path, &root, &why);

	if (!r && !passes_check(root, &why)) {
		root = rec_unref(root);
		r = -EINVAL;
	}
	if (r == -ENOENT) {
		make_first();
	} else if (r) {
		log_event("SYS", LOG_L_ERR, "STARTUP", "The startup configuration is refused: %s",
			  strbuf_str(&why));
		if (!archive_load_good(passes_check, &root, &name))
			log_event("SYS", LOG_L_ERR, "STARTUP",
				  "Starting with the last good revision instead: %s", name);
	}
	if (root)
		replace_with(root, "boot", NULL, false, NULL, NULL);
	else
		txn_follow(); /* an empty configuration has its defaults too */
	free(name);
	strbuf_fini(&why);
}

void startup_init(struct event_base *base, const char *path, bool resumed)
{
	st.base = base;
	st.path = xstrdup(path);
	/* Without an eventfd there is no memory for anything else either. */
	if (disk_init(base))
		abort();
	rtr_file_sweep(path);
	if (!resumed)
		boot();
}

void startup_fini(void)
{
	/* Sessions are gone: what comes of a file is logged. */
	for (struct saving *s = savings; s; s = s->next)
		s->ctx = NULL;
	disk_fini();
	if (st.reload)
		event_free(st.reload);
	free(st.path);
	free(st.reload_reason);
	free(st.last_source);
	free(st.last_text);
	memset(&st, 0, sizeof(st));
}

int startup_check(const char *path, struct strbuf *out)
{
	struct rec *root, *empty;
	int r = conffile_read(path, &root, out);

	if (r)
		return r;
	empty = model_new();
	if (txn_check(empty, root, TXN_CHECK_OFFLINE, out))
		r = -EINVAL;
	rec_unref(empty);
	rec_unref(root);
	return r;
}

/* ---- commands: save ---- */

static bool let_go_of_save(struct cmd_ctx *c)
{
	struct saving *s = savings;

	while (s && s->ctx != c)
		s = s->next;
	if (s)
		s->ctx = NULL;
	return s;
}

static void saved(void *arg, int error, bool in_place)
{
	const char *what = in_place ? "the new startup configuration is there, but a power failure "
				      "may bring back the old one"
				    : "the startup configuration is as before";
	struct saving **pp = &savings, *s = arg;

	while (*pp != s)
		pp = &(*pp)->next;
	*pp = s->next;
	if (s->ctx && error)
		cmd_fail(s->ctx, "%s: %s; %s", st.path, strerror(-error), what);
	else if (s->ctx)
		cmd_puts(s->ctx, "[OK]\n");
	else if (error)
		log_event("SYS", LOG_L_ERR, "CONFIG_FAILED", "%s: %s; %s", st.path,
			  strerror(-error), what);
	if (in_place && s->root) {
		log_event("SYS", LOG_L_NOTICE, "CONFIG_SAVED",
			  "Startup configuration written by %s", s->user);
		archive_add(s->root, s->user, "saved");
	}
	if (s->ctx)
		s->then(s->ctx, !error);
	rec_unref(s->root);
	free(s->user);
	free(s);
}

static void start_saving(struct cmd_ctx *c, char *text, const struct rec *root,
			 void (*then)(struct cmd_ctx *c, bool good))
{
	struct saving *s = xcalloc(1, sizeof(*s));

	*s = (struct saving){ .next = savings,
			      .ctx = c,
			      .user = xstrdup(cmd_user(c)),
			      .root = root ? rec_ref((struct rec *)(uintptr_t)root) : NULL,
			      .then = then };
	savings = s;
	disk_replace(st.path, text, saved, s);
}

/* Of a command that waits (cmd_pend). then is not called when it is refused: false. */
static bool save(struct cmd_ctx *c, void (*then)(struct cmd_ctx *c, bool good))
{
	time_t now = time(NULL);
	struct tm tm;
	char stamp[32], *comment, *text, *old;

	if (txn_confirm_pending(NULL)) {
		cmd_fail(c, "A change waits for its confirmation: commit or commit abort first");
		return false;
	}
	cmd_puts(c, "Building configuration...\n");
	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	comment = xasprintf("written %s by %s", stamp, cmd_user(c));
	text = conffile_text(txn_running(), comment);
	if (!rtr_file_read(st.path, CONFFILE_MAX, &old, NULL)) {
		if (conffile_hand_edited(old)) {
			archive_add_text(old, cmd_user(c), "hand_edited");
			cmd_puts(
				c,
				"% Warning: the startup configuration has edits that rtr did not write; it is kept, comments and "
				"all, in the archive\n");
		}
		free(old);
	}
	free(comment);
	start_saving(c, text, txn_running(), then);
	return true;
}

static void end_of_save(struct cmd_ctx *c, bool good)
{
	cmd_done(c);
}

static void write_memory(struct cmd_ctx *c)
{
	cmd_pend(c);
	if (!save(c, end_of_save))
		cmd_done(c);
}

static void write_erase(struct cmd_ctx *c)
{
	struct rec *empty = model_new();
	char *text = conffile_text(empty, "erased"), *old;

	if (!rtr_file_read(st.path, CONFFILE_MAX, &old, NULL)) {
		archive_add_text(old, cmd_user(c), "erased");
		free(old);
	}
	cmd_pend(c);
	start_saving(c, text, NULL, end_of_save);
	rec_unref(empty);
}

/* ---- commands: replace ---- */

static void load_and_replace(struct cmd_ctx *c, const char *path, const char *source, bool merge)
{
	struct strbuf errs = STRBUF_INIT;
	struct rec *root;

	cmd_pend(c);
	if (conffile_read(path, &root, &errs)) {
		if (errs.len)
			errs.s[--errs.len] = '\0';
		cmd_fail(c, "%s", strbuf_str(&errs));
		cmd_done(c);
	} else {
		replace_with(root, source, c, merge, NULL, NULL);
	}
	strbuf_fini(&errs);
}

static void configure_replace(struct cmd_ctx *c)
{
	char *path = NULL;

	if (cmd_choice(c, "what") == 0) {
		load_and_replace(c, st.path, "configure replace", false);
	} else if (cmd_get(c, "path", &path)) {
		load_and_replace(c, path, "configure replace", false);
		free(path);
	}
}

static void copy_startup(struct cmd_ctx *c)
{
	load_and_replace(c, st.path, "copy startup-config", true);
}

static void rollback(struct cmd_ctx *c)
{
	struct strbuf errs = STRBUF_INIT;
	struct rec *root;
	uint32_t n = 0;

	cmd_get(c, "n", &n);
	if (archive_load(n, &root, &errs)) {
		cmd_fail(c, "%s", strbuf_str(&errs));
	} else {
		cmd_pend(c);
		replace_with(root, "rollback", c, false, NULL, NULL);
	}
	strbuf_fini(&errs);
}

static void confirm(struct cmd_ctx *c)
{
	const char *why = txn_confirm();

	if (why)
		cmd_fail(c, "%s", why);
	else
		cmd_puts(c, "The change stays.\n");
}

static void confirm_abort(struct cmd_ctx *c)
{
	const char *why = txn_confirm_abort(cmd_user(c));

	if (why)
		cmd_fail(c, "%s", why);
	else
		cmd_puts(c, "Going back.\n");
}

/* ---- commands: reload ---- */

static bool differs_from_startup(void)
{
	struct strbuf errs = STRBUF_INIT;
	struct rec *root;
	bool differs = true;

	if (!conffile_read(st.path, &root, &errs)) {
		differs = !model_equal(root, txn_running());
		rec_unref(root);
	}
	strbuf_fini(&errs);
	return differs;
}

static void reload_now(evutil_socket_t fd, short what, void *arg)
{
	st.reload_at = 0;
	log_event("SYS", LOG_L_NOTICE, "RELOAD", "Going back to the startup configuration%s%s",
		  st.reload_reason ? ": " : "", st.reload_reason ? st.reload_reason : "");
	startup_reload("reload", NULL, NULL);
}

static void reload_schedule(struct cmd_ctx *c)
{
	struct timeval tv = { .tv_sec = MAX(st.reload_at - time(NULL), 0) };
	char when[64];
	struct tm tm;

	if (!st.reload)
		st.reload = evtimer_new(st.base, reload_now, NULL);
	event_add(st.reload, &tv);
	localtime_r(&st.reload_at, &tm);
	strftime(when, sizeof(when), "%H:%M:%S %b %e %Y", &tm);
	cmd_printf(c,
		   "Reload to the startup configuration scheduled for %s (in %ld seconds) by %s\n",
		   when, (long)tv.tv_sec, cmd_user(c));
	log_event("SYS", LOG_L_NOTICE, "SCHEDULED_RELOAD", "Reload requested for %s by %s%s%s",
		  when, cmd_user(c), st.reload_reason ? ", reason: " : "",
		  st.reload_reason ? st.reload_reason : "");
	cmd_done(c);
}

/* [hh:]mm from now, or the next hh:mm of the clock. */
static bool parse_time(const char *text, bool at, time_t *ret)
{
	unsigned a, b;
	int n = 0;
	struct tm tm;
	time_t now = time(NULL);

	if (sscanf(text, "%3u:%2u%n", &a, &b, &n) != 2 || text[n]) {
		a = 0;
		if (at || sscanf(text, "%5u%n", &b, &n) != 1 || text[n])
			return false;
	} else if (b > 59) {
		return false;
	}
	if (!at) {
		*ret = now + (time_t)a * 3600 + (time_t)b * 60;
		return a || b;
	}
	if (a > 23)
		return false;
	localtime_r(&now, &tm);
	tm.tm_hour = (int)a;
	tm.tm_min = (int)b;
	tm.tm_sec = 0;
	*ret = mktime(&tm);
	if (*ret <= now)
		*ret += 86400;
	return true;
}

/* When the reload is asked for; 0 is now. False when that is no time. */
static bool reload_time(struct cmd_ctx *c, time_t *ret)
{
	char *when = NULL;
	bool ok = true;

	*ret = 0;
	if (cmd_get(c, "when", &when)) {
		ok = parse_time(when, cmd_choice(c, "how") == 1, ret);
		if (!ok)
			cmd_fail(c, "\"%s\" is not a time ([hh:]mm)", when);
	}
	free(when);
	return ok;
}

static void reload_go_on(struct cmd_ctx *c, bool saved_well)
{
	time_t at;

	if (!saved_well || !reload_time(c, &at)) {
		cmd_done(c);
	} else if (at) {
		free(st.reload_reason);
		st.reload_reason = NULL;
		cmd_get(c, "reason", &st.reload_reason);
		st.reload_at = at;
		reload_schedule(c);
	} else {
		load_and_replace(c, st.path, "reload", false);
	}
}

static void reload_asked(struct cmd_ctx *c, const char *text)
{
	size_t n = strlen(text);

	if ((n ? strncasecmp(text, "yes", n) && strncasecmp(text, "no", n) : cmd_asked(c))) {
		cmd_ask(c, "% Please answer 'yes' or 'no'. Save? [yes/no]: ", reload_asked);
	} else if (!n || strncasecmp(text, "yes", n)) {
		reload_go_on(c, true);
	} else if (!save(c, reload_go_on)) {
		cmd_done(c);
	}
}

/* What is scheduled stays until another time is asked for and answered, or it is cancelled. */
static void reload(struct cmd_ctx *c)
{
	time_t at;

	if (!reload_time(c, &at))
		return;
	cmd_pend(c);
	if (differs_from_startup())
		cmd_ask(c,
			"System configuration has been modified. Save? [yes/no]: ", reload_asked);
	else
		reload_asked(c, "");
}

static void reload_cancel(struct cmd_ctx *c)
{
	if (!st.reload_at) {
		cmd_fail(c, "No reload is scheduled");
		return;
	}
	event_del(st.reload);
	st.reload_at = 0;
	cmd_puts(c, "Reload cancelled.\n");
}

static json_t *show_reload(struct cmd_ctx *c)
{
	json_t *j = json_object();

	if (st.reload_at)
		json_object_set_new(j, "scheduled_in_sec", json_integer(st.reload_at - time(NULL)));
	if (st.last_at)
		json_object_set_new(j, "last",
				    json_pack("{s:s,s:I,s:b,s:s}", "source", st.last_source, "time",
					      (json_int_t)st.last_at, "good", !st.last_error,
					      "text", st.last_text));
	return j;
}

static void print_reload(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *last = json_object_get(doc, "last");

	if (json_object_get(doc, "scheduled_in_sec"))
		cmd_printf(c,
			   "Reload to the startup configuration in %" JSON_INTEGER_FORMAT
			   " seconds\n",
			   json_integer_value(json_object_get(doc, "scheduled_in_sec")));
	else
		cmd_puts(c, "No reload is scheduled.\n");
	if (last) {
		time_t at = (time_t)json_integer_value(json_object_get(last, "time"));
		char when[64];
		struct tm tm;

		localtime_r(&at, &tm);
		strftime(when, sizeof(when), "%H:%M:%S %b %e %Y", &tm);
		cmd_printf(c, "Last: %s at %s: %s\n%s",
			   json_string_value(json_object_get(last, "source")), when,
			   json_is_true(json_object_get(last, "good")) ? "good" : "refused",
			   json_string_value(json_object_get(last, "text")));
	}
}

/* ---- commands: show ---- */

static void show_running(struct cmd_ctx *c)
{
	cmd_config(c, txn_running(), cmd_choice(c, "all") >= 0 ? TEXT_ALL : 0);
}

static void show_startup(struct cmd_ctx *c)
{
	struct strbuf errs = STRBUF_INIT;
	struct rec *root;

	if (conffile_read(st.path, &root, &errs)) {
		if (errs.len)
			errs.s[--errs.len] = '\0';
		cmd_fail(c, "%s", strbuf_str(&errs));
	} else {
		cmd_config(c, root, 0);
		rec_unref(root);
	}
	strbuf_fini(&errs);
}

static json_t *show_archive(struct cmd_ctx *c)
{
	return archive_list();
}

static void print_archive(struct cmd_ctx *c, const json_t *doc)
{
	json_t *e;
	size_t i;

	cmd_printf(c, "%-4s %-17s %-16s %s\n", "#", "Time", "User", "Comment");
	json_array_foreach(doc, i, e)
		cmd_printf(c, "%-4" JSON_INTEGER_FORMAT " %-17s %-16s %s\n",
			   json_integer_value(json_object_get(e, "revision")),
			   json_string_value(json_object_get(e, "time")),
			   json_string_value(json_object_get(e, "user")),
			   json_string_value(json_object_get(e, "comment")));
}

static void show_archive_diff(struct cmd_ctx *c)
{
	struct strbuf errs = STRBUF_INIT, b = STRBUF_INIT;
	struct rec *one = NULL, *two = NULL;
	uint32_t n = 1, m = 0;
	bool second;

	cmd_get(c, "a", &n);
	second = cmd_get(c, "b", &m);
	if (archive_load(n, &one, &errs) || (second && archive_load(m, &two, &errs))) {
		cmd_fail(c, "%s", strbuf_str(&errs));
	} else {
		text_diff(one, second ? two : txn_running(), cmd_admin(c) ? 0 : TEXT_MASKED, &b);
		cmd_lines(c, strbuf_str(&b));
	}
	rec_unref(one);
	rec_unref(two);
	strbuf_fini(&errs);
	strbuf_fini(&b);
}

static json_t *show_drift(struct cmd_ctx *c)
{
	struct strbuf b = STRBUF_INIT;
	json_t *writes = json_array();
	char *copy, *save = NULL;

	apply_diff(txn_running(), &b);
	copy = strbuf_steal(&b);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		json_array_append_new(writes, json_string(l));
	free(copy);
	return json_pack("{s:b,s:b,s:o,s:I,s:I}", "degraded", txn_degraded(), "committing",
			 txn_busy(), "missing", writes, "repairs", (json_int_t)txn_stats()->repairs,
			 "repair_writes", (json_int_t)txn_stats()->repair_writes);
}

static void print_drift(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *writes = json_object_get(doc, "missing");
	json_t *w;
	size_t i;

	if (json_is_true(json_object_get(doc, "degraded")))
		cmd_puts(
			c,
			"State DEGRADED: the kernel refuses what the configuration asks; it is tried again.\n");
	if (!json_array_size(writes))
		cmd_puts(c, "The kernel matches the running configuration.\n");
	json_array_foreach(writes, i, w)
		cmd_printf(c, "  to do: %s\n", json_string_value(w));
	cmd_printf(c, "Repairs: %" JSON_INTEGER_FORMAT ", writes: %" JSON_INTEGER_FORMAT "\n",
		   json_integer_value(json_object_get(doc, "repairs")),
		   json_integer_value(json_object_get(doc, "repair_writes")));
}

static const struct cmd cmds[] = {
	{ "show running-config[ all]", "Current operating configuration", .run = show_running },
	{ "show startup-config", "Configuration that the next boot starts with",
	  .run = show_startup },
	{ "show archive", "Archived configurations", .data = show_archive, .text = print_archive },
	{ "show archive config differences[ <a:U32(1,999)>[ <b:U32(1,999)>]]",
	  "What differs between a revision and what runs, or another one",
	  .run = show_archive_diff },
	{ "show kernel drift", "Where the kernel differs from the running configuration",
	  .data = show_drift, .text = print_drift },
	{ "show reload[ last]", "Scheduled reload, and how the last one went", .data = show_reload,
	  .text = print_reload },
	{ "write[ memory]", "Save the running configuration", .run = write_memory,
	  .interrupt = let_go, .admin = true },
	{ "write erase", "Empty the startup configuration", .run = write_erase, .interrupt = let_go,
	  .admin = true },
	{ "commit save", "Save the running configuration", .run = write_memory, .interrupt = let_go,
	  .admin = true },
	{ "copy running-config startup-config", "Save the running configuration",
	  .run = write_memory, .interrupt = let_go, .admin = true },
	{ "copy startup-config running-config", "Add the startup configuration to what runs",
	  .run = copy_startup, .interrupt = let_go, .admin = true },
	{ "configure replace {what:startup-config|<path:FILE>}", "Make what runs equal to a file",
	  .run = configure_replace, .interrupt = let_go, .admin = true },
	{ "configure confirm", "Keep the change that waits for a confirmation", .run = confirm,
	  .admin = true },
	{ "configure revert now", "Take back the change that waits for a confirmation",
	  .run = confirm_abort, .admin = true },
	{ "commit", "Keep the change that waits for a confirmation", .run = confirm,
	  .admin = true },
	{ "commit abort", "Take back the change that waits for a confirmation",
	  .run = confirm_abort, .admin = true },
	{ "rollback <n:U32(1,999)>", "Go back to an archived configuration", .run = rollback,
	  .interrupt = let_go, .admin = true },
	{ "reload[ {how:in|at} <when:WORD>[ <reason:LINE>]]",
	  "Go back to the startup configuration", .run = reload, .interrupt = let_go,
	  .admin = true },
	{ "reload cancel", "Cancel a scheduled reload", .run = reload_cancel, .admin = true },
};

static const struct sch_word words[] = {
	{ "running-config", "Current operating configuration" },
	{ "startup-config", "Configuration that the next boot starts with" },
	{ "all", "With what is in force by default" },
	{ "archive", "Archived configurations" },
	{ "config", "Configurations" },
	{ "differences", "What differs" },
	{ "kernel", "What the kernel holds" },
	{ "drift", "Where it differs from the configuration" },
	{ "write", "Save the running configuration" },
	{ "memory", "To the startup configuration" },
	{ "erase", "Empty the startup configuration" },
	{ "copy", "Copy a configuration" },
	{ "replace", "Make what runs equal to a file" },
	{ "confirm", "Keep a change" },
	{ "revert", "Take back a change" },
	{ "now", "At once" },
	{ "save", "Save the running configuration" },
	{ "reload", "Go back to the startup configuration" },
	{ "show reload", "Scheduled reload, and how the last one went" },
	{ "in", "After a time" },
	{ "at", "At a time" },
	{ "cancel", "Cancel" },
	{ "last", "The last one" },
};

static const struct domain startup_domain = {
	.name = "startup",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(startup_domain);
