/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Benchmark of the packet classifier against rte_acl with its best method: rate, memory, build
 * time; without a peer also cold caches, a neighbour that takes cache, IPv6 and 100,000 rules.
 *
 * Load: packets at random points of random rules, in batches of 32. Both sides look up the same
 * keys in the same order, in turns of a round, and must give the same rules.
 */
#include "classify_peer.h"
#include "lib/bench.h"

#define BATCH_KEYS 32u
#define N_KEYS     (1u << 15)

/* What a neighbour does to the caches before a batch. */
struct disturb {
	const char *name;
	size_t bytes;   /* touched ... */
	unsigned every; /* ... before each so many batches */
};

static uint8_t *dirt;
static volatile uint64_t sink;

static void touch(size_t bytes)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < bytes; i += RTR_CACHELINE)
		sum += dirt[i]++;
	sink += sum;
}

static struct fp_cls_key4 key4(const struct fp_cls_key6 *k)
{
	return (struct fp_cls_key4){ .src = (uint32_t)k->src.lo,
				     .dst = (uint32_t)k->dst.lo,
				     .ports = k->ports,
				     .misc = k->misc };
}

struct run {
	const struct bench_opts *opts;
	const char *name;
	struct cb_set set;
	struct fp_cls_key6 *k6;
	struct fp_cls_key4 *k4;
	struct fp_cls *cls;
	struct peer *peer;
	double build_s, peer_build_s;
	size_t peer_bytes;
	bool v6, required;
};

/* Mlookups/s over the keys, by the time inside lookups alone. */
static double rate(struct run *r, bool peer, const struct disturb *d)
{
	uint32_t ids[BATCH_KEYS];
	size_t n = d->bytes ? N_KEYS / 8 : N_KEYS, turns = d->bytes || r->opts->quick ? 1 : 8;
	uint64_t ns = 0, t0 = rtr_now_ns();

	for (size_t t = 0; t < turns; t++) {
		for (size_t i = 0, b = 0; i < n; i += BATCH_KEYS, b++) {
			if (d->bytes && b % d->every == 0) {
				ns += b ? rtr_now_ns() - t0 : 0;
				touch(d->bytes);
				t0 = rtr_now_ns();
			}
			if (peer)
				peer_lookup(r->peer, i, BATCH_KEYS, ids);
			else if (r->v6)
				fp_cls_lookup6(r->cls, r->k6 + i, BATCH_KEYS, ids);
			else
				fp_cls_lookup4(r->cls, r->k4 + i, BATCH_KEYS, ids);
			sink += ids[0];
		}
	}
	ns += rtr_now_ns() - t0;
	return (double)n * (double)turns * 1e3 / (double)ns;
}

static void same_answers(struct run *r)
{
	uint32_t ours[BATCH_KEYS], theirs[BATCH_KEYS];

	for (size_t i = 0; i < N_KEYS; i += BATCH_KEYS) {
		fp_cls_lookup4(r->cls, r->k4 + i, BATCH_KEYS, ours);
		peer_lookup(r->peer, i, BATCH_KEYS, theirs);
		for (unsigned j = 0; j < BATCH_KEYS; j++) {
			if (ours[j] != theirs[j]) {
				fprintf(stderr, "%s: key %zu: rule %u, peer %u\n", r->name, i + j,
					ours[j], theirs[j]);
				exit(1);
			}
		}
	}
}

static struct bench_case case_of(const struct run *r, const char *what, const char *unit)
{
	static char names[64][64];
	static unsigned n;
	char *name = names[n++ % ARRAY_LEN(names)];

	snprintf(name, sizeof(names[0]), "%s %s", r->name, what);
	return (struct bench_case){ .bench = "classify",
				    .name = name,
				    .unit = unit,
				    .peer = r->peer ? peer_method(r->peer) : "",
				    .required = r->required };
}

static void measure_rate(struct run *r, const struct disturb *d)
{
	struct bench_case c = case_of(r, d->name, "Mops/s");

	c.higher_is_better = true;
	if (r->required && !d->bytes)
		c.limit = 1.0;
	if (!bench_wanted(r->opts, c.name))
		return;
	rate(r, false, d);
	for (int i = 0; i < r->opts->rounds; i++) {
		bench_add_ours(&c, rate(r, false, d));
		if (r->peer)
			bench_add_peer(&c, rate(r, true, d));
	}
	bench_print(&c);
}

static void measure_build(struct run *r)
{
	struct bench_case c = case_of(r, "build", "s");

	if (r->required) {
		c.limit = 0.5;
		c.limit_is_value = true;
	}
	bench_add_ours(&c, r->build_s);
	for (int i = 1; i < r->opts->rounds && bench_wanted(r->opts, c.name); i++) {
		struct fp_cls *again;
		uint64_t t0 = rtr_now_ns();

		if (!fp_cls_build(r->set.rules, r->set.n, &again))
			bench_add_ours(&c, (double)(rtr_now_ns() - t0) / 1e9);
		fp_cls_free(again);
	}
	if (r->peer)
		bench_add_peer(&c, r->peer_build_s);
	if (bench_wanted(r->opts, c.name))
		bench_print(&c);
}

