/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A writer is killed at every single store to the table, by SIGKILL, in each kind of change; then a
 * new process adopts what is there. Or the adoption runs at each store of a writer that lives. The
 * module is compiled here with counted accesses.
 */
#include <stdbool.h>
#include <stdint.h>

static void crash_point(void);
static bool crash_cas(uint64_t *p, uint64_t *old, uint64_t new);

#define FLOW_LD(p) __atomic_load_n((const flow_word *)(p), __ATOMIC_ACQUIRE)
#define FLOW_ST(p, v)                                                                              \
	do {                                                                                       \
		__atomic_store_n((flow_word *)(p), v, __ATOMIC_RELEASE);                           \
		crash_point();                                                                     \
	} while (0)
#define FLOW_CAS(p, old, new) crash_cas((uint64_t *)(p), old, new)
#define FLOW_MEMBARRIER()     crash_point()

/* Of two buckets that are equally used the second is taken: half of the slots are there. */
#define FIRST_LIMIT                0
#define SECOND_FIRST(used0, used1) ((used1) <= (used0))

#include "../../fastpath/flow.c"
#include "../../fastpath/flow_bucket.c"
#include "../../fastpath/flow_find.c"
#include "../../fastpath/flow_adopt.c"
#include "../lib/flow_make.h"
#include "../lib/check_main.h"
#include "../lib/flow_audit.h"

#include <signal.h>
#include <sys/wait.h>

static unsigned fuse; /* stores until the kill; 0 = none */

static struct fp_flow *adopting; /* instead of the kill the table's adoption runs to its end */

static void crash_point(void)
{
	if (!fuse || --fuse)
		return;
	if (!adopting)
		raise(SIGKILL);
	while (fp_flow_maintain(adopting, 50))
		;
}

static bool crash_cas(uint64_t *p, uint64_t *old, uint64_t new)
{
	bool done = __atomic_compare_exchange_n(p, old, new, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);

	if (done)
		crash_point();
	return done;
}

enum scenario {
	SC_INSERT,     /* a new flow */
	SC_TAKEN_REV,  /* refused: reverse tuple in use */
	SC_TAKEN_FWD,  /* refused after its reverse slot was published */
	SC_FREE,       /* the end of a flow */
	SC_FREE_GRACE, /* end, grace period, reuse */
	SC_PATH,       /* word0 of a living flow */
	SC_ADOPT,      /* the adoption of a half inserted flow is itself killed */
	SC__MAX
};

#define BASE     24
#define PAIRS    256
#define VICTIM   (BASE / 2)
#define NEWCOMER 1000

static struct fp_flow_mem mem;

static struct fp_flow_new flow_of(enum flow_family fam, uint32_t id)
{
	return flow_make(fam, id, 0, fp_flow_now());
}

/* In the child: a process that is killed, or says by its exit status that it came to the end. */
static void child(enum flow_family fam, enum scenario sc, unsigned k)
{
	struct fp_flow_conf conf = { .n_workers = 2 };
	struct fp_flow_new f;
	struct fp_flow_worker *w;
	struct fp_flow *t;
	uint64_t ref, victim = 0;

	if (fp_flow_open(&mem, &conf, &t))
		_exit(1);
	fp_flow_maintain(t, PAIRS);
	if (sc == SC_ADOPT)
		_exit(2);
	w = fp_flow_worker(t, 0);
	for (uint32_t id = 0; id < BASE; id++) {
		f = flow_of(fam, id);
		if (fp_flow_insert(fp_flow_worker(t, id % 2), fam, &f, &ref))
			_exit(1);
		if (id == VICTIM)
			victim = ref;
	}
	f = flow_of(fam, NEWCOMER);
	if (sc == SC_TAKEN_REV || sc == SC_TAKEN_FWD) {
		struct fp_flow_new other = flow_of(fam, VICTIM);
		int d = sc == SC_TAKEN_REV;

		memcpy(f.dir[d].key, other.dir[d].key, sizeof(f.dir[d].key));
	}
	fuse = k;
	if (sc == SC_FREE || sc == SC_FREE_GRACE) {
		fp_flow_free(w, fam, victim);
		if (sc == SC_FREE_GRACE)
			fp_flow_maintain(t, PAIRS);
	} else if (sc == SC_PATH) {
		fp_flow_set_path(w, fam, victim, FLOW_P_KERNEL, false);
	} else {
		fp_flow_insert(w, fam, &f, &ref);
	}
	_exit(0);
}

