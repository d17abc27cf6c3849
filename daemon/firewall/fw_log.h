/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: packets that lines with `log` decided, as the kernel sends them (NFLOG), become log
 * messages that name the line.
 * Looked at are fixed places of the headers only: addresses, protocol, ports, type of ICMP; all
 * else of a packet is left alone. The kernel limits each line; what comes in one turn of the loop
 * is limited here.
 * Owns: its socket. Threads: rtrd's loop only. Failure: without the socket nothing is logged, and
 * that is said once.
 */
#ifndef RTR_FW_LOG_H
#define RTR_FW_LOG_H

#include "firewall/policy.h"

#include <event2/event.h>

void fw_log_init(struct event_base *base);
void fw_log_fini(void);

/* A line with a server name, or that a name led to, decided a connection: logged as often as it
 * says. name: what was asked for. */
void fw_log_name(pol_id id, enum pol_action did, int ifindex, const struct pol_packet *p,
		 const char *name);

/* The fixed fields of a packet's headers; false when it is too short or of no family. For tests. */
bool fw_log_packet(const uint8_t *b, size_t n, struct pol_packet *ret);

#endif
