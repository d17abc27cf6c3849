/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the express lane. One instance of this program sits on each interface. It translates and
 * forwards packets of flows that need no thought, and hands everything else on untouched: to the
 * AF_XDP socket of the queue while its worker lives, else to the kernel.
 *
 *	parse -> key -> line at home, else bucket -> line (generation, key) -> path, policy, TCP
 *window
 *	      -> adjacency, MTU -> redirect -> rewrite, checksums, TTL -> counters, time
 *
 * FASTPLANE's rules that this file keeps: XDP never inserts, frees or drops on state. A hit is
 * always translated by XDP, also with no worker alive, for the kernel must not meet a flow that it
 * does not know; a hit that XDP cannot send goes to the kernel only if that mirrors the flow, else
 * it is a counted drop. A direction takes one path at a time: while packets of it are with a worker
 * (inflight), those behind follow them. Nothing of a packet is changed before all is decided.
 *
 * docs/design/express.md has the figures and what was tried.
 *
 * Owns: nothing; all maps are shared, `port` is the interface's. Threads: any CPU. Failure: a
 * verdict, counted in express_counts.
 */
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

#define SHARED(name, kind, what, ...)                                                              \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(max_entries, 1); /* the loader has the maps */                              \
		__type(key, uint32_t);                                                             \
		__type(value, what);                                                               \
		__VA_ARGS__                                                                        \
	} name SEC(".maps")
#define MMAPABLE __uint(map_flags, BPF_F_MMAPABLE);

struct flow_hdr_page {
	struct flow_hdr hdr;
	uint8_t rest[FLOW_HDR_SIZE - sizeof(struct flow_hdr)];
};

SHARED(flow_hdr, BPF_MAP_TYPE_ARRAY, struct flow_hdr_page, MMAPABLE);
SHARED(flow_buckets4, BPF_MAP_TYPE_ARRAY, struct flow_bucket, MMAPABLE);
SHARED(flow_lines4, BPF_MAP_TYPE_ARRAY, struct flow_pair4, MMAPABLE);
SHARED(flow_sides4, BPF_MAP_TYPE_ARRAY, struct flow_sides4, MMAPABLE);
SHARED(flow_buckets6, BPF_MAP_TYPE_ARRAY, struct flow_bucket, MMAPABLE);
SHARED(flow_lines6, BPF_MAP_TYPE_ARRAY, struct flow_pair6, MMAPABLE);
SHARED(express_ctl, BPF_MAP_TYPE_ARRAY, struct express_ctl, MMAPABLE);
SHARED(express_adj, BPF_MAP_TYPE_ARRAY, struct fp_adj, MMAPABLE);
SHARED(express_beats, BPF_MAP_TYPE_ARRAY, uint64_t, MMAPABLE);
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

volatile struct express_port port;

/* Set by the loader: does the kernel have the two functions below? */
const volatile bool has_ct = false;

/* Of the kernel's include/net/netfilter/nf_conntrack_bpf.h, 5.18 and later; 6.10 has four more
 * bytes and takes both sizes. */
struct ct_opts {
	int32_t netns_id; /* -1: the interface's */
	int32_t error;
	uint8_t l4proto, dir, zero[2];
};
/* libbpf compares kinds of types: only declared, it would not be the kernel's. */
struct nf_conn {
	uint64_t status;
};
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple,
					 uint32_t tuple_size, struct ct_opts *opts,
					 uint32_t opts_size) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

/* AF_INET, AF_INET6 */
#define FAMILY_4 2
#define FAMILY_6 10

#define FLOW_ENV void *
static __always_inline struct flow_bucket *bucket(enum flow_family fam, uint32_t i)
{
	return fam == FLOW_4 ? bpf_map_lookup_elem(&flow_buckets4, &i)
			     : bpf_map_lookup_elem(&flow_buckets6, &i);
}
#define FLOW_BUCKET(env, fam, i) bucket(fam, i)
static __always_inline struct flow_pair4 *pair4(uint32_t i)
{
	return bpf_map_lookup_elem(&flow_lines4, &i);
}
#define FLOW_PAIR4(env, i) pair4(i)
static __always_inline struct flow_pair6 *pair6(uint32_t i)
{
	return bpf_map_lookup_elem(&flow_lines6, &i);
}
#define FLOW_PAIR6(env, i) pair6(i)
#include "flow_lookup.h"
FLOW_DEFINE_FIND(4)
FLOW_DEFINE_FIND(6)
FLOW_DEFINE_GUESS(4)
FLOW_DEFINE_GUESS(6)

