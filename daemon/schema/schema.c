/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema/schema.h"

#include "domain.h"

#include <string.h>

/* Per record type: the lines of its mode, and the same as programs. */
struct mode {
	const struct sch_type *type;
	struct sch_line **line;
	size_t n;
	struct syn_set set;
};

static struct {
	struct mode *mode;
	size_t n_modes;
	struct sch_line **line; /* all, for schema_fini and schema_maker */
	size_t n_lines;
	struct {
		const struct sch_word *v;
		size_t n;
	} word_table[128];
	size_t n_word_tables;
	char *error;
} schema;

int sch_field_find(const struct sch_type *t, const char *name)
{
	for (unsigned i = 0; i < t->n_fields; i++) {
		const char *have = t->fields[i].name;

		if (have[0] == name[0] && !strcmp(have, name))
			return (int)i;
	}
	return -1;
}

uint64_t sch_uint(const struct rec *r, const struct sch_field *f)
{
	uint64_t v = 0;

	memcpy(&v, sch_at(r, f), f->size);
	return v;
}

void sch_set_uint(struct rec *r, const struct sch_field *f, uint64_t v)
{
	memcpy(sch_at(r, f), &v, f->size);
}

const char *sch_choice_word(const struct sch_field *f, unsigned v)
{
	const struct syn_node *n;

	if (!f->choice || v >= f->choice->n_kids || !f->choice->kid[v]->n_kids)
		return "?";
	n = f->choice->kid[v];
	n = n->word ? n : n->kid[0];
	return n->word ? n->word : "?";
}

static const char *fail(char *text)
{
	free(schema.error);
	schema.error = text;
	return text;
}

static struct mode *mode_of(const struct sch_type *t)
{
	for (size_t i = 0; i < schema.n_modes; i++) {
		if (schema.mode[i].type == t)
			return &schema.mode[i];
	}
	return NULL;
}

static struct mode *mode_make(const struct sch_type *t)
{
	struct mode *m = mode_of(t);

	if (m)
		return m;
	schema.mode = xrealloc(schema.mode, (schema.n_modes + 1) * sizeof(*schema.mode));
	m = &schema.mode[schema.n_modes++];
	*m = (struct mode){ .type = t };
	return m;
}

size_t schema_lines(const struct sch_type *container, struct sch_line *const **ret)
{
	const struct mode *m = mode_of(container);

	*ret = m ? m->line : NULL;
	return m ? m->n : 0;
}

const struct syn_set *schema_set(const struct sch_type *container)
{
	static const struct syn_set none;
	const struct mode *m = mode_of(container);

	return m ? &m->set : &none;
}

const struct sch_line *schema_maker(const struct sch_type *t)
{
	for (size_t i = 0; i < schema.n_lines; i++) {
		if (schema.line[i]->row == t->row)
			return schema.line[i];
	}
	return NULL;
}

static const char *find_own(const struct domain *d, const char *word)
{
	for (size_t i = 0; d && i < d->n_words; i++) {
		if (!strcmp(d->words[i].word, word))
			return d->words[i].help;
	}
	return NULL;
}

static const char *find_word(const char *word)
{
	for (size_t i = 0; i < schema.n_word_tables; i++) {
		for (size_t k = 0; k < schema.word_table[i].n; k++) {
			if (!strcmp(schema.word_table[i].v[k].word, word))
				return schema.word_table[i].v[k].help;
		}
	}
	return NULL;
}

const char *schema_word_help(const struct domain *domain, const char *path)
{
	const char *help = find_own(domain, path), *last = strrchr(path, ' ');

	if (!help)
		help = find_word(path);
	if (!help && last)
		help = find_own(domain, last + 1);
	return help || !last ? help : find_word(last + 1);
}

/* ---- linking a row ---- */

static const struct syn_node *find_set(const struct syn_node *n, unsigned index)
{
	if (n->has_set && n->index == index)
		return n;
	for (size_t i = 0; i < n->n_kids; i++) {
		const struct syn_node *r = find_set(n->kid[i], index);

		if (r)
			return r;
	}
	return NULL;
}

static const char *bind_values(struct sch_line *l)
{
	struct sch_type *t = l->row->type;

	for (unsigned i = 0; i < l->prog.n_values; i++) {
		struct syn_value *v = &l->prog.values[i];
		int n = sch_field_find(t, v->name);
		struct sch_field *f = n >= 0 ? &t->fields[n] : NULL;

		if (!f)
			return fail(xasprintf("\"%s\": struct %s has no field %s in its SCH_TYPE",
					      l->row->line, t->name, v->name));
		if (f->size != v->spec.type->size)
			return fail(xasprintf("\"%s\": field %s has %zu bytes, type %s needs %zu",
					      l->row->line, f->name, f->size, v->spec.type->name,
					      v->spec.type->size));
		if (f->spec.type && f->spec.type != v->spec.type)
			return fail(xasprintf("\"%s\": field %s has another type in another line",
					      l->row->line, f->name));
		f->spec = v->spec;
		f->secret |= l->row->secret;
		l->value_field[i] = n;
	}
	return NULL;
}

