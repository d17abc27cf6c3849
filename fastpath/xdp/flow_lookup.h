/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: reading the flow table, one source for XDP and for user space.
 *
 * The reader's protocol: slot -> the line's gen equals the slot's and is even -> the key is the
 * packet's -> copy the rewrite to the stack -> the gen is still the same, and the line lives. A
 *line that fails the first or the last test was freed under the reader: FLOW_STALE, and the worker
 * decides. The writer's half of the protocol is in flow.c.
 *
 * The guess (flow_guess4, flow_guess6): most lines lie where the hash says. A line there that lives
 * and has the key is the flow, for lines live only while their slots are published, and two with
 *one key never do. Its fetch starts together with that of the bucket, which is needed if it fails.
 *
 * Order: all writers use release stores, all readers acquire loads. On x86-64 both are plain
 * moves, and the volatile accesses of the BPF build compile to the same; other machines need
 * BPF_LOAD_ACQ, and without it an interface has no express lane.
 *
 * The includer says where the memory is:
 *	FLOW_ENV          type of the handle, passed through
 *	FLOW_BUCKET(env, fam, i)  the bucket, or NULL (a BPF map lookup may say so)
 *	FLOW_PAIR4(env, i), FLOW_PAIR6(env, i)  the lines 2i and 2i + 1, or NULL
 * Tests replace FLOW_LD, FLOW_ST, FLOW_CAS to stop or reorder each access.
 *
 * Owns: nothing. Threads: any. Failure: FLOW_MISS or FLOW_STALE.
 */
#ifndef FP_FLOW_LOOKUP_H
#define FP_FLOW_LOOKUP_H

#include "rtr/flow.h"
#include "hash.h"

#ifdef __bpf__
#define FLOW_LD(p)  (*(const volatile flow_word *)(p))
#define FLOW_INLINE static inline __attribute__((always_inline))
#else
#ifndef FLOW_LD
#define FLOW_LD(p)    __atomic_load_n((const flow_word *)(p), __ATOMIC_ACQUIRE)
#define FLOW_ST(p, v) __atomic_store_n((flow_word *)(p), v, __ATOMIC_RELEASE)
#define FLOW_CAS(p, old, new)                                                                      \
	__atomic_compare_exchange_n((flow_word *)(p), old, new, 0, __ATOMIC_ACQ_REL,               \
				    __ATOMIC_ACQUIRE)
#endif
#define FLOW_INLINE static inline __attribute__((always_inline, unused))
#endif

enum flow_find { FLOW_MISS, FLOW_HIT, FLOW_STALE };

/*
 * The hash: sums of products of key words and secret 64-bit words (Thorup's pair-multiply-shift,
 * after NH): over the choice of the seed two different keys collide in the upper 32 bits of the
 * sum with probability 2^-32, whatever the keys are, so who does not know the seed cannot choose
 * keys that collide. The finaliser spreads the sum over all bits; it cannot add collisions.
 */
FLOW_INLINE uint64_t flow_hash_words(const uint32_t *x, int len, const uint64_t *seed)
{
	uint64_t h = seed[len];

	for (int i = 0; i < len; i += 2)
		h += (x[i] + seed[i]) * (x[i + 1] + seed[i + 1]);
	return hash_mix64(h);
}

FLOW_INLINE uint64_t flow_hash4(const struct flow_hdr *hdr, const struct flow_key4 *key)
{
	typedef uint32_t __attribute__((may_alias)) word;

	return flow_hash_words((const word *)key, 4, hdr->seed4);
}

FLOW_INLINE uint64_t flow_hash6(const struct flow_hdr *hdr, const struct flow_key6 *key)
{
	typedef uint32_t __attribute__((may_alias)) word;

	return flow_hash_words((const word *)key, 10, hdr->seed6);
}

/*
 * The two buckets of a hash: bits 0-23 name the first, bits 24-29 the second inside the same 64
 * buckets, which are one page: the second choice costs a cache line, not a TLB miss. Neighbourhoods
 * of 64 are filled evenly enough (docs/design/flowtable.md). The tag is bits 48-63.
 */
FLOW_INLINE uint32_t flow_bucket_of(uint64_t hash, uint32_t mask, int choice)
{
	uint32_t first = (uint32_t)hash & 0xffffff & mask;
	uint32_t other = (uint32_t)(hash >> 24) & 63 & mask;

	return choice ? first ^ (other ? other : 1) : first;
}

FLOW_INLINE uint16_t flow_tag(uint64_t hash)
{
	return (uint16_t)(hash >> 48);
}

