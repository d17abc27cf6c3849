/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "track.h"

#include "parse.h"
#include "wire.h"

#include <errno.h>

/* Rounds of waiting for a tracker's lock: 100 us and more, a thousand times what it is held. */
#define LOCK_TRIES 20000

#define NOTED (FLOW_F_FIN | FLOW_F_RST | FLOW_F_WINDOW)

/* The tracker of a pair. */
struct tcb {
	uint32_t lock;
	uint16_t gen; /* of the flow that t is about */
	bool derived; /* from the lines, not from its first packet on */
	struct tcp_track t;
};

struct fp_track {
	/* Two, so that a reader's stays as it is while the other is written. */
	struct fp_track_conf conf[2];
	unsigned at; /* cp:w wk:r */
	struct tcb *tcb[FLOW__FAMILIES];
	uint32_t (*id[FLOW__FAMILIES])[3];
};

const struct fp_track_conf fp_track_defaults = {
	.tcp = TCP_TRACK_DEFAULTS,
	.udp_sec = 30,
	.udp_stream_sec = 120,
};

struct fp_track *fp_track_new(const uint32_t n_pairs[FLOW__FAMILIES])
{
	struct fp_track *t = xcalloc(1, sizeof(*t));

	t->conf[0] = fp_track_defaults;
	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		t->tcb[fam] = xcalloc(n_pairs[fam], sizeof(*t->tcb[fam]));
		t->id[fam] = xcalloc(n_pairs[fam], sizeof(*t->id[fam]));
	}
	return t;
}

struct fp_track *fp_track_free(struct fp_track *t)
{
	for (int fam = 0; t && fam < FLOW__FAMILIES; fam++) {
		free(t->tcb[fam]);
		free(t->id[fam]);
	}
	free(t);
	return NULL;
}

void fp_track_conf(struct fp_track *t, const struct fp_track_conf *conf)
{
	unsigned next = !t->at;

	t->conf[next] = *conf;
	__atomic_store_n(&t->at, next, __ATOMIC_RELEASE);
}

const struct fp_track_conf *fp_track_now(const struct fp_track *t)
{
	return &t->conf[__atomic_load_n(&t->at, __ATOMIC_ACQUIRE)];
}

static uint32_t seconds(uint64_t now_ns)
{
	return (uint32_t)(now_ns / NSEC_PER_SEC);
}

/* --- the lock --- */

