/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fib_msg.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* Attributes of a kind that has more numbers than this header knows keep their number. */
#define ATTR_MAX 64

const struct nlattr *fib_attr_first(const struct nlmsghdr *h, size_t head, size_t *ret_left)
{
	size_t n = h->nlmsg_len - MIN((size_t)h->nlmsg_len, NLMSG_HDRLEN + MNL_ALIGN(head));

	*ret_left = n;
	return fib_attr_at((const uint8_t *)h + h->nlmsg_len - n, n);
}

const struct nlattr *fib_attr_inner(const struct nlattr *nest, size_t *ret_left)
{
	*ret_left = mnl_attr_get_payload_len(nest);
	return fib_attr_at(mnl_attr_get_payload(nest), *ret_left);
}

struct attrs {
	const struct nlattr *a[ATTR_MAX];
	bool beyond; /* one of a number that no kernel had when this was written */
};

static void note(struct attrs *t, const struct nlattr *a)
{
	unsigned type = mnl_attr_get_type(a);

	if (type < ATTR_MAX)
		t->a[type] = a;
	else
		t->beyond = true;
}

static int parse(const struct nlmsghdr *h, size_t head, struct attrs *t)
{
	const struct nlattr *a;
	size_t left;

	*t = (struct attrs){ 0 };
	if (mnl_nlmsg_get_payload_len(h) < head)
		return -EINVAL;
	for (a = fib_attr_first(h, head, &left); a; a = fib_attr_next(a, &left))
		note(t, a);
	return 0;
}

static void parse_nested(const struct nlattr *nest, struct attrs *t)
{
	const struct nlattr *a;
	size_t left;

	*t = (struct attrs){ 0 };
	for (a = fib_attr_inner(nest, &left); a; a = fib_attr_next(a, &left))
		note(t, a);
}

/* A number that may be absent; one of another size is a lie. */
static int get_u32(const struct nlattr *a, uint32_t *ret)
{
	if (a && mnl_attr_get_payload_len(a) != 4)
		return -EINVAL;
	if (a)
		memcpy(ret, mnl_attr_get_payload(a), 4);
	return 0;
}

static int get_u16(const struct nlattr *a, uint16_t *ret)
{
	if (a && mnl_attr_get_payload_len(a) != 2)
		return -EINVAL;
	if (a)
		memcpy(ret, mnl_attr_get_payload(a), 2);
	return 0;
}

static int get_u8(const struct nlattr *a, uint8_t *ret)
{
	if (a && mnl_attr_get_payload_len(a) != 1)
		return -EINVAL;
	if (a)
		memcpy(ret, mnl_attr_get_payload(a), 1);
	return 0;
}

