/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/pipe.h"

#include <stdlib.h>
#include <string.h>

const char *const pipe_words[][2] = {
	{ "append", "Append the output to a file" },
	{ "begin", "Begin with the line that matches" },
	{ "count", "Count lines, or those that match" },
	{ "exclude", "Leave out lines that match" },
	{ "include", "Lines that match" },
	{ "json", "As one JSON document" },
	{ "redirect", "Write the output to a file" },
	{ "section", "Sections whose first line matches" },
	{ "tee", "Show the output and write it to a file" },
	{ NULL, NULL },
};

#define BLANKS " \t"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The first " | " that stands alone: a `|` inside a word belongs to it (a regular expression). */
static char *find_bar(char *s)
{
	for (char *p = s; (p = strchr(p, '|')); p++) {
		if ((p == s || is_blank(p[-1])) && (is_blank(p[1]) || !p[1]))
			return p;
	}
	return NULL;
}

static const char *full_word(const char *w, size_t len, bool *ret_ambiguous)
{
	const char *found = NULL;

	*ret_ambiguous = false;
	for (size_t i = 0; pipe_words[i][0]; i++) {
		if (strncasecmp(pipe_words[i][0], w, len))
			continue;
		if (found)
			*ret_ambiguous = true;
		found = pipe_words[i][0];
	}
	return found;
}

/* What glibc would make of an expression, in copies of its atoms: `{n}` and `+` copy what they
 * follow, so nested ones multiply, and a line of 40 bytes from a reader took all memory. */
#define RE_MAX_SIZE  256  /* bytes; a line of output is hardly longer */
#define RE_MAX_ATOMS 2000 /* compiles within 1 ms and 1 MB */
#define RE_MAX_DEPTH 16   /* of parentheses */

/* From the `[` at s to its `]`, or the end. */
static const char *skip_bracket(const char *s)
{
	s++;
	s += *s == '^';
	s += *s == ']';
	while (*s && *s != ']') {
		if (*s == '[' && strchr(".:=", s[1]) && s[1]) {
			const char end[] = { s[1], ']', '\0' }, *e = strstr(s + 2, end);

			s = e ? e + 1 : s;
		}
		s++;
	}
	return *s ? s : s - 1;
}

/* Copies that `{m,n}` at s makes; *ret_end is its last byte. 1 when it is none. */
static unsigned long interval(const char *s, const char **ret_end)
{
	char *e;
	unsigned long m = strtoul(s + 1, &e, 10), n = m;

	if (*e == ',')
		n = strtoul(e + 1, &e, 10);
	if (*e != '}')
		return 1;
	*ret_end = e;
	return MAX(MAX(m + 1, n), 1ul);
}

/* NULL, or why the expression is not taken. */
static const char *re_refused(const char *re)
{
	unsigned long sum[RE_MAX_DEPTH + 1] = { 0 }, atom = 0, n;
	unsigned depth = 0;

	if (strlen(re) > RE_MAX_SIZE)
		return "too long";
	for (const char *s = re; *s; s++) {
		if (*s == '{' || *s == '+') {
			n = *s == '+' ? 2 : interval(s, &s);
			if (n > RE_MAX_ATOMS || atom * n > RE_MAX_ATOMS)
				return "repeats too much";
			atom *= n;
		} else if (*s == ')' && depth) {
			atom += sum[depth--] + 1;
		} else if (!strchr("*?", *s)) {
			sum[depth] += atom;
			atom = 1;
			if (*s == '(' && ++depth > RE_MAX_DEPTH)
				return "nested too deep";
			if (*s == '(')
				sum[depth] = atom = 0;
			else if (*s == '[')
				s = skip_bracket(s);
			/* Matching these takes exponential time. */
			else if (*s == '\\' && s[1] >= '1' && s[1] <= '9')
				return "back references are not supported";
			else if (*s == '\\' && s[1])
				s++;
		}
		if (sum[depth] + atom > RE_MAX_ATOMS)
			return "repeats too much";
	}
	return NULL;
}

static char *add_stage(struct outpipe *p, enum pipe_kind kind, const char *re)
{
	struct pipe_stage *s = &p->stage[p->n];
	const char *refused = re_refused(re);
	char err[128];
	int r;

	if (refused)
		return xasprintf("the regular expression: %s", refused);
	if (p->n == PIPE_MAX)
		return xstrdup("too many filters");
	*s = (struct pipe_stage){ .kind = kind };
	if (!*re && kind != PIPE_COUNT)
		return xstrdup("a regular expression is missing");
	if (*re) {
		r = regcomp(&s->re, re, REG_EXTENDED | REG_NOSUB);
		if (r) {
			regerror(r, &s->re, err, sizeof(err));
			return xasprintf("\"%s\": %s", re, err);
		}
		s->has_re = true;
	}
	p->n++;
	return NULL;
}

