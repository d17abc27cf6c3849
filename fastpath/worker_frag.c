/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pieces of datagrams. Only the first one has ports; the others follow it (vfr.h). Those of a flow
 * of ours go its way, all others are the kernel's, in order. Pieces whose first one does not come
 * here are the kernel's after a while: it may have got that one past us.
 */
#include "worker_impl.h"

#include "frag.h"
#include "rewrite.h"
#include "wire.h"

#define ETH_MIN 60

/* What a datagram is resolved to: the kernel's, or a flow by its reference. */
#define CTX_KERNEL 0
#define CTX_V6     (1ull << 63)

/* --- frames that wait --- */

/* As a handle: where its data is (below 2^40), how long, from which socket. */
#define HANDLE_LEN  40
#define HANDLE_SOCK 56

static uint64_t handle_of(const struct fp_worker *w, unsigned s, unsigned i)
{
	return (uint64_t)(w->burst.data[i] - w->umem.area) |
	       (uint64_t)w->burst.len[i] << HANDLE_LEN | (uint64_t)s << HANDLE_SOCK;
}

/* Takes the frame back into place i, which is free. */
static unsigned take(struct fp_worker *w, unsigned i, uint64_t handle)
{
	w->addr[i] = handle & ((1ull << HANDLE_LEN) - 1);
	w->burst.data[i] = w->umem.area + w->addr[i];
	w->burst.len[i] = (uint32_t)(handle >> HANDLE_LEN) & 0xffff;
	return (unsigned)(handle >> HANDLE_SOCK);
}

/* --- the way of a piece --- */

static bool find(const struct fp_worker *w, uint64_t ctx, struct fp_known *ret)
{
	enum flow_family fam = ctx & CTX_V6 ? FLOW_6 : FLOW_4;
	uint64_t ref = ctx & ~CTX_V6;
	struct flow_key4 k4;
	struct flow_key6 k6;

	if (fam == FLOW_4 ? fp_flow_key4(w->conf.flows, ref, &k4) || !fp_worker_find4(w, &k4, ret)
			  : fp_flow_key6(w->conf.flows, ref, &k6) || !fp_worker_find6(w, &k6, ret))
		return false;
	return ret->f.ref == ref;
}

/* base: of a TCP segment (fp_track_piece). */
static void go(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p, uint64_t ctx,
	       uint32_t base)
{
	struct fp_known k;

	if (ctx == CTX_KERNEL)
		fp_worker_punt(w, s, i, FP_TK_NO_FLOW);
	else if (!find(w, ctx, &k))
		fp_worker_drop(w, s, i, RTR_DROP_FRAG_DEAD);
	else {
		if (p->proto == IPPROTO_TCP && !(p->flags & FP_F_FRAG_FIRST))
			fp_track_piece(w->conf.track, w->conf.fw, &k.f, p, base);
		if (!fp_worker_known(w, s, i, p, &k))
			fp_worker_drop(w, s, i, RTR_DROP_FRAG_DEAD);
	}
}

/* Not the sender's fault, or not for us to say: the kernel may do better. */
static bool passes_on(enum rtr_drop why)
{
	return why == RTR_DROP_FRAG_TIMEOUT || why == RTR_DROP_FRAG_HELD ||
	       why == RTR_DROP_FRAG_SOURCE || why == RTR_DROP_FRAG_TABLE;
}

/* The first piece of a packet of a flow that the kernel does not know: without it the kernel can do
 * nothing with the others. */
static bool is_ours(struct fp_worker *w, unsigned s, unsigned i)
{
	const uint8_t *frame = w->burst.data[i];
	struct fp_known k;
	struct fp_pkt p;

	fp_classify(frame, w->burst.len[i], &p);
	if (!(p.flags & FP_F_FRAG_FIRST) || !fp_worker_find(w, s, frame, &p, &k))
		return false;
	if (fp_worker_was_counted(&p))
		fp_worker_flow_counted(w, i, k.f.word0, k.f.half[0].word0);
	return flow_w0_path(k.f.word0) != FLOW_P_KERNEL;
}

