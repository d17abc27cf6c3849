/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which packets to addresses of the box the express lane gives to workers, as NAT's. Needs root. */
#include "tests/lib/express_box.h"

/* While the worker lives. */
static int beat_verdict(const struct box_frame *f)
{
	fp_xdp_queue(xdp, 1)->beat = monotonic();
	return box_frame_verdict(f);
}

static bool udp_or_tcp(const char *dst, uint8_t proto, uint16_t port, uint16_t frag)
{
	uint8_t l4[32] = { 0 };
	struct box_frame f;
	int v;

	fp_st16(l4, 1234);
	fp_st16(l4 + 2, port);
	if (proto == IPPROTO_UDP) {
		fp_st16(l4 + 4, 32);
		fp_st16(l4 + 6, 1);
	} else {
		l4[12] = 0x50;
		l4[13] = 2;
	}
	box_frame_to(&f, dst, proto, l4, sizeof(l4), frag, 64);
	v = beat_verdict(&f);
	ck_assert(v == EXPRESS_V_WORKER_NEW || v == EXPRESS_V_KERNEL_ROUTE);
	return v == EXPRESS_V_WORKER_NEW;
}

static bool icmp(const char *dst, uint8_t type)
{
	const uint8_t l4[8] = { type };
	struct box_frame f;
	int v;

	box_frame_to(&f, dst, strchr(dst, ':') ? IPPROTO_ICMPV6 : IPPROTO_ICMP, l4, sizeof(l4), 0,
		     64);
	v = beat_verdict(&f);
	ck_assert(v == EXPRESS_V_WORKER_NEW || v == EXPRESS_V_KERNEL_ROUTE);
	return v == EXPRESS_V_WORKER_NEW;
}

static void addr_of(const char *text, uint8_t ret[16])
{
	memset(ret, 0, 16);
	ck_assert_int_eq(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, ret), 1);
}

static struct fp_pol_claim claim(const char *addr, uint8_t proto, uint16_t lo, uint16_t hi)
{
	struct fp_pol_claim c = {
		.family = strchr(addr, ':') ? AF_INET6 : AF_INET,
		.kind = proto ? FP_POL_CLAIM_PORTS : FP_POL_CLAIM_ALL,
		.proto = proto,
		.lo = lo,
		.hi = hi,
	};

	addr_of(addr, c.first);
	addr_of(addr, c.last);
	return c;
}

static void box_setup(void)
{
	setup();
	ck_assert(sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.in.disable_ipv6=0 "
		     "net.ipv6.conf.all.forwarding=1 && ip addr add 198.51.100.1/32 dev in && "
		     "ip -6 addr add 2001:db8:6::1/64 dev in nodad && ip link set lo up && "
		     "ip route add local 203.0.113.0/24 dev lo && "
		     "sysctl -qw net.ipv6.conf.lo.disable_ipv6=0 && "
		     "ip -6 route add local 2001:db8:9::/64 dev lo"));
	worker_lives(true);
	port_in.flags = EXPRESS_PF_ASK;
	port_set();
}

START_TEST(claims)
{
	const struct fp_pol_claim list[] = {
		claim("203.0.113.9", IPPROTO_TCP, 8080, 8080),
		claim("203.0.113.9", IPPROTO_UDP, 5000, 5009),
		claim("203.0.113.9", IPPROTO_UDP, 20000, 30000),
		claim("203.0.113.50", 0, 0, 65535),
		claim("2001:db8:9::9", IPPROTO_TCP, 8080, 8080),
		claim("2001:db8:9::50", 0, 0, 65535),
	};

	ck_assert(!udp_or_tcp("203.0.113.9", IPPROTO_TCP, 8080, 0));
	ck_assert_int_eq(fp_xdp_nat_set(xdp, NULL, 0, list, ARRAY_LEN(list)), 0);
	ck_assert(udp_or_tcp("203.0.113.9", IPPROTO_TCP, 8080, 0));
	ck_assert(!udp_or_tcp("203.0.113.9", IPPROTO_UDP, 8080, 0));
	ck_assert(!udp_or_tcp("203.0.113.9", IPPROTO_TCP, 8081, 0));
	ck_assert(!udp_or_tcp("203.0.113.8", IPPROTO_TCP, 8080, 0));
	ck_assert(udp_or_tcp("2001:db8:9::9", IPPROTO_TCP, 8080, 0));
	ck_assert(!udp_or_tcp("2001:db8:9::9", IPPROTO_UDP, 8080, 0));
	for (uint16_t port = 5000; port < 5010; port++)
		ck_assert(udp_or_tcp("203.0.113.9", IPPROTO_UDP, port, 0));
	ck_assert(!udp_or_tcp("203.0.113.9", IPPROTO_UDP, 5010, 0));
	/* A wide range. */
	ck_assert(udp_or_tcp("203.0.113.9", IPPROTO_UDP, 20000, 0));
	ck_assert(udp_or_tcp("203.0.113.9", IPPROTO_UDP, 30000, 0));
	ck_assert(!udp_or_tcp("203.0.113.9", IPPROTO_UDP, 30001, 0));
	ck_assert(!udp_or_tcp("203.0.113.9", IPPROTO_UDP, 19999, 0));
	/* Static hosts. */
	ck_assert(udp_or_tcp("203.0.113.50", IPPROTO_TCP, 1, 0));
	ck_assert(icmp("203.0.113.50", 8));
	ck_assert(udp_or_tcp("2001:db8:9::50", IPPROTO_UDP, 7, 0));
	ck_assert(icmp("2001:db8:9::50", 128));
	/* Another policy: what is not named any more is the kernel's again. */
	ck_assert_int_eq(fp_xdp_nat_set(xdp, NULL, 0, list + 1, 1), 0);
	ck_assert(!udp_or_tcp("203.0.113.9", IPPROTO_TCP, 8080, 0));
	ck_assert(udp_or_tcp("203.0.113.9", IPPROTO_UDP, 5003, 0));
	ck_assert(!udp_or_tcp("203.0.113.50", IPPROTO_TCP, 1, 0));
	ck_assert_int_eq(fp_xdp_nat_set(xdp, NULL, 0, NULL, 0), 0);
	ck_assert(!udp_or_tcp("203.0.113.9", IPPROTO_UDP, 5003, 0));
}
END_TEST

