/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMP errors about packets of flows that the kernel does not know: those that we owe their
 * senders, and those of others, which go back the way that the quoted packet came, translated as it
 * was.
 */
#include "worker_impl.h"

#include "icmp_quote.h"
#include "wire.h"

/* --- ours --- */

/* Where it leaves. Where no neighbour of the fast plane is known on its way: back to the station
 * that the packet came from, which knows one to the sender as a rule. */
static void error_link(struct fp_worker *w, unsigned s, const uint8_t *frame, uint32_t adj,
		       struct fp_adj *ret)
{
	if (fp_worker_adj(w, adj, ret) && fp_worker_out(w, ret->port) && !ret->shaped)
		return;
	*ret = (struct fp_adj){ .len = FP_ETH_LEN, .port = w->port[s].slot };
	memcpy(ret->hdr, frame + 6, 6);
	memcpy(ret->hdr + 6, frame, 6);
	if (!w->port[s].vlan)
		return;
	ret->len += FP_TAG_LEN;
	fp_st16(ret->hdr + 12, FP_ETH_VLAN);
	fp_st16(ret->hdr + 14, w->port[s].vlan);
}

static uint32_t build(const uint8_t *frame, const struct fp_pkt *p, const struct fp_icmp_req *req,
		      const struct fp_adj *a, uint8_t *out)
{
	uint32_t len = fp_icmp_err_build(out + a->len, FP_FRAME_DATA_MAX - a->len, frame, p, req);

	if (!len)
		return 0;
	memcpy(out, a->hdr, a->len - 2u);
	fp_st16(out + a->len - 2, p->family == AF_INET ? FP_ETH_IP4 : FP_ETH_IP6);
	return len + a->len;
}

void fp_worker_error(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
		     enum fp_icmp_kind kind, uint32_t arg, bool translated)
{
	const uint8_t *frame = w->burst.data[i];
	struct fp_error_way way = { 0 };
	struct fp_icmp_req req = { .kind = kind, .arg = arg, .id = w->ip_id++, .src = way.src };
	struct fp_ask ask;
	struct fp_adj a;
	uint64_t addr;
	uint8_t *out;
	uint32_t len;

	fp_worker_ask(w, s, frame, p, &ask);
	/* The limit first: a flood shall not cost a look at rules and routes a packet. */
	if (!fp_icmp_err_allowed(frame, p, kind) || !w->conf.ops.error_way ||
	    !fp_icmp_rl_take(&w->errors, kind, frame, p, w->now_ns) ||
	    !w->conf.ops.error_way(w->conf.ops.ctx, &ask, &way))
		return;
	/* The sender knows of no other box than the address that it has sent to. */
	if (translated)
		req.src = ask.dst;
	error_link(w, s, frame, way.adj, &a);
	req.mtu = a.mtu;
	addr = fp_worker_make(w, &out);
	if (addr == FP_NO_FRAME) {
		w->stats.errors_lost++;
		return;
	}
	len = build(frame, p, &req, &a, out);
	if (!len)
		fp_umem_give(&w->umem, addr, FP_FRAME_WORK);
	else if (!fp_worker_emit(w, a.port, addr, len))
		w->stats.errors_lost++;
}

/* --- others' --- */

/* The flow's direction that answers the quoted packet: where that one had gone, its answers come
 * from. */
static bool find4(const struct fp_worker *w, const struct fp_tuple4 *q, uint16_t zone,
		  struct fp_known *ret)
{
	struct flow_key4 k = { .saddr = q->dst_be,
			       .daddr = q->src_be,
			       .sport = q->dport_be,
			       .dport = q->sport_be,
			       .proto = q->proto,
			       .zone = zone };

	return fp_worker_find4(w, &k, ret);
}

static bool find6(const struct fp_worker *w, const struct fp_tuple6 *q, uint16_t zone,
		  struct fp_known *ret)
{
	struct flow_key6 k = {
		.sport = q->dport_be, .dport = q->sport_be, .proto = q->proto, .zone = zone
	};

	memcpy(k.saddr, q->dst, 16);
	memcpy(k.daddr, q->src, 16);
	return fp_worker_find6(w, &k, ret);
}

/* Errors may come by another interface than the flow's packets, but by none of another VRF. */
static bool find_any(const struct fp_worker *w, unsigned s, const uint8_t *frame,
		     const struct fp_quote *q, struct fp_known *ret)
{
	struct fp_tuple4 t4;
	struct fp_tuple6 t6;
	bool v4 = q->family == AF_INET;

	if (v4)
		fp_quote_tuple4(frame, q, &t4);
	else
		fp_quote_tuple6(frame, q, &t6);
	if (v4 ? find4(w, &t4, w->port[s].zone, ret) : find6(w, &t6, w->port[s].zone, ret))
		return true;
	for (unsigned k = 0; k < w->n_ports; k++) {
		const struct fp_wport *o = &w->port[w->ports[k]];

		if (o->vrf == w->port[s].vrf &&
		    (v4 ? find4(w, &t4, o->zone, ret) : find6(w, &t6, o->zone, ret)))
			return true;
	}
	return false;
}

/* The quoted packet as its sender made it. Where answers get another source (the server is behind
 * an address of ours), the error gets it too: who sent it is nobody's business. */
