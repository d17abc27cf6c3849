/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the Internet checksum (RFC 1071): over bytes, over pseudo-headers, by difference
 * (RFC 1624), and the completion of a checksum that a sender's NIC should have finished.
 *
 * Sums are one's complement sums of 16-bit words as they lie in memory; their order does not
 * matter (RFC 1071 section 2B), so nothing is swapped. A sum of 0xffff and one of 0 mean the same
 * number and are different on the wire: a computed checksum is 0xffff only when every byte under
 * it is zero. fp_csum_adjust therefore never returns 0xffff out of nothing: RFC 1624 equation 3.
 * Owns: nothing. Threads: any. Failure: as each line says.
 */
#ifndef FP_CSUM_H
#define FP_CSUM_H

#include "wire.h"

#include <stddef.h>

struct fp_pkt;

/* Sum of size bytes (an odd last byte counts as the high half of a word) added to sum. */
uint64_t fp_csum_add(const void *buf, size_t size, uint64_t sum);

static inline uint16_t fp_csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* Sums of the pseudo-headers; len is the upper-layer length in bytes, host order. */
uint64_t fp_csum_pseudo4(uint32_t src_be, uint32_t dst_be, uint8_t proto, uint32_t len);
uint64_t fp_csum_pseudo6(const uint8_t src[16], const uint8_t dst[16], uint8_t proto, uint32_t len);

/* The IPv4 header checksum of hlen bytes, its own field taken as zero. */
uint16_t fp_csum_ip4(const uint8_t *ip, unsigned hlen);

/* What a change of words adds: keep old -> new in a delta, apply it to as many packets as one
 * likes. The delta of several words is the fold of the sum of their deltas. */
static inline uint16_t fp_csum_delta16(uint16_t old, uint16_t new)
{
	return fp_csum_fold((uint32_t)(uint16_t)~old + new);
}

static inline uint16_t fp_csum_delta(const void *old, const void *new, size_t size)
{
	return fp_csum_fold(fp_csum_add(new, size, 0) +
			    (uint16_t)~fp_csum_fold(fp_csum_add(old, size, 0)));
}

/* RFC 1624 equation 3: HC' = ~(~HC + delta). */
static inline uint16_t fp_csum_adjust(uint16_t check, uint16_t delta)
{
	return (uint16_t)~fp_csum_fold((uint32_t)(uint16_t)~check + delta);
}

/* The same for UDP: 0 on the wire means "no checksum" and stays, a computed 0 is sent as 0xffff
 * (RFC 768). */
static inline uint16_t fp_csum_adjust_udp(uint16_t check, uint16_t delta)
{
	uint16_t c;

	if (check == 0)
		return 0;
	c = fp_csum_adjust(check, delta);
	return c ? c : 0xffff;
}

/* Pseudo-header sum of a parsed packet; 0 for ICMPv4, which has none. */
uint64_t fp_csum_pkt_pseudo(const uint8_t *frame, const struct fp_pkt *p);

/*
 * Is the transport checksum right? True as well where there is nothing to judge: a protocol
 * without a checksum that we know, UDP/IPv4 with 0. A fragment cannot be judged: true.
 */
bool fp_csum_l4_ok(const uint8_t *frame, const struct fp_pkt *p);

/* Does the field hold the pseudo-header's sum only (CHECKSUM_PARTIAL of a local sender that
 * expected its NIC to finish)? */
bool fp_csum_l4_is_partial(const uint8_t *frame, const struct fp_pkt *p);

/*
 * Computes the transport checksum over pseudo-header and payload and stores it. False when the
 * packet has none that could be computed: fragment, other protocol. A packet whose valid checksum
 * happens to look partial comes out unchanged.
 */
bool fp_csum_l4_fill(uint8_t *frame, const struct fp_pkt *p);

#endif
