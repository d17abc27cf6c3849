/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcp_sim.h"

#include "tests/lib/check_main.h"

static uint32_t rnd(struct sim *m, uint32_t n)
{
	return (uint32_t)((test_rand(&m->rng) >> 20) % n);
}

static void put(struct sim *m, unsigned leg, const struct tcp_seg *s)
{
	struct sim_leg *l = &m->leg[leg];

	for (unsigned n = 1 + (rnd(m, 100) < m->repeat); n; n--) {
		if (rnd(m, 100) < m->loss || l->len == SIM_LEG_LEN)
			continue;
		l->q[l->len++] = (struct sim_pkt){ *s, m->now };
	}
}

/* What end i advertises now; the right edge never moves left, whatever the rounding does. */
static uint16_t window(struct sim_end *e, bool syn)
{
	unsigned scale = syn ? 0 : e->scale;
	uint32_t want = MAX(e->consumed + e->buffer, e->edge), units;

	if (want < e->rcv_nxt)
		want = e->rcv_nxt;
	units = (want - e->rcv_nxt) >> scale;
	if (e->rcv_nxt + (units << scale) < e->edge)
		units++;
	units = MIN(units, 65535u);
	e->edge = MAX(e->edge, e->rcv_nxt + (units << scale));
	return (uint16_t)units;
}

static void emit(struct sim *m, unsigned i, uint32_t off, uint32_t len, uint8_t flags)
{
	struct sim_end *e = &m->e[i];
	bool syn = flags & SIM_SYN;
	struct tcp_seg s = { .seq = e->iss + off, .flags = flags };

	s.end = s.seq + len + syn + !!(flags & SIM_FIN);
	if (flags & SIM_ACK)
		s.ack = e->irs + e->rcv_nxt;
	s.sack = s.ack;
	s.win = window(e, syn);
	if (syn) {
		/* A SYN/ACK repeats an option only when the SYN had it (RFC 7323, RFC 2018). */
		bool answer = flags & SIM_ACK;

		s.wscale = e->scale;
		s.opts = e->scale && !(answer && !e->peer_scale) ? TCPT_F_WSCALE : 0;
		s.opts |= e->sack ? TCPT_F_SACK_PERM : 0;
		s.opts |= TCPT_OPT_ANY; /* MSS */
	} else if (e->sack && flags & SIM_ACK) {
		if (e->top > e->rcv_nxt)
			s.sack = e->irs + e->top;
	}
	put(m, i ? 2 : 0, &s);
}

static void send_ack(struct sim *m, unsigned i)
{
	emit(m, i, m->e[i].nxt, 0, SIM_ACK);
}

/* One data segment or FIN starting at off, within the peer's window. */
static void send_from(struct sim *m, unsigned i, uint32_t off)
{
	struct sim_end *e = &m->e[i];
	uint32_t last = e->to_send + 1; /* offset of the FIN */
	uint32_t room, len = 1 + rnd(m, 1460);
	uint8_t flags = SIM_ACK;

	if (off > last || off > e->peer_edge)
		return;
	room = MIN(e->peer_edge - off, last - off);
	len = MIN(room, len);
	if (off + len == last && off + len < e->peer_edge)
		flags |= SIM_FIN;
	if (!len && !(flags & SIM_FIN))
		return;
	emit(m, i, off, len, flags);
	e->nxt = MAX(e->nxt, off + len + !!(flags & SIM_FIN));
}

static void timer(struct sim *m, unsigned i)
{
	struct sim_end *e = &m->e[i];
	uint32_t backlog;

	switch (e->state) {
	case E_SYN_SENT:
		emit(m, i, 0, 0, SIM_SYN);
		break;
	case E_SYN_RCVD:
		emit(m, i, 0, 0, SIM_SYN | SIM_ACK);
		break;
	case E_OPEN:
		backlog = e->rcv_nxt - e->consumed + 1;
		e->consumed = e->rcv_nxt - rnd(m, MIN(backlog, 500u));
		if (e->una < e->nxt && rnd(m, 2))
			send_from(m, i, e->una);
		else if (e->nxt <= e->to_send + 1 && e->nxt < e->peer_edge)
			send_from(m, i, e->nxt);
		else if (rnd(m, 2))
			emit(m, i, e->nxt - 1, 0, SIM_ACK); /* keep-alive, window probe */
		else
			send_ack(m, i);
		break;
	default:
		break;
	}
}

