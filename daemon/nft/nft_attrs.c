/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Netlink attributes in memory, userdata, digests. */
#include "nft/nft_data.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

void nft_attrs_need(struct nft_attrs *a, size_t size)
{
	size_t len = a->h ? NLMSG_ALIGN(a->h->nlmsg_len) : NLMSG_HDRLEN, had = a->room;

	if (len + size <= a->room)
		return;
	a->room = MAX(a->room * 2, ROUND_UP(len + size, 256));
	a->h = xrealloc(a->h, a->room);
	/* libmnl leaves the padding of what it puts as it finds it, and the digest covers it. */
	memset((char *)a->h + had, 0, a->room - had);
	if (len == NLMSG_HDRLEN)
		*a->h = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN };
}

static void *tail(const struct nft_attrs *a)
{
	return (char *)a->h + NLMSG_ALIGN(a->h->nlmsg_len);
}

void nft_attrs_put(struct nft_attrs *a, uint16_t attr, const void *data, size_t size)
{
	size_t all = NLA_HDRLEN + NLA_ALIGN(size);
	struct nlattr *at;

	nft_attrs_need(a, all);
	at = tail(a);
	at->nla_type = attr;
	at->nla_len = (uint16_t)(NLA_HDRLEN + size);
	if (size)
		memcpy((char *)at + NLA_HDRLEN, data, size);
	memset((char *)at + NLA_HDRLEN + size, 0, all - NLA_HDRLEN - size);
	a->h->nlmsg_len += (uint32_t)all;
}

void nft_attrs_text(struct nft_attrs *a, uint16_t attr, const char *s)
{
	nft_attrs_put(a, attr, s, strlen(s) + 1);
}

void nft_attrs_u8(struct nft_attrs *a, uint16_t attr, uint8_t v)
{
	nft_attrs_put(a, attr, &v, sizeof(v));
}

void nft_attrs_u16(struct nft_attrs *a, uint16_t attr, uint16_t v)
{
	v = htons(v);
	nft_attrs_put(a, attr, &v, sizeof(v));
}

void nft_attrs_u32(struct nft_attrs *a, uint16_t attr, uint32_t v)
{
	v = htonl(v);
	nft_attrs_put(a, attr, &v, sizeof(v));
}

void nft_attrs_u64(struct nft_attrs *a, uint16_t attr, uint64_t v)
{
	v = htobe64(v);
	nft_attrs_put(a, attr, &v, sizeof(v));
}

size_t nft_attrs_nest(struct nft_attrs *a, uint16_t attr)
{
	size_t at = a->h ? NLMSG_ALIGN(a->h->nlmsg_len) : NLMSG_HDRLEN;

	nft_attrs_put(a, attr | NLA_F_NESTED, NULL, 0);
	return at;
}

void nft_attrs_nest_end(struct nft_attrs *a, size_t nest)
{
	struct nlattr *at = (void *)((char *)a->h + nest);

	at->nla_len = (uint16_t)(a->h->nlmsg_len - nest);
}

const void *nft_attrs_bytes(const struct nft_attrs *a)
{
	return a->h ? (char *)a->h + NLMSG_HDRLEN : NULL;
}

size_t nft_attrs_size(const struct nft_attrs *a)
{
	return a->h ? NLMSG_ALIGN(a->h->nlmsg_len) - NLMSG_HDRLEN : 0;
}

void nft_attrs_reset(struct nft_attrs *a)
{
	if (a->h)
		a->h->nlmsg_len = NLMSG_HDRLEN;
}

void nft_attrs_fini(struct nft_attrs *a)
{
	free(a->h);
	*a = (struct nft_attrs){ 0 };
}

uint64_t nft_hash(const void *bytes, size_t size, uint64_t seed)
{
	const uint8_t *p = bytes;
	uint64_t h = seed ^ (size * 0x9e3779b97f4a7c15ull), w;

	for (; size >= sizeof(w); p += sizeof(w), size -= sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		h = (h ^ w) * 0x9fb21c651e98df25ull;
		h ^= h >> 32;
	}
	w = 0;
	if (size)
		memcpy(&w, p, size);
	h = (h ^ w) * 0x9fb21c651e98df25ull;
	h ^= h >> 29;
	h *= 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

void nft_udata_put(struct nft_udata *u, uint8_t type, const void *v, uint8_t size)
{
	if (u->size + 2 + size > sizeof(u->b))
		abort();
	u->b[u->size] = type;
	u->b[u->size + 1] = size;
	memcpy(u->b + u->size + 2, v, size);
	u->size += 2u + size;
}

uint64_t nft_udata_get(const void *udata, size_t size, uint8_t type)
{
	const uint8_t *p = udata;
	uint64_t v;

	while (size >= 2 && p[1] + 2u <= size) {
		if (p[0] == type && p[1] == sizeof(v)) {
			memcpy(&v, p + 2, sizeof(v));
			return v;
		}
		size -= p[1] + 2u;
		p += p[1] + 2u;
	}
	return 0;
}
