/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IPv4 route lookup against DPDK's rte_fib (DIR-24-8, 2 and 4 byte entries, the better of them). */
#include "lib/bench_lpm.h"

#ifdef HAVE_DPDK_PEER
#include <rte_fib.h>
#endif

#define N_ADDR (1u << 20)

struct ours {
	struct lpm4 *t;
	lpm4_batch_fn *fn;
	const uint32_t *addr;
};

static void ours_batch(const void *ctx, size_t i)
{
	const struct ours *o = ctx;
	uint32_t nh[BATCH];

	o->fn(o->t, o->addr + i, nh, BATCH);
	bench_sink += nh[0];
}

#ifdef HAVE_DPDK_PEER
struct peer {
	struct rte_fib *fib;
	const uint32_t *addr;
};

static struct rte_fib *peer_fib[2];

static void peer_batch(const void *ctx, size_t i)
{
	const struct peer *p = ctx;
	uint64_t nh[BATCH];

	(void)rte_fib_lookup_bulk(p->fib, (uint32_t *)(uintptr_t)p->addr + i, nh, BATCH);
	bench_sink += nh[0];
}

static void peer_init(const struct lpm4_route *r, size_t n)
{
	if (!bench_dpdk_init("1024"))
		return;
	for (unsigned f = 0; f < 2; f++) {
		struct rte_fib_conf c = { .type = RTE_FIB_DIR24_8, .max_routes = (int)n + 1000 };

		c.dir24_8.nh_sz = f ? RTE_FIB_DIR24_8_4B : RTE_FIB_DIR24_8_2B;
		c.dir24_8.num_tbl8 = f ? 65536 : 32767;
		peer_fib[f] = rte_fib_create(f ? "fib4b" : "fib2b", 0, &c);
		if (!peer_fib[f]) {
			fprintf(stderr, "rte_fib_create: %s\n", rte_strerror(rte_errno));
			continue;
		}
		for (size_t i = 0; i < n; i++)
			if (rte_fib_add(peer_fib[f], r[i].addr, r[i].len, r[i].nh))
				fprintf(stderr, "rte_fib_add fails at route %zu\n", i);
		if (rte_fib_select_lookup(peer_fib[f], RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512))
			fprintf(stderr, "rte_fib: no vector lookup on this machine\n");
	}
}

static unsigned peer_runners(struct bench_runner *r, const uint32_t *addr)
{
	static struct peer ctx[2];
	unsigned n = 0;

	for (unsigned f = 0; f < 2; f++) {
		ctx[f] = (struct peer){ peer_fib[f], addr };
		if (peer_fib[f])
			r[n++] = (struct bench_runner){ .batch = peer_batch, .ctx = &ctx[f] };
	}
	return n;
}

static void peer_agrees(const struct lpm4 *t, const uint32_t *addr)
{
	uint64_t theirs[BATCH];
	uint32_t nh[BATCH];

	for (size_t i = 0; i < N_ADDR && peer_fib[1]; i += BATCH) {
		lpm4_lookup_batch(t, addr + i, nh, BATCH);
		(void)rte_fib_lookup_bulk(peer_fib[1], (uint32_t *)(uintptr_t)addr + i, theirs,
					  BATCH);
		for (unsigned j = 0; j < BATCH; j++)
			if (nh[j] != theirs[j]) {
				fprintf(stderr, "%#x: ours %u, peer %u\n", addr[i + j], nh[j],
					(unsigned)theirs[j]);
				exit(1);
			}
	}
}
#else
static void peer_init(const struct lpm4_route *r, size_t n)
{
	fprintf(stderr, "built without DPDK: no peer\n");
}

static unsigned peer_runners(struct bench_runner *r, const uint32_t *addr)
{
	return 0;
}

static void peer_agrees(const struct lpm4 *t, const uint32_t *addr)
{
}
#endif

static const struct {
	const char *name;
	enum dist dist;
	enum pressure pressure;
	double limit;
} cases[] = {
	{ "uniform", DIST_UNIFORM, CACHE_OURS, 1.0 },
	{ "inside prefixes", DIST_INSIDE, CACHE_OURS, 1.0 },
	{ "zipf", DIST_ZIPF, CACHE_OURS, 1.0 },
	{ "uniform, cold cache", DIST_UNIFORM, CACHE_COLD, 0 },
	{ "inside prefixes, cold cache", DIST_INSIDE, CACHE_COLD, 0 },
	{ "zipf, 8 MB walked by a neighbour", DIST_ZIPF, CACHE_SHARED, 0 },
	{ "inside prefixes, 8 MB walked by a neighbour", DIST_INSIDE, CACHE_SHARED, 0 },
};

