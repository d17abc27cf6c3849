/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the route lookup benches share: the table with next hops, destination addresses in
 * three distributions, the neighbour's loop that takes cache, DPDK's start without privileges.
 *
 * Next hops are 1..1000 at random for each prefix, so that next to no neighbouring prefixes have
 * the same one; a real table with its handful of next hops compresses better.
 * Threads: one, but for the neighbour loop's walk, which is interleaved. Failure: exits.
 */
#ifndef RTR_BENCH_LPM_H
#define RTR_BENCH_LPM_H

#include "bench.h"
#include "lpm4.h"
#include "lpm6.h"
#include "../../tests/lib/route_table.h"

#include <math.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#define N_NEXT_HOPS 1000
#define BATCH       64u

static inline uint64_t bench_rand(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545f4914f6cdd1dull;
}

static inline struct route_table bench_table(const struct bench_opts *o)
{
	struct route_table t;

	if (o->table && !route_table_load(o->table, &t))
		return t;
	if (o->table)
		fprintf(stderr, "%s: cannot be read; using a generated table\n", o->table);
	else
		fprintf(stderr, "no --table: using a generated one of the same shape\n");
	route_table_generate(&t, 1, 1);
	return t;
}

static inline struct lpm4_route *bench_routes4(const struct route_table *t)
{
	struct lpm4_route *r = xcalloc(t->n_v4, sizeof(*r));
	uint64_t s = 4;

	for (size_t i = 0; i < t->n_v4; i++) {
		const uint8_t *a = t->v4[i].addr;

		r[i].addr = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 |
			    a[3];
		r[i].len = t->v4[i].len;
		r[i].nh = 1 + (uint32_t)(bench_rand(&s) >> 20) % N_NEXT_HOPS;
	}
	return r;
}

static inline struct lpm6_route *bench_routes6(const struct route_table *t)
{
	struct lpm6_route *r = xcalloc(t->n_v6, sizeof(*r));
	uint64_t s = 6;

	for (size_t i = 0; i < t->n_v6; i++) {
		memcpy(r[i].addr, t->v6[i].addr, 16);
		r[i].len = t->v6[i].len;
		r[i].nh = 1 + (uint32_t)(bench_rand(&s) >> 20) % N_NEXT_HOPS;
	}
	return r;
}

/* Draws n of n_items by Zipf's law with exponent 1: rank k is drawn k times as rarely as rank 1,
 * and which item has which rank is random. */
static inline uint32_t *bench_zipf(size_t n_items, size_t n, uint64_t *s)
{
	double *cdf = xcalloc(n_items, sizeof(*cdf)), sum = 0;
	uint32_t *rank = xcalloc(n_items, sizeof(*rank)), *out = xcalloc(n, sizeof(*out));

	for (size_t i = 0; i < n_items; i++) {
		size_t j = bench_rand(s) % (i + 1);

		sum += 1.0 / (double)(i + 1);
		cdf[i] = sum;
		rank[i] = rank[j];
		rank[j] = (uint32_t)i;
	}
	for (size_t i = 0; i < n; i++) {
		double x = (double)(bench_rand(s) >> 11) / (double)(1ull << 53) * sum;
		size_t lo = 0, hi = n_items - 1;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (cdf[mid] < x)
				lo = mid + 1;
			else
				hi = mid;
		}
		out[i] = rank[lo];
	}
	free(cdf);
	free(rank);
	return out;
}

enum dist { DIST_UNIFORM, DIST_INSIDE, DIST_ZIPF };

static inline uint32_t *bench_addr4(const struct lpm4_route *r, size_t n_r, enum dist d, size_t n)
{
	uint32_t *a = xcalloc(n, sizeof(*a)), *pick = NULL;
	uint64_t s = 44;

	if (d == DIST_ZIPF)
		pick = bench_zipf(n_r, n, &s);
	for (size_t i = 0; i < n; i++) {
		const struct lpm4_route *in = &r[pick ? pick[i] : bench_rand(&s) % n_r];

		a[i] = (uint32_t)bench_rand(&s);
		if (d != DIST_UNIFORM)
			a[i] = in->addr | (uint32_t)((uint64_t)a[i] >> in->len);
	}
	free(pick);
	return a;
}

static inline uint8_t (*bench_addr6(const struct lpm6_route *r, size_t n_r, enum dist d,
				    size_t n))[16]
{
	uint8_t(*a)[16] = xcalloc(n, sizeof(*a));
	uint32_t *pick = NULL;
	uint64_t s = 66;

	if (d == DIST_ZIPF)
		pick = bench_zipf(n_r, n, &s);
	for (size_t i = 0; i < n; i++) {
		const struct lpm6_route *in = &r[pick ? pick[i] : bench_rand(&s) % n_r];

		memcpy(a[i], in->addr, 16);
		for (unsigned b = 0; b < 16; b++) {
			unsigned fixed = in->len > b * 8 ? MIN(in->len - b * 8, 8u) : 0;

			a[i][b] |= (uint8_t)((uint8_t)bench_rand(&s) >> fixed);
		}
	}
	free(pick);
	return a;
}

