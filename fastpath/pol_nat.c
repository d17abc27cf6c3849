/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Translations of the first packet: the order of daemon/nat/nat_policy.h, as nat_eval.c has it. */
#include "pol_priv.h"

#include <endian.h>
#include <netinet/in.h>
#include <stdlib.h>

/* --- addresses --- */

static void exact(struct fp_pol_xlate *x, const uint8_t *addr, uint16_t port)
{
	*x = (struct fp_pol_xlate){ .kind = FP_XL_EXACT, .port_be = htobe16(port) };
	memcpy(x->addr, addr, 16);
}

/* The network's bits of net, the others of a. */
static void moved(struct fp_pol_xlate *x, const uint8_t *net, unsigned len, const uint8_t *a)
{
	exact(x, a, 0);
	memcpy(x->addr, net, len / 8);
	if (len % 8) {
		uint8_t mask = (uint8_t)(0xff00 >> len % 8);

		x->addr[len / 8] = (uint8_t)((net[len / 8] & mask) | (a[len / 8] & ~mask));
	}
}

static bool in_net(const uint8_t *net, unsigned len, const uint8_t *a)
{
	uint8_t mask = (uint8_t)(0xff00 >> len % 8);

	return !memcmp(net, a, len / 8) && (!(len % 8) || !((net[len / 8] ^ a[len / 8]) & mask));
}

/* --- static lines --- */

struct key {
	uint8_t family, kind;
	const uint8_t *addr;
	uint16_t port;
};

static int key_cmp(const struct key *k, const struct fastpol_static *s, bool local)
{
	int c = (int)k->family - s->family;

	if (!c)
		c = (int)k->kind - s->kind;
	if (!c)
		c = memcmp(k->addr, local ? s->local : s->global, 16);
	return c ? c : (int)k->port - (local ? s->lport : s->gport);
}

/* The last line that is not above the key. */
static const struct fastpol_static *floor_of(const struct pol_blob *b, const struct key *k,
					     bool local)
{
	const struct fastpol_static *v = local ? b->locals : b->globals;
	uint32_t lo = 0, hi = b->n_globals;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (key_cmp(k, &v[mid], local) < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo ? &v[lo - 1] : NULL;
}

static bool of_addr(const struct fastpol_static *s, const struct key *k, bool local)
{
	return s->family == k->family && s->kind == k->kind &&
	       !memcmp(local ? s->local : s->global, k->addr, 16);
}

static bool covers_port(const struct fastpol_static *s, const struct key *k, bool local)
{
	uint16_t first = local ? s->lport : s->gport;

	return of_addr(s, k, local) && k->port >= first && k->port - first < s->n_ports;
}

/* The counter of a line. Who looks for one that translates gets it, or FASTPOL_NONE. */
static uint32_t counter_of(const struct pol_at *at, const struct fastpol_static *s, bool local)
{
	const struct pol_blob *b = &at->p->b;

	return pol_c_static(b, local) + (uint32_t)(s - (local ? b->locals : b->globals));
}

/* A host, else a network: the whole address is another. */
static uint32_t whole(const struct pol_at *at, const uint8_t *a, bool local,
		      struct fp_pol_xlate *ret)
{
	struct key k = { .family = at->k->family, .kind = FASTPOL_HOST, .addr = a };
	const struct fastpol_static *s = floor_of(&at->p->b, &k, local);

	if (s && of_addr(s, &k, local)) {
		exact(ret, local ? s->global : s->local, 0);
		return counter_of(at, s, local);
	}
	k.kind = FASTPOL_NETWORK;
	s = floor_of(&at->p->b, &k, local);
	if (!s || s->family != k.family || s->kind != FASTPOL_NETWORK ||
	    !in_net(local ? s->local : s->global, s->len, a))
		return FASTPOL_NONE;
	moved(ret, local ? s->global : s->local, s->len, a);
	return counter_of(at, s, local);
}

static uint8_t port_kind(const struct pol_at *at)
{
	return at->k->proto == IPPROTO_TCP ? FASTPOL_TCP : FASTPOL_UDP;
}

static uint32_t forward_in(const struct pol_at *at, struct fp_pol_xlate *ret)
{
	struct key k = { at->k->family, port_kind(at), at->dst, at->dport };
	const struct fastpol_static *s = floor_of(&at->p->b, &k, false);

	if (!s || !covers_port(s, &k, false))
		return FASTPOL_NONE;
	exact(ret, s->local, (uint16_t)(s->lport + (k.port - s->gport)));
	return counter_of(at, s, false);
}

/* Of several lines for one local port (two uplinks), the one of the interface it leaves by, else
 * the first of those of no interface. Ranges of one local address may overlap: all that begin
 * before the port are asked. */
static uint32_t forward_out(const struct pol_at *at, unsigned oif, struct fp_pol_xlate *ret)
{
	struct key k = { at->k->family, port_kind(at), at->src, at->sport };
	const struct fastpol_static *v = at->p->b.locals, *s = floor_of(&at->p->b, &k, true);
	const struct fastpol_static *bound = NULL, *any = NULL;

	for (uint32_t n = s ? (uint32_t)(s - v) + 1 : 0; n && of_addr(&v[n - 1], &k, true); n--) {
		s = &v[n - 1];
		if (!covers_port(s, &k, true))
			continue;
		if (!s->bound)
			any = s;
		else if (s->ifindex == oif)
			bound = s;
	}
	s = bound ? bound : any;
	if (!s)
		return FASTPOL_NONE;
	exact(ret, s->global, (uint16_t)(s->gport + (k.port - s->lport)));
	return counter_of(at, s, true);
}

/* --- outside lines --- */

static uint32_t outside(const struct pol_at *at, const uint8_t *a, bool by_local,
			struct fp_pol_xlate *ret)
{
	const struct pol_blob *b = &at->p->b;
	const struct fastpol_outside *v = by_local ? b->out_local : b->out_global;
	uint32_t lo = 0, hi = b->n_out_local;

	/* The first that is not below. */
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = (int)v[mid].family - at->k->family;

		if (!c)
			c = memcmp(by_local ? v[mid].local : v[mid].global, a, 16);
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == b->n_out_local || v[lo].family != at->k->family ||
	    memcmp(by_local ? v[lo].local : v[lo].global, a, 16) != 0)
		return FASTPOL_NONE;
	exact(ret, by_local ? v[lo].global : v[lo].local, 0);
	return pol_c_outside(b, by_local) + lo;
}

