/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Routes by prefix. All routes of a prefix lie in one hash chain; the best of them, as the kernel
 * chooses, is what the prefix says in the LPM of its table. Where the choice depends on more than
 * metrics the prefix says "kernel".
 */
#include "fib_ctl_priv.h"
#include "hash.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LPM_DATA_BYTES ((size_t)256 << 20) /* 30 full tables, reserved, used as it is needed */
#define LPM_CTL_BYTES  ((size_t)512 << 20)

static void lpm_batch_done(struct fib_defer *d)
{
	lpm_retired_release(container_of((void *)d, struct lpm_retired, user));
}
_Static_assert(sizeof(struct fib_defer) <= sizeof(((struct lpm_retired *)0)->user),
	       "a batch carries its way through the grace period");

static void lpm_defer(void *ctx, struct lpm_retired *batch)
{
	struct fib_defer *d = (void *)batch->user;

	d->done = lpm_batch_done;
	fc_defer(ctx, d);
}

struct fib_table *fc_table_get(struct fibctl *c, uint8_t family, uint32_t id)
{
	unsigned fam = fib_fam(family);
	struct lpm_params p = { .max_data_bytes = LPM_DATA_BYTES,
				.max_ctl_bytes = LPM_CTL_BYTES,
				.defer = c->p.defer ? lpm_defer : NULL,
				.defer_ctx = c };
	struct fib_table *t, **end = &c->tables[fam];

	for (; *end; end = &(*end)->next)
		if ((*end)->id == id)
			return *end;
	if (c->st.n_tables >= FC_MAX_TABLES)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->id = id;
	t->family = family;
	if (fam ? lpm6_new(&p, &t->t6) : lpm4_new(&p, &t->t4)) {
		free(t);
		return NULL;
	}
	/* At the end: readers walk the list by its head (VRFs). */
	__atomic_store_n(end, t, __ATOMIC_RELEASE);
	c->st.n_tables++;
	return t;
}

int fc_routes_init(struct fibctl *c)
{
	static const uint32_t ids[] = { RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT };

	c->max_routes = (uint32_t)MIN(c->p.max_route_bytes / sizeof(*c->route), UINT32_MAX - 1);
	c->route = lpm_map((size_t)c->max_routes * sizeof(*c->route), false);
	c->n_route_ever = 1;
	c->route_hash_mask = 4095;
	c->route_hash_size = (c->route_hash_mask + 1) * sizeof(*c->route_hash);
	c->route_hash = lpm_map(c->route_hash_size, false);
	if (!c->route || !c->route_hash)
		return -ENOMEM;
	for (unsigned fam = 0; fam < FIB_FAMILIES; fam++) {
		for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
			if (!fc_table_get(c, (uint8_t)fc_family(fam), ids[i]))
				return -ENOMEM;
		c->f.touched[fam] = calloc(65536, sizeof(uint32_t));
		if (!c->f.touched[fam])
			return -ENOMEM;
	}
	/* Those that a prefix may need at any time. */
	c->path_of_reason[ELIG_ROUTE_TOS] = fc_path_kernel(c, ELIG_ROUTE_TOS);
	c->path_of_reason[ELIG_ROUTE_SOURCE] = fc_path_kernel(c, ELIG_ROUTE_SOURCE);
	c->path_of_reason[ELIG_ROUTE_TIE] = fc_path_kernel(c, ELIG_ROUTE_TIE);
	return c->path_of_reason[ELIG_ROUTE_TIE] ? 0 : -ENOMEM;
}

void fc_routes_fini(struct fibctl *c)
{
	for (unsigned fam = 0; fam < FIB_FAMILIES; fam++) {
		struct fib_table *t = c->tables[fam], *next;

		for (; t; t = next) {
			next = t->next;
			if (fam)
				lpm6_free(t->t6);
			else
				lpm4_free(t->t4);
			free(t);
		}
		free(c->f.touched[fam]);
	}
	if (c->route)
		lpm_unmap(c->route, (size_t)c->max_routes * sizeof(*c->route));
	if (c->route_hash)
		lpm_unmap(c->route_hash, c->route_hash_size);
}

