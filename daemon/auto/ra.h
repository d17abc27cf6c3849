/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: IPv6 router advertisements (RFC 4861 section 6.2, RFC 4191, RFC 8106): their frame, when
 * they are due, and the solicitations that ask for one. Pure: time and chance come in.
 * Owns: nothing. Threads: any. Failure: what is no solicitation is refused.
 */
#ifndef RTR_RA_H
#define RTR_RA_H

#include "rtr/autod.h"
#include "util.h"

/* Ethernet, IPv6, advertisement, MAC, MTU, prefixes, name servers. */
#define RA_FRAME_SIZE (14 + 40 + 16 + 8 + 8 + AUTOD_PREFIXES * 32 + 8 + AUTOD_DNS * 16)

/* To all nodes. last: lifetimes zero, we are no router any more. Returns the size. */
size_t ra_write(uint8_t frame[RA_FRAME_SIZE], const uint8_t mac[6], const struct autod_ra *ra,
		bool last);

/* True when frame, of any size and content, is a router solicitation (section 6.1.1). */
bool ra_is_solicitation(const uint8_t *frame, size_t size);

struct ra_timer {
	unsigned sent;
	uint64_t last_ns, next_ns;
	uint32_t (*rnd)(uint32_t below);
};

void ra_begin(struct ra_timer *t, uint64_t now, uint32_t (*rnd)(uint32_t below));
/* True when one is to be sent now; counts it. */
bool ra_due_now(struct ra_timer *t, const struct autod_ra *ra, uint64_t now);
/* A solicitation came: the next one is sent soon, but not more often than every 3 seconds. */
void ra_solicited(struct ra_timer *t, uint64_t now);

#endif
