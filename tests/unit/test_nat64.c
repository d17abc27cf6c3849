/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAT64: what comes out is byte for byte the packet of the other family built from the same
 * payload; the tables of RFC 7915 by value. */
#include "../../fastpath/icmp_quote.h"
#include "../../fastpath/nat64.h"
#include "../lib/check_main.h"
#include "../lib/packet.h"

/* The two endpoints on both sides: IPv6 numbers (tp_addr6), IPv4 addresses, ports. */
struct ends {
	uint32_t src6, dst6, src4, dst4;
	unsigned sport6, sport4, dport;
};

struct shape {
	uint8_t proto; /* by IPv4: 6, 17, 136, 1, 50 */
	unsigned payload, off;
	bool frag, more, zero;
	uint8_t tos, ttl;
	uint16_t id;
};

static struct ends random_ends(uint64_t *rng)
{
	uint64_t a = test_rand(rng), b = test_rand(rng);

	return (struct ends){ (uint32_t)a | 1,
			      (uint32_t)(a >> 32) | 2,
			      0xc6336400 | (b & 0xff),
			      0xc0000200 | (b >> 8 & 0xff),
			      b >> 16 & 0xffff,
			      b >> 32 & 0xffff,
			      b >> 48 };
}

static void l4_of(struct tp *t, bool v6, const struct ends *e, const struct shape *s)
{
	unsigned sport = v6 ? e->sport6 : e->sport4;

	if (s->off) {
		tp_payload(t, s->payload);
		return;
	}
	switch (s->proto) {
	case 6:
		tp_tcp(t, sport, e->dport, 0x10, NULL, 0, s->payload);
		break;
	case 1:
		tp_icmp(t, v6 ? 129 : 0, 0, sport << 16 | (s->zero ? 0 : 3),
			s->zero ? 0 : s->payload);
		break;
	case 50:
		tp_w32(tp_grow(t, 8 + s->payload), 0x11223344);
		break;
	default:
		tp_udp(t, sport, e->dport, s->payload);
	}
}

static void build4(struct tp *t, const struct ends *e, const struct shape *s)
{
	tp_eth(t, 0x0800);
	tp_ip4(t, e->src4, e->dst4, s->proto, s->ttl);
	t->b[t->l3 + 1] = s->tos;
	tp_w16(t->b + t->l3 + 4, s->id);
	if (s->frag)
		tp_frag4(t, s->off, s->more);
	l4_of(t, false, e, s);
	if (!s->frag && t->len - t->l3 > 1260)
		tp_w16(t->b + t->l3 + 6, 0x4000);
	tp_done(t);
}

static void build6(struct tp *t, const struct ends *e, const struct shape *s, unsigned ext)
{
	tp_eth(t, 0x86dd);
	tp_ip6(t, e->src6, e->dst6, s->proto == 1 ? 58 : s->proto, s->ttl);
	tp_w16(t->b + t->l3, 0x6000 | s->tos << 4);
	if (ext)
		tp_ext6(t, 60, 8 * ext);
	if (s->frag)
		tp_frag6(t, s->id, s->off, s->more);
	l4_of(t, true, e, s);
	tp_done(t);
}

static struct fp_nat64_4 to4(const struct ends *e, const struct shape *s)
{
	bool icmp = s->proto == 1;

	return (struct fp_nat64_4){ .to = { htonl(e->src4), htonl(e->dst4), htons(e->sport4),
					    htons(icmp ? e->sport4 : e->dport) },
				    .id = s->id };
}

static struct fp_nat64_6 to6(const struct ends *e, const struct shape *s)
{
	struct fp_nat64_6 t = { .to = { .sport_be = htons(e->sport6),
					.dport_be = htons(e->dport) } };

	if (s->proto == 1)
		t.to.dport_be = t.to.sport_be;
	tp_addr6(t.to.src, e->src6), tp_addr6(t.to.dst, e->dst6);
	return t;
}

#define ROOM 128

