/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zones, interfaces, pairs and the permits of the box itself, of a policy. */
#include "firewall/policy_impl.h"

#include "domain.h"
#include "hash.h"
#include "iface/iface.h"

#include <stdlib.h>
#include <string.h>

#define NEST_MAX 16

/* ---- zones ---- */

static bool zone_id_free(const struct build *b, const struct pol_zone *v, size_t n, uint16_t id,
			 const char *name)
{
	const struct pol_zone *old = b->old ? policy_zone(&b->old->pub, id) : NULL;

	for (size_t i = 0; i < n; i++) {
		if (v[i].id == id)
			return false;
	}
	return id > POL_ZONE_SELF && (!old || !strcmp(old->name, name));
}

static uint16_t zone_id(const struct build *b, const struct pol_zone *v, size_t n, const char *name)
{
	for (uint32_t salt = 0;; salt++) {
		uint16_t id = (uint16_t)pol_id_of(name, 0, 0, salt);

		if (zone_id_free(b, v, n, id, name))
			return id;
	}
}

const struct pol_zone *policy_zone(const struct policy *p, uint16_t id)
{
	for (size_t i = 0; i < p->n_zones; i++) {
		if (p->zones[i].id == id)
			return &p->zones[i];
	}
	return NULL;
}

static uint16_t zone_named(const struct policy *p, const char *name)
{
	if (!strcmp(name, "self"))
		return POL_ZONE_SELF;
	for (size_t i = 0; i < p->n_zones; i++) {
		if (!strcmp(p->zones[i].name, name))
			return p->zones[i].id;
	}
	return POL_ZONE_NONE;
}

/* ---- interfaces ---- */

struct ifaces {
	struct pol_iface *v;
	size_t n, room;
};

static struct pol_iface *iface_get(struct ifaces *l, const char *kernel_name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!strcmp(l->v[i].name, kernel_name))
			return &l->v[i];
	}
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->n] = (struct pol_iface){ .zone = POL_ZONE_NONE };
	rtr_strlcpy(l->v[l->n].name, kernel_name, IFNAMSIZ);
	return &l->v[l->n++];
}

static enum pol_urpf urpf_of(const struct rec *iface, const struct sch_type *type,
			     bool *ret_default)
{
	static const enum pol_urpf modes[] = { POL_URPF_STRICT, POL_URPF_LOOSE, POL_URPF_FEASIBLE };
	const struct if_urpf *u = (const void *)rec_only(iface, type);

	if (!u)
		return POL_URPF_OFF;
	*ret_default |= u->allow_default;
	return modes[u->via];
}

static uint16_t mss_of(const struct rec *iface, const struct sch_type *type)
{
	const struct if_mss *m = (const void *)rec_only(iface, type);

	return !m ? 0 : m->kind ? m->mss : POL_MSS_AUTO;
}

static void iface_lists(const struct build *b, const struct rec *iface, struct pol_iface *i)
{
	const struct recvec *v4 = rec_kids(iface, &if_acl4_type);
	const struct recvec *v6 = rec_kids(iface, &if_acl6_type);
	const struct if_acl *a;

	recvec_foreach(v4, a) {
		*(a->dir ? &i->out4 : &i->in4) = policy_list(&b->p->pub, AF_INET, a->acl);
	}
	recvec_foreach(v6, a) {
		*(a->dir ? &i->out6 : &i->in6) = policy_list(&b->p->pub, AF_INET6, a->acl);
	}
}

static void build_iface(const struct build *b, struct ifaces *l, const struct iface *rec)
{
	struct pol_iface *i = iface_get(l, iface_kernel_name(rec->name));
	const struct if_zone *z = (const void *)rec_only(&rec->rec, &if_zone_type);

	i->rec = &rec->rec;
	if (z)
		i->zone = zone_named(&b->p->pub, z->zone);
	iface_lists(b, &rec->rec, i);
	i->urpf4 = urpf_of(&rec->rec, &if_urpf4_type, &i->urpf_default4);
	i->urpf6 = urpf_of(&rec->rec, &if_urpf6_type, &i->urpf_default6);
	if (i->urpf4 == POL_URPF_FEASIBLE)
		i->feasible4 = urpf_feasible(b->model, rec, AF_INET, i->urpf_default4);
	if (i->urpf6 == POL_URPF_FEASIBLE)
		i->feasible6 = urpf_feasible(b->model, rec, AF_INET6, i->urpf_default6);
	i->mss4 = mss_of(&rec->rec, &if_mss4_type);
	i->mss6 = mss_of(&rec->rec, &if_mss6_type);
}

