/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/rule.h"

#include "hash.h"
#include "kernel/rtmsg.h"

#include <string.h>

/* linux/fib_rules.h of 6.13 and later; older headers lack them. */
enum {
	RULE_FRA_DSCP = 25,
	RULE_FRA_SPORT_MASK = 28,
	RULE_FRA_DPORT_MASK = 29,
	RULE_FRA_DSCP_MASK = 30,
};
#define RULE_MSG_SIZE 512
/* The bits that fib rules take of the old TOS byte. */
#define TOS_MASK 0x1e

/* ---- values ---- */

#define CMP(x, y) (((x) > (y)) - ((x) < (y)))

static int prefix_cmp(const struct rtr_prefix *a, const struct rtr_prefix *b)
{
	if (!a->len && !b->len)
		return 0;
	return rtr_prefix_cmp(a, b);
}

int rule_cmp(const struct rule *a, const struct rule *b)
{
	const int c[] = {
		CMP(a->pref, b->pref),
		CMP(a->family, b->family),
		strcmp(a->iif, b->iif),
		CMP(a->action, b->action),
		CMP(a->table, b->table),
		CMP(a->target, b->target),
		CMP(a->suppress_len, b->suppress_len),
		prefix_cmp(&a->src, &b->src),
		prefix_cmp(&a->dst, &b->dst),
		CMP(a->ip_proto, b->ip_proto),
		CMP(a->sport.lo, b->sport.lo),
		CMP(a->sport.hi, b->sport.hi),
		CMP(a->dport.lo, b->dport.lo),
		CMP(a->dport.hi, b->dport.hi),
		CMP(a->mark, b->mark),
		CMP(a->mask, b->mask),
		CMP(a->tos, b->tos),
		CMP(a->has_dscp, b->has_dscp),
		CMP(a->dscp, b->dscp),
		CMP(a->invert, b->invert),
		CMP(a->l3mdev, b->l3mdev),
		CMP(a->unmodelled, b->unmodelled),
		CMP(a->proto, b->proto),
		strcmp(a->oif, b->oif),
	};

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		if (c[i])
			return c[i];
	}
	return 0;
}

uint64_t rule_hash(const struct rule *r)
{
	uint64_t h = hash_mix64((uint64_t)r->pref << 32 | r->table);

	h = hash_mix64(h ^ ((uint64_t)r->family << 8 | r->action));
	h = hash_bytes(r->iif, strlen(r->iif), h);
	if (r->src.len)
		h = hash_bytes(r->src.addr.b, sizeof(r->src.addr.b), h);
	if (r->dst.len)
		h = hash_bytes(r->dst.addr.b, sizeof(r->dst.addr.b), h);
	return h;
}

/* ---- messages ---- */

static void get_prefix(const struct nlattr *a, uint8_t family, uint8_t len, struct rtr_prefix *ret)
{
	if (!a || !len || nla_len(a) < (int)rtr_family_size(family))
		return;
	ret->addr.family = family;
	ret->len = len;
	memcpy(ret->addr.b, nla_data(a), rtr_family_size(family));
}

static uint32_t get_u32(const struct nlattr *a, uint32_t other)
{
	return a && nla_len(a) >= 4 ? nla_get_u32(a) : other;
}

static void get_ports(const struct nlattr *a, struct rule_ports *ret)
{
	const struct fib_rule_port_range *p;

	if (!a || nla_len(a) < (int)sizeof(*p))
		return;
	p = nla_data(a);
	*ret = (struct rule_ports){ p->start, p->end };
}

/* Parts that we do not know, and those that we never use. Newer kernels name the masks of what is
 * matched whole as well. */
static bool is_foreign(const struct nlattr *a)
{
	switch (nla_type(a)) {
	case FRA_UID_RANGE:
	case FRA_TUN_ID:
	case FRA_FLOW:
		return true;
	case FRA_SUPPRESS_IFGROUP:
		return nla_get_u32(a) != UINT32_MAX;
	case RULE_FRA_DSCP:
		return false;
	case RULE_FRA_DSCP_MASK:
		return nla_get_u8(a) != 0x3f;
	case RULE_FRA_SPORT_MASK:
	case RULE_FRA_DPORT_MASK:
		return nla_get_u16(a) && nla_get_u16(a) != UINT16_MAX;
	default:
		return nla_type(a) > FRA_DPORT_RANGE;
	}
}

