/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What would become of a packet: as XDP and a worker decide, in their order. */
#include "box.h"
#include "nat_mapping.h"
#include "nat_way.h"

#include <netinet/in.h>
#include <sys/socket.h>

static void leave(struct fastpath_traced *t, const char *reason)
{
	t->verdict = FASTPATH_LEAVES;
	rtr_strlcpy(t->reason, reason, sizeof(t->reason));
}

static void drop(struct fastpath_traced *t, uint8_t reason)
{
	t->verdict = FASTPATH_DROPS;
	t->drop = reason;
}

/* ---- a connection that is there ---- */

static bool find4(const struct fp_box *b, const struct fastpath_packet *p, uint16_t zone,
		  uint32_t *ret_name, struct fastpath_traced *t)
{
	struct flow_key4 k = {
		.sport = p->sport_be, .dport = p->dport_be, .proto = p->proto, .zone = zone
	};
	struct flow_hit4 h;

	memcpy(&k.saddr, p->src, 4);
	memcpy(&k.daddr, p->dst, 4);
	if (fp_flow_find4(b->flows, &k, &h) != FLOW_HIT)
		return false;
	*ret_name = h.line;
	if (!(flow_w0_flags(h.word0) & FLOW_F_REWRITE))
		return true;
	memcpy(t->to_src, &h.rw.saddr, 4);
	memcpy(t->to_dst, &h.rw.daddr, 4);
	t->to_sport_be = h.rw.sport;
	t->to_dport_be = h.rw.dport;
	return true;
}

static bool find6(const struct fp_box *b, const struct fastpath_packet *p, uint16_t zone,
		  uint32_t *ret_name, struct fastpath_traced *t)
{
	struct flow_key6 k = {
		.sport = p->sport_be, .dport = p->dport_be, .proto = p->proto, .zone = zone
	};
	struct flow_hit6 h;

	memcpy(k.saddr, p->src, 16);
	memcpy(k.daddr, p->dst, 16);
	if (fp_flow_find6(b->flows, &k, &h) != FLOW_HIT)
		return false;
	*ret_name = h.line;
	if (!(flow_w0_flags(h.word0) & FLOW_F_REWRITE))
		return true;
	memcpy(t->to_src, h.rw.saddr, 16);
	memcpy(t->to_dst, h.rw.daddr, 16);
	t->to_sport_be = h.rw.sport;
	t->to_dport_be = h.rw.dport;
	return true;
}

/* True: the answer is there. */
static bool known(struct fp_box *b, const struct fastpath_packet *p, uint16_t zone,
		  struct fastpath_traced *t)
{
	enum flow_family fam = p->family == 6 ? FLOW_6 : FLOW_4;
	struct fp_flow_view v;
	uint32_t name, adj;

	if (!(fam == FLOW_4 ? find4(b, p, zone, &name, t) : find6(b, p, zone, &name, t)) ||
	    !fp_flow_view(b->flows, fam, name >> 1, &v))
		return false;
	switch (flow_w0_path(v.dir[name & 1].word0)) {
	case FLOW_P_KERNEL:
		leave(t, "its flow is the kernel's");
		return true;
	case FLOW_P_WORKER:
	case FLOW_P_EXPRESS:
		break;
	default:
		return false;
	}
	t->known = !!(v.flags & FLOW_COLD_TRACKED);
	if (t->known)
		fp_box_tell_conn(b, &v, &t->conn);
	adj = v.dir[name & 1].egress & FLOW_EGRESS_ADJ_MASK;
	if (!adj || adj >= FP_ADJ_MAX) {
		leave(t, "its way is not plain");
		return true;
	}
	t->out = (int32_t)b->port[fp_xdp_adjs(b->xdp)[adj].port % FP_PORTS_MAX].ifindex;
	return true;
}

/* ---- the first packet ---- */

static bool route(const struct fp_box *b, const struct fastpath_packet *p, unsigned ifindex,
		  const struct fp_pol_state *st, bool tracked, struct fastpath_traced *t)
{
	static const char *const texts[] = {
		[FP_WAY_KERNEL] = "local, or by an interface of the kernel's",
		[FP_WAY_ANSWER] = "no plain route",
		[FP_WAY_NEIGH] = "its neighbour is not known yet",
	};
	struct fp_ask ask = { .family = p->family == 6 ? AF_INET6 : AF_INET,
			      .ifindex = ifindex,
			      .src = p->src,
			      .dst = st->dst,
			      .sport_be = p->sport_be,
			      .dport_be = st->dport_be,
			      .proto = p->proto,
			      .translated = t->mapped };
	struct fp_answer answer = { 0 };
	enum fp_way way = fp_way_find(&b->way, &ask, &answer);

	if (way == FP_WAY_DROP) {
		drop(t, answer.drop);
		return false;
	}
	/* A connection waits for its neighbour here. */
	if (way != FP_WAY_SEND && !(way == FP_WAY_NEIGH && tracked)) {
		leave(t, texts[way]);
		return false;
	}
	t->out = (int32_t)answer.oif;
	if (answer.oif == ifindex && !t->mapped)
		leave(t, "out of the interface that it came in by");
	return answer.oif != ifindex || t->mapped;
}

