/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stages of a packet's way as a document. */
#include "tracer/tracer.h"

#include "firewall/fw_show.h"
#include "iface/iface.h"
#include "nat/nat.h"
#include "nat/nat_policy.h"
#include "pbr/pbr.h"
#include "route/resolve.h"
#include "route/route.h"
#include "rtr/fastpath.h"
#include "schema/text.h"
#include "vrf/vrf.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* Lines of one phase: a prefix may have any number of static routes. */
#define CONFIG_MAX 8

struct run {
	const struct tracer_ask *ask;
	const struct policy *p;
	const struct tracer_kernel *k;
	struct tracer_result *ret;
	struct pol_packet pkt; /* as judged */
	struct pol_verdict v;
	/* of each stage: what it took, what the packet was then */
	uint64_t last_ns, took_ns[POL_ST__MAX];
	struct pol_packet seen[POL_ST__MAX];
	bool conn, reply;
	struct ct_entry entry;
	struct tracer_link in, out;
	struct tracer_route route;
	json_t *phases;
};

/* ---- the document ---- */

char *tracer_end_str(const struct rtr_addr *a, uint16_t port, char buf[TRACER_END_STRLEN])
{
	char addr[RTR_ADDR_STRLEN];

	rtr_addr_str(a, addr);
	if (!port)
		snprintf(buf, TRACER_END_STRLEN, "%s", addr);
	else
		snprintf(buf, TRACER_END_STRLEN, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", addr,
			 port);
	return buf;
}

static uint64_t lap(struct run *r)
{
	uint64_t now = rtr_now_ns(), took = now - r->last_ns;

	r->last_ns = now;
	return took;
}

static json_t *phase(struct run *r, const char *type, const char *subtype, bool allow,
		     uint64_t took_ns)
{
	json_t *o = json_pack("{s:i,s:s,s:s,s:s,s:[],s:[],s:I}", "phase",
			      (int)json_array_size(r->phases) + 1, "type", type, "subtype", subtype,
			      "result", allow ? "ALLOW" : "DROP", "config", "information",
			      "elapsed_ns", (json_int_t)took_ns);

	json_array_append_new(r->phases, o);
	return o;
}

static void info(json_t *o, const char *fmt, ...) RTR_PRINTF(2, 3);
static void info(json_t *o, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(json_object_get(o, "information"), json_string(text));
}

static void config(json_t *o, const struct rec *rec)
{
	json_t *lines = json_object_get(o, "config"), *have;
	struct strbuf b = STRBUF_INIT;
	size_t i;

	if (!rec || !rec->type->row || json_array_size(lines) >= CONFIG_MAX)
		return;
	text_rec(rec, &b);
	json_array_foreach(lines, i, have) {
		if (!strcmp(json_string_value(have), strbuf_str(&b))) {
			strbuf_fini(&b);
			return;
		}
	}
	json_array_append_new(lines, json_string(strbuf_str(&b)));
	strbuf_fini(&b);
}

/* A line of an access list stands below the line that names the list. */
static void config_rule(struct run *r, json_t *o, const struct pol_rule *rule)
{
	const struct pol_list *list = NULL;

	if (policy_rule(r->p, rule->id, &list) && list)
		config(o, list->rec);
	config(o, rule->rec);
}

static void as_seen(struct run *r, json_t *o, const struct pol_packet *p)
{
	char src[TRACER_END_STRLEN], dst[TRACER_END_STRLEN];

	if (r->ask->detailed)
		info(o, "packet: %s -> %s ttl %u length %u", tracer_end_str(&p->src, p->sport, src),
		     tracer_end_str(&p->dst, p->dport, dst), p->ttl, p->len);
}

static void dropped(struct run *r, enum rtr_drop reason)
{
	if (!r->ret->drop)
		r->ret->drop = reason;
}

/* ---- where it comes in ---- */

static void input_phase(struct run *r)
{
	const struct iface *i;
	json_t *o;

	r->k->link(r->k->arg, r->ask->pkt.iif, r->ask->pkt.family, &r->in);
	o = phase(r, "INPUT-INTERFACE", r->ask->pkt.iif, r->in.up, lap(r));
	i = iface_find(r->p->model, iface_operator_name(r->ask->pkt.iif));
	config(o, i ? &i->rec : NULL);
	info(o, "%s", r->in.up ? "up" : r->in.found ? "down" : "there is no such interface");
	as_seen(r, o, &r->ask->pkt);
	if (!r->in.up)
		dropped(r, RTR_DROP_INGRESS_DOWN);
}

