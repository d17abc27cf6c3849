/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration files of the product's schema. A file that is taken, written and read again is the
 * same model, as a file and as lines; one that is refused is told why.
 */
#include "domain.h"
#include "schema/conffile.h"
#include "schema/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig's scanner forgets an unfinished string at a syntax error: 64 bytes for a
 * wrong file, and not ours. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

static void start(void)
{
	const struct domain *const *d;
	size_t n;

	if (domains_sort(&d, &n) || schema_init(d, n))
		abort();
}

static void again(const struct rec *root)
{
	struct strbuf errs = STRBUF_INIT, a = STRBUF_INIT, b = STRBUF_INIT;
	char *text = conffile_text(root, "fuzz");
	struct rec *back;

	if (conffile_hand_edited(text) || conffile_parse("again", text, &back, &errs) ||
	    !model_equal(root, back))
		abort();
	text_config(root, TEXT_ALL, &a);
	text_config(back, TEXT_ALL, &b);
	if (strcmp(strbuf_str(&a), strbuf_str(&b)))
		abort();
	json_decref(model_to_json(root, TEXT_MASKED));
	rec_unref(back);
	strbuf_fini(&errs);
	strbuf_fini(&a);
	strbuf_fini(&b);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct strbuf errs = STRBUF_INIT;
	struct rec *root = NULL;
	char *text;

	if (size > 8192)
		return 0;
	if (!started)
		start();
	started = true;
	text = xstrndup((const char *)data, size);
	if (conffile_parse("f", text, &root, &errs)) {
		if (!errs.len)
			abort();
	} else {
		again(root);
		rec_unref(root);
	}
	strbuf_fini(&errs);
	free(text);
	return 0;
}
