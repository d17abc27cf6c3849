/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two workers, two queues an interface: what the client sends meets one worker, what the server
 * sends the other, at the same time and for the same connections, while a third thread ends some
 * and frees what has ended. No segment of a living connection is lost, and all come to their end.
 */
#include "tests/lib/packet.h"
#include "tests/lib/check_main.h"

#include "fastpath/worker.h"
#include "tests/lib/xsk_ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#define RING     256
#define FRAMES   2048
#define N_CONNS  64
#define SEGMENTS 20
#define SIZE     100
#define WINDOW   60000

enum { FIN = 1, SYN = 2, ACK = 16 };
enum { CLIENT, SERVER };

static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 1, 1 } };
static const uint32_t host[2] = { 0x0a000002, 0xc0a80102 };
static struct fp_adj adjs[3];
static struct fp_flow_mem mem;
static struct fp_flow *table;
static struct fp_track *track;
static struct fp_pol *in_force;
static struct fp_nat *nat;
static bool stop;

struct side {
	struct fp_ring *r;
	uint32_t index;
};

/* A worker, and the kernel's side of its rings. */
static struct queue {
	struct fp_worker *w;
	struct {
		struct side fill, comp, rx, tx;
	} port[2];
	uint64_t now;
	uint64_t rounds, lost;
} queue[2];

/* A connection; what each end has sent that arrived (the number after its last byte). Relaxed: the
 * threads shall be in no order but by what the workers do. */
static struct conn {
	uint32_t isn[2], arrived[2];
	unsigned step[2], sent[2];
	bool opened; /* the handshake's last segment has arrived */
} conn[N_CONNS];

/* ----- a policy that lets everything in ----- */

uint16_t fp_pol_generation(const struct fp_pol *p)
{
	return 1;
}

bool fp_pol_stateful(const struct fp_pol *p)
{
	return true;
}

bool fp_pol_expects(const struct fp_pol *p)
{
	return false;
}

uint32_t fp_pol_host_max(const struct fp_pol *p)
{
	return 0;
}

struct fp_nat *fp_pol_nat(const struct fp_pol *p)
{
	return nat;
}

enum fp_pol_act fp_pol_in(const struct fp_pol *p, const struct fp_pol_key *k,
			  struct fp_pol_state *ret)
{
	*ret = (struct fp_pol_state){ .dport_be = k->dport_be };
	memcpy(ret->dst, k->dst, 16);
	return FP_POL_PERMIT;
}

bool fp_pol_mapped(const struct fp_pol *p, const struct fp_pol_key *k)
{
	return false;
}

enum fp_pol_act fp_pol_out(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif,
			   struct fp_pol_state *st)
{
	return FP_POL_PERMIT;
}

enum fp_pol_act fp_pol_source(const struct fp_pol *p, const struct fp_pol_key *k, uint8_t *ret_drop)
{
	return FP_POL_PERMIT;
}

bool fp_pol_leaks(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif)
{
	return false;
}

struct fp_pol_mss fp_pol_mss(const struct fp_pol *p, uint8_t family, unsigned iif, unsigned oif)
{
	return (struct fp_pol_mss){ 0 };
}

void fp_pol_count(struct fp_pol *p, unsigned worker, const struct fp_pol_state *st, uint64_t at)
{
}

static enum fp_way route(void *ctx, const struct fp_ask *ask, struct fp_answer *ret)
{
	ret->adj = ask->ifindex == 10 ? 2 : 1;
	ret->oif = ask->ifindex == 10 ? 11 : 10;
	return FP_WAY_SEND;
}

static enum rtr_drop punt(void *ctx, unsigned ifindex, const uint8_t *frame, uint32_t len,
			  uint64_t now_ns)
{
	return RTR_DROP_PUNT_RATE;
}

