/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the policy in force, and its change. rtrd's blob becomes a struct fp_pol aside; then, by
 * one store each, the express lane takes its generation and the workers the policy itself. Flows of
 * the generation before still pass. The next sweep judges each of them again; when it has ended the
 * old policy is freed behind a grace period, and not before that the next blob is looked at.
 *
 *	fp_box_policy       rtrd's message
 *	fp_box_policy_turn  what is due
 *
 * A blob that cannot be used changes nothing. Of several that come meanwhile only the last one
 * counts. The one that is in force already, as after a restart, has no new generation: flows that
 * were judged by it need not be again.
 *
 * Owns: the policies. Threads: the control thread; a long list takes long to build, so a thread of
 * its own does that; `now` and `past` are read by workers and the keeper under QSBR. Failure: told
 *to rtrd (FASTPATH_JUDGED).
 */
#ifndef FP_BOX_POL_H
#define FP_BOX_POL_H

#include "fib_defer.h"
#include "worker.h"

#include <pthread.h>

struct fp_box;

struct fp_box_pol {
	struct fp_pol *now;  /* cp:w wk,keeper:r */
	struct fp_pol *past; /* cp:w keeper:r flows were judged by it before; NULL: not known */
	struct fp_pol *old;  /* the same until it is freed: its counters count */
	uint32_t tag;        /* of now */
	struct fp_box_blob {
		bool is;
		int fd;
		uint32_t tag;
		uint64_t size;
	} waits, in_work;
	pthread_t thread;    /* on in_work, while that is */
	uint32_t done;       /* thread:w cp:r */
	struct fp_pol *made; /* NULL: refused, text says why */
	uint64_t hash;       /* of its blob */
	char text[FASTPATH_TEXT];
	uint64_t sweep;           /* the one that judges flows again; 0: none is due */
	uint64_t judged0, ended0; /* the keeper's figures before */
	uint64_t version;         /* changes with now and old */
	uint64_t told;            /* the one that hits are being told of */
	bool fading;              /* old waits for readers */
	struct fib_defer defer;
};

/* Takes over fd. */
void fp_box_policy(struct fp_box *b, uint32_t tag, int fd, uint64_t size);
void fp_box_policy_turn(struct fp_box *b);
/* Something is due soon: turns shall come quickly. */
bool fp_box_policy_busy(const struct fp_box *b);
void fp_box_policy_fini(struct fp_box *b);

#endif