static void measure_memory(struct run *r)
{
	struct bench_case c = case_of(r, "memory", "KiB");

	if (r->required)
		c.limit = 0.25;
	bench_add_ours(&c, (double)fp_cls_stats(r->cls).bytes / 1024);
	if (r->peer)
		bench_add_peer(&c, (double)r->peer_bytes / 1024);
	if (bench_wanted(r->opts, c.name))
		bench_print(&c);
}

static const struct disturb none = { "lookup", 0, 0 };
static const struct disturb disturbs[] = { { "lookup, cold caches", 64u << 20, 1 },
					   { "lookup, neighbour takes 8 MB", 8u << 20, 8 } };

static bool set_wanted(const struct bench_opts *opts, const char *set)
{
	const char *const cases[] = { none.name, disturbs[0].name, disturbs[1].name, "memory",
				      "build" };
	char name[96];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(name, sizeof(name), "%s %s", set, cases[i]);
		if (bench_wanted(opts, name))
			return true;
	}
	return false;
}

static void measure(struct run *r, bool peer)
{
	struct fp_cls_stats st;
	uint64_t rng = 0x9e3779b97f4a7c15ull, t0;

	r->k6 = xcalloc(N_KEYS, sizeof(*r->k6));
	r->k4 = xcalloc(N_KEYS, sizeof(*r->k4));
	for (size_t i = 0; i < N_KEYS; i++) {
		r->k6[i] = cb_key(&rng, &r->set.rules[cb_rand(&rng) % r->set.n]);
		r->k4[i] = key4(&r->k6[i]);
	}
	t0 = rtr_now_ns();
	if (fp_cls_build(r->set.rules, r->set.n, &r->cls))
		abort();
	r->build_s = (double)(rtr_now_ns() - t0) / 1e9;
	if (peer)
		r->peer = peer_new(&r->set, r->k4, N_KEYS, &r->peer_build_s, &r->peer_bytes);
	if (r->peer)
		same_answers(r);
	st = fp_cls_stats(r->cls);
	printf("%s: %zu rules, %u trees, %u cuts, longest leaf %u\n", r->name, r->set.n,
	       r->v6 ? st.trees6 : st.trees4, r->v6 ? st.depth6 : st.depth4,
	       r->v6 ? st.leaf6 : st.leaf4);
	measure_rate(r, &none);
	measure_memory(r);
	measure_build(r);
	for (size_t i = 0; i < ARRAY_LEN(disturbs); i++)
		measure_rate(r, &disturbs[i]);
	peer_free(r->peer);
	fp_cls_free(r->cls);
	free(r->k6);
	free(r->k4);
	free(r->set.rules);
}

int main(int argc, char **argv)
{
	static const char *const files[] = { "acl1_1k",  "fw1_1k",  "ipc1_1k",
					     "acl1_10k", "fw1_10k", "ipc1_10k" };
	static const struct {
		const char *name;
		uint8_t family;
		size_t n;
	} made[] = {
		{ "acl1_10k made v6", AF_INET6, 10000 }, { "fw1_10k made v6", AF_INET6, 10000 },
		{ "ipc1_10k made v6", AF_INET6, 10000 }, { "acl1_100k made", AF_INET, 100000 },
		{ "fw1_100k made", AF_INET, 100000 },    { "ipc1_100k made", AF_INET, 100000 },
	};
	struct bench_opts opts;
	bool peer;

	if (bench_parse(&opts, argc, argv))
		return 2;
	peer = peer_start();
	dirt = xcalloc(1, 64u << 20);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct run r = { .opts = &opts, .name = files[i], .required = true };

		if (!set_wanted(&opts, r.name))
			continue;
		if (!opts.rules || cb_read(opts.rules, files[i], &r.set)) {
			printf("%s: no such file under --rules, made rules instead\n", files[i]);
			r.set = cb_make(files[i], AF_INET, strstr(files[i], "10k") ? 10000 : 1000,
					1);
		}
		measure(&r, peer);
	}
	for (size_t i = 0; i < ARRAY_LEN(made) && !opts.quick; i++) {
		struct run r = { .opts = &opts,
				 .name = made[i].name,
				 .v6 = made[i].family == AF_INET6 };

		if (!set_wanted(&opts, r.name))
			continue;
		r.set = cb_make(r.name, made[i].family, made[i].n, 1);
		measure(&r, peer && !r.v6);
	}
	free(dirt);
	return 0;
}
