/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema/edit.h"
#include "schema/text.h"

#include <errno.h>
#include <string.h>

void editor_init(struct editor *e, const struct rec *root)
{
	*e = (struct editor){ .root = rec_ref(root) };
}

void editor_fini(struct editor *e)
{
	editor_top(e);
	e->root = rec_unref(e->root);
}

void edit_error_fini(struct edit_error *err)
{
	strbuf_fini(&err->text);
}

void editor_leave(struct editor *e)
{
	if (e->depth)
		rec_unref(e->at[--e->depth]);
}

static void forget_refused(struct editor *e)
{
	free(e->refused_line);
	e->refused_line = NULL;
	e->n_refused = 0;
}

void editor_top(struct editor *e)
{
	while (e->depth)
		editor_leave(e);
	forget_refused(e);
}

void editor_refuse(struct editor *e, const struct sch_type *t, const char *line)
{
	forget_refused(e);
	e->refused[e->n_refused++] = t;
	e->refused_line = xstrdup(line);
}

bool editor_leave_refused(struct editor *e)
{
	if (!e->n_refused)
		return false;
	if (!--e->n_refused)
		forget_refused(e);
	return true;
}

const struct sch_type *editor_mode(const struct editor *e)
{
	return e->depth ? e->at[e->depth - 1]->type : &global_type;
}

bool editor_buffered(const struct editor *e)
{
	for (unsigned i = 0; i < e->depth; i++) {
		if (e->at[i]->type->row->buffered)
			return true;
	}
	return false;
}

void editor_rebase(struct editor *e, const struct rec *root)
{
	const struct rec *r = root;
	unsigned i;

	rec_unref(e->root);
	e->root = rec_ref(root);
	for (i = 0; i < e->depth; i++) {
		r = rec_find(r, e->at[i]->type, e->at[i]);
		if (!r)
			break;
	}
	while (e->depth > i)
		editor_leave(e);
}

/* The record of mode number `depth` for writing; NULL when it is gone. */
static struct rec *target(struct editor *e, unsigned depth)
{
	struct rec *r = rec_mut(&e->root);

	for (unsigned i = 0; i < depth && r; i++)
		r = rec_mut_kid(r, e->at[i]);
	return r;
}

/* The same for looking only. */
static const struct rec *peek(const struct editor *e, unsigned depth)
{
	const struct rec *r = e->root;

	for (unsigned i = 0; i < depth && r; i++)
		r = rec_find(r, e->at[i]->type, e->at[i]);
	return r;
}

static const struct sch_type *type_at(const struct editor *e, unsigned depth)
{
	return depth ? e->at[depth - 1]->type : &global_type;
}

/* ---- one matched line -> fields ---- */

/* Puts what the thread captured into r, a record of the line's type. */
static void take(const struct sch_line *l, const struct syn_thread *t, const struct syn_words *w,
		 struct rec *r)
{
	for (unsigned i = 0; i < l->prog.n_values; i++) {
		unsigned n = (unsigned)l->value_field[i];
		const struct sch_field *f = &r->type->fields[n];
		bool before = r->present >> n & 1;

		if (before)
			continue; /* the same field in two alternatives */
		if (!syn_capture(t, w, i, sch_at(r, f)))
			rec_set_present(r, n, true);
	}
	for (unsigned i = 0; i < l->prog.n_sets; i++) {
		unsigned n = (unsigned)l->set_field[i];

		if (!(t->set_mask >> i & 1))
			continue;
		sch_set_uint(r, &r->type->fields[n], t->set[i]);
		rec_set_present(r, n, true);
	}
}

/* True when leaf field n of r, just set, is what holds without it. */
static bool is_default(const struct sch_line *l, const struct rec *r, unsigned n)
{
	const struct sch_field *f = &r->type->fields[n];
	struct strbuf b = STRBUF_INIT;
	bool same;

	if (l->row->flag)
		return sch_uint(r, f) == (l->row->dflt && !strcmp(l->row->dflt, "on"));
	if (l->row->dflt && f->choice)
		return !strcmp(sch_choice_word(f, (unsigned)sch_uint(r, f)), l->row->dflt);
	if (!l->row->dflt || !f->spec.type)
		return false;
	f->spec.type->print(&f->spec, sch_at(r, f), &b);
	same = !strcmp(strbuf_str(&b), l->row->dflt);
	strbuf_fini(&b);
	return same;
}

