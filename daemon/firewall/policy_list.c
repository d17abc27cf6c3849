/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Access lists of a policy: each line resolved once, and kept as long as nothing of it changes. */
#include "firewall/policy_impl.h"

#include "domain.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>

/* ---- references ---- */

const struct pol_rule *pol_rule_ref(const struct pol_rule *r)
{
	((struct pol_rule *)(uintptr_t)r)->refs++;
	return r;
}

const struct pol_rule *pol_rule_unref(const struct pol_rule *r)
{
	struct rule *w = (struct rule *)(uintptr_t)r;

	if (!w || --w->pub.refs)
		return NULL;
	pol_addrs_unref(w->pub.src);
	pol_addrs_unref(w->pub.dst);
	svc_set_unref(w->svc);
	free(w);
	return NULL;
}

const struct pol_list *pol_list_ref(const struct pol_list *l)
{
	if (l)
		((struct pol_list *)(uintptr_t)l)->refs++;
	return l;
}

const struct pol_list *pol_list_unref(const struct pol_list *l)
{
	struct pol_list *w = (struct pol_list *)(uintptr_t)l;

	if (!w || --w->refs)
		return NULL;
	for (size_t i = 0; i < w->n; i++)
		pol_rule_unref(w->rules[i]);
	free((void *)(uintptr_t)w->rules);
	free(w);
	return NULL;
}

/* ---- identity ---- */

pol_id pol_id_of(const char *what, uint8_t family, uint32_t seq, uint32_t salt)
{
	uint64_t h = hash_bytes(what, strlen(what), family);
	pol_id id;

	do {
		h = hash_mix64(h + ((uint64_t)salt << 32 | seq) * 0x9e3779b97f4a7c15ull + 1);
		id = (pol_id)POL_LABEL_ID(h);
	} while (id < POL_ID_MIN);
	return id;
}

static struct id_slot *id_find(const struct policy_impl *p, pol_id id)
{
	size_t i = (size_t)hash_mix64(id) & (p->n_slots - 1);

	while (p->slot[i].id && p->slot[i].id != id)
		i = (i + 1) & (p->n_slots - 1);
	return &p->slot[i];
}

static void id_add(struct policy_impl *p, const struct pol_rule *r, const struct pol_list *l)
{
	*id_find(p, r->id) = (struct id_slot){ .id = r->id, .rule = r, .list = l };
}

static bool same_list(const struct pol_list *l, const char *name, uint8_t family)
{
	return l->family == family && !strcmp(l->name, name);
}

/* Free in what is being built, and in the old policy free or this very line's. */
static bool id_usable(const struct build *b, pol_id id, const char *name, uint8_t family,
		      uint32_t seq)
{
	const struct id_slot *s;

	if (id_find(b->p, id)->id)
		return false;
	s = b->old ? id_find(b->old, id) : NULL;
	return !s || !s->id || (s->rule->seq == seq && same_list(s->list, name, family));
}

static pol_id id_new(const struct build *b, const char *name, uint8_t family, uint32_t seq)
{
	for (uint32_t salt = 0;; salt++) {
		pol_id id = pol_id_of(name, family, seq, salt);

		if (id_usable(b, id, name, family, seq))
			return id;
	}
}

const struct pol_rule *policy_rule(const struct policy *p, pol_id id, const struct pol_list **list)
{
	const struct policy_impl *impl = (const void *)p;
	const struct id_slot *s = id_find(impl, id);

	if (!id || !s->id)
		return NULL;
	if (list)
		*list = s->list;
	return s->rule;
}

/* ---- one line ---- */

static struct svc_set *svc_alloc(size_t n)
{
	struct svc_set *s = xcalloc(1, sizeof(*s) + n * sizeof(*s->v));

	s->refs = 1;
	s->n = n;
	for (size_t i = 0; i < n; i++)
		s->v[i].proto = POL_PROTO_ANY;
	return s;
}

static void add_flags(struct pol_service *s, uint8_t set, uint8_t clear)
{
	s->flags[s->n_flags].mask = set | clear;
	s->flags[s->n_flags++].value = set;
}

#define TCP_ACK 0x10
#define TCP_RST 0x04