static void add_members(struct build *b, struct ifaces *l, const struct rec *group, uint16_t zone,
			unsigned depth)
{
	const struct recvec *v = rec_kids(group, &og_iface_type);
	const struct recvec *nested = rec_kids(group, &og_igroup_type);
	const struct og_iface *i;
	const struct og_group *n;

	recvec_foreach(v, i) {
		struct pol_iface *p = iface_get(l, iface_kernel_name(i->name));
		const struct iface *conf = iface_find(b->model, i->name);

		if (conf && conf->vrf)
			build_error(b, &i->rec,
				    "%s is in VRF %s, whose interfaces zones cannot tell apart",
				    i->name, conf->vrf);
		if (p->zone && p->zone != zone)
			build_error(b, &i->rec, "%s is in another zone already", i->name);
		p->zone = zone;
	}
	recvec_foreach(nested, n) {
		const struct rec *in = fw_named(b->model, &og_interface_type, n->group);

		if (in && depth < NEST_MAX)
			add_members(b, l, in, zone, depth + 1);
		else if (in)
			build_error(b, &n->rec, "groups nest deeper than %d, or in a circle",
				    NEST_MAX);
	}
}

static int iface_order(const void *a, const void *b)
{
	return strcmp(((const struct pol_iface *)a)->name, ((const struct pol_iface *)b)->name);
}

const struct pol_iface *policy_iface(const struct policy *p, const char *name)
{
	struct pol_iface key = { 0 };

	rtr_strlcpy(key.name, pol_alias_iface(p->aliases, name), IFNAMSIZ);
	return p->n_ifaces ? bsearch(&key, p->ifaces, p->n_ifaces, sizeof(key), iface_order) : NULL;
}

void build_zones(struct build *b)
{
	const struct recvec *zones = rec_kids(b->model, &zone_type);
	const struct recvec *ifaces = rec_kids(b->model, &iface_type);
	struct pol_zone *v = xcalloc(zones->len, sizeof(*v));
	struct policy *p = &b->p->pub;
	struct ifaces l = { 0 };
	const struct iface *i;

	for (size_t k = 0; k < zones->len; k++) {
		const struct zone *z = (const void *)zones->v[k];

		v[k] = (struct pol_zone){
			.id = zone_id(b, v, k, z->name),
			.name = z->name,
			.management = z->management,
			.rec = &z->rec,
		};
	}
	p->zones = v;
	p->n_zones = zones->len;
	recvec_foreach(ifaces, i) {
		build_iface(b, &l, i);
	}
	for (size_t k = 0; k < zones->len; k++) {
		const struct recvec *members = rec_kids(zones->v[k], &zone_member_type);
		const struct zone_member *m;

		recvec_foreach(members, m) {
			const struct rec *g = fw_named(b->model, &og_interface_type, m->group);

			if (g)
				add_members(b, &l, g, v[k].id, 0);
		}
	}
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), iface_order);
	p->ifaces = l.v;
	p->n_ifaces = l.n;
}

/* ---- pairs ---- */