/* What names a prefix in a table. */
struct where {
	union fib_ip dst;
	uint32_t table;
	uint8_t fam, len;
};

static uint32_t *chain(const struct fibctl *c, const struct where *w)
{
	uint64_t h = hash_mix64(w->dst.q[0] ^ hash_mix64((uint64_t)w->table << 16 | w->len));

	h = hash_mix64(h ^ w->dst.q[1]);
	return &c->route_hash[h & c->route_hash_mask];
}

static bool is_at(const struct fc_route *r, const struct where *w)
{
	return r->len == w->len && r->table == w->table && r->fam == w->fam &&
	       fib_ip_eq(&r->dst, &w->dst);
}

static struct where where_of(const struct fc_route *r)
{
	return (struct where){ r->dst, r->table, r->fam, r->len };
}

#define FOREACH_AT(c, w, r)                                                                        \
	for (uint32_t i_ = *chain(c, w); i_ && ((r) = &(c)->route[i_]); i_ = (r)->next)            \
		if (is_at(r, w))

static void rehash(struct fibctl *c)
{
	uint32_t mask = c->route_hash_mask * 2 + 1;
	size_t size = ((size_t)mask + 1) * sizeof(uint32_t);
	uint32_t *t = lpm_map(size, size >= (4u << 20));

	if (!t)
		return; /* chains grow, nothing else */
	lpm_unmap(c->route_hash, c->route_hash_size);
	c->route_hash = t;
	c->route_hash_mask = mask;
	c->route_hash_size = size;
	for (uint32_t i = 1; i < c->n_route_ever; i++) {
		struct fc_route *r = &c->route[i];
		struct where w = where_of(r);
		uint32_t *head = chain(c, &w);

		if (!(r->flags & FC_R_USED))
			continue;
		r->next = *head;
		*head = i;
	}
}

/* Bumps the generations under a prefix; a worker that looks again then finds the new route. */
static void touch(struct fibctl *c, unsigned fam, const union fib_ip *dst, unsigned len)
{
	unsigned whole = fam ? 32 : 16;
	uint32_t n = len >= whole ? 1 : 1u << MIN(whole - len, 17u);
	uint32_t base = ntohl(dst->w_be[0]);

	c->touched = true;
	if (n > 65536 / 4 && (fam || n >= 65536)) {
		fc_touch_all(c);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		union fib_ip a = { .w_be = { htonl(base + (fam ? i : i << 16)) } };

		__atomic_store_n(&c->f.touched[fam][fib_touch_bucket(fam, &a)], c->f.seq,
				 __ATOMIC_RELEASE);
	}
}

void fc_touch_all(struct fibctl *c)
{
	c->touched = c->touch_all = true;
}

void fc_touch_end(struct fibctl *c)
{
	for (unsigned fam = 0; c->touch_all && fam < FIB_FAMILIES; fam++)
		for (unsigned i = 0; i < 65536; i++)
			__atomic_store_n(&c->f.touched[fam][i], c->f.seq, __ATOMIC_RELEASE);
	if (c->touched)
		__atomic_store_n(&c->f.seq, c->f.seq + 1, __ATOMIC_RELEASE);
	c->touched = c->touch_all = false;
}

static bool is_tie(const struct fibctl *c, uint32_t a, uint32_t b)
{
	const struct fc_path *p = fc_path_at(c, a), *q = fc_path_at(c, b);

	/* Which of several local or blackhole routes it is makes no difference. */
	return p->verdict != q->verdict || p->reason != q->reason || p->verdict == FIB_V_FORWARD;
}

