/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nanoseconds a packet of each stage between receive and transmit, single core, frames of a burst
 * spread over a UMEM's 2 KiB slots. Peers: for NAT the same rewrite with checksums computed anew
 * over the packet, which is what the adjustment saves; for the checksum a plain 16-bit loop.
 */
#include "../fastpath/csum.h"
#include "../fastpath/mss.h"
#include "../fastpath/rewrite.h"
#include "../tests/lib/packet.h"
#include "lib/bench.h"

#define N    256 /* frames: a burst or several, in the second-level cache as in the worker */
#define SLOT 2048
#define ROOM 64

static uint8_t umem[N][SLOT] RTR_CACHE_ALIGNED;
static uint32_t len[N];
static struct fp_pkt pkt[N];
static struct fp_nat4 nat4;
static struct fp_nat6 nat6;
static struct fp_l2 l2;
static volatile uint64_t sink;

static void fill(bool v6, unsigned payload)
{
	for (unsigned i = 0; i < N; i++) {
		struct tp t;

		tp_eth(&t, v6 ? 0x86dd : 0x0800);
		if (v6)
			tp_ip6(&t, i + 1, 0x10000, 17, 64);
		else
			tp_ip4(&t, 0x0a000001 + i, 0xc0000201, 17, 64);
		tp_udp(&t, 1000 + i, 53, payload);
		tp_done(&t);
		memcpy(umem[i] + ROOM, t.b, t.len);
		len[i] = t.len;
		fp_classify(umem[i] + ROOM, t.len, &pkt[i]);
	}
}

static void s_parse(unsigned i)
{
	sink += fp_parse(umem[i] + ROOM, len[i], &pkt[i]);
}

static void s_classify(unsigned i)
{
	sink += fp_classify(umem[i] + ROOM, len[i], &pkt[i]);
}

static void s_csum(unsigned i)
{
	sink += fp_csum_l4_ok(umem[i] + ROOM, &pkt[i]);
}

static void s_csum_plain(unsigned i)
{
	const uint8_t *p = umem[i] + ROOM + pkt[i].l4_off;
	uint32_t sum = 0;

	for (unsigned at = 0; at + 1 < (unsigned)pkt[i].end - pkt[i].l4_off; at += 2)
		sum += fp_ld16_be(p + at);
	sink += fp_csum_fold(sum);
}

static void s_nat4(unsigned i)
{
	fp_nat4_apply(umem[i] + ROOM, &pkt[i], &nat4);
	fp_ttl_dec(umem[i] + ROOM, &pkt[i]);
}

static void s_nat4_anew(unsigned i)
{
	uint8_t *ip = umem[i] + ROOM + pkt[i].l3_off;

	fp_st32_be(ip + 12, nat4.src_be);
	fp_st16_be(ip + 20, nat4.sport_be);
	ip[8]--;
	fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
	fp_csum_l4_fill(umem[i] + ROOM, &pkt[i]);
}

static void s_nat6(unsigned i)
{
	fp_nat6_apply(umem[i] + ROOM, &pkt[i], &nat6);
	fp_ttl_dec(umem[i] + ROOM, &pkt[i]);
}

static void s_nat6_anew(unsigned i)
{
	uint8_t *ip = umem[i] + ROOM + pkt[i].l3_off;

	memcpy(ip + 8, nat6.src, 16);
	fp_st16_be(ip + 40, nat6.sport_be);
	ip[7]--;
	fp_csum_l4_fill(umem[i] + ROOM, &pkt[i]);
}

static void s_l2(unsigned i)
{
	struct fp_buf b = { umem[i] + ROOM, len[i], ROOM, SLOT - ROOM - len[i] };

	sink += fp_l2_apply(&b, &pkt[i], &l2);
}

/* The stage over all frames again and again: nanoseconds a call. Inlined into each caller, so that
 * the stage is not reached through a pointer. */
static inline __attribute__((always_inline)) double ns_of(void (*stage)(unsigned), unsigned rounds)
{
	uint64_t start = rtr_now_ns();

	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < N; i++)
			stage(i);
	return (double)(rtr_now_ns() - start) / ((double)rounds * N);
}

#define CASE(title, v6, payload, ours_fn, peer_name, peer_fn)                                      \
	do {                                                                                       \
		struct bench_case c = {                                                            \
			.bench = "stages", .name = title, .unit = "ns/pkt", .peer = peer_name      \
		};                                                                                 \
		if (!bench_wanted(&o, title))                                                      \
			break;                                                                     \
		for (int i = 0; i < o.rounds; i++) {                                               \
			fill(v6, payload);                                                         \
			bench_add_ours(&c, ns_of(ours_fn, rounds));                                \
			if (*peer_name)                                                            \
				bench_add_peer(&c, ns_of(peer_fn, rounds));                        \
		}                                                                                  \
		bench_print(&c);                                                                   \
	} while (0)

int main(int argc, char **argv)
{
	struct bench_opts o;
	struct fp_tuple4 f4 = { htonl(0x0a000001), htonl(0xc0000201), htons(1000), htons(53), 17 };
	struct fp_tuple4 t4 = { htonl(0xc6336401), htonl(0xc0000201), htons(7777), htons(53), 17 };
	struct fp_tuple6 f6 = { .sport_be = htons(1000), .dport_be = htons(53), .proto = 17 }, t6;
	unsigned rounds;

	if (bench_parse(&o, argc, argv))
		return 2;
	rounds = o.quick ? 500 : 4000;
	tp_addr6(f6.src, 1), tp_addr6(f6.dst, 0x10000);
	t6 = f6;
	tp_addr6(t6.src, 0x20000);
	fp_nat4_init(&nat4, &f4, &t4);
	fp_nat6_init(&nat6, &f6, &t6);
	fp_l2_init(&l2, &(struct fp_l2_spec){ .n_vlan = 0 });
	CASE("parse v4 60 B", false, 18, s_parse, "", s_parse);
	CASE("parse v6 78 B", true, 16, s_parse, "", s_parse);
	CASE("parse and validate v4 60 B", false, 18, s_classify, "", s_parse);
	CASE("parse and validate v6 78 B", true, 16, s_classify, "", s_parse);
	CASE("NAT and TTL v4 60 B", false, 18, s_nat4, "checksums anew", s_nat4_anew);
	CASE("NAT and TTL v4 1514 B", false, 1472, s_nat4, "checksums anew", s_nat4_anew);
	CASE("NAT and hop limit v6 78 B", true, 16, s_nat6, "checksums anew", s_nat6_anew);
	CASE("layer 2 v4 60 B", false, 18, s_l2, "", s_l2);
	CASE("UDP checksum 60 B", false, 18, s_csum, "16-bit loop", s_csum_plain);
	CASE("UDP checksum 1514 B", false, 1472, s_csum, "16-bit loop", s_csum_plain);
	return 0;
}
