/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets of known flows whose neighbour is being asked for: the kernel, which would hold them,
 * does not know the flow. They wait here as they came, and are looked at again every millisecond.
 */
#include "worker_impl.h"

/* As long as the kernel asks: three times a second (RFC 4861 section 10). */
#define PARK_NS (3 * NSEC_PER_SEC)

static struct fp_parked *at(struct fp_worker *w, uint32_t i)
{
	return &w->park.frame[i % FP_PARKED];
}

void fp_worker_park(struct fp_worker *w, unsigned s, unsigned i)
{
	uint64_t since = w->park.since ?: w->now_ns;

	if (w->now_ns - since > PARK_NS) {
		fp_worker_drop(w, s, i, RTR_DROP_NEIGH_FAILED);
		return;
	}
	if (w->park.head - w->park.tail == FP_PARKED) {
		fp_worker_drop(w, s, i, RTR_DROP_NEIGH_QUEUE);
		return;
	}
	*at(w, w->park.head++) = (struct fp_parked){ .addr = w->addr[i],
						     .data = w->burst.data[i],
						     .len = w->burst.len[i],
						     .s = s,
						     .since_ns = since };
}

void fp_worker_unpark(struct fp_worker *w)
{
	uint32_t end = w->park.head;

	while (w->park.tail != end) {
		struct fp_parked p = *at(w, w->park.tail++);

		w->addr[0] = p.addr;
		w->burst.data[0] = p.data;
		w->burst.len[0] = p.len;
		w->park.since = p.since_ns;
		if (!w->port[p.s].used)
			fp_umem_give(&w->umem, p.addr, FP_FRAME_WORK);
		else if (w->pol)
			fp_worker_slow(w, p.s, 0);
		else
			fp_worker_drop(w, p.s, 0, RTR_DROP_NEIGH_FAILED);
	}
	w->park.since = 0;
}
