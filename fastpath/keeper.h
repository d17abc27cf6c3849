/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the thread that looks after the flow table: grace periods and adoption (fp_flow_maintain),
 * and the sweep, which asks for each flow's way again.
 *
 * A flow whose way is another gets the new adjacency by one store; one that may not be forwarded
 * any more, or whose interfaces left the fast plane, gets adjacency 0, which is never ready: XDP
 * hands its packets to the worker, or without one to the kernel, and each is judged by itself. So a
 * change of routes, neighbours, addresses, forwarding or source tests reaches flows that XDP
 * forwards within a second, soon after the change or with the next regular pass.
 *
 * A new policy: each connection is judged again by it (judge.h), once, and ended when it may not go
 * on. Connections are ended too when the policy no longer needs any, and routes of before when it
 * does. When a sweep that began after the policy was published has ended, all flows are of its
 * generation and nobody reads the one before: it may be freed.
 *
 * Owns: the thread. Threads: its own; it is a QSBR reader. Failure: -errno of start.
 */
#ifndef FP_KEEPER_H
#define FP_KEEPER_H

#include "fib_ctl.h"
#include "flow.h"
#include "pol.h"
#include "way.h"

/* What it needs to know of interfaces, by slot; written by the control thread. */
struct fp_keeper_port {
	unsigned ifindex; /* 0: not on the fast plane */
	uint32_t express_in, express_out;
	unsigned vrf; /* of ifindex: fp_pol_key */
};

struct fp_keeper_conf {
	struct fp_flow *flows;
	const struct fp_flow_mem *mem;
	struct fibctl *fib;
	struct fp_way_conf way;
	const struct fp_adj *adj;
	const struct fp_keeper_port *port; /* FP_PORTS_MAX */
	/* A connection's way is one that only the kernel can take: it shall have it. */
	void (*take)(void *ctx, enum flow_family fam, uint64_t ref);
	void *take_ctx;
	/* What is in force, and what flows were judged by before; read under QSBR, may be NULL. */
	struct fp_pol *const *pol, *const *past;
	struct fp_track *track;
};

struct fp_keeper_stats {
	uint64_t begun, sweeps, flows, changed, ns;
	uint64_t judged, ended; /* again, by a policy; of these */
	uint64_t outdated;      /* ended because connections are needed now, or no longer */
	uint32_t n_flows[FLOW__FAMILIES];
};

struct fp_keeper;

int fp_keeper_start(const struct fp_keeper_conf *conf, struct fp_keeper **ret);
struct fp_keeper *fp_keeper_stop(struct fp_keeper *k);
/* The sweep may begin: all interfaces and tables are known. */
void fp_keeper_sweep(struct fp_keeper *k, bool on);
/* Something changed: sweep soon. */
void fp_keeper_hurry(struct fp_keeper *k);
/* The number of the next sweep to begin; whether that one has ended. */
uint64_t fp_keeper_next(const struct fp_keeper *k);
bool fp_keeper_swept(const struct fp_keeper *k, uint64_t sweep);
void fp_keeper_stats(const struct fp_keeper *k, struct fp_keeper_stats *ret);

#endif
