/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: both ends of a stream. stream_gen makes frames of flows, in random order or one after the
 * other, in the live frames that BPF_PROG_RUN brings: every byte anew, for they come back as their
 * last receiver left them. stream_drop counts what arrives, stream_watch looks at it.
 *
 * Of a TCP connection one end sends bytes, in order; the other acknowledges all that has arrived.
 * Its first sequence number is the flow's number, by which the sink knows a SYN.
 */
#include "stream.h"

#include "../lib/frame.bpf.h"

volatile struct stream_gen gen;
volatile struct stream_sink sink[STREAM_SINKS]; /* by ifindex */
volatile uint32_t watch, seen_base, seen_at;    /* seen_at: the outside's ifindex */

#define ARRAY(name, n, what)                                                                       \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(max_entries, n);                                                            \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__type(key, uint32_t);                                                             \
		__type(value, what);                                                               \
	} name SEC(".maps")

ARRAY(sent, STREAM_LANES *STREAM_FLOWS, struct stream_sent);
ARRAY(seen, STREAM_LANES *STREAM_FLOWS, struct stream_seen);
ARRAY(stamps, STREAM_STAMPS, uint64_t); /* when a number left */

/* ----- generator ----- */

struct where {
	uint32_t flow, i; /* i: in the lane's part of a map */
	bool back;
};

/* Who answers a translated flow writes to where it was seen. */
static __always_inline bool put_seen(uint8_t *d, const uint8_t *end, uint32_t i, uint32_t *sum)
{
	const struct stream_seen *s = bpf_map_lookup_elem(&seen, &i);

	if (!s)
		return false;
	for (int k = 0; k < 4; k++) {
		uint32_t v = bpf_ntohl(s->addr[k]);

		*sum += halves(v);
		if ((gen.v6 || k == 3) && !put32(d, end, (gen.v6 ? 38 : 18) + 4 * k, v))
			return false;
	}
	*sum += s->port;
	return put16(d, end, gen.dir[1].l4 + 2, s->port);
}

static __always_inline bool put_tcp(uint8_t *d, const uint8_t *end,
				    const volatile struct stream_dir *t, const struct where *w,
				    uint32_t *sum)
{
	uint32_t i = w->i, n = gen.n - 1, seq = 0, ack = 0;
	struct stream_sent *s = bpf_map_lookup_elem(&sent, &i);

	if (!s)
		return false;
	if (n - s->n >= STREAM_APART)
		s->arrived = s->sent;
	if (w->back) {
		ack = w->flow + s->arrived;
	} else {
		seq = w->flow + s->sent;
		s->sent += t->payload;
		s->n = n;
	}
	seq += gen.seq_add;
	ack += gen.ack_add;
	*sum += halves(seq) + halves(ack);
	return put32(d, end, t->l4 + 4, seq) && put32(d, end, t->l4 + 8, ack);
}

static __always_inline bool put_addresses(uint8_t *d, const uint8_t *end,
					  const volatile struct stream_dir *t,
					  const struct where *w, uint32_t *sum)
{
	uint32_t port = STREAM_PORT + (w->flow & STREAM_PORTS);

	for (int k = 0; k < 2; k++) {
		uint32_t a = t->addr[k] + (w->flow >> 14);

		if (gen.nat && w->back && k)
			break;
		*sum += halves(a);
		if (!put32(d, end, t->at[k], a))
			return false;
	}
	*sum += t->service;
	if (!put16(d, end, t->l4 + (w->back ? 0 : 2), t->service))
		return false;
	if (gen.nat && w->back)
		return put_seen(d, end, w->i, sum);
	*sum += port;
	return put16(d, end, t->l4 + (w->back ? 2 : 0), port);
}

static __always_inline void choose(struct where *ret)
{
	uint32_t x = gen.random;

	if (gen.order) {
		ret->flow = gen.n - gen.first;
		ret->back = gen.order == STREAM_BACK;
	} else {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		gen.random = x;
		ret->flow = (uint64_t)(x << 1) * gen.flows >> 32;
		ret->back = x >> 31;
	}
	ret->i = gen.lane * STREAM_FLOWS + ret->flow;
}

static __always_inline void stamp(uint32_t n)
{
	uint32_t i = n % STREAM_STAMPS;
	uint64_t *at = bpf_map_lookup_elem(&stamps, &i);

	if (at)
		*at = bpf_ktime_get_ns();
}

SEC("xdp")
int stream_gen(struct xdp_md *ctx)
{
	uint8_t *d = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const volatile struct stream_dir *t;
	uint32_t n = gen.n, sum, check;
	struct where w;

	if (d + STREAM_LEN > end)
		return XDP_ABORTED;
	choose(&w);
	gen.n = n + 1;
	t = &gen.dir[w.back];
	for (int i = 0; i < STREAM_LEN / 4; i++)
		((uint32_t *)d)[i] = t->frame[i];
	sum = t->sum;
	if (!put_addresses(d, end, t, &w, &sum) || (gen.tcp && !put_tcp(d, end, t, &w, &sum)))
		return XDP_ABORTED;
	if (!gen.v6) {
		uint32_t s = t->ip_sum;

		for (int i = 26; i < 34; i += 2)
			s += bpf_ntohs(*(uint16_t *)(d + i));
		*(uint16_t *)(d + 24) = bpf_htons(~fold(s));
	}
	*(uint32_t *)(d + STREAM_LEN - 8) = bpf_htonl(w.flow);
	*(uint32_t *)(d + STREAM_LEN - 4) = bpf_htonl(n);
	if (t->payload)
		sum += halves(w.flow) + halves(n);
	check = (uint16_t)~fold(sum);
	if (!put16(d, end, t->check_at, check ? check : 0xffff)) /* 0 would be UDP's "none" */
		return XDP_ABORTED;
	if (gen.stamp)
		stamp(n);
	return bpf_redirect(gen.ifindex[w.back], 0);
}

