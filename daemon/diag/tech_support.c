/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show tech-support: every show command that can be typed without arguments, aliases apart, as a
 * reader's session sees it (secrets masked), one after the other, then what the kernel tells of
 * itself. What is put out waits for the client, and the command that runs waits for what is put
 * out.
 */
#include "cli/inner.h"
#include "cli/session.h"
#include "domain.h"
#include "rtr/version.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

/* A command that says more, such as a table of routes, is cut there. */
#define MAX_SECTION (512u << 10)
#define MAX_FILE    (64u << 10)
/* All together: what fits into a mail. */
#define MAX_TOTAL    (16u << 20)
#define MAX_COMMANDS 512

static const char *const files[] = {
	"/proc/version",       "/proc/uptime",
	"/proc/loadavg",       "/proc/meminfo",
	"/proc/cpuinfo",       "/proc/interrupts",
	"/proc/softirqs",      "/proc/net/softnet_stat",
	"/proc/net/dev",       "/proc/net/sockstat",
	"/proc/net/sockstat6", "/proc/net/snmp",
	"/proc/net/snmp6",     "/proc/net/netstat",
	"/proc/net/protocols", "/proc/net/stat/nf_conntrack",
	"/proc/self/status",   "/proc/self/limits",
};

/* Beside those that the table gives: shorter forms of long ones come first. */
static const char *const first[] = { "show version",          "show health",
				     "show running-config",   "show logging",
				     "show ip route summary", "show ipv6 route summary",
				     "show conntrack summary" };

struct tech {
	struct cmd_ctx *c;
	struct inner *inner;
	struct event *step;
	char *command[MAX_COMMANDS];
	size_t n, at, file;
	size_t size, total; /* of the section, of all */
	struct strbuf text; /* of the section, for JSON */
	bool running;       /* a command */
	bool cut, any;
};

/* ---- which commands ---- */

static bool known(const struct tech *t, const char *line)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!strcmp(t->command[i], line))
			return true;
	}
	return false;
}

static void add_command(struct tech *t, const char *line)
{
	if (t->n < MAX_COMMANDS && !known(t, line) && strcmp(line, "show tech-support") &&
	    strcmp(line, "show history"))
		t->command[t->n++] = xstrdup(line);
}

/* The place behind the bracket that closes the one at s. */
static const char *behind(const char *s)
{
	int depth = 0;

	for (; *s; s++) {
		depth += *s == '[' || *s == '{' || *s == '<';
		depth -= *s == ']' || *s == '}' || *s == '>';
		if (!depth)
			return s + 1;
	}
	return s;
}

/* The notation of schema.h without what may be left out; of {a|b} each, when those are words. */
static void expand(struct tech *t, const char *done, size_t len, const char *rest)
{
	size_t plain = strcspn(rest, "[{<");
	struct strbuf b = STRBUF_INIT;
	const char *end, *word;

	strbuf_add(&b, done, len);
	strbuf_add(&b, rest, plain);
	rest += plain;
	end = behind(rest);
	if (!*rest) {
		add_command(t, strbuf_str(&b));
	} else if (*rest == '[') {
		expand(t, strbuf_str(&b), b.len, end);
	} else if (*rest == '{' && !memchr(rest, '<', (size_t)(end - rest))) {
		len = b.len;
		for (word = rest + 1; word < end; word += strcspn(word, "|}") + 1) {
			/* {name:a|b} */
			const char *colon = memchr(word, ':', strcspn(word, "|}"));

			word = colon ? colon + 1 : word;
			b.len = len;
			strbuf_add(&b, word, strcspn(word, "|}"));
			expand(t, strbuf_str(&b), b.len, end);
		}
	}
	strbuf_fini(&b);
}

static void find_commands(struct tech *t)
{
	const struct cmd *all[1024];
	size_t n = MIN(commands_all(all, ARRAY_LEN(all)), ARRAY_LEN(all));

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		add_command(t, first[i]);
	for (size_t i = 0; i < n; i++) {
		if (all[i]->where == CMD_EXEC && !all[i]->admin && !all[i]->alias &&
		    !strncmp(all[i]->line, "show ", 5))
			expand(t, "", 0, all[i]->line);
	}
}

/* ---- output ---- */

static void wait_for_client(struct tech *t)
{
	if (t->inner)
		inner_pause(t->inner, cmd_congested(t->c));
}

static void put(struct tech *t, const char *text, size_t size)
{
	struct strbuf b = STRBUF_INIT;

	t->size += size;
	t->total += size;
	if (cmd_json(t->c)) {
		strbuf_add(&t->text, text, size);
		return;
	}
	strbuf_add(&b, text, size);
	cmd_puts(t->c, strbuf_str(&b));
	strbuf_fini(&b);
	wait_for_client(t);
}

