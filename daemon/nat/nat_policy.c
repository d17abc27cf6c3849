/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building the policy from the model, comparing it with the one before, and finding in it. */
#include "nat/nat_policy.h"

#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "nat/nat.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *v, size_t n, size_t size)
{
	return n & (n - 1) ? v : xrealloc(v, (n ? n * 2 : 1) * size);
}
#define ADD(v, n)                                                                                  \
	((v) = grow((v), (n), sizeof(*(v))), memset(&(v)[(n)], 0, sizeof(*(v))), &(v)[(n)++])

/* ---- interfaces ---- */

static struct nat_iface *iface_get(struct nat_policy *p, const char *operators)
{
	const char *name = iface_kernel_name(operators);
	struct nat_iface *i;

	for (size_t k = 0; k < p->n_ifaces; k++) {
		if (!strcmp(p->ifaces[k].name, name))
			return &p->ifaces[k];
	}
	i = ADD(p->ifaces, p->n_ifaces);
	rtr_strlcpy(i->name, name, sizeof(i->name));
	return i;
}

static void add_addr(struct nat_iface *i, const struct rtr_addr *a)
{
	unsigned f = nat_fam(a->family);

	if (rtr_addr_is_linklocal(a))
		return;
	for (size_t k = 0; k < i->n_addrs[f]; k++) {
		if (!rtr_addr_cmp(&i->addrs[f][k], a))
			return;
	}
	*ADD(i->addrs[f], i->n_addrs[f]) = *a;
}

/* What the interface has now, in the kernel's order, then what the model is about to give it. */
static void fill_addrs(struct nat_iface *i, const struct rec *model, bool offline)
{
	const struct shadow_link *l = offline ? NULL : iface_link(i->name);
	const struct iface *conf = iface_find(model, iface_operator_name(i->name));
	const struct iface_addr4 *a;
	const struct iface_addr6 *b;
	struct rtr_prefix p;

	for (int secondary = 0; secondary < 2; secondary++) {
		for (size_t k = 0; l && k < l->n_addrs; k++) {
			const struct shadow_addr *s = &l->addrs[k];

			/* NAT's own are not the interface's. */
			if (s->scope == RT_SCOPE_UNIVERSE && s->proto != nat_alias_proto() &&
			    !(s->flags & IFA_F_SECONDARY) == !secondary)
				add_addr(i, &s->addr.addr);
		}
	}
	if (!conf)
		return;
	recvec_foreach(rec_kids(&conf->rec, &iface_addr4_type), a) {
		add_addr(i, &a->addr.addr);
	}
	recvec_foreach(rec_kids(&conf->rec, &iface_addr6_type), b) {
		if (iface_addr6_effective(b, l && l->has_mac ? l->mac : NULL, &p))
			add_addr(i, &p.addr);
	}
}

static int iface_cmp(const void *a, const void *b)
{
	return strcmp(((const struct nat_iface *)a)->name, ((const struct nat_iface *)b)->name);
}

static void build_ifaces(struct nat_policy *p, const struct rec *model, bool offline)
{
	const struct iface *i;

	recvec_foreach(rec_kids(model, &iface_type), i) {
		const struct nat_npt_conf *n;

		for (unsigned f = 0; f < 2; f++) {
			const struct nat_if_conf *s = (const void *)rec_only(&i->rec,
									     nat_if_types[f]);

			if (s)
				iface_get(p, i->name)->side[f] = s->side == NAT_WORD_INSIDE
									 ? NAT_INSIDE
									 : NAT_OUTSIDE;
		}
		recvec_foreach(rec_kids(&i->rec, &nat_npt_type), n) {
			struct nat_npt *npt = ADD(p->npts, p->n_npts);

			rtr_strlcpy(npt->ifname, iface_kernel_name(i->name), sizeof(npt->ifname));
			npt->inside = n->inside;
			npt->outside = n->outside;
			npt->rec = &n->rec;
		}
	}
	for (unsigned f = 0; f < 2; f++) {
		const struct nat_source_conf *s;
		const struct nat_static_conf *t;

		recvec_foreach(rec_kids(model, nat_source_types[f]), s) {
			if (*s->ifname)
				iface_get(p, s->ifname);
		}
		recvec_foreach(rec_kids(model, nat_static_types[f]), t) {
			if (*t->ifname)
				iface_get(p, t->ifname);
		}
	}
	if (p->n_ifaces)
		qsort(p->ifaces, p->n_ifaces, sizeof(*p->ifaces), iface_cmp);
	for (size_t k = 0; k < p->n_ifaces; k++)
		fill_addrs(&p->ifaces[k], model, offline);
}

