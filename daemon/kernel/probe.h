/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what this kernel can do, found by asking it without changing anything.
 * Owns: answers, kept for the life of the process. Threads: rtrd's loop only; one round trip a
 * question, the first time. Failure: what cannot be asked counts as there.
 */
#ifndef RTR_PROBE_H
#define RTR_PROBE_H

#include "util.h"

/* Can links of this kind ("dummy", "vlan") be made? Loads the module when there is one. */
bool probe_link_kind(const char *kind);
/* Can rules match a DSCP (FRA_DSCP, Linux 6.13)? */
bool probe_rule_dscp(void);

#endif
