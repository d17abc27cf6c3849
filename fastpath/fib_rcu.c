/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fib_rcu.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

struct fib_rcu {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more, less;
	struct fib_defer *waiting; /* for a grace period to begin */
	struct fib_defer *ready;   /* it has ended */
	bool in_grace, end;
};

/* The last of a list. */
static struct fib_defer *last_of(struct fib_defer *d)
{
	while (d->next)
		d = d->next;
	return d;
}

static void *grace_thread(void *arg)
{
	struct fib_rcu *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->end) {
		struct fib_defer *batch = r->waiting;

		if (!batch) {
			pthread_cond_wait(&r->more, &r->lock);
			continue;
		}
		r->waiting = NULL;
		r->in_grace = true;
		pthread_mutex_unlock(&r->lock);
		synchronize_rcu();
		pthread_mutex_lock(&r->lock);
		r->in_grace = false;
		last_of(batch)->next = r->ready;
		r->ready = batch;
		pthread_cond_signal(&r->less);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int fib_rcu_new(struct fib_rcu **ret)
{
	struct fib_rcu *r = calloc(1, sizeof(*r));
	sigset_t all, old;
	int err;

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	pthread_cond_init(&r->less, NULL);
	/* Signals are for the threads that wait for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&r->thread, NULL, grace_thread, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		free(r);
		return -err;
	}
	*ret = r;
	return 0;
}

struct fib_rcu *fib_rcu_free(struct fib_rcu *r)
{
	if (!r)
		return NULL;
	fib_rcu_drain(r, true);
	pthread_mutex_lock(&r->lock);
	r->end = true;
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->less);
	pthread_cond_destroy(&r->more);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

void fib_rcu_defer(void *rcu, struct fib_defer *d)
{
	struct fib_rcu *r = rcu;

	pthread_mutex_lock(&r->lock);
	d->next = r->waiting;
	r->waiting = d;
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
}

void fib_rcu_drain(void *rcu, bool wait)
{
	struct fib_rcu *r = rcu;
	struct fib_defer *d, *next;

	pthread_mutex_lock(&r->lock);
	while (wait && (r->waiting || r->in_grace))
		pthread_cond_wait(&r->less, &r->lock);
	d = r->ready;
	r->ready = NULL;
	pthread_mutex_unlock(&r->lock);
	for (; d; d = next) {
		next = d->next;
		d->done(d);
	}
}
