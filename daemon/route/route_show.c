/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show ip route and its kin, from the kernel's own tables: what it forwards by, whoever put it
 * there. Routes are printed as the dump comes, in the kernel's order (by prefix), with the box's
 * own addresses, which are another table's, between them; and the dump waits while the client does
 * not read: a full Internet table costs no memory here.
 */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "route/route.h"
#include "route/route_plan.h"
#include "schema/types.h"
#include "txn/txn.h"
#include "vrf/vrf.h"

#include <errno.h>
#include <string.h>

/* rtm_protocol of the routing daemons, as FRR and bird use them. */
enum {
	PROTO_BGP = 186,
	PROTO_ISIS = 187,
	PROTO_OSPF = 188,
	PROTO_RIP = 189,
	PROTO_ZEBRA = 11,
	PROTO_BIRD = 12
};

static const char codes[] =
	"Codes: L - local, C - connected, S - static, R - RIP, B - BGP, O - OSPF\n"
	"       i - IS-IS, K - kernel or another program, * - candidate default\n\n";

/* What a show asks for. */
struct filter {
	int family;
	int code; /* 0 = any */
	bool has_prefix, longer;
	struct rtr_prefix prefix;
};

struct listing {
	struct filter f;
	struct kdump *dump;
	struct rtr_prefix last; /* printed: what follows for the same one ranks behind it */
	json_int_t last_rank;
	uint32_t table; /* of a VRF, which holds its addresses too; 0 = local, then main */
	bool local;     /* the local table is being read: addresses of the box */
	struct own {    /* those, in order, until the main table's routes have come so far */
		struct rtr_prefix dst;
		json_t *route;
	} * own;
	size_t n_own, own_room, own_at;
	bool json, any, summary, entry;
	unsigned long count[128]; /* by code */
	json_t *best;             /* show ip route A.B.C.D: the longest match so far */
	uint8_t best_len;
	char *gateway; /* of last resort */
};

/* ---- one route as JSON ---- */

static int code_of(const struct rtmsg *r)
{
	if (r->rtm_type == RTN_LOCAL)
		return 'L';
	switch (r->rtm_protocol) {
	case PROTO_BGP:
		return 'B';
	case PROTO_OSPF:
		return 'O';
	case PROTO_RIP:
		return 'R';
	case PROTO_ISIS:
		return 'i';
	case RTPROT_KERNEL:
		return 'C';
	default:
		return r->rtm_protocol == shadow_proto() ? 'S' : 'K';
	}
}

static const char *code_name(int code)
{
	switch (code) {
	case 'L':
		return "local";
	case 'C':
		return "connected";
	case 'S':
		return "static";
	case 'B':
		return "bgp";
	case 'O':
		return "ospf";
	case 'R':
		return "rip";
	case 'i':
		return "isis";
	default:
		return "kernel";
	}
}

static const char *type_name(unsigned char type)
{
	switch (type) {
	case RTN_BLACKHOLE:
		return "blackhole";
	case RTN_UNREACHABLE:
		return "unreachable";
	case RTN_PROHIBIT:
		return "prohibit";
	case RTN_LOCAL:
		return "local";
	case RTN_BROADCAST:
		return "broadcast";
	case RTN_MULTICAST:
		return "multicast";
	default:
		return "unicast";
	}
}

static struct rtr_addr attr_addr(int family, const struct nlattr *a)
{
	struct rtr_addr r = { .family = (uint8_t)family };

	memcpy(r.b, nla_data(a), MIN((size_t)nla_len(a), (size_t)rtr_family_size(r.family)));
	return r;
}

static json_t *hop_json(int family, struct nlattr *const *tb, int ifindex, unsigned weight,
			unsigned flags)
{
	const struct shadow_link *l = ifindex ? shadow_link_by_index(ifindex) : NULL;
	json_t *h = json_object();
	char buf[RTR_ADDR_STRLEN];

	if (tb[RTA_GATEWAY]) {
		struct rtr_addr gw = attr_addr(family, tb[RTA_GATEWAY]);

		json_object_set_new(h, "via", json_string(rtr_addr_str(&gw, buf)));
	} else if (tb[RTA_VIA]) {
		const struct rtvia *via = nla_data(tb[RTA_VIA]);
		struct rtr_addr gw = { .family = (uint8_t)via->rtvia_family };

		memcpy(gw.b, via->rtvia_addr, rtr_family_size(gw.family));
		json_object_set_new(h, "via", json_string(rtr_addr_str(&gw, buf)));
	}
	if (l)
		json_object_set_new(h, "interface", json_string(iface_operator_name(l->name)));
	if (weight > 1)
		json_object_set_new(h, "weight", json_integer(weight));
	/* A Loopback that the kernel has as a bridge has no carrier, and needs none. */
	if ((flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) && !(l && shadow_link_is_up(l)))
		json_object_set_new(h, "dead", json_true());
	return h;
}

