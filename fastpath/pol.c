/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A policy made of a blob, its counters, its pools. */
#include "pol_priv.h"

#include "nat_way.h"

#include "hash.h"
#include "rtr/fastpath.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- making one --- */

/* The same list of another policy, as most are after a commit. */
static struct pol_acl *find_same(const struct pol_blob *b, const struct fastpol_list *l,
				 const struct fp_pol *like)
{
	for (uint32_t i = 0; like && i < like->b.n_lists; i++) {
		if (pol_acl_same(b, l, &like->b, &like->b.lists[i]))
			return like->acl[i];
	}
	return NULL;
}

static int build_lists(struct fp_pol *p, const struct fp_pol *like)
{
	int err = 0;

	p->acl = calloc(p->b.n_lists + 1u, sizeof(struct pol_acl *));
	if (!p->acl)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->b.n_lists && !err; i++) {
		p->acl[i] = find_same(&p->b, &p->b.lists[i], like);
		if (p->acl[i])
			__atomic_add_fetch(&p->acl[i]->refs, 1, __ATOMIC_RELAXED);
		else
			err = pol_acl_new(&p->b, &p->b.lists[i], &p->acl[i]);
	}
	return err;
}

static int build_ifaces(struct fp_pol *p)
{
	uint32_t size = 16;

	while (size < 2 * p->b.n_ifaces)
		size *= 2;
	p->iface = calloc(size, sizeof(*p->iface));
	p->iface_mask = size - 1;
	if (!p->iface)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->b.n_ifaces; i++) {
		uint32_t at = p->b.ifaces[i].ifindex * 0x9e3779b1u;

		while (p->iface[at & p->iface_mask])
			at++;
		p->iface[at & p->iface_mask] = i + 1;
	}
	return 0;
}

static int asks_cmp(const void *a, const void *b)
{
	const struct pol_asks *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int build_asks(struct fp_pol *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->b.n_rules; i++)
		n += p->b.rules[i].asks != 0;
	p->asks = calloc(n + 1u, sizeof(*p->asks));
	if (!p->asks)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->b.n_rules; i++) {
		const struct fastpol_rule *r = &p->b.rules[i];

		if (r->asks)
			p->asks[p->n_asks++] = (struct pol_asks){ r->id, r->asks };
	}
	qsort(p->asks, p->n_asks, sizeof(*p->asks), asks_cmp);
	return 0;
}

/* What carries over commits is known by it, so of what is carved out only that which cuts the fast
 * plane's ports counts: most forwards are of ports below. */
static uint64_t identity(const struct fp_pol *p, const struct fastpol_pool *l)
{
	uint64_t h = hash_bytes(l, sizeof(*l), 0);

	h = hash_bytes(&p->fast, sizeof(p->fast), h);
	h = hash_bytes(&p->b.h->block, sizeof(p->b.h->block), h);
	for (uint32_t i = 0; i < p->b.h->carved.n; i++) {
		struct nat_ports cut = { MAX(p->carve[i].lo, p->fast.lo),
					 MIN(p->carve[i].hi, p->fast.hi) };

		if (cut.lo <= cut.hi)
			h = hash_bytes(&cut, sizeof(cut), h);
	}
	return h;
}

static int build_nat(struct fp_pol *p)
{
	struct fastpol_span carved = p->b.h->carved;

	p->fast = (struct nat_ports){ p->b.h->fast_lo, p->b.h->fast_hi };
	p->carve = calloc(carved.n + 1u, sizeof(*p->carve));
	p->pools = calloc(p->b.n_pools + 1u, sizeof(*p->pools));
	p->claims = calloc(pol_nat_n_claims(&p->b) + 1u, sizeof(*p->claims));
	if (!p->carve || !p->pools || !p->claims)
		return -ENOMEM;
	for (uint32_t i = 0; i < carved.n; i++)
		p->carve[i] = (struct nat_ports){ p->b.ports[carved.first + i].lo,
						  p->b.ports[carved.first + i].hi };
	for (uint32_t i = 0; i < p->b.n_pools; i++) {
		const struct fastpol_pool *l = &p->b.pools[i];

		p->pools[i] = (struct fp_pol_pool){ .identity = identity(p, l),
						    .family = l->family,
						    .n_fast = 1,
						    .n_carve = carved.n,
						    .fast = &p->fast,
						    .carve = p->carve,
						    .share = l->share ?: p->b.h->block,
						    .blocks = l->share ? 0 : p->b.h->blocks,
						    .eim = pol_has(&p->b, FASTPOL_F_EIM) };
		memcpy(p->pools[i].lo, l->lo, 16);
		memcpy(p->pools[i].hi, l->hi, 16);
	}
	pol_nat_claims(p);
	return fp_nat_new(p->pools, p->b.n_pools, &p->nat);
}

static int build(struct fp_pol *p, const struct fp_pol *like)
{
	int err = build_lists(p, like);

	p->counters = calloc((size_t)p->n_workers * fp_pol_n_counters(p) + 1, sizeof(*p->counters));
	p->before = calloc(fp_pol_n_counters(p) + 1u, sizeof(*p->before));
	if (!err && (!p->counters || !p->before))
		err = -ENOMEM;
	if (!err)
		err = build_ifaces(p);
	if (!err)
		err = build_asks(p);
	return err ?: build_nat(p);
}

