/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets of known flows that have to wait, and what has to happen before a flow takes another
 * path: order, counts in flight, refusals. Each test runs over IPv4 and IPv6.
 */
#include "tests/lib/worker_pol.h"

/* The direction of the UDP flow. */
static struct fp_known known(unsigned from)
{
	struct fp_known k = { 0 };
	struct fp_pkt p;
	struct tp t;

	udp(&t, from);
	fp_classify(t.b, t.len, &p);
	ck_assert(fp_worker_find(w, from, t.b, &p, &k));
	return k;
}

static uint64_t *line(unsigned from)
{
	return known(from).f.half[0].word0;
}

static unsigned inflight(unsigned from)
{
	return flow_w0_inflight(__atomic_load_n(line(from), __ATOMIC_RELAXED));
}

/* XDP hands one to the worker. */
static void arrive_counted(unsigned from, const struct tp *t)
{
	__atomic_fetch_add(line(from), FLOW_W0_INFLIGHT_ONE, __ATOMIC_RELAXED);
	arrive(from, t);
}

/* Told apart by what the TTL was. */
static void numbered(unsigned from, unsigned n)
{
	struct tp t;

	udp(&t, from);
	t.b[t.l3 + (six ? 7 : 8)] = (uint8_t)n;
	tp_fix_ip4(&t);
	arrive_counted(from, &t);
}

static unsigned number(unsigned slot)
{
	const uint8_t *out;
	uint32_t len;

	out = leave(slot, &len);
	return out ? out[six ? 21 : 22] + 1u : 0;
}

static void connection(bool answered)
{
	struct tp t;

	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	udp(&t, WAN);
	if (answered)
		ck_assert(passes(WAN, &t));
}

/* What waits for its neighbour is not overtaken: neither by what the pipeline sends at once, nor by
 * what is looked at singly, nor by XDP. */
START_TEST(parked_leave_first)
{
	bool answered = _i & 2;

	six = _i & 1;
	connection(answered);
	adjs[ADJ_LAN].len = 0;
	answer = FP_WAY_NEIGH;
	for (unsigned n = 10; n < 13; n++)
		numbered(WAN, n);
	turn();
	ck_assert_uint_eq(number(LAN), 0);
	ck_assert_uint_eq(inflight(WAN), 3);
	ck_assert(fp_worker_waits(w));
	/* The neighbour is there; sooner than they are looked at again another one comes. */
	answer = FP_WAY_SEND;
	adjs[ADJ_LAN].len = 14;
	numbered(WAN, 13);
	numbered(WAN, 14);
	turn();
	now += NSEC_PER_MSEC;
	turn();
	for (unsigned n = 10; n < 15; n++)
		ck_assert_uint_eq(number(LAN), n);
	ck_assert_uint_eq(number(LAN), 0);
	ck_assert(!fp_worker_waits(w));
	turn();
	ck_assert_uint_eq(inflight(WAN), 0);
	ck_assert_uint_eq(path(WAN, 17), FLOW_P_EXPRESS);
}
END_TEST

/* They are counted for as long as they wait, and no longer, whatever becomes of them. */
START_TEST(parked_are_counted)
{
	six = _i;
	connection(true);
	adjs[ADJ_LAN].len = 0;
	answer = FP_WAY_NEIGH;
	for (unsigned n = 0; n < 5; n++)
		numbered(WAN, 10);
	for (unsigned n = 0; n < 20; n++) {
		turn();
		ck_assert_uint_eq(inflight(WAN), 5);
		now += NSEC_PER_MSEC;
	}
	now += 4 * NSEC_PER_SEC;
	turn();
	ck_assert_uint_eq(drops(WAN, RTR_DROP_NEIGH_FAILED), 5);
	ck_assert_uint_eq(inflight(WAN), 0);
	/* More than there is room for. */
	for (unsigned n = 0; n < FP_PARKED + 20; n++)
		numbered(WAN, 10);
	for (unsigned n = 0; n < 3; n++)
		turn();
	ck_assert_uint_eq(drops(WAN, RTR_DROP_NEIGH_QUEUE), 20);
	ck_assert_uint_eq(inflight(WAN), FP_PARKED);
	now += 4 * NSEC_PER_SEC;
	turn();
	ck_assert_uint_eq(inflight(WAN), 0);
}
END_TEST

