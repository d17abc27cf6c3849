/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both planes as one: a fast plane that the test plays, and the kernel's table in a namespace of
 * its own. Needs root.
 */
#include "../lib/check_main.h"
#include "../lib/ct_gen.h"
#include "../lib/netns.h"

#include "conntrack/ct.h"
#include "rtr/fastpath.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

/* Connections by number: the kernel has its own, those from MIRRORED on are of both, those from
 * FAST on of the fast plane alone. */
#define N        3000
#define MIRRORED 1000
#define FAST     2000

static struct event_base *base;

static struct ct_tuple tuple(uint32_t i)
{
	struct ct_tuple t = { .sport = (uint16_t)(1000 + i),
			      .dport = (uint16_t)(i & 1 ? 80 : 443),
			      .proto = i & 2 ? IPPROTO_TCP : IPPROTO_UDP };

	t.src.family = t.dst.family = i & 4 ? AF_INET6 : AF_INET;
	t.src.b[0] = t.dst.b[0] = i & 4 ? 0xfd : 10;
	t.src.b[2] = (uint8_t)(i >> 8);
	t.src.b[3] = (uint8_t)i;
	t.dst.b[3] = 1;
	return t;
}

/* ---- the fast plane ---- */

static struct {
	bool is_there, silent, ended[N];
	uint64_t at;
	uint32_t n, n_refs;
	uint64_t ref[CT_PLANE_REFS];
	void (*each)(void *arg, const struct ct_entry *e);
	void (*done)(void *arg, bool ok, uint64_t next);
	void *arg;
	struct event *ev;
	bool dropped;
} p;

static bool runs(void)
{
	return p.is_there;
}

static void tell(uint32_t i)
{
	struct ct_entry e = { .fast_ref = i + 1,
			      .fast_path = "express",
			      .mirrored = i < FAST,
			      .state = i & 2 ? CT_S_ESTABLISHED : CT_S_ASSURED };

	e.orig = tuple(i);
	e.reply = (struct ct_tuple){ .src = e.orig.dst,
				     .dst = e.orig.src,
				     .sport = e.orig.dport,
				     .dport = e.orig.sport,
				     .proto = e.orig.proto };
	p.each(p.arg, &e);
}

static void answer(evutil_socket_t fd, short what, void *arg)
{
	uint64_t next = 0;

	p.dropped = false;
	if (p.n_refs) {
		for (uint32_t i = 0; i < p.n_refs; i++) {
			next += !p.ended[p.ref[i] - 1];
			p.ended[p.ref[i] - 1] = true;
		}
		p.n_refs = 0;
		p.done(p.arg, true, next);
		return;
	}
	for (next = MAX(p.at, (uint64_t)MIRRORED); next < N && p.n && !p.dropped; next++, p.n--)
		if (!p.ended[next])
			tell((uint32_t)next);
	if (!p.dropped)
		p.done(p.arg, !p.silent, next < N ? next : 0);
}

static void *ask(void (*done)(void *arg, bool ok, uint64_t next), void *arg)
{
	static const struct timeval now;

	p.done = done;
	p.arg = arg;
	if (!p.ev)
		p.ev = evtimer_new(base, answer, NULL);
	event_add(p.ev, &now);
	return &p;
}

static void *list(uint64_t at, uint32_t n, void (*each)(void *arg, const struct ct_entry *e),
		  void (*done)(void *arg, bool ok, uint64_t next), void *arg)
{
	p.at = at;
	p.n = n;
	p.each = each;
	return ask(done, arg);
}

static void *end(const uint64_t *ref, uint32_t n, void (*done)(void *arg, bool ok, uint64_t next),
		 void *arg)
{
	ck_assert_uint_le(n, CT_PLANE_REFS);
	memcpy(p.ref, ref, n * sizeof(*ref));
	p.n_refs = n;
	return ask(done, arg);
}

static void drop(void *request)
{
	p.dropped = true;
	event_del(p.ev);
}

/* ---- the kernel's ---- */

static void kernel_add(struct ct_gen *g, uint32_t i)
{
	struct ct_gen_entry e = { .t = tuple(i), .state = CT_S_ESTABLISHED };
	struct nlmsghdr *h;

	ct_gen_add(g, &e);
	if (i < MIRRORED)
		return;
	ct_gen_flush(g);
	/* The last message is still in the buffer: the same with a label. */
	h = (struct nlmsghdr *)(void *)g->buf;
	h = ctnl_start(h, IPCTNL_MSG_CT_NEW, 0, e.t.src.family);
	ct_wire_tuple(h, &e.t);
	mnl_attr_put(h, CTA_LABELS, 16, (const uint32_t[4]){ FASTPATH_CT_LABEL | 5 });
	if (send(g->fd, h, h->nlmsg_len, 0) < 0)
		abort();
}

static void enter(void)
{
	static const struct ct_plane plane = {
		.runs = runs, .list = list, .end = end, .drop = drop
	};
	struct ct_gen *g;

	netns_enter();
	base = event_base_new();
	ct_init(base);
	ck_assert(sh("nft add table t && nft add chain t c '{ type filter hook forward priority "
		     "0; }' && nft add rule t c ct label set 1"));
	g = ct_gen_open();
	for (uint32_t i = 0; i < FAST; i++)
		kernel_add(g, i);
	ck_assert_uint_eq(g->refused, 0);
	ct_gen_close(g);
	p.is_there = true;
	ct_set_plane(&plane);
}

