/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: hash functions for tables in memory; none of them is a wire format.
 * Design: FNV-1a for names (short, inline); the 64-bit finaliser of MurmurHash3 for integers.
 * Tables that hold keys an outsider chooses mix in a secret seed first.
 */
#ifndef RTR_HASH_H
#define RTR_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_mix64(uint64_t h)
{
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdull;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ull;
	h ^= h >> 33;
	return h;
}

static inline uint64_t hash_bytes(const void *buf, size_t size, uint64_t seed)
{
	const uint8_t *p = buf;
	uint64_t h = 0xcbf29ce484222325ull ^ seed;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return hash_mix64(h);
}

#endif