/* clang would add to the pointer before it is tested, which the verifier refuses. */
#define TESTED(p) asm volatile("" : "+r"(p))

/* The side of the line in a place. */
static __always_inline struct flow_side *side4(uint32_t place)
{
	uint32_t i = place >> 1;
	struct flow_sides4 *s = bpf_map_lookup_elem(&flow_sides4, &i);

	if (!s)
		return NULL;
	TESTED(s);
	return &s->dir[place & 1];
}

/* What the line in a place has sent and allowed. */
static __always_inline const struct flow_tcp *tcp4(uint32_t place)
{
	struct flow_pair4 *p = pair4(place >> 1);

	if (!p)
		return NULL;
	TESTED(p);
	return &p->dir[place & 1].tcp;
}

static __always_inline const struct flow_tcp *tcp6(uint32_t place)
{
	struct flow_pair6 *p = pair6(place >> 1);

	if (!p)
		return NULL;
	TESTED(p);
	return &p->dir[place & 1].tcp;
}

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

static __always_inline int drop(const struct lane *l, enum rtr_drop reason)
{
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
	uint32_t queue = l->ctx->rx_queue_index, slot = port.xsk_base + queue;
	const uint64_t *beat;

	if (queue >= port.n_queues)
		return false;
	beat = bpf_map_lookup_elem(&express_beats, &slot);
	/* Our clock may be a tick behind the worker's. */
	if (!beat || (int64_t)(clock_now(l) - LOAD(*beat)) > EXPRESS_BEAT_MAX_NS)
		return false;
	if (word0) {
		/* 16 bits must hold the frames of all rings; far below, something is wrong. */
		if (flow_w0_inflight(LOAD(*word0)) >= 0x8000)
			return false;
		__sync_fetch_and_add(word0, FLOW_W0_INFLIGHT_ONE);
	}
	if (bpf_redirect_map(&express_xsks, slot, 0) == XDP_REDIRECT)
		return true;
	if (word0)
		__sync_fetch_and_add(word0, -FLOW_W0_INFLIGHT_ONE);
	return false;
}

/*
 * Would the kernel forward the packet to another interface of ours? Its own table says so, with all
 * that it knows: addresses of the box, forwarding, rules, neighbours, MTU. 150 ns, for misses only.
 */
