/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the express lane for frames with one 802.1Q tag. express.bpf.c calls it, on whichever
 * interface it sits, for frames that are for us; a VLAN is an interface of its own with its zone,
 * counters and mode. Priority and drop eligibility of the tag that came are nobody's, as in the
 * kernel without maps of priorities. Two tags, other tags and VLANs that are not on the fast plane
 * are the kernel's. Owns: nothing; all maps are shared. Threads: any CPU. Failure: a verdict,
 * counted.
 */
#define EXPRESS_TAGGED
#include "express_send.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct express_vlan_key);
	__type(value, struct express_port);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} express_vlans SEC(".maps");

#define VLAN_MASK 0x0fff

/* Not for a VLAN of ours: the kernel's, counted where it came in. */
static __always_inline int pass_parent(uint32_t ifindex)
{
	const uint32_t *slot = bpf_map_lookup_elem(&express_index, &ifindex);
	struct express_count *c = slot ? bpf_map_lookup_elem(&express_counts, slot) : NULL;

	if (c)
		c->verdict[EXPRESS_V_KERNEL_PLAIN]++;
	return XDP_PASS;
}

SEC("xdp")
int express_vlan(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct lane l = { .ctx = ctx, .data = data, .end = end };
	uint32_t zero = 0, cpu = bpf_get_smp_processor_id(), slot;
	struct express_vlan_key key = { .ifindex = ctx->ingress_ifindex };
	const uint16_t *to = data;

	if (data + L2_LEN + sizeof(struct iphdr) + sizeof(struct udphdr) > end)
		return pass_parent(key.ifindex);
	key.vlan = bpf_ntohs(to[7]) & VLAN_MASK;
	l.in = bpf_map_lookup_elem(&express_vlans, &key);
	if (!l.in)
		return pass_parent(key.ifindex);
	slot = LOAD(l.in->slot);
	l.ctl = bpf_map_lookup_elem(&express_ctl, &zero);
	l.hdr = bpf_map_lookup_elem(&flow_hdr, &zero);
	l.count = bpf_map_lookup_elem(&express_counts, &slot);
	l.recent = bpf_map_lookup_elem(&express_recent, &cpu);
	if (!l.ctl || !l.hdr || !l.count || !l.recent)
		return XDP_PASS;
	if (!LOAD(l.in->on))
		return pass(&l, EXPRESS_V_KERNEL_OFF);
	if (to[8] == bpf_htons(ETH_P_IP))
		return express4(&l);
	if (to[8] == bpf_htons(ETH_P_IPV6))
		return express6(&l);
	return pass(&l, EXPRESS_V_KERNEL_PLAIN);
}

char LICENSE[] SEC("license") = "GPL";
