/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a small schema for tests of the schema machinery itself: interface addresses, an ordered
 * access list, router bgp with neighbours filled in by several lines.
 */
#ifndef RTR_TEST_ROWS_H
#define RTR_TEST_ROWS_H

#include "domain.h"
#include "schema/types.h"

#include <net/if.h>

struct t_global {
	struct rec rec;
	char *hostname;
	bool ip_routing;
	uint32_t lines;
};

struct sch_type global_type;
static struct sch_field t_global_fields[] = {
	SCH_F(t_global, hostname),
	SCH_F(t_global, ip_routing),
	SCH_F(t_global, lines),
};
struct sch_type global_type = {
	.name = "global",
	.size = sizeof(struct t_global),
	.fields = t_global_fields,
	.n_fields = ARRAY_LEN(t_global_fields),
};

struct t_iface {
	struct rec rec;
	char name[IFNAMSIZ];
	char *description;
	uint32_t mtu;
	bool shutdown, redirects;
};
SCH_TYPE(t_iface, SCH_F(t_iface, name), SCH_F(t_iface, description), SCH_F(t_iface, mtu),
	 SCH_F(t_iface, shutdown), SCH_F(t_iface, redirects));

struct t_addr4 {
	struct rec rec;
	struct rtr_prefix addr;
	bool secondary;
};
SCH_TYPE(t_addr4, SCH_F(t_addr4, addr), SCH_F(t_addr4, secondary));

struct t_acl {
	struct rec rec;
	char *name;
};
SCH_TYPE(t_acl, SCH_F(t_acl, name));

struct t_ace {
	struct rec rec;
	uint32_t seq;
	uint8_t action, proto;
	struct acl_addr src, dst;
	bool established, log;
	uint8_t ttl;
};
SCH_TYPE(t_ace, SCH_F(t_ace, seq), SCH_F(t_ace, action), SCH_F(t_ace, proto), SCH_F(t_ace, src),
	 SCH_F(t_ace, dst), SCH_F(t_ace, established), SCH_F(t_ace, log), SCH_F(t_ace, ttl));

struct t_bgp {
	struct rec rec;
	uint32_t as;
	struct rtr_addr router_id;
};
SCH_TYPE(t_bgp, SCH_F(t_bgp, as), SCH_F(t_bgp, router_id));

struct t_nbr {
	struct rec rec;
	struct rtr_addr peer;
	uint32_t remote_as;
	char *description, *password;
	bool shutdown;
};
SCH_TYPE(t_nbr, SCH_F(t_nbr, peer), SCH_F(t_nbr, remote_as), SCH_F(t_nbr, description),
	 SCH_F(t_nbr, password), SCH_F(t_nbr, shutdown));

struct t_route {
	struct rec rec;
	struct rtr_prefix dst;
	uint8_t via;
	struct rtr_addr nexthop;
	char ifname[IFNAMSIZ];
	uint8_t distance;
	char *name;
};
SCH_TYPE(t_route, SCH_F(t_route, dst), SCH_F(t_route, via), SCH_F(t_route, nexthop),
	 SCH_F(t_route, ifname), SCH_F(t_route, distance), SCH_F(t_route, name));

/* Primary first, then by address. */
static int t_primary_first(const struct rec *a, const struct rec *b)
{
	const struct t_addr4 *x = (const void *)a, *y = (const void *)b;

	return (int)x->secondary - (int)y->secondary;
}

static bool t_one_primary(const struct rec *typed, const struct rec *old)
{
	return !((const struct t_addr4 *)(const void *)typed)->secondary &&
	       !((const struct t_addr4 *)(const void *)old)->secondary;
}

static const struct sch_row t_rows[] = {
	{ .kind = SCH_K_LEAF, .line = "hostname <hostname:WORD>", .type = &global_type },
	{ .kind = SCH_K_LEAF,
	  .line = "ip routing",
	  .type = &global_type,
	  .flag = "ip_routing",
	  .dflt = "on" },
	{ .kind = SCH_K_LEAF,
	  .line = "lines <lines:U32(1,1000)>",
	  .type = &global_type,
	  .dflt = "24" },
	SCH_MODE("interface <name:IFNAME>", t_iface, .key = "name", .prompt = "config-if",
		 .name = "interface"),
	SCH_LEAF("description <description:LINE>", t_iface),
	SCH_LEAF("mtu <mtu:U32(68,65535)>", t_iface),
	SCH_LEAF("ip redirects", t_iface, .flag = "redirects", .dflt = "on"),
	SCH_LIST("ip address <addr:IFADDR4>[ secondary]", t_addr4, .parent = &t_iface_type,
		 .key = "addr", .cmp = t_primary_first, .displaces = t_one_primary,
		 .name = "ip_address"),
	SCH_LEAF("shutdown", t_iface, .flag = "shutdown"),
	SCH_MODE("ip access-list extended <name:WORD>", t_acl, .key = "name", .buffered = true,
		 .prompt = "config-ext-nacl", .name = "access_list"),
	SCH_LIST("[<seq:U32(1,4294967294)>] {action:permit|deny} <proto:IPPROTO> <src:ACL4> "
		 "<dst:ACL4>[ established][ ttl <ttl:U8>][ log]",
		 t_ace, .parent = &t_acl_type, .key = "seq", .auto_key = 10, .once = "proto",
		 .name = "rule"),
	SCH_MODE("router bgp <as:ASN>", t_bgp, .key = "as", .single = true, .buffered = true,
		 .prompt = "config-router", .name = "bgp"),
	SCH_LEAF("bgp router-id <router_id:ADDR4>", t_bgp),
	SCH_LIST("neighbor <peer:ADDR> remote-as <remote_as:ASN>", t_nbr, .parent = &t_bgp_type,
		 .key = "peer", .creates = true, .name = "neighbor"),
	SCH_LEAF("neighbor <peer:ADDR> description <description:LINE>", t_nbr),
	SCH_LEAF("neighbor <peer:ADDR> password <password:WORD>", t_nbr, .secret = true),
	SCH_LEAF("neighbor <peer:ADDR> shutdown", t_nbr, .flag = "shutdown"),
	SCH_LIST(
		"ip route <dst:PREFIX4> {via:<nexthop:ADDR4>|<ifname:IFNAME>[ <nexthop:ADDR4>]|Null0}"
		"[ <distance:U8(1,255)>][ name <name:WORD>]",
		t_route, .key = "dst via nexthop ifname", .name = "ip_route"),
};

static const struct domain t_domain = {
	.name = "test",
	.rows = t_rows,
	.n_rows = ARRAY_LEN(t_rows),
};

#endif
