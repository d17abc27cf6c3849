/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: makes the kernel match a model. For each domain in order: plan, send, wait for the
 * acknowledgements, look again, until there is nothing left to write. Boot, commit, undo, drift
 * repair and restart are this one call with another model.
 *
 * An error counts only when, after a fresh look at the kernel, the same write is still wanted: an
 * interface that vanished meanwhile, or an object that somebody else just removed, is no error.
 *
 * Owns: a reference to the model while it runs. Threads: rtrd's loop only; one apply at a time.
 * Failure: in the result. An apply never leaves the loop waiting.
 */
#ifndef RTR_APPLY_H
#define RTR_APPLY_H

#include "domain.h"

enum apply_mode {
	APPLY_COMMIT, /* stops at the first error: the caller plans back */
	APPLY_REPAIR, /* goes on and collects errors: boot, undo, drift */
};

struct apply_result {
	unsigned n_errors;
	uint64_t n_writes;     /* kernel writes tried */
	const char *text;      /* a line an error: what was tried: why; "" when none */
	const struct rec *rec; /* record that the first error belongs to; NULL = unknown */
};

/* The result is valid during the call. */
typedef void (*apply_done_fn)(void *arg, const struct apply_result *res);

/* Rounds of one domain; more means that it fights itself or somebody else. */
#define APPLY_MAX_ROUNDS 8
/* Errors whose text is kept in a result. */
#define APPLY_MAX_TEXTS 20

/* domains in order of dependency (domains_sort). After nlq_init, shadow_init, baseline_init. */
int apply_init(struct event_base *base, const struct domain *const *domains, size_t n);
void apply_fini(void); /* an apply under way is dropped, its callback not called */

/* -EBUSY while another runs. done is called from the loop, never from inside. */
int apply_start(const struct rec *want, enum apply_mode mode, apply_done_fn done, void *arg);
bool apply_running(void);

/* What apply would write first, a line a write, without writing. Returns their number. */
struct strbuf;
size_t apply_diff(const struct rec *want, struct strbuf *ret);

/* ---- for domains, beside plan_nl and plan_sysctl (domain.h) ---- */

/* The domain cannot do what rec asks: an error as if a write had failed. */
void plan_error(struct plan *p, const struct rec *rec, const char *fmt, ...) RTR_PRINTF(3, 4);
/* Before this round's first write: baseline_keep, baseline_drop. */
void plan_keep(struct plan *p, const char *key, const char *value);
void plan_drop(struct plan *p, const char *key);
/* What to set a thing to that is `now`, or NULL when it is right, with both of them: what was
 * before our first write is kept under the key, and returns when nothing is wanted any more (NULL).
 */
const char *plan_goal(struct plan *p, const char *key, const char *want, const char *now);

#endif
