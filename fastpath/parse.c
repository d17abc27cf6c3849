/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parse.h"

#include "csum.h"
#include "util.h"

static enum fp_verdict drop(struct fp_pkt *p, enum rtr_drop why)
{
	p->drop = why;
	return p->verdict = FP_V_DROP;
}

static enum fp_verdict punt(struct fp_pkt *p, enum fp_punt why)
{
	p->punt = why;
	return p->verdict = FP_V_KERNEL;
}

static enum fp_verdict drop_param(struct fp_pkt *p, enum rtr_drop why, uint8_t code, unsigned at)
{
	p->err = (struct fp_err){ .type = p->family == AF_INET6 ? FP_ICMP6_PARAM : FP_ICMP4_PARAM,
				  .code = code,
				  .pointer = (uint16_t)(at - p->l3_off) };
	return drop(p, why);
}

uint32_t fp_icmp_sort(uint8_t family, uint8_t type)
{
	if (family == AF_INET6) {
		if (type == FP_ICMP6_ECHO || type == FP_ICMP6_ECHO_REPLY)
			return FP_F_ICMP_QUERY;
		return type < 128 ? FP_F_ICMP_ERR : 0;
	}
	switch (type) {
	case FP_ICMP4_UNREACH:
	case FP_ICMP4_QUENCH:
	case FP_ICMP4_REDIRECT:
	case FP_ICMP4_TIME:
	case FP_ICMP4_PARAM:
		return FP_F_ICMP_ERR;
	case FP_ICMP4_ECHO:
	case FP_ICMP4_ECHO_REPLY:
		return FP_F_ICMP_QUERY;
	default:
		/* Timestamp, information and address mask requests carry an id like echo does. */
		return type >= FP_ICMP4_TSTAMP && type <= FP_ICMP4_MASK_REPLY ? FP_F_ICMP_QUERY : 0;
	}
}

static enum fp_verdict l4_tcp(const uint8_t *h, unsigned len, struct fp_pkt *p)
{
	unsigned doff;

	if (len < 20)
		return drop(p, p->flags & FP_F_FRAG ? RTR_DROP_FRAG_TINY : RTR_DROP_L4_SHORT);
	doff = (h[12] >> 4) * 4u;
	/* A header that goes on in the next fragment hides its options (RFC 7112). */
	if (doff > len && p->flags & FP_F_FRAG)
		return drop(p, RTR_DROP_FRAG_TINY);
	if (doff < 20 || doff > len)
		return drop(p, RTR_DROP_TCP_OFFSET);
	p->tcp_flags = h[13];
	return FP_V_FORWARD;
}

static enum fp_verdict l4_udp(const uint8_t *h, unsigned len, struct fp_pkt *p)
{
	unsigned said;

	if (len < 8)
		return drop(p, p->flags & FP_F_FRAG ? RTR_DROP_FRAG_TINY : RTR_DROP_L4_SHORT);
	said = fp_ld16(h + 4);
	if (p->proto == IPPROTO_UDPLITE) {
		if (said != 0 && said < 8)
			return drop(p, RTR_DROP_UDP_LENGTH);
		return FP_V_FORWARD;
	}
	if (said < 8 || (said > len && !(p->flags & FP_F_FRAG)))
		return drop(p, RTR_DROP_UDP_LENGTH);
	if (fp_ld16_be(h + FP_UDP_CSUM) == 0)
		p->flags |= FP_F_UDP_NOCSUM;
	return FP_V_FORWARD;
}

static enum fp_verdict l4_icmp(const uint8_t *h, unsigned len, struct fp_pkt *p)
{
	uint32_t sort;

	if (len < FP_ICMP_LEN)
		return drop(p, p->flags & FP_F_FRAG ? RTR_DROP_FRAG_TINY : RTR_DROP_L4_SHORT);
	p->icmp_type = h[0];
	p->icmp_code = h[1];
	sort = fp_icmp_sort(p->family, h[0]);
	p->flags |= sort;
	if (sort & FP_F_ICMP_QUERY) {
		p->sport_be = p->dport_be = fp_ld16_be(h + 4);
		p->flags |= FP_F_PORTS;
	}
	return FP_V_FORWARD;
}

/* RFC 2784, 2890: checksum, key and sequence number each add a word; version 1 (PPTP) keeps the
 * call id in its key. */
