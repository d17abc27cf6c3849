/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the messages between rtrd and rtr-logd, which reads the packets that lines with `log`
 * decided. One struct a datagram of a SOCK_SEQPACKET pair, fixed in size, both ends from one build.
 * rtrd's one message brings the kernel's socket (SCM_RIGHTS), bound and configured; rtr-logd can
 * open none. Then each message of the kernel becomes one of ours, in their order.
 */
#ifndef RTR_LOGD_H
#define RTR_LOGD_H

#include <stdint.h>

/* Before the rule's number, in hexadecimal, in the prefix of a log. */
#define LOGD_PREFIX "rtr "

struct logd_req {
	uint32_t op; /* LOGD_SOCKET */
};
#define LOGD_SOCKET 1u

/* Ports and addresses in network order. */
struct logd_event {
	uint32_t rule;    /* that the kernel names; 0: no rule of ours */
	uint32_t seq;     /* the kernel's count of messages: a gap was lost */
	uint32_t ifindex; /* that the packet came by; 0: none */
	uint8_t family;   /* AF_INET, AF_INET6; 0: the packet cannot be read */
	uint8_t proto;
	uint8_t icmp_type, icmp_code;
	uint16_t sport, dport; /* 0: it has none, or they are not in this fragment */
	uint8_t src[16], dst[16];
};
_Static_assert(sizeof(struct logd_event) == 52, "wire format");

#endif
