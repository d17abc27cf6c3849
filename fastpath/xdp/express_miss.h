/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the express lane's packets without a flow: the kernel's or a worker's? The kernel's own
 * tables say so - routes, connections - and NAT's addresses of the box. Part of express.bpf.c.
 * Owns: nothing. Threads, failure: as there.
 */
#ifndef RTR_EXPRESS_MISS_H
#define RTR_EXPRESS_MISS_H

#include "express_lane.h"

/* Set by the loader: does the kernel have the two functions below? */
const volatile bool has_ct = false;

/* Of the kernel's include/net/netfilter/nf_conntrack_bpf.h, 5.18 and later; 6.10 has four more
 * bytes and takes both sizes. */
struct ct_opts {
	int32_t netns_id; /* -1: the interface's */
	int32_t error;
	uint8_t l4proto, dir, zero[2];
};
struct nf_conn;
static struct nf_conn *(*const bpf_xdp_ct_lookup)(
	struct xdp_md *ctx, struct bpf_sock_tuple *tuple, uint32_t tuple_size, struct ct_opts *opts,
	uint32_t opts_size) = (void *)EXPRESS_CALL_CT_LOOKUP;
static void (*const bpf_ct_release)(struct nf_conn *ct) = (void *)EXPRESS_CALL_CT_RELEASE;

/* AF_INET, AF_INET6 */
#define FAMILY_4 2
#define FAMILY_6 10

/*
 * Would the kernel forward the packet to another interface of ours? Its own table says so, with all
 * that it knows: addresses of the box, forwarding, rules, neighbours, MTU. 150 ns, for misses only.
 * whole: with ports. A connection that begins so waits for its neighbour at the worker, or all of
 * it would be the kernel's.
 */
static __always_inline bool forwards(const struct lane *l, uint8_t family, bool whole)
{
	struct bpf_fib_lookup f = { .family = family, .ifindex = IN_IFINDEX(l) };
	uint32_t out;
	long ret;

	if (family == FAMILY_4) {
		const struct iphdr *ip = l->data + L2_LEN;

		if ((void *)(ip + 1) > l->end || ip->ttl <= 1)
			return false;
		f.tos = ip->tos;
		f.l4_protocol = ip->protocol;
		f.tot_len = bpf_ntohs(ip->tot_len);
		f.ipv4_src = ip->saddr;
		f.ipv4_dst = ip->daddr;
	} else {
		const struct ipv6hdr *ip = l->data + L2_LEN;

		if ((void *)(ip + 1) > l->end || ip->hop_limit <= 1)
			return false;
		f.flowinfo = *(const uint32_t *)ip & bpf_htonl(0x0fffffff);
		f.l4_protocol = ip->nexthdr;
		f.tot_len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
		__builtin_memcpy(f.ipv6_src, &ip->saddr, sizeof(f.ipv6_src));
		__builtin_memcpy(f.ipv6_dst, &ip->daddr, sizeof(f.ipv6_dst));
	}
	ret = bpf_fib_lookup(l->ctx, &f, sizeof(f), 0);
	if (ret != BPF_FIB_LKUP_RET_SUCCESS &&
	    !(ret == BPF_FIB_LKUP_RET_NO_NEIGH && whole && LOAD(l->ctl->stateful)))
		return false;
	/* Kernels before 5.14 do not say which one when there is no neighbour. */
	out = f.ifindex;
	return out != IN_IFINDEX(l) && bpf_map_lookup_elem(&express_index, &out);
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
	const struct iphdr *ip = l->data + L2_LEN;
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
	const struct ipv6hdr *ip = l->data + L2_LEN;
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
	uint8_t *data = l->data;

	if (LOAD(l->ctl->mode) != EXPRESS_M_RUN || !to_worker(l, NULL))
		return pass(l, EXPRESS_V_KERNEL_NEW);
	l->count->verdict[EXPRESS_V_WORKER_NEW]++;
	data[EXPRESS_UNCOUNTED_AT] |= EXPRESS_UNCOUNTED;
	return XDP_REDIRECT;
}

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
	const struct ipv6hdr *ip = l->data + L2_LEN;
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

/*
 * key NULL: a packet without ports, or not the first fragment. All fragments of a packet go the
 * same way: a first one is not looked up among the kernel's connections, as those behind it cannot
 * be.
 */
static __always_inline int miss4(const struct lane *l, const struct flow_key4 *key)
{
	const struct iphdr *ip = l->data + L2_LEN;
	bool frag;

	if ((void *)(ip + 1) > l->end)
		return pass(l, EXPRESS_V_KERNEL_PLAIN);
	frag = ip->frag_off & bpf_htons(0x3fff);
	if ((key && !frag && tracked4(l, key)) || is_other4(l, ip, frag))
		return pass(l, EXPRESS_V_KERNEL_CT);
	if (IN(l, flags) & EXPRESS_PF_ASK && !forwards(l, FAMILY_4, key && !frag) &&
	    !is_nat4(l, key, frag))
		return pass(l, EXPRESS_V_KERNEL_ROUTE);
	return to_kernel_or_worker(l);
}

static __always_inline int miss6(const struct lane *l, const struct flow_key6 *key)
{
	if ((key && tracked6(l, key)) || is_other6(l))
		return pass(l, EXPRESS_V_KERNEL_CT);
	if (IN(l, flags) & EXPRESS_PF_ASK && !forwards(l, FAMILY_6, key) && !is_nat6(l, key))
		return pass(l, EXPRESS_V_KERNEL_ROUTE);
	return to_kernel_or_worker(l);
}

#endif
