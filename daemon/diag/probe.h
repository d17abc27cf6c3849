/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: one probe at a time towards a destination, for ping and traceroute: an ICMP echo or a UDP
 * datagram goes out, the answer or the ICMP error about it comes back, or time runs out.
 * Owns: its sockets and timer. Threads: rtrd's loop only. Failure: -errno from probe_new and
 * probe_send (EMSGSIZE: larger than the link, with DF).
 */
#ifndef RTR_PROBE_H
#define RTR_PROBE_H

#include "prefix.h"

#include <event2/event.h>

enum probe_kind { PROBE_ECHO, PROBE_UDP };

/* What IOS prints for an answer. */
enum probe_answer {
	PROBE_REPLY = '!', /* from the destination (or its port unreachable, for UDP) */
	PROBE_TIMEOUT = '.',
	PROBE_UNREACHABLE = 'U',
	PROBE_TOO_BIG = 'M',    /* could not fragment */
	PROBE_PROHIBITED = 'A', /* administratively */
	PROBE_TTL = '&',        /* time to live exceeded */
	PROBE_UNKNOWN = '?',
};

struct probe_opts {
	enum probe_kind kind;
	struct rtr_addr dst, src; /* src.family 0: the kernel's choice */
	int ifindex;              /* of a link-local destination; 0 = none */
	const char *vrf;          /* link of its VRF, valid within probe_new; NULL = none */
	unsigned size;            /* of the whole IP packet */
	bool df;
	uint16_t port; /* UDP: of the first probe; each takes the next */
};

struct probe;
/* rtt_us and from are of the answer; from.family 0 = none came. mtu: with PROBE_TOO_BIG, 0 = not
 * told. */
typedef void (*probe_done_fn)(void *arg, enum probe_answer a, uint64_t rtt_us,
			      const struct rtr_addr *from, unsigned mtu);

struct probe *probe_new(struct event_base *base, const struct probe_opts *o, probe_done_fn done,
			void *arg, int *ret_error);
struct probe *probe_free(struct probe *p);
/* done is called once, from the loop. ttl 0: the default. */
int probe_send(struct probe *p, unsigned ttl, unsigned timeout_ms);

#endif