static int get_ip(const struct nlattr *a, uint8_t family, union fib_ip *ret)
{
	if (a && mnl_attr_get_payload_len(a) != (family == AF_INET ? 4 : 16))
		return -EINVAL;
	if (a)
		memcpy(ret->b, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
	return 0;
}

static int get_name(const struct nlattr *a, char ret[16])
{
	size_t n = a ? mnl_attr_get_payload_len(a) : 0;

	if (n > 16)
		return -EINVAL;
	if (a)
		memcpy(ret, mnl_attr_get_payload(a), n);
	return ret[15] ? -EINVAL : 0;
}

/* True when it fits the mac; other lengths (tunnels) are simply no MAC. */
static bool get_mac(const struct nlattr *a, uint8_t ret[6])
{
	if (!a || mnl_attr_get_payload_len(a) != 6)
		return false;
	memcpy(ret, mnl_attr_get_payload(a), 6);
	return true;
}

static bool is_inet(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

static bool len_ok(uint8_t family, uint8_t len)
{
	return len <= (family == AF_INET ? 32 : 128);
}

/* Prefixes come without host bits; others would be found nowhere. */
static void mask_ip(union fib_ip *ip, unsigned len)
{
	for (unsigned i = 0; i < 16; i++, len -= MIN(len, 8u))
		if (len < 8)
			ip->b[i] &= (uint8_t)(0xff00 >> len);
}

static int link_info(const struct nlattr *a, struct fib_msg_link *l)
{
	struct attrs t, d;
	const char *kind;
	int rc = 0;

	parse_nested(a, &t);
	if (!t.a[IFLA_INFO_KIND] || !t.a[IFLA_INFO_DATA])
		return 0;
	if (mnl_attr_validate(t.a[IFLA_INFO_KIND], MNL_TYPE_NUL_STRING) < 0)
		return -EINVAL;
	kind = mnl_attr_get_str(t.a[IFLA_INFO_KIND]);
	parse_nested(t.a[IFLA_INFO_DATA], &d);
	if (!strcmp(kind, "vlan")) {
		l->vlan_proto = ETH_P_8021Q;
		rc = get_u16(d.a[IFLA_VLAN_ID], &l->vlan);
		if (!rc && d.a[IFLA_VLAN_PROTOCOL]) {
			rc = get_u16(d.a[IFLA_VLAN_PROTOCOL], &l->vlan_proto);
			l->vlan_proto = ntohs(l->vlan_proto);
		}
		l->vlan_qos = d.a[IFLA_VLAN_EGRESS_QOS] != NULL;
	} else if (!strcmp(kind, "vrf")) {
		l->is_vrf = 1;
		rc = get_u32(d.a[IFLA_VRF_TABLE], &l->vrf_table);
	}
	return rc;
}

static int decode_link(const struct nlmsghdr *h, struct fib_msg_link *l)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	struct attrs t;
	int rc = parse(h, sizeof(*ifi), &t);

	if (rc)
		return rc;
	if (ifi->ifi_family != AF_UNSPEC)
		return -ENOTSUP; /* bridge ports say the same once more */
	if (ifi->ifi_index <= 0)
		return -EINVAL;
	*l = (struct fib_msg_link){ .ifindex = (uint32_t)ifi->ifi_index,
				    .flags = ifi->ifi_flags,
				    .type = ifi->ifi_type };
	l->has_mac = get_mac(t.a[IFLA_ADDRESS], l->mac);
	if (t.a[IFLA_LINKINFO])
		rc = link_info(t.a[IFLA_LINKINFO], l);
	if (!rc)
		rc = get_name(t.a[IFLA_IFNAME], l->name);
	if (!rc)
		rc = get_u32(t.a[IFLA_MTU], &l->mtu);
	if (!rc)
		rc = get_u32(t.a[IFLA_MASTER], &l->master);
	/* A parent in another namespace has a number of that one. */
	return rc || t.a[IFLA_LINK_NETNSID] ? rc : get_u32(t.a[IFLA_LINK], &l->parent);
}

static int get_s32(const struct nlattr *a, int32_t *ret)
{
	uint32_t v;
	int rc;

	if (!a)
		return 0;
	rc = get_u32(a, &v);
	if (!rc)
		*ret = (int32_t)v;
	return rc;
}

static int decode_netconf(const struct nlmsghdr *h, struct fib_msg_netconf *n)
{
	const struct netconfmsg *m = mnl_nlmsg_get_payload(h);
	struct attrs t;
	int rc = parse(h, sizeof(*m), &t);

	if (rc)
		return rc;
	if (!is_inet(m->ncm_family))
		return -ENOTSUP;
	if (!t.a[NETCONFA_IFINDEX])
		return -EINVAL;
	*n = (struct fib_msg_netconf){ .family = m->ncm_family,
				       .forwarding = -1,
				       .rp_filter = -1,
				       .ignore_linkdown = -1,
				       .bc_forwarding = -1 };
	rc = get_s32(t.a[NETCONFA_IFINDEX], &n->ifindex);
	if (!rc)
		rc = get_s32(t.a[NETCONFA_FORWARDING], &n->forwarding);
	if (!rc)
		rc = get_s32(t.a[NETCONFA_RP_FILTER], &n->rp_filter);
	if (!rc)
		rc = get_s32(t.a[NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN], &n->ignore_linkdown);
	return rc ? rc : get_s32(t.a[NETCONFA_BC_FORWARDING], &n->bc_forwarding);
}

static int decode_addr(const struct nlmsghdr *h, struct fib_msg_addr *a)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct attrs t;
	int rc = parse(h, sizeof(*m), &t);

	if (rc)
		return rc;
	if (!is_inet(m->ifa_family))
		return -ENOTSUP;
	if (!len_ok(m->ifa_family, m->ifa_prefixlen) || !m->ifa_index)
		return -EINVAL;
	*a = (struct fib_msg_addr){ .ifindex = m->ifa_index,
				    .flags = m->ifa_flags,
				    .family = m->ifa_family,
				    .len = m->ifa_prefixlen,
				    .scope = m->ifa_scope };
	if (!t.a[IFA_LOCAL] && !t.a[IFA_ADDRESS])
		return -EINVAL;
	/* IPv6 has IFA_LOCAL only with a peer; then IFA_ADDRESS is the peer's. */
	rc = get_ip(t.a[t.a[IFA_LOCAL] ? IFA_LOCAL : IFA_ADDRESS], a->family, &a->ip);
	return rc ? rc : get_u32(t.a[IFA_FLAGS], &a->flags);
}

