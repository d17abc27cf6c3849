/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nat_port_int.h"

#include <errno.h>
#include <string.h>

/* Sets of a group that are asked for a port of the wanted parity before any other is taken. */
#define PARITY_TRIES 4
/* Resting sets that may be cut short to make room for a new one, for one request. */
#define HOLD_CUTS 8

static inline struct nat_owned *owned_of(struct nat_pool *p, unsigned worker,
					 const struct nat_key *k)
{
	return &p->workers[worker].owned[(k->addr * NAT_P__MAX + k->proto) * CLS__MAX + k->cls];
}

static inline uint64_t free_of(const struct nat_pool *p, const struct nat_set *s)
{
	return p->usable[nat_chunk_no(s->chunk)] & ~(s->used | s->held[0] | s->held[1]);
}

/* ----- chunks of a worker ----- */

static void own_add(struct nat_pool *p, unsigned worker, struct nat_owned *o, uint32_t chunk)
{
	struct nat_chunk *c = &p->chunks[chunk];
	unsigned no = nat_chunk_no(chunk);

	c->owner = (uint16_t)worker;
	c->n_sets = 0;
	c->own_pos = o->n;
	o->list[o->n++] = chunk;
	o->w[no / 64] |= 1ull << no % 64;
}

static void own_drop(struct nat_pool *p, struct nat_owned *o, uint32_t chunk)
{
	struct nat_chunk *c = &p->chunks[chunk];
	unsigned no = nat_chunk_no(chunk);
	uint32_t last = o->list[--o->n];

	o->list[c->own_pos] = last;
	p->chunks[last].own_pos = c->own_pos;
	o->w[no / 64] &= ~(1ull << no % 64);
	nat_unit_release(p, chunk);
}

/* ----- hash tables: groups by key, sets by (group, chunk) ----- */

static inline uint32_t group_slot(const struct nat_pool *p, const struct nat_key *k)
{
	uint64_t w[3];

	memcpy(w, k, sizeof(w));
	return (uint32_t)hash_mix64(w[0] ^ hash_mix64(w[1] ^ hash_mix64(w[2] ^ p->conf.seed))) &
	       p->group_mask;
}

static inline uint32_t set_slot(const struct nat_pool *p, uint32_t group, uint32_t chunk)
{
	return (uint32_t)hash_mix64((uint64_t)group << 32 | chunk) & p->set_mask;
}

static uint32_t group_find(const struct nat_pool *p, const struct nat_worker *w,
			   const struct nat_key *k)
{
	uint32_t g = w->group_hash[group_slot(p, k)];

	while (g != NAT_NONE && memcmp(&w->groups[g].key, k, sizeof(*k)))
		g = w->groups[g].hash_next;
	return g;
}

static uint32_t set_find(const struct nat_pool *p, const struct nat_worker *w, uint32_t group,
			 uint32_t chunk)
{
	uint32_t s = w->set_hash[set_slot(p, group, chunk)];

	while (s != NAT_NONE && (w->sets[s].group != group || w->sets[s].chunk != chunk))
		s = w->sets[s].hash_next;
	return s;
}

/* ----- sets with room ----- */

static void room_update(const struct nat_pool *p, struct nat_worker *w, uint32_t i)
{
	struct nat_set *s = &w->sets[i];
	struct nat_group *g = &w->groups[s->group];
	bool room = free_of(p, s);

	if (room == s->listed)
		return;
	s->listed = room;
	if (room) {
		s->prev = NAT_NONE;
		s->next = g->room;
		if (g->room != NAT_NONE)
			w->sets[g->room].prev = i;
		g->room = i;
		return;
	}
	if (s->prev != NAT_NONE)
		w->sets[s->prev].next = s->next;
	else
		g->room = s->next;
	if (s->next != NAT_NONE)
		w->sets[s->next].prev = s->prev;
}

/* ----- life of groups and sets ----- */

