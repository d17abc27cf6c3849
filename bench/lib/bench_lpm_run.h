/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the run of a route lookup bench, one for both families: cases in rounds beside the peers,
 * our forms of the batch one by one, the geometric mean of the first cases, the memory.
 * Owns: nothing. Threads: one. Failure: exits.
 */
#ifndef RTR_BENCH_LPM_RUN_H
#define RTR_BENCH_LPM_RUN_H

#include "bench_lpm.h"

#define LPM_MAX_RUNNERS 4

struct lpm_bench_case {
	const char *name;
	enum dist dist;
	enum pressure pressure;
	double limit; /* 0: it only informs */
};

struct lpm_bench {
	const char *bench, *peer, *mean_name;
	const struct lpm_bench_case *cases;
	unsigned n_cases, n_mean; /* the first n_mean make the mean */
	double mean_limit, memory_limit;
	size_t n_addr;
	/* Destinations for the runners, ours first; the peers' answers are compared. To be freed.
	 */
	void *(*start_case)(enum dist dist, struct bench_runner *r, unsigned *ret_n);
	/* Lookups go by form f from now on; its name, or NULL and back to the usual one. */
	const char *(*use_form)(unsigned f);
};

static inline struct bench_case lpm_bench_head(const struct lpm_bench *b, const char *name,
					       double limit)
{
	return (struct bench_case){ .bench = b->bench,
				    .name = name,
				    .unit = "Mops/s",
				    .peer = b->peer,
				    .higher_is_better = true,
				    .limit = limit,
				    .required = limit > 0 };
}

static inline void lpm_bench_forms(const struct lpm_bench *b, const struct bench_opts *o,
				   struct bench_runner *ours)
{
	const char *form;

	for (unsigned f = 0; (form = b->use_form(f)); f++) {
		char *name = xasprintf("inside prefixes, %s form", form);
		struct bench_case c = lpm_bench_head(b, name, 0);

		c.peer = NULL;
		for (int i = 0; bench_wanted(o, name) && i < o->rounds; i++) {
			bench_round(ours, 1, b->n_addr, CACHE_OURS, o->quick);
			bench_add_ours(&c, bench_mops(ours));
		}
		bench_print(&c);
		free(name);
	}
}

/* A round of a case; into the mean of that round, too, if the case belongs there. */
static inline void lpm_bench_round(struct bench_case *c, struct bench_runner *r, unsigned n,
				   double root, double *ours, double *theirs)
{
	double best = 0;

	for (unsigned p = 1; p < n; p++)
		best = MAX(best, bench_mops(&r[p]));
	bench_add_ours(c, bench_mops(&r[0]));
	if (best > 0)
		bench_add_peer(c, best);
	*ours *= pow(bench_mops(&r[0]), root);
	*theirs *= pow(best, root);
}

static inline void lpm_bench_run(const struct lpm_bench *b, const struct bench_opts *o)
{
	struct bench_case mean = lpm_bench_head(b, b->mean_name, b->mean_limit);
	double ours[BENCH_MAX_ROUNDS], theirs[BENCH_MAX_ROUNDS];
	bool forms_done = false;

	for (int i = 0; i < o->rounds; i++)
		ours[i] = theirs[i] = 1;
	for (unsigned k = 0; k < b->n_cases; k++) {
		const struct lpm_bench_case *k_case = &b->cases[k];
		struct bench_case c = lpm_bench_head(b, k_case->name, k_case->limit);
		struct bench_runner run[LPM_MAX_RUNNERS] = { 0 };
		double root = k < b->n_mean ? 1.0 / b->n_mean : 0;
		unsigned n_run;
		void *addr;

		if (!bench_wanted(o, c.name) && k >= b->n_mean)
			continue;
		addr = b->start_case(k_case->dist, run, &n_run);
		for (int i = 0; i < o->rounds; i++) {
			bench_round(run, n_run, b->n_addr, k_case->pressure, o->quick);
			lpm_bench_round(&c, run, n_run, root, &ours[i], &theirs[i]);
		}
		if (bench_wanted(o, c.name))
			bench_print(&c);
		if (k_case->dist == DIST_INSIDE && !forms_done) {
			lpm_bench_forms(b, o, run);
			forms_done = true;
		}
		free(addr);
	}
	for (int i = 0; i < o->rounds; i++) {
		bench_add_ours(&mean, ours[i]);
		if (theirs[i] > 0)
			bench_add_peer(&mean, theirs[i]);
	}
	bench_print(&mean);
}

static inline void lpm_bench_memory(const struct lpm_bench *b, const struct lpm_stats *st)
{
	bench_value(b->bench, "lookup structure, full table", "MB", (double)st->data_bytes / 1e6,
		    b->memory_limit);
	bench_value(b->bench, "writer's prefixes and nodes", "MB", (double)st->ctl_bytes / 1e6, 0);
}

#endif
