/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: both ends of bench_express: a generator that BPF_PROG_RUN drives with live frames, and what
 * receives them. The generator writes every byte of every frame (frames are recycled as their last
 * receiver left them), for a random flow and direction, with checksums right and a number in the
 * last four bytes. Of a TCP connection one end sends bytes, in order; the other acknowledges all
 * that was sent until then.
 */
#include "lib/frame.bpf.h"

#include "express_gen.h"

volatile struct express_gen gen;
volatile struct express_sink sink;

/* Bytes that each connection has sent. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EXPRESS_GEN_LANES *EXPRESS_GEN_FLOWS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, uint32_t);
	__type(value, uint32_t);
} sent SEC(".maps");

/* What the header gets; false: no such flow. */
static __always_inline bool put_tcp(uint8_t *d, const uint8_t *end,
				    const volatile struct express_gen_dir *t, uint32_t flow,
				    uint32_t *sum)
{
	uint32_t i = gen.lane * EXPRESS_GEN_FLOWS + flow, seq;
	uint32_t *s = bpf_map_lookup_elem(&sent, &i);

	if (!s)
		return false;
	seq = *s + 1;
	*sum += halves(seq);
	if (t->ack_at)
		return put32(d, end, t->ack_at, seq);
	*s += t->payload;
	return put32(d, end, t->seq_at, seq);
}

SEC("xdp")
int express_gen(struct xdp_md *ctx)
{
	uint8_t *d = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	uint32_t x = gen.random, flow, n = gen.n, sum, k;
	const volatile struct express_gen_dir *t;

	if (d + EXPRESS_GEN_LEN > end)
		return XDP_ABORTED;
	if (gen.in_order) {
		flow = n - gen.first;
		t = &gen.dir[gen.in_order & 1];
	} else {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		gen.random = x;
		flow = (uint64_t)(x << 1) * gen.flows >> 32;
		t = &gen.dir[x >> 31];
	}
	gen.n = n + 1;
	for (int i = 0; i < EXPRESS_GEN_LEN / 4; i++)
		((uint32_t *)d)[i] = t->frame[i];
	/* Three fields depend on the flow: two addresses and the port of the inside. */
	sum = t->sum;
	for (int i = 0; i < 2; i++) {
		k = t->addr[i].base + (flow >> (t->addr[i].shift & 31));
		sum += halves(k);
		if (!put32(d, end, t->addr[i].at, k))
			return XDP_ABORTED;
	}
	/* IPv4's header sum has the addresses and nothing else that moves. */
	if (t->ip_check)
		*(uint16_t *)(d + 24) = bpf_htons(~fold(t->ip_sum + sum - t->sum));
	k = t->port_base + (flow & EXPRESS_GEN_PORTS);
	sum += k + halves(n);
	if (!put16(d, end, t->port_at, k))
		return XDP_ABORTED;
	*(uint32_t *)(d + EXPRESS_GEN_LEN - 4) = bpf_htonl(n);
	if (t->payload && !put_tcp(d, end, t, flow, &sum))
		return XDP_ABORTED;
	k = (uint16_t)~fold(sum);
	if (!put16(d, end, t->check_at, k ? k : 0xffff)) /* 0 would be UDP's "none" */
		return XDP_ABORTED;
	return bpf_redirect(gen.ifindex, 0);
}

SEC("xdp")
int express_drop(struct xdp_md *ctx)
{
	sink.frames++;
	return XDP_DROP;
}

static __always_inline uint32_t sum_words(const uint8_t *d, int from, int to)
{
	uint32_t sum = 0;

	for (int i = from; i < to; i += 2)
		sum += *(const uint16_t *)(d + i);
	return sum;
}

/* Counts what is right in every bit that can be checked here: sums, hops, link, order. */
SEC("xdp")
int express_check(struct xdp_md *ctx)
{
	uint8_t *d = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	uint32_t number, sum;

	if (d + EXPRESS_GEN_LEN > end)
		return XDP_DROP;
	for (int i = 0; i < 12; i++)
		if (d[i] != sink.link[i])
			return XDP_DROP; /* not of the bench: missed in the count, if it is */
	sink.frames++;
	number = bpf_ntohl(*(uint32_t *)(d + EXPRESS_GEN_LEN - 4));
	if (sink.frames > 1 && (int32_t)(number - sink.last) <= 0)
		sink.reordered++;
	sink.last = number;
	if (d[12] == 0x08) {
		if (fold(sum_words(d, 14, 34)) != 0xffff || d[22] != 63)
			return XDP_DROP;
		sum = sum_words(d, 26, EXPRESS_GEN_LEN) + bpf_htons(EXPRESS_GEN_LEN - 34) +
		      bpf_htons(d[23]);
	} else {
		if (d[21] != 63)
			return XDP_DROP;
		sum = sum_words(d, 22, EXPRESS_GEN_LEN) + bpf_htons(EXPRESS_GEN_LEN - 54) +
		      bpf_htons(d[20]);
	}
	if (fold(sum) == 0xffff)
		sink.right++;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
