/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines of interface mode, and the domains "links" and "addresses". */
#include "domain.h"
#include "iface/iface.h"

SCH_TYPE(iface, SCH_F(iface, name), SCH_F(iface, description), SCH_F(iface, mtu), SCH_F(iface, mac),
	 SCH_F(iface, shutdown), SCH_F(iface, dot1q), SCH_F(iface, bridge_group),
	 SCH_F(iface, redirects), SCH_F(iface, ipv6_enable), SCH_F(iface, link_local),
	 SCH_F(iface, proxy_arp), SCH_F(iface, local_proxy_arp), SCH_F(iface, nd_dad),
	 SCH_F(iface, gratuitous_arps), SCH_F(iface, unsolicited_na), SCH_F(iface, dad),
	 SCH_F(iface, policy4), SCH_F(iface, policy6), SCH_F(iface, second_dot1q),
	 SCH_F(iface, vrf), SCH_F(iface, tunnel_mode), SCH_F(iface, tunnel_src),
	 SCH_F(iface, tunnel_dst), SCH_F(iface, tunnel_src_if), SCH_F(iface, tunnel_key),
	 SCH_F(iface, tunnel_ttl), SCH_F(iface, vni), SCH_F(iface, vxlan_src),
	 SCH_F(iface, vxlan_dst), SCH_F(iface, vxlan_dev), SCH_F(iface, vxlan_port),
	 SCH_F(iface, channel_group), SCH_F(iface, channel_mode), SCH_F(iface, lacp_rate),
	 SCH_F(iface, load_balance), SCH_F(iface, min_links), SCH_F(iface, fhrp_delay),
	 SCH_F(iface, fhrp_reload), SCH_F(iface, fhrp_routes), SCH_F(iface, garp_accept),
	 SCH_F(iface, dhcp), SCH_F(iface, dhcp_distance), SCH_F(iface, ra_suppress),
	 SCH_F(iface, ra_managed), SCH_F(iface, ra_other), SCH_F(iface, ra_hop_limit),
	 SCH_F(iface, ra_preference), SCH_F(iface, ra_max), SCH_F(iface, ra_min),
	 SCH_F(iface, ra_lifetime), SCH_F(iface, ring_rx), SCH_F(iface, ring_tx),
	 SCH_F(iface, hw_queues), SCH_F(iface, rss_key), SCH_F(iface, rss_xor),
	 SCH_F(iface, dataplane), SCH_F(iface, dp_express), SCH_F(iface, dp_zero_copy));
SCH_TYPE(iface_addr4, SCH_F(iface_addr4, addr), SCH_F(iface_addr4, secondary));
SCH_TYPE(iface_addr6, SCH_F(iface_addr6, addr), SCH_F(iface_addr6, eui_64));

static int primary_first(const struct rec *a, const struct rec *b)
{
	const struct iface_addr4 *x = (const void *)a, *y = (const void *)b;

	return (int)x->secondary - (int)y->secondary;
}

/* `ip address A M` sets the primary address: the one before goes. */
static bool one_primary(const struct rec *typed, const struct rec *old)
{
	return !((const struct iface_addr4 *)(const void *)typed)->secondary &&
	       !((const struct iface_addr4 *)(const void *)old)->secondary;
}

static const struct sch_row rows[] = {
	SCH_MODE("interface <name:IFNAME>", iface, .key = "name", .prompt = "config-if",
		 .name = "interface", .help = "Settings of one interface"),
	SCH_LEAF("description <description:LINE>", iface, .help = "Text about this interface"),
	SCH_LEAF(
		"encapsulation dot1Q <dot1q:U16(1,4094)>[ second-dot1q <second_dot1q:U16(1,4094)>]",
		iface, .help = "VLAN number of a subinterface; with a second tag inside"),
	SCH_LEAF("mac-address <mac:MAC>", iface,
		 .help = "MAC address in place of the built-in one"),
	SCH_LEAF("mtu <mtu:U32(68,65535)>", iface, .help = "Largest packet in bytes"),
	SCH_LEAF("bridge-group <bridge_group:U16(1,9999)>", iface,
		 .help = "Make the interface a port of the bridge BVI<n>"),
	SCH_LIST("ip address <addr:IFADDR4>[ secondary]", iface_addr4, .parent = &iface_type,
		 .displaces = one_primary, .key = "addr", .cmp = primary_first,
		 .name = "ip_address", .help = "IPv4 address and length of the network"),
	SCH_LEAF("ip redirects", iface, .flag = "redirects", .dflt = "on",
		 .help = "Send ICMP redirects"),
	SCH_LEAF("ipv6 enable", iface, .flag = "ipv6_enable",
		 .help = "Use IPv6 with a link-local address only"),
	SCH_LEAF("ipv6 address <link_local:ADDR6> link-local", iface,
		 .help = "Link-local address in place of the one made from the MAC"),
	SCH_LIST("ipv6 address <addr:IFADDR6>[ eui-64]", iface_addr6, .parent = &iface_type,
		 .key = "addr", .name = "ipv6_address",
		 .help = "IPv6 address and length of the network"),
	SCH_LEAF("shutdown", iface, .flag = "shutdown", .help = "Take the interface down"),
};

static const struct sch_word words[] = {
	{ "address", "Addresses of the interface" },
	{ "bridge-group", "Bridge that the interface is a port of" },
	{ "dot1Q", "IEEE 802.1Q tag" },
	{ "encapsulation", "Tag of a subinterface" },
	{ "eui-64", "Make the host part from the MAC address" },
	{ "interface", "Settings of one interface" },
	{ "ip", "IPv4" },
	{ "ipv6", "IPv6" },
	{ "link-local", "Valid on this link only" },
	{ "mac-address", "MAC address of the interface" },
	{ "redirects", "ICMP redirects" },
	{ "second-dot1q", "Tag inside the first one (QinQ)" },
	{ "secondary", "One more network on the same link" },
};

static const char *const after_system[] = { "system", "nft", "vrf", NULL };

static const struct domain links_domain = {
	.name = "links",
	.after = after_system,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.check = iface_check,
	.plan = iface_plan_links,
};
RTR_DOMAIN(links_domain);

static const char *const after_links[] = { "links", NULL };

static const struct domain addrs_domain = {
	.name = "addresses",
	.after = after_links,
	.plan = iface_plan_addrs,
};
RTR_DOMAIN(addrs_domain);
