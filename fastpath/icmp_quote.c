/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "icmp_quote.h"

#include "csum.h"
#include "util.h"

/*
 * Where the quote ends: with the error, before an extension (RFC 4884: the length of the quote in
 * 32-bit words, 64-bit in ICMPv6), or with the quoted packet itself, whichever comes first.
 */
static unsigned quote_end(const uint8_t *frame, const struct fp_pkt *p, const struct fp_quote *q)
{
	const uint8_t *icmp = frame + p->l4_off, *ip = frame + q->ip_off;
	unsigned end = p->end, ext, total;

	if (p->family == AF_INET) {
		ext = icmp[0] == FP_ICMP4_UNREACH || icmp[0] == FP_ICMP4_TIME ||
				      icmp[0] == FP_ICMP4_PARAM
			      ? icmp[5] * 4u
			      : 0;
		total = fp_ld16(ip + 2);
	} else {
		ext = icmp[0] == FP_ICMP6_UNREACH || icmp[0] == FP_ICMP6_TIME ? icmp[4] * 8u : 0;
		total = FP_IP6_LEN + fp_ld16(ip + 4);
	}
	if (ext)
		end = MIN(end, q->ip_off + ext);
	return MIN(end, q->ip_off + total);
}

/* The first bytes of the quoted transport: ports, or type and id. */
static enum rtr_drop quote_l4(const uint8_t *frame, unsigned end, struct fp_quote *q)
{
	const uint8_t *h = frame + q->l4_off;
	bool icmp = q->proto == (q->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	if (q->l4_off > end)
		return RTR_DROP_ICMP_QUOTE;
	q->avail = (uint16_t)(end - q->l4_off);
	if (q->fragment)
		return RTR_DROP_NONE;
	if (q->avail < 8)
		return RTR_DROP_ICMP_QUOTE;
	if (icmp) {
		uint32_t sort = fp_icmp_sort(q->family, h[0]);

		if (sort == FP_F_ICMP_ERR)
			return RTR_DROP_ICMP_QUOTE;
		q->ports = sort == FP_F_ICMP_QUERY;
		if (q->ports)
			q->sport_be = q->dport_be = fp_ld16_be(h + 4);
		return RTR_DROP_NONE;
	}
	switch (q->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
		q->ports = true;
		q->sport_be = fp_ld16_be(h);
		q->dport_be = fp_ld16_be(h + 2);
		break;
	default:
		break;
	}
	return RTR_DROP_NONE;
}

static enum rtr_drop quote4(const uint8_t *frame, const struct fp_pkt *p, struct fp_quote *q)
{
	const uint8_t *ip = frame + q->ip_off;
	unsigned have = p->end - q->ip_off, hlen;

	if (have < FP_IP4_LEN || ip[0] >> 4 != 4)
		return RTR_DROP_ICMP_QUOTE;
	hlen = (ip[0] & 15) * 4u;
	if (hlen < FP_IP4_LEN || hlen > have || fp_ld16(ip + 2) < hlen)
		return RTR_DROP_ICMP_QUOTE;
	q->proto = ip[9];
	q->l4_off = (uint16_t)(q->ip_off + hlen);
	q->fragment = fp_ld16(ip + 6) & FP_IP4_OFF_MASK;
	q->frag_id = fp_ld16(ip + 4);
	return quote_l4(frame, quote_end(frame, p, q), q);
}

static enum rtr_drop quote6(const uint8_t *frame, const struct fp_pkt *p, struct fp_quote *q)
{
	const uint8_t *ip = frame + q->ip_off;
	unsigned have = p->end - q->ip_off, off = q->ip_off + FP_IP6_LEN, len;
	uint8_t nh;

