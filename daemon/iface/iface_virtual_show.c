/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show etherchannel summary, show interfaces tunnel, show mac address-table. */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "txn/txn.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <string.h>

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ---- show etherchannel summary ---- */

struct port { /* of a bond, as the kernel tells it */
	int ifindex, master;
	bool bond, slave;
	int aggregator; /* of the port; of a bond: the active one */
	bool mii_up;
};

struct ports {
	struct port v[256];
	size_t n;
};

static void take_bond(struct port *p, struct nlattr *data)
{
	struct nlattr *tb[IFLA_BOND_MAX + 1], *ad[IFLA_BOND_AD_INFO_MAX + 1];

	p->bond = true;
	if (data && !nla_parse_nested(tb, IFLA_BOND_MAX, data, NULL) && tb[IFLA_BOND_AD_INFO] &&
	    !nla_parse_nested(ad, IFLA_BOND_AD_INFO_MAX, tb[IFLA_BOND_AD_INFO], NULL) &&
	    ad[IFLA_BOND_AD_INFO_AGGREGATOR])
		p->aggregator = nla_get_u16(ad[IFLA_BOND_AD_INFO_AGGREGATOR]);
}

static void take_slave(struct port *p, struct nlattr *data)
{
	struct nlattr *tb[IFLA_BOND_SLAVE_MAX + 1];

	p->slave = true;
	if (!data || nla_parse_nested(tb, IFLA_BOND_SLAVE_MAX, data, NULL))
		return;
	if (tb[IFLA_BOND_SLAVE_AD_AGGREGATOR_ID])
		p->aggregator = nla_get_u16(tb[IFLA_BOND_SLAVE_AD_AGGREGATOR_ID]);
	p->mii_up = tb[IFLA_BOND_SLAVE_MII_STATUS] && !nla_get_u8(tb[IFLA_BOND_SLAVE_MII_STATUS]);
}

static void take_port(void *arg, const struct nlmsghdr *h)
{
	const struct ifinfomsg *ifi = nlmsg_data(h);
	struct nlattr *tb[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
	struct ports *ps = arg;
	struct port p = { 0 };

	if (h->nlmsg_type != RTM_NEWLINK || ps->n == ARRAY_LEN(ps->v) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*ifi), tb, IFLA_MAX, NULL) ||
	    !tb[IFLA_LINKINFO] || nla_parse_nested(info, IFLA_INFO_MAX, tb[IFLA_LINKINFO], NULL))
		return;
	p.ifindex = ifi->ifi_index;
	p.master = tb[IFLA_MASTER] ? (int)nla_get_u32(tb[IFLA_MASTER]) : 0;
	if (info[IFLA_INFO_KIND] && !strcmp(nla_get_string(info[IFLA_INFO_KIND]), "bond"))
		take_bond(&p, info[IFLA_INFO_DATA]);
	else if (info[IFLA_INFO_SLAVE_KIND] &&
		 !strcmp(nla_get_string(info[IFLA_INFO_SLAVE_KIND]), "bond"))
		take_slave(&p, info[IFLA_INFO_SLAVE_DATA]);
	if (p.bond || p.slave)
		ps->v[ps->n++] = p;
}

static const struct port *find_port(const struct ports *ps, int ifindex)
{
	for (size_t i = 0; i < ps->n; i++) {
		if (ps->v[i].ifindex == ifindex)
			return &ps->v[i];
	}
	return NULL;
}

/* IOS's letters: P bundled, I stand-alone (no partner speaks LACP), D down. */
static const char *member_state(const struct ports *ps, const struct iface *member,
				const struct shadow_link *channel)
{
	const struct shadow_link *l = iface_link(member->name);
	const struct port *p = l ? find_port(ps, l->ifindex) : NULL;
	const struct port *bond = channel ? find_port(ps, channel->ifindex) : NULL;

	if (!p || !bond || p->master != bond->ifindex || !p->mii_up)
		return "D";
	if (member->channel_mode == CHANNEL_ON)
		return "P";
	return p->aggregator == bond->aggregator ? "P" : "I";
}

