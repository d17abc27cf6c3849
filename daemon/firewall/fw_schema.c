/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines of access lists, object groups, time ranges and zones. */
#include "firewall/fw.h"

#include "domain.h"
#include "cli/command.h"
#include "firewall/compile.h"
#include "firewall/fw_commit.h"
#include "firewall/fw_log.h"
#include "firewall/fw_show.h"
#include "firewall/list_hits.h"
#include "iface/iface.h"
#include "system/global.h"

/* ---- records ---- */

#define ACL_FIELDS SCH_F(acl, name)
#define ACE_FIELDS                                                                                 \
	SCH_F(ace, seq), SCH_F(ace, remark), SCH_F(ace, action), SCH_F(ace, proto),                \
		SCH_F(ace, service), SCH_F(ace, src), SCH_F(ace, dst), SCH_F(ace, src_group),      \
		SCH_F(ace, dst_group), SCH_F(ace, src_lo), SCH_F(ace, src_hi), SCH_F(ace, dst_lo), \
		SCH_F(ace, dst_hi), SCH_F(ace, sport), SCH_F(ace, dport), SCH_F(ace, icmp),        \
		SCH_F(ace, icmp_code), SCH_F(ace, established), SCH_F(ace, fragments),             \
		SCH_F(ace, log), SCH_F(ace, per_source), SCH_F(ace, tcp_match),                    \
		SCH_F(ace, flags1), SCH_F(ace, flags2), SCH_F(ace, flags3), SCH_F(ace, flags4),    \
		SCH_F(ace, dscp), SCH_F(ace, ttl), SCH_F(ace, length), SCH_F(ace, states),         \
		SCH_F(ace, time_range), SCH_F(ace, log_rate), SCH_F(ace, limit_rate),              \
		SCH_F(ace, burst), SCH_F(ace, connections), SCH_F(ace, helper),                    \
		SCH_F(ace, server_name)

/* Two types of one shape: the lines of the families differ. */
#define TWIN(t, st, ...)                                                                           \
	static struct sch_field t##_fields[] = { __VA_ARGS__ };                                    \
	struct sch_type t##_type = {                                                               \
		.name = #t,                                                                        \
		.size = sizeof(struct st),                                                         \
		.fields = t##_fields,                                                              \
		.n_fields = ARRAY_LEN(t##_fields),                                                 \
	}

TWIN(acl4, acl, ACL_FIELDS);
TWIN(acl6, acl, ACL_FIELDS);
TWIN(acl_std, acl, ACL_FIELDS);
TWIN(ace4, ace, ACE_FIELDS);
TWIN(ace6, ace, ACE_FIELDS);
SCH_TYPE(std_ace, SCH_F(std_ace, seq), SCH_F(std_ace, remark), SCH_F(std_ace, action),
	 SCH_F(std_ace, src), SCH_F(std_ace, log));

TWIN(og_network, og, SCH_F(og, name), SCH_F(og, description));
TWIN(og_service, og, SCH_F(og, name), SCH_F(og, description));
TWIN(og_interface, og, SCH_F(og, name), SCH_F(og, description));
SCH_TYPE(og_host, SCH_F(og_host, host));
SCH_TYPE(og_range, SCH_F(og_range, lo), SCH_F(og_range, hi));
TWIN(og_net4, og_net, SCH_F(og_net, net));
TWIN(og_net6, og_net, SCH_F(og_net, net));
TWIN(og_ngroup, og_group, SCH_F(og_group, group));
TWIN(og_sgroup, og_group, SCH_F(og_group, group));
TWIN(og_igroup, og_group, SCH_F(og_group, group));
TWIN(og_svc, og_service, SCH_F(og_service, proto), SCH_F(og_service, sport),
     SCH_F(og_service, dport));
TWIN(og_icmp4, og_icmp, SCH_F(og_icmp, icmp));
TWIN(og_icmp6, og_icmp, SCH_F(og_icmp, icmp));
SCH_TYPE(og_iface, SCH_F(og_iface, name));

