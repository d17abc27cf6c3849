/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines typed at the product's schema, as they are and asked about word by word (`?`, Tab). What
 * must hold: a refused line changes nothing, and the model is always one whose text, typed at an
 * empty model, gives it again.
 */
#include "domain.h"
#include "schema/edit.h"
#include "schema/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void start(void)
{
	const struct domain *const *d;
	size_t n;

	if (domains_sort(&d, &n) || schema_init(d, n))
		abort();
}

static void ignore(void *arg, const char *word, bool is_hint, const struct syn_prog *prog,
		   const struct val_spec *spec)
{
	if (!*word)
		abort();
}

static void ask(const struct editor *e, const char *line)
{
	struct syn_words w;

	syn_words_init(&w, line);
	for (size_t to = 0; to <= w.n; to++) {
		struct syn_result res;
		size_t from;

		editor_match(e, &w, to, &from, &res);
		syn_next(&res, ignore, NULL);
		syn_result_fini(&res);
	}
	syn_words_fini(&w);
}

static void type_line(struct editor *e, const char *line)
{
	struct rec *before = rec_ref(e->root);
	struct edit_error err;
	bool changed;

	if (editor_line(e, line, &changed, &err) ? e->root != before || changed
						 : !changed && !model_equal(e->root, before))
		abort();
	if (err.col > strlen(line))
		abort();
	edit_error_fini(&err);
	rec_unref(before);
}

static void retype(const struct rec *root)
{
	struct rec *empty = model_new();
	struct strbuf delta = STRBUF_INIT;
	char *copy, *save = NULL;
	struct editor e;

	text_delta(empty, root, &delta);
	copy = strbuf_steal(&delta);
	editor_init(&e, empty);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error err;
		bool changed;

		if (editor_line(&e, l, &changed, &err))
			abort();
		edit_error_fini(&err);
	}
	if (!model_equal(e.root, root))
		abort();
	editor_fini(&e);
	free(copy);
	rec_unref(empty);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	char *text, *save = NULL;
	struct rec *empty;
	struct editor e;

	if (size > 4096)
		return 0;
	if (!started)
		start();
	started = true;
	text = xstrndup((const char *)data, size);
	empty = model_new();
	editor_init(&e, empty);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (!strcmp(l, "exit")) {
			editor_leave(&e);
			continue;
		}
		ask(&e, l);
		type_line(&e, l);
	}
	retype(e.root);
	editor_fini(&e);
	rec_unref(empty);
	free(text);
	return 0;
}
