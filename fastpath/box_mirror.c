/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections on their way to the kernel: when interfaces leave the fast plane. */
#include "box.h"

#include "filter.h"
#include "nat_mapping.h"
#include "nat_way.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <urcu-qsbr.h>

/* An interface that leaves waits so long for the kernel at most; it takes 5 us a connection. */
#define WAIT_MS 1000

static bool on(void *ctx)
{
	const struct fp_box *b = ctx;

	return __atomic_load_n(&fp_xdp_ctl(b->xdp)->stateful, __ATOMIC_RELAXED);
}

static unsigned ifindex(void *ctx, uint16_t slot)
{
	const struct fp_box *b = ctx;

	return slot < FP_PORTS_MAX ? __atomic_load_n(&b->port[slot].ifindex, __ATOMIC_RELAXED) : 0;
}

static struct fp_pol_key key_of(struct fp_box *b, const struct fp_flow_view *v)
{
	const union fp_flow_key *f = &v->dir[0].key;
	uint16_t slot = fp_flow_view_zone(v, 0);
	struct fp_pol_key k = { .past = true, .ifindex = ifindex(b, slot) };

	if (slot < FP_PORTS_MAX)
		k.vrf = __atomic_load_n(&b->keeper_port[slot].vrf, __ATOMIC_RELAXED);

	if (v->fam == FLOW_4) {
		k.family = AF_INET;
		k.proto = f->v4.proto;
		k.sport_be = f->v4.sport;
		k.dport_be = f->v4.dport;
		memcpy(k.src, &f->v4.saddr, 4);
		memcpy(k.dst, &f->v4.daddr, 4);
		return k;
	}
	k.family = AF_INET6;
	k.proto = f->v6.proto;
	k.sport_be = f->v6.sport;
	k.dport_be = f->v6.dport;
	memcpy(k.src, f->v6.saddr, 16);
	memcpy(k.dst, f->v6.daddr, 16);
	return k;
}

/* The lines that admitted it; where that is not known any more, those that would now. */
void fp_box_label(struct fp_box *b, const struct fp_flow_view *v, uint32_t ret[4])
{
	struct fp_pol_key k = key_of(b, v);
	struct fp_pol_state st = { 0 };
	const struct fp_pol *pol;

	ret[3] = 0;
	fp_track_admitted(b->track, v->fam, v->ref, ret);
	if (ret[0] | ret[1] | ret[2])
		return;
	rcu_thread_online();
	pol = __atomic_load_n(&b->pol.now, __ATOMIC_ACQUIRE);
	if (pol && fp_pol_in(pol, &k, &st) == FP_POL_PERMIT)
		fp_pol_out(pol, &k, ifindex(b, fp_flow_view_zone(v, 1)), &st);
	rcu_thread_offline();
	memcpy(ret, st.id, sizeof(st.id));
}

static void label(void *ctx, const struct fp_flow_view *v, uint32_t ret[4])
{
	fp_box_label(ctx, v, ret);
}

int fp_box_mirror_open(struct fp_box *b)
{
	struct fp_mirror_conf conf = { .flows = b->flows,
				       .on = on,
				       .ifindex = ifindex,
				       .label = label,
				       .filter = fp_filter_mirror,
				       .ctx = b };

	return fp_mirror_start(&conf, &b->mirror);
}

void fp_box_mirror_ready(struct fp_box *b, uint16_t slot)
{
	if (b->mirror && !b->leaving)
		fp_mirror_port(b->mirror, slot, false, WAIT_MS);
}

void fp_box_mirror_give(struct fp_box *b, uint16_t slot)
{
	if (b->mirror && !b->leaving)
		fp_mirror_port(b->mirror, slot, true, WAIT_MS);
}

void fp_box_freed(void *ctx, enum flow_family fam, uint32_t pair, const flow_word *key[2])
{
	struct fp_box *b = ctx;
	struct fp_endpoint at;

	if (b->mirror)
		fp_mirror_freed(b->mirror, fam, pair, key);
	if (unlikely(fp_mapping_was_block(fam, key, &at))) {
		const struct fp_pol *pol = __atomic_load_n(&b->pol.now, __ATOMIC_SEQ_CST);

		if (pol)
			fp_nat_block_ended(fp_pol_nat(pol), fam, at.addr, ntohs(at.port_be));
	}
}

void fp_box_take(void *ctx, enum flow_family fam, uint64_t ref)
{
	struct fp_box *b = ctx;

	if (b->mirror)
		fp_mirror_take(b->mirror, fam, ref);
}