/* ---- lines ---- */

static void build_pools(struct nat_family *f, const struct recvec *v)
{
	const struct nat_pool_conf_line *l;

	recvec_foreach(v, l) {
		struct nat_addrs *a = ADD(f->pools, f->n_pools);

		*a = (struct nat_addrs){ .name = l->name,
					 .lo = l->lo,
					 .hi = l->hi,
					 .len = l->len,
					 .rotary = SCH_HAS(l, type) && l->type == NAT_POOL_ROTARY,
					 .match_host = SCH_HAS(l, type) &&
						       l->type == NAT_POOL_MATCH_HOST,
					 .alias = !l->no_alias,
					 .rec = &l->rec };
		if (SCH_HAS(l, type) && l->type == NAT_POOL_DETERMINISTIC)
			a->det_ports = l->ports;
		if (l->mask.family && rtr_mask_to_len(&l->mask, &a->len))
			a->len = 0; /* told by nat_check_policy */
	}
}

static const struct nat_addrs *pool_find(const struct nat_family *f, const char *name)
{
	for (size_t i = 0; i < f->n_pools; i++) {
		if (!strcmp(f->pools[i].name, name))
			return &f->pools[i];
	}
	return NULL;
}

static const struct pol_list *list_find(const struct nat_lookup *look, uint8_t family,
					const char *name, const struct rec *rec, struct check *c)
{
	const struct pol_list *l = look->list(look->arg, family, name);

	if (!l && c)
		check_missing(c, rec, "access list %s", name);
	return l;
}

static const struct nat_addrs *pool_need(const struct nat_family *f, const char *name,
					 const struct rec *rec, struct check *c)
{
	const struct nat_addrs *a = pool_find(f, name);

	if (!a && c)
		check_missing(c, rec, "pool %s", name);
	return a;
}

static void build_dynamics(struct nat_family *f, uint8_t family, const struct recvec *v,
			   const struct nat_lookup *look, struct check *c)
{
	const struct nat_source_conf *s;

	recvec_foreach(v, s) {
		struct nat_dynamic d = { .exempt = s->to == NAT_TO_NOTHING,
					 .overload = s->overload || s->to == NAT_TO_INTERFACE,
					 .seq = s->seq,
					 .rec = &s->rec };

		d.list = list_find(look, family, s->acl, &s->rec, c);
		if (s->to == NAT_TO_POOL)
			d.pool = pool_need(f, s->pool, &s->rec, c);
		if (!d.list || (s->to == NAT_TO_POOL && !d.pool))
			continue;
		rtr_strlcpy(d.ifname, iface_kernel_name(s->ifname), sizeof(d.ifname));
		/* Nothing leaves by a loopback: its address is one that we have anyway. */
		if (s->to == NAT_TO_INTERFACE && iface_is_loopback(s->ifname)) {
			memcpy(d.loopback, d.ifname, sizeof(d.loopback));
			d.ifname[0] = '\0';
		}
		if (d.pool && !d.overload && !d.pool->det_ports)
			nat_map_build(&d, c);
		*ADD(f->dynamics, f->n_dynamics) = d;
	}
}

static void build_rotaries(struct nat_family *f, uint8_t family, const struct recvec *v,
			   const struct nat_lookup *look, struct check *c)
{
	const struct nat_dest_conf *d;

	recvec_foreach(v, d) {
		const struct pol_list *l = list_find(look, family, d->acl, &d->rec, c);
		const struct nat_addrs *a = pool_need(f, d->pool, &d->rec, c);

		if (l && a)
			*ADD(f->rotaries, f->n_rotaries) = (struct nat_rotary){ .list = l,
										.pool = a,
										.rec = &d->rec };
	}
}

static int outside_cmp(const void *a, const void *b)
{
	return rtr_addr_cmp(&((const struct nat_outside *)a)->local,
			    &((const struct nat_outside *)b)->local);
}

static void build_outsides(struct nat_family *f, const struct recvec *v)
{
	const struct nat_outside_conf *o;

	recvec_foreach(v, o) {
		*ADD(f->outsides, f->n_outsides) = (struct nat_outside){ .global = o->global,
									 .local = o->local,
									 .rec = &o->rec };
	}
	if (f->n_outsides)
		qsort(f->outsides, f->n_outsides, sizeof(*f->outsides), outside_cmp);
}

