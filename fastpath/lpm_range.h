/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the entries and nodes below the root that the IPv4 and IPv6 lookup structures share.
 *
 * An entry is 32 bits: a next hop (0 = none, up to LPM_NH_MAX), or LPM_NODE and the index of a
 * node. A node splits the values of a few address bits, its key, into runs of equal entries:
 *
 *	small, up to 9 runs:	| 8 ends, 16 B | up to 9 entries |	 at most 52 B: one line
 *	large, up to 33 runs:	| 32 ends, 64 B, a line of its own | up to 33 entries |
 *	dense, any number:	| a split word for each 32 values |  entries elsewhere
 *
 * Small and large nodes hold the last value of each run but the final one. The run of a key is the
 * number of ends below it: one vector compare and a popcount, where a binary search (DXR, Zec et
 *al. 2012) takes up to five mispredictions. Ends are 16 bits, stored with the top bit flipped since
 * SSE2 and AVX2 compare signed; unused ends are the greatest value, which is below no key.
 *
 * A split word is bitmap << 32 | x. Bit i of the bitmap says that value i has another entry than
 * value i - 1 (bit 0 is never needed). No bit: x is the entry of all 32. Otherwise x is the number
 *of the first run's entry, in units of an entry from the base, and a popcount gives the run. The
 *word is complete in itself, so that one store changes all there is to 32 values.
 *
 * Threads: ends are constant once a node is published; words and entries change by one aligned
 * store each.
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
#define LPM_DENSE  0x20000000u
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

static inline const uint64_t *lpm_dense_word(const uint8_t *base, uint32_t e, unsigned key)
{
	const void *words = base + (size_t)(e & LPM_IDX) * LPM_UNIT_SIZE;

	return (const uint64_t *)words + key / 32;
}

/* Bits of a bitmap that count for value i of its 32. */
static inline uint32_t lpm_run_mask(unsigned i)
{
	return ~0u >> (31 - (i & 31));
}

static inline uint32_t lpm_split_find(const uint8_t *base, uint64_t word, unsigned i)
{
	uint32_t bitmap = (uint32_t)(word >> 32), x = (uint32_t)word;

	if (!bitmap)
		return x;
	x += (uint32_t)__builtin_popcount(bitmap & lpm_run_mask(i));
	return lpm_load((const uint32_t *)(const void *)base + x);
}

/* The entry for key in node e: a next hop, or the node below. */
static inline uint32_t lpm_node_find(const uint8_t *base, uint32_t e, unsigned key)
{
	uint64_t word;

	if (!(e & LPM_DENSE))
		return lpm_load(lpm_node_slot(base, e, key));
	word = __atomic_load_n(lpm_dense_word(base, e, key), __ATOMIC_ACQUIRE);
	return lpm_split_find(base, word, key);
}

#endif
