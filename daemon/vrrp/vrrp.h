/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: VRRP in rtrd: the lines (vrrp_schema.c), their check (vrrp_check.c), the groups that a
 * model asks for (vrrp_want.c), their macvlans and sysctls (vrrp_plan.c), the line to rtr-vrrpd
 * (vrrp_client.c) and what it tells (vrrp_events.c), the show commands (vrrp_show.c, and for the
 * pair as a whole ha_show.c). The protocol itself is rtr-vrrpd's; here
 * nothing is ever waited for, and a dead rtr-vrrpd changes nothing but what show prints.
 *
 * Both spellings of IOS are lines of their own and make the same groups:
 *	vrrp 1 ip A ...                       version 2, or 3 after `fhrp version vrrp v3`
 *	vrrp 1 address-family {ipv4|ipv6}     version 3, or 2 with `vrrpv2`
 * Owns: see each file. Threads: rtrd's loop only. Failure: what rtr-vrrpd refuses is logged.
 */
#ifndef RTR_VRRP_RTRD_H
#define RTR_VRRP_RTRD_H

#include "rtr/vrrp.h"
#include "schema/model.h"

#include <jansson.h>

#define VRRP_MAX_TRACKS 8
#define VRRP_PRIO_DFLT  100
#define VRRP_ADVER_DFLT 1000

enum vrrp_af { VRRP_AF4, VRRP_AF6 };
enum vrrp_mac { VRRP_MAC_VIRTUAL, VRRP_MAC_PHYSICAL };

/* The settings that both spellings have. A field counts when it was configured. */
#define VRRP_COMMON                                                                                \
	char *description;                                                                         \
	uint8_t priority;                                                                          \
	bool preempt;           /* not configured = on */                                          \
	uint16_t preempt_delay; /* seconds */                                                      \
	uint32_t adver;         /* milliseconds; seconds without `msec` */                         \
	uint8_t mac;            /* enum vrrp_mac */                                                \
	bool accept_mode;       /* not configured = on */                                          \
	bool match_address, shutdown

struct vrrp_group { /* vrrp N ... */
	struct rec rec;
	uint8_t vrid;
	struct rtr_addr addr; /* family 0 = none yet */
	VRRP_COMMON;
	bool msec, learn;
	char *auth;
};

struct vrrp_family { /* vrrp N address-family ... */
	struct rec rec;
	uint8_t vrid, af;
	VRRP_COMMON;
	bool vrrpv2;
};

/* Lists of both: keyed by group number in interface mode, by themselves in the family's mode. */
struct vrrp_address {
	struct rec rec;
	uint8_t vrid;
	struct rtr_addr addr;
	bool primary, secondary;
};

struct vrrp_track {
	struct rec rec;
	uint8_t vrid;
	uint16_t track; /* daemon/track finds its users by this field's name */
	uint8_t decrement;
	bool shutdown;
};

struct vrrp_peer {
	struct rec rec;
	uint8_t vrid;
	struct rtr_addr peer;
};

#define VRRP_SYNC_MEMBERS 8
struct vrrp_sync_group {
	struct rec rec;
	char *name;
	uint8_t m1, m2, m3, m4, m5, m6, m7, m8; /* group numbers; 0 = none */
};

extern struct sch_type vrrp_group_type, vrrp_family_type, vrrp_secondary_type, vrrp_track_type,
	vrrp_peer_type, vrrp_af_address_type, vrrp_af_track_type, vrrp_af_peer_type,
	vrrp_sync_group_type;

/* ---- vrrp_want.c ---- */

struct iface;
struct vrrp_want {
	struct vrrp_conf conf; /* .vmac is empty: vrrp_plan.c knows the links */
	const struct rec *rec; /* the group; valid as long as the model */
	const struct iface *iface;
	char iface_name[IFNAMSIZ]; /* the operator's */
	char *description, *sync_name;
	bool virtual_mac; /* wished */
	bool no_accept;
	bool too_many;       /* addresses or peers beyond what a group has room for */
	uint16_t routes_sec; /* after the start, wait for routes at most so long */
	unsigned n_tracks;
	struct {
		uint16_t id;
		uint8_t decrement;
		bool fault;
	} track[VRRP_MAX_TRACKS];
};