/* What a prefix leads to: an LPM's next hop, 0 = nothing. */
static uint32_t decide(const struct fibctl *c, const struct where *w)
{
	const struct fc_route *best = NULL, *r;
	uint32_t special = 0, nh;
	bool tie = false;

	FOREACH_AT(c, w, r)
	{
		if (r->flags & FC_R_DOOMED || !fc_path_at(c, r->path)->live)
			continue;
		if (r->src_len)
			special = ELIG_ROUTE_SOURCE;
		else if (r->tos)
			special = ELIG_ROUTE_TOS;
		if (!best || r->metric < best->metric) {
			best = r;
			tie = false;
		} else if (r->metric == best->metric) {
			tie |= is_tie(c, r->path, best->path);
		}
	}
	if (!best)
		return 0;
	nh = best->path;
	if (special || tie)
		nh = c->path_of_reason[special ? special : ELIG_ROUTE_TIE];
	return nh | (w->len ? 0 : FIB_NH_DEFAULT);
}

static int lpm_change(struct fib_table *t, const struct where *w, uint32_t nh)
{
	uint32_t a4 = ntohl(w->dst.v4_be);

	if (w->fam)
		return nh ? lpm6_set(t->t6, w->dst.b, w->len, nh)
			  : lpm6_del(t->t6, w->dst.b, w->len);
	return nh ? lpm4_set(t->t4, a4, w->len, nh) : lpm4_del(t->t4, a4, w->len);
}

static void publish(struct fibctl *c, const struct where *w)
{
	struct fib_table *t = fc_table_get(c, (uint8_t)fc_family(w->fam), w->table);
	uint32_t nh = decide(c, w), was;

	if (!t) {
		fc_limit(c, "routing tables");
		return;
	}
	was = w->fam ? lpm6_get(t->t6, w->dst.b, w->len)
		     : lpm4_get(t->t4, ntohl(w->dst.v4_be), w->len);
	if (was == nh)
		return;
	if (lpm_change(t, w, nh))
		fc_limit(c, "memory for routes");
	c->st.n_updates++;
	touch(c, w->fam, &w->dst, w->len);
}

static uint64_t route_key(const struct where *w, uint32_t metric, uint8_t tos, uint8_t src_len,
			  uint32_t path)
{
	struct {
		struct where w;
		uint32_t metric, path;
		uint8_t tos, src_len;
	} key;

	memset(&key, 0, sizeof(key));
	key.w.dst = w->dst;
	key.w.table = w->table;
	key.w.fam = w->fam;
	key.w.len = w->len;
	key.metric = metric;
	key.path = path;
	key.tos = tos;
	key.src_len = src_len;
	return fc_key(FIB_M_ROUTE, &key, sizeof(key));
}

static bool dumping(const struct fibctl *c, unsigned fam)
{
	return fc_nl_dumping(c, fam ? FC_D_ROUTE6 : FC_D_ROUTE4);
}

/* A path that a dump may still name for this route is a thing of the past. */
static void bury(struct fibctl *c, const struct fc_route *r)
{
	struct where w = where_of(r);

	if (dumping(c, r->fam))
		fc_tomb_add(c, route_key(&w, r->metric, r->tos, r->src_len, r->path));
}

/* told: by an event, which a dump that began before does not know of yet. */
static void route_remove(struct fibctl *c, struct fc_route *r, bool told)
{
	struct where w = where_of(r);
	uint32_t i = (uint32_t)(r - c->route), *p = chain(c, &w);
	uint32_t path = r->path;

	if (told)
		bury(c, r);
	while (*p != i)
		p = &c->route[*p].next;
	*p = r->next;
	r->flags = 0;
	r->next = c->route_free;
	c->route_free = i;
	c->n_routes--;
	c->st.n_routes[w.fam]--;
	publish(c, &w);
	fc_path_unref(c, path);
}

static struct fc_route *route_add(struct fibctl *c, const struct where *w)
{
	uint32_t i = c->route_free, *head;
	struct fc_route *r;