/* Of any NAT address errors and fragments, for they may be of a fast flow. */
START_TEST(shared)
{
	static const struct {
		uint8_t type[2];
		bool error;
	} types[] = { { { 3, 1 }, true },    { { 11, 2 }, true },   { { 12, 3 }, true },
		      { { 8, 128 }, false }, { { 0, 129 }, false }, { { 13, 135 }, false } };
	struct fp_pol_pool pools[] = { { .family = AF_INET }, { .family = AF_INET6 } };

	addr_of("203.0.113.10", pools[0].lo);
	addr_of("203.0.113.13", pools[0].hi);
	addr_of("2001:db8:9::fffe", pools[1].lo);
	addr_of("2001:db8:9::1:2", pools[1].hi);
	ck_assert_int_eq(fp_xdp_nat_set(xdp, pools, 2, NULL, 0), 0);
	for (unsigned last = 9; last < 15; last++) {
		char text[INET_ADDRSTRLEN];
		bool in = last >= 10 && last <= 13;

		snprintf(text, sizeof(text), "203.0.113.%u", last);
		for (size_t i = 0; i < ARRAY_LEN(types); i++)
			ck_assert(icmp(text, types[i].type[0]) == (in && types[i].error));
		ck_assert(!udp_or_tcp(text, IPPROTO_UDP, 20000, 0));
		ck_assert(udp_or_tcp(text, IPPROTO_UDP, 20000, 0x2000) == in);
		ck_assert(udp_or_tcp(text, IPPROTO_UDP, 20000, 0x0010) == in);
		ck_assert(!udp_or_tcp(text, IPPROTO_UDP, 20000, 0x4000));
	}
	for (unsigned i = 0; i < 6; i++) {
		static const char *const addrs[] = { "2001:db8:9::fffd", "2001:db8:9::fffe",
						     "2001:db8:9::ffff", "2001:db8:9::1:0",
						     "2001:db8:9::1:2",  "2001:db8:9::1:3" };
		bool in = i > 0 && i < 5;

		for (size_t k = 0; k < ARRAY_LEN(types); k++)
			ck_assert(icmp(addrs[i], types[k].type[1]) == (in && types[k].error));
		ck_assert(!udp_or_tcp(addrs[i], IPPROTO_UDP, 20000, 0));
		ck_assert(udp_or_tcp(addrs[i], IPPROTO_UDP, 20000, 0x0010) == in);
		ck_assert(udp_or_tcp(addrs[i], IPPROTO_UDP, 20000, 1) == in);
	}
}
END_TEST

/* More ports than the map has room for: the lowest and the highest of each address. */
START_TEST(many)
{
	const unsigned n = 70000;
	struct fp_pol_claim *list = xcalloc(n, sizeof(*list));

	for (unsigned i = 0; i < n; i++) {
		list[i] = (struct fp_pol_claim){ .family = AF_INET, .proto = IPPROTO_TCP };
		list[i].lo = list[i].hi = (uint16_t)(10000 + i / 4);
		list[i].first[0] = 203;
		list[i].first[2] = 113;
		list[i].first[3] = (uint8_t)(i % 4);
		memcpy(list[i].last, list[i].first, 16);
	}
	ck_assert_int_eq(fp_xdp_nat_set(xdp, NULL, 0, list, n), 0);
	ck_assert(udp_or_tcp("203.0.113.2", IPPROTO_TCP, 10000, 0));
	ck_assert(udp_or_tcp("203.0.113.3", IPPROTO_TCP, 10000 + 17499, 0));
	ck_assert(!udp_or_tcp("203.0.113.3", IPPROTO_TCP, 10000 + 17500, 0));
	ck_assert(!udp_or_tcp("203.0.113.4", IPPROTO_TCP, 10000, 0));
	ck_assert_int_eq(fp_xdp_nat_set(xdp, NULL, 0, list, 10000), 0);
	ck_assert(!udp_or_tcp("203.0.113.3", IPPROTO_TCP, 12500, 0));
	ck_assert(udp_or_tcp("203.0.113.3", IPPROTO_TCP, 12499, 0));
	free(list);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("express_nat");
	TCase *tc = tcase_create("express_nat");

	netns_or_skip();
	tcase_add_checked_fixture(tc, box_setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, claims);
	tcase_add_test(tc, shared);
	tcase_add_test(tc, many);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