static enum fp_verdict l4_gre(const uint8_t *h, unsigned len, struct fp_pkt *p)
{
	unsigned need = 4, key_at;

	if (len < 4)
		return drop(p, RTR_DROP_GRE_HEADER);
	if (h[0] & 0xc0) /* checksum or routing: both words are there */
		need += 4;
	key_at = need;
	need += h[0] & 0x20 ? 4 : 0;
	need += h[0] & 0x10 ? 4 : 0;
	if (len < need)
		return drop(p, RTR_DROP_GRE_HEADER);
	if (h[0] & 0x20)
		p->spi_key = fp_ld32(h + key_at);
	return FP_V_FORWARD;
}

enum fp_verdict fp_parse_l4(const uint8_t *frame, struct fp_pkt *p)
{
	const uint8_t *h = frame + p->l4_off;
	unsigned len = p->end - p->l4_off;
	enum fp_verdict v = FP_V_FORWARD;

	switch (p->proto) {
	case IPPROTO_TCP:
		v = l4_tcp(h, len, p);
		break;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		v = l4_udp(h, len, p);
		break;
	case IPPROTO_SCTP:
		if (len < 12)
			return drop(p, RTR_DROP_L4_SHORT);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		/* The other family's ICMP is just an unknown protocol. */
		if ((p->proto == IPPROTO_ICMP) == (p->family == AF_INET))
			v = l4_icmp(h, len, p);
		if (v == FP_V_FORWARD)
			p->flags |= FP_F_L4;
		return v;
	case IPPROTO_GRE:
		v = l4_gre(h, len, p);
		break;
	case IPPROTO_ESP:
		if (len < 8)
			return drop(p, RTR_DROP_L4_SHORT);
		p->spi_key = fp_ld32(h);
		break;
	case IPPROTO_DCCP:
		return punt(p, FP_PUNT_PROTO);
	case IPPROTO_AH:
		if (p->family == AF_INET6)
			return punt(p, FP_PUNT_AH);
		break;
	default:
		break;
	}
	if (v != FP_V_FORWARD)
		return v;
	p->flags |= FP_F_L4;
	if (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP || p->proto == IPPROTO_UDPLITE ||
	    p->proto == IPPROTO_SCTP) {
		p->sport_be = fp_ld16_be(h);
		p->dport_be = fp_ld16_be(h + 2);
		p->flags |= FP_F_PORTS;
	}
	return v;
}

/* Fragments as both families see them; off in bytes. */
static enum fp_verdict frag(struct fp_pkt *p, unsigned off, bool more)
{
	unsigned len = p->end - p->l4_off;

	p->frag_off = (uint16_t)off;
	p->flags |= FP_F_FRAG | (more ? FP_F_FRAG_MORE : 0) | (off == 0 ? FP_F_FRAG_FIRST : 0);
	if (len == 0)
		return drop(p, RTR_DROP_FRAG_EMPTY);
	if (more && len % 8) {
		/* RFC 8200 4.5: parameter problem at the payload length. */
		if (p->family == AF_INET6)
			return drop_param(p, RTR_DROP_FRAG_ALIGN, 0, p->l3_off + 4u);
		return drop(p, RTR_DROP_FRAG_ALIGN);
	}
	if (off + len > 65535) {
		if (p->family == AF_INET6)
			return drop_param(p, RTR_DROP_FRAG_BEYOND, 0, p->frag_hdr_off + 2u);
		return drop(p, RTR_DROP_FRAG_BEYOND);
	}
	/* RFC 1858: a TCP fragment at 8 bytes would replace the flags of the first. */
	if (off == 8 && p->proto == IPPROTO_TCP)
		return drop(p, RTR_DROP_FRAG_TINY);
	return FP_V_FORWARD;
}

/* Walks the options: each must end inside the header. */
static enum fp_verdict ip4_options(const uint8_t *ip, unsigned hlen, struct fp_pkt *p)
{
	p->flags |= FP_F_OPTIONS;
	for (unsigned i = FP_IP4_LEN; i < hlen;) {
		uint8_t type = ip[i];

		if (type == 0)
			break;
		if (type == 1) {
			i++;
			continue;
		}
		if (i + 1 >= hlen || ip[i + 1] < 2 || i + ip[i + 1] > hlen)
			return drop_param(p, RTR_DROP_IP4_OPTION, 0, p->l3_off + i);
		if (type == 131 || type == 137) /* loose, strict source route */
			p->flags |= FP_F_SRC_ROUTE;
		i += ip[i + 1];
	}
	return FP_V_FORWARD;
}

