/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines of DHCP and router advertisements, their check, and the domain "autoconfiguration". */
#include "auto/auto.h"
#include "domain.h"
#include "kernel/shadow.h"

#include <string.h>

SCH_TYPE(ra_prefix, SCH_F(ra_prefix, net), SCH_F(ra_prefix, valid), SCH_F(ra_prefix, preferred),
	 SCH_F(ra_prefix, no_advertise), SCH_F(ra_prefix, no_autoconfig),
	 SCH_F(ra_prefix, off_link));
SCH_TYPE(ra_dns, SCH_F(ra_dns, addr));

static const struct sch_row rows[] = {
	SCH_LEAF("ip address dhcp", iface, .flag = "dhcp", .help = "Address and routes by DHCP"),
	SCH_LEAF("ip dhcp client default-router distance <dhcp_distance:U8(1,255)>", iface,
		 .dflt = "254", .help = "Distance of the routes that DHCP brings; 255: none"),
	SCH_LEAF("ipv6 nd ra suppress", iface, .flag = "ra_suppress", .dflt = "on",
		 .help = "Send no router advertisements"),
	SCH_LEAF("ipv6 nd ra interval <ra_max:U16(4,1800)>[ <ra_min:U16(3,1350)>]", iface,
		 .help = "Seconds between advertisements at most, and at least"),
	SCH_LEAF("ipv6 nd ra lifetime <ra_lifetime:U16(0,9000)>", iface,
		 .help = "Seconds for which hosts take us as default router; 0: they do not"),
	SCH_LEAF("ipv6 nd ra hop-limit <ra_hop_limit:U8>", iface, .dflt = "64",
		 .help = "Hop limit that hosts shall use"),
	SCH_LIST("ipv6 nd ra dns server <addr:ADDR6>", ra_dns, .parent = &iface_type, .key = "addr",
		 .name = "ra_dns", .help = "Name server to tell hosts of"),
	SCH_LEAF("ipv6 nd managed-config-flag", iface, .flag = "ra_managed",
		 .help = "Hosts shall ask DHCPv6 for addresses"),
	SCH_LEAF("ipv6 nd other-config-flag", iface, .flag = "ra_other",
		 .help = "Hosts shall ask DHCPv6 for the rest"),
	SCH_LEAF("ipv6 nd router-preference {ra_preference:high|medium|low}", iface,
		 .help = "Which of several routers hosts shall prefer"),
	SCH_LIST("ipv6 nd prefix <net:PREFIX6>[ <valid:U32> <preferred:U32>][ no-advertise]"
		 "[ no-autoconfig][ off-link]",
		 ra_prefix, .parent = &iface_type, .key = "net", .name = "ra_prefix",
		 .help = "Lifetimes and flags of a prefix, or one more prefix"),
};

static const struct sch_word words[] = {
	{ "client", "What we ask for" },
	{ "default-router", "Routes that DHCP brings" },
	{ "dhcp", "Address by DHCP" },
	{ "distance", "Rank among routes of one network" },
	{ "dns", "Name servers" },
	{ "high", "Before others" },
	{ "hop-limit", "Hop limit that hosts shall use" },
	{ "interval", "Time between advertisements" },
	{ "ip address dhcp", "Address and routes by DHCP" },
	{ "ip dhcp", "DHCP" },
	{ "lifetime", "How long hosts take us as default router" },
	{ "low", "After others" },
	{ "managed-config-flag", "Addresses by DHCPv6" },
	{ "medium", "Like others" },
	{ "no-advertise", "Not in advertisements" },
	{ "no-autoconfig", "Hosts make no addresses of it" },
	{ "off-link", "Hosts send to it by the router" },
	{ "other-config-flag", "The rest by DHCPv6" },
	{ "prefix", "A network of this link" },
	{ "ra", "Router advertisements" },
	{ "router-preference", "Which of several routers hosts shall prefer" },
	{ "server", "Name server" },
	{ "suppress", "Send none" },
};

static void check_dhcp(struct check *c, const struct iface *i)
{
	enum iface_kind kind = iface_kind_of(i->name);

	if (!i->dhcp) {
		if (SCH_HAS(i, dhcp_distance))
			check_error(c, &i->rec, "%s has no ip address dhcp", i->name);
		return;
	}
	if (kind == IFACE_LOOPBACK0 || kind == IFACE_LOOPBACK || kind == IFACE_TUNNEL)
		check_error(c, &i->rec, "%s cannot ask by DHCP: it is no Ethernet", i->name);
	if (rec_kids(&i->rec, &iface_addr4_type)->len)
		check_error(c, &i->rec, "%s has addresses of its own: DHCP, or those", i->name);
	if (i->bridge_group || SCH_HAS(i, channel_group))
		check_error(c, &i->rec, "%s has no address: it is part of another interface",
			    i->name);
}

static void check_prefixes(struct check *c, const struct iface *i)
{
	const struct recvec *v = rec_kids(&i->rec, &ra_prefix_type);
	const struct ra_prefix *p;

	if (v->len > AUTOD_PREFIXES)
		check_error(c, v->v[AUTOD_PREFIXES], "more than %d prefixes on %s", AUTOD_PREFIXES,
			    i->name);
	recvec_foreach(v, p) {
		if (SCH_HAS(p, valid) && p->preferred > p->valid)
			check_error(c, &p->rec, "preferred for longer than it is valid");
		if (rtr_addr_is_linklocal(&p->net.addr) || rtr_addr_is_multicast(&p->net.addr))
			check_error(c, &p->rec, "this is no network of hosts");
	}
}

static void check_ra(struct check *c, const struct iface *i)
{
	const struct recvec *dns = rec_kids(&i->rec, &ra_dns_type);
	uint16_t max = SCH_HAS(i, ra_max) ? i->ra_max : 200;

	if (SCH_HAS(i, ra_min) && i->ra_min * 4 > i->ra_max * 3)
		check_error(c, &i->rec, "the shortest interval is at most 3/4 of the longest");
	if (SCH_HAS(i, ra_lifetime) && i->ra_lifetime && i->ra_lifetime < max)
		check_error(c, &i->rec,
			    "a lifetime of %u s ends before the next advertisement (%u s)",
			    i->ra_lifetime, max);
	if (dns->len > AUTOD_DNS)
		check_error(c, dns->v[AUTOD_DNS], "more than %d name servers on %s", AUTOD_DNS,
			    i->name);
	check_prefixes(c, i);
	if (auto_sends_ra(i) && !iface_wants_ipv6(i))
		check_error(c, &i->rec, "%s has no IPv6 to advertise", i->name);
}

void auto_check(struct check *c)
{
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		check_dhcp(c, i);
		check_ra(c, i);
	}
}

static const char *const after_addresses[] = { "addresses", NULL };

static const struct domain auto_domain = {
	.name = "autoconfiguration",
	.after = after_addresses,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.init = auto_init,
	.fini = auto_fini,
	.observed = auto_observed,
	.check = auto_check,
};
RTR_DOMAIN(auto_domain);