static __always_inline bool forwards(const struct lane *l, uint8_t family)
{
	struct bpf_fib_lookup f = { .family = family, .ifindex = l->ctx->ingress_ifindex };
	uint32_t out;

	if (family == FAMILY_4) {
		const struct iphdr *ip = l->data + ETH_HLEN;

		if ((void *)(ip + 1) > l->end || ip->ttl <= 1)
			return false;
		f.tos = ip->tos;
		f.l4_protocol = ip->protocol;
		f.tot_len = bpf_ntohs(ip->tot_len);
		f.ipv4_src = ip->saddr;
		f.ipv4_dst = ip->daddr;
	} else {
		const struct ipv6hdr *ip = l->data + ETH_HLEN;

		if ((void *)(ip + 1) > l->end || ip->hop_limit <= 1)
			return false;
		f.flowinfo = *(const uint32_t *)ip & bpf_htonl(0x0fffffff);
		f.l4_protocol = ip->nexthdr;
		f.tot_len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
		__builtin_memcpy(f.ipv6_src, &ip->saddr, sizeof(f.ipv6_src));
		__builtin_memcpy(f.ipv6_dst, &ip->daddr, sizeof(f.ipv6_dst));
	}
	if (bpf_fib_lookup(l->ctx, &f, sizeof(f), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return false;
	out = f.ifindex;
	return out != l->ctx->ingress_ifindex && bpf_map_lookup_elem(&express_index, &out);
}

/*
 * Does the kernel track the connection, in either direction? Then all its packets are the kernel's
 * until it ends. An entry of the mirror (../mirror.h) counts, too: without a flow here any more the
 * kernel goes on.
 */
static __always_inline bool tracked(const struct lane *l, struct bpf_sock_tuple *t, uint32_t size,
				    uint8_t proto)
{
	struct ct_opts opts = { .netns_id = -1, .l4proto = proto };
	struct nf_conn *ct = bpf_xdp_ct_lookup(l->ctx, t, size, &opts, sizeof(opts));

	if (!ct)
		return false;
	bpf_ct_release(ct);
	return true;
}

static __always_inline bool tracked4(const struct lane *l, const struct flow_key4 *k)
{
	struct bpf_sock_tuple t = { .ipv4 = { k->saddr, k->daddr, k->sport, k->dport } };

	if (!has_ct || !LOAD(l->ctl->stateful))
		return false;
	return tracked(l, &t, sizeof(t.ipv4), k->proto);
}

static __always_inline bool tracked6(const struct lane *l, const struct flow_key6 *k)
{
	struct bpf_sock_tuple t;

	if (!has_ct || !LOAD(l->ctl->stateful))
		return false;
	__builtin_memcpy(t.ipv6.saddr, k->saddr, sizeof(t.ipv6.saddr));
	__builtin_memcpy(t.ipv6.daddr, k->daddr, sizeof(t.ipv6.daddr));
	t.ipv6.sport = k->sport;
	t.ipv6.dport = k->dport;
	return tracked(l, &t, sizeof(t.ipv6), k->proto);
}

/* ----- addresses of NAT ----- */

/* A port of a NAT address that a worker knows what to do with: a forward. */
static __always_inline bool claims(const struct express_nat_key *addr, uint8_t proto,
				   uint16_t port_be)
{
	struct express_claim_key k = { .port_be = port_be, .proto = proto };
	const struct express_claim *c;
	uint16_t at = bpf_ntohs(port_be);

	__builtin_memcpy(k.addr, addr->addr, sizeof(k.addr));
	if (bpf_map_lookup_elem(&express_claims, &k))
		return true;
	k.port_be = 0;
	c = bpf_map_lookup_elem(&express_claims, &k);
	return c && at >= LOAD(c->lo) && at <= LOAD(c->hi);
}

/*
 * The route ends here, but the address is one of NAT: is the packet for a worker all the same? All
 * of a static host's; of an address with forwards their ports; of any the errors, which may quote a
 * fast flow, and fragments, of which the first one may belong to one.
 */
static __always_inline bool is_nat4(const struct lane *l, const struct flow_key4 *key, bool frag)
{
	const struct iphdr *ip = l->data + ETH_HLEN;
	struct express_nat_key k = { .len = 128 };
	const uint32_t *kind;
	const uint8_t *icmp;

	if (!LOAD(l->ctl->nat) || (void *)(ip + 1) > l->end)
		return false;
	k.addr[2] = bpf_htonl(0xffff);
	k.addr[3] = ip->daddr;
	kind = bpf_map_lookup_elem(&express_nat, &k);
	if (!kind)
		return false;
	if (frag || LOAD(*kind) == EXPRESS_NAT_ALL)
		return true;
	if (key)
		return claims(&k, key->proto, key->dport);
	icmp = (void *)ip + ip->ihl * 4u;
	if (ip->protocol != IPPROTO_ICMP || icmp + 1 > (uint8_t *)l->end)
		return false;
	return *icmp == 3 || *icmp == 4 || *icmp == 11 || *icmp == 12;
}

static __always_inline bool is_nat6(const struct lane *l, const struct flow_key6 *key)
{
	const struct ipv6hdr *ip = l->data + ETH_HLEN;
	struct express_nat_key k = { .len = 128 };
	const uint32_t *kind;
	const uint8_t *icmp;

	if (!LOAD(l->ctl->nat) || (void *)(ip + 1) > l->end)
		return false;
	__builtin_memcpy(k.addr, &ip->daddr, sizeof(k.addr));
	kind = bpf_map_lookup_elem(&express_nat, &k);
	if (!kind)
		return false;
	if (ip->nexthdr == IPPROTO_FRAGMENT || LOAD(*kind) == EXPRESS_NAT_ALL)
		return true;
	if (key)
		return claims(&k, key->proto, key->dport);
	icmp = (void *)(ip + 1);
	/* Types below 128 are errors (RFC 4443 2.1). */
	return ip->nexthdr == IPPROTO_ICMPV6 && icmp + 1 <= (uint8_t *)l->end && *icmp < 128;
}

/* ----- no flow, or one that ended while it was read ----- */

static __always_inline int to_kernel_or_worker(const struct lane *l)
{
	if (LOAD(l->ctl->mode) != EXPRESS_M_RUN || !to_worker(l, NULL))
		return pass(l, EXPRESS_V_KERNEL_NEW);
	l->count->verdict[EXPRESS_V_WORKER_NEW]++;
	return XDP_REDIRECT;
}

/*
 * key NULL: a packet without ports, or not the first fragment. All fragments of a packet go the
 * same way: a first one is not looked up among the kernel's connections, as those behind it cannot
 * be.
 */
/*
 * Workers track TCP and UDP; every other connection is the kernel's, all of its packets. What may
 * belong to one of ours is not: errors that quote it, pieces, headers in front of headers.
 */
static __always_inline bool is_other4(const struct lane *l, const struct iphdr *ip, bool frag)
{
	const uint8_t *type = (const uint8_t *)(ip + 1);

	if (!LOAD(l->ctl->stateful) || frag || ip->protocol == IPPROTO_TCP ||
	    ip->protocol == IPPROTO_UDP)
		return false;
	if (ip->protocol != IPPROTO_ICMP || ip->ihl != 5 || (void *)(type + 1) > l->end)
		return ip->protocol != IPPROTO_ICMP;
	/* Unreachable, quench, redirect; time exceeded, bad parameter. */
	return !(*type >= 3 && *type <= 5) && *type != 11 && *type != 12;
}

static __always_inline bool is_other6(const struct lane *l)
{
	const struct ipv6hdr *ip = l->data + ETH_HLEN;
	const uint8_t *type = (const uint8_t *)(ip + 1);

	if ((void *)(type + 1) > l->end || !LOAD(l->ctl->stateful))
		return false;
	switch (ip->nexthdr) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_DSTOPTS:
		return false;
	case IPPROTO_ICMPV6:
		return *type >= 128; /* not an error */
	default:
		return true;
	}
}

static __always_inline int miss4(const struct lane *l, const struct flow_key4 *key)
{
	const struct iphdr *ip = l->data + ETH_HLEN;
	bool frag;

	if ((void *)(ip + 1) > l->end)
		return pass(l, EXPRESS_V_KERNEL_PLAIN);
	frag = ip->frag_off & bpf_htons(0x3fff);
	if ((key && !frag && tracked4(l, key)) || is_other4(l, ip, frag))
		return pass(l, EXPRESS_V_KERNEL_CT);
	if (port.flags & EXPRESS_PF_ASK && !forwards(l, FAMILY_4) && !is_nat4(l, key, frag))
		return pass(l, EXPRESS_V_KERNEL_ROUTE);
	return to_kernel_or_worker(l);
}

static __always_inline int miss6(const struct lane *l, const struct flow_key6 *key)
{
	if ((key && tracked6(l, key)) || is_other6(l))
		return pass(l, EXPRESS_V_KERNEL_CT);
	if (port.flags & EXPRESS_PF_ASK && !forwards(l, FAMILY_6) && !is_nat6(l, key))
		return pass(l, EXPRESS_V_KERNEL_ROUTE);
	return to_kernel_or_worker(l);
}

/* ----- TCP ----- */

enum tcp_verdict {
	TCP_PASS,
	TCP_THINK,  /* the tracker has to see it */
	TCP_WINDOW, /* the same, and it is outside the window */
};

struct segment {
	uint32_t seq, end, ack, win; /* host order */
};

static __always_inline struct tcp_express express_of(const struct flow_tcp *t, uint32_t egress)
{
	return (struct tcp_express){
		.end = LOAD(t->end),
		.edge = LOAD(t->edge),
		.scale = egress >> FLOW_EGRESS_SCALE_SHIFT,
		.win_log2 = egress >> FLOW_EGRESS_WLOG_SHIFT & 31,
	};
}

/* By the copy of the twin's window. */
static __always_inline bool tcp_inside(const struct hit *h, uint32_t egress,
				       const struct segment *s)
{
	struct tcp_express own = express_of(h->tcp, egress), twin = express_of(&h->side->peer, 0);

	twin.win_log2 = LOAD(h->side->name) >> FLOW_SIDE_WLOG_SHIFT;
	return tcp_express_ok(&own, &twin, s->seq, s->end, s->ack, s->win);
}

/* Renews that copy; false: it was as the twin is. Two CPUs may leave either's, both were true. */
static __always_inline bool tcp_ask_twin(const struct hit *h)
{
	uint32_t place = LOAD(h->side->twin);
	const struct flow_tcp *twin = h->v6 ? tcp6(place) : tcp4(place);
	uint64_t now;

	if (!twin)
		return false;
	now = LOAD(*(const flow_word *)twin);
	if (LOAD(*(const flow_word *)&h->side->peer) == now)
		return false;
	*(volatile flow_word *)&h->side->peer = now;
	return true;
}

/* A plain ACK or data segment of an established connection inside its window. */
static __always_inline enum tcp_verdict tcp_judge(const struct pkt *p, const struct hit *h,
						  uint32_t egress, struct segment *ret)
{
	const struct tcphdr *th = (void *)p->l4;
	uint32_t hlen;

	if ((void *)(th + 1) > p->end || !h->side)
		return TCP_THINK;
	hlen = th->doff * 4u;
	if (hlen < sizeof(*th) || hlen > p->l4_len)
		return TCP_THINK;
	if (th->syn || th->fin || th->rst || th->urg || !th->ack ||
	    flow_w0_state(h->w0) >> FLOW_TRACK_SHIFT != TCPT_S_ESTABLISHED)
		return TCP_THINK;
	/* Options: none, or NOP NOP timestamp. */
	if (hlen != sizeof(*th)) {
		const uint32_t *opt = (const void *)(th + 1);

		if (hlen != 32 || (void *)(opt + 3) > p->end || *opt != bpf_htonl(0x0101080a))
			return TCP_THINK;
	}
	ret->seq = bpf_ntohl(th->seq);
	ret->end = ret->seq + p->l4_len - hlen;
	ret->ack = bpf_ntohl(th->ack_seq);
	ret->win = bpf_ntohs(th->window);
	if (flow_w0_flags(h->w0) & FLOW_F_LIBERAL)
		return TCP_PASS;
	if (tcp_inside(h, egress, ret) || (tcp_ask_twin(h) && tcp_inside(h, egress, ret)))
		return TCP_PASS;
	return TCP_WINDOW;
}

/* Written only when changed: other CPUs keep their copies of the line. */
static __always_inline void tcp_advance(const struct hit *h, uint32_t egress,
					const struct segment *s)
{
	struct tcp_express was = express_of(h->tcp, egress), e = was;

	tcp_express_advance(&e, s->end, s->ack, s->win);
	if (e.end != was.end)
		*(volatile uint32_t *)&h->tcp->end = e.end;
	if (e.edge != was.edge)
		*(volatile uint32_t *)&h->tcp->edge = e.edge;
}

/* What the tracker would have wanted to see, for the worker that comes. */
static __always_inline void tcp_note(const struct pkt *p, const struct hit *h, enum tcp_verdict v)
{
	const struct tcphdr *th = (void *)p->l4;
	uint64_t flags = v == TCP_WINDOW ? FLOW_F_WINDOW : 0;

	if ((void *)(th + 1) <= p->end) {
		flags |= th->fin ? FLOW_F_FIN : 0;
		flags |= th->rst ? FLOW_F_RST : 0;
	}
	if (flags & ~(uint64_t)flow_w0_flags(h->w0))
		__sync_fetch_and_or(h->word0, flags << FLOW_W0_FLAGS_SHIFT);
}

/* ----- the decision ----- */

/* Path, policy and, without TCP, whether the answer has been seen: may XDP go on alone? */
static __always_inline bool word0_passes(const struct lane *l, uint64_t w0)
{
	if (flow_w0_path(w0) != FLOW_P_EXPRESS || flow_w0_inflight(w0))
		return false;
	if ((uint16_t)(LOAD(l->ctl->policy) - flow_w0_policy(w0)) > 1)
		return false;
	return flow_w0_flags(w0) & FLOW_F_TCP || flow_w0_state(w0) >> FLOW_TRACK_SHIFT;
}

/* The link header as two words; false: not ready, shaped, too small, tagged, being changed. */
struct link {
	uint64_t word;
	uint32_t half;
	uint32_t port;
};

static __always_inline bool link_of(uint32_t egress, const struct pkt *p, struct link *ret)
{
	uint32_t i = egress & FLOW_EGRESS_ADJ_MASK;
	const struct fp_adj *a = bpf_map_lookup_elem(&express_adj, &i);
	uint16_t seq;

	if (!a)
		return false;
	seq = LOAD(a->seq);
	if (seq & 1 || LOAD(a->len) != ETH_HLEN || LOAD(a->shaped) || p->l3_len > LOAD(a->mtu))
		return false;
	ret->word = LOAD(*(const uint64_t *)a->hdr);
	ret->half = LOAD(*(const uint32_t *)(a->hdr + 8));
	ret->port = LOAD(a->port);
	return LOAD(a->seq) == seq;
}

enum decision { D_SEND, D_DONE };

/*
 * All that is common to both families, from the hit to the verdict; D_SEND: the frame is ours to
 * rewrite, and redirected already.
 */
static __always_inline enum decision decide(const struct lane *l, const struct pkt *p,
					    const struct hit *h, struct link *link,
					    struct segment *seg, int *ret_rc)
{
	uint32_t egress = LOAD(*h->egress);
	bool tcp = flow_w0_flags(h->w0) & FLOW_F_TCP, alone = false;
	enum tcp_verdict v = TCP_PASS;
	bool can;

	if (flow_w0_path(h->w0) == FLOW_P_KERNEL) {
		*ret_rc = pass(l, EXPRESS_V_KERNEL_FLOW);
		return D_DONE;
	}
	can = p->plain && !(flow_w0_flags(h->w0) & FLOW_F_SHAPED) && link_of(egress, p, link);
	if (tcp)
		v = tcp_judge(p, h, egress, seg);
	if (!can || v != TCP_PASS || !word0_passes(l, h->w0)) {
		if (to_worker(l, h->word0)) {
			l->count->verdict[EXPRESS_V_WORKER_FLOW]++;
			*ret_rc = XDP_REDIRECT;
			return D_DONE;
		}
		/* Nobody thinks: on with it, but not with what is over, nor by a policy that has
		 * been replaced twice. */
		alone = true;
		if (flow_w0_path(h->w0) == FLOW_P_ENDED) {
			*ret_rc = drop(l, RTR_DROP_CT_CLOSED);
			return D_DONE;
		}
		if ((uint16_t)(LOAD(l->ctl->policy) - flow_w0_policy(h->w0)) > 2) {
			*ret_rc = drop(l, RTR_DROP_GENERATION);
			return D_DONE;
		}
	}
	if (!can || bpf_redirect_map(&express_ports, link->port, 0) != XDP_REDIRECT) {
		*ret_rc = flow_w0_flags(h->w0) & FLOW_F_MIRRORED
				  ? pass(l, EXPRESS_V_KERNEL_MIRROR)
				  : drop(l, can ? RTR_DROP_EGRESS_DOWN : RTR_DROP_NO_WORKER);
		return D_DONE;
	}
	if (tcp && v == TCP_PASS)
		tcp_advance(h, egress, seg);
	else if (tcp)
		tcp_note(p, h, v);
	l->count->verdict[alone ? EXPRESS_V_SENT_ALONE : EXPRESS_V_SENT]++;
	return D_SEND;
}

/* ----- rewrite ----- */

static __always_inline uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum + (sum >> 16);
}

