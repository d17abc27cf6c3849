/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The judge: nat_policy.h gives the order. All look-ups of static lines are by bisection: a commit
 * judges every live connection again. */
#include "nat/nat.h"

#include <string.h>

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

bool nat_list_permits(const struct pol_list *l, const struct pol_packet *pkt)
{
	const struct pol_rule *r = pol_list_match(l, pkt);

	return r && r->action == POL_PERMIT;
}

static void to_one(struct pol_xlate *x, const struct rtr_addr *a, const struct rec *rec)
{
	x->on = true;
	x->lo = x->hi = *a;
	x->rec = rec;
}

static void to_prefix(struct pol_xlate *x, const struct rtr_addr *net, uint8_t len,
		      const struct rec *rec)
{
	to_one(x, net, rec);
	x->prefix = true;
	x->prefix_len = len;
}

/* ---- static lines ---- */

struct key {
	uint8_t kind;
	const struct rtr_addr *addr;
	uint16_t port;
};

static int key_cmp(const struct key *k, const struct nat_static *s, bool local)
{
	int c = k->kind != s->kind ? (int)k->kind - s->kind
				   : rtr_addr_cmp(k->addr, local ? &s->local : &s->global);

	return c ? c : (int)k->port - (local ? s->lport : s->gport);
}

