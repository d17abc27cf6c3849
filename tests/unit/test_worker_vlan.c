/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VLANs on a port of a worker: a LAN with two of them beside its own untagged packets, routed among
 * themselves (a router on a stick) and to a WAN without tags; with and without a policy that needs
 * connections. Bytes, counts, and that the kernel gets frames as they came.
 */
#include "tests/lib/worker_vlan.h"

#include <bpf/bpf.h>
#include <errno.h>

/* In the place of the program on the port: every other frame is lost. */
static struct express_inject injected;

int bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *o)
{
	injected.at = (uint32_t)o->repeat;
	for (uint32_t i = 0; i < injected.at; i += 2) {
		injected.desc[i].frame = EXPRESS_INJECT_LOST;
		injected.sent++;
	}
	return 0;
}

/* ----- tests; _i: bit 0 the family, bit 1 with a policy ----- */

/* In by one VLAN, out by the other, by the same wire: the first by its route, then by its flow. */
START_TEST(on_a_stick)
{
	struct tp t;

	six = _i & 1;
	box(_i & 2);
	from_vlan(&t, RED_ID, 1000);
	for (unsigned k = 0; k < 3; k++) {
		arrive(LAN, &t);
		turn();
		left(LAN, &t, BLUE_ID);
		nothing_left();
	}
	ck_assert_uint_eq(count(RED)->rx, 3);
	ck_assert_uint_eq(count(RED)->rx_bytes, 3 * (t.len - 4));
	ck_assert_uint_eq(count(RED)->forwarded, 3);
	ck_assert_uint_eq(count(BLUE)->tx, 3);
	ck_assert_uint_eq(count(BLUE)->tx_bytes, 3 * (t.len - 4));
	ck_assert_uint_eq(count(LAN)->rx + count(LAN)->tx, 0);
	if (_i & 2) {
		ck_assert_uint_eq(asked_key.ifindex, 10 + RED);
		ck_assert_uint_eq(out_if, 10 + BLUE);
		ck_assert_uint_eq(judged, 1);
	}
	ck_assert_uint_eq(n_punted, 0);
	end();
}
END_TEST

/* Tagged to untagged, and back. */
START_TEST(tag_comes_and_goes)
{
	struct tp t;

	six = _i & 1;
	box(_i & 2);
	moved_to[RED] = ADJ_WAN;
	moved_to[WAN] = ADJ_RED;
	for (unsigned k = 0; k < 3; k++) {
		from_vlan(&t, RED_ID, CPORT);
		arrive(LAN, &t);
		turn();
		left(WAN, &t, 0);
		udp(&t, WAN);
		arrive(WAN, &t);
		turn();
		left(LAN, &t, RED_ID);
		nothing_left();
	}
	ck_assert_uint_eq(count(RED)->tx, 3);
	ck_assert_uint_eq(count(WAN)->tx, 3);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
	end();
}
END_TEST

/* One burst of everything: each VLAN in order, its packets by its own rules. */
START_TEST(mixed)
{
	static const uint16_t ids[] = { 0, RED_ID, BLUE_ID, RED_ID, 0, 77, BLUE_ID, RED_ID, 0 };
	struct tp t[ARRAY_LEN(ids)];

	six = _i & 1;
	box(_i & 2);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned k = 0; k < ARRAY_LEN(ids); k++) {
			from_vlan(&t[k], ids[k], 1000 + k);
			arrive(LAN, &t[k]);
		}
		turn();
		left(WAN, &t[0], 0);
		left(WAN, &t[4], 0);
		left(WAN, &t[8], 0);
		left(LAN, &t[1], BLUE_ID);
		left(LAN, &t[3], BLUE_ID);
		left(LAN, &t[7], BLUE_ID);
		left(LAN, &t[2], RED_ID);
		left(LAN, &t[6], RED_ID);
		nothing_left();
		/* A VLAN that nobody has is the kernel's to know nothing about. */
		ck_assert_uint_eq(n_punted, round + 1);
		ck_assert_uint_eq(punted_if, 10 + LAN);
		ck_assert_mem_eq(punted, t[5].b, t[5].len);
	}
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_PARSE], 2);
	end();
}
END_TEST

