/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ICMP errors that we send, how often, and the translation of errors that cross a NAT: the
 * translated error must be the error about the untranslated packet, byte for byte. */
#include "../../fastpath/csum.h"
#include "../../fastpath/icmp_err.h"
#include "../../fastpath/icmp_quote.h"
#include "../lib/check_main.h"
#include "../lib/packet.h"

#define HOST4   0x0a000001
#define PEER4   0xc0000201
#define PUBLIC4 0xc6336401
#define ROUTER4 0xcb007101

static const uint8_t router4[4] = { 203, 0, 113, 1 };

static void udp(struct tp *t, bool v6, uint32_t src, uint32_t dst, unsigned payload)
{
	tp_eth(t, v6 ? 0x86dd : 0x0800);
	if (v6)
		tp_ip6(t, src, dst, 17, 64);
	else
		tp_ip4(t, src, dst, 17, 64);
	tp_udp(t, 1000, 53, payload);
	tp_done(t);
}

START_TEST(build_errors)
{
	static const struct {
		uint8_t t4, c4, t6, c6;
	} want[FP_ICMP_K__MAX] = {
		{ 3, 0, 1, 0 }, { 3, 1, 1, 3 }, { 3, 3, 1, 4 },  { 3, 13, 1, 1 },
		{ 3, 1, 1, 6 }, { 3, 4, 2, 0 }, { 11, 0, 3, 0 }, { 12, 0, 4, 0 },
	};
	uint64_t rng = test_seed;
	uint8_t router6[16];

	tp_addr6(router6, 99);
	for (int round = 0, n_rounds = tp_rounds(20000); round < n_rounds; round++) {
		bool v6 = test_rand(&rng) & 1;
		unsigned kind = test_rand(&rng) % FP_ICMP_K__MAX, head = v6 ? 40 : 20, quote;
		struct fp_icmp_req req = {
			.kind = kind, .arg = 1400, .src = v6 ? router6 : router4, .id = 77
		};
		struct tp t;
		struct fp_pkt p;
		uint8_t *out;
		uint32_t len;

		udp(&t, v6, HOST4, PEER4, test_rand(&rng) % 1800);
		tp_grow(&t, test_rand(&rng) % 20); /* padding is not quoted */
		ck_assert_int_eq(fp_classify(t.b, t.len, &p), FP_V_FORWARD);
		ck_assert(fp_icmp_err_allowed(t.b, &p, kind));
		quote = MIN((unsigned)(p.end - p.l3_off), (v6 ? 1280 : 576) - head - 8);
		out = xmalloc(head + 8 + quote);
		ck_assert_uint_eq(fp_icmp_err_build(out, head + 7 + quote, t.b, &p, &req), 0);
		len = fp_icmp_err_build(out, head + 8 + quote, t.b, &p, &req);
		ck_assert_uint_eq(len, head + 8 + quote);
		ck_assert(tp_sane(out, len));
		ck_assert(!memcmp(out + head + 8, t.b + t.l3, quote));
		ck_assert(!memcmp(out + (v6 ? 24 : 16), t.b + t.l3 + (v6 ? 8 : 12), v6 ? 16 : 4));
		ck_assert(!memcmp(out + (v6 ? 8 : 12), req.src, v6 ? 16 : 4));
		ck_assert_uint_eq(out[head], v6 ? want[kind].t6 : want[kind].t4);
		ck_assert_uint_eq(out[head + 1], v6 ? want[kind].c6 : want[kind].c4);
		ck_assert_uint_eq(tp_r32(out + head + 4), kind == FP_ICMP_K_TOO_BIG ? 1400 : 0);
		free(out);
	}
}
END_TEST