/* ---- its connection ---- */

static struct ct_tuple tuple_of(const struct pol_packet *p)
{
	return (struct ct_tuple){ .src = p->src,
				  .dst = p->dst,
				  .sport = p->sport,
				  .dport = p->dport,
				  .proto = p->proto,
				  .icmp_type = p->icmp_type,
				  .icmp_code = p->icmp_code };
}

static bool same_way(const struct ct_tuple *t, const struct pol_packet *p)
{
	return !rtr_addr_cmp(&t->src, &p->src) && !rtr_addr_cmp(&t->dst, &p->dst) &&
	       t->sport == p->sport && t->dport == p->dport;
}

/* As icmp_new and icmpv6_new decide: requests begin something, answers and errors of nothing are
 * invalid; neighbour and multicast listener discovery is not tracked at all. */
static bool begins(const struct pol_packet *p)
{
	uint8_t t = p->icmp_type;

	if (p->proto == IPPROTO_ICMP)
		return t == 8 || t == 13 || t == 15 || t == 17;
	return p->proto != IPPROTO_ICMPV6 || t == 128 || t == 139 || (t >= 130 && t <= 136) ||
	       t == 143;
}

/* As nf_conntrack_in decides: IP_CT_ESTABLISHED, IP_CT_RELATED, IP_CT_NEW. */
static void find_conn(struct run *r)
{
	struct ct_tuple t = tuple_of(&r->pkt);
	const struct ct_entry *e = &r->entry;

	r->ret->as_sent = t;
	r->pkt.state = POL_NEW;
	/* Others may have it tracked, too: then it is somebody's, though it decides nothing. */
	r->ret->had_conn = !r->k->conn(r->k->arg, &t, &r->entry);
	if (r->p->stateful && !r->ret->had_conn && !begins(&r->pkt))
		r->pkt.state = POL_INVALID;
	if (!r->p->stateful || !r->ret->had_conn)
		return;
	r->conn = true;
	r->reply = !same_way(&e->orig, &r->pkt);
	r->pkt.reply = r->reply;
	r->pkt.pass = e->label[1] & POL_LABEL_PASS;
	if (r->reply || (e->status & IPS_SEEN_REPLY))
		r->pkt.state = POL_ESTABLISHED;
	else if (e->status & IPS_EXPECTED)
		r->pkt.state = POL_RELATED;
	/* In the middle of a connection nobody sends a SYN. */
	if (r->pkt.state == POL_ESTABLISHED)
		r->pkt.tcp_flags = 0x10;
}

static bool is_answer(const struct run *r)
{
	return r->pkt.state == POL_ESTABLISHED || r->pkt.state == POL_RELATED;
}

/* What leads back the packets of this direction: their tuple after translation, turned round. */
static const struct ct_tuple *other_way(const struct run *r)
{
	return r->reply ? &r->entry.orig : &r->entry.reply;
}

static void conn_phase(struct run *r, uint64_t took_ns)
{
	static const char *const states[] = { "new", "established", "related", "invalid",
					      "untracked" };
	struct strbuf b = STRBUF_INIT;
	json_t *o;

	if (!r->p->stateful)
		return;
	o = phase(r, "FLOW-LOOKUP", states[r->pkt.state], true, took_ns);
	if (!r->conn) {
		info(o, r->pkt.state == POL_INVALID ? "no connection, and nothing begins one so"
						    : "no connection: its first packet makes one");
		return;
	}
	if (r->entry.fast_path)
		info(o, "looked after by the fast plane: %s", r->entry.fast_path);
	info(o, "connection %u, %s%s%s, %u s left", r->entry.id,
	     r->reply ? "its answering direction" : "its opening direction",
	     r->entry.state ? ", " : "", ct_state_name(r->entry.state), r->entry.timeout_sec);
	for (unsigned i = 0; i < 3; i++) {
		strbuf_reset(&b);
		if (fw_id_text(r->p, POL_LABEL_ID(r->entry.label[i]), &b))
			info(o, "admitted by %s", strbuf_str(&b));
	}
	strbuf_fini(&b);
}

/* ---- the judge's world ---- */

