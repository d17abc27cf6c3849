/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets under a policy that needs connections, one by one: of a known flow by its state, the
 * first of another by the policy. What a known flow needs is done here, for the kernel does not
 * know it; what cannot begin a flow of ours is the kernel's as it came.
 */
#include "worker_impl.h"

#include "mss.h"
#include "nat_mapping.h"
#include "rewrite.h"
#include "wire.h"

#include <errno.h>

/* --- lookup --- */

#define HALF(line)                                                                                 \
	{                                                                                          \
		&(line)->word0, &(line)->egress, &(line)->time, &(line)->count, &(line)->tcp       \
	}

#define DEFINE_FIND(v)                                                                             \
	bool fp_worker_find##v(const struct fp_worker *w, const struct flow_key##v *key,           \
			       struct fp_known *ret)                                               \
	{                                                                                          \
		struct flow_hit##v h;                                                              \
                                                                                                   \
		if (fp_flow_find##v(w->conf.flows, key, &h) != FLOW_HIT)                           \
			return false;                                                              \
		ret->f = (struct fp_track_flow){                                                   \
			.fam = FLOW_##v,                                                           \
			.ref = flow_ref(flow_w0_gen(h.word0), h.line),                             \
			.word0 = h.word0,                                                          \
			.half = { HALF(h.own), HALF(h.twin) },                                     \
			.cold = fp_flow_cold(w->conf.flows, FLOW_##v, h.line),                     \
		};                                                                                 \
		ret->rw##v = h.rw;                                                                 \
		ret->elsewhere = false;                                                            \
		ret->zone_out = h.twin->key.zone;                                                  \
		return true;                                                                       \
	}

DEFINE_FIND(4)
DEFINE_FIND(6)

/* Ports that stand in the packet: a later fragment has none. */
static bool has_tuple(const struct fp_pkt *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && p->flags & FP_F_PORTS &&
	       !(p->flags & FP_F_FRAG && !(p->flags & FP_F_FRAG_FIRST));
}

void fp_worker_pol_key(const struct fp_worker *w, unsigned s, const uint8_t *frame,
		       const struct fp_pkt *p, struct fp_pol_key *ret)
{
	bool v6 = p->family == AF_INET6;
	const uint8_t *ip = frame + p->l3_off;

	*ret = (struct fp_pol_key){ .family = p->family,
				    .proto = p->proto,
				    .tcp_flags = p->tcp_flags,
				    .dscp = p->tos >> 2,
				    .ttl = p->ttl,
				    .len = (uint16_t)(p->end - p->l3_off),
				    .sport_be = p->sport_be,
				    .dport_be = p->dport_be,
				    .ifindex = w->port[s].ifindex,
				    .vrf = w->port[s].vrf };
	memcpy(ret->src, ip + (v6 ? 8 : 12), v6 ? 16 : 4);
	memcpy(ret->dst, ip + (v6 ? 24 : 16), v6 ? 16 : 4);
}

bool fp_worker_was_counted(const struct fp_pkt *p)
{
	return has_tuple(p) && (p->family == AF_INET || fp_worker_has_key(p));
}

static bool find_in(const struct fp_worker *w, uint16_t zone, const uint8_t *frame,
		    const struct fp_pkt *p, struct fp_known *ret)
{
	const uint8_t *ip = frame + p->l3_off;

	if (p->family == AF_INET) {
		struct flow_key4 k = fp_worker_key4(ip, p, zone);

		return fp_worker_find4(w, &k, ret);
	}
	struct flow_key6 k = fp_worker_key6(ip, p, zone);

	return fp_worker_find6(w, &k, ret);
}

bool fp_worker_find(const struct fp_worker *w, unsigned s, const uint8_t *frame,
		    const struct fp_pkt *p, struct fp_known *ret)
{
	return has_tuple(p) && find_in(w, w->port[s].zone, frame, p, ret);
}

/* A connection does not ask by which interface of a VRF, or of none, its packets come; source tests
 * do. */
static bool find_elsewhere(const struct fp_worker *w, unsigned s, const uint8_t *frame,
			   const struct fp_pkt *p, struct fp_known *ret)
{
	uint16_t own = w->port[s].zone;
	struct fp_answer answer = { 0 };
	struct fp_pol_key key;
	struct fp_ask ask;
	uint8_t drop;

	if (!has_tuple(p))
		return false;
	for (unsigned k = 0; k < w->n_ports; k++) {
		const struct fp_wport *o = &w->port[w->ports[k]];

		if (o->zone == own || o->vrf != w->port[s].vrf ||
		    !find_in(w, o->zone, frame, p, ret))
			continue;
		fp_worker_ask(w, s, frame, p, &ask);
		fp_worker_pol_key(w, s, frame, p, &key);
		ret->elsewhere = true;
		return ret->f.cold->flags & FLOW_COLD_TRACKED &&
		       fp_pol_source(w->pol, &key, &drop) == FP_POL_PERMIT &&
		       w->conf.ops.route(w->conf.ops.ctx, &ask, &answer) != FP_WAY_DROP;
	}
	return false;
}

/* Another VRF has a connection of the same addresses and ports, which to the kernel is the same
 * one: what that makes of the packet only the kernel can tell. */
static bool is_of_two_vrfs(const struct fp_worker *w, unsigned s, const uint8_t *frame,
			   const struct fp_pkt *p)
{
	struct fp_known k;
	bool found = false;

	for (unsigned i = 0; i < w->n_ports && has_tuple(p) && !found; i++) {
		const struct fp_wport *o = &w->port[w->ports[i]];

		found = o->vrf != w->port[s].vrf && find_in(w, o->zone, frame, p, &k);
	}
	return found;
}

/* --- the end of a flow --- */

void fp_worker_flow_ended(void *ctx, enum flow_family fam, uint64_t ref)
{
	struct fp_worker *w = ctx;

	w->stats.ended++;
}

/* True: it is gone; else its owner has yet to free it. */
static bool end_flow(struct fp_worker *w, const struct fp_track_flow *f)
{
	if (fp_flow_owner(w->conf.flows, f->fam, f->ref) == w->conf.id &&
	    !fp_flow_free(w->conf.fw, f->fam, f->ref)) {
		fp_worker_flow_ended(w, f->fam, f->ref);
		return true;
	}
	fp_flow_end(w->conf.flows, f->fam, f->ref);
	return false;
}

/* --- packets of known flows --- */

static bool translated(const struct fp_known *k)
{
	return flow_w0_flags(k->f.word0) & FLOW_F_REWRITE;
}

bool fp_worker_dst_moves(const uint8_t *frame, const struct fp_pkt *p, const struct fp_known *k)
{
	const uint8_t *ip = frame + p->l3_off;

	if (!translated(k))
		return false;
	return k->f.fam == FLOW_4 ? k->rw4.daddr != fp_ld32_be(ip + 16)
				  : memcmp(k->rw6.daddr, ip + 24, 16) != 0;
}

/* The packet as it leaves, but for its TTL. */
static enum rtr_drop rewrite(uint8_t *frame, struct fp_pkt *p, const struct fp_known *k)
{
	if (!translated(k))
		return RTR_DROP_NONE;
	if (k->f.fam == FLOW_4) {
		struct fp_nat4 n = { .src_be = k->rw4.saddr,
				     .dst_be = k->rw4.daddr,
				     .sport_be = k->rw4.sport,
				     .dport_be = k->rw4.dport,
				     .ip_delta = k->rw4.l3_delta,
				     .l4_delta = k->rw4.l4_delta };

		return fp_nat4_apply(frame, p, &n);
	}
	struct fp_nat6 n = { .sport_be = k->rw6.sport,
			     .dport_be = k->rw6.dport,
			     .l4_delta = k->rw6.l4_delta };

	memcpy(n.src, k->rw6.saddr, 16);
	memcpy(n.dst, k->rw6.daddr, 16);
	return fp_nat6_apply(frame, p, &n);
}

static void set_adj(uint32_t *egress, uint32_t adj)
{
	uint32_t old = __atomic_load_n(egress, __ATOMIC_RELAXED), new;

	do {
		new = (old & ~FLOW_EGRESS_ADJ_MASK) | adj;
		if (new == old)
			return;
	} while (!__atomic_compare_exchange_n(egress, &old, new, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
}

/* The way of the packet once it is translated; source tests are made of it as it came. */
static enum fp_way find_way(struct fp_worker *w, unsigned s, const uint8_t *frame,
			    const struct fp_pkt *p, const struct fp_known *k, struct fp_answer *ret)
{
	struct fp_ask ask;

	fp_worker_ask(w, s, frame, p, &ask);
	if (translated(k)) {
		ask.translated = true;
		ask.dst = k->f.fam == FLOW_4 ? (const uint8_t *)&k->rw4.daddr : k->rw6.daddr;
		ask.dport_be = k->f.fam == FLOW_4 ? k->rw4.dport : k->rw6.dport;
	}
	return w->conf.ops.route(w->conf.ops.ctx, &ask, ret);
}

/* The flow has no way by the fast plane any more. The kernel can go on with what it has a mirror
 * of; the next sweep hands over the others, and who sent the packet will send it again. */
static void to_kernel(struct fp_worker *w, unsigned s, unsigned i, const struct fp_known *k)
{
	if (flow_w0_flags(k->f.word0) & FLOW_F_MIRRORED)
		fp_worker_punt(w, s, i, FP_TK_ROUTE);
	else
		fp_worker_drop(w, s, i, RTR_DROP_EGRESS_DOWN);
}

/* A packet of a known flow as it is: would it tell an address of inside? */
static bool tells_inside(const struct fp_worker *w, unsigned s, const uint8_t *frame,
			 const struct fp_pkt *p, const struct fp_wport *out)
{
	struct fp_pol_key key;

	fp_worker_pol_key(w, s, frame, p, &key);
	key.past = true;
	return fp_pol_leaks(w->pol, &key, out->ifindex);
}

/* By another interface its translation may be another, if it has none now: the sweep judges that
 * first. Answers may go another way than the opener came from the beginning. */
static bool may_differ(const struct fp_worker *w, unsigned s, const uint8_t *frame,
		       const struct fp_pkt *p, const struct fp_known *k, const struct fp_wport *out)
{
	if (out->zone == k->zone_out)
		return false;
	return translated(k) || !(k->f.ref & 1) || tells_inside(w, s, frame, p, out);
}

/* Fills *ret with the adjacency that the flow goes by; false: the packet is gone. */
static bool way_of(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
		   const struct fp_known *k, struct fp_adj *ret)
{
	uint32_t adj = __atomic_load_n(k->f.half[0].egress, __ATOMIC_RELAXED) &
		       FLOW_EGRESS_ADJ_MASK;
	struct fp_answer answer = { 0 };

	if (fp_worker_adj(w, adj, ret) && fp_worker_out(w, ret->port))
		return true;
	switch (find_way(w, s, w->burst.data[i], p, k, &answer)) {
	case FP_WAY_DROP:
		fp_worker_drop(w, s, i, answer.drop);
		return false;
	case FP_WAY_NEIGH:
		fp_worker_park(w, s, i, p, k);
		return false;
	case FP_WAY_ANSWER:
	case FP_WAY_KERNEL:
		to_kernel(w, s, i, k);
		return false;
	case FP_WAY_SEND:
		break;
	}
	if (!fp_worker_adj(w, answer.adj, ret) || !fp_worker_out(w, ret->port)) {
		fp_worker_drop(w, s, i, RTR_DROP_NEIGH_NONE);
		return false;
	}
	if (may_differ(w, s, w->burst.data[i], p, k, fp_worker_out(w, ret->port))) {
		/* The sweep that follows a change of routes or neighbours judges it. Answers that
		 * would tell an address of inside it ends. */
		if (translated(k) || !(k->f.ref & 1))
			fp_worker_park(w, s, i, p, k);
		else
			fp_worker_drop(w, s, i, RTR_DROP_EGRESS_DOWN);
		return false;
	}
	set_adj(k->f.half[0].egress, answer.adj);
	return true;
}

static void account(const struct fp_worker *w, const struct fp_known *k, const struct fp_pkt *p,
		    bool touched)
{
	const struct fp_track_half *h = &k->f.half[0];

	__atomic_fetch_add(h->count, FLOW_COUNT_ONE((uint64_t)(p->end - p->l3_off)),
			   __ATOMIC_RELAXED);
	if (touched)
		__atomic_store_n(h->time, w->pipe.now, __ATOMIC_RELAXED);
}

/* The state of the flow has its say. False: the packet is gone, or begins another flow (*again);
 * true: it goes, perhaps as the *last one. */
static bool tracked(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
		    const struct fp_known *k, struct fp_track_ret *ret, bool *again, bool *last)
{
	enum fp_track_act act = fp_track_packet(w->conf.track, w->conf.fw, &k->f, w->burst.data[i],
						p, w->now_ns, ret);

	if (ret->retime)
		fp_flow_set_timeout(w->conf.fw, k->f.fam, k->f.ref, ret->timeout);
	switch (act) {
	case FP_TRACK_PASS:
		return true;
	case FP_TRACK_LAST:
		*last = true;
		return true;
	case FP_TRACK_REOPEN:
		*again = end_flow(w, &k->f);
		if (!*again)
			fp_worker_drop(w, s, i, RTR_DROP_CT_CLOSED);
		return false;
	case FP_TRACK_DROP:
		break;
	}
	fp_worker_drop(w, s, i, ret->drop);
	return false;
}

/* A direction is promoted where its packets come from and where they go to can. */
static void promote(struct fp_worker *w, unsigned s, const struct fp_known *k,
		    const struct fp_adj *a)
{
	const struct fp_wport *out = fp_worker_out(w, a->port);

	fp_worker_flow_express(w, k->f.fam, k->f.ref, s, (unsigned)(out - w->port));
}

/* What fits the way of the packet and the way back to its sender. */
static uint16_t mss_of_path(const struct fp_worker *w, unsigned s, const uint8_t *frame,
			    const struct fp_pkt *p, const struct fp_adj *there, uint32_t back)
{
	struct fp_error_way way = { 0 };
	uint32_t mtu = there->mtu;
	struct fp_ask ask;
	struct fp_adj a;

	fp_worker_ask(w, s, frame, p, &ask);
	if (fp_worker_adj(w, back & FLOW_EGRESS_ADJ_MASK, &a))
		mtu = MIN(mtu, (uint32_t)a.mtu);
	else if (w->conf.ops.error_way && w->conf.ops.error_way(w->conf.ops.ctx, &ask, &way) &&
		 way.mtu)
		mtu = MIN(mtu, way.mtu);
	return fp_mss_of_mtu(p->family, mtu);
}

/* By the interfaces of this SYN: the one that answers it may pass by others. The packet is as it
 * came in. */
static void clamp(struct fp_worker *w, unsigned s, uint8_t *frame, const struct fp_pkt *p,
		  const struct fp_adj *there, uint32_t back)
{
	struct fp_pol_mss mss;

	if (p->proto != IPPROTO_TCP || !(p->tcp_flags & FP_TCP_SYN) || !w->pol)
		return;
	mss = fp_pol_mss(w->pol, p->family, w->port[s].vrf ? 0 : w->port[s].ifindex,
			 fp_worker_out(w, there->port)->ifindex);
	fp_mss_clamp(frame, p, mss.max);
	if (mss.path)
		fp_mss_clamp(frame, p, mss_of_path(w, s, frame, p, there, back));
}

/* May it leave, and as what? False: it is gone. What the sender has to know is told here, because
 * the kernel does not know the flow; about the packet as it came in. */
static bool leaves(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p,
		   const struct fp_known *k, const struct fp_adj *a)
{
	bool big = p->end - p->l3_off > a->mtu, v4 = p->family == AF_INET;
	bool moved = fp_worker_dst_moves(w->burst.data[i], p, k);
	enum rtr_drop why = RTR_DROP_NONE;

	if (p->ttl <= 1) {
		fp_worker_error(w, s, i, p, FP_ICMP_K_TTL, 0, moved);
		why = RTR_DROP_TTL_EXPIRED;
	} else if (big && (!v4 || p->flags & FP_F_DF)) {
		fp_worker_error(w, s, i, p, FP_ICMP_K_TOO_BIG, a->mtu, moved);
		why = v4 ? RTR_DROP_MTU_DF : RTR_DROP_MTU_IP6;
	} else if (k->elsewhere && !translated(k) &&
		   tells_inside(w, s, w->burst.data[i], p, fp_worker_out(w, a->port))) {
		/* By the interface that its flow was judged for it may. */
		why = RTR_DROP_NAT_LEAK;
	} else {
		clamp(w, s, w->burst.data[i], p, a,
		      __atomic_load_n(k->f.half[1].egress, __ATOMIC_RELAXED));
		why = rewrite(w->burst.data[i], p, k);
	}
	if (why)
		fp_worker_drop(w, s, i, why);
	return !why;
}

bool fp_worker_known(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p,
		     const struct fp_known *k)
{
	struct fp_track_ret r = { 0 };
	bool again = false, last = false;
	struct fp_adj a;

	if (fp_worker_was_counted(p) && !w->park.since) /* who waits has his own count */
		fp_worker_flow_counted(w, i, k->f.word0, k->f.half[0].word0);
	switch (flow_w0_path(k->f.word0)) {
	case FLOW_P_KERNEL:
		fp_worker_punt(w, s, i, FP_TK_FLOW);
		return true;
	case FLOW_P_ENDED:
		if (end_flow(w, &k->f))
			return false;
		fp_worker_drop(w, s, i, RTR_DROP_CT_CLOSED);
		return true;
	default:
		break;
	}
	if (__atomic_load_n(&k->f.cold->flags, __ATOMIC_RELAXED) & FLOW_COLD_GIVEN) {
		fp_worker_punt(w, s, i, FP_TK_FLOW);
		return true;
	}
	if (!(k->f.cold->flags & FLOW_COLD_TRACKED)) {
		/* A route of before there was a policy: the packet begins a connection, or none. */
		if (end_flow(w, &k->f))
			return false;
		fp_worker_punt(w, s, i, FP_TK_NO_FLOW);
		return true;
	}
	if (unlikely(fp_worker_parked(w, k->f.half[0].word0))) {
		fp_worker_park(w, s, i, p, k);
		return true;
	}
	/* The way first: a packet that waits for its neighbour is untouched, also by the tracker.
	 */
	if (!way_of(w, s, i, p, k, &a))
		return true;
	if (!tracked(w, s, i, p, k, &r, &again, &last))
		return !again;
	if (leaves(w, s, i, p, k, &a)) {
		account(w, k, p, r.touched);
		if (p->end - p->l3_off > a.mtu)
			fp_worker_cut(w, s, i, p, &a);
		else
			fp_worker_transmit(w, s, i, p, &a);
	}
	/* A port that was refused is free for the next try; the tracker has seen it in any case. */
	if (last)
		end_flow(w, &k->f);
	else if (r.promote)
		promote(w, s, k, &a);
	else if (flow_w0_path(k->f.word0) == FLOW_P_WORKER && fp_worker_out(w, a.port)->express_out)
		fp_worker_flow_again(w, k->f.fam, k->f.ref, s);
	return true;
}

/* --- first packets --- */

/* A verdict other than permit ends the packet here. */
static bool permitted(struct fp_worker *w, unsigned s, unsigned i, enum fp_pol_act act,
		      const struct fp_pol_state *st)
{
	switch (act) {
	case FP_POL_PERMIT:
		return true;
	case FP_POL_DROP:
		if (fp_pol_expects(w->pol))
			break;
		fp_pol_count(w->pol, w->conf.id, st, w->now_ns);
		fp_worker_drop(w, s, i, st->drop);
		return false;
	case FP_POL_KERNEL:
		break;
	}
	fp_worker_punt(w, s, i, FP_TK_POLICY);
	return false;
}

/* Where a first packet goes. */
struct first {
	uint32_t adj;
	struct fp_adj a;
	struct fp_wport *out;
	/* Not at once: it waits for its neighbour, or is answered. The flow begins and the packet
	 * goes by it: with the kernel, which would do either, all of the connection would stay,
	 * and it knows no mappings. */
	bool known;
};

static struct fp_wport *port_of(struct fp_worker *w, unsigned ifindex)
{
	for (unsigned k = 0; k < w->n_ports; k++)
		if (w->port[w->ports[k]].ifindex == ifindex)
			return &w->port[w->ports[k]];
	return NULL;
}

/* The way of a first packet, whose destination may be translated; false: the packet is gone. */
static bool first_way(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
		      const struct fp_pol_state *st, bool mapped, struct first *ret)
{
	enum fp_to_kernel why = FP_TK_ROUTE;
	struct fp_answer answer = { 0 };
	struct fp_ask ask;

	fp_worker_ask(w, s, w->burst.data[i], p, &ask);
	ask.dst = st->dst;
	ask.dport_be = st->dport_be;
	ask.translated = mapped;
	switch (w->conf.ops.route(w->conf.ops.ctx, &ask, &answer)) {
	case FP_WAY_DROP:
		fp_worker_drop(w, s, i, answer.drop);
		return false;
	case FP_WAY_NEIGH:
		why = FP_TK_NEIGH;
		break;
	case FP_WAY_ANSWER:
	case FP_WAY_KERNEL:
		break;
	case FP_WAY_SEND:
		ret->adj = answer.adj;
		if (!fp_worker_adj(w, answer.adj, &ret->a))
			why = FP_TK_NEIGH;
		else if (!fp_worker_out(w, ret->a.port) || ret->a.shaped)
			why = FP_TK_EGRESS;
		/* Two hosts of one link by their mappings: the kernel knows of none. */
		else if (fp_worker_out(w, ret->a.port)->slot == w->port[s].slot && !mapped)
			why = FP_TK_BACK;
		else if (p->end - p->l3_off > ret->a.mtu)
			why = FP_TK_MTU;
		else
			why = FP_TK__MAX;
		break;
	}
	ret->known = (why == FP_TK_NEIGH && (mapped || fp_worker_park_room(w))) ||
		     (why == FP_TK_MTU && mapped);
	ret->out = why == FP_TK_NEIGH ? port_of(w, answer.oif) : fp_worker_out(w, ret->a.port);
	if (why == FP_TK_NEIGH)
		ret->adj = 0;
	if (why == FP_TK__MAX || (ret->known && ret->out))
		return true;
	fp_worker_punt(w, s, i, why);
	return false;
}

/* Where the answers go, adjacency 0 if they cannot be forwarded now; false: only by the kernel, or
 * they would tell an address of inside. */
static bool way_back(struct fp_worker *w, const struct fp_pol_key *k, const struct fp_pol_state *st,
		     const struct fp_wport *out, uint32_t *ret)
{
	struct fp_ask ask = { .family = k->family,
			      .ifindex = out->ifindex,
			      .src = st->dst,
			      .dst = k->src,
			      .sport_be = st->dport_be,
			      .dport_be = k->sport_be,
			      .proto = k->proto,
			      .translated = k->mapped };
	struct fp_pol_key answers = { .family = k->family,
				      .proto = k->proto,
				      .past = true,
				      .sport_be = k->dport_be,
				      .dport_be = k->sport_be,
				      .ifindex = out->ifindex,
				      .vrf = out->vrf };
	struct fp_answer answer = { 0 };

	memcpy(answers.src, k->dst, sizeof(answers.src));
	memcpy(answers.dst, k->src, sizeof(answers.dst));

	switch (w->conf.ops.route(w->conf.ops.ctx, &ask, &answer)) {
	case FP_WAY_KERNEL:
		return false;
	case FP_WAY_SEND:
		*ret = answer.adj;
		break;
	default:
		*ret = 0;
		break;
	}
	return !answer.oif || answer.oif == k->ifindex ||
	       !fp_pol_leaks(w->pol, &answers, answer.oif);
}

/* 0 and what its packets become, or why the flow is not in the table. */
static int insert(struct fp_worker *w, unsigned s, const uint8_t *frame, const struct fp_pkt *p,
		  const struct fp_pol_key *k, const struct fp_pol_state *st,
		  const struct first *way, struct fp_known *ret, uint32_t *ret_back)
{
	enum flow_family fam = p->family == AF_INET ? FLOW_4 : FLOW_6;
	const uint8_t *ip = frame + p->l3_off;
	struct fp_flow_new f = { .time = w->pipe.now,
				 .policy = w->pipe.policy,
				 .rule = st->id[1] ?: st->id[0] ?: st->id[2] };
	struct fp_nat_ask ask = { .flows = w->conf.flows,
				  .fw = w->conf.fw,
				  .self = &w->stats.nat,
				  .fam = fam,
				  .st = st,
				  .zone_back = way->out->zone };
	uint32_t max = fp_pol_host_max(w->pol);
	struct tcp_track born = { 0 };
	uint64_t ref;
	int err;

	if (fam == FLOW_4)
		f.dir[0].key4 = fp_worker_key4(ip, p, w->port[s].zone);
	else
		f.dir[0].key6 = fp_worker_key6(ip, p, w->port[s].zone);
	f.dir[0].egress = flow_egress(way->adj, 0, 0);
	f.dir[0].count = way->known ? 0 : FLOW_COUNT_ONE((uint64_t)k->len);
	if (!way_back(w, k, st, way->out, ret_back))
		return -EPROTO;
	f.dir[1].egress = flow_egress(*ret_back, 0, 0);
	if (!fp_track_open(w->conf.track, frame, p, w->now_ns, &f, &born))
		return -EINVAL;
	f.flags |= k->mapped ? FLOW_COLD_MAPPED : 0;
	if (max && !fp_flow_quota_take(w->conf.flows, fam, k->src, max))
		return -EDQUOT;
	f.flags |= max ? FLOW_COLD_COUNTED : 0;
	err = fp_nat_insert(fp_pol_nat(w->pol), &ask, &f, &ref);
	if (err) {
		if (max)
			fp_flow_quota_give(w->conf.flows, fam, k->src);
		w->stats.refused++;
		return err;
	}
	w->stats.inserted++;
	fp_mapping_admitted(w->conf.flows, k, w->pipe.now);
	ret->f.fam = fam;
	ret->f.word0 = FLOW_W0(0, 0, f.dir[0].flags, 0);
	if (fam == FLOW_4)
		ret->rw4 = f.dir[0].rw4;
	else
		ret->rw6 = f.dir[0].rw6;
	fp_track_admit(w->conf.track, fam, ref, st->id);
	if (p->proto == IPPROTO_TCP)
		fp_track_born(w->conf.track, fam, ref, &born);
	else
		fp_worker_flow_express(w, fam, ref, s, (unsigned)(way->out - w->port));
	return 0;
}

/* False: the flow is there, and the packet goes by it: another worker was quicker, or struct first
 * says so. */
static bool begin(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p)
{
	const uint8_t *frame = w->burst.data[i];
	struct fp_pol_state st = { 0 };
	struct fp_known born = { 0 };
	struct first way = { 0 };
	uint32_t back = 0;
	struct fp_pol_key k;
	enum rtr_drop why;
	int err;

	fp_worker_pol_key(w, s, frame, p, &k);
	fp_mapping_behind(w->conf.flows, w->pol, &k);
	if (!permitted(w, s, i, fp_pol_in(w->pol, &k, &st), &st))
		return true;
	if (!first_way(w, s, i, p, &st, k.mapped, &way))
		return true;
	if (!permitted(w, s, i, fp_pol_out(w->pol, &k, way.out->ifindex, &st), &st))
		return true;
	err = insert(w, s, frame, p, &k, &st, &way, &born, &back);
	switch (err) {
	case 0:
		fp_pol_count(w->pol, w->conf.id, &st, w->now_ns);
		if (way.known)
			return false;
		break;
	case -EEXIST:
		return false;
	case -EADDRINUSE:
		fp_worker_drop(w, s, i, RTR_DROP_NAT_PORTS);
		return true;
	case -EDQUOT:
		fp_worker_drop(w, s, i, RTR_DROP_CT_HOST_LIMIT);
		return true;
	case -EUSERS: /* RFC 6888 REQ-11 */
	case -ENOBUFS:
		fp_worker_error(w, s, i, p, FP_ICMP_K_HOST, 0, st.dnat.kind != FP_XL_NONE);
		fp_worker_drop(w, s, i, err == -EUSERS ? RTR_DROP_NAT_QUOTA : RTR_DROP_NAT_PORTS);
		return true;
	case -EINVAL:
		fp_worker_punt(w, s, i, FP_TK_NO_FLOW);
		return true;
	case -EPROTO:
		fp_worker_punt(w, s, i, FP_TK_POLICY);
		return true;
	default:
		fp_worker_punt(w, s, i, FP_TK_FULL);
		return true;
	}
	clamp(w, s, w->burst.data[i], p, &way.a, back);
	why = rewrite(w->burst.data[i], p, &born);
	if (why) {
		fp_worker_drop(w, s, i, why);
		return true;
	}
	fp_worker_transmit(w, s, i, p, &way.a);
	return true;
}

/* What cannot begin a flow of ours: the kernel knows it, or judges it. */
static bool can_begin(const struct fp_pkt *p)
{
	return fp_worker_has_key(p) && (p->proto != IPPROTO_TCP ||
					(p->tcp_flags & (FP_TCP_SYN | FP_TCP_ACK)) == FP_TCP_SYN);
}

/* A first packet by a mapping, whose hop limit runs out here: the kernel, which answers others,
 * drops what is of no flow. False: it is not one. */
static bool expires(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p)
{
	struct fp_pol_state st = { 0 };
	struct fp_pol_key k;

	if (p->ttl > 1 || !can_begin(p))
		return false;
	fp_worker_pol_key(w, s, w->burst.data[i], p, &k);
	if (!fp_mapping_behind(w->conf.flows, w->pol, &k))
		return false;
	if (permitted(w, s, i, fp_pol_in(w->pol, &k, &st), &st)) {
		fp_worker_error(w, s, i, p, FP_ICMP_K_TTL, 0, true);
		fp_worker_drop(w, s, i, RTR_DROP_TTL_EXPIRED);
	}
	return true;
}

/* Neither has ports of its own: they go as a packet that is known does. */
static bool by_another(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p)
{
	if (p->flags & FP_F_FRAG) {
		fp_worker_fragment(w, s, i, p);
		return true;
	}
	return p->flags & FP_F_ICMP_ERR && fp_worker_quoted(w, s, i, p);
}

void fp_worker_tracked(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p,
		       bool known_only)
{
	if (by_another(w, s, i, p))
		return;
	/* A flow that ends, or that another worker begins, while we look: once more. */
	for (unsigned tries = 0; tries < 3; tries++) {
		struct fp_known k;

		if (fp_worker_find(w, s, w->burst.data[i], p, &k)) {
			if (fp_worker_known(w, s, i, p, &k))
				return;
			continue;
		}
		if ((known_only || !can_begin(p) || p->proto == IPPROTO_UDP) &&
		    find_elsewhere(w, s, w->burst.data[i], p, &k)) {
			if (!fp_worker_known(w, s, i, p, &k))
				fp_worker_drop(w, s, i, RTR_DROP_CT_CLOSED);
			return;
		}
		if (is_of_two_vrfs(w, s, w->burst.data[i], p)) {
			fp_worker_punt(w, s, i, FP_TK_VRF);
			return;
		}
		if (known_only || !can_begin(p)) {
			if (expires(w, s, i, p))
				return;
			fp_worker_punt(w, s, i, p->ttl <= 1 ? FP_TK_TTL : FP_TK_NO_FLOW);
			return;
		}
		if (begin(w, s, i, p))
			return;
	}
	/* Its answers would be another flow's. */
	fp_worker_drop(w, s, i, RTR_DROP_NAT_PORTS);
}