/* Too many datagrams of a source: pieces that nobody follows are the kernel's, but not of a flow
 * that it does not know. */
START_TEST(refused_pieces)
{
	struct tp t;

	six = _i;
	connection(false);
	for (unsigned id = 100; id < 164; id++) {
		piece(&t, LAN, id, 64, true);
		arrive(LAN, &t);
		turn();
	}
	ck_assert_uint_eq(n_punted, 0);
	piece(&t, LAN, 7, 0, true);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(n_punted, 0);
	ck_assert_uint_eq(drops(LAN, RTR_DROP_FRAG_SOURCE), 1);
	/* Of no flow of ours. */
	tp_w16(t.b + t.l4, 4242);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(n_punted, 1);
	/* Of one that the kernel has. */
	__atomic_fetch_xor(line(LAN),
			   (uint64_t)(path(LAN, 17) ^ FLOW_P_KERNEL) << FLOW_W0_STATE_SHIFT,
			   __ATOMIC_RELAXED);
	piece(&t, LAN, 8, 0, true);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(n_punted, 2);
	ck_assert_uint_eq(drops(LAN, RTR_DROP_FRAG_SOURCE), 1);
	now += NSEC_PER_SEC;
	turn();
	turn();
}
END_TEST

/* A refusal ends its connection also when it may go no further itself. */
START_TEST(refusal_without_hops)
{
	struct tp t;

	six = _i;
	seq[0] = seq[1] = 5;
	ck_assert(send_tcp(LAN, SYN, 0));
	tcp(&t, WAN, RST | ACK, 0);
	t.b[t.l3 + (six ? 7 : 8)] = 1;
	tp_fix_ip4(&t);
	ck_assert(!passes(WAN, &t));
	ck_assert_uint_eq(drops(WAN, RTR_DROP_TTL_EXPIRED), 1);
	ck_assert_uint_eq(word0(LAN, 6, NULL), 0);
}
END_TEST

/* An error that is owed and finds no room is told of. */
START_TEST(error_without_room)
{
	struct fp_ring *r = &port[LAN].x->tx;
	struct tp t;

	six = _i;
	connection(false);
	t = (struct tp){ 0 };
	udp(&t, LAN);
	t.b[t.l3 + (six ? 7 : 8)] = 1;
	tp_fix_ip4(&t);
	*r->consumer = r->other = r->own - RING;
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(drops(LAN, RTR_DROP_TTL_EXPIRED), 1);
	ck_assert_uint_eq(fp_worker_stats(w)->errors_lost, 1);
	ck_assert_uint_eq(count(LAN)->made, 0);
}
END_TEST

static void express(bool on)
{
	for (unsigned slot = 0; slot < 2; slot++) {
		struct fp_wport *p = fp_worker_port(w, slot, 0);

		p->express_in = p->express_out = on;
	}
}