static void ace_flags(const struct ace *a, struct pol_service *s)
{
	const struct acl_flags *w[ACE_FLAG_WORDS] = { &a->flags1, &a->flags2, &a->flags3,
						      &a->flags4 };
	struct acl_flags all = { 0 };
	unsigned n = 0;

	if (a->established) {
		add_flags(s, TCP_ACK, 0);
		add_flags(s, TCP_RST, 0);
		return;
	}
	for (unsigned i = 0; i < ACE_FLAG_WORDS; i++) {
		all.set |= w[i]->set;
		all.clear |= w[i]->clear;
		n += (w[i]->set | w[i]->clear) != 0;
	}
	if (!n)
		return;
	if (!a->tcp_match) {
		add_flags(s, all.set, all.clear);
		return;
	}
	/* match-any: each flag by itself. fw_check has seen that there are at most four. */
	for (unsigned bit = 0; bit < 8 && s->n_flags < ARRAY_LEN(s->flags); bit++) {
		if (all.set >> bit & 1)
			add_flags(s, (uint8_t)(1 << bit), 0);
		else if (all.clear >> bit & 1)
			add_flags(s, 0, (uint8_t)(1 << bit));
	}
}

static struct svc_set *ace_service(const struct build *b, const struct ace *a, uint8_t family)
{
	const struct group *g = a->service ? group_find(b->p->svcs, b->p->n_svcs, a->service)
					   : NULL;
	struct svc_set *set;
	struct pol_service *s;

	if (a->service)
		return g ? svc_set_ref(g->svc[family == AF_INET6]) : svc_alloc(0);
	set = svc_alloc(1);
	s = &set->v[0];
	s->proto = a->proto;
	if (SCH_HAS(a, sport))
		s->sport = pol_ports_of(&a->sport);
	if (SCH_HAS(a, dport))
		s->dport = pol_ports_of(&a->dport);
	if (SCH_HAS(a, icmp)) {
		s->has_icmp_type = true;
		s->icmp_type = a->icmp.type;
		s->has_icmp_code = a->icmp.has_code || SCH_HAS(a, icmp_code);
		s->icmp_code = a->icmp.has_code ? a->icmp.code : a->icmp_code;
	}
	ace_flags(a, s);
	return set;
}

struct ace_side {
	const char *group;
	const struct acl_addr *addr;
	const struct rtr_addr *lo, *hi;
};

/* NULL: any. */
static const struct pol_addrs *ace_addrs(struct build *b, const struct rec *rec,
					 const struct ace_side *s, uint8_t family)
{
	const struct group *g = s->group ? group_find(b->p->nets, b->p->n_nets, s->group) : NULL;
	struct pol_ranges l = { 0 };
	struct rtr_addr any = { .family = family };
	const struct pol_addrs *a;

	memset(any.b, 0xff, rtr_family_size(family));
	if (g)
		return pol_addrs_ref(g->addrs[family == AF_INET6]);
	if (!s->group && !s->lo && !memcmp(&s->addr->wild, &any, sizeof(any)))
		return NULL;
	if (s->lo)
		pol_ranges_add(&l, s->lo, s->hi);
	else if (!s->group)
		pol_ranges_add_wild(&l, s->addr);
	a = pol_ranges_set(&l, family, NULL);
	pol_ranges_fini(&l);
	return a;
}

static bool range_active(const struct build *b, const char *name, const struct rec **ret)
{
	const struct rec *r = name ? fw_named(b->model, &trange_type, name) : NULL;

	*ret = r;
	return !name || (r && trange_active((const void *)r, b->now));
}

static const char *helper_name(const struct ace *a)
{
#define X(word, kernel, proto) kernel,
	static const char *const names[] = { FW_HELPERS(X) };
#undef X

	return SCH_HAS(a, helper) && a->helper < ARRAY_LEN(names) ? names[a->helper] : NULL;
}

