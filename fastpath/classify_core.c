/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the lookup in one family, portable and for AVX2. The two differ in how a leaf block is
 * compared; the walk around it is one inline function.
 */
#include "classify_impl.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* See cls_block_match. */
typedef uint32_t block_match(const uint32_t *w, unsigned m, const struct fp_cls_key4 *k,
			     bool zones);

/* Order of the first rule of the leaf that matches, or FP_CLS_NONE. */
static inline __attribute__((always_inline)) uint32_t leaf_match(const struct fp_cls *cls,
								 const uint32_t *w, uint32_t n,
								 const struct fp_cls_key4 *k,
								 bool zones, block_match *match)
{
	unsigned words = WORDS_A_RULE + (zones ? WORDS_ZONES : 0);

	if (unlikely(n == REF_COUNT_MAX))
		n = *w++;
	while (n) {
		unsigned m = MIN(n, BLOCK_RULES);
		uint32_t hits = match(w, m, k, zones);

		for (; hits; hits &= hits - 1) {
			uint32_t meta = w[6 * m + (unsigned)__builtin_ctz(hits)];
			uint32_t order = meta >> META_ORDER_SHIFT;

			if (likely(!(meta & META_EXTRA) && !MISC_FRAG(k->misc)))
				return order;
			if (cls_extra_match(cls, order, k->misc))
				return order;
		}
		w += m * words;
		n -= m;
	}
	return FP_CLS_NONE;
}

/* Follows the cuts for the keys of list: all packets advance one level, then all the next one, so
 * that their misses are under way together. ret_ref receives their leaves. */
static inline __attribute__((always_inline)) void descend(const uint32_t *arena, uint64_t root,
							  const struct fp_cls_key4 *keys,
							  const uint8_t *list, unsigned n,
							  uint64_t *ret_ref)
{
	const uint64_t *at[BATCH];
	uint8_t todo[BATCH];

	for (unsigned j = 0; j < n; j++) {
		at[list[j]] = &root;
		todo[j] = list[j];
	}
	for (unsigned left = n, still; left; left = still) {
		still = 0;
		for (unsigned j = 0; j < left; j++) {
			unsigned i = todo[j];
			uint64_t ref = *at[i];

			at[i] = cls_child_at(arena, ref, &keys[i].src);
			__builtin_prefetch(at[i]);
			ret_ref[i] = ref;
			todo[still] = (uint8_t)i;
			still += !(ref & REF_LEAF);
		}
	}
}

/* Lowers best[i] to the order of the first match in i's leaf for all of list. */
static inline __attribute__((always_inline)) void
leaves(const struct fp_cls *cls, const struct cls_family *f, const struct fp_cls_key4 *keys,
       const uint8_t *list, unsigned n, const uint64_t *ref, uint32_t *best, block_match *match)
{
	for (unsigned j = 0; j < n; j++) {
		unsigned i = list[j];
		uint32_t order = leaf_match(cls, f->arena + (uint32_t)ref[i], REF_COUNT(ref[i]),
					    &keys[i], f->zones, match);

		best[i] = MIN(best[i], order);
	}
}

static inline __attribute__((always_inline)) void core(const struct fp_cls *cls,
						       const struct cls_family *f,
						       const struct fp_cls_key4 *keys, unsigned n,
						       uint32_t *ret_ids, block_match *match)
{
	uint32_t best[BATCH];
	uint64_t ref[BATCH];
	uint8_t list[BATCH];

	for (unsigned i = 0; i < n; i++)
		best[i] = FP_CLS_NONE;
	for (unsigned t = 0; t < f->n_trees; t++) {
		uint32_t first = f->tree[t].first_order;
		unsigned m = 0;

		for (unsigned i = 0; i < n; i++) {
			list[m] = (uint8_t)i;
			m += first < best[i];
		}
		descend(f->arena, f->tree[t].root, keys, list, m, ref);
		leaves(cls, f, keys, list, m, ref, best, match);
	}
	for (unsigned i = 0; i < n; i++)
		ret_ids[i] = best[i] == FP_CLS_NONE ? FP_CLS_NONE : cls->id[best[i]];
}

void cls_core_portable(const struct fp_cls *cls, const struct cls_family *f,
		       const struct fp_cls_key4 *keys, size_t n, uint32_t *ret_ids)
{
	core(cls, f, keys, (unsigned)n, ret_ids, cls_block_match);
}

#ifdef __x86_64__

#define AVX2 __attribute__((target("avx2,bmi,bmi2"))) inline

static AVX2 __m256i load8(const uint32_t *w)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)w);
}

static AVX2 __m256i in_span32(__m256i x, const uint32_t *lo, const uint32_t *span)
{
	__m256i off = _mm256_sub_epi32(x, load8(lo));

	return _mm256_cmpeq_epi32(_mm256_min_epu32(off, load8(span)), off);
}

static AVX2 uint32_t block_avx2(const uint32_t *w, unsigned m, const struct fp_cls_key4 *k,
				bool zones)
{
	__m256i ok = in_span32(_mm256_set1_epi32((int)k->src), w, w + m);
	__m256i ports = _mm256_sub_epi16(_mm256_set1_epi32((int)k->ports), load8(w + 4 * m));
	__m256i meta = load8(w + 6 * m), proto;

	ok = _mm256_and_si256(ok, in_span32(_mm256_set1_epi32((int)k->dst), w + 2 * m, w + 3 * m));
	ok = _mm256_and_si256(ok,
			      _mm256_cmpeq_epi16(_mm256_min_epu16(ports, load8(w + 5 * m)), ports));
	meta = _mm256_and_si256(meta, _mm256_set1_epi32(0x1ff));
	proto = _mm256_or_si256(_mm256_cmpeq_epi32(meta, _mm256_set1_epi32((int)(k->misc & 0xff))),
				_mm256_cmpeq_epi32(meta, _mm256_set1_epi32(META_ANY_PROTO)));
	ok = _mm256_and_si256(ok, proto);
	if (zones) {
		__m256i differ = _mm256_xor_si256(_mm256_set1_epi32((int)k->zones),
						  load8(w + 7 * m));

		differ = _mm256_and_si256(differ, load8(w + 8 * m));
		ok = _mm256_and_si256(ok, _mm256_cmpeq_epi32(differ, _mm256_setzero_si256()));
	}
	/* A lane whose two 16-bit halves differ is half a match: none. */
	ok = _mm256_cmpeq_epi32(ok, _mm256_set1_epi32(-1));
	return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(ok)) & ((1u << m) - 1);
}

__attribute__((target("avx2,bmi,bmi2"))) void cls_core_avx2(const struct fp_cls *cls,
							    const struct cls_family *f,
							    const struct fp_cls_key4 *keys,
							    size_t n, uint32_t *ret_ids)
{
	core(cls, f, keys, (unsigned)n, ret_ids, block_avx2);
}

#endif
