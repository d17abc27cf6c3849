/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nat_way.h"

#include "nat_mapping.h"
#include "rewrite.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define N_PORTS  65536
#define LOW_PORT 1024 /* those below stay below: RFC 4787 REQ-3a */
/* Attempts among ports of the wanted class and parity, before any of the class is taken. */
#define TRIES_PARITY (FP_NAT_TRIES / 2)
/* No port is free in a place; -ENOSPC says that the table has no room, wherever it were. */
#define NO_PORT (-EADDRNOTAVAIL)

/* The ports of the fast plane at an address: by class and parity, then in order. Most pools have
 * the same. */
struct ports {
	uint64_t usable[N_PORTS / 64];
	struct {
		uint32_t first, n;
	} part[2][2]; /* [from LOW_PORT on][odd] */
	uint16_t port[N_PORTS];
};

struct pool {
	uint64_t identity;
	uint8_t family;
	bool eim;
	uint8_t lo[16], hi[16];
	const struct ports *ports;
	/* With shares: ports of one, and the first of each; at an address n_shares of them. */
	uint16_t share, blocks;
	uint32_t n_shares;
	uint16_t *share_lo;
	uint64_t *zones; /* wk:rw bits of the zones that flows of the pool have their answers by */
	/* wk:set keeper:clear with blocks: of each address n_words, a bit for each of its blocks
	 * that was somebody's when it was asked for last, and has not ended since. One that is
	 * clear may be somebody's all the same. */
	uint64_t *had;
	uint32_t n_words;
};

struct fp_nat {
	unsigned n_pools, n_sets;
	struct pool *pools;
	struct ports **sets;
	uint64_t *zones; /* of each pool */
};

/* Addresses as in the packet; IPv4 in the first four bytes, zeros behind. */
struct tuple {
	uint8_t src[16], dst[16];
	uint16_t sport_be, dport_be;
};

/* --- ports --- */

static void mark(uint64_t *usable, const struct nat_ports *r, bool on)
{
	for (uint32_t port = MAX(r->lo, 1u); port <= r->hi; port++) {
		uint64_t bit = 1ull << port % 64;

		usable[port / 64] = on ? usable[port / 64] | bit : usable[port / 64] & ~bit;
	}
}

static void sort_ports(struct ports *s)
{
	uint32_t n = 0;

	for (unsigned k = 0; k < 4; k++) {
		bool high = k & 2, odd = k & 1;

		s->part[high][odd].first = n;
		for (uint32_t p = (high ? LOW_PORT : 0u) + odd; p < (high ? N_PORTS : LOW_PORT);
		     p += 2) {
			if (s->usable[p / 64] >> p % 64 & 1)
				s->port[n++] = (uint16_t)p;
		}
		s->part[high][odd].n = n - s->part[high][odd].first;
	}
}

static struct ports *ports_of(struct fp_nat *n, const struct fp_pol_pool *p)
{
	struct ports *s = calloc(1, sizeof(*s));
	uint64_t any = 0;

	if (!s)
		return NULL;
	for (unsigned i = 0; i < p->n_fast; i++)
		mark(s->usable, &p->fast[i], true);
	for (unsigned i = 0; i < p->n_carve; i++)
		mark(s->usable, &p->carve[i], false);
	for (unsigned i = 0; i < n->n_sets; i++) {
		if (!memcmp(n->sets[i]->usable, s->usable, sizeof(s->usable))) {
			free(s);
			return n->sets[i];
		}
	}
	for (unsigned i = 0; i < ARRAY_LEN(s->usable); i++)
		any |= s->usable[i];
	if (!any) {
		free(s);
		return NULL;
	}
	sort_ports(s);
	n->sets[n->n_sets++] = s;
	return s;
}

/* Number i of the attempts, from 0; 0: there is no more. */
static uint16_t candidate(const struct ports *s, uint64_t hash, uint16_t want, unsigned i)
{
	bool high = want >= LOW_PORT, odd = want & 1;

	if (s->usable[want / 64] >> want % 64 & 1) {
		if (!i--)
			return want;
	}
	/* Parity is a wish, the class too: a flow without a port is worse than either. */
	for (unsigned k = 0; k < 4; k++) {
		uint32_t first = s->part[high ^ (k >> 1)][odd ^ (k & 1)].first;
		uint32_t n = s->part[high ^ (k >> 1)][odd ^ (k & 1)].n;
		uint32_t tries = k ? n : MIN(n, (uint32_t)TRIES_PARITY);

		if (i < tries)
			return s->port[first + (uint32_t)(((hash & 0xffffffff) * n >> 32) + i) % n];
		i -= tries;
		hash = hash >> 16 | hash << 48;
	}
	return 0;
}

