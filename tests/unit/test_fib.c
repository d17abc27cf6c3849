/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mirror fed by hand: messages in any order, twice, before or after what they depend on, cut
 * short. No kernel, no root. test_fib_kernel.c compares with the real one.
 */
#include "../lib/check_main.h"
#include "fib_ctl_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

static uint8_t buf[16384];
static struct fp_adj out[64];

static void adj_set(void *ctx, uint32_t i, const struct fp_adj *adj)
{
	out[i] = *adj;
}

static struct fibctl *ctl_new(fib_defer_fn *defer, fib_drain_fn *drain, void *ctx)
{
	struct fibctl_params p = {
		.n_adj = 64, .adj_set = adj_set, .defer = defer, .drain = drain, .defer_ctx = ctx
	};
	struct fibctl *c;

	ck_assert_int_eq(fibctl_new(&p, &c), 0);
	c->f.ready = 1;
	return c;
}

/* Decodes what lies in buf and applies it, as an event or as part of a dump. */
static int feed(struct fibctl *c, bool dump)
{
	struct nlmsghdr *h = (void *)buf;
	int rc = fib_msg_decode(h, &c->msg);

	if (!rc)
		fc_apply(c, &c->msg, dump);
	fc_routes_scan(c);
	while (fc_routes_scan_some(c, 100))
		;
	fc_touch_end(c);
	return rc;
}

static struct nlmsghdr *begin(uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h;

	memset(buf, 0, sizeof(buf));
	h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	return h;
}

static void put_ip(struct nlmsghdr *h, uint16_t type, const char *text)
{
	union fib_ip ip;
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	ck_assert_int_eq(inet_pton(family, text, ip.b), 1);
	mnl_attr_put(h, type, family == AF_INET ? 4 : 16, ip.b);
}

/* What a VLAN may have that keeps it with the kernel. */
static struct {
	uint16_t proto;
	bool qos, elsewhere;
	uint8_t mac;
	uint32_t master;
} odd_vlan;

/* A VLAN has its parent's MAC address. */
static void link_msg(struct fibctl *c, uint32_t i, unsigned flags, uint32_t parent, uint16_t vlan)
{
	struct nlmsghdr *h = begin(RTM_NEWLINK, 0);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	uint8_t mac[6] = { 2, 0, 0, 0, odd_vlan.mac, (uint8_t)(vlan ? parent : i) };
	char name[16];

	m->ifi_index = (int)i;
	m->ifi_type = ARPHRD_ETHER;
	m->ifi_flags = flags;
	snprintf(name, sizeof(name), "e%u", i);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_MTU, 1400 + i);
	mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
	if (odd_vlan.master)
		mnl_attr_put_u32(h, IFLA_MASTER, odd_vlan.master);
	if (vlan) {
		struct nlattr *info, *data;

		mnl_attr_put_u32(h, IFLA_LINK, parent);
		if (odd_vlan.elsewhere)
			mnl_attr_put_u32(h, IFLA_LINK_NETNSID, 0);
		info = mnl_attr_nest_start(h, IFLA_LINKINFO);
		mnl_attr_put_strz(h, IFLA_INFO_KIND, "vlan");
		data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
		mnl_attr_put_u16(h, IFLA_VLAN_ID, vlan);
		mnl_attr_put_u16(h, IFLA_VLAN_PROTOCOL, htons(odd_vlan.proto ?: 0x8100));
		if (odd_vlan.qos)
			mnl_attr_nest_end(h, mnl_attr_nest_start(h, IFLA_VLAN_EGRESS_QOS));
		mnl_attr_nest_end(h, data);
		mnl_attr_nest_end(h, info);
	}
	ck_assert_int_eq(feed(c, false), 0);
}

static void forwarding(struct fibctl *c, uint8_t family, int ifindex)
{
	struct nlmsghdr *h = begin(RTM_NEWNETCONF, 0);
	struct netconfmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ncm_family = family;
	mnl_attr_put_u32(h, NETCONFA_IFINDEX, (uint32_t)ifindex);
	mnl_attr_put_u32(h, NETCONFA_FORWARDING, 1);
	ck_assert_int_eq(feed(c, false), 0);
}

#define UP (IFF_UP | IFF_RUNNING | IFF_LOWER_UP)

/* Three links with ports, the rules that every kernel starts with. */
static struct fibctl *world_of(struct fibctl *c)
{

	for (uint32_t i = 1; i <= 3; i++) {
		fibctl_port(c, i, i + 10);
		link_msg(c, i, UP, 0, 0);
		forwarding(c, AF_INET, (int)i);
	}
	forwarding(c, AF_INET6, NETCONFA_IFINDEX_ALL);
	for (unsigned fam = 0; fam < 2; fam++) {
		uint8_t family = fam ? AF_INET6 : AF_INET;

		fc_rules_begin(c, fam);
		fc_rule_add(c, &(struct fib_msg_rule){ .family = family,
						       .table = RT_TABLE_LOCAL,
						       .action = FR_ACT_TO_TBL });
		fc_rule_add(c, &(struct fib_msg_rule){ .family = family,
						       .pref = 32766,
						       .table = RT_TABLE_MAIN,
						       .action = FR_ACT_TO_TBL });
		fc_rules_publish(c, fam);
	}
	fc_touch_end(c);
	return c;
}

static struct fibctl *world(void)
{
	return world_of(ctl_new(NULL, NULL, NULL));
}

struct hop {
	const char *gw;
	uint32_t oif;
	uint8_t weight;
};

/* Of the routes that follow; 0: table main, unicast. */
static struct {
	uint32_t table;
	uint8_t type;
} odd_route;

