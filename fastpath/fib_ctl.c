/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fib_ctl_priv.h"
#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define DEFAULT_ADJ         65536u
#define DEFAULT_ROUTE_BYTES ((size_t)512 << 20)

/* In front of everything readers may hold; a line, so that what follows starts on one. */
struct pub {
	struct fib_defer defer;
	struct fibctl *c;
	size_t size;
} RTR_CACHE_ALIGNED;

void *fc_pub_alloc(struct fibctl *c, size_t size)
{
	size_t all = ROUND_UP(sizeof(struct pub) + size, RTR_CACHELINE);
	struct pub *p = aligned_alloc(RTR_CACHELINE, all);

	if (!p)
		return NULL;
	memset(p, 0, all);
	p->c = c;
	p->size = all;
	c->st.other_bytes += all;
	return p + 1;
}

static void pub_done(struct fib_defer *d)
{
	struct pub *p = container_of(d, struct pub, defer);

	p->c->st.other_bytes -= p->size;
	free(p);
}

void fc_defer(struct fibctl *c, struct fib_defer *d)
{
	if (c->p.defer)
		c->p.defer(c->p.defer_ctx, d);
	else
		d->done(d);
}

void fc_drain(struct fibctl *c, bool wait)
{
	if (c->p.drain)
		c->p.drain(c->p.defer_ctx, wait);
}

void fc_pub_free(struct fibctl *c, void *p)
{
	struct pub *pub;

	if (!p)
		return;
	pub = (struct pub *)p - 1;
	pub->defer.done = pub_done;
	fc_defer(c, &pub->defer);
}

void fc_event(struct fibctl *c, enum fibctl_event ev, const char *what)
{
	if (c->p.event)
		c->p.event(c->p.ctx, ev, what);
}

/* Closed until a dump of everything has found room: what is missing would be routed wrongly. */
void fc_limit(struct fibctl *c, const char *what)
{
	c->st.n_limit++;
	if (!c->limit)
		fc_event(c, FIBCTL_EV_LIMIT, what);
	c->limit = true;
	fc_reason_publish(c);
}

void fc_reason_publish(struct fibctl *c)
{
	uint8_t reason = c->limit ? ELIG_LIMIT : c->classifying ? ELIG_CLASSIFYING : ELIG_OK;

	__atomic_store_n(&c->f.global_reason, reason, __ATOMIC_RELEASE);
}

uint32_t fc_now_sec(void)
{
	return (uint32_t)(rtr_now_ns() / NSEC_PER_SEC) + 1; /* never 0 */
}

uint64_t fc_key(enum fib_msg_kind kind, const void *key, size_t size)
{
	uint64_t h = hash_bytes(key, size, kind + 1);

	return h ? h : 1;
}

static uint64_t *tomb_slot(const struct fibctl *c, uint64_t key)
{
	uint32_t i = (uint32_t)key & (c->cap_tombs - 1);

	while (c->tomb[i] && c->tomb[i] != key)
		i = (i + 1) & (c->cap_tombs - 1);
	return &c->tomb[i];
}

static bool tombs_grow(struct fibctl *c)
{
	uint32_t old_cap = c->cap_tombs, cap = old_cap ? old_cap * 2 : 1024;
	uint64_t *old = c->tomb, *t = cap <= FC_MAX_TOMBS * 2 ? calloc(cap, sizeof(*t)) : NULL;

	if (!t)
		return false;
	c->tomb = t;
	c->cap_tombs = cap;
	for (uint32_t i = 0; i < old_cap; i++)
		if (old[i])
			*tomb_slot(c, old[i]) = old[i];
	free(old);
	return true;
}

/* The number of deletions during one dump is bounded; above it the dump is made anew. */
void fc_tomb_add(struct fibctl *c, uint64_t key)
{
	uint64_t *slot;

	if (c->n_tombs * 2 >= c->cap_tombs && !tombs_grow(c)) {
		fc_nl_want(c, FC_D_ALL);
		return;
	}
	slot = tomb_slot(c, key);
	c->n_tombs += !*slot;
	*slot = key;
}

