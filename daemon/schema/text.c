/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema/text.h"

#include <string.h>

#define MASK "********"

struct printer {
	const struct sch_line *line;
	const struct rec *rec;
	unsigned flags;
	const char *missing;
};

static bool has(const struct printer *p, int field)
{
	return field >= 0 && (p->rec->present >> field & 1);
}

static bool print_node(struct printer *p, const struct syn_node *n, struct strbuf *b);

static void blank(struct strbuf *b)
{
	if (b->len && b->s[b->len - 1] != ' ')
		strbuf_addc(b, ' ');
}

/* Prints into b only when all of it can be printed. */
static bool print_whole(struct printer *p, const struct syn_node *n, struct strbuf *b)
{
	size_t len = b->len;

	if (print_node(p, n, b))
		return true;
	if (b->s)
		b->s[len] = '\0';
	b->len = len;
	return false;
}

static bool has_value(const struct syn_node *n)
{
	if (n->kind == SYN_VALUE)
		return true;
	for (size_t i = 0; i < n->n_kids; i++) {
		if (has_value(n->kid[i]))
			return true;
	}
	return false;
}

static bool print_value(struct printer *p, const struct syn_node *n, struct strbuf *b)
{
	int i = p->line->value_field[n->index];
	const struct sch_field *f = &p->rec->type->fields[i];

	if (!has(p, i)) {
		p->missing = f->name;
		return false;
	}
	blank(b);
	if (f->secret && (p->flags & TEXT_MASKED))
		strbuf_adds(b, MASK);
	else
		f->spec.type->print(&f->spec, sch_at(p->rec, f), b);
	return true;
}

static bool print_alt(struct printer *p, const struct syn_node *n, struct strbuf *b)
{
	if (n->has_set) {
		int i = p->line->set_field[n->index];
		uint64_t v;

		if (!has(p, i)) {
			p->missing = n->word;
			return false;
		}
		v = sch_uint(p->rec, &p->rec->type->fields[i]);
		return v < n->n_kids && print_whole(p, n->kid[v], b);
	}
	for (size_t i = 0; i < n->n_kids; i++) {
		if (has_value(n->kid[i]) && print_whole(p, n->kid[i], b))
			return true;
	}
	return false;
}

static void print_opt(struct printer *p, const struct syn_node *n, struct strbuf *b)
{
	const char *missing = p->missing;

	if (n->has_set) {
		int i = p->line->set_field[n->index];

		if (has(p, i) && sch_uint(p->rec, &p->rec->type->fields[i]))
			print_whole(p, n->kid[0], b);
	} else {
		print_whole(p, n->kid[0], b);
	}
	p->missing = missing;
}

static bool print_node(struct printer *p, const struct syn_node *n, struct strbuf *b)
{
	switch (n->kind) {
	case SYN_WORD:
		blank(b);
		strbuf_adds(b, n->word);
		return true;
	case SYN_VALUE:
		return print_value(p, n, b);
	case SYN_ALT:
		return print_alt(p, n, b);
	case SYN_OPT:
		print_opt(p, n, b);
		return true;
	case SYN_SEQ:
		for (size_t i = 0; i < n->n_kids; i++) {
			if (!print_node(p, n->kid[i], b))
				return false;
		}
		return true;
	}
	return false;
}

bool text_line(const struct sch_line *l, const struct rec *r, unsigned flags, struct strbuf *b)
{
	struct printer p = { .line = l, .rec = r, .flags = flags };
	struct strbuf line = STRBUF_INIT;
	bool ok;

	if (l->row->flag) {
		int i = sch_field_find(r->type, l->row->flag);
		bool on = sch_uint(r, &r->type->fields[i]);

		if (!has(&p, i)) {
			if (!(flags & TEXT_ALL) || !l->row->dflt)
				return false;
			on = !strcmp(l->row->dflt, "on");
		}
		if (!on)
			strbuf_adds(&line, "no ");
	} else if (l->row->kind == SCH_K_LEAF && (flags & TEXT_ALL) && l->row->dflt &&
		   (l->prog.n_values == 1 ? !has(&p, l->value_field[0])
					  : !l->prog.n_values && l->prog.n_sets == 1 &&
						    !has(&p, l->set_field[0]))) {
		/* "mtu <mtu:...>", "dad {dad:...}" with the default in the value's place */
		for (unsigned i = 0; i < l->prog.lead_words; i++)
			strbuf_addf(b, "%s ", l->prog.tree->kid[i]->word);
		strbuf_adds(b, l->row->dflt);
		return true;
	}
	ok = print_node(&p, l->prog.tree, &line);
	if (ok)
		strbuf_adds(b, strbuf_str(&line));
	strbuf_fini(&line);
	return ok;
}

