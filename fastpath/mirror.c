/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mirror_priv.h"

#include "tcp_track.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>

/* A pass each second, and not more than a quarter of a core. */
#define PASS_NS    NSEC_PER_SEC
#define PASS_SHARE 4
/* What ends, and what is asked for, waits so long at most. */
#define NAP_MS 50
/* Pairs that are looked at under one lock. */
#define CHUNK 256
/* Of nf_conntrack_max: what connections of the kernel's own have in any case. */
#define KERNEL_SHARE 4

#define AGE_UNITS ((uint32_t)(FP_MIRROR_AGE_SEC * NSEC_PER_SEC >> FLOW_TIME_SHIFT))
/* How often the kernel is asked for what it was given, and how long the port is kept from others
 * without an answer. */
#define ASK_UNITS  ((uint32_t)(30 * NSEC_PER_SEC >> FLOW_TIME_SHIFT))
#define HOLD_UNITS (4 * ASK_UNITS)

/* ---- flows as entries ---- */

static uint32_t seconds(uint32_t units)
{
	return (uint32_t)(((uint64_t)units << FLOW_TIME_SHIFT) / NSEC_PER_SEC) + 1;
}

static void ends(enum flow_family fam, const union fp_flow_key *k, struct fp_mirror_end *src,
		 struct fp_mirror_end *dst)
{
	if (fam == FLOW_4) {
		memcpy(src->addr, &k->v4.saddr, 4);
		memcpy(dst->addr, &k->v4.daddr, 4);
		src->port_be = k->v4.sport;
		dst->port_be = k->v4.dport;
		return;
	}
	memcpy(src->addr, k->v6.saddr, 16);
	memcpy(dst->addr, k->v6.daddr, 16);
	src->port_be = k->v6.sport;
	dst->port_be = k->v6.dport;
}

/* The tuples. */
static void entry_of(enum flow_family fam, const union fp_flow_key key[2],
		     struct fp_mirror_flow *ret)
{
	*ret = (struct fp_mirror_flow){ .family = fam == FLOW_4 ? AF_INET : AF_INET6,
					.proto = fam == FLOW_4 ? key[0].v4.proto
							       : key[0].v6.proto };
	ends(fam, &key[0], &ret->src, &ret->dst);
	ends(fam, &key[1], &ret->reply_src, &ret->reply_dst);
}

static uint8_t track_of(const struct fp_flow_view *v, unsigned dir)
{
	return flow_w0_state(v->dir[dir].word0) >> FLOW_TRACK_SHIFT;
}

/* All that the kernel is told of a new one. */
static void fill(const struct fp_mirror *m, const struct fp_flow_view *v, uint32_t left,
		 struct fp_mirror_flow *ret)
{
	unsigned in = m->conf.ifindex(m->conf.ctx, fp_flow_view_zone(v, 0));
	unsigned out = m->conf.ifindex(m->conf.ctx, fp_flow_view_zone(v, 1));

	entry_of(v->fam, (const union fp_flow_key[]){ v->dir[0].key, v->dir[1].key }, ret);
	m->conf.label(m->conf.ctx, v, ret->label);
	ret->label[0] |= FP_MIRROR_LABEL;
	ret->label[3] = (out <= UINT16_MAX ? out : 0) << 16 | (in <= UINT16_MAX ? in : 0);
	ret->timeout_sec = seconds(left);
	for (int d = 0; d < 2; d++)
		ret->scale[d] = v->dir[d].egress >> FLOW_EGRESS_SCALE_SHIFT & 15;
	ret->tcp_state = track_of(v, 0);
	ret->unreplied = !track_of(v, 1);
}

/* Old enough; UDP without an answer, when it has sent for so long. */
static bool is_old(const struct fp_flow_view *v, uint32_t since, uint32_t now)
{
	bool answered = flow_w0_flags(v->dir[0].word0) & FLOW_F_TCP || track_of(v, 1);

	return (int32_t)((answered ? now : v->dir[0].time) - since) >= (int32_t)AGE_UNITS;
}