static int decode_neigh(const struct nlmsghdr *h, struct fib_msg_neigh *n)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	struct attrs t;
	int rc = parse(h, sizeof(*m), &t);

	if (rc)
		return rc;
	if (!is_inet(m->ndm_family) || (m->ndm_flags & NTF_PROXY))
		return -ENOTSUP;
	if (!t.a[NDA_DST] || m->ndm_ifindex <= 0)
		return -EINVAL;
	*n = (struct fib_msg_neigh){ .ifindex = (uint32_t)m->ndm_ifindex,
				     .family = m->ndm_family,
				     .flags = m->ndm_flags,
				     .state = m->ndm_state };
	n->has_mac = get_mac(t.a[NDA_LLADDR], n->mac);
	rc = get_ip(t.a[NDA_DST], n->family, &n->ip);
	/* Groups are the kernel's to send to; they would only take room. */
	return !rc && n->ip.b[0] >= (n->family == AF_INET ? 224 : 255) ? -ENOTSUP : rc;
}

/* struct rtvia: a family, then the address. */
static int get_via(const struct nlattr *a, struct fib_msg_hop *hop)
{
	const uint8_t *p = mnl_attr_get_payload(a);
	size_t n = mnl_attr_get_payload_len(a);
	uint16_t family;

	if (n < sizeof(family))
		return -EINVAL;
	memcpy(&family, p, sizeof(family));
	if (!is_inet((uint8_t)family) || n != 2 + (family == AF_INET ? 4 : 16))
		return -EINVAL;
	hop->gw_family = (uint8_t)family;
	memcpy(hop->gw.b, p + 2, n - 2);
	return 0;
}

static int get_gateway(const struct attrs *t, uint8_t family, struct fib_msg_hop *hop,
		       uint8_t *ret_encap)
{
	int rc = 0;

	if (t->a[RTA_VIA]) {
		rc = get_via(t->a[RTA_VIA], hop);
	} else if (t->a[RTA_GATEWAY]) {
		rc = get_ip(t->a[RTA_GATEWAY], family, &hop->gw);
		/* The kernel writes no gateway as one of zeros. */
		hop->gw_family = hop->gw.q[0] | hop->gw.q[1] ? family : 0;
	}
	if (t->a[RTA_ENCAP] || t->a[RTA_ENCAP_TYPE] || t->a[RTA_NEWDST])
		*ret_encap = 1;
	return rc;
}

