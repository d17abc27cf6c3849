/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker.h"

#include "worker_impl.h"

#include <errno.h>
#include <poll.h>

/* Flows looked at for their age at a time, and how often: 64,000 a second. */
#define AGE_BUDGET 64
#define AGE_NS     NSEC_PER_MSEC
/* What waits for neighbours is looked at so often when none changes: ways change, too. */
#define LOOK_NS (20 * NSEC_PER_MSEC)
/* Flows looked at for room at such a time, in a table that overflows: as many as a worker can
 * begin meanwhile. */
#define EVICT_BUDGET 512
/* Frames that wait for the first piece of their datagram, and how long. The kernel's pieces come
 * here, too, when their first one went past us: they are late by that, and not lost. */
#define VFR_HELD 256
#define VFR_NS   (300 * NSEC_PER_MSEC)
/* ICMP errors a second: the kernel's icmp_msgs_per_sec and icmp_msgs_burst. */
#define ERROR_RATE  1000
#define ERROR_BURST 50

int fp_worker_new(const struct fp_worker_conf *conf, struct fp_worker **ret)
{
	struct fp_worker *w = xcalloc(1, sizeof(*w));
	int err;

	struct fp_vfr_cfg vc = { .max_datagrams = 1024,
				 .max_held = VFR_HELD,
				 .per_source = 64,
				 .per_datagram = FP_VFR_FRAGS_MAX,
				 .timeout_ns = VFR_NS,
				 .seed = conf->seed };

	w->conf = *conf;
	fp_icmp_rl_init(&w->errors, ERROR_RATE, ERROR_BURST, conf->seed, rtr_now_ns());
	if (conf->track) {
		w->vfr = fp_vfr_new(&vc);
		if (!w->vfr) {
			free(w);
			return -ENOMEM;
		}
	}
	w->pipe = (struct fp_pipe){ .flows = conf->flows, .adj = conf->adj, .n_adj = conf->n_adj };
	err = fp_umem_init(&w->umem, conf->n_frames, conf->area);
	if (err) {
		fp_vfr_free(w->vfr);
		free(w);
	} else {
		*ret = w;
	}
	return err;
}

struct fp_worker *fp_worker_free(struct fp_worker *w)
{
	if (!w)
		return NULL;
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		fp_worker_port_del(w, slot);
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		free(w->vlans[slot]);
	fp_umem_fini(&w->umem);
	fp_vfr_free(w->vfr);
	free(w);
	return NULL;
}

/* --- ports --- */

void fp_worker_list(struct fp_worker *w)
{
	w->n_active = w->n_ports = 0;
	memset(w->by_slot, 0, sizeof(w->by_slot));
	for (unsigned s = 0; s < FP_PLACES; s++) {
		if (!w->port[s].used)
			continue;
		if (s < FP_SOCKS_MAX)
			w->active[w->n_active++] = (uint8_t)s;
		if (w->by_slot[w->port[s].slot])
			continue;
		w->by_slot[w->port[s].slot] = (uint8_t)(s + 1);
		w->ports[w->n_ports++] = (uint8_t)s;
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
		uint64_t addr = w->port[s].xsk.zero_copy
					? fp_umem_take_wide(&w->umem, FP_FRAME_FILL, s)
					: fp_umem_take(&w->umem, FP_FRAME_FILL, s);

		if (addr == FP_NO_FRAME)
			break;
		*fp_ring_addr(r, i) = addr;
	}
	fp_ring_submit(r, i);
	w->port[s].missing = n - i;
	if (w->port[s].xsk.zero_copy)
		fp_xsk_refill(&w->port[s].xsk);
}

/* Frames of its sockets before come back when this one is bound. */
static bool awaits(const struct fp_worker *w, unsigned slot)
{
	for (unsigned s = 0; s < FP_SOCKS_MAX; s++)
		if (w->port[s].closed && w->port[s].slot == slot)
			return true;
	return false;
}

int fp_worker_port_add(struct fp_worker *w, const struct fp_wport *port, uint32_t n)
{
	unsigned s = 0;

	while (s < FP_SOCKS_MAX && (w->port[s].used || w->port[s].closed))
		s++;
	if (s == FP_SOCKS_MAX || port->slot >= FP_PORTS_MAX)
		return -ENOSPC;
	if ((port->xsk.zero_copy ? fp_umem_widen(&w->umem, n) : w->umem.n_free < n) &&
	    !awaits(w, port->slot))
		return -ENOBUFS;
	w->port[s] = *port;
	w->port[s].used = true;
	w->port[s].via = w->port[s].rx_via = (uint8_t)s;
	if (port->xdp)
		w->port[s].lost = __atomic_load_n(&port->xdp->sent, __ATOMIC_RELAXED) -
				  port->xsk.rx.own;
	fill(w, s, n);
	fp_worker_list(w);
	return 0;
}

