/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the four rings of an AF_XDP socket in plain memory, for workers without a kernel.
 * Owns: nothing; who makes them frees them. Threads: the caller's. Failure: exits (memory).
 */
#ifndef RTR_TEST_XSK_RING_H
#define RTR_TEST_XSK_RING_H

#include "fastpath/xsk.h"
#include "util.h"

#include <linux/if_xdp.h>
#include <stdlib.h>

static inline void xsk_ring_make(struct fp_ring *r, uint32_t n, size_t entry)
{
	/* The two sides' indices in lines of their own, as the kernel has them. */
	uint32_t *words = xcalloc(64, sizeof(*words));

	*r = (struct fp_ring){ .producer = words,
			       .consumer = words + 16,
			       .flags = words + 32,
			       .desc = xcalloc(n, entry),
			       .mask = n - 1 };
}

static inline void xsk_ring_free(struct fp_ring *r)
{
	/* The producer's index is the first of the ring's words. */
	free(r->producer);
	free(r->desc);
}

/* n: entries of each, a power of two. */
static inline void xsk_rings_make(struct fp_xsk *x, uint32_t n)
{
	xsk_ring_make(&x->fill, n, sizeof(uint64_t));
	xsk_ring_make(&x->comp, n, sizeof(uint64_t));
	xsk_ring_make(&x->rx, n, sizeof(struct xdp_desc));
	xsk_ring_make(&x->tx, n, sizeof(struct xdp_desc));
}

#endif