static void normalise(const struct sch_line *l, struct rec *r)
{
	if (l->row->kind != SCH_K_LEAF || !l->row->dflt)
		return;
	if (l->row->flag) {
		unsigned n = (unsigned)sch_field_find(r->type, l->row->flag);

		if (is_default(l, r, n))
			rec_clear_field(r, n);
	} else if (l->prog.n_values == 1 && is_default(l, r, (unsigned)l->value_field[0])) {
		rec_clear_field(r, (unsigned)l->value_field[0]);
	} else if (!l->prog.n_values && l->prog.n_sets == 1 &&
		   is_default(l, r, (unsigned)l->set_field[0])) {
		rec_clear_field(r, (unsigned)l->set_field[0]);
	}
}

void edit_normalise(struct rec *r)
{
	struct sch_line *const *lines;
	size_t n = schema_lines(r->type, &lines);

	for (size_t i = 0; i < n; i++) {
		if (lines[i]->row->type == r->type)
			normalise(lines[i], r);
	}
}

static bool is_key(const struct sch_type *t, unsigned field)
{
	for (unsigned i = 0; i < t->n_key; i++) {
		if (t->key[i] == field)
			return true;
	}
	return false;
}

/* The fields that a line sets, as a mask; a list's key is not among them. */
static uint64_t line_fields(const struct sch_line *l)
{
	const struct sch_type *t = l->row->type;
	uint64_t mask = 0;

	for (unsigned i = 0; i < l->prog.n_values; i++) {
		unsigned n = (unsigned)l->value_field[i];

		if (l->row->type == l->container || !is_key(t, n))
			mask |= 1ull << n;
	}
	for (unsigned i = 0; i < l->prog.n_sets; i++) {
		if (!is_key(t, (unsigned)l->set_field[i]))
			mask |= 1ull << l->set_field[i];
	}
	if (l->row->flag)
		mask |= 1ull << sch_field_find(t, l->row->flag);
	return mask;
}

static bool equal_on(const struct rec *a, const struct rec *b, uint64_t mask)
{
	for (unsigned i = 0; i < a->type->n_fields; i++) {
		if ((mask >> i & 1) && !rec_field_equal(a, b, i))
			return false;
	}
	return true;
}

static void copy_on(struct rec *to, const struct rec *from, uint64_t mask)
{
	for (unsigned i = 0; i < to->type->n_fields; i++) {
		if (mask >> i & 1)
			rec_copy_field(to, from, i);
	}
}

/* What an edit came to. Everything that can be refused is found before the first change, so that
 * no copy of the model has to be kept for going back. */
enum outcome { REFUSED, SAME, CHANGED };

static enum outcome refuse(struct edit_error *err, const char *why, const struct rec *what)
{
	err->status = SYN_OK;
	strbuf_adds(&err->text, why);
	if (what) {
		struct strbuf b = STRBUF_INIT;

		text_rec(what, &b);
		strbuf_adds(&err->text, strbuf_str(&b));
		strbuf_fini(&b);
	}
	return REFUSED;
}

static enum outcome gone(struct edit_error *err)
{
	return refuse(err, "the mode that this line belongs to no longer exists", NULL);
}

static enum outcome set_leaf(struct editor *e, unsigned depth, const struct sch_line *l,
			     struct rec *fields, struct edit_error *err)
{
	const struct rec *have = peek(e, depth);
	bool in_list = l->row->type != l->container;
	uint64_t mask = line_fields(l);
	struct rec *r;