static uint32_t group_make(struct nat_pool *p, struct nat_worker *w, const struct nat_key *k)
{
	uint32_t i = w->group_free, *head = &w->group_hash[group_slot(p, k)];

	if (i == NAT_NONE)
		return NAT_NONE;
	w->group_free = w->groups[i].hash_next;
	w->groups[i] = (struct nat_group){
		.key = *k, .hash_next = *head, .room = NAT_NONE, .map = NAT_NONE
	};
	*head = i;
	return i;
}

static void group_drop(struct nat_pool *p, struct nat_worker *w, uint32_t i)
{
	struct nat_group *g = &w->groups[i];
	uint32_t *at = &w->group_hash[group_slot(p, &g->key)];

	while (*at != i)
		at = &w->groups[*at].hash_next;
	*at = g->hash_next;
	if (g->map != NAT_NONE) {
		w->maps[g->map].w[0] = w->map_free;
		w->map_free = g->map;
	}
	g->hash_next = w->group_free;
	w->group_free = i;
}

/* From the second set on a group knows its chunks as bits, if a map is left for it. */
static void map_note(struct nat_worker *w, struct nat_group *g, unsigned no)
{
	struct nat_chunkmap *m;

	if (g->n_sets == 0) {
		g->first = no;
		return;
	}
	if (g->n_sets == 1 && g->map == NAT_NONE && w->map_free != NAT_NONE) {
		g->map = w->map_free;
		m = &w->maps[g->map];
		w->map_free = (uint32_t)m->w[0];
		*m = (struct nat_chunkmap){ { 0 } };
		m->w[g->first / 64] |= 1ull << g->first % 64;
	}
	if (g->map != NAT_NONE)
		w->maps[g->map].w[no / 64] |= 1ull << no % 64;
}

static uint32_t set_make(struct nat_pool *p, struct nat_worker *w, uint32_t group, uint32_t chunk)
{
	uint32_t i = w->set_free, *head = &w->set_hash[set_slot(p, group, chunk)];
	struct nat_group *g = &w->groups[group];

	if (i == NAT_NONE)
		return NAT_NONE;
	w->set_free = w->sets[i].hash_next;
	w->sets[i] = (struct nat_set){ .group = group, .chunk = chunk, .hash_next = *head };
	*head = i;
	map_note(w, g, nat_chunk_no(chunk));
	g->n_sets++;
	p->chunks[chunk].n_sets++;
	room_update(p, w, i);
	return i;
}

/* Frees a set in which nothing is used or rests, and with the last ones its group and chunk. */
static void set_drop_if_empty(struct nat_pool *p, unsigned worker, uint32_t i)
{
	struct nat_worker *w = &p->workers[worker];
	struct nat_set *s = &w->sets[i];
	struct nat_group *g = &w->groups[s->group];
	struct nat_owned *o = owned_of(p, worker, &g->key);
	uint32_t chunk = s->chunk, group = s->group, *at;
	unsigned no = nat_chunk_no(chunk);

	/* On a hold list it stays until its turn ends. */
	if (s->used || s->held[0] || s->held[1] || s->holding[0] || s->holding[1])
		return;
	s->used = UINT64_MAX; /* no room: unlists it */
	room_update(p, w, i);
	at = &w->set_hash[set_slot(p, group, chunk)];
	while (*at != i)
		at = &w->sets[*at].hash_next;
	*at = s->hash_next;
	s->hash_next = w->set_free;
	w->set_free = i;
	if (g->map != NAT_NONE)
		w->maps[g->map].w[no / 64] &= ~(1ull << no % 64);
	if (--g->n_sets == 0)
		group_drop(p, w, group);
	if (--p->chunks[chunk].n_sets == 0)
		own_drop(p, o, chunk);
}

/* ----- hold-down ----- */

