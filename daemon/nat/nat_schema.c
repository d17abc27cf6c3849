/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The NAT lines, and the domain "nat". Both families have the same records and spelling. */
#include "domain.h"
#include "iface/iface.h"
#include "nat/nat.h"

#define TYPE(id, st, ...)                                                                          \
	static struct sch_field id##_fields[] = { __VA_ARGS__ };                                   \
	static struct sch_type id##_type = {                                                       \
		.name = #id,                                                                       \
		.size = sizeof(struct st),                                                         \
		.fields = id##_fields,                                                             \
		.n_fields = ARRAY_LEN(id##_fields),                                                \
	}
#define BOTH(id4, id6, st, ...)                                                                    \
	TYPE(id4, st, __VA_ARGS__);                                                                \
	TYPE(id6, st, __VA_ARGS__)

#define POOL(f)   SCH_F(nat_pool_conf_line, f)
#define SOURCE(f) SCH_F(nat_source_conf, f)
#define STATIC(f) SCH_F(nat_static_conf, f)

BOTH(ip_nat_pool, ipv6_nat_pool, nat_pool_conf_line, POOL(name), POOL(lo), POOL(hi),
     POOL(mask_kind), POOL(mask), POOL(len), POOL(type), POOL(ports), POOL(no_alias));
BOTH(ip_nat_source, ipv6_nat_source, nat_source_conf, SOURCE(seq), SOURCE(acl), SOURCE(to),
     SOURCE(pool), SOURCE(ifname), SOURCE(overload));
BOTH(ip_nat_static, ipv6_nat_static, nat_static_conf, STATIC(kind), STATIC(local), STATIC(global),
     STATIC(len), STATIC(lports), STATIC(gports), STATIC(at), STATIC(ifname), STATIC(no_alias));
BOTH(ip_nat_outside, ipv6_nat_outside, nat_outside_conf, SCH_F(nat_outside_conf, global),
     SCH_F(nat_outside_conf, local));
BOTH(ip_nat_destination, ipv6_nat_destination, nat_dest_conf, SCH_F(nat_dest_conf, acl),
     SCH_F(nat_dest_conf, pool));
BOTH(ip_nat, ipv6_nat, nat_if_conf, SCH_F(nat_if_conf, side));

struct sch_type *const nat_pool_types[2] = { &ip_nat_pool_type, &ipv6_nat_pool_type };
struct sch_type *const nat_source_types[2] = { &ip_nat_source_type, &ipv6_nat_source_type };
struct sch_type *const nat_static_types[2] = { &ip_nat_static_type, &ipv6_nat_static_type };
struct sch_type *const nat_outside_types[2] = { &ip_nat_outside_type, &ipv6_nat_outside_type };
struct sch_type *const nat_dest_types[2] = { &ip_nat_destination_type, &ipv6_nat_destination_type };
struct sch_type *const nat_if_types[2] = { &ip_nat_type, &ipv6_nat_type };

static struct sch_field nat_npt_fields[] = { SCH_F(nat_npt_conf, inside),
					     SCH_F(nat_npt_conf, outside) };
struct sch_type nat_npt_type = { .name = "nptv6",
				 .size = sizeof(struct nat_npt_conf),
				 .fields = nat_npt_fields,
				 .n_fields = ARRAY_LEN(nat_npt_fields) };

static struct sch_field nat_range_fields[] = { SCH_F(nat_range_conf, who),
					       SCH_F(nat_range_conf, lo),
					       SCH_F(nat_range_conf, hi) };
struct sch_type nat_range_type = { .name = "ip_nat_port_range",
				   .size = sizeof(struct nat_range_conf),
				   .fields = nat_range_fields,
				   .n_fields = ARRAY_LEN(nat_range_fields) };

static struct sch_field nat_reserve_fields[] = { SCH_F(nat_reserve_conf, ports) };
struct sch_type nat_reserve_type = { .name = "ip_nat_port_reserve",
				     .size = sizeof(struct nat_reserve_conf),
				     .fields = nat_reserve_fields,
				     .n_fields = ARRAY_LEN(nat_reserve_fields) };

static struct sch_field nat_mapping_fields[] = { SCH_F(nat_mapping_conf, mapping) };
struct sch_type nat_mapping_type = { .name = "ip_nat_mapping",
				     .size = sizeof(struct nat_mapping_conf),
				     .fields = nat_mapping_fields,
				     .n_fields = ARRAY_LEN(nat_mapping_fields) };

