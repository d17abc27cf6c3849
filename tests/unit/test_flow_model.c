/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model checker for the races of insert, find and free. The module's own code runs in coroutines
 * that stop before every access to the shared table; each case is run through every interleaving
 * of these accesses under x86-TSO: a store goes into its thread's buffer and reaches memory, in
 * order, at any later step; loads see the own buffer first; a locked instruction waits until the
 * own buffer is empty. A state (memory, buffers, what each thread has read) that was seen before
 * is not followed again, so the search is exhaustive and ends.
 *
 * Two reductions, both exact: putting a store into the own buffer is not a choice, because nobody
 * else can see it; a buffer is BUFFER entries deep, and its owner stops when it is full, because
 * running further ahead of its own stores changes only loads of its own, which the buffer serves.
 */
#include <stdbool.h>
#include <stdint.h>

static uint64_t model_ld(const uint64_t *p);
static void model_st(uint64_t *p, uint64_t v);
static bool model_cas(uint64_t *p, uint64_t *old, uint64_t new);
static void model_grace(void);

#define FLOW_LD(p)                 model_ld((const uint64_t *)(p))
#define FLOW_ST(p, v)              model_st((uint64_t *)(p), v)
#define FLOW_CAS(p, old, new)      model_cas((uint64_t *)(p), old, new)
#define FLOW_MEMBARRIER()          model_grace()
#define LOCK_TRIES                 2
#define FIRST_LIMIT                (spill_all ? 0 : 5)
#define SECOND_FIRST(used0, used1) (spill_all)

static bool spill_all; /* every slot goes to its second bucket */

#include "../../fastpath/flow.c"
#include "../../fastpath/flow_bucket.c"
#include "../../fastpath/flow_find.c"
#include "../../fastpath/flow_adopt.c"
#include "../lib/flow_make.h"
#include "../lib/check_main.h"
#include "../lib/flow_audit.h"

FLOW_DEFINE_GUESS(4)
FLOW_DEFINE_GUESS(6)

#include <errno.h>
#include <ucontext.h>

#define THREADS    2
#define BUFFER     5
#define STACK_SIZE (64 * 1024)
#define MAX_STEPS  4096
#define VISITED    (1u << 22)

enum op { OP_NONE, OP_LOAD, OP_CAS, OP_GRACE };

struct thread {
	ucontext_t ctx;
	void (*body)(unsigned id);
	struct {
		uint64_t *p, v;
	} buf[BUFFER];
	unsigned n_buf;
	enum op op; /* what it is about to do */
	bool done, reading;
	uint64_t history; /* of all that it has read */
};

static struct thread th[THREADS];
static unsigned n_threads, cur;
static ucontext_t sched;
static char stacks[THREADS][STACK_SIZE];
static bool use_grace;

/* --- the machine --- */

static void wait_turn(enum op op)
{
	th[cur].op = op;
	swapcontext(&th[cur].ctx, &sched);
}

static void note(uint64_t v)
{
	th[cur].history = hash_mix64(th[cur].history * 31 + v + 1);
}

static void commit(unsigned id)
{
	struct thread *t = &th[id];

	*t->buf[0].p = t->buf[0].v;
	t->n_buf--;
	memmove(&t->buf[0], &t->buf[1], t->n_buf * sizeof(t->buf[0]));
}

static uint64_t model_ld(const uint64_t *p)
{
	uint64_t v;

	if (!n_threads)
		return *p;
	wait_turn(OP_LOAD);
	v = *p;
	for (unsigned i = 0; i < th[cur].n_buf; i++)
		if (th[cur].buf[i].p == p)
			v = th[cur].buf[i].v;
	note(v);
	return v;
}

static void model_st(uint64_t *p, uint64_t v)
{
	struct thread *t = &th[cur];

	if (!n_threads) {
		*p = v;
		return;
	}
	while (t->n_buf == BUFFER)
		wait_turn(OP_NONE);
	t->buf[t->n_buf].p = p;
	t->buf[t->n_buf++].v = v;
}

static bool model_cas(uint64_t *p, uint64_t *old, uint64_t new)
{
	bool same;

	if (n_threads)
		wait_turn(OP_CAS);
	same = *p == *old;
	if (same)
		*p = new;
	else
		*old = *p;
	if (n_threads)
		note(same ? 1 : *old);
	return same;
}