static void begin(struct tech *t, const char *title)
{
	t->size = 0;
	t->cut = false;
	if (!cmd_json(t->c))
		cmd_printf(t->c, "------------------ %s ------------------\n\n", title);
}

static void finish(struct tech *t, const char *title)
{
	json_t *o;
	char *text;

	if (!cmd_json(t->c)) {
		cmd_puts(t->c, t->cut ? "\n(cut here)\n\n" : "\n");
		return;
	}
	o = json_pack("{s:s,s:o?,s:b}", "section", title, "text",
		      json_stringn(strbuf_str(&t->text), t->text.len), "cut", t->cut);
	text = json_dumps(o, 0);
	cmd_printf(t->c, "%s%s", t->any ? ",\n" : "[", text);
	t->any = true;
	free(text);
	json_decref(o);
	strbuf_reset(&t->text);
	wait_for_client(t);
}

static void end(struct tech *t)
{
	struct cmd_ctx *c = t->c;

	inner_free(t->inner);
	event_free(t->step);
	for (size_t i = 0; i < t->n; i++)
		free(t->command[i]);
	strbuf_fini(&t->text);
	free(t);
	cmd_done(c);
}

static void soon(struct tech *t)
{
	static const struct timeval now;

	event_add(t->step, &now);
}

/* ---- sections ---- */

static void on_output(void *arg, const char *text, size_t size)
{
	struct tech *t = arg;

	if (t->cut)
		return;
	put(t, text, MIN(size, MAX_SECTION - t->size));
	if (t->size < MAX_SECTION)
		return;
	/* The rest is not even made: its session ends here. */
	t->cut = true;
	t->running = false;
	t->inner = inner_free(t->inner);
	finish(t, t->command[t->at++]);
	soon(t);
}

static void on_done(void *arg, int status)
{
	struct tech *t = arg;

	t->running = false;
	finish(t, t->command[t->at++]);
	if (status < 0)
		t->inner = inner_free(t->inner);
	soon(t);
}

static void read_file(struct tech *t, const char *path)
{
	char *text = NULL;
	size_t size;
	int r = rtr_file_read(path, MAX_FILE, &text, &size);

	begin(t, path);
	if (!r)
		put(t, text, size);
	else if (!cmd_json(t->c))
		cmd_printf(t->c, "%s\n", strerror(-r));
	t->cut = r == -EFBIG;
	finish(t, path);
	free(text);
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
	static const struct inner_ops ops = { .output = on_output, .done = on_done };
	struct tech *t = arg;

	if (cmd_congested(t->c))
		return; /* drained() comes */
	if (t->total >= MAX_TOTAL)
		t->at = t->n;
	if (t->at < t->n) {
		if (!t->inner)
			t->inner = inner_new(&ops, t);
		if (!t->inner) {
			cmd_fail(t->c, "No session can be opened for the commands");
			end(t);
			return;
		}
		begin(t, t->command[t->at]);
		t->running = true;
		inner_exec(t->inner, t->command[t->at], false);
	} else if (t->file < ARRAY_LEN(files)) {
		read_file(t, files[t->file++]);
		soon(t);
	} else {
		if (cmd_json(t->c))
			cmd_puts(t->c, "]\n");
		end(t);
	}
}

static void drained(struct cmd_ctx *c)
{
	struct tech *t = cmd_data(c);

	if (t->inner)
		inner_pause(t->inner, false);
	if (!t->running)
		soon(t);
}

static void stop(struct cmd_ctx *c)
{
	end(cmd_data(c));
}

static void tech_support(struct cmd_ctx *c)
{
	struct tech *t = xcalloc(1, sizeof(*t));
	char when[64];
	time_t now = time(NULL);
	struct utsname u;
	struct tm tm;

	t->c = c;
	t->step = evtimer_new(cmd_base(), on_step, t);
	cmd_set_data(c, t);
	cmd_pend(c);
	find_commands(t);
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!cmd_json(c) && !uname(&u))
		cmd_printf(c, "rtr %s, %s %s %s, %s\n\n", RTR_VERSION, u.sysname, u.release,
			   u.machine, when);
	soon(t);
}

static const struct cmd cmds[] = {
	{ "show tech-support", "All that somebody who is to help wants to see, secrets masked",
	  .run = tech_support, .interrupt = stop, .drained = drained },
};

static const struct domain tech_domain = {
	.name = "tech-support",
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(tech_domain);
