/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IPv4 route lookup against DPDK's rte_fib (DIR-24-8, 2 and 4 byte entries, the better of them). */
#include "lib/bench_lpm_run.h"

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

static const struct lpm_bench_case cases[] = {
	{ "uniform", DIST_UNIFORM, CACHE_OURS, 1.0 },
	{ "inside prefixes", DIST_INSIDE, CACHE_OURS, 1.0 },
	{ "zipf", DIST_ZIPF, CACHE_OURS, 1.0 },
	{ "uniform, cold cache", DIST_UNIFORM, CACHE_COLD, 0 },
	{ "inside prefixes, cold cache", DIST_INSIDE, CACHE_COLD, 0 },
	{ "zipf, 8 MB walked by a neighbour", DIST_ZIPF, CACHE_SHARED, 0 },
	{ "inside prefixes, 8 MB walked by a neighbour", DIST_INSIDE, CACHE_SHARED, 0 },
};

static struct ours x = { .fn = lpm4_lookup_batch };
static struct lpm4_route *routes;
static size_t n_routes;

static void *start_case(enum dist dist, struct bench_runner *r, unsigned *ret_n)
{
	uint32_t *addr = bench_addr4(routes, n_routes, dist, N_ADDR);

	x.addr = addr;
	peer_agrees(x.t, addr);
	r[0] = (struct bench_runner){ .batch = ours_batch, .ctx = &x };
	*ret_n = 1 + peer_runners(r + 1, addr);
	return addr;
}

static const char *use_form(unsigned f)
{
	const char *form;

	x.fn = lpm4_batch_form(f, &form);
	if (x.fn)
		return form;
	x.fn = lpm4_lookup_batch;
	return NULL;
}

static const struct lpm_bench bench = {
	.bench = "lpm4",
	.peer = "rte_fib",
	.mean_name = "geometric mean of the three",
	.cases = cases,
	.n_cases = ARRAY_LEN(cases),
	.n_mean = 3,
	.mean_limit = 1.25,
	.memory_limit = 40,
	.n_addr = N_ADDR,
	.start_case = start_case,
	.use_form = use_form,
};

int main(int argc, char **argv)
{
	struct bench_opts o;
	struct route_table table;
	struct lpm_stats st;

	if (bench_parse(&o, argc, argv))
		return 2;
	table = bench_table(&o);
	routes = bench_routes4(&table);
	n_routes = table.n_v4;
	peer_init(routes, n_routes);
	bench_spoil_init();
	if (lpm4_new(&(struct lpm_params){ 0 }, &x.t) || lpm4_build(x.t, routes, n_routes))
		return 1;
	lpm_bench_run(&bench, &o);
	lpm4_stats(x.t, &st);
	lpm_bench_memory(&bench, &st);
	lpm4_free(x.t);
	free(routes);
	route_table_free(&table);
	return 0;
}
