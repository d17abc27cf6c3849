/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_box.h"

#include <stdlib.h>
#include <string.h>

/* Shorter prefixes than this are not specific: 1/256 of the space. */
#define SPECIFIC_BITS 8

struct boxes {
	size_t n, room;
	struct lb_box *v;
};

static void push(struct boxes *b, const struct lb_box *x)
{
	if (b->n == b->room) {
		b->room = MAX(b->room * 2, (size_t)64);
		b->v = xrealloc(b->v, b->room * sizeof(*b->v));
	}
	b->v[b->n++] = *x;
}

lb_addr lb_addr_of(const struct rtr_addr *a)
{
	lb_addr n = 0;

	for (unsigned i = 0; i < rtr_family_size(a->family); i++)
		n = n << 8 | a->b[i];
	return n;
}

static lb_addr addr_max(uint8_t family)
{
	return family == AF_INET6 ? ~(lb_addr)0 : UINT32_MAX;
}

enum lb_class lb_class_of(uint8_t family, uint8_t proto)
{
	if (proto == IPPROTO_TCP)
		return LB_TCP;
	if (proto == IPPROTO_UDP)
		return LB_UDP;
	return proto == (family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ? LB_ICMP : LB_OTHER;
}

bool lb_is_void(const struct pol_rule *r)
{
	bool short6 = r->family == AF_INET6 && r->len_hi < 40; /* shorter than the header */

	return !r->active || r->fragments || short6;
}

static bool service_is_plain(const struct pol_rule *r, const struct pol_service *s)
{
	bool ports = s->sport || s->dport;

	if (s->n_flags)
		return false;
	if (s->has_icmp_type)
		return lb_class_of(r->family, (uint8_t)s->proto) == LB_ICMP;
	return !ports || s->proto == IPPROTO_TCP || s->proto == IPPROTO_UDP;
}

bool lb_is_plain(const struct pol_rule *r)
{
	size_t n = (r->src ? r->src->n : 1) * (r->dst ? r->dst->n : 1), services = 0;

	if (r->dscp || r->ttl_lo != 0 || r->ttl_hi != UINT8_MAX || r->len_lo != 0 ||
	    r->len_hi != UINT16_MAX || r->states || r->tls_name || r->limit.rate || r->limit.conns)
		return false;
	for (size_t i = 0; i < r->n_services; i++) {
		const struct pol_service *s = &r->services[i];

		if (!service_is_plain(r, s))
			return false;
		services += (s->sport ? s->sport->n : 1) * (s->dport ? s->dport->n : 1);
	}
	return n <= LB_MAX_OF_LINE && n * services <= LB_MAX_OF_LINE;
}

/* ---- lines to boxes ---- */

static bool service_in_class(const struct pol_rule *r, const struct pol_service *s,
			     enum lb_class class)
{
	return s->proto == POL_PROTO_ANY || lb_class_of(r->family, (uint8_t)s->proto) == class;
}

static const struct pol_port_range all_ports = { 0, UINT16_MAX };

static void push_ports(struct boxes *out, struct lb_box *x, const struct pol_service *s,
		       enum lb_class class)
{
	bool tuple = class == LB_TCP || class == LB_UDP;
	size_t ns = tuple && s->sport ? s->sport->n : 1, nd = tuple && s->dport ? s->dport->n : 1;

	for (size_t i = 0; i < ns; i++) {
		for (size_t k = 0; k < nd; k++) {
			const struct pol_port_range *sp = tuple && s->sport ? &s->sport->r[i]
									    : &all_ports;
			const struct pol_port_range *dp = tuple && s->dport ? &s->dport->r[k]
									    : &all_ports;

			x->plo[0] = sp->lo, x->phi[0] = sp->hi;
			x->plo[1] = dp->lo, x->phi[1] = dp->hi;
			if (class == LB_ICMP && s->has_icmp_type) {
				x->plo[0] = (uint16_t)(s->icmp_type << 8 |
						       (s->has_icmp_code ? s->icmp_code : 0));
				x->phi[0] = (uint16_t)(s->icmp_type << 8 |
						       (s->has_icmp_code ? s->icmp_code : 0xff));
			} else if (class == LB_OTHER && s->proto != POL_PROTO_ANY) {
				x->plo[0] = x->phi[0] = s->proto;
			}
			push(out, x);
		}
	}
}

static enum lb_table table_of(const struct lb_box *x, uint8_t family)
{
	lb_addr specific = addr_max(family) >> SPECIFIC_BITS;

