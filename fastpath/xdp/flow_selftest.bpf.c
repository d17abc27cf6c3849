/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the whole lookup of the express lane in one program, so that the kernel's verifier proves
 * it and BPF_PROG_TEST_RUN shows what it does to a table that user space filled. It forwards
 * nothing: the verdict and the rewrite go to the result map.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flow_maps.h"
#include "flow_selftest.h"
#include "../tcp_track.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct flow_selftest_result);
} results SEC(".maps");

static __always_inline struct flow_side *side6(uint32_t place)
{
	struct flow_pair6 *p = pair6(place >> 1);

	return p ? &p->dir[place & 1].side : NULL;
}

/* What both families do after the lookup; the pointers lead into the line and the two sides. */
struct half {
	uint32_t *egress, *time;
	uint64_t *count;
	struct flow_tcp *tcp;
	struct flow_side *side;
	const struct flow_tcp *twin;
};

static __always_inline void express_load(struct tcp_express *ret, const struct flow_tcp *tcp)
{
	ret->end = *(const volatile uint32_t *)&tcp->end;
	ret->edge = *(const volatile uint32_t *)&tcp->edge;
}

static __always_inline bool tcp_pass(const struct half *own, const struct tcphdr *th,
				     uint32_t payload)
{
	uint32_t egress = *(volatile uint32_t *)own->egress;

	uint32_t seq = bpf_ntohl(th->seq), ack = bpf_ntohl(th->ack_seq),
		 win = bpf_ntohs(th->window);
	struct tcp_express mine = { .scale = egress >> FLOW_EGRESS_SCALE_SHIFT,
				    .win_log2 = egress >> FLOW_EGRESS_WLOG_SHIFT & 31 };
	struct tcp_express other = { .win_log2 = *(volatile uint32_t *)&own->side->name >>
						 FLOW_SIDE_WLOG_SHIFT };
	uint32_t end, edge;

	if (th->syn || th->fin || th->rst || !th->ack)
		return false;
	express_load(&mine, own->tcp);
	express_load(&other, &own->side->peer);
	if (!tcp_express_ok(&mine, &other, seq, seq + payload, ack, win)) {
		/* The copy may be old: the twin itself says. */
		express_load(&other, own->twin);
		own->side->peer = (struct flow_tcp){ other.end, other.edge };
		if (!tcp_express_ok(&mine, &other, seq, seq + payload, ack, win))
			return false;
	}
	end = mine.end;
	edge = mine.edge;
	tcp_express_advance(&mine, seq + payload, ack, win);
	if (mine.end != end)
		*(volatile uint32_t *)&own->tcp->end = mine.end;
	if (mine.edge != edge)
		*(volatile uint32_t *)&own->tcp->edge = mine.edge;
	return true;
}

static __always_inline uint32_t hit(uint64_t word0, const struct half *own, const struct tcphdr *th,
				    void *end, uint32_t payload, uint32_t frame)
{
	uint32_t now;

	if (flow_w0_path(word0) != FLOW_P_EXPRESS)
		return FLOW_SELFTEST_WORKER;
	if (flow_w0_flags(word0) & FLOW_F_TCP) {
		if ((void *)(th + 1) > end)
			return FLOW_SELFTEST_WORKER;
		if (!tcp_pass(own, th, payload))
			return FLOW_SELFTEST_WINDOW;
	}
	__sync_fetch_and_add(own->count, FLOW_COUNT_ONE(frame));
	now = bpf_ktime_get_coarse_ns() >> FLOW_TIME_SHIFT;
	if (*(volatile uint32_t *)own->time != now)
		*(volatile uint32_t *)own->time = now;
	return FLOW_SELFTEST_HIT;
}