SCH_TYPE(trange, SCH_F(trange, name), SCH_F(trange, start), SCH_F(trange, end));
SCH_TYPE(trange_period, SCH_F(trange_period, when));

SCH_TYPE(zone, SCH_F(zone, name), SCH_F(zone, description), SCH_F(zone, management));
SCH_TYPE(zone_member, SCH_F(zone_member, group));
SCH_TYPE(zone_pair, SCH_F(zone_pair, name), SCH_F(zone_pair, source), SCH_F(zone_pair, destination),
	 SCH_F(zone_pair, description), SCH_F(zone_pair, policy));
SCH_TYPE(cmap, SCH_F(cmap, match), SCH_F(cmap, name), SCH_F(cmap, description));
SCH_TYPE(cmap_proto, SCH_F(cmap_proto, protocol));
SCH_TYPE(cmap_acl, SCH_F(cmap_acl, acl));
SCH_TYPE(pmap, SCH_F(pmap, name), SCH_F(pmap, description));
SCH_TYPE(pmap_class, SCH_F(pmap_class, name), SCH_F(pmap_class, order), SCH_F(pmap_class, action),
	 SCH_F(pmap_class, log));

SCH_TYPE(syn_conf, SCH_F(syn_conf, addr), SCH_F(syn_conf, port), SCH_F(syn_conf, mss));

/* Classes are asked in their order, not by name. */
static int class_order(const struct rec *a, const struct rec *b)
{
	const struct pmap_class *x = (const void *)a, *y = (const void *)b;

	return x->order < y->order ? -1 : x->order > y->order;
}

/* ---- lines ---- */

#define ACE_ADDR(d, f)                                                                             \
	"{<" d ":ACL" f ">|object-group <" d "_group:WORD>|address-range <" d "_lo:ADDR" f "> <" d \
	"_hi:ADDR" f ">}"
#define SEQ "[ <seq:U32(1,2147483647)>]"
#define ACE_LINE(f)                                                                                \
	SEQ " {remark <remark:LINE>|{action:permit|deny|reject}"                                   \
	    " {<proto:ACLPROTO" f                                                                  \
	    ">|object-group <service:WORD>} " ACE_ADDR("src", f) "[ <sport:PORTS>] " ACE_ADDR(     \
		    "dst",                                                                         \
		    f) "[ <dport:PORTS>][ <icmp:ICMP" f ">[ <icmp_code:U8>]][ established]"        \
		       "[ {tcp_match:match-all|match-any} <flags1:TCPFLAGS>[ <flags2:TCPFLAGS>"    \
		       "[ <flags3:TCPFLAGS>[ <flags4:TCPFLAGS>]]]]"                                \
		       "[ dscp <dscp:DSCP>][ ttl <ttl:TTL>][ length <length:LENGTH>][ fragments]"  \
		       "[ state <states:CTSTATES>][ time-range <time_range:WORD>]"                 \
		       "[ limit-rate <limit_rate:U32(1,1000000)>[ burst <burst:U32(1,1000000)>]]"  \
		       "[ limit-connections <connections:U32(1,10000000)>][ per-source]"           \
		       "[ helper {helper:amanda|ftp|h323|irc|netbios-ns|pptp|sane|sip|snmp|tftp}]" \
		       "[ server-name <server_name:WORD>][ log][ log-rate <log_rate:U32(1,100000)>]}"

