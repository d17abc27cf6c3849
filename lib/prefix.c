/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int rtr_addr_parse(const char *s, int family, struct rtr_addr *ret)
{
	struct rtr_addr a = { 0 };

	if (family != AF_INET6 && inet_pton(AF_INET, s, a.b) == 1)
		a.family = AF_INET;
	else if (family != AF_INET && inet_pton(AF_INET6, s, a.b) == 1)
		a.family = AF_INET6;
	else
		return -EINVAL;
	*ret = a;
	return 0;
}

int rtr_prefix_parse(const char *s, int family, struct rtr_prefix *ret)
{
	struct rtr_prefix p = { 0 };
	char buf[RTR_ADDR_STRLEN];
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	uint64_t len;

	if (n >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, s, n);
	buf[n] = '\0';
	if (rtr_addr_parse(buf, family, &p.addr))
		return -EINVAL;
	len = rtr_family_bits(p.addr.family);
	if (slash && rtr_parse_u64(slash + 1, 0, len, &len))
		return -EINVAL;
	p.len = (uint8_t)len;
	*ret = p;
	return 0;
}

struct rtr_addr rtr_mask_of_len(uint8_t family, unsigned len)
{
	struct rtr_addr m = { .family = family };

	for (unsigned i = 0; i < rtr_family_size(family); i++, len -= MIN(len, 8u))
		m.b[i] = (uint8_t)(0xff00u >> MIN(len, 8u));
	return m;
}

int rtr_mask_to_len(const struct rtr_addr *mask, uint8_t *ret)
{
	unsigned size = rtr_family_size(mask->family), len = 0, i = 0;

	for (; i < size && mask->b[i] == 0xff; i++)
		len += 8;
	if (i < size) {
		uint8_t part = mask->b[i++];

		for (; part & 0x80; part = (uint8_t)(part << 1))
			len++;
		if (part)
			return -EINVAL;
	}
	for (; i < size; i++) {
		if (mask->b[i])
			return -EINVAL;
	}
	*ret = (uint8_t)len;
	return 0;
}

char *rtr_addr_str(const struct rtr_addr *a, char buf[RTR_ADDR_STRLEN])
{
	char *p = buf;

	/* inet_ntop goes through printf, which shows when ten thousand routes are printed. */
	for (int i = 0; a->family == AF_INET && i < 4; i++) {
		if (a->b[i] >= 100)
			*p++ = (char)('0' + a->b[i] / 100);
		if (a->b[i] >= 10)
			*p++ = (char)('0' + a->b[i] / 10 % 10);
		*p++ = (char)('0' + a->b[i] % 10);
		*p++ = i < 3 ? '.' : '\0';
	}
	if (a->family != AF_INET &&
	    (!a->family || !inet_ntop(a->family, a->b, buf, RTR_ADDR_STRLEN)))
		rtr_strlcpy(buf, "unassigned", RTR_ADDR_STRLEN);
	return buf;
}

char *rtr_prefix_str(const struct rtr_prefix *p, char buf[RTR_PREFIX_STRLEN])
{
	char *end = buf + strlen(rtr_addr_str(&p->addr, buf));

	*end++ = '/';
	if (p->len >= 100)
		*end++ = (char)('0' + p->len / 100);
	if (p->len >= 10)
		*end++ = (char)('0' + p->len / 10 % 10);
	*end++ = (char)('0' + p->len % 10);
	*end = '\0';
	return buf;
}

struct rtr_prefix rtr_prefix_network(struct rtr_prefix p)
{
	struct rtr_addr m = rtr_mask_of_len(p.addr.family, p.len);

	for (unsigned i = 0; i < 16; i++)
		p.addr.b[i] &= m.b[i];
	return p;
}

bool rtr_prefix_has_host_bits(const struct rtr_prefix *p)
{
	struct rtr_prefix net = rtr_prefix_network(*p);

	return memcmp(&net.addr, &p->addr, sizeof(net.addr)) != 0;
}

bool rtr_prefix_contains(const struct rtr_prefix *net, const struct rtr_addr *a)
{
	struct rtr_prefix p = { .addr = *a, .len = net->len };
	struct rtr_prefix n = rtr_prefix_network(*net);

	if (net->addr.family != a->family)
		return false;
	p = rtr_prefix_network(p);
	return !memcmp(p.addr.b, n.addr.b, 16);
}

bool rtr_prefix_overlap(const struct rtr_prefix *a, const struct rtr_prefix *b)
{
	return a->len <= b->len ? rtr_prefix_contains(a, &b->addr)
				: rtr_prefix_contains(b, &a->addr);
}

int rtr_addr_cmp(const struct rtr_addr *a, const struct rtr_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, 16);
}

int rtr_prefix_cmp(const struct rtr_prefix *a, const struct rtr_prefix *b)
{
	int c = rtr_addr_cmp(&a->addr, &b->addr);

	return c ? c : (int)a->len - (int)b->len;
}

bool rtr_addr_is_multicast(const struct rtr_addr *a)
{
	return a->family == AF_INET6 ? a->b[0] == 0xff : a->b[0] >= 224 && a->b[0] <= 239;
}

bool rtr_addr_is_loopback(const struct rtr_addr *a)
{
	return a->family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&a->v6) : a->b[0] == 127;
}

bool rtr_addr_is_linklocal(const struct rtr_addr *a)
{
	return a->family == AF_INET6 ? IN6_IS_ADDR_LINKLOCAL(&a->v6)
				     : a->b[0] == 169 && a->b[1] == 254;
}

bool rtr_addr_is_any(const struct rtr_addr *a)
{
	static const uint8_t zero[16];

	return !memcmp(a->b, zero, sizeof(zero));
}

bool rtr_prefix_host_is_special(const struct rtr_prefix *p)
{
	struct rtr_addr m = rtr_mask_of_len(p->addr.family, p->len);

	if (p->addr.family != AF_INET || p->len >= 31)
		return false;
	return !(p->addr.v4_be & ~m.v4_be) || (p->addr.v4_be | m.v4_be) == 0xffffffffu;
}

socklen_t rtr_addr_sockaddr(const struct rtr_addr *a, uint16_t port, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){ .ss_family = a->family };
	if (a->family == AF_INET6) {
		struct sockaddr_in6 *s6 = (void *)ret;

		s6->sin6_port = htons(port);
		s6->sin6_addr = a->v6;
		return sizeof(*s6);
	}
	((struct sockaddr_in *)(void *)ret)->sin_port = htons(port);
	((struct sockaddr_in *)(void *)ret)->sin_addr.s_addr = a->v4_be;
	return sizeof(struct sockaddr_in);
}
