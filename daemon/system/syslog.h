/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the log to remote hosts, as RFC 5424 by UDP (RFC 5426) or TCP (RFC 6587, octet counting).
 *
 *	logging host 10.0.0.9 transport tcp port 1514      logging trap warnings
 *
 * A line that cannot be sent now waits in its host's queue; a full queue loses the newest line and
 * counts it. Every line has a sequenceId of its host, so the receiver sees what is missing, too.
 * Owns: a socket, a queue and two timers a host. Threads: rtrd's loop only; nothing here waits.
 * Failure: an error of the socket closes it; it is opened again after 1 s, growing to 30 s, and
 * when a link, an address or a route of ours changed.
 */
#ifndef RTR_SYSLOG_H
#define RTR_SYSLOG_H

#include "prefix.h"
#include "schema/model.h"
#include "strbuf.h"
#include "system/log.h"

/* Lines that wait for one host: a burst of one commit on a large box, 2 MB at most. */
#define SYSLOG_QUEUE_LEN 1024
/* RFC 5424 section 6.1: receivers should take this much. Longer lines are cut. */
#define SYSLOG_MAX_SIZE  2048
#define SYSLOG_MAX_HOSTS 8
#define SYSLOG_PORT      514
#define SYSLOG_PORT_TCP  601 /* RFC 3195; 514 by TCP is rsh */
/* RFC 5424 section 7.3.1 */
#define SYSLOG_SEQUENCE_MAX 2147483647u

enum syslog_transport { SYSLOG_UDP, SYSLOG_TCP };
#define SYSLOG_LEVEL_DEFAULT    6  /* informational */
#define SYSLOG_FACILITY_DEFAULT 23 /* local7 */

struct log_host {
	struct rec rec;
	struct rtr_addr addr;
	char *vrf;
	uint8_t transport; /* enum syslog_transport; not configured = UDP */
	uint16_t port;     /* not configured = 514, TCP 601 */
};

extern struct sch_type log_host_type, log_host_vrf_type;

/* ---- syslog_format.c: pure ---- */

struct syslog_origin {
	const char *hostname; /* NULL: none */
	const char *app, *version;
	pid_t pid;
	unsigned facility;
};
/* Appends one message, at most SYSLOG_MAX_SIZE bytes, without frame or newline. */
void syslog_format(struct strbuf *out, const struct syslog_origin *o, const struct log_record *r,
		   uint32_t sequence);

/* ---- syslog.c ---- */

uint16_t syslog_port(const struct log_host *h);
int syslog_init(void);
void syslog_fini(void);
void syslog_observed(unsigned change); /* enum shadow_change */

struct syslog_view { /* for show */
	uint64_t sent, lost, errors;
	size_t queued;
	bool open;
	const char *error; /* the last one; "" = none */
};
/* False when it does not run (yet). */
bool syslog_view(const struct log_host *h, struct syslog_view *ret);

#endif
