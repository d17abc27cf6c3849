/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a set of CPUs, as an operator writes it ("0,2-5") and as the kernel's files have it
 * ("3d", "ff,00000000": 32 bits a group, the highest first).
 * Owns: nothing. Threads: any. Failure: false.
 */
#ifndef RTR_CPUS_H
#define RTR_CPUS_H

#include "util.h"

/* As many as Debian's kernels are built for, and more. */
#define CPUS_MAX      1024
#define CPUS_LIST_MAX 4096 /* room for any list */
#define CPUS_MASK_MAX (CPUS_MAX / 32 * 9 + 1)

struct cpus {
	uint64_t w[CPUS_MAX / 64];
};

static inline bool cpus_has(const struct cpus *c, unsigned cpu)
{
	return c->w[cpu / 64] >> cpu % 64 & 1;
}

/* Not empty; the reason in *ret_why otherwise. */
bool cpus_parse_list(const char *s, struct cpus *ret, const char **ret_why);
char *cpus_list(const struct cpus *c, char buf[CPUS_LIST_MAX]);
bool cpus_parse_mask(const char *s, struct cpus *ret);
char *cpus_mask(const struct cpus *c, char buf[CPUS_MASK_MAX]);
/* -1: it is empty. */
int cpus_highest(const struct cpus *c);

#endif
