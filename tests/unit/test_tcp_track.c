/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fastpath/tcp_track.h"
#include "tests/unit/tcp_sim.h"

#include "tests/lib/check_main.h"

#include <arpa/inet.h>
#include <string.h>

#define FIN SIM_FIN
#define SYN SIM_SYN
#define RST SIM_RST
#define ACK SIM_ACK

/* Sequence numbers of the tables: the opener starts at A0, the other end at B0. */
#define A0 1000u
#define B0 0xfffffff0u

struct step {
	unsigned dir;
	uint8_t flags;
	uint32_t seq, ack, len; /* relative to the sender's and the receiver's first number */
	enum tcp_track_verdict verdict;
	unsigned state, reason;
};

static struct tcp_seg seg(unsigned dir, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	struct tcp_seg s = { .flags = flags, .win = 8000 };

	s.seq = (dir ? B0 : A0) + seq;
	s.end = s.seq + len + !!(flags & SYN) + !!(flags & FIN);
	s.ack = flags & ACK ? (dir ? A0 : B0) + ack : 0;
	s.sack = s.ack;
	return s;
}

static void run_steps(const char *name, struct tcp_track *t, const struct step *st, size_t n,
		      bool fresh)
{
	for (size_t i = 0; i < n; i++, st++) {
		struct tcp_seg s = seg(st->dir, st->flags, st->seq, st->ack, st->len);
		enum tcp_track_reason why = TCPT_R__MAX;
		enum tcp_track_verdict v;

		v = fresh && !i ? tcp_track_new(t, &tcp_track_defaults, &s, 100, &why)
				: tcp_track_packet(t, &tcp_track_defaults, st->dir, &s, 100, &why);
		ck_assert_msg(v == st->verdict && why == st->reason && t->state == st->state,
			      "%s step %zu: verdict %d (%d), %s, state %s (%s)", name, i, v,
			      st->verdict, tcp_track_reason_text(why),
			      tcp_track_state_name(t->state), tcp_track_state_name(st->state));
	}
}
#define RUN(t, steps)    run_steps(#steps, t, steps, ARRAY_LEN(steps), true)
#define RUN_ON(t, steps) run_steps(#steps, t, steps, ARRAY_LEN(steps), false)

#define OK(d, f, s, a, l, st)                                                                      \
	{                                                                                          \
		d, f, s, a, l, TCPT_ACCEPT, TCPT_S_##st, TCPT_R_NONE                               \
	}
#define PASS(d, f, s, a, l, st, r)                                                                 \
	{                                                                                          \
		d, f, s, a, l, TCPT_IGNORE, TCPT_S_##st, TCPT_R_##r                                \
	}
#define BAD(d, f, s, a, l, st, r)                                                                  \
	{                                                                                          \
		d, f, s, a, l, TCPT_INVALID, TCPT_S_##st, TCPT_R_##r                               \
	}

#define OPEN                                                                                       \
	OK(0, SYN, 0, 0, 0, SYN_SENT), OK(1, SYN | ACK, 0, 1, 0, SYN_RECV),                        \
		OK(0, ACK, 1, 1, 0, ESTABLISHED)

START_TEST(test_open_close)
{
	static const struct step plain[] = {
		OPEN,
		OK(0, ACK, 1, 1, 100, ESTABLISHED),
		OK(1, ACK, 1, 101, 2000, ESTABLISHED),
		OK(0, FIN | ACK, 101, 2001, 0, FIN_WAIT),
		OK(1, ACK, 2001, 102, 0, CLOSE_WAIT),
		OK(1, ACK, 2001, 102, 500, CLOSE_WAIT), /* half-close: the other end goes on */
		OK(0, ACK, 102, 2501, 0, CLOSE_WAIT),
		OK(1, FIN | ACK, 2501, 102, 0, LAST_ACK),
		OK(0, ACK, 102, 2502, 0, TIME_WAIT),
		OK(1, FIN | ACK, 2501, 102, 0, TIME_WAIT),
		OK(0, ACK, 102, 2502, 0, TIME_WAIT),
		{ 0, SYN, 5000, 0, 0, TCPT_REOPEN, TCPT_S_TIME_WAIT, TCPT_R_REOPENED },
		{ 1, SYN, 9000, 0, 0, TCPT_REOPEN, TCPT_S_TIME_WAIT, TCPT_R_REOPENED },
	};
	static const struct step both[] = {
		OPEN,
		OK(0, FIN | ACK, 1, 1, 0, FIN_WAIT),
		OK(1, FIN | ACK, 1, 1, 0, LAST_ACK),
		OK(1, ACK, 2, 2, 0, TIME_WAIT),
		OK(0, ACK, 2, 2, 0, TIME_WAIT),
	};
	static const struct step server_first[] = {
		OPEN,
		OK(1, FIN | ACK, 1, 1, 0, FIN_WAIT),
		OK(0, ACK, 1, 2, 0, CLOSE_WAIT),
		OK(0, FIN | ACK, 1, 2, 0, LAST_ACK),
		OK(1, ACK, 2, 2, 0, TIME_WAIT),
	};
	static const struct step in_syn_recv[] = {
		OK(0, SYN, 0, 0, 0, SYN_SENT),
		OK(1, SYN | ACK, 0, 1, 0, SYN_RECV),
		OK(0, FIN | ACK, 1, 1, 0, FIN_WAIT),
		OK(1, ACK, 1, 2, 0, CLOSE_WAIT),
	};
	struct tcp_track t;

	RUN(&t, plain);
	RUN(&t, both);
	RUN(&t, server_first);
	RUN(&t, in_syn_recv);
}
END_TEST

