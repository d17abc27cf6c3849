/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: which CPUs serve a queue of a NIC. The kernel's files for it are root's, so that the root
 * parent writes them when the worker asks: a message of fixed size, no path and no text.
 * Owns: nothing. Threads: none. Failure: -errno in the answer; an end without an answer is a
 * parent that went.
 */
#ifndef RTR_PARENT_QUEUE_H
#define RTR_PARENT_QUEUE_H

#include "nic/cpus.h"

enum parent_queue_what {
	PARENT_QUEUE_IRQ, /* number: the interrupt */
	PARENT_QUEUE_RPS, /* number: the receive queue */
	PARENT_QUEUE_XPS, /* number: the transmit queue */
};

struct parent_queue {
	uint32_t what; /* enum parent_queue_what */
	int32_t ifindex;
	uint32_t number;
	uint32_t pad;
	struct cpus cpus;
};
_Static_assert(sizeof(struct parent_queue) == 16 + CPUS_MAX / 8, "the message's layout");

/* Both: the file's path; false when there is no such interface, or the interrupt is not its own. */
#define PARENT_QUEUE_PATH 128
bool parent_queue_path(enum parent_queue_what what, int ifindex, unsigned number,
		       char ret[PARENT_QUEUE_PATH]);

/* Worker: from *ret_fd, which is the caller's, comes an int32_t: 0 or -errno. -ENOTCONN without a
 * parent. */
int parent_queue_ask(const struct parent_queue *q, int *ret_fd);

/* Parent: fd is the other end; stays the caller's. */
void parent_queue_serve(int fd);

#endif