static const struct sch_row rows[] = {
	SCH_LEAF("firewall martian-filter", global, .flag = "martian_filter", .dflt = "on",
		 .help = "Drop packets with addresses that cannot be a sender's or a receiver's"),

	SCH_LEAF("firewall host-sessions <host_sessions:U32(1,10000000)>", global,
		 .help = "Live connections of one source (IPv6: /64) at most"),
	SCH_LIST("firewall syn-protection <addr:ADDR> port <port:U16(1,65535)>"
		 "[ mss <mss:U16(88,65495)>]",
		 syn_conf, .key = "addr port", .name = "syn_protection",
		 .help = "Do the handshake of TCP before the server sees a client"),

	SCH_MODE("time-range <name:WORD>", trange, .key = "name", .prompt = "config-time-range",
		 .name = "time_range", .buffered = true,
		 .help = "Times at which rules are in force"),
	SCH_LEAF("absolute {start <start:MOMENT>[ end <end:MOMENT>]|end <end:MOMENT>}", trange,
		 .help = "From one moment to another, in the time zone of the box"),
	SCH_LIST("periodic <when:PERIODIC>", trange_period, .parent = &trange_type, .key = "when",
		 .name = "periodic", .help = "Again and again: weekdays 8:00 to 18:00"),

	SCH_MODE("object-group network <name:WORD>", og_network, .key = "name",
		 .prompt = "config-network-group", .name = "object_group_network", .buffered = true,
		 .help = "Named set of addresses of both families"),
	SCH_LEAF("description <description:LINE>", og_network, .help = "Text about this group"),
	SCH_LIST("host <host:ADDR>", og_host, .parent = &og_network_type, .key = "host",
		 .name = "host", .help = "One address"),
	SCH_LIST("<net:PREFIX4>", og_net4, .parent = &og_network_type, .key = "net",
		 .name = "network", .help = "IPv4 network, with its mask"),
	SCH_LIST("<net:PREFIX6>", og_net6, .parent = &og_network_type, .key = "net",
		 .name = "network6", .help = "IPv6 network"),
	SCH_LIST("range <lo:ADDR> <hi:ADDR>", og_range, .parent = &og_network_type, .key = "lo hi",
		 .name = "range", .help = "Addresses from the first to the last"),
	SCH_LIST("group-object <group:WORD>", og_ngroup, .parent = &og_network_type, .key = "group",
		 .name = "group", .help = "All of another group"),

	SCH_MODE("object-group service <name:WORD>", og_service, .key = "name",
		 .prompt = "config-service-group", .name = "object_group_service", .buffered = true,
		 .help = "Named set of protocols and ports"),
	SCH_LEAF("description <description:LINE>", og_service, .help = "Text about this group"),
	SCH_LIST("<proto:ACLPROTO>[ source <sport:PORTS>][ <dport:PORTS>]", og_svc,
		 .parent = &og_service_type, .key = "proto sport dport", .name = "service",
		 .help = "Protocol, source ports, destination ports"),
	SCH_LIST("icmp <icmp:ICMP4>", og_icmp4, .parent = &og_service_type, .key = "icmp",
		 .name = "icmp", .help = "Type of ICMP"),
	SCH_LIST("icmpv6 <icmp:ICMP6>", og_icmp6, .parent = &og_service_type, .key = "icmp",
		 .name = "icmpv6", .help = "Type of ICMPv6"),
	SCH_LIST("group-object <group:WORD>", og_sgroup, .parent = &og_service_type, .key = "group",
		 .name = "group", .help = "All of another group"),

	SCH_MODE("object-group interface <name:WORD>", og_interface, .key = "name",
		 .prompt = "config-interface-group", .name = "object_group_interface",
		 .buffered = true, .help = "Named set of interfaces, for zones"),
	SCH_LEAF("description <description:LINE>", og_interface, .help = "Text about this group"),
	SCH_LIST("interface <name:IFNAME>", og_iface, .parent = &og_interface_type, .key = "name",
		 .name = "interface", .help = "One interface"),
	SCH_LIST("group-object <group:WORD>", og_igroup, .parent = &og_interface_type,
		 .key = "group", .name = "group", .help = "All of another group"),

	SCH_MODE("ip access-list standard <name:WORD>", acl_std, .key = "name",
		 .prompt = "config-std-nacl", .name = "access_list_standard", .buffered = true,
		 .help = "IPv4 access list that looks at the source only"),
	SCH_LIST(SEQ " {remark <remark:LINE>|{action:permit|deny} <src:ACL4>[ log]}", std_ace,
		 .parent = &acl_std_type, .key = "seq", .auto_key = 10, .once = "action",
		 .name = "rule",
		 .help = "Rule: the first one that matches decides, none means deny"),
	SCH_MODE("ip access-list extended <name:WORD>", acl4, .key = "name",
		 .prompt = "config-ext-nacl", .name = "access_list", .buffered = true,
		 .help = "IPv4 access list"),
	SCH_LIST(ACE_LINE("4"), ace4, .parent = &acl4_type, .key = "seq", .auto_key = 10,
		 .once = "action", .name = "rule",
		 .help = "Rule: the first one that matches decides, none means deny"),
	SCH_MODE("ipv6 access-list <name:WORD>", acl6, .key = "name", .prompt = "config-ipv6-acl",
		 .name = "ipv6_access_list", .buffered = true, .help = "IPv6 access list"),
	SCH_LIST(ACE_LINE("6"), ace6, .parent = &acl6_type, .key = "seq", .auto_key = 10,
		 .once = "action", .name = "rule",
		 .help = "Rule: the first one that matches decides, none means deny"),

	SCH_MODE("class-map type inspect {match:match-any|match-all} <name:WORD>", cmap,
		 .key = "name", .prompt = "config-cmap", .name = "class_map", .buffered = true,
		 .help = "Class of traffic for inspect policies"),
	SCH_LEAF("description <description:LINE>", cmap, .help = "Text about this class"),
	SCH_LIST("match protocol <protocol:WORD>", cmap_proto, .parent = &cmap_type,
		 .key = "protocol", .name = "match_protocol",
		 .help = "Traffic of a well-known protocol: tcp, udp, icmp, http, dns"),
	SCH_LIST("match access-group name <acl:WORD>", cmap_acl, .parent = &cmap_type, .key = "acl",
		 .name = "match_access_group",
		 .help = "Traffic that an access list permits, IPv4 and IPv6"),

	SCH_MODE("policy-map type inspect <name:WORD>", pmap, .key = "name",
		 .prompt = "config-pmap", .name = "policy_map", .buffered = true,
		 .help = "What happens between two zones"),
	SCH_LEAF("description <description:LINE>", pmap, .help = "Text about this policy"),
	SCH_MODE("class type inspect <name:WORD>[ order <order:U32(1,1000000)>]", pmap_class,
		 .parent = &pmap_type, .key = "name", .cmp = class_order, .auto_order = "order",
		 .prompt = "config-pmap-c", .name = "class",
		 .help = "What happens to a class; the first class that matches decides"),
	SCH_LEAF("{action:inspect|pass|drop|reject}[ log]", pmap_class,
		 .help = "Let it pass with state, let this direction pass, drop it, tell it off"),

	SCH_MODE("zone security <name:WORD>", zone, .key = "name", .prompt = "config-sec-zone",
		 .name = "zone", .help = "Group of interfaces that trust each other"),
	SCH_LEAF("description <description:LINE>", zone, .help = "Text about this zone"),
	SCH_LEAF("management", zone, .flag = "management",
		 .help = "The box itself is open to this zone"),
	SCH_LIST("member interface-group <group:WORD>", zone_member, .parent = &zone_type,
		 .key = "group", .name = "member", .help = "Interfaces of an object group"),

	SCH_MODE("zone-pair security <name:WORD> source <source:WORD> destination "
		 "<destination:WORD>",
		 zone_pair, .key = "name", .prompt = "config-sec-zone-pair", .name = "zone_pair",
		 .help = "Traffic from one zone to another, or to the box itself"),
	SCH_LEAF("description <description:LINE>", zone_pair, .help = "Text about this pair"),
	SCH_LEAF("service-policy type inspect <policy:WORD>", zone_pair,
		 .help = "Policy of this pair; without one all is dropped"),
};

