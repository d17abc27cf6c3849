/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drops/drops.h"

#include "cli/command.h"
#include "domain.h"
#include "fastpath/fastpath.h"
#include "firewall/list_hits.h"
#include "hash.h"
#include "iface/iface.h"
#include "nft/nft_count.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024
/* Rows; a box with a hundred interfaces that drops for ten reasons on each has a thousand. */
#define MAX_ROWS 8192
#define TICK_SEC 5

/* One who waits for all sources. */
struct asker {
	void (*done)(void *arg);
	void *arg;
	struct fast_ask *fast; /* NULL: answered, or not asked */
	struct asker *next;
};

static struct {
	struct drop_row *buckets[BUCKETS];
	size_t n;
	uint64_t tick_ns[2]; /* the older first */
	bool primed;         /* sources were read before: what is new is news */
	struct event *ev_tick, *ev_first;
	struct asker *askers;
	struct fast_ask *fast; /* of a tick */
} k;

/* ---- rows ---- */

/* A line of a list counts on through all interfaces that its list is bound to in turn. */
static bool of_interface(enum drop_at at)
{
	return at != DROP_AT_NFT;
}

static size_t bucket_of(const struct drop_id *id)
{
	uint64_t h = hash_bytes(id->where, strlen(id->where), (uint64_t)id->at << 16 | id->reason);

	if (of_interface(id->at))
		h = hash_bytes(id->ifname, strlen(id->ifname), h);
	return (size_t)(h % BUCKETS);
}

static struct drop_row **slot(const struct drop_id *id)
{
	struct drop_row **pp = &k.buckets[bucket_of(id)];

	while (*pp && ((*pp)->at != id->at || (*pp)->reason != id->reason ||
		       strcmp((*pp)->name, id->name) != 0 ||
		       (of_interface(id->at) && strcmp((*pp)->ifname, id->ifname) != 0) ||
		       strcmp((*pp)->where, id->where) != 0))
		pp = &(*pp)->next;
	return pp;
}

/* More was counted: on several interfaces, where those shown so far were of another. */
static void add_interface(struct drop_row *r, const char *ifname)
{
	if (!strcmp(r->ifname, ifname))
		return;
	rtr_strlcpy(r->ifname, drop_row_count(r) ? "" : ifname, sizeof(r->ifname));
}

void drops_put(const struct drop_id *id, uint64_t packets, uint64_t last_ns)
{
	struct drop_row **pp = slot(id), *r = *pp;

	if (!r) {
		if (!packets || k.n == MAX_ROWS)
			return;
		r = *pp = xcalloc(1, sizeof(*r));
		k.n++;
		*r = (struct drop_row){
			.at = id->at, .reason = id->reason, .traced = id->traced, .raw = packets
		};
		rtr_strlcpy(r->name, id->name, sizeof(r->name));
		rtr_strlcpy(r->ifname, id->ifname, sizeof(r->ifname));
		rtr_strlcpy(r->where, id->where, sizeof(r->where));
		if (k.primed)
			r->last_ns = rtr_now_ns();
		else
			r->at_tick[0] = r->at_tick[1] = packets;
	} else if (packets != r->raw) {
		/* To none: the counter went, or began again; nothing was dropped by that. */
		if (packets) {
			add_interface(r, id->ifname);
			r->last_ns = rtr_now_ns();
		}
		if (packets < r->raw)
			r->before += r->raw;
		r->raw = packets;
	}
	if (last_ns)
		r->last_ns = last_ns;
}

void drops_forget_traced(const char *ifname)
{
	for (struct drop_row *r = drops_next(NULL); r; r = drops_next(r)) {
		if (!r->traced || (ifname && strcmp(r->ifname, ifname)))
			continue;
		r->before += r->raw;
		r->raw = 0;
	}
}

struct drop_row *drops_next(const struct drop_row *r)
{
	size_t b = 0;

	if (r) {
		if (r->next)
			return r->next;
		b = bucket_of(&(struct drop_id){ .at = r->at,
						 .reason = r->reason,
						 .ifname = r->ifname,
						 .where = r->where }) +
		    1;
	}
	while (b < BUCKETS && !k.buckets[b])
		b++;
	return b < BUCKETS ? k.buckets[b] : NULL;
}

const char *drop_row_reason(const struct drop_row *r)
{
	return r->reason ? rtr_drop_text(r->reason) : r->name;
}

double drop_row_rate(const struct drop_row *r, uint64_t now)
{
	uint64_t n = r->before + r->raw;

	if (!k.tick_ns[0] || now <= k.tick_ns[0] || n < r->at_tick[0])
		return 0;
	return (double)(n - r->at_tick[0]) * (double)NSEC_PER_SEC / (double)(now - k.tick_ns[0]);
}

