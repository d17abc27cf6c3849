/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the flow table beside rte_hash: find (hit, miss), insert and delete of whole flows, that is
 * two keys and two values of a cache line (IPv6: of two), at 1M and 4M flows of IPv4 and 1M of
 * IPv6, all in 4 KiB pages. Of rte_hash the plain variant is measured, which allows no reader
 * beside a writer and is faster than its lock-free one; the lock-free one is shown beside it.
 * Lookups read the rewrite of each hit. Who of the two goes first changes with each measurement:
 * the first one finds the caches full of the keys that were just written.
 *
 * Deletes and inserts of ours exclude the grace period and the return of pairs, which the
 * maintenance thread does; "maintain" shows what that costs.
 */
#include "lib/bench.h"
#include "flow.h"
#include "flowtable_peer.h"
#include "hash.h"

#include <signal.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BURST   64
#define N_FIND  (1u << 20)
#define CACHE_8 (8u << 20)

static struct bench_opts opt;
static enum flow_family fam;
static size_t key_size;
static char *keys;          /* 2i forward, 2i + 1 reverse; later ones are in no table */
static const void **wanted; /* what one round of finds looks up */
static char *wanted_keys;
static uint64_t *refs, seed = 0x1234567;
static uint32_t *order;
static uint64_t sink;

static uint64_t rnd(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1dull;
}

static void *pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static double mops(uint32_t n, uint64_t t0)
{
	return n * 1e3 / (double)(rtr_now_ns() - t0);
}

/* Distinct keys: the number is in each. */
static void make_keys(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t h = hash_mix64(i);
		struct flow_key4 k4 = { .saddr = i,
					.daddr = (uint32_t)h,
					.sport = (uint16_t)(h >> 32),
					.dport = (uint16_t)(h >> 48),
					.proto = 17 };
		struct flow_key6 k6 = { .sport = k4.sport, .dport = k4.dport, .proto = 17 };

		memcpy(k6.saddr + 12, &i, 4);
		memcpy(k6.daddr + 8, &h, 8);
		memcpy(keys + i * key_size, fam == FLOW_4 ? (void *)&k4 : &k6, key_size);
	}
}

static void pick_wanted(uint32_t first, uint32_t n)
{
	for (uint32_t k = 0; k < N_FIND; k++) {
		wanted[k] = wanted_keys + k * key_size;
		memcpy(wanted_keys + k * key_size, keys + (first + rnd() % n) * key_size, key_size);
	}
}

