/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: fields of frames at any alignment, and the numbers of the protocols that stages share.
 * Loads return host order unless the name ends in _be; every caller has checked the length before.
 * Owns: nothing. Threads: any. Failure: none.
 */
#ifndef FP_WIRE_H
#define FP_WIRE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FP_ETH_LEN     14
#define FP_IP4_LEN     20
#define FP_IP4_MAX_LEN 60
#define FP_IP6_LEN     40
#define FP_FRAG6_LEN   8
#define FP_TAG_LEN     4 /* 802.1Q */
#define FP_PPPOE_LEN   8 /* session header and PPP protocol */
#define FP_ICMP_LEN    8

enum fp_ethertype {
	FP_ETH_IP4 = 0x0800,
	FP_ETH_ARP = 0x0806,
	FP_ETH_VLAN = 0x8100,
	FP_ETH_IP6 = 0x86dd,
	FP_ETH_PPPOE = 0x8864,
	FP_ETH_QINQ = 0x88a8,
	FP_ETH_QINQ_OLD = 0x9100,
};

#define FP_PPP_IP4 0x0021
#define FP_PPP_IP6 0x0057

#define FP_IP4_DF       0x4000u
#define FP_IP4_MF       0x2000u
#define FP_IP4_OFF_MASK 0x1fffu

#define FP_TCP_CSUM  16
#define FP_UDP_CSUM  6
#define FP_ICMP_CSUM 2

#define FP_TCP_FIN 0x01
#define FP_TCP_SYN 0x02
#define FP_TCP_RST 0x04
#define FP_TCP_ACK 0x10

enum fp_icmp4 {
	FP_ICMP4_ECHO_REPLY = 0,
	FP_ICMP4_UNREACH = 3,
	FP_ICMP4_QUENCH = 4,
	FP_ICMP4_REDIRECT = 5,
	FP_ICMP4_ECHO = 8,
	FP_ICMP4_TIME = 11,
	FP_ICMP4_PARAM = 12,
	FP_ICMP4_TSTAMP = 13,
	FP_ICMP4_MASK_REPLY = 18,
	FP_ICMP4_CODE_FRAG_NEEDED = 4,
};

enum fp_icmp6 {
	FP_ICMP6_UNREACH = 1,
	FP_ICMP6_TOO_BIG = 2,
	FP_ICMP6_TIME = 3,
	FP_ICMP6_PARAM = 4,
	FP_ICMP6_ECHO = 128,
	FP_ICMP6_ECHO_REPLY = 129,
	FP_ICMP6_RS = 133,
	FP_ICMP6_REDIRECT = 137,
};

static inline uint16_t fp_ld16_be(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t fp_ld32_be(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint16_t fp_ld16(const void *p)
{
	return ntohs(fp_ld16_be(p));
}

static inline uint32_t fp_ld32(const void *p)
{
	return ntohl(fp_ld32_be(p));
}

static inline void fp_st16_be(void *p, uint16_t v_be)
{
	memcpy(p, &v_be, sizeof(v_be));
}

static inline void fp_st32_be(void *p, uint32_t v_be)
{
	memcpy(p, &v_be, sizeof(v_be));
}

static inline void fp_st16(void *p, uint16_t v)
{
	fp_st16_be(p, htons(v));
}

static inline void fp_st32(void *p, uint32_t v)
{
	fp_st32_be(p, htonl(v));
}

/* Is the protocol's checksum over a pseudo-header, and where in the header does it lie? -1: no. */
static inline int fp_l4_csum_off(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return FP_TCP_CSUM;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return FP_UDP_CSUM;
	case IPPROTO_ICMPV6:
		return FP_ICMP_CSUM;
	default:
		return -1;
	}
}

#endif
