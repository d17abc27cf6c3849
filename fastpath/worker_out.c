/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: frames on their way out of a worker. They wait in the tx ring of their port, written but
 * not submitted, until the turn ends; then all of a port's take one of two ways:
 *
 *	submit, kick    AF_XDP: the kernel sends them out of the ring, and gives them back later
 *	inject          BPF_PROG_RUN with live frames of the program on a port, which copies each
 *			out of the packet buffers and redirects it, for all ports that go that
 *			way; when it returns they are free again
 *
 * In copy mode the first is a call of the driver a frame and the second one for all, but a call of
 * it costs as much as one or two dozen frames. Which is cheaper for how many is measured, on bursts
 * that both can take, and anew from time to time. One way at a time: what the ring sent has to be
 * back before the other way is taken, for they are not in order with each other.
 */
#include "worker_impl.h"

#include "wire.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <time.h>

enum way {
	WAY_RING,
	WAY_INJECT,
	WAY_EITHER, /* too few for a call of their own, but not too many for that of others */
	WAY_GONE,   /* nothing waits any more */
};

/* Ports whose frames one call sends. */
struct call {
	unsigned n;
	struct fp_wport *port[FP_SOCKS_MAX];
};

/* Frames of a port below which a call is not worth it (docs/design/fastplane.md). */
#define INJECT_MIN 16
/* Bursts of a size that measure each way, and bursts after which both are measured anew. */
#define MEASURE 8
#define AGAIN   4096

void fp_worker_reap(struct fp_worker *w, struct fp_xsk *x)
{
	uint32_t n = fp_ring_peek(&x->comp, UINT32_MAX);

	for (uint32_t i = 0; i < n; i++)
		fp_umem_give(&w->umem, *fp_ring_addr(&x->comp, i), FP_FRAME_TX);
	if (n)
		fp_ring_release(&x->comp, n);
}

/* --- by the ring --- */

static void submit(struct fp_wport *p)
{
	fp_ring_submit(&p->xsk.tx, p->out.n);
	p->out.n = 0;
	fp_xsk_kick(&p->xsk);
}

/* --- by injection --- */

/* All that was sent by the ring is back, and these are such as the program takes. */
static bool injectable(const struct fp_worker *w, struct fp_wport *p)
{
	const struct fp_xsk *x = &p->xsk;

	if (!w->conf.inject || p->prog_fd <= 0 || x->tx.own != x->comp.own)
		return false;
	for (uint32_t i = 0; i < p->out.n; i++) {
		const struct xdp_desc *d = fp_ring_desc(&x->tx, i);

		if (d->addr % FP_FRAME_SIZE > EXPRESS_INJECT_OFF || d->len > EXPRESS_INJECT_LEN)
			return false;
	}
	return true;
}

/* The program has not sent it: off the count of its VLAN, or of the port. */
static void uncount(struct fp_worker *w, const struct fp_wport *p, const struct xdp_desc *d)
{
	unsigned vlan = fp_worker_vlan_of(w, p->slot, w->umem.area + d->addr);
	struct fp_wcount *c = &w->count[vlan ? vlan - 1 : p->slot];

	c->tx_bytes -= d->len - (vlan ? FP_TAG_LEN : 0);
	if (c->tx)
		c->tx--; /* the audit shows it */
	else
		c->made--;
}

/* As many of the port's frames as the call has room for, behind those of others. */
static void describe(struct fp_worker *w, struct fp_wport *p, uint32_t at, uint32_t *longest)
{
	struct express_inject *j = w->conf.inject;
	struct fp_out *o = &p->out;

	o->called = MIN(o->n - o->done, EXPRESS_INJECT_MAX - at);
	for (uint32_t i = 0; i < o->called; i++) {
		const struct xdp_desc *d = fp_ring_desc(&p->xsk.tx, o->done + i);

		j->desc[at + i] = (struct express_inject_desc){
			.frame = w->conf.id * w->umem.n + (uint32_t)(d->addr >> FP_FRAME_SHIFT),
			.off = (uint16_t)(d->addr % FP_FRAME_SIZE),
			.len = (uint16_t)d->len,
			.port = p->slot,
		};
		*longest = MAX(*longest, d->len);
	}
}

