/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker under a policy that needs connections; the policy is the test's. Each test runs over
 * IPv4 and IPv6. A client on the LAN, a server on the WAN.
 */
#include "tests/lib/worker_pol.h"

#include "fastpath/nat_mapping.h"

/* ----- tests ----- */

START_TEST(udp_is_one_flow)
{
	struct tp t;

	six = _i;
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	ck_assert_uint_eq(judged, 1);
	ck_assert_uint_eq(counted, 1);
	ck_assert_uint_eq(out_if, 11);
	ck_assert_uint_eq(asked_key.ifindex, 10);
	ck_assert_uint_eq(asked_key.sport_be, htons(CPORT));
	ck_assert(!memcmp(asked_key.dst, six ? host6[1] : (const uint8_t *)"\xc0\xa8\x01\x02",
			  six ? 16 : 4));
	ck_assert_uint_eq(flow_w0_policy(word0(LAN, 17, NULL)), 7);
	ck_assert_uint_eq(timeout(17), fp_track_units(30));
	/* The opener waits for nobody; the first answer is looked at. */
	ck_assert_uint_eq(state(LAN, 17), 1);
	ck_assert_uint_eq(state(WAN, 17), 0);
	ck_assert_uint_eq(path(LAN, 17), FLOW_P_EXPRESS);
	udp(&t, WAN);
	ck_assert(passes(WAN, &t));
	ck_assert_uint_eq(judged, 1);
	ck_assert_uint_eq(state(WAN, 17), 1);
	ck_assert_uint_eq(timeout(17), fp_track_units(120));
	ck_assert(passes(WAN, &t));
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
}
END_TEST

START_TEST(tcp_opens_and_closes)
{
	const uint8_t f = 6;

	six = _i;
	seq[0] = 0xfffffff0;
	seq[1] = 77;
	ck_assert(send_tcp(LAN, SYN, 0));
	ck_assert_uint_eq(state(LAN, f), TCPT_S_SYN_SENT);
	ck_assert_uint_eq(timeout(f), fp_track_units(120));
	ck_assert_uint_eq(path(LAN, f), FLOW_P_WORKER);
	ck_assert(send_tcp(WAN, SYN | ACK, 0));
	ck_assert_uint_eq(state(WAN, f), TCPT_S_SYN_RECV);
	ck_assert_uint_eq(timeout(f), fp_track_units(60));
	ck_assert(send_tcp(LAN, ACK, 0));
	ck_assert_uint_eq(state(LAN, f), TCPT_S_ESTABLISHED);
	ck_assert_uint_eq(state(WAN, f), TCPT_S_ESTABLISHED);
	ck_assert_uint_eq(timeout(f), fp_track_units(5 * 86400));
	ck_assert_uint_eq(path(LAN, f), FLOW_P_EXPRESS);
	ck_assert_uint_eq(path(WAN, f), FLOW_P_EXPRESS);
	for (int k = 0; k < 30; k++) {
		ck_assert(send_tcp(LAN, ACK, 1000));
		ck_assert(send_tcp(WAN, ACK, 500));
	}
	ck_assert(send_tcp(LAN, FIN | ACK, 0));
	ck_assert_uint_eq(state(WAN, f), TCPT_S_FIN_WAIT);
	ck_assert(send_tcp(WAN, ACK, 0));
	ck_assert_uint_eq(state(WAN, f), TCPT_S_CLOSE_WAIT);
	ck_assert(send_tcp(WAN, ACK, 300));
	ck_assert(send_tcp(WAN, FIN | ACK, 0));
	ck_assert_uint_eq(state(LAN, f), TCPT_S_LAST_ACK);
	ck_assert_uint_eq(timeout(f), fp_track_units(30));
	ck_assert(send_tcp(LAN, ACK, 0));
	ck_assert_uint_eq(state(LAN, f), TCPT_S_TIME_WAIT);
	ck_assert_uint_eq(timeout(f), fp_track_units(120));
	ck_assert_uint_eq(judged, 1);
	/* The same ports once more: another connection. */
	seq[0] += 100000;
	ck_assert(send_tcp(LAN, SYN, 0));
	ck_assert_uint_eq(judged, 2);
	ck_assert_uint_eq(state(LAN, f), TCPT_S_SYN_SENT);
	ck_assert_uint_eq(fp_worker_stats(w)->ended, 1);
}
END_TEST

START_TEST(tcp_refuses)
{
	struct tp t;

	six = _i;
	/* The middle of an unknown connection is the kernel's. */
	tcp(&t, LAN, ACK, 10);
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_NO_FLOW], 1);
	ck_assert_uint_eq(judged, 0);
	handshake();
	tcp_at(&t, LAN, ACK, seq[0] + 1000000, 10);
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(drops(LAN, RTR_DROP_CT_WINDOW), 1);
	tcp_at(&t, LAN, RST, seq[0] + 1000000, 0);
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(state(LAN, 6), TCPT_S_ESTABLISHED);
	ck_assert(send_tcp(LAN, ACK, 10));
	ck_assert(send_tcp(WAN, ACK, 0));
	ck_assert(send_tcp(LAN, RST, 0));
	ck_assert_uint_eq(state(WAN, 6), TCPT_S_CLOSE);
	ck_assert_uint_eq(timeout(6), fp_track_units(10));
}
END_TEST

