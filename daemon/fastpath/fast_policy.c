/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fastpath/fast_policy.h"

#include "firewall/policy_set.h"
#include "hash.h"
#include "nat/nat_policy.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define TCP_FIN_SYN_RST_ACK 0x17
#define TCP_SYN             0x02

/* ---- sections ---- */

static const size_t elem_size[] = {
#define X(id, name, type) sizeof(type),
	FASTPOL_SECTIONS(X)
#undef X
};

void *fp_add(struct fp_compile *c, enum fastpol_section s)
{
	struct fp_vec *v = &c->sec[s];
	uint8_t *e;

	if (v->n == v->room) {
		v->room = v->room ? 2 * v->room : 16;
		v->v = xrealloc(v->v, v->room * elem_size[s]);
	}
	e = v->v + v->n++ * elem_size[s];
	memset(e, 0, elem_size[s]);
	return e;
}

void fp_addr(uint8_t to[16], const struct rtr_addr *a)
{
	memset(to, 0, 16);
	memcpy(to, a->b, rtr_family_size(a->family));
}

uint32_t fp_ifindex(const struct fp_compile *c, const char *name)
{
	int i = *name ? c->conf->ifindex(c->conf->arg, name) : 0;

	return i > 0 ? (uint32_t)i : 0;
}

/* ---- what is shared by lines ---- */

struct fp_seen {
	struct {
		const void *what; /* NULL: free */
		struct fastpol_span span;
	} * v;
	size_t n, room; /* a power of two */
};

static struct fastpol_span *seen_at(struct fp_seen *s, const void *what, bool *ret_new)
{
	size_t i;

	if (2 * (s->n + 1) > s->room) {
		struct fp_seen old = *s;

		s->room = MAX(2 * old.room, (size_t)64);
		s->v = xcalloc(s->room, sizeof(*s->v));
		s->n = 0;
		for (size_t k = 0; k < old.room; k++) {
			bool fresh;

			if (old.v[k].what)
				*seen_at(s, old.v[k].what, &fresh) = old.v[k].span;
		}
		free(old.v);
	}
	for (i = hash_mix64((uintptr_t)what);; i++) {
		if (!s->v[i & (s->room - 1)].what || s->v[i & (s->room - 1)].what == what)
			break;
	}
	*ret_new = !s->v[i & (s->room - 1)].what;
	s->n += *ret_new;
	s->v[i & (s->room - 1)].what = what;
	return &s->v[i & (s->room - 1)].span;
}

static struct fastpol_span put_addrs(struct fp_compile *c, const struct pol_addrs *a)
{
	struct fastpol_span s = { 0 }, *at;
	bool fresh;

	if (!a)
		return s;
	at = seen_at(c->seen, a, &fresh);
	if (!fresh)
		return *at;
	s = (struct fastpol_span){ c->sec[FASTPOL_S_ADDRS].n, (uint32_t)a->n };
	for (size_t i = 0; i < a->n; i++) {
		struct fastpol_addrs *r = fp_add(c, FASTPOL_S_ADDRS);

		fp_addr(r->lo, &a->r[i].lo);
		fp_addr(r->hi, &a->r[i].hi);
	}
	return *at = s;
}

static struct fastpol_span put_ports(struct fp_compile *c, const struct pol_ports *p)
{
	struct fastpol_span s = { 0 }, *at;
	bool fresh;

	if (!p)
		return s;
	at = seen_at(c->seen, p, &fresh);
	if (!fresh)
		return *at;
	s = (struct fastpol_span){ c->sec[FASTPOL_S_PORTS].n, (uint32_t)p->n };
	for (size_t i = 0; i < p->n; i++)
		*(struct fastpol_ports *)fp_add(
			c, FASTPOL_S_PORTS) = (struct fastpol_ports){ p->r[i].lo, p->r[i].hi };
	return *at = s;
}

/* ---- lines ---- */

/* May a first packet have such flags? SYN alone, and whatever of the others. */
static bool flags_possible(const struct pol_service *s)
{
	for (unsigned i = 0; i < s->n_flags; i++) {
		if ((TCP_SYN & s->flags[i].mask & TCP_FIN_SYN_RST_ACK) ==
		    (s->flags[i].value & TCP_FIN_SYN_RST_ACK))
			return true;
	}
	return !s->n_flags;
}