/* RFC 1624 equation 3. */
static __always_inline uint16_t adjust(uint16_t check, uint32_t delta)
{
	return ~fold((uint32_t)(uint16_t)~check + delta);
}

static __always_inline void rewrite_l4(const struct pkt *p, const uint16_t *ports, uint16_t delta)
{
	uint16_t *check;

	*(uint32_t *)p->l4 = *(const uint32_t *)ports;
	if (p->proto == IPPROTO_TCP) {
		check = &((struct tcphdr *)p->l4)->check;
		if ((void *)(check + 1) <= p->end)
			*check = adjust(*check, delta);
		return;
	}
	check = &((struct udphdr *)p->l4)->check;
	if (*check) { /* 0: none (RFC 768), and a computed 0 is sent as all ones */
		uint16_t c = adjust(*check, delta);

		*check = c ? c : 0xffff;
	}
}

static __always_inline void link_write(void *data, const struct link *link)
{
	*(uint64_t *)data = link->word;
	*(uint32_t *)(data + 8) = link->half;
}

static __always_inline void account(const struct lane *l, const struct hit *h, uint32_t l3_len)
{
	uint32_t now = clock_now(l) >> FLOW_TIME_SHIFT;

	__sync_fetch_and_add(h->count, FLOW_COUNT_ONE(l3_len));
	if (LOAD(*h->time) != now)
		*(volatile uint32_t *)h->time = now;
}