static void leave(void)
{
	ct_set_plane(NULL);
	if (p.ev)
		event_free(p.ev);
	event_base_free(base);
	memset(&p, 0, sizeof(p));
}

/* ---- what came ---- */

static struct {
	unsigned n, of_fast, times[N];
	bool done;
	int error;
	struct ct_list *list;
	unsigned pause_at, cancel_at;
	struct ct_change_result res;
} got;

static void each(void *arg, const struct ct_entry *e)
{
	uint32_t i = (uint32_t)(e->orig.sport - 1000);

	got.n++;
	got.times[i]++;
	got.of_fast += e->fast_ref != 0;
	if (e->fast_ref)
		ck_assert_uint_eq(e->fast_ref, i + 1);
	if (got.n == got.pause_at)
		ct_list_pause(got.list);
	if (got.n == got.cancel_at)
		got.list = ct_list_cancel(got.list);
}

static void done(void *arg, int error)
{
	got.done = true;
	got.error = error;
}

static const struct ct_dump_fns fns = { each, done };

static void run(const struct ct_filter *f)
{
	int e = 0;

	memset(&got, 0, offsetof(typeof(got), pause_at));
	got.list = ct_list_start(f, &fns, NULL, &e);
	ck_assert_ptr_nonnull(got.list);
	while (!got.done)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_int_eq(got.error, 0);
}

static void once_each(unsigned from, unsigned to)
{
	for (unsigned i = 0; i < N; i++)
		ck_assert_msg(got.times[i] == (i >= from && i < to), "%u: %u times", i,
			      got.times[i]);
}

/* Every connection once, those of both planes as the fast plane's. */
START_TEST(union_of_both)
{
	struct ct_filter tcp = { .has_proto = true, .proto = IPPROTO_TCP };

	run(NULL);
	once_each(0, N);
	ck_assert_uint_eq(got.of_fast, N - MIRRORED);
	run(&tcp);
	ck_assert_uint_eq(got.n, N / 2);
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(got.times[i], !!(i & 2));
	/* Without the fast plane the kernel's are all there is. */
	p.is_there = false;
	run(NULL);
	once_each(0, FAST);
	ck_assert_uint_eq(got.of_fast, 0);
}
END_TEST

/* It dies under way: each that it has not told is the kernel's again. */
START_TEST(falls_silent)
{
	p.silent = true;
	run(NULL);
	once_each(0, FAST);
	ck_assert_uint_gt(got.of_fast, 0);
	ck_assert_uint_lt(got.of_fast, FAST - MIRRORED);
}
END_TEST

START_TEST(pause_and_cancel)
{
	int e = 0;

	for (unsigned at = 1; at < N; at += 611) {
		memset(&got, 0, sizeof(got));
		got.pause_at = at;
		got.list = ct_list_start(NULL, &fns, NULL, &e);
		while (got.n < at)
			event_base_loop(base, EVLOOP_ONCE);
		for (int i = 0; i < 50; i++)
			event_base_loop(base, EVLOOP_NONBLOCK);
		ck_assert(!got.done);
		ck_assert_uint_lt(got.n, at + 600);
		ct_list_resume(got.list);
		while (!got.done)
			event_base_loop(base, EVLOOP_ONCE);
		once_each(0, N);

		memset(&got, 0, sizeof(got));
		got.cancel_at = at;
		got.list = ct_list_start(NULL, &fns, NULL, &e);
		while (got.list)
			event_base_loop(base, EVLOOP_ONCE);
		for (int i = 0; i < 50; i++)
			event_base_loop(base, EVLOOP_NONBLOCK);
		ck_assert_uint_eq(got.n, at);
		ck_assert(!got.done);
	}
}
END_TEST

static void changed(void *arg, const struct ct_change_result *r)
{
	got.done = true;
	got.res = *r;
}

/* Ends in both planes, counted once. */
START_TEST(ends_in_both)
{
	struct ct_filter tcp = { .has_proto = true, .proto = IPPROTO_TCP };
	int e = 0;

	memset(&got, 0, sizeof(got));
	ck_assert_ptr_nonnull(ct_end_start(&tcp, changed, NULL, &e));
	while (!got.done)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_int_eq(got.res.error, 0);
	ck_assert_uint_eq(got.res.ended, N / 2);
	ck_assert_uint_eq(got.res.failed, 0);
	for (unsigned i = MIRRORED; i < N; i++)
		ck_assert_int_eq(p.ended[i], !!(i & 2));
	run(NULL);
	ck_assert_uint_eq(got.n, N / 2);
	/* Nothing is left of those but what is UDP. */
	p.is_there = false;
	run(&tcp);
	ck_assert_uint_eq(got.n, 0);
	run(NULL);
	ck_assert_uint_eq(got.n, FAST / 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ct_list");
	TCase *tc = tcase_create("ct_list");

	netns_or_skip();
	tcase_add_checked_fixture(tc, enter, leave);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, union_of_both);
	tcase_add_test(tc, falls_silent);
	tcase_add_test(tc, pause_and_cancel);
	tcase_add_test(tc, ends_in_both);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
