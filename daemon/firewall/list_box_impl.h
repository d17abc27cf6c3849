/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the parts of list_box.h share: list_box.c (lines, tables), list_cut.c (boxes made
 * disjoint), list_tree.c (tables cut into parts). Owns, threads, failure: as there.
 */
#ifndef RTR_LIST_BOX_IMPL_H
#define RTR_LIST_BOX_IMPL_H

#include "firewall/list_box.h"

/* Shorter prefixes than this are not specific: 1/256 of the space. */
#define LB_SPECIFIC_BITS 8

struct lb_boxes {
	size_t n, room;
	struct lb_box *v;
};

/* ---- list_box.c ---- */

/* Boxes of a line in a class of a block. */
void lb_line_boxes(const struct lb_block *b, const struct pol_rule *r, uint32_t rank,
		   enum lb_class class, struct lb_boxes *out);
/* A line that names a type of ICMP. */
bool lb_has_type(const struct pol_rule *r);
bool lb_specific(const struct lb_box *x, enum lb_field f, uint8_t family);
/* Sequence numbers are ranks. */
bool lb_by_seq(const struct pol_list *l);
uint32_t lb_none(const struct pol_list *l, bool by_seq);

/* ---- list_cut.c ---- */

void lb_push(struct lb_boxes *b, const struct lb_box *x);
void lb_push_all(struct lb_boxes *to, const struct lb_boxes *from);
void lb_sort_by_rank(struct lb_boxes *b);
static inline bool lb_overlap(const struct lb_box *a, const struct lb_box *b)
{
	for (int f = 0; f < LB_FIELDS; f++)
		if (a->lo[f] > b->hi[f] || b->lo[f] > a->hi[f])
			return false;
	return true;
}
/* Takes what earlier boxes cover off the later ones. False: more than max pieces. */
bool lb_disjoint(const struct lb_boxes *in, struct lb_boxes *out, size_t max);
/* The first box of a higher rank. */
size_t lb_first_after(const struct lb_boxes *b, uint32_t rank);

/* Sets `from` of those beside boxes that are in the order of their ranks. */
void lb_set_froms(struct lb_boxes *b, const struct lb_boxes *over);

/* ---- list_tree.c ---- */

struct lb_build {
	uint8_t family;
	/* Lines of later tables, in the order of their ranks. Those specific in `other` are of B,
	 * and left out when this is B. */
	struct lb_boxes later;
	enum lb_field other;
	bool is_b;
	size_t n_c;    /* lines of C */
	size_t take_c; /* lines of C that a part takes in before it asks for them */
	bool *early;   /* set for those that lines of the table ask for; NULL: these are known */
};

/* Cuts boxes, in the order of their ranks, into parts and makes these; `depth`: cuts that the
 * table is behind. */
void lb_tree_build(struct lb_node *node, const struct lb_boxes *b, const struct lb_build *x,
		   unsigned depth);
/* Where lines of A are others: */
struct lb_change {
	struct lb_boxes gone, come;
};
void lb_tree_patch(struct lb_node *node, const struct lb_change *c, const struct lb_build *x,
		   unsigned depth);
/* Nothing of it is fresh. */
void lb_tree_stale(struct lb_node *node);
/* Ranks of lines that ask, as boxes of which nothing else is set. */
void lb_tree_asking(const struct lb_node *node, struct lb_boxes *to);
/* Counts the lines of parts: struct lb_copies. */
void lb_tree_copies(const struct lb_node *node, struct id_table *to);
void lb_tree_drop(struct lb_node *node);
/* Takes the boxes. */
struct lb_set lb_set_of(const struct lb_boxes *b, uint8_t family);

#endif
