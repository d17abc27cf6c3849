/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/program.h"

#include "cli/command.h"
#include "system/fdpass.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void hang_up(struct program *p)
{
	if (p->ev_read)
		event_free(p->ev_read);
	if (p->ev_write)
		event_free(p->ev_write);
	p->ev_read = p->ev_write = NULL;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	p->forget();
}

static void start_later(struct program *p)
{
	struct timeval tv = { .tv_sec = p->backoff_ms / 1000,
			      .tv_usec = (suseconds_t)(p->backoff_ms % 1000) * 1000 };

	event_add(p->ev_start, &tv);
	p->backoff_ms = MIN(MAX(p->backoff_ms * 2, p->restart_min_ms), p->restart_max_ms);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct program *p = arg;
	union {
		char bytes[PROGRAM_EVENT_MAX];
		uint64_t align;
	} e;
	ssize_t n = 0;

	for (unsigned i = 0; i < PROGRAM_TURN; i++) {
		n = recv(p->fd, e.bytes, p->event_size, MSG_DONTWAIT | MSG_TRUNC);
		if (n <= 0)
			break;
		p->backoff_ms = 0;
		p->complained = false;
		if ((size_t)n == p->event_size)
			p->take_event(e.bytes);
		if (p->fd < 0)
			return; /* what it said ended it */
	}
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	parent_ended(p->number);
	if (!p->complained)
		p->complain();
	p->complained = true;
	hang_up(p);
	start_later(p);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct program *p = arg;

	p->talk();
}

static void on_start(evutil_socket_t nothing, short what, void *arg)
{
	struct program *p = arg;
	int pair[2], r;

	if (p->fd >= 0)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		start_later(p);
		return;
	}
	r = parent_start(p->number, pair[1]);
	close(pair[1]);
	if (r) {
		close(pair[0]);
		p->no_parent = r == -ENOTCONN;
		if (!p->no_parent)
			start_later(p);
		return;
	}
	p->n_starts++;
	p->fd = pair[0];
	p->ev_read = event_new(cmd_base(), p->fd, EV_READ | EV_PERSIST, on_readable, p);
	p->ev_write = event_new(cmd_base(), p->fd, EV_WRITE, on_writable, p);
	if (!p->ev_read || !p->ev_write)
		abort();
	event_add(p->ev_read, NULL);
	p->talk();
}

int program_init(struct program *p)
{
	assert(p->event_size <= PROGRAM_EVENT_MAX);
	p->fd = -1;
	p->ev_start = evtimer_new(cmd_base(), on_start, p);
	return p->ev_start ? 0 : -ENOMEM;
}

void program_fini(struct program *p)
{
	hang_up(p);
	if (p->ev_start)
		event_free(p->ev_start);
	p->ev_start = NULL;
}

void program_start(struct program *p)
{
	static const struct timeval now = { 0, 0 };

	if (p->fd < 0 && p->ev_start && !evtimer_pending(p->ev_start, NULL))
		event_add(p->ev_start, &now);
}

void program_stop(struct program *p)
{
	if (p->ev_start)
		event_del(p->ev_start);
	p->backoff_ms = 0;
	hang_up(p);
}

bool program_runs(const struct program *p)
{
	return p->ev_read != NULL;
}

bool program_send(struct program *p, const void *msg, size_t size)
{
	return program_send_fd(p, msg, size, -1);
}

bool program_send_fd(struct program *p, const void *msg, size_t size, int fd)
{
	if (!program_runs(p))
		return false;
	if (fd_send(p->fd, msg, size, fd) == (ssize_t)size)
		return true;
	/* Full: go on when it is not. Its end is told by reading. */
	event_add(p->ev_write, NULL);
	return false;
}