START_TEST(error_arguments)
{
	struct fp_icmp_req req = { .kind = FP_ICMP_K_TOO_BIG, .arg = 600, .src = router4 };
	uint8_t router6[16], out[1280];
	struct tp t;
	struct fp_pkt p;

	tp_addr6(router6, 99);
	udp(&t, false, HOST4, PEER4, 100), fp_classify(t.b, t.len, &p);
	ck_assert_uint_gt(fp_icmp_err_build(out, sizeof(out), t.b, &p, &req), 0);
	ck_assert_uint_eq(tp_r32(out + 24), 600);
	req.arg = 0; /* RFC 1191: never announce 0 */
	fp_icmp_err_build(out, sizeof(out), t.b, &p, &req);
	ck_assert_uint_eq(tp_r32(out + 24), 68);
	req.arg = 100000;
	fp_icmp_err_build(out, sizeof(out), t.b, &p, &req);
	ck_assert_uint_eq(tp_r32(out + 24), 65535);
	udp(&t, true, 1, 2, 100), fp_classify(t.b, t.len, &p);
	req.src = router6, req.arg = 600; /* RFC 8201: never below 1280 */
	fp_icmp_err_build(out, sizeof(out), t.b, &p, &req);
	ck_assert_uint_eq(tp_r32(out + 44), 1280);
	req.kind = FP_ICMP_K_PARAM;
	p.err = (struct fp_err){ 4, 1, 40 };
	fp_icmp_err_build(out, sizeof(out), t.b, &p, &req);
	ck_assert_uint_eq(out[41], 1);
	ck_assert_uint_eq(tp_r32(out + 44), 40);
	udp(&t, false, HOST4, PEER4, 100), fp_classify(t.b, t.len, &p);
	req.src = router4;
	p.err = (struct fp_err){ 12, 0, 21 };
	fp_icmp_err_build(out, sizeof(out), t.b, &p, &req);
	ck_assert_uint_eq(tp_r32(out + 24), 21u << 24);
}
END_TEST

static bool allowed(const struct tp *t, enum fp_icmp_kind kind)
{
	struct fp_pkt p;

	fp_classify(t->b, t->len, &p);
	return fp_icmp_err_allowed(t->b, &p, kind);
}

START_TEST(when_not_to_send)
{
	static const uint32_t bad_src[] = { 0, 0x7f000001, 0xe0000001, 0xffffffff, 0xf0000001 };
	struct tp t;

	for (unsigned i = 0; i < ARRAY_LEN(bad_src); i++) {
		udp(&t, false, bad_src[i], PEER4, 9);
		ck_assert(!allowed(&t, FP_ICMP_K_NET));
	}
	udp(&t, false, HOST4, 0xe0000005, 9);
	ck_assert(!allowed(&t, FP_ICMP_K_NET));
	udp(&t, false, HOST4, 0xffffffff, 9);
	ck_assert(!allowed(&t, FP_ICMP_K_NET));
	udp(&t, false, HOST4, PEER4, 9), t.b[0] |= 1;
	ck_assert(!allowed(&t, FP_ICMP_K_NET));
	udp(&t, false, HOST4, PEER4, 9), tp_frag4(&t, 64, false), tp_done(&t);
	ck_assert(!allowed(&t, FP_ICMP_K_TTL));
	udp(&t, false, HOST4, PEER4, 16), tp_frag4(&t, 0, true), tp_done(&t);
	ck_assert(allowed(&t, FP_ICMP_K_TTL));
	for (unsigned type = 0; type < 256; type++) {
		bool error = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;

		tp_eth(&t, 0x0800), tp_ip4(&t, HOST4, PEER4, 1, 64), tp_icmp(&t, type, 0, 0, 28);
		tp_done(&t);
		ck_assert_int_eq(allowed(&t, FP_ICMP_K_TTL), !error);
		tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 58, 64), tp_icmp(&t, type, 0, 0, 48);
		tp_done(&t);
		ck_assert_int_eq(allowed(&t, FP_ICMP_K_TTL), type >= 128 && type != 137);
	}
	udp(&t, true, 1, 2, 9), t.b[t.l3 + 24] = 0xff;
	ck_assert(!allowed(&t, FP_ICMP_K_NET));
	ck_assert(allowed(&t, FP_ICMP_K_TOO_BIG));
	udp(&t, true, 1, 2, 9), t.b[0] |= 1;
	ck_assert(!allowed(&t, FP_ICMP_K_TTL));
	ck_assert(allowed(&t, FP_ICMP_K_TOO_BIG));
	udp(&t, true, 1, 2, 9), t.b[t.l3 + 8] = 0xff;
	ck_assert(!allowed(&t, FP_ICMP_K_TOO_BIG));
	udp(&t, true, 1, 2, 9), memset(t.b + t.l3 + 8, 0, 16);
	ck_assert(!allowed(&t, FP_ICMP_K_NET));
	tp_eth(&t, 0x0806), tp_grow(&t, 28);
	ck_assert(!allowed(&t, FP_ICMP_K_NET));
}
END_TEST

