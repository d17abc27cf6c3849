/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a worker over rings in memory: two ports, LAN and WAN, frames put into rx, frames taken out
 * of tx; routes and the kernel are the test's. For test_worker.c and test_worker_track.c.
 * Owns: all of it between setup() and teardown(), which checks that each frame is counted once and
 * no buffer is lost. Threads: one. Failure: ends the test.
 */
#ifndef RTR_TEST_WORKER_BOX_H
#define RTR_TEST_WORKER_BOX_H

#include "tests/lib/packet.h"
#include "tests/lib/check_main.h"

#include "fastpath/worker.h"
#include "tests/lib/xsk_ring.h"

#include <arpa/inet.h>

#define RING    512
#define FRAMES  1024
#define GIVEN   400
#define LAN     0
#define WAN     1
#define SLOTS   4 /* those, and two that a test may have */
#define ADJ_LAN 1
#define ADJ_WAN 2

static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 1, 1 } };
static const uint8_t peer[2][6] = { { 2, 0, 0, 0, 0, 9 }, { 2, 0, 0, 0, 1, 9 } };
static struct fp_adj adjs[6];
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
/* The way of what comes in there; 0: the other port. */
static uint32_t moved_to[SLOTS];
static uint8_t punted[2048];

static enum fp_way route(void *ctx, const struct fp_ask *ask, struct fp_answer *ret)
{
	asked++;
	ret->drop = answer_drop;
	ret->adj = ask->ifindex == 10 ? ADJ_WAN : ADJ_LAN;
	if (moved_to[ask->ifindex - 10])
		ret->adj = moved_to[ask->ifindex - 10];
	ret->oif = 10 + adjs[ret->adj].port;
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
	xsk_rings_make(&p.xsk, RING);
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

/* What a test adds to the configuration; NULL: nothing. */
static void (*box_conf)(struct fp_worker_conf *conf);

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
	if (box_conf)
		box_conf(&conf);
	ck_assert_int_eq(fp_worker_new(&conf, &w), 0);
	port_make(LAN);
	port_make(WAN);
	answer = FP_WAY_SEND;
	asked = n_punted = 0;
	memset(moved_to, 0, sizeof(moved_to));
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

	for (unsigned slot = 0; slot < SLOTS; slot++) {
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
			xsk_ring_free(&rings[slot][k]);
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

static const struct fp_wcount *count(unsigned slot)
{
	return fp_worker_count(w, slot);
}

#endif
