/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines about neighbours, their check, and the domain "neighbours". */
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "neigh/dad.h"
#include "neigh/neigh.h"
#include "system/global.h"

#include <string.h>

SCH_TYPE(static_arp, SCH_F(static_arp, addr), SCH_F(static_arp, mac), SCH_F(static_arp, ifname),
	 SCH_F(static_arp, alias));
SCH_TYPE(static_nd, SCH_F(static_nd, addr), SCH_F(static_nd, ifname), SCH_F(static_nd, mac));
SCH_TYPE(nd_proxy, SCH_F(nd_proxy, addr));

static struct sch_field arp_timer_fields[] = { SCH_F(neigh_timer, timer),
					       SCH_F(neigh_timer, value) };
struct sch_type arp_timer_type = {
	.name = "arp_timer",
	.size = sizeof(struct neigh_timer),
	.fields = arp_timer_fields,
	.n_fields = ARRAY_LEN(arp_timer_fields),
};

static struct sch_field nd_timer_fields[] = { SCH_F(neigh_timer, timer),
					      SCH_F(neigh_timer, value) };
struct sch_type nd_timer_type = {
	.name = "nd_timer",
	.size = sizeof(struct neigh_timer),
	.fields = nd_timer_fields,
	.n_fields = ARRAY_LEN(nd_timer_fields),
};

/*
 * Defaults of the first seven are the kernel's (arp_tbl, nd_tbl), those of announcements RFC 5227
 * section 1.1 (ANNOUNCE_NUM, ANNOUNCE_INTERVAL) and RFC 4861 section 10
 * (MAX_NEIGHBOR_ADVERTISEMENT, RETRANS_TIMER). A queue of 16 MiB for each neighbour that does not
 * answer is what a flood of unknown addresses may cost at most, times the limit of the table.
 */
const struct neigh_knob_info neigh_knobs[2][NEIGH__KNOBS] = {
	{
		{ "base_reachable_time_ms", 1000, 1, 86400, 30 },
		{ "retrans_time_ms", 1, 10, 60000, 1000 },
		{ "delay_first_probe_time", 1, 1, 3600, 5 },
		{ "gc_stale_time", 1, 1, 86400, 60 },
		{ "ucast_solicit", 1, 0, 20, 3 },
		{ "mcast_solicit", 1, 1, 20, 3 },
		{ "unres_qlen_bytes", 1, 0, 16 << 20, 212992 },
		{ NULL, 1, 1, 60, 2 },
		{ NULL, 1, 100, 60000, 2000 },
	},
	{
		{ "base_reachable_time_ms", 1, 1000, 86400000, 30000 },
		{ "retrans_time_ms", 1, 10, 60000, 1000 },
		{ "delay_first_probe_time", 1, 1, 3600, 5 },
		{ "gc_stale_time", 1, 1, 86400, 60 },
		{ "ucast_solicit", 1, 0, 20, 3 },
		{ "mcast_solicit", 1, 1, 20, 3 },
		{ "unres_qlen_bytes", 1, 0, 16 << 20, 212992 },
		{ NULL, 1, 1, 60, 3 },
		{ NULL, 1, 100, 60000, 1000 },
	},
};

#define TIMERS_REST                                                                                \
	"delay|stale-time|unicast-probes|multicast-probes|queue|announce-count|announce-interval"

