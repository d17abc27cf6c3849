/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the memory layout that the builder of the classifier writes and its lookups read.
 *
 * One family is one arena of 32-bit words, holding cut tables and leaves:
 *
 *	ref (64 bits)	[63] leaf  [62:55] leaf: rules, 255 = see its first word
 *			[54:40] mask  [39:37] key word  [36:32] shift  [31:0] offset in words
 *	cut table	ref[mask + 1], on an even word; child = (key[word] >> shift) & mask
 *	leaf		blocks of up to 8 rules in order, each a structure of arrays of its m rules:
 *			src_lo[m] src_span[m] dst_lo[m] dst_span[m] port_lo[m] port_span[m] meta[m],
 *			and zone[m] zone_mask[m] when any rule of the family names a zone
 *	meta		[31:10] order  [9] more to compare: FLAG_EXTRA  [8] any protocol  [7:0]
 *protocol
 *
 * A leaf's mask is 0, so that the address of what is next is the same arithmetic for cuts and
 * leaves and the descent has no branch on the kind. x is in lo..lo+span when x - lo <= span,
 * unsigned. Loads of eight lanes may run past a short block: the arena ends in enough slack.
 */
#ifndef FP_CLASSIFY_IMPL_H
#define FP_CLASSIFY_IMPL_H

#include "classify.h"

enum cls_dim {
	DIM_SRC,
	DIM_DST,
	DIM_SPORT,
	DIM_DPORT,
	DIM_PROTO,
	DIM_ZONE_IN,
	DIM_ZONE_OUT,
	DIM__MAX
};

#define REF_LEAF        (1ull << 63)
#define REF_COUNT_SHIFT 55
#define REF_COUNT_MAX   255u
#define REF_MASK_SHIFT  40
#define REF_WORD_SHIFT  37
#define REF_SHIFT_SHIFT 32
#define REF_MAX_BITS    15
#define REF_COUNT(ref)  ((uint32_t)((ref) >> REF_COUNT_SHIFT) & REF_COUNT_MAX)

#define META_ANY_PROTO   0x100u
#define META_EXTRA       0x200u
#define META_ORDER_SHIFT 10

#define BLOCK_RULES  8u
#define WORDS_A_RULE 7u
#define WORDS_ZONES  2u
#define ARENA_SLACK  16u /* words after the last block that its vector loads may touch */
#define MAX_TREES    4u
/* Bounds of an arena. A rule alone takes 28 to 36 bytes; the rest is for copies and tables. */
#define CLS_ARENA_PER_RULE 360u
#define CLS_ARENA_FIXED    (16u << 10)
#define BATCH              64u
#define MISC_FRAG(m)       ((m) >> 24)

/* What a leaf does not hold: compared only when META_EXTRA or a fragment asks for it. */
struct cls_extra {
	uint32_t misc_value, misc_mask; /* TCP flags and DSCP in their places of key misc */
	uint8_t frags;
	bool layer4;
};

struct cls_tree {
	uint64_t root;
	uint32_t first_order; /* of its rules: a better match found before skips the tree */
};

/* Sorted bounds of one 128-bit field: rank(x) = number of bounds <= x. */
struct cls_rank {
	struct fp_cls_addr *bound;
	uint32_t n;
};

struct cls_vec;

struct cls_family {
	struct cls_vec *vec; /* or NULL: trees */
	uint32_t *arena;
	size_t n_words;
	unsigned n_trees;
	struct cls_tree tree[MAX_TREES];
	bool zones;
	unsigned depth, longest;
};

/* Lookups of at most BATCH keys in one family. */
typedef void cls_core(const struct fp_cls *cls, const struct cls_family *f,
		      const struct fp_cls_key4 *keys, size_t n, uint32_t *ret_ids);

struct fp_cls {
	struct cls_family v4, v6;
	struct cls_rank src6, dst6;
	uint32_t *id;            /* by order */
	struct cls_extra *extra; /* by order */
	size_t n;
	cls_core *core4, *core6;
};

/* One rule as the tree builder sees it: inclusive ranges, v6 addresses as ranks. */
struct cls_core_rule {
	uint32_t lo[DIM__MAX], hi[DIM__MAX];
	uint32_t order;
	bool extra;  /* not decided by the ranges alone */
	bool layer4; /* decided by the ranges, but for later fragments */
};

/* Rules in order. Fills f; 0 or -ENOMEM with f empty. */
int cls_trees_build(struct cls_family *f, const struct cls_core_rule *rules, size_t n);

/* How to build: which tree each group of rules goes to, what a byte costs, how much may be tried.
 */
struct cls_plan {
	uint8_t tree_of[4];
	double memory_price;
};
#define CLS_GROUP_SRC_WIDE 1u
#define CLS_GROUP_DST_WIDE 2u

/* One set of trees by the plan. work is lowered by the effort; at 0 nodes become leaves. */
int cls_trees_try(struct cls_family *f, const struct cls_core_rule *rules, const uint8_t *group,
		  size_t n, const struct cls_plan *plan, uint64_t *work);

/* Ranges lo[i]..hi[i] -> their bounds; 0 or -ENOMEM. */
int cls_rank_build(struct cls_rank *rank, const struct fp_cls_addr *lo,
		   const struct fp_cls_addr *hi, size_t n);
uint32_t cls_rank(const struct cls_rank *rank, const struct fp_cls_addr *a);
/* n <= BATCH keys with their addresses replaced by ranks. */
void cls_rank_keys(const struct fp_cls *cls, const struct fp_cls_key6 *keys, unsigned n,
		   struct fp_cls_key4 *ret);

bool cls_extra_match(const struct fp_cls *cls, uint32_t order, uint32_t misc);

static inline bool cls_in_pair(uint32_t pair, uint32_t lo, uint32_t span)
{
	return (uint16_t)(pair - lo) <= (uint16_t)span &&
	       (uint16_t)((pair >> 16) - (lo >> 16)) <= span >> 16;
}

/* Bit i = rule i of a block of m at w matches, all but META_EXTRA and fragments considered. */
static inline uint32_t cls_block_match(const uint32_t *w, unsigned m, const struct fp_cls_key4 *k,
				       bool zones)
{
	uint32_t hits = 0;

	for (unsigned i = 0; i < m; i++) {
		uint32_t meta = w[6 * m + i];
		bool proto = meta & META_ANY_PROTO || (uint8_t)meta == (uint8_t)k->misc;
		bool hit = k->src - w[i] <= w[m + i] && k->dst - w[2 * m + i] <= w[3 * m + i] &&
			   cls_in_pair(k->ports, w[4 * m + i], w[5 * m + i]) && proto;

		if (zones)
			hit = hit && !((k->zones ^ w[7 * m + i]) & w[8 * m + i]);
		hits |= (uint32_t)hit << i;
	}
	return hits;
}

/* Where the child of a cut is for a key seen as words; for a leaf, the leaf. */
static inline const uint64_t *cls_child_at(const uint32_t *arena, uint64_t ref, const uint32_t *key)
{
	uint32_t slot = key[ref >> REF_WORD_SHIFT & 7] >> (ref >> REF_SHIFT_SHIFT & 31) &
			(uint32_t)(ref >> REF_MASK_SHIFT & 0x7fff);

	return (const uint64_t *)(const void *)(arena + (uint32_t)ref) + slot;
}

cls_core cls_core_portable, cls_vec_portable;
#ifdef __x86_64__
cls_core cls_core_avx2, cls_vec_avx2, cls_vec_avx512;
#endif

#endif
