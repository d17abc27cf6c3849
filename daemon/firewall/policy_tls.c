/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines with the name that a TLS client asks for: docs/design/inspect.md. A connection waits at the
 * first line that matches all but the name. What decides it then must be the same for all that
 * waits there: each line behind it takes all of that, or nothing. */
#include "domain.h"
#include "firewall/policy_impl.h"
#include "hash.h"
#include "inspect/tls_hello.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
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

typedef void (*tls_fn)(void *arg, const struct pol_tls_line *l);

static void chain(const struct pol_list *l, size_t at, tls_fn fn, void *arg)
{
	pol_id id = l->rules[at]->id;

	for (size_t i = at; i < l->n; i++) {
		const struct pol_rule *r = l->rules[i];

		if (i != at && !meets(r, l->rules[at]))
			continue;
		fn(arg, &(struct pol_tls_line){ id, r, NULL });
		if (!r->tls_name)
			return;
	}
	fn(arg, &(struct pol_tls_line){ id, NULL, NULL });
}

/* ---- zone pairs ---- */

/* A line of a class, by its place. */
struct at {
	size_t cls, match, line;
};

static const struct pol_list *list_at(const struct pol_pair *p, const struct at *at, uint8_t family)
{
	const struct pol_match *m = &p->classes[at->cls].matches[at->match];

	return family == AF_INET6 ? m->list6 : m->list4;
}

pol_id pol_tls_class_chain(const struct pol_class *c, const struct pol_rule *r)
{
	char what[24];

	snprintf(what, sizeof(what), "wait %08x", c->id);
	return pol_id_of(what, r->family, r->id, 0);
}

/* What a walk from a line with a server name on meets. */
struct walk {
	const struct pol_rule *head;
	/* The line decides for its class; a line that denies only ends its list. */
	void (*line)(void *arg, const struct pol_class *c, const struct pol_rule *r);
	/* Everything that is left belongs to class-default. */
	void (*all)(void *arg, const struct pol_class *c);
	void (*end)(void *arg);
	/* NULL, or: a match-all class that it might be of. */
	void (*both)(void *arg, const struct pol_class *c);
	void *arg;
};

static bool list_meets(const struct pol_list *l, const struct pol_rule *head)
{
	for (size_t i = 0; l && i < l->n; i++) {
		if (meets(l->rules[i], head))
			return true;
	}
	return false;
}

static bool may_be_of_all(const struct pol_class *c, const struct pol_rule *head)
{
	for (size_t i = 0; i < c->n_matches; i++) {
		if (!list_meets(head->family == AF_INET6 ? c->matches[i].list6
							 : c->matches[i].list4,
				head))
			return false;
	}
	return true;
}

/* One list from a line on. True: a line without a name has decided. */
static bool walk_list(const struct walk *w, const struct pol_class *c, const struct pol_list *l,
		      size_t from)
{
	for (size_t i = from; l && i < l->n; i++) {
		const struct pol_rule *r = l->rules[i];

		if (r != w->head && !meets(r, w->head))
			continue;
		w->line(w->arg, c, r);
		if (!r->tls_name)
			return r->action == POL_PERMIT;
	}
	return false;
}

static void walk_pair(const struct pol_pair *p, struct at at, const struct walk *w)
{
	for (; at.cls < p->n_classes; at.cls++, at.match = 0) {
		const struct pol_class *c = &p->classes[at.cls];

		if (!c->n_matches) {
			w->all(w->arg, c);
			return;
		}
		if (c->match_all) {
			if (w->both && may_be_of_all(c, w->head))
				w->both(w->arg, c);
			continue;
		}
		for (; at.match < c->n_matches; at.match++, at.line = 0) {
			if (walk_list(w, c, list_at(p, &at, w->head->family), at.line))
				return;
		}
	}
	w->end(w->arg);
}

static bool is_name(const struct pol_rule *r)
{
	return r->tls_name && r->active;
}

/* All that matches r, if it comes to this list, waits at one of its first lines. What a line denies
 * before that goes on behind the list. */
