/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: where the real data lies that tests use when it is there: the folder that the runner names
 * (RTR_SHARED_DATA), else ../shared/data beside the source tree.
 */
#ifndef TESTS_TEST_DATA_H
#define TESTS_TEST_DATA_H

#include "util.h"

#include <stdlib.h>

/* The path of name below it; the caller frees. */
static inline char *test_data(const char *name)
{
	const char *data = getenv("RTR_SHARED_DATA"), *top = getenv("top_srcdir");

	return data ? xasprintf("%s/%s", data, name)
		    : xasprintf("%s/../shared/data/%s", top ? top : ".", name);
}

#endif