#define N_MEAN 3 /* the first three make the mean */

static void run_forms(const struct bench_opts *o, struct ours *x)
{
	const char *form;

	for (unsigned f = 0; (x->fn = lpm4_batch_form(f, &form)); f++) {
		char *name = xasprintf("inside prefixes, %s form", form);
		struct bench_runner r = { .batch = ours_batch, .ctx = x };
		struct bench_case c = {
			.bench = "lpm4", .name = name, .unit = "Mops/s", .higher_is_better = true
		};

		for (int i = 0; bench_wanted(o, name) && i < o->rounds; i++) {
			bench_round(&r, 1, N_ADDR, CACHE_OURS, o->quick);
			bench_add_ours(&c, bench_mops(&r));
		}
		bench_print(&c);
		free(name);
	}
}

int main(int argc, char **argv)
{
	struct bench_opts o;
	struct route_table table;
	struct lpm4_route *r;
	struct ours x = { .fn = lpm4_lookup_batch };
	struct lpm_stats st;
	double ours[BENCH_MAX_ROUNDS], theirs[BENCH_MAX_ROUNDS];

	if (bench_parse(&o, argc, argv))
		return 2;
	table = bench_table(&o);
	r = bench_routes4(&table);
	peer_init(r, table.n_v4);
	bench_spoil_init();
	if (lpm4_new(&(struct lpm_params){ 0 }, &x.t) || lpm4_build(x.t, r, table.n_v4))
		return 1;
	for (int i = 0; i < o.rounds; i++)
		ours[i] = theirs[i] = 1;
	for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
		struct bench_case c = { .bench = "lpm4",
					.name = cases[k].name,
					.unit = "Mops/s",
					.peer = "rte_fib",
					.higher_is_better = true,
					.limit = cases[k].limit,
					.required = cases[k].limit > 0 };
		uint32_t *addr;

		if (!bench_wanted(&o, c.name) && k >= N_MEAN)
			continue;
		addr = bench_addr4(r, table.n_v4, cases[k].dist, N_ADDR);
		x.addr = addr;
		peer_agrees(x.t, addr);
		struct bench_runner run[3] = { { .batch = ours_batch, .ctx = &x } };
		unsigned n_run = 1 + peer_runners(run + 1, addr);

		for (int i = 0; i < o.rounds; i++) {
			double best = 0;

			bench_round(run, n_run, N_ADDR, cases[k].pressure, o.quick);
			for (unsigned p = 1; p < n_run; p++)
				best = MAX(best, bench_mops(&run[p]));
			bench_add_ours(&c, bench_mops(&run[0]));
			if (best > 0)
				bench_add_peer(&c, best);
			if (k < N_MEAN) {
				ours[i] *= cbrt(bench_mops(&run[0]));
				theirs[i] *= cbrt(best);
			}
		}
		if (bench_wanted(&o, c.name))
			bench_print(&c);
		if (k == 1)
			run_forms(&o, &x);
		x.fn = lpm4_lookup_batch;
		free(addr);
	}
	struct bench_case mean = { .bench = "lpm4",
				   .name = "geometric mean of the three",
				   .unit = "Mops/s",
				   .peer = "rte_fib",
				   .higher_is_better = true,
				   .limit = 1.25,
				   .required = true };
	for (int i = 0; i < o.rounds; i++) {
		bench_add_ours(&mean, ours[i]);
		if (theirs[i] > 0)
			bench_add_peer(&mean, theirs[i]);
	}
	bench_print(&mean);

	lpm4_stats(x.t, &st);
	bench_value("lpm4", "lookup structure, full table", "MB", (double)st.data_bytes / 1e6, 40);
	bench_value("lpm4", "writer's prefixes and nodes", "MB", (double)st.ctl_bytes / 1e6, 0);
	lpm4_free(x.t);
	free(r);
	route_table_free(&table);
	return 0;
}
