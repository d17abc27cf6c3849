/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the way of fib_defer.h through a grace period of liburcu's QSBR. A thread of its own waits
 * for grace periods, a batch at a time; what has waited long enough is freed by the writer when it
 * drains.
 *
 *	struct fib_rcu *rcu;
 *	fib_rcu_new(&rcu);
 *	fibctl_new(&(struct fibctl_params){ .defer = fib_rcu_defer, .drain = fib_rcu_drain,
 *					    .defer_ctx = rcu, ... }, &ctl);
 *	...
 *	fibctl_free(ctl);
 *	fib_rcu_free(rcu);
 *
 * Owns: the thread, and items on their way. Threads: all calls from the writer's, which needs not
 *be registered with liburcu; were it, it would have to be offline for the wait in fibctl_free.
 * Failure: -errno.
 */
#ifndef FP_FIB_RCU_H
#define FP_FIB_RCU_H

#include "fib_defer.h"

#include <stdbool.h>

struct fib_rcu;

int fib_rcu_new(struct fib_rcu **ret);
struct fib_rcu *fib_rcu_free(struct fib_rcu *r);

void fib_rcu_defer(void *rcu, struct fib_defer *d);
/* Frees what may be freed. wait: all, after a grace period. */
void fib_rcu_drain(void *rcu, bool wait);

#endif