static const struct sch_word words[] = {
	{ "absolute", "From one moment to another" },
	{ "access-lists", "Access lists with their hits" },
	{ "access-group", "Access list by its name" },
	{ "access-list", "Access lists" },
	{ "address-range", "From one address to another" },
	{ "amanda", "Backup protocol" },
	{ "burst", "New connections that may come at once" },
	{ "class", "A class of this policy" },
	{ "class-map", "Classes of traffic" },
	{ "clear", "Reset counters and end what is under way" },
	{ "counters", "Counters" },
	{ "deny", "Drop the packet silently" },
	{ "destination", "Where it goes" },
	{ "drop", "Drop the packet silently" },
	{ "drops", "What was dropped" },
	{ "dscp", "Differentiated services code point" },
	{ "end", "Until this moment" },
	{ "established", "TCP with ACK or RST" },
	{ "extended", "Protocol, source, destination, ports" },
	{ "firewall", "Firewall of the box as a whole" },
	{ "fragments", "Fragments after the first only" },
	{ "ftp", "File transfer, active mode too" },
	{ "group-object", "All of another group" },
	{ "h323", "Telephony by H.323" },
	{ "helper", "Follow the connections that this protocol opens" },
	{ "host", "One address" },
	{ "host-sessions", "Live connections of one source" },
	{ "icmp", "ICMP" },
	{ "icmpv6", "ICMPv6" },
	{ "inspect", "Let it pass and keep its state" },
	{ "interface-group", "Object group of interfaces" },
	{ "irc", "Chat with direct connections" },
	{ "length", "Bytes of the IP packet" },
	{ "limit-connections", "Live connections at most" },
	{ "limit-rate", "New connections a second at most" },
	{ "log", "Log packets that this decides" },
	{ "log-rate", "Log lines a minute at most" },
	{ "management", "The box itself is open to this zone" },
	{ "mss", "Segment size that the server takes" },
	{ "match", "What belongs to the class" },
	{ "match-all", "All of it must match" },
	{ "match-any", "One of it must match" },
	{ "member", "Interfaces of this zone" },
	{ "name", "Name of the object" },
	{ "netbios-ns", "Windows names" },
	{ "network", "Addresses" },
	{ "object-group", "Named sets of addresses, services, interfaces" },
	{ "order", "Place among the classes" },
	{ "pass", "Let this direction pass without state" },
	{ "per-source", "Each source address by itself" },
	{ "periodic", "Again and again" },
	{ "permit", "Let the packet pass" },
	{ "policy-map", "Policies between zones" },
	{ "pptp", "Tunnels of old Windows" },
	{ "port", "Port of TCP" },
	{ "protocol", "A well-known protocol" },
	{ "range", "From the first to the last" },
	{ "reject", "Drop the packet and tell the sender" },
	{ "remark", "Text in the list" },
	{ "sane", "Network scanner" },
	{ "security", "Firewall zones" },
	{ "server-name", "Name that a TLS client asks for" },
	{ "service", "Protocols and ports" },
	{ "service-policy", "Policy of this pair" },
	{ "sip", "Telephony by SIP" },
	{ "snmp", "Network management by broadcast" },
	{ "source", "Where it comes from" },
	{ "standard", "Source address only" },
	{ "start", "From this moment on" },
	{ "state", "State of the packet's connection" },
	{ "syn-protection", "Handshakes done by the box" },
	{ "tftp", "Trivial file transfer" },
	{ "time-range", "Times at which rules are in force" },
	{ "ttl", "Hops that the packet may still take" },
	{ "type", "Kind of map" },
	{ "zone", "Zones" },
	{ "zone-pair", "Traffic from one zone to another" },
};

