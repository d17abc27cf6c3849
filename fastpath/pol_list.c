/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Access lists: built of a blob's lines, asked for the first that matches. */
#include "pol_priv.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

/* Ranges that one line may be in the classifier: sources x destinations x ports. Lines of more are
 * asked by themselves, by bisection. */
#define MAX_BOXES 256

static struct fp_cls_addr cls_addr(uint8_t family, const uint8_t *a)
{
	struct fp_cls_addr r = { 0 };
	uint32_t v4;

	if (family == AF_INET) {
		memcpy(&v4, a, 4);
		r.lo = be32toh(v4);
		return r;
	}
	memcpy(&r.hi, a, 8);
	memcpy(&r.lo, a + 8, 8);
	r.hi = be64toh(r.hi);
	r.lo = be64toh(r.lo);
	return r;
}

/* --- building --- */

struct building {
	const struct pol_blob *b;
	uint8_t family;
	struct fp_cls_rule *v;
	size_t n, room;
};

static uint32_t times(uint32_t n)
{
	return n ? n : 1;
}

static uint64_t boxes_of(const struct pol_blob *b, const struct fastpol_rule *r)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < r->services.n; i++) {
		const struct fastpol_service *s = &b->services[r->services.first + i];

		n += (uint64_t)times(s->sport_n) * times(s->dport_n) *
		     (s->proto == FASTPOL_ANY && (s->sport_n || s->dport_n) ? 2 : 1);
	}
	return n * times(r->src.n) * times(r->dst.n);
}

static bool is_special(const struct pol_blob *b, const struct fastpol_rule *r)
{
	return r->asks || boxes_of(b, r) > MAX_BOXES;
}

static bool put(struct building *w, const struct fp_cls_rule *r)
{
	if (w->n == w->room) {
		size_t room = w->room ? 2 * w->room : 64;
		struct fp_cls_rule *v = realloc(w->v, room * sizeof(*v));

		if (!v)
			return false;
		w->v = v;
		w->room = room;
	}
	w->v[w->n++] = *r;
	return true;
}

/* All combinations of a service's ports, for one protocol. */
static bool put_ports(struct building *w, struct fp_cls_rule box, const struct fastpol_service *s)
{
	const struct fastpol_ports *v = w->b->ports;

	for (uint32_t i = 0; i < times(s->sport_n); i++) {
		if (s->sport_n) {
			box.sport_lo = v[s->sport_first + i].lo;
			box.sport_hi = v[s->sport_first + i].hi;
		}
		for (uint32_t k = 0; k < times(s->dport_n); k++) {
			if (s->dport_n) {
				box.dport_lo = v[s->dport_first + k].lo;
				box.dport_hi = v[s->dport_first + k].hi;
			}
			if (!put(w, &box))
				return false;
		}
	}
	return true;
}

static bool put_service(struct building *w, struct fp_cls_rule box, const struct fastpol_service *s)
{
	box.proto = s->proto;
	if (s->proto != FASTPOL_ANY || (!s->sport_n && !s->dport_n))
		return put_ports(w, box, s);
	box.proto = IPPROTO_TCP;
	if (!put_ports(w, box, s))
		return false;
	box.proto = IPPROTO_UDP;
	return put_ports(w, box, s);
}

static bool put_rule(struct building *w, const struct fastpol_rule *r, uint32_t id)
{
	struct fp_cls_rule box = fp_cls_rule_any(w->family, id);

	for (uint32_t i = 0; i < times(r->src.n); i++) {
		const struct fastpol_addrs *src = &w->b->addrs[r->src.first + i];

		if (r->src.n) {
			box.src_lo = cls_addr(w->family, src->lo);
			box.src_hi = cls_addr(w->family, src->hi);
		}
		for (uint32_t k = 0; k < times(r->dst.n); k++) {
			const struct fastpol_addrs *dst = &w->b->addrs[r->dst.first + k];

			if (r->dst.n) {
				box.dst_lo = cls_addr(w->family, dst->lo);
				box.dst_hi = cls_addr(w->family, dst->hi);
			}
			for (uint32_t s = 0; s < r->services.n; s++) {
				if (!put_service(w, box, &w->b->services[r->services.first + s]))
					return false;
			}
		}
	}
	return true;
}