/* Nobody listens: a RST is the answer to the SYN, and the flow is over. */
START_TEST(tcp_refused)
{
	struct tp t;

	six = _i;
	seq[0] = 5;
	ck_assert(send_tcp(LAN, SYN, 0));
	seq[1] = 0;
	tcp(&t, WAN, RST | ACK, 0);
	ck_assert(passes(WAN, &t));
	ck_assert_uint_eq(word0(LAN, 6, NULL), 0);
	ck_assert_uint_eq(fp_worker_stats(w)->ended, 1);
}
END_TEST

START_TEST(policy_says_no)
{
	struct tp t;

	six = _i;
	udp(&t, LAN);
	say_in = FP_POL_DROP;
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(drops(LAN, RTR_DROP_ACL_DENY), 1);
	ck_assert_uint_eq(counted, 1);
	say_in = FP_POL_PERMIT;
	say_out = FP_POL_DROP;
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(drops(LAN, RTR_DROP_ZONE_DENY), 1);
	say_out = FP_POL_KERNEL;
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_POLICY], 1);
	ck_assert(!memcmp(punted, t.b, t.len));
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 0);
	ck_assert_uint_eq(counted, 2);
	/* The kernel may expect it. */
	say_expects = true;
	say_out = FP_POL_DROP;
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_POLICY], 2);
	ck_assert_uint_eq(counted, 2);
}
END_TEST

/* Who says that a flow is over: its next packet is judged as the first of another. */
START_TEST(ended_flows)
{
	const struct flow_cold *c = NULL;
	struct tp t;
	uint64_t w0;

	six = _i;
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	w0 = word0(LAN, 17, &c);
	ck_assert_int_eq(fp_flow_end(table, six,
				     flow_ref(flow_w0_gen(w0),
					      (uint32_t)(c - fp_flow_cold(table, six, 0)) * 2)),
			 0);
	ck_assert_uint_eq(path(WAN, 17), FLOW_P_ENDED);
	say_in = FP_POL_DROP;
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(drops(LAN, RTR_DROP_ACL_DENY), 1);
	ck_assert_uint_eq(word0(LAN, 17, NULL), 0);
	/* Without a packet its owner ends it with his next look. */
	say_in = FP_POL_PERMIT;
	ck_assert(passes(LAN, &t));
	w0 = word0(LAN, 17, &c);
	fp_flow_end(table, six,
		    flow_ref(flow_w0_gen(w0), (uint32_t)(c - fp_flow_cold(table, six, 0)) * 2));
	now += NSEC_PER_SEC;
	turn();
	ck_assert_uint_eq(word0(LAN, 17, NULL), 0);
	ck_assert_uint_eq(fp_worker_stats(w)->ended, 2);
}
END_TEST

/* Trackers die with their process; the lines tell the next one enough. A tracker without memory of
 * the flow is what it has. */
START_TEST(restart)
{
	struct tp t;

	six = _i;
	handshake();
	ck_assert(send_tcp(LAN, ACK, 1000));
	ck_assert(send_tcp(WAN, ACK, 500));
	forget();
	/* An option that XDP does not know: a worker judges it. */
	tcp_at(&t, LAN, ACK, seq[0] + 1000000, 10);
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(drops(LAN, RTR_DROP_CT_WINDOW), 1);
	ck_assert(send_tcp(LAN, ACK | FIN, 10));
	ck_assert_uint_eq(state(LAN, 6), TCPT_S_FIN_WAIT);
	forget();
	ck_assert(send_tcp(WAN, ACK, 0));
	ck_assert(send_tcp(WAN, ACK | FIN, 10));
	forget();
	ck_assert(send_tcp(LAN, ACK, 0));
	ck_assert_uint_eq(state(LAN, 6), TCPT_S_TIME_WAIT);
	seq[0] += 100000;
	ck_assert(send_tcp(LAN, SYN, 0));
	forget();
	seq[1] = 9;
	ck_assert(send_tcp(WAN, SYN | ACK, 0));
	forget();
	ck_assert(send_tcp(LAN, ACK, 0));
	ck_assert_uint_eq(state(LAN, 6), TCPT_S_ESTABLISHED);
	ck_assert(send_tcp(LAN, ACK, 1000));
}
END_TEST

/* --- translation --- */

/* The client as the WAN sees it; the server as the LAN asks for it. */
static const uint8_t pub6[2][16] = { { 0x20, 1, [15] = 7 }, { 0x20, 1, [15] = 8 } };
static const uint8_t pub4[2][16] = { { 203, 0, 113, 7 }, { 203, 0, 113, 8 } };
#define PUB_CPORT 40000
#define PUB_SPORT 8080

