/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bytes of the packet that is sent. */
#include "tracer/tracer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define ETH_SIZE 14
/* Zeros behind the header of IP for a protocol that is only a number here: to GRE a header. */
#define OTHER_SIZE 8

static void put16(uint8_t *b, unsigned v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static uint32_t sum(const uint8_t *b, size_t n, uint32_t s)
{
	for (size_t i = 0; i < n; i++)
		s += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* Header of layer 4 without checksum; returns its size, and where the checksum stands (0: none). */
static size_t layer4(const struct pol_packet *p, uint8_t *b, size_t *ret_csum)
{
	*ret_csum = 0;
	switch (p->proto) {
	case IPPROTO_TCP:
		put16(b, p->sport);
		put16(b + 2, p->dport);
		b[12] = 5 << 4;
		b[13] = p->tcp_flags;
		put16(b + 14, 0xffff);
		*ret_csum = 16;
		return 20;
	case IPPROTO_UDP:
		put16(b, p->sport);
		put16(b + 2, p->dport);
		put16(b + 4, 8);
		*ret_csum = 6;
		return 8;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		b[0] = p->icmp_type;
		b[1] = p->icmp_code;
		put16(b + 4, p->sport);
		*ret_csum = 2;
		return 8;
	default:
		/* The kernel translates GRE only when it has this much (gre_manip_pkt). */
		return OTHER_SIZE;
	}
}

static void layer4_csum(const struct pol_packet *p, uint8_t *b, size_t size, size_t at)
{
	uint32_t s = 0;
	uint16_t c;

	/* ICMP of IPv4 has no pseudo header. */
	if (p->proto != IPPROTO_ICMP) {
		s = sum(p->src.b, rtr_family_size(p->family), s);
		s = sum(p->dst.b, rtr_family_size(p->family), s);
		s += (uint32_t)size + p->proto;
	}
	c = fold(sum(b, size, s));
	put16(b + at, c || p->proto != IPPROTO_UDP ? c : 0xffff);
}

static size_t layer3(const struct pol_packet *p, uint32_t id, size_t payload, uint8_t *b)
{
	if (p->family == AF_INET6) {
		b[0] = 6 << 4;
		b[1] = (uint8_t)(id >> 16 & 0x0f);
		put16(b + 2, id & 0xffff);
		put16(b + 4, (unsigned)payload);
		b[6] = p->proto;
		b[7] = p->ttl;
		memcpy(b + 8, p->src.b, 16);
		memcpy(b + 24, p->dst.b, 16);
		return 40;
	}
	b[0] = 4 << 4 | 5;
	put16(b + 2, (unsigned)(20 + payload));
	put16(b + 4, id & 0xffff);
	b[8] = p->ttl;
	b[9] = p->proto;
	memcpy(b + 12, p->src.b, 4);
	memcpy(b + 16, p->dst.b, 4);
	put16(b + 10, fold(sum(b, 20, 0)));
	return 20;
}

size_t tracer_frame(const struct pol_packet *p, const uint8_t mac[6], uint32_t id,
		    uint8_t ret[TRACER_FRAME_MAX])
{
	size_t l3 = p->family == AF_INET6 ? 40 : 20, at, l4;
	uint8_t *b = ret + ETH_SIZE;

	memset(ret, 0, TRACER_FRAME_MAX);
	memcpy(ret, mac, 6);
	/* The sender: an address of the range that nobody is given. */
	ret[6] = 0x02;
	ret[11] = 0x01;
	put16(ret + 12, p->family == AF_INET6 ? 0x86dd : 0x0800);
	l4 = layer4(p, b + l3, &at);
	if (at)
		layer4_csum(p, b + l3, l4, at);
	layer3(p, id, l4, b);
	return ETH_SIZE + l3 + l4;
}