/* The policy's word; true: it goes on. */
static bool permitted(struct fastpath_traced *t, enum fp_pol_act act, const struct fp_pol_state *st)
{
	if (act == FP_POL_DROP)
		drop(t, st->drop);
	if (act == FP_POL_KERNEL)
		leave(t, "the policy leaves its flow to the kernel");
	return act == FP_POL_PERMIT;
}

static void translated(const struct fp_pol *pol, const struct fp_pol_state *st,
		       struct fastpath_traced *t)
{
	const struct fp_pol_pool *pools;
	struct nat_ports ports;

	memcpy(t->to_dst, st->dst, sizeof(t->to_dst));
	t->to_dport_be = st->dport_be;
	if (st->snat.kind == FP_XL_POOL && st->snat.pool < fp_pol_pools(pol, &pools)) {
		t->shared = true;
		memcpy(t->to_src, pools[st->snat.pool].lo, sizeof(t->to_src));
		memcpy(t->pool_last, pools[st->snat.pool].hi, sizeof(t->pool_last));
		/* A deterministic one has one address for the source. */
		if (!fp_nat_share(fp_pol_nat(pol), st->snat.pool, st->snat.host, t->to_src, &ports))
			memcpy(t->pool_last, t->to_src, sizeof(t->pool_last));
	}
	if (st->snat.kind != FP_XL_EXACT)
		return;
	memcpy(t->to_src, st->snat.addr, sizeof(t->to_src));
	if (st->snat.port_be)
		t->to_sport_be = st->snat.port_be;
}

static void first(struct fp_box *b, const struct fastpath_packet *p, const struct fp_box_port *in,
		  struct fastpath_traced *t)
{
	const struct fp_pol *pol = b->pol.now;
	struct fp_pol_key k = { .family = p->family == 6 ? AF_INET6 : AF_INET,
				.proto = p->proto,
				.tcp_flags = p->tcp_flags,
				.dscp = p->dscp,
				.ttl = p->ttl,
				.len = p->len,
				.sport_be = p->sport_be,
				.dport_be = p->dport_be,
				.ifindex = in->ifindex,
				.vrf = in->vrf };
	struct fp_pol_state st = { .dport_be = p->dport_be };

	memcpy(k.src, p->src, sizeof(k.src));
	memcpy(k.dst, p->dst, sizeof(k.dst));
	memcpy(st.dst, p->dst, sizeof(st.dst));
	if (pol && !fp_pol_stateful(pol))
		pol = NULL;
	if (pol && p->proto == IPPROTO_TCP && (p->tcp_flags & 0x17) != 0x02) {
		leave(t, "of no known flow, and cannot begin one");
		return;
	}
	t->mapped = pol && fp_mapping_behind(b->flows, pol, &k);
	if (pol && !permitted(t, fp_pol_in(pol, &k, &st), &st))
		return;
	if (!route(b, p, in->ifindex, &st, pol, t))
		return;
	if (pol && !permitted(t, fp_pol_out(pol, &k, (unsigned)t->out, &st), &st))
		return;
	translated(pol, &st, t);
}

void fp_box_trace(struct fp_box *b, const struct fastpath_req *q, struct fastpath_event *ret)
{
	const struct fastpath_packet *p = &q->u.packet;
	struct fastpath_traced *t = &ret->u.traced;
	unsigned slot = 0;

	*ret = (struct fastpath_event){ .kind = FASTPATH_TRACED };
	t->to_sport_be = p->sport_be;
	t->to_dport_be = p->dport_be;
	memcpy(t->to_src, p->src, sizeof(t->to_src));
	memcpy(t->to_dst, p->dst, sizeof(t->to_dst));
	while (slot < FP_PORTS_MAX && b->port[slot].ifindex != (unsigned)q->ifindex)
		slot++;
	if (slot == FP_PORTS_MAX || !b->port[slot].fast)
		leave(t, "the interface is on the kernel plane");
	else if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		leave(t, "neither TCP nor UDP");
	else if (!known(b, p, (uint16_t)slot, t))
		first(b, p, &b->port[slot], t);
}