/* No packet of it may begin anything. at_once: also a connection that is about to end. */
static bool established(const struct fp_flow_view *v, bool at_once)
{
	for (unsigned d = 0; d < 2; d++) {
		uint8_t path = flow_w0_path(v->dir[d].word0), track = track_of(v, d);

		if (path != FLOW_P_WORKER && path != FLOW_P_EXPRESS)
			return false;
		if (flow_w0_flags(v->dir[d].word0) & FLOW_F_TCP &&
		    (at_once ? track < TCPT_S_ESTABLISHED || track > TCPT_S_TIME_WAIT
			     : track != TCPT_S_ESTABLISHED))
			return false;
	}
	return true;
}

/* It is never established again. */
static bool closing(const struct fp_flow_view *v)
{
	uint8_t track = track_of(v, 0);

	return flow_w0_flags(v->dir[0].word0) & FLOW_F_TCP && track >= TCPT_S_FIN_WAIT &&
	       track <= TCPT_S_CLOSE;
}

static bool translated(const struct fp_flow_view *v)
{
	return flow_w0_flags(v->dir[0].word0) & FLOW_F_REWRITE;
}

/* ---- one flow ---- */

/* What a walk wants of the flows that it meets. */
struct walk {
	bool one_port, now, give;
	uint16_t port;
	uint32_t at; /* when it began */
};

static bool touches(const struct fp_flow_view *v, const struct walk *k)
{
	return !k->one_port || fp_flow_view_zone(v, 0) == k->port ||
	       fp_flow_view_zone(v, 1) == k->port;
}

/* The slot of the flow; one of a flow before it begins anew. */
static struct mirror_slot *slot_of(struct fp_mirror *m, const struct fp_flow_view *v, uint32_t now)
{
	struct mirror_slot *s = &m->slot[v->fam][(uint32_t)v->ref >> 1];
	uint16_t gen = (uint16_t)(v->ref >> 32);

	if (s->gen == gen && s->state != MIRROR_NONE)
		return s;
	*s = (struct mirror_slot){ gen, MIRROR_SEEN, 0, now };
	if (v->flags & FLOW_COLD_GIVEN) {
		*s = (struct mirror_slot){ gen, MIRROR_GIVEN, 0, 0 };
		return s;
	}
	/* Written by a process before. */
	if (flow_w0_flags(v->dir[0].word0) & FLOW_F_MIRRORED) {
		*s = (struct mirror_slot){ gen, MIRROR_WRITTEN, 0, 0 };
		m->stats.held++;
	}
	return s;
}

/* From now on XDP leaves its packets to the kernel, but not before those that a worker has to hand
 * on (FLOW_COLD_GIVEN) are there. */
static void hand_over(struct fp_mirror *m, const struct fp_flow_view *v, bool force)
{
	struct fp_flow_worker *w = fp_flow_worker(m->conf.flows, 0);

	for (uint64_t d = 0; d < 2; d++) {
		uint8_t path = flow_w0_path(v->dir[d].word0);

		if (path == FLOW_P_EXPRESS)
			fp_flow_set_path(w, v->fam, v->ref ^ d, FLOW_P_WORKER, true);
		if ((path == FLOW_P_WORKER || path == FLOW_P_EXPRESS) &&
		    !fp_flow_set_path(w, v->fam, v->ref ^ d, FLOW_P_KERNEL, force))
			fp_flow_set_flags(w, v->fam, v->ref ^ d, 0, FLOW_F_MIRRORED);
	}
}

/* The step that is due for the flow; false: none. The lock is held. */
static bool step(struct fp_mirror *m, const struct fp_flow_view *v, const struct walk *k,
		 struct mirror_item *ret)
{
	uint32_t now = fp_flow_now(), end = fp_flow_view_end(v);
	struct mirror_slot *s = slot_of(m, v, now);

