/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What: what the BPF program and rtr-dropd share: keys and values of its maps. */
#ifndef RTR_DROPS_BPF_H
#define RTR_DROPS_BPF_H

#include <linux/types.h>

/* Places: a function that drops, for a reason, on an interface. Some 60 functions do in the path of
 * a router; each with its reasons on each of 64 interfaces. */
#define DROPS_MAX_COUNTS 4096
#define DROPS_MAX_SITES  512
/* Bytes of a packet that are looked at: two VLAN tags, IPv6 with an extension, TCP. */
#define DROPS_HEAD 128
#define DROPS_RING (256 * 1024)

struct drops_key {
	__u64 location; /* address in the kernel */
	__u32 reason;   /* enum skb_drop_reason of the running kernel */
	__u32 ifindex;  /* 0: none */
};

struct drops_count {
	__u64 packets, bytes;
	__u64 last_ns; /* CLOCK_MONOTONIC */
};

/* A function with a reason. */
struct drops_site_key {
	__u64 location;
	__u64 reason;
};

struct drops_site {
	char symbol[56];
	__u32 hidden; /* its packets are not wanted by who looks */
	__u32 zero;
};

struct drops_packet {
	struct drops_key key;
	__u64 when_ns;
	__u32 size; /* of the packet */
	__u16 have;
	__u16 ethernet; /* begins with an Ethernet header, else with IP */
	__u8 head[DROPS_HEAD];
};

#endif