static int decode_hops(const struct nlattr *a, struct fib_msg_route *r)
{
	const uint8_t *p = mnl_attr_get_payload(a);
	size_t left = mnl_attr_get_payload_len(a);

	while (left >= sizeof(struct rtnexthop)) {
		struct rtnexthop nh;
		struct fib_msg_hop *hop = &r->hop[r->n_hops];
		const struct nlattr *attr;
		struct attrs t = { 0 };
		size_t rest;
		int rc;

		memcpy(&nh, p, sizeof(nh));
		if (nh.rtnh_len < sizeof(nh) || nh.rtnh_len > left)
			return -EINVAL;
		if (r->n_hops == FIB_MSG_MAX_HOPS) {
			r->encap = 1; /* more than we hold: the kernel's */
			return 0;
		}
		rest = nh.rtnh_len - sizeof(nh);
		for (attr = fib_attr_at(p + sizeof(nh), rest); attr;
		     attr = fib_attr_next(attr, &rest))
			note(&t, attr);
		*hop = (struct fib_msg_hop){ .oif = (uint32_t)nh.rtnh_ifindex,
					     .weight = nh.rtnh_hops };
		rc = get_gateway(&t, r->family, hop, &r->encap);
		if (rc)
			return rc;
		r->n_hops++;
		p += MIN(left, (size_t)RTNH_ALIGN(nh.rtnh_len));
		left -= MIN(left, (size_t)RTNH_ALIGN(nh.rtnh_len));
	}
	return left ? -EINVAL : 0;
}

static int get_metrics(const struct nlattr *a, struct fib_msg_route *r)
{
	struct attrs t;

	parse_nested(a, &t);
	return get_u32(t.a[RTAX_MTU], &r->mtu);
}

static int route_attrs(const struct attrs *t, struct fib_msg_route *r)
{
	int rc = get_u32(t->a[RTA_TABLE], &r->table);

	if (!rc)
		rc = get_u32(t->a[RTA_PRIORITY], &r->metric);
	if (!rc)
		rc = get_u32(t->a[RTA_NH_ID], &r->nh_id);
	if (!rc)
		rc = get_ip(t->a[RTA_DST], r->family, &r->dst);
	if (!rc)
		rc = get_ip(t->a[RTA_PREFSRC], r->family, &r->prefsrc);
	if (!rc && t->a[RTA_METRICS])
		rc = get_metrics(t->a[RTA_METRICS], r);
	if (!rc && t->a[RTA_MULTIPATH])
		return decode_hops(t->a[RTA_MULTIPATH], r);
	if (!rc && (t->a[RTA_OIF] || t->a[RTA_GATEWAY] || t->a[RTA_VIA])) {
		r->n_hops = 1;
		rc = get_u32(t->a[RTA_OIF], &r->hop[0].oif);
		if (!rc)
			rc = get_gateway(t, r->family, &r->hop[0], &r->encap);
	}
	return rc;
}

static int decode_route(const struct nlmsghdr *h, struct fib_msg_route *r)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct attrs t;
	int rc = parse(h, sizeof(*m), &t);

	if (rc)
		return rc;
	if (!is_inet(m->rtm_family) || (m->rtm_flags & RTM_F_CLONED))
		return -ENOTSUP;
	if (!len_ok(m->rtm_family, m->rtm_dst_len) || !len_ok(m->rtm_family, m->rtm_src_len))
		return -EINVAL;
	memset(r, 0, offsetof(struct fib_msg_route, hop) + sizeof(r->hop[0]));
	r->family = m->rtm_family;
	r->dst_len = m->rtm_dst_len;
	r->src_len = m->rtm_src_len;
	r->tos = m->rtm_tos;
	r->type = m->rtm_type;
	r->scope = m->rtm_scope;
	r->protocol = m->rtm_protocol;
	r->table = m->rtm_table;
	rc = route_attrs(&t, r);
	mask_ip(&r->dst, r->dst_len);
	return rc;
}

