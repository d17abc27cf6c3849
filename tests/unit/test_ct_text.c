/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the operator sees of the connection table, and what the timeout lines come to. */
#include "../lib/check_main.h"

#include "conntrack/ct_nat.h"
#include "conntrack/ct_text.h"
#include "conntrack/ct_top.h"
#include "domain.h"
#include "schema/edit.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <string.h>

static struct rtr_addr addr(const char *s)
{
	struct rtr_addr a;

	ck_assert_msg(!rtr_addr_parse(s, AF_UNSPEC, &a), "%s", s);
	return a;
}

/* ---- who has the most ---- */

static struct ct_top_key key(uint32_t n)
{
	struct ct_top_key k = { .addr = { .family = AF_INET } };

	k.addr.v4_be = n;
	return k;
}

START_TEST(top_exact)
{
	struct ct_top *t = ct_top_new();
	struct ct_top_item v[3];

	for (uint32_t k = 1; k <= 1000; k++) {
		struct ct_top_key x = key(k);

		for (uint32_t i = 0; i < k; i++)
			ct_top_add(t, &x);
	}
	ck_assert_uint_eq(ct_top_total(t), 500500);
	ck_assert_uint_eq(ct_top_error(t), 0);
	ck_assert_uint_eq(ct_top_list(t, v, 3), 3);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert(v[i].n == 1000 - i && v[i].key.addr.v4_be == 1000 - i);
	ct_top_free(t);
}
END_TEST

/* Far more keys than room: the heavy ones are found, with counts that are low by what is said. */
START_TEST(top_bounded)
{
	struct ct_top *t = ct_top_new();
	struct ct_top_item v[10];
	uint64_t seed = test_seed;
	uint32_t real[10] = { 0 };

	for (uint32_t i = 0; i < 500000; i++) {
		uint32_t r = (uint32_t)test_rand(&seed) % 100;
		struct ct_top_key x = key(r < 10 ? r + 1
						 : 1000 + (uint32_t)test_rand(&seed) % 400000);

		if (r < 10)
			real[r]++;
		ct_top_add(t, &x);
	}
	ck_assert_uint_eq(ct_top_list(t, v, 10), 10);
	ck_assert_uint_gt(ct_top_error(t), 0);
	for (int i = 0; i < 10; i++) {
		uint32_t k = v[i].key.addr.v4_be;

		ck_assert(k >= 1 && k <= 10);
		ck_assert(v[i].n <= real[k - 1] && v[i].n + ct_top_error(t) >= real[k - 1]);
	}
	ct_top_free(t);
}
END_TEST

/* ---- words ---- */

START_TEST(words)
{
	char d[24], e[64], p[8];

	ck_assert_str_eq(ct_duration(-1, d), "-");
	ck_assert_str_eq(ct_duration(0, d), "00:00:00");
	ck_assert_str_eq(ct_duration(99 * 3600 + 59 * 60 + 58, d), "99:59:58");
	ck_assert_str_eq(ct_duration(432000, d), "5d00h");
	ck_assert_str_eq(ct_endpoint("10.0.0.5", 80, e), "10.0.0.5:80");
	ck_assert_str_eq(ct_endpoint("10.0.0.5", -1, e), "10.0.0.5");
	ck_assert_str_eq(ct_endpoint("2001:db8::1", 0, e), "[2001:db8::1]:0");
	ck_assert_str_eq(ct_proto_name(6, p), "tcp");
	ck_assert_str_eq(ct_proto_name(253, p), "253");
}
END_TEST

/* ---- an entry ---- */

static struct ct_entry sample(void)
{
	struct ct_entry e = { .orig = { addr("10.0.0.5"), addr("203.0.113.9"), 1000, 80,
					IPPROTO_TCP, 0, 0, 0, 0 },
			      .reply = { addr("10.9.0.1"), addr("198.51.100.2"), 8080, 4000,
					 IPPROTO_TCP, 0, 0, 0, 0 },
			      .state = CT_S_ESTABLISHED,
			      .status = IPS_SRC_NAT | IPS_DST_NAT | IPS_SEEN_REPLY | IPS_ASSURED,
			      .timeout_sec = 3599,
			      .start_real_ns = 100 * NSEC_PER_SEC,
			      .bytes = { 1234, 56789 } };

	e.label[0] = 77;
	e.label[1] = 5;
	return e;
}

static bool zone_pair(const struct ct_entry *e, struct strbuf *b)
{
	strbuf_addf(b, "Z%u-OUT", e->label[1]);
	return true;
}

static bool rule(const struct ct_entry *e, struct strbuf *b)
{
	strbuf_addf(b, "WEB %u", e->label[0]);
	return true;
}

