/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths: what a route leads to, shared by all routes that lead to the same. Next hop objects of the
 * kernel are resolved here, so a path that names one follows its changes.
 *
 * Among several hops each of the 1,024 buckets goes to the one that scores best for it (weighted
 * rendezvous hashing, keyed by what the hop is and not by its place): a hop that dies or leaves
 * the set gives its own buckets to the others and moves no other; one that comes takes its share.
 */
#include "fib_ctl_priv.h"
#include "hash.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATHS (FIB_N_CHUNKS * FIB_PATH_CHUNK)

struct fc_path *fc_path_at(const struct fibctl *c, uint32_t i)
{
	return &c->path[i / FIB_PATH_CHUNK][i % FIB_PATH_CHUNK];
}

int fc_paths_init(struct fibctl *c)
{
	c->n_path_ever = 1;
	c->path_hash_mask = 1023;
	c->path_hash = calloc(c->path_hash_mask + 1, sizeof(*c->path_hash));
	return c->path_hash ? 0 : -ENOMEM;
}

void fc_paths_fini(struct fibctl *c)
{
	for (uint32_t i = 1; i < c->n_path_ever; i++)
		fc_pub_free(c, fc_path_at(c, i)->pub);
	for (unsigned i = 0; i < FIB_N_CHUNKS; i++) {
		free(c->path[i]);
		free(c->f.path[i]);
	}
	free(c->path_hash);
}

static uint64_t hop_hash(const struct fib_hop *h)
{
	uint64_t x = hash_mix64(h->nh.q[0] ^ hash_mix64(h->nh.q[1] + h->oif));

	return hash_mix64(x ^ (uint64_t)h->oif << 32 ^ h->nh_family);
}

/* What tells two paths apart, in one number. */
static uint64_t path_hash(const struct fib_path *p, uint8_t family, uint32_t nh_id)
{
	uint64_t h = hash_mix64((uint64_t)p->verdict << 56 | (uint64_t)p->reason << 48 |
				(uint64_t)p->scope << 40 | (uint64_t)family << 32 | nh_id);

	h = hash_mix64(h ^ p->prefsrc.q[0] ^ hash_mix64(p->prefsrc.q[1]));
	if (!nh_id)
		for (unsigned i = 0; i < p->n_hops; i++)
			h = hash_mix64(h * 31 + hop_hash(&p->hop[i]) + p->hop[i].weight);
	return h;
}

static bool hop_same(const struct fib_hop *a, const struct fib_hop *b)
{
	return a->oif == b->oif && a->nh_family == b->nh_family && a->weight == b->weight &&
	       fib_ip_eq(&a->nh, &b->nh);
}

static bool path_same(const struct fc_path *cp, const struct fib_path *p, uint8_t family,
		      uint32_t nh_id)
{
	const struct fib_path *q = cp->pub;

	if (cp->family != family || cp->nh_id != nh_id || q->scope != p->scope ||
	    !fib_ip_eq(&q->prefsrc, &p->prefsrc))
		return false;
	if (nh_id)
		return true; /* what it leads to now is the object's */
	if (cp->verdict != p->verdict || cp->reason != p->reason || q->n_hops != p->n_hops)
		return false;
	for (unsigned i = 0; i < p->n_hops; i++)
		if (!hop_same(&q->hop[i], &p->hop[i]))
			return false;
	return true;
}

bool fc_path_uses(const struct fc_path *p, uint32_t oif)
{
	for (unsigned i = 0; i < p->pub->n_hops; i++)
		if (p->pub->hop[i].oif == oif)
			return true;
	return false;
}

static struct fc_nexthop *nexthop_find(const struct fibctl *c, uint32_t id)
{
	struct fc_nexthop *n = c->nexthop[id % ARRAY_LEN(c->nexthop)];

	while (n && n->id != id)
		n = n->next;
	return n;
}

static struct fib_hop hop_of(const struct fib_msg_hop *m)
{
	return (struct fib_hop){
		.nh = m->gw, .oif = m->oif, .nh_family = m->gw_family, .weight = m->weight
	};
}

