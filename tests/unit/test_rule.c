/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of policy routing: which one a packet meets, against the kernel that has the same rules. */
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/rule.h"
#include "../lib/check_main.h"
#include "../lib/netns.h"

#include <net/if.h>

#define N_RULES     24
#define TABLE_FIRST 1000 /* + number of the rule; each leads somewhere */
#define PREF_FIRST  100
#define PREF_END    900
#define V4_HERE     "10.0.0.1"
#define V6_HERE     "2001:db8::1"

static uint64_t rnd;

static uint64_t r(uint64_t n)
{
	return test_rand(&rnd) % n;
}

static bool chance(unsigned percent)
{
	return r(100) < percent;
}

/* Few addresses, so that rules and packets meet. */
static struct rtr_addr addr(uint8_t family)
{
	struct rtr_addr a = { .family = family };
	uint8_t *low = &a.b[rtr_family_size(family) - 2];

	if (family == AF_INET) {
		a.b[0] = 20;
	} else {
		ck_assert_int_eq(rtr_addr_parse("2001:db8:20::", AF_INET6, &a), 0);
	}
	low[0] = (uint8_t)r(4);
	low[1] = (uint8_t)(1 + r(3));
	return a;
}

static struct rtr_prefix net(uint8_t family)
{
	struct rtr_prefix p = { .addr = addr(family) };
	static const uint8_t cut[] = { 0, 1, 8, 9, 16 };

	p.len = (uint8_t)(rtr_family_bits(family) - cut[r(ARRAY_LEN(cut))]);
	return rtr_prefix_network(p);
}

static struct rule_ports ports(void)
{
	uint16_t lo = (uint16_t)(80 + r(4));

	return (struct rule_ports){ lo, (uint16_t)(lo + r(3)) };
}

static const char *const iifs[] = { "lo", "v0", "v1" };

static struct rule random_rule(uint8_t family, unsigned no)
{
	struct rule u = { .family = family,
			  .proto = 98,
			  .pref = PREF_FIRST + no * 10,
			  .action = FR_ACT_TO_TBL,
			  .table = TABLE_FIRST + no,
			  .suppress_len = -1 };

	if (chance(60))
		u.src = net(family);
	if (chance(40))
		u.dst = net(family);
	if (chance(50))
		rtr_strlcpy(u.iif, iifs[r(ARRAY_LEN(iifs))], sizeof(u.iif));
	if (chance(20)) {
		u.mask = (uint32_t)(1 + r(3));
		u.mark = (uint32_t)r(4) & u.mask;
	}
	if (chance(25)) {
		u.ip_proto = chance(50) ? 6 : 17;
		if (chance(60))
			u.dport = ports();
		if (chance(30))
			u.sport = ports();
	}
	if (chance(15)) {
		u.has_dscp = true;
		u.dscp = (uint8_t)r(3);
	}
	u.invert = chance(5);
	if (chance(20)) {
		u.action = FR_ACT_GOTO;
		u.table = 0;
		u.target = u.pref + 10 * (uint32_t)(1 + r(4));
		if (u.target >= PREF_FIRST + N_RULES * 10)
			u.target = PREF_END;
	} else if (chance(5)) {
		u.action = FR_ACT_NOP;
		u.table = 0;
	}
	return u;
}

static void ask_ok(struct nl_msg *m)
{
	struct strbuf err = STRBUF_INIT;

	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_ACK;
	ck_assert_msg(!kquery_one(m, NULL, NULL, &err), "%s", strbuf_str(&err));
	strbuf_fini(&err);
}

static void take_table(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[RTA_MAX + 1];

	ck_assert_int_eq(nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct rtmsg), tb,
				     RTA_MAX, NULL),
			 0);
	*(uint32_t *)arg = nla_get_u32(tb[RTA_TABLE]);
}

