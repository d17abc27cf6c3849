/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: one rule of policy routing (`ip rule`): as a value, as a netlink message and as text.
 * A rule is compared whole: two that differ in anything are two rules.
 * Owns: nothing. Threads: any. Failure: rule_parse says false.
 */
#ifndef RTR_RULE_H
#define RTR_RULE_H

#include "prefix.h"
#include "strbuf.h"

#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <net/if.h>

struct rule_ports { /* 0-0 = any */
	uint16_t lo, hi;
};

struct rule {
	uint8_t family;
	uint8_t action; /* FR_ACT_* */
	uint8_t proto;  /* FRA_PROTOCOL: who made it */
	uint8_t tos, dscp;
	bool has_dscp, invert, l3mdev;
	bool unmodelled;  /* says more than this struct can hold: not one of ours */
	uint8_t ip_proto; /* 0 = any */
	uint32_t pref, table, target, mark, mask;
	int32_t suppress_len; /* -1 = none */
	struct rule_ports sport, dport;
	struct rtr_prefix src, dst;        /* len 0 = any */
	char iif[IFNAMSIZ], oif[IFNAMSIZ]; /* "" = any */
};

int rule_cmp(const struct rule *a, const struct rule *b); /* by pref first */
uint64_t rule_hash(const struct rule *r);
bool rule_parse(const struct nlmsghdr *h, struct rule *ret);
struct nl_msg;
/* type RTM_NEWRULE or RTM_DELRULE. */
struct nl_msg *rule_msg(int type, const struct rule *r);
/* As `ip rule` says it: "10000: from 10.0.0.0/8 iif eth0 lookup 100". */
void rule_text(const struct rule *r, struct strbuf *b);

/* What a packet shows to the rules. */
struct rule_packet {
	struct rtr_addr src, dst;
	char iif[IFNAMSIZ]; /* "lo": made by the router itself */
	uint32_t mark;
	uint8_t dscp, ip_proto;
	uint16_t sport, dport;
};

/* Pure: does the packet meet the rule, alone? */
bool rule_meets(const struct rule *r, const struct rule_packet *p);
/* The first rule from `from` on that the packet meets and that decides something: rules are sorted
 * by pref; gotos are followed, nops passed over. n when there is none. Whoever looks up its table
 * without finding a route goes on from the one behind. */
size_t rule_next(const struct rule *rules, size_t n, size_t from, const struct rule_packet *p);

#endif
