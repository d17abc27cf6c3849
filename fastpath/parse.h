/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: reads the headers of a frame and judges whether the fast plane may forward it.
 *
 * fp_parse finds the headers: Ethernet, up to two VLAN tags, PPPoE session, IPv4 with options,
 * IPv6 with a bounded chain of extension headers, fragments, and the fixed part of the transport.
 * Every length is compared with the frame before a byte behind it is read. fp_validate then judges
 * addresses, checksum and fragments (RFC 1812 5.2/5.3, 8200, 5095, 7112, 1858, 3128).
 * Every frame gets exactly one verdict:
 *
 *	FORWARD  headers are sound; route it
 *	EXPIRED  the same, but its TTL ends here: for the box itself it is as good as any other,
 *		 in transit it earns a time exceeded
 *	KERNEL   nothing wrong; local by nature or better known to the kernel (p->punt says why)
 *	DROP     p->drop says why; p->err holds the ICMP parameter problem that it earns, if any
 *
 * Whether the frame is for one of our own MAC or IP addresses is not known here: that is a table
 * lookup of the caller.
 *
 *	frame: | Ethernet tags PPPoE | IPv4/IPv6 ext | transport .... | padding |
 *	       0                     l3_off          l4_off           end       frame_len
 *
 * Owns: nothing. Threads: any; no state. Failure: a verdict, never anything else.
 */
#ifndef FP_PARSE_H
#define FP_PARSE_H

#include "rtr/drop.h"
#include "wire.h"

/* The longest chain that any stack sends holds 5 headers; 8 is what a worker looks at. */
#define FP_EXT6_MAX 8

enum fp_verdict { FP_V_FORWARD, FP_V_EXPIRED, FP_V_KERNEL, FP_V_DROP, FP_V__MAX };

/* Why the kernel gets a frame. */
#define FP_PUNTS(X)                                                                                \
	X(L3_OTHER, "not IP: ARP, LLDP, spanning tree, PPP control ...")                           \
	X(TAGS, "more than two VLAN tags")                                                         \
	X(L2_GROUP, "broadcast or multicast frame")                                                \
	X(MULTICAST, "multicast destination")                                                      \
	X(BROADCAST, "limited broadcast or address not yet known")                                 \
	X(LINK_SCOPE, "link-local source or destination")                                          \
	X(IP4_OPTIONS, "IPv4 options")                                                             \
	X(IP6_HBH, "IPv6 hop-by-hop options")                                                      \
	X(IP6_ROUTING, "IPv6 routing header with segments left")                                   \
	X(ND, "neighbour discovery")                                                               \
	X(AH, "authentication header in IPv6")                                                     \
	X(PROTO, "transport protocol whose ports are not known here")

#define FP_PUNT_ENUM_(sym, text) FP_PUNT_##sym,
enum fp_punt { FP_PUNT_NONE, FP_PUNTS(FP_PUNT_ENUM_) FP_PUNT__MAX };
#undef FP_PUNT_ENUM_

enum fp_flag {
	FP_F_L4 = 1 << 0,    /* l4_off is the transport header and its fixed part is there */
	FP_F_PORTS = 1 << 1, /* sport_be/dport_be hold ports, or an ICMP query's id in both */
	FP_F_FRAG = 1 << 2,  /* one piece of several */
	FP_F_FRAG_FIRST = 1 << 3,
	FP_F_FRAG_MORE = 1 << 4,
	FP_F_ATOMIC = 1 << 5, /* IPv6 fragment header around a whole packet (RFC 6946) */
	FP_F_DF = 1 << 6,
	FP_F_ICMP_ERR = 1 << 7, /* ICMP error: quotes a packet */
	FP_F_ICMP_QUERY = 1 << 8,
	FP_F_OPTIONS = 1 << 9, /* IPv4 options */
	FP_F_EXT = 1 << 10,    /* IPv6 extension headers other than fragment */
	FP_F_L2_GROUP = 1 << 11,
	FP_F_PPPOE = 1 << 12,
	FP_F_UDP_NOCSUM = 1 << 13,
	FP_F_HBH = 1 << 14,
	FP_F_ROUTING = 1 << 15, /* routing header with segments left */
	FP_F_SRC_ROUTE = 1 << 16,
};

