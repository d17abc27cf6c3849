/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions beside the transcripts of test_transcripts.c: scripts and pastes, commits that are taken
 * back, two operators at once, hanging up, JSON, secrets, files.
 */
#include "../lib/operators.h"

#include "schema/edit.h"
#include "schema/text.h"
#include "system/log.h"
#include "txn/archive.h"
#include "txn/txn.h"

#include <dirent.h>
#include <string.h>

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

START_TEST(the_prompt_follows_the_name)
{
	struct person p, other, script;

	come(&p, CONN_ADMIN, true);
	come(&other, CONN_ADMIN, true);
	come(&script, CONN_ADMIN, false);
	type(&other, "configure terminal");
	type(&script, "show thing");
	type(&p, "configure candidate\nhostname r1\ncommit\nhostname r2\ncommit confirmed 5\nend");
	ck_assert_str_eq(p.c.prompt, "r2#");
	ck_assert_str_eq(other.c.prompt, "r2(config)#");
	type(&other, "do commit abort");
	run_loop(NULL);
	expect_running("hostname r1\n!\nend\n");
	ck_assert_str_eq(p.c.prompt, "r1#");
	ck_assert_str_eq(other.c.prompt, "r1(config)#");
	ck_assert_str_eq(script.c.prompt, "rtr#");
	hang_up(&p);
	hang_up(&other);
	hang_up(&script);
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

static struct rec *named(unsigned i)
{
	struct editor e;
	struct edit_error err;
	struct rec *empty = model_new(), *r;
	char line[16];
	bool changed;

	editor_init(&e, empty);
	snprintf(line, sizeof(line), "hostname r%u", i);
	ck_assert_int_eq(editor_line(&e, line, &changed, &err), 0);
	edit_error_fini(&err);
	r = rec_ref(e.root);
	editor_fini(&e);
	rec_unref(empty);
	return r;
}

static int not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* Of revisions that follow one another closely few wait, however long that goes on. */
START_TEST(few_revisions_wait)
{
	struct rec *root[20];
	struct dirent **names;
	char path[96];
	json_t *list;
	int n;

	for (unsigned i = 0; i < ARRAY_LEN(root); i++) {
		root[i] = named(i);
		archive_add(root[i], "adm", "quick");
	}
	snprintf(path, sizeof(path), "%s/archive", dir);
	n = scandir(path, &names, not_hidden, alphasort);
	ck_assert_int_eq(n, 4);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	list = archive_list();
	ck_assert_uint_eq(json_array_size(list), ARRAY_LEN(root));
	json_decref(list);
	for (unsigned i = 0; i < ARRAY_LEN(root); i++)
		rec_unref(root[i]);
}
END_TEST

/* What a kill left while a revision was written is none, and goes with the next start. */
START_TEST(half_a_revision_is_none)
{
	struct rec *root = named(1);
	char path[160];
	json_t *list;

	archive_add_text("! x\nhostname r1\n", "adm", "whole");
	snprintf(path, sizeof(path), "%s/archive/000009-20260101T000000Z-adm-half.conf~rtr-a1B2c3",
		 dir);
	ck_assert(!rtr_file_swap(path, "host", 4, 0600));
	list = archive_list();
	ck_assert_uint_eq(json_array_size(list), 1);
	json_decref(list);
	archive_fini();
	ck_assert(!archive_init(base, dir));
	ck_assert_int_lt(access(path, F_OK), 0);
	archive_add(root, "adm", "next");
	list = archive_list();
	ck_assert_uint_eq(json_array_size(list), 2);
	ck_assert(!strncmp(json_string_value(json_object_get(json_array_get(list, 0), "file")),
			   "000002-", 7));
	json_decref(list);
	rec_unref(root);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session");
	TCase *tc = tcase_create("session");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, a_script_sees_its_lines);
	tcase_add_test(tc, a_paste_is_one_commit);
	tcase_add_test(tc, a_long_text_lets_others_in);
	tcase_add_test(tc, a_confirmed_commit_is_taken_back);
	tcase_add_test(tc, the_prompt_follows_the_name);
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
	tcase_add_test(tc, few_revisions_wait);
	tcase_add_test(tc, half_a_revision_is_none);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
