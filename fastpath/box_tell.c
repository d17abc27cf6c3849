/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Figures of the fast plane as rtrd gets them. */
#include "box.h"

#include <time.h>

_Static_assert((int)FP_FRAME__MAX == FASTPATH_FRAMES, "one number a state");

void fp_box_tell_state(const struct fp_box *b, unsigned slot, struct fastpath_event *ret)
{
	const struct fp_box_port *p = &b->port[slot];
	const char *copies = p->asked_ns ? fp_box_port_copies(p) : NULL;

	*ret = (struct fastpath_event){ .kind = FASTPATH_STATE, .ifindex = (int32_t)p->ifindex };
	ret->u.state.fast = p->fast;
	ret->u.state.express_in = p->fast && p->express_wanted;
	ret->u.state.express_out = p->fast && p->express_wanted && p->nic.redirect_target;
	ret->u.state.zero_copy = p->bound && p->zero_copy;
	ret->u.state.native = p->attached;
	ret->u.state.partial = p->xdp.flags & EXPRESS_PF_PARTIAL;
	ret->u.state.n_queues = (uint16_t)p->n_queues;
	ret->u.state.slot = slot;
	ret->u.state.mtu = p->nic.mtu;
	ret->u.state.redirect = p->nic.redirect_target;
	ret->u.state.zero_copy_known = p->nic.zero_copy;
	rtr_strlcpy(ret->u.state.driver, p->nic.driver, sizeof(ret->u.state.driver));
	rtr_strlcpy(ret->u.state.copy, copies ? copies : "", sizeof(ret->u.state.copy));
	rtr_strlcpy(ret->u.state.reason, p->reason, sizeof(ret->u.state.reason));
}

static void add_socks(struct fp_box *b, unsigned i, unsigned slot, struct fastpath_count *c)
{
	struct xdp_statistics st;
	struct fp_wport *wp;

	/* A VLAN has none of its own. */
	for (unsigned n = 0; (wp = fp_worker_port(b->worker[i].w, slot, n)) && !wp->vlan; n++) {
		if (fp_xsk_stats(&wp->xsk, &st))
			continue;
		c->ring_full += st.rx_ring_full;
		c->ring_dropped += st.rx_dropped;
		c->fill_empty += st.rx_fill_ring_empty_descs;
		c->tx_invalid += st.tx_invalid_descs;
	}
}

void fp_box_tell_count(struct fp_box *b, unsigned slot, struct fastpath_event *ret)
{
	struct fastpath_count *c = &ret->u.count;

	*ret = (struct fastpath_event){ .kind = FASTPATH_COUNT,
					.ifindex = (int32_t)b->port[slot].ifindex };
	/* The workers' first: a frame that is on its way counts in XDP at least. */
	for (unsigned i = 0; i < b->conf.n_workers; i++) {
		const struct fp_wcount *w = fp_worker_count(b->worker[i].w, slot);

		c->rx += w->rx;
		c->rx_bytes += w->rx_bytes;
		c->forwarded += w->forwarded;
		c->tx += w->tx;
		c->made += w->made;

		for (int k = 0; k < FP_TK__MAX; k++)
			c->punt[k] += w->punt[k];
		for (int k = 0; k < RTR_DROP__MAX; k++)
			c->drop[k] += w->drop[k];
		add_socks(b, i, slot, c);
	}
	if (b->port[slot].vlan.vlan)
		fp_box_vlan_carried(b, &b->port[slot], &c->vlan);
	c->before = b->before[slot];
	fp_xdp_counts(b->xdp, slot, &c->xdp);
}

void fp_box_tell_worker(struct fp_box *b, unsigned i, struct fastpath_event *ret)
{
	const struct fp_worker_stats *s = fp_worker_stats(b->worker[i].w);
	struct fastpath_worker *w = &ret->u.worker;
	const struct fp_wport *wp;

	*ret = (struct fastpath_event){ .kind = FASTPATH_WORKER };
	w->id = i;
	w->packets = s->packets;
	w->bursts = s->bursts;
	w->sleeps = s->sleeps;
	w->cpu_ns = fp_wthread_cpu_ns(b->worker[i].thread);
	w->inserted = s->inserted;
	w->refused = s->refused;
	w->promoted = s->promoted;
	w->forced = s->forced;
	w->reconciled = s->reconciled;
	w->errors_lost = s->errors_lost;
	w->injected = s->injected;
	fp_umem_audit(fp_worker_umem(b->worker[i].w), w->frames);
	w->frames_wrong = fp_worker_umem(b->worker[i].w)->n_wrong;
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		for (unsigned n = 0; (wp = fp_worker_port(b->worker[i].w, slot, n)); n++)
			w->n_socks += !wp->vlan;
}