static struct fp_buf load(uint8_t *room, const struct tp *t, unsigned headroom)
{
	memcpy(room + headroom, t->b, t->len);
	return (struct fp_buf){ room + headroom, t->len, headroom, 0 };
}

static void same(const struct fp_buf *b, const struct fp_pkt *p, const struct tp *want)
{
	const uint8_t *ip = b->data + p->l3_off;
	unsigned len = want->len - want->l3;
	struct fp_pkt q;

	ck_assert_uint_eq(p->end - p->l3_off, len);
	for (unsigned i = 0; i < len; i++)
		if (ip[i] != want->b[want->l3 + i])
			ck_abort_msg("family %u proto %u len %u: byte %u is %02x, want %02x",
				     want->family, want->proto, len, i, ip[i],
				     want->b[want->l3 + i]);
	/* *p says what a parser finds. */
	ck_assert_int_ne(fp_parse_ip(ip, len, &q), FP_V_DROP);
	ck_assert_uint_eq(p->l4_off - p->l3_off, q.l4_off);
	ck_assert_uint_eq(p->proto, q.proto);
	ck_assert_uint_eq(p->family, q.family);
	ck_assert_uint_eq(p->sport_be, q.sport_be);
	ck_assert_uint_eq(p->dport_be, q.dport_be);
	ck_assert_uint_eq(p->icmp_type, q.icmp_type);
	ck_assert_uint_eq(p->flags & (FP_F_FRAG | FP_F_DF | FP_F_PORTS | FP_F_L4),
			  q.flags & (FP_F_FRAG | FP_F_DF | FP_F_PORTS | FP_F_L4));
	ck_assert_uint_eq(p->frag_hdr_off ? p->frag_hdr_off - p->l3_off : 0, q.frag_hdr_off);
}

START_TEST(both_ways)
{
	static const uint8_t protos[] = { 6, 17, 136, 1, 50 };
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(60000); round < n_rounds; round++) {
		uint64_t r = test_rand(&rng);
		struct ends e = random_ends(&rng);
		struct shape s = { .proto = protos[r % 5],
				   .payload = r >> 8 & 0x7ff,
				   .tos = (uint8_t)(r >> 20),
				   .ttl = (uint8_t)(2 + (r >> 28) % 200),
				   .id = (uint16_t)(r >> 40) };
		static uint8_t room[ROOM + TP_MAX];
		struct tp t4, t6;
		struct fp_pkt p;
		struct fp_buf b;

		s.payload %= 1 + (r >> 60) * 110;
		s.zero = s.proto == 1 && r >> 36 & 1;
		if (r >> 38 & 1)
			e.sport4 = 0;
		build4(&t4, &e, &s);
		build6(&t6, &e, &s, r >> 37 & 1 ? 1 + (r >> 39 & 1) : 0);
		b = load(room, &t6, ROOM);
		ck_assert_int_eq(fp_classify(b.data, b.len, &p), FP_V_FORWARD);
		struct fp_nat64_4 n4 = to4(&e, &s);
		ck_assert_uint_eq(fp_nat64_6to4(&b, &p, &n4), RTR_DROP_NONE);
		same(&b, &p, &t4);

		build6(&t6, &e, &s, 0);
		b = load(room, &t4, ROOM);
		ck_assert_int_eq(fp_classify(b.data, b.len, &p), FP_V_FORWARD);
		struct fp_nat64_6 n6 = to6(&e, &s);
		ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NONE);
		same(&b, &p, &t6);
	}
}
END_TEST

