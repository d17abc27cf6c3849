/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The timer wheel against an array of deadlines, over jumps, wraps of the clock and budgets. */
#include "wheel.h"
#include "../lib/check_main.h"

#define N 400
static struct wheel w;
static struct wheel_node nodes[N];
static bool on[N];

static uint32_t random_delay(uint64_t *rnd)
{
	/* up to 64^5: beyond the top level too */
	return (uint32_t)(test_rand(rnd) & ((1ull << (test_rand(rnd) % 31)) - 1));
}

START_TEST(oracle)
{
	uint64_t rnd = test_seed;
	uint32_t now = _i ? 0xfffffff0u - (uint32_t)(test_rand(&rnd) % 100000) : 5;

	memset(on, 0, sizeof(on));
	wheel_init(&w, nodes, sizeof(nodes[0]), now);
	for (int step = 0; step < 20000; step++) {
		uint32_t i = (uint32_t)(test_rand(&rnd) % N), got;
		unsigned budget = 1000000;

		if (!on[i]) {
			wheel_add(&w, i, now + random_delay(&rnd));
			on[i] = true;
		} else if (test_rand(&rnd) % 4 == 0) {
			wheel_del(&w, i);
			on[i] = false;
		}
		if (step % 3)
			continue;
		now += random_delay(&rnd) >> (test_rand(&rnd) % 31);
		if (step % 2)
			budget = 3;
		while ((got = wheel_pop(&w, now, &budget)) != WHEEL_NONE) {
			ck_assert(on[got]);
			ck_assert_int_ge((int32_t)(now - nodes[got].deadline), 0);
			on[got] = false;
		}
		if (!(step % 2))
			for (i = 0; i < N; i++)
				ck_assert(!on[i] || (int32_t)(nodes[i].deadline - now) > 0);
	}
}
END_TEST

/* What the wheel costs: entries and moves, never the number of nodes waiting. */
START_TEST(cost)
{
	static struct wheel_node many[200000];
	unsigned budget = 1u << 30, popped = 0;

	wheel_init(&w, many, sizeof(many[0]), 0);
	for (uint32_t i = 0; i < 200000; i++)
		wheel_add(&w, i, i < 100 ? 10 : 100000 + i);
	while (wheel_pop(&w, 4000, &budget) != WHEEL_NONE)
		popped++;
	ck_assert_uint_eq(popped, 100);
	ck_assert_uint_eq((1u << 30) - budget, 100);
	while (wheel_pop(&w, 400000, &budget) != WHEEL_NONE)
		popped++;
	ck_assert_uint_eq(popped, 200000);
	ck_assert_uint_le((1u << 30) - budget, 4 * 200000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wheel");
	TCase *tc = tcase_create("wheel");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, oracle, 0, 2);
	tcase_add_test(tc, cost);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
