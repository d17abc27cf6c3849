/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker.h"

#include "worker_impl.h"

#include <errno.h>
#include <poll.h>

/* Flows looked at for their age at a time, and how often: 64,000 a second. */
#define AGE_BUDGET 64
#define AGE_NS     NSEC_PER_MSEC

int fp_worker_new(const struct fp_worker_conf *conf, struct fp_worker **ret)
{
	struct fp_worker *w = xcalloc(1, sizeof(*w));
	int err;

	w->conf = *conf;
	w->pipe = (struct fp_pipe){ .flows = conf->flows, .adj = conf->adj, .n_adj = conf->n_adj };
	err = fp_umem_init(&w->umem, conf->n_frames);
	if (err)
		free(w);
	else
		*ret = w;
	return err;
}

struct fp_worker *fp_worker_free(struct fp_worker *w)
{
	if (!w)
		return NULL;
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		fp_worker_port_del(w, slot);
	fp_umem_fini(&w->umem);
	free(w);
	return NULL;
}

/* --- ports --- */

static void list_active(struct fp_worker *w)
{
	w->n_active = 0;
	memset(w->by_slot, 0, sizeof(w->by_slot));
	for (unsigned s = 0; s < FP_SOCKS_MAX; s++) {
		if (!w->port[s].used)
			continue;
		w->active[w->n_active++] = (uint8_t)s;
		if (!w->by_slot[w->port[s].slot])
			w->by_slot[w->port[s].slot] = (uint8_t)(s + 1);
	}
}

/* The port shall have so many frames more to receive into; what there is no room or no frame for
 * now is made up for later. */
static void fill(struct fp_worker *w, unsigned s, uint32_t n)
{
	struct fp_ring *r = &w->port[s].xsk.fill;
	uint32_t room, i;

	n += w->port[s].missing;
	room = fp_ring_room(r, n);
	for (i = 0; i < room; i++) {
		uint64_t addr = fp_umem_take(&w->umem, FP_FRAME_FILL, s);

		if (addr == FP_NO_FRAME)
			break;
		*fp_ring_addr(r, i) = addr;
	}
	fp_ring_submit(r, i);
	w->port[s].missing = n - i;
}

int fp_worker_port_add(struct fp_worker *w, const struct fp_wport *port, uint32_t n)
{
	unsigned s = 0;

	while (s < FP_SOCKS_MAX && w->port[s].used)
		s++;
	if (s == FP_SOCKS_MAX || port->slot >= FP_PORTS_MAX)
		return -ENOSPC;
	if (w->umem.n_free < n)
		return -ENOBUFS;
	w->port[s] = *port;
	w->port[s].used = true;
	fill(w, s, n);
	list_active(w);
	return 0;
}

void fp_worker_port_del(struct fp_worker *w, unsigned slot)
{
	for (unsigned s = 0; s < FP_SOCKS_MAX; s++) {
		struct fp_wport *p = &w->port[s];

		if (!p->used || p->slot != slot)
			continue;
		fp_xsk_close(&p->xsk);
		fp_umem_reclaim(&w->umem, s);
		*p = (struct fp_wport){ .used = false };
	}
	list_active(w);
}

struct fp_wport *fp_worker_port(struct fp_worker *w, unsigned slot, unsigned n)
{
	for (unsigned s = 0; s < FP_SOCKS_MAX; s++)
		if (w->port[s].used && w->port[s].slot == slot && !n--)
			return &w->port[s];
	return NULL;
}

const struct fp_umem *fp_worker_umem(const struct fp_worker *w)
{
	return &w->umem;
}

const struct fp_wcount *fp_worker_count(const struct fp_worker *w, unsigned slot)
{
	return &w->count[slot];
}

struct fp_worker_stats *fp_worker_stats(struct fp_worker *w)
{
	return &w->stats;
}

unsigned fp_worker_pollfds(const struct fp_worker *w, struct pollfd *ret, unsigned max)
{
	unsigned n = MIN(w->n_active, max);

	for (unsigned k = 0; k < n; k++)
		ret[k] = (struct pollfd){ .fd = w->port[w->active[k]].xsk.fd, .events = POLLIN };
	return n;
}

void fp_worker_beat(struct fp_worker *w, uint64_t now_ns)
{
	for (unsigned k = 0; k < w->n_active; k++) {
		uint64_t *beat = w->port[w->active[k]].beat;

		if (beat)
			__atomic_store_n(beat, now_ns, __ATOMIC_RELAXED);
	}
}

/* --- the ways out --- */

void fp_worker_drop(struct fp_worker *w, unsigned s, unsigned i, enum rtr_drop why)
{
	w->count[w->port[s].slot].drop[why]++;
	fp_umem_give(&w->umem, w->addr[i], FP_FRAME_WORK);
}

void fp_worker_punt(struct fp_worker *w, unsigned s, unsigned i, enum fp_to_kernel why)
{
	enum rtr_drop drop = w->conf.ops.punt(w->conf.ops.ctx, w->port[s].ifindex, w->burst.data[i],
					      w->burst.len[i], w->now_ns);

	if (drop) {
		fp_worker_drop(w, s, i, drop);
		return;
	}
	w->count[w->port[s].slot].punt[why]++;
	fp_umem_give(&w->umem, w->addr[i], FP_FRAME_WORK);
}

/* Frames that have left come home. */
static void reap(struct fp_worker *w, struct fp_xsk *x)
{
	uint32_t n = fp_ring_peek(&x->comp, UINT32_MAX);

	for (uint32_t i = 0; i < n; i++)
		fp_umem_give(&w->umem, *fp_ring_addr(&x->comp, i), FP_FRAME_TX);
	if (n)
		fp_ring_release(&x->comp, n);
}

