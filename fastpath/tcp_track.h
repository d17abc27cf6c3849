/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: TCP connection tracking: states, windows, and which segments belong to the connection.
 *
 * The tracker sits between the two ends and sees each segment before its receiver does. For each
 * direction it keeps what that end has sent and what the other end has allowed, after Guido van
 * Rooij, "Real Stateful TCP Packet Filtering in IP Filter" (2000):
 *
 *	end     highest seq + len that this end sent
 *	maxend  highest ack + window that the other end advertised: data beyond it cannot be ours
 *	maxwin  largest window that this end ever advertised
 *
 *	         end - peer.maxwin                end            maxend
 *	  seq space ---|--------------------------|--------------|-------->
 *	   too old     | duplicates, retransmits  |  new data    |  forged or a dead connection
 *
 *	I   seq <= maxend             II  seq + len >= end - peer.maxwin
 *	III ack <= peer.end           IV  ack >= peer.end - max(maxwin, 66000)
 *
 * A failed I or III is INVALID: nothing in flight can look like that. A failed II or IV, or an
 * overshoot of at most one window, is IGNOREd: the segment passes and teaches us nothing, because
 * a delayed duplicate looks like that and its receiver drops it anyhow. The ack of III and IV is
 * the highest SACK edge where the receiver of the data permitted SACK.
 *
 * The oracle is the Linux kernel (nf_conntrack, seen on 6.18; tests/unit/test_tcp_track_kernel.c
 *feeds both with the same random segments and compares verdict, state and timeout), because a flow
 *may move between the planes. Deliberate differences:
 *  - Express flows: XDP keeps no highest ack. tcp_track_from_express() knows only that it is at
 *    least edge - maxwin, so the exact-sequence test of a RST (RFC 5961 section 3.2) also takes
 *    seq == end of its sender, the kernel's "RST at the end of the train" rule.
 *  - A SYN proxy keep-alive exception is not here: a proxied flow stays in the kernel plane.
 *  - No sequence adjustment: flows with a helper are kernel-only (FASTPLANE.md section 6).
 *
 * RFC 5961: a RST below the highest ack is INVALID; one at it closes; another in the window
 * passes, does not close, and shortens the timeout, so that the receiver's challenge ACK decides.
 * A SYN inside a connection passes, is remembered, and is believed only when the other end's
 * SYN/ACK acknowledges it; an ACK that answers it is a challenge, not the ACK of a FIN.
 *
 * Owns: nothing; the caller holds struct tcp_track wherever it keeps the flow. No allocation.
 * Threads: one writer at a time for a flow (the two directions share this struct: the flow's
 * owner calls). Failure: none; each verdict has a reason that the caller counts.
 */
#ifndef FP_TCP_TRACK_H
#define FP_TCP_TRACK_H

#include "util.h"

/* Numbered as the kernel's enum tcp_conntrack, so that the mirror copies them. */
enum tcp_track_state {
	TCPT_S_NONE,
	TCPT_S_SYN_SENT,
	TCPT_S_SYN_RECV,
	TCPT_S_ESTABLISHED,
	TCPT_S_FIN_WAIT,
	TCPT_S_CLOSE_WAIT,
	TCPT_S_LAST_ACK,
	TCPT_S_TIME_WAIT,
	TCPT_S_CLOSE,
	TCPT_S_SYN_SENT2, /* SYN in both directions: simultaneous open */
	TCPT_S__MAX
};

/* Timeouts that no state owns follow the states in struct tcp_track_conf.timeout_sec. */
enum { TCPT_T_RETRANS = TCPT_S__MAX, TCPT_T_UNACK, TCPT_T__MAX };

enum tcp_track_verdict {
	TCPT_ACCEPT,  /* belongs to the connection; state and deadline are updated */
	TCPT_IGNORE,  /* passes; state and windows stay */
	TCPT_INVALID, /* does not belong to the connection: drop, count by reason */
	TCPT_REOPEN,  /* a SYN takes the tuple over: free the flow, then handle it as a new one */
	TCPT_END,     /* passes, and the flow ends with it (a RST before any reply) */
};

/* Why a verdict is not ACCEPT; the caller keeps one counter each. */
#define TCPT_REASONS(X)                                                                            \
	X(NONE, "accepted")                                                                        \
	X(SHORT, "header shorter than it claims")                                                  \
	X(FLAGS, "flags that no TCP sends")                                                        \
	X(NOT_NEW, "no connection, and this segment cannot begin one")                             \
	X(NO_PICKUP, "middle of an unknown connection, pickup is off")                             \
	X(STATE, "not possible in this state")                                                     \
	X(SEQ_ABOVE, "data beyond the receiver's window")                                          \
	X(ACK_ABOVE, "acknowledges data that was never sent")                                      \
	X(RST_BELOW, "RST below what its receiver has acknowledged")                               \
	X(OVERSHOT, "passed: data a little beyond the window")                                     \
	X(SEQ_BELOW, "passed: data acknowledged long ago")                                         \
	X(ACK_BELOW, "passed: ACK of long ago")                                                    \
	X(UNSYNCED, "passed: SYN or SYN/ACK inside a connection")                                  \
	X(CHALLENGE, "passed: challenge ACK")                                                      \
	X(ABORTED, "RST before any reply")                                                         \
	X(REOPENED, "SYN on a closed connection")

enum tcp_track_reason {
#define X(id, text) TCPT_R_##id,
	TCPT_REASONS(X)
#undef X
		TCPT_R__MAX
};

struct tcp_track_conf {
	uint32_t timeout_sec[TCPT_T__MAX];
	uint8_t max_retrans; /* repeats of one ACK before the timeout drops to RETRANS */
	bool loose;          /* take up connections whose beginning we missed */
	bool liberal;        /* windows are only learnt, not enforced */
	bool ignore_invalid_rst;
};

