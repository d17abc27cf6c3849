/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: translates headers between IPv6 and IPv4 (RFC 7915) for a stateful NAT64 (RFC 6146), and
 * IPv4 addresses inside IPv6 ones (RFC 6052). Which addresses and ports a packet gets is the flow's
 * matter; here they are given.
 *
 * The transport stays where it is in the buffer and new headers are written in front of it, so that
 * nothing is moved:
 *
 *	| L2 | IPv6 40 | ext | transport ... |	->	| (garbage) | IPv4 20 | transport ... |
 *	| L2 | IPv4 20 | transport ... |	->  | IPv6 40 | frag 8? | transport ... |
 *
 * What was in front of IP is lost: fp_l2_apply comes next. ICMP errors are translated with what
 * they quote. TTL is copied: count it down before or after, once. Checksums are adjusted, so that
 * a damaged packet stays damaged; only UDP/IPv4 without checksum gets a computed one, and an ICMP
 * error, whose own checksum has been judged.
 *
 * Toward IPv6 a packet without DF above 1280 - 20 bytes must be cut first, by fp_frag4 with
 * FP_NAT64_FRAG_MTU4 (RFC 7915 section 4).
 * Owns: nothing. Threads: any. Failure: a drop reason; the packet may then be half changed.
 */
#ifndef FP_NAT64_H
#define FP_NAT64_H

#include "rewrite.h"

#define FP_NAT64_FRAG_MTU4 (1280 - 28)

struct fp_nat64_4 {
	struct fp_tuple4 to;     /* of the packet itself; proto is not looked at */
	struct fp_tuple4 quoted; /* of the packet that an ICMP error quotes */
	uint16_t id;             /* IPv4 identification, any counter */
	uint32_t mtu4, mtu6;     /* of the next hops on both sides, for "too big"; 0 = not known */
};

struct fp_nat64_6 {
	struct fp_tuple6 to, quoted;
	uint32_t mtu4, mtu6;
};

/* NAT64_HEADER, NAT64_ICMP, NAT64_FRAG, NAT_PROTO, UDP6_NOCSUM, or what fp_quote_parse says. */
enum rtr_drop fp_nat64_6to4(struct fp_buf *b, struct fp_pkt *p, const struct fp_nat64_4 *t);
/* The same and HEADROOM. */
enum rtr_drop fp_nat64_4to6(struct fp_buf *b, struct fp_pkt *p, const struct fp_nat64_6 *t);

/* RFC 6052 2.2: plen 32, 40, 48, 56, 64 or 96; bits 64 to 71 are zero. */
bool fp_nat64_plen_ok(unsigned plen);
void fp_nat64_embed(const uint8_t prefix[16], unsigned plen, uint32_t v4_be, uint8_t ret[16]);
/* False: the address is not of the prefix. */
bool fp_nat64_extract(const uint8_t prefix[16], unsigned plen, const uint8_t addr[16],
		      uint32_t *ret_v4_be);

#endif
