/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shell.h"
#include "rtr/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* rtrd answers a HELLO at once; at its own start, after reading the configuration. */
#define HELLO_WAIT_MS 30000

void reply_fini(struct reply *r)
{
	strbuf_fini(&r->words);
}

static void set_prompt(struct shell *sh, const char *prompt)
{
	free(sh->prompt);
	sh->prompt = xstrdup(prompt);
}

void shell_async(struct shell *sh, const struct clp_msg *m)
{
	switch (m->type) {
	case CLP_HELLO:
		set_prompt(sh, m->str.s);
		sh->welcome = true;
		break;
	case CLP_PROMPT:
		set_prompt(sh, m->str.s);
		break;
	case CLP_LENGTH:
		sh->length = m->num[0];
		break;
	case CLP_LOG:
		if (sh->interactive) {
			term_text(m->str.s, m->str.len);
			term_puts("\n");
		}
		break;
	case CLP_BYE:
		if (m->num[0] == CLP_BYE_RESTART) {
			sh->restarts = true;
			break;
		}
		sh->over = true;
		if (m->str.len) {
			fprintf(stderr, "%% rtrd closed the session: %s\n", m->str.s);
			sh->status = 1;
		}
		break;
	default:
		break;
	}
}

static int wait_hello(struct shell *sh)
{
	uint64_t due = rtr_now_ns() + HELLO_WAIT_MS * NSEC_PER_MSEC;
	struct clp_msg m;
	int r = 0;

	while (!sh->welcome && !sh->over && rtr_now_ns() < due) {
		struct term_signals s;

		if (term_wait(&sh->term, sh->client.fd, 1000))
			r = client_fill(&sh->client);
		while (client_next(&sh->client, &m) == 1)
			shell_async(sh, &m);
		s = term_take_signals();
		if (s.intr || s.quit || term_take_ctrl_c(&sh->term))
			return -EINTR;
		if (r && !sh->welcome)
			return sh->over ? -EACCES : r;
	}
	return sh->welcome ? 0 : sh->over ? -EACCES : -ETIMEDOUT;
}

int shell_connect(struct shell *sh)
{
	int r;

	sh->welcome = sh->over = sh->restarts = false;
	sh->length = CLP_LENGTH_AUTO;
	r = client_connect(&sh->client, sh->sock_path, sh->interactive, sh->term.cols,
			   sh->term.rows);
	return r ? r : wait_hello(sh);
}

/* ---- a request ---- */

struct exchange {
	struct shell *sh;
	enum clp_type type;
	struct output out;
	struct reply *reply;
	bool done;
};

/* Reads an answer to a question; false: ^C or the end of input. */
static bool read_answer(struct shell *sh, bool echo, struct strbuf *answer)
{
	for (;;) {
		int key = term_byte(&sh->term);
		char ch = (char)key;

		if (key < 0) {
			struct term_signals s = term_take_signals();

			if (sh->term.eof || s.intr || s.quit)
				return false;
			term_wait(&sh->term, -1, -1);
		} else if (key == '\r' || key == '\n') {
			term_puts("\n");
			return true;
		} else if (key == KEY_CTRL('C') || key == KEY_CTRL('D')) {
			term_puts("\n");
			return false;
		} else if (key == 0x7f || key == KEY_CTRL('H')) {
			if (answer->len) {
				answer->s[--answer->len] = '\0';
				if (echo)
					term_puts("\b \b");
			}
		} else if (key >= ' ') {
			strbuf_addc(answer, ch);
			if (echo)
				term_raw(&ch, 1);
		}
	}
}

static int ask(struct shell *sh, const struct clp_msg *m)
{
	struct strbuf answer = STRBUF_INIT;
	int r;

	term_text(m->str.s, m->str.len);
	if (read_answer(sh, m->num[0], &answer))
		r = client_send(&sh->client, CLP_ANSWER, 0, strbuf_str(&answer), answer.len);
	else
		r = client_send(&sh->client, CLP_INTERRUPT, 0, NULL, 0);
	if (answer.len)
		explicit_bzero(answer.s, answer.len);
	strbuf_fini(&answer);
	return r;
}

