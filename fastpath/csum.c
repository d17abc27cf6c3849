/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "csum.h"

#include "parse.h"

uint64_t fp_csum_add(const void *buf, size_t size, uint64_t sum)
{
	const uint8_t *p = buf;
	uint64_t carry = 0;

	/* 32-bit words into a 64-bit accumulator: it cannot overflow below 2^32 words. */
	for (; size >= 16; size -= 16, p += 16) {
		sum += (uint64_t)fp_ld32_be(p) + fp_ld32_be(p + 4);
		carry += (uint64_t)fp_ld32_be(p + 8) + fp_ld32_be(p + 12);
	}
	sum += carry;
	for (; size >= 4; size -= 4, p += 4)
		sum += fp_ld32_be(p);
	if (size >= 2) {
		sum += fp_ld16_be(p);
		size -= 2;
		p += 2;
	}
	if (size) {
		const uint8_t last[2] = { *p, 0 };

		sum += fp_ld16_be(last);
	}
	return sum;
}

uint64_t fp_csum_pseudo4(uint32_t src_be, uint32_t dst_be, uint8_t proto, uint32_t len)
{
	return (uint64_t)src_be + dst_be + htonl(proto) + htonl(len);
}

uint64_t fp_csum_pseudo6(const uint8_t src[16], const uint8_t dst[16], uint8_t proto, uint32_t len)
{
	return fp_csum_add(src, 16, fp_csum_add(dst, 16, (uint64_t)htonl(proto) + htonl(len)));
}

uint16_t fp_csum_ip4(const uint8_t *ip, unsigned hlen)
{
	uint64_t sum = fp_csum_add(ip, hlen, 0);

	return (uint16_t)~fp_csum_fold(sum + (uint16_t)~fp_ld16_be(ip + 10));
}

static unsigned l4_len(const struct fp_pkt *p)
{
	return p->end - p->l4_off;
}

uint64_t fp_csum_pkt_pseudo(const uint8_t *frame, const struct fp_pkt *p)
{
	const uint8_t *ip = frame + p->l3_off;

	if (p->family == AF_INET6)
		return fp_csum_pseudo6(ip + 8, ip + 24, p->proto, l4_len(p));
	if (p->proto == IPPROTO_ICMP)
		return 0;
	return fp_csum_pseudo4(fp_ld32_be(ip + 12), fp_ld32_be(ip + 16), p->proto, l4_len(p));
}

/*
 * Offset of the checksum in the transport header and the bytes that it covers, 0 when the packet
 * has none that can be computed. UDP may cover less than the IP payload, UDP-Lite says how much.
 */
static unsigned covered(const uint8_t *frame, const struct fp_pkt *p, int *ret_off)
{
	unsigned len = l4_len(p), said;
	int off = p->proto == IPPROTO_ICMP && p->family == AF_INET ? FP_ICMP_CSUM
								   : fp_l4_csum_off(p->proto);

	if (off < 0 || !(p->flags & FP_F_L4) || p->flags & FP_F_FRAG ||
	    (p->proto == IPPROTO_ICMPV6 && p->family != AF_INET6))
		return 0;
	*ret_off = off;
	if (p->proto != IPPROTO_UDP && p->proto != IPPROTO_UDPLITE)
		return len;
	said = fp_ld16(frame + p->l4_off + 4);
	if (p->proto == IPPROTO_UDPLITE && said == 0)
		return len;
	return said < 8 || said > len ? 0 : said;
}

/* UDP's pseudo-header carries the UDP length, all others the length of the IP payload. */
static uint64_t pseudo(const uint8_t *frame, const struct fp_pkt *p, unsigned cover)
{
	uint64_t sum = fp_csum_pkt_pseudo(frame, p);

	if (p->proto == IPPROTO_UDP)
		sum += (uint64_t)htonl(cover) + (uint16_t)~fp_csum_fold(htonl(l4_len(p)));
	return sum;
}

bool fp_csum_l4_ok(const uint8_t *frame, const struct fp_pkt *p)
{
	int off = 0;
	unsigned cover = covered(frame, p, &off);
	const uint8_t *l4 = frame + p->l4_off;

	if (!cover)
		return true;
	/* "No checksum" is for UDP over IPv4 only (RFC 8200 8.1, RFC 3828 3.1). */
	if ((p->proto == IPPROTO_UDP || p->proto == IPPROTO_UDPLITE) && fp_ld16_be(l4 + off) == 0)
		return p->proto == IPPROTO_UDP && p->family == AF_INET;
	return fp_csum_fold(fp_csum_add(l4, cover, pseudo(frame, p, cover))) == 0xffff;
}

bool fp_csum_l4_is_partial(const uint8_t *frame, const struct fp_pkt *p)
{
	int off = 0;
	unsigned cover = covered(frame, p, &off);

	if (!cover || (p->proto == IPPROTO_ICMP && p->family == AF_INET))
		return false;
	return fp_ld16_be(frame + p->l4_off + off) == fp_csum_fold(pseudo(frame, p, cover));
}

bool fp_csum_l4_fill(uint8_t *frame, const struct fp_pkt *p)
{
	int off = 0;
	unsigned cover = covered(frame, p, &off);
	uint8_t *l4 = frame + p->l4_off;
	uint16_t c;

	if (!cover)
		return false;
	fp_st16_be(l4 + off, 0);
	c = (uint16_t)~fp_csum_fold(fp_csum_add(l4, cover, pseudo(frame, p, cover)));
	if (c == 0 && (p->proto == IPPROTO_UDP || p->proto == IPPROTO_UDPLITE))
		c = 0xffff;
	fp_st16_be(l4 + off, c);
	return true;
}