/* Number i of the attempts among n ports from first on. */
static uint16_t candidate_of_share(uint16_t first, uint16_t n, uint64_t hash, uint16_t want,
				   unsigned i)
{
	unsigned odd = (want ^ first) & 1; /* places that have the parity wanted */

	if (want >= first && want - first < n) {
		if (!i--)
			return want;
	}
	for (unsigned k = 0; k < 2; k++, odd ^= 1) {
		uint32_t half = (n + 1u - odd) / 2;
		uint32_t tries = k ? half : MIN(half, (uint32_t)TRIES_PARITY);

		if (i < tries)
			return (uint16_t)(first + odd +
					  2 * ((uint32_t)(((hash & 0xffffffff) * half >> 32) + i) %
					       half));
		i -= tries;
	}
	return 0;
}

/* The blocks that the ports make: none has a hole. */
static int cut_shares(struct pool *p, uint16_t size, uint16_t blocks)
{
	uint32_t run = 0;

	p->share = size;
	p->blocks = blocks;
	p->share_lo = calloc(N_PORTS / size, sizeof(*p->share_lo));
	if (!p->share_lo)
		return -ENOMEM;
	for (uint32_t port = 1; port < N_PORTS; port++) {
		run = p->ports->usable[port / 64] >> port % 64 & 1 ? run + 1 : 0;
		if (run == size) {
			p->share_lo[p->n_shares++] = (uint16_t)(port + 1 - size);
			run = 0;
		}
	}
	return p->n_shares ? 0 : -EINVAL;
}

/* Address number n of the pool, from 0; false: it has not so many. */
static bool addr_at(const struct pool *p, uint64_t n, uint8_t ret[16])
{
	unsigned size = p->family == AF_INET ? 4 : 16;
	uint8_t addr[16];

	memcpy(addr, p->lo, sizeof(addr));
	for (unsigned b = size; b--; n >>= 8) {
		n += addr[b];
		addr[b] = (uint8_t)n;
	}
	if (n || memcmp(addr, p->hi, size) > 0)
		return false;
	memcpy(ret, addr, sizeof(addr));
	return true;
}

/* Which one of the pool's addresses. */
static uint32_t addr_index(const struct pool *p, const uint8_t addr[16])
{
	unsigned at = p->family == AF_INET ? 0 : 12;
	uint32_t lo_be, addr_be;

	memcpy(&lo_be, p->lo + at, sizeof(lo_be));
	memcpy(&addr_be, addr + at, sizeof(addr_be));
	return ntohl(addr_be) - ntohl(lo_be);
}

static int mark_blocks(struct pool *p)
{
	uint32_t last = addr_index(p, p->hi);
	uint8_t addr[16];

	if (!addr_at(p, last, addr) || memcmp(addr, p->hi, sizeof(addr)))
		return -EINVAL;
	p->n_words = (p->n_shares + 63) / 64;
	p->had = calloc((last + 1ull) * p->n_words, sizeof(*p->had));
	return p->had ? 0 : -ENOMEM;
}

/* --- pools --- */

static bool pool_ok(const struct fp_pol_pool *p)
{
	unsigned size = p->family == AF_INET ? 4 : 16;

	return (p->family == AF_INET || p->family == AF_INET6) && memcmp(p->lo, p->hi, size) <= 0;
}

int fp_nat_new(const struct fp_pol_pool *pools, unsigned n, struct fp_nat **ret)
{
	struct fp_nat *nat = calloc(1, sizeof(*nat));
	int err = -ENOMEM;

	if (!nat)
		return -ENOMEM;
	nat->pools = calloc(n ? n : 1, sizeof(*nat->pools));
	nat->sets = calloc(n ? n : 1, sizeof(struct ports *));
	nat->zones = calloc(n ? n : 1, sizeof(*nat->zones));
	if (!nat->pools || !nat->sets || !nat->zones)
		goto out;
	err = -EINVAL;
	for (; nat->n_pools < n; nat->n_pools++) {
		const struct fp_pol_pool *p = &pools[nat->n_pools];
		struct pool *to = &nat->pools[nat->n_pools];

		if (!pool_ok(p))
			goto out;
		*to = (struct pool){ .identity = p->identity,
				     .eim = p->eim,
				     .family = p->family,
				     .ports = ports_of(nat, p),
				     .zones = &nat->zones[nat->n_pools] };
		if (!to->ports)
			goto out;
		memcpy(to->lo, p->lo, sizeof(to->lo));
		memcpy(to->hi, p->hi, sizeof(to->hi));
		err = p->share ? cut_shares(to, p->share, p->blocks) : 0;
		if (!err && p->blocks)
			err = mark_blocks(to);
		if (err) {
			nat->n_pools++;
			goto out;
		}
		err = -EINVAL;
	}
	*ret = nat;
	return 0;
out:
	fp_nat_free(nat);
	return err;
}