static int by_global(const void *a, const void *b)
{
	const struct nat_static *x = a, *y = b;
	int c = x->kind != y->kind ? (int)x->kind - y->kind : rtr_addr_cmp(&x->global, &y->global);

	return c ? c : (int)x->gport - y->gport;
}

static int by_local(const void *a, const void *b)
{
	const struct nat_static *x = a, *y = b;
	int c = x->kind != y->kind ? (int)x->kind - y->kind : rtr_addr_cmp(&x->local, &y->local);

	c = c ? c : (int)x->lport - y->lport;
	return c ? c : by_global(a, b);
}

static void add_static(struct nat_policy *p, struct nat_family *f, const struct nat_static_conf *l,
		       uint8_t family)
{
	struct nat_static s = { .kind = l->kind,
				.local = l->local,
				.global = l->global,
				.len = l->kind == NAT_NETWORK ? l->len
							      : (uint8_t)rtr_family_bits(family),
				.lport = l->lports.lo,
				.gport = l->gports.lo,
				.n_ports = (uint16_t)(l->lports.hi - l->lports.lo + 1),
				.alias = !l->no_alias,
				.rec = &l->rec };
	const struct nat_iface *i;

	if (l->kind < NAT_TCP)
		s.n_ports = 0;
	rtr_strlcpy(s.ifname, iface_kernel_name(l->ifname), sizeof(s.ifname));
	if (!*l->ifname) {
		*ADD(f->statics, f->n_statics) = s;
		return;
	}
	i = nat_iface_find(p, s.ifname);
	for (size_t k = 0; i && k < i->n_addrs[nat_fam(family)]; k++) {
		s.global = i->addrs[nat_fam(family)][k];
		*ADD(f->statics, f->n_statics) = s;
	}
}

static void build_statics(struct nat_policy *p, struct nat_family *f, uint8_t family,
			  const struct recvec *v)
{
	const struct nat_static_conf *l;

	recvec_foreach(v, l) {
		add_static(p, f, l, family);
	}
	if (!f->n_statics)
		return;
	f->by_local = xcalloc(f->n_statics, sizeof(*f->by_local));
	memcpy(f->by_local, f->statics, f->n_statics * sizeof(*f->by_local));
	qsort(f->statics, f->n_statics, sizeof(*f->statics), by_global);
	qsort(f->by_local, f->n_statics, sizeof(*f->by_local), by_local);
}

/* ---- the whole ---- */

static bool any_line(const struct rec *model)
{
	const struct iface *i;

	for (unsigned f = 0; f < 2; f++) {
		if (rec_kids(model, nat_source_types[f])->len ||
		    rec_kids(model, nat_static_types[f])->len ||
		    rec_kids(model, nat_outside_types[f])->len ||
		    rec_kids(model, nat_dest_types[f])->len ||
		    rec_kids(model, nat_pool_types[f])->len)
			return true;
	}
	recvec_foreach(rec_kids(model, &iface_type), i) {
		if (rec_kids(&i->rec, &nat_npt_type)->len)
			return true;
	}
	return false;
}

static bool same(const void *a, size_t na, const void *b, size_t nb, size_t size)
{
	return na == nb && (!na || !memcmp(a, b, na * size));
}
#define SAME(x, y, v, n) same((x)->v, (x)->n, (y)->v, (y)->n, sizeof(*(x)->v))

static bool same_dynamics(const struct nat_family *a, const struct nat_family *b)
{
	if (a->n_dynamics != b->n_dynamics)
		return false;
	for (size_t i = 0; i < a->n_dynamics; i++) {
		const struct nat_dynamic *x = &a->dynamics[i], *y = &b->dynamics[i];

		if (x->list != y->list || x->rec != y->rec || !SAME(x, y, map, n_map))
			return false;
	}
	return true;
}

static bool same_ifaces(const struct nat_policy *a, const struct nat_policy *b)
{
	if (a->n_ifaces != b->n_ifaces)
		return false;
	for (size_t i = 0; i < a->n_ifaces; i++) {
		const struct nat_iface *x = &a->ifaces[i], *y = &b->ifaces[i];

		if (strcmp(x->name, y->name) || memcmp(x->side, y->side, sizeof(x->side)) ||
		    !SAME(x, y, addrs[0], n_addrs[0]) || !SAME(x, y, addrs[1], n_addrs[1]))
			return false;
	}
	return true;
}

static bool same_ports(const struct pol_ports *a, const struct pol_ports *b)
{
	return SAME(a, b, r, n);
}

