/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the root record: settings of the box as a whole.
 * A field counts only when configured (rec_has); what holds otherwise is said beside it.
 */
#ifndef RTR_GLOBAL_H
#define RTR_GLOBAL_H

#include "schema/model.h"

#include <net/if.h>

enum ct_pickup { CT_PICKUP_STRICT, CT_PICKUP_LOOSE };
enum global_fhrp { GLOBAL_FHRP_V2, GLOBAL_FHRP_V3 };

struct global {
	struct rec rec;
	char *hostname;
	bool ip_routing;           /* not configured = on */
	bool ipv6_unicast_routing; /* not configured = on */
	bool martian_filter;       /* not configured = on */
	uint32_t host_sessions;    /* not configured = 0, no limit */
	/* conntrack/ct_schema.c */
	uint32_t conntrack_max, conntrack_buckets;
	uint8_t conntrack_watermark; /* percent; not configured = 80 */
	uint8_t tcp_pickup;    /* enum ct_pickup; not configured = strict with NAT, else kernel's */
	bool tcp_window_check; /* not configured = on */
	/* neigh/neigh_schema.c */
	uint32_t arp_limit, nd_limit;
	uint8_t fhrp_version; /* enum global_fhrp: daemon/vrrp */
	/* fastpath/fast_schema.c: 0 = not configured */
	uint16_t fast_workers, fast_memory;
	uint32_t fast_flows4, fast_flows6;
	uint8_t inspect_tls; /* enum inspect_fail; not configured = closed */
	/* system/syslog_show.c */
	uint8_t log_trap, log_facility;
	char log_source[IFNAMSIZ], *log_origin;
	/* health/health.c */
	uint16_t health_interval; /* seconds; not configured = 10 */
	bool health_probes;
};

#endif
