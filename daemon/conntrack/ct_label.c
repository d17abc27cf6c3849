/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conntrack/ct_label.h"

#include <string.h>

/* Bytes 1..7 are the fields, bytes 9..15 the same inverted. */
#define INVERTED 8

static void put(uint8_t *label, unsigned at, unsigned size, uint32_t v)
{
	for (unsigned i = 0; i < size; i++) {
		label[at + i] = (uint8_t)(v >> 8 * (size - 1 - i));
		label[at + i + INVERTED] = (uint8_t)~label[at + i];
	}
}

/* True when it was written, by one writer. */
static bool get(const uint8_t *label, unsigned at, unsigned size, uint32_t *ret, bool *mixed)
{
	bool zero = true, whole = true;
	uint32_t v = 0;

	for (unsigned i = 0; i < size; i++) {
		uint8_t plain = label[at + i], inverted = label[at + i + INVERTED];

		zero &= !plain && !inverted;
		whole &= (plain ^ inverted) == 0xff;
		v = v << 8 | plain;
	}
	*mixed |= !zero && !whole;
	if (whole)
		*ret = v;
	return whole;
}

void ct_label_encode(const struct ct_meta *m, uint8_t ret[CT_LABEL_SIZE])
{
	memset(ret, 0, CT_LABEL_SIZE);
	ret[0] = m->flags | CT_LABEL_F_SET;
	if (m->has & CT_META_ZONE)
		put(ret, 2, 2, m->zone);
	if (m->has & CT_META_GEN)
		put(ret, 1, 1, m->gen);
	if (m->has & CT_META_RULE)
		put(ret, 4, 4, m->rule);
}

void ct_label_decode(const uint8_t label[CT_LABEL_SIZE], struct ct_meta *ret)
{
	struct ct_meta m = { .flags = label[0] };
	bool mixed = false;
	uint32_t v;

	if (get(label, 1, 1, &v, &mixed)) {
		m.has |= CT_META_GEN;
		m.gen = (uint8_t)v;
	}
	if (get(label, 2, 2, &v, &mixed)) {
		m.has |= CT_META_ZONE;
		m.zone = (uint16_t)v;
	}
	if (get(label, 4, 4, &v, &mixed)) {
		m.has |= CT_META_RULE;
		m.rule = v;
	}
	if (mixed)
		m.has |= CT_META_MIXED;
	*ret = m;
}