/* Frames are wide for as long as a NIC has any. */
static void narrow(struct fp_worker *w)
{
	for (unsigned s = 0; s < FP_SOCKS_MAX; s++)
		if (w->port[s].closed || (w->port[s].used && w->port[s].xsk.zero_copy))
			return;
	fp_umem_narrow(&w->umem);
}

/* The NIC has let go of what was closed at this place. */
static void settle(struct fp_worker *w, unsigned s)
{
	fp_umem_reclaim(&w->umem, s);
	w->port[s].closed = false;
}

void fp_worker_port_bound(struct fp_worker *w, unsigned slot, unsigned queue)
{
	for (unsigned s = 0; s < FP_SOCKS_MAX; s++) {
		struct fp_wport *p = &w->port[s];

		if (p->slot != slot || p->queue != queue)
			continue;
		if (p->closed)
			settle(w, s);
		else
			p->bound = p->used;
	}
}

/* The place of a port is another's from then on: nothing that waits may name it. */
static void forget(struct fp_worker *w, unsigned slot)
{
	const struct fp_wport *p = fp_worker_port(w, slot, 0);

	if (!p || !w->vfr)
		return;
	fp_worker_park_gone(w, slot);
	fp_worker_fragments_gone(w, p->zone);
}

void fp_worker_port_del(struct fp_worker *w, unsigned slot)
{
	forget(w, slot);
	for (unsigned s = 0; s < FP_PLACES; s++) {
		struct fp_wport *p = &w->port[s];

		if (!p->used || p->slot != slot)
			continue;
		if (p->vlan) {
			w->vlans[w->port[p->via].slot][p->vlan] = 0;
			*p = (struct fp_wport){ .used = false };
			continue;
		}
		fp_xsk_close(&p->xsk);
		*p = (struct fp_wport){ .closed = p->bound && p->xsk.zero_copy,
					.slot = p->slot,
					.queue = p->queue };
		if (!p->closed)
			settle(w, s);
	}
	narrow(w);
	fp_worker_list(w);
}

void fp_worker_port_settle(struct fp_worker *w, unsigned slot)
{
	for (unsigned s = 0; s < FP_SOCKS_MAX; s++)
		if (w->port[s].closed && w->port[s].slot == slot)
			settle(w, s);
	narrow(w);
}

struct fp_wport *fp_worker_port(struct fp_worker *w, unsigned slot, unsigned n)
{
	for (unsigned s = 0; s < FP_PLACES; s++)
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
		struct express_queue *q = w->port[w->active[k]].xdp;

		if (q)
			__atomic_store_n(&q->beat, now_ns, __ATOMIC_RELAXED);
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
	const struct fp_wport *p = &w->port[s], *in = &w->port[p->via];
	uint8_t *frame = w->burst.data[i];
	uint32_t len = w->burst.len[i];
	enum rtr_drop drop;

	if (p->vlan) {
		frame = fp_worker_tagged(frame);
		len += FP_TAG_LEN;
	}
	drop = w->conf.ops.punt(w->conf.ops.ctx, in->ifindex, frame, len, w->now_ns);
	if (drop) {
		fp_worker_drop(w, s, i, drop);
		return;
	}
	w->count[p->slot].punt[why]++;
	w->count[p->slot].punt_bytes += w->burst.len[i];
	fp_umem_give(&w->umem, w->addr[i], FP_FRAME_WORK);
}

uint64_t fp_worker_make(struct fp_worker *w, uint8_t **ret_data)
{
	uint64_t addr = fp_umem_take(&w->umem, FP_FRAME_WORK, 0);

	if (addr == FP_NO_FRAME)
		return addr;
	addr += FP_FRAME_HEADROOM;
	*ret_data = w->umem.area + addr;
	return addr;
}

/* --- a turn --- */

static uint32_t adj_gen(const struct fp_worker *w)
{
	return w->conf.adj_gen ? __atomic_load_n(w->conf.adj_gen, __ATOMIC_ACQUIRE) : 0;
}

