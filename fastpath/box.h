/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtr-fastpath as a whole, without its socket to rtrd: the flow table and the express lane's
 * maps (found pinned, or made), the mirror of the kernel's tables, workers, and the interfaces that
 * are served.
 *
 *	fp_box_open      tables, threads; adopts what a process before left
 *	fp_box_want      an interface shall be served
 *	fp_box_synced    all were told: flows of the process before may be judged
 *	fp_box_told_anew another rtrd is about to tell what is wanted
 *	fp_box_turn      what is due: tables, interfaces that changed
 *	fp_box_close     orderly end: every interface to the kernel
 *	fp_box_hand_over another process comes at once: XDP goes on, the rings are worked off
 *
 * An interface is on the fast plane when it is wanted, can be (native XDP, MTU, queues, tags) and
 *the mirror has nothing against it (fib.h: foreign hooks, bridge ports, ...). Anything else: its
 *XDP program passes everything to the kernel at once, and no adjacency leads to it. The first cause
 *is kept as its reason.
 *
 * Owns: everything here. Threads: the control thread; box_tell.c reads counters of workers.
 * Failure: -errno; an interface's in its reason.
 */
#ifndef FP_BOX_H
#define FP_BOX_H

#include "box_pol.h"
#include "fib_ctl.h"
#include "fib_rcu.h"
#include "keeper.h"
#include "mirror.h"
#include "nic.h"
#include "punt.h"
#include "rtr/fastpath.h"
#include "wthread.h"
#include "xdp_load.h"

#define FP_WORKERS_MAX 16
#define FP_QUEUES_MAX  16         /* of a port */
#define FP_ADJ_MAX     (1u << 17) /* two halves: way.h */

struct fp_box_conf {
	const char *instance;        /* whose tables of nft are not foreign */
	char pin_dir[FASTPATH_PATH]; /* "": nothing outlives the process */
	int xt_names;                /* fibctl_params */
	int ct_types;                /* fp_xdp_conf */
	uint32_t n_workers, n_frames, n_flows[FLOW__FAMILIES];
	void (*note)(void *ctx, const char *text); /* for the log */
	/* An interface's state changed. */
	void (*state)(void *ctx, unsigned slot);
	/* A VLAN has carried more: FASTPATH_COUNT. */
	void (*count)(void *ctx, unsigned slot);
	/* Of a policy: FASTPATH_JUDGED. */
	void (*judged)(void *ctx, struct fastpath_event *e);
	void *ctx;
};

struct fp_box_port {
	unsigned ifindex; /* 0: the slot is free */
	/* Of a VLAN, which has no program and no sockets of its own; 0: it is none. */
	struct express_vlan_key vlan;
	/* The VRF's device, 0: in none. When that changes it comes back after a sweep that knows.
	 */
	unsigned vrf;
	uint64_t back_at; /* that; 0: none */
	bool wanted, express_wanted;
	bool changed; /* what is wanted of it, since it was last looked at */
	bool named;   /* by the rtrd that speaks now, which knows its state */
	enum fastpath_zc zc_wish;
	bool attached, bound; /* the program is there, or XDP knows the VLAN; the workers know it */
	bool zero_copy;       /* these are so */
	bool unsettled;       /* such ones were closed, and the NIC may still have their frames */
	bool fast;
	char reason[FASTPATH_TEXT];
	char zc_refused[FASTPATH_TEXT]; /* why zero-copy failed when it was tried; "": it did not */
	struct fp_nic nic;
	struct express_port xdp;
	unsigned n_queues;
	uint64_t asked_ns; /* the facts in nic are of then */
	/* Of a VLAN: what workers had counted by this slot before it, and what rtrd knows. */
	struct express_carried before, told;
};

struct fp_box_worker {
	struct fp_worker *w;
	struct fp_wthread *thread;
	struct fp_punt punt;
	struct fp_way_conf way;
};

struct fp_box {
	struct fp_box_conf conf;
	struct fp_flow_mem mem;
	struct fp_flow *flows;
	struct fp_track *track;
	struct fp_xdp *xdp;
	struct fibctl *fib;
	struct fib_rcu *rcu;
	struct fp_way_conf way;
	struct fp_keeper *keeper;
	struct fp_mirror *mirror; /* NULL: it could not be had */
	struct fp_keeper_port keeper_port[FP_PORTS_MAX];
	struct fp_box_pol pol;
	struct fp_box_worker worker[FP_WORKERS_MAX];
	struct fp_box_port port[FP_PORTS_MAX];
	uint64_t before[FP_PORTS_MAX]; /* frames for workers of a process before */
	bool synced, sweeping, watched;
	bool closing;     /* XDP was paused in this turn */
	bool leaving;     /* connections of all interfaces are the kernel's already */
	uint64_t open_at; /* ... until this sweep has ended; 0: it is not */
	uint64_t clock_ns, timeouts_ns, vlans_ns;
};

int fp_box_open(struct fp_box *b, const struct fp_box_conf *conf);
void fp_box_close(struct fp_box *b);
void fp_box_hand_over(struct fp_box *b);

