/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the messages between rtrd and rtr-fastpath. One struct a datagram of a SOCK_SEQPACKET pair,
 * fixed in size, both ends from one build. rtr-fastpath knows what rtrd told it since its start:
 * OPEN first, then the interfaces; it goes on with that when rtrd is gone. The parent holds a copy
 * of rtrd's end, so that the next rtrd speaks on: OPEN again, and all that it wants.
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
	X(FLOW, "kernel-flow", "flow is the kernel's")                                             \
	X(POLICY, "policy", "the policy leaves its flow to the kernel")                            \
	X(NO_FLOW, "no-flow", "of no known flow, and cannot begin one")                            \
	X(FULL, "flow-table-full", "no room for its flow")                                         \
	X(VRF, "two-vrfs", "another VRF has a connection of the same addresses and ports")

enum fastpath_punt {
#define X(id, name, text) FASTPATH_PUNT_##id,
	FASTPATH_TO_KERNEL(X)
#undef X
		FASTPATH_PUNTS
};

enum fastpath_op {
	FASTPATH_OPEN = 1,  /* sizes; the tables are made or adopted, or another rtrd speaks now */
	FASTPATH_POLICY,    /* a policy (rtr/fastpol.h) in the memfd that comes along */
	FASTPATH_PORT,      /* this interface shall be on the fast plane */
	FASTPATH_PORT_GONE, /* ... and shall not any more */
	FASTPATH_SYNCED,    /* all interfaces were told */
	FASTPATH_TELL,      /* all figures, then FASTPATH_END */
	FASTPATH_FLOWS,     /* up to n flows, then FASTPATH_END */
	FASTPATH_WAY,       /* which way to a destination, then FASTPATH_END */
	FASTPATH_CONNS,     /* connections, a piece, then FASTPATH_END with where to go on */
	FASTPATH_TRACE,     /* what would become of a packet, then FASTPATH_END */
	FASTPATH_BLOCKS,    /* blocks of ports that hosts have, then FASTPATH_END */
	FASTPATH_END_CONNS, /* ends some, then FASTPATH_END with how many */
	FASTPATH_BYE,       /* orderly end: everything to the kernel */
};

struct fastpath_packet {
	uint8_t family, proto; /* 4, 6 */
	uint8_t tcp_flags, dscp, ttl;
	uint16_t len;
	uint16_t sport_be, dport_be;
	uint8_t src[16], dst[16];
};

#define FASTPATH_REFS 56 /* connections that one request ends */

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
			uint8_t express;   /* its flows may go by XDP */
			uint8_t zero_copy; /* enum fastpath_zc */
		} port;
		struct {
			uint64_t size;
			uint32_t tag; /* in what is said of it */
		} policy;
		uint32_t n;                    /* FLOWS */
		struct fastpath_packet packet; /* by ifindex */
		struct {
			uint64_t at; /* 0: from the first on */
			uint32_t n;
		} conns;
		struct {
			uint32_t n;
			uint64_t ref[FASTPATH_REFS]; /* of struct fastpath_conn */
		} end;
		struct {
			uint8_t family, dst[16]; /* from ifindex; 0: the first interface ... */
			uint32_t vrf; /* ... of the VRF of this ifindex, or, 0, of none */
		} way;
	} u;
};

/* Whether sockets of an interface are bound without a copy, where its driver can. */
enum fastpath_zc {
	FASTPATH_ZC_AUTO, /* where workers forward all of its packets */
	FASTPATH_ZC_ON,
	FASTPATH_ZC_OFF,
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
	FASTPATH_JUDGED, /* of a policy: each of enum fastpath_judged once, in order */
	FASTPATH_HITS,   /* of the policy's lines, for TELL */
	FASTPATH_CONN,
	FASTPATH_BLOCK,
	FASTPATH_TRACED,
	FASTPATH_END,
	FASTPATH_NOTE, /* for the log */
};

enum fastpath_judged {
	FASTPATH_J_REFUSED = 1, /* text says why; the one before holds on */
	FASTPATH_J_TAKEN,       /* first packets are judged by it */
	FASTPATH_J_SWEPT,       /* all flows have been judged again; it may be one of a later tag */
};

/* Of an interface: what all its frames became. */
struct fastpath_count {
	struct express_count xdp;
	uint64_t rx, rx_bytes, forwarded, tx; /* of workers */
	uint64_t made; /* sent beside these: ICMP errors, further pieces of packets */
	uint64_t punt[FASTPATH_PUNTS];
	uint64_t drop[RTR_DROP__MAX];
	struct express_carried vlan; /* of a VLAN: of these, what never met the kernel */
	uint64_t before; /* frames that XDP gave to workers of a process before: in xdp */
	uint64_t ring_full, ring_dropped, fill_empty, tx_invalid; /* the sockets' */
};

struct fastpath_worker {
	uint32_t id;
	uint32_t n_socks;
	uint64_t packets, bursts, sleeps, cpu_ns;
	uint64_t inserted, refused, promoted, forced, reconciled, injected, errors_lost;
	uint32_t frames[FASTPATH_FRAMES];
	uint64_t frames_wrong;
};

