/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines with the name that a TLS client asks for: docs/design/inspect.md. A connection waits at the
 * first line that matches all but the name. What decides it then must be the same for all that
 * waits there: each line behind it takes all of that, or nothing. */
#include "domain.h"
#include "firewall/policy_set.h"
#include "hash.h"
#include "inspect/tls_hello.h"

#include <netinet/in.h>
#include <string.h>

/* ---- one line against another ---- */

static bool addr_within(const struct pol_addr_range *r, const struct pol_addrs *wide)
{
	for (size_t i = 0; i < wide->n; i++) {
		if (rtr_addr_cmp(&wide->r[i].lo, &r->lo) <= 0 &&
		    rtr_addr_cmp(&r->hi, &wide->r[i].hi) <= 0)
			return true;
	}
	return false;
}

static bool addrs_cover(const struct pol_addrs *wide, const struct pol_addrs *a)
{
	if (!wide)
		return true;
	for (size_t i = 0; a && i < a->n; i++) {
		if (!addr_within(&a->r[i], wide))
			return false;
	}
	return a;
}

static bool addrs_meet(const struct pol_addrs *a, const struct pol_addrs *b)
{
	if (!a || !b)
		return true;
	for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
		if (rtr_addr_cmp(&a->r[i].hi, &b->r[k].lo) < 0)
			i++;
		else if (rtr_addr_cmp(&b->r[k].hi, &a->r[i].lo) < 0)
			k++;
		else
			return true;
	}
	return false;
}

static bool port_within(const struct pol_port_range *r, const struct pol_ports *wide)
{
	for (size_t i = 0; i < wide->n; i++) {
		if (wide->r[i].lo <= r->lo && r->hi <= wide->r[i].hi)
			return true;
	}
	return false;
}

static bool ports_cover(const struct pol_ports *wide, const struct pol_ports *p)
{
	if (!wide)
		return true;
	for (size_t i = 0; p && i < p->n; i++) {
		if (!port_within(&p->r[i], wide))
			return false;
	}
	return p;
}

static bool ports_meet(const struct pol_ports *a, const struct pol_ports *b)
{
	for (size_t i = 0; a && b && i < a->n; i++) {
		for (size_t k = 0; k < b->n; k++) {
			if (a->r[i].lo <= b->r[k].hi && b->r[k].lo <= a->r[i].hi)
				return true;
		}
	}
	return !a || !b;
}

/* s is of TCP. */
static bool service_covers(const struct pol_service *wide, const struct pol_service *s)
{
	return (wide->proto == POL_PROTO_ANY || wide->proto == IPPROTO_TCP) && !wide->n_flags &&
	       ports_cover(wide->sport, s->sport) && ports_cover(wide->dport, s->dport);
}

static bool services_cover(const struct pol_rule *wide, const struct pol_service *s)
{
	for (size_t i = 0; i < wide->n_services; i++) {
		if (service_covers(&wide->services[i], s))
			return true;
	}
	return false;
}

static bool covers(const struct pol_rule *wide, const struct pol_rule *r)
{
	for (size_t i = 0; i < r->n_services; i++) {
		if (!services_cover(wide, &r->services[i]))
			return false;
	}
	return addrs_cover(wide->src, r->src) && addrs_cover(wide->dst, r->dst) &&
	       (!wide->dscp || (r->dscp && !(r->dscp & ~wide->dscp))) &&
	       wide->ttl_lo <= r->ttl_lo && r->ttl_hi <= wide->ttl_hi &&
	       wide->len_lo <= r->len_lo && r->len_hi <= wide->len_hi;
}

static bool services_meet(const struct pol_rule *a, const struct pol_rule *b)
{
	for (size_t i = 0; i < a->n_services; i++) {
		const struct pol_service *s = &a->services[i];

		if (s->proto != POL_PROTO_ANY && s->proto != IPPROTO_TCP)
			continue;
		for (size_t k = 0; k < b->n_services; k++) {
			const struct pol_service *t = &b->services[k];

			if (ports_meet(s->sport, t->sport) && ports_meet(s->dport, t->dport))
				return true;
		}
	}
	return false;
}

/* Some connection that waits at r could match `by`. The state of all of them is new. */
static bool meets(const struct pol_rule *by, const struct pol_rule *r)
{
	return by->active && !by->fragments && (!by->states || by->states >> POL_NEW & 1) &&
	       (!by->dscp || !r->dscp || by->dscp & r->dscp) && by->ttl_lo <= r->ttl_hi &&
	       r->ttl_lo <= by->ttl_hi && by->len_lo <= r->len_hi && r->len_lo <= by->len_hi &&
	       addrs_meet(by->src, r->src) && addrs_meet(by->dst, r->dst) && services_meet(by, r);
}

/* ---- chains ---- */

/* Nothing waits at a line behind one with a name that takes all of it. */
static bool waits_before(const struct pol_list *l, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (l->rules[i]->tls_name && l->rules[i]->active &&
		    covers(l->rules[i], l->rules[at]))
			return true;
	}
	return false;
}

