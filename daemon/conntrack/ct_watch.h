/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: looks at the fill of the connection table once a second and says so in time:
 *	%CONNTRACK-4-HIGH   above the watermark; names the host that holds most of it
 *	%CONNTRACK-2-FULL   new connections were refused since the last look
 *	%CONNTRACK-5-NORMAL back, by CT_HYSTERESIS percent below the watermark
 * Owns: the peak. Threads: rtrd's loop only. Failure: a look that fails is left out.
 */
#ifndef RTR_CT_WATCH_H
#define RTR_CT_WATCH_H

#include "conntrack/ct.h"

#define CT_HYSTERESIS 10
/* The same alarm again while it lasts. */
#define CT_REPEAT_SEC 300

int ct_watch_init(void);
void ct_watch_fini(void);
/* Most entries seen at a look since rtrd started, and when (CLOCK_REALTIME seconds). */
uint32_t ct_watch_peak(int64_t *ret_unix);
unsigned ct_watch_percent(const struct ct_count *c);
unsigned ct_watch_watermark(void); /* percent, as configured */

#endif
