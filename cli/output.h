/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: where a command's output goes: pager, standard output and error, or the file of
 * `| redirect|append|tee FILE`, which is opened here, with the caller's own rights.
 * Owns: the file of one command. Threads: one.
 * Failure: a file that cannot be written is told once; the command then has status 1.
 */
#ifndef RTR_OUTPUT_H
#define RTR_OUTPUT_H

#include "cliproto.h"
#include "pager.h"

struct output {
	struct pager pager;
	bool paged;          /* a person is watching */
	const char *command; /* what was sent: a redirect must name a path out of it */
	int file;            /* -1: none */
	bool tee, failed;
	bool swallow; /* nothing more is wanted: q, or the file failed */
};

/* term NULL: not for a person. */
void output_start(struct output *o, struct term *t, unsigned length, const char *command);
/* False once: the server may stop, nothing more is wanted. */
bool output_put(struct output *o, enum clp_stream stream, const char *s, size_t len);
bool output_redirect(struct output *o, enum clp_redirect mode, const char *path);
/* Shows what is left; the command's status after it. */
int output_end(struct output *o, int status);

#endif
