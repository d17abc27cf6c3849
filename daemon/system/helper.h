/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the frame of a helper program that listens on packet sockets of interfaces: its start, its
 * sandbox, its loop. The other end is system/program.h.
 * Owns: the epoll descriptor. Threads: one. Failure: the program ends, and rtrd starts another.
 */
#ifndef RTR_HELPER_H
#define RTR_HELPER_H

#include "util.h"

#include <linux/filter.h>

#define HELPER_RTRD_FD 3
/* Frames, or sockets, in one turn, before requests and timers have theirs. */
#define HELPER_TURN 64

struct helper {
	const char *name;
	bool (*take_requests)(void); /* false: rtrd is gone */
	void (*take_frames)(int fd);
	int (*run_timers)(void); /* does what is due; the time to wait in ms, -1: for ever */
};

/* Runs until rtrd is gone; the program's exit status. */
int helper_main(const struct helper *h);
/* Descriptor 3 is rtrd's socket; else says that the program is not started by hand. */
bool helper_is_started(const char *name);
/* A packet socket that is watched, of a protocol (host order); what the interface sends itself is
 * not heard. -1: it could not be opened. */
int helper_open(int ifindex, uint16_t protocol, const struct sock_fprog *filter);
/* From now until due (UINT64_MAX: never), for run_timers. */
int helper_wait_ms(uint64_t due, uint64_t now);
/* For the spread of frames in time, where a guess by others does no harm. */
uint32_t helper_random(uint32_t below);

#endif
