/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The line to rtr-captured. It is started when a capture is asked for, by the parent. */
#include "capture/capture.h"

#include "cli/command.h"
#include "system/parent.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Messages taken in one turn of the loop. */
#define TURN 128

static struct {
	int fd; /* -1: it does not run */
	struct event *ev;
} k = { .fd = -1 };

bool capture_connected(void)
{
	return k.fd >= 0;
}

void capture_hang_up(void)
{
	if (k.ev)
		event_free(k.ev);
	if (k.fd >= 0)
		close(k.fd);
	k.ev = NULL;
	k.fd = -1;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct captured_event e;
	ssize_t n = 0;

	for (unsigned i = 0; i < TURN && k.fd >= 0; i++) {
		n = recv(k.fd, &e, sizeof(e), MSG_DONTWAIT);
		if (n <= 0)
			break;
		e.text[sizeof(e.text) - 1] = '\0';
		if (n == sizeof(e) && e.id < CAPTURED_MAX)
			capture_event(&e);
	}
	if (n > 0 || k.fd < 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	capture_hang_up();
	capture_lost();
}

static int begin(void)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = parent_start(PARENT_PROG_CAPTURED, pair[1]);
	close(pair[1]);
	if (r) {
		close(pair[0]);
		return r;
	}
	k.fd = pair[0];
	k.ev = event_new(cmd_base(), k.fd, EV_READ | EV_PERSIST, on_readable, NULL);
	if (!k.ev)
		abort();
	event_add(k.ev, NULL);
	return 0;
}

int capture_send(const struct captured_req *q, const int *fds, unsigned n_fds)
{
	struct iovec iov = { (void *)(uintptr_t)q, sizeof(*q) };
	union {
		char buf[CMSG_SPACE(CAPTURED_FILES * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int r = k.fd < 0 ? begin() : 0;

	if (r)
		return r;
	if (n_fds) {
		struct cmsghdr *cm;

		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, n_fds * sizeof(int));
	}
	/* A queue full of requests, which people type: it hangs. */
	return sendmsg(k.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