static void tell_mirror(const struct fp_box *b, struct fastpath_table *t)
{
	struct fp_mirror_stats s = { .error = -1 };

	if (b->mirror)
		fp_mirror_stats(b->mirror, &s);
	t->mirror_written = s.written;
	t->mirror_renewed = s.renewed;
	t->mirror_ended = s.ended;
	t->mirror_given = s.given;
	t->mirror_exists = s.exists;
	t->mirror_refused = s.refused;
	t->mirror_orphans = s.orphans;
	t->mirror_held = s.held;
	t->mirror_waiting = s.waiting;
	t->mirror_lag_ms = s.lag_ms;
	t->n_ct = s.n_ct;
	t->max_ct = s.max_ct;
	t->mirror = s.error ? 2 : s.on;
}

void fp_box_tell_table(struct fp_box *b, struct fastpath_event *ret)
{
	struct fastpath_table *t = &ret->u.table;
	struct fp_flow_adoption a;
	struct fp_keeper_stats k;
	struct fibctl_stats f;

	*ret = (struct fastpath_event){ .kind = FASTPATH_TABLE };
	fp_flow_adoption(b->flows, &a);
	fp_keeper_stats(b->keeper, &k);
	fibctl_stats(b->fib, &f);
	t->inserted = fp_flow_stat(b->flows, FP_FLOW_STAT_INSERTED);
	t->freed = fp_flow_stat(b->flows, FP_FLOW_STAT_FREED);
	t->evicted = fp_flow_stat(b->flows, FP_FLOW_STAT_EVICTED);
	t->no_pair = fp_flow_stat(b->flows, FP_FLOW_STAT_NO_PAIR);
	t->no_slot = fp_flow_stat(b->flows, FP_FLOW_STAT_NO_SLOT);
	t->busy = fp_flow_stat(b->flows, FP_FLOW_STAT_BUSY);
	t->adopted = a.living;
	t->repaired = a.repaired;
	t->adopting = !a.done;
	for (int r = 0; r < FP_FLOW_R__MAX; r++)
		t->flow_bytes += b->mem.size[r];
	t->frame_bytes = ((uint64_t)b->conf.n_frames << FP_FRAME_SHIFT) * b->conf.n_workers;
	t->fib_bytes = f.route_bytes + f.lpm_bytes + f.other_bytes;
	t->sweeps = k.sweeps;
	t->sweep_flows = k.flows;
	t->sweep_changed = k.changed;
	t->sweep_ns = k.ns;
	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		t->n_flows[fam] = k.n_flows[fam];
		t->max_flows[fam] = b->mem.n_flows[fam];
		t->n_routes[fam] = f.n_routes[fam];
	}
	t->epoch = (uint32_t)fp_flow_hdr(b->flows)->epoch;
	t->n_adj = f.n_adj;
	t->n_adj_ready = f.n_adj_ready;
	t->max_adj = FP_ADJ_MAX / 2;
	t->n_links = f.n_links;
	t->fib_ready = f.ready;
	t->mode = (uint8_t)fp_xdp_ctl(b->xdp)->mode;
	tell_mirror(b, t);
	t->sees_ct = fp_xdp_sees_ct(b->xdp);
}

/* --- flows --- */

static int32_t ifindex_of(const struct fp_box *b, uint32_t slot)
{
	return slot < FP_PORTS_MAX ? (int32_t)b->port[slot].ifindex : 0;
}

static int32_t egress_of(const struct fp_box *b, uint32_t egress)
{
	uint32_t adj = egress & FLOW_EGRESS_ADJ_MASK;

	return adj && adj < FP_ADJ_MAX ? ifindex_of(b, fp_xdp_adjs(b->xdp)[adj].port) : 0;
}

static void fill_flow(const struct fp_box *b, struct fastpath_flow *f, uint64_t word0,
		      uint16_t zone, uint32_t egress, uint32_t time, uint64_t count)
{
	f->path = flow_w0_path(word0);
	f->inflight = flow_w0_inflight(word0);
	f->in = ifindex_of(b, zone);
	f->out = egress_of(b, egress);
	f->idle_ms = fp_flow_ms((uint32_t)MAX((int32_t)(fp_flow_now() - time), 0));
	f->packets = count >> FLOW_COUNT_BYTES_BITS;
	f->bytes = count & ((1ull << FLOW_COUNT_BYTES_BITS) - 1);
}

/* The answers' half knows whether there were any; both know the state of TCP. */
static void tell_state(const struct fp_box *b, enum flow_family fam, const struct flow_side *side,
		       struct fastpath_flow *f)
{
	uint32_t name = __atomic_load_n(&side->name, __ATOMIC_RELAXED) & FLOW_NAME_MASK;
	struct fp_flow_view v;

	if (name >> 1 >= b->mem.n_pairs[fam] || !fp_flow_view(b->flows, fam, name >> 1, &v))
		return;
	f->tracked = !!(v.flags & FLOW_COLD_TRACKED);
	f->state = flow_w0_state(v.dir[1].word0) >> FLOW_TRACK_SHIFT;
}

