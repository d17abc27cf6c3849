/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_box_impl.h"

#include <stdlib.h>
#include <string.h>

lb_num lb_addr(const struct rtr_addr *a)
{
	lb_num n = 0;

	for (unsigned i = 0; i < rtr_family_size(a->family); i++)
		n = n << 8 | a->b[i];
	return n;
}

lb_num lb_max(uint8_t family, enum lb_field f)
{
	if (f == LB_P0 || f == LB_P1)
		return UINT16_MAX;
	return family == AF_INET6 ? ~(lb_num)0 : UINT32_MAX;
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

static bool service_in_class(const struct pol_rule *r, const struct pol_service *s,
			     enum lb_class class)
{
	return s->proto == POL_PROTO_ANY || lb_class_of(r->family, (uint8_t)s->proto) == class;
}

static const struct pol_port_range all_ports = { 0, UINT16_MAX };

static void push_ports(struct lb_boxes *out, struct lb_box *x, const struct pol_service *s,
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

			x->lo[LB_P0] = sp->lo, x->hi[LB_P0] = sp->hi;
			x->lo[LB_P1] = dp->lo, x->hi[LB_P1] = dp->hi;
			if (class == LB_ICMP && s->has_icmp_type) {
				x->lo[LB_P0] = (lb_num)(s->icmp_type << 8 |
							(s->has_icmp_code ? s->icmp_code : 0));
				x->hi[LB_P0] = (lb_num)(s->icmp_type << 8 |
							(s->has_icmp_code ? s->icmp_code : 0xff));
			} else if (class == LB_OTHER && s->proto != POL_PROTO_ANY) {
				x->lo[LB_P0] = x->hi[LB_P0] = s->proto;
			}
			lb_push(out, x);
		}
	}
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

void lb_line_boxes(const struct pol_rule *r, uint32_t rank, enum lb_class class,
		   struct lb_boxes *out)
{
	struct lb_box x = { .line = r, .rank = rank };

	for (size_t d = 0; d < (r->dst ? r->dst->n : 1); d++) {
		box_range(&x, LB_DST, r->dst, d, r->family);
		for (size_t s = 0; s < (r->src ? r->src->n : 1); s++) {
			box_range(&x, LB_SRC, r->src, s, r->family);
			for (size_t i = 0; i < r->n_services; i++)
				if (service_in_class(r, &r->services[i], class))
					push_ports(out, &x, &r->services[i], class);
		}
	}
}

/* ---- lines of C that come before lines of B ---- */

/* Boxes that a table may become. */
static size_t max_boxes(const struct lb_boxes *b)
{
	return b->n * LB_MAX_PER_LINE + LB_MAX_SPARE;
}

static void swap(struct lb_boxes *a, struct lb_boxes *b)
{
	struct lb_boxes t = *a;

	*a = *b;
	*b = t;
}

/* Clips those of c that come before lines of b into b, when that makes few boxes more: then
 * ret_early is empty, else it is them. `cut` is b made disjoint, before and after. */
static void settle(struct lb_boxes *b, struct lb_boxes *cut, const struct lb_boxes *c,
		   struct lb_boxes *ret_early)
{
	struct lb_boxes clips = { 0 }, mixed = { 0 }, both = { 0 };

	if (lb_find_early(b, c, &clips, ret_early) && ret_early->n) {
		lb_push_all(&both, b);
		lb_push_all(&both, &clips);
		lb_sort_by_rank(&both);
		if (lb_disjoint(&both, &mixed, max_boxes(&both)) &&
		    mixed.n <= cut->n + cut->n / 4 + LB_LEAF) {
			swap(b, &both);
			swap(cut, &mixed);
			ret_early->n = 0;
		}
	}
	free(clips.v);
	free(mixed.v);
	free(both.v);
}

/* ---- blocks ---- */

bool lb_empty(const struct lb_tables *t)
{
	return !t->n_c && t->a.leaf && t->late.leaf && t->c.leaf &&
	       t->a.set.n + t->late.set.n + t->c.set.n == 0;
}

