/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filters as pure code; then the kernel's table, in a namespace of its own. */
#include "../lib/check_main.h"
#include "../lib/ct_gen.h"
#include "../lib/netns.h"

#include "conntrack/ct.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <time.h>

static struct event_base *base;

static struct rtr_addr addr(const char *s)
{
	struct rtr_addr a;

	ck_assert_msg(!rtr_addr_parse(s, AF_UNSPEC, &a), "%s", s);
	return a;
}

static struct rtr_prefix prefix(const char *s)
{
	struct rtr_prefix p;

	ck_assert_msg(!rtr_prefix_parse(s, AF_UNSPEC, &p), "%s", s);
	return p;
}

/* ---- filters ---- */

/* 10.0.0.5:1000 -> 203.0.113.9:80, to the server 10.9.0.1:8080, seen as 198.51.100.2:4000 */
static struct ct_entry sample(void)
{
	struct ct_entry e = { .orig = { addr("10.0.0.5"), addr("203.0.113.9"), 1000, 80,
					IPPROTO_TCP, 0, 0, 0, 3 },
			      .reply = { addr("10.9.0.1"), addr("198.51.100.2"), 8080, 4000,
					 IPPROTO_TCP, 0, 0, 0, 3 },
			      .state = CT_S_ESTABLISHED,
			      .mark = 0x15,
			      .status = IPS_SRC_NAT | IPS_DST_NAT | IPS_SEEN_REPLY };

	e.label[3] = 7u << 16 | 5;
	return e;
}

/* Of sample(): came by 5. */
static int zone_of_iif(const struct ct_entry *e)
{
	return ct_iif(e) ? (int)ct_iif(e) * 10 : -1;
}

static const char *iface_named(unsigned ifindex)
{
	static char name[16];

	snprintf(name, sizeof(name), "if%u", ifindex);
	return name;
}

static bool no(void *arg, const struct ct_entry *e)
{
	return false;
}

START_TEST(filter_fields)
{
	const struct {
		struct ct_filter yes, no;
	} t[] = {
		{ { .family = AF_INET }, { .family = AF_INET6 } },
		{ { .has_proto = true, .proto = IPPROTO_TCP }, { .has_proto = true } },
		{ { .has_src = true, .src = prefix("10.0.0.0/24") },
		  { .has_src = true, .src = prefix("10.0.1.0/24") } },
		{ { .has_src = true, .src = prefix("198.51.100.2") },
		  { .has_src = true, .src = prefix("198.51.100.2"), .as_sent = true } },
		{ { .has_dst = true, .dst = prefix("203.0.113.9") },
		  { .has_dst = true, .dst = prefix("::/0") } },
		{ { .has_dst = true, .dst = prefix("10.9.0.1") },
		  { .has_dst = true, .dst = prefix("10.9.0.1"), .as_sent = true } },
		{ { .has_sport = true, .sport = 1000 }, { .has_sport = true, .sport = 80 } },
		{ { .has_sport = true, .sport = 4000 },
		  { .has_sport = true, .sport = 4000, .as_sent = true } },
		{ { .has_dport = true, .dport = 80 }, { .has_dport = true, .dport = 1000 } },
		{ { .has_dport = true, .dport = 8080 },
		  { .has_dport = true, .dport = 8080, .as_sent = true } },
		{ { .state = CT_S_ESTABLISHED }, { .state = CT_S_SYN_SENT } },
		{ { .mark = 5, .mark_mask = 0xf }, { .mark = 5, .mark_mask = 0xff } },
		{ { .status = IPS_SRC_NAT, .status_mask = IPS_SRC_NAT },
		  { .status_mask = IPS_SRC_NAT } },
		{ { .has_ct_zone = true, .ct_zone = 3 }, { .has_ct_zone = true } },
		{ { .has_in_zone = true, .in_zone = 50 }, { .has_in_zone = true, .in_zone = 70 } },
		{ { .ifname = "if5" }, { .ifname = "if" } },
		{ { .ifname = "if7" }, { .ifname = "if50" } },
		{ { .nat = true }, { .match = no } },
	};
	const struct ct_entry e = sample();
	struct ct_entry plain = e, unlabelled = e;
	struct ct_filter f = { 0 };

	ct_set_policy_names(
		&(struct ct_policy_names){ .zone_of = zone_of_iif, .iface = iface_named });
	ck_assert(ct_filter_empty(&f) && ct_filter_match(&f, &e));
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		ck_assert_msg(ct_filter_match(&t[i].yes, &e), "%zu", i);
		ck_assert_msg(!ct_filter_match(&t[i].no, &e), "%zu", i);
		ck_assert_msg(!ct_filter_empty(&t[i].yes) && !ct_filter_empty(&t[i].no), "%zu", i);
	}
	plain.status = IPS_SEEN_REPLY;
	ck_assert(!ct_filter_match(&(struct ct_filter){ .nat = true }, &plain));
	unlabelled.label[3] = 0;
	ck_assert(!ct_filter_match(&t[14].yes, &unlabelled));
	ck_assert(!ct_filter_match(&t[15].yes, &unlabelled));
	ct_set_policy_names(NULL);
	ck_assert(!ct_filter_match(&t[14].yes, &e));
}
END_TEST

