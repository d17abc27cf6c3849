/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stream of a TLS client: read whole, and put together from two segments in the wrong order
 * (the first byte says where it is cut) with the same answer. */
#include "inspect/segments.h"

#include <stdlib.h>
#include <string.h>

static void check(enum tls_hello r, const struct tls_name *n)
{
	if (r == TLS_NAME && (!tls_pattern_ok(n->name) || !tls_name_matches(n->name, n->name)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_name whole, parts;
	enum tls_hello r, q;
	struct seg s = { .base = UINT32_MAX - 100 };
	size_t cut;

	if (size < 2)
		return 0;
	cut = (size_t)*data++ * --size / 256;
	r = tls_hello_read(data, size, &whole);
	check(r, &whole);
	if (size > TLS_HELLO_MAX)
		return 0;
	if (!seg_add(&s, s.base + (uint32_t)cut, data + cut, size - cut) ||
	    !seg_add(&s, s.base, data, cut) || s.n != size)
		abort();
	q = tls_hello_read(s.bytes, s.n, &parts);
	if (q != r || memcmp(&whole, &parts, sizeof(parts)) != 0)
		abort();
	seg_free(&s);
	/* More bytes never take back an answer, but that it is right so far. */
	for (size_t n = 0; n < size; n += 1 + size / 32) {
		q = tls_hello_read(data, n, &parts);
		if (q != TLS_MORE && q != r)
			abort();
	}
	return 0;
}