START_TEST(test_simultaneous_open)
{
	static const struct step acks[] = {
		OK(0, SYN, 0, 0, 0, SYN_SENT),       OK(1, SYN, 0, 0, 0, SYN_SENT2),
		OK(0, SYN, 0, 0, 0, SYN_SENT2),      OK(1, SYN, 0, 0, 0, SYN_SENT2),
		OK(0, SYN | ACK, 0, 1, 0, SYN_RECV), OK(1, ACK, 1, 1, 0, ESTABLISHED),
		OK(0, ACK, 1, 1, 10, ESTABLISHED),
	};
	static const struct step crossed[] = {
		OK(0, SYN, 0, 0, 0, SYN_SENT),       OK(1, SYN, 0, 0, 0, SYN_SENT2),
		OK(1, SYN | ACK, 0, 1, 0, SYN_RECV), OK(0, SYN | ACK, 0, 1, 0, SYN_RECV),
		OK(0, ACK, 1, 1, 0, ESTABLISHED),    OK(1, ACK, 1, 1, 10, ESTABLISHED),
	};
	struct tcp_track t;

	RUN(&t, acks);
	RUN(&t, crossed);
}
END_TEST

START_TEST(test_new)
{
	static const struct {
		uint8_t flags;
		bool loose;
		enum tcp_track_verdict v;
		unsigned why;
	} c[] = {
		{ SYN, false, TCPT_ACCEPT, TCPT_R_NONE },
		{ SYN | ACK, true, TCPT_INVALID, TCPT_R_NOT_NEW },
		{ RST, true, TCPT_INVALID, TCPT_R_NOT_NEW },
		{ FIN | ACK, true, TCPT_INVALID, TCPT_R_NOT_NEW },
		{ ACK, false, TCPT_INVALID, TCPT_R_NO_PICKUP },
		{ ACK, true, TCPT_ACCEPT, TCPT_R_NONE },
	};

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct tcp_track_conf conf = tcp_track_defaults;
		struct tcp_track t = { .state = TCPT_S__MAX };
		struct tcp_seg s = seg(0, c[i].flags, 0, 5, 10);
		enum tcp_track_reason why;

		conf.loose = c[i].loose;
		ck_assert_int_eq(tcp_track_new(&t, &conf, &s, 7, &why), c[i].v);
		ck_assert_int_eq(why, c[i].why);
		if (c[i].v == TCPT_INVALID)
			ck_assert_int_eq(t.state, TCPT_S__MAX);
		else
			ck_assert_int_eq(t.state,
					 c[i].flags & SYN ? TCPT_S_SYN_SENT : TCPT_S_ESTABLISHED);
	}
}
END_TEST

START_TEST(test_windows)
{
	static const struct step w[] = {
		OPEN,
		OK(0, ACK, 8001, 1, 10, ESTABLISHED), /* reordered, at the right edge */
		BAD(0, ACK, 8002 + 8000, 1, 10, ESTABLISHED, SEQ_ABOVE),
		BAD(1, ACK, 1, 9000, 10, ESTABLISHED, ACK_ABOVE),
		OK(1, ACK, 1, 1, 10, ESTABLISHED),
		PASS(0, ACK, (uint32_t)-100, 1, 10, ESTABLISHED, SEQ_BELOW),
		PASS(0, ACK, 8001, (uint32_t)-70000, 10, ESTABLISHED, ACK_BELOW),
		PASS(0, ACK, 8012, 11, 10, ESTABLISHED, OVERSHOT),
		OK(1, ACK, 11, 8022, 0, ESTABLISHED), /* and its ACK is not held against it */
	};
	struct tcp_track t;

	RUN(&t, w);
}
END_TEST

