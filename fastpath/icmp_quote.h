/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: ICMP errors of others that cross a NAT (RFC 5508 section 4): finds the packet that the
 * error quotes, whose tuple names the flow, and translates outer and quoted packet together.
 *
 *	| IP | ICMP 8 bytes | quoted IP | quoted transport ... cut anywhere |
 *
 * Quotes end where the sender's stack, or a hop on the way, cut them: addresses and the first 8
 * bytes of the transport must be there, its checksum need not. Checksums in the quote are adjusted,
 * never judged, as the quoting router may have changed TTL or more. The error's own checksum is
 * judged first (RFC 5508 REQ-3).
 * Owns: nothing. Threads: any. Failure: a drop reason; the packet is then unchanged.
 */
#ifndef FP_ICMP_QUOTE_H
#define FP_ICMP_QUOTE_H

#include "rewrite.h"

struct fp_quote {
	uint16_t ip_off, l4_off; /* from the frame's begin */
	uint16_t avail;          /* bytes of the quote from l4_off on */
	uint8_t family, proto;
	bool ports;    /* sport_be/dport_be hold: not in a later fragment, not without ports */
	bool fragment; /* a later fragment: id below */
	uint32_t frag_id;
	uint16_t frag_hdr_off;       /* IPv6: its fragment header, 0 = none */
	uint16_t sport_be, dport_be; /* as quoted: the direction in which the packet had gone */
};

/* Reads the quote of an ICMP error (FP_F_ICMP_ERR). ICMP_QUOTE: unreadable, or the quoted packet
 * is itself an ICMP error; L4_CSUM: the error itself is damaged. A fragmented error is refused as
 * ICMP_QUOTE. */
enum rtr_drop fp_quote_parse(const uint8_t *frame, const struct fp_pkt *p, struct fp_quote *q);

/* The quoted tuple in flow-key form. */
void fp_quote_tuple4(const uint8_t *frame, const struct fp_quote *q, struct fp_tuple4 *ret);
void fp_quote_tuple6(const uint8_t *frame, const struct fp_quote *q, struct fp_tuple6 *ret);

/*
 * Translates: the quote becomes *quoted, the error itself goes from src to dst. Ports are only
 * written where the quote has them. The new TTL, if any, is not this function's matter.
 */
void fp_quote_nat4(uint8_t *frame, const struct fp_pkt *p, const struct fp_quote *q,
		   const struct fp_tuple4 *quoted, uint32_t src_be, uint32_t dst_be);
void fp_quote_nat6(uint8_t *frame, const struct fp_pkt *p, const struct fp_quote *q,
		   const struct fp_tuple6 *quoted, const uint8_t src[16], const uint8_t dst[16]);

#endif