static const char *bind_sets(struct sch_line *l)
{
	struct sch_type *t = l->row->type;

	for (unsigned i = 0; i < l->prog.n_sets; i++) {
		const struct syn_node *node = find_set(l->prog.tree, i);
		int n = sch_field_find(t, l->prog.sets[i]);

		if (n < 0 || t->fields[n].size > 8 ||
		    (node->kind == SYN_OPT && t->fields[n].size != 1))
			return fail(xasprintf(
				"\"%s\": struct %s needs a field %s for the choice or flag",
				l->row->line, t->name, l->prog.sets[i]));
		if (node->kind == SYN_ALT)
			t->fields[n].choice = node;
		else
			t->fields[n].is_flag = true;
		l->set_field[i] = n;
	}
	if (l->row->flag) {
		int n = sch_field_find(t, l->row->flag);

		if (n < 0 || t->fields[n].size != 1)
			return fail(xasprintf("\"%s\": struct %s has no bool field %s",
					      l->row->line, t->name, l->row->flag));
		t->fields[n].is_flag = true;
	}
	return NULL;
}

static const char *bind_key(struct sch_line *l)
{
	struct sch_type *t = l->row->type;
	char *copy = xstrdup(l->row->key ? l->row->key : ""), *save = NULL;
	const char *bad = NULL;

	t->n_key = 0;
	for (char *w = strtok_r(copy, " ", &save); w && !bad; w = strtok_r(NULL, " ", &save)) {
		int n = sch_field_find(t, w);

		if (n < 0 || t->n_key == ARRAY_LEN(t->key))
			bad = fail(xasprintf("\"%s\": key %s is no field, or there are too many",
					     l->row->line, w));
		else
			t->key[t->n_key++] = (unsigned)n;
	}
	free(copy);
	return bad;
}

/* A MODE or LIST row makes its type a child of the parent's. */
static const char *adopt(const struct sch_row *row)
{
	struct sch_type *t = row->type, *parent = row->parent ? row->parent : &global_type;

	if (t->row && t->row != row)
		return fail(xasprintf("\"%s\": records of %s are made by another line too",
				      row->line, t->name));
	if (t->row)
		return NULL;
	if (parent->n_kids == SCH_MAX_KIDS)
		return fail(xasprintf("\"%s\": %s has too many kinds of children", row->line,
				      parent->name));
	t->row = row;
	t->parent = parent;
	if (row->name)
		t->name = row->name;
	t->kid_no = parent->n_kids;
	parent->kids[parent->n_kids++] = t;
	return NULL;
}

static bool is_list_type(const struct sch_type *t)
{
	return t->row && t->row->kind == SCH_K_LIST;
}

static const char *link_row(const struct domain *d, const struct sch_row *row)
{
	struct sch_line *l = xcalloc(1, sizeof(*l));
	const char *bad;
	struct mode *m;
	char *err;

	schema.line = xrealloc(schema.line, (schema.n_lines + 1) * sizeof(*schema.line));
	schema.line[schema.n_lines++] = l;
	l->row = row;
	err = syn_compile(&l->prog, row->line, l);
	l->prog.domain = d;
	if (err)
		return fail(err);
	if (row->kind == SCH_K_LEAF)
		l->container = is_list_type(row->type) ? row->type->parent : row->type;
	else
		l->container = row->parent ? row->parent : &global_type;
	bad = bind_values(l);
	if (!bad)
		bad = bind_sets(l);
	if (!bad && row->kind != SCH_K_LEAF)
		bad = bind_key(l);
	if (bad)
		return bad;
	m = mode_make(l->container);
	m->line = xrealloc(m->line, (m->n + 1) * sizeof(*m->line));
	m->line[m->n++] = l;
	syn_set_add(&m->set, &l->prog);
	return NULL;
}

/* `vrrp 1 authentication text X`: X is secret, which group it belongs to is not. */
static void keys_are_no_secrets(void)
{
	for (size_t i = 0; i < schema.n_lines; i++) {
		const struct sch_type *t = schema.line[i]->row->type;

		for (unsigned k = 0; k < t->n_key; k++)
			t->fields[t->key[k]].secret = false;
	}
}

const char *schema_init(const struct domain *const *domains, size_t n)
{
	const char *bad = NULL;

	for (size_t d = 0; d < n && !bad; d++) {
		for (size_t i = 0; i < domains[d]->n_rows && !bad; i++) {
			if (domains[d]->rows[i].kind != SCH_K_LEAF)
				bad = adopt(&domains[d]->rows[i]);
		}
	}
	for (size_t d = 0; d < n && !bad; d++) {
		for (size_t i = 0; i < domains[d]->n_rows && !bad; i++)
			bad = link_row(domains[d], &domains[d]->rows[i]);
		if (!bad && domains[d]->n_words &&
		    schema.n_word_tables < ARRAY_LEN(schema.word_table)) {
			schema.word_table[schema.n_word_tables].v = domains[d]->words;
			schema.word_table[schema.n_word_tables++].n = domains[d]->n_words;
		}
	}
	keys_are_no_secrets();
	return bad;
}

/* Undoes what schema_init wrote into the static types, so that a test may init again. */
void schema_fini(void)
{
	for (size_t i = 0; i < schema.n_lines; i++) {
		struct sch_type *t = schema.line[i]->row->type;

		for (unsigned f = 0; f < t->n_fields; f++)
			t->fields[f].choice = NULL;
		if (t->parent)
			t->parent->n_kids = 0;
		t->n_kids = 0;
		t->row = NULL;
		t->parent = NULL;
		syn_free(&schema.line[i]->prog);
		free(schema.line[i]);
	}
	for (size_t i = 0; i < schema.n_modes; i++) {
		free(schema.mode[i].line);
		syn_set_fini(&schema.mode[i].set);
	}
	free(schema.line);
	free(schema.mode);
	free(schema.error);
	memset(&schema, 0, sizeof(schema));
}
