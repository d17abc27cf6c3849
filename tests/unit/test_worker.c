/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker over rings in memory: two ports, frames put into rx, frames taken out of tx; routes and
 * the kernel are the test's. Checks bytes, flows, paths, counts, and that no buffer is lost.
 */
#include "tests/lib/packet.h"
#include "tests/lib/check_main.h"

#include "fastpath/worker.h"

#include <arpa/inet.h>

#define RING    256
#define FRAMES  1024
#define GIVEN   128
#define LAN     0
#define WAN     1
#define ADJ_LAN 1
#define ADJ_WAN 2

static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 1, 1 } };
static const uint8_t peer[2][6] = { { 2, 0, 0, 0, 0, 9 }, { 2, 0, 0, 0, 1, 9 } };
static struct fp_adj adjs[4];
static struct fp_flow_mem mem;
static struct fp_flow *table;
static struct fp_worker *w;
static uint64_t now = 1000000;

/* The kernel's side of a ring. */
struct side {
	struct fp_ring *r;
	uint32_t index;
};

static struct {
	struct fp_xsk *x;
	struct side fill, comp, rx, tx;
} port[2];

/* What the last packets that were no flow's were told. */
static enum fp_way answer;
static uint8_t answer_drop;
static unsigned asked, n_punted, punted_if;
static uint8_t punted[2048];

static enum fp_way route(void *ctx, const struct fp_ask *ask, struct fp_answer *ret)
{
	asked++;
	ret->drop = answer_drop;
	ret->adj = ask->ifindex == 10 ? ADJ_WAN : ADJ_LAN;
	return answer;
}

static enum rtr_drop punt(void *ctx, unsigned ifindex, const uint8_t *frame, uint32_t len,
			  uint64_t now_ns)
{
	n_punted++;
	punted_if = ifindex;
	memcpy(punted, frame, MIN(len, (uint32_t)sizeof(punted)));
	return RTR_DROP_NONE;
}

/* ----- rings without a kernel ----- */

static void ring_make(struct fp_ring *r, size_t entry)
{
	uint32_t *words = xcalloc(4, sizeof(*words));

	*r = (struct fp_ring){ .producer = words,
			       .consumer = words + 1,
			       .flags = words + 2,
			       .desc = xcalloc(RING, entry),
			       .mask = RING - 1 };
}

static void ring_free(struct fp_ring *r)
{
	free(r->producer);
	free(r->desc);
}

static void port_make(unsigned slot)
{
	struct fp_wport p = { .slot = (uint8_t)slot,
			      .zone = (uint16_t)slot,
			      .ifindex = 10 + slot,
			      .express_in = true,
			      .express_out = true,
			      .partial = true,
			      .xsk = { .fd = -1 } };

	memcpy(p.mac, mac[slot], 6);
	ring_make(&p.xsk.fill, sizeof(uint64_t));
	ring_make(&p.xsk.comp, sizeof(uint64_t));
	ring_make(&p.xsk.rx, sizeof(struct xdp_desc));
	ring_make(&p.xsk.tx, sizeof(struct xdp_desc));
	ck_assert_int_eq(fp_worker_port_add(w, &p, GIVEN), 0);
	port[slot].x = &fp_worker_port(w, slot, 0)->xsk;
	port[slot].fill = (struct side){ &port[slot].x->fill, 0 };
	port[slot].comp = (struct side){ &port[slot].x->comp, 0 };
	port[slot].rx = (struct side){ &port[slot].x->rx, 0 };
	port[slot].tx = (struct side){ &port[slot].x->tx, 0 };
}

static void adj_make(unsigned i, unsigned slot)
{
	adjs[i] = (struct fp_adj){ .len = 14, .mtu = 1500, .port = slot };
	memcpy(adjs[i].hdr, peer[slot], 6);
	memcpy(adjs[i].hdr + 6, mac[slot], 6);
}

static void setup(void)
{
	const uint32_t pairs[] = { 64, 64 };
	struct fp_flow_conf fc = { .n_workers = 1 };
	struct fp_worker_conf conf = { .n_frames = FRAMES, .adj = adjs, .n_adj = ARRAY_LEN(adjs) };

	ck_assert_int_eq(fp_flow_mem_anon(pairs, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &fc, &table), 0);
	fp_flow_maintain(table, 1000);
	adj_make(ADJ_LAN, LAN);
	adj_make(ADJ_WAN, WAN);
	conf.flows = table;
	conf.fw = fp_flow_worker(table, 0);
	conf.ops.route = route;
	conf.ops.punt = punt;
	ck_assert_int_eq(fp_worker_new(&conf, &w), 0);
	port_make(LAN);
	port_make(WAN);
	answer = FP_WAY_SEND;
	asked = n_punted = 0;
}