static bool overlap(const struct pool *a, const struct pool *b)
{
	return a->family == b->family && memcmp(a->lo, b->hi, sizeof(a->lo)) <= 0 &&
	       memcmp(b->lo, a->hi, sizeof(b->lo)) <= 0;
}

void fp_nat_follow(struct fp_nat *n, const struct fp_nat *prev, uint64_t zones)
{
	for (unsigned i = 0; i < n->n_pools; i++) {
		struct pool *to = &n->pools[i];

		uint64_t bits = prev ? 0 : zones;

		for (unsigned k = 0; prev && k < prev->n_pools; k++)
			if (overlap(to, &prev->pools[k]))
				bits |= __atomic_load_n(prev->pools[k].zones, __ATOMIC_RELAXED);
		__atomic_or_fetch(to->zones, bits, __ATOMIC_RELAXED);
	}
}

struct fp_nat *fp_nat_free(struct fp_nat *n)
{
	if (!n)
		return NULL;
	for (unsigned i = 0; i < n->n_sets; i++)
		free(n->sets[i]);
	for (unsigned i = 0; i < n->n_pools; i++) {
		free(n->pools[i].share_lo);
		free(n->pools[i].had);
	}
	free(n->sets);
	free(n->pools);
	free(n->zones);
	free(n);
	return NULL;
}

/* --- the address --- */