static const uint8_t *pub(unsigned end)
{
	return six ? pub6[end] : pub4[end];
}

static struct fp_pol_xlate exact(const uint8_t *addr, uint16_t to_port)
{
	struct fp_pol_xlate x = { .kind = FP_XL_EXACT, .port_be = htons(to_port) };

	memcpy(x.addr, addr, six ? 16 : 4);
	return x;
}

static void host(unsigned end, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (six)
		memcpy(ret, host6[end], 16);
	else
		tp_w32(ret, host4[end]);
}

/* Sets addresses and ports of a frame. */
static void readdress(struct tp *t, const uint8_t *src, unsigned sport, const uint8_t *dst,
		      unsigned dport)
{
	unsigned size = six ? 16 : 4, at = t->l3 + (six ? 8 : 12);

	memcpy(t->b + at, src, size);
	memcpy(t->b + at + size, dst, size);
	tp_w16(t->b + t->l4, sport);
	tp_w16(t->b + t->l4 + 2, dport);
	tp_done(t);
}

/* t leaves as want, but for link header and hop limit. */
static void becomes(unsigned from, const struct tp *t, const struct tp *want)
{
	struct tp w2 = *want;
	const uint8_t *out;
	uint32_t len;

	arrive(from, t);
	turn();
	out = leave(!from, &len);
	ck_assert_ptr_nonnull(out);
	w2.b[w2.l3 + (six ? 7 : 8)]--;
	tp_fix_ip4(&w2);
	ck_assert_uint_eq(len, MAX(w2.len, 60u));
	ck_assert(!memcmp(out + 14, w2.b + 14, w2.len - 14));
}

/* A flow whose both ends have other names on the other side; by protocol. */
static void translated_flow(uint8_t proto)
{
	uint8_t client[16], server[16];
	struct tp t, want;

	host(0, client);
	host(1, server);
	say_snat = exact(pub(0), PUB_CPORT);
	say_dnat = exact(server, SPORT);
	seq[0] = 5;
	seq[1] = 99;
	for (int k = 0; k < 2; k++) {
		if (proto == 6)
			tcp(&t, LAN, SYN, 0);
		else
			udp(&t, LAN);
		want = t;
		readdress(&t, client, CPORT, pub(1), PUB_SPORT);
		readdress(&want, pub(0), PUB_CPORT, server, SPORT);
		becomes(LAN, &t, &want);
		if (proto == 6)
			seq[0]--;
		else
			udp(&t, WAN);
		if (proto == 6)
			tcp(&t, WAN, SYN | ACK, 0);
		want = t;
		readdress(&t, server, SPORT, pub(0), PUB_CPORT);
		readdress(&want, pub(1), PUB_SPORT, client, CPORT);
		becomes(WAN, &t, &want);
		if (proto == 6)
			return;
	}
}

START_TEST(translates)
{
	six = _i & 1;
	translated_flow(_i & 2 ? 6 : 17);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
}
END_TEST

/* The first packet of a connection of host number n of the client's network, by port. */
static void first(struct tp *t, unsigned n, unsigned sport)
{
	uint8_t client[16], server[16];

	host(0, client);
	host(1, server);
	client[six ? 15 : 3] += (uint8_t)n;
	client[6] = (uint8_t)(n >> 8); /* another /64 */
	udp(t, LAN);
	readdress(t, client, sport, server, SPORT);
}

static bool begins(unsigned n, unsigned sport)
{
	struct tp t;

	first(&t, n, sport);
	return passes(LAN, &t);
}

/* A source has so many flows and no more, until one ends; an IPv6 source is a /64. */
START_TEST(host_limit)
{
	const struct flow_cold *c = NULL;
	struct tp t;
	uint64_t w0;
	uint32_t len;

	six = _i;
	say_host_max = 2;
	ck_assert(begins(0, CPORT));
	ck_assert(begins(0, 1001));
	ck_assert(!begins(0, 1002));
	ck_assert_uint_eq(drops(LAN, RTR_DROP_CT_HOST_LIMIT), 1);
	ck_assert(begins(0, CPORT)); /* one that is there */
	ck_assert_int_eq(begins(1, 1000), !six);
	if (six)
		ck_assert(begins(0x100, 1000) && begins(0x101, 1000) && !begins(0x102, 1000));
	w0 = word0(LAN, 17, &c);
	fp_flow_end(table, six,
		    flow_ref(flow_w0_gen(w0), (uint32_t)(c - fp_flow_cold(table, six, 0)) * 2));
	now += NSEC_PER_SEC;
	turn();
	ck_assert(begins(0, 1003));
	ck_assert(!begins(0, 1004));
	/* Who had to have another source and could not is not counted. */
	say_host_max = 10;
	say_snat = exact(pub(0), PUB_CPORT);
	for (unsigned k = 0; k < 2; k++) {
		first(&t, 0, 1005 + k);
		arrive(LAN, &t);
		turn();
		ck_assert_int_eq(!!leave(WAN, &len), !k);
	}
	ck_assert_uint_eq(drops(LAN, RTR_DROP_NAT_PORTS), 1);
	say_snat = (struct fp_pol_xlate){ 0 };
	say_host_max = 4;
	ck_assert(begins(0, 1007));
	ck_assert(!begins(0, 1008));
	say_host_max = 0;
	ck_assert(begins(0, 1008));
}
END_TEST