static struct sch_field nat_filtering_fields[] = { SCH_F(nat_filtering_conf, filtering) };
struct sch_type nat_filtering_type = { .name = "ip_nat_filtering",
				       .size = sizeof(struct nat_filtering_conf),
				       .fields = nat_filtering_fields,
				       .n_fields = ARRAY_LEN(nat_filtering_fields) };

static struct sch_field nat_block_fields[] = { SCH_F(nat_block_conf, size),
					       SCH_F(nat_block_conf, limit) };
struct sch_type nat_block_type = { .name = "ip_nat_port_block",
				   .size = sizeof(struct nat_block_conf),
				   .fields = nat_block_fields,
				   .n_fields = ARRAY_LEN(nat_block_fields) };

/* One line holds: the one typed last. Of an interface's side, too. */
static bool the_last(const struct rec *typed, const struct rec *old)
{
	return true;
}

/* In order of evaluation: exemptions, policy lines by number, pools, interfaces. */
static int source_order(const struct rec *ra, const struct rec *rb)
{
	const struct nat_source_conf *a = (const void *)ra, *b = (const void *)rb;
	int rank_a = a->to == NAT_TO_NOTHING ? 0 : a->seq ? 1 : a->to == NAT_TO_POOL ? 2 : 3;
	int rank_b = b->to == NAT_TO_NOTHING ? 0 : b->seq ? 1 : b->to == NAT_TO_POOL ? 2 : 3;

	return rank_a - rank_b;
}

#define LIST(row, id, k, ...)                                                                      \
	{                                                                                          \
		.kind = SCH_K_LIST, .line = row, .type = &id##_type, .key = k, __VA_ARGS__         \
	}
#define POOL_TYPE "{type:rotary|match-host|deterministic ports <ports:U16(16,16384)>}"
#define STATIC_ROW(ip, addr)                                                                       \
	ip " nat inside source static {kind:<local:" addr "> <global:" addr                        \
	   ">|network <local:" addr "> <global:" addr "> <len:MASKLEN>|tcp <local:" addr           \
	   "> <lports:NATPORTS> "                                                                  \
	   "{at:<global:" addr ">|interface <ifname:IFNAME>} <gports:NATPORTS>|udp <local:" addr   \
	   "> <lports:NATPORTS> {at:<global:" addr ">|interface <ifname:IFNAME>} "                 \
	   "<gports:NATPORTS>}[ no-alias]"
#define SOURCE_ROW(ip)                                                                             \
	ip " nat inside source[ policy <seq:U16(1,65535)>] list <acl:WORD> "                       \
	   "{to:interface <ifname:IFNAME>|pool <pool:WORD>[ via <ifname:IFNAME>]|exempt}"          \
	   "[ overload]"

static const struct sch_row rows[] = {
	LIST("ip nat {side:inside|outside}", ip_nat, "side", .parent = &iface_type,
	     .displaces = the_last, .help = "The interface's side of address translation"),
	LIST("ipv6 nat {side:inside|outside}", ipv6_nat, "side", .parent = &iface_type,
	     .displaces = the_last, .help = "The interface's side of IPv6 address translation"),
	LIST("nptv6 prefix inside <inside:PREFIX6> outside <outside:PREFIX6>", nat_npt,
	     "inside outside", .parent = &iface_type,
	     .help = "Translate the prefix of what leaves and enters here, without state"),
	LIST("ip nat settings port-range {who:local|kernel|fast} <lo:U16(1024,65535)> "
	     "<hi:U16(1024,65535)>",
	     nat_range, "who",
	     .help = "Ports of a shared address: of the box's sockets, of NAT in the kernel, in "
		     "the fast plane"),
	LIST("ip nat settings port-reserve <ports:NATPORTS>", nat_reserve, "ports",
	     .help = "Ports that no translation uses: services of the box listen on them"),
	LIST("ip nat settings mapping {mapping:connection-dependent|endpoint-independent}",
	     nat_mapping, "mapping", .displaces = the_last,
	     .help = "Whether an inside port has one outside port toward all destinations, whoever "
		     "else wants it"),
	LIST("ip nat settings filtering {filtering:connection-dependent|endpoint-independent}",
	     nat_filtering, "filtering", .displaces = the_last,
	     .help = "Who outside may send to an outside port: whom its inside port has sent to, "
		     "or anybody"),
	LIST("ip nat settings port-block size <size:U16(16,16384)> limit <limit:U16(1,64)>",
	     nat_block, "size limit", .displaces = the_last,
	     .help = "Hosts get outside ports by blocks: their size, and how many a host may have"),
	LIST("ip nat pool <name:WORD> <lo:ADDR4> <hi:ADDR4> {mask_kind:netmask <mask:ADDR4>|"
	     "prefix-length <len:U8(1,32)>}[ type " POOL_TYPE "][ no-alias]",
	     ip_nat_pool, "name", .help = "Addresses to translate to"),
	LIST(SOURCE_ROW("ip"), ip_nat_source, "seq acl pool ifname", .cmp = source_order,
	     .help = "Translate the sources that a list permits"),
	LIST(STATIC_ROW("ip", "ADDR4"), ip_nat_static, "kind global gports ifname",
	     .help = "Fixed translation of a host, a network or a port"),
	LIST("ip nat outside source static <global:ADDR4> <local:ADDR4>", ip_nat_outside, "global",
	     .help = "Address under which the inside knows an outside host"),
	LIST("ip nat inside destination list <acl:WORD> pool <pool:WORD>", ip_nat_destination,
	     "acl", .help = "Spread connections over a pool of inside hosts"),
	LIST("ipv6 nat pool <name:WORD> <lo:ADDR6> <hi:ADDR6> prefix-length <len:U8(1,128)>"
	     "[ type " POOL_TYPE "][ no-alias]",
	     ipv6_nat_pool, "name", .help = "Addresses to translate to"),
	LIST(SOURCE_ROW("ipv6"), ipv6_nat_source, "seq acl pool ifname", .cmp = source_order,
	     .help = "Translate the sources that a list permits"),
	LIST(STATIC_ROW("ipv6", "ADDR6"), ipv6_nat_static, "kind global gports ifname",
	     .help = "Fixed translation of a host, a network or a port"),
	LIST("ipv6 nat outside source static <global:ADDR6> <local:ADDR6>", ipv6_nat_outside,
	     "global", .help = "Address under which the inside knows an outside host"),
	LIST("ipv6 nat inside destination list <acl:WORD> pool <pool:WORD>", ipv6_nat_destination,
	     "acl", .help = "Spread connections over a pool of inside hosts"),
};