static bool service_possible(const struct pol_service *s)
{
	return (s->proto == POL_PROTO_ANY || s->proto == IPPROTO_TCP || s->proto == IPPROTO_UDP) &&
	       !s->has_icmp_type && !s->has_icmp_code && (!s->sport || s->sport->n) &&
	       (!s->dport || s->dport->n) && flags_possible(s);
}

static bool possible(const struct pol_rule *r)
{
	if (!r->active || r->fragments || (r->states && !(r->states >> POL_NEW & 1)) ||
	    (r->src && !r->src->n) || (r->dst && !r->dst->n))
		return false;
	for (size_t i = 0; i < r->n_services; i++) {
		if (service_possible(&r->services[i]))
			return true;
	}
	return false;
}

/* Of all that a live connection does not show any more: as asks_more and asked_same of
 * policy_eval.c. */
static uint32_t asks_of(const struct pol_rule *r)
{
	uint64_t v[] = { r->dscp, r->ttl_lo, r->ttl_hi, r->len_lo, r->len_hi }, h;
	bool asks = r->dscp || r->ttl_lo || r->ttl_hi != UINT8_MAX || r->len_lo ||
		    r->len_hi != UINT16_MAX;
	bool flags = false;

	for (size_t i = 0; i < r->n_services; i++)
		flags |= r->services[i].n_flags;
	if (!asks && !flags)
		return 0;
	h = hash_bytes(v, sizeof(v), 0);
	for (size_t i = 0; flags && i < r->n_services; i++)
		h = hash_bytes(r->services[i].flags,
			       r->services[i].n_flags * sizeof(r->services[i].flags[0]), h + 1);
	return (uint32_t)h ? (uint32_t)h : 1;
}

static struct fastpol_span put_services(struct fp_compile *c, const struct pol_rule *r)
{
	struct fastpol_span s = { c->sec[FASTPOL_S_SERVICES].n, 0 };

	for (size_t i = 0; i < r->n_services; i++) {
		const struct pol_service *from = &r->services[i];
		struct fastpol_span sport, dport;
		struct fastpol_service *to;

		if (!service_possible(from))
			continue;
		sport = put_ports(c, from->sport);
		dport = put_ports(c, from->dport);
		to = fp_add(c, FASTPOL_S_SERVICES);
		*to = (struct fastpol_service){ .proto = from->proto,
						.n_flags = from->n_flags,
						.sport_first = sport.first,
						.sport_n = sport.n,
						.dport_first = dport.first,
						.dport_n = dport.n };
		for (unsigned k = 0; k < from->n_flags; k++) {
			to->flags[k].mask = from->flags[k].mask;
			to->flags[k].value = from->flags[k].value;
		}
		s.n++;
	}
	return s;
}

static uint8_t action_of(enum pol_action a)
{
	static const uint8_t v[] = { [POL_DENY] = FASTPOL_DENY,
				     [POL_PERMIT] = FASTPOL_PERMIT,
				     [POL_REJECT] = FASTPOL_REJECT,
				     [POL_PASS] = FASTPOL_PASS };

	return v[a];
}

static void put_rule(struct fp_compile *c, const struct pol_rule *r)
{
	bool effect = r->log || r->helper || r->limit.rate || r->limit.conns;
	struct fastpol_rule to = { .dscp = r->dscp,
				   .id = r->id,
				   .asks = asks_of(r),
				   .action = action_of(r->action),
				   .ttl_lo = r->ttl_lo,
				   .ttl_hi = r->ttl_hi,
				   .len_lo = r->len_lo,
				   .len_hi = r->len_hi };

	if (r->helper)
		c->hdr.flags |= FASTPOL_F_HELPER;
	to.flags = (uint8_t)((effect ? FASTPOL_R_EFFECT : 0) | (r->tls_name ? FASTPOL_R_NAME : 0) |
			     (r->helper ? FASTPOL_R_HELPER : 0));
	to.src = put_addrs(c, r->src);
	to.dst = put_addrs(c, r->dst);
	to.services = put_services(c, r);
	*(struct fastpol_rule *)fp_add(c, FASTPOL_S_RULES) = to;
}

uint32_t fp_list(struct fp_compile *c, const struct pol_list *l)
{
	struct fastpol_list *to;
	struct fastpol_span *at;
	uint32_t first;
	bool fresh;

	if (!l)
		return FASTPOL_NONE;
	at = seen_at(c->seen, l, &fresh);
	if (!fresh)
		return at->first;
	at->first = c->sec[FASTPOL_S_LISTS].n;
	to = fp_add(c, FASTPOL_S_LISTS);
	to->family = l->family;
	first = c->sec[FASTPOL_S_RULES].n;
	for (size_t i = 0; i < l->n; i++) {
		if (possible(l->rules[i]))
			put_rule(c, l->rules[i]);
	}
	to->rules = (struct fastpol_span){ first, c->sec[FASTPOL_S_RULES].n - first };
	return c->sec[FASTPOL_S_LISTS].n - 1;
}

