/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One writer changes routes while two readers look up; meant to run under the race detector. The
 * grace periods are a few lines of our own, in operations that the detector understands.
 */
#include "../lib/lpm_any.h"

#include <pthread.h>

#define N_READERS 2
#define N_AREAS   64 /* /16s (IPv4), /32s (IPv6) with routes inside */
#define N_CHANGES 60000

struct run {
	struct any t;
	uint64_t epoch;
	uint64_t seen[N_READERS][8]; /* a line each */
	bool stop;
	uint64_t n_lookups[N_READERS];
	struct lpm_retired *first, **last; /* waiting for a grace period */
	unsigned n_waiting, n_released;
};

struct reader {
	struct run *run;
	unsigned id;
	unsigned bad;
};

static void area_addr(const struct any *t, unsigned area, uint64_t bits, uint8_t a[16])
{
	memset(a, 0, 16);
	a[0] = 0x20;
	a[t->is6 ? 3 : 1] = (uint8_t)area;
	for (unsigned i = t->is6 ? 4 : 2; i < t->bits / 8; i++, bits = bits >> 8 | bits << 56)
		a[i] = (uint8_t)bits;
}

/* The route of an area is never withdrawn, and all next hops inside tell the area. */
static void *read_all(void *arg)
{
	struct reader *me = arg;
	struct run *run = me->run;
	uint64_t rng = test_seed + me->id;
	uint8_t a[32][16];
	uint32_t a4[32], nh[32];

	while (!__atomic_load_n(&run->stop, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 0; i < 32; i++) {
			area_addr(&run->t, i % N_AREAS, test_rand(&rng) & test_rand(&rng), a[i]);
			a4[i] = any_host4(a[i]);
		}
		if (run->t.is6)
			lpm6_lookup_batch(run->t.t6, a, nh, 32);
		else
			lpm4_lookup_batch(run->t.t4, a4, nh, 32);
		for (unsigned i = 0; i < 32; i++)
			me->bad += nh[i] >> 20 != i % N_AREAS + 1;
		run->n_lookups[me->id] += 32;
		__atomic_store_n(&run->seen[me->id][0],
				 __atomic_load_n(&run->epoch, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
	}
	return NULL;
}

static void queue_batch(void *ctx, struct lpm_retired *b)
{
	struct run *run = ctx;

	*run->last = b;
	run->last = &b->next;
	run->n_waiting++;
}

static void grace_period(struct run *run)
{
	uint64_t now = __atomic_add_fetch(&run->epoch, 1, __ATOMIC_ACQ_REL);

	for (unsigned i = 0; i < N_READERS; i++)
		while (__atomic_load_n(&run->seen[i][0], __ATOMIC_ACQUIRE) < now)
			sched_yield();
}

static void release_waiting(struct run *run)
{
	struct lpm_retired *b = run->first, *next;

	grace_period(run);
	run->first = NULL;
	run->last = &run->first;
	run->n_waiting = 0;
	for (; b; b = next) {
		next = b->next;
		lpm_retired_release(b);
		run->n_released++;
	}
}

static void change(struct run *run, uint64_t *rng, unsigned n)
{
	static const uint8_t lens4[] = { 16, 18, 19, 20, 22, 24, 24, 24, 26, 32 };
	static const uint8_t lens6[] = { 32, 34, 36, 40, 44, 48, 48, 52, 64, 128 };
	unsigned area = (unsigned)(test_rand(rng) % N_AREAS);
	unsigned len = (run->t.is6 ? lens6 : lens4)[test_rand(rng) % 10];
	uint32_t nh = (area + 1) << 20 | n;
	uint8_t a[16];

	area_addr(&run->t, area, test_rand(rng) & test_rand(rng), a);
	any_mask(a, len);
	if (len == lens4[0] || (run->t.is6 && len == lens6[0]) || test_rand(rng) & 1)
		ck_assert_int_eq(any_set(&run->t, a, len, nh), 0);
	else
		(void)any_del(&run->t, a, len);
	/* Above all areas: never the best match, but it runs through the same nodes. */
	if (n % 64 == 0) {
		memset(a + 1, 0, 15);
		if (n & 64)
			ck_assert_int_eq(any_set(&run->t, a, 8, 1), 0);
		else
			(void)any_del(&run->t, a, 8);
	}
}

START_TEST(readers_and_writer)
{
	struct run run = { .last = &run.first };
	struct reader rd[N_READERS];
	pthread_t thread[N_READERS];
	uint64_t rng = test_seed;
	uint8_t a[16];

	run.t = any_new(_i, &(struct lpm_params){ .defer = queue_batch, .defer_ctx = &run });
	for (unsigned i = 0; i < N_AREAS; i++) {
		area_addr(&run.t, i, 0, a);
		ck_assert_int_eq(any_set(&run.t, a, _i ? 32 : 16, (i + 1) << 20), 0);
	}
	for (unsigned i = 0; i < N_READERS; i++) {
		rd[i] = (struct reader){ &run, i, 0 };
		ck_assert_int_eq(pthread_create(&thread[i], NULL, read_all, &rd[i]), 0);
	}
	for (unsigned n = 0; n < N_CHANGES; n++) {
		change(&run, &rng, n);
		if (n % 500 == 499)
			any_flush(&run.t);
		if (run.n_waiting >= 4)
			release_waiting(&run);
	}
	any_flush(&run.t);
	release_waiting(&run);
	__atomic_store_n(&run.stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < N_READERS; i++) {
		pthread_join(thread[i], NULL);
		ck_assert_uint_eq(rd[i].bad, 0);
		ck_assert_uint_gt(run.n_lookups[i], 0);
	}
	ck_assert_uint_gt(run.n_released, N_CHANGES / 2000);
	ck_assert_uint_eq(any_stats(&run.t).retired_bytes, 0);
	any_free(&run.t);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("lpm_threads");
	TCase *tc = tcase_create("threads");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, readers_and_writer, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
