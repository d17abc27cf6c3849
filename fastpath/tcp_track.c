/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcp_track.h"

#include <arpa/inet.h>
#include <string.h>

enum { TH_FIN = 1, TH_SYN = 2, TH_RST = 4, TH_PUSH = 8, TH_ACK = 16, TH_URG = 32 };

/* What kind of segment it is, by the flag that matters most. */
enum tcp_kind { K_SYN, K_SYNACK, K_FIN, K_ACK, K_RST, K_NONE, K__MAX };

/* Of last_flags, beside TCPT_F_WSCALE and TCPT_F_SACK_PERM of a remembered SYN. */
enum { LAST_CHALLENGE = 64, LAST_SIMULTANEOUS = 128 };

/*
 * The least that IV must let pass (the kernel's MAXACKWINCONST): a full unscaled window and a
 * little more, for windows that grew before we saw them.
 */
#define MAX_ACK_WINDOW 66000u

/* A refused FIN or RST shortens only timeouts that are longer than this. */
#define SHORTEN_ABOVE_SEC 120u

const struct tcp_track_conf tcp_track_defaults = TCP_TRACK_DEFAULTS;

/*
 * Next state by direction, kind and state. IG: the segment passes and changes nothing, because
 * either we or the sender are out of step and the receiver's answer will tell. IV: impossible.
 */
