/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker under a policy that needs connections, and the sizes of packets: pieces of datagrams
 * that come in, packets that are cut, the segment size of a SYN. The policy is the test's.
 */
#include "tests/lib/worker_pol.h"

/* --- pieces --- */

static unsigned leaves_wan(void)
{
	unsigned n = 0;
	uint32_t len;

	while (leave(WAN, &len))
		n++;
	return n;
}

START_TEST(pieces_follow)
{
	struct tp first, second, t;

	six = _i;
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	piece(&first, LAN, 7, 0, true);
	piece(&second, LAN, 7, 64, false);
	arrive(LAN, &first);
	arrive(LAN, &second);
	turn();
	ck_assert_uint_eq(leaves_wan(), 2);
	/* The other way round: the second waits. */
	piece(&first, LAN, 8, 0, true);
	piece(&second, LAN, 8, 64, false);
	arrive(LAN, &second);
	turn();
	ck_assert_uint_eq(leaves_wan(), 0);
	arrive(LAN, &first);
	turn();
	ck_assert_uint_eq(leaves_wan(), 2);
	ck_assert_uint_eq(n_punted, 0);
	/* Of no flow of ours: the kernel's, also without its first piece, after a while. */
	piece(&first, WAN, 9, 0, true);
	tp_w16(first.b + first.l4, 4242);
	arrive(WAN, &first);
	turn();
	ck_assert_uint_eq(n_punted, 1);
	piece(&second, LAN, 10, 64, false);
	arrive(LAN, &second);
	turn();
	ck_assert_uint_eq(n_punted, 1);
	now += NSEC_PER_SEC;
	turn();
	ck_assert_uint_eq(n_punted, 2);
	ck_assert(!memcmp(punted, second.b, second.len));
}
END_TEST

/* An IPv4 packet that may be cut is cut. */
/* What the pieces of a segment hold is sent: its acknowledgement belongs to the connection. */
START_TEST(segment_in_pieces)
{
	struct tp first, second;

	six = _i;
	handshake();
	ip(&first, LAN, IPPROTO_TCP, 64);
	if (six)
		tp_frag6(&first, 11, 0, true);
	else
		tp_frag4(&first, 0, true);
	tp_tcp(&first, CPORT, SPORT, ACK, NULL, 0, 44);
	tp_w32(first.b + first.l4 + 4, seq[LAN]);
	tp_w32(first.b + first.l4 + 8, seq[WAN]);
	tp_w16(first.b + first.l4 + 14, window);
	tp_done(&first);
	ip(&second, LAN, IPPROTO_TCP, 64);
	if (six)
		tp_frag6(&second, 11, 64, false);
	else
		tp_frag4(&second, 64, false);
	tp_payload(&second, 64);
	tp_done(&second);
	if (!six) {
		tp_w16(first.b + first.l3 + 4, 11);
		tp_w16(second.b + second.l3 + 4, 11);
		tp_fix_ip4(&first);
		tp_fix_ip4(&second);
	}
	arrive(LAN, &first);
	arrive(LAN, &second);
	turn();
	ck_assert_uint_eq(leaves_wan(), 2);
	seq[LAN] += 44 + 64;
	ck_assert(send_tcp(WAN, ACK, 10));
	ck_assert(send_tcp(LAN, ACK, 10));
}
END_TEST

