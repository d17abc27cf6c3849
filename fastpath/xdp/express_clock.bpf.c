/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: ties the kernel's tick to CLOCK_MONOTONIC_COARSE (rtr/express.h, struct express_ctl). Only
 * a BPF program can read both; the control thread runs it with BPF_PROG_TEST_RUN.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "rtr/express.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, uint32_t);
	__type(value, struct express_ctl);
} express_ctl SEC(".maps");

SEC("xdp")
int express_clock(struct xdp_md *ctx)
{
	uint32_t zero = 0;
	struct express_ctl *ctl = bpf_map_lookup_elem(&express_ctl, &zero);

	if (!ctl)
		return XDP_ABORTED;
	*(volatile uint64_t *)&ctl->clock_base = bpf_ktime_get_coarse_ns() -
						 bpf_jiffies64() * ctl->clock_tick;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
