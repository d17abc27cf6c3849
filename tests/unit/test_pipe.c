/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Output filters: what each lets through, however the output is cut into pieces. */
#include "cli/pipe.h"
#include "../lib/check_main.h"

#include <string.h>

static const char text[] = "hostname r1\n"
			   "!\n"
			   "interface eth0\n"
			   " ip address 10.0.0.1 255.0.0.0\n"
			   "  deeper\n"
			   "!\n"
			   "interface eth1\n"
			   " mtu 1400\n"
			   "router bgp 1\n"
			   " neighbor eth1\n"
			   "end";

static const struct {
	const char *line, *want;
} good[] = {
	{ "show x", text },
	{ "show x | include eth", "interface eth0\ninterface eth1\n neighbor eth1\n" },
	{ "show x | i eth[0-4]$", "interface eth0\ninterface eth1\n neighbor eth1\n" },
	{ "show x | include eth0|mtu", "interface eth0\n mtu 1400\n" },
	{ "show x | include a b", "" },
	{ "show x | exclude e", "!\n!\n mtu 1400\n" },
	{ "show x | begin router", "router bgp 1\n neighbor eth1\nend\n" },
	{ "show x | section interface",
	  "interface eth0\n ip address 10.0.0.1 255.0.0.0\n  deeper\ninterface eth1\n mtu 1400\n" },
	{ "show x | section ip", " ip address 10.0.0.1 255.0.0.0\n  deeper\n" },
	{ "show x | count", "Number of lines = 11\n" },
	{ "show x | count ^interface", "Number of lines which match regexp = 2\n" },
	{ "show x | count none", "Number of lines which match regexp = 0\n" },
	{ "show x | section interface | exclude mtu | include ^[ ]",
	  " ip address 10.0.0.1 255.0.0.0\n  deeper\n" },
	{ "show x | include eth | count", "Number of lines = 3\n" },
	{ "show x | count | count", "Number of lines = 1\n" },
	{ "show x | count eth | include 3", "Number of lines which match regexp = 3\n" },
	{ "show x | begin eth1 | section interface", "interface eth1\n mtu 1400\n" },
	{ "show x | i . | i . | i . | i . | i . | i . | i . | i nothing", "" },
	{ "show x |  include   end  ", "end\n" },
	{ "show x\t|\tinclude\tend", "end\n" },
};

static void sink(void *arg, const char *s, size_t size)
{
	strbuf_add(arg, s, size);
}

static void parse(struct outpipe *p, const char *line, struct strbuf *to)
{
	char *copy = xstrdup(line), *err;
	unsigned col;

	err = pipe_parse(p, copy, &col);
	ck_assert_msg(!err, "%s: %s", line, err);
	copy[strcspn(copy, " \t") + 2] = '\0';
	ck_assert_str_eq(copy, "show x");
	free(copy);
	p->sink = sink;
	p->arg = to;
}

START_TEST(filters_at_every_split)
{
	size_t size = sizeof(text) - 1;

	for (size_t a = 0; a <= size; a++) {
		for (size_t b = a; b <= size; b += b == a || b > size - 3 ? 1 : 7) {
			struct strbuf out = STRBUF_INIT;
			struct outpipe p;

			parse(&p, good[_i].line, &out);
			pipe_feed(&p, text, a);
			pipe_feed(&p, text + a, b - a);
			pipe_feed(&p, text + b, size - b);
			pipe_end(&p);
			ck_assert_msg(!strcmp(strbuf_str(&out), good[_i].want),
				      "%s cut at %zu, %zu:\n%s", good[_i].line, a, b,
				      strbuf_str(&out));
			pipe_fini(&p);
			strbuf_fini(&out);
		}
	}
}
END_TEST

START_TEST(byte_by_byte)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct strbuf out = STRBUF_INIT;
		struct outpipe p;

		parse(&p, good[i].line, &out);
		for (const char *c = text; *c; c++)
			pipe_feed(&p, c, 1);
		pipe_end(&p);
		ck_assert_str_eq(strbuf_str(&out), good[i].want);
		pipe_fini(&p);
		strbuf_fini(&out);
	}
}
END_TEST

START_TEST(empty_lines_and_no_output)
{
	struct strbuf out = STRBUF_INIT;
	struct outpipe p;

	parse(&p, "show x | exclude y", &out);
	pipe_feed(&p, "\n\na\n", 4);
	pipe_end(&p);
	ck_assert_str_eq(strbuf_str(&out), "\n\na\n");
	pipe_fini(&p);
	strbuf_reset(&out);
	parse(&p, "show x | count", &out);
	pipe_end(&p);
	ck_assert_str_eq(strbuf_str(&out), "Number of lines = 0\n");
	pipe_fini(&p);
	strbuf_fini(&out);
}
END_TEST

static const struct {
	const char *line, *err;
	unsigned col;
} bad[] = {
	{ "show x | grep y", "\"grep\" is not a filter", 9 },
	{ "show x | re y | i z", NULL, 0 },
	{ "show x |", "a filter is missing", 8 },
	{ "show x | | i y", "a filter is missing", 9 },
	{ "show x | include", "a regular expression is missing", 9 },
	{ "show x | include (", "\"(\": Unmatched ( or \\(", 9 },
	{ "show x | include [a", "\"[a\": Unmatched [, [^, [:, [., or [=", 9 },
	{ "show x | i . | i . | i . | i . | i . | i . | i . | i . | i .", "too many filters", 57 },
	{ "show x | json now", "nothing follows json", 9 },
	{ "show x | redirect", "a file name is missing", 9 },
	{ "show x | tee a | append b", "one file only", 17 },
};

START_TEST(wrong_filters)
{
	char *copy = xstrdup(bad[_i].line), *err;
	struct outpipe p;
	unsigned col = 0;

	err = pipe_parse(&p, copy, &col);
	if (!bad[_i].err) {
		ck_assert_msg(!err, "%s", err);
	} else {
		ck_assert_ptr_nonnull(err);
		ck_assert_str_eq(err, bad[_i].err);
		ck_assert_uint_eq(col, bad[_i].col);
	}
	free(err);
	pipe_fini(&p);
	free(copy);
}
END_TEST

START_TEST(files_and_json)
{
	struct strbuf out = STRBUF_INIT;
	struct outpipe p;

	parse(&p, "show x | json | include a | append /tmp/a b", &out);
	ck_assert(p.json);
	ck_assert_str_eq(p.path, "/tmp/a b");
	ck_assert_int_eq(p.mode, CONN_APPEND);
	pipe_fini(&p);
	parse(&p, "show x | tee t", &out);
	ck_assert(!p.json);
	ck_assert_int_eq(p.mode, CONN_TEE);
	pipe_fini(&p);
	parse(&p, "show x | redirect r", &out);
	ck_assert_int_eq(p.mode, CONN_REDIRECT);
	pipe_fini(&p);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pipe");
	TCase *tc = tcase_create("pipe");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, filters_at_every_split, 0, (int)ARRAY_LEN(good));
	tcase_add_test(tc, byte_by_byte);
	tcase_add_test(tc, empty_lines_and_no_output);
	tcase_add_loop_test(tc, wrong_filters, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(tc, files_and_json);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
