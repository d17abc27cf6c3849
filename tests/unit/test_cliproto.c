/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CLI's messages: what goes in comes out, and no lie in a length is believed. */
#include "cliproto.h"
#include "../lib/check_main.h"

#include <errno.h>
#include <string.h>

START_TEST(round_trip)
{
	struct strbuf b = STRBUF_INIT;
	struct clp_str words[] = { { "alpha", 5 }, { "", 0 }, { "ga\0mma", 6 } }, s;
	struct clp_msg m;
	uint32_t start = 7;

	clp_encode(&b, CLP_COMPLETIONS, &start, 1, words, 3);
	ck_assert_int_eq(clp_size(b.s, b.len), (int64_t)b.len);
	ck_assert_int_eq(clp_decode(b.s, b.len, &m), 0);
	ck_assert_int_eq(m.type, CLP_COMPLETIONS);
	ck_assert_uint_eq(m.num[0], 7);
	ck_assert_uint_eq(m.num[1], 0);
	ck_assert_uint_eq(m.n_str, 3);
	ck_assert_str_eq(m.str.s, "alpha");
	ck_assert(clp_next_str(&m, &s));
	ck_assert_uint_eq(s.len, 0);
	ck_assert(clp_next_str(&m, &s));
	ck_assert_uint_eq(s.len, 6);
	ck_assert_mem_eq(s.s, "ga\0mma", 7);
	ck_assert(!clp_next_str(&m, &s));
	strbuf_fini(&b);
}
END_TEST

START_TEST(newer_sender_is_read)
{
	struct strbuf b = STRBUF_INIT;
	uint32_t nums[4] = { 3 };
	struct clp_str strs[] = { { "rtr# ", 5 }, { "something of tomorrow", 21 } };
	struct clp_msg m;

	clp_encode(&b, CLP_DONE, nums, 4, strs, 2);
	ck_assert_int_eq(clp_decode(b.s, b.len, &m), 0);
	ck_assert_uint_eq(m.num[0], 3);
	ck_assert_str_eq(m.str.s, "rtr# ");
	strbuf_fini(&b);
}
END_TEST

START_TEST(too_little_is_refused)
{
	struct strbuf b = STRBUF_INIT;
	struct clp_msg m;

	/* An EXEC without its text, a DONE without its number. */
	clp_encode(&b, CLP_EXEC, (uint32_t[]){ 0 }, 1, NULL, 0);
	ck_assert_int_eq(clp_decode(b.s, b.len, &m), -EPROTO);
	strbuf_reset(&b);
	clp_encode(&b, CLP_DONE, NULL, 0, &(struct clp_str){ "x", 1 }, 1);
	ck_assert_int_eq(clp_decode(b.s, b.len, &m), -EPROTO);
	strbuf_fini(&b);
}
END_TEST

START_TEST(sizes)
{
	struct strbuf b = STRBUF_INIT;
	size_t big = CLP_MAX_SIZE - CLP_HEADER - 4 - 5;
	char *text = xmalloc(big + 1);
	struct clp_msg m;

	memset(text, 'x', big + 1);
	clp_encode1(&b, CLP_EXEC, 0, text, big);
	ck_assert_uint_eq(b.len, CLP_MAX_SIZE);
	ck_assert_int_eq(clp_decode(b.s, b.len, &m), 0);
	ck_assert_uint_eq(m.str.len, big);
	strbuf_reset(&b);
	clp_encode1(&b, CLP_EXEC, 0, text, big + 1);
	ck_assert_int_eq(clp_size(b.s, b.len), -EMSGSIZE);
	strbuf_reset(&b);
	/* The output of the largest allowed piece fits, a large HELP does not. */
	clp_encode1(&b, CLP_OUTPUT, 0, text, CLP_OUTPUT_MAX);
	ck_assert_int_eq(clp_size(b.s, b.len), (int64_t)b.len);
	strbuf_reset(&b);
	clp_encode1(&b, CLP_HELP, 0, text, CLP_MAX_SMALL);
	ck_assert_int_eq(clp_size(b.s, b.len), -EMSGSIZE);
	ck_assert_int_eq(clp_size(b.s, CLP_HEADER - 1), 0);
	free(text);
	strbuf_fini(&b);
}
END_TEST

START_TEST(truncated_and_extended)
{
	struct strbuf b = STRBUF_INIT;
	struct clp_msg m;
	size_t len;

	clp_encode1(&b, CLP_OUTPUT, CLP_STREAM_ERR, "text", 4);
	len = b.len;
	for (size_t n = 0; n < len; n++)
		ck_assert_int_eq(clp_decode(b.s, n, &m), -EPROTO);
	strbuf_addc(&b, 'x');
	ck_assert_int_eq(clp_decode(b.s, b.len, &m), -EPROTO);
	/* The same, and counted: bytes that belong to no string. */
	b.s[0]++;
	ck_assert_int_eq(clp_size(b.s, b.len), (int64_t)b.len);
	ck_assert_int_eq(clp_decode(b.s, b.len, &m), -EPROTO);
	strbuf_fini(&b);
}
END_TEST

/* Every byte of a good message, changed at random: either refused, or all inside the buffer,
 * which lies at the end of its allocation for the sanitizer's sake. */
START_TEST(mangled)
{
	struct strbuf b = STRBUF_INIT;
	struct clp_str words[] = { { "one", 3 }, { "two", 3 }, { "three", 5 } };
	uint64_t rnd = test_seed;
	unsigned n_good = 0;

	clp_encode(&b, CLP_COMPLETIONS, (uint32_t[]){ 1 }, 1, words, 3);
	for (int i = 0; i < 200000; i++) {
		uint8_t *copy = xmalloc(b.len);
		struct clp_msg m;
		struct clp_str s;
		size_t sum = 0;

		memcpy(copy, b.s, b.len);
		for (uint64_t k = test_rand(&rnd) % 3 + 1; k; k--)
			copy[test_rand(&rnd) % b.len] = (uint8_t)test_rand(&rnd);
		if (clp_decode(copy, b.len, &m) == 0) {
			n_good++;
			sum = m.str.len;
			ck_assert_int_eq(m.str.s[m.str.len], 0);
			while (clp_next_str(&m, &s)) {
				ck_assert_int_eq(s.s[s.len], 0);
				sum += s.len;
			}
			ck_assert_uint_le(sum, b.len);
		}
		free(copy);
	}
	ck_assert_uint_gt(n_good, 100);
	strbuf_fini(&b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("cliproto");
	TCase *tc = tcase_create("cliproto");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, round_trip);
	tcase_add_test(tc, newer_sender_is_read);
	tcase_add_test(tc, too_little_is_refused);
	tcase_add_test(tc, sizes);
	tcase_add_test(tc, truncated_and_extended);
	tcase_add_test(tc, mangled);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
