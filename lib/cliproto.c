/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cliproto.h"

#include <errno.h>
#include <string.h>

struct shape {
	uint8_t known, n_num, n_str;
};

static const struct shape shapes[256] = {
#define X(name, value, nums, strs) [value] = { 1, nums, strs },
	CLP_TYPES(X)
#undef X
};

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

int64_t clp_size(const void *buf, size_t size)
{
	const uint8_t *p = buf;
	uint32_t body;

	if (size < CLP_HEADER)
		return 0;
	if (!shapes[p[4]].known)
		return -EPROTO;
	body = get_u32(p);
	if (body < CLP_HEADER - 4)
		return -EPROTO;
	if (body > (p[4] == CLP_EXEC ? CLP_MAX_SIZE : CLP_MAX_SMALL) - 4)
		return -EMSGSIZE;
	return (int64_t)body + 4;
}

/* Takes one string off [*p, end). False when it is not wholly there. */
static bool take_str(const uint8_t **p, const uint8_t *end, struct clp_str *ret)
{
	uint32_t len;

	if (end - *p < 5)
		return false;
	len = get_u32(*p);
	if (len > (size_t)(end - *p) - 5 || (*p)[4 + len] != 0)
		return false;
	*ret = (struct clp_str){ .s = (const char *)*p + 4, .len = len };
	*p += 5 + (size_t)len;
	return true;
}

int clp_decode(const void *buf, size_t size, struct clp_msg *ret)
{
	const uint8_t *p = buf, *end = p + size, *strs;
	struct clp_msg m = { .str = { "", 0 } };
	struct clp_str s;
	unsigned n_num;

	if (clp_size(buf, size) != (int64_t)size || size == 0)
		return -EPROTO;
	n_num = p[5];
	m.n_str = (unsigned)p[6] | (unsigned)p[7] << 8;
	m.type = (enum clp_type)p[4];
	if (n_num < shapes[p[4]].n_num || m.n_str < shapes[p[4]].n_str ||
	    size - CLP_HEADER < (size_t)n_num * 4)
		return -EPROTO;
	for (unsigned i = 0; i < MIN(n_num, (unsigned)CLP_MAX_NUM); i++)
		m.num[i] = get_u32(p + CLP_HEADER + 4 * i);
	strs = p + CLP_HEADER + (size_t)n_num * 4;

	/* All strings are walked once here, so that clp_next_str cannot fail later. */
	m.next = strs;
	for (unsigned i = 0; i < m.n_str; i++) {
		if (!take_str(&strs, end, &s))
			return -EPROTO;
		if (i == 0) {
			m.str = s;
			m.next = strs;
		}
	}
	if (strs != end)
		return -EPROTO;
	m.end = end;
	*ret = m;
	return 0;
}

bool clp_next_str(struct clp_msg *m, struct clp_str *ret)
{
	return m->next < m->end && take_str(&m->next, m->end, ret);
}

void clp_encode(struct strbuf *out, enum clp_type type, const uint32_t *num, unsigned n_num,
		const struct clp_str *str, unsigned n_str)
{
	uint8_t head[CLP_HEADER + 4 * CLP_MAX_NUM] = { 0 };
	size_t size = CLP_HEADER + 4 * (size_t)n_num;

	for (unsigned i = 0; i < n_str; i++)
		size += 5 + str[i].len;
	put_u32(head, (uint32_t)(size - 4));
	head[4] = (uint8_t)type;
	head[5] = (uint8_t)n_num;
	head[6] = (uint8_t)n_str;
	head[7] = (uint8_t)(n_str >> 8);
	for (unsigned i = 0; i < n_num; i++)
		put_u32(head + CLP_HEADER + 4 * i, num[i]);
	strbuf_add(out, head, CLP_HEADER + 4 * (size_t)n_num);
	for (unsigned i = 0; i < n_str; i++) {
		uint8_t len[4];

		put_u32(len, (uint32_t)str[i].len);
		strbuf_add(out, len, sizeof(len));
		strbuf_add(out, str[i].s, str[i].len);
		strbuf_addc(out, '\0');
	}
}

void clp_encode1(struct strbuf *out, enum clp_type type, uint32_t num, const char *s, size_t len)
{
	struct clp_str str = { s, len };

	clp_encode(out, type, &num, shapes[type].n_num ? 1 : 0, &str, s ? 1 : 0);
}
