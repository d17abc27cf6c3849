/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fastpath/fast_hits.h"

#include "fastpath/fastpath.h"
#include "hash.h"

#include <stdlib.h>

struct count {
	uint64_t hits, bytes;
};

struct slot {
	uint64_t id; /* 0: free */
	uint64_t last_ns;
	struct count told;   /* by the process that runs */
	struct count before; /* by those before it */
	struct count cleared;
	struct count coming; /* of the answer that is being given */
};

static struct {
	struct slot *slot;
	size_t n, room; /* room: a power of two */
	void (*done)(void);
} k;

static struct slot *find(uint64_t id)
{
	for (size_t i = hash_mix64(id);; i++) {
		struct slot *s = &k.slot[i & (k.room - 1)];

		if (s->id == id || !s->id)
			return s;
	}
}

static struct slot *take(uint64_t id)
{
	struct slot *s;

	if (2 * (k.n + 1) > k.room) {
		struct slot *old = k.slot;
		size_t room = k.room;

		k.room = MAX(2 * room, (size_t)64);
		k.slot = xcalloc(k.room, sizeof(*k.slot));
		for (size_t i = 0; i < room; i++)
			if (old[i].id)
				*find(old[i].id) = old[i];
		free(old);
	}
	s = find(id);
	k.n += !s->id;
	s->id = id;
	return s;
}

void fast_hits_take(const struct fastpath_hits *h)
{
	for (size_t i = 0; h->again && i < k.room; i++)
		k.slot[i].coming = (struct count){ 0 };
	for (uint32_t i = 0; i < MIN(h->n, (uint32_t)FASTPATH_HITS_MAX); i++) {
		struct slot *s;

		if (!h->v[i].id)
			continue;
		/* A line may stand in several places. */
		s = take(h->v[i].id);
		s->coming.hits += h->v[i].hits;
		s->coming.bytes += h->v[i].bytes;
		s->last_ns = MAX(s->last_ns, h->v[i].last_ns);
	}
}

void fast_hits_taken(void)
{
	for (size_t i = 0; i < k.room; i++) {
		struct slot *s = &k.slot[i];

		if (s->coming.hits < s->told.hits) {
			s->before.hits += s->told.hits;
			s->before.bytes += s->told.bytes;
		}
		s->told = s->coming;
		s->coming = (struct count){ 0 };
	}
}

static void asked(void *arg, bool ok)
{
	void (*done)(void) = k.done;

	k.done = NULL;
	if (done)
		done();
}

bool fast_hits_read(void (*done)(void))
{
	if (!fast_seen()->ready || !fast_ask(false, 0, NULL, asked, NULL))
		return false;
	k.done = done;
	return true;
}

struct fast_hit fast_hits_get(uint64_t id)
{
	const struct slot *s = k.room && id ? find(id) : NULL;
	struct fast_hit h = { 0 };

	if (!s || !s->id)
		return h;
	h.hits = s->before.hits + s->told.hits - s->cleared.hits;
	h.bytes = s->before.bytes + s->told.bytes - s->cleared.bytes;
	h.last_ns = h.hits ? s->last_ns : 0;
	return h;
}

void fast_hits_clear(uint64_t id)
{
	struct slot *s = k.room && id ? find(id) : NULL;

	if (!s || !s->id)
		return;
	s->cleared.hits = s->before.hits + s->told.hits;
	s->cleared.bytes = s->before.bytes + s->told.bytes;
}

void fast_hits_fini(void)
{
	free(k.slot);
	k.slot = NULL;
	k.n = k.room = 0;
	k.done = NULL;
}