static bool ask_route(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		      char oif[IFNAMSIZ], bool *local)
{
	struct run *r = arg;
	struct tracer_route *t = &r->route;

	r->k->route(r->k->arg, p, dst, t);
	*local = !t->error && (t->type == RTN_LOCAL || t->type == RTN_BROADCAST ||
			       t->type == RTN_MULTICAST || t->type == RTN_ANYCAST);
	rtr_strlcpy(oif, t->oif, IFNAMSIZ);
	return *local || (!t->error && t->type == RTN_UNICAST);
}

static bool ask_back(void *arg, const struct pol_iface *i, const struct rtr_addr *src)
{
	struct run *r = arg;
	enum pol_urpf mode = src->family == AF_INET6 ? i->urpf6 : i->urpf4;

	return r->k->back(r->k->arg, src, i->name, mode != POL_URPF_LOOSE);
}

static void note_step(void *arg, enum pol_stage st, const struct pol_packet *p)
{
	struct run *r = arg;

	r->took_ns[st] = lap(r);
	r->seen[st] = *p;
}

/* A connection is translated as it was when it began: its packets come to the judge translated,
 * and only what knows no connections (NPTv6) is left of NAT. */
static void judge(struct run *r, time_t now)
{
	struct pol_world w = {
		.route = ask_route, .urpf = ask_back, .step = note_step, .arg = r, .now = now
	};
	struct policy known = *r->p;
	struct nat_policy stateless;

	if (is_answer(r) && r->conn) {
		const struct ct_tuple *t = other_way(r);

		r->pkt.dst = t->src;
		r->pkt.dport = t->sport;
		if (known.nat) {
			stateless = *known.nat;
			stateless.n_ifaces = 0;
			memset(stateless.f, 0, sizeof(stateless.f));
			known.nat = &stateless;
		}
	}
	policy_eval(&known, &r->pkt, &w, &r->v);
}

/* ---- phases of the judge ---- */

static bool allowed(const struct run *r, enum pol_stage st)
{
	return r->v.step[st].action == POL_PERMIT || r->v.step[st].action == POL_PASS;
}

static enum rtr_drop list_drop(const struct run *r, enum pol_stage st)
{
	return r->v.step[st].rule ? RTR_DROP_ACL_DENY : RTR_DROP_ACL_DEFAULT;
}

static enum rtr_drop martian_drop(const struct run *r)
{
	struct rtr_prefix nets[32];
	size_t n = pol_martians(r->pkt.family, true, nets, ARRAY_LEN(nets));

	for (size_t i = 0; i < MIN(n, ARRAY_LEN(nets)); i++) {
		if (rtr_prefix_contains(&nets[i], &r->pkt.src))
			return RTR_DROP_SRC_MARTIAN;
	}
	return RTR_DROP_DST_MARTIAN;
}

static json_t *stage_phase(struct run *r, enum pol_stage st, const char *type, const char *subtype)
{
	const struct pol_step *s = &r->v.step[st];
	json_t *o = phase(r, type, subtype, allowed(r, st), r->took_ns[st]);

	if (s->rule)
		config_rule(r, o, s->rule);
	config(o, s->rec);
	if (s->why)
		info(o, "%s", s->why);
	as_seen(r, o, &r->seen[st]);
	return o;
}

static void early_phases(struct run *r)
{
	const struct pol_iface *i = policy_iface(r->p, r->pkt.iif);

	if (r->v.step[POL_ST_MARTIAN].ran) {
		stage_phase(r, POL_ST_MARTIAN, "MARTIAN-CHECK", "");
		if (!allowed(r, POL_ST_MARTIAN))
			dropped(r, martian_drop(r));
	}
	if (r->v.step[POL_ST_URPF].ran) {
		enum pol_urpf mode = r->pkt.family == AF_INET6 ? i->urpf6 : i->urpf4;

		stage_phase(r, POL_ST_URPF, "RPF-CHECK",
			    mode == POL_URPF_LOOSE    ? "loose"
			    : mode == POL_URPF_STRICT ? "strict"
						      : "feasible");
		if (!allowed(r, POL_ST_URPF))
			dropped(r, RTR_DROP_URPF);
	}
}

static void list_phase(struct run *r, enum pol_stage st, const char *subtype)
{
	const struct pol_rule *rule = r->v.step[st].rule;
	json_t *o;

	if (!r->v.step[st].ran)
		return;
	o = stage_phase(r, st, "ACCESS-LIST", subtype);
	if (rule && (rule->limit.rate || rule->limit.conns))
		info(o, "the line has a limit: above it, it drops");
	if (rule && rule->tls_name && allowed(r, st))
		info(o, "decided by the server name: %s", rule->tls_name);
	if (!allowed(r, st))
		dropped(r, list_drop(r, st));
}

