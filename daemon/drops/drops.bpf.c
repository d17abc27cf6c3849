/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: counts packets that the kernel drops, at its tracepoint kfree_skb, by function, reason and
 * interface, for one network namespace; while somebody looks, it also hands over their first bytes.
 * Packets that have done their duty (SKB_CONSUMED and below) are none of our business.
 * Cost: a packet dropped in another namespace is a few loads, one of ours an entry of a per-CPU
 * hash table; a packet that is not dropped never comes here.
 * Failure: no room in a map is counted in drops_lost.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "drops_bpf.h"

#define ARPHRD_ETHER 1
#define ETH_HLEN     14
#define SKB_CONSUMED 1

/* Of the kernel's structures what is read, found in the running kernel by name. */
#define KERNEL __attribute__((preserve_access_index))
struct ns_common {
	unsigned inum;
} KERNEL;
struct net {
	struct ns_common ns;
} KERNEL;
typedef struct {
	struct net *net;
} KERNEL possible_net_t;
struct net_device {
	int ifindex;
	unsigned short type;
	possible_net_t nd_net;
} KERNEL;
struct sock_common {
	possible_net_t skc_net;
} KERNEL;
struct sock {
	struct sock_common __sk_common;
} KERNEL;
struct dst_entry {
	struct net_device *dev;
} KERNEL;
struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned len;
	int skb_iif;
	__u16 mac_header, network_header;
	unsigned tail;
	unsigned char *head, *data;
} KERNEL;

/* Set before loading. */
const volatile __u32 drops_netns;
const volatile __u32 drops_purged; /* the reason QUEUE_PURGE, 0: this kernel has none */
const volatile bool drops_has_sk;  /* the tracepoint names the socket: Linux 6.11 and later */

/* How many more packets may be handed over; refilled by who reads them. */
int drops_budget;
__u32 drops_watched; /* somebody looks */
__u32 drops_ifindex; /* 0: of all interfaces */
__u64 drops_lost, drops_missed;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, DROPS_MAX_COUNTS);
	__type(key, struct drops_key);
	__type(value, struct drops_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DROPS_MAX_SITES);
	__type(key, struct drops_site_key);
	__type(value, struct drops_site);
} sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, DROPS_RING);
} packets SEC(".maps");

static __u32 netns_of_dev(struct net_device *dev)
{
	return dev ? dev->nd_net.net->ns.inum : 0;
}

static bool is_ours(struct sk_buff *skb, struct sock *sk)
{
	__u32 n = netns_of_dev(skb->dev);
	struct dst_entry *dst;

	/* In a socket's queue the field `dev` is used for other things: what it then points to is
	 * read as zeros. */
	if (n)
		return n == drops_netns;
	if (!sk)
		sk = skb->sk;
	if (sk)
		return sk->__sk_common.skc_net.net->ns.inum == drops_netns;
	/* The lowest bits are flags. */
	dst = (struct dst_entry *)(skb->_skb_refdst & ~7ul);
	return dst && BPF_CORE_READ(dst, dev, nd_net.net, ns.inum) == drops_netns;
}

static struct drops_site *site_of(const struct drops_key *k)
{
	struct drops_site_key sk = { .location = k->location, .reason = k->reason };
	struct drops_site *s = bpf_map_lookup_elem(&sites, &sk);
	struct drops_site new = { 0 };
	__u64 args[1] = { k->location };

	if (s)
		return s;
	bpf_snprintf(new.symbol, sizeof(new.symbol), "%pS", args, sizeof(args));
	bpf_map_update_elem(&sites, &sk, &new, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sites, &sk);
}

static void count(const struct drops_key *k, __u32 size)
{
	struct drops_count *c = bpf_map_lookup_elem(&counts, k);

	if (!c) {
		struct drops_count zero = { 0 };

		(void)site_of(k);
		bpf_map_update_elem(&counts, k, &zero, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&counts, k);
		if (!c) {
			__sync_fetch_and_add(&drops_lost, 1);
			return;
		}
	}
	c->packets++;
	c->bytes += size;
	c->last_ns = bpf_ktime_get_ns();
}

static void hand_over(struct sk_buff *skb, const struct drops_key *k)
{
	__u16 mac = skb->mac_header, net = skb->network_header;
	struct drops_packet *p;
	struct drops_site *s;
	__u32 at = net, tail = skb->tail, have;

	if (drops_ifindex && drops_ifindex != k->ifindex)
		return;
	s = site_of(k);
	if (s && s->hidden)
		return;
	if (__sync_fetch_and_add(&drops_budget, -1) <= 0 ||
	    !(p = bpf_ringbuf_reserve(&packets, sizeof(*p), 0))) {
		__sync_fetch_and_add(&drops_missed, 1);
		return;
	}
	p->key = *k;
	p->when_ns = bpf_ktime_get_ns();
	p->ethernet = k->ifindex && skb->dev && skb->dev->type == ARPHRD_ETHER && mac != 0xffff &&
		      mac + ETH_HLEN == net;
	if (p->ethernet)
		at = mac;
	/* Headers that were taken off already count, too. */
	p->size = skb->len + (__u32)(skb->data - skb->head) - at;
	have = tail > at ? tail - at : 0;
	if (have > DROPS_HEAD)
		have = DROPS_HEAD;
	if (bpf_probe_read_kernel(p->head, have, skb->head + at))
		have = 0;
	p->have = have;
	bpf_ringbuf_submit(p, 0);
}

SEC("tp_btf/kfree_skb")
int drops_kfree_skb(unsigned long long *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	struct drops_key k = { .location = ctx[1], .reason = (__u32)ctx[2] };
	struct sock *sk = NULL;
	__u32 netns;

	if (k.reason <= SKB_CONSUMED)
		return 0;
	if (drops_has_sk)
		sk = (struct sock *)ctx[3];
	if (!is_ours(skb, sk))
		return 0;
	netns = netns_of_dev(skb->dev);
	/* What a socket of the box had not read when it was closed. Neighbours' queues that are
	 * emptied have their device. */
	if (drops_purged && k.reason == drops_purged && !netns)
		return 0;
	k.ifindex = netns == drops_netns ? (__u32)skb->dev->ifindex : (__u32)skb->skb_iif;
	count(&k, skb->len);
	if (drops_watched)
		hand_over(skb, &k);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
