/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What workers ask beside the way of a packet: next hops, sources, sweep. */
#include "fib_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

const char *fib_verdict_text(unsigned verdict)
{
	static const char *const texts[FIB_V__MAX] = {
		[FIB_V_KERNEL] = "kernel",
		[FIB_V_FORWARD] = "forward",
		[FIB_V_LOCAL] = "local",
		[FIB_V_BLACKHOLE] = "blackhole",
		[FIB_V_UNREACHABLE] = "unreachable",
		[FIB_V_PROHIBIT] = "prohibit",
		[FIB_V_NO_ROUTE] = "no-route",
	};

	return verdict < FIB_V__MAX ? texts[verdict] : "unknown";
}

const char *fib_adj_state_text(unsigned state)
{
	static const char *const texts[FIB_ADJ__MAX] = {
		[FIB_ADJ_NONE] = "none",         [FIB_ADJ_INCOMPLETE] = "incomplete",
		[FIB_ADJ_RESOLVED] = "resolved", [FIB_ADJ_STALE] = "stale",
		[FIB_ADJ_FAILED] = "failed",     [FIB_ADJ_DEAD] = "down",
	};

	return state < FIB_ADJ__MAX ? texts[state] : "unknown";
}

enum fib_adj_state fib_adj_state(const struct fib *f, uint32_t adj)
{
	if (!adj || adj >= f->n_adj)
		return FIB_ADJ_NONE;
	return __atomic_load_n(&f->adj[adj].state, __ATOMIC_ACQUIRE);
}

void fib_adj_used(const struct fib *f, uint32_t adj)
{
	/* Read first: the line is shared by 64 next hops and mostly set already. */
	if (adj < f->n_adj && !__atomic_load_n(&f->adj_used[adj], __ATOMIC_RELAXED))
		__atomic_store_n(&f->adj_used[adj], 1, __ATOMIC_RELAXED);
}

bool fib_adj_info(const struct fib *f, uint32_t adj, struct fib_adj_info *ret)
{
	enum fib_adj_state st = fib_adj_state(f, adj);

	if (st == FIB_ADJ_NONE || st == FIB_ADJ_DEAD)
		return false;
	*ret = (struct fib_adj_info){ .nh = f->adj[adj].nh,
				      .oif = f->adj[adj].oif,
				      .nh_family = f->adj[adj].nh_family,
				      .state = st };
	return true;
}

uint32_t fib_adj_gen(const struct fib *f)
{
	return __atomic_load_n(&f->adj_gen, __ATOMIC_ACQUIRE);
}

