/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAT, TTL, DSCP, layer 2, NPTv6 and MSS: the packet changed in place must be byte for byte the
 * packet built anew with the new values. */
#include "../../fastpath/csum.h"
#include "../../fastpath/mss.h"
#include "../../fastpath/npt.h"
#include "../../fastpath/rewrite.h"
#include "../lib/check_main.h"
#include "../lib/packet.h"

#include <errno.h>

struct side {
	uint32_t src, dst;
	unsigned sport, dport;
};

static const uint8_t protos[] = { 6, 17, 136, 1, 132, 50 };

/* zero: all bytes of an ICMP echo reply zero, where a checksum of 0xffff is born. */
static void build(struct tp *t, bool v6, uint8_t proto, const struct side *s, uint8_t ttl,
		  unsigned payload, bool zero)
{
	tp_eth(t, v6 ? 0x86dd : 0x0800);
	if (v6)
		tp_ip6(t, s->src, s->dst, proto == 1 ? 58 : proto, ttl);
	else
		tp_ip4(t, s->src, s->dst, proto, ttl);
	if (proto == 6)
		tp_tcp(t, s->sport, s->dport, 0x10, NULL, 0, payload);
	else if (proto == 1)
		tp_icmp(t, v6 ? 129 : 0, 0, s->sport << 16 | (zero ? 0 : 7), zero ? 0 : payload);
	else if (proto == 17 || proto == 136)
		tp_udp(t, s->sport, s->dport, payload);
	else {
		tp_w16(tp_grow(t, 12 + payload), s->sport);
		tp_w16(t->b + t->l4 + 2, s->dport);
	}
	tp_done(t);
}

static void same(const struct tp *a, const struct tp *b)
{
	ck_assert_uint_eq(a->len, b->len);
	for (unsigned i = 0; i < a->len; i++)
		if (a->b[i] != b->b[i])
			ck_abort_msg(
				"family %u proto %u: byte %u (l3 %+d, l4 %+d) is %02x, want %02x",
				b->family, b->proto, i, (int)(i - b->l3), (int)(i - b->l4), a->b[i],
				b->b[i]);
}

static enum rtr_drop translate(struct tp *t, const struct side *from, const struct side *to)
{
	struct fp_pkt p;
	enum rtr_drop why;

	ck_assert_int_eq(fp_classify(t->b, t->len, &p), FP_V_FORWARD);
	if (t->family == 4) {
		struct fp_tuple4 f = { htonl(from->src), htonl(from->dst), p.sport_be, p.dport_be,
				       p.proto };
		struct fp_tuple4 n = { htonl(to->src), htonl(to->dst), htons(to->sport),
				       htons(to->dport), p.proto };
		struct fp_nat4 nat;

		why = fp_nat4_init(&nat, &f, &n);
		return why ? why : fp_nat4_apply(t->b, &p, &nat);
	}
	struct fp_tuple6 f = { .sport_be = p.sport_be, .dport_be = p.dport_be, .proto = p.proto };
	struct fp_tuple6 n = { .sport_be = htons(to->sport),
			       .dport_be = htons(to->dport),
			       .proto = p.proto };
	struct fp_nat6 nat;

	tp_addr6(f.src, from->src), tp_addr6(f.dst, from->dst);
	tp_addr6(n.src, to->src), tp_addr6(n.dst, to->dst);
	why = fp_nat6_init(&nat, &f, &n);
	return why ? why : fp_nat6_apply(t->b, &p, &nat);
}

static struct side random_side(uint64_t *rng)
{
	uint64_t r = test_rand(rng), q = test_rand(rng);
	struct side s = { 0x0a000000 | (r & 0xffffff), 0xc0000000 | (r >> 32 & 0xffffff),
			  q & 0xffff, q >> 16 & 0xffff };

	/* Extremes, where -0 and +0 meet. */
	if (q >> 60 == 0)
		s.sport = 0xffff;
	if (q >> 60 == 1)
		s.sport = 0;
	if (s.src == s.dst)
		s.dst++;
	return s;
}

