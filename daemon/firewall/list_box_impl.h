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

/* `from` of what is no box of a table, while that is cut. */
#define LB_GUIDE UINT32_MAX

/* ---- list_box.c ---- */

/* Boxes of a line in a class. */
void lb_line_boxes(const struct pol_rule *r, uint32_t rank, enum lb_class class,
		   struct lb_boxes *out);
bool lb_specific(const struct lb_box *x, enum lb_field f, uint8_t family);
/* Sequence numbers are ranks. */
bool lb_by_seq(const struct pol_list *l);
uint32_t lb_none(const struct pol_list *l, bool by_seq);
/* B beside A, and what of C comes before that. */
bool lb_near(struct lb_tables *t, uint8_t family);

/* ---- list_cut.c ---- */

void lb_push(struct lb_boxes *b, const struct lb_box *x);
void lb_push_all(struct lb_boxes *to, const struct lb_boxes *from);
void lb_sort_by_rank(struct lb_boxes *b);
bool lb_overlap(const struct lb_box *a, const struct lb_box *b);
/* What both have; they overlap. All else is of a. */
struct lb_box lb_clip(const struct lb_box *a, const struct lb_box *b);
/* Takes what earlier boxes cover off the later ones. False: more than max pieces. */
bool lb_disjoint(const struct lb_boxes *in, struct lb_boxes *out, size_t max);
/* Each part of c that covers a later box of b, to clips; those of c that do, to early. Both in the
 * order of their ranks. False: too many. */
bool lb_find_early(const struct lb_boxes *b, const struct lb_boxes *c, struct lb_boxes *clips,
		   struct lb_boxes *early);
/* The first box of a higher rank. */
size_t lb_first_after(const struct lb_boxes *b, uint32_t rank);

/* Sets `from` of those beside boxes that are in the order of their ranks. */
void lb_set_froms(struct lb_boxes *b, const struct lb_boxes *over);

/* ---- list_tree.c ---- */

/* Cuts boxes, in the order of their ranks and not yet disjoint, into parts; `depth`: cuts that it
 * is behind. The cuts shall tell `guides` (NULL) apart, too. */
void lb_tree_build(struct lb_node *node, const struct lb_boxes *b, const struct lb_boxes *guides,
		   uint8_t family, unsigned depth);
/* Makes each part disjoint. False: more than max boxes. */
bool lb_tree_disjoint(struct lb_node *node, uint8_t family, size_t max);
/* Clips those of c that come before boxes of the tree into its disjoint parts, when that makes few
 * boxes more: then ret_early is empty, else it is them. */
void lb_tree_settle(struct lb_node *node, const struct lb_boxes *c, uint8_t family,
		    struct lb_boxes *ret_early);
/* Cuts parts that are still large once more; depth as above. */
void lb_tree_finish(struct lb_node *node, uint8_t family, unsigned depth);
/* What of c comes before boxes of a part, beside that part. After lb_tree_finish. False: more than
 * max boxes. */
bool lb_tree_beside(struct lb_node *node, const struct lb_boxes *c, uint8_t family, size_t max);
/* Where lines of A are others; c: what is beside it, clips: what was clipped into it (n 0: not). */
struct lb_patch_tree {
	const struct lb_boxes *gone, *come;
	struct lb_boxes clips[2], beside;
	uint8_t family;
};
void lb_tree_patch(struct lb_node *node, const struct lb_patch_tree *x);
/* Nothing of it is fresh. */
void lb_tree_stale(struct lb_node *node);
size_t lb_tree_size(const struct lb_node *node); /* boxes */
/* Ranks in it, ascending, as boxes of which nothing else is set. The caller frees. */
struct lb_boxes lb_tree_ranks(const struct lb_node *node);
void lb_tree_drop(struct lb_node *node);
/* Takes the boxes. */
struct lb_set lb_set_of(const struct lb_boxes *b, uint8_t family);

#endif
