/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parent_xt.h"

#include "rtr/xt_names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void answer(int sock)
{
	static const char *const files[XT_NAMES_N] = { XT_NAMES_FILES };
	struct xt_names_answer a = { 0 };
	union {
		char buf[CMSG_SPACE(XT_NAMES_N * sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct iovec iov = { &a, sizeof(a) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[XT_NAMES_N];
	size_t n = 0;

	for (unsigned i = 0; i < XT_NAMES_N; i++) {
		int fd = open(files[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		a.have |= 1u << i;
		fds[n++] = fd;
	}
	if (n) {
		struct cmsghdr *cm = &control.align;

		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, n * sizeof(int));
	}
	/* A program that does not read its answers gets no more of them. */
	sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n)
		close(fds[--n]);
}

int parent_xt_open(int *ret_prog)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	answer(pair[0]);
	*ret_prog = pair[1];
	return pair[0];
}

bool parent_xt_serve(int fd)
{
	char ask;
	ssize_t n = recv(fd, &ask, sizeof(ask), MSG_DONTWAIT);

	if (n > 0)
		answer(fd);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}
