/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: bit vectors, the form of a family of up to VEC_MAX_RULES rules.
 *
 * Each field is split where rules begin and end; the parts whose rules are the same are one class.
 *
 *	axis	value -> part -> class, by a search of 16 ends a step, or by a table of values
 *	fold	(class of what went before, class of the next field) -> class of both
 *	bits	class -> one bit a rule, lowest first: of sources, destinations, and all the rest
 *
 * The rest (ports, protocol, zones) has few combinations, so folds bring it to one class; sources
 * with destinations would have too many. Three rows are ANDed, the first bit is the rule.
 *
 * An axis of L steps is a tree of nodes of 16 ends with 17 children, whose children are numbered
 * along, so that the number reached below the last step is the part: how many ends are below the
 * value. Ends are signed with the top bit flipped, which is what vector compares want. Those that
 * fill up are the greatest value: none is above it, so nodes behind them are never reached.
 */
#ifndef FP_CLASSIFY_VEC_H
#define FP_CLASSIFY_VEC_H

#include "classify_impl.h"

/* Rows are read to the end: beyond four lines a row trees are as fast, and classes grow with the
 * rules, so that memory grows with their square. */
#define VEC_MAX_RULES  2048u
#define VEC_MAX_STEPS  3u /* 17^3 - 1 = 4912 ends; 2048 rules have at most 4096 */
#define VEC_NODE       16u
#define VEC_LINE_RULES 512u
#define VEC_LINE_WORDS 8u
#define VEC_FOLDS      4u
#define VEC_BIAS       0x80000000u

struct cls_axis {
	const int32_t *end;       /* nodes of all steps, the root first */
	const uint16_t *class_of; /* by part, or by value up to last when there are no steps */
	unsigned steps;
	uint32_t last;
};

struct cls_fold {
	const uint16_t *class_of; /* [before * n + class of this field] */
	uint32_t n;
};

struct cls_vec_rule {
	uint32_t id;
	uint32_t meta; /* [31:1] order [0] more to compare */
};

struct cls_vec {
	void *mem; /* everything that the pointers below show into */
	size_t bytes;
	unsigned lines; /* a row */
	unsigned n_folds;
	struct cls_axis axis[DIM__MAX];
	struct cls_fold fold[VEC_FOLDS]; /* fold[i] takes DIM_DPORT + i in */
	const uint64_t *src, *dst, *rest;
	const struct cls_vec_rule *rule; /* by bit */
};

/* Bit vectors of n rules; id is by order. 0; -E2BIG when they are too many or do not fit into the
 * bound of memory; -ENOMEM. Fills v only on success. */
int cls_vec_build(struct cls_vec *v, const struct cls_core_rule *rules, size_t n,
		  const uint32_t *id);

#endif
