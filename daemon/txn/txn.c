/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "txn/txn.h"

#include "domain.h"
#include "kernel/apply.h"
#include "kernel/nlq.h"
#include "kernel/shadow.h"
#include "schema/conffile.h"
#include "system/log.h"
#include "txn/confirm.h"
#include "txn/journal.h"

#include <errno.h>
#include <string.h>

/* Changes in the kernel are answered after this much quiet, so that a burst (a link that takes
 * its routes along) is one repair. */
#define REPAIR_QUIET_MS 10
/* A repair that does not hold is tried again at growing distance. */
#define REPAIR_BACKOFF_MIN_MS 100
#define REPAIR_BACKOFF_MAX_MS 10000
/* More repairs in a second than this means that somebody fights us. */
#define REPAIR_FIGHT 20

struct request {
	struct txn_req req;
	struct request *next;
	bool forgotten;
};

static struct {
	struct event_base *base;
	struct rec *running;
	uint64_t revision;
	struct request *head, **tail;
	struct event *kick, *repair;

	/* the commit under way */
	struct request *now;
	struct rec *want;
	struct strbuf text;
	uint64_t start_ns, start_writes;
	bool undone;

	bool resuming; /* from the journal: the first repair is still to come */
	void (*on_resume)(void);

	bool degraded, repair_wanted;
	bool follows;   /* the next repair has a cause of ours; */
	bool following; /* the one under way has */
	unsigned backoff_ms, repairs_this_sec;
	uint64_t sec_ns;
	txn_hook_fn hook[32];
	txn_after_fn after[4];
	size_t n_after;
	unsigned n_waits; /* of those that the commit under way waits for */
	struct txn_preview preview;
	size_t n_hooks;
	struct txn_stats stats;
} t;

const struct rec *txn_running(void)
{
	return t.running;
}

uint64_t txn_revision(void)
{
	return t.revision;
}

bool txn_busy(void)
{
	return t.now || t.head;
}

bool txn_degraded(void)
{
	return t.degraded;
}

const struct txn_stats *txn_stats(void)
{
	return &t.stats;
}

void txn_on_publish(txn_hook_fn fn)
{
	if (t.n_hooks == ARRAY_LEN(t.hook))
		abort();
	t.hook[t.n_hooks++] = fn;
}

void txn_after_publish(txn_after_fn fn)
{
	if (t.n_after == ARRAY_LEN(t.after))
		abort();
	t.after[t.n_after++] = fn;
}

void txn_on_resume(void (*fn)(void))
{
	t.on_resume = fn;
}

void txn_set_preview(const struct txn_preview *p)
{
	t.preview = *p;
}

const struct txn_preview *txn_get_preview(void)
{
	return &t.preview;
}

static void after_ms(struct event *ev, unsigned ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (int)(ms % 1000) * 1000 };

	event_add(ev, &tv);
}

