/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operators at work, without sockets and without a kernel: the real session, commits, journal and
 * archive, a small schema, and an apply that says yes or no as it is told. Most tests are
 * transcripts: what stands after a prompt is typed, everything else must be what is seen.
 */
#include "../lib/test_rows.h"
#include "../lib/fake_conn.h"
#include "cli/session.h"
#include "kernel/apply.h"
#include "kernel/nlq.h"
#include "kernel/shadow.h"
#include "schema/text.h"
#include "system/log.h"
#include "txn/archive.h"
#include "txn/startup.h"
#include "txn/txn.h"
#include "../lib/check_main.h"

#include <ctype.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void apply_soon(void *arg)
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

static void setup(void)
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

static void run_loop(const struct conn *c)
{
	for (int i = 0; i < 2000 && !(c && (c->done || c->closed || c->question)); i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void teardown(void)
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

static void come(struct person *p, enum conn_level level, bool interactive)
{
	*p = (struct person){ .c.peer = { .pid = 77,
					  .user = "anna",
					  .level = level,
					  .interactive = interactive,
					  .cols = 80,
					  .rows = 24 } };
	p->s = session_new(&p->c);
}

static void hang_up(struct person *p)
{
	session_free(p->s);
	fake_conn_fini(&p->c);
	p->s = NULL;
}

static void fresh(struct person *p)
{
	strbuf_reset(&p->c.seen);
	strbuf_reset(&p->c.out);
	p->c.done = false;
	free(p->c.question);
	p->c.question = NULL;
}

/* Types and waits; what was put out is in c.seen. */
static const char *type(struct person *p, const char *text)
{
	fresh(p);
	session_exec(p->s, text, strlen(text), false);
	run_loop(&p->c);
	return strbuf_str(&p->c.seen);
}

static const char *type_json(struct person *p, const char *text)
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

static void play_as(struct person *p, const char *want)
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

static void play(const char *want)
{
	struct person p;

	come(&p, CONN_ADMIN, true);
	play_as(&p, want);
	hang_up(&p);
}

static char *running(void)
{
	struct strbuf b = STRBUF_INIT;

	text_config(txn_running(), 0, &b);
	return strbuf_steal(&b);
}

static void expect_running(const char *want)
{
	char *got = running();

	ck_assert_str_eq(got, want);
	free(got);
}

static void add_log(void *arg, const char *line)
{
	strbuf_addf(arg, "%s\n", line);
}

static bool logged(const char *what)
{
	struct strbuf b = STRBUF_INIT;
	bool found;

	log_foreach(add_log, &b);
	found = strstr(strbuf_str(&b), what);
	strbuf_fini(&b);
	return found;
}

#define ASK   "Uncommitted changes found, commit them? [yes/no/CANCEL]: "
#define ENTER "Enter configuration commands, one per line.  End with CNTL/Z.\n"

static const char *const transcripts[] = {
	/* Prompts, abbreviations, blank lines and comments; one line is one commit. */
	"rtr#conf t\n" ENTER "rtr(config)#hostn r1\n"
	"r1(config)#\n"
	"r1(config)#! a remark\n"
	"r1(config)#  int   eth0  \n"
	"r1(config-if)#mtu 1400\n"
	"r1(config-if)#exit\n"
	"r1(config)#do show running-config\n"
	"hostname r1\n!\ninterface eth0\n mtu 1400\n!\nend\n"
	"r1(config)#end\n"
	"r1#sh thing\n"
	"answer 42\n one\n two\nend\n"
	"r1#quit\n"
	"[closed]\n",

	/* Errors: the caret stands below the word, the prompt being in front of the line. */
	"rtr#co\n"
	"% Ambiguous command:  \"co\"\n"
	"rtr#show\n"
	"% Incomplete command.\n"
	"rtr#show thing now\n"
	"               ^\n"
	"% Invalid input detected at '^' marker.\n"
	"rtr#configure terminal\n" ENTER "rtr(config)#i\n"
	"% Ambiguous command:  \"i\"\n"
	"rtr(config)#no\n"
	"% Incomplete command.\n"
	"rtr(config)#interface\n"
	"% Incomplete command.\n"
	"rtr(config)#lines 1001\n"
	"                  ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% 1001 is out of range 1-1000\n"
	"rtr(config)#no lines 0\n"
	"                     ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% 0 is out of range 1-1000\n"
	"rtr(config)#interface eth0\n"
	"rtr(config-if)#ip address 10.0.0.1 255.0.255.0\n"
	"                                   ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% \"255.0.255.0\" is not a netmask\n"
	"rtr(config-if)#configure terminal\n"
	"               ^\n"
	"% Invalid input detected at '^' marker.\n",

	/* no, default; a line of another mode leaves this one. */
	"rtr#configure terminal\n" ENTER "rtr(config)#interface eth0\n"
	"rtr(config-if)#mtu 1400\n"
	"rtr(config-if)#no ip redirects\n"
	"rtr(config-if)#shutdown\n"
	"rtr(config-if)#lines 30\n"
	"rtr(config)#interface eth1\n"
	"rtr(config-if)#interface eth0\n"
	"rtr(config-if)#no mtu\n"
	"rtr(config-if)#default ip redirects\n"
	"rtr(config-if)#do show running-config | exclude !\n"
	"lines 30\ninterface eth0\n shutdown\ninterface eth1\nend\n"
	"rtr(config-if)#no interface eth0\n"
	"rtr(config)#default lines\n"
	"rtr(config)#no interface eth1\n"
	"rtr(config)#do show running-config\n"
	"!\nend\n",

	/* A buffered mode: nothing applies before it is left, by exit, ... */
	"rtr#configure terminal\n" ENTER "rtr(config)#ip access-list extended A\n"
	"rtr(config-ext-nacl)#permit tcp any any\n"
	"rtr(config-ext-nacl)#deny ip any any log\n"
	"rtr(config-ext-nacl)#do show running-config\n"
	"!\nend\n"
	"rtr(config-ext-nacl)#exit\n"
	"rtr(config)#do show running-config\n"
	"!\nip access-list extended A\n 10 permit tcp any any\n 20 deny ip any any log\n!\nend\n"
	/* ... by a line of another mode, ... */
	"rtr(config)#ip access-list extended A\n"
	"rtr(config-ext-nacl)#no 10\n"
	"rtr(config-ext-nacl)#nonsense\n"
	"                     ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% \"nonsense\" is not a number (<1-4294967294>)\n"
	"rtr(config-ext-nacl)#lines 30\n"
	"rtr(config)#do show running-config | include 0\n"
	"lines 30\n 20 deny ip any any log\n"
	/* ... from one buffered mode into the next, by end. */
	"rtr(config)#ip access-list extended B\n"
	"rtr(config-ext-nacl)#permit ip any any\n"
	"rtr(config-ext-nacl)#router bgp 65000\n"
	"rtr(config-router)#bgp router-id 1.1.1.1\n"
	"rtr(config-router)#end\n"
	"rtr#show running-config | section B|bgp\n"
	"ip access-list extended B\n 10 permit ip any any\nrouter bgp 65000\n bgp router-id 1.1.1.1\n",

	/* What check and the kernel refuse is told and did not happen. */
	"rtr#configure terminal\n" ENTER "rtr(config)#hostname bad\n"
	"% hostname: bad is no name\n"
	"rtr(config)#hostname odd\n"
	"% Warning: hostname: odd is an odd name\n"
	"odd(config)#\n",

	/* A paste: one commit, or none with all faults told. */
	"rtr#configure terminal\\nhostname r1\\ninterface eth0\\nmtu 1400\\nexit\\nlines 30\\nend\\nshow running-config\n"
	"hostname r1\nlines 30\n!\ninterface eth0\n mtu 1400\n!\nend\n"
	"r1#configure terminal\\nhostname r2\\nmtu 5\\ninterface eth0\\n mtu 5\\nlin 3\\nend\\nshow thing\n"
	"line 3: mtu 5\n"
	"        ^\n"
	"% Invalid input detected at '^' marker.\n"
	"line 5: mtu 5\n"
	"            ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% 5 is out of range 68-65535\n"
	"% 2 errors; nothing of it was applied\n"
	"r1#show running-config | include host|mtu\n"
	"hostname r1\n mtu 1400\n",

	/* Pasted into a mode. */
	"rtr#configure terminal\n" ENTER
	"rtr(config)#interface eth0\\n mtu 1400\\n! x\\n\\n no shutdown\n"
	"rtr(config-if)#hostname a\\nhostname bad\n"
	"% hostname: bad is no name\n"
	"rtr(config)#do show running-config | include host|mtu\n"
	" mtu 1400\n",

	/* The candidate. */
	"rtr#configure candidate\n"
	"rtr(config*)#hostname r1\n"
	"rtr(config*)#interface eth0\n"
	"rtr(config-if*)#mtu 1400\n"
	"rtr(config-if*)#show candidate diff\n"
	"+hostname r1\n+interface eth0\n+ mtu 1400\n"
	"rtr(config-if*)#show candidate\n"
	"hostname r1\n!\ninterface eth0\n mtu 1400\n!\nend\n"
	"rtr(config-if*)#do show running-config\n"
	"!\nend\n"
	"rtr(config-if*)#commit check\n"
	"The candidate is good.\n"
	"rtr(config-if*)#commit comment first one\n"
	"Commit complete.\n"
	"r1(config-if*)#show candidate diff\n"
	"r1(config-if*)#mtu 1500\n"
	"r1(config-if*)#discard\n"
	"r1(config*)#show candidate diff\n"
	"r1(config*)#hostname bad\n"
	"r1(config*)#commit check\n"
	"% hostname: bad is no name\n"
	"r1(config*)#commit\n"
	"% hostname: bad is no name\n"
	"r1(config*)#hostname r2\n"
	"r1(config*)#commit\n"
	"Commit complete.\n"
	"r2(config*)#hostname r3\n"
	"r2(config*)#end\n" ASK "no way\n"
	"r2(config*)#end\n" ASK "\n"
	"r2(config*)#abort\n"
	"r2#configure candidate\n"
	"r2(config*)#lines 30\n"
	"r2(config*)#end\n" ASK "n\n"
	"% The candidate was not committed; it is discarded\n"
	"r2#configure candidate\n"
	"r2(config*)#rollback 2\n"
	"r2(config*)#show candidate diff\n"
	"-hostname r2\n+hostname r1\n"
	"r2(config*)#commit\n"
	"Commit complete.\n"
	"r1(config*)#lines 30\n"
	"r1(config*)#exit\n" ASK "yes\n"
	"r1#show archive config differences 3 2\n"
	"-hostname r2\n+hostname r1\n"
	"r1#show running-config | exclude !\n"
	"hostname r1\nlines 30\ninterface eth0\n mtu 1400\nend\n",

	/* Commit confirmed: kept, and not overrun meanwhile. */
	"rtr#configure candidate\n"
	"rtr(config*)#hostname r1\n"
	"rtr(config*)#commit confirmed 5\n"
	"Commit complete.\n"
	"Going back in 5 minutes unless confirmed: \"commit\" keeps the change, "
	"\"commit abort\" goes back now.\n"
	"r1(config*)#hostname r2\n"
	"r1(config*)#commit\n"
	"The change that waited for its confirmation stays.\n"
	"Commit complete.\n"
	"r2(config*)#hostname r3\n"
	"r2(config*)#commit confirmed 5\n"
	"Commit complete.\n"
	"Going back in 5 minutes unless confirmed: \"commit\" keeps the change, "
	"\"commit abort\" goes back now.\n"
	"r3(config*)#end\n"
	"r3#configure terminal\n" ENTER "r3(config)#lines 30\n"
	"% a confirmed commit waits: commit to keep it, commit abort to go back\n"
	"r3(config)#end\n"
	"r3#commit\n"
	"The change stays.\n"
	"r3#commit\n"
	"% No change waits for a confirmation\n",

	/* Filters and JSON. */
	"rtr#show thing | include o | exclude n\n"
	" two\n" /* "one" has both */
	"rtr#show thing | section answer | count\n"
	"Number of lines = 3\n"
	"rtr#show thing | json | include answer\n"
	"  \"answer\": 42,\n"
	"rtr#show failure\n"
	"% There is no \"failure\"\n"
	"rtr#show failure | json\n"
	"{\n  \"error\": \"There is no \\\"failure\\\"\"\n}\n"
	"rtr#show thing | grep x\n"
	"                 ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% \"grep\" is not a filter\n"
	"rtr#show thing | include (\n"
	"                 ^\n"
	"% Invalid input detected at '^' marker.\n"
	"% \"(\": Unmatched ( or \\(\n"
	"rtr#show thing x | json\n"
	"{\n  \"error\": \"Invalid input\",\n  \"command\": \"show thing x | json\",\n  \"column\": 11\n}\n",

	/* `?` and Tab. */
	"rtr#show thi?\n"
	"thing  \n"
	"rtr#show thing ?\n"
	"  |     Output modifiers\n"
	"  <cr>  \n"
	"rtr#show nonsense ?\n"
	"% Unrecognized command\n"
	"rtr#sh th<TAB>\n"
	"[3: thing]\n"
	"rtr#show thing | <TAB>\n"
	"[13: append begin count exclude include json redirect section tee]\n"
	"rtr#show thing | s<TAB>\n"
	"[13: section]\n"
	"rtr#configure terminal\n" ENTER "rtr(config)#?\n"
	"  default    Set a command to its default\n"
	"  do         Run an EXEC command\n"
	"  end        Leave configuration mode\n"
	"  exit       Leave this mode\n"
	"  hostname   \n"
	"  interface  An interface\n"
	"  ip         IPv4\n"
	"  lines      \n"
	"  no         Negate a command or set its default\n"
	"  router     \n"
	"rtr(config)#lines ?\n"
	"  <1-1000>  a number\n"
	"rtr(config)#no li<TAB>\n"
	"[3: lines]\n"
	"rtr(config)#interface eth0\n"
	"rtr(config-if)#ip a?\n"
	"address  \n"
	"rtr(config-if)#do sh thi<TAB>\n"
	"[6: thing]\n"
	"rtr(config-if)#ip route<TAB>\n"
	"[3: ]\n",
};

START_TEST(transcript)
{
	play(transcripts[_i]);
}
END_TEST

/* ---- not at a terminal ---- */

START_TEST(a_script_sees_its_lines)
{
	struct person p;

	come(&p, CONN_ADMIN, false);
	ck_assert_str_eq(type(&p, "show thing x"),
			 "show thing x\n           ^\n% Invalid input detected at '^' marker.\n");
	ck_assert_int_eq(p.c.status, 1);
	ck_assert_str_eq(type(&p, "show thing"), "answer 42\n one\n two\nend\n");
	ck_assert_int_eq(p.c.status, 0);
	/* A faulty line outside of a configuration mode ends what came with it. */
	ck_assert_str_eq(
		type(&p, "show nothing\nshow thing"),
		"line 1: show nothing\n             ^\n% Invalid input detected at '^' marker.\n");
	ck_assert_int_eq(p.c.status, 1);
	/* What was not committed is not kept silently. */
	type(&p, "configure candidate\nhostname lost\nend");
	ck_assert_str_eq(strbuf_str(&p.c.seen),
			 "% The candidate was not committed; it is discarded\n");
	ck_assert_int_eq(p.c.status, 1);
	ck_assert_str_eq(session_prompt(p.s), "rtr#");
	hang_up(&p);
}
END_TEST

START_TEST(a_paste_is_one_commit)
{
	struct strbuf b = STRBUF_INIT;
	struct person p;

	come(&p, CONN_ADMIN, false);
	strbuf_adds(&b, "configure terminal\n");
	for (unsigned i = 0; i < 3000; i++)
		strbuf_addf(&b, "interface eth%u\n mtu %u\n", i, 1000 + i);
	strbuf_adds(&b, "end\n");
	ck_assert_str_eq(type(&p, strbuf_str(&b)), "");
	ck_assert_int_eq(p.c.status, 0);
	ck_assert_uint_eq(kernel.n_commits, 1);
	ck_assert_uint_eq(rec_kids(txn_running(), &t_iface_type)->len, 3000);
	/* Of many faults the first ones are told, and all are counted. */
	strbuf_reset(&b);
	strbuf_adds(&b, "configure terminal\nlines 30\n");
	for (unsigned i = 0; i < 500; i++)
		strbuf_adds(&b, "lines 0\n");
	type(&p, strbuf_str(&b));
	ck_assert_ptr_nonnull(
		strstr(strbuf_str(&p.c.seen), "% 500 errors; nothing of it was applied\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&p.c.seen), "line 22: lines 0\n"));
	ck_assert_ptr_null(strstr(strbuf_str(&p.c.seen), "line 23:"));
	ck_assert_int_eq(p.c.status, 1);
	ck_assert_uint_eq(kernel.n_commits, 1);
	strbuf_fini(&b);
	hang_up(&p);
}
END_TEST

/* A long text gives the loop back between its lines, and waits for a client that does not read. */
START_TEST(a_long_text_lets_others_in)
{
	struct strbuf b = STRBUF_INIT;
	struct person a, other;
	unsigned turns = 0;

	come(&a, CONN_ADMIN, false);
	come(&other, CONN_ADMIN, false);
	for (unsigned i = 0; i < 20000; i++)
		strbuf_adds(&b, "show thing\n");
	session_exec(a.s, b.s, b.len, false);
	ck_assert(!a.c.done);
	ck_assert_str_eq(type(&other, "show thing"), "answer 42\n one\n two\nend\n");
	for (; !a.c.done && turns < 100000; turns++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(a.c.done);
	ck_assert_uint_eq(a.c.out.len, 20000 * strlen(strbuf_str(&other.c.seen)));
	fresh(&a);
	a.c.congested = true;
	session_exec(a.s, b.s, b.len, false);
	for (unsigned i = 0; i < 100; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(a.c.out.len, 0);
	a.c.congested = false;
	session_drained(a.s);
	ck_assert_uint_gt(a.c.out.len, 0);
	session_interrupt(a.s);
	ck_assert(a.c.done);
	ck_assert_uint_lt(a.c.out.len, 20000 * strlen(strbuf_str(&other.c.seen)));
	fresh(&a);
	a.c.congested = true;
	session_exec(a.s, b.s, b.len, false);
	strbuf_fini(&b);
	hang_up(&a);
	hang_up(&other);
}
END_TEST

START_TEST(a_confirmed_commit_is_taken_back)
{
	struct person p;

	come(&p, CONN_ADMIN, true);
	type(&p, "configure candidate\nhostname r1\ncommit\nhostname r2\ncommit confirmed 5\nend");
	expect_running("hostname r2\n!\nend\n");
	ck_assert_str_eq(type(&p, "commit abort"), "Going back.\n");
	run_loop(NULL);
	expect_running("hostname r1\n!\nend\n");
	ck_assert_str_eq(type(&p, "commit"), "% No change waits for a confirmation\n");
	hang_up(&p);
}
END_TEST

START_TEST(a_change_on_its_way_back_cannot_be_kept)
{
	struct person p, other;

	come(&p, CONN_ADMIN, true);
	come(&other, CONN_ADMIN, true);
	type(&p, "configure candidate\nhostname r1\ncommit\nhostname r2\ncommit confirmed 5\nend");
	kernel.hold = true;
	ck_assert_str_eq(type(&p, "commit abort"), "Going back.\n");
	run_loop(NULL);
	ck_assert(kernel.running);
	ck_assert_str_eq(type(&other, "commit"), "% The change is being taken back already\n");
	kernel.hold = false;
	apply_soon(&kernel);
	run_loop(NULL);
	expect_running("hostname r1\n!\nend\n");
	hang_up(&p);
	hang_up(&other);
}
END_TEST

START_TEST(what_the_kernel_refuses_is_led_back)
{
	struct person p;

	come(&p, CONN_ADMIN, true);
	type(&p, "configure terminal");
	kernel.fail = 1;
	ck_assert_str_eq(type(&p, "hostname r1"),
			 "% add a thing: Out of luck\n% Nothing was changed.\n");
	ck_assert_int_eq(p.c.status, 1);
	ck_assert_uint_eq(kernel.n_repairs, 1);
	expect_running("!\nend\n");
	type(&p, "hostname r2");
	expect_running("hostname r2\n!\nend\n");
	hang_up(&p);
}
END_TEST

/* ---- two at once ---- */

START_TEST(two_operators)
{
	struct person a, b;

	come(&a, CONN_ADMIN, true);
	come(&b, CONN_ADMIN, true);
	play_as(&a, "rtr#configure candidate\n"
		    "rtr(config*)#hostname r1\n"
		    "rtr(config*)#interface eth0\n");
	play_as(&b, "rtr#configure candidate\n"
		    "% anna (pid 77) holds the candidate\n"
		    "rtr#configure terminal\n" ENTER "rtr(config)#lines 30\n"
		    "rtr(config)#router bgp 1\n"
		    "rtr(config-router)#bgp router-id 1.1.1.1\n");
	play_as(&a,
		"rtr(config-if*)#mtu 1400\n"
		"rtr(config-if*)#commit\n"
		"% The running configuration changed since; \"rebase\" puts your lines on top of it\n"
		"rtr(config-if*)#rebase\n"
		"rtr(config-if*)#show candidate diff\n"
		"+hostname r1\n+interface eth0\n+ mtu 1400\n"
		"rtr(config-if*)#commit\n"
		"Commit complete.\n"
		"r1(config-if*)#end\n");
	/* Lines of a buffered mode go on top of what changed meanwhile. */
	play_as(&b, "r1(config-router)#exit\n"
		    "r1(config)#do show running-config | exclude !\n"
		    "hostname r1\nlines 30\ninterface eth0\n mtu 1400\nrouter bgp 1\n"
		    " bgp router-id 1.1.1.1\nend\n"
		    "r1(config)#interface eth0\n");
	/* The mode that one stands in is taken away by the other. */
	play_as(&a, "r1#configure terminal\n" ENTER "r1(config)#no interface eth0\n");
	play_as(&b, "r1(config-if)#mtu 1300\n"
		    "              ^\n"
		    "% Invalid input detected at '^' marker.\n"
		    "r1(config)#\n");
	hang_up(&a);
	hang_up(&b);
}
END_TEST

START_TEST(rebase_tells_what_no_longer_fits)
{
	struct person a, b;

	come(&a, CONN_ADMIN, true);
	come(&b, CONN_ADMIN, true);
	play_as(&b, "rtr#configure terminal\n" ENTER "rtr(config)#router bgp 1\n"
		    "rtr(config-router)#neighbor 10.0.0.1 remote-as 2\n"
		    "rtr(config-router)#exit\n");
	play_as(&a, "rtr#configure candidate\n"
		    "rtr(config*)#router bgp 1\n"
		    "rtr(config-router*)#neighbor 10.0.0.1 shutdown\n");
	play_as(&b, "rtr(config)#no router bgp 1\n"
		    "rtr(config)#router bgp 2\n"
		    "rtr(config-router)#end\n");
	play_as(&a,
		"rtr(config-router*)#rebase\n"
		"% the configuration changed meanwhile: \"router bgp 1\": there can be only one, and there is: router bgp 2\n"
		"rtr(config-router*)#show candidate diff\n"
		" router bgp 1\n+ neighbor 10.0.0.1 shutdown\n"
		"rtr(config-router*)#abort\n");
	hang_up(&a);
	hang_up(&b);
}
END_TEST

/* ---- hanging up ---- */

START_TEST(a_hang_up_discards_and_logs)
{
	struct person p;

	come(&p, CONN_ADMIN, true);
	type(&p, "configure terminal");
	type(&p, "router bgp 1");
	type(&p, "bgp router-id 1.1.1.1");
	hang_up(&p);
	run_loop(NULL);
	expect_running("!\nend\n");
	ck_assert(logged("anna hung up; 2 lines that were not committed are discarded"));
}
END_TEST

/* Whoever hangs up while the kernel works: the commit goes on, nobody is told. */
static const char *const slow[] = {
	"configure terminal\nhostname r1",
	"configure candidate\nhostname r1\ncommit",
	"configure replace startup-config",
	"rollback 2",
	"reload",
};

START_TEST(a_hang_up_during_a_commit)
{
	struct person p;

	come(&p, CONN_ADMIN, true);
	type(&p,
	     "configure terminal\nhostname r1\nend\nwrite memory\nconfigure terminal\nlines 30\nend");
	ck_assert_msg(!p.c.status, "%s", strbuf_str(&p.c.seen));
	if (_i < 2)
		type(&p, "configure terminal\nno hostname\nend");
	kernel.hold = true;
	type(&p, slow[_i]);
	ck_assert(!p.c.done);
	if (p.c.question) {
		session_answer(p.s, "no");
		run_loop(NULL);
	}
	ck_assert(kernel.running);
	session_interrupt(p.s);
	hang_up(&p);
	apply_soon(NULL);
	kernel.hold = false;
	run_loop(NULL);
	ck_assert(!txn_busy());
	if (_i < 2)
		expect_running("hostname r1\nlines 30\n!\nend\n");
	else
		expect_running("hostname r1\n!\nend\n");
}
END_TEST

START_TEST(interrupts)
{
	struct person p;

	come(&p, CONN_ADMIN, true);
	ck_assert_str_eq(type(&p, "wait"), "waiting");
	ck_assert(!p.c.done);
	session_interrupt(p.s);
	ck_assert(p.c.done);
	ck_assert_str_eq(strbuf_str(&p.c.seen), "waiting stopped\n");
	/* The rest of a text is not run, and a paste that was interrupted is not half a paste. */
	type(&p, "configure terminal\nhostname r1\ndo wait\nlines 30\nend");
	session_interrupt(p.s);
	run_loop(&p.c);
	ck_assert(p.c.done);
	expect_running("!\nend\n");
	type(&p, "end");
	/* Nothing runs: nothing to stop. */
	session_interrupt(p.s);
	/* At a question it is the way out. */
	type(&p, "configure candidate");
	type(&p, "hostname r1");
	type(&p, "end");
	ck_assert_ptr_nonnull(p.c.question);
	session_interrupt(p.s);
	ck_assert(p.c.done);
	ck_assert_str_eq(session_prompt(p.s), "rtr(config*)#");
	expect_running("!\nend\n");
	type(&p, "abort");
	hang_up(&p);
}
END_TEST

/* ---- JSON and secrets ---- */

static json_t *one_document(const char *text)
{
	json_error_t err;
	json_t *j = json_loads(text, JSON_DECODE_ANY, &err);

	ck_assert_msg(j, "%s in:\n%s", err.text, text);
	return j;
}

static const struct {
	const char *line;
	bool fails;
} json_lines[] = {
	{ "show thing", false },
	{ "show failure", true },
	{ "show nothing", true },
	{ "show", true },
	{ "co", true },
	{ "show thing | include (", true },
	{ "show thing | grep x", true },
	{ "show running-config", false },
	{ "show startup-config", false },
	{ "show archive", false },
	{ "show archive config differences 1", false },
	{ "show archive config differences 99", true },
	{ "show kernel drift", false },
	{ "show reload", false },
	{ "show candidate", false },
	{ "show candidate diff", false },
	{ "rollback 99", true },
	{ "configure replace /nonexistent", true },
};

START_TEST(json_is_one_document)
{
	struct person p;
	char *piped = xasprintf("%s | json", json_lines[_i].line);
	json_t *j;

	come(&p, CONN_ADMIN, false);
	type(&p, "configure candidate\nhostname r1\ncommit");
	if (!strstr(json_lines[_i].line, "candidate"))
		type(&p, "end");
	type_json(&p, json_lines[_i].line);
	j = one_document(strbuf_str(&p.c.out));
	ck_assert_uint_eq(strbuf_str(&p.c.seen)[0], strbuf_str(&p.c.out)[0]);
	ck_assert_int_eq(p.c.status, json_lines[_i].fails);
	ck_assert((json_object_get(j, "error") != NULL) == json_lines[_i].fails);
	json_decref(j);
	if (!strchr(json_lines[_i].line, '|')) {
		type(&p, piped);
		j = one_document(strbuf_str(&p.c.out));
		ck_assert((json_object_get(j, "error") != NULL) == json_lines[_i].fails);
		ck_assert_int_eq(p.c.status, json_lines[_i].fails);
		json_decref(j);
	}
	free(piped);
	hang_up(&p);
}
END_TEST

static const char *const telling[] = {
	"show running-config",
	"show running-config | json",
	"show running-config all",
	"show startup-config",
	"show startup-config | json",
	"show archive config differences 2",
	"show archive config differences 1 2",
	"show archive config differences 1 2 | json",
	"show archive",
};

START_TEST(secrets_are_masked)
{
	struct person a, r;

	come(&a, CONN_ADMIN, true);
	come(&r, CONN_READER, true);
	type(&a, "configure terminal\nrouter bgp 1\nneighbor 10.0.0.1 remote-as 2\n"
		 "neighbor 10.0.0.1 password s3cret\nend\nwrite memory");
	ck_assert_msg(!a.c.status, "%s", strbuf_str(&a.c.seen));
	type(&a, "configure terminal\nhostname r1\nrouter bgp 1\n"
		 "neighbor 10.0.0.1 password s3cret2\nend");
	ck_assert_ptr_nonnull(strstr(type(&a, "show running-config"), "password s3cret2"));
	for (size_t i = 0; i < ARRAY_LEN(telling); i++) {
		type(&r, telling[i]);
		ck_assert_int_eq(r.c.status, 0);
		ck_assert_msg(strbuf_str(&r.c.seen)[0], "%s says nothing", telling[i]);
		ck_assert_msg(!strstr(strbuf_str(&r.c.seen), "s3cret"), "%s", telling[i]);
	}
	/* That a secret changed is not one. */
	type(&r, "show archive config differences 1 2");
	ck_assert_ptr_nonnull(strstr(strbuf_str(&r.c.seen), "password"));
	ck_assert(!logged("s3cret"));
	ck_assert(logged("password"));
	/* Who gives up his privileges sees no more than a reader. */
	type(&a, "configure candidate");
	type(&a, "router bgp 1");
	type(&a, "neighbor 10.0.0.1 password s3cret3");
	type(&a, "do disable");
	type(&a, "show candidate");
	ck_assert_ptr_null(strstr(strbuf_str(&a.c.seen), "s3cret"));
	type(&a, "show candidate | json");
	ck_assert_ptr_null(strstr(strbuf_str(&a.c.seen), "s3cret"));
	type(&a, "show candidate diff");
	ck_assert_ptr_null(strstr(strbuf_str(&a.c.seen), "s3cret"));
	type(&a, "abort");
	hang_up(&a);
	hang_up(&r);
}
END_TEST

START_TEST(readers_change_nothing)
{
	static const char *const lines[] = { "configure terminal",
					     "configure candidate",
					     "write memory",
					     "rollback 1",
					     "reload",
					     "commit",
					     "commit abort" };
	struct person r;

	come(&r, CONN_READER, true);
	ck_assert_str_eq(session_prompt(r.s), "rtr>");
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		type(&r, lines[i]);
		ck_assert_int_eq(r.c.status, 1);
		ck_assert_ptr_nonnull(strstr(strbuf_str(&r.c.seen), "% Invalid input"));
	}
	ck_assert_ptr_nonnull(
		strstr(type(&r, "configure terminal\nhostname x\nend"), "% Invalid input"));
	expect_running("!\nend\n");
	hang_up(&r);
}
END_TEST

/* ---- files ---- */

START_TEST(output_to_a_file)
{
	static const struct {
		const char *word;
		enum conn_redirect mode;
	} ways[] = { { "redirect", CONN_REDIRECT },
		     { "append", CONN_APPEND },
		     { "tee", CONN_TEE } };
	struct person p;

	come(&p, CONN_ADMIN, true);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		char *line = xasprintf("show thing | include one | %s /tmp/f", ways[i].word);

		ck_assert_str_eq(type(&p, line), " one\n");
		ck_assert_str_eq(p.c.file, "/tmp/f");
		ck_assert_int_eq(p.c.mode, ways[i].mode);
		free(line);
	}
	hang_up(&p);
}
END_TEST

START_TEST(the_archive_keeps_what_was_meant)
{
	struct person p;
	json_t *list;

	come(&p, CONN_ADMIN, true);
	type(&p, "configure candidate");
	type(&p, "hostname bad");
	type(&p, "commit comment refused");
	type(&p, "hostname r1");
	type(&p, "commit comment first");
	type(&p, "hostname r2");
	type(&p, "commit comment second");
	type(&p, "end");
	type(&p, "configure terminal");
	type(&p, "hostname r3");
	type(&p, "lines 30");
	type(&p, "end");
	list = archive_list();
	ck_assert_uint_eq(json_array_size(list), 3);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 0), "comment")),
			 "terminal");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 1), "comment")),
			 "second");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 2), "comment")),
			 "first");
	json_decref(list);
	hang_up(&p);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session");
	TCase *tc = tcase_create("session");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, transcript, 0, (int)ARRAY_LEN(transcripts));
	tcase_add_test(tc, a_script_sees_its_lines);
	tcase_add_test(tc, a_paste_is_one_commit);
	tcase_add_test(tc, a_long_text_lets_others_in);
	tcase_add_test(tc, a_confirmed_commit_is_taken_back);
	tcase_add_test(tc, a_change_on_its_way_back_cannot_be_kept);
	tcase_add_test(tc, what_the_kernel_refuses_is_led_back);
	tcase_add_test(tc, two_operators);
	tcase_add_test(tc, rebase_tells_what_no_longer_fits);
	tcase_add_test(tc, a_hang_up_discards_and_logs);
	tcase_add_loop_test(tc, a_hang_up_during_a_commit, 0, (int)ARRAY_LEN(slow));
	tcase_add_test(tc, interrupts);
	tcase_add_loop_test(tc, json_is_one_document, 0, (int)ARRAY_LEN(json_lines));
	tcase_add_test(tc, secrets_are_masked);
	tcase_add_test(tc, readers_change_nothing);
	tcase_add_test(tc, output_to_a_file);
	tcase_add_test(tc, the_archive_keeps_what_was_meant);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