	if (x->hi[LB_DST] - x->lo[LB_DST] <= specific)
		return LB_A;
	return x->hi[LB_SRC] - x->lo[LB_SRC] <= specific ? LB_B : LB_C;
}

static void box_range(struct lb_box *x, enum lb_field f, const struct pol_addrs *set, size_t i,
		      uint8_t family)
{
	x->lo[f] = set ? lb_addr_of(&set->r[i].lo) : 0;
	x->hi[f] = set ? lb_addr_of(&set->r[i].hi) : addr_max(family);
}

static void line_boxes(const struct pol_rule *r, uint32_t rule, uint32_t rank, enum lb_class class,
		       struct boxes out[LB_TABLES])
{
	struct boxes all = { 0 };
	struct lb_box x = { .rule = rule, .rank = rank };

	for (size_t d = 0; d < (r->dst ? r->dst->n : 1); d++) {
		box_range(&x, LB_DST, r->dst, d, r->family);
		for (size_t s = 0; s < (r->src ? r->src->n : 1); s++) {
			box_range(&x, LB_SRC, r->src, s, r->family);
			for (size_t i = 0; i < r->n_services; i++)
				if (service_in_class(r, &r->services[i], class))
					push_ports(&all, &x, &r->services[i], class);
		}
	}
	for (size_t i = 0; i < all.n; i++)
		push(&out[table_of(&all.v[i], r->family)], &all.v[i]);
	free(all.v);
}

/* ---- overlaps: boxes sorted by one address, with the highest end below each ---- */

struct span {
	lb_addr lo, hi;
	lb_addr top; /* highest hi in the half-open part of the array whose middle this is */
	size_t box;
};

struct index {
	size_t n;
	enum lb_field field;
	struct span *v;
};

static int span_cmp(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return x->box < y->box ? -1 : x->box > y->box;
}

static lb_addr index_tops(struct span *v, size_t lo, size_t hi)
{
	size_t mid = lo + (hi - lo) / 2;
	lb_addr top, t;

	if (lo == hi)
		return 0;
	top = v[mid].hi;
	t = index_tops(v, lo, mid);
	top = MAX(top, t);
	t = index_tops(v, mid + 1, hi);
	top = MAX(top, t);
	return v[mid].top = top;
}

static size_t distinct(const struct span *v, size_t n)
{
	size_t d = n > 0;

	for (size_t i = 1; i < n; i++)
		d += v[i].lo != v[i - 1].lo;
	return d;
}

/* By the address that tells more of them apart. */
static struct index index_build(const struct boxes *b)
{
	struct index ix = { .n = b->n };
	size_t best = 0;