static char *set_file(struct outpipe *p, enum conn_redirect mode, const char *path)
{
	if (!*path || p->path)
		return xstrdup(*path ? "one file only" : "a file name is missing");
	p->mode = mode;
	p->path = xstrdup(path);
	return NULL;
}

static char *parse_one(struct outpipe *p, char *text)
{
	size_t len = strcspn(text, BLANKS);
	char *rest = text + len + strspn(text + len, BLANKS);
	const char *word;
	bool ambiguous;

	for (char *e = rest + strlen(rest); e > rest && is_blank(e[-1]);)
		*--e = '\0';
	if (!len)
		return xstrdup("a filter is missing");
	word = full_word(text, len, &ambiguous);
	if (!word || ambiguous)
		return xasprintf("\"%.*s\" is not a filter%s", (int)len, text,
				 ambiguous ? ": ambiguous" : "");
	switch (*word) {
	case 'i':
		return add_stage(p, PIPE_INCLUDE, rest);
	case 'e':
		return add_stage(p, PIPE_EXCLUDE, rest);
	case 'b':
		return add_stage(p, PIPE_BEGIN, rest);
	case 's':
		return add_stage(p, PIPE_SECTION, rest);
	case 'c':
		return add_stage(p, PIPE_COUNT, rest);
	case 'r':
		return set_file(p, CONN_REDIRECT, rest);
	case 'a':
		return set_file(p, CONN_APPEND, rest);
	case 't':
		return set_file(p, CONN_TEE, rest);
	default:
		p->json = true;
		return *rest ? xstrdup("nothing follows json") : NULL;
	}
}

char *pipe_parse(struct outpipe *p, char *line, unsigned *ret_col)
{
	char *bar = find_bar(line), *next, *err = NULL;

	memset(p, 0, sizeof(*p));
	while (bar && !err) {
		char *text = bar + 1 + strspn(bar + 1, BLANKS);

		*bar = '\0';
		*ret_col = (unsigned)(text - line);
		next = find_bar(text);
		if (next)
			*next = '\0';
		err = parse_one(p, text);
		bar = next;
	}
	return err;
}

void pipe_fini(struct outpipe *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (p->stage[i].has_re)
			regfree(&p->stage[i].re);
	}
	strbuf_fini(&p->part);
	free(p->path);
	memset(p, 0, sizeof(*p));
}

static bool matches(const struct pipe_stage *s, const char *line)
{
	return !s->has_re || !regexec(&s->re, line, 0, NULL, 0);
}

/* A section is a matching line and the deeper ones that follow it. */
static bool in_section(struct pipe_stage *s, const char *line)
{
	unsigned indent = (unsigned)strspn(line, " ");

	if (s->open && indent > s->indent)
		return true;
	s->open = matches(s, line);
	s->indent = indent;
	return s->open;
}

static void pass_line(struct outpipe *p, unsigned from, const char *line)
{
	for (unsigned i = from; i < p->n; i++) {
		struct pipe_stage *s = &p->stage[i];
		bool on = true;

		switch (s->kind) {
		case PIPE_INCLUDE:
			on = matches(s, line);
			break;
		case PIPE_EXCLUDE:
			on = !matches(s, line);
			break;
		case PIPE_BEGIN:
			on = s->open = s->open || matches(s, line);
			break;
		case PIPE_SECTION:
			on = in_section(s, line);
			break;
		case PIPE_COUNT:
			s->count += matches(s, line);
			on = false;
			break;
		}
		if (!on)
			return;
	}
	p->sink(p->arg, line, strlen(line));
	p->sink(p->arg, "\n", 1);
}

void pipe_feed(struct outpipe *p, const char *text, size_t size)
{
	const char *end = text + size, *nl;

	if (!p->n) {
		p->sink(p->arg, text, size);
		return;
	}
	while ((nl = memchr(text, '\n', (size_t)(end - text)))) {
		strbuf_add(&p->part, text, (size_t)(nl - text));
		pass_line(p, 0, strbuf_str(&p->part));
		strbuf_reset(&p->part);
		text = nl + 1;
	}
	strbuf_add(&p->part, text, (size_t)(end - text));
}

void pipe_end(struct outpipe *p)
{
	if (p->part.len)
		pass_line(p, 0, strbuf_str(&p->part));
	for (unsigned i = 0; i < p->n; i++) {
		char buf[64];

		if (p->stage[i].kind != PIPE_COUNT)
			continue;
		snprintf(buf, sizeof(buf), "Number of lines%s = %lu",
			 p->stage[i].has_re ? " which match regexp" : "", p->stage[i].count);
		pass_line(p, i + 1, buf);
	}
}