START_TEST(state_names)
{
	for (unsigned i = CT_S_NONE; i < CT_S__MAX; i++)
		ck_assert_uint_eq(ct_state_find(ct_state_name(i)), i);
	ck_assert_uint_eq(ct_state_find("nonsense"), CT_S_ANY);
	ck_assert_str_eq(ct_state_name(CT_S__MAX), "");
}
END_TEST

/* ---- the kernel ---- */

static void enter(void)
{
	netns_enter();
	base = event_base_new();
	ct_init(base);
	/* A rule that uses labels gives every entry room for them, and tracking its hooks. */
	ck_assert(sh(
		"printf 'table inet t {\\n chain c {\\ntype filter hook output priority 0\\n"
		"udp dport 9 ct label set 5\\nudp dport 9 ct label set 9\\nct state new\\n}\\n}\\n'"
		" | nft -f -"
		" && ip link set lo up && sysctl -qw net.netfilter.nf_conntrack_timestamp=1"
		" net.netfilter.nf_conntrack_acct=1"));
}

static void leave(void)
{
	event_base_free(base);
}

/* A random entry out of a small world, so that filters meet some. */
static struct ct_gen_entry random_entry(uint64_t *seed)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	struct ct_gen_entry e = { .mark = (uint32_t)test_rand(seed) & 3 };
	bool v6 = test_rand(seed) & 1;
	char buf[64];

	e.t.proto = protos[test_rand(seed) % 3];
	if (v6 && e.t.proto == IPPROTO_ICMP)
		e.t.proto = IPPROTO_ICMPV6;
	snprintf(buf, sizeof(buf), v6 ? "2001:db8::%x" : "10.0.0.%u",
		 1 + (unsigned)(test_rand(seed) & 15));
	e.t.src = addr(buf);
	snprintf(buf, sizeof(buf), v6 ? "2001:db8:1::%x" : "10.1.0.%u",
		 1 + (unsigned)(test_rand(seed) & 7));
	e.t.dst = addr(buf);
	e.t.sport = (uint16_t)(1000 + test_rand(seed) % 64);
	e.t.dport = (uint16_t)(80 + test_rand(seed) % 4);
	if (e.t.proto == IPPROTO_ICMP || e.t.proto == IPPROTO_ICMPV6) {
		e.t.dport = e.t.sport;
		e.t.icmp_type = v6 ? 128 : 8;
	}
	if (e.t.proto == IPPROTO_TCP)
		e.state = CT_S_SYN_SENT + (enum ct_state)(test_rand(seed) % 8);
	e.t.zone = test_rand(seed) % 4 == 0;
	return e;
}

static void fill(unsigned n)
{
	struct ct_gen *g = ct_gen_open();
	uint64_t seed = test_seed;

	for (unsigned i = 0; i < n; i++) {
		struct ct_gen_entry e = random_entry(&seed);

		ct_gen_add(g, &e);
	}
	ct_gen_close(g);
}

struct seen {
	struct ct_entry *v;
	size_t n, room;
	bool done;
	int error;
};

