/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What: random numbers of a test with a seed. */
#ifndef RTR_TEST_GEN_H
#define RTR_TEST_GEN_H

#include "check_main.h"

#define N_IFACES 4
#define SYN      0x02

static uint64_t gen_seed;

static unsigned below(unsigned n)
{
	return (unsigned)(test_rand(&gen_seed) >> 33) % n;
}

static const char *pick(const char *const *v, size_t n)
{
	return v[below((unsigned)n)];
}
#define PICK(...)                                                                                  \
	pick((const char *const[]){ __VA_ARGS__ },                                                 \
	     sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

#endif
