/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: tells the express lane at once that rtr-fastpath is dying (rtr/express.h, struct
 * express_ctl: gone). A killed process keeps its sockets until its memory is gone, which takes
 * milliseconds, and they swallow what XDP puts into them until then or until the heartbeat is 50 ms
 * old. The first of its threads that ends comes by here before all that. Owns: nothing. Threads:
 * any task that ends, in its own context. Failure: none; one that is not seen here shows by its
 * heartbeat.
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

/* Set by the loader: the namespace of the numbers below; the process, and those of its threads that
 * live as long as it does. */
const volatile uint64_t ns_dev = 0, ns_ino = 0;
const volatile uint32_t process = 0;
const volatile uint32_t thread[EXPRESS_GONE_MAX] = { 0 };

SEC("raw_tp/sched_process_exit")
int express_gone(struct bpf_raw_tracepoint_args *ctx)
{
	struct bpf_pidns_info who;
	struct express_ctl *ctl;
	uint32_t zero = 0;

	if (bpf_get_ns_current_pid_tgid(ns_dev, ns_ino, &who, sizeof(who)) || who.tgid != process)
		return 0;
	ctl = bpf_map_lookup_elem(&express_ctl, &zero);
	for (int i = 0; ctl && i < EXPRESS_GONE_MAX; i++)
		if (thread[i] == who.pid)
			*(volatile uint32_t *)&ctl->gone = 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
