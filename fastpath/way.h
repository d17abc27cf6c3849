/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: asks the mirror of the kernel's tables (fib.h) for a worker: which way, may the source come
 * from there, is the neighbour known.
 *
 * Adjacencies are numbered anew by each process, while flows of the process before still name its
 * own. So a process has one half of the array, by its epoch in the flow table, and the next one the
 * other; the sweep moves the flows over.
 *
 * Owns: nothing. Threads: QSBR readers. Failure: a way, never else.
 */
#ifndef FP_WAY_H
#define FP_WAY_H

#include "fib.h"
#include "worker.h"

struct fp_way_conf {
	const struct fib *fib;
	uint32_t adj_base; /* index of the mirror's adjacency 0 in the array */
};

enum fp_way fp_way_find(const struct fp_way_conf *c, const struct fp_ask *ask,
			struct fp_answer *ret);

/* Of an ICMP error about the packet: struct fp_worker_ops. */
bool fp_way_error(const struct fp_way_conf *c, const struct fp_ask *about,
		  struct fp_error_way *ret);

#endif
