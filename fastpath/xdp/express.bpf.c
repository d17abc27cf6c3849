/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the express lane. One instance of this program sits on each interface. It translates and
 * forwards packets of flows that need no thought, and hands everything else on untouched: to the
 * AF_XDP socket of the queue while its worker lives, else to the kernel.
 *
 *	parse -> key -> line at home, else bucket -> line (generation, key)
 *	      -> path, policy, TCP window -> adjacency, MTU -> redirect
 *	      -> rewrite, checksums, TTL -> counters, time
 *
 * FASTPLANE's rules that this file keeps: XDP never inserts, frees or drops on state. A hit is
 * always translated by XDP, also with no worker alive, for the kernel must not meet a flow that it
 * does not know; a hit that XDP cannot send goes to the kernel only if that mirrors the flow, else
 * it is a counted drop. A direction takes one path at a time: while packets of it are with a worker
 * (inflight), those behind follow them. Nothing of a packet is changed before all is decided.
 *
 * The steps are in express_lane.h (maps, lookup), express_miss.h (no flow), express_tcp.h (windows)
 * and express_send.h (decision, rewrite). They read untagged frames; of tagged ones another program
 * is made of them (express_vlan.bpf.c), which this one calls and which is loaded with the first
 *VLAN. docs/design/express.md has the figures and what was tried.
 *
 * Owns: nothing; all maps are shared, `port` is the interface's. Threads: any CPU. Failure: a
 * verdict, counted in express_counts.
 */
#include "express_send.h"

/* ----- the program for tagged frames ----- */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, EXPRESS_TAIL__MAX);
	__type(key, uint32_t);
	__type(value, uint32_t);
} express_tails SEC(".maps");

/* ----- frames of workers ----- */

struct frame_bytes {
	uint8_t bytes[EXPRESS_FRAME_SIZE];
};

SHARED(express_inject, BPF_MAP_TYPE_ARRAY, struct express_inject, MMAPABLE);
SHARED(express_frames, BPF_MAP_TYPE_ARRAY, struct frame_bytes, MMAPABLE);

/* The worker's next frame in the place of this one. */
static __always_inline int inject(struct xdp_md *ctx)
{
	const uint32_t *call = (void *)(long)ctx->data;
	uint32_t worker, at, frame, off, len, to, size = ctx->data_end - ctx->data;
	const struct frame_bytes *f;
	struct express_inject *j;

	if ((void *)(call + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	worker = *call;
	j = bpf_map_lookup_elem(&express_inject, &worker);
	if (!j || (at = LOAD(j->at)) >= EXPRESS_INJECT_MAX)
		return XDP_DROP;
	j->at = at + 1;
	frame = LOAD(j->desc[at].frame);
	off = LOAD(j->desc[at].off);
	len = LOAD(j->desc[at].len);
	to = LOAD(j->desc[at].port);
	j->desc[at].frame = EXPRESS_INJECT_LOST;
	f = bpf_map_lookup_elem(&express_frames, &frame);
	if (!f || off > EXPRESS_INJECT_OFF || len < ETH_HLEN || len > EXPRESS_INJECT_LEN)
		return XDP_DROP;
	/* Kernel 6.1 knows the bounds of a register, not of another copy of its value. */
	asm volatile("" : "+r"(off), "+r"(len));
	if (len != size && bpf_xdp_adjust_tail(ctx, (int32_t)(len - size)))
		return XDP_DROP;
	if (bpf_xdp_store_bytes(ctx, 0, (void *)(f->bytes + off), len) ||
	    bpf_redirect_map(&express_ports, to, 0) != XDP_REDIRECT)
		return XDP_DROP;
	j->desc[at].frame = frame;
	j->sent++;
	return XDP_REDIRECT;
}

/* ----- entry ----- */

SEC("xdp")
int express(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	uint32_t zero = 0, slot = port.slot, cpu = bpf_get_smp_processor_id();
	struct lane l = { .ctx = ctx, .data = data, .end = end };
	const volatile uint16_t *mac = (const volatile uint16_t *)port.mac;
	const uint16_t *to = data;

	/* Loaded for itself, and no function called: else the verifier walks what follows twice. */
	if (LOAD(ctx->ingress_ifindex) == EXPRESS_LOOPBACK && port.flags & EXPRESS_PF_INJECT)
		return inject(ctx);
	l.ctl = bpf_map_lookup_elem(&express_ctl, &zero);
	l.hdr = bpf_map_lookup_elem(&flow_hdr, &zero);
	l.count = bpf_map_lookup_elem(&express_counts, &slot);
	l.recent = bpf_map_lookup_elem(&express_recent, &cpu);
	if (!l.ctl || !l.hdr || !l.count || !l.recent)
		return XDP_PASS;
	if (!port.on || LOAD(l.ctl->off))
		return pass(&l, EXPRESS_V_KERNEL_OFF);
	/* The shortest packet with ports. */
	if (data + ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) > end)
		return pass(&l, EXPRESS_V_KERNEL_PLAIN);
	if ((to[0] ^ mac[0]) | (to[1] ^ mac[1]) | (to[2] ^ mac[2]))
		return pass(&l, *(const uint8_t *)data & 1 ? EXPRESS_V_KERNEL_PLAIN
							   : EXPRESS_V_KERNEL_MAC);
	if (to[6] == bpf_htons(ETH_P_IP))
		return express4(&l);
	if (to[6] == bpf_htons(ETH_P_IPV6))
		return express6(&l);
	if (to[6] == bpf_htons(ETH_P_8021Q))
		bpf_tail_call(ctx, &express_tails, EXPRESS_TAIL_VLAN);
	return pass(&l, EXPRESS_V_KERNEL_PLAIN);
}

char LICENSE[] SEC("license") = "GPL";
