/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the flow table as user space sees it: find, insert, free, take over. rtr/flow.h draws the
 * memory; xdp/flow_lookup.h is the reader's protocol; this module is the writer's.
 *
 * Insert: each half takes a free line, its home if it can (compare-and-swap of word0), is filled
 * with gen odd and released with gen even, but does not live yet. Then the reverse direction's slot
 * is published, which is the test that the translated tuple is free, then the forward one's, and
 * then both lines are made to live. Key and rewrite never change while gen is even.
 * Free: both lines cease to live, both slots are cleared, gen becomes odd, the pair is chained for
 * fp_flow_maintain(), which waits for one grace period a batch (XDP: membarrier; workers:
 * conf.grace) and only then lets pair and lines be used again. No worker waits for that or makes
 * that call.
 *
 * Two buckets can hold a key. Nothing is ever moved, so a reader that sees no slot in either has
 * seen a miss. The first is taken while it has less than 5 of 7 slots in use, else the emptier:
 * with all pairs in use 73 % of hits then end in the first bucket, and 13 inserts of 100,000 find
 * both full (docs/design/flowtable.md). That is -ENOSPC like a table without free pairs: a clean
 * error, counted, never a wait.
 * Before pairs run out fp_flow_evict() ends flows that nobody has answered.
 *
 * A bucket's lock serialises inserts of one key: all who insert it take the lock of its first
 * bucket. A lock holder may be descheduled, so the wait is bounded (-EBUSY, counted).
 * The lock word counts the keys that have this first bucket but lie in their second; a reader that
 * sees 0 there is done (rtr/flow.h, struct flow_bucket). Who ends such a key takes the lock too.
 *
 * Adoption: the process that gets the lease (flock on conf.lease_path) raises the epoch, which
 * voids locks of the dead and tells what they had in hand from what this process has, hands out
 * free pairs of the spare segment at once, and looks at the rest in steps of fp_flow_maintain():
 * lines that are no half of a whole flow are removed, then living flows go to their worker's wheel.
 * Nothing but the table itself is trusted.
 *
 * Owns: the process's half (free lists, wheels); the memory is the caller's, flow_mem.h.
 * Threads: find, end, set_*: any. insert, free, age: the thread of that worker. maintain: one
 * thread, not a worker. Failure: -errno, counted by reason in fp_flow_stats.
 */
#ifndef FP_FLOW_H
#define FP_FLOW_H

#include "flow_mem.h"
#include "util.h"
#include "xdp/flow_lookup.h"

#define FP_FLOW_BURST 64

struct fp_flow;
struct fp_flow_worker;

struct fp_flow_conf {
	const char *lease_path; /* NULL: the caller knows that nobody else writes */
	unsigned n_workers;
	unsigned reserve; /* free pairs kept ready for each worker, a power of 2; 0 = 16384 */
	/* Returns when every worker has passed a quiescent point; NULL: workers have no readers
	 * that outlive a call. Called by fp_flow_maintain after the barrier for XDP. */
	void (*grace)(void *ctx);
	void *grace_ctx;
	/* A pair and its lines are about to be used again: the keys of the flow that they were,
	 * [0] the opener's, are read here for the last time. Called by fp_flow_maintain; may be
	 * NULL. */
	void (*freed)(void *ctx, enum flow_family fam, uint32_t pair, const flow_word *key[2]);
	void *freed_ctx;
};

/* One direction of a new flow. */
struct fp_flow_half {
	union {
		struct flow_key4 key4;
		struct flow_key6 key6;
		uint64_t key[5];
	};
	union {
		struct flow_rewrite4 rw4;
		struct flow_rewrite6 rw6;
		uint64_t rw[5];
	};
	struct flow_tcp tcp;
	uint64_t count; /* of its packets so far: FLOW_COUNT_ONE */
	uint32_t egress;
	uint8_t state, flags;
};

struct fp_flow_new {
	struct fp_flow_half dir[2]; /* [0] the direction that opens the flow */
	uint32_t time;              /* of the packet, units of rtr/flow.h */
	uint32_t timeout;           /* the same units */
	uint32_t rule;
	uint16_t policy;
	uint16_t nat_pool;
	uint16_t flags; /* enum flow_cold_flag */
};