static bool list_waits_for(const struct pol_list *l, size_t to, const struct pol_rule *r,
			   bool behind)
{
	for (size_t i = 0; l && i < to; i++) {
		if (is_name(l->rules[i]) && covers(l->rules[i], r))
			return true;
		if (behind && l->rules[i]->action != POL_PERMIT && meets(l->rules[i], r))
			return false;
	}
	return false;
}

/* Nothing waits at a line behind one with a name, of this class or one before, that takes all of
 * it. */
static bool waits_at(const struct pol_pair *p, const struct at *at, const struct pol_rule *r)
{
	if (list_waits_for(list_at(p, at, r->family), at->line, r, false))
		return false;
	for (struct at b = { 0 }; b.cls <= at->cls; b.cls++) {
		size_t n = b.cls < at->cls ? p->classes[b.cls].n_matches : at->match;

		for (b.match = 0; b.match < n; b.match++) {
			const struct pol_list *l = list_at(p, &b, r->family);

			if (!p->classes[b.cls].match_all &&
			    list_waits_for(l, l ? l->n : 0, r, true))
				return false;
		}
	}
	return true;
}

/* Each line with a server name in the classes of a pair that connections wait at. */
static void each_wait(const struct pol_pair *p,
		      void (*fn)(void *arg, const struct pol_pair *p, const struct at *at,
				 const struct pol_rule *r),
		      void *arg)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };

	for (struct at at = { 0 }; at.cls < p->n_classes; at.cls++) {
		for (at.match = 0; at.match < p->classes[at.cls].n_matches; at.match++) {
			for (size_t f = 0; f < ARRAY_LEN(families); f++) {
				const struct pol_list *l = list_at(p, &at, families[f]);

				for (at.line = 0; l && at.line < l->n; at.line++) {
					if (is_name(l->rules[at.line]) &&
					    waits_at(p, &at, l->rules[at.line]))
						fn(arg, p, &at, l->rules[at.line]);
				}
			}
		}
	}
}

struct teller {
	tls_fn fn;
	void *arg;
	pol_id chain;
};

static void tell_line(void *arg, const struct pol_class *c, const struct pol_rule *r)
{
	const struct teller *t = arg;

	/* A line that denies says "not of this list" of all that waits (check_class_line). */
	if (r->action == POL_PERMIT)
		t->fn(t->arg, &(struct pol_tls_line){ t->chain, r, c });
}

static void tell_all(void *arg, const struct pol_class *c)
{
	const struct teller *t = arg;

	t->fn(t->arg, &(struct pol_tls_line){ t->chain, NULL, c });
}

static void tell_end(void *arg)
{
	const struct teller *t = arg;

	t->fn(t->arg, &(struct pol_tls_line){ t->chain, NULL, NULL });
}

static void tell_wait(void *arg, const struct pol_pair *p, const struct at *at,
		      const struct pol_rule *r)
{
	struct teller *t = arg;

	t->chain = pol_tls_class_chain(&p->classes[at->cls], r);
	walk_pair(
		p, *at,
		&(struct walk){
			.head = r, .line = tell_line, .all = tell_all, .end = tell_end, .arg = t });
}

/* ---- all ---- */

static bool is_used(const struct policy *p, const struct pol_list *l)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		const struct pol_iface *f = &p->ifaces[i];

		if (f->in4 == l || f->in6 == l || f->out4 == l || f->out6 == l)
			return true;
	}
	return false;
}

void pol_tls_chains(const struct policy *p, void (*fn)(void *arg, const struct pol_tls_line *l),
		    void *arg)
{
	struct teller t = { .fn = fn, .arg = arg };

	for (size_t i = 0; i < p->n_pairs; i++)
		each_wait(&p->pairs[i], tell_wait, &t);
	for (size_t i = 0; i < p->n_lists; i++) {
		const struct pol_list *l = p->lists[i];

		if (l->no_names || !is_used(p, l))
			continue;
		for (size_t k = 0; k < l->n; k++) {
			if (is_head(l, k))
				chain(l, k, fn, arg);
		}
	}
}

