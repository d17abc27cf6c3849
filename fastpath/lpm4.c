/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lpm4.h"
#include "lpm_table.h"

#if defined(__x86_64__) && !defined(LPM_TSAN)
#define LPM4_X86 1
#include <immintrin.h>
#endif

#define ROOT_SHIFT 13 /* 32 - 19 */

/* Hot first: what a lookup reads beside the table itself. */
struct lpm4 {
	const uint64_t *root;
	const uint8_t *base;
	lpm4_batch_fn *batch;
	struct lpm_rib rib;
};

static const struct lpm_shape shape = {
	.addr_bits = 32,
	.n_levels = 3,
	.level = { { 0, 19, LPM_K_ROOT }, { 19, 5, LPM_K_SPLIT }, { 24, 8, LPM_K_NODE } },
};

static struct lpm_key key_of(uint32_t addr)
{
	return (struct lpm_key){ .hi = (uint64_t)addr << 32 };
}

static const uint32_t *entries_of(const struct lpm4 *t)
{
	return (const uint32_t *)(const void *)t->base;
}

static inline uint32_t finish(const struct lpm4 *t, uint32_t addr, uint32_t e)
{
	if (unlikely(e & LPM_NODE))
		e = lpm_node_find(t->base, e, addr & 0xff);
	return e ? e : lpm_load(&t->rib.dflt);
}

uint32_t lpm4_lookup(const struct lpm4 *t, uint32_t addr)
{
	uint64_t w = __atomic_load_n(&t->root[addr >> ROOT_SHIFT], __ATOMIC_ACQUIRE);

	return finish(t, addr, lpm_split_find(t->base, w, addr >> 8));
}

/*
 * A group of 64 goes through its passes together, none with a branch on the data: all root words
 * first, then all entries, so that the misses of a pass overlap. Done 16 at a time the same
 * instructions reach two thirds of the rate when the table is in L3.
 */
#define GROUP 64

