/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The judge: what the policy says about one packet. docs/design/policy.md gives the order; both
 * planes are tested against this. */
#include "firewall/policy_set.h"
#include "inspect/tls_hello.h"
#include "nat/nat_policy.h"
#include "vrrp/vrrp_packet.h"

#include <string.h>

/* ---- a rule ---- */

static bool flags_match(const struct pol_service *s, uint8_t flags)
{
	for (unsigned i = 0; i < s->n_flags; i++) {
		if ((flags & s->flags[i].mask) == s->flags[i].value)
			return true;
	}
	return !s->n_flags;
}

static bool looks_deep(const struct pol_service *s)
{
	return s->sport || s->dport || s->has_icmp_type || s->has_icmp_code || s->n_flags;
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

/* ---- connections that live ---- */

static bool asks_flags(const struct pol_rule *r)
{
	for (size_t i = 0; i < r->n_services; i++) {
		if (r->services[i].n_flags)
			return true;
	}
	return false;
}

/* For what the connection table does not keep. */
static bool asks_more(const struct pol_rule *r)
{
	return r->dscp || r->ttl_lo || r->ttl_hi != UINT8_MAX || r->len_lo ||
	       r->len_hi != UINT16_MAX || asks_flags(r);
}

static bool asks_same_flags(const struct pol_rule *a, const struct pol_rule *b)
{
	if (a->n_services != b->n_services)
		return !asks_flags(a) && !asks_flags(b);
	for (size_t i = 0; i < a->n_services; i++) {
		const struct pol_service *x = &a->services[i], *y = &b->services[i];

		if (x->n_flags != y->n_flags ||
		    memcmp(x->flags, y->flags, x->n_flags * sizeof(*x->flags)))
			return false;
	}
	return true;
}

static bool asked_same(const struct policy *old, const struct pol_rule *r)
{
	const struct pol_rule *o = policy_rule(old, r->id, NULL);

	return o && o->dscp == r->dscp && o->ttl_lo == r->ttl_lo && o->ttl_hi == r->ttl_hi &&
	       o->len_lo == r->len_lo && o->len_hi == r->len_hi && asks_same_flags(o, r);
}

static bool was_met(const struct pol_packet *pkt, const struct pol_rule *r)
{
	const struct pol_past *p = pkt->past;
	bool class_line = pkt->past_class && r->action == POL_PERMIT;

	return (r->id == p->in || r->id == p->out || class_line) && asked_same(p->old, r);
}

/* ---- lines ---- */

static bool service_match(const struct pol_service *s, const struct pol_packet *pkt)
{
	if (s->proto != POL_PROTO_ANY && s->proto != pkt->proto)
		return false;
	if (!looks_deep(s))
		return true;
	if (pkt->later_fragment || ((s->sport || s->dport) && !has_ports(pkt->proto)))
		return false;
	return (!s->sport || pol_ports_has(s->sport, pkt->sport)) &&
	       (!s->dport || pol_ports_has(s->dport, pkt->dport)) &&
	       (!s->has_icmp_type || s->icmp_type == pkt->icmp_type) &&
	       (!s->has_icmp_code || s->icmp_code == pkt->icmp_code) &&
	       (pkt->past || flags_match(s, pkt->tcp_flags));
}

static bool header_match(const struct pol_rule *r, const struct pol_packet *pkt)
{
	return (!r->dscp || r->dscp >> pkt->dscp & 1) && pkt->ttl >= r->ttl_lo &&
	       pkt->ttl <= r->ttl_hi && pkt->len >= r->len_lo && pkt->len <= r->len_hi;
}

static bool name_match(const struct pol_rule *r, const struct pol_packet *pkt)
{
	return !r->tls_name || !pkt->server_name ||
	       (*pkt->server_name && tls_name_matches(r->tls_name, pkt->server_name));
}

bool pol_rule_match(const struct pol_rule *r, const struct pol_packet *pkt)
{
	if (!r->active || r->family != pkt->family || (r->fragments && !pkt->later_fragment) ||
	    (r->states && !(r->states >> pkt->state & 1)) ||
	    (pkt->past ? asks_more(r) && !was_met(pkt, r) : !header_match(r, pkt)) ||
	    (r->src && !pol_addrs_has(r->src, &pkt->src)) ||
	    (r->dst && !pol_addrs_has(r->dst, &pkt->dst)) || !name_match(r, pkt))
		return false;
	for (size_t i = 0; i < r->n_services; i++) {
		if (service_match(&r->services[i], pkt))
			return true;
	}
	return false;
}

const struct pol_rule *pol_list_match(const struct pol_list *l, const struct pol_packet *pkt)
{
	for (size_t i = 0; i < l->n; i++) {
		if (pol_rule_match(l->rules[i], pkt))
			return l->rules[i];
	}
	return NULL;
}

/* ---- what is judged before the connection is known ---- */

struct net {
	uint8_t len;
	uint8_t b[16];
};

/* RFC 6890, 1122: no sender has these. 0.0.0.0 and :: are how a host without address asks. */
static const struct net bad4_src[] = {
	{ 8, { 0 } }, { 8, { 127 } }, { 4, { 224 } }, { 4, { 240 } }
};
static const struct net bad4_dst[] = { { 8, { 0 } }, { 8, { 127 } } };
static const struct net bad6_src[] = {
	{ 128, { [15] = 1 } },
	{ 96, { [10] = 0xff, [11] = 0xff } },
	{ 8, { 0xff } },
};
static const struct net bad6_dst[] = {
	{ 128, { 0 } },
	{ 128, { [15] = 1 } },
	{ 96, { [10] = 0xff, [11] = 0xff } },
};

static bool in_nets(const struct net *v, size_t n, const struct rtr_addr *a)
{
	for (size_t i = 0; i < n; i++) {
		struct rtr_prefix p = { .addr = { .family = a->family }, .len = v[i].len };

		memcpy(p.addr.b, v[i].b, sizeof(p.addr.b));
		if (rtr_prefix_contains(&p, a))
			return true;
	}
	return false;
}

size_t pol_martians(uint8_t family, bool source, struct rtr_prefix *ret, size_t room)
{
	const struct net *v = family == AF_INET ? (source ? bad4_src : bad4_dst)
						: (source ? bad6_src : bad6_dst);
	size_t n = family == AF_INET ? (source ? ARRAY_LEN(bad4_src) : ARRAY_LEN(bad4_dst))
				     : (source ? ARRAY_LEN(bad6_src) : ARRAY_LEN(bad6_dst));

	for (size_t i = 0; i < n && i < room; i++) {
		ret[i] = (struct rtr_prefix){ .addr = { .family = family }, .len = v[i].len };
		memcpy(ret[i].addr.b, v[i].b, sizeof(v[i].b));
	}
	return n;
}

static bool is_martian(const struct pol_packet *p)
{
	if (p->family == AF_INET6)
		return in_nets(bad6_src, ARRAY_LEN(bad6_src), &p->src) ||
		       in_nets(bad6_dst, ARRAY_LEN(bad6_dst), &p->dst);
	return (!rtr_addr_is_any(&p->src) && in_nets(bad4_src, ARRAY_LEN(bad4_src), &p->src)) ||
	       in_nets(bad4_dst, ARRAY_LEN(bad4_dst), &p->dst);
}

/* ---- the stages ---- */

struct eval {
	const struct policy *p;
	const struct pol_world *w;
	struct pol_packet pkt; /* as it is at this stage */
	struct pol_verdict *v;
};

static bool stop(struct eval *e, enum pol_stage st)
{
	e->v->action = e->v->step[st].action;
	e->v->stage = st;
	return false;
}

/* Notes what a stage did; true when the packet goes on. */
static bool step(struct eval *e, enum pol_stage st, enum pol_action a, const struct rec *rec,
		 const char *why)
{
	e->v->step[st].ran = true;
	e->v->step[st].action = a;
	e->v->step[st].rec = rec;
	e->v->step[st].why = why;
	if (e->w->step)
		e->w->step(e->w->arg, st, &e->pkt);
	return a == POL_PERMIT || a == POL_PASS || stop(e, st);
}

static bool step_rule(struct eval *e, enum pol_stage st, const struct pol_list *l,
		      const struct pol_rule *r)
{
	e->v->step[st].rule = r;
	if (r && r->tls_name && !e->pkt.server_name)
		return step(e, st, POL_PERMIT, r->rec, "until the server name is known");
	return step(e, st, r ? r->action : POL_DENY, r ? r->rec : l->rec,
		    r ? "access list" : "end of the access list");
}

static bool is_answer(const struct pol_packet *p)
{
	return p->state == POL_ESTABLISHED || p->state == POL_RELATED;
}

static bool martian(struct eval *e)
{
	if (!e->p->martians || !*e->pkt.iif || !strcmp(e->pkt.iif, "lo"))
		return true;
	return step(e, POL_ST_MARTIAN, is_martian(&e->pkt) ? POL_DENY : POL_PERMIT, NULL,
		    is_martian(&e->pkt) ? "martian address" : "sane addresses");
}

static bool urpf(struct eval *e, const struct pol_iface *i)
{
	bool v6 = e->pkt.family == AF_INET6;
	enum pol_urpf mode = !i ? POL_URPF_OFF : v6 ? i->urpf6 : i->urpf4;
	bool ok;

	if (mode == POL_URPF_OFF)
		return true;
	/* Who has no address yet, or speaks on this link only, is not routed to. */
	ok = rtr_addr_is_any(&e->pkt.src) || (v6 && rtr_addr_is_linklocal(&e->pkt.src)) ||
	     (mode == POL_URPF_FEASIBLE &&
	      pol_addrs_has(v6 ? i->feasible6 : i->feasible4, &e->pkt.src)) ||
	     e->w->urpf(e->w->arg, i, &e->pkt.src);
	return step(e, POL_ST_URPF, ok ? POL_PERMIT : POL_DENY, i->rec,
		    ok ? "source is routed back" : "source is not routed back");
}

/* Neighbour solicitations and advertisements: without them there is no link. */
bool pol_is_nd(const struct pol_packet *p)
{
	return p->family == AF_INET6 && p->proto == IPPROTO_ICMPV6 && p->ttl == 255 &&
	       (p->icmp_type == 135 || p->icmp_type == 136);
}

static bool list_stage(struct eval *e, enum pol_stage st, const struct pol_list *l)
{
	if (!l)
		return true;
	if (is_answer(&e->pkt))
		return step(e, st, POL_PERMIT, NULL, "of a known connection");
	if (pol_is_nd(&e->pkt))
		return step(e, st, POL_PERMIT, NULL, "neighbour discovery");
	return step_rule(e, st, l, pol_list_match(l, &e->pkt));
}

static uint16_t zone_of(const struct policy *p, const char *ifname)
{
	const struct pol_iface *i = *ifname ? policy_iface(p, ifname) : NULL;

	return !*ifname ? POL_ZONE_SELF : i ? i->zone : POL_ZONE_NONE;
}

bool pol_class_match(const struct pol_class *c, const struct pol_packet *pkt,
		     const struct pol_rule **ret)
{
	struct pol_packet past;

	if (pkt->past && c->id == pkt->past->pair) {
		past = *pkt;
		past.past_class = true;
		pkt = &past;
	}
	for (size_t i = 0; i < c->n_matches; i++) {
		const struct pol_list *l = pkt->family == AF_INET6 ? c->matches[i].list6
								   : c->matches[i].list4;
		const struct pol_rule *r = l ? pol_list_match(l, pkt) : NULL;
		bool is = r && r->action == POL_PERMIT;

		if (is)
			*ret = r;
		if (is != c->match_all)
			return is;
	}
	return c->match_all || !c->n_matches;
}

static bool pair_stage(struct eval *e, enum pol_stage st, const struct pol_pair *pair)
{
	for (size_t i = 0; i < pair->n_classes; i++) {
		const struct pol_class *c = &pair->classes[i];
		const struct pol_rule *r = NULL;

		if (!pol_class_match(c, &e->pkt, &r))
			continue;
		e->v->step[st].rule = r;
		e->v->step[st].cls = c;
		if (r && r->tls_name && !e->pkt.server_name)
			return step(e, st, POL_PERMIT, c->rec, "until the server name is known");
		return step(e, st, c->action, c->rec, "class of the zone pair");
	}
	return step(e, st, POL_DENY, pair->rec, "no class of the zone pair");
}

/* A `pass` class lets one direction through: what comes back is judged. */
static bool judged_again(const struct pol_packet *p)
{
	return p->state == POL_ESTABLISHED && p->reply && p->pass;
}

static bool local_rules(struct eval *e)
{
	for (size_t i = 0; i < e->p->n_locals; i++) {
		const struct pol_local *l = &e->p->locals[i];

		if ((!*l->iface || !strcmp(l->iface, e->pkt.iif)) &&
		    pol_rule_match(l->rule, &e->pkt)) {
			e->v->step[POL_ST_LOCAL].rule = l->rule;
			return step(e, POL_ST_LOCAL, POL_PERMIT, l->rule->rec, l->why);
		}
	}
	return false;
}

static bool local_stage(struct eval *e)
{
	const struct pol_zone *z = policy_zone(e->p, e->v->zone_in);
	const struct pol_pair *pair = policy_pair(e->p, e->v->zone_in, POL_ZONE_SELF);
	const struct pol_iface *in = policy_iface(e->p, e->pkt.iif);

	if (!strcmp(e->pkt.iif, "lo"))
		return step(e, POL_ST_LOCAL, POL_PERMIT, NULL, "from the box itself");
	if (in && policy_untracked(e->p, in) &&
	    !(e->p->nat && nat_is_global(e->p->nat, &e->pkt.dst)))
		return step(e, POL_ST_LOCAL, POL_PERMIT, z->rec, "management zone");
	if (e->pkt.state == POL_INVALID && e->p->stateful)
		return step(e, POL_ST_LOCAL, POL_DENY, NULL, "invalid state");
	if (is_answer(&e->pkt) && !judged_again(&e->pkt))
		return step(e, POL_ST_LOCAL, POL_PERMIT, NULL, "of a known connection");
	if (!e->p->n_zones)
		return step(e, POL_ST_LOCAL, POL_PERMIT, NULL, "no zones");
	if (z && z->management)
		return step(e, POL_ST_LOCAL, POL_PERMIT, z->rec, "management zone");
	if (local_rules(e))
		return true;
	if (pair)
		return pair_stage(e, POL_ST_LOCAL, pair);
	return step(e, POL_ST_LOCAL, POL_DENY, z ? z->rec : NULL, "the box is closed");
}

static bool zone_stage(struct eval *e)
{
	uint16_t in = e->v->zone_in, out = e->v->zone_out;
	const struct pol_pair *pair = policy_pair(e->p, in, out);

	/* What the box itself sends is open unless a pair says otherwise. */
	if (in == POL_ZONE_SELF && (!pair || !strcmp(e->v->oif, "lo")))
		return true;
	if (in != POL_ZONE_SELF && e->pkt.state == POL_INVALID && e->p->stateful)
		return step(e, POL_ST_ZONE, POL_DENY, NULL, "invalid state");
	if (is_answer(&e->pkt) && !judged_again(&e->pkt))
		return step(e, POL_ST_ZONE, POL_PERMIT, NULL, "of a known connection");
	if (!e->p->n_zones)
		return step(e, POL_ST_ZONE, POL_PERMIT, NULL, "no zones");
	if (in == out)
		return step(e, POL_ST_ZONE, POL_PERMIT, NULL,
			    in == POL_ZONE_NONE ? "between interfaces in no zone"
						: "within one zone");
	if (in == POL_ZONE_SELF && pol_is_nd(&e->pkt))
		return step(e, POL_ST_ZONE, POL_PERMIT, NULL, "neighbour discovery");
	if (in == POL_ZONE_SELF && e->pkt.proto == VRRP_PROTO)
		return step(e, POL_ST_ZONE, POL_PERMIT, NULL, "vrrp");
	if (pair)
		return pair_stage(e, POL_ST_ZONE, pair);
	return step(e, POL_ST_ZONE, POL_DENY, NULL, "no zone pair");
}

/* What comes or goes by an alias comes or goes by its interface. */
static void to_iface(const struct policy *p, char name[IFNAMSIZ])
{
	const char *iface = pol_alias_iface(p->aliases, name);

	if (iface != name)
		rtr_strlcpy(name, iface, IFNAMSIZ);
}

static bool route_stage(struct eval *e)
{
	bool found = e->w->route(e->w->arg, &e->pkt, &e->pkt.dst, e->v->oif, &e->v->local);

	to_iface(e->p, e->v->oif);
	return step(e, POL_ST_ROUTE, found ? POL_PERMIT : POL_DENY, NULL,
		    !found        ? "no route"
		    : e->v->local ? "to the box itself"
				  : "routed");
}

/* Translation is decided by the first packet; answers are led back by their connection. */
static bool translates(const struct pol_packet *p)
{
	return !is_answer(p) || !p->reply;
}

/* Prefix translation is done next to the wire, before all else. */
static void npt_in(struct eval *e)
{
	struct pol_xlate x = nat_npt_in(e->p->nat, &e->pkt, e->pkt.iif);

	if (!x.on)
		return;
	nat_xlate_addr(&x, &e->pkt.dst);
	e->v->dnat = x;
}

/* A connection that lives was let through. */
static bool guard_stage(struct eval *e)
{
	if (e->pkt.past || !nat_guarded(e->p->nat, &e->pkt))
		return true;
	return step(e, POL_ST_DNAT, POL_DENY, NULL,
		    e->pkt.state == POL_INVALID ? "of no connection, to a shared address"
						: "of no connection, to a port of the fast plane");
}

static void dnat_stage(struct eval *e)
{
	struct pol_xlate x = { 0 };

	if (translates(&e->pkt))
		x = nat_dnat(e->p->nat, &e->pkt, e->pkt.iif);
	if (!x.on)
		return;
	nat_xlate_addr(&x, &e->pkt.dst);
	if (x.port_lo)
		e->pkt.dport = x.port_lo;
	e->v->dnat = x;
	step(e, POL_ST_DNAT, POL_PERMIT, x.rec, "destination translated");
}

static void snat_stage(struct eval *e, const struct pol_packet *received)
{
	struct pol_xlate x = { 0 };

	if (translates(&e->pkt))
		x = nat_snat(e->p->nat, &e->pkt, e->v->dnat.on ? received : NULL, e->pkt.iif,
			     e->v->oif);
	if (!x.on) {
		const struct rec *exempt = x.rec;

		x = nat_npt_out(e->p->nat, &e->pkt, e->v->oif);
		if (!x.on && !exempt)
			return;
		if (!x.on)
			x.rec = exempt;
	}
	e->v->snat = x;
	step(e, POL_ST_SNAT, POL_PERMIT, x.rec, x.on ? "source translated" : "exempt");
}

void policy_eval(const struct policy *p, const struct pol_packet *pkt, const struct pol_world *w,
		 struct pol_verdict *ret)
{
	const struct pol_iface *in = *pkt->iif ? policy_iface(p, pkt->iif) : NULL, *out;
	bool v6 = pkt->family == AF_INET6;
	struct eval e = { .p = p, .w = w, .pkt = *pkt, .v = ret };

	*ret = (struct pol_verdict){ .action = POL_PERMIT, .stage = POL_ST_SNAT };
	to_iface(p, e.pkt.iif);
	ret->zone_in = zone_of(p, pkt->iif);
	npt_in(&e);
	if (!martian(&e) || !urpf(&e, in) ||
	    (in && !list_stage(&e, POL_ST_IN, v6 ? in->in6 : in->in4)))
		return;
	if (!guard_stage(&e))
		return;
	dnat_stage(&e);
	if (!route_stage(&e))
		return;
	/* From here on as it leaves: a rule of `out` sees the lower number. */
	if (*pkt->iif && !ret->local)
		e.pkt.ttl--;
	if (ret->local) {
		ret->zone_out = POL_ZONE_SELF;
		if (*pkt->iif)
			local_stage(&e);
		return;
	}
	ret->zone_out = zone_of(p, ret->oif);
	if (!zone_stage(&e))
		return;
	out = policy_iface(p, ret->oif);
	if (*pkt->iif && out && !list_stage(&e, POL_ST_OUT, v6 ? out->out6 : out->out4))
		return;
	snat_stage(&e, pkt);
}
