/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links that are made of others: VLANs, tunnels, bonds, VXLAN: their lines, and what each must be
 * in the kernel. A link is compared with its lines attribute by attribute as it would be made; one
 * that differs is made anew.
 */
#include "domain.h"
#include "iface/iface.h"
#include "kernel/probe.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"

#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <string.h>

#define VXLAN_PORT 4789 /* RFC 7348 */
#define MII_MON_MS 100
/* if_link.h of 5.16; older headers lack it. */
#define BOND_AD_LACP_ACTIVE 29

enum { BOND_MODE_XOR = 2, BOND_MODE_8023AD = 4 };
enum { BALANCE_L2, BALANCE_L34, BALANCE_L23 }; /* as the kernel numbers its policies */

/* ---- what a link must be ---- */

static void put(struct iface_make *m, uint16_t type, const void *data, uint16_t size)
{
	if (m->n_info == IFACE_MAKE_ATTRS || size > sizeof(m->info[0].data))
		abort();
	m->info[m->n_info].type = type;
	m->info[m->n_info].size = size;
	memcpy(m->info[m->n_info++].data, data, size);
}

static void put_u8(struct iface_make *m, uint16_t type, uint8_t v)
{
	put(m, type, &v, sizeof(v));
}

static void put_u16(struct iface_make *m, uint16_t type, uint16_t v)
{
	put(m, type, &v, sizeof(v));
}

static void put_u32(struct iface_make *m, uint16_t type, uint32_t v)
{
	put(m, type, &v, sizeof(v));
}

static void put_addr(struct iface_make *m, uint16_t type, const struct rtr_addr *a)
{
	if (a->family)
		put(m, type, a->b, (uint16_t)rtr_family_size(a->family));
}

const struct iface *iface_outer(const struct rec *root, const struct iface *i)
{
	const struct recvec *ifaces = rec_kids(root, &iface_type);
	char parent[IFNAMSIZ], other[IFNAMSIZ];
	const struct iface *o;

	if (!iface_parent_name(i->name, parent))
		return NULL;
	recvec_foreach(ifaces, o) {
		if (o->dot1q == i->dot1q && !o->second_dot1q && iface_parent_name(o->name, other) &&
		    !strcmp(other, parent))
			return o;
	}
	return NULL;
}

/* A subinterface waits for its parent, one with two tags for that of the outer one. */
static void make_vlan(const struct rec *root, const struct iface *i, struct iface_make *m)
{
	const struct shadow_link *parent = NULL;
	const struct iface *outer;
	char name[IFNAMSIZ];

	if (i->second_dot1q) {
		outer = iface_outer(root, i);
		parent = outer ? iface_link(outer->name) : NULL;
	} else if (iface_parent_name(i->name, name)) {
		parent = iface_link(name);
	}
	if (!i->dot1q || !parent)
		return;
	m->kind = "vlan";
	m->parent = parent->ifindex;
	put_u16(m, IFLA_VLAN_ID, i->second_dot1q ? i->second_dot1q : i->dot1q);
}

/* The source of a tunnel: an address, or the first one of an interface. */
static bool tunnel_source(const struct iface *i, struct rtr_addr *ret)
{
	const struct shadow_link *l = i->tunnel_src_if[0] ? iface_link(i->tunnel_src_if) : NULL;

	*ret = i->tunnel_src;
	for (size_t k = 0; l && k < l->n_addrs && !ret->family; k++) {
		const struct rtr_addr *a = &l->addrs[k].addr.addr;

		if (a->family == i->tunnel_dst.family && !rtr_addr_is_linklocal(a))
			*ret = *a;
	}
	return ret->family;
}

static void make_gre(const struct iface *i, const struct rtr_addr *src, struct iface_make *m)
{
	uint16_t key_flag = htons(0x2000); /* GRE_KEY, RFC 2890 */
	uint32_t key = htonl(i->tunnel_key);

	m->kind = i->tunnel_mode == TUNNEL_GRE6 ? "ip6gre" : "gre";
	put_addr(m, IFLA_GRE_LOCAL, src);
	put_addr(m, IFLA_GRE_REMOTE, &i->tunnel_dst);
	put_u8(m, IFLA_GRE_TTL, SCH_HAS(i, tunnel_ttl) ? i->tunnel_ttl : 255);
	if (!SCH_HAS(i, tunnel_key))
		return;
	put(m, IFLA_GRE_IFLAGS, &key_flag, 2);
	put(m, IFLA_GRE_OFLAGS, &key_flag, 2);
	put(m, IFLA_GRE_IKEY, &key, 4);
	put(m, IFLA_GRE_OKEY, &key, 4);
}

