/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Route changes under lookups: prefixes of the full table, drawn at random, are deleted and added
 * again with another next hop while a second thread looks up; and the time to build the table.
 * Peers: DPDK's rte_fib and rte_fib6, which reuse memory at once and so need no grace periods; ours
 * are liburcu's.
 */
#include "lib/bench_lpm.h"

#include <pthread.h>
#include <urcu-qsbr.h>

#ifdef HAVE_DPDK_PEER
#include <rte_fib.h>
#include <rte_fib6.h>
#endif

#define N_ADDR (1u << 16)

struct waiting {
	struct lpm_retired *first;
	unsigned n;
};

static void wait_batch(void *ctx, struct lpm_retired *b)
{
	struct waiting *w = ctx;

	b->next = w->first;
	w->first = b;
	w->n++;
}

/* A grace period for 16 batches, some 16,000 blocks. */
static void release_waiting(struct waiting *w, unsigned at_least)
{
	struct lpm_retired *b = w->first, *next;

	if (w->n < at_least)
		return;
	urcu_qsbr_synchronize_rcu();
	*w = (struct waiting){ 0 };
	for (; b; b = next) {
		next = b->next;
		lpm_retired_release(b);
	}
}

static struct lpm4_route *r4;
static struct lpm6_route *r6;
static struct lpm4 *t4;
static struct lpm6 *t6;
static uint32_t *addr4;
static uint8_t (*addr6)[16];
static struct waiting waiting;
static size_t n4, n6;

enum who { OURS4, OURS6, PEER4, PEER6 };

#ifdef HAVE_DPDK_PEER
static struct rte_fib *fib4;
static struct rte_fib6 *fib6;
static bool dpdk;

/* Build time in seconds; 0: no peer. */
static double peer_build(enum who who)
{
	struct rte_fib_conf c4 = { .type = RTE_FIB_DIR24_8, .max_routes = (int)n4 + 1000 };
	struct rte_fib6_conf c6 = { .type = RTE_FIB6_TRIE, .max_routes = (int)n6 + 1000 };
	uint64_t start;

	if (!dpdk)
		return 0;
	c4.dir24_8.nh_sz = RTE_FIB_DIR24_8_2B;
	c4.dir24_8.num_tbl8 = 32767;
	c6.trie.nh_sz = RTE_FIB6_TRIE_4B;
	c6.trie.num_tbl8 = 400000;
	start = bench_cpu_ns();
	if (who == PEER4) {
		rte_fib_free(fib4);
		fib4 = rte_fib_create("fib4", 0, &c4);
		for (size_t i = 0; i < n4; i++)
			(void)rte_fib_add(fib4, r4[i].addr, r4[i].len, r4[i].nh);
	} else {
		rte_fib6_free(fib6);
		fib6 = rte_fib6_create("fib6", 0, &c6);
		for (size_t i = 0; i < n6; i++)
			(void)rte_fib6_add(fib6, r6[i].addr, r6[i].len, r6[i].nh);
	}
	return (double)(bench_cpu_ns() - start) / 1e9;
}

static void peer_change(enum who who, size_t i, uint32_t nh)
{
	if (who == PEER4) {
		(void)rte_fib_delete(fib4, r4[i].addr, r4[i].len);
		(void)rte_fib_add(fib4, r4[i].addr, r4[i].len, nh);
	} else {
		(void)rte_fib6_delete(fib6, r6[i].addr, r6[i].len);
		(void)rte_fib6_add(fib6, r6[i].addr, r6[i].len, nh);
	}
}

static void peer_lookup(enum who who, size_t at)
{
	uint64_t nh[BATCH];

	if (who == PEER4)
		(void)rte_fib_lookup_bulk(fib4, addr4 + at, nh, BATCH);
	else
		(void)rte_fib6_lookup_bulk(fib6, addr6 + at, nh, BATCH);
}

static void peer_init(void)
{
	dpdk = bench_dpdk_init("2048");
}
#else
static double peer_build(enum who who)
{
	return 0;
}

static void peer_change(enum who who, size_t i, uint32_t nh)
{
}

static void peer_lookup(enum who who, size_t at)
{
}

static void peer_init(void)
{
	fprintf(stderr, "built without DPDK: no peer\n");
}
#endif

static bool reader_stop;
static enum who reader_who;
static uint64_t reader_n, reader_ns;

static void *read_all(void *arg)
{
	cpu_set_t other;
	uint32_t nh[BATCH];
	uint64_t n = 0, start = bench_cpu_ns();

	CPU_ZERO(&other);
	CPU_SET(0, &other);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(other), &other);
	urcu_qsbr_register_thread();
	for (size_t at = 0; !__atomic_load_n(&reader_stop, __ATOMIC_RELAXED);
	     at = (at + BATCH) % N_ADDR, n += BATCH) {
		if (reader_who == OURS4)
			lpm4_lookup_batch(t4, addr4 + at, nh, BATCH);
		else if (reader_who == OURS6)
			lpm6_lookup_batch(t6, (const uint8_t(*)[16])addr6 + at, nh, BATCH);
		else
			peer_lookup(reader_who, at);
		urcu_qsbr_quiescent_state();
	}
	urcu_qsbr_unregister_thread();
	reader_n = n;
	reader_ns = bench_cpu_ns() - start;
	return NULL;
}

