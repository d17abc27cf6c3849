/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: between the two files of nat64: an ICMP error's first 8 bytes are turned into the other
 * family's, checksum left alone. mtu4 and mtu6 as in nat64.h.
 * Owns: nothing. Threads: any. Failure: NAT64_ICMP for what has no counterpart.
 */
#ifndef FP_NAT64_INT_H
#define FP_NAT64_INT_H

#include "nat64.h"

/* quoted_total: length of the quoted packet, for a "fragmentation needed" that names no MTU. */
enum rtr_drop nat64_error_46(uint8_t h[8], uint32_t quoted_total, uint32_t mtu4, uint32_t mtu6);
enum rtr_drop nat64_error_64(uint8_t h[8], uint32_t mtu4, uint32_t mtu6);

#endif
