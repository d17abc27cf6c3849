/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VLANs of a worker's ports. A frame that came in with the tag of one is its frame: the tag moves
 *in front of it, so that all that follows sees an untagged frame of another interface.
 *
 *	| dst src | tag | type ...   ->   | tag | dst src | type ...
 *	^ frame                                 ^ frame
 *
 * What goes to the kernel gets it back where it was, priority and all. Frames with other tags stay
 * as they are and are their port's, who has no use for them.
 */
#include "worker_impl.h"

#include "wire.h"

#include <errno.h>

#define N_VLANS   4096u
#define VLAN_MASK 0x0fffu
#define MACS      12u

int fp_worker_vlan_add(struct fp_worker *w, const struct fp_wport *vlan, unsigned parent)
{
	struct fp_wport *via = fp_worker_out(w, parent), *p;

	if (!via)
		return -ENOENT;
	if (vlan->slot >= FP_PORTS_MAX || !vlan->vlan || vlan->vlan >= N_VLANS)
		return -EINVAL;
	p = &w->port[FP_SOCKS_MAX + vlan->slot];
	*p = *vlan;
	p->used = true;
	p->via = p->rx_via = via->via;
	p->partial = via->partial;
	if (!w->vlans[parent])
		w->vlans[parent] = xcalloc(N_VLANS, 1);
	w->vlans[parent][vlan->vlan] = (uint8_t)(vlan->slot + 1);
	fp_worker_list(w);
	return 0;
}

unsigned fp_worker_vlan_of(const struct fp_worker *w, unsigned slot, const uint8_t *frame)
{
	const uint8_t *vlans = w->vlans[slot];

	if (!vlans || fp_ld16(frame + MACS) != FP_ETH_VLAN)
		return 0;
	return vlans[fp_ld16(frame + MACS + 2) & VLAN_MASK];
}

uint8_t *fp_worker_tagged(uint8_t *frame)
{
	uint32_t tag = fp_ld32_be(frame - FP_TAG_LEN);

	memmove(frame - FP_TAG_LEN, frame, MACS);
	fp_st32_be(frame + MACS - FP_TAG_LEN, tag);
	return frame - FP_TAG_LEN;
}

/* A frame of the burst before it is known whose it is. */
struct arrived {
	uint8_t *data;
	uint64_t addr;
	uint32_t len;
	unsigned s;
};

static void untag(struct fp_worker *w, unsigned s, struct arrived *a)
{
	unsigned slot;
	uint32_t tag;

	a->s = s;
	if (a->len < MACS + FP_TAG_LEN + 2)
		return;
	slot = fp_worker_vlan_of(w, w->port[s].slot, a->data);
	if (!slot)
		return;
	a->s = FP_SOCKS_MAX + slot - 1;
	w->port[a->s].rx_via = (uint8_t)s;
	tag = fp_ld32_be(a->data + MACS);
	memmove(a->data + FP_TAG_LEN, a->data, MACS);
	fp_st32_be(a->data, tag);
	a->data += FP_TAG_LEN;
	a->addr += FP_TAG_LEN;
	a->len -= FP_TAG_LEN;
}

/* In order within each VLAN, which is all that anybody can ask for. */
void fp_worker_split(struct fp_worker *w, unsigned s)
{
	struct arrived all[FP_PIPE_BURST];
	struct fp_burst *b = &w->burst;
	unsigned n = b->n;
	uint64_t left = 0;

	for (unsigned i = 0; i < n; i++) {
		all[i] = (struct arrived){ b->data[i], w->addr[i], b->len[i], s };
		untag(w, s, &all[i]);
		left |= 1ull << i;
	}
	while (left) {
		unsigned of = all[__builtin_ctzll(left)].s;

		b->n = 0;
		for (uint64_t m = left; m; m &= m - 1) {
			const struct arrived *a = &all[__builtin_ctzll(m)];

			if (a->s != of)
				continue;
			left &= ~(m & -m);
			w->addr[b->n] = a->addr;
			b->data[b->n] = a->data;
			b->len[b->n++] = a->len;
		}
		fp_worker_burst(w, of);
	}
}

static uint64_t seen(const uint64_t *n)
{
	return __atomic_load_n(n, __ATOMIC_ACQUIRE);
}

static uint64_t less(uint64_t of, uint64_t n)
{
	return of - MIN(of, n);
}

/* A frame is received before it is punted: what is taken off is read first. */
void fp_worker_vlan_carried(const struct fp_worker *w, unsigned slot, struct express_carried *ret)
{
	const struct fp_wcount *c = &w->count[slot];
	uint64_t punt_bytes = seen(&c->punt_bytes), punts = 0, rx;

	for (int k = 0; k < FP_TK__MAX; k++)
		punts += seen(&c->punt[k]);
	rx = less(seen(&c->rx), punts);
	*ret = (struct express_carried){
		.rx = rx,
		.rx_bytes = less(less(seen(&c->rx_bytes), punt_bytes), rx * FP_ETH_LEN),
		.tx = seen(&c->tx) + seen(&c->made),
		.tx_bytes = seen(&c->tx_bytes),
	};
}