static int decode_group(const struct nlattr *a, struct fib_msg_nexthop *n)
{
	const uint8_t *p = mnl_attr_get_payload(a);
	size_t left = mnl_attr_get_payload_len(a);
	struct nexthop_grp g;

	if (left % sizeof(g))
		return -EINVAL;
	for (; left; p += sizeof(g), left -= sizeof(g)) {
		memcpy(&g, p, sizeof(g));
		/* More, or heavier (the upper half of the weight, since 6.12), than we hold. */
		if (n->n_group == FIB_MSG_MAX_GROUP ||
		    p[offsetof(struct nexthop_grp, weight) + 1]) {
			n->other = 1;
			return 0;
		}
		n->group[n->n_group].id = g.id;
		n->group[n->n_group++].weight = g.weight;
	}
	return 0;
}

static int decode_nexthop(const struct nlmsghdr *h, struct fib_msg_nexthop *n)
{
	const struct nhmsg *m = mnl_nlmsg_get_payload(h);
	struct attrs t;
	int rc = parse(h, sizeof(*m), &t);

	if (rc)
		return rc;
	memset(n, 0, offsetof(struct fib_msg_nexthop, group));
	if (!t.a[NHA_ID])
		return -EINVAL;
	rc = get_u32(t.a[NHA_ID], &n->id);
	if (!rc)
		rc = get_u32(t.a[NHA_OIF], &n->hop.oif);
	if (!rc && t.a[NHA_GATEWAY]) {
		n->hop.gw_family = m->nh_family;
		rc = is_inet(m->nh_family) ? get_ip(t.a[NHA_GATEWAY], m->nh_family, &n->hop.gw)
					   : -EINVAL;
	}
	if (!rc && t.a[NHA_GROUP])
		rc = decode_group(t.a[NHA_GROUP], n);
	n->blackhole = !!t.a[NHA_BLACKHOLE];
	if (t.a[NHA_FDB] || t.a[NHA_ENCAP] || t.a[NHA_ENCAP_TYPE])
		n->other = 1;
	return rc;
}

static int get_range(const struct nlattr *a, uint16_t ret[2])
{
	struct fib_rule_port_range r;

	if (!a)
		return 0;
	if (mnl_attr_get_payload_len(a) != sizeof(r))
		return -EINVAL;
	memcpy(&r, mnl_attr_get_payload(a), sizeof(r));
	ret[0] = r.start;
	ret[1] = r.end;
	return 0;
}

/* Attributes that rules have without asking for something, or that are read below. */
static bool rule_attr_known(unsigned type)
{
	switch (type) {
	case FRA_DST:
	case FRA_SRC:
	case FRA_IIFNAME:
	case FRA_OIFNAME:
	case FRA_GOTO:
	case FRA_PRIORITY:
	case FRA_FWMARK:
	case FRA_FWMASK:
	case FRA_FLOW: /* realms, for tc and accounting */
	case FRA_TABLE:
	case FRA_PAD:
	case FRA_L3MDEV:
	case FRA_PROTOCOL:
	case FRA_IP_PROTO:
	case FRA_SPORT_RANGE:
	case FRA_DPORT_RANGE:
		return true;
	}
	return false;
}