/* ICMP errors of others: about what the client sent, as the server's side saw it. */
START_TEST(translates_errors)
{
	uint8_t client[16], server[16], router[16] = { 198, 51, 100, 1 };
	struct tp t, q, want;
	unsigned n;

	six = _i;
	translated_flow(17);
	host(0, client);
	host(1, server);
	/* From a router on the way, about the client's packet. */
	udp(&q, LAN);
	n = q.len - 14;
	ip(&t, WAN, six ? 58 : 1, 64);
	tp_icmp(&t, six ? 1 : 3, 0, 0, n);
	want = t;
	readdress(&q, pub(0), PUB_CPORT, server, SPORT);
	memcpy(t.b + t.l4 + 8, q.b + 14, n);
	memcpy(t.b + t.l3 + (six ? 8 : 12), router, six ? 16 : 4);
	memcpy(t.b + t.l3 + (six ? 24 : 16), pub(0), six ? 16 : 4);
	readdress(&q, client, CPORT, pub(1), PUB_SPORT);
	memcpy(want.b + want.l4 + 8, q.b + 14, n);
	/* What stands for the server stands for all behind it. */
	memcpy(want.b + want.l3 + (six ? 8 : 12), pub(1), six ? 16 : 4);
	memcpy(want.b + want.l3 + (six ? 24 : 16), client, six ? 16 : 4);
	tp_done(&t);
	tp_done(&want);
	becomes(WAN, &t, &want);
	/* To another than the quoted sender, or from where that one cannot be. */
	q = t;
	t.b[t.l3 + (six ? 39 : 19)] = 99;
	tp_done(&t);
	ck_assert(!passes(WAN, &t));
	ck_assert_uint_eq(drops(WAN, RTR_DROP_CT_INVALID), 1);
	answer = FP_WAY_DROP;
	answer_drop = RTR_DROP_URPF;
	ck_assert(!passes(WAN, &q));
	ck_assert_uint_eq(drops(WAN, RTR_DROP_URPF), 1);
	answer = FP_WAY_SEND;
	udp(&q, LAN);
	/* About a packet of nobody's: the kernel's. */
	readdress(&q, pub(0), 1, server, SPORT);
	memcpy(t.b + t.l4 + 8, q.b + 14, n);
	tp_done(&t);
	ck_assert(!passes(WAN, &t));
	ck_assert_uint_eq(count(WAN)->punt[FP_TK_NO_FLOW], 1);
}
END_TEST

/* --- errors of ours --- */

static const uint8_t *error_from(unsigned from, const struct tp *t, uint8_t type, uint8_t code,
				 const uint8_t *src)
{
	const uint8_t *out;
	uint32_t len;
	unsigned l4 = six ? 54 : 34;

	arrive(from, t);
	turn();
	ck_assert_ptr_null(leave(!from, &len));
	out = leave(from, &len);
	if (!out)
		return NULL;
	ck_assert(!memcmp(out, t->b + 6, 6) && !memcmp(out + 6, mac[from], 6));
	ck_assert(!memcmp(out + (six ? 22 : 26), src, six ? 16 : 4));
	ck_assert_uint_eq(out[l4], type);
	ck_assert_uint_eq(out[l4 + 1], code);
	ck_assert(!memcmp(out + l4 + 8, t->b + 14, MIN(len - l4 - 8, t->len - 14)));
	return out;
}

static const uint8_t *error_about(const struct tp *t, uint8_t type, uint8_t code)
{
	return error_from(LAN, t, type, code, six ? box6 : box4);
}