bool rule_parse(const struct nlmsghdr *h, struct rule *ret)
{
	const struct fib_rule_hdr *f = nlmsg_data(h);
	struct nlattr *tb[RULE_FRA_DSCP + 1], *a;
	struct rule r = { 0 };
	int rem;

	if (!nlmsg_valid_hdr(h, sizeof(*f)) || (f->family != AF_INET && f->family != AF_INET6) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*f), tb, RULE_FRA_DSCP, NULL))
		return false;
	r.family = f->family;
	r.action = f->action;
	r.tos = f->tos;
	r.invert = f->flags & FIB_RULE_INVERT;
	r.proto = tb[FRA_PROTOCOL] ? nla_get_u8(tb[FRA_PROTOCOL]) : 0;
	r.pref = get_u32(tb[FRA_PRIORITY], 0);
	r.table = get_u32(tb[FRA_TABLE], f->table);
	r.target = get_u32(tb[FRA_GOTO], 0);
	r.mark = get_u32(tb[FRA_FWMARK], 0);
	r.mask = get_u32(tb[FRA_FWMASK], r.mark ? UINT32_MAX : 0);
	r.suppress_len = (int32_t)get_u32(tb[FRA_SUPPRESS_PREFIXLEN], UINT32_MAX);
	r.l3mdev = tb[FRA_L3MDEV] && nla_get_u8(tb[FRA_L3MDEV]);
	r.ip_proto = tb[FRA_IP_PROTO] ? nla_get_u8(tb[FRA_IP_PROTO]) : 0;
	r.has_dscp = tb[RULE_FRA_DSCP] != NULL;
	r.dscp = r.has_dscp ? nla_get_u8(tb[RULE_FRA_DSCP]) : 0;
	get_ports(tb[FRA_SPORT_RANGE], &r.sport);
	get_ports(tb[FRA_DPORT_RANGE], &r.dport);
	get_prefix(tb[FRA_SRC], f->family, f->src_len, &r.src);
	get_prefix(tb[FRA_DST], f->family, f->dst_len, &r.dst);
	if (tb[FRA_IIFNAME])
		nla_strlcpy(r.iif, tb[FRA_IIFNAME], sizeof(r.iif));
	if (tb[FRA_OIFNAME])
		nla_strlcpy(r.oif, tb[FRA_OIFNAME], sizeof(r.oif));
	nla_for_each_attr(a, nlmsg_attrdata(h, sizeof(*f)), nlmsg_attrlen(h, sizeof(*f)), rem)
		r.unmodelled |= is_foreign(a);
	*ret = r;
	return true;
}

static void put_prefix(struct nl_msg *m, int attr, const struct rtr_prefix *p)
{
	if (p->len)
		rtmsg_addr(m, attr, &p->addr);
}

static void put_ports(struct nl_msg *m, int attr, const struct rule_ports *p)
{
	struct fib_rule_port_range r = { .start = p->lo, .end = p->hi };

	if (p->lo)
		rtmsg_put(m, attr, &r, sizeof(r));
}

struct nl_msg *rule_msg(int type, const struct rule *r)
{
	struct fib_rule_hdr f = { .family = r->family,
				  .src_len = r->src.len,
				  .dst_len = r->dst.len,
				  .tos = r->tos,
				  .table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC,
				  .action = r->action,
				  .flags = r->invert ? FIB_RULE_INVERT : 0 };
	/* Not NLM_F_EXCL: for it a rule from anywhere "exists" when one from a network does. */
	struct nl_msg *m = rtmsg_new(type, type == RTM_NEWRULE ? NLM_F_CREATE : 0, &f, sizeof(f),
				     RULE_MSG_SIZE);

	rtmsg_u32(m, FRA_PRIORITY, r->pref);
	rtmsg_put(m, FRA_PROTOCOL, &r->proto, 1);
	put_prefix(m, FRA_SRC, &r->src);
	put_prefix(m, FRA_DST, &r->dst);
	if (r->iif[0])
		rtmsg_text(m, FRA_IIFNAME, r->iif);
	if (r->oif[0])
		rtmsg_text(m, FRA_OIFNAME, r->oif);
	if (r->table)
		rtmsg_u32(m, FRA_TABLE, r->table);
	if (r->action == FR_ACT_GOTO)
		rtmsg_u32(m, FRA_GOTO, r->target);
	if (r->mask) {
		rtmsg_u32(m, FRA_FWMARK, r->mark);
		rtmsg_u32(m, FRA_FWMASK, r->mask);
	}
	if (r->suppress_len >= 0)
		rtmsg_u32(m, FRA_SUPPRESS_PREFIXLEN, (uint32_t)r->suppress_len);
	if (r->ip_proto)
		rtmsg_put(m, FRA_IP_PROTO, &r->ip_proto, 1);
	put_ports(m, FRA_SPORT_RANGE, &r->sport);
	put_ports(m, FRA_DPORT_RANGE, &r->dport);
	if (r->has_dscp)
		rtmsg_put(m, RULE_FRA_DSCP, &r->dscp, 1);
	return m;
}

