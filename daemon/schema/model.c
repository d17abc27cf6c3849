/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema/model.h"

#include <string.h>

static const struct recvec empty_vec = { .refs = 1 };

static struct recvec *vec_ref(struct recvec *v)
{
	if (v)
		v->refs++;
	return v;
}

static struct recvec *vec_unref(struct recvec *v)
{
	if (!v || --v->refs)
		return NULL;
	for (size_t i = 0; i < v->len; i++)
		rec_unref(v->v[i]);
	free(v);
	return NULL;
}

struct rec *rec_new(const struct sch_type *t)
{
	struct rec *r = xcalloc(1, t->size);

	r->type = t;
	r->refs = 1;
	if (t->n_kids)
		r->kids = xcalloc(t->n_kids, sizeof(*r->kids));
	return r;
}

struct rec *rec_ref(const struct rec *r)
{
	struct rec *w = (struct rec *)(uintptr_t)r;

	w->refs++;
	return w;
}

struct rec *rec_unref(struct rec *r)
{
	if (!r || --r->refs)
		return NULL;
	for (unsigned i = 0; i < r->type->n_kids; i++)
		vec_unref(r->kids[i]);
	free(r->kids);
	for (unsigned i = 0; i < r->type->n_fields; i++) {
		const struct sch_field *f = &r->type->fields[i];

		if (f->spec.type)
			val_free(f->spec.type, sch_at(r, f));
	}
	free(r);
	return NULL;
}

static struct rec *rec_clone(const struct rec *r)
{
	struct rec *c = xmalloc(r->type->size);

	memcpy(c, r, r->type->size);
	c->refs = 1;
	if (r->type->n_kids) {
		c->kids = xcalloc(r->type->n_kids, sizeof(*c->kids));
		for (unsigned i = 0; i < r->type->n_kids; i++)
			c->kids[i] = vec_ref(r->kids[i]);
	}
	for (unsigned i = 0; i < r->type->n_fields; i++) {
		const struct sch_field *f = &r->type->fields[i];
		char **s = sch_at(c, f);

		if (f->spec.type && f->spec.type->is_text && *s)
			*s = xstrdup(*s);
	}
	return c;
}

struct rec *rec_key_copy(const struct rec *r)
{
	struct rec *k = rec_new(r->type);

	for (unsigned i = 0; i < r->type->n_key; i++)
		rec_copy_field(k, r, r->type->key[i]);
	return k;
}

struct rec *model_new(void)
{
	return rec_new(&global_type);
}

const struct recvec *rec_kids(const struct rec *r, const struct sch_type *kid)
{
	const struct recvec *v = kid->parent == r->type ? r->kids[kid->kid_no] : NULL;

	return v ? v : &empty_vec;
}

const struct rec *rec_only(const struct rec *parent, const struct sch_type *kid)
{
	const struct recvec *v = rec_kids(parent, kid);

	return v->len ? v->v[0] : NULL;
}

bool rec_has(const struct rec *r, const char *field)
{
	int i = sch_field_find(r->type, field);

	return i >= 0 && (r->present >> i & 1);
}

static int field_cmp(const struct rec *a, const struct rec *b, unsigned i)
{
	const struct sch_field *f = &a->type->fields[i];
	uint64_t x, y;

	if (f->spec.type)
		return val_cmp(f->spec.type, sch_at(a, f), sch_at(b, f));
	x = sch_uint(a, f);
	y = sch_uint(b, f);
	return x < y ? -1 : x > y;
}

int rec_key_cmp(const struct rec *a, const struct rec *b)
{
	for (unsigned i = 0; i < a->type->n_key; i++) {
		int c = field_cmp(a, b, a->type->key[i]);

		if (c)
			return c;
	}
	return 0;
}

int rec_order_cmp(const struct rec *a, const struct rec *b)
{
	const struct sch_row *row = a->type->row;
	int c = row && row->cmp ? row->cmp(a, b) : 0;

	return c ? c : rec_key_cmp(a, b);
}

