/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frame parser: what was built is what is read; every lie has its reason; no cut or flipped
 * frame makes it promise bytes that are not there. */
#include "../../fastpath/csum.h"
#include "../../fastpath/parse.h"
#include "../lib/check_main.h"
#include "../lib/packet.h"

#define SRC4 0x0a000001
#define DST4 0xc0000201

/* The frame in a block of exactly its size, so that a sanitizer sees the first byte too many. */
static enum fp_verdict judge(const struct tp *t, struct fp_pkt *p)
{
	uint8_t *exact = xmalloc(t->len ? t->len : 1);
	enum fp_verdict v;

	memcpy(exact, t->b, t->len);
	v = fp_classify(exact, t->len, p);
	ck_assert_int_eq(v, p->verdict);
	free(exact);
	return v;
}

static void expect_drop(const struct tp *t, enum rtr_drop why)
{
	struct fp_pkt p;

	if (judge(t, &p) != FP_V_DROP || p.drop != why)
		ck_abort_msg("verdict %u drop %s, want %s", p.verdict, rtr_drop_text(p.drop),
			     rtr_drop_text(why));
}

static void expect_param(const struct tp *t, enum rtr_drop why, uint8_t type, uint8_t code,
			 unsigned pointer)
{
	struct fp_pkt p;

	expect_drop(t, why);
	judge(t, &p);
	ck_assert_uint_eq(p.err.type, type);
	ck_assert_uint_eq(p.err.code, code);
	ck_assert_uint_eq(p.err.pointer, pointer);
}

static void expect_forward(const struct tp *t, struct fp_pkt *p)
{
	ck_assert_int_eq(judge(t, p), FP_V_FORWARD);
}

static void expect_punt(const struct tp *t, enum fp_punt why)
{
	struct fp_pkt p;

	if (judge(t, &p) != FP_V_KERNEL || p.punt != why)
		ck_abort_msg("verdict %u drop %s punt %s, want %s", p.verdict,
			     rtr_drop_text(p.drop), fp_punt_text(p.punt), fp_punt_text(why));
}

static void udp4(struct tp *t)
{
	tp_eth(t, 0x0800);
	tp_ip4(t, SRC4, DST4, 17, 64);
	tp_udp(t, 1000, 53, 30);
	tp_done(t);
}

static void tcp6(struct tp *t)
{
	tp_eth(t, 0x86dd);
	tp_ip6(t, 1, 2, 6, 64);
	tp_tcp(t, 1000, 80, 2, NULL, 0, 30);
	tp_done(t);
}

/* Random sound packet with any framing; checks every field of the result. */
static void build(struct tp *t, uint64_t *rng)
{
	static const uint8_t protos[] = { 6, 17, 1, 58, 132, 47, 50, 136, 89 };
	uint64_t r = test_rand(rng);
	unsigned tags = r % 3, ppp = r / 4 % 4 == 0, n_ext = 0, payload = r / 16 % 100;
	bool v6 = r >> 20 & 1;
	unsigned type = ppp ? 0x8864 : v6 ? 0x86dd : 0x0800;

	tp_eth(t, tags == 2 ? 0x88a8 : tags ? 0x8100 : type);
	if (tags == 2)
		tp_vlan(t, 100, 0x8100);
	if (tags)
		tp_vlan(t, 7, type);
	if (ppp)
		tp_pppoe(t, 0x77, v6 ? 0x57 : 0x21);
	if (v6)
		tp_ip6(t, (uint32_t)(r >> 32) | 1, 2, protos[r / 64 % 9], 2 + r / 256 % 200);
	else
		tp_ip4(t, SRC4 + (r >> 40 & 0xffff), DST4, protos[r / 64 % 9], 2 + r / 256 % 200);
	if (v6)
		for (n_ext = r >> 24 & 3; n_ext; n_ext--)
			tp_ext6(t, 60, 8 * (1 + (r >> n_ext * 3 & 3)));
	switch (t->proto) {
	case 6:
		tp_tcp(t, 1000, 80, 0x12, "\1\1\1\1", (r >> 30 & 1) * 4, payload);
		break;
	case 17:
	case 136:
		tp_udp(t, 1000, 80, payload);
		break;
	case 1:
	case 58:
		tp_icmp(t, t->proto == 1 ? 8 : 128, 0, 0x03e80001, payload);
		break;
	case 132:
		tp_w32(tp_grow(t, 12), 0x03e80050);
		break;
	case 47:
		memcpy(tp_grow(t, 8), "\x20\0\x08\0\x11\x22\x33\x44", 8);
		break;
	default:
		tp_w32(tp_grow(t, 12), 0x11223344);
	}
	tp_done(t);
	tp_grow(t, r >> 50 & 15);
}