static enum fp_verdict parse_ip4(const uint8_t *frame, struct fp_pkt *p)
{
	const uint8_t *ip = frame + p->l3_off;
	unsigned have = p->frame_len - p->l3_off, hlen, total, fo;
	enum fp_verdict v;

	p->family = AF_INET;
	if (have < FP_IP4_LEN)
		return drop(p, RTR_DROP_IP4_SHORT);
	if (ip[0] >> 4 != 4)
		return drop(p, RTR_DROP_IP4_VERSION);
	hlen = (ip[0] & 15) * 4u;
	if (hlen < FP_IP4_LEN)
		return drop(p, RTR_DROP_IP4_IHL);
	total = fp_ld16(ip + 2);
	if (total < hlen || total > have)
		return drop(p, RTR_DROP_IP4_LENGTH);
	p->end = (uint16_t)(p->l3_off + total);
	p->l4_off = (uint16_t)(p->l3_off + hlen);
	p->tos = ip[1];
	p->ttl = ip[8];
	p->proto = ip[9];
	if (unlikely(hlen > FP_IP4_LEN)) {
		v = ip4_options(ip, hlen, p);
		if (v != FP_V_FORWARD)
			return v;
	}
	p->frag_id = fp_ld16(ip + 4);
	fo = fp_ld16(ip + 6);
	if (fo & FP_IP4_DF)
		p->flags |= FP_F_DF;
	if (unlikely(fo & (FP_IP4_MF | FP_IP4_OFF_MASK))) {
		v = frag(p, (fo & FP_IP4_OFF_MASK) * 8, fo & FP_IP4_MF);
		if (v != FP_V_FORWARD || p->frag_off)
			return v;
	}
	return fp_parse_l4(frame, p);
}

/* One extension header at off: its length, 0 when it does not fit. */
static unsigned ext_len(const uint8_t *frame, const struct fp_pkt *p, unsigned off)
{
	unsigned len;

	if (off + 8 > p->end)
		return 0;
	len = (frame[off + 1] + 1u) * 8;
	return off + len > p->end ? 0 : len;
}

static enum fp_verdict ext_short(struct fp_pkt *p)
{
	if (!(p->flags & FP_F_FRAG))
		return drop(p, RTR_DROP_IP6_EXT_SHORT);
	/* RFC 7112: code 3, first fragment without the whole chain; the pointer is zero. */
	return drop_param(p, RTR_DROP_FRAG_CHAIN, 3, p->l3_off);
}

static enum fp_verdict ext_routing(const uint8_t *frame, struct fp_pkt *p, unsigned off)
{
	if (frame[off + 2] == 0)
		return drop_param(p, RTR_DROP_IP6_RH0, 0, off + 2);
	if (frame[off + 3])
		p->flags |= FP_F_ROUTING;
	return FP_V_FORWARD;
}

static enum fp_verdict ext_frag(const uint8_t *frame, struct fp_pkt *p, unsigned off,
				unsigned nh_at)
{
	unsigned fo;

	if (p->frag_hdr_off)
		return drop_param(p, RTR_DROP_IP6_EXT_ORDER, 1, nh_at);
	fo = fp_ld16(frame + off + 2);
	p->frag_hdr_off = (uint16_t)off;
	p->unfrag_nh_off = (uint16_t)nh_at;
	p->frag_id = fp_ld32(frame + off + 4);
	p->l4_off = (uint16_t)(off + FP_FRAG6_LEN);
	p->proto = frame[off];
	if (!(fo & 0xfff9)) {
		p->flags |= FP_F_ATOMIC;
		return FP_V_FORWARD;
	}
	return frag(p, fo & 0xfff8, fo & 1);
}

/* Follows the chain from the fixed header to the transport, at most FP_EXT6_MAX headers. */
static enum fp_verdict ip6_chain(const uint8_t *frame, struct fp_pkt *p)
{
	unsigned off = p->l3_off + FP_IP6_LEN, nh_at = p->l3_off + 6u, len;
	uint8_t nh = frame[nh_at];
	enum fp_verdict v = FP_V_FORWARD;