const char *text_missing(const struct sch_line *l, const struct rec *r)
{
	struct printer p = { .line = l, .rec = r };
	struct strbuf b = STRBUF_INIT;
	bool ok = print_node(&p, l->prog.tree, &b);

	strbuf_fini(&b);
	return ok ? NULL : p.missing ? p.missing : "a value";
}

void text_rec(const struct rec *r, struct strbuf *b)
{
	const struct sch_line *l = r->type->row ? schema_maker(r->type) : NULL;

	if (!l || !text_line(l, r, TEXT_MASKED, b))
		strbuf_adds(b, r->type->name);
}

/* ---- the whole configuration ---- */

static void put_line(struct strbuf *b, unsigned indent, const struct strbuf *line)
{
	strbuf_addf(b, "%*s%s\n", (int)indent, "", strbuf_str(line));
}

static void put_mode(const struct rec *r, unsigned flags, unsigned indent, struct strbuf *b);

/* What one line of the schema says about container record r; it may stand for many records. */
static void put_schema_line(const struct sch_line *l, const struct rec *r, unsigned flags,
			    unsigned indent, struct strbuf *b)
{
	struct strbuf line = STRBUF_INIT;

	if (l->row->type == r->type) {
		if (text_line(l, r, flags, &line))
			put_line(b, indent, &line);
		strbuf_fini(&line);
		return;
	}
	/* Leaves of a list's records are printed by put_kid, right after the line that makes it. */
	if (l->row->kind == SCH_K_LEAF)
		return;
	for (size_t i = 0; i < rec_kids(r, l->row->type)->len; i++) {
		const struct rec *kid = rec_kids(r, l->row->type)->v[i];
		struct sch_line *const *lines;
		size_t n = schema_lines(r->type, &lines);

		strbuf_reset(&line);
		if (l->row->kind == SCH_K_MODE && indent == 0)
			strbuf_adds(b, "!\n");
		if (text_line(l, kid, flags, &line))
			put_line(b, indent, &line);
		if (l->row->kind == SCH_K_MODE)
			put_mode(kid, flags, indent + 1, b);
		for (size_t k = 0; k < n && l->row->kind == SCH_K_LIST; k++) {
			strbuf_reset(&line);
			if (lines[k]->row->kind == SCH_K_LEAF && lines[k]->row->type == kid->type &&
			    text_line(lines[k], kid, flags, &line))
				put_line(b, indent, &line);
		}
	}
	strbuf_fini(&line);
}

static void put_mode(const struct rec *r, unsigned flags, unsigned indent, struct strbuf *b)
{
	struct sch_line *const *lines;
	size_t n = schema_lines(r->type, &lines);

	for (size_t i = 0; i < n; i++)
		put_schema_line(lines[i], r, flags, indent, b);
}

void text_config(const struct rec *root, unsigned flags, struct strbuf *b)
{
	struct sch_line *const *lines;
	size_t n = schema_lines(root->type, &lines);
	bool after_mode = false;

	for (size_t i = 0; i < n; i++) {
		size_t len = b->len;

		if (flags & TEXT_NO_TOP && lines[i]->row->type == root->type)
			continue;
		if (after_mode && lines[i]->row->kind != SCH_K_MODE) {
			strbuf_adds(b, "!\n");
			len = b->len;
		}
		put_schema_line(lines[i], root, flags, 0, b);
		if (b->len > len)
			after_mode = lines[i]->row->kind == SCH_K_MODE;
		else if (after_mode && lines[i]->row->kind != SCH_K_MODE)
			b->s[b->len -= 2] = '\0'; /* nothing followed the separator */
	}
	strbuf_adds(b, "!\nend\n");
}