START_TEST(reads_what_was_built)
{
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(200000); round < n_rounds; round++) {
		struct tp t;
		struct fp_pkt p;
		bool ports, icmp;
		unsigned tail;

		build(&t, &rng);
		ck_assert_int_eq(judge(&t, &p), FP_V_FORWARD);
		ck_assert_uint_eq(p.l3_off, t.l3);
		ck_assert_uint_eq(p.l4_off, t.l4);
		ck_assert_uint_eq(p.proto, t.proto);
		ck_assert_uint_eq(p.family, t.family == 4 ? AF_INET : AF_INET6);
		tail = t.family == 4 ? tp_r16(t.b + t.l3 + 2) : 40 + tp_r16(t.b + t.l3 + 4);
		ck_assert_uint_eq(p.end, t.l3 + tail);
		ck_assert_uint_eq(p.ttl, t.b[t.l3 + (t.family == 4 ? 8 : 7)]);
		icmp = t.proto == (t.family == 4 ? 1 : 58);
		ports = t.proto == 6 || t.proto == 17 || t.proto == 136 || t.proto == 132 || icmp;
		ck_assert_int_eq(!!(p.flags & FP_F_PORTS), ports);
		if (ports) {
			ck_assert_uint_eq(ntohs(p.sport_be), 1000);
			ck_assert_uint_eq(ntohs(p.dport_be), icmp ? 1000 : 80);
		}
		if (t.proto == 47 || t.proto == 50)
			ck_assert_uint_eq(p.spi_key, 0x11223344);
		ck_assert_int_eq(!!(p.flags & FP_F_PPPOE), t.pppoe != 0);
		ck_assert_uint_eq(p.vlan_tci[0], p.n_vlan == 2 ? 100 : p.n_vlan ? 7 : 0);
		ck_assert(fp_csum_l4_ok(t.b, &p));
	}
}
END_TEST

/* Cut anywhere, a packet whose transport header is complete must not be judged sound, except
 * where only the padding was cut. */
START_TEST(cut_anywhere)
{
	uint64_t rng = test_seed;

	for (int round = 0; round < 2000; round++) {
		struct tp t;
		struct fp_pkt p, whole;
		unsigned full;

		build(&t, &rng);
		judge(&t, &whole);
		for (full = t.len, t.len = 0; t.len < full; t.len++) {
			enum fp_verdict v = judge(&t, &p);

			if (t.pppoe ? t.len >= t.pppoe + 6 + tp_r16(t.b + t.pppoe + 4)
				    : t.len >= whole.end)
				ck_assert_int_eq(v, FP_V_FORWARD);
			else
				ck_assert_int_eq(v, FP_V_DROP);
		}
	}
}
END_TEST