	for (;; nh_at = off, nh = frame[off], off += len, p->n_ext++) {
		p->l4_off = (uint16_t)off;
		p->proto = nh;
		if (nh != IPPROTO_HOPOPTS && nh != IPPROTO_ROUTING && nh != IPPROTO_DSTOPTS &&
		    nh != IPPROTO_FRAGMENT)
			return FP_V_FORWARD;
		if (p->n_ext == FP_EXT6_MAX)
			return drop(p, RTR_DROP_IP6_EXT_CHAIN);
		if (nh == IPPROTO_HOPOPTS && p->n_ext)
			return drop_param(p, RTR_DROP_IP6_EXT_ORDER, 1, nh_at);
		len = nh == IPPROTO_FRAGMENT ? (off + 8 > p->end ? 0 : 8) : ext_len(frame, p, off);
		if (!len)
			return ext_short(p);
		if (nh == IPPROTO_FRAGMENT)
			v = ext_frag(frame, p, off, nh_at);
		else if (nh == IPPROTO_ROUTING)
			v = ext_routing(frame, p, off);
		if (v != FP_V_FORWARD || p->frag_off)
			return v;
		if (nh == IPPROTO_HOPOPTS)
			p->flags |= FP_F_HBH;
		if (nh != IPPROTO_FRAGMENT)
			p->flags |= FP_F_EXT;
	}
}

static enum fp_verdict parse_ip6(const uint8_t *frame, struct fp_pkt *p)
{
	const uint8_t *ip = frame + p->l3_off;
	unsigned have = p->frame_len - p->l3_off, payload;
	enum fp_verdict v;

	p->family = AF_INET6;
	if (have < FP_IP6_LEN)
		return drop(p, RTR_DROP_IP6_SHORT);
	if (ip[0] >> 4 != 6)
		return drop(p, RTR_DROP_IP6_VERSION);
	payload = fp_ld16(ip + 4);
	if (payload == 0 && ip[6] == IPPROTO_HOPOPTS)
		return drop(p, RTR_DROP_IP6_JUMBO);
	if (payload > have - FP_IP6_LEN)
		return drop(p, RTR_DROP_IP6_LENGTH);
	p->end = (uint16_t)(p->l3_off + FP_IP6_LEN + payload);
	p->tos = (uint8_t)(fp_ld16(ip) >> 4);
	p->ttl = ip[7];
	v = ip6_chain(frame, p);
	if (v != FP_V_FORWARD || p->frag_off)
		return v;
	v = fp_parse_l4(frame, p);
	/* RFC 7112 for the transport header itself; IPv4 has no such message. */
	if (v == FP_V_DROP && p->flags & FP_F_FRAG &&
	    (p->drop == RTR_DROP_FRAG_TINY || p->drop == RTR_DROP_L4_SHORT))
		return drop_param(p, RTR_DROP_FRAG_CHAIN, 3, p->l3_off);
	return v;
}

/* The six bytes of PPPoE and the PPP protocol behind them (RFC 2516). */
static enum fp_verdict parse_pppoe(const uint8_t *frame, unsigned off, struct fp_pkt *p)
{
	unsigned len, ppp;

	if (off + FP_PPPOE_LEN > p->frame_len)
		return drop(p, RTR_DROP_PPPOE);
	len = fp_ld16(frame + off + 4);
	if (frame[off] != 0x11 || frame[off + 1] != 0 || len < 2 || off + 6 + len > p->frame_len)
		return drop(p, RTR_DROP_PPPOE);
	p->flags |= FP_F_PPPOE;
	p->pppoe_session = fp_ld16(frame + off + 2);
	p->l3_off = (uint16_t)(off + FP_PPPOE_LEN);
	/* What follows the PPPoE payload is padding and not the packet's. */
	p->frame_len = (uint16_t)(off + 6 + len);
	ppp = fp_ld16(frame + off + 6);
	if (ppp == FP_PPP_IP4)
		return parse_ip4(frame, p);
	if (ppp == FP_PPP_IP6)
		return parse_ip6(frame, p);
	return punt(p, FP_PUNT_L3_OTHER);
}