static void queue_make(unsigned k)
{
	struct fp_worker_conf conf = { .id = k,
				       .n_frames = FRAMES,
				       .flows = table,
				       .fw = fp_flow_worker(table, k),
				       .adj = adjs,
				       .n_adj = ARRAY_LEN(adjs),
				       .ops = { .route = route, .punt = punt },
				       .pol = &in_force,
				       .track = track };

	ck_assert_int_eq(fp_worker_new(&conf, &queue[k].w), 0);
	for (unsigned slot = 0; slot < 2; slot++) {
		struct fp_wport p = { .slot = (uint8_t)slot,
				      .zone = (uint16_t)slot,
				      .ifindex = 10 + slot,
				      .express_in = true,
				      .express_out = true,
				      .xsk = { .fd = -1 } };
		struct fp_xsk *x;

		memcpy(p.mac, mac[slot], 6);
		xsk_rings_make(&p.xsk, RING);
		ck_assert_int_eq(fp_worker_port_add(queue[k].w, &p, 128), 0);
		x = &fp_worker_port(queue[k].w, slot, 0)->xsk;
		queue[k].port[slot].fill.r = &x->fill;
		queue[k].port[slot].comp.r = &x->comp;
		queue[k].port[slot].rx.r = &x->rx;
		queue[k].port[slot].tx.r = &x->tx;
	}
}

static void queue_free(unsigned k)
{
	for (unsigned slot = 0; slot < 2; slot++) {
		xsk_ring_free(queue[k].port[slot].fill.r);
		xsk_ring_free(queue[k].port[slot].comp.r);
		xsk_ring_free(queue[k].port[slot].rx.r);
		xsk_ring_free(queue[k].port[slot].tx.r);
	}
	fp_worker_free(queue[k].w);
}

static void arrive(struct queue *q, unsigned slot, const struct tp *t)
{
	struct side *f = &q->port[slot].fill, *rx = &q->port[slot].rx;
	uint64_t addr = ((uint64_t *)f->r->desc)[f->index & f->r->mask] + FP_FRAME_HEADROOM;

	*f->r->consumer = ++f->index;
	memcpy(fp_worker_umem(q->w)->area + addr, t->b, t->len);
	((struct xdp_desc *)rx->r->desc)[rx->index & rx->r->mask] = (struct xdp_desc){
		.addr = addr, .len = t->len
	};
	*rx->r->producer = ++rx->index;
}

static bool leave(struct queue *q, unsigned slot)
{
	struct side *tx = &q->port[slot].tx, *comp = &q->port[slot].comp;
	const struct xdp_desc *d = &((struct xdp_desc *)tx->r->desc)[tx->index & tx->r->mask];

	if (tx->index == *tx->r->producer)
		return false;
	*tx->r->consumer = ++tx->index;
	((uint64_t *)comp->r->desc)[comp->index & comp->r->mask] = d->addr;
	*comp->r->producer = ++comp->index;
	return true;
}

/* ----- the ends ----- */

/* Every second one has an option that only the tracker reads. */
static void segment(struct tp *t, unsigned c, unsigned end, uint8_t flags, uint32_t seq,
		    unsigned size)
{
	static const uint8_t nops[4] = { 1, 1, 1, 1 };
	unsigned ports[2] = { 1000 + c, 80 };

	tp_eth(t, 0x0800);
	memcpy(t->b, mac[end], 6);
	tp_ip4(t, host[end], host[!end], 6, 64);
	tp_tcp(t, ports[end], ports[!end], flags, nops, size && seq & 1 ? 4 : 0, size);
	tp_w32(t->b + t->l4 + 4, seq);
	if (flags & ACK)
		tp_w32(t->b + t->l4 + 8, __atomic_load_n(&conn[c].arrived[!end], __ATOMIC_RELAXED));
	tp_w16(t->b + t->l4 + 14, WINDOW);
	tp_done(t);
}