/* The table that the kernel takes for the packet. */
static uint32_t kernel_table(const struct rule_packet *p)
{
	struct rtmsg hdr = { .rtm_family = p->dst.family,
			     .rtm_dst_len = (uint8_t)rtr_family_bits(p->dst.family),
			     .rtm_src_len = (uint8_t)rtr_family_bits(p->dst.family),
			     .rtm_tos = (uint8_t)(p->dscp << 2),
			     .rtm_flags = p->dst.family == AF_INET ? RTM_F_LOOKUP_TABLE : 0 };
	struct nl_msg *m = rtmsg_new(RTM_GETROUTE, 0, &hdr, sizeof(hdr), 256);
	struct strbuf err = STRBUF_INIT;
	uint16_t sport = htons(p->sport), dport = htons(p->dport);
	uint32_t table = 0;
	int e;

	rtmsg_addr(m, RTA_DST, &p->dst);
	rtmsg_addr(m, RTA_SRC, &p->src);
	if (strcmp(p->iif, "lo"))
		rtmsg_u32(m, RTA_IIF, if_nametoindex(p->iif));
	rtmsg_u32(m, RTA_MARK, p->mark);
	rtmsg_put(m, RTA_IP_PROTO, &p->ip_proto, 1);
	rtmsg_put(m, RTA_SPORT, &sport, 2);
	rtmsg_put(m, RTA_DPORT, &dport, 2);
	e = kquery_one(m, take_table, &table, &err);
	ck_assert_msg(!e, "the kernel's answer: %s %s", strerror(-e), strbuf_str(&err));
	strbuf_fini(&err);
	return table;
}

static struct rule_packet random_packet(uint8_t family)
{
	struct rule_packet p = { .dst = addr(family),
				 .src = addr(family),
				 .mark = (uint32_t)r(4),
				 .dscp = (uint8_t)r(3),
				 .ip_proto = chance(50) ? 6 : 17,
				 .sport = (uint16_t)(79 + r(6)),
				 .dport = (uint16_t)(79 + r(6)) };

	rtr_strlcpy(p.iif, iifs[r(ARRAY_LEN(iifs))], sizeof(p.iif));
	/* What the router itself sends needs an address of its own. */
	if (!strcmp(p.iif, "lo"))
		ck_assert_int_eq(
			rtr_addr_parse(family == AF_INET ? V4_HERE : V6_HERE, family, &p.src), 0);
	return p;
}

static void set_up(void)
{
	rnd = test_seed;
	netns_enter();
	ck_assert(sh("ip link set lo up && ip link add v0 type veth peer name p0 && "
		     "ip link add v1 type veth peer name p1 && "
		     "for l in v0 v1 p0 p1; do ip link set $l up; done && "
		     "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.v0.rp_filter=0 "
		     "net.ipv4.conf.v1.rp_filter=0 net.ipv4.ip_forward=1 "
		     "net.ipv6.conf.all.forwarding=1 && "
		     "ip addr add " V4_HERE "/24 dev v0 && ip -6 addr add " V6_HERE
		     "/64 dev v0 nodad && ip route add default dev v0 && "
		     "ip -6 route add default dev v0"));
	ck_assert(sh("for i in $(seq %d %d); do ip route add default dev v0 table $i; "
		     "ip -6 route add default dev v0 table $i; done",
		     TABLE_FIRST, TABLE_FIRST + N_RULES - 1));
}