static int fw_init(void)
{
	fw_names_init();
	fw_commit_init();
	fw_log_init(cmd_base());
	return lc_hits_init(cmd_base());
}

static void fw_fini(void)
{
	fw_log_fini();
	fw_commit_fini();
	lc_hits_fini();
	fw_compile_fini();
	policy_forget();
}

static const char *const after_system[] = { "system", NULL };

static const struct domain firewall_domain = {
	.name = "firewall",
	.after = after_system,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = fw_cmds,
	.n_cmds = N_FW_CMDS,
	.init = fw_init,
	.check = fw_check,
	.observed = fw_commit_observed,
	.fini = fw_fini,
};
RTR_DOMAIN(firewall_domain);

/* ---- lines of interface mode: linked after "interface" itself ---- */

SCH_TYPE(if_zone, SCH_F(if_zone, zone));
TWIN(if_acl4, if_acl, SCH_F(if_acl, acl), SCH_F(if_acl, dir));
TWIN(if_acl6, if_acl, SCH_F(if_acl, acl), SCH_F(if_acl, dir));
TWIN(if_urpf4, if_urpf, SCH_F(if_urpf, via), SCH_F(if_urpf, allow_default));
TWIN(if_urpf6, if_urpf, SCH_F(if_urpf, via), SCH_F(if_urpf, allow_default));
TWIN(if_mss4, if_mss, SCH_F(if_mss, mss), SCH_F(if_mss, kind));
TWIN(if_mss6, if_mss, SCH_F(if_mss, mss), SCH_F(if_mss, kind));

