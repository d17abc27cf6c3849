/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_box.h"

#include "hash.h"

#include <stdlib.h>
#include <string.h>

/* Shorter prefixes than this are not specific: 1/256 of the space. */
#define SPECIFIC_BITS 8
/* Cuts of a table; after that a part is as large as it is. The kernel follows 16 chains at most,
 * so late B and C have one less. */
#define MAX_DEPTH 2

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
			push(out, x);
		}
	}
}

static bool specific(const struct lb_box *x, enum lb_field f, uint8_t family)
{
	return x->hi[f] - x->lo[f] <= lb_max(family, f) >> SPECIFIC_BITS;
}

static void box_range(struct lb_box *x, enum lb_field f, const struct pol_addrs *set, size_t i,
		      uint8_t family)
{
	x->lo[f] = set ? lb_addr(&set->r[i].lo) : 0;
	x->hi[f] = set ? lb_addr(&set->r[i].hi) : lb_max(family, f);
}

static void line_boxes(const struct pol_rule *r, uint32_t rule, uint32_t rank, enum lb_class class,
		       struct boxes *out)
{
	struct lb_box x = { .rule = rule, .rank = rank };

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

/* ---- overlaps: boxes sorted by one address, with the highest end below each ---- */

struct span {
	lb_num lo, hi;
	lb_num top; /* highest hi in the half-open part of the array whose middle this is */
	size_t box;
};

/* By destination and by source: a box is looked for by the one with fewer candidates. */
struct index {
	size_t n;
	const struct boxes *boxes;
	struct span *v[2];
	size_t wide[2]; /* boxes that are not specific in it */
};

static int span_cmp(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return x->box < y->box ? -1 : x->box > y->box;
}

static lb_num index_tops(struct span *v, size_t lo, size_t hi)
{
	size_t mid = lo + (hi - lo) / 2;
	lb_num top, t;

	if (lo == hi)
		return 0;
	top = v[mid].hi;
	t = index_tops(v, lo, mid);
	top = MAX(top, t);
	t = index_tops(v, mid + 1, hi);
	top = MAX(top, t);
	return v[mid].top = top;
}

static struct index index_build(const struct boxes *b)
{
	struct index ix = { .n = b->n, .boxes = b };

	for (int f = LB_DST; f <= LB_SRC; f++) {
		struct span *v = xcalloc(b->n + 1, sizeof(*v));

		for (size_t i = 0; i < b->n; i++)
			v[i] = (struct span){ b->v[i].lo[f], b->v[i].hi[f], 0, i };
		qsort(v, b->n, sizeof(*v), span_cmp);
		index_tops(v, 0, b->n);
		ix.v[f] = v;
		for (size_t i = 0; i < b->n; i++)
			ix.wide[f] += v[i].hi - v[i].lo > v[b->n / 2].top >> SPECIFIC_BITS;
	}
	return ix;
}

static void index_drop(struct index *ix)
{
	free(ix->v[LB_DST]);
	free(ix->v[LB_SRC]);
}

static bool overlap(const struct lb_box *a, const struct lb_box *b)
{
	for (int f = 0; f < LB_FIELDS; f++)
		if (a->lo[f] > b->hi[f] || b->lo[f] > a->hi[f])
			return false;
	return true;
}

struct found {
	size_t n, room, *v;
};

struct search {
	const struct index *ix;
	const struct lb_box *x;
	enum lb_field f;
	size_t from, to;
	struct found *ret;
};

static void search_part(const struct search *s, size_t lo, size_t hi)
{
	const struct span *v = s->ix->v[s->f];

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct span *m = &v[mid];
		struct found *r = s->ret;

		if (m->top < s->x->lo[s->f])
			return;
		search_part(s, lo, mid);
		if (m->lo > s->x->hi[s->f])
			return;
		if (m->hi >= s->x->lo[s->f] && m->box >= s->from && m->box < s->to &&
		    overlap(&s->ix->boxes->v[m->box], s->x)) {
			if (r->n == r->room) {
				r->room = MAX(r->room * 2, (size_t)64);
				r->v = xrealloc(r->v, r->room * sizeof(*r->v));
			}
			r->v[r->n++] = m->box;
		}
		lo = mid + 1;
	}
}

static size_t starts_below(const struct index *ix, enum lb_field f, lb_num value)
{
	size_t lo = 0, hi = ix->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ix->v[f][mid].lo < value)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* About how many boxes overlap x in a field. */
static size_t candidates(const struct index *ix, const struct lb_box *x, enum lb_field f)
{
	return starts_below(ix, f, x->hi[f]) + 1 - starts_below(ix, f, x->lo[f]) + ix->wide[f];
}

