/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the show commands know of an interface beyond the shadow: counters, rates, when its
 * line protocol last changed. iface_watch.c gathers it, iface_show.c prints it.
 * Threads: rtrd's loop only.
 */
#ifndef RTR_IFACE_SHOW_H
#define RTR_IFACE_SHOW_H

#include "util.h"

#include <linux/if_link.h>
#include <time.h>

struct iface_seen {
	int ifindex;
	bool admin_up, line_up, known;
	bool down_untold; /* up again by the operator, but without carrier so far */
	unsigned flaps;   /* line protocol changes since rtrd started */
	time_t last_change;
	struct rtnl_link_stats64 stats, sampled;
	double rate[4]; /* in bit/s, in packet/s, out bit/s, out packet/s: 5 minutes, exponential */
	uint64_t sampled_ns;
	struct iface_seen *next;
};

/* Fresh counters of all links. 0 or -errno. */
int iface_read_counters(void);
struct iface_seen *iface_seen_get(int ifindex); /* made when it was not there */

#endif