static void keep_words(struct reply *r, struct clp_msg *m)
{
	struct clp_str s = m->str;

	r->start = m->num[0];
	if (!m->n_str)
		return;
	do {
		strbuf_add(&r->words, s.s, s.len + 1);
		r->n_words++;
	} while (clp_next_str(m, &s));
}

static int handle(struct exchange *x, struct clp_msg *m)
{
	struct shell *sh = x->sh;
	bool wanted = true;

	switch (m->type) {
	case CLP_OUTPUT:
		wanted = output_put(&x->out, m->num[0], m->str.s, m->str.len);
		break;
	case CLP_REDIRECT:
		wanted = output_redirect(&x->out, m->num[0], m->str.s);
		break;
	case CLP_QUESTION:
		if (sh->interactive)
			return ask(sh, m);
		break;
	case CLP_DONE:
		x->reply->status = (int)(m->num[0] & 0xff);
		set_prompt(sh, m->str.s);
		x->done = x->type != CLP_COMPLETE;
		break;
	case CLP_COMPLETIONS:
		keep_words(x->reply, m);
		x->done = x->type == CLP_COMPLETE;
		break;
	default:
		shell_async(sh, m);
		break;
	}
	return wanted ? 0 : client_send(&sh->client, CLP_INTERRUPT, 0, NULL, 0);
}

/* ^C, the terminal's size, the wish to end. */
static int handle_user(struct exchange *x, unsigned *n_intr)
{
	struct shell *sh = x->sh;
	struct term_signals s = term_take_signals();

	if (s.quit)
		return -EINTR;
	if (s.winch && term_measure(&sh->term) && sh->interactive) {
		int r = client_send_term(&sh->client, sh->term.cols, sh->term.rows);

		if (r)
			return r;
	}
	if (s.intr || (sh->interactive && term_take_ctrl_c(&sh->term))) {
		if (sh->interactive)
			term_puts("^C\n");
		/* A script's second ^C does not wait for rtrd to agree. */
		if (++*n_intr > 1 && !sh->interactive)
			return -EINTR;
		return client_send(&sh->client, CLP_INTERRUPT, 0, NULL, 0);
	}
	return 0;
}

static int run(struct exchange *x)
{
	struct shell *sh = x->sh;
	struct clp_msg m;
	unsigned n_intr = 0;
	int r = 0, lost = 0;

	while (!x->done && !r) {
		while (!x->done && !r && (r = client_next(&sh->client, &m)) == 1)
			r = handle(x, &m);
		/* What rtrd said before its end is still shown: BYE says why. */
		if (x->done || r < 0 || lost)
			break;
		r = 0;
		if (term_wait(&sh->term, sh->client.fd, -1))
			lost = client_fill(&sh->client);
		if (!lost)
			r = handle_user(x, &n_intr);
	}
	return x->done ? 0 : r ? r : lost;
}

int shell_request(struct shell *sh, enum clp_type type, uint32_t num, const char *text, size_t len,
		  struct reply *ret)
{
	struct exchange x = { .sh = sh, .type = type, .reply = ret };
	unsigned length = sh->length == CLP_LENGTH_AUTO ? sh->term.rows : sh->length;
	int r;

	*ret = (struct reply){ .status = 1 };
	output_start(&x.out, sh->interactive ? &sh->term : NULL, length,
		     type == CLP_EXEC ? text : NULL);
	/* A resize just before the key that sends this may not have been seen as a signal yet. */
	if (sh->interactive && term_measure(&sh->term))
		(void)client_send_term(&sh->client, sh->term.cols, sh->term.rows);
	r = client_send(&sh->client, type, num, text, len);
	/* The server may have gone with a BYE that still waits to be read. */
	if (!r || r == -EPIPE || r == -ECONNRESET)
		r = run(&x);
	ret->status = output_end(&x.out, ret->status);
	return r;
}

void shell_fini(struct shell *sh)
{
	client_close(&sh->client);
	term_fini(&sh->term);
	free(sh->prompt);
	sh->prompt = NULL;
}
