/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/helper.h"

#include "system/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

static int epoll_fd;
static uint32_t seed;

uint32_t helper_random(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

int helper_open(int ifindex, uint16_t protocol, const struct sock_fprog *filter)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET,
				   .sll_ifindex = ifindex,
				   .sll_protocol = htons(protocol) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0)
		return -1;
	/* Nothing comes before the bind, which names the protocol. */
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof(*filter)) < 0 ||
	    bind(fd, (struct sockaddr *)&sll, sizeof(sll)) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int helper_wait_ms(uint64_t due, uint64_t now)
{
	if (due == UINT64_MAX)
		return -1;
	return due > now ? (int)MIN((due - now) / NSEC_PER_MSEC + 1, (uint64_t)INT32_MAX) : 0;
}

bool helper_is_started(const char *name)
{
	int type;
	socklen_t size = sizeof(type);

	if (getsockopt(HELPER_RTRD_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	    type == SOCK_SEQPACKET)
		return true;
	fprintf(stderr, "%s: started by rtrd, not by hand\n", name);
	return false;
}

/* After everything else is open: what a frame might talk us into finds no system call. */
static int lock_in(void)
{
	static const int calls[] = {
		SCMP_SYS(setsockopt), SCMP_SYS(bind),       SCMP_SYS(close),
		SCMP_SYS(epoll_ctl),  SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	};

	return sandbox_enter(calls, ARRAY_LEN(calls), AF_PACKET);
}

static int start(const struct helper *h)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = HELPER_RTRD_FD };

	if (!helper_is_started(h->name))
		return -EINVAL;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed) || !seed)
		seed = 1;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, HELPER_RTRD_FD, &ev) < 0)
		return -errno;
	return lock_in();
}

int helper_main(const struct helper *h)
{
	struct epoll_event ev[HELPER_TURN];
	int r = start(h);

	if (r) {
		fprintf(stderr, "%s: %s\n", h->name, strerror(-r));
		return 1;
	}
	for (;;) {
		int n = epoll_wait(epoll_fd, ev, HELPER_TURN, h->run_timers());
		bool rtrd = false;

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == HELPER_RTRD_FD)
				rtrd = true;
			else
				h->take_frames(ev[i].data.fd);
		}
		/* Last: it may close sockets of this round. */
		if (rtrd && !h->take_requests())
			return 0;
	}
}
