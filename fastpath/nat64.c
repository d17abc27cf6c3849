/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nat64.h"

#include "csum.h"
#include "icmp_quote.h"
#include "nat64_int.h"
#include "util.h"

/* RFC 7915 5.1: above this a translated packet keeps its path MTU discovery. */
#define DF_ABOVE 1260
#define ERR6_MAX 1280

/* A header of either family, read before its bytes are written over. */
struct head {
	uint8_t src[16], dst[16];
	uint8_t tos, ttl, proto;
	uint16_t payload; /* transport bytes that the header speaks of */
	bool frag;        /* has a fragment header, or is a fragment in IPv4 */
	bool more;
	uint16_t off; /* bytes */
	uint32_t id;
};

/* One transport that changes its family, the packet's own or a quoted one. */
struct l4 {
	uint8_t *h;
	unsigned avail;
	uint8_t proto; /* as it was */
	bool to6, query, ports;
	uint16_t sport_be, dport_be;
	uint16_t addr_delta; /* what the new addresses add to a sum */
	uint16_t pseudo6;    /* sum of the ICMPv6 pseudo-header on the IPv6 side */
};

static bool is_icmp(const struct l4 *x)
{
	return x->proto == (x->to6 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* Echo is the only query of both families. The pseudo-header comes or goes with ICMPv6. */
static enum rtr_drop l4_icmp(struct l4 *x)
{
	static const uint8_t to6[9] = { [0] = FP_ICMP6_ECHO_REPLY, [8] = FP_ICMP6_ECHO };
	uint16_t old[2] = { fp_ld16_be(x->h), fp_ld16_be(x->h + 4) }, now[2];
	uint8_t type = x->h[0];
	uint64_t delta;

	if (x->to6)
		type = type < ARRAY_LEN(to6) ? to6[type] : 0;
	if (!x->query || (type != FP_ICMP6_ECHO && type != FP_ICMP6_ECHO_REPLY))
		return RTR_DROP_NAT64_ICMP;
	if (!x->to6)
		type = type == FP_ICMP6_ECHO ? FP_ICMP4_ECHO : FP_ICMP4_ECHO_REPLY;
	x->h[0] = type;
	fp_st16_be(x->h + 4, x->sport_be);
	now[0] = fp_ld16_be(x->h);
	now[1] = x->sport_be;
	delta = (uint64_t)fp_csum_delta(old, now, 4) +
		(x->to6 ? x->pseudo6 : (uint16_t)~x->pseudo6);
	fp_st16_be(x->h + FP_ICMP_CSUM,
		   fp_csum_adjust(fp_ld16_be(x->h + FP_ICMP_CSUM), fp_csum_fold(delta)));
	return RTR_DROP_NONE;
}

static enum rtr_drop translate_l4(struct l4 *x)
{
	int off = fp_l4_csum_off(x->proto);
	uint16_t ports[2] = { x->sport_be, x->dport_be };
	uint64_t delta = x->addr_delta;
	bool udp = x->proto == IPPROTO_UDP || x->proto == IPPROTO_UDPLITE;
	uint16_t c;

	if (is_icmp(x))
		return l4_icmp(x);
	if (x->ports) {
		if (off < 0 && memcmp(x->h, ports, 4))
			return RTR_DROP_NAT_PROTO;
		delta += fp_csum_delta(x->h, ports, 4);
		memcpy(x->h, ports, 4);
	}
	if (off < 0 || x->avail < (unsigned)off + 2)
		return RTR_DROP_NONE;
	c = fp_ld16_be(x->h + off);
	fp_st16_be(x->h + off, udp ? fp_csum_adjust_udp(c, fp_csum_fold(delta))
				   : fp_csum_adjust(c, fp_csum_fold(delta)));
	return RTR_DROP_NONE;
}

/*
 * What the other family calls the protocol; 0 for what must not cross (RFC 7915 4.1, 5.1). A number
 * that is an extension header in IPv6 would become one behind the translator's back.
 */
static uint8_t map_proto(uint8_t proto, bool to6)
{
	if (proto == (to6 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return to6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	switch (proto) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_AH:
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_DSTOPTS:
		return 0;
	default:
		return proto;
	}
}

static void write4(uint8_t *ip, const struct head *h, const struct fp_tuple4 *to, uint16_t id)
{
	uint32_t total = FP_IP4_LEN + h->payload;
	uint32_t fo = total > DF_ABOVE ? FP_IP4_DF : 0;

	if (h->frag) {
		id = (uint16_t)h->id;
		fo = h->off / 8u | (h->more ? FP_IP4_MF : 0);
	}
	ip[0] = 0x45;
	ip[1] = h->tos;
	fp_st16(ip + 2, (uint16_t)total);
	fp_st16(ip + 4, id);
	fp_st16(ip + 6, (uint16_t)fo);
	ip[8] = h->ttl;
	ip[9] = h->proto;
	fp_st32_be(ip + 12, to->src_be);
	fp_st32_be(ip + 16, to->dst_be);
	fp_st16_be(ip + 10, fp_csum_ip4(ip, FP_IP4_LEN));
}

/* Fixed header, and the fragment header behind it when the packet is a fragment. */
static void write6(uint8_t *ip, const struct head *h, const struct fp_tuple6 *to)
{
	fp_st32(ip, 0x60000000 | (uint32_t)h->tos << 20);
	fp_st16(ip + 4, (uint16_t)(h->payload + (h->frag ? FP_FRAG6_LEN : 0)));
	ip[6] = h->frag ? IPPROTO_FRAGMENT : h->proto;
	ip[7] = h->ttl;
	memcpy(ip + 8, to->src, 16);
	memcpy(ip + 24, to->dst, 16);
	if (h->frag) {
		ip[40] = h->proto;
		ip[41] = 0;
		fp_st16(ip + 42, (uint16_t)(h->off | h->more));
		fp_st32(ip + 44, h->id);
	}
}

/* Reads an IPv6 header whose transport is at l4; frag_hdr 0 = none. */
static enum rtr_drop read6(struct head *h, const uint8_t *ip, const uint8_t *l4,
			   const uint8_t *frag_hdr, uint8_t proto)
{
	uint32_t said = FP_IP6_LEN + fp_ld16(ip + 4), skip = (uint32_t)(l4 - ip);

	*h = (struct head){ .tos = (uint8_t)(fp_ld16(ip) >> 4), .ttl = ip[7] };
	h->proto = map_proto(proto, false);
	if (!h->proto || said < skip || said - skip > 65535 - FP_IP4_LEN)
		return RTR_DROP_NAT64_HEADER;
	h->payload = (uint16_t)(said - skip);
	memcpy(h->src, ip + 8, 16);
	memcpy(h->dst, ip + 24, 16);
	if (frag_hdr) {
		h->frag = true;
		h->off = fp_ld16(frag_hdr + 2) & 0xfff8;
		h->more = fp_ld16(frag_hdr + 2) & 1;
		h->id = fp_ld32(frag_hdr + 4);
		/* Headers behind it count in the offsets of later pieces and cannot be left out. */
		if ((h->off || h->more) && l4 != frag_hdr + FP_FRAG6_LEN)
			return RTR_DROP_NAT64_FRAG;
	}
	return RTR_DROP_NONE;
}

static enum rtr_drop read4(struct head *h, const uint8_t *ip)
{
	uint16_t fo = fp_ld16(ip + 6);
	unsigned hlen = (ip[0] & 15) * 4u, said = fp_ld16(ip + 2);

	*h = (struct head){ .tos = ip[1], .ttl = ip[8], .id = fp_ld16(ip + 4) };
	h->proto = map_proto(ip[9], true);
	if (!h->proto || said < hlen)
		return RTR_DROP_NAT64_HEADER;
	h->payload = (uint16_t)(said - hlen);
	memcpy(h->src, ip + 12, 4);
	memcpy(h->dst, ip + 16, 4);
	h->frag = fo & (FP_IP4_MF | FP_IP4_OFF_MASK);
	h->off = (uint16_t)((fo & FP_IP4_OFF_MASK) * 8);
	h->more = fo & FP_IP4_MF;
	return RTR_DROP_NONE;
}

static uint16_t sum_of(const void *a, const void *b, unsigned size)
{
	return fp_csum_fold(fp_csum_add(a, size, fp_csum_add(b, size, 0)));
}

static uint16_t addr_delta(uint16_t old, uint16_t now)
{
	return fp_csum_fold((uint32_t)now + (uint16_t)~old);
}

static struct l4 l4_64(uint8_t *at, unsigned avail, uint8_t proto, const struct head *h,
		       const struct fp_tuple4 *to)
{
	return (struct l4){
		.h = at,
		.avail = avail,
		.proto = proto,
		.sport_be = to->sport_be,
		.dport_be = to->dport_be,
		.addr_delta = addr_delta(sum_of(h->src, h->dst, 16),
					 sum_of(&to->src_be, &to->dst_be, 4)),
		.pseudo6 = fp_csum_fold(fp_csum_pseudo6(h->src, h->dst, proto, h->payload)),
	};
}

static struct l4 l4_46(uint8_t *at, unsigned avail, uint8_t proto, const struct head *h,
		       const struct fp_tuple6 *to)
{
	return (struct l4){
		.h = at,
		.avail = avail,
		.proto = proto,
		.to6 = true,
		.sport_be = to->sport_be,
		.dport_be = to->dport_be,
		.addr_delta = addr_delta(sum_of(h->src, h->dst, 4), sum_of(to->src, to->dst, 16)),
		.pseudo6 = fp_csum_fold(
			fp_csum_pseudo6(to->src, to->dst, IPPROTO_ICMPV6, h->payload)),
	};
}

/* After the headers are written, *p tells of them as the parser would. */
static void become(struct fp_buf *b, struct fp_pkt *p, uint8_t family, unsigned hlen,
		   const struct head *h)
{
	const uint32_t keep = FP_F_L4 | FP_F_PORTS | FP_F_FRAG | FP_F_FRAG_FIRST | FP_F_FRAG_MORE |
			      FP_F_ICMP_ERR | FP_F_ICMP_QUERY | FP_F_L2_GROUP;
	bool df = family == AF_INET && !h->frag && FP_IP4_LEN + h->payload > DF_ABOVE;

	p->flags = (p->flags & keep) | (df ? FP_F_DF : 0);
	p->family = family;
	p->proto = h->proto;
	p->l3_off = (uint16_t)(p->l4_off - hlen);
	p->ethertype = family == AF_INET ? FP_ETH_IP4 : FP_ETH_IP6;
	p->n_ext = 0;
	p->frag_hdr_off = p->unfrag_nh_off = 0;
	if (family == AF_INET6 && h->frag) {
		p->frag_hdr_off = (uint16_t)(p->l3_off + FP_IP6_LEN);
		p->unfrag_nh_off = (uint16_t)(p->l3_off + 6);
		p->n_ext = 1;
	}
	if (p->flags & FP_F_PORTS) {
		p->sport_be = fp_ld16_be(b->data + p->l4_off);
		p->dport_be = fp_ld16_be(b->data + p->l4_off + 2);
	}
	if (p->flags & (FP_F_ICMP_QUERY | FP_F_ICMP_ERR)) {
		p->icmp_type = b->data[p->l4_off];
		p->icmp_code = b->data[p->l4_off + 1];
	}
	if (p->flags & FP_F_ICMP_QUERY)
		p->sport_be = p->dport_be = fp_ld16_be(b->data + p->l4_off + 4);
}

/* ICMP without a query in it that is not an error: discovery, multicast listeners, timestamps. */
static bool untranslatable(const struct fp_pkt *p, bool to6, enum rtr_drop *ret)
{
	if (p->proto != (to6 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return false;
	*ret = p->flags & FP_F_FRAG ? RTR_DROP_NAT64_FRAG : RTR_DROP_NAT64_ICMP;
	return p->flags & FP_F_FRAG || !(p->flags & (FP_F_ICMP_QUERY | FP_F_ICMP_ERR));
}

static enum rtr_drop error_64(struct fp_buf *b, struct fp_pkt *p, const struct fp_nat64_4 *t,
			      struct head *outer)
{
	uint8_t *frame = b->data, icmp[FP_ICMP_LEN], *at;
	struct head inner;
	struct fp_quote q;
	struct l4 x;
	enum rtr_drop why = fp_quote_parse(frame, p, &q);

	if (why)
		return why;
	memcpy(icmp, frame + p->l4_off, sizeof(icmp));
	why = nat64_error_64(icmp, t->mtu4, t->mtu6);
	if (why)
		return why;
	why = read6(&inner, frame + q.ip_off, frame + q.l4_off,
		    q.frag_hdr_off ? frame + q.frag_hdr_off : NULL, q.proto);
	if (why)
		return why;
	x = l4_64(frame + q.l4_off, q.avail, q.proto, &inner, &t->quoted);
	x.query = x.ports = q.ports;
	if (!q.fragment)
		why = translate_l4(&x);
	if (why)
		return why;
	p->end = (uint16_t)(q.l4_off + q.avail);
	at = frame + q.l4_off - FP_IP4_LEN;
	write4(at, &inner, &t->quoted, (uint16_t)inner.id);
	at -= FP_ICMP_LEN;
	memcpy(at, icmp, sizeof(icmp));
	p->l4_off = (uint16_t)(at - frame);
	outer->payload = (uint16_t)(p->end - p->l4_off);
	write4(at - FP_IP4_LEN, outer, &t->to, t->id);
	become(b, p, AF_INET, FP_IP4_LEN, outer);
	fp_csum_l4_fill(frame, p);
	return RTR_DROP_NONE;
}

enum rtr_drop fp_nat64_6to4(struct fp_buf *b, struct fp_pkt *p, const struct fp_nat64_4 *t)
{
	uint8_t *frame = b->data, *l4 = frame + p->l4_off;
	struct head h;
	struct l4 x;
	enum rtr_drop why;

	if (p->flags & FP_F_ROUTING)
		return RTR_DROP_NAT64_HEADER;
	if (p->flags & FP_F_UDP_NOCSUM)
		return RTR_DROP_UDP6_NOCSUM;
	if (untranslatable(p, false, &why))
		return why;
	why = read6(&h, frame + p->l3_off, l4, p->frag_hdr_off ? frame + p->frag_hdr_off : NULL,
		    p->proto);
	if (why)
		return why;
	if (p->flags & FP_F_ICMP_ERR)
		return error_64(b, p, t, &h);
	if (p->flags & FP_F_L4) {
		x = l4_64(l4, p->end - p->l4_off, p->proto, &h, &t->to);
		x.query = p->flags & FP_F_ICMP_QUERY;
		x.ports = p->flags & FP_F_PORTS;
		why = translate_l4(&x);
		if (why)
			return why;
	}
	write4(l4 - FP_IP4_LEN, &h, &t->to, t->id);
	become(b, p, AF_INET, FP_IP4_LEN, &h);
	/* An echo reply of nothing but zeros: 0xffff, as in rewrite.c. */
	if (p->flags & FP_F_ICMP_QUERY && fp_ld16_be(l4 + FP_ICMP_CSUM) == 0)
		fp_csum_l4_fill(frame, p);
	return RTR_DROP_NONE;
}

/* Makes hlen bytes fit in front of offset at, moving the frame's begin into the headroom. */
static bool make_room(struct fp_buf *b, struct fp_pkt *p, struct fp_quote *q, unsigned hlen,
		      unsigned at)
{
	unsigned by = hlen > at ? hlen - at : 0;

	if (by > b->headroom || p->end + by > 65535)
		return false;
	b->data -= by;
	b->headroom -= by;
	b->len += by;
	p->l3_off = (uint16_t)(p->l3_off + by);
	p->l4_off = (uint16_t)(p->l4_off + by);
	p->end = (uint16_t)(p->end + by);
	p->frame_len = (uint16_t)b->len;
	if (q) {
		q->ip_off = (uint16_t)(q->ip_off + by);
		q->l4_off = (uint16_t)(q->l4_off + by);
	}
	return true;
}

static unsigned head6(const struct head *h)
{
	return FP_IP6_LEN + (h->frag ? FP_FRAG6_LEN : 0);
}

static enum rtr_drop error_46(struct fp_buf *b, struct fp_pkt *p, const struct fp_nat64_6 *t,
			      struct head *outer)
{
	uint8_t icmp[FP_ICMP_LEN], *at;
	struct head inner;
	struct fp_quote q;
	struct l4 x;
	unsigned hlen;
	enum rtr_drop why = fp_quote_parse(b->data, p, &q);

	if (why)
		return why;
	memcpy(icmp, b->data + p->l4_off, sizeof(icmp));
	why = nat64_error_46(icmp, fp_ld16(b->data + q.ip_off + 2), t->mtu4, t->mtu6);
	if (why)
		return why;
	why = read4(&inner, b->data + q.ip_off);
	if (why)
		return why;
	hlen = head6(&inner) + FP_ICMP_LEN + FP_IP6_LEN;
	if (!make_room(b, p, &q, hlen, q.l4_off))
		return RTR_DROP_HEADROOM;
	x = l4_46(b->data + q.l4_off, q.avail, q.proto, &inner, &t->quoted);
	x.query = x.ports = q.ports;
	if (!q.fragment)
		why = translate_l4(&x);
	if (why)
		return why;
	at = b->data + q.l4_off - head6(&inner);
	write6(at, &inner, &t->quoted);
	at -= FP_ICMP_LEN;
	memcpy(at, icmp, sizeof(icmp));
	p->l4_off = (uint16_t)(at - b->data);
	p->end = (uint16_t)(q.l4_off + MIN(q.avail, ERR6_MAX - hlen));
	outer->payload = (uint16_t)(p->end - p->l4_off);
	write6(at - FP_IP6_LEN, outer, &t->to);
	become(b, p, AF_INET6, FP_IP6_LEN, outer);
	fp_csum_l4_fill(b->data, p);
	return RTR_DROP_NONE;
}

enum rtr_drop fp_nat64_4to6(struct fp_buf *b, struct fp_pkt *p, const struct fp_nat64_6 *t)
{
	bool nocsum = p->flags & FP_F_UDP_NOCSUM;
	struct head h;
	struct l4 x;
	enum rtr_drop why;

	if (untranslatable(p, true, &why))
		return why;
	if (nocsum && p->flags & FP_F_FRAG)
		return RTR_DROP_NAT64_FRAG;
	why = read4(&h, b->data + p->l3_off);
	if (why)
		return why;
	if (p->flags & FP_F_ICMP_ERR)
		return error_46(b, p, t, &h);
	if (!make_room(b, p, NULL, head6(&h), p->l4_off))
		return RTR_DROP_HEADROOM;
	if (p->flags & FP_F_L4) {
		x = l4_46(b->data + p->l4_off, p->end - p->l4_off, p->proto, &h, &t->to);
		x.query = p->flags & FP_F_ICMP_QUERY;
		x.ports = p->flags & FP_F_PORTS;
		why = translate_l4(&x);
		if (why)
			return why;
	}
	write6(b->data + p->l4_off - head6(&h), &h, &t->to);
	become(b, p, AF_INET6, head6(&h), &h);
	if (nocsum)
		fp_csum_l4_fill(b->data, p);
	return RTR_DROP_NONE;
}

bool fp_nat64_plen_ok(unsigned plen)
{
	return plen == 96 || (plen >= 32 && plen <= 64 && plen % 8 == 0);
}

void fp_nat64_embed(const uint8_t prefix[16], unsigned plen, uint32_t v4_be, uint8_t ret[16])
{
	uint8_t v4[4];
	unsigned at = plen / 8;

	memcpy(v4, &v4_be, 4);
	memset(ret, 0, 16);
	memcpy(ret, prefix, at);
	for (unsigned i = 0; i < 4; i++) {
		at += at == 8;
		ret[at++] = v4[i];
	}
}

bool fp_nat64_extract(const uint8_t prefix[16], unsigned plen, const uint8_t addr[16],
		      uint32_t *ret_v4_be)
{
	uint8_t v4[4];
	unsigned at = plen / 8;

	if (memcmp(prefix, addr, at) || (plen != 96 && addr[8]))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		at += at == 8;
		v4[i] = addr[at++];
	}
	memcpy(ret_v4_be, v4, 4);
	return true;
}
