/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: `commit confirmed`: the model to go back to and the deadline, on disk below /run so that
 * neither a crash of rtrd nor the operator's lost connection keeps it from happening.
 * Owns: that model, the timer. Threads: rtrd's loop only. Failure: when the file cannot be
 * written the timer still runs; it is logged that a crash would lose it.
 */
#ifndef RTR_CONFIRM_H
#define RTR_CONFIRM_H

#include "schema/model.h"

#include <event2/event.h>

/* Takes up a deadline that stood when rtrd died. */
void confirm_init(struct event_base *base, const char *rundir);
void confirm_fini(void);
/* A second arming keeps the first model and moves the deadline. by: the user. */
void confirm_arm(struct event_base *base, const struct rec *back, unsigned sec, const char *by);

#endif
