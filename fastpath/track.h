/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: connections of the fast plane: what a packet does to the state of its flow.
 *
 * A connection is a flow (flow.h) with both directions known. What XDP judges by lies in its lines:
 * state, windows. The worker's tracker of TCP (tcp_track.h) remembers more; that lies here, one a
 * pair, and is filled again from the lines when they know of packets that it has not seen: after
 * XDP has forwarded some, after a restart of the process, after XDP went on without workers.
 *
 *	XDP, pipeline -> lines -> tracker -> packet judged -> tracker -> lines -> XDP, pipeline
 *
 * Both directions of a flow may meet at two workers: a tracker has a lock, held for the time of one
 * packet. Who does not get it within some 100 us drops the packet.
 *
 * UDP is known by its first answer: the timeout grows, and answers may take the express path.
 *
 * Beside them lie the ids of the lines that admitted a flow, for who judges it again.
 *
 * Owns: the trackers; they are touched by TCP flows only. Threads: fp_track_packet any worker,
 * fp_track_noted the keeper, fp_track_conf the control thread. Failure: a drop reason.
 */
#ifndef FP_TRACK_H
#define FP_TRACK_H

#include "flow.h"
#include "tcp_track.h"

struct fp_pkt;

/* The kernel's settings of the same name, nf_conntrack_*. */
struct fp_track_conf {
	struct tcp_track_conf tcp;
	uint32_t udp_sec, udp_stream_sec;
};
extern const struct fp_track_conf fp_track_defaults;

/* One direction of a flow in the table, of either family. */
struct fp_track_half {
	uint64_t *word0;
	uint32_t *egress, *time;
	uint64_t *count;
	struct flow_tcp *tcp;
};

/* The flow of a packet: [0] the packet's own direction, [1] its twin. */
struct fp_track_flow {
	enum flow_family fam;
	uint64_t ref;   /* of the own half; the opener's is even */
	uint64_t word0; /* as found */
	struct fp_track_half half[2];
	struct flow_cold *cold;
};

enum fp_track_act {
	FP_TRACK_PASS,
	FP_TRACK_DROP,
	FP_TRACK_REOPEN, /* the flow is over, and the packet begins another */
	FP_TRACK_LAST,   /* passes, and ends the flow */
};

struct fp_track_ret {
	uint8_t drop;     /* of DROP: enum rtr_drop */
	bool promote;     /* both directions may take the express path from now on */
	bool touched;     /* the packet keeps the flow alive */
	uint32_t timeout; /* for fp_flow_set_timeout, when retime */
	bool retime;
};

struct fp_track;

struct fp_track *fp_track_new(const uint32_t n_pairs[FLOW__FAMILIES]);
struct fp_track *fp_track_free(struct fp_track *t);
/* Effective with the next packets. At most once a second. */
void fp_track_conf(struct fp_track *t, const struct fp_track_conf *conf);
const struct fp_track_conf *fp_track_now(const struct fp_track *t);

/* Seconds as flows count them. */
static inline uint32_t fp_track_units(uint32_t sec)
{
	return (uint32_t)MIN((uint64_t)sec * NSEC_PER_SEC >> FLOW_TIME_SHIFT, INT32_MAX);
}

/*
 * The first packet of a connection: fills both halves' state, flags and windows and the timeout of
 * f, whose keys stand. False: it cannot begin one. Then, when the flow is in the table:
 * fp_track_born with the reference and what was returned.
 */
bool fp_track_open(const struct fp_track *t, const uint8_t *frame, const struct fp_pkt *p,
		   uint64_t now_ns, struct fp_flow_new *f, struct tcp_track *ret);
/* Fetches ahead what is remembered of a TCP flow beside its lines. */
void fp_track_fetch(const struct fp_track *t, enum flow_family fam, uint32_t name);
void fp_track_born(struct fp_track *t, enum flow_family fam, uint64_t ref,
		   const struct tcp_track *born);

/* What admitted a flow: pol_id of `in`, pair or class, `out`. Of a process before: 0, not known. */
void fp_track_admit(struct fp_track *t, enum flow_family fam, uint64_t ref, const uint32_t id[3]);
void fp_track_admitted(const struct fp_track *t, enum flow_family fam, uint64_t ref,
		       uint32_t ret_id[3]);

/* A packet of a known connection. */
enum fp_track_act fp_track_packet(struct fp_track *t, struct fp_flow_worker *fw,
				  const struct fp_track_flow *f, const uint8_t *frame,
				  const struct fp_pkt *p, uint64_t now_ns,
				  struct fp_track_ret *ret);

/* A segment in pieces: the first one is judged like a whole one and gives the base, by which each
 * later one tells how far its sender has sent. Later pieces follow the first whatever the state. */
uint32_t fp_track_base(const uint8_t *frame, const struct fp_pkt *first);
void fp_track_piece(struct fp_track *t, struct fp_flow_worker *fw, const struct fp_track_flow *f,
		    const struct fp_pkt *p, uint32_t base);

/* XDP forwarded segments that the tracker should have seen, for want of a worker (FLOW_F_FIN, RST,
 * WINDOW): the state and the timeout that follow from that. True: ret_timeout is the new one. */
bool fp_track_noted(struct fp_track *t, const struct fp_track_flow *f, uint32_t *ret_timeout);

#endif
