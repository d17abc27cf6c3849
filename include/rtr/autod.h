/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the messages between rtrd and rtr-autod, which is the DHCPv4 client and sends IPv6 router
 * advertisements. One struct a datagram of a SOCK_SEQPACKET pair, fixed in size, both ends from
 * one build. rtr-autod knows what rtrd told it since its start.
 */
#ifndef RTR_AUTOD_H
#define RTR_AUTOD_H

#include <stdint.h>

#define AUTOD_ROUTES   16
#define AUTOD_DNS      4
#define AUTOD_PREFIXES 8

enum autod_op {
	AUTOD_DHCP_SET = 1, /* new, or from the beginning: with an address, ask for that again */
	AUTOD_DHCP_DEL,     /* and give the lease back */
	AUTOD_RA_SET,
	AUTOD_RA_DEL, /* and say that we are no router any more */
};

struct autod_dhcp {
	uint8_t addr[4]; /* the lease that we think we have; 0 = none */
	uint32_t left_sec;
	char hostname[64];
};

struct autod_prefix {
	uint8_t net[16];
	uint32_t valid_sec, preferred_sec;
	uint8_t len, flags; /* flags: L 0x80, A 0x40 (RFC 4861 section 4.6.2) */
	uint16_t unused;
};

struct autod_ra {
	uint8_t from[16]; /* our link-local address */
	uint8_t hop_limit, flags, n_prefixes, n_dns;
	uint16_t lifetime_sec, max_sec, min_sec, unused;
	uint32_t mtu, dns_sec;
	struct autod_prefix prefixes[AUTOD_PREFIXES];
	uint8_t dns[AUTOD_DNS][16];
};

struct autod_req {
	uint8_t op; /* enum autod_op */
	uint8_t unused;
	uint8_t mac[6];
	int32_t ifindex;
	union {
		struct autod_dhcp dhcp;
		struct autod_ra ra;
	} u;
};
_Static_assert(sizeof(struct autod_req) == 336, "wire format");

enum autod_event_kind {
	AUTOD_BOUND = 1, /* a lease, new or renewed */
	AUTOD_LOST,      /* it ran out, or was taken back */
	AUTOD_DECLINED,  /* mac has addr already: another one is asked for */
};

struct autod_route {
	uint8_t net[4], gw[4];
	uint8_t len, unused[3];
};

struct autod_event {
	uint8_t kind; /* enum autod_event_kind */
	uint8_t len;  /* of the subnet */
	uint8_t n_routes, n_dns;
	int32_t ifindex;
	uint8_t addr[4], server[4];
	uint32_t lease_sec, t1_sec, t2_sec;
	struct autod_route routes[AUTOD_ROUTES];
	uint8_t dns[AUTOD_DNS][4];
	char domain[64];
	uint8_t mac[6], unused[2]; /* DECLINED */
};
_Static_assert(sizeof(struct autod_event) == 308, "wire format");

#endif
