/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rewrite.h"

#include "csum.h"
#include "util.h"

#define ETH_MIN 60 /* without frame check sequence, IEEE 802.3 */

/* Ports that may change: the checksum of these covers them and is a sum. */
static bool ports_change(uint8_t proto, uint16_t a_be, uint16_t b_be, uint16_t to_a, uint16_t to_b,
			 enum rtr_drop *ret)
{
	bool change = a_be != to_a || b_be != to_b;

	*ret = RTR_DROP_NONE;
	if (!change)
		return false;
	if (fp_l4_csum_off(proto) < 0 && proto != IPPROTO_ICMP)
		*ret = RTR_DROP_NAT_PROTO;
	return true;
}

/* The id of an ICMP query stands once in the packet and twice in its tuple. */
static uint64_t port_delta(uint8_t proto, uint16_t s_be, uint16_t d_be, uint16_t to_s,
			   uint16_t to_d)
{
	uint64_t delta = fp_csum_delta16(s_be, to_s);

	if (proto != IPPROTO_ICMP && proto != IPPROTO_ICMPV6)
		delta += fp_csum_delta16(d_be, to_d);
	return delta;
}

enum rtr_drop fp_nat4_init(struct fp_nat4 *n, const struct fp_tuple4 *from,
			   const struct fp_tuple4 *to)
{
	const uint32_t old[2] = { from->src_be, from->dst_be }, new[2] = { to->src_be, to->dst_be };
	uint16_t addr = fp_csum_delta(old, new, sizeof(old));
	enum rtr_drop why;
	uint64_t l4 = from->proto == IPPROTO_ICMP ? 0 : addr;

	if (ports_change(from->proto, from->sport_be, from->dport_be, to->sport_be, to->dport_be,
			 &why)) {
		if (why)
			return why;
		l4 += port_delta(from->proto, from->sport_be, from->dport_be, to->sport_be,
				 to->dport_be);
	}
	*n = (struct fp_nat4){ .src_be = to->src_be,
			       .dst_be = to->dst_be,
			       .sport_be = to->sport_be,
			       .dport_be = to->dport_be,
			       .ip_delta = addr,
			       .l4_delta = fp_csum_fold(l4) };
	return RTR_DROP_NONE;
}

enum rtr_drop fp_nat6_init(struct fp_nat6 *n, const struct fp_tuple6 *from,
			   const struct fp_tuple6 *to)
{
	uint64_t l4 = (uint64_t)fp_csum_delta(from->src, to->src, 16) +
		      fp_csum_delta(from->dst, to->dst, 16);
	enum rtr_drop why;

	if (ports_change(from->proto, from->sport_be, from->dport_be, to->sport_be, to->dport_be,
			 &why)) {
		if (why)
			return why;
		l4 += port_delta(from->proto, from->sport_be, from->dport_be, to->sport_be,
				 to->dport_be);
	}
	*n = (struct fp_nat6){ .sport_be = to->sport_be,
			       .dport_be = to->dport_be,
			       .l4_delta = fp_csum_fold(l4) };
	memcpy(n->src, to->src, 16);
	memcpy(n->dst, to->dst, 16);
	return RTR_DROP_NONE;
}

static void set_ports(uint8_t *l4, struct fp_pkt *p, uint16_t sport_be, uint16_t dport_be)
{
	fp_st16_be(l4, sport_be);
	fp_st16_be(l4 + 2, dport_be);
	p->sport_be = sport_be;
	p->dport_be = dport_be;
}

/*
 * ICMPv4 has no pseudo-header: an echo reply with id, sequence number and data all zero is the one
 * packet whose sum may be 0, and its checksum is 0xffff where the adjustment says 0.
 */
static void icmp4_all_zero(uint8_t *frame, const struct fp_pkt *p)
{
	const uint8_t *l4 = frame + p->l4_off;

	if (fp_ld16_be(l4 + FP_ICMP_CSUM) != 0 || l4[0] != 0)
		return;
	fp_csum_l4_fill(frame, p);
}

/* Ports and checksum behind the addresses; the same for both families. */
static void apply_l4(uint8_t *frame, struct fp_pkt *p, uint16_t sport_be, uint16_t dport_be,
		     uint16_t delta)
{
	uint8_t *l4 = frame + p->l4_off, *c;

	switch (p->proto) {
	case IPPROTO_TCP:
		set_ports(l4, p, sport_be, dport_be);
		c = l4 + FP_TCP_CSUM;
		fp_st16_be(c, fp_csum_adjust(fp_ld16_be(c), delta));
		break;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		set_ports(l4, p, sport_be, dport_be);
		c = l4 + FP_UDP_CSUM;
		fp_st16_be(c, fp_csum_adjust_udp(fp_ld16_be(c), delta));
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if ((p->proto == IPPROTO_ICMP) != (p->family == AF_INET))
			break;
		c = l4 + FP_ICMP_CSUM;
		if (p->flags & FP_F_ICMP_QUERY) {
			fp_st16_be(l4 + 4, sport_be);
			p->sport_be = p->dport_be = sport_be;
		} else if (p->family == AF_INET) {
			break;
		}
		fp_st16_be(c, fp_csum_adjust(fp_ld16_be(c), delta));
		if (p->family == AF_INET)
			icmp4_all_zero(frame, p);
		break;
	default:
		break;
	}
}

enum rtr_drop fp_nat4_apply(uint8_t *frame, struct fp_pkt *p, const struct fp_nat4 *n)
{
	uint8_t *ip = frame + p->l3_off;

