/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections of the fast plane for daemon/conntrack: listed and ended there with the kernel's. */
#include "conntrack/ct.h"
#include "fastpath/fastpath.h"
#include "rtr/flow.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdlib.h>
#include <string.h>

struct request {
	struct fast_ask *ask;
	void (*each)(void *arg, const struct ct_entry *e);
	void (*done)(void *arg, bool ok, uint64_t next);
	void *arg;
	uint64_t next;
	bool *gone; /* told when it is dropped by what it calls */
};

static bool runs(void)
{
	return fast_seen()->ready && !*fast_gate();
}

/* ---- one connection ---- */

static struct rtr_addr addr_of(const struct fastpath_conn *c, const uint8_t b[16])
{
	struct rtr_addr a = { .family = c->family == 6 ? AF_INET6 : AF_INET };

	memcpy(a.b, b, rtr_family_size(a.family));
	return a;
}

static bool same_end(const struct rtr_addr *a, uint16_t port, const struct rtr_addr *b,
		     uint16_t other)
{
	return port == other && !rtr_addr_cmp(a, b);
}

static uint32_t status_of(const struct ct_entry *e, bool replied)
{
	uint32_t s = IPS_CONFIRMED | (replied ? IPS_SEEN_REPLY | IPS_ASSURED : 0u);

	if (!same_end(&e->orig.src, e->orig.sport, &e->reply.dst, e->reply.dport))
		s |= IPS_SRC_NAT;
	if (!same_end(&e->orig.dst, e->orig.dport, &e->reply.src, e->reply.sport))
		s |= IPS_DST_NAT;
	return s;
}

static uint32_t label_of(int32_t ifindex)
{
	return ifindex > 0 && ifindex <= UINT16_MAX ? (uint32_t)ifindex : 0;
}

void fast_conn_entry(const struct fastpath_conn *c, struct ct_entry *ret)
{
	struct ct_entry e = { .fast_ref = c->ref,
			      .fast_path = c->path == FLOW_P_EXPRESS ? "express" : "worker",
			      .mirrored = c->mirrored,
			      .timeout_sec = c->left_sec };

	e.orig = (struct ct_tuple){ .src = addr_of(c, c->src),
				    .dst = addr_of(c, c->dst),
				    .sport = ntohs(c->sport_be),
				    .dport = ntohs(c->dport_be),
				    .proto = c->proto };
	e.reply = (struct ct_tuple){ .src = addr_of(c, c->reply_src),
				     .dst = addr_of(c, c->reply_dst),
				     .sport = ntohs(c->reply_sport_be),
				     .dport = ntohs(c->reply_dport_be),
				     .proto = c->proto };
	e.status = status_of(&e, c->replied);
	e.state = c->replied ? CT_S_ASSURED : CT_S_UNREPLIED;
	if (c->proto == IPPROTO_TCP)
		e.state = MIN(CT_S_NONE + (enum ct_state)c->tcp_state, CT_S_SYN_SENT2);
	memcpy(e.label, c->label, sizeof(c->label));
	e.label[3] = label_of(c->out) << 16 | label_of(c->in);
	memcpy(e.packets, c->packets, sizeof(e.packets));
	memcpy(e.bytes, c->bytes, sizeof(e.bytes));
	*ret = e;
}

/* ---- requests ---- */

static void on_event(void *arg, const struct fastpath_event *ev)
{
	struct request *r = arg;
	bool gone = false;

	if (ev->kind == FASTPATH_END) {
		r->next = ev->u.next;
		return;
	}
	if (ev->kind != FASTPATH_CONN)
		return;
	r->gone = &gone;
	for (uint32_t i = 0; i < MIN(ev->u.conns.n, (uint32_t)FASTPATH_CONNS_MAX) && !gone; i++) {
		struct ct_entry e;

		fast_conn_entry(&ev->u.conns.conn[i], &e);
		r->each(r->arg, &e);
	}
	if (!gone)
		r->gone = NULL;
}

static void on_done(void *arg, bool ok)
{
	struct request r = *(struct request *)arg;

	free(arg);
	r.done(r.arg, ok, r.next);
}

static void *start(const struct fastpath_req *q, void (*each)(void *arg, const struct ct_entry *e),
		   void (*done)(void *arg, bool ok, uint64_t next), void *arg)
{
	struct request *r = xcalloc(1, sizeof(*r));

	*r = (struct request){ .each = each, .done = done, .arg = arg };
	r->ask = fast_ask_events(q, on_event, on_done, r);
	if (r->ask)
		return r;
	free(r);
	return NULL;
}

static void *list(uint64_t at, uint32_t n, void (*each)(void *arg, const struct ct_entry *e),
		  void (*done)(void *arg, bool ok, uint64_t next), void *arg)
{
	struct fastpath_req q = { .op = FASTPATH_CONNS };

	q.u.conns.at = at;
	q.u.conns.n = n;
	return start(&q, each, done, arg);
}

static void *end(const uint64_t *ref, uint32_t n, void (*done)(void *arg, bool ok, uint64_t next),
		 void *arg)
{
	struct fastpath_req q = { .op = FASTPATH_END_CONNS };

	q.u.end.n = MIN(n, (uint32_t)FASTPATH_REFS);
	memcpy(q.u.end.ref, ref, q.u.end.n * sizeof(*ref));
	return start(&q, NULL, done, arg);
}

static void drop(void *request)
{
	struct request *r = request;

	if (r->gone)
		*r->gone = true;
	fast_ask_drop(r->ask);
	free(r);
}

_Static_assert(CT_PLANE_REFS == FASTPATH_REFS, "one request");

void fast_conn_init(void)
{
	static const struct ct_plane plane = {
		.runs = runs, .list = list, .end = end, .drop = drop
	};

	ct_set_plane(&plane);
}
