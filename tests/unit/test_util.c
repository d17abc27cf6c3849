/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers, buffers, and the file replacement that must never leave half a file. */
#include "strbuf.h"
#include "util.h"
#include "../lib/check_main.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(numbers)
{
	uint64_t v = 7;

	ck_assert_int_eq(rtr_parse_u64("", 0, 9, &v), -EINVAL);
	ck_assert_int_eq(rtr_parse_u64("-1", 0, 9, &v), -EINVAL);
	ck_assert_int_eq(rtr_parse_u64("1x", 0, 9, &v), -EINVAL);
	ck_assert_int_eq(rtr_parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	ck_assert_int_eq(rtr_parse_u64("10", 0, 9, &v), -ERANGE);
	ck_assert_uint_eq(v, 7);
	ck_assert_int_eq(rtr_parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	ck_assert_uint_eq(v, UINT64_MAX);
}
END_TEST

START_TEST(buffers)
{
	struct strbuf b = STRBUF_INIT;
	char *s;

	ck_assert_str_eq(strbuf_str(&b), "");
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&b, "%d,", i % 10);
	ck_assert_uint_eq(b.len, 2000);
	s = strbuf_steal(&b);
	ck_assert_uint_eq(strlen(s), 2000);
	free(s);
	ck_assert_str_eq(strbuf_str(&b), "");
	strbuf_fini(&b);
}
END_TEST

START_TEST(file_replace)
{
	char dir[] = "/tmp/rtr-unit-XXXXXX";
	char path[64], *text;
	size_t size;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	ck_assert_int_eq(rtr_file_replace(path, "one", 3, 0600), 0);
	ck_assert_int_eq(rtr_file_replace(path, "second", 6, 0600), 0);
	ck_assert_int_eq(rtr_file_read(path, 100, &text, &size), 0);
	ck_assert_uint_eq(size, 6);
	ck_assert_str_eq(text, "second");
	free(text);
	ck_assert_int_eq(rtr_file_read(path, 5, &text, &size), -EFBIG);
	/* A target that is a folder: refused, and the folder holds no temp file afterwards. */
	ck_assert_int_lt(rtr_file_replace(dir, "x", 1, 0600), 0);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("util");
	TCase *tc = tcase_create("util");

	tcase_add_test(tc, numbers);
	tcase_add_test(tc, buffers);
	tcase_add_test(tc, file_replace);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
