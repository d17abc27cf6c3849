/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a worker's inside, shared by worker.c (turns and rings), worker_slow.c (packets one by
 * one), worker_flow.c (flows: insert, path) and worker_track.c (the same under a policy).
 */
#ifndef FP_WORKER_IMPL_H
#define FP_WORKER_IMPL_H

#include "icmp_err.h"
#include "parse.h"
#include "vfr.h"
#include "worker.h"

/* Bursts of a port that are taken before what they leave is sent. */
#define FP_WORKER_BURSTS 4

/* Places of ports in a worker; one fits a byte, with another value to say none. */
#define FP_PLACES (FP_SOCKS_MAX + FP_PORTS_MAX)
_Static_assert(FP_PLACES < 256, "a place");

/* Flows that wait for the express path; more at a time take it at once. */
#define PROMOTE_MAX 4096

struct promote {
	uint64_t ref, since_ns;
	uint32_t after; /* what XDP had sent to the socket, when `settled` */
	uint8_t fam, s;
	bool settled;
};

/* A direction of a flow that has frames counted in flight: word0 of the line, its gen, and the
 * place of the socket that they came by. */
struct fp_counted {
	uint64_t *word0;
	uint16_t gen;
	uint8_t from;
};

/* A packet that waits for its neighbour. It is counted in flight for as long: what comes behind it
 * follows it. */
#define FP_PARKED       128
#define FP_PARKED_FIRST (FP_PARKED / 2) /* beyond it connections begin in the kernel */
struct fp_parked {
	uint64_t addr, since_ns;
	uint8_t *data;
	uint32_t len;
	unsigned s;
	struct fp_counted flow;
};

/* Frames that leave between two calls of fp_worker_flow_left: a burst may be received, parked, and
 * all that is parked looked at again. */
#define FP_DONE_MAX (FP_WORKER_BURSTS * (2 * FP_PIPE_BURST + FP_PARKED))

struct fp_worker {
	struct fp_worker_conf conf;
	struct fp_umem umem;
	struct fp_pipe pipe;
	struct fp_burst burst;
	uint64_t addr[FP_PIPE_BURST]; /* of the frames of the burst */
	uint64_t now_ns;
	struct fp_pol *pol;                  /* of this turn; NULL: none that needs connections */
	struct fp_counted done[FP_DONE_MAX]; /* flows of the frames that leave, one entry a frame */
	unsigned n_done;
	uint8_t from;       /* place of the socket that the burst came by */
	uint64_t uncounted; /* frames of the burst of which XDP knew no flow */
	struct promote promote[PROMOTE_MAX];
	uint32_t promote_head, promote_tail;
	uint64_t age_ns;
	struct fp_icmp_rl errors;
	struct fp_vfr *vfr; /* with a policy; its handles are frames that wait */
	uint16_t ip_id;     /* of packets of its own */
	struct {
		struct fp_parked frame[FP_PARKED];
		uint32_t head, tail;
		uint32_t gen;       /* of the adjacencies when they were looked at last */
		uint64_t looked_ns; /* ... and when that was */
		uint32_t again;     /* while they are looked at: the first that waits once more */
		uint64_t since;     /* of the one that is looked at again; 0: none is */
	} park;
	unsigned n_active; /* sockets */
	uint8_t active[FP_SOCKS_MAX];
	unsigned n_ports; /* ports, one place of each */
	uint8_t ports[FP_PORTS_MAX];
	struct fp_worker_stats stats;
	struct fp_wport port[FP_PLACES]; /* sockets, then VLANs by slot */
	uint8_t by_slot[FP_PORTS_MAX];   /* the place to send by, + 1; 0 = none */
	uint8_t *vlans[FP_PORTS_MAX];    /* of a parent, by VLAN: slot + 1; NULL: it has none */
	struct fp_wcount count[FP_PORTS_MAX];
};

/* The port that frames leave by; NULL: none. */
static inline struct fp_wport *fp_worker_out(struct fp_worker *w, uint32_t slot)
{
	return slot < FP_PORTS_MAX && w->by_slot[slot] ? &w->port[w->by_slot[slot] - 1] : NULL;
}

