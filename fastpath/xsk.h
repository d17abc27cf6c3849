/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: one AF_XDP socket of one queue of one interface, with its four rings mapped:
 *
 *	fill  ->  frames for the kernel to receive into      rx    ->  descriptors received
 *	comp  ->  frames that the kernel has sent            tx    ->  descriptors to send
 *
 * It registers its worker's area as a umem of its own. The program is not loaded here: the express
 * lane's program redirects into the map that the socket is put into (xdp_load.h).
 *
 * Zero-copy: the NIC itself writes received packets into frames and reads those to send; wide
 *frames (umem.h). Its driver asks to be woken when its fill ring has been empty and when it has
 *nothing to send. Drivers take what there is to receive into when the socket is bound, and some not
 *again before the first packet: so it is opened, then its fill ring is filled, then it is bound.
 *
 * A ring is a struct in user space too, so that tests run a worker over rings without a kernel
 * (fd -1: nothing is woken).
 *
 * Owns: descriptor and mappings until fp_xsk_close. Threads: the worker's; open and close while no
 * worker uses it. Failure: -errno.
 */
#ifndef FP_XSK_H
#define FP_XSK_H

#include "umem.h"

#include <linux/if_xdp.h>

struct fp_ring {
	uint32_t *producer, *consumer, *flags; /* shared with the kernel */
	void *desc;                            /* u64 addresses, or struct xdp_desc */
	uint32_t mask;
	uint32_t own;   /* our index: consumer of rx and comp, producer of fill and tx */
	uint32_t other; /* the kernel's, as seen last */
	void *map;
	size_t map_len;
};

struct fp_xsk {
	int fd;
	struct fp_ring fill, comp, rx, tx;
	bool zero_copy;
	bool tx_dirty; /* descriptors wait for the kernel to be told */
};

struct fp_xsk_conf {
	unsigned ifindex;
	uint32_t queue;
	const struct fp_umem *umem;
	uint32_t n_fill, n_comp, n_rx, n_tx; /* powers of 2 */
	bool zero_copy;                      /* else copy mode */
};

int fp_xsk_open(const struct fp_xsk_conf *conf, struct fp_xsk *ret);
/* From now on packets are received. -EOPNOTSUPP and others: not by zero-copy; -EBUSY: the queue
 * has another's socket, or the kernel is not done with one that was closed. */
int fp_xsk_bind(const struct fp_xsk *x, const struct fp_xsk_conf *conf);
void fp_xsk_close(struct fp_xsk *x);
/* What the kernel could not put into the rings, by its own count. */
int fp_xsk_stats(const struct fp_xsk *x, struct xdp_statistics *ret);

/* Tells the kernel of descriptors in tx; copy mode sends them inside the call. */
void fp_xsk_kick(struct fp_xsk *x);
/* The same of frames to receive into, where the driver waits for them. */
void fp_xsk_refill(const struct fp_xsk *x);

/* --- consumer: rx and comp --- */

/* How many entries there are, at most max. They stay until fp_ring_release. */
static inline uint32_t fp_ring_peek(struct fp_ring *r, uint32_t max)
{
	uint32_t n = r->other - r->own;

	if (n < max) {
		r->other = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
		n = r->other - r->own;
	}
	return MIN(n, max);
}

static inline void fp_ring_release(struct fp_ring *r, uint32_t n)
{
	r->own += n;
	__atomic_store_n(r->consumer, r->own, __ATOMIC_RELEASE);
}

/* --- producer: fill and tx --- */

/* Room for how many entries, at most max. */
static inline uint32_t fp_ring_room(struct fp_ring *r, uint32_t max)
{
	uint32_t n = r->mask + 1 - (r->own - r->other);

	if (n < max) {
		r->other = __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE);
		n = r->mask + 1 - (r->own - r->other);
	}
	return MIN(n, max);
}

static inline void fp_ring_submit(struct fp_ring *r, uint32_t n)
{
	r->own += n;
	__atomic_store_n(r->producer, r->own, __ATOMIC_RELEASE);
}

/* Entry i from our index on. */
static inline struct xdp_desc *fp_ring_desc(const struct fp_ring *r, uint32_t i)
{
	return (struct xdp_desc *)r->desc + ((r->own + i) & r->mask);
}

static inline uint64_t *fp_ring_addr(const struct fp_ring *r, uint32_t i)
{
	return (uint64_t *)r->desc + ((r->own + i) & r->mask);
}

static inline bool fp_ring_wants_wakeup(const struct fp_ring *r)
{
	return __atomic_load_n(r->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP;
}

#endif