enum { IV = TCPT_S__MAX, IG };
#define NO TCPT_S_NONE
#define SS TCPT_S_SYN_SENT
#define SR TCPT_S_SYN_RECV
#define ES TCPT_S_ESTABLISHED
#define FW TCPT_S_FIN_WAIT
#define CW TCPT_S_CLOSE_WAIT
#define LA TCPT_S_LAST_ACK
#define TW TCPT_S_TIME_WAIT
#define CL TCPT_S_CLOSE
#define S2 TCPT_S_SYN_SENT2
static const uint8_t next_state[2][K__MAX][TCPT_S__MAX] = {
	{
		/* NO  SS  SR  ES  FW  CW  LA  TW  CL  S2   from the opener */
		[K_SYN] = { SS, SS, IG, IG, IG, IG, IG, SS, SS, S2 },
		[K_SYNACK] = { IV, IV, SR, IV, IV, IV, IV, IV, IV, SR },
		[K_FIN] = { IV, IV, FW, FW, LA, LA, LA, TW, CL, IV },
		[K_ACK] = { ES, IV, ES, ES, CW, CW, TW, TW, CL, IV },
		[K_RST] = { IV, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		[K_NONE] = { IV, IV, IV, IV, IV, IV, IV, IV, IV, IV },
	},
	{
		/* NO  SS  SR  ES  FW  CW  LA  TW  CL  S2   from the other end */
		[K_SYN] = { IV, S2, IV, IV, IV, IV, IV, SS, IV, S2 },
		[K_SYNACK] = { IV, SR, IG, IG, IG, IG, IG, IG, IG, SR },
		[K_FIN] = { IV, IV, FW, FW, LA, LA, LA, TW, CL, IV },
		[K_ACK] = { IV, IG, SR, ES, CW, CW, TW, TW, CL, IG },
		[K_RST] = { IV, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		[K_NONE] = { IV, IV, IV, IV, IV, IV, IV, IV, IV, IV },
	},
};
#undef NO
#undef SS
#undef SR
#undef ES
#undef FW
#undef CW
#undef LA
#undef TW
#undef CL
#undef S2

static inline bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool after(uint32_t a, uint32_t b)
{
	return before(b, a);
}

static inline uint32_t rd32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

static enum tcp_kind kind_of(uint8_t flags)
{
	if (flags & TH_RST)
		return K_RST;
	if (flags & TH_SYN)
		return flags & TH_ACK ? K_SYNACK : K_SYN;
	if (flags & TH_FIN)
		return K_FIN;
	return flags & TH_ACK ? K_ACK : K_NONE;
}

/* PSH and the ECN bits go with everything; of the others only these sets are sent by any TCP. */
static bool flags_valid(uint8_t flags)
{
	switch (flags & (TH_FIN | TH_SYN | TH_RST | TH_ACK | TH_URG)) {
	case TH_SYN:
	case TH_SYN | TH_URG:
	case TH_SYN | TH_ACK:
	case TH_RST:
	case TH_RST | TH_ACK:
	case TH_FIN | TH_ACK:
	case TH_FIN | TH_ACK | TH_URG:
	case TH_ACK:
	case TH_ACK | TH_URG:
		return true;
	default:
		return false;
	}
}

/* ----- options ----- */

enum { OPT_EOL, OPT_NOP, OPT_WSCALE = 3, OPT_SACK_PERM, OPT_SACK };
#define OPT_TIMESTAMP_ONLY 0x0101080au /* NOP NOP timestamp, the common 12 bytes */
#define WSCALE_MAX         14          /* RFC 7323 section 2.3 */

static void read_sack(struct tcp_seg *s, const uint8_t *blocks, unsigned size)
{
	for (unsigned i = 0; i < size; i += 8) {
		uint32_t right = rd32(blocks + i + 4);

		if (after(right, s->sack))
			s->sack = right;
	}
}

/* Walks the options; a lie about a length ends the walk, as in every TCP. */
static void read_options(struct tcp_seg *s, const uint8_t *p, unsigned left)
{
	bool sack_done = false;

	while (left) {
		unsigned kind = p[0], size;

		if (kind == OPT_EOL)
			return;
		if (kind == OPT_NOP) {
			p++, left--;
			continue;
		}
		if (left < 2)
			return;
		size = p[1];
		if (size < 2 || size > left)
			return;
		if (kind == OPT_SACK_PERM && size == 2) {
			s->opts |= TCPT_F_SACK_PERM;
		} else if (kind == OPT_WSCALE && size == 3) {
			s->wscale = MIN(p[2], WSCALE_MAX);
			s->opts |= TCPT_F_WSCALE;
		} else if (kind == OPT_SACK && size >= 10 && (size - 2) % 8 == 0 && !sack_done) {
			read_sack(s, p + 2, size - 2);
			sack_done = true;
		}
		p += size;
		left -= size;
	}
}

enum tcp_track_reason tcp_seg_parse(struct tcp_seg *ret, const void *th, size_t len, size_t l4_len)
{
	const uint8_t *p = th;
	unsigned hlen;

	if (len < 20)
		return TCPT_R_SHORT;
	hlen = (p[12] >> 4) * 4u;
	if (hlen < 20 || hlen > len || hlen > l4_len)
		return TCPT_R_SHORT;
	if (!flags_valid(p[13]))
		return TCPT_R_FLAGS;
	*ret = (struct tcp_seg){
		.seq = rd32(p + 4),
		.ack = rd32(p + 8),
		.sack = rd32(p + 8),
		.flags = p[13],
		.win = (uint16_t)(p[14] << 8 | p[15]),
	};
	ret->opts = hlen > 20 ? TCPT_OPT_ANY : 0;
	ret->end = ret->seq + (uint32_t)(l4_len - hlen) + !!(p[13] & TH_SYN) + !!(p[13] & TH_FIN);
	if (hlen > 20 && !(hlen == 32 && rd32(p + 20) == OPT_TIMESTAMP_ONLY))
		read_options(ret, p + 20, hlen - 20);
	return TCPT_R_NONE;
}

/* ----- windows ----- */

/* The options count in the opener's SYN and in the answer; scaling needs both (RFC 7323). */
static void take_options(struct tcp_track_dir *d, const struct tcp_seg *s)
{
	if (!(s->opts & TCPT_OPT_ANY))
		return; /* as the kernel: a repeated SYN without options leaves those of the first
			 */
	d->scale = s->opts & TCPT_F_WSCALE ? s->wscale : 0;
	d->flags = (uint8_t)((d->flags & TCPT_F_LIBERAL) | (s->opts & ~TCPT_OPT_ANY));
}

static void init_sender(struct tcp_track *t, unsigned dir, const struct tcp_seg *s)
{
	struct tcp_track_dir *snd = &t->seen[dir], *rcv = &t->seen[!dir];

	snd->end = snd->maxend = s->end;
	snd->maxwin = MAX(s->win, 1u);
	take_options(snd, s);
	if (dir == 1 && !(snd->flags & rcv->flags & TCPT_F_WSCALE))
		snd->scale = rcv->scale = 0;
}

/* First segment of this direction, in the middle of the connection. */
static void init_midway(struct tcp_track *t, unsigned dir, const struct tcp_seg *s, uint32_t sack)
{
	struct tcp_track_dir *snd = &t->seen[dir], *rcv = &t->seen[!dir];

	snd->end = s->end;
	snd->maxwin = MAX((uint32_t)s->win << snd->scale, 1u);
	snd->maxend = s->end + snd->maxwin;
	if (!rcv->maxwin)
		rcv->end = rcv->maxend = sack; /* nothing seen of it: let III and IV pass */
	else if (sack == rcv->end + 1)
		rcv->end++; /* the answer to a keep-alive */
}

struct window {
	uint32_t seq, end, ack, sack;
};

static void learn(struct tcp_track *t, unsigned dir, const struct tcp_seg *s,
		  const struct window *w)
{
	struct tcp_track_dir *snd = &t->seen[dir], *rcv = &t->seen[!dir];
	uint32_t win = s->flags & TH_SYN ? s->win : (uint32_t)s->win << snd->scale;

	snd->maxwin = MAX(snd->maxwin, win + (w->sack - w->ack));
	if (after(w->end, snd->end)) {
		snd->end = w->end;
		snd->flags |= TCPT_F_UNACKED;
	}
	if (s->flags & TH_ACK && (!(snd->flags & TCPT_F_MAXACK) || after(w->ack, snd->maxack))) {
		snd->maxack = w->ack;
		snd->flags |= TCPT_F_MAXACK;
		snd->flags &= (uint8_t)~TCPT_F_EXPRESS;
	}
	if (rcv->maxwin && after(w->end, snd->maxend))
		rcv->maxwin += w->end - snd->maxend;
	if (!before(w->sack + win, rcv->maxend))
		rcv->maxend = w->sack + win + !win;
	if (w->ack == rcv->end)
		rcv->flags &= (uint8_t)~TCPT_F_UNACKED;
}

/* The kernel compares with win unscaled and only among pure ACK and data segments. */
static void count_repeats(struct tcp_track *t, unsigned dir, const struct tcp_seg *s,
			  const struct window *w)
{
	if (t->last_dir == dir && t->last_seq == w->seq && t->last_ack == w->ack &&
	    t->last_end == w->end && t->last_win == s->win) {
		t->retrans++;
		return;
	}
	t->last_dir = (uint8_t)dir;
	t->last_seq = w->seq;
	t->last_ack = w->ack;
	t->last_end = w->end;
	t->last_win = s->win;
	t->retrans = 0;
}

/* Tests I to IV; ACCEPT (*reason NONE), IGNORE or INVALID. */
static enum tcp_track_verdict judge(struct tcp_track *t, unsigned dir, const struct window *w,
				    enum tcp_track_reason *reason)
{
	struct tcp_track_dir *snd = &t->seen[dir], *rcv = &t->seen[!dir];
	uint32_t ack_floor = rcv->end - MAX(snd->maxwin, MAX_ACK_WINDOW) - 1;
	bool ack_seen = !after(w->sack, rcv->end);
	bool not_old = !rcv->maxwin || after(w->end, snd->end - rcv->maxwin - 1);

	if (after(w->seq, snd->maxend)) {
		uint32_t over = w->end - snd->maxend + 1;

		if (rcv->maxwin && not_old && after(w->sack, ack_floor) && over <= rcv->maxwin &&
		    ack_seen) {
			/* If the receiver takes it, its ACK must not fail III. */
			snd->end = w->end;
			snd->flags |= TCPT_F_UNACKED;
			*reason = TCPT_R_OVERSHOT;
			return TCPT_IGNORE;
		}
		*reason = TCPT_R_SEQ_ABOVE;
		return TCPT_INVALID;
	}
	if (!ack_seen) {
		*reason = TCPT_R_ACK_ABOVE;
		return TCPT_INVALID;
	}
	if (!not_old) {
		*reason = TCPT_R_SEQ_BELOW;
		return TCPT_IGNORE;
	}
	if (!after(w->sack, ack_floor)) {
		*reason = TCPT_R_ACK_BELOW;
		return TCPT_IGNORE;
	}
	*reason = TCPT_R_NONE;
	return TCPT_ACCEPT;
}

static enum tcp_track_verdict in_window(struct tcp_track *t, const struct tcp_track_conf *conf,
					unsigned dir, const struct tcp_seg *s,
					enum tcp_track_reason *reason)
{
	struct tcp_track_dir *snd = &t->seen[dir], *rcv = &t->seen[!dir];
	struct window w = { s->seq, s->end, s->ack,
			    rcv->flags & TCPT_F_SACK_PERM ? s->sack : s->ack };
	enum tcp_track_verdict v;

	if (!snd->maxwin) {
		if (s->flags & TH_SYN) {
			init_sender(t, dir, s);
			if (!(s->flags & TH_ACK))
				return TCPT_ACCEPT; /* simultaneous open */
		} else {
			init_midway(t, dir, s, w.sack);
		}
	} else if (s->flags & TH_SYN && after(s->end, snd->end) &&
		   (t->state == TCPT_S_SYN_SENT || t->state == TCPT_S_SYN_RECV)) {
		/* RFC 9293 section 3.4.3: a new attempt uses higher sequence numbers. */
		init_sender(t, dir, s);
		if (dir == 1 && !(s->flags & TH_ACK))
			return TCPT_ACCEPT;
	}

	/* Without ACK, or with the zero ACK that broken stacks put into a RST: nothing to judge. */
	if (!(s->flags & TH_ACK) || (s->flags & TH_RST && !s->ack))
		w.ack = w.sack = rcv->end;
	if (s->flags & TH_RST && !s->seq && t->state == TCPT_S_SYN_SENT)
		w.seq = w.end = snd->end; /* the answer to a SYN */

	v = judge(t, dir, &w, reason);
	if (v != TCPT_ACCEPT && (conf->liberal || snd->flags & TCPT_F_LIBERAL)) {
		/* Passes without teaching anything, yet the state moves on. */
		*reason = TCPT_R_NONE;
		return TCPT_ACCEPT;
	}
	if (v == TCPT_ACCEPT) {
		learn(t, dir, s, &w);
		if (kind_of(s->flags) == K_ACK)
			count_repeats(t, dir, s, &w);
	}
	return v;
}

/* ----- states ----- */

static bool closing(const struct tcp_track *t)
{
	return t->state >= TCPT_S_FIN_WAIT && t->state <= TCPT_S_CLOSE;
}

static bool established(const struct tcp_track *t)
{
	return t->state == TCPT_S_ESTABLISHED && t->assured;
}

/* A SYN/ACK acknowledges the SYN that we let pass: both ends agree, so we follow them. */
static void resync(struct tcp_track *t, unsigned dir)
{
	struct tcp_track_dir *opener = &t->seen[t->last_dir], *answerer = &t->seen[dir];

	*opener = (struct tcp_track_dir){
		.end = t->last_end,
		.maxend = t->last_end,
		.maxwin = MAX(t->last_win, 1u),
		.maxack = opener->maxack,
		.scale = t->last_wscale,
		.flags = t->last_flags & (uint8_t)~LAST_CHALLENGE,
	};
	t->last_flags &= (uint8_t)~LAST_CHALLENGE;
	*answerer = (struct tcp_track_dir){ .flags = answerer->flags & TCPT_F_LIBERAL };
}

/* A segment that passes although we cannot place it: remember it until the answer comes. */
static void remember(struct tcp_track *t, unsigned dir, enum tcp_kind kind, const struct tcp_seg *s)
{
	bool answers_syn = t->state == TCPT_S_SYN_SENT && kind == K_ACK && dir == 1;

	t->last_index = (uint8_t)kind;
	t->last_dir = (uint8_t)dir;
	t->last_seq = s->seq;
	t->last_end = s->end;
	t->last_win = s->win;
	if (kind == K_SYN && dir == 0) {
		t->last_flags = s->opts & (uint8_t)~TCPT_OPT_ANY;
		t->last_wscale = s->opts & TCPT_F_WSCALE ? s->wscale : 0;
		if (t->state == TCPT_S_LAST_ACK)
			t->last_flags |= LAST_CHALLENGE;
	}
	if (answers_syn)
		t->last_ack = s->ack;
}

enum rst_rule { RST_CHECK_WINDOW, RST_TRUST, RST_REFUSE };

/* RFC 5961 section 3.2 seen from the middle. May turn *next back to the present state. */
static enum rst_rule judge_rst(const struct tcp_track *t, const struct tcp_track_conf *conf,
			       unsigned dir, const struct tcp_seg *s, uint8_t *next)
{
	const struct tcp_track_dir *snd = &t->seen[dir], *rcv = &t->seen[!dir];

	if (closing(t))
		return RST_TRUST; /* the tuple may be in use again already */
	if (rcv->flags & TCPT_F_MAXACK && t->last_index != K_SYN) {
		if (!s->seq && !established(t))
			return RST_CHECK_WINDOW; /* the answer to a SYN that we let pass */
		if (before(s->seq, rcv->maxack) && !conf->ignore_invalid_rst)
			return RST_REFUSE;
		if (!established(t) || s->seq == rcv->maxack)
			return RST_CHECK_WINDOW;
		if (rcv->flags & TCPT_F_EXPRESS && s->seq == snd->end)
			return RST_CHECK_WINDOW;
		if (t->last_index == K_ACK && t->last_dir == dir && s->seq == t->last_end)
			return RST_CHECK_WINDOW; /* right behind the last data of its sender */
		*next = t->state;
	}
	if (((t->replied && t->last_index == K_SYN && t->last_dir != dir) ||
	     (!t->assured && t->last_index == K_ACK)) &&
	    s->ack == t->last_end)
		return RST_TRUST; /* answers a SYN or ACK that we let pass */
	if (t->state == TCPT_S_SYN_SENT && t->last_index == K_ACK && t->last_dir == 1 &&
	    s->seq == t->last_ack)
		return RST_TRUST; /* answers a challenge ACK */
	return RST_CHECK_WINDOW;
}

/* An out-of-window FIN or RST in each direction: we are out of step with a dead connection. */
static void note_refused(struct tcp_track *t, const struct tcp_track_conf *conf, unsigned dir,
			 enum tcp_kind kind, uint32_t now)
{
	uint32_t left = after(t->deadline, now) ? t->deadline - now : 0;
	uint32_t unack = conf->timeout_sec[TCPT_T_UNACK];

	if (!t->assured || (kind != K_RST && kind != K_FIN))
		return;
	if (t->last_dir != dir && (t->last_index == K_FIN || t->last_index == K_RST)) {
		if (left >= SHORTEN_ABOVE_SEC && left > unack)
			t->deadline = now + unack;
		return;
	}
	t->last_index = (uint8_t)kind;
	t->last_dir = (uint8_t)dir;
}

static uint32_t timeout_of(const struct tcp_track *t, const struct tcp_track_conf *conf,
			   enum tcp_kind kind)
{
	const uint32_t *to = conf->timeout_sec;
	uint32_t own = to[t->state];
	bool unacked = (t->seen[0].flags | t->seen[1].flags) & TCPT_F_UNACKED;

	if (t->retrans >= conf->max_retrans && own > to[TCPT_T_RETRANS])
		return to[TCPT_T_RETRANS];
	if (kind == K_RST)
		return to[TCPT_S_CLOSE];
	if (unacked && own > to[TCPT_T_UNACK])
		return to[TCPT_T_UNACK];
	if (!t->last_win && own > to[TCPT_T_RETRANS])
		return to[TCPT_T_RETRANS];
	return own;
}

/* The segment belongs: state, deadline, assurance. */
static enum tcp_track_verdict advance(struct tcp_track *t, const struct tcp_track_conf *conf,
				      unsigned dir, enum tcp_kind kind, uint8_t old, uint8_t next,
				      uint32_t now, enum tcp_track_reason *reason)
{
	uint32_t timeout;
	bool replied = t->replied;

	*reason = TCPT_R_NONE;
	t->last_index = (uint8_t)kind;
	t->last_dir = (uint8_t)dir;
	t->state = next;
	t->replied |= dir == 1;
	if (old != next && next == TCPT_S_FIN_WAIT)
		t->seen[dir].flags |= TCPT_F_CLOSE_INIT;
	timeout = timeout_of(t, conf, kind);
	if (!replied) {
		if (kind == K_RST) {
			*reason = TCPT_R_ABORTED;
			return TCPT_END;
		}
		/* A repeated SYN must not keep a translation alive for ever. */
		if (kind == K_SYN && old == TCPT_S_SYN_SENT)
			return TCPT_ACCEPT;
		if (next == TCPT_S_ESTABLISHED)
			timeout = MIN(timeout, conf->timeout_sec[TCPT_T_UNACK]);
	} else if (next == TCPT_S_ESTABLISHED &&
		   (old == TCPT_S_SYN_RECV || old == TCPT_S_ESTABLISHED)) {
		t->assured = true;
	}
	t->deadline = now + timeout;
	return TCPT_ACCEPT;
}

enum tcp_track_verdict tcp_track_new(struct tcp_track *t, const struct tcp_track_conf *conf,
				     const struct tcp_seg *s, uint32_t now,
				     enum tcp_track_reason *ret_reason)
{
	enum tcp_kind kind = kind_of(s->flags);
	uint8_t next = next_state[0][kind][TCPT_S_NONE];
	struct tcp_track fresh = { .last_index = K_NONE };
	struct tcp_track_dir *d = &fresh.seen[0];
	enum tcp_track_verdict v;

	if (next == IV || (next != TCPT_S_SYN_SENT && !conf->loose)) {
		*ret_reason = next == IV ? TCPT_R_NOT_NEW : TCPT_R_NO_PICKUP;
		return TCPT_INVALID;
	}
	d->end = d->maxend = s->end;
	d->maxwin = MAX(s->win, 1u);
	if (next == TCPT_S_SYN_SENT) {
		take_options(d, s);
	} else {
		d->maxend += d->maxwin;
		/* The scale is unknown: learn windows, enforce nothing. */
		d->flags = fresh.seen[1].flags = TCPT_F_SACK_PERM | TCPT_F_LIBERAL;
	}
	v = in_window(&fresh, conf, 0, s, ret_reason);
	if (v != TCPT_ACCEPT)
		return v;
	v = advance(&fresh, conf, 0, kind, TCPT_S_NONE, next, now, ret_reason);
	*t = fresh;
	return v;
}

enum tcp_track_verdict tcp_track_packet(struct tcp_track *t, const struct tcp_track_conf *conf,
					unsigned dir, const struct tcp_seg *s, uint32_t now,
					enum tcp_track_reason *ret_reason)
{
	enum tcp_kind kind = kind_of(s->flags);
	uint8_t old = t->state, next = next_state[dir][kind][old];
	enum rst_rule rst = RST_CHECK_WINDOW;
	enum tcp_track_verdict v;

	if (next == IV) {
		*ret_reason = TCPT_R_STATE;
		return TCPT_INVALID;
	}
	if (next == TCPT_S_SYN_SENT && old >= TCPT_S_TIME_WAIT) {
		/* Over for sure: either end closed, or this one reset it (RFC 9293 section 3.6.1).
		 */
		if ((t->seen[0].flags | t->seen[1].flags) & TCPT_F_CLOSE_INIT ||
		    (t->last_dir == dir && t->last_index == K_RST)) {
			*ret_reason = TCPT_R_REOPENED;
			return TCPT_REOPEN;
		}
		next = IG;
	}
	if (next == IG) {
		if (kind != K_SYNACK || t->last_index != K_SYN || t->last_dir == dir ||
		    s->ack != t->last_end) {
			remember(t, dir, kind, s);
			t->replied |= dir == 1;
			*ret_reason = TCPT_R_UNSYNCED;
			return TCPT_IGNORE;
		}
		resync(t, dir);
		old = TCPT_S_SYN_SENT;
		next = TCPT_S_SYN_RECV;
	} else if (next == TCPT_S_TIME_WAIT && old == TCPT_S_LAST_ACK && kind == K_ACK &&
		   t->last_dir != dir && t->last_index == K_SYN && t->last_flags & LAST_CHALLENGE) {
		t->last_flags &= (uint8_t)~LAST_CHALLENGE;
		t->replied |= dir == 1;
		*ret_reason = TCPT_R_CHALLENGE;
		return TCPT_IGNORE;
	} else if (next == TCPT_S_SYN_SENT2) {
		t->last_flags |= LAST_SIMULTANEOUS;
	} else if (next == TCPT_S_SYN_RECV && dir == 1 && kind == K_ACK &&
		   t->last_flags & LAST_SIMULTANEOUS) {
		next = TCPT_S_ESTABLISHED;
	} else if (next == TCPT_S_CLOSE && kind == K_RST) {
		rst = judge_rst(t, conf, dir, s, &next);
	}
	if (rst == RST_REFUSE) {
		*ret_reason = TCPT_R_RST_BELOW;
		return TCPT_INVALID;
	}
	v = rst == RST_TRUST ? TCPT_ACCEPT : in_window(t, conf, dir, s, ret_reason);
	if (v == TCPT_ACCEPT)
		return advance(t, conf, dir, kind, old, next, now, ret_reason);
	if (v == TCPT_INVALID)
		note_refused(t, conf, dir, kind, now);
	else
		t->replied |= dir == 1;
	return v;
}

const char *tcp_track_state_name(unsigned state)
{
	static const char *const names[] = {
		"NONE",       "SYN_SENT", "SYN_RECV",  "ESTABLISHED", "FIN_WAIT",
		"CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",       "SYN_SENT2",
	};

	return state < ARRAY_LEN(names) ? names[state] : "?";
}

const char *tcp_track_reason_text(unsigned reason)
{
	static const char *const texts[] = {
#define X(id, text) text,
		TCPT_REASONS(X)
#undef X
	};

	return reason < ARRAY_LEN(texts) ? texts[reason] : "?";
}

/* ----- express ----- */

bool tcp_track_to_express(const struct tcp_track *t, struct tcp_express ret[2])
{
	if (!established(t) || !t->seen[0].maxwin || !t->seen[1].maxwin ||
	    (t->seen[0].flags | t->seen[1].flags) & TCPT_F_LIBERAL)
		return false;
	for (unsigned d = 0; d < 2; d++) {
		const struct tcp_track_dir *own = &t->seen[d];

		ret[d] = (struct tcp_express){
			.end = own->end,
			.edge = t->seen[!d].maxend,
			.scale = own->scale,
			.win_log2 = (uint8_t)MIN(31 - __builtin_clz(own->maxwin), 30),
		};
	}
	return true;
}

void tcp_track_from_express(struct tcp_track *t, const struct tcp_express e[2])
{
	for (unsigned d = 0; d < 2; d++) {
		struct tcp_track_dir *own = &t->seen[d], *twin = &t->seen[!d];

		if (after(e[d].end, own->end))
			own->end = e[d].end;
		if (!after(e[d].edge, twin->maxend))
			continue;
		twin->maxend = e[d].edge;
		/* win_log2 bounds what XDP let pass: each window was below 2 << win_log2. */
		own->maxwin = MAX(own->maxwin, (2u << e[d].win_log2) - 1);
		if (!(own->flags & TCPT_F_MAXACK) || after(e[d].edge - own->maxwin, own->maxack))
			own->maxack = e[d].edge - own->maxwin;
		own->flags |= TCPT_F_MAXACK | TCPT_F_EXPRESS;
	}
}
