/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with a policy, told at the line. Pure: the policy is complete, nothing is asked. */
#include "domain.h"
#include "fastpath/fastpath.h"
#include "iface/iface.h"
#include "nat/nat.h"
#include "nft/nft.h"

#include <string.h>

/* A forward whose ports move by an offset is one element a port in the kernel's map. */
#define MOVED_PORTS_MAX 4096
/* Addresses of a rotary pool: one element each. */
#define ROTARY_MAX 256

struct ctx {
	const struct nat_policy *p;
	const struct rec *model;
	struct check *c;
};

/* Warnings are for lines that are new: a sentence that comes back with every commit is not read. */
static bool is_new(struct check *c, const struct rec *r)
{
	return rec_find(c->old, r->type, r) != r;
}

static bool bad_addr(struct check *c, const struct rec *rec, const struct rtr_addr *a)
{
	char text[RTR_ADDR_STRLEN];

	if (!rtr_addr_is_any(a) && !rtr_addr_is_multicast(a) && !rtr_addr_is_loopback(a) &&
	    !rtr_addr_is_linklocal(a))
		return false;
	check_error(c, rec, "%s cannot be the address of a host", rtr_addr_str(a, text));
	return true;
}

/* The interface, NAT's or not, that has an address from lo to hi. */
static const char *own_iface(const struct rec *model, const struct rtr_addr *lo,
			     const struct rtr_addr *hi)
{
	const struct iface *i;

	recvec_foreach(rec_kids(model, &iface_type), i) {
		const struct iface_addr4 *x;
		const struct iface_addr6 *y;

		recvec_foreach(rec_kids(&i->rec, &iface_addr4_type), x) {
			if (rtr_addr_cmp(&x->addr.addr, lo) >= 0 &&
			    rtr_addr_cmp(&x->addr.addr, hi) <= 0)
				return i->name;
		}
		recvec_foreach(rec_kids(&i->rec, &iface_addr6_type), y) {
			if (!y->eui_64 && rtr_addr_cmp(&y->addr.addr, lo) >= 0 &&
			    rtr_addr_cmp(&y->addr.addr, hi) <= 0)
				return i->name;
		}
	}
	return NULL;
}

/* ---- pools ---- */

static void check_pool(struct check *c, const struct nat_family *f, size_t at)
{
	const struct nat_addrs *a = &f->pools[at];
	struct rtr_prefix net = { .addr = a->lo, .len = a->len };
	char text[RTR_PREFIX_STRLEN];

	if (bad_addr(c, a->rec, &a->lo) || bad_addr(c, a->rec, &a->hi))
		return;
	if (rtr_addr_cmp(&a->lo, &a->hi) > 0)
		check_error(c, a->rec, "the first address is above the last");
	if (!a->len) {
		check_error(c, a->rec, "the netmask is none");
		return;
	}
	if (a->lo.family == AF_INET6 && a->len < 64)
		check_error(c, a->rec, "an IPv6 pool lies in a /64 or a smaller network");
	net = rtr_prefix_network(net);
	if (!rtr_prefix_contains(&net, &a->hi))
		check_error(c, a->rec, "the last address is not in %s", rtr_prefix_str(&net, text));
	if (a->rotary && nat_addrs_size(a) > ROTARY_MAX)
		check_error(c, a->rec, "a rotary pool has at most %d addresses", ROTARY_MAX);
	for (size_t i = 0; i < at; i++) {
		const struct nat_addrs *b = &f->pools[i];

		if (!a->rotary && !b->rotary && rtr_addr_cmp(&a->lo, &b->hi) <= 0 &&
		    rtr_addr_cmp(&b->lo, &a->hi) <= 0)
			check_error(c, a->rec, "shares addresses with pool %s", b->name);
	}
}

/* ---- lists ---- */

/* NAT looks at addresses, protocol, ports and ICMP types of a connection's first packet. */
static void check_list(struct check *c, const struct pol_list *l, const struct rec *rec)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct pol_rule *r = l->rules[i];
		const char *what = NULL;

		for (size_t k = 0; k < r->n_services && !what; k++) {
			if (r->services[k].n_flags)
				what = "TCP flags";
		}
		if (r->dscp)
			what = "DSCP";
		else if (r->ttl_lo || r->ttl_hi != UINT8_MAX)
			what = "TTL";
		else if (r->len_lo || r->len_hi != UINT16_MAX)
			what = "length";
		else if (r->fragments)
			what = "fragments";
		else if (r->states)
			what = "state";
		else if (r->limit.rate || r->limit.conns)
			what = "limits";
		else if (r->tls_name)
			what = "server name";
		else if (r->log)
			what = "log";
		if (what)
			check_error(c, rec, "list %s, line %u: address translation cannot go by %s",
				    l->name, r->seq, what);
	}
}