/* ---- text ---- */

static void add_ports(struct strbuf *b, const char *word, const struct rule_ports *p)
{
	if (p->lo && p->lo == p->hi)
		strbuf_addf(b, " %s %u", word, p->lo);
	else if (p->lo)
		strbuf_addf(b, " %s %u-%u", word, p->lo, p->hi);
}

static void add_table(struct strbuf *b, uint32_t table)
{
	if (table == RT_TABLE_LOCAL || table == RT_TABLE_MAIN || table == RT_TABLE_DEFAULT)
		strbuf_adds(b, table == RT_TABLE_LOCAL  ? "local"
			       : table == RT_TABLE_MAIN ? "main"
							: "default");
	else
		strbuf_addf(b, "%u", table);
}

static void add_action(struct strbuf *b, const struct rule *r)
{
	switch (r->action) {
	case FR_ACT_TO_TBL:
		strbuf_adds(b, " lookup ");
		if (r->l3mdev)
			strbuf_adds(b, "[l3mdev-table]");
		else
			add_table(b, r->table);
		if (r->suppress_len >= 0)
			strbuf_addf(b, " suppress_prefixlength %d", r->suppress_len);
		break;
	case FR_ACT_GOTO:
		strbuf_addf(b, " goto %u", r->target);
		break;
	case FR_ACT_NOP:
		strbuf_adds(b, " nop");
		break;
	case FR_ACT_BLACKHOLE:
		strbuf_adds(b, " blackhole");
		break;
	case FR_ACT_UNREACHABLE:
		strbuf_adds(b, " unreachable");
		break;
	case FR_ACT_PROHIBIT:
		strbuf_adds(b, " prohibit");
		break;
	default:
		strbuf_addf(b, " action %u", r->action);
	}
}

void rule_text(const struct rule *r, struct strbuf *b)
{
	char text[RTR_PREFIX_STRLEN];

	strbuf_addf(b, "%u: %sfrom %s", r->pref, r->invert ? "not " : "",
		    r->src.len ? rtr_prefix_str(&r->src, text) : "all");
	if (r->dst.len)
		strbuf_addf(b, " to %s", rtr_prefix_str(&r->dst, text));
	if (r->tos)
		strbuf_addf(b, " tos 0x%02x", r->tos);
	if (r->has_dscp)
		strbuf_addf(b, " dscp %u", r->dscp);
	if (r->mask == UINT32_MAX)
		strbuf_addf(b, " fwmark 0x%x", r->mark);
	else if (r->mask)
		strbuf_addf(b, " fwmark 0x%x/0x%x", r->mark, r->mask);
	if (r->iif[0])
		strbuf_addf(b, " iif %s", r->iif);
	if (r->oif[0])
		strbuf_addf(b, " oif %s", r->oif);
	if (r->ip_proto)
		strbuf_addf(b, " ipproto %u", r->ip_proto);
	add_ports(b, "sport", &r->sport);
	add_ports(b, "dport", &r->dport);
	add_action(b, r);
}

/* ---- packets ---- */

static bool in_ports(const struct rule_ports *r, uint16_t port)
{
	return !r->lo || (port >= r->lo && port <= r->hi);
}

/* A rule over packets that leave by an interface (of bound sockets) is not met by others. */
bool rule_meets(const struct rule *r, const struct rule_packet *p)
{
	bool met = r->family == p->dst.family && !r->oif[0] &&
		   (!r->iif[0] || !strcmp(r->iif, p->iif)) && (p->mark & r->mask) == r->mark &&
		   (!r->src.len || rtr_prefix_contains(&r->src, &p->src)) &&
		   (!r->dst.len || rtr_prefix_contains(&r->dst, &p->dst)) &&
		   (!r->tos || r->tos == (p->dscp << 2 & TOS_MASK)) &&
		   (!r->has_dscp || r->dscp == p->dscp) &&
		   (!r->ip_proto || r->ip_proto == p->ip_proto) && in_ports(&r->sport, p->sport) &&
		   in_ports(&r->dport, p->dport);

	return r->family == p->dst.family && met != r->invert;
}

size_t rule_next(const struct rule *rules, size_t n, size_t from, const struct rule_packet *p)
{
	size_t i = from;

	while (i < n) {
		uint32_t target = rules[i].target;

		if (rules[i].action == FR_ACT_NOP || !rule_meets(&rules[i], p)) {
			i++;
			continue;
		}
		if (rules[i].action != FR_ACT_GOTO)
			return i;
		for (i++; i < n && rules[i].pref < target;)
			i++;
	}
	return n;
}