/* Whatever the bytes: one verdict, offsets in order and inside the frame, a reason iff dropped. */
static void invariants(const struct tp *t)
{
	struct fp_pkt p;
	enum fp_verdict v = judge(t, &p);

	ck_assert_int_lt(v, FP_V__MAX);
	ck_assert_int_eq(v == FP_V_DROP, p.drop != RTR_DROP_NONE);
	ck_assert_int_eq(v == FP_V_KERNEL, p.punt != FP_PUNT_NONE);
	ck_assert_uint_le(p.frame_len, t->len);
	if (v != FP_V_FORWARD && v != FP_V_EXPIRED)
		return;
	ck_assert_uint_le(p.l3_off + 20, p.l4_off);
	ck_assert_uint_le(p.l4_off, p.end);
	ck_assert_uint_le(p.end, p.frame_len);
	ck_assert_int_eq(!!(p.flags & FP_F_L4), p.frag_off == 0);
	if (p.flags & FP_F_PORTS)
		ck_assert_uint_le(p.l4_off + 8u, p.end);
	if (p.family == AF_INET) {
		ck_assert_uint_eq(
			tp_ip4_csum(t->b + p.l3_off),
			tp_r16(t->b + p.l3_off + 10) == 0xffff ? 0 : tp_r16(t->b + p.l3_off + 10));
		ck_assert(!(p.flags & FP_F_OPTIONS));
	}
}

START_TEST(flipped_bytes)
{
	uint64_t rng = test_seed;
	unsigned forwarded = 0;

	for (int round = 0, n_rounds = tp_rounds(300000); round < n_rounds; round++) {
		struct tp t;
		struct fp_pkt p;

		build(&t, &rng);
		for (unsigned n = 1 + test_rand(&rng) % 4; n; n--) {
			unsigned at = test_rand(&rng) % 2 ? 12 + test_rand(&rng) % (t.len - 12)
							  : t.l3 + test_rand(&rng) % 8;
			t.b[at] = (uint8_t)test_rand(&rng);
		}
		if (test_rand(&rng) % 2 && (t.b[t.l3] & 15) >= 5)
			tp_fix_ip4(&t);
		invariants(&t);
		forwarded += judge(&t, &p) == FP_V_FORWARD;
	}
	ck_assert_uint_gt(forwarded, 1000);
}
END_TEST

START_TEST(noise)
{
	uint64_t rng = test_seed;
	static const uint16_t types[] = { 0x0800, 0x86dd, 0x8100, 0x8864, 0x88a8 };

	for (int round = 0, n_rounds = tp_rounds(300000); round < n_rounds; round++) {
		struct tp t = { .len = test_rand(&rng) % 120 };

		for (unsigned i = 0; i < t.len; i++)
			t.b[i] = (uint8_t)test_rand(&rng);
		if (t.len >= 16) {
			tp_w16(t.b + 12, types[test_rand(&rng) % 5]);
			t.b[14] = test_rand(&rng) % 2 ? 0x45 : 0x60;
		}
		invariants(&t);
	}
}
END_TEST

START_TEST(ethernet_lies)
{
	struct tp t;

	for (unsigned n = 0; n < 14; n++) {
		udp4(&t);
		t.len = n;
		expect_drop(&t, RTR_DROP_ETH_SHORT);
	}
	tp_eth(&t, 0x0806);
	tp_grow(&t, 28);
	expect_punt(&t, FP_PUNT_L3_OTHER);
	tp_eth(&t, 100); /* 802.3 length: spanning tree */
	expect_punt(&t, FP_PUNT_L3_OTHER);
	tp_eth(&t, 0x8100);
	tp_vlan(&t, 1, 0x8100);
	tp_vlan(&t, 2, 0x8100);
	tp_vlan(&t, 3, 0x0800);
	expect_punt(&t, FP_PUNT_TAGS);
	udp4(&t);
	t.b[0] |= 1;
	expect_punt(&t, FP_PUNT_L2_GROUP);
	tp_eth(&t, 0x8864);
	tp_pppoe(&t, 1, 0xc021);
	tp_w16(t.b + t.pppoe + 4, 2);
	expect_punt(&t, FP_PUNT_L3_OTHER);
	t.b[14] = 0x12;
	expect_drop(&t, RTR_DROP_PPPOE);
	t.b[14] = 0x11;
	tp_w16(t.b + t.pppoe + 4, 3);
	expect_drop(&t, RTR_DROP_PPPOE);
}
END_TEST

