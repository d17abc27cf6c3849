/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: shows a command's output a screen at a time. ` --More-- `: space next page, Enter next
 * line, q or ^C the end, /RE on to the first line that matches, +RE only lines that match, -RE
 * only lines that do not.
 * Owns: the line being put together. Threads: one. Failure: a bad expression is told and ignored.
 */
#ifndef RTR_PAGER_H
#define RTR_PAGER_H

#include "strbuf.h"

#include <regex.h>

struct term;

enum pager_filter { PAGER_ALL, PAGER_FROM, PAGER_ONLY, PAGER_WITHOUT };

struct pager {
	struct term *term;
	unsigned length; /* lines a page; 0: never ask */
	unsigned used;   /* rows of this page */
	struct strbuf line;
	enum pager_filter filter;
	regex_t re; /* compiled unless PAGER_ALL */
	bool quit;  /* q: the rest is swallowed */
};

void pager_start(struct pager *p, struct term *t, unsigned length);
void pager_write(struct pager *p, const char *s, size_t len);
/* Shows an unfinished last line. */
void pager_end(struct pager *p);

#endif
