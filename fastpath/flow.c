/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow_priv.h"

#include <errno.h>
#include <time.h>

/* First bucket while it has fewer slots in use; simulated in docs/design/flowtable.md. */
/* Tests choose the second bucket more often. */
#ifndef FIRST_LIMIT
#define FIRST_LIMIT                5
#define SECOND_FIRST(used0, used1) ((used0) >= FIRST_LIMIT && (used1) < (used0))
#endif

/* --- publication --- */

static bool key_lives(const struct flow_table *ft, enum flow_family fam, uint64_t slot,
		      const flow_word *key)
{
	uint64_t word0;

	return flow_line_read(flow_line(ft, fam, (uint32_t)slot), (uint16_t)(slot >> 32), key,
			      flow_key_len(fam), NULL, 0, 0, &word0) == FLOW_HIT;
}

/* Where a slot can go. */
struct room {
	struct flow_bucket *b;
	uint32_t free; /* mask of slots */
	int used;
};

/* Looks through one bucket: is the key there, and where is room? */
static bool scan(const struct flow_table *ft, enum flow_family fam, uint64_t new_slot,
		 const flow_word *key, struct room *r)
{
	for (int s = 0; s < FLOW_SLOTS; s++) {
		uint64_t slot = FLOW_LD(&r->b->slot[s]);

		if (!slot)
			r->free |= 1u << s;
		else
			r->used++;
		if (slot && slot >> 48 == new_slot >> 48 && key_lives(ft, fam, slot, key))
			return true;
	}
	return false;
}

/* Others may use the bucket as their second: a slot is taken by compare-and-swap. */
static bool put(const struct room *r, uint64_t slot)
{
	for (uint32_t m = r->free; m; m &= m - 1) {
		uint64_t empty = 0;

		if (FLOW_CAS(&r->b->slot[__builtin_ctz(m)], &empty, slot))
			return true;
	}
	return false;
}

/*
 * Puts the slot into one of the two buckets unless the key is there. The first bucket's lock keeps
 * out others who insert the same key, and sends readers to the second bucket while a slot is there
 * that is not counted yet.
 */
static int publish(struct fp_flow_worker *w, enum flow_family fam, const flow_word *key,
		   uint64_t hash, uint64_t slot)
{
	const struct flow_table *ft = &w->t->fam[fam];
	uint32_t first = flow_bucket_of(hash, ft->bucket_mask, 0);
	struct room r[2] = {
		{ .b = &ft->buckets[first] },
		{ .b = &ft->buckets[flow_bucket_of(hash, ft->bucket_mask, 1)] },
	};
	uint64_t spill;
	int err, c;

	err = flow_bucket_lock(w->t, fam, w->lock, first, &spill);
	if (err)
		return err;
	err = -EEXIST;
	if (scan(ft, fam, slot, key, &r[0]))
		goto out;
	if ((r[0].used >= FIRST_LIMIT || flow_spilled(spill, hash)) &&
	    scan(ft, fam, slot, key, &r[1]))
		goto out;
	err = 0;
	c = SECOND_FIRST(r[0].used, r[1].used);
	if (!put(&r[c], slot)) {
		c ^= 1;
		err = put(&r[c], slot) ? 0 : -ENOSPC;
	}
	if (!err && c)
		spill = flow_spill_add(spill, hash);
out:
	flow_bucket_unlock(r[0].b, spill);
	return err;
}

/* --- pairs --- */

static uint32_t pair_take(struct fp_flow_worker *w, enum flow_family fam)
{
	struct flow_ring *r = &w->ring[fam];
	uint32_t pair = w->stash[fam], tail = r->tail;

	if (pair != FLOW_NO_LINE) {
		w->stash[fam] = FLOW_NO_LINE;
		return pair;
	}
	if (tail == __atomic_load_n(&r->head, __ATOMIC_ACQUIRE))
		return FLOW_NO_LINE;
	pair = r->pair[tail & r->mask];
	__atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
	return pair;
}

/* --- lines --- */

/* Places tried for a line: its home, those behind it, then some all over the table. */
#define PROBES_NEAR 8
#define PROBES      256

static uint32_t probe(uint64_t hash, uint32_t n_pairs, unsigned i)
{
	uint64_t at = flow_home(hash, n_pairs);

	at += i < PROBES_NEAR ? i : i * (uint64_t)(2 * (hash & 0xffff) + 1);
	return (uint32_t)(at % (2 * (uint64_t)n_pairs));
}