/* What had to leave the express path, or could not go by it, does when it can. */
START_TEST(promoted_again)
{
	struct tp t;

	six = _i;
	connection(true);
	ck_assert_uint_eq(path(LAN, 17), FLOW_P_EXPRESS);
	/* As the sweep does it when an interface goes. */
	express(false);
	fp_flow_hold(table, six ? FLOW_6 : FLOW_4, known(LAN).f.ref);
	__atomic_fetch_xor(line(LAN),
			   (uint64_t)(FLOW_P_EXPRESS ^ FLOW_P_WORKER) << FLOW_W0_STATE_SHIFT,
			   __ATOMIC_RELAXED);
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	ck_assert_uint_eq(path(LAN, 17), FLOW_P_WORKER);
	handshake();
	ck_assert_uint_eq(path(LAN, 6), FLOW_P_WORKER);
	express(true);
	ck_assert(passes(LAN, &t));
	ck_assert_uint_eq(path(LAN, 17), FLOW_P_EXPRESS);
	for (unsigned from = 0; from < 2; from++) {
		ck_assert(send_tcp(from, ACK, 10));
		ck_assert_uint_eq(path(from, 6), FLOW_P_EXPRESS);
	}
	ck_assert_uint_eq(fp_worker_stats(w)->forced, 0);
}
END_TEST

/* Unreachable, says the host at the other end about what `from` has sent. */
static void quoting(struct tp *t, unsigned from)
{
	struct tp q;

	udp(&q, from);
	ip(t, !from, six ? 58 : 1, 64);
	tp_icmp(t, six ? 1 : 3, 0, 0, q.len - 14);
	memcpy(t->b + t->l4 + 8, q.b + 14, q.len - 14);
	tp_done(t);
}

/* Errors of others pass the policy's tests of their source, too. */
START_TEST(source_of_errors)
{
	struct tp t;

	six = _i;
	connection(true);
	quoting(&t, LAN);
	say_source = FP_POL_DROP;
	ck_assert(!passes(WAN, &t));
	ck_assert_uint_eq(drops(WAN, RTR_DROP_SRC_MARTIAN), 1);
	ck_assert_uint_eq(asked_source.ifindex, 11);
	/* Reverse path tests are the kernel's, which does not know the flow, or does. */
	say_source = FP_POL_KERNEL;
	ck_assert(!passes(WAN, &t));
	ck_assert_uint_eq(drops(WAN, RTR_DROP_URPF), 1);
	ck_assert_uint_eq(n_punted, 0);
	__atomic_fetch_or(line(WAN), (uint64_t)FLOW_F_MIRRORED << FLOW_W0_FLAGS_SHIFT,
			  __ATOMIC_RELAXED);
	ck_assert(!passes(WAN, &t));
	ck_assert_uint_eq(n_punted, 1);
	say_source = FP_POL_PERMIT;
	ck_assert(passes(WAN, &t));
	/* The same for packets that come by another interface than their connection. */
	udp(&t, LAN);
	memcpy(t.b, mac[WAN], 6);
	say_source = FP_POL_KERNEL;
	say_in = FP_POL_KERNEL;
	adjs[ADJ_WAN].port = LAN;
	arrive(WAN, &t);
	turn();
	ck_assert_uint_eq(n_punted, 2);
}
END_TEST

/* What XDP has sent to the socket of the LAN. */
static struct express_queue queue;

/* Of XDP's frames those come whose poll is over: the mark says that XDP did not know the flow, a
 * count that it did. */
static void of_poll(unsigned n, bool known_to_xdp)
{
	struct tp t;

	udp(&t, LAN);
	t.b[t.l3 + (six ? 7 : 8)] = (uint8_t)n;
	tp_fix_ip4(&t);
	if (!known_to_xdp)
		t.b[EXPRESS_UNCOUNTED_AT] |= EXPRESS_UNCOUNTED;
	arrive(LAN, &t);
}

static void counted_by_xdp(unsigned n)
{
	queue.sent += n;
	__atomic_fetch_add(line(LAN), n * FLOW_W0_INFLIGHT_ONE, __ATOMIC_RELAXED);
}

static void queue_begin(void)
{
	queue = (struct express_queue){ 0 };
	fp_worker_port(w, LAN, 0)->xdp = &queue;
}

static void left_in_order(unsigned from, unsigned to)
{
	for (unsigned n = from; n < to; n++)
		ck_assert_uint_eq(number(WAN), n);
	ck_assert_uint_eq(number(WAN), 0);
}

