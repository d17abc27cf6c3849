/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines of policy routing, and the domain "policy-routing". */
#include "domain.h"
#include "iface/iface.h"
#include "pbr/pbr.h"

SCH_TYPE(route_map, SCH_F(route_map, name), SCH_F(route_map, seq), SCH_F(route_map, action),
	 SCH_F(route_map, description), SCH_F(route_map, acl4), SCH_F(route_map, acl6),
	 SCH_F(route_map, dscp), SCH_F(route_map, ip_proto), SCH_F(route_map, sport),
	 SCH_F(route_map, sport_last), SCH_F(route_map, dport), SCH_F(route_map, dport_last),
	 SCH_F(route_map, mark), SCH_F(route_map, mask), SCH_F(route_map, hop4_1),
	 SCH_F(route_map, hop4_2), SCH_F(route_map, hop4_3), SCH_F(route_map, hop4_4),
	 SCH_F(route_map, hop6_1), SCH_F(route_map, hop6_2), SCH_F(route_map, hop6_3),
	 SCH_F(route_map, hop6_4), SCH_F(route_map, dflt4_1), SCH_F(route_map, dflt4_2),
	 SCH_F(route_map, dflt6_1), SCH_F(route_map, dflt6_2), SCH_F(route_map, ifname),
	 SCH_F(route_map, table), SCH_F(route_map, vrf));
SCH_TYPE(pbr_local, SCH_F(pbr_local, family), SCH_F(pbr_local, map));