	if (have < FP_IP6_LEN || ip[0] >> 4 != 6)
		return RTR_DROP_ICMP_QUOTE;
	nh = ip[6];
	for (unsigned n = 0; !q->fragment; n++) {
		if (nh != IPPROTO_HOPOPTS && nh != IPPROTO_ROUTING && nh != IPPROTO_DSTOPTS &&
		    nh != IPPROTO_FRAGMENT)
			break;
		if (n == FP_EXT6_MAX || off + 8 > p->end)
			return RTR_DROP_ICMP_QUOTE;
		len = (frame[off + 1] + 1u) * 8;
		if (nh == IPPROTO_FRAGMENT) {
			len = FP_FRAG6_LEN;
			q->frag_hdr_off = (uint16_t)off;
			q->fragment = fp_ld16(frame + off + 2) & 0xfff8;
			q->frag_id = fp_ld32(frame + off + 4);
		}
		if (off + len > p->end)
			return RTR_DROP_ICMP_QUOTE;
		nh = frame[off];
		off += len;
	}
	q->proto = nh;
	q->l4_off = (uint16_t)off;
	return quote_l4(frame, quote_end(frame, p, q), q);
}

enum rtr_drop fp_quote_parse(const uint8_t *frame, const struct fp_pkt *p, struct fp_quote *q)
{
	*q = (struct fp_quote){ .family = p->family };
	if (!(p->flags & FP_F_ICMP_ERR) || p->flags & FP_F_FRAG)
		return RTR_DROP_ICMP_QUOTE;
	if (!fp_csum_l4_ok(frame, p))
		return RTR_DROP_L4_CSUM;
	q->ip_off = (uint16_t)(p->l4_off + FP_ICMP_LEN);
	return p->family == AF_INET ? quote4(frame, p, q) : quote6(frame, p, q);
}

void fp_quote_tuple4(const uint8_t *frame, const struct fp_quote *q, struct fp_tuple4 *ret)
{
	const uint8_t *ip = frame + q->ip_off;

	*ret = (struct fp_tuple4){ .src_be = fp_ld32_be(ip + 12),
				   .dst_be = fp_ld32_be(ip + 16),
				   .sport_be = q->sport_be,
				   .dport_be = q->dport_be,
				   .proto = q->proto };
}

void fp_quote_tuple6(const uint8_t *frame, const struct fp_quote *q, struct fp_tuple6 *ret)
{
	const uint8_t *ip = frame + q->ip_off;

	*ret = (struct fp_tuple6){ .sport_be = q->sport_be,
				   .dport_be = q->dport_be,
				   .proto = q->proto };
	memcpy(ret->src, ip + 8, 16);
	memcpy(ret->dst, ip + 24, 16);
}

/* Stores bytes (an even count, word-aligned in the ICMP message) and adds what that changes. */
static void put(uint8_t *at, const void *new, unsigned size, uint64_t *sum)
{
	*sum += fp_csum_delta(at, new, size);
	memcpy(at, new, size);
}

static void put_csum(uint8_t *at, uint16_t delta, bool udp, uint64_t *sum)
{
	uint16_t old = fp_ld16_be(at);
	uint16_t new = udp ? fp_csum_adjust_udp(old, delta) : fp_csum_adjust(old, delta);

	put(at, &new, 2, sum);
}

/*
 * Ports or id and the checksum of the quoted transport, whose addresses changed by addr_delta.
 * The checksum is adjusted where the quote still holds it.
 */
static void quote_nat_l4(uint8_t *frame, const struct fp_quote *q, uint16_t sport_be,
			 uint16_t dport_be, uint16_t addr_delta, uint64_t *sum)
{
	uint8_t *h = frame + q->l4_off;
	bool icmp4 = q->proto == IPPROTO_ICMP && q->family == AF_INET;
	bool icmp = icmp4 || (q->proto == IPPROTO_ICMPV6 && q->family == AF_INET6);
	int c = icmp ? FP_ICMP_CSUM : fp_l4_csum_off(q->proto);
	uint64_t delta = icmp4 ? 0 : addr_delta;

	if (q->fragment || (q->proto == IPPROTO_ICMPV6 && !icmp))
		return;
	if (q->ports) {
		const uint16_t ports[2] = { sport_be, dport_be };
		uint64_t change = 0;

		put(icmp ? h + 4 : h, ports, icmp ? 2 : 4, &change);
		*sum += change;
		delta += change;
	}
	if (c >= 0 && q->avail >= c + 2)
		put_csum(h + c, fp_csum_fold(delta),
			 q->proto == IPPROTO_UDP || q->proto == IPPROTO_UDPLITE, sum);
}

void fp_quote_nat4(uint8_t *frame, const struct fp_pkt *p, const struct fp_quote *q,
		   const struct fp_tuple4 *quoted, uint32_t src_be, uint32_t dst_be)
{
	uint8_t *ip = frame + p->l3_off, *in = frame + q->ip_off,
		*c = frame + p->l4_off + FP_ICMP_CSUM;
	const uint32_t addr[2] = { quoted->src_be, quoted->dst_be }, outer[2] = { src_be, dst_be };
	uint64_t sum = 0, outer_sum = 0;
	uint16_t delta = fp_csum_delta(in + 12, addr, 8);

	put(in + 12, addr, 8, &sum);
	put_csum(in + 10, delta, false, &sum);
	quote_nat_l4(frame, q, quoted->sport_be, quoted->dport_be, delta, &sum);
	fp_st16_be(c, fp_csum_adjust(fp_ld16_be(c), fp_csum_fold(sum)));
	put(ip + 12, outer, 8, &outer_sum);
	fp_st16_be(ip + 10, fp_csum_adjust(fp_ld16_be(ip + 10), fp_csum_fold(outer_sum)));
}

void fp_quote_nat6(uint8_t *frame, const struct fp_pkt *p, const struct fp_quote *q,
		   const struct fp_tuple6 *quoted, const uint8_t src[16], const uint8_t dst[16])
{
	uint8_t *ip = frame + p->l3_off, *in = frame + q->ip_off,
		*c = frame + p->l4_off + FP_ICMP_CSUM;
	uint64_t sum = 0, delta = 0;

	put(in + 8, quoted->src, 16, &delta);
	put(in + 24, quoted->dst, 16, &delta);
	sum = delta;
	quote_nat_l4(frame, q, quoted->sport_be, quoted->dport_be, fp_csum_fold(delta), &sum);
	put(ip + 8, src, 16, &sum);
	put(ip + 24, dst, 16, &sum);
	fp_st16_be(c, fp_csum_adjust(fp_ld16_be(c), fp_csum_fold(sum)));
}