/* A stream begins in the middle of a poll, whose frames are in the ring when it ends: the flow is
 * not XDP's before they have left, of which some were counted and others not. */
START_TEST(promoted_behind_poll)
{
	six = _i;
	queue_begin();
	/* The first one; four more of the next poll have found no flow either. */
	queue.sent = 5;
	of_poll(10, false);
	turn();
	left_in_order(10, 11);
	ck_assert_uint_eq(path(LAN, 17), FLOW_P_WORKER);
	counted_by_xdp(3);
	for (unsigned n = 0; n < 5; n++) {
		turn();
		ck_assert_uint_eq(path(LAN, 17), FLOW_P_WORKER);
	}
	/* The poll ends. Those of another one are counted while these are looked at. */
	for (unsigned n = 11; n < 18; n++)
		of_poll(n, n >= 15);
	counted_by_xdp(2);
	turn();
	left_in_order(11, 18);
	ck_assert_uint_eq(inflight(LAN), 2);
	ck_assert_uint_eq(path(LAN, 17), FLOW_P_WORKER);
	of_poll(18, true);
	of_poll(19, true);
	turn();
	left_in_order(18, 20);
	ck_assert_uint_eq(inflight(LAN), 0);
	ck_assert_uint_eq(path(LAN, 17), FLOW_P_EXPRESS);
	ck_assert_uint_eq(fp_worker_stats(w)->reconciled, 0);
	ck_assert_uint_eq(fp_worker_stats(w)->forced, 0);
}
END_TEST

/* Of the count only what was lost is taken away, not what is on its way. */
START_TEST(lost_or_late)
{
	six = _i;
	queue_begin();
	queue.sent = 1;
	of_poll(10, false);
	turn();
	left_in_order(10, 11);
	counted_by_xdp(3);
	of_poll(11, true);
	turn();
	left_in_order(11, 12);
	ck_assert_uint_eq(inflight(LAN), 2);
	of_poll(12, true);
	of_poll(13, true);
	turn();
	left_in_order(12, 14);
	ck_assert_uint_eq(inflight(LAN), 0);
	ck_assert_uint_eq(fp_worker_stats(w)->reconciled, 0);
	/* Two of three found no room in the ring. */
	counted_by_xdp(3);
	of_poll(14, true);
	turn();
	ck_assert_uint_eq(inflight(LAN), 2);
	now += 20 * NSEC_PER_MSEC;
	turn();
	counted_by_xdp(1);
	of_poll(15, true);
	turn();
	left_in_order(14, 16);
	ck_assert_uint_eq(inflight(LAN), 0);
	ck_assert_uint_eq(fp_worker_stats(w)->reconciled, 1);
	/* Late, and not lost. */
	counted_by_xdp(2);
	of_poll(16, true);
	turn();
	now += 20 * NSEC_PER_MSEC;
	turn();
	of_poll(17, true);
	turn();
	left_in_order(16, 18);
	counted_by_xdp(2);
	of_poll(18, true);
	turn();
	ck_assert_uint_eq(inflight(LAN), 1);
	of_poll(19, true);
	turn();
	left_in_order(18, 20);
	ck_assert_uint_eq(inflight(LAN), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker_order");
	TCase *t = tcase_create("worker_order");

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_loop_test(t, parked_leave_first, 0, 4);
	tcase_add_loop_test(t, parked_are_counted, 0, 2);
	tcase_add_loop_test(t, refused_pieces, 0, 2);
	tcase_add_loop_test(t, refusal_without_hops, 0, 2);
	tcase_add_loop_test(t, error_without_room, 0, 2);
	tcase_add_loop_test(t, promoted_again, 0, 2);
	tcase_add_loop_test(t, promoted_behind_poll, 0, 2);
	tcase_add_loop_test(t, lost_or_late, 0, 2);
	tcase_add_loop_test(t, source_of_errors, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
