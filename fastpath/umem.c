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
	u->state = xcalloc(n_frames, 1);
	u->free = xcalloc(n_frames, sizeof(*u->free));
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
	*u = (struct fp_umem){ 0 };
}

void fp_umem_audit(const struct fp_umem *u, uint32_t ret[FP_FRAME__MAX])
{
	for (int s = 0; s < FP_FRAME__MAX; s++)
		ret[s] = 0;
	for (uint32_t i = 0; i < u->n; i++) {
		uint8_t s = __atomic_load_n(&u->state[i], __ATOMIC_RELAXED);

		ret[s & 3]++;
	}
}

void fp_umem_reclaim(struct fp_umem *u, unsigned port)
{
	for (uint32_t i = 0; i < u->n; i++) {
		unsigned s = u->state[i] & 3u;

		if (u->state[i] >> 2 == port && (s == FP_FRAME_FILL || s == FP_FRAME_TX))
			fp_umem_give(u, (uint64_t)i << FP_FRAME_SHIFT, (enum fp_frame_state)s);
	}
}