	if (i)
		c->route_free = c->route[i].next;
	else if (c->n_route_ever < c->max_routes)
		i = c->n_route_ever++;
	if (!i)
		return NULL;
	if (c->n_routes++ > c->route_hash_mask)
		rehash(c);
	r = &c->route[i];
	head = chain(c, w);
	*r = (struct fc_route){ .dst = w->dst,
				.next = *head,
				.table = w->table,
				.fam = w->fam,
				.len = w->len,
				.flags = FC_R_USED };
	*head = i;
	c->st.n_routes[w->fam]++;
	return r;
}

/* IPv6: whether the kernel joins it with others of its metric into one route of several hops. */
static bool joins(const struct fib_msg_route *r)
{
	return r->family == AF_INET6 && !r->nh_id && r->n_hops && r->hop[0].gw_family &&
	       r->protocol != RTPROT_RA;
}

/* Routes of one prefix, metric, type of service and kind, among which a message means one. */
struct peers {
	struct fc_route *same, *first;
	unsigned n;
};

static struct peers peers_of(struct fibctl *c, const struct where *w, const struct fib_msg_route *m,
			     uint32_t path, bool any_kind)
{
	struct peers p = { 0 };
	struct fc_route *r;

	FOREACH_AT(c, w, r)
	{
		if (r->metric != m->metric || r->tos != m->tos || r->src_len != m->src_len)
			continue;
		if (r->path == path)
			p.same = r;
		if (!any_kind && !(r->flags & FC_R_GATEWAY) == joins(m))
			continue;
		p.first = r;
		p.n++;
	}
	return p;
}

static void refresh(struct fibctl *c, struct fc_route *r, const struct fib_msg_route *m)
{
	r->epoch = c->epoch;
	r->flags &= (uint8_t)~FC_R_DOOMED;
	r->protocol = m->protocol;
}

/* Takes over the reference to path. */
static void repath(struct fibctl *c, struct fc_route *r, const struct fib_msg_route *m,
		   uint32_t path)
{
	struct where w = where_of(r);
	uint32_t old = r->path;

	bury(c, r);
	r->path = path;
	refresh(c, r, m);
	publish(c, &w);
	fc_path_unref(c, old);
}

/* Of the same metric, type of service and kind. */
static void remove_peers(struct fibctl *c, const struct where *w, const struct fib_msg_route *m,
			 const struct fc_route *keep)
{
	struct fc_route *r;

	for (;;) {
		struct fc_route *other = NULL;

		FOREACH_AT(c, w, r)
		if (r != keep && r->metric == m->metric && r->src_len == m->src_len &&
		    (r->flags & FC_R_GATEWAY))
			other = r;
		if (!other)
			return;
		route_remove(c, other, true);
	}
}

static void route_new(struct fibctl *c, const struct where *w, const struct fib_msg *m, bool dump)
{
	const struct fib_msg_route *in = &m->route;
	uint32_t path = fc_path_intern(c, in);
	struct peers p;
	struct fc_route *r;

	if (!path) {
		fc_limit(c, "sets of next hops");
		return;
	}
	p = peers_of(c, w, in, path, false);
	if (p.same) {
		bool was_doomed = p.same->flags & FC_R_DOOMED;

		refresh(c, p.same, in);
		if (was_doomed)
			publish(c, w);
		/* A dump was ahead of this event: what it replaced is still there. */
		if (!dump && (joins(in) || (m->replace && p.n == 2)))
			remove_peers(c, w, in, p.same);
		else if (!dump && m->replace && p.n > 2)
			fc_nl_want(c, 1u << (w->fam ? FC_D_ROUTE6 : FC_D_ROUTE4));
		fc_path_unref(c, path);
		return;
	}
	if (dump && fc_tomb_has(c, route_key(w, in->metric, in->tos, in->src_len, path))) {
		fc_path_unref(c, path);
		return;
	}
	if (!dump && m->replace && !p.n)
		p = peers_of(c, w, in, path, true);
	/* IPv6 tells of all hops of a route whenever one joins or leaves it: one set a metric. */
	if (joins(in) && p.n) {
		if (dump && p.first->epoch == c->epoch) {
			fc_path_unref(c, path);
			return;
		}
		p.first->flags |= FC_R_GATEWAY;
		repath(c, p.first, in, path);
		remove_peers(c, w, in, p.first);
		return;
	}
	if (!dump && m->replace && p.n == 1) {
		p.first->flags &= (uint8_t)~FC_R_GATEWAY;
		repath(c, p.first, in, path);
		return;
	}
	if (!dump && m->replace && p.n) /* which of them, only the kernel knows */
		fc_nl_want(c, 1u << (w->fam ? FC_D_ROUTE6 : FC_D_ROUTE4));
	r = route_add(c, w);
	if (!r) {
		fc_path_unref(c, path);
		fc_limit(c, "routes");
		return;
	}
	r->metric = in->metric;
	r->tos = in->tos;
	r->src_len = in->src_len;
	r->path = path;
	r->flags |= joins(in) ? FC_R_GATEWAY : 0;
	refresh(c, r, in);
	publish(c, w);
}