static void set_rested(struct nat_pool *p, unsigned worker, uint32_t i, unsigned turn)
{
	struct nat_worker *w = &p->workers[worker];
	struct nat_set *s = &w->sets[i];

	nat_count(&w->c.held, -(int64_t)__builtin_popcountll(s->held[turn]));
	s->held[turn] = 0;
	s->holding[turn] = false;
	room_update(p, w, i);
	set_drop_if_empty(p, worker, i);
}

void nat_engine_rested(struct nat_pool *p, unsigned worker, unsigned proto, unsigned turn,
		       unsigned *budget)
{
	struct nat_worker *w = &p->workers[worker];
	uint32_t *first = &w->hold[proto][turn];

	while (*first != NAT_NONE && *budget) {
		uint32_t i = *first;

		*first = w->sets[i].hold_next[turn];
		set_rested(p, worker, i, turn);
		(*budget)--;
	}
}

/* The table of sets is full: the oldest rests end early, so that a full table still serves. */
static void cut_hold(struct nat_pool *p, unsigned worker, unsigned proto)
{
	struct nat_worker *w = &p->workers[worker];

	for (unsigned n = 0; n < HOLD_CUTS && w->set_free == NAT_NONE; n++) {
		unsigned turn = w->turn[proto] ^ 1, one = 1;

		if (w->hold[proto][turn] == NAT_NONE)
			turn ^= 1;
		if (w->hold[proto][turn] == NAT_NONE)
			break;
		nat_count(&w->c.hold_cut, 1);
		nat_engine_rested(p, worker, proto, turn, &one);
	}
}

/* ----- finding a port ----- */

static void grant(struct nat_pool *p, struct nat_worker *w, uint32_t i, unsigned bit)
{
	struct nat_set *s = &w->sets[i];

	s->used |= 1ull << bit;
	room_update(p, w, i);
	nat_count(&w->c.in_use, 1);
}

/* A set with room, of the wanted parity if one of the first few has it. */
static uint32_t room_pick(const struct nat_pool *p, const struct nat_worker *w,
			  const struct nat_group *g, uint16_t want)
{
	uint64_t mask = want & 1 ? 0xaaaaaaaaaaaaaaaaull : 0x5555555555555555ull;
	uint32_t i = g->room;

	if (!p->conf.parity)
		return i;
	for (unsigned n = 0; n < PARITY_TRIES && i != NAT_NONE; n++, i = w->sets[i].next)
		if (free_of(p, &w->sets[i]) & mask)
			return i;
	return g->room;
}

/* The wished port: the inside one, or any of the home slice. NAT_NONE: no wish. */
static uint32_t wish(const struct nat_pool *p, unsigned worker, const struct nat_key *k,
		     uint16_t want)
{
	struct nat_worker *w = &p->workers[worker];
	uint32_t first = p->slice_first[k->cls][worker];
	uint32_t n = p->slice_first[k->cls][worker + 1] - first;
	uint64_t r;

	if (p->conf.preserve && nat_port_is_fast(p, want) &&
	    (k->cls == CLS_HIGH) == (want / 64 >= LOW_CHUNKS))
		return want;
	if (!p->conf.random || !n)
		return NAT_NONE;
	r = nat_rand(w);
	r = p->unit_chunk[k->cls][first + (uint32_t)(((r >> 32) * n) >> 32)] * 64u + (r & 63);
	if (p->conf.parity)
		r = (r & ~1ull) | (want & 1);
	return (uint32_t)r;
}

/* A wish claims an idle chunk only at home, and not of the quarter that is kept for need. */
static bool wish_claims(struct nat_pool *p, unsigned worker, const struct nat_key *k,
			uint32_t chunk)
{
	uint32_t n = p->slice_first[k->cls][worker + 1] - p->slice_first[k->cls][worker];

	if (p->slice_of[nat_chunk_no(chunk)] != worker)
		return false;
	if (p->conf.n_workers > 1 && owned_of(p, worker, k)->n >= n - n / 4)
		return false;
	return nat_unit_claim_at(p, chunk);
}