/* The result tells by which way it was found, the test by which it should have been. */
#define DEFINE_LOOK(v)                                                                             \
	static __always_inline enum flow_find look##v(                                             \
		struct flow_hdr *hdr, struct flow_selftest_result *r,                              \
		const struct flow_key##v *key, struct flow_hit##v *h, struct half *ret)            \
	{                                                                                          \
		uint64_t hash = flow_hash##v(hdr, key);                                            \
		enum flow_find found = flow_guess##v(NULL, hdr, key, hash, h);                     \
                                                                                                   \
		r->home = found == FLOW_HIT;                                                       \
		if (found != FLOW_HIT)                                                             \
			found = flow_find##v(NULL, hdr, key, hash, h);                             \
		if (found != FLOW_HIT)                                                             \
			return found;                                                              \
		*ret = (struct half){ .egress = &h->own->egress,                                   \
				      .time = &h->own->time,                                       \
				      .count = &h->own->count,                                     \
				      .tcp = &h->own->tcp,                                         \
				      .side = side##v(h->place) };                                 \
		if (!ret->side)                                                                    \
			return FLOW_STALE;                                                         \
		ret->twin = tcp##v(ret->side->twin);                                               \
		if (!ret->twin)                                                                    \
			return FLOW_STALE;                                                         \
		r->line = ret->side->name & FLOW_NAME_MASK;                                        \
		return FLOW_HIT;                                                                   \
	}

DEFINE_LOOK(4)
DEFINE_LOOK(6)

static __always_inline uint32_t run4(struct flow_hdr *hdr, struct flow_selftest_result *r,
				     struct iphdr *ip, void *end, uint32_t frame)
{
	struct flow_key4 key = { 0 };
	struct flow_hit4 h;
	struct half own;
	enum flow_find found;
	uint16_t *ports = (void *)(ip + 1);

	if ((void *)(ports + 2) > end)
		return FLOW_SELFTEST_MISS;
	key.saddr = ip->saddr;
	key.daddr = ip->daddr;
	key.sport = ports[0];
	key.dport = ports[1];
	key.proto = ip->protocol;
	found = look4(hdr, r, &key, &h, &own);
	if (found != FLOW_HIT)
		return found == FLOW_MISS ? FLOW_SELFTEST_MISS : FLOW_SELFTEST_WORKER;
	r->rw4 = h.rw;
	struct tcphdr *th = (void *)ports;
	uint32_t payload = 0;

	if ((void *)(th + 1) <= end)
		payload = bpf_ntohs(ip->tot_len) - sizeof(*ip) - th->doff * 4u;
	return hit(h.word0, &own, th, end, payload, frame);
}

static __always_inline uint32_t run6(struct flow_hdr *hdr, struct flow_selftest_result *r,
				     struct ipv6hdr *ip, void *end, uint32_t frame)
{
	struct flow_key6 key = { 0 };
	struct flow_hit6 h;
	struct half own;
	enum flow_find found;
	uint16_t *ports = (void *)(ip + 1);

	if ((void *)(ports + 2) > end)
		return FLOW_SELFTEST_MISS;
	__builtin_memcpy(key.saddr, &ip->saddr, 16);
	__builtin_memcpy(key.daddr, &ip->daddr, 16);
	key.sport = ports[0];
	key.dport = ports[1];
	key.proto = ip->nexthdr;
	__builtin_memset(&h.rw, 0, sizeof(h.rw));
	found = look6(hdr, r, &key, &h, &own);
	if (found != FLOW_HIT)
		return found == FLOW_MISS ? FLOW_SELFTEST_MISS : FLOW_SELFTEST_WORKER;
	r->rw6 = h.rw;
	struct tcphdr *th = (void *)ports;
	uint32_t payload = 0;

	if ((void *)(th + 1) <= end)
		payload = bpf_ntohs(ip->payload_len) - th->doff * 4u;
	return hit(h.word0, &own, th, end, payload, frame);
}

SEC("xdp")
int flow_selftest(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct flow_selftest_result *r;
	struct flow_hdr *hdr;
	struct ethhdr *eth = data;
	uint32_t zero = 0;

	hdr = bpf_map_lookup_elem(&flow_hdr, &zero);
	r = bpf_map_lookup_elem(&results, &zero);
	if (!hdr || !r || (void *)(eth + 1) > end)
		return XDP_ABORTED;
	r->verdict = FLOW_SELFTEST_MISS;
	if (eth->h_proto == bpf_htons(ETH_P_IP) && (void *)(eth + 1) + sizeof(struct iphdr) <= end)
		r->verdict = run4(hdr, r, (void *)(eth + 1), end, end - data);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6) &&
		 (void *)(eth + 1) + sizeof(struct ipv6hdr) <= end)
		r->verdict = run6(hdr, r, (void *)(eth + 1), end, end - data);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