/* ----- IPv4 ----- */

/* The field holds the sum of the pseudo-header only: the sender's NIC was to do the rest. */
static __always_inline bool is_partial(const struct pkt *p, uint64_t addr_sum)
{
	uint16_t sum, check;

	if (p->proto == IPPROTO_TCP) {
		const struct tcphdr *th = (void *)p->l4;

		if ((void *)(th + 1) > p->end)
			return false;
		check = th->check;
	} else {
		check = ((const struct udphdr *)p->l4)->check;
	}
	sum = fold(addr_sum + bpf_htons(p->l4_len) + bpf_htons(p->proto));
	return check == sum;
}

/* A sound header of the transport protocol, as far as its length goes. */
static __always_inline bool l4_sound(const struct pkt *p, bool need_check)
{
	const struct udphdr *uh = (void *)p->l4;
	uint32_t said;

	if (p->proto == IPPROTO_TCP)
		return p->l4_len >= sizeof(struct tcphdr);
	said = bpf_ntohs(uh->len);
	return said >= sizeof(*uh) && said <= p->l4_len && (!need_check || uh->check);
}

enum parsed { P_KEY, P_NO_KEY, P_KERNEL };

static __always_inline enum parsed parse4(const struct lane *l, struct pkt *p,
					  struct flow_key4 *key)
{
	void *data = l->data, *end = l->end;
	struct iphdr *ip = data + ETH_HLEN;
	uint32_t ihl, total;
	uint16_t off;
	uint64_t sum;

