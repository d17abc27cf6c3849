/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "judge.h"

#include "nat_way.h"

#include <arpa/inet.h>
#include <string.h>

static bool between(const uint8_t a[16], const uint8_t lo[16], const uint8_t hi[16], size_t size)
{
	return memcmp(a, lo, size) >= 0 && memcmp(a, hi, size) <= 0;
}

static bool in_ranges(uint16_t port, const struct nat_ports *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (port >= r[i].lo && port <= r[i].hi)
			return true;
	return false;
}

static bool of_pool(const struct fp_pol *pol, const struct fp_judge_flow *f,
		    const struct fp_pol_xlate *x)
{
	size_t size = f->family == AF_INET6 ? 16 : 4;
	const struct fp_pol_pool *all, *p;
	uint16_t port = ntohs(f->to_sport_be);
	struct nat_ports share;
	uint8_t addr[16];

	if (x->pool >= fp_pol_pools(pol, &all))
		return false;
	p = &all[x->pool];
	if (p->share && !p->blocks)
		return !fp_nat_share(fp_pol_nat(pol), x->pool, x->host, addr, &share) &&
		       !memcmp(addr, f->to_src, size) && in_ranges(port, &share, 1);
	return p->family == f->family && between(f->to_src, p->lo, p->hi, size) &&
	       in_ranges(port, p->fast, p->n_fast) && !in_ranges(port, p->carve, p->n_carve);
}

/* Would the first packet leave as the flow's packets do? */
static bool same_translation(const struct fp_pol *pol, const struct fp_judge_flow *f,
			     const struct fp_pol_state *st)
{
	size_t size = f->family == AF_INET6 ? 16 : 4;

	if (memcmp(st->dst, f->to_dst, size) || st->dport_be != f->to_dport_be)
		return false;
	switch (st->snat.kind) {
	case FP_XL_NONE:
		return !memcmp(f->src, f->to_src, size) && f->sport_be == f->to_sport_be;
	case FP_XL_EXACT:
		return !memcmp(st->snat.addr, f->to_src, size) &&
		       (st->snat.port_be ?: f->sport_be) == f->to_sport_be;
	default:
		return of_pool(pol, f, &st->snat);
	}
}

static enum fp_way way_of(const struct fp_judge_flow *f, const struct fp_pol_state *st,
			  const struct fp_worker_ops *ops, struct fp_answer *ret)
{
	struct fp_ask ask = { .family = f->family,
			      .ifindex = f->ifindex,
			      .src = f->src,
			      .dst = st->dst,
			      .sport_be = f->sport_be,
			      .dport_be = st->dport_be,
			      .proto = f->proto,
			      .translated = f->mapped };

	return ops->route(ops->ctx, &ask, ret);
}

enum fp_judge fp_judge_again(const struct fp_pol *pol, const struct fp_pol *old,
			     const struct fp_judge_flow *f, const struct fp_worker_ops *ops)
{
	struct fp_pol_key k = { .family = f->family,
				.proto = f->proto,
				.past = true,
				.old = old,
				.sport_be = f->sport_be,
				.dport_be = f->dport_be,
				.ifindex = f->ifindex,
				.vrf = f->vrf };
	struct fp_answer answer = { 0 };
	struct fp_pol_state st = { 0 };

	memcpy(k.old_id, f->id, sizeof(k.old_id));
	memcpy(k.src, f->src, sizeof(k.src));
	memcpy(k.dst, f->dst, sizeof(k.dst));
	/* Its mapping is there as long as the flow. */
	k.mapped = f->mapped && fp_pol_mapped(pol, &k);
	if (k.mapped) {
		memcpy(k.inside, f->to_dst, sizeof(k.inside));
		k.inside_port_be = f->to_dport_be;
	}
	if (fp_pol_in(pol, &k, &st) != FP_POL_PERMIT)
		return FP_JUDGE_END;
	switch (way_of(f, &st, ops, &answer)) {
	case FP_WAY_SEND:
	case FP_WAY_NEIGH:
		break;
	case FP_WAY_ANSWER:
		/* Its way is lost, perhaps not for long; its answers come by where they came. */
		if (!f->oif)
			return FP_JUDGE_LATER;
		answer.oif = f->oif;
		break;
	case FP_WAY_KERNEL:
	case FP_WAY_DROP:
		return FP_JUDGE_END;
	}
	if (fp_pol_out(pol, &k, answer.oif, &st) != FP_POL_PERMIT)
		return FP_JUDGE_END;
	return same_translation(pol, f, &st) ? FP_JUDGE_KEEP : FP_JUDGE_END;
}
