/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with access lists, groups and zones: names that nothing has, what cannot be told
 * apart by this kernel, and so would be widened or narrowed. */
#include "firewall/fw.h"

#include "conntrack/ct_conf.h"
#include "domain.h"
#include "firewall/fw_commit.h"
#include "firewall/policy_impl.h"
#include "iface/iface.h"
#include "inspect/tls_hello.h"
#include "nat/nat_policy.h"
#include "nft/nft.h"
#include "route/route.h"
#include "system/global.h"

#include <string.h>

const struct rec *fw_acl(const struct rec *root, uint8_t family, const char *name)
{
	const struct rec *r;

	if (family == AF_INET6)
		return fw_named(root, &acl6_type, name);
	r = fw_named(root, &acl4_type, name);
	return r ? r : fw_named(root, &acl_std_type, name);
}

static bool same_kids(const struct check *c, const struct sch_type *t)
{
	return rec_kids(c->old, t) == rec_kids(c->new, t);
}

/* ---- access lists ---- */

static bool has_ports(uint16_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_UDPLITE || proto == IPPROTO_DCCP;
}

static unsigned flag_words(const struct ace *a, unsigned *ret_bits)
{
	const struct acl_flags *w[] = { &a->flags1, &a->flags2, &a->flags3, &a->flags4 };
	unsigned n = 0, set = 0, clear = 0;

	for (unsigned i = 0; i < ARRAY_LEN(w); i++) {
		n += (w[i]->set | w[i]->clear) != 0;
		set |= w[i]->set;
		clear |= w[i]->clear;
	}
	*ret_bits = set & clear ? 9 : (unsigned)__builtin_popcount(set | clear);
	return n;
}

static void check_service(struct check *c, const struct ace *a, uint8_t family)
{
	uint16_t icmp = family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	unsigned bits, words = flag_words(a, &bits);
	bool ports = SCH_HAS(a, sport) || SCH_HAS(a, dport);

	if (a->service && (ports || SCH_HAS(a, icmp) || a->established || words))
		check_error(c, &a->rec, "the object group says ports and types already");
	else if (ports && !has_ports(a->proto))
		check_error(c, &a->rec, "ports need tcp, udp, sctp or udplite");
	else if (SCH_HAS(a, icmp) && a->proto != icmp)
		check_error(c, &a->rec, "a type of ICMP needs the protocol icmp");
	else if ((a->established || words) && a->proto != IPPROTO_TCP)
		check_error(c, &a->rec, "%s needs the protocol tcp",
			    a->established ? "established" : "a flag");
	if (a->icmp.has_code && SCH_HAS(a, icmp_code))
		check_error(c, &a->rec, "the name of the type says its code already");
	if (a->established && words)
		check_error(c, &a->rec, "established says flags already");
	if (bits == 9)
		check_error(c, &a->rec, "one flag cannot be both set and not set");
	else if (a->tcp_match && bits > 4)
		check_error(c, &a->rec, "match-any takes at most four flags");
	if (a->fragments && (a->service || ports || SCH_HAS(a, icmp) || a->established || words))
		check_error(c, &a->rec, "later fragments have no ports, types or flags");
}

static void check_range(struct check *c, const struct rec *r, const struct rtr_addr *lo,
			const struct rtr_addr *hi)
{
	if (lo->family != hi->family)
		check_error(c, r, "a range has one family");
	else if (rtr_addr_cmp(lo, hi) > 0)
		check_error(c, r, "the range ends before it starts");
}

static void check_extras(struct check *c, const struct ace *a)
{
	bool limit = a->limit_rate || a->connections;

	if (limit && a->action != ACE_PERMIT)
		check_error(c, &a->rec, "a limit belongs to a permit: what exceeds it is dropped");
	if (a->per_source && !limit)
		check_error(c, &a->rec, "per-source needs limit-rate or limit-connections");
	if (a->connections && !c->offline && !nft_cap(NFT_CAP_CONNLIMIT))
		check_error(c, &a->rec, "this kernel has no limit of connections (nft_connlimit)");
	if (a->log && !c->offline && !nft_cap(NFT_CAP_LOG))
		check_error(c, &a->rec, "this kernel cannot log packets (nft_log)");
	if (SCH_HAS(a, helper) && !c->offline && !nft_cap(NFT_CAP_CT_HELPER))
		check_error(c, &a->rec, "this kernel has no application helpers");
	if (a->log_rate && !a->log)
		check_error(c, &a->rec, "log-rate needs log");
	if (SCH_HAS(a, helper) && a->action != ACE_PERMIT)
		check_error(c, &a->rec, "a helper belongs to a permit");
	if (!a->server_name)
		return;
	if (!tls_pattern_ok(a->server_name))
		check_error(c, &a->rec,
			    "a server name is written in small letters: www.example.com, "
			    "*.example.com or *");
	if (limit || SCH_HAS(a, helper))
		check_error(c, &a->rec, "a line with a server name has no limit or helper");
	if (!c->offline && !nft_cap(NFT_CAP_QUEUE) && !nft_cap(NFT_CAP_XT_NFQUEUE))
		check_error(c, &a->rec, "this kernel cannot queue packets to read a server name");
}

