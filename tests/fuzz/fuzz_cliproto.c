/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A client's bytes as conn.c cuts and decodes them; what decodes must encode to the same. */
#include "cliproto.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct clp_msg *m, const uint8_t *data, size_t size)
{
	struct clp_str strs[64];
	struct clp_msg walk = *m;
	struct strbuf b = STRBUF_INIT;
	unsigned n = 0;

	if (data[5] > CLP_MAX_NUM || m->n_str > ARRAY_LEN(strs))
		return;
	if (m->n_str)
		strs[n++] = m->str;
	while (n < m->n_str && clp_next_str(&walk, &strs[n]))
		n++;
	if (n != m->n_str)
		abort();
	clp_encode(&b, m->type, m->num, data[5], strs, n);
	if (b.len != size || memcmp(b.s, data, size))
		abort();
	strbuf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size) {
		int64_t n = clp_size(data, size);
		struct clp_msg m;

		if (n <= 0 || (size_t)n > size)
			break;
		if (clp_decode(data, (size_t)n, &m))
			break;
		again(&m, data, (size_t)n);
		data += n;
		size -= (size_t)n;
	}
	return 0;
}