/* A route to what "10.0.0.0/8" says; hops end with oif 0. */
static int route_feed(struct fibctl *c, uint16_t type, uint16_t flags, bool dump,
		      const char *prefix, const struct hop *hop)
{
	uint8_t family = strchr(prefix, ':') ? AF_INET6 : AF_INET;
	struct nlmsghdr *h = begin(type, flags);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	char addr[64];
	const char *slash = strchr(prefix, '/');

	snprintf(addr, sizeof(addr), "%.*s", (int)(slash - prefix), prefix);
	m->rtm_family = family;
	m->rtm_dst_len = (uint8_t)atoi(slash + 1);
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_type = odd_route.type ?: RTN_UNICAST;
	m->rtm_protocol = RTPROT_STATIC;
	put_ip(h, RTA_DST, addr);
	if (odd_route.table)
		mnl_attr_put_u32(h, RTA_TABLE, odd_route.table);
	mnl_attr_put_u32(h, RTA_PRIORITY, 20);
	if (hop[1].oif) {
		struct nlattr *multi = mnl_attr_nest_start(h, RTA_MULTIPATH);

		for (; hop->oif; hop++) {
			struct rtnexthop *nh = mnl_nlmsg_get_payload_tail(h);

			*nh = (struct rtnexthop){ .rtnh_ifindex = (int)hop->oif,
						  .rtnh_hops = hop->weight };
			h->nlmsg_len += sizeof(*nh);
			put_ip(h, RTA_GATEWAY, hop->gw);
			nh->rtnh_len = (uint16_t)((uint8_t *)mnl_nlmsg_get_payload_tail(h) -
						  (uint8_t *)nh);
		}
		mnl_attr_nest_end(h, multi);
	} else {
		if (hop->oif)
			mnl_attr_put_u32(h, RTA_OIF, hop->oif);
		if (hop->gw)
			put_ip(h, RTA_GATEWAY, hop->gw);
	}
	return feed(c, dump);
}

#define HOPS(...)                                                                                  \
	(const struct hop[])                                                                       \
	{                                                                                          \
		__VA_ARGS__, { 0 },                                                                \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}
#define route(c, p, ...)                                                                           \
	ck_assert_int_eq(route_feed(c, RTM_NEWROUTE, 0, false, p, HOPS(__VA_ARGS__)), 0)
#define route_del(c, p, ...)                                                                       \
	ck_assert_int_eq(route_feed(c, RTM_DELROUTE, 0, false, p, HOPS(__VA_ARGS__)), 0)

static void neigh(struct fibctl *c, uint16_t type, const char *ip, uint32_t oif, uint16_t state,
		  uint8_t mac)
{
	struct nlmsghdr *h = begin(type, 0);
	struct ndmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ndm_family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	m->ndm_ifindex = (int)oif;
	m->ndm_state = state;
	put_ip(h, NDA_DST, ip);
	if (mac)
		mnl_attr_put(h, NDA_LLADDR, 6, (uint8_t[]){ 2, 9, 9, 9, 9, mac });
	ck_assert_int_eq(feed(c, false), 0);
}

static struct fib_res look(const struct fibctl *c, const char *dst, uint32_t hash)
{
	struct fib_key k = { .iif = 1, .hash = hash, .src = { .b = { 9, 9, 9, 9 } } };
	struct fib_res r;

	k.family = strchr(dst, ':') ? AF_INET6 : AF_INET;
	inet_pton(k.family, dst, k.dst.b);
	fib_lookup(fibctl_fib(c), &k, &r);
	return r;
}

START_TEST(any_order)
{
	struct fibctl *c = world();
	struct fib_res r;

	/* Deleted before it was added; added twice; deleted twice. */
	route_del(c, "20.0.0.0/8", { "10.0.0.2", 2, 0 });
	route(c, "20.0.0.0/8", { "10.0.0.2", 2, 0 });
	route(c, "20.0.0.0/8", { "10.0.0.2", 2, 0 });
	ck_assert_uint_eq(c->st.n_routes[0], 1);
	r = look(c, "20.1.1.1", 0);
	ck_assert_uint_eq(r.verdict, FIB_V_FORWARD);
	ck_assert_uint_eq(r.oif, 2);
	route_del(c, "20.0.0.0/8", { "10.0.0.2", 2, 0 });
	route_del(c, "20.0.0.0/8", { "10.0.0.2", 2, 0 });
	ck_assert_uint_eq(look(c, "20.1.1.1", 0).verdict, FIB_V_NO_ROUTE);
	ck_assert_uint_eq(c->st.n_routes[0], 0);
	/* A route by a link that comes later, and a neighbour that was there before both. */
	neigh(c, RTM_NEWNEIGH, "10.0.0.9", 7, NUD_REACHABLE, 9);
	route(c, "30.0.0.0/8", { "10.0.0.9", 7, 0 });
	ck_assert_uint_eq(look(c, "30.0.0.1", 0).verdict, FIB_V_NO_ROUTE);
	fibctl_port(c, 7, 17);
	link_msg(c, 7, UP, 0, 0);
	r = look(c, "30.0.0.1", 0);
	ck_assert_uint_eq(r.verdict, FIB_V_FORWARD);
	ck_assert_uint_eq(r.adj_state, FIB_ADJ_RESOLVED);
	ck_assert_uint_eq(out[r.adj].port, 17);
	ck_assert_uint_eq(out[r.adj].hdr[5], 9);
	/* Without a port it is the kernel's, and nothing leads there. */
	fibctl_port(c, 7, FIB_NO_SLOT);
	ck_assert_uint_eq(look(c, "30.0.0.1", 0).reason, ELIG_NO_PORT);
	ck_assert_uint_eq(out[r.adj].len, 0);
	fibctl_free(c);
}
END_TEST

