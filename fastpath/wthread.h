/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the thread of a worker: turns while there are packets, sleep in poll when there are none,
 * and a sign of life every few milliseconds either way.
 *
 * A QSBR reader: quiescent after each turn, offline while it sleeps. The control thread stops it
 * between two turns to change its sockets; it never waits for anything else.
 *
 * Owns: the thread. Threads: calls are the control thread's. Failure: -errno of start.
 */
#ifndef FP_WTHREAD_H
#define FP_WTHREAD_H

#include "worker.h"

struct fp_wthread;

/* filter() is called in the thread before its first turn (seccomp); non-zero ends the process. */
int fp_wthread_start(struct fp_worker *w, int (*filter)(void), struct fp_wthread **ret);
struct fp_wthread *fp_wthread_stop(struct fp_wthread *t);

/* Between these the thread does not touch its worker. */
void fp_wthread_pause(struct fp_wthread *t);
void fp_wthread_resume(struct fp_wthread *t);

/* No sign of life any more: XDP gives it nothing. When a grace period has passed nothing is on its
 * way to it, and fp_wthread_stop loses nothing. */
void fp_wthread_leave(struct fp_wthread *t);

/* 0: it has not begun yet. */
uint32_t fp_wthread_tid(const struct fp_wthread *t);
uint64_t fp_wthread_cpu_ns(const struct fp_wthread *t);

#endif