bool rec_field_equal(const struct rec *a, const struct rec *b, unsigned i)
{
	return (a->present >> i & 1) == (b->present >> i & 1) &&
	       (!(a->present >> i & 1) || !field_cmp(a, b, i));
}

bool rec_equal_fields(const struct rec *a, const struct rec *b)
{
	for (unsigned i = 0; i < a->type->n_fields; i++) {
		if (!rec_field_equal(a, b, i))
			return false;
	}
	return true;
}

bool model_equal(const struct rec *a, const struct rec *b)
{
	if (a == b)
		return true;
	if (!rec_equal_fields(a, b))
		return false;
	for (unsigned k = 0; k < a->type->n_kids; k++) {
		const struct recvec *x = rec_kids(a, a->type->kids[k]);
		const struct recvec *y = rec_kids(b, b->type->kids[k]);

		if (x == y)
			continue;
		if (x->len != y->len)
			return false;
		for (size_t i = 0; i < x->len; i++) {
			if (!model_equal(x->v[i], y->v[i]))
				return false;
		}
	}
	return true;
}

/* ---- places in a vector ---- */

/*
 * The first place whose record is not before `like`. With a row's own order the key alone does
 * not lead there, so finding walks; those lists are short (addresses of an interface).
 */
static size_t vec_place(const struct recvec *v, const struct rec *like)
{
	size_t lo = 0, hi = v->len;

	/* Configurations come sorted: the end first. */
	if (hi && rec_order_cmp(v->v[hi - 1], like) < 0)
		return hi;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rec_order_cmp(v->v[mid], like) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static size_t vec_find(const struct recvec *v, const struct rec *like)
{
	if (like->type->row && like->type->row->cmp) {
		for (size_t i = 0; i < v->len; i++) {
			if (!rec_key_cmp(v->v[i], like))
				return i;
		}
		return v->len;
	} else {
		size_t i = vec_place(v, like);

		return i < v->len && !rec_key_cmp(v->v[i], like) ? i : v->len;
	}
}

const struct rec *rec_find(const struct rec *parent, const struct sch_type *kid,
			   const struct rec *like)
{
	const struct recvec *v = rec_kids(parent, kid);
	size_t i = vec_find(v, like);

	return i < v->len ? v->v[i] : NULL;
}

/* ---- editing ---- */

struct rec *rec_mut(struct rec **slot)
{
	if ((*slot)->refs > 1) {
		struct rec *c = rec_clone(*slot);

		rec_unref(*slot);
		*slot = c;
	}
	return *slot;
}

/* Makes the vector exclusive, with room for one more. */
static struct recvec *vec_mut(struct recvec **slot)
{
	struct recvec *v = *slot;

	if (!v || v->refs > 1) {
		size_t len = v ? v->len : 0, room = len + len / 4 + 4;
		struct recvec *c = xmalloc(sizeof(*c) + room * sizeof(*c->v));

		c->refs = 1;
		c->len = len;
		c->room = room;
		for (size_t i = 0; i < len; i++)
			c->v[i] = rec_ref(v->v[i]);
		vec_unref(v);
		v = c;
	} else if (v->len == v->room) {
		v->room = v->room * 2;
		v = xrealloc(v, sizeof(*v) + v->room * sizeof(*v->v));
	}
	*slot = v;
	return v;
}

struct rec *rec_mut_kid(struct rec *parent, const struct rec *like)
{
	const struct recvec *have = rec_kids(parent, like->type);
	size_t i = vec_find(have, like);

	if (i == have->len)
		return NULL;
	return rec_mut(&vec_mut(&parent->kids[like->type->kid_no])->v[i]);
}

struct rec *rec_put(struct rec *parent, struct rec *kid)
{
	struct recvec *v = vec_mut(&parent->kids[kid->type->kid_no]);
	size_t i = vec_find(v, kid);

	if (i < v->len) {
		rec_unref(v->v[i]);
		memmove(v->v + i, v->v + i + 1, (v->len - i - 1) * sizeof(*v->v));
		v->len--;
	}
	i = vec_place(v, kid);
	memmove(v->v + i + 1, v->v + i, (v->len - i) * sizeof(*v->v));
	v->v[i] = kid;
	v->len++;
	return kid;
}

bool rec_remove(struct rec *parent, const struct rec *like)
{
	const struct recvec *have = rec_kids(parent, like->type);
	size_t i = vec_find(have, like);
	struct recvec *v;

	if (i == have->len)
		return false;
	v = vec_mut(&parent->kids[like->type->kid_no]);
	rec_unref(v->v[i]);
	memmove(v->v + i, v->v + i + 1, (v->len - i - 1) * sizeof(*v->v));
	if (!--v->len)
		parent->kids[like->type->kid_no] = vec_unref(v);
	return true;
}

void rec_set_present(struct rec *r, unsigned field, bool on)
{
	if (on)
		r->present |= 1ull << field;
	else
		r->present &= ~(1ull << field);
}

void rec_clear_field(struct rec *r, unsigned field)
{
	const struct sch_field *f = &r->type->fields[field];

	if (f->spec.type)
		val_free(f->spec.type, sch_at(r, f));
	memset(sch_at(r, f), 0, f->size);
	rec_set_present(r, field, false);
}

void rec_copy_field(struct rec *to, const struct rec *from, unsigned field)
{
	const struct sch_field *f = &to->type->fields[field];
	char **s = sch_at(to, f);

	rec_clear_field(to, field);
	memcpy(sch_at(to, f), sch_at(from, f), f->size);
	if (f->spec.type && f->spec.type->is_text && *s)
		*s = xstrdup(*s);
	rec_set_present(to, field, from->present >> field & 1);
}

/* ---- difference ---- */

struct differ {
	model_change_fn fn;
	void *arg;
	struct model_change at; /* around, depth: where the walk is */
};

static void diff_rec(struct differ *d, const struct rec *o, const struct rec *n);

static void diff_kids(struct differ *d, const struct rec *o, const struct rec *n,
		      const struct sch_type *kid)
{
	const struct recvec *x = o ? rec_kids(o, kid) : &empty_vec;
	const struct recvec *y = n ? rec_kids(n, kid) : &empty_vec;
	size_t i = 0, j = 0;

	if (x == y)
		return;
	while (i < x->len || j < y->len) {
		int c;

		if (i < x->len && j < y->len && x->v[i] == y->v[j]) {
			i++, j++;
			continue;
		}
		c = i == x->len ? 1 : j == y->len ? -1 : rec_order_cmp(x->v[i], y->v[j]);
		if (c < 0)
			diff_rec(d, x->v[i++], NULL);
		else if (c > 0)
			diff_rec(d, NULL, y->v[j++]);
		else
			diff_rec(d, x->v[i++], y->v[j++]);
	}
}

static void diff_rec(struct differ *d, const struct rec *o, const struct rec *n)
{
	const struct rec *any = n ? n : o;

	if (o == n)
		return;
	if (!o || !n || !rec_equal_fields(o, n)) {
		struct model_change c = d->at;

		c.old = o;
		c.new = n;
		d->fn(d->arg, &c);
	}
	if (!any->type->n_kids || d->at.depth == MODEL_MAX_DEPTH)
		return;
	if (any->type->row)
		d->at.around[d->at.depth++] = any;
	for (unsigned k = 0; k < any->type->n_kids; k++)
		diff_kids(d, o, n, any->type->kids[k]);
	if (any->type->row)
		d->at.depth--;
}

void model_diff(const struct rec *old, const struct rec *new, model_change_fn fn, void *arg)
{
	struct differ d = { .fn = fn, .arg = arg };

	diff_rec(&d, old, new);
}
