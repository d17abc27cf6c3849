/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cutting packets: the pieces, joined by hand, are the packet. Virtual reassembly against a naive
 * model that keeps a map of every byte. */
#include "../../fastpath/frag.h"
#include "../../fastpath/vfr.h"
#include "../lib/check_main.h"
#include "../lib/packet.h"

#define SRC 0x0a000001
#define DST 0xc0000201

START_TEST(cut_and_join)
{
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(20000); round < n_rounds; round++) {
		unsigned n_opt = 4 * (test_rand(&rng) % 6), payload = 1 + test_rand(&rng) % 3000;
		unsigned mtu = 68 + test_rand(&rng) % 1500, base = test_rand(&rng) % 3 ? 0 : 800;
		bool more = base && test_rand(&rng) & 1;
		unsigned next = base, last_mf = 1, pieces = 0;
		struct tp t;
		struct fp_pkt p;
		struct fp_frag4 f;
		uint8_t out[2048], joined[4096];
		uint32_t len;

		payload = more ? ROUND_UP(payload, 8) : payload;
		tp_eth(&t, 0x0800);
		tp_ip4(&t, SRC, DST, 47, 64);
		/* Router alert is copied, record route and no-op are not. */
		if (n_opt)
			tp_ip4_options(
				&t,
				"\x94\x04\0\0\x07\x04\x04\0\x01\x01\x01\x01\x88\x04\0\7\1\0\0\0",
				n_opt);
		tp_payload(&t, payload);
		if (base)
			tp_frag4(&t, base, more);
		tp_done(&t);
		fp_parse(t.b, t.len, &p);
		p.flags |= FP_F_L4;
		ck_assert_uint_eq(fp_frag4_init(&f, t.b, &p, mtu),
				  mtu < 20 + n_opt + 8 ? RTR_DROP_MTU_SMALL : RTR_DROP_NONE);
		while ((len = fp_frag4_next(&f, out, sizeof(out))) != 0) {
			unsigned hlen = (out[0] & 15) * 4u, fo = tp_r16(out + 6);
			unsigned off = (fo & 0x1fff) * 8;

			ck_assert_uint_le(len, mtu);
			ck_assert_uint_eq(tp_r16(out + 2), len);
			ck_assert_uint_eq(tp_r16(out + 10), tp_ip4_csum(out));
			ck_assert(!memcmp(out + 4, t.b + t.l3 + 4, 2)); /* id */
			ck_assert(!memcmp(out + 8, t.b + t.l3 + 8, 2));
			ck_assert(!memcmp(out + 12, t.b + t.l3 + 12, 8));
			ck_assert_uint_eq(off, next);
			ck_assert_uint_ge(len, hlen + 1);
			memcpy(joined + off - base, out + hlen, len - hlen);
			next += len - hlen;
			last_mf = fo & 0x2000;
			ck_assert(last_mf ? (len - hlen) % 8 == 0 : 1);
			if (pieces == 0)
				ck_assert(!memcmp(out + 20, t.b + t.l3 + 20, n_opt) &&
					  hlen == 20 + n_opt);
			else
				ck_assert_uint_eq(hlen, n_opt >= 16 ? 28 : n_opt ? 24 : 20);
			if (pieces && n_opt)
				ck_assert(!memcmp(out + 20, "\x94\x04\0\0\x88\x04\0\7", hlen - 20));
			/* A piece that could have been longer must not be shorter. */
			if (last_mf && next != base + payload)
				ck_assert_uint_gt(len + 8, mtu);
			pieces++;
		}
		ck_assert_uint_eq(next, base + payload);
		ck_assert_int_eq(!!last_mf, more);
		ck_assert(!memcmp(joined, t.b + t.l4, payload));
	}
}
END_TEST

START_TEST(cut_refuses)
{
	struct tp t;
	struct fp_pkt p;
	struct fp_frag4 f;
	uint8_t out[64];

	tp_eth(&t, 0x0800), tp_ip4(&t, SRC, DST, 17, 64), tp_udp(&t, 1, 2, 100);
	tp_w16(t.b + t.l3 + 6, 0x4000), tp_done(&t), fp_parse(t.b, t.len, &p);
	ck_assert_uint_eq(fp_frag4_init(&f, t.b, &p, 100), RTR_DROP_MTU_DF);
	p.flags &= ~(uint32_t)FP_F_DF;
	ck_assert_uint_eq(fp_frag4_init(&f, t.b, &p, 27), RTR_DROP_MTU_SMALL);
	ck_assert_uint_eq(fp_frag4_init(&f, t.b, &p, 100), RTR_DROP_NONE);
	ck_assert_uint_eq(fp_frag4_next(&f, out, 64), 0);
}
END_TEST