START_TEST(test_rfc5961)
{
	static const struct step below[] = { OPEN,
					     OK(1, ACK, 1, 1, 100, ESTABLISHED),
					     OK(0, ACK, 1, 101, 0, ESTABLISHED),
					     BAD(1, RST, 100, 0, 0, ESTABLISHED, RST_BELOW),
					     OK(1, RST, 102, 0, 0, ESTABLISHED), /* not exact */
					     OK(0, ACK, 1, 101, 0, ESTABLISHED), /* the challenge */
					     OK(1, RST, 101, 0, 0, CLOSE) };
	static const struct step train[] = { OPEN, OK(1, ACK, 1, 1, 100, ESTABLISHED),
					     OK(1, RST | ACK, 101, 1, 0, CLOSE) };
	static const struct step far[] = { OPEN, BAD(1, RST, 20000, 0, 0, ESTABLISHED, SEQ_ABOVE) };
	static const struct step refused[] = { OK(0, SYN, 0, 0, 0, SYN_SENT),
					       { 1, RST | ACK, 0, 1, 0, TCPT_END, TCPT_S_CLOSE,
						 TCPT_R_ABORTED } };
	/* A SYN in the connection: passes; the challenge ACK that answers it ends nothing. */
	static const struct step syn[] = {
		OPEN,
		PASS(0, SYN, 500, 0, 0, ESTABLISHED, UNSYNCED),
		OK(1, ACK, 1, 1, 0, ESTABLISHED),
		BAD(1, SYN, 500, 0, 0, ESTABLISHED, STATE),
		BAD(0, SYN | ACK, 0, 1, 0, ESTABLISHED, STATE),
	};
	/* The peer had forgotten us: SYN passes, its SYN/ACK proves it, we follow. */
	static const struct step resync[] = {
		OPEN,
		PASS(0, SYN, 77000, 0, 0, ESTABLISHED, UNSYNCED),
		OK(1, SYN | ACK, 400000, 77001, 0, SYN_RECV),
		OK(0, ACK, 77001, 400001, 10, ESTABLISHED),
	};
	static const struct step last_ack[] = {
		OPEN,
		OK(0, FIN | ACK, 1, 1, 0, FIN_WAIT),
		OK(1, FIN | ACK, 1, 2, 0, LAST_ACK),
		PASS(0, SYN, 500, 0, 0, LAST_ACK, UNSYNCED),
		PASS(1, ACK, 2, 2, 0, LAST_ACK, CHALLENGE),
		OK(1, RST, 2, 0, 0, CLOSE),
	};
	struct tcp_track t;

	RUN(&t, below);
	RUN(&t, train);
	RUN(&t, far);
	RUN(&t, refused);
	RUN(&t, syn);
	RUN(&t, resync);
	RUN(&t, last_ack);
}
END_TEST

START_TEST(test_timeouts)
{
	static const struct step open[] = { OPEN };
	struct tcp_track_conf conf = tcp_track_defaults;
	enum tcp_track_reason why;
	struct tcp_track t;
	struct tcp_seg s;

	RUN(&t, open);
	ck_assert(t.assured && t.replied);
	ck_assert_uint_eq(t.deadline, 100 + 5 * 86400);
	s = seg(0, ACK, 1, 1, 100);
	tcp_track_packet(&t, &conf, 0, &s, 200, &why);
	ck_assert_uint_eq(t.deadline, 200 + 300); /* unacknowledged data */
	s = seg(1, ACK, 1, 101, 0);
	tcp_track_packet(&t, &conf, 1, &s, 300, &why);
	ck_assert_uint_eq(t.deadline, 300 + 5 * 86400);
	for (int i = 0; i < 3; i++)
		tcp_track_packet(&t, &conf, 1, &s, 400, &why);
	ck_assert_uint_eq(t.deadline, 400 + 300); /* the same ACK again and again */
	/* Refused RSTs in both directions: out of step with a dead connection. */
	s = seg(0, ACK, 101, 1, 0);
	tcp_track_packet(&t, &conf, 0, &s, 500, &why);
	ck_assert_uint_eq(t.deadline, 500 + 5 * 86400);
	s = seg(0, RST, 99999, 0, 0);
	ck_assert_int_eq(tcp_track_packet(&t, &conf, 0, &s, 600, &why), TCPT_INVALID);
	ck_assert_uint_eq(t.deadline, 500 + 5 * 86400);
	s = seg(1, FIN | ACK, 99999, 101, 0);
	ck_assert_int_eq(tcp_track_packet(&t, &conf, 1, &s, 700, &why), TCPT_INVALID);
	ck_assert_uint_eq(t.deadline, 700 + 300);
	/* A repeated SYN without an answer does not renew. */
	s = seg(0, SYN, 0, 0, 0);
	tcp_track_new(&t, &conf, &s, 1000, &why);
	tcp_track_packet(&t, &conf, 0, &s, 1060, &why);
	ck_assert_uint_eq(t.deadline, 1000 + 120);
	conf.loose = true;
	s = seg(0, ACK, 0, 0, 0);
	tcp_track_new(&t, &conf, &s, 1000, &why);
	ck_assert_uint_eq(t.deadline, 1000 + 300);
}
END_TEST

