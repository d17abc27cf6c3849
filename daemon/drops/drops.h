/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the table behind `show drops`: packets that were lost, by reason, interface and place in
 * the path, from whoever can tell. rtr-dropd counts at the kernel's tracepoint, which sees all that
 * the kernel drops with its reason; other sources tell what is lost before or beside it, and stand
 * in where tracing is not available.
 * The reasons are those of rtr/drop.h; what only the kernel has a name for keeps it.
 * Owns: the rows. Threads: rtrd's loop only. Failure: a source that cannot be read adds nothing;
 * `show drops` says when tracing is not available and why.
 */
#ifndef RTR_DROPS_H
#define RTR_DROPS_H

#include "rtr/drop.h"
#include "rtr/dropd.h"
#include "util.h"

#include <net/if.h>

#define DROP_WHERE 64

/* ---- a source's view ---- */

struct drop_id {
	enum drop_at at;
	enum rtr_drop reason; /* RTR_DROP_NONE: by `name` alone */
	const char *name;     /* the kernel's; "" for reasons of ours */
	const char *ifname;   /* "" none. At DROP_AT_NFT: tells no rows apart */
	const char *where;    /* place in the kernel, line of a list, CPU; "" */
	bool traced;          /* by rtr-dropd */
};

/* The count of a place so far. last_ns: rtr_now_ns() of the last drop; 0: not known, then a count
 * that grows dates it. May fall: then it began again. */
void drops_put(const struct drop_id *id, uint64_t packets, uint64_t last_ns);

/* ---- drops_kernel.c, drops_policy.c, drops_fast.c: sources ---- */

void drops_read_links(void); /* NIC, and XDP programs on them */
void drops_read_softnet(void);
void drops_read_conntrack(void);
void drops_read_policy(void);    /* as the firewall read its counters last */
void drops_read_fast(void);      /* as rtr-fastpath told last */
bool drops_is_fast(int ifindex); /* its XDP program is the fast plane's, and counted there */
/* What the tracepoint sees better: read without it alone. */
void drops_read_qdiscs(void);
void drops_read_protocols(void);

/* ---- drops_link.c: rtr-dropd ---- */

int drops_link_init(void);
void drops_link_fini(void);
/* NULL: counting; else why not. */
const char *drops_untraced(void);
/* It never will: the kernel's counters stand in. */
bool drops_never_traced(void);
/* drops.c: counts of sources from before are no news; called when a source is new. */
void drops_baseline(void);
/* Drops for whose place there was no room. */
uint64_t drops_unplaced(void);
/* Asks for its counts; done is called once, from the loop or at once. */
void drops_sync(void (*done)(void *arg), void *arg);
void drops_sync_forget(void *arg);
/* Packets from now on, NULL: no more. */
typedef void (*drops_packet_fn)(const struct dropd_event *e);
void drops_watch(int ifindex, const char *reason, drops_packet_fn fn);
/* drops.c: the program ended, or an interface (NULL: all) went; its counts begin again */
void drops_forget_traced(const char *ifname);
/* Interfaces that went: who has been gone for long enough, or all when room is short, makes room in
 * the kernel's table. */
void drops_link_age(uint64_t now);

/* ---- drops.c ---- */

/* What an interface lost is told for an hour after it went: a box whose tunnels come and go has
 * ever new names. */
#define DROPS_GONE_NS (3600 * NSEC_PER_SEC)
void drops_age(uint64_t now);

struct drop_row {
	enum drop_at at;
	enum rtr_drop reason;
	char name[DROPD_NAME], ifname[IFNAMSIZ], where[DROP_WHERE];
	uint64_t raw;        /* as the source told last */
	uint64_t before;     /* of earlier lives of the source */
	uint64_t base;       /* `clear drops` */
	uint64_t at_tick[2]; /* counts at the last two ticks, the older first */
	bool traced;
	uint64_t last_ns;      /* 0: before we looked */
	struct drop_row *next; /* hash chain */
};

static inline uint64_t drop_row_count(const struct drop_row *r)
{
	return r->before + r->raw - r->base;
}

/* Packets a second, of the last five to ten seconds. */
double drop_row_rate(const struct drop_row *r, uint64_t now);
/* All, in no order. */
struct drop_row *drops_next(const struct drop_row *r);
/* "acl-deny", "NETFILTER_DROP". */
const char *drop_row_reason(const struct drop_row *r);
void drops_clear(void);
/* Asks all sources, then calls done from the loop or at once. */
void drops_refresh(void (*done)(void *arg), void *arg);
void drops_refresh_forget(void *arg);

#endif