/* The same packet by two VLANs is two flows. */
START_TEST(zones)
{
	struct tp t;

	six = _i & 1;
	box(false);
	moved_to[RED] = moved_to[BLUE] = ADJ_WAN;
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	left(WAN, &t, 0);
	answer = FP_WAY_DROP;
	answer_drop = RTR_DROP_URPF;
	from_vlan(&t, BLUE_ID, CPORT);
	arrive(LAN, &t);
	from_vlan(&t, 0, CPORT);
	arrive(LAN, &t);
	turn();
	nothing_left();
	ck_assert_uint_eq(count(BLUE)->drop[RTR_DROP_URPF], 1);
	ck_assert_uint_eq(count(LAN)->drop[RTR_DROP_URPF], 1);
	end();
}
END_TEST

/* The kernel gets a frame as it came, by the interface that it came in by. */
START_TEST(kernels)
{
	struct tp t;

	six = _i & 1;
	box(_i & 2);
	answer = FP_WAY_KERNEL;
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(n_punted, 1);
	ck_assert_uint_eq(punted_if, 10 + LAN);
	ck_assert_mem_eq(punted, t.b, t.len);
	ck_assert_uint_eq(count(RED)->punt[FP_TK_ROUTE], 1);
	ck_assert_uint_eq(count(RED)->punt_bytes, t.len - 4);
	ck_assert_uint_eq(count(RED)->rx_bytes, t.len - 4);
	/* Two tags, and the other kind of tag. */
	tag(&t, RED_ID);
	arrive(LAN, &t);
	from_vlan(&t, RED_ID, CPORT);
	tp_w16(t.b + 12, 0x88a8);
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(n_punted, 3);
	ck_assert_mem_eq(punted, t.b, t.len);
	nothing_left();
	end();
}
END_TEST

/* Errors go back by the VLAN that the packet came by; the size is that of the VLAN it goes to. */
START_TEST(errors)
{
	unsigned head = 18, at = head + (_i ? 40 : 20);
	const uint8_t *out;
	uint32_t len;
	struct tp t;

	six = _i;
	box(true);
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	for (unsigned k = 0; k < 2; k++) {
		from_vlan(&t, RED_ID, CPORT);
		if (k)
			adjs[ADJ_BLUE].mtu = 50;
		else
			t.b[t.l3 + (six ? 7 : 8)] = 1;
		if (!six)
			t.b[t.l3 + 6] = 0x40;
		tp_fix_ip4(&t);
		arrive(LAN, &t);
		turn();
		out = leave(LAN, &len);
		ck_assert_ptr_nonnull(out);
		ck_assert_mem_eq(out, t.b + 6, 6);
		ck_assert_mem_eq(out + 6, t.b, 6);
		ck_assert_uint_eq(tp_r16(out + 12), 0x8100);
		ck_assert_uint_eq(tp_r16(out + 14), RED_ID);
		ck_assert_uint_eq(tp_r16(out + 16), six ? 0x86dd : 0x0800);
		ck_assert_uint_eq(out[at], k ? (six ? 2 : 3) : (six ? 3 : 11));
		ck_assert_uint_eq(count(RED)->made, k + 1);
	}
	nothing_left();
	end();
}
END_TEST

