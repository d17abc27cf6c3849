/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: packet buffers of one worker: an area of frames of FP_FRAME_SIZE, a stack of those that are
 * free, and a byte of state a frame.
 *
 *	FREE -> FILL (with the kernel, to receive into) -> WORK -> TX (with the kernel) -> FREE
 *
 * The state also names the port whose socket the kernel has it by. Every socket of the worker
 *registers the whole area for itself (no XDP_SHARED_UMEM: sharers inherit the first one's copy
 *mode), so a frame received on one interface leaves by another without a copy. The states tell
 *where each frame is: the audit adds them up, and a frame that is given back twice is seen at once.
 *
 * 2 KiB: the largest plain frame is 1,514 bytes, the kernel takes 256 in front, and two frames
 *share a page's TLB entry. Interfaces with a larger MTU stay with the kernel.
 *
 * A NIC that writes into the frames itself (zero-copy) has to have whole pages: igb, igc and some
 *of ixgbe count receive buffers in KiB, make 1 of the 1,792 bytes that 2 KiB leave, and split every
 *longer packet. So for its socket two neighbours are one wide frame. What was received lies in the
 *first half, as in any other frame, and leaves like one; the second half rests.
 *
 * Owns: the area (locked memory by registration), unless it is the caller's, and three small
 *arrays. Threads: the worker's; the states may be read by any. Failure: -errno; no free frame:
 *FP_NO_FRAME.
 */
#ifndef FP_UMEM_H
#define FP_UMEM_H

#include "util.h"

#define FP_FRAME_SHIFT 11
#define FP_FRAME_SIZE  (1u << FP_FRAME_SHIFT)
/* What the kernel leaves free in front of a received frame in copy mode (XDP_PACKET_HEADROOM). */
#define FP_FRAME_HEADROOM 256u
#define FP_FRAME_DATA_MAX (FP_FRAME_SIZE - FP_FRAME_HEADROOM)
#define FP_FRAME_WIDE     (2u << FP_FRAME_SHIFT)
#define FP_NO_FRAME       (~0ull)

#define FP_FRAME_STATES(X)                                                                         \
	X(FREE, "free")                                                                            \
	X(FILL, "given to the kernel to receive into")                                             \
	X(WORK, "with the worker")                                                                 \
	X(TX, "given to the kernel to send")

enum fp_frame_state {
#define X(id, text) FP_FRAME_##id,
	FP_FRAME_STATES(X)
#undef X
		FP_FRAME__MAX
};

_Static_assert(FP_FRAME__MAX == 4, "two bits of the state");
#define FP_FRAME_PORT_SHIFT 2
#define FP_FRAME_PORT_MASK  0x3fu
#define FP_FRAME_IS_WIDE    0x100u /* the first half of a wide one */
#define FP_FRAME_RESTS      0x200u /* the second: what it is, the first says */

struct fp_umem {
	uint8_t *area;
	uint16_t *state; /* wk:w any:r; state, port << 2, wide */
	uint32_t *free;  /* wk:own stack of frame numbers */
	uint32_t *wide;  /* wk:own the same of wide ones that are free */
	uint32_t n_free, n_wide, n;
	uint64_t n_wrong; /* frames that came back in a state that cannot be */
	bool lent;        /* the area is the caller's */
};

/* area: of that many frames, which outlives this; NULL: of its own. */
int fp_umem_init(struct fp_umem *u, uint32_t n_frames, void *area);
void fp_umem_fini(struct fp_umem *u);

/* Makes free frames wide until n of these are free. -ENOBUFS: there are not so many neighbours. */
int fp_umem_widen(struct fp_umem *u, uint32_t n);
/* Those that are free are wide no longer. */
void fp_umem_narrow(struct fp_umem *u);

/* How many frames are in each state; while the worker runs, of about one moment. */
void fp_umem_audit(const struct fp_umem *u, uint32_t ret[FP_FRAME__MAX]);

static inline size_t fp_umem_size(const struct fp_umem *u)
{
	return (size_t)u->n << FP_FRAME_SHIFT;
}

/* Moves the frame of this address on; false (and counted) when it was not in `from`. */
static inline bool fp_umem_move(struct fp_umem *u, uint64_t addr, enum fp_frame_state from,
				enum fp_frame_state to, unsigned port)
{
	uint64_t i = addr >> FP_FRAME_SHIFT;

	if (unlikely(i >= u->n || (u->state[i] & 3) != from)) {
		u->n_wrong++;
		return false;
	}
	u->state[i] = (uint16_t)((u->state[i] & FP_FRAME_IS_WIDE) | to |
				 port << FP_FRAME_PORT_SHIFT);
	return true;
}

/* The address of a free frame, now in state `to`. */
static inline uint64_t fp_umem_take(struct fp_umem *u, enum fp_frame_state to, unsigned port)
{
	uint32_t i;

	if (unlikely(!u->n_free))
		return FP_NO_FRAME;
	i = u->free[--u->n_free];
	u->state[i] = (uint16_t)(to | port << FP_FRAME_PORT_SHIFT);
	return (uint64_t)i << FP_FRAME_SHIFT;
}

static inline uint64_t fp_umem_take_wide(struct fp_umem *u, enum fp_frame_state to, unsigned port)
{
	uint32_t i;

	if (unlikely(!u->n_wide))
		return FP_NO_FRAME;
	i = u->wide[--u->n_wide];
	u->state[i] = (uint16_t)(FP_FRAME_IS_WIDE | to | port << FP_FRAME_PORT_SHIFT);
	return (uint64_t)i << FP_FRAME_SHIFT;
}

/* Any address inside the frame. */
static inline void fp_umem_give(struct fp_umem *u, uint64_t addr, enum fp_frame_state from)
{
	uint32_t i = (uint32_t)(addr >> FP_FRAME_SHIFT);

	if (unlikely(!fp_umem_move(u, addr, from, FP_FRAME_FREE, 0)))
		return;
	if (u->state[i] & FP_FRAME_IS_WIDE)
		u->wide[u->n_wide++] = i;
	else
		u->free[u->n_free++] = i;
}

/* What the kernel had by the socket of this port, which is closed. */
void fp_umem_reclaim(struct fp_umem *u, unsigned port);

#endif
