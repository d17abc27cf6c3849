/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nat_port_int.h"

#include <errno.h>
#include <string.h>

/* External addresses that are tried when pairing is off and the first one is full. */
#define ADDR_TRIES 4
#define MAX_ADDRS  4096 /* a /20; each costs 200 KB of chunks */
#define MAX_UNIT   64   /* chunks of a block: 4096 ports */

/* ----- lock-free stack of free records ----- */

int nat_stack_init(struct nat_stack *s, uint32_t n)
{
	s->next = calloc(n, sizeof(*s->next));
	if (!s->next)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		atomic_init(&s->next[i], i + 1 < n ? i + 1 : NAT_NONE);
	atomic_init(&s->head, 0);
	return 0;
}

uint32_t nat_stack_pop(struct nat_stack *s)
{
	uint64_t head = atomic_load_explicit(&s->head, memory_order_acquire), next;

	do {
		if ((uint32_t)head == NAT_NONE)
			return NAT_NONE;
		next = (head & ~0xffffffffull) + (1ull << 32) +
		       atomic_load_explicit(&s->next[(uint32_t)head], memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(&s->head, &head, next, memory_order_acquire,
							memory_order_acquire));
	return (uint32_t)head;
}

void nat_stack_push(struct nat_stack *s, uint32_t i)
{
	uint64_t head = atomic_load_explicit(&s->head, memory_order_relaxed), next;

	do {
		atomic_store_explicit(&s->next[i], (uint32_t)head, memory_order_relaxed);
		next = (head & ~0xffffffffull) + (1ull << 32) + i;
	} while (!atomic_compare_exchange_weak_explicit(&s->head, &head, next, memory_order_release,
							memory_order_relaxed));
}

/* ----- units ----- */

static inline struct nat_slice *slices_of(struct nat_pool *p, uint32_t addr, unsigned proto,
					  unsigned cls)
{
	return &p->slices[((addr * NAT_P__MAX + proto) * CLS__MAX + cls) * p->conf.n_workers];
}

/* Any idle unit of one slice. */
static uint32_t claim_in(struct nat_pool *p, unsigned home, uint32_t addr, unsigned proto,
			 unsigned cls, uint64_t rnd)
{
	struct nat_slice *s = slices_of(p, addr, proto, cls) + home;
	uint32_t first = p->slice_first[cls][home], n = p->slice_first[cls][home + 1] - first;
	unsigned words = (n + 63) / 64, at;

	if (!n)
		return NAT_NONE;
	at = (unsigned)(((rnd >> 32) * words) >> 32);
	for (unsigned k = 0; k < words; k++, at = at + 1 < words ? at + 1 : 0) {
		uint64_t have = atomic_load_explicit(&s->idle[at], memory_order_relaxed);

		while (have) {
			uint64_t bit = have & -have;

			have = atomic_fetch_and_explicit(&s->idle[at], ~bit, memory_order_acquire);
			if (have & bit)
				return nat_chunk_id(
					addr, proto,
					p->unit_chunk[cls][first + at * 64 +
							   (unsigned)__builtin_ctzll(bit)]);
		}
	}
	return NAT_NONE;
}

uint32_t nat_unit_claim(struct nat_pool *p, unsigned worker, uint32_t addr, unsigned proto,
			unsigned cls)
{
	uint64_t rnd = nat_rand(&p->workers[worker]);
	uint32_t chunk = claim_in(p, worker, addr, proto, cls, rnd);
	unsigned n = p->conf.n_workers;

	for (unsigned k = 1; chunk == NAT_NONE && k < n; k++) {
		chunk = claim_in(p, worker + k < n ? worker + k : worker + k - n, addr, proto, cls,
				 rnd);
		if (chunk != NAT_NONE)
			nat_count(&p->workers[worker].c.stolen, 1);
	}
	return chunk;
}

static _Atomic uint64_t *idle_word(struct nat_pool *p, uint32_t chunk, uint64_t *ret_bit)
{
	unsigned no = nat_chunk_no(chunk), proto = chunk / N_CHUNKS % NAT_P__MAX;
	uint32_t addr = chunk / N_CHUNKS / NAT_P__MAX;
	unsigned cls = nat_class(p, proto, (uint16_t)(no * 64)), home = p->slice_of[no];
	uint32_t i = p->chunk_unit[no] - p->slice_first[cls][home];

	*ret_bit = 1ull << i % 64;
	return &slices_of(p, addr, proto, cls)[home].idle[i / 64];
}

bool nat_unit_claim_at(struct nat_pool *p, uint32_t chunk)
{
	uint64_t bit;
	_Atomic uint64_t *w = idle_word(p, chunk, &bit);

	/* Read first: a refused wish must not dirty the line of another worker's slice. */
	return atomic_load_explicit(w, memory_order_relaxed) & bit &&
	       atomic_fetch_and_explicit(w, ~bit, memory_order_acquire) & bit;
}

void nat_unit_release(struct nat_pool *p, uint32_t chunk)
{
	uint64_t bit;
	_Atomic uint64_t *w = idle_word(p, chunk, &bit);

	atomic_fetch_or_explicit(w, bit, memory_order_release);
}

/* ----- small words ----- */

unsigned nat_class(const struct nat_pool *p, unsigned proto, uint16_t port)
{
	unsigned cls = proto != NAT_P_ICMP && port < LOW_CHUNKS * 64 ? CLS_LOW : CLS_HIGH;

	return p->n_units[cls] ? cls : !cls;
}

uint32_t nat_home_addr(const struct nat_pool *p, const uint8_t in[16])
{
	uint64_t h = nat_addr_hash(in, p->conf.seed);

	return (uint32_t)(((h >> 32) * p->conf.n_addrs) >> 32);
}

unsigned nat_pick_bit(struct nat_worker *w, const struct nat_pool *p, uint64_t free, uint16_t want)
{
	uint64_t mask = want & 1 ? 0xaaaaaaaaaaaaaaaaull : 0x5555555555555555ull;
	unsigned r = nat_rand(w) >> 58;

	if (p->conf.parity && free & mask)
		free &= mask;
	/* The next free one from a random place on: RFC 6056 algorithm 1. */
	return (r + (unsigned)__builtin_ctzll(free >> r | free << (-r & 63))) & 63;
}

bool nat_port_is_fast(const struct nat_pool *p, uint16_t port)
{
	return p->usable[port / 64] >> port % 64 & 1;
}

/* ----- pool ----- */

static bool conf_ok(const struct nat_pool_conf *c)
{
	return c->n_workers && c->n_workers <= NAT_MAX_WORKERS && c->n_addrs &&
	       c->n_addrs <= MAX_ADDRS && c->n_fast && c->n_fast <= NAT_MAX_RANGES &&
	       c->max_flows && c->max_flows < NAT_NONE && c->block_ports % NAT_CHUNK_PORTS == 0 &&
	       c->block_ports <= MAX_UNIT * NAT_CHUNK_PORTS && (!c->det_subs || c->block_ports) &&
	       (!c->block_ports || c->det_subs ||
		(c->max_blocks && c->max_blocks <= NAT_MAX_BLOCKS));
}

static void mark_ports(struct nat_pool *p, const struct nat_ports *r, bool on)
{
	for (uint32_t port = MAX(r->lo, 1u); port <= r->hi; port++) {
		uint64_t bit = 1ull << port % 64;

		p->usable[port / 64] = on ? p->usable[port / 64] | bit
					  : p->usable[port / 64] & ~bit;
	}
}

static bool unit_fits(const struct nat_pool *p, unsigned no)
{
	for (unsigned k = 0; k < p->unit; k++)
		if (no + k >= N_CHUNKS || !p->usable[no + k])
			return false;
	return true;
}

/* Units in port order. Blocks are all above 1023. */
static void cut_units(struct nat_pool *p)
{
	unsigned step;

	for (unsigned no = p->conf.block_ports ? LOW_CHUNKS : 0; no < N_CHUNKS; no += step) {
		unsigned cls = no < LOW_CHUNKS ? CLS_LOW : CLS_HIGH;

		step = 1;
		if (!unit_fits(p, no))
			continue;
		step = p->unit;
		for (unsigned k = 0; k < step; k++)
			p->chunk_unit[no + k] = (uint16_t)p->n_units[cls];
		p->unit_chunk[cls][p->n_units[cls]++] = (uint16_t)no;
	}
}

static void cut_slices(struct nat_pool *p)
{
	unsigned n_workers = p->conf.n_workers;

	for (unsigned cls = 0; cls < CLS__MAX; cls++) {
		for (unsigned w = 0; w <= n_workers; w++)
			p->slice_first[cls][w] = p->n_units[cls] * w / n_workers;
		for (unsigned w = 0; w < n_workers; w++)
			for (uint32_t u = p->slice_first[cls][w]; u < p->slice_first[cls][w + 1];
			     u++)
				for (unsigned k = 0; k < p->unit; k++)
					p->slice_of[p->unit_chunk[cls][u] + k] = (uint16_t)w;
	}
}

/* ICMP has no low class: where both exist its identifiers come from the high one. */
static void fill_slices(struct nat_pool *p)
{
	struct nat_slice *s = p->slices;

	for (uint32_t i = 0; i < p->conf.n_addrs * NAT_P__MAX * CLS__MAX; i++)
		for (unsigned w = 0; w < p->conf.n_workers; w++, s++) {
			unsigned cls = i % CLS__MAX;
			uint32_t n = p->slice_first[cls][w + 1] - p->slice_first[cls][w];

			for (uint32_t u = 0; u < n; u++)
				s->idle[u / 64] |= 1ull << u % 64;
		}
}

static void *lines(size_t n, size_t size)
{
	void *m = aligned_alloc(RTR_CACHELINE, ROUND_UP(n * size, (size_t)RTR_CACHELINE));

	return m ? memset(m, 0, n * size) : NULL;
}

static void workers_init(struct nat_pool *p)
{
	for (unsigned i = 0; i < p->conf.n_workers; i++) {
		struct nat_worker *w = &p->workers[i];

		w->rng = hash_mix64(p->conf.seed + i + 1) | 1;
		w->back_pending = NAT_NONE;
		atomic_init(&w->back, NAT_NONE);
		memset(w->hold, 0xff, sizeof(w->hold));
		memset(w->blk_hold, 0xff, sizeof(w->blk_hold));
	}
}

int nat_pool_new(const struct nat_pool_conf *conf, struct nat_pool **ret_pool)
{
	struct nat_pool *p;
	size_t spaces = (size_t)conf->n_addrs * NAT_P__MAX;
	int rc = -ENOMEM;

	if (!conf_ok(conf))
		return -EINVAL;
	p = lines(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->conf = *conf;
	p->conf.carve = NULL;
	p->unit = conf->block_ports ? conf->block_ports / NAT_CHUNK_PORTS : 1;
	for (unsigned i = 0; i < conf->n_fast; i++)
		mark_ports(p, &conf->fast[i], true);
	for (unsigned i = 0; i < conf->n_carve; i++)
		mark_ports(p, &conf->carve[i], false);
	cut_units(p);
	cut_slices(p);
	p->use_subs = conf->block_ports || conf->quota[0] || conf->quota[1] || conf->quota[2];
	if (p->n_units[CLS_LOW] + p->n_units[CLS_HIGH] == 0 ||
	    conf->det_subs > (uint64_t)p->n_units[CLS_HIGH] * conf->n_addrs ||
	    (p->use_subs && !conf->max_subs)) {
		rc = -EINVAL;
		goto out;
	}
	p->workers = lines(conf->n_workers, sizeof(*p->workers));
	p->chunks = lines(spaces * N_CHUNKS, sizeof(*p->chunks));
	p->slices = lines(spaces * CLS__MAX * conf->n_workers, sizeof(*p->slices));
	if (!p->workers || !p->chunks || !p->slices)
		goto out;
	workers_init(p);
	fill_slices(p);
	rc = nat_engine_init(p);
	if (!rc && p->use_subs)
		rc = nat_subs_init(p);
	if (!rc && conf->mode == NAT_EIM)
		rc = nat_eim_init(p);
	if (rc)
		goto out;
	*ret_pool = p;
	return 0;
out:
	nat_pool_free(p);
	return rc;
}

struct nat_pool *nat_pool_free(struct nat_pool *p)
{
	if (!p)
		return NULL;
	if (p->workers)
		nat_engine_fini(p);
	free(p->workers);
	free(p->chunks);
	free(p->slices);
	free(p->subs);
	free(p->sub_hash);
	free(p->sub_free.next);
	free(p->maps);
	free(p->in_hash);
	free(p->out_hash);
	free(p->map_free.next);
	free(p);
	return NULL;
}

/* ----- grants ----- */

static struct nat_key key_of(const struct nat_pool *p, const struct nat_req *req, uint32_t addr,
			     uint16_t port)
{
	struct nat_key k = { .addr = addr, .proto = (uint8_t)req->proto };

	k.cls = (uint8_t)nat_class(p, req->proto, port);
	if (p->conf.mode == NAT_EDM) {
		memcpy(k.dst, req->dst.addr, sizeof(k.dst));
		k.dport = req->dst.port;
	}
	return k;
}

static int take_sliced(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		       const struct nat_grant *fixed, struct nat_grant *g)
{
	uint32_t home = nat_home_addr(p, req->in.addr);
	unsigned tries = p->conf.paired ? 1 : MIN(p->conf.n_addrs, ADDR_TRIES);
	struct nat_key k;
	int rc = -ENOSPC;

	if (fixed) {
		k = key_of(p, req, fixed->addr, fixed->port);
		g->addr = fixed->addr;
		g->port = fixed->port;
		return nat_engine_take(p, &k, fixed->port, &g->worker);
	}
	g->worker = (uint16_t)worker;
	for (unsigned n = 0; n < tries && rc == -ENOSPC; n++) {
		g->addr = home + n < p->conf.n_addrs ? home + n : home + n - p->conf.n_addrs;
		k = key_of(p, req, g->addr, req->in.port);
		rc = nat_engine_alloc(p, worker, &k, req->in.port, &g->port);
		if (rc == -ENOSPC && k.cls == CLS_LOW && p->n_units[CLS_HIGH]) {
			/* Keeping the class is a recommendation; a flow without a port is dead. */
			k.cls = CLS_HIGH;
			rc = nat_engine_alloc(p, worker, &k, req->in.port, &g->port);
		}
	}
	return rc;
}

int nat_take_port(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		  const struct nat_grant *fixed, struct nat_grant *g)
{
	int rc;

	*g = (struct nat_grant){ .worker = (uint16_t)worker, .id = NAT_NONE };
	if (p->use_subs) {
		rc = nat_sub_take(p, worker, req, fixed, g);
		if (rc || p->conf.block_ports)
			return rc;
	}
	rc = take_sliced(p, worker, req, fixed, g);
	if (rc && p->use_subs)
		nat_sub_give(p, worker, g->id, req->proto, g);
	return rc;
}

void nat_give_port(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		   const struct nat_grant *g)
{
	struct nat_key k;

	if (p->use_subs)
		nat_sub_give(p, worker, g->id, req->proto, g);
	if (p->conf.block_ports)
		return;
	if (g->worker != worker) {
		nat_engine_return(p, g->worker, nat_chunk_id(g->addr, req->proto, g->port / 64),
				  g->port % 64);
		return;
	}
	k = key_of(p, req, g->addr, g->port);
	nat_engine_free(p, worker, &k, g->port);
}

int nat_port_alloc(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		   struct nat_grant *ret_grant)
{
	struct nat_counters *c = &p->workers[worker].c;
	struct nat_grant g;
	int rc = p->conf.mode == NAT_EIM ? nat_eim_alloc(p, worker, req, NULL, &g)
					 : nat_take_port(p, worker, req, NULL, &g);

	if (rc) {
		nat_count(&c->fail[rc == -ENOSPC ? 0 : rc == -EDQUOT ? 1 : 2], 1);
		return rc;
	}
	nat_count(&c->granted, 1);
	*ret_grant = g;
	return 0;
}

void nat_port_free(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		   const struct nat_grant *g)
{
	nat_count(&p->workers[worker].c.freed, 1);
	if (p->conf.mode == NAT_EIM)
		nat_eim_free(p, worker, g);
	else
		nat_give_port(p, worker, req, g);
}

int nat_port_adopt(struct nat_pool *p, const struct nat_req *req, struct nat_grant *g)
{
	struct nat_grant fixed = *g, got;
	unsigned worker;
	int rc;

	if (g->addr >= p->conf.n_addrs || !nat_port_is_fast(p, g->port) ||
	    (nat_class(p, req->proto, g->port) == CLS_HIGH) != (g->port >= LOW_CHUNKS * 64))
		return -EINVAL;
	worker = p->slice_of[g->port / 64];
	rc = p->conf.mode == NAT_EIM ? nat_eim_alloc(p, worker, req, &fixed, &got)
				     : nat_take_port(p, worker, req, &fixed, &got);
	if (rc)
		return rc;
	nat_count(&p->workers[worker].c.granted, 1);
	*g = got;
	return 0;
}

bool nat_port_tick(struct nat_pool *p, unsigned worker, uint32_t now_sec, unsigned budget)
{
	struct nat_worker *w = &p->workers[worker];

	nat_engine_take_back(p, worker, &budget);
	for (unsigned proto = 0; proto < NAT_P__MAX; proto++) {
		unsigned old = w->turn[proto] ^ 1;

		if (!p->conf.hold_sec[proto] ||
		    now_sec - w->turn_start[proto] < p->conf.hold_sec[proto])
			continue;
		/* What the other turn holds was freed before this one began: a whole hold ago. */
		nat_engine_rested(p, worker, proto, old, &budget);
		nat_block_rested(p, worker, proto, old, &budget);
		if (w->hold[proto][old] != NAT_NONE || w->blk_hold[proto][old] != NAT_NONE)
			continue;
		w->turn[proto] = (uint8_t)old;
		w->turn_start[proto] = now_sec;
	}
	return !budget;
}

void nat_port_gauges(const struct nat_pool *p, struct nat_gauges *ret)
{
	size_t n = (size_t)p->conf.n_addrs * NAT_P__MAX * CLS__MAX * p->conf.n_workers;

	*ret = (struct nat_gauges){ 0 };
	for (unsigned i = 0; i < p->conf.n_workers; i++) {
		const struct nat_counters *c = &p->workers[i].c;

		ret->granted += atomic_load_explicit(&c->granted, memory_order_relaxed);
		ret->freed += atomic_load_explicit(&c->freed, memory_order_relaxed);
		ret->stolen_chunks += atomic_load_explicit(&c->stolen, memory_order_relaxed);
		ret->hold_cut += atomic_load_explicit(&c->hold_cut, memory_order_relaxed);
		ret->fail_ports += atomic_load_explicit(&c->fail[0], memory_order_relaxed);
		ret->fail_quota += atomic_load_explicit(&c->fail[1], memory_order_relaxed);
		ret->fail_table += atomic_load_explicit(&c->fail[2], memory_order_relaxed);
		ret->in_use += atomic_load_explicit(&c->in_use, memory_order_relaxed);
		ret->held += atomic_load_explicit(&c->held, memory_order_relaxed);
	}
	ret->chunks = (uint64_t)p->conf.n_addrs * NAT_P__MAX * p->unit *
		      (p->n_units[CLS_LOW] + p->n_units[CLS_HIGH]);
	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < CHUNK_WORDS; k++)
			ret->idle_chunks += p->unit *
					    (uint64_t)__builtin_popcountll(atomic_load_explicit(
						    &p->slices[i].idle[k], memory_order_relaxed));
}