START_TEST(owes_errors)
{
	const uint8_t *out;
	unsigned sent = 0;
	struct tp t;

	six = _i;
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	t.b[t.l3 + (six ? 7 : 8)] = 1;
	tp_fix_ip4(&t);
	ck_assert_ptr_nonnull(error_about(&t, six ? 3 : 11, 0));
	ck_assert_uint_eq(drops(LAN, RTR_DROP_TTL_EXPIRED), 1);
	ck_assert_uint_eq(count(LAN)->made, 1);
	udp(&t, LAN);
	if (!six)
		t.b[t.l3 + 6] = 0x40;
	tp_fix_ip4(&t);
	adjs[ADJ_WAN].mtu = 50;
	out = error_about(&t, six ? 2 : 3, six ? 0 : 4);
	ck_assert_ptr_nonnull(out);
	/* Less than any link of the family has would be believed by nobody. */
	ck_assert_uint_eq(tp_r16(out + (six ? 60 : 40)), six ? 1280 : 68);
	ck_assert_uint_eq(drops(LAN, six ? RTR_DROP_MTU_IP6 : RTR_DROP_MTU_DF), 1);
	ck_assert_uint_eq(n_punted, 0);
	/* Not too many, of which the others cost no look at a route; and none from nowhere. */
	error_ways = 0;
	for (int k = 0; k < 200; k++)
		sent += error_about(&t, six ? 2 : 3, six ? 0 : 4) != NULL;
	ck_assert_uint_gt(sent, 10);
	ck_assert_uint_lt(sent, 190);
	ck_assert_uint_eq(error_ways, sent);
	now += NSEC_PER_SEC;
	has_source = false;
	ck_assert_ptr_null(error_about(&t, 0, 0));
}
END_TEST

/* Their way is that to the sender, which need not be where the packet came from. */
START_TEST(errors_are_routed)
{
	const uint8_t *out;
	uint32_t len;
	struct tp t;

	six = _i;
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	adj_make(3, WAN);
	adjs[3].len = 18;
	memcpy(adjs[3].hdr + 12, "\x81\x00\x00\x07", 4);
	error_adj = 3;
	t.b[t.l3 + (six ? 7 : 8)] = 1;
	tp_fix_ip4(&t);
	arrive(LAN, &t);
	turn();
	ck_assert_ptr_null(leave(LAN, &len));
	out = leave(WAN, &len);
	ck_assert_ptr_nonnull(out);
	ck_assert(!memcmp(out, adjs[3].hdr, 16));
	ck_assert_uint_eq(tp_r16(out + 16), six ? 0x86dd : 0x0800);
	ck_assert(!memcmp(out + (six ? 58 + 8 : 38 + 8), t.b + 14, t.len - 14));
	ck_assert_uint_eq(count(WAN)->made, 1);
	ck_assert_uint_eq(count(LAN)->made, 0);
	/* No more of the packet than fits. */
	adjs[3].mtu = 70;
	arrive(LAN, &t);
	turn();
	out = leave(WAN, &len);
	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(len, 18 + 70);
	/* A neighbour that is lost, or an egress of the kernel's. */
	adjs[3].len = 0;
	ck_assert_ptr_nonnull(error_about(&t, six ? 3 : 11, 0));
	adjs[3].len = 14;
	adjs[3].port = 7;
	ck_assert_ptr_nonnull(error_about(&t, six ? 3 : 11, 0));
}
END_TEST

/* Who asks for an address of ours gets no other one to see; who has asked for another one's. */
START_TEST(errors_keep_the_name)
{
	uint8_t kind = _i & 1 ? 3 : 11, client[16], server[16];
	struct tp t, want;

	six = _i & 1;
	translated_flow(17);
	host(0, client);
	host(1, server);
	udp(&t, LAN);
	readdress(&t, client, CPORT, pub(1), PUB_SPORT);
	t.b[t.l3 + (six ? 7 : 8)] = 1;
	tp_fix_ip4(&t);
	ck_assert_ptr_nonnull(error_from(LAN, &t, kind, 0, pub(1)));
	udp(&t, WAN);
	readdress(&t, server, SPORT, pub(0), PUB_CPORT);
	t.b[t.l3 + (six ? 7 : 8)] = 1;
	tp_fix_ip4(&t);
	ck_assert_ptr_nonnull(error_from(WAN, &t, kind, 0, pub(0)));
	say_dnat = (struct fp_pol_xlate){ 0 };
	say_snat = exact(pub(0), PUB_CPORT + 1);
	udp(&t, LAN);
	readdress(&t, client, CPORT + 1, server, SPORT);
	want = t;
	readdress(&want, pub(0), PUB_CPORT + 1, server, SPORT);
	becomes(LAN, &t, &want);
	t.b[t.l3 + (six ? 7 : 8)] = 1;
	tp_fix_ip4(&t);
	ck_assert_ptr_nonnull(error_from(LAN, &t, kind, 0, six ? box6 : box4));
}
END_TEST

/* The answer is quicker than its neighbour: it waits, and nothing behind it is lost. */
START_TEST(neighbour_is_asked)
{
	uint32_t len;
	struct tp t;

	six = _i;
	adjs[ADJ_LAN].len = 0;
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	answer = FP_WAY_NEIGH;
	udp(&t, WAN);
	for (int k = 0; k < 3; k++)
		ck_assert(!passes(WAN, &t));
	answer = FP_WAY_SEND;
	adjs[ADJ_LAN].len = 14;
	now += NSEC_PER_SEC;
	turn();
	for (int k = 0; k < 3; k++)
		ck_assert_ptr_nonnull(leave(LAN, &len));
	ck_assert_ptr_null(leave(LAN, &len));
	/* Not for ever, and not any number. */
	adjs[ADJ_LAN].len = 0;
	answer = FP_WAY_NEIGH;
	for (int k = 0; k < 200; k++) {
		arrive(WAN, &t);
		turn();
	}
	ck_assert_uint_eq(drops(WAN, RTR_DROP_NEIGH_QUEUE), 200 - FP_PARKED);
	for (int k = 0; k < 2; k++) {
		now += 4 * NSEC_PER_SEC;
		turn();
	}
	ck_assert_uint_eq(drops(WAN, RTR_DROP_NEIGH_FAILED), FP_PARKED);
	ck_assert_uint_eq(n_punted, 0);
}
END_TEST