	if (!have)
		return gone(err);
	if (in_list)
		have = rec_find(have, fields->type, fields);
	if (!have && fields->type->row->creates)
		return refuse(err, "not configured yet: ", fields);
	if (l->row->flag) {
		unsigned n = (unsigned)sch_field_find(fields->type, l->row->flag);

		sch_set_uint(fields, &fields->type->fields[n], 1);
		rec_set_present(fields, n, true);
	}
	normalise(l, fields);
	if (have && equal_on(have, fields, mask))
		return SAME;
	r = target(e, depth);
	if (in_list && have)
		r = rec_mut_kid(r, fields);
	else if (in_list)
		r = rec_put(r, rec_key_copy(fields));
	copy_on(r, fields, mask);
	return CHANGED;
}

bool edit_auto_key(const struct rec *parent, struct rec *r)
{
	const struct sch_type *t = r->type;
	const struct sch_field *f = t->n_key ? &t->fields[t->key[0]] : NULL;
	const struct recvec *v = rec_kids(parent, t);
	uint64_t step = t->row->auto_key, next;

	if (!step || (r->present >> t->key[0] & 1))
		return true;
	next = ((v->len ? sch_uint(v->v[v->len - 1], f) : 0) / step + 1) * step;
	if (next > f->spec.hi)
		return false;
	sch_set_uint(r, f, next);
	rec_set_present(r, t->key[0], true);
	return true;
}

/* Takes away what the record just typed displaces. */
static void displace(struct editor *e, unsigned depth, const struct rec *typed)
{
	const struct recvec *v = rec_kids(peek(e, depth), typed->type);

	for (size_t i = 0; i < v->len && typed->type->row->displaces; i++) {
		struct rec *old = v->v[i];

		if (!rec_key_cmp(old, typed) || !typed->type->row->displaces(typed, old))
			continue;
		rec_ref(old);
		rec_remove(target(e, depth), old);
		rec_unref(old);
		v = rec_kids(peek(e, depth), typed->type);
		i = (size_t)-1;
	}
}

static enum outcome put_list(struct editor *e, unsigned depth, const struct sch_line *l,
			     struct rec *fields, struct edit_error *err)
{
	const struct rec *parent = peek(e, depth), *have;
	struct rec *r;

	if (!parent)
		return gone(err);
	have = edit_repeated(parent, fields);
	if (have) {
		err->repeated = true;
		text_rec(have, &err->text);
		return SAME;
	}
	if (fields->type->row->once && (fields->present >> fields->type->key[0] & 1))
		edit_repeat_forget();
	if (!edit_auto_key(parent, fields))
		return refuse(err, "no number is left after the last line; resequence", NULL);
	have = rec_find(parent, fields->type, fields);
	if (have && equal_on(have, fields, line_fields(l)))
		return SAME;
	if (!have) {
		rec_put(target(e, depth), rec_ref(fields));
		displace(e, depth, fields);
		return CHANGED;
	}
	/* The order of a list may hang on any field, so the record is put in its place anew. */
	r = rec_ref(have);
	rec_mut(&r);
	copy_on(r, fields, line_fields(l));
	rec_put(target(e, depth), r);
	displace(e, depth, fields);
	return CHANGED;
}

/* A new record without a place of its own goes after the others. */
static void auto_order(const struct rec *parent, struct rec *r)
{
	const struct recvec *v = rec_kids(parent, r->type);
	int n = r->type->row->auto_order ? sch_field_find(r->type, r->type->row->auto_order) : -1;
	const struct sch_field *f = n < 0 ? NULL : &r->type->fields[n];

	if (!f || (r->present >> n & 1))
		return;
	sch_set_uint(r, f, (v->len ? sch_uint(v->v[v->len - 1], f) : 0) + 10);
	rec_set_present(r, (unsigned)n, true);
}

/* The key alone enters a mode that exists; with more of the line, that is what holds from now. */
static enum outcome enter_mode(struct editor *e, unsigned depth, const struct sch_line *l,
			       struct rec *fields, struct edit_error *err)
{
	const struct sch_type *t = fields->type;
	const struct rec *parent = peek(e, depth), *only, *have;
	uint64_t mask = line_fields(l);
	struct rec *r;
	enum outcome out = SAME;