static int rule_selectors(const struct attrs *t, struct fib_msg_rule *r)
{
	uint32_t no_prefix = UINT32_MAX, no_group = UINT32_MAX;
	int rc = get_u32(t->a[FRA_SUPPRESS_PREFIXLEN], &no_prefix);

	if (!rc)
		rc = get_u32(t->a[FRA_SUPPRESS_IFGROUP], &no_group);
	if (!rc)
		rc = get_u8(t->a[FRA_IP_PROTO], &r->proto);
	if (!rc)
		rc = get_range(t->a[FRA_SPORT_RANGE], r->sport);
	if (!rc)
		rc = get_range(t->a[FRA_DPORT_RANGE], r->dport);
	if (!rc)
		rc = get_u8(t->a[FRA_L3MDEV], &r->l3mdev);
	if (!rc)
		rc = get_u32(t->a[FRA_FWMARK], &r->mark);
	r->mark_mask = t->a[FRA_FWMARK] ? UINT32_MAX : 0;
	if (!rc)
		rc = get_u32(t->a[FRA_FWMASK], &r->mark_mask);
	r->suppress_default = !no_prefix;
	r->has_oif = !!t->a[FRA_OIFNAME];
	r->unmodelled = t->beyond || (no_prefix && no_prefix != UINT32_MAX) ||
			no_group != UINT32_MAX;
	for (unsigned i = 0; i < ATTR_MAX; i++)
		if (t->a[i] && !rule_attr_known(i) && i != FRA_SUPPRESS_PREFIXLEN &&
		    i != FRA_SUPPRESS_IFGROUP)
			r->unmodelled = 1;
	return rc;
}

static int decode_rule(const struct nlmsghdr *h, struct fib_msg_rule *r)
{
	const struct fib_rule_hdr *m = mnl_nlmsg_get_payload(h);
	struct attrs t;
	int rc = parse(h, sizeof(*m), &t);

	if (rc)
		return rc;
	if (!is_inet(m->family))
		return -ENOTSUP;
	if (!len_ok(m->family, m->src_len) || !len_ok(m->family, m->dst_len))
		return -EINVAL;
	*r = (struct fib_msg_rule){ .family = m->family,
				    .src_len = m->src_len,
				    .dst_len = m->dst_len,
				    .tos = m->tos,
				    .action = m->action,
				    .table = m->table,
				    .invert = !!(m->flags & FIB_RULE_INVERT) };
	rc = get_u32(t.a[FRA_PRIORITY], &r->pref);
	if (!rc)
		rc = get_u32(t.a[FRA_TABLE], &r->table);
	if (!rc)
		rc = get_u32(t.a[FRA_GOTO], &r->goto_pref);
	if (!rc)
		rc = get_ip(t.a[FRA_SRC], r->family, &r->src);
	if (!rc)
		rc = get_ip(t.a[FRA_DST], r->family, &r->dst);
	if (!rc)
		rc = get_name(t.a[FRA_IIFNAME], r->iif);
	return rc ? rc : rule_selectors(&t, r);
}

#define CASE(NEW, DEL, KIND, fn, field)                                                            \
	case DEL:                                                                                  \
		m->del = true;                                                                     \
		/* fall through */                                                                 \
	case NEW:                                                                                  \
		m->kind = KIND;                                                                    \
		return fn(h, &m->field)

int fib_msg_decode(const struct nlmsghdr *h, struct fib_msg *m)
{
	m->del = false;
	m->replace = h->nlmsg_flags & NLM_F_REPLACE;
	m->append = h->nlmsg_flags & NLM_F_APPEND;
	switch (h->nlmsg_type) {
		CASE(RTM_NEWLINK, RTM_DELLINK, FIB_M_LINK, decode_link, link);
		CASE(RTM_NEWNETCONF, RTM_DELNETCONF, FIB_M_NETCONF, decode_netconf, netconf);
		CASE(RTM_NEWADDR, RTM_DELADDR, FIB_M_ADDR, decode_addr, addr);
		CASE(RTM_NEWNEIGH, RTM_DELNEIGH, FIB_M_NEIGH, decode_neigh, neigh);
		CASE(RTM_NEWNEXTHOP, RTM_DELNEXTHOP, FIB_M_NEXTHOP, decode_nexthop, nexthop);
		CASE(RTM_NEWROUTE, RTM_DELROUTE, FIB_M_ROUTE, decode_route, route);
		CASE(RTM_NEWRULE, RTM_DELRULE, FIB_M_RULE, decode_rule, rule);
	}
	return -ENOTSUP;
}