static void make_tunnel(const struct iface *i, struct iface_make *m)
{
	static const char *const kinds[] = { "gre", "ip6gre", "ipip", "sit", "ip6tnl" };
	struct rtr_addr src;

	if (!i->tunnel_dst.family || !tunnel_source(i, &src))
		return;
	if (i->tunnel_mode == TUNNEL_GRE || i->tunnel_mode == TUNNEL_GRE6) {
		make_gre(i, &src, m);
		return;
	}
	m->kind = kinds[i->tunnel_mode];
	put_addr(m, IFLA_IPTUN_LOCAL, &src);
	put_addr(m, IFLA_IPTUN_REMOTE, &i->tunnel_dst);
	put_u8(m, IFLA_IPTUN_TTL, SCH_HAS(i, tunnel_ttl) ? i->tunnel_ttl : 255);
	/* Both families go through an IPv6 tunnel. */
	if (i->tunnel_mode == TUNNEL_IP6)
		put_u8(m, IFLA_IPTUN_PROTO, 0);
}

static void make_vxlan(const struct iface *i, struct iface_make *m)
{
	const struct shadow_link *dev = i->vxlan_dev[0] ? iface_link(i->vxlan_dev) : NULL;
	uint16_t port = htons(SCH_HAS(i, vxlan_port) ? i->vxlan_port : VXLAN_PORT);
	bool v6 = i->vxlan_dst.family == AF_INET6 || i->vxlan_src.family == AF_INET6;

	if (!i->vni || (i->vxlan_dev[0] && !dev))
		return;
	m->kind = "vxlan";
	put_u32(m, IFLA_VXLAN_ID, i->vni);
	if (dev)
		put_u32(m, IFLA_VXLAN_LINK, (uint32_t)dev->ifindex);
	put_addr(m, v6 ? IFLA_VXLAN_LOCAL6 : IFLA_VXLAN_LOCAL, &i->vxlan_src);
	put_addr(m, v6 ? IFLA_VXLAN_GROUP6 : IFLA_VXLAN_GROUP, &i->vxlan_dst);
	put(m, IFLA_VXLAN_PORT, &port, 2);
	put_u8(m, IFLA_VXLAN_LEARNING, 1);
}

/* As IOS has it: the members say how, and all say the same (check). */
static const struct iface *first_member(const struct rec *root, unsigned number)
{
	const struct recvec *ifaces = rec_kids(root, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		if (i->channel_group == number && SCH_HAS(i, channel_group))
			return i;
	}
	return NULL;
}

static unsigned bond_number(const char *name)
{
	return (unsigned)atoi(name + strlen("Port-channel"));
}

static void make_bond(const struct rec *root, const struct iface *i, struct iface_make *m)
{
	const struct iface *member = first_member(root, bond_number(i->name));
	uint8_t how = member ? member->channel_mode : CHANNEL_ACTIVE;

	m->kind = "bond";
	put_u8(m, IFLA_BOND_MODE, how == CHANNEL_ON ? BOND_MODE_XOR : BOND_MODE_8023AD);
	put_u32(m, IFLA_BOND_MIIMON, MII_MON_MS);
	put_u8(m, IFLA_BOND_XMIT_HASH_POLICY, i->load_balance);
	put_u32(m, IFLA_BOND_MIN_LINKS, i->min_links);
	if (how == CHANNEL_ON)
		return;
	put_u8(m, IFLA_BOND_AD_LACP_RATE, i->lacp_rate);
	put_u8(m, BOND_AD_LACP_ACTIVE, how == CHANNEL_ACTIVE);
}

void iface_make(const struct rec *root, const struct iface *i, struct iface_make *m)
{
	*m = (struct iface_make){ 0 };
	switch (iface_kind_of(i->name)) {
	case IFACE_LOOPBACK:
		m->kind = probe_link_kind("dummy") ? "dummy" : "bridge";
		break;
	case IFACE_BVI:
		m->kind = "bridge";
		break;
	case IFACE_SUB:
		make_vlan(root, i, m);
		break;
	case IFACE_TUNNEL:
		make_tunnel(i, m);
		break;
	case IFACE_NVE:
		make_vxlan(i, m);
		break;
	case IFACE_BOND:
		make_bond(root, i, m);
		break;
	default:
		break;
	}
}