static const struct pol_rule *ace_rule(struct build *b, const char *list, const struct ace *a,
				       uint8_t family)
{
	static const enum pol_action actions[] = { POL_PERMIT, POL_DENY, POL_REJECT };
	struct ace_side src = { .group = a->src_group, .addr = &a->src };
	struct ace_side dst = { .group = a->dst_group, .addr = &a->dst };
	struct rule *r = xcalloc(1, sizeof(*r));
	struct pol_rule *p = &r->pub;

	if (SCH_HAS(a, src_lo)) {
		src.lo = &a->src_lo;
		src.hi = &a->src_hi;
	}
	if (SCH_HAS(a, dst_lo)) {
		dst.lo = &a->dst_lo;
		dst.hi = &a->dst_hi;
	}
	p->refs = 1;
	p->rec = &a->rec;
	p->seq = a->seq;
	p->family = family;
	p->action = actions[a->action];
	p->src = ace_addrs(b, &a->rec, &src, family);
	p->dst = ace_addrs(b, &a->rec, &dst, family);
	r->svc = ace_service(b, a, family);
	r->svc_group = a->service ? fw_named(b->model, &og_service_type, a->service) : NULL;
	p->services = r->svc->v;
	p->n_services = r->svc->n;
	p->dscp = SCH_HAS(a, dscp) ? 1ull << a->dscp : 0;
	p->ttl_lo = SCH_HAS(a, ttl) ? (uint8_t)a->ttl.lo : 0;
	p->ttl_hi = SCH_HAS(a, ttl) ? (uint8_t)a->ttl.hi : 255;
	p->len_lo = SCH_HAS(a, length) ? a->length.lo : 0;
	p->len_hi = SCH_HAS(a, length) ? a->length.hi : 65535;
	p->fragments = a->fragments;
	p->states = a->states;
	p->active = range_active(b, a->time_range, &p->time_range);
	p->log = a->log;
	p->log_rate = a->log_rate;
	p->limit = (struct pol_limit){
		.rate = a->limit_rate,
		.burst = a->burst,
		.conns = a->connections,
		.per_source = a->per_source,
	};
	p->helper = helper_name(a);
	p->tls_name = a->server_name;
	p->id = id_new(b, list, family, a->seq);
	return p;
}

static const struct pol_rule *std_rule(struct build *b, const char *list, const struct std_ace *a)
{
	struct ace_side src = { .addr = &a->src };
	struct rule *r = xcalloc(1, sizeof(*r));

	r->svc = svc_alloc(1);
	r->pub = (struct pol_rule){
		.refs = 1,
		.id = id_new(b, list, AF_INET, a->seq),
		.seq = a->seq,
		.action = a->action ? POL_DENY : POL_PERMIT,
		.family = AF_INET,
		.src = ace_addrs(b, &a->rec, &src, AF_INET),
		.n_services = 1,
		.services = r->svc->v,
		.ttl_hi = 255,
		.len_hi = 65535,
		.active = true,
		.log = a->log,
		.rec = &a->rec,
	};
	return &r->pub;
}

const struct pol_rule *pol_rule_make(const struct pol_rule *spec, const struct pol_service *svc,
				     pol_id id)
{
	struct rule *r = xcalloc(1, sizeof(*r));

	r->svc = svc_alloc(1);
	r->svc->v[0] = *svc;
	r->pub = *spec;
	r->pub.refs = 1;
	r->pub.id = id;
	r->pub.services = r->svc->v;
	r->pub.n_services = 1;
	return &r->pub;
}

/* ---- a list ---- */

/* The old rule of a line stands when the line, its groups and its hour are the same. */
static bool rule_stands(const struct build *b, const struct pol_rule *old, const struct ace *a,
			uint8_t family)
{
	const struct rule *w = (const void *)old;
	bool v6 = family == AF_INET6;
	const struct group *g;
	const struct rec *tr;

	if (old->rec != &a->rec)
		return false;
	if (a->src_group) {
		g = group_find(b->p->nets, b->p->n_nets, a->src_group);
		if (!g || old->src != g->addrs[v6])
			return false;
	}
	if (a->dst_group) {
		g = group_find(b->p->nets, b->p->n_nets, a->dst_group);
		if (!g || old->dst != g->addrs[v6])
			return false;
	}
	if (a->service) {
		g = group_find(b->p->svcs, b->p->n_svcs, a->service);
		if (!g || w->svc != g->svc[v6] || w->svc_group != g->rec)
			return false;
	}
	return !a->time_range ||
	       (range_active(b, a->time_range, &tr) == old->active && tr == old->time_range);
}

static void index_list(struct policy_impl *p, const struct pol_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		id_add(p, l->rules[i], l);
}

