/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: builds frames for tests, byte by byte, with checksums computed the slow way that RFC 1071
 * writes down. It shares no code with fastpath/, so that it can contradict it.
 *
 *	struct tp t;
 *	tp_eth(&t, 0x0800);
 *	tp_ip4(&t, 0x0a000001, 0xc0000201, 17, 64);
 *	tp_udp(&t, 1000, 53, 20);
 *	tp_done(&t);			lengths and checksums
 */
#ifndef RTR_TEST_PACKET_H
#define RTR_TEST_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TP_MAX 4096

struct tp {
	uint8_t b[TP_MAX];
	unsigned len;
	unsigned l3, l4; /* offsets; l4 0 = none */
	unsigned pppoe;  /* offset of the PPPoE header, 0 = none */
	unsigned frag6;  /* offset of the IPv6 fragment header, 0 = none */
	uint8_t family;  /* 4, 6 */
	uint8_t proto;
	bool fragment; /* its transport checksum cannot be computed here */
};

/* How often a randomised case runs: a fifth, so that the default run stays short (Check marks each
 * assertion in a file), all of it in tools/test long. */
static inline int tp_rounds(int n)
{
	return getenv("RTR_TEST_LONG") ? n : n / 5;
}

static inline void tp_w16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void tp_w32(uint8_t *p, uint32_t v)
{
	tp_w16(p, v >> 16);
	tp_w16(p + 2, v & 0xffff);
}

static inline unsigned tp_r16(const uint8_t *p)
{
	return p[0] * 256u + p[1];
}

static inline uint32_t tp_r32(const uint8_t *p)
{
	return (uint32_t)tp_r16(p) << 16 | tp_r16(p + 2);
}

static inline uint8_t *tp_grow(struct tp *t, unsigned n)
{
	uint8_t *p = t->b + t->len;

	memset(p, 0, n);
	t->len += n;
	return p;
}

