/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the files that plan settings of NICs share. Values are kept in the baseline as text,
 * under "nic IFINDEX NAME ATTR".
 * Owns: nothing. Threads: rtrd's loop only. Failure: none.
 */
#ifndef RTR_NIC_PLAN_H
#define RTR_NIC_PLAN_H

#include "domain.h"

struct iface;
struct shadow_link;

/* What to write: want (NULL: nobody says; then what was before us); NULL when it is so. Valid until
 * the next call. */
const char *nic_goal(struct plan *p, const struct shadow_link *l, const char *attr,
		     const char *want, const char *now);
bool nic_has_memory(const struct shadow_link *l, const char *attr);

/* i NULL: no line names the interface any more. */
void nic_plan_serve(struct plan *p, const struct iface *i, const struct shadow_link *l);
void nic_plan_rss(struct plan *p, const struct iface *i, const struct shadow_link *l);

/* What the machine of the moment lacks refuses a line that is typed now, and that alone: CPUs go
 * offline, and a VM comes up with fewer queues. */
typedef void (*nic_say)(struct check *c, const struct rec *rec, const char *fmt, ...)
	RTR_PRINTF(3, 4);
nic_say nic_say_of(const struct check *c, bool is_new);
/* old: what the interface was, or NULL. */
void nic_check_serve(struct check *c, const struct iface *i, const struct iface *old,
		     const struct shadow_link *l);
void nic_check_rss(struct check *c, const struct iface *i, const struct iface *old,
		   const struct shadow_link *l);

#endif