static json_t *show_etherchannel(struct cmd_ctx *c)
{
	const struct recvec *ifaces = rec_kids(txn_running(), &iface_type);
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct ports *ps = xcalloc(1, sizeof(*ps));
	json_t *out = json_array();
	const struct iface *i, *m;

	kquery_all(rtmsg_new(RTM_GETLINK, 0, &ifi, sizeof(ifi), RTMSG_SIZE), take_port, ps);
	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = iface_link(i->name);
		json_t *members = json_array();
		const char *protocol = "-";

		if (iface_kind_of(i->name) != IFACE_BOND) {
			json_decref(members);
			continue;
		}
		recvec_foreach(ifaces, m) {
			char name[32];

			snprintf(name, sizeof(name), "Port-channel%u", m->channel_group);
			if (!SCH_HAS(m, channel_group) || strcmp(name, i->name))
				continue;
			protocol = m->channel_mode == CHANNEL_ON ? "-" : "LACP";
			json_array_append_new(members, json_pack("{s:s,s:s}", "interface", m->name,
								 "state", member_state(ps, m, l)));
		}
		json_array_append_new(out, json_pack("{s:i,s:s,s:b,s:s,s:o}", "group",
						     atoi(i->name + strlen("Port-channel")),
						     "port_channel", i->name, "up",
						     l && shadow_link_is_up(l), "protocol",
						     protocol, "ports", members));
	}
	free(ps);
	return out;
}

static void print_etherchannel(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o, *p;
	size_t i, k;

	cmd_puts(c, "Flags:  D - down        P - bundled in port-channel\n"
		    "        I - stand-alone R - Layer3   U - in use\n\n");
	cmd_printf(c, "%-7s%-21s%-12s%s\n", "Group", "Port-channel", "Protocol", "Ports");
	cmd_puts(c, "------+--------------------+-----------+----------------------------\n");
	json_array_foreach(doc, i, o) {
		char name[40];

		snprintf(name, sizeof(name), "%s(R%s)", text_of(o, "port_channel"),
			 json_is_true(json_object_get(o, "up")) ? "U" : "D");
		cmd_printf(c, "%-7d%-21s%-12s",
			   (int)json_integer_value(json_object_get(o, "group")), name,
			   text_of(o, "protocol"));
		json_array_foreach(json_object_get(o, "ports"), k, p)
			cmd_printf(c, "%s%s(%s)", k ? " " : "", text_of(p, "interface"),
				   text_of(p, "state"));
		cmd_puts(c, "\n");
	}
}

/* ---- show interfaces tunnel ---- */

static json_t *show_tunnels(struct cmd_ctx *c)
{
	static const char *const modes[] = { "GRE/IP", "GRE/IPv6", "IP/IP", "IPv6/IP", "IP/IPv6" };
	const struct recvec *ifaces = rec_kids(txn_running(), &iface_type);
	json_t *out = json_array();
	const struct iface *i;
	char text[RTR_ADDR_STRLEN];

	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = iface_link(i->name);
		const char *src = i->tunnel_src_if;
		json_t *o;

		if (iface_kind_of(i->name) != IFACE_TUNNEL)
			continue;
		if (i->tunnel_src.family)
			src = rtr_addr_str(&i->tunnel_src, text);
		o = json_pack("{s:s,s:s,s:b,s:s,s:i,s:i}", "name", i->name, "mode",
			      modes[i->tunnel_mode], "up", l && shadow_link_is_up(l), "source", src,
			      "ttl", SCH_HAS(i, tunnel_ttl) ? i->tunnel_ttl : 255, "mtu",
			      l ? (int)l->mtu : 0);
		json_object_set_new(o, "destination",
				    json_string(i->tunnel_dst.family
							? rtr_addr_str(&i->tunnel_dst, text)
							: ""));
		if (SCH_HAS(i, tunnel_key))
			json_object_set_new(o, "key", json_integer(i->tunnel_key));
		json_array_append_new(out, o);
	}
	return out;
}

