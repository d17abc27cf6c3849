/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Object groups of a policy: nested ones flattened, addresses merged. */
#include "firewall/policy_impl.h"

#include "domain.h"

#include <stdlib.h>
#include <string.h>

/* Groups nest at most so deep: far more than people read, and the recursion has a bound. */
#define NEST_MAX 16

struct svc_set *svc_set_ref(struct svc_set *s)
{
	if (s)
		s->refs++;
	return s;
}

struct svc_set *svc_set_unref(struct svc_set *s)
{
	if (!s || --s->refs)
		return NULL;
	for (size_t i = 0; i < s->n; i++) {
		pol_ports_unref(s->v[i].sport);
		pol_ports_unref(s->v[i].dport);
	}
	free(s);
	return NULL;
}

void groups_free(struct group *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (unsigned f = 0; f < 2; f++) {
			pol_addrs_unref(v[i].addrs[f]);
			svc_set_unref(v[i].svc[f]);
		}
	}
	free(v);
}

const struct group *group_find(const struct group *v, size_t n, const char *name)
{
	size_t lo = 0, hi = n;

	/* The model keeps groups sorted by name. */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(v[mid].name, name);

		if (!c)
			return &v[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct rec *fw_named(const struct rec *root, const struct sch_type *type, const char *name)
{
	const struct recvec *v = rec_kids(root, type);
	size_t lo = 0, hi = v->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(((const struct og *)(const void *)v->v[mid])->name, name);

		if (!c)
			return v->v[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* ---- networks ---- */

static void collect_net(struct build *b, const struct rec *g, struct pol_ranges *l, unsigned depth)
{
	const struct recvec *hosts = rec_kids(g, &og_host_type);
	const struct recvec *ranges = rec_kids(g, &og_range_type);
	const struct recvec *nested = rec_kids(g, &og_ngroup_type);
	const struct sch_type *nets[] = { &og_net4_type, &og_net6_type };
	const struct og_host *h;
	const struct og_range *r;
	const struct og_group *n;

	recvec_foreach(hosts, h) {
		pol_ranges_add(l, &h->host, &h->host);
	}
	recvec_foreach(ranges, r) {
		pol_ranges_add(l, &r->lo, &r->hi);
	}
	for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
		const struct recvec *v = rec_kids(g, nets[i]);
		const struct og_net *net;

		recvec_foreach(v, net) {
			pol_ranges_add_prefix(l, &net->net);
		}
	}
	recvec_foreach(nested, n) {
		const struct rec *in = fw_named(b->model, &og_network_type, n->group);

		if (in && depth < NEST_MAX)
			collect_net(b, in, l, depth + 1);
		else if (in)
			build_error(b, &n->rec, "groups nest deeper than %d, or in a circle",
				    NEST_MAX);
	}
}

/* The old set when it holds the same. */
static const struct pol_addrs *share_addrs(const struct pol_addrs *old, struct pol_addrs *new)
{
	if (!pol_addrs_equal(old, new))
		return new;
	pol_addrs_unref(new);
	return pol_addrs_ref(old);
}

static void build_net(struct build *b, struct group *g)
{
	const struct group *old = b->old ? group_find(b->old->nets, b->old->n_nets, g->name) : NULL;
	struct pol_ranges l = { 0 };

	collect_net(b, g->rec, &l, 0);
	for (unsigned f = 0; f < 2; f++)
		g->addrs[f] = share_addrs(old ? old->addrs[f] : NULL,
					  pol_ranges_set(&l, f ? AF_INET6 : AF_INET, g->name));
	pol_ranges_fini(&l);
}

/* ---- services ---- */

struct svc_list {
	struct pol_service *v;
	size_t n, room;
};

static struct pol_service *svc_add(struct svc_list *l)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->n] = (struct pol_service){ .proto = POL_PROTO_ANY };
	return &l->v[l->n++];
}

static void collect_icmp(const struct rec *g, const struct sch_type *type, uint16_t proto,
			 struct svc_list *l)
{
	const struct recvec *v = rec_kids(g, type);
	const struct og_icmp *i;

	recvec_foreach(v, i) {
		struct pol_service *s = svc_add(l);

		s->proto = proto;
		s->has_icmp_type = true;
		s->icmp_type = i->icmp.type;
		s->has_icmp_code = i->icmp.has_code;
		s->icmp_code = i->icmp.code;
	}
}

static void collect_svc(struct build *b, const struct rec *g, bool v6, struct svc_list *l,
			unsigned depth)
{
	const struct recvec *svcs = rec_kids(g, &og_svc_type);
	const struct recvec *nested = rec_kids(g, &og_sgroup_type);
	const struct og_service *o;
	const struct og_group *n;

	recvec_foreach(svcs, o) {
		struct pol_service *s;

		/* Each ICMP has its family. */
		if (o->proto == (v6 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
			continue;
		s = svc_add(l);
		s->proto = o->proto;
		if (SCH_HAS(o, sport))
			s->sport = pol_ports_of(&o->sport);
		if (SCH_HAS(o, dport))
			s->dport = pol_ports_of(&o->dport);
	}
	if (v6)
		collect_icmp(g, &og_icmp6_type, IPPROTO_ICMPV6, l);
	else
		collect_icmp(g, &og_icmp4_type, IPPROTO_ICMP, l);
	recvec_foreach(nested, n) {
		const struct rec *in = fw_named(b->model, &og_service_type, n->group);

		if (in && depth < NEST_MAX)
			collect_svc(b, in, v6, l, depth + 1);
		else if (in && !v6)
			build_error(b, &n->rec, "groups nest deeper than %d, or in a circle",
				    NEST_MAX);
	}
}

/* True when nothing below the group changed between two models. */
static bool same_deep(const struct rec *old_model, const struct rec *model, const struct rec *g,
		      unsigned depth)
{
	const struct recvec *nested = rec_kids(g, &og_sgroup_type);
	const struct og_group *n;

	if (fw_named(old_model, &og_service_type, ((const struct og *)(const void *)g)->name) != g)
		return false;
	recvec_foreach(nested, n) {
		const struct rec *in = fw_named(model, &og_service_type, n->group);

		if (in && (depth == NEST_MAX || !same_deep(old_model, model, in, depth + 1)))
			return false;
	}
	return true;
}

static void build_svc(struct build *b, struct group *g)
{
	const struct group *old = b->old ? group_find(b->old->svcs, b->old->n_svcs, g->name) : NULL;
	bool same = old && same_deep(b->old->pub.model, b->model, g->rec, 0);

	for (unsigned f = 0; f < 2; f++) {
		struct svc_list l = { 0 };

		if (same) {
			g->svc[f] = svc_set_ref(old->svc[f]);
			continue;
		}
		collect_svc(b, g->rec, f, &l, 0);
		g->svc[f] = xcalloc(1, sizeof(*g->svc[f]) + l.n * sizeof(*l.v));
		g->svc[f]->refs = 1;
		g->svc[f]->n = l.n;
		if (l.n)
			memcpy(g->svc[f]->v, l.v, l.n * sizeof(*l.v));
		free(l.v);
	}
}

static struct group *build_kind(struct build *b, const struct sch_type *type, size_t *ret_n,
				void (*fn)(struct build *b, struct group *g))
{
	const struct recvec *v = rec_kids(b->model, type);
	struct group *g = xcalloc(v->len, sizeof(*g));

	for (size_t i = 0; i < v->len; i++) {
		g[i].rec = v->v[i];
		g[i].name = ((const struct og *)(const void *)v->v[i])->name;
		fn(b, &g[i]);
	}
	*ret_n = v->len;
	return g;
}

void build_groups(struct build *b)
{
	b->p->nets = build_kind(b, &og_network_type, &b->p->n_nets, build_net);
	b->p->svcs = build_kind(b, &og_service_type, &b->p->n_svcs, build_svc);
}