/* What an event said since a dump began counts more than the dump. */
START_TEST(dump_and_events)
{
	struct fibctl *c = world();

	route(c, "20.0.0.0/8", { "10.0.0.2", 2, 0 });
	c->epoch++;
	/* Seen by the dump, and by an event later: not swept. Seen by neither: gone. */
	route(c, "21.0.0.0/8", { "10.0.0.2", 2, 0 });
	route_feed(c, RTM_NEWROUTE, 0, true, "22.0.0.0/8", HOPS({ "10.0.0.2", 2, 0 }));
	fc_routes_swept(c, 0, 0);
	while (fc_routes_scan_some(c, 100))
		;
	ck_assert_uint_eq(look(c, "20.0.0.1", 0).verdict, FIB_V_NO_ROUTE);
	ck_assert_uint_eq(look(c, "21.0.0.1", 0).verdict, FIB_V_FORWARD);
	ck_assert_uint_eq(look(c, "22.0.0.1", 0).verdict, FIB_V_FORWARD);
	/* A sweep by interface leaves others alone. */
	route(c, "23.0.0.0/8", { "10.0.0.3", 3, 0 });
	c->epoch++;
	fc_routes_swept(c, 0, 3);
	while (fc_routes_scan_some(c, 100))
		;
	ck_assert_uint_eq(look(c, "23.0.0.1", 0).verdict, FIB_V_NO_ROUTE);
	ck_assert_uint_eq(look(c, "21.0.0.1", 0).verdict, FIB_V_FORWARD);
	fibctl_free(c);
}
END_TEST

START_TEST(tombstones)
{
	struct fibctl *c = ctl_new(NULL, NULL, NULL);

	for (uint64_t i = 1; i < 5000; i++)
		fc_tomb_add(c, i * 0x9e3779b97f4a7c15ull);
	for (uint64_t i = 1; i < 5000; i++)
		ck_assert(fc_tomb_has(c, i * 0x9e3779b97f4a7c15ull));
	ck_assert(!fc_tomb_has(c, 12345));
	fc_tomb_clear(c);
	ck_assert(!fc_tomb_has(c, 0x9e3779b97f4a7c15ull));
	fibctl_free(c);
}
END_TEST

#define N_HASH 20000u

static void shares(const struct fibctl *c, const char *dst, uint32_t *ret_oif, unsigned n[4])
{
	memset(n, 0, 4 * sizeof(*n));
	for (uint32_t h = 0; h < N_HASH; h++) {
		struct fib_res r = look(c, dst, h * 2654435761u);

		ck_assert_uint_eq(r.verdict, FIB_V_FORWARD);
		ret_oif[h] = r.oif;
		n[r.oif]++;
	}
}

/* By weight; a hop that dies moves its own flows and no others; back again they all return. */
START_TEST(multipath)
{
	static uint32_t before[N_HASH], after[N_HASH];
	struct fibctl *c = world();
	unsigned n[4];
	const char *dst = _i ? "2001::5" : "20.0.0.5", *p = _i ? "2001::/16" : "20.0.0.0/8";
	const char *gw = _i ? "fd00::2" : "10.0.0.2";

	route(c, p, { gw, 1, 0 }, { gw, 2, 0 }, { gw, 3, 1 });
	shares(c, dst, before, n);
	ck_assert_int_le(abs((int)n[1] - (int)N_HASH / 4), (int)N_HASH / 20);
	ck_assert_int_le(abs((int)n[2] - (int)N_HASH / 4), (int)N_HASH / 20);
	ck_assert_int_le(abs((int)n[3] - (int)N_HASH / 2), (int)N_HASH / 20);
	link_msg(c, 2, IFF_UP, 0, 0);
	shares(c, dst, after, n);
	ck_assert_uint_eq(n[2], 0);
	for (uint32_t h = 0; h < N_HASH; h++)
		ck_assert(before[h] == 2 || before[h] == after[h]);
	link_msg(c, 2, UP, 0, 0);
	shares(c, dst, after, n);
	ck_assert_mem_eq(before, after, sizeof(before));
	/* A neighbour that does not answer is avoided while another does. */
	neigh(c, RTM_NEWNEIGH, gw, 3, NUD_FAILED, 0);
	shares(c, dst, after, n);
	ck_assert_uint_eq(n[3], 0);
	neigh(c, RTM_NEWNEIGH, gw, 3, NUD_REACHABLE, 7);
	/* Withdrawn by the routing daemon: the same as dead. */
	ck_assert_int_eq(route_feed(c, RTM_NEWROUTE, NLM_F_REPLACE, false, p,
				    HOPS({ gw, 1, 0 }, { gw, 3, 1 })),
			 0);
	shares(c, dst, after, n);
	for (uint32_t h = 0; h < N_HASH; h++)
		ck_assert(before[h] == 2 || before[h] == after[h]);
	ck_assert_uint_eq(c->st.n_routes[_i], 1);
	fibctl_free(c);
}
END_TEST

/* IPv6 tells of the whole set when a hop joins, and of one hop when it leaves. */
START_TEST(siblings6)
{
	struct fibctl *c = world();

	route(c, "2001::/16", { "fd00::2", 1, 0 });
	route(c, "2001::/16", { "fd00::2", 1, 0 }, { "fd00::2", 2, 0 });
	ck_assert_uint_eq(c->st.n_routes[1], 1);
	route_del(c, "2001::/16", { "fd00::2", 1, 0 });
	ck_assert_uint_eq(look(c, "2001::1", 5).oif, 2);
	route_del(c, "2001::/16", { "fd00::2", 3, 0 });
	ck_assert_uint_eq(look(c, "2001::1", 5).oif, 2);
	route_del(c, "2001::/16", { "fd00::2", 2, 0 });
	ck_assert_uint_eq(look(c, "2001::1", 5).verdict, FIB_V_NO_ROUTE);
	/* Connected ones of two links are two routes: the kernel picks. */
	route(c, "fc00::/64", { NULL, 1, 0 });
	route(c, "fc00::/64", { NULL, 2, 0 });
	ck_assert_uint_eq(look(c, "fc00::1", 0).reason, ELIG_ROUTE_TIE);
	route_del(c, "fc00::/64", { NULL, 1, 0 });
	ck_assert_uint_eq(look(c, "fc00::1", 0).oif, 2);
	fibctl_free(c);
}
END_TEST

