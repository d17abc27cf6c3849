/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the entries and range nodes that the IPv4 and IPv6 lookup structures share.
 *
 * An entry is 32 bits: a next hop (0 = none, up to LPM_NH_MAX), or LPM_NODE and the index of a
 * range node. A range node splits the values of a few address bits, its key, into runs of equal
 * entries. It holds the last value of each run but the final one, in order, then the runs' entries:
 *
 *	small, up to 8 ends:	| 8 ends, 16 B | up to 9 entries |	 at most 52 B: one line
 *	large, up to 32 ends:	| 32 ends, 64 B, a line of its own | up to 33 entries |
 *
 * The run of a key is the number of ends below it: one vector compare and a popcount, without a
 * branch that the data decides, where a binary search (DXR, Zec et al. 2012) takes five
 * mispredictions for 32 ends. Ends are 16 bits, stored with the top bit flipped since SSE2 and AVX2
 * compare signed; unused ends are the greatest value, which is below no key. More than 33 runs make
 * a tree of such nodes: an entry with LPM_SAME continues with the same key.
 *
 * Threads: ends are constant once a node is published; entries change by one aligned store.
 */
#ifndef RTR_LPM_RANGE_H
#define RTR_LPM_RANGE_H

#include "lpm_mem.h"

/* Vector loads are not atomic in the language, so the race detector gets the portable forms. */
#if defined(__SANITIZE_THREAD__)
#define LPM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LPM_TSAN 1
#endif
#endif

#define LPM_NODE   0x80000000u
#define LPM_LARGE  0x40000000u
#define LPM_SAME   0x20000000u
#define LPM_IDX    0x1fffffffu
#define LPM_NH_MAX 0x7fffffffu

#define LPM_SMALL_ENDS 8u
#define LPM_LARGE_ENDS 32u
#define LPM_BIAS       0x8000u /* of stored ends */

static inline uint32_t lpm_load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline const uint16_t *lpm_node_ends(const uint8_t *base, uint32_t e)
{
	return (const uint16_t *)(const void *)(base + (size_t)(e & LPM_IDX) * LPM_UNIT_SIZE);
}

static inline unsigned lpm_node_max(uint32_t e)
{
	return e & LPM_LARGE ? LPM_LARGE_ENDS : LPM_SMALL_ENDS;
}

/* Where the entry for key lies. The portable form: reads exactly the ends. */
static inline const uint32_t *lpm_node_slot(const uint8_t *base, uint32_t e, unsigned key)
{
	const uint16_t *ends = lpm_node_ends(base, e);
	unsigned max = lpm_node_max(e), rank = 0;
	int16_t k = (int16_t)(key ^ LPM_BIAS);

	for (unsigned i = 0; i < max; i++)
		rank += (int16_t)ends[i] < k;
	return (const uint32_t *)(const void *)(ends + max) + rank;
}

/* Follows the tree of one key to its end: an entry that is a next hop or another key's node. */
static inline uint32_t lpm_range_find(const uint8_t *base, uint32_t e, unsigned key)
{
	do
		e = lpm_load(lpm_node_slot(base, e, key));
	while ((e & (LPM_NODE | LPM_SAME)) == (LPM_NODE | LPM_SAME));
	return e;
}

#endif
