/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a worker's inside, shared by worker.c (turns and rings), worker_slow.c (packets one by one)
 * and worker_flow.c (flows: insert, path).
 */
#ifndef FP_WORKER_IMPL_H
#define FP_WORKER_IMPL_H

#include "parse.h"
#include "worker.h"

/* Flows that wait for the express path; more at a time take it at once. */
#define PROMOTE_MAX 4096

struct promote {
	uint64_t ref, since_ns;
	uint32_t after; /* position in the rx ring of the port */
	uint8_t fam, s;
};

struct fp_worker {
	struct fp_worker_conf conf;
	struct fp_umem umem;
	struct fp_pipe pipe;
	struct fp_burst burst;
	uint64_t addr[FP_PIPE_BURST]; /* of the frames of the burst */
	uint64_t now_ns;
	/* Flows of the burst that had frames counted in flight: word0 of the line, and its gen. */
	struct {
		uint64_t *word0;
		uint16_t gen;
	} done[FP_PIPE_BURST];
	unsigned n_done;
	struct promote promote[PROMOTE_MAX];
	uint32_t promote_head, promote_tail;
	uint64_t age_ns;
	unsigned n_active;
	uint8_t active[FP_SOCKS_MAX];
	struct fp_worker_stats stats;
	struct fp_wport port[FP_SOCKS_MAX];
	uint8_t by_slot[FP_PORTS_MAX]; /* the socket to send by, + 1; 0 = none */
	struct fp_wcount count[FP_PORTS_MAX];
};

/* The socket that frames for a port leave by; NULL: none. */
static inline struct fp_wport *fp_worker_out(struct fp_worker *w, uint32_t slot)
{
	return slot < FP_PORTS_MAX && w->by_slot[slot] ? &w->port[w->by_slot[slot] - 1] : NULL;
}

/* worker.c: the ways out of frame i of the burst, which came in by socket s. */
void fp_worker_send(struct fp_worker *w, unsigned s, unsigned i);
void fp_worker_punt(struct fp_worker *w, unsigned s, unsigned i, enum fp_to_kernel why);
void fp_worker_drop(struct fp_worker *w, unsigned s, unsigned i, enum rtr_drop why);

/* worker_slow.c */
void fp_worker_slow(struct fp_worker *w, unsigned s, unsigned i);
/* Finishes the checksums that senders left to a NIC, of all frames of the burst. */
void fp_worker_checksums(struct fp_worker *w);

/* worker_flow.c */
/* A flow for a packet whose way is known; kernel: the kernel's. */
void fp_worker_flow_new(struct fp_worker *w, unsigned s, const uint8_t *frame,
			const struct fp_pkt *p, uint32_t adj, bool kernel);
/* The flow of a packet that the pipeline left: its next packets go by this adjacency. True when
 * there is one; *ret_path its path. */
bool fp_worker_flow_fix(struct fp_worker *w, unsigned s, const uint8_t *frame,
			const struct fp_pkt *p, uint32_t adj, uint8_t *ret_path);
void fp_worker_flow_left(struct fp_worker *w, bool ring_empty);
void fp_worker_flow_promote(struct fp_worker *w);
/* Remembers that a frame of this flow was counted, when it was. */
void fp_worker_flow_counted(struct fp_worker *w, uint64_t word0, uint64_t *at);

/* A hit of either family. */
struct fp_wflow {
	uint64_t word0, *at; /* as found; where it is */
	uint32_t *egress;
};
bool fp_worker_flow_find(const struct fp_worker *w, unsigned s, const uint8_t *frame,
			 const struct fp_pkt *p, struct fp_wflow *ret);

#endif
