/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lpm6.h"
#include "lpm_table.h"

#include <endian.h>
#include <string.h>

#if defined(__x86_64__) && !defined(LPM_TSAN)
#define LPM6_X86 1
#include <immintrin.h>
#endif

/* Hot first: what a lookup reads beside the table itself. */
struct lpm6 {
	const uint64_t *root;
	const uint8_t *base;
	lpm6_batch_fn *batch;
	struct lpm_rib rib;
};

static const struct lpm_shape shape = {
	.addr_bits = 128,
	.n_levels = 12,
	.level = { { 0, 16, LPM_K_ROOT },
		   { 16, 8, LPM_K_ARRAY },
		   { 24, 12, LPM_K_NODE },
		   { 36, 12, LPM_K_NODE },
		   { 48, 8, LPM_K_NODE },
		   { 56, 8, LPM_K_NODE },
		   { 64, 12, LPM_K_NODE },
		   { 76, 12, LPM_K_NODE },
		   { 88, 12, LPM_K_NODE },
		   { 100, 12, LPM_K_NODE },
		   { 112, 8, LPM_K_NODE },
		   { 120, 8, LPM_K_NODE } },
};

static struct lpm_key key_of(const uint8_t addr[16])
{
	struct lpm_key k;

	memcpy(&k.hi, addr, 8);
	memcpy(&k.lo, addr + 8, 8);
	return (struct lpm_key){ be64toh(k.hi), be64toh(k.lo) };
}

/* The root word and the array under it: both in L1 or L2 for the addresses that are in use. */
static inline uint32_t first_24(const struct lpm6 *t, uint64_t hi)
{
	const uint64_t *word = &t->root[hi >> 48];
	uint32_t e = (uint32_t)__atomic_load_n(word, __ATOMIC_ACQUIRE);
	const uint32_t *array;

	if (!(e & LPM_NODE))
		return e;
	array = (const void *)(t->base + (size_t)(e & LPM_IDX) * LPM_UNIT_SIZE);
	return lpm_load(&array[hi >> 40 & 0xff]);
}

uint32_t lpm6_lookup(const struct lpm6 *t, const uint8_t addr[16])
{
	struct lpm_key k = key_of(addr);
	uint32_t e = first_24(t, k.hi);

	for (unsigned lv = 2; e & LPM_NODE; lv++)
		e = lpm_node_find(t->base, e,
				  lpm_key_bits(k, shape.level[lv].off, shape.level[lv].bits));
	return e ? e : lpm_load(&t->rib.dflt);
}

/*
 * A group goes down level by level. At each one the lanes that are not at their end are parted into
 * those in range nodes and those in dense ones, each kind finds the places of its entries in a loop
 * of its own, and one loop loads them. Nothing branches on a lane's data, and the loads of a loop
 * overlap.
 */
#define GROUP 64

struct group {
	struct lpm_key k[GROUP];
	uint32_t e[GROUP];
	const uint32_t *p[GROUP];
	uint8_t live[GROUP], range[GROUP], dense[GROUP];
};

typedef const uint32_t *slot_fn(const uint8_t *base, uint32_t e, unsigned key);

static inline __attribute__((always_inline)) unsigned down(const struct lpm6 *t, struct group *g,
							   unsigned n_live,
							   const struct lpm_level *l, slot_fn *slot)
{
	const uint64_t *half = l->off < 64 ? &g->k[0].hi : &g->k[0].lo;
	unsigned left = l->off & 63, right = 64u - l->bits;
	unsigned n_range = 0, n_dense = 0, n_next = 0;

	for (unsigned j = 0; j < n_live; j++) {
		uint8_t i = g->live[j];
		bool dense = g->e[i] & LPM_DENSE;

		g->range[n_range] = g->dense[n_dense] = i;
		n_dense += dense;
		n_range += !dense;
	}
	for (unsigned j = 0; j < n_dense; j++) {
		unsigned i = g->dense[j], key = (unsigned)(half[2 * i] << left >> right);
		uint64_t word = __atomic_load_n(lpm_dense_word(t->base, g->e[i], key),
						__ATOMIC_ACQUIRE);
		uint32_t bitmap = (uint32_t)(word >> 32);
		uint32_t run = (uint32_t)__builtin_popcount(bitmap & lpm_run_mask(key));
		const uint32_t *entry = (const uint32_t *)(const void *)t->base;

		g->e[i] = (uint32_t)word;
		g->p[i] = bitmap ? entry + (uint32_t)word + run : &g->e[i];
	}
	for (unsigned j = 0; j < n_range; j++) {
		unsigned i = g->range[j], key = (unsigned)(half[2 * i] << left >> right);

		g->p[i] = slot(t->base, g->e[i], key);
	}
	for (unsigned j = 0; j < n_live; j++) {
		uint8_t i = g->live[j];

		g->e[i] = lpm_load(g->p[i]);
		g->live[n_next] = i;
		n_next += g->e[i] >> 31;
	}
	return n_next;
}

