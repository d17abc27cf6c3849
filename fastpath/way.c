/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "way.h"

#include "hash.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static struct fib_key key_of(const struct fp_ask *a)
{
	size_t size = a->family == AF_INET6 ? 16 : 4;
	struct fib_key k = { .iif = a->ifindex,
			     .sport = ntohs(a->sport_be),
			     .dport = ntohs(a->dport_be),
			     .family = a->family,
			     .proto = a->proto };

	memcpy(k.src.b, a->src, size);
	memcpy(k.dst.b, a->dst, size);
	/* By addresses, as the kernel's default: fragments and their flow take the same path. */
	k.hash = (uint32_t)hash_bytes(k.dst.b, size, hash_bytes(k.src.b, size, 0));
	return k;
}

/* Reasons that pass by themselves: nothing is remembered of them. */
static bool passing(uint8_t reason)
{
	return reason == ELIG_SYNCING || reason == ELIG_CLASSIFYING || reason == ELIG_LIMIT;
}

static enum fp_way forward(const struct fp_way_conf *c, const struct fib_res *res, bool translated,
			   struct fp_answer *ret)
{
	/* The kernel may owe the sender a redirect. */
	if (res->flags & FIB_RF_SAME_LINK && !translated)
		return FP_WAY_KERNEL;
	ret->oif = res->oif;
	if (!res->adj || !fib_adj_ready(res->adj_state)) {
		fib_resolve(c->fib, res->oif, res->nh_family, &res->nh);
		return FP_WAY_NEIGH;
	}
	ret->adj = c->adj_base + res->adj;
	return FP_WAY_SEND;
}

enum fp_way fp_way_find(const struct fp_way_conf *c, const struct fp_ask *ask,
			struct fp_answer *ret)
{
	struct fib_key k = key_of(ask);
	struct fib_res res;

	fib_lookup(c->fib, &k, &res);
	if (res.verdict == FIB_V_KERNEL)
		return passing(res.reason) ? FP_WAY_ANSWER : FP_WAY_KERNEL;
	if (res.verdict == FIB_V_LOCAL)
		return FP_WAY_KERNEL;
	switch (fib_rpf(c->fib, &k, res.verdict == FIB_V_FORWARD ? res.oif : 0, FIB_RPF_SYSCTL)) {
	case FIB_RPF_PASS:
		break;
	case FIB_RPF_FAIL:
		ret->drop = RTR_DROP_URPF;
		return FP_WAY_DROP;
	case FIB_RPF_MARTIAN:
		ret->drop = RTR_DROP_SRC_MARTIAN;
		return FP_WAY_DROP;
	case FIB_RPF_KERNEL:
		return FP_WAY_ANSWER;
	}
	if (res.verdict == FIB_V_BLACKHOLE) {
		ret->drop = RTR_DROP_BLACKHOLE;
		return FP_WAY_DROP;
	}
	return res.verdict == FIB_V_FORWARD ? forward(c, &res, ask->translated, ret)
					    : FP_WAY_ANSWER;
}

bool fp_way_error(const struct fp_way_conf *c, const struct fp_ask *about, struct fp_error_way *ret)
{
	struct fib_key k = key_of(about);
	const struct fib_link *out;
	struct fib_res res;
	union fib_ip src;

	if (!fib_icmp_way(c->fib, &k, &src, &res))
		return false;
	memcpy(ret->src, src.b, 16);
	ret->adj = 0;
	ret->mtu = 0;
	if (res.verdict != FIB_V_FORWARD)
		return true;
	out = fib_link(c->fib, res.oif);
	if (out)
		ret->mtu = k.family == AF_INET ? out->mtu : out->mtu6;
	if (res.adj && fib_adj_ready(res.adj_state))
		ret->adj = c->adj_base + res.adj;
	else
		fib_resolve(c->fib, res.oif, res.nh_family, &res.nh);
	return true;
}