static bool lock(struct tcb *b)
{
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		uint32_t none = 0;

		if (!__atomic_load_n(&b->lock, __ATOMIC_RELAXED) &&
		    __atomic_compare_exchange_n(&b->lock, &none, 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
#ifdef __x86_64__
		__builtin_ia32_pause();
#endif
	}
	return false;
}

static void unlock(struct tcb *b)
{
	__atomic_store_n(&b->lock, 0, __ATOMIC_RELEASE);
}

static struct tcb *tcb_of(const struct fp_track *t, enum flow_family fam, uint64_t ref)
{
	return &t->tcb[fam][(uint32_t)ref >> 1];
}

void fp_track_fetch(const struct fp_track *t, enum flow_family fam, uint32_t name)
{
	const struct tcb *b = tcb_of(t, fam, name);

	__builtin_prefetch(b, 1);
	__builtin_prefetch((const char *)(b + 1) - 1, 1);
}

/* --- words of the lines --- */

static void change_w0(uint64_t *word0, uint16_t gen, uint64_t mask, uint64_t bits)
{
	uint64_t old = __atomic_load_n(word0, __ATOMIC_RELAXED), new;

	do {
		new = (old & ~mask) | bits;
		if (flow_w0_gen(old) != gen || new == old)
			return;
	} while (!__atomic_compare_exchange_n(word0, &old, new, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
}

static void set_state(const struct fp_track_flow *f, unsigned state)
{
	const uint64_t mask = (uint64_t)(0xff & ~FLOW_PATH_MASK) << FLOW_W0_STATE_SHIFT;

	for (unsigned i = 0; i < 2; i++)
		change_w0(f->half[i].word0, flow_w0_gen(f->word0), mask,
			  (uint64_t)state << (FLOW_TRACK_SHIFT + FLOW_W0_STATE_SHIFT));
}

static void set_flags(const struct fp_track_flow *f, uint8_t set, uint8_t clear)
{
	for (unsigned i = 0; i < 2; i++)
		change_w0(f->half[i].word0, flow_w0_gen(f->word0),
			  (uint64_t)clear << FLOW_W0_FLAGS_SHIFT,
			  (uint64_t)set << FLOW_W0_FLAGS_SHIFT);
}

/* What XDP keeps of direction d; f is of direction dir. */
/* Inline by force: returned, its bytes are stored one by one and loaded as a word, which waits for
 * the stores. */
static inline __attribute__((always_inline)) struct tcp_express
express_of(const struct fp_track_flow *f, unsigned i)
{
	uint32_t egress = __atomic_load_n(f->half[i].egress, __ATOMIC_RELAXED);

	return (struct tcp_express){
		.end = __atomic_load_n(&f->half[i].tcp->end, __ATOMIC_RELAXED),
		.edge = __atomic_load_n(&f->half[i].tcp->edge, __ATOMIC_RELAXED),
		.scale = egress >> FLOW_EGRESS_SCALE_SHIFT & 15,
		.win_log2 = egress >> FLOW_EGRESS_WLOG_SHIFT & 31,
	};
}

/* XDP may write it, too, and what it wrote is as good. */
static void raise(uint32_t *at, uint32_t value)
{
	uint32_t old = __atomic_load_n(at, __ATOMIC_RELAXED);

	while ((int32_t)(value - old) > 0 &&
	       !__atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

static uint8_t log2_of(uint32_t win)
{
	return (uint8_t)(win ? MIN(31 - __builtin_clz(win), 30) : 0);
}

/* Windows of both directions as XDP, the pipeline and a later process want them. grow: XDP is at
 * it as well, so they only grow. */
static void publish(const struct tcp_track *t, struct fp_flow_worker *fw,
		    const struct fp_track_flow *f, bool grow)
{
	unsigned dir = f->ref & 1;

	for (unsigned i = 0; i < 2; i++) {
		const struct tcp_track_dir *own = &t->seen[dir ^ i];
		struct flow_tcp tcp = { own->end, t->seen[dir ^ i ^ 1].maxend };
		struct tcp_express was = express_of(f, i);
		uint8_t win_log2 = log2_of(own->maxwin);

		if (was.win_log2 != win_log2 || was.scale != own->scale)
			fp_flow_set_window(fw, f->fam, f->ref ^ i, win_log2, own->scale);
		if (grow) {
			raise(&f->half[i].tcp->end, tcp.end);
			raise(&f->half[i].tcp->edge, tcp.edge);
		} else if (was.end != tcp.end || was.edge != tcp.edge) {
			fp_flow_set_tcp(fw, f->fam, f->ref ^ i, &tcp);
		}
	}
}

/* --- the tracker from the lines --- */

/* Of a process before: what the lines tell is what it knew, within a power of 2. */
static void derive(struct tcp_track *t, const struct fp_track_flow *f)
{
	unsigned dir = f->ref & 1, state = flow_w0_state(f->word0) >> FLOW_TRACK_SHIFT;

	*t = (struct tcp_track){ .state = (uint8_t)MIN(state, (unsigned)TCPT_S__MAX - 1),
				 .last_index = UINT8_MAX };
	t->replied = state != TCPT_S_SYN_SENT;
	t->assured = state >= TCPT_S_ESTABLISHED && state != TCPT_S_SYN_SENT2;
	for (unsigned i = 0; i < 2; i++) {
		struct tcp_express e = express_of(f, i), twin = express_of(f, !i);
		struct tcp_track_dir *d = &t->seen[dir ^ i];

		if (state == TCPT_S_SYN_SENT && (dir ^ i))
			continue;
		*d = (struct tcp_track_dir){ .end = e.end,
					     .maxend = t->replied ? twin.edge : e.end,
					     .maxwin = (2u << e.win_log2) - 1,
					     .scale = e.scale,
					     .flags = TCPT_F_SACK_PERM | TCPT_F_WSCALE };
		if (state >= TCPT_S_FIN_WAIT && state <= TCPT_S_CLOSE)
			d->flags |= TCPT_F_CLOSE_INIT;
		if (flow_w0_flags(f->word0) & FLOW_F_LIBERAL)
			d->flags |= TCPT_F_LIBERAL;
		if (state != TCPT_S_ESTABLISHED)
			continue;
		d->maxack = e.edge - d->maxwin;
		d->flags |= TCPT_F_MAXACK | TCPT_F_EXPRESS;
	}
}

/* XDP went on alone: whatever it let pass is done, but what exactly is not known. */
static bool take_noted(struct tcp_track *t, const struct fp_track_flow *f)
{
	uint8_t flags[2], all;

	for (unsigned i = 0; i < 2; i++)
		flags[i] = flow_w0_flags(__atomic_load_n(f->half[i].word0, __ATOMIC_RELAXED));
	all = (flags[0] | flags[1]) & NOTED;
	if (!all)
		return false;
	if (all & FLOW_F_RST)
		t->state = TCPT_S_CLOSE;
	else if (flags[0] & flags[1] & FLOW_F_FIN)
		t->state = TCPT_S_TIME_WAIT;
	else if (all & FLOW_F_FIN && t->state == TCPT_S_ESTABLISHED)
		t->state = TCPT_S_FIN_WAIT;
	t->seen[0].flags |= TCPT_F_LIBERAL;
	t->seen[1].flags |= TCPT_F_LIBERAL;
	set_state(f, t->state);
	set_flags(f, FLOW_F_LIBERAL, NOTED);
	return true;
}

/* b is locked. True: XDP had forwarded what the tracker should have seen. */
static bool refresh(struct tcb *b, const struct fp_track_flow *f)
{
	if (b->gen != flow_w0_gen(f->word0)) {
		b->gen = flow_w0_gen(f->word0);
		b->derived = true;
		derive(&b->t, f);
	} else if (b->t.state == TCPT_S_ESTABLISHED) {
		struct tcp_express e[2];

		for (unsigned i = 0; i < 2; i++)
			e[(f->ref & 1) ^ i] = express_of(f, i);
		tcp_track_from_express(&b->t, e);
	}
	return take_noted(&b->t, f);
}

/* --- first packets --- */

bool fp_track_open(const struct fp_track *t, const uint8_t *frame, const struct fp_pkt *p,
		   uint64_t now_ns, struct fp_flow_new *f, struct tcp_track *ret)
{
	const struct fp_track_conf *conf = fp_track_now(t);
	enum tcp_track_reason why;
	struct tcp_seg seg;
	uint8_t flags = FLOW_F_TCP;

	f->flags = FLOW_COLD_TRACKED;
	if (p->proto != IPPROTO_TCP) {
		f->timeout = fp_track_units(conf->udp_sec);
		/* The opener waits for nobody, the first answer has to be seen. */
		f->dir[0].state = FLOW_P_WORKER | 1 << FLOW_TRACK_SHIFT;
		f->dir[1].state = FLOW_P_WORKER;
		return true;
	}
	why = tcp_seg_parse(&seg, frame + p->l4_off, p->end - p->l4_off, p->end - p->l4_off);
	if (why || (p->tcp_flags & (FP_TCP_SYN | FP_TCP_ACK)) != FP_TCP_SYN ||
	    tcp_track_new(ret, &conf->tcp, &seg, seconds(now_ns), &why) != TCPT_ACCEPT)
		return false;
	if (conf->tcp.liberal)
		flags |= FLOW_F_LIBERAL;
	f->timeout = fp_track_units(ret->deadline - seconds(now_ns));
	for (unsigned d = 0; d < 2; d++) {
		f->dir[d].state = (uint8_t)(FLOW_P_WORKER | ret->state << FLOW_TRACK_SHIFT);
		f->dir[d].flags |= flags;
	}
	f->dir[0].tcp = (struct flow_tcp){ ret->seen[0].end, ret->seen[1].maxend };
	f->dir[0].egress |= flow_egress(0, log2_of(ret->seen[0].maxwin), ret->seen[0].scale);
	return true;
}

void fp_track_born(struct fp_track *t, enum flow_family fam, uint64_t ref,
		   const struct tcp_track *born)
{
	struct tcb *b = tcb_of(t, fam, ref);

	/* Its answer may be with another worker already, which has derived what it needs. */
	if (!lock(b))
		return;
	if (b->gen != (uint16_t)(ref >> 32) || !b->derived) {
		b->gen = (uint16_t)(ref >> 32);
		b->derived = false;
		b->t = *born;
	}
	unlock(b);
}

void fp_track_admit(struct fp_track *t, enum flow_family fam, uint64_t ref, const uint32_t id[3])
{
	for (unsigned i = 0; i < 3; i++)
		__atomic_store_n(&t->id[fam][(uint32_t)ref >> 1][i], id[i], __ATOMIC_RELAXED);
}

void fp_track_admitted(const struct fp_track *t, enum flow_family fam, uint64_t ref,
		       uint32_t ret_id[3])
{
	for (unsigned i = 0; i < 3; i++)
		ret_id[i] = __atomic_load_n(&t->id[fam][(uint32_t)ref >> 1][i], __ATOMIC_RELAXED);
}

/* --- packets of known flows --- */

static enum fp_track_act drop(struct fp_track_ret *ret, enum rtr_drop why)
{
	ret->drop = (uint8_t)why;
	return FP_TRACK_DROP;
}

static void retime(const struct fp_track_flow *f, uint32_t sec, struct fp_track_ret *ret)
{
	ret->timeout = fp_track_units(sec);
	ret->retime = ret->timeout != __atomic_load_n(&f->cold->timeout, __ATOMIC_RELAXED);
}

static enum rtr_drop drop_of(enum tcp_track_reason why, uint8_t state)
{
	switch (why) {
	case TCPT_R_SEQ_ABOVE:
	case TCPT_R_ACK_ABOVE:
	case TCPT_R_RST_BELOW:
		return RTR_DROP_CT_WINDOW;
	default:
		return state == TCPT_S_TIME_WAIT || state == TCPT_S_CLOSE ? RTR_DROP_CT_CLOSED
									  : RTR_DROP_CT_INVALID;
	}
}

/* What the verdict means for the flow. b is locked. */
static enum fp_track_act settle(struct tcb *b, struct fp_flow_worker *fw,
				const struct fp_track_flow *f, const struct tcp_track *was,
				enum tcp_track_verdict v, enum tcp_track_reason why, uint32_t now,
				struct fp_track_ret *ret)
{
	const struct tcp_track *t = &b->t;
	bool open = t->state == TCPT_S_ESTABLISHED && t->assured;

	if (v == TCPT_REOPEN)
		return FP_TRACK_REOPEN;
	/* An unanswered SYN that is repeated does not keep a translation for ever. */
	ret->touched = v == TCPT_ACCEPT && !(t->state == TCPT_S_SYN_SENT && !t->replied);
	if (ret->touched || t->deadline != was->deadline)
		retime(f, MAX((int32_t)(t->deadline - now), 0), ret);
	if (v == TCPT_INVALID)
		return drop(ret, drop_of(why, t->state));
	/* Windows first: XDP goes by them as soon as the state says so. */
	publish(t, fw, f, was->state == TCPT_S_ESTABLISHED && t->state == TCPT_S_ESTABLISHED);
	if (t->state != flow_w0_state(f->word0) >> FLOW_TRACK_SHIFT)
		set_state(f, t->state);
	ret->promote = open && !(was->state == TCPT_S_ESTABLISHED && was->assured);
	return v == TCPT_END ? FP_TRACK_LAST : FP_TRACK_PASS;
}

static enum fp_track_act tcp_packet(struct fp_track *t, struct fp_flow_worker *fw,
				    const struct fp_track_flow *f, const uint8_t *frame,
				    const struct fp_pkt *p, uint64_t now_ns,
				    struct fp_track_ret *ret)
{
	const struct tcp_track_conf *conf = &fp_track_now(t)->tcp;
	struct tcb *b = tcb_of(t, f->fam, f->ref);
	uint32_t now = seconds(now_ns);
	enum tcp_track_reason why;
	enum tcp_track_verdict v;
	enum fp_track_act act;
	struct tcp_track was;
	struct tcp_seg seg;

	if (tcp_seg_parse(&seg, frame + p->l4_off, p->end - p->l4_off, p->end - p->l4_off))
		return drop(ret, RTR_DROP_CT_INVALID);
	if (!lock(b))
		return drop(ret, RTR_DROP_HANDOFF);
	refresh(b, f);
	was = b->t;
	v = tcp_track_packet(&b->t, conf, f->ref & 1, &seg, now, &why);
	act = settle(b, fw, f, &was, v, why, now, ret);
	unlock(b);
	return act;
}

uint32_t fp_track_base(const uint8_t *frame, const struct fp_pkt *first)
{
	const uint8_t *th = frame + first->l4_off;

	if (first->proto != IPPROTO_TCP || first->end - first->l4_off < 20)
		return 0;
	/* FIN counts like a byte behind the last one. */
	return fp_ld32(th + 4) - 4u * (th[12] >> 4) + !!(first->tcp_flags & FP_TCP_FIN);
}

void fp_track_piece(struct fp_track *t, struct fp_flow_worker *fw, const struct fp_track_flow *f,
		    const struct fp_pkt *p, uint32_t base)
{
	struct tcb *b = tcb_of(t, f->fam, f->ref);
	uint32_t end = base + p->frag_off + (uint32_t)(p->end - p->l4_off);
	struct tcp_track_dir *own;

	if (!(flow_w0_flags(f->word0) & FLOW_F_TCP) || !lock(b))
		return;
	refresh(b, f);
	own = &b->t.seen[f->ref & 1];
	/* A first piece that taught nothing lies beyond what was sent: nor do the others. */
	if ((int32_t)(base - own->end) < 0 && (int32_t)(end - own->end) > 0) {
		own->end = end;
		publish(&b->t, fw, f, b->t.state == TCPT_S_ESTABLISHED);
	}
	unlock(b);
}

enum fp_track_act fp_track_packet(struct fp_track *t, struct fp_flow_worker *fw,
				  const struct fp_track_flow *f, const uint8_t *frame,
				  const struct fp_pkt *p, uint64_t now_ns, struct fp_track_ret *ret)
{
	*ret = (struct fp_track_ret){ 0 };
	if (p->proto == IPPROTO_TCP && (!(p->flags & FP_F_FRAG) || p->flags & FP_F_FRAG_FIRST))
		return tcp_packet(t, fw, f, frame, p, now_ns, ret);
	ret->touched = true;
	if (p->proto == IPPROTO_TCP)
		return FP_TRACK_PASS;
	if (f->ref & 1 && !(flow_w0_state(f->word0) >> FLOW_TRACK_SHIFT)) {
		set_state(f, 1);
		retime(f, fp_track_now(t)->udp_stream_sec, ret);
	}
	return FP_TRACK_PASS;
}

bool fp_track_noted(struct fp_track *t, const struct fp_track_flow *f, uint32_t *ret_timeout)
{
	struct tcb *b = tcb_of(t, f->fam, f->ref);
	bool noted;

	if (!(flow_w0_flags(f->word0) & FLOW_F_TCP) || !lock(b))
		return false;
	noted = refresh(b, f);
	if (noted)
		*ret_timeout = fp_track_units(fp_track_now(t)->tcp.timeout_sec[b->t.state]);
	unlock(b);
	return noted;
}