static inline __attribute__((always_inline)) void
group_scalar(const struct lpm4 *t, const uint32_t *addr, uint32_t *nh, unsigned n)
{
	const uint32_t *p[GROUP];
	uint32_t special = 0;

	/* A prefetch retires at once, a load that misses holds the reorder buffer. */
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(&t->root[addr[i] >> ROOT_SHIFT]);
	for (unsigned i = 0; i < n; i++) {
		uint64_t w = __atomic_load_n(&t->root[addr[i] >> ROOT_SHIFT], __ATOMIC_ACQUIRE);
		uint32_t bitmap = (uint32_t)(w >> 32);
		uint32_t run = (uint32_t)__builtin_popcount(bitmap & lpm_run_mask(addr[i] >> 8));

		nh[i] = (uint32_t)w;
		p[i] = bitmap ? entries_of(t) + (uint32_t)w + run : &nh[i];
		__builtin_prefetch(p[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		nh[i] = lpm_load(p[i]);
		special |= nh[i] | (nh[i] - 1); /* top bit: a node, or none */
	}
	if (unlikely(special & LPM_NODE))
		for (unsigned i = 0; i < n; i++)
			nh[i] = finish(t, addr[i], nh[i]);
}

static inline __attribute__((always_inline)) void
batch_scalar(const struct lpm4 *t, const uint32_t *addr, uint32_t *nh, unsigned n)
{
	for (; n >= GROUP; n -= GROUP, addr += GROUP, nh += GROUP)
		group_scalar(t, addr, nh, GROUP);
	group_scalar(t, addr, nh, n);
}

static void batch_portable(const struct lpm4 *t, const uint32_t *addr, uint32_t *nh, unsigned n)
{
	batch_scalar(t, addr, nh, n);
}

#ifdef LPM4_X86
__attribute__((target("popcnt"))) static void
batch_popcnt(const struct lpm4 *t, const uint32_t *addr, uint32_t *nh, unsigned n)
{
	batch_scalar(t, addr, nh, n);
}

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vpopcntdq,popcnt")))

AVX512 static void fix_lanes(const struct lpm4 *t, const uint32_t *addr, uint32_t *nh,
			     unsigned lanes)
{
	for (; lanes; lanes &= lanes - 1) {
		unsigned i = (unsigned)__builtin_ctz(lanes);

		nh[i] = finish(t, addr[i], nh[i]);
	}
}

/* Sixteen root words to what the second pass needs: the entry, or with the lane's bit in the result
 * the number of the entry to take. */
AVX512 static inline __mmask16 lanes_root(const struct lpm4 *t, __m512i a, __m512i *ret)
{
	const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26,
					       28, 30);
	const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
	__m512i slot = _mm512_srli_epi32(a, ROOT_SHIFT);
	__m512i w0 = _mm512_i32gather_epi64(_mm512_castsi512_si256(slot), t->root, 8);
	__m512i w1 = _mm512_i32gather_epi64(_mm512_extracti64x4_epi64(slot, 1), t->root, 8);
	__m512i e = _mm512_permutex2var_epi32(w0, even, w1);
	__m512i bitmap = _mm512_permutex2var_epi32(w0, odd, w1);
	__m512i sub = _mm512_and_epi32(_mm512_srli_epi32(a, 8), _mm512_set1_epi32(31));
	__m512i mask = _mm512_srlv_epi32(_mm512_set1_epi32(-1),
					 _mm512_sub_epi32(_mm512_set1_epi32(31), sub));
	__m512i run = _mm512_popcnt_epi32(_mm512_and_epi32(bitmap, mask));

	*ret = _mm512_add_epi32(e, run);
	return _mm512_test_epi32_mask(bitmap, bitmap);
}

AVX512 static inline __mmask16 lanes_of(unsigned n)
{
	return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

AVX512 static inline __attribute__((always_inline)) void
group_avx512(const struct lpm4 *t, const uint32_t *addr, uint32_t *nh, unsigned n, __m512i dflt)
{
	/* No prefetch here: gathers alone keep enough misses going, and all hits it is a third
	 * faster. */
	__mmask16 split[GROUP / 16];
	uint32_t at[GROUP] __attribute__((aligned(64)));

	for (unsigned i = 0; i < n; i += 16) {
		__m512i a = _mm512_maskz_loadu_epi32(lanes_of(n - i), addr + i), e;

		split[i / 16] = lanes_root(t, a, &e);
		_mm512_store_si512(at + i, e);
	}
	for (unsigned i = 0; i < n; i += 16) {
		__mmask16 lanes = lanes_of(n - i), node;
		__m512i e = _mm512_load_si512(at + i);

		e = _mm512_mask_i32gather_epi32(e, split[i / 16], e, t->base, 4);
		node = _mm512_movepi32_mask(e) & lanes;
		e = _mm512_mask_mov_epi32(e, _mm512_testn_epi32_mask(e, e), dflt);
		_mm512_mask_storeu_epi32(nh + i, lanes, e);
		if (unlikely(node))
			fix_lanes(t, addr + i, nh + i, node);
	}
}

AVX512 static void batch_avx512(const struct lpm4 *t, const uint32_t *addr, uint32_t *nh,
				unsigned n)
{
	__m512i dflt = _mm512_set1_epi32((int)lpm_load(&t->rib.dflt));

	for (; n >= GROUP; n -= GROUP, addr += GROUP, nh += GROUP)
		group_avx512(t, addr, nh, GROUP, dflt);
	group_avx512(t, addr, nh, n, dflt);
}
#endif

lpm4_batch_fn *lpm4_batch_form(unsigned i, const char **ret_name)
{
	static const char *const names[] = { "portable", "popcnt", "avx512" };
	lpm4_batch_fn *fn[] = { batch_portable, NULL, NULL };
	unsigned n = 1, which[3] = { 0 };

#ifdef LPM4_X86
	if (__builtin_cpu_supports("popcnt")) {
		fn[1] = batch_popcnt;
		which[n++] = 1;
	}
	if (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512dq") &&
	    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
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

LPM_DEFINE_TABLE(4, uint32_t)

void lpm4_lookup_batch(const struct lpm4 *t, const uint32_t *addr, uint32_t *ret_nh, unsigned n)
{
	t->batch(t, addr, ret_nh, n);
}