/* The naive model: for each datagram which bytes came in which piece. */
struct model {
	uint8_t who[4096]; /* number of the piece that wrote the byte, 0 = none */
	unsigned n_piece, off[70], len[70];
	bool mf[70];
	bool dead, first, any_last;
	unsigned total;
	unsigned n_held;
	uint64_t held[70];
	unsigned held_off[70];
	uint64_t ctx;
};

static void fragment(struct tp *t, bool v6, unsigned n, unsigned off, unsigned len, bool more)
{
	tp_eth(t, v6 ? 0x86dd : 0x0800);
	if (v6) {
		tp_ip6(t, 100 + n / 4, 200, 17, 64);
		tp_frag6(t, n, off, more);
	} else {
		tp_ip4(t, SRC + n / 4, DST, 17, 64);
		tp_w16(t->b + t->l3 + 4, n);
		tp_frag4(t, off, more);
	}
	tp_payload(t, len);
	if (off == 0 && len >= 8)
		tp_w16(t->b + t->l4 + 4, 4000);
	tp_done(t);
}

static unsigned drain(struct fp_vfr *v, uint64_t *seen, const struct model *m, unsigned from)
{
	uint64_t h, ctx;
	enum rtr_drop why;
	uint32_t note;
	unsigned n = 0;

	for (; fp_vfr_released(v, &h, &ctx, &note); n++) {
		/* In order of offsets, with the context of their datagram. */
		ck_assert_uint_eq(ctx, m->ctx);
		ck_assert_uint_eq(note, (uint32_t)m->ctx);
		ck_assert_uint_lt(from + n, m->n_held);
		ck_assert_uint_eq(h, m->held[from + n]);
		ck_assert_uint_eq(seen[h], 1);
		seen[h] = 2;
	}
	while (fp_vfr_dead(v, &h, &why)) {
		ck_assert_uint_eq(seen[h], 1);
		ck_assert_uint_ne(why, RTR_DROP_NONE);
		seen[h] = 3;
		n++;
	}
	return n;
}

static enum rtr_drop model_judge(struct model *m, unsigned off, unsigned len, bool more)
{
	bool dup = false, over = false;
	unsigned top = 0;

	if (m->dead)
		return RTR_DROP_FRAG_DEAD;
	for (unsigned i = 0; i < m->n_piece; i++) {
		dup |= m->off[i] == off && m->len[i] == len && m->mf[i] == more;
		top = MAX(top, m->off[i] + m->len[i]);
	}
	for (unsigned i = off; i < off + len; i++)
		over |= m->who[i] != 0;
	if (dup)
		return RTR_DROP_FRAG_DUPLICATE;
	if (m->any_last ? off + len > m->total || (off + len == m->total) == more
			: !more && m->n_piece && top >= off + len)
		return RTR_DROP_FRAG_LENGTHS;
	return over ? RTR_DROP_FRAG_OVERLAP : RTR_DROP_NONE;
}