START_TEST(limiter)
{
	static struct fp_icmp_rl rl;
	uint64_t now = 1000 * NSEC_PER_SEC;
	struct tp t;
	struct fp_pkt p;
	unsigned sent = 0;

	fp_icmp_rl_init(&rl, 10, 5, test_seed, now);
	udp(&t, false, HOST4, PEER4, 9), fp_classify(t.b, t.len, &p);
	for (int i = 0; i < 1000; i++)
		sent += fp_icmp_rl_take(&rl, FP_ICMP_K_TTL, t.b, &p, now);
	ck_assert_uint_eq(sent, 6); /* its first, then the burst */
	/* The same sender's first error of another kind, another sender's first of this kind. */
	ck_assert(fp_icmp_rl_take(&rl, FP_ICMP_K_TOO_BIG, t.b, &p, now));
	for (unsigned i = 1; i < 4; i++) {
		udp(&t, i & 1, HOST4 + i, PEER4, 9), fp_classify(t.b, t.len, &p);
		ck_assert(fp_icmp_rl_take(&rl, FP_ICMP_K_TTL, t.b, &p, now));
		ck_assert(!fp_icmp_rl_take(&rl, FP_ICMP_K_TTL, t.b, &p, now));
	}
	/* Ten seconds of flood from one sender: rate and burst, and one "first" a second at most.
	 */
	sent = 0;
	for (int i = 0; i < 100000; i++) {
		now += NSEC_PER_SEC / 10000;
		sent += fp_icmp_rl_take(&rl, FP_ICMP_K_TTL, t.b, &p, now);
	}
	ck_assert_uint_ge(sent, 99);
	ck_assert_uint_le(sent, 100 + 5 + 11);
	/* A second flood from everywhere is bounded too. */
	sent = 0;
	for (unsigned i = 0; i < 100000; i++) {
		now += NSEC_PER_SEC / 10000;
		udp(&t, false, HOST4 + i, PEER4, 1), fp_classify(t.b, t.len, &p);
		sent += fp_icmp_rl_take(&rl, FP_ICMP_K_TTL, t.b, &p, now);
	}
	ck_assert_uint_ge(sent, 99);
	ck_assert_uint_le(sent, 100 + 5 + 1);
	ck_assert_uint_eq(rl.n_sent[FP_ICMP_K_TTL] + rl.n_limited[FP_ICMP_K_TTL], 201006);
	/* A clock that steps back neither stops the limiter for good nor opens it. */
	for (unsigned i = 0; i < 1000; i++)
		fp_icmp_rl_take(&rl, FP_ICMP_K_TTL, t.b, &p, 5);
	ck_assert(fp_icmp_rl_take(&rl, FP_ICMP_K_TTL, t.b, &p, 5 + 2 * NSEC_PER_SEC));
}
END_TEST

/* One transport packet between two endpoints, as a flow has it on one side of the NAT. */
static void packet(struct tp *t, bool v6, uint8_t proto, const uint32_t a[2],
		   const unsigned port[2], uint8_t ttl, unsigned payload, unsigned ext)
{
	tp_eth(t, v6 ? 0x86dd : 0x0800);
	if (v6)
		tp_ip6(t, a[0], a[1], proto == 1 ? 58 : proto, ttl);
	else
		tp_ip4(t, a[0], a[1], proto, ttl);
	if (v6 && ext)
		tp_ext6(t, 60, 8 * ext);
	else if (ext)
		tp_ip4_options(t, "\x94\x04\0\0", 4);
	if (proto == 6)
		tp_tcp(t, port[0], port[1], 2, "\2\4\5\xb4", 4, payload);
	else if (proto == 1)
		tp_icmp(t, v6 ? 128 : 8, 0, port[0] << 16 | 9, payload);
	else if (proto == 50)
		tp_w32(tp_grow(t, 8 + payload), 0x1234);
	else
		tp_udp(t, port[0], port[1], payload);
	tp_done(t);
}

/* The error from src to dst that quotes n bytes of the packet. */
static void error(struct tp *e, bool v6, uint32_t src, uint32_t dst, const struct tp *quoted,
		  unsigned n, unsigned junk)
{
	tp_eth(e, v6 ? 0x86dd : 0x0800);
	if (v6)
		tp_ip6(e, src, dst, 58, 60);
	else
		tp_ip4(e, src, dst, 1, 60);
	tp_icmp(e, v6 ? 1 : 3, v6 ? 4 : 3, 0, 0);
	memcpy(tp_grow(e, n), quoted->b + quoted->l3, n);
	if (junk) { /* an extension of RFC 4884 behind the quote */
		tp_payload(e, junk);
		e->b[e->l4 + (v6 ? 4 : 5)] = (uint8_t)(n / (v6 ? 8 : 4));
	}
	tp_done(e);
}

