/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what interfaces are told and tell by themselves: addresses by DHCP (`ip address dhcp`) and
 * IPv6 router advertisements (`no ipv6 nd ra suppress`). The packets are rtr-autod's; here is what
 * it shall do, and what its leases mean for addresses, routes and name servers.
 *
 * Leases are kept in <rundir>/leases, so that a restart of rtrd moves nothing; the client then asks
 * for the same address again. Name servers of all leases are in <rundir>/resolv.conf.
 * Owns: leases; rtr-autod's socket. Threads: rtrd's loop only. Failure: without rtr-autod a lease
 * holds until its time is over; it is started again.
 */
#ifndef RTR_AUTO_H
#define RTR_AUTO_H

#include "iface/iface.h"
#include "rtr/autod.h"

#define AUTO_DISTANCE_DEFAULT 254 /* of routes from DHCP, as on IOS */

struct ra_prefix { /* ipv6 nd prefix */
	struct rec rec;
	struct rtr_prefix net;
	uint32_t valid, preferred;
	bool no_advertise, no_autoconfig, off_link;
};

struct ra_dns { /* ipv6 nd ra dns server */
	struct rec rec;
	struct rtr_addr addr;
};

extern struct sch_type ra_prefix_type, ra_dns_type;

struct lease {
	char ifname[IFNAMSIZ]; /* operator's name */
	struct autod_event e;
	uint64_t bound_ns, expire_ns; /* CLOCK_BOOTTIME; expire UINT64_MAX: never */
	struct lease *next;
};

uint64_t auto_now_ns(void); /* CLOCK_BOOTTIME */
/* NULL while the interface has none that holds. */
const struct lease *auto_lease(const struct iface *i);
/* The address that the interface has by DHCP. */
bool auto_addr(const struct iface *i, struct rtr_prefix *ret);
/* The lines ask for advertisements on this interface. */
bool auto_sends_ra(const struct iface *i);

struct plan;
/* The routes of leases; part of the domain "routes". Returns the number that are there and stay. */
size_t auto_plan_routes(struct plan *p, uint32_t mark);

struct check;
void auto_check(struct check *c);
int auto_init(void);
void auto_fini(void);
void auto_observed(unsigned change);
/* Asks for the lease again, now. False: there is no client on it. */
bool auto_renew(const struct iface *i);

/* lease.c: kept leases. */
struct lease *lease_list(void);
void lease_put(const char *ifname, const struct autod_event *e);
bool lease_drop(const char *ifname);
void lease_free_all(void);

/* ra_wish.c: what is advertised on a link now. False: nothing. */
struct rec;
bool ra_wish(const struct rec *root, const struct iface *i, const struct shadow_link *l,
	     struct autod_ra *ret);

#endif
