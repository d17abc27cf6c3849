/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: how often a line matched and when it last did, from the set LC_HITS (list_compile.h): the
 * kernel itself keeps the time, so no sampling is needed. A line counts connections, not packets,
 * but for those that it drops.
 * What the fast plane counts (fastpath/fast_hits.h) is added.
 * Owns: the counts and a socket. Threads: rtrd's loop only; a reading of many lines is done in
 * pieces, one a turn of the loop.
 * Failure: done gets -errno; counts keep their last value. What was cleared counts again after a
 * restart of rtrd: the kernel's element goes on.
 */
#ifndef RTR_LIST_HITS_H
#define RTR_LIST_HITS_H

#include "firewall/policy.h"

#include <event2/event.h>

struct lc_hit {
	uint64_t packets, bytes;
	uint64_t last_ns; /* rtr_now_ns() of the last match; 0: never */
	uint64_t fast;    /* of packets: those of the fast plane */
};

int lc_hits_init(struct event_base *base);
void lc_hits_fini(void); /* who still waits is not called */

/* Reads the kernel; then done(arg, error) from the loop. Askers during a reading share it. */
void lc_hits_read(void (*done)(void *arg, int error), void *arg);
void lc_hits_forget(void *arg); /* the asker is gone */

/* As of the last reading; all zero: never matched. */
struct lc_hit lc_hits_get(pol_id id);
/* Counts from now on, as of the last reading: `clear access-list counters`, a line that is new. */
void lc_hits_clear(pol_id id);

#endif
