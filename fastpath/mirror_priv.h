/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the mirror's inside, shared by mirror.c (which flows, when) and mirror_send.c (batches and
 * what the kernel answered).
 */
#ifndef FP_MIRROR_PRIV_H
#define FP_MIRROR_PRIV_H

#include "mirror.h"

#include <pthread.h>

#define MIRROR_BATCH 64

enum mirror_state {
	MIRROR_NONE,
	MIRROR_SEEN,    /* at: when first */
	MIRROR_PAST,    /* seen when it was closing: written at no age, only when its port leaves */
	MIRROR_WRITTEN, /* at: when the kernel's entry ends by itself; 0: unknown */
	MIRROR_GIVEN,   /* the kernel's, or it had its own. at: when it was asked for last; 0: never
			 */
};

/* What is known of a pair's flow. */
struct mirror_slot {
	uint16_t gen;
	uint8_t state; /* enum mirror_state */
	uint8_t zero;
	uint32_t at; /* units of rtr/flow.h */
};

/* ASK: is the entry that was given still there? */
enum mirror_kind { MIRROR_NEW, MIRROR_RENEW, MIRROR_RELEASE, MIRROR_END, MIRROR_ASK };

/* RENEW and ASK are two messages: the second one asks for the answers' tuple. */
struct mirror_item {
	enum mirror_kind kind;
	bool answers;
	enum flow_family fam;
	uint64_t ref; /* of the opener's half; 0: of no flow */
	uint32_t since;
};

/* An entry that goes with its flow, or a flow to hand over (take). */
struct mirror_job {
	bool take;
	enum flow_family fam;
	uint64_t ref;
	struct fp_mirror_flow flow; /* not of take */
};

struct mirror_batch {
	unsigned n;
	size_t size;
	uint32_t seq; /* of the last message */
	struct mirror_item item[MIRROR_BATCH];
	char buf[MIRROR_BATCH * FP_MIRROR_MSG];
};

struct fp_mirror {
	struct fp_mirror_conf conf;
	pthread_t thread;
	int fd;
	struct mirror_batch batch; /* mirror:own */
	bool adopted;              /* mirror:own entries of a process before were looked at */
	uint32_t budget;           /* mirror:own entries that may be written in this pass */

	/* All that follows: under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	struct mirror_slot *slot[FLOW__FAMILIES];
	struct mirror_job *job;
	size_t n_jobs, max_jobs;
	struct {
		uint16_t slot;
		bool give;
		uint64_t asked, answered;
	} port;
	struct fp_mirror_stats stats;
	bool stop;
};

/* mirror_send.c; the lock is not held. */
int mirror_open(struct fp_mirror *m);
/* Into the batch; sends it when it is full. */
void mirror_put(struct fp_mirror *m, const struct mirror_item *item,
		const struct fp_mirror_flow *f);
void mirror_flush(struct fp_mirror *m);
/* The kernel's count; -errno. */
int mirror_count(struct fp_mirror *m, uint32_t *ret_n, uint32_t *ret_max);
/* Entries with the mirror's label, one by one. */
int mirror_dump(struct fp_mirror *m,
		void (*each)(struct fp_mirror *m, const struct fp_mirror_flow *f));

#endif