/* Shadow of what XDP would do with the flow. */
struct express {
	struct tcp_express half[2];
	bool on;
	unsigned taken;
};

/* Express first, as XDP does; true when it took the segment. Cross-checks with a copy of the
 * tracker that has seen everything. */
static bool express_takes(struct express *x, const struct tcp_track *exact, unsigned dir,
			  const struct tcp_seg *s)
{
	struct tcp_track copy = *exact;
	enum tcp_track_reason why;

	if (!x->on || s->flags != ACK || s->sack != s->ack ||
	    !tcp_express_ok(&x->half[dir], &x->half[!dir], s->seq, s->end, s->ack, s->win))
		return false;
	ck_assert_int_eq(tcp_track_packet(&copy, &tcp_track_defaults, dir, s, 1, &why),
			 TCPT_ACCEPT);
	tcp_express_advance(&x->half[dir], s->end, s->ack, s->win);
	x->taken++;
	return true;
}

/*
 * What a correct TCP sends is never INVALID. Exceptions, all the kernel's: the RST of an end that
 * has lost the connection answers an old segment, so that its number lies below the highest ack;
 * and in a simultaneous open the state table knows no late SYN/ACK or ACK of the opener, and
 * lets data of the other end pass unlearnt, whose ACK it then refuses; the ends recover. Late
 * copies of the SYN and then of the SYN/ACK look like a new connection (resync): what passed in
 * between is forgotten, and its ACK refused until the opener speaks again.
 */
static bool tolerated(const struct sim *m, const struct tcp_seg *s, enum tcp_track_reason why,
		      bool resynced)
{
	if (m->simultaneous && (why == TCPT_R_STATE || why == TCPT_R_ACK_ABOVE))
		return true;
	if (resynced)
		return why == TCPT_R_ACK_ABOVE || why == TCPT_R_SEQ_ABOVE ||
		       why == TCPT_R_RST_BELOW;
	if (m->aborts && s->flags & RST)
		return why == TCPT_R_RST_BELOW || why == TCPT_R_SEQ_ABOVE ||
		       why == TCPT_R_ACK_ABOVE;
	return false;
}

/* How many traces met the exception of resync. */
static unsigned n_resynced;