START_TEST(ipv4_lies)
{
	struct tp t;
	struct fp_pkt p;

	udp4(&t), t.b[14] = 0x55, expect_drop(&t, RTR_DROP_IP4_VERSION);
	udp4(&t), t.b[14] = 0x44, expect_drop(&t, RTR_DROP_IP4_IHL);
	udp4(&t), t.b[14] = 0x4f, tp_w16(t.b + 16, 59), expect_drop(&t, RTR_DROP_IP4_LENGTH);
	udp4(&t), tp_w16(t.b + 16, 19), expect_drop(&t, RTR_DROP_IP4_LENGTH);
	udp4(&t), tp_w16(t.b + 16, t.len - 13), expect_drop(&t, RTR_DROP_IP4_LENGTH);
	udp4(&t), t.b[25]++, expect_drop(&t, RTR_DROP_IP4_CSUM);
	udp4(&t), tp_w16(t.b + 38, 7), expect_drop(&t, RTR_DROP_UDP_LENGTH);
	udp4(&t), tp_w16(t.b + 38, 39), expect_drop(&t, RTR_DROP_UDP_LENGTH);
	for (uint8_t ttl = 0; ttl < 3; ttl++) {
		udp4(&t), t.b[22] = ttl, tp_fix_ip4(&t);
		ck_assert_int_eq(judge(&t, &p), ttl < 2 ? FP_V_EXPIRED : FP_V_FORWARD);
	}
	tp_eth(&t, 0x0800);
	tp_ip4(&t, SRC4, DST4, 6, 64);
	tp_tcp(&t, 1, 2, 2, NULL, 0, 4);
	tp_done(&t);
	t.b[46] = 0x40, expect_drop(&t, RTR_DROP_TCP_OFFSET);
	t.b[46] = 0x70, expect_drop(&t, RTR_DROP_TCP_OFFSET);
	t.b[46] = 0x60, expect_forward(&t, &p);
	udp4(&t), t.b[23] = IPPROTO_DCCP, tp_fix_ip4(&t), expect_punt(&t, FP_PUNT_PROTO);
}
END_TEST

