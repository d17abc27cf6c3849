/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/baseline.h"

#include "strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Some thousand interfaces with a dozen settings each; a larger file is not ours. */
#define FILE_MAX (8u << 20)

struct item {
	char *key, *value;
};

static struct {
	char *path; /* NULL: memory only */
	struct item *v;
	size_t len, room;
	bool dirty;
} b;

/* First place whose key is not before `key`. */
static size_t place(const char *key)
{
	size_t lo = 0, hi = b.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(b.v[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool at(size_t i, const char *key)
{
	return i < b.len && !strcmp(b.v[i].key, key);
}

const char *baseline_get(const char *key)
{
	size_t i = place(key);

	return at(i, key) ? b.v[i].value : NULL;
}

void baseline_keep(const char *key, const char *value)
{
	size_t i = place(key);

	if (at(i, key))
		return;
	if (b.len == b.room) {
		b.room = b.room ? b.room * 2 : 64;
		b.v = xrealloc(b.v, b.room * sizeof(*b.v));
	}
	memmove(&b.v[i + 1], &b.v[i], (b.len - i) * sizeof(*b.v));
	b.v[i] = (struct item){ .key = xstrdup(key), .value = xstrdup(value) };
	b.len++;
	b.dirty = true;
}

void baseline_drop(const char *key)
{
	size_t i = place(key);

	if (!at(i, key))
		return;
	free(b.v[i].key);
	free(b.v[i].value);
	b.len--;
	memmove(&b.v[i], &b.v[i + 1], (b.len - i) * sizeof(*b.v));
	b.dirty = true;
}

void baseline_foreach(const char *prefix, void (*fn)(void *arg, const char *key, const char *value),
		      void *arg)
{
	size_t n = strlen(prefix);

	for (size_t i = place(prefix); i < b.len && !strncmp(b.v[i].key, prefix, n); i++)
		fn(arg, b.v[i].key, b.v[i].value);
}

/* ---- the file: a head line, then "key TAB value" lines; control characters and '%' as %xx ---- */

static void add_escaped(struct strbuf *o, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f || c == '%')
			strbuf_addf(o, "%%%02x", c);
		else
			strbuf_addc(o, *s);
	}
}

static bool unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		char hex[3] = { 0 }, *end;

		if (*s != '%') {
			*to++ = *s;
			continue;
		}
		if (!s[1] || !s[2])
			return false;
		memcpy(hex, s + 1, 2);
		*to++ = (char)strtoul(hex, &end, 16);
		if (*end || !to[-1])
			return false;
		s += 2;
	}
	*to = '\0';
	return true;
}

/* Boot and network namespace: what was written in others says nothing about this kernel. */
static char *head(void)
{
	struct stat st = { 0 };
	char *boot = NULL, *h;

	if (!rtr_file_read("/proc/sys/kernel/random/boot_id", 256, &boot, NULL))
		boot[strcspn(boot, "\n")] = '\0';
	stat("/proc/self/ns/net", &st);
	h = xasprintf("rtr baseline 1 %s %llu\n", boot ? boot : "-", (unsigned long long)st.st_ino);
	free(boot);
	return h;
}

static void parse(char *text)
{
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n"))) {
		char *value = strchr(line, '\t');

		if (!value)
			continue;
		*value++ = '\0';
		if (unescape(line) && unescape(value))
			baseline_keep(line, value);
	}
}

int baseline_sync(void)
{
	struct strbuf o = STRBUF_INIT;
	char *h;
	int r;

	if (!b.dirty)
		return 0;
	if (!b.path) {
		b.dirty = false;
		return 0;
	}
	h = head();
	strbuf_adds(&o, h);
	free(h);
	for (size_t i = 0; i < b.len; i++) {
		add_escaped(&o, b.v[i].key);
		strbuf_addc(&o, '\t');
		add_escaped(&o, b.v[i].value);
		strbuf_addc(&o, '\n');
	}
	r = rtr_file_swap(b.path, strbuf_str(&o), o.len, 0600);
	strbuf_fini(&o);
	if (!r)
		b.dirty = false;
	return r;
}

int baseline_init(const char *rundir)
{
	char *text, *h;
	int r;

	if (!rundir)
		return 0;
	b.path = xasprintf("%s/baseline", rundir);
	r = rtr_file_read(b.path, FILE_MAX, &text, NULL);
	if (r == -ENOENT || r == -EFBIG)
		return 0;
	if (r)
		return r;
	h = head();
	if (!strncmp(text, h, strlen(h)))
		parse(text + strlen(h));
	b.dirty = false;
	free(h);
	free(text);
	return 0;
}

void baseline_fini(void)
{
	while (b.len)
		baseline_drop(b.v[b.len - 1].key);
	free(b.v);
	free(b.path);
	memset(&b, 0, sizeof(b));
}
