/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: how often lines of the policy matched on the fast plane, and when they last did. A process
 * counts from its start on; what the one before had told is kept.
 * Owns: the counts. Threads: rtrd's loop only. Failure: without rtr-fastpath counts keep their last
 * value; what it counted after it was asked last ends with it.
 */
#ifndef RTR_FAST_HITS_H
#define RTR_FAST_HITS_H

#include <stdbool.h>
#include <stdint.h>

struct fastpath_hits;

struct fast_hit {
	uint64_t hits, bytes;
	uint64_t last_ns; /* rtr_now_ns() of the last one; 0: never */
};

/* Asks rtr-fastpath; then done() from the loop. False: there is none. */
bool fast_hits_read(void (*done)(void));
/* As of the last reading. */
struct fast_hit fast_hits_get(uint64_t id);
/* Counts from now on, as of the last reading. */
void fast_hits_clear(uint64_t id);

/* fast_client.c: what is told; an answer is complete. */
void fast_hits_take(const struct fastpath_hits *h);
void fast_hits_taken(void);
void fast_hits_fini(void);

#endif