struct vrrp_wants {
	struct vrrp_want *v;
	size_t n, room;
};

/* The groups of a model that have an address, in the order of interfaces and group numbers. */
void vrrp_want(const struct rec *root, struct vrrp_wants *ret);
void vrrp_wants_fini(struct vrrp_wants *w);
/* The address is the interface's own, by its lines. */
bool vrrp_is_own(const struct iface *i, const struct rtr_addr *a);
/* Member i (0 ...) of a sync group; 0 = none. */
uint8_t vrrp_sync_member(const struct vrrp_sync_group *s, unsigned i);

/* ---- vrrp_check.c, vrrp_plan.c ---- */

struct check;
struct plan;
void vrrp_check(struct check *c);
void vrrp_plan(struct plan *p);

/* What hosts send to a virtual MAC comes in by a macvlan of its own, not by the interface that has
 * the group (what goes out leaves by the interface): whoever judges by the interface that a packet
 * came in by, judges these alike. Called for each macvlan that the model wants, in the order of
 * interfaces: `iface` is the kernel's name of the interface, `vmac` the macvlan's name, `ifindex`
 * its number, 0 while it does not exist. An interface that does not exist has none: their names
 * hold its number, so they are asked for anew whenever links have changed. */
typedef void vrrp_vmac_fn(const char *iface, const char *vmac, int ifindex, void *arg);
void vrrp_foreach_vmac(const struct rec *root, vrrp_vmac_fn *fn, void *arg);
struct shadow_link;
struct shadow_addr;
/* What keeps packets off the fast plane of an interface (the kernel's name) that is on it: the
 * groups whose virtual MAC hosts use there. "": none. */
#define VRRP_VMAC_NOTE_SIZE 128
void vrrp_vmac_note(const char *ifname, char ret[VRRP_VMAC_NOTE_SIZE]);
/* A macvlan that this instance made for a group: no interface of the operator's. */
bool vrrp_is_vmac(const struct shadow_link *l);
/* An address on that link that rtr-vrrpd set, which the shadow counts as another's. */
bool vrrp_set_addr(const struct shadow_link *l, const struct shadow_addr *a);

/* ---- vrrp_client.c ---- */

int vrrp_client_init(void);
void vrrp_client_fini(void);
/* The groups as they shall be from now on; takes over w. Sent when they differ from what was sent
 * last, and to every new rtr-vrrpd. */
void vrrp_client_push(struct vrrp_wants *w);
/* What was pushed last. */
const struct vrrp_wants *vrrp_client_wants(void);
/* VRRP_M_SWITCHOVER, VRRP_M_CLEAR. False: rtr-vrrpd is not there. */
bool vrrp_client_send(uint32_t type);
/* The group's state, read from the shared memory. False: not known there. */
bool vrrp_client_status(const struct vrrp_conf *c, struct vrrp_status *ret);
const struct vrrp_shm *vrrp_client_shm(void); /* NULL: no rtr-vrrpd */

/* ---- vrrp_events.c ---- */

/* Messages of rtr-vrrpd. None of it is believed further than its type. */
void vrrp_event_state(const struct vrrp_msg *m);
void vrrp_event_notice(const struct vrrp_msg *m);
json_t *vrrp_event_json(const struct vrrp_msg *state);
/* The last transitions, oldest first. */
json_t *vrrp_history(void);
/* Is told of each transition, from the loop, until it leaves. */
struct vrrp_listener {
	struct vrrp_listener *next;
	void (*fn)(struct vrrp_listener *l, const struct vrrp_msg *state);
};
void vrrp_listen(struct vrrp_listener *l);
void vrrp_unlisten(struct vrrp_listener *l);

const char *vrrp_state_text(unsigned state);   /* "MASTER" */
const char *vrrp_reason_text(unsigned reason); /* "sync group" */

#endif