START_TEST(vlan_header)
{
	static const uint8_t hdr[] = { 2, 9, 9, 9, 9, 4, 2, 0, 0, 0, 0, 3, 0x81, 0, 0, 100 };
	struct fibctl *c = world();
	struct fib_res r;

	link_msg(c, 9, UP, 3, 100);
	forwarding(c, AF_INET, 9);
	route(c, "20.0.0.0/8", { "10.9.0.2", 9, 0 });
	neigh(c, RTM_NEWNEIGH, "10.9.0.2", 9, NUD_REACHABLE, 4);
	/* Its parent has a port; that it is on the fast plane itself is told. */
	r = look(c, "20.0.0.1", 0);
	ck_assert_uint_eq(r.reason, ELIG_NO_PORT);
	fibctl_port(c, 9, 14);
	r = look(c, "20.0.0.1", 0);
	ck_assert_uint_eq(r.adj_state, FIB_ADJ_RESOLVED);
	ck_assert_uint_eq(out[r.adj].len, 18);
	ck_assert_uint_eq(out[r.adj].port, 14);
	ck_assert_uint_eq(out[r.adj].mtu, 1409);
	ck_assert_mem_eq(out[r.adj].hdr, hdr, sizeof(hdr));
	/* The parent loses its carrier. */
	link_msg(c, 3, IFF_UP, 0, 0);
	ck_assert_uint_eq(out[r.adj].len, 0);
	fibctl_free(c);
}
END_TEST

/* A VLAN that the fast plane cannot do exactly as the kernel, and one whose parent it does not
 * know, are the kernel's; what is against a parent is against its VLANs. */
START_TEST(odd_vlans)
{
	struct fibctl *c = world();
	const struct fib *f = fibctl_fib(c);

	link_msg(c, 9, UP, 3, 100);
	ck_assert_uint_eq(fib_link(f, 9)->reason, ELIG_OK);
	ck_assert_uint_eq(fib_link(f, 9)->vlan, 100);
	ck_assert_uint_eq(fib_link(f, 9)->parent, 3);
	odd_vlan.proto = 0x88a8;
	link_msg(c, 9, UP, 3, 100);
	ck_assert_uint_eq(fib_link(f, 9)->reason, ELIG_VLAN_TAGS);
	odd_vlan.proto = 0;
	odd_vlan.qos = true;
	link_msg(c, 9, UP, 3, 100);
	ck_assert_uint_eq(fib_link(f, 9)->reason, ELIG_VLAN_QOS);
	odd_vlan.qos = false;
	odd_vlan.mac = 1;
	link_msg(c, 9, UP, 3, 100);
	ck_assert_uint_eq(fib_link(f, 9)->reason, ELIG_VLAN_MAC);
	odd_vlan.mac = 0;
	odd_vlan.elsewhere = true;
	link_msg(c, 9, UP, 3, 100);
	ck_assert_uint_eq(fib_link(f, 9)->reason, ELIG_NO_LINK);
	odd_vlan.elsewhere = false;
	link_msg(c, 9, UP, 3, 100);
	ck_assert_uint_eq(fib_link(f, 9)->reason, ELIG_OK);
	link_msg(c, 8, UP, 9, 7);
	ck_assert_uint_eq(fib_link(f, 8)->reason, ELIG_VLAN_TAGS);
	/* Its parent becomes the port of a bridge. */
	odd_vlan.master = 77;
	link_msg(c, 3, UP, 0, 0);
	odd_vlan.master = 0;
	ck_assert_uint_eq(fib_link(f, 9)->reason, ELIG_LINK_MASTER);
	fibctl_free(c);
}
END_TEST

/* --- VRFs --- */

enum { RED = 50, BLUE = 60, RED_TABLE = 1001, BLUE_TABLE = 70000 };

static void vrf_msg(struct fibctl *c, uint32_t i, unsigned flags, uint32_t table)
{
	struct nlmsghdr *h = begin(RTM_NEWLINK, 0);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	struct nlattr *info, *data;
	char name[16];

	m->ifi_index = (int)i;
	m->ifi_type = ARPHRD_ETHER;
	m->ifi_flags = flags;
	snprintf(name, sizeof(name), "e%u", i);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_MTU, 1500);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "vrf");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	mnl_attr_put_u32(h, IFLA_VRF_TABLE, table);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	ck_assert_int_eq(feed(c, false), 0);
}

static void enslave(struct fibctl *c, uint32_t i, uint32_t master)
{
	odd_vlan.master = master;
	link_msg(c, i, UP, 0, 0);
	odd_vlan.master = 0;
}

/* What every kernel has as soon as it has a VRF; extra: one more rule in front, or none. */
static void vrf_rules(struct fibctl *c, const struct fib_msg_rule *extra)
{
	for (unsigned fam = 0; fam < 2; fam++) {
		struct fib_msg_rule r = { .family = fam ? AF_INET6 : AF_INET,
					  .table = RT_TABLE_LOCAL,
					  .action = FR_ACT_TO_TBL };

		fc_rules_begin(c, fam);
		fc_rule_add(c, &r);
		if (extra && extra->family == r.family)
			fc_rule_add(c, extra);
		r = (struct fib_msg_rule){
			.family = r.family, .pref = 1000, .l3mdev = 1, .action = FR_ACT_TO_TBL
		};
		fc_rule_add(c, &r);
		r = (struct fib_msg_rule){ .family = r.family,
					   .pref = 32766,
					   .table = RT_TABLE_MAIN,
					   .action = FR_ACT_TO_TBL };
		fc_rule_add(c, &r);
		fc_rules_publish(c, fam);
	}
	fc_touch_end(c);
}

/* Links 1 to 3 in no VRF, 4 and 5 in RED, 6 and 7 in BLUE. */
static struct fibctl *vrf_world(void)
{
	struct fibctl *c = world();