	*ret = (struct mirror_item){ .fam = v->fam, .ref = v->ref, .since = now };
	if ((int32_t)(end - now) <= 0)
		return false;
	if (s->state == MIRROR_WRITTEN && k->give) {
		*s = (struct mirror_slot){ s->gen, MIRROR_GIVEN, 0, now };
		ret->kind = MIRROR_RELEASE;
		return true;
	}
	if (s->state == MIRROR_GIVEN) {
		if (!translated(v))
			return false;
		hand_over(m, v, now - s->at > AGE_UNITS);
		if (s->at && now - s->at < ASK_UNITS)
			return false;
		s->at = now;
		ret->kind = MIRROR_ASK;
		return true;
	}
	if (s->state == MIRROR_WRITTEN) {
		ret->kind = MIRROR_RENEW;
		if (s->at && (int32_t)(end - s->at) <= (int32_t)(v->timeout / 2))
			return false;
		s->at = end;
		return true;
	}
	if ((s->state != MIRROR_SEEN && s->state != MIRROR_PAST) || !established(v, k->now) ||
	    (!k->now && !is_old(v, s->at, now))) {
		if (s->state == MIRROR_SEEN && closing(v))
			s->state = MIRROR_PAST;
		return false;
	}
	if (!m->budget) {
		m->stats.waiting++;
		return false;
	}
	m->budget--;
	ret->kind = MIRROR_NEW;
	ret->since = k->now ? now : s->at + AGE_UNITS;
	/* From here on its end is told to the kernel, whatever comes first. */
	*s = (struct mirror_slot){ s->gen, MIRROR_WRITTEN, 0, end };
	return true;
}

static void act(struct fp_mirror *m, const struct fp_flow_view *v, const struct mirror_item *i)
{
	uint32_t left = fp_flow_view_end(v) - fp_flow_now();
	struct fp_mirror_flow f;

	if (i->kind == MIRROR_NEW) {
		fill(m, v, left, &f);
	} else {
		entry_of(v->fam, (const union fp_flow_key[]){ v->dir[0].key, v->dir[1].key }, &f);
		f.timeout_sec = i->kind == MIRROR_ASK ? 0 : seconds(left);
	}
	mirror_put(m, i, &f);
}

/* ---- walks ---- */

/*
 * May a step be due, by what is known without the lines of the flow? This and its cold entry lie in
 * order, and lines anywhere: to look at them is most of what a pass takes, and it is due for few.
 */
static bool may_be_due(struct mirror_slot *s, uint16_t gen, uint16_t flags, uint32_t timeout,
		       uint32_t now)
{
	if (s->gen != gen || s->state == MIRROR_NONE) {
		if (flags & FLOW_COLD_GIVEN)
			return true;
		/* Not written by a process before: learn has seen those. */
		*s = (struct mirror_slot){ gen, MIRROR_SEEN, 0, now };
		return false;
	}
	switch (s->state) {
	case MIRROR_SEEN:
		return (int32_t)(now - s->at) >= (int32_t)AGE_UNITS;
	case MIRROR_PAST:
		return false;
	case MIRROR_WRITTEN: /* its last packet was not after now */
		return !s->at || (int32_t)(now + timeout - s->at) > (int32_t)(timeout / 2);
	default:
		return true;
	}
}

static bool look(struct fp_mirror *m, enum flow_family fam, uint32_t pair, const struct walk *k,
		 struct fp_flow_view *v, struct mirror_item *ret)
{
	const struct flow_cold *c = fp_flow_cold(m->conf.flows, fam, 2 * pair);
	uint16_t gen = __atomic_load_n(&c->gen, __ATOMIC_ACQUIRE);
	uint16_t flags = __atomic_load_n(&c->flags, __ATOMIC_RELAXED);

	if (gen & 1 || !gen || !(flags & FLOW_COLD_TRACKED))
		return false;
	if (!k->now && !k->give && !k->one_port &&
	    !may_be_due(&m->slot[fam][pair], gen, flags,
			__atomic_load_n(&c->timeout, __ATOMIC_RELAXED), k->at))
		return false;
	m->stats.looked++;
	return fp_flow_view(m->conf.flows, fam, pair, v) && touches(v, k) && step(m, v, k, ret);
}

static void walk_chunk(struct fp_mirror *m, enum flow_family fam, uint32_t from, uint32_t to,
		       const struct walk *k)
{
	static struct fp_flow_view v[CHUNK]; /* mirror:own, too large for its stack */
	struct mirror_item item[CHUNK];
	unsigned n = 0;

	pthread_mutex_lock(&m->lock);
	for (uint32_t pair = from; pair < to; pair++)
		n += look(m, fam, pair, k, &v[n], &item[n]);
	pthread_mutex_unlock(&m->lock);
	for (unsigned i = 0; i < n; i++)
		act(m, &v[i], &item[i]);
}

static void walk(struct fp_mirror *m, const struct walk *k)
{
	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		uint32_t n = fp_flow_n_pairs(m->conf.flows, fam);

		for (uint32_t at = 0; at < n; at += CHUNK)
			walk_chunk(m, fam, at, MIN(at + CHUNK, n), k);
	}
	mirror_flush(m);
}