	/* Options are read as they are: the kernel or a worker judges them. */
	ihl = *(const uint8_t *)ip == 0x45 ? sizeof(*ip) : ip->ihl * 4u;
	if (ip->version != 4 || ihl < sizeof(*ip))
		return P_KERNEL;
	total = bpf_ntohs(ip->tot_len);
	if (total < ihl || total > end - data - ETH_HLEN)
		return P_KERNEL;
	p->plain = ihl == sizeof(*ip) && ip->ttl > 1;
	if (ihl == sizeof(*ip)) {
		const uint32_t *w = (const uint32_t *)ip;

		sum = (uint64_t)w[0] + w[1] + w[2] + w[3] + w[4];
		if (fold(sum) != 0xffff)
			return P_KERNEL;
	}
	off = bpf_ntohs(ip->frag_off);
	if (off & 0x1fff)
		return P_NO_KEY;
	if (off & 0x2000)
		p->plain = false;
	p->proto = ip->protocol;
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		return P_NO_KEY;
	p->l3_len = total;
	p->l4_len = total - ihl;
	p->end = end;
	p->l4 = (uint8_t *)ip + ihl;
	if ((void *)(p->l4 + sizeof(struct udphdr)) > end || p->l4_len < sizeof(struct udphdr))
		return P_NO_KEY;
	if (p->plain && !l4_sound(p, false))
		return P_NO_KEY;
	*(uint64_t *)key = *(const uint64_t *)&ip->saddr;
	*(uint32_t *)&key->sport = *(const uint32_t *)p->l4;
	*((uint32_t *)key + 3) = p->proto | (uint32_t)port.zone << 16;
	if (port.flags & EXPRESS_PF_PARTIAL && is_partial(p, (uint64_t)ip->saddr + ip->daddr))
		p->plain = false;
	return P_KEY;
}

