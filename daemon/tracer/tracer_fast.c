/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fast plane would do with the packet, asked of rtr-fastpath itself, and whether that is
 * what the prediction says. What it leaves to the kernel the kernel decides: no two answers then.
 */
#include "fastpath/fastpath.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "rtr/drop.h"
#include "tracer/tracer.h"
#include "vrrp/vrrp.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct tracer_fast {
	struct fast_ask *ask;
	bool has;
	struct fastpath_traced t;
	void (*done)(void *arg, const struct fastpath_traced *t);
	void *arg;
};

static void on_event(void *arg, const struct fastpath_event *e)
{
	struct tracer_fast *f = arg;

	if (e->kind != FASTPATH_TRACED)
		return;
	f->has = true;
	f->t = e->u.traced;
}

static void on_done(void *arg, bool ok)
{
	struct tracer_fast f = *(struct tracer_fast *)arg;

	free(arg);
	f.done(f.arg, ok && f.has ? &f.t : NULL);
}

struct tracer_fast *tracer_fast_ask(const struct pol_packet *p,
				    void (*done)(void *arg, const struct fastpath_traced *t),
				    void *arg)
{
	const struct shadow_link *l = shadow_link_by_name(p->iif);
	struct fastpath_req q = { .op = FASTPATH_TRACE };
	struct tracer_fast *f;

	if (!l || !fast_carries(p->iif))
		return NULL;
	q.ifindex = l->ifindex;
	q.u.packet = (struct fastpath_packet){ .family = p->family == AF_INET6 ? 6 : 4,
					       .proto = p->proto,
					       .tcp_flags = p->tcp_flags,
					       .dscp = p->dscp,
					       .ttl = p->ttl,
					       .len = p->len,
					       .sport_be = htons(p->sport),
					       .dport_be = htons(p->dport) };
	memcpy(q.u.packet.src, p->src.b, rtr_family_size(p->family));
	memcpy(q.u.packet.dst, p->dst.b, rtr_family_size(p->family));
	f = xcalloc(1, sizeof(*f));
	*f = (struct tracer_fast){ .done = done, .arg = arg };
	f->ask = fast_ask_events(&q, on_event, on_done, f);
	if (f->ask)
		return f;
	free(f);
	return NULL;
}

void tracer_fast_forget(struct tracer_fast *f)
{
	if (!f)
		return;
	fast_ask_drop(f->ask);
	free(f);
}

/* ---- the comparison ---- */

static struct rtr_addr addr_of(const struct pol_packet *p, const uint8_t b[16])
{
	struct rtr_addr a = { .family = p->family };

	memcpy(a.b, b, rtr_family_size(p->family));
	return a;
}

static bool is_pool(const struct pol_xlate *x)
{
	return x->on && !x->prefix && (rtr_addr_cmp(&x->lo, &x->hi) || x->port_lo != x->port_hi);
}

static bool same_source(const struct pol_packet *p, const struct fastpath_traced *t,
			const struct tracer_result *r)
{
	struct rtr_addr src = addr_of(p, t->to_src), last = addr_of(p, t->pool_last);

	/* A pool gives each plane ports of its own. */
	if (t->shared)
		return is_pool(&r->snat) && !rtr_addr_cmp(&src, &r->snat.lo) &&
		       !rtr_addr_cmp(&last, &r->snat.hi);
	if (is_pool(&r->snat) && !r->had_conn)
		return t->known && rtr_addr_cmp(&src, &r->snat.lo) >= 0 &&
		       rtr_addr_cmp(&src, &r->snat.hi) <= 0;
	return !rtr_addr_cmp(&src, &r->src) && ntohs(t->to_sport_be) == r->sport;
}

const char *tracer_fast_differs(const struct pol_packet *p, const struct fastpath_traced *t,
				const char *oif, const struct tracer_result *r)
{
	struct rtr_addr dst = addr_of(p, t->to_dst);

	if (t->verdict == FASTPATH_LEAVES)
		return NULL;
	if (t->verdict == FASTPATH_DROPS)
		return !r->drop                      ? "it drops what the kernel lets pass"
		       : t->drop != (uint8_t)r->drop ? "it drops for another reason"
						     : NULL;
	if (t->mapped)
		return "it forwards by a mapping, and the kernel has none";
	if (r->drop)
		return "it forwards what the kernel drops";
	if (r->local)
		return "it forwards what is for the box itself";
	if (!oif || strcmp(oif, r->oif) != 0)
		return "it leaves by another interface";
	if (rtr_addr_cmp(&dst, &r->dst) || ntohs(t->to_dport_be) != r->dport)
		return "it goes to another destination";
	return same_source(p, t, r) ? NULL : "it leaves with another source";
}

void tracer_fast_compare(const struct pol_packet *p, const struct fastpath_traced *t,
			 const struct tracer_result *r, json_t *doc)
{
	static const char *const verdicts[] = { "forwards", "drops", "leaves it to the kernel" };
	const struct shadow_link *out = shadow_link_by_index(t->out);
	const char *differs = tracer_fast_differs(p, t, out ? out->name : NULL, r),
		   *why = t->reason;
	char note[VRRP_VMAC_NOTE_SIZE] = "";

	/* Both answers are for a frame to the interface's own address. */
	if (t->verdict != FASTPATH_LEAVES)
		vrrp_vmac_note(p->iif, note);
	if (t->verdict == FASTPATH_DROPS)
		why = rtr_drop_text(t->drop);
	else if (t->verdict == FASTPATH_FORWARDS)
		why = t->known ? "its connection is there" : "its first packet";
	json_object_set_new(doc, "fast_plane",
			    json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "verdict",
				      t->verdict < ARRAY_LEN(verdicts) ? verdicts[t->verdict] : "?",
				      "because", why, "output_interface",
				      t->verdict == FASTPATH_FORWARDS && out
					      ? iface_operator_name(out->name)
					      : "none",
				      "comparison", differs ? "DIFFER" : "AGREE", "reason",
				      differs ? differs : "", "note", note));
}
