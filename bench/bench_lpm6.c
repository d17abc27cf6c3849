/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IPv6 route lookup against DPDK's rte_fib6 (trie) and rte_lpm6, the better of them. */
#include "lib/bench_lpm.h"

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

static const struct {
	const char *name;
	enum dist dist;
	enum pressure pressure;
	double limit;
} cases[] = {
	{ "inside prefixes", DIST_INSIDE, CACHE_OURS, 1.1 },
	{ "zipf", DIST_ZIPF, CACHE_OURS, 1.1 },
	{ "inside prefixes, cold cache", DIST_INSIDE, CACHE_COLD, 0 },
	{ "zipf, cold cache", DIST_ZIPF, CACHE_COLD, 0 },
	{ "inside prefixes, 8 MB walked by a neighbour", DIST_INSIDE, CACHE_SHARED, 0 },
	{ "zipf, 8 MB walked by a neighbour", DIST_ZIPF, CACHE_SHARED, 0 },
};

#define N_MEAN 2 /* the first two make the mean */

static void run_forms(const struct bench_opts *o, struct ours *x)
{
	const char *form;

	for (unsigned f = 0; (x->fn = lpm6_batch_form(f, &form)); f++) {
		char *name = xasprintf("inside prefixes, %s form", form);
		struct bench_runner r = { .batch = ours_batch, .ctx = x };
		struct bench_case c = {
			.bench = "lpm6", .name = name, .unit = "Mops/s", .higher_is_better = true
		};

		for (int i = 0; bench_wanted(o, name) && i < o->rounds; i++) {
			bench_round(&r, 1, N_ADDR, CACHE_OURS, o->quick);
			bench_add_ours(&c, bench_mops(&r));
		}
		bench_print(&c);
		free(name);
	}
	x->fn = lpm6_lookup_batch;
}

int main(int argc, char **argv)
{
	struct bench_opts o;
	struct route_table table;
	struct lpm6_route *r;
	struct ours x = { .fn = lpm6_lookup_batch };
	struct lpm_stats st;
	struct bench_case mean = { .bench = "lpm6",
				   .name = "geometric mean of the two",
				   .unit = "Mops/s",
				   .peer = "rte_fib6, rte_lpm6",
				   .higher_is_better = true,
				   .limit = 1.3,
				   .required = true };
	double ours[BENCH_MAX_ROUNDS], theirs[BENCH_MAX_ROUNDS];

	if (bench_parse(&o, argc, argv))
		return 2;
	table = bench_table(&o);
	r = bench_routes6(&table);
	peer_init(r, table.n_v6);
	bench_spoil_init();
	if (lpm6_new(&(struct lpm_params){ 0 }, &x.t) || lpm6_build(x.t, r, table.n_v6))
		return 1;
	for (int i = 0; i < o.rounds; i++)
		ours[i] = theirs[i] = 1;
	for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
		struct bench_case c = { .bench = "lpm6",
					.name = cases[k].name,
					.unit = "Mops/s",
					.peer = "rte_fib6, rte_lpm6",
					.higher_is_better = true,
					.limit = cases[k].limit,
					.required = cases[k].limit > 0 };
		struct bench_runner run[4] = { { .batch = ours_batch, .ctx = &x } };
		uint8_t(*addr)[16];
		unsigned n_run;

		if (!bench_wanted(&o, c.name) && k >= N_MEAN)
			continue;
		addr = bench_addr6(r, table.n_v6, cases[k].dist, N_ADDR);
		x.addr = (const uint8_t(*)[16])addr;
		peer_agrees(x.t, addr);
		n_run = 1 + peer_runners(run + 1, addr);
		for (int i = 0; i < o.rounds; i++) {
			double best = 0;

			bench_round(run, n_run, N_ADDR, cases[k].pressure, o.quick);
			for (unsigned p = 1; p < n_run; p++)
				best = MAX(best, bench_mops(&run[p]));
			bench_add_ours(&c, bench_mops(&run[0]));
			if (best > 0)
				bench_add_peer(&c, best);
			if (k < N_MEAN) {
				ours[i] *= sqrt(bench_mops(&run[0]));
				theirs[i] *= sqrt(best);
			}
		}
		if (bench_wanted(&o, c.name))
			bench_print(&c);
		if (!k)
			run_forms(&o, &x);
		free(addr);
	}
	for (int i = 0; i < o.rounds; i++) {
		bench_add_ours(&mean, ours[i]);
		if (theirs[i] > 0)
			bench_add_peer(&mean, theirs[i]);
	}
	bench_print(&mean);

	lpm6_stats(x.t, &st);
	bench_value("lpm6", "lookup structure, full table", "MB", (double)st.data_bytes / 1e6, 16);
	bench_value("lpm6", "writer's prefixes and nodes", "MB", (double)st.ctl_bytes / 1e6, 0);
	lpm6_free(x.t);
	free(r);
	route_table_free(&table);
	return 0;
}
