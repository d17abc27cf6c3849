/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both planes as one. Connections of the fast plane come first, in pieces; those that the kernel
 * holds a mirror of are remembered by a hash of their tuple (8 bytes each), so that the dump that
 * follows leaves the mirrors out.
 */
#include "conntrack/ct.h"

#include "hash.h"
#include "rtr/fastpath.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* What may still come after a pause. */
#define PIECE 512

static struct ct_plane plane;

void ct_set_plane(const struct ct_plane *p)
{
	plane = p ? *p : (struct ct_plane){ 0 };
}

static bool runs(void)
{
	return plane.runs && plane.runs();
}

bool ct_is_mirror(const struct ct_entry *e)
{
	return e->label[0] & FASTPATH_CT_LABEL && runs();
}

/* ---- a set of tuples ---- */

struct seen {
	uint64_t seed, *v; /* 0: free */
	size_t n, room;    /* room: a power of 2 */
};

static uint64_t hash_of(const struct seen *s, const struct ct_tuple *t)
{
	struct {
		uint8_t src[16], dst[16];
		uint16_t sport, dport;
		uint8_t proto, family, zero[2];
	} k = { .sport = t->sport, .dport = t->dport, .proto = t->proto, .family = t->src.family };

	memcpy(k.src, t->src.b, rtr_family_size(t->src.family));
	memcpy(k.dst, t->dst.b, rtr_family_size(t->dst.family));
	return hash_bytes(&k, sizeof(k), s->seed) | 1;
}

static uint64_t *place_of(const struct seen *s, uint64_t h)
{
	size_t i = (size_t)(h >> 1) & (s->room - 1);

	while (s->v[i] && s->v[i] != h)
		i = (i + 1) & (s->room - 1);
	return &s->v[i];
}

static void seen_init(struct seen *s)
{
	*s = (struct seen){ .room = 64 };
	if (getrandom(&s->seed, sizeof(s->seed), 0) != sizeof(s->seed))
		abort();
	s->v = xcalloc(s->room, sizeof(*s->v));
}

static void seen_add(struct seen *s, const struct ct_tuple *t)
{
	uint64_t h = hash_of(s, t), *p;

	if (2 * s->n >= s->room) {
		struct seen more = { .seed = s->seed, .n = s->n, .room = 2 * s->room };

		more.v = xcalloc(more.room, sizeof(*more.v));
		for (size_t i = 0; i < s->room; i++)
			if (s->v[i])
				*place_of(&more, s->v[i]) = s->v[i];
		free(s->v);
		*s = more;
	}
	p = place_of(s, h);
	s->n += !*p;
	*p = h;
}

static bool seen_has(const struct seen *s, const struct ct_entry *e)
{
	return e->label[0] & FASTPATH_CT_LABEL && *place_of(s, hash_of(s, &e->orig));
}

/* ---- a list ---- */

struct ct_list {
	struct ct_filter f;
	bool has_filter, paused, waiting; /* waiting: for the next piece, when it goes on */
	struct ct_dump_fns fns;
	void *arg;
	void *request;
	uint64_t next;
	struct ct_dump *dump;
	struct seen seen;
};

static void release(struct ct_list *l)
{
	if (l->request)
		plane.drop(l->request);
	ct_dump_cancel(l->dump);
	free(l->seen.v);
	free(l);
}

static bool picks(const struct ct_list *l, const struct ct_entry *e)
{
	return !l->has_filter || ct_filter_match(&l->f, e);
}

static void kernel_each(void *arg, const struct ct_entry *e)
{
	struct ct_list *l = arg;

	if (!seen_has(&l->seen, e))
		l->fns.each(l->arg, e);
}

static void kernel_done(void *arg, int error)
{
	struct ct_list *l = arg;
	struct ct_dump_fns fns = l->fns;
	void *to = l->arg;

	l->dump = NULL;
	release(l);
	fns.done(to, error);
}

static int kernel_start(struct ct_list *l)
{
	static const struct ct_dump_fns fns = { kernel_each, kernel_done };
	int e = 0;

	l->dump = ct_dump_start(l->has_filter ? &l->f : NULL, &fns, l, &e);
	if (l->dump && l->paused)
		ct_dump_pause(l->dump);
	return l->dump ? 0 : e;
}

static void fast_each(void *arg, const struct ct_entry *e)
{
	struct ct_list *l = arg;

	if (e->mirrored)
		seen_add(&l->seen, &e->orig);
	if (picks(l, e))
		l->fns.each(l->arg, e);
}

static void fast_done(void *arg, bool ok, uint64_t next);

/* The next piece, or the kernel's when there is none. */
static void go_on(struct ct_list *l)
{
	int e = 0;

	l->waiting = false;
	l->request = NULL;
	if (l->next)
		l->request = plane.list(l->next, PIECE, fast_each, fast_done, l);
	if (!l->request)
		e = kernel_start(l);
	if (e)
		kernel_done(l, e);
}

