/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: an ordered list of permit and deny lines turned into tables without order, so that the
 * kernel finds the first match at a cost that hardly grows with the number of lines.
 * firewall/list_compile.c makes nftables sets of them.
 *
 * Design: a line of a plain 5-tuple is one or more boxes {destination, source, two ports}. Boxes
 * of a protocol class (TCP, UDP, ICMP, others) stand in three tables: A, those specific in the
 * address that leads (destination or source, whichever has more); B, of the rest those specific in
 * the other; C, those specific in neither. Within a table, what earlier lines cover is cut off the
 * later ones, so its boxes are disjoint: at most one matches, a concatenated interval set finds it.
 *
 * Between tables the rank of the line decides. Mostly the more specific table's lines come first,
 * and tables are asked in the order A, B, C; lines that come before what they overlap in an earlier
 * table are clipped to it and put among it. Where that would make too many boxes (lines from one
 * host to anywhere and from anywhere to one host cross each other), they stand beside the earlier
 * table, with the rank found in that as one more field of their key, as nftables cannot compare two
 * ranks: its boxes have there the ranks that they come before. A packet's way through a part of A:
 *
 *	its other address is in no box of B beside A ("far"):
 *		A = rank; X {..., rank}                 -> X: of C, beside this part
 *		A                                       -> A
 *	else	A = rank; B {..., rank} = rank; CB      -> CB: of C, beside B
 *		A = rank; B                             -> B
 *		and X, A as above
 *
 * then through late B, all of B without a rank, for those not in A, with X of its own; then C, a
 * table, or lines as they are when they cross each other so often that they would be many boxes.
 *
 * Why trees: a set's cost is memory, about three cache lines for each 64 boxes and
 * byte of the key; one of 10,000 boxes took 5 us. So a table is first cut by a field into parts of
 * about LB_LEAF boxes, which a map of intervals tells apart, and a part that is still large by
 * another. Where it is cut is a matter of the values themselves, round ones first, then a hash.
 * A table is cut before its boxes are made disjoint, and each part is by itself: so a line more or
 * less changes the parts that it lies in, and lb_patch makes these alone (list_patch.c).
 *
 * Measured on ClassBench, 10,000 lines: docs/design/policy.md.
 *
 * What is not a plain 5-tuple (flags, DSCP, large groups ...) is judged line by line, in its
 * place: a list is a sequence of blocks, tried in order, each linear or tables. So is a run of
 * lines too short for tables. A run whose boxes would be too many is split.
 *
 * Owns: a program owns its boxes; its list must outlive it. Threads: any. Failure: none (aborts on
 * memory exhaustion); what does not fit becomes linear.
 */
#ifndef RTR_LIST_BOX_H
#define RTR_LIST_BOX_H

#include "firewall/policy.h"

/* Fewer lines than this cost less one after the other: a line is about 30 ns, a table 100. */
#define LB_MIN_LINES 8
/* Boxes of a class and table may be this many times the boxes before cutting, plus a few. */
#define LB_MAX_PER_LINE 8
#define LB_MAX_SPARE    8192
/* Boxes that one line may be: its sources x destinations x services. Larger ones are looked up
 * in the sets of their groups. */
#define LB_MAX_OF_LINE 64
/* Boxes of a part of a table, about. */
#define LB_LEAF 128

/* Lines of C, which come last, are left as lines when there are no more than so many and they would
 * be this many times the boxes: 160 lines cost up to 3 us, and boxes cost the commit. */
#define LB_C_LINES 160
#define LB_C_TIMES 8

enum lb_class { LB_TCP, LB_UDP, LB_ICMP, LB_OTHER, LB_CLASSES };
/* Ports: source and destination; ICMP: type << 8 | code in the first; others: protocol in the
 * first. What is not used is 0..65535. */
enum lb_field { LB_DST, LB_SRC, LB_P0, LB_P1, LB_FIELDS };

__extension__ typedef unsigned __int128 lb_num; /* host order; IPv4 in the low 32 bits */

struct lb_box {
	lb_num lo[LB_FIELDS], hi[LB_FIELDS];
	const struct pol_rule *line;
	uint32_t rank; /* of the line; ascending */
	uint32_t from; /* beside others: matches when the rank found is at least this */
};

struct lb_set {
	size_t n;
	struct lb_box *box;
	/* 1 << enum lb_field of those in which a box is less than everything; two at least */
	uint8_t used;
};

struct lb_node {
	bool leaf;
	struct lb_set set, beside; /* leaf; what of C is beside it */
	bool fresh;                /* leaf: not as it was before lb_patch */
	/* Cut by `field`: part i takes values from from[i] to the next one; from[0] is 0. */
	enum lb_field field;
	size_t n;
	lb_num *from;
	struct lb_node *part;
	/* A node that was made disjoint by itself, maybe cut again then: its boxes before. */
	bool whole;
	struct lb_set raw;
};

struct lb_tables {
	enum lb_field lead; /* LB_DST, LB_SRC */
	struct lb_node a, late, c;
	/* The lines of C one after the other, in place of its table: they cross too often. */
	size_t n_c;
	const struct pol_rule **c_lines;
	struct lb_set b, cb; /* of late and C, beside A */
	bool fresh;          /* these two */
	/* For lb_patch: B and C; what of them comes before A and is not in it; lines of A once. */
	struct lb_set in_b, in_c, early_b, early_c;
	size_t n_lines, n_changed;
};

struct lb_block {
	bool linear;
	size_t first, end; /* rules [first, end) of the list */
	struct lb_tables class[LB_CLASSES];
	uint32_t none; /* rank of "nothing found": all ones, above every rank */
};

struct lb_prog {
	const struct pol_list *list;
	size_t n_blocks;
	struct lb_block *blocks;
};

struct lb_prog *lb_build(const struct pol_list *list);
/* Makes of a list's program that of one in which few lines are others, next to which it costs
 * little; the same lines are the same objects. Marks what is not as it was. False: not possible,
 * nothing done. */
bool lb_patch(struct lb_prog *p, const struct pol_list *list);
struct lb_prog *lb_free(struct lb_prog *p); /* NULL */

/* The protocol class of a packet of a family. */
enum lb_class lb_class_of(uint8_t family, uint8_t proto);
/* True when the line is boxes; else it is judged by itself. */
bool lb_is_plain(const struct pol_rule *r);
/* Such a line never matches and is left out: not now in force, or only later fragments, which
 * connection tracking has put together, or a length that no packet has. */
bool lb_is_void(const struct pol_rule *r);
lb_num lb_addr(const struct rtr_addr *a);
/* The highest value of a field. */
lb_num lb_max(uint8_t family, enum lb_field f);
bool lb_empty(const struct lb_tables *t);

struct lb_ranges {
	size_t n;
	struct lb_range {
		lb_num lo, hi;
	} * v;
};
/* What boxes cover in a field, ascending. The caller frees v. */
struct lb_ranges lb_union(const struct lb_set *s, enum lb_field f);

#endif