/* Through this end's worker; false: it did not leave on the other side. */
static bool say(unsigned c, unsigned end, uint8_t flags, unsigned size)
{
	struct queue *q = &queue[end];
	uint32_t seq = conn[c].isn[end] + conn[c].sent[end];
	struct tp t;

	segment(&t, c, end, flags, seq, size);
	arrive(q, end, &t);
	fp_worker_round(q->w, q->now += 1000);
	__atomic_store_n(&q->rounds, q->rounds + 1, __ATOMIC_RELEASE);
	if (!leave(q, !end)) {
		q->lost++;
		return false;
	}
	conn[c].sent[end] += size + !!(flags & (SYN | FIN));
	__atomic_store_n(&conn[c].arrived[end], conn[c].isn[end] + conn[c].sent[end],
			 __ATOMIC_RELAXED);
	return true;
}

static bool got(unsigned c, unsigned end, uint32_t n)
{
	return (int32_t)(__atomic_load_n(&conn[c].arrived[end], __ATOMIC_RELAXED) -
			 (conn[c].isn[end] + n)) >= 0;
}

#define ALL (1 + SEGMENTS * SIZE)

/* One more segment of an end, if it is its turn. */
static void client(unsigned c)
{
	unsigned *step = &conn[c].step[CLIENT];

	if (*step == 0) {
		*step += say(c, CLIENT, SYN, 0);
	} else if (*step == 1) {
		if (got(c, SERVER, 1) && say(c, CLIENT, ACK, 0)) {
			__atomic_store_n(&conn[c].opened, true, __ATOMIC_RELAXED);
			++*step;
		}
	} else if (*step < 2 + SEGMENTS) {
		*step += say(c, CLIENT, ACK, SIZE);
	} else if (*step == 2 + SEGMENTS) {
		*step += say(c, CLIENT, FIN | ACK, 0);
	} else if (*step == 3 + SEGMENTS && got(c, SERVER, ALL + 1)) {
		*step += say(c, CLIENT, ACK, 0);
	}
}

static void server(unsigned c)
{
	unsigned *step = &conn[c].step[SERVER];

	if (*step == 0) {
		if (got(c, CLIENT, 1))
			*step += say(c, SERVER, SYN | ACK, 0);
	} else if (*step == 1) {
		*step += __atomic_load_n(&conn[c].opened, __ATOMIC_RELAXED);
	} else if (*step < 2 + SEGMENTS) {
		*step += say(c, SERVER, ACK, SIZE);
	} else if (*step == 2 + SEGMENTS && got(c, CLIENT, ALL + 1)) {
		*step += say(c, SERVER, FIN | ACK, 0);
	}
}

static void *run(void *arg)
{
	unsigned end = (unsigned)(uintptr_t)arg;
	unsigned last = end == CLIENT ? 4 + SEGMENTS : 3 + SEGMENTS;
	unsigned open = N_CONNS;

	while (open && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		open = 0;
		for (unsigned c = 0; c < N_CONNS; c++) {
			if (conn[c].step[end] == last)
				continue;
			open++;
			if (end == CLIENT)
				client(c);
			else
				server(c);
		}
		sched_yield();
	}
	/* Workers turn on: what others end is theirs to free. */
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		fp_worker_round(queue[end].w, queue[end].now += NSEC_PER_MSEC);
		__atomic_store_n(&queue[end].rounds, queue[end].rounds + 1, __ATOMIC_RELEASE);
		sched_yield();
	}
	return NULL;
}

/* Both workers have been in another turn. */
static void grace(void *ctx)
{
	for (unsigned k = 0; k < 2; k++) {
		uint64_t was = __atomic_load_n(&queue[k].rounds, __ATOMIC_ACQUIRE);

		while (__atomic_load_n(&queue[k].rounds, __ATOMIC_ACQUIRE) - was < 2)
			sched_yield();
	}
}

static struct flow_key4 key_of(unsigned c, unsigned end)
{
	uint16_t ports[2] = { htons((uint16_t)(1000 + c)), htons(80) };

	return (struct flow_key4){ .saddr = htonl(host[end]),
				   .daddr = htonl(host[!end]),
				   .sport = ports[end],
				   .dport = ports[!end],
				   .proto = 6,
				   .zone = (uint16_t)end };
}

