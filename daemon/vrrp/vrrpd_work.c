/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vrrp/vrrpd_work.h"

#include "vrrp/vrrpd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Locked in memory like everything else. */
#define STACK_SIZE (64 << 10)
/* Items are copied on the thread's stack, aligned for any of them. */
#define ITEM_MAX 1024

static void ring_put(const struct work *w, struct work_ring *r, const void *item)
{
	unsigned head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint64_t one = 1;

	memcpy(r->items + head % w->places * w->size, item, w->size);
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	(void)!write(r->event_fd, &one, sizeof(one));
}

static bool ring_get(const struct work *w, struct work_ring *r, void *ret)
{
	unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (atomic_load_explicit(&r->head, memory_order_acquire) == tail)
		return false;
	memcpy(ret, r->items + tail % w->places * w->size, w->size);
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

static void *thread(void *arg)
{
	struct work *w = arg;
	_Alignas(max_align_t) char item[ITEM_MAX];
	uint64_t n = 1;

	(void)!write(w->done.event_fd, &n, sizeof(n)); /* it stands: see await_thread */
	for (;;) {
		while (ring_get(w, &w->todo, item)) {
			if (w->do_it(item))
				ring_put(w, &w->done, item);
		}
		if (read(w->todo.event_fd, &n, sizeof(n)) < 0 && errno != EINTR)
			return arg;
	}
}

/* Until the C library has set the thread up: it makes system calls for that (rseq) which our filter
 * forbids, and the filter comes next. On a busy machine the thread may well be later. */
static void await_thread(struct work *w)
{
	struct pollfd p = { .fd = w->done.event_fd, .events = POLLIN };

	while (poll(&p, 1, -1) != 1)
		;
	work_hear(w);
}

int work_init(struct work *w, unsigned watch)
{
	pthread_attr_t attr;
	pthread_t id;
	int r;

	if (w->size > ITEM_MAX)
		return -E2BIG;
	w->todo.event_fd = eventfd(0, EFD_CLOEXEC);
	w->done.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->todo.event_fd < 0 || w->done.event_fd < 0)
		return -errno;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&id, &attr, thread, w);
	pthread_attr_destroy(&attr);
	if (r)
		return -r;
	await_thread(w);
	vrrpd_watch(w->done.event_fd, watch);
	return 0;
}

void work_ask(struct work *w, const void *item)
{
	ring_put(w, &w->todo, item);
}

void work_hear(struct work *w)
{
	uint64_t n;

	(void)!read(w->done.event_fd, &n, sizeof(n));
}

bool work_answer(struct work *w, void *ret)
{
	return ring_get(w, &w->done, ret);
}