static void translate(uint8_t *frame, const struct fp_pkt *p, const struct fp_quote *q,
		      const struct fp_known *k)
{
	uint8_t *ip = frame + p->l3_off;

	if (k->f.fam == FLOW_4) {
		struct fp_tuple4 was, now = { .src_be = k->rw4.daddr,
					      .dst_be = k->rw4.saddr,
					      .sport_be = k->rw4.dport,
					      .dport_be = k->rw4.sport,
					      .proto = q->proto };

		fp_quote_tuple4(frame, q, &was);
		fp_quote_nat4(frame, p, q, &now,
			      was.dst_be != now.dst_be ? now.dst_be : fp_ld32_be(ip + 12),
			      now.src_be);
		return;
	}
	struct fp_tuple6 was,
		now = { .sport_be = k->rw6.dport, .dport_be = k->rw6.sport, .proto = q->proto };
	uint8_t src[16];

	memcpy(now.src, k->rw6.daddr, 16);
	memcpy(now.dst, k->rw6.saddr, 16);
	fp_quote_tuple6(frame, q, &was);
	memcpy(src, memcmp(was.dst, now.dst, 16) ? now.dst : ip + 8, 16);
	fp_quote_nat6(frame, p, q, &now, src, now.src);
}

/* Who is told sent the quoted packet: any other would be a way past the policy. */
static bool to_sender(const uint8_t *frame, const struct fp_pkt *p, const struct fp_quote *q)
{
	const uint8_t *ip = frame + p->l3_off;
	struct fp_tuple4 t4;
	struct fp_tuple6 t6;

	if (q->family == AF_INET) {
		fp_quote_tuple4(frame, q, &t4);
		return t4.src_be == fp_ld32_be(ip + 16);
	}
	fp_quote_tuple6(frame, q, &t6);
	return !memcmp(t6.src, ip + 24, 16);
}

/* Source tests of the error as it came, on its way to whom it will be for. */
static enum fp_pol_act source_test(const struct fp_worker *w, unsigned s, const uint8_t *frame,
				   const struct fp_pkt *p, const struct fp_known *k,
				   uint8_t *ret_drop)
{
	struct fp_answer answer = { 0 };
	struct fp_pol_key key;
	enum fp_pol_act act;
	struct fp_ask ask;

	fp_worker_pol_key(w, s, frame, p, &key);
	act = fp_pol_source(w->pol, &key, ret_drop);
	if (act != FP_POL_PERMIT)
		return act;
	fp_worker_ask(w, s, frame, p, &ask);
	if (flow_w0_flags(k->f.word0) & FLOW_F_REWRITE)
		ask.dst = k->f.fam == FLOW_4 ? (const uint8_t *)&k->rw4.daddr : k->rw6.daddr;
	if (w->conf.ops.route(w->conf.ops.ctx, &ask, &answer) != FP_WAY_DROP)
		return FP_POL_PERMIT;
	*ret_drop = answer.drop;
	return FP_POL_DROP;
}

/* May the error go on? Else it is gone. */
static bool admitted(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
		     const struct fp_quote *q, const struct fp_known *k)
{
	const uint8_t *frame = w->burst.data[i];
	uint8_t drop = RTR_DROP_URPF;

	if (!to_sender(frame, p, q)) {
		fp_worker_drop(w, s, i, RTR_DROP_CT_INVALID);
		return false;
	}
	switch (source_test(w, s, frame, p, k, &drop)) {
	case FP_POL_PERMIT:
		break;
	case FP_POL_KERNEL:
		/* It can only if it knows the flow. */
		if (flow_w0_flags(k->f.word0) & FLOW_F_MIRRORED) {
			fp_worker_punt(w, s, i, FP_TK_POLICY);
			return false;
		}
		/* fall through */
	case FP_POL_DROP:
		fp_worker_drop(w, s, i, drop);
		return false;
	}
	if (p->ttl > 1)
		return true;
	fp_worker_drop(w, s, i, RTR_DROP_TTL_EXPIRED);
	return false;
}

bool fp_worker_quoted(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p)
{
	uint8_t *frame = w->burst.data[i];
	struct fp_known k;
	struct fp_quote q;
	struct fp_adj a;
	uint8_t path;

	if (fp_quote_parse(frame, p, &q) || !q.ports || !find_any(w, s, frame, &q, &k))
		return false;
	path = flow_w0_path(k.f.word0);
	if (path == FLOW_P_KERNEL || path == FLOW_P_ENDED ||
	    !(k.f.cold->flags & FLOW_COLD_TRACKED) || k.f.cold->flags & FLOW_COLD_GIVEN)
		return false;
	if (!admitted(w, s, i, p, &q, &k))
		return true;
	/* It goes where the answers go. */
	if (!fp_worker_adj(
		    w, __atomic_load_n(k.f.half[0].egress, __ATOMIC_RELAXED) & FLOW_EGRESS_ADJ_MASK,
		    &a)) {
		fp_worker_drop(w, s, i, RTR_DROP_NEIGH_NONE);
		return true;
	}
	if (p->end - p->l3_off > a.mtu) {
		fp_worker_drop(w, s, i, p->family == AF_INET ? RTR_DROP_MTU_DF : RTR_DROP_MTU_IP6);
		return true;
	}
	if (flow_w0_flags(k.f.word0) & FLOW_F_REWRITE)
		translate(frame, p, &q, &k);
	fp_worker_transmit(w, s, i, p, &a);
	return true;
}
