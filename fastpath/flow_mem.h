/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the memory under a flow table: one region for the header, and buckets, lines and cold data
 * of each family. The table does not know which kind it is:
 *
 *	fp_flow_mem_bpf   pinned BPF arrays, mapped: XDP reads them and they outlive processes
 *	fp_flow_mem_anon  shared anonymous pages: tests, benches, a box without XDP
 *
 * Owns: mappings and descriptors until fp_flow_mem_fini. Threads: one. Failure: -errno.
 */
#ifndef FP_FLOW_MEM_H
#define FP_FLOW_MEM_H

#include "rtr/flow.h"

enum fp_flow_region {
	FP_FLOW_R_HDR,
	FP_FLOW_R_BUCKETS4,
	FP_FLOW_R_LINES4,
	FP_FLOW_R_COLD4,
	FP_FLOW_R_BUCKETS6,
	FP_FLOW_R_LINES6,
	FP_FLOW_R_COLD6,
	FP_FLOW_R_SIDES4, /* IPv6 has them in its lines */
	FP_FLOW_R__MAX
};

struct fp_flow_mem {
	uint32_t n_flows[FLOW__FAMILIES]; /* as asked for */
	uint32_t n_pairs[FLOW__FAMILIES];
	uint32_t n_buckets[FLOW__FAMILIES];
	void *base[FP_FLOW_R__MAX];
	size_t size[FP_FLOW_R__MAX];
	int fd[FP_FLOW_R__MAX]; /* -1: anonymous */
};

/*
 * flows of each family: n_pairs is a quarter more, a multiple of FLOW_SEGMENTS, because a line
 * finds its home the more often the emptier the table is; one bucket for two flows, rounded up to a
 * power of 2: 4 of 7 slots used on average when all of these flows are there. -EINVAL above 2^25
 * flows: the hash has 24 bits for a bucket.
 */
int fp_flow_mem_anon(const uint32_t flows[FLOW__FAMILIES], struct fp_flow_mem *ret);

/*
 * Opens the arrays pinned in pin_dir, or creates and pins them there; pin_dir NULL: unpinned.
 * Pinned ones of another size are -EPROTO.
 */
int fp_flow_mem_bpf(const uint32_t flows[FLOW__FAMILIES], const char *pin_dir,
		    struct fp_flow_mem *ret);

void fp_flow_mem_fini(struct fp_flow_mem *mem);

#endif