static const struct pol_list *list_new(const char *name, uint8_t family, const struct rec *rec,
				       const struct pol_rule **rules, size_t n)
{
	struct pol_list *l = xcalloc(1, sizeof(*l));

	*l = (struct pol_list){ .refs = 1,
				.name = name,
				.family = family,
				.n = n,
				.rules = rules,
				.rec = rec,
				.no_names = true,
				.no_effects = true,
				.no_sets = true };
	for (size_t i = 0; i < n; i++) {
		const struct pol_rule *r = rules[i];

		l->no_names &= !r->tls_name;
		l->no_effects &= !r->log && !r->helper && !r->limit.rate && !r->limit.conns;
		l->no_sets &= (!r->src || r->src->n == 1) && (!r->dst || r->dst->n == 1);
	}
	return l;
}

/* The old rule of a line's number, walking beside it. */
static const struct pol_rule *old_rule(const struct pol_list *old, size_t *at, uint32_t seq)
{
	while (old && *at < old->n && old->rules[*at]->seq < seq)
		(*at)++;
	return old && *at < old->n && old->rules[*at]->seq == seq ? old->rules[*at] : NULL;
}

static const struct pol_list *build_list(struct build *b, const struct rec *rec, uint8_t family)
{
	bool std = rec->type == &acl_std_type;
	const struct sch_type *kid = std                  ? &std_ace_type
				     : family == AF_INET6 ? &ace6_type
							  : &ace4_type;
	const char *name = ((const struct acl *)(const void *)rec)->name;
	const struct recvec *v = rec_kids(rec, kid);
	const struct pol_list *old = b->old ? policy_list(&b->old->pub, family, name) : NULL, *l;
	const struct pol_rule **rules = xcalloc(v->len, sizeof(*rules));
	size_t n = 0, at = 0;
	bool same = old && old->rec == rec;

	for (size_t i = 0; i < v->len; i++) {
		const struct ace *a = (const void *)v->v[i];
		const struct std_ace *s = (const void *)v->v[i];
		const struct pol_rule *o;

		if (std ? s->remark != NULL : a->remark != NULL)
			continue;
		o = old_rule(old, &at, std ? s->seq : a->seq);
		if (o && (std ? o->rec == v->v[i] : rule_stands(b, o, a, family)))
			rules[n] = pol_rule_ref(o);
		else
			rules[n] = std ? std_rule(b, name, s) : ace_rule(b, name, a, family);
		same = same && o == rules[n];
		n++;
	}
	if (same && n == old->n) {
		for (size_t i = 0; i < n; i++)
			pol_rule_unref(rules[i]);
		free(rules);
		l = pol_list_ref(old);
	} else {
		l = list_new(name, family, rec, rules, n);
	}
	index_list(b->p, l);
	return l;
}

/* ---- match protocol ---- */

#define P(name, tcp, udp, port)                                                                    \
	{                                                                                          \
		name, "protocol " name, { tcp, udp }, port                                         \
	}
#define T IPPROTO_TCP
#define U IPPROTO_UDP
static const struct fw_protocol protocols[] = {
	P("bgp", T, 0, 179),
	P("dhcp", U, 0, 67),
	P("dns", T, U, 53),
	P("ftp", T, 0, 21),
	P("h323", T, 0, 1720),
	P("http", T, 0, 80),
	P("https", T, 0, 443),
	P("icmp", IPPROTO_ICMP, IPPROTO_ICMPV6, 0),
	P("imap", T, 0, 143),
	P("imaps", T, 0, 993),
	P("ipsec", IPPROTO_ESP, IPPROTO_AH, 0),
	P("isakmp", U, 0, 500),
	P("ldap", T, 0, 389),
	P("ldaps", T, 0, 636),
	P("ntp", U, 0, 123),
	P("pop3", T, 0, 110),
	P("pop3s", T, 0, 995),
	P("pptp", T, 0, 1723),
	P("quic", U, 0, 443),
	P("radius", U, 0, 1812),
	P("rdp", T, U, 3389),
	P("sip", T, U, 5060),
	P("smtp", T, 0, 25),
	P("snmp", U, 0, 161),
	P("ssh", T, 0, 22),
	P("submission", T, 0, 587),
	P("syslog", U, 0, 514),
	P("tcp", T, 0, 0),
	P("telnet", T, 0, 23),
	P("tftp", U, 0, 69),
	P("udp", U, 0, 0),
};
#undef P
#undef T
#undef U

const struct fw_protocol *fw_protocol_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		if (!strcasecmp(protocols[i].name, name))
			return &protocols[i];
	}
	return NULL;
}

