/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: operators at work, without sockets and without a kernel: the real session, commits, journal
 * and archive, a small schema, and an apply that says yes or no as it is told.
 * Owns: the box between setup() and teardown(). Threads: one. Failure: ends the test.
 */
#ifndef RTR_TEST_OPERATORS_H
#define RTR_TEST_OPERATORS_H

#include "check_main.h"
#include "fake_conn.h"
#include "test_rows.h"
#include "cli/session.h"
#include "kernel/apply.h"
#include "kernel/nlq.h"
#include "kernel/shadow.h"
#include "system/log.h"
#include "txn/archive.h"
#include "txn/disk.h"
#include "txn/startup.h"
#include "txn/txn.h"

#include <ctype.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENTER "Enter configuration commands, one per line.  End with CNTL/Z.\n"

/* ---- the kernel's part ---- */

static struct {
	apply_done_fn done;
	void *arg;
	unsigned n_commits, n_repairs, fail; /* fail: so many of the next commits */
	bool hold;                           /* commits wait until released */
	bool running;
} kernel;
static struct event_base *base;

static void apply_end(evutil_socket_t fd, short what, void *arg)
{
	struct apply_result res = { .text = "" };
	apply_done_fn done = kernel.done;

	kernel.running = false;
	if (kernel.fail && arg) {
		kernel.fail--;
		res = (struct apply_result){ .n_errors = 1, .text = "add a thing: Out of luck\n" };
	}
	done(kernel.arg, &res);
}

static inline void apply_soon(void *arg)
{
	static const struct timeval now;

	event_base_once(base, -1, EV_TIMEOUT, apply_end, arg, &now);
}

int apply_start(const struct rec *want, enum apply_mode mode, apply_done_fn done, void *arg)
{
	ck_assert(!kernel.running);
	kernel.running = true;
	kernel.done = done;
	kernel.arg = arg;
	if (mode == APPLY_COMMIT)
		kernel.n_commits++;
	else
		kernel.n_repairs++;
	if (!kernel.hold || mode == APPLY_REPAIR)
		apply_soon(mode == APPLY_COMMIT ? &kernel : NULL);
	return 0;
}

bool apply_running(void)
{
	return kernel.running;
}

size_t apply_diff(const struct rec *want, struct strbuf *ret)
{
	return 0;
}

uint64_t nlq_writes(void)
{
	return 0;
}

void shadow_on_change(void (*fn)(void *arg, unsigned change), void *arg)
{
}

/* ---- commands to type ---- */

static json_t *show_thing(struct cmd_ctx *c)
{
	return json_pack("{s:i,s:[s,s]}", "answer", 42, "names", "one", "two");
}

static void print_thing(struct cmd_ctx *c, const json_t *doc)
{
	cmd_printf(c, "answer %d\n one\n two\nend\n",
		   (int)json_integer_value(json_object_get(doc, "answer")));
}

static json_t *show_rows(struct cmd_ctx *c)
{
	return json_array();
}

static void print_rows(struct cmd_ctx *c, const json_t *doc)
{
	for (size_t i = 0; i < json_array_size(doc); i++)
		cmd_printf(c, "row %zu\n", i);
}

static json_t *show_failure(struct cmd_ctx *c)
{
	cmd_fail(c, "There is no \"%s\"", "failure");
	return NULL;
}

static void wait_run(struct cmd_ctx *c)
{
	cmd_puts(c, "waiting");
	cmd_pend(c);
}

static void wait_stop(struct cmd_ctx *c)
{
	cmd_puts(c, " stopped\n");
	cmd_done(c);
}

static void go_disable(struct cmd_ctx *c)
{
	cmd_session(c)->enabled = false;
}

static void leave(struct cmd_ctx *c)
{
	conn_close(cmd_session(c)->conn, "");
}

static void refuse(struct check *c)
{
	const struct t_global *g = (const void *)c->new;

	if (g->hostname && !strcmp(g->hostname, "bad"))
		check_error(c, NULL, "hostname: bad is no name");
	if (g->hostname && !strcmp(g->hostname, "odd"))
		check_warn(c, NULL, "hostname: odd is an odd name");
}

static const struct cmd cmds[] = {
	{ "show thing", "A thing", .data = show_thing, .text = print_thing },
	{ "show rows", "A table without rows", .data = show_rows, .text = print_rows },
	{ "show failure", "What is not there", .data = show_failure },
	{ "wait", "Wait for ^C", .run = wait_run, .interrupt = wait_stop },
	{ "disable", "Turn off privileged commands", .run = go_disable },
	{ "quit", "Leave", .run = leave },
};

static const struct sch_word cmd_words[] = {
	{ "ip", "IPv4" },
	{ "interface", "An interface" },
	{ "neighbor", "A BGP neighbour" },
};

