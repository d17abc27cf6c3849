/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets that the pipeline left: one by one, with all that the parser knows. */
#include "worker_impl.h"

#include "csum.h"
#include "rewrite.h"
#include "wire.h"

/* --- checksums left to a NIC --- */

/* TCP or UDP right behind a header without options; the sum of its addresses. */
static bool l4_of(const uint8_t *d, uint32_t len, uint8_t *ret_proto, uint32_t *ret_off,
		  uint32_t *ret_len, uint64_t *ret_pseudo)
{
	const uint8_t *ip = d + FP_ETH_LEN;
	uint32_t total, hlen;

	if (len < FP_ETH_LEN + FP_IP4_LEN + 8)
		return false;
	if (fp_ld16(d + 12) == FP_ETH_IP4) {
		total = fp_ld16(ip + 2);
		hlen = FP_IP4_LEN;
		if (ip[0] != 0x45 || fp_ld16(ip + 6) & (FP_IP4_MF | FP_IP4_OFF_MASK))
			return false;
		*ret_proto = ip[9];
		*ret_pseudo = (uint64_t)fp_ld32_be(ip + 12) + fp_ld32_be(ip + 16);
	} else if (fp_ld16(d + 12) == FP_ETH_IP6 && len >= FP_ETH_LEN + FP_IP6_LEN + 8) {
		total = fp_ld16(ip + 4) + FP_IP6_LEN;
		hlen = FP_IP6_LEN;
		*ret_proto = ip[6];
		*ret_pseudo = fp_csum_add(ip + 8, 32, 0);
	} else {
		return false;
	}
	*ret_off = FP_ETH_LEN + hlen;
	*ret_len = total - hlen;
	return total >= hlen + (*ret_proto == IPPROTO_TCP ? 20 : 8) && total + FP_ETH_LEN <= len;
}

