/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: both ends of a stream. flood_gen writes the next frame of a map into the live frame that
 * BPF_PROG_RUN brings and sends it out of an interface; flood_sink counts and drops what arrives.
 * Live frames come back as the receiver left them: every byte is written anew.
 */
#include "flood.h"

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set before loading */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, uint32_t);
	__type(value, struct flood_frame);
} frames SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, uint32_t);
	__type(value, struct flood_ctl);
} ctl SEC(".maps");

SEC("xdp")
int flood_gen(struct xdp_md *ctx)
{
	uint32_t zero = 0, at;
	struct flood_ctl *c = bpf_map_lookup_elem(&ctl, &zero);
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct flood_frame *f;

	if (!c || c->sent >= c->stop)
		return XDP_DROP;
	at = (uint32_t)(c->sent % c->n);
	f = bpf_map_lookup_elem(&frames, &at);
	if (!f || data + FLOOD_FRAME > end)
		return XDP_DROP;
	__builtin_memcpy(data, f->bytes, FLOOD_FRAME);
	c->sent++;
	if (c->drop) /* what making the frame costs: the control of every figure */
		return XDP_DROP;
	return (int)bpf_redirect(c->ifindex, 0);
}

SEC("xdp")
int flood_sink(struct xdp_md *ctx)
{
	uint32_t zero = 0;
	struct flood_ctl *c = bpf_map_lookup_elem(&ctl, &zero);
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	/* IP only: neighbour discovery goes on to the host. */
	if (!c || data + 54 > end)
		return XDP_PASS;
	if (data[12] == 0x08 && data[13] == 0x00) {
		c->sent++;
		return XDP_DROP;
	}
	if (data[12] == 0x86 && data[13] == 0xdd && data[20] != 58) {
		c->sent++;
		return XDP_DROP;
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
