/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: memory that readers may still hold on its way through a grace period. The writer hands an
 * item to a hook; after a grace period it comes back, on the writer's thread, and is freed.
 * fib_rcu.h is the hook for liburcu's QSBR; without a hook there are no readers and nothing waits.
 *
 * Owns: nothing. Threads: the writer's; only the hook knows others. Failure: none.
 */
#ifndef FP_FIB_DEFER_H
#define FP_FIB_DEFER_H

#include <stdbool.h>
#include <stdint.h>

struct fib_defer {
	struct fib_defer *next; /* the hook's while it holds the item */
	uint64_t user[2];       /* likewise */
	void (*done)(struct fib_defer *d);
};

typedef void fib_defer_fn(void *ctx, struct fib_defer *d);
/* Calls done() of all whose time has come; wait: of all. */
typedef void fib_drain_fn(void *ctx, bool wait);

#endif
