/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: how rtr-fastpath comes by the lists of legacy iptables' tables, which only root may open.
 * Descriptor XT_NAMES_FD of it is a SOCK_SEQPACKET socket to rtrd's root parent. A datagram of one
 * byte asks; the answer is struct xt_names_answer with a descriptor (SCM_RIGHTS) for each file
 * that could be opened, in their order. One answer is there from the start.
 */
#ifndef RTR_XT_NAMES_H
#define RTR_XT_NAMES_H

#include <stdint.h>

#define XT_NAMES_FD 4
#define XT_NAMES_N  2
/* Of the namespace of who opens them. They are there when the kernel has ip_tables, ip6_tables. */
#define XT_NAMES_FILES                                                                             \
	"/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"

struct xt_names_answer {
	uint32_t have; /* bit i: the descriptor of file i is there */
};

#endif
