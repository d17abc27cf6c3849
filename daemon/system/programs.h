/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrd and the programs that belong to it, with how often each was started, and how often it
 * ended by itself.
 * Owns: nothing. Threads: rtrd's loop only. Failure: one that never ran has 0 starts.
 */
#ifndef RTR_PROGRAMS_H
#define RTR_PROGRAMS_H

typedef void (*programs_fn)(void *arg, const char *name, unsigned starts, unsigned ends);
void programs_foreach(programs_fn fn, void *arg);

#endif
