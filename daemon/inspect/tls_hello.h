/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: reads the server name out of the first bytes that a TLS client sends (RFC 8446 4.1.2, RFC
 * 6066 3): records joined, handshake header, ClientHello, extension server_name. What does not fit
 * the grammar is BAD: a server might read it otherwise, so no name may be taken from it.
 * Owns: nothing. Threads: any. Failure: none; every input has an answer.
 */
#ifndef RTR_TLS_HELLO_H
#define RTR_TLS_HELLO_H

#include "util.h"

/* Bytes of a stream within which the hello must be complete: post-quantum key shares make some
 * 1,800 bytes, and what clients send stays below 4,096. */
#define TLS_HELLO_MAX 16384
#define TLS_NAME_MAX  255

enum tls_hello {
	TLS_MORE,    /* right so far */
	TLS_NAME,    /* a name */
	TLS_NO_NAME, /* a hello without one */
	TLS_NOT_TLS, /* something else from the first bytes on */
	TLS_BAD,     /* begins like TLS, and is wrong, or too long */
};

struct tls_name {
	bool ech;                    /* the name is the outer one of an encrypted hello */
	char name[TLS_NAME_MAX + 1]; /* in small letters, without a dot at the end */
};

/* data: the stream from its first byte on. */
enum tls_hello tls_hello_read(const uint8_t *data, size_t size, struct tls_name *ret);

/* Pattern of a line: "www.example.com"; "*.example.com" (names below it, not itself); "*" (all). In
 * small letters. */
bool tls_pattern_ok(const char *pattern);
bool tls_name_matches(const char *pattern, const char *name);

#endif