START_TEST(nat_is_a_rebuild)
{
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(120000); round < n_rounds; round++) {
		struct side from = random_side(&rng), to = random_side(&rng);
		uint64_t r = test_rand(&rng);
		uint8_t proto = protos[r % 6];
		bool v6 = r >> 8 & 1, zero = proto == 1 && r >> 9 & 1;
		unsigned payload = r >> 16 & 63;
		struct tp t, want;

		if (proto == 1)
			from.dport = from.sport, to.dport = to.sport;
		if (proto == 132 || proto == 50)
			to.sport = from.sport, to.dport = from.dport;
		build(&t, v6, proto, &from, 64, payload, zero);
		build(&want, v6, proto, &to, 64, payload, zero);
		if (proto == 50) {
			struct fp_pkt p;

			/* No ports in ESP: the tuple has none either. */
			fp_classify(t.b, t.len, &p);
			to.sport = to.dport = 0;
		}
		ck_assert_uint_eq(translate(&t, &from, &to), RTR_DROP_NONE);
		same(&t, &want);
	}
}
END_TEST

START_TEST(nat_refuses)
{
	struct side from = { 0x0a000001, 0xc0000201, 1000, 80 },
		    to = { 0xc6336401, 0xc0000201, 2000, 80 };
	struct tp t;

	build(&t, false, 132, &from, 64, 10, false);
	ck_assert_uint_eq(translate(&t, &from, &to), RTR_DROP_NAT_PROTO);
	build(&t, true, 17, &from, 64, 10, false);
	tp_w16(t.b + t.l4 + 6, 0);
	ck_assert_uint_eq(translate(&t, &from, &to), RTR_DROP_UDP6_NOCSUM);
	tp_eth(&t, 0x0800);
	tp_ip4(&t, from.src, from.dst, 1, 64);
	tp_icmp(&t, 3, 1, 0, 28);
	tp_done(&t);
	ck_assert_uint_eq(translate(&t, &from, &(struct side){ 1, 2, 0, 0 }), RTR_DROP_NAT_ICMP);
	/* UDP/IPv4 without checksum stays without. */
	build(&t, false, 17, &from, 64, 10, false);
	tp_w16(t.b + t.l4 + 6, 0);
	ck_assert_uint_eq(translate(&t, &from, &to), RTR_DROP_NONE);
	ck_assert_uint_eq(tp_r16(t.b + t.l4 + 6), 0);
	ck_assert_uint_eq(tp_r16(t.b + t.l4), 2000);
}
END_TEST

/* A datagram in two pieces: translated piece by piece, joined, it must verify. */
START_TEST(nat_of_fragments)
{
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(20000); round < n_rounds; round++) {
		struct side from = random_side(&rng), to = random_side(&rng);
		struct tp whole, want, part[2];
		uint64_t r = test_rand(&rng);
		uint8_t proto = protos[r % 4];
		unsigned payload = 64, cut = 40, len;

		if (proto == 1)
			from.dport = from.sport, to.dport = to.sport;
		build(&whole, false, proto, &from, 64, payload, false);
		build(&want, false, proto, &to, 64, payload, false);
		len = whole.len - whole.l4;
		for (int i = 0; i < 2; i++) {
			struct tp *t = &part[i];
			unsigned off = i ? cut : 0, n = i ? len - cut : cut;

			tp_eth(t, 0x0800);
			tp_ip4(t, from.src, from.dst, proto, 64);
			memcpy(tp_grow(t, n), whole.b + whole.l4 + off, n);
			tp_frag4(t, off, !i);
			tp_done(t);
		}
		for (int i = 0; i < 2; i++) {
			/* The flow's translation comes from the first fragment's ports. */
			struct fp_pkt p;
			struct fp_nat4 nat;
			struct fp_tuple4 f = { htonl(from.src), htonl(from.dst), htons(from.sport),
					       htons(from.dport), proto };
			struct fp_tuple4 n = { htonl(to.src), htonl(to.dst), htons(to.sport),
					       htons(to.dport), proto };

			ck_assert_int_eq(fp_classify(part[i].b, part[i].len, &p), FP_V_FORWARD);
			ck_assert_uint_eq(fp_nat4_init(&nat, &f, &n), 0);
			ck_assert_uint_eq(fp_nat4_apply(part[i].b, &p, &nat), 0);
			ck_assert_uint_eq(tp_r16(part[i].b + 24), tp_ip4_csum(part[i].b + 14));
		}
		ck_assert(!memcmp(part[0].b + 34, want.b + 34, cut));
		ck_assert(!memcmp(part[1].b + 34, want.b + 34 + cut, len - cut));
	}
}
END_TEST