static unsigned simulate(uint64_t seed, bool simultaneous, bool aborts, bool with_express)
{
	static struct sim m;
	struct tcp_track exact, t = { .state = TCPT_S_NONE };
	struct express x = { .on = false };
	bool known = false, resynced = false;
	unsigned n = 0;

	sim_init(&m, seed, simultaneous, aborts);
	for (unsigned i = 0; i < 300000 && !sim_done(&m); i++) {
		enum tcp_track_verdict v, ve;
		unsigned old = t.state;
		enum tcp_track_reason why, why_exact;
		struct tcp_seg s;
		unsigned dir;

		if (!sim_step(&m, &s, &dir))
			continue;
		n++;
		if (!known) {
			if (dir == 1)
				continue; /* simultaneous: the opener is who we see first */
			ck_assert_int_eq(tcp_track_new(&t, &tcp_track_defaults, &s, 1, &why),
					 TCPT_ACCEPT);
			exact = t;
			known = true;
			sim_forward(&m, &s, dir);
			continue;
		}
		if (with_express && express_takes(&x, &exact, dir, &s)) {
			tcp_track_packet(&exact, &tcp_track_defaults, dir, &s, 1, &why);
			sim_forward(&m, &s, dir);
			continue;
		}
		if (x.on) {
			tcp_track_from_express(&t, x.half);
			x.on = false;
		}
		ve = tcp_track_packet(&exact, &tcp_track_defaults, dir, &s, 1, &why_exact);
		v = tcp_track_packet(&t, &tcp_track_defaults, dir, &s, 1, &why);
		ck_assert_msg(
			(v != TCPT_INVALID && ve != TCPT_INVALID) ||
				tolerated(&m, &s, ve == TCPT_INVALID ? why_exact : why, resynced),
			"seed %#llx: segment %u dir %u flags %#x: %s / %s",
			(unsigned long long)seed, n, dir, s.flags, tcp_track_reason_text(why),
			tcp_track_reason_text(why_exact));
		resynced |= v == TCPT_ACCEPT && s.flags == (SYN | ACK) && old > TCPT_S_SYN_RECV &&
			    old != TCPT_S_SYN_SENT2;
		n_resynced += resynced && old != t.state && t.state == TCPT_S_SYN_RECV;
		/* A late SYN takes the tuple over, or it was refused: the old trace is at its end.
		 */
		if (v == TCPT_REOPEN || v == TCPT_END)
			return with_express ? x.taken : n;
		if (with_express && v == TCPT_ACCEPT)
			x.on = tcp_track_to_express(&t, x.half);
		if (v != TCPT_INVALID)
			sim_forward(&m, &s, dir);
	}
	ck_assert_msg(sim_done(&m), "seed %#llx: the connection hangs", (unsigned long long)seed);
	return with_express ? x.taken : n;
}

START_TEST(test_correct_traces)
{
	uint64_t rng = test_seed;

	for (int i = 0; i < 400; i++)
		simulate(test_rand(&rng), false, false, false);
	ck_assert_uint_lt(n_resynced, 40);
}
END_TEST

START_TEST(test_correct_simultaneous)
{
	uint64_t rng = test_seed;

	for (int i = 0; i < 200; i++)
		simulate(test_rand(&rng), true, false, false);
}
END_TEST

START_TEST(test_correct_aborts)
{
	uint64_t rng = test_seed;

	for (int i = 0; i < 200; i++)
		simulate(test_rand(&rng), false, true, false);
}
END_TEST

START_TEST(test_express)
{
	uint64_t rng = test_seed;
	unsigned taken = 0;

	for (int i = 0; i < 200; i++)
		taken += simulate(test_rand(&rng), false, i & 1, true);
	ck_assert_uint_gt(taken, 1000);
}
END_TEST

/* An attacker who knows addresses and ports but no sequence number. */
START_TEST(test_blind_attack)
{
	static const struct step open[] = { OPEN, OK(1, ACK, 1, 1, 100, ESTABLISHED),
					    OK(0, ACK, 1, 101, 50, ESTABLISHED) };
	uint64_t rng = test_seed;
	unsigned passed = 0;
	struct tcp_track t;

	RUN(&t, open);
	for (int i = 0; i < 1000000; i++) {
		struct tcp_track before = t;
		unsigned dir = test_rand(&rng) >> 63;
		struct tcp_seg s = { .seq = (uint32_t)test_rand(&rng), .win = 65535 };
		enum tcp_track_verdict v;
		enum tcp_track_reason why;

		s.flags = i & 1 ? RST : ACK;
		s.ack = s.sack = (uint32_t)test_rand(&rng);
		s.end = s.seq + (i & 1 ? 0 : 100);
		v = tcp_track_packet(&t, &tcp_track_defaults, dir, &s, 100, &why);
		/* Of 2^32 numbers one closes, and a window's worth passes. */
		ck_assert_int_eq(t.state, TCPT_S_ESTABLISHED);
		if (i & 1)
			passed += v != TCPT_INVALID;
		else
			ck_assert_msg(v != TCPT_ACCEPT || why != TCPT_R_NONE ||
					      memcmp(&before, &t, sizeof(t)) != 0,
				      "accepted and taught nothing");
		if (v == TCPT_ACCEPT && !(i & 1)) {
			/* Only inside the windows of both numbers. */
			ck_assert(s.end - (before.seen[dir].end - 8000) < 16200);
			ck_assert(s.ack - (before.seen[!dir].end - 66000) <= 66000);
			t = before;
		} else if (i & 1) {
			t = before;
		}
	}
	/* 500,000 RSTs, each end lets about 16,000 of 2^32 pass: 2 are expected. */
	ck_assert_uint_lt(passed, 20);
}
END_TEST

