/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lpm_mem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_SIZE   (2u << 20)
#define CHUNK_UNITS 128u /* a class of up to 16 units grows by 1 KB at a time */
#define OPEN_STEP   (64u << 10)
#define MAX_UNITS   ((size_t)1 << 29) /* what LPM_IDX can name */
#define FRAG_FACTOR 4                 /* see the head comment */
/* A reservation counts block sizes; a chunk for each of the 12 small classes comes on top. */
#define SLOP_UNITS (12 * CHUNK_UNITS)

/* Sizes 1..8, then four steps to each doubling. */
static unsigned class_of(uint32_t units)
{
	unsigned e;

	if (units <= 8)
		return units - 1;
	e = 31 - (unsigned)__builtin_clz(units - 1); /* 2^e < units <= 2^(e+1), e >= 3 */
	return 8 + (e - 3) * 4 + ((units - 1 - (1u << e)) >> (e - 2));
}

static uint32_t class_units(unsigned c)
{
	if (c < 8)
		return c + 1;
	c -= 8;
	return (1u << (c / 4 + 3)) + ((c % 4 + 1) << (c / 4 + 1));
}

uint32_t lpm_arena_round(uint32_t units)
{
	return class_units(class_of(units));
}

void lpm_map_make_huge(void *p, size_t size)
{
	(void)madvise(p, size, MADV_HUGEPAGE);
#ifdef MADV_COLLAPSE
	(void)madvise(p, size, MADV_COLLAPSE);
#endif
}

/* Maps with the start on a huge page, so that all of it can be made of them. */
static void *map_aligned(size_t size, int prot, void **ret_map, size_t *ret_map_size)
{
	size_t map_size = ROUND_UP(size, HUGE_SIZE) + HUGE_SIZE;
	uint8_t *map = mmap(NULL, map_size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			    0);

	if (map == MAP_FAILED)
		return NULL;
	*ret_map = map;
	*ret_map_size = map_size;
	return map + (-(uintptr_t)map & (HUGE_SIZE - 1));
}

void *lpm_map(size_t size, bool huge)
{
	void *map, *p;
	size_t map_size, head, tail;

	if (size < HUGE_SIZE) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return p == MAP_FAILED ? NULL : p;
	}
	p = map_aligned(size, PROT_READ | PROT_WRITE, &map, &map_size);
	if (!p)
		return NULL;
	head = (size_t)((uint8_t *)p - (uint8_t *)map);
	tail = map_size - head - size;
	if (head)
		(void)munmap(map, head);
	if (tail)
		(void)munmap((uint8_t *)p + size, tail);
	if (huge)
		(void)madvise(p, size, MADV_HUGEPAGE);
	return p;
}

void lpm_unmap(void *p, size_t size)
{
	if (p)
		(void)munmap(p, size);
}

int lpm_arena_init(struct lpm_arena *a, size_t max_size)
{
	size_t max = MIN(max_size / LPM_UNIT_SIZE, MAX_UNITS);
	size_t cap = MIN(max * FRAG_FACTOR + SLOP_UNITS, MAX_UNITS);

	*a = (struct lpm_arena){ .max_units = (uint32_t)max, .cap_units = (uint32_t)cap };
	lpm_arena_reset(a);
	a->base = map_aligned(cap * LPM_UNIT_SIZE, PROT_NONE, &a->map, &a->map_size);
	return a->base ? 0 : -ENOMEM;
}

void lpm_arena_reset(struct lpm_arena *a)
{
	a->n_units = 8;
	a->n_free = 0;
	memset(a->free, 0, sizeof(a->free));
}

void lpm_arena_fini(struct lpm_arena *a)
{
	lpm_unmap(a->map, a->map_size);
	*a = (struct lpm_arena){ 0 };
}

/* Opens at least up to unit `want`: small steps at first, whole huge pages later. */
static int arena_open(struct lpm_arena *a, size_t want)
{
	size_t old = (size_t)a->n_open * LPM_UNIT_SIZE, size = want * LPM_UNIT_SIZE;
	size_t step = size > HUGE_SIZE / 2 ? HUGE_SIZE : OPEN_STEP;

	size = ROUND_UP(size, step);
	if (mprotect(a->base + old, size - old, PROT_READ | PROT_WRITE))
		return -ENOMEM;
	if (size >= 2 * HUGE_SIZE) {
		if (old < 2 * HUGE_SIZE)
			lpm_map_make_huge(a->base, size);
		else
			(void)madvise(a->base + old, size - old, MADV_HUGEPAGE);
	}
	a->n_open = (uint32_t)(size / LPM_UNIT_SIZE);
	return 0;
}

int lpm_arena_reserve(struct lpm_arena *a, size_t units, size_t spare)
{
	/* A class wastes a quarter at most, the end of a chunk less than that. */
	size_t want = a->n_units + units + units / 2 + SLOP_UNITS;
	size_t used = a->n_units - a->n_free;

	if (used + units + units / 4 + spare > a->max_units || want > a->cap_units)
		return -ENOMEM;
	return want > a->n_open ? arena_open(a, want) : 0;
}

uint32_t lpm_arena_alloc(struct lpm_arena *a, uint32_t units)
{
	unsigned c = class_of(units);
	uint32_t size = class_units(c), idx = a->free[c], *next;
	uint32_t first, end;

	if (idx) {
		next = lpm_arena_at(a, idx);
		a->free[c] = *next;
		a->n_free -= size;
		return idx;
	}
	if (size * 8 > CHUNK_UNITS) {
		idx = a->n_units;
		a->n_units += ROUND_UP(size, 8);
		return idx;
	}
	/* Carve a chunk from its end to its start: the list then runs upwards. */
	first = a->n_units;
	end = CHUNK_UNITS / size;
	a->n_units += CHUNK_UNITS;
	for (uint32_t i = end; i-- > 1;) {
		next = lpm_arena_at(a, first + i * size);
		*next = a->free[c];
		a->free[c] = first + i * size;
	}
	a->n_free += (end - 1) * size;
	return first;
}

void lpm_arena_free(struct lpm_arena *a, uint32_t idx, uint32_t units)
{
	unsigned c = class_of(units);
	uint32_t *next = lpm_arena_at(a, idx);

	*next = a->free[c];
	a->free[c] = idx;
	a->n_free += class_units(c);
}