/* ---- difference ---- */

struct differ {
	struct strbuf *b;
	size_t max, left_out; /* changes behind so many bytes */
	unsigned flags;
	const struct rec *mode; /* whose heading was printed last; NULL = the top */
	const struct rec *gone; /* removed mode: what was in it went with it */
	bool removals;          /* which half of a delta is written */
};

static bool same_place(const struct rec *a, const struct rec *b)
{
	return a && b && a->type == b->type && !rec_key_cmp(a, b);
}

static bool is_mode(const struct rec *r)
{
	return r->type->row && r->type->row->kind == SCH_K_MODE;
}

/* The lines that speak of a record: those of its mode, or those beside it in its list. */
static size_t lines_of(const struct rec *r, struct sch_line *const **ret)
{
	bool list = r->type->row && r->type->row->kind == SCH_K_LIST;

	return schema_lines(list ? r->type->parent : r->type, ret);
}

/* The depth at which a record's own lines are printed. */
static unsigned depth_of(const struct model_change *c)
{
	const struct rec *r = c->new ? c->new : c->old;

	return c->depth + is_mode(r);
}

static bool has_secret(const struct sch_line *l, const struct rec *r)
{
	for (unsigned i = 0; i < l->prog.n_values; i++)
		if (r->type->fields[l->value_field[i]].secret)
			return true;
	return false;
}

/* fn for each line that the two print differently; either text may be NULL. */
static void differing_lines(const struct model_change *c, unsigned flags, void *arg,
			    void (*fn)(void *arg, const struct sch_line *l, const char *old,
				       const char *new))
{
	const struct rec *any = c->new ? c->new : c->old;
	struct sch_line *const *lines;
	size_t n = lines_of(any, &lines);

	for (size_t i = 0; i < n; i++) {
		struct strbuf o = STRBUF_INIT, w = STRBUF_INIT;
		bool had, has_it;

		if (lines[i]->row->type != any->type)
			continue;
		had = c->old && text_line(lines[i], c->old, flags & ~TEXT_MASKED, &o);
		has_it = c->new &&text_line(lines[i], c->new, flags & ~TEXT_MASKED, &w);
		/* Secrets are compared as they are and printed masked: that one changed is told. */
		if (had != has_it || (had && strcmp(strbuf_str(&o), strbuf_str(&w)))) {
			if (flags & TEXT_MASKED && has_secret(lines[i], any)) {
				strbuf_reset(&o);
				strbuf_reset(&w);
				had = had && text_line(lines[i], c->old, flags, &o);
				has_it = has_it && text_line(lines[i], c->new, flags, &w);
			}
			fn(arg, lines[i], had ? strbuf_str(&o) : NULL,
			   has_it ? strbuf_str(&w) : NULL);
		}
		strbuf_fini(&o);
		strbuf_fini(&w);
	}
}

struct diff_at {
	struct differ *d;
	const struct model_change *c;
};

static void diff_heading(struct differ *d, const struct model_change *c)
{
	const struct rec *any = c->new ? c->new : c->old;
	const struct rec *mode = is_mode(any) ? any : c->depth ? c->around[c->depth - 1] : NULL;

	if (mode && !same_place(d->mode, mode)) {
		strbuf_addf(d->b, " %*s", (int)depth_of(c) - 1, "");
		text_rec(mode, d->b);
		strbuf_addc(d->b, '\n');
	}
	d->mode = mode;
}

static void diff_print(void *arg, const struct sch_line *l, const char *old, const char *new)
{
	struct diff_at *at = arg;

	diff_heading(at->d, at->c);
	if (old)
		strbuf_addf(at->d->b, "-%*s%s\n", (int)depth_of(at->c), "", old);
	if (new)
		strbuf_addf(at->d->b, "+%*s%s\n", (int)depth_of(at->c), "", new);
}