START_TEST(fragments)
{
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(30000); round < n_rounds; round++) {
		uint64_t r = test_rand(&rng);
		struct ends e = random_ends(&rng);
		struct shape s = { .proto = r & 1 ? 6 : 17,
				   .payload = 8 * (2 + (r >> 8 & 31)),
				   .ttl = 9,
				   .id = (uint16_t)(r >> 40),
				   .frag = true,
				   .off = r >> 1 & 1 ? 8 * (2 + (r >> 16 & 0xfff)) : 0 };
		static uint8_t room[ROOM + TP_MAX];
		struct tp t4, t6;
		struct fp_pkt p;
		struct fp_buf b;
		struct fp_nat64_4 n4 = to4(&e, &s);
		struct fp_nat64_6 n6 = to6(&e, &s);

		s.more = !s.off || r >> 2 & 1;
		if (!s.off)
			s.payload += s.proto == 6 ? 4 : 0;
		build4(&t4, &e, &s);
		build6(&t6, &e, &s, 0);
		if (!s.off) {
			/* Over these bytes alone on both sides: they differ by the pseudo-header,
			 * as those over the whole datagram would. */
			unsigned at4 = t4.l4 + (unsigned)tp_csum_off(&t4);
			unsigned at6 = t6.l4 + (unsigned)tp_csum_off(&t6);

			tp_w16(t4.b + at4, tp_l4_csum(&t4)), tp_w16(t6.b + at6, tp_l4_csum(&t6));
		}
		b = load(room, &t6, ROOM);
		ck_assert_int_eq(fp_classify(b.data, b.len, &p), FP_V_FORWARD);
		ck_assert_uint_eq(fp_nat64_6to4(&b, &p, &n4), RTR_DROP_NONE);
		same(&b, &p, &t4);
		b = load(room, &t4, ROOM);
		ck_assert_int_eq(fp_classify(b.data, b.len, &p), FP_V_FORWARD);
		ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NONE);
		same(&b, &p, &t6);
	}
}
END_TEST

START_TEST(special_cases)
{
	static uint8_t room[ROOM + TP_MAX];
	struct ends e = { 1, 2, 0xc6336401, 0xc0000201, 1000, 2000, 53 };
	struct shape s = { .proto = 17, .payload = 30, .ttl = 9, .id = 7 };
	struct fp_nat64_4 n4 = to4(&e, &s);
	struct fp_nat64_6 n6 = to6(&e, &s);
	struct tp t, want;
	struct fp_pkt p;
	struct fp_buf b;

	/* UDP without checksum gets one, where all of it is here. */
	build4(&t, &e, &s), build6(&want, &e, &s, 0);
	tp_w16(t.b + t.l4 + 6, 0);
	b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NONE);
	same(&b, &p, &want);
	s.frag = s.more = true, s.payload = 32;
	build4(&t, &e, &s), tp_w16(t.b + t.l4 + 6, 0);
	b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NAT64_FRAG);
	s.frag = s.more = false;
	build6(&t, &e, &s, 0), tp_w16(t.b + t.l4 + 6, 0);
	b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_6to4(&b, &p, &n4), RTR_DROP_UDP6_NOCSUM);
	/* A damaged packet stays damaged. */
	build6(&t, &e, &s, 0), t.b[t.len - 1] ^= 1;
	b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_6to4(&b, &p, &n4), RTR_DROP_NONE);
	ck_assert(!tp_sane(b.data + p.l3_off, p.end - p.l3_off));
	/* No room in front. */
	build4(&t, &e, &s);
	b = load(room, &t, 5), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_HEADROOM);
	b = load(room, &t, 6), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NONE);
	ck_assert_ptr_eq(b.data, room);
	/* IPv4 options go, fragments of ICMP and protocol 1 in IPv6 do not pass. */
	s.proto = 1, s.frag = s.more = true;
	build4(&t, &e, &s);
	b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NAT64_FRAG);
	s.frag = s.more = false;
	build6(&t, &e, &s, 0), t.b[t.l3 + 6] = 1;
	b = load(room, &t, ROOM), fp_parse(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_6to4(&b, &p, &n4), RTR_DROP_NAT64_HEADER);
	tp_eth(&t, 0x0800), tp_ip4(&t, e.src4, e.dst4, 1, 9), tp_icmp(&t, 13, 0, 0, 12),
		tp_done(&t);
	b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NAT64_ICMP);
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 58, 9), tp_icmp(&t, 131, 0, 0, 12), tp_done(&t);
	b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_6to4(&b, &p, &n4), RTR_DROP_NAT64_ICMP);
	/* A header behind the fragment header counts in the offsets of later pieces. */
	tp_eth(&t, 0x86dd), tp_ip6(&t, 1, 2, 17, 9), tp_frag6(&t, 5, 0, true), tp_ext6(&t, 60, 8);
	tp_udp(&t, 1, 2, 8), tp_w16(t.b + t.l4 + 6, 1), tp_done(&t);
	b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_6to4(&b, &p, &n4), RTR_DROP_NAT64_FRAG);
	/* A protocol number that IPv6 takes for an extension header. */
	for (unsigned i = 0; i < 4; i++) {
		tp_eth(&t, 0x0800), tp_ip4(&t, e.src4, e.dst4, "\0\53\54\74"[i], 9);
		tp_payload(&t, 40), tp_done(&t);
		b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
		ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NAT64_HEADER);
	}
	tp_eth(&t, 0x0800), tp_ip4(&t, e.src4, e.dst4, 132, 9), tp_w32(tp_grow(&t, 12), 0x00010002);
	tp_done(&t), b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
	ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NAT_PROTO);
}
END_TEST