/* Takes a free line for a key; FLOW_NO_LINE when all that may hold it are in use. */
static uint32_t line_take(struct fp_flow_worker *w, enum flow_family fam, uint64_t hash)
{
	const struct flow_table *ft = &w->t->fam[fam];

	for (unsigned i = 0; i < PROBES; i++) {
		uint32_t place = probe(hash, ft->n_pairs, i);
		flow_word *line = flow_line(ft, fam, place);
		uint64_t old = FLOW_LD(line);

		if (flow_w0_path(old) == FLOW_P_FREE &&
		    FLOW_CAS(line, &old, flow_w0_dead(w->t->hdr, flow_w0_gen(old) | 1)))
			return place;
	}
	return FLOW_NO_LINE;
}

/* Nobody has seen it: no grace period. */
static void line_release(const struct flow_table *ft, enum flow_family fam, uint32_t place)
{
	flow_word *line = flow_line(ft, fam, place);

	FLOW_ST(line, FLOW_W0(flow_w0_gen(FLOW_LD(line)) | 1, FLOW_P_FREE, 0, 0));
}

static uint16_t later(uint16_t a, uint16_t b)
{
	return (int16_t)(a - b) > 0 ? a : b;
}

/* A generation that neither the lines nor the name have had lately; all of theirs are odd now. */
static uint16_t gen_next(uint16_t name, uint16_t line0, uint16_t line1)
{
	uint16_t gen = later(later(name | 1, line0), line1) + 1;

	while (!gen || gen == name || gen == (uint16_t)(line0 - 1) || gen == (uint16_t)(line1 - 1))
		gen += 2;
	return gen;
}

static void fill(flow_word *line, enum flow_family fam, const struct fp_flow_half *h, uint32_t time)
{
	int n_key = flow_key_len(fam), at = 1 + n_key;
	uint64_t tcp = h->tcp.end | (uint64_t)h->tcp.edge << 32;
	uint64_t egress = h->egress | (uint64_t)time << 32;

	for (int i = 0; i < n_key; i++)
		FLOW_ST(line + 1 + i, h->key[i]);
	if (fam == FLOW_4) {
		FLOW_ST(line + 3, h->rw[0]);
		FLOW_ST(line + 4, h->rw[1]);
		at = 5;
	}
	FLOW_ST(line + at, egress);
	FLOW_ST(line + at + 1, h->count);
	if (fam == FLOW_4) {
		FLOW_ST(line + 7, tcp);
		return;
	}
	for (int i = 0; i < 5; i++)
		FLOW_ST(line + 8 + i, h->rw[i]);
	FLOW_ST(line + 13, tcp);
}

static void fill_side(struct flow_side *side, uint32_t name, uint32_t twin,
		      const struct fp_flow_half *peer)
{
	uint32_t wlog = peer->egress >> FLOW_EGRESS_WLOG_SHIFT & 31;

	FLOW_ST((void *)&side->peer, peer->tcp.end | (uint64_t)peer->tcp.edge << 32);
	FLOW_ST((void *)&side->name, name | wlog << FLOW_SIDE_WLOG_SHIFT | (uint64_t)twin << 32);
}

/* An opener's half waits for no answer, whatever the caller says of it. */
static uint8_t state_of(const struct fp_flow_half *h, int d)
{
	bool waits = d || h->flags & FLOW_F_TCP || h->state >> FLOW_TRACK_SHIFT;

	return waits ? h->state : h->state | 1u << FLOW_TRACK_SHIFT;
}

/* From now on no reader accepts the pair; slots are gone already. */
static void pair_kill(flow_word *line[2], const struct flow_hdr *hdr, uint16_t gen)
{
	for (int d = 0; d < 2; d++)
		FLOW_ST(line[d], flow_w0_dead(hdr, gen | 1));
}

/* A new flow on its way into the table. */
struct birth {
	uint32_t pair, place[2];
	uint64_t hash[2];
	flow_word *line[2];
	uint16_t gen;
};

static int birth_begin(struct fp_flow_worker *w, enum flow_family fam, const struct fp_flow_new *f,
		       struct birth *b)
{
	struct flow_table *ft = &w->t->fam[fam];

