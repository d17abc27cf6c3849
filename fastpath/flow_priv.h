/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the process's half of the flow table, shared by flow.c (writers), flow_find.c
 * (readers), flow_evict.c (room), flow_quota.c (sources) and flow_adopt.c (lease, grace, adoption).
 * Nothing here is needed to understand the memory.
 */
#ifndef FP_FLOW_PRIV_H
#define FP_FLOW_PRIV_H

#include "flow.h"
#include "wheel.h"

#define CHAIN_END FLOW_NO_LINE

/* Free pairs on their way from the maintenance thread to a worker: one writer, one reader. */
struct flow_ring {
	uint32_t head RTR_CACHE_ALIGNED; /* maintenance:w wk:r */
	uint32_t tail RTR_CACHE_ALIGNED; /* wk:w maintenance:r */
	uint32_t mask;
	uint32_t *pair;
};

struct fp_flow_worker {
	struct fp_flow *t;
	unsigned id;
	uint64_t lock;                      /* epoch and owner as in a bucket's lock word */
	uint32_t stash[FLOW__FAMILIES];     /* wk:own a pair whose insert failed unseen, or none */
	uint32_t peek[FLOW__FAMILIES];      /* wk:own how far the ring's pairs are fetched ahead */
	struct wheel wheel[FLOW__FAMILIES]; /* wk:own */
	uint64_t stat[FP_FLOW_STAT__MAX];   /* wk:w any:r */
	uint32_t n_freed[FLOW__FAMILIES];   /* wk:w maintenance:r pairs it has given up so far */
	uint32_t hand[FLOW__FAMILIES];      /* wk:own flow_evict.c: the next pair to look at */
	uint32_t in_vain[FLOW__FAMILIES];   /* wk:own pairs looked at since one was evicted */
	struct flow_ring ring[FLOW__FAMILIES];
	/* Chains through flow_cold.next; one pushes, the other takes all. */
	uint32_t freed[FLOW__FAMILIES] RTR_CACHE_ALIGNED;   /* wk:push maintenance:take */
	uint32_t adopted[FLOW__FAMILIES] RTR_CACHE_ALIGNED; /* maintenance:push wk:take */
	/* Flows that others changed, through flow_table.link: 0 or pair + 2. any:push wk:take */
	uint32_t look[FLOW__FAMILIES] RTR_CACHE_ALIGNED;
	bool adopting; /* wk:own some of its flows may be on no wheel yet */
};

struct flow_table {
	struct flow_bucket *buckets;
	char *lines;
	struct flow_side *sides; /* IPv4's */
	struct flow_cold *cold;
	uint32_t *link; /* by pair: 0 = on no list of workers' look, 1 = the last, else pair + 2 */
	uint8_t *filed; /* wk:own by pair, while adopting: this process has put it on a wheel */
	uint32_t n_pairs, seg_pairs, bucket_mask;
	int32_t want; /* maintenance:w wk:rw pairs that workers shall make free */
	/* maintenance thread: */
	uint32_t n_reused;                         /* of what workers gave up */
	uint32_t *pool, n_pool;                    /* free pairs not yet given to a worker */
	uint32_t *waiting, n_waiting, max_waiting; /* lines: no slot, odd, for the grace period */
	uint64_t scan; /* adoption: pairs of the spare segment, all lines, all other pairs */
	bool scanning;
	unsigned next_worker;
};

struct fp_flow {
	struct flow_hdr *hdr;
	int lease_fd;
	unsigned n_workers;
	void (*grace)(void *ctx);
	void *grace_ctx;
	void (*freed)(void *ctx, enum flow_family fam, uint32_t pair, const flow_word *key[2]);
	void *freed_ctx;
	struct fp_flow_adoption adoption; /* maintenance:w any:r */
	uint64_t lock;                    /* of the maintenance thread, as a worker's */
	struct flow_table fam[FLOW__FAMILIES];
	struct flow_quota *quota; /* words: any:rw */
	struct fp_flow_worker *worker;
};

static inline unsigned flow_line_shift(enum flow_family fam)
{
	return fam == FLOW_4 ? 6 : 7;
}

static inline flow_word *flow_line(const struct flow_table *ft, enum flow_family fam, uint32_t line)
{
	return (flow_word *)(void *)(ft->lines + ((size_t)line << flow_line_shift(fam)));
}

static inline struct flow_side *flow_side(const struct flow_table *ft, enum flow_family fam,
					  uint32_t place)
{
	return fam == FLOW_4 ? &ft->sides[place]
			     : &((struct flow_line6 *)(void *)ft->lines)[place].side;
}

/* Both words of the side that do not change while the line lives, as one: {twin, name}. */
static inline uint64_t flow_side_load(const struct flow_table *ft, enum flow_family fam,
				      uint32_t place)
{
	return FLOW_LD((const void *)&flow_side(ft, fam, place)->name);
}