/* Shares are of one list, and of nobody else. */
static void check_det(struct ctx *x, const struct nat_dynamic *d, unsigned fam)
{
	const struct nat_family *f = &x->p->f[fam];
	const char *own;

	if (!d->pool || !d->pool->det_ports)
		return;
	if (!d->overload)
		check_error(x->c, d->rec,
			    "hosts share the addresses of deterministic pool %s: say "
			    "overload",
			    d->pool->name);
	own = own_iface(x->model, &d->pool->lo, &d->pool->hi);
	if (own)
		check_error(x->c, d->rec,
			    "deterministic pool %s holds the address of %s, whose ports the box "
			    "itself needs",
			    d->pool->name, own);
	for (size_t i = 0; &f->dynamics[i] != d; i++) {
		if (f->dynamics[i].pool == d->pool && f->dynamics[i].list != d->list)
			check_error(x->c, d->rec,
				    "deterministic pool %s is shared by the hosts of list %s "
				    "already",
				    d->pool->name, f->dynamics[i].list->name);
	}
}

static void check_dynamic(struct ctx *x, const struct nat_dynamic *d, unsigned fam)
{
	const struct nat_source_conf *s = (const void *)d->rec;
	struct check *c = x->c;

	check_list(c, d->list, d->rec);
	if (d->exempt && s->overload)
		check_error(c, d->rec, "what is exempt is not overloaded");
	if (d->pool && d->pool->rotary)
		check_error(c, d->rec, "a rotary pool is for ip nat inside destination");
	if (d->pool && d->pool->match_host && d->overload)
		check_error(c, d->rec, "match-host gives each host its own address: no overload");
	check_det(x, d, fam);
	if (d->pool && !d->overload && !d->pool->rotary) {
		const char *own = own_iface(x->model, &d->pool->lo, &d->pool->hi);

		if (own)
			check_error(c, d->rec,
				    "pool %s holds the address of %s, which the box itself needs: "
				    "say overload, or leave it out",
				    d->pool->name, own);
	}
	if (*d->loopback && !nat_iface_find(x->p, d->loopback)->n_addrs[fam])
		check_error(c, d->rec, "%s has no address", s->ifname);
	if (!*d->ifname || !is_new(c, d->rec))
		return;
	if (nat_iface_find(x->p, d->ifname)->side[fam] != NAT_OUTSIDE)
		check_warn(c, d->rec, "nothing is translated before %s is %s nat outside",
			   d->ifname, fam ? "ipv6" : "ip");
}

static void check_rotary(struct check *c, const struct nat_rotary *r)
{
	check_list(c, r->list, r->rec);
	if (!r->pool->rotary)
		check_error(c, r->rec, "pool %s is not of type rotary", r->pool->name);
	for (size_t i = 0; i < r->list->n; i++) {
		if (r->list->rules[i]->action == POL_PERMIT && !r->list->rules[i]->dst)
			check_error(c, r->rec,
				    "list %s, line %u names no destination: the address that "
				    "clients ask for",
				    r->list->name, r->list->rules[i]->seq);
	}
}

/* ---- static lines ---- */

static void check_range(struct check *c, const struct nat_static *s)
{
	const struct nat_static_conf *l = (const void *)s->rec;

	if (l->gports.hi - l->gports.lo != l->lports.hi - l->lports.lo)
		check_error(c, s->rec, "the two ranges of ports differ in size");
	if (s->lport != s->gport && s->n_ports > MOVED_PORTS_MAX)
		check_error(c, s->rec, "at most %d ports can be moved by one line",
			    MOVED_PORTS_MAX);
}

