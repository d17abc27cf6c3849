/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flows of a source, counted: against a naive oracle, by threads, by the table, by the next
 * process. */
#include "../lib/flow_make.h"
#include "../lib/check_main.h"

#include <pthread.h>

static struct fp_flow_mem mem;
static struct fp_flow *table;

static void open_table(uint32_t flows)
{
	struct fp_flow_conf conf = { .n_workers = 2 };
	uint32_t n[FLOW__FAMILIES] = { flows, flows };

	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	fp_flow_maintain(table, 1000);
}

static void close_table(void)
{
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* Source number i; host: of its /64. */
static const uint8_t *source(enum flow_family fam, uint32_t i, uint32_t host)
{
	static __thread uint8_t addr[16];

	memset(addr, 0, sizeof(addr));
	if (fam == FLOW_4)
		memcpy(addr, &i, 4);
	else
		memcpy(addr + 4, &i, 4);
	memcpy(addr + 12, &host, fam == FLOW_6 ? 4 : 0);
	return addr;
}

static bool take(enum flow_family fam, uint32_t i, uint32_t max)
{
	return fp_flow_quota_take(table, fam, source(fam, i, i * 77), max);
}

static void give(enum flow_family fam, uint32_t i)
{
	fp_flow_quota_give(table, fam, source(fam, i, i * 99));
}

/* It has n: one less is too many, and it takes one more. */
static bool has(enum flow_family fam, uint32_t i, uint32_t n)
{
	if (n && take(fam, i, n))
		return false;
	if (!take(fam, i, n + 1))
		return false;
	give(fam, i);
	return true;
}

#define SOURCES 2000
START_TEST(oracle)
{
	static uint32_t n[FLOW__FAMILIES][SOURCES];
	uint64_t rnd = test_seed;
	unsigned living = 0;

	memset(n, 0, sizeof(n));
	open_table(2048);
	for (unsigned step = 0; step < 200000; step++) {
		enum flow_family fam = test_rand(&rnd) % 2;
		uint32_t i = (uint32_t)(test_rand(&rnd) % SOURCES), max = 1 + i % 7;

		i = test_rand(&rnd) % 4 ? i : i % 20;
		if (test_rand(&rnd) % 2 && living < 4096) {
			bool got = take(fam, i, max);

			ck_assert_int_eq(got, n[fam][i] < max);
			n[fam][i] += got;
			living += got;
		} else if (n[fam][i]) {
			give(fam, i);
			n[fam][i]--;
			living--;
		}
	}
	for (int fam = 0; fam < FLOW__FAMILIES; fam++)
		for (uint32_t i = 0; i < SOURCES; i++)
			ck_assert(has(fam, i, n[fam][i]));
	close_table();
}
END_TEST

/* As many sources as the table has flows, each with one. */
START_TEST(many)
{
	uint32_t refused = 0, n;

	open_table(100000);
	n = mem.n_pairs[FLOW_4];
	for (int fam = 0; fam < FLOW__FAMILIES; fam++)
		for (uint32_t i = 0; i < n; i++)
			refused += !take(fam, i, 1);
	ck_assert_uint_eq(refused, 0);
	for (int fam = 0; fam < FLOW__FAMILIES; fam++)
		for (uint32_t i = 0; i < n; i++)
			ck_assert(!take(fam, i, 1));
	close_table();
}
END_TEST

/* What ends in whatever way gives back; of a process before it is counted again. */
START_TEST(flows)
{
	enum flow_family fam = _i;
	struct fp_flow_conf conf = { .n_workers = 2 };
	struct fp_flow_worker *w;
	uint32_t now = fp_flow_now();
	uint64_t ref[10];

	open_table(1000);
	w = fp_flow_worker(table, 0);
	for (uint32_t i = 0; i < 10; i++) {
		struct fp_flow_new f = flow_make(fam, i, 0, now);

		/* All of one source but for the last, which is not counted. */
		memcpy(f.dir[0].key, source(fam, 5, i), fam == FLOW_4 ? 4 : 16);
		f.flags = i < 9 ? FLOW_COLD_COUNTED : 0;
		f.timeout = i < 3 ? 60 : 6000;
		if (i < 9)
			ck_assert(take(fam, 5, 9));
		ck_assert_int_eq(fp_flow_insert(w, fam, &f, &ref[i]), 0);
	}
	ck_assert(has(fam, 5, 9));
	fp_flow_free(w, fam, ref[8]);
	fp_flow_free(w, fam, ref[9]);
	ck_assert(has(fam, 5, 8));
	fp_flow_end(table, fam, ref[7] ^ 1);
	ck_assert(has(fam, 5, 8));
	fp_flow_age(w, now + 10, 1000, NULL, NULL);
	ck_assert(has(fam, 5, 7));
	fp_flow_age(w, now + 200, 1000, NULL, NULL);
	ck_assert(has(fam, 5, 4));

	fp_flow_close(table);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	while (fp_flow_maintain(table, 1000))
		;
	ck_assert(has(fam, 5, 4));
	fp_flow_age(fp_flow_worker(table, 0), now + 100000, 1000, NULL, NULL);
	ck_assert(has(fam, 5, 0));
	close_table();
}
END_TEST

#define THREADS 4
#define LIMIT   50
static uint32_t held, worst;

static void *contend(void *arg)
{
	uint64_t rnd = test_seed + (uintptr_t)arg;
	unsigned own[3] = { 0 };

	for (unsigned step = 0; step < 200000; step++) {
		uint32_t i = (uint32_t)(test_rand(&rnd) % 3);

		if (test_rand(&rnd) % 2) {
			if (!take(FLOW_4, i, LIMIT))
				continue;
			own[i]++;
			if (i == 1) {
				uint32_t n = __atomic_add_fetch(&held, 1, __ATOMIC_SEQ_CST);

				if (n > __atomic_load_n(&worst, __ATOMIC_RELAXED))
					__atomic_store_n(&worst, n, __ATOMIC_RELAXED);
			}
		} else if (own[i]) {
			if (i == 1)
				__atomic_sub_fetch(&held, 1, __ATOMIC_SEQ_CST);
			own[i]--;
			give(FLOW_4, i);
		}
	}
	for (uint32_t i = 0; i < 3; i++)
		while (own[i]--) {
			if (i == 1)
				__atomic_sub_fetch(&held, 1, __ATOMIC_SEQ_CST);
			give(FLOW_4, i);
		}
	return NULL;
}

/* Threads that take and give of the same sources lose nothing, and exceed the limit by no more than
 * themselves. */
START_TEST(threads)
{
	pthread_t t[THREADS];

	held = worst = 0;
	open_table(100);
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, contend, (void *)i), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_le(worst, LIMIT + THREADS);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert(has(FLOW_4, i, 0));
	close_table();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("flow_quota");
	TCase *t = tcase_create("flow_quota");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, oracle);
	tcase_add_test(t, many);
	tcase_add_loop_test(t, flows, 0, FLOW__FAMILIES);
	tcase_add_test(t, threads);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
