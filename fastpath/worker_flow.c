/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flows of a worker: what is inserted, and when a flow may take the express path. */
#include "worker_impl.h"

#include "wire.h"

#include <errno.h>

/* Units of 16.8 ms without a packet until a flow is forgotten. It is a cache of routes: what comes
 * back later is a miss that costs a microsecond. The kernel's are not counted by XDP, and looked at
 * again after 10 s. */
#define IDLE_UNITS   (20 * NSEC_PER_SEC >> FLOW_TIME_SHIFT)
#define KERNEL_UNITS (10 * NSEC_PER_SEC >> FLOW_TIME_SHIFT)
/* A stream that never lets its count come down to zero is moved anyway (FASTPLANE 2). */
#define FORCE_NS NSEC_PER_SEC
/* Longer than a frame that XDP has sent may take to be in the ring: a poll of the driver. */
#define LOST_NS (10 * NSEC_PER_MSEC)
/* The zone of a reverse half that nobody looks for: both directions have a flow of their own. */
#define ZONE_NONE 0x8000

#define REPLIED (1u << FLOW_TRACK_SHIFT)

/* TCP and UDP right behind a header without options: what XDP finds a key in. */
bool fp_worker_has_key(const struct fp_pkt *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && p->flags & FP_F_PORTS &&
	       !(p->flags &
		 (FP_F_FRAG | FP_F_OPTIONS | FP_F_EXT | FP_F_ATOMIC | FP_F_HBH | FP_F_ROUTING));
}

struct flow_key4 fp_worker_key4(const uint8_t *ip, const struct fp_pkt *p, uint16_t zone)
{
	struct flow_key4 k = {
		.sport = p->sport_be, .dport = p->dport_be, .proto = p->proto, .zone = zone
	};

	memcpy(&k.saddr, ip + 12, 4);
	memcpy(&k.daddr, ip + 16, 4);
	return k;
}

struct flow_key6 fp_worker_key6(const uint8_t *ip, const struct fp_pkt *p, uint16_t zone)
{
	struct flow_key6 k = {
		.sport = p->sport_be, .dport = p->dport_be, .proto = p->proto, .zone = zone
	};

	memcpy(k.saddr, ip + 8, 16);
	memcpy(k.daddr, ip + 24, 16);
	return k;
}

/* The key of the way back. */
static void reverse(enum flow_family fam, const struct fp_flow_half *a, struct fp_flow_half *b,
		    uint16_t zone)
{
	if (fam == FLOW_4) {
		b->key4 = (struct flow_key4){ .saddr = a->key4.daddr,
					      .daddr = a->key4.saddr,
					      .sport = a->key4.dport,
					      .dport = a->key4.sport,
					      .proto = a->key4.proto,
					      .zone = zone };
		return;
	}
	b->key6 = (struct flow_key6){
		.sport = a->key6.dport, .dport = a->key6.sport, .proto = a->key6.proto, .zone = zone
	};
	memcpy(b->key6.saddr, a->key6.daddr, 16);
	memcpy(b->key6.daddr, a->key6.saddr, 16);
}

bool fp_worker_flow_find(const struct fp_worker *w, unsigned s, const uint8_t *frame,
			 const struct fp_pkt *p, struct fp_wflow *ret)
{
	const uint8_t *ip = frame + p->l3_off;
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	if (!fp_worker_has_key(p))
		return false;
	if (p->family == AF_INET) {
		struct flow_key4 k = fp_worker_key4(ip, p, w->port[s].zone);

		if (fp_flow_find4(w->conf.flows, &k, &h4) != FLOW_HIT)
			return false;
		*ret = (struct fp_wflow){ h4.word0, &h4.own->word0, &h4.own->egress };
		return true;
	}
	struct flow_key6 k = fp_worker_key6(ip, p, w->port[s].zone);

	if (fp_flow_find6(w->conf.flows, &k, &h6) != FLOW_HIT)
		return false;
	*ret = (struct fp_wflow){ h6.word0, &h6.own->word0, &h6.own->egress };
	return true;
}

