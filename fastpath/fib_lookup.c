/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way a packet takes: rules, tables, paths, hops. fib_priv.h draws it. */
#include "fib_priv.h"
#include "hash.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <string.h>

static inline uint32_t bucket_of(uint32_t hash)
{
	/* Flow hashes may be weak in any of their bits. */
	return (uint32_t)(hash * 2654435761u) >> 22;
}
_Static_assert(FIB_BUCKETS == 1u << (32 - 22), "bucket_of");

const struct fib_path *fib_path_get(const struct fib *f, uint32_t nh)
{
	uint32_t i = nh & FIB_NH_PATH_MASK;
	struct fib_path **chunk = __atomic_load_n(&f->path[i / FIB_PATH_CHUNK], __ATOMIC_ACQUIRE);

	return __atomic_load_n(&chunk[i % FIB_PATH_CHUNK], __ATOMIC_ACQUIRE);
}

uint32_t fib_adj_bucket(const struct fib *f, uint32_t oif, uint8_t nh_family,
			const union fib_ip *nh)
{
	uint64_t h = hash_mix64(nh->q[0] ^ f->adj_seed);

	h = hash_mix64(h ^ nh->q[1] ^ ((uint64_t)oif << 8 | nh_family));
	return (uint32_t)h & f->adj_hash_mask;
}

uint32_t fib_adj_find(const struct fib *f, uint32_t oif, uint8_t nh_family, const union fib_ip *nh)
{
	uint32_t i = fib_adj_bucket(f, oif, nh_family, nh);

	/* A chain may change under the reader: an entry that leaves keeps its link for a grace
	 * period, so the walk ends; it is as long as the table at most. */
	for (i = __atomic_load_n(&f->adj_hash[i], __ATOMIC_ACQUIRE); i;) {
		const struct fib_adj *a = &f->adj[i];

		if (a->oif == oif && a->nh_family == nh_family && fib_ip_eq(&a->nh, nh))
			return i;
		i = __atomic_load_n(&a->next, __ATOMIC_ACQUIRE);
	}
	return 0;
}

const struct fib_link_node *fib_link_node(const struct fib *f, uint32_t ifindex)
{
	const struct fib_link_node *n = __atomic_load_n(&f->link[ifindex % FIB_LINK_BUCKETS],
							__ATOMIC_ACQUIRE);

	while (n && n->l.ifindex != ifindex)
		n = __atomic_load_n(&n->next, __ATOMIC_ACQUIRE);
	return n;
}

const struct fib_link *fib_link(const struct fib *f, uint32_t ifindex)
{
	const struct fib_link_node *n = fib_link_node(f, ifindex);

	return n ? &n->l : NULL;
}

static bool prefix_match(const union fib_ip *a, const union fib_ip *p, unsigned len)
{
	unsigned i = 0;

	for (; len >= 32; len -= 32, i++)
		if (a->w_be[i] != p->w_be[i])
			return false;
	return !len || !((ntohl(a->w_be[i]) ^ ntohl(p->w_be[i])) >> (32 - len));
}

static bool port_match(uint16_t port, const uint16_t range[2])
{
	return !(range[0] | range[1]) || (port >= range[0] && port <= range[1]);
}

/* In a VRF the kernel may mean either. */
static bool iif_match(const struct fib_rule *r, const struct fib_key *k, uint32_t vrf)
{
	return !r->iif || r->iif == k->iif || (vrf && r->iif == vrf);
}

/* What cannot be tested may be so or not. Whether a packet of a VRF comes in by its member or by
 * the VRF depends on the kernel's version (5.18, 6.15). */
static bool is_vague(const struct fib_rule *r, uint32_t vrf)
{
	return r->unmodelled || (r->iif && vrf);
}

static bool selectors_match(const struct fib_rule *r, const struct fib_key *k, uint32_t vrf)
{
	return !r->never && iif_match(r, k, vrf) && !((r->mark ^ k->mark) & r->mark_mask) &&
	       prefix_match(&k->src, &r->src, r->src_len) &&
	       prefix_match(&k->dst, &r->dst, r->dst_len) && (!r->proto || r->proto == k->proto) &&
	       port_match(k->sport, r->sport) && port_match(k->dport, r->dport) &&
	       (r->action != FIB_RA_L3MDEV || vrf);
}