static inline __attribute__((always_inline)) void
batch(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *nh, unsigned n, slot_fn *slot)
{
	uint32_t dflt = lpm_load(&t->rib.dflt);
	struct group g;

	for (unsigned k; n; n -= k, addr += k, nh += k) {
		unsigned n_live = 0;

		k = MIN(n, (unsigned)GROUP);
		for (unsigned i = 0; i < k; i++) {
			g.k[i] = key_of(addr[i]);
			g.e[i] = first_24(t, g.k[i].hi);
			g.live[n_live] = (uint8_t)i;
			n_live += g.e[i] >> 31;
		}
		for (unsigned lv = 2; n_live; lv++)
			n_live = down(t, &g, n_live, &shape.level[lv], slot);
		for (unsigned i = 0; i < k; i++)
			nh[i] = g.e[i] ? g.e[i] : dflt;
	}
}

static void batch_portable(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *nh,
			   unsigned n)
{
	batch(t, addr, nh, n, lpm_node_slot);
}

#ifdef LPM6_X86
#define AVX2 __attribute__((target("avx2,popcnt")))
#define AVX512                                                                                     \
	__attribute__((target(                                                                     \
		"avx512f,avx512dq,avx512bw,avx512vl,avx512vpopcntdq,avx2,popcnt,bmi,bmi2")))

AVX512 static inline __mmask16 lanes_of(unsigned n)
{
	return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

AVX2 static inline __attribute__((always_inline)) const uint32_t *
slot_avx2(const uint8_t *base, uint32_t e, unsigned key)
{
	const uint8_t *p = base + (size_t)(e & LPM_IDX) * LPM_UNIT_SIZE;
	int16_t biased = (int16_t)(key ^ LPM_BIAS);

	if (e & LPM_LARGE) {
		__m256i k = _mm256_set1_epi16(biased);
		__m256i lo = _mm256_load_si256((const __m256i *)(const void *)p);
		__m256i hi = _mm256_load_si256((const __m256i *)(const void *)(p + 32));
		/* The order of the lanes does not matter to a count. */
		__m256i below = _mm256_packs_epi16(_mm256_cmpgt_epi16(k, lo),
						   _mm256_cmpgt_epi16(k, hi));
		unsigned rank = (unsigned)__builtin_popcount((unsigned)_mm256_movemask_epi8(below));

		return (const uint32_t *)(const void *)(p + 64) + rank;
	}
	__m128i ends = _mm_load_si128((const __m128i *)(const void *)p);
	__m128i below = _mm_cmpgt_epi16(_mm_set1_epi16(biased), ends);
	unsigned rank = (unsigned)__builtin_popcount((unsigned)_mm_movemask_epi8(below)) / 2;

	return (const uint32_t *)(const void *)(p + 16) + rank;
}

AVX2 static void batch_avx2(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *nh,
			    unsigned n)
{
	batch(t, addr, nh, n, slot_avx2);
}

/*
 * The wide form keeps the lanes in place and goes through 64 of them stage by stage: bits 0-24 by
 * two gathers, then the levels at 24 and 36, where all but a few in a thousand end. In a level
 * split words are gathered and counted 16 at a time, range nodes one by one; both give the number
 * of an entry, and one gather takes those. What goes on below /48 is walked a lane at a time. Loads
 * of aligned 4 and 8 bytes are single ones on these processors, in a gather too.
 */
struct wide {
	uint64_t hi[GROUP];
	uint32_t e[GROUP], at[GROUP], key[GROUP];
	uint16_t take[GROUP / 16];
} __attribute__((aligned(64)));

/* The number of the entry for key. Both sizes without a branch: the mask leaves out what is no end.
 */
AVX512 static inline __attribute__((always_inline)) uint32_t range_at(const uint8_t *base,
								      uint32_t e, uint32_t key)
{
	uint32_t large = e >> 30 & 1; /* LPM_LARGE */
	__mmask32 used = 0xffu | (0u - large);
	__m512i ends = _mm512_maskz_loadu_epi16(used, lpm_node_ends(base, e));
	__m512i k = _mm512_set1_epi16((short)(key ^ LPM_BIAS));
	__mmask32 below = _mm512_mask_cmplt_epi16_mask(used, ends, k);

	return (e & LPM_IDX) * 2 + 4 + large * 12 + (uint32_t)__builtin_popcount(below);
}

AVX512 static inline __attribute__((always_inline)) __m512i narrow(__m512i lo8, __m512i hi8)
{
	return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi64_epi32(lo8)),
				  _mm512_cvtepi64_epi32(hi8), 1);
}