START_TEST(ttl_and_dscp)
{
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(60000); round < n_rounds; round++) {
		struct side s = random_side(&rng);
		uint64_t r = test_rand(&rng);
		bool v6 = r & 1;
		uint8_t ttl = (uint8_t)(2 + (r >> 8) % 254), dscp = r >> 16 & 63;
		struct tp t, want;
		struct fp_pkt p;

		build(&t, v6, 17, &s, ttl, 5, false);
		if (v6)
			t.b[15] = 0x1f, tp_w16(t.b + 16, (unsigned)(r >> 24) & 0xffff);
		else
			t.b[15] = 0x02, tp_w16(t.b + 18, (unsigned)(r >> 24) & 0xffff),
			tp_fix_ip4(&t);
		want = t;
		want.b[want.l3 + (v6 ? 7 : 8)]--;
		if (v6)
			tp_w16(want.b + 14, 0x600f | (dscp << 2 | 1) << 4);
		else
			want.b[15] = (uint8_t)(dscp << 2 | 2);
		tp_fix_ip4(&want);
		ck_assert_int_eq(fp_classify(t.b, t.len, &p), FP_V_FORWARD);
		fp_ttl_dec(t.b, &p);
		fp_dscp_set(t.b, &p, dscp);
		same(&t, &want);
		ck_assert_uint_eq(p.ttl, ttl - 1);
	}
}
END_TEST

START_TEST(layer2)
{
	struct side s = { 0x0a000001, 0xc0000201, 1000, 80 };
	struct fp_l2_spec spec = { .dst = { 2, 1, 1, 1, 1, 1 }, .src = { 2, 2, 2, 2, 2, 2 } };

	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned in_tags = 0; in_tags < 3; in_tags++)
			for (unsigned tags = 0; tags < 3; tags++)
				for (unsigned ppp = 0; ppp < 2; ppp++)
					for (unsigned payload = 0; payload < 40; payload += 13) {
						uint8_t room[512];
						struct fp_buf b = { .data = room + 32,
								    .headroom = 32 };
						struct tp ip, t, want;
						struct fp_pkt p, q;
						struct fp_l2 l2;
						unsigned type = ppp  ? 0x8864
								: v6 ? 0x86dd
								     : 0x0800,
							 ip_len;

						memset(room, 0xee, sizeof(room));
						build(&ip, v6, 17, &s, 64, payload, false);
						ip_len = ip.len - ip.l3;
						tp_eth(&t, in_tags ? 0x8100 : v6 ? 0x86dd : 0x0800);
						for (unsigned i = 0; i < in_tags; i++)
							tp_vlan(&t, i,
								i + 1 < in_tags ? 0x8100
								: v6            ? 0x86dd
										: 0x0800);
						memcpy(tp_grow(&t, ip_len), ip.b + ip.l3, ip_len);
						memcpy(b.data, t.b, t.len);
						b.len = t.len;
						b.tailroom = sizeof(room) - 32 - t.len;
						ck_assert_int_eq(fp_classify(b.data, b.len, &p),
								 FP_V_FORWARD);

						spec.n_vlan = (uint8_t)tags;
						spec.vlan_tci[0] = 100, spec.vlan_tci[1] = 200;
						spec.vlan_proto[0] = tags == 2 ? 0x88a8 : 0;
						spec.pppoe = ppp, spec.pppoe_session = 9;
						fp_l2_init(&l2, &spec);
						ck_assert_uint_eq(fp_l2_apply(&b, &p, &l2),
								  RTR_DROP_NONE);

						tp_eth(&want, tags == 2 ? 0x88a8
							      : tags    ? 0x8100
									: type);
						memcpy(want.b, spec.dst, 6),
							memcpy(want.b + 6, spec.src, 6);
						if (tags)
							tp_vlan(&want, 100,
								tags == 2 ? 0x8100 : type);
						if (tags == 2)
							tp_vlan(&want, 200, type);
						if (ppp)
							tp_pppoe(&want, 9, v6 ? 0x57 : 0x21),
								tp_w16(want.b + want.len - 4,
								       ip_len + 2);
						memcpy(tp_grow(&want, ip_len), ip.b + ip.l3,
						       ip_len);
						if (want.len < 60)
							tp_grow(&want, 60 - want.len);
						ck_assert_uint_eq(b.len, want.len);
						ck_assert(!memcmp(b.data, want.b, want.len));
						ck_assert_ptr_eq(b.data + b.len + b.tailroom,
								 room + sizeof(room));
						ck_assert_ptr_eq(b.data - b.headroom, room);
						/* What *p says now is what a parser finds. */
						ck_assert_int_eq(fp_classify(b.data, b.len, &q),
								 FP_V_FORWARD);
						ck_assert_uint_eq(q.l3_off, p.l3_off);
						ck_assert_uint_eq(q.l4_off, p.l4_off);
						ck_assert_uint_eq(q.end, p.end);
					}
}
END_TEST