/* worker.c: after a change of ports. */
void fp_worker_list(struct fp_worker *w);

/* worker_out.c: what was given to send goes out; frames that have left come home. */
void fp_worker_flush(struct fp_worker *w, struct fp_wport *p);
void fp_worker_reap(struct fp_worker *w, struct fp_xsk *x);

/* worker.c: the burst, of which all frames came in by s. */
void fp_worker_burst(struct fp_worker *w, unsigned s);
/* worker_vlan.c: a burst of a port that has VLANs, each of them a burst of its own. */
void fp_worker_split(struct fp_worker *w, unsigned s);
/* The VLAN of the port that the frame's tag names: its slot + 1; 0: none. */
unsigned fp_worker_vlan_of(const struct fp_worker *w, unsigned slot, const uint8_t *frame);
/* The frame as it came in, with its tag. */
uint8_t *fp_worker_tagged(uint8_t *frame);

/* worker.c, worker_out.c: the ways out of frame i of the burst, which came in by socket s. */
void fp_worker_send(struct fp_worker *w, unsigned s, unsigned i);
void fp_worker_punt(struct fp_worker *w, unsigned s, unsigned i, enum fp_to_kernel why);
void fp_worker_drop(struct fp_worker *w, unsigned s, unsigned i, enum rtr_drop why);
/* A frame that was not received: taken, filled from its headroom on, and sent by a port; false:
 * there is no room, it is gone. */
uint64_t fp_worker_make(struct fp_worker *w, uint8_t **ret_data);
bool fp_worker_emit(struct fp_worker *w, uint32_t port, uint64_t addr, uint32_t len);

/* worker_slow.c */
void fp_worker_slow(struct fp_worker *w, unsigned s, unsigned i);
/* The question to the mirror about a packet as it is. */
void fp_worker_ask(const struct fp_worker *w, unsigned s, const uint8_t *frame,
		   const struct fp_pkt *p, struct fp_ask *ret);
/* A copy of the adjacency that nobody changes meanwhile; false: it is not ready. */
bool fp_worker_adj(const struct fp_worker *w, uint32_t i, struct fp_adj *ret);
/* Sends the packet by the adjacency; the caller knows that it may go there. */
void fp_worker_transmit(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p,
			const struct fp_adj *a);
/* Finishes the checksums that senders left to a NIC, of all frames of the burst. */
void fp_worker_checksums(struct fp_worker *w);

/* worker_flow.c */
/* A flow for a packet whose way is known; kernel: the kernel's. */
void fp_worker_flow_new(struct fp_worker *w, unsigned s, const uint8_t *frame,
			const struct fp_pkt *p, uint32_t adj, bool kernel);
/* The flow of a packet that the pipeline left: its next packets go by this adjacency. True when
 * there is one; *ret_path its path. */
bool fp_worker_flow_fix(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
			uint32_t adj, uint8_t *ret_path);
/* Both directions go over to the express path, where their interfaces allow it. */
void fp_worker_flow_express(struct fp_worker *w, enum flow_family fam, uint64_t ref, unsigned s,
			    unsigned out);
/* A packet of a flow that goes by a worker, from socket s to the port: does it still have to? The
 * first: to a port that XDP can redirect to. */
void fp_worker_flow_again(struct fp_worker *w, enum flow_family fam, uint64_t ref, unsigned s);
void fp_worker_flow_again4(struct fp_worker *w, unsigned s, uint32_t port,
			   const struct flow_key4 *key);
void fp_worker_flow_again6(struct fp_worker *w, unsigned s, uint32_t port,
			   const struct flow_key6 *key);
bool fp_worker_has_key(const struct fp_pkt *p);
struct flow_key4 fp_worker_key4(const uint8_t *ip, const struct fp_pkt *p, uint16_t zone);
struct flow_key6 fp_worker_key6(const uint8_t *ip, const struct fp_pkt *p, uint16_t zone);
void fp_worker_flow_left(struct fp_worker *w, bool all);
void fp_worker_flow_promote(struct fp_worker *w);
/* Remembers that a frame of this flow was counted, when it was. */
void fp_worker_flow_counted(struct fp_worker *w, unsigned i, uint64_t word0, uint64_t *at);
/* A frame of the flow stays here, and leaves. */
void fp_worker_flow_stays(const struct fp_counted *f);
void fp_worker_flow_leaves(struct fp_worker *w, const struct fp_counted *f);