static void error4(struct tp *t, const uint8_t h[8], const struct tp *quoted, unsigned n)
{
	tp_eth(t, 0x0800);
	tp_ip4(t, 0xcb007107, 0xc6336401, 1, 30);
	memcpy(tp_grow(t, 8), h, 8);
	memcpy(tp_grow(t, n), quoted->b + quoted->l3, n);
	tp_w16(t->b + t->l3 + 4, 9);
	tp_done(t);
}

static void error6(struct tp *t, const uint8_t h[8], const struct tp *quoted, unsigned n)
{
	tp_eth(t, 0x86dd);
	tp_ip6(t, 7, 1, 58, 30);
	memcpy(tp_grow(t, 8), h, 8);
	memcpy(tp_grow(t, n), quoted->b + quoted->l3, n);
	tp_done(t);
}

START_TEST(icmp_errors)
{
	static const uint8_t protos[] = { 6, 17, 1 };
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(40000); round < n_rounds; round++) {
		/* The quoted packet; its source is who gets the error. */
		uint64_t r = test_rand(&rng);
		struct ends e = random_ends(&rng);
		struct shape s = { .proto = protos[r % 3],
				   .payload = r >> 8 & 0xff,
				   .ttl = 1,
				   .id = (uint16_t)(r >> 40),
				   .frag = r >> 33 & 1 };
		static uint8_t room[ROOM + TP_MAX];
		const uint8_t h4[8] = { 3, 10 }, h6[8] = { 1, 1 };
		struct tp q4, q6, e4, e6;
		struct fp_nat64_4 n4 = { .to = { htonl(0xcb007107), htonl(0xc6336401) }, .id = 9 };
		struct fp_nat64_6 n6 = { 0 };
		struct fp_pkt p;
		struct fp_buf b;
		unsigned n, hl;

		/* As a fragment the first one is quoted; ICMP does not cross in pieces. */
		s.frag &= s.proto == 17;
		s.more = s.frag;
		s.payload = s.frag ? ROUND_UP(s.payload, 8) : s.payload;
		if (!s.frag)
			s.id = 0;
		build4(&q4, &e, &s), build6(&q6, &e, &s, 0);
		if (s.frag) {
			tp_w16(q4.b + q4.l4 + 6, tp_l4_csum(&q4));
			tp_w16(q6.b + q6.l4 + 6, tp_l4_csum(&q6));
		}
		hl = s.frag ? 48 : 40;
		n = 8 + test_rand(&rng) % (q4.len - q4.l4 - 7);
		n -= s.proto == 6 && n == 17;
		error4(&e4, h4, &q4, 20 + n), error6(&e6, h6, &q6, hl + n);
		n4.quoted = to4(&e, &s).to;
		n6.quoted = to6(&e, &s).to;
		tp_addr6(n6.to.src, 7), tp_addr6(n6.to.dst, 1);

		b = load(room, &e6, ROOM);
		ck_assert_int_eq(fp_classify(b.data, b.len, &p), FP_V_FORWARD);
		ck_assert_uint_eq(fp_nat64_6to4(&b, &p, &n4), RTR_DROP_NONE);
		same(&b, &p, &e4);
		b = load(room, &e4, ROOM);
		ck_assert_int_eq(fp_classify(b.data, b.len, &p), FP_V_FORWARD);
		ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NONE);
		same(&b, &p, &e6);
	}
}
END_TEST