static int build(const struct pol_blob *b, const struct fastpol_list *l, struct building *w,
		 struct pol_acl *a)
{
	const struct fastpol_rule *v = b->rules + l->rules.first;
	uint32_t n_special = 0;
	int err = 0;

	for (uint32_t i = 0; i < l->rules.n; i++)
		n_special += is_special(b, &v[i]);
	a->special = calloc(times(n_special), sizeof(*a->special));
	if (!a->special)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->rules.n && !err; i++) {
		if (is_special(b, &v[i]))
			a->special[a->n_special++] = i;
		else if (w->n > FP_CLS_MAX_RULES)
			err = -E2BIG;
		else if (!put_rule(w, &v[i], i))
			err = -ENOMEM;
	}
	return !err && w->n ? fp_cls_build(w->v, w->n, &a->cls) : err;
}

int pol_acl_new(const struct pol_blob *b, const struct fastpol_list *l, struct pol_acl **ret)
{
	struct building w = { .b = b, .family = l->family };
	struct pol_acl *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	a->refs = 1;
	err = build(b, l, &w, a);
	free(w.v);
	if (err)
		pol_acl_unref(a);
	else
		*ret = a;
	return err;
}

struct pol_acl *pol_acl_unref(struct pol_acl *a)
{
	if (!a || __atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL))
		return NULL;
	if (a->cls)
		fp_cls_free(a->cls);
	free(a->special);
	free(a);
	return NULL;
}

/* --- is it the same list? --- */

static bool same_addrs(const struct pol_blob *a, struct fastpol_span x, const struct pol_blob *b,
		       struct fastpol_span y)
{
	return x.n == y.n &&
	       !memcmp(a->addrs + x.first, b->addrs + y.first, x.n * sizeof(*a->addrs));
}

static bool same_ports(const struct pol_blob *a, uint32_t x, const struct pol_blob *b, uint32_t y,
		       uint32_t n)
{
	return !memcmp(a->ports + x, b->ports + y, n * sizeof(*a->ports));
}

static bool same_service(const struct pol_blob *a, const struct fastpol_service *x,
			 const struct pol_blob *b, const struct fastpol_service *y)
{
	return x->proto == y->proto && x->n_flags == y->n_flags &&
	       !memcmp(x->flags, y->flags, sizeof(x->flags)) && x->sport_n == y->sport_n &&
	       x->dport_n == y->dport_n &&
	       same_ports(a, x->sport_first, b, y->sport_first, x->sport_n) &&
	       same_ports(a, x->dport_first, b, y->dport_first, x->dport_n);
}

static bool same_rule(const struct pol_blob *a, const struct fastpol_rule *x,
		      const struct pol_blob *b, const struct fastpol_rule *y)
{
	if (!x->asks != !y->asks || x->services.n != y->services.n ||
	    !same_addrs(a, x->src, b, y->src) || !same_addrs(a, x->dst, b, y->dst))
		return false;
	for (uint32_t i = 0; i < x->services.n; i++) {
		if (!same_service(a, &a->services[x->services.first + i], b,
				  &b->services[y->services.first + i]))
			return false;
	}
	return true;
}

bool pol_acl_same(const struct pol_blob *a, const struct fastpol_list *x, const struct pol_blob *b,
		  const struct fastpol_list *y)
{
	if (x->family != y->family || x->rules.n != y->rules.n)
		return false;
	for (uint32_t i = 0; i < x->rules.n; i++) {
		if (!same_rule(a, &a->rules[x->rules.first + i], b, &b->rules[y->rules.first + i]))
			return false;
	}
	return true;
}

/* --- one line by itself --- */

static int addr_cmp(const void *key, const void *elem)
{
	const struct fastpol_addrs *r = elem;

	return memcmp(key, r->lo, 16) < 0 ? -1 : memcmp(key, r->hi, 16) > 0;
}

static bool addrs_have(const struct pol_blob *b, struct fastpol_span s, const uint8_t *a)
{
	return !s.n || bsearch(a, b->addrs + s.first, s.n, sizeof(*b->addrs), addr_cmp);
}

static int port_cmp(const void *key, const void *elem)
{
	const struct fastpol_ports *r = elem;
	uint16_t port = *(const uint16_t *)key;

	return port < r->lo ? -1 : port > r->hi;
}