static json_t *hops_json(int family, struct nlattr **tb, unsigned flags)
{
	json_t *out = json_array();
	const struct rtnexthop *nh;
	int left;

	if (!tb[RTA_MULTIPATH]) {
		if (tb[RTA_OIF] || tb[RTA_GATEWAY])
			json_array_append_new(
				out, hop_json(family, tb,
					      tb[RTA_OIF] ? (int)nla_get_u32(tb[RTA_OIF]) : 0, 1,
					      flags));
		return out;
	}
	left = nla_len(tb[RTA_MULTIPATH]);
	for (nh = nla_data(tb[RTA_MULTIPATH]); RTNH_OK(nh, left);) {
		struct nlattr *hop[RTA_MAX + 1];

		if (!nla_parse(hop, RTA_MAX, (struct nlattr *)(uintptr_t)RTNH_DATA(nh),
			       nh->rtnh_len - (int)sizeof(*nh), NULL))
			json_array_append_new(out, hop_json(family, hop, nh->rtnh_ifindex,
							    nh->rtnh_hops + 1u, nh->rtnh_flags));
		left -= (int)NLMSG_ALIGN(nh->rtnh_len);
		nh = RTNH_NEXT(nh);
	}
	return out;
}

static uint32_t u32_or(const struct nlattr *a, uint32_t other)
{
	return a ? nla_get_u32(a) : other;
}

/* NULL when the message is no route. */
static json_t *route_json(const struct nlmsghdr *h, struct rtr_prefix *ret_dst, int *ret_code)
{
	const struct rtmsg *r = NLMSG_DATA(h);
	struct nlattr *tb[RTA_MAX + 1];
	char buf[RTR_PREFIX_STRLEN], addr[RTR_ADDR_STRLEN];
	uint32_t metric;
	bool ours;
	json_t *o;

	if (h->nlmsg_type != RTM_NEWROUTE ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*r), tb, RTA_MAX, NULL))
		return NULL;
	*ret_dst = (struct rtr_prefix){ .addr.family = r->rtm_family, .len = r->rtm_dst_len };
	if (tb[RTA_DST])
		ret_dst->addr = attr_addr(r->rtm_family, tb[RTA_DST]);
	*ret_code = code_of(r);
	ours = r->rtm_protocol == shadow_proto();
	metric = u32_or(tb[RTA_PRIORITY], 0);
	o = json_pack("{s:s,s:s,s:s,s:i,s:I,s:i,s:o}", "prefix", rtr_prefix_str(ret_dst, buf),
		      "protocol", code_name(*ret_code), "type", type_name(r->rtm_type), "distance",
		      ours ? (int)(metric >> 24) : 0, "metric",
		      (json_int_t)(ours ? metric & 0xffffff : metric), "table",
		      (int)u32_or(tb[RTA_TABLE], r->rtm_table), "nexthops",
		      hops_json(r->rtm_family, tb, r->rtm_flags));
	if (tb[RTA_PREFSRC]) {
		struct rtr_addr src = attr_addr(r->rtm_family, tb[RTA_PREFSRC]);

		json_object_set_new(o, "source", json_string(rtr_addr_str(&src, addr)));
	}
	return o;
}

/* ---- text ---- */

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static char letter(const json_t *o)
{
	static const char letters[] = "LCSBORi";

	for (const char *l = letters; *l; l++) {
		if (!strcmp(code_name(*l), str(o, "protocol")))
			return *l;
	}
	return 'K';
}

static void print_hop(struct cmd_ctx *c, const json_t *h)
{
	if (*str(h, "via"))
		cmd_printf(c, "via %s", str(h, "via"));
	else
		cmd_puts(c, "is directly connected");
	if (*str(h, "interface"))
		cmd_printf(c, ", %s", str(h, "interface"));
	if (json_object_get(h, "weight"))
		cmd_printf(c, ", weight %" JSON_INTEGER_FORMAT,
			   json_integer_value(json_object_get(h, "weight")));
	if (json_is_true(json_object_get(h, "dead")))
		cmd_puts(c, ", dead");
}

