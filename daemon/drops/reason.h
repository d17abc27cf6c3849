/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what a drop of the kernel means in the words of rtr/drop.h, and where in the path it is.
 * Reasons that a kernel has and this table has not keep the kernel's name. A reason that says too
 * little ("not specified" above all) is told by the function that dropped.
 * Owns: nothing. Threads: any. Failure: none.
 */
#ifndef RTR_DROPS_REASON_H
#define RTR_DROPS_REASON_H

#include "rtr/drop.h"
#include "rtr/dropd.h"
#include "util.h"

struct drop_meaning {
	enum rtr_drop reason; /* RTR_DROP_NONE: only the kernel's name */
	enum drop_at at;
	const char *name; /* that it should have had; else the one given */
};

/* name: without SKB_DROP_REASON_; function: "" when unknown. */
struct drop_meaning drop_meaning(const char *name, const char *function);
/* Is it no loss of a packet, but a copy that is let go of? */
bool drop_is_innocent(const char *name, const char *function);
/* "nic"; "unknown" beyond the list. */
const char *drop_at_text(unsigned at);

#endif
