/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: lowers the maximum segment size that a TCP SYN announces, so that the segments fit a path
 * behind which "packet too big" gets lost. Never raises it; a SYN without the option announces
 * the default (536, 1220), which fits any path that we may forward to.
 * Owns: nothing. Threads: any. Failure: none; options that cannot be read are left alone.
 */
#ifndef FP_MSS_H
#define FP_MSS_H

#include "parse.h"

/* The greatest segment that an MTU carries: less the IP header and 20 bytes of TCP. */
static inline uint16_t fp_mss_of_mtu(uint8_t family, uint32_t mtu)
{
	uint32_t headers = (family == AF_INET6 ? FP_IP6_LEN : FP_IP4_LEN) + 20u;

	return mtu <= headers ? 0 : (uint16_t)(mtu - headers > 0xffff ? 0xffff : mtu - headers);
}

/* True when it changed the packet. max 0 = no limit. */
bool fp_mss_clamp(uint8_t *frame, const struct fp_pkt *p, uint16_t max);

#endif
