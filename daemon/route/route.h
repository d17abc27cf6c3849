/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: static routes. One record is one line; lines with the same prefix and distance form one
 * kernel route (ECMP). Kernel metric = distance << 24, which zebra reads as administrative
 * distance. A route is installed while its next hop resolves over an interface that is up:
 * directly by a connected network, or through another static route (recursively); a floating
 * static simply has a larger distance. The kernel is asked again on every link or address change.
 */
#ifndef RTR_ROUTE_H
#define RTR_ROUTE_H

#include "prefix.h"
#include "schema/model.h"

#include <net/if.h>

enum route_via {
	ROUTE_VIA_ADDR,  /* next hop; the interface follows from the connected network */
	ROUTE_VIA_IFACE, /* interface, and a next hop on it or none */
	ROUTE_VIA_NULL0, /* = blackhole, the IOS spelling */
	ROUTE_VIA_BLACKHOLE,
	ROUTE_VIA_UNREACHABLE,
	ROUTE_VIA_PROHIBIT,
	ROUTE_VIA__MAX
};

struct static_route { /* both families have this shape */
	struct rec rec;
	struct rtr_prefix dst; /* host bits zero */
	uint8_t via;           /* enum route_via */
	struct rtr_addr nexthop;
	char ifname[IFNAMSIZ]; /* operator's name */
	uint8_t distance;      /* 1-254; not configured = 1; 255 is never installed */
	uint8_t weight;        /* ECMP share 1-255; not configured = 1 */
	uint32_t tag;
	char *name;
	char *vrf;
	uint16_t track; /* used while this object is up: track/track.h */
};

/* The last two have a VRF: sorted by it first. */
extern struct sch_type ip_route_type, ipv6_route_type, ip_route_vrf_type, ipv6_route_vrf_type;

/* The lines of one VRF, from a place on: a vector of its own (freed by the caller), and where the
 * next VRF's begin. */
struct recvec *route_vrf_lines(const struct recvec *all, size_t from, size_t *ret_end);

#define ROUTE_DISTANCE_DEFAULT 1

struct shadow_hop;
/* May a line be used now, having these hops? False while the object that it tracks is down. While
 * its state is not known: as the kernel has it. */
bool route_track_usable(const struct static_route *s, const struct shadow_hop *hops, size_t n);

struct plan;
void route_plan(struct plan *p);

static inline uint32_t route_metric(uint8_t distance)
{
	return (uint32_t)distance << 24;
}

#endif