static const struct sch_row if_rows[] = {
	SCH_LIST("zone-member security <zone:WORD>", if_zone, .parent = &iface_type,
		 .name = "zone_member", .help = "Zone that the interface is in"),
	SCH_LIST("ip access-group <acl:WORD> {dir:in|out}", if_acl4, .parent = &iface_type,
		 .key = "dir", .name = "ip_access_group",
		 .help = "IPv4 access list of packets that come in or go out"),
	SCH_LIST("ipv6 traffic-filter <acl:WORD> {dir:in|out}", if_acl6, .parent = &iface_type,
		 .key = "dir", .name = "ipv6_traffic_filter",
		 .help = "IPv6 access list of packets that come in or go out"),
	SCH_LIST("ip verify unicast source reachable-via {via:rx|any|feasible}[ allow-default]",
		 if_urpf4, .parent = &iface_type, .name = "ip_verify",
		 .help = "Drop packets whose source is not routed back"),
	SCH_LIST("ipv6 verify unicast source reachable-via {via:rx|any|feasible}[ allow-default]",
		 if_urpf6, .parent = &iface_type, .name = "ipv6_verify",
		 .help = "Drop packets whose source is not routed back"),
	SCH_LIST("ip tcp adjust-mss {kind:auto|<mss:U16(88,65495)>}", if_mss4,
		 .parent = &iface_type, .name = "ip_adjust_mss",
		 .help = "Lower the segment size of TCP connections through the interface"),
	SCH_LIST("ipv6 tcp adjust-mss {kind:auto|<mss:U16(88,65495)>}", if_mss6,
		 .parent = &iface_type, .name = "ipv6_adjust_mss",
		 .help = "Lower the segment size of TCP connections through the interface"),
};

static const struct sch_word if_words[] = {
	{ "adjust-mss", "Segment size of TCP connections" },
	{ "allow-default", "The default route counts as a way back" },
	{ "any", "By any interface" },
	{ "auto", "What the route's MTU allows" },
	{ "feasible", "By this interface, on any route" },
	{ "in", "Packets that come in" },
	{ "out", "Packets that go out" },
	{ "reachable-via", "Where the way back leads" },
	{ "rx", "By the interface that it came in" },
	{ "tcp", "TCP" },
	{ "traffic-filter", "Access list of packets" },
	{ "unicast", "Sources of packets" },
	{ "verify", "Check sources of packets" },
	{ "zone-member", "Zone that the interface is in" },
};

static const char *const after_links[] = { "firewall", "links", NULL };

static const struct domain fw_ifaces_domain = {
	.name = "firewall-interfaces",
	.after = after_links,
	.rows = if_rows,
	.n_rows = ARRAY_LEN(if_rows),
	.words = if_words,
	.n_words = ARRAY_LEN(if_words),
};
RTR_DOMAIN(fw_ifaces_domain);
