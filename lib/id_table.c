/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "id_table.h"

#include "hash.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>

static uint64_t id_of(const void *r)
{
	return *(const uint64_t *)r;
}

/* Where it is, or where it would be. */
static void *place(const struct id_table *t, uint64_t id)
{
	for (size_t i = hash_mix64(id);; i++) {
		void *r = t->slot + (i & (t->room - 1)) * t->size;

		if (id_of(r) == id || !id_of(r))
			return r;
	}
}

void *id_table_find(const struct id_table *t, uint64_t id)
{
	void *r = t->room && id ? place(t, id) : NULL;

	return r && id_of(r) ? r : NULL;
}

static void grow(struct id_table *t)
{
	struct id_table old = *t;

	t->room = MAX(2 * old.room, (size_t)64);
	t->slot = xcalloc(t->room, t->size);
	for (void *r = id_table_next(&old, NULL); r; r = id_table_next(&old, r))
		memcpy(place(t, id_of(r)), r, t->size);
	free(old.slot);
}

void *id_table_take(struct id_table *t, uint64_t id)
{
	uint64_t *r;

	if (2 * (t->n + 1) > t->room)
		grow(t);
	r = place(t, id);
	t->n += !*r;
	*r = id;
	return r;
}

void *id_table_next(const struct id_table *t, const void *r)
{
	const uint8_t *p = r;
	uint8_t *end = t->slot + t->room * t->size;

	for (uint8_t *at = p ? (uint8_t *)(uintptr_t)p + t->size : t->slot; at < end; at += t->size)
		if (id_of(at))
			return at;
	return NULL;
}

void id_table_fini(struct id_table *t)
{
	free(t->slot);
	*t = (struct id_table){ .size = t->size };
}