/* An error to IPv6 is never above 1280 bytes. */
START_TEST(long_error)
{
	static uint8_t room[ROOM + TP_MAX];
	struct ends e = { 1, 2, 0xc6336401, 0xc0000201, 1000, 2000, 53 };
	struct shape s = { .proto = 17, .payload = 1240, .ttl = 9 };
	struct fp_nat64_6 n6 = { 0 };
	struct tp q4, t;
	struct fp_pkt p;
	struct fp_buf b;

	build4(&q4, &e, &s);
	error4(&t, (const uint8_t[8]){ 3, 1 }, &q4, q4.len - q4.l3);
	b = load(room, &t, ROOM);
	fp_classify(b.data, b.len, &p);
	tp_addr6(n6.to.src, 7), tp_addr6(n6.to.dst, 1);
	n6.quoted = to6(&e, &s).to;
	ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NONE);
	ck_assert_uint_eq(p.end - p.l3_off, 1280);
	ck_assert(tp_sane(b.data + p.l3_off, 1280));
}
END_TEST

/* RFC 7915 4.2 and 5.2, row by row. Type 0 = dropped. */
START_TEST(error_tables)
{
	static const struct {
		uint8_t to6, type, code;
		uint32_t rest;
		uint8_t want_type, want_code;
		uint32_t want_rest;
	} c[] = {
		{ 1, 3, 0, 0, 1, 0, 0 },           { 1, 3, 1, 0, 1, 0, 0 },
		{ 1, 3, 2, 0, 4, 1, 6 },           { 1, 3, 3, 0, 1, 4, 0 },
		{ 1, 3, 4, 1400, 2, 0, 1420 },     { 1, 3, 4, 600, 2, 0, 1280 },
		{ 1, 3, 4, 1480, 2, 0, 1500 },     { 1, 3, 4, 9000, 2, 0, 1500 },
		{ 1, 3, 5, 0, 1, 0, 0 },           { 1, 3, 6, 0, 1, 0, 0 },
		{ 1, 3, 7, 0, 1, 0, 0 },           { 1, 3, 8, 0, 1, 0, 0 },
		{ 1, 3, 9, 0, 1, 1, 0 },           { 1, 3, 10, 0, 1, 1, 0 },
		{ 1, 3, 11, 0, 1, 0, 0 },          { 1, 3, 12, 0, 1, 0, 0 },
		{ 1, 3, 13, 0, 1, 1, 0 },          { 1, 3, 14, 0, 0, 0, 0 },
		{ 1, 3, 15, 0, 1, 1, 0 },          { 1, 3, 16, 0, 0, 0, 0 },
		{ 1, 4, 0, 0, 0, 0, 0 },           { 1, 5, 0, 0, 0, 0, 0 },
		{ 1, 11, 0, 77, 3, 0, 0 },         { 1, 11, 1, 0, 3, 1, 0 },
		{ 1, 12, 0, 0u << 24, 4, 0, 0 },   { 1, 12, 0, 1u << 24, 4, 0, 1 },
		{ 1, 12, 0, 2u << 24, 4, 0, 4 },   { 1, 12, 2, 3u << 24, 4, 0, 4 },
		{ 1, 12, 0, 4u << 24, 0, 0, 0 },   { 1, 12, 0, 7u << 24, 0, 0, 0 },
		{ 1, 12, 0, 8u << 24, 4, 0, 7 },   { 1, 12, 0, 9u << 24, 4, 0, 6 },
		{ 1, 12, 0, 10u << 24, 0, 0, 0 },  { 1, 12, 0, 12u << 24, 4, 0, 8 },
		{ 1, 12, 0, 15u << 24, 4, 0, 8 },  { 1, 12, 0, 16u << 24, 4, 0, 24 },
		{ 1, 12, 0, 19u << 24, 4, 0, 24 }, { 1, 12, 0, 20u << 24, 0, 0, 0 },
		{ 1, 12, 1, 0, 0, 0, 0 },          { 0, 1, 0, 0, 3, 1, 0 },
		{ 0, 1, 1, 0, 3, 10, 0 },          { 0, 1, 2, 0, 3, 1, 0 },
		{ 0, 1, 3, 0, 3, 1, 0 },           { 0, 1, 4, 0, 3, 3, 0 },
		{ 0, 1, 5, 0, 0, 0, 0 },           { 0, 2, 0, 1400, 3, 4, 1380 },
		{ 0, 2, 0, 1500, 3, 4, 1480 },     { 0, 2, 0, 9000, 3, 4, 1480 },
		{ 0, 2, 0, 100, 3, 4, 1260 },      { 0, 3, 0, 9, 11, 0, 0 },
		{ 0, 3, 1, 0, 11, 1, 0 },          { 0, 4, 0, 0, 12, 0, 0u << 24 },
		{ 0, 4, 0, 1, 12, 0, 1u << 24 },   { 0, 4, 0, 2, 0, 0, 0 },
		{ 0, 4, 0, 3, 0, 0, 0 },           { 0, 4, 0, 4, 12, 0, 2u << 24 },
		{ 0, 4, 0, 5, 12, 0, 2u << 24 },   { 0, 4, 0, 6, 12, 0, 9u << 24 },
		{ 0, 4, 0, 7, 12, 0, 8u << 24 },   { 0, 4, 0, 8, 12, 0, 12u << 24 },
		{ 0, 4, 0, 23, 12, 0, 12u << 24 }, { 0, 4, 0, 24, 12, 0, 16u << 24 },
		{ 0, 4, 0, 39, 12, 0, 16u << 24 }, { 0, 4, 0, 40, 0, 0, 0 },
		{ 0, 4, 1, 6, 3, 2, 0 },           { 0, 4, 2, 0, 0, 0, 0 },
		{ 0, 5, 0, 0, 0, 0, 0 },           { 0, 127, 0, 0, 0, 0, 0 },
	};
	struct ends e = { 1, 2, 0xc6336401, 0xc0000201, 1000, 2000, 53 };
	struct shape s = { .proto = 17, .payload = 30, .ttl = 9, .id = 7 };
	static uint8_t room[ROOM + TP_MAX];

	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		uint8_t h[8] = { c[i].type, c[i].code }, *icmp;
		struct fp_nat64_4 n4 = to4(&e, &s);
		struct fp_nat64_6 n6 = to6(&e, &s);
		struct tp q, t;
		struct fp_pkt p;
		struct fp_buf b;
		enum rtr_drop why;

		tp_w32(h + 4, c[i].rest);
		n4.quoted = n4.to, n6.quoted = n6.to;
		n4.mtu4 = n6.mtu4 = n4.mtu6 = n6.mtu6 = 1500;
		if (c[i].to6)
			build4(&q, &e, &s), error4(&t, h, &q, 28);
		else
			build6(&q, &e, &s, 0), error6(&t, h, &q, 48);
		b = load(room, &t, ROOM);
		ck_assert_int_eq(fp_classify(b.data, b.len, &p), FP_V_FORWARD);
		why = c[i].to6 ? fp_nat64_4to6(&b, &p, &n6) : fp_nat64_6to4(&b, &p, &n4);
		if (!c[i].want_type) {
			ck_assert_uint_eq(why, RTR_DROP_NAT64_ICMP);
			continue;
		}
		ck_assert_uint_eq(why, RTR_DROP_NONE);
		icmp = b.data + p.l4_off;
		if (icmp[0] != c[i].want_type || icmp[1] != c[i].want_code ||
		    tp_r32(icmp + 4) != c[i].want_rest)
			ck_abort_msg("row %u: %u/%u %#x", i, icmp[0], icmp[1], tp_r32(icmp + 4));
		ck_assert(tp_sane(b.data + p.l3_off, p.end - p.l3_off));
	}
}
END_TEST

