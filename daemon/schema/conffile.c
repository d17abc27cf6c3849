/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema/conffile.h"

#include "hash.h"
#include "schema/edit.h"
#include "schema/text.h"

#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <limits.h>
#include <string.h>

#define HEAD "# rtr configuration"

struct reader {
	const char *name;
	struct strbuf *errs;
	unsigned n_errs;
};

/* A file that is wrong everywhere (not ours at all) is told in this many lines. */
#define MAX_ERRORS 20

RTR_PRINTF(3, 4)
static void fault(struct reader *rd, const config_setting_t *at, const char *fmt, ...)
{
	va_list ap;

	if (rd->n_errs++ >= MAX_ERRORS)
		return;
	strbuf_addf(rd->errs, "%s:%u: ", rd->name, config_setting_source_line(at));
	va_start(ap, fmt);
	strbuf_vaddf(rd->errs, fmt, ap);
	va_end(ap);
	strbuf_addc(rd->errs, '\n');
}

/* ---- reading ---- */

static bool is_int(const config_setting_t *s)
{
	return config_setting_type(s) == CONFIG_TYPE_INT ||
	       config_setting_type(s) == CONFIG_TYPE_INT64;
}

static void read_value(struct reader *rd, const config_setting_t *s, struct rec *r,
		       const struct sch_field *f)
{
	struct strbuf err = STRBUF_INIT, text = STRBUF_INIT;
	const char *name = f->name;

	if (is_int(s) && f->spec.type->is_number)
		strbuf_addf(&text, "%lld", config_setting_get_int64(s));
	else if (config_setting_type(s) == CONFIG_TYPE_STRING)
		strbuf_adds(&text, config_setting_get_string(s));
	else
		strbuf_addf(&err, "expected %s%s", f->spec.type->what,
			    f->spec.type->is_number ? "" : " in quotes");
	if (!err.len && !val_from_text(&f->spec, strbuf_str(&text), sch_at(r, f), &err))
		rec_set_present(r, (unsigned)(f - r->type->fields), true);
	else
		fault(rd, s, "%s: %s", name, strbuf_str(&err));
	strbuf_fini(&err);
	strbuf_fini(&text);
}

static void read_flag(struct reader *rd, const config_setting_t *s, struct rec *r,
		      const struct sch_field *f)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL) {
		fault(rd, s, "%s: expected true or false", f->name);
		return;
	}
	sch_set_uint(r, f, (uint64_t)config_setting_get_bool(s));
	rec_set_present(r, (unsigned)(f - r->type->fields), true);
}

static void read_choice(struct reader *rd, const config_setting_t *s, struct rec *r,
			const struct sch_field *f)
{
	const char *word = config_setting_get_string(s);
	struct strbuf words = STRBUF_INIT;

	for (unsigned v = 0; v < f->choice->n_kids; v++) {
		if (word && !strcasecmp(word, sch_choice_word(f, v))) {
			sch_set_uint(r, f, v);
			rec_set_present(r, (unsigned)(f - r->type->fields), true);
			strbuf_fini(&words);
			return;
		}
		strbuf_addf(&words, "%s\"%s\"", v ? ", " : "", sch_choice_word(f, v));
	}
	fault(rd, s, "%s: expected one of %s", f->name, strbuf_str(&words));
	strbuf_fini(&words);
}

static void read_kids(struct reader *rd, const config_setting_t *s, struct rec *parent,
		      struct sch_type *t);

static void read_group(struct reader *rd, const config_setting_t *g, struct rec *r)
{
	for (int i = 0; i < config_setting_length(g); i++) {
		const config_setting_t *s = config_setting_get_elem(g, (unsigned)i);
		const char *name = config_setting_name(s);
		int n = sch_field_find(r->type, name);
		struct sch_type *kid = NULL;

		for (unsigned k = 0; k < r->type->n_kids; k++) {
			if (!strcmp(r->type->kids[k]->name, name))
				kid = r->type->kids[k];
		}
		if (kid)
			read_kids(rd, s, r, kid);
		else if (n < 0)
			fault(rd, s, "%s: there is no such knob in %s", name,
			      r->type->row ? r->type->name : "the configuration");
		else if (r->type->fields[n].spec.type)
			read_value(rd, s, r, &r->type->fields[n]);
		else if (r->type->fields[n].choice)
			read_choice(rd, s, r, &r->type->fields[n]);
		else
			read_flag(rd, s, r, &r->type->fields[n]);
	}
	edit_normalise(r);
}

