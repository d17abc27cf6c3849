/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "metrics/metrics.h"

#include <string.h>

#define MAX_FAMILIES 256
#define MAX_DEPTH    6

/* The series of one metric; sources that share it are printed together, as the format asks. */
struct family {
	const struct metric *metric;
	struct strbuf series;
	size_t n;
};

struct metrics_page {
	struct family family[MAX_FAMILIES];
	size_t n, left_out;
};

/* Where in the document we are: the rows around the innermost one, for the labels. */
struct place {
	const json_t *row[MAX_DEPTH];
	unsigned n;
	const char *key; /* of the innermost object that was gone through */
};

struct metrics_page *metrics_page_new(void)
{
	return xcalloc(1, sizeof(struct metrics_page));
}

struct metrics_page *metrics_page_free(struct metrics_page *p)
{
	for (size_t i = 0; p && i < p->n; i++)
		strbuf_fini(&p->family[i].series);
	free(p);
	return NULL;
}

size_t metrics_page_left_out(const struct metrics_page *p)
{
	return p->left_out;
}

static struct family *family_of(struct metrics_page *p, const struct metric *m)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->family[i].metric == m)
			return &p->family[i];
	}
	if (p->n == MAX_FAMILIES)
		return NULL;
	p->family[p->n].metric = m;
	return &p->family[p->n++];
}

/* ---- values ---- */

/* Keys with '/' between; the whole for ".". */
static const json_t *look(const json_t *row, const char *path, size_t len)
{
	if (len == 1 && *path == '.')
		return row;
	while (row && len) {
		size_t n = (const char *)memchr(path, '/', len)
				   ? (size_t)((const char *)memchr(path, '/', len) - path)
				   : len;
		char key[64];

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		row = json_object_get(row, key);
		n += n < len;
		path += n;
		len -= n;
	}
	return row;
}

static bool value_text(const json_t *row, const struct metric *m, char buf[32])
{
	const char *eq = strchr(m->path, '=');
	const json_t *v = look(row, m->path, eq ? (size_t)(eq - m->path) : strlen(m->path));

	if (eq && json_is_string(v))
		snprintf(buf, 32, "%d", !strcmp(json_string_value(v), eq + 1));
	else if (json_is_boolean(v))
		snprintf(buf, 32, "%d", json_is_true(v));
	else if (json_is_number(v) && (m->scale > 0 || json_is_real(v)))
		snprintf(buf, 32, "%.15g", json_number_value(v) * (m->scale > 0 ? m->scale : 1));
	else if (json_is_integer(v))
		snprintf(buf, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else
		return false;
	return true;
}

/* ---- labels ---- */

/* Of a value that is too long the beginning, up to a whole character. */
static void add_escaped(struct strbuf *b, const char *s)
{
	size_t len = strlen(s);

	if (len > METRICS_MAX_LABEL) {
		len = METRICS_MAX_LABEL;
		while (len && ((unsigned char)s[len] & 0xc0) == 0x80)
			len--;
	}
	for (; len; s++, len--) {
		if (*s == '\n')
			strbuf_adds(b, "\\n");
		else if (*s == '"' || *s == '\\')
			strbuf_addf(b, "\\%c", *s);
		else
			strbuf_addc(b, *s);
	}
}

static void add_label_value(struct strbuf *b, const struct place *at, const char *path, size_t len)
{
	const json_t *v = NULL;

	if (len == 1 && *path == '@') {
		add_escaped(b, at->key);
		return;
	}
	for (unsigned i = at->n; i-- > 0 && !v;)
		v = look(at->row[i], path, len);
	if (json_is_string(v))
		add_escaped(b, json_string_value(v));
	else if (json_is_integer(v))
		strbuf_addf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
}

/* "{interface="eth0",family="ipv4"}" */
static void add_labels(struct strbuf *b, const struct place *at, const char *spec)
{
	char sep = '{';

	while (*spec) {
		size_t len = strcspn(spec, " "), name = strcspn(spec, "=:");

		strbuf_addf(b, "%c%.*s=\"", sep, (int)name, spec);
		if (spec[name] == ':')
			strbuf_add(b, spec + name + 1, len - name - 1);
		else
			add_label_value(b, at, spec + name + 1, len - name - 1);
		strbuf_addc(b, '"');
		sep = ',';
		spec += len + (spec[len] == ' ');
	}
	if (sep == ',')
		strbuf_addc(b, '}');
}

/* ---- rows ---- */

static void add_row(struct metrics_page *p, const struct metric_source *s, const struct place *at)
{
	struct strbuf labels = STRBUF_INIT;

	add_labels(&labels, at, s->labels);
	for (size_t i = 0; i < s->n; i++) {
		struct family *f = family_of(p, &s->metrics[i]);
		char value[32];

		if (!value_text(at->row[at->n - 1], &s->metrics[i], value))
			continue;
		if (!f || f->n == METRICS_MAX_SERIES) {
			p->left_out++;
			continue;
		}
		f->n++;
		strbuf_addf(&f->series, "%s%s %s\n", s->metrics[i].name, strbuf_str(&labels),
			    value);
	}
	strbuf_fini(&labels);
}

static void walk(struct metrics_page *p, const struct metric_source *s, struct place at,
		 const json_t *v, const char *rows)
{
	size_t len = strcspn(rows, "/"), i;
	const char *next = rows + len + (rows[len] == '/'), *key;
	json_t *e;

	if (!v || at.n == MAX_DEPTH)
		return;
	if (!*rows) {
		at.row[at.n++] = v;
		add_row(p, s, &at);
	} else if (!strncmp(rows, "[]", 2)) {
		json_array_foreach(v, i, e) {
			struct place in = at;

			in.row[in.n++] = e;
			walk(p, s, in, e, next);
		}
	} else if (!strncmp(rows, "{}", 2)) {
		json_object_foreach((json_t *)(uintptr_t)v, key, e) {
			/* Sums are the reader's to make: they would count twice. */
			if (!strcmp(key, "total"))
				continue;
			at.key = key;
			walk(p, s, at, e, next);
		}
	} else {
		walk(p, s, at, look(v, rows, len), next);
	}
}

void metrics_page_add(struct metrics_page *p, const char *command, const json_t *doc)
{
	for (size_t i = 0; i < n_metric_sources; i++) {
		struct place at = { .key = "" };

		if (!strcmp(metric_sources[i].command, command))
			walk(p, &metric_sources[i], at, doc, metric_sources[i].rows);
	}
}

/* ---- the page ---- */

static bool is_counter(const char *name)
{
	size_t len = strlen(name);

	return len > 6 && !strcmp(name + len - 6, "_total");
}

void metrics_page_text(struct metrics_page *p, struct strbuf *b)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct family *f = &p->family[i];

		if (!f->n)
			continue;
		strbuf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", f->metric->name, f->metric->help,
			    f->metric->name, is_counter(f->metric->name) ? "counter" : "gauge");
		strbuf_add(b, f->series.s, f->series.len);
	}
}