static void one_set(uint8_t family)
{
	struct rule rules[N_RULES + 2], end = { .family = family,
						.proto = 98,
						.pref = PREF_END,
						.action = FR_ACT_NOP,
						.suppress_len = -1 };
	struct rule main_rule = { .family = family,
				  .pref = 32766,
				  .action = FR_ACT_TO_TBL,
				  .table = RT_TABLE_MAIN,
				  .suppress_len = -1 };

	for (unsigned i = 0; i < N_RULES; i++) {
		rules[i] = random_rule(family, i);
		ask_ok(rule_msg(RTM_NEWRULE, &rules[i]));
	}
	ask_ok(rule_msg(RTM_NEWRULE, &end));
	rules[N_RULES] = end;
	rules[N_RULES + 1] = main_rule;
	for (unsigned i = 0; i < 300; i++) {
		struct rule_packet p = random_packet(family);
		size_t at = rule_next(rules, ARRAY_LEN(rules), 0, &p);
		uint32_t table = kernel_table(&p);
		struct strbuf b = STRBUF_INIT;

		if (at < ARRAY_LEN(rules))
			rule_text(&rules[at], &b);
		ck_assert_msg(at < ARRAY_LEN(rules) && rules[at].table == table,
			      "the kernel took table %u, we say %s", table, strbuf_str(&b));
		strbuf_fini(&b);
	}
	for (unsigned i = 0; i <= N_RULES; i++)
		ask_ok(rule_msg(RTM_DELRULE, &rules[i]));
}

START_TEST(rules_are_met_as_in_the_kernel)
{
	for (int i = 0; i < 8; i++) {
		one_set(AF_INET);
		one_set(AF_INET6);
	}
}
END_TEST

struct listed {
	struct rule v[64];
	size_t n;
};

static void list(void *arg, const struct nlmsghdr *h)
{
	struct listed *l = arg;

	if (l->n < ARRAY_LEN(l->v) && rule_parse(h, &l->v[l->n]) && l->v[l->n].proto == 98)
		l->n++;
}

/* What was sent comes back the same, or every repair would send it again. */
START_TEST(rules_come_back_as_sent)
{
	struct fib_rule_hdr f = { .family = AF_UNSPEC };
	struct rule sent[40];
	struct listed l = { 0 };

	for (unsigned i = 0; i < ARRAY_LEN(sent); i++) {
		sent[i] = random_rule(i % 2 ? AF_INET6 : AF_INET, i % 20);
		if (chance(20) && sent[i].action == FR_ACT_TO_TBL)
			sent[i].suppress_len = (int32_t)r(3);
		sent[i].pref += i;
		sent[i].target += sent[i].target ? i : 0;
		ask_ok(rule_msg(RTM_NEWRULE, &sent[i]));
	}
	ck_assert_int_eq(kquery_all(rtmsg_new(RTM_GETRULE, 0, &f, sizeof(f), 64), list, &l), 0);
	ck_assert_uint_eq(l.n, ARRAY_LEN(sent));
	for (unsigned i = 0; i < ARRAY_LEN(sent); i++) {
		struct strbuf b = STRBUF_INIT;
		size_t k = 0;

		while (k < l.n && rule_cmp(&l.v[k], &sent[i]))
			k++;
		rule_text(&sent[i], &b);
		ck_assert_msg(k < l.n, "not listed as sent: %s", strbuf_str(&b));
		strbuf_fini(&b);
	}
}
END_TEST

START_TEST(text)
{
	struct strbuf b = STRBUF_INIT;
	struct rule u = { .family = AF_INET,
			  .pref = 10000,
			  .action = FR_ACT_TO_TBL,
			  .table = RT_TABLE_MAIN,
			  .suppress_len = 0,
			  .ip_proto = 6,
			  .dport = { 80, 90 },
			  .iif = "eth0" };

	ck_assert_int_eq(rtr_prefix_parse("10.0.0.0/8", AF_INET, &u.src), 0);
	rule_text(&u, &b);
	ck_assert_str_eq(strbuf_str(&b), "10000: from 10.0.0.0/8 iif eth0 ipproto 6 dport 80-90 "
					 "lookup main suppress_prefixlength 0");
	strbuf_fini(&b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rule");
	TCase *t = tcase_create("kernel");

	netns_or_skip();
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, NULL);
	tcase_add_test(t, rules_are_met_as_in_the_kernel);
	tcase_add_test(t, rules_come_back_as_sent);
	tcase_add_test(t, text);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