/* The program has taken the next n of the port. */
static void settle(struct fp_worker *w, struct fp_wport *p, uint32_t at, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *d = fp_ring_desc(&p->xsk.tx, p->out.done + i);

		if (unlikely(w->conf.inject->desc[at + i].frame == EXPRESS_INJECT_LOST))
			uncount(w, p, d);
		fp_umem_give(&w->umem, d->addr, FP_FRAME_TX);
	}
	p->out.done += n;
}

/* As much as one call takes; how many frames the program has taken, of how many. */
static uint32_t inject_some(struct fp_worker *w, const struct call *c, uint32_t *ret_of)
{
	static const uint8_t data[EXPRESS_INJECT_LEN + 2 * EXPRESS_INJECT_WORKERS];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	struct express_inject *j = w->conf.inject;
	uint32_t of = 0, done, at = 0, longest = 64;

	for (unsigned k = 0; k < c->n; k++) {
		describe(w, c->port[k], of, &longest);
		of += c->port[k]->out.called;
	}
	opts.data_size_in = express_inject_size(longest, w->conf.id);
	opts.repeat = (int)of;
	opts.batch_size = MIN(of, (uint32_t)EXPRESS_INJECT_BATCH);
	j->sent = 0;
	__atomic_store_n(&j->at, 0, __ATOMIC_RELEASE);
	if (of && bpf_prog_test_run_opts(c->port[0]->prog_fd, &opts))
		w->stats.inject_failed++;
	done = MIN(__atomic_load_n(&j->at, __ATOMIC_ACQUIRE), of);
	for (unsigned k = 0; k < c->n; k++) {
		uint32_t n = MIN(c->port[k]->out.called, done - at);

		settle(w, c->port[k], at, n);
		at += n;
	}
	w->stats.injected += j->sent;
	*ret_of = of;
	return done;
}

/* What the program has sent was never in the ring; the rest goes by it. */
static void clear(struct fp_wport *p)
{
	struct fp_out *o = &p->out;

	for (uint32_t i = 0; o->done && i + o->done < o->n; i++)
		*fp_ring_desc(&p->xsk.tx, i) = *fp_ring_desc(&p->xsk.tx, i + o->done);
	o->n -= o->done;
	o->done = 0;
	if (o->n)
		submit(p);
	else
		p->xsk.tx_dirty = false;
}

/* What the kernel refuses to inject goes by the ring. */
static void inject(struct fp_worker *w, const struct call *c)
{
	uint32_t of;

	while (inject_some(w, c, &of) == of && of)
		;
	for (unsigned k = 0; k < c->n; k++)
		clear(c->port[k]);
}

/* --- the choice --- */

/* Of this thread alone: who takes the core from it is no cost of a way. */
static uint64_t cpu_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Bursts of up to twice as many frames are one size. */
static struct fp_out_size *size_of(struct fp_out *o)
{
	unsigned k = 31 - (unsigned)__builtin_clz(o->n / INJECT_MIN);

	return &o->size[MIN(k, FP_OUT_SIZES - 1u)];
}

/* The ways take turns while they are measured: both meet the same caches and neighbours. */
static enum way choose(struct fp_out_size *z, bool *ret_measure)
{
	uint32_t k = z->bursts++ % AGAIN;

	if (!k)
		z->cost[WAY_RING] = z->cost[WAY_INJECT] = UINT64_MAX;
	*ret_measure = k < 2 * MEASURE;
	if (*ret_measure)
		return k % 2 ? WAY_INJECT : WAY_RING;
	return z->cost[WAY_INJECT] < z->cost[WAY_RING] ? WAY_INJECT : WAY_RING;
}