/* A hit of either family. */
struct fp_wflow {
	uint64_t word0, *at; /* as found; where it is */
	uint32_t *egress;
};
bool fp_worker_flow_find(const struct fp_worker *w, unsigned s, const uint8_t *frame,
			 const struct fp_pkt *p, struct fp_wflow *ret);

/* worker_track.c */

/* A known flow and what its packets of this direction become. */
struct fp_known {
	struct fp_track_flow f;
	uint16_t zone_out; /* the interface that its packets left by at first */
	bool elsewhere;    /* the packet came by another interface than its flow's do */
	union {
		struct flow_rewrite4 rw4;
		struct flow_rewrite6 rw6;
	};
};

/* A packet under a policy that needs connections. known_only: one that the kernel has to think
 * about unless its flow is ours. */
void fp_worker_tracked(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p,
		       bool known_only);
bool fp_worker_find4(const struct fp_worker *w, const struct flow_key4 *key, struct fp_known *ret);
bool fp_worker_find6(const struct fp_worker *w, const struct flow_key6 *key, struct fp_known *ret);
/* By its own ports. */
bool fp_worker_find(const struct fp_worker *w, unsigned s, const uint8_t *frame,
		    const struct fp_pkt *p, struct fp_known *ret);
/* The question to the policy about a packet as it is. */
void fp_worker_pol_key(const struct fp_worker *w, unsigned s, const uint8_t *frame,
		       const struct fp_pkt *p, struct fp_pol_key *ret);
/* XDP finds the flow of such a packet, and has counted it: not of a later piece, nor behind
 * extension headers. */
bool fp_worker_was_counted(const struct fp_pkt *p);
/* The packet goes by its flow, as the state of that allows. False: it begins another flow. */
bool fp_worker_known(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p,
		     const struct fp_known *k);
/* Flows that have ended; the callback of fp_flow_age. */
void fp_worker_flow_ended(void *ctx, enum flow_family fam, uint64_t ref);

/* The flow gives the packet, which is as it came, another destination. */
bool fp_worker_dst_moves(const uint8_t *frame, const struct fp_pkt *p, const struct fp_known *k);

/* worker_park.c */
void fp_worker_park(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
		    const struct fp_known *k);
/* For the first packet of a connection, too? What goes on has more of it. */
bool fp_worker_park_room(const struct fp_worker *w);
/* Does a packet of this direction wait, in front of the one that is looked at? */
bool fp_worker_parked(const struct fp_worker *w, const uint64_t *word0);
/* Looks at all of them again; the burst stays as it is. */
void fp_worker_unpark(struct fp_worker *w);
/* The frames of the burst that are ready: those of their flows that wait leave first. */
void fp_worker_unpark_before(struct fp_worker *w);
/* What waits of a port that goes is lost, while its places still are its. */
void fp_worker_park_gone(struct fp_worker *w, unsigned slot);

/* worker_icmp.c */
/* An error of ours about the packet, which has not been changed, to its sender. translated: its
 * destination is an address of ours that stands for another, and the error comes from there. */
void fp_worker_error(struct fp_worker *w, unsigned s, unsigned i, const struct fp_pkt *p,
		     enum fp_icmp_kind kind, uint32_t arg, bool translated);
/* An error of others that quotes a packet of a flow of ours; false: it does not. */
bool fp_worker_quoted(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p);

/* worker_frag.c */
/* A piece of a datagram: goes the way of its first one. */
void fp_worker_fragment(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p);
/* Pieces that have waited too long are the kernel's. */
void fp_worker_fragments_age(struct fp_worker *w);
/* Those of a port that goes are lost, while its places still are its. */
void fp_worker_fragments_gone(struct fp_worker *w, unsigned zone);
/* Sends an IPv4 packet in pieces that fit; it is done but for its TTL. */
void fp_worker_cut(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p,
		   const struct fp_adj *a);

#endif