	b->pair = pair_take(w, fam);
	if (b->pair == FLOW_NO_LINE)
		return -ENOSPC;
	for (int d = 0; d < 2; d++) {
		b->hash[d] = flow_hash(w->t->hdr, fam, (const flow_word *)f->dir[d].key);
		b->place[d] = line_take(w, fam, b->hash[d]);
		if (b->place[d] == FLOW_NO_LINE) {
			if (d)
				line_release(ft, fam, b->place[0]);
			w->stash[fam] = b->pair;
			return -ENOSPC;
		}
		b->line[d] = flow_line(ft, fam, b->place[d]);
	}
	b->gen = gen_next(ft->cold[b->pair].gen, flow_w0_gen(FLOW_LD(b->line[0])),
			  flow_w0_gen(FLOW_LD(b->line[1])));
	return 0;
}

/* All but the slots; the lines do not live yet, but keys are unique from now on. */
static void birth_fill(struct fp_flow_worker *w, enum flow_family fam, const struct fp_flow_new *f,
		       const struct birth *b)
{
	struct flow_table *ft = &w->t->fam[fam];

	for (int d = 0; d < 2; d++) {
		fill(b->line[d], fam, &f->dir[d], f->time);
		fill_side(flow_side(ft, fam, b->place[d]), 2 * b->pair + (uint32_t)d, b->place[!d],
			  &f->dir[!d]);
	}
	/* Complete before it is published: adoption trusts the cold entry of a living flow. */
	ft->cold[b->pair] = (struct flow_cold){ .owner = (uint16_t)w->id,
						.timeout = f->timeout,
						.rule = f->rule,
						.gen = b->gen,
						.flags = f->flags,
						.place = b->place[0],
						.nat_pool = f->nat_pool };
	for (int d = 0; d < 2; d++)
		FLOW_ST(b->line[d], flow_w0_dead(w->t->hdr, b->gen));
}

static void refused(struct fp_flow_worker *w, int err, enum fp_flow_stat exists)
{
	flow_stat_add(w, err == -EEXIST   ? exists
			 : err == -ENOSPC ? FP_FLOW_STAT_NO_SLOT
					  : FP_FLOW_STAT_BUSY);
}

static inline int insert(struct fp_flow_worker *w, enum flow_family fam,
			 const struct fp_flow_new *f, uint64_t *ret_ref)
{
	struct flow_table *ft = &w->t->fam[fam];
	struct birth b;
	int err = birth_begin(w, fam, f, &b);

	if (err) {
		flow_stat_add(w, FP_FLOW_STAT_NO_PAIR);
		return err;
	}
	birth_fill(w, fam, f, &b);
	err = publish(w, fam, (const flow_word *)f->dir[1].key, b.hash[1],
		      flow_slot(b.hash[1], b.gen, b.place[1]));
	if (err) {
		for (int d = 0; d < 2; d++)
			line_release(ft, fam, b.place[d]);
		w->stash[fam] = b.pair;
		refused(w, err, FP_FLOW_STAT_EXISTS_REV);
		return err;
	}
	err = publish(w, fam, (const flow_word *)f->dir[0].key, b.hash[0],
		      flow_slot(b.hash[0], b.gen, b.place[0]));
	if (err) {
		flow_unpublish(w->t, fam, w->lock, b.place[1], b.gen);
		pair_kill(b.line, w->t->hdr, b.gen);
		flow_give_up(w, fam, b.pair);
		refused(w, err, FP_FLOW_STAT_EXISTS_FWD);
		return err;
	}
	/* Who finds the forward key finds the reverse key too. */
	for (int d = 1; d >= 0; d--)
		FLOW_ST(b.line[d],
			FLOW_W0(b.gen, state_of(&f->dir[d], d), f->dir[d].flags, f->policy));
	wheel_add(&w->wheel[fam], b.pair, flow_tick(f->time + f->timeout) + 1);
	if (unlikely(w->adopting))
		ft->filed[b.pair] = 1;
	flow_stat_add(w, FP_FLOW_STAT_INSERTED);
	*ret_ref = flow_ref(b.gen, 2 * b.pair);
	return 0;
}

int fp_flow_insert(struct fp_flow_worker *w, enum flow_family fam, const struct fp_flow_new *f,
		   uint64_t *ret_ref)
{
	/* Two bodies, so that each family's loops have constant lengths. */
	return fam == FLOW_4 ? insert(w, FLOW_4, f, ret_ref) : insert(w, FLOW_6, f, ret_ref);
}

