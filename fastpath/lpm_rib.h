/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the writer's side of a route table: which prefixes there are, and the compiler that turns
 * a change among them into new pieces of the readers' structure. IPv4 and IPv6 share it.
 *
 * The address is cut into levels by a shape. The root level is an array with one word a value; a
 * prefix no longer than it lies in a heap-ordered array (index 2^len + bits). Below, each value
 * that holds longer prefixes has a control node: the sorted array of the prefixes that end in its
 * level and of the nodes below it. From that array one sweep with a stack of at most 14 covering
 * prefixes makes the runs of equal entries, and those are written in the form of the level's kind:
 *
 *	LPM_K_SPLIT	32 values: a split word (lpm_range.h), which is the root's word
 *	LPM_K_ARRAY	256 entries, changed in place
 *	LPM_K_NODE	a node of up to 4,096 values, in whichever form suits (lpm_range.h)
 *
 * A change compiles what it changes: its own node (in arrays and dense nodes only the words that it
 * covers), nodes below that inherit another entry, those above only while the entry they hold for
 * it is not a node before and after.
 *
 * Publishing: a new piece is written in full, then one release store of a root word or of an entry
 * puts it in place; readers acquire. Runs with unchanged ends are stored in place. A lookup sees
 * for its address the old or the new route, never anything else; a prefix that spans several
 * pieces changes piece by piece.
 *
 * Memory that readers may still hold is gathered in batches of LPM_RETIRED_MAX blocks. A full
 *batch, or by lpm_rib_flush a partial one, goes to the caller's hook once nothing published points
 *at its blocks; after a grace period the caller gives it back by lpm_retired_release. Nothing
 *waits.
 *
 * Owns: its two arenas and the root. Threads: one writer, which also releases batches; any number
 * of readers through the published words. Failure: a change that lacks memory returns -ENOMEM
 * before it has touched anything. Deletions may use a reserve that insertions leave alone; only
 *that of a prefix over very many nodes can still fail, and succeeds once longer ones are gone.
 */
#ifndef RTR_LPM_RIB_H
#define RTR_LPM_RIB_H

#include "lpm_mem.h"
#include "lpm_range.h"

#define LPM_MAX_LEVELS  12
#define LPM_RETIRED_MAX 1015

/* An address, left-aligned: IPv4 in the upper half of hi. */
struct lpm_key {
	uint64_t hi, lo;
};

enum lpm_kind { LPM_K_ROOT, LPM_K_SPLIT, LPM_K_ARRAY, LPM_K_NODE };

struct lpm_level {
	uint8_t off, bits, kind; /* no level crosses bit 64 */
};

struct lpm_shape {
	uint8_t addr_bits, n_levels;
	struct lpm_level level[LPM_MAX_LEVELS];
};

struct lpm_rib;

/* A batch on its way through a grace period. next and user are the hook's while it holds the batch.
 */
struct lpm_retired {
	struct lpm_retired *next;
	uint64_t user[4];
	struct lpm_rib *rib;
	uint32_t self, n;
	struct {
		uint32_t idx, units;
	} block[LPM_RETIRED_MAX];
};

typedef void lpm_defer_fn(void *ctx, struct lpm_retired *batch);

struct lpm_params {
	size_t max_data_bytes; /* limit of the readers' memory besides the root; 0 = 1 GB */
	size_t max_ctl_bytes;  /* limit of the writer's; 0 = 2 GB */
	lpm_defer_fn *defer;   /* NULL: blocks are reused at once (no concurrent readers) */
	void *defer_ctx;
};

struct lpm_route {
	struct lpm_key key;
	uint32_t nh;
	uint8_t len;
};

struct lpm_stats {
	size_t n_routes;
	size_t data_bytes;    /* what readers may touch: root and pieces, free lists included */
	size_t ctl_bytes;     /* the writer's prefixes and nodes */
	size_t retired_bytes; /* of data_bytes, waiting for a grace period */
};

struct lpm_run {
	uint32_t end, entry;
};

struct lpm_rib {
	const struct lpm_shape *shape;
	struct lpm_arena data, ctl;
	uint64_t *root;     /* rcu: bitmap << 32 | entry; one word a value of the root level */
	uint32_t *short_nh; /* heap order, next hops of prefixes inside the root level */
	uint32_t *top;      /* control node a root value, 0 = none */
	struct lpm_run *runs[LPM_MAX_LEVELS]; /* scratch, one a level since sweeps nest */
	void *scratch;
	size_t scratch_size;
	uint32_t dflt; /* rcu: the default route, kept out of the structure */
	bool huge;
	size_t n_routes, n_retired_units, root_words_used;
	lpm_defer_fn *defer;
	void *defer_ctx;
	struct lpm_retired *open, *full; /* being filled; filled in this change */
};

int lpm_rib_init(struct lpm_rib *r, const struct lpm_shape *shape, const struct lpm_params *p);
/* No reader is left, and no batch will be released any more: the memory goes as a whole. */
void lpm_rib_fini(struct lpm_rib *r);

/* Fills an empty table. route(ctx, i) gives routes by (key, len) ascending, without host bits and
 * without doubles. -EINVAL when they are not so, -EEXIST when the table is not empty, -ENOMEM; the
 * table is then empty as before. */
typedef struct lpm_route lpm_route_fn(const void *ctx, size_t i);
int lpm_rib_build(struct lpm_rib *r, lpm_route_fn *route, const void *ctx, size_t n);

/* Adds a prefix or changes its next hop (1 to LPM_NH_MAX). 0, -EINVAL, -ENOMEM. */
int lpm_rib_set(struct lpm_rib *r, struct lpm_key key, unsigned len, uint32_t nh);
/* 0, -ENOENT, -EINVAL, -ENOMEM. */
int lpm_rib_del(struct lpm_rib *r, struct lpm_key key, unsigned len);
/* The next hop of exactly that prefix; 0 = not there. */
uint32_t lpm_rib_get(const struct lpm_rib *r, struct lpm_key key, unsigned len);
void lpm_rib_flush(struct lpm_rib *r);
void lpm_rib_stats(const struct lpm_rib *r, struct lpm_stats *ret);

/* The writer's thread, after a grace period since the hook got it. */
void lpm_retired_release(struct lpm_retired *batch);

static inline unsigned lpm_key_bits(struct lpm_key k, unsigned off, unsigned n)
{
	uint64_t w = off < 64 ? k.hi << off : k.lo << (off - 64);

	return (unsigned)(w >> (64 - n));
}

#endif
