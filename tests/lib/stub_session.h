/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the stub session saw, for unit tests in the same process. */
#ifndef RTR_STUB_SESSION_H
#define RTR_STUB_SESSION_H

#include <stddef.h>

struct stub_stats {
	unsigned n_sessions, n_freed, n_execs, n_interrupts, n_drained, cols, rows;
	size_t last_size;
};

extern struct stub_stats stub_stats;

#endif