/* A connection that begins so is not the kernel's. */
START_TEST(first_waits_for_neighbour)
{
	unsigned l4 = (_i & 1 ? 40 : 20) + 14, n = 0;
	const uint8_t *out;
	struct tp t[3];
	uint32_t len;

	six = _i & 1;
	seq[0] = 5;
	adjs[ADJ_WAN].len = 0;
	answer = FP_WAY_NEIGH;
	for (int k = 0; k < 3; k++) {
		if (_i & 2)
			tcp_at(&t[k], LAN, SYN, 5, 0);
		else
			udp(&t[k], LAN);
		t[k].b[t[k].len - 1] = (uint8_t)k;
		tp_done(&t[k]);
		ck_assert(!passes(LAN, &t[k]));
	}
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
	answer = FP_WAY_SEND;
	adj_make(ADJ_WAN, WAN);
	now += NSEC_PER_SEC;
	turn();
	for (int k = 0; k < 3; k++) {
		out = leave(WAN, &len);
		ck_assert_ptr_nonnull(out);
		ck_assert(!memcmp(out + l4, t[k].b + l4, t[k].len - l4));
	}
	ck_assert_ptr_null(leave(WAN, &len));
	ck_assert_uint_eq(n_punted, 0);
	ck_assert_uint_eq(counted, 1);
	/* More of them begin in the kernel. */
	adjs[ADJ_WAN].len = 0;
	answer = FP_WAY_NEIGH;
	for (unsigned k = 0; k < FP_PARKED_FIRST; k++) {
		arrive(LAN, &t[0]);
		turn();
	}
	ck_assert_uint_eq(n_punted, 0);
	t[1].b[l4 + 1]++;
	tp_done(&t[1]);
	ck_assert(!passes(LAN, &t[1]));
	ck_assert_uint_eq(n_punted, 1);
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_NEIGH], 1);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
	/* Who waits in vain is told. */
	now += 4 * NSEC_PER_SEC;
	turn();
	ck_assert_uint_eq(drops(LAN, RTR_DROP_NEIGH_FAILED), FP_PARKED_FIRST);
	while ((out = leave(LAN, &len))) {
		ck_assert_uint_eq(out[l4], six ? 1 : 3);
		ck_assert_uint_eq(out[l4 + 1], six ? 3 : 1);
		n++;
	}
	ck_assert_uint_gt(n, 5);
	ck_assert(!fp_worker_waits(w));
}
END_TEST

/* --- mappings --- */

/* The client has a mapping: whatever comes to it goes to him. */
static void map_client(struct fp_mapping *m, uint8_t proto)
{
	*m = (struct fp_mapping){ .fam = six ? FLOW_6 : FLOW_4,
				  .proto = proto,
				  .pool = 1,
				  .in.port_be = htons(CPORT),
				  .out.port_be = htons(PUB_CPORT) };
	host(0, m->in.addr);
	memcpy(m->out.addr, pub(0), six ? 16 : 4);
	ck_assert_int_eq(fp_mapping_take(table, fp_flow_worker(table, 0), m,
					 fp_flow_now() - fp_track_units(10), 7),
			 0);
	say_mapped = true;
	say_dnat = exact(m->in.addr, CPORT);
}

/* From the server to the client's mapping. */
static void to_mapping(struct tp *t, uint8_t proto)
{
	uint8_t server[16];

	host(1, server);
	if (proto == 6)
		tcp_at(t, WAN, SYN, 5, 0);
	else
		udp(t, WAN);
	readdress(t, server, SPORT, pub(0), PUB_CPORT);
}

/* When it was last in use. */
static uint32_t used(const struct fp_mapping *m)
{
	struct flow_key4 k4 = { .dport = m->out.port_be, .proto = 17, .zone = FP_ZONE_MAPPING };
	struct flow_key6 k6 = { .dport = m->out.port_be, .proto = 17, .zone = FP_ZONE_MAPPING };
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	memcpy(&k4.daddr, m->out.addr, 4);
	memcpy(k6.daddr, m->out.addr, 16);
	if (six) {
		ck_assert_int_eq(fp_flow_find6(table, &k6, &h6), FLOW_HIT);
		return h6.own->time;
	}
	ck_assert_int_eq(fp_flow_find4(table, &k4, &h4), FLOW_HIT);
	return h4.own->time;
}

