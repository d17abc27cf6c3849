/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lpm6.h"

#include <endian.h>
#include <errno.h>
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
		   { 24, 12, LPM_K_RANGE },
		   { 36, 12, LPM_K_RANGE },
		   { 48, 8, LPM_K_RANGE },
		   { 56, 8, LPM_K_RANGE },
		   { 64, 12, LPM_K_RANGE },
		   { 76, 12, LPM_K_RANGE },
		   { 88, 12, LPM_K_RANGE },
		   { 100, 12, LPM_K_RANGE },
		   { 112, 8, LPM_K_RANGE },
		   { 120, 8, LPM_K_RANGE } },
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
		e = lpm_range_find(t->base, e,
				   lpm_key_bits(k, shape.level[lv].off, shape.level[lv].bits));
	return e ? e : lpm_load(&t->rib.dflt);
}

/*
 * A group goes down together: one pass finds in each lane's node the place of its entry, the next
 * loads the entries and keeps the lanes that have a further node. Loads of one pass overlap.
 */
#define GROUP 16

typedef const uint32_t *slot_fn(const uint8_t *base, uint32_t e, unsigned key);

static inline __attribute__((always_inline)) void
group(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *nh, unsigned n, slot_fn *slot)
{
	uint32_t dflt = lpm_load(&t->rib.dflt);
	struct lpm_key k[GROUP];
	const uint32_t *p[GROUP];
	uint8_t lane[GROUP], lv[GROUP];
	unsigned n_live = 0;

	for (unsigned i = 0; i < n; i++) {
		k[i] = key_of(addr[i]);
		nh[i] = first_24(t, k[i].hi);
		lv[i] = 2;
		__builtin_prefetch(lpm_node_ends(t->base, nh[i]));
		lane[n_live] = (uint8_t)i;
		n_live += nh[i] >> 31;
	}
	while (n_live) {
		unsigned n_next = 0;

		for (unsigned j = 0; j < n_live; j++) {
			unsigned i = lane[j];
			const struct lpm_level *l = &shape.level[lv[i]];

			p[j] = slot(t->base, nh[i], lpm_key_bits(k[i], l->off, l->bits));
		}
		for (unsigned j = 0; j < n_live; j++) {
			unsigned i = lane[j];
			uint32_t e = lpm_load(p[j]);

			nh[i] = e;
			lv[i] += !(e & LPM_SAME);
			__builtin_prefetch(lpm_node_ends(t->base, e));
			lane[n_next] = (uint8_t)i;
			n_next += e >> 31;
		}
		n_live = n_next;
	}
	for (unsigned i = 0; i < n; i++)
		nh[i] = nh[i] ? nh[i] : dflt;
}

static inline __attribute__((always_inline)) void
batch(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *nh, unsigned n, slot_fn *slot)
{
	for (; n >= GROUP; n -= GROUP, addr += GROUP, nh += GROUP)
		group(t, addr, nh, GROUP, slot);
	group(t, addr, nh, n, slot);
}

static void batch_portable(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *nh,
			   unsigned n)
{
	batch(t, addr, nh, n, lpm_node_slot);
}

#ifdef LPM6_X86
#define AVX2   __attribute__((target("avx2,popcnt")))
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,popcnt")))

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

/* Both sizes without a branch: the mask leaves out what is not an end. */
AVX512 static inline __attribute__((always_inline)) const uint32_t *
slot_avx512(const uint8_t *base, uint32_t e, unsigned key)
{
	const uint8_t *p = base + (size_t)(e & LPM_IDX) * LPM_UNIT_SIZE;
	bool large = e & LPM_LARGE;
	__mmask32 used = large ? ~0u : 0xffu;
	__m512i ends = _mm512_maskz_loadu_epi16(used, p);
	__mmask32 below = _mm512_mask_cmplt_epi16_mask(used, ends,
						       _mm512_set1_epi16((short)(key ^ LPM_BIAS)));

	p += large ? 64 : 16;
	return (const uint32_t *)(const void *)p + __builtin_popcount(below);
}

AVX512 static void batch_avx512(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *nh,
				unsigned n)
{
	batch(t, addr, nh, n, slot_avx512);
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
	if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
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

int lpm6_new(const struct lpm_params *p, struct lpm6 **ret)
{
	struct lpm6 *t = calloc(1, sizeof(*t));
	lpm6_batch_fn *fn;
	int rc = t ? lpm_rib_init(&t->rib, &shape, p) : -ENOMEM;

	if (rc) {
		free(t);
		return rc;
	}
	t->root = t->rib.root;
	t->base = t->rib.data.base;
	for (unsigned i = 0; (fn = lpm6_batch_form(i, NULL)); i++)
		t->batch = fn;
	*ret = t;
	return 0;
}

struct lpm6 *lpm6_free(struct lpm6 *t)
{
	if (t)
		lpm_rib_fini(&t->rib);
	free(t);
	return NULL;
}

static struct lpm_route route_at(const void *ctx, size_t i)
{
	const struct lpm6_route *rt = (const struct lpm6_route *)ctx + i;

	return (struct lpm_route){ .key = key_of(rt->addr), .nh = rt->nh, .len = rt->len };
}

int lpm6_build(struct lpm6 *t, const struct lpm6_route *routes, size_t n)
{
	return lpm_rib_build(&t->rib, route_at, routes, n);
}

int lpm6_set(struct lpm6 *t, const uint8_t addr[16], unsigned len, uint32_t nh)
{
	return lpm_rib_set(&t->rib, key_of(addr), len, nh);
}

int lpm6_del(struct lpm6 *t, const uint8_t addr[16], unsigned len)
{
	return lpm_rib_del(&t->rib, key_of(addr), len);
}

uint32_t lpm6_get(const struct lpm6 *t, const uint8_t addr[16], unsigned len)
{
	return lpm_rib_get(&t->rib, key_of(addr), len);
}

void lpm6_flush(struct lpm6 *t)
{
	lpm_rib_flush(&t->rib);
}

void lpm6_stats(const struct lpm6 *t, struct lpm_stats *ret)
{
	lpm_rib_stats(&t->rib, ret);
}

void lpm6_lookup_batch(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *ret_nh,
		       unsigned n)
{
	t->batch(t, addr, ret_nh, n);
}