/* Whether a hop is out of the choice, and whether one rather takes another. */
enum hop_life { HOP_GOOD, HOP_POOR, HOP_DEAD };

static enum hop_life hop_life(const struct fibctl *c, uint8_t family, const struct fib_hop *h)
{
	const struct fc_link *l = fc_link_find(c, h->oif);

	if (fc_link_is_down(l) || !l->pub)
		return HOP_DEAD;
	if (!(l->flags & IFF_LOWER_UP))
		return l->pub->l.ignore_linkdown & 1u << fib_fam(family) ? HOP_DEAD : HOP_POOR;
	return fc_adj_is_failed(c, h->adj) ? HOP_POOR : HOP_GOOD;
}

/* Buckets to the hops of the best life that there is. */
static void fill_buckets(struct fib_path *p, uint8_t *bucket, const uint8_t *life, uint8_t best)
{
	for (unsigned b = 0; b < FIB_BUCKETS; b++) {
		double least = HUGE_VAL;

		for (unsigned i = 0; i < p->n_hops; i++) {
			uint64_t h = hash_mix64(hop_hash(&p->hop[i]) ^ hash_mix64(b + 1));
			double u = ((double)(h >> 11) + 1) * 0x1p-53, score;

			if (life[i] != best)
				continue;
			score = -log(u) / (p->hop[i].weight + 1);
			if (score < least) {
				least = score;
				bucket[b] = (uint8_t)i;
			}
		}
	}
}

/* Settles everything that depends on links and neighbours. p is not published yet; bucket is the
 * room behind it when it has several hops. */
static void settle(struct fibctl *c, struct fc_path *cp, struct fib_path *p, uint8_t *bucket)
{
	uint8_t life[FIB_MAX_HOPS], best = HOP_DEAD;
	unsigned n_best = 0;

	for (unsigned i = 0; i < p->n_hops; i++) {
		struct fib_hop *h = &p->hop[i];
		const struct fc_link *l = fc_link_find(c, h->oif);

		h->reason = (uint8_t)fc_link_egress_reason(l);
		if (!h->reason && h->nh_family && !h->adj)
			h->reason = ELIG_LIMIT;
		life[i] = (uint8_t)hop_life(c, cp->family, h);
		h->dead = life[i] == HOP_DEAD;
		if (life[i] < best) {
			best = life[i];
			n_best = 0;
		}
		if (life[i] == best) {
			p->only = (uint16_t)i;
			n_best++;
		}
	}
	if (p->verdict != FIB_V_FORWARD) {
		cp->live = 1;
	} else {
		cp->live = best != HOP_DEAD;
		if (n_best > 1) {
			fill_buckets(p, bucket, life, best);
			p->bucket = bucket;
		}
	}
	if (!cp->live) {
		p->verdict = FIB_V_KERNEL;
		p->reason = ELIG_ROUTE_DEAD;
	}
}

static struct fib_path *path_alloc(struct fibctl *c, unsigned n_hops, uint8_t **ret_bucket)
{
	size_t size = sizeof(struct fib_path) + n_hops * sizeof(struct fib_hop);
	struct fib_path *p = fc_pub_alloc(c, size + (n_hops > 1 ? FIB_BUCKETS : 0));

	if (p)
		*ret_bucket = (uint8_t *)p + size;
	return p;
}

/* The hops that a next hop object stands for; a group's are those of its members. */
static unsigned nexthop_hops(const struct fibctl *c, uint32_t id, struct fib_hop *hop,
			     uint8_t *ret_verdict, uint8_t *ret_reason)
{
	const struct fc_nexthop *n = nexthop_find(c, id);
	unsigned n_hops = 0;

	*ret_verdict = FIB_V_KERNEL;
	*ret_reason = ELIG_NEXTHOP;
	if (!n || n->other)
		return 0;
	if (n->blackhole) {
		*ret_verdict = FIB_V_BLACKHOLE;
		*ret_reason = ELIG_OK;
		return 0;
	}
	for (unsigned i = 0; i < n->n_group; i++) {
		const struct fc_nexthop *m = nexthop_find(c, n->group[i].id);

		if (!m || m->other || m->n_group || m->blackhole)
			return 0; /* half of a group that is changing: its other half comes */
		hop[n_hops] = hop_of(&m->hop);
		hop[n_hops++].weight = n->group[i].weight;
	}
	if (!n->n_group)
		hop[n_hops++] = hop_of(&n->hop);
	*ret_verdict = FIB_V_FORWARD;
	*ret_reason = ELIG_OK;
	return n_hops;
}

