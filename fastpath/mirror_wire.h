/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: ctnetlink messages of the mirror: a flow of the fast plane as the kernel's connection
 * tracking holds it, and reading back what the mirror wrote.
 *
 * The kernel takes translations only as a range to choose from (CTA_NAT_SRC, CTA_NAT_DST), and then
 * alters the reply tuple itself: so the reply is given untranslated, and the range is the one
 * address and port. A TCP entry is liberal in both directions: it has not seen the sequence
 * numbers, and takes over at any of them.
 *
 * Owns: nothing. Threads: any. Failure: none; what cannot be read is skipped (false).
 */
#ifndef FP_MIRROR_WIRE_H
#define FP_MIRROR_WIRE_H

#include "rtr/fastpath.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nlmsghdr;

/* Written by the mirror, and not handed over to the kernel. */
#define FP_MIRROR_LABEL FASTPATH_CT_LABEL
/* A message takes up to 450 bytes: IPv6, both translations, labels. */
#define FP_MIRROR_MSG 512

struct fp_mirror_end {
	uint8_t addr[16]; /* IPv4 in the first four bytes */
	uint16_t port_be;
};

/* As its opener sends; then as answers come in: translated. */
struct fp_mirror_flow {
	uint8_t family, proto; /* AF_INET, AF_INET6 */
	struct fp_mirror_end src, dst, reply_src, reply_dst;
	uint32_t label[4]; /* docs/design/policy.md, and FP_MIRROR_LABEL */
	uint32_t timeout_sec;
	bool unreplied;    /* no answer was seen yet */
	uint8_t tcp_state; /* the kernel's enum tcp_conntrack */
	uint8_t scale[2];  /* TCP's window scales */
};

/* Each fills buf with one message that asks for no acknowledgement; its length. */
size_t fp_mirror_msg_new(void *buf, uint32_t seq, const struct fp_mirror_flow *f);
/* Another timeout (0: as it is) of an entry that is there. */
size_t fp_mirror_msg_renew(void *buf, uint32_t seq, const struct fp_mirror_flow *f);
/* Changes nothing; fails when no entry awaits the flow's answers. The kernel finds an entry by one
 * tuple alone: that of another connection may have the one, of another translation the other. */
size_t fp_mirror_msg_answers(void *buf, uint32_t seq, const struct fp_mirror_flow *f);
/* As renew, and it is the kernel's from now on: without FP_MIRROR_LABEL. */
size_t fp_mirror_msg_release(void *buf, uint32_t seq, const struct fp_mirror_flow *f);
size_t fp_mirror_msg_end(void *buf, uint32_t seq, const struct fp_mirror_flow *f);
/* The kernel's entries of all that the mirror wrote come one by one. */
size_t fp_mirror_msg_dump(void *buf, uint32_t seq);
/* How many entries there are, and may be. */
size_t fp_mirror_msg_count(void *buf, uint32_t seq);

/* An entry of a dump; false: not one of TCP or UDP. */
bool fp_mirror_read(const struct nlmsghdr *h, struct fp_mirror_flow *ret);
bool fp_mirror_read_count(const struct nlmsghdr *h, uint32_t *ret_n, uint32_t *ret_max);

#endif
