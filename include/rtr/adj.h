/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: an adjacency, that is a next hop as a stage needs it: the link header to put in front and
 * where to send. Half a cache line in an array that XDP and workers read and the control thread
 * writes; flows name one by its index (FLOW_EGRESS_ADJ_MASK), so a new MAC address of a neighbour
 * or its loss acts on all its flows at once. Index 0 is never ready: no route.
 *
 * An adjacency changes while it is read: the writer makes seq odd, changes it, makes seq even
 * (fp_xdp_adj_set); a reader that saw an odd seq or another one afterwards takes it for not ready.
 */
#ifndef RTR_ADJ_H
#define RTR_ADJ_H

#include <stdint.h>

#define FP_ADJ_HDR_MAX 22 /* Ethernet and two tags; PPPoE is not plain */

struct fp_adj {
	uint8_t hdr[FP_ADJ_HDR_MAX]; /* cp:w wk,xdp:r; the last two bytes are set by packet */
	uint8_t len;                 /* 14, 18, 22; 0 = not ready */
	uint8_t shaped;
	uint16_t mtu;
	uint16_t seq;
	uint32_t port; /* index of the egress: of the device map and of the counters */
} __attribute__((aligned(8)));

_Static_assert(sizeof(struct fp_adj) == 32, "two of them fill a cache line");

/* A copy that nobody changed meanwhile, for user space; false: not ready. Loads that acquire, and
 * not a fence, keep the second look at seq behind them: TSan knows no fences. */
static inline int fp_adj_read(const struct fp_adj *a, struct fp_adj *ret)
{
	typedef uint64_t __attribute__((may_alias)) word;
	const word *from = (const void *)a;
	uint16_t seq = __atomic_load_n(&a->seq, __ATOMIC_ACQUIRE);
	union {
		uint64_t w[4];
		struct fp_adj adj;
	} u;

	for (int i = 0; i < 4; i++)
		u.w[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
	*ret = u.adj;
	return !(seq & 1) && __atomic_load_n(&a->seq, __ATOMIC_RELAXED) == seq && ret->len;
}

#endif
