/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: asks on every Ethernet link who has an address (ARP; neighbour solicitation), and gathers
 * all answers for a while: nobody, one host, two, or one on another link. The frames are sent and
 * read by rtr-arpd.
 * Owns: its timers. Threads: rtrd's loop only. Failure: NULL with -errno; a link that cannot be
 * asked is left out.
 */
#ifndef RTR_WHOHAS_H
#define RTR_WHOHAS_H

#include "prefix.h"

#include <event2/event.h>

#define WHOHAS_MAX     16
#define WHOHAS_WAIT_MS 700 /* for both rounds of questions together */

struct whohas_answer {
	int ifindex;
	uint8_t mac[6];
};

typedef void (*whohas_fn)(void *arg, const struct whohas_answer *v, size_t n);

struct whohas;
/* done is called once, from the loop; the whohas may be freed there. */
struct whohas *whohas_new(struct event_base *base, const struct rtr_addr *target, whohas_fn done,
			  void *arg, int *ret_error);
struct whohas *whohas_free(struct whohas *w);

#endif
