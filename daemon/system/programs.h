/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrd and the programs that belong to it, with how often each was started.
 * Owns: nothing. Threads: rtrd's loop only. Failure: one that never ran has 0 starts.
 */
#ifndef RTR_PROGRAMS_H
#define RTR_PROGRAMS_H

void programs_foreach(void (*fn)(void *arg, const char *name, unsigned starts), void *arg);

#endif