static void check(int rc)
{
	if (rc) {
		fprintf(stderr, "a change fails: %s\n", strerror(-rc));
		exit(1);
	}
}

static void change(enum who who, size_t i, uint32_t nh)
{
	if (who == OURS4) {
		check(lpm4_del(t4, r4[i].addr, r4[i].len));
		check(lpm4_set(t4, r4[i].addr, r4[i].len, nh));
		release_waiting(&waiting, 16);
	} else if (who == OURS6) {
		check(lpm6_del(t6, r6[i].addr, r6[i].len));
		check(lpm6_set(t6, r6[i].addr, r6[i].len, nh));
		release_waiting(&waiting, 16);
	} else {
		peer_change(who, i, nh);
	}
}

/* Million changes a second of the writer's processor time; *ret_lookups: the reader's rate. */
static double churn(enum who who, unsigned n, double *ret_lookups)
{
	uint64_t rng = 99, start, spent;
	pthread_t reader;

	reader_stop = false;
	reader_who = who;
	if (pthread_create(&reader, NULL, read_all, NULL))
		exit(1);
	start = bench_cpu_ns();
	for (unsigned k = 0; k < n / 2; k++) {
		size_t i = bench_rand(&rng) % (who == OURS4 || who == PEER4 ? n4 : n6);

		change(who, i, 1 + (uint32_t)(bench_rand(&rng) >> 20) % N_NEXT_HOPS);
	}
	spent = bench_cpu_ns() - start;
	__atomic_store_n(&reader_stop, true, __ATOMIC_RELAXED);
	pthread_join(reader, NULL);
	*ret_lookups = (double)reader_n * 1e3 / (double)reader_ns;
	return (double)n * 1e3 / (double)spent;
}

static double build(enum who who)
{
	struct lpm_params p = { .defer = wait_batch, .defer_ctx = &waiting };
	uint64_t start;
	int rc;

	waiting = (struct waiting){ 0 };
	if (who == OURS4) {
		t4 = lpm4_free(t4);
		start = bench_cpu_ns();
		rc = lpm4_new(&p, &t4) ?: lpm4_build(t4, r4, n4);
	} else {
		t6 = lpm6_free(t6);
		start = bench_cpu_ns();
		rc = lpm6_new(&p, &t6) ?: lpm6_build(t6, r6, n6);
	}
	check(rc);
	return (double)(bench_cpu_ns() - start) / 1e9;
}

static void bench_family(const struct bench_opts *o, enum who us, enum who them)
{
	bool is4 = us == OURS4;
	struct bench_case b = { .bench = "lpm_update",
				.name = is4 ? "IPv4 build" : "IPv6 build",
				.unit = "s",
				.peer = is4 ? "rte_fib" : "rte_fib6",
				.limit = is4 ? 0.5 : 0.07,
				.limit_is_value = true,
				.required = true };
	struct bench_case u = { .bench = "lpm_update",
				.name = is4 ? "IPv4 changes under lookups"
					    : "IPv6 changes under lookups",
				.unit = "Mops/s",
				.peer = b.peer,
				.higher_is_better = true,
				.limit = is4 ? 1.0 : 0.5,
				.limit_is_value = true,
				.required = true };
	struct bench_case l = { .bench = "lpm_update",
				.name = is4 ? "IPv4 lookups meanwhile" : "IPv6 lookups meanwhile",
				.unit = "Mops/s",
				.peer = b.peer,
				.higher_is_better = true };

	for (int i = 0; i < o->rounds; i++) {
		unsigned n = o->quick ? 200000 : 1000000;
		double lookups, t;

		bench_add_ours(&b, build(us));
		t = peer_build(them);
		if (t > 0)
			bench_add_peer(&b, t);
		bench_add_ours(&u, churn(us, n, &lookups));
		bench_add_ours(&l, lookups);
		release_waiting(&waiting, 0);
		if (t > 0) {
			bench_add_peer(&u, churn(them, n / 4, &lookups));
			bench_add_peer(&l, lookups);
		}
	}
	bench_print(&b);
	bench_print(&u);
	bench_print(&l);
}

int main(int argc, char **argv)
{
	struct bench_opts o;
	struct route_table table;

	if (bench_parse(&o, argc, argv))
		return 2;
	table = bench_table(&o);
	n4 = table.n_v4;
	n6 = table.n_v6;
	r4 = bench_routes4(&table);
	r6 = bench_routes6(&table);
	addr4 = bench_addr4(r4, n4, DIST_INSIDE, N_ADDR);
	addr6 = bench_addr6(r6, n6, DIST_INSIDE, N_ADDR);
	peer_init();
	if (bench_wanted(&o, "IPv4"))
		bench_family(&o, OURS4, PEER4);
	if (bench_wanted(&o, "IPv6"))
		bench_family(&o, OURS6, PEER6);
	lpm4_free(t4);
	lpm6_free(t6);
	free(r4);
	free(r6);
	free(addr4);
	free(addr6);
	route_table_free(&table);
	return 0;
}
