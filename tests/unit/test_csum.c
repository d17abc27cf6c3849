/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums against byte-wise full computation; RFC 1624 over whole 16-bit ranges. */
#include "../../fastpath/csum.h"
#include "../../fastpath/parse.h"
#include "../lib/check_main.h"
#include "../lib/packet.h"

START_TEST(sum_any_length)
{
	uint64_t rng = test_seed;
	uint8_t buf[300];

	for (int round = 0; round < 200; round++) {
		for (unsigned i = 0; i < sizeof(buf); i++)
			buf[i] = round % 4 ? (uint8_t)test_rand(&rng) : 0xff * (round / 4 % 2);
		for (unsigned at = 0; at < 9; at++)
			for (unsigned n = 0; n + at <= sizeof(buf); n += 1 + n / 40)
				ck_assert_uint_eq(ntohs(fp_csum_fold(fp_csum_add(buf + at, n, 0))),
						  tp_sum(buf + at, n, 0));
	}
	ck_assert_uint_eq(fp_csum_fold(UINT64_MAX), 0xffff);
	ck_assert_uint_eq(fp_csum_fold(0), 0);
}
END_TEST

/* A message of three words whose first changes: the old checksum, adjusted, must be bit for bit
 * the one computed over the new message. The third word keeps it from being all zero. */
static void one_pair(uint16_t m, uint16_t n, uint16_t other)
{
	const uint16_t old[2] = { m, other }, new[2] = { n, other };
	uint16_t before = (uint16_t)~fp_csum_fold((uint64_t)old[0] + old[1]);
	uint16_t want = (uint16_t)~fp_csum_fold((uint64_t) new[0] + new[1]);
	uint16_t got = fp_csum_adjust(before, fp_csum_delta16(m, n));

	if (got != want)
		ck_abort_msg("m %04x -> %04x other %04x: %04x, want %04x", m, n, other, got, want);
	if (fp_csum_adjust_udp(before ? before : 0xffff, fp_csum_delta16(m, n)) !=
	    (want ? want : 0xffff))
		ck_abort_msg("udp m %04x -> %04x other %04x", m, n, other);
}

START_TEST(rfc1624_exhaustive)
{
	static const uint16_t edge[] = { 0, 1, 2, 0x7fff, 0x8000, 0x8001, 0xfffd, 0xfffe, 0xffff };
	uint64_t rng = test_seed;

	for (uint32_t m = 0; m < 65536; m++) {
		for (unsigned e = 0; e < ARRAY_LEN(edge); e++)
			for (unsigned o = 1; o < ARRAY_LEN(edge); o++) {
				one_pair((uint16_t)m, edge[e], edge[o]);
				one_pair(edge[e], (uint16_t)m, edge[o]);
			}
		/* Every difference of the pair that makes the sum 0xffff, where -0 and +0 meet. */
		one_pair((uint16_t)m, (uint16_t)~m, (uint16_t)m ? (uint16_t)m : 1);
		for (int i = 0; i < 32; i++) {
			uint64_t r = test_rand(&rng);

			one_pair((uint16_t)m, (uint16_t)r,
				 (uint16_t)(r >> 16) ? (uint16_t)(r >> 16) : 1);
		}
	}
	/* The example of RFC 1624 section 4. */
	ck_assert_uint_eq(fp_csum_adjust(0xdd2f, fp_csum_delta16(0x5555, 0x3285)), 0x0000);
}
END_TEST

START_TEST(delta_of_many_words)
{
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(200000); round < n_rounds; round++) {
		uint8_t old[40], new[40];
		unsigned n = 2 * (1 + test_rand(&rng) % 18);
		uint16_t got, want;

		for (unsigned i = 0; i < sizeof(old); i++) {
			old[i] = (uint8_t)test_rand(&rng);
			new[i] = i < n ? (uint8_t)test_rand(&rng) : old[i];
		}
		got = fp_csum_adjust((uint16_t)~fp_csum_fold(fp_csum_add(old, sizeof(old), 0)),
				     fp_csum_delta(old, new, n));
		want = (uint16_t)~fp_csum_fold(fp_csum_add(new, sizeof(new), 0));
		ck_assert_uint_eq(got, want);
	}
}
END_TEST

static void random_packet(struct tp *t, uint64_t *rng)
{
	uint64_t r = test_rand(rng);
	static const uint8_t protos[] = { 6, 17, 1, 58, 136 };
	bool v6 = r & 1;
	uint8_t proto = protos[r / 2 % 5];
	unsigned payload = r / 16 % 300;

	if (proto == 1 || proto == 58)
		proto = v6 ? 58 : 1;
	tp_eth(t, v6 ? 0x86dd : 0x0800);
	if (v6)
		tp_ip6(t, (uint32_t)(r >> 16 | 1), (uint32_t)(r >> 32 | 2), proto, 64);
	else
		tp_ip4(t, 0x0a000000 | (r >> 16 & 0xffffff), 0xc0000000 | (r >> 40), proto, 64);
	if (v6 && r >> 60 == 0)
		tp_ext6(t, 60, 16);
	if (proto == 6)
		tp_tcp(t, r >> 20 & 0xffff, 80, 2, NULL, 0, payload);
	else if (proto == 1 || proto == 58)
		tp_icmp(t, v6 ? 128 : 8, 0, (uint32_t)(r >> 8), payload);
	else
		tp_udp(t, r >> 20 & 0xffff, 53, payload);
	/* Make some checksums come out as 0 and 0xffff: choose the last word so. */
	tp_done(t);
	if (r >> 58 == 1 && payload >= 2 && payload % 2 == 0) {
		uint32_t s = tp_r16(t->b + t->len - 2) + tp_r16(t->b + t->l4 + tp_csum_off(t));

		tp_w16(t->b + t->len - 2, s > 0xffff ? s - 0xffff : s);
		tp_done(t);
	}
}

