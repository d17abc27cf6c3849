/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: packets that lines with `log` decided become log messages that name the line. The kernel
 * gives them to a socket (NFLOG); rtr-logd reads it, from the first packet on, and hands records
 * over (include/rtr/logd.h). The kernel limits each line; all together are limited here.
 * Owns: the socket, which outlives rtr-logd. Threads: rtrd's loop only. Failure: without the socket
 * nothing is logged, and that is said once; while another program has the group of this instance
 * (the rtr-logd of an rtrd that was killed, for a moment) it is asked for again and again; what the
 * socket had no room for, or went down with rtr-logd, is counted by the kernel's numbers, and told.
 */
#ifndef RTR_FW_LOG_H
#define RTR_FW_LOG_H

#include "firewall/policy.h"

#include <event2/event.h>
#include <jansson.h>

struct cmd_ctx;

void fw_log_init(struct event_base *base);
void fw_log_fini(void);

/* A line with a server name, or that a name led to, decided a connection: logged as often as it
 * says. name: what was asked for. */
void fw_log_name(pol_id id, enum pol_action did, int ifindex, const struct pol_packet *p,
		 const char *name);

json_t *fw_log_show(struct cmd_ctx *c);
void fw_log_print(struct cmd_ctx *c, const json_t *doc);

#endif