/* By the MTU of the VLAN that it leaves by, each piece with its tag. */
START_TEST(cuts)
{
	const uint8_t *out;
	uint32_t len, sum = 0;
	struct tp t;

	six = false;
	box(true);
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	adjs[ADJ_BLUE].mtu = 44;
	arrive(LAN, &t);
	turn();
	for (unsigned k = 0; (out = leave(LAN, &len)); k++) {
		ck_assert_uint_eq(tp_r16(out + 12), 0x8100);
		ck_assert_uint_eq(tp_r16(out + 14), BLUE_ID);
		ck_assert_uint_eq(tp_r16(out + 16), 0x0800);
		ck_assert_uint_eq(out[26], 63);
		ck_assert_uint_eq((tp_r16(out + 24) & 0x1fff) * 8, sum);
		sum += tp_r16(out + 20) - 20;
	}
	ck_assert_uint_eq(sum, 38);
	ck_assert_uint_eq(count(BLUE)->made, 1);
	end();
}
END_TEST

/* Pieces come in by a VLAN before the first one of their datagram, and go out by another. */
START_TEST(pieces)
{
	struct tp t, late;

	six = _i;
	box(true);
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	piece(&late, LAN, 9, 64, false);
	tag(&late, RED_ID);
	arrive(LAN, &late);
	turn();
	nothing_left();
	piece(&t, LAN, 9, 0, true);
	tag(&t, RED_ID);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	left(LAN, &late, BLUE_ID);
	/* Without a first one they are the kernel's after a while, as they came. */
	piece(&late, LAN, 10, 64, false);
	tag(&late, RED_ID);
	arrive(LAN, &late);
	turn();
	now += NSEC_PER_SEC;
	turn();
	nothing_left();
	ck_assert_uint_eq(n_punted, 1);
	ck_assert_mem_eq(punted, late.b, late.len);
	end();
}
END_TEST

/* A packet waits for its neighbour, and leaves by the VLAN it belongs to. */
START_TEST(waits)
{
	struct tp t;

	six = _i;
	box(true);
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	adjs[ADJ_BLUE].len = 0;
	answer = FP_WAY_NEIGH;
	arrive(LAN, &t);
	turn();
	nothing_left();
	ck_assert(fp_worker_waits(w));
	adjs[ADJ_BLUE].len = 18;
	answer = FP_WAY_SEND;
	now += NSEC_PER_MSEC;
	turn();
	left(LAN, &t, BLUE_ID);
	ck_assert(!fp_worker_waits(w));
	end();
}
END_TEST

/* What waits when its VLAN goes is counted there, and is not the next one's of the place. */
START_TEST(waits_in_vain)
{
	struct tp t, early;

	six = _i;
	box(true);
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	adjs[ADJ_BLUE].len = 0;
	answer = FP_WAY_NEIGH;
	arrive(LAN, &t);
	piece(&early, LAN, 9, 64, false);
	tag(&early, RED_ID);
	arrive(LAN, &early);
	turn();
	nothing_left();
	fp_worker_port_del(w, RED);
	ck_assert_uint_eq(count(RED)->drop[RTR_DROP_INGRESS_DOWN], 2);
	ck_assert_uint_eq(in_state(FP_FRAME_WORK), 0);
	ck_assert(!fp_worker_waits(w));
	vlan_make(RED, 11, ADJ_RED);
	adjs[ADJ_BLUE].len = 18;
	answer = FP_WAY_SEND;
	now += NSEC_PER_SEC;
	turn();
	nothing_left();
	ck_assert_uint_eq(n_punted, 0);
	end();
}
END_TEST

/* The path of a flow turns when the ring that it came by has been read. */
START_TEST(promotes)
{
	struct tp t;

	six = false;
	box(false);
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	turn();
	turn();
	ck_assert_uint_ge(fp_worker_stats(w)->promoted, 1);
	ck_assert_uint_eq(fp_worker_stats(w)->forced, 0);
	end();
}
END_TEST

/* A VLAN that goes: its frames are the kernel's from then on, and its number may be another's. */
START_TEST(vlan_goes)
{
	struct tp t;

	six = false;
	box(false);
	fp_worker_port_del(w, RED);
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	nothing_left();
	ck_assert_uint_eq(count(RED)->rx, 0);
	ck_assert_uint_eq(n_punted, 1);
	ck_assert_mem_eq(punted, t.b, t.len);
	vlan_make(RED, 11, ADJ_RED);
	from_vlan(&t, 11, CPORT);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	ck_assert_int_eq(fp_worker_vlan_add(w, &(struct fp_wport){ .slot = 3, .vlan = 9 }, 9),
			 -ENOENT);
	end();
}
END_TEST