static void diff_one(void *arg, const struct model_change *c)
{
	struct differ *d = arg;
	const struct rec *any = c->new ? c->new : c->old;

	if (d->b->len > d->max) {
		d->left_out++;
		return;
	}
	/* A mode that came or went: its own line carries the sign. */
	if (is_mode(any) && (!c->old || !c->new)) {
		strbuf_addf(d->b, "%c%*s", c->new ? '+' : '-', (int)c->depth, "");
		text_rec(any, d->b);
		strbuf_addc(d->b, '\n');
		d->mode = any;
	}
	differing_lines(c, d->flags, &(struct diff_at){ d, c }, diff_print);
}

size_t text_diff_some(const struct rec *old, const struct rec *new, unsigned flags, size_t max,
		      struct strbuf *b)
{
	struct differ d = { .b = b, .max = max, .flags = flags };

	model_diff(old, new, diff_one, &d);
	return d.left_out;
}

void text_diff(const struct rec *old, const struct rec *new, unsigned flags, struct strbuf *b)
{
	text_diff_some(old, new, flags, SIZE_MAX, b);
}

/* ---- difference as lines to type ---- */

static void delta_line(void *arg, const struct sch_line *l, const char *old, const char *new)
{
	struct differ *d = arg;

	if (new)
		strbuf_addf(d->b, "%s\n", new);
	else
		strbuf_addf(d->b, "default %s\n", strncmp(old, "no ", 3) ? old : old + 3);
}

static void delta_one(void *arg, const struct model_change *c)
{
	struct differ *d = arg;
	const struct rec *any = c->new ? c->new : c->old;

	if (d->b->len > d->max)
		return;
	if (!c->new && c->depth && d->gone &&same_place(d->gone, c->around[c->depth - 1])) {
		if (is_mode(any))
			d->gone = any;
		return;
	}
	if (d->removals != !c->new)
		return;
	for (unsigned i = 0; i < c->depth; i++) {
		text_line(schema_maker(c->around[i]->type), c->around[i], 0, d->b);
		strbuf_addc(d->b, '\n');
	}
	if (!c->new) {
		d->gone = is_mode(any) ? any : NULL;
		strbuf_adds(d->b, "no ");
		text_line(schema_maker(any->type), any, 0, d->b);
		strbuf_addc(d->b, '\n');
		return;
	}
	if (is_mode(any)) {
		text_line(schema_maker(any->type), any, 0, d->b);
		strbuf_addc(d->b, '\n');
	}
	differing_lines(c, 0, d, delta_line);
}

bool text_delta_within(const struct rec *old, const struct rec *new, size_t max, struct strbuf *b)
{
	struct differ d = { .b = b, .max = max, .removals = true };

	/* What goes first makes room: a single mode, a key that moves. */
	model_diff(old, new, delta_one, &d);
	d.removals = false;
	model_diff(old, new, delta_one, &d);
	return b->len <= max;
}

void text_delta(const struct rec *old, const struct rec *new, struct strbuf *b)
{
	(void)text_delta_within(old, new, SIZE_MAX, b);
}

/* ---- JSON ---- */

static json_t *field_json(const struct rec *r, const struct sch_field *f, unsigned flags)
{
	if (f->spec.type && f->secret && (flags & TEXT_MASKED))
		return json_string(MASK);
	if (f->spec.type)
		return val_to_json(&f->spec, sch_at(r, f));
	if (f->choice)
		return json_string(sch_choice_word(f, (unsigned)sch_uint(r, f)));
	return json_boolean(sch_uint(r, f));
}

json_t *model_to_json(const struct rec *r, unsigned flags)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < r->type->n_fields; i++) {
		if (r->present >> i & 1)
			json_object_set_new(o, r->type->fields[i].name,
					    field_json(r, &r->type->fields[i], flags));
	}
	for (unsigned k = 0; k < r->type->n_kids; k++) {
		const struct recvec *v = rec_kids(r, r->type->kids[k]);
		json_t *list = v->len ? json_array() : NULL;

		for (size_t i = 0; i < v->len; i++)
			json_array_append_new(list, model_to_json(v->v[i], flags));
		if (list)
			json_object_set_new(o, r->type->kids[k]->name, list);
	}
	return o;
}