void fp_flow_prefetch(struct fp_flow_worker *w, enum flow_family fam, const struct fp_flow_new *f)
{
	const struct flow_table *ft = &w->t->fam[fam];
	const struct flow_ring *r = &w->ring[fam];
	uint32_t pair;

	/* Where the ring's next pairs have not been fetched yet. */
	if (w->peek[fam] - r->tail >= FP_FLOW_BURST)
		w->peek[fam] = r->tail;
	pair = r->pair[w->peek[fam]++ & r->mask];
	__builtin_prefetch(&ft->cold[pair], 1);
	for (int d = 0; d < 2; d++) {
		uint64_t hash = flow_hash(w->t->hdr, fam, (const flow_word *)f->dir[d].key);
		uint32_t home = flow_home(hash, ft->n_pairs);

		__builtin_prefetch(flow_line(ft, fam, home), 1);
		__builtin_prefetch(flow_side(ft, fam, home), 1);
		for (int c = 0; c < 2; c++)
			__builtin_prefetch(&ft->buckets[flow_bucket_of(hash, ft->bucket_mask, c)],
					   1);
	}
}

/* --- living flows --- */

/* The line that ref names, or NULL when it has ended. */
static flow_word *ref_line(const struct flow_table *ft, enum flow_family fam, uint64_t ref)
{
	uint32_t name = (uint32_t)ref, place[2];
	uint64_t word0;
	flow_word *line;

	if (name >> 1 >= ft->n_pairs || ft->cold[name >> 1].gen != (uint16_t)(ref >> 32))
		return NULL;
	flow_places(ft, fam, name >> 1, place);
	line = flow_line(ft, fam, place[name & 1]);
	word0 = FLOW_LD(line);
	return flow_w0_gen(word0) == (uint16_t)(ref >> 32) && flow_lives(word0) ? line : NULL;
}

/* The key of a line that ref names. */
static int key_of(const struct fp_flow *t, enum flow_family fam, uint64_t ref, flow_word *ret)
{
	const flow_word *line = ref_line(&t->fam[fam], fam, ref);

	if (!line)
		return -ESTALE;
	for (int i = 0; i < flow_key_len(fam); i++)
		ret[i] = FLOW_LD(line + 1 + i);
	return flow_w0_gen(FLOW_LD(line)) == (uint16_t)(ref >> 32) ? 0 : -ESTALE;
}

int fp_flow_key4(const struct fp_flow *t, uint64_t ref, struct flow_key4 *ret)
{
	return key_of(t, FLOW_4, ref, (flow_word *)(void *)ret);
}

int fp_flow_key6(const struct fp_flow *t, uint64_t ref, struct flow_key6 *ret)
{
	return key_of(t, FLOW_6, ref, (flow_word *)(void *)ret);
}

static int stale(struct fp_flow_worker *w)
{
	flow_stat_add(w, FP_FLOW_STAT_STALE);
	return -ESTALE;
}

void fp_flow_prefetch_free(const struct fp_flow_worker *w, enum flow_family fam, uint64_t ref)
{
	__builtin_prefetch(&w->t->fam[fam].cold[(uint32_t)ref >> 1], 1);
}

void fp_flow_prefetch_lines(const struct fp_flow_worker *w, enum flow_family fam, uint64_t ref)
{
	const struct flow_table *ft = &w->t->fam[fam];
	uint32_t place = ft->cold[(uint32_t)ref >> 1].place % (2 * ft->n_pairs);

	__builtin_prefetch(flow_line(ft, fam, place), 1);
	__builtin_prefetch(flow_side(ft, fam, place));
}

void fp_flow_prefetch_slots(const struct fp_flow_worker *w, enum flow_family fam, uint64_t ref)
{
	const struct flow_table *ft = &w->t->fam[fam];
	uint32_t place[2];
	uint64_t hash;

	flow_places(ft, fam, (uint32_t)ref >> 1, place);
	__builtin_prefetch(flow_line(ft, fam, place[1]), 1);
	hash = flow_hash(w->t->hdr, fam, flow_line(ft, fam, place[0]) + 1);
	for (int c = 0; c < 2; c++)
		__builtin_prefetch(&ft->buckets[flow_bucket_of(hash, ft->bucket_mask, c)], 1);
}