static __always_inline int express4(const struct lane *l)
{
	struct flow_key4 key;
	struct link link = { 0 };
	struct flow_side *side = NULL;
	struct segment seg = { 0 };
	struct flow_hit4 f;
	struct pkt p = { 0 };
	int rc;

	switch (parse4(l, &p, &key)) {
	case P_KERNEL:
		return pass(l, EXPRESS_V_KERNEL_PLAIN);
	case P_NO_KEY:
		return miss4(l, NULL);
	case P_KEY:
		break;
	}
	if (look4(l, &key, &f, &side) != FLOW_HIT)
		return miss4(l, &key);

	struct hit h = HIT(f, side, false);

	if (decide(l, &p, &h, &link, &seg, &rc) == D_DONE)
		return rc;

	void *data = l->data;
	struct iphdr *ip = data + ETH_HLEN;
	uint32_t delta = (uint16_t)~bpf_htons(0x0100); /* one hop less */

	/* It was plain: no options. */
	p.l4 = (uint8_t *)(ip + 1);
	link_write(data, &link);
	ip->ttl--;
	if (flow_w0_flags(h.w0) & FLOW_F_REWRITE) {
		*(uint64_t *)&ip->saddr = *(const uint64_t *)&f.rw;
		rewrite_l4(&p, &f.rw.sport, f.rw.l4_delta);
		delta += f.rw.l3_delta;
	}
	ip->check = adjust(ip->check, delta);
	account(l, &h, p.l3_len);
	return XDP_REDIRECT;
}

