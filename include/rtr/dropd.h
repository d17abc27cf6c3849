/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the messages between rtrd and rtr-dropd, which counts the packets that the kernel drops by
 * its tracepoint kfree_skb. One struct a datagram of a SOCK_SEQPACKET pair, fixed in size, both
 * ends from one build.
 */
#ifndef RTR_DROPD_H
#define RTR_DROPD_H

#include <stdint.h>

/* Where a packet was lost, in the order in which it passes. */
#define DROP_AT_LIST(X)                                                                            \
	X(NIC, "nic")                                                                              \
	X(FAST, "fastpath")                                                                        \
	X(XDP, "xdp")                                                                              \
	X(SOFTNET, "softnet")                                                                      \
	X(STACK, "stack")                                                                          \
	X(NETFILTER, "netfilter")                                                                  \
	X(NFT, "nft")                                                                              \
	X(CONNTRACK, "conntrack")                                                                  \
	X(NEIGH, "neighbour")                                                                      \
	X(QDISC, "qdisc")                                                                          \
	X(SOCKET, "socket")

enum drop_at {
#define X(id, text) DROP_AT_##id,
	DROP_AT_LIST(X)
#undef X
		DROP_AT__MAX
};

#define DROPD_NAME  48
#define DROPD_WHERE 48
#define DROPD_TEXT  320

enum dropd_op {
	DROPD_SYNC = 1, /* all counts that changed, as COUNT each, then SYNCED */
	DROPD_MONITOR,  /* packets, too: those of .ifindex (0: all) and .reason ("": all) */
	DROPD_QUIET,    /* no more packets */
	DROPD_FORGET,   /* the counts of .ifindex, which is gone */
};

struct dropd_req {
	uint32_t op; /* enum dropd_op */
	uint32_t serial;
	int32_t ifindex;
	char reason[DROPD_NAME];
};
_Static_assert(sizeof(struct dropd_req) == 60, "wire format");

enum dropd_event_kind {
	DROPD_READY = 1,   /* counting */
	DROPD_UNAVAILABLE, /* .text says why; it ends */
	DROPD_COUNT,       /* of one place */
	DROPD_SYNCED,      /* .packets: drops of places for which there was no room */
	DROPD_PACKET,      /* .text: its headers */
	DROPD_MISSED,      /* .packets were not shown: more than may be */
};

struct dropd_event {
	uint32_t kind; /* enum dropd_event_kind */
	uint32_t serial;
	int32_t ifindex; /* 0: none */
	uint16_t reason; /* enum rtr_drop; 0: only the kernel has a name for it */
	uint8_t at;      /* enum drop_at */
	uint8_t zero;
	uint64_t packets, bytes;
	uint64_t when_ns;        /* rtr_now_ns() of the last one */
	char name[DROPD_NAME];   /* the kernel's, without SKB_DROP_REASON_ */
	char where[DROPD_WHERE]; /* function of the kernel */
	char text[DROPD_TEXT];
};
_Static_assert(sizeof(struct dropd_event) == 456, "wire format");

#endif