/* The link headers were written while an adjacency changed: once more, with one that stands. */
static bool link_again(struct fp_worker *w, unsigned i)
{
	/* As far as IP, which nobody moved. */
	const uint8_t *ip = w->umem.area + w->addr[i] + FP_ETH_LEN;
	uint8_t *d = w->burst.data[i];
	struct fp_adj copy;

	if (!fp_adj_read(&w->conf.adj[w->burst.adj[i]], &copy) || copy.len != ip - d)
		return false;
	memcpy(d, copy.hdr, copy.len - 2u);
	w->burst.port[i] = copy.port;
	return true;
}

static void note_counted(struct fp_worker *w)
{
	struct fp_burst *b = &w->burst;

	for (uint64_t m = b->live4; m; m &= m - 1) {
		unsigned k = (unsigned)__builtin_ctzll(m);
		const struct flow_hit4 *h = &b->hit4[k];

		fp_worker_flow_counted(w, b->idx4[k], h->word0, &h->own->word0);
	}
	for (uint64_t m = b->live6; m; m &= m - 1) {
		unsigned k = (unsigned)__builtin_ctzll(m);
		const struct flow_hit6 *h = &b->hit6[k];

		fp_worker_flow_counted(w, b->idx6[k], h->word0, &h->own->word0);
	}
}

/* Those that go by a worker although XDP could have them now. */
static void look_at_path(struct fp_worker *w, unsigned s)
{
	const struct fp_burst *b = &w->burst;

	for (uint64_t m = b->live4; m; m &= m - 1) {
		unsigned k = (unsigned)__builtin_ctzll(m);

		if (flow_w0_path(b->hit4[k].word0) == FLOW_P_WORKER)
			fp_worker_flow_again4(w, s, b->port[b->idx4[k]], &b->key4[k]);
	}
	for (uint64_t m = b->live6; m; m &= m - 1) {
		unsigned k = (unsigned)__builtin_ctzll(m);

		if (flow_w0_path(b->hit6[k].word0) == FLOW_P_WORKER)
			fp_worker_flow_again6(w, s, b->port[b->idx6[k]], &b->key6[k]);
	}
}

/* What packets of TCP that are looked at one by one need of their flows, of the whole burst at
 * once: each of it lies somewhere else. */