/* Tries to grant exactly the wished port, or for a random wish any port of its chunk. */
static int wish_grant(struct nat_pool *p, unsigned worker, const struct nat_key *k, uint32_t *group,
		      uint32_t port, bool exact)
{
	struct nat_worker *w = &p->workers[worker];
	struct nat_owned *o = owned_of(p, worker, k);
	unsigned no = port / 64, bit = port % 64;
	uint32_t chunk = nat_chunk_id(k->addr, k->proto, no), i;
	uint64_t free;

	if (!(o->w[no / 64] >> no % 64 & 1)) {
		if (!wish_claims(p, worker, k, chunk))
			return -1;
		own_add(p, worker, o, chunk);
	}
	i = *group == NAT_NONE ? NAT_NONE : set_find(p, w, *group, chunk);
	free = i == NAT_NONE ? p->usable[no] : free_of(p, &w->sets[i]);
	if (!(free >> bit & 1)) {
		if (exact || !free)
			goto none;
		bit = nat_pick_bit(w, p, free, (uint16_t)port);
	}
	if (i == NAT_NONE) {
		if (*group == NAT_NONE)
			*group = group_make(p, w, k);
		if (*group == NAT_NONE)
			goto none;
		i = set_make(p, w, *group, chunk);
		if (i == NAT_NONE)
			goto none;
	}
	grant(p, w, i, bit);
	return (int)(no * 64 + bit);
none:
	if (!p->chunks[chunk].n_sets)
		own_drop(p, o, chunk);
	return -1;
}

/* An owned chunk that the group has no set in. All its sets are full when this is asked. */
static uint32_t chunk_without_set(const struct nat_pool *p, struct nat_worker *w,
				  const struct nat_owned *o, uint32_t group)
{
	const struct nat_group *g = &w->groups[group];
	uint64_t r = nat_rand(w);
	uint32_t start = (uint32_t)(((r >> 32) * o->n) >> 32);

	if (g->n_sets >= o->n)
		return NAT_NONE;
	if (g->map != NAT_NONE) {
		for (unsigned n = 0, i = r % CHUNK_WORDS; n < CHUNK_WORDS;
		     n++, i = (i + 1) % CHUNK_WORDS) {
			uint64_t cand = o->w[i] & ~w->maps[g->map].w[i];

			if (cand)
				return nat_chunk_id(g->key.addr, g->key.proto,
						    i * 64 + (unsigned)__builtin_ctzll(cand));
		}
		return NAT_NONE;
	}
	/* No set, one, or no map was left: the first draw mostly fits. */
	for (uint32_t n = 0; n < o->n; n++) {
		uint32_t chunk = o->list[start + n < o->n ? start + n : start + n - o->n];

		if (!g->n_sets || set_find(p, w, group, chunk) == NAT_NONE)
			return chunk;
	}
	return NAT_NONE;
}

static int group_alloc(struct nat_pool *p, unsigned worker, const struct nat_key *k, uint32_t group,
		       uint16_t want)
{
	struct nat_worker *w = &p->workers[worker];
	struct nat_owned *o = owned_of(p, worker, k);
	uint32_t i = room_pick(p, w, &w->groups[group], want), chunk;
	unsigned bit;

	if (i == NAT_NONE) {
		if (w->set_free == NAT_NONE)
			return -ENOBUFS;
		chunk = chunk_without_set(p, w, o, group);
		if (chunk == NAT_NONE) {
			chunk = nat_unit_claim(p, worker, k->addr, k->proto, k->cls);
			if (chunk == NAT_NONE)
				return -ENOSPC;
			own_add(p, worker, o, chunk);
		}
		i = set_make(p, w, group, chunk);
	}
	bit = nat_pick_bit(w, p, free_of(p, &w->sets[i]), want);
	chunk = w->sets[i].chunk;
	grant(p, w, i, bit);
	return (int)(nat_chunk_no(chunk) * 64 + bit);
}