static void check_helper(struct check *c, const struct ace *a)
{
#define X(word, kernel, proto) proto,
	static const uint16_t protos[] = { FW_HELPERS(X) };
#undef X

	if (SCH_HAS(a, helper) && !a->service && a->proto != protos[a->helper])
		check_error(c, &a->rec, "this helper needs the protocol %s",
			    protos[a->helper] == IPPROTO_TCP ? "tcp" : "udp");
}

static void check_refs(struct check *c, const struct ace *a)
{
	const char *groups[] = { a->src_group, a->dst_group };

	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		if (groups[i] && !fw_named(c->new, &og_network_type, groups[i]))
			check_missing(c, &a->rec, "object-group network %s", groups[i]);
	}
	if (a->service && !fw_named(c->new, &og_service_type, a->service))
		check_missing(c, &a->rec, "object-group service %s", a->service);
	if (a->time_range && !fw_named(c->new, &trange_type, a->time_range))
		check_missing(c, &a->rec, "time-range %s", a->time_range);
}

static void check_ace(struct check *c, const struct ace *a, uint8_t family)
{
	if (a->remark)
		return;
	check_service(c, a, family);
	if (SCH_HAS(a, src_lo))
		check_range(c, &a->rec, &a->src_lo, &a->src_hi);
	if (SCH_HAS(a, dst_lo))
		check_range(c, &a->rec, &a->dst_lo, &a->dst_hi);
	check_extras(c, a);
	check_helper(c, a);
}

/* Both vectors are sorted and share what did not change: walked side by side. */
static bool is_new_line(const struct recvec *old, size_t *at, const struct rec *r)
{
	while (*at < old->len && old->v[*at] != r && rec_order_cmp(old->v[*at], r) < 0)
		(*at)++;
	if (*at == old->len || old->v[*at] != r)
		return true;
	(*at)++;
	return false;
}

static void check_acl(struct check *c, const struct rec *r, const struct sch_type *kid,
		      bool refs_same)
{
	const struct recvec *v = rec_kids(r, kid);
	const struct rec *old_list = rec_find(c->old, r->type, r);
	const struct recvec *old = rec_kids(old_list ? old_list : c->old, kid);
	size_t at = 0;

	if (old_list == r && refs_same)
		return;
	for (size_t i = 0; i < v->len; i++) {
		bool is_new = is_new_line(old, &at, v->v[i]);

		if (is_new)
			check_ace(c, (const void *)v->v[i], kid == &ace6_type ? AF_INET6 : AF_INET);
		if (is_new || !refs_same)
			check_refs(c, (const void *)v->v[i]);
	}
}

static void check_acls(struct check *c)
{
	bool refs_same = same_kids(c, &og_network_type) && same_kids(c, &og_service_type) &&
			 same_kids(c, &trange_type);
	const struct recvec *v4 = rec_kids(c->new, &acl4_type), *v6 = rec_kids(c->new, &acl6_type);
	const struct acl *a;

	recvec_foreach(v4, a) {
		check_acl(c, &a->rec, &ace4_type, refs_same);
		if (fw_named(c->new, &acl_std_type, a->name))
			check_error(c, &a->rec, "there is a standard access list of this name");
	}
	recvec_foreach(v6, a) {
		check_acl(c, &a->rec, &ace6_type, refs_same);
	}
}

