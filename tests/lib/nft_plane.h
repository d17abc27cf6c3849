/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the domain "nft" alone on a kernel, in a network namespace, with one source that builds
 * what the test says. For tests and the bench.
 */
#ifndef RTR_TEST_NFT_PLANE_H
#define RTR_TEST_NFT_PLANE_H

#include "cli/session.h"
#include "domain.h"
#include "kernel/apply.h"
#include "kernel/baseline.h"
#include "kernel/nlq.h"
#include "kernel/shadow.h"
#include "nft/nft_kernel.h"
#include "schema/schema.h"
#include "strbuf.h"

static struct event_base *plane_base;
static const struct domain *plane_domain;
static struct rec *plane_model;
/* What the source builds; NULL: nothing. */
static void (*plane_build)(struct nft_ruleset *rs);

static struct {
	bool done;
	unsigned n_errors;
	uint64_t n_writes;
	char text[2000];
} plane_res;

static void plane_source(struct nft_ruleset *rs, const struct rec *want)
{
	if (plane_build)
		plane_build(rs);
}
NFT_SOURCE(test, 1, plane_source);

static void plane_ready(void *arg)
{
	*(bool *)arg = true;
}

static inline void plane_start(void)
{
	const struct domain *const *all;
	bool is_ready = false;
	size_t n;

	if (domains_sort(&all, &n))
		abort();
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(all[i]->name, "nft"))
			plane_domain = all[i];
	}
	session_init(plane_base);
	if (nlq_init(plane_base) || shadow_init(plane_base, "main", plane_ready, &is_ready) ||
	    baseline_init(NULL) || apply_init(plane_base, &plane_domain, 1))
		abort();
	while (!is_ready)
		event_base_loop(plane_base, EVLOOP_ONCE);
	if (plane_domain->init())
		abort();
}

/* As a process ends: the kernel stays as it is. */
static inline void plane_stop(void)
{
	plane_domain->fini();
	apply_fini();
	baseline_fini();
	shadow_fini();
	nlq_fini();
}

static inline void plane_setup(void)
{
	const struct domain *const *all;
	size_t n;

	plane_base = event_base_new();
	if (domains_sort(&all, &n) || schema_init(all, n))
		abort();
	plane_model = model_new();
	plane_build = NULL;
	nft_source_only("test");
	plane_start();
}

static inline void plane_teardown(void)
{
	plane_stop();
	rec_unref(plane_model);
	schema_fini();
	event_base_free(plane_base);
}

static void plane_applied(void *arg, const struct apply_result *r)
{
	plane_res.done = true;
	plane_res.n_errors = r->n_errors;
	plane_res.n_writes = r->n_writes;
	rtr_strlcpy(plane_res.text, r->text, sizeof(plane_res.text));
}

/* Makes the kernel what the source builds; the outcome is in plane_res. */
static inline void plane_apply(enum apply_mode mode)
{
	plane_res.done = false;
	if (apply_start(plane_model, mode, plane_applied, NULL))
		abort();
	while (!plane_res.done)
		event_base_loop(plane_base, EVLOOP_ONCE);
}

#endif
