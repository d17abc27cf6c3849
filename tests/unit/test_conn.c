/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients that do all that a client may and much that it may not, over socket pairs, with the stub
 * session behind the real connection code. After each test no session and no descriptor is left.
 */
#include "cli/conn.h"
#include "cli/conn_allow.h"
#include "cli/conn_auth.h"
#include "cliproto.h"
#include "../lib/check_main.h"
#include "../lib/stub_session.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
	int fd;
	struct strbuf in;
	size_t taken;
	bool eof;
};

static struct event_base *base;
static struct conn_server *server;
static unsigned n_fds_before;

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void start(const struct conn_limits *lim)
{
	n_fds_before = count_fds();
	stub_stats = (struct stub_stats){ 0 };
	base = event_base_new();
	server = conn_server_new(base, -1, lim);
}

static void finish(void)
{
	conn_server_free(server, "over");
	event_base_free(base);
	ck_assert_uint_eq(stub_stats.n_sessions, 0);
	ck_assert_uint_eq(count_fds(), n_fds_before);
}

static struct client connect_client(void)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
	conn_server_add(server, sv[0]);
	return (struct client){ .fd = sv[1] };
}

static void hang_up(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	strbuf_fini(&c->in);
	c->taken = 0;
}

/* Lets the server work until it has nothing to do, or for ms. */
static void work(unsigned ms)
{
	uint64_t end = rtr_now_ns() + ms * NSEC_PER_MSEC;

	do {
		for (int i = 0; i < 50; i++)
			event_base_loop(base, EVLOOP_NONBLOCK);
		if (ms)
			usleep(1000);
	} while (rtr_now_ns() < end);
}