/* --- destinations --- */

static bool is_fast_port(const struct fp_pol *p, uint16_t port)
{
	if (port < p->fast.lo || port > p->fast.hi)
		return false;
	for (uint32_t i = 0; i < p->b.h->carved.n; i++) {
		if (port >= p->carve[i].lo && port <= p->carve[i].hi)
			return false;
	}
	return true;
}

/* key: the packet that asks. */
static int shared_cmp(const void *key, const void *elem)
{
	const struct fastpol_shared *s = elem;
	const struct pol_at *at = key;

	if (s->family != at->k->family)
		return (int)at->k->family - s->family;
	if (memcmp(at->dst, s->lo, 16) < 0)
		return -1;
	return memcmp(at->dst, s->hi, 16) > 0;
}

/* To a port of the fast plane of an address that many share, and of no flow. */
static bool is_guarded(const struct pol_at *at)
{
	const struct pol_blob *b = &at->p->b;

	return is_fast_port(at->p, at->dport) &&
	       bsearch(at, b->shared, b->n_shared, sizeof(*b->shared), shared_cmp);
}

static bool rotary(const struct pol_at *at)
{
	const struct pol_blob *b = &at->p->b;

	for (uint32_t i = 0; i < b->n_rotaries; i++) {
		uint32_t l = b->rotaries[i].list;

		if (b->lists[l].family == at->k->family && pol_acl_permits(at, l))
			return true;
	}
	return false;
}

/* Strangers come in by a mapping where filtering lets them; inside hosts find each other by theirs
 * in any case (RFC 4787 REQ-9). */
bool pol_nat_mapped(const struct pol_at *at, const struct fastpol_iface *in)
{
	unsigned side = in ? in->side[pol_fam(at->k->family)] : FASTPOL_NO_SIDE;

	return is_guarded(at) && (side == FASTPOL_INSIDE ||
				  (side == FASTPOL_OUTSIDE && pol_has(&at->p->b, FASTPOL_F_EIF)));
}

/* The static line that the destination is of. */
static uint32_t fixed_in(const struct pol_at *at, unsigned side, struct fp_pol_xlate *x)
{
	uint32_t hit = side == FASTPOL_INSIDE ? outside(at, at->dst, true, x) : FASTPOL_NONE;

	if (hit == FASTPOL_NONE)
		hit = forward_in(at, x);
	return hit == FASTPOL_NONE ? whole(at, at->dst, false, x) : hit;
}

/* A static line has translated; the kernel counts where there is no room to note it. */
static enum fp_pol_act fixed(struct fp_pol_state *st, uint32_t hit)
{
	return hit == FASTPOL_NONE || pol_hit(st, hit) ? FP_POL_PERMIT : FP_POL_KERNEL;
}