static void check_static(struct ctx *x, const struct nat_static *s)
{
	struct check *c = x->c;
	struct rtr_prefix local = { .addr = s->local, .len = s->len };
	struct rtr_prefix global = { .addr = s->global, .len = s->len };
	const char *own = own_iface(x->model, &s->global, &s->global);
	const struct nat_addrs *pool = nat_pool_of(x->p, &s->global);
	char text[RTR_ADDR_STRLEN];

	if (bad_addr(c, s->rec, &s->local) || bad_addr(c, s->rec, &s->global))
		return;
	if (s->kind >= NAT_TCP) {
		check_range(c, s);
		return;
	}
	if (!rtr_addr_cmp(&s->local, &s->global))
		check_error(c, s->rec, "both addresses are the same");
	if (s->kind == NAT_HOST && own)
		check_error(c, s->rec,
			    "%s is the address of %s, which the box itself needs: forward ports "
			    "with static tcp and udp",
			    rtr_addr_str(&s->global, text), own);
	if (pool && !pool->rotary)
		check_error(c, s->rec, "%s is in pool %s", rtr_addr_str(&s->global, text),
			    pool->name);
	if (s->kind != NAT_NETWORK)
		return;
	if (s->len > rtr_family_bits(s->local.family))
		check_error(c, s->rec, "/%u is longer than an address", s->len);
	else if (rtr_prefix_has_host_bits(&local) || rtr_prefix_has_host_bits(&global))
		check_error(c, s->rec, "one of the addresses is not that of a /%u", s->len);
}

/* Neighbours in order of address: what overlaps is side by side. */
static void check_twice(struct check *c, const struct nat_static *a, const struct nat_static *b,
			bool local)
{
	const struct rtr_addr *x = local ? &a->local : &a->global;
	const struct rtr_addr *y = local ? &b->local : &b->global;
	struct rtr_prefix net = { .addr = *x, .len = a->len };
	char text[RTR_ADDR_STRLEN];

	if (a->kind != b->kind)
		return;
	if (a->kind >= NAT_TCP) {
		if (!local && !rtr_addr_cmp(x, y) && b->gport - a->gport < a->n_ports)
			check_error(c, b->rec, "port %u of %s is forwarded already", b->gport,
				    rtr_addr_str(y, text));
		return;
	}
	if (rtr_prefix_contains(&net, y))
		check_error(c, b->rec, "%s has a translation already", rtr_addr_str(y, text));
}

static void check_statics(struct ctx *x, const struct nat_family *f)
{
	for (size_t i = 0; i < f->n_statics; i++) {
		check_static(x, &f->statics[i]);
		if (!i)
			continue;
		check_twice(x->c, &f->statics[i - 1], &f->statics[i], false);
		check_twice(x->c, &f->by_local[i - 1], &f->by_local[i], true);
	}
	for (size_t i = 0; i < f->n_outsides; i++) {
		const struct nat_outside *o = &f->outsides[i];

		if (bad_addr(x->c, o->rec, &o->local) || bad_addr(x->c, o->rec, &o->global))
			continue;
		if (!rtr_addr_cmp(&o->local, &o->global))
			check_error(x->c, o->rec, "both addresses are the same");
		if (i && !rtr_addr_cmp(&o[-1].local, &o->local))
			check_error(x->c, o->rec, "the local address stands for another host");
	}
}

/* ---- NPTv6 ---- */

static void check_npt(struct check *c, const struct nat_policy *p, size_t at)
{
	const struct nat_npt *n = &p->npts[at];

	if (n->inside.len != n->outside.len)
		check_error(c, n->rec, "the prefixes differ in length");
	else if (n->inside.len > 64)
		check_error(c, n->rec, "a prefix is a /64 or shorter (RFC 6296)");
	if (!c->offline && !nft_cap(NFT_CAP_NPT))
		check_error(c, n->rec,
			    "this kernel cannot translate prefixes (targets SNPT and DNPT): %s",
			    strerror(nft_cap_error(NFT_CAP_NPT)));
	for (size_t i = 0; i < at; i++) {
		const struct nat_npt *o = &p->npts[i];

		if (!strcmp(n->ifname, o->ifname) && (rtr_prefix_overlap(&n->inside, &o->inside) ||
						      rtr_prefix_overlap(&n->outside, &o->outside)))
			check_error(c, n->rec, "overlaps with another line of %s", n->ifname);
	}
}

/* ---- all ---- */

static bool has_side(const struct nat_policy *p, unsigned fam, enum nat_side side)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		if (p->ifaces[i].side[fam] == side)
			return true;
	}
	return false;
}

/* The hooks meet a packet of a VRF twice, the second time by the device of the VRF, which all its
 * interfaces share: sides cannot be told there. */
