/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vrrp/vrrp_packet.h"

#include <string.h>

#define ETH_HDR 14
#define IP4_HDR 20
#define IP6_HDR 40
enum { ND_NS = 135, ND_NA = 136, ND_SOURCE_MAC = 1, ND_TARGET_MAC = 2 };
/* RFC 9568 section 7.1: the interval's field has 12 bits. */
#define ADVER_CS_MAX 0xfff

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* ---- checksums: RFC 1071, the sum kept unfolded between the parts ---- */

static uint32_t sum_add(uint32_t sum, const uint8_t *p, size_t n)
{
	for (; n > 1; p += 2, n -= 2)
		sum += get16(p);
	return n ? sum + (uint32_t)(p[0] << 8) : sum;
}

static uint16_t sum_end(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint32_t sum_pseudo(const struct rtr_addr *src, const struct rtr_addr *dst, size_t size,
			   uint8_t proto)
{
	unsigned n = rtr_family_size(src->family);
	uint32_t sum = sum_add(0, src->b, n);

	return sum_add(sum, dst->b, n) + (uint32_t)size + proto;
}

/* Which form of checksum fits the message; -1 = none. IPv6 knows only the one with the pseudo
 * header, version 2 only the one without. */
static int sum_form(const struct vrrp_rx *rx, uint8_t version)
{
	uint32_t sum = sum_add(0, rx->data, rx->size);

	if (rx->family == AF_INET && !sum_end(sum))
		return VRRP_SUM_PLAIN;
	if (version == 3 && !sum_end(sum + sum_pseudo(&rx->src, &rx->dst, rx->size, VRRP_PROTO)))
		return VRRP_SUM_PSEUDO;
	return -1;
}

/* ---- parsing ---- */

static enum vrrp_drop parse_v2(const struct vrrp_rx *rx, struct vrrp_advert *a)
{
	const uint8_t *d = rx->data;

	a->auth_type = d[4];
	a->adver_cs = (uint16_t)(d[5] * 100);
	memcpy(a->auth, d + VRRP_HDR + 4u * a->n_addrs, VRRP_AUTH_LEN);
	return a->adver_cs ? VRRP_D_NONE : VRRP_D_INTERVAL;
}

enum vrrp_drop vrrp_parse(const struct vrrp_rx *rx, struct vrrp_advert *ret)
{
	const uint8_t *d = rx->data;
	struct vrrp_advert a = { 0 };
	size_t need;
	int form;

	if (rx->ttl != VRRP_TTL)
		return VRRP_D_TTL;
	if (rx->size < VRRP_HDR)
		return VRRP_D_LENGTH;
	a.version = d[0] >> 4;
	if (a.version != 3 && (a.version != 2 || rx->family != AF_INET))
		return VRRP_D_VERSION;
	if ((d[0] & 0xf) != 1)
		return VRRP_D_TYPE;
	a.vrid = d[1];
	a.prio = d[2];
	a.n_addrs = d[3];
	if (!a.vrid)
		return VRRP_D_VRID;
	if (!a.n_addrs)
		return VRRP_D_COUNT;
	need = VRRP_HDR + (size_t)a.n_addrs * rtr_family_size(rx->family);
	if (rx->size < need + (a.version == 2 ? VRRP_AUTH_LEN : 0))
		return VRRP_D_LENGTH;
	form = sum_form(rx, a.version);
	if (form < 0)
		return VRRP_D_CHECKSUM;
	a.sum = (uint8_t)form;
	a.addrs = d + VRRP_HDR;
	if (a.version == 2) {
		enum vrrp_drop why = parse_v2(rx, &a);

		if (why)
			return why;
	} else {
		a.adver_cs = get16(d + 4) & ADVER_CS_MAX;
		if (!a.adver_cs)
			return VRRP_D_INTERVAL;
	}
	*ret = a;
	return VRRP_D_NONE;
}

bool vrrp_parse_ip4(const uint8_t *pkt, size_t size, struct vrrp_rx *ret)
{
	size_t hdr, total;

	if (size < IP4_HDR || pkt[0] >> 4 != 4)
		return false;
	hdr = (size_t)(pkt[0] & 0xf) * 4;
	total = get16(pkt + 2);
	/* A raw socket gets whole datagrams; the kernel has trimmed what Ethernet padded. */
	if (hdr < IP4_HDR || hdr > size || total < hdr || total > size || pkt[9] != VRRP_PROTO)
		return false;
	*ret = (struct vrrp_rx){ .family = AF_INET,
				 .ttl = pkt[8],
				 .src.family = AF_INET,
				 .dst.family = AF_INET,
				 .data = pkt + hdr,
				 .size = total - hdr };
	memcpy(ret->src.b, pkt + 12, 4);
	memcpy(ret->dst.b, pkt + 16, 4);
	return true;
}

/* ---- building ---- */

size_t vrrp_build(const struct vrrp_say *s, uint8_t *buf)
{
	unsigned n = rtr_family_size(s->family);
	size_t size = VRRP_HDR;
	uint32_t sum = 0;

	buf[0] = (uint8_t)(s->version << 4 | 1);
	buf[1] = s->vrid;
	buf[2] = s->prio;
	buf[3] = (uint8_t)s->n_addrs;
	if (s->version == 2) {
		buf[4] = s->has_auth;
		buf[5] = (uint8_t)(s->adver_cs / 100);
	} else {
		put16(buf + 4, s->adver_cs & ADVER_CS_MAX);
	}
	put16(buf + 6, 0);
	for (unsigned i = 0; i < s->n_addrs; i++, size += n)
		memcpy(buf + size, s->addrs[i].b, n);
	if (s->version == 2) {
		memset(buf + size, 0, VRRP_AUTH_LEN);
		if (s->has_auth)
			memcpy(buf + size, s->auth, VRRP_AUTH_LEN);
		size += VRRP_AUTH_LEN;
	}
	if (s->version == 3 && (s->family == AF_INET6 || s->sum == VRRP_SUM_PSEUDO))
		sum = sum_pseudo(&s->src, &s->dst, size, VRRP_PROTO);
	put16(buf + 6, sum_end(sum_add(sum, buf, size)));
	return size;
}

struct rtr_addr vrrp_group_addr(uint8_t family)
{
	struct rtr_addr a = { .family = family };

	if (family == AF_INET) {
		memcpy(a.b, (const uint8_t[]){ 224, 0, 0, 18 }, 4);
	} else {
		a.b[0] = 0xff;
		a.b[1] = 0x02;
		a.b[15] = 0x12;
	}
	return a;
}

void vrrp_virtual_mac(uint8_t family, uint8_t vrid, uint8_t mac[6])
{
	memcpy(mac, (const uint8_t[]){ 0, 0, 0x5e, 0, family == AF_INET ? 1 : 2, vrid }, 6);
}

/* ---- frames ---- */

/* The group address that an IP multicast address maps to: RFC 1112, RFC 2464. */
static void multicast_mac(const struct rtr_addr *a, uint8_t mac[6])
{
	if (a->family == AF_INET) {
		memcpy(mac, (const uint8_t[]){ 1, 0, 0x5e, a->b[1] & 0x7f, a->b[2], a->b[3] }, 6);
	} else {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, a->b + 12, 4);
	}
}