int nat_engine_alloc(struct nat_pool *p, unsigned worker, const struct nat_key *key, uint16_t want,
		     uint16_t *ret_port)
{
	struct nat_worker *w = &p->workers[worker];
	uint32_t group = group_find(p, w, key), wished = wish(p, worker, key, want);
	int port = -1;

	if (wished != NAT_NONE)
		port = wish_grant(p, worker, key, &group, wished,
				  p->conf.preserve && wished == want);
	if (port < 0) {
		/* A cut may free the group that was found: look again. */
		if (w->set_free == NAT_NONE &&
		    (group == NAT_NONE || w->groups[group].room == NAT_NONE)) {
			cut_hold(p, worker, key->proto);
			group = group_find(p, w, key);
		}
		if (group == NAT_NONE)
			group = group_make(p, w, key);
		if (group == NAT_NONE)
			return -ENOBUFS;
		port = group_alloc(p, worker, key, group, want);
	}
	if (port < 0) {
		if (!w->groups[group].n_sets)
			group_drop(p, w, group);
		return port;
	}
	*ret_port = (uint16_t)port;
	return 0;
}

int nat_engine_take(struct nat_pool *p, const struct nat_key *key, uint16_t port,
		    uint16_t *ret_worker)
{
	uint32_t chunk = nat_chunk_id(key->addr, key->proto, port / 64), group, i;
	unsigned worker;
	struct nat_worker *w;

	if (nat_unit_claim_at(p, chunk)) {
		worker = p->slice_of[port / 64];
		own_add(p, worker, owned_of(p, worker, key), chunk);
	}
	worker = p->chunks[chunk].owner;
	w = &p->workers[worker];
	group = group_find(p, w, key);
	if (group == NAT_NONE)
		group = group_make(p, w, key);
	if (group == NAT_NONE)
		return -ENOBUFS;
	i = set_find(p, w, group, chunk);
	if (i == NAT_NONE)
		i = set_make(p, w, group, chunk);
	if (i == NAT_NONE) {
		if (!w->groups[group].n_sets)
			group_drop(p, w, group);
		return -ENOBUFS;
	}
	if (!(free_of(p, &w->sets[i]) >> port % 64 & 1))
		return -EEXIST;
	grant(p, w, i, port % 64);
	*ret_worker = (uint16_t)worker;
	return 0;
}

void nat_engine_free(struct nat_pool *p, unsigned worker, const struct nat_key *key, uint16_t port)
{
	struct nat_worker *w = &p->workers[worker];
	uint32_t chunk = nat_chunk_id(key->addr, key->proto, port / 64);
	uint32_t i = set_find(p, w, group_find(p, w, key), chunk);
	struct nat_set *s = &w->sets[i];
	unsigned turn = w->turn[key->proto];
	uint64_t bit = 1ull << port % 64;

	s->used &= ~bit;
	nat_count(&w->c.in_use, -1);
	if (p->conf.hold_sec[key->proto]) {
		s->held[turn] |= bit;
		nat_count(&w->c.held, 1);
		if (!s->holding[turn]) {
			s->holding[turn] = true;
			s->hold_next[turn] = w->hold[key->proto][turn];
			w->hold[key->proto][turn] = i;
		}
		return;
	}
	room_update(p, w, i);
	set_drop_if_empty(p, worker, i);
}

/* ----- ports that other workers give back (NAT_EIM) ----- */

void nat_engine_return(struct nat_pool *p, unsigned owner, uint32_t chunk, unsigned bit)
{
	struct nat_chunk *c = &p->chunks[chunk];
	struct nat_worker *w = &p->workers[owner];
	uint32_t head;

	/* The first one since the owner looked puts the chunk on its stack. */
	if (atomic_fetch_or_explicit(&c->back, 1ull << bit, memory_order_acq_rel))
		return;
	head = atomic_load_explicit(&w->back, memory_order_relaxed);
	do
		c->back_next = head;
	while (!atomic_compare_exchange_weak_explicit(&w->back, &head, chunk, memory_order_release,
						      memory_order_relaxed));
}

