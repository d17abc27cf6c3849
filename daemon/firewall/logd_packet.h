/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a message of the kernel about a logged packet (NFLOG) becomes a record. Of the packet fixed
 * places of the headers are looked at: addresses, protocol, ports, type of ICMP; all else is left
 * alone. Owns: nothing. Threads: any; pure. Failure: what is too short to be read has family 0.
 */
#ifndef RTR_LOGD_PACKET_H
#define RTR_LOGD_PACKET_H

#include "rtr/logd.h"

#include <stdbool.h>
#include <stddef.h>

/* Fills what the packet says; false when it is too short or of no family. */
bool logd_packet(const uint8_t *b, size_t n, struct logd_event *ret);

struct nlmsghdr;
/* A whole message; false: it is not about a packet. */
bool logd_message(const struct nlmsghdr *h, struct logd_event *ret);

#endif