/* Upper halves of 16 addresses to host order, root words and arrays: e, where 24 bits lead. */
AVX512 static inline __attribute__((always_inline)) void wide_first(const struct lpm6 *t,
								    struct wide *g,
								    const uint8_t (*addr)[16],
								    unsigned i, __mmask16 lanes)
{
	const __m512i pick = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
	const __m512i swap = _mm512_broadcast_i32x4(
		_mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8));
	__m512i a[4], h0, h1, slot, e, sub;
	__mmask16 node;

	for (unsigned q = 0; q < 4; q++) {
		unsigned four = lanes >> (4 * q) & 15; /* two words an address */
		unsigned two = (four & 1) * 3 | (four & 2) * 6 | (four & 4) * 12 | (four & 8) * 24;

		a[q] = _mm512_maskz_loadu_epi64((__mmask8)two, addr + i + 4 * q);
	}
	h0 = _mm512_shuffle_epi8(_mm512_permutex2var_epi64(a[0], pick, a[1]), swap);
	h1 = _mm512_shuffle_epi8(_mm512_permutex2var_epi64(a[2], pick, a[3]), swap);
	_mm512_store_si512(g->hi + i, h0);
	_mm512_store_si512(g->hi + i + 8, h1);
	slot = narrow(_mm512_srli_epi64(h0, 48), _mm512_srli_epi64(h1, 48));
	e = _mm512_i32gather_epi32(slot, t->root, 8); /* the lower half is the entry */
	node = _mm512_movepi32_mask(e) & lanes;
	sub = narrow(_mm512_srli_epi64(h0, 40), _mm512_srli_epi64(h1, 40));
	sub = _mm512_and_epi32(sub, _mm512_set1_epi32(0xff));
	slot = _mm512_and_epi32(e, _mm512_set1_epi32((int)LPM_IDX));
	slot = _mm512_add_epi32(_mm512_slli_epi32(slot, 1), sub);
	e = _mm512_mask_i32gather_epi32(e, node, slot, t->base, 4);
	/* Lanes past the end must not look like nodes. */
	_mm512_store_si512(g->e + i, _mm512_maskz_mov_epi32(lanes, e));
}

/* The dense nodes among 16 lanes: numbers of entries, or the entries themselves. */
AVX512 static inline __attribute__((always_inline)) __mmask16 wide_dense(const struct lpm6 *t,
									 struct wide *g, unsigned i,
									 __mmask16 dense, __m512i e,
									 __m512i key)
{
	const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26,
					       28, 30);
	const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
	const __m512i last = _mm512_set1_epi32(31), zero = _mm512_setzero_si512();
	__m512i word = _mm512_add_epi32(_mm512_and_epi32(e, _mm512_set1_epi32((int)LPM_IDX)),
					_mm512_srli_epi32(key, 5));
	__m512i w0 = _mm512_mask_i32gather_epi64(zero, (__mmask8)dense,
						 _mm512_castsi512_si256(word), t->base, 8);
	__m512i w1 = _mm512_mask_i32gather_epi64(zero, (__mmask8)(dense >> 8),
						 _mm512_extracti64x4_epi64(word, 1), t->base, 8);
	__m512i x = _mm512_permutex2var_epi32(w0, even, w1);
	__m512i bitmap = _mm512_permutex2var_epi32(w0, odd, w1);
	__m512i shift = _mm512_sub_epi32(last, _mm512_and_epi32(key, last));
	__m512i run = _mm512_popcnt_epi32(_mm512_sllv_epi32(bitmap, shift));
	__mmask16 split = _mm512_mask_test_epi32_mask(dense, bitmap, bitmap);

	_mm512_mask_store_epi32(g->at + i, dense, _mm512_add_epi32(x, run));
	_mm512_mask_store_epi32(g->e + i, dense, x);
	return split;
}

