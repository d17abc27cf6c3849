/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a hierarchical timer wheel over nodes that lie in an array of the caller, named by number.
 *
 * Four levels of 64 lists: a node lies on the level of the highest six-bit digit in which its
 * deadline differs from now, and moves down a level when the clock reaches that digit (Varghese
 * and Lauck). So an entry moves at most three times, no walk over the table is ever made, and the
 * work of a tick is the entries that are due plus, every 64 ticks, one list of the level above.
 * A bit a list tells which are not empty: a clock that jumps (a stopped process, a quiet night)
 * costs the lists that it meets, not the ticks.
 *
 *	level 0: ticks    | 63 ... 0 |   due when the clock passes
 *	level 1: 64 ticks | 63 ... 0 |   spread over level 0 when reached
 *	level 3: 64^3     | 63 ... 0 |   deadlines beyond 64^4 - 1 ticks wait here and are re-filed
 *
 * Deadlines are u32 ticks that may wrap; differences must stay below 2^31.
 *
 * Owns: list heads; the nodes are the caller's, who must not free one that is on a list.
 * Threads: one. Failure: none.
 */
#ifndef FP_WHEEL_H
#define FP_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_LEVELS 4
#define WHEEL_BITS   6
#define WHEEL_LISTS  (1u << WHEEL_BITS)
#define WHEEL_NONE   0xffffffffu

/* First members of a node. prev of a list's first node is WHEEL_LISTS * level + list, marked. */
struct wheel_node {
	uint32_t next, prev;
	uint32_t deadline;
};

struct wheel {
	char *base;
	size_t stride;
	uint32_t now; /* ticks before this one are done */
	uint32_t n;
	uint64_t used[WHEEL_LEVELS]; /* bit: the list is not empty */
	uint32_t head[WHEEL_LEVELS * WHEEL_LISTS];
};

/* Node i lies at base + i * stride; fewer than 2^31 nodes. */
void wheel_init(struct wheel *w, void *base, size_t stride, uint32_t now);

/* A node that is on no list. A deadline that has passed is due at the next advance. */
void wheel_add(struct wheel *w, uint32_t i, uint32_t deadline);
void wheel_del(struct wheel *w, uint32_t i);

/*
 * Takes off one node that is due at now, WHEEL_NONE when none is left. *inout_budget counts nodes
 * looked at (moves between levels too); at 0 the call returns WHEEL_NONE and the rest stays.
 */
uint32_t wheel_pop(struct wheel *w, uint32_t now, unsigned *inout_budget);

#endif
