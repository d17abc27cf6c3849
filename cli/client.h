/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrctl's end of the CLI socket: connect, send, and the messages that have come.
 * Owns: the socket and its input buffer. Threads: one.
 * Failure: -errno; -ECONNRESET is the end of the connection, -EPROTO a server that does not
 * speak the protocol.
 */
#ifndef RTR_CLIENT_H
#define RTR_CLIENT_H

#include "cliproto.h"
#include "strbuf.h"

struct client {
	int fd; /* -1: not connected */
	struct strbuf in;
	size_t taken; /* of `in`: messages handed out by client_next */
};

#define CLIENT_INIT                                                                                \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Connects and says HELLO; the answer comes as a message. */
int client_connect(struct client *c, const char *path, bool interactive, unsigned cols,
		   unsigned rows);
void client_close(struct client *c);
/* Blocks until the socket has taken it. */
int client_send(struct client *c, enum clp_type type, uint32_t num, const char *s, size_t len);
int client_send_term(struct client *c, unsigned cols, unsigned rows);
/* Reads once; call when the socket is readable. */
int client_fill(struct client *c);
/* 1: *ret is the next message, good until the next client_ call; 0: none is whole yet. Messages
 * of types that this release does not know are skipped. */
int client_next(struct client *c, struct clp_msg *ret);

#endif