static void keep(void *arg, const struct ct_entry *e)
{
	struct seen *s = arg;

	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 1024;
		s->v = xrealloc(s->v, s->room * sizeof(*s->v));
	}
	s->v[s->n++] = *e;
}

static void ended(void *arg, int error)
{
	struct seen *s = arg;

	s->done = true;
	s->error = error;
}

static const struct ct_dump_fns keep_fns = { keep, ended };

static void run_until(const bool *done)
{
	while (!*done)
		event_base_loop(base, EVLOOP_ONCE);
}

static struct seen dump(const struct ct_filter *f)
{
	struct seen s = { 0 };
	int e = 0;

	ck_assert_msg(ct_dump_start(f, &keep_fns, &s, &e) != NULL, "%s", strerror(-e));
	run_until(&s.done);
	ck_assert_int_eq(s.error, 0);
	return s;
}

static struct ct_filter random_filter(uint64_t *seed)
{
	struct ct_gen_entry e = random_entry(seed);
	struct ct_filter f = { 0 };
	uint64_t r = test_rand(seed);

	f.as_sent = r & 1;
	if (r & 2)
		f.family = e.t.src.family;
	if (r & 4) {
		f.has_proto = true;
		f.proto = e.t.proto;
	}
	if (r & 8) {
		f.has_src = true;
		f.src = (struct rtr_prefix){ e.t.src, (uint8_t)rtr_family_bits(e.t.src.family) };
		if (r & 16)
			f.src.len -= 2;
		f.src = rtr_prefix_network(f.src);
	}
	if (r & 32) {
		f.has_dst = true;
		f.dst = (struct rtr_prefix){ e.t.dst, (uint8_t)rtr_family_bits(e.t.dst.family) };
	}
	if (r & 64) {
		f.has_sport = true;
		f.sport = e.t.sport;
	}
	if (r & 128) {
		f.has_dport = true;
		f.dport = e.t.dport;
	}
	if (r & 256) {
		f.mark = e.mark;
		f.mark_mask = 3;
	}
	if (r & 512) {
		f.has_ct_zone = true;
		f.ct_zone = e.t.zone;
	}
	if (r & 1024)
		f.state = e.state ? e.state : CT_S_UNREPLIED;
	if (r & 2048)
		f.status_mask = IPS_ASSURED;
	return f;
}

/* What the kernel filters is what we would: random filters against all entries by hand. */
START_TEST(kernel_filters)
{
	uint64_t seed = test_seed;
	struct seen all;
	unsigned met = 0;

	fill(4000);
	all = dump(NULL);
	ck_assert_uint_gt(all.n, 3000);
	for (int i = 0; i < 40; i++) {
		struct ct_filter f = random_filter(&seed);
		struct seen some = dump(&f);
		size_t want = 0;

		for (size_t k = 0; k < all.n; k++)
			want += ct_filter_match(&f, &all.v[k]);
		ck_assert_msg(some.n == want,
			      "filter %d (family %u proto %d src %d dst %d ports %d %d as sent %d "
			      "mark %x status %x zone %d): %zu, by hand %zu",
			      i, f.family, f.has_proto ? f.proto : -1, f.has_src, f.has_dst,
			      f.has_sport, f.has_dport, f.as_sent, f.mark_mask, f.status_mask,
			      f.has_ct_zone ? f.ct_zone : -1, some.n, want);
		met += want > 0;
		free(some.v);
	}
	ck_assert_uint_gt(met, 3);
	free(all.v);
}
END_TEST