static size_t put_header(uint8_t *p, uint8_t flags, const uint8_t *opt, size_t opt_len)
{
	static const uint8_t head[20] = { 0, 80, 4, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0x20, 1 };
	size_t len = 20 + ROUND_UP(opt_len, 4);

	memset(p, 0, len);
	memcpy(p, head, 20);
	p[12] = (uint8_t)(len / 4 << 4);
	p[13] = flags;
	memcpy(p + 20, opt, opt_len);
	return len;
}

START_TEST(test_parse)
{
	static const uint8_t syn_opts[] = { 2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
					    0, 1, 0, 0,   0, 0, 1, 3,  3, 77 };
	static const uint8_t sack[] = { 1, 1, 5, 18, 0, 0, 0, 9, 0, 0,
					1, 0, 0, 0,  2, 0, 0, 0, 0, 200 };
	uint8_t buf[80];
	struct tcp_seg s;
	size_t len = put_header(buf, SYN, syn_opts, sizeof(syn_opts));

	ck_assert_int_eq(tcp_seg_parse(&s, buf, len, len), TCPT_R_NONE);
	ck_assert_int_eq(s.opts, TCPT_F_SACK_PERM | TCPT_F_WSCALE | TCPT_OPT_ANY);
	ck_assert_int_eq(s.wscale, 14); /* RFC 7323: greater values mean 14 */
	ck_assert_uint_eq(s.seq, 9);
	ck_assert_uint_eq(s.end, 10);
	ck_assert_uint_eq(s.win, 0x2001);
	len = put_header(buf, ACK, sack, sizeof(sack));
	ck_assert_int_eq(tcp_seg_parse(&s, buf, len, len + 7), TCPT_R_NONE);
	ck_assert_uint_eq(s.sack, 256);
	ck_assert_uint_eq(s.end, 16);
	ck_assert_int_eq(tcp_seg_parse(&s, buf, len, len - 1), TCPT_R_SHORT);
	ck_assert_int_eq(tcp_seg_parse(&s, buf, len - 1, 1000), TCPT_R_SHORT);
	ck_assert_int_eq(tcp_seg_parse(&s, buf, 19, 19), TCPT_R_SHORT);
	buf[13] = SYN | FIN;
	ck_assert_int_eq(tcp_seg_parse(&s, buf, len, len), TCPT_R_FLAGS);
	buf[13] = 0;
	ck_assert_int_eq(tcp_seg_parse(&s, buf, len, len), TCPT_R_FLAGS);
	buf[13] = ACK | 8 | 64 | 128; /* PSH ECE CWR go with everything */
	ck_assert_int_eq(tcp_seg_parse(&s, buf, len, len), TCPT_R_NONE);
}
END_TEST

/* Any bytes: no read beyond len (ASan watches), scale stays in range. */
START_TEST(test_parse_lies)
{
	uint64_t rng = test_seed;

	for (int i = 0; i < 200000; i++) {
		size_t len = test_rand(&rng) % 64;
		uint8_t *p = xmalloc(len ? len : 1);
		struct tcp_seg s;

		for (size_t k = 0; k < len; k++)
			p[k] = (uint8_t)(test_rand(&rng) >> 33) % (k >= 20 ? 19 : 255);
		if (len > 13)
			p[13] = test_rand(&rng) & 1 ? SYN : ACK;
		if (tcp_seg_parse(&s, p, len, len + test_rand(&rng) % 1400) == TCPT_R_NONE)
			ck_assert_uint_le(s.wscale, 14);
		free(p);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tcp_track");
	TCase *tc = tcase_create("tcp_track");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_open_close);
	tcase_add_test(tc, test_simultaneous_open);
	tcase_add_test(tc, test_new);
	tcase_add_test(tc, test_windows);
	tcase_add_test(tc, test_rfc5961);
	tcase_add_test(tc, test_timeouts);
	tcase_add_test(tc, test_correct_traces);
	tcase_add_test(tc, test_correct_simultaneous);
	tcase_add_test(tc, test_correct_aborts);
	tcase_add_test(tc, test_express);
	tcase_add_test(tc, test_blind_attack);
	tcase_add_test(tc, test_parse);
	tcase_add_test(tc, test_parse_lies);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