#define DEFINE_FETCH(v)                                                                            \
	static inline void fetch##v(const struct fp_worker *w)                                     \
	{                                                                                          \
		const struct fp_burst *b = &w->burst;                                              \
                                                                                                   \
		for (unsigned k = 0; k < b->n##v; k++) {                                           \
			const struct flow_hit##v *h = &b->hit##v[k];                               \
                                                                                                   \
			if (b->act[b->idx##v[k]] != FP_A_STATE ||                                  \
			    !(flow_w0_flags(h->word0) & FLOW_F_TCP))                               \
				continue;                                                          \
			__builtin_prefetch(fp_flow_cold(w->conf.flows, FLOW_##v, h->line), 1);     \
			__builtin_prefetch(h->twin, 1);                                            \
			fp_track_fetch(w->conf.track, FLOW_##v, h->line);                          \
		}                                                                                  \
	}

DEFINE_FETCH(4)
DEFINE_FETCH(6)

static void forward(struct fp_worker *w, unsigned s)
{
	struct fp_burst *b = &w->burst;
	uint32_t gen = adj_gen(w);
	bool changed;

	w->pipe.now = fp_flow_now();
	fp_pipe_flows(&w->pipe, b, NULL);
	changed = gen & 1 || adj_gen(w) != gen;
	note_counted(w);
	if (w->port[s].express_in)
		look_at_path(w, s);
	fp_worker_unpark_before(w);
	if (w->pol) {
		fetch4(w);
		fetch6(w);
	}
	for (unsigned i = 0; i < b->n; i++) {
		if (b->act[i] != FP_A_TX)
			fp_worker_slow(w, s, i);
		else if (unlikely(changed) && !link_again(w, i))
			fp_worker_drop(w, s, i, RTR_DROP_NEIGH_NONE);
		else
			fp_worker_send(w, s, i);
	}
}

/* Beyond the first half of a wide frame: no other socket could send it. */
static void too_long(struct fp_worker *w, unsigned s, uint64_t addr)
{
	struct fp_wcount *c = &w->count[w->port[s].slot];

	c->rx++;
	c->drop[RTR_DROP_FRAME_LONG]++;
	w->port[s].missing++;
	fp_umem_give(&w->umem, addr, FP_FRAME_WORK);
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
		if (unlikely(d->len > FP_FRAME_DATA_MAX)) {
			too_long(w, s, d->addr);
			continue;
		}
		w->addr[b->n] = d->addr;
		b->data[b->n] = w->umem.area + d->addr;
		b->len[b->n++] = d->len;
	}
	if (n)
		fp_ring_release(&p->xsk.rx, n);
	return n ? b->n : 0;
}

void fp_worker_burst(struct fp_worker *w, unsigned s)
{
	const struct fp_wport *p = &w->port[s];
	struct fp_wcount *c = &w->count[p->slot];
	struct fp_burst *b = &w->burst;

	fp_pipe_fetch(b);
	c->rx += b->n;
	w->uncounted = 0;
	for (unsigned i = 0; i < b->n; i++) {
		uint8_t *mark = b->data[i] + EXPRESS_UNCOUNTED_AT;

		c->rx_bytes += b->len[i];
		w->uncounted |= (uint64_t)(*mark & EXPRESS_UNCOUNTED) << i;
		*mark &= (uint8_t)~EXPRESS_UNCOUNTED;
	}
	memcpy(b->mac, p->mac, 6);
	b->zone = p->zone;
	if (p->partial)
		fp_worker_checksums(w);
	forward(w, s);
}

static unsigned burst(struct fp_worker *w, unsigned s)
{
	struct fp_wport *p = &w->port[s];
	unsigned n = receive(w, s);

	w->from = (uint8_t)s;
	fp_worker_reap(w, &p->xsk);
	fill(w, s, n);
	if (!n)
		return 0;
	if (w->vlans[p->slot])
		fp_worker_split(w, s);
	else
		fp_worker_burst(w, s);
	w->stats.bursts++;
	w->stats.packets += n;
	return n;
}

static unsigned port_round(struct fp_worker *w, unsigned s)
{
	unsigned n = 0, got = FP_PIPE_BURST;

	/* Many frames a call make the call cheap. */
	for (int k = 0; k < FP_WORKER_BURSTS && got == FP_PIPE_BURST; k++)
		n += got = burst(w, s);
	if (!n)
		return 0;
	for (unsigned k = 0; k < w->n_active; k++)
		fp_worker_flush(w, &w->port[w->active[k]]);
	fp_worker_flow_left(w, true);
	return n;
}

/* The policy of this turn: its generation judges flows, the rest of it first packets. */
static void take_policy(struct fp_worker *w)
{
	struct fp_pol *p = w->conf.pol ? __atomic_load_n(w->conf.pol, __ATOMIC_ACQUIRE) : NULL;

	w->pipe.policy = p ? fp_pol_generation(p) : 0;
	w->pol = p && fp_pol_stateful(p) ? p : NULL;
}

static void look_at_waiting(struct fp_worker *w)
{
	uint32_t gen = adj_gen(w);

	fp_worker_fragments_age(w);
	if (w->park.head == w->park.tail ||
	    (w->conf.adj_gen && gen == w->park.gen && w->now_ns - w->park.looked_ns < LOOK_NS))
		return;
	w->park.gen = gen;
	w->park.looked_ns = w->now_ns;
	fp_worker_unpark(w);
	for (unsigned k = 0; k < w->n_active; k++)
		fp_worker_flush(w, &w->port[w->active[k]]);
	fp_worker_flow_left(w, false);
}

bool fp_worker_waits(const struct fp_worker *w)
{
	return w->park.head != w->park.tail;
}

unsigned fp_worker_round(struct fp_worker *w, uint64_t now_ns)
{
	unsigned n = 0;

	w->now_ns = now_ns;
	take_policy(w);
	for (unsigned k = 0; k < w->n_active; k++) {
		n += port_round(w, w->active[k]);
		fp_worker_flush(w, &w->port[w->active[k]]);
	}
	fp_worker_flow_promote(w);
	if (now_ns - w->age_ns >= AGE_NS) {
		w->age_ns = now_ns;
		fp_flow_age(w->conf.fw, fp_flow_now(), AGE_BUDGET, fp_worker_flow_ended, w);
		fp_flow_evict(w->conf.fw, EVICT_BUDGET);
		if (w->vfr)
			look_at_waiting(w);
	}
	return n;
}
