/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of drops: reasons of the kernel in our words, counts that begin again, clear. */
#include "../lib/check_main.h"

#include "drops/drops.h"
#include "drops/reason.h"

#include <string.h>

START_TEST(meanings)
{
	static const struct {
		const char *name, *function;
		enum rtr_drop reason;
		enum drop_at at;
	} cases[] = {
		{ "IP_INHDR", "ip_forward", RTR_DROP_TTL_EXPIRED, DROP_AT_STACK },
		{ "IP_INHDR", "ip6_forward", RTR_DROP_TTL_EXPIRED, DROP_AT_STACK },
		/* Of others it may be anything about the header. */
		{ "IP_INHDR", "ip_rcv_core", RTR_DROP_NONE, DROP_AT_STACK },
		{ "PKT_TOO_BIG", "ip6_forward", RTR_DROP_MTU_IP6, DROP_AT_STACK },
		{ "PKT_TOO_SMALL", "ip6_rcv_core", RTR_DROP_IP6_LENGTH, DROP_AT_STACK },
		{ "IP_RPFILTER", "", RTR_DROP_URPF, DROP_AT_STACK },
		{ "NETFILTER_DROP", "nft_do_chain", RTR_DROP_NONE, DROP_AT_NETFILTER },
		{ "NEIGH_QUEUEFULL", "", RTR_DROP_NEIGH_QUEUE, DROP_AT_NEIGH },
		{ "QDISC_OVERLIMIT", "", RTR_DROP_QUEUE_FULL, DROP_AT_QDISC },
		{ "SOCKET_RCVBUFF", "", RTR_DROP_NONE, DROP_AT_SOCKET },
		{ "TCP_OLD_DATA", "", RTR_DROP_NONE, DROP_AT_SOCKET },
		{ "XDP", "", RTR_DROP_NONE, DROP_AT_XDP },
		{ "CPU_BACKLOG", "", RTR_DROP_NONE, DROP_AT_SOFTNET },
		{ "OF_A_LATER_KERNEL", "", RTR_DROP_NONE, DROP_AT_STACK },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct drop_meaning m = drop_meaning(cases[i].name, cases[i].function);

		ck_assert_msg(m.reason == cases[i].reason && m.at == cases[i].at, "%s in %s",
			      cases[i].name, cases[i].function);
	}
	ck_assert_str_eq(drop_meaning("NOT_SPECIFIED", "do_xdp_generic").name, "XDP");
	ck_assert_str_eq(drop_meaning("NOT_SPECIFIED", "nf_hook_slow").name, "NETFILTER_DROP");
	ck_assert_str_eq(drop_meaning("NOT_SPECIFIED", "icmpv6_rcv").name, "NOT_SPECIFIED");
	ck_assert_str_eq(drop_at_text(DROP_AT_NIC), "nic");
	ck_assert_str_eq(drop_at_text(DROP_AT_SOCKET), "socket");
	ck_assert_str_eq(drop_at_text(DROP_AT__MAX), "unknown");
}
END_TEST

START_TEST(innocents)
{
	ck_assert(drop_is_innocent("NO_SOCKET", "ping_rcv"));
	ck_assert(drop_is_innocent("SOCKET_FILTER", "rawv6_rcv"));
	ck_assert(drop_is_innocent("SOCKET_FILTER", "raw_rcv_skb"));
	ck_assert(!drop_is_innocent("NO_SOCKET", "udp_unicast_rcv_skb"));
	ck_assert(!drop_is_innocent("SOCKET_FILTER", "udp_queue_rcv_one_skb"));
	ck_assert(!drop_is_innocent("SOCKET_RCVBUFF", "rawv6_rcv"));
	ck_assert(!drop_is_innocent("NO_SOCKET", ""));
}
END_TEST

static const struct drop_row *row(const char *ifname, const char *where)
{
	const struct drop_row *r = NULL;

	while ((r = drops_next(r))) {
		if (!strcmp(r->ifname, ifname) && !strcmp(r->where, where))
			return r;
	}
	return NULL;
}

static uint64_t count(const char *ifname, const char *where)
{
	const struct drop_row *r = row(ifname, where);

	return r ? drop_row_count(r) : 0;
}

static void put(const char *ifname, const char *where, bool traced, uint64_t n)
{
	drops_put(&(struct drop_id){ DROP_AT_STACK, RTR_DROP_NO_ROUTE, "N", ifname, where, traced },
		  n, rtr_now_ns());
}