void drops_clear(void)
{
	for (struct drop_row *r = drops_next(NULL); r; r = drops_next(r))
		r->base = r->before + r->raw;
}

/* ---- sources ---- */

static void read_sources(void)
{
	drops_read_links();
	drops_read_softnet();
	drops_read_conntrack();
	drops_read_policy();
	drops_read_fast();
	if (drops_never_traced()) {
		drops_read_qdiscs();
		drops_read_protocols();
	}
}

void drops_baseline(void)
{
	k.primed = false;
	read_sources();
	k.primed = true;
}

static void ticked(void *arg)
{
	k.tick_ns[0] = k.tick_ns[1];
	k.tick_ns[1] = rtr_now_ns();
	for (struct drop_row *r = drops_next(NULL); r; r = drops_next(r)) {
		r->at_tick[0] = r->at_tick[1];
		r->at_tick[1] = r->before + r->raw;
	}
}

static void tick_heard(void *arg, bool ok)
{
	k.fast = NULL;
}

void drops_age(uint64_t now)
{
	for (size_t b = 0; b < BUCKETS; b++) {
		struct drop_row **pp = &k.buckets[b], *r;

		while ((r = *pp)) {
			if (!*r->ifname || now - r->last_ns < DROPS_GONE_NS ||
			    iface_link(r->ifname)) {
				pp = &r->next;
				continue;
			}
			*pp = r->next;
			free(r);
			k.n--;
		}
	}
	drops_link_age(now);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	drops_age(rtr_now_ns());
	read_sources();
	/* For the next tick. */
	if (!k.fast)
		k.fast = fast_ask(false, 0, NULL, tick_heard, NULL);
	drops_sync_forget(&k);
	/* To start it again is not the tick's business. */
	if (drops_untraced())
		ticked(&k);
	else
		drops_sync(ticked, &k);
}

static void on_first(evutil_socket_t fd, short what, void *arg)
{
	drops_baseline();
}

/* ---- refresh: the firewall's counters, the fast plane's, the tracepoint's, then the rest ---- */

static void asked_all(void *arg)
{
	struct asker **pp = &k.askers, *a = arg;

	while (*pp != a)
		pp = &(*pp)->next;
	*pp = a->next;
	read_sources();
	a->done(a->arg);
	free(a);
}

static void asked_fast(void *arg, bool ok)
{
	struct asker *a = arg;

	a->fast = NULL;
	drops_sync(asked_all, arg);
}

static void asked_counters(void *arg, int error)
{
	struct asker *a = arg;

	a->fast = fast_ask(false, 0, NULL, asked_fast, a);
	if (!a->fast)
		drops_sync(asked_all, a);
}

static void asked_hits(void *arg, int error)
{
	nft_count_read(asked_counters, arg);
}

void drops_refresh(void (*done)(void *arg), void *arg)
{
	struct asker *a = xcalloc(1, sizeof(*a));

	*a = (struct asker){ .done = done, .arg = arg, .next = k.askers };
	k.askers = a;
	lc_hits_read(asked_hits, a);
}

void drops_refresh_forget(void *arg)
{
	for (struct asker **pp = &k.askers; *pp;) {
		struct asker *a = *pp;

		if (a->arg != arg) {
			pp = &a->next;
			continue;
		}
		*pp = a->next;
		lc_hits_forget(a);
		nft_count_forget(a);
		drops_sync_forget(a);
		fast_ask_drop(a->fast);
		free(a);
	}
}

/* ---- the domain ---- */

static int init(void)
{
	static const struct timeval often = { TICK_SEC, 0 }, now = { 0, 0 };
	int r = drops_link_init();

	if (r)
		return r;
	k.ev_tick = event_new(cmd_base(), -1, EV_PERSIST, on_tick, NULL);
	k.ev_first = evtimer_new(cmd_base(), on_first, NULL);
	if (!k.ev_tick || !k.ev_first)
		return -ENOMEM;
	event_add(k.ev_tick, &often);
	event_add(k.ev_first, &now);
	return 0;
}

static void fini(void)
{
	drops_link_fini();
	fast_ask_drop(k.fast);
	if (k.ev_tick)
		event_free(k.ev_tick);
	if (k.ev_first)
		event_free(k.ev_first);
	for (size_t b = 0; b < BUCKETS; b++) {
		while (k.buckets[b]) {
			struct drop_row *r = k.buckets[b];

			k.buckets[b] = r->next;
			free(r);
		}
	}
	while (k.askers) {
		struct asker *a = k.askers;

		k.askers = a->next;
		fast_ask_drop(a->fast);
		free(a);
	}
	memset(&k, 0, sizeof(k));
}

static const char *const after[] = { "firewall", "dataplane", NULL };

static const struct domain drops_domain = {
	.name = "drops",
	.after = after,
	.init = init,
	.fini = fini,
};
RTR_DOMAIN(drops_domain);