static uint32_t in_state(enum fp_frame_state s)
{
	uint32_t n[FP_FRAME__MAX];

	fp_umem_audit(fp_worker_umem(w), n);
	return n[s];
}

/* Conservation: each frame once, each buffer somewhere. */
static void audit(void)
{
	uint64_t forwarded = 0, tx = 0;

	for (unsigned slot = 0; slot < 2; slot++) {
		const struct fp_wcount *c = fp_worker_count(w, slot);
		uint64_t out = c->forwarded;

		for (int k = 0; k < FP_TK__MAX; k++)
			out += c->punt[k];
		for (int k = 0; k < RTR_DROP__MAX; k++)
			out += c->drop[k];
		ck_assert_uint_eq(c->rx, out);
		forwarded += c->forwarded;
		tx += c->tx;
	}
	ck_assert_uint_eq(forwarded, tx);
	ck_assert_uint_eq(fp_worker_umem(w)->n_wrong, 0);
	ck_assert_uint_eq(in_state(FP_FRAME_WORK), 0);
	ck_assert_uint_eq(in_state(FP_FRAME_FREE) + in_state(FP_FRAME_FILL) + in_state(FP_FRAME_TX),
			  FRAMES);
}

static void teardown(void)
{
	struct fp_ring rings[2][4];

	audit();
	for (unsigned slot = 0; slot < 2; slot++)
		memcpy(rings[slot],
		       (struct fp_ring[]){ port[slot].x->fill, port[slot].x->comp, port[slot].x->rx,
					   port[slot].x->tx },
		       sizeof(rings[slot]));
	w = fp_worker_free(w);
	for (unsigned slot = 0; slot < 2; slot++)
		for (unsigned k = 0; k < 4; k++)
			ring_free(&rings[slot][k]);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* A frame arrives. */
static void arrive(unsigned slot, const struct tp *t)
{
	struct side *f = &port[slot].fill, *rx = &port[slot].rx;
	uint64_t addr = ((uint64_t *)f->r->desc)[f->index & f->r->mask];

	ck_assert_msg(f->index != *f->r->producer, "a buffer to receive into");
	*f->r->consumer = ++f->index;
	addr += FP_FRAME_HEADROOM;
	memcpy(fp_worker_umem(w)->area + addr, t->b, t->len);
	((struct xdp_desc *)rx->r->desc)[rx->index & rx->r->mask] = (struct xdp_desc){
		.addr = addr, .len = t->len
	};
	*rx->r->producer = ++rx->index;
}

/* The next frame that left; NULL: none. */
static const uint8_t *leave(unsigned slot, uint32_t *ret_len)
{
	struct side *tx = &port[slot].tx, *comp = &port[slot].comp;
	const struct xdp_desc *d = &((struct xdp_desc *)tx->r->desc)[tx->index & tx->r->mask];

	if (tx->index == *tx->r->producer)
		return NULL;
	*tx->r->consumer = ++tx->index;
	((uint64_t *)comp->r->desc)[comp->index & comp->r->mask] = d->addr;
	*comp->r->producer = ++comp->index;
	*ret_len = d->len;
	return fp_worker_umem(w)->area + d->addr;
}

static unsigned turn(void)
{
	now += 1000;
	return fp_worker_round(w, now);
}

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

static const struct fp_wcount *count(unsigned slot)
{
	return fp_worker_count(w, slot);
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
	for (int k = 0; k < 100; k++)
		arrive(LAN, &t);
	/* The first burst of 64 makes the flow; 36 of its frames are still in the ring. */
	turn();
	ck_assert_uint_eq(path_of(1000), FLOW_P_WORKER);
	turn();
	ck_assert_uint_eq(path_of(1000), FLOW_P_EXPRESS);
	for (int k = 0; k < 100; k++)
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
	__atomic_fetch_add(&h.own->word0, 70 * FLOW_W0_INFLIGHT_ONE, __ATOMIC_RELAXED);
	for (int i = 0; i < 65; i++)
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
	for (int k = 0; k < 400; k++) {
		arrive(LAN, &t);
		turn();
	}
	ck_assert_uint_eq(count(LAN)->forwarded, RING);
	ck_assert_uint_eq(count(LAN)->drop[RTR_DROP_TX_RING], 400 - RING);
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
		ring_free(&keep[k]);
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
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