/* Where the counter of a hash is in the lock word: bits 30-33 choose, no other use has them. */
FLOW_INLINE unsigned flow_spill_shift(uint64_t hash)
{
	return FLOW_LOCK_SPILL_SHIFT + 2 * (unsigned)(hash >> 30 & 15);
}

/* Can the key be in its second bucket? lock is the first one's, read at any time of the lookup. */
FLOW_INLINE int flow_spilled(uint64_t lock, uint64_t hash)
{
	return (lock & (FLOW_LOCK_OWNER | FLOW_SPILL_MAX << flow_spill_shift(hash))) != 0;
}

/* Where the line of a key lies by preference. */
FLOW_INLINE uint32_t flow_home(uint64_t hash, uint32_t n_pairs)
{
	return (uint32_t)((hash >> 32) * (2 * (uint64_t)n_pairs) >> 32);
}

FLOW_INLINE int flow_lives(uint64_t word0)
{
	return !(flow_w0_gen(word0) & 1) && flow_w0_path(word0) >= FLOW_P_WORKER;
}

FLOW_INLINE uint64_t flow_slot(uint64_t hash, uint16_t gen, uint32_t line)
{
	return (uint64_t)flow_tag(hash) << 48 | flow_ref(gen, line);
}

/*
 * Reads one line by the protocol above. key and ret_rw have n_key and n_rw words, which lie in
 * the line at word 1 and at word rw_at. FLOW_MISS: another flow with the same tag.
 */
FLOW_INLINE enum flow_find flow_line_read(const flow_word *line, uint16_t gen, const flow_word *key,
					  int n_key, flow_word *ret_rw, int rw_at, int n_rw,
					  uint64_t *ret_word0)
{
	uint64_t word0 = FLOW_LD(line);
	uint64_t diff = 0;

	if (flow_w0_gen(word0) != gen || gen & 1)
		return FLOW_STALE;
	for (int i = 0; i < n_key; i++)
		diff |= FLOW_LD(line + 1 + i) ^ key[i];
	if (diff)
		return FLOW_MISS;
	for (int i = 0; i < n_rw; i++)
		ret_rw[i] = FLOW_LD(line + rw_at + i);
	word0 = FLOW_LD(line);
	if (flow_w0_gen(word0) != gen)
		return FLOW_STALE;
	*ret_word0 = word0;
	return FLOW_HIT;
}

FLOW_INLINE enum flow_find flow_line4_read(const struct flow_line4 *line, uint16_t gen,
					   const struct flow_key4 *key,
					   struct flow_rewrite4 *ret_rw, uint64_t *ret_word0)
{
	enum flow_find found;

	found = flow_line_read((const flow_word *)line, gen, (const flow_word *)key, 2,
			       (flow_word *)ret_rw, 3, 2, ret_word0);
	return found == FLOW_HIT && !flow_lives(*ret_word0) ? FLOW_STALE : found;
}

/* The second cache line is read for translated flows only; else ret_rw is left alone. */
FLOW_INLINE enum flow_find flow_line6_read(const struct flow_line6 *line, uint16_t gen,
					   const struct flow_key6 *key,
					   struct flow_rewrite6 *ret_rw, uint64_t *ret_word0)
{
	enum flow_find found;

	found = flow_line_read((const flow_word *)line, gen, (const flow_word *)key, 5, NULL, 0, 0,
			       ret_word0);
	if (found == FLOW_HIT && !flow_lives(*ret_word0))
		return FLOW_STALE;
	if (found != FLOW_HIT || !(flow_w0_flags(*ret_word0) & FLOW_F_REWRITE))
		return found;
	for (int i = 0; i < 5; i++)
		((flow_word *)ret_rw)[i] = FLOW_LD((const flow_word *)line + 8 + i);
	*ret_word0 = FLOW_LD(line);
	return flow_w0_gen(*ret_word0) == gen && flow_lives(*ret_word0) ? FLOW_HIT : FLOW_STALE;
}

/* What a hit leaves on the stack: a copy that nobody changes any more. */
#ifdef __bpf__
#define FLOW_HIT_USER(v)
#else
/* User space wants name and twin too; XDP would have to fetch the side for them. */
#define FLOW_HIT_USER(v)                                                                           \
	uint32_t line;                                                                             \
	struct flow_side *side;                                                                    \
	struct flow_line##v *twin;
#endif
struct flow_hit4 {
	struct flow_line4 *own;
	uint64_t word0;
	uint32_t place;
	struct flow_rewrite4 rw;
	FLOW_HIT_USER(4)
};