/* Of what gets through, by oif; sizes and hop limits that need the kernel are not asked for here.
 */
static bool goes_fast(const struct run *r, const char *oif)
{
	const struct fastpath_traced *t = r->ask->fast;

	return !r->v.local && strcmp(r->pkt.iif, oif) != 0 &&
	       (r->pkt.proto == IPPROTO_TCP || r->pkt.proto == IPPROTO_UDP) &&
	       r->k->fast(r->k->arg, r->pkt.iif) && r->k->fast(r->k->arg, oif) &&
	       !(t && t->verdict == FASTPATH_LEAVES);
}

/* ---- translations ---- */

/* Both planes have ports of their own for an address that many share. */
static void ports_text(const struct run *r, const struct pol_xlate *x, bool source,
		       struct strbuf *b)
{
	const struct pol_ports *fast = r->p->nat->ports[NAT_PORTS_FAST];
	uint16_t sport = r->ask->pkt.sport, lo, hi;

	if (x->port_lo == x->port_hi) {
		strbuf_addf(b, " port %u", x->port_lo);
	} else if (!source || !goes_fast(r, r->v.oif)) {
		strbuf_addf(b, " port of %u to %u", x->port_lo, x->port_hi);
	} else {
		strbuf_adds(b, " port");
		lo = x->fast.hi ? x->fast.lo : fast->r[0].lo;
		hi = x->fast.hi ? x->fast.hi : fast->r[fast->n - 1].hi;
		if (sport >= lo && sport <= hi && nat_port_in(r->p->nat, NAT_PORTS_FAST, sport))
			strbuf_addf(b, " %u, or if that is taken", sport);
		strbuf_addf(b, " of %u to %u", lo, hi);
	}
}

static void xlate_text(const struct run *r, const struct pol_xlate *x, bool source,
		       struct strbuf *b)
{
	char text[RTR_ADDR_STRLEN];

	strbuf_adds(b, rtr_addr_str(&x->lo, text));
	if (x->prefix)
		strbuf_addf(b, "/%u", x->prefix_len);
	else if (rtr_addr_cmp(&x->lo, &x->hi))
		strbuf_addf(b, " to %s", rtr_addr_str(&x->hi, text));
	if (x->port_lo)
		ports_text(r, x, source, b);
}

static void nat_phase(struct run *r, const struct pol_xlate *x, const char *type, bool source,
		      uint64_t took_ns)
{
	char from[TRACER_END_STRLEN];
	struct strbuf b = STRBUF_INIT;
	bool v6 = r->ask->pkt.family == AF_INET6;
	/* What has no ports has one address of a line that has many for others. */
	bool dynamic = rtr_addr_cmp(&x->lo, &x->hi) || x->port_lo != x->port_hi ||
		       (x->rec && (x->rec->type == nat_source_types[v6] ||
				   x->rec->type == nat_dest_types[v6]));
	json_t *o = phase(r, type,
			  x->npt      ? "nptv6"
			  : !x->on    ? "exempt"
			  : x->prefix ? "network"
			  : dynamic   ? "dynamic"
				      : "static",
			  true, took_ns);

	config(o, x->rec);
	if (x->on) {
		xlate_text(r, x, source, &b);
		info(o, "%s %s becomes %s", source ? "source" : "destination",
		     source ? tracer_end_str(&r->ask->pkt.src, r->ask->pkt.sport, from)
			    : tracer_end_str(&r->ask->pkt.dst, r->ask->pkt.dport, from),
		     strbuf_str(&b));
	} else {
		info(o, "the source is left as it is");
	}
	strbuf_fini(&b);
}

/* Of a connection that is there. */
static void conn_nat_phase(struct run *r, const char *type, bool source)
{
	const struct pol_packet *p = &r->ask->pkt;
	const struct ct_tuple *t = other_way(r);
	const struct rtr_addr *is = source ? &p->src : &p->dst, *will = source ? &t->dst : &t->src;
	uint16_t is_port = source ? p->sport : p->dport, will_port = source ? t->dport : t->sport;
	char a[TRACER_END_STRLEN], b[TRACER_END_STRLEN];

	if (!rtr_addr_cmp(is, will) && is_port == will_port)
		return;
	info(phase(r, type, "connection", true, 0), "%s %s becomes %s",
	     source ? "source" : "destination", tracer_end_str(is, is_port, a),
	     tracer_end_str(will, will_port, b));
}