static void print_route(struct cmd_ctx *c, const json_t *o)
{
	const json_t *hops = json_object_get(o, "nexthops");
	const char *prefix = str(o, "prefix"), *type = str(o, "type");
	bool dflt = strstr(prefix, "/0") && !strcmp(strstr(prefix, "/0"), "/0");
	char head[128];
	int n;
	json_t *h;
	size_t i;

	n = snprintf(head, sizeof(head), "%c%-5s%s ", letter(o), dflt ? "*" : "", prefix);
	if (strcmp(str(o, "protocol"), "connected") && strcmp(str(o, "protocol"), "local"))
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			      "[%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT "] ",
			      json_integer_value(json_object_get(o, "distance")),
			      json_integer_value(json_object_get(o, "metric")));
	cmd_puts(c, head);
	if (!json_array_size(hops))
		cmd_printf(c, "is %s",
			   !strcmp(type, "blackhole") ? "directly connected, Null0" : type);
	json_array_foreach(hops, i, h) {
		if (i)
			cmd_printf(c, "\n%*s", n, "");
		print_hop(c, h);
	}
	cmd_puts(c, "\n");
}

static void print_entry(struct cmd_ctx *c, const json_t *o)
{
	json_t *h;
	size_t i;

	cmd_printf(c,
		   "Routing entry for %s\n  Known via \"%s\", distance %" JSON_INTEGER_FORMAT
		   ", metric %" JSON_INTEGER_FORMAT "\n",
		   str(o, "prefix"), str(o, "protocol"),
		   json_integer_value(json_object_get(o, "distance")),
		   json_integer_value(json_object_get(o, "metric")));
	if (json_object_get(o, "tag"))
		cmd_printf(c, "  Tag %" JSON_INTEGER_FORMAT "\n",
			   json_integer_value(json_object_get(o, "tag")));
	if (*str(o, "name"))
		cmd_printf(c, "  Name %s\n", str(o, "name"));
	cmd_puts(c, "  Routing Descriptor Blocks:\n");
	if (!json_array_size(json_object_get(o, "nexthops")))
		cmd_printf(c, "  * %s\n", str(o, "type"));
	json_array_foreach(json_object_get(o, "nexthops"), i, h) {
		cmd_puts(c, "  * ");
		print_hop(c, h);
		cmd_puts(c, "\n");
	}
}

/* ---- the dump ---- */

static struct nl_msg *dump_request(int family, uint32_t table)
{
	struct rtmsg r = { .rtm_family = (unsigned char)family };
	struct nl_msg *m = rtmsg_new(RTM_GETROUTE, 0, &r, sizeof(r), RTMSG_SIZE);

	rtmsg_u32(m, RTA_TABLE, table);
	return m;
}

static bool wanted(const struct listing *l, const struct rtr_prefix *dst, int code,
		   const struct rtmsg *r)
{
	if (l->f.code && l->f.code != code)
		return false;
	/* The end of a VRF's table. */
	if (l->table && r->rtm_type == RTN_UNREACHABLE && !dst->len && code == 'S')
		return false;
	/* Multicast, broadcast and the loopback's own are the kernel's business. */
	if (r->rtm_type == RTN_BROADCAST || r->rtm_type == RTN_MULTICAST ||
	    r->rtm_type == RTN_ANYCAST || (r->rtm_flags & RTM_F_CLONED) ||
	    rtr_addr_is_multicast(&dst->addr) || (rtr_addr_is_loopback(&dst->addr)))
		return false;
	if (!l->f.has_prefix)
		return true;
	if (l->f.longer)
		return dst->len >= l->f.prefix.len && rtr_prefix_contains(&l->f.prefix, &dst->addr);
	return l->entry ? rtr_prefix_contains(dst, &l->f.prefix.addr) && dst->len <= l->f.prefix.len
			: !rtr_prefix_cmp(dst, &l->f.prefix);
}