/* "Fragmentation needed" from a router that names no MTU: the next plateau of RFC 1191. */
START_TEST(plateaus)
{
	static const struct {
		uint16_t total;
		uint32_t mtu;
	} c[] = { { 1500, 1512 }, { 1492, 1280 }, { 4000, 2022 }, { 65535, 32020 }, { 60, 1280 } };
	static uint8_t room[ROOM + TP_MAX];
	struct ends e = { 1, 2, 0xc6336401, 0xc0000201, 1000, 2000, 53 };
	struct shape s = { .proto = 17, .payload = 30, .ttl = 9, .id = 7 };

	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		struct fp_nat64_6 n6 = to6(&e, &s);
		struct tp q, t;
		struct fp_pkt p;
		struct fp_buf b;

		n6.quoted = n6.to;
		build4(&q, &e, &s);
		tp_w16(q.b + q.l3 + 2, c[i].total), tp_fix_ip4(&q);
		error4(&t, (const uint8_t[8]){ 3, 4 }, &q, 28);
		b = load(room, &t, ROOM), fp_classify(b.data, b.len, &p);
		ck_assert_uint_eq(fp_nat64_4to6(&b, &p, &n6), RTR_DROP_NONE);
		ck_assert_uint_eq(tp_r32(b.data + p.l4_off + 4), c[i].mtu);
	}
}
END_TEST