static uint32_t table_lookup(const struct fib_table *t, const struct fib_key *k)
{
	if (!t)
		return 0;
	return t->family == AF_INET ? lpm4_lookup(t->t4, ntohl(k->dst.v4_be))
				    : lpm6_lookup(t->t6, k->dst.b);
}

static const struct fib_table *vrf_table(const struct fib_rule *r, const struct fib_link *member)
{
	const struct fib_table *t = r->table;

	for (; t && t->id != member->vrf_table; t = __atomic_load_n(&t->next, __ATOMIC_ACQUIRE))
		;
	return t;
}

/* What a rule that matches says. NULL with *ret_verdict FIB_V_THROW: nothing. */
static const struct fib_path *rule_lookup(const struct fib *f, const struct fib_rule *r,
					  const struct fib_key *k, const struct fib_link *member,
					  uint8_t *ret_verdict, uint32_t *ret_nh)
{
	const struct fib_table *t = r->action == FIB_RA_L3MDEV ? vrf_table(r, member) : r->table;
	uint32_t nh = table_lookup(t, k);
	const struct fib_path *p = nh ? fib_path_get(f, nh) : NULL;

	*ret_verdict = FIB_V_THROW;
	if (!p || p->verdict == FIB_V_THROW)
		return NULL;
	/* A verdict is no result that could be suppressed (fib_rules_lookup). */
	if (r->suppress_default && (nh & FIB_NH_DEFAULT) &&
	    (p->verdict == FIB_V_FORWARD || p->verdict == FIB_V_LOCAL))
		return NULL;
	*ret_verdict = p->verdict;
	*ret_nh = nh;
	return p;
}

const struct fib_path *fib_walk_rules(const struct fib *f, const struct fib_key *k,
				      const struct fib_link *member, uint8_t *ret_verdict,
				      uint8_t *ret_reason, uint32_t *ret_nh)
{
	const struct fib_rules *rs = __atomic_load_n(&f->rules[fib_fam(k->family)],
						     __ATOMIC_ACQUIRE);
	uint32_t vrf = fib_link_vrf(member);
	const struct fib_path *p;

	*ret_reason = ELIG_OK;
	for (uint32_t i = 0; i < rs->n; i++) {
		const struct fib_rule *r = &rs->rule[i];

		/* Inverted, anything may match. */
		if (is_vague(r, vrf) ? !r->invert && !selectors_match(r, k, vrf)
				     : selectors_match(r, k, vrf) == !!r->invert)
			continue;
		if (is_vague(r, vrf)) {
			*ret_verdict = FIB_V_KERNEL;
			*ret_reason = ELIG_RULE;
			return NULL;
		}
		if (r->action == FIB_RA_VERDICT) {
			*ret_verdict = r->verdict;
			return NULL;
		}
		if (r->action == FIB_RA_GOTO)
			i = r->target - 1; /* ahead of here: it was checked when published */
		if (r->action != FIB_RA_LOOKUP && r->action != FIB_RA_L3MDEV)
			continue;
		p = rule_lookup(f, r, k, member, ret_verdict, ret_nh);
		if (p)
			return p;
	}
	*ret_verdict = FIB_V_NO_ROUTE;
	return NULL;
}

static void kernel_says(struct fib_res *r, unsigned reason)
{
	*r = (struct fib_res){ .verdict = FIB_V_KERNEL, .reason = (uint8_t)reason };
}

const struct fib_hop *fib_hop_of(const struct fib_path *p, const struct fib_key *k)
{
	return &p->hop[p->bucket ? p->bucket[bucket_of(k->hash)] : p->only];
}