int fib_resolve(const struct fib *cf, uint32_t oif, uint8_t nh_family, const union fib_ip *nh)
{
	struct fib *f = (struct fib *)cf; /* the ring is the readers' to write */
	uint32_t pos = __atomic_load_n(&f->ring_head, __ATOMIC_RELAXED);
	const uint64_t one = 1;
	struct fib_req *r;

	for (;;) {
		int32_t turn;

		r = &f->ring[pos % FIB_REQ_RING];
		turn = (int32_t)(__atomic_load_n(&r->seq, __ATOMIC_ACQUIRE) - pos);
		if (turn < 0)
			return -EAGAIN;
		if (turn > 0)
			pos = __atomic_load_n(&f->ring_head, __ATOMIC_RELAXED);
		else if (__atomic_compare_exchange_n(&f->ring_head, &pos, pos + 1, true,
						     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
	}
	r->oif = oif;
	r->nh_family = nh_family;
	r->nh = *nh;
	__atomic_store_n(&r->seq, pos + 1, __ATOMIC_RELEASE);
	/* A write that fails found the counter full: the thread is being woken anyway. */
	return write(f->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN ? -errno : 0;
}

uint32_t fib_seq(const struct fib *f)
{
	return __atomic_load_n(&f->seq, __ATOMIC_ACQUIRE);
}

bool fib_touched(const struct fib *f, uint8_t family, const union fib_ip *dst, uint32_t since)
{
	unsigned fam = fib_fam(family);
	uint32_t at = __atomic_load_n(&f->touched[fam][fib_touch_bucket(fam, dst)],
				      __ATOMIC_ACQUIRE);

	return (int32_t)(at - since) >= 0;
}

/* Sources that no host has; IPv4 only, as ip_route_input_slow lists them. */
static bool is_martian4(const uint8_t b[4])
{
	return b[0] >= 224 || b[0] == 127 || b[0] == 0;
}

static bool uses_link(const struct fib_path *p, uint32_t ifindex)
{
	for (unsigned i = 0; i < p->n_hops; i++)
		if (p->hop[i].oif == ifindex)
			return true;
	return false;
}

static enum fib_rpf_verdict rpf_by_path(const struct fib_key *k, const struct fib_link *in,
					const struct fib_path *p, uint32_t nh, unsigned mode,
					bool allow_default)
{
	bool strict = mode == FIB_RPF_STRICT;

	if (p->verdict == FIB_V_KERNEL || p->verdict == FIB_V_LOCAL)
		return p->verdict == FIB_V_LOCAL && !in->accept_local ? FIB_RPF_MARTIAN
								      : FIB_RPF_KERNEL;
	if (p->verdict != FIB_V_FORWARD)
		return FIB_RPF_FAIL;
	if (!allow_default && (nh & FIB_NH_DEFAULT))
		return FIB_RPF_FAIL;
	if (!strict || uses_link(p, in->ifindex))
		return FIB_RPF_PASS;
	/* IPv6 asks for the best route by this interface, which may be a shorter one. Members of
	 * a VRF may do for the VRF. */
	return k->family == AF_INET6 || in->master ? FIB_RPF_KERNEL : FIB_RPF_FAIL;
}

enum fib_rpf_verdict fib_rpf(const struct fib *f, const struct fib_key *k, uint32_t oif,
			     unsigned mode)
{
	const struct fib_link *in = fib_link(f, k->iif), *member = in;
	bool sysctl = mode == FIB_RPF_SYSCTL, allow_default = sysctl;
	struct fib_key back = *k;
	const struct fib_path *p;
	uint8_t verdict, reason;
	uint32_t nh = 0;

	if (!in || !__atomic_load_n(&f->ready, __ATOMIC_ACQUIRE))
		return FIB_RPF_KERNEL;
	if (sysctl && k->family == AF_INET6)
		return FIB_RPF_PASS;
	if (k->family == AF_INET && is_martian4(k->src.b))
		return FIB_RPF_MARTIAN;
	/* src_valid_mark decides whether the mark counts; we do not know it. */
	if (k->mark && !__atomic_load_n(&f->rules[fib_fam(k->family)], __ATOMIC_ACQUIRE)->plain)
		return FIB_RPF_KERNEL;
	back.src = k->dst;
	back.dst = k->src;
	back.sport = k->dport;
	back.dport = k->sport;
	back.iif = oif ? oif : 1; /* LOOPBACK_IFINDEX, as the kernel has it */
	/* In the ingress's VRF, or, without one, in that of the egress (l3mdev_update_flow). */
	if (!fib_link_vrf(in))
		member = fib_link(f, back.iif);
	p = fib_walk_rules(f, &back, member, &verdict, &reason, &nh);
	if (sysctl)
		mode = in->rp_filter == 1 ? FIB_RPF_STRICT
		       : in->rp_filter    ? FIB_RPF_LOOSE
					  : FIB_RPF_SYSCTL;
	if (mode & FIB_RPF_ALLOW_DEFAULT) {
		allow_default = true;
		mode &= ~(unsigned)FIB_RPF_ALLOW_DEFAULT;
	}
	if (mode == FIB_RPF_SYSCTL) /* rp_filter 0 still refuses the box's own addresses */
		return p && p->verdict != FIB_V_LOCAL ? FIB_RPF_PASS
		       : p && !in->accept_local       ? FIB_RPF_MARTIAN
						      : FIB_RPF_PASS;
	if (!p)
		return verdict == FIB_V_KERNEL ? FIB_RPF_KERNEL : FIB_RPF_FAIL;
	return rpf_by_path(k, in, p, nh, mode, allow_default);
}

static unsigned common_bits(const union fib_ip *a, const union fib_ip *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++, n += 32) {
		uint32_t x = ntohl(a->w_be[i] ^ b->w_be[i]);

		if (x)
			return n + (unsigned)__builtin_clz(x);
	}
	return n;
}

/* inet_select_addr: the first primary address of the route's scope, best in the next hop's subnet.
 */
static bool source4(const struct fib_link_node *n, const union fib_ip *gw, uint8_t scope,
		    union fib_ip *ret)
{
	const struct fib_addr *first = NULL;

	for (uint32_t i = 0; i < n->n_addr; i++) {
		const struct fib_addr *a = &n->addr[i];

		if (a->family != AF_INET || a->secondary || MIN(a->scope, RT_SCOPE_HOST) > scope)
			continue;
		if (!first)
			first = a;
		if (!gw->v4_be || common_bits(&a->ip, gw) >= a->len) {
			first = a;
			break;
		}
	}
	if (first)
		*ret = first->ip;
	return first;
}

static bool is_global6(const union fib_ip *ip)
{
	return (ip->b[0] & 0xfe) != 0xfe; /* neither link-local, site-local nor multicast */
}

static bool is_ula6(const union fib_ip *ip)
{
	return (ip->b[0] & 0xfe) == 0xfc;
}

/*
 * RFC 6724 as far as it is settled by one interface: with a preferred address of sufficient scope
 * on it rule 5 keeps those of others out. Labels tell ULA from the rest; what else has a label
 * (6to4, Teredo, mapped) is the kernel's.
 */
static bool source6(const struct fib_link_node *n, const union fib_ip *to, union fib_ip *ret)
{
	const struct fib_addr *best = NULL;
	unsigned best_score = 0;

	for (uint32_t i = 0; i < n->n_addr; i++) {
		const struct fib_addr *a = &n->addr[i];
		unsigned score;

		if (a->family != AF_INET6 || a->unusable)
			continue;
		if (a->temporary)
			return false;
		if (!is_global6(&a->ip) || a->deprecated)
			continue;
		score = 1 + MIN(common_bits(&a->ip, to), a->len) +
			(is_ula6(&a->ip) == is_ula6(to) ? 256 : 0);
		if (score > best_score) {
			best = a;
			best_score = score;
		}
	}
	if (best)
		*ret = best->ip;
	return best;
}

static bool has_other_label(const union fib_ip *ip)
{
	return (ip->b[0] == 0x20 && ip->b[1] == 0x02) || !ip->w_be[0] ||
	       (ip->b[0] == 0x20 && ip->b[1] == 0x01 && !ip->b[2] && !ip->b[3]);
}

/* IPv4 takes the address of the route's egress, IPv6 that of the interface by which the packet came
 * (icmp6_send), both the route's own first. */
static bool error_source(const struct fib *f, const struct fib_key *about, const struct fib_path *p,
			 const struct fib_hop *h, union fib_ip *ret)
{
	const union fib_ip none = { .q = { 0 } }, *to = &about->src;
	bool v4 = about->family == AF_INET;
	const struct fib_link_node *n = fib_link_node(f, v4 ? h->oif : about->iif);

	if (p->prefsrc.q[0] | p->prefsrc.q[1]) {
		*ret = p->prefsrc;
		return true;
	}
	if (!n)
		return false;
	if (v4)
		return source4(n, h->nh_family == AF_INET ? &h->nh : &none, p->scope, ret);
	return is_global6(to) && !has_other_label(to) && source6(n, to, ret);
}

/* The way of a packet of the box's own; about one that came by a member of a VRF, in that. */
static const struct fib_path *own_path(const struct fib *f, const struct fib_key *k,
				       const struct fib_link *member, uint32_t *ret_nh)
{
	uint8_t verdict, reason;
	const struct fib_path *p = fib_walk_rules(f, k, member, &verdict, &reason, ret_nh);

	return p && p->verdict == FIB_V_FORWARD ? p : NULL;
}

bool fib_icmp_way(const struct fib *f, const struct fib_key *about, union fib_ip *ret_src,
		  struct fib_res *ret)
{
	bool v4 = about->family == AF_INET;
	/* As for a packet of the box's own: by no interface, from no address yet. Of several next
	 * hops it takes the one that the packet's hash says. */
	struct fib_key k = { .dst = about->src,
			     .iif = 1,
			     .hash = about->hash,
			     .family = about->family,
			     .proto = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6 };
	const struct fib_link *in = fib_link(f, about->iif);
	const struct fib_path *p;
	union fib_ip src;
	uint32_t nh = 0;

	if (!in || !__atomic_load_n(&f->ready, __ATOMIC_ACQUIRE))
		return false;
	p = own_path(f, &k, in, &nh);
	if (!p || !error_source(f, about, p, fib_hop_of(p, &k), &src))
		return false;
	if (!v4) {
		/* IPv6 asks once more, with the address. */
		k.src = src;
		p = own_path(f, &k, in, &nh);
	}
	if (!p)
		return false;
	k.src = src;
	if (fib_xfrm(f, &k))
		return false;
	fib_take_hop(f, &k, p, nh, ret);
	*ret_src = src;
	return true;
}
