/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the lookup in bit vectors, portable, for AVX2 and for AVX-512. They differ in how a node of
 * an axis is searched and how the first common bit of three rows is found.
 *
 * Each step is done for all keys of a batch before the next one, so that their loads are under way
 * together; the numbers of steps and lines are the classifier's, so that no branch on them is
 * foreseen wrong.
 */
#include "classify_vec.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define FORCE_INLINE inline __attribute__((always_inline))

/* How many of the VEC_NODE ends at e are below x. */
typedef uint32_t node_rank(const int32_t *e, int32_t x);
/* Number of the first bit that is set in all rows, or FP_CLS_NONE. */
typedef uint32_t first_bit(const uint64_t *a, const uint64_t *b, const uint64_t *c, unsigned lines);

/* Where a field lies in a key. */
static const struct {
	uint8_t word, shift;
	uint32_t mask;
} field_at[DIM__MAX] = { { 0, 0, UINT32_MAX }, { 1, 0, UINT32_MAX }, { 2, 16, 0xffff },
			 { 2, 0, 0xffff },     { 4, 0, 0xff },       { 3, 16, 0xffff },
			 { 3, 0, 0xffff } };

static FORCE_INLINE uint32_t field_of(const struct fp_cls_key4 *k, unsigned d)
{
	const uint32_t *words = &k->src;

	return words[field_at[d].word] >> field_at[d].shift & field_at[d].mask;
}

static FORCE_INLINE void search(const struct cls_axis *a, unsigned d, unsigned steps,
				const struct fp_cls_key4 *keys, unsigned n, uint32_t *ret_class,
				node_rank *rank)
{
	for (unsigned i = 0; i < n; i++) {
		int32_t x = (int32_t)(field_of(&keys[i], d) ^ VEC_BIAS);
		uint32_t part = rank(a->end, x);

		if (steps > 1)
			part = part * (VEC_NODE + 1) + rank(a->end + (1 + part) * VEC_NODE, x);
		if (steps > 2)
			part = part * (VEC_NODE + 1) +
			       rank(a->end + (2 + VEC_NODE + part) * VEC_NODE, x);
		ret_class[i] = a->class_of[part];
	}
}

/* Classes of field d of all keys. */
static FORCE_INLINE void classes(const struct cls_axis *a, unsigned d,
				 const struct fp_cls_key4 *keys, unsigned n, uint32_t *ret_class,
				 node_rank *rank)
{
	switch (a->steps) {
	case 0:
		for (unsigned i = 0; i < n; i++)
			ret_class[i] = a->class_of[MIN(field_of(&keys[i], d), a->last)];
		break;
	case 1:
		search(a, d, 1, keys, n, ret_class, rank);
		break;
	case 2:
		search(a, d, 2, keys, n, ret_class, rank);
		break;
	default:
		search(a, d, VEC_MAX_STEPS, keys, n, ret_class, rank);
	}
}

/* Classes to rows, whose lines are called for: the first and the last, which are all up to 1,024
 * rules. */
static FORCE_INLINE void rows(const uint64_t *row, unsigned lines, const uint32_t *class,
			      unsigned n, const uint64_t **ret_row)
{
	size_t words = (size_t)lines * VEC_LINE_WORDS;

	for (unsigned i = 0; i < n; i++) {
		ret_row[i] = row + class[i] * words;
		__builtin_prefetch(ret_row[i]);
		__builtin_prefetch(ret_row[i] + words - VEC_LINE_WORDS);
	}
}

/* Takes the next field into the classes. f is a constant for the compiler, so that it knows where
 * the field lies. */
static FORCE_INLINE void fold(const struct cls_vec *v, unsigned f, const struct fp_cls_key4 *keys,
			      unsigned n, uint32_t *class, node_rank *rank)
{
	const struct cls_fold *t = &v->fold[f];
	uint32_t next[BATCH];

	classes(&v->axis[DIM_DPORT + f], DIM_DPORT + f, keys, n, next, rank);
	for (unsigned i = 0; i < n; i++)
		class[i] = t->class_of[class[i] * t -> n + next[i]];
}

/* The first rule of the common bits that also has the key's flags, DSCP and fragment kind. */
static uint32_t first_exact(const struct fp_cls *cls, const struct cls_vec *v, uint32_t misc,
			    const uint64_t *a, const uint64_t *b, const uint64_t *c)
{
	for (unsigned w = 0; w < v->lines * VEC_LINE_WORDS; w++) {
		for (uint64_t hits = a[w] & b[w] & c[w]; hits; hits &= hits - 1) {
			const struct cls_vec_rule
				*r = &v->rule[w * 64 + (unsigned)__builtin_ctzll(hits)];

			if (cls_extra_match(cls, r->meta >> 1, misc))
				return r->id;
		}
	}
	return FP_CLS_NONE;
}

static FORCE_INLINE void matches(const struct fp_cls *cls, const struct cls_vec *v, unsigned lines,
				 const struct fp_cls_key4 *keys, unsigned n,
				 const uint64_t *const *src, const uint64_t *const *dst,
				 const uint64_t *const *rest, uint32_t *ret_ids, first_bit *first)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t bit = first(src[i], dst[i], rest[i], lines);

		if (unlikely(bit == FP_CLS_NONE))
			ret_ids[i] = FP_CLS_NONE;
		else if (unlikely(v->rule[bit].meta & 1 || MISC_FRAG(keys[i].misc)))
			ret_ids[i] = first_exact(cls, v, keys[i].misc, src[i], dst[i], rest[i]);
		else
			ret_ids[i] = v->rule[bit].id;
	}
}