static void dnat_phase(struct run *r)
{
	if (r->v.step[POL_ST_DNAT].ran && !allowed(r, POL_ST_DNAT)) {
		stage_phase(r, POL_ST_DNAT, "UN-NAT", "guard");
		dropped(r, RTR_DROP_NAT_NO_MAPPING);
		return;
	}
	if (is_answer(r) && r->conn)
		conn_nat_phase(r, "UN-NAT", false);
	if (r->v.dnat.on)
		nat_phase(r, &r->v.dnat, "UN-NAT", false, r->took_ns[POL_ST_DNAT]);
}

static void snat_phase(struct run *r)
{
	if (is_answer(r) && r->conn)
		conn_nat_phase(r, "NAT", true);
	if (r->v.step[POL_ST_SNAT].ran)
		nat_phase(r, &r->v.snat, "NAT", true, r->took_ns[POL_ST_SNAT]);
}

/* ---- the route ---- */

static enum rtr_drop route_drop(const struct run *r)
{
	int error = r->route.error;

	if (!error)
		return r->route.type == RTN_BLACKHOLE  ? RTR_DROP_BLACKHOLE
		       : r->route.type == RTN_PROHIBIT ? RTR_DROP_PROHIBIT
						       : RTR_DROP_UNREACHABLE;
	if (!r->in.forwarding && error == -EHOSTUNREACH)
		return RTR_DROP_NO_FORWARDING;
	return error == -EINVAL         ? RTR_DROP_BLACKHOLE
	       : error == -EACCES       ? RTR_DROP_PROHIBIT
	       : error == -EHOSTUNREACH ? RTR_DROP_UNREACHABLE
	       : error == -EXDEV        ? RTR_DROP_URPF
					: RTR_DROP_NO_ROUTE;
}

/* The kernel does not say which route discards. */
static void discard_config(struct run *r, json_t *o)
{
	const struct recvec *lines = rec_kids(
		r->p->model, r->pkt.family == AF_INET6 ? &ipv6_route_type : &ip_route_type);
	const struct static_route *s, *best = NULL;

	recvec_foreach(lines, s) {
		if (route_discards(s) && rtr_prefix_contains(&s->dst, &r->seen[POL_ST_ROUTE].dst) &&
		    (!best || s->dst.len > best->dst.len))
			best = s;
	}
	config(o, best ? &best->rec : NULL);
}

static void route_config(struct run *r, json_t *o)
{
	static struct sch_type *const types[] = { &ip_route_type, &ipv6_route_type,
						  &ip_route_vrf_type, &ipv6_route_vrf_type };
	const struct tracer_route *t = &r->route;
	const struct iface *i;
	const struct rec *line;

	if (t->error && route_drop(r) != RTR_DROP_NO_ROUTE)
		discard_config(r, o);
	if (!t->has_prefix)
		return;
	for (size_t k = 0; k < ARRAY_LEN(types); k++) {
		recvec_foreach(rec_kids(r->p->model, types[k]), line) {
			const struct static_route *s = (const void *)line;

			if (!rtr_prefix_cmp(&s->dst, &t->prefix) &&
			    route_metric(route_distance(s)) == t->metric &&
			    t->table == (s->vrf ? vrf_table(r->p->model, s->vrf) : RT_TABLE_MAIN))
				config(o, line);
		}
	}
	i = *t->oif ? iface_find(r->p->model, iface_operator_name(t->oif)) : NULL;
	if (t->proto != RTPROT_KERNEL || !i)
		return;
	config(o, &i->rec);
	recvec_foreach(rec_kids(&i->rec, t->prefix.addr.family == AF_INET6 ? &iface_addr6_type
									   : &iface_addr4_type),
		       line) {
		const struct iface_addr4 *a4 = (const void *)line;
		const struct iface_addr6 *a6 = (const void *)line;

		if (rtr_prefix_contains(&t->prefix, t->prefix.addr.family == AF_INET6
							    ? &a6->addr.addr
							    : &a4->addr.addr))
			config(o, line);
	}
}