	if (!parent)
		return gone(err);
	only = rec_only(parent, t);
	if (t->row->single && only && rec_key_cmp(only, fields))
		return refuse(err, "there can be only one, and there is: ", only);
	have = rec_find(parent, t, fields);
	if (!have) {
		auto_order(parent, fields);
		rec_put(target(e, depth), rec_ref(fields));
		out = CHANGED;
	} else if ((fields->present & mask) && !equal_on(have, fields, mask)) {
		/* The order may hang on what changed, so the record is put in its place anew. */
		r = rec_ref(have);
		rec_mut(&r);
		copy_on(r, fields, mask);
		rec_put(target(e, depth), r);
		out = CHANGED;
	}
	while (e->depth > depth)
		editor_leave(e);
	e->at[e->depth++] = rec_key_copy(fields);
	return out;
}

/* ---- no, default ---- */

/* True when r agrees with all that `fields` has. */
static bool agrees(const struct rec *r, const struct rec *fields, bool exact)
{
	for (unsigned i = 0; i < r->type->n_fields; i++) {
		bool has = fields->present >> i & 1;

		if (has && !rec_field_equal(r, fields, i))
			return false;
		if (exact && !has && is_key(r->type, i) && (r->present >> i & 1))
			return false;
	}
	return true;
}

static bool has_key(const struct rec *fields)
{
	for (unsigned i = 0; i < fields->type->n_key; i++)
		if (!(fields->present >> fields->type->key[i] & 1))
			return false;
	return fields->type->n_key;
}

/* `no` takes a prefix of the line: all records that it describes go; one that it names exactly
 * goes alone. */
static enum outcome remove_matching(struct editor *e, unsigned depth, const struct rec *fields)
{
	const struct recvec *v = rec_kids(peek(e, depth), fields->type);
	struct rec **doomed, *one;
	size_t n = 0;

	/* Of 10,000 lines the one with the number that was typed. */
	if (has_key(fields)) {
		one = (struct rec *)(uintptr_t)rec_find(peek(e, depth), fields->type, fields);
		if (!one || !agrees(one, fields, true))
			return SAME;
		rec_ref(one);
		edit_repeat_forget();
		rec_remove(target(e, depth), one);
		rec_unref(one);
		return CHANGED;
	}
	doomed = xcalloc(v->len, sizeof(*doomed));
	for (size_t i = 0; i < v->len && !n; i++) {
		if (agrees(v->v[i], fields, true))
			doomed[n++] = rec_ref(v->v[i]);
	}
	for (size_t i = 0, exact = n; i < v->len && !exact; i++) {
		if (agrees(v->v[i], fields, false))
			doomed[n++] = rec_ref(v->v[i]);
	}
	if (n)
		edit_repeat_forget();
	for (size_t i = n; i-- > 0;) {
		rec_remove(target(e, depth), doomed[i]);
		rec_unref(doomed[i]);
	}
	free(doomed);
	return n ? CHANGED : SAME;
}

/* Does a `no` line say which record it means? Without anything of the key ("no ip address") it
 * means whatever there is, be it nothing. */
static bool names_some(const struct rec *fields)
{
	for (unsigned i = 0; i < fields->type->n_key; i++) {
		if (fields->present >> fields->type->key[i] & 1)
			return true;
	}
	return false;
}

static void clear_fields(struct rec *r, const struct sch_line *l, bool is_no)
{
	uint64_t mask = line_fields(l);

	for (unsigned i = 0; i < r->type->n_fields; i++) {
		if (mask >> i & 1)
			rec_clear_field(r, i);
	}
	/* `no` of a flag that is on by default is a setting of its own. */
	if (l->row->flag && is_no && l->row->dflt && !strcmp(l->row->dflt, "on"))
		rec_set_present(r, (unsigned)sch_field_find(r->type, l->row->flag), true);
}

