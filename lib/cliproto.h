/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: encode and decode the messages of rtr/cliproto.h over byte buffers.
 * Owns: nothing; a decoded message points into the buffer it was decoded from. Threads: any.
 * Failure: every length is checked against the bytes that are there; what does not fit is
 * -EPROTO, never a read outside the buffer.
 */
#ifndef RTR_LIB_CLIPROTO_H
#define RTR_LIB_CLIPROTO_H

#include "rtr/cliproto.h"
#include "strbuf.h"
#include "util.h"

/* Bytes before the numbers, and those that clp_size needs. */
#define CLP_HEADER 8

struct clp_str {
	const char *s; /* NUL-terminated; may hold further NULs when text is binary */
	size_t len;
};

struct clp_msg {
	enum clp_type type;
	uint32_t num[CLP_MAX_NUM]; /* those that the sender left out are 0 */
	unsigned n_str;
	struct clp_str str;        /* the first string; empty when there is none */
	const uint8_t *next, *end; /* the strings not yet read: clp_next_str */
};

/* The size of the message that starts at buf, header included: 0 while fewer than CLP_HEADER
 * bytes are there, -EPROTO for a type that does not exist, -EMSGSIZE above the type's limit. */
int64_t clp_size(const void *buf, size_t size);
/* Decodes one whole message of exactly `size` bytes. 0 or -EPROTO. */
int clp_decode(const void *buf, size_t size, struct clp_msg *ret);
/* The strings after the first, one a call. False at the end. */
bool clp_next_str(struct clp_msg *m, struct clp_str *ret);

/* Appends a message to out. The caller keeps its size below the type's limit. */
void clp_encode(struct strbuf *out, enum clp_type type, const uint32_t *num, unsigned n_num,
		const struct clp_str *str, unsigned n_str);
/* The usual shape: at most one number and one string (NULL: none). */
void clp_encode1(struct strbuf *out, enum clp_type type, uint32_t num, const char *s, size_t len);

#endif
