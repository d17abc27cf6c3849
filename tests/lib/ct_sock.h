/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: messages of mirror_wire.h to the kernel of the namespace we are in, one by one.
 * Owns: one socket. Threads: one. Failure: ends the test; ct_say returns the kernel's answer.
 */
#ifndef RTR_TEST_CT_SOCK_H
#define RTR_TEST_CT_SOCK_H

#include "fastpath/mirror_wire.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

static int ct_fd = -1;

static inline void ct_open(void)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };

	ct_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	ck_assert_int_ge(ct_fd, 0);
	ck_assert_int_eq(bind(ct_fd, (struct sockaddr *)&self, sizeof(self)), 0);
}

/* 0 or -errno, as the kernel says. */
static inline int ct_say(size_t (*make)(void *buf, uint32_t seq, const struct fp_mirror_flow *f),
			 const struct fp_mirror_flow *f)
{
	union {
		struct nlmsghdr h;
		char b[8192];
	} u;
	size_t len = make(&u, 1, f);

	u.h.nlmsg_flags |= NLM_F_ACK;
	ck_assert_int_eq(send(ct_fd, &u, len, 0), (int)len);
	ck_assert_int_gt(recv(ct_fd, &u, sizeof(u), 0), 0);
	ck_assert_uint_eq(u.h.nlmsg_type, NLMSG_ERROR);
	return ((struct nlmsgerr *)NLMSG_DATA(&u.h))->error;
}

/* All entries that can be read; how many, at most n. */
static inline unsigned ct_list(struct fp_mirror_flow *ret, unsigned n)
{
	union {
		struct nlmsghdr h;
		char b[65536];
	} u;
	size_t len = fp_mirror_msg_dump(&u, 2);
	unsigned found = 0;

	ck_assert_int_eq(send(ct_fd, &u, len, 0), (int)len);
	for (;;) {
		ssize_t got = recv(ct_fd, &u, sizeof(u), 0);
		unsigned left = (unsigned)got;

		ck_assert_int_gt(got, 0);
		for (struct nlmsghdr *h = &u.h; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return found;
			ck_assert_uint_ne(h->nlmsg_type, NLMSG_ERROR);
			if (found < n && fp_mirror_read(h, &ret[found]))
				found++;
		}
	}
}

#endif
