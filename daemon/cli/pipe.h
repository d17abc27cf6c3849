/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the output filters after a command: | include RE | exclude RE | begin RE | section RE
 * | count [RE] | json | redirect FILE | append FILE | tee FILE, in any chain.
 * Owns: its stages and the unfinished line. Threads: rtrd's loop only.
 * Failure: pipe_parse explains a wrong filter; nothing is run then.
 */
#ifndef RTR_PIPE_H
#define RTR_PIPE_H

#include "cli/conn.h"
#include "strbuf.h"

#include <regex.h>

enum pipe_kind { PIPE_INCLUDE, PIPE_EXCLUDE, PIPE_BEGIN, PIPE_SECTION, PIPE_COUNT };

struct pipe_stage {
	enum pipe_kind kind;
	regex_t re;
	bool has_re, open; /* open: begin has begun, the section goes on */
	unsigned indent;   /* of the section's first line */
	unsigned long count;
};

#define PIPE_MAX 8

struct outpipe {
	struct pipe_stage stage[PIPE_MAX];
	unsigned n;
	bool json;
	struct strbuf part; /* a line without its end */
	void (*sink)(void *arg, const char *text, size_t size);
	void *arg;
	enum conn_redirect mode;
	char *path; /* redirect, append, tee: rtrctl writes it */
};

/* Cuts the filters off `line` (in place) and compiles them. NULL, or what is wrong; *ret_col is
 * the column of the fault. */
char *pipe_parse(struct outpipe *p, char *line, unsigned *ret_col);
void pipe_fini(struct outpipe *p);
void pipe_feed(struct outpipe *p, const char *text, size_t size);
void pipe_end(struct outpipe *p); /* the last line, and what `count` counted */
/* Words that may follow a `|`, for `?` and Tab: NULL-terminated pairs of word and help. */
extern const char *const pipe_words[][2];

#endif
