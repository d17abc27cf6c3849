/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: an ordered list of permit and deny lines turned into a few tables without order, so that
 * the kernel finds the first match at a cost that hardly grows with the number of lines.
 * firewall/list_compile.c makes nftables sets of them.
 *
 * Design: a line of a plain 5-tuple is one or more boxes {destination, source, two ports}. Boxes
 * of a protocol class (TCP, UDP, ICMP, others) stand in up to three tables: A, those with a
 * specific destination; B, of the rest those with a specific source; C, the others. Within a
 * table, what earlier lines cover is cut off the later ones, so its boxes are disjoint and at most
 * one matches: a concatenated interval set. Between tables the line's rank decides, without
 * comparing two registers, which nftables cannot: a box of B has as one more field the ranks of A
 * that it comes before, one of C those of A and of B:
 *
 *	C {ports, src, dst, rank A, rank B} hit: it is the first match
 *	B {src, dst, ports, rank A}         hit: it is
 *	A {dst, src, ports}                 hit: it is
 *
 * Why not one table: a later line for any source to one host and an earlier one from one host to
 * anywhere cross; cutting one out of the other multiplies them (ClassBench fw1: 738 x 4,071 lines).
 * Measured on ClassBench, 10,000 lines: 1.0-1.65 boxes a line and class; docs/design/policy.md.
 *
 * What is not a plain 5-tuple (flags, DSCP, limits, large groups ...) is judged line by line, in
 * its place: a list is a sequence of blocks, tried in order, each linear or tables. So is a run
 * of lines too short for tables, or whose boxes would be more than LB_MAX_PER_LINE a line.
 *
 * Owns: a program owns its boxes; its list must outlive it. Threads: any. Failure: none
 * (aborts on memory exhaustion); what does not fit becomes linear.
 */
#ifndef RTR_LIST_BOX_H
#define RTR_LIST_BOX_H

#include "firewall/policy.h"

/* Fewer lines than this cost less one after the other: a line is about 30 ns, a table 100. */
#define LB_MIN_LINES 8
/* Boxes of a class and table may be this many times the boxes before cutting, plus a few. */
#define LB_MAX_PER_LINE 8
#define LB_MAX_SPARE    1024
/* Boxes that one line may be: its sources x destinations x services. Larger ones are looked up
 * in the sets of their groups. */
#define LB_MAX_OF_LINE 64

enum lb_class { LB_TCP, LB_UDP, LB_ICMP, LB_OTHER, LB_CLASSES };
enum lb_table { LB_A, LB_B, LB_C, LB_TABLES };
enum lb_field { LB_DST, LB_SRC };

__extension__ typedef unsigned __int128 lb_addr; /* host order; IPv4 in the low 32 bits */

struct lb_box {
	lb_addr lo[2], hi[2]; /* by enum lb_field */
	/* Source and destination port; ICMP: type << 8 | code in the first; others: protocol in the
	 * first. What is not used is 0..65535. */
	uint16_t plo[2], phi[2];
	uint32_t rule;    /* index in the list */
	uint32_t rank;    /* of the rule; ascending */
	uint32_t from[2]; /* B, C: matches when the rank found in A (and B) is at least this */
};

struct lb_set {
	size_t n;
	struct lb_box *box;
};

struct lb_block {
	bool linear;
	size_t first, end; /* rules [first, end) of the list */
	struct lb_set set[LB_CLASSES][LB_TABLES];
	uint32_t none; /* rank of "nothing found": all ones, above every rank */
};

struct lb_prog {
	const struct pol_list *list;
	size_t n_blocks;
	struct lb_block *blocks;
};

struct lb_prog *lb_build(const struct pol_list *list);
struct lb_prog *lb_free(struct lb_prog *p); /* NULL */

/* The protocol class of a packet of a family. */
enum lb_class lb_class_of(uint8_t family, uint8_t proto);
/* True when the line is boxes; else it is judged by itself. */
bool lb_is_plain(const struct pol_rule *r);
/* Such a line never matches and is left out: not now in force, or only later fragments, which
 * connection tracking has put together, or a length that no packet has. */
bool lb_is_void(const struct pol_rule *r);

lb_addr lb_addr_of(const struct rtr_addr *a);

#endif