void nat_engine_take_back(struct nat_pool *p, unsigned worker, unsigned *budget)
{
	struct nat_worker *w = &p->workers[worker];

	while (*budget) {
		uint32_t chunk = w->back_pending;
		struct nat_key key = { .dport = 0 };
		uint64_t bits;

		if (chunk == NAT_NONE)
			chunk = atomic_exchange_explicit(&w->back, NAT_NONE, memory_order_acquire);
		if (chunk == NAT_NONE)
			return;
		/* Read before back is zero: from then on the chunk may be pushed again. */
		w->back_pending = p->chunks[chunk].back_next;
		bits = atomic_exchange_explicit(&p->chunks[chunk].back, 0, memory_order_acq_rel);
		key.addr = chunk / N_CHUNKS / NAT_P__MAX;
		key.proto = (uint8_t)(chunk / N_CHUNKS % NAT_P__MAX);
		key.cls = (uint8_t)nat_class(p, key.proto, (uint16_t)(nat_chunk_no(chunk) * 64));
		for (; bits; bits &= bits - 1)
			nat_engine_free(p, worker, &key,
					(uint16_t)(nat_chunk_no(chunk) * 64 +
						   (unsigned)__builtin_ctzll(bits)));
		(*budget)--;
	}
}

/* ----- memory ----- */

static void *table(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

static int worker_init(struct nat_pool *p, struct nat_worker *w, uint32_t n)
{
	uint32_t n_maps = n / 8 +
			  16; /* groups of several chunks are few; without a map it probes */

	w->sets = table(n, sizeof(*w->sets));
	w->groups = table(n, sizeof(*w->groups));
	w->maps = table(n_maps, sizeof(*w->maps));
	w->set_hash = table(p->set_mask + 1, sizeof(uint32_t));
	w->group_hash = table(p->group_mask + 1, sizeof(uint32_t));
	w->owned = table((size_t)p->conf.n_addrs * NAT_P__MAX * CLS__MAX, sizeof(*w->owned));
	if (!w->sets || !w->groups || !w->maps || !w->set_hash || !w->group_hash || !w->owned)
		return -ENOMEM;
	memset(w->set_hash, 0xff, (p->set_mask + 1) * sizeof(uint32_t));
	memset(w->group_hash, 0xff, (p->group_mask + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < n; i++)
		w->sets[i].hash_next = w->groups[i].hash_next = i + 1 < n ? i + 1 : NAT_NONE;
	for (uint32_t i = 0; i < n_maps; i++)
		w->maps[i].w[0] = i + 1 < n_maps ? i + 1 : NAT_NONE;
	for (size_t i = 0; i < (size_t)p->conf.n_addrs * NAT_P__MAX * CLS__MAX; i++) {
		w->owned[i].list = table(p->n_units[i % CLS__MAX], sizeof(uint32_t));
		if (!w->owned[i].list)
			return -ENOMEM;
	}
	return 0;
}

int nat_engine_init(struct nat_pool *p)
{
	/* With blocks no set is ever made. */
	uint32_t n = p->conf.block_ports ? 1 : p->conf.max_flows, slots = 1;

	while (slots < n)
		slots *= 2;
	p->set_mask = p->group_mask = slots - 1;
	for (unsigned i = 0; i < p->conf.n_workers; i++) {
		int rc = worker_init(p, &p->workers[i], n);

		if (rc)
			return rc;
	}
	return 0;
}

void nat_engine_fini(struct nat_pool *p)
{
	for (unsigned i = 0; i < p->conf.n_workers; i++) {
		struct nat_worker *w = &p->workers[i];

		for (size_t k = 0; w->owned && k < (size_t)p->conf.n_addrs * NAT_P__MAX * CLS__MAX;
		     k++)
			free(w->owned[k].list);
		free(w->owned);
		free(w->sets);
		free(w->groups);
		free(w->maps);
		free(w->set_hash);
		free(w->group_hash);
	}
}