START_TEST(quote_is_a_rebuild)
{
	static const uint8_t protos[] = { 6, 17, 136, 1, 50, 132 };
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(40000); round < n_rounds; round++) {
		uint64_t r = test_rand(&rng);
		bool v6 = r & 1, nocsum = r >> 1 & 1;
		uint8_t proto = protos[(r >> 2) % 6];
		unsigned payload = r >> 8 & 63, n, junk = 4 * (r >> 16 & 3);
		unsigned ext = r >> 18 & 1;
		uint32_t host = HOST4 + (r >> 20 & 0xff), peer = PEER4 + (r >> 28 & 0xff);
		unsigned inside[2] = { r >> 32 & 0xffff, 53 }, outside[2] = { r >> 48, 53 };
		const uint32_t a_in[2] = { host, peer }, a_out[2] = { PUBLIC4, peer };
		struct tp q_in, q_out, got, want;
		struct fp_pkt p;
		struct fp_quote q;

		if (proto == 1 || proto == 50 || proto == 132)
			inside[1] = inside[0], outside[1] = outside[0];
		if (proto == 50 || proto == 132)
			outside[0] = inside[0], outside[1] = inside[1];
		packet(&q_in, v6, proto, a_in, inside, 7, payload, ext);
		packet(&q_out, v6, proto, a_out, outside, 7, payload, ext);
		if (proto == 17 && nocsum && !v6)
			tp_w16(q_in.b + q_in.l4 + 6, 0), tp_w16(q_out.b + q_out.l4 + 6, 0);
		n = q_in.l4 - q_in.l3 + 8;
		n += test_rand(&rng) % (q_in.len - q_in.l3 - n + 1);
		n -= proto == 6 &&
		     n == q_in.l4 - q_in.l3 + 17; /* half a checksum cannot be known */
		error(&got, v6, ROUTER4, PUBLIC4, &q_out, n, n % 8 ? 0 : junk);
		error(&want, v6, ROUTER4, host, &q_in, n, n % 8 ? 0 : junk);
		ck_assert_int_eq(fp_classify(got.b, got.len, &p), FP_V_FORWARD);
		ck_assert_uint_eq(fp_quote_parse(got.b, &p, &q), RTR_DROP_NONE);
		ck_assert_uint_eq(q.proto, q_out.proto);
		ck_assert_uint_eq(q.l4_off - q.ip_off, q_out.l4 - q_out.l3);
		if (v6) {
			struct fp_tuple6 f, to;
			uint8_t hop[16], dst[16];

			fp_quote_tuple6(got.b, &q, &f);
			to = f;
			ck_assert(!memcmp(f.src, q_out.b + q_out.l3 + 8, 16));
			tp_addr6(to.src, host), tp_addr6(hop, ROUTER4), tp_addr6(dst, host);
			if (q.ports)
				to.sport_be = htons(inside[0]);
			fp_quote_nat6(got.b, &p, &q, &to, hop, dst);
		} else {
			struct fp_tuple4 f, to;

			fp_quote_tuple4(got.b, &q, &f);
			ck_assert_uint_eq(f.src_be, htonl(PUBLIC4));
			ck_assert_uint_eq(f.dst_be, htonl(peer));
			to = f;
			to.src_be = htonl(host);
			if (q.ports)
				to.sport_be = htons(inside[0]);
			fp_quote_nat4(got.b, &p, &q, &to, htonl(ROUTER4), htonl(host));
		}
		for (unsigned i = 0; i < want.len; i++)
			if (got.b[i] != want.b[i])
				ck_abort_msg(
					"v6 %d proto %u n %u byte %u (quote %+d): %02x want %02x",
					v6, proto, n, i, (int)i - (int)q.ip_off, got.b[i],
					want.b[i]);
	}
}
END_TEST

