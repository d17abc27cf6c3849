/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: NPTv6 (RFC 6296): stateless translation of one IPv6 prefix into another of the same
 * length, so that no checksum over the address changes.
 *
 * The difference of the prefixes' sums goes into one 16-bit word of the address: the subnet word
 * for prefixes up to /48, else the first word of the interface id that is not 0xffff. 0xffff as a
 * result becomes 0 (the same number), hence an address whose word is 0xffff already has no
 * translation that leads back: it is refused.
 * Owns: nothing. Threads: any. Failure: NPT_ADDR, the packet unchanged.
 */
#ifndef FP_NPT_H
#define FP_NPT_H

#include "parse.h"

struct fp_npt {
	uint8_t in[8], out[8]; /* prefixes, host bits zero */
	uint8_t mask[8];
	uint8_t len;
	uint16_t adjust_out, adjust_in; /* added to the word, as it lies in memory */
};

/* Prefixes of the inside and the outside, len 1 to 64. 0 or -EINVAL. */
int fp_npt_init(struct fp_npt *n, const uint8_t inside[16], const uint8_t outside[16], uint8_t len);

/* Is the address inside (or, outward false, of the outside prefix)? */
bool fp_npt_match(const struct fp_npt *n, const uint8_t addr[16], bool outward);

/* Translates one address: outward inside -> outside. False: it has no translation. */
bool fp_npt_map(const struct fp_npt *n, uint8_t addr[16], bool outward);

/*
 * Translates a packet: outward its source, inward its destination, and in an ICMPv6 error the
 * quoted address at the other end too. No checksum changes. An address of another prefix stays.
 */
enum rtr_drop fp_npt_apply(uint8_t *frame, const struct fp_pkt *p, const struct fp_npt *n,
			   bool outward);

#endif