static const struct sch_word words[] = {
	{ "connection-dependent", "By connection: as the kernel does it" },
	{ "destination", "Destinations of packets" },
	{ "deterministic", "Address and ports follow from the inside address (RFC 7422)" },
	{ "endpoint-independent", "One outside port toward all, or for all; on the fast plane" },
	{ "exempt", "No translation" },
	{ "fast", "NAT in the fast plane" },
	{ "filtering", "Who outside may send to an outside port" },
	{ "inside", "The inside of address translation" },
	{ "kernel", "NAT in the kernel" },
	{ "limit", "Blocks that a host may have at once" },
	{ "list", "Access list" },
	{ "local", "Sockets of the box itself" },
	{ "mapping", "Which outside port an inside port has" },
	{ "match-host", "Keep the host part of the address" },
	{ "nat", "Address translation" },
	{ "netmask", "Mask of the network of the addresses" },
	{ "network", "A whole network, host parts kept" },
	{ "no-alias", "Do not answer for the address on the link" },
	{ "nptv6", "IPv6 prefix translation (RFC 6296)" },
	{ "outside", "The outside of address translation" },
	{ "overload", "Many sources share an address by their ports" },
	{ "policy", "Line with a number, asked before lines without" },
	{ "pool", "Pool of addresses" },
	{ "port-block", "Blocks of outside ports, each of one inside host" },
	{ "port-range", "Ports of a shared address by who uses them" },
	{ "ports", "Ports of the fast plane that each host has" },
	{ "prefix", "Prefix of the inside and of the outside" },
	{ "prefix-length", "Length of the network of the addresses" },
	{ "pools", "Pools and how much of them is in use" },
	{ "rotary", "Each connection takes the next address" },
	{ "rules", "Lines in the order of evaluation" },
	{ "settings", "How translation works" },
	{ "size", "Ports of a block" },
	{ "source", "Sources of packets" },
	{ "static", "Fixed translation" },
	{ "tcp", "A TCP port" },
	{ "type", "How an address is chosen" },
	{ "udp", "A UDP port" },
	{ "via", "Only what leaves by this interface" },
};

static int init(void)
{
	nat_show_init();
	return nat_blocks_init() ?: nat_flows_init();
}

static void fini(void)
{
	nat_flows_fini();
	nat_blocks_fini();
	nat_show_fini();
	nat_nft_forget();
}

static const char *const after_nft[] = { "nft", "addresses", NULL };

static const struct domain nat_domain = {
	.name = "nat",
	.after = after_nft,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = nat_cmds,
	.n_cmds = NAT_N_CMDS,
	.init = init,
	.fini = fini,
	.observed = nat_flows_observed,
	.plan = nat_plan,
};
RTR_DOMAIN(nat_domain);
