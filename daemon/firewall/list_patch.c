/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line more, less or other in a long list: only the parts of A that it lies in are made anew. */
#include "firewall/list_box_impl.h"

#include <stdlib.h>

/* Lines; with more of them, or when they add up, all is made anew. */
#define MAX_LINES 16
/* A part of the lines of A. */
#define MAX_CHANGED 8

struct lines {
	size_t n;
	const struct pol_rule *v[MAX_LINES];
};

static bool lines_add(struct lines *l, const struct pol_rule *r)
{
	if (lb_is_void(r))
		return true;
	if (!lb_is_plain(r) || l->n == MAX_LINES)
		return false;
	l->v[l->n++] = r;
	return true;
}

/* False: too many lines, or one that is no box. */
static bool compare(const struct pol_list *a, const struct pol_list *b, struct lines *gone,
		    struct lines *come)
{
	size_t i = 0, k = 0;
	bool few = true;

	while (few && (i < a->n || k < b->n)) {
		if (i < a->n && k < b->n && a->rules[i] == b->rules[k])
			i++, k++;
		else if (k == b->n || (i < a->n && a->rules[i]->seq <= b->rules[k]->seq))
			few = lines_add(gone, a->rules[i++]);
		else
			few = lines_add(come, b->rules[k++]);
	}
	return few;
}

/* E as it is serves a line that nothing of it comes before, nor seems to: see lb_set_froms. */
static bool is_free(const struct lb_box *x, const struct lb_tables *t)
{
	for (size_t i = 0; i < t->later.n && t->later.box[i].rank < x->rank; i++)
		if (lb_overlap(x, &t->later.box[i]))
			return false;
	for (size_t k = 0; k < t->n_early; k++)
		for (size_t i = 0; i < t->early[k].n; i++)
			if (t->early[k].box[i].from <= x->rank &&
			    lb_overlap(x, &t->early[k].box[i]))
				return false;
	return true;
}

/* False: a box that is not of A. */
static bool boxes_add(struct lb_boxes *to, const struct lines *l, const struct lb_block *b,
		      enum lb_class class)
{
	const struct lb_tables *t = &b->class[class];

	for (size_t i = 0; i < l->n; i++)
		lb_line_boxes(b, l->v[i], l->v[i]->seq, class, to);
	for (size_t i = 0; i < to->n; i++)
		if (!lb_specific(&to->v[i], t->lead, l->v[0]->family))
			return false;
	return true;
}

static bool class_change(const struct lb_block *b, enum lb_class class, const struct lines *gone,
			 const struct lines *come, struct lb_change *ret)
{
	const struct lb_tables *t = &b->class[class];

	if (!boxes_add(&ret->gone, gone, b, class) || !boxes_add(&ret->come, come, b, class))
		return false;
	for (size_t i = 0; i < ret->come.n; i++)
		if (!is_free(&ret->come.v[i], t))
			return false;
	return (t->n_changed + ret->gone.n + ret->come.n) * MAX_CHANGED <= t->n_lines;
}

static void class_patch(struct lb_tables *t, const struct lb_change *c, uint8_t family)
{
	struct lb_build x = { .family = family,
			      .later = { .n = t->later.n, .v = t->later.box },
			      .other = t->lead == LB_DST ? LB_SRC : LB_DST,
			      .take_c = t->take_c };

	if (!c->gone.n && !c->come.n)
		return;
	t->n_changed += c->gone.n + c->come.n;
	lb_tree_patch(&t->a, c, &x, 0);
}

bool lb_patch(struct lb_prog *p, const struct pol_list *list)
{
	struct lb_block *b = p->blocks;
	struct lb_change change[LB_CLASSES] = { 0 };
	struct lines gone = { 0 }, come = { 0 };
	bool can = p->n_blocks == 1 && !b->linear && lb_by_seq(p->list) && lb_by_seq(list) &&
		   lb_none(list, true) == b->none && compare(p->list, list, &gone, &come);

	for (size_t i = 0; i < come.n && can; i++)
		can = b->icmp || !lb_has_type(come.v[i]);
	for (int c = 0; c < LB_CLASSES && can; c++)
		can = class_change(b, c, &gone, &come, &change[c]);
	for (int c = 0; c < LB_CLASSES; c++) {
		if (can) {
			struct lb_tables *t = &b->class[c];

			lb_tree_stale(&t->a);
			lb_tree_stale(&t->b);
			lb_tree_stale(&t->c);
			class_patch(t, &change[c], list->family);
		}
		free(change[c].gone.v);
		free(change[c].come.v);
	}
	for (size_t i = 0; i < gone.n && can; i++) {
		struct lb_copies *c = id_table_find(&b->copies, (uint64_t)gone.v[i]->seq + 1);

		if (c)
			c->n = 0;
	}
	if (can) {
		p->list = list;
		b->end = list->n;
	}
	return can;
}