static void shuffle(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n - 1; i; i--) {
		uint32_t j = (uint32_t)(rnd() % (i + 1)), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

/* --- ours --- */

static struct fp_flow *table;
static struct fp_flow_worker *wk;

static void make_flow(struct fp_flow_new *f, uint32_t i, uint32_t now)
{
	f->time = now;
	f->timeout = 1000;
	for (int d = 0; d < 2; d++) {
		memcpy(f->dir[d].key, keys + (2 * i + d) * key_size, key_size);
		f->dir[d].rw[0] = i;
		f->dir[d].state = FLOW_P_EXPRESS;
		f->dir[d].flags = FLOW_F_REWRITE;
	}
}

static void ours_add(uint32_t n)
{
	static struct fp_flow_new f[BURST];
	uint32_t now = fp_flow_now();

	for (uint32_t i = 0; i < n; i += BURST) {
		uint32_t m = MIN(BURST, n - i);

		for (uint32_t k = 0; k < m; k++) {
			make_flow(&f[k], order[i + k], now);
			fp_flow_prefetch(wk, fam, &f[k]);
		}
		for (uint32_t k = 0; k < m; k++)
			if (fp_flow_insert(wk, fam, &f[k], &refs[order[i + k]])) {
				/* Its supply is used up, or (1 of 1,000,000) both buckets are full.
				 */
				fp_flow_maintain(table, 0);
				if (fp_flow_insert(wk, fam, &f[k], &refs[order[i + k]]))
					refs[order[i + k]] = 0;
			}
	}
}

static void ours_del(uint32_t n)
{
	for (uint32_t i = 0; i < n; i += BURST) {
		uint32_t m = MIN(BURST, n - i);

		for (uint32_t k = 0; k < m; k++)
			fp_flow_prefetch_free(wk, fam, refs[order[i + k]]);
		for (uint32_t k = 0; k < m; k++)
			fp_flow_prefetch_lines(wk, fam, refs[order[i + k]]);
		for (uint32_t k = 0; k < m; k++)
			fp_flow_prefetch_slots(wk, fam, refs[order[i + k]]);
		for (uint32_t k = 0; k < m; k++)
			if (refs[order[i + k]] && fp_flow_free(wk, fam, refs[order[i + k]]))
				abort();
	}
}

static uint32_t ours_find4(unsigned burst)
{
	struct flow_hit4 hit[FP_FLOW_BURST];
	uint64_t stale, sum = 0;
	uint32_t hits = 0;

	for (uint32_t k = 0; k + burst <= N_FIND; k += burst) {
		uint64_t mask = fp_flow_find4_burst(
			table, (const struct flow_key4 *)(void *)wanted_keys + k, burst, hit,
			&stale);

		hits += (uint32_t)__builtin_popcountll(mask);
		for (; mask; mask &= mask - 1) {
			const struct flow_hit4 *h = &hit[__builtin_ctzll(mask)];

			sum += h->rw.saddr + h->own->egress;
		}
	}
	sink += sum;
	return hits;
}

static uint32_t ours_find6(unsigned burst)
{
	struct flow_hit6 hit[FP_FLOW_BURST];
	uint64_t stale, sum = 0;
	uint32_t hits = 0;

	for (uint32_t k = 0; k + burst <= N_FIND; k += burst) {
		uint64_t mask = fp_flow_find6_burst(
			table, (const struct flow_key6 *)(void *)wanted_keys + k, burst, hit,
			&stale);

		hits += (uint32_t)__builtin_popcountll(mask);
		for (; mask; mask &= mask - 1) {
			const struct flow_hit6 *h = &hit[__builtin_ctzll(mask)];

			sum += h->rw.sport + h->own->egress;
		}
	}
	sink += sum;
	return hits;
}

/* --- cases --- */

enum {
	C_HIT,
	C_MISS,
	C_INSERT,
	C_DELETE,
	C_ONE,
	C_NEIGHBOUR,
	C_HIT_LF,
	C_INSERT_LF,
	C_MAINTAIN,
	C__MAX
};

static void find_ours(struct bench_case *c, unsigned burst, uint32_t expect)
{
	uint64_t t0 = rtr_now_ns();

	if (expect - (fam == FLOW_4 ? ours_find4(burst) : ours_find6(burst)) > 100)
		abort();
	bench_add_ours(c, mops(N_FIND, t0));
}

static void find_peer(struct bench_case *c, struct ft_peer *p, unsigned burst, uint32_t expect)
{
	uint64_t t0 = rtr_now_ns();

	if (!p)
		return;
	if (expect - ft_peer_find(p, wanted, N_FIND, burst, &sink) > 100)
		abort();
	bench_add_peer(c, mops(N_FIND, t0));
}

/* Twice a round, so that each goes first once. */
static void find_round(struct bench_case *c, struct ft_peer *p, unsigned burst, uint32_t expect)
{
	find_ours(c, burst, expect);
	find_peer(c, p, burst, expect);
	find_peer(c, p, burst, expect);
	find_ours(c, burst, expect);
}

/* A neighbour on the other core that keeps 8 MB of the shared cache busy. */
static pid_t neighbour_start(void)
{
	pid_t pid = fork();
	volatile char *buf;
	cpu_set_t set;

	if (pid)
		return pid;
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu() ? 0 : 1, &set);
	sched_setaffinity(0, sizeof(set), &set);
	buf = pages(CACHE_8);
	for (;;)
		for (size_t i = 0; i < CACHE_8; i += 64)
			buf[i]++;
}

static void round_all(struct bench_case *c, struct ft_peer *p, struct ft_peer *lf, uint32_t n)
{
	static uint32_t *key_order;
	uint64_t t0;
	pid_t pid;

	if (!key_order)
		key_order = pages((size_t)8 << 20 << 2); /* two of 4M */
	shuffle(n);
	for (uint32_t i = 0; i < n; i++) {
		key_order[2 * i] = 2 * order[i];
		key_order[2 * i + 1] = 2 * order[i] + 1;
	}
	t0 = rtr_now_ns();
	ours_add(n);
	bench_add_ours(&c[C_INSERT], mops(n, t0));
	t0 = rtr_now_ns();
	if (p && !ft_peer_add(p, keys, key_order, 2 * n))
		abort();
	if (p)
		bench_add_peer(&c[C_INSERT], mops(n, t0));
	pick_wanted(0, 2 * n);
	find_round(&c[C_HIT], p, BURST, N_FIND);
	find_round(&c[C_ONE], p, 1, N_FIND);
	pid = neighbour_start();
	find_round(&c[C_NEIGHBOUR], p, BURST, N_FIND);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (lf) {
		bench_add_ours(&c[C_INSERT_LF], c[C_INSERT].ours[c[C_INSERT].n_ours - 1]);
		t0 = rtr_now_ns();
		if (!ft_peer_add(lf, keys, key_order, 2 * n))
			abort();
		bench_add_peer(&c[C_INSERT_LF], mops(n, t0));
		find_round(&c[C_HIT_LF], lf, BURST, N_FIND);
		ft_peer_del(lf, keys, key_order, 2 * n);
	}
	pick_wanted(2 * n, 2 * n);
	find_round(&c[C_MISS], p, BURST, 0);
	shuffle(n);
	for (uint32_t i = 0; i < n; i++) {
		key_order[2 * i] = 2 * order[i];
		key_order[2 * i + 1] = 2 * order[i] + 1;
	}
	t0 = rtr_now_ns();
	ours_del(n);
	bench_add_ours(&c[C_DELETE], mops(n, t0));
	t0 = rtr_now_ns();
	fp_flow_maintain(table, 0);
	bench_add_ours(&c[C_MAINTAIN], mops(n, t0));
	t0 = rtr_now_ns();
	if (p && !ft_peer_del(p, keys, key_order, 2 * n))
		abort();
	if (p)
		bench_add_peer(&c[C_DELETE], mops(n, t0));
}