/* ----- sinks ----- */

/* The rest, neighbour discovery for one, is the host's. */
static __always_inline bool is_ours(const uint8_t *d, const uint8_t *end)
{
	uint8_t proto;

	if (d + 42 > end)
		return false;
	if (d[12] == 0x08 && d[13] == 0x00)
		proto = d[23];
	else if (d[12] == 0x86 && d[13] == 0xdd)
		proto = d[20];
	else
		return false;
	return proto == 6 || proto == 17;
}

SEC("xdp")
int stream_drop(struct xdp_md *ctx)
{
	const uint8_t *d = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (!is_ours(d, end))
		return XDP_PASS;
	sink[ctx->ingress_ifindex % STREAM_SINKS].frames++;
	return XDP_DROP;
}

static __always_inline uint32_t sum_words(const uint8_t *d, int from, int to)
{
	uint32_t sum = 0;

	for (int i = from; i < to; i += 2)
		sum += *(const uint16_t *)(d + i);
	return sum;
}

/* Hops and both sums of a whole frame. */
static __always_inline bool sums_right(const uint8_t *d, const uint8_t *end)
{
	uint32_t sum;

	if (d + STREAM_LEN > end)
		return false;
	if (d[12] == 0x08) {
		if (fold(sum_words(d, 14, 34)) != 0xffff || d[22] != 63)
			return false;
		sum = sum_words(d, 26, STREAM_LEN) + bpf_htons(STREAM_LEN - 34) + bpf_htons(d[23]);
	} else {
		if (d[21] != 63)
			return false;
		sum = sum_words(d, 22, STREAM_LEN) + bpf_htons(STREAM_LEN - 54) + bpf_htons(d[20]);
	}
	return fold(sum) == 0xffff;
}

/* The source as it arrived; the flow's number is in the payload, of a SYN in its sequence. */
static __always_inline void remember(const uint8_t *d, const uint8_t *end)
{
	bool six = d[12] == 0x86, syn = false;
	const uint8_t *h = d + (six ? 54 : 34);
	struct stream_seen *s;
	uint32_t i;

	if (h + 20 > end)
		return;
	if ((six ? d[20] : d[23]) == 6)
		syn = h[13] & 2;
	if (syn)
		i = bpf_ntohl(*(const uint32_t *)(h + 4));
	else if (d + STREAM_LEN <= end)
		i = bpf_ntohl(*(const uint32_t *)(d + STREAM_LEN - 8));
	else
		return;
	i += seen_base;
	s = bpf_map_lookup_elem(&seen, &i);
	if (!s)
		return;
	for (int k = 0; k < 4; k++)
		s->addr[k] = six      ? *(const uint32_t *)(d + 22 + 4 * k)
			     : k == 3 ? *(const uint32_t *)(d + 26)
				      : 0;
	s->port = bpf_ntohs(*(const uint16_t *)h);
}

/* 16 bins an octave. */
static __always_inline uint32_t bin_of(uint64_t ns)
{
	uint32_t log = 0, v = ns > 0xffffffff ? 0xffffffff : ns;

	if (v < 16)
		return v;
	for (int s = 16; s; s >>= 1)
		if (v >> (log + s))
			log += s;
	return 16 * (log - 3) + (v >> (log - 4)) - 16;
}

static __always_inline void delay(volatile struct stream_sink *s, uint32_t n)
{
	uint32_t i = n % STREAM_STAMPS;
	const uint64_t *at = bpf_map_lookup_elem(&stamps, &i);

	if (at)
		s->bin[bin_of(bpf_ktime_get_ns() - *at) % STREAM_BINS]++;
}

SEC("xdp")
int stream_watch(struct xdp_md *ctx)
{
	const uint8_t *d = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	volatile struct stream_sink *s = &sink[ctx->ingress_ifindex % STREAM_SINKS];
	uint32_t n;

	if (!is_ours(d, end))
		return XDP_PASS;
	s->frames++;
	if (watch & STREAM_WATCH_GAPS) {
		uint64_t now = bpf_ktime_get_ns();

		if (s->at && now - s->at > s->gap)
			s->gap = now - s->at;
		s->at = now;
	}
	if (watch & STREAM_WATCH_SEEN && ctx->ingress_ifindex == seen_at)
		remember(d, end);
	if (d + STREAM_LEN > end)
		return XDP_DROP;
	n = bpf_ntohl(*(const uint32_t *)(d + STREAM_LEN - 4));
	if (s->last && (int32_t)(n - s->last) <= 0)
		s->late++;
	else
		s->last = n;
	if (watch & STREAM_WATCH_SUMS)
		s->right += sums_right(d, end);
	if (watch & STREAM_WATCH_DELAY)
		delay(s, n);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