void fp_box_want(struct fp_box *b, unsigned ifindex, bool express, enum fastpath_zc zc);
void fp_box_unwant(struct fp_box *b, unsigned ifindex);
void fp_box_synced(struct fp_box *b);
void fp_box_told_anew(struct fp_box *b);
void fp_box_turn(struct fp_box *b, uint64_t now_ns);

/* box_port.c */
struct fp_box_port *fp_box_port_of(struct fp_box *b, unsigned ifindex);
void fp_box_port_look(struct fp_box *b, unsigned slot, uint64_t now_ns);
void fp_box_port_off(struct fp_box *b, unsigned slot, const char *reason);
/* Why its sockets are not to be zero-copy; NULL: they are. */
const char *fp_box_port_copies(const struct fp_box_port *p);

/* Passes on what XDP, the sweep and the mirror of the kernel's tables are to know of it. */
void fp_box_port_set(struct fp_box *b, struct fp_box_port *p, bool on);
void fp_box_port_say(struct fp_box *b, struct fp_box_port *p, bool fast, const char *reason);
/* The interface is gone; its slot may be another's. */
void fp_box_port_forget(struct fp_box *b, struct fp_box_port *p);
void fp_box_pause(struct fp_box *b, bool pause);
/* Leaves the fast plane when it is in another VRF than before. */
void fp_box_vrf_look(struct fp_box *b, struct fp_box_port *p);
/* NULL: nothing against it. */
const char *fp_box_against(const struct fp_box *b, const struct fp_box_port *p);

/* box_vlan.c: VLANs of such an interface; each is a port with a slot of its own. */
bool fp_box_is_vlan(const struct fp_box *b, const struct fp_box_port *p);
void fp_box_vlan_look(struct fp_box *b, struct fp_box_port *p);
int fp_box_vlan_set(struct fp_box *b, struct fp_box_port *p);
void fp_box_vlan_unbind(struct fp_box *b, struct fp_box_port *p);
/* What workers have carried for it; XDP's is in its counters. */
void fp_box_vlan_carried(const struct fp_box *b, const struct fp_box_port *p,
			 struct express_carried *ret);
/* Tells rtrd, now and then, of those that have carried more. */
void fp_box_vlans_tell(struct fp_box *b, uint64_t now_ns);
/* Each VLAN of the interface. */
void fp_box_vlans_off(struct fp_box *b, const struct fp_box_port *parent);
void fp_box_vlans_unbind(struct fp_box *b, const struct fp_box_port *parent);

/* box_mirror.c */
int fp_box_mirror_open(struct fp_box *b);
/* Connections of an interface (FP_MIRROR_ALL: of all) that is about to leave the fast plane are
 * known to the kernel; then, when it has left, they are the kernel's. */
void fp_box_mirror_ready(struct fp_box *b, uint16_t slot);
void fp_box_mirror_give(struct fp_box *b, uint16_t slot);
/* The kernel shall have the connection. */
void fp_box_take(void *ctx, enum flow_family fam, uint64_t ref);
void fp_box_label(struct fp_box *b, const struct fp_flow_view *v, uint32_t ret[4]);
void fp_box_freed(void *ctx, enum flow_family fam, uint32_t pair, const flow_word *key[2]);

/* box_tell.c: figures as rtrd gets them. */
void fp_box_tell_state(const struct fp_box *b, unsigned slot, struct fastpath_event *ret);
void fp_box_tell_count(struct fp_box *b, unsigned slot, struct fastpath_event *ret);
void fp_box_tell_worker(struct fp_box *b, unsigned i, struct fastpath_event *ret);
void fp_box_tell_table(struct fp_box *b, struct fastpath_event *ret);
/* The next flow at or after *at (family and pair), both directions in turn; false: no more. */
void fp_box_tell_route(struct fp_box *b, const struct fastpath_req *q, struct fastpath_event *ret);
/* Up to FASTPATH_HITS_MAX lines at or after *at; false: no more. */
bool fp_box_tell_hits(struct fp_box *b, uint64_t *at, struct fastpath_event *ret);
bool fp_box_tell_flow(struct fp_box *b, uint64_t *at, struct fastpath_event *ret);

/* box_conn.c: connections as rtrd gets them. Some from *at on; false: there are no more. */
bool fp_box_tell_conns(struct fp_box *b, uint64_t *at, uint32_t max, struct fastpath_event *ret);
/* Blocks of ports from place *at on; false: there is none behind it. */
bool fp_box_tell_blocks(const struct fp_box *b, uint64_t *at, struct fastpath_event *ret);
void fp_box_tell_conn(struct fp_box *b, const struct fp_flow_view *v, struct fastpath_conn *ret);
/* box_trace.c: what would become of a packet. */
void fp_box_trace(struct fp_box *b, const struct fastpath_req *q, struct fastpath_event *ret);
/* How many of them ended. */
unsigned fp_box_end_conns(struct fp_box *b, const uint64_t *ref, unsigned n);

#endif