/* Tracked packets come reassembled: nothing would ever match. */
static void check_fragments(struct check *c, const struct rec *list, const char *where)
{
	const struct sch_type *kids[] = { &ace4_type, &ace6_type };

	for (size_t k = 0; list && k < ARRAY_LEN(kids); k++) {
		const struct recvec *v = rec_kids(list, kids[k]);
		const struct ace *a;

		recvec_foreach(v, a) {
			if (a->fragments && !a->remark)
				check_error(c, &a->rec,
					    "the firewall judges packets whole, after reassembly, "
					    "and %s uses this list",
					    where);
		}
	}
}

/* ---- groups ---- */

static void check_nested(struct check *c, const struct sch_type *type, const struct sch_type *kid,
			 const char *what)
{
	const struct recvec *v = rec_kids(c->new, type);

	for (size_t i = 0; i < v->len; i++) {
		const struct recvec *nested = rec_kids(v->v[i], kid);
		const struct og_group *g;

		recvec_foreach(nested, g) {
			if (!fw_named(c->new, type, g->group))
				check_missing(c, &g->rec, "object-group %s %s", what, g->group);
		}
	}
}

static void check_hours(struct check *c)
{
	const struct recvec *v = rec_kids(c->new, &trange_type);
	const struct trange *t;

	recvec_foreach(v, t) {
		if (SCH_HAS(t, start) && SCH_HAS(t, end) && t->end.at <= t->start.at)
			check_error(c, &t->rec, "the end is not after the start");
	}
}

static void check_groups(struct check *c)
{
	const struct recvec *nets = rec_kids(c->new, &og_network_type);
	const struct recvec *svcs = rec_kids(c->new, &og_service_type);

	check_nested(c, &og_network_type, &og_ngroup_type, "network");
	check_nested(c, &og_service_type, &og_sgroup_type, "service");
	check_nested(c, &og_interface_type, &og_igroup_type, "interface");
	for (size_t i = 0; i < nets->len && !same_kids(c, &og_network_type); i++) {
		const struct recvec *v = rec_kids(nets->v[i], &og_range_type);
		const struct og_range *r;

		recvec_foreach(v, r) {
			check_range(c, &r->rec, &r->lo, &r->hi);
		}
	}
	for (size_t i = 0; i < svcs->len && !same_kids(c, &og_service_type); i++) {
		const struct recvec *v = rec_kids(svcs->v[i], &og_svc_type);
		const struct og_service *s;

		recvec_foreach(v, s) {
			if ((SCH_HAS(s, sport) || SCH_HAS(s, dport)) && !has_ports(s->proto))
				check_error(c, &s->rec, "ports need tcp, udp, sctp or udplite");
		}
	}
}

/* ---- zones ---- */

static const char *zone_error(const struct check *c, const char *name)
{
	return !strcmp(name, "self") || fw_named(c->new, &zone_type, name) ? NULL : name;
}

static void check_pair(struct check *c, const struct zone_pair *p, const struct recvec *all)
{
	const char *missing = zone_error(c, p->source);
	const struct zone_pair *o;

	if (!missing)
		missing = zone_error(c, p->destination);
	if (missing)
		check_missing(c, &p->rec, "zone security %s", missing);
	if (!strcmp(p->source, p->destination))
		check_error(c, &p->rec, "traffic within one zone passes");
	if (p->policy && !fw_named(c->new, &pmap_type, p->policy))
		check_missing(c, &p->rec, "policy-map type inspect %s", p->policy);
	recvec_foreach(all, o) {
		if (o == p)
			break;
		if (!strcmp(o->source, p->source) && !strcmp(o->destination, p->destination))
			check_error(c, &p->rec, "%s has these zones already", o->name);
	}
}

/* Each is asked from within the one before, and the kernel follows 16 chains at most. */
#define MATCH_ALL_MAX 5

static void check_class_map(struct check *c, const struct cmap *m)
{
	const struct recvec *protos = rec_kids(&m->rec, &cmap_proto_type);
	const struct recvec *acls = rec_kids(&m->rec, &cmap_acl_type);
	const struct cmap_proto *p;
	const struct cmap_acl *a;

	if (!strcmp(m->name, "class-default"))
		check_error(c, &m->rec, "class-default is what no other class took");
	if (m->match == CMAP_ALL && protos->len + acls->len > MATCH_ALL_MAX)
		check_error(c, &m->rec, "a match-all class has at most %d lines", MATCH_ALL_MAX);
	recvec_foreach(protos, p) {
		if (!fw_protocol_find(p->protocol))
			check_error(c, &p->rec, "an unknown protocol: use an access list");
	}
	recvec_foreach(acls, a) {
		const struct rec *v4 = fw_acl(c->new, AF_INET, a->acl);
		const struct rec *v6 = fw_acl(c->new, AF_INET6, a->acl);

		if (!v4 && !v6)
			check_missing(c, &a->rec, "access list %s", a->acl);
		check_fragments(c, v4, "a class-map");
		check_fragments(c, v6, "a class-map");
	}
}

