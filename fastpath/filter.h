/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: filters of system calls. The control thread may do what it needs but start programs, look
 * into others or change the machine; a worker may send, wait, keep time, and of bpf() only run a
 * program. Under sanitizers nothing is filtered: they need more calls than they say.
 * Owns: nothing. Threads: the calling one; threads that it starts later inherit. Failure: -errno.
 */
#ifndef FP_FILTER_H
#define FP_FILTER_H

int fp_filter_control(void);
int fp_filter_worker(void);
/* The thread of the mirror: its socket, memory, locks. */
int fp_filter_mirror(void);

#endif
