/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fastpath/fast_hits.h"

#include "fastpath/fastpath.h"
#include "id_table.h"

struct count {
	uint64_t hits, bytes;
};

struct slot {
	uint64_t id;
	uint64_t last_ns;
	struct count told;   /* by the process that runs */
	struct count before; /* by those before it */
	struct count cleared;
	struct count coming; /* of the answer that is being given */
};

static struct {
	struct id_table slots;
	void (*done)(void);
} k = { .slots = ID_TABLE_INIT(struct slot) };

static struct slot *next(const struct slot *s)
{
	return id_table_next(&k.slots, s);
}

void fast_hits_take(const struct fastpath_hits *h)
{
	for (struct slot *s = h->again ? next(NULL) : NULL; s; s = next(s))
		s->coming = (struct count){ 0 };
	for (uint32_t i = 0; i < MIN(h->n, (uint32_t)FASTPATH_HITS_MAX); i++) {
		struct slot *s;

		if (!h->v[i].id)
			continue;
		/* A line may stand in several places. */
		s = id_table_take(&k.slots, h->v[i].id);
		s->coming.hits += h->v[i].hits;
		s->coming.bytes += h->v[i].bytes;
		s->last_ns = MAX(s->last_ns, h->v[i].last_ns);
	}
}

void fast_hits_taken(void)
{
	for (struct slot *s = next(NULL); s; s = next(s)) {
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
	const struct slot *s = id_table_find(&k.slots, id);
	struct fast_hit h = { 0 };

	if (!s)
		return h;
	h.hits = s->before.hits + s->told.hits - s->cleared.hits;
	h.bytes = s->before.bytes + s->told.bytes - s->cleared.bytes;
	h.last_ns = h.hits ? s->last_ns : 0;
	return h;
}

void fast_hits_clear(uint64_t id)
{
	struct slot *s = id_table_find(&k.slots, id);

	if (!s)
		return;
	s->cleared.hits = s->before.hits + s->told.hits;
	s->cleared.bytes = s->before.bytes + s->told.bytes;
}

void fast_hits_fini(void)
{
	id_table_fini(&k.slots);
	k.done = NULL;
}