#define FP_FLOW_STATS(X)                                                                           \
	X(INSERTED, "flows inserted")                                                              \
	X(FREED, "flows freed")                                                                    \
	X(EVICTED, "flows freed before their time, for room")                                      \
	X(NO_PAIR, "inserts refused: no free pair")                                                \
	X(NO_SLOT, "inserts refused: both buckets full")                                           \
	X(EXISTS_REV, "inserts refused: reverse tuple in use")                                     \
	X(EXISTS_FWD, "inserts refused: flow known already")                                       \
	X(BUSY, "inserts refused: bucket lock held too long")                                      \
	X(STALE, "uses of a flow that has ended")

enum fp_flow_stat {
#define X(id, text) FP_FLOW_STAT_##id,
	FP_FLOW_STATS(X)
#undef X
		FP_FLOW_STAT__MAX
};

struct fp_flow_adoption {
	uint64_t living, free; /* pairs seen so far */
	uint64_t repaired;     /* lines */
	bool done;
};

/*
 * Takes the lease, makes the header in blank memory or adopts what is there. -EBUSY: another
 * process holds the lease; -EPROTO: another layout or other sizes; -ENOSYS: no membarrier.
 */
int fp_flow_open(const struct fp_flow_mem *mem, const struct fp_flow_conf *conf,
		 struct fp_flow **ret);
struct fp_flow *fp_flow_close(struct fp_flow *t);

struct fp_flow_worker *fp_flow_worker(struct fp_flow *t, unsigned i);
const struct flow_hdr *fp_flow_hdr(const struct fp_flow *t);

/* Single lookups; see xdp/flow_lookup.h. */
enum flow_find fp_flow_find4(const struct fp_flow *t, const struct flow_key4 *key,
			     struct flow_hit4 *ret);
enum flow_find fp_flow_find6(const struct fp_flow *t, const struct flow_key6 *key,
			     struct flow_hit6 *ret);

/* The key of a direction by its reference; -ESTALE: it has ended. */
int fp_flow_key4(const struct fp_flow *t, uint64_t ref, struct flow_key4 *ret);
int fp_flow_key6(const struct fp_flow *t, uint64_t ref, struct flow_key6 *ret);

/*
 * n <= FP_FLOW_BURST lookups, every memory access fetched a stage ahead. Returns the mask of hits
 * and fills ret of those, line, side and twin of TCP only: they cost a cache line; bits of
 * *ret_stale: ended while it was read, look again or treat as new.
 */
uint64_t fp_flow_find4_burst(const struct fp_flow *t, const struct flow_key4 *keys, unsigned n,
			     struct flow_hit4 *ret, uint64_t *ret_stale);
uint64_t fp_flow_find6_burst(const struct fp_flow *t, const struct flow_key6 *keys, unsigned n,
			     struct flow_hit6 *ret, uint64_t *ret_stale);

/*
 * Fetch ahead what the call that follows will touch, a burst at a time: an insert of f (it takes
 * ready pairs in turn); a free of ref, in three steps: its cold entry, the opener's line, what that
 * leads to.
 */
void fp_flow_prefetch(struct fp_flow_worker *w, enum flow_family fam, const struct fp_flow_new *f);
void fp_flow_prefetch_free(const struct fp_flow_worker *w, enum flow_family fam, uint64_t ref);
void fp_flow_prefetch_lines(const struct fp_flow_worker *w, enum flow_family fam, uint64_t ref);
void fp_flow_prefetch_slots(const struct fp_flow_worker *w, enum flow_family fam, uint64_t ref);

/* 0 and the forward half's ref (the other one is ref ^ 1), -EEXIST, -ENOSPC or -EBUSY. */
int fp_flow_insert(struct fp_flow_worker *w, enum flow_family fam, const struct fp_flow_new *f,
		   uint64_t *ret_ref);

/* Either direction's ref ends the flow. -ESTALE: it has ended; -EBUSY: it is an adopted one that
 * has not reached its owner. The owner only. */
int fp_flow_free(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref);
/* The same for any thread: no packet takes the flow any more (FLOW_P_ENDED), and its owner frees it
 * with its next fp_flow_age. -ESTALE: it has ended, or is about to. */