/* RFC 6052 section 2.4. */
START_TEST(addresses)
{
	static const struct {
		const char *prefix;
		unsigned plen;
		const char *addr;
	} c[] = {
		{ "2001:db8::", 32, "2001:db8:c000:221::" },
		{ "2001:db8:100::", 40, "2001:db8:1c0:2:21::" },
		{ "2001:db8:122::", 48, "2001:db8:122:c000:2:2100::" },
		{ "2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::" },
		{ "2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::" },
		{ "2001:db8:122:344::", 96, "2001:db8:122:344::c000:221" },
		{ "64:ff9b::", 96, "64:ff9b::c000:221" },
	};

	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		uint8_t prefix[16], want[16], got[16];
		uint32_t v4;

		inet_pton(AF_INET6, c[i].prefix, prefix);
		inet_pton(AF_INET6, c[i].addr, want);
		fp_nat64_embed(prefix, c[i].plen, htonl(0xc0000221), got);
		ck_assert_msg(!memcmp(got, want, 16), "/%u", c[i].plen);
		ck_assert(fp_nat64_extract(prefix, c[i].plen, got, &v4));
		ck_assert_uint_eq(v4, htonl(0xc0000221));
		got[c[i].plen / 8 - 1] ^= 1;
		ck_assert(!fp_nat64_extract(prefix, c[i].plen, got, &v4));
		if (c[i].plen == 96)
			continue;
		memcpy(got, want, 16), got[8] = 1;
		ck_assert(!fp_nat64_extract(prefix, c[i].plen, got, &v4));
	}
	for (unsigned n = 0; n <= 128; n++)
		ck_assert_int_eq(fp_nat64_plen_ok(n),
				 n == 32 || n == 40 || n == 48 || n == 56 || n == 64 || n == 96);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nat64");
	TCase *tc = tcase_create("nat64");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, both_ways);
	tcase_add_test(tc, fragments);
	tcase_add_test(tc, special_cases);
	tcase_add_test(tc, icmp_errors);
	tcase_add_test(tc, long_error);
	tcase_add_test(tc, error_tables);
	tcase_add_test(tc, plateaus);
	tcase_add_test(tc, addresses);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
