/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: packets and bytes of our rules and named counters, read back from the kernel by `id`.
 * A reading goes through the loop in pieces and never holds it up; one is kept and shared by all
 * who ask within NFT_COUNT_FRESH_MS. A count that grew between two readings dates the last hit.
 * Counters are sampled by themselves every NFT_COUNT_SAMPLE_SEC, so that the last hit is exact to
 * that.
 * Owns: the counts. Threads: rtrd's loop only. Failure: what cannot be read keeps its last value,
 * and done gets -errno.
 */
#ifndef RTR_NFT_COUNT_H
#define RTR_NFT_COUNT_H

#include "util.h"

#define NFT_COUNT_FRESH_MS   200
#define NFT_COUNT_SAMPLE_SEC 10

struct nft_count {
	uint64_t packets, bytes;
	uint64_t last_hit_ns; /* rtr_now_ns() of the reading that first saw it; 0: never */
};

/* Reads all counters; then done(arg, error) from the loop, at once when they are fresh. */
void nft_count_read(void (*done)(void *arg, int error), void *arg);
/* The asker is gone: its done is not called. */
void nft_count_forget(void *arg);
/* The last reading; all zero when the id has no counter (yet). */
struct nft_count nft_count_get(uint64_t id);
/* Forgets what was counted until now, of this id (0: of all): `clear access-list counters`. The
 * kernel's own counters go on. */
void nft_count_clear(uint64_t id);

#endif
