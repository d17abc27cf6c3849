/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "umem.h"

#include <errno.h>
#include <sys/mman.h>

int fp_umem_init(struct fp_umem *u, uint32_t n_frames, void *area)
{
	size_t size = (size_t)n_frames << FP_FRAME_SHIFT;
	bool lent = area != NULL;

	if (!lent)
		area = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	*u = (struct fp_umem){ .area = area, .n = n_frames, .n_free = n_frames, .lent = lent };
	u->state = xcalloc(n_frames, sizeof(*u->state));
	u->free = xcalloc(n_frames, sizeof(*u->free));
	u->wide = xcalloc(n_frames / 2 + 1, sizeof(*u->wide));
	/* The lowest number on top: few frames in use are few pages in use. */
	for (uint32_t i = 0; i < n_frames; i++)
		u->free[i] = n_frames - 1 - i;
	return 0;
}

void fp_umem_fini(struct fp_umem *u)
{
	if (u->area && !u->lent)
		munmap(u->area, fp_umem_size(u));
	free(u->state);
	free(u->free);
	free(u->wide);
	*u = (struct fp_umem){ 0 };
}

/* Both are free, in one page, and not wide. */
static bool neighbours(const struct fp_umem *u, uint32_t i)
{
	return u->state[i] == FP_FRAME_FREE && u->state[i + 1] == FP_FRAME_FREE;
}

int fp_umem_widen(struct fp_umem *u, uint32_t n)
{
	uint32_t found = u->n_wide, kept = 0, i;

	for (i = 0; i + 1 < u->n && found < n; i += 2)
		found += neighbours(u, i);
	if (found < n)
		return -ENOBUFS;
	for (i = 0; u->n_wide < n; i += 2) {
		if (!neighbours(u, i))
			continue;
		u->state[i] = FP_FRAME_FREE | FP_FRAME_IS_WIDE;
		u->state[i + 1] = FP_FRAME_FREE | FP_FRAME_RESTS;
		u->wide[u->n_wide++] = i;
	}
	for (i = 0; i < u->n_free; i++)
		if (u->state[u->free[i]] == FP_FRAME_FREE)
			u->free[kept++] = u->free[i];
	u->n_free = kept;
	return 0;
}

void fp_umem_narrow(struct fp_umem *u)
{
	while (u->n_wide) {
		uint32_t i = u->wide[--u->n_wide];

		u->state[i] = u->state[i + 1] = FP_FRAME_FREE;
		u->free[u->n_free++] = i + 1;
		u->free[u->n_free++] = i;
	}
}

void fp_umem_audit(const struct fp_umem *u, uint32_t ret[FP_FRAME__MAX])
{
	for (int s = 0; s < FP_FRAME__MAX; s++)
		ret[s] = 0;
	for (uint32_t i = 0; i < u->n; i++) {
		uint16_t s = __atomic_load_n(&u->state[i], __ATOMIC_RELAXED);

		if (s & FP_FRAME_RESTS && i)
			s = __atomic_load_n(&u->state[i - 1], __ATOMIC_RELAXED);
		ret[s & 3]++;
	}
}

void fp_umem_reclaim(struct fp_umem *u, unsigned port)
{
	for (uint32_t i = 0; i < u->n; i++) {
		unsigned s = u->state[i] & 3u;

		if ((u->state[i] >> FP_FRAME_PORT_SHIFT & FP_FRAME_PORT_MASK) == port &&
		    (s == FP_FRAME_FILL || s == FP_FRAME_TX))
			fp_umem_give(u, (uint64_t)i << FP_FRAME_SHIFT, (enum fp_frame_state)s);
	}
}