static uint32_t rol32(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

/* Bob Jenkins's lookup3 over the four words of an address, as the kernel's jhash2() with initval 0
 * has it (linux/jhash.h). */
static uint32_t jhash4(const uint32_t k[4])
{
	uint32_t a = 0xdeadbeef + (4 << 2), b = a, c = a;

	a += k[0];
	b += k[1];
	c += k[2];
	a = (a - c) ^ rol32(c, 4);
	c += b;
	b = (b - a) ^ rol32(a, 6);
	a += c;
	c = (c - b) ^ rol32(b, 8);
	b += a;
	a = (a - c) ^ rol32(c, 16);
	c += b;
	b = (b - a) ^ rol32(a, 19);
	a += c;
	c = (c - b) ^ rol32(b, 4);
	b += a;

	a += k[3];
	c = (c ^ b) - rol32(b, 14);
	a = (a ^ c) - rol32(c, 11);
	b = (b ^ a) - rol32(a, 25);
	c = (c ^ b) - rol32(b, 16);
	a = (a ^ c) - rol32(c, 4);
	b = (b ^ a) - rol32(a, 14);
	c = (c ^ b) - rol32(b, 24);
	return c;
}

/* The address that NF_NAT_RANGE_PERSISTENT finds for a source: one host has one address on both
 * planes (find_best_ips_proto in net/netfilter/nf_nat_core.c). */
static void pool_addr(const struct pool *p, const uint8_t src[16], uint8_t ret[16])
{
	unsigned n = p->family == AF_INET ? 1 : 4;
	uint32_t key[4], lo[4], hi[4], out[4] = { 0 }, hash;
	bool full = false;

	memcpy(key, src, sizeof(key));
	memcpy(lo, p->lo, sizeof(lo));
	memcpy(hi, p->hi, sizeof(hi));
	hash = jhash4(key);
	for (unsigned i = 0; i < n; i++) {
		uint32_t min = full ? 0 : ntohl(lo[i]);
		uint32_t dist = full ? UINT32_MAX : ntohl(hi[i]) - min + 1;

		out[i] = htonl(min + (uint32_t)((uint64_t)hash * dist >> 32));
		full |= out[i] != hi[i];
	}
	memcpy(ret, out, sizeof(out));
}

static int share_of(const struct pool *p, uint32_t host, uint8_t ret_addr[16],
		    struct nat_ports *ret)
{
	if (!addr_at(p, host / p->n_shares, ret_addr))
		return -ENOENT;
	ret->lo = p->share_lo[host % p->n_shares];
	ret->hi = (uint16_t)(ret->lo + p->share - 1);
	return 0;
}

int fp_nat_share(const struct fp_nat *n, uint32_t pool, uint32_t host, uint8_t ret_addr[16],
		 struct nat_ports *ret_ports)
{
	const struct pool *p = &n->pools[pool];

	return p->share && !p->blocks ? share_of(p, host, ret_addr, ret_ports) : -ENOENT;
}

/* What mappings and blocks know it by. */
static uint32_t pool_name(const struct pool *p)
{
	return (uint32_t)p->identity | 1;
}

/* Where an inside address may be translated to. */
struct place {
	const struct pool *p;
	uint8_t addr[16];
	struct nat_ports share; /* hi 0: all of the pool's */
};

static int place_of(const struct pool *p, uint32_t host, const uint8_t src[16], struct place *ret)
{
	*ret = (struct place){ .p = p };
	if (p->share)
		return share_of(p, host, ret->addr, &ret->share);
	pool_addr(p, src, ret->addr);
	return 0;
}

static uint16_t candidate_at(const struct place *l, uint64_t hash, uint16_t want, unsigned i)
{
	return l->share.hi ? candidate_of_share(l->share.lo, l->p->share, hash, want, i)
			   : candidate(l->p->ports, hash, want, i);
}

/* --- tuples and halves --- */

static uint8_t proto_of(enum flow_family fam, const struct fp_flow_new *f)
{
	return fam == FLOW_4 ? f->dir[0].key4.proto : f->dir[0].key6.proto;
}

static struct tuple tuple_of(enum flow_family fam, const struct fp_flow_half *h)
{
	struct tuple t = { .sport_be = 0 };

	if (fam == FLOW_4) {
		memcpy(t.src, &h->key4.saddr, 4);
		memcpy(t.dst, &h->key4.daddr, 4);
		t.sport_be = h->key4.sport;
		t.dport_be = h->key4.dport;
	} else {
		memcpy(t.src, h->key6.saddr, 16);
		memcpy(t.dst, h->key6.daddr, 16);
		t.sport_be = h->key6.sport;
		t.dport_be = h->key6.dport;
	}
	return t;
}

static struct tuple answer_to(const struct tuple *t)
{
	struct tuple r = { .sport_be = t->dport_be, .dport_be = t->sport_be };

	memcpy(r.src, t->dst, sizeof(r.src));
	memcpy(r.dst, t->src, sizeof(r.dst));
	return r;
}

static void set_key(enum flow_family fam, struct fp_flow_half *h, const struct tuple *t,
		    uint8_t proto, uint16_t zone)
{
	if (fam == FLOW_4) {
		h->key4 = (struct flow_key4){
			.sport = t->sport_be, .dport = t->dport_be, .proto = proto, .zone = zone
		};
		memcpy(&h->key4.saddr, t->src, 4);
		memcpy(&h->key4.daddr, t->dst, 4);
		return;
	}
	h->key6 = (struct flow_key6){
		.sport = t->sport_be, .dport = t->dport_be, .proto = proto, .zone = zone
	};
	memcpy(h->key6.saddr, t->src, 16);
	memcpy(h->key6.daddr, t->dst, 16);
}

static int set_rewrite4(struct fp_flow_half *h, const struct tuple *from, const struct tuple *to,
			uint8_t proto)
{
	struct fp_tuple4 a = { .sport_be = from->sport_be,
			       .dport_be = from->dport_be,
			       .proto = proto };
	struct fp_tuple4 b = { .sport_be = to->sport_be, .dport_be = to->dport_be, .proto = proto };
	struct fp_nat4 n;

	memcpy(&a.src_be, from->src, 4);
	memcpy(&a.dst_be, from->dst, 4);
	memcpy(&b.src_be, to->src, 4);
	memcpy(&b.dst_be, to->dst, 4);
	if (fp_nat4_init(&n, &a, &b))
		return -EPROTO;
	h->rw4 = (struct flow_rewrite4){ .saddr = n.src_be,
					 .daddr = n.dst_be,
					 .sport = n.sport_be,
					 .dport = n.dport_be,
					 .l3_delta = n.ip_delta,
					 .l4_delta = n.l4_delta };
	return 0;
}

static int set_rewrite6(struct fp_flow_half *h, const struct tuple *from, const struct tuple *to,
			uint8_t proto)
{
	struct fp_tuple6 a = { .sport_be = from->sport_be,
			       .dport_be = from->dport_be,
			       .proto = proto };
	struct fp_tuple6 b = { .sport_be = to->sport_be, .dport_be = to->dport_be, .proto = proto };
	struct fp_nat6 n;

	memcpy(a.src, from->src, 16);
	memcpy(a.dst, from->dst, 16);
	memcpy(b.src, to->src, 16);
	memcpy(b.dst, to->dst, 16);
	if (fp_nat6_init(&n, &a, &b))
		return -EPROTO;
	h->rw6 = (struct flow_rewrite6){ .sport = n.sport_be,
					 .dport = n.dport_be,
					 .l4_delta = n.l4_delta };
	memcpy(h->rw6.saddr, n.src, 16);
	memcpy(h->rw6.daddr, n.dst, 16);
	return 0;
}

static int set_rewrite(enum flow_family fam, struct fp_flow_half *h, const struct tuple *from,
		       const struct tuple *to, uint8_t proto)
{
	return fam == FLOW_4 ? set_rewrite4(h, from, to, proto) : set_rewrite6(h, from, to, proto);
}

/* Both halves of a flow whose packets become `to`. */
static int fill(const struct fp_nat_ask *a, struct fp_flow_new *f, const struct tuple *from,
		const struct tuple *to)
{
	struct tuple back = answer_to(to), home = answer_to(from);
	uint8_t proto = proto_of(a->fam, f);
	int err = 0;

	set_key(a->fam, &f->dir[1], &back, proto, a->zone_back);
	for (int d = 0; d < 2; d++) {
		f->dir[d].flags &= (uint8_t)~FLOW_F_REWRITE;
		memset(f->dir[d].rw, 0, sizeof(f->dir[d].rw));
	}
	if (!memcmp(from, to, sizeof(*to)))
		return 0;
	err = set_rewrite(a->fam, &f->dir[0], from, to, proto);
	err = err ?: set_rewrite(a->fam, &f->dir[1], &back, &home, proto);
	f->dir[0].flags |= FLOW_F_REWRITE;
	f->dir[1].flags |= FLOW_F_REWRITE;
	return err;
}

/* --- the table --- */

static bool has(const struct fp_nat_ask *a, const struct fp_flow_half *h)
{
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	return a->fam == FLOW_4 ? fp_flow_find4(a->flows, &h->key4, &h4) == FLOW_HIT
				: fp_flow_find6(a->flows, &h->key6, &h6) == FLOW_HIT;
}

/* One exact tuple. */
static int insert_exact(const struct fp_nat_ask *a, struct fp_flow_new *f, const struct tuple *from,
			const struct tuple *to, uint64_t *ret_ref)
{
	int err = fill(a, f, from, to);

	err = err ?: fp_flow_insert(a->fw, a->fam, f, ret_ref);
	if (err != -EEXIST || has(a, &f->dir[0]))
		return err;
	a->self->clash++;
	return -EADDRINUSE;
}

/* Answers to the tuple are awaited already by an interface: the insert tests only its own zone. */
static bool taken(const struct fp_nat_ask *a, const struct fp_flow_new *f, uint64_t zones)
{
	struct fp_flow_half h = f->dir[1];

	for (; zones; zones &= zones - 1) {
		uint16_t zone = (uint16_t)__builtin_ctzll(zones);

		if (a->fam == FLOW_4)
			h.key4.zone = zone;
		else
			h.key6.zone = zone;
		if (has(a, &h))
			return true;
	}
	return false;
}

/* The inside endpoint's own order of ports: the same toward all destinations, so that it keeps one
 * port while no other endpoint is in its way, and after a restart. The seed is secret. */
static uint64_t order_of(const struct fp_nat_ask *a, const struct tuple *t, uint8_t proto)
{
	const struct flow_hdr *hdr = fp_flow_hdr(a->flows);
	uint64_t w[2], seed = hdr->seed4[0] ^ hdr->seed6[0];

	memcpy(w, t->src, sizeof(w));
	return hash_mix64(
		w[0] ^ hash_mix64(w[1] ^ hash_mix64(((uint64_t)t->sport_be << 8 | proto) ^ seed)));
}

/* The mapping of the inside endpoint, or a new one. */
static int find_mapping(const struct place *l, const struct fp_nat_ask *a,
			const struct fp_flow_new *f, uint64_t hash, struct fp_mapping *m)
{
	unsigned i;

	if (fp_mapping_find(a->flows, m, f->time))
		return 0;
	memcpy(m->out.addr, l->addr, sizeof(m->out.addr));
	for (i = 0; i < FP_NAT_TRIES; i++) {
		uint16_t port = candidate_at(l, hash, ntohs(m->in.port_be), i);
		int err;

		if (!port)
			break;
		m->out.port_be = htons(port);
		err = fp_mapping_take(a->flows, a->fw, m, f->time, f->policy);
		if (err == -EEXIST)
			return fp_mapping_find(a->flows, m, f->time) ? 0 : -EBUSY;
		if (err != -EADDRINUSE)
			return err;
		a->self->tries++;
	}
	a->self->exhausted++;
	return NO_PORT;
}

static int insert_mapped(const struct place *l, const struct fp_nat_ask *a, struct fp_flow_new *f,
			 const struct tuple *from, struct tuple *to, uint64_t *ret_ref)
{
	struct fp_mapping m = { .fam = a->fam,
				.proto = proto_of(a->fam, f),
				.pool = pool_name(l->p),
				.cold = f->flags & FLOW_COLD_BLOCK,
				.in.port_be = from->sport_be };
	int err;

	memcpy(m.in.addr, from->src, sizeof(m.in.addr));
	err = find_mapping(l, a, f, order_of(a, from, m.proto), &m);
	if (err)
		return err;
	memcpy(to->src, m.out.addr, sizeof(to->src));
	to->sport_be = m.out.port_be;
	f->flags |= FLOW_COLD_MAPPED;
	err = insert_exact(a, f, from, to, ret_ref);
	if (!err) {
		a->self->kept += to->sport_be == from->sport_be;
		a->self->changed += to->sport_be != from->sport_be;
	}
	/* A flow of before the setting has it: the kernel can help. */
	return err == -EADDRINUSE ? -ENOSPC : err;
}

static int insert_free(const struct place *l, const struct fp_nat_ask *a, struct fp_flow_new *f,
		       const struct tuple *from, struct tuple *to, uint64_t *ret_ref)
{
	uint64_t own = a->zone_back < 64 ? 1ull << a->zone_back : 0;
	uint64_t zones = __atomic_load_n(l->p->zones, __ATOMIC_RELAXED);
	uint64_t hash = order_of(a, from, proto_of(a->fam, f));
	uint16_t want = ntohs(from->sport_be);
	int err;

	if (!(zones & own))
		zones = __atomic_or_fetch(l->p->zones, own, __ATOMIC_RELAXED);
	memcpy(to->src, l->addr, sizeof(to->src));
	for (unsigned i = 0; i < FP_NAT_TRIES; i++) {
		uint16_t port = candidate_at(l, hash, want, i);

		if (!port)
			break;
		to->sport_be = htons(port);
		err = fill(a, f, from, to);
		if (err)
			return err;
		/* The first one is most often free: the insert itself finds out. */
		if (!taken(a, f, i ? zones | own : zones & ~own)) {
			err = fp_flow_insert(a->fw, a->fam, f, ret_ref);
			if (!err) {
				a->self->kept += port == want;
				a->self->changed += port != want;
				return 0;
			}
			if (err != -EEXIST || has(a, &f->dir[0]))
				return err;
		}
		a->self->tries++;
	}
	if (has(a, &f->dir[0]))
		return -EEXIST;
	a->self->exhausted++;
	return NO_PORT;
}

static int insert_at(const struct place *l, const struct fp_nat_ask *a, struct fp_flow_new *f,
		     const struct tuple *from, struct tuple *to, uint64_t *ret_ref)
{
	return l->p->eim ? insert_mapped(l, a, f, from, to, ret_ref)
			 : insert_free(l, a, f, from, to, ret_ref);
}

/* Block number `at` of the host, which may not have it. */
static struct fp_mapping block_of(const struct pool *p, const struct fp_nat_ask *a,
				  const struct tuple *from, unsigned at)
{
	struct fp_mapping b = { .fam = a->fam,
				.pool = pool_name(p),
				.cold = FLOW_COLD_BLOCK,
				.in.port_be = htons((uint16_t)at) };

	memcpy(b.in.addr, from->src, sizeof(b.in.addr));
	return b;
}

static struct place place_in(const struct pool *p, const struct fp_mapping *b)
{
	struct place l = { .p = p };

	memcpy(l.addr, b->out.addr, sizeof(l.addr));
	l.share.lo = ntohs(b->out.port_be);
	l.share.hi = (uint16_t)(l.share.lo + p->share - 1);
	return l;
}

/* The first from number *i on, counted from `start`, that may be free. */
static bool next_free(const uint64_t *had, uint32_t n, uint32_t start, uint32_t *i)
{
	for (; *i < n; ++*i) {
		uint32_t at = (start + *i) % n;
		uint64_t bits = __atomic_load_n(&had[at / 64], __ATOMIC_RELAXED);

		if (!(bits >> at % 64 & 1))
			return true;
		if (bits == UINT64_MAX && at % 64 == 0)
			*i += 63;
	}
	return false;
}

/* One more for the host, at his address: from a secret place on, so that nobody can tell where his
 * next one will be (RFC 6888 REQ-15). A block is asked for once, then its bit says that it is
 * somebody's until it ends: after a change of the policy all may be asked for, later the one that
 * is free. */
static int take_block(const struct pool *p, const struct fp_nat_ask *a, const struct fp_flow_new *f,
		      const struct tuple *from, struct fp_mapping *b)
{
	uint32_t start = (uint32_t)((order_of(a, from, 0) & 0xffffffff) * p->n_shares >> 32);
	struct fp_flow_adoption adoption;
	uint64_t *had;

	pool_addr(p, from->src, b->out.addr);
	had = p->had + (size_t)addr_index(p, b->out.addr) * p->n_words;
	fp_flow_adoption(a->flows, &adoption);
	for (uint32_t i = 0; next_free(had, p->n_shares, start, &i); i++) {
		uint32_t at = (start + i) % p->n_shares;
		int err;

		/* Before the look: it may end at once behind it, and the bit has to go then. */
		__atomic_or_fetch(&had[at / 64], 1ull << at % 64, __ATOMIC_SEQ_CST);
		b->out.port_be = htons(p->share_lo[at]);
		err = fp_mapping_take(a->flows, a->fw, b, f->time, f->policy);
		/* What adoption finds broken ends untold. */
		if (err && (err != -EADDRINUSE || !adoption.done))
			__atomic_and_fetch(&had[at / 64], ~(1ull << at % 64), __ATOMIC_SEQ_CST);
		if (err == -EEXIST) /* another worker was quicker */
			return fp_mapping_find(a->flows, b, f->time) ? 0 : -EBUSY;
		if (err != -EADDRINUSE) {
			a->self->blocks += !err;
			return err;
		}
	}
	return -ENOBUFS;
}

/* In the host's blocks, in their order, and one more when these are full. */
static int insert_block(const struct pool *p, const struct fp_nat_ask *a, struct fp_flow_new *f,
			const struct tuple *from, struct tuple *to, uint64_t *ret_ref)
{
	unsigned missing = p->blocks;
	struct fp_mapping b;
	struct place l;
	int err;

	f->flags |= FLOW_COLD_BLOCK;
	for (unsigned i = 0; i < p->blocks; i++) {
		b = block_of(p, a, from, i);
		if (!fp_mapping_find(a->flows, &b, f->time)) {
			missing = MIN(missing, i);
			continue;
		}
		l = place_in(p, &b);
		err = insert_at(&l, a, f, from, to, ret_ref);
		if (err != NO_PORT)
			return err;
	}
	if (missing == p->blocks)
		return -EUSERS;
	b = block_of(p, a, from, missing);
	err = take_block(p, a, f, from, &b);
	if (err)
		return err;
	l = place_in(p, &b);
	err = insert_at(&l, a, f, from, to, ret_ref);
	return err == NO_PORT ? -ENOBUFS : err;
}

static int insert_pool(const struct pool *p, const struct fp_nat_ask *a, struct fp_flow_new *f,
		       const struct tuple *from, struct tuple *to, uint64_t *ret_ref)
{
	struct place l;
	int err;

	if (p->blocks)
		return insert_block(p, a, f, from, to, ret_ref);
	if (place_of(p, a->st->snat.host, from->src, &l))
		return -ENOSPC;
	err = insert_at(&l, a, f, from, to, ret_ref);
	return err == NO_PORT ? -ENOSPC : err;
}

int fp_nat_insert(const struct fp_nat *n, const struct fp_nat_ask *a, struct fp_flow_new *f,
		  uint64_t *ret_ref)
{
	const struct fp_pol_xlate *x = &a->st->snat;
	struct tuple from = tuple_of(a->fam, &f->dir[0]), to = from;

	memcpy(to.dst, a->st->dst, sizeof(to.dst));
	to.dport_be = a->st->dport_be;
	switch (x->kind) {
	case FP_XL_POOL:
		return insert_pool(&n->pools[x->pool], a, f, &from, &to, ret_ref);
	case FP_XL_EXACT:
		memcpy(to.src, x->addr, sizeof(to.src));
		if (x->port_be)
			to.sport_be = x->port_be;
		break;
	default:
		break;
	}
	return insert_exact(a, f, &from, &to, ret_ref);
}

/* --- blocks --- */

static bool has_blocks_at(const struct pool *p, enum flow_family fam, const uint8_t *addr)
{
	size_t size = fam == FLOW_4 ? 4 : 16;

	return p->blocks && p->family == (fam == FLOW_4 ? AF_INET : AF_INET6) &&
	       memcmp(addr, p->lo, size) >= 0 && memcmp(addr, p->hi, size) <= 0;
}

static const struct pool *block_pool(const struct fp_nat *n, enum flow_family fam,
				     const uint8_t *addr)
{
	for (unsigned i = 0; i < n->n_pools; i++)
		if (has_blocks_at(&n->pools[i], fam, addr))
			return &n->pools[i];
	return NULL;
}

/* Number of the last block that does not begin above the port; -1: there is none. */
static int32_t block_before(const struct pool *p, uint16_t port)
{
	uint32_t lo = 0, hi = p->n_shares;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (p->share_lo[mid] <= port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (int32_t)lo - 1;
}

static bool block_at(const struct pool *p, uint16_t port, struct nat_ports *ret)
{
	int32_t at = block_before(p, port);

	if (at < 0 || port - p->share_lo[at] >= p->share)
		return false;
	ret->lo = p->share_lo[at];
	ret->hi = (uint16_t)(ret->lo + p->share - 1);
	return true;
}

bool fp_nat_block(const struct fp_nat *n, enum flow_family fam, const uint8_t *addr, uint16_t port,
		  struct nat_ports *ret)
{
	const struct pool *p = block_pool(n, fam, addr);

	return p && block_at(p, port, ret);
}

uint16_t fp_nat_block_size(const struct fp_nat *n, uint32_t name)
{
	for (unsigned i = 0; i < n->n_pools; i++)
		if (n->pools[i].blocks && pool_name(&n->pools[i]) == name)
			return n->pools[i].share;
	return 0;
}

static bool find_holder(const struct fp_flow *flows, enum flow_family fam, const uint8_t *addr,
			uint16_t first, uint32_t now, struct fp_mapping *ret)
{
	*ret = (struct fp_mapping){ .fam = fam, .out.port_be = htons(first) };
	memcpy(ret->out.addr, addr, fam == FLOW_4 ? 4 : 16);
	return fp_mapping_find_out(flows, ret, now);
}

/* The block is one of those that the host may have of the pool as it is cut now: one of another cut
 * may begin at the same port. */
static bool is_of(const struct fp_flow *flows, const struct pool *p, const struct fp_mapping *b)
{
	struct fp_mapping own = { .fam = b->fam, .pool = pool_name(p), .in = b->in };

	return ntohs(b->in.port_be) < p->blocks && fp_mapping_find(flows, &own, 0) &&
	       own.out.port_be == b->out.port_be &&
	       !memcmp(own.out.addr, b->out.addr, sizeof(own.out.addr));
}

void fp_nat_block_keep(const struct fp_nat *n, const struct fp_flow *flows, enum flow_family fam,
		       const uint8_t *addr, uint16_t port, uint32_t now)
{
	struct nat_ports block;
	struct fp_mapping b;

	if (fp_nat_block(n, fam, addr, port, &block))
		find_holder(flows, fam, addr, block.lo, now, &b);
}

bool fp_nat_block_holds(const struct fp_nat *n, const struct fp_flow *flows, enum flow_family fam,
			const uint8_t *host, const uint8_t *addr, uint16_t port)
{
	const struct pool *p = block_pool(n, fam, addr);
	struct nat_ports block;
	struct fp_mapping b;

	/* Forwards have ports that are nobody's. */
	if (!p || !(p->ports->usable[port / 64] >> port % 64 & 1))
		return true;
	if (!block_at(p, port, &block) || !find_holder(flows, fam, addr, block.lo, 0, &b) ||
	    memcmp(b.in.addr, host, fam == FLOW_4 ? 4 : 16))
		return false;
	for (unsigned i = 0; i < n->n_pools; i++)
		if (has_blocks_at(&n->pools[i], fam, addr) && is_of(flows, &n->pools[i], &b))
			return true;
	return false;
}

void fp_nat_block_ended(const struct fp_nat *n, enum flow_family fam, const uint8_t *addr,
			uint16_t first)
{
	const struct pool *p = block_pool(n, fam, addr);
	int32_t at = p ? block_before(p, first) : -1;

	/* Else it is of a cut of before. */
	if (at >= 0 && p->share_lo[at] == first)
		__atomic_and_fetch(
			&p->had[(size_t)addr_index(p, addr) * p->n_words + (uint32_t)at / 64],
			~(1ull << at % 64), __ATOMIC_SEQ_CST);
}
