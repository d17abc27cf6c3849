/* SPDX-License-Identifier: GPL-2.0-or-later */
/* diagnose path: the policy and the way back for a host behind the router, then probes. */
#include "diag/diagnose.h"

#include "iface/iface.h"
#include "kernel/shadow.h"
#include "tracer/tracer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ECHO_TRIES   3
#define ECHO_MS      600
#define CONNECT_SEC  2
#define TRACE_MS     500
#define TRACE_TTL    16
#define TRACE_SILENT 2
/* What a host's system picks as its port. */
#define CLIENT_PORT 40000

/* ---- how far does it go? ---- */

static void trace_next(struct diagnose *d);

static void trace_end(struct diagnose *d)
{
	char last[RTR_ADDR_STRLEN];

	if (!d->last.family) {
		diag_step(d, LAYER_PATH, DIAG_BAD, "nothing is heard from behind the next hop");
		diag_verdict(
			d, LAYER_PATH,
			"the next hop is there, and nothing comes back from behind it: it does "
			"not forward, filters, or knows no way back to this router");
		return;
	}
	rtr_addr_str(&d->last, last);
	diag_step(d, LAYER_PATH, DIAG_BAD, "the last to answer is %s", last);
	diag_verdict(d, LAYER_PATH,
		     "packets get as far as %s: behind it they are lost, or their answers are",
		     last);
}

/* What somebody on the way says of it. */
static void refused(struct diagnose *d, enum probe_answer a, const struct rtr_addr *from)
{
	char text[RTR_ADDR_STRLEN];

	rtr_addr_str(from, text);
	if (a == PROBE_PROHIBITED) {
		diag_step(d, LAYER_POLICY, DIAG_BAD, "%s: administratively prohibited", text);
		diag_verdict(d, LAYER_POLICY, "a filter of %s refuses it", text);
	} else if (a == PROBE_TTL) {
		diag_step(d, LAYER_ROUTE, DIAG_BAD, "%s: time to live exceeded", text);
		diag_verdict(d, LAYER_ROUTE, "the routes of %s and its neighbours go in a circle",
			     text);
	} else {
		diag_step(d, LAYER_ROUTE, DIAG_BAD, "%s: destination unreachable", text);
		diag_verdict(d, LAYER_ROUTE, "%s has no way to %s", text, d->dst_text);
	}
}

static void on_trace(struct diagnose *d, enum probe_answer a, const struct rtr_addr *from,
		     unsigned mtu)
{
	if (a == PROBE_REPLY) {
		diag_verdict(d, LAYER_NONE, "%s answers now: some packets are lost", d->dst_text);
	} else if (a == PROBE_TTL) {
		d->last = *from;
		d->silent = 0;
		trace_next(d);
	} else if (a == PROBE_TIMEOUT || !from->family) {
		d->silent++;
		trace_next(d);
	} else {
		refused(d, a, from);
	}
}

static void trace_next(struct diagnose *d)
{
	if (d->silent == TRACE_SILENT || d->ttl == TRACE_TTL)
		trace_end(d);
	else
		diag_ping(d, 1, TRACE_MS, d->ttl + 1, on_trace);
}

static void trace(struct diagnose *d)
{
	if (!rtr_addr_cmp(&d->hop, &d->dst)) {
		diag_step(d, LAYER_SERVICE, DIAG_BAD, "%s answers nothing but who it is",
			  d->dst_text);
		diag_verdict(d, LAYER_SERVICE,
			     "%s is there and does not answer: its own filter, or its way back",
			     d->dst_text);
		return;
	}
	d->ttl = d->silent = 0;
	d->last = (struct rtr_addr){ 0 };
	d->size = 0;
	d->df = false;
	trace_next(d);
}

void diag_unanswered(struct diagnose *d)
{
	diag_step(d, LAYER_PATH, DIAG_NOTE, "%s does not answer", d->dst_text);
	diag_neighbour_of_hop(d, trace);
}

/* ---- the port ---- */

