/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VRFs on a worker: LAN and WAN without tags are of one, the VLANs RED and BLUE of another, and the
 * hosts of both have the same addresses and ports. What belongs to a connection of the one never
 * gets into the other; what the kernel would take for the same connection is the kernel's.
 */
#include "tests/lib/worker_vlan.h"

/* VRFs, by their devices. */
#define ONE 50
#define TWO 60

static void set_vrf(unsigned slot, unsigned vrf)
{
	fp_worker_port(w, slot, 0)->vrf = vrf;
}

static void vrfs(bool policy)
{
	box(policy);
	set_vrf(LAN, ONE);
	set_vrf(WAN, ONE);
	set_vrf(RED, TWO);
	set_vrf(BLUE, TWO);
}

static void udp_of(struct tp *t, unsigned from, uint16_t vlan)
{
	udp(t, from);
	memcpy(t->b, mac[vlan ? LAN : from], 6);
	if (vlan)
		tag(t, vlan);
}

static void kernels_as_it_came(const struct tp *t, unsigned slot, unsigned n)
{
	arrive(LAN, t);
	turn();
	nothing_left();
	ck_assert_uint_eq(count(slot)->punt[FP_TK_VRF], n);
	ck_assert_mem_eq(punted, t->b, t->len);
}

/* ----- tests; _i: the family ----- */

/* Without connections flows are routes, and an interface has its own. */
START_TEST(routes)
{
	struct tp one, two;

	six = _i;
	vrfs(false);
	for (unsigned k = 0; k < 3; k++) {
		udp_of(&one, LAN, 0);
		udp_of(&two, LAN, RED_ID);
		arrive(LAN, &one);
		arrive(LAN, &two);
		turn();
		left(WAN, &one, 0);
		left(LAN, &two, BLUE_ID);
		nothing_left();
	}
	ck_assert_uint_eq(n_punted, 0);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 2);
	end();
}
END_TEST

/* The same addresses and ports in two VRFs: to the kernel one connection. */
START_TEST(same_tuple)
{
	struct tp t;

	six = _i;
	vrfs(true);
	udp_of(&t, LAN, 0);
	arrive(LAN, &t);
	turn();
	left(WAN, &t, 0);
	udp_of(&t, LAN, RED_ID);
	kernels_as_it_came(&t, RED, 1);
	/* As its answers are. */
	udp_of(&t, WAN, BLUE_ID);
	kernels_as_it_came(&t, BLUE, 1);
	ck_assert_uint_eq(judged, 1);
	/* Those of the first go on. */
	udp_of(&t, WAN, 0);
	arrive(WAN, &t);
	turn();
	left(LAN, &t, 0);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
	end();
}
END_TEST

START_TEST(same_tuple_tcp)
{
	struct tp t;

	six = _i;
	vrfs(true);
	handshake();
	for (unsigned k = 0; k < 2; k++) {
		tcp(&t, LAN, k ? ACK : SYN, 0);
		tag(&t, RED_ID);
		kernels_as_it_came(&t, RED, k + 1);
	}
	ck_assert_uint_eq(judged, 1);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
	end();
}
END_TEST

/* Another one of the VRF may have its packets, and where they are is asked for. */
START_TEST(other_interface)
{
	struct tp t;

	six = _i;
	vrfs(true);
	udp_of(&t, LAN, RED_ID);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	udp_of(&t, LAN, 0);
	kernels_as_it_came(&t, LAN, 1);
	set_vrf(LAN, TWO);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	ck_assert_uint_eq(judged, 1);
	end();
}
END_TEST

/* An error about a packet of one VRF that comes by another is not taken there. */
START_TEST(errors)
{
	struct tp t, q;
	unsigned n;

	six = _i;
	vrfs(true);
	udp_of(&q, LAN, 0);
	arrive(LAN, &q);
	turn();
	left(WAN, &q, 0);
	n = q.len - 14;
	ip(&t, WAN, six ? 58 : 1, 64);
	tp_icmp(&t, six ? 1 : 3, 0, 0, n);
	memcpy(t.b + t.l4 + 8, q.b + 14, n);
	tp_done(&t);
	memcpy(t.b, mac[LAN], 6);
	q = t;
	tag(&t, BLUE_ID);
	arrive(LAN, &t);
	turn();
	nothing_left();
	ck_assert_uint_eq(n_punted, 1);
	ck_assert_uint_eq(count(BLUE)->punt[FP_TK_NO_FLOW], 1);
	/* Within its own it is, by whichever interface. */
	arrive(LAN, &q);
	turn();
	left(LAN, &q, 0);
	ck_assert_uint_eq(n_punted, 1);
	end();
}
END_TEST

/* What the policy is asked: the interface that a packet came by, and its VRF; behind the route the
 * kernel knows the VRF only, so segment sizes are those of the egress. */
START_TEST(policy)
{
	struct tp t;

	six = _i;
	vrfs(true);
	seq[0] = 1;
	tcp(&t, LAN, SYN, 0);
	tag(&t, RED_ID);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	ck_assert_uint_eq(asked_key.ifindex, 10 + RED);
	ck_assert_uint_eq(asked_key.vrf, TWO);
	ck_assert_uint_eq(out_if, 10 + BLUE);
	ck_assert_uint_eq(mss_iif, 0);
	ck_assert_uint_eq(mss_oif, 10 + BLUE);
	end();
}
END_TEST

/* Out of a VRF: the connection is one, its answers come by an interface of the other. */
START_TEST(leak)
{
	struct tp t;

	six = _i;
	vrfs(true);
	moved_to[RED] = ADJ_WAN;
	moved_to[WAN] = ADJ_RED;
	for (unsigned k = 0; k < 2; k++) {
		udp_of(&t, LAN, RED_ID);
		arrive(LAN, &t);
		turn();
		left(WAN, &t, 0);
		udp_of(&t, WAN, 0);
		arrive(WAN, &t);
		turn();
		left(LAN, &t, RED_ID);
	}
	ck_assert_uint_eq(n_punted, 0);
	ck_assert_uint_eq(judged, 1);
	end();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker_vrf");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, routes, 0, 2);
	tcase_add_loop_test(t, same_tuple, 0, 2);
	tcase_add_loop_test(t, same_tuple_tcp, 0, 2);
	tcase_add_loop_test(t, other_interface, 0, 2);
	tcase_add_loop_test(t, errors, 0, 2);
	tcase_add_loop_test(t, policy, 0, 2);
	tcase_add_loop_test(t, leak, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