/* Pools are compared by their lines: what else points at them does so by place. */
static bool same_family(const struct nat_family *a, const struct nat_family *b)
{
	return SAME(a, b, pools, n_pools) && same_dynamics(a, b) &&
	       a->n_rotaries == b->n_rotaries && SAME(a, b, statics, n_statics) &&
	       SAME(a, b, outsides, n_outsides);
}

static bool same_rotaries(const struct nat_family *a, const struct nat_family *b)
{
	for (size_t i = 0; i < a->n_rotaries; i++) {
		if (a->rotaries[i].list != b->rotaries[i].list ||
		    a->rotaries[i].rec != b->rotaries[i].rec)
			return false;
	}
	return true;
}

static bool same_policy(const struct nat_policy *a, const struct nat_policy *b)
{
	for (unsigned f = 0; f < 2; f++) {
		if (!same_family(&a->f[f], &b->f[f]) || !same_rotaries(&a->f[f], &b->f[f]))
			return false;
	}
	for (unsigned i = 0; i < NAT_PORTS__MAX; i++) {
		if (!same_ports(a->ports[i], b->ports[i]))
			return false;
	}
	return same_ifaces(a, b) && pol_aliases_same(a->aliases, b->aliases) &&
	       SAME(a, b, npts, n_npts) && same_ports(a->carved, b->carved) && a->eim == b->eim &&
	       a->eif == b->eif && a->block == b->block && a->blocks == b->blocks;
}

static bool same_lists(const struct nat_family *f, uint8_t family, const struct nat_lookup *look)
{
	for (size_t i = 0; i < f->n_dynamics; i++) {
		const struct pol_list *l = f->dynamics[i].list;

		if (look->list(look->arg, family, l->name) != l)
			return false;
	}
	for (size_t i = 0; i < f->n_rotaries; i++) {
		const struct pol_list *l = f->rotaries[i].list;

		if (look->list(look->arg, family, l->name) != l)
			return false;
	}
	return true;
}

/* True when all that a policy is made of is what it was: most commits. Costs no line. */
static bool unchanged(const struct rec *model, const struct nat_policy *old,
		      const struct nat_lookup *look)
{
	const struct rec *was = old->model;

	if (rec_kids(model, &iface_type) != rec_kids(was, &iface_type) ||
	    rec_kids(model, &nat_range_type) != rec_kids(was, &nat_range_type) ||
	    rec_kids(model, &nat_mapping_type) != rec_kids(was, &nat_mapping_type) ||
	    rec_kids(model, &nat_filtering_type) != rec_kids(was, &nat_filtering_type) ||
	    rec_kids(model, &nat_block_type) != rec_kids(was, &nat_block_type) ||
	    rec_kids(model, &nat_reserve_type) != rec_kids(was, &nat_reserve_type))
		return false;
	for (unsigned f = 0; f < 2; f++) {
		const struct sch_type *types[] = { nat_pool_types[f], nat_source_types[f],
						   nat_static_types[f], nat_outside_types[f],
						   nat_dest_types[f] };

		for (size_t i = 0; i < ARRAY_LEN(types); i++) {
			if (rec_kids(model, types[i]) != rec_kids(was, types[i]))
				return false;
		}
		if (!same_lists(&old->f[f], f ? AF_INET6 : AF_INET, look))
			return false;
	}
	return pol_aliases_same(old->aliases, look->aliases) && nat_policy_fresh(old);
}

static bool maps_endpoints(const struct rec *model)
{
	const struct nat_mapping_conf *m;

	recvec_foreach(rec_kids(model, &nat_mapping_type), m) {
		return m->mapping == NAT_MAPPING_ENDPOINT;
	}
	return false;
}

static bool filters_endpoints(const struct rec *model)
{
	const struct nat_filtering_conf *m;

	recvec_foreach(rec_kids(model, &nat_filtering_type), m) {
		return m->filtering == NAT_MAPPING_ENDPOINT;
	}
	return false;
}

static void set_blocks(struct nat_policy *p, const struct rec *model)
{
	const struct nat_block_conf *b;

	recvec_foreach(rec_kids(model, &nat_block_type), b) {
		p->block = b->size;
		p->blocks = b->limit;
	}
}