/* How many entries there is room for. */
static void look_room(struct fp_mirror *m)
{
	uint32_t n = 0, max = 0;
	int err = mirror_count(m, &n, &max);

	m->budget = !err && n < max - max / KERNEL_SHARE ? max - max / KERNEL_SHARE - n : 0;
	pthread_mutex_lock(&m->lock);
	m->stats.error = err;
	m->stats.n_ct = n;
	m->stats.max_ct = max;
	m->stats.waiting = 0;
	m->stats.lag_ms = 0;
	pthread_mutex_unlock(&m->lock);
}

/* ---- entries of a process before ---- */

/* First of all: a flow that ends in the meantime takes its entry along. */
static void learn(struct fp_mirror *m)
{
	struct fp_flow_view v;

	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		for (uint32_t p = 0; p < fp_flow_n_pairs(m->conf.flows, fam); p++) {
			if (!fp_flow_view(m->conf.flows, fam, p, &v) ||
			    !(v.flags & FLOW_COLD_TRACKED))
				continue;
			pthread_mutex_lock(&m->lock);
			slot_of(m, &v, fp_flow_now());
			pthread_mutex_unlock(&m->lock);
		}
	}
}

struct found {
	struct fp_mirror_flow *v;
	size_t n, max;
};

static struct found found; /* mirror:own */

static void note_entry(struct fp_mirror *m, const struct fp_mirror_flow *f)
{
	if (found.n == found.max) {
		found.max = MAX(2 * found.max, (size_t)256);
		found.v = xrealloc(found.v, found.max * sizeof(*found.v));
	}
	found.v[found.n++] = *f;
}

/* The flow that the entry is of, by the way that its first packet came. */
static bool has_flow(const struct fp_mirror *m, const struct fp_mirror_flow *f)
{
	for (uint16_t zone = 0; zone < 64; zone++) {
		struct flow_hit4 h4;
		struct flow_hit6 h6;

		if (m->conf.ifindex(m->conf.ctx, zone) != (f->label[3] & UINT16_MAX))
			continue;
		if (f->family == AF_INET) {
			struct flow_key4 k = { .sport = f->src.port_be,
					       .dport = f->dst.port_be,
					       .proto = f->proto,
					       .zone = zone };

			memcpy(&k.saddr, f->src.addr, 4);
			memcpy(&k.daddr, f->dst.addr, 4);
			return fp_flow_find4(m->conf.flows, &k, &h4) == FLOW_HIT;
		}
		struct flow_key6 k = { .sport = f->src.port_be,
				       .dport = f->dst.port_be,
				       .proto = f->proto,
				       .zone = zone };

		memcpy(k.saddr, f->src.addr, 16);
		memcpy(k.daddr, f->dst.addr, 16);
		return fp_flow_find6(m->conf.flows, &k, &h6) == FLOW_HIT;
	}
	return false;
}

/* What has no flow any more was ended while nobody looked, or its flow is lost: it is given. */
static void adopt(struct fp_mirror *m)
{
	const struct mirror_item give = { .kind = MIRROR_RELEASE };
	struct fp_flow_adoption a;
	uint64_t n = 0;

	fp_flow_adoption(m->conf.flows, &a);
	if (!a.done || mirror_dump(m, note_entry))
		return;
	m->adopted = true;
	for (size_t i = 0; i < found.n; i++) {
		if (has_flow(m, &found.v[i]))
			continue;
		found.v[i].timeout_sec = 0;
		mirror_put(m, &give, &found.v[i]);
		n++;
	}
	mirror_flush(m);
	free(found.v);
	found = (struct found){ 0 };
	pthread_mutex_lock(&m->lock);
	m->stats.orphans += n;
	pthread_mutex_unlock(&m->lock);
}

/* ---- what others ask for ---- */

/* The kernel goes on with the connection, or nobody does. Its port is its own until it ends there:
 * the flow stays as the book's entry, for the kernel. */