static void bench_size(enum flow_family family, uint32_t n, const char *size, bool peer)
{
	static const char *const names[C__MAX] = {
		[C_HIT] = "find hit",
		[C_MISS] = "find miss",
		[C_INSERT] = "insert flow",
		[C_DELETE] = "delete flow",
		[C_ONE] = "find hit, one at a time",
		[C_NEIGHBOUR] = "find hit, neighbour uses 8 MB",
		[C_HIT_LF] = "find hit, lock-free peer",
		[C_INSERT_LF] = "insert flow, lock-free peer",
		[C_MAINTAIN] = "maintain (reuse of freed flows)",
	};
	struct fp_flow_conf conf = { .n_workers = 1, .reserve = 65536 };
	uint32_t flows[FLOW__FAMILIES] = { 1, 1 };
	struct bench_case c[C__MAX];
	struct ft_peer *p = peer ? ft_peer_new(family, 2 * n + 64, false) : NULL;
	struct ft_peer *lf = peer ? ft_peer_new(family, 2 * n + 64, true) : NULL;
	char text[C__MAX][64];
	struct fp_flow_mem mem;
	bool bpf;

	flows[family] = n;
	bpf = !fp_flow_mem_bpf(flows, NULL, &mem);
	fam = family;
	key_size = fam == FLOW_4 ? sizeof(struct flow_key4) : sizeof(struct flow_key6);
	make_keys(n * 4);
	if (!bpf && fp_flow_mem_anon(flows, &mem))
		abort();
	if (fp_flow_open(&mem, &conf, &table))
		abort();
	fprintf(stderr, "flowtable: our table is in %s, %.0f bytes a flow of IPv%c; peer: %s\n",
		bpf ? "mapped BPF arrays" : "anonymous memory (no right to make BPF maps)",
		(double)(mem.size[1 + 3 * fam] + mem.size[2 + 3 * fam] + mem.size[3 + 3 * fam] +
			 (fam == FLOW_4 ? mem.size[FP_FLOW_R_SIDES4] : 0)) /
			n,
		"46"[fam], p ? "rte_hash, 4 KiB pages" : "none");
	wk = fp_flow_worker(table, 0);
	fp_flow_maintain(table, 0);
	for (int i = 0; i < C__MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "%s %s", size, names[i]);
		c[i] = (struct bench_case){ .bench = "flowtable",
					    .name = text[i],
					    .unit = "M/s",
					    .higher_is_better = true,
					    .peer = i == C_HIT_LF || i == C_INSERT_LF
							    ? "rte_hash lock-free"
							    : "rte_hash",
					    .limit = i <= C_DELETE ? 1.0 : 0,
					    .required = i <= C_DELETE };
	}
	for (int r = 0; r < opt.rounds; r++)
		round_all(c, p, lf, n);
	for (int i = 0; i < C__MAX; i++)
		if (bench_wanted(&opt, text[i]))
			bench_print(&c[i]);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
	ft_peer_free(p);
	ft_peer_free(lf);
}

int main(int argc, char **argv)
{
	uint32_t max;
	bool peer;

	if (bench_parse(&opt, argc, argv))
		return 2;
	max = opt.quick ? 1000000 : 4000000;
	peer = ft_peer_start();
	keys = pages(MAX(max * 4 * sizeof(struct flow_key4), 4000000 * sizeof(struct flow_key6)));
	wanted = pages(N_FIND * sizeof(*wanted));
	wanted_keys = pages(N_FIND * sizeof(struct flow_key6));
	refs = pages(max * sizeof(*refs));
	order = pages(max * sizeof(*order));
	bench_size(FLOW_4, 1000000, "1M", peer);
	bench_size(FLOW_6, 1000000, "1M IPv6", peer);
	if (!opt.quick)
		bench_size(FLOW_4, 4000000, "4M", peer);
	if (sink == 42)
		fprintf(stderr, "flowtable: the sum is 42\n");
	return 0;
}
