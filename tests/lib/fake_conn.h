/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the offers of conn.h without a socket, for tests that drive session.c: what a session puts
 * out is kept as the operator would see it.
 * Owns: its texts, until fake_conn_fini.
 */
#ifndef RTR_FAKE_CONN_H
#define RTR_FAKE_CONN_H

#include "cli/conn.h"
#include "strbuf.h"

#include <stdlib.h>
#include <string.h>

struct conn {
	struct conn_peer peer;
	struct strbuf seen; /* both streams, as a terminal shows them */
	struct strbuf out;  /* CONN_OUT alone */
	bool done, closed, congested;
	int status;
	unsigned n_done;
	char *question, *file;
	enum conn_redirect mode;
	struct strbuf words; /* completions, blank separated */
	unsigned start;
	struct strbuf log;
	char prompt[160];
};

void conn_output(struct conn *c, enum conn_stream stream, const void *buf, size_t size)
{
	strbuf_add(&c->seen, buf, size);
	if (stream == CONN_OUT)
		strbuf_add(&c->out, buf, size);
}

bool conn_congested(const struct conn *c)
{
	return c->congested;
}

void conn_done(struct conn *c, int status, const char *prompt)
{
	rtr_strlcpy(c->prompt, prompt, sizeof(c->prompt));
	c->done = true;
	c->status = status;
	c->n_done++;
}

void conn_question(struct conn *c, const char *text, bool echo)
{
	strbuf_adds(&c->seen, text);
	free(c->question);
	c->question = xstrdup(text);
}

void conn_log(struct conn *c, const char *line)
{
	strbuf_addf(&c->log, "%s\n", line);
}

void conn_prompt(struct conn *c, const char *prompt)
{
	rtr_strlcpy(c->prompt, prompt, sizeof(c->prompt));
}

void conn_redirect(struct conn *c, enum conn_redirect mode, const char *path)
{
	c->mode = mode;
	free(c->file);
	c->file = xstrdup(path);
}

void conn_completions(struct conn *c, unsigned start, const char *const *words, size_t n)
{
	strbuf_reset(&c->words);
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&c->words, "%s%s", i ? " " : "", words[i]);
	c->start = start;
}

void conn_set_length(struct conn *c, unsigned rows)
{
	c->peer.rows = rows;
}

void conn_close(struct conn *c, const char *reason)
{
	strbuf_addf(&c->seen, "[closed%s%s]\n", *reason ? ": " : "", reason);
	c->closed = true;
}

const struct conn_peer *conn_peer(const struct conn *c)
{
	return &c->peer;
}

static inline void fake_conn_fini(struct conn *c)
{
	strbuf_fini(&c->seen);
	strbuf_fini(&c->out);
	strbuf_fini(&c->words);
	strbuf_fini(&c->log);
	free(c->question);
	free(c->file);
}

#endif
