/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the messages between rtrd and rtr-fastpath. One struct a datagram of a SOCK_SEQPACKET pair,
 * fixed in size, both ends from one build. rtr-fastpath knows what rtrd told it since its start:
 * OPEN first, then the interfaces; it goes on with that when rtrd is gone.
 */
#ifndef RTR_FASTPATH_H
#define RTR_FASTPATH_H

#include "rtr/drop.h"
#include "rtr/express.h"

#include <stdint.h>

#define FASTPATH_TEXT 120
#define FASTPATH_PATH 128
/* Folders by instance, where the parent may not mount a bpffs of its own. */
#define FASTPATH_BPFFS  "/sys/fs/bpf/rtr"
#define FASTPATH_FRAMES 4 /* FP_FRAME__MAX of fastpath/umem.h */

/* Bit of word 0 of a connection's labels, above the id (docs/design/policy.md): the entry is a
 * mirror of a connection of the fast plane, which looks after it. */
#define FASTPATH_CT_LABEL 0x40000000u

/* Why a worker gives a packet to the kernel. */
#define FASTPATH_TO_KERNEL(X)                                                                      \
	X(PARSE, "not-plain", "not plain IP, or not sound")                                        \
	X(TTL, "ttl", "hop limit runs out")                                                        \
	X(ROUTE, "route", "no plain route")                                                        \
	X(NEIGH, "neighbour", "neighbour not known yet")                                           \
	X(MTU, "mtu", "does not fit")                                                              \
	X(EGRESS, "egress", "egress is on the kernel plane")                                       \
	X(BACK, "same-interface", "out of the interface it came in by")                            \
	X(FLOW, "kernel-flow", "flow is the kernel's")

enum fastpath_punt {
#define X(id, name, text) FASTPATH_PUNT_##id,
	FASTPATH_TO_KERNEL(X)
#undef X
		FASTPATH_PUNTS
};

enum fastpath_op {
	FASTPATH_OPEN = 1,  /* sizes; the tables are made or adopted */
	FASTPATH_PORT,      /* this interface shall be on the fast plane */
	FASTPATH_PORT_GONE, /* ... and shall not any more */
	FASTPATH_SYNCED,    /* all interfaces were told */
	FASTPATH_TELL,      /* all figures, then FASTPATH_END */
	FASTPATH_FLOWS,     /* up to n flows, then FASTPATH_END */
	FASTPATH_WAY,       /* which way to a destination, then FASTPATH_END */
	FASTPATH_BYE,       /* orderly end: everything to the kernel */
};

struct fastpath_req {
	uint32_t op; /* enum fastpath_op */
	int32_t ifindex;
	uint32_t seq; /* TELL, FLOWS: in the answer */
	union {
		struct {
			char pin_dir[FASTPATH_PATH]; /* on a bpffs, or else FASTPATH_BPFFS is tried
						      */
			uint32_t n_workers;
			uint32_t n_frames; /* of 2 KiB, a worker */
			uint32_t n_flows[2];
		} open;
		struct {
			uint8_t express; /* its flows may go by XDP */
		} port;
		uint32_t n; /* FLOWS */
		struct {
			uint8_t family, dst[16]; /* from ifindex; 0: the first interface */
		} way;
	} u;
};

enum fastpath_event_kind {
	FASTPATH_READY = 1, /* after OPEN */
	FASTPATH_FAILED,    /* after OPEN: text says why; the process ends */
	FASTPATH_STATE,     /* of an interface, when it changed, and for TELL */
	FASTPATH_COUNT,     /* of an interface, for TELL */
	FASTPATH_WORKER,
	FASTPATH_TABLE,
	FASTPATH_FLOW,
	FASTPATH_ROUTE,
	FASTPATH_END,
	FASTPATH_NOTE, /* for the log */
};

/* Of an interface: what all its frames became. */
struct fastpath_count {
	struct express_count xdp;
	uint64_t rx, rx_bytes, forwarded, tx; /* of workers */
	uint64_t punt[FASTPATH_PUNTS];
	uint64_t drop[RTR_DROP__MAX];
	uint64_t before; /* frames that XDP gave to workers of a process before: in xdp */
	uint64_t ring_full, ring_dropped, fill_empty, tx_invalid; /* the sockets' */
};

struct fastpath_worker {
	uint32_t id;
	uint32_t n_socks;
	uint64_t packets, bursts, sleeps, cpu_ns;
	uint64_t inserted, refused, promoted, forced, reconciled;
	uint32_t frames[FASTPATH_FRAMES];
	uint64_t frames_wrong;
};

struct fastpath_table {
	uint64_t inserted, freed, no_pair, no_slot, busy;
	uint64_t adopted, repaired;
	uint64_t flow_bytes, frame_bytes, fib_bytes;
	uint64_t sweeps, sweep_flows, sweep_changed, sweep_ns;
	uint32_t n_flows[2], max_flows[2];
	uint32_t epoch;
	uint32_t n_routes[2], n_adj, n_adj_ready, max_adj, n_links;
	uint8_t fib_ready, adopting, mode;
};

struct fastpath_flow {
	uint8_t family, proto, path, tag; /* path: enum flow_path */
	uint16_t sport_be, dport_be;
	uint8_t src[16], dst[16];
	int32_t in, out; /* ifindex; 0 = none */
	uint32_t idle_ms;
	uint32_t inflight;
	uint64_t packets, bytes;
};

/* What the mirror of the kernel's tables says of a destination. */
struct fastpath_route {
	uint8_t family, nh_family;
	uint8_t dst[16], nh[16];
	int32_t in, out; /* ifindex; 0 = none */
	uint32_t adj;    /* 0 = none */
	uint8_t connected, by_default;
	char verdict[16], neighbour[16];
	char reason[FASTPATH_TEXT]; /* why the kernel decides; "" */
};

struct fastpath_event {
	uint32_t kind; /* enum fastpath_event_kind */
	int32_t ifindex;
	uint32_t seq;
	union {
		struct {
			uint8_t fast, express_in, express_out, zero_copy;
			uint8_t native, partial;
			uint16_t n_queues;
			uint32_t slot;
			char reason[FASTPATH_TEXT]; /* why not, or of what is missing */
		} state;
		struct fastpath_count count;
		struct fastpath_worker worker;
		struct fastpath_table table;
		struct fastpath_flow flow;
		struct fastpath_route route;
		char text[FASTPATH_TEXT];
	} u;
};

#endif