static void count(void *arg, const struct pol_tls_line *l)
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

static void add_digest(void *arg, const struct pol_tls_line *l)
{
	const struct pol_rule *r = l->rule;
	struct digest *d = arg;
	const char *name = r && r->tls_name ? r->tls_name : "";
	uint32_t v[4] = { r ? r->id : 0, r ? (uint32_t)r->action : POL_DENY,
			  l->cls ? l->cls->id : 0, l->cls ? (uint32_t)l->cls->action : POL_DENY };

	if (l->chain != d->chain)
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

/* ---- in classes ---- */

struct complain {
	struct check *c;
	const struct pol_rule *head;
	bool done; /* one sentence a line */
};

RTR_PRINTF(2, 3) static void complain(struct complain *x, const char *fmt, ...)
{
	struct strbuf b = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&b, fmt, ap);
	va_end(ap);
	if (!x->done)
		check_error(x->c, x->head->rec, "%s", strbuf_str(&b));
	x->done = true;
	strbuf_fini(&b);
}

/* Classes keep or end a connection; one whose answers are judged by themselves has none. */
static void check_action(struct complain *x, const struct pol_class *k)
{
	if (k->action == POL_PASS)
		complain(x,
			 "class %s, where connections with other names end, says pass: it is to "
			 "inspect, drop or reject",
			 k->name);
}

static void check_class_line(void *arg, const struct pol_class *k, const struct pol_rule *r)
{
	struct complain *x = arg;

	if (r->tls_name && r->action != POL_PERMIT)
		complain(x, "in a class a line with a server name permits: line %u of class %s",
			 r->seq, k->name);
	if (r != x->head && !covers(r, x->head))
		complain(
			x,
			"line %u of class %s takes a part of what this line waits for: make it all "
			"of it, or nothing, or put it before",
			r->seq, k->name);
	if (r->limit.rate || r->limit.conns || r->helper)
		complain(x,
			 "line %u of class %s has a limit or a helper: that is for first packets",
			 r->seq, k->name);
	if (r->action == POL_PERMIT)
		check_action(x, k);
}

static void check_class_all(void *arg, const struct pol_class *k)
{
	check_action(arg, k);
}

static void check_class_end(void *arg)
{
}

static void check_class_both(void *arg, const struct pol_class *k)
{
	complain(arg,
		 "class %s is match-all, and may be asked after this line: server names need "
		 "match-any",
		 k->name);
}

static void check_wait(void *arg, const struct pol_pair *p, const struct at *at,
		       const struct pol_rule *r)
{
	struct complain x = { .c = arg, .head = r };

	if (p->from == POL_ZONE_SELF || p->to == POL_ZONE_SELF)
		complain(&x,
			 "server names are read from what passes through the box, and zone pair "
			 "%s is of the box itself",
			 p->name);
	if (p->classes[at->cls].match_all)
		complain(&x, "class %s is match-all: server names need match-any",
			 p->classes[at->cls].name);
	walk_pair(p, *at,
		  &(struct walk){ .head = r,
				  .line = check_class_line,
				  .all = check_class_all,
				  .end = check_class_end,
				  .both = check_class_both,
				  .arg = &x });
}

void pol_tls_check(const struct policy *p, struct check *c)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_lists; i++) {
		const struct pol_list *l = p->lists[i];

		for (size_t k = 0; k < l->n; k++) {
			if (l->rules[k]->tls_name)
				check_line(l, k, c);
		}
	}
	for (size_t i = 0; i < p->n_pairs; i++)
		each_wait(&p->pairs[i], check_wait, c);
	pol_tls_chains(p, count, &n);
	if (n > INSPECTD_LINES_MAX)
		check_error(
			c, NULL,
			"server names: connections may wait for %zu lines, counted for each line "
			"that they wait at; %d are the most",
			n, INSPECTD_LINES_MAX);
}