/* The wheel has let go of it already. */
static void end_flow(struct fp_flow_worker *w, enum flow_family fam, uint32_t pair)
{
	struct flow_table *ft = &w->t->fam[fam];
	uint16_t gen = ft->cold[pair].gen;
	uint32_t place[2];
	flow_word *line[2];

	flow_places(ft, fam, pair, place);
	/* Against the order of insert: while the forward key is found, the reverse one is too. */
	for (int d = 0; d < 2; d++) {
		line[d] = flow_line(ft, fam, place[d]);
		FLOW_ST(line[d], flow_w0_dead(w->t->hdr, gen));
	}
	for (int d = 0; d < 2; d++)
		flow_unpublish(w->t, fam, w->lock, place[d], gen);
	pair_kill(line, w->t->hdr, gen);
	if (ft->cold[pair].flags & FLOW_COLD_COUNTED)
		fp_flow_quota_give(w->t, fam, (const uint8_t *)(line[0] + 1));
	/* Before the pair is given up: it may be another worker's at once. */
	if (unlikely(w->adopting))
		ft->filed[pair] = 0;
	flow_give_up(w, fam, pair);
	flow_stat_add(w, FP_FLOW_STAT_FREED);
}

/* --- flows of other threads --- */

static void take_adopted(struct fp_flow_worker *w, enum flow_family fam, uint32_t now);