enum fp_pol_act pol_dnat(struct pol_at *at, const struct fastpol_iface *in, struct fp_pol_state *st)
{
	unsigned side = in ? in->side[pol_fam(at->k->family)] : FASTPOL_NO_SIDE;
	struct fp_pol_xlate *x = &st->dnat;
	uint32_t hit = FASTPOL_NONE;

	if (!pol_has(&at->p->b, FASTPOL_F_NAT))
		return FP_POL_PERMIT;
	if (!at->k->past && !at->k->mapped && is_guarded(at))
		return FP_POL_KERNEL;
	if (side == FASTPOL_NO_SIDE)
		return FP_POL_PERMIT;
	if (at->k->mapped)
		exact(x, at->k->inside, be16toh(at->k->inside_port_be));
	else
		hit = fixed_in(at, side, x);
	if (x->kind == FP_XL_NONE)
		return rotary(at) ? FP_POL_KERNEL : FP_POL_PERMIT;
	memcpy(at->dst, x->addr, 16);
	if (x->port_be)
		at->dport = be16toh(x->port_be);
	pol_at_key(at);
	return fixed(st, hit);
}

/* --- sources --- */

static bool has_addr(const struct fp_pol *p, uint32_t pool, uint8_t family, const uint8_t *addr)
{
	const struct fastpol_pool *l = &p->b.pools[pool];

	return l->family == family && memcmp(l->lo, addr, 16) <= 0 && memcmp(addr, l->hi, 16) <= 0;
}

/* The pool of the address. */
static uint32_t pool_of(const struct fp_pol *p, uint8_t family, const uint8_t *addr)
{
	for (uint32_t i = 0; i < p->b.n_pools; i++)
		if (has_addr(p, i, family, addr))
			return i;
	return FASTPOL_NONE;
}

static void to_pool(struct fp_pol_xlate *x, uint32_t pool)
{
	*x = (struct fp_pol_xlate){ .kind = FP_XL_POOL, .pool = pool };
}

/* a - lo, which is less than 2^32. */
static uint32_t behind(const uint8_t *a, const uint8_t *lo, uint8_t family)
{
	unsigned last = pol_size(family) - 4;
	uint32_t x, y;

	memcpy(&x, a + last, sizeof(x));
	memcpy(&y, lo + last, sizeof(y));
	return be32toh(x) - be32toh(y);
}

/* dst + (src - lo); false: the source is not of the range. */
static bool map_one(const struct pol_at *at, const struct fastpol_map *m, struct fp_pol_xlate *x)
{
	uint8_t to[16], borrow = 0;
	unsigned carry = 0;

	if (memcmp(at->src, m->lo, 16) < 0 || memcmp(at->src, m->hi, 16) > 0)
		return false;
	memcpy(to, m->dst, 16);
	for (unsigned b = pol_size(at->k->family); b--;) {
		int d = (int)at->src[b] - m->lo[b] - borrow;

		borrow = d < 0;
		carry += to[b] + (uint8_t)d;
		to[b] = (uint8_t)carry;
		carry >>= 8;
	}
	exact(x, to, 0);
	return true;
}

static bool map_find(const struct pol_at *at, struct fastpol_span map, struct fp_pol_xlate *x)
{
	for (uint32_t i = 0; i < map.n; i++)
		if (map_one(at, &at->p->b.maps[map.first + i], x))
			return true;
	return false;
}

/* Number of the source among hosts first + ... */
static bool share_find(const struct pol_at *at, const struct fastpol_dynamic *d,
		       struct fp_pol_xlate *x)
{
	const struct fastpol_hosts *v = at->p->b.hosts + d->map.first;

	for (uint32_t lo = 0, hi = d->map.n; lo < hi;) {
		uint32_t mid = (lo + hi) / 2;

		if (memcmp(at->src, v[mid].lo, 16) < 0) {
			hi = mid;
		} else if (memcmp(at->src, v[mid].hi, 16) > 0) {
			lo = mid + 1;
		} else {
			to_pool(x, d->pool);
			x->host = v[mid].first + behind(at->src, v[mid].lo, at->k->family);
			return true;
		}
	}
	return false;
}

static enum fp_pol_act dynamic(const struct pol_at *at, unsigned oif, struct fp_pol_state *st)
{
	const struct pol_blob *b = &at->p->b;
	struct fp_pol_xlate *x = &st->snat;