static const struct domain session_domain = {
	.name = "session-test",
	.rows = t_rows,
	.n_rows = ARRAY_LEN(t_rows),
	.words = cmd_words,
	.n_words = ARRAY_LEN(cmd_words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.check = refuse,
};
RTR_DOMAIN(session_domain);

/* ---- the box ---- */

static char dir[64];

static inline void setup(void)
{
	const struct domain *const *d;
	struct strbuf notes = STRBUF_INIT;
	const char *bad;
	bool resumed;
	char *path;
	size_t n;

	setenv("RTR_LOG_STDERR", "0", 1);
	setenv("TZ", "UTC", 1);
	log_init("session-test");
	base = event_base_new();
	bad = domains_sort(&d, &n);
	bad = bad ? bad : schema_init(d, n);
	bad = bad ? bad : commands_init(d, n);
	ck_assert_msg(!bad, "%s", bad);
	snprintf(dir, sizeof(dir), "/dev/shm/rtr-session-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	session_init(base);
	ck_assert_int_eq(txn_init(base, dir, &notes, &resumed), 0);
	ck_assert_int_eq(archive_init(base, dir), 0);
	path = xasprintf("%s/startup.conf", dir);
	startup_init(base, path, false);
	free(path);
}

/* However long the disk takes. */
static inline void run_loop(const struct conn *c)
{
	for (int i = 0; i < 2000 && !(c && (c->done || c->closed || c->question)); i++)
		event_base_loop(base, disk_busy() ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
}

static inline void teardown(void)
{
	pid_t rm;

	run_loop(NULL);
	ck_assert_ptr_null(session_first());
	ck_assert_ptr_null(config_candidate_owner());
	startup_fini();
	archive_fini();
	txn_fini();
	commands_fini();
	schema_fini();
	log_fini();
	event_base_free(base);
	rm = fork();
	if (!rm)
		execlp("rm", "rm", "-rf", dir, (char *)NULL);
	waitpid(rm, NULL, 0);
}

struct person {
	struct conn c;
	struct session *s;
};

static inline void come(struct person *p, enum conn_level level, bool interactive)
{
	*p = (struct person){ .c.peer = { .pid = 77,
					  .user = "anna",
					  .level = level,
					  .interactive = interactive,
					  .cols = 80,
					  .rows = 24 } };
	p->s = session_new(&p->c);
}

static inline void hang_up(struct person *p)
{
	session_free(p->s);
	fake_conn_fini(&p->c);
	p->s = NULL;
}

static inline void fresh(struct person *p)
{
	strbuf_reset(&p->c.seen);
	strbuf_reset(&p->c.out);
	p->c.done = false;
	free(p->c.question);
	p->c.question = NULL;
}

/* Types and waits; what was put out is in c.seen. */
static inline const char *type(struct person *p, const char *text)
{
	fresh(p);
	session_exec(p->s, text, strlen(text), false);
	run_loop(&p->c);
	return strbuf_str(&p->c.seen);
}

static inline const char *type_json(struct person *p, const char *text)
{
	fresh(p);
	session_exec(p->s, text, strlen(text), true);
	run_loop(&p->c);
	return strbuf_str(&p->c.out);
}

/* ---- transcripts ---- */

/* "r1(config-if)#typed": where the typed part starts, 0 when the line has no prompt. */
static size_t prompt_len(const char *l, size_t len)
{
	size_t i = 0;

	while (i < len && (isalnum((unsigned char)l[i]) || strchr("-_", l[i])))
		i++;
	if (!i)
		return 0;
	if (i < len && l[i] == '(') {
		while (i < len && l[i] != ')')
			i++;
		i++;
	}
	return i < len && strchr("#>", l[i]) ? i + 1 : 0;
}

/* "\n" typed in a transcript stands for a line end inside one paste. */
static char *unescape(const char *s, size_t len)
{
	struct strbuf b = STRBUF_INIT;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\' && i + 1 < len && s[i + 1] == 'n') {
			strbuf_addc(&b, '\n');
			i++;
		} else {
			strbuf_addc(&b, s[i]);
		}
	}
	return strbuf_steal(&b);
}

static void do_typed(struct person *p, char *typed)
{
	size_t len = strlen(typed);

	if (p->c.question) {
		fresh(p);
		session_answer(p->s, typed);
		run_loop(&p->c);
	} else if (len && typed[len - 1] == '?') {
		fresh(p);
		typed[len - 1] = '\0';
		session_help(p->s, typed);
	} else if (len > 4 && !strcmp(typed + len - 5, "<TAB>")) {
		fresh(p);
		typed[len - 5] = '\0';
		session_complete(p->s, typed, strlen(typed));
		strbuf_addf(&p->c.seen, "[%u: %s]\n", p->c.start, strbuf_str(&p->c.words));
	} else {
		type(p, typed);
	}
}

static inline void play_as(struct person *p, const char *want)
{
	struct strbuf got = STRBUF_INIT;

	for (const char *l = want, *e; *l; l = *e ? e + 1 : e) {
		size_t at;
		char *typed;

		e = l + strcspn(l, "\n");
		if (p->c.question)
			at = MIN(strlen(p->c.question), (size_t)(e - l));
		else
			at = prompt_len(l, (size_t)(e - l));
		if (!at)
			continue;
		typed = unescape(l + at, (size_t)(e - l) - at);
		strbuf_addf(&got, "%s%.*s\n", p->c.question ? "" : session_prompt(p->s),
			    (int)((size_t)(e - l) - at), l + at);
		do_typed(p, typed);
		strbuf_adds(&got, strbuf_str(&p->c.seen));
		free(typed);
	}
	if (strcmp(strbuf_str(&got), want)) {
		ck_abort_msg("\n---- seen:\n%s---- wanted:\n%s", strbuf_str(&got), want);
	}
	strbuf_fini(&got);
}

#endif