static const struct sch_row rows[] = {
	SCH_LIST("arp <addr:ADDR4> <mac:MAC> arpa[ <ifname:IFNAME>][ alias]", static_arp,
		 .key = "addr", .name = "arp", .help = "Static ARP entry"),
	SCH_LIST("ipv6 neighbor <addr:ADDR6> <ifname:IFNAME> <mac:MAC>", static_nd,
		 .key = "addr ifname", .name = "ipv6_neighbor", .help = "Static IPv6 neighbour"),
	SCH_LEAF("arp limit <arp_limit:U32(128,4194304)>", global,
		 .help = "Most ARP entries of the machine, all namespaces together"),
	SCH_LEAF("ipv6 nd limit <nd_limit:U32(128,4194304)>", global,
		 .help = "Most IPv6 neighbours of the machine, all namespaces together"),
	SCH_LEAF("ip proxy-arp", iface, .flag = "proxy_arp",
		 .help = "Answer ARP for addresses that are reached through other interfaces"),
	SCH_LEAF("ip local-proxy-arp", iface, .flag = "local_proxy_arp",
		 .help = "Answer ARP for addresses that are on this interface itself"),
	SCH_LEAF("ip gratuitous-arps", iface, .flag = "gratuitous_arps", .dflt = "on",
		 .help = "Announce the interface's addresses when it or they come up"),
	SCH_LEAF("ip arp gratuitous {garp_accept:none|update|learn}", iface, .dflt = "update",
		 .help = "What an announcement of another host does to the ARP table"),
	SCH_LEAF("ip address dad {dad:off|on|strict}", iface, .dflt = "on",
		 .help = "Detection of other hosts with the interface's IPv4 addresses"),
	SCH_LIST("arp {timer:timeout|retransmit|" TIMERS_REST "} <value:U32>", arp_timer,
		 .parent = &iface_type, .key = "timer", .help = "Timers and limits of ARP"),
	SCH_LEAF("ipv6 nd dad attempts <nd_dad:U16(0,600)>", iface,
		 .help = "Probes for another host with an address before its use; 0: none"),
	SCH_LEAF("ipv6 nd unsolicited-na", iface, .flag = "unsolicited_na", .dflt = "on",
		 .help = "Announce the interface's addresses when it or they come up"),
	SCH_LIST("ipv6 nd proxy <addr:ADDR6>", nd_proxy, .parent = &iface_type, .key = "addr",
		 .name = "nd_proxy", .help = "Answer neighbour solicitations for an address"),
	SCH_LIST("ipv6 nd {timer:reachable-time|ns-interval|" TIMERS_REST "} <value:U32>", nd_timer,
		 .parent = &iface_type, .key = "timer",
		 .help = "Timers and limits of neighbour discovery"),
};

static const struct sch_word words[] = {
	{ "arp", "ARP entries and timers" },
	{ "arpa", "Ethernet" },
	{ "alias", "Answer for the address on other interfaces" },
	{ "neighbor", "Static IPv6 neighbour" },
	{ "limit", "Most entries" },
	{ "proxy-arp", "Answer ARP for addresses behind other interfaces" },
	{ "local-proxy-arp", "Answer ARP for addresses on the interface itself" },
	{ "gratuitous-arps", "Announcements of the interface's addresses" },
	{ "dad", "Duplicate address detection" },
	{ "gratuitous", "Announcements of other hosts" },
	{ "none", "Nothing: they are dropped" },
	{ "update", "Changes the entry of a host that is there" },
	{ "learn", "Makes an entry, too" },
	{ "off", "Neither look for others nor defend" },
	{ "on", "Use the address at once, look for others, defend it" },
	{ "strict", "Use the address only after nobody else was found with it" },
	{ "timeout", "Seconds that an entry is believed without a confirmation (30)" },
	{ "reachable-time",
	  "Milliseconds that an entry is believed without a confirmation (30000)" },
	{ "retransmit", "Milliseconds between two requests (1000)" },
	{ "ns-interval", "Milliseconds between two solicitations (1000)" },
	{ "delay", "Seconds of use before an old entry is probed (5)" },
	{ "stale-time", "Seconds that an unused entry is kept at least (60)" },
	{ "unicast-probes", "Probes to the address known before asking everybody (3)" },
	{ "multicast-probes", "Requests to everybody before giving up (3)" },
	{ "queue", "Bytes that wait for one neighbour to be found (212992)" },
	{ "announce-count", "Announcements of an address" },
	{ "announce-interval", "Milliseconds between two announcements" },
	{ "nd", "Neighbour discovery" },
	{ "attempts", "Number of probes" },
	{ "unsolicited-na", "Announcements of the interface's addresses" },
	{ "proxy", "Answer for an address" },
};

/* ---- check ---- */

static bool is_new(const struct check *c, const struct rec *r)
{
	return rec_find(c->old, r->type, r) != r;
}

static void check_addr(struct check *c, const struct rec *r, const struct rtr_addr *a)
{
	char text[RTR_ADDR_STRLEN];

	rtr_addr_str(a, text);
	if (rtr_addr_is_any(a) || rtr_addr_is_multicast(a) || rtr_addr_is_loopback(a))
		check_error(c, r, "%s is no neighbour's address", text);
	else if (iface_owner_of(c->new, a))
		check_error(c, r, "%s is this router's own address", text);
}