	for (uint32_t i = 0; i < b->n_dynamics; i++) {
		const struct fastpol_dynamic *d = &b->dynamics[i];

		if (d->kind == FASTPOL_D_EXEMPT || (d->bound && d->ifindex != oif) ||
		    b->lists[d->list].family != at->k->family || !pol_acl_permits(at, d->list))
			continue;
		if (d->kind == FASTPOL_D_KERNEL)
			return FP_POL_KERNEL;
		if (d->kind == FASTPOL_D_POOL)
			to_pool(x, d->pool);
		else if (!(d->kind == FASTPOL_D_SHARE ? share_find(at, d, x)
						      : map_find(at, d->map, x)))
			continue;
		return pol_hit(st, pol_c_dynamic(b) + i) ? FP_POL_PERMIT : FP_POL_KERNEL;
	}
	return FP_POL_PERMIT;
}

static bool exempt(const struct pol_at *at)
{
	const struct pol_blob *b = &at->p->b;

	for (uint32_t i = 0; i < b->n_dynamics; i++) {
		const struct fastpol_dynamic *d = &b->dynamics[i];

		if (d->kind == FASTPOL_D_EXEMPT && b->lists[d->list].family == at->k->family &&
		    pol_acl_permits(at, d->list))
			return true;
	}
	return false;
}

/* What the source is seen as from outside; by another pool it would have a second endpoint, for
 * those inside (RFC 4787 REQ-1, REQ-9). Lines of several uplinks may give it several: that of the
 * address that it asked for then, else the first. */
static bool own(const struct pol_at *at, const uint8_t *asked, struct fp_pol_xlate *x)
{
	const struct pol_blob *b = &at->p->b;
	struct pol_at out = *at;
	bool found = false;

	memcpy(out.dst, asked, sizeof(out.dst));
	out.dport = be16toh(at->k->dport_be);
	pol_at_key(&out);
	if (exempt(&out))
		return false;
	for (uint32_t i = 0; i < b->n_dynamics; i++) {
		const struct fastpol_dynamic *d = &b->dynamics[i];
		struct fp_pol_xlate y = { 0 };
		bool his;

		if (d->kind == FASTPOL_D_EXEMPT || b->lists[d->list].family != at->k->family ||
		    !pol_acl_permits(&out, d->list) ||
		    (d->kind == FASTPOL_D_MAP && !map_find(&out, d->map, &y)) ||
		    (d->kind == FASTPOL_D_SHARE && !share_find(&out, d, &y)))
			continue;
		if (d->kind == FASTPOL_D_POOL)
			to_pool(&y, d->pool);
		his = y.kind == FP_XL_POOL && has_addr(at->p, d->pool, at->k->family, asked);
		if (y.kind != FP_XL_NONE && (his || !found)) {
			*x = y;
			found = true;
		}
		if (his || !d->bound)
			break;
	}
	return found;
}

/* Who asks for a public address from inside is seen with one: his own if he has, else the one that
 * he asked for, or another of its pool. */
static enum fp_pol_act hairpin(const struct pol_at *at, struct fp_pol_state *st)
{
	struct fp_pol_xlate *x = &st->snat;
	uint32_t pool, hit = whole(at, at->src, true, x);
	uint8_t asked[16] = { 0 };

	memcpy(asked, at->k->dst, pol_size(at->k->family));
	if (hit != FASTPOL_NONE || (at->k->mapped && own(at, asked, x)))
		return fixed(st, hit);
	pool = pool_of(at->p, at->k->family, asked);
	/* Of an address that is shared out nobody has more than his share. */
	if (pool == FASTPOL_NONE || at->p->b.pools[pool].share)
		return FP_POL_KERNEL;
	to_pool(x, pool);
	return FP_POL_PERMIT;
}

enum fp_pol_act pol_snat(struct pol_at *at, const struct fastpol_iface *in,
			 const struct fastpol_iface *out, struct fp_pol_state *st)
{
	unsigned fam = pol_fam(at->k->family);
	unsigned from = in ? in->side[fam] : FASTPOL_NO_SIDE;
	unsigned to = out ? out->side[fam] : FASTPOL_NO_SIDE;
	uint32_t hit;

	if (!pol_has(&at->p->b, FASTPOL_F_NAT) || from == FASTPOL_NO_SIDE || to == FASTPOL_NO_SIDE)
		return FP_POL_PERMIT;
	if (from == FASTPOL_INSIDE && to == FASTPOL_INSIDE)
		return st->dnat.kind != FP_XL_NONE ? hairpin(at, st) : FP_POL_PERMIT;
	if (from == FASTPOL_OUTSIDE && to == FASTPOL_INSIDE) {
		hit = outside(at, at->src, false, &st->snat);
		/* The kernel looks whether an answer would tell an inside address. */
		if (st->dnat.kind == FP_XL_NONE && st->snat.kind == FP_XL_NONE)
			return FP_POL_KERNEL;
		return fixed(st, hit);
	}
	if (from != FASTPOL_INSIDE || to != FASTPOL_OUTSIDE || exempt(at))
		return FP_POL_PERMIT;
	hit = forward_out(at, out->ifindex, &st->snat);
	if (hit == FASTPOL_NONE)
		hit = whole(at, at->src, true, &st->snat);
	return hit == FASTPOL_NONE ? dynamic(at, out->ifindex, st) : fixed(st, hit);
}