static unsigned state_of(unsigned c, unsigned end, uint64_t *ret_ref)
{
	struct flow_key4 k = key_of(c, end);
	struct flow_hit4 h;

	if (fp_flow_find4(table, &k, &h) != FLOW_HIT)
		return TCPT_S_NONE;
	*ret_ref = flow_ref(flow_w0_gen(h.word0), h.line);
	return flow_w0_state(h.word0) >> FLOW_TRACK_SHIFT;
}

static unsigned closed(void)
{
	uint64_t ref;
	unsigned n = 0;

	for (unsigned c = 0; c < N_CONNS; c++)
		n += state_of(c, CLIENT, &ref) == TCPT_S_TIME_WAIT &&
		     state_of(c, SERVER, &ref) == TCPT_S_TIME_WAIT;
	return n;
}

START_TEST(two_workers)
{
	const uint32_t pairs[] = { 256, 64 };
	struct fp_flow_conf fc = { .n_workers = 2, .grace = grace };
	pthread_t thread[2];
	uint64_t deadline, ref;
	static char any;

	in_force = (struct fp_pol *)(void *)&any;
	ck_assert_int_eq(fp_nat_new(NULL, 0, &nat), 0);
	ck_assert_int_eq(fp_flow_mem_anon(pairs, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &fc, &table), 0);
	track = fp_track_new(mem.n_pairs);
	for (unsigned i = 1; i < 3; i++)
		adjs[i] = (struct fp_adj){ .len = 14, .mtu = 1500, .port = i - 1 };
	for (unsigned c = 0; c < N_CONNS; c++)
		for (unsigned end = 0; end < 2; end++)
			conn[c].isn[end] = conn[c].arrived[end] = (uint32_t)(test_seed *
									     (2 * c + end + 1));
	for (unsigned k = 0; k < 2; k++)
		queue_make(k);
	/* Pairs for the workers, before they turn: nothing waits for a grace period yet. */
	fp_flow_maintain(table, 1000);
	for (unsigned k = 0; k < 2; k++)
		ck_assert_int_eq(pthread_create(&thread[k], NULL, run, (void *)(uintptr_t)k), 0);
	deadline = rtr_now_ns() + 60 * NSEC_PER_SEC;
	while (closed() < N_CONNS && rtr_now_ns() < deadline)
		fp_flow_maintain(table, 1000);
	ck_assert_uint_eq(closed(), N_CONNS);
	/* Any thread may end flows; their owner frees them. */
	for (unsigned c = 0; c < N_CONNS; c++) {
		ck_assert_uint_ne(state_of(c, c & 1, &ref), TCPT_S_NONE);
		ck_assert_int_eq(fp_flow_end(table, FLOW_4, ref), 0);
		ck_assert_int_eq(fp_flow_end(table, FLOW_4, ref), -ESTALE);
	}
	while (fp_flow_stat(table, FP_FLOW_STAT_FREED) < N_CONNS && rtr_now_ns() < deadline)
		fp_flow_maintain(table, 1000);
	ck_assert_uint_eq(fp_flow_stat(table, FP_FLOW_STAT_FREED), N_CONNS);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned k = 0; k < 2; k++)
		pthread_join(thread[k], NULL);
	for (unsigned k = 0; k < 2; k++) {
		const struct fp_wcount *n = fp_worker_count(queue[k].w, k);
		/* Who waits too long for the other worker; no pair is ready for a first packet. */
		uint64_t busy = n->drop[RTR_DROP_HANDOFF], full = n->drop[RTR_DROP_PUNT_RATE];

		ck_assert_uint_eq(queue[k].lost, busy + full);
		ck_assert_uint_le(busy, 5);
		ck_assert_uint_ge(n->forwarded, N_CONNS * (SEGMENTS + 2));
		queue_free(k);
	}
	track = fp_track_free(track);
	nat = fp_nat_free(nat);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker_threads");
	TCase *t = tcase_create("worker_threads");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, two_workers);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