void fib_take_hop(const struct fib *f, const struct fib_key *k, const struct fib_path *p,
		  uint32_t nh, struct fib_res *r)
{
	const struct fib_hop *h = fib_hop_of(p, k);

	if (unlikely(h->reason)) {
		kernel_says(r, h->reason);
		return;
	}
	*r = (struct fib_res){ .verdict = FIB_V_FORWARD, .oif = h->oif, .adj = h->adj };
	if (h->nh_family) {
		r->nh_family = h->nh_family;
		r->nh = h->nh;
	} else {
		r->flags |= FIB_RF_CONNECTED;
		r->nh_family = k->family;
		r->nh = k->dst;
		r->adj = fib_adj_find(f, h->oif, k->family, &k->dst);
	}
	if (h->oif == k->iif)
		r->flags |= FIB_RF_SAME_LINK;
	if (nh & FIB_NH_DEFAULT)
		r->flags |= FIB_RF_DEFAULT;
	r->adj_state = fib_adj_state(f, r->adj);
}

struct found {
	const struct fib_path *p;
	uint32_t nh;
};

/* verdict and reason are what the rules end with when they lead to no path. */
static void conclude(const struct fib *f, const struct fib_key *k, const struct fib_link *in,
		     const struct found *x, uint8_t verdict, uint8_t reason, struct fib_res *r)
{
	if (x->p && x->p->verdict == FIB_V_FORWARD)
		fib_take_hop(f, k, x->p, x->nh, r);
	else if (x->p)
		*r = (struct fib_res){ .verdict = x->p->verdict, .reason = x->p->reason };
	else
		*r = (struct fib_res){ .verdict = verdict, .reason = reason };
	/* Local delivery does not ask for forwarding; all else fails differently in the kernel. */
	if (r->verdict != FIB_V_LOCAL && !(k->family == AF_INET ? in->forward4 : in->forward6))
		kernel_says(r, ELIG_FORWARDING_OFF);
}

/* Destinations that the kernel treats by rules of their own before or beside its tables. */
static bool special_dst(const struct fib_key *k)
{
	const uint8_t *b = k->dst.b;

	if (k->family == AF_INET)
		return b[0] == 0 || b[0] == 127 || b[0] >= 224;
	return b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) ||
	       (!k->dst.q[0] && !k->dst.w_be[2]);
}

static bool xfrm_match(const struct fib_xfrm_sel *s, const struct fib_key *k)
{
	return (!s->family || s->family == k->family) && (!s->proto || s->proto == k->proto) &&
	       !((s->sport ^ k->sport) & s->sport_mask) &&
	       !((s->dport ^ k->dport) & s->dport_mask) &&
	       prefix_match(&k->src, &s->src, s->src_len) &&
	       prefix_match(&k->dst, &s->dst, s->dst_len);
}

bool fib_xfrm(const struct fib *f, const struct fib_key *k)
{
	const struct fib_xfrm *x = __atomic_load_n(&f->xfrm, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; x && i < x->n; i++)
		if (xfrm_match(&x->sel[i], k))
			return true;
	return x && x->all;
}

/* True when the packet is the kernel's before any table is asked. */
static bool refuse(const struct fib *f, const struct fib_key *k, const struct fib_link *in,
		   struct fib_res *r)
{
	if (unlikely(!__atomic_load_n(&f->ready, __ATOMIC_ACQUIRE)))
		kernel_says(r, ELIG_SYNCING);
	else if (unlikely(__atomic_load_n(&f->global_reason, __ATOMIC_ACQUIRE)))
		kernel_says(r, __atomic_load_n(&f->global_reason, __ATOMIC_ACQUIRE));
	else if (unlikely(!in))
		kernel_says(r, ELIG_NO_LINK);
	else if (unlikely(in->reason))
		kernel_says(r, in->reason);
	else if (unlikely(special_dst(k)))
		kernel_says(r, ELIG_SCOPE);
	else if (unlikely(fib_xfrm(f, k)))
		kernel_says(r, ELIG_XFRM);
	else
		return false;
	return true;
}