	/* Members are told of before their VRF is, or behind it. */
	for (uint32_t i = 4; i <= 7; i++) {
		fibctl_port(c, i, i + 10);
		forwarding(c, AF_INET, (int)i);
		if (i == 6) {
			vrf_msg(c, BLUE, UP, BLUE_TABLE);
			vrf_msg(c, RED, UP, RED_TABLE);
		}
		enslave(c, i, i < 6 ? RED : BLUE);
	}
	vrf_rules(c, NULL);
	return c;
}

static void table(uint32_t id)
{
	odd_route.table = id;
}

static struct fib_res look_from(const struct fibctl *c, uint32_t iif, const char *dst)
{
	struct fib_key k = { .iif = iif, .src = { .b = { 9, 9, 9, 9 } } };
	struct fib_res r;

	k.family = strchr(dst, ':') ? AF_INET6 : AF_INET;
	inet_pton(k.family, dst, k.dst.b);
	fib_lookup(fibctl_fib(c), &k, &r);
	return r;
}

/* The same prefixes everywhere, each leads where its VRF says. */
START_TEST(vrf_tables)
{
	const union fib_ip dst = { .b = { 20, 0, 0, 9 } };
	struct fibctl *c = vrf_world();
	struct fib_res red, blue;
	uint32_t seq;

	route(c, "20.0.0.0/8", { "10.0.0.2", 2, 0 });
	route(c, "2001:db8::/32", { "fc00::2", 2, 0 });
	route(c, "30.0.0.0/8", { "10.0.0.2", 3, 0 });
	table(RED_TABLE);
	route(c, "20.0.0.0/8", { "10.0.0.2", 5, 0 });
	route(c, "2001:db8::/32", { "fc00::2", 5, 0 });
	table(BLUE_TABLE);
	route(c, "20.0.0.0/8", { "10.0.0.2", 7, 0 });
	route(c, "2001:db8::/32", { "fc00::2", 7, 0 });
	table(0);
	for (unsigned k = 0; k < 2; k++) {
		const char *to = k ? "2001:db8::9" : "20.0.0.9";

		ck_assert_uint_eq(look_from(c, 1, to).oif, 2);
		ck_assert_uint_eq(look_from(c, 4, to).oif, 5);
		ck_assert_uint_eq(look_from(c, 6, to).oif, 7);
	}
	/* A neighbour is its interface's. */
	neigh(c, RTM_NEWNEIGH, "10.0.0.2", 5, NUD_REACHABLE, 4);
	neigh(c, RTM_NEWNEIGH, "10.0.0.2", 7, NUD_REACHABLE, 5);
	red = look_from(c, 4, "20.0.0.9");
	blue = look_from(c, 6, "20.0.0.9");
	ck_assert_uint_ne(red.adj, blue.adj);
	ck_assert_uint_eq(out[red.adj].hdr[5], 4);
	ck_assert_uint_eq(out[blue.adj].hdr[5], 5);
	/* What its table does not know goes on to the next rule; that rtr's tables end is a route.
	 */
	ck_assert_uint_eq(look_from(c, 4, "30.0.0.1").oif, 3);
	table(RED_TABLE);
	odd_route.type = RTN_UNREACHABLE;
	route(c, "0.0.0.0/0", { NULL, 0, 0 });
	ck_assert_uint_eq(look_from(c, 4, "30.0.0.1").verdict, FIB_V_UNREACHABLE);
	ck_assert_uint_eq(look_from(c, 6, "30.0.0.1").oif, 3);
	/* An address of the box is one in its VRF. */
	odd_route.type = RTN_LOCAL;
	route(c, "20.0.0.9/32", { NULL, 5, 0 });
	odd_route.type = 0;
	table(0);
	ck_assert_uint_eq(look_from(c, 4, "20.0.0.9").verdict, FIB_V_LOCAL);
	ck_assert_uint_eq(look_from(c, 6, "20.0.0.9").oif, 7);
	ck_assert_uint_eq(look_from(c, 1, "20.0.0.9").oif, 2);
	/* It moves: all ways are to be looked up again. */
	seq = fib_seq(fibctl_fib(c));
	enslave(c, 4, BLUE);
	ck_assert(fib_touched(fibctl_fib(c), AF_INET, &dst, seq));
	ck_assert_uint_eq(look_from(c, 4, "20.0.0.9").oif, 7);
	enslave(c, 4, 0);
	ck_assert_uint_eq(look_from(c, 4, "20.0.0.9").oif, 2);
	fibctl_free(c);
}
END_TEST

/* From VRF to VRF: by a member, and by the VRF's own device, which the kernel does alone. */
START_TEST(vrf_leaks)
{
	struct fibctl *c = vrf_world();
	const struct fib *f = fibctl_fib(c);

	table(RED_TABLE);
	route(c, "40.0.0.0/8", { "10.0.0.2", 7, 0 });
	route(c, "50.0.0.0/8", { "10.0.0.2", 2, 0 });
	route(c, "60.0.0.0/8", { NULL, BLUE, 0 });
	table(0);
	route(c, "70.0.0.0/8", { "10.0.0.2", 5, 0 });
	ck_assert_uint_eq(look_from(c, 4, "40.0.0.1").oif, 7);
	ck_assert_uint_eq(look_from(c, 4, "50.0.0.1").oif, 2);
	ck_assert_uint_eq(look_from(c, 1, "70.0.0.1").oif, 5);
	ck_assert_uint_eq(look_from(c, 4, "60.0.0.1").reason, ELIG_ROUTE_VRF);
	/* Nobody can tell what the kernel does in one whose device is down, or that is none. */
	vrf_msg(c, RED, 0, RED_TABLE);
	ck_assert_uint_eq(fib_link(f, 4)->reason, ELIG_VRF_DOWN);
	ck_assert_uint_eq(look_from(c, 4, "40.0.0.1").reason, ELIG_VRF_DOWN);
	vrf_msg(c, RED, UP, RED_TABLE);
	ck_assert_uint_eq(look_from(c, 4, "40.0.0.1").oif, 7);
	enslave(c, 4, 77);
	ck_assert_uint_eq(look_from(c, 4, "40.0.0.1").reason, ELIG_LINK_MASTER);
	fibctl_free(c);
}
END_TEST