/* ---- zones ---- */

static struct fastpol_span put_matches(struct fp_compile *c, const struct pol_class *k)
{
	struct fastpol_span s = { c->sec[FASTPOL_S_MATCHES].n, (uint32_t)k->n_matches };

	for (size_t i = 0; i < k->n_matches; i++) {
		uint32_t v4 = fp_list(c, k->matches[i].list4), v6 = fp_list(c, k->matches[i].list6);

		*(struct fastpol_match *)fp_add(
			c, FASTPOL_S_MATCHES) = (struct fastpol_match){ { v4, v6 } };
	}
	return s;
}

static void put_pair(struct fp_compile *c, const struct pol_pair *p)
{
	struct fastpol_pair to = { .from = p->from,
				   .to = p->to,
				   .classes = { c->sec[FASTPOL_S_CLASSES].n,
						(uint32_t)p->n_classes } };

	for (size_t i = 0; i < p->n_classes; i++) {
		const struct pol_class *k = &p->classes[i];
		struct fastpol_class cls = { .id = k->id,
					     .action = action_of(k->action),
					     .match_all = k->match_all,
					     .log = k->log,
					     .matches = put_matches(c, k) };

		*(struct fastpol_class *)fp_add(c, FASTPOL_S_CLASSES) = cls;
	}
	*(struct fastpol_pair *)fp_add(c, FASTPOL_S_PAIRS) = to;
}

static int pair_cmp(const void *a, const void *b)
{
	const struct fastpol_pair *x = a, *y = b;

	return x->from != y->from ? (int)x->from - y->from : (int)x->to - y->to;
}

static void put_zones(struct fp_compile *c)
{
	struct fp_vec *v = &c->sec[FASTPOL_S_PAIRS];

	for (size_t i = 0; i < c->p->n_pairs; i++) {
		const struct pol_pair *p = &c->p->pairs[i];

		if (p->from != POL_ZONE_SELF && p->to != POL_ZONE_SELF)
			put_pair(c, p);
	}
	if (v->n)
		qsort(v->v, v->n, sizeof(struct fastpol_pair), pair_cmp);
}

/* ---- interfaces ---- */

static bool has_npt(const struct nat_policy *n, const char *name)
{
	for (size_t i = 0; n && i < n->n_npts; i++) {
		if (!strcmp(n->npts[i].ifname, name))
			return true;
	}
	return false;
}

static void put_iface(struct fp_compile *c, const char *name)
{
	const struct pol_iface *i = policy_iface(c->p, name);
	const struct nat_policy *nat = c->p->nat;
	struct fastpol_iface to = { .in = { FASTPOL_NONE, FASTPOL_NONE },
				    .out = { FASTPOL_NONE, FASTPOL_NONE },
				    .side = { (uint8_t)nat_side_of(nat, AF_INET, name),
					      (uint8_t)nat_side_of(nat, AF_INET6, name) },
				    .npt = has_npt(nat, name) };

	if (i) {
		to.zone = i->zone;
		to.urpf[0] = i->urpf4 != POL_URPF_OFF;
		to.urpf[1] = i->urpf6 != POL_URPF_OFF;
		_Static_assert(FASTPOL_MSS_PATH == POL_MSS_AUTO, "as it is");
		to.mss[0] = i->mss4;
		to.mss[1] = i->mss6;
		to.in[0] = fp_list(c, i->in4);
		to.in[1] = fp_list(c, i->in6);
		to.out[0] = fp_list(c, i->out4);
		to.out[1] = fp_list(c, i->out6);
	}
	for (const char *n = name; n; n = pol_alias_next(c->p->aliases, name, n)) {
		to.ifindex = fp_ifindex(c, n);
		if (to.ifindex)
			*(struct fastpol_iface *)fp_add(c, FASTPOL_S_IFACES) = to;
	}
}

