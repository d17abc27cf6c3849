/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: gives frames to the kernel as if they had arrived on their interface: BPF_PROG_RUN with
 * live frames of a program that says XDP_PASS.
 *
 * One frame a call (repeat 1 needs no slot in the XDP dispatcher, whose making costs 25 ms): about
 * 20 us. A punt is the first packet of a flow at most, so the calls are few; more than PUNT_RATE a
 * second are dropped and counted, and cost a tenth of a core at most. Each call owns a page pool
 * until the kernel has freed the frame.
 * The interfaces must have native XDP: on generic XDP the frame would meet our own program again.
 *
 * Owns: a program. Threads: one. Failure: a drop reason a frame; -errno of fp_punt_init.
 */
#ifndef FP_PUNT_H
#define FP_PUNT_H

#include "rtr/drop.h"
#include "util.h"

#define PUNT_RATE  5000
#define PUNT_BURST 1000

struct fp_punt {
	int prog_fd;
	uint64_t credit_ns, last_ns; /* token bucket, in time */
	uint64_t n_failed;
	int last_errno;
};

int fp_punt_init(struct fp_punt *p);
void fp_punt_fini(struct fp_punt *p);

enum rtr_drop fp_punt_frame(struct fp_punt *p, unsigned ifindex, const uint8_t *frame, uint32_t len,
			    uint64_t now_ns);

#endif