/* RFC 7857: who is refused keeps nobody's mapping alive. */
START_TEST(refused_refreshes_nothing)
{
	struct fp_mapping m;
	uint8_t server[16];
	struct tp t, want;
	uint32_t before;

	six = _i;
	map_client(&m, 17);
	before = used(&m);
	to_mapping(&t, 17);
	say_in = FP_POL_DROP;
	ck_assert(!passes(WAN, &t));
	say_in = FP_POL_PERMIT;
	say_out = FP_POL_DROP;
	ck_assert(!passes(WAN, &t));
	ck_assert(asked_key.mapped);
	ck_assert_uint_eq(used(&m), before);
	say_out = FP_POL_PERMIT;
	want = t;
	host(1, server);
	readdress(&want, server, SPORT, m.in.addr, CPORT);
	becomes(WAN, &t, &want);
	ck_assert_uint_gt(used(&m), before);
}
END_TEST

/* The kernel has no mappings: what a first packet waits for, it waits for here. */
START_TEST(mapping_waits_for_neighbour)
{
	uint8_t server[16], proto = _i & 2 ? 6 : 17;
	struct fp_mapping m;
	struct tp t, want;
	const uint8_t *out;
	uint32_t len;

	six = _i & 1;
	map_client(&m, proto);
	to_mapping(&t, proto);
	host(1, server);
	want = t;
	readdress(&want, server, SPORT, m.in.addr, CPORT);
	adjs[ADJ_LAN].len = 0;
	answer = FP_WAY_NEIGH;
	for (int k = 0; k < 2; k++)
		ck_assert(!passes(WAN, &t));
	ck_assert_uint_eq(n_punted, 0);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 1);
	ck_assert_uint_eq(counted, 1);
	answer = FP_WAY_SEND;
	adjs[ADJ_LAN].len = 14;
	now += NSEC_PER_SEC;
	turn();
	for (int k = 0; k < 2; k++) {
		out = leave(LAN, &len);
		ck_assert_ptr_nonnull(out);
		ck_assert(!memcmp(out + want.l4, want.b + want.l4, want.len - want.l4));
	}
	ck_assert_ptr_null(leave(LAN, &len));
	becomes(WAN, &t, &want);
}
END_TEST

/* ... and what its sender has to know, he is told here. */
START_TEST(mapping_owes_errors)
{
	struct fp_mapping m;
	struct tp t;

	six = _i;
	map_client(&m, 17);
	to_mapping(&t, 17);
	if (!six)
		t.b[t.l3 + 6] = 0x40;
	t.b[t.l3 + (six ? 7 : 8)] = 1;
	tp_fix_ip4(&t);
	ck_assert_ptr_nonnull(error_from(WAN, &t, six ? 3 : 11, 0, pub(0)));
	ck_assert_uint_eq(drops(WAN, RTR_DROP_TTL_EXPIRED), 1);
	say_in = FP_POL_DROP;
	ck_assert_ptr_null(error_from(WAN, &t, 0, 0, NULL));
	say_in = FP_POL_PERMIT;
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 0);
	t.b[t.l3 + (six ? 7 : 8)] = 64;
	tp_fix_ip4(&t);
	adjs[ADJ_LAN].mtu = 50;
	ck_assert_ptr_nonnull(error_from(WAN, &t, six ? 2 : 3, six ? 0 : 4, pub(0)));
	ck_assert_uint_eq(drops(WAN, six ? RTR_DROP_MTU_IP6 : RTR_DROP_MTU_DF), 1);
	ck_assert_uint_eq(n_punted, 0);
	/* Nobody's port: the kernel's. */
	say_mapped = false;
	to_mapping(&t, 17);
	readdress(&t, pub(1), SPORT, pub(0), PUB_CPORT);
	t.b[t.l3 + (six ? 7 : 8)] = 1;
	tp_fix_ip4(&t);
	ck_assert_ptr_null(error_from(WAN, &t, 0, 0, NULL));
	ck_assert_uint_eq(count(WAN)->punt[FP_TK_TTL], 1);
}
END_TEST

/* A packet of a connection that comes by another interface is of it, if its source may be there. */
START_TEST(other_interface)
{
	uint32_t len;
	struct tp t;

	six = _i;
	handshake();
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	/* What the client sends comes by the WAN, and would go out there again. */
	adjs[ADJ_WAN].port = LAN;
	tcp(&t, LAN, ACK, 20);
	memcpy(t.b, mac[WAN], 6);
	arrive(WAN, &t);
	udp(&t, LAN);
	memcpy(t.b, mac[WAN], 6);
	arrive(WAN, &t);
	turn();
	ck_assert_ptr_nonnull(leave(LAN, &len));
	ck_assert_ptr_nonnull(leave(LAN, &len));
	ck_assert_uint_eq(n_punted, 0);
	ck_assert_uint_eq(judged, 2);
	/* What is from inside to outside by the new interface needs a translation that it has not.
	 */
	say_leaks = true;
	arrive(WAN, &t);
	turn();
	ck_assert_ptr_null(leave(LAN, &len));
	ck_assert_uint_eq(drops(WAN, RTR_DROP_NAT_LEAK), 1);
	say_leaks = false;
	answer = FP_WAY_DROP;
	answer_drop = RTR_DROP_URPF;
	arrive(WAN, &t);
	turn();
	ck_assert_ptr_null(leave(LAN, &len));
	ck_assert_uint_eq(drops(WAN, RTR_DROP_URPF), 1);
}
END_TEST