void fp_worker_send(struct fp_worker *w, unsigned s, unsigned i)
{
	struct fp_wport *p = fp_worker_out(w, w->burst.port[i]);
	struct xdp_desc *d;

	if (unlikely(!p)) {
		fp_worker_drop(w, s, i, RTR_DROP_EGRESS_DOWN);
		return;
	}
	if (unlikely(!fp_ring_room(&p->xsk.tx, 1))) {
		fp_xsk_kick(&p->xsk);
		reap(w, &p->xsk);
		if (!fp_ring_room(&p->xsk.tx, 1)) {
			fp_worker_drop(w, s, i, RTR_DROP_TX_RING);
			return;
		}
	}
	fp_umem_move(&w->umem, w->addr[i], FP_FRAME_WORK, FP_FRAME_TX, (unsigned)(p - w->port));
	d = fp_ring_desc(&p->xsk.tx, 0);
	d->addr = (uint64_t)(w->burst.data[i] - w->umem.area);
	d->len = w->burst.len[i];
	d->options = 0;
	fp_ring_submit(&p->xsk.tx, 1);
	p->xsk.tx_dirty = true;
	w->count[w->port[s].slot].forwarded++;
	w->count[p->slot].tx++;
}

/* --- a turn --- */

static uint32_t adj_gen(const struct fp_worker *w)
{
	return w->conf.adj_gen ? __atomic_load_n(w->conf.adj_gen, __ATOMIC_ACQUIRE) : 0;
}

/* The link headers were written while an adjacency changed: once more, with one that stands. */
static bool link_again(struct fp_worker *w, unsigned i)
{
	struct fp_adj copy;

	if (!fp_adj_read(&w->conf.adj[w->burst.adj[i]], &copy) || copy.len != FP_ETH_LEN)
		return false;
	memcpy(w->burst.data[i], copy.hdr, FP_ETH_LEN - 2);
	w->burst.port[i] = copy.port;
	return true;
}

static void note_counted(struct fp_worker *w)
{
	struct fp_burst *b = &w->burst;

	for (uint64_t m = b->live4; m; m &= m - 1) {
		const struct flow_hit4 *h = &b->hit4[__builtin_ctzll(m)];

		fp_worker_flow_counted(w, h->word0, &h->own->word0);
	}
	for (uint64_t m = b->live6; m; m &= m - 1) {
		const struct flow_hit6 *h = &b->hit6[__builtin_ctzll(m)];

		fp_worker_flow_counted(w, h->word0, &h->own->word0);
	}
}

static void forward(struct fp_worker *w, unsigned s)
{
	struct fp_burst *b = &w->burst;
	uint32_t gen = adj_gen(w);
	bool changed;

	w->pipe.now = fp_flow_now();
	fp_pipe_flows(&w->pipe, b, NULL);
	changed = gen & 1 || adj_gen(w) != gen;
	note_counted(w);
	for (unsigned i = 0; i < b->n; i++) {
		if (b->act[i] != FP_A_TX)
			fp_worker_slow(w, s, i);
		else if (unlikely(changed) && !link_again(w, i))
			fp_worker_drop(w, s, i, RTR_DROP_NEIGH_NONE);
		else
			fp_worker_send(w, s, i);
	}
}

/* Takes up to a burst out of the rx ring. */
static unsigned receive(struct fp_worker *w, unsigned s)
{
	struct fp_wport *p = &w->port[s];
	struct fp_burst *b = &w->burst;
	uint32_t n = fp_ring_peek(&p->xsk.rx, FP_PIPE_BURST);

	b->n = 0;
	for (uint32_t k = 0; k < n; k++) {
		const struct xdp_desc *d = fp_ring_desc(&p->xsk.rx, k);

		if (!fp_umem_move(&w->umem, d->addr, FP_FRAME_FILL, FP_FRAME_WORK, s))
			continue;
		w->addr[b->n] = d->addr;
		b->data[b->n] = w->umem.area + d->addr;
		b->len[b->n++] = d->len;
		w->count[w->port[s].slot].rx_bytes += d->len;
	}
	if (!n)
		return 0;
	fp_ring_release(&p->xsk.rx, n);
	w->count[w->port[s].slot].rx += b->n;
	memcpy(b->mac, p->mac, 6);
	b->zone = p->zone;
	return b->n;
}

static unsigned port_round(struct fp_worker *w, unsigned s)
{
	struct fp_wport *p = &w->port[s];
	unsigned n = receive(w, s);

	reap(w, &p->xsk);
	fill(w, s, n);
	if (!n)
		return 0;
	if (p->partial)
		fp_worker_checksums(w);
	fp_pipe_fetch(&w->burst);
	forward(w, s);
	for (unsigned k = 0; k < w->n_active; k++)
		if (w->port[w->active[k]].xsk.tx_dirty)
			fp_xsk_kick(&w->port[w->active[k]].xsk);
	fp_worker_flow_left(w, !fp_ring_peek(&p->xsk.rx, 1));
	w->stats.bursts++;
	w->stats.packets += n;
	return n;
}

unsigned fp_worker_round(struct fp_worker *w, uint64_t now_ns)
{
	unsigned n = 0;

	w->now_ns = now_ns;
	for (unsigned k = 0; k < w->n_active; k++) {
		struct fp_xsk *x = &w->port[w->active[k]].xsk;

		n += port_round(w, w->active[k]);
		if (x->tx_dirty)
			fp_xsk_kick(x);
	}
	fp_worker_flow_promote(w);
	if (now_ns - w->age_ns >= AGE_NS) {
		w->age_ns = now_ns;
		fp_flow_age(w->conf.fw, fp_flow_now(), AGE_BUDGET, NULL, NULL);
	}
	return n;
}
