/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: tells systemd how the service is, by one datagram to $NOTIFY_SOCKET. Nothing without it.
 * Owns: one socket. Threads: none. Failure: ignored; systemd then acts on its own time-outs.
 */
#ifndef RTR_PARENT_NOTIFY_H
#define RTR_PARENT_NOTIFY_H

#include "util.h"

/* Reads and unsets NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Returns the watchdog's time in
 * ns when it watches us, else 0. */
uint64_t notify_init(void);
void notify_send(const char *state);
/* RELOADING=1 with the time stamp that Type=notify-reload wants. */
void notify_reloading(void);
void notify_fini(void);
/* Gives the environment back what notify_init took out of it, for a program in our place. */
void notify_export(void);

#endif
