/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/segments.h"

#include <stdlib.h>
#include <string.h>

static bool has(const uint8_t *map, uint32_t at)
{
	return map[at / 8] >> at % 8 & 1;
}

bool seg_add(struct seg *s, uint32_t seq, const uint8_t *data, size_t size)
{
	uint32_t at = seq - s->base;
	uint8_t *map;

	if (at > INT32_MAX) {
		uint32_t early = s->base - seq;

		if (early >= size)
			return true;
		data += early;
		size -= early;
		at = 0;
	}
	if (!size)
		return true;
	if (at >= TLS_HELLO_MAX)
		return false;
	size = MIN(size, (size_t)(TLS_HELLO_MAX - at));
	if (!s->bytes)
		s->bytes = xcalloc(1, SEG_MEMORY);
	map = s->bytes + TLS_HELLO_MAX;
	for (uint32_t i = 0; i < size; i++) {
		uint32_t k = at + i;

		if (has(map, k) && s->bytes[k] != data[i])
			return false;
		s->bytes[k] = data[i];
		map[k / 8] |= (uint8_t)(1u << k % 8);
	}
	while (s->n < TLS_HELLO_MAX && has(map, s->n))
		s->n++;
	return true;
}

void seg_free(struct seg *s)
{
	free(s->bytes);
	*s = (struct seg){ 0 };
}
