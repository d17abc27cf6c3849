/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: questions to the kernel on behalf of a show command: counters of links, all routes, the
 * route to one destination. The kernel answers inside the system call, so asking does not hold
 * up the loop for longer than the kernel works; a long dump is read in pieces.
 * Owns: a socket of its own a question. Threads: rtrd's loop only. Failure: -errno, for one
 * answer with the kernel's words.
 */
#ifndef RTR_QUERY_H
#define RTR_QUERY_H

#include "strbuf.h"

#include <linux/netlink.h>

struct nl_msg;
struct kdump;

typedef void (*kquery_fn)(void *arg, const struct nlmsghdr *h);

/* A whole dump at once, for short ones (links). Consumes req. */
int kquery_all(struct nl_msg *req, kquery_fn fn, void *arg);
/* One question, one answer. Consumes req; err gets the kernel's words, "" when it has none. */
int kquery_one(struct nl_msg *req, kquery_fn fn, void *arg, struct strbuf *err);

/* A dump in pieces. Consumes req. NULL: *ret_error tells. */
struct kdump *kdump_start(struct nl_msg *req, int *ret_error);
/* Reads the next piece. 1 = more follows, 0 = that was all, -errno. */
int kdump_step(struct kdump *d, kquery_fn fn, void *arg);
struct kdump *kdump_free(struct kdump *d);

#endif