static void leave(struct fp_mirror *m, const struct fp_flow_view *v)
{
	bool given;

	pthread_mutex_lock(&m->lock);
	given = slot_of(m, v, fp_flow_now())->state == MIRROR_GIVEN;
	pthread_mutex_unlock(&m->lock);
	if (!given || !translated(v)) {
		fp_flow_end(m->conf.flows, v->fam, v->ref);
		return;
	}
	__atomic_fetch_or(&fp_flow_cold(m->conf.flows, v->fam, (uint32_t)v->ref)->flags,
			  FLOW_COLD_GIVEN, __ATOMIC_RELAXED);
	fp_flow_touch(m->conf.flows, v->fam, v->ref, fp_flow_now());
	fp_flow_retime(m->conf.flows, v->fam, v->ref, HOLD_UNITS);
	hand_over(m, v, false);
}

/* A flow whose way is the kernel's: written if it is not, given, left. */
static void take(struct fp_mirror *m, enum flow_family fam, uint64_t ref)
{
	struct walk steps[] = { { .now = true }, { .now = true, .give = true } };
	struct mirror_item item;
	struct fp_flow_view v;
	bool due;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		if (!fp_flow_view(m->conf.flows, fam, (uint32_t)ref >> 1, &v) || v.ref != ref)
			return;
		pthread_mutex_lock(&m->lock);
		due = step(m, &v, &steps[i], &item);
		pthread_mutex_unlock(&m->lock);
		if (due)
			act(m, &v, &item);
		mirror_flush(m);
	}
	leave(m, &v);
}

static void run_jobs(struct fp_mirror *m)
{
	struct mirror_job *job;
	size_t n;

	pthread_mutex_lock(&m->lock);
	job = m->job;
	n = m->n_jobs;
	m->job = NULL;
	m->n_jobs = m->max_jobs = 0;
	pthread_mutex_unlock(&m->lock);
	if (n)
		look_room(m);
	for (size_t i = 0; i < n; i++) {
		struct mirror_item item = { .kind = MIRROR_END,
					    .fam = job[i].fam,
					    .ref = job[i].ref };

		if (job[i].take)
			take(m, job[i].fam, job[i].ref & ~1ull);
		else
			mirror_put(m, &item, &job[i].flow);
	}
	mirror_flush(m);
	free(job);
}

static void leave_flows(struct fp_mirror *m, const struct walk *k)
{
	struct fp_flow_view v;

	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		for (uint32_t p = 0; p < fp_flow_n_pairs(m->conf.flows, fam); p++) {
			if (fp_flow_view(m->conf.flows, fam, p, &v) &&
			    v.flags & FLOW_COLD_TRACKED && touches(&v, k))
				leave(m, &v);
		}
	}
}

static void run_port(struct fp_mirror *m)
{
	struct walk k = { .now = true };
	uint64_t asked;
	bool give;

	pthread_mutex_lock(&m->lock);
	asked = m->port.asked;
	give = m->port.give;
	k.port = m->port.slot;
	k.one_port = k.port != FP_MIRROR_ALL;
	pthread_mutex_unlock(&m->lock);
	look_room(m);
	walk(m, &k);
	if (give) {
		k.give = true;
		walk(m, &k);
		leave_flows(m, &k);
	}
	pthread_mutex_lock(&m->lock);
	m->port.answered = asked;
	pthread_cond_broadcast(&m->done);
	pthread_mutex_unlock(&m->lock);
}

/* ---- the thread ---- */

static void pass(struct fp_mirror *m)
{
	const struct walk all = { .at = fp_flow_now() };

	if (!m->adopted)
		adopt(m);
	look_room(m);
	walk(m, &all);
}

/* Until something is asked for, or NAP_MS. Returns with the lock held. */
static void nap(struct fp_mirror *m)
{
	struct timespec ts;

	pthread_mutex_lock(&m->lock);
	if (m->stop || m->port.asked != m->port.answered)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += NAP_MS * 1000000L;
	ts.tv_sec += ts.tv_nsec / 1000000000L;
	ts.tv_nsec %= 1000000000L;
	pthread_cond_timedwait(&m->wake, &m->lock, &ts);
}

