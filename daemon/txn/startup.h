/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the startup configuration: read at boot and on SIGHUP, written only by `write memory` and
 * its kin; `configure replace`, `rollback`, `reload`.
 * Owns: the path, the reload timer, what the last reload said. Threads: rtrd's loop only.
 * Failure: a wrong file changes nothing and is told line by line.
 */
#ifndef RTR_STARTUP_H
#define RTR_STARTUP_H

#include "schema/model.h"
#include "strbuf.h"

#include <event2/event.h>

/* resumed: rtrd went on from its journal, the file is not looked at. */
void startup_init(struct event_base *base, const char *path, bool resumed);
void startup_fini(void);
const char *startup_path(void);
/* SIGHUP: what runs becomes what the file says. done (may be NULL) runs when it is over. */
void startup_reload(const char *source, void (*done)(void *arg), void *arg);
/* rtrd -t: complaints to out; 0, or -EINVAL. */
int startup_check(const char *path, struct strbuf *out);

#endif