START_TEST(layer2_room)
{
	struct fp_l2_spec spec = { .n_vlan = 1 };
	uint8_t room[128];
	struct tp t;
	struct fp_pkt p;
	struct fp_l2 l2;
	struct side s = { 0x0a000001, 0xc0000201, 1000, 80 };

	build(&t, false, 17, &s, 64, 20, false);
	memcpy(room + 8, t.b, t.len);
	fp_l2_init(&l2, &spec);
	for (unsigned head = 0; head < 6; head++) {
		struct fp_buf b = { room + 8, t.len, head, 0 };

		fp_classify(b.data, b.len, &p);
		ck_assert_uint_eq(fp_l2_apply(&b, &p, &l2),
				  head < 4 ? RTR_DROP_HEADROOM : RTR_DROP_NONE);
		if (head < 4)
			ck_assert(!memcmp(room + 8, t.b, t.len));
		else
			break;
	}
}
END_TEST

/* The example of RFC 6296 appendix B, and what follows from it. */
START_TEST(npt_example)
{
	struct fp_npt n;
	uint8_t in[16], out[16], a[16], want[16];

	inet_pton(AF_INET6, "fd01:203:405::", in);
	inet_pton(AF_INET6, "2001:db8:1::", out);
	ck_assert_int_eq(fp_npt_init(&n, in, out, 48), 0);
	inet_pton(AF_INET6, "fd01:203:405:1::1234", a);
	inet_pton(AF_INET6, "2001:db8:1:d550::1234", want);
	ck_assert(fp_npt_match(&n, a, true) && !fp_npt_match(&n, a, false));
	ck_assert(fp_npt_map(&n, a, true));
	ck_assert(!memcmp(a, want, 16));
	ck_assert(fp_npt_map(&n, a, false));
	inet_pton(AF_INET6, "fd01:203:405:1::1234", want);
	ck_assert(!memcmp(a, want, 16));
	inet_pton(AF_INET6, "fd01:203:405:ffff::1234", a);
	ck_assert(!fp_npt_map(&n, a, true));
	ck_assert_int_eq(fp_npt_init(&n, in, out, 64), 0);
	inet_pton(AF_INET6, "fd01:203:405:0:ffff:ffff:ffff:ffff", a);
	ck_assert(!fp_npt_map(&n, a, true));
	ck_assert_int_eq(fp_npt_init(&n, in, out, 65), -EINVAL);
	ck_assert_int_eq(fp_npt_init(&n, in, out, 0), -EINVAL);
}
END_TEST