static const char *table_name(const struct run *r, uint32_t table, char buf[32])
{
	const struct vrf *vrf;

	if (table == RT_TABLE_MAIN)
		return "main";
	if (table == RT_TABLE_LOCAL)
		return "local";
	snprintf(buf, 32, "%u", table);
	recvec_foreach(rec_kids(r->p->model, &vrf_type), vrf) {
		if (vrf_table(r->p->model, vrf->name) == table)
			snprintf(buf, 32, "of vrf %s", vrf->name);
	}
	return buf;
}

/* The rule that led to the table in which the route was found. */
static const struct rule *deciding_rule(const struct run *r, const struct rule *rules, size_t n)
{
	const struct pol_packet *p = &r->seen[POL_ST_ROUTE];
	struct rule_packet q = { .src = p->src,
				 .dst = p->dst,
				 .dscp = p->dscp,
				 .ip_proto = p->proto,
				 .sport = p->sport,
				 .dport = p->dport };

	rtr_strlcpy(q.iif, p->iif, IFNAMSIZ);
	for (size_t i = rule_next(rules, n, 0, &q); i < n; i = rule_next(rules, n, i + 1, &q)) {
		const struct rule *rule = &rules[i];

		if (rule->action != FR_ACT_TO_TBL || (rule->l3mdev && r->route.table > 255) ||
		    (rule->table == r->route.table &&
		     (int)r->route.prefix.len > rule->suppress_len))
			return rule;
	}
	return NULL;
}

static void rule_phase(struct run *r)
{
	const struct route_map *map;
	const struct rule *one;
	struct rule *rules = NULL;
	struct strbuf b = STRBUF_INIT;
	json_t *o;
	int n;

	lap(r);
	n = r->k->rules(r->k->arg, r->pkt.family, &rules);
	one = n > 0 ? deciding_rule(r, rules, (size_t)n) : NULL;
	/* The rules that every box has. */
	if (one && one->pref && one->pref < 32766) {
		map = pbr_origin(r->p->model, one);
		o = phase(r, "POLICY-ROUTE", map ? map->name : "", true, lap(r));
		config(o, map ? &map->rec : NULL);
		rule_text(one, &b);
		info(o, "rule %s", strbuf_str(&b));
	}
	strbuf_fini(&b);
	free(rules);
}

static void route_info(struct run *r, json_t *o)
{
	char prefix[RTR_PREFIX_STRLEN], gw[RTR_ADDR_STRLEN], table[32];
	const struct tracer_route *t = &r->route;

	if (t->error) {
		info(o, "the kernel: %s", strerror(-t->error));
		return;
	}
	info(o, "%s%s%s%s%s table %s", t->has_prefix ? rtr_prefix_str(&t->prefix, prefix) : "found",
	     t->gw.family ? " via " : "", t->gw.family ? rtr_addr_str(&t->gw, gw) : "",
	     *t->oif ? " interface " : "", iface_operator_name(t->oif),
	     table_name(r, t->table, table));
}

static void route_phase(struct run *r)
{
	bool ok = allowed(r, POL_ST_ROUTE);
	json_t *o;

	if (!r->route.error)
		rule_phase(r);
	o = phase(r, "ROUTE-LOOKUP", "FIB", ok, r->took_ns[POL_ST_ROUTE]);
	route_config(r, o);
	route_info(r, o);
	info(o, "%s", r->v.step[POL_ST_ROUTE].why);
	as_seen(r, o, &r->seen[POL_ST_ROUTE]);
	if (!ok)
		dropped(r, route_drop(r));
}

/* What the kernel asks of a packet that it shall forward, before the policy's chains. */
static void forward_phase(struct run *r)
{
	bool v6 = r->pkt.family == AF_INET6, scope = v6 && rtr_addr_is_linklocal(&r->pkt.src);
	json_t *o;

	if (r->in.forwarding && !scope)
		return;
	o = phase(r, "FORWARDING", v6 ? "IPv6" : "IPv4", false, 0);
	info(o, "%s",
	     scope ? "a link-local source stays on its link"
		   : "forwarding is off on the input interface");
	dropped(r, scope ? RTR_DROP_LINK_SCOPE : RTR_DROP_NO_FORWARDING);
}

/* ---- zones ---- */

