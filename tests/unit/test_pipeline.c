/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fast way against the general one: random frames, sound and broken, go through
 * fastpath/pipeline.h and, one at a time, through parse.h, flow.h and rewrite.h. Acts, bytes,
 * counters and TCP edges must be the same, and what is not forwarded must be untouched.
 */
#include "tests/lib/pipe_frames.h"

static struct fp_pipe pipe_;

static void setup(void)
{
	const uint32_t pairs[] = { 2048, 2048 };
	struct fp_flow_conf conf = { .n_workers = 1 };

	rng = test_seed;
	n_ids = N_FLOWS + 20;
	adjs_make();
	ck_assert_int_eq(fp_flow_mem_anon(pairs, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	flows_fill();
	pipe_ = (struct fp_pipe){
		.flows = table, .adj = adjs, .n_adj = N_ADJ, .now = 99, .policy = POLICY
	};
}

static void teardown(void)
{
	fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* ----- tests ----- */

static struct frame ours[FP_PIPE_BURST], orig[FP_PIPE_BURST], theirs[FP_PIPE_BURST];
static struct expect want[FP_PIPE_BURST];
static struct fp_burst burst;

static void burst_make(void (*expect)(struct frame *f, struct expect *e))
{
	memset(&burst, 0xa5, sizeof(burst));
	burst.n = 1 + rnd(FP_PIPE_BURST);
	burst.zone = 0;
	memcpy(burst.mac, our_mac, 6);
	for (unsigned i = 0; i < burst.n; i++) {
		frame_make(&ours[i]);
		orig[i] = theirs[i] = ours[i];
		burst.data[i] = ours[i].buf + HEADROOM;
		burst.len[i] = ours[i].len;
		expect(&theirs[i], &want[i]);
	}
}

static void burst_compare(unsigned count[FP_A__MAX])
{
	for (unsigned i = 0; i < burst.n; i++) {
		count[burst.act[i]]++;
		ck_assert_msg(burst.act[i] == want[i].act, "act %u, wanted %u, length %u",
			      burst.act[i], want[i].act, orig[i].len);
		if (want[i].act != FP_A_TX) {
			ck_assert(!memcmp(&ours[i], &orig[i], sizeof(orig[i])));
			continue;
		}
		ck_assert_uint_eq(burst.port[i], want[i].port);
		ck_assert_uint_eq(burst.len[i], want[i].out.len);
		ck_assert(!memcmp(burst.data[i], want[i].out.data, want[i].out.len));
	}
}

/* As XDP on another CPU leaves it: the twin's own line only, and both of it only grow. */
static void twin_grows(struct flow_tcp *t)
{
	t->end = MIN(t->end + rnd(100), 20000u);
	t->edge = MIN(t->edge + rnd(100), 50000u);
}

static void twins_grow(void)
{
	struct fp_flow_new f;
	struct flow_hit4 h4;
	struct flow_hit6 h6;
	uint32_t id = rnd(N_FLOWS);

	flow_of(id, false, &f);
	ck_assert_int_eq(fp_flow_find4(table, &f.dir[0].key4, &h4), FLOW_HIT);
	twin_grows(&h4.twin->tcp);
	flow_of(id, true, &f);
	ck_assert_int_eq(fp_flow_find6(table, &f.dir[0].key6, &h6), FLOW_HIT);
	twin_grows(&h6.twin->tcp);
}

START_TEST(test_flows)
{
	unsigned count[FP_A__MAX] = { 0 };

	for (int n = 0; n < 3000; n++) {
		twins_grow();
		burst_make(expect_flow);
		fp_pipe_flows(&pipe_, &burst, n & 1 ? &burst : NULL);
		burst_compare(count);
	}
	for (unsigned a = 0; a < FP_A__MAX; a++)
		ck_assert_msg(count[a] > 500, "act %u only %u times", a, count[a]);
}
END_TEST

/* What an IPv4 segment leaves behind, window scale 2. */
static void segment_edges(const uint8_t *d, uint32_t *end, uint32_t *edge)
{
	const uint8_t *h = d + 34;
	uint32_t e = fp_ld32(h + 4) + fp_ld16(d + 16) - 20 - (h[12] >> 4) * 4u;
	uint32_t w = fp_ld32(h + 8) + MAX(fp_ld16(h + 14) * 4u, 1u);

	*end = (int32_t)(e - *end) > 0 ? e : *end;
	*edge = (int32_t)(w - *edge) > 0 ? w : *edge;
}

/* One flow: packets, bytes, time, edges. */
START_TEST(test_account)
{
	struct flow_hit4 h = { .own = NULL };
	uint64_t packets = 0, bytes = 0;
	uint32_t end = 10000, edge = 40000;
	struct fp_tuple4 t4;
	struct fp_tuple6 t6;
	struct flow_key4 k;
	uint32_t id = 1; /* TCP, translated, by a good adjacency */

	n_ids = 4;
	tuple_of(id, &t4, &t6);
	k = (struct flow_key4){ t4.src_be, t4.dst_be, t4.sport_be, t4.dport_be, t4.proto, 0, 0 };
	ck_assert_int_eq(fp_flow_find4(table, &k, &h), FLOW_HIT);
	for (int n = 0; n < 2000; n++) {
		burst_make(expect_flow);
		fp_pipe_flows(&pipe_, &burst, NULL);
		for (unsigned i = 0; i < burst.n; i++) {
			const uint8_t *d = orig[i].buf + HEADROOM;

			if (burst.act[i] != FP_A_TX || fp_ld32_be(d + 26) != k.saddr ||
			    fp_ld16(d + 12) != FP_ETH_IP4)
				continue;
			packets++;
			bytes += fp_ld16(d + 16);
			segment_edges(d, &end, &edge);
		}
	}
	ck_assert_uint_gt(packets, 50);
	ck_assert_uint_eq(h.own->count >> FLOW_COUNT_BYTES_BITS, packets);
	ck_assert_uint_eq(h.own->count & ((1ull << FLOW_COUNT_BYTES_BITS) - 1), bytes);
	ck_assert_uint_eq(h.own->time, 99);
	ck_assert_uint_eq(h.own->tcp.end, end);
	ck_assert_uint_eq(h.own->tcp.edge, edge);
	ck_assert_uint_eq(h.twin->tcp.end, 10000);
}
END_TEST

static struct lpm4 *l4;
static struct lpm6 *l6;

static void expect_route(struct frame *f, struct expect *e)
{
	struct fp_pkt p;
	uint32_t nh;

	*e = (struct expect){ .act = FP_A_SLOW,
			      .out = { f->buf + HEADROOM, f->len, HEADROOM, ROOM - f->len } };
	fp_classify(e->out.data, f->len, &p);
	if (!plain(f, &p))
		return;
	nh = p.family == AF_INET ? lpm4_lookup(l4, fp_ld32(e->out.data + 30))
				 : lpm6_lookup(l6, e->out.data + 38);
	e->act = FP_A_ADJ;
	if (nh >= N_ADJ || !adjs[nh].len || adjs[nh].shaped || p.end - p.l3_off > adjs[nh].mtu)
		return;
	e->act = FP_A_TX;
	apply(e, &p, 0, nh, NULL, NULL);
}

START_TEST(test_routes)
{
	unsigned count[FP_A__MAX] = { 0 };
	struct lpm_params params = { 0 };
	static const uint8_t net6[16] = { 0x20, 1, 0xd, 0xb8 };

	ck_assert_int_eq(lpm4_new(&params, &l4), 0);
	ck_assert_int_eq(lpm6_new(&params, &l6), 0);
	for (uint32_t i = 0; i < 48; i++)
		ck_assert_int_eq(lpm4_set(l4, 0xc6336401 + i, 32, 1 + i % 9), 0);
	ck_assert_int_eq(lpm6_set(l6, net6, 32, 4), 0);
	pipe_.lpm4 = l4;
	pipe_.lpm6 = l6;
	for (int n = 0; n < 2000; n++) {
		burst_make(expect_route);
		fp_pipe_routes(&pipe_, &burst, NULL);
		burst_compare(count);
	}
	ck_assert_uint_gt(count[FP_A_TX], 10000);
	ck_assert_uint_gt(count[FP_A_ADJ], 500);
	ck_assert_uint_gt(count[FP_A_SLOW], 500);
	lpm4_free(l4);
	lpm6_free(l6);
}
END_TEST

/* Routed without flows, addresses get a second look. */
START_TEST(test_route_odd_addresses)
{
	static const struct {
		uint32_t src, dst;
		bool odd;
	} c[] = {
		{ 0x0a000001, 0xc6336401, false }, { 0x7f000001, 0xc6336401, true },
		{ 0x0a000001, 0x7f000001, true },  { 0x0a000001, 0xe0000005, true },
		{ 0xe0000005, 0xc6336401, true },  { 0x0a000001, 0xffffffff, true },
		{ 0, 0xc6336401, true },           { 0xa9fe0001, 0xc6336401, true },
		{ 0xc6336401, 0xc6336401, true },  { 0xf0000001, 0xc6336401, true },
	};
	struct lpm_params params = { 0 };

	ck_assert_int_eq(lpm4_new(&params, &l4), 0);
	ck_assert_int_eq(lpm4_set(l4, 0, 0, 1), 0);
	pipe_.lpm4 = l4;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		uint8_t *d = ours[0].buf + HEADROOM, *ip = d + FP_ETH_LEN;

		memset(&ours[0], 0, sizeof(ours[0]));
		memset(&burst, 0, sizeof(burst));
		memcpy(d, our_mac, 6);
		fp_st16(d + 12, FP_ETH_IP4);
		ip[0] = 0x45;
		fp_st16(ip + 2, 46);
		ip[8] = 64;
		ip[9] = IPPROTO_UDP;
		fp_st32(ip + 12, c[i].src);
		fp_st32(ip + 16, c[i].dst);
		fp_st16(ip + 24, 26);
		fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
		memcpy(burst.mac, our_mac, 6);
		burst.n = 1;
		burst.data[0] = d;
		burst.len[0] = 60;
		fp_pipe_routes(&pipe_, &burst, NULL);
		ck_assert_msg(burst.act[0] == (c[i].odd ? FP_A_SLOW : FP_A_TX), "case %zu: %u", i,
			      burst.act[0]);
	}
	lpm4_free(l4);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pipeline");
	TCase *tc = tcase_create("pipeline");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_flows);
	tcase_add_test(tc, test_account);
	tcase_add_test(tc, test_routes);
	tcase_add_test(tc, test_route_odd_addresses);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