static void check_policy_map(struct check *c, const struct pmap *m)
{
	const struct recvec *v = rec_kids(&m->rec, &pmap_class_type);
	const struct pmap_class *k;

	recvec_foreach(v, k) {
		if (strcmp(k->name, "class-default") && !fw_named(c->new, &cmap_type, k->name))
			check_missing(c, &k->rec, "class-map type inspect %s", k->name);
		if (!SCH_HAS(k, action) && !fw_named(c->old, &pmap_type, m->name))
			check_warn(c, &k->rec, "a class without an action drops");
		if (!strcmp(k->name, "class-default") && k_i + 1 < v->len)
			check_error(c, &k->rec, "class-default comes last: order");
	}
}

static void check_zones(struct check *c)
{
	const struct recvec *zones = rec_kids(c->new, &zone_type);
	const struct recvec *pairs = rec_kids(c->new, &zone_pair_type);
	const struct recvec *cmaps = rec_kids(c->new, &cmap_type);
	const struct recvec *pmaps = rec_kids(c->new, &pmap_type);
	const struct zone *z;
	const struct zone_pair *p;
	const struct cmap *cm;
	const struct pmap *pm;

	recvec_foreach(zones, z) {
		const struct recvec *members = rec_kids(&z->rec, &zone_member_type);
		const struct zone_member *m;

		if (!strcmp(z->name, "self"))
			check_error(c, &z->rec, "self is the box itself");
		recvec_foreach(members, m) {
			if (!fw_named(c->new, &og_interface_type, m->group))
				check_missing(c, &m->rec, "object-group interface %s", m->group);
		}
	}
	recvec_foreach(pairs, p) {
		check_pair(c, p, pairs);
	}
	recvec_foreach(cmaps, cm) {
		check_class_map(c, cm);
	}
	recvec_foreach(pmaps, pm) {
		check_policy_map(c, pm);
	}
}

/* ---- interfaces ---- */

/* A static default route that leads out by the interface; with `any` by whatever one. */
static bool default_by(const struct check *c, const struct iface *i, uint8_t family, bool any)
{
	const struct recvec *v = rec_kids(c->new,
					  family == AF_INET6 ? &ipv6_route_type : &ip_route_type);
	const struct static_route *s;

	if (!any || i->vrf)
		return urpf_default_by(c->new, i, family);
	recvec_foreach(v, s) {
		if (!s->dst.len)
			return true;
	}
	return false;
}

static void check_urpf(struct check *c, const struct iface *i, const struct sch_type *type,
		       uint8_t family)
{
	const struct if_urpf *u = (const void *)rec_only(&i->rec, type);

	if (!u)
		return;
	if (!c->offline && !nft_cap(NFT_CAP_FIB))
		check_error(c, &u->rec, "this kernel has no route lookup in rules (nft_fib)");
	if (!u->allow_default && default_by(c, i, family, u->via == IF_URPF_ANY))
		check_error(c, &u->rec,
			    "the kernel cannot leave the default route out, and it leads %s: "
			    "say allow-default",
			    u->via == IF_URPF_ANY ? "anywhere" : i->name);
}

static void check_bindings(struct check *c, const struct iface *i, const struct sch_type *type,
			   uint8_t family)
{
	const struct recvec *v = rec_kids(&i->rec, type);
	const struct if_acl *a;

	recvec_foreach(v, a) {
		const struct rec *list = fw_acl(c->new, family, a->acl);

		if (!list)
			check_missing(c, &a->rec, "%s access list %s",
				      family == AF_INET6 ? "IPv6" : "IPv4", a->acl);
		check_fragments(c, list, i->name);
	}
}

/* Packets for its address come by another interface; what the box says to itself is nobody's. */
static void check_loopback(struct check *c, const struct iface *i)
{
	const struct sch_type *const types[] = { &if_acl4_type, &if_acl6_type, &if_urpf4_type,
						 &if_urpf6_type };

	for (size_t k = 0; iface_is_loopback(i->name) && k < ARRAY_LEN(types); k++) {
		const struct recvec *v = rec_kids(&i->rec, types[k]);

		if (v->len)
			check_error(c, v->v[0], "nothing comes or leaves by %s", i->name);
	}
}