/* Ends when nobody who was reading at its begin still is: here, when nobody reads. */
static void model_grace(void)
{
	if (n_threads && use_grace)
		wait_turn(OP_GRACE);
}

static void thread_main(void)
{
	unsigned id = cur;

	th[id].body(id);
	/* What it has stored gets to memory even though it stops. */
	while (th[id].n_buf)
		wait_turn(OP_NONE);
	th[id].done = true;
	swapcontext(&th[id].ctx, &sched);
}

/* --- the search --- */

static struct fp_flow_mem mem;
static struct fp_flow *table;

/* All that a run changes: the table and this process's half of it. */
struct piece {
	void *p;
	size_t size;
	void *copy;
};
static struct piece pieces[64];
static unsigned n_pieces;

static void piece_add(void *p, size_t size)
{
	pieces[n_pieces] = (struct piece){ p, size, xmalloc(size) };
	memcpy(pieces[n_pieces++].copy, p, size);
}

static void restore(void)
{
	for (unsigned i = 0; i < n_pieces; i++)
		memcpy(pieces[i].p, pieces[i].copy, pieces[i].size);
}

static uint64_t *visited;
static uint64_t n_states, n_runs;

static uint64_t state_hash(void)
{
	uint64_t h = 88172645463325252ull;

	for (unsigned i = 0; i < n_pieces; i++) {
		const uint32_t *w = pieces[i].p;

		for (size_t k = 0; k < pieces[i].size / 4; k++)
			h = (h ^ w[k]) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
	}
	for (unsigned i = 0; i < n_threads; i++) {
		h = hash_mix64(h ^ th[i].history ^ (uint64_t)th[i].op << 60 ^ th[i].done ^
			       (uint64_t)th[i].reading << 1);
		for (unsigned k = 0; k < th[i].n_buf; k++)
			h = hash_mix64(h ^ (uintptr_t)th[i].buf[k].p) ^ th[i].buf[k].v;
	}
	return h | 1;
}

/* True when the state is new. */
static bool visit(uint64_t h)
{
	uint32_t i = (uint32_t)(h >> 20) % VISITED;

	for (; visited[i]; i = (i + 1) % VISITED)
		if (visited[i] == h)
			return false;
	visited[i] = h;
	ck_assert_uint_lt(++n_states, VISITED / 2);
	return true;
}

static bool may_run(unsigned id)
{
	const struct thread *t = &th[id];

	if (t->done)
		return false;
	switch (t->op) {
	case OP_LOAD:
		return true;
	case OP_CAS:
		return !t->n_buf;
	case OP_GRACE:
		for (unsigned i = 0; i < n_threads; i++)
			if (th[i].reading)
				return false;
		return !t->n_buf;
	case OP_NONE:
		break;
	}
	return false;
}

static void resume(unsigned id)
{
	cur = id;
	swapcontext(&sched, &th[id].ctx);
}

/* What can happen next: thread i goes on (i), or its oldest store gets to memory (THREADS + i). */
static unsigned choices(unsigned ret[2 * THREADS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_threads; i++) {
		if (may_run(i))
			ret[n++] = i;
		if (th[i].n_buf)
			ret[n++] = THREADS + i;
	}
	return n;
}

/* Not inlined: getcontext() may return twice, so its caller must not keep variables over it. */
static __attribute__((noinline)) void thread_init(struct thread *t, char *stack)
{
	getcontext(&t->ctx);
	t->ctx.uc_stack.ss_sp = stack;
	t->ctx.uc_stack.ss_size = STACK_SIZE;
	makecontext(&t->ctx, thread_main, 0);
}

static void begin_run(void (*const bodies[])(unsigned))
{
	restore();
	for (unsigned i = 0; i < n_threads; i++) {
		th[i] = (struct thread){ .body = bodies[i] };
		thread_init(&th[i], stacks[i]);
	}
	for (unsigned i = 0; i < n_threads; i++)
		resume(i);
}

static void step(unsigned choice)
{
	if (choice < THREADS) {
		resume(choice);
		return;
	}
	commit(choice - THREADS);
	/* Who waited for room, or for its last stores, goes on. */
	if (th[choice - THREADS].op == OP_NONE && !th[choice - THREADS].done)
		resume(choice - THREADS);
}

