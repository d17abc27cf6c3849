/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker over rings in memory: two ports, frames put into rx, frames taken out of tx; routes and
 * the kernel are the test's. Checks bytes, flows, paths, counts, and that no buffer is lost.
 */
#include "tests/lib/worker_box.h"

#include <errno.h>

static void frame(struct tp *t, bool six, unsigned sport, uint8_t ttl)
{
	static const uint8_t src6[16] = { 0xfd, [15] = 1 }, dst6[16] = { 0xfd, 1, [15] = 2 };

	tp_eth(t, six ? 0x86dd : 0x0800);
	memcpy(t->b, mac[LAN], 6);
	if (six)
		tp_ip6_raw(t, src6, dst6, 17, ttl);
	else
		tp_ip4(t, 0x0a000002, 0xc0a80102, 17, ttl);
	tp_udp(t, sport, 53, 30);
	tp_done(t);
}

static uint8_t path_of(unsigned sport)
{
	struct flow_key4 k = {
		htonl(0x0a000002), htonl(0xc0a80102), htons((uint16_t)sport), htons(53), 17, 0, LAN
	};
	struct flow_hit4 h;

	return fp_flow_find4(table, &k, &h) == FLOW_HIT ? flow_w0_path(h.word0) : FLOW_P_DEAD;
}

/* ----- tests ----- */

START_TEST(forwards)
{
	bool six = _i;
	const uint8_t *out;
	struct tp t, want;
	uint32_t len;

	frame(&t, six, 1000, 64);
	frame(&want, six, 1000, 63);
	memcpy(want.b, peer[WAN], 6);
	memcpy(want.b + 6, mac[WAN], 6);
	/* The first by its route, the second by its flow: the same bytes. */
	for (int k = 0; k < 2; k++) {
		arrive(LAN, &t);
		ck_assert_uint_eq(turn(), 1);
		out = leave(WAN, &len);
		ck_assert(out && len == want.len && !memcmp(out, want.b, len));
		ck_assert_uint_eq(asked, 2); /* there and back, once */
	}
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
	ck_assert_uint_eq(count(LAN)->forwarded, 2);
	turn();
	ck_assert_uint_eq(in_state(FP_FRAME_TX), 0);
}
END_TEST

/* What earns a thought is the kernel's, as it came. */
START_TEST(kernels)
{
	struct tp t;

	frame(&t, _i, 1000, 1);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_TTL], 1);
	ck_assert(!memcmp(punted, t.b, t.len) && punted_if == 10);
	answer = FP_WAY_NEIGH;
	frame(&t, _i, 1001, 64);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_NEIGH], 1);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 0);
	answer = FP_WAY_KERNEL;
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_ROUTE], 1);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
	answer = FP_WAY_ANSWER;
	frame(&t, _i, 1002, 64);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_ROUTE], 2);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
	answer = FP_WAY_SEND;
	adjs[ADJ_WAN].mtu = 50;
	frame(&t, _i, 1003, 64);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_MTU], 1);
	ck_assert(!memcmp(punted, t.b, t.len));
	adjs[ADJ_WAN].len = 0;
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_NEIGH], 2);
	ck_assert_uint_eq(n_punted, 6);
}
END_TEST

START_TEST(drops)
{
	struct tp t;

	answer = FP_WAY_DROP;
	answer_drop = RTR_DROP_BLACKHOLE;
	frame(&t, _i, 1000, 64);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(count(LAN)->drop[RTR_DROP_BLACKHOLE], 1);
	/* A packet that may not be is the kernel's, and never asked about. */
	asked = 0;
	frame(&t, _i, 1000, 64);
	memset(t.b + 14 + (_i ? 8 : 12), 0xff, _i ? 16 : 4);
	tp_done(&t);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_PARSE], 1);
	ck_assert_uint_eq(asked, 0);
}
END_TEST