static bool is_tag(uint16_t type)
{
	return type == FP_ETH_VLAN || type == FP_ETH_QINQ || type == FP_ETH_QINQ_OLD;
}

enum fp_verdict fp_parse(const uint8_t *frame, uint32_t frame_len, struct fp_pkt *p)
{
	unsigned off = FP_ETH_LEN;
	uint16_t type;

	*p = (struct fp_pkt){ .verdict = FP_V_FORWARD };
	if (unlikely(frame_len > 65535))
		return drop(p, RTR_DROP_FRAME_LONG);
	p->frame_len = (uint16_t)frame_len;
	if (unlikely(frame_len < FP_ETH_LEN))
		return drop(p, RTR_DROP_ETH_SHORT);
	if (frame[0] & 1)
		p->flags |= FP_F_L2_GROUP;
	type = fp_ld16(frame + 12);
	while (unlikely(is_tag(type))) {
		if (p->n_vlan == 2)
			return punt(p, FP_PUNT_TAGS);
		if (off + 4 > frame_len)
			return drop(p, RTR_DROP_ETH_SHORT);
		p->vlan_proto[p->n_vlan] = type;
		p->vlan_tci[p->n_vlan++] = fp_ld16(frame + off);
		type = fp_ld16(frame + off + 2);
		off += 4;
	}
	p->ethertype = type;
	p->l3_off = p->l4_off = p->end = (uint16_t)off;
	switch (type) {
	case FP_ETH_IP4:
		return parse_ip4(frame, p);
	case FP_ETH_IP6:
		return parse_ip6(frame, p);
	case FP_ETH_PPPOE:
		return parse_pppoe(frame, off, p);
	default:
		return punt(p, FP_PUNT_L3_OTHER);
	}
}

enum fp_verdict fp_parse_ip(const uint8_t *ip, uint32_t len, struct fp_pkt *p)
{
	*p = (struct fp_pkt){ .verdict = FP_V_FORWARD };
	if (len > 65535)
		return drop(p, RTR_DROP_FRAME_LONG);
	p->frame_len = (uint16_t)len;
	if (len && ip[0] >> 4 == 6) {
		p->ethertype = FP_ETH_IP6;
		return parse_ip6(ip, p);
	}
	p->ethertype = FP_ETH_IP4;
	return parse_ip4(ip, p);
}

bool fp_ip4_src_martian(uint32_t a_be)
{
	uint32_t a = ntohl(a_be);

	/* 0/8, 127/8, multicast and all above: class E and the limited broadcast. */
	return a >> 24 == 0 || a >> 24 == 127 || a >= 0xe0000000;
}

bool fp_ip4_dst_martian(uint32_t a_be)
{
	uint32_t a = ntohl(a_be);

	return a >> 24 == 0 || a >> 24 == 127 || a >= 0xf0000000;
}

/* ::, ::1 and the mapped addresses ::ffff:0:0/96, which must not be seen on a wire. */
static bool ip6_reserved(const uint8_t a[16])
{
	static const uint8_t zero[12];
	uint32_t w2 = fp_ld32(a + 8), w3 = fp_ld32(a + 12);

	if (memcmp(a, zero, 8))
		return false;
	return w2 == 0xffff || (w2 == 0 && w3 <= 1);
}

bool fp_ip6_src_martian(const uint8_t a[16])
{
	return a[0] == 0xff || ip6_reserved(a);
}

bool fp_ip6_dst_martian(const uint8_t a[16])
{
	/* Multicast of scope 0 and 1 never leaves its node (RFC 4291 2.7). */
	return (a[0] == 0xff && (a[1] & 15) <= 1) || ip6_reserved(a);
}

static enum fp_verdict ttl_verdict(struct fp_pkt *p)
{
	return p->verdict = p->ttl <= 1 ? FP_V_EXPIRED : FP_V_FORWARD;
}

/* The header without options is all but always what comes: five words, no loop. */
static bool ip4_csum_ok(const uint8_t *ip)
{
	uint64_t sum = (uint64_t)fp_ld32_be(ip) + fp_ld32_be(ip + 4) + fp_ld32_be(ip + 8) +
		       fp_ld32_be(ip + 12) + fp_ld32_be(ip + 16);

	if (unlikely(ip[0] != 0x45))
		sum = fp_csum_add(ip + FP_IP4_LEN, (ip[0] & 15) * 4u - FP_IP4_LEN, sum);
	return fp_csum_fold(sum) == 0xffff;
}

