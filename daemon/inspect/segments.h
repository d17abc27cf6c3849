/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the first bytes of one direction of a TCP connection, put together from segments in any
 * order. Bytes that come twice must be the same: where they differ, the receiver might take either,
 * so nobody can say what it reads.
 * Owns: memory from the first segment that does not complete the stream by itself, to seg_free;
 * at most SEG_MEMORY. Threads: any. Failure: seg_add says so.
 */
#ifndef RTR_SEGMENTS_H
#define RTR_SEGMENTS_H

#include "inspect/tls_hello.h"

#define SEG_MEMORY (TLS_HELLO_MAX + TLS_HELLO_MAX / 8)

struct seg {
	uint32_t base;  /* sequence number of the first byte */
	uint32_t n;     /* bytes from the first on without a gap */
	uint8_t *bytes; /* TLS_HELLO_MAX, then a bit for each byte that is there; NULL: none */
};

/* False: it contradicts what was there, or lies outside of the window of TLS_HELLO_MAX bytes (what
 * lies before the base, as a probe of a live connection does, or ends behind is cut). */
bool seg_add(struct seg *s, uint32_t seq, const uint8_t *data, size_t size);
void seg_free(struct seg *s);

#endif