static bool ports_have(const struct pol_blob *b, uint32_t first, uint32_t n, uint16_t port)
{
	return !n || bsearch(&port, b->ports + first, n, sizeof(*b->ports), port_cmp);
}

static bool flags_match(const struct fastpol_service *s, uint8_t flags)
{
	for (unsigned i = 0; i < s->n_flags; i++) {
		if ((flags & s->flags[i].mask) == s->flags[i].value)
			return true;
	}
	return !s->n_flags;
}

static bool service_match(const struct pol_at *at, const struct fastpol_service *s)
{
	const struct pol_blob *b = &at->p->b;

	if (s->proto != FASTPOL_ANY && s->proto != at->k->proto)
		return false;
	return ports_have(b, s->sport_first, s->sport_n, at->sport) &&
	       ports_have(b, s->dport_first, s->dport_n, at->dport) &&
	       (at->k->past || flags_match(s, at->k->tcp_flags));
}

static uint32_t asks_of(const struct fp_pol *p, uint32_t id)
{
	uint32_t lo = 0, hi = p->n_asks;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (p->asks[mid].id == id)
			return p->asks[mid].asks;
		if (p->asks[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

/* The line, or its class, admitted the flow and asked for the same then. */
static bool was_met(const struct pol_at *at, const struct fastpol_rule *r)
{
	const struct fp_pol_key *k = at->k;

	if (r->id != k->old_id[0] && r->id != k->old_id[2] &&
	    !(at->of_class && r->action == FASTPOL_PERMIT))
		return false;
	return !k->old || asks_of(k->old, r->id) == r->asks;
}

static bool header_match(const struct pol_at *at, const struct fastpol_rule *r)
{
	const struct fp_pol_key *k = at->k;

	return (!r->dscp || r->dscp >> (k->dscp & 63) & 1) && at->ttl >= r->ttl_lo &&
	       at->ttl <= r->ttl_hi && k->len >= r->len_lo && k->len <= r->len_hi;
}

static bool rule_match(const struct pol_at *at, const struct fastpol_rule *r)
{
	const struct pol_blob *b = &at->p->b;

	if (r->asks && !(at->k->past ? was_met(at, r) : header_match(at, r)))
		return false;
	if (!addrs_have(b, r->src, at->src) || !addrs_have(b, r->dst, at->dst))
		return false;
	for (uint32_t i = 0; i < r->services.n; i++) {
		if (service_match(at, &b->services[r->services.first + i]))
			return true;
	}
	return false;
}

/* --- a list --- */

void pol_at_key(struct pol_at *at)
{
	at->key = (struct fp_cls_key6){
		.src = cls_addr(at->k->family, at->src),
		.dst = cls_addr(at->k->family, at->dst),
		.ports = fp_cls_pair(at->sport, at->dport),
		.misc = fp_cls_misc(at->k->proto, at->k->tcp_flags, at->k->dscp & 63, FP_CLS_WHOLE),
	};
}

static uint32_t plain_match(const struct pol_at *at, const struct fp_cls *cls)
{
	const struct fp_cls_key6 *k = &at->key;
	uint32_t id = FP_CLS_NONE;

	if (!cls)
		return FASTPOL_NONE;
	if (at->k->family == AF_INET6)
		fp_cls_lookup6(cls, k, 1, &id);
	else
		fp_cls_lookup4(cls,
			       &(struct fp_cls_key4){ .src = (uint32_t)k->src.lo,
						      .dst = (uint32_t)k->dst.lo,
						      .ports = k->ports,
						      .misc = k->misc },
			       1, &id);
	return id == FP_CLS_NONE ? FASTPOL_NONE : id;
}

uint32_t pol_acl_match(const struct pol_at *at, uint32_t list)
{
	const struct pol_acl *a = at->p->acl[list];
	uint32_t first = at->p->b.lists[list].rules.first, plain = plain_match(at, a->cls);

	for (uint32_t i = 0; i < a->n_special && a->special[i] < plain; i++) {
		if (rule_match(at, &at->p->b.rules[first + a->special[i]]))
			return first + a->special[i];
	}
	return plain == FASTPOL_NONE ? plain : first + plain;
}

bool pol_acl_permits(const struct pol_at *at, uint32_t list)
{
	uint32_t r = pol_acl_match(at, list);

	return r != FASTPOL_NONE && at->p->b.rules[r].action == FASTPOL_PERMIT;
}
