/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets of flows whose neighbour is being asked for: the kernel, which would hold them, does not
 * know the flow. They wait here as they came, and are looked at again when an adjacency changes,
 * now and then, and before a packet of their flow leaves. Whatever of it comes meanwhile waits
 * behind them.
 */
#include "worker_impl.h"

/* As long as the kernel asks: three times a second (RFC 4861 section 10). */
#define PARK_NS (3 * NSEC_PER_SEC)

static struct fp_parked *at(struct fp_worker *w, uint32_t i)
{
	return &w->park.frame[i % FP_PARKED];
}

bool fp_worker_park_room(const struct fp_worker *w)
{
	return w->park.head - w->park.tail < FP_PARKED_FIRST;
}

void fp_worker_park(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *pkt,
		    const struct fp_known *k)
{
	uint64_t since = w->park.since ?: w->now_ns;
	struct fp_parked *p = at(w, w->park.head);

	if (w->now_ns - since > PARK_NS) {
		fp_worker_error(w, s, i, pkt, FP_ICMP_K_HOST, 0,
				fp_worker_dst_moves(w->burst.data[i], pkt, k));
		fp_worker_drop(w, s, i, RTR_DROP_NEIGH_FAILED);
		return;
	}
	if (w->park.head - w->park.tail == FP_PARKED) {
		fp_worker_drop(w, s, i, RTR_DROP_NEIGH_QUEUE);
		return;
	}
	w->park.head++;
	*p = (struct fp_parked){ .addr = w->addr[i],
				 .data = w->burst.data[i],
				 .len = w->burst.len[i],
				 .s = s,
				 .since_ns = since,
				 .flow = { k->f.half[0].word0, flow_w0_gen(k->f.word0), w->from } };
	fp_worker_flow_stays(&p->flow);
}

bool fp_worker_parked(const struct fp_worker *w, const uint64_t *word0)
{
	/* Behind the one that is looked at are those that came after it. */
	for (uint32_t i = w->park.since ? w->park.again : w->park.tail; i != w->park.head; i++)
		if (w->park.frame[i % FP_PARKED].flow.word0 == word0)
			return true;
	return false;
}

/* It goes on from place 0 of the burst. */
static void look_again(struct fp_worker *w, const struct fp_parked *p)
{
	w->addr[0] = p->addr;
	w->burst.data[0] = p->data;
	w->burst.len[0] = p->len;
	w->park.since = p->since_ns;
	if (w->pol)
		fp_worker_slow(w, p->s, 0);
	else
		fp_worker_drop(w, p->s, 0, RTR_DROP_NEIGH_FAILED);
	fp_worker_flow_leaves(w, &p->flow);
}

void fp_worker_unpark(struct fp_worker *w)
{
	struct fp_parked first = { .addr = w->addr[0],
				   .data = w->burst.data[0],
				   .len = w->burst.len[0] };
	uint32_t port = w->burst.port[0];

	w->park.again = w->park.head;
	while (w->park.tail != w->park.again) {
		struct fp_parked p = *at(w, w->park.tail++);

		look_again(w, &p);
	}
	w->park.since = 0;
	w->addr[0] = first.addr;
	w->burst.data[0] = first.data;
	w->burst.len[0] = first.len;
	w->burst.port[0] = port;
}

static bool overtakes(const struct fp_worker *w)
{
	const struct fp_burst *b = &w->burst;

	for (uint64_t m = b->live4; m; m &= m - 1)
		if (fp_worker_parked(w, &b->hit4[__builtin_ctzll(m)].own->word0))
			return true;
	for (uint64_t m = b->live6; m; m &= m - 1)
		if (fp_worker_parked(w, &b->hit6[__builtin_ctzll(m)].own->word0))
			return true;
	return false;
}

void fp_worker_unpark_before(struct fp_worker *w)
{
	if (unlikely(w->park.head != w->park.tail) && overtakes(w))
		fp_worker_unpark(w);
}

void fp_worker_park_gone(struct fp_worker *w, unsigned slot)
{
	uint32_t kept = w->park.tail;

	for (uint32_t i = w->park.tail; i != w->park.head; i++) {
		struct fp_parked p = *at(w, i);

		if (w->port[p.s].slot != slot) {
			*at(w, kept++) = p;
			continue;
		}
		w->addr[0] = p.addr;
		fp_worker_drop(w, p.s, 0, RTR_DROP_INGRESS_DOWN);
		fp_worker_flow_leaves(w, &p.flow);
	}
	w->park.head = kept;
	fp_worker_flow_left(w, false);
}
