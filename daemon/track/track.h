/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: tracked objects: up or down, by an interface, a route, a probe, or others of their kind.
 * Static routes and VRRP ask here and are told when one changes.
 *
 *	track 1 interface eth1 line-protocol      track 2 ip route 10.0.0.0/8 reachability
 *	track 3 ip sla 1 reachability             track 4 list boolean and
 *	track 5 fastpath
 *
 * A state is unknown from the start of rtrd, and of the object, until its source was looked at
 * (for a probe: its first answer or time-out). Whoever asks then leaves things as they are, so
 * that a restart of rtrd moves no traffic.
 * Owns: the objects of the running model and their timers. Threads: rtrd's loop only; nothing here
 * waits. Failure: a probe that cannot be sent counts as failed.
 */
#ifndef RTR_TRACK_H
#define RTR_TRACK_H

#include "prefix.h"
#include "schema/model.h"

#include <net/if.h>

enum track_state { TRACK_UNKNOWN, TRACK_DOWN, TRACK_UP };

enum track_kind { TRACK_IFACE, TRACK_ROUTE4, TRACK_ROUTE6, TRACK_SLA, TRACK_LIST, TRACK_FASTPATH };
enum track_iface { TRACK_LINE_PROTOCOL, TRACK_IP_ROUTING, TRACK_IPV6_ROUTING };
enum track_sla { TRACK_REACHABILITY, TRACK_STATE };
enum track_boolean { TRACK_AND, TRACK_OR };

struct track {
	struct rec rec;
	uint16_t id;
	uint8_t kind;   /* enum track_kind */
	uint8_t what;   /* enum track_iface, for TRACK_IFACE */
	uint8_t result; /* enum track_sla; not configured = reachability */
	uint8_t boolean;
	char ifname[IFNAMSIZ];
	struct rtr_prefix dst4, dst6;
	uint32_t sla;
	uint16_t delay_up, delay_down; /* seconds; not configured = none */
};

struct track_member { /* of a list */
	struct rec rec;
	uint16_t object;
	bool not ;
};

extern struct sch_type track_type, track_member_type;

/* The object in a model; NULL when it has none. */
const struct track *track_find(const struct rec *root, unsigned id);

/* For the check of a line that names an object: an error when there never was one. Call the field
 * that holds the number `track`: by that name the users of an object that is removed are found
 * ("used by"), and told by show track. */
struct check;
void track_check_ref(struct check *c, const struct rec *rec, unsigned id);

/* The state of an object of the running model. False when there is no such object. */
bool track_get(unsigned id, enum track_state *ret);

/* Whether there is a route of just this network (or more-specific ones that fill it), whoever made
 * it: what a tracked route asks. */
bool track_route_there(const struct rtr_prefix *p);

/* fn is called from the loop after an object changed, came (with its first known state) or went
 * (TRACK_UNKNOWN). Subscribe in a domain's init; for good. */
typedef void (*track_fn)(void *arg, unsigned id, enum track_state state);
#define TRACK_MAX_SUBSCRIBERS 8
void track_subscribe(track_fn fn, void *arg);

/* ---- the inside: track.c (evaluation), track_schema.c (lines, check), track_show.c ---- */

struct track_view {                      /* for show */
	enum track_state state, pending; /* pending: behind a delay; else TRACK_UNKNOWN */
	unsigned pending_sec;
	uint64_t changes;
	double changed_sec; /* since the last change; < 0: none */
};
bool track_view(unsigned id, struct track_view *ret);
/* The sources may have changed: looks at them again, soon. */
void track_kick(void);
int track_init(void);
void track_fini(void);
void track_observed(unsigned change);

/* "interface eth1 line-protocol" */
void track_text(const struct track *t, char *buf, size_t size);

#endif
