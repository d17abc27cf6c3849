/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: interfaces whose packets a test reads and writes. In the test's namespace (netns.h).
 * Owns: nothing; the descriptor is the interface. Threads: one. Failure: a skip, a failed test.
 */
#ifndef RTR_TEST_TUN_H
#define RTR_TEST_TUN_H

#include "util.h"

#include <check.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* At the start of suite(). */
static inline void tun_or_skip(void)
{
	if (access("/dev/net/tun", R_OK | W_OK)) {
		printf("SKIP: needs /dev/net/tun\n");
		exit(77);
	}
}

/* Plain IP packets, without waiting. */
static inline int tun_open(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	rtr_strlcpy(r.ifr_name, name, sizeof(r.ifr_name));
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &r), 0);
	return fd;
}

#endif