static void print_tunnels(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o, *key;
	size_t i;

	json_array_foreach(doc, i, o) {
		const char *up = json_is_true(json_object_get(o, "up")) ? "up" : "down";

		key = json_object_get(o, "key");
		cmd_printf(c, "%s is %s\n  Tunnel source %s, destination %s\n", text_of(o, "name"),
			   up, text_of(o, "source"), text_of(o, "destination"));
		cmd_printf(c, "  Tunnel protocol/transport %s, MTU %d bytes\n", text_of(o, "mode"),
			   (int)json_integer_value(json_object_get(o, "mtu")));
		if (key)
			cmd_printf(c, "  Key 0x%llX\n", (long long)json_integer_value(key));
		cmd_printf(c, "  Tunnel TTL %d\n",
			   (int)json_integer_value(json_object_get(o, "ttl")));
	}
}

/* ---- show mac address-table ---- */

static void take_mac(void *arg, const struct nlmsghdr *h)
{
	const struct ndmsg *nd = nlmsg_data(h);
	struct nlattr *tb[NDA_MAX + 1];
	const struct shadow_link *port, *bridge;
	const uint8_t *m;
	char text[16];
	json_t *o;

	if (h->nlmsg_type != RTM_NEWNEIGH ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*nd), tb, NDA_MAX, NULL) ||
	    !tb[NDA_LLADDR] || nla_len(tb[NDA_LLADDR]) != 6)
		return;
	m = nla_data(tb[NDA_LLADDR]);
	port = shadow_link_by_index(nd->ndm_ifindex);
	bridge = tb[NDA_MASTER] ? shadow_link_by_index((int)nla_get_u32(tb[NDA_MASTER])) : NULL;
	/* Groups that a link listens to are not hosts; a VXLAN port tells what it learned itself
	 * once more. */
	if (!port || m[0] & 1 || (!bridge && (strcmp(port->kind, "vxlan") || port->master)))
		return;
	snprintf(text, sizeof(text), "%02x%02x.%02x%02x.%02x%02x", m[0], m[1], m[2], m[3], m[4],
		 m[5]);
	o = json_pack("{s:s,s:s,s:s,s:s}", "bridge",
		      iface_operator_name(bridge ? bridge->name : port->name), "address", text,
		      "type", nd->ndm_state & NUD_PERMANENT ? "STATIC" : "DYNAMIC", "port",
		      iface_operator_name(port->name));
	if (tb[NDA_VLAN])
		json_object_set_new(o, "vlan", json_integer(nla_get_u16(tb[NDA_VLAN])));
	json_array_append_new(arg, o);
}

static json_t *show_macs(struct cmd_ctx *c)
{
	struct ndmsg nd = { .ndm_family = AF_BRIDGE };
	json_t *out = json_array();
	int r = kquery_all(rtmsg_new(RTM_GETNEIGH, 0, &nd, sizeof(nd), 64), take_mac, out);

	if (r && r != -EOPNOTSUPP) {
		json_decref(out);
		cmd_fail(c, "The kernel's addresses: %s", strerror(-r));
		return NULL;
	}
	return out;
}

static void print_macs(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_puts(c, "          Mac Address Table\n"
		    "-------------------------------------------\n\n");
	cmd_printf(c, "%-12s%-18s%-12s%s\n", "Bridge", "Mac Address", "Type", "Ports");
	json_array_foreach(doc, i, o)
		cmd_printf(c, "%-12s%-18s%-12s%s\n", text_of(o, "bridge"), text_of(o, "address"),
			   text_of(o, "type"), text_of(o, "port"));
	cmd_printf(c, "Total Mac Addresses: %zu\n", json_array_size(doc));
}

static const struct cmd cmds[] = {
	{ "show etherchannel summary", "Channels and their members", .data = show_etherchannel,
	  .text = print_etherchannel },
	{ "show interfaces tunnel", "Tunnels and their ends", .data = show_tunnels,
	  .text = print_tunnels },
	{ "show mac address-table", "MAC addresses that bridges have learned", .data = show_macs,
	  .text = print_macs },
};

static const struct sch_word words[] = {
	{ "address-table", "What bridges have learned" },
	{ "etherchannel", "Several links as one" },
	{ "show interfaces tunnel", "Tunnels and their ends" },
	{ "show mac", "MAC addresses" },
};

static const struct domain virtual_show_domain = {
	.name = "virtual-links-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(virtual_show_domain);
