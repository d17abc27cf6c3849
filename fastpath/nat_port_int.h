/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the layout that the files of the port allocator share.
 *	nat_port.c   pool, slices, units, and the calls of nat_port.h
 *	nat_set.c    the engine that finds a port: sets and groups of a worker
 *	nat_block.c  subscribers: quotas and port blocks
 *	nat_eim.c    endpoint-independent mappings
 * Lock order: mapping by inside endpoint, subscriber, mapping by external endpoint.
 */
#ifndef FP_NAT_PORT_INT_H
#define FP_NAT_PORT_INT_H

#include "nat_port.h"

#include "hash.h"

#include <stdatomic.h>
#include <string.h>

#define NAT_NONE    UINT32_MAX
#define N_CHUNKS    1024 /* 65536 / 64: chunk numbers of one address and protocol */
#define CHUNK_WORDS (N_CHUNKS / 64)
#define LOW_CHUNKS  16 /* ports below 1024 */

enum { CLS_LOW, CLS_HIGH, CLS__MAX };

/* One cache line. Fields without a note belong to the owner while it owns the chunk. */
struct nat_chunk {
	_Atomic uint64_t back; /* any worker: ports that mappings give back */
	uint64_t used;         /* blocks only, under the subscriber's lock */
	uint32_t n_sets;       /* sets (blocks: used ports) in it: 0 = may be given back */
	uint32_t own_pos;      /* in the owner's list */
	uint32_t back_next;    /* in the owner's stack of returned chunks */
	uint32_t hold_next;    /* blocks: in the worker's hold list */
	uint16_t owner;        /* worker */
} RTR_CACHE_ALIGNED;

/* Idle units of one worker's home, of one (address, protocol, class). */
struct nat_slice {
	_Atomic uint64_t idle[CHUNK_WORDS];
} RTR_CACHE_ALIGNED;

/* What is asked for at one destination (or, NAT_EIM, at all). 24 bytes without holes: hashed. */
struct nat_key {
	uint8_t dst[16];
	uint32_t addr;
	uint16_t dport;
	uint8_t proto, cls;
};
_Static_assert(sizeof(struct nat_key) == 24, "hashed as bytes");

/* The 64 ports of a chunk at one destination. */
struct nat_set {
	uint64_t used;
	uint64_t held[2]; /* by hold turn */
	uint32_t group, chunk;
	uint32_t hash_next;
	uint32_t prev, next; /* sets of the group with room */
	uint32_t hold_next[2];
	bool listed, holding[2];
};

struct nat_group {
	struct nat_key key;
	uint32_t hash_next;
	uint32_t room; /* first set with a free port */
	uint32_t n_sets;
	uint32_t first; /* chunk of its first set, while that is the only one */
	uint32_t map;   /* which chunks it has, as bits, from the second set on; may be NONE */
};

struct nat_chunkmap {
	uint64_t w[CHUNK_WORDS];
};

/* Owned chunks of one (address, protocol, class). */
struct nat_owned {
	uint64_t w[CHUNK_WORDS]; /* by chunk number */
	uint32_t n, cap;
	uint32_t *list; /* chunk ids */
};

struct nat_counters {
	_Atomic uint64_t granted, freed, stolen, hold_cut, fail[3];
	_Atomic uint64_t in_use, held;
};

struct nat_worker {
	uint64_t rng;
	struct nat_owned *owned; /* [addr][proto][cls] */
	struct nat_set *sets;
	struct nat_group *groups;
	struct nat_chunkmap *maps;
	uint32_t *set_hash, *group_hash;         /* heads */
	uint32_t set_free, group_free, map_free; /* lists through hash_next, w[0] */
	uint32_t hold[NAT_P__MAX][2];            /* sets that rest, by turn */
	uint32_t blk_hold[NAT_P__MAX][2];        /* blocks that rest */
	uint8_t turn[NAT_P__MAX];
	uint32_t turn_start[NAT_P__MAX];
	uint32_t back_pending; /* returned chunks not yet looked at */
	struct nat_counters c;
	_Atomic uint32_t back RTR_CACHE_ALIGNED; /* any worker pushes */
} RTR_CACHE_ALIGNED;

struct nat_bucket {
	_Atomic uint32_t lock;
	uint32_t head;
};

/* Free records of a shared table: index in the low half, a tag against reuse in the high one. */
struct nat_stack {
	_Atomic uint64_t head;
	_Atomic uint32_t *next;
};

struct nat_sub {
	uint8_t addr[16];
	uint32_t hash_next;
	uint32_t refs; /* grants */
	uint32_t used[NAT_P__MAX];
	uint32_t block[NAT_P__MAX][NAT_MAX_BLOCKS]; /* first chunk id; NONE = empty slot */
};

struct nat_mapping {
	struct nat_endpoint in;
	uint8_t proto;
	uint16_t worker; /* whose chunk the port is from */
	uint16_t port;
	uint32_t addr, refs, sub;
	uint32_t in_next, out_next;
};

