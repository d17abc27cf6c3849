/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the judge of rtr-inspectd: packets of connections whose server name is awaited, as segments
 * of TCP, to a decision. Knows no queue and no kernel.
 * Owns: at most FLOWS_MAX connections, each with at most SEG_MEMORY bytes; the oldest makes room.
 * Threads: none. Failure: what cannot be read is decided as `fail_open` says.
 */
#ifndef RTR_INSPECT_FLOWS_H
#define RTR_INSPECT_FLOWS_H

#include "inspect/segments.h"
#include "rtr/inspectd.h"

#define FLOWS_MAX 4096
/* A client that has connected sends its hello at once; browsers open some connections in advance
 * and let them wait. One that is forgotten can still be judged by a hello that comes whole. */
#define FLOW_IDLE_NS (30 * NSEC_PER_SEC)

struct flow_packet {
	uint32_t ct_id;
	uint32_t label[4];
	bool reply;
	const uint8_t *data; /* from the IP header on */
	size_t size;
};

enum flow_act {
	FLOW_PASS,  /* nothing is decided yet */
	FLOW_DROP,  /* this packet: the sender will repeat it */
	FLOW_LABEL, /* decided: label, then once more through the rules */
};

struct flow_verdict {
	enum flow_act act;
	bool denied;
	uint32_t label[4], mask[4];
	/* Lines with `log` that decided just now: of `in`, the zone pair, `out`. */
	unsigned n_logs;
	struct flow_log {
		uint32_t rule;
		uint8_t did; /* enum inspectd_action */
		bool unreadable;
	} logs[INSPECT_WORDS];
};

struct flow_ends {
	uint8_t family; /* AF_INET, AF_INET6 */
	uint8_t src[16], dst[16];
	uint16_t sport, dport; /* as in the packet */
};
/* False: no TCP. */
bool flow_ends_of(const uint8_t *data, size_t size, struct flow_ends *ret);

void flows_packet(const struct flow_packet *p, uint64_t now, struct flow_verdict *ret);
void flows_idle(uint64_t now);
/* False: too many lines, or a message that does not fit. */
bool flows_request(const struct inspectd_req *q);
bool flows_fail_open(void);
const uint64_t *flows_counters(void);
/* The name that the last decision was made by; "" none. */
const char *flows_name(void);
/* Lines with new decisions since the call before, one a call; 0: no more. */
uint32_t flows_next_hits(uint64_t *ret);
void flows_fini(void);

#endif