START_TEST(ipv4_addresses)
{
	static const struct {
		uint32_t src, dst;
		uint8_t drop, punt;
	} c[] = {
		{ 0x7f000001, DST4, RTR_DROP_SRC_MARTIAN, 0 },
		{ 0x7fffffff, DST4, RTR_DROP_SRC_MARTIAN, 0 },
		{ SRC4, 0x7f000001, RTR_DROP_DST_MARTIAN, 0 },
		{ 0x00000001, DST4, RTR_DROP_SRC_MARTIAN, 0 },
		{ 0, DST4, RTR_DROP_SRC_MARTIAN, 0 },
		{ SRC4, 0x00ffffff, RTR_DROP_DST_MARTIAN, 0 },
		{ SRC4, 0, RTR_DROP_DST_MARTIAN, 0 },
		{ 0xe0000001, DST4, RTR_DROP_SRC_MARTIAN, 0 },
		{ 0xf0000001, DST4, RTR_DROP_SRC_MARTIAN, 0 },
		{ 0xffffffff, DST4, RTR_DROP_SRC_MARTIAN, 0 },
		{ 0xffffffff, 0xffffffff, RTR_DROP_SRC_MARTIAN, 0 },
		{ SRC4, 0xf0000001, RTR_DROP_DST_MARTIAN, 0 },
		{ SRC4, 0xfffffffe, RTR_DROP_DST_MARTIAN, 0 },
		{ SRC4, SRC4, RTR_DROP_LAND, 0 },
		{ SRC4, 0xffffffff, 0, FP_PUNT_BROADCAST },
		{ 0, 0xffffffff, 0, FP_PUNT_BROADCAST },
		{ 0, 0xe0000016, 0, FP_PUNT_BROADCAST },
		{ SRC4, 0xe0000005, 0, FP_PUNT_MULTICAST },
		{ SRC4, 0xefffffff, 0, FP_PUNT_MULTICAST },
		{ SRC4, 0xa9fe0001, 0, FP_PUNT_LINK_SCOPE },
		{ 0xa9fe0101, DST4, 0, FP_PUNT_LINK_SCOPE },
		{ 0x7e000001, 0x80000001, 0, 0 },
		{ 0x01000001, 0xdfffffff, 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		struct tp t;
		struct fp_pkt p;

		tp_eth(&t, 0x0800);
		tp_ip4(&t, c[i].src, c[i].dst, 17, 64);
		tp_udp(&t, 1, 2, 3);
		tp_done(&t);
		judge(&t, &p);
		if (p.drop != c[i].drop || p.punt != c[i].punt)
			ck_abort_msg("%08x > %08x: drop %s punt %s", c[i].src, c[i].dst,
				     rtr_drop_text(p.drop), fp_punt_text(p.punt));
	}
}
END_TEST

START_TEST(ipv4_options)
{
	static const struct {
		const char *opt;
		unsigned len;
		uint8_t drop, at;
	} c[] = {
		{ "\x94\x04\x00\x00", 4, 0, 0 },
		{ "\x01\x01\x01\x00", 4, 0, 0 },
		{ "\x00\xff\xff\xff", 4, 0, 0 },
		{ "\x07\x04\x04\x00", 4, 0, 0 },
		{ "\x07\x05\x04\x00", 4, RTR_DROP_IP4_OPTION, 20 },
		{ "\x01\x07\x01\x00", 4, RTR_DROP_IP4_OPTION, 21 },
		{ "\x01\x01\x01\x07", 4, RTR_DROP_IP4_OPTION, 23 },
		{ "\x83\x03\x04\x00", 4, RTR_DROP_SRC_ROUTE, 0 },
		{ "\x01\x89\x03\x04", 4, RTR_DROP_SRC_ROUTE, 0 },
		{ "\x00\x89\x03\x04", 4, 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		struct tp t;

		tp_eth(&t, 0x0800);
		tp_ip4(&t, SRC4, DST4, 17, 64);
		tp_ip4_options(&t, c[i].opt, c[i].len);
		tp_udp(&t, 1, 2, 3);
		tp_done(&t);
		if (!c[i].drop)
			expect_punt(&t, FP_PUNT_IP4_OPTIONS);
		else if (c[i].at)
			expect_param(&t, c[i].drop, FP_ICMP4_PARAM, 0, c[i].at);
		else
			expect_drop(&t, c[i].drop);
	}
}
END_TEST

static void frag4(struct tp *t, uint8_t proto, unsigned payload, unsigned off, bool more)
{
	tp_eth(t, 0x0800);
	tp_ip4(t, SRC4, DST4, proto, 64);
	tp_payload(t, payload);
	if (proto == 6 && payload > 12)
		t->b[t->l4 + 12] = 0x50;
	if (proto == 17 && payload > 5)
		tp_w16(t->b + t->l4 + 4, 4000);
	tp_frag4(t, off, more);
	tp_done(t);
}

START_TEST(ipv4_fragments)
{
	struct tp t;
	struct fp_pkt p;

	frag4(&t, 6, 8, 0, true), expect_drop(&t, RTR_DROP_FRAG_TINY);
	frag4(&t, 6, 16, 0, true), expect_drop(&t, RTR_DROP_FRAG_TINY);
	frag4(&t, 6, 24, 8, true), expect_drop(&t, RTR_DROP_FRAG_TINY);
	frag4(&t, 17, 24, 8, true), expect_forward(&t, &p);
	frag4(&t, 6, 24, 0, true), t.b[t.l4 + 12] = 0x70, expect_drop(&t, RTR_DROP_FRAG_TINY);
	frag4(&t, 17, 20, 0, true), expect_drop(&t, RTR_DROP_FRAG_ALIGN);
	frag4(&t, 17, 0, 64, false), expect_drop(&t, RTR_DROP_FRAG_EMPTY);
	frag4(&t, 17, 16, 65520, false), expect_drop(&t, RTR_DROP_FRAG_BEYOND);
	frag4(&t, 17, 15, 65520, false), expect_forward(&t, &p);
	ck_assert_uint_eq(p.frag_off, 65520);
	ck_assert(!(p.flags & (FP_F_L4 | FP_F_PORTS | FP_F_FRAG_FIRST | FP_F_FRAG_MORE)));
	frag4(&t, 17, 24, 0, true), expect_forward(&t, &p);
	ck_assert_uint_eq(p.flags & (FP_F_FRAG | FP_F_FRAG_FIRST | FP_F_FRAG_MORE | FP_F_PORTS),
			  FP_F_FRAG | FP_F_FRAG_FIRST | FP_F_FRAG_MORE | FP_F_PORTS);
	ck_assert_uint_eq(p.frag_id, 0x1234);
}
END_TEST

START_TEST(ipv6_lies)
{
	struct tp t;
	struct fp_pkt p;
	uint8_t *h;

	tcp6(&t), t.b[14] = 0x50, expect_drop(&t, RTR_DROP_IP6_VERSION);
	tcp6(&t), t.b[19]++, expect_drop(&t, RTR_DROP_IP6_LENGTH);
	for (uint8_t hops = 0; hops < 3; hops++) {
		tcp6(&t), t.b[21] = hops;
		ck_assert_int_eq(judge(&t, &p), hops < 2 ? FP_V_EXPIRED : FP_V_FORWARD);
	}
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), tp_ext6(&t, 0, 8), tp_done(&t);
	tp_w16(t.b + 18, 0), expect_drop(&t, RTR_DROP_IP6_JUMBO);

	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), tp_ext6(&t, 0, 8), tp_udp(&t, 1, 2, 3);
	tp_done(&t), expect_punt(&t, FP_PUNT_IP6_HBH);
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), tp_ext6(&t, 60, 16), tp_ext6(&t, 0, 8);
	tp_udp(&t, 1, 2, 3), tp_done(&t);
	expect_param(&t, RTR_DROP_IP6_EXT_ORDER, FP_ICMP6_PARAM, 1, 40);

	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), tp_ext6(&t, 60, 8), tp_ext6(&t, 43, 24);
	tp_udp(&t, 1, 2, 3), tp_done(&t);
	expect_param(&t, RTR_DROP_IP6_RH0, FP_ICMP6_PARAM, 0, 50);
	t.b[14 + 50] = 4;
	ck_assert_int_eq(judge(&t, &p), FP_V_FORWARD);
	t.b[14 + 51] = 1;
	expect_punt(&t, FP_PUNT_IP6_ROUTING);

	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64);
	for (int i = 0; i < FP_EXT6_MAX; i++)
		tp_ext6(&t, 60, 8);
	tp_udp(&t, 1, 2, 3), tp_done(&t);
	ck_assert_int_eq(judge(&t, &p), FP_V_FORWARD);
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64);
	for (int i = 0; i <= FP_EXT6_MAX; i++)
		tp_ext6(&t, 60, 8);
	tp_udp(&t, 1, 2, 3), tp_done(&t), expect_drop(&t, RTR_DROP_IP6_EXT_CHAIN);

	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), h = tp_ext6(&t, 60, 8), tp_udp(&t, 1, 2, 3);
	tp_done(&t), h[1] = 3, expect_drop(&t, RTR_DROP_IP6_EXT_SHORT);
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 51, 64), tp_payload(&t, 24), tp_done(&t);
	expect_punt(&t, FP_PUNT_AH);
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 58, 255), tp_icmp(&t, 135, 0, 0, 16), tp_done(&t);
	expect_punt(&t, FP_PUNT_ND);
}
END_TEST

