/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/apply.h"

#include "hash.h"
#include "kernel/baseline.h"
#include "kernel/genl.h"
#include "kernel/nfbatch.h"
#include "kernel/nlq.h"
#include "kernel/shadow.h"
#include "strbuf.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSCTL_MAX 4096 /* longest value that is read */

/* ---- a set of hashes ---- */

struct hset {
	uint64_t *v; /* open addressing; 0 = free */
	size_t n, room;
};

static uint64_t *hset_slot(const struct hset *h, uint64_t x)
{
	size_t i = x & (h->room - 1);

	while (h->v[i] && h->v[i] != x)
		i = (i + 1) & (h->room - 1);
	return &h->v[i];
}

static uint64_t text_hash(const char *s)
{
	return hash_bytes(s, strlen(s), 0) | 1;
}

static bool hset_has(const struct hset *h, const char *s)
{
	return h->n && *hset_slot(h, text_hash(s));
}

static void hset_add(struct hset *h, const char *s)
{
	if (h->n * 2 >= h->room) {
		struct hset old = *h;

		h->room = old.room ? old.room * 2 : 64;
		h->v = xcalloc(h->room, sizeof(*h->v));
		for (size_t i = 0; i < old.room; i++) {
			if (old.v[i])
				*hset_slot(h, old.v[i]) = old.v[i];
		}
		free(old.v);
	}
	if (!*hset_slot(h, text_hash(s)))
		h->n++;
	*hset_slot(h, text_hash(s)) = text_hash(s);
}

static void hset_fini(struct hset *h)
{
	free(h->v);
	*h = (struct hset){ 0 };
}

/* ---- plans ---- */

enum kop_kind { KOP_NETLINK, KOP_NFT, KOP_CALL, KOP_SYSCTL, KOP_ERROR, KOP_KEEP, KOP_DROP };

struct kop {
	enum kop_kind kind;
	struct nl_msg *msg;
	struct nfbatch *nft;
	nlq_call_fn call;
	void *data;
	size_t size;
	char *path, *value; /* of a sysctl; key and value of KEEP, DROP */
	char *text;
	const struct rec *rec;
	int error;
	char *why;
};

struct kops {
	struct kop *v;
	size_t n, room;
	struct hset sysctls; /* paths that the model wants some value in */
};

static struct kop *op_new(struct plan *p, enum kop_kind kind, const struct rec *rec)
{
	struct kops *o = p->ops;

	if (o->n == o->room) {
		o->room = o->room ? o->room * 2 : 64;
		o->v = xrealloc(o->v, o->room * sizeof(*o->v));
	}
	o->v[o->n] = (struct kop){ .kind = kind, .rec = rec };
	return &o->v[o->n++];
}

static void ops_clear(struct kops *o)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->v[i].msg)
			nlmsg_free(o->v[i].msg);
		nfbatch_unref(o->v[i].nft);
		free(o->v[i].data);
		free(o->v[i].path);
		free(o->v[i].value);
		free(o->v[i].text);
		free(o->v[i].why);
	}
	o->n = 0;
}

static void ops_fini(struct kops *o)
{
	ops_clear(o);
	free(o->v);
	hset_fini(&o->sysctls);
	*o = (struct kops){ 0 };
}

static char *RTR_PRINTF(1, 0) vtext(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	return s;
}

void plan_nl(struct plan *p, struct nl_msg *msg, const struct rec *rec, const char *fmt, ...)
{
	struct kop *op = op_new(p, KOP_NETLINK, rec);
	va_list ap;

	op->msg = msg;
	va_start(ap, fmt);
	op->text = vtext(fmt, ap);
	va_end(ap);
}

void plan_nft(struct plan *p, struct nfbatch *batch, const struct rec *rec, const char *fmt, ...)
{
	struct kop *op = op_new(p, KOP_NFT, rec);
	va_list ap;

	op->nft = batch;
	va_start(ap, fmt);
	op->text = vtext(fmt, ap);
	va_end(ap);
}

void plan_call(struct plan *p, nlq_call_fn fn, const void *data, size_t size, const struct rec *rec,
	       const char *fmt, ...)
{
	struct kop *op = op_new(p, KOP_CALL, rec);
	va_list ap;

	op->call = fn;
	op->data = xmalloc(size);
	op->size = size;
	memcpy(op->data, data, size);
	va_start(ap, fmt);
	op->text = vtext(fmt, ap);
	va_end(ap);
}

void plan_error(struct plan *p, const struct rec *rec, const char *fmt, ...)
{
	struct kop *op = op_new(p, KOP_ERROR, rec);
	va_list ap;

	va_start(ap, fmt);
	op->text = vtext(fmt, ap);
	va_end(ap);
}

