/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: control nodes and their compilation into pieces of the readers' structure; between
 * lpm_rib.c (prefixes come and go) and lpm_node.c (runs, pieces, retirement). Nobody else's.
 * Threads: the writer. Failure: none; whoever calls has reserved lpm_node_bound units.
 */
#ifndef RTR_LPM_NODE_H
#define RTR_LPM_NODE_H

#include "lpm_rib.h"

#define LPM_CHILD 0xffu /* sorts after every length */

/* A prefix that ends in a level (len 1..bits of it), or the node below one value. One unit. */
struct lpm_item {
	uint16_t key;
	uint8_t len, pad;
	uint32_t val; /* next hop, or the child's index */
};

struct lpm_cn {
	uint32_t entry,
		bitmap; /* what the level above holds for it; bitmap in the root word only */
	uint32_t dflt;  /* inherited from the levels above */
	uint32_t items;
	uint16_t n, cap;
	uint8_t dirty, pad[3]; /* dirty: never compiled */
};

#define LPM_CN_UNITS    ((uint32_t)(sizeof(struct lpm_cn) / LPM_UNIT_SIZE))
#define LPM_BATCH_UNITS DIV_ROUND_UP((uint32_t)sizeof(struct lpm_retired), LPM_UNIT_SIZE)

static inline struct lpm_cn *lpm_cn_at(const struct lpm_rib *r, uint32_t idx)
{
	return lpm_arena_at(&r->ctl, idx);
}

static inline struct lpm_item *lpm_cn_items(const struct lpm_rib *r, const struct lpm_cn *cn)
{
	return lpm_arena_at(&r->ctl, cn->items);
}

static inline uint32_t lpm_item_order(unsigned key, unsigned len)
{
	return key << 8 | len;
}

/* The first item not before (key, len). */
static inline unsigned lpm_item_pos(const struct lpm_rib *r, const struct lpm_cn *cn, unsigned key,
				    unsigned len)
{
	const struct lpm_item *it = lpm_cn_items(r, cn);
	unsigned lo = 0, hi = cn->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (lpm_item_order(it[mid].key, it[mid].len) < lpm_item_order(key, len))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static inline struct lpm_item *lpm_item_find(const struct lpm_rib *r, const struct lpm_cn *cn,
					     unsigned key, unsigned len)
{
	unsigned pos = lpm_item_pos(r, cn, key, len);
	struct lpm_item *it = lpm_cn_items(r, cn) + pos;

	return pos < cn->n && it->key == key && it->len == len ? it : NULL;
}

/* Units of data that compiling cn can take, with up to one item more than it has. */
size_t lpm_node_bound(const struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn);
/* The same with every node below that inherits through it. */
size_t lpm_node_bound_deep(const struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn);
/* Compiles cn after a change among keys first..last, and the nodes below whose inherited entry
 * changes. cn->entry and cn->bitmap are then what the level above has to hold. What was replaced is
 * retired. */
void lpm_node_compile(struct lpm_rib *r, unsigned lv, struct lpm_cn *cn, uint32_t dflt,
		      unsigned first, unsigned last);
#define LPM_ALL_KEYS 0, 4095
/* Where the compiled parent holds the entry for key; it must have a run of its own. */
uint32_t *lpm_node_entry(const struct lpm_rib *r, unsigned lv, const struct lpm_cn *cn,
			 unsigned key);
/* Retires the compiled form, or frees it when no reader ever saw it. */
void lpm_node_drop(struct lpm_rib *r, unsigned lv, struct lpm_cn *cn, bool seen);

#endif