void fib_lookup(const struct fib *f, const struct fib_key *k, struct fib_res *ret)
{
	const struct fib_link *in = fib_link(f, k->iif);
	struct found x = { 0 };
	uint8_t verdict, reason;

	if (refuse(f, k, in, ret))
		return;
	x.p = fib_walk_rules(f, k, in, &verdict, &reason, &x.nh);
	conclude(f, k, in, &x, verdict, reason, ret);
}

/* The next hops of the packets in idx, in one table. */
static void burst_table(const struct fib_table *t, const struct fib_key *k, const uint8_t *idx,
			unsigned n, uint32_t *ret_nh)
{
	uint32_t a4[FIB_BURST];
	uint8_t a6[FIB_BURST][16];

	if (!t) {
		memset(ret_nh, 0, n * sizeof(*ret_nh));
	} else if (t->family == AF_INET) {
		for (unsigned i = 0; i < n; i++)
			a4[i] = ntohl(k[idx[i]].dst.v4_be);
		lpm4_lookup_batch(t->t4, a4, ret_nh, n);
	} else {
		for (unsigned i = 0; i < n; i++)
			memcpy(a6[i], k[idx[i]].dst.b, 16);
		lpm6_lookup_batch(t->t6, (const uint8_t(*)[16])a6, ret_nh, n);
	}
}

/* One rule after the other, for all packets that none before has answered. */
static void burst_rules(const struct fib *f, const struct fib_rules *rs, const struct fib_key *k,
			uint8_t *idx, unsigned n, struct found *found)
{
	uint32_t nh[FIB_BURST];

	for (uint32_t r = 0; r < rs->n && n; r++) {
		unsigned left = 0;

		burst_table(rs->rule[r].table, k, idx, n, nh);
		for (unsigned i = 0; i < n; i++) {
			const struct fib_path *p = nh[i] ? fib_path_get(f, nh[i]) : NULL;

			__builtin_prefetch(p);
			found[idx[i]] = (struct found){ p, nh[i] };
		}
		for (unsigned i = 0; i < n; i++) {
			struct found *x = &found[idx[i]];

			if (x->p && x->p->verdict != FIB_V_THROW)
				continue;
			x->p = NULL;
			idx[left++] = idx[i];
		}
		n = left;
	}
}

/* Lines that fib_take_hop will read. */
static void fetch_hop(const struct fib *f, const struct fib_key *k, const struct found *x)
{
	const struct fib_hop *h;

	if (!x->p || x->p->verdict != FIB_V_FORWARD)
		return;
	h = fib_hop_of(x->p, k);
	if (h->nh_family)
		__builtin_prefetch(&f->adj[h->adj]);
	else
		__builtin_prefetch(&f->adj_hash[fib_adj_bucket(f, h->oif, k->family, &k->dst)]);
}

void fib_lookup_burst(const struct fib *f, const struct fib_key *k, struct fib_res *ret, unsigned n)
{
	const struct fib_rules *rs;
	const struct fib_link *in[FIB_BURST];
	struct found found[FIB_BURST];
	uint8_t idx[FIB_BURST], left[FIB_BURST];
	unsigned live = 0;

	if (!n)
		return;
	rs = __atomic_load_n(&f->rules[fib_fam(k->family)], __ATOMIC_ACQUIRE);
	if (!rs || !rs->plain) {
		for (unsigned i = 0; i < n; i++)
			fib_lookup(f, &k[i], &ret[i]);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		in[i] = i && k[i].iif == k[i - 1].iif ? in[i - 1] : fib_link(f, k[i].iif);
		found[i].p = NULL;
		if (!refuse(f, &k[i], in[i], &ret[i]))
			idx[live++] = (uint8_t)i;
	}
	memcpy(left, idx, live);
	burst_rules(f, rs, k, left, live, found);
	for (unsigned i = 0; i < live; i++)
		fetch_hop(f, &k[idx[i]], &found[idx[i]]);
	for (unsigned i = 0; i < live; i++) {
		unsigned j = idx[i];

		conclude(f, &k[j], in[j], &found[j], FIB_V_NO_ROUTE, ELIG_OK, &ret[j]);
	}
}