const struct nat_policy *nat_policy_build(const struct rec *model, const struct nat_policy *old,
					  const struct nat_lookup *look, struct check *c)
{
	unsigned errors = c ? c->n_errors : 0;
	struct nat_policy *p;

	if (!any_line(model))
		return NULL;
	if (old && !(c && c->offline) && unchanged(model, old, look))
		return nat_policy_ref(old);
	p = xcalloc(1, sizeof(*p));
	p->refs = 1;
	p->model = rec_ref(model);
	p->aliases = pol_aliases_ref(look->aliases);
	build_ifaces(p, model, c && c->offline);
	for (unsigned f = 0; f < 2; f++) {
		uint8_t family = f ? AF_INET6 : AF_INET;

		build_pools(&p->f[f], rec_kids(model, nat_pool_types[f]));
		build_dynamics(&p->f[f], family, rec_kids(model, nat_source_types[f]), look, c);
		build_rotaries(&p->f[f], family, rec_kids(model, nat_dest_types[f]), look, c);
		build_outsides(&p->f[f], rec_kids(model, nat_outside_types[f]));
		build_statics(p, &p->f[f], family, rec_kids(model, nat_static_types[f]));
	}
	nat_ports_build(p, model, c);
	nat_det_build(p, c);
	p->eim = maps_endpoints(model);
	p->eif = filters_endpoints(model);
	set_blocks(p, model);
	if (c)
		nat_check_policy(p, model, c);
	if (c && c->n_errors != errors)
		return nat_policy_unref(p);
	if (old && same_policy(p, old)) {
		nat_policy_unref(p);
		return nat_policy_ref(old);
	}
	return p;
}

bool nat_policy_fresh(const struct nat_policy *p)
{
	bool fresh = true;

	for (size_t k = 0; p && k < p->n_ifaces && fresh; k++) {
		const struct nat_iface *i = &p->ifaces[k];
		struct nat_iface now = { 0 };

		rtr_strlcpy(now.name, i->name, sizeof(now.name));
		fill_addrs(&now, p->model, false);
		fresh = SAME(&now, i, addrs[0], n_addrs[0]) && SAME(&now, i, addrs[1], n_addrs[1]);
		free(now.addrs[0]);
		free(now.addrs[1]);
	}
	return fresh;
}

const struct nat_policy *nat_policy_ref(const struct nat_policy *p)
{
	if (p)
		((struct nat_policy *)(uintptr_t)p)->refs++;
	return p;
}

const struct nat_policy *nat_policy_unref(const struct nat_policy *cp)
{
	struct nat_policy *p = (struct nat_policy *)(uintptr_t)cp;

	if (!p || --p->refs)
		return NULL;
	for (unsigned f = 0; f < 2; f++) {
		for (size_t i = 0; i < p->f[f].n_dynamics; i++) {
			free(p->f[f].dynamics[i].map);
			free(p->f[f].dynamics[i].det);
		}
		free(p->f[f].pools);
		free(p->f[f].dynamics);
		free(p->f[f].rotaries);
		free(p->f[f].statics);
		free(p->f[f].by_local);
		free(p->f[f].outsides);
	}
	for (size_t i = 0; i < p->n_ifaces; i++) {
		free(p->ifaces[i].addrs[0]);
		free(p->ifaces[i].addrs[1]);
	}
	free(p->ifaces);
	free(p->npts);
	nat_ports_fini(p);
	pol_aliases_unref(p->aliases);
	rec_unref((struct rec *)(uintptr_t)p->model);
	free(p);
	return NULL;
}

/* ---- finding ---- */

const struct nat_iface *nat_iface_find(const struct nat_policy *p, const char *ifname)
{
	struct nat_iface like;

	if (!p || !p->n_ifaces)
		return NULL;
	rtr_strlcpy(like.name, ifname, sizeof(like.name));
	return bsearch(&like, p->ifaces, p->n_ifaces, sizeof(*p->ifaces), iface_cmp);
}

enum nat_side nat_side_of(const struct nat_policy *p, uint8_t family, const char *ifname)
{
	const struct nat_iface *i = nat_iface_find(p, ifname);

	return i ? i->side[nat_fam(family)] : NAT_NO_SIDE;
}

const struct nat_addrs *nat_pool_of(const struct nat_policy *p, const struct rtr_addr *a)
{
	const struct nat_family *f;

	if (!p)
		return NULL;
	f = &p->f[nat_fam(a->family)];
	for (size_t i = 0; i < f->n_pools; i++) {
		if (rtr_addr_cmp(a, &f->pools[i].lo) >= 0 && rtr_addr_cmp(a, &f->pools[i].hi) <= 0)
			return &f->pools[i];
	}
	return NULL;
}

uint64_t nat_addrs_size(const struct nat_addrs *a)
{
	uint64_t d = nat_addr_diff(&a->hi, &a->lo);

	return d == UINT64_MAX ? d : d + 1;
}