int fp_pol_new(const void *blob, size_t len, unsigned n_workers, const struct fp_pol *like,
	       struct fp_pol **ret, char *text)
{
	struct fp_pol *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	*text = '\0';
	if (p && len && len <= FASTPOL_SIZE_MAX)
		p->copy = malloc(len);
	if (p && p->copy) {
		memcpy(p->copy, blob, len);
		p->n_workers = n_workers;
		err = pol_blob_open(p->copy, len, &p->b, text) ? build(p, like) : -EINVAL;
	}
	if (!err) {
		*ret = p;
		return 0;
	}
	if (!*text)
		snprintf(text, FASTPATH_TEXT, "policy cannot be built: %s",
			 err == -E2BIG ? "an access list is too long" : strerror(-err));
	fp_pol_free(p);
	return err;
}

struct fp_pol *fp_pol_free(struct fp_pol *p)
{
	if (!p)
		return NULL;
	for (uint32_t i = 0; p->acl && i < p->b.n_lists; i++)
		pol_acl_unref(p->acl[i]);
	free(p->acl);
	free(p->iface);
	free(p->asks);
	fp_nat_free(p->nat);
	free(p->pools);
	free(p->carve);
	free(p->claims);
	free(p->counters);
	free(p->before);
	free(p->copy);
	free(p);
	return NULL;
}

/* --- what it is --- */

uint16_t fp_pol_generation(const struct fp_pol *p)
{
	return p->generation;
}

void fp_pol_renumber(struct fp_pol *p, uint16_t generation)
{
	p->generation = generation;
}

bool fp_pol_expects(const struct fp_pol *p)
{
	return pol_has(&p->b, FASTPOL_F_HELPER);
}

uint32_t fp_pol_host_max(const struct fp_pol *p)
{
	return p->b.h->host_max;
}

bool fp_pol_stateful(const struct fp_pol *p)
{
	return pol_has(&p->b, FASTPOL_F_STATEFUL);
}

unsigned fp_pol_pools(const struct fp_pol *p, const struct fp_pol_pool **ret)
{
	*ret = p->pools;
	return p->b.n_pools;
}

struct fp_nat *fp_pol_nat(const struct fp_pol *p)
{
	return p->nat;
}

unsigned fp_pol_claims(const struct fp_pol *p, const struct fp_pol_claim **ret)
{
	*ret = p->claims;
	return p->n_claims;
}

/* --- counters --- */

unsigned fp_pol_n_counters(const struct fp_pol *p)
{
	return pol_c_outside(&p->b, false) + p->b.n_out_global;
}

static void add(struct fp_pol_hits *c, uint16_t len, uint64_t now_ns)
{
	__atomic_store_n(&c->n, c->n + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&c->bytes, c->bytes + len, __ATOMIC_RELAXED);
	__atomic_store_n(&c->last_ns, now_ns, __ATOMIC_RELAXED);
}

void fp_pol_count(struct fp_pol *p, unsigned worker, const struct fp_pol_state *st, uint64_t now_ns)
{
	struct fp_pol_hits *v = p->counters + (size_t)worker * fp_pol_n_counters(p);

	for (unsigned i = 0; i < st->n_hits; i++)
		add(&v[st->hit[i]], st->len, now_ns);
}

static uint64_t counter_id(const struct fp_pol *p, uint32_t i)
{
	const struct pol_blob *b = &p->b;

	if (i < b->n_rules)
		return b->rules[i].id;
	if (i < pol_c_dynamic(b))
		return b->classes[i - b->n_rules].id;
	if (i < pol_c_static(b, false))
		return b->dynamics[i - pol_c_dynamic(b)].line;
	if (i < pol_c_static(b, true))
		return b->globals[i - pol_c_static(b, false)].line;
	if (i < pol_c_outside(b, true))
		return b->locals[i - pol_c_static(b, true)].line;
	if (i < pol_c_outside(b, false))
		return b->out_local[i - pol_c_outside(b, true)].line;
	return b->out_global[i - pol_c_outside(b, false)].line;
}

uint64_t fp_pol_counter(const struct fp_pol *p, unsigned i, struct fp_pol_hits *ret)
{
	*ret = p->before[i];
	for (unsigned w = 0; w < p->n_workers; w++) {
		const struct fp_pol_hits *c = &p->counters[(size_t)w * fp_pol_n_counters(p) + i];
		uint64_t last = __atomic_load_n(&c->last_ns, __ATOMIC_RELAXED);

		ret->n += __atomic_load_n(&c->n, __ATOMIC_RELAXED);
		ret->bytes += __atomic_load_n(&c->bytes, __ATOMIC_RELAXED);
		ret->last_ns = MAX(ret->last_ns, last);
	}
	return counter_id(p, i);
}

struct by_id {
	uint64_t id;
	uint32_t i;
};

static int by_id_cmp(const void *a, const void *b)
{
	const struct by_id *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

void fp_pol_inherit(struct fp_pol *p, const struct fp_pol *old)
{
	uint32_t n = fp_pol_n_counters(p);
	struct by_id *v = xcalloc(n + 1u, sizeof(*v));

	for (uint32_t i = 0; i < n; i++)
		v[i] = (struct by_id){ counter_id(p, i), i };
	qsort(v, n, sizeof(*v), by_id_cmp);
	for (uint32_t i = 0; i < fp_pol_n_counters(old); i++) {
		struct fp_pol_hits h;
		struct by_id key = { .id = fp_pol_counter(old, i, &h) }, *at;

		at = h.n ? bsearch(&key, v, n, sizeof(*v), by_id_cmp) : NULL;
		if (!at)
			continue;
		p->before[at->i].n += h.n;
		p->before[at->i].bytes += h.bytes;
		p->before[at->i].last_ns = MAX(p->before[at->i].last_ns, h.last_ns);
	}
	free(v);
}
