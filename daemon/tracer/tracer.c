/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command: packet-tracer input. */
#include "tracer/tracer.h"

#include "cli/command.h"
#include "domain.h"
#include "fastpath/fastpath.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "schema/types.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define TTL_DEFAULT 64

static uint16_t header_size(const struct pol_packet *p)
{
	unsigned l4 = p->proto == IPPROTO_TCP ? 20
		      : p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6 ||
				      p->proto == IPPROTO_UDP
			      ? 8
			      : 0;

	return (uint16_t)((p->family == AF_INET6 ? 40 : 20) + l4);
}

static void read_l4(struct cmd_ctx *c, struct pol_packet *p)
{
	uint32_t a = 0, b = 0;

	if (cmd_get(c, "protocol", &a)) {
		p->proto = (uint8_t)a;
	} else if (cmd_get(c, "type", &a)) {
		cmd_get(c, "code", &b);
		p->proto = p->family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		p->icmp_type = (uint8_t)a;
		p->icmp_code = (uint8_t)b;
		p->sport = p->dport = TRACER_ICMP_ID;
	} else {
		p->proto = cmd_choice(c, "proto") ? IPPROTO_UDP : IPPROTO_TCP;
		cmd_get(c, "sport", &a);
		cmd_get(c, "dport", &b);
		p->sport = (uint16_t)a;
		p->dport = (uint16_t)b;
		p->tcp_flags = p->proto == IPPROTO_TCP ? 0x02 : 0; /* SYN */
	}
	p->ttl = TTL_DEFAULT;
	p->len = header_size(p);
}

static bool read_ask(struct cmd_ctx *c, struct tracer_ask *a)
{
	char name[IFNAMSIZ];

	cmd_get(c, "ifname", name);
	cmd_get(c, "src", &a->pkt.src);
	cmd_get(c, "dst", &a->pkt.dst);
	if (!shadow_link_by_name(iface_kernel_name(name))) {
		cmd_fail(c, "%s: there is no such interface", name);
		return false;
	}
	if (a->pkt.src.family != a->pkt.dst.family) {
		cmd_fail(c, "The source is of the other address family");
		return false;
	}
	rtr_strlcpy(a->pkt.iif, iface_kernel_name(name), IFNAMSIZ);
	a->pkt.family = a->pkt.src.family;
	read_l4(c, &a->pkt);
	a->detailed = cmd_flag(c, "detailed");
	return true;
}

static void print(struct cmd_ctx *c, const json_t *doc)
{
	char *text;

	if (!cmd_json(c) && !cmd_flag(c, "json")) {
		tracer_print(c, doc);
		return;
	}
	text = json_dumps(doc, JSON_INDENT(2));
	cmd_printf(c, "%s\n", text);
	free(text);
}

/* ---- transmit ---- */

struct pending {
	struct cmd_ctx *c;
	struct tracer_ask ask;
	struct tracer_fast *fast;
	struct tracer_result r;
	const struct policy *p; /* reference */
	struct tracer_send *send;
};

static void pending_free(struct pending *q)
{
	json_decref(q->r.doc);
	policy_unref(q->p);
	free(q);
}

static void connection_ended(void *arg, const struct ct_change_result *r)
{
}

/* The packet was no host's: what it began ends. */
static void forget_connection(const struct pending *q)
{
	const struct ct_tuple *t = &q->r.as_sent;
	uint8_t bits = (uint8_t)rtr_family_bits(t->src.family);
	struct ct_filter f = {
		.family = t->src.family,
		.as_sent = true,
		.has_proto = true,
		.has_src = true,
		.has_dst = true,
		.has_sport = t->sport != 0,
		.has_dport = t->dport != 0,
		.proto = t->proto,
		.src = { .addr = t->src, .len = bits },
		.dst = { .addr = t->dst, .len = bits },
		.sport = t->sport,
		.dport = t->dport,
	};
	int e;

	if (!q->r.had_conn)
		ct_delete(&f, connection_ended, NULL, &e);
}

static bool unresolved(const struct tracer_result *r)
{
	const struct tracer_kernel *k = tracer_kernel();
	struct tracer_neigh n = { 0 };

	if (!r->next_hop.family)
		return false;
	k->neigh(k->arg, r->oif, &r->next_hop, &n);
	return !n.found || n.state & (NUD_FAILED | NUD_INCOMPLETE);
}

static void sent(void *arg, const char *error, const struct tracer_seen *s)
{
	struct pending *q = arg;
	const struct shadow_link *l = shadow_link_by_index(s->oif);
	struct cmd_ctx *c = q->c;

	forget_connection(q);
	if (*error) {
		cmd_fail(c, "%s", error);
	} else {
		tracer_compare(&q->r, q->p, s, unresolved(&q->r), l ? l->name : "");
		print(c, q->r.doc);
	}
	pending_free(q);
	cmd_done(c);
}