static void connected(struct diagnose *d, int error)
{
	if (!error) {
		diag_step(d, LAYER_SERVICE, DIAG_OK, "port %u takes connections", d->port);
		diag_verdict(d, LAYER_NONE, "%s can be reached", d->dst_text);
	} else if (error == ECONNREFUSED) {
		diag_step(d, LAYER_SERVICE, DIAG_BAD, "%s answers with a reset", d->dst_text);
		diag_verdict(d, LAYER_SERVICE,
			     "nothing listens on port %u of %s, or its filter says so", d->port,
			     d->dst_text);
	} else if (error == EPERM || error == EACCES) {
		diag_verdict(d, LAYER_POLICY, "connections to %s are refused by a filter",
			     d->dst_text);
	} else if (d->pinged) {
		diag_step(d, LAYER_POLICY, DIAG_BAD, "a SYN to port %u: %s", d->port,
			  strerror(error));
		diag_verdict(
			d, LAYER_POLICY,
			"%s answers echo requests, and nothing to port %u: a filter there or on "
			"the way drops it",
			d->dst_text, d->port);
	} else {
		diag_unanswered(d);
	}
}

static void stop_connect(struct diagnose *d)
{
	event_free(d->connect);
	d->connect = NULL;
	close(d->fd);
	d->fd = -1;
}

static void on_connect(evutil_socket_t fd, short what, void *arg)
{
	struct diagnose *d = arg;
	socklen_t len = sizeof(int);
	int e = ETIMEDOUT;

	if (what & EV_WRITE && getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		e = errno;
	stop_connect(d);
	connected(d, e);
}

static void connect_port(struct diagnose *d)
{
	static const struct timeval limit = { .tv_sec = CONNECT_SEC };
	struct sockaddr_storage to;
	socklen_t len = rtr_addr_sockaddr(&d->dst, d->port, &to);

	if (rtr_addr_is_linklocal(&d->dst) && d->dst.family == AF_INET6)
		((struct sockaddr_in6 *)&to)->sin6_scope_id = (uint32_t)d->hop_if;
	d->fd = socket(d->dst.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0 ||
	    (*d->vrf && setsockopt(d->fd, SOL_SOCKET, SO_BINDTODEVICE, d->vrf,
				   (socklen_t)strlen(d->vrf)) < 0) ||
	    (connect(d->fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)) {
		connected(d, errno);
		return;
	}
	d->connect = event_new(cmd_base(), d->fd, EV_WRITE, on_connect, d);
	event_add(d->connect, &limit);
}

/* ---- the first echo ---- */

static bool is_own(const struct rtr_addr *a)
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		for (size_t i = 0; i < l->n_addrs; i++) {
			if (!rtr_addr_cmp(&l->addrs[i].addr.addr, a))
				return true;
		}
	}
	return false;
}

static void on_echo(struct diagnose *d, enum probe_answer a, const struct rtr_addr *from,
		    unsigned mtu)
{
	bool tcp = d->proto == IPPROTO_TCP;

	if (a == PROBE_REPLY) {
		d->pinged = true;
		diag_step(d, LAYER_PATH, DIAG_OK, "%s answers echo requests", d->dst_text);
		if (tcp)
			connect_port(d);
		else
			diag_verdict(d, LAYER_NONE, "%s can be reached", d->dst_text);
	} else if (a == PROBE_TIMEOUT || !from->family || is_own(from)) {
		/* Our own word "unreachable" means that the next hop was not resolved. */
		if (tcp && a == PROBE_TIMEOUT)
			connect_port(d);
		else
			diag_unanswered(d);
	} else {
		refused(d, a, from);
	}
}

/* ---- for a host behind the router ---- */

static const char *layer_of(const char *type)
{
	static const struct {
		const char *type, *layer;
	} table[] = { { "INPUT-INTERFACE", LAYER_LINK }, { "OUTPUT-INTERFACE", LAYER_LINK },
		      { "ROUTE-LOOKUP", LAYER_ROUTE },   { "FORWARDING", LAYER_FORWARD },
		      { "NEIGHBOUR", LAYER_NEIGHBOUR },  { "RPF-CHECK", LAYER_RETURN } };

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (!strcmp(table[i].type, type))
			return table[i].layer;
	}
	return LAYER_POLICY;
}

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void add_texts(const json_t *list, struct strbuf *b)
{
	const json_t *e;
	size_t i;

	json_array_foreach(list, i, e)
		strbuf_addf(b, "%s%s", b->len ? "; " : "", json_string_value(e));
}