static void emit(struct cmd_ctx *c, struct listing *l, json_t *o)
{
	char *text;

	if (l->json) {
		text = json_dumps(o, JSON_COMPACT);
		cmd_printf(c, "%s\n  %s", l->any ? "," : "[", text);
		free(text);
	} else {
		print_route(c, o);
	}
	l->any = true;
}

/* The kernel's metric again: fe80::/64 stands there once an interface, all of one rank. */
static json_int_t rank_of(const json_t *o)
{
	return json_integer_value(json_object_get(o, "distance")) << 24 |
	       json_integer_value(json_object_get(o, "metric"));
}

static int by_address(const void *a, const void *b)
{
	const struct own *x = a, *y = b;

	return rtr_addr_cmp(&x->dst.addr, &y->dst.addr);
}

static void keep_own(struct listing *l, const struct rtr_prefix *dst, json_t *o)
{
	if (l->n_own == l->own_room) {
		l->own_room = MAX(2 * l->own_room, (size_t)64);
		l->own = xrealloc(l->own, l->own_room * sizeof(*l->own));
	}
	l->own[l->n_own++] = (struct own){ *dst, json_incref(o) };
}

/* As on IOS the box's address stands behind the network that it is in. NULL: all the rest. Of IPv6
 * the kernel's last route is that to everywhere. */
static void emit_own(struct cmd_ctx *c, struct listing *l, const struct rtr_prefix *before)
{
	for (; l->own_at < l->n_own; l->own_at++) {
		struct own *o = &l->own[l->own_at];

		if (before && (before->addr.family == AF_INET || before->len) &&
		    rtr_addr_cmp(&o->dst.addr, &before->addr) >= 0)
			return;
		json_object_set_new(o->route, "best", json_true());
		emit(c, l, o->route);
	}
}

static void take_route(void *arg, const struct nlmsghdr *h)
{
	struct cmd_ctx *c = arg;
	struct listing *l = cmd_data(c);
	struct rtr_prefix dst;
	int code;
	json_t *o = route_json(h, &dst, &code);

	if (!o)
		return;
	if (wanted(l, &dst, code, NLMSG_DATA(h))) {
		l->count[code]++;
		if (l->entry && (!l->best || dst.len > l->best_len)) {
			json_decref(l->best);
			l->best = json_incref(o);
			l->best_len = dst.len;
		} else if (l->local && !l->summary && !l->entry) {
			keep_own(l, &dst, o);
		} else if (!l->summary && !l->entry) {
			/* The kernel lists the best of a prefix first; a floating static that waits
			 * is told by JSON only, as IOS keeps it out of the table. */
			bool best = rtr_prefix_cmp(&l->last, &dst) || rank_of(o) == l->last_rank;

			emit_own(c, l, &dst);
			json_object_set_new(o, "best", json_boolean(best));
			if (best || l->json)
				emit(c, l, o);
			if (best) {
				l->last = dst;
				l->last_rank = rank_of(o);
			}
		}
	}
	json_decref(o);
}

static void finish_summary(struct cmd_ctx *c, struct listing *l)
{
	static const char order[] = "CSBOiRKL";
	unsigned long total = 0;
	json_t *o = json_object();
	char *text;

	for (const char *k = order; *k; k++) {
		total += l->count[(int)*k];
		json_object_set_new(o, code_name(*k), json_integer((json_int_t)l->count[(int)*k]));
	}
	json_object_set_new(o, "total", json_integer((json_int_t)total));
	if (l->json) {
		text = json_dumps(o, JSON_INDENT(2));
		cmd_printf(c, "%s\n", text);
		free(text);
	} else {
		cmd_puts(c, "Route Source    Networks\n");
		for (const char *k = order; *k; k++)
			cmd_printf(c, "%-15s %lu\n", code_name(*k), l->count[(int)*k]);
		cmd_printf(c, "%-15s %lu\n", "Total", total);
	}
	json_decref(o);
}

/* Tag and name are the operator's; the kernel does not hold them. */
static void add_line(struct listing *l)
{
	const struct sch_type *t = l->f.family == AF_INET ? &ip_route_type : &ipv6_route_type;
	const struct recvec *v = rec_kids(txn_running(), t);
	struct rtr_prefix dst;

	if (strcmp(str(l->best, "protocol"), "static") ||
	    rtr_prefix_parse(str(l->best, "prefix"), l->f.family, &dst))
		return;
	for (size_t i = 0; i < v->len; i++) {
		const struct static_route *r = (const void *)v->v[i];
		int distance = SCH_HAS(r, distance) ? r->distance : ROUTE_DISTANCE_DEFAULT;

		if (rtr_prefix_cmp(&r->dst, &dst) ||
		    distance != json_integer_value(json_object_get(l->best, "distance")))
			continue;
		if (SCH_HAS(r, tag))
			json_object_set_new(l->best, "tag", json_integer(r->tag));
		if (r->name)
			json_object_set_new(l->best, "name", json_string(r->name));
	}
}