START_TEST(ipv6_fragments)
{
	struct tp t;
	struct fp_pkt p;

	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), tp_frag6(&t, 77, 0, false);
	tp_udp(&t, 1, 2, 3), tp_done(&t);
	ck_assert_int_eq(judge(&t, &p), FP_V_FORWARD);
	ck_assert_uint_eq(p.flags & (FP_F_ATOMIC | FP_F_FRAG | FP_F_PORTS),
			  FP_F_ATOMIC | FP_F_PORTS);

	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), tp_frag6(&t, 77, 0, true);
	tp_udp(&t, 1, 2, 8), tp_done(&t);
	ck_assert_int_eq(judge(&t, &p), FP_V_FORWARD);
	ck_assert_uint_eq(p.flags & (FP_F_FRAG | FP_F_FRAG_FIRST | FP_F_PORTS),
			  FP_F_FRAG | FP_F_FRAG_FIRST | FP_F_PORTS);
	ck_assert_uint_eq(p.frag_id, 77);

	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 60, 64), tp_frag6(&t, 77, 1232, false);
	tp_payload(&t, 13), tp_done(&t);
	ck_assert_int_eq(judge(&t, &p), FP_V_FORWARD);
	ck_assert_uint_eq(p.proto, 60);
	ck_assert_uint_eq(p.frag_off, 1232);

	/* The chain, or the header behind it, goes on in the next fragment. */
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 60, 64), tp_frag6(&t, 77, 0, true);
	tp_payload(&t, 8), t.b[t.len - 7] = 2, tp_done(&t);
	expect_param(&t, RTR_DROP_FRAG_CHAIN, FP_ICMP6_PARAM, 3, 0);
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 6, 64), tp_frag6(&t, 77, 0, true);
	tp_payload(&t, 16), tp_done(&t);
	expect_param(&t, RTR_DROP_FRAG_CHAIN, FP_ICMP6_PARAM, 3, 0);

	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), tp_frag6(&t, 77, 64, true);
	tp_payload(&t, 13), tp_done(&t);
	expect_param(&t, RTR_DROP_FRAG_ALIGN, FP_ICMP6_PARAM, 0, 4);
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), tp_frag6(&t, 77, 65528, false);
	tp_payload(&t, 16), tp_done(&t);
	expect_param(&t, RTR_DROP_FRAG_BEYOND, FP_ICMP6_PARAM, 0, 42);
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 6, 64), tp_frag6(&t, 77, 8, false);
	tp_payload(&t, 16), tp_done(&t), expect_drop(&t, RTR_DROP_FRAG_TINY);
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 64), tp_frag6(&t, 77, 0, false);
	tp_frag6(&t, 78, 0, false), tp_udp(&t, 1, 2, 3), tp_done(&t);
	expect_param(&t, RTR_DROP_IP6_EXT_ORDER, FP_ICMP6_PARAM, 1, 40);
}
END_TEST