/* A rule that asks for the ingress may mean the member or the VRF. */
START_TEST(vrf_rule_iif)
{
	struct fibctl *c = vrf_world();
	struct fib_msg_rule r = {
		.family = AF_INET, .pref = 10, .action = FR_ACT_BLACKHOLE, .iif = "e50"
	};

	table(RED_TABLE);
	route(c, "20.0.0.0/8", { "10.0.0.2", 5, 0 });
	table(BLUE_TABLE);
	route(c, "20.0.0.0/8", { "10.0.0.2", 7, 0 });
	table(0);
	route(c, "20.0.0.0/8", { "10.0.0.2", 2, 0 });
	for (unsigned k = 0; k < 2; k++) {
		vrf_rules(c, &r);
		ck_assert_uint_eq(look_from(c, 4, "20.0.0.1").reason, ELIG_RULE);
		ck_assert_uint_eq(look_from(c, 6, "20.0.0.1").oif, 7);
		ck_assert_uint_eq(look_from(c, 1, "20.0.0.1").oif, 2);
		snprintf(r.iif, sizeof(r.iif), "e4");
	}
	fibctl_free(c);
}
END_TEST

/* A flow has one way, but its packets may have any type of service. */
START_TEST(rule_tos)
{
	struct fibctl *c = world();
	struct fib_msg_rule r = {
		.family = AF_INET, .pref = 10, .tos = 0x10, .action = FR_ACT_BLACKHOLE
	};

	route(c, "20.0.0.0/8", { "10.0.0.2", 2, 0 });
	route(c, "2001::/16", { "fd00::2", 2, 0 });
	vrf_rules(c, &r);
	ck_assert_uint_eq(look_from(c, 1, "20.0.0.1").reason, ELIG_RULE);
	ck_assert_uint_eq(look_from(c, 1, "2001::1").verdict, FIB_V_FORWARD);
	r.dst_len = 8;
	r.dst.b[0] = 21;
	vrf_rules(c, &r);
	ck_assert_uint_eq(look_from(c, 1, "20.0.0.1").verdict, FIB_V_FORWARD);
	fibctl_free(c);
}
END_TEST

static enum fib_rpf_verdict rpf(const struct fibctl *c, uint32_t iif, uint32_t oif, const char *src)
{
	struct fib_key k = { .iif = iif, .family = AF_INET, .dst = { .b = { 20, 0, 0, 1 } } };

	inet_pton(AF_INET, src, k.src.b);
	return fib_rpf(fibctl_fib(c), &k, oif, FIB_RPF_LOOSE);
}

/* The way back is looked up in the VRF that the packet came by, else in that which it leaves by. */
START_TEST(vrf_sources)
{
	struct fibctl *c = vrf_world();

	table(RED_TABLE);
	route(c, "10.4.0.0/16", { NULL, 4, 0 });
	odd_route.type = RTN_LOCAL;
	route(c, "10.4.0.1/32", { NULL, 4, 0 });
	odd_route.type = 0;
	table(0);
	route(c, "10.1.0.0/16", { NULL, 1, 0 });
	ck_assert_uint_eq(rpf(c, 4, 5, "10.4.0.9"), FIB_RPF_PASS);
	ck_assert_uint_eq(rpf(c, 4, 5, "10.4.0.1"), FIB_RPF_MARTIAN);
	ck_assert_uint_eq(rpf(c, 6, 7, "10.4.0.9"), FIB_RPF_FAIL);
	ck_assert_uint_eq(rpf(c, 6, 7, "10.4.0.1"), FIB_RPF_FAIL);
	/* Out of RED, and into it. */
	ck_assert_uint_eq(rpf(c, 4, 2, "10.4.0.9"), FIB_RPF_PASS);
	ck_assert_uint_eq(rpf(c, 6, 5, "10.4.0.9"), FIB_RPF_FAIL);
	ck_assert_uint_eq(rpf(c, 1, 5, "10.4.0.9"), FIB_RPF_PASS);
	ck_assert_uint_eq(rpf(c, 1, 2, "10.4.0.9"), FIB_RPF_FAIL);
	/* To the box itself there is no egress. */
	ck_assert_uint_eq(rpf(c, 4, 0, "10.4.0.9"), FIB_RPF_PASS);
	ck_assert_uint_eq(rpf(c, 1, 0, "10.1.0.9"), FIB_RPF_PASS);
	fibctl_free(c);
}
END_TEST

static void addr(struct fibctl *c, const char *ip, uint8_t len, uint32_t ifindex)
{
	struct nlmsghdr *h = begin(RTM_NEWADDR, 0);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ifa_family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	m->ifa_prefixlen = len;
	m->ifa_index = ifindex;
	put_ip(h, IFA_ADDRESS, ip);
	if (m->ifa_family == AF_INET)
		put_ip(h, IFA_LOCAL, ip);
	ck_assert_int_eq(feed(c, false), 0);
}