/* One level for all lanes; the key is 12 bits that end at bit `shift` of hi. Lanes left in nodes.
 */
AVX512 static inline __attribute__((always_inline)) unsigned
wide_down(const struct lpm6 *t, struct wide *g, unsigned n, unsigned shift)
{
	const __m128i count = _mm_cvtsi32_si128((int)shift);
	unsigned left = 0;

	for (unsigned i = 0; i < n; i += 16) {
		__m512i e = _mm512_load_si512(g->e + i);
		__m512i key = narrow(_mm512_srl_epi64(_mm512_load_si512(g->hi + i), count),
				     _mm512_srl_epi64(_mm512_load_si512(g->hi + i + 8), count));
		__mmask16 node = _mm512_movepi32_mask(e), take;
		__mmask16 dense = _mm512_mask_test_epi32_mask(node, e,
							      _mm512_set1_epi32((int)LPM_DENSE));

		key = _mm512_and_epi32(key, _mm512_set1_epi32(0xfff));
		_mm512_store_si512(g->key + i, key);
		take = (__mmask16)(node & ~dense);
		for (unsigned m = take; m; m &= m - 1) {
			unsigned k = i + (unsigned)__builtin_ctz(m);

			g->at[k] = range_at(t->base, g->e[k], g->key[k]);
		}
		if (dense)
			take |= wide_dense(t, g, i, dense, e, key);
		g->take[i / 16] = take;
	}
	for (unsigned i = 0; i < n; i += 16) {
		__m512i e = _mm512_load_si512(g->e + i);

		e = _mm512_mask_i32gather_epi32(e, g->take[i / 16], _mm512_load_si512(g->at + i),
						t->base, 4);
		_mm512_store_si512(g->e + i, e);
		left |= _mm512_movepi32_mask(e);
	}
	return left;
}

AVX512 static void wide_rest(const struct lpm6 *t, struct wide *g, const uint8_t (*addr)[16],
			     unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned lv = 4; g->e[i] & LPM_NODE; lv++)
			g->e[i] = lpm_node_find(t->base, g->e[i],
						lpm_key_bits(key_of(addr[i]), shape.level[lv].off,
							     shape.level[lv].bits));
}

AVX512 static void batch_avx512(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *nh,
				unsigned n)
{
	__m512i dflt = _mm512_set1_epi32((int)lpm_load(&t->rib.dflt));
	struct wide g;

	for (unsigned k; n; n -= k, addr += k, nh += k) {
		k = MIN(n, (unsigned)GROUP);
		for (unsigned i = 0; i < k; i += 16)
			wide_first(t, &g, addr, i, lanes_of(k - i));
		if (wide_down(t, &g, k, 28) && wide_down(t, &g, k, 16))
			wide_rest(t, &g, addr, k);
		for (unsigned i = 0; i < k; i += 16) {
			__m512i e = _mm512_load_si512(g.e + i);

			e = _mm512_mask_mov_epi32(e, _mm512_testn_epi32_mask(e, e), dflt);
			_mm512_mask_storeu_epi32(nh + i, lanes_of(k - i), e);
		}
	}
}
#endif

lpm6_batch_fn *lpm6_batch_form(unsigned i, const char **ret_name)
{
	static const char *const names[] = { "portable", "avx2", "avx512" };
	lpm6_batch_fn *fn[] = { batch_portable, NULL, NULL };
	unsigned n = 1, which[3] = { 0 };

#ifdef LPM6_X86
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) {
		fn[1] = batch_avx2;
		which[n++] = 1;
	}
	if (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512dq") &&
	    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512vl")) {
		fn[2] = batch_avx512;
		which[n++] = 2;
	}
#endif
	if (i >= n)
		return NULL;
	if (ret_name)
		*ret_name = names[which[i]];
	return fn[which[i]];
}

typedef uint8_t address[16];

LPM_DEFINE_TABLE(6, const address)

void lpm6_lookup_batch(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *ret_nh,
		       unsigned n)
{
	t->batch(t, addr, ret_nh, n);
}
