/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What: the globals of express_gen.bpf.c, for it and for the program that sets them. */
#ifndef BENCH_EXPRESS_GEN_H
#define BENCH_EXPRESS_GEN_H

#include <stdint.h>

#define EXPRESS_GEN_LEN   80 /* IPv6 and TCP and six bytes; the same for all kinds */
#define EXPRESS_GEN_PORTS 0x3fff
#define EXPRESS_GEN_FLOWS (1u << 20) /* of a lane */
#define EXPRESS_GEN_LANES 3

struct express_gen_dir {
	uint32_t frame[EXPRESS_GEN_LEN / 4];
	uint32_t sum, ip_sum; /* of all that does not depend on flow or number */
	struct {
		uint32_t at, base, shift; /* base + (flow >> shift) */
	} addr[2];
	uint32_t port_at, port_base, check_at, ip_check;
	uint32_t seq_at, ack_at, payload; /* TCP: one direction sends, the other acknowledges */
};

struct express_gen {
	uint32_t ifindex, flows, n, random, first;
	uint32_t lane;     /* each way out has connections of its own */
	uint32_t in_order; /* 0: random; 2: flow n - first, forward; 3: the same, backward */
	struct express_gen_dir dir[2];
};

struct express_sink {
	uint64_t frames, right, reordered;
	uint32_t last;
	uint8_t link[12];
};

#endif