struct fastpath_table {
	uint64_t inserted, freed, evicted, no_pair, no_slot, busy;
	uint64_t adopted, repaired;
	uint64_t flow_bytes, frame_bytes, fib_bytes;
	uint64_t sweeps, sweep_flows, sweep_changed, sweep_ns;
	uint32_t n_flows[2], max_flows[2];
	uint32_t epoch;
	uint32_t n_routes[2], n_adj, n_adj_ready, max_adj, n_links;
	uint8_t fib_ready, adopting, mode;
	uint64_t mirror_written, mirror_renewed, mirror_ended, mirror_given;
	uint64_t mirror_exists, mirror_refused, mirror_orphans;
	uint32_t mirror_held, mirror_waiting, mirror_lag_ms, n_ct, max_ct;
	uint8_t mirror;  /* 0: not needed, 1: on, 2: the kernel refuses */
	uint8_t sees_ct; /* XDP can ask for the kernel's connections (fp_xdp_sees_ct) */
};

struct fastpath_flow {
	uint8_t family, proto, path; /* path: enum flow_path */
	uint8_t tracked;             /* a connection; else a route */
	uint16_t sport_be, dport_be;
	uint8_t src[16], dst[16];
	uint8_t state;   /* of a connection: TCP's (enum tcp_track_state); else 1 when answered */
	int32_t in, out; /* ifindex; 0 = none */
	uint32_t idle_ms;
	uint32_t inflight;
	uint64_t packets, bytes;
};

/* A connection, as conntrack has them. */
struct fastpath_conn {
	uint64_t ref;
	uint8_t family, proto; /* 4, 6 */
	uint8_t path;          /* enum flow_path */
	uint8_t tcp_state;     /* the kernel's enum tcp_conntrack; 0 without TCP */
	uint8_t replied, mirrored;
	uint16_t sport_be, dport_be, reply_sport_be, reply_dport_be;
	uint8_t src[16], dst[16], reply_src[16], reply_dst[16];
	int32_t in, out;   /* ifindex that each side's packets come in by; 0 = none */
	uint32_t label[3]; /* of the lines that admit it */
	uint32_t left_sec;
	uint64_t packets[2], bytes[2];
};
#define FASTPATH_CONNS_MAX 5 /* in an event */

enum fastpath_verdict { FASTPATH_FORWARDS, FASTPATH_DROPS, FASTPATH_LEAVES };

/* Ports of an address that a host has. */
struct fastpath_block {
	uint8_t family, zero; /* 4, 6 */
	uint16_t lo, hi;      /* host order */
	uint8_t host[16], addr[16];
};
#define FASTPATH_BLOCKS_MAX 20 /* in an event */

/* What becomes of a packet; conn of a connection that is there. */
struct fastpath_traced {
	uint8_t verdict; /* enum fastpath_verdict */
	uint8_t known;   /* its connection is there */
	uint8_t drop;    /* enum rtr_drop, of DROPS */
	uint8_t shared;  /* source port, of FORWARDS: of a pool, not chosen yet */
	int32_t out;     /* ifindex, of FORWARDS */
	uint16_t to_sport_be, to_dport_be;
	uint8_t to_src[16], to_dst[16]; /* as it leaves; shared: the pool's first address */
	uint8_t pool_last[16];          /* of shared */
	uint8_t mapped;                 /* by an endpoint-independent mapping of its destination */
	char reason[FASTPATH_TEXT];     /* of LEAVES */
	struct fastpath_conn conn;
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

#define FASTPATH_HITS_MAX 40

struct fastpath_hits {
	uint32_t n;
	uint32_t again; /* what was told before in this answer is void */
	struct {
		uint64_t hits, bytes; /* since the process began */
		uint64_t last_ns;     /* CLOCK_MONOTONIC */
		uint64_t id;          /* pol_id, or nat_line_id */
	} v[FASTPATH_HITS_MAX];
};

struct fastpath_event {
	uint32_t kind; /* enum fastpath_event_kind */
	int32_t ifindex;
	uint32_t seq;
	union {
		struct {
			uint8_t fast, express_in, express_out, zero_copy;
			uint8_t native, partial;
			uint8_t redirect, zero_copy_known; /* what the driver says that it can */
			uint16_t n_queues;
			uint32_t slot, mtu;
			char driver[32];
			char reason[FASTPATH_TEXT]; /* why not, or of what is missing */
			char copy[FASTPATH_TEXT];   /* why sockets are not zero-copy */
		} state;
		struct fastpath_count count;
		struct fastpath_worker worker;
		struct fastpath_table table;
		struct fastpath_flow flow;
		struct fastpath_route route;
		struct {
			uint32_t what, tag;     /* enum fastpath_judged */
			uint64_t judged, ended; /* flows */
			char text[FASTPATH_TEXT];
		} policy;
		struct fastpath_hits hits;
		struct {
			uint32_t n;
			struct fastpath_conn conn[FASTPATH_CONNS_MAX];
		} conns;
		struct {
			uint32_t n;
			struct fastpath_block block[FASTPATH_BLOCKS_MAX];
		} blocks;
		struct fastpath_traced traced;
		uint64_t next; /* END of CONNS: 0 = no more; of END_CONNS: how many ended */
		char text[FASTPATH_TEXT];
	} u;
};

#endif