static const struct pol_list *build_protocol(struct build *b, const struct fw_protocol *p,
					     uint8_t family)
{
	const struct pol_list *l = b->old ? policy_list(&b->old->pub, family, p->list) : NULL;
	struct pol_rule spec = { .action = POL_PERMIT,
				 .family = family,
				 .ttl_hi = 255,
				 .len_hi = 65535,
				 .active = true };
	const struct pol_rule **rules;
	size_t n = 0;

	if (l) {
		index_list(b->p, l);
		return pol_list_ref(l);
	}
	rules = xcalloc(ARRAY_LEN(p->proto), sizeof(*rules));
	for (size_t i = 0; i < ARRAY_LEN(p->proto); i++) {
		struct pol_service s = { .proto = p->proto[i] };
		struct acl_ports port = { .op = ACL_PORT_EQ,
					  .n = 1,
					  .r = { { p->port, p->port } } };

		if (!p->proto[i] ||
		    p->proto[i] == (family == AF_INET6 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
			continue;
		s.dport = p->port ? pol_ports_of(&port) : NULL;
		spec.seq = (uint32_t)(10 * (i + 1));
		rules[n++] = pol_rule_make(&spec, &s, id_new(b, p->list, family, spec.seq));
	}
	l = list_new(p->list, family, NULL, rules, n);
	index_list(b->p, l);
	return l;
}

/* ---- all of them ---- */

struct lists {
	const struct pol_list **v;
	size_t n, room;
};

static void add_list(struct lists *l, const struct pol_list *one)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->n++] = one;
}

static void add_protocols(struct build *b, struct lists *l)
{
	const struct recvec *maps = rec_kids(b->model, &cmap_type);
	bool used[ARRAY_LEN(protocols)] = { false };
	const struct cmap *m;

	recvec_foreach(maps, m) {
		const struct recvec *v = rec_kids(&m->rec, &cmap_proto_type);
		const struct cmap_proto *cp;

		recvec_foreach(v, cp) {
			const struct fw_protocol *p = fw_protocol_find(cp->protocol);

			if (!p || used[p - protocols])
				continue;
			used[p - protocols] = true;
			add_list(l, build_protocol(b, p, AF_INET));
			add_list(l, build_protocol(b, p, AF_INET6));
		}
	}
}

static int list_cmp(const struct pol_list *l, uint8_t family, const char *name)
{
	return l->family != family ? (int)l->family - family : strcmp(l->name, name);
}

static int list_order(const void *a, const void *b)
{
	const struct pol_list *x = *(const struct pol_list *const *)a;
	const struct pol_list *y = *(const struct pol_list *const *)b;

	return list_cmp(x, y->family, y->name);
}

static size_t count_lines(const struct rec *model)
{
	static const struct {
		struct sch_type *list, *line;
	} kinds[] = { { &acl4_type, &ace4_type },
		      { &acl6_type, &ace6_type },
		      { &acl_std_type, &std_ace_type } };
	size_t n = 4 * ARRAY_LEN(protocols);

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct recvec *v = rec_kids(model, kinds[k].list);

		for (size_t i = 0; i < v->len; i++)
			n += rec_kids(v->v[i], kinds[k].line)->len;
	}
	return n;
}

void build_lists(struct build *b)
{
	static struct sch_type *const types[] = { &acl4_type, &acl_std_type, &acl6_type };
	struct lists l = { 0 };

	b->p->n_slots = 64;
	while (b->p->n_slots < 2 * count_lines(b->model))
		b->p->n_slots *= 2;
	b->p->slot = xcalloc(b->p->n_slots, sizeof(*b->p->slot));
	for (size_t t = 0; t < ARRAY_LEN(types); t++) {
		const struct recvec *v = rec_kids(b->model, types[t]);

		for (size_t i = 0; i < v->len; i++)
			add_list(&l, build_list(b, v->v[i],
						types[t] == &acl6_type ? AF_INET6 : AF_INET));
	}
	add_protocols(b, &l);
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), list_order);
	b->p->pub.lists = l.v;
	b->p->pub.n_lists = l.n;
}

const struct pol_list *policy_list(const struct policy *p, uint8_t family, const char *name)
{
	size_t lo = 0, hi = p->n_lists;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = list_cmp(p->lists[mid], family, name);

		if (!c)
			return p->lists[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