/* One's complement sum, two bytes at a time, folded after each. */
static inline uint32_t tp_sum(const uint8_t *p, unsigned n, uint32_t sum)
{
	for (unsigned i = 0; i < n; i++) {
		sum += i % 2 ? p[i] : p[i] * 256u;
		while (sum > 0xffff)
			sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static inline void tp_eth(struct tp *t, unsigned type)
{
	uint8_t *p;

	memset(t, 0, sizeof(*t));
	p = tp_grow(t, 14);
	memcpy(p, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
	tp_w16(p + 12, type);
}

/* A tag behind what is there; the next type goes into its last two bytes. */
static inline void tp_vlan(struct tp *t, unsigned tci, unsigned type)
{
	uint8_t *p = tp_grow(t, 4);

	tp_w16(p, tci);
	tp_w16(p + 2, type);
}

static inline void tp_pppoe(struct tp *t, unsigned session, unsigned ppp)
{
	uint8_t *p;

	t->pppoe = t->len;
	p = tp_grow(t, 8);
	p[0] = 0x11;
	tp_w16(p + 2, session);
	tp_w16(p + 6, ppp);
}

/* Addresses in host order. The total length and checksum come with tp_done. */
static inline uint8_t *tp_ip4(struct tp *t, uint32_t src, uint32_t dst, uint8_t proto, uint8_t ttl)
{
	uint8_t *p;

	t->l3 = t->len;
	t->family = 4;
	t->proto = proto;
	p = tp_grow(t, 20);
	p[0] = 0x45;
	tp_w16(p + 4, 0x1234);
	p[8] = ttl;
	p[9] = proto;
	tp_w32(p + 12, src);
	tp_w32(p + 16, dst);
	t->l4 = t->len;
	return p;
}

/* Appends n (a multiple of 4) bytes of options. */
static inline void tp_ip4_options(struct tp *t, const void *opt, unsigned n)
{
	memcpy(tp_grow(t, n), opt, n);
	t->b[t->l3] = (uint8_t)(t->b[t->l3] + n / 4);
	t->l4 = t->len;
}

static inline void tp_frag4(struct tp *t, unsigned off, bool more)
{
	tp_w16(t->b + t->l3 + 6, off / 8 | (more ? 0x2000 : 0));
	t->fragment = off || more;
}

/* Addresses 2001:db8:N::N from numbers, or 16 bytes by tp_ip6_raw. */
static inline void tp_addr6(uint8_t a[16], uint32_t n)
{
	memset(a, 0, 16);
	tp_w32(a, 0x20010db8);
	tp_w16(a + 4, n & 0xffff);
	tp_w32(a + 12, n);
}

static inline uint8_t *tp_ip6_raw(struct tp *t, const uint8_t src[16], const uint8_t dst[16],
				  uint8_t proto, uint8_t hops)
{
	uint8_t *p;

	t->l3 = t->len;
	t->family = 6;
	t->proto = proto;
	p = tp_grow(t, 40);
	p[0] = 0x60;
	p[6] = proto;
	p[7] = hops;
	memcpy(p + 8, src, 16);
	memcpy(p + 24, dst, 16);
	t->l4 = t->len;
	return p;
}

static inline uint8_t *tp_ip6(struct tp *t, uint32_t src, uint32_t dst, uint8_t proto, uint8_t hops)
{
	uint8_t s[16], d[16];

	tp_addr6(s, src);
	tp_addr6(d, dst);
	return tp_ip6_raw(t, s, d, proto, hops);
}

/* An extension header of n (a multiple of 8) bytes in front of the transport; call before it. */
static inline uint8_t *tp_ext6(struct tp *t, uint8_t type, unsigned n)
{
	static const uint8_t is_ext[256] = { [0] = 1, [43] = 1, [44] = 1, [60] = 1 };
	unsigned nh = t->l3 + 6, off = t->l3 + 40;
	uint8_t *p;

	while (off < t->len && is_ext[t->b[nh]]) {
		unsigned len = t->b[nh] == 44 ? 8 : (t->b[off + 1] + 1u) * 8;

		nh = off;
		off += len;
	}
	p = tp_grow(t, n);
	p[0] = t->b[nh];
	t->b[nh] = type;
	if (type == 44)
		t->frag6 = t->len - n;
	else
		p[1] = (uint8_t)(n / 8 - 1);
	t->l4 = t->len;
	return p;
}

static inline void tp_frag6(struct tp *t, uint32_t id, unsigned off, bool more)
{
	uint8_t *p = tp_ext6(t, 44, 8);

	tp_w16(p + 2, off | more);
	tp_w32(p + 4, id);
	t->fragment = off || more;
}

static inline void tp_payload(struct tp *t, unsigned n)
{
	uint8_t *p = tp_grow(t, n);

	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + 3);
}

static inline void tp_udp(struct tp *t, unsigned sport, unsigned dport, unsigned payload)
{
	uint8_t *p = tp_grow(t, 8);

	tp_w16(p, sport);
	tp_w16(p + 2, dport);
	tp_w16(p + 4, 8 + payload);
	tp_payload(t, payload);
}

static inline void tp_tcp(struct tp *t, unsigned sport, unsigned dport, uint8_t flags,
			  const void *opt, unsigned opt_len, unsigned payload)
{
	uint8_t *p = tp_grow(t, 20);

	tp_w16(p, sport);
	tp_w16(p + 2, dport);
	tp_w32(p + 4, 0x01020304);
	p[12] = (uint8_t)((5 + opt_len / 4) << 4);
	p[13] = flags;
	tp_w16(p + 14, 8192);
	if (opt_len)
		memcpy(tp_grow(t, opt_len), opt, opt_len);
	tp_payload(t, payload);
}

static inline void tp_icmp(struct tp *t, uint8_t type, uint8_t code, uint32_t rest,
			   unsigned payload)
{
	uint8_t *p = tp_grow(t, 8);

	p[0] = type;
	p[1] = code;
	tp_w32(p + 4, rest);
	tp_payload(t, payload);
}

static inline int tp_csum_off(const struct tp *t)
{
	switch (t->proto) {
	case 6:
		return 16;
	case 17:
	case 136:
		return 6;
	case 1:
		return t->family == 4 ? 2 : -1;
	case 58:
		return t->family == 6 ? 2 : -1;
	default:
		return -1;
	}
}

/* Pseudo-header sum; end of the datagram is l3 and what its header says. */
static inline uint32_t tp_pseudo(const struct tp *t)
{
	const uint8_t *ip = t->b + t->l3;
	unsigned end = t->l3 + (t->family == 4 ? tp_r16(ip + 2) : 40 + tp_r16(ip + 4));
	uint32_t sum = t->proto;

	if (t->family == 4 && t->proto == 1)
		return 0;
	sum = tp_sum(ip + (t->family == 4 ? 12 : 8), t->family == 4 ? 8 : 32, sum);
	sum += end - t->l4;
	return sum > 0xffff ? (sum & 0xffff) + (sum >> 16) : sum;
}

/* What the transport checksum field must hold by full computation. */
static inline unsigned tp_l4_csum(const struct tp *t)
{
	const uint8_t *ip = t->b + t->l3;
	unsigned end = t->l3 + (t->family == 4 ? tp_r16(ip + 2) : 40 + tp_r16(ip + 4));
	unsigned at = t->l4 + (unsigned)tp_csum_off(t), c;
	uint32_t sum = tp_pseudo(t);

	sum = tp_sum(t->b + t->l4, at - t->l4, sum);
	sum = tp_sum(t->b + at + 2, end - at - 2, sum);
	c = ~sum & 0xffff;
	return c == 0 && (t->proto == 17 || t->proto == 136) ? 0xffff : c;
}

static inline unsigned tp_ip4_csum(const uint8_t *ip)
{
	uint32_t sum = tp_sum(ip, 10, 0);

	return ~tp_sum(ip + 12, (ip[0] & 15) * 4u - 12, sum) & 0xffff;
}

static inline void tp_fix_ip4(struct tp *t)
{
	if (t->family == 4)
		tp_w16(t->b + t->l3 + 10, tp_ip4_csum(t->b + t->l3));
}

/* Writes the lengths and both checksums. */
static inline void tp_done(struct tp *t)
{
	uint8_t *ip = t->b + t->l3;

	if (t->pppoe)
		tp_w16(t->b + t->pppoe + 4, t->len - t->pppoe - 6);
	if (t->family == 4)
		tp_w16(ip + 2, t->len - t->l3);
	else
		tp_w16(ip + 4, t->len - t->l3 - 40);
	tp_fix_ip4(t);
	if (tp_csum_off(t) >= 0 && !t->fragment && t->len >= t->l4 + (unsigned)tp_csum_off(t) + 2)
		tp_w16(t->b + t->l4 + tp_csum_off(t), tp_l4_csum(t));
}

/* Is every checksum of this IP packet right by full computation? UDP/IPv4 0 is right. */
static inline bool tp_sane(const uint8_t *ip, unsigned len)
{
	struct tp t;
	unsigned field;

	if (len > TP_MAX)
		return false;
	memset(&t, 0, sizeof(t));
	memcpy(t.b, ip, len);
	t.len = len;
	if (ip[0] >> 4 == 4) {
		t.family = 4;
		t.proto = ip[9];
		t.l4 = (ip[0] & 15) * 4u;
		if (tp_r16(ip + 2) != len || tp_r16(ip + 10) != tp_ip4_csum(ip))
			return false;
		if (tp_r16(ip + 6) & 0x3fff)
			return true;
	} else {
		t.family = 6;
		t.proto = ip[6];
		t.l4 = 40;
		if (tp_r16(ip + 4) + 40u != len)
			return false;
		if (t.proto == 44)
			return true;
	}
	if (tp_csum_off(&t) < 0)
		return true;
	field = tp_r16(t.b + t.l4 + tp_csum_off(&t));
	return (field == 0 && t.proto == 17 && t.family == 4) || field == tp_l4_csum(&t);
}

#endif
