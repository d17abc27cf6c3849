/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow_priv.h"

#define FLOW_ENV                    const struct fp_flow *
#define FLOW_BUCKET(env, family, i) (&(env)->fam[family].buckets[i])
#define FLOW_PAIR4(env, i)          ((struct flow_pair4 *)(void *)(env)->fam[FLOW_4].lines + (i))
#define FLOW_PAIR6(env, i)          ((struct flow_pair6 *)(void *)(env)->fam[FLOW_6].lines + (i))
FLOW_DEFINE_FIND(4)
FLOW_DEFINE_FIND(6)

enum flow_find fp_flow_find4(const struct fp_flow *t, const struct flow_key4 *key,
			     struct flow_hit4 *ret)
{
	return flow_find4(t, t->hdr, key, flow_hash4(t->hdr, key), ret);
}

enum flow_find fp_flow_find6(const struct fp_flow *t, const struct flow_key6 *key,
			     struct flow_hit6 *ret)
{
	return flow_find6(t, t->hdr, key, flow_hash6(t->hdr, key), ret);
}

/*
 * Stages: hash and fetch both buckets; look for the tag and fetch the line it leads to; compare
 * the key and copy. A tag that led to another flow's line (once in 10,000 lookups) is looked up
 * again alone.
 */
#define DEFINE_BURST(v)                                                                            \
	uint64_t fp_flow_find##v##_burst(const struct fp_flow *t, const struct flow_key##v *keys,  \
					 unsigned n, struct flow_hit##v *ret, uint64_t *ret_stale) \
	{                                                                                          \
		const struct flow_table *ft = &t->fam[FLOW_##v];                                   \
		uint64_t hash[FP_FLOW_BURST], slot[FP_FLOW_BURST], hits = 0, stale = 0;            \
                                                                                                   \
		for (unsigned i = 0; i < n; i++) {                                                 \
			hash[i] = flow_hash##v(t->hdr, &keys[i]);                                  \
			for (int c = 0; c < 2; c++)                                                \
				__builtin_prefetch(&ft->buckets[flow_bucket_of(                    \
					hash[i], ft->bucket_mask, c)]);                            \
		}                                                                                  \
		for (unsigned i = 0; i < n; i++) {                                                 \
			slot[i] = burst_slot(ft, hash[i]);                                         \
			if (slot[i])                                                               \
				__builtin_prefetch(flow_line(ft, FLOW_##v, (uint32_t)slot[i]), 1); \
		}                                                                                  \
		for (unsigned i = 0; i < n; i++) {                                                 \
			struct flow_pair##v *pair;                                                 \
			enum flow_find found;                                                      \
                                                                                                   \
			if (!slot[i])                                                              \
				continue;                                                          \
			pair = FLOW_PAIR##v(t, (uint32_t)slot[i] >> 1);                            \
			ret[i].line = (uint32_t)slot[i];                                           \
			ret[i].own = &pair->dir[slot[i] & 1];                                      \
			ret[i].twin = &pair->dir[(slot[i] & 1) ^ 1];                               \
			found = flow_line##v##_read(ret[i].own, (uint16_t)(slot[i] >> 32),         \
						    &keys[i], &ret[i].rw, &ret[i].word0);          \
			if (found != FLOW_HIT)                                                     \
				found = flow_find##v(t, t->hdr, &keys[i], hash[i], &ret[i]);       \
			hits |= (uint64_t)(found == FLOW_HIT) << i;                                \
			stale |= (uint64_t)(found == FLOW_STALE) << i;                             \
		}                                                                                  \
		*ret_stale = stale;                                                                \
		return hits;                                                                       \
	}

/* The first slot with the tag, or 0. */
static inline uint64_t burst_slot(const struct flow_table *ft, uint64_t hash)
{
	for (int c = 0; c < 2; c++) {
		const struct flow_bucket
			*b = &ft->buckets[flow_bucket_of(hash, ft->bucket_mask, c)];
		uint32_t found = flow_bucket_match(b, flow_tag(hash));

		/* An empty slot has tag 0: with that tag it may be in front of a used one. */
		for (; found; found &= found - 1) {
			uint64_t slot = FLOW_LD(&b->slot[__builtin_ctz(found)]);

			if (slot)
				return slot;
		}
	}
	return 0;
}

DEFINE_BURST(4)
DEFINE_BURST(6)