/* By itself, and how long that takes. */
static void measure(struct fp_worker *w, struct fp_wport *p, enum way way, uint64_t *least)
{
	uint64_t start = cpu_now_ns();
	uint32_t n = p->out.n;

	if (way == WAY_INJECT)
		inject(w, &(struct call){ .n = 1, .port = { p } });
	else
		submit(p);
	*least = MIN(*least, (cpu_now_ns() - start) / n);
}

/* What goes by the ring has gone. */
static enum way way_of(struct fp_worker *w, struct fp_wport *p)
{
	struct fp_out_size *size;
	bool measured;
	enum way way;

	if (!p->out.n) {
		if (p->xsk.tx_dirty)
			fp_xsk_kick(&p->xsk);
		return WAY_GONE;
	}
	fp_worker_reap(w, &p->xsk);
	if (!injectable(w, p)) {
		submit(p);
		return WAY_GONE;
	}
	if (p->out.n < INJECT_MIN)
		return WAY_EITHER;
	size = size_of(&p->out);
	way = choose(size, &measured);
	if (measured)
		measure(w, p, way, &size->cost[way]);
	else if (way == WAY_RING)
		submit(p);
	else
		return way;
	return WAY_GONE;
}

void fp_worker_flush(struct fp_worker *w)
{
	struct call c = { 0 };
	bool worth = false;

	for (unsigned k = 0; k < w->n_active; k++) {
		struct fp_wport *p = &w->port[w->active[k]];
		enum way way = way_of(w, p);

		worth |= way == WAY_INJECT;
		if (way != WAY_GONE)
			c.port[c.n++] = p;
	}
	if (worth)
		inject(w, &c);
	for (unsigned k = 0; !worth && k < c.n; k++)
		submit(c.port[k]);
}

/* --- frames --- */

/* Room for one frame more. */
static bool room(struct fp_worker *w, struct fp_wport *p)
{
	if (likely(fp_ring_room(&p->xsk.tx, p->out.n + 1) > p->out.n))
		return true;
	fp_worker_flush(w);
	fp_worker_reap(w, &p->xsk);
	return fp_ring_room(&p->xsk.tx, p->out.n + 1) > p->out.n;
}

static void put(struct fp_worker *w, struct fp_wport *p, uint64_t addr, uint32_t len)
{
	fp_umem_move(&w->umem, addr, FP_FRAME_WORK, FP_FRAME_TX, (unsigned)(p - w->port));
	*fp_ring_desc(&p->xsk.tx, p->out.n++) = (struct xdp_desc){ .addr = addr, .len = len };
	p->xsk.tx_dirty = true;
}

/* It has gone out by the port: p is that, the rings may be its parent's. */
static void count_out(struct fp_worker *w, const struct fp_wport *p, uint32_t len)
{
	w->count[p->slot].tx_bytes += len - (p->vlan ? FP_TAG_LEN : 0);
}

void fp_worker_send(struct fp_worker *w, unsigned s, unsigned i)
{
	const struct fp_wport *p = fp_worker_out(w, w->burst.port[i]);

	if (unlikely(!p)) {
		fp_worker_drop(w, s, i, RTR_DROP_EGRESS_DOWN);
		return;
	}
	if (unlikely(!room(w, &w->port[p->via]))) {
		fp_worker_drop(w, s, i, RTR_DROP_TX_RING);
		return;
	}
	put(w, &w->port[p->via], (uint64_t)(w->burst.data[i] - w->umem.area), w->burst.len[i]);
	count_out(w, p, w->burst.len[i]);
	w->count[w->port[s].slot].forwarded++;
	w->count[p->slot].tx++;
}

bool fp_worker_emit(struct fp_worker *w, uint32_t port, uint64_t addr, uint32_t len)
{
	const struct fp_wport *p = fp_worker_out(w, port);

	if (!p || !room(w, &w->port[p->via])) {
		fp_umem_give(&w->umem, addr, FP_FRAME_WORK);
		return false;
	}
	put(w, &w->port[p->via], addr, len);
	count_out(w, p, len);
	w->count[p->slot].made++;
	return true;
}
