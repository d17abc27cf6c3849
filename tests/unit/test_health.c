/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thresholds and hysteresis of health. */
#include "../lib/check_main.h"
#include "health/health.h"

static bool feed(struct health_judge *j, double value)
{
	return health_judge(j, value, true, 80, 95);
}

START_TEST(test_table)
{
	ck_assert_str_eq(health_info[HEALTH_RETRANSMIT].word, "retransmissions");
	for (unsigned i = 0; i < HEALTH__MAX; i++)
		ck_assert_uint_lt(health_info[i].warn, health_info[i].crit);
}
END_TEST

START_TEST(test_worse)
{
	struct health_judge j = { 0 };

	ck_assert(feed(&j, 10));
	ck_assert_int_eq(j.state, HEALTH_OK);
	/* One sample is a spike. */
	ck_assert(!feed(&j, 99));
	ck_assert(!feed(&j, 10));
	ck_assert(!feed(&j, 99));
	ck_assert(feed(&j, 99));
	ck_assert_int_eq(j.state, HEALTH_CRIT);
	/* Two bad ones of different degree are the milder. */
	j = (struct health_judge){ .state = HEALTH_OK };
	ck_assert(!feed(&j, 99));
	ck_assert(feed(&j, 80));
	ck_assert_int_eq(j.state, HEALTH_WARN);
}
END_TEST

START_TEST(test_better)
{
	struct health_judge j = { .state = HEALTH_CRIT };

	/* 86 is above 90 % of 95: still very bad; 85 is not, and bad by itself. */
	for (int i = 0; i < 10; i++)
		ck_assert(!feed(&j, 86));
	ck_assert(!feed(&j, 85));
	ck_assert(!feed(&j, 85));
	ck_assert(feed(&j, 85));
	ck_assert_int_eq(j.state, HEALTH_WARN);
	for (int i = 0; i < 10; i++)
		ck_assert(!feed(&j, 73));
	ck_assert(!feed(&j, 71));
	ck_assert(!feed(&j, 71));
	ck_assert(!feed(&j, 99)); /* anew */
	ck_assert(!feed(&j, 71));
	ck_assert(!feed(&j, 71));
	ck_assert(feed(&j, 71));
	ck_assert_int_eq(j.state, HEALTH_OK);
}
END_TEST

START_TEST(test_unknown)
{
	struct health_judge j = { .state = HEALTH_WARN };

	for (int i = 1; i < HEALTH_BETTER_SAMPLES; i++)
		ck_assert(!health_judge(&j, 0, false, 80, 95));
	ck_assert(health_judge(&j, 0, false, 80, 95));
	ck_assert_int_eq(j.state, HEALTH_UNKNOWN);
	ck_assert(!health_judge(&j, 0, false, 80, 95));
	ck_assert(feed(&j, 99));
	ck_assert_int_eq(j.state, HEALTH_CRIT);
}
END_TEST

/* Whatever comes, a state is never left for one that no sample since spoke for. */
START_TEST(test_random)
{
	uint64_t rng = test_seed;
	struct health_judge j = { 0 };
	double worst = 0, best = 1e9;

	for (int i = 0; i < 100000; i++) {
		double v = (double)(test_rand(&rng) % 120);

		worst = v > worst ? v : worst;
		best = v < best ? v : best;
		if (!feed(&j, v))
			continue;
		ck_assert(j.state != HEALTH_CRIT || worst >= 95);
		ck_assert(j.state != HEALTH_WARN || worst >= 80 * 0.9);
		ck_assert(j.state != HEALTH_OK || best < 80);
		worst = 0;
		best = 1e9;
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("health");
	TCase *t = tcase_create("judge");

	tcase_add_test(t, test_table);
	tcase_add_test(t, test_worse);
	tcase_add_test(t, test_better);
	tcase_add_test(t, test_unknown);
	tcase_add_test(t, test_random);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
