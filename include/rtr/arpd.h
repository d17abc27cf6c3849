/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the messages between rtrd and rtr-arpd, which announces the router's addresses, looks
 * for other hosts with its IPv4 addresses (RFC 5227), and asks who has an address (diag/whohas.h).
 * One struct a datagram of a SOCK_SEQPACKET pair, fixed in size, both ends from one build. rtr-arpd
 * knows what rtrd told it since its start.
 */
#ifndef RTR_ARPD_H
#define RTR_ARPD_H

#include <stdint.h>

enum arpd_mode {
	ARPD_ANNOUNCE, /* announce alone */
	ARPD_DEFEND,   /* in use: announce, probe beside it, defend */
	ARPD_STRICT,   /* probe, tell that it may be used, announce, defend */
};

enum arpd_op {
	ARPD_SET = 1, /* new, or new in something: starts from the beginning */
	ARPD_DEL,
	ARPD_ASK, /* who has addr, on ifindex? The first of a serial opens an ear on all links */
	ARPD_ASK_END, /* of the serial; who asks too often, or for too long, is cut off */
};

struct arpd_req {
	uint8_t op;     /* enum arpd_op */
	uint8_t mode;   /* enum arpd_mode */
	uint8_t family; /* AF_INET, AF_INET6 */
	uint8_t router; /* IPv6: the R flag of advertisements */
	int32_t ifindex;
	uint8_t addr[16]; /* IPv4: the first four bytes */
	uint8_t mac[6];   /* ours on that interface */
	uint16_t n_announce;
	uint32_t announce_ms;
	/* ASK: */
	uint32_t serial;
	uint8_t sender[16]; /* our address there; IPv4: none is 0.0.0.0 */
};
_Static_assert(sizeof(struct arpd_req) == 56, "wire format");

enum arpd_event_kind {
	ARPD_PASSED = 1, /* nobody else has it: with ARPD_STRICT it may be used from now on */
	ARPD_CONFLICT,   /* somebody else has it; at most one message an address in 10 s */
	ARPD_ANSWER,     /* mac says on ifindex that it has what was asked for */
	ARPD_REFUSED,    /* too many addresses, or the interface cannot be opened */
};

struct arpd_event {
	uint8_t kind;     /* enum arpd_event_kind */
	uint8_t defended; /* CONFLICT: answered by an announcement */
	uint8_t mac[6];   /* CONFLICT, ANSWER: whose */
	int32_t ifindex;
	uint8_t addr[4];
	uint32_t n_conflicts; /* frames so far */
	uint32_t serial;      /* ANSWER */
};
_Static_assert(sizeof(struct arpd_event) == 24, "wire format");

#endif
