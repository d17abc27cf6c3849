/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: cuts an IPv4 packet that is too big for its egress and may be fragmented (RFC 791 3.2,
 * RFC 1812 5.2.6). Fragments of fragments are right too. IPv6 is never cut by a router; a NAT64
 * cuts the IPv4 packet to what the IPv6 side takes and translates the pieces.
 *
 *	struct fp_frag4 f;
 *	why = fp_frag4_init(&f, frame, p, mtu);
 *	while ((len = fp_frag4_next(&f, out, cap)) != 0)
 *		send(out, len);			each from its IP header on
 *
 * The first piece has all options, later ones those whose copy flag is set. Pieces are cut as long
 * as the MTU allows, in order.
 * Owns: nothing; the frame must stay until the last piece. Threads: any. Failure: a drop reason.
 */
#ifndef FP_FRAG_H
#define FP_FRAG_H

#include "parse.h"

struct fp_frag4 {
	const uint8_t *ip, *payload;
	uint32_t mtu;
	uint16_t left, off; /* payload bytes not yet sent; offset of the next in its datagram */
	uint8_t hlen;       /* of the next piece */
	bool more;          /* the packet was itself a fragment with more behind it */
	uint8_t hdr[FP_IP4_MAX_LEN];
};

/* MTU_DF: it must not be fragmented. MTU_SMALL: not even 8 bytes fit behind the header. */
enum rtr_drop fp_frag4_init(struct fp_frag4 *f, const uint8_t *frame, const struct fp_pkt *p,
			    uint32_t mtu);

/* Writes the next piece; its length, at most the MTU. 0 at the end, or when cap is below it. */
uint32_t fp_frag4_next(struct fp_frag4 *f, uint8_t *out, uint32_t cap);

#endif