START_TEST(npt_is_neutral)
{
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(100000); round < n_rounds; round++) {
		struct fp_npt n;
		uint8_t in[16], out[16], a[16], b[16];
		uint8_t len = (uint8_t)(1 + test_rand(&rng) % 64);
		struct tp t;
		struct fp_pkt p;

		for (int i = 0; i < 16; i++) {
			in[i] = (uint8_t)test_rand(&rng), out[i] = (uint8_t)test_rand(&rng);
			a[i] = (uint8_t)(test_rand(&rng) % 4 ? test_rand(&rng) : 0xff);
		}
		in[0] = out[0] = 0x20; /* no martian */
		ck_assert_int_eq(fp_npt_init(&n, in, out, len), 0);
		for (unsigned i = 0; i < 8; i++)
			a[i] = (uint8_t)((a[i] & ~n.mask[i]) | n.in[i]);
		memcpy(b, a, 16);
		if (!fp_npt_map(&n, b, true))
			continue;
		ck_assert(fp_npt_match(&n, b, false));
		for (unsigned i = 0; i < len; i++)
			ck_assert_uint_eq(b[i / 8] >> (7 - i % 8) & 1,
					  out[i / 8] >> (7 - i % 8) & 1);
		ck_assert_uint_eq(tp_sum(a, 16, 0) % 0xffff, tp_sum(b, 16, 0) % 0xffff);
		ck_assert(fp_npt_map(&n, b, false));
		ck_assert(!memcmp(a, b, 16));
		/* In a packet: checksums hold without being touched. */
		tp_eth(&t, 0x86dd);
		tp_addr6(b, 77);
		b[0] = 0x30;
		tp_ip6_raw(&t, a, b, 6, 64);
		tp_tcp(&t, 1, 2, 2, NULL, 0, 9);
		tp_done(&t);
		ck_assert_int_eq(fp_classify(t.b, t.len, &p), FP_V_FORWARD);
		ck_assert_uint_eq(fp_npt_apply(t.b, &p, &n, true), RTR_DROP_NONE);
		ck_assert(tp_sane(t.b + t.l3, t.len - t.l3));
	}
}
END_TEST

/* An error from outside about a packet of ours: both addresses go back. */
START_TEST(npt_icmp_error)
{
	struct fp_npt n;
	uint8_t in[16], out[16], host[16], host_out[16], peer[16], hop[16];
	struct tp t;
	struct fp_pkt p;

	inet_pton(AF_INET6, "fd01:203:405::", in);
	inet_pton(AF_INET6, "2001:db8:1::", out);
	inet_pton(AF_INET6, "fd01:203:405:1::1234", host);
	tp_addr6(peer, 5), tp_addr6(hop, 6);
	ck_assert_int_eq(fp_npt_init(&n, in, out, 48), 0);
	memcpy(host_out, host, 16);
	fp_npt_map(&n, host_out, true);
	tp_eth(&t, 0x86dd);
	tp_ip6_raw(&t, hop, host_out, 58, 60);
	tp_icmp(&t, 3, 0, 0, 0);
	tp_grow(&t, 48)[0] = 0x60;
	memcpy(t.b + t.l4 + 16, host_out, 16), memcpy(t.b + t.l4 + 32, peer, 16);
	tp_done(&t);
	ck_assert_int_eq(fp_classify(t.b, t.len, &p), FP_V_FORWARD);
	ck_assert_uint_eq(fp_npt_apply(t.b, &p, &n, false), RTR_DROP_NONE);
	ck_assert(!memcmp(t.b + t.l3 + 24, host, 16));
	ck_assert(!memcmp(t.b + t.l4 + 16, host, 16));
	ck_assert(!memcmp(t.b + t.l4 + 32, peer, 16));
	ck_assert(tp_sane(t.b + t.l3, t.len - t.l3));
}
END_TEST