void plan_keep(struct plan *p, const char *key, const char *value)
{
	struct kop *op = op_new(p, KOP_KEEP, NULL);

	op->path = xstrdup(key);
	op->value = xstrdup(value);
}

void plan_drop(struct plan *p, const char *key)
{
	op_new(p, KOP_DROP, NULL)->path = xstrdup(key);
}

const char *plan_goal(struct plan *p, const char *key, const char *want, const char *now)
{
	const char *before;

	if (want) {
		if (!strcmp(want, now))
			return NULL;
		plan_keep(p, key, now);
		return want;
	}
	before = baseline_get(key);
	if (before && !strcmp(before, now)) {
		plan_drop(p, key);
		return NULL;
	}
	return before;
}

static char *sysctl_read(const char *path)
{
	char *full = xasprintf("/proc/sys/%s", path);
	char *text;
	int r = rtr_file_read(full, SYSCTL_MAX, &text, NULL);

	free(full);
	if (r)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static void sysctl_op(struct plan *p, const char *path, const char *value, const struct rec *rec)
{
	struct kop *op = op_new(p, KOP_SYSCTL, rec);

	op->path = xstrdup(path);
	op->value = xstrdup(value);
	op->text = xasprintf("set sysctl %s to %s", path, value);
}

bool plan_sysctl(struct plan *p, const char *path, const char *value, const struct rec *rec)
{
	char key[256], *now = sysctl_read(path);
	bool write = now && strcmp(now, value); /* one that this kernel lacks is not missed */

	hset_add(&p->ops->sysctls, path);
	if (write) {
		snprintf(key, sizeof(key), "sysctl %s", path);
		plan_keep(p, key, now);
		sysctl_op(p, path, value, rec);
	}
	free(now);
	return write;
}

/* After all domains: settings that none of them asked for any more return to their baseline. */
static void restore_one(void *arg, const char *key, const char *value)
{
	struct plan *p = arg;
	const char *path = key + strlen("sysctl ");
	char *now;

	if (hset_has(&p->ops->sysctls, path))
		return;
	now = sysctl_read(path);
	if (now && strcmp(now, value))
		sysctl_op(p, path, value, NULL);
	else
		plan_drop(p, key);
	free(now);
}

static void plan_restore(struct plan *p)
{
	baseline_foreach("sysctl ", restore_one, p);
}

static const struct domain restore = { .name = "baseline", .plan = plan_restore };

/* ---- running one ---- */

struct suspect {
	uint64_t hash;
	int error;
	char *why;
};

static struct {
	const struct domain *const *domains;
	size_t n_domains;
	struct event *ev_step;

	bool running, cancelled, resynced;
	struct plan plan;
	struct kops ops;
	enum apply_mode mode;
	apply_done_fn done;
	void *arg;
	size_t domain; /* n_domains: the restoring of sysctls */
	size_t pending;
	uint64_t first_write;
	/* Writes of the last round that failed: errors if they are wanted again. */
	struct suspect *suspects;
	size_t n_suspects, suspects_room;
	struct hset failed; /* texts of errors: told once, not tried again */
	struct apply_result res;
	struct strbuf text;
} a;

static void step_soon(void)
{
	static const struct timeval now = { 0, 0 };

	evtimer_add(a.ev_step, &now);
}

static const struct domain *domain_now(void)
{
	return a.domain < a.n_domains ? a.domains[a.domain] : &restore;
}

static void suspects_clear(void)
{
	for (size_t i = 0; i < a.n_suspects; i++)
		free(a.suspects[i].why);
	a.n_suspects = 0;
}

static void suspect_add(struct kop *op)
{
	if (a.n_suspects == a.suspects_room) {
		a.suspects_room = a.suspects_room ? a.suspects_room * 2 : 16;
		a.suspects = xrealloc(a.suspects, a.suspects_room * sizeof(*a.suspects));
	}
	a.suspects[a.n_suspects++] = (struct suspect){ .hash = text_hash(op->text),
						       .error = op->error,
						       .why = op->why };
	op->why = NULL;
}

static const struct suspect *suspect_find(const char *text)
{
	uint64_t hash = a.n_suspects ? text_hash(text) : 0;

	for (size_t i = 0; i < a.n_suspects; i++) {
		if (a.suspects[i].hash == hash)
			return &a.suspects[i];
	}
	return NULL;
}

static void add_error(const struct rec *rec, const char *text, int error, const char *why)
{
	if (hset_has(&a.failed, text))
		return;
	hset_add(&a.failed, text);
	if (!a.res.n_errors++)
		a.res.rec = rec;
	if (a.res.n_errors > APPLY_MAX_TEXTS)
		return;
	if (a.text.len)
		strbuf_addc(&a.text, '\n');
	strbuf_adds(&a.text, text);
	if (why && *why)
		strbuf_addf(&a.text, ": %s", why);
	if (error)
		strbuf_addf(&a.text, "%s%s%s", why && *why ? " (" : ": ", strerror(-error),
			    why && *why ? ")" : "");
}

static void finish(void)
{
	struct rec *want = (struct rec *)(uintptr_t)a.plan.want;
	struct apply_result res;
	struct strbuf text = a.text;

	a.res.n_writes = nlq_writes() - a.first_write;
	a.res.text = strbuf_str(&text);
	res = a.res;
	a.text = (struct strbuf)STRBUF_INIT;
	suspects_clear();
	hset_fini(&a.failed);
	ops_fini(&a.ops);
	baseline_sync(); /* drops only: repeated with the next change when it fails */
	a.running = false;
	a.done(a.arg, &res);
	strbuf_fini(&text);
	rec_unref(want);
}

/* Asks the kernel about what it tells no event of. */
static void touch(const struct nlmsghdr *h)
{
	const struct ifinfomsg *ifi = nlmsg_data(h);
	const struct ifaddrmsg *ifa = nlmsg_data(h);
	const struct ndmsg *ndm = nlmsg_data(h);

	if ((h->nlmsg_type == RTM_SETLINK || h->nlmsg_type == RTM_NEWLINKPROP) &&
	    ifi->ifi_index > 0)
		shadow_touch_link(ifi->ifi_index);
	if ((h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR) &&
	    ifa->ifa_family == AF_INET6)
		shadow_touch_addrs((int)ifa->ifa_index);
	if ((h->nlmsg_type == RTM_NEWNEIGH || h->nlmsg_type == RTM_DELNEIGH) &&
	    ndm->ndm_flags & NTF_PROXY)
		shadow_touch_proxies();
}

static void on_done(void *arg, int error, const char *text)
{
	struct kop *op;

	if (!a.running)
		return;
	op = &a.ops.v[(size_t)(uintptr_t)arg];
	op->error = error;
	if (error && *text)
		op->why = xstrdup(text);
	if (op->kind == KOP_NETLINK && !genl_is(op->msg))
		touch(nlmsg_hdr(op->msg));
	/* Somebody else changed nftables since we looked: not done, and to be planned again. */
	if (op->kind == KOP_NFT && error == -ERESTART)
		op->error = -ECANCELED;
	if (error && a.mode == APPLY_COMMIT && !a.cancelled) {
		a.cancelled = true;
		nlq_cancel();
	}
	if (!--a.pending)
		step_soon();
}

/* The acknowledgements of a round are in: takes the kernel's view, keeps the failures. */
static void end_round(void)
{
	suspects_clear();
	for (size_t i = 0; i < a.ops.n; i++) {
		struct kop *op = &a.ops.v[i];

		if (op->error && op->error != -ECANCELED)
			suspect_add(op);
	}
	ops_clear(&a.ops);
	a.cancelled = false;
	shadow_drain();
	a.plan.round++;
}

/* An error that says that the shadow is wrong, or that nobody knows. */
static bool doubtful(int error)
{
	return error == -ESRCH || error == -ENODEV || error == -ENOENT || error == -EEXIST ||
	       error == -EADDRNOTAVAIL || error == -ENOBUFS;
}

/* True when the failures of the last round call for a look at everything first. */
static bool doubt(void)
{
	if (a.resynced)
		return false;
	for (size_t i = 0; i < a.ops.n; i++) {
		const struct kop *op = &a.ops.v[i];
		const struct suspect *s = op->kind <= KOP_SYSCTL ? suspect_find(op->text) : NULL;

		if (s && doubtful(s->error)) {
			a.resynced = true;
			shadow_resync();
			return true;
		}
	}
	return false;
}

/* Sorts a fresh plan into errors and writes to be sent. Returns the number of writes. */
static size_t judge(void)
{
	size_t n = 0;

	for (size_t i = 0; i < a.ops.n; i++) {
		struct kop *op = &a.ops.v[i];
		const struct suspect *s;

		if (op->kind == KOP_ERROR)
			add_error(op->rec, op->text, 0, NULL);
		if (op->kind > KOP_SYSCTL)
			continue;
		s = suspect_find(op->text);
		if (s)
			add_error(op->rec, op->text, s->error, s->why);
		n += !hset_has(&a.failed, op->text);
	}
	return n;
}

static int keep_baseline(void)
{
	for (size_t i = 0; i < a.ops.n; i++) {
		if (a.ops.v[i].kind == KOP_KEEP)
			baseline_keep(a.ops.v[i].path, a.ops.v[i].value);
	}
	return baseline_sync();
}

static void drop_baseline(void)
{
	for (size_t i = 0; i < a.ops.n; i++) {
		if (a.ops.v[i].kind == KOP_DROP)
			baseline_drop(a.ops.v[i].path);
	}
}

static void send_ops(void)
{
	for (size_t i = 0; i < a.ops.n; i++) {
		struct kop *op = &a.ops.v[i];

		if (op->kind > KOP_SYSCTL || hset_has(&a.failed, op->text))
			continue;
		a.pending++;
		if (op->kind == KOP_NETLINK) {
			nlmsg_get(op->msg);
			nlq_netlink(op->msg, on_done, (void *)(uintptr_t)i);
		} else if (op->kind == KOP_NFT) {
			nlq_nft(op->nft, on_done, (void *)(uintptr_t)i);
		} else if (op->kind == KOP_CALL) {
			nlq_call(op->call, op->data, op->size, on_done, (void *)(uintptr_t)i);
		} else {
			nlq_sysctl(op->path, op->value, on_done, (void *)(uintptr_t)i);
		}
	}
}

static const char *first_write(void)
{
	for (size_t i = 0; i < a.ops.n; i++) {
		if (a.ops.v[i].kind <= KOP_SYSCTL && !hset_has(&a.failed, a.ops.v[i].text))
			return a.ops.v[i].text;
	}
	return "";
}

static void next_domain(void)
{
	drop_baseline();
	ops_clear(&a.ops);
	suspects_clear();
	a.domain++;
	a.plan.round = 0;
}

/* One round of one domain. True when the next step may follow at once. */
static bool round_once(void)
{
	const struct domain *d = domain_now();
	size_t n;
	int r;

	if (d->plan)
		d->plan(&a.plan);
	if (doubt()) {
		ops_clear(&a.ops);
		return true;
	}
	n = judge();
	if (a.mode == APPLY_COMMIT && a.res.n_errors) {
		finish();
		return false;
	}
	if (!n) {
		next_domain();
		if (a.domain <= a.n_domains)
			return true;
		finish();
		return false;
	}
	if (a.plan.round >= APPLY_MAX_ROUNDS) {
		char *text = xasprintf("%s does not converge, still wants to %s", d->name,
				       first_write());

		add_error(NULL, text, 0, NULL);
		free(text);
		next_domain();
		if (a.mode == APPLY_REPAIR && a.domain <= a.n_domains)
			return true;
		finish();
		return false;
	}
	r = keep_baseline();
	if (r) {
		add_error(NULL, "save what was before (baseline)", r, NULL);
		finish();
		return false;
	}
	send_ops();
	return false;
}

static void resume(void *arg)
{
	if (a.running)
		step_soon();
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
	if (a.ops.n)
		end_round();
	for (;;) {
		if (!shadow_synced()) {
			shadow_when_synced(resume, NULL);
			return;
		}
		if (!round_once())
			return;
	}
}

/* ---- public ---- */

int apply_start(const struct rec *want, enum apply_mode mode, apply_done_fn done, void *arg)
{
	if (a.running)
		return -EBUSY;
	a.running = true;
	a.cancelled = a.resynced = false;
	a.plan = (struct plan){ .want = rec_ref(want), .ops = &a.ops };
	a.mode = mode;
	a.done = done;
	a.arg = arg;
	a.domain = 0;
	a.pending = 0;
	a.first_write = nlq_writes();
	a.res = (struct apply_result){ 0 };
	step_soon();
	return 0;
}

bool apply_running(void)
{
	return a.running;
}

size_t apply_diff(const struct rec *want, struct strbuf *ret)
{
	struct kops ops = { 0 };
	struct plan p = { .want = want, .ops = &ops };
	size_t n = 0;

	for (size_t d = 0; d <= a.n_domains; d++) {
		const struct domain *dom = d < a.n_domains ? a.domains[d] : &restore;

		if (dom->plan)
			dom->plan(&p);
	}
	for (size_t i = 0; i < ops.n; i++) {
		if (ops.v[i].kind > KOP_ERROR)
			continue;
		strbuf_addf(ret, "%s\n", ops.v[i].text);
		n++;
	}
	ops_fini(&ops);
	return n;
}

int apply_init(struct event_base *base, const struct domain *const *domains, size_t n)
{
	memset(&a, 0, sizeof(a));
	a.domains = domains;
	a.n_domains = n;
	a.ev_step = evtimer_new(base, on_step, NULL);
	return a.ev_step ? 0 : -ENOMEM;
}

void apply_fini(void)
{
	if (a.running) {
		a.running = false;
		rec_unref((struct rec *)(uintptr_t)a.plan.want);
	}
	if (a.ev_step)
		event_free(a.ev_step);
	suspects_clear();
	free(a.suspects);
	hset_fini(&a.failed);
	ops_fini(&a.ops);
	strbuf_fini(&a.text);
	memset(&a, 0, sizeof(a));
}