static void print_idle(struct cmd_ctx *c, int family)
{
	size_t n = route_static_idle(txn_running(), (uint8_t)family);

	if (n)
		cmd_printf(c, "\n%zu static line%s not in use: show %s static route\n", n,
			   n == 1 ? " is" : "s are", family == AF_INET ? "ip" : "ipv6");
}

static void finish(struct cmd_ctx *c, struct listing *l)
{
	emit_own(c, l, NULL);
	if (l->entry && l->best)
		add_line(l);
	if (l->summary) {
		finish_summary(c, l);
	} else if (l->entry && l->best) {
		char *text = l->json ? json_dumps(l->best, JSON_INDENT(2)) : NULL;

		if (text)
			cmd_printf(c, "%s\n", text);
		else
			print_entry(c, l->best);
		free(text);
	} else if (l->entry) {
		cmd_fail(c, "Network not in table");
	} else if (l->json) {
		cmd_puts(c, l->any ? "\n]\n" : "[]\n");
	} else if (l->f.code == 'S' && !l->table) {
		print_idle(c, l->f.family);
	}
}

static void end(struct cmd_ctx *c)
{
	struct listing *l = cmd_data(c);

	kdump_free(l->dump);
	for (size_t i = 0; i < l->n_own; i++)
		json_decref(l->own[i].route);
	free(l->own);
	json_decref(l->best);
	free(l->gateway);
	free(l);
	cmd_done(c);
}

/* Goes on until the client does not keep up, or the end. */
static void go_on(struct cmd_ctx *c)
{
	struct listing *l = cmd_data(c);
	int r = 1;

	while (r > 0 && !cmd_congested(c)) {
		r = kdump_step(l->dump, take_route, c);
		if (r || !l->local)
			continue;
		l->local = false;
		qsort(l->own, l->n_own, sizeof(*l->own), by_address);
		kdump_free(l->dump);
		l->dump = kdump_start(dump_request(l->f.family, RT_TABLE_MAIN), &r);
		r = l->dump ? 1 : r;
	}
	if (r > 0)
		return; /* drained() comes back */
	if (r < 0)
		cmd_fail(c, "The kernel's routes cannot be read: %s", strerror(-r));
	else
		finish(c, l);
	end(c);
}

static void find_gateway(void *arg, const struct nlmsghdr *h)
{
	struct rtr_prefix dst;
	char **gateway = arg;
	int code;
	json_t *o = route_json(h, &dst, &code);
	const char *via = o ? str(json_array_get(json_object_get(o, "nexthops"), 0), "via") : "";

	if (o && !dst.len && *via && !*gateway)
		*gateway = xstrdup(via);
	json_decref(o);
}

static void print_head(struct cmd_ctx *c, struct listing *l)
{
	struct nl_msg *m;
	struct rtmsg r = { .rtm_family = AF_INET, .rtm_flags = RTM_F_FIB_MATCH, .rtm_dst_len = 32 };
	struct rtr_addr nowhere;
	struct strbuf err = STRBUF_INIT;

	cmd_puts(c, codes);
	if (l->f.family != AF_INET || l->table)
		return;
	/* Class E: nobody announces it, so only a default route holds it. */
	rtr_addr_parse("240.0.0.1", AF_INET, &nowhere);
	m = rtmsg_new(RTM_GETROUTE, 0, &r, sizeof(r), RTMSG_SIZE);
	rtmsg_addr(m, RTA_DST, &nowhere);
	kquery_one(m, find_gateway, &l->gateway, &err);
	if (l->gateway)
		cmd_printf(c, "Gateway of last resort is %s to network 0.0.0.0\n\n", l->gateway);
	else
		cmd_puts(c, "Gateway of last resort is not set\n\n");
	strbuf_fini(&err);
}