START_TEST(rows)
{
	char name[IFNAMSIZ];
	size_t n = 0;

	put("eth0", "a", true, 0);
	ck_assert_ptr_null(row("eth0", "a"));
	put("eth0", "a", true, 5);
	put("eth0", "b", true, 7);
	put("eth1", "a", false, 9);
	put("eth0", "a", true, 6);
	ck_assert_uint_eq(count("eth0", "a"), 6);
	ck_assert_uint_eq(count("eth0", "b"), 7);
	ck_assert_str_eq(drop_row_reason(row("eth0", "a")), "no-route");
	/* A source that began again goes on from what was. */
	put("eth0", "a", true, 2);
	ck_assert_uint_eq(count("eth0", "a"), 8);
	/* The next life of rtr-dropd, which counts as far as the one before; others did not end. */
	drops_forget_traced(NULL);
	put("eth0", "a", true, 2);
	put("eth1", "a", false, 9);
	ck_assert_uint_eq(count("eth0", "a"), 10);
	ck_assert_uint_eq(count("eth1", "a"), 9);
	/* Another interface of that name, which counts as far. */
	drops_forget_traced("eth0");
	put("eth0", "a", true, 2);
	ck_assert_uint_eq(count("eth0", "a"), 12);
	put("eth0", "b", true, 7);
	drops_clear();
	ck_assert_uint_eq(count("eth0", "a"), 0);
	put("eth0", "a", true, 3);
	ck_assert_uint_eq(count("eth0", "a"), 1);
	ck_assert_uint_eq(count("eth0", "b"), 0);
	put("", "CPU 0", false, 1);
	/* Bounded, whatever the kernel names. */
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		put(name, "", false, 1);
	}
	for (const struct drop_row *r = drops_next(NULL); r; r = drops_next(r))
		n++;
	ck_assert_uint_eq(n, 8192);
	/* There is no link of any of these names: an hour later they make room. */
	drops_age(rtr_now_ns());
	ck_assert_uint_eq(count("x17", ""), 1);
	drops_age(rtr_now_ns() + DROPS_GONE_NS + NSEC_PER_SEC);
	ck_assert_ptr_null(row("x17", ""));
	ck_assert_uint_eq(count("", "CPU 0"), 1);
	put("new0", "", false, 4);
	ck_assert_uint_eq(count("new0", ""), 4);
}
END_TEST

static void put_line(const char *ifname, uint64_t n, uint64_t last_ns)
{
	drops_put(&(struct drop_id){ DROP_AT_NFT, RTR_DROP_ACL_DENY, "", ifname, "list T line 5",
				     false },
		  n, last_ns);
}

static size_t lines(const char *ifname)
{
	size_t n = 0;

	for (const struct drop_row *r = drops_next(NULL); r; r = drops_next(r))
		n += r->at == DROP_AT_NFT && !strcmp(r->ifname, ifname);
	return n;
}

/* The list moves from interface to interface; its line counts on. */
START_TEST(moved)
{
	put_line("eth0", 2, 1);
	put_line("", 2, 1);
	ck_assert_uint_eq(lines(""), 0);
	ck_assert_uint_eq(count("eth0", "list T line 5"), 2);
	put_line("eth1", 3, 1);
	ck_assert_uint_eq(lines("eth0") + lines("eth1"), 0);
	ck_assert_uint_eq(count("", "list T line 5"), 3);
	drops_clear();
	put_line("eth1", 7, 1);
	ck_assert_uint_eq(lines("") + lines("eth0"), 0);
	ck_assert_uint_eq(count("eth1", "list T line 5"), 4);
}
END_TEST

/* A counter goes with its rules: that is no drop, and what it had counted stays. */
START_TEST(counter_goes)
{
	put_line("", 4, 1000);
	put_line("", 0, 0);
	ck_assert_uint_eq(row("", "list T line 5")->last_ns, 1000);
	put_line("", 1, 2000);
	ck_assert_uint_eq(row("", "list T line 5")->last_ns, 2000);
	ck_assert_uint_eq(count("", "list T line 5"), 5);
}
END_TEST

static Suite *test_suite(void)
{
	Suite *s = suite_create("drops");
	TCase *t = tcase_create("all");

	tcase_add_test(t, meanings);
	tcase_add_test(t, innocents);
	tcase_add_test(t, rows);
	tcase_add_test(t, moved);
	tcase_add_test(t, counter_goes);
	suite_add_tcase(s, t);
	return s;
}
CHECK_MAIN(test_suite)
