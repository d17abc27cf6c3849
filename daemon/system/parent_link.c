/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parent.h"
#include "parent_queue.h"
#include "system/fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int link_fd = -1;
static const struct rtrd_args *our_args;
static unsigned n_starts[PARENT_PROG__MAX], n_ends[PARENT_PROG__MAX];

void parent_set_args(const struct rtrd_args *args)
{
	our_args = args;
}

const struct rtrd_args *parent_args(void)
{
	return our_args;
}

static int send_request(int parent_fd, enum parent_request request, uint32_t key, int fd)
{
	struct parent_msg msg = { .request = request, .key = key };

	if (parent_fd < 0)
		return 0;
	/* Never blocks: the queue holds far more of these than are ever on their way, and a
	 * parent that does not read is one that systemd's watchdog is about to see. */
	return fd_send(parent_fd, &msg, sizeof(msg), fd) < 0 ? -errno : 0;
}

void parent_ready(int parent_fd)
{
	(void)send_request(parent_fd, PARENT_READY, 0, -1);
}

void parent_beat(int parent_fd)
{
	(void)send_request(parent_fd, PARENT_BEAT, 0, -1);
}

int parent_hold(int parent_fd, uint32_t key, int fd)
{
	return send_request(parent_fd, fd < 0 ? PARENT_DROP : PARENT_HOLD, key, fd);
}

int parent_held(uint32_t key)
{
	for (size_t i = 0; our_args && i < our_args->n_held; i++) {
		if (our_args->held[i].key == key)
			return our_args->held[i].fd;
	}
	return -1;
}

void parent_link_set(int parent_fd)
{
	link_fd = parent_fd;
}

int parent_start(enum parent_prog prog, int fd)
{
	int r = link_fd < 0 ? -ENOTCONN : send_request(link_fd, PARENT_START, prog, fd);

	n_starts[prog] += !r;
	return r;
}

int parent_queue_ask(const struct parent_queue *q, int *ret_fd)
{
	int pair[2], r;

	if (link_fd < 0)
		return -ENOTCONN;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	/* It lies there when the parent gets the other end. */
	r = send(pair[0], q, sizeof(*q), MSG_NOSIGNAL) == sizeof(*q)
		    ? send_request(link_fd, PARENT_QUEUE, 0, pair[1])
		    : -errno;
	close(pair[1]);
	if (r)
		close(pair[0]);
	else
		*ret_fd = pair[0];
	return r;
}

unsigned parent_starts(enum parent_prog prog)
{
	return n_starts[prog];
}

void parent_ended(enum parent_prog prog)
{
	n_ends[prog]++;
}

unsigned parent_ends(enum parent_prog prog)
{
	return n_ends[prog];
}

void parent_want_vrrpd(int parent_fd)
{
	(void)send_request(parent_fd, PARENT_VRRPD, 0, -1);
}