static void *run(void *arg)
{
	struct fp_mirror *m = arg;
	uint64_t ended = 0, took = 0;

	if (m->conf.filter && m->conf.filter())
		_exit(1);
	/* Online while the policy is asked: conf.label and conf.on see to it. */
	rcu_register_thread();
	rcu_thread_offline();
	learn(m);
	for (;;) {
		uint64_t now;
		bool stop, port, jobs, on;

		nap(m);
		stop = m->stop;
		port = m->port.asked != m->port.answered;
		jobs = m->n_jobs;
		pthread_mutex_unlock(&m->lock);
		if (stop)
			break;
		if (jobs)
			run_jobs(m);
		if (port)
			run_port(m);
		now = rtr_now_ns();
		on = m->conf.on(m->conf.ctx);
		if (on && now - ended > PASS_NS && now - ended > took * PASS_SHARE) {
			pass(m);
			ended = rtr_now_ns();
			took = ended - now;
		} else {
			now = ended;
		}
		pthread_mutex_lock(&m->lock);
		m->stats.on = on;
		m->stats.passes += now != ended;
		m->stats.ns += ended - now;
		pthread_mutex_unlock(&m->lock);
	}
	rcu_unregister_thread();
	return NULL;
}

/* ---- what others see ---- */

static struct fp_mirror *release(struct fp_mirror *m)
{
	if (m->fd >= 0)
		close(m->fd);
	for (int fam = 0; fam < FLOW__FAMILIES; fam++)
		free(m->slot[fam]);
	free(m->job);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->wake);
	pthread_cond_destroy(&m->done);
	free(m);
	return NULL;
}

int fp_mirror_start(const struct fp_mirror_conf *conf, struct fp_mirror **ret)
{
	struct fp_mirror *m = xcalloc(1, sizeof(*m));
	pthread_condattr_t attr;
	int err;

	m->conf = *conf;
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &attr);
	pthread_cond_init(&m->done, &attr);
	pthread_condattr_destroy(&attr);
	for (int fam = 0; fam < FLOW__FAMILIES; fam++)
		m->slot[fam] = xcalloc(fp_flow_n_pairs(conf->flows, fam), sizeof(*m->slot[fam]));
	err = mirror_open(m);
	if (!err)
		err = -pthread_create(&m->thread, NULL, run, m);
	if (err)
		release(m);
	else
		*ret = m;
	return err;
}

struct fp_mirror *fp_mirror_stop(struct fp_mirror *m)
{
	if (!m)
		return NULL;
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	return release(m);
}

static struct mirror_job *job_add(struct fp_mirror *m)
{
	if (m->n_jobs == m->max_jobs) {
		m->max_jobs = MAX(2 * m->max_jobs, (size_t)64);
		m->job = xrealloc(m->job, m->max_jobs * sizeof(*m->job));
	}
	return &m->job[m->n_jobs++];
}

void fp_mirror_freed(struct fp_mirror *m, enum flow_family fam, uint32_t pair,
		     const flow_word *key[2])
{
	struct mirror_slot *s = &m->slot[fam][pair];
	union fp_flow_key k[2];

	pthread_mutex_lock(&m->lock);
	if (s->state == MIRROR_WRITTEN) {
		struct mirror_job *j = job_add(m);

		for (int d = 0; d < 2; d++)
			for (int i = 0; i < (fam == FLOW_4 ? 2 : 5); i++)
				k[d].w[i] = FLOW_LD(key[d] + i);
		*j = (struct mirror_job){ .fam = fam, .ref = flow_ref(s->gen, 2 * pair) };
		entry_of(fam, k, &j->flow);
	}
	*s = (struct mirror_slot){ 0 };
	pthread_mutex_unlock(&m->lock);
}

void fp_mirror_take(struct fp_mirror *m, enum flow_family fam, uint64_t ref)
{
	pthread_mutex_lock(&m->lock);
	*job_add(m) = (struct mirror_job){ .take = true, .fam = fam, .ref = ref };
	pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&m->lock);
}

bool fp_mirror_port(struct fp_mirror *m, uint16_t slot, bool give, unsigned ms)
{
	struct timespec ts;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000L;
	ts.tv_sec += ts.tv_nsec / 1000000000L;
	ts.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&m->lock);
	m->port.slot = slot;
	m->port.give = give;
	m->port.asked++;
	pthread_cond_signal(&m->wake);
	while (m->port.answered != m->port.asked &&
	       !pthread_cond_timedwait(&m->done, &m->lock, &ts))
		;
	done = m->port.answered == m->port.asked;
	pthread_mutex_unlock(&m->lock);
	return done;
}

void fp_mirror_stats(struct fp_mirror *m, struct fp_mirror_stats *ret)
{
	pthread_mutex_lock(&m->lock);
	*ret = m->stats;
	pthread_mutex_unlock(&m->lock);
}