	for (int f = LB_DST; f <= LB_SRC; f++) {
		struct span *v = xcalloc(b->n + 1, sizeof(*v));
		size_t d;

		for (size_t i = 0; i < b->n; i++)
			v[i] = (struct span){ b->v[i].lo[f], b->v[i].hi[f], 0, i };
		qsort(v, b->n, sizeof(*v), span_cmp);
		d = distinct(v, b->n);
		if (!ix.v || d > best) {
			free(ix.v);
			ix.v = v;
			ix.field = f;
			best = d;
		} else {
			free(v);
		}
	}
	index_tops(ix.v, 0, ix.n);
	return ix;
}

static bool overlap(const struct lb_box *a, const struct lb_box *b)
{
	for (int f = 0; f < 2; f++)
		if (a->lo[f] > b->hi[f] || b->lo[f] > a->hi[f] || a->plo[f] > b->phi[f] ||
		    b->plo[f] > a->phi[f])
			return false;
	return true;
}

struct found {
	size_t n, room, *v;
};

/* Boxes before `i` that overlap it. */
static void index_find(const struct index *ix, const struct boxes *b, size_t i, size_t lo,
		       size_t hi, struct found *ret)
{
	const struct lb_box *x = &b->v[i];
	size_t mid = lo + (hi - lo) / 2;

	if (lo == hi || ix->v[mid].top < x->lo[ix->field])
		return;
	index_find(ix, b, i, lo, mid, ret);
	if (ix->v[mid].lo > x->hi[ix->field])
		return;
	if (ix->v[mid].box < i && overlap(&b->v[ix->v[mid].box], x)) {
		if (ret->n == ret->room) {
			ret->room = MAX(ret->room * 2, (size_t)64);
			ret->v = xrealloc(ret->v, ret->room * sizeof(*ret->v));
		}
		ret->v[ret->n++] = ix->v[mid].box;
	}
	index_find(ix, b, i, mid + 1, hi, ret);
}

/* ---- cutting ---- */

static void cut_ports(struct boxes *out, struct lb_box *z, const struct lb_box *y)
{
	for (int f = 0; f < 2; f++) {
		if (z->plo[f] < y->plo[f]) {
			struct lb_box w = *z;

			w.phi[f] = (uint16_t)(y->plo[f] - 1);
			z->plo[f] = y->plo[f];
			push(out, &w);
		}
		if (z->phi[f] > y->phi[f]) {
			struct lb_box w = *z;

			w.plo[f] = (uint16_t)(y->phi[f] + 1);
			z->phi[f] = y->phi[f];
			push(out, &w);
		}
	}
}

/* What of z is not in y: up to two boxes a field. Ports first: a line for all ports under one for
 * a single port is the most frequent case, and leaves the addresses as they were written. */
static void cut(struct boxes *out, struct lb_box z, const struct lb_box *y)
{
	cut_ports(out, &z, y);
	for (int f = 0; f < 2; f++) {
		if (z.lo[f] < y->lo[f]) {
			struct lb_box w = z;

			w.hi[f] = y->lo[f] - 1;
			z.lo[f] = y->lo[f];
			push(out, &w);
		}
		if (z.hi[f] > y->hi[f]) {
			struct lb_box w = z;

			w.lo[f] = y->hi[f] + 1;
			z.hi[f] = y->hi[f];
			push(out, &w);
		}
	}
}

static int size_cmp(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

/* Takes what earlier boxes cover off the later ones. False: too many pieces. */
static bool disjoint(const struct boxes *in, struct boxes *out)
{
	struct index ix = index_build(in);
	struct boxes cur = { 0 }, next = { 0 };
	struct found f = { 0 };
	size_t max = in->n * LB_MAX_PER_LINE + LB_MAX_SPARE;
	bool fits = true;

	for (size_t i = 0; i < in->n && fits; i++) {
		f.n = 0;
		index_find(&ix, in, i, 0, ix.n, &f);
		if (f.n == 0) {
			push(out, &in->v[i]);
			continue;
		}
		qsort(f.v, f.n, sizeof(*f.v), size_cmp);
		cur.n = 0;
		push(&cur, &in->v[i]);
		for (size_t k = 0; k < f.n && cur.n; k++) {
			const struct lb_box *y = &in->v[f.v[k]];
			struct boxes t;

			next.n = 0;
			for (size_t p = 0; p < cur.n; p++) {
				if (overlap(&cur.v[p], y))
					cut(&next, cur.v[p], y);
				else
					push(&next, &cur.v[p]);
			}
			t = cur;
			cur = next;
			next = t;
			if (cur.n > max)
				break;
		}
		for (size_t p = 0; p < cur.n; p++)
			push(out, &cur.v[p]);
		fits = out->n <= max;
	}
	free(ix.v);
	free(cur.v);
	free(next.v);
	free(f.v);
	return fits;
}

/* ---- ranks ---- */

/* The lowest rank of `ranks` above `rank` begins somewhere in (highest one below, rank + 1]: the
 * number there with the most zeros at its end, because a range from it splits into the fewest
 * aligned parts in the kernel. No other line has this rank. */
static uint32_t rank_from(const struct lb_set *ranks, uint32_t rank)
{
	size_t lo = 0, hi = ranks->n;
	uint32_t above, top = rank + 1;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ranks->box[mid].rank < rank)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return 0;
	above = ranks->box[lo - 1].rank;
	while ((top & (top - 1)) > above)
		top &= top - 1;
	return top;
}

static void rank_fields(struct lb_set set[LB_TABLES])
{
	for (int t = LB_B; t < LB_TABLES; t++)
		for (size_t i = 0; i < set[t].n; i++)
			for (int k = 0; k < t; k++)
				set[t].box[i].from[k] = rank_from(&set[k], set[t].box[i].rank);
}

/* ---- blocks ---- */

static void block_drop_sets(struct lb_block *b)
{
	for (int c = 0; c < LB_CLASSES; c++) {
		for (int t = 0; t < LB_TABLES; t++) {
			free(b->set[c][t].box);
			b->set[c][t] = (struct lb_set){ 0 };
		}
	}
}

/* Sequence numbers are ranks: they stay when a line is put between two others. */
static bool seq_ascends(const struct pol_list *l)
{
	for (size_t i = 1; i < l->n; i++)
		if (l->rules[i]->seq <= l->rules[i - 1]->seq)
			return false;
	return l->n == 0 || l->rules[l->n - 1]->seq < UINT32_MAX / 2;
}

static bool block_class(struct lb_block *b, const struct pol_list *l, bool by_seq,
			enum lb_class class)
{
	struct boxes in[LB_TABLES] = { 0 };
	bool fits = true;