/* --- what comes to us to be translated --- */

static void last_of_net(uint8_t *a, unsigned len, unsigned size)
{
	for (unsigned bit = len; bit < 8 * size; bit++)
		a[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

static void claim_static(const struct fastpol_static *s, struct fp_pol_claim *c)
{
	*c = (struct fp_pol_claim){ .family = s->family, .kind = FP_POL_CLAIM_ALL };
	memcpy(c->first, s->global, 16);
	memcpy(c->last, s->global, 16);
	if (s->kind == FASTPOL_NETWORK)
		last_of_net(c->last, s->len, pol_size(s->family));
	if (s->kind < FASTPOL_TCP)
		return;
	c->kind = FP_POL_CLAIM_PORTS;
	c->proto = s->kind == FASTPOL_TCP ? IPPROTO_TCP : IPPROTO_UDP;
	c->lo = s->gport;
	c->hi = (uint16_t)(s->gport + s->n_ports - 1);
}

static void claim_map(const struct fastpol_map *m, uint8_t family, struct fp_pol_claim *c)
{
	struct pol_at at = { .k = &(struct fp_pol_key){ .family = family } };
	struct fp_pol_xlate last;

	*c = (struct fp_pol_claim){ .family = family, .kind = FP_POL_CLAIM_ERRORS };
	memcpy(at.src, m->hi, 16);
	map_one(&at, m, &last);
	memcpy(c->first, m->dst, 16);
	memcpy(c->last, last.addr, 16);
}

/* Ports of a pool where mappings let others in. Of a larger one all that comes is looked at. */
#define CLAIM_ADDRS 256

static uint32_t claim_pool(const struct fp_pol *p, const struct fastpol_pool *l,
			   struct fp_pol_claim *c)
{
	struct fp_pol_claim all = { .family = l->family, .kind = FP_POL_CLAIM_ALL }, one = all;
	unsigned size = pol_size(l->family);
	uint32_t n = 0;

	memcpy(all.first, l->lo, 16);
	memcpy(all.last, l->hi, 16);
	one = all;
	one.kind = FP_POL_CLAIM_PORTS;
	one.lo = p->fast.lo;
	one.hi = p->fast.hi;
	for (; n < 2 * CLAIM_ADDRS; n += 2) {
		for (unsigned k = 0; k < 2; k++) {
			c[n + k] = one;
			c[n + k].proto = k ? IPPROTO_UDP : IPPROTO_TCP;
			memcpy(c[n + k].last, one.first, 16);
		}
		if (!memcmp(one.first, l->hi, 16))
			return n + 2;
		for (unsigned b = size; b-- && !++one.first[b];)
			;
	}
	c[0] = all;
	return 1;
}

uint32_t pol_nat_n_claims(const struct pol_blob *b)
{
	return b->n_globals + b->n_maps +
	       (pol_has(b, FASTPOL_F_EIM) ? b->n_pools * 2 * CLAIM_ADDRS : 0);
}

void pol_nat_claims(struct fp_pol *p)
{
	for (uint32_t i = 0; i < p->b.n_globals; i++)
		claim_static(&p->b.globals[i], &p->claims[p->n_claims++]);
	for (uint32_t i = 0; i < p->b.n_dynamics; i++) {
		const struct fastpol_dynamic *d = &p->b.dynamics[i];

		for (uint32_t k = 0; d->kind == FASTPOL_D_MAP && k < d->map.n; k++)
			claim_map(&p->b.maps[d->map.first + k], p->b.lists[d->list].family,
				  &p->claims[p->n_claims++]);
	}
	for (uint32_t i = 0; pol_has(&p->b, FASTPOL_F_EIM) && i < p->b.n_pools; i++)
		p->n_claims += claim_pool(p, &p->b.pools[i], &p->claims[p->n_claims]);
}
