/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: main() for a Check program: one suite, TAP to the file that CK_TAP_LOG_FILE_NAME names.
 * RTR_TEST_SEED repeats a randomised run; without it the seed is taken from the clock and printed.
 */
#ifndef RTR_CHECK_MAIN_H
#define RTR_CHECK_MAIN_H

#include "util.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t test_seed __attribute__((unused));

/* xorshift64*: enough for test input, the same on every machine. */
static inline uint64_t test_rand(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

#define CHECK_MAIN(suite_fn)                                                                       \
	int main(void)                                                                             \
	{                                                                                          \
		const char *seed = getenv("RTR_TEST_SEED");                                        \
		SRunner *sr = srunner_create(suite_fn());                                          \
		int failed;                                                                        \
		test_seed = seed ? strtoull(seed, NULL, 0) : (rtr_now_ns() | 1);                   \
		printf("RTR_TEST_SEED=%#llx\n", (unsigned long long)test_seed);                    \
		srunner_run_all(sr, CK_NORMAL);                                                    \
		failed = srunner_ntests_failed(sr);                                                \
		srunner_free(sr);                                                                  \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                       \
	}

#endif
