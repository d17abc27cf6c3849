/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the express lane's ground: its maps, what every step of a packet needs, the lookup of a
 * flow, and the plain verdicts. Part of express.bpf.c and express_vlan.bpf.c. Owns: the maps'
 * shapes; the loader has the maps. Threads, failure: as there.
 */
#ifndef RTR_EXPRESS_LANE_H
#define RTR_EXPRESS_LANE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "rtr/adj.h"
#include "rtr/express.h"
#include "rtr/flow.h"
#include "../tcp_track.h"
#define FLOW_HIT_ONLY
#include "flow_maps.h"

SHARED(express_ctl, BPF_MAP_TYPE_ARRAY, struct express_ctl, MMAPABLE);
SHARED(express_adj, BPF_MAP_TYPE_ARRAY, struct fp_adj, MMAPABLE);
SHARED(express_queues, BPF_MAP_TYPE_ARRAY, struct express_queue, MMAPABLE);
SHARED(express_counts, BPF_MAP_TYPE_PERCPU_ARRAY, struct express_count);
SHARED(express_recent, BPF_MAP_TYPE_ARRAY, struct express_recent);
SHARED(express_ports, BPF_MAP_TYPE_DEVMAP, uint32_t);
SHARED(express_xsks, BPF_MAP_TYPE_XSKMAP, uint32_t);
SHARED(express_index, BPF_MAP_TYPE_HASH, uint32_t); /* ifindex -> slot of those that are on */

/* NAT's addresses and ports of the box (rtr/express.h). */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__type(key, struct express_nat_key);
	__type(value, uint32_t);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} express_nat SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct express_claim_key);
	__type(value, struct express_claim);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} express_claims SEC(".maps");

/*
 * The program for tagged frames is made of the same steps: IP begins behind the tag, and the
 * interface is the tag's, not the one that the program sits on.
 */
#define VLAN_HLEN 4
#ifdef EXPRESS_TAGGED
#define L2_LEN        (ETH_HLEN + VLAN_HLEN)
#define IN(l, field)  LOAD((l)->in->field)
#define IN_IFINDEX(l) LOAD((l)->in->ifindex)
#else
volatile struct express_port port;
/* Which program this is, for the next process: xdp_load.c. */
uint64_t build;
#define L2_LEN        ETH_HLEN
#define IN(l, field)  port.field
#define IN_IFINDEX(l) (l)->ctx->ingress_ifindex
#endif

static __always_inline struct flow_side *hit_side4(const struct flow_hit4 *h)
{
	return side4(h->place);
}

static __always_inline struct flow_side *hit_side6(const struct flow_hit6 *h)
{
	return &h->own->side;
}

#define LOAD(x) (*(const volatile typeof(x) *)&(x))

/* What every step needs. */
struct lane {
	struct xdp_md *ctx;
	void *data, *end;
	const struct express_ctl *ctl;
	struct express_count *count;
	const struct flow_hdr *hdr;
	struct express_recent *recent;
#ifdef EXPRESS_TAGGED
	const struct express_port *in;
#endif
};

/* The packet as read, untouched. */
struct pkt {
	uint8_t *l4;     /* TCP or UDP header */
	void *end;       /* of the frame */
	uint32_t l4_len; /* transport header and payload */
	uint32_t l3_len;
	uint8_t proto;
	bool plain; /* XDP can forward it: no option, no fragment, hops left */
};

/* A hit, of either family; the pointers lead into the line. */
struct hit {
	uint64_t *word0, *count;
	uint32_t *egress, *time;
	struct flow_tcp *tcp;
	struct flow_side *side; /* of TCP */
	uint64_t w0;            /* as found */
	bool v6;
};

#define HIT(h, side_, v6_)                                                                         \
	{                                                                                          \
		.word0 = &(h).own->word0, .count = &(h).own->count, .egress = &(h).own->egress,    \
		.time = &(h).own->time, .tcp = &(h).own->tcp, .side = (side_), .w0 = (h).word0,    \
		.v6 = (v6_)                                                                        \
	}

/* ----- lookup ----- */

/*
 * The slots that this CPU has used lately, in front of the buckets: a bucket's line serves one flow
 * of hundreds in the table, a line here sixteen that are busy. An entry is a slot as it was read
 * before, so all that the reader's protocol says of a slot that is cleared meanwhile holds.
 */
static __always_inline uint64_t *recent_of(const struct lane *l, uint64_t hash)
{
	return &l->recent->slot[hash >> 34 & (EXPRESS_RECENT - 1)];
}