/* All or nothing is not promised: returns what the socket took. */
static size_t push(struct client *c, const void *buf, size_t size)
{
	ssize_t n = send(c->fd, buf, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

static void push_all(struct client *c, const void *buf, size_t size)
{
	const char *p = buf;

	for (int i = 0; size && i < 100000; i++) {
		size_t n = push(c, p, size);

		p += n;
		size -= n;
		work(0);
	}
	ck_assert_uint_eq(size, 0);
}

static void say(struct client *c, enum clp_type type, uint32_t num, const char *text)
{
	struct strbuf b = STRBUF_INIT;

	clp_encode1(&b, type, num, text, text ? strlen(text) : 0);
	push_all(c, b.s, b.len);
	strbuf_fini(&b);
}

static void say_hello(struct client *c, uint32_t version, uint32_t flags)
{
	struct strbuf b = STRBUF_INIT;
	uint32_t nums[] = { version, 0, flags, 80, 24 };

	clp_encode(&b, CLP_HELLO, nums, 5, &(struct clp_str){ "test", 4 }, 1);
	push_all(c, b.s, b.len);
	strbuf_fini(&b);
}

static void fill(struct client *c)
{
	char buf[65536];
	ssize_t n;

	while ((n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		strbuf_add(&c->in, buf, (size_t)n);
	c->eof |= n == 0 || (n < 0 && errno != EAGAIN);
}

/* The next message, waiting at most 2 s; false at the end of the connection. */
static bool next(struct client *c, struct clp_msg *m)
{
	for (int i = 0; i < 2000; i++) {
		size_t have = c->in.len - c->taken;
		int64_t size;

		size = have ? clp_size(c->in.s + c->taken, have) : 0;
		ck_assert_int_ge(size, 0);
		if (size && (size_t)size <= have) {
			ck_assert_int_eq(clp_decode(c->in.s + c->taken, (size_t)size, m), 0);
			c->taken += (size_t)size;
			return true;
		}
		if (c->eof)
			return false;
		work(i ? 1 : 0);
		fill(c);
	}
	ck_abort_msg("no message came");
}

static void expect(struct client *c, enum clp_type type, const char *text)
{
	struct clp_msg m;

	ck_assert(next(c, &m));
	ck_assert_int_eq(m.type, type);
	if (text)
		ck_assert_msg(strstr(m.str.s, text), "%s is not in %s", text, m.str.s);
}

/* The connection ends with a BYE that holds the text; what stands before it is passed over. */
static void expect_bye(struct client *c, const char *text)
{
	struct clp_msg m = { 0 };

	while (next(c, &m) && m.type != CLP_BYE)
		;
	ck_assert_int_eq(m.type, CLP_BYE);
	ck_assert_msg(strstr(m.str.s, text), "%s is not in %s", text, m.str.s);
	ck_assert(!next(c, &m));
	hang_up(c);
}

static struct client greet(uint32_t flags)
{
	struct client c = connect_client();

	say_hello(&c, CLP_VERSION, flags);
	expect(&c, CLP_HELLO, "stub# ");
	return c;
}

static void expect_works(struct client *c)
{
	say(c, CLP_EXEC, 0, "echo fine");
	expect(c, CLP_OUTPUT, "fine");
	expect(c, CLP_OUTPUT, "\n");
	expect(c, CLP_DONE, "stub# ");
}

START_TEST(talk)
{
	struct client c;
	struct clp_msg m;
	struct clp_str s;

	start(NULL);
	c = greet(CLP_HELLO_INTERACTIVE);
	expect_works(&c);
	say(&c, CLP_HELP, 0, "ec");
	expect(&c, CLP_OUTPUT, "help for <ec>");
	expect(&c, CLP_DONE, NULL);
	say(&c, CLP_COMPLETE, 1, "e");
	ck_assert(next(&c, &m));
	ck_assert_int_eq(m.type, CLP_COMPLETIONS);
	ck_assert_uint_eq(m.n_str, 4);
	ck_assert_str_eq(m.str.s, "echo");
	ck_assert(clp_next_str(&m, &s));
	ck_assert_str_eq(s.s, "err");
	/* A cursor beyond the line is inside it. */
	say(&c, CLP_COMPLETE, 4000000000u, "siz");
	expect(&c, CLP_COMPLETIONS, "size");
	say(&c, CLP_EXEC, 0, "ask Really?");
	expect(&c, CLP_QUESTION, "Really?");
	say(&c, CLP_ANSWER, 0, "yes");
	expect(&c, CLP_OUTPUT, "answer <yes>");
	expect(&c, CLP_DONE, NULL);
	/* An answer that nobody asked for is nothing. */
	say(&c, CLP_ANSWER, 0, "yes");
	expect_works(&c);
	hang_up(&c);
	work(0);
	ck_assert_uint_eq(stub_stats.n_freed, 1);
	finish();
}
END_TEST

START_TEST(interrupt_while_busy)
{
	struct client c;

	start(NULL);
	c = greet(0);
	say(&c, CLP_INTERRUPT, 0, NULL);
	work(0);
	ck_assert_uint_eq(stub_stats.n_interrupts, 0);
	say(&c, CLP_EXEC, 0, "wait");
	expect(&c, CLP_OUTPUT, "waiting");
	say(&c, CLP_EXEC, 0, "echo next");
	work(0);
	ck_assert_uint_eq(stub_stats.n_execs, 1);
	say(&c, CLP_INTERRUPT, 0, NULL);
	expect(&c, CLP_OUTPUT, "interrupted");
	expect(&c, CLP_DONE, NULL);
	expect(&c, CLP_OUTPUT, "next");
	hang_up(&c);
	work(0);
	finish();
}
END_TEST

/* Whatever a client says instead of the protocol, it gets a BYE and is gone. */
START_TEST(garbage)
{
	static const struct {
		const char *bytes;
		size_t size;
		bool greeted;
		const char *why;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 18, false, "protocol" },
		{ "\x04\0\0\0\x63\0\0\0", 8, false, "protocol" },      /* type 99 */
		{ "\0\0\0\0\x02\0\0\0", 8, false, "protocol" },        /* shorter than a header */
		{ "\x04\0\0\0\x05\0\0\0", 8, false, "not a HELLO" },   /* INTERRUPT first */
		{ "\x04\0\0\0\x02\0\0\0", 8, true, "protocol" },       /* EXEC without text */
		{ "\xff\xff\xff\xff\x02\0\0\0", 8, true, "too long" }, /* 4 GiB */
		{ "\x04\0\0\0\x05\xff\0\0", 8, true, "protocol" },     /* 255 numbers in 0 bytes */
		{ "\x0e\0\0\0\x02\x01\x01\0\0\0\0\0\x01\0\0\0zz", 18, true, "protocol" },
	};
	struct client c;

	start(NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		c = cases[i].greeted ? greet(0) : connect_client();
		push_all(&c, cases[i].bytes, cases[i].size);
		expect_bye(&c, cases[i].why);
	}
	c = greet(0);
	say(&c, CLP_DONE, 0, "I am rtrd");
	expect_bye(&c, "only rtrd sends");
	c = connect_client();
	say_hello(&c, CLP_VERSION + 1, 0);
	expect_bye(&c, "version");
	c = greet(0);
	{
		struct strbuf b = STRBUF_INIT;

		clp_encode1(&b, CLP_EXEC, 0, "echo a\0b", 8);
		push_all(&c, b.s, b.len);
		strbuf_fini(&b);
	}
	expect_bye(&c, "NUL");
	finish();
}
END_TEST

static size_t script(struct strbuf *b)
{
	uint32_t nums[] = { CLP_VERSION, 0, CLP_HELLO_INTERACTIVE, 80, 24 };

	clp_encode(b, CLP_HELLO, nums, 5, &(struct clp_str){ "test", 4 }, 1);
	clp_encode1(b, CLP_EXEC, 0, "count 50", 8);
	clp_encode1(b, CLP_HELP, 0, "e", 1);
	clp_encode1(b, CLP_EXEC, 0, "wait", 4);
	clp_encode1(b, CLP_INTERRUPT, 0, NULL, 0);
	clp_encode1(b, CLP_EXEC, 0, "ask ?", 5);
	return b->len;
}

START_TEST(hang_up_at_any_byte)
{
	struct strbuf b = STRBUF_INIT;
	size_t len = script(&b);
	unsigned n = 0;

	start(NULL);
	for (size_t cut = 0; cut <= len; cut++, n++) {
		struct client c = connect_client();

		push_all(&c, b.s, cut);
		hang_up(&c);
		work(0);
	}
	ck_assert_uint_eq(stub_stats.n_sessions, 0);
	strbuf_fini(&b);
	finish();
}
END_TEST

START_TEST(one_byte_at_a_time)
{
	struct strbuf b = STRBUF_INIT;
	struct client c;
	struct clp_msg m;
	unsigned n_done = 0;

	start(NULL);
	c = connect_client();
	script(&b);
	for (size_t i = 0; i < b.len; i++)
		push_all(&c, b.s + i, 1);
	do {
		ck_assert(next(&c, &m));
		n_done += m.type == CLP_DONE;
	} while (m.type != CLP_QUESTION);
	ck_assert_uint_eq(n_done, 3);
	strbuf_fini(&b);
	hang_up(&c);
	work(0);
	finish();
}
END_TEST

START_TEST(random_bytes)
{
	uint64_t rnd = test_seed;

	start(NULL);
	for (int i = 0; i < 2000; i++) {
		struct strbuf b = STRBUF_INIT;
		struct client c = connect_client();

		script(&b);
		for (uint64_t k = test_rand(&rnd) % 8; k; k--)
			b.s[test_rand(&rnd) % b.len] = (char)test_rand(&rnd);
		push(&c, b.s, b.len);
		work(0);
		hang_up(&c);
		work(0);
		strbuf_fini(&b);
	}
	/* The last ones may be paused for what the others took. */
	work(250);
	ck_assert_uint_eq(stub_stats.n_sessions, 0);
	finish();
}
END_TEST

START_TEST(half_messages_and_silence)
{
	struct conn_limits lim = conn_limits_default;
	struct client a, b, c;

	lim.hello_ms = 300;
	start(&lim);
	a = connect_client();
	b = greet(0);
	push_all(&b, "\x10\0\0\0\x02", 5);
	c = greet(0);
	expect_bye(&a, "no HELLO");
	expect_bye(&b, "not finished");
	/* Silence between messages is not an offence. */
	work(400);
	expect_works(&c);
	hang_up(&c);
	work(0);
	finish();
}
END_TEST

/* Never reading: the command pauses at the high-water mark and ends with its connection; another
 * client is served all the while. */
START_TEST(never_reads)
{
	struct conn_limits lim = conn_limits_default;
	struct client bad, good;

	lim.stall_ms = 1000;
	start(&lim);
	good = greet(0);
	bad = greet(0);
	say(&bad, CLP_EXEC, 0, "count 100000000");
	for (int i = 0; i < 5; i++) {
		work(10);
		expect_works(&good);
	}
	ck_assert_uint_eq(stub_stats.n_sessions, 2);
	work(1300);
	ck_assert_uint_eq(stub_stats.n_sessions, 1);
	/* The BYE is behind what it did not read. */
	expect_bye(&bad, "not read");
	expect_works(&good);
	hang_up(&good);
	work(0);
	finish();
}
END_TEST

START_TEST(drained_goes_on)
{
	struct client c;
	struct clp_msg m;
	size_t n = 0;

	start(NULL);
	c = greet(0);
	say(&c, CLP_EXEC, 0, "count 200000");
	do {
		ck_assert(next(&c, &m));
		n += m.type == CLP_OUTPUT;
		/* Keeps the test's own memory small. */
		if (c.taken > (1 << 20)) {
			memmove(c.in.s, c.in.s + c.taken, c.in.len - c.taken);
			c.in.len -= c.taken;
			c.taken = 0;
		}
	} while (m.type != CLP_DONE);
	ck_assert_uint_eq(n, 200000);
	ck_assert_uint_gt(stub_stats.n_drained, 0);
	hang_up(&c);
	work(0);
	finish();
}
END_TEST

START_TEST(hard_limit)
{
	struct conn_limits lim = conn_limits_default;
	struct client c;

	lim.out_hard = 1 << 20;
	start(&lim);
	c = greet(0);
	say(&c, CLP_EXEC, 0, "flood 100000");
	work(0);
	ck_assert_uint_eq(stub_stats.n_sessions, 0);
	expect_bye(&c, "not read fast enough");
	finish();
}
END_TEST

START_TEST(too_many_requests_while_busy)
{
	struct client c, good;

	start(NULL);
	good = greet(0);
	c = greet(0);
	say(&c, CLP_EXEC, 0, "wait");
	for (unsigned i = 0; i < conn_limits_default.max_queued; i++)
		say(&c, CLP_EXEC, 0, "echo x");
	work(0);
	ck_assert_uint_eq(stub_stats.n_sessions, 2);
	say(&c, CLP_EXEC, 0, "echo x");
	expect_bye(&c, "too many requests");
	expect_works(&good);
	hang_up(&good);
	work(0);
	finish();
}
END_TEST

/* A client that sends without end is read no faster than its allowance; it is not closed. */
START_TEST(flood_is_slowed)
{
	struct conn_limits lim = conn_limits_default;
	struct client c;
	unsigned n = 0, n_done = 0;
	struct clp_msg m;
	uint64_t began = rtr_now_ns();

	lim.msgs_per_sec = 100;
	lim.msgs_burst = 50;
	start(&lim);
	c = greet(0);
	for (; rtr_now_ns() < began + 500 * NSEC_PER_MSEC; n++) {
		struct strbuf b = STRBUF_INIT;

		clp_encode1(&b, CLP_EXEC, 0, "fail 0", 6);
		if (push(&c, b.s, b.len) < b.len)
			n--;
		strbuf_fini(&b);
		work(0);
		fill(&c);
	}
	/* 50 at once and 100 a second, HELLO among them; one read may overdraw what was left. */
	ck_assert_uint_ge(stub_stats.n_execs, 49);
	ck_assert_uint_le(stub_stats.n_execs, 55 + (rtr_now_ns() - began) / (10 * NSEC_PER_MSEC));
	ck_assert_uint_gt(n, 200);
	ck_assert(!c.eof);
	while (n_done < 60 && next(&c, &m))
		n_done += m.type == CLP_DONE;
	hang_up(&c);
	work(100);
	finish();
}
END_TEST

/* Its allowance is empty and it hangs up: seen soon, not when the allowance has filled. */
START_TEST(flood_and_gone)
{
	struct conn_limits lim = conn_limits_default;
	struct client c;

	lim.msgs_per_sec = 1;
	lim.msgs_burst = 10;
	start(&lim);
	c = greet(0);
	for (int i = 0; i < 100; i++) {
		struct strbuf b = STRBUF_INIT;

		clp_encode1(&b, CLP_EXEC, 0, "fail 0", 6);
		push(&c, b.s, b.len);
		strbuf_fini(&b);
	}
	work(10);
	ck_assert_uint_eq(stub_stats.n_sessions, 1);
	hang_up(&c);
	work(250);
	ck_assert_uint_eq(stub_stats.n_sessions, 0);
	finish();
}
END_TEST

START_TEST(largest_paste)
{
	size_t size = CLP_MAX_SIZE - 64;
	struct strbuf text = STRBUF_INIT, b = STRBUF_INIT;
	struct client c;

	while (text.len < size)
		strbuf_adds(&text, "permit tcp host 192.0.2.1 any eq 443\n");
	start(NULL);
	c = greet(0);
	clp_encode1(&b, CLP_EXEC, 0, text.s, size);
	push_all(&c, b.s, b.len);
	expect(&c, CLP_OUTPUT, "one transaction of");
	ck_assert_uint_eq(stub_stats.last_size, size);
	hang_up(&c);
	work(0);
	strbuf_fini(&text);
	strbuf_fini(&b);
	finish();
}
END_TEST

START_TEST(too_many_sessions)
{
	struct conn_limits lim = conn_limits_default;
	struct client c[4];

	lim.max_conns_uid = 3;
	start(&lim);
	for (int i = 0; i < 3; i++)
		c[i] = greet(0);
	c[3] = connect_client();
	expect_bye(&c[3], "too many sessions of this user");
	hang_up(&c[0]);
	work(0);
	c[0] = greet(0);
	for (int i = 0; i < 3; i++)
		hang_up(&c[i]);
	work(0);
	finish();
}
END_TEST

START_TEST(logs)
{
	struct client a, b;

	start(NULL);
	a = greet(CLP_HELLO_INTERACTIVE);
	b = greet(CLP_HELLO_INTERACTIVE);
	say(&a, CLP_EXEC, 0, "log %LINK-3-UPDOWN");
	expect(&b, CLP_LOG, "%LINK-3-UPDOWN");
	expect(&a, CLP_LOG, "%LINK-3-UPDOWN");
	expect(&a, CLP_DONE, NULL);
	/* b's output is behind: log lines are counted, not queued. */
	say(&b, CLP_EXEC, 0, "count 100000000");
	work(0);
	for (int i = 0; i < 5; i++) {
		say(&a, CLP_EXEC, 0, "log lost");
		expect(&a, CLP_LOG, "lost");
		expect(&a, CLP_DONE, NULL);
	}
	say(&b, CLP_INTERRUPT, 0, NULL);
	for (struct clp_msg m = { 0 }; m.type != CLP_DONE;)
		ck_assert(next(&b, &m));
	say(&a, CLP_EXEC, 0, "log seen");
	expect(&b, CLP_LOG, "5 log lines were not shown");
	expect(&b, CLP_LOG, "seen");
	hang_up(&a);
	hang_up(&b);
	work(0);
	finish();
}
END_TEST

START_TEST(stopping_says_so)
{
	struct client c;
	struct clp_msg m;

	start(NULL);
	c = greet(0);
	server = conn_server_free(server, "rtrd stops");
	fill(&c);
	ck_assert(next(&c, &m));
	ck_assert_int_eq(m.type, CLP_BYE);
	ck_assert_uint_eq(m.num[0], CLP_BYE_RESTART);
	ck_assert_str_eq(m.str.s, "rtrd stops");
	hang_up(&c);
	finish();
}
END_TEST

START_TEST(who_may)
{
	struct conn_groups g = { .reader = 100, .admin = 200 }, none = { CONN_NO_GID, CONN_NO_GID };
	gid_t reader[] = { 7, 100 }, admin[] = { 200, 100 }, other[] = { 7, 8, CONN_NO_GID };
	enum conn_level l = CONN_READER;

	ck_assert(conn_auth_level(&g, 0, 5, other, 3, &l) && l == CONN_ADMIN);
	ck_assert(conn_auth_level(&g, 5, 5, other, 3, &l) && l == CONN_ADMIN);
	ck_assert(conn_auth_level(&g, 6, 5, admin, 2, &l) && l == CONN_ADMIN);
	ck_assert(conn_auth_level(&g, 6, 5, reader, 2, &l) && l == CONN_READER);
	ck_assert(!conn_auth_level(&g, 6, 5, other, 3, &l));
	/* A group that does not exist is nobody's, whatever number the peer claims. */
	ck_assert(!conn_auth_level(&none, 6, 5, other, 3, &l));
}
END_TEST

START_TEST(allowances)
{
	struct conn_limits lim = { .bytes_per_sec = 1000,
				   .bytes_burst = 5000,
				   .msgs_per_sec = 10,
				   .msgs_burst = 20,
				   .max_conns_uid = 2 };
	struct conn_users users = TAILQ_HEAD_INITIALIZER(users);
	uint64_t now = 5 * NSEC_PER_SEC, wait;
	struct conn_user *u = conn_allow_enter(&users, &lim, 1000, now);

	ck_assert_ptr_eq(conn_allow_enter(&users, &lim, 1000, now), u);
	ck_assert_ptr_null(conn_allow_enter(&users, &lim, 1000, now));
	ck_assert_ptr_ne(conn_allow_enter(&users, &lim, 1001, now), u);
	ck_assert_uint_eq(conn_allow_take(u, &lim, 5000, 20, now), 0);
	wait = conn_allow_take(u, &lim, 2000, 0, now);
	ck_assert_uint_ge(wait, 2 * NSEC_PER_SEC);
	ck_assert_uint_le(wait, 2 * NSEC_PER_SEC + 20 * NSEC_PER_MSEC);
	ck_assert_uint_eq(conn_allow_take(u, &lim, 0, 0, now + wait), 0);
	/* Hanging up does not refill. */
	conn_allow_leave(u);
	conn_allow_leave(u);
	ck_assert_ptr_eq(conn_allow_enter(&users, &lim, 1000, now + wait), u);
	ck_assert_int_lt(u->bytes, 100);
	/* A day later it is full and not more. */
	conn_allow_take(u, &lim, 0, 0, now + 86400 * NSEC_PER_SEC);
	ck_assert_int_eq(u->bytes, 5000);
	ck_assert_int_eq(u->msgs, 20);
	conn_allow_free(&users);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("conn");
	TCase *tc = tcase_create("conn");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, talk);
	tcase_add_test(tc, interrupt_while_busy);
	tcase_add_test(tc, garbage);
	tcase_add_test(tc, hang_up_at_any_byte);
	tcase_add_test(tc, one_byte_at_a_time);
	tcase_add_test(tc, random_bytes);
	tcase_add_test(tc, half_messages_and_silence);
	tcase_add_test(tc, never_reads);
	tcase_add_test(tc, drained_goes_on);
	tcase_add_test(tc, hard_limit);
	tcase_add_test(tc, too_many_requests_while_busy);
	tcase_add_test(tc, flood_is_slowed);
	tcase_add_test(tc, flood_and_gone);
	tcase_add_test(tc, largest_paste);
	tcase_add_test(tc, too_many_sessions);
	tcase_add_test(tc, logs);
	tcase_add_test(tc, stopping_says_so);
	tcase_add_test(tc, who_may);
	tcase_add_test(tc, allowances);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