struct nat_pool {
	struct nat_pool_conf conf;
	unsigned unit; /* chunks that are claimed together: 1, or those of a block */
	uint64_t usable[N_CHUNKS];
	/* Units of a class in port order, cut into slices of equal length. */
	uint32_t n_units[CLS__MAX];
	uint16_t unit_chunk[CLS__MAX][N_CHUNKS]; /* first chunk number */
	uint16_t chunk_unit[N_CHUNKS];
	uint16_t slice_of[N_CHUNKS]; /* home worker, by chunk number */
	uint32_t slice_first[CLS__MAX][NAT_MAX_WORKERS + 1];
	struct nat_chunk *chunks; /* [addr][proto][chunk number] */
	struct nat_slice *slices; /* [addr][proto][cls][worker] */
	struct nat_worker *workers;
	uint32_t set_mask, group_mask;

	bool use_subs;
	struct nat_sub *subs;
	struct nat_bucket *sub_hash;
	uint32_t sub_mask;
	struct nat_stack sub_free;

	struct nat_mapping *maps;
	struct nat_bucket *in_hash, *out_hash;
	uint32_t map_mask;
	struct nat_stack map_free;
};

static inline void nat_count(_Atomic uint64_t *c, int64_t by)
{
	/* Single writer: no locked instruction. */
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + (uint64_t)by,
			      memory_order_relaxed);
}

static inline uint64_t nat_rand(struct nat_worker *w)
{
	w->rng ^= w->rng >> 12;
	w->rng ^= w->rng << 25;
	w->rng ^= w->rng >> 27;
	return w->rng * 0x2545f4914f6cdd1dull;
}

static inline uint64_t nat_addr_hash(const uint8_t addr[16], uint64_t seed)
{
	uint64_t w[2];

	memcpy(w, addr, sizeof(w));
	return hash_mix64(w[0] ^ hash_mix64(w[1] ^ seed));
}

static inline void nat_lock(struct nat_bucket *b)
{
	while (atomic_exchange_explicit(&b->lock, 1, memory_order_acquire))
		while (atomic_load_explicit(&b->lock, memory_order_relaxed))
			;
}

static inline void nat_unlock(struct nat_bucket *b)
{
	atomic_store_explicit(&b->lock, 0, memory_order_release);
}

static inline uint32_t nat_chunk_id(uint32_t addr, unsigned proto, unsigned no)
{
	return (addr * NAT_P__MAX + proto) * N_CHUNKS + no;
}

static inline unsigned nat_chunk_no(uint32_t id)
{
	return id % N_CHUNKS;
}

int nat_stack_init(struct nat_stack *s, uint32_t n);
uint32_t nat_stack_pop(struct nat_stack *s);
void nat_stack_push(struct nat_stack *s, uint32_t i);

/* nat_port.c: units are claimed (NONE: all dry; _at: false when not idle) and given back. */
uint32_t nat_unit_claim(struct nat_pool *p, unsigned worker, uint32_t addr, unsigned proto,
			unsigned cls);
bool nat_unit_claim_at(struct nat_pool *p, uint32_t chunk);
void nat_unit_release(struct nat_pool *p, uint32_t chunk);
unsigned nat_class(const struct nat_pool *p, unsigned proto, uint16_t port);
uint32_t nat_home_addr(const struct nat_pool *p, const uint8_t in[16]);
/* One of the free bits, at random, of want's parity when asked for and possible. */
unsigned nat_pick_bit(struct nat_worker *w, const struct nat_pool *p, uint64_t free, uint16_t want);

/* nat_set.c: the engine. want: the inside port. */
int nat_engine_init(struct nat_pool *p);
void nat_engine_fini(struct nat_pool *p);
int nat_engine_alloc(struct nat_pool *p, unsigned worker, const struct nat_key *key, uint16_t want,
		     uint16_t *ret_port);
int nat_engine_take(struct nat_pool *p, const struct nat_key *key, uint16_t port,
		    uint16_t *ret_worker);
void nat_engine_free(struct nat_pool *p, unsigned worker, const struct nat_key *key, uint16_t port);
/* Ends the hold of turn's sets; stops when the budget is spent. */
void nat_engine_rested(struct nat_pool *p, unsigned worker, unsigned proto, unsigned turn,
		       unsigned *budget);
void nat_engine_take_back(struct nat_pool *p, unsigned worker, unsigned *budget);
/* A port of another worker's chunk goes home. */
void nat_engine_return(struct nat_pool *p, unsigned owner, uint32_t chunk, unsigned bit);

/* nat_block.c */
int nat_subs_init(struct nat_pool *p);
/* Counts one grant of the subscriber and, with blocks, takes a port. */
int nat_sub_take(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		 const struct nat_grant *fixed, struct nat_grant *g);
void nat_sub_give(struct nat_pool *p, unsigned worker, uint32_t sub, enum nat_proto proto,
		  const struct nat_grant *g);
void nat_block_rested(struct nat_pool *p, unsigned worker, unsigned proto, unsigned turn,
		      unsigned *budget);

/* nat_eim.c */
int nat_eim_init(struct nat_pool *p);
int nat_eim_alloc(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		  const struct nat_grant *fixed, struct nat_grant *g);
void nat_eim_free(struct nat_pool *p, unsigned worker, const struct nat_grant *g);

/* A port for one request without a mapping table: what EDM grants and mappings are made of. */
int nat_take_port(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		  const struct nat_grant *fixed, struct nat_grant *g);
void nat_give_port(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		   const struct nat_grant *g);

#endif