/* Boxes of the index that overlap x and whose number is in [from, to). */
static void index_find(const struct index *ix, const struct lb_box *x, size_t from, size_t to,
		       struct found *ret)
{
	bool by_src = candidates(ix, x, LB_SRC) < candidates(ix, x, LB_DST);
	struct search s = { ix, x, by_src ? LB_SRC : LB_DST, from, to, ret };

	search_part(&s, 0, ix->n);
}

static int size_cmp(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

/* ---- cutting ---- */

/* What of z is not in y: up to two boxes a field. The addresses first: their ranges then are
 * few and whole, and a range costs the kernel up to twice its bits. */
static void cut(struct boxes *out, struct lb_box z, const struct lb_box *y)
{
	for (int f = 0; f < LB_FIELDS; f++) {
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

/* x without the boxes of `in` that f names, to out. False: more than max pieces. */
static bool cut_all(struct boxes *out, const struct lb_box *x, const struct boxes *in,
		    const struct found *f, size_t max)
{
	struct boxes cur = { 0 }, next = { 0 };
	bool fits = true;

	push(&cur, x);
	for (size_t k = 0; k < f->n && cur.n && fits; k++) {
		const struct lb_box *y = &in->v[f->v[k]];
		struct boxes t = cur;

		next.n = 0;
		for (size_t p = 0; p < cur.n; p++) {
			if (overlap(&cur.v[p], y))
				cut(&next, cur.v[p], y);
			else
				push(&next, &cur.v[p]);
		}
		cur = next;
		next = t;
		fits = cur.n <= max;
	}
	for (size_t p = 0; p < cur.n; p++)
		push(out, &cur.v[p]);
	free(cur.v);
	free(next.v);
	return fits;
}

/* Takes what earlier boxes cover off the later ones. False: too many pieces. */
static bool disjoint(const struct boxes *in, struct boxes *out)
{
	struct index ix = index_build(in);
	struct found f = { 0 };
	size_t max = in->n * LB_MAX_PER_LINE + LB_MAX_SPARE;
	bool fits = true;

	for (size_t i = 0; i < in->n && fits; i++) {
		f.n = 0;
		index_find(&ix, &in->v[i], 0, i, &f);
		if (f.n == 0) {
			push(out, &in->v[i]);
			continue;
		}
		qsort(f.v, f.n, sizeof(*f.v), size_cmp);
		fits = cut_all(out, &in->v[i], in, &f, max) && out->n <= max;
	}
	index_drop(&ix);
	free(f.v);
	return fits;
}

/* ---- lines of C that come before lines of A or B ---- */

static size_t first_after(const struct boxes *b, uint32_t rank)
{
	size_t lo = 0, hi = b->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->v[mid].rank <= rank)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int rank_cmp(const void *a, const void *b)
{
	const struct lb_box *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return memcmp(x->lo, y->lo, sizeof(x->lo));
}

/* Each part of c that covers a later box of b, to clips; those of c that do, to early. False: too
 * many. */
static bool find_early(const struct boxes *b, const struct boxes *c, struct boxes *clips,
		       struct boxes *early)
{
	struct index ix = index_build(b);
	struct found f = { 0 };
	size_t max = b->n / 2 + LB_LEAF;
	bool fits = true;

	for (size_t i = 0; i < c->n; i++) {
		f.n = 0;
		index_find(&ix, &c->v[i], first_after(b, c->v[i].rank), b->n, &f);
		if (f.n)
			push(early, &c->v[i]);
		fits = fits && clips->n + f.n <= max;
		for (size_t k = 0; k < f.n && fits; k++) {
			struct lb_box x = c->v[i];
			const struct lb_box *y = &b->v[f.v[k]];

			for (int d = 0; d < LB_FIELDS; d++) {
				x.lo[d] = MAX(x.lo[d], y->lo[d]);
				x.hi[d] = MIN(x.hi[d], y->hi[d]);
			}
			push(clips, &x);
		}
	}
	index_drop(&ix);
	free(f.v);
	return fits;
}

static void swap(struct boxes *a, struct boxes *b)
{
	struct boxes t = *a;

	*a = *b;
	*b = t;
}

static void push_all(struct boxes *to, const struct boxes *from)
{
	for (size_t i = 0; i < from->n; i++)
		push(to, &from->v[i]);
}

/* Clips those of c that come before lines of b into b, when that makes few boxes more: then
 * ret_early is empty, else it is them. `cut` is b made disjoint, before and after. */
static void settle(struct boxes *b, struct boxes *cut, const struct boxes *c,
		   struct boxes *ret_early)
{
	struct boxes clips = { 0 }, mixed = { 0 }, both = { 0 };

	if (find_early(b, c, &clips, ret_early) && ret_early->n) {
		push_all(&both, b);
		push_all(&both, &clips);
		qsort(both.v, both.n, sizeof(*both.v), rank_cmp);
		if (disjoint(&both, &mixed) && mixed.n <= cut->n + cut->n / 4 + LB_LEAF) {
			swap(b, &both);
			swap(cut, &mixed);
			ret_early->n = 0;
		}
	}
	free(clips.v);
	free(mixed.v);
	free(both.v);
}

/* ---- trees ---- */

static struct lb_set set_of(const struct boxes *b, uint8_t family)
{
	struct lb_set s = { .n = b->n, .box = b->v };

	for (int f = 0; f < LB_FIELDS; f++)
		for (size_t i = 0; i < b->n; i++)
			if (b->v[i].lo[f] != 0 || b->v[i].hi[f] != lb_max(family, f))
				s.used |= (uint8_t)(1u << f);
	/* A set of several fields has two, and those of the ports are not in all classes. */
	if (!(s.used & (s.used - 1)))
		s.used |= 1u << LB_DST | 1u << LB_SRC;
	return s;
}

/* Cut points of a field: values at which boxes begin, one in 2^shift of them, chosen by a hash of
 * the value. */
struct cuts {
	enum lb_field field;
	size_t n;
	lb_num *v;   /* ascending, the first is 0 */
	double cost; /* boxes that a lookup meets, on average */
};

static int num_cmp(const void *a, const void *b)
{
	lb_num x = *(const lb_num *)a, y = *(const lb_num *)b;

	return x < y ? -1 : x > y;
}

static size_t part_of(const struct cuts *c, lb_num value)
{
	size_t lo = 0, hi = c->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->v[mid] <= value)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* False: this field does not tell them apart, or at too high a price. */
static bool cuts_find(const struct lb_set *s, enum lb_field f, struct cuts *ret)
{
	lb_num *v = xcalloc(s->n + 1, sizeof(*v));
	size_t n = 1, shift = 0, copies = 0, *size;
	double sum = 0;

	for (size_t i = 0; i < s->n; i++)
		v[i + 1] = s->box[i].lo[f];
	qsort(v, s->n + 1, sizeof(*v), num_cmp);
	for (size_t i = 1; i <= s->n; i++)
		if (v[i] != v[n - 1])
			v[n++] = v[i];
	while (n * LB_LEAF > s->n << (shift + 1))
		shift++;
	*ret = (struct cuts){ .field = f, .n = 1, .v = v };
	for (size_t i = 1; i < n; i++)
		if (!(hash_bytes(&v[i], sizeof(v[i]), 0) & ((1ull << shift) - 1)))
			v[ret->n++] = v[i];
	size = xcalloc(ret->n, sizeof(*size));
	for (size_t i = 0; i < s->n; i++) {
		size_t last = part_of(ret, s->box[i].hi[f]);

		for (size_t p = part_of(ret, s->box[i].lo[f]); p <= last; p++) {
			size[p]++;
			copies++;
		}
	}
	for (size_t p = 0; p < ret->n; p++)
		sum += (double)size[p] * (double)size[p];
	ret->cost = sum / (double)MAX(copies, (size_t)1);
	free(size);
	if (ret->n > 1 && copies <= 2 * s->n + LB_LEAF && ret->cost * 2 < (double)s->n)
		return true;
	free(v);
	return false;
}

/* Takes the boxes. */
static void tree_build(struct lb_node *node, const struct boxes *b, uint8_t family, unsigned depth)
{
	struct lb_set set = set_of(b, family);
	struct cuts best = { .v = NULL }, c;
	struct boxes *part;

	for (enum lb_field f = LB_DST; set.n > 2 * LB_LEAF && depth < MAX_DEPTH && f < LB_FIELDS;
	     f++) {
		if (!cuts_find(&set, f, &c))
			continue;
		if (best.v && best.cost <= c.cost) {
			free(c.v);
			continue;
		}
		free(best.v);
		best = c;
	}
	if (!best.v) {
		*node = (struct lb_node){ .leaf = true, .set = set };
		return;
	}
	part = xcalloc(best.n, sizeof(*part));
	for (size_t i = 0; i < set.n; i++) {
		size_t last = part_of(&best, set.box[i].hi[best.field]);

		for (size_t p = part_of(&best, set.box[i].lo[best.field]); p <= last; p++)
			push(&part[p], &set.box[i]);
	}
	*node = (struct lb_node){ .field = best.field,
				  .n = best.n,
				  .from = best.v,
				  .part = xcalloc(best.n, sizeof(*node->part)) };
	for (size_t p = 0; p < best.n; p++)
		tree_build(&node->part[p], &part[p], family, depth + 1);
	free(part);
	free(set.box);
}

static void tree_drop(struct lb_node *node)
{
	for (size_t i = 0; !node->leaf && i < node->n; i++)
		tree_drop(&node->part[i]);
	free(node->set.box);
	free(node->from);
	free(node->part);
	*node = (struct lb_node){ .leaf = true };
}

/* ---- ranks ---- */

/* The lowest rank of `ranks` above `rank` begins somewhere in (highest one below, rank + 1]: the
 * number there with the most zeros at its end, because a range from it splits into the fewest
 * aligned parts in the kernel. */
static uint32_t rank_from(const struct boxes *ranks, uint32_t rank)
{
	size_t lo = rank ? first_after(ranks, rank - 1) : 0;
	uint32_t below, top = rank + 1;

	if (lo == 0)
		return 0;
	below = ranks->v[lo - 1].rank;
	while ((top & (top - 1)) > below)
		top &= top - 1;
	return top;
}

/* ---- blocks ---- */

bool lb_empty(const struct lb_tables *t)
{
	return t->a.leaf && t->late.leaf && t->c.leaf &&
	       t->a.set.n + t->b.n + t->late.set.n + t->c.set.n == 0;
}

static void block_drop(struct lb_block *b)
{
	for (int c = 0; c < LB_CLASSES; c++) {
		struct lb_tables *t = &b->class[c];

		tree_drop(&t->a);
		tree_drop(&t->late);
		tree_drop(&t->c);
		free(t->b.box);
		free(t->ca.box);
		free(t->cb.box);
		t->b = t->ca = t->cb = (struct lb_set){ 0 };
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

static enum lb_field pick_lead(const struct boxes *all, uint8_t family)
{
	size_t dst = 0, src = 0;

	for (size_t i = 0; i < all->n; i++) {
		bool d = specific(&all->v[i], LB_DST, family);
		bool s = specific(&all->v[i], LB_SRC, family);

		dst += d && !s;
		src += s && !d;
	}
	/* Not for a few: whoever leads, most lines name both. */
	return src > 2 * dst && 4 * src > all->n ? LB_SRC : LB_DST;
}

static struct lb_set ranked(struct boxes *b, const struct boxes *over, uint8_t family)
{
	for (size_t i = 0; i < b->n; i++)
		b->v[i].from = rank_from(over, b->v[i].rank);
	return set_of(b, family);
}

static bool tables_build(struct lb_tables *t, const struct boxes *all, uint8_t family)
{
	struct boxes in[3] = { 0 }, out[3] = { 0 }, early[3] = { 0 }, ranked_c[2] = { 0 };
	enum lb_field other;
	bool fits = true;

	t->lead = pick_lead(all, family);
	other = t->lead == LB_DST ? LB_SRC : LB_DST;
	for (size_t i = 0; i < all->n; i++) {
		const struct lb_box *x = &all->v[i];

		push(&in[specific(x, t->lead, family) ? 0 : specific(x, other, family) ? 1 : 2], x);
	}
	for (int i = 0; i < 3; i++)
		fits = disjoint(&in[i], &out[i]) && fits;
	if (fits) {
		/* C into B, then B (with what came into it) and C into A. */
		settle(&in[1], &out[1], &in[2], &early[1]);
		settle(&in[0], &out[0], &in[1], &early[2]);
		settle(&in[0], &out[0], &in[2], &early[0]);
	}
	for (int i = 0; i < 2; i++)
		fits = disjoint(&early[i], &ranked_c[i]) && fits;
	t->ca = ranked(&ranked_c[0], &out[0], family);
	t->cb = ranked(&ranked_c[1], &out[1], family);
	t->late.leaf = true;
	if (early[2].n)
		t->b = ranked(&out[1], &out[0], family);
	else
		tree_build(&t->late, &out[1], family, 1);
	tree_build(&t->a, &out[0], family, 0);
	tree_build(&t->c, &out[2], family, 1);
	for (int i = 0; i < 3; i++) {
		free(in[i].v);
		free(early[i].v);
	}
	return fits;
}

static bool block_tables(struct lb_block *b, const struct pol_list *l, bool by_seq)
{
	uint32_t max = l->n == 0 ? 0 : by_seq ? l->rules[l->n - 1]->seq : (uint32_t)l->n;
	bool fits = true;

	for (b->none = UINT8_MAX; b->none <= max;)
		b->none = b->none << 1 | 1;
	for (int c = 0; c < LB_CLASSES; c++) {
		struct boxes all = { 0 };

		for (size_t i = b->first; i < b->end; i++)
			if (!lb_is_void(l->rules[i]))
				line_boxes(l->rules[i], (uint32_t)i,
					   by_seq ? l->rules[i]->seq : (uint32_t)i, c, &all);
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
		if (!p->blocks[i].linear)
			block_drop(&p->blocks[i]);
	free(p->blocks);
	free(p);
	return NULL;
}
