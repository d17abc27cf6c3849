/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrd's log. A line has a facility, a severity and a mnemonic, as on IOS:
 *	*Nov 21 11:05:26.123: %LINK-3-UPDOWN: Interface eth1, changed state to up
 * It goes to syslog, into the buffer that `show logging` prints, to sessions with `terminal
 * monitor`, and to stderr when that is a terminal or rtrd was asked to (RTR_LOG_STDERR=1).
 * Owns: the buffer. Threads: rtrd's loop only. Failure: none; a full buffer forgets its oldest.
 */
#ifndef RTR_LOG_H
#define RTR_LOG_H

#include "util.h"

#include <time.h>

enum log_level {
	LOG_L_CRIT = 2,
	LOG_L_ERR = 3,
	LOG_L_WARN = 4,
	LOG_L_NOTICE = 5,
	LOG_L_INFO = 6,
	LOG_L_DEBUG = 7
};

#define LOG_BUFFER_DEFAULT 1000

void log_init(const char *instance);
void log_fini(void);

/* log_event("LINK", LOG_L_ERR, "UPDOWN", "Interface %s, ...", name) */
void log_event(const char *facility, enum log_level level, const char *mnemonic, const char *fmt,
	       ...) RTR_PRINTF(4, 5);

/* A line for something that the network can trigger without end: at most `per_sec` a second for
 * each call site; what was left out is told with the next one. */
struct log_limit {
	uint64_t second_ns;
	unsigned n, suppressed;
};
void log_event_limited(struct log_limit *lim, unsigned per_sec, const char *facility,
		       enum log_level level, const char *mnemonic, const char *fmt, ...)
	RTR_PRINTF(6, 7);

/* Oldest first. */
void log_foreach(void (*fn)(void *arg, const char *line), void *arg);
void log_clear(void);

/* Sessions with `terminal monitor`. */
typedef void (*log_sink_fn)(void *arg, const char *line);
void log_sink_add(log_sink_fn fn, void *arg);
void log_sink_remove(log_sink_fn fn, void *arg);

/* What a line is made of, for those that say it in another form (system/syslog.h). */
struct log_record {
	const char *facility, *mnemonic, *text;
	enum log_level level;
	struct timespec at; /* wall clock */
};
/* One only; NULL for none. It must not log. */
void log_on_record(void (*fn)(const struct log_record *r));

#endif