/* MSS by a second reading of the options, at any offset and in both families. */
START_TEST(mss)
{
	uint64_t rng = test_seed;
	unsigned changed = 0, odd = 0;

	for (int round = 0, n_rounds = tp_rounds(100000); round < n_rounds; round++) {
		uint8_t opt[40] = { 0 };
		unsigned n = 0, at[10], n_mss = 0;
		uint16_t max = (uint16_t)(500 + test_rand(&rng) % 1000);
		bool v6 = test_rand(&rng) & 1, any = false, syn = test_rand(&rng) % 8;
		struct tp t, want;
		struct fp_pkt p;

		while (n < 36) {
			unsigned pick = test_rand(&rng) % 5;

			if (pick == 0) {
				opt[n++] = 1;
			} else if (pick == 1 && n_mss < 2) {
				opt[n] = 2, opt[n + 1] = 4;
				tp_w16(opt + n + 2, test_rand(&rng) % 3000);
				at[n_mss++] = n + 2;
				n += 4;
			} else if (pick == 2) {
				opt[n] = 8, opt[n + 1] = (uint8_t)(2 + test_rand(&rng) % 3);
				n += opt[n + 1];
			} else if (pick == 3 && n > 8) {
				break;
			}
		}
		tp_eth(&t, v6 ? 0x86dd : 0x0800);
		if (v6)
			tp_ip6(&t, 1, 2, 6, 64);
		else
			tp_ip4(&t, 0x0a000001, 0x0a000002, 6, 64);
		tp_tcp(&t, 1, 2, syn ? 0x12 : 0x10, opt, sizeof(opt), 3);
		tp_done(&t);
		want = t;
		for (unsigned i = 0; syn && i < n_mss; i++)
			if (tp_r16(opt + at[i]) > max) {
				tp_w16(want.b + want.l4 + 20 + at[i], max);
				odd += at[i] & 1;
				any = true;
			}
		tp_done(&want);
		ck_assert_int_eq(fp_classify(t.b, t.len, &p), FP_V_FORWARD);
		ck_assert_int_eq(fp_mss_clamp(t.b, &p, max), any);
		same(&t, &want);
		changed += any;
	}
	ck_assert_uint_gt(changed, 1000);
	ck_assert_uint_gt(odd, 1000);
	ck_assert_uint_eq(fp_mss_of_mtu(AF_INET, 1492), 1452);
	ck_assert_uint_eq(fp_mss_of_mtu(AF_INET6, 1492), 1432);
	ck_assert_uint_eq(fp_mss_of_mtu(AF_INET, 40), 0);
}
END_TEST

/* Options that lie about their length are left alone, at every length. */
START_TEST(mss_lies)
{
	uint64_t rng = test_seed;

	for (int round = 0, n_rounds = tp_rounds(200000); round < n_rounds; round++) {
		uint8_t opt[40];
		unsigned n = 4 * (test_rand(&rng) % 11);
		struct tp t;
		struct fp_pkt p;
		uint8_t *exact;

		for (unsigned i = 0; i < n; i++)
			opt[i] = (uint8_t)(test_rand(&rng) % 3 ? test_rand(&rng) % 6
							       : test_rand(&rng));
		tp_eth(&t, 0x0800);
		tp_ip4(&t, 0x0a000001, 0x0a000002, 6, 64);
		tp_tcp(&t, 1, 2, 2, opt, n, 0);
		tp_done(&t);
		exact = xmalloc(t.len);
		memcpy(exact, t.b, t.len);
		ck_assert_int_eq(fp_classify(exact, t.len, &p), FP_V_FORWARD);
		fp_mss_clamp(exact, &p, 100);
		ck_assert(tp_sane(exact + t.l3, t.len - t.l3));
		free(exact);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rewrite");
	TCase *tc = tcase_create("rewrite");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, nat_is_a_rebuild);
	tcase_add_test(tc, nat_refuses);
	tcase_add_test(tc, nat_of_fragments);
	tcase_add_test(tc, ttl_and_dscp);
	tcase_add_test(tc, layer2);
	tcase_add_test(tc, layer2_room);
	tcase_add_test(tc, npt_example);
	tcase_add_test(tc, npt_is_neutral);
	tcase_add_test(tc, npt_icmp_error);
	tcase_add_test(tc, mss);
	tcase_add_test(tc, mss_lies);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