/* Out of the interface it came in by: the kernel owes the sender a redirect. */
START_TEST(goes_back)
{
	struct tp t;

	frame(&t, false, 1000, 64);
	memcpy(t.b, mac[WAN], 6);
	adj_make(ADJ_LAN, WAN);
	arrive(WAN, &t);
	turn();
	ck_assert_uint_eq(count(WAN)->punt[FP_TK_BACK], 1);
	ck_assert_uint_eq(count(WAN)->tx, 0);
}
END_TEST

/* The sender left the checksum to a NIC that is not there. */
START_TEST(completes_checksums)
{
	const uint8_t *out;
	struct tp t, want;
	uint32_t len, sum;

	for (int k = 0; k < 2; k++) {
		frame(&t, _i, 1000, 64);
		frame(&want, _i, 1000, 63);
		sum = _i ? tp_sum(t.b + t.l3 + 8, 32, 0) : tp_sum(t.b + t.l3 + 12, 8, 0);
		sum += 17 + (t.len - t.l4);
		while (sum > 0xffff)
			sum = (sum & 0xffff) + (sum >> 16);
		tp_w16(t.b + t.l4 + 6, sum);
		arrive(LAN, &t);
		turn();
		out = leave(WAN, &len);
		ck_assert(out && !memcmp(out + 14, want.b + 14, len - 14));
	}
}
END_TEST

/* A flow takes the express path when what the ring had before it has left, not sooner. */
START_TEST(promotes)
{
	struct tp t;
	uint32_t len;

	frame(&t, false, 1000, 64);
	for (int k = 0; k < 290; k++)
		arrive(LAN, &t);
	/* The first four bursts of 64 make the flow; 34 of its frames are still in the ring. */
	turn();
	ck_assert_uint_eq(path_of(1000), FLOW_P_WORKER);
	turn();
	ck_assert_uint_eq(path_of(1000), FLOW_P_EXPRESS);
	for (int k = 0; k < 290; k++)
		ck_assert_ptr_nonnull(leave(WAN, &len));
	ck_assert_ptr_null(leave(WAN, &len));
	ck_assert_uint_eq(fp_worker_stats(w)->promoted, 2);
}
END_TEST

/* Frames that XDP counted are uncounted when they have left; lost ones when the ring is empty. */
START_TEST(counts_in_flight)
{
	struct flow_key4 k = {
		htonl(0x0a000002), htonl(0xc0a80102), htons(1000), htons(53), 17, 0, LAN
	};
	struct flow_hit4 h;
	struct tp t;

	frame(&t, false, 1000, 64);
	arrive(LAN, &t);
	turn();
	ck_assert_int_eq(fp_flow_find4(table, &k, &h), FLOW_HIT);
	__atomic_fetch_add(&h.own->word0, 262 * FLOW_W0_INFLIGHT_ONE, __ATOMIC_RELAXED);
	for (int i = 0; i < 257; i++)
		arrive(LAN, &t);
	turn();
	fp_flow_find4(table, &k, &h);
	ck_assert_uint_eq(flow_w0_inflight(h.word0), 6);
	turn();
	fp_flow_find4(table, &k, &h);
	ck_assert_uint_eq(flow_w0_inflight(h.word0), 0);
	ck_assert_uint_eq(fp_worker_stats(w)->reconciled, 1);
}
END_TEST

/* Nobody takes what is sent: the ring fills, the rest is dropped and counted, nothing is lost. */
START_TEST(full_ring)
{
	struct tp t;

	frame(&t, false, 1000, 64);
	for (int k = 0; k < 2 * RING; k++) {
		arrive(LAN, &t);
		turn();
	}
	ck_assert_uint_eq(count(LAN)->forwarded, RING);
	ck_assert_uint_eq(count(LAN)->drop[RTR_DROP_TX_RING], RING);
}
END_TEST

/* A full flow table is a normal state. */
START_TEST(full_table)
{
	uint32_t len;
	struct tp t;

	for (unsigned k = 0; k < 300; k++) {
		frame(&t, false, 2000 + k, 64);
		arrive(LAN, &t);
		turn();
		ck_assert_ptr_nonnull(leave(WAN, &len));
	}
	ck_assert_uint_eq(count(LAN)->forwarded, 300);
	ck_assert_uint_gt(fp_worker_stats(w)->refused, 200);
}
END_TEST