/* Fields below one alternative of a choice, as a mask. */
static uint64_t fields_below(const struct sch_line *l, const struct syn_node *n)
{
	uint64_t mask = n->kind == SYN_VALUE ? 1ull << l->value_field[n->index] : 0;

	for (size_t i = 0; i < n->n_kids; i++)
		mask |= fields_below(l, n->kid[i]);
	return mask;
}

/* A choice that the file leaves out follows from the values that are there, when they tell. */
static void infer_choices(const struct sch_line *l, struct rec *r)
{
	for (unsigned i = 0; i < l->prog.n_sets; i++) {
		const struct sch_field *f = &r->type->fields[l->set_field[i]];
		uint64_t all = 0;

		if (!f->choice || (r->present >> l->set_field[i] & 1))
			continue;
		all = fields_below(l, f->choice) & r->present;
		for (unsigned v = 0; v < f->choice->n_kids && all; v++) {
			uint64_t below = fields_below(l, f->choice->kid[v]);

			if ((below & all) != all)
				continue;
			sch_set_uint(r, f, v);
			rec_set_present(r, (unsigned)l->set_field[i], true);
			break;
		}
	}
}

/* A list whose records other lines fill in ("neighbor A ...") may lack the values of its own. */
static bool keys_suffice(const struct sch_line *l)
{
	struct sch_line *const *lines;
	size_t n = schema_lines(l->container, &lines);

	for (size_t i = 0; i < n && l->row->kind == SCH_K_LIST && !l->row->creates; i++) {
		if (lines[i]->row->kind == SCH_K_LEAF && lines[i]->row->type == l->row->type)
			return true;
	}
	return false;
}

static const char *missing_key(const struct rec *r)
{
	for (unsigned i = 0; i < r->type->n_key; i++) {
		if (!(r->present >> r->type->key[i] & 1))
			return r->type->fields[r->type->key[i]].name;
	}
	return NULL;
}

/* Keys and the values without which the line could not be written. False without a fault: it is
 * there already. */
static bool whole(struct reader *rd, const config_setting_t *s, const struct rec *parent,
		  struct rec *r)
{
	const struct sch_line *l = schema_maker(r->type);
	const char *missing;

	infer_choices(l, r);
	if (edit_repeated(parent, r))
		return false;
	if (!edit_auto_key(parent, r)) {
		fault(rd, s, "%s: no number is left after the last line", r->type->name);
		return false;
	}
	missing = keys_suffice(l) ? missing_key(r) : text_missing(l, r);
	if (missing)
		fault(rd, s, "%s: %s is missing", r->type->name, missing);
	else if (rec_find(parent, r->type, r))
		fault(rd, s, "%s: the same key stands here twice", r->type->name);
	else
		return true;
	return false;
}

static void read_kids(struct reader *rd, const config_setting_t *s, struct rec *parent,
		      struct sch_type *t)
{
	if (!config_setting_is_list(s)) {
		fault(rd, s, "%s: expected ( { ... }, ... )", t->name);
		return;
	}
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *g = config_setting_get_elem(s, (unsigned)i);
		unsigned before = rd->n_errs;
		struct rec *r;

		if (!config_setting_is_group(g)) {
			fault(rd, g, "%s: expected { ... }", t->name);
			continue;
		}
		r = rec_new(t);
		read_group(rd, g, r);
		if (t->row->single && rec_only(parent, t))
			fault(rd, g, "%s: there can be only one", t->name);
		else if (rd->n_errs == before && whole(rd, g, parent, r))
			rec_put(parent, rec_ref(r));
		rec_unref(r);
	}
}

int conffile_parse(const char *name, const char *text, struct rec **ret_root, struct strbuf *errs)
{
	struct reader rd = { .name = name, .errs = errs };
	struct rec *root;
	config_t cfg;

	config_init(&cfg);
	if (!config_read_string(&cfg, text)) {
		strbuf_addf(errs, "%s:%d: %s\n", name, config_error_line(&cfg),
			    config_error_text(&cfg));
		config_destroy(&cfg);
		return -EINVAL;
	}
	root = model_new();
	read_group(&rd, config_root_setting(&cfg), root);
	config_destroy(&cfg);
	if (rd.n_errs > MAX_ERRORS)
		strbuf_addf(errs, "%s: and %u more errors\n", name, rd.n_errs - MAX_ERRORS);
	if (rd.n_errs) {
		rec_unref(root);
		return -EINVAL;
	}
	*ret_root = root;
	return 0;
}

