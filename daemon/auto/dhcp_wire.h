/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: DHCPv4 messages (RFC 2131, 2132, 3396, 3442) in Ethernet frames: written as a client, read
 * from a server. Pure functions. Threads: any. Failure: what is no such frame is refused.
 */
#ifndef RTR_DHCP_WIRE_H
#define RTR_DHCP_WIRE_H

#include "rtr/autod.h"
#include "util.h"

enum dhcp_type {
	DHCP_DISCOVER = 1,
	DHCP_OFFER,
	DHCP_REQUEST,
	DHCP_DECLINE,
	DHCP_ACK,
	DHCP_NAK,
	DHCP_RELEASE,
};

/* Ethernet, IP, UDP, and the 300 bytes that old relays want at least. */
#define DHCP_FRAME_SIZE (14 + 20 + 8 + 548)

struct dhcp_out {
	uint8_t type;
	uint32_t xid;
	uint16_t secs;
	uint8_t mac[6];
	uint8_t to_mac[6]; /* zero: broadcast */
	uint8_t ciaddr[4], requested[4], server[4];
	uint8_t to[4]; /* zero: broadcast */
	const char *hostname;
};

/* Returns the size of the frame. */
size_t dhcp_write(uint8_t frame[DHCP_FRAME_SIZE], const struct dhcp_out *o);

struct dhcp_in {
	uint8_t type;
	uint32_t xid;
	uint8_t from_mac[6], mac[6]; /* mac: chaddr */
	uint8_t yiaddr[4], server[4];
	uint8_t len; /* of the subnet; 32 when not told */
	uint32_t lease_sec, t1_sec, t2_sec;
	uint8_t n_routes, n_dns;
	struct autod_route routes[AUTOD_ROUTES];
	uint8_t dns[AUTOD_DNS][4];
	char domain[64];
};

/* True when frame, of any size and content, is a DHCP answer. */
bool dhcp_read(const uint8_t *frame, size_t size, struct dhcp_in *ret);

#endif