/* The kernel's defaults, but loose off: with NAT configured the kernel plane has it off too. */
#define TCP_TRACK_DEFAULTS                                                                         \
	{                                                                                          \
		.timeout_sec = { \
			[TCPT_S_SYN_SENT] = 120, \
			[TCPT_S_SYN_RECV] = 60, \
			[TCPT_S_ESTABLISHED] = 5 * 86400, \
			[TCPT_S_FIN_WAIT] = 120, \
			[TCPT_S_CLOSE_WAIT] = 60, \
			[TCPT_S_LAST_ACK] = 30, \
			[TCPT_S_TIME_WAIT] = 120, \
			[TCPT_S_CLOSE] = 10, \
			[TCPT_S_SYN_SENT2] = 120, \
			[TCPT_T_RETRANS] = 300, \
			[TCPT_T_UNACK] = 300, \
		}, \
		.max_retrans = 3,                                                                 \
	}
extern const struct tcp_track_conf tcp_track_defaults;

/* One segment, host byte order. */
struct tcp_seg {
	uint32_t seq, ack, end; /* end = seq + payload + SYN + FIN */
	uint32_t sack;          /* highest right edge of a SACK block after ack, else ack */
	uint16_t win;
	uint8_t flags;  /* TH_FIN ... TH_CWR as in the header */
	uint8_t wscale; /* 0..14; with TCPT_F_WSCALE only */
	uint8_t opts;   /* TCPT_F_SACK_PERM, TCPT_F_WSCALE seen in it; TCPT_OPT_ANY */
};
#define TCPT_OPT_ANY 0x80 /* the header is longer than 20 bytes */

/* Of a direction; the low four have the kernel's IP_CT_TCP_FLAG_ values. */
enum {
	TCPT_F_WSCALE = 1,
	TCPT_F_SACK_PERM = 2,
	TCPT_F_CLOSE_INIT = 4, /* sent the first FIN */
	TCPT_F_LIBERAL = 8,
	TCPT_F_UNACKED = 16,
	TCPT_F_MAXACK = 32,  /* maxack is known */
	TCPT_F_EXPRESS = 64, /* end and edge came back from XDP; maxack is a lower bound */
};

struct tcp_track_dir {
	uint32_t end, maxend, maxwin, maxack;
	uint8_t scale, flags;
};

struct tcp_track {
	struct tcp_track_dir seen[2]; /* [0] the direction that opened the flow */
	uint32_t last_seq, last_ack, last_end;
	uint32_t deadline; /* coarse seconds; the flow is dead when now >= deadline */
	uint16_t last_win;
	uint8_t last_dir, last_index, last_wscale, last_flags;
	uint8_t retrans;
	uint8_t state; /* enum tcp_track_state */
	bool replied, assured;
};

/*
 * Reads a TCP header of which len bytes are there, in a segment of l4_len bytes. Options are read
 * in a SYN and where a SACK block may be. TCPT_R_NONE, TCPT_R_SHORT or TCPT_R_FLAGS.
 */
enum tcp_track_reason tcp_seg_parse(struct tcp_seg *ret, const void *th, size_t len, size_t l4_len);

/* First segment of an unknown tuple: ACCEPT (t is filled) or INVALID (t is untouched). */
enum tcp_track_verdict tcp_track_new(struct tcp_track *t, const struct tcp_track_conf *conf,
				     const struct tcp_seg *s, uint32_t now,
				     enum tcp_track_reason *ret_reason);

/* Any later segment; dir 0 is the opener's. */
enum tcp_track_verdict tcp_track_packet(struct tcp_track *t, const struct tcp_track_conf *conf,
					unsigned dir, const struct tcp_seg *s, uint32_t now,
					enum tcp_track_reason *ret_reason);

const char *tcp_track_state_name(unsigned state);
const char *tcp_track_reason_text(unsigned reason);

/*
 * What XDP keeps of a direction. edge is the highest ack + window that THIS direction sent (the
 * maxend of its twin), so that each direction writes only its own half.
 */
struct tcp_express {
	uint32_t end, edge;
	uint8_t scale;    /* 0..14 */
	uint8_t win_log2; /* maxwin >= 1 << win_log2: 0..30 */
};

/*
 * The window test of the express lane: true only where tcp_track_packet() would ACCEPT a plain
 * ACK or data segment without options other than timestamps, in ESTABLISHED. A larger window than
 * win_log2 tells goes to the worker, which learns it. XDP compiles this very function.
 */
static inline bool tcp_express_ok(const struct tcp_express *own, const struct tcp_express *twin,
				  uint32_t seq, uint32_t end, uint32_t ack, uint32_t win)
{
	if ((int32_t)(seq - twin->edge) > 0 || (int32_t)(ack - twin->end) > 0)
		return false;
	if ((int32_t)(end - (own->end - (1u << twin->win_log2))) < 0)
		return false;
	return (int32_t)(ack - (twin->end - 66000)) >= 0 &&
	       !((win << own->scale) >> own->win_log2 >> 1);
}

/* What a passed segment leaves in its own half. */
static inline void tcp_express_advance(struct tcp_express *own, uint32_t end, uint32_t ack,
				       uint32_t win)
{
	uint32_t edge = ack + MAX(win << own->scale, 1u);

	if ((int32_t)(end - own->end) > 0)
		own->end = end;
	if ((int32_t)(edge - own->edge) > 0)
		own->edge = edge;
}

/* True when both halves may go express: ESTABLISHED, both directions seen, tracking enforced. */
bool tcp_track_to_express(const struct tcp_track *t, struct tcp_express ret[2]);
/* Takes over what XDP has seen since. */
void tcp_track_from_express(struct tcp_track *t, const struct tcp_express e[2]);

#endif