START_TEST(vfr_is_the_model)
{
	static struct model model[64];
	static uint64_t seen[200001];
	uint64_t rng = test_seed, now = 5;
	const struct fp_vfr_cfg cfg = { .max_datagrams = 256,
					.max_held = 8192,
					.per_datagram = 64,
					.timeout_ns = 30 * NSEC_PER_SEC,
					.seed = test_seed };
	struct fp_vfr *v = fp_vfr_new(&cfg);
	struct fp_vfr_stats st;
	unsigned done = 0, released = 0, killed = 0;

	memset(seen, 0, sizeof(seen));
	memset(model, 0, sizeof(model));
	ck_assert_ptr_nonnull(v);
	for (unsigned h = 1; h <= 200000; h++) {
		unsigned n = test_rand(&rng) % 64, off, len, got = 0;
		bool v6 = n & 1, more;
		struct model *m = &model[n];
		struct tp t;
		struct fp_pkt p;
		struct fp_vfr_ret ret;
		enum fp_vfr_act act;
		enum rtr_drop want;

		/* Mostly what a sender would cut: 8 pieces of 64 bytes; now and then a lie. */
		off = 64 * (test_rand(&rng) % 8), len = 64, more = off != 448;
		if (!more)
			len = 20;
		if (test_rand(&rng) % 200 == 0)
			off = 8 * (2 + test_rand(&rng) % 50), len = 8 * (1 + test_rand(&rng) % 20);
		if (test_rand(&rng) % 200 == 0)
			more = !more, len = ROUND_UP(len, 8);
		if (off == 0 && !more)
			continue;
		fragment(&t, v6, n, off, len, more);
		ck_assert_int_eq(fp_classify(t.b, t.len, &p), FP_V_FORWARD);
		want = model_judge(m, off, len, more);
		act = fp_vfr_input(v, t.b, &p, 7, h, now, &ret);
		if (want) {
			ck_assert_int_eq(act, FP_VFR_DROP);
			if (ret.drop != want)
				ck_abort_msg("%s, want %s", rtr_drop_text(ret.drop),
					     rtr_drop_text(want));
			if (want != RTR_DROP_FRAG_DUPLICATE && !m->dead) {
				m->dead = true;
				got = drain(v, seen, m, 0);
				ck_assert_uint_eq(got, m->first ? 0 : m->n_held);
				killed += got;
			}
		} else {
			m->off[m->n_piece] = off, m->len[m->n_piece] = len;
			m->mf[m->n_piece++] = more;
			for (unsigned i = off; i < off + len; i++)
				m->who[i] = 1;
			if (!more)
				m->any_last = true, m->total = off + len;
			if (off == 0) {
				ck_assert(act == FP_VFR_PASS && ret.first);
				m->first = true;
				m->ctx = h;
				fp_vfr_resolve(v, ret.dgram, h, (uint32_t)h);
				got = drain(v, seen, m, 0);
				ck_assert_uint_eq(got, m->n_held);
				released += got;
			} else if (m->first) {
				ck_assert(act == FP_VFR_PASS && !ret.first);
				ck_assert_uint_eq(ret.ctx, m->ctx);
				ck_assert_uint_eq(ret.note, (uint32_t)m->ctx);
			} else {
				unsigned i = m->n_held++;

				ck_assert_int_eq(act, FP_VFR_HELD);
				seen[h] = 1;
				for (; i && m->held_off[i - 1] > off; i--) {
					m->held_off[i] = m->held_off[i - 1];
					m->held[i] = m->held[i - 1];
				}
				m->held_off[i] = off, m->held[i] = h;
			}
		}
		ck_assert_uint_eq(drain(v, seen, m, m->n_held), 0);
		/* Whole, or its time is over: both forget it. */
		for (got = 0; m->any_last && got < m->total && m->who[got]; got++)
			;
		if (m->any_last && got == m->total && m->first && !m->dead) {
			memset(m, 0, sizeof(*m));
			done++;
		}
		if (test_rand(&rng) % 2000 == 0) {
			now += cfg.timeout_ns;
			fp_vfr_expire(v, now, 1000);
			for (unsigned i = 0; i < 64; i++)
				killed += model[i].first || model[i].dead ? 0 : model[i].n_held;
			memset(model, 0, sizeof(model));
			drain(v, seen, &model[0], 0);
		}
	}
	fp_vfr_expire(v, now + cfg.timeout_ns, 1000);
	drain(v, seen, &model[0], 0);
	for (unsigned h = 0; h <= 200000; h++)
		ck_assert_uint_ne(seen[h], 1); /* nothing stays behind */
	fp_vfr_stats(v, &st);
	ck_assert_uint_eq(st.n_open, 0);
	ck_assert_uint_eq(st.n_held, 0);
	ck_assert_uint_eq(st.n_done, done);
	ck_assert_uint_gt(done, 1000);
	ck_assert_uint_gt(released, 1000);
	ck_assert_uint_gt(killed, 100);
	ck_assert_ptr_null(fp_vfr_free(v));
}
END_TEST