/* "permit tcp host A host B eq 443" */
static void permit_text(const struct diagnose *d, struct strbuf *b)
{
	char src[RTR_ADDR_STRLEN], dst[RTR_ADDR_STRLEN];

	strbuf_addf(b, "permit %s host %s host %s",
		    d->proto == IPPROTO_TCP    ? "tcp"
		    : d->proto == IPPROTO_UDP  ? "udp"
		    : d->proto == IPPROTO_ICMP ? "icmp"
					       : "icmpv6",
		    rtr_addr_str(&d->src, src), rtr_addr_str(&d->dst, dst));
	if (d->port)
		strbuf_addf(b, " eq %u", d->port);
}

static const char *zone_of(const struct policy *p, const char *ifname)
{
	const struct pol_iface *i = policy_iface(p, ifname);
	const struct pol_zone *z = i ? policy_zone(p, i->zone) : NULL;

	return z ? z->name : NULL;
}

/* The list, or the pair, that decided, with the line that belongs there. */
static void policy_fix(struct diagnose *d, const json_t *phase, const struct policy *p,
		       const struct tracer_result *r)
{
	const char *type = str(phase, "type"), *line, *from, *to;
	struct strbuf b = STRBUF_INIT;
	bool named = false;
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(phase, "config"), i, e) {
		line = json_string_value(e);
		if (!strstr(line, "access-list ") && strncmp(line, "zone-pair", 9))
			continue;
		diag_fix(d, "%s", line);
		named = true;
	}
	if (!strcmp(type, "ACCESS-LIST")) {
		permit_text(d, &b);
		diag_fix(d, "1 %s", strbuf_str(&b));
	} else if (!strcmp(type, "ZONE-PAIR") || !strcmp(type, "LOCAL")) {
		from = zone_of(p, d->from_if);
		to = r->local ? "self" : zone_of(p, r->oif);
		if (!named && from && to)
			diag_fix(d, "zone-pair security %s-%s source %s destination %s", from, to,
				 from, to);
		if (from && to)
			diag_fix(d, "service-policy type inspect <a policy that inspects it>");
		else
			diag_fix(d,
				 "zone-member security <zone> on both interfaces, or on neither");
	}
	strbuf_fini(&b);
}

static void return_fix(struct diagnose *d)
{
	char src[RTR_ADDR_STRLEN];

	diag_fix(d, "%s %s/%u %s <next hop>", diag_route_words(d), rtr_addr_str(&d->src, src),
		 rtr_family_bits(d->src.family), iface_operator_name(d->from_if));
}

/* The stage that drops the packet; true when the verdict is spoken. */
static bool judge_drop(struct diagnose *d, const json_t *phase, const struct policy *p,
		       const struct tracer_result *r)
{
	const char *type = str(phase, "type"),
		   *layer = r->drop == RTR_DROP_NO_FORWARDING ? LAYER_FORWARD : layer_of(type);
	struct strbuf why = STRBUF_INIT, lines = STRBUF_INIT;

	add_texts(json_object_get(phase, "information"), &why);
	add_texts(json_object_get(phase, "config"), &lines);
	diag_step(d, layer, DIAG_BAD, "%s %s: %s%s%s", type, str(phase, "subtype"),
		  strbuf_str(&lines), lines.len && why.len ? ": " : "", strbuf_str(&why));
	if (!strcmp(layer, LAYER_POLICY))
		policy_fix(d, phase, p, r);
	else if (!strcmp(layer, LAYER_RETURN))
		return_fix(d);
	else if (!strcmp(layer, LAYER_FORWARD))
		diag_fix(d, d->dst.family == AF_INET6 ? "ipv6 unicast-routing" : "ip routing");
	strbuf_fini(&why);
	strbuf_fini(&lines);
	/* For links, routes and neighbours there is more to ask. */
	if (!strcmp(layer, LAYER_ROUTE))
		return diag_look_route(d);
	if (!strcmp(layer, LAYER_LINK))
		return !strcmp(type, "INPUT-INTERFACE")
			       ? diag_look_link(
					 d, iface_link(iface_operator_name(d->from_if))->ifindex)
			       : diag_look_route(d);
	if (!strcmp(layer, LAYER_NEIGHBOUR))
		return false;
	diag_verdict(d, layer,
		     !strcmp(layer, LAYER_FORWARD) ? "the router does not forward what comes by %s"
		     : !strcmp(layer, LAYER_RETURN)
			     ? "the way back to the source does not lead by %s: the answers would "
			       "take another way, and the check of reverse paths drops the packet"
			     : "the policy of this router drops what comes by %s",
		     iface_operator_name(d->from_if));
	return true;
}

