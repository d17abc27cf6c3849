/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_box_impl.h"

#include <stdlib.h>
#include <string.h>

/* E may be so many boxes and LB_SET_TIMES its lines. */
#define EARLY_SPARE 256

lb_num lb_addr(const struct rtr_addr *a)
{
	lb_num n = 0;

	for (unsigned i = 0; i < rtr_family_size(a->family); i++)
		n = n << 8 | a->b[i];
	return n;
}

lb_num lb_max(uint8_t family, enum lb_field f)
{
	if (f == LB_PROTO)
		return UINT8_MAX;
	if (f == LB_P0 || f == LB_P1)
		return UINT16_MAX;
	return family == AF_INET6 ? ~(lb_num)0 : UINT32_MAX;
}

bool lb_is_icmp(uint8_t family, unsigned proto)
{
	return proto == (family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

enum lb_class lb_class_of(const struct lb_block *b, uint8_t family, uint8_t proto)
{
	if (proto == IPPROTO_UDP && b->udp)
		return LB_UDP;
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		return LB_PORTS;
	return b->icmp && lb_is_icmp(family, proto) ? LB_ICMP : LB_OTHER;
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
		return lb_is_icmp(r->family, (unsigned)s->proto);
	return !ports || s->proto == IPPROTO_TCP || s->proto == IPPROTO_UDP;
}

bool lb_is_plain(const struct pol_rule *r)
{
	size_t n = (r->src ? r->src->n : 1) * (r->dst ? r->dst->n : 1), services = 0;

	if (r->dscp || r->ttl_lo != 0 || r->ttl_hi != UINT8_MAX || r->len_lo != 0 ||
	    r->len_hi != UINT16_MAX || r->states || r->tls_name)
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

bool lb_has_type(const struct pol_rule *r)
{
	for (size_t i = 0; i < r->n_services; i++)
		if (r->services[i].has_icmp_type)
			return true;
	return false;
}

static bool service_in_class(const struct lb_block *b, const struct pol_rule *r,
			     const struct pol_service *s, enum lb_class class)
{
	if (s->proto == POL_PROTO_ANY)
		return (class != LB_ICMP || b->icmp) && (class != LB_UDP || b->udp);
	return lb_class_of(b, r->family, (uint8_t)s->proto) == class;
}

static const struct pol_port_range all_ports = { 0, UINT16_MAX };

static void push_ports(const struct lb_block *b, struct lb_boxes *out, struct lb_box *x,
		       const struct pol_service *s, enum lb_class class)
{
	bool tuple = class == LB_PORTS || class == LB_UDP;
	bool one = class == LB_ICMP || class == LB_UDP || (class == LB_PORTS && b->udp);
	size_t ns = tuple && s->sport ? s->sport->n : 1, nd = tuple && s->dport ? s->dport->n : 1;

	for (size_t i = 0; i < ns; i++) {
		for (size_t k = 0; k < nd; k++) {
			const struct pol_port_range *sp = tuple && s->sport ? &s->sport->r[i]
									    : &all_ports;
			const struct pol_port_range *dp = tuple && s->dport ? &s->dport->r[k]
									    : &all_ports;

			x->lo[LB_P0] = sp->lo, x->hi[LB_P0] = sp->hi;
			x->lo[LB_P1] = dp->lo, x->hi[LB_P1] = dp->hi;
			if (class == LB_ICMP && s->has_icmp_type) {
				x->lo[LB_P0] = (lb_num)(s->icmp_type << 8 |
							(s->has_icmp_code ? s->icmp_code : 0));
				x->hi[LB_P0] = (lb_num)(s->icmp_type << 8 |
							(s->has_icmp_code ? s->icmp_code : 0xff));
			}
			if (!one && s->proto != POL_PROTO_ANY)
				x->lo[LB_PROTO] = x->hi[LB_PROTO] = s->proto;
			lb_push(out, x);
		}
	}
	x->lo[LB_PROTO] = 0, x->hi[LB_PROTO] = UINT8_MAX;
}

bool lb_specific(const struct lb_box *x, enum lb_field f, uint8_t family)
{
	return x->hi[f] - x->lo[f] <= lb_max(family, f) >> LB_SPECIFIC_BITS;
}

static void box_range(struct lb_box *x, enum lb_field f, const struct pol_addrs *set, size_t i,
		      uint8_t family)
{
	x->lo[f] = set ? lb_addr(&set->r[i].lo) : 0;
	x->hi[f] = set ? lb_addr(&set->r[i].hi) : lb_max(family, f);
}

void lb_line_boxes(const struct lb_block *b, const struct pol_rule *r, uint32_t rank,
		   enum lb_class class, struct lb_boxes *out)
{
	struct lb_box x = { .line = r, .rank = rank, .hi[LB_PROTO] = UINT8_MAX };

	for (size_t d = 0; d < (r->dst ? r->dst->n : 1); d++) {
		box_range(&x, LB_DST, r->dst, d, r->family);
		for (size_t s = 0; s < (r->src ? r->src->n : 1); s++) {
			box_range(&x, LB_SRC, r->src, s, r->family);
			for (size_t i = 0; i < r->n_services; i++)
				if (service_in_class(b, r, &r->services[i], class))
					push_ports(b, out, &x, &r->services[i], class);
		}
	}
}

/* ---- blocks ---- */

bool lb_tree_empty(const struct lb_node *n)
{
	return n->leaf && !n->set.n;
}

bool lb_empty(const struct lb_tables *t)
{
	return lb_tree_empty(&t->a) && lb_tree_empty(&t->b) && lb_tree_empty(&t->c);
}

static int range_cmp(const void *a, const void *b)
{
	const struct lb_range *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

struct lb_ranges lb_union(const struct lb_set *s, size_t n_sets, enum lb_field f)
{
	struct lb_ranges u = { 0 };
	size_t n = 0, have = 0;

	for (size_t k = 0; k < n_sets; k++)
		n += s[k].n;
	u.v = xcalloc(n + 1, sizeof(*u.v));
	for (size_t k = 0; k < n_sets; k++)
		for (size_t i = 0; i < s[k].n; i++)
			u.v[have++] = (struct lb_range){ s[k].box[i].lo[f], s[k].box[i].hi[f] };
	qsort(u.v, n, sizeof(*u.v), range_cmp);
	for (size_t i = 0; i < n; i++) {
		if (u.n && (u.v[u.n - 1].hi >= u.v[i].lo || u.v[u.n - 1].hi + 1 == u.v[i].lo))
			u.v[u.n - 1].hi = MAX(u.v[u.n - 1].hi, u.v[i].hi);
		else
			u.v[u.n++] = u.v[i];
	}
	return u;
}

/* Sequence numbers are ranks: they stay when a line is put between two others. */
bool lb_by_seq(const struct pol_list *l)
{
	for (size_t i = 1; i < l->n; i++)
		if (l->rules[i]->seq <= l->rules[i - 1]->seq)
			return false;
	return l->n == 0 || l->rules[l->n - 1]->seq < UINT32_MAX / 2;
}

static enum lb_field pick_lead(const struct lb_boxes *all, uint8_t family)
{
	size_t dst = 0, src = 0;

	for (size_t i = 0; i < all->n; i++) {
		bool d = lb_specific(&all->v[i], LB_DST, family);
		bool s = lb_specific(&all->v[i], LB_SRC, family);

		dst += d && !s;
		src += s && !d;
	}
	/* Not for a few: whoever leads, most lines name both. */
	return src > 2 * dst && 4 * src > all->n ? LB_SRC : LB_DST;
}

static const uint8_t early_proto[2] = { IPPROTO_TCP, IPPROTO_UDP };

static bool is_for(const struct lb_tables *t, const struct lb_box *x, size_t early)
{
	return t->n_early == 1 ||
	       (x->lo[LB_PROTO] <= early_proto[early] && x->hi[LB_PROTO] >= early_proto[early]);
}

bool lb_asks(const struct lb_tables *t, const struct lb_box *x, int early)
{
	return x->asks && (size_t)early < t->n_early && is_for(t, x, (size_t)early);
}

static void push_early(const struct lb_tables *t, const struct lb_build *x, size_t k,
		       struct lb_boxes *to)
{
	for (size_t i = 0; i < x->later.n; i++) {
		struct lb_box b = x->later.v[i];

		if (!x->early[i] || !is_for(t, &b, k))
			continue;
		if (t->n_early > 1)
			b.lo[LB_PROTO] = 0, b.hi[LB_PROTO] = UINT8_MAX;
		lb_push(to, &b);
	}
}

static int rank_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void find_froms(struct lb_tables *t)
{
	size_t n = 0;

	t->froms = xcalloc(t->early[0].n + t->early[1].n + 1, sizeof(*t->froms));
	for (size_t k = 0; k < t->n_early; k++)
		for (size_t i = 0; i < t->early[k].n; i++)
			t->froms[n++] = t->early[k].box[i].from;
	qsort(t->froms, n, sizeof(*t->froms), rank_cmp);
	t->n_froms = 0;
	for (size_t i = 0; i < n; i++)
		if (!i || t->froms[i] != t->froms[i - 1])
			t->froms[t->n_froms++] = t->froms[i];
}

/* False: too many boxes. */
static bool early_build(struct lb_tables *t, const struct lb_build *x)
{
	struct lb_boxes asking = { 0 };
	bool fits = true, any = false;

	lb_tree_asking(&t->a, &asking);
	lb_tree_asking(&t->b, &asking);
	lb_sort_by_rank(&asking);
	t->near = true;
	for (size_t k = 0; k < t->n_early; k++) {
		struct lb_boxes early = { 0 }, out = { 0 };

		push_early(t, x, k, &early);
		fits = lb_disjoint(&early, &out, early.n * LB_SET_TIMES + EARLY_SPARE) && fits;
		lb_set_froms(&out, &asking);
		for (size_t i = 0; i < early.n; i++)
			t->near = t->near && lb_specific(&early.v[i], x->other, x->family);
		any = any || early.n;
		t->early[k] = lb_set_of(&out, x->family);
		free(early.v);
	}
	t->near = t->near && any;
	find_froms(t);
	free(asking.v);
	return fits;
}

static void tables_drop(struct lb_tables *t)
{
	lb_tree_drop(&t->a);
	lb_tree_drop(&t->b);
	lb_tree_drop(&t->c);
	free(t->early[0].box);
	free(t->early[1].box);
	t->early[0] = t->early[1] = (struct lb_set){ 0 };
	free(t->froms);
	t->froms = NULL;
}

static void block_drop(struct lb_block *b)
{
	for (int c = 0; c < LB_CLASSES; c++) {
		tables_drop(&b->class[c]);
		free(b->class[c].later.box);
		b->class[c].later = (struct lb_set){ 0 };
	}
	id_table_fini(&b->copies);
}

bool lb_is_shared(const struct lb_block *b, const struct lb_box *x)
{
	const struct lb_copies *c = id_table_find(&b->copies, (uint64_t)x->rank + 1);

	return c && c->n >= LB_SHARED && !x->asks;
}

static bool trees_build(struct lb_tables *t, const struct lb_boxes in[3], struct lb_build *x)
{
	memset(x->early, 0, x->later.n * sizeof(*x->early));
	x->is_b = false;
	lb_tree_build(&t->a, &in[0], x, 0);
	x->is_b = true;
	lb_tree_build(&t->b, &in[1], x, 0);
	lb_tree_build(&t->c, &in[2], &(struct lb_build){ .family = x->family }, 1);
	return early_build(t, x);
}

/* When C makes too many boxes of E, parts take all of it in. */
static bool tables_build(struct lb_tables *t, const struct lb_boxes *all, uint8_t family)
{
	struct lb_build x = { .family = family, .take_c = LB_TAKE_C };
	struct lb_boxes in[3] = { 0 };
	bool fits;

	t->lead = pick_lead(all, family);
	x.other = t->lead == LB_DST ? LB_SRC : LB_DST;
	for (size_t i = 0; i < all->n; i++) {
		const struct lb_box *b = &all->v[i];
		int k = lb_specific(b, t->lead, family)   ? 0
			: lb_specific(b, x.other, family) ? 1
							  : 2;

		lb_push(&in[k], b);
		if (k)
			lb_push(&x.later, b);
	}
	x.early = xcalloc(x.later.n + 1, sizeof(*x.early));
	t->n_lines = in[0].n;
	x.n_c = in[2].n;
	fits = trees_build(t, in, &x);
	if (!fits) {
		tables_drop(t);
		x.take_c = SIZE_MAX;
		fits = trees_build(t, in, &x);
	}
	t->take_c = x.take_c;
	t->later = (struct lb_set){ .n = x.later.n, .box = x.later.v };
	free(x.early);
	for (int k = 0; k < 3; k++)
		free(in[k].v);
	return fits;
}

uint32_t lb_none(const struct pol_list *l, bool by_seq)
{
	uint32_t max = l->n == 0 ? 0 : by_seq ? l->rules[l->n - 1]->seq : (uint32_t)l->n;
	uint32_t none = UINT8_MAX;

	while (none <= max)
		none = none << 1 | 1;
	return none;
}

static void pick_classes(struct lb_block *b, const struct pol_list *l)
{
	size_t both = 0, all = 0;

	b->icmp = false;
	for (size_t i = b->first; i < b->end; i++) {
		const struct pol_rule *r = l->rules[i];

		b->icmp = b->icmp || lb_has_type(r);
		for (size_t k = 0; k < r->n_services; k++)
			both += r->services[k].proto == POL_PROTO_ANY;
		all += r->n_services;
	}
	/* To test for a protocol is a fifth of a rule. */
	b->udp = both * 5 <= all;
}

static bool block_tables(struct lb_block *b, const struct pol_list *l, bool by_seq)
{
	bool fits = true;

	b->copies = (struct id_table)ID_TABLE_INIT(struct lb_copies);
	b->none = lb_none(l, by_seq);
	pick_classes(b, l);
	for (int c = 0; c < LB_CLASSES; c++) {
		struct lb_boxes all = { 0 };

		for (size_t i = b->first; i < b->end; i++)
			if (!lb_is_void(l->rules[i]))
				lb_line_boxes(b, l->rules[i],
					      by_seq ? l->rules[i]->seq : (uint32_t)i, c, &all);
		b->class[c].n_early = c == LB_PORTS && !b->udp ? 2 : 1;
		fits = tables_build(&b->class[c], &all, l -> family) && fits;
		free(all.v);
		lb_tree_copies(&b->class[c].a, &b->copies);
		lb_tree_copies(&b->class[c].b, &b->copies);
		lb_tree_copies(&b->class[c].c, &b->copies);
	}
	if (!fits)
		block_drop(b);
	return fits;
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
	} else if (block_tables(&b, p->list, by_seq)) {
		add_block(p, &b);
	} else {
		add_run(p, first, first + (end - first) / 2, by_seq);
		add_run(p, first + (end - first) / 2, end, by_seq);
	}
}

struct lb_prog *lb_build(const struct pol_list *list)
{
	struct lb_prog *p = xcalloc(1, sizeof(*p));
	bool by_seq = lb_by_seq(list);
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
		if (!p->blocks[i].linear)
			block_drop(&p->blocks[i]);
	free(p->blocks);
	free(p);
	return NULL;
}