/* *ret_side: of TCP; IPv4's is fetched together with the line. */
#define DEFINE_LOOK(v)                                                                             \
	static __always_inline enum flow_find look##v(                                             \
		const struct lane *l, const struct flow_key##v *key, struct flow_hit##v *ret,      \
		struct flow_side **ret_side)                                                       \
	{                                                                                          \
		uint64_t hash = flow_hash##v(l->hdr, key), *recent = recent_of(l, hash);           \
		uint64_t slot = LOAD(*recent);                                                     \
		enum flow_find found;                                                              \
                                                                                                   \
		*ret = (struct flow_hit##v){ .place = (uint32_t)slot };                            \
		if (slot && slot >> 48 == flow_tag(hash)) {                                        \
			struct flow_pair##v *pair = pair##v((uint32_t)slot >> 1);                  \
                                                                                                   \
			if (pair) {                                                                \
				ret->own = &pair->dir[slot & 1];                                   \
				if (flow_line##v##_read(ret->own, (uint16_t)(slot >> 32), key,     \
							&ret->rw, &ret->word0) == FLOW_HIT)        \
					goto hit;                                                  \
			}                                                                          \
		}                                                                                  \
		if (v == 4 && key->proto == IPPROTO_TCP) {                                         \
			*ret_side = side4(flow_home(hash, l->hdr->n_pairs[FLOW_4]));               \
			if (*ret_side)                                                             \
				(void)LOAD((*ret_side)->name);                                     \
		}                                                                                  \
		found = flow_guess##v(NULL, l->hdr, key, hash, ret);                               \
		if (found != FLOW_HIT)                                                             \
			found = flow_find##v(NULL, l->hdr, key, hash, ret);                        \
		if (found != FLOW_HIT)                                                             \
			return found;                                                              \
		*(volatile uint64_t *)recent = flow_slot(hash, flow_w0_gen(ret->word0),            \
							 ret->place);                              \
	hit:                                                                                       \
		if (key->proto == IPPROTO_TCP)                                                     \
			*ret_side = hit_side##v(ret);                                              \
		return FLOW_HIT;                                                                   \
	}

DEFINE_LOOK(4)
DEFINE_LOOK(6)

/* ----- verdicts ----- */

static __always_inline int pass(const struct lane *l, enum express_verdict v)
{
	l->count->verdict[v]++;
	return XDP_PASS;
}

/* As the kernel counts a VLAN that a packet comes by: from IP on; of other interfaces the driver
 * does. */
static __always_inline void count_in(const struct lane *l)
{
	if (L2_LEN == ETH_HLEN)
		return;
	l->count->vlan.rx++;
	l->count->vlan.rx_bytes += l->end - l->data - L2_LEN;
}

static __always_inline int drop(const struct lane *l, enum rtr_drop reason)
{
	count_in(l);
	l->count->drop[reason]++;
	return XDP_DROP;
}

/* Nanoseconds of CLOCK_MONOTONIC_COARSE. */
static __always_inline uint64_t clock_now(const struct lane *l)
{
	return LOAD(l->ctl->clock_base) + bpf_jiffies64() * LOAD(l->ctl->clock_tick);
}

/* To the socket of this queue if its worker lives. word0: of the flow, or NULL. */
static __always_inline bool to_worker(const struct lane *l, uint64_t *word0)
{
	uint32_t queue = l->ctx->rx_queue_index, slot = IN(l, xsk_base) + queue;
	struct express_queue *q;

	if (queue >= IN(l, n_queues) || LOAD(l->ctl->gone))
		return false;
	q = bpf_map_lookup_elem(&express_queues, &slot);
	/* Our clock may be a tick behind the worker's. */
	if (!q || (int64_t)(clock_now(l) - LOAD(q->beat)) > EXPRESS_BEAT_MAX_NS)
		return false;
	if (word0) {
		/* 16 bits must hold the frames of all rings; far below, something is wrong. */
		if (flow_w0_inflight(LOAD(*word0)) >= 0x8000)
			return false;
	}
	/* The poll of this queue is the only writer. */
	*(volatile uint32_t *)&q->sent = q->sent + 1;
	if (word0)
		__sync_fetch_and_add(word0, FLOW_W0_INFLIGHT_ONE);
	if (bpf_redirect_map(&express_xsks, slot, 0) == XDP_REDIRECT)
		return true;
	if (word0)
		__sync_fetch_and_add(word0, -FLOW_W0_INFLIGHT_ONE);
	*(volatile uint32_t *)&q->sent = q->sent - 1;
	return false;
}

#endif