static bool hop_listed(const struct fib_hop *h, const struct fib_msg_route *m)
{
	for (unsigned i = 0; i < m->n_hops; i++)
		if (h->oif == m->hop[i].oif && h->nh_family == m->hop[i].gw_family &&
		    fib_ip_eq(&h->nh, &m->hop[i].gw))
			return true;
	return false;
}

/* IPv6: hops leave one by one. False when none is left. */
static bool without_hops(struct fibctl *c, struct fc_route *r, const struct fib_msg_route *m)
{
	const struct fc_path *cp = fc_path_at(c, r->path);
	static struct fib_msg_route left; /* large; the control thread's */
	uint32_t path;

	memcpy(&left, m, offsetof(struct fib_msg_route, hop));
	left.prefsrc = cp->pub->prefsrc;
	left.scope = cp->pub->scope;
	left.n_hops = 0;
	for (unsigned i = 0; i < cp->pub->n_hops; i++) {
		const struct fib_hop *h = &cp->pub->hop[i];

		if (!hop_listed(h, m))
			left.hop[left.n_hops++] = (struct fib_msg_hop){ .gw = h->nh,
									.oif = h->oif,
									.gw_family = h->nh_family,
									.weight = h->weight };
	}
	if (!left.n_hops || left.n_hops == cp->pub->n_hops)
		return left.n_hops;
	path = fc_path_intern(c, &left);
	if (path)
		repath(c, r, &left, path);
	else
		fc_limit(c, "sets of next hops");
	return true;
}

static void route_del(struct fibctl *c, const struct where *w, const struct fib_msg_route *in)
{
	uint32_t path = fc_path_intern(c, in);
	struct peers p = peers_of(c, w, in, path, false);
	struct fc_route *r = p.same ? p.same : p.n == 1 ? p.first : NULL;

	if (dumping(c, w->fam) && path)
		fc_tomb_add(c, route_key(w, in->metric, in->tos, in->src_len, path));
	/* Without the exact one: hops that leave a set, or a route whose description differs in
	 * what does not matter. */
	if (r && r != p.same && joins(in))
		r = without_hops(c, r, in) ? NULL : r;
	else if (r && r != p.same && w->fam)
		r = NULL;
	if (r)
		route_remove(c, r, true);
	if (path)
		fc_path_unref(c, path);
}

void fc_route_apply(struct fibctl *c, const struct fib_msg *m, bool dump)
{
	const struct fib_msg_route *r = &m->route;
	struct where w = { r->dst, r->table, (uint8_t)fib_fam(r->family), r->dst_len };

	if (m->del)
		route_del(c, &w, r);
	else
		route_new(c, &w, m, dump);
}

void fc_routes_swept(struct fibctl *c, unsigned fam, uint32_t oif)
{
	for (uint32_t i = 1; i < c->n_route_ever; i++) {
		struct fc_route *r = &c->route[i];

		if (!(r->flags & FC_R_USED) || r->fam != fam || r->epoch == c->epoch)
			continue;
		if (!oif || fc_path_uses(fc_path_at(c, r->path), oif))
			r->flags |= FC_R_DOOMED;
	}
	c->paths_dirty = true;
	fc_routes_scan(c);
}