START_TEST(get_one)
{
	struct ct_gen *g = ct_gen_open();
	struct ct_gen_entry e = { .t = { addr("10.0.0.5"), addr("203.0.113.9"), 1000, 53,
					 IPPROTO_UDP, 0, 0, 0, 0 },
				  .mark = 9,
				  .snat = addr("198.51.100.2"),
				  .snat_port = 4000 };
	struct ct_tuple answer = {
		addr("203.0.113.9"), addr("198.51.100.2"), 53, 4000, IPPROTO_UDP, 0, 0, 0
	};
	struct ct_entry got = { 0 };

	ct_gen_add(g, &e);
	ct_gen_flush(g);
	ck_assert_uint_eq(g->refused, 0);
	ck_assert_int_eq(ct_get(&e.t, &got), 0);
	ck_assert_uint_eq(got.mark, 9);
	ck_assert(ct_is_snat(&got) && !ct_is_dnat(&got));
	ck_assert(got.timeout_sec > 590 && got.timeout_sec <= 600);
	ck_assert(got.start_real_ns > 0 && got.id != 0);
	ck_assert(!memcmp(&got.orig, &e.t, sizeof(e.t)));
	/* By the other direction too. */
	ck_assert_int_eq(ct_get(&answer, &got), 0);
	ck_assert(!memcmp(&got.reply, &answer, sizeof(answer)));
	ck_assert_int_eq(got.state, CT_S_UNREPLIED);
	answer.sport++;
	ck_assert_int_eq(ct_get(&answer, &got), -ENOENT);
	ct_gen_close(g);
}
END_TEST

/* Both ids of a translated ping. */
START_TEST(icmp_ids)
{
	struct ct_gen *g = ct_gen_open();
	struct ct_gen_entry e = { .t = { addr("10.0.0.5"), addr("203.0.113.9"), 700, 700,
					 IPPROTO_ICMP, 8, 0, 0, 0 },
				  .snat = addr("198.51.100.2"),
				  .snat_port = 4000 };
	struct ct_entry got = { 0 };

	ct_gen_add(g, &e);
	ct_gen_flush(g);
	ck_assert_int_eq(ct_get(&e.t, &got), 0);
	ck_assert_uint_eq(got.orig.sport, 700);
	ck_assert_uint_eq(got.reply.dport, 4000);
	ct_gen_close(g);
}
END_TEST

struct outcome {
	struct ct_change_result r;
	bool done;
};

static void changed(void *arg, const struct ct_change_result *r)
{
	struct outcome *o = arg;

	o->r = *r;
	o->done = true;
}

START_TEST(delete_by_filter)
{
	struct ct_filter tcp = { .has_proto = true, .proto = IPPROTO_TCP };
	struct outcome o = { 0 };
	struct ct_count before, after;
	struct seen picked;
	int e;

	fill(6000);
	picked = dump(&tcp);
	ck_assert_int_eq(ct_count_get(&before), 0);
	ck_assert_uint_gt(picked.n, 500);
	ck_assert(ct_delete(&tcp, changed, &o, &e) != NULL);
	run_until(&o.done);
	ck_assert_int_eq(o.r.error, 0);
	ck_assert_uint_eq(o.r.ended, picked.n);
	ck_assert_uint_eq(o.r.failed, 0);
	ck_assert_int_eq(ct_count_get(&after), 0);
	ck_assert_uint_eq(after.n, before.n - picked.n);
	ck_assert_uint_gt(after.max, 0);
	ck_assert_uint_gt(after.buckets, 0);
	free(picked.v);
}
END_TEST

static uint8_t last_byte(const struct ct_entry *e)
{
	return e->orig.src.b[e->orig.src.family == AF_INET ? 3 : 15];
}

/* Ends one half. */
static enum ct_verdict by_source(void *arg, const struct ct_entry *e)
{
	return last_byte(e) & 1 ? CT_END : CT_KEEP;
}

START_TEST(rejudge)
{
	struct outcome o = { 0 };
	struct seen all;
	int e;

	fill(5000);
	ck_assert(ct_rejudge(NULL, by_source, changed, &o, &e) != NULL);
	run_until(&o.done);
	ck_assert_int_eq(o.r.error, 0);
	ck_assert_uint_eq(o.r.failed, 0);
	all = dump(NULL);
	ck_assert_uint_eq(o.r.judged, o.r.ended + all.n);
	ck_assert_uint_gt(o.r.ended, 100);
	for (size_t i = 0; i < all.n; i++)
		ck_assert(!(last_byte(&all.v[i]) & 1));
	free(all.v);
}
END_TEST

/* The entry ends after it was read, and another one takes its place: that one is not ours to end.
 */
static enum ct_verdict replace(void *arg, const struct ct_entry *e)
{
	struct ct_gen *g = arg;
	struct ct_gen_entry again = { .t = e->orig };
	struct nlmsghdr *h = ctnl_start(g->buf, IPCTNL_MSG_CT_DELETE, 0, e->orig.src.family);

