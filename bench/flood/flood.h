/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What: what flood and its BPF programs share. Threads: one generator, one sink a process. */
#ifndef RTR_FLOOD_H
#define RTR_FLOOD_H

#ifdef __bpf__
#include <linux/types.h>
typedef __u32 uint32_t;
typedef __u64 uint64_t;
#else
#include <stdint.h>
#endif

/* Bytes of a frame: the shortest that Ethernet has, and an IPv6 TCP header with it. */
#define FLOOD_FRAME 74

struct flood_frame {
	unsigned char bytes[FLOOD_FRAME];
	unsigned char pad[6];
};

struct flood_ctl {
	uint64_t sent; /* generator: frames so far; sink: frames seen */
	uint64_t stop; /* generator: not more than these */
	uint32_t n;    /* frames in the map */
	uint32_t ifindex;
	uint32_t drop;
	uint32_t pad;
};

#endif