/* What injection did not send is not counted, where it would have been. */
START_TEST(injection_loses)
{
	uint32_t n = 32, len, half = n / 2;
	struct tp t;

	six = false;
	box(false);
	w->conf.inject = &injected;
	w->port[0].prog_fd = 1;
	from_vlan(&t, RED_ID, CPORT);
	/* The first burst takes the ring, the next one the other way. */
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < n; i++)
			arrive(LAN, &t);
		turn();
		for (unsigned i = 0; !k && i < n; i++)
			ck_assert_ptr_nonnull(leave(LAN, &len));
		turn();
	}
	nothing_left();
	ck_assert_uint_eq(fp_worker_stats(w)->injected, half);
	ck_assert_uint_eq(count(BLUE)->tx, n + half);
	ck_assert_uint_eq(count(BLUE)->tx_bytes, (n + half) * (t.len - 4));
	ck_assert_uint_eq(count(LAN)->tx, 0);
	ck_assert_uint_eq(count(LAN)->tx_bytes, 0);
	/* What the audit shows. */
	w->count[BLUE].tx += half;
	end();
}
END_TEST

/* Figures that are read while the worker is between two of them. */
START_TEST(carried)
{
	struct express_carried c;
	struct tp t;

	six = false;
	box(false);
	from_vlan(&t, RED_ID, CPORT);
	arrive(LAN, &t);
	turn();
	left(LAN, &t, BLUE_ID);
	fp_worker_vlan_carried(w, RED, &c);
	ck_assert_uint_eq(c.rx, 1);
	ck_assert_uint_eq(c.rx_bytes, t.len - 18);
	fp_worker_vlan_carried(w, BLUE, &c);
	ck_assert_uint_eq(c.tx, 1);
	ck_assert_uint_eq(c.tx_bytes, t.len - 4);
	answer = FP_WAY_KERNEL;
	from_vlan(&t, RED_ID, CPORT + 1);
	arrive(LAN, &t);
	turn();
	fp_worker_vlan_carried(w, RED, &c);
	ck_assert_uint_eq(c.rx, 1);
	ck_assert_uint_eq(c.rx_bytes, t.len - 18);
	w->count[RED].punt[FP_TK_ROUTE] += 5;
	fp_worker_vlan_carried(w, RED, &c);
	ck_assert_uint_eq(c.rx, 0);
	ck_assert_uint_eq(c.rx_bytes, t.len - 4);
	w->count[RED].punt_bytes += 5 * t.len;
	fp_worker_vlan_carried(w, RED, &c);
	ck_assert_uint_eq(c.rx_bytes, 0);
	w->count[RED].punt[FP_TK_ROUTE] -= 5;
	end();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker_vlan");
	TCase *t = tcase_create("worker_vlan");

	tcase_add_loop_test(t, on_a_stick, 0, 4);
	tcase_add_loop_test(t, tag_comes_and_goes, 0, 4);
	tcase_add_loop_test(t, mixed, 0, 4);
	tcase_add_loop_test(t, zones, 0, 2);
	tcase_add_loop_test(t, kernels, 0, 4);
	tcase_add_loop_test(t, errors, 0, 2);
	tcase_add_test(t, cuts);
	tcase_add_loop_test(t, pieces, 0, 2);
	tcase_add_loop_test(t, waits, 0, 2);
	tcase_add_loop_test(t, waits_in_vain, 0, 2);
	tcase_add_test(t, promotes);
	tcase_add_test(t, vlan_goes);
	tcase_add_test(t, injection_loses);
	tcase_add_test(t, carried);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