static void observe(unsigned change)
{
	const struct domain *const *d;
	size_t n;

	if (domains_sort(&d, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		if (d[i]->observed)
			d[i]->observed(change);
	}
}

/* ---- the end of a commit ---- */

static void set_degraded(bool on)
{
	if (on && !t.degraded)
		log_event(
			"SYS", LOG_L_ERR, "DEGRADED",
			"The kernel does not match the running configuration; see show kernel drift");
	else if (!on && t.degraded)
		log_event("SYS", LOG_L_NOTICE, "RECOVERED",
			  "The kernel matches the running configuration");
	t.degraded = on;
}

static void finish(int error, bool changed)
{
	struct request *r = t.now;
	struct txn_result res = {
		.error = error,
		.text = strbuf_str(&t.text),
		.changed = changed,
		.undone = t.undone,
		.n_writes = nlq_writes() - t.start_writes,
		.revision = t.revision,
	};

	t.now = NULL;
	t.want = rec_unref(t.want);
	if (res.n_writes)
		observe(SHADOW_LINK | SHADOW_ADDR | SHADOW_ROUTE);
	t.stats.last_ns = rtr_now_ns() - t.start_ns;
	t.stats.total_ns += t.stats.last_ns;
	if (error && t.undone)
		t.stats.undone++;
	else if (error)
		t.stats.refused++;
	else if (changed)
		t.stats.commits++;
	if (!r->forgotten)
		r->req.done(r->req.arg, &res);
	free(r);
	strbuf_reset(&t.text);
	if (t.head || t.repair_wanted)
		after_ms(t.kick, 0);
}

static void publish(void)
{
	struct rec *old = t.running;
	int r = journal_publish(old, t.want, t.revision + 1);

	if (r) {
		/* Not on record means not done: back, as if the kernel had refused. */
		strbuf_addf(&t.text, "error: the running journal cannot be written: %s\n",
			    strerror(-r));
		t.undone = true;
		return;
	}
	journal_intent_clear();
	t.running = rec_ref(t.want);
	t.revision++;
	for (size_t i = 0; i < t.n_hooks; i++)
		t.hook[i](old, t.running, t.now->req.user, t.now->req.source);
	if (t.now->req.confirm_sec)
		confirm_arm(t.base, old, t.now->req.confirm_sec, t.now->req.user);
	rec_unref(old);
}

static void undone(void *arg, const struct apply_result *res)
{
	journal_intent_clear();
	if (res->n_errors) {
		strbuf_addf(&t.text, "error: going back failed too; rtr keeps trying:\n%s",
			    res->text);
		set_degraded(true);
		t.repair_wanted = true;
	} else {
		strbuf_adds(&t.text, "Nothing was changed.\n");
	}
	finish(-EIO, false);
}

static void go_back(void)
{
	t.undone = true;
	if (apply_start(t.running, APPLY_REPAIR, undone, NULL)) {
		set_degraded(true);
		finish(-EIO, false);
	}
}

static void settled(const char *text)
{
	strbuf_adds(&t.text, text);
	if (!--t.n_waits)
		finish(0, true);
}

static void applied(void *arg, const struct apply_result *res)
{
	bool best_effort = !strcmp(t.now->req.source, "boot");
	struct rec *old;

	for (const char *l = res->text, *e; *l; l = *e ? e + 1 : e) {
		e = l + strcspn(l, "\n");
		strbuf_addf(&t.text, "error: %.*s\n", (int)(e - l), l);
	}
	if (res->n_errors && !best_effort) {
		go_back();
		return;
	}
	old = rec_ref(t.running);
	publish();
	if (t.undone) {
		rec_unref(old);
		go_back();
		return;
	}
	/* At boot what can be had is better than nothing; the rest is retried. */
	if (res->n_errors) {
		set_degraded(true);
		t.repair_wanted = true;
	}
	t.n_waits = 0;
	for (size_t i = 0; i < t.n_after; i++)
		t.n_waits += t.after[i](old, t.running, settled);
	rec_unref(old);
	if (!t.n_waits)
		finish(0, true);
}

/* ---- the beginning ---- */

/* Lines of an operator; else those of a file or the archive. */
static bool is_typed(const struct txn_req *q)
{
	return !strcmp(q->source, "console") || !strcmp(q->source, "paste") ||
	       !strcmp(q->source, "candidate");
}

/* An operator without a way back. */
static bool is_guarded(const struct txn_req *q)
{
	return !q->confirm_sec && !q->overrides_confirm && is_typed(q);
}

static int begin(void)
{
	const struct txn_req *q = &t.now->req;
	unsigned flags = (is_guarded(q) ? 0 : TXN_CHECK_CONFIRMED) |
			 (is_typed(q) ? 0 : TXN_CHECK_SAVED);
	struct strbuf err = STRBUF_INIT;
	int r;

	if (txn_confirm_pending(NULL) && !q->overrides_confirm) {
		strbuf_adds(
			&t.text,
			"error: a confirmed commit waits: commit to keep it, commit abort to go back\n");
		return -EBUSY;
	}
	t.want = q->build(q->arg, t.running, &err);
	strbuf_adds(&t.text, strbuf_str(&err));
	strbuf_fini(&err);
	if (!t.want)
		return -EINVAL;
	if (model_equal(t.want, t.running))
		return 1;
	if (txn_check(t.running, t.want, flags, &t.text))
		return -EINVAL;
	r = journal_intent(t.revision + 1, q->user, q->source);
	if (r) {
		strbuf_addf(&t.text, "error: cannot write below /run: %s\n", strerror(-r));
		return r;
	}
	return 0;
}

static void start_next(void)
{
	int r;

	t.now = t.head;
	t.head = t.now->next;
	if (!t.head)
		t.tail = &t.head;
	t.start_ns = rtr_now_ns();
	t.start_writes = nlq_writes();
	t.undone = false;
	if (t.now->forgotten) {
		finish(-ECANCELED, false);
		return;
	}
	r = begin();
	if (r) {
		/* 1: already so. A confirmed commit of nothing has nothing to wait for either. */
		finish(MIN(r, 0), false);
		return;
	}
	r = apply_start(t.want, APPLY_COMMIT, applied, NULL);
	if (r) {
		journal_intent_clear();
		strbuf_addf(&t.text, "error: %s\n", strerror(-r));
		finish(r, false);
	}
}

static void repaired(void *arg, const struct apply_result *res)
{
	uint64_t now = rtr_now_ns();

	if (now - t.sec_ns > NSEC_PER_SEC) {
		t.sec_ns = now;
		t.repairs_this_sec = 0;
	}
	if (res->n_writes) {
		static struct log_limit lim;

		observe(SHADOW_LINK | SHADOW_ADDR | SHADOW_ROUTE);

		t.repairs_this_sec++;
		if (!t.following) {
			t.stats.repairs++;
			t.stats.repair_writes += res->n_writes;
			log_event_limited(
				&lim, 5, "SYS", LOG_L_NOTICE, "REPAIR",
				"%llu kernel writes brought it back to the running configuration",
				(unsigned long long)res->n_writes);
		}
	}
	set_degraded(res->n_errors > 0);
	if (t.resuming) {
		t.resuming = false;
		if (t.on_resume)
			t.on_resume();
	}
	if (res->n_errors || t.repairs_this_sec > REPAIR_FIGHT) {
		t.backoff_ms = t.backoff_ms ? MIN(t.backoff_ms * 2, REPAIR_BACKOFF_MAX_MS)
					    : REPAIR_BACKOFF_MIN_MS;
		t.repair_wanted = true;
		after_ms(t.repair, t.backoff_ms);
	} else {
		t.backoff_ms = 0;
	}
	/* What changed while this one ran, behind its back, is looked at in another. */
	if (t.head || (t.repair_wanted && !t.backoff_ms))
		after_ms(t.kick, 0);
}

static void kick(evutil_socket_t fd, short what, void *arg)
{
	if (t.now || apply_running())
		return;
	if (t.head)
		start_next();
	else if (t.repair_wanted && !event_pending(t.repair, EV_TIMEOUT, NULL))
		after_ms(t.repair, REPAIR_QUIET_MS);
}

static void repair(evutil_socket_t fd, short what, void *arg)
{
	if (txn_busy() || apply_running())
		return; /* finish() comes back to it */
	t.repair_wanted = false;
	t.following = t.follows;
	t.follows = false;
	apply_start(t.running, APPLY_REPAIR, repaired, NULL);
}

static void kernel_changed(void *arg, unsigned change)
{
	observe(change);
	if (change & SHADOW_CARRIER)
		txn_follow();
	else
		txn_repair();
}

/* ---- public ---- */

void txn_repair(void)
{
	t.repair_wanted = true;
	if (t.kick && !t.backoff_ms)
		after_ms(t.kick, 0);
}

void txn_follow(void)
{
	t.follows = true;
	txn_repair();
}

void txn_submit(const struct txn_req *req)
{
	struct request *r = xcalloc(1, sizeof(*r));

	r->req = *req;
	*t.tail = r;
	t.tail = &r->next;
	after_ms(t.kick, 0);
}

void txn_forget(void *arg)
{
	if (t.now && t.now->req.arg == arg)
		t.now->forgotten = true;
	for (struct request *r = t.head; r; r = r->next) {
		if (r->req.arg == arg)
			r->forgotten = true;
	}
}

int txn_init(struct event_base *base, const char *rundir, struct strbuf *notes, bool *ret_resumed)
{
	struct rec *running;
	int r = journal_open(rundir, &running, &t.revision, notes);

	if (r)
		return r;
	*ret_resumed = t.resuming = running != NULL;
	t.running = running ? running : model_new();
	t.base = base;
	t.tail = &t.head;
	t.kick = evtimer_new(base, kick, NULL);
	t.repair = evtimer_new(base, repair, NULL);
	confirm_init(base, rundir);
	shadow_on_change(kernel_changed, NULL);
	/* What ran before a restart is compared with the kernel at once. */
	if (running)
		txn_repair();
	return 0;
}

void txn_fini(void)
{
	confirm_fini();
	journal_close();
	event_free(t.kick);
	event_free(t.repair);
	while (t.head) {
		struct request *r = t.head;

		t.head = r->next;
		free(r);
	}
	free(t.now);
	rec_unref(t.want);
	rec_unref(t.running);
	strbuf_fini(&t.text);
	memset(&t, 0, sizeof(t));
}