static void refuse(struct fp_worker *w, unsigned s, unsigned i, enum rtr_drop why)
{
	if (passes_on(why) && !is_ours(w, s, i))
		fp_worker_punt(w, s, i, FP_TK_NO_FLOW);
	else
		fp_worker_drop(w, s, i, why);
}

/* What comes out of waiting, by way of place i, which is free. */
static void drain(struct fp_worker *w, unsigned i)
{
	uint64_t handle, ctx;
	enum rtr_drop why;
	uint32_t base;
	struct fp_pkt p;

	while (fp_vfr_released(w->vfr, &handle, &ctx, &base)) {
		unsigned s = take(w, i, handle);

		fp_classify(w->burst.data[i], w->burst.len[i], &p);
		go(w, s, i, &p, ctx, base);
	}
	while (fp_vfr_dead(w->vfr, &handle, &why))
		refuse(w, take(w, i, handle), i, why);
}

void fp_worker_fragment(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p)
{
	struct fp_vfr_ret r;
	struct fp_known k;

	switch (fp_vfr_input(w->vfr, w->burst.data[i], p, w->port[s].zone, handle_of(w, s, i),
			     w->now_ns, &r)) {
	case FP_VFR_HELD:
		break;
	case FP_VFR_DROP:
		refuse(w, s, i, r.drop);
		break;
	case FP_VFR_PASS:
		if (r.first) {
			r.ctx = CTX_KERNEL;
			r.note = fp_track_base(w->burst.data[i], p);
			if (fp_worker_find(w, s, w->burst.data[i], p, &k))
				r.ctx = k.f.ref | (k.f.fam == FLOW_6 ? CTX_V6 : 0);
			fp_vfr_resolve(w->vfr, r.dgram, r.ctx, r.note);
		}
		go(w, s, i, p, r.ctx, r.note);
		break;
	}
	drain(w, i);
}

void fp_worker_fragments_age(struct fp_worker *w)
{
	if (fp_vfr_expire(w->vfr, w->now_ns, FP_PIPE_BURST))
		drain(w, 0);
}

void fp_worker_fragments_gone(struct fp_worker *w, unsigned zone)
{
	uint64_t handle;
	enum rtr_drop why;

	fp_vfr_forget(w->vfr, zone, RTR_DROP_INGRESS_DOWN);
	while (fp_vfr_dead(w->vfr, &handle, &why)) {
		unsigned s = take(w, 0, handle);

		fp_worker_drop(w, s, 0, why);
	}
}

/* --- cutting --- */

/* The link header in front of an IPv4 packet of len bytes; no byte of an older frame leaves. */
static uint32_t link_header(uint8_t *frame, uint32_t len, const struct fp_adj *a)
{
	memcpy(frame, a->hdr, a->len - 2u);
	fp_st16(frame + a->len - 2, FP_ETH_IP4);
	len += a->len;
	if (len < ETH_MIN)
		memset(frame + len, 0, ETH_MIN - len);
	return MAX(len, (uint32_t)ETH_MIN);
}

void fp_worker_cut(struct fp_worker *w, unsigned s, unsigned i, struct fp_pkt *p,
		   const struct fp_adj *a)
{
	struct fp_frag4 f;
	enum rtr_drop why;

	fp_ttl_dec(w->burst.data[i], p);
	why = fp_frag4_init(&f, w->burst.data[i], p, a->mtu);
	while (!why) {
		uint8_t *out;
		uint64_t addr = fp_worker_make(w, &out);
		uint32_t len;

		if (addr == FP_NO_FRAME) {
			why = RTR_DROP_NO_FRAME;
			break;
		}
		len = fp_frag4_next(&f, out + a->len, FP_FRAME_DATA_MAX - a->len);
		if (!len) {
			fp_umem_give(&w->umem, addr, FP_FRAME_WORK);
			break;
		}
		if (!fp_worker_emit(w, a->port, addr, link_header(out, len, a)))
			why = RTR_DROP_TX_RING;
	}
	if (why) {
		fp_worker_drop(w, s, i, why);
		return;
	}
	/* One came in, and went out in pieces. */
	w->count[w->port[s].slot].forwarded++;
	w->count[a->port].tx++;
	w->count[a->port].made--;
	fp_umem_give(&w->umem, w->addr[i], FP_FRAME_WORK);
}