static void check_sides(struct check *c, const struct rec *model)
{
	const struct iface *i;

	recvec_foreach(rec_kids(model, &iface_type), i) {
		struct sch_type *const types[] = { nat_if_types[0], nat_if_types[1],
						   &nat_npt_type };

		for (size_t k = 0; k < ARRAY_LEN(types); k++) {
			const struct recvec *v = rec_kids(&i->rec, types[k]);

			if (v->len && i->vrf)
				check_error(c, v->v[0],
					    "%s is in VRF %s: addresses are translated outside of "
					    "VRFs only",
					    i->name, i->vrf);
			else if (v->len && iface_is_loopback(i->name))
				check_error(c, v->v[0], "nothing comes or leaves by %s", i->name);
		}
	}
}

/* What the rules need of the kernel. */
static void check_kernel(struct check *c, const struct nat_family *f)
{
	const struct rec *first = f->n_dynamics   ? f->dynamics[0].rec
				  : f->n_statics  ? f->statics[0].rec
				  : f->n_rotaries ? f->rotaries[0].rec
				  : f->n_outsides ? f->outsides[0].rec
						  : NULL;

	if (c->offline || !first)
		return;
	if (!nft_cap(NFT_CAP_NAT) || !nft_cap(NFT_CAP_MASQ))
		check_error(c, first, "this kernel cannot translate addresses (nftables, nat)");
	for (size_t i = 0; i < f->n_statics; i++) {
		if (f->statics[i].n_ports > 1 && f->statics[i].lport == f->statics[i].gport &&
		    !nft_cap(NFT_CAP_CONCAT_RANGES))
			check_error(c, f->statics[i].rec,
				    "this kernel has no ranges in sets of several fields: one line "
				    "a port");
	}
}

static bool any_fast(const struct rec *model)
{
	const struct iface *i;

	recvec_foreach(rec_kids(model, &iface_type), i) {
		if (fast_wish(i) != DATAPLANE_KERNEL)
			return true;
	}
	return false;
}

/* The kernel keeps a port only while nobody else wants it. */
static void check_mapping(const struct nat_policy *p, const struct rec *model, struct check *c)
{
	const struct nat_filtering_conf *f;
	const struct nat_mapping_conf *m;

	recvec_foreach(rec_kids(model, &nat_filtering_type), f) {
		if (p->eif && !p->eim)
			check_error(c, &f->rec,
				    "an inside port has no outside port of its own without ip nat "
				    "settings mapping endpoint-independent");
	}
	if (!p->eim || any_fast(model))
		return;
	recvec_foreach(rec_kids(model, &nat_mapping_type), m) {
		check_error(c, &m->rec,
			    "only the fast plane maps so, and no interface has dataplane auto or "
			    "dataplane fast");
	}
}

static void check_blocks(const struct nat_policy *p, const struct rec *model, struct check *c)
{
	const struct nat_block_conf *b;

	recvec_foreach(rec_kids(model, &nat_block_type), b) {
		if (!any_fast(model))
			check_error(c, &b->rec,
				    "only the fast plane has blocks of ports, and no interface has "
				    "dataplane auto or dataplane fast");
		if (p->ports[NAT_PORTS_FAST]->n && !nat_ports_blocks(p, NAT_PORTS_FAST, b->size))
			check_error(
				c, &b->rec, "no piece of the fast plane's range %u-%u has %u ports",
				p->range[NAT_PORTS_FAST].lo, p->range[NAT_PORTS_FAST].hi, b->size);
		if (is_new(c, &b->rec))
			check_warn(c, &b->rec,
				   "connections of the fast plane whose ports are of no such block "
				   "end");
	}
}

void nat_check_policy(const struct nat_policy *p, const struct rec *model, struct check *c)
{
	struct ctx x = { p, model, c };

	check_sides(c, model);
	check_mapping(p, model, c);
	check_blocks(p, model, c);
	for (unsigned fam = 0; fam < 2; fam++) {
		const struct nat_family *f = &p->f[fam];

		check_kernel(c, f);
		for (size_t i = 0; i < f->n_pools; i++)
			check_pool(c, f, i);
		for (size_t i = 0; i < f->n_dynamics; i++)
			check_dynamic(&x, &f->dynamics[i], fam);
		for (size_t i = 0; i < f->n_rotaries; i++)
			check_rotary(c, &f->rotaries[i]);
		check_statics(&x, f);
		if (f->n_dynamics && is_new(c, f->dynamics[0].rec) && !has_side(p, fam, NAT_INSIDE))
			check_warn(c, f->dynamics[0].rec,
				   "nothing is translated before an interface is %s nat inside",
				   fam ? "ipv6" : "ip");
	}
	for (size_t i = 0; i < p->n_npts; i++)
		check_npt(c, p, i);
}
