/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the kernel mirror: established connections of the fast plane, older than 2 s, as entries of
 * the kernel's connection tracking, with their translation and labels. So the kernel can go on with
 * each of them at any packet: when an interface leaves the fast plane, the way out becomes one that
 * only the kernel can take, XDP or the table is lost, or XDP has a packet that it cannot send.
 *
 *	flow 2 s old -> written -> renewed at half of its timeout -> deleted with the flow
 *	                    \-> given: the flow ends here, the entry stays and is the kernel's
 *
 * One with a translation does not end then, but is FLOW_P_KERNEL while the kernel has the entry,
 * which is asked for each half minute: its port is nobody else's.
 *
 * A flow and its entry have one owner each: packets that find the flow never ask for the entry, and
 * the entry hears of none, so its timeout is renewed from here. An entry that was there before
 * (EEXIST) is the kernel's own connection: it wins, and the flow becomes the kernel's. Entries bear
 * FP_MIRROR_LABEL until they are given; those that are found at start without a flow are given.
 *
 * Messages go out in batches of up to 64 a system call; the kernel does the work inside it. A
 * quarter of nf_conntrack_max stays the kernel's own: beyond it flows wait, and that is told.
 *
 * Owns: a thread, a socket, 12 bytes a pair. Threads: fp_mirror_freed the keeper, fp_mirror_port
 * and stop the control thread, fp_mirror_take and stats any; conf's functions are called by the
 * mirror's. Failure: -errno of start; later in the figures.
 */
#ifndef FP_MIRROR_H
#define FP_MIRROR_H

#include "flow_view.h"
#include "mirror_wire.h"

#define FP_MIRROR_AGE_SEC 2
#define FP_MIRROR_ALL     UINT16_MAX /* fp_mirror_port: of all interfaces */

struct fp_mirror_conf {
	struct fp_flow *flows;
	/* Does the policy track connections? Else there is nothing to do. */
	bool (*on)(void *ctx);
	/* The interface in a slot (zone of a key); 0: none. */
	unsigned (*ifindex)(void *ctx, uint16_t slot);
	/* Ids of the lines that admit the connection, words 0 to 2 of the labels. */
	void (*label)(void *ctx, const struct fp_flow_view *v, uint32_t ret[4]);
	/* Limits the thread to the system calls that it needs; NULL: nothing does. */
	int (*filter)(void);
	void *ctx;
};

struct fp_mirror_stats {
	uint64_t written, renewed, ended, given;
	uint64_t exists;  /* the kernel has a connection of its own with the tuple */
	uint64_t refused; /* by the kernel, tried again */
	uint64_t orphans; /* found at start without a flow, and given */
	uint64_t passes, ns;
	uint64_t looked;       /* flows whose lines were looked at */
	uint32_t held;         /* entries there now */
	uint32_t waiting;      /* that would be written if there were room */
	uint32_t n_ct, max_ct; /* the kernel's entries, and how many there may be */
	uint32_t lag_ms;       /* the longest that one written in the last pass waited beyond 2 s */
	bool on;
	int error; /* -errno: nothing can be written; 0 */
};

struct fp_mirror;

int fp_mirror_start(const struct fp_mirror_conf *conf, struct fp_mirror **ret);
/* The entries stay. */
struct fp_mirror *fp_mirror_stop(struct fp_mirror *m);

/* The `freed` of fp_flow_conf. */
void fp_mirror_freed(struct fp_mirror *m, enum flow_family fam, uint32_t pair,
		     const flow_word *key[2]);

/*
 * The interface in the slot is about to leave (give false): all its connections are written, also
 * young ones. It has left (give true): they are the kernel's, and the flows end. Waits for that,
 * false: it took longer than ms.
 */
bool fp_mirror_port(struct fp_mirror *m, uint16_t slot, bool give, unsigned ms);
/* The flow is the kernel's from now on, as its way is: written, given, ended. */
void fp_mirror_take(struct fp_mirror *m, enum flow_family fam, uint64_t ref);

void fp_mirror_stats(struct fp_mirror *m, struct fp_mirror_stats *ret);

#endif