	if (unlikely(p->flags & FP_F_ICMP_ERR))
		return RTR_DROP_NAT_ICMP;
	fp_st32_be(ip + 12, n->src_be);
	fp_st32_be(ip + 16, n->dst_be);
	fp_st16_be(ip + 10, fp_csum_adjust(fp_ld16_be(ip + 10), n->ip_delta));
	if (likely(p->flags & FP_F_L4))
		apply_l4(frame, p, n->sport_be, n->dport_be, n->l4_delta);
	return RTR_DROP_NONE;
}

enum rtr_drop fp_nat6_apply(uint8_t *frame, struct fp_pkt *p, const struct fp_nat6 *n)
{
	uint8_t *ip = frame + p->l3_off;

	if (unlikely(p->flags & FP_F_ICMP_ERR))
		return RTR_DROP_NAT_ICMP;
	if (unlikely(p->flags & FP_F_UDP_NOCSUM))
		return RTR_DROP_UDP6_NOCSUM;
	memcpy(ip + 8, n->src, 16);
	memcpy(ip + 24, n->dst, 16);
	if (likely(p->flags & FP_F_L4))
		apply_l4(frame, p, n->sport_be, n->dport_be, n->l4_delta);
	return RTR_DROP_NONE;
}

void fp_ttl_dec(uint8_t *frame, struct fp_pkt *p)
{
	uint8_t *ip = frame + p->l3_off;
	uint16_t old, now;

	p->ttl--;
	if (p->family == AF_INET6) {
		ip[7] = p->ttl;
		return;
	}
	/* TTL is the first byte of its word. One store of the word: a load of the word behind a
	 * store of the byte would wait for it to reach the cache. */
	old = fp_ld16_be(ip + 8);
	now = htons((uint16_t)(ntohs(old) - 0x100));
	fp_st16_be(ip + 8, now);
	fp_st16_be(ip + 10, fp_csum_adjust(fp_ld16_be(ip + 10), fp_csum_delta16(old, now)));
}

void fp_dscp_set(uint8_t *frame, struct fp_pkt *p, uint8_t dscp)
{
	uint8_t *ip = frame + p->l3_off;
	uint16_t old = fp_ld16_be(ip);

	p->tos = (uint8_t)(dscp << 2 | (p->tos & 3));
	if (p->family == AF_INET6) {
		fp_st16(ip, (uint16_t)((fp_ld16(ip) & 0xf00f) | p->tos << 4));
		return;
	}
	ip[1] = p->tos;
	fp_st16_be(ip + 10,
		   fp_csum_adjust(fp_ld16_be(ip + 10), fp_csum_delta16(old, fp_ld16_be(ip))));
}

void fp_l2_init(struct fp_l2 *l2, const struct fp_l2_spec *spec)
{
	uint8_t *h = l2->hdr + 12;

	*l2 = (struct fp_l2){ 0 };
	memcpy(l2->hdr, spec->dst, 6);
	memcpy(l2->hdr + 6, spec->src, 6);
	for (unsigned i = 0; i < MIN(spec->n_vlan, 2); i++, h += 4) {
		fp_st16(h, spec->vlan_proto[i] ? spec->vlan_proto[i] : FP_ETH_VLAN);
		fp_st16(h + 2, spec->vlan_tci[i]);
	}
	h += 2; /* the type, by packet */
	if (spec->pppoe) {
		fp_st16(h - 2, FP_ETH_PPPOE);
		l2->pppoe_off = (uint8_t)(h - l2->hdr);
		h[0] = 0x11;
		fp_st16(h + 2, spec->pppoe_session);
		h += FP_PPPOE_LEN;
	}
	l2->len = (uint8_t)(h - l2->hdr);
}

/* Moves the parsed offsets; the difference of two 16-bit offsets, either sign. */
static void shift(struct fp_pkt *p, int by)
{
	p->l3_off = (uint16_t)(p->l3_off + by);
	p->l4_off = (uint16_t)(p->l4_off + by);
	p->end = (uint16_t)(p->end + by);
	if (p->frag_hdr_off) {
		p->frag_hdr_off = (uint16_t)(p->frag_hdr_off + by);
		p->unfrag_nh_off = (uint16_t)(p->unfrag_nh_off + by);
	}
}

enum rtr_drop fp_l2_apply(struct fp_buf *b, struct fp_pkt *p, const struct fp_l2 *l2)
{
	int by = (int)l2->len - p->l3_off;
	uint32_t room = b->len + b->tailroom, pad;
	uint8_t *h;

	if (by > (int)b->headroom || p->end + by > 65535)
		return RTR_DROP_HEADROOM;
	pad = p->end + by < ETH_MIN ? (uint32_t)(ETH_MIN - p->end - by) : 0;
	if (p->end + pad > room)
		return RTR_DROP_HEADROOM;
	if (unlikely(pad))
		memset(b->data + p->end, 0, pad);
	b->data -= by;
	b->headroom = (uint32_t)((int)b->headroom - by);
	shift(p, by);
	b->len = p->end + pad;
	b->tailroom = (uint32_t)((int)room + by) - b->len;
	p->frame_len = (uint16_t)b->len;
	h = b->data;
	if (likely(l2->len == FP_ETH_LEN)) /* a copy of known size needs no call */
		memcpy(h, l2->hdr, FP_ETH_LEN);
	else
		memcpy(h, l2->hdr, l2->len);
	if (l2->pppoe_off) {
		fp_st16(h + l2->pppoe_off + 4, (uint16_t)(p->end - p->l3_off + 2));
		fp_st16(h + l2->pppoe_off + 6, p->family == AF_INET ? FP_PPP_IP4 : FP_PPP_IP6);
	} else {
		fp_st16(h + l2->len - 2, p->family == AF_INET ? FP_ETH_IP4 : FP_ETH_IP6);
	}
	return RTR_DROP_NONE;
}
