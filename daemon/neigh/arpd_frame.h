/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the frames of rtr-arpd: ARP for IPv4 over Ethernet (RFC 826) read and written, unsolicited
 * neighbour advertisements (RFC 4861) written, questions and their answers, and the socket filters
 * that let through what names one of our addresses, or the one that is asked for. Pure functions.
 * Threads: any. Failure: what is no such frame is refused.
 */
#ifndef RTR_ARPD_FRAME_H
#define RTR_ARPD_FRAME_H

#include "util.h"

#include <linux/filter.h>

#define ARPD_ARP_SIZE 42 /* Ethernet header and ARP packet */
#define ARPD_NA_SIZE  86 /* Ethernet, IPv6, advertisement, link-layer address option */

struct arpd_arp {
	uint16_t op;
	uint8_t sha[6], spa[4], tha[6], tpa[4];
};

/* True when frame, an Ethernet frame of any size and content, is an ARP packet. */
bool arpd_arp_read(const uint8_t *frame, size_t size, struct arpd_arp *ret);

/* RFC 5227 section 1.1: a probe has no sender address, an announcement has ours as sender's and
 * target's. Both are broadcast requests. */
void arpd_arp_write(uint8_t frame[ARPD_ARP_SIZE], const uint8_t mac[6], const uint8_t addr[4],
		    bool probe);
/* To all nodes, Override set (RFC 4861 section 7.2.6). */
void arpd_na_write(uint8_t frame[ARPD_NA_SIZE], const uint8_t mac[6], const uint8_t addr[16],
		   bool router);

/* Who has `target`? ARP to all (sender 0.0.0.0: from nobody), or a solicitation to the target's
 * group (RFC 4861). Returns the frame's size. */
size_t arpd_question_write(uint8_t frame[ARPD_NA_SIZE], const uint8_t mac[6], uint8_t family,
			   const uint8_t *sender, const uint8_t *target);
/* Is the frame, of any size and content, an answer for `target`, and whose? */
bool arpd_answer_read(const uint8_t *frame, size_t size, uint8_t family, const uint8_t *target,
		      uint8_t ret_mac[6]);
/* Passes what may be one. Returns the length. */
#define ARPD_ANSWER_FILTER 16
size_t arpd_answer_filter(struct sock_filter code[ARPD_ANSWER_FILTER], uint8_t family,
			  const uint8_t *target);

/* Addresses that one filter can hold: two instructions each and three a branching, of the 4,096
 * that the kernel takes. */
#define ARPD_FILTER_MAX_ADDRS 1024
/*
 * Passes ARP whose sender's address (of a probe: whose target) is one of `addrs` (sorted, in host
 * order), unless it is from our own MAC address. Returns the length; code has room for
 * ARPD_FILTER_ROOM.
 */
#define ARPD_FILTER_ROOM 4096
size_t arpd_filter(struct sock_filter *code, const uint8_t mac[6], const uint32_t *addrs, size_t n);

#endif