static const struct ct_view view = { .timers.v[CT_T_TCP_ESTABLISHED] = 3690,
				     .now_ns = 190 * (int64_t)NSEC_PER_SEC };

static void line_is(const struct ct_entry *e, const char *want)
{
	json_t *o = ct_entry_json(e, &view);
	struct strbuf b = STRBUF_INIT;
	struct ct_row r = ct_row_of(o);
	struct ct_widths w;
	char *squeezed, *to;

	ct_widths_init(&w);
	ct_row_text(&r, &w, &b);
	ct_row_free(&r);
	squeezed = to = xstrdup(strbuf_str(&b));
	for (const char *p = squeezed; *p; p++) {
		if (*p != ' ' || p[1] != ' ')
			*to++ = *p;
	}
	*to = '\0';
	ck_assert_str_eq(squeezed, want);
	free(squeezed);
	strbuf_fini(&b);
	json_decref(o);
}

START_TEST(entry_line)
{
	static const struct ct_policy_names names = { .zone_pair = zone_pair, .rule = rule };
	struct ct_entry e = sample();

	line_is(&e, "tcp ESTABLISHED 10.0.0.5:1000 203.0.113.9:80 198.51.100.2:4000>10.9.0.1:8080 "
		    "- - 00:01:30 00:01:30 00:59:59 1234/56789 kernel - -\n");
	ct_set_policy_names(&names);
	e.status = IPS_SRC_NAT;
	e.start_real_ns = 0;
	line_is(&e, "tcp ESTABLISHED 10.0.0.5:1000 203.0.113.9:80 198.51.100.2:4000 Z5-OUT WEB 77 "
		    "- 00:01:30 00:59:59 1234/56789 kernel - -\n");
	ct_set_policy_names(NULL);
	e.status = IPS_DST_NAT;
	e.timeout_sec = 4000; /* another timeout than the kernel's holds */
	line_is(&e, "tcp ESTABLISHED 10.0.0.5:1000 203.0.113.9:80 >10.9.0.1:8080 - - - - 01:06:40 "
		    "1234/56789 kernel - -\n");
	e = (struct ct_entry){
		.orig = { addr("2001:db8::5"), addr("2001:db8::9"), 0, 0, 50, 0, 0, 0, 0 },
		.reply = { addr("2001:db8::9"), addr("2001:db8::5"), 0, 0, 50, 0, 0, 0, 0 },
		.state = CT_S_UNREPLIED
	};
	line_is(&e,
		"esp UNREPLIED 2001:db8::5 2001:db8::9 - - - - 00:00:00 00:00:00 0/0 kernel - -\n");
}
END_TEST

/* The widest row decides where a column begins, whatever comes first. */
START_TEST(columns_line_up)
{
	struct ct_entry e[2] = { sample(), sample() };
	struct strbuf b = STRBUF_INIT;
	struct ct_widths w;
	struct ct_row r[2];
	const char *line;

	e[1].orig.src = addr("2001:db8:1111:2222:3333:4444:5555:6666");
	e[1].reply.dst = addr("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff");
	e[1].bytes[0] = e[1].bytes[1] = UINT64_MAX / 4;
	ct_widths_init(&w);
	for (int i = 0; i < 2; i++) {
		json_t *o = ct_entry_json(&e[i], &view);

		r[i] = ct_row_of(o);
		json_decref(o);
	}
	ck_assert(ct_row_widen(&r[0], &w)); /* both ends translated */
	ck_assert(ct_row_widen(&r[1], &w));
	ck_assert(!ct_row_widen(&r[0], &w));
	ct_head_text(&w, &b);
	ct_row_text(&r[0], &w, &b);
	ct_row_text(&r[1], &w, &b);
	line = strbuf_str(&b);
	for (int i = 0, path = 0, dst = 0; i < 3; i++) {
		int at = (int)(strstr(line, i ? "kernel" : "Path") - line);
		int to = (int)(strstr(line, i ? "203.0.113.9:80" : "Destination") - line);

		ck_assert_int_eq(at, i ? path : at);
		ck_assert_int_eq(to, i ? dst : to);
		path = at;
		dst = to;
		line += strcspn(line, "\n") + 1;
	}
	strbuf_fini(&b);
	for (int i = 0; i < 2; i++)
		ct_row_free(&r[i]);
}
END_TEST

/* ---- translations ---- */

static void end_is(const struct ct_nat_end *e, const char *a, uint16_t port)
{
	char buf[RTR_ADDR_STRLEN];

	ck_assert_str_eq(rtr_addr_str(&e->addr, buf), a);
	ck_assert_uint_eq(e->port, port);
}