/* ----- IPv6 ----- */

static __always_inline enum parsed parse6(const struct lane *l, struct pkt *p,
					  struct flow_key6 *key)
{
	void *data = l->data, *end = l->end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	const uint64_t *a;
	uint64_t *k = (uint64_t *)key;

	p->l4 = (uint8_t *)(ip + 1);
	p->end = end;
	if ((void *)(p->l4 + sizeof(struct udphdr)) > end || ip->version != 6)
		return P_KERNEL;
	p->l4_len = bpf_ntohs(ip->payload_len);
	p->l3_len = p->l4_len + sizeof(*ip);
	if (p->l3_len > end - data - ETH_HLEN)
		return P_KERNEL;
	p->proto = ip->nexthdr;
	p->plain = ip->hop_limit > 1;
	/* Extension headers, fragments among them, are a worker's. */
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		return P_NO_KEY;
	if (p->l4_len < sizeof(struct udphdr) || !l4_sound(p, true))
		return P_NO_KEY;
	a = (const uint64_t *)&ip->saddr;
	k[0] = a[0];
	k[1] = a[1];
	k[2] = a[2];
	k[3] = a[3];
	*(uint32_t *)&key->sport = *(const uint32_t *)p->l4;
	*((uint32_t *)key + 9) = p->proto | (uint32_t)port.zone << 16;
	if (port.flags & EXPRESS_PF_PARTIAL) {
		uint64_t sum = 0;

		for (int i = 0; i < 4; i++)
			sum += (a[i] & 0xffffffff) + (a[i] >> 32);
		if (is_partial(p, sum))
			p->plain = false;
	}
	return P_KEY;
}

static __always_inline int express6(const struct lane *l)
{
	struct flow_key6 key;
	struct link link = { 0 };
	struct flow_side *side = NULL;
	struct segment seg = { 0 };
	struct flow_hit6 f;
	struct pkt p = { 0 };
	int rc;

	switch (parse6(l, &p, &key)) {
	case P_KERNEL:
		return pass(l, EXPRESS_V_KERNEL_PLAIN);
	case P_NO_KEY:
		return miss6(l, NULL);
	case P_KEY:
		break;
	}
	if (look6(l, &key, &f, &side) != FLOW_HIT)
		return miss6(l, &key);

	struct hit h = HIT(f, side, true);

	if (decide(l, &p, &h, &link, &seg, &rc) == D_DONE)
		return rc;

	void *data = l->data;
	struct ipv6hdr *ip = data + ETH_HLEN;

	link_write(data, &link);
	ip->hop_limit--;
	if (flow_w0_flags(h.w0) & FLOW_F_REWRITE) {
		const uint64_t *rw = (const uint64_t *)&f.rw;
		uint64_t *a = (uint64_t *)&ip->saddr;

		a[0] = rw[0];
		a[1] = rw[1];
		a[2] = rw[2];
		a[3] = rw[3];
		rewrite_l4(&p, &f.rw.sport, f.rw.l4_delta);
	}
	account(l, &h, p.l3_len);
	return XDP_REDIRECT;
}

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
	f = bpf_map_lookup_elem(&express_frames, &frame);
	if (!f || off > EXPRESS_INJECT_OFF || len < ETH_HLEN || len > EXPRESS_INJECT_LEN)
		return XDP_DROP;
	if (len != size && bpf_xdp_adjust_tail(ctx, (int32_t)(len - size)))
		return XDP_DROP;
	if (bpf_xdp_store_bytes(ctx, 0, (void *)(f->bytes + off), len) ||
	    bpf_redirect_map(&express_ports, to, 0) != XDP_REDIRECT)
		return XDP_DROP;
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
		return pass(&l, EXPRESS_V_KERNEL_PLAIN);
	if (to[6] == bpf_htons(ETH_P_IP))
		return express4(&l);
	if (to[6] == bpf_htons(ETH_P_IPV6))
		return express6(&l);
	return pass(&l, EXPRESS_V_KERNEL_PLAIN);
}

char LICENSE[] SEC("license") = "GPL";
