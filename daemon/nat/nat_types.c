/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of NAT lines: a port or a range of ports; the length of a network by itself. */
#include "nat/nat.h"
#include "schema/types.h"

#include <string.h>

static int wrong(struct strbuf *err, const struct val_spec *s, const char *got)
{
	strbuf_addf(err, "\"%s\" is not %s (%s)", got, s->type->what, s->type->hint);
	return -1;
}

static int ports_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		       struct strbuf *err)
{
	const char *dash = strchr(tok[0], '-');
	char *first = xstrndup(tok[0], dash ? (size_t)(dash - tok[0]) : strlen(tok[0]));
	uint64_t lo, hi;
	bool ok = !rtr_parse_u64(first, 1, UINT16_MAX, &lo);

	free(first);
	hi = lo;
	if (!ok || (dash && rtr_parse_u64(dash + 1, lo, UINT16_MAX, &hi)))
		return wrong(err, s, tok[0]);
	if (dst)
		*(struct nat_port_span *)dst = (struct nat_port_span){ .lo = (uint16_t)lo,
								       .hi = (uint16_t)hi };
	return 1;
}

static void ports_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const struct nat_port_span *p = src;

	strbuf_addf(b, "%u", p->lo);
	if (p->hi != p->lo)
		strbuf_addf(b, "-%u", p->hi);
}

static int ports_cmp(const void *a, const void *b)
{
	const struct nat_port_span *x = a, *y = b;

	return x->lo != y->lo ? (int)x->lo - y->lo : (int)x->hi - y->hi;
}

static const struct val_type ports_type = {
	.name = "NATPORTS",
	.what = "a port or a range of ports",
	.hint = "<1-65535> or N-M",
	.size = sizeof(struct nat_port_span),
	.parse = ports_parse,
	.print = ports_print,
	.cmp = ports_cmp,
};
VAL_TYPE(ports_type);

/* "/24" as it stands behind an address; IPv4 also as a netmask. */
static int len_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		     struct strbuf *err)
{
	struct rtr_addr mask;
	uint64_t len;
	uint8_t from_mask;

	if (tok[0][0] == '/') {
		if (rtr_parse_u64(tok[0] + 1, 1, 128, &len))
			return wrong(err, s, tok[0]);
	} else {
		if (rtr_addr_parse(tok[0], AF_INET, &mask) || rtr_mask_to_len(&mask, &from_mask) ||
		    !from_mask)
			return wrong(err, s, tok[0]);
		len = from_mask;
	}
	if (dst)
		*(uint8_t *)dst = (uint8_t)len;
	return 1;
}

static void len_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	strbuf_addf(b, "/%u", *(const uint8_t *)src);
}

static const struct val_type len_type = {
	.name = "MASKLEN",
	.what = "the length of a network",
	.hint = "/nn or M.M.M.M",
	.size = 1,
	.parse = len_parse,
	.print = len_print,
};
VAL_TYPE(len_type);
