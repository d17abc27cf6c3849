/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: an ordered list of permit and deny lines turned into tables without order, so that the
 * kernel finds the first match at a cost that hardly grows with the number of lines.
 * firewall/list_table.c makes nftables sets of them.
 *
 * Design: a line of a plain 5-tuple is one or more boxes {destination, source, two ports,
 * protocol}. Those of a class of protocols stand in three tables, asked in this order: A, those
 * specific in the address that leads (destination or source, whichever has more); B, of the rest
 * those specific in the other; C, those specific in neither. A table is cut by a field into parts
 * of a few lines, which a map of intervals tells apart, and a part that is still large by another;
 * the lines of a part are rules, one after the other, without what all of the part's packets have.
 *
 * Mostly the more specific line comes first. A line of a later table that comes before one of a
 * part and overlaps it is put into the part, too, and with it what comes before that: then the part
 * is right by itself. Where these would be many (lines from one host to anywhere and from
 * anywhere to one host cross each other), lines of the part ask instead: what comes before any such
 * line is made disjoint, a concatenated interval set E that has the rank of the line that asks as
 * one more field, as nftables cannot compare two ranks: a box of E has there the ranks that it
 * comes before. Few packets have an address that E names (set N), and that is looked up first.
 *
 * Why rules: a rule is 15 us of the kernel at commit and 10-30 ns for a packet that it is not for.
 * A box of a concatenated set is 22 us, since a field that is any sets a bit in each bucket, and
 * the set is three cache lines for each 64 boxes and byte of the key: 0.6 us for one of 128 boxes,
 * 5 us for one of 10,000. Such a set is for parts that cuts leave large.
 *
 * A line more or less changes the parts that it lies in; lb_patch (list_patch.c) makes these anew
 * and leaves the other cuts of the table where they are.
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
#include "id_table.h"

/* Fewer lines than this cost less one after the other: a line is about 30 ns, a table 100. */
#define LB_MIN_LINES 8
/* Boxes that one line may be: its sources x destinations x services. Larger ones are looked up
 * in the sets of their groups. */
#define LB_MAX_OF_LINE 64
/* A part of twice as many lines is cut again. */
#define LB_LEAF 8
/* A part of more lines than this is a set, unless it would be this many times the boxes. */
#define LB_RULES     32
#define LB_SET_TIMES 4
/* Lines that a part takes in: of all later tables, and of C at least. */
#define LB_TAKE   4
#define LB_TAKE_C 64
/* What a line does is a chain of its own when so many parts have it. */
#define LB_SHARED 3

/* Of these, LB_PORTS is TCP and UDP, unless that has a class of its own: which it has when few
 * lines are for both, as else each line names its protocol. ICMP has one when a line names a type
 * of it. */
enum lb_class { LB_PORTS, LB_UDP, LB_ICMP, LB_OTHER, LB_CLASSES };
/* Ports: source and destination; ICMP: type << 8 | code in the first. What is not used is all. */
enum lb_field { LB_DST, LB_SRC, LB_P0, LB_P1, LB_PROTO, LB_FIELDS };

__extension__ typedef unsigned __int128 lb_num; /* host order; IPv4 in the low 32 bits */

struct lb_box {
	lb_num lo[LB_FIELDS], hi[LB_FIELDS];
	const struct pol_rule *line;
	uint32_t rank; /* of the line; ascending */
	uint32_t from; /* in E: comes before lines of at least this rank */
	bool asks;     /* in a part: a line in E may come before it */
};

struct lb_set {
	size_t n;
	struct lb_box *box;
	/* 1 << enum lb_field of those in which a box is less than everything; two at least */
	uint8_t used;
};

struct lb_node {
	bool leaf;
	/* Not as it was before lb_patch: the lines of a leaf; of a cut, which parts have some. */
	bool fresh;
	bool table; /* leaf: its boxes are disjoint, a set; else in the order of their ranks */
	struct lb_set set;
	struct lb_set own; /* leaf: of its table; what else is in `set` was taken in */
	struct lb_box at;  /* leaf: the values that lead to it */
	/* Cut by `field`: part i takes values from from[i] to the next one; from[0] is 0. */
	enum lb_field field;
	size_t n;
	lb_num *from;
	struct lb_node *part;
};

struct lb_tables {
	enum lb_field lead; /* LB_DST, LB_SRC */
	struct lb_node a, b, c;
	/* E; when TCP and UDP are one class, of TCP and of UDP. */
	struct lb_set early[2];
	size_t n_early; /* of these */
	bool near;      /* all of it is specific in the field that does not lead */
	size_t n_froms; /* the ranks that its boxes come before, each once, ascending */
	uint32_t *froms;
	struct lb_set later; /* for lb_patch: lines of B and C */
	size_t take_c;
	size_t n_lines, n_changed; /* for lb_patch: of A */
};

/* How often a line stands in parts that are rules, and does not ask there. */
struct lb_copies {
	uint64_t id; /* its rank + 1 */
	const struct pol_rule *line;
	size_t n;
};

struct lb_block {
	bool linear;
	size_t first, end; /* rules [first, end) of the list */
	struct lb_tables class[LB_CLASSES];
	bool udp, icmp; /* these classes are there */
	uint32_t none;  /* rank of "nothing found": all ones, above every rank */
	/* struct lb_copies, of when the block was built: lb_patch takes lines away only. */
	struct id_table copies;
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

bool lb_is_icmp(uint8_t family, unsigned proto);
/* The class of a packet in a block. */
enum lb_class lb_class_of(const struct lb_block *b, uint8_t family, uint8_t proto);
/* True when the line is boxes; else it is judged by itself. */
bool lb_is_plain(const struct pol_rule *r);
/* Such a line never matches and is left out: not now in force, or only later fragments, which
 * connection tracking has put together, or a length that no packet has. */
bool lb_is_void(const struct pol_rule *r);
/* Its line has a chain of its own, see LB_SHARED. */
bool lb_is_shared(const struct lb_block *b, const struct lb_box *x);
/* A box asks this E of its table. */
bool lb_asks(const struct lb_tables *t, const struct lb_box *x, int early);
lb_num lb_addr(const struct rtr_addr *a);
/* The highest value of a field. */
lb_num lb_max(uint8_t family, enum lb_field f);
bool lb_tree_empty(const struct lb_node *n);
bool lb_empty(const struct lb_tables *t);

struct lb_ranges {
	size_t n;
	struct lb_range {
		lb_num lo, hi;
	} * v;
};
/* What the boxes of sets cover in a field, ascending. The caller frees v. */
struct lb_ranges lb_union(const struct lb_set *s, size_t n, enum lb_field f);

#endif