static enum outcome clear_leaf(struct editor *e, unsigned depth, const struct sch_line *l,
			       const struct rec *fields, bool is_no)
{
	const struct rec *have = peek(e, depth);
	bool in_list = l->row->type != l->container;
	struct rec *r;

	if (in_list)
		have = rec_find(have, fields->type, fields);
	if (!have)
		return SAME;
	r = rec_ref(have);
	rec_mut(&r);
	clear_fields(r, l, is_no);
	if (rec_equal_fields(r, have)) {
		rec_unref(r);
		return SAME;
	}
	rec_unref(r);
	r = target(e, depth);
	clear_fields(in_list ? rec_mut_kid(r, fields) : r, l, is_no);
	return CHANGED;
}

static enum outcome negate_line(struct editor *e, unsigned depth, const struct sch_line *l,
				const struct syn_thread *t, const struct syn_words *w, bool is_no,
				bool *ret_absent)
{
	struct rec *fields = rec_new(l->row->type);
	enum outcome out;

	take(l, t, w, fields);
	if (l->row->kind == SCH_K_LEAF)
		out = clear_leaf(e, depth, l, fields, is_no);
	else
		out = remove_matching(e, depth, fields);
	*ret_absent = l->row->kind != SCH_K_LEAF && out == SAME && names_some(fields);
	rec_unref(fields);
	return out;
}

/* A choice is taken as given only when a word of it was read. */
static struct syn_thread heed_read_choices(const struct syn_thread *t)
{
	struct syn_thread c = *t;

	if (!t->done)
		c.set_mask = t->set_read;
	return c;
}

static bool can_negate(const struct syn_thread *t)
{
	if (t->in_value || t->words < t->prog->lead_words)
		return false;
	return t->prog->lead_words || t->n_caps || t->words;
}

static enum outcome negate(struct editor *e, unsigned depth, const struct syn_words *w,
			   const struct syn_result *res, bool is_no, struct edit_error *err)
{
	enum outcome out = REFUSED, one;
	bool absent = false;

	if (!peek(e, depth))
		return gone(err);
	for (size_t i = 0; i < res->n_threads; i++) {
		struct syn_thread t = heed_read_choices(&res->thread[i]);
		bool seen = false;

		for (size_t k = 0; k < i; k++)
			seen |= res->thread[k].prog == t.prog && res->thread[k].done;
		if (seen || !can_negate(&t))
			continue;
		one = negate_line(e, depth, t.prog->owner, &t, w, is_no, &absent);
		out = MAX(out, one);
		err->absent |= is_no && absent;
	}
	err->absent &= out == SAME;
	if (out == REFUSED)
		err->status = SYN_INCOMPLETE;
	while (e->depth && !peek(e, e->depth))
		editor_leave(e);
	return out;
}

/* ---- a line ---- */

static size_t skip_no(const struct syn_words *w, bool *ret_no, bool *ret_default)
{
	*ret_no = w->n && !strcasecmp(w->tok[0], "no");
	*ret_default = w->n && strlen(w->tok[0]) >= 3 &&
		       !strncasecmp(w->tok[0], "default", strlen(w->tok[0]));
	return *ret_no || *ret_default;
}

/* A line written out in an outer mode is that line, though the inner one could take it for an
 * abbreviation: `zone security X` below an interface is no zone-member. */
static bool understands_better(const struct syn_result *outer, const struct syn_result *inner)
{
	bool written_out = inner->abbreviated && !outer->abbreviated;

	if (outer->status == SYN_OK)
		return inner->status != SYN_OK || written_out;
	if (outer->status == SYN_INCOMPLETE && inner->status == SYN_INCOMPLETE)
		return written_out;
	return inner->status == SYN_INVALID &&
	       (outer->status != SYN_INVALID || outer->bad > inner->bad);
}

/*
 * Matches at the current mode, then at those around it: a line of an outer mode typed in an inner
 * one leaves it, as people do on IOS. Returns the depth that understood it.
 */
static unsigned match_outwards(const struct editor *e, const struct syn_words *w, size_t from,
			       size_t to, struct syn_result *ret)
{
	unsigned best_depth = e->depth;

	syn_match(schema_set(type_at(e, e->depth)), w, from, to, ret);
	for (unsigned d = e->depth; d-- > 0 && (ret->status != SYN_OK || ret->abbreviated);) {
		struct syn_result outer;

		syn_match(schema_set(type_at(e, d)), w, from, to, &outer);
		if (understands_better(&outer, ret)) {
			syn_result_fini(ret);
			*ret = outer;
			best_depth = d;
		} else {
			syn_result_fini(&outer);
		}
	}
	return best_depth;
}