START_TEST(ipv6_addresses)
{
	static const struct {
		const char *src, *dst;
		uint8_t drop, punt;
	} c[] = {
		{ "::1", "2001:db8::1", RTR_DROP_SRC_MARTIAN, 0 },
		{ "::", "2001:db8::1", RTR_DROP_SRC_MARTIAN, 0 },
		{ "ff02::1", "2001:db8::1", RTR_DROP_SRC_MARTIAN, 0 },
		{ "::ffff:10.0.0.1", "2001:db8::1", RTR_DROP_SRC_MARTIAN, 0 },
		{ "2001:db8::1", "::1", RTR_DROP_DST_MARTIAN, 0 },
		{ "2001:db8::1", "::", RTR_DROP_DST_MARTIAN, 0 },
		{ "2001:db8::1", "::ffff:1.2.3.4", RTR_DROP_DST_MARTIAN, 0 },
		{ "2001:db8::1", "ff01::1", RTR_DROP_DST_MARTIAN, 0 },
		{ "2001:db8::1", "2001:db8::1", RTR_DROP_LAND, 0 },
		{ "2001:db8::1", "ff0e::1", 0, FP_PUNT_MULTICAST },
		{ "::", "ff02::1:ff00:1", 0, FP_PUNT_MULTICAST },
		{ "fe80::1", "2001:db8::1", 0, FP_PUNT_LINK_SCOPE },
		{ "2001:db8::1", "febf::1", 0, FP_PUNT_LINK_SCOPE },
		{ "fec0::1", "fd00::1", 0, 0 },
		{ "64:ff9b::1.2.3.4", "2001:db8::1", 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		struct tp t;
		struct fp_pkt p;
		uint8_t s[16], d[16];

		ck_assert_int_eq(inet_pton(AF_INET6, c[i].src, s), 1);
		ck_assert_int_eq(inet_pton(AF_INET6, c[i].dst, d), 1);
		tp_eth(&t, 0x86dd);
		tp_ip6_raw(&t, s, d, 17, 64);
		tp_udp(&t, 1, 2, 3);
		tp_done(&t);
		judge(&t, &p);
		if (p.drop != c[i].drop || p.punt != c[i].punt)
			ck_abort_msg("%s > %s: drop %s punt %s", c[i].src, c[i].dst,
				     rtr_drop_text(p.drop), fp_punt_text(p.punt));
	}
}
END_TEST

START_TEST(icmp_sorts)
{
	static const struct {
		uint8_t family, type;
		uint32_t sort;
	} c[] = {
		{ AF_INET, 0, FP_F_ICMP_QUERY },
		{ AF_INET, 3, FP_F_ICMP_ERR },
		{ AF_INET, 5, FP_F_ICMP_ERR },
		{ AF_INET, 8, FP_F_ICMP_QUERY },
		{ AF_INET, 9, 0 },
		{ AF_INET, 11, FP_F_ICMP_ERR },
		{ AF_INET, 12, FP_F_ICMP_ERR },
		{ AF_INET, 13, FP_F_ICMP_QUERY },
		{ AF_INET, 18, FP_F_ICMP_QUERY },
		{ AF_INET, 19, 0 },
		{ AF_INET6, 1, FP_F_ICMP_ERR },
		{ AF_INET6, 127, FP_F_ICMP_ERR },
		{ AF_INET6, 128, FP_F_ICMP_QUERY },
		{ AF_INET6, 129, FP_F_ICMP_QUERY },
		{ AF_INET6, 130, 0 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(c); i++)
		ck_assert_uint_eq(fp_icmp_sort(c[i].family, c[i].type), c[i].sort);
}
END_TEST

START_TEST(drop_list)
{
	for (unsigned i = 1; i < RTR_DROP__MAX; i++) {
		ck_assert_uint_eq(rtr_drop_find(rtr_drop_text(i)), i); /* texts are unique */
		ck_assert_uint_gt(strlen(rtr_drop_doc(i)), 10);
		ck_assert_uint_le(strlen(rtr_drop_text(i)), 24);
		ck_assert_str_ne(rtr_drop_stage_text(rtr_drop_stage(i)), "unknown");
	}
	ck_assert_uint_eq(rtr_drop_find("no such reason"), RTR_DROP_NONE);
	ck_assert_str_eq(rtr_drop_text(RTR_DROP__MAX), "unknown");
	/* struct fp_pkt and the counters keep a reason in one byte. */
	ck_assert_uint_lt(RTR_DROP__MAX, 256);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("parse");
	TCase *tc = tcase_create("parse");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, reads_what_was_built);
	tcase_add_test(tc, cut_anywhere);
	tcase_add_test(tc, flipped_bytes);
	tcase_add_test(tc, noise);
	tcase_add_test(tc, ethernet_lies);
	tcase_add_test(tc, ipv4_lies);
	tcase_add_test(tc, ipv4_addresses);
	tcase_add_test(tc, ipv4_options);
	tcase_add_test(tc, ipv4_fragments);
	tcase_add_test(tc, ipv6_lies);
	tcase_add_test(tc, ipv6_fragments);
	tcase_add_test(tc, ipv6_addresses);
	tcase_add_test(tc, icmp_sorts);
	tcase_add_test(tc, drop_list);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