static void put_eth(uint8_t *buf, const uint8_t dst[6], const uint8_t src[6], unsigned type)
{
	memcpy(buf, dst, 6);
	memcpy(buf + 6, src, 6);
	put16(buf + 12, type);
}

static void put_ip6(uint8_t *ip, const struct rtr_addr *src, const struct rtr_addr *dst,
		    size_t size, uint8_t proto)
{
	/* Traffic class 0xc0: network control, as routing protocols have it. */
	memcpy(ip, (const uint8_t[]){ 0x6c, 0, 0, 0 }, 4);
	put16(ip + 4, (unsigned)size);
	ip[6] = proto;
	ip[7] = VRRP_TTL;
	memcpy(ip + 8, src->b, 16);
	memcpy(ip + 24, dst->b, 16);
}

static void put_ip4(uint8_t *ip, const struct rtr_addr *src, const struct rtr_addr *dst,
		    size_t size)
{
	memset(ip, 0, IP4_HDR);
	ip[0] = 0x45;
	ip[1] = 0xc0;
	put16(ip + 2, (unsigned)(IP4_HDR + size));
	ip[6] = 0x40; /* may not be fragmented: so the identification means nothing (RFC 6864) */
	ip[8] = VRRP_TTL;
	ip[9] = VRRP_PROTO;
	memcpy(ip + 12, src->b, 4);
	memcpy(ip + 16, dst->b, 4);
	put16(ip + 10, sum_end(sum_add(0, ip, IP4_HDR)));
}