static int iface_cmp(const void *a, const void *b)
{
	const struct fastpol_iface *x = a, *y = b;

	return x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

static void put_ifaces(struct fp_compile *c)
{
	const struct nat_policy *nat = c->p->nat;
	struct fp_vec *v = &c->sec[FASTPOL_S_IFACES];
	struct fastpol_iface *f;
	uint32_t n = 0;

	for (size_t i = 0; i < c->p->n_ifaces; i++)
		put_iface(c, c->p->ifaces[i].name);
	for (size_t i = 0; nat && i < nat->n_ifaces; i++)
		put_iface(c, nat->ifaces[i].name);
	for (size_t i = 0; nat && i < nat->n_npts; i++)
		put_iface(c, nat->npts[i].ifname);
	if (!v->n)
		return;
	qsort(v->v, v->n, sizeof(*f), iface_cmp);
	f = (void *)v->v;
	for (uint32_t i = 0; i < v->n; i++) {
		if (!n || f[n - 1].ifindex != f[i].ifindex)
			f[n++] = f[i];
	}
	v->n = n;
}

/* ---- protected services ---- */

static int syn_cmp(const void *a, const void *b)
{
	const struct fastpol_endpoint *x = a, *y = b;
	int c = x->family != y->family ? (int)x->family - y->family : memcmp(x->addr, y->addr, 16);

	return c ? c : (int)x->port - y->port;
}

static void put_syns(struct fp_compile *c)
{
	struct fp_vec *v = &c->sec[FASTPOL_S_SYNS];

	for (size_t i = 0; i < c->p->n_syn; i++) {
		struct fastpol_endpoint *e = fp_add(c, FASTPOL_S_SYNS);

		e->family = c->p->syn[i].addr.family;
		e->port = c->p->syn[i].port;
		fp_addr(e->addr, &c->p->syn[i].addr);
	}
	if (v->n)
		qsort(v->v, v->n, sizeof(struct fastpol_endpoint), syn_cmp);
}

/* ---- all ---- */

static bool join(struct fp_compile *c, struct fast_blob *ret)
{
	uint64_t size = ROUND_UP(sizeof(c->hdr), 8u);

	for (unsigned s = 0; s < FASTPOL_S__MAX; s++) {
		c->hdr.section[s].off = size;
		c->hdr.section[s].n = c->sec[s].n;
		size = ROUND_UP(size + c->sec[s].n * elem_size[s], 8u);
	}
	if (size > FASTPOL_SIZE_MAX)
		return false;
	c->hdr.size = size;
	ret->len = size;
	ret->v = xcalloc(1, size);
	memcpy(ret->v, &c->hdr, sizeof(c->hdr));
	for (unsigned s = 0; s < FASTPOL_S__MAX; s++) {
		if (c->sec[s].n)
			memcpy(ret->v + c->hdr.section[s].off, c->sec[s].v,
			       c->sec[s].n * elem_size[s]);
	}
	return true;
}

static uint32_t flags_of(const struct policy *p)
{
	return ((p->stateful ? FASTPOL_F_STATEFUL : 0) | (p->martians ? FASTPOL_F_MARTIANS : 0) |
		(p->n_zones ? FASTPOL_F_ZONES : 0) | (p->nat ? FASTPOL_F_NAT : 0) |
		(p->nat && p->nat->eim ? FASTPOL_F_EIM : 0) |
		(p->nat && p->nat->eif ? FASTPOL_F_EIF : 0));
}

static bool any_stateless(const struct policy *p)
{
	for (size_t i = 0; !p->stateful && i < p->n_ifaces; i++) {
		const struct pol_iface *f = &p->ifaces[i];

		if (f->urpf4 || f->urpf6 || f->mss4 || f->mss6)
			return true;
	}
	return false;
}

const char *fast_policy_refuses(const struct policy *p)
{
	if (any_stateless(p))
		return "policy: reverse path or segment sizes, without connections";
	return NULL;
}

bool fast_policy_compile(const struct policy *p, const struct fast_policy_conf *conf,
			 struct fast_blob *ret)
{
	struct fp_seen seen = { 0 };
	struct fp_compile c = { .p = p,
				.conf = conf,
				.seen = &seen,
				.hdr = { .magic = FASTPOL_MAGIC,
					 .version = FASTPOL_VERSION,
					 .flags = flags_of(p),
					 .host_max = p->host_sessions } };
	bool ok;

	put_ifaces(&c);
	put_zones(&c);
	put_syns(&c);
	if (p->nat)
		fp_compile_nat(&c);
	ok = join(&c, ret);
	for (unsigned s = 0; s < FASTPOL_S__MAX; s++)
		free(c.sec[s].v);
	free(seen.v);
	return ok;
}
