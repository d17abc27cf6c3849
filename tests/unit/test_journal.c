/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The running journal over a folder of its own: what was published is there after any end of the
 * process, and what was damaged, cut off or of another place is never taken for it.
 */
#include "../lib/test_rows.h"
#include "schema/edit.h"
#include "schema/text.h"
#include "txn/journal.h"
#include "../lib/check_main.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_STEPS 6

static const struct domain *const domains[] = { &t_domain };
static char dir[64];

/* Each step is one commit on top of the one before. */
static const char *const steps[N_STEPS] = {
	"hostname one",
	"interface eth0\nip address 10.0.0.1/24\nmtu 1400",
	"router bgp 65001\nneighbor 10.0.0.2 remote-as 65002\nneighbor 10.0.0.2 password s3cret",
	"no interface eth0\nhostname \"two",
	"ip access-list extended A\npermit tcp any any\ndeny ip any any log",
	"ip access-list extended A\nno 10\nip route 0.0.0.0/0 10.0.0.2",
};

static void setup(void)
{
	const char *bad = schema_init(domains, 1);

	ck_assert_msg(!bad, "%s", bad);
	/* Memory, as /run is: what is asked of it here is not how fast a disk syncs. */
	snprintf(dir, sizeof(dir), "/dev/shm/rtr-journal-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static const char *file(const char *name)
{
	static char path[96];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void teardown(void)
{
	journal_close();
	unlink(file("running"));
	unlink(file("journal"));
	unlink(file("intent"));
	rmdir(dir);
	schema_fini();
}

static struct rec *type_lines(const struct rec *from, const char *lines)
{
	char *copy = xstrdup(lines), *save = NULL;
	struct editor e;
	struct rec *r;

	editor_init(&e, from);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error err;
		bool changed;

		ck_assert_msg(!editor_line(&e, l, &changed, &err), "%s: %s", l,
			      strbuf_str(&err.text));
		edit_error_fini(&err);
	}
	r = rec_ref(e.root);
	editor_fini(&e);
	free(copy);
	return r;
}

static struct rec *reopen(uint64_t *ret_revision, char **ret_notes)
{
	struct strbuf notes = STRBUF_INIT;
	struct rec *r = NULL;

	journal_close();
	ck_assert_int_eq(journal_open(dir, &r, ret_revision, &notes), 0);
	if (ret_notes)
		*ret_notes = strbuf_steal(&notes);
	strbuf_fini(&notes);
	return r;
}

/* Opens once more and compares. model NULL: nothing of ours is there. */
static void expect(const struct rec *model, uint64_t revision)
{
	uint64_t rev;
	struct rec *r = reopen(&rev, NULL);

	if (!model) {
		ck_assert_ptr_null(r);
		return;
	}
	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(rev, revision);
	ck_assert(model_equal(r, model));
	rec_unref(r);
}

static void publish(const struct rec *old, const struct rec *new, uint64_t revision)
{
	ck_assert_int_eq(journal_publish(old, new, revision), 0);
}

/* All steps published from revision 1 on; model[0] is the empty one. */
static void publish_steps(struct rec *model[N_STEPS + 1])
{
	uint64_t rev;

	ck_assert_ptr_null(reopen(&rev, NULL));
	ck_assert_uint_eq(rev, 0);
	model[0] = model_new();
	for (unsigned i = 0; i < N_STEPS; i++) {
		model[i + 1] = type_lines(model[i], steps[i]);
		publish(model[i], model[i + 1], i + 1);
	}
}

static void free_models(struct rec *model[N_STEPS + 1])
{
	for (unsigned i = 0; i <= N_STEPS; i++)
		rec_unref(model[i]);
}

static char *read_all(const char *name, size_t *ret_size)
{
	char *text;

	ck_assert_int_eq(rtr_file_read(file(name), 1 << 24, &text, ret_size), 0);
	return text;
}

static void write_all(const char *name, const char *text, size_t size)
{
	int fd = open(file(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq((int)write(fd, text, size), (int)size);
	close(fd);
}

START_TEST(what_was_published_is_there_again)
{
	struct rec *model[N_STEPS + 1];
	struct rec *old = model_new(), *new;
	uint64_t rev;

	ck_assert_ptr_null(reopen(&rev, NULL));
	model[0] = old;
	for (unsigned i = 0; i < N_STEPS; i++) {
		new = model[i + 1] = type_lines(old, steps[i]);
		publish(old, new, i + 1);
		expect(new, i + 1);
		old = new;
	}
	free_models(model);
}
END_TEST

/* Where entry k (from 0) of the journal ends. */
static size_t entry_ends(const char *text, size_t size, size_t *end)
{
	size_t n = 0;

	for (size_t at = 0; at < size; n++) {
		unsigned long long rev, len;
		int head = 0;

		ck_assert_int_eq(
			sscanf(text + at, "rev %llu len %llu sum %*x%n", &rev, &len, &head), 2);
		at += (size_t)head + 1 + len;
		end[n] = at;
	}
	return n;
}

START_TEST(cut_at_any_byte_the_last_whole_entry_holds)
{
	struct rec *model[N_STEPS + 1];
	size_t size, end[N_STEPS], n, whole = 0;
	char *text, *notes;

	publish_steps(model);
	text = read_all("journal", &size);
	n = entry_ends(text, size, end);
	ck_assert_uint_eq(n, N_STEPS - 1); /* the first is the whole configuration */
	for (size_t cut = 0; cut <= size; cut++) {
		uint64_t rev;
		struct rec *r;

		while (whole < n && end[whole] <= cut)
			whole++;
		write_all("journal", text, cut);
		r = reopen(&rev, &notes);
		ck_assert_uint_eq(rev, whole + 1);
		ck_assert_msg(model_equal(r, model[whole + 1]), "cut at %zu", cut);
		ck_assert((strstr(notes, "in the middle of an entry") != NULL) ==
			  (cut && (!whole || end[whole - 1] != cut)));
		rec_unref(r);
		free(notes);
		/* And it goes on from there. */
		publish(model[whole + 1], model[0], rev + 1);
		expect(model[0], rev + 1);
	}
	free(text);
	free_models(model);
}
END_TEST

START_TEST(a_flipped_bit_ends_the_journal_before_its_entry)
{
	struct rec *model[N_STEPS + 1];
	size_t size, end[N_STEPS], n, hit = 0;
	char *text;

	publish_steps(model);
	text = read_all("journal", &size);
	n = entry_ends(text, size, end);
	for (size_t i = 0; i < size; i++) {
		size_t start = hit ? end[hit - 1] : 0;
		bool body = i > (size_t)(strchr(text + start, '\n') - text);

		for (unsigned bit = 0; bit < 8; bit++) {
			uint64_t rev;
			struct rec *r;

			text[i] ^= (char)(1 << bit);
			write_all("journal", text, size);
			text[i] ^= (char)(1 << bit);
			r = reopen(&rev, NULL);
			/* A hexadecimal digit in the other case is the same number. */
			ck_assert_msg(rev == hit + 1 || (!body && rev == N_STEPS), "byte %zu", i);
			ck_assert_msg(model_equal(r, model[rev]), "byte %zu bit %u", i, bit);
			rec_unref(r);
		}
		if (hit < n && end[hit] == i + 1)
			hit++;
	}
	free(text);
	free_models(model);
}
END_TEST

/* What another boot, another namespace or a damaged file left is not ours, and does not get in
 * the way of what follows. */
static void spoil(const char *what, const char *with)
{
	size_t size;
	char *text = read_all("running", &size), *at = strstr(text, what);

	ck_assert_ptr_nonnull(at);
	memcpy(at, with, strlen(with));
	write_all("running", text, size);
	free(text);
}

static const struct {
	const char *what, *with;
	bool told;
} foreign[] = {
	{ "boot ", "boot 0000", false },
	{ "netns ", "netns 00", false },
	{ "hostname", "hostnane", true },
};

START_TEST(another_ones_configuration_is_not_taken)
{
	struct rec *model[N_STEPS + 1];
	char *notes;
	uint64_t rev;

	publish_steps(model);
	spoil(foreign[_i].what, foreign[_i].with);
	ck_assert_ptr_null(reopen(&rev, &notes));
	ck_assert((strstr(notes, "is damaged") != NULL) == foreign[_i].told);
	free(notes);
	publish(model[0], model[2], rev + 1);
	expect(model[2], rev + 1);
	publish(model[2], model[3], rev + 2);
	expect(model[3], rev + 2);
	free_models(model);
}
END_TEST

START_TEST(an_interrupted_commit_is_told_once)
{
	struct rec *model[N_STEPS + 1];
	char *notes;
	uint64_t rev;

	publish_steps(model);
	ck_assert_int_eq(journal_intent(N_STEPS + 1, "anna", "console"), 0);
	rec_unref(reopen(&rev, &notes));
	ck_assert_ptr_nonnull(
		strstr(notes, "a commit was interrupted (revision 7 by anna from console)"));
	ck_assert_uint_eq(rev, N_STEPS);
	free(notes);
	rec_unref(reopen(&rev, &notes));
	ck_assert_ptr_null(strstr(notes, "interrupted"));
	free(notes);
	free_models(model);
}
END_TEST

START_TEST(it_is_folded_when_it_outgrows_the_configuration)
{
	struct rec *old = model_new(), *new;
	size_t folds = 0, before = 0;
	uint64_t rev = 0;
	struct stat st;

	ck_assert_ptr_null(reopen(&rev, NULL));
	for (unsigned i = 0; i < 2000; i++) {
		struct strbuf b = STRBUF_INIT;

		strbuf_addf(&b, "interface eth%u\ndescription ", i % 10);
		for (unsigned k = 0; k < 200; k++)
			strbuf_adds(&b, k + 1 < 200 ? "x" : i % 20 < 10 ? "odd" : "even");
		new = type_lines(old, strbuf_str(&b));
		strbuf_fini(&b);
		publish(old, new, ++rev);
		rec_unref(old);
		old = new;
		ck_assert_int_eq(stat(file("journal"), &st), 0);
		ck_assert_uint_le((size_t)st.st_size, (256 << 10) + 2000);
		folds += (size_t)st.st_size < before;
		before = (size_t)st.st_size;
	}
	ck_assert_uint_ge(folds, 1);
	expect(old, rev);
	rec_unref(old);
}
END_TEST

/* Describes interfaces: 200 bytes each and a few words. */
static struct rec *describe(const struct rec *from, unsigned n, char letter)
{
	struct strbuf b = STRBUF_INIT;
	char text[200] = "";
	struct rec *r;

	memset(text, letter, sizeof(text) - 1);
	for (unsigned i = 0; i < n; i++)
		strbuf_addf(&b, "interface eth%u\ndescription %s\n", i, text);
	r = type_lines(from, strbuf_str(&b));
	strbuf_fini(&b);
	return r;
}

/* A delta is tried before it is trusted, which costs more than to write the whole when it is a good
 * part of that: above 32 KiB, and an eighth. */
START_TEST(a_large_delta_is_written_as_a_whole)
{
	static const struct {
		unsigned n; /* lines */
		bool whole;
	} commits[] = {
		{ 1, true },                    /* the first one always is */
		{ 100, false },                 /* 22 KiB */
		{ 200, true },                  /* 44 KiB */
		{ 100, false }, { 2000, true }, /* 440 KiB */
		{ 200, false },                 /* less than an eighth of that */
		{ 500, true },
	};
	struct rec *old = model_new(), *new;
	uint64_t rev = 0;
	struct stat st;

	ck_assert_ptr_null(reopen(&rev, NULL));
	for (unsigned i = 0; i < ARRAY_LEN(commits); i++) {
		off_t before = i && !stat(file("journal"), &st) ? st.st_size : 0;

		new = describe(old, commits[i].n, (char)('a' + i));
		publish(old, new, ++rev);
		rec_unref(old);
		old = new;
		ck_assert_int_eq(stat(file("journal"), &st), 0);
		ck_assert_msg(commits[i].whole ? st.st_size == 0
					       : st.st_size > before + 200 * commits[i].n,
			      "commit %u: %lld", i, (long long)st.st_size);
	}
	expect(old, rev);
	rec_unref(old);
}
END_TEST

static void allow_file_size(rlim_t size)
{
	struct rlimit lim;

	getrlimit(RLIMIT_FSIZE, &lim);
	lim.rlim_cur = size;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

/* A full disk, at every byte of the entry: the commit is refused, the one before stands, and the
 * next one that fits is on record. */
START_TEST(a_full_disk_leaves_the_old_state)
{
	struct rec *model[N_STEPS + 1];
	uint64_t rev = N_STEPS;
	struct stat st;

	signal(SIGXFSZ, SIG_IGN);
	publish_steps(model);
	for (unsigned room = 0; room < 60; room += 7) {
		ck_assert_int_eq(stat(file("journal"), &st), 0);
		allow_file_size((rlim_t)st.st_size + room);
		ck_assert_int_ne(journal_publish(model[N_STEPS], model[2], rev + 1), 0);
		allow_file_size(RLIM_INFINITY);
		expect(model[N_STEPS], rev);
		publish(model[N_STEPS], model[3], rev + 1);
		publish(model[3], model[N_STEPS], rev + 2);
		rev += 2;
		expect(model[N_STEPS], rev);
	}
	free_models(model);
}
END_TEST

START_TEST(a_disk_full_from_the_start)
{
	struct rec *empty = model_new(), *one, *two;
	uint64_t rev;

	signal(SIGXFSZ, SIG_IGN);
	one = type_lines(empty, steps[0]);
	two = type_lines(one, steps[1]);
	ck_assert_ptr_null(reopen(&rev, NULL));
	allow_file_size(10);
	ck_assert_int_ne(journal_publish(empty, one, 1), 0);
	allow_file_size(RLIM_INFINITY);
	publish(empty, one, 1);
	publish(one, two, 2);
	expect(two, 2);
	rec_unref(one);
	rec_unref(two);
	rec_unref(empty);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("journal");
	TCase *tc = tcase_create("journal");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_was_published_is_there_again);
	tcase_add_test(tc, cut_at_any_byte_the_last_whole_entry_holds);
	tcase_add_test(tc, a_flipped_bit_ends_the_journal_before_its_entry);
	tcase_add_loop_test(tc, another_ones_configuration_is_not_taken, 0,
			    (int)ARRAY_LEN(foreign));
	tcase_add_test(tc, an_interrupted_commit_is_told_once);
	tcase_add_test(tc, it_is_folded_when_it_outgrows_the_configuration);
	tcase_add_test(tc, a_large_delta_is_written_as_a_whole);
	tcase_add_test(tc, a_full_disk_leaves_the_old_state);
	tcase_add_test(tc, a_disk_full_from_the_start);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