void editor_match(const struct editor *e, const struct syn_words *w, size_t to, size_t *ret_from,
		  struct syn_result *ret)
{
	bool no, dflt;

	*ret_from = MIN(skip_no(w, &no, &dflt), to);
	match_outwards(e, w, *ret_from, to, ret);
}

static enum outcome apply_match(struct editor *e, unsigned depth, const struct syn_words *w,
				const struct syn_thread *t, struct edit_error *err)
{
	const struct sch_line *l = t->prog->owner;
	struct rec *fields = rec_new(l->row->type);
	enum outcome out;

	take(l, t, w, fields);
	if (l->row->kind == SCH_K_MODE)
		out = enter_mode(e, depth, l, fields, err);
	else if (l->row->kind == SCH_K_LIST)
		out = put_list(e, depth, l, fields, err);
	else
		out = set_leaf(e, depth, l, fields, err);
	while (out != REFUSED && l->row->kind != SCH_K_MODE && e->depth > depth)
		editor_leave(e);
	rec_unref(fields);
	return out;
}

/* ---- modes that were refused ---- */

static const struct sch_row *row_of(const struct syn_thread *t)
{
	return ((const struct sch_line *)t->prog->owner)->row;
}

/* The type of the mode that the words are about, as far as they are understood; NULL: of none, or
 * they may be about something else. */
static const struct sch_type *mode_meant(const struct sch_type *outer, const struct syn_words *w,
					 const struct syn_result *res)
{
	size_t to = res->status == SYN_INVALID || res->status == SYN_AMBIGUOUS ? res->bad : w->n;
	const struct sch_type *t = NULL;
	struct syn_result r;

	if (!to)
		return NULL;
	syn_match(schema_set(outer), w, 0, to, &r);
	for (size_t i = 0; i < r.n_threads; i++) {
		const struct sch_row *row = row_of(&r.thread[i]);

		if (row->kind != SCH_K_MODE || (t && row->type != t)) {
			t = NULL;
			break;
		}
		t = row->type;
	}
	syn_result_fini(&r);
	return t;
}

/* True when a line is one of the refused mode, or of one inside it, and not rather one of those
 * around it. */
static bool is_refused(struct editor *e, const struct syn_words *w, size_t from,
		       const struct syn_result *outer)
{
	bool is = false;

	for (unsigned i = e->n_refused; i-- > 0 && !is;) {
		struct syn_result r;

		syn_match(schema_set(e->refused[i]), w, from, w->n, &r);
		is = r.status == SYN_OK && !understands_better(outer, &r);
		if (is) {
			e->n_refused = i + 1;
			if (!from && row_of(&r.thread[0])->kind == SCH_K_MODE &&
			    e->n_refused < MODEL_MAX_DEPTH)
				e->refused[e->n_refused++] = row_of(&r.thread[0])->type;
		}
		syn_result_fini(&r);
	}
	return is;
}

/* A line that names a mode leaves the one that it is typed in, whether it can be entered or not:
 * what follows was never meant for that. */
static void after_refusal(struct editor *e, unsigned depth, const char *line,
			  const struct syn_words *w, const struct syn_result *res)
{
	const struct sch_type *t = mode_meant(type_at(e, depth), w, res);

	if (!t)
		return;
	while (e->depth > depth)
		editor_leave(e);
	editor_refuse(e, t, line);
}

/* Letters left out, put in, others, or two the wrong way round. */
#define TYPO_EDITS      2
#define TYPO_LETTER_MIN 4
#define TYPO_LETTER_MAX 24