bool fc_tomb_has(const struct fibctl *c, uint64_t key)
{
	return c->n_tombs && *tomb_slot(c, key);
}

void fc_tomb_clear(struct fibctl *c)
{
	free(c->tomb);
	c->tomb = NULL;
	c->n_tombs = c->cap_tombs = 0;
}

void fc_apply(struct fibctl *c, const struct fib_msg *m, bool dump)
{
	switch (m->kind) {
	case FIB_M_LINK:
		fc_link_apply(c, m, dump);
		break;
	case FIB_M_NETCONF:
		fc_netconf_apply(c, m, dump);
		break;
	case FIB_M_ADDR:
		fc_addr_apply(c, m, dump);
		break;
	case FIB_M_NEIGH:
		fc_neigh_apply(c, m, dump);
		break;
	case FIB_M_NEXTHOP:
		fc_nexthop_apply(c, m, dump);
		break;
	case FIB_M_ROUTE:
		fc_route_apply(c, m, dump);
		break;
	case FIB_M_RULE:
		/* An order is hard to follow by deltas, and rules are few: closed, and read anew.
		 */
		if (dump) {
			fc_rule_add(c, &m->rule);
		} else {
			fc_rules_close(c, fib_fam(m->rule.family));
			fc_nl_want(c, 1u << (m->rule.family == 10 ? FC_D_RULE6 : FC_D_RULE4));
		}
		break;
	case FIB_M__MAX:
		break;
	}
}

int fibctl_new(const struct fibctl_params *p, struct fibctl **ret)
{
	struct fibctl *c = aligned_alloc(RTR_CACHELINE, ROUND_UP(sizeof(*c), RTR_CACHELINE));
	int rc;

	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	c->p = *p;
	c->p.n_adj = p->n_adj ? p->n_adj : DEFAULT_ADJ;
	c->p.max_route_bytes = p->max_route_bytes ? p->max_route_bytes : DEFAULT_ROUTE_BYTES;
	c->f.wake_fd = -1;
	c->f.seq = 1;
	c->epoch = 1;
	if (getrandom(&c->f.adj_seed, sizeof(c->f.adj_seed), 0) < 0)
		c->f.adj_seed = rtr_now_ns();
	rc = c->p.n_adj < 2 || c->p.n_adj > 1u << 23 ? -EINVAL : fc_adjs_init(c);
	if (!rc)
		rc = fc_paths_init(c);
	if (!rc)
		rc = fc_routes_init(c);
	if (!rc)
		rc = fc_rules_init(c);
	if (rc) {
		fibctl_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

struct fibctl *fibctl_free(struct fibctl *c)
{
	if (!c)
		return NULL;
	fc_nl_close(c);
	fc_drain(c, true);
	c->p.defer = NULL; /* no reader is left */
	fc_rules_fini(c);
	fc_routes_fini(c);
	fc_paths_fini(c);
	fc_nexthops_fini(c);
	fc_links_fini(c);
	fc_adjs_fini(c);
	fc_tomb_clear(c);
	free(c);
	return NULL;
}

const struct fib *fibctl_fib(const struct fibctl *c)
{
	return &c->f;
}

bool fibctl_ready(const struct fibctl *c)
{
	return __atomic_load_n(&c->f.ready, __ATOMIC_ACQUIRE);
}

uint32_t fibctl_pass_begin(struct fibctl *c)
{
	return __atomic_add_fetch(&c->pass_begun, 1, __ATOMIC_ACQ_REL);
}

void fibctl_pass_end(struct fibctl *c, uint32_t pass)
{
	uint32_t done = __atomic_load_n(&c->pass_done, __ATOMIC_RELAXED);

	while ((int32_t)(pass - done) > 0 &&
	       !__atomic_compare_exchange_n(&c->pass_done, &done, pass, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
}
