/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what a setting of the kernel was before our first write to it ("link 3 eth0 mtu" 1500,
 * "sysctl net/ipv4/ip_forward" 0), so that it can return there when the configuration line goes.
 * Kept in <rundir>/baseline, replaced as a whole before the write that it belongs to; so a restart
 * or kill -9 loses nothing. The file names the boot and the network namespace: another's is void.
 * Owns: keys and values. Threads: rtrd's loop only. Failure: baseline_sync's; a damaged file is
 * treated as absent (and replaced).
 */
#ifndef RTR_BASELINE_H
#define RTR_BASELINE_H

#include "util.h"

/* rundir NULL: kept in memory only (tests). 0 or -errno when the file cannot be read. */
int baseline_init(const char *rundir);
void baseline_fini(void);

/* NULL when there is none. */
const char *baseline_get(const char *key);
/* Does nothing when the key is there already: the first value is the one from before us. */
void baseline_keep(const char *key, const char *value);
void baseline_drop(const char *key);
/* Writes the file when something changed. 0 or -errno. */
int baseline_sync(void);

/* Keys that start with prefix, in order of key. fn must not change the baseline. */
void baseline_foreach(const char *prefix, void (*fn)(void *arg, const char *key, const char *value),
		      void *arg);

#endif