/* Runs every interleaving of the threads; check() judges each end. */
static void explore(void (*const bodies[])(unsigned), unsigned n, void (*check)(void))
{
	static uint8_t path[MAX_STEPS], width[MAX_STEPS];
	unsigned n_path = 0;

	visited = xcalloc(VISITED, sizeof(*visited));
	n_states = n_runs = 0;
	do {
		unsigned c[2 * THREADS], n_c, depth;
		bool seen = false;

		n_threads = n;
		begin_run(bodies);
		for (depth = 0; !seen && (n_c = choices(c)); depth++) {
			ck_assert_uint_lt(depth, MAX_STEPS);
			if (depth == n_path) {
				seen = !visit(state_hash());
				if (seen)
					break;
				width[n_path] = (uint8_t)n_c;
				path[n_path++] = 0;
			}
			step(c[path[depth]]);
		}
		n_runs++;
		if (!seen) {
			for (unsigned i = 0; i < n; i++)
				ck_assert_msg(th[i].done, "thread %u waits for ever", i);
			n_threads = 0;
			check();
		}
		while (n_path && ++path[n_path - 1] == width[n_path - 1])
			n_path--;
	} while (n_path);
	n_threads = 0;
	free(visited);
	printf("%llu states, %llu runs\n", (unsigned long long)n_states,
	       (unsigned long long)n_runs);
}

/* --- the cases --- */

static enum flow_family fam;
static struct fp_flow_new flow_a, flow_b;
static uint64_t ref_a;
static int err[THREADS];
static bool lane;      /* readers look at home first */
static unsigned wrong; /* ends or reads that must not be */
static uint64_t n_hits, n_misses, n_stales;

static void make_table(enum flow_family family, bool spill)
{
	uint32_t n[FLOW__FAMILIES] = { FLOW_SEGMENTS, FLOW_SEGMENTS };
	struct fp_flow_conf conf = { .n_workers = 2 };

	fam = family;
	spill_all = spill;
	n_threads = 0;
	n_pieces = 0;
	wrong = 0;
	n_hits = n_misses = n_stales = 0;
	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	fp_flow_maintain(table, 100);
	flow_a = flow_make(fam, 1, 0, 1);
	flow_b = flow_make(fam, 2, 0, 1);
}

