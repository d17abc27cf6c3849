/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow_priv.h"

#include <netinet/in.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define FLOW_ENV                    const struct fp_flow *
#define FLOW_BUCKET(env, family, i) (&(env)->fam[family].buckets[i])
#define FLOW_PAIR4(env, i)          ((struct flow_pair4 *)(void *)(env)->fam[FLOW_4].lines + (i))
#define FLOW_PAIR6(env, i)          ((struct flow_pair6 *)(void *)(env)->fam[FLOW_6].lines + (i))
FLOW_DEFINE_FIND(4)
FLOW_DEFINE_FIND(6)

/* What user space has beside the lookup: name, side and twin. The flow may end while they are read.
 */
#define DEFINE_SIDE(v)                                                                             \
	static inline enum flow_find side##v(const struct fp_flow *t, struct flow_hit##v *h)       \
	{                                                                                          \
		const struct flow_table *ft = &t->fam[FLOW_##v];                                   \
		uint64_t side = flow_side_load(ft, FLOW_##v, h->place);                            \
		uint32_t twin = (uint32_t)(side >> 32) % (2 * ft->n_pairs);                        \
                                                                                                   \
		h->side = flow_side(ft, FLOW_##v, h->place);                                       \
		h->line = (uint32_t)side & FLOW_NAME_MASK;                                         \
		h->twin = (struct flow_line##v *)(void *)flow_line(ft, FLOW_##v, twin);            \
		return flow_w0_gen(FLOW_LD(&h->own->word0)) == flow_w0_gen(h->word0) ? FLOW_HIT    \
										     : FLOW_STALE; \
	}                                                                                          \
                                                                                                   \
	enum flow_find fp_flow_find##v(const struct fp_flow *t, const struct flow_key##v *key,     \
				       struct flow_hit##v *ret)                                    \
	{                                                                                          \
		enum flow_find found;                                                              \
                                                                                                   \
		found = flow_find##v(t, t->hdr, key, flow_hash##v(t->hdr, key), ret);              \
		return found == FLOW_HIT ? side##v(t, ret) : found;                                \
	}

DEFINE_SIDE(4)
DEFINE_SIDE(6)

/*
 * Which slots of a bucket hold the tag, four bits a slot: (bit - 7) / 4 is its number. The answer
 * is a hint, the slot is loaded again; so plain vector loads do, of which x86 never splits a
 * quadword.
 */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
static inline uint32_t tag_bits(const struct flow_bucket *b, uint16_t tag)
{
	const __m128i *v = (const __m128i *)b, want = _mm_set1_epi16((int16_t)tag);
	__m128i low, high;

	low = _mm_packs_epi16(_mm_cmpeq_epi16(v[0], want), _mm_cmpeq_epi16(v[1], want));
	high = _mm_packs_epi16(_mm_cmpeq_epi16(v[2], want), _mm_cmpeq_epi16(v[3], want));
	/* One bit for each 16 bits of the bucket; every fourth is a tag, the first is the lock's.
	 */
	return ((uint32_t)_mm_movemask_epi8(low) | (uint32_t)_mm_movemask_epi8(high) << 16) &
	       0x88888880u;
}
#else
static inline uint32_t tag_bits(const struct flow_bucket *b, uint16_t tag)
{
	uint32_t bits = 0;

	for (int s = 0; s < FLOW_SLOTS; s++)
		bits |= (uint32_t)(FLOW_LD(&b->slot[s]) >> 48 == tag) << (4 * s + 7);
	return bits;
}
#endif

/*
 * Stages: hash and fetch the first bucket; look for the tag and fetch the line it leads to, or the
 * second bucket if the first one's filter says so; look there; compare the key and copy. A tag that
 * led to another flow's line (once in 10,000 lookups) is looked up again alone.
 */

/* The first slot of a bucket with the tag, or 0. */
static inline uint64_t burst_slot(const struct flow_table *ft, uint64_t hash, int choice)
{
	const struct flow_bucket *b = &ft->buckets[flow_bucket_of(hash, ft->bucket_mask, choice)];

	/* An empty slot has tag 0: with that tag it may be in front of a used one. */
	for (uint32_t found = tag_bits(b, flow_tag(hash)); found; found &= found - 1) {
		uint64_t slot = FLOW_LD(&b->slot[(__builtin_ctz(found) - 7) / 4]);

		if (slot)
			return slot;
	}
	return 0;
}

/* Always inline: gcc takes a function that only fetches for one without effect and omits calls. */
__attribute__((always_inline)) static inline void
burst_fetch(const struct flow_table *ft, enum flow_family fam, uint64_t slot, uint8_t proto)
{
	const flow_word *own = flow_line(ft, fam, (uint32_t)slot);

	__builtin_prefetch(own, 1);
	/* Of IPv6 rewrite and TCP come with the side. */
	if (fam == FLOW_6 || proto == IPPROTO_TCP)
		__builtin_prefetch(flow_side(ft, fam, (uint32_t)slot), 1);
}

#define DEFINE_BURST(v)                                                                            \
	uint64_t fp_flow_find##v##_burst(const struct fp_flow *t, const struct flow_key##v *keys,  \
					 unsigned n, struct flow_hit##v *ret, uint64_t *ret_stale) \
	{                                                                                          \
		const struct flow_table *ft = &t->fam[FLOW_##v];                                   \
		uint64_t hash[FP_FLOW_BURST], slot[FP_FLOW_BURST], hits = 0, stale = 0,            \
								   second = 0;                     \
                                                                                                   \
		for (unsigned i = 0; i < n; i++) {                                                 \
			hash[i] = flow_hash##v(t->hdr, &keys[i]);                                  \
			__builtin_prefetch(                                                        \
				&ft->buckets[flow_bucket_of(hash[i], ft->bucket_mask, 0)]);        \
		}                                                                                  \
		for (unsigned i = 0; i < n; i++) {                                                 \
			const struct flow_bucket *b;                                               \
                                                                                                   \
			slot[i] = burst_slot(ft, hash[i], 0);                                      \
			if (slot[i]) {                                                             \
				burst_fetch(ft, FLOW_##v, slot[i], keys[i].proto);                 \
				continue;                                                          \
			}                                                                          \
			b = &ft->buckets[flow_bucket_of(hash[i], ft->bucket_mask, 0)];             \
			if (!flow_spilled(FLOW_LD(&b->lock), hash[i]))                             \
				continue;                                                          \
			second |= 1ull << i;                                                       \
			__builtin_prefetch(                                                        \
				&ft->buckets[flow_bucket_of(hash[i], ft->bucket_mask, 1)]);        \
		}                                                                                  \
		for (; second; second &= second - 1) {                                             \
			unsigned i = (unsigned)__builtin_ctzll(second);                            \
                                                                                                   \
			slot[i] = burst_slot(ft, hash[i], 1);                                      \
			if (slot[i])                                                               \
				burst_fetch(ft, FLOW_##v, slot[i], keys[i].proto);                 \
		}                                                                                  \
		for (unsigned i = 0; i < n; i++) {                                                 \
			struct flow_pair##v *pair;                                                 \
			enum flow_find found;                                                      \
                                                                                                   \
			if (!slot[i])                                                              \
				continue;                                                          \
			pair = FLOW_PAIR##v(t, (uint32_t)slot[i] >> 1);                            \
			ret[i].place = (uint32_t)slot[i];                                          \
			ret[i].own = &pair->dir[slot[i] & 1];                                      \
			found = flow_line##v##_read(ret[i].own, (uint16_t)(slot[i] >> 32),         \
						    &keys[i], &ret[i].rw, &ret[i].word0);          \
			if (found != FLOW_HIT)                                                     \
				found = flow_find##v(t, t->hdr, &keys[i], hash[i], &ret[i]);       \
			if (found == FLOW_HIT && keys[i].proto == IPPROTO_TCP)                     \
				found = side##v(t, &ret[i]);                                       \
			hits |= (uint64_t)(found == FLOW_HIT) << i;                                \
			stale |= (uint64_t)(found == FLOW_STALE) << i;                             \
		}                                                                                  \
		*ret_stale = stale;                                                                \
		return hits;                                                                       \
	}

DEFINE_BURST(4)
DEFINE_BURST(6)
