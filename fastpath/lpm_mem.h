/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the memory under a route lookup table: one reserved range of addresses, handed out in
 * blocks of 8-byte units that are named by a 32-bit index.
 *
 * Why not malloc: the base never moves, so that growing publishes nothing; an index is half a
 * pointer and fits beside a bitmap in one atomic word; blocks of one size lie together, so that a
 * node of a power-of-two size never straddles a cache line; and a limit can be given, at which an
 * insertion fails cleanly. The range is reserved without access and opened as it is used, so an
 * empty table costs a few pages however high its limit is. From 4 MB on huge pages are asked for
 * by madvise; where there are none nothing changes but speed.
 *
 * Blocks come in size classes (at most a quarter wasted above 8 units). A freed block goes to its
 * class's list and is never split or joined: in a routing table sizes return. The limit counts
 * blocks in use; what all classes once needed at their own peaks may add up to four times that.
 *
 * Owns: its mapping. Threads: the writer alone; readers only follow indices it published.
 * Failure: lpm_arena_reserve says -ENOMEM; after it returned 0 lpm_arena_alloc cannot fail for
 * blocks whose sizes add up to what was reserved.
 */
#ifndef RTR_LPM_MEM_H
#define RTR_LPM_MEM_H

#include "util.h"

#define LPM_UNIT_SIZE 8u
#define LPM_N_CLASSES 56

struct lpm_arena {
	uint8_t *base;      /* constant; unit 0 is never handed out, so that 0 names nothing */
	uint32_t n_units;   /* ever handed out, free lists included */
	uint32_t n_open;    /* accessible */
	uint32_t max_units; /* the limit of those in use */
	uint32_t cap_units; /* the end of the range */
	uint32_t n_free;    /* units on the free lists */
	void *map;
	size_t map_size;
	uint32_t free[LPM_N_CLASSES];
};

/* Zero-filled memory, read and written lazily; huge when asked. NULL when there is none. */
void *lpm_map(size_t size, bool huge);
void lpm_unmap(void *p, size_t size);
/* Asks for huge pages for what was mapped without them. Best effort. */
void lpm_map_make_huge(void *p, size_t size);

int lpm_arena_init(struct lpm_arena *a, size_t max_size);
/* Nothing is in use: forgets the free lists. The memory stays. */
void lpm_arena_reset(struct lpm_arena *a);
void lpm_arena_fini(struct lpm_arena *a);
/* Makes sure that blocks of so many units in all can be had. 0 or -ENOMEM. spare: units that must
 * remain after them. */
int lpm_arena_reserve(struct lpm_arena *a, size_t units, size_t spare);
/* Index of a block of at least that many units, aligned to its class size when that is a power of
 * two up to 64 bytes, and to 64 bytes when it is a multiple of that. Contents undefined. */
uint32_t lpm_arena_alloc(struct lpm_arena *a, uint32_t units);
void lpm_arena_free(struct lpm_arena *a, uint32_t idx, uint32_t units);
/* Units that a block asked for with that many really holds. */
uint32_t lpm_arena_round(uint32_t units);

static inline void *lpm_arena_at(const struct lpm_arena *a, uint32_t idx)
{
	return a->base + (size_t)idx * LPM_UNIT_SIZE;
}

#endif