static int range_cmp(const void *a, const void *b)
{
	const struct lb_range *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

struct lb_ranges lb_union(const struct lb_set *s, enum lb_field f)
{
	struct lb_ranges u = { .v = xcalloc(s->n + 1, sizeof(*u.v)) };
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		u.v[i] = (struct lb_range){ s->box[i].lo[f], s->box[i].hi[f] };
	qsort(u.v, s->n, sizeof(*u.v), range_cmp);
	for (size_t i = 0; i < s->n; i++) {
		if (n && (u.v[n - 1].hi >= u.v[i].lo || u.v[n - 1].hi + 1 == u.v[i].lo))
			u.v[n - 1].hi = MAX(u.v[n - 1].hi, u.v[i].hi);
		else
			u.v[n++] = u.v[i];
	}
	u.n = n;
	return u;
}

static void block_drop(struct lb_block *b)
{
	for (int c = 0; c < LB_CLASSES; c++) {
		struct lb_tables *t = &b->class[c];

		lb_tree_drop(&t->a);
		lb_tree_drop(&t->late);
		lb_tree_drop(&t->c);
		free(t->b.box);
		free(t->cb.box);
		free(t->in_b.box);
		free(t->in_c.box);
		free(t->early_b.box);
		free(t->early_c.box);
		free(t->c_lines);
		t->c_lines = NULL;
		t->n_c = 0;
		t->b = t->cb = t->in_b = t->in_c = t->early_b = t->early_c = (struct lb_set){ 0 };
	}
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

static struct lb_boxes boxes_of(const struct lb_set *s)
{
	return (struct lb_boxes){ .n = s->n, .v = s->box };
}

bool lb_near(struct lb_tables *t, uint8_t family)
{
	struct lb_boxes b = { 0 }, cb = { 0 }, before = { 0 }, clips = { 0 };
	struct lb_boxes early = boxes_of(&t->early_b), c = boxes_of(&t->in_c);
	struct lb_boxes ranks = lb_tree_ranks(&t->a);
	bool fits = lb_disjoint(&early, &b, max_boxes(&early));

	lb_find_early(&b, &c, &clips, &before);
	fits = lb_disjoint(&before, &cb, max_boxes(&before)) && fits;
	lb_set_froms(&b, &ranks);
	lb_set_froms(&cb, &b);
	free(t->b.box);
	free(t->cb.box);
	t->b = lb_set_of(&b, family);
	t->cb = lb_set_of(&cb, family);
	t->fresh = true;
	free(ranks.v);
	free(before.v);
	free(clips.v);
	return fits;
}

static bool c_build(struct lb_tables *t, const struct lb_boxes *c, uint8_t family)
{
	bool fits;

	lb_tree_build(&t->c, c, NULL, family, 1);
	fits = lb_tree_disjoint(&t->c, family, max_boxes(c));
	if (c->n > LB_C_LINES || (fits && lb_tree_size(&t->c) <= LB_C_TIMES * c->n))
		return fits;
	lb_tree_drop(&t->c);
	t->c_lines = xcalloc(c->n, sizeof(struct pol_rule *));
	for (size_t i = 0; i < c->n; i++)
		if (!t->n_c || t->c_lines[t->n_c - 1] != c->v[i].line)
			t->c_lines[t->n_c++] = c->v[i].line;
	return true;
}

static bool tables_build(struct lb_tables *t, const struct lb_boxes *all, uint8_t family)
{
	/* A, B, C; of B and C what comes before A (1, 2) and of C what comes before B (0). */
	struct lb_boxes in[3] = { 0 }, early[3] = { 0 }, b = { 0 };
	enum lb_field other;
	bool fits;

	t->lead = pick_lead(all, family);
	other = t->lead == LB_DST ? LB_SRC : LB_DST;
	for (size_t i = 0; i < all->n; i++) {
		const struct lb_box *x = &all->v[i];

		lb_push(&in[lb_specific(x, t->lead, family) ? 0
			    : lb_specific(x, other, family) ? 1
							    : 2],
			x);
	}
	fits = lb_disjoint(&in[1], &b, max_boxes(&in[1]));
	lb_tree_build(&t->a, &in[0], NULL, family, 0);
	fits = lb_tree_disjoint(&t->a, family, max_boxes(&in[0])) && fits;
	if (fits) {
		/* C into B, then B (with what came into it) and C into A. */
		settle(&in[1], &b, &in[2], &early[0]);
		lb_tree_settle(&t->a, &in[1], family, &early[1]);
		lb_tree_settle(&t->a, &in[2], family, &early[2]);
	}
	lb_tree_build(&t->late, &b, &early[0], family, 0);
	fits = c_build(t, &in[2], family) && fits;
	lb_tree_finish(&t->a, family, 0);
	lb_tree_finish(&t->late, family, 0);
	lb_tree_finish(&t->c, family, 1);
	fits = lb_tree_beside(&t->a, &early[2], family, max_boxes(&in[0])) && fits;
	fits = lb_tree_beside(&t->late, &early[0], family, max_boxes(&b)) && fits;
	t->in_b = (struct lb_set){ .n = in[1].n, .box = in[1].v };
	t->in_c = (struct lb_set){ .n = in[2].n, .box = in[2].v };
	t->early_b = (struct lb_set){ .n = early[1].n, .box = early[1].v };
	t->early_c = (struct lb_set){ .n = early[2].n, .box = early[2].v };
	t->n_lines = in[0].n;
	if (early[1].n)
		fits = lb_near(t, family) && fits;
	free(b.v);
	free(in[0].v);
	free(early[0].v);
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

static bool block_tables(struct lb_block *b, const struct pol_list *l, bool by_seq)
{
	bool fits = true;

	b->none = lb_none(l, by_seq);
	for (int c = 0; c < LB_CLASSES; c++) {
		struct lb_boxes all = { 0 };

		for (size_t i = b->first; i < b->end; i++)
			if (!lb_is_void(l->rules[i]))
				lb_line_boxes(l->rules[i], by_seq ? l->rules[i]->seq : (uint32_t)i,
					      c, &all);
		fits = tables_build(&b->class[c], &all, l -> family) && fits;
		free(all.v);
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
