/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: neighbours (ARP, IPv6 neighbour discovery): static entries, proxies, timers and queues of
 * each interface, what answers for whom, and the tables of the kernel that the operator looks at.
 * The kernel resolves neighbours; rtr configures it and, through the program rtr-arpd (dad.h),
 * adds what the kernel lacks: announcements in bursts and IPv4 duplicate address detection.
 * Marks: entries of ours carry NDA_PROTOCOL; the shadow holds those alone.
 * Files: neigh_schema.c (lines, check), neigh_kernel.c (plan), neigh_table.c (the kernel's tables
 * and limits), neigh_show.c, neigh_clear.c; dad.c (who is announced and defended), arpd*.c (the
 * program that does it).
 * Threads: rtrd's loop only.
 */
#ifndef RTR_NEIGH_H
#define RTR_NEIGH_H

#include "prefix.h"
#include "schema/model.h"

#include <net/if.h>

struct static_arp {
	struct rec rec;
	struct rtr_addr addr;
	uint8_t mac[6];
	char ifname[IFNAMSIZ]; /* "": the interface whose network holds the address */
	bool alias;            /* and answer for it on other interfaces */
};

struct static_nd {
	struct rec rec;
	struct rtr_addr addr;
	char ifname[IFNAMSIZ];
	uint8_t mac[6];
};

/* "arp timeout 300", "ipv6 nd delay 5": one number, see neigh_knobs. */
struct neigh_timer {
	struct rec rec;
	uint8_t timer; /* place in neigh_knobs */
	uint32_t value;
};

struct nd_proxy {
	struct rec rec;
	struct rtr_addr addr;
};

extern struct sch_type static_arp_type, static_nd_type, arp_timer_type, nd_timer_type,
	nd_proxy_type;

enum neigh_knob {
	NEIGH_REACHABLE,
	NEIGH_RETRANSMIT,
	NEIGH_DELAY,
	NEIGH_STALE,
	NEIGH_UCAST,
	NEIGH_MCAST,
	NEIGH_QUEUE,
	NEIGH_ANNOUNCE_COUNT,
	NEIGH_ANNOUNCE_INTERVAL,
	NEIGH__KNOBS
};

struct neigh_knob_info {
	const char *file; /* below net/FAMILY/neigh/IFNAME/; NULL: not the kernel's */
	uint32_t factor;  /* from the line's unit to the file's */
	uint32_t min, max, dflt;
};
/* The first index: 0 IPv4, 1 IPv6. The order is that of the alternatives in the lines. */
extern const struct neigh_knob_info neigh_knobs[2][NEIGH__KNOBS];

/* ip arp gratuitous: what an announcement of another host does. */
enum garp_accept {
	GARP_NONE,   /* nothing */
	GARP_UPDATE, /* changes an entry that is there, RFC 826 */
	GARP_LEARN,  /* and makes one */
};

struct iface;
/* What is in force on an interface for one that is not the kernel's. */
uint32_t neigh_knob(const struct iface *i, int family, enum neigh_knob k);

struct plan;
void neigh_plan(struct plan *p);

/* ---- neigh_table.c ---- */

struct neigh_limits {
	uint32_t entries; /* in the whole machine: the limit counts all namespaces together */
	uint32_t thresh1, thresh2, thresh3;
	/* Of the machine, since boot: entries refused, neighbours that did not answer. */
	uint64_t table_fulls, failed;
};
/* 0 or -errno. */
int neigh_read_limits(int family, struct neigh_limits *ret);
/* gc_thresh1-3 can be written here. */
bool neigh_limit_settable(int family);
/* Logs when a table is nearly full, and when it is no more. */
void neigh_watch_limit(int family, const struct neigh_limits *l);
int neigh_table_init(void);
void neigh_table_fini(void);

#endif
