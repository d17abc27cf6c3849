/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a worker's fast way for a burst of plain packets, as stages over arrays.
 *
 *	fetch   first cache lines of the NEXT burst's frames
 *	parse   is it plain? keys out of the header; the rest is left to the caller as SLOW
 *	lookup  flow table, each access fetched a stage ahead       (routes: LPM instead)
 *	judge   path, policy generation, TCP window by both halves; fetches the adjacency
 *	rewrite addresses, ports, TTL, checksums: two additions
 *	link    layer 2 header, MTU, padding, egress port
 *	account one atomic add a packet, time and TCP edges when they change
 *
 * Plain means: untagged Ethernet to our address, IPv4 without options or IPv6 without extension
 * headers, no fragment, TCP or UDP, TTL above 1, lengths and IPv4 checksum right. That is what
 * nearly all packets are; everything else takes parse.h and rewrite.h one packet at a time, and
 * tests/unit/test_pipeline.c proves that both ways give the same bytes.
 *
 * A packet that is not forwarded here has not been touched: act says why, in the order of the
 * burst, and the caller decides. A burst is at most 64 packets, so that its arrays stay in L1 and
 * a set of them is one word.
 *
 * docs/design/pipeline.md has the measurements and what was tried. For comparison, on the same
 * machine and without I/O: VPP 25.10 6.6-7.0 Mpps NAT44 and 19.5-22.5 routed, grout 4.0-6.3 and
 * 6.6-8.7.
 *
 * Owns: nothing. Threads: one worker a burst; the tables are read under the worker's QSBR; flow
 * lines are shared with XDP and other workers as rtr/flow.h says. Failure: an act, never else.
 */
#ifndef FP_PIPELINE_H
#define FP_PIPELINE_H

#include "flow.h"
#include "lpm4.h"
#include "lpm6.h"
#include "rtr/adj.h"

#define FP_PIPE_BURST FP_FLOW_BURST

enum fp_act {
	FP_A_TX,    /* ready: data, len, port */
	FP_A_SLOW,  /* not plain */
	FP_A_MISS,  /* no flow */
	FP_A_STATE, /* the flow's state machine, policy or path has to decide */
	FP_A_ADJ,   /* no route, neighbour not resolved, shaped, or too big for the link */
	FP_A__MAX
};

struct fp_pipe {
	const struct fp_flow *flows;
	const struct lpm4 *lpm4;
	const struct lpm6 *lpm6;
	const struct fp_adj *adj; /* [0] is never ready: no route */
	uint32_t n_adj;
	uint32_t now;    /* coarse time of rtr/flow.h */
	uint16_t policy; /* current generation; the one before it still holds */
};

struct fp_burst {
	/* in; data and len change with the header */
	unsigned n;
	uint8_t *data[FP_PIPE_BURST]; /* at least 8 bytes of headroom */
	uint32_t len[FP_PIPE_BURST];
	uint8_t mac[6]; /* of the interface the frames came in by */
	uint16_t zone;
	/* out */
	uint8_t act[FP_PIPE_BURST];
	uint32_t port[FP_PIPE_BURST];
	/* between stages: packets of a family in order of arrival */
	unsigned n4, n6;
	uint64_t live4, live6; /* by position in idx */
	uint8_t idx4[FP_PIPE_BURST], idx6[FP_PIPE_BURST];
	uint16_t l3_len[FP_PIPE_BURST]; /* by packet: IP packet's length */
	uint32_t adj[FP_PIPE_BURST];
	struct flow_key4 key4[FP_PIPE_BURST];
	struct flow_key6 key6[FP_PIPE_BURST];
	struct flow_hit4 hit4[FP_PIPE_BURST];
	struct flow_hit6 hit6[FP_PIPE_BURST];
};

void fp_pipe_fetch(const struct fp_burst *b);
void fp_pipe_parse(struct fp_burst *b);
void fp_pipe_lookup(const struct fp_pipe *p, struct fp_burst *b);
void fp_pipe_judge(const struct fp_pipe *p, struct fp_burst *b);
void fp_pipe_rewrite(struct fp_burst *b);
void fp_pipe_link(const struct fp_pipe *p, struct fp_burst *b);
void fp_pipe_account(const struct fp_pipe *p, struct fp_burst *b);

/* Routing without flows, instead of lookup, judge and rewrite. */
void fp_pipe_route(const struct fp_pipe *p, struct fp_burst *b);

/* All stages; next may be NULL. */
void fp_pipe_flows(const struct fp_pipe *p, struct fp_burst *b, const struct fp_burst *next);
void fp_pipe_routes(const struct fp_pipe *p, struct fp_burst *b, const struct fp_burst *next);

#endif
