/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the contract between the core and a domain (interfaces, routes, ...). A domain is one
 * folder: its rows, checks, plan, and show commands; the core knows it only by this struct.
 * Registered in a linker section by RTR_DOMAIN and sorted by `after`; a missing or cyclic
 * dependency refuses to start. Threads: rtrd's loop only.
 */
#ifndef RTR_DOMAIN_H
#define RTR_DOMAIN_H

#include "schema/model.h"

#include <event2/event.h>

struct check;
struct plan;
struct cmd;

struct domain {
	const char *name;
	const char *const *after; /* names, NULL-terminated: these plan and apply before us */

	const struct sch_row *rows;
	size_t n_rows;
	const struct sch_word *words;
	size_t n_words;
	const struct cmd *cmds; /* EXEC commands: cli/command.h */
	size_t n_cmds;

	int (*init)(void); /* 0 or -errno; after the kernel's first dump */
	void (*fini)(void);

	/* The kernel changed, by others or by us: enum shadow_change. For logs and caches. */
	void (*observed)(unsigned change);

	/* Pure: looks at the old and the new model and the snapshots, reports by check_error and
	 * check_warn, changes nothing. */
	void (*check)(struct check *c);
	/* Compares the kernel (kernel/shadow.h) with the desired model and queues what is missing
	 * by the plan_ calls below; queues nothing when reality matches. Called again after its
	 * writes are done, until it queues nothing: so a link can be created in one round and
	 * addressed in the next. */
	void (*plan)(struct plan *p);
};

#define RTR_DOMAIN(d)                                                                              \
	static const struct domain *const d##_entry                                                \
		__attribute__((used, section("rtr_domains"))) = &(d)

/* All domains in order of dependency. NULL, or what is wrong. */
const char *domains_sort(const struct domain *const **ret, size_t *ret_n);

/* ---- check ---- */

struct check {
	const struct rec *old, *new; /* roots; old is an empty model at boot */
	bool offline;                /* rtrd -t: no running box to ask, kernel/shadow.h is empty */
	bool confirmed; /* a way back is armed, or nobody is there to be cut off (boot, SIGHUP) */
	bool saved; /* from a file or the archive (boot, SIGHUP, rollback, a confirmed commit that
		     * goes back): what the machine of the moment lacks is a warning */
	/* private to txn */
	void *sink;
	unsigned n_errors, n_warnings;
};

/* `rec` (may be NULL) is the record at fault: its configuration line is printed with the text. */
void check_error(struct check *c, const struct rec *rec, const char *fmt, ...) RTR_PRINTF(3, 4);
void check_warn(struct check *c, const struct rec *rec, const char *fmt, ...) RTR_PRINTF(3, 4);
/* An error: `rec`, of the new model, names a thing (fmt: "pool P") that is not there. Where the old
 * model has `rec` as it is, the thing is being removed, and the text says what uses it. */
void check_missing(struct check *c, const struct rec *rec, const char *fmt, ...) RTR_PRINTF(3, 4);

/* ---- plan ---- */

struct nl_msg;
struct nfbatch;

struct plan {
	const struct rec *want; /* root of the desired model */
	unsigned round;         /* 0, 1, ... within one apply */
	struct kops *ops;       /* private to kernel/apply.c */
};

/*
 * Queues one kernel write. `rec` (may be NULL) is the record that asks for it; fmt says what it
 * does in words ("add address 10.0.0.1/24 to eth0"), for errors, `show kernel drift` and the log.
 * plan_nl consumes msg: a libnl message without NLM_F_ACK (added by the queue).
 */
void plan_nl(struct plan *p, struct nl_msg *msg, const struct rec *rec, const char *fmt, ...)
	RTR_PRINTF(4, 5);
/* One atomic change of nftables (kernel/nfbatch.h); takes the caller's reference. */
void plan_nft(struct plan *p, struct nfbatch *batch, const struct rec *rec, const char *fmt, ...)
	RTR_PRINTF(4, 5);
/* A file below /proc/sys ("net/ipv4/ip_forward"). The value before our first write is kept in the
 * baseline (kernel/baseline.h), and returns when a plan does not ask for the file any more. True
 * when a write was queued. */
bool plan_sysctl(struct plan *p, const char *path, const char *value, const struct rec *rec);
/* A write of another kind: nlq_call (kernel/nlq.h). */
void plan_call(struct plan *p, int (*fn)(const void *data, int *ret_fd), const void *data,
	       size_t size, const struct rec *rec, const char *fmt, ...) RTR_PRINTF(6, 7);

#endif