START_TEST(transport)
{
	uint64_t rng = test_seed;
	unsigned zero = 0, partial = 0;

	for (int round = 0, n_rounds = tp_rounds(100000); round < n_rounds; round++) {
		struct tp t;
		struct fp_pkt p;
		unsigned at, right, pseudo;

		random_packet(&t, &rng);
		ck_assert_int_ne(fp_parse(t.b, t.len, &p), FP_V_DROP);
		at = t.l4 + (unsigned)tp_csum_off(&t);
		right = tp_r16(t.b + at);
		zero += right == 0 || right == 0xffff;
		ck_assert(fp_csum_l4_ok(t.b, &p));
		/* Any other value is wrong, but for UDP's 0 and the twin of 0. */
		tp_w16(t.b + at, right ^ (1 + test_rand(&rng) % 0xfffe));
		if (tp_r16(t.b + at) != 0 && tp_r16(t.b + at) != 0xffff && right != 0xffff)
			ck_assert(!fp_csum_l4_ok(t.b, &p));
		if (t.proto == 17 && t.family == 4) {
			tp_w16(t.b + at, 0);
			ck_assert(fp_csum_l4_ok(t.b, &p));
		}
		/* As a sender leaves it to its NIC. */
		if (t.proto != 1) {
			pseudo = tp_pseudo(&t);
			tp_w16(t.b + at, pseudo);
			ck_assert(fp_csum_l4_is_partial(t.b, &p));
			tp_w16(t.b + at, pseudo ^ 0x0101);
			ck_assert(!fp_csum_l4_is_partial(t.b, &p));
			partial++;
		}
		tp_w16(t.b + at, (unsigned)test_rand(&rng) & 0xffff);
		ck_assert(fp_csum_l4_fill(t.b, &p));
		ck_assert_uint_eq(tp_r16(t.b + at), right);
	}
	ck_assert_uint_gt(zero, 100);
	ck_assert_uint_gt(partial, 1000);
}
END_TEST

START_TEST(udp_zero)
{
	struct tp t;
	struct fp_pkt p;

	ck_assert_uint_eq(fp_csum_adjust_udp(0, 0x1234), 0);
	tp_eth(&t, 0x86dd);
	tp_ip6(&t, 1, 2, 17, 64);
	tp_udp(&t, 1, 2, 10);
	tp_done(&t);
	tp_w16(t.b + t.l4 + 6, 0);
	fp_parse(t.b, t.len, &p);
	ck_assert(p.flags & FP_F_UDP_NOCSUM);
	ck_assert(!fp_csum_l4_ok(t.b, &p));
	tp_eth(&t, 0x0800);
	tp_ip4(&t, 0x0a000001, 0x0a000002, 136, 64);
	tp_udp(&t, 1, 2, 10);
	tp_done(&t);
	/* Right but for its sign: what would be 0xffff if it were sent as UDP-Lite wants. */
	tp_w16(t.b + t.len - 2, tp_sum(t.b + t.len - 2, 2, tp_r16(t.b + t.l4 + 6)));
	tp_done(&t);
	ck_assert_uint_eq(tp_r16(t.b + t.l4 + 6), 0xffff);
	fp_parse(t.b, t.len, &p);
	ck_assert(fp_csum_l4_ok(t.b, &p));
	tp_w16(t.b + t.l4 + 6, 0);
	ck_assert(!fp_csum_l4_ok(t.b, &p));
	/* UDP shorter than its IP payload: only its own bytes count. */
	tp_eth(&t, 0x0800);
	tp_ip4(&t, 0x0a000001, 0x0a000002, 17, 64);
	tp_udp(&t, 1, 2, 10);
	tp_done(&t);
	tp_w16(t.b + t.l3 + 2, 20 + 18 + 4);
	tp_fix_ip4(&t);
	tp_grow(&t, 4);
	memset(t.b + t.len - 4, 0x5a, 4);
	fp_parse(t.b, t.len, &p);
	ck_assert(fp_csum_l4_ok(t.b, &p));
	/* Fragments have no checksum of their own. */
	tp_frag4(&t, 0, true);
	tp_fix_ip4(&t);
	t.b[t.l3 + 3] = 20 + 16;
	fp_parse(t.b, t.len, &p);
	ck_assert(!fp_csum_l4_fill(t.b, &p));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("csum");
	TCase *tc = tcase_create("csum");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, sum_any_length);
	tcase_add_test(tc, rfc1624_exhaustive);
	tcase_add_test(tc, delta_of_many_words);
	tcase_add_test(tc, transport);
	tcase_add_test(tc, udp_zero);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
