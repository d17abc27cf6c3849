/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/capture_opts.h"

#include "cli/command.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_MB 10
#define MAX_MB     1024
#define MAX_SEC    604800
#define BLANKS     " \t"

/* Words that stand where a name may; an abbreviation of one would hide the capture. */
static const char *const reserved[] = { "brief", "detailed" };

/* ---- options behind the expression ---- */

/* The next word of *s, and *s behind it; NULL at the end. */
static char *next_word(char **s)
{
	char *w = *s + strspn(*s, BLANKS);

	if (!*w)
		return NULL;
	*s = w + strcspn(w, BLANKS);
	if (**s)
		*(*s)++ = '\0';
	return w;
}

static const char *take_number(char **s, uint64_t min, uint64_t max, uint32_t *ret)
{
	char *w = next_word(s);
	uint64_t v;

	if (!w || rtr_parse_u64(w, min, max, &v))
		return "a limit needs its number: packets, size (1 to 1024 megabytes) or duration "
		       "(1 to 604800 seconds), snap-length 64 to 65535";
	*ret = (uint32_t)v;
	return NULL;
}

static const char *take_option(char *w, char **s, struct capture_def *d)
{
	if (!strcmp(w, "rotate")) {
		d->rotate = true;
		return NULL;
	}
	if (!strcmp(w, "limit"))
		return NULL;
	if (!strcmp(w, "packets"))
		return take_number(s, 1, UINT32_MAX, &d->packets);
	if (!strcmp(w, "size"))
		return take_number(s, 1, MAX_MB, &d->size_mb);
	if (!strcmp(w, "duration"))
		return take_number(s, 1, MAX_SEC, &d->seconds);
	if (!strcmp(w, "snap-length"))
		return take_number(s, 64, CAPTURED_SNAP_MAX, &d->snap);
	return "behind the expression stand limit packets N, size N, duration N, rotate, "
	       "snap-length N";
}

/* Where a word of an option that no expression has begins. */
static char *find_options(char *s)
{
	static const char *const first[] = { "limit", "rotate", "snap-length" };
	char *at = s;

	while (*(at += strspn(at, BLANKS))) {
		size_t n = strcspn(at, BLANKS);

		for (size_t i = 0; i < ARRAY_LEN(first); i++) {
			if (n == strlen(first[i]) && !memcmp(at, first[i], n))
				return at;
		}
		at += n;
	}
	return NULL;
}

const char *capture_take_options(char *expr, struct capture_def *d)
{
	char *at = find_options(expr), *end, *w;
	const char *wrong = NULL;

	if (at) {
		char *s = at;

		while (!wrong && (w = next_word(&s)))
			wrong = take_option(w, &s, d);
		*at = '\0';
	}
	end = expr + strlen(expr);
	while (end > expr && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return wrong;
}

/* ---- the line ---- */

static const char *check_name(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		if (!strncasecmp(name, reserved[i], n))
			return "would be taken for brief or detailed of show monitor capture";
	}
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
			return "has other than letters, digits, '-' and '_'";
	}
	return n < CAPTURE_NAME ? NULL : "is longer than 32 characters";
}

static const char *read_filter(char *expr, struct capture_def *d)
{
	const char *wrong = capture_take_options(expr, d);
	size_t n;

	if (wrong)
		return wrong;
	/* As typed for a shell. */
	n = strlen(expr);
	if (n >= 2 && (expr[0] == '"' || expr[0] == '\'') && expr[n - 1] == expr[0]) {
		expr[n - 1] = '\0';
		expr++;
	}
	if (!strcmp(expr, "any"))
		expr += 3;
	for (const char *p = expr; *p; p++) {
		if (!isprint((unsigned char)*p))
			return "an expression is of printable characters";
	}
	return rtr_strlcpy(d->filter, expr, sizeof(d->filter))
		       ? NULL
		       : "an expression has at most 511 characters";
}

bool capture_read_def(struct cmd_ctx *c, struct capture_def *d)
{
	char *name = NULL, *expr = NULL;
	const char *wrong;
	int dir = cmd_choice(c, "dir");

	*d = (struct capture_def){ .snap = CAPTURED_SNAP_MAX,
				   .size_mb = DEFAULT_MB,
				   .rotate = cmd_flag(c, "rotate"),
				   .dir = (uint8_t)MAX(dir, 0) };
	cmd_get(c, "packets", &d->packets);
	cmd_get(c, "size", &d->size_mb);
	cmd_get(c, "seconds", &d->seconds);
	cmd_get(c, "snap", &d->snap);
	cmd_get(c, "ifname", d->ifname);
	cmd_get(c, "name", &name);
	cmd_get(c, "filter", &expr);
	wrong = check_name(name);
	if (wrong)
		cmd_fail(c, "%s %s", name, wrong);
	else {
		rtr_strlcpy(d->name, name, sizeof(d->name));
		wrong = read_filter(expr, d);
		if (wrong)
			cmd_fail(c, "match: %s", wrong);
	}
	free(name);
	free(expr);
	return !wrong;
}
