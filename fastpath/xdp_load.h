/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: loads the express lane (xdp/express.bpf.c): its maps beside those of the flow table, one
 * instance of the program an interface, and the links that hold them.
 *
 *	fp_xdp_new          maps: control word, adjacencies, heartbeats, counters, devices, sockets
 *	fp_xdp_port_set     an interface: load, attach; again: other settings, no new attach
 *	fp_xdp_vlan_set     a VLAN of such an interface
 *	fp_xdp_adj_set      a next hop, while the program reads it
 *	fp_xdp_clock        the clock of the lines, every few seconds
 *	fp_xdp_watch        when this process dies, XDP knows at once
 *
 * With a folder of a bpffs maps, programs and links are pinned there: they outlive the process, and
 * the next one finds them and never detaches (FASTPLANE.md section 8). It goes on with a program
 * that is its own, and saves the verifier's 160 ms an interface; else it replaces it. Ports are
 *told apart by slot: 0 to n_ports - 1, the same number in adjacencies, counters and device map.
 *
 * Owns: descriptors and mappings until fp_xdp_free; without pin_dir that detaches. Threads: one;
 * the counters may be read by any. Failure: -errno; libbpf's words go to the caller's print hook.
 */
#ifndef FP_XDP_LOAD_H
#define FP_XDP_LOAD_H

#include "flow_mem.h"
#include "pol.h"
#include "rtr/adj.h"
#include "rtr/express.h"

#include <stdbool.h>

struct fp_xdp;

struct fp_xdp_conf {
	const struct fp_flow_mem *mem; /* of fp_flow_mem_bpf */
	const char *pin_dir;           /* NULL: nothing is pinned */
	int ct_types; /* descriptor of the types of a module (rtr/ct_types.h); 0: none */
	uint32_t n_ports, n_adj, n_xsks;
	uint32_t n_workers, n_frames; /* packet buffers of each, which XDP can read; 0: none */
};

/* -EPROTO: pinned maps of other sizes or of another version. */
int fp_xdp_new(const struct fp_xdp_conf *conf, struct fp_xdp **ret);
struct fp_xdp *fp_xdp_free(struct fp_xdp *x);

struct express_ctl *fp_xdp_ctl(struct fp_xdp *x);
/* CLOCK_MONOTONIC of the worker that serves a socket, in nanoseconds; workers write it. */
struct express_queue *fp_xdp_queue(struct fp_xdp *x, uint32_t xsk);

/* A policy that tracks connections: misses ask the kernel's table. -EOPNOTSUPP: this kernel has no
 * bpf_xdp_ct_lookup (before 5.18, or as a module whose types nobody opened for us): such a policy
 * cannot be served then. */
int fp_xdp_stateful(struct fp_xdp *x, bool stateful);
bool fp_xdp_sees_ct(const struct fp_xdp *x);

/* Generic XDP is refused: on it the lane has no way out (FASTPLANE.md section 7). */
int fp_xdp_port_set(struct fp_xdp *x, unsigned ifindex, const struct express_port *port);
/* Everything to the kernel, at once, on all interfaces; false: as each of them was set. */
void fp_xdp_pause(struct fp_xdp *x, bool pause);
/* The interface whose pinned link a process before left in this slot; 0: none. */
unsigned fp_xdp_port_found(const struct fp_xdp *x, uint32_t slot);
/* A VLAN of an attached interface, with a slot of its own: its frames are its own from now on;
 * again: other settings. port: its ifindex, and queues and sockets of its parent. */
int fp_xdp_vlan_set(struct fp_xdp *x, const struct express_vlan_key *key,
		    const struct express_port *port);
/* Its frames are the kernel's. -ENOENT: there is none. */
int fp_xdp_vlan_del(struct fp_xdp *x, const struct express_vlan_key *key);
/* The VLAN that a process before had in this slot: its ifindex; 0: none. */
unsigned fp_xdp_vlan_found(const struct fp_xdp *x, uint32_t slot, struct express_vlan_key *ret);
/* Detaches, and takes the slot out of the device map. */
int fp_xdp_port_del(struct fp_xdp *x, uint32_t slot);
/* The program of a port. */
int fp_xdp_port_fd(const struct fp_xdp *x, uint32_t slot);

/* A worker's packet buffers, and what it shares with the program that injects for it; false: there
 * are none. */
bool fp_xdp_inject(const struct fp_xdp *x, uint32_t worker, void **ret_area,
		   struct express_inject **ret);

int fp_xdp_adj_set(struct fp_xdp *x, uint32_t i, const struct fp_adj *adj);
/* The array, and a word that is odd while an entry changes: readers beside XDP. */
struct fp_adj *fp_xdp_adjs(const struct fp_xdp *x);
const uint32_t *fp_xdp_adj_gen(const struct fp_xdp *x);
/* fd -1 takes the socket out. */
int fp_xdp_xsk_set(struct fp_xdp *x, uint32_t xsk, int fd);

/* Ties the tick that the program reads to CLOCK_MONOTONIC_COARSE; fp_xdp_new has done it once. */
int fp_xdp_clock(struct fp_xdp *x);

/* When the first of these threads and the calling one ends, XDP gives workers nothing more
 * (ctl.gone). An error leaves that to the heartbeat. */
int fp_xdp_watch(struct fp_xdp *x, const uint32_t *tid, unsigned n);

/* Which packets to addresses of the box are NAT's: a new policy's, before workers have it. On an
 * error some are the kernel's alone: -E2BIG, or of bpf(). */
int fp_xdp_nat_set(struct fp_xdp *x, const struct fp_pol_pool *pools, unsigned n_pools,
		   const struct fp_pol_claim *claims, unsigned n_claims);

/* The sum over all CPUs. */
int fp_xdp_counts(const struct fp_xdp *x, uint32_t slot, struct express_count *ret);
const char *fp_xdp_verdict_text(unsigned verdict);

#endif