/* Types of one shape: the family and the side are in the line. */
#define NET_TYPE(n)                                                                                \
	static struct sch_field n##_fields[] = { SCH_F(route_map_net, net) };                      \
	struct sch_type n##_type = { .name = #n,                                                   \
				     .size = sizeof(struct route_map_net),                         \
				     .fields = n##_fields,                                         \
				     .n_fields = ARRAY_LEN(n##_fields) }
#define VERIFY_TYPE(n)                                                                             \
	static struct sch_field n##_fields[] = { SCH_F(route_map_verify, hop),                     \
						 SCH_F(route_map_verify, seq),                     \
						 SCH_F(route_map_verify, track) };                 \
	struct sch_type n##_type = { .name = #n,                                                   \
				     .size = sizeof(struct route_map_verify),                      \
				     .fields = n##_fields,                                         \
				     .n_fields = ARRAY_LEN(n##_fields) }
NET_TYPE(route_map_src4);
NET_TYPE(route_map_dst4);
NET_TYPE(route_map_src6);
NET_TYPE(route_map_dst6);
VERIFY_TYPE(route_map_verify4);
VERIFY_TYPE(route_map_verify6);

#define PORTS(n) " <" n ":U16(1,65535)>[ <" n "_last:U16(1,65535)>]"

static const struct sch_row rows[] = {
	SCH_MODE("route-map <name:WORD> {action:permit|deny} <seq:U16(1,65535)>", route_map,
		 .key = "name seq", .prompt = "config-route-map", .buffered = true,
		 .help = "Route packets by more than their destination"),
	SCH_LEAF("description <description:LINE>", route_map, .help = "Text about the sequence"),
	SCH_LEAF("match ip address <acl4:WORD>", route_map,
		 .help = "IPv4 packets that the access list permits"),
	SCH_LEAF("match ipv6 address <acl6:WORD>", route_map,
		 .help = "IPv6 packets that the access list permits"),
	SCH_LIST("match ip source <net:PREFIX4>", route_map_src4, .parent = &route_map_type,
		 .key = "net", .name = "match_ip_source",
		 .help = "IPv4 packets from the network; several lines: from one of them"),
	SCH_LIST("match ip destination <net:PREFIX4>", route_map_dst4, .parent = &route_map_type,
		 .key = "net", .name = "match_ip_destination",
		 .help = "IPv4 packets to the network; several lines: to one of them"),
	SCH_LIST("match ipv6 source <net:PREFIX6>", route_map_src6, .parent = &route_map_type,
		 .key = "net", .name = "match_ipv6_source",
		 .help = "IPv6 packets from the network; several lines: from one of them"),
	SCH_LIST("match ipv6 destination <net:PREFIX6>", route_map_dst6, .parent = &route_map_type,
		 .key = "net", .name = "match_ipv6_destination",
		 .help = "IPv6 packets to the network; several lines: to one of them"),
	SCH_LEAF("match protocol <ip_proto:IPPROTO>", route_map, .help = "Packets of the protocol"),
	SCH_LEAF("match source-port" PORTS("sport"), route_map,
		 .help = "Packets from the port, or from the first to the last"),
	SCH_LEAF("match destination-port" PORTS("dport"), route_map,
		 .help = "Packets to the port, or from the first to the last"),
	SCH_LEAF("match dscp <dscp:U8(0,63)>", route_map, .help = "Packets with the DSCP"),
	SCH_LEAF("match fwmark <mark:U32>[ mask <mask:U32(1,4294967295)>]", route_map,
		 .help = "Packets with the firewall mark"),
	SCH_LIST("set ip next-hop verify-availability <hop:ADDR4> <seq:U16(1,65535)> "
		 "track <track:U16(1,1000)>",
		 route_map_verify4, .parent = &route_map_type, .key = "seq",
		 .name = "set_ip_verify", .help = "Next hop, while the tracked object is up"),
	SCH_LEAF(
		"set ip next-hop <hop4_1:ADDR4>[ <hop4_2:ADDR4>[ <hop4_3:ADDR4>[ <hop4_4:ADDR4>]]]",
		route_map, .help = "Next hop; of several the first that can be reached"),
	SCH_LIST("set ipv6 next-hop verify-availability <hop:ADDR6> <seq:U16(1,65535)> "
		 "track <track:U16(1,1000)>",
		 route_map_verify6, .parent = &route_map_type, .key = "seq",
		 .name = "set_ipv6_verify", .help = "Next hop, while the tracked object is up"),
	SCH_LEAF(
		"set ipv6 next-hop <hop6_1:ADDR6>[ <hop6_2:ADDR6>[ <hop6_3:ADDR6>[ <hop6_4:ADDR6>]]]",
		route_map, .help = "Next hop; of several the first that can be reached"),
	SCH_LEAF("set interface <ifname:IFNAME>", route_map,
		 .help = "Interface to leave by, when no next hop can be reached; Null0 discards"),
	SCH_LEAF("set ip default next-hop <dflt4_1:ADDR4>[ <dflt4_2:ADDR4>]", route_map,
		 .help = "Next hop for what only the default route leads to"),
	SCH_LEAF("set ipv6 default next-hop <dflt6_1:ADDR6>[ <dflt6_2:ADDR6>]", route_map,
		 .help = "Next hop for what only the default route leads to"),
	SCH_LEAF("set table <table:U32(1,4294967295)>", route_map,
		 .help = "Kernel table to look up"),
	SCH_LEAF("set vrf <vrf:WORD>", route_map, .help = "VRF whose table to look up"),
	SCH_LEAF("ip policy route-map <policy4:WORD>", iface,
		 .help = "Map for IPv4 packets that come in"),
	SCH_LEAF("ipv6 policy route-map <policy6:WORD>", iface,
		 .help = "Map for IPv6 packets that come in"),
	SCH_LIST("{family:ip|ipv6} local policy route-map <map:WORD>", pbr_local, .key = "family",
		 .name = "local_policy", .help = "Map for packets of the router itself"),
};

static const struct sch_word words[] = {
	{ "match ip address", "Access list" },
	{ "match ipv6 address", "Access list" },
	{ "default", "For what only the default route leads to" },
	{ "default next-hop", "For what only the default route leads to" },
	{ "deny", "Route as usual what matches" },
	{ "destination", "Where packets go to" },
	{ "destination-port", "Port that packets go to" },
	{ "dscp", "DSCP of packets" },
	{ "fwmark", "Firewall mark of packets" },
	{ "local", "Packets of the router itself" },
	{ "mask", "Bits of the mark that count" },
	{ "match", "Packets that the sequence is for" },
	{ "next-hop", "Next hop" },
	{ "permit", "Route as the set lines say what matches" },
	{ "policy", "Policy routing" },
	{ "protocol", "IP protocol" },
	{ "route-map", "Route packets by more than their destination" },
	{ "set", "Where packets are sent" },
	{ "source-port", "Port that packets come from" },
	{ "table", "Kernel table" },
	{ "verify-availability", "Only while a tracked object is up" },
};

static const char *const after_routes[] = { "routes", NULL };

static const struct domain policy_routing_domain = {
	.name = "policy-routing",
	.after = after_routes,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.check = pbr_check,
	.plan = pbr_plan,
};
RTR_DOMAIN(policy_routing_domain);
