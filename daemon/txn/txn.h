/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the running model and the one way to change it.
 *
 *	build (on the model that runs when its turn comes) -> check -> intent -> apply -> publish
 *
 * Commits wait for each other; everything else goes on meanwhile. An apply that fails is led back
 * by applying the old model; when that fails too the state is DEGRADED: shown, logged, and
 * retried until the kernel agrees. When the kernel changes by other hands, or a link comes up,
 * the running model is applied again (repair).
 *
 * Owns: the reference to the running model. Threads: rtrd's loop only.
 * Failure: in the result; the model, the kernel and the journal are then as before.
 */
#ifndef RTR_TXN_H
#define RTR_TXN_H

#include "schema/model.h"
#include "strbuf.h"

#include <event2/event.h>

struct txn_result {
	int error;        /* 0, -EINVAL (refused by check), -EIO (by the kernel), ... */
	const char *text; /* errors and warnings, a line each; "" when none */
	bool changed;     /* the model differs from the one before */
	bool undone;      /* something was applied and led back */
	uint64_t n_writes, revision;
};

struct txn_req {
	/* Returns the wanted model (a reference), or NULL with the reason added to err. The running
	 * model itself means: nothing to do. */
	struct rec *(*build)(void *arg, const struct rec *running, struct strbuf *err);
	void (*done)(void *arg, const struct txn_result *res);
	void *arg;
	char user[33];
	const char *source;     /* "console", "SIGHUP", ...; static */
	unsigned confirm_sec;   /* revert unless confirmed within this time */
	bool overrides_confirm; /* part of confirming or reverting: not refused meanwhile */
};

/* The kernel is observed (shadow ready), domains are linked. `running` NULL: nothing ran since
 * boot; the startup configuration is then built by the caller's first commit. 0 or -errno. */
int txn_init(struct event_base *base, const char *rundir, struct strbuf *notes, bool *ret_resumed);
void txn_fini(void);

/* Queued; done is called from the loop, exactly once, but never after txn_forget. */
void txn_submit(const struct txn_req *req);
/* The caller of requests with this arg is gone: what runs goes on, its done is not called. */
void txn_forget(void *arg);

const struct rec *txn_running(void);
uint64_t txn_revision(void);
bool txn_busy(void);
bool txn_degraded(void);
/* Compares the kernel with the running model soon, and mends. */
void txn_repair(void);
/* The same for an event that the configuration asks to follow (a tracked object, a lease): what is
 * then written is no repair, and not told as one. */
void txn_follow(void);

/* ---- commit confirmed ---- */

bool txn_confirm_pending(unsigned *ret_sec_left);
/* Who made the change that waits; "" when none does or it is not known. */
const char *txn_confirm_by(void);
/* The change stays; NULL, or why that is not to be had. */
const char *txn_confirm(void);
/* Reverts now; likewise. */
const char *txn_confirm_abort(const char *user);

struct txn_stats {
	uint64_t commits, refused, undone, repairs, repair_writes;
	uint64_t last_ns;  /* duration of the last commit */
	uint64_t total_ns; /* of all */
};
const struct txn_stats *txn_stats(void);

/* Runs after each publish: for the archive, `show reload last`, logs. */
typedef void (*txn_hook_fn)(const struct rec *old, const struct rec *new, const char *user,
			    const char *source);
void txn_on_publish(txn_hook_fn fn);

/* Runs after all those, for a commit that was made: true when the commit is to wait until done is
 * called, once, from a later turn of the loop, with lines for the operator. */
typedef bool (*txn_after_fn)(const struct rec *old, const struct rec *new,
			     void (*done)(const char *text));
void txn_after_publish(txn_after_fn fn);

/* Runs once when rtrd went on from its journal and the kernel is as that says. One only. */
void txn_on_resume(void (*fn)(void));

/* For `commit check`: what a good candidate would do to what lives. True: done(arg) is called once,
 * from the loop, with lines for the operator, unless `stop` is called before. One only. */
struct txn_preview {
	bool (*start)(const struct rec *old, const struct rec *new,
		      void (*done)(void *arg, const char *text), void *arg);
	void (*stop)(void *arg);
};
void txn_set_preview(const struct txn_preview *p);
const struct txn_preview *txn_get_preview(void);

/* Check alone: `commit check`, rtrd -t. Returns the number of errors; texts in ret. */
#define TXN_CHECK_OFFLINE   1u /* rtrd -t: no running box to ask */
#define TXN_CHECK_CONFIRMED 2u /* struct check: confirmed */
#define TXN_CHECK_SAVED     4u /* struct check: saved */
unsigned txn_check(const struct rec *old, const struct rec *new, unsigned flags,
		   struct strbuf *ret);

#endif