static void zone_phase(struct run *r, enum pol_stage st)
{
	const struct pol_zone *in = policy_zone(r->p, r->v.zone_in),
			      *out = policy_zone(r->p, r->v.zone_out);
	const struct pol_pair *pair = policy_pair(r->p, r->v.zone_in, r->v.zone_out);
	json_t *o;

	if (!r->v.step[st].ran)
		return;
	o = stage_phase(r, st, st == POL_ST_LOCAL ? "LOCAL" : "ZONE-PAIR", pair ? pair->name : "");
	if (pair)
		config(o, pair->rec);
	if (r->p->n_zones)
		info(o, "from %s%s to %s%s", in ? "zone " : "an interface in no zone",
		     in ? in->name : "",
		     st == POL_ST_LOCAL ? "the box itself"
		     : out              ? "zone "
					: "an interface in no zone",
		     st != POL_ST_LOCAL && out ? out->name : "");
	if (!allowed(r, st))
		dropped(r, r->pkt.state == POL_INVALID ? RTR_DROP_CT_INVALID : RTR_DROP_ZONE_DENY);
}

/* ---- on its way out ---- */

static void neigh_phase(struct run *r)
{
	static const struct {
		uint16_t state;
		const char *name;
	} names[] = { { NUD_INCOMPLETE, "incomplete" }, { NUD_REACHABLE, "reachable" },
		      { NUD_STALE, "stale" },           { NUD_DELAY, "delay" },
		      { NUD_PROBE, "probe" },           { NUD_FAILED, "failed" },
		      { NUD_PERMANENT, "permanent" },   { NUD_NOARP, "none needed" } };
	const struct rtr_addr *to = r->route.gw.family ? &r->route.gw : &r->seen[POL_ST_ROUTE].dst;
	struct tracer_neigh n = { 0 };
	char text[RTR_ADDR_STRLEN];
	const char *state = "none";
	json_t *o;
	bool ok;

	if (r->out.no_neighbours)
		return;
	r->ret->next_hop = *to;
	lap(r);
	r->k->neigh(r->k->arg, r->v.oif, to, &n);
	ok = !n.found || n.state != NUD_FAILED;
	for (size_t i = 0; n.found && i < ARRAY_LEN(names); i++) {
		if (n.state == names[i].state)
			state = names[i].name;
	}
	o = phase(r, "NEIGHBOUR", to->family == AF_INET6 ? "ND" : "ARP", ok, lap(r));
	if (n.has_mac)
		info(o, "%s is %02x:%02x:%02x:%02x:%02x:%02x, %s", rtr_addr_str(to, text), n.mac[0],
		     n.mac[1], n.mac[2], n.mac[3], n.mac[4], n.mac[5], state);
	else
		info(o, "%s %s", rtr_addr_str(to, text),
		     !n.found                    ? "is not known yet: it is asked for first"
		     : n.state == NUD_FAILED     ? "did not answer"
		     : n.state == NUD_INCOMPLETE ? "is being asked for"
						 : state);
	if (!ok)
		dropped(r, RTR_DROP_NEIGH_FAILED);
}

static void output_phase(struct run *r)
{
	const struct iface *i = iface_find(r->p->model, iface_operator_name(r->v.oif));
	json_t *o = phase(r, "OUTPUT-INTERFACE", iface_operator_name(r->v.oif), r->out.up, lap(r));

	config(o, i ? &i->rec : NULL);
	info(o, "%s", r->out.up ? "up" : "down");
	if (!r->out.up)
		dropped(r, RTR_DROP_EGRESS_DOWN);
}

/* ---- all of it ---- */

static void way_phases(struct run *r)
{
	list_phase(r, POL_ST_IN, "in");
	if (r->ret->drop)
		return;
	dnat_phase(r);
	if (r->ret->drop)
		return;
	route_phase(r);
	if (!r->ret->drop && !r->v.local)
		forward_phase(r);
	if (r->ret->drop)
		return;
	zone_phase(r, r->v.local ? POL_ST_LOCAL : POL_ST_ZONE);
	if (r->ret->drop || r->v.local)
		return;
	list_phase(r, POL_ST_OUT, "out");
	if (r->ret->drop)
		return;
	snat_phase(r);
	r->k->link(r->k->arg, r->v.oif, r->pkt.family, &r->out);
	neigh_phase(r);
	if (!r->ret->drop)
		output_phase(r);
}