static bool is_typo(const char *typed, const char *word)
{
	size_t n = strlen(typed), m = strlen(word);
	size_t d[TYPO_LETTER_MAX + 1][TYPO_LETTER_MAX + 1];

	if (n < TYPO_LETTER_MIN || MAX(n, m) > TYPO_LETTER_MAX)
		return false;
	for (size_t i = 0; i <= n; i++) {
		for (size_t k = 0; k <= m; k++) {
			size_t other;

			d[i][k] = i + k;
			if (!i || !k)
				continue;
			other = d[i - 1][k - 1] + (typed[i - 1] != word[k - 1]);
			d[i][k] = MIN(other, MIN(d[i - 1][k], d[i][k - 1]) + 1);
			if (i > 1 && k > 1 && typed[i - 1] == word[k - 2] &&
			    typed[i - 2] == word[k - 1])
				d[i][k] = MIN(d[i][k], d[i - 2][k - 2] + 1);
		}
	}
	return d[n][m] <= TYPO_EDITS;
}

/* The mode that the line is about with another first word; NULL: of none. */
static const struct sch_type *mode_with(const struct sch_type *outer, const char *word,
					const char *line, const struct syn_words *w)
{
	char *text = xasprintf("%s%s", word, line + w->col[0] + strlen(w->tok[0]));
	const struct sch_type *t;
	struct syn_words other;
	struct syn_result res;

	syn_words_init(&other, text);
	syn_match(schema_set(outer), &other, 0, other.n, &res);
	t = mode_meant(outer, &other, &res);
	syn_result_fini(&res);
	syn_words_fini(&other);
	free(text);
	return t;
}

/* `intreface eth1` was meant to leave `interface eth0`, and what follows for neither. */
static void guess_mode(struct editor *e, const char *line, const struct syn_words *w,
		       struct edit_error *err)
{
	for (unsigned d = e->depth + 1; d-- > 0;) {
		const struct syn_set *set = schema_set(type_at(e, d));

		for (size_t i = 0; i < set->n; i++) {
			const struct sch_line *l = set->prog[i]->owner;
			const char *word = set->prog[i]->tree->kid[0]->word;
			const struct sch_type *t = NULL;

			if (l->row->kind == SCH_K_MODE && set->prog[i]->lead_words &&
			    is_typo(w->tok[0], word))
				t = mode_with(type_at(e, d), word, line, w);
			if (!t)
				continue;
			while (e->depth > d)
				editor_leave(e);
			editor_refuse(e, t, line);
			strbuf_reset(&err->text);
			strbuf_addf(&err->text, "did you mean \"%s\"?", word);
			return;
		}
	}
}

static void refuse_with_mode(const struct editor *e, struct edit_error *err)
{
	err->status = SYN_OK;
	strbuf_addf(&err->text, "it belongs to \"%s\", which was refused (\"exit\" leaves that)",
		    e->refused_line);
}

int editor_line(struct editor *e, const char *line, bool *ret_changed, struct edit_error *err)
{
	enum outcome out = REFUSED;
	struct syn_result res;
	struct syn_words w;
	bool no, dflt;
	unsigned depth;
	size_t from;

	*err = (struct edit_error){ 0 };
	syn_words_init(&w, line);
	from = skip_no(&w, &no, &dflt);
	depth = match_outwards(e, &w, from, w.n, &res);
	if (is_refused(e, &w, from, &res)) {
		refuse_with_mode(e, err);
		goto end;
	}
	err->status = from && from == w.n ? SYN_INCOMPLETE : res.status;
	if (err->status == SYN_INVALID || err->status == SYN_AMBIGUOUS) {
		err->col = w.col[res.bad];
		strbuf_adds(&err->text, strbuf_str(&res.why));
	} else if (from && from < w.n) {
		out = negate(e, depth, &w, &res, no, err);
	} else if (!from && res.status == SYN_OK) {
		out = apply_match(e, depth, &w, &res.thread[0], err);
	}
	if (out != REFUSED)
		forget_refused(e);
	else if (!from && res.status == SYN_INVALID && !res.bad)
		guess_mode(e, line, &w, err);
	else if (!from)
		after_refusal(e, depth, line, &w, &res);
end:
	*ret_changed = out == CHANGED;
	syn_result_fini(&res);
	syn_words_fini(&w);
	return out == REFUSED ? -EINVAL : 0;
}