	for (size_t i = b->first; i < b->end; i++)
		if (!lb_is_void(l->rules[i]))
			line_boxes(l->rules[i], (uint32_t)i,
				   by_seq ? l->rules[i]->seq : (uint32_t)i, class, in);
	for (int t = 0; t < LB_TABLES; t++) {
		struct boxes out = { 0 };

		fits = fits && disjoint(&in[t], &out);
		b->set[class][t] = (struct lb_set){ out.n, out.v };
		free(in[t].v);
	}
	if (fits)
		rank_fields(b->set[class]);
	return fits;
}

static bool block_sets(struct lb_block *b, const struct pol_list *l, bool by_seq)
{
	uint32_t max = l->n == 0 ? 0 : by_seq ? l->rules[l->n - 1]->seq : (uint32_t)l->n;

	for (b->none = UINT8_MAX; b->none <= max;)
		b->none = b->none << 1 | 1;
	for (int c = 0; c < LB_CLASSES; c++) {
		if (!block_class(b, l, by_seq, c)) {
			block_drop_sets(b);
			return false;
		}
	}
	return true;
}

static void add_block(struct lb_prog *p, const struct lb_block *b)
{
	struct lb_block *last = p->n_blocks ? &p->blocks[p->n_blocks - 1] : NULL;

	if (last && last->linear && b->linear) {
		last->end = b->end;
		return;
	}
	p->blocks = xrealloc(p->blocks, (p->n_blocks + 1) * sizeof(*p->blocks));
	p->blocks[p->n_blocks++] = *b;
}

static void add_run(struct lb_prog *p, size_t first, size_t end, bool by_seq)
{
	struct lb_block b = { .first = first, .end = end };

	if (end - first < LB_MIN_LINES) {
		b.linear = true;
		add_block(p, &b);
	} else if (block_sets(&b, p->list, by_seq)) {
		add_block(p, &b);
	} else {
		add_run(p, first, first + (end - first) / 2, by_seq);
		add_run(p, first + (end - first) / 2, end, by_seq);
	}
}

struct lb_prog *lb_build(const struct pol_list *list)
{
	struct lb_prog *p = xcalloc(1, sizeof(*p));
	bool by_seq = seq_ascends(list);
	size_t i = 0, k;

	p->list = list;
	while (i < list->n) {
		bool plain = lb_is_void(list->rules[i]) || lb_is_plain(list->rules[i]);

		for (k = i + 1; k < list->n; k++)
			if ((lb_is_void(list->rules[k]) || lb_is_plain(list->rules[k])) != plain)
				break;
		if (plain) {
			add_run(p, i, k, by_seq);
		} else {
			struct lb_block b = { .linear = true, .first = i, .end = k };

			add_block(p, &b);
		}
		i = k;
	}
	return p;
}

struct lb_prog *lb_free(struct lb_prog *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->n_blocks; i++)
		block_drop_sets(&p->blocks[i]);
	free(p->blocks);
	free(p);
	return NULL;
}