static void start(struct cmd_ctx *c, struct listing *l)
{
	int r = 0;

	l->json = cmd_json(c);
	cmd_set_data(c, l);
	cmd_pend(c);
	if (!l->json && !l->summary && !l->entry)
		print_head(c, l);
	/* The box's own addresses are few. */
	l->local = !l->table;
	l->dump = kdump_start(dump_request(l->f.family, l->table ? l->table : RT_TABLE_LOCAL), &r);
	if (!l->dump) {
		cmd_fail(c, "The kernel's routes cannot be read: %s", strerror(-r));
		end(c);
		return;
	}
	go_on(c);
}

/* False when a VRF was named that there is not. */
static bool read_vrf(struct cmd_ctx *c, uint32_t *ret_table, int *ret_ifindex)
{
	const struct shadow_link *l = NULL;
	char *name = NULL;

	*ret_table = 0;
	*ret_ifindex = 0;
	if (!cmd_get(c, "vrf", &name))
		return true;
	*ret_table = vrf_table(txn_running(), name);
	if (*ret_table)
		l = shadow_link_by_name(name);
	if (!l)
		cmd_fail(c, "There is no vrf %s", name);
	else
		*ret_ifindex = l->ifindex;
	free(name);
	return l;
}

static void show_route(struct cmd_ctx *c, int family)
{
	static const char by_choice[] = "CSBORiKL";
	struct listing *l;
	int what = cmd_choice(c, "what"), ifindex;
	uint32_t table;

	if (!read_vrf(c, &table, &ifindex))
		return;
	l = xcalloc(1, sizeof(*l));
	l->table = table;

	l->f.family = family;
	l->summary = cmd_flag(c, "summary");
	l->f.code = what >= 0 ? by_choice[what] : 0;
	if (cmd_get(c, "prefix", &l->f.prefix)) {
		l->f.has_prefix = true;
		l->f.longer = cmd_flag(c, "longer_prefixes");
		l->entry = !l->f.longer;
	} else if (cmd_get(c, "addr", &l->f.prefix.addr)) {
		l->f.has_prefix = l->entry = true;
		l->f.prefix.len = (uint8_t)rtr_family_bits((uint8_t)family);
	}
	start(c, l);
}

static void show_ip_route(struct cmd_ctx *c)
{
	show_route(c, AF_INET);
}

static void show_ipv6_route(struct cmd_ctx *c)
{
	show_route(c, AF_INET6);
}

static void stop(struct cmd_ctx *c)
{
	end(c);
}

/* ---- show ip route get ---- */

static void take_answer(void *arg, const struct nlmsghdr *h)
{
	struct rtr_prefix dst;
	int code;
	json_t **ret = arg;

	if (!*ret)
		*ret = route_json(h, &dst, &code);
}

static json_t *route_get(struct cmd_ctx *c)
{
	struct rtmsg r = { 0 };
	struct rtr_addr dst = { 0 }, src = { 0 };
	char ifname[IFNAMSIZ];
	uint32_t mark;
	struct strbuf err = STRBUF_INIT;
	const struct shadow_link *in = NULL;
	struct nl_msg *m;
	json_t *answer = NULL;
	uint32_t table;
	int e, vrf;

	if (!read_vrf(c, &table, &vrf))
		return NULL;
	cmd_get(c, "dst", &dst);
	if (cmd_get(c, "iif", ifname)) {
		in = iface_link(ifname);
		if (!in) {
			cmd_fail(c, "%s: there is no such interface", ifname);
			return NULL;
		}
	}
	r.rtm_family = dst.family;
	r.rtm_dst_len = (unsigned char)rtr_family_bits(dst.family);
	if (cmd_get(c, "src", &src))
		r.rtm_src_len = r.rtm_dst_len;
	m = rtmsg_new(RTM_GETROUTE, 0, &r, sizeof(r), RTMSG_SIZE);
	rtmsg_addr(m, RTA_DST, &dst);
	if (src.family)
		rtmsg_addr(m, RTA_SRC, &src);
	if (in)
		rtmsg_u32(m, RTA_IIF, (uint32_t)in->ifindex);
	else if (vrf)
		rtmsg_u32(m, RTA_OIF, (uint32_t)vrf);
	if (cmd_get(c, "mark", &mark))
		rtmsg_u32(m, RTA_MARK, mark);
	e = kquery_one(m, take_answer, &answer, &err);
	if (e)
		cmd_fail(c, "%s%s%s", strerror(-e), err.len ? ": " : "", strbuf_str(&err));
	strbuf_fini(&err);
	return answer;
}

