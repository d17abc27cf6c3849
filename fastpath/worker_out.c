/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: frames on their way out of a worker. They wait in the tx ring of their port, written but
 * not submitted, until the turn ends; then all of them take one of two ways:
 *
 *	submit, kick    AF_XDP: the kernel sends them out of the ring, and gives them back later
 *	inject          BPF_PROG_RUN with live frames of the program on the port, which copies each
 *out of the packet buffers and redirects it; when it returns they are free again
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

enum { WAY_RING, WAY_INJECT };

/* Frames below which a call is not worth it (docs/design/fastplane.md). */
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
static bool injectable(const struct fp_worker *w, struct fp_wport *p, uint32_t *ret_longest)
{
	const struct fp_xsk *x = &p->xsk;

	*ret_longest = 64;
	if (!w->conf.inject || p->prog_fd <= 0 || p->out.n < INJECT_MIN || x->tx.own != x->comp.own)
		return false;
	for (uint32_t i = 0; i < p->out.n; i++) {
		const struct xdp_desc *d = fp_ring_desc(&x->tx, i);

		if (d->addr % FP_FRAME_SIZE > EXPRESS_INJECT_OFF || d->len > EXPRESS_INJECT_LEN)
			return false;
		*ret_longest = MAX(*ret_longest, d->len);
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

/* The first n frames that wait; how many the program has taken. */
static uint32_t inject_some(struct fp_worker *w, const struct fp_wport *p, uint32_t n,
			    uint32_t longest)
{
	struct express_inject *j = w->conf.inject;
	uint8_t data[EXPRESS_INJECT_LEN] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = longest,
		    .repeat = (int)n, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = n);

	memcpy(data, &w->conf.id, sizeof(uint32_t));
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *d = fp_ring_desc(&p->xsk.tx, i);

		j->desc[i] = (struct express_inject_desc){
			.frame = w->conf.id * w->umem.n + (uint32_t)(d->addr >> FP_FRAME_SHIFT),
			.off = (uint16_t)(d->addr % FP_FRAME_SIZE),
			.len = (uint16_t)d->len,
			.port = p->slot,
		};
	}
	j->sent = 0;
	__atomic_store_n(&j->at, 0, __ATOMIC_RELEASE);
	if (bpf_prog_test_run_opts(p->prog_fd, &opts))
		w->stats.inject_failed++;
	n = MIN(__atomic_load_n(&j->at, __ATOMIC_ACQUIRE), n);
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *d = fp_ring_desc(&p->xsk.tx, i);

		if (unlikely(j->desc[i].frame == EXPRESS_INJECT_LOST))
			uncount(w, p, d);
		fp_umem_give(&w->umem, d->addr, FP_FRAME_TX);
	}
	w->stats.injected += j->sent;
	return n;
}

/* What the kernel refuses to inject goes by the ring. */
static void inject(struct fp_worker *w, struct fp_wport *p, uint32_t longest)
{
	struct fp_ring *tx = &p->xsk.tx;

	while (p->out.n) {
		uint32_t want = MIN(p->out.n, (uint32_t)EXPRESS_INJECT_MAX),
			 done = inject_some(w, p, want, longest);

		p->out.n -= done;
		for (uint32_t i = 0; done && i < p->out.n; i++)
			*fp_ring_desc(tx, i) = *fp_ring_desc(tx, i + done);
		if (done < want) {
			submit(p);
			return;
		}
	}
	p->xsk.tx_dirty = false;
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
static unsigned choose(struct fp_out_size *z, bool *ret_measure)
{
	uint32_t k = z->bursts++ % AGAIN;

	if (!k)
		z->cost[WAY_RING] = z->cost[WAY_INJECT] = UINT64_MAX;
	*ret_measure = k < 2 * MEASURE;
	return *ret_measure ? k % 2 : z->cost[WAY_INJECT] < z->cost[WAY_RING];
}

void fp_worker_flush(struct fp_worker *w, struct fp_wport *p)
{
	uint32_t longest, n = p->out.n;
	struct fp_out_size *size;
	uint64_t start = 0;
	bool measure;
	unsigned way;

	if (!n) {
		if (p->xsk.tx_dirty)
			fp_xsk_kick(&p->xsk);
		return;
	}
	fp_worker_reap(w, &p->xsk);
	if (!injectable(w, p, &longest)) {
		submit(p);
		return;
	}
	size = size_of(&p->out);
	way = choose(size, &measure);
	if (measure)
		start = cpu_now_ns();
	if (way == WAY_INJECT)
		inject(w, p, longest);
	else
		submit(p);
	if (measure)
		size->cost[way] = MIN(size->cost[way], (cpu_now_ns() - start) / n);
}

/* --- frames --- */

/* Room for one frame more. */
static bool room(struct fp_worker *w, struct fp_wport *p)
{
	if (likely(fp_ring_room(&p->xsk.tx, p->out.n + 1) > p->out.n))
		return true;
	fp_worker_flush(w, p);
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