static enum fp_verdict validate4(const uint8_t *frame, struct fp_pkt *p)
{
	const uint8_t *ip = frame + p->l3_off;
	uint32_t src = fp_ld32_be(ip + 12), dst = fp_ld32_be(ip + 16);

	if (unlikely(!ip4_csum_ok(ip)))
		return drop(p, RTR_DROP_IP4_CSUM);
	/* A host without an address yet: DHCP and its like (0.0.0.0 to a broadcast or group). */
	if (unlikely(dst == INADDR_BROADCAST || (src == 0 && (dst == 0 || fp_ip4_multicast(dst)))))
		return src && fp_ip4_src_martian(src) ? drop(p, RTR_DROP_SRC_MARTIAN)
						      : punt(p, FP_PUNT_BROADCAST);
	if (unlikely(fp_ip4_src_martian(src)))
		return drop(p, RTR_DROP_SRC_MARTIAN);
	if (unlikely(fp_ip4_dst_martian(dst)))
		return drop(p, RTR_DROP_DST_MARTIAN);
	if (unlikely(src == dst))
		return drop(p, RTR_DROP_LAND);
	if (unlikely(p->flags & (FP_F_L2_GROUP | FP_F_OPTIONS))) {
		if (p->flags & FP_F_SRC_ROUTE)
			return drop(p, RTR_DROP_SRC_ROUTE);
		return punt(p, p->flags & FP_F_OPTIONS ? FP_PUNT_IP4_OPTIONS : FP_PUNT_L2_GROUP);
	}
	if (unlikely(fp_ip4_multicast(dst)))
		return punt(p, FP_PUNT_MULTICAST);
	if (unlikely(fp_ip4_linklocal(src) || fp_ip4_linklocal(dst)))
		return punt(p, FP_PUNT_LINK_SCOPE);
	return ttl_verdict(p);
}

static enum fp_verdict validate6(const uint8_t *frame, struct fp_pkt *p)
{
	const uint8_t *src = frame + p->l3_off + 8, *dst = src + 16;
	static const uint8_t any[16];

	if (unlikely(fp_ip6_dst_martian(dst)))
		return drop(p, RTR_DROP_DST_MARTIAN);
	if (unlikely(fp_ip6_src_martian(src))) {
		/* Duplicate address detection and its reports come from :: (RFC 4862). */
		if (dst[0] == 0xff && !memcmp(src, any, 16))
			return punt(p, FP_PUNT_MULTICAST);
		return drop(p, RTR_DROP_SRC_MARTIAN);
	}
	if (unlikely(!memcmp(src, dst, 16)))
		return drop(p, RTR_DROP_LAND);
	if (unlikely(dst[0] == 0xff))
		return punt(p, FP_PUNT_MULTICAST);
	if (unlikely(p->flags & FP_F_L2_GROUP))
		return punt(p, FP_PUNT_L2_GROUP);
	if (unlikely(p->flags & FP_F_HBH))
		return punt(p, FP_PUNT_IP6_HBH);
	if (unlikely(p->flags & FP_F_ROUTING))
		return punt(p, FP_PUNT_IP6_ROUTING);
	if (unlikely(fp_ip6_linklocal(src) || fp_ip6_linklocal(dst)))
		return punt(p, FP_PUNT_LINK_SCOPE);
	if (unlikely(p->proto == IPPROTO_ICMPV6 && p->flags & FP_F_L4 &&
		     p->icmp_type >= FP_ICMP6_RS && p->icmp_type <= FP_ICMP6_REDIRECT))
		return punt(p, FP_PUNT_ND);
	return ttl_verdict(p);
}

enum fp_verdict fp_validate(const uint8_t *frame, struct fp_pkt *p)
{
	return p->family == AF_INET ? validate4(frame, p) : validate6(frame, p);
}

const char *fp_punt_text(unsigned why)
{
	static const char *const text[FP_PUNT__MAX] = { [FP_PUNT_NONE] = "none",
#define TEXT(sym, txt) [FP_PUNT_##sym] = txt,
							FP_PUNTS(TEXT)
#undef TEXT
	};

	return why < FP_PUNT__MAX ? text[why] : "unknown";
}