	ct_wire_tuple(h, &e->orig);
	g->n = 1;
	g->size = h->nlmsg_len;
	ct_gen_flush(g);
	again.t.dst = addr("203.0.113.10");
	for (again.t.sport = 2000; again.t.sport < 2064; again.t.sport++)
		ct_gen_add(g, &again);
	again.t = e->orig;
	ct_gen_add(g, &again);
	ct_gen_flush(g);
	return CT_END;
}

static struct outcome replaced;

static void on_replaced(void *arg, const struct ct_change_result *r)
{
	replaced = (struct outcome){ *r, true };
}

START_TEST(successor_lives)
{
	struct ct_filter f = { .has_dst = true, .dst = prefix("203.0.113.9") };
	struct ct_gen_entry e = { .t = { addr("10.0.0.5"), addr("203.0.113.9"), 1000, 53,
					 IPPROTO_UDP, 0, 0, 0, 0 } };
	struct ct_gen *g = ct_gen_open();
	struct ct_entry got;
	int r;

	ct_gen_add(g, &e);
	ct_gen_flush(g);
	ck_assert(ct_rejudge(&f, replace, on_replaced, g, &r) != NULL);
	run_until(&replaced.done);
	ck_assert(!replaced.r.ended && replaced.r.gone >= 1 && !replaced.r.failed);
	ck_assert_int_eq(ct_get(&e.t, &got), 0);
	ct_gen_close(g);
}
END_TEST

/* nft ORs: bits of two statements are both there. Hence a word each for the stages of the policy,
 * and none is written twice. */
START_TEST(nft_ors_labels)
{
	struct seen s;
	struct ct_filter f = { .has_dport = true, .dport = 9 };

	ck_assert(sh("bash -c 'echo x >/dev/udp/127.0.0.1/9'"));
	s = dump(&f);
	ck_assert_uint_eq(s.n, 1);
	ck_assert_uint_eq(s.v[0].label[0], 1 << 5 | 1 << 9);
	ck_assert_uint_eq(s.v[0].label[3], 0);
	free(s.v);
}
END_TEST

struct told {
	unsigned n[6];
	bool done;
	struct ct_entry last;
};

static void on_event(void *arg, enum ct_event ev, const struct ct_entry *e)
{
	struct told *t = arg;

	t->n[ev]++;
	if (e)
		t->last = *e;
	t->done = ev == CT_EV_DESTROY || ev == CT_EV_SYNCED;
}

START_TEST(events)
{
	struct ct_filter f = { .has_dst = true, .dst = prefix("203.0.113.9") };
	struct told t = { 0 };
	struct ct_gen *g = ct_gen_open();
	struct ct_gen_entry e = { .t = { addr("10.0.0.5"), addr("203.0.113.9"), 1000, 53,
					 IPPROTO_UDP, 0, 0, 0, 0 } };
	struct outcome o = { 0 };
	struct ct_events *v;
	int r;

	v = ct_events_start(1 << CT_EV_NEW | 1 << CT_EV_DESTROY, &f, on_event, &t, &r);
	ck_assert_ptr_nonnull(v);
	ct_gen_add(g, &e);
	e.t.dst = addr("203.0.113.10"); /* not asked for */
	ct_gen_add(g, &e);
	ct_gen_close(g);
	ck_assert(ct_delete(NULL, changed, &o, &r) != NULL);
	run_until(&t.done);
	ck_assert(t.n[CT_EV_NEW] == 1 && t.n[CT_EV_DESTROY] == 1 && !t.n[CT_EV_UPDATE]);
	ck_assert_uint_eq(t.last.orig.dport, 53);
	ck_assert_uint_eq(ct_events_overruns(v), 0);
	ct_events_stop(v);
	if (!o.done)
		run_until(&o.done);
}
END_TEST