static void hold_adjs(struct fibctl *c, struct fib_path *p)
{
	for (unsigned i = 0; i < p->n_hops; i++)
		if (p->hop[i].nh_family && p->verdict == FIB_V_FORWARD)
			p->hop[i].adj = fc_adj_get(c, p->hop[i].oif, p->hop[i].nh_family,
						   &p->hop[i].nh);
}

static void drop_adjs(struct fibctl *c, const struct fib_path *p)
{
	for (unsigned i = 0; i < p->n_hops; i++)
		fc_adj_put(c, p->hop[i].adj);
}

static struct fib_path **pub_slot(struct fibctl *c, uint32_t i)
{
	return &c->f.path[i / FIB_PATH_CHUNK][i % FIB_PATH_CHUNK];
}

static bool reasons_differ(const struct fib_path *a, const struct fib_path *b)
{
	for (unsigned i = 0; i < MIN(a->n_hops, b->n_hops); i++)
		if (a->hop[i].reason != b->hop[i].reason)
			return true;
	return false;
}

static void put_in_place(struct fibctl *c, uint32_t i, struct fib_path *p)
{
	struct fc_path *cp = fc_path_at(c, i);
	struct fib_path *old = cp->pub;
	bool was_live = cp->live;

	settle(c, cp, p, (uint8_t *)&p->hop[p->n_hops]);
	cp->pub = p;
	__atomic_store_n(pub_slot(c, i), p, __ATOMIC_RELEASE);
	if (old && was_live != cp->live) {
		cp->dirty = 1;
		c->paths_dirty = true;
	}
	/* Flows that go by a path of several hops keep theirs while it lives; what changed
	 * otherwise (a verdict, the kernel's and ours) has to reach them. */
	if (old && (old->verdict != p->verdict || old->reason != p->reason ||
		    old->n_hops != p->n_hops || reasons_differ(old, p)))
		fc_touch_all(c);
	if (old)
		drop_adjs(c, old);
	fc_pub_free(c, old);
}

/* From its key, or from what its next hop object says now. */
static void recompile(struct fibctl *c, uint32_t i)
{
	struct fc_path *cp = fc_path_at(c, i);
	struct fib_path *old = cp->pub, *p;
	struct fib_hop hop[FIB_MAX_HOPS];
	uint8_t verdict = cp->verdict, reason = cp->reason, *bucket;
	unsigned n = old->n_hops;

	if (cp->nh_id)
		n = nexthop_hops(c, cp->nh_id, hop, &verdict, &reason);
	else
		memcpy(hop, old->hop, n * sizeof(hop[0]));
	/* Its adjacencies are held anew below. */
	p = path_alloc(c, n, &bucket);
	if (!p) {
		fc_limit(c, "memory for a path");
		return;
	}
	p->verdict = verdict;
	p->reason = reason;
	p->scope = old->scope;
	p->prefsrc = old->prefsrc;
	p->n_hops = (uint16_t)n;
	memcpy(p->hop, hop, n * sizeof(hop[0]));
	hold_adjs(c, p);
	put_in_place(c, i, p);
}

static void rehash(struct fibctl *c)
{
	uint32_t mask = c->path_hash_mask * 2 + 1;
	uint32_t *t = calloc(mask + 1, sizeof(*t));

	if (!t)
		return; /* chains grow, nothing else */
	for (uint32_t i = 1; i < c->n_path_ever; i++) {
		struct fc_path *cp = fc_path_at(c, i);

		if (!cp->refs)
			continue;
		cp->hnext = t[cp->hash & mask];
		t[cp->hash & mask] = i;
	}
	free(c->path_hash);
	c->path_hash = t;
	c->path_hash_mask = mask;
}