size_t vrrp_frame_advert(const struct vrrp_say *s, const uint8_t mac[6], uint8_t *buf)
{
	size_t hdr = s->family == AF_INET ? IP4_HDR : IP6_HDR;
	size_t size = vrrp_build(s, buf + ETH_HDR + hdr);
	uint8_t to[6];

	multicast_mac(&s->dst, to);
	put_eth(buf, to, mac, s->family == AF_INET ? 0x0800 : 0x86dd);
	if (s->family == AF_INET)
		put_ip4(buf + ETH_HDR, &s->src, &s->dst, size);
	else
		put_ip6(buf + ETH_HDR, &s->src, &s->dst, size, VRRP_PROTO);
	return ETH_HDR + hdr + size;
}

size_t vrrp_frame_garp(const struct rtr_addr *a, const uint8_t mac[6], uint8_t *buf)
{
	static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	/* Ethernet, IPv4, request: the form that RFC 5227 calls an announcement. */
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint8_t *p = buf + ETH_HDR;

	put_eth(buf, all, mac, 0x0806);
	memcpy(p, head, 8);
	memcpy(p + 8, mac, 6);
	memcpy(p + 14, a->b, 4);
	memset(p + 18, 0, 6);
	memcpy(p + 24, a->b, 4);
	return ETH_HDR + 28;
}

/* Neighbour discovery (RFC 4861 sections 4.3, 4.4): what differs, and the rest. */
struct nd {
	uint8_t type, flags, option;
	const struct rtr_addr *src, *dst, *target;
};

static size_t frame_nd(const struct nd *nd, const uint8_t mac[6], uint8_t *buf)
{
	uint8_t *icmp = buf + ETH_HDR + IP6_HDR, to[6];
	size_t size = 32;

	multicast_mac(nd->dst, to);
	put_eth(buf, to, mac, 0x86dd);
	put_ip6(buf + ETH_HDR, nd->src, nd->dst, size, IPPROTO_ICMPV6);
	memset(icmp, 0, size);
	icmp[0] = nd->type;
	icmp[4] = nd->flags;
	memcpy(icmp + 8, nd->target->b, 16);
	icmp[24] = nd->option; /* a link-layer address, 8 bytes */
	icmp[25] = 1;
	memcpy(icmp + 26, mac, 6);
	put16(icmp + 2,
	      sum_end(sum_add(sum_pseudo(nd->src, nd->dst, size, IPPROTO_ICMPV6), icmp, size)));
	return ETH_HDR + IP6_HDR + size;
}

size_t vrrp_frame_na(const struct rtr_addr *a, const uint8_t mac[6], uint8_t *buf)
{
	static const struct rtr_addr all = { .family = AF_INET6, .b = { 0xff, 0x02, [15] = 1 } };

	/* Router, override; not solicited (RFC 9568 section 6.4.2). */
	return frame_nd(&(struct nd){ ND_NA, 0xa0, ND_TARGET_MAC, a, &all, a }, mac, buf);
}

size_t vrrp_frame_ns(const struct rtr_addr *target, const struct rtr_addr *src,
		     const uint8_t mac[6], uint8_t *buf)
{
	struct rtr_addr dst = { .family = AF_INET6, .b = { 0xff, 0x02, [11] = 1, [12] = 0xff } };

	memcpy(dst.b + 13, target->b + 13, 3);
	return frame_nd(&(struct nd){ ND_NS, 0, ND_SOURCE_MAC, src, &dst, target }, mac, buf);
}

/* ---- times ---- */

uint64_t vrrp_skew_ns(uint8_t version, uint8_t prio, uint64_t adver_ns)
{
	/* RFC 3768 counts in seconds, RFC 9568 in parts of the interval. Its centiseconds are not
	 * rounded to: at 10 ms adverts all priorities would have the same skew. */
	return (256u - prio) * (version == 2 ? NSEC_PER_SEC : adver_ns) / 256;
}

uint64_t vrrp_down_ns(uint8_t version, uint8_t prio, uint64_t adver_ns)
{
	return 3 * adver_ns + vrrp_skew_ns(version, prio, adver_ns);
}
