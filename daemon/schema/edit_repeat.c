/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: does a line without a number repeat one of its list?
 * Owns: hashes of the lines of the list that was asked for last, so that typing a long one does not
 * cost its square. They find a candidate only; what it is is looked up in the list.
 * Threads: rtrd's loop only. Failure: none.
 */
#include "hash.h"
#include "schema/edit.h"
#include "schema/types.h"

#include <stdlib.h>

static struct {
	const struct rec *parent;
	const struct sch_type *type;
	const struct rec *last; /* of the list; only compared */
	size_t n;               /* lines */
	size_t room;            /* a power of two, or 0 */
	struct slot {
		uint64_t hash;
		size_t line; /* + 1; 0: free */
	} * slot;
} known;

static bool is_auto_key(const struct sch_type *t, unsigned field)
{
	return t->n_key && t->key[0] == field;
}

static uint64_t line_hash(const struct rec *r)
{
	uint64_t h = r->present & ~(1ull << r->type->key[0]);
	struct strbuf b = STRBUF_INIT;

	for (unsigned i = 0; i < r->type->n_fields; i++) {
		const struct sch_field *f = &r->type->fields[i];
		uint64_t v;

		if (is_auto_key(r->type, i) || !(r->present >> i & 1))
			continue;
		if (f->spec.type) {
			strbuf_reset(&b);
			f->spec.type->print(&f->spec, sch_at(r, f), &b);
			h = hash_bytes(strbuf_str(&b), b.len, h);
		} else {
			v = sch_uint(r, f);
			h = hash_bytes(&v, sizeof(v), h);
		}
	}
	strbuf_fini(&b);
	return h;
}

static bool repeats(const struct rec *a, const struct rec *b)
{
	for (unsigned i = 0; i < a->type->n_fields; i++)
		if (!is_auto_key(a->type, i) && !rec_field_equal(a, b, i))
			return false;
	return true;
}

static void add(uint64_t hash, size_t line)
{
	size_t i = hash & (known.room - 1);

	while (known.slot[i].line)
		i = (i + 1) & (known.room - 1);
	known.slot[i] = (struct slot){ hash, line + 1 };
}

static void grow(size_t n)
{
	struct slot *old = known.slot;
	size_t room = known.room;

	if (2 * n < known.room)
		return;
	known.room = 64;
	while (known.room < 4 * n)
		known.room *= 2;
	known.slot = xcalloc(known.room, sizeof(*known.slot));
	for (size_t i = 0; i < room; i++)
		if (old[i].line)
			add(old[i].hash, old[i].line - 1);
	free(old);
}

void edit_repeat_forget(void)
{
	free(known.slot);
	known.slot = NULL;
	known.room = known.n = 0;
}

/* Lines that were typed since go behind those that are known; else all is looked at anew. */
static void learn(const struct rec *parent, const struct sch_type *t)
{
	const struct recvec *v = rec_kids(parent, t);

	if (known.parent != parent || known.type != t || known.n > v->len ||
	    (known.n && v->v[known.n - 1] != known.last))
		edit_repeat_forget();
	grow(v->len + 1);
	for (; known.n < v->len; known.n++)
		add(line_hash(v->v[known.n]), known.n);
	known.parent = parent;
	known.type = t;
	known.last = v->len ? v->v[v->len - 1] : NULL;
}

const struct rec *edit_repeated(const struct rec *parent, const struct rec *r)
{
	const struct sch_row *row = r->type->row;
	const struct recvec *v = rec_kids(parent, r->type);
	uint64_t hash;

	if (!row->once || (r->present >> r->type->key[0] & 1) || !rec_has(r, row->once))
		return NULL;
	learn(parent, r->type);
	hash = line_hash(r);
	for (size_t i = hash & (known.room - 1); known.slot[i].line;
	     i = (i + 1) & (known.room - 1)) {
		const struct rec *have = v->v[known.slot[i].line - 1];

		if (known.slot[i].hash == hash && repeats(have, r))
			return have;
	}
	return NULL;
}