/* Puts the flow on its owner's list, once. */
static void look_push(const struct fp_flow *t, enum flow_family fam, uint32_t pair)
{
	const struct flow_table *ft = &t->fam[fam];
	unsigned owner = __atomic_load_n(&ft->cold[pair].owner, __ATOMIC_RELAXED);
	uint32_t *head = &t->worker[owner % t->n_workers].look[fam], old, none = 0;

	if (!__atomic_compare_exchange_n(&ft->link[pair], &none, 1, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return;
	old = __atomic_load_n(head, __ATOMIC_RELAXED);
	do
		__atomic_store_n(&ft->link[pair], old ? old : 1, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(head, &old, pair + 2, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED));
}

/* False: flows of the process before may still be on their way to this worker's wheel. */
static bool adopted_all(struct fp_flow_worker *w)
{
	if (!w->adopting)
		return true;
	if (!__atomic_load_n(&w->t->adoption.done, __ATOMIC_ACQUIRE))
		return false;
	for (int fam = 0; fam < FLOW__FAMILIES; fam++)
		take_adopted(w, fam, fp_flow_now());
	w->adopting = false;
	return true;
}

/* Is the flow on this worker's wheel? */
static bool is_filed(struct fp_flow_worker *w, enum flow_family fam, uint32_t pair)
{
	return adopted_all(w) || w->t->fam[fam].filed[pair];
}

unsigned fp_flow_owner(const struct fp_flow *t, enum flow_family fam, uint64_t ref)
{
	return __atomic_load_n(&t->fam[fam].cold[(uint32_t)ref >> 1].owner, __ATOMIC_RELAXED) %
	       t->n_workers;
}

static bool end_half(const struct flow_table *ft, enum flow_family fam, uint64_t ref)
{
	flow_word *line = ref_line(ft, fam, ref);
	uint64_t old = line ? FLOW_LD(line) : 0, new;

	do {
		if (!line || !flow_lives(old) || flow_w0_gen(old) != (uint16_t)(ref >> 32) ||
		    flow_w0_path(old) == FLOW_P_ENDED)
			return false;
		new = old & ~((uint64_t)FLOW_PATH_MASK << FLOW_W0_STATE_SHIFT);
		new |= (uint64_t)FLOW_P_ENDED << FLOW_W0_STATE_SHIFT;
	} while (!FLOW_CAS(line, &old, new));
	return true;
}

int fp_flow_end(const struct fp_flow *t, enum flow_family fam, uint64_t ref)
{
	bool ended = end_half(&t->fam[fam], fam, ref & ~1ull);

	end_half(&t->fam[fam], fam, ref | 1);
	/* Also of one that a process before meant to end. */
	look_push(t, fam, (uint32_t)ref >> 1);
	return ended ? 0 : -ESTALE;
}

int fp_flow_free(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref)
{
	if (!ref_line(&w->t->fam[fam], fam, ref))
		return stale(w);
	if (!is_filed(w, fam, (uint32_t)ref >> 1))
		return -EBUSY;
	wheel_del(&w->wheel[fam], (uint32_t)ref >> 1);
	end_flow(w, fam, (uint32_t)ref >> 1);
	return 0;
}

/* What has ended stays so; and XDP takes over from a worker only, never what is the kernel's. */
static bool may_turn(uint64_t w0, uint64_t bits)
{
	uint8_t from = flow_w0_path(w0);

	return flow_w0_path(bits) == FLOW_P_EXPRESS ? from == FLOW_P_WORKER : from != FLOW_P_ENDED;
}

/* Replaces bits of word0 of the living flow ref; XDP's atomic changes of other bits survive. */
static int change_word0(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref, uint64_t mask,
			uint64_t bits, bool only_idle)
{
	const uint64_t path_mask = (uint64_t)FLOW_PATH_MASK << FLOW_W0_STATE_SHIFT;
	flow_word *line = ref_line(&w->t->fam[fam], fam, ref);
	uint64_t old;

	if (!line)
		return stale(w);
	old = FLOW_LD(line);
	do {
		if (flow_w0_gen(old) != (uint16_t)(ref >> 32))
			return stale(w);
		if (mask & path_mask && !may_turn(old, bits))
			return -ESTALE;
		if (only_idle && flow_w0_inflight(old))
			return -EBUSY;
	} while (!FLOW_CAS(line, &old, (old & ~mask) | bits));
	return 0;
}

void fp_flow_hold(const struct fp_flow *t, enum flow_family fam, uint64_t ref)
{
	uint16_t *flags = &fp_flow_cold(t, fam, (uint32_t)ref)->flags;

	__atomic_fetch_or(flags, (uint16_t)(FLOW_COLD_HELD << (ref & 1)), __ATOMIC_RELEASE);
}

bool fp_flow_unhold(const struct fp_flow *t, enum flow_family fam, uint64_t ref)
{
	uint16_t *flags = &fp_flow_cold(t, fam, (uint32_t)ref)->flags;
	uint16_t bit = (uint16_t)(FLOW_COLD_HELD << (ref & 1));

	return __atomic_load_n(flags, __ATOMIC_RELAXED) & bit &&
	       __atomic_fetch_and(flags, (uint16_t)~bit, __ATOMIC_ACQUIRE) & bit;
}

int fp_flow_set_path(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
		     enum flow_path path, bool force)
{
	return change_word0(w, fam, ref, (uint64_t)FLOW_PATH_MASK << FLOW_W0_STATE_SHIFT,
			    (uint64_t)path << FLOW_W0_STATE_SHIFT, !force);
}

int fp_flow_set_flags(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref, uint8_t set,
		      uint8_t clear)
{
	return change_word0(w, fam, ref, (uint64_t)(set | clear) << FLOW_W0_FLAGS_SHIFT,
			    (uint64_t)set << FLOW_W0_FLAGS_SHIFT, false);
}

int fp_flow_set_policy(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
		       uint16_t policy)
{
	return change_word0(w, fam, ref, 0xffffull << FLOW_W0_POLICY_SHIFT,
			    (uint64_t)policy << FLOW_W0_POLICY_SHIFT, false);
}

int fp_flow_inflight_done(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref)
{
	flow_word *line = ref_line(&w->t->fam[fam], fam, ref);
	uint64_t old;

	if (!line)
		return stale(w);
	old = FLOW_LD(line);
	do {
		if (flow_w0_gen(old) != (uint16_t)(ref >> 32))
			return stale(w);
		if (!flow_w0_inflight(old))
			return 0;
	} while (!FLOW_CAS(line, &old, old - FLOW_W0_INFLIGHT_ONE));
	return 0;
}

struct flow_cold *fp_flow_cold(const struct fp_flow *t, enum flow_family fam, uint32_t name)
{
	return &t->fam[fam].cold[name >> 1];
}

/* Where the coarse time (upper half of the word) and the counters of a line are. */
static unsigned time_at(enum flow_family fam)
{
	return fam == FLOW_4 ? 5 : 6;
}

static void bits_set(uint32_t *at, uint32_t mask, uint32_t bits)
{
	uint32_t old = __atomic_load_n(at, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(at, &old, (old & ~mask) | bits, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

int fp_flow_set_window(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
		       uint8_t win_log2, uint8_t scale)
{
	const struct flow_table *ft = &w->t->fam[fam];
	flow_word *line = ref_line(ft, fam, ref);
	uint32_t place[2];

	if (!line)
		return stale(w);
	flow_places(ft, fam, (uint32_t)ref >> 1, place);
	bits_set((uint32_t *)(void *)(line + time_at(fam)), ~FLOW_EGRESS_ADJ_MASK,
		 flow_egress(0, win_log2, scale));
	bits_set(&flow_side(ft, fam, place[~ref & 1])->name, ~FLOW_NAME_MASK,
		 (uint32_t)win_log2 << FLOW_SIDE_WLOG_SHIFT);
	return 0;
}

int fp_flow_set_tcp(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
		    const struct flow_tcp *tcp)
{
	const struct flow_table *ft = &w->t->fam[fam];
	flow_word *line = ref_line(ft, fam, ref);
	uint64_t v = tcp->end | (uint64_t)tcp->edge << 32;
	uint32_t place[2];

	if (!line)
		return stale(w);
	flow_places(ft, fam, (uint32_t)ref >> 1, place);
	FLOW_ST(fam == FLOW_4 ? (void *)&((struct flow_line4 *)(void *)line)->tcp
			      : (void *)&((struct flow_line6 *)(void *)line)->tcp,
		v);
	FLOW_ST((void *)&flow_side(ft, fam, place[~ref & 1])->peer, v);
	return 0;
}

int fp_flow_harvest(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref)
{
	const struct flow_table *ft = &w->t->fam[fam];
	struct flow_cold *cold;
	uint32_t place[2];

	if (!ref_line(ft, fam, ref))
		return stale(w);
	cold = fp_flow_cold(w->t, fam, (uint32_t)ref);
	flow_places(ft, fam, (uint32_t)ref >> 1, place);
	for (int d = 0; d < 2; d++) {
		flow_word *line = flow_line(ft, fam, place[d]);
		uint64_t n = __atomic_exchange_n(line + time_at(fam) + 1, 0, __ATOMIC_RELAXED);

		cold->packets[d] += n >> FLOW_COUNT_BYTES_BITS;
		cold->bytes[d] += n & ((1ull << FLOW_COUNT_BYTES_BITS) - 1);
	}
	return 0;
}

/* --- ageing --- */

/* Units until the flow ends if no packet comes; 0 or less: it is over. */
static int32_t idle_left(const struct flow_table *ft, enum flow_family fam, uint32_t pair,
			 uint32_t now)
{
	int32_t idle = INT32_MAX;
	uint32_t place[2];

	flow_places(ft, fam, pair, place);
	for (int d = 0; d < 2; d++) {
		uint64_t v = FLOW_LD(flow_line(ft, fam, place[d]) + time_at(fam));
		int32_t age = (int32_t)(now - (uint32_t)(v >> 32));

		/* XDP's clock may be a step ahead of the caller's. */
		idle = MIN(idle, MAX(age, 0));
	}
	return (int32_t)MIN(__atomic_load_n(&ft->cold[pair].timeout, __ATOMIC_RELAXED),
			    (uint32_t)INT32_MAX) -
	       idle;
}

/* When it has to be looked at. + 1: the wheel rounds down, and not before its time is over. */
static uint32_t due(const struct flow_table *ft, enum flow_family fam, uint32_t pair, uint32_t now)
{
	int32_t left = idle_left(ft, fam, pair, now);

	return flow_tick(now + (uint32_t)MAX(left, 0)) + 1;
}

static void file(struct fp_flow_worker *w, enum flow_family fam, uint32_t pair, uint32_t now)
{
	wheel_add(&w->wheel[fam], pair, due(&w->t->fam[fam], fam, pair, now));
}

/* Who is looked at in time stays: it is filed again then, and its neighbours in the list are cold
 * lines of other flows. */
static void file_again(struct fp_flow_worker *w, enum flow_family fam, uint32_t pair, uint32_t now)
{
	const struct flow_table *ft = &w->t->fam[fam];

	if ((int32_t)(due(ft, fam, pair, now) - ft->cold[pair].deadline) >= 0)
		return;
	wheel_del(&w->wheel[fam], pair);
	file(w, fam, pair, now);
}

static void take_adopted(struct fp_flow_worker *w, enum flow_family fam, uint32_t now)
{
	struct flow_table *ft = &w->t->fam[fam];
	uint32_t pair = __atomic_exchange_n(&w->adopted[fam], CHAIN_END, __ATOMIC_ACQUIRE);

	while (pair != CHAIN_END) {
		uint32_t next = ft->cold[pair].next;

		file(w, fam, pair, now);
		pair = next;
	}
}

typedef void (*flow_end_fn)(void *ctx, enum flow_family fam, uint64_t ref);

static bool is_ended(const struct flow_table *ft, enum flow_family fam, uint32_t pair)
{
	uint32_t place[2];

	flow_places(ft, fam, pair, place);
	return flow_w0_path(FLOW_LD(flow_line(ft, fam, place[0]))) == FLOW_P_ENDED;
}

/* A flow that is on no wheel: over, or filed again. */
static bool judge_age(struct fp_flow_worker *w, enum flow_family fam, uint32_t pair, uint32_t now,
		      flow_end_fn end, void *ctx)
{
	struct flow_table *ft = &w->t->fam[fam];
	uint64_t ref = flow_ref(ft->cold[pair].gen, 2 * pair);

	if (idle_left(ft, fam, pair, now) > 0 && !is_ended(ft, fam, pair)) {
		file(w, fam, pair, now);
		return false;
	}
	fp_flow_harvest(w, fam, ref);
	if (end)
		end(ctx, fam, ref);
	end_flow(w, fam, pair);
	return true;
}

/* Flows that others ended or gave another timeout. One that has ended meanwhile may have become
 * another worker's: it goes on to that one. */
static unsigned take_looks(struct fp_flow_worker *w, enum flow_family fam, uint32_t now,
			   flow_end_fn end, void *ctx)
{
	struct flow_table *ft = &w->t->fam[fam];
	uint32_t at = __atomic_exchange_n(&w->look[fam], 0, __ATOMIC_ACQUIRE);
	unsigned ended = 0;

	while (at > 1) {
		uint32_t pair = at - 2;

		at = __atomic_load_n(&ft->link[pair], __ATOMIC_RELAXED);
		/* From here on it may be put on a list again. */
		__atomic_store_n(&ft->link[pair], 0, __ATOMIC_RELEASE);
		if (fp_flow_owner(w->t, fam, 2 * (uint64_t)pair) != w->id) {
			look_push(w->t, fam, pair);
			continue;
		}
		if (!ref_line(ft, fam, flow_ref(ft->cold[pair].gen, 2 * pair)))
			continue;
		wheel_del(&w->wheel[fam], pair);
		ended += judge_age(w, fam, pair, now, end, ctx);
	}
	return ended;
}

unsigned fp_flow_age(struct fp_flow_worker *w, uint32_t now, unsigned budget, flow_end_fn end,
		     void *ctx)
{
	bool all = adopted_all(w);
	unsigned ended = 0;

	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		unsigned left = budget;
		uint32_t pair;

		take_adopted(w, fam, now);
		if (all && __atomic_load_n(&w->look[fam], __ATOMIC_RELAXED))
			ended += take_looks(w, fam, now, end, ctx);
		while ((pair = wheel_pop(&w->wheel[fam], flow_tick(now), &left)) != WHEEL_NONE)
			ended += judge_age(w, fam, pair, now, end, ctx);
	}
	return ended;
}

void fp_flow_retime(const struct fp_flow *t, enum flow_family fam, uint64_t ref, uint32_t timeout)
{
	if (!ref_line(&t->fam[fam], fam, ref))
		return;
	__atomic_store_n(&t->fam[fam].cold[(uint32_t)ref >> 1].timeout, timeout, __ATOMIC_RELAXED);
	look_push(t, fam, (uint32_t)ref >> 1);
}

int fp_flow_set_timeout(struct fp_flow_worker *w, enum flow_family fam, uint64_t ref,
			uint32_t timeout)
{
	uint32_t pair = (uint32_t)ref >> 1;

	if (!ref_line(&w->t->fam[fam], fam, ref))
		return stale(w);
	if (fp_flow_owner(w->t, fam, ref) != w->id || !is_filed(w, fam, pair)) {
		fp_flow_retime(w->t, fam, ref, timeout);
		return 0;
	}
	__atomic_store_n(&w->t->fam[fam].cold[pair].timeout, timeout, __ATOMIC_RELAXED);
	file_again(w, fam, pair, fp_flow_now());
	return 0;
}

uint32_t fp_flow_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint32_t)(((uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec) >>
			  FLOW_TIME_SHIFT);
}

uint32_t fp_flow_ms(uint32_t units)
{
	return (uint32_t)MIN(((uint64_t)units << FLOW_TIME_SHIFT) / NSEC_PER_MSEC, UINT32_MAX);
}

/* --- numbers --- */

uint64_t fp_flow_stat(const struct fp_flow *t, enum fp_flow_stat which)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < t->n_workers; i++)
		sum += __atomic_load_n(&t->worker[i].stat[which], __ATOMIC_RELAXED);
	return sum;
}

const char *fp_flow_stat_text(enum fp_flow_stat which)
{
	static const char *const texts[] = {
#define X(id, text) text,
		FP_FLOW_STATS(X)
#undef X
	};

	return texts[which];
}