static uint32_t number_get(struct fibctl *c)
{
	uint32_t i = c->path_free, chunk = c->n_path_ever / FIB_PATH_CHUNK;

	if (i) {
		c->path_free = fc_path_at(c, i)->hnext;
		return i;
	}
	if (c->n_path_ever >= MAX_PATHS)
		return 0;
	if (!c->path[chunk]) {
		struct fib_path **pub = calloc(FIB_PATH_CHUNK, sizeof(*pub));

		c->path[chunk] = calloc(FIB_PATH_CHUNK, sizeof(*c->path[chunk]));
		if (!pub || !c->path[chunk]) {
			free(pub);
			free(c->path[chunk]);
			c->path[chunk] = NULL;
			return 0;
		}
		__atomic_store_n(&c->f.path[chunk], pub, __ATOMIC_RELEASE);
	}
	return c->n_path_ever++;
}

/* The path of a key, found or made, with a reference more. */
static uint32_t intern(struct fibctl *c, const struct fib_path *key, const struct fib_hop *hop,
		       uint8_t family, uint32_t nh_id)
{
	uint8_t *bucket;
	struct fib_path *p = path_alloc(c, key->n_hops, &bucket);
	struct fc_path *cp;
	uint64_t hash;
	uint32_t i;

	if (!p)
		return 0;
	*p = *key;
	if (key->n_hops)
		memcpy(p->hop, hop, key->n_hops * sizeof(*hop));
	hash = path_hash(p, family, nh_id);
	for (i = c->path_hash[hash & c->path_hash_mask]; i; i = fc_path_at(c, i)->hnext) {
		cp = fc_path_at(c, i);
		if (cp->hash == hash && path_same(cp, p, family, nh_id))
			break;
	}
	if (i) {
		fc_pub_free(c, p);
		fc_path_at(c, i)->refs++;
		return i;
	}
	i = number_get(c);
	if (!i) {
		fc_pub_free(c, p);
		return 0;
	}
	cp = fc_path_at(c, i);
	*cp = (struct fc_path){ .refs = 1,
				.nh_id = nh_id,
				.family = family,
				.verdict = key->verdict,
				.reason = key->reason,
				.hash = hash };
	hold_adjs(c, p);
	put_in_place(c, i, p);
	if (nh_id)
		recompile(c, i);
	cp->hnext = c->path_hash[hash & c->path_hash_mask];
	c->path_hash[hash & c->path_hash_mask] = i;
	if (++c->st.n_paths > c->path_hash_mask)
		rehash(c);
	return i;
}

uint32_t fc_path_kernel(struct fibctl *c, unsigned reason)
{
	struct fib_path key = { .verdict = FIB_V_KERNEL, .reason = (uint8_t)reason };

	return intern(c, &key, NULL, 0, 0);
}

static void verdict_of(const struct fib_msg_route *r, struct fib_path *key)
{
	static const uint8_t verdicts[] = {
		[RTN_UNICAST] = FIB_V_FORWARD,     [RTN_LOCAL] = FIB_V_LOCAL,
		[RTN_BROADCAST] = FIB_V_LOCAL,     [RTN_ANYCAST] = FIB_V_LOCAL,
		[RTN_BLACKHOLE] = FIB_V_BLACKHOLE, [RTN_UNREACHABLE] = FIB_V_UNREACHABLE,
		[RTN_PROHIBIT] = FIB_V_PROHIBIT,   [RTN_THROW] = FIB_V_THROW,
	};
	bool known = r->type < ARRAY_LEN(verdicts) && (verdicts[r->type] || r->type == RTN_UNICAST);

	key->verdict = known ? verdicts[r->type] : FIB_V_KERNEL;
	if (!known)
		key->reason = r->type == RTN_MULTICAST ? ELIG_SCOPE : ELIG_ROUTE_TYPE;
	/* Whether tables local and main are one to the kernel depends on its past; only where they
	 * cannot overlap in what they mean does it not matter. */
	else if (r->family == 2 && r->table == RT_TABLE_LOCAL && key->verdict != FIB_V_LOCAL)
		key->reason = ELIG_ROUTE_TYPE;
	else if (r->encap)
		key->reason = ELIG_ROUTE_ENCAP;
	else if (r->mtu)
		key->reason = ELIG_ROUTE_MTU;
	if (key->reason)
		key->verdict = FIB_V_KERNEL;
}

