/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: VRRP adverts as bytes: VRRPv2 (RFC 3768) for IPv4, VRRPv3 (RFC 9568) for both families;
 * and the frames that tell hosts and switches where an address is now: gratuitous ARP,
 * unsolicited neighbour advertisements.
 * Owns: nothing; all buffers are the caller's. Threads: any. Failure: a parser returns the reason
 * to drop; nothing is read beyond the length given.
 *
 *	v3   | ver 3, type 1 | VRID | priority | count | rsvd, interval (cs, 12 bits) | checksum |
 *	     | addresses ...                                                                     |
 *	v2   | ver 2, type 1 | VRID | priority | count | auth type | interval (s)     | checksum |
 *	     | addresses ... | authentication data, 8 bytes                                      |
 */
#ifndef RTR_VRRP_PACKET_H
#define RTR_VRRP_PACKET_H

#include "prefix.h"
#include "rtr/vrrp.h"

#define VRRP_PROTO    112
#define VRRP_TTL      255
#define VRRP_HDR      8
#define VRRP_AUTH_LEN 8
/* Of a whole frame: Ethernet, IPv6, header, addresses, authentication. */
#define VRRP_FRAME_MAX (14 + 40 + VRRP_HDR + 16 * VRRP_MAX_ADDRS + VRRP_AUTH_LEN)

/* How an advert arrived. */
struct vrrp_rx {
	uint8_t family, ttl;
	struct rtr_addr src, dst;
	const uint8_t *data; /* the VRRP message */
	size_t size;
};

enum vrrp_sum { VRRP_SUM_PLAIN, VRRP_SUM_PSEUDO };

struct vrrp_advert {
	uint8_t version, vrid, prio, n_addrs;
	uint8_t auth_type;
	uint8_t auth[VRRP_AUTH_LEN];
	uint8_t sum; /* enum vrrp_sum: what made the checksum right */
	uint16_t adver_cs;
	const uint8_t *addrs; /* n_addrs of the family's size, in the received bytes */
};

/* Checks all that can be checked without a configuration. VRRP_D_NONE, or why to drop it. */
enum vrrp_drop vrrp_parse(const struct vrrp_rx *rx, struct vrrp_advert *ret);

/* Reads the IPv4 header in front of a message, as a raw socket delivers it. False: none. */
bool vrrp_parse_ip4(const uint8_t *pkt, size_t size, struct vrrp_rx *ret);

/* What to say. */
struct vrrp_say {
	uint8_t family, version, vrid, prio, sum;
	uint16_t adver_cs;
	struct rtr_addr src, dst; /* for the checksum */
	const struct rtr_addr *addrs;
	unsigned n_addrs;
	bool has_auth;
	uint8_t auth[VRRP_AUTH_LEN];
};

/* Writes the message to buf (VRRP_FRAME_MAX is enough); its size. */
size_t vrrp_build(const struct vrrp_say *s, uint8_t *buf);

/* The multicast group of a family. */
struct rtr_addr vrrp_group_addr(uint8_t family);
/* 00-00-5e-00-01-VRID, for IPv6 00-00-5e-00-02-VRID. */
void vrrp_virtual_mac(uint8_t family, uint8_t vrid, uint8_t mac[6]);

/* Whole Ethernet frames; each returns the size. */
size_t vrrp_frame_advert(const struct vrrp_say *s, const uint8_t mac[6], uint8_t *buf);
size_t vrrp_frame_garp(const struct rtr_addr *a, const uint8_t mac[6], uint8_t *buf);
size_t vrrp_frame_na(const struct rtr_addr *a, const uint8_t mac[6], uint8_t *buf);
/* Asks for target's MAC as src with this MAC. */
size_t vrrp_frame_ns(const struct rtr_addr *target, const struct rtr_addr *src,
		     const uint8_t mac[6], uint8_t *buf);

/* Skew_Time and Active_Down_Interval of a backup with this priority. */
uint64_t vrrp_skew_ns(uint8_t version, uint8_t prio, uint64_t adver_ns);
uint64_t vrrp_down_ns(uint8_t version, uint8_t prio, uint64_t adver_ns);

#endif