static void die(struct sim *m, unsigned i, bool tell)
{
	if (tell)
		emit(m, i, m->e[i].nxt, 0, SIM_RST | SIM_ACK);
	m->e[i].state = E_DEAD;
}

/* RFC 9293 section 3.5.2: a segment for a connection that is not there. */
static void refuse(struct sim *m, unsigned i, const struct tcp_seg *s)
{
	struct tcp_seg r = { .flags = SIM_RST };

	if (s->flags & SIM_RST)
		return;
	if (s->flags & SIM_ACK) {
		r.seq = r.end = s->ack;
	} else {
		r.flags |= SIM_ACK;
		r.ack = r.sack = s->end;
	}
	put(m, i ? 2 : 0, &r);
}

static void take_syn(struct sim_end *e, const struct tcp_seg *s)
{
	e->irs = s->seq;
	e->rcv_nxt = 1;
	e->consumed = 1;
	e->got[0] = 1;
	e->peer_scale = s->opts & TCPT_F_WSCALE ? s->wscale : 0;
	e->peer_edge = e->una + s->win;
	if (!(s->opts & TCPT_F_WSCALE))
		e->scale = 0;
	if (!e->scale)
		e->peer_scale = 0;
	e->sack &= !!(s->opts & TCPT_F_SACK_PERM);
}

static void take_data(struct sim *m, unsigned i, const struct tcp_seg *s)
{
	struct sim_end *e = &m->e[i];
	uint32_t off = s->seq - e->irs, end = s->end - e->irs;
	bool fin = s->flags & SIM_FIN;

	if ((int32_t)off < 0)
		off = 0;
	for (uint32_t p = off; (int32_t)(end - fin - p) > 0 && p < e->edge; p++)
		e->got[p] = 1, e->top = MAX(e->top, p + 1);
	if (fin)
		e->fin_at = end - 1;
	while (e->got[e->rcv_nxt])
		e->rcv_nxt++;
	if (e->fin_at && e->rcv_nxt == e->fin_at) {
		e->got[e->rcv_nxt++] = 1;
		e->fin_got = true;
	}
}

static void receive(struct sim *m, unsigned i, const struct tcp_seg *s)
{
	struct sim_end *e = &m->e[i];
	uint32_t ack = s->ack - e->iss, off = s->seq - e->irs, end = s->end - e->irs;

	switch (e->state) {
	case E_CLOSED:
	case E_DEAD:
		refuse(m, i, s);
		return;
	case E_LISTEN:
		if (s->flags & SIM_RST)
			return;
		if (s->flags & SIM_ACK || !(s->flags & SIM_SYN)) {
			refuse(m, i, s);
			return;
		}
		take_syn(e, s);
		e->state = E_SYN_RCVD;
		e->nxt = 1;
		emit(m, i, 0, 0, SIM_SYN | SIM_ACK);
		return;
	case E_SYN_SENT:
		if (s->flags & SIM_ACK && ack != 1) {
			refuse(m, i, s);
			return;
		}
		if (s->flags & SIM_RST) {
			if (s->flags & SIM_ACK)
				e->state = E_DEAD;
			return;
		}
		if (!(s->flags & SIM_SYN))
			return;
		if (s->flags & SIM_ACK)
			e->una = 1;
		take_syn(e, s);
		e->state = s->flags & SIM_ACK ? E_OPEN : E_SYN_RCVD;
		if (e->state == E_OPEN)
			send_ack(m, i);
		else
			emit(m, i, 0, 0, SIM_SYN | SIM_ACK);
		return;
	default:
		break;
	}
	/* Synchronised: RFC 9293 section 3.10.7.4. */
	if ((int32_t)(off - e->edge) > 0 || (int32_t)(end - e->rcv_nxt) < 0) {
		if (!(s->flags & SIM_RST))
			send_ack(m, i);
		return;
	}
	if (s->flags & SIM_RST) {
		if (off == e->rcv_nxt)
			e->state = E_DEAD;
		else
			send_ack(m, i); /* RFC 5961 challenge */
		return;
	}
	if (s->flags & SIM_SYN && e->state == E_OPEN) {
		send_ack(m, i);
		return;
	}
	if (!(s->flags & SIM_ACK) || (int32_t)(ack - e->nxt) > 0)
		return;
	if (e->state == E_SYN_RCVD) {
		if (ack < 1)
			return;
		e->state = E_OPEN;
	}
	if ((int32_t)(ack - e->una) > 0)
		e->una = ack;
	if (!(s->flags & SIM_SYN))
		e->peer_edge = MAX(e->peer_edge, ack + ((uint32_t)s->win << e->peer_scale));
	if (end != off && !(s->flags & SIM_SYN)) {
		take_data(m, i, s);
		send_ack(m, i);
	}
}