/* An error goes back in the VRF that the packet came by, from an address there. */
START_TEST(vrf_errors)
{
	struct fibctl *c = vrf_world();

	addr(c, "10.0.0.1", 24, 1);
	addr(c, "2001:db8::1", 64, 1);
	addr(c, "10.0.0.4", 24, 4);
	addr(c, "2001:db8::4", 64, 4);
	addr(c, "10.0.0.6", 24, 6);
	addr(c, "2001:db8::6", 64, 6);
	for (unsigned i = 0; i < 3; i++) {
		table(i == 0 ? 0 : i == 1 ? RED_TABLE : BLUE_TABLE);
		route(c, "10.0.0.0/24", { NULL, i == 0 ? 1 : i == 1 ? 4 : 6, 0 });
		route(c, "2001:db8::/64", { NULL, i == 0 ? 1 : i == 1 ? 4 : 6, 0 });
	}
	table(0);
	for (unsigned k = 0; k < 6; k++) {
		static const uint32_t iif[] = { 1, 4, 6 };
		bool v6 = k & 1;
		struct fib_key about = { .iif = iif[k / 2], .family = v6 ? AF_INET6 : AF_INET };
		union fib_ip src = { 0 };
		struct fib_res r;

		inet_pton(about.family, v6 ? "2001:db8::99" : "10.0.0.99", about.src.b);
		ck_assert(fib_icmp_way(fibctl_fib(c), &about, &src, &r));
		ck_assert_uint_eq(r.verdict, FIB_V_FORWARD);
		ck_assert_uint_eq(r.oif, about.iif);
		ck_assert_uint_eq(src.b[v6 ? 15 : 3], about.iif);
	}
	fibctl_free(c);
}
END_TEST

START_TEST(generations)
{
	struct fibctl *c = world();
	union fib_ip in = { .b = { 20, 1, 9, 9 } }, beside = { .b = { 20, 2, 9, 9 } };
	union fib_ip in6 = { .b = { 0x20, 1, 0, 5 } };
	const struct fib *f = fibctl_fib(c);
	uint32_t since = fib_seq(f);

	route(c, "20.1.2.0/24", { "10.0.0.2", 2, 0 });
	ck_assert(fib_touched(f, AF_INET, &in, since));
	ck_assert(!fib_touched(f, AF_INET, &beside, since));
	since = fib_seq(f);
	ck_assert(!fib_touched(f, AF_INET, &in, since));
	route(c, "20.0.0.0/14", { "10.0.0.2", 2, 0 });
	ck_assert(fib_touched(f, AF_INET, &in, since) && fib_touched(f, AF_INET, &beside, since));
	ck_assert(!fib_touched(f, AF_INET6, &in6, since));
	since = fib_seq(f);
	route(c, "2001:4::/30", { "fd00::2", 2, 0 });
	ck_assert(fib_touched(f, AF_INET6, &in6, since));
	since = fib_seq(f);
	route(c, "0.0.0.0/0", { "10.0.0.2", 2, 0 });
	ck_assert(fib_touched(f, AF_INET, &beside, since));
	fibctl_free(c);
}
END_TEST

/* Every message cut off anywhere, and with any byte changed: refused or taken, never read beyond.
 */
START_TEST(malformed)
{
	struct fibctl *c = world();
	uint64_t rng = test_seed;
	uint8_t good[2048];
	size_t n;

	route_feed(c, RTM_NEWROUTE, 0, false, "20.0.0.0/8",
		   HOPS({ "10.0.0.2", 1, 0 }, { "10.0.0.3", 2, 3 }));
	n = ((struct nlmsghdr *)buf)->nlmsg_len;
	memcpy(good, buf, n);
	for (size_t len = sizeof(struct nlmsghdr); len < n; len++) {
		/* At the end of an allocation, so that a sanitizer sees a byte too many. */
		struct nlmsghdr *h = malloc(len);

		memcpy(h, good, len);
		h->nlmsg_len = (uint32_t)len;
		if (len < sizeof(*h) + sizeof(struct rtmsg))
			ck_assert_int_eq(fib_msg_decode(h, &c->msg), -EINVAL);
		else
			fib_msg_decode(h, &c->msg);
		free(h);
	}
	for (unsigned i = 0; i < 20000; i++) {
		size_t at = sizeof(struct nlmsghdr) +
			    test_rand(&rng) % (n - sizeof(struct nlmsghdr));

		memcpy(buf, good, n);
		buf[at] = (uint8_t)test_rand(&rng);
		feed(c, test_rand(&rng) & 1);
	}
	/* What it grew to is still whole. */
	c->epoch++;
	fc_routes_swept(c, 0, 0);
	fc_routes_swept(c, 1, 0);
	while (fc_routes_scan_some(c, 100))
		;
	ck_assert_uint_eq(c->st.n_routes[0] + c->st.n_routes[1], 0);
	ck_assert_uint_eq(c->st.n_paths, 3); /* those of the reasons */
	fibctl_free(c);
}
END_TEST

/* A table that is full makes everything the kernel's: nothing is routed by what is missing. */
START_TEST(limits)
{
	struct fibctl *c;
	char p[32];

	ck_assert_int_eq(
		fibctl_new(&(struct fibctl_params){ .n_adj = 64, .max_route_bytes = 4000 }, &c), 0);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(p, sizeof(p), "20.0.%u.0/24", i);
		route(c, p, { "10.0.0.2", 1, 0 });
	}
	ck_assert(c->limit);
	c->f.ready = 1;
	ck_assert_uint_eq(look(c, "20.0.1.1", 0).reason, ELIG_LIMIT);
	fibctl_free(c);
}
END_TEST

#define N_READERS 2u
#ifdef __SANITIZE_THREAD__
#define N_CHANGES 1500u
#else
#define N_CHANGES 6000u
#endif

/* Grace periods of a few lines, in operations that the race detector understands. */
struct churn {
	struct fibctl *c;
	uint64_t epoch;
	struct {
		uint64_t seen;
		uint64_t n;
		unsigned bad;
	} RTR_CACHE_ALIGNED reader[N_READERS];
	unsigned n_started;
	bool stop;
	struct fib_defer *waiting;
	unsigned n_waiting;
};

static void churn_defer(void *ctx, struct fib_defer *d)
{
	struct churn *w = ctx;

	d->next = w->waiting;
	w->waiting = d;
	w->n_waiting++;
}