struct flow_hit6 {
	struct flow_line6 *own;
	uint64_t word0;
	uint32_t place;
	struct flow_rewrite6 rw; /* when word0 has FLOW_F_REWRITE */
	FLOW_HIT_USER(6)
};

/* Who does not ask why there was no hit defines FLOW_HIT_ONLY: what is remembered from slot to slot
 * the verifier follows on each way, which may be too many for it. */
#ifdef FLOW_HIT_ONLY
#define FLOW_WORST(worst, found)
#else
#define FLOW_WORST(worst, found) (worst) = (found) == FLOW_STALE ? FLOW_STALE : (worst)
#endif

/* flow_find4 and flow_find6, for includers that have defined FLOW_ENV and its companions. */
#define FLOW_DEFINE_FIND(v)                                                                        \
	FLOW_INLINE enum flow_find flow_find##v(FLOW_ENV env, const struct flow_hdr *hdr,          \
						const struct flow_key##v *key, uint64_t hash,      \
						struct flow_hit##v *ret)                           \
	{                                                                                          \
		uint32_t mask = hdr->bucket_mask[FLOW_##v];                                        \
		enum flow_find worst = FLOW_MISS;                                                  \
                                                                                                   \
		/* Or clang merges a register that was never set, which the verifier refuses. */   \
		*ret = (struct flow_hit##v){ .place = 0 };                                         \
		for (int second = 0; second < 2; second++) {                                       \
			const struct flow_bucket *b;                                               \
                                                                                                   \
			b = FLOW_BUCKET(env, FLOW_##v, flow_bucket_of(hash, mask, second));        \
			if (!b)                                                                    \
				return FLOW_MISS;                                                  \
			for (int s = 0; s < FLOW_SLOTS; s++) {                                     \
				uint64_t slot = FLOW_LD(&b->slot[s]);                              \
				struct flow_pair##v *pair;                                         \
				enum flow_find found;                                              \
                                                                                                   \
				if (slot >> 48 != flow_tag(hash) || !slot)                         \
					continue;                                                  \
				pair = FLOW_PAIR##v(env, (uint32_t)slot >> 1);                     \
				if (!pair)                                                         \
					return FLOW_STALE;                                         \
				ret->place = (uint32_t)slot;                                       \
				ret->own = &pair->dir[slot & 1];                                   \
				found = flow_line##v##_read(ret->own, (uint16_t)(slot >> 32), key, \
							    &ret->rw, &ret->word0);                \
				if (found == FLOW_HIT)                                             \
					return FLOW_HIT;                                           \
				FLOW_WORST(worst, found);                                          \
			}                                                                          \
			if (!second && !flow_spilled(FLOW_LD(&b->lock), hash))                     \
				break;                                                             \
		}                                                                                  \
		return worst;                                                                      \
	}

/* FLOW_HIT: it was at home; the bucket's fetch has begun either way. */
#define FLOW_DEFINE_GUESS(v)                                                                       \
	FLOW_INLINE enum flow_find flow_guess##v(FLOW_ENV env, const struct flow_hdr *hdr,         \
						 const struct flow_key##v *key, uint64_t hash,     \
						 struct flow_hit##v *ret)                          \
	{                                                                                          \
		uint32_t home = flow_home(hash, hdr->n_pairs[FLOW_##v]);                           \
		uint32_t first = flow_bucket_of(hash, hdr->bucket_mask[FLOW_##v], 0);              \
		struct flow_pair##v *pair = FLOW_PAIR##v(env, home >> 1);                          \
		const struct flow_bucket *b = FLOW_BUCKET(env, FLOW_##v, first);                   \
		uint64_t word0;                                                                    \
                                                                                                   \
		*ret = (struct flow_hit##v){ .place = home };                                      \
		if (!pair || !b)                                                                   \
			return FLOW_MISS;                                                          \
		ret->own = &pair->dir[home & 1];                                                   \
		word0 = FLOW_LD(&ret->own->word0);                                                 \
		(void)FLOW_LD(&b->lock);                                                           \
		if (v == 6)                                                                        \
			(void)FLOW_LD(&ret->own->rw);                                              \
		if (!flow_lives(word0))                                                            \
			return FLOW_MISS;                                                          \
		return flow_line##v##_read(ret->own, flow_w0_gen(word0), key, &ret->rw,            \
					   &ret->word0) == FLOW_HIT                                \
			       ? FLOW_HIT                                                          \
			       : FLOW_MISS;                                                        \
	}

#endif