static enum fp_vfr_act put(struct fp_vfr *v, bool v6, unsigned n, unsigned off, unsigned len,
			   bool more, uint64_t handle, uint64_t now, struct fp_vfr_ret *ret)
{
	struct tp t;
	struct fp_pkt p;

	fragment(&t, v6, n, off, len, more);
	ck_assert_int_eq(fp_classify(t.b, t.len, &p), FP_V_FORWARD);
	return fp_vfr_input(v, t.b, &p, 0, handle, now, ret);
}

START_TEST(vfr_limits)
{
	struct fp_vfr_cfg cfg = { .max_datagrams = 8,
				  .max_held = 4,
				  .per_source = 2,
				  .per_datagram = 3,
				  .timeout_ns = 100,
				  .seed = 1 };
	struct fp_vfr *v = fp_vfr_new(&cfg);
	struct fp_vfr_ret r;
	uint64_t h;
	enum rtr_drop why;

	/* Datagrams 0 to 3 come from one source. */
	ck_assert_int_eq(put(v, false, 0, 64, 64, true, 1, 0, &r), FP_VFR_HELD);
	ck_assert_int_eq(put(v, false, 1, 64, 64, true, 2, 0, &r), FP_VFR_HELD);
	ck_assert_int_eq(put(v, false, 2, 64, 64, true, 3, 0, &r), FP_VFR_DROP);
	ck_assert_uint_eq(r.drop, RTR_DROP_FRAG_SOURCE);
	ck_assert_int_eq(put(v, false, 4, 64, 64, true, 3, 1, &r), FP_VFR_HELD);
	ck_assert_int_eq(put(v, false, 4, 128, 64, true, 4, 1, &r), FP_VFR_HELD);
	ck_assert_int_eq(put(v, false, 4, 192, 64, true, 5, 1, &r), FP_VFR_DROP);
	ck_assert_uint_eq(r.drop, RTR_DROP_FRAG_HELD);
	/* Room again after the first came; the fourth piece is one too many. */
	ck_assert_int_eq(put(v, false, 4, 0, 64, true, 6, 1, &r), FP_VFR_PASS);
	fp_vfr_resolve(v, r.dgram, 99, 0);
	ck_assert(fp_vfr_released(v, &h, &(uint64_t){ 0 }, &(uint32_t){ 0 }) && h == 3);
	ck_assert(fp_vfr_released(v, &h, &(uint64_t){ 0 }, &(uint32_t){ 0 }) && h == 4);
	ck_assert_int_eq(put(v, false, 4, 192, 64, true, 7, 1, &r), FP_VFR_DROP);
	ck_assert_uint_eq(r.drop, RTR_DROP_FRAG_COUNT);
	ck_assert_int_eq(put(v, false, 4, 256, 64, false, 8, 1, &r), FP_VFR_DROP);
	ck_assert_uint_eq(r.drop, RTR_DROP_FRAG_DEAD);
	/* Time: the two oldest first. */
	ck_assert_uint_eq(fp_vfr_expire(v, 99, 10), 0);
	ck_assert_uint_eq(fp_vfr_expire(v, 100, 1), 1);
	ck_assert_uint_eq(fp_vfr_expire(v, 100, 10), 1);
	ck_assert(fp_vfr_dead(v, &h, &why) && h == 1 && why == RTR_DROP_FRAG_TIMEOUT);
	ck_assert(fp_vfr_dead(v, &h, &why) && h == 2);
	ck_assert(!fp_vfr_dead(v, &h, &why));
	/* Nine sources in eight places: the oldest makes room. */
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(put(v, false, 100 + 4 * i, 0, 64, true, i, 102, &r), FP_VFR_PASS);
	ck_assert_int_eq(put(v, false, 200, 64, 64, true, 50, 103, &r), FP_VFR_HELD);
	for (unsigned i = 0; i < 8; i++)
		put(v, true, 100 + 4 * i, 0, 64, true, i, 104, &r);
	ck_assert(fp_vfr_dead(v, &h, &why) && h == 50 && why == RTR_DROP_FRAG_TABLE);
	fp_vfr_free(v);
}
END_TEST