static void checksum(uint8_t *d, uint32_t len)
{
	uint32_t off, l4_len;
	struct fp_pkt p;
	uint64_t pseudo;
	uint8_t proto;
	uint16_t field;

	if (!l4_of(d, len, &proto, &off, &l4_len, &pseudo) ||
	    (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return;
	field = fp_ld16_be(d + off + (proto == IPPROTO_TCP ? FP_TCP_CSUM : FP_UDP_CSUM));
	if (field != fp_csum_fold(pseudo + htons((uint16_t)l4_len) + htons(proto)))
		return;
	if (fp_parse(d, len, &p) == FP_V_FORWARD)
		fp_csum_l4_fill(d, &p);
}

void fp_worker_checksums(struct fp_worker *w)
{
	for (unsigned i = 0; i < w->burst.n; i++)
		checksum(w->burst.data[i], w->burst.len[i]);
}

/* --- one packet --- */

void fp_worker_ask(const struct fp_worker *w, unsigned s, const uint8_t *frame,
		   const struct fp_pkt *p, struct fp_ask *ret)
{
	const uint8_t *ip = frame + p->l3_off;
	bool v6 = p->family == AF_INET6, ports = p->flags & FP_F_PORTS && !(p->flags & FP_F_FRAG);

	*ret = (struct fp_ask){ .family = p->family,
				.ifindex = w->port[s].ifindex,
				.src = ip + (v6 ? 8 : 12),
				.dst = ip + (v6 ? 24 : 16),
				.sport_be = ports ? p->sport_be : 0,
				.dport_be = ports ? p->dport_be : 0,
				.proto = p->proto };
}

bool fp_worker_adj(const struct fp_worker *w, uint32_t i, struct fp_adj *ret)
{
	return i && i < w->conf.n_adj && fp_adj_read(&w->conf.adj[i], ret);
}

void fp_worker_transmit(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p,
			const struct fp_adj *a)
{
	struct fp_buf b = { .data = w->burst.data[i],
			    .len = w->burst.len[i],
			    .headroom = FP_FRAME_HEADROOM };
	struct fp_l2 l2 = { .len = a->len };
	enum rtr_drop drop;

	b.tailroom = FP_FRAME_SIZE - (uint32_t)(w->addr[i] & (FP_FRAME_SIZE - 1)) - b.len;
	memcpy(l2.hdr, a->hdr, a->len);
	fp_ttl_dec(b.data, p);
	drop = fp_l2_apply(&b, p, &l2);
	if (drop) {
		fp_worker_drop(w, s, i, drop);
		return;
	}
	w->burst.data[i] = b.data;
	w->burst.len[i] = b.len;
	w->burst.port[i] = a->port;
	fp_worker_send(w, s, i);
}

static void to_kernel(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
		      enum fp_to_kernel why, bool whole_flow)
{
	/* What follows goes there by XDP; not for the want of a neighbour, which comes. */
	if (whole_flow)
		fp_worker_flow_new(w, s, w->burst.data[i], p, 0, true);
	fp_worker_punt(w, s, i, why);
}

static void route(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p)
{
	const uint8_t *frame = w->burst.data[i];
	struct fp_answer answer = { 0 };
	struct fp_wport *out;
	struct fp_ask ask;
	struct fp_adj a;
	uint8_t path;
	bool known;

	fp_worker_ask(w, s, frame, p, &ask);
	switch (w->conf.ops.route(w->conf.ops.ctx, &ask, &answer)) {
	case FP_WAY_DROP:
		fp_worker_drop(w, s, i, answer.drop);
		return;
	case FP_WAY_NEIGH:
		to_kernel(w, s, i, p, FP_TK_NEIGH, false);
		return;
	case FP_WAY_ANSWER:
		to_kernel(w, s, i, p, FP_TK_ROUTE, false);
		return;
	case FP_WAY_KERNEL:
		to_kernel(w, s, i, p, FP_TK_ROUTE, true);
		return;
	case FP_WAY_SEND:
		break;
	}
	if (!fp_worker_adj(w, answer.adj, &a)) {
		to_kernel(w, s, i, p, FP_TK_NEIGH, false);
		return;
	}
	out = fp_worker_out(w, a.port);
	if (!out || out->slot == w->port[s].slot || a.shaped) {
		to_kernel(w, s, i, p, out && !a.shaped ? FP_TK_BACK : FP_TK_EGRESS, true);
		return;
	}
	known = fp_worker_flow_fix(w, s, i, p, answer.adj, &path);
	if (known && path == FLOW_P_KERNEL) {
		to_kernel(w, s, i, p, FP_TK_FLOW, false);
		return;
	}
	if (p->end - p->l3_off > a.mtu) {
		to_kernel(w, s, i, p, FP_TK_MTU, false);
		return;
	}
	if (!known)
		fp_worker_flow_new(w, s, frame, p, answer.adj, false);
	fp_worker_transmit(w, s, i, p, &a);
}

/* Headers that the kernel reads, and we may pass over when the flow is ours. */
static bool passable(const struct fp_pkt *p)
{
	return p->verdict == FP_V_KERNEL && p->ttl > 1 &&
	       (p->punt == FP_PUNT_IP4_OPTIONS || p->punt == FP_PUNT_IP6_HBH);
}

void fp_worker_slow(struct fp_worker *w, unsigned s, unsigned i)
{
	enum fp_verdict v;
	struct fp_pkt p;

	v = fp_classify(w->burst.data[i], w->burst.len[i], &p);
	if (w->pol && p.l3_off == FP_ETH_LEN &&
	    (v == FP_V_FORWARD || v == FP_V_EXPIRED || passable(&p))) {
		fp_worker_tracked(w, s, i, &p, v != FP_V_FORWARD);
		return;
	}
	switch (v) {
	case FP_V_FORWARD:
		if (p.l3_off != FP_ETH_LEN)
			break;
		route(w, s, i, &p);
		return;
	case FP_V_EXPIRED:
		fp_worker_punt(w, s, i, FP_TK_TTL);
		return;
	default:
		/* The parser is stricter than a router without policy: the kernel judges. */
		break;
	}
	fp_worker_punt(w, s, i, FP_TK_PARSE);
}
