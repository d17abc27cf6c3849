/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: changes a parsed packet in place: TTL, addresses, ports and ICMP ids with their checksums,
 * and the headers in front of IP.
 *
 * A translation is prepared once a flow (fp_nat4_init: final values and checksum deltas) and then
 * costs a few stores and two additions a packet. It fits every packet of its flow, fragments too:
 * a later fragment has only addresses and the IP checksum to change, the checksum in the first one
 * covers the whole datagram and is adjusted as any other (RFC 1624).
 *
 * A packet whose checksum was left to the NIC must be completed first: fp_csum_l4_fill.
 * ICMP errors go through icmp_err.h: their quote is translated with them.
 * Owns: nothing. Threads: any. Failure: a drop reason; the packet is then unchanged.
 */
#ifndef FP_REWRITE_H
#define FP_REWRITE_H

#include "parse.h"

/* A frame in its buffer: bytes in front of it and behind it that may be used. */
struct fp_buf {
	uint8_t *data;
	uint32_t len, headroom, tailroom;
};

struct fp_tuple4 {
	uint32_t src_be, dst_be;
	uint16_t sport_be, dport_be; /* an ICMP query has its id in both */
	uint8_t proto;
};

struct fp_tuple6 {
	uint8_t src[16], dst[16];
	uint16_t sport_be, dport_be;
	uint8_t proto;
};

struct fp_nat4 {
	uint32_t src_be, dst_be;
	uint16_t sport_be, dport_be;
	uint16_t ip_delta, l4_delta;
};

struct fp_nat6 {
	uint8_t src[16], dst[16];
	uint16_t sport_be, dport_be;
	uint16_t l4_delta;
};

/* NAT_PROTO where ports change in a protocol that we cannot repair: SCTP (CRC over all of the
 * packet, the kernel's to do) and those without ports. */
enum rtr_drop fp_nat4_init(struct fp_nat4 *n, const struct fp_tuple4 *from,
			   const struct fp_tuple4 *to);
enum rtr_drop fp_nat6_init(struct fp_nat6 *n, const struct fp_tuple6 *from,
			   const struct fp_tuple6 *to);

/* Rewrites the frame and the ports in *p. NAT_ICMP for an ICMP error; UDP6_NOCSUM for UDP/IPv6
 * without checksum, since nothing protects a translated address (RFC 8200 8.1). */
enum rtr_drop fp_nat4_apply(uint8_t *frame, struct fp_pkt *p, const struct fp_nat4 *n);
enum rtr_drop fp_nat6_apply(uint8_t *frame, struct fp_pkt *p, const struct fp_nat6 *n);

/* One hop less. Only for FP_V_FORWARD: the TTL is above 1. */
void fp_ttl_dec(uint8_t *frame, struct fp_pkt *p);

/* Sets DSCP, keeps ECN. */
void fp_dscp_set(uint8_t *frame, struct fp_pkt *p, uint8_t dscp);

/* Everything in front of IP for one adjacency. */
struct fp_l2 {
	uint8_t hdr[FP_ETH_LEN + 2 * 4 + FP_PPPOE_LEN];
	uint8_t len;
	uint8_t pppoe_off; /* 0 = none */
};

struct fp_l2_spec {
	uint8_t dst[6], src[6];
	uint8_t n_vlan;
	uint16_t vlan_tci[2], vlan_proto[2]; /* outer first, host order; proto 0 = 802.1Q */
	bool pppoe;
	uint16_t pppoe_session;
};

void fp_l2_init(struct fp_l2 *l2, const struct fp_l2_spec *spec);

/*
 * Puts new headers in front of IP: the frame begins elsewhere in its buffer afterwards and *p
 * follows. Old padding is cut; a frame below the 60 bytes of Ethernet is padded with zeros, so
 * that no byte of an older frame leaves. HEADROOM when the buffer is too small.
 */
enum rtr_drop fp_l2_apply(struct fp_buf *b, struct fp_pkt *p, const struct fp_l2 *l2);

#endif