START_TEST(vfr_rules)
{
	struct fp_vfr_cfg cfg = { 64, 64, 0, 64, 1000, 3 };
	struct fp_vfr *v = fp_vfr_new(&cfg);
	struct fp_vfr_ret r;
	uint64_t h;
	enum rtr_drop why;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		/* A refused first fragment takes the rest along, with its reason. */
		ck_assert_int_eq(put(v, v6, 1, 64, 64, true, 1, 0, &r), FP_VFR_HELD);
		ck_assert_int_eq(put(v, v6, 1, 0, 64, true, 2, 0, &r), FP_VFR_PASS);
		/* Between the first and its flow others still wait. */
		ck_assert_int_eq(put(v, v6, 1, 128, 64, true, 3, 0, &r), FP_VFR_HELD);
		fp_vfr_refuse(v, r.dgram, RTR_DROP_ACL_DENY);
		ck_assert(fp_vfr_dead(v, &h, &why) && h == 1 && why == RTR_DROP_ACL_DENY);
		ck_assert(fp_vfr_dead(v, &h, &why) && h == 3 && why == RTR_DROP_ACL_DENY);
		ck_assert_int_eq(put(v, v6, 1, 192, 64, true, 4, 0, &r), FP_VFR_DROP);
		ck_assert_uint_eq(r.drop, RTR_DROP_ACL_DENY);
		/* RFC 5722: one overlap ends all, also for what comes later. */
		ck_assert_int_eq(put(v, v6, 2, 64, 64, true, 5, 0, &r), FP_VFR_HELD);
		ck_assert_int_eq(put(v, v6, 2, 120, 64, true, 6, 0, &r), FP_VFR_DROP);
		ck_assert_uint_eq(r.drop, RTR_DROP_FRAG_OVERLAP);
		ck_assert(fp_vfr_dead(v, &h, &why) && h == 5 && why == RTR_DROP_FRAG_OVERLAP);
		ck_assert_int_eq(put(v, v6, 2, 0, 64, true, 7, 0, &r), FP_VFR_DROP);
		ck_assert_uint_eq(r.drop, RTR_DROP_FRAG_DEAD);
		/* After its time the id is free again. */
		ck_assert_int_eq(put(v, v6, 2, 0, 64, true, 7, 1000, &r), FP_VFR_PASS);
		ck_assert(r.first);
		fp_vfr_expire(v, 5000, 100);
	}
	fp_vfr_free(v);
	ck_assert_ptr_null(fp_vfr_new(&(struct fp_vfr_cfg){ 0, 1, 0, 1, 1, 1 }));
	ck_assert_ptr_null(fp_vfr_new(&(struct fp_vfr_cfg){ 1, 1, 0, 65, 1, 1 }));
	ck_assert_ptr_null(fp_vfr_new(&(struct fp_vfr_cfg){ 1, 0, 0, 1, 1, 1 }));
}
END_TEST

/* A first IPv6 fragment whose chain has a header behind the fragment header counts it. */
START_TEST(vfr_ext_behind_fragment)
{
	struct fp_vfr_cfg cfg = { 64, 64, 0, 64, 1000, 3 };
	struct fp_vfr *v = fp_vfr_new(&cfg);
	struct fp_vfr_ret r;
	struct fp_vfr_stats st;
	struct tp t;
	struct fp_pkt p;

	tp_eth(&t, 0x86dd), tp_ip6(&t, 100, 200, 17, 64), tp_frag6(&t, 2, 0, true);
	tp_ext6(&t, 60, 8), tp_payload(&t, 56), tp_w16(t.b + t.l4 + 4, 4000), tp_done(&t);
	ck_assert_int_eq(fp_classify(t.b, t.len, &p), FP_V_FORWARD);
	ck_assert_int_eq(fp_vfr_input(v, t.b, &p, 0, 1, 0, &r), FP_VFR_PASS);
	fp_vfr_resolve(v, r.dgram, 5, 0);
	ck_assert_int_eq(put(v, true, 2, 64, 20, false, 2, 0, &r), FP_VFR_PASS);
	fp_vfr_stats(v, &st);
	ck_assert_uint_eq(st.n_done, 1);
	fp_vfr_free(v);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("frag");
	TCase *tc = tcase_create("frag");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, cut_and_join);
	tcase_add_test(tc, cut_refuses);
	tcase_add_test(tc, vfr_is_the_model);
	tcase_add_test(tc, vfr_limits);
	tcase_add_test(tc, vfr_rules);
	tcase_add_test(tc, vfr_ext_behind_fragment);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