static bool tell4(const struct fp_box *b, uint32_t line, struct fastpath_flow *f)
{
	const struct flow_line4 *l = (const struct flow_line4 *)b->mem.base[FP_FLOW_R_LINES4] +
				     line;
	uint64_t w0 = __atomic_load_n(&l->word0, __ATOMIC_ACQUIRE);

	if (!flow_lives(w0) || l->key.zone >= FP_PORTS_MAX)
		return false;
	*f = (struct fastpath_flow){ .family = 4,
				     .proto = l->key.proto,
				     .sport_be = l->key.sport,
				     .dport_be = l->key.dport };
	memcpy(f->src, &l->key.saddr, 4);
	memcpy(f->dst, &l->key.daddr, 4);
	fill_flow(b, f, w0, l->key.zone, l->egress, l->time, l->count);
	tell_state(b, FLOW_4, (struct flow_side *)b->mem.base[FP_FLOW_R_SIDES4] + line, f);
	return true;
}

static bool tell6(const struct fp_box *b, uint32_t line, struct fastpath_flow *f)
{
	const struct flow_line6 *l = (const struct flow_line6 *)b->mem.base[FP_FLOW_R_LINES6] +
				     line;
	uint64_t w0 = __atomic_load_n(&l->word0, __ATOMIC_ACQUIRE);

	if (!flow_lives(w0) || l->key.zone >= FP_PORTS_MAX)
		return false;
	*f = (struct fastpath_flow){ .family = 6,
				     .proto = l->key.proto,
				     .sport_be = l->key.sport,
				     .dport_be = l->key.dport };
	memcpy(f->src, l->key.saddr, 16);
	memcpy(f->dst, l->key.daddr, 16);
	fill_flow(b, f, w0, l->key.zone, l->egress, l->time, l->count);
	tell_state(b, FLOW_6, &l->side, f);
	return true;
}

bool fp_box_tell_flow(struct fp_box *b, uint64_t *at, struct fastpath_event *ret)
{
	uint64_t n4 = 2ull * b->mem.n_pairs[FLOW_4], n = n4 + 2ull * b->mem.n_pairs[FLOW_6];

	*ret = (struct fastpath_event){ .kind = FASTPATH_FLOW };
	for (; *at < n; ++*at) {
		bool there = *at < n4 ? tell4(b, (uint32_t)*at, &ret->u.flow)
				      : tell6(b, (uint32_t)(*at - n4), &ret->u.flow);

		if (there) {
			++*at;
			return true;
		}
	}
	return false;
}

/* For a packet from nowhere in particular: rules that ask for a source do not match. */
void fp_box_tell_route(struct fp_box *b, const struct fastpath_req *q, struct fastpath_event *ret)
{
	struct fastpath_route *r = &ret->u.route;
	struct fib_key k = { .iif = (uint32_t)q->ifindex, .family = q->u.way.family };
	struct fib_res res;

	for (unsigned slot = 0; !k.iif && slot < FP_PORTS_MAX; slot++)
		if (b->port[slot].vrf == q->u.way.vrf)
			k.iif = b->port[slot].ifindex;
	memcpy(k.dst.b, q->u.way.dst, sizeof(k.dst.b));
	fib_lookup(fibctl_fib(b->fib), &k, &res);
	*ret = (struct fastpath_event){ .kind = FASTPATH_ROUTE };
	r->family = k.family;
	r->nh_family = res.nh_family;
	memcpy(r->dst, k.dst.b, sizeof(r->dst));
	memcpy(r->nh, res.nh.b, sizeof(r->nh));
	r->in = (int32_t)k.iif;
	r->out = (int32_t)res.oif;
	r->adj = res.adj;
	r->connected = !!(res.flags & FIB_RF_CONNECTED);
	r->by_default = !!(res.flags & FIB_RF_DEFAULT);
	rtr_strlcpy(r->verdict, fib_verdict_text(res.verdict), sizeof(r->verdict));
	rtr_strlcpy(r->neighbour, fib_adj_state_text(res.adj_state), sizeof(r->neighbour));
	if (res.reason)
		rtr_strlcpy(r->reason, elig_doc(res.reason), sizeof(r->reason));
}

bool fp_box_tell_hits(struct fp_box *b, uint64_t *at, struct fastpath_event *ret)
{
	const struct fp_pol *all[] = { b->pol.now, b->pol.old };
	struct fastpath_hits *h = &ret->u.hits;
	uint64_t first = 0;

	*ret = (struct fastpath_event){ .kind = FASTPATH_HITS };
	if (!*at || b->pol.told != b->pol.version) {
		h->again = 1;
		b->pol.told = b->pol.version;
		*at = 0;
	}
	for (size_t k = 0; k < ARRAY_LEN(all); k++) {
		unsigned n = all[k] ? fp_pol_n_counters(all[k]) : 0;

		for (; *at < first + n && h->n < FASTPATH_HITS_MAX; ++*at) {
			struct fp_pol_hits one;
			uint64_t id = fp_pol_counter(all[k], (unsigned)(*at - first), &one);

			if (!one.n)
				continue;
			h->v[h->n].id = id;
			h->v[h->n].hits = one.n;
			h->v[h->n].bytes = one.bytes;
			h->v[h->n++].last_ns = one.last_ns;
		}
		first += n;
	}
	return h->n;
}