static void fast_done(void *arg, bool ok, uint64_t next)
{
	struct ct_list *l = arg;

	l->request = NULL;
	l->next = ok ? next : 0;
	if (l->paused)
		l->waiting = true;
	else
		go_on(l);
}

struct ct_list *ct_list_start(const struct ct_filter *f, const struct ct_dump_fns *fns, void *arg,
			      int *ret_error)
{
	struct ct_list *l = xcalloc(1, sizeof(*l));
	int e = 0;

	l->fns = *fns;
	l->arg = arg;
	l->has_filter = f;
	if (f)
		l->f = *f;
	seen_init(&l->seen);
	if (runs())
		l->request = plane.list(0, PIECE, fast_each, fast_done, l);
	if (!l->request)
		e = kernel_start(l);
	if (!e)
		return l;
	release(l);
	*ret_error = e;
	return NULL;
}

void ct_list_pause(struct ct_list *l)
{
	l->paused = true;
	if (l->dump)
		ct_dump_pause(l->dump);
}

void ct_list_resume(struct ct_list *l)
{
	l->paused = false;
	if (l->dump)
		ct_dump_resume(l->dump);
	else if (l->waiting)
		go_on(l);
}

struct ct_list *ct_list_cancel(struct ct_list *l)
{
	if (l)
		release(l);
	return NULL;
}

/* ---- ending ---- */

struct ct_end {
	struct ct_filter f;
	ct_change_fn done;
	void *arg;
	void *request;
	struct ct_change *change;
	struct seen seen;
	uint64_t *ref;
	size_t n_refs, max_refs, at;
	uint64_t judged, ended, mirrors;
};

static void end_release(struct ct_end *k)
{
	if (k->request)
		plane.drop(k->request);
	ct_change_cancel(k->change);
	free(k->seen.v);
	free(k->ref);
	free(k);
}

/* Mirrors end too, and at once: but they were counted with their flows. */
static enum ct_verdict end_kernel(void *arg, const struct ct_entry *e)
{
	struct ct_end *k = arg;

	k->mirrors += seen_has(&k->seen, e);
	return CT_END;
}

static void end_kernel_done(void *arg, const struct ct_change_result *r)
{
	struct ct_end *k = arg;
	struct ct_change_result res = *r;
	ct_change_fn done = k->done;
	void *to = k->arg;
	uint64_t both = r->ended + r->gone;

	res.judged += k->judged;
	res.ended = k->ended + (both > k->mirrors ? both - k->mirrors : 0);
	k->change = NULL;
	end_release(k);
	done(to, &res);
}

static int end_kernel_start(struct ct_end *k)
{
	int e = 0;

	k->change = ct_rejudge(&k->f, end_kernel, end_kernel_done, k, &e);
	return k->change ? 0 : e;
}

static void end_go_on(struct ct_end *k);

static void end_some_done(void *arg, bool ok, uint64_t next)
{
	struct ct_end *k = arg;

	k->request = NULL;
	if (ok)
		k->ended += next;
	end_go_on(k);
}

/* The flows first: a flow that goes on would have its mirror written anew. */
static void end_go_on(struct ct_end *k)
{
	uint32_t n = (uint32_t)MIN(k->n_refs - k->at, (size_t)CT_PLANE_REFS);
	int e;

	if (n)
		k->request = plane.end(k->ref + k->at, n, end_some_done, k);
	k->at += n;
	if (k->request)
		return;
	e = end_kernel_start(k);
	if (e)
		end_kernel_done(k, &(struct ct_change_result){ .error = e });
}

static void end_each(void *arg, const struct ct_entry *e)
{
	struct ct_end *k = arg;

	if (!ct_filter_match(&k->f, e))
		return;
	k->judged++;
	if (e->mirrored)
		seen_add(&k->seen, &e->orig);
	if (k->n_refs == k->max_refs) {
		k->max_refs = MAX(2 * k->max_refs, (size_t)256);
		k->ref = xrealloc(k->ref, k->max_refs * sizeof(*k->ref));
	}
	k->ref[k->n_refs++] = e->fast_ref;
}

static void end_listed(void *arg, bool ok, uint64_t next)
{
	struct ct_end *k = arg;

	k->request = ok && next ? plane.list(next, PIECE, end_each, end_listed, k) : NULL;
	if (!k->request)
		end_go_on(k);
}

struct ct_end *ct_end_start(const struct ct_filter *f, ct_change_fn done, void *arg, int *ret_error)
{
	struct ct_end *k = xcalloc(1, sizeof(*k));
	int e = 0;

	k->f = *f;
	k->done = done;
	k->arg = arg;
	seen_init(&k->seen);
	if (runs())
		k->request = plane.list(0, PIECE, end_each, end_listed, k);
	if (!k->request)
		e = end_kernel_start(k);
	if (!e)
		return k;
	end_release(k);
	*ret_error = e;
	return NULL;
}

struct ct_end *ct_end_cancel(struct ct_end *k)
{
	if (k)
		end_release(k);
	return NULL;
}
