/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a thread that does for the loop what may wait: the kernel's routing lock is held for half a
 * second by a commit of ten thousand routes.
 *
 *	loop --- work_ask -----> ring ---> thread: do_it(item)
 *	     <-- work_answer --- ring <--- the same item, with what has become of it
 *
 * Owns: two rings of items of one size, which the user gives as static memory (locked like
 * everything else). Threads: the loop is the one writer of the first and reader of the second, the
 * thread the other way round. Failure: none after the start; the user never has more items under
 * way than a ring has places.
 */
#ifndef RTR_VRRPD_WORK_H
#define RTR_VRRPD_WORK_H

#include "util.h"

struct work_ring {
	char *items;
	_Atomic unsigned head, tail;
	int event_fd;
};

struct work {
	size_t size;     /* of an item */
	unsigned places; /* in each ring: a power of 2 */
	/* In the thread. False: nobody waits for an answer. */
	bool (*do_it)(void *item);
	struct work_ring todo, done;
};

/* Memory for both rings, and what describes it. */
#define WORK_DEFINE(name, type, n, fn)                                                             \
	static type name##_items[2][n];                                                            \
	_Static_assert(((n) & ((n)-1)) == 0, "the counters of a ring wrap");                       \
	static struct work name = { .size = sizeof(type),                                          \
				    .places = (n),                                                 \
				    .do_it = (fn),                                                 \
				    .todo.items = (char *)name##_items[0],                         \
				    .done.items = (char *)name##_items[1] }

/* Starts the thread; answers are told to the loop as `watch`. 0 or -errno. */
int work_init(struct work *w, unsigned watch);
void work_ask(struct work *w, const void *item);
/* When the loop was told: before the answers are read. */
void work_hear(struct work *w);
/* The next answer; false: none. */
bool work_answer(struct work *w, void *ret);

#endif