bool fp_worker_flow_fix(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
			uint32_t adj, uint8_t *ret_path)
{
	struct fp_wflow f;
	uint32_t old, new;

	if (!fp_worker_flow_find(w, s, w->burst.data[i], p, &f))
		return false;
	*ret_path = flow_w0_path(f.word0);
	fp_worker_flow_counted(w, i, f.word0, f.at);
	old = __atomic_load_n(f.egress, __ATOMIC_RELAXED);
	do {
		new = (old & ~FLOW_EGRESS_ADJ_MASK) | adj;
		if (new == old)
			break;
	} while (!__atomic_compare_exchange_n(f.egress, &old, new, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return true;
}

/* --- insert --- */

/* Where packets of the way back go, if they may be forwarded: else adjacency 0, and the worker
 * judges each. */
static uint32_t way_back(struct fp_worker *w, const uint8_t *ip, const struct fp_pkt *p,
			 const struct fp_wport *out)
{
	bool v6 = p->family == AF_INET6;
	struct fp_ask ask = { .family = p->family,
			      .ifindex = out->ifindex,
			      .src = ip + (v6 ? 24 : 16),
			      .dst = ip + (v6 ? 8 : 12),
			      .sport_be = p->dport_be,
			      .dport_be = p->sport_be,
			      .proto = p->proto };
	struct fp_answer answer = { 0 };

	return w->conf.ops.route(w->conf.ops.ctx, &ask, &answer) == FP_WAY_SEND ? answer.adj : 0;
}

static void wait_promote(struct fp_worker *w, enum flow_family fam, uint64_t ref, unsigned s)
{
	s = w->port[s].rx_via;
	if (w->promote_head - w->promote_tail == PROMOTE_MAX) {
		fp_flow_set_path(w->conf.fw, fam, ref, FLOW_P_EXPRESS, true);
		w->stats.forced++;
		return;
	}
	w->promote[w->promote_head++ % PROMOTE_MAX] = (struct promote){
		.ref = ref,
		.since_ns = w->now_ns,
		.fam = (uint8_t)fam,
		.s = (uint8_t)s,
	};
}

/* A direction that comes in by socket s and goes out there. */
static void direction(struct fp_worker *w, enum flow_family fam, uint64_t ref, unsigned s,
		      const struct fp_wport *out)
{
	if (w->port[s].express_in && out->express_out)
		wait_promote(w, fam, ref, s);
	else
		fp_flow_hold(w->conf.flows, fam, ref);
}

static void set_half(struct fp_flow_half *h, uint32_t adj, bool kernel)
{
	h->egress = flow_egress(adj, 0, 0);
	h->state = (uint8_t)((kernel ? FLOW_P_KERNEL : FLOW_P_WORKER) | REPLIED);
	/* The kernel can take over any of it: it is routed, not translated. */
	h->flags = FLOW_F_MIRRORED;
}

void fp_worker_flow_new(struct fp_worker *w, unsigned s, const uint8_t *frame,
			const struct fp_pkt *p, uint32_t adj, bool kernel)
{
	enum flow_family fam = p->family == AF_INET ? FLOW_4 : FLOW_6;
	const struct fp_wport *in = &w->port[s];
	const uint8_t *ip = frame + p->l3_off;
	const struct fp_wport *out = NULL;
	struct fp_flow_new f = { .time = w->pipe.now, .policy = w->pipe.policy };
	uint64_t ref;
	int err;

	if (!fp_worker_has_key(p))
		return;
	f.timeout = kernel ? KERNEL_UNITS : IDLE_UNITS;
	if (fam == FLOW_4)
		f.dir[0].key4 = fp_worker_key4(ip, p, in->zone);
	else
		f.dir[0].key6 = fp_worker_key6(ip, p, in->zone);
	if (!kernel)
		out = fp_worker_out(w, w->conf.adj[adj].port);
	reverse(fam, &f.dir[0], &f.dir[1], out ? out->zone : in->zone | ZONE_NONE);
	set_half(&f.dir[0], adj, kernel);
	set_half(&f.dir[1], out ? way_back(w, ip, p, out) : 0, kernel);
	err = fp_flow_insert(w->conf.fw, fam, &f, &ref);
	if (err == -EEXIST && out) {
		/* The way back has a flow already, perhaps by another way: this one stands alone.
		 */
		out = NULL;
		reverse(fam, &f.dir[0], &f.dir[1], in->zone | ZONE_NONE);
		f.dir[1].egress = 0;
		err = fp_flow_insert(w->conf.fw, fam, &f, &ref);
	}
	if (err) {
		w->stats.refused++;
		return;
	}
	w->stats.inserted++;
	if (kernel)
		return;
	direction(w, fam, ref, s, fp_worker_out(w, w->conf.adj[adj].port));
	if (out)
		direction(w, fam, ref ^ 1, (unsigned)(out - w->port), in);
}

void fp_worker_flow_express(struct fp_worker *w, enum flow_family fam, uint64_t ref, unsigned s,
			    unsigned out)
{
	direction(w, fam, ref, s, &w->port[out]);
	direction(w, fam, ref ^ 1, out, &w->port[s]);
}

void fp_worker_flow_again(struct fp_worker *w, enum flow_family fam, uint64_t ref, unsigned s)
{
	if (w->port[s].express_in && fp_flow_unhold(w->conf.flows, fam, ref))
		wait_promote(w, fam, ref, s);
}

/* The pipeline does not know the name of the flow. */
#define DEFINE_AGAIN(v)                                                                            \
	void fp_worker_flow_again##v(struct fp_worker *w, unsigned s, uint32_t port,               \
				     const struct flow_key##v *key)                                \
	{                                                                                          \
		const struct fp_wport *out = fp_worker_out(w, port);                               \
		struct flow_hit##v h;                                                              \
                                                                                                   \
		if (out && out->express_out &&                                                     \
		    fp_flow_find##v(w->conf.flows, key, &h) == FLOW_HIT)                           \
			fp_worker_flow_again(w, FLOW_##v, flow_ref(flow_w0_gen(h.word0), h.line),  \
					     s);                                                   \
	}

DEFINE_AGAIN(4)
DEFINE_AGAIN(6)

/* --- paths --- */

void fp_worker_flow_counted(struct fp_worker *w, unsigned i, uint64_t word0, uint64_t *at)
{
	if (w->uncounted >> i & 1 || !flow_w0_inflight(word0) || w->n_done == ARRAY_LEN(w->done))
		return;
	w->done[w->n_done++] = (struct fp_counted){ at, flow_w0_gen(word0), w->from };
}

/* Takes n of the count, all that is left at most; returns how many there were. */
static unsigned uncount(uint64_t *word0, uint16_t gen, unsigned n)
{
	uint64_t old = __atomic_load_n(word0, __ATOMIC_RELAXED);
	unsigned had;

	do {
		had = flow_w0_inflight(old);
		if (flow_w0_gen(old) != gen || !had)
			return 0;
	} while (!__atomic_compare_exchange_n(word0, &old, old - MIN(n, had) * FLOW_W0_INFLIGHT_ONE,
					      false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return had;
}

void fp_worker_flow_stays(const struct fp_counted *f)
{
	uint64_t old = __atomic_load_n(f->word0, __ATOMIC_RELAXED);

	do {
		if (flow_w0_gen(old) != f->gen)
			return;
	} while (!__atomic_compare_exchange_n(f->word0, &old, old + FLOW_W0_INFLIGHT_ONE, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

void fp_worker_flow_leaves(struct fp_worker *w, const struct fp_counted *f)
{
	if (w->n_done < ARRAY_LEN(w->done))
		w->done[w->n_done++] = *f;
	else
		uncount(f->word0, f->gen, 1);
}

/* What XDP has sent to the socket, as a position in its rx ring. */
static uint32_t sent_to(const struct fp_wport *p)
{
	return p->xdp ? __atomic_load_n(&p->xdp->sent, __ATOMIC_ACQUIRE)
		      : __atomic_load_n(p->xsk.rx.producer, __ATOMIC_ACQUIRE);
}

/* How much of it has not come out of the ring. */
static int32_t on_the_way(const struct fp_wport *p)
{
	return (int32_t)(sent_to(p) - p->lost - p->xsk.rx.own);
}

/* Frames that do not arrive were lost: XDP does not see the ring that is full. A queue that is
 * never empty for so long is no different, and some of its frames may be overtaken then. */
static void look_for_lost(struct fp_worker *w, struct fp_wport *p)
{
	int32_t n = on_the_way(p);

	if (n > 0 && !p->busy_ns)
		p->busy_ns = w->now_ns;
	if (n > 0 && (w->now_ns - p->busy_ns < LOST_NS || fp_ring_peek(&p->xsk.rx, 1)))
		return;
	p->lost += (uint32_t)n;
	p->busy_ns = 0;
}

/* What is left of the count is of frames that were lost on the way, or wait here. */
static void reconcile(struct fp_worker *w, const struct fp_counted *f)
{
	uint64_t old = __atomic_load_n(f->word0, __ATOMIC_ACQUIRE);
	uint64_t left = flow_w0_inflight(old);

	/* The count was read first: a frame of it that is on its way is among those sent. */
	if (flow_w0_gen(old) != f->gen || !left || !w->port[f->from].used ||
	    on_the_way(&w->port[f->from]) > 0 || fp_worker_parked(w, f->word0))
		return;
	w->stats.reconciled += __atomic_compare_exchange_n(f->word0, &old,
							   old - left * FLOW_W0_INFLIGHT_ONE, false,
							   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* The burst has left. XDP counted those of their frames of which it knew the flow. */
void fp_worker_flow_left(struct fp_worker *w, bool all)
{
	for (unsigned i = 0; i < w->n_done; i++)
		uncount(w->done[i].word0, w->done[i].gen, 1);
	for (unsigned i = 0; all && i < w->n_done; i++)
		reconcile(w, &w->done[i]);
	w->n_done = 0;
}

static bool ready(const struct fp_worker *w, const struct promote *c)
{
	const struct fp_wport *p = &w->port[c->s];

	return !p->used || (int32_t)(p->lost + p->xsk.rx.own - c->after) >= 0;
}

void fp_worker_flow_promote(struct fp_worker *w)
{
	uint32_t n = w->promote_head - w->promote_tail;

	for (unsigned k = 0; k < w->n_active; k++)
		look_for_lost(w, &w->port[w->active[k]]);
	for (unsigned k = 0; k < w->n_active; k++)
		if (w->port[w->active[k]].xsk.tx_dirty)
			return;
	while (n--) {
		struct promote c = w->promote[w->promote_tail % PROMOTE_MAX];
		bool force = w->now_ns - c.since_ns > FORCE_NS;
		int err;

		/* XDP may have missed the flow in frames that it sends later than the flow is
		 * there; by the end of the turn it has sent them. */
		if (!c.settled && w->port[c.s].used) {
			c.after = sent_to(&w->port[c.s]);
			c.settled = true;
			w->promote[w->promote_tail % PROMOTE_MAX] = c;
		}
		if (!force && !ready(w, &c))
			break;
		w->promote_tail++;
		err = fp_flow_set_path(w->conf.fw, c.fam, c.ref, FLOW_P_EXPRESS, force);
		if (!err) {
			w->stats.promoted++;
			w->stats.forced += force;
		} else if (err == -EBUSY) {
			w->promote[w->promote_head++ % PROMOTE_MAX] = c;
		}
	}
}