static void fill_packet(const struct diagnose *d, struct pol_packet *p)
{
	bool v6 = d->dst.family == AF_INET6;

	p->family = d->dst.family;
	p->src = d->src;
	p->dst = d->dst;
	p->proto = d->proto;
	p->ttl = 64;
	p->len = (uint16_t)((v6 ? 40 : 20) + 20);
	rtr_strlcpy(p->iif, d->from_if, IFNAMSIZ);
	if (d->port) {
		p->sport = CLIENT_PORT;
		p->dport = d->port;
		p->tcp_flags = d->proto == IPPROTO_TCP ? 0x02 : 0; /* SYN */
	} else {
		p->icmp_type = v6 ? 128 : 8;
		p->sport = p->dport = TRACER_ICMP_ID;
	}
}

/* Do answers to the source leave by the interface that it came by? Of several equal ways of IPv4
 * one that does will do. */
static bool leads_back(const struct diagnose *d)
{
	const struct tracer_kernel *k = tracer_kernel();
	const struct shadow_link *l = shadow_link_by_name(d->from_if);
	struct diag_route r;

	diag_ask_route(d, &d->src, 0, &r);
	if (!r.error && l && r.oif == l->ifindex)
		return true;
	return d->src.family == AF_INET && k->back(k->arg, &d->src, d->from_if, true);
}

/* True when the verdict is spoken. */
static bool judge_forward(struct diagnose *d)
{
	const struct tracer_kernel *k = tracer_kernel();
	const struct policy *p = policy_running();
	struct tracer_ask a = { 0 };
	struct tracer_result r;
	const json_t *o;
	bool ended = false;
	size_t i;

	if (!p) {
		diag_verdict(d, LAYER_NONE, "there is no policy yet");
		return true;
	}
	fill_packet(d, &a.pkt);
	tracer_run(&a, p, k, &r);
	json_array_foreach(json_object_get(r.doc, "phases"), i, o) {
		if (r.drop && !ended && !strcmp(str(o, "result"), "DROP"))
			ended = judge_drop(d, o, p, &r);
	}
	json_decref(r.doc);
	if (ended)
		return true;
	if (!r.drop)
		diag_step(d, LAYER_POLICY, DIAG_OK, "this router lets it pass");
	if (r.local) {
		diag_verdict(d, LAYER_NONE, "it is for the router itself, which takes it");
		return true;
	}
	if (!leads_back(d)) {
		diag_step(d, LAYER_RETURN, DIAG_BAD, "the route to the source does not lead by %s",
			  iface_operator_name(d->from_if));
		return_fix(d);
		diag_verdict(d, LAYER_RETURN,
			     "asymmetric: answers to the source leave by another interface than %s",
			     iface_operator_name(d->from_if));
		return true;
	}
	diag_step(d, LAYER_RETURN, DIAG_OK, "answers go back by %s",
		  iface_operator_name(d->from_if));
	return false;
}

void diag_path(struct diagnose *d)
{
	if (*d->from_if && judge_forward(d))
		return;
	if (diag_look_own(d, &d->dst) || diag_look_route(d))
		return;
	diag_ping(d, ECHO_TRIES, ECHO_MS, 0, on_echo);
}