/* More events than the socket holds: said, counted, and made good by a dump. */
START_TEST(overrun)
{
	struct told t = { 0 };
	struct ct_count c;
	struct ct_events *v;
	int r;

	v = ct_events_start(1 << CT_EV_NEW, NULL, on_event, &t, &r);
	ck_assert_ptr_nonnull(v);
	fill(30000);
	run_until(&t.done);
	ck_assert_uint_gt(ct_events_overruns(v), 0);
	ck_assert_uint_gt(t.n[CT_EV_LOST], 0);
	ck_assert_uint_eq(t.n[CT_EV_SYNCED], 1);
	ck_assert_int_eq(ct_count_get(&c), 0);
	ck_assert_uint_ge(t.n[CT_EV_SYNC], c.n);
	ct_events_stop(v);
}
END_TEST

/* While a large table is read and cleared the loop gets its turn every few milliseconds of work
 * (of processor time: what a busy machine adds says nothing about us). */
static uint64_t last_tick, longest;

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	now = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	if (last_tick && now - last_tick > longest)
		longest = now - last_tick;
	last_tick = now;
}

START_TEST(loop_keeps_turning)
{
	static const struct timeval ms = { 0, 1000 };
	struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	struct outcome o = { 0 };
	struct seen s;
	int e;

	fill(40000);
	event_add(tick, &ms);
	s = dump(NULL);
	ck_assert(ct_delete(NULL, changed, &o, &e) != NULL);
	run_until(&o.done);
	printf("%zu entries read, %llu ended, longest turn %.1f ms\n", s.n,
	       (unsigned long long)o.r.ended, (double)longest / 1e6);
	/* 3 ms were seen; all of it in one go would be 300. */
	ck_assert_uint_lt(longest, 25 * NSEC_PER_MSEC);
	event_free(tick);
	free(s.v);
}
END_TEST

static void pause_at_first(void *arg, const struct ct_entry *e)
{
	struct seen *s = arg;

	s->n++;
}

START_TEST(cancel_and_pause)
{
	struct ct_dump_fns fns = { pause_at_first, ended };
	struct seen s = { 0 };
	struct ct_dump *d[CT_MAX_DUMPS];
	struct ct_change *c;
	int e = 0;

	fill(5000);
	for (int i = 0; i < CT_MAX_DUMPS; i++)
		ck_assert_ptr_nonnull(d[i] = ct_dump_start(NULL, &fns, &s, &e));
	ck_assert_ptr_null(ct_dump_start(NULL, &fns, &s, &e));
	ck_assert_int_eq(e, -EBUSY);
	for (int i = 1; i < CT_MAX_DUMPS; i++)
		ct_dump_cancel(d[i]);
	ct_dump_pause(d[0]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!s.done && s.n == 0);
	ct_dump_resume(d[0]);
	run_until(&s.done);
	ck_assert_uint_gt(s.n, 3000);
	c = ct_delete(NULL, changed, NULL, &e);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_ptr_null(ct_change_cancel(c));
	event_base_loop(base, EVLOOP_NONBLOCK);
}
END_TEST

START_TEST(stats)
{
	struct ct_cpu_stats *s;
	int n = ct_stats_get(&s);

	ck_assert_int_gt(n, 0);
	for (int i = 0; i < n; i++)
		ck_assert_uint_eq(s[i].drop, 0);
	ck_assert_uint_eq(s[n - 1].cpu, (unsigned)n - 1);
	free(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ct");
	TCase *pure = tcase_create("pure"), *kernel = tcase_create("kernel");

	netns_or_skip();
	tcase_add_test(pure, filter_fields);
	tcase_add_test(pure, state_names);
	suite_add_tcase(s, pure);
	tcase_add_checked_fixture(kernel, enter, leave);
	tcase_set_timeout(kernel, 60);
	tcase_add_test(kernel, kernel_filters);
	tcase_add_test(kernel, get_one);
	tcase_add_test(kernel, icmp_ids);
	tcase_add_test(kernel, delete_by_filter);
	tcase_add_test(kernel, rejudge);
	tcase_add_test(kernel, successor_lives);
	tcase_add_test(kernel, nft_ors_labels);
	tcase_add_test(kernel, events);
	tcase_add_test(kernel, overrun);
	tcase_add_test(kernel, loop_keeps_turning);
	tcase_add_test(kernel, cancel_and_pause);
	tcase_add_test(kernel, stats);
	suite_add_tcase(s, kernel);
	return s;
}

CHECK_MAIN(suite)