static FORCE_INLINE void core(const struct fp_cls *cls, const struct cls_vec *v,
			      const struct fp_cls_key4 *keys, unsigned n, uint32_t *ret_ids,
			      node_rank *rank, first_bit *first)
{
	const uint64_t *src[BATCH], *dst[BATCH], *rest[BATCH];
	uint32_t class[BATCH];

	classes(&v->axis[DIM_SRC], DIM_SRC, keys, n, class, rank);
	rows(v->src, v->lines, class, n, src);
	classes(&v->axis[DIM_DST], DIM_DST, keys, n, class, rank);
	rows(v->dst, v->lines, class, n, dst);
	classes(&v->axis[DIM_SPORT], DIM_SPORT, keys, n, class, rank);
	fold(v, 0, keys, n, class, rank);
	fold(v, 1, keys, n, class, rank);
	if (v->n_folds == VEC_FOLDS) {
		fold(v, 2, keys, n, class, rank);
		fold(v, 3, keys, n, class, rank);
	}
	rows(v->rest, v->lines, class, n, rest);
	switch (v->lines) {
	case 1:
		matches(cls, v, 1, keys, n, src, dst, rest, ret_ids, first);
		break;
	case 2:
		matches(cls, v, 2, keys, n, src, dst, rest, ret_ids, first);
		break;
	default:
		matches(cls, v, v->lines, keys, n, src, dst, rest, ret_ids, first);
	}
}

static inline uint32_t rank_portable(const int32_t *e, int32_t x)
{
	uint32_t below = 0;

	for (unsigned i = 0; i < VEC_NODE; i++)
		below += e[i] < x;
	return below;
}

static inline uint32_t first_portable(const uint64_t *a, const uint64_t *b, const uint64_t *c,
				      unsigned lines)
{
	for (unsigned w = 0; w < lines * VEC_LINE_WORDS; w++) {
		uint64_t hits = a[w] & b[w] & c[w];

		if (hits)
			return w * 64 + (unsigned)__builtin_ctzll(hits);
	}
	return FP_CLS_NONE;
}

void cls_vec_portable(const struct fp_cls *cls, const struct cls_family *f,
		      const struct fp_cls_key4 *keys, size_t n, uint32_t *ret_ids)
{
	core(cls, f->vec, keys, (unsigned)n, ret_ids, rank_portable, first_portable);
}

#ifdef __x86_64__

#define AVX2   __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,popcnt")))

/* The bit of word w, which the masks say is the first that is not 0. */
static inline uint32_t bit_in_word(const uint64_t *a, const uint64_t *b, const uint64_t *c,
				   unsigned w)
{
	return w * 64 + (unsigned)__builtin_ctzll(a[w] & b[w] & c[w]);
}

static AVX2 inline __m256i load256(const void *p)
{
	return _mm256_load_si256(p);
}

static AVX2 inline uint32_t rank_avx2(const int32_t *e, int32_t x)
{
	__m256i key = _mm256_set1_epi32(x);
	__m256i low = _mm256_cmpgt_epi32(key, load256(e));
	__m256i high = _mm256_cmpgt_epi32(key, load256(e + 8));
	uint32_t two = (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi32(low, high));

	return (uint32_t)__builtin_popcount(two) / 2;
}

/* Which of four words are common to the rows and not 0. */
static AVX2 inline uint32_t common4(const uint64_t *a, const uint64_t *b, const uint64_t *c)
{
	__m256i all = _mm256_and_si256(_mm256_and_si256(load256(a), load256(b)), load256(c));
	__m256i none = _mm256_cmpeq_epi64(all, _mm256_setzero_si256());

	return ~(uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(none)) & 0xf;
}

static AVX2 inline uint32_t first_avx2(const uint64_t *a, const uint64_t *b, const uint64_t *c,
				       unsigned lines)
{
	uint32_t words = 0;

	for (unsigned w = 0; w < lines * VEC_LINE_WORDS; w += 4)
		words |= common4(a + w, b + w, c + w) << w;
	return words ? bit_in_word(a, b, c, (unsigned)__builtin_ctz(words)) : FP_CLS_NONE;
}

AVX2 void cls_vec_avx2(const struct fp_cls *cls, const struct cls_family *f,
		       const struct fp_cls_key4 *keys, size_t n, uint32_t *ret_ids)
{
	core(cls, f->vec, keys, (unsigned)n, ret_ids, rank_avx2, first_avx2);
}

static AVX512 inline __m512i load512(const void *p)
{
	return _mm512_load_si512(p);
}

static AVX512 inline uint32_t rank_avx512(const int32_t *e, int32_t x)
{
	return (uint32_t)__builtin_popcount(
		_mm512_cmpgt_epi32_mask(_mm512_set1_epi32(x), load512(e)));
}

static AVX512 inline uint32_t first_avx512(const uint64_t *a, const uint64_t *b, const uint64_t *c,
					   unsigned lines)
{
	uint32_t words = 0;

	for (unsigned w = 0; w < lines * VEC_LINE_WORDS; w += VEC_LINE_WORDS) {
		__m512i ab = _mm512_and_si512(load512(a + w), load512(b + w));

		words |= (uint32_t)_mm512_test_epi64_mask(ab, load512(c + w)) << w;
	}
	return words ? bit_in_word(a, b, c, (unsigned)__builtin_ctz(words)) : FP_CLS_NONE;
}

AVX512 void cls_vec_avx512(const struct fp_cls *cls, const struct cls_family *f,
			   const struct fp_cls_key4 *keys, size_t n, uint32_t *ret_ids)
{
	core(cls, f->vec, keys, (unsigned)n, ret_ids, rank_avx512, first_avx512);
}

#endif