uint32_t fc_path_intern(struct fibctl *c, const struct fib_msg_route *r)
{
	struct fib_path key = { .scope = r->scope, .prefsrc = r->prefsrc };
	struct fib_hop hop[FIB_MAX_HOPS];
	uint32_t nh_id = r->nh_id;

	/* Next hops count even where none is used: they tell routes of one prefix apart. */
	verdict_of(r, &key);
	if (nh_id && key.verdict == FIB_V_FORWARD)
		return intern(c, &key, NULL, r->family, nh_id);
	key.n_hops = r->n_hops;
	for (unsigned i = 0; i < r->n_hops; i++)
		hop[i] = hop_of(&r->hop[i]);
	return intern(c, &key, hop, r->family, 0);
}

struct number_free {
	struct fib_defer defer;
	struct fibctl *c;
	uint32_t i;
};

static void number_free_done(struct fib_defer *d)
{
	struct number_free *nf = container_of(d, struct number_free, defer);
	struct fibctl *c = nf->c;

	fc_path_at(c, nf->i)->hnext = c->path_free;
	c->path_free = nf->i;
	free(nf);
}

/* Readers may have taken its number from an LPM just before: number and memory wait for them. */
void fc_path_unref(struct fibctl *c, uint32_t i)
{
	struct fc_path *cp = i ? fc_path_at(c, i) : NULL;
	struct number_free *nf;
	uint32_t *p;

	if (!cp || --cp->refs)
		return;
	p = &c->path_hash[cp->hash & c->path_hash_mask];
	while (*p != i)
		p = &fc_path_at(c, *p)->hnext;
	*p = cp->hnext;
	c->st.n_paths--;
	drop_adjs(c, cp->pub);
	fc_pub_free(c, cp->pub);
	cp->pub = NULL;
	nf = calloc(1, sizeof(*nf));
	if (!nf)
		return; /* a number lost */
	nf->c = c;
	nf->i = i;
	nf->defer.done = number_free_done;
	fc_defer(c, &nf->defer);
}

void fc_paths_link_changed(struct fibctl *c, uint32_t ifindex)
{
	for (uint32_t i = 1; i < c->n_path_ever; i++) {
		struct fc_path *cp = fc_path_at(c, i);

		if (cp->refs && cp->pub->n_hops && fc_path_uses(cp, ifindex))
			recompile(c, i);
	}
	fc_routes_scan(c);
}

void fc_paths_adj_changed(struct fibctl *c, uint32_t adj)
{
	if (!c->f.adj[adj].n_paths)
		return;
	for (uint32_t i = 1; i < c->n_path_ever; i++) {
		struct fc_path *cp = fc_path_at(c, i);
		bool names = false;

		if (!cp->refs || cp->pub->n_hops < 2)
			continue;
		for (unsigned h = 0; h < cp->pub->n_hops; h++)
			names |= cp->pub->hop[h].adj == adj;
		if (names)
			recompile(c, i);
	}
}

static void nexthop_changed(struct fibctl *c, uint32_t id)
{
	for (uint32_t i = 1; i < c->n_path_ever; i++) {
		struct fc_path *cp = fc_path_at(c, i);
		const struct fc_nexthop *n = cp->refs && cp->nh_id ? nexthop_find(c, cp->nh_id)
								   : NULL;
		bool names = cp->refs && cp->nh_id == id;

		for (unsigned g = 0; n && g < n->n_group; g++)
			names |= n->group[g].id == id;
		if (!names)
			continue;
		recompile(c, i);
		fc_touch_all(c);
	}
	fc_routes_scan(c);
}

