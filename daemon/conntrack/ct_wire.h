/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: ctnetlink messages: building requests, reading entries. For the files of this folder.
 * By libmnl, not libnetfilter_conntrack: that library (1.0.9) keeps one ICMP id an entry, so that
 * a translated one cannot be shown, builds requests without the entry's id, so that the successor
 * of an entry would be deleted in its place, and knows no tuple, zone or status filters of dumps.
 * Owns: nothing. Threads: any. Failure: what cannot be read is skipped (false).
 */
#ifndef RTR_CT_WIRE_H
#define RTR_CT_WIRE_H

#include "conntrack/ct.h"

#include <linux/netlink.h>

/* A request with a tuple, zone, id and labels takes about 200 bytes. */
#define CT_REQUEST_SIZE 512

/* CTA_TUPLE_ORIG and, when there is one, CTA_ZONE. */
void ct_wire_tuple(struct nlmsghdr *h, const struct ct_tuple *t);
/* The part of f that the kernel can do. */
void ct_wire_filter(struct nlmsghdr *h, const struct ct_filter *f);
bool ct_wire_entry(const struct nlmsghdr *h, struct ct_entry *ret);
/* A netlink socket for conntrack with close-on-exec and large buffers, or -errno. */
int ct_wire_socket(int flags);

#endif
