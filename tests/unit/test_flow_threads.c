/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two workers, two readers and the maintenance thread at once; made for the tsan build. */
#include "../lib/flow_make.h"
#include "../lib/check_main.h"

#include <errno.h>
#include <pthread.h>

#define IDS         400
#define CHANGES     30000
#define GENERATIONS 5
/* On a busy machine one thread may be through before another has begun: each goes on until all
 * have met, up to this many times the least. */
#define PATIENCE 1000

static struct fp_flow_mem mem;
static struct fp_flow *table;
static bool stop, settled;
static uint64_t n_hits, n_wrong, n_refused;

static bool all_have_met(void)
{
	return __atomic_load_n(&settled, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&n_hits, __ATOMIC_RELAXED) > 100 &&
	       __atomic_load_n(&n_refused, __ATOMIC_RELAXED) > 100 &&
	       fp_flow_stat(table, FP_FLOW_STAT_FREED) > 1000;
}

/* Both workers want the same numbers, so that tuples are contended. */
static void *writer(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;
	struct fp_flow_worker *w = fp_flow_worker(table, id);
	uint64_t ref[IDS] = { 0 }, rnd = test_seed + id + 1;

	for (int i = 0; i < CHANGES || (i < CHANGES * PATIENCE && !all_have_met()); i++) {
		uint32_t n = (uint32_t)(test_rand(&rnd) % IDS);
		enum flow_family fam = n % 2;
		struct fp_flow_new f = flow_make(fam, n, 0, 1);
		int err;

		if (ref[n]) {
			err = fp_flow_set_flags(w, fam, ref[n], FLOW_F_MIRRORED, 0);
			err |= fp_flow_harvest(w, fam, ref[n]);
			err |= fp_flow_free(w, fam, ref[n]);
			ref[n] = 0;
			if (err)
				__atomic_fetch_add(&n_wrong, 1, __ATOMIC_RELAXED);
			continue;
		}
		err = fp_flow_insert(w, fam, &f, &ref[n]);
		if (err == -EEXIST || err == -ENOSPC || err == -EBUSY)
			__atomic_fetch_add(&n_refused, 1, __ATOMIC_RELAXED);
		else if (err)
			__atomic_fetch_add(&n_wrong, 1, __ATOMIC_RELAXED);
	}
	/* Some are left for who adopts the table. */
	for (uint32_t n = 0; n < IDS; n++)
		if (ref[n] && n % 8 && fp_flow_free(w, n % 2, ref[n]))
			__atomic_fetch_add(&n_wrong, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *reader(void *arg)
{
	uint64_t rnd = test_seed + 77 + (uintptr_t)arg, ref;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint32_t n = (uint32_t)(test_rand(&rnd) % IDS);
		struct fp_flow_new f = flow_make(n % 2, n, 0, 1);
		int found = flow_make_find(table, n % 2, &f.dir[n / 2 % 2], &ref);

		if (found < 0)
			__atomic_fetch_add(&n_wrong, 1, __ATOMIC_RELAXED);
		if (found == FLOW_HIT)
			__atomic_fetch_add(&n_hits, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *maintainer(void *arg)
{
	/* Small steps: adoption goes on while flows come and go. */
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		if (!fp_flow_maintain(table, 200))
			__atomic_store_n(&settled, true, __ATOMIC_RELAXED);
	return NULL;
}

static void run_all(void)
{
	pthread_t t[5];

	stop = settled = false;
	n_hits = n_refused = 0;
	for (uintptr_t i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_create(&t[i], NULL, writer, (void *)i), 0);
		ck_assert_int_eq(pthread_create(&t[2 + i], NULL, reader, (void *)i), 0);
	}
	ck_assert_int_eq(pthread_create(&t[4], NULL, maintainer, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 2; i < 5; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(n_wrong, 0);
	ck_assert_uint_gt(n_hits, 0);
	ck_assert_uint_gt(n_refused, 0);
	ck_assert_uint_gt(fp_flow_stat(table, FP_FLOW_STAT_FREED), 1000);
}

START_TEST(all_at_once)
{
	uint32_t n[FLOW__FAMILIES] = { 4096, 4096 };
	struct fp_flow_conf conf = { .n_workers = 2 };

	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	fp_flow_maintain(table, 100);
	run_all();
	fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}
END_TEST

/* A new process takes over what the writers left, while its own are at work from the first moment:
 * no line of theirs is taken for broken, which a free that finds its flow ended would tell. */
START_TEST(while_adopting)
{
	uint32_t n[FLOW__FAMILIES] = { 4096, 4096 };
	struct fp_flow_conf conf = { .n_workers = 2 };
	struct fp_flow_adoption a;

	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	for (int generation = 0; generation < GENERATIONS; generation++) {
		ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
		fp_flow_maintain(table, 10);
		run_all();
		while (fp_flow_maintain(table, 1000))
			;
		fp_flow_adoption(table, &a);
		ck_assert(a.done);
		table = fp_flow_close(table);
	}
	fp_flow_mem_fini(&mem);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("flow_threads");
	TCase *tc = tcase_create("flow_threads");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, all_at_once);
	tcase_add_test(tc, while_adopting);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