static void churn_drain(void *ctx, bool wait)
{
	struct churn *w = ctx;
	struct fib_defer *d = w->waiting, *next;
	uint64_t now = __atomic_add_fetch(&w->epoch, 1, __ATOMIC_ACQ_REL);

	if (!wait && w->n_waiting < 64)
		return;
	for (unsigned i = 0; i < N_READERS; i++)
		while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE) &&
		       __atomic_load_n(&w->reader[i].seen, __ATOMIC_ACQUIRE) < now)
			sched_yield();
	w->waiting = NULL;
	w->n_waiting = 0;
	for (; d; d = next) {
		next = d->next;
		d->done(d);
	}
}

/* One route is never touched; what the others say has to be something that they once said. */
static void *churn_read(void *arg)
{
	struct churn *w = arg;
	unsigned me = __atomic_fetch_add(&w->n_started, 1, __ATOMIC_ACQ_REL);
	const struct fib *f = fibctl_fib(w->c);
	uint64_t rng = test_seed + me;
	struct fib_key k[16];
	struct fib_res r[16];

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		bool v6 = test_rand(&rng) & 1;

		for (unsigned i = 0; i < ARRAY_LEN(k); i++) {
			k[i] = (struct fib_key){ .iif = 1, .family = v6 ? AF_INET6 : AF_INET };
			k[i].hash = (uint32_t)test_rand(&rng);
			if (v6)
				memcpy(k[i].dst.b,
				       (uint8_t[]){ 0x20, 1, 0, (uint8_t)(k[i].hash & 7) }, 4);
			else
				memcpy(k[i].dst.b,
				       (uint8_t[]){ i ? 20 : 40, (uint8_t)(k[i].hash & 7), 1, 1 },
				       4);
		}
		fib_lookup_burst(f, k, r, ARRAY_LEN(k));
		for (unsigned i = 0; i < ARRAY_LEN(k); i++) {
			bool good = r[i].verdict == FIB_V_FORWARD && r[i].oif >= 1 && r[i].oif <= 3;

			if (v6 || i)
				good |= r[i].verdict == FIB_V_NO_ROUTE ||
					r[i].reason == ELIG_ROUTE_DEAD ||
					r[i].reason == ELIG_ROUTE_TIE;
			w->reader[me].bad += !good;
		}
		w->reader[me].n++;
		__atomic_store_n(&w->reader[me].seen, __atomic_load_n(&w->epoch, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
	}
	return NULL;
}

static void churn_change(struct fibctl *c, uint64_t *rng)
{
	uint32_t x = (uint32_t)(test_rand(rng) >> 8), a = x & 7, gw = 2 + (x >> 3 & 3);
	uint32_t oif = 1 + (x >> 5) % 3;
	char p[32], via[32];

	if (x & 0x1000) {
		snprintf(p, sizeof(p), "20.%u.%s", a, x & 0x10000 ? "0.0/16" : "1.0/24");
		snprintf(via, sizeof(via), "10.0.0.%u", gw);
	} else {
		snprintf(p, sizeof(p), "2001:%u::/%u", a, x & 0x10000 ? 32 : 30);
		snprintf(via, sizeof(via), "fd00::%u", gw);
	}
	switch (x >> 20 & 7) {
	case 0:
	case 1:
		route_feed(c, RTM_DELROUTE, 0, false, p, HOPS({ via, oif, 0 }));
		break;
	case 2:
		link_msg(c, 2 + (x & 1), x & 2 ? UP : x & 4 ? IFF_UP : 0, 0, 0);
		break;
	case 3:
		neigh(c, x & 0x40000 ? RTM_DELNEIGH : RTM_NEWNEIGH, via, oif,
		      x & 0x80000 ? NUD_FAILED : NUD_REACHABLE, (uint8_t)x | 1);
		break;
	case 4:
		route_feed(c, RTM_NEWROUTE, NLM_F_REPLACE, false, p,
			   HOPS({ via, 1, 0 }, { via, 2, 0 }, { via, 3, (uint8_t)gw }));
		break;
	default:
		route_feed(c, RTM_NEWROUTE, NLM_F_REPLACE, false, p, HOPS({ via, oif, 0 }));
	}
}

START_TEST(churn)
{
	struct churn w = { 0 };
	pthread_t thread[N_READERS];
	uint64_t rng = test_seed;

	w.c = world_of(ctl_new(churn_defer, churn_drain, &w));
	route(w.c, "40.0.0.0/8", { "10.0.0.2", 1, 0 });
	for (unsigned i = 0; i < N_READERS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, churn_read, &w), 0);
	for (unsigned i = 0; i < N_CHANGES; i++) {
		churn_change(w.c, &rng);
		churn_drain(&w, false);
		/* No flow keeps a number here. */
		fibctl_pass_end(w.c, fibctl_pass_begin(w.c));
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < N_READERS; i++) {
		pthread_join(thread[i], NULL);
		ck_assert_uint_eq(w.reader[i].bad, 0);
		ck_assert_uint_gt(w.reader[i].n, 0);
	}
	fibctl_free(w.c);
	ck_assert_ptr_null(w.waiting);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fib");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, any_order);
	tcase_add_test(t, dump_and_events);
	tcase_add_test(t, tombstones);
	tcase_add_loop_test(t, multipath, 0, 2);
	tcase_add_test(t, siblings6);
	tcase_add_test(t, vlan_header);
	tcase_add_test(t, odd_vlans);
	tcase_add_test(t, vrf_tables);
	tcase_add_test(t, vrf_leaks);
	tcase_add_test(t, vrf_rule_iif);
	tcase_add_test(t, rule_tos);
	tcase_add_test(t, vrf_sources);
	tcase_add_test(t, vrf_errors);
	tcase_add_test(t, generations);
	tcase_add_test(t, malformed);
	tcase_add_test(t, limits);
	tcase_add_test(t, churn);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
