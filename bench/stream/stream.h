/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What: what stream and its BPF programs share. Threads: one generator; sinks on any CPU. */
#ifndef RTR_STREAM_H
#define RTR_STREAM_H

#include <stdint.h>

/* Ethernet, IPv6, TCP and ten bytes: flow and number are the last eight. All kinds are as long. */
#define STREAM_LEN    84
#define STREAM_PORTS  0x3fff /* flows that differ in the port alone */
#define STREAM_PORT   16384
#define STREAM_LANES  3
#define STREAM_FLOWS  (1u << 20) /* of a lane */
#define STREAM_STAMPS 0x10000
#define STREAM_SINKS  64
#define STREAM_BINS   512 /* 16 an octave of nanoseconds */

/* Where a translated flow is seen from outside. */
struct stream_seen {
	uint32_t addr[4]; /* network order; IPv4 in the last */
	uint32_t port;    /* host order; 0: not seen yet */
};

/* Bytes that a connection has sent, and of these what has surely arrived: the two directions meet
 * the router at two interfaces, which are not in order with each other inside a batch. */
#define STREAM_APART 256
struct stream_sent {
	uint32_t sent, arrived, n; /* n: the number of the last frame */
};

/* One direction. Sums are of host-order halves, of all that does not depend on flow or number. */
struct stream_dir {
	uint32_t frame[STREAM_LEN / 4];
	uint32_t sum, ip_sum;
	uint32_t at[2];   /* the last 32 bits of source and destination */
	uint32_t addr[2]; /* their base */
	uint32_t l4, check_at, service, payload;
};

enum stream_order { STREAM_RANDOM, STREAM_FORTH, STREAM_BACK };

struct stream_gen {
	uint32_t ifindex[2], lane, flows, n, random;
	uint32_t order, first; /* in order: flow n - first */
	uint32_t v6, tcp, nat, stamp;
	uint32_t seq_add, ack_add; /* of TCP */
	struct stream_dir dir[2];
};

struct stream_sink {
	uint64_t frames, right, late, at, gap; /* late: overtaken; gap: longest, ns */
	uint32_t last, unused;
	uint32_t bin[STREAM_BINS];
};

#define STREAM_WATCH_SUMS  1
#define STREAM_WATCH_SEEN  2
#define STREAM_WATCH_GAPS  4
#define STREAM_WATCH_DELAY 8

#endif