START_TEST(nat_rows)
{
	struct ct_entry e = sample();
	struct ct_nat_row r;

	/* From inside, as a translated source says. */
	ct_nat_row(&e, -1, &r);
	end_is(&r.inside_local, "10.0.0.5", 1000);
	end_is(&r.inside_global, "198.51.100.2", 4000);
	end_is(&r.outside_local, "203.0.113.9", 80);
	end_is(&r.outside_global, "10.9.0.1", 8080);
	/* From outside: the server is inside. */
	e.status = IPS_DST_NAT;
	ct_nat_row(&e, -1, &r);
	end_is(&r.inside_global, "203.0.113.9", 80);
	end_is(&r.inside_local, "10.9.0.1", 8080);
	end_is(&r.outside_local, "198.51.100.2", 4000);
	end_is(&r.outside_global, "10.0.0.5", 1000);
	/* The NAT domain knows better. */
	ct_nat_row(&e, 1, &r);
	end_is(&r.inside_local, "10.0.0.5", 1000);
}
END_TEST

/* ---- lines ---- */

static const struct domain *const *domains;
static size_t n_domains;

static void set_up(void)
{
	ck_assert_ptr_null(domains_sort(&domains, &n_domains));
	ck_assert_ptr_null(schema_init(domains, n_domains));
}

static struct rec *model_of(const char *const *lines, size_t n)
{
	struct rec *root = model_new(), *r;
	struct editor e;

	editor_init(&e, root);
	rec_unref(root);
	for (size_t i = 0; i < n; i++) {
		struct edit_error err = { 0 };
		bool changed;

		ck_assert_msg(!editor_line(&e, lines[i], &changed, &err), "%s: %s", lines[i],
			      strbuf_str(&err.text));
		edit_error_fini(&err);
	}
	r = rec_ref(e.root);
	editor_fini(&e);
	return r;
}

static void add_service(void *arg, uint8_t proto, uint16_t port, uint32_t seconds,
			const struct rec *rec)
{
	strbuf_addf(arg, "%u/%u=%u ", proto, port, seconds);
}

static void services_are(const char *const *lines, size_t n, const char *want)
{
	struct rec *m = model_of(lines, n);
	struct strbuf b = STRBUF_INIT;

	ct_services(m, add_service, &b);
	ck_assert_str_eq(strbuf_str(&b), want);
	strbuf_fini(&b);
	rec_unref(m);
}

START_TEST(services)
{
	static const char *const lines[] = { "ip nat translation dns-timeout 20",
					     "ip firewall timeout service tcp 22 86400",
					     "ip firewall timeout service udp 53 10" };

	services_are(lines, 0, "");
	services_are(lines, 1, "17/53=20 ");
	services_are(lines, 2, "6/22=86400 17/53=20 ");
	services_are(lines, 3, "6/22=86400 17/53=10 ");
}
END_TEST

START_TEST(idle)
{
	static const char *const lines[] = { "ip firewall timeout service tcp 80 4000" };
	struct ct_timers t = { .v = { [CT_T_TCP_ESTABLISHED] = 3700,
				      [CT_T_TCP_UNACKNOWLEDGED] = 300,
				      [CT_T_UDP] = 30,
				      [CT_T_UDP_STREAM] = 120 } };
	struct rec *m = model_of(lines, 1);
	struct ct_entry e = sample();

	ck_assert_int_eq(ct_idle(&e, &t, NULL), 100);
	ck_assert_int_eq(ct_idle(&e, &t, m), 400);
	e.timeout_sec = 299;
	e.unacked = true;
	ck_assert_int_eq(ct_idle(&e, &t, NULL), 0);
	e.orig.proto = IPPROTO_UDP;
	e.unacked = false;
	e.timeout_sec = 20;
	e.state = CT_S_REPLIED;
	ck_assert_int_eq(ct_idle(&e, &t, m), 9);
	e.state = CT_S_ASSURED;
	ck_assert_int_eq(ct_idle(&e, &t, m), 99);
	e.timeout_sec = 121;
	ck_assert_int_eq(ct_idle(&e, &t, m), -1);
	rec_unref(m);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ct_text");
	TCase *t = tcase_create("ct_text");

	tcase_add_checked_fixture(t, set_up, schema_fini);
	tcase_add_test(t, top_exact);
	tcase_add_test(t, top_bounded);
	tcase_add_test(t, words);
	tcase_add_test(t, entry_line);
	tcase_add_test(t, columns_line_up);
	tcase_add_test(t, nat_rows);
	tcase_add_test(t, services);
	tcase_add_test(t, idle);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
