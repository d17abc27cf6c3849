/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: generic netlink: a question with its answer, or a write with its acknowledgement. The
 * kernel answers inside the system call, so that neither waits.
 * Owns: one socket for the life of the process. Threads: rtrd's loop only. Failure: -errno, err
 * gets the kernel's words.
 */
#ifndef RTR_GENL_H
#define RTR_GENL_H

#include "kernel/query.h"

/* The number of a family ("ethtool"); 0 when the kernel does not have it. */
uint16_t genl_family(const char *name);
/* A message to a family; for plan_nl too: the send queue knows it by its protocol. */
struct nl_msg *genl_msg(uint16_t family, uint8_t cmd, uint8_t version, size_t room);
bool genl_is(const struct nl_msg *m);
/* Sends m (which stays the caller's). fn (NULL: a write) gets the answers: one, or, with
 * NLM_F_DUMP in its header, all. */
int genl_ask(struct nl_msg *m, kquery_fn fn, void *arg, struct strbuf *err);

#endif