static void build_matches(const struct build *b, const struct cmap *m, struct pol_class *c)
{
	const struct recvec *protos = rec_kids(&m->rec, &cmap_proto_type);
	const struct recvec *acls = rec_kids(&m->rec, &cmap_acl_type);
	struct pol_match *v = xcalloc(protos->len + acls->len + 1, sizeof(*v));
	const struct policy *p = &b->p->pub;
	const struct cmap_proto *cp;
	const struct cmap_acl *ca;

	c->matches = v;
	c->match_all = m->match == CMAP_ALL;
	recvec_foreach(protos, cp) {
		const struct fw_protocol *fp = fw_protocol_find(cp->protocol);

		if (fp)
			v[c->n_matches++] = (struct pol_match){
				.list4 = policy_list(p, AF_INET, fp->list),
				.list6 = policy_list(p, AF_INET6, fp->list),
			};
	}
	recvec_foreach(acls, ca) {
		v[c->n_matches++] = (struct pol_match){
			.list4 = policy_list(p, AF_INET, ca->acl),
			.list6 = policy_list(p, AF_INET6, ca->acl),
		};
	}
	/* A class without lines holds nothing; class-default alone is everything. */
	if (!c->n_matches)
		c->n_matches = 1;
}

static void build_class(const struct build *b, const char *pair, const struct pmap_class *rec,
			struct pol_class *c)
{
	static const enum pol_action actions[] = { POL_PERMIT, POL_PASS, POL_DENY, POL_REJECT };
	char *what = xasprintf("%s/%s", pair, rec->name);
	const struct rec *m = strcmp(rec->name, "class-default")
				      ? fw_named(b->model, &cmap_type, rec->name)
				      : NULL;

	*c = (struct pol_class){
		.name = rec->name,
		.action = SCH_HAS(rec, action) ? actions[rec->action] : POL_DENY,
		.log = rec->log,
		.id = pol_id_of(what, 1, 0, 0),
		.rec = &rec->rec,
	};
	free(what);
	if (m)
		build_matches(b, (const void *)m, c);
}

void build_pairs(struct build *b)
{
	const struct recvec *pairs = rec_kids(b->model, &zone_pair_type);
	struct pol_pair *v = xcalloc(pairs->len, sizeof(*v));
	struct policy *p = &b->p->pub;

	for (size_t i = 0; i < pairs->len; i++) {
		const struct zone_pair *z = (const void *)pairs->v[i];
		const struct rec *pm = z->policy ? fw_named(b->model, &pmap_type, z->policy) : NULL;
		const struct recvec *classes = pm ? rec_kids(pm, &pmap_class_type) : NULL;
		struct pol_class *c = classes ? xcalloc(classes->len, sizeof(*c)) : NULL;

		for (size_t k = 0; classes && k < classes->len; k++)
			build_class(b, z->name, (const void *)classes->v[k], &c[k]);
		v[i] = (struct pol_pair){
			.from = zone_named(p, z->source),
			.to = zone_named(p, z->destination),
			.name = z->name,
			.n_classes = classes ? classes->len : 0,
			.classes = c,
			.rec = &z->rec,
		};
	}
	p->pairs = v;
	p->n_pairs = pairs->len;
}

const struct pol_pair *policy_pair(const struct policy *p, uint16_t from, uint16_t to)
{
	for (size_t i = 0; i < p->n_pairs; i++) {
		if (p->pairs[i].from == from && p->pairs[i].to == to)
			return &p->pairs[i];
	}
	return NULL;
}

/* ---- the box itself ---- */

bool policy_untracked(const struct policy *p, const struct pol_iface *i)
{
	const struct pol_zone *z = policy_zone(p, i->zone);

	return z && z->management && !i->in4 && !i->in6 && !policy_pair(p, POL_ZONE_SELF, z->id);
}

extern const fw_local_fn __start_rtr_fw_locals[] __attribute__((weak));
extern const fw_local_fn __stop_rtr_fw_locals[] __attribute__((weak));

static const struct pol_ports *port_range(uint16_t lo, uint16_t hi)
{
	struct acl_ports p = { .op = ACL_PORT_EQ, .n = 1, .r = { { lo, hi } } };

	return lo || hi ? pol_ports_of(&p) : NULL;
}

static const struct pol_addrs *net_set(const struct rtr_prefix *p)
{
	struct pol_ranges l = { 0 };
	const struct pol_addrs *a;

	if (!p->addr.family)
		return NULL;
	pol_ranges_add_prefix(&l, p);
	a = pol_ranges_set(&l, p->addr.family, NULL);
	pol_ranges_fini(&l);
	return a;
}