/* A flow without translation whose way turns to an interface where it might need one. */
START_TEST(moves_untranslated)
{
	uint32_t len;
	struct tp t;

	six = _i;
	udp(&t, LAN);
	ck_assert(passes(LAN, &t));
	udp(&t, WAN);
	ck_assert(passes(WAN, &t));
	/* The opener: the sweep judges that first. */
	adjs[ADJ_WAN].len = 0;
	adj_make(3, LAN);
	moved_to[LAN] = 3;
	udp(&t, LAN);
	arrive(LAN, &t);
	turn();
	ck_assert_ptr_null(leave(LAN, &len));
	ck_assert_uint_eq(drops(LAN, RTR_DROP_EGRESS_DOWN), 0);
	/* It has waited for that. */
	adj_make(ADJ_WAN, WAN);
	now += NSEC_PER_SEC;
	turn();
	ck_assert_ptr_nonnull(leave(WAN, &len));
	ck_assert(passes(LAN, &t));
	/* The answers: not where they would tell an address of inside. */
	adjs[ADJ_LAN].len = 0;
	adj_make(3, WAN);
	moved_to[WAN] = 3;
	say_leaks = true;
	udp(&t, WAN);
	arrive(WAN, &t);
	turn();
	ck_assert_ptr_null(leave(WAN, &len));
	ck_assert_uint_eq(drops(WAN, RTR_DROP_EGRESS_DOWN), 1);
	ck_assert_uint_eq(leak_key.ifindex, 11);
	ck_assert_uint_eq(leak_key.sport_be, htons(SPORT));
	say_leaks = false;
	arrive(WAN, &t);
	turn();
	ck_assert_ptr_nonnull(leave(WAN, &len));
}
END_TEST

/* Whose answers go another way from the beginning. */
START_TEST(answers_elsewhere)
{
	uint8_t server[16], client[16];
	struct tp t;

	six = _i;
	host(0, client);
	host(1, server);
	adj_make(3, WAN);
	moved_to[WAN] = 3;
	say_leaks = true;
	udp(&t, LAN);
	ck_assert(!passes(LAN, &t));
	ck_assert_uint_eq(count(LAN)->punt[FP_TK_POLICY], 1);
	ck_assert_uint_eq(fp_worker_stats(w)->inserted, 0);
	ck_assert_uint_eq(leak_key.ifindex, 11);
	ck_assert_uint_eq(out_if, 11);
	ck_assert_uint_eq(leak_key.sport_be, htons(SPORT));
	ck_assert_uint_eq(leak_key.dport_be, htons(CPORT));
	ck_assert(!memcmp(leak_key.src, server, 16) && !memcmp(leak_key.dst, client, 16));
	say_leaks = false;
	ck_assert(passes(LAN, &t));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker_track");
	TCase *t = tcase_create("worker_track");

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_loop_test(t, udp_is_one_flow, 0, 2);
	tcase_add_loop_test(t, tcp_opens_and_closes, 0, 2);
	tcase_add_loop_test(t, tcp_refuses, 0, 2);
	tcase_add_loop_test(t, tcp_refused, 0, 2);
	tcase_add_loop_test(t, policy_says_no, 0, 2);
	tcase_add_loop_test(t, ended_flows, 0, 2);
	tcase_add_loop_test(t, restart, 0, 2);
	tcase_add_loop_test(t, translates, 0, 4);
	tcase_add_loop_test(t, translates_errors, 0, 2);
	tcase_add_loop_test(t, owes_errors, 0, 2);
	tcase_add_loop_test(t, errors_are_routed, 0, 2);
	tcase_add_loop_test(t, errors_keep_the_name, 0, 2);
	tcase_add_loop_test(t, neighbour_is_asked, 0, 2);
	tcase_add_loop_test(t, first_waits_for_neighbour, 0, 4);
	tcase_add_loop_test(t, refused_refreshes_nothing, 0, 2);
	tcase_add_loop_test(t, mapping_waits_for_neighbour, 0, 4);
	tcase_add_loop_test(t, host_limit, 0, 2);
	tcase_add_loop_test(t, mapping_owes_errors, 0, 2);
	tcase_add_loop_test(t, other_interface, 0, 2);
	tcase_add_loop_test(t, moves_untranslated, 0, 2);
	tcase_add_loop_test(t, answers_elsewhere, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