/* Each interface judges by its own rules: a flow of one is no flow of the other. */
START_TEST(zones)
{
	uint32_t len;
	struct tp t;

	frame(&t, false, 1000, 64);
	arrive(LAN, &t);
	turn();
	ck_assert_ptr_nonnull(leave(WAN, &len));
	answer = FP_WAY_DROP;
	answer_drop = RTR_DROP_URPF;
	memcpy(t.b, mac[WAN], 6);
	arrive(WAN, &t);
	turn();
	ck_assert_uint_eq(count(WAN)->drop[RTR_DROP_URPF], 1);
	ck_assert_ptr_null(leave(LAN, &len));
}
END_TEST

/* A port that goes takes its buffers along and leaves none behind. */
START_TEST(port_goes)
{
	struct fp_ring *r = &port[WAN].x->fill;
	struct fp_ring keep[4] = { *r, port[WAN].x->comp, port[WAN].x->rx, port[WAN].x->tx };
	struct tp t;

	frame(&t, false, 1000, 64);
	arrive(LAN, &t);
	turn();
	fp_worker_port_del(w, WAN);
	ck_assert_uint_eq(in_state(FP_FRAME_FILL), GIVEN);
	ck_assert_uint_eq(in_state(FP_FRAME_FREE), FRAMES - GIVEN);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(count(LAN)->drop[RTR_DROP_EGRESS_DOWN], 1);
	for (int k = 0; k < 4; k++)
		xsk_ring_free(&keep[k]);
	port_make(WAN);
}
END_TEST

/* Of a NIC that has the frames itself: whole pages to receive into, and none of them is given to
 * others before it has let go. */
START_TEST(zero_copy)
{
	const uint32_t n = 128;
	struct fp_ring keep[4] = { port[WAN].x->fill, port[WAN].x->comp, port[WAN].x->rx,
				   port[WAN].x->tx };
	struct fp_wport p = { .slot = WAN, .zone = WAN, .ifindex = 10 + WAN };
	uint32_t len;
	struct tp t;

	fp_worker_port_del(w, WAN);
	memcpy(p.mac, mac[WAN], 6);
	p.xsk = (struct fp_xsk){ .fd = -1, .zero_copy = true };
	xsk_rings_make(&p.xsk, RING);
	ck_assert_int_eq(fp_worker_port_add(w, &p, FRAMES), -ENOBUFS);
	ck_assert_int_eq(fp_worker_port_add(w, &p, n), 0);
	port[WAN].x = &fp_worker_port(w, WAN, 0)->xsk;
	port[WAN].fill = (struct side){ &port[WAN].x->fill, 0 };
	port[WAN].comp = (struct side){ &port[WAN].x->comp, 0 };
	port[WAN].rx = (struct side){ &port[WAN].x->rx, 0 };
	port[WAN].tx = (struct side){ &port[WAN].x->tx, 0 };
	ck_assert_uint_eq(*port[WAN].x->fill.producer, n);
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(((uint64_t *)port[WAN].x->fill.desc)[i] % FP_FRAME_WIDE, 0);
	/* Through it in both directions. */
	frame(&t, false, 1000, 64);
	arrive(LAN, &t);
	turn();
	ck_assert_ptr_nonnull(leave(WAN, &len));
	memcpy(t.b, mac[WAN], 6);
	for (uint32_t i = 0; i < 3 * n; i++) {
		arrive(WAN, &t);
		turn();
		ck_assert_ptr_nonnull(leave(LAN, &len));
		turn();
	}
	/* Longer than what any socket could send: counted, and its buffer comes back. */
	for (uint32_t i = 0; i < 3 * n; i++) {
		arrive(WAN, &t);
		((struct xdp_desc *)port[WAN].x->rx.desc)[(port[WAN].rx.index - 1) & (RING - 1)]
			.len = FP_FRAME_DATA_MAX + 1;
		turn();
	}
	ck_assert_uint_eq(count(WAN)->drop[RTR_DROP_FRAME_LONG], 3 * n);
	ck_assert_uint_eq(in_state(FP_FRAME_FILL), GIVEN + 2 * n);
	for (int k = 0; k < 4; k++)
		xsk_ring_free(&keep[k]);
	fp_worker_port_bound(w, WAN, 0);
	memcpy(keep,
	       (struct fp_ring[]){ port[WAN].x->fill, port[WAN].x->comp, port[WAN].x->rx,
				   port[WAN].x->tx },
	       sizeof(keep));
	fp_worker_port_del(w, WAN);
	ck_assert_uint_eq(in_state(FP_FRAME_FILL), GIVEN + 2 * n);
	port_make(WAN);
	fp_worker_port_settle(w, LAN);
	ck_assert_uint_eq(in_state(FP_FRAME_FILL), FRAMES);
	fp_worker_port_settle(w, WAN);
	turn();
	ck_assert_uint_eq(in_state(FP_FRAME_FILL), 2 * GIVEN);
	ck_assert_uint_eq(fp_worker_umem(w)->n_wide, 0);
	ck_assert_uint_eq(fp_worker_umem(w)->n_free, FRAMES - 2 * GIVEN);
	for (int k = 0; k < 4; k++)
		xsk_ring_free(&keep[k]);
}
END_TEST