static void check_ifname(struct check *c, const struct rec *r, const char *name)
{
	enum iface_kind kind = iface_kind_of(name);

	if (kind == IFACE_LOOPBACK0 || kind == IFACE_LOOPBACK)
		check_error(c, r, "%s has no neighbours", name);
	else if (!c->offline && is_new(c, r) && !iface_find(c->new, name) && !iface_link(name))
		check_warn(c, r, "%s does not exist now; the entry is made when it appears", name);
}

static bool on_a_network(const struct rec *root, const struct rtr_addr *a)
{
	const struct recvec *ifaces = rec_kids(root, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const struct recvec *v4 = rec_kids(&i->rec, &iface_addr4_type);
		const struct iface_addr4 *b;

		recvec_foreach(v4, b) {
			if (rtr_prefix_contains(&b->addr, a))
				return true;
		}
	}
	return false;
}

static void check_timers(struct check *c, const struct iface *i, const struct sch_type *type)
{
	const struct recvec *v = rec_kids(&i->rec, type);
	const struct neigh_timer *t;

	recvec_foreach(v, t) {
		const struct neigh_knob_info *k = &neigh_knobs[type == &nd_timer_type][t->timer];

		if (t->value < k->min || t->value > k->max)
			check_error(c, &t->rec, "%u is out of range %u-%u", t->value, k->min,
				    k->max);
	}
}

static void check_iface(struct check *c, const struct iface *i)
{
	const struct recvec *proxies = rec_kids(&i->rec, &nd_proxy_type);
	const struct iface *old = iface_find(c->old, i->name);
	const struct nd_proxy *p;

	check_timers(c, i, &arp_timer_type);
	check_timers(c, i, &nd_timer_type);
	recvec_foreach(proxies, p) {
		check_addr(c, &p->rec, &p->addr);
	}
	if (i->local_proxy_arp && iface_redirects(i) &&
	    !(old && old->local_proxy_arp && iface_redirects(old)))
		check_warn(c, &i->rec,
			   "hosts are told by redirects to go around the router: no ip redirects");
}

/* The limits are files of the first network namespace alone. */
static void check_limit(struct check *c, const char *field, const char *line, int family)
{
	struct neigh_limits now;

	if (c->offline || !rec_has(c->new, field) || rec_has(c->old, field) ||
	    neigh_limit_settable(family))
		return;
	if (neigh_read_limits(family, &now))
		now.thresh3 = 0;
	check_error(c, NULL, "%s: cannot be set in a network namespace; it is %u here", line,
		    now.thresh3);
}

static void neigh_check(struct check *c)
{
	const struct recvec *arps = rec_kids(c->new, &static_arp_type);
	const struct recvec *nds = rec_kids(c->new, &static_nd_type);
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	const struct static_arp *a;
	const struct static_nd *n;
	const struct iface *i;

	check_limit(c, "arp_limit", "arp limit", AF_INET);
	check_limit(c, "nd_limit", "ipv6 nd limit", AF_INET6);
	recvec_foreach(arps, a) {
		check_addr(c, &a->rec, &a->addr);
		if (a->ifname[0])
			check_ifname(c, &a->rec, a->ifname);
		else if (is_new(c, &a->rec) && !on_a_network(c->new, &a->addr))
			check_warn(c, &a->rec,
				   "no interface has a network with this address; the entry is "
				   "made when one has");
	}
	recvec_foreach(nds, n) {
		check_addr(c, &n->rec, &n->addr);
		check_ifname(c, &n->rec, n->ifname);
	}
	recvec_foreach(ifaces, i) {
		check_iface(c, i);
	}
}

static int init(void)
{
	int r = neigh_table_init();

	return r ? r : dad_init();
}

static void fini(void)
{
	dad_fini();
	neigh_table_fini();
}

static const char *const after_addresses[] = { "addresses", NULL };

static const struct domain neighbours_domain = {
	.name = "neighbours",
	.after = after_addresses,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.init = init,
	.fini = fini,
	.observed = dad_observed,
	.check = neigh_check,
	.plan = neigh_plan,
};
RTR_DOMAIN(neighbours_domain);
