/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the configuration lines of connection tracking, and what they come to.
 *	ip firewall timeout tcp established 7440	one of the kernel's timers
 *	ip firewall timeout service udp 53 30		one service (ct_service.c)
 *	ip nat translation tcp-timeout 7440		IOS's words for the same; the line above
 *wins ip firewall tcp loose				pick up connections in the middle no ip
 *firewall tcp window-check			accept segments outside the window ip firewall
 *conntrack max 1000000		and buckets, high-watermark Owns: nothing. Threads: rtrd's loop
 *only. Failure: none.
 */
#ifndef RTR_CT_CONF_H
#define RTR_CT_CONF_H

#include "conntrack/ct.h"
#include "schema/model.h"

/* In the order of the words in the row. */
enum ct_timer {
	CT_T_TCP_ESTABLISHED,
	CT_T_TCP_SYN_SENT,
	CT_T_TCP_SYN_RECV,
	CT_T_TCP_FIN_WAIT,
	CT_T_TCP_CLOSE_WAIT,
	CT_T_TCP_LAST_ACK,
	CT_T_TCP_TIME_WAIT,
	CT_T_TCP_CLOSE,
	CT_T_TCP_UNACKNOWLEDGED,
	CT_T_TCP_MAX_RETRANS,
	CT_T_UDP,
	CT_T_UDP_STREAM,
	CT_T_ICMP,
	CT_T_ICMPV6,
	CT_T_GENERIC,
	CT_T_GRE,
	CT_T_GRE_STREAM,
	CT_T_SCTP_ESTABLISHED,
	CT_T__MAX
};

struct ct_timeout {
	struct rec rec;
	uint8_t timer; /* enum ct_timer */
	uint32_t seconds;
};

enum ct_service_proto { CT_SERVICE_TCP, CT_SERVICE_UDP };

struct ct_service_timeout {
	struct rec rec;
	uint8_t proto;    /* enum ct_service_proto */
	uint16_t port;    /* of the server */
	uint32_t seconds; /* of established TCP; of UDP in any state */
};

enum ct_nat_timer {
	CT_NT_TIMEOUT,
	CT_NT_TCP,
	CT_NT_UDP,
	CT_NT_ICMP,
	CT_NT_FINRST,
	CT_NT_SYN,
	CT_NT_DNS,
};

struct ct_nat_timeout {
	struct rec rec;
	uint8_t timer; /* enum ct_nat_timer */
	uint32_t seconds;
};

extern struct sch_type ct_timeout_type, ct_service_timeout_type, ct_nat_timeout_type;

/* Percent of the table. */
#define CT_WATERMARK_DEFAULT 80

/* All services with a timeout of their own; `dns-timeout` is udp 53 when no line names that. */
typedef void (*ct_service_fn)(void *arg, uint8_t ipproto, uint16_t port, uint32_t seconds,
			      const struct rec *rec);
void ct_services(const struct rec *root, ct_service_fn fn, void *arg);

/* Whether a model translates statefully: the default of `ip firewall tcp` hangs on it. */
bool ct_nat_configured(const struct rec *root);

/* ---- what is in force ---- */

/* Seconds by timer as the kernel has them; 0: this kernel has no such timer. */
struct ct_timers {
	uint32_t v[CT_T__MAX];
};
void ct_timers_read(struct ct_timers *ret);
/* Seconds since the entry's last packet; -1: cannot be told. A service's own timeout is looked up
 * in `root` (may be NULL). */
int64_t ct_idle(const struct ct_entry *e, const struct ct_timers *t, const struct rec *root);

#endif
