/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what a benchmark program prints and how it times. bench/run starts it pinned, reads these
 * lines, computes medians, spread and ratio, and prints the table; a program only measures.
 *
 * A case is measured in rounds; each round runs ours and then the peer, so that both see the same
 * neighbours on a shared machine. `--rounds N` and `--quick` come from bench/run.
 *
 *	struct bench_case c = { .bench = "lpm4", .name = "uniform", .unit = "Mops/s",
 *		.higher_is_better = true, .peer = "rte_fib", .limit = 1.0, .required = true };
 *	for (int i = 0; i < bench_rounds(&b); i++) {
 *		bench_add_ours(&c, ours());
 *		bench_add_peer(&c, peer());
 *	}
 *	bench_print(&c);
 *
 * `limit` is the least ratio ours/peer that passes (higher is better) or the greatest (lower is
 * better); with .limit_is_value it bounds our own value. 0 = no limit: the case only informs.
 * Threads: one. Failure: none; a case without samples prints nothing.
 */
#ifndef RTR_BENCH_H
#define RTR_BENCH_H

#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BENCH_MAX_ROUNDS 101

struct bench_opts {
	int rounds;
	bool quick;
	const char *table; /* --table FILE, --rules FILE: real data when given */
	const char *rules;
	const char *only; /* --case TEXT: cases whose name contains it */
};

struct bench_case {
	const char *bench, *name, *unit, *peer;
	bool higher_is_better;
	bool limit_is_value;
	bool required;
	double limit;
	int n_ours, n_peer;
	double ours[BENCH_MAX_ROUNDS], peer_runs[BENCH_MAX_ROUNDS];
};

static inline int bench_parse(struct bench_opts *o, int argc, char **argv)
{
	*o = (struct bench_opts){ .rounds = 5 };
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick"))
			o->quick = true;
		else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
			o->rounds = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--table") && i + 1 < argc)
			o->table = argv[++i];
		else if (!strcmp(argv[i], "--rules") && i + 1 < argc)
			o->rules = argv[++i];
		else if (!strcmp(argv[i], "--case") && i + 1 < argc)
			o->only = argv[++i];
		else
			return -1;
	}
	if (o->rounds < 1 || o->rounds > BENCH_MAX_ROUNDS)
		return -1;
	return 0;
}

static inline bool bench_wanted(const struct bench_opts *o, const char *name)
{
	return !o->only || strstr(name, o->only);
}

static inline void bench_add_ours(struct bench_case *c, double v)
{
	if (c->n_ours < BENCH_MAX_ROUNDS)
		c->ours[c->n_ours++] = v;
}

static inline void bench_add_peer(struct bench_case *c, double v)
{
	if (c->n_peer < BENCH_MAX_ROUNDS)
		c->peer_runs[c->n_peer++] = v;
}

static inline void bench_print_runs(const char *key, const double *v, int n)
{
	printf(",\"%s\":[", key);
	for (int i = 0; i < n; i++)
		printf("%s%.6g", i ? "," : "", v[i]);
	printf("]");
}

/* One JSON line on stdout; bench/run completes it. */
static inline void bench_print(const struct bench_case *c)
{
	if (!c->n_ours)
		return;
	printf("{\"bench\":\"%s\",\"case\":\"%s\",\"unit\":\"%s\",\"better\":\"%s\"", c->bench,
	       c->name, c->unit, c->higher_is_better ? "higher" : "lower");
	if (c->n_peer)
		printf(",\"peer\":\"%s\"", c->peer);
	if (c->limit > 0)
		printf(",\"limit\":%.6g,\"limit_is_value\":%s,\"required\":%s", c->limit,
		       c->limit_is_value ? "true" : "false", c->required ? "true" : "false");
	bench_print_runs("ours_runs", c->ours, c->n_ours);
	bench_print_runs("peer_runs", c->peer_runs, c->n_peer);
	printf("}\n");
	fflush(stdout);
}

#endif