/* What else uses the cache: nothing; all of it is gone before each batch; 8 MB of it are walked
 * beside the lookups, a line for every address. */
enum pressure { CACHE_OURS, CACHE_COLD, CACHE_SHARED };

#define EVICT_SIZE     (64u << 20)
#define NEIGHBOUR_SIZE (8u << 20)

static uint8_t *bench_spoiler;
static volatile uint64_t bench_sink;

static inline void bench_spoil_init(void)
{
	bench_spoiler = lpm_map(EVICT_SIZE, true);
	if (!bench_spoiler)
		exit(1);
	memset(bench_spoiler, 1, EVICT_SIZE);
}

static inline void bench_evict(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < EVICT_SIZE; i += 64)
		sum += bench_spoiler[i];
	bench_sink += sum;
}

static inline void bench_neighbour(unsigned n_lines)
{
	static size_t at;
	uint64_t sum = 0;

	for (unsigned i = 0; i < n_lines; i++) {
		at = (at + 64) % NEIGHBOUR_SIZE;
		sum += bench_spoiler[at];
	}
	bench_sink += sum;
}

/* One of those who are compared: batch(ctx, i) looks addresses [i, i + BATCH) up. */
typedef void bench_batch_fn(const void *ctx, size_t i);

struct bench_runner {
	bench_batch_fn *batch;
	const void *ctx;
	uint64_t spent_ns, n_done;
};

/* Processor time of this thread: on a machine that others use too, wall time measures them. */
static inline uint64_t bench_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static inline void bench_cold_pass(struct bench_runner *r, size_t n, unsigned n_batches)
{
	for (unsigned k = 0; k < n_batches; k++) {
		uint64_t start;

		bench_evict();
		start = bench_cpu_ns();
		r->batch(r->ctx, k * (n / n_batches) / BATCH * BATCH);
		r->spent_ns += bench_cpu_ns() - start;
		r->n_done += BATCH;
	}
}

static inline void bench_pass(struct bench_runner *r, size_t n, enum pressure p)
{
	uint64_t start;

	for (size_t i = 0; i < n; i += BATCH) /* fetch back what the one before took */
		r->batch(r->ctx, i);
	start = bench_cpu_ns();
	for (size_t i = 0; i < n; i += BATCH) {
		r->batch(r->ctx, i);
		if (p == CACHE_SHARED)
			bench_neighbour(BATCH);
	}
	r->spent_ns += bench_cpu_ns() - start;
	r->n_done += n;
}

/* A round: the runners take turns, a pass over all n addresses each, so that all of them see the
 * same neighbours. */
static inline void bench_round(struct bench_runner *r, unsigned n_runners, size_t n,
			       enum pressure p, bool quick)
{
	unsigned turns = quick ? 2 : 8;

	for (unsigned k = 0; k < n_runners; k++)
		r[k].spent_ns = r[k].n_done = 0;
	for (unsigned turn = 0; turn < turns; turn++)
		for (unsigned k = 0; k < n_runners; k++) {
			if (p == CACHE_COLD)
				bench_cold_pass(&r[k], n, quick ? 10 : 16);
			else
				bench_pass(&r[k], n, p);
		}
}

/* Millions of lookups a second. */
static inline double bench_mops(const struct bench_runner *r)
{
	return (double)r->n_done * 1e3 / (double)r->spent_ns;
}

/* A single figure, lower is better; limit 0: it only informs. */
static inline void bench_value(const char *bench, const char *name, const char *unit, double v,
			       double limit)
{
	struct bench_case c = { .bench = bench,
				.name = name,
				.unit = unit,
				.limit = limit,
				.limit_is_value = true,
				.required = limit > 0 };

	bench_add_ours(&c, v);
	bench_print(&c);
}

#ifdef HAVE_DPDK_PEER
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>

/* The memory gets transparent huge pages, as ours does. */
static int bench_huge_list(const struct rte_memseg_list *msl, void *arg)
{
	lpm_map_make_huge(msl->base_va, msl->len);
	return 0;
}

/* One core, ordinary memory, no devices, no files. The memory gets transparent huge pages as ours
 * does, and all vector widths are allowed: the peer at its best. */
static inline bool bench_dpdk_init(const char *mbytes)
{
	char core[16];
	const char *argv[] = { "bench",
			       "--no-huge",
			       "-m",
			       mbytes,
			       "--no-pci",
			       "--no-shconf",
			       "--no-telemetry",
			       "--log-level",
			       "lib.*:error",
			       "--force-max-simd-bitwidth",
			       "512",
			       "-l",
			       core };

	snprintf(core, sizeof(core), "%d", sched_getcpu());
	if (rte_eal_init(ARRAY_LEN(argv), (char **)(uintptr_t)argv) < 0) {
		fprintf(stderr, "DPDK does not start: %s; no peer\n", rte_strerror(rte_errno));
		return false;
	}
	rte_memseg_list_walk(bench_huge_list, NULL);
	return true;
}
#endif

#endif