/* The kernel leaves out some attributes that are zero. */
static bool all_zero(const uint8_t *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

bool iface_is_made(const struct iface_make *m, const struct shadow_link *l)
{
	if (strcmp(l->kind, m->kind) || (m->parent && l->parent != m->parent))
		return false;
	for (unsigned i = 0; i < m->n_info; i++) {
		struct nlattr *a = l->info_size ? nla_find((struct nlattr *)(void *)l->info,
							   (int)l->info_size, m->info[i].type)
						: NULL;

		if (a ? nla_len(a) != m->info[i].size ||
				    memcmp(nla_data(a), m->info[i].data, m->info[i].size)
		      : !all_zero(m->info[i].data, m->info[i].size))
			return false;
	}
	return true;
}

/* ---- lines ---- */

static const struct sch_row rows[] = {
	SCH_LEAF("tunnel mode {tunnel_mode:gre ip|gre ipv6|ipip|ipv6ip|ipv6}", iface,
		 .help = "What carries the packets; gre ip when not configured"),
	SCH_LEAF("tunnel source {<tunnel_src:ADDR>|<tunnel_src_if:IFNAME>}", iface,
		 .help = "Our end: an address, or the interface that has it"),
	SCH_LEAF("tunnel destination <tunnel_dst:ADDR>", iface, .help = "The other end"),
	SCH_LEAF("tunnel key <tunnel_key:U32>", iface, .help = "GRE key, the same at both ends"),
	SCH_LEAF("tunnel ttl <tunnel_ttl:U8(1,255)>", iface, .dflt = "255",
		 .help = "Time to live of the outer header"),
	SCH_LEAF("vni <vni:U32(1,16777215)>", iface, .help = "VXLAN network"),
	SCH_LEAF("vxlan source <vxlan_src:ADDR>", iface, .help = "Our end"),
	SCH_LEAF("vxlan destination <vxlan_dst:ADDR>[ interface <vxlan_dev:IFNAME>]", iface,
		 .help = "The other end, or a multicast group on an interface"),
	SCH_LEAF("vxlan port <vxlan_port:U16(1,65535)>", iface, .dflt = "4789", .help = "UDP port"),
	SCH_LEAF("channel-group <channel_group:U16(0,999)> mode {channel_mode:active|passive|on}",
		 iface, .help = "Make the interface a member of Port-channel<n>"),
	SCH_LEAF("lacp rate {lacp_rate:normal|fast}", iface,
		 .help = "LACP packets every 30 seconds, or every second"),
	SCH_LEAF("lacp min-links <min_links:U16(1,255)>", iface,
		 .help = "Members that must be up for the channel to be"),
	SCH_LEAF("port-channel load-balance {load_balance:mac|ip-port|ip}", iface,
		 .help = "By what flows are spread over the members"),
};

static const struct sch_word words[] = {
	{ "active", "LACP, from our side too" },
	{ "channel-group", "Member of a port-channel" },
	{ "fast", "Every second" },
	{ "gre", "Generic routing encapsulation" },
	{ "gre ip", "Over IPv4" },
	{ "ip-port", "By addresses and ports" },
	{ "ipip", "IPv4 in IPv4" },
	{ "ipv6ip", "IPv6 in IPv4 (6in4)" },
	{ "key", "Number that tells tunnels apart" },
	{ "lacp", "Link aggregation control protocol" },
	{ "load-balance", "By what flows are spread over the members" },
	{ "mac", "By MAC addresses" },
	{ "min-links", "Members that must be up" },
	{ "mode", "How" },
	{ "normal", "Every 30 seconds" },
	{ "on", "Without LACP" },
	{ "passive", "LACP, when the other side begins" },
	{ "port", "UDP port" },
	{ "port-channel", "Several links as one" },
	{ "rate", "How often" },
	{ "tunnel", "Packets within packets" },
	{ "tunnel destination", "The other end" },
	{ "tunnel source", "Our end" },
	{ "vni", "VXLAN network" },
	{ "vxlan", "Ethernet in UDP" },
	{ "vxlan destination", "The other end" },
	{ "vxlan source", "Our end" },
};

/* ---- check ---- */

static void need_kind(struct check *c, const struct iface *i, const char *kind, const char *what)
{
	if (!c->offline && !iface_link(i->name) && !probe_link_kind(kind))
		check_error(c, &i->rec, "this kernel has no %s (module %s)", what, kind);
}

static void check_tunnel(struct check *c, const struct iface *i)
{
	static const struct {
		const char *kind, *what;
		int family;
	} modes[] = { { "gre", "GRE", AF_INET },
		      { "ip6gre", "GRE over IPv6", AF_INET6 },
		      { "ipip", "IPIP", AF_INET },
		      { "sit", "6in4", AF_INET },
		      { "ip6tnl", "IPv6 tunnels", AF_INET6 } };
	bool gre = i->tunnel_mode == TUNNEL_GRE || i->tunnel_mode == TUNNEL_GRE6;
	int family = modes[i->tunnel_mode].family;

	if (iface_kind_of(i->name) != IFACE_TUNNEL) {
		if (SCH_HAS(i, tunnel_mode) || SCH_HAS(i, tunnel_src) ||
		    SCH_HAS(i, tunnel_src_if) || SCH_HAS(i, tunnel_dst) || SCH_HAS(i, tunnel_key) ||
		    SCH_HAS(i, tunnel_ttl))
			check_error(c, &i->rec, "%s is no tunnel (Tunnel<n>)", i->name);
		return;
	}
	need_kind(c, i, modes[i->tunnel_mode].kind, modes[i->tunnel_mode].what);
	if ((i->tunnel_src.family && i->tunnel_src.family != family) ||
	    (i->tunnel_dst.family && i->tunnel_dst.family != family))
		check_error(c, &i->rec, "the ends of this tunnel are %s addresses",
			    family == AF_INET6 ? "IPv6" : "IPv4");
	if (SCH_HAS(i, tunnel_key) && !gre)
		check_error(c, &i->rec, "only GRE has a key");
	if (i->tunnel_src_if[0] && !strcmp(i->tunnel_src_if, i->name))
		check_error(c, &i->rec, "a tunnel cannot be its own source");
	if (i->bridge_group)
		check_error(c, &i->rec, "a tunnel of IP packets cannot be the port of a bridge");
	if (i->tunnel_mode == TUNNEL_IPIP && iface_wants_ipv6(i))
		check_error(c, &i->rec, "an IPIP tunnel carries IPv4 only");
	if (i->tunnel_mode == TUNNEL_SIT && rec_kids(&i->rec, &iface_addr4_type)->len)
		check_error(c, &i->rec, "a 6in4 tunnel carries IPv6 only");
}

static void check_nve(struct check *c, const struct iface *i)
{
	if (iface_kind_of(i->name) != IFACE_NVE) {
		if (SCH_HAS(i, vni) || SCH_HAS(i, vxlan_src) || SCH_HAS(i, vxlan_dst) ||
		    SCH_HAS(i, vxlan_port))
			check_error(c, &i->rec, "%s is no VXLAN interface (nve<n>)", i->name);
		return;
	}
	need_kind(c, i, "vxlan", "VXLAN");
	if (i->vxlan_src.family && i->vxlan_dst.family &&
	    i->vxlan_src.family != i->vxlan_dst.family)
		check_error(c, &i->rec, "the ends are of different address families");
	if (rtr_addr_is_multicast(&i->vxlan_dst) && !i->vxlan_dev[0])
		check_error(c, &i->rec, "a multicast group needs its interface");
}

static void check_member(struct check *c, const struct iface *i)
{
	enum iface_kind kind = iface_kind_of(i->name);
	const struct iface *first;
	char name[32];

	if (!SCH_HAS(i, channel_group))
		return;
	snprintf(name, sizeof(name), "Port-channel%u", i->channel_group);
	first = first_member(c->new, i->channel_group);
	if (!iface_find(c->new, name))
		check_error(c, &i->rec, "there is no interface %s", name);
	if (kind != IFACE_HARD)
		check_error(c, &i->rec, "%s cannot be the member of a channel", i->name);
	if (i->bridge_group || i->vrf || rec_kids(&i->rec, &iface_addr4_type)->len ||
	    iface_wants_ipv6(i))
		check_error(
			c, &i->rec,
			"the member of a channel has no addresses, bridge or VRF: they belong to %s",
			name);
	if (first != i && first->channel_mode != i->channel_mode)
		check_error(c, &i->rec, "the members of %s are of one mode, and %s is of another",
			    name, first->name);
}

static void check_bond(struct check *c, const struct iface *i)
{
	if (iface_kind_of(i->name) == IFACE_BOND)
		need_kind(c, i, "bond", "bonding");
	else if (SCH_HAS(i, lacp_rate) || SCH_HAS(i, min_links) || SCH_HAS(i, load_balance))
		check_error(c, &i->rec, "%s is no channel (Port-channel<n>)", i->name);
	if (iface_kind_of(i->name) == IFACE_BOND && bond_number(i->name) > 999)
		check_error(c, &i->rec, "channels have numbers up to 999");
}

static void check(struct check *c)
{
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		check_tunnel(c, i);
		check_nve(c, i);
		check_bond(c, i);
		check_member(c, i);
		if (i->second_dot1q && !iface_outer(c->new, i))
			check_error(c, &i->rec,
				    "second-dot1q needs a subinterface with encapsulation dot1Q %u "
				    "for the outer tag",
				    i->dot1q);
	}
}

static const char *const after_links[] = { "links", NULL };

static const struct domain virtual_links_domain = {
	.name = "virtual-links",
	.after = after_links,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.check = check,
};
RTR_DOMAIN(virtual_links_domain);
