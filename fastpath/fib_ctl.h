/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the mirror's writer: reads links, addresses, neighbours, next hops, routes and rules from
 * the kernel by netlink and publishes them for fib.h.
 *
 *	fibctl_new      tables, empty: every lookup says "kernel, syncing"
 *	fibctl_port     which interfaces the fast plane serves
 *	fibctl_open     sockets in the caller's network namespace
 *	fibctl_run      one turn: events, dumps, requests, timers
 *
 * Events come by one socket, dumps by another. What an event said since a dump began counts more
 * than the dump, so their order does not matter; what neither named is gone when the dump ends.
 * Lost events (ENOBUFS) start a dump of everything, during which the tables go on to serve.
 *
 * Owns: all that fib.h shows. Threads: every call from the one control thread, except where it says
 * so. Failure: -errno; a table that is full makes lookups the kernel's and is counted.
 */
#ifndef FP_FIB_CTL_H
#define FP_FIB_CTL_H

#include "fib.h"
#include "fib_defer.h"

struct fibctl;

enum fibctl_event {
	FIBCTL_EV_READY,  /* the first dump is complete */
	FIBCTL_EV_LOST,   /* the kernel dropped events: dumps begin */
	FIBCTL_EV_RESYNC, /* ... and have ended */
	FIBCTL_EV_LIMIT,  /* a table is full */
	FIBCTL_EV_REFUSED /* the kernel refused a request: what */
};

struct fibctl_params {
	const char
		*instance; /* whose nft tables are not foreign; NULL: all are. Kept by reference */
	uint32_t n_adj;    /* 0 = 65,536; at most 2^23 */
	size_t max_route_bytes; /* of the writer's routes; 0 = 512 MB, 5 full tables */
	int xt_names;    /* socket to who opens lists of iptables' tables (xt_watch.h); 0: none */
	int event_bytes; /* room for events that wait to be read; 0 = 32 MB, used as they come */
	fib_defer_fn *defer; /* NULL: there are no concurrent readers */
	fib_drain_fn *drain; /* called every turn, and to wait, by fibctl_free */
	void *defer_ctx;
	/* Writes an adjacency where XDP and workers read it. */
	void (*adj_set)(void *ctx, uint32_t i, const struct fp_adj *adj);
	/* A next hop became ready or failed; what waits for it is to be tried again. */
	void (*adj_done)(void *ctx, uint32_t i, enum fib_adj_state state);
	void (*event)(void *ctx, enum fibctl_event ev, const char *what);
	/* Hooks or IPsec policies changed: flows may go by no more until a sweep that begins after
	 * this turn has looked at them. */
	void (*closing)(void *ctx);
	void *ctx;
};

int fibctl_new(const struct fibctl_params *p, struct fibctl **ret);
/* No reader is left. */
struct fibctl *fibctl_free(struct fibctl *c);
const struct fib *fibctl_fib(const struct fibctl *c);

/* Which slot an interface has: FIB_NO_SLOT takes it away. Before or after it exists. */
int fibctl_port(struct fibctl *c, uint32_t ifindex, uint32_t slot);

int fibctl_open(struct fibctl *c);
/* Waits for work, timeout_ms at most (-1: as long as it takes), and does it. Bounded work a turn.
 */
int fibctl_run(struct fibctl *c, int timeout_ms);
/* For a loop of another's: readable means run(c, 0); at the latest after so many ms. */
int fibctl_fd(const struct fibctl *c);
int fibctl_next_ms(const struct fibctl *c);
/* Something of the kernel's has not been read yet. */
bool fibctl_pending(const struct fibctl *c);
/* Any thread. */
bool fibctl_ready(const struct fibctl *c);

/*
 * A pass over all flows of the table, by whoever sweeps: begin before the first is looked at, end
 * after the last. Every flow whose adjacency is FIB_ADJ_DEAD has been looked up again by then.
 * Indices of vanished next hops are used again only after a pass that began later. Any thread.
 */
uint32_t fibctl_pass_begin(struct fibctl *c);
void fibctl_pass_end(struct fibctl *c, uint32_t pass);

struct fibctl_stats {
	uint64_t n_events, n_updates, n_lost, n_resyncs, n_dump_again, n_bad, n_limit;
	uint64_t n_probes, n_probe_errors;
	uint32_t n_links, n_addrs, n_routes[2], n_paths, n_tables, n_rules[2], n_nexthops;
	uint32_t n_adj, n_adj_ready, n_adj_waiting;
	size_t route_bytes, lpm_bytes, other_bytes;
	uint32_t last_resync_ms;
	bool ready, resyncing;
	bool busy; /* a dump or a walk over the routes is under way */
};
void fibctl_stats(const struct fibctl *c, struct fibctl_stats *ret);

#endif
