/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow_priv.h"

#include <errno.h>

/* About 20 us of waiting: a holder that runs needs a tenth of one. The model checker waits less. */
#ifndef LOCK_TRIES
#define LOCK_TRIES 1000
#endif

static inline void cpu_relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
}

/* --- counters of keys in their second bucket --- */

uint64_t flow_spill_add(uint64_t spill, uint64_t hash)
{
	unsigned shift = flow_spill_shift(hash);

	return (spill >> shift & FLOW_SPILL_MAX) == FLOW_SPILL_MAX ? spill
								   : spill + (1ull << shift);
}

/* From 3 nobody knows how many are left: the next holder counts. */
static uint64_t spill_sub(uint64_t spill, uint64_t hash)
{
	unsigned shift = flow_spill_shift(hash);

	return (spill >> shift & FLOW_SPILL_MAX) == FLOW_SPILL_MAX ? spill | FLOW_LOCK_AGAIN
								   : spill - (1ull << shift);
}

/* The hash of a slot's key; false when the flow ends meanwhile, for then its slot is gone. */
static bool slot_hash(const struct fp_flow *t, enum flow_family fam, uint64_t slot,
		      uint64_t *ret_hash)
{
	const struct flow_table *ft = &t->fam[fam];
	uint16_t gen = (uint16_t)(slot >> 32);
	const flow_word *line;
	flow_word key[5];

	if ((uint32_t)slot >> 1 >= ft->n_pairs)
		return false;
	line = flow_line(ft, fam, (uint32_t)slot);
	if (flow_w0_gen(FLOW_LD(line)) != gen)
		return false;
	for (int i = 0; i < flow_key_len(fam); i++)
		key[i] = FLOW_LD(line + 1 + i);
	*ret_hash = flow_hash(t->hdr, fam, key);
	return flow_w0_gen(FLOW_LD(line)) == gen;
}

/* The second buckets of all keys of a bucket lie in the same page. */
uint64_t flow_spill_count(const struct fp_flow *t, enum flow_family fam, uint32_t first)
{
	const struct flow_table *ft = &t->fam[fam];
	uint64_t spill = 0, hash;

	for (uint32_t k = 1; k < 64 && k <= ft->bucket_mask; k++)
		for (int s = 0; s < FLOW_SLOTS; s++) {
			uint64_t slot = FLOW_LD(&ft->buckets[first ^ k].slot[s]);

			if (slot && slot_hash(t, fam, slot, &hash) &&
			    flow_bucket_of(hash, ft->bucket_mask, 0) == first)
				spill = flow_spill_add(spill, hash);
		}
	return spill;
}

/* --- the lock --- */

int flow_bucket_lock(const struct fp_flow *t, enum flow_family fam, uint64_t lock, uint32_t first,
		     uint64_t *ret_spill)
{
	struct flow_bucket *b = &t->fam[fam].buckets[first];

	for (int i = 0; i < LOCK_TRIES; i++) {
		uint64_t old = FLOW_LD(&b->lock), owner = old & FLOW_LOCK_OWNER;
		uint64_t spill = old & FLOW_LOCK_SPILL;

		/* A lock of another epoch has no owner any more. */
		if ((!owner || (old ^ lock) >> FLOW_LOCK_EPOCH_SHIFT & 0xffff) &&
		    FLOW_CAS(&b->lock, &old, spill | lock)) {
			if (owner || old & FLOW_LOCK_AGAIN)
				spill = flow_spill_count(t, fam, first);
			*ret_spill = spill;
			return 0;
		}
		cpu_relax();
	}
	return -EBUSY;
}

/* "Again" may come while the lock is held; it stays. */
void flow_bucket_unlock(struct flow_bucket *b, uint64_t spill)
{
	uint64_t old = FLOW_LD(&b->lock);

	while (!FLOW_CAS(&b->lock, &old, spill | (old & FLOW_LOCK_AGAIN)))
		cpu_relax();
}

static void count_again(struct flow_bucket *b)
{
	uint64_t old = FLOW_LD(&b->lock);

	while (!FLOW_CAS(&b->lock, &old, old | FLOW_LOCK_AGAIN))
		cpu_relax();
}

void flow_bucket_sweep(const struct fp_flow *t, enum flow_family fam, uint32_t i)
{
	struct flow_bucket *b = &t->fam[fam].buckets[i];
	uint64_t spill;

	if (FLOW_LD(&b->lock) & (FLOW_LOCK_OWNER | FLOW_LOCK_AGAIN) &&
	    !flow_bucket_lock(t, fam, t->lock, i, &spill))
		flow_bucket_unlock(b, spill);
}

/* --- the end of a slot --- */

void flow_unpublish(const struct fp_flow *t, enum flow_family fam, uint64_t lock, uint32_t place,
		    uint16_t gen)
{
	const struct flow_table *ft = &t->fam[fam];
	uint64_t hash = flow_hash(t->hdr, fam, flow_line(ft, fam, place) + 1), spill;
	uint32_t first = flow_bucket_of(hash, ft->bucket_mask, 0);
	struct flow_bucket *b;
	int s;

	b = flow_slot_find(ft, hash, flow_slot(hash, gen, place), &s);
	if (!b)
		return;
	if (b == &ft->buckets[first]) {
		FLOW_ST(&b->slot[s], 0);
		return;
	}
	if (!flow_bucket_lock(t, fam, lock, first, &spill)) {
		FLOW_ST(&b->slot[s], 0);
		flow_bucket_unlock(&ft->buckets[first], spill_sub(spill, hash));
		return;
	}
	/* The end of a flow waits for nobody: the counter stays too high until it is counted. */
	FLOW_ST(&b->slot[s], 0);
	count_again(&ft->buckets[first]);
}
