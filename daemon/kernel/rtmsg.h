/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: building rtnetlink messages with libnl's nlmsg and nla calls (its route objects lack what
 * we need and cost ten times as much). Owns: the message is the caller's until plan_nl takes it.
 * Threads: any. Failure: a message that outgrows its room aborts; sizes are fixed by the callers.
 */
#ifndef RTR_RTMSG_H
#define RTR_RTMSG_H

#include "prefix.h"

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>

/* Room for a link or an address with all that we ever say about it. */
#define RTMSG_SIZE 1024

static inline struct nl_msg *rtmsg_new(int type, int flags, const void *hdr, size_t size,
				       size_t room)
{
	struct nl_msg *m = nlmsg_alloc_size(room);

	if (!m || !nlmsg_put(m, 0, 0, type, 0, flags) ||
	    nlmsg_append(m, (void *)(uintptr_t)hdr, size, NLMSG_ALIGNTO))
		abort();
	return m;
}

static inline void rtmsg_put(struct nl_msg *m, int attr, const void *data, size_t size)
{
	if (nla_put(m, attr, (int)size, data))
		abort();
}

static inline void rtmsg_u32(struct nl_msg *m, int attr, uint32_t v)
{
	rtmsg_put(m, attr, &v, sizeof(v));
}

static inline void rtmsg_text(struct nl_msg *m, int attr, const char *s)
{
	rtmsg_put(m, attr, s, strlen(s) + 1);
}

static inline void rtmsg_addr(struct nl_msg *m, int attr, const struct rtr_addr *a)
{
	rtmsg_put(m, attr, a->b, rtr_family_size(a->family));
}

static inline struct nlattr *rtmsg_nest(struct nl_msg *m, int attr)
{
	struct nlattr *n = nla_nest_start(m, attr);

	if (!n)
		abort();
	return n;
}

#endif