void sim_init(struct sim *m, uint64_t seed, bool simultaneous, bool aborts)
{
	*m = (struct sim){ .rng = seed | 1, .simultaneous = simultaneous, .aborts = aborts };
	m->loss = rnd(m, 3) ? rnd(m, 20) : 0;
	m->repeat = rnd(m, 3) ? rnd(m, 15) : 0;
	for (unsigned i = 0; i < 2; i++) {
		struct sim_end *e = &m->e[i];

		e->iss = (uint32_t)test_rand(&m->rng);
		e->to_send = rnd(m, 4) ? rnd(m, SIM_MAX_BYTES) : 0;
		e->buffer = SIM_WINDOW_MIN + rnd(m, SIM_WINDOW_MAX);
		e->scale = (uint8_t)(rnd(m, 3) ? 1 + rnd(m, 9) : 0);
		e->sack = rnd(m, 3);
		e->nxt = 1;
		e->state = i == 0 || simultaneous ? E_SYN_SENT : E_LISTEN;
	}
	emit(m, 0, 0, 0, SIM_SYN);
	if (simultaneous)
		emit(m, 1, 0, 0, SIM_SYN);
}

void sim_forward(struct sim *m, const struct tcp_seg *s, unsigned dir)
{
	put(m, dir ? 3 : 1, s);
}

static bool end_done(const struct sim_end *e)
{
	return e->state == E_DEAD || (e->una == e->to_send + 2 && e->fin_got);
}

bool sim_done(const struct sim *m)
{
	return end_done(&m->e[0]) && end_done(&m->e[1]);
}

bool sim_step(struct sim *m, struct tcp_seg *ret, unsigned *ret_dir)
{
	unsigned what = rnd(m, 10), leg;
	struct sim_leg *l;
	struct sim_pkt p;

	m->now++;
	if (what < 2) {
		timer(m, what);
		return false;
	}
	if (m->aborts && rnd(m, 3000) == 0) {
		unsigned i = rnd(m, 2);

		if (m->e[i].state == E_OPEN)
			die(m, i, true);
	}
	leg = rnd(m, 4);
	l = &m->leg[leg];
	if (!l->len)
		return false;
	/* Mostly in order; sometimes any segment overtakes. */
	what = rnd(m, 5) ? 0 : rnd(m, l->len);
	p = l->q[what];
	l->len--;
	memmove(&l->q[what], &l->q[what + 1], (l->len - what) * sizeof(p));
	if (m->now - p.born > SIM_MAX_AGE)
		return false;
	if (leg == 1 || leg == 3) {
		receive(m, leg == 1, &p.s);
		return false;
	}
	*ret = p.s;
	*ret_dir = leg == 2;
	return true;
}