static void print_get(struct cmd_ctx *c, const json_t *o)
{
	json_int_t table = json_integer_value(json_object_get(o, "table"));
	char number[24];
	const json_t *h = json_array_get(json_object_get(o, "nexthops"), 0);
	const char *prefix = str(o, "prefix");

	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, table);
	if (strcmp(str(o, "type"), "unicast"))
		cmd_printf(c, "%s ", str(o, "type"));
	cmd_printf(c, "%.*s", (int)strcspn(prefix, "/"), prefix);
	if (*str(h, "via"))
		cmd_printf(c, " via %s", str(h, "via"));
	if (*str(h, "interface"))
		cmd_printf(c, " interface %s", str(h, "interface"));
	if (*str(o, "source"))
		cmd_printf(c, " source %s", str(o, "source"));
	cmd_printf(c, " table %s\n",
		   table == RT_TABLE_MAIN    ? "main"
		   : table == RT_TABLE_LOCAL ? "local"
					     : number);
}

#define KINDS "{what:connected|static|bgp|ospf|rip|isis|kernel|local}"

static const struct cmd cmds[] = {
	{ "show ip route[ vrf <vrf:WORD>][ " KINDS "]", "IPv4 routes in the kernel",
	  .run = show_ip_route, .interrupt = stop, .drained = go_on },
	{ "show ip route[ vrf <vrf:WORD>] <prefix:PREFIX4>[ longer-prefixes]",
	  "One network, or all inside it", .run = show_ip_route, .interrupt = stop,
	  .drained = go_on },
	{ "show ip route[ vrf <vrf:WORD>] <addr:ADDR4>", "The route that holds an address",
	  .run = show_ip_route, .interrupt = stop, .drained = go_on },
	{ "show ip route[ vrf <vrf:WORD>][ summary]", "How many routes of each kind",
	  .run = show_ip_route, .interrupt = stop, .drained = go_on },
	{ "show ipv6 route[ vrf <vrf:WORD>][ " KINDS "]", "IPv6 routes in the kernel",
	  .run = show_ipv6_route, .interrupt = stop, .drained = go_on },
	{ "show ipv6 route[ vrf <vrf:WORD>] <prefix:PREFIX6>[ longer-prefixes]",
	  "One network, or all inside it", .run = show_ipv6_route, .interrupt = stop,
	  .drained = go_on },
	{ "show ipv6 route[ vrf <vrf:WORD>] <addr:ADDR6>", "The route that holds an address",
	  .run = show_ipv6_route, .interrupt = stop, .drained = go_on },
	{ "show ipv6 route[ vrf <vrf:WORD>][ summary]", "How many routes of each kind",
	  .run = show_ipv6_route, .interrupt = stop, .drained = go_on },
	{ "show ip route[ vrf <vrf:WORD>] get <dst:ADDR4>[ from <src:ADDR4>][ iif <iif:IFNAME>][ mark <mark:U32>]",
	  "Ask the kernel where a packet would go", .data = route_get, .text = print_get },
	{ "show ipv6 route[ vrf <vrf:WORD>] get <dst:ADDR6>[ from <src:ADDR6>][ iif <iif:IFNAME>][ mark <mark:U32>]",
	  "Ask the kernel where a packet would go", .data = route_get, .text = print_get },
};

static const struct sch_word words[] = {
	{ "route", "Routes" },
	{ "connected", "Connected networks" },
	{ "static", "Static routes" },
	{ "bgp", "Routes of BGP" },
	{ "ospf", "Routes of OSPF" },
	{ "rip", "Routes of RIP" },
	{ "isis", "Routes of IS-IS" },
	{ "local", "The box's own addresses" },
	{ "show ip route kernel", "Routes of the kernel and of other programs" },
	{ "show ipv6 route kernel", "Routes of the kernel and of other programs" },
	{ "summary", "How many of each kind" },
	{ "longer-prefixes", "And all networks inside it" },
	{ "get", "Ask the kernel where a packet would go" },
	{ "from", "Source address of the packet" },
	{ "iif", "Interface that it came in by" },
	{ "mark", "Its mark" },
};

static const struct domain route_show_domain = {
	.name = "route-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(route_show_domain);
