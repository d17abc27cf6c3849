/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with route maps, and with where they are applied. */
#include "domain.h"
#include "iface/iface.h"
#include "kernel/probe.h"
#include "pbr/pbr.h"
#include "track/track.h"
#include "vrf/vrf.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

static bool has_map(const struct rec *root, const char *name)
{
	const struct recvec *v = rec_kids(root, &route_map_type);
	const struct route_map *m;

	recvec_foreach(v, m) {
		if (!strcmp(m->name, name))
			return true;
	}
	return false;
}

static void check_ref(struct check *c, const struct rec *rec, const char *name, const char *where)
{
	if (!name || has_map(c->new, name))
		return;
	check_error(c, rec,
		    has_map(c->old, name) ? "route-map %s is used by %s"
					  : "there is no route-map %s, for %s",
		    name, where);
}

static void check_hop(struct check *c, const struct route_map *m, const struct rtr_addr *hop)
{
	char text[RTR_ADDR_STRLEN];

	if (!hop->family)
		return;
	rtr_addr_str(hop, text);
	if (rtr_addr_is_any(hop) || rtr_addr_is_multicast(hop) || rtr_addr_is_loopback(hop))
		check_error(c, &m->rec, "%s cannot be a next hop", text);
	else if (hop->family == AF_INET6 && rtr_addr_is_linklocal(hop))
		check_error(c, &m->rec, "%s is a link-local address, which names no link", text);
	else if (iface_owner_of(c->new, hop))
		check_error(c, &m->rec, "the next hop %s is this router's own, on %s", text,
			    iface_owner_of(c->new, hop)->name);
}

static void check_hops(struct check *c, const struct route_map *m)
{
	const struct rtr_addr *hops[] = { &m->hop4_1,  &m->hop4_2,  &m->hop4_3,  &m->hop4_4,
					  &m->hop6_1,  &m->hop6_2,  &m->hop6_3,  &m->hop6_4,
					  &m->dflt4_1, &m->dflt4_2, &m->dflt6_1, &m->dflt6_2 };
	const struct sch_type *const lists[] = { &route_map_verify4_type, &route_map_verify6_type };

	for (size_t i = 0; i < ARRAY_LEN(hops); i++)
		check_hop(c, m, hops[i]);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct recvec *v = rec_kids(&m->rec, lists[i]);
		const struct route_map_verify *h;

		recvec_foreach(v, h) {
			check_hop(c, m, &h->hop);
			track_check_ref(c, &h->rec, h->track);
		}
	}
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

static void check_list(struct check *c, const struct route_map *m, uint8_t family, const char *name)
{
	struct pbr_misfit misfit;
	struct pbr_acl list;
	int r;

	if (!name)
		return;
	r = pbr_acl_read(c->new, family, name, &list, &misfit);
	if (r == -ENOENT)
		check_error(c, &m->rec, "there is no %s access list %s",
			    family == AF_INET6 ? "IPv6" : "IPv4", name);
	else if (r)
		check_error(c, misfit.line,
			    "list %s: policy routing cannot go by %s, which no rule of the kernel "
			    "looks at (route-map %s %u)",
			    name, misfit.what, m->name, m->seq);
	pbr_acl_fini(&list);
}

static void check_lists(struct check *c, const struct route_map *m)
{
	if (!m->acl4 && !m->acl6)
		return;
	check_list(c, m, AF_INET, m->acl4);
	check_list(c, m, AF_INET6, m->acl6);
	if (rec_kids(&m->rec, &route_map_src4_type)->len ||
	    rec_kids(&m->rec, &route_map_dst4_type)->len ||
	    rec_kids(&m->rec, &route_map_src6_type)->len ||
	    rec_kids(&m->rec, &route_map_dst6_type)->len || SCH_HAS(m, ip_proto) || m->sport ||
	    m->dport)
		check_error(c, &m->rec,
			    "an access list says all of networks, protocol and ports: no other "
			    "match line for these goes with it");
}

static void check_map(struct check *c, const struct route_map *m)
{
	bool sets = m->hop4_1.family || m->hop6_1.family || m->ifname[0] || m->dflt4_1.family ||
		    m->dflt6_1.family || rec_kids(&m->rec, &route_map_verify4_type)->len ||
		    rec_kids(&m->rec, &route_map_verify6_type)->len;
	enum iface_kind kind = iface_kind_of(m->ifname);

	if ((m->sport || m->dport) && !has_ports(m->ip_proto))
		check_error(c, &m->rec, "ports need match protocol tcp or udp");
	if ((m->sport_last && m->sport_last < m->sport) ||
	    (m->dport_last && m->dport_last < m->dport))
		check_error(c, &m->rec, "the last port is below the first");
	if (SCH_HAS(m, mask) && m->mark & ~m->mask)
		check_error(c, &m->rec, "the mark has bits that the mask leaves out");
	if (SCH_HAS(m, dscp) && !c->offline && !probe_rule_dscp())
		check_error(c, &m->rec, "rules of this kernel cannot match a DSCP (it needs 6.13)");
	vrf_check_ref(c, &m->rec, m->vrf);
	if (m->action == PBR_DENY && (sets || m->table || m->vrf))
		check_error(c, &m->rec, "deny means to route as usual: its set lines do nothing");
	if (sets + !!m->table + !!m->vrf > 1)
		check_error(c, &m->rec, "set table and set vrf go with no other set line");
	if (m->table == RT_TABLE_LOCAL)
		check_error(c, &m->rec, "table %u holds this router's own addresses", m->table);
	if (m->table >> 24 == pbr_table_base(0) >> 24)
		check_error(c, &m->rec, "table %u is among those that route maps use", m->table);
	if (m->ifname[0] && kind == IFACE_LOOPBACK0)
		check_error(c, &m->rec, "packets cannot leave by %s: Null0 discards", m->ifname);
	if (m->ifname[0] && kind != IFACE_HARD && !iface_find(c->new, m->ifname) &&
	    (c->offline || !iface_link(m->ifname)))
		check_error(c, &m->rec, "there is no interface %s", m->ifname);
	check_hops(c, m);
	check_lists(c, m);
}

static void check_places(struct check *c)
{
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	const struct recvec *locals = rec_kids(c->new, &pbr_local_type);
	const struct pbr_local *l;
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		check_ref(c, &i->rec, i->policy4, "ip policy");
		check_ref(c, &i->rec, i->policy6, "ipv6 policy");
		if ((i->policy4 || i->policy6) && i->vrf)
			check_error(c, &i->rec, "packets of vrf %s are routed by its table alone",
				    i->vrf);
		if ((i->policy4 || i->policy6) && iface_kind_of(i->name) == IFACE_LOOPBACK0)
			check_error(c, &i->rec,
				    "packets of the router itself follow ip local policy");
	}
	recvec_foreach(locals, l) {
		check_ref(c, &l->rec, l->map, "this line");
	}
}

void pbr_check(struct check *c)
{
	const struct recvec *v = rec_kids(c->new, &route_map_type);
	const struct route_map *m;
	struct pbr b;

	recvec_foreach(v, m) {
		check_map(c, m);
	}
	check_places(c);
	pbr_compile(&b, c->new, 0, pbr_table_base(0));
	if (b.overflow)
		check_error(c, NULL,
			    "policy routing: more than %d sequences in a map, or %d rules: name "
			    "fewer networks, or wider ones",
			    PBR_MAX_SEQUENCES, PBR_MAX_RULES);
	pbr_fini(&b);
}
