/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: files that must be on the disk before it is said that they are: a disk takes milliseconds
 * for that, a busy or a failing one seconds, and the loop does not wait. A thread that lives for
 * one file does.
 * Owns: what is to be written. Threads: rtrd's loop; the thread touches its file's text and nothing
 * else. Failure: -errno; in_place tells whether the new file is there all the same, without the
 * promise that it survives a crash of the machine.
 */
#ifndef RTR_DISK_H
#define RTR_DISK_H

#include <event2/event.h>
#include <stdbool.h>

typedef void (*disk_done_fn)(void *arg, int error, bool in_place);

int disk_init(struct event_base *base);
/* Waits for what is being written; the rest is written, too. done is called. */
void disk_fini(void);
/* As rtr_file_replace, with mode 0600, one after the other; text is consumed. done is called from
 * the loop or from disk_fini, never from inside. */
void disk_replace(const char *path, char *text, disk_done_fn done, void *arg);
/* Something is being written, or waits for it. */
bool disk_busy(void);

#endif