void fw_local_permit(struct fw_locals *l, const struct fw_permit *p, const struct rec *rec)
{
	struct pol_rule spec = {
		.seq = (uint32_t)l->n + 1,
		.action = POL_PERMIT,
		.family = p->family,
		.src = net_set(&p->src),
		.dst = net_set(&p->dst),
		.ttl_lo = p->ttl,
		.ttl_hi = p->ttl ? p->ttl : 255,
		.len_hi = 65535,
		.active = true,
		.rec = rec,
	};
	struct pol_service s = {
		.proto = p->proto,
		.sport = port_range(p->sport_lo, p->sport_hi),
		.dport = port_range(p->dport_lo, p->dport_hi),
		.has_icmp_type = p->has_icmp_type,
		.icmp_type = p->icmp_type,
	};
	char *what = xasprintf("local %s %s", p->why, p->iface ? p->iface : "");
	struct pol_local *v;

	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	v = &l->v[l->n++];
	*v = (struct pol_local){ .why = xstrdup(p->why) };
	if (p->iface)
		rtr_strlcpy(v->iface, p->iface, IFNAMSIZ);
	v->rule = pol_rule_make(
		&spec, &s, pol_id_of(what, p->family, p->proto << 16 | p->dport_lo, p->icmp_type));
	free(what);
}

/* What IPv6 cannot do without (RFC 4890 section 4.4); ARP does not come here. ICMP errors belong
 * to their connection. */
static void basics(struct fw_locals *l)
{
	static const uint8_t nd[] = { 133, 134, 135, 136 }, mld[] = { 130, 131, 132, 143 };

	for (size_t i = 0; i < ARRAY_LEN(nd); i++)
		fw_local_permit(l,
				&(struct fw_permit){ .why = "neighbour discovery",
						     .family = AF_INET6,
						     .proto = IPPROTO_ICMPV6,
						     .has_icmp_type = true,
						     .icmp_type = nd[i],
						     .ttl = 255 },
				NULL);
	for (size_t i = 0; i < ARRAY_LEN(mld); i++)
		fw_local_permit(l,
				&(struct fw_permit){ .why = "multicast listener discovery",
						     .family = AF_INET6,
						     .proto = IPPROTO_ICMPV6,
						     .has_icmp_type = true,
						     .icmp_type = mld[i],
						     .ttl = 1 },
				NULL);
	fw_local_permit(l,
			&(struct fw_permit){ .why = "multicast groups",
					     .family = AF_INET,
					     .proto = IPPROTO_IGMP,
					     .ttl = 1 },
			NULL);
}

void build_locals(struct build *b)
{
	struct fw_locals l = { 0 };

	basics(&l);
	for (const fw_local_fn *fn = __start_rtr_fw_locals; fn != __stop_rtr_fw_locals; fn++)
		(*fn)(b->model, &l);
	b->p->pub.locals = l.v;
	b->p->pub.n_locals = l.n;
}

void zones_free(struct policy *p)
{
	for (size_t i = 0; i < p->n_pairs; i++) {
		for (size_t k = 0; k < p->pairs[i].n_classes; k++)
			free((void *)(uintptr_t)p->pairs[i].classes[k].matches);
		free((void *)(uintptr_t)p->pairs[i].classes);
	}
	free((void *)(uintptr_t)p->pairs);
	for (size_t i = 0; i < p->n_locals; i++) {
		free((void *)(uintptr_t)p->locals[i].why);
		pol_rule_unref(p->locals[i].rule);
	}
	free((void *)(uintptr_t)p->locals);
	free((void *)(uintptr_t)p->zones);
	for (size_t i = 0; i < p->n_ifaces; i++) {
		pol_addrs_unref(p->ifaces[i].feasible4);
		pol_addrs_unref(p->ifaces[i].feasible6);
	}
	free((void *)(uintptr_t)p->ifaces);
}