static void add_queue(unsigned queue, uint32_t n, struct fp_xsk *ret)
{
	struct fp_wport p = { .slot = WAN, .zone = WAN, .ifindex = 10 + WAN };

	p.queue = (uint16_t)queue;
	p.xsk = (struct fp_xsk){ .fd = -1, .zero_copy = true };
	xsk_rings_make(&p.xsk, RING);
	*ret = p.xsk;
	ck_assert_int_eq(fp_worker_port_add(w, &p, n), 0);
}

static void rings_free(struct fp_xsk *x)
{
	xsk_ring_free(&x->fill);
	xsk_ring_free(&x->comp);
	xsk_ring_free(&x->rx);
	xsk_ring_free(&x->tx);
}

/* A queue that is busy for long: no try takes a place or a frame for good, neither of its own
 * socket nor of one that was bound before it. */
START_TEST(refused_bind)
{
	const uint32_t n = 128;
	struct fp_xsk was = *port[WAN].x, x[2];

	fp_worker_port_del(w, WAN);
	rings_free(&was);
	for (unsigned k = 0; k < 2 * FP_SOCKS_MAX; k++) {
		add_queue(0, n, &x[0]);
		if (_i) {
			fp_worker_port_bound(w, WAN, 0);
			add_queue(1, n, &x[1]);
		}
		fp_worker_port_del(w, WAN);
		rings_free(&x[0]);
		if (_i)
			rings_free(&x[1]);
		ck_assert_uint_eq(in_state(FP_FRAME_FILL), GIVEN + (_i ? 2 * n : 0));
	}
	fp_worker_port_settle(w, WAN);
	ck_assert_uint_eq(fp_worker_umem(w)->n_wide, 0);
	ck_assert_uint_eq(fp_worker_umem(w)->n_free, FRAMES - GIVEN);
	port_make(WAN);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker");
	TCase *t = tcase_create("worker");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, forwards, 0, 2);
	tcase_add_loop_test(t, kernels, 0, 2);
	tcase_add_loop_test(t, drops, 0, 2);
	tcase_add_test(t, goes_back);
	tcase_add_loop_test(t, completes_checksums, 0, 2);
	tcase_add_test(t, promotes);
	tcase_add_test(t, counts_in_flight);
	tcase_add_test(t, full_ring);
	tcase_add_test(t, full_table);
	tcase_add_test(t, zones);
	tcase_add_test(t, port_goes);
	tcase_add_test(t, zero_copy);
	tcase_add_loop_test(t, refused_bind, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