static int run_child(enum flow_family fam, enum scenario sc, unsigned k)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		child(fam, sc, k);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		ck_assert_int_eq(WTERMSIG(status), SIGKILL);
		return 1;
	}
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	return 0;
}

/* A second death, in the adoption: k stores after it began. */
static int run_adopter(unsigned k)
{
	struct fp_flow_conf conf = { .n_workers = 1 };
	struct fp_flow *t;
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (fp_flow_open(&mem, &conf, &t))
			_exit(1);
		fuse = k;
		while (fp_flow_maintain(t, 50))
			;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status);
}

/* How many stores an insert makes. */
static unsigned insert_stores(enum flow_family fam)
{
	uint32_t n[FLOW__FAMILIES] = { PAIRS, PAIRS };
	unsigned k = 0;
	int killed = 1;

	while (killed) {
		ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
		killed = run_child(fam, SC_INSERT, ++k);
		fp_flow_mem_fini(&mem);
	}
	return k - 1;
}

static void adopt_and_check(enum flow_family fam, enum scenario sc, unsigned k)
{
	struct fp_flow_conf conf = { .n_workers = 2 };
	struct fp_flow_adoption a;
	struct fp_flow_new f;
	struct fp_flow *t;
	uint64_t ref;
	uint32_t n;
	int found[2];

	ck_assert_int_eq(fp_flow_open(&mem, &conf, &t), 0);
	/* New flows at once: one small step of work gives the workers pairs. */
	fp_flow_maintain(t, 8);
	f = flow_of(fam, 5000);
	ck_assert_int_eq(fp_flow_insert(fp_flow_worker(t, 0), fam, &f, &ref), 0);
	while (fp_flow_maintain(t, 50))
		;
	fp_flow_adoption(t, &a);
	ck_assert(a.done);
	ck_assert_uint_eq(a.living + a.free, mem.n_pairs[FLOW_4] + mem.n_pairs[FLOW_6]);
	ck_assert_uint_le(a.repaired, 2);
	for (int d = 0; d < 2; d++)
		ck_assert_int_eq(flow_make_find(t, fam, &f.dir[d], &ref), FLOW_HIT);
	for (uint32_t id = 0; id < BASE; id++) {
		f = flow_of(fam, id);
		for (int d = 0; d < 2; d++)
			found[d] = flow_make_find(t, fam, &f.dir[d], &ref);
		ck_assert_int_eq(found[0], found[1]);
		if (id != VICTIM || (sc != SC_FREE && sc != SC_FREE_GRACE))
			ck_assert_msg(found[0] == FLOW_HIT, "flow %u lost at store %u", id, k);
	}
	f = flow_of(fam, NEWCOMER);
	found[0] = flow_make_find(t, fam, &f.dir[0], &ref);
	found[1] = flow_make_find(t, fam, &f.dir[1], &ref);
	if (sc == SC_INSERT || sc == SC_ADOPT)
		ck_assert_int_eq(found[0], found[1]);
	n = audit(t, fam);
	ck_assert_uint_ge(n, BASE);
	ck_assert_uint_le(n, BASE + 2);
	/* Adopted flows join the wheels at the first call and age like others. */
	for (unsigned pass = 0, ended = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < 2; i++)
			ended += fp_flow_age(fp_flow_worker(t, i), fp_flow_now() + pass * 2000,
					     1000, NULL, NULL);
		ck_assert_uint_eq(ended, pass ? n : 0);
	}
	fp_flow_maintain(t, PAIRS);
	ck_assert_uint_eq(audit(t, fam), 0);
	fp_flow_close(t);
}

START_TEST(kill_everywhere)
{
	enum flow_family fam = _i % 2;
	enum scenario sc = _i / 2;
	uint32_t n[FLOW__FAMILIES] = { PAIRS, PAIRS };
	unsigned k, all = sc == SC_ADOPT ? insert_stores(fam) : 0;
	int killed = 1;

	for (k = 1; killed; k++) {
		ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
		if (sc == SC_ADOPT) {
			/* killed between the two slots: the second one's lock, slot and unlock
			 * and two lines that come to life are missing */
			ck_assert_int_eq(run_child(fam, SC_INSERT, all - 5), 1);
			killed = run_adopter(k);
		} else {
			killed = run_child(fam, sc, k);
		}
		adopt_and_check(fam, sc, k);
		fp_flow_mem_fini(&mem);
	}
	/* Each scenario has stores; an insert of IPv4 writes 2 + 14 + 2 words, 2 locks, 2 slots ...
	 */
	ck_assert_uint_ge(k, sc == SC_PATH ? 2 : sc == SC_FREE ? 5 : sc == SC_ADOPT ? 4 : 9);
}
END_TEST