int conffile_read(const char *path, struct rec **ret_root, struct strbuf *errs)
{
	char *text;
	size_t size;
	int r = rtr_file_read(path, CONFFILE_MAX, &text, &size);

	if (r) {
		strbuf_addf(errs, "%s: %s\n", path, strerror(-r));
		return r;
	}
	if (!text[strspn(text, " \t\r\n")]) {
		/* What a full disk or a crash leaves behind must not pass for a wish. */
		strbuf_addf(errs,
			    "%s: empty; a configuration without lines has at least a comment\n",
			    path);
		r = -EINVAL;
	} else if (strlen(text) != size) {
		strbuf_addf(errs, "%s: not a text file\n", path);
		r = -EINVAL;
	} else {
		r = conffile_parse(path, text, ret_root, errs);
	}
	free(text);
	return r;
}

/* ---- writing ---- */

/*
 * Printed by hand, a record a line: libconfig's own writer builds a tree of settings first and
 * spreads each over many lines; with 10,000 routes it took five times as long, on every archived
 * revision. What is written is read back by libconfig in the tests.
 */

static void write_text(struct strbuf *b, const char *s)
{
	strbuf_addc(b, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			strbuf_addc(b, '\\');
		strbuf_addc(b, *s); /* types take printable text only */
	}
	strbuf_addc(b, '"');
}

static void write_number(struct strbuf *b, uint64_t v)
{
	char buf[24];
	size_t at = sizeof(buf);

	do
		buf[--at] = (char)('0' + v % 10);
	while (v /= 10);
	strbuf_add(b, buf + at, sizeof(buf) - at);
}

static void write_field(struct strbuf *b, const struct rec *r, const struct sch_field *f)
{
	char buf[RTR_PREFIX_STRLEN];
	struct strbuf text = STRBUF_INIT;

	strbuf_adds(b, f->name);
	strbuf_adds(b, " = ");
	if (f->spec.type && f->spec.type->is_number) {
		uint64_t v = val_number(f->spec.type, sch_at(r, f));

		write_number(b, v);
		if (v > INT_MAX)
			strbuf_addc(b, 'L');
	} else if (f->spec.type && val_one_word(&f->spec, sch_at(r, f), buf)) {
		write_text(b, buf);
	} else if (f->spec.type) {
		f->spec.type->print(&f->spec, sch_at(r, f), &text);
		write_text(b, strbuf_str(&text));
		strbuf_fini(&text);
	} else if (f->choice) {
		write_text(b, sch_choice_word(f, (unsigned)sch_uint(r, f)));
	} else {
		strbuf_adds(b, sch_uint(r, f) ? "true" : "false");
	}
	strbuf_addc(b, ';');
}

/* The settings of a record; a list of children goes on lines of its own. */
static void write_rec(struct strbuf *b, const struct rec *r, unsigned indent, const char *gap)
{
	const char *sep = "";

	for (unsigned i = 0; i < r->type->n_fields; i++) {
		if (!(r->present >> i & 1))
			continue;
		strbuf_adds(b, sep);
		write_field(b, r, &r->type->fields[i]);
		sep = gap;
	}
	for (unsigned k = 0; k < r->type->n_kids; k++) {
		const struct recvec *v = rec_kids(r, r->type->kids[k]);

		if (!v->len)
			continue;
		strbuf_addf(b, "%s%*s%s = (\n", indent || *sep ? "\n" : "", (int)indent, "",
			    r->type->kids[k]->name);
		for (size_t i = 0; i < v->len; i++) {
			for (unsigned n = 0; n < indent + 2; n++)
				strbuf_addc(b, ' ');
			strbuf_adds(b, "{ ");
			write_rec(b, v->v[i], indent + 4, " ");
			strbuf_adds(b, i + 1 < v->len ? " },\n" : " }\n");
		}
		strbuf_addf(b, "%*s);", (int)indent, "");
		sep = "\n";
	}
}

char *conffile_text(const struct rec *root, const char *comment)
{
	struct strbuf body = STRBUF_INIT, text = STRBUF_INIT;

	write_rec(&body, root, 0, "\n");
	strbuf_addc(&body, '\n');
	strbuf_addf(&text, HEAD "%s%s, checksum %016" PRIx64 "\n", comment ? ", " : "",
		    comment ? comment : "", hash_bytes(body.s, body.len, 0));
	strbuf_add(&text, body.s, body.len);
	strbuf_fini(&body);
	return strbuf_steal(&text);
}

bool conffile_hand_edited(const char *text)
{
	const char *eol = strchr(text, '\n'), *sum;
	uint64_t want;

	if (strncmp(text, HEAD, strlen(HEAD)) || !eol || eol - text < 30)
		return true;
	sum = eol - 16;
	if (strncmp(sum - 9, "checksum ", 9) || sscanf(sum, "%16" SCNx64, &want) != 1)
		return true;
	return hash_bytes(eol + 1, strlen(eol + 1), 0) != want;
}
