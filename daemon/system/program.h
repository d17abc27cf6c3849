/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrd's end of a helper program that the root parent starts: its socket pair, its messages
 * of a fixed size, and its next start when it has ended, at once first, then ever later, until it
 * says something. Not rtr-vrrpd, which outlives rtrd and is found by its socket's path, and not
 * rtr-fastpath and rtr-captured, which have lines of their own.
 * Owns: the socket and the events; the struct is the user's, static. Threads: rtrd's loop only.
 * Failure: a program that does not start is tried again; where there is no parent (rtrd runs by
 * hand, a unit test) it never runs.
 */
#ifndef RTR_PROGRAM_H
#define RTR_PROGRAM_H

#include "system/parent.h"
#include "util.h"

struct event;

#define PROGRAM_EVENT_MAX 1024
/* Events taken in one turn of the loop; the program waits with the rest. */
#define PROGRAM_TURN 64

struct program {
	/* The user's. */
	enum parent_prog number;
	unsigned restart_min_ms, restart_max_ms;
	size_t event_size;                 /* of what it says */
	void (*take_event)(const void *e); /* event_size bytes; others are passed over */
	void (*talk)(void);                /* it has started, or takes more */
	void (*forget)(void);              /* the next one starts from nothing */
	void (*complain)(void);            /* it ended by itself: once, until it speaks again */

	/* The module's. */
	int fd;
	struct event *ev_read, *ev_write, *ev_start;
	unsigned backoff_ms;
	bool complained;
	bool no_parent;
	uint64_t n_starts;
};

/* 0 or -ENOMEM. Starts nothing. */
int program_init(struct program *p);
void program_fini(struct program *p);
/* Starts it from the loop's next turn, unless it runs or waits for its time. */
void program_start(struct program *p);
/* Ends it; nobody starts it again but program_start. */
void program_stop(struct program *p);
bool program_runs(const struct program *p);
/* False: not running, or its queue is full, and `talk` is called when it is not. */
bool program_send(struct program *p, const void *msg, size_t size);
/* With a descriptor, which stays the caller's; -1: none. */
bool program_send_fd(struct program *p, const void *msg, size_t size, int fd);

#endif
