/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IPv6 route lookup against DPDK's rte_fib6 (trie) and rte_lpm6, the better of them. */
#include "lib/bench_lpm_run.h"

#ifdef HAVE_DPDK_PEER
#include <rte_fib6.h>
#include <rte_lpm6.h>
#endif

#define N_ADDR (1u << 18) /* 4 MB of them */

struct ours {
	struct lpm6 *t;
	lpm6_batch_fn *fn;
	const uint8_t (*addr)[16];
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
	struct rte_fib6 *fib;
	struct rte_lpm6 *lpm;
	uint8_t (*addr)[16];
};

static struct peer peers[3];

static void fib_batch(const void *ctx, size_t i)
{
	const struct peer *p = ctx;
	uint64_t nh[BATCH];

	(void)rte_fib6_lookup_bulk(p->fib, p->addr + i, nh, BATCH);
	bench_sink += nh[0];
}

static void lpm_batch(const void *ctx, size_t i)
{
	const struct peer *p = ctx;
	int32_t nh[BATCH];

	(void)rte_lpm6_lookup_bulk_func(p->lpm, p->addr + i, nh, BATCH);
	bench_sink += (uint64_t)nh[0];
}

static void peer_init_fib(unsigned i, const struct lpm6_route *r, size_t n)
{
	struct rte_fib6_conf c = { .type = RTE_FIB6_TRIE, .max_routes = (int)n + 1000 };

	c.trie.nh_sz = i ? RTE_FIB6_TRIE_4B : RTE_FIB6_TRIE_2B;
	c.trie.num_tbl8 = i ? 400000 : 32767;
	peers[i].fib = rte_fib6_create(i ? "fib4b" : "fib2b", 0, &c);
	if (!peers[i].fib)
		fprintf(stderr, "rte_fib6_create: %s\n", rte_strerror(rte_errno));
	for (size_t k = 0; peers[i].fib && k < n; k++) {
		int rc = rte_fib6_add(peers[i].fib, r[k].addr, r[k].len, r[k].nh);

		if (rc) { /* 2-byte entries can name too few tables for the full table */
			fprintf(stderr, "rte_fib6 of %u-byte entries is full at route %zu: %s\n",
				i ? 4 : 2, k, strerror(-rc));
			rte_fib6_free(peers[i].fib);
			peers[i].fib = NULL;
		}
	}
	if (peers[i].fib &&
	    rte_fib6_select_lookup(peers[i].fib, RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512))
		fprintf(stderr, "rte_fib6: no vector lookup on this machine\n");
}

static void peer_init(const struct lpm6_route *r, size_t n)
{
	struct rte_lpm6_config c = { .max_rules = (uint32_t)n + 1000, .number_tbl8s = 200000 };

	if (!bench_dpdk_init("2048"))
		return;
	peer_init_fib(0, r, n);
	peer_init_fib(1, r, n);
	peers[2].lpm = rte_lpm6_create("lpm6", 0, &c);
	for (size_t k = 0; peers[2].lpm && k < n; k++)
		if (rte_lpm6_add(peers[2].lpm, r[k].addr, r[k].len, r[k].nh)) {
			fprintf(stderr, "rte_lpm6_add fails at route %zu\n", k);
			rte_lpm6_free(peers[2].lpm);
			peers[2].lpm = NULL;
		}
}

static unsigned peer_runners(struct bench_runner *r, uint8_t (*addr)[16])
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(peers); i++) {
		peers[i].addr = addr;
		if (peers[i].fib || peers[i].lpm)
			r[n++] = (struct bench_runner){ .batch = peers[i].fib ? fib_batch
									      : lpm_batch,
							.ctx = &peers[i] };
	}
	return n;
}

static void peer_agrees(const struct lpm6 *t, uint8_t (*addr)[16])
{
	uint64_t theirs[BATCH];
	uint32_t nh[BATCH];

	for (size_t i = 0; i < N_ADDR && peers[1].fib; i += BATCH) {
		lpm6_lookup_batch(t, (const uint8_t(*)[16])addr + i, nh, BATCH);
		(void)rte_fib6_lookup_bulk(peers[1].fib, addr + i, theirs, BATCH);
		for (unsigned j = 0; j < BATCH; j++)
			if (nh[j] != theirs[j]) {
				fprintf(stderr, "address %zu: ours %u, peer %u\n", i + j, nh[j],
					(unsigned)theirs[j]);
				exit(1);
			}
	}
}
#else
static void peer_init(const struct lpm6_route *r, size_t n)
{
	fprintf(stderr, "built without DPDK: no peer\n");
}

static unsigned peer_runners(struct bench_runner *r, uint8_t (*addr)[16])
{
	return 0;
}

static void peer_agrees(const struct lpm6 *t, uint8_t (*addr)[16])
{
}
#endif

static const struct lpm_bench_case cases[] = {
	{ "inside prefixes", DIST_INSIDE, CACHE_OURS, 1.1 },
	{ "zipf", DIST_ZIPF, CACHE_OURS, 1.1 },
	{ "inside prefixes, cold cache", DIST_INSIDE, CACHE_COLD, 0 },
	{ "zipf, cold cache", DIST_ZIPF, CACHE_COLD, 0 },
	{ "inside prefixes, 8 MB walked by a neighbour", DIST_INSIDE, CACHE_SHARED, 0 },
	{ "zipf, 8 MB walked by a neighbour", DIST_ZIPF, CACHE_SHARED, 0 },
};

static struct ours x = { .fn = lpm6_lookup_batch };
static struct lpm6_route *routes;
static size_t n_routes;

static void *start_case(enum dist dist, struct bench_runner *r, unsigned *ret_n)
{
	uint8_t(*addr)[16] = bench_addr6(routes, n_routes, dist, N_ADDR);

	x.addr = (const uint8_t(*)[16])addr;
	peer_agrees(x.t, addr);
	r[0] = (struct bench_runner){ .batch = ours_batch, .ctx = &x };
	*ret_n = 1 + peer_runners(r + 1, addr);
	return addr;
}

static const char *use_form(unsigned f)
{
	const char *form;

	x.fn = lpm6_batch_form(f, &form);
	if (x.fn)
		return form;
	x.fn = lpm6_lookup_batch;
	return NULL;
}

static const struct lpm_bench bench = {
	.bench = "lpm6",
	.peer = "rte_fib6, rte_lpm6",
	.mean_name = "geometric mean of the two",
	.cases = cases,
	.n_cases = ARRAY_LEN(cases),
	.n_mean = 2,
	.mean_limit = 1.3,
	.memory_limit = 16,
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
	routes = bench_routes6(&table);
	n_routes = table.n_v6;
	peer_init(routes, n_routes);
	bench_spoil_init();
	if (lpm6_new(&(struct lpm_params){ 0 }, &x.t) || lpm6_build(x.t, routes, n_routes))
		return 1;
	lpm_bench_run(&bench, &o);
	lpm6_stats(x.t, &st);
	lpm_bench_memory(&bench, &st);
	lpm6_free(x.t);
	free(routes);
	route_table_free(&table);
	return 0;
}