/* The ICMP error that a drop earns; type 0 = none. */
struct fp_err {
	uint8_t type, code;
	uint16_t pointer;
};

struct fp_pkt {
	uint16_t frame_len, l3_off, l4_off, end;
	uint32_t flags;
	uint8_t family; /* AF_INET, AF_INET6, 0 */
	uint8_t proto;  /* transport; of a later fragment what its header says */
	uint8_t ttl, tos;
	uint8_t verdict, drop, punt;
	uint8_t n_vlan;
	uint16_t vlan_tci[2], vlan_proto[2]; /* outer first, host order */
	uint16_t ethertype;                  /* after tags, host order */
	uint16_t pppoe_session;
	uint16_t sport_be, dport_be;
	uint16_t frag_off;      /* bytes into the datagram's payload */
	uint16_t frag_hdr_off;  /* IPv6: offset of the fragment header, 0 = none */
	uint16_t unfrag_nh_off; /* IPv6: offset of the next-header byte that names it */
	uint8_t icmp_type, icmp_code;
	uint8_t tcp_flags;
	uint8_t n_ext;
	uint32_t frag_id; /* host order */
	uint32_t spi_key; /* ESP SPI, GRE key; host order, 0 = none */
	struct fp_err err;
};

_Static_assert(sizeof(struct fp_pkt) <= 64, "a parsed header is one cache line");

/*
 * Reads the headers. Fills *p completely; FP_V_FORWARD means "readable so far", then fp_validate
 * has the last word. KERNEL and DROP are final.
 */
enum fp_verdict fp_parse(const uint8_t *frame, uint32_t frame_len, struct fp_pkt *p);

/* Judges what fp_parse read; only after FP_V_FORWARD. */
enum fp_verdict fp_validate(const uint8_t *frame, struct fp_pkt *p);

/* Both in one. */
static inline enum fp_verdict fp_classify(const uint8_t *frame, uint32_t frame_len,
					  struct fp_pkt *p)
{
	enum fp_verdict v = fp_parse(frame, frame_len, p);

	return v == FP_V_FORWARD ? fp_validate(frame, p) : v;
}

/* The same from the IP header on: what an ICMP error quotes, what a tunnel carried. l3_off is 0;
 * quoted packets may end anywhere behind their addresses: see icmp_err.h. */
enum fp_verdict fp_parse_ip(const uint8_t *ip, uint32_t len, struct fp_pkt *p);

/* The transport part alone: p->proto, l4_off, end and family stand. */
enum fp_verdict fp_parse_l4(const uint8_t *frame, struct fp_pkt *p);

/* What fp_parse says of the sort of an ICMP message: FP_F_ICMP_ERR, FP_F_ICMP_QUERY or 0. */
uint32_t fp_icmp_sort(uint8_t family, uint8_t type);

const char *fp_punt_text(unsigned punt);

/* Address properties (RFC 6890, 4291), network order. */
bool fp_ip4_src_martian(uint32_t a_be);
bool fp_ip4_dst_martian(uint32_t a_be);
bool fp_ip6_src_martian(const uint8_t a[16]);
bool fp_ip6_dst_martian(const uint8_t a[16]);

static inline bool fp_ip4_multicast(uint32_t a_be)
{
	return (ntohl(a_be) & 0xf0000000) == 0xe0000000;
}

static inline bool fp_ip4_linklocal(uint32_t a_be)
{
	return (ntohl(a_be) & 0xffff0000) == 0xa9fe0000;
}

static inline bool fp_ip6_linklocal(const uint8_t a[16])
{
	return a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
}

#endif