START_TEST(cuts)
{
	const uint8_t *out;
	struct tp t;
	uint32_t len, sum = 0;
	struct fp_ring *r = &port[WAN].x->tx;

	six = false;
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	adjs[ADJ_WAN].mtu = 44;
	arrive(LAN, &t);
	turn();
	for (unsigned k = 0; (out = leave(WAN, &len)); k++) {
		ck_assert_uint_eq(len, 60);
		ck_assert(!memcmp(out, peer[WAN], 6) && tp_r16(out + 12) == 0x0800);
		ck_assert_uint_eq(out[22], 63);
		ck_assert_uint_eq((tp_r16(out + 20) & 0x1fff) * 8, sum);
		ck_assert_uint_eq(tp_r16(out + 24), tp_ip4_csum(out + 14));
		sum += tp_r16(out + 16) - 20;
	}
	ck_assert_uint_eq(sum, 38);
	ck_assert_uint_eq(count(WAN)->made, 1);
	/* There is room for its first piece only. */
	*r->consumer = r->other = r->own - RING + 1;
	arrive(LAN, &t);
	turn();
	ck_assert_uint_eq(drops(LAN, RTR_DROP_TX_RING), 1);
	ck_assert_uint_eq(count(WAN)->made, 2);
}
END_TEST

/* The segment size that leaves when a SYN comes in. */
static unsigned leaves_with(unsigned from, unsigned to, const struct tp *t)
{
	const uint8_t *out;
	struct tp sent = *t;
	uint32_t len;

	arrive(from, t);
	turn();
	out = leave(to, &len);
	ck_assert_ptr_nonnull(out);
	memcpy(sent.b, out, MIN(len, sizeof(sent.b)));
	ck_assert_uint_eq(tp_r16(out + t->l4 + 16), tp_l4_csum(&sent));
	return tp_r16(out + t->l4 + 22);
}

START_TEST(clamps_segments)
{
	struct tp t;

	six = _i;
	seq[0] = seq[1] = 5;
	say_mss.max = 1200;
	for (unsigned from = 0; from < 2; from++) {
		tcp(&t, from, from ? SYN | ACK : SYN, 0);
		ck_assert_uint_eq(leaves_with(from, !from, &t), 1200);
		ck_assert(mss_iif == 10 + from && mss_oif == 10 + !from);
	}
	/* Auto: both ways count. */
	ck_assert(send_tcp(WAN, RST | ACK, 0));
	seq[0] += 100;
	say_mss = (struct fp_pol_mss){ .path = true };
	adjs[ADJ_LAN].mtu = 1400;
	tcp(&t, LAN, SYN, 0);
	t.b[t.l4 + 1]++;
	tp_done(&t);
	ck_assert_uint_eq(leaves_with(LAN, WAN, &t), six ? 1340 : 1360);
	/* So does a number, and the other way while its neighbour is not known. */
	say_mss.max = 1300;
	ck_assert_uint_eq(leaves_with(LAN, WAN, &t), 1300);
	say_mss.max = 0;
	adjs[ADJ_LAN].len = 0;
	error_mtu = 1380;
	ck_assert_uint_eq(leaves_with(LAN, WAN, &t), six ? 1320 : 1340);
	t.b[t.l4 + 1]++;
	tp_done(&t);
	error_mtu = 1360;
	ck_assert_uint_eq(leaves_with(LAN, WAN, &t), six ? 1300 : 1320);
}
END_TEST

/* The answer goes by another interface than the SYN came by: that one's size counts. */
START_TEST(clamps_elsewhere)
{
	struct tp t;

	six = _i;
	seq[0] = seq[1] = 5;
	adj_make(3, WAN);
	moved_to[WAN] = 3;
	tcp(&t, LAN, SYN, 0);
	ck_assert_uint_eq(leaves_with(LAN, WAN, &t), 1460);
	say_mss.max = 1200;
	tcp(&t, WAN, SYN | ACK, 0);
	ck_assert_uint_eq(leaves_with(WAN, WAN, &t), 1200);
	ck_assert(mss_iif == 11 && mss_oif == 11);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker_size");
	TCase *t = tcase_create("worker_size");

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_loop_test(t, pieces_follow, 0, 2);
	tcase_add_loop_test(t, segment_in_pieces, 0, 2);
	tcase_add_test(t, cuts);
	tcase_add_loop_test(t, clamps_segments, 0, 2);
	tcase_add_loop_test(t, clamps_elsewhere, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