static void ends(struct run *r)
{
	struct tracer_result *t = r->ret;

	t->local = r->v.local;
	t->stage = r->v.action == POL_PERMIT || r->v.action == POL_PASS ? POL_ST__MAX : r->v.stage;
	t->reject = r->v.action == POL_REJECT;
	t->src = r->ask->pkt.src;
	t->sport = r->ask->pkt.sport;
	t->dst = r->v.step[POL_ST_ROUTE].ran ? r->seen[POL_ST_ROUTE].dst : r->ask->pkt.dst;
	t->dport = r->v.step[POL_ST_ROUTE].ran ? r->seen[POL_ST_ROUTE].dport : r->ask->pkt.dport;
	t->snat = r->v.snat;
	t->dnat = r->v.dnat;
	if (is_answer(r) && r->conn) {
		t->src = other_way(r)->dst;
		t->sport = other_way(r)->dport;
	} else if (r->v.snat.on) {
		nat_xlate_addr(&r->v.snat, &t->src);
		if (r->v.snat.port_lo && r->v.snat.port_lo == r->v.snat.port_hi)
			t->sport = r->v.snat.port_lo;
	}
	if (!t->local)
		rtr_strlcpy(t->oif, r->v.oif, IFNAMSIZ);
}

static json_t *ruleset_doc(const struct run *r)
{
	struct tracer_ruleset s = { 0 };

	r->k->ruleset(r->k->arg, &s);
	return json_pack("{s:I,s:b,s:s}", "generation", (json_int_t)s.generation, "installed",
			 !s.error && !s.busy && s.same, "difference",
			 s.error  ? strerror(-s.error)
			 : s.busy ? "a commit is under way"
				  : s.difference);
}

static const char *path_of(const struct run *r, const char **ret_why)
{
	const struct fastpath_traced *t = r->ask->fast;

	if (r->ret->drop) {
		*ret_why = t && t->verdict == FASTPATH_DROPS ? "dropped by the fast plane"
							     : "dropped by the kernel";
		return "none";
	}
	if (goes_fast(r, r->ret->oif)) {
		*ret_why = "both interfaces are on the fast plane";
		return "fast";
	}
	*ret_why = r->ret->local ? "delivered by the kernel" : "forwarded by the kernel";
	return "slow";
}

static json_t *result_doc(const struct run *r)
{
	const struct tracer_result *t = r->ret;
	const char *oif = t->local ? "local" : iface_operator_name(t->oif);
	struct tracer_link out = r->out;
	const char *why, *path = path_of(r, &why);
	bool up;

	/* Of a packet that was dropped before it got there, too. */
	if (!t->local && *t->oif && !out.found)
		r->k->link(r->k->arg, t->oif, r->pkt.family, &out);
	up = t->local || out.up;

	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "input_interface",
			 iface_operator_name(r->ask->pkt.iif), "input_status",
			 r->in.up ? "up" : "down", "output_interface", *oif ? oif : "none",
			 "output_status",
			 !*oif ? "none"
			 : up  ? "up"
			       : "down",
			 "action", t->drop ? "drop" : "allow", "drop_reason",
			 t->drop ? rtr_drop_text(t->drop) : "", "drop_text",
			 t->drop ? rtr_drop_doc(t->drop) : "", "path", path, "path_reason", why);
}

void tracer_run(const struct tracer_ask *ask, const struct policy *p, const struct tracer_kernel *k,
		struct tracer_result *ret)
{
	struct run r = { .ask = ask, .p = p, .k = k, .ret = ret, .pkt = ask->pkt };
	char src[RTR_ADDR_STRLEN], dst[RTR_ADDR_STRLEN];
	uint64_t took_ns;

	*ret = (struct tracer_result){ .stage = POL_ST__MAX };
	r.phases = json_array();
	r.last_ns = rtr_now_ns();
	input_phase(&r);
	find_conn(&r);
	took_ns = lap(&r);
	if (!ret->drop) {
		judge(&r, time(NULL));
		early_phases(&r);
		if (!ret->drop) {
			conn_phase(&r, took_ns);
			way_phases(&r);
		}
		ends(&r);
	}
	ret->doc = json_pack("{s:{s:s,s:i,s:s,s:s,s:i,s:i,s:i,s:i},s:o,s:o,s:o}", "packet",
			     "interface", iface_operator_name(ask->pkt.iif), "protocol",
			     ask->pkt.proto, "source", rtr_addr_str(&ask->pkt.src, src),
			     "destination", rtr_addr_str(&ask->pkt.dst, dst), "source_port",
			     ask->pkt.sport, "destination_port", ask->pkt.dport, "icmp_type",
			     ask->pkt.icmp_type, "icmp_code", ask->pkt.icmp_code, "phases",
			     r.phases, "ruleset", ruleset_doc(&r), "result", result_doc(&r));
}