void fc_routes_doom(struct fibctl *c)
{
	for (uint32_t i = 1; i < c->n_route_ever; i++) {
		struct fc_route *r = &c->route[i];

		if ((r->flags & FC_R_USED) && fc_path_at(c, r->path)->doomed)
			r->flags |= FC_R_DOOMED;
	}
	for (uint32_t i = 1; i < c->n_path_ever; i++)
		fc_path_at(c, i)->doomed = 0;
	c->paths_dirty = true;
	fc_routes_scan(c);
}

/* All next hops are down: fib_sync_down_dev, which tells nobody. A link that goes takes along the
 * routes of several hops, too. */
void fc_routes_link_down(struct fibctl *c, uint32_t ifindex, bool gone)
{
	bool any = false;

	for (uint32_t i = 1; i < c->n_path_ever; i++) {
		struct fc_path *cp = fc_path_at(c, i);
		bool all_down = true;

		cp->doomed = cp->refs && cp->family == AF_INET && fc_path_uses(cp, ifindex);
		for (unsigned h = 0; cp->doomed && h < cp->pub->n_hops; h++)
			all_down &= cp->pub->hop[h].oif == ifindex ||
				    fc_link_is_down(fc_link_find(c, cp->pub->hop[h].oif));
		/* Those to the box's own addresses outlive a link that is down. */
		cp->doomed = cp->doomed && (gone || (all_down && cp->pub->scope != RT_SCOPE_HOST));
		any |= cp->doomed;
	}
	if (any)
		fc_routes_doom(c);
	fc_nl_want(c, 1u << FC_D_NEXTHOP);
	fc_nl_want_oif(c, ifindex);
}

void fc_routes_scan(struct fibctl *c)
{
	if (!c->paths_dirty)
		return;
	c->paths_dirty = false;
	c->scan = 1;
	c->scan_end = c->n_route_ever;
}

bool fc_routes_scan_some(struct fibctl *c, uint32_t budget)
{
	for (; c->scan < c->scan_end && budget; c->scan++, budget--) {
		struct fc_route *r = &c->route[c->scan];
		struct where w;

		if (!(r->flags & FC_R_USED))
			continue;
		w = where_of(r);
		if (r->flags & FC_R_DOOMED)
			route_remove(c, r, false);
		else if (fc_path_at(c, r->path)->dirty)
			publish(c, &w);
	}
	if (c->scan < c->scan_end)
		return true;
	for (uint32_t i = 1; c->scan_end && i < c->n_path_ever; i++)
		fc_path_at(c, i)->dirty = 0;
	c->scan = c->scan_end = 0;
	return false;
}

void fc_tables_flush(struct fibctl *c)
{
	for (unsigned fam = 0; fam < FIB_FAMILIES; fam++)
		for (struct fib_table *t = c->tables[fam]; t; t = t->next) {
			if (fam)
				lpm6_flush(t->t6);
			else
				lpm4_flush(t->t4);
		}
}

void fibctl_stats(const struct fibctl *c, struct fibctl_stats *ret)
{
	*ret = c->st;
	ret->ready = fibctl_ready(c);
	ret->busy = fc_nl_busy(c) || c->scan < c->scan_end;
	ret->route_bytes = (size_t)c->n_route_ever * sizeof(*c->route) + c->route_hash_size;
	ret->lpm_bytes = 0;
	for (unsigned fam = 0; fam < FIB_FAMILIES; fam++)
		for (const struct fib_table *t = c->tables[fam]; t; t = t->next) {
			struct lpm_stats st;

			if (fam)
				lpm6_stats(t->t6, &st);
			else
				lpm4_stats(t->t4, &st);
			ret->lpm_bytes += st.data_bytes + st.ctl_bytes;
		}
}