int fp_flow_end(const struct fp_flow *t, enum flow_family fam, uint64_t ref);
unsigned fp_flow_owner(const struct fp_flow *t, enum flow_family fam, uint64_t ref);

/* Half ref waits for interfaces that XDP can use; false, and no longer: it did not. Any thread. */
void fp_flow_hold(const struct fp_flow *t, enum flow_family fam, uint64_t ref);
bool fp_flow_unhold(const struct fp_flow *t, enum flow_family fam, uint64_t ref);

/*
 * Changes of word0 of one direction; -ESTALE when ref has ended. A change of path needs inflight 0
 * (-EBUSY) unless forced; FLOW_P_EXPRESS comes after FLOW_P_WORKER only (-ESTALE): whoever decides
 * it does so before it is done.
 */
int fp_flow_set_path(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
		     enum flow_path path, bool force);
int fp_flow_set_flags(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref, uint8_t set,
		      uint8_t clear);
int fp_flow_set_policy(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
		       uint16_t policy);
int fp_flow_inflight_done(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref);

/* A direction has shown a larger window, or its scale: in its egress word and in the twin's side.
 */
int fp_flow_set_window(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
		       uint8_t win_log2, uint8_t scale);

/*
 * What a direction has sent and allowed, for who does not let it only grow (rtr/flow.h: side): the
 * twin's copy changes with it.
 */
int fp_flow_set_tcp(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
		    const struct flow_tcp *tcp);

/* Moves the counters of both directions into the cold entry; the owner only. */
int fp_flow_harvest(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref);
/* name: of either half (hit.line, or the lower half of a ref). */
struct flow_cold *fp_flow_cold(const struct fp_flow *t, enum flow_family fam, uint32_t name);

/*
 * Looks at flows whose time may be over, at most budget of them: ended ones are reported to end()
 * (counters harvested, still findable) and freed, others wait again. Adopted flows join here.
 */
unsigned fp_flow_age(struct fp_flow_worker *w, uint32_t now, unsigned budget,
		     void (*end)(void *ctx, enum flow_family fam, uint64_t ref), void *ctx);
/*
 * Flows with FLOW_COLD_COUNTED count for their source, an IPv4 address or an IPv6 /64 (the first
 * bytes of addr): take before insert, false when the source has max; the end of the flow gives it
 * back, or who took it when the insert fails. Any thread.
 */
bool fp_flow_quota_take(const struct fp_flow *t, enum flow_family fam, const uint8_t *addr,
			uint32_t max);
void fp_flow_quota_give(const struct fp_flow *t, enum flow_family fam, const uint8_t *addr);
/*
 * While pairs are short, looks at up to budget of each family and frees connections of this worker
 * that nobody has answered yet (UDP, half-open TCP) or that are closed (TCP: TIME_WAIT, CLOSE);
 * returns how many. Never one that is established, a cached route, or the kernel's.
 */
unsigned fp_flow_evict(struct fp_flow_worker *w, unsigned budget);
/* A new idle limit, counted from the last packet; takes effect at once. retime, and another worker
 * than the owner: with the owner's next fp_flow_age. */
void fp_flow_retime(const struct fp_flow *t, enum flow_family fam, uint64_t ref, uint32_t timeout);
int fp_flow_set_timeout(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
			uint32_t timeout);

/*
 * One step of the maintenance thread: grace period for what was freed, refills, at most budget
 * pairs of adoption. May sleep about 10 ms. Returns true when there is more to do at once.
 */
bool fp_flow_maintain(struct fp_flow *t, unsigned budget);
/* The refills alone, of pairs that are free already: for the same thread, while it does something
 * long. */
void fp_flow_refill(struct fp_flow *t);
void fp_flow_adoption(const struct fp_flow *t, struct fp_flow_adoption *ret);

uint64_t fp_flow_stat(const struct fp_flow *t, enum fp_flow_stat which);
const char *fp_flow_stat_text(enum fp_flow_stat which);

/* Now, in units of rtr/flow.h, by the clock that XDP uses. */
uint32_t fp_flow_now(void);
/* A time between two of them in milliseconds; 49 days at most. */
uint32_t fp_flow_ms(uint32_t units);

#endif
