/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: one session with rtrd: a request and its messages until DONE, with the pager, questions,
 * files and ^C on the way; and the two ways to use it, by a person (shell_interactive) and by a
 * script (shell_batch). It knows nothing of commands.
 * Owns: the connection. Threads: one.
 * Failure: a connection that ends is told; a person is connected again when rtrd is back.
 */
#ifndef RTR_SHELL_H
#define RTR_SHELL_H

#include "client.h"
#include "output.h"
#include "term.h"

struct shell {
	struct client client;
	const char *sock_path;
	bool interactive, json;
	struct term term;
	char *prompt;
	unsigned length; /* of a page, as rtrd says: 0, a number, CLP_LENGTH_AUTO */
	bool welcome;    /* rtrd's HELLO has come */
	bool over;       /* BYE without return: leave */
	bool restarts;   /* BYE with the promise of another rtrd */
	int status;      /* the last that was not 0 */
};

struct reply {
	int status;
	unsigned start;      /* completions */
	struct strbuf words; /* each with its NUL */
	unsigned n_words;
};

/* Connects and waits for HELLO. 0, or -errno after telling why. */
int shell_connect(struct shell *sh);
/* Sends and handles what comes until the answer is complete. 0, or -errno when the connection
 * ended (told). The reply is to be freed by reply_fini in any case. */
int shell_request(struct shell *sh, enum clp_type type, uint32_t num, const char *text, size_t len,
		  struct reply *ret);
void reply_fini(struct reply *r);
/* A message that belongs to no request. */
void shell_async(struct shell *sh, const struct clp_msg *m);
void shell_fini(struct shell *sh);

int shell_interactive(struct shell *sh);
/* The texts, each a request. The exit status. */
int shell_batch(struct shell *sh, const struct clp_str *texts, size_t n);
/* Standard input to its end. 0, -EFBIG when no EXEC can hold it, or another -errno. */
int batch_read(struct strbuf *ret_text);

#endif