/* The places of a pair's lines. */
static inline void flow_places(const struct flow_table *ft, enum flow_family fam, uint32_t pair,
			       uint32_t ret[2])
{
	uint32_t n = 2 * ft->n_pairs,
		 place = __atomic_load_n(&ft->cold[pair].place, __ATOMIC_RELAXED);

	ret[0] = place < n ? place : 0;
	place = (uint32_t)(flow_side_load(ft, fam, ret[0]) >> 32);
	ret[1] = place < n ? place : 0;
}

static inline uint64_t flow_hash(const struct flow_hdr *hdr, enum flow_family fam,
				 const flow_word *key)
{
	return fam == FLOW_4 ? flow_hash4(hdr, (const struct flow_key4 *)(const void *)key)
			     : flow_hash6(hdr, (const struct flow_key6 *)(const void *)key);
}

static inline int flow_key_len(enum flow_family fam)
{
	return fam == FLOW_4 ? 2 : 5;
}

/* The slot that holds {gen, place}, or NULL. */
static inline struct flow_bucket *flow_slot_find(const struct flow_table *ft, uint64_t hash,
						 uint64_t slot, int *ret_s)
{
	for (int c = 0; c < 2; c++) {
		struct flow_bucket *b = &ft->buckets[flow_bucket_of(hash, ft->bucket_mask, c)];

		for (int s = 0; s < FLOW_SLOTS; s++)
			if (FLOW_LD(&b->slot[s]) == slot) {
				*ret_s = s;
				return b;
			}
	}
	return NULL;
}

/* flow_bucket.c. lock: the caller's, as in a bucket's lock word. */

/*
 * Takes the lock of first, the first bucket of some key, and returns its counters, counted again
 * when they may be wrong; -EBUSY when another holds it for long.
 */
int flow_bucket_lock(const struct fp_flow *t, enum flow_family fam, uint64_t lock, uint32_t first,
		     uint64_t *ret_spill);
void flow_bucket_unlock(struct flow_bucket *b, uint64_t spill);
uint64_t flow_spill_add(uint64_t spill, uint64_t hash);

/* The counters that bucket first should have; exact when its lock is held or nobody writes. */
uint64_t flow_spill_count(const struct fp_flow *t, enum flow_family fam, uint32_t first);

/* Clears the slot of the line in a place; a line without slot is left as it is. */
void flow_unpublish(const struct fp_flow *t, enum flow_family fam, uint64_t lock, uint32_t place,
		    uint16_t gen);

/* Frees bucket i of a dead holder's lock and makes its counters right. */
void flow_bucket_sweep(const struct fp_flow *t, enum flow_family fam, uint32_t i);

/* flow_quota.c; n_pairs of all families. NULL: no memory. */
struct flow_quota *flow_quota_new(uint32_t n_pairs);
struct flow_quota *flow_quota_free(struct flow_quota *q);

/* flow_evict.c, the maintenance thread: how many pairs are short; true when any are. */
bool flow_evict_want(struct fp_flow *t, enum flow_family fam);

static inline uint64_t flow_lock_make(const struct flow_hdr *hdr, unsigned owner)
{
	return (hdr->epoch & 0xffff) << FLOW_LOCK_EPOCH_SHIFT | (owner + 1);
}

/* word0 of a line that does not live; the epoch tells whose work it is. */
static inline uint64_t flow_w0_dead(const struct flow_hdr *hdr, uint16_t gen)
{
	return FLOW_W0(gen, FLOW_P_DEAD, 0, __atomic_load_n(&hdr->epoch, __ATOMIC_RELAXED));
}

static inline void flow_chain_push(struct flow_table *ft, uint32_t *head, uint32_t pair)
{
	uint32_t old = __atomic_load_n(head, __ATOMIC_RELAXED);

	do
		ft->cold[pair].next = old;
	while (!__atomic_compare_exchange_n(head, &old, pair, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED));
}

/* The worker has no use for the pair any more. */
static inline void flow_give_up(struct fp_flow_worker *w, enum flow_family fam, uint32_t pair)
{
	flow_chain_push(&w->t->fam[fam], &w->freed[fam], pair);
	__atomic_store_n(&w->n_freed[fam], w->n_freed[fam] + 1, __ATOMIC_RELAXED);
}

static inline void flow_stat_add(struct fp_flow_worker *w, enum fp_flow_stat which)
{
	__atomic_store_n(&w->stat[which], w->stat[which] + 1, __ATOMIC_RELAXED);
}

/* 1-second ticks of the wheels: 64 units of coarse time are 1.07 s. */
static inline uint32_t flow_tick(uint32_t time)
{
	return time >> 6;
}

#endif