static void check_ifaces(struct check *c)
{
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const struct if_zone *z = (const void *)rec_only(&i->rec, &if_zone_type);

		if (z && !fw_named(c->new, &zone_type, z->zone))
			check_missing(c, &z->rec, "zone security %s", z->zone);
		/* Behind prerouting packets of a VRF come by the device of the VRF, which all its
		 * interfaces share. */
		if (z && i->vrf)
			check_error(c, &z->rec,
				    "%s is in VRF %s, whose interfaces zones cannot tell apart",
				    i->name, i->vrf);
		if (z && i->bridge_group)
			check_error(c, &z->rec, "%s is a port of BVI%u: name that", i->name,
				    i->bridge_group);
		check_loopback(c, i);
		if ((rec_only(&i->rec, &if_mss4_type) || rec_only(&i->rec, &if_mss6_type)) &&
		    !c->offline && !nft_cap(NFT_CAP_TCPOPT))
			check_error(c, &i->rec, "this kernel cannot change options of TCP");
		check_bindings(c, i, &if_acl4_type, AF_INET);
		check_bindings(c, i, &if_acl6_type, AF_INET6);
		check_urpf(c, i, &if_urpf4_type, AF_INET);
		check_urpf(c, i, &if_urpf6_type, AF_INET6);
	}
}

static void check_syn(struct check *c)
{
	const struct recvec *v = rec_kids(c->new, &syn_conf_type);
	const struct global *g = (const void *)c->new;

	if (v->len && !c->offline && !nft_cap(NFT_CAP_SYNPROXY))
		check_error(c, v->v[0], "this kernel has no SYN proxy (nft_synproxy)");
	for (size_t i = 0; i < v->len && !c->offline && !nft_cap(NFT_CAP_XT_SYNPROXY6); i++) {
		const struct syn_conf *s = (const void *)v->v[i];

		if (s->addr.family == AF_INET6)
			check_error(c, v->v[i],
				    "this kernel has no SYN proxy for IPv6 (target SYNPROXY)");
	}
	if (v->len && !c->offline && !nft_cap(NFT_CAP_NOTRACK))
		check_error(c, v->v[0], "this kernel tracks all traffic (no notrack)");
	if (v->len && SCH_HAS(g, tcp_pickup) && g->tcp_pickup == CT_PICKUP_LOOSE)
		check_error(
			c, v->v[0],
			"ip firewall tcp loose takes the answers to handshakes for connections");
	if (g->host_sessions && !c->offline && !nft_cap(NFT_CAP_CONNLIMIT))
		check_error(c, NULL,
			    "firewall host-sessions: this kernel has no limit of connections");
}

/* What the proxy answers is not tracked, and so not translated. */
static void check_syn_nat(struct check *c, const struct policy *p)
{
	for (size_t i = 0; p->nat && i < p->n_syn; i++) {
		const struct pol_syn *s = &p->syn[i];
		const struct nat_family *f = &p->nat->f[nat_fam(s->addr.family)];

		for (size_t k = 0; k < f->n_statics; k++) {
			const struct nat_static *n = &f->statics[k];
			struct rtr_prefix net = { .addr = n->global, .len = n->len };

			if (!rtr_prefix_contains(&net, &s->addr) || n->kind == NAT_UDP ||
			    (n->kind == NAT_TCP &&
			     (s->port < n->gport || s->port - n->gport >= n->n_ports)))
				continue;
			check_error(c, s->rec,
				    "NAT translates this address: the proxy cannot "
				    "stand before that");
			break;
		}
	}
}

void fw_check(struct check *c)
{
	unsigned before = c->n_errors;

	check_acls(c);
	check_groups(c);
	check_hours(c);
	check_zones(c);
	check_ifaces(c);
	check_syn(c);
	/* What remains is found by building it: groups in a circle. */
	if (c->n_errors == before) {
		const struct policy *old = policy_running();
		const struct policy *new = policy_build(c->new, old, time(NULL), c);

		if (new) {
			pol_tls_check(new, c);
			check_syn_nat(c, new);
		}
		fw_check_sessions(c, old, new);
		policy_unref(new);
	}
}