/*
 * All of the adoption happens between two stores of a worker of the new process: what that one has
 * in hand is not taken for the work of the dead.
 */
START_TEST(adopt_meanwhile)
{
	enum flow_family fam = _i % 2;
	bool ends = _i / 2; /* the worker ends a flow, else it makes one */
	uint32_t n[FLOW__FAMILIES] = { PAIRS, PAIRS };
	struct fp_flow_conf conf = { .n_workers = 1 };
	bool met = true;

	for (unsigned k = 1; met; k++) {
		struct fp_flow_new f;
		struct fp_flow *t;
		uint64_t ref;

		ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
		ck_assert_int_eq(fp_flow_open(&mem, &conf, &t), 0);
		fp_flow_maintain(t, PAIRS);
		for (uint32_t id = 0; id < BASE; id++) {
			f = flow_of(fam, id);
			ck_assert_int_eq(fp_flow_insert(fp_flow_worker(t, 0), fam, &f, &ref), 0);
		}
		fp_flow_close(t);
		ck_assert_int_eq(fp_flow_open(&mem, &conf, &t), 0);
		fp_flow_maintain(t, 8);
		f = flow_of(fam, NEWCOMER);
		if (ends)
			ck_assert_int_eq(fp_flow_insert(fp_flow_worker(t, 0), fam, &f, &ref), 0);
		adopting = t;
		fuse = k;
		if (ends)
			ck_assert_int_eq(fp_flow_free(fp_flow_worker(t, 0), fam, ref), 0);
		else
			ck_assert_int_eq(fp_flow_insert(fp_flow_worker(t, 0), fam, &f, &ref), 0);
		met = !fuse;
		fuse = 0;
		adopting = NULL;
		while (fp_flow_maintain(t, 50))
			;
		for (int d = 0; d < 2; d++)
			ck_assert_int_eq(flow_make_find(t, fam, &f.dir[d], &ref),
					 ends ? FLOW_MISS : FLOW_HIT);
		ck_assert_uint_eq(audit(t, fam), BASE + !ends);
		fp_flow_close(t);
		fp_flow_mem_fini(&mem);
	}
}
END_TEST

/* The next process finds free pairs in the spare segment even when the table was full. */
START_TEST(spare)
{
	uint32_t n[FLOW__FAMILIES] = { PAIRS, PAIRS };
	struct fp_flow_conf conf = { .n_workers = 1 };
	struct fp_flow_worker *w;
	struct fp_flow *t;
	uint64_t ref;
	uint32_t id = 0;

	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	for (int generation = 0; generation < 5; generation++) {
		struct fp_flow_new f;
		int err = 0;

		ck_assert_int_eq(fp_flow_open(&mem, &conf, &t), 0);
		w = fp_flow_worker(t, 0);
		fp_flow_maintain(t, PAIRS / FLOW_SEGMENTS);
		f = flow_of(FLOW_4, id++);
		ck_assert_int_eq(fp_flow_insert(w, FLOW_4, &f, &ref), 0);
		while (fp_flow_maintain(t, 50))
			;
		ck_assert_uint_eq(audit(t, FLOW_4), generation ? id : 1);
		for (; !err; fp_flow_maintain(t, 50)) {
			f = flow_of(FLOW_4, id);
			err = fp_flow_insert(w, FLOW_4, &f, &ref);
			id += !err;
			if (generation < 4 && id > PAIRS / 2 + 20u * (unsigned)generation)
				break;
		}
		fp_flow_close(t);
	}
	fp_flow_mem_fini(&mem);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("flow_crash");
	TCase *tc = tcase_create("flow_crash");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, kill_everywhere, 0, 2 * SC__MAX);
	tcase_add_loop_test(tc, adopt_meanwhile, 0, 4);
	tcase_add_test(tc, spare);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