/* Its routes go with it, those of IPv4 without a word. */
static void nexthop_del(struct fibctl *c, struct fc_nexthop *n)
{
	struct fc_nexthop **p = &c->nexthop[n->id % ARRAY_LEN(c->nexthop)];
	uint32_t id = n->id;
	bool any = false;

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
	free(n->group);
	free(n);
	c->st.n_nexthops--;
	for (uint32_t i = 1; i < c->n_path_ever; i++) {
		struct fc_path *cp = fc_path_at(c, i);

		cp->doomed = cp->refs && cp->nh_id == id;
		any |= cp->doomed;
	}
	nexthop_changed(c, id);
	if (any)
		fc_routes_doom(c);
}

void fc_nexthops_link_down(struct fibctl *c, uint32_t ifindex)
{
	for (unsigned i = 0; i < ARRAY_LEN(c->nexthop); i++) {
		struct fc_nexthop *n = c->nexthop[i], *next;

		for (; n; n = next) {
			next = n->next;
			if (n->hop.oif == ifindex && !n->n_group && !n->blackhole)
				nexthop_del(c, n);
		}
	}
	fc_nl_want(c, 1u << FC_D_NEXTHOP);
}

static struct fc_nexthop *nexthop_get(struct fibctl *c, uint32_t id)
{
	struct fc_nexthop *n = nexthop_find(c, id);

	if (n || c->st.n_nexthops >= FC_MAX_NEXTHOPS)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->id = id;
	n->next = c->nexthop[id % ARRAY_LEN(c->nexthop)];
	c->nexthop[id % ARRAY_LEN(c->nexthop)] = n;
	c->st.n_nexthops++;
	return n;
}

void fc_nexthop_apply(struct fibctl *c, const struct fib_msg *m, bool dump)
{
	const struct fib_msg_nexthop *in = &m->nexthop;
	struct fc_nexthop *n = nexthop_find(c, in->id);
	uint64_t key = fc_key(FIB_M_NEXTHOP, &in->id, sizeof(in->id));

	if (m->del) {
		if (fc_nl_dumping(c, FC_D_NEXTHOP))
			fc_tomb_add(c, key);
		if (n)
			nexthop_del(c, n);
		return;
	}
	if (dump && (fc_tomb_has(c, key) || (n && n->epoch == c->epoch)))
		return;
	n = nexthop_get(c, in->id);
	if (!n) {
		fc_limit(c, "next hop objects");
		return;
	}
	n->epoch = c->epoch;
	n->hop = in->hop;
	n->blackhole = in->blackhole;
	n->other = in->other;
	free(n->group);
	n->group = NULL;
	n->n_group = 0;
	if (in->n_group) {
		n->group = calloc(in->n_group, sizeof(n->group[0]));
		if (!n->group) {
			n->other = 1;
			fc_limit(c, "next hop objects");
		}
	}
	for (unsigned i = 0; n->group && i < in->n_group; i++) {
		n->group[i].id = in->group[i].id;
		n->group[i].weight = in->group[i].weight;
		n->n_group++;
	}
	nexthop_changed(c, in->id);
}

void fc_nexthops_swept(struct fibctl *c)
{
	for (unsigned i = 0; i < ARRAY_LEN(c->nexthop); i++) {
		struct fc_nexthop *n = c->nexthop[i], *next;

		for (; n; n = next) {
			next = n->next;
			if (n->epoch != c->epoch)
				nexthop_del(c, n);
		}
	}
}

void fc_nexthops_fini(struct fibctl *c)
{
	for (unsigned i = 0; i < ARRAY_LEN(c->nexthop); i++) {
		struct fc_nexthop *n = c->nexthop[i], *next;

		for (; n; n = next) {
			next = n->next;
			free(n->group);
			free(n);
		}
	}
}