static void drop_table(void)
{
	for (unsigned i = 0; i < n_pieces; i++)
		free(pieces[i].copy);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* Looks at home only. -1: the rewrite of another flow. */
static int guess(const struct fp_flow_half *h)
{
	const struct flow_hdr *hdr = table->hdr;
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	if (fam == FLOW_4) {
		if (flow_guess4(table, hdr, &h->key4, flow_hash4(hdr, &h->key4), &h4) != FLOW_HIT)
			return FLOW_MISS;
		return memcmp(&h4.rw, &h->rw4, sizeof(h4.rw)) ? -1 : FLOW_HIT;
	}
	if (flow_guess6(table, hdr, &h->key6, flow_hash6(hdr, &h->key6), &h6) != FLOW_HIT)
		return FLOW_MISS;
	return memcmp(&h6.rw, &h->rw6, sizeof(h6.rw)) ? -1 : FLOW_HIT;
}

/* As the express lane looks, or as workers do. */
static int lane_find(const struct fp_flow_half *h)
{
	uint64_t ref;
	int found = lane ? guess(h) : FLOW_MISS;

	return found == FLOW_MISS ? flow_make_find(table, fam, h, &ref) : found;
}

static int find(const struct fp_flow_half *h)
{
	int found;

	th[cur].reading = true;
	found = lane_find(h);
	th[cur].reading = false;
	wrong += found < 0;
	n_hits += found == FLOW_HIT;
	n_misses += found == FLOW_MISS;
	n_stales += found == FLOW_STALE;
	return found;
}

static void insert_a(unsigned id)
{
	uint64_t ref;

	err[id] = fp_flow_insert(fp_flow_worker(table, id), fam, &flow_a, &ref);
}

static void insert_b(unsigned id)
{
	uint64_t ref;

	err[id] = fp_flow_insert(fp_flow_worker(table, id), fam, &flow_b, &ref);
}

static void free_a(unsigned id)
{
	err[id] = fp_flow_free(fp_flow_worker(table, id), fam, ref_a);
}

static void free_a_insert_b(unsigned id)
{
	uint64_t ref;

	free_a(id);
	fp_flow_maintain(table, 100);
	err[id] |= fp_flow_insert(fp_flow_worker(table, id), fam, &flow_b, &ref);
}

/* Who finds the forward key finds the reverse key too. */
static void read_insert(unsigned id)
{
	if (find(&flow_a.dir[0]) == FLOW_HIT)
		wrong += find(&flow_a.dir[1]) != FLOW_HIT;
}

/* Who does not find the reverse key of an ending flow does not find the forward key. */
static void read_free(unsigned id)
{
	if (find(&flow_a.dir[1]) != FLOW_HIT)
		wrong += find(&flow_a.dir[0]) == FLOW_HIT;
}

static void guess_both(unsigned id)
{
	for (int i = 0; i < 2; i++) {
		int found = guess(i ? &flow_b.dir[0] : &flow_a.dir[0]);

		wrong += found < 0;
		n_hits += found == FLOW_HIT;
	}
}

static void read_both(unsigned id)
{
	find(&flow_a.dir[0]);
	find(&flow_b.dir[0]);
}

/* A reader that does not look at gen again: it must be caught. */
static void read_carelessly(unsigned id)
{
	const struct flow_table *ft = &table->fam[fam];
	const flow_word *key = (const flow_word *)flow_a.dir[0].key;
	uint64_t hash = flow_hash(table->hdr, fam, key), rw, slot;
	int n_key = flow_key_len(fam);

	for (int s = 0; s < 2 * FLOW_SLOTS; s++) {
		const struct flow_bucket
			*b = &ft->buckets[flow_bucket_of(hash, ft->bucket_mask, s >= FLOW_SLOTS)];
		flow_word *line;
		int same = 0;

		slot = FLOW_LD(&b->slot[s % FLOW_SLOTS]);
		if (!slot || slot >> 48 != flow_tag(hash))
			continue;
		line = flow_line(ft, fam, (uint32_t)slot);
		if (flow_w0_gen(FLOW_LD(line)) != (uint16_t)(slot >> 32))
			continue;
		for (int i = 0; i < n_key; i++)
			same += FLOW_LD(line + 1 + i) == key[i];
		if (same < n_key)
			continue;
		rw = FLOW_LD(line + (fam == FLOW_4 ? 3 : 8));
		wrong += rw != flow_a.dir[0].rw[0];
	}
}

static void check_one(void)
{
	ck_assert_int_eq(err[0], 0);
	for (uint32_t b = 0; b <= table->fam[fam].bucket_mask; b++)
		ck_assert_uint_eq(table->fam[fam].buckets[b].lock, flow_spill_count(table, fam, b));
}

/* Of two who want the same tuple at most one gets it; what is left is sound. */
static void check_two(void)
{
	ck_assert(err[0] || err[1]);
	for (unsigned i = 0; i < 2; i++)
		ck_assert(!err[i] || err[i] == -EEXIST || err[i] == -EBUSY);
	fp_flow_maintain(table, 100);
	ck_assert_uint_eq(audit(table, fam), !err[0] + !err[1]);
}

static void snapshot(void)
{
	int first = fam == FLOW_4 ? FP_FLOW_R_BUCKETS4 : FP_FLOW_R_BUCKETS6;
	struct flow_table *ft = &table->fam[fam];

	piece_add(mem.base[first], (ft->bucket_mask + 1) * sizeof(struct flow_bucket));
	piece_add(mem.base[first + 1], (size_t)ft->n_pairs * 2 << flow_line_shift(fam));
	piece_add(mem.base[first + 2], ft->n_pairs * sizeof(struct flow_cold));
	if (fam == FLOW_4)
		piece_add(mem.base[FP_FLOW_R_SIDES4], ft->n_pairs * sizeof(struct flow_sides4));
	piece_add(table, sizeof(*table));
	piece_add(table->worker, table->n_workers * sizeof(*table->worker));
	piece_add(ft->pool, ft->n_pairs * sizeof(uint32_t));
	for (unsigned i = 0; i < table->n_workers; i++)
		piece_add(table->worker[i].ring[fam].pair,
			  (table->worker[i].ring[fam].mask + 1) * sizeof(uint32_t));
}

static void run(void (*const bodies[])(unsigned), unsigned n, void (*check)(void))
{
	snapshot();
	explore(bodies, n, check);
	drop_table();
}

START_TEST(insert_and_read)
{
	void (*const bodies[])(unsigned) = { insert_a, read_insert };

	lane = _i / 4;
	make_table(_i % 2, _i / 2 % 2);
	run(bodies, 2, check_one);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_gt(n_hits, 0);
	ck_assert_uint_gt(n_misses, 0);
}
END_TEST

START_TEST(free_and_read)
{
	void (*const bodies[])(unsigned) = { free_a, read_free };

	lane = _i / 4;
	make_table(_i % 2, _i / 2 % 2);
	ck_assert_int_eq(fp_flow_insert(fp_flow_worker(table, 0), fam, &flow_a, &ref_a), 0);
	run(bodies, 2, check_one);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_gt(n_hits, 0);
	ck_assert_uint_gt(n_misses, 0);
	ck_assert_uint_gt(n_stales, 0);
}
END_TEST

/* One pair only, so that B gets A's; and B's forward key has its home where A's is. */
static void reuse_table(enum flow_family family, bool spill)
{
	struct fp_flow_worker *w;

	make_table(family, spill);
	w = fp_flow_worker(table, 0);
	ck_assert_int_eq(fp_flow_insert(w, fam, &flow_a, &ref_a), 0);
	w->ring[fam].tail = w->ring[fam].head;
	table->fam[fam].n_pool = 0;
	for (uint32_t id = 2;; id++) {
		const flow_word *key = (const flow_word *)flow_b.dir[0].key;
		uint32_t home;

		flow_b = flow_make(fam, id, 0, 1);
		home = flow_home(flow_hash(table->hdr, fam, key), table->fam[fam].n_pairs);
		if (home == table->fam[fam].cold[(uint32_t)ref_a >> 1].place)
			break;
	}
}

/* With the grace period, and without: gen alone protects a reader of one reuse. */
START_TEST(reuse_and_read)
{
	void (*const bodies[])(unsigned) = { free_a_insert_b, read_both };

	use_grace = _i / 2 % 2;
	reuse_table(_i % 2, _i / 4);
	run(bodies, 2, check_one);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_gt(n_hits, 0);
	ck_assert_uint_gt(n_stales, 0);
}
END_TEST

/* Who looks at home only needs neither slots nor the grace period to be right. */
START_TEST(reuse_and_guess)
{
	void (*const bodies[])(unsigned) = { free_a_insert_b, guess_both };

	use_grace = false;
	reuse_table(_i, false);
	run(bodies, 2, check_one);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_gt(n_hits, 0);
}
END_TEST

START_TEST(careless_reader)
{
	void (*const bodies[])(unsigned) = { free_a_insert_b, read_carelessly };

	use_grace = false;
	reuse_table(_i, false);
	run(bodies, 2, check_one);
	ck_assert_uint_gt(wrong, 0);
}
END_TEST

START_TEST(two_writers)
{
	void (*const bodies[])(unsigned) = { insert_a, insert_b };
	int same = _i % 2;

	make_table(FLOW_4, _i / 2);
	memcpy(flow_b.dir[same].key, flow_a.dir[same].key, sizeof(flow_a.dir[0].key));
	memcpy(flow_b.dir[same].rw, flow_a.dir[same].rw, sizeof(flow_a.dir[0].rw));
	run(bodies, 2, check_two);
}
END_TEST

/* Tens of thousands of runs each: minutes under ASan, which the smaller cases serve as well. */
#ifdef __SANITIZE_ADDRESS__
#define ALL_CASES false
#else
#define ALL_CASES true
#endif

static Suite *suite(void)
{
	Suite *s = suite_create("flow_model");
	TCase *tc = tcase_create("flow_model");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, insert_and_read, 0, 8);
	tcase_add_loop_test(tc, free_and_read, 0, 8);
	tcase_add_loop_test(tc, reuse_and_guess, 0, 2);
	if (ALL_CASES) {
		tcase_add_loop_test(tc, reuse_and_read, 0, 5);
		tcase_add_loop_test(tc, careless_reader, 0, 2);
		tcase_add_loop_test(tc, two_writers, 0, 4);
	} else {
		printf("SKIP 11 of 29 cases: they take minutes under ASan\n");
	}
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
