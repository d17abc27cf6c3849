/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a growing text buffer. Owns its memory until strbuf_fini or strbuf_steal.
 * Threads: one at a time. Failure: aborts on exhaustion (see util.h).
 */
#ifndef RTR_STRBUF_H
#define RTR_STRBUF_H

#include "util.h"

#include <stdarg.h>

struct strbuf {
	char *s;    /* NUL-terminated when len > 0; NULL when nothing was added */
	size_t len; /* without the NUL */
	size_t room;
};

#define STRBUF_INIT                                                                                \
	{                                                                                          \
		0                                                                                  \
	}

void strbuf_fini(struct strbuf *b);
void strbuf_reset(struct strbuf *b);
void strbuf_add(struct strbuf *b, const void *s, size_t n);
void strbuf_adds(struct strbuf *b, const char *s);
void strbuf_addc(struct strbuf *b, char c);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) RTR_PRINTF(2, 3);
void strbuf_vaddf(struct strbuf *b, const char *fmt, va_list ap) RTR_PRINTF(2, 0);
/* The text as a C string, "" when empty; valid until the next call. */
const char *strbuf_str(const struct strbuf *b);
/* Hands the text to the caller, who frees it; never NULL. The buffer is empty after. */
char *strbuf_steal(struct strbuf *b);

#endif