START_TEST(quotes_refused)
{
	const uint32_t a[2] = { HOST4, PEER4 };
	const unsigned port[2] = { 1000, 53 };
	struct tp in, e;
	struct fp_pkt p;
	struct fp_quote q;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		packet(&in, v6, 17, a, port, 7, 20, 0);
		/* Every length below the addresses and 8 bytes of transport. */
		for (unsigned n = 0; n < (v6 ? 48 : 28); n++) {
			error(&e, v6, ROUTER4, PUBLIC4, &in, n, 0);
			ck_assert_int_eq(fp_classify(e.b, e.len, &p), FP_V_FORWARD);
			ck_assert_uint_eq(fp_quote_parse(e.b, &p, &q), RTR_DROP_ICMP_QUOTE);
		}
		error(&e, v6, ROUTER4, PUBLIC4, &in, 48, 0);
		fp_classify(e.b, e.len, &p);
		ck_assert_uint_eq(fp_quote_parse(e.b, &p, &q), RTR_DROP_NONE);
		e.b[e.l4 + 3] ^= 1;
		ck_assert_uint_eq(fp_quote_parse(e.b, &p, &q), RTR_DROP_L4_CSUM);
		/* The other family inside. */
		packet(&in, !v6, 17, a, port, 7, 20, 0);
		error(&e, v6, ROUTER4, PUBLIC4, &in, 48, 0);
		fp_classify(e.b, e.len, &p);
		ck_assert_uint_eq(fp_quote_parse(e.b, &p, &q), RTR_DROP_ICMP_QUOTE);
		/* An error about an error. */
		packet(&in, v6, 17, a, port, 7, 20, 0);
		error(&e, v6, ROUTER4, PUBLIC4, &in, 48, 0);
		in = e;
		error(&e, v6, ROUTER4, PUBLIC4, &in, 60, 0);
		fp_classify(e.b, e.len, &p);
		ck_assert_uint_eq(fp_quote_parse(e.b, &p, &q), RTR_DROP_ICMP_QUOTE);
	}
	/* A later fragment quoted by "packet too big": addresses and id, no ports. */
	tp_eth(&in, 0x86dd), tp_ip6(&in, 1, 2, 17, 9), tp_frag6(&in, 4711, 1240, false);
	tp_payload(&in, 30), tp_done(&in);
	error(&e, true, 3, 1, &in, 60, 0);
	fp_classify(e.b, e.len, &p);
	ck_assert_uint_eq(fp_quote_parse(e.b, &p, &q), RTR_DROP_NONE);
	ck_assert(q.fragment && !q.ports);
	ck_assert_uint_eq(q.frag_id, 4711);
}
END_TEST

/* Any bytes in the quote: never beyond the frame, and the outer checksums stay right. */
START_TEST(quote_noise)
{
	uint64_t rng = test_seed;
	unsigned parsed = 0;

	for (int round = 0, n_rounds = tp_rounds(100000); round < n_rounds; round++) {
		bool v6 = test_rand(&rng) & 1;
		struct tp in, e;
		struct fp_pkt p;
		struct fp_quote q;
		const uint32_t a[2] = { HOST4, PEER4 };
		const unsigned port[2] = { 1000, 53 };
		uint8_t *exact;

		packet(&in, v6, test_rand(&rng) & 1 ? 6 : 17, a, port, 7, 30, test_rand(&rng) & 1);
		for (unsigned i = test_rand(&rng) % 6; i; i--)
			in.b[in.l3 + test_rand(&rng) % 48] = (uint8_t)test_rand(&rng);
		error(&e, v6, ROUTER4, PUBLIC4, &in, test_rand(&rng) % (in.len - in.l3), 0);
		exact = xmalloc(e.len);
		memcpy(exact, e.b, e.len);
		ck_assert_int_eq(fp_classify(exact, e.len, &p), FP_V_FORWARD);
		if (!fp_quote_parse(exact, &p, &q)) {
			struct fp_tuple4 t4 = { 1, 2, 3, 4, q.proto };
			struct fp_tuple6 t6 = { .sport_be = 5, .dport_be = 6 };
			uint8_t s[16], d[16];

			tp_addr6(s, 8), tp_addr6(d, 9);
			if (v6)
				fp_quote_nat6(exact, &p, &q, &t6, s, d);
			else
				fp_quote_nat4(exact, &p, &q, &t4, htonl(HOST4), htonl(PEER4));
			ck_assert(tp_sane(exact + p.l3_off, e.len - p.l3_off));
			parsed++;
		}
		free(exact);
	}
	ck_assert_uint_gt(parsed, 1000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("icmp");
	TCase *tc = tcase_create("icmp");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, build_errors);
	tcase_add_test(tc, error_arguments);
	tcase_add_test(tc, when_not_to_send);
	tcase_add_test(tc, limiter);
	tcase_add_test(tc, quote_is_a_rebuild);
	tcase_add_test(tc, quotes_refused);
	tcase_add_test(tc, quote_noise);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
