/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: may a TCP segment pass by its flow's lines alone, and what does it change there?
 * tcp_track.h has the rules. Part of express.bpf.c.
 * Owns: nothing. Threads, failure: as there.
 */
#ifndef RTR_EXPRESS_TCP_H
#define RTR_EXPRESS_TCP_H

#include "express_lane.h"

enum tcp_verdict {
	TCP_PASS,
	TCP_THINK,  /* the tracker has to see it */
	TCP_WINDOW, /* the same, and it is outside the window */
};

struct segment {
	uint32_t seq, end, ack, win; /* host order */
};

static __always_inline struct tcp_express express_of(const struct flow_tcp *t, uint32_t egress)
{
	return (struct tcp_express){
		.end = LOAD(t->end),
		.edge = LOAD(t->edge),
		.scale = egress >> FLOW_EGRESS_SCALE_SHIFT,
		.win_log2 = egress >> FLOW_EGRESS_WLOG_SHIFT & 31,
	};
}

/* By the copy of the twin's window. */
static __always_inline bool tcp_inside(const struct hit *h, uint32_t egress,
				       const struct segment *s)
{
	struct tcp_express own = express_of(h->tcp, egress), twin = express_of(&h->side->peer, 0);

	twin.win_log2 = LOAD(h->side->name) >> FLOW_SIDE_WLOG_SHIFT;
	return tcp_express_ok(&own, &twin, s->seq, s->end, s->ack, s->win);
}

/* Renews that copy; false: it was as the twin is. Two CPUs may leave either's, both were true. */
static __always_inline bool tcp_ask_twin(const struct hit *h)
{
	uint32_t place = LOAD(h->side->twin);
	const struct flow_tcp *twin = h->v6 ? tcp6(place) : tcp4(place);
	uint64_t now;

	if (!twin)
		return false;
	now = LOAD(*(const flow_word *)twin);
	if (LOAD(*(const flow_word *)&h->side->peer) == now)
		return false;
	*(volatile flow_word *)&h->side->peer = now;
	return true;
}

/* A plain ACK or data segment of an established connection inside its window. */
static __always_inline enum tcp_verdict tcp_judge(const struct pkt *p, const struct hit *h,
						  uint32_t egress, struct segment *ret)
{
	const struct tcphdr *th = (void *)p->l4;
	uint32_t hlen;
	struct hit k;

	if ((void *)(th + 1) > p->end || !h->side)
		return TCP_THINK;
	hlen = th->doff * 4u;
	if (hlen < sizeof(*th) || hlen > p->l4_len)
		return TCP_THINK;
	if (th->syn || th->fin || th->rst || th->urg || !th->ack ||
	    flow_w0_state(h->w0) >> FLOW_TRACK_SHIFT != TCPT_S_ESTABLISHED)
		return TCP_THINK;
	/* Options: none, or NOP NOP timestamp. */
	if (hlen != sizeof(*th)) {
		const uint32_t *opt = (const void *)(th + 1);

		if (hlen != 32 || (void *)(opt + 3) > p->end || *opt != bpf_htonl(0x0101080a))
			return TCP_THINK;
	}
	ret->seq = bpf_ntohl(th->seq);
	ret->end = ret->seq + p->l4_len - hlen;
	ret->ack = bpf_ntohl(th->ack_seq);
	ret->win = bpf_ntohs(th->window);
	if (flow_w0_flags(h->w0) & FLOW_F_LIBERAL)
		return TCP_PASS;
	k = *h;
#ifdef EXPRESS_TAGGED
	/* That it was looked at above, kernel 6.1 does not see in this program. */
	asm volatile("" : "+r"(k.side));
	if (!k.side)
		return TCP_THINK;
#endif
	if (tcp_inside(&k, egress, ret) || (tcp_ask_twin(&k) && tcp_inside(&k, egress, ret)))
		return TCP_PASS;
	return TCP_WINDOW;
}

/* Written only when changed: other CPUs keep their copies of the line. */
static __always_inline void tcp_advance(const struct hit *h, uint32_t egress,
					const struct segment *s)
{
	struct tcp_express was = express_of(h->tcp, egress), e = was;

	tcp_express_advance(&e, s->end, s->ack, s->win);
	if (e.end != was.end)
		*(volatile uint32_t *)&h->tcp->end = e.end;
	if (e.edge != was.edge)
		*(volatile uint32_t *)&h->tcp->edge = e.edge;
}

/* What the tracker would have wanted to see, for the worker that comes. */
static __always_inline void tcp_note(const struct pkt *p, const struct hit *h, enum tcp_verdict v)
{
	const struct tcphdr *th = (void *)p->l4;
	uint64_t flags = v == TCP_WINDOW ? FLOW_F_WINDOW : 0;

	if ((void *)(th + 1) <= p->end) {
		flags |= th->fin ? FLOW_F_FIN : 0;
		flags |= th->rst ? FLOW_F_RST : 0;
	}
	if (flags & ~(uint64_t)flow_w0_flags(h->w0))
		__sync_fetch_and_or(h->word0, flags << FLOW_W0_FLAGS_SHIFT);
}

#endif
