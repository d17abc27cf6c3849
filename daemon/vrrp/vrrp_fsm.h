/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the state machine of a virtual router (RFC 9568 section 6.4, RFC 3768 section 6.4) with
 * preemption delay, start-up hold, tracking, graceful leaving and sync groups. A function of
 * events and of the time that they carry: it reads no clock and does nothing itself; what is to
 * be done it says through struct vrrp_fsm_ops.
 *
 *	           ready, not held                 owner
 *	   INIT ------------------> BACKUP     INIT ------> ACTIVE
 *	     ^                       |  ^
 *	     | fault, link, shutdown |  | a better advert, also while LEAVING after a switchover
 *	     |                       v  |
 *	     +--------------------- ACTIVE ----> LEAVING (priority 0 was said; still forwards)
 *	                  Active_Down | preempt
 *
 * A sync group moves as one: its members start together, become active together (never while one
 * of them hears a better master), fall back together. One that is added later joins when it can.
 *
 * Owns: nothing; structs are the caller's, members of a sync group form a chain. Threads: one.
 * Failure: none. Times are CLOCK_MONOTONIC nanoseconds; 0 means "none".
 */
#ifndef RTR_VRRP_FSM_H
#define RTR_VRRP_FSM_H

#include "rtr/vrrp.h"

struct vrrp_fsm;

struct vrrp_fsm_ops {
	void (*advert)(struct vrrp_fsm *f, uint8_t prio); /* say it now */
	void (*own)(struct vrrp_fsm *f);                  /* take the addresses, announce them */
	void (*release)(struct vrrp_fsm *f);              /* let go of the addresses */
	void (*announce)(struct vrrp_fsm *f); /* somebody said otherwise: announce again */
	void (*state)(struct vrrp_fsm *f, uint8_t from, enum vrrp_reason why);
};

struct vrrp_fsm_conf {
	uint8_t version;
	uint8_t prio; /* 255: owner */
	bool preempt, learn;
	uint64_t adver_ns, preempt_delay_ns;
	struct rtr_addr local; /* breaks a tie of priorities */
};

struct vrrp_sync {
	struct vrrp_fsm *first;
};

struct vrrp_fsm {
	struct vrrp_fsm_conf c;
	const struct vrrp_fsm_ops *ops;
	struct vrrp_sync *sync;
	struct vrrp_fsm *sync_next;

	uint8_t state, prio; /* prio: in force, after tracking */
	uint8_t decrement;
	bool ready, fault;
	bool ran;        /* could once: from then on it holds up its sync group */
	bool no_preempt; /* after a switchover, until active again */
	bool leave_down; /* LEAVING ends in INIT */
	uint8_t leave_why, expiry_why;
	uint64_t due;          /* the next timer */
	uint64_t hold_until;   /* start-up hold */
	uint64_t adver_ns;     /* of the master, as a backup knows it */
	uint64_t better_until; /* a master that we obey was heard; holds until then */
	uint64_t preempt_at;   /* end of the preemption delay */
	uint64_t asserted_at;  /* last answer to a lower advert */
};

/* An advert that passed all checks; rx is when the kernel received it. */
struct vrrp_heard {
	uint8_t prio;
	struct rtr_addr src;
	uint64_t adver_ns, rx;
};

void vrrp_fsm_init(struct vrrp_fsm *f, const struct vrrp_fsm_conf *c,
		   const struct vrrp_fsm_ops *ops);
/* Joins a sync group, or none (NULL). */
void vrrp_fsm_join(struct vrrp_fsm *f, struct vrrp_sync *s);
/* Goes on as active: the process that was is dead, its addresses are still there. */
void vrrp_fsm_resume(struct vrrp_fsm *f, uint64_t now);

/* The interface can be used, not before hold_until; or not. */
void vrrp_fsm_up(struct vrrp_fsm *f, uint64_t now, uint64_t hold_until);
void vrrp_fsm_down(struct vrrp_fsm *f, uint64_t now, enum vrrp_reason why);
void vrrp_fsm_track(struct vrrp_fsm *f, uint64_t now, uint8_t decrement, bool fault);
void vrrp_fsm_conf(struct vrrp_fsm *f, uint64_t now, const struct vrrp_fsm_conf *c);
/* Gives up the addresses once another has them, or soon: down = for good, else as a backup that
 * does not preempt. */
void vrrp_fsm_leave(struct vrrp_fsm *f, uint64_t now, bool down, enum vrrp_reason why);

void vrrp_fsm_heard(struct vrrp_fsm *f, uint64_t now, const struct vrrp_heard *h);
/* Does what is due at now. */
void vrrp_fsm_timer(struct vrrp_fsm *f, uint64_t now);
/* We did not run for longer than an interval: what was not heard meanwhile proves nothing. */
void vrrp_fsm_stalled(struct vrrp_fsm *f, uint64_t now);

#endif
