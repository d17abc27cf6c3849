/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The metrics page: escapes, kinds of values, sums, limits. */
#include "../lib/check_main.h"
#include "metrics/metrics.h"

#include <string.h>

static char *page(const char *command, json_t *doc, size_t *ret_left_out)
{
	struct metrics_page *p = metrics_page_new();
	struct strbuf b = STRBUF_INIT;

	ck_assert_ptr_nonnull(doc);
	metrics_page_add(p, command, doc);
	metrics_page_text(p, &b);
	if (ret_left_out)
		*ret_left_out = metrics_page_left_out(p);
	metrics_page_free(p);
	json_decref(doc);
	return strbuf_steal(&b);
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		ck_abort_msg("no <%s> in:\n%s", line, text);
}

START_TEST(test_labels)
{
	char *s = page("show ip nat rules",
		       json_pack("{s:[{s:s,s:i},{s:s}],s:{s:i,s:i}}", "rules", "line",
				 "a \"b\" c\\d\ne", "connections", 3, "line", "uncounted",
				 "dropped", "leak", 4, "total", 9),
		       NULL);

	has(s, "# TYPE rtr_nat_line_connections_total counter\n"
	       "rtr_nat_line_connections_total{family=\"ipv4\",line=\"a \\\"b\\\" "
	       "c\\\\d\\ne\"} 3\n");
	has(s, "rtr_nat_drop_packets_total{family=\"ipv4\",reason=\"leak\"} 4\n");
	ck_assert_ptr_null(strstr(s, "uncounted"));
	ck_assert_ptr_null(strstr(s, "total\"}"));
	free(s);
}
END_TEST

START_TEST(test_values)
{
	char *s = page("show ip sla statistics",
		       json_pack("[{s:I,s:s,s:s,s:I,s:f},{s:I,s:s,s:s}]", "id", (json_int_t)1,
				 "destination", "::1", "reachability", "Up", "successes",
				 (json_int_t)9007199254740993, "rtt_ms", 1.5, "id", (json_int_t)2,
				 "destination", "::2", "reachability", "Down"),
		       NULL);

	has(s, "rtr_sla_up{sla=\"1\",destination=\"::1\"} 1\n"
	       "rtr_sla_up{sla=\"2\",destination=\"::2\"} 0\n");
	has(s, "rtr_sla_successes_total{sla=\"1\",destination=\"::1\"} 9007199254740993\n");
	has(s, "# TYPE rtr_sla_round_trip_seconds gauge\n"
	       "rtr_sla_round_trip_seconds{sla=\"1\",destination=\"::1\"} 0.0015\n");
	free(s);
	/* A document of another shape than ours gives nothing, whatever it is. */
	s = page("show ip sla statistics", json_pack("{s:[i,s]}", "id", 1, "x"), NULL);
	ck_assert_str_eq(s, "");
	free(s);
}
END_TEST

START_TEST(test_limits)
{
	json_t *doc = json_array();
	size_t left_out;
	char *s, text[400], *e;

	for (int i = 0; i < METRICS_MAX_SERIES + 5; i++)
		json_array_append_new(
			doc, json_pack("{s:i,s:s,s:i}", "id", i, "state", "Up", "changes", 1));
	s = page("show track", doc, &left_out);
	ck_assert_uint_eq(left_out, 10); /* of two metrics */
	free(s);
	/* Cut between characters: an umlaut has two bytes. */
	text[0] = 'x';
	for (size_t i = 1; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 3);
	s = page("show ip nat rules",
		 json_pack("{s:[{s:s,s:i}]}", "rules", "line", text, "connections", 3), NULL);
	e = strstr(s, "line=\"");
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(strcspn(e + 6, "\""), METRICS_MAX_LABEL - 1);
	free(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("metrics");
	TCase *t = tcase_create("page");

	tcase_add_test(t, test_labels);
	tcase_add_test(t, test_values);
	tcase_add_test(t, test_limits);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