/* ^C: what was begun is cleaned up without us. */
static void trace_stop(struct cmd_ctx *c)
{
	struct pending *q = cmd_data(c);

	tracer_fast_forget(q->fast);
	if (q->send)
		tracer_send_forget(q->send);
	pending_free(q);
	cmd_done(c);
}

static const char *may_send(struct cmd_ctx *c, const struct tracer_ask *a,
			    const struct tracer_result *r, const struct tracer_link *in)
{
	if (!cmd_admin(c))
		return "transmit sends a packet: that takes `enable`";
	if (!in->ether)
		return "The interface takes no Ethernet frames: only the prediction can be made";
	if (!in->up)
		return "The interface is down: nothing arrives there";
	if (r->had_conn && a->pkt.proto == IPPROTO_TCP)
		return "A live TCP connection is left alone";
	return NULL;
}

static void finished(struct pending *q)
{
	struct cmd_ctx *c = q->c;

	pending_free(q);
	cmd_done(c);
}

static void transmit(struct pending *q)
{
	const struct tracer_kernel *k = tracer_kernel();
	struct tracer_link in;
	const char *no;
	int e = 0;

	k->link(k->arg, q->ask.pkt.iif, q->ask.pkt.family, &in);
	no = may_send(q->c, &q->ask, &q->r, &in);
	if (!no)
		q->send = tracer_send(&q->ask.pkt, &in, sent, q, &e);
	if (q->send)
		return;
	cmd_fail(q->c, "%s", no ? no : e == -EBUSY ? "Another packet is under way" : strerror(-e));
	finished(q);
}

/* ---- the prediction ---- */

/* Of the fast plane, while a packet of it is followed: the kernel has none of it, or a mirror. */
static const struct ct_entry *held;

static int find_conn(void *arg, const struct ct_tuple *t, struct ct_entry *ret)
{
	const struct tracer_kernel *k = tracer_kernel();

	if (!held)
		return k->conn(k->arg, t, ret);
	*ret = *held;
	return 0;
}

static void answered(void *arg, const struct fastpath_traced *t)
{
	struct tracer_kernel k = *tracer_kernel();
	struct pending *q = arg;
	struct ct_entry e;

	q->fast = NULL;
	if (t && t->known) {
		fast_conn_entry(&t->conn, &e);
		held = &e;
	}
	k.conn = find_conn;
	q->ask.fast = t;
	tracer_run(&q->ask, q->p, &k, &q->r);
	q->ask.fast = NULL;
	held = NULL;
	if (t)
		tracer_fast_compare(&q->ask.pkt, t, &q->r, q->r.doc);
	if (cmd_flag(q->c, "transmit")) {
		transmit(q);
		return;
	}
	print(q->c, q->r.doc);
	finished(q);
}

static void trace(struct cmd_ctx *c)
{
	const struct policy *p = policy_running();
	struct tracer_ask a = { 0 };
	struct pending *q;

	if (!read_ask(c, &a))
		return;
	if (!p) {
		cmd_fail(c, "There is no policy yet");
		return;
	}
	q = xcalloc(1, sizeof(*q));
	*q = (struct pending){ .c = c, .ask = a, .p = policy_ref(p) };
	cmd_set_data(c, q);
	cmd_pend(c);
	q->fast = tracer_fast_ask(&a.pkt, answered, q);
	if (!q->fast)
		answered(q, NULL);
}

#define HEAD "packet-tracer input <ifname:IFNAME> "
#define TAIL "[ detailed][ json][ transmit]"

static const struct cmd cmds[] = {
	{ HEAD
	  "{proto:tcp|udp} <src:ADDR> <sport:U32(0,65535)> <dst:ADDR> <dport:U32(0,65535)>" TAIL,
	  "What becomes of a packet that comes by an interface", .run = trace,
	  .interrupt = trace_stop },
	{ HEAD "icmp <src:ADDR> <type:U32(0,255)> <code:U32(0,255)> <dst:ADDR>" TAIL,
	  "The same of an ICMP message", .run = trace, .interrupt = trace_stop },
	{ HEAD "rawip <src:ADDR> <protocol:U32(0,255)> <dst:ADDR>" TAIL,
	  "The same of a packet of any protocol", .run = trace, .interrupt = trace_stop },
};

static const struct sch_word words[] = {
	{ "packet-tracer", "Follow a packet through the router" },
	{ "packet-tracer input", "The interface that it comes by" },
	{ "rawip", "Protocol by its number" },
	{ "detailed", "The packet as each stage sees it" },
	{ "json", "As a JSON document" },
	{ "transmit", "Send the packet, too, and compare what the kernel does with it" },
};

static const struct domain tracer = {
	.name = "tracer",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(tracer);