static bool is_head(const struct pol_list *l, size_t at)
{
	const struct pol_rule *r = l->rules[at];

	return r->tls_name && r->active && !waits_before(l, at);
}

static void chain(const struct pol_list *l, size_t at,
		  void (*fn)(void *arg, pol_id chain, const struct pol_rule *r), void *arg)
{
	for (size_t i = at; i < l->n; i++) {
		const struct pol_rule *r = l->rules[i];

		if (i != at && !meets(r, l->rules[at]))
			continue;
		fn(arg, l->rules[at]->id, r);
		if (!r->tls_name)
			return;
	}
	fn(arg, l->rules[at]->id, NULL);
}

static bool is_used(const struct policy *p, const struct pol_list *l)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		const struct pol_iface *f = &p->ifaces[i];

		if (f->in4 == l || f->in6 == l || f->out4 == l || f->out6 == l)
			return true;
	}
	return false;
}

void pol_tls_chains(const struct policy *p,
		    void (*fn)(void *arg, pol_id chain, const struct pol_rule *r), void *arg)
{
	for (size_t i = 0; i < p->n_lists; i++) {
		const struct pol_list *l = p->lists[i];

		if (!is_used(p, l))
			continue;
		for (size_t k = 0; k < l->n; k++) {
			if (is_head(l, k))
				chain(l, k, fn, arg);
		}
	}
}

static void count(void *arg, pol_id id, const struct pol_rule *r)
{
	(*(size_t *)arg)++;
}

bool pol_tls_used(const struct policy *p)
{
	size_t n = 0;

	pol_tls_chains(p, count, &n);
	return n;
}

struct digest {
	pol_id chain;
	uint64_t h;
};

static void add_digest(void *arg, pol_id chain, const struct pol_rule *r)
{
	struct digest *d = arg;
	const char *name = r && r->tls_name ? r->tls_name : "";
	uint32_t v[2] = { r ? r->id : 0, r ? (uint32_t)r->action : POL_DENY };

	if (chain != d->chain)
		return;
	d->h = hash_bytes(v, sizeof(v), (uint32_t)(d->h ^ d->h >> 32));
	d->h = hash_bytes(name, strlen(name), (uint32_t)(d->h ^ d->h >> 32));
}

bool pol_tls_same(const struct policy *a, const struct policy *b, pol_id chain)
{
	struct digest x = { .chain = chain }, y = x;

	pol_tls_chains(a, add_digest, &x);
	pol_tls_chains(b, add_digest, &y);
	return x.h == y.h;
}

/* ---- what cannot be exact ---- */

static bool is_tcp(const struct pol_rule *r)
{
	for (size_t i = 0; i < r->n_services; i++) {
		if (r->services[i].proto != IPPROTO_TCP || r->services[i].n_flags)
			return false;
	}
	return !r->states || r->states >> POL_NEW & 1;
}

static void check_line(const struct pol_list *l, size_t at, struct check *c)
{
	const struct pol_rule *r = l->rules[at];

	if (!is_tcp(r)) {
		check_error(c, r->rec,
			    "a server name needs the protocol tcp, new connections, no flags");
		return;
	}
	for (size_t i = at + 1; i < l->n; i++) {
		const struct pol_rule *by = l->rules[i];

		if (!meets(by, r))
			continue;
		if (!covers(by, r)) {
			check_error(c, r->rec,
				    "line %u takes a part of what this line waits for: "
				    "make it all of it, or nothing, or put it before",
				    by->seq);
			return;
		}
		if (by->limit.rate || by->limit.conns || by->helper) {
			check_error(c, r->rec,
				    "line %u, where connections with other names end, has a limit "
				    "or a helper: that is for first packets",
				    by->seq);
			return;
		}
		if (!by->tls_name)
			return;
	}
}

static bool has_names(const struct pol_list *l)
{
	for (size_t i = 0; l && i < l->n; i++) {
		if (l->rules[i]->tls_name)
			return true;
	}
	return false;
}

static void check_class(const struct pol_class *k, struct check *c)
{
	for (size_t i = 0; i < k->n_matches; i++) {
		if (has_names(k->matches[i].list4) || has_names(k->matches[i].list6))
			check_error(c, k->rec,
				    "a class cannot go by server names: they are for access lists "
				    "of interfaces");
	}
}

void pol_tls_check(const struct policy *p, struct check *c)
{
	for (size_t i = 0; i < p->n_lists; i++) {
		const struct pol_list *l = p->lists[i];

		for (size_t k = 0; k < l->n; k++) {
			if (l->rules[k]->tls_name)
				check_line(l, k, c);
		}
	}
	for (size_t i = 0; i < p->n_pairs; i++) {
		for (size_t k = 0; k < p->pairs[i].n_classes; k++)
			check_class(&p->pairs[i].classes[k], c);
	}
}