/* The last line that is not above the key. */
static const struct nat_static *floor_of(const struct nat_family *f, const struct key *k,
					 bool local)
{
	const struct nat_static *v = local ? f->by_local : f->statics;
	size_t lo = 0, hi = f->n_statics;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (key_cmp(k, &v[mid], local) < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo ? &v[lo - 1] : NULL;
}

static const struct nat_static *find_host(const struct nat_family *f, const struct rtr_addr *a,
					  bool local)
{
	struct key k = { .kind = NAT_HOST, .addr = a };
	const struct nat_static *s = floor_of(f, &k, local);

	return s && s->kind == NAT_HOST && !rtr_addr_cmp(local ? &s->local : &s->global, a) ? s
											    : NULL;
}

static const struct nat_static *find_net(const struct nat_family *f, const struct rtr_addr *a,
					 bool local)
{
	struct key k = { .kind = NAT_NETWORK, .addr = a };
	const struct nat_static *s = floor_of(f, &k, local);
	struct rtr_prefix net;

	if (!s || s->kind != NAT_NETWORK)
		return NULL;
	net = (struct rtr_prefix){ .addr = local ? s->local : s->global, .len = s->len };
	return rtr_prefix_contains(&net, a) ? s : NULL;
}

static bool covers_port(const struct nat_static *s, const struct key *k, bool local)
{
	uint16_t first = local ? s->lport : s->gport;

	return s->kind == k->kind && !rtr_addr_cmp(local ? &s->local : &s->global, k->addr) &&
	       k->port >= first && k->port - first < s->n_ports;
}

/* Of several lines for one local port (two uplinks), the one of the interface it leaves by. */
static const struct nat_static *find_forward(const struct nat_family *f, uint8_t proto,
					     const struct rtr_addr *a, uint16_t port,
					     const char *oif)
{
	struct key k = { .kind = proto == IPPROTO_TCP ? NAT_TCP : NAT_UDP,
			 .addr = a,
			 .port = port };
	const struct nat_static *v = oif ? f->by_local : f->statics, *s, *bound = NULL, *any = NULL;

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return NULL;
	s = floor_of(f, &k, oif != NULL);
	if (!oif)
		return s && covers_port(s, &k, false) ? s : NULL;
	/* Ranges of one local address may overlap: all that begin before the port are asked. A line
	 * of the interface comes before one without, else the first in order wins. */
	for (; s && s >= v && s->kind == k.kind && !rtr_addr_cmp(&s->local, a); s--) {
		if (!covers_port(s, &k, true))
			continue;
		if (!*s->ifname)
			any = s;
		else if (!strcmp(s->ifname, oif))
			bound = s;
	}
	return bound ? bound : any;
}

/* ---- destinations ---- */

static bool dnat_outside(const struct nat_family *f, const struct rtr_addr *dst,
			 struct pol_xlate *x)
{
	for (size_t lo = 0, hi = f->n_outsides; lo < hi;) {
		size_t mid = (lo + hi) / 2;
		int c = rtr_addr_cmp(dst, &f->outsides[mid].local);

		if (!c) {
			to_one(x, &f->outsides[mid].global, f->outsides[mid].rec);
			return true;
		}
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

static bool dnat_static(const struct nat_family *f, const struct pol_packet *pkt,
			struct pol_xlate *x)
{
	const struct nat_static *s = find_forward(f, pkt->proto, &pkt->dst, pkt->dport, NULL);

	if (s) {
		to_one(x, &s->local, s->rec);
		x->port_lo = x->port_hi = (uint16_t)(s->lport + (pkt->dport - s->gport));
		return true;
	}
	s = find_host(f, &pkt->dst, false);
	if (s) {
		to_one(x, &s->local, s->rec);
		return true;
	}
	s = find_net(f, &pkt->dst, false);
	if (s)
		to_prefix(x, &s->local, s->len, s->rec);
	return s != NULL;
}

struct pol_xlate nat_dnat(const struct nat_policy *p, const struct pol_packet *pkt, const char *iif)
{
	struct pol_xlate x = { 0 };
	const struct nat_family *f;
	enum nat_side side;

	if (!p)
		return x;
	f = &p->f[nat_fam(pkt->family)];
	side = nat_side_of(p, pkt->family, iif);
	if (*iif && side == NAT_NO_SIDE)
		return x;
	if (side == NAT_INSIDE && dnat_outside(f, &pkt->dst, &x))
		return x;
	if (dnat_static(f, pkt, &x))
		return x;
	for (size_t i = 0; i < f->n_rotaries; i++) {
		if (!nat_list_permits(f->rotaries[i].list, pkt))
			continue;
		to_one(&x, &f->rotaries[i].pool->lo, f->rotaries[i].rec);
		x.hi = f->rotaries[i].pool->hi;
		return x;
	}
	return x;
}

/* ---- sources ---- */

/* Identifiers of ICMP count as ports. */
static bool uses_ports(uint8_t proto)
{
	return has_ports(proto) || proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static void with_kernel_ports(const struct nat_policy *p, uint8_t proto, struct pol_xlate *x)
{
	const struct pol_ports *v = p->ports[NAT_PORTS_KERNEL];

	if (!uses_ports(proto))
		return;
	x->port_lo = v->r[0].lo;
	x->port_hi = v->r[v->n - 1].hi;
}

static bool snat_whole(const struct nat_family *f, const struct rtr_addr *src, struct pol_xlate *x)
{
	const struct nat_static *s = find_host(f, src, true);

	if (s) {
		to_one(x, &s->global, s->rec);
		return true;
	}
	s = find_net(f, src, true);
	if (s)
		to_prefix(x, &s->global, s->len, s->rec);
	return s != NULL;
}

static bool snat_static(const struct nat_family *f, const struct pol_packet *pkt, const char *oif,
			struct pol_xlate *x)
{
	const struct nat_static *s = find_forward(f, pkt->proto, &pkt->src, pkt->sport, oif);

	if (!s)
		return snat_whole(f, &pkt->src, x);
	to_one(x, &s->global, s->rec);
	x->port_lo = x->port_hi = (uint16_t)(s->gport + (pkt->sport - s->lport));
	return true;
}

/* He who asks for a public address from inside is seen with one: his own if he has, else the one
 * that he asked for. */
static void snat_hairpin(const struct nat_policy *p, const struct nat_family *f,
			 const struct pol_packet *pkt, const struct pol_packet *orig,
			 struct pol_xlate *x)
{
	if (snat_whole(f, &pkt->src, x))
		return;
	to_one(x, &orig->dst, NULL);
	with_kernel_ports(p, pkt->proto, x);
}

static bool to_share(const struct nat_policy *p, const struct nat_dynamic *d,
		     const struct pol_packet *pkt, struct pol_xlate *x)
{
	struct nat_share s;

	if (!nat_det_find(p, d, &pkt->src, &s))
		return false;
	to_one(x, &s.addr, d->rec);
	if (uses_ports(pkt->proto)) {
		x->port_lo = s.kernel.lo;
		x->port_hi = s.kernel.hi;
	}
	x->fast = s.fast;
	return true;
}

static bool snat_dynamic(const struct nat_policy *p, const struct nat_dynamic *d,
			 const struct pol_packet *pkt, const char *oif, struct pol_xlate *x)
{
	const struct nat_iface *i;
	struct rtr_addr a = { .family = pkt->family };

	if ((*d->ifname && strcmp(d->ifname, oif)) || !nat_list_permits(d->list, pkt))
		return false;
	if (d->pool && !d->overload) {
		if (!nat_map_find(d, &pkt->src, &a))
			return false;
		to_one(x, &a, d->rec);
		return true;
	}
	if (d->pool && d->pool->det_ports)
		return to_share(p, d, pkt, x);
	if (d->pool) {
		to_one(x, &d->pool->lo, d->rec);
		x->hi = d->pool->hi;
	} else {
		i = nat_iface_find(p, *d->loopback ? d->loopback : oif);
		if (i && i->n_addrs[nat_fam(pkt->family)])
			a = i->addrs[nat_fam(pkt->family)][0];
		to_one(x, &a, d->rec);
	}
	with_kernel_ports(p, pkt->proto, x);
	return true;
}

struct pol_xlate nat_snat(const struct nat_policy *p, const struct pol_packet *pkt,
			  const struct pol_packet *orig, const char *iif, const char *oif)
{
	struct pol_xlate x = { 0 };
	enum nat_side in, out;
	const struct nat_family *f;

	if (!p || !*iif)
		return x;
	f = &p->f[nat_fam(pkt->family)];
	in = nat_side_of(p, pkt->family, iif);
	out = nat_side_of(p, pkt->family, oif);
	if (in == NAT_INSIDE && out == NAT_INSIDE && orig) {
		snat_hairpin(p, f, pkt, orig, &x);
		return x;
	}
	if (in == NAT_OUTSIDE && out == NAT_INSIDE) {
		for (size_t i = 0; i < f->n_outsides; i++) {
			if (!rtr_addr_cmp(&f->outsides[i].global, &pkt->src)) {
				to_one(&x, &f->outsides[i].local, f->outsides[i].rec);
				break;
			}
		}
		return x;
	}
	if (in != NAT_INSIDE || out != NAT_OUTSIDE)
		return x;
	for (size_t i = 0; i < f->n_dynamics && f->dynamics[i].exempt; i++) {
		if (nat_list_permits(f->dynamics[i].list, pkt)) {
			x.rec = f->dynamics[i].rec;
			return x;
		}
	}
	if (snat_static(f, pkt, oif, &x))
		return x;
	for (size_t i = 0; i < f->n_dynamics; i++) {
		if (!f->dynamics[i].exempt && snat_dynamic(p, &f->dynamics[i], pkt, oif, &x))
			return x;
	}
	return x;
}

bool nat_is_static(const struct nat_policy *p, const struct pol_packet *pkt,
		   const struct rtr_addr *dst, const struct rtr_addr *src)
{
	const struct nat_family *f = &p->f[nat_fam(pkt->family)];
	struct pol_xlate x = { 0 };

	if (rtr_addr_cmp(&pkt->dst, dst) &&
	    (dnat_outside(f, &pkt->dst, &x) || dnat_static(f, pkt, &x)))
		return true;
	return rtr_addr_cmp(&pkt->src, src) && snat_whole(f, &pkt->src, &x);
}

/* ---- NPTv6 ---- */

static struct pol_xlate npt(const struct nat_policy *p, const struct rtr_addr *a,
			    const char *ifname, bool outward)
{
	struct pol_xlate x = { 0 };

	for (size_t i = 0; p && a->family == AF_INET6 && i < p->n_npts; i++) {
		const struct nat_npt *n = &p->npts[i];

		if (strcmp(n->ifname, ifname) ||
		    !rtr_prefix_contains(outward ? &n->inside : &n->outside, a))
			continue;
		to_prefix(&x, outward ? &n->outside.addr : &n->inside.addr, n->outside.len, n->rec);
		x.npt = true;
		break;
	}
	return x;
}

struct pol_xlate nat_npt_in(const struct nat_policy *p, const struct pol_packet *pkt,
			    const char *iif)
{
	return npt(p, &pkt->dst, iif, false);
}

struct pol_xlate nat_npt_out(const struct nat_policy *p, const struct pol_packet *pkt,
			     const char *oif)
{
	return npt(p, &pkt->src, oif, true);
}

static uint32_t word_sum(const uint8_t *b, unsigned n)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < n; i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* RFC 6296: what the change of prefix does to the sum of the address is taken back in one word:
 * the subnet's of prefixes up to /48, else the first of the interface id that is not 0xffff. */
static void npt_addr(const struct pol_xlate *x, struct rtr_addr *a)
{
	struct rtr_addr mask = rtr_mask_of_len(AF_INET6, x->prefix_len), from = *a;
	unsigned at = x->prefix_len <= 48 ? 6 : 8;
	uint32_t sum;

	while (at > 6 && at < 14 && a->b[at] == 0xff && a->b[at + 1] == 0xff)
		at += 2;
	for (unsigned i = 0; i < 8; i++)
		a->b[i] = (uint8_t)((x->lo.b[i] & mask.b[i]) | (a->b[i] & ~mask.b[i]));
	sum = ((uint32_t)a->b[at] << 8 | a->b[at + 1]) + word_sum(from.b, 8) +
	      (0xffff ^ word_sum(a->b, 8));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	if (sum == 0xffff)
		sum = 0;
	a->b[at] = (uint8_t)(sum >> 8);
	a->b[at + 1] = (uint8_t)sum;
}

void nat_xlate_addr(const struct pol_xlate *x, struct rtr_addr *a)
{
	struct rtr_addr mask = rtr_mask_of_len(a->family, x->prefix_len);

	if (x->npt) {
		npt_addr(x, a);
	} else if (x->prefix) {
		for (unsigned i = 0; i < rtr_family_size(a->family); i++)
			a->b[i] = (uint8_t)((x->lo.b[i] & mask.b[i]) | (a->b[i] & ~mask.b[i]));
	} else {
		*a = x->lo;
	}
}

bool nat_xlate_covers(const struct nat_policy *p, const struct pol_xlate *x,
		      const struct rtr_addr *addr, uint16_t port)
{
	struct rtr_prefix net = { .addr = x->lo, .len = x->prefix_len };

	if (!x->on)
		return false;
	if (x->prefix)
		return rtr_prefix_contains(&net, addr);
	if (rtr_addr_cmp(addr, &x->lo) < 0 || rtr_addr_cmp(addr, &x->hi) > 0)
		return false;
	if (!x->port_lo && !x->port_hi)
		return true;
	return port >= x->port_lo && port <= x->port_hi &&
	       (x->port_lo == x->port_hi || nat_port_in(p, NAT_PORTS_KERNEL, port));
}

/* ---- guards ---- */

static bool in_span(const struct rtr_addr *lo, const struct rtr_addr *hi, const struct rtr_addr *a)
{
	return rtr_addr_cmp(lo, a) <= 0 && rtr_addr_cmp(a, hi) <= 0;
}

static bool of_iface(const struct nat_policy *p, const char *ifname, const struct rtr_addr *a)
{
	const struct nat_iface *i = nat_iface_find(p, ifname);
	unsigned f = nat_fam(a->family);

	for (size_t k = 0; i && k < i->n_addrs[f]; k++) {
		if (!rtr_addr_cmp(&i->addrs[f][k], a))
			return true;
	}
	return false;
}

bool nat_is_shared(const struct nat_policy *p, const struct rtr_addr *a)
{
	unsigned f = nat_fam(a->family);

	for (size_t i = 0; i < p->f[f].n_dynamics; i++) {
		const struct nat_dynamic *d = &p->f[f].dynamics[i];

		if (d->pool ? d->overload && in_span(&d->pool->lo, &d->pool->hi, a)
			    : !d->exempt && of_iface(p, *d->loopback ? d->loopback : d->ifname, a))
			return true;
	}
	for (size_t i = 0; i < p->f[f].n_statics; i++) {
		const struct nat_static *s = &p->f[f].statics[i];

		if (s->kind >= NAT_TCP && !rtr_addr_cmp(&s->global, a))
			return true;
	}
	return false;
}

bool nat_is_global(const struct nat_policy *p, const struct rtr_addr *a)
{
	const struct nat_family *f = &p->f[nat_fam(a->family)];

	for (size_t i = 0; i < f->n_dynamics; i++) {
		const struct nat_addrs *pool = f->dynamics[i].pool;

		if (pool && in_span(&pool->lo, &pool->hi, a))
			return true;
	}
	for (size_t i = 0; i < f->n_statics; i++) {
		struct rtr_prefix net = { .addr = f->statics[i].global, .len = f->statics[i].len };
		struct rtr_addr last = nat_prefix_last(&net);

		if (in_span(&net.addr, &last, a))
			return true;
	}
	return nat_is_shared(p, a);
}

bool nat_guarded(const struct nat_policy *p, const struct pol_packet *pkt)
{
	bool icmp = pkt->proto == IPPROTO_ICMP || pkt->proto == IPPROTO_ICMPV6;
	bool answer = icmp && pkt->icmp_type == (pkt->family == AF_INET6 ? 129 : 0);

	if (!p || pkt->state == POL_ESTABLISHED || pkt->state == POL_RELATED ||
	    !strcmp(pkt->iif, "lo") || !*pkt->iif || !nat_is_shared(p, &pkt->dst))
		return false;
	if (pkt->state == POL_INVALID)
		return true;
	return (answer && nat_port_in(p, NAT_PORTS_FAST, pkt->sport)) ||
	       (has_ports(pkt->proto) && nat_port_in(p, NAT_PORTS_FAST, pkt->dport));
}
