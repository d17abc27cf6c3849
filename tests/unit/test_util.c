/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers, buffers, tables by id, and the file replacement that must never leave half a file. */
#include "id_table.h"
#include "strbuf.h"
#include "util.h"
#include "../lib/check_main.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The C library's, but for what the disk of the test cannot make safe. */
static mode_t failing; /* S_IFDIR, S_IFREG; 0: nothing */

int fsync(int fd)
{
	struct stat st;

	if (failing && !fstat(fd, &st) && (st.st_mode & S_IFMT) == failing) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

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
	bool there = false;
	size_t size;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	ck_assert_int_eq(rtr_file_replace(path, "one", 3, 0600, NULL), 0);
	ck_assert_int_eq(rtr_file_replace(path, "second", 6, 0600, &there), 0);
	ck_assert(there);
	ck_assert_int_eq(rtr_file_read(path, 100, &text, &size), 0);
	ck_assert_uint_eq(size, 6);
	ck_assert_str_eq(text, "second");
	free(text);
	ck_assert_int_eq(rtr_file_read(path, 5, &text, &size), -EFBIG);
	/* A target that is a folder: refused, and the folder holds no temp file afterwards. */
	ck_assert_int_lt(rtr_file_replace(dir, "x", 1, 0600, &there), 0);
	ck_assert(!there);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* The new file has its place, and it is told apart from one that has not. */
START_TEST(file_not_safe)
{
	char dir[] = "/tmp/rtr-unit-XXXXXX";
	bool there = false;
	char path[64], *text;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	ck_assert_int_eq(rtr_file_replace(path, "one", 3, 0600, &there), 0);
	failing = S_IFREG;
	ck_assert_int_eq(rtr_file_replace(path, "two", 3, 0600, &there), -EIO);
	ck_assert(!there);
	ck_assert_int_eq(rtr_file_read(path, 100, &text, NULL), 0);
	ck_assert_str_eq(text, "one");
	free(text);
	failing = S_IFDIR;
	ck_assert_int_eq(rtr_file_replace(path, "two", 3, 0600, &there), -EIO);
	ck_assert(there);
	ck_assert_int_eq(rtr_file_read(path, 100, &text, NULL), 0);
	ck_assert_str_eq(text, "two");
	free(text);
	failing = 0;
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

static bool is_there(const char *dir, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return !access(path, F_OK);
}

/* What a killed replacement left goes; nothing else does, however it is called. */
START_TEST(file_sweep)
{
	static const char *const names[] = { "f",
					     "f.backup",
					     "f~rtr-abcde",
					     "f~rtr-abcdefg",
					     "g~rtr-abcdef",
					     "xf~rtr-abcdef",
					     "f~rtr-a1B2c3" };
	char dir[] = "/tmp/rtr-unit-XXXXXX", path[96];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		ck_assert(!rtr_file_swap(path, "x", 1, 0600));
	}
	snprintf(path, sizeof(path), "%s/f", dir);
	rtr_file_sweep(path);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		ck_assert_msg(is_there(dir, names[i]) == (i + 1 < ARRAY_LEN(names)), "%s",
			      names[i]);
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	ck_assert_int_eq(rmdir(dir), 0);
	rtr_file_sweep("/nowhere/f");
}
END_TEST

struct numbered {
	uint64_t id, n;
};

/* Against an array by id: ids that are near, and ids that are not. */
START_TEST(id_tables)
{
	static uint64_t want[2000];
	struct id_table t = ID_TABLE_INIT(struct numbered);
	uint64_t rng = test_seed;
	size_t n = 0;

	ck_assert_ptr_null(id_table_find(&t, 7));
	ck_assert_ptr_null(id_table_next(&t, NULL));
	for (int i = 0; i < 20000; i++) {
		size_t at = 1 + test_rand(&rng) % (ARRAY_LEN(want) - 1);
		uint64_t id = at % 3 ? at : (uint64_t)at << 40;
		const struct numbered *seen = id_table_find(&t, id);
		struct numbered *r;

		ck_assert(!!seen == !!want[at]);
		ck_assert(!seen || seen->n == want[at]);
		r = id_table_take(&t, id);
		ck_assert_uint_eq(r->n, want[at]);
		n += !want[at];
		r->n = ++want[at];
	}
	ck_assert_uint_eq(t.n, n);
	ck_assert_ptr_null(id_table_find(&t, 0));
	for (struct numbered *r = id_table_next(&t, NULL); r; r = id_table_next(&t, r), n--)
		ck_assert_uint_eq(r->n, want[r->id >> 40 ? r->id >> 40 : r->id]);
	ck_assert_uint_eq(n, 0);
	id_table_fini(&t);
	ck_assert_ptr_null(id_table_find(&t, 1));
	id_table_fini(&t);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("util");
	TCase *tc = tcase_create("util");

	tcase_add_test(tc, numbers);
	tcase_add_test(tc, buffers);
	tcase_add_test(tc, id_tables);
	tcase_add_test(tc, file_replace);
	tcase_add_test(tc, file_not_safe);
	tcase_add_test(tc, file_sweep);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
