/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the worker: one event loop, the CLI's listener, signals.
 * Owns: the event base and everything on it. Threads: one.
 * Failure: what cannot be set up ends the process with a sentence; its parent decides on a
 * restart. SIGTERM and the parent's death end it cleanly, the kernel is left as it is.
 */
#include "cli/conn.h"
#include "system/parent.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

struct rtrd {
	const struct rtrd_args *args;
	struct event_base *base;
	struct event *term, *intr, *hup, *parent, *beat;
	struct conn_server *cli;
};

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct rtrd *d = arg;

	event_base_loopbreak(d->base);
}

static void on_hup(evutil_socket_t fd, short what, void *arg)
{
	struct rtrd *d = arg;

	parent_ready(d->args->parent_fd);
}

static void on_parent(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	/* The parent sends nothing: readable means that it is gone. */
	if (recv(fd, &byte, 1, MSG_DONTWAIT) == 0)
		on_stop(fd, what, arg);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct rtrd *d = arg;

	parent_beat(d->args->parent_fd);
}

static void watch(struct rtrd *d)
{
	struct timeval tv = { .tv_sec = (time_t)(d->args->beat_ns / NSEC_PER_SEC),
			      .tv_usec = (suseconds_t)(d->args->beat_ns % NSEC_PER_SEC / 1000) };

	d->term = evsignal_new(d->base, SIGTERM, on_stop, d);
	d->intr = evsignal_new(d->base, SIGINT, on_stop, d);
	d->hup = evsignal_new(d->base, SIGHUP, on_hup, d);
	d->parent = event_new(d->base, d->args->parent_fd, EV_READ | EV_PERSIST, on_parent, d);
	d->beat = event_new(d->base, -1, EV_PERSIST, on_beat, d);
	if (!d->term || !d->intr || !d->hup || !d->parent || !d->beat)
		abort();
	event_add(d->term, NULL);
	event_add(d->intr, NULL);
	event_add(d->hup, NULL);
	if (d->args->parent_fd >= 0)
		event_add(d->parent, NULL);
	if (d->args->beat_ns)
		event_add(d->beat, &tv);
}

int rtrd_main(const struct rtrd_args *args)
{
	struct rtrd d = { .args = args, .base = event_base_new() };

	if (!d.base) {
		fprintf(stderr, "rtrd: no event loop: %s\n", strerror(errno));
		return RTRD_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	watch(&d);
	d.cli = conn_server_new(d.base, args->listen_fd, NULL);
	parent_ready(args->parent_fd);
	event_base_dispatch(d.base);
	conn_server_free(d.cli, "rtrd stops");
	event_free(d.term);
	event_free(d.intr);
	event_free(d.hup);
	event_free(d.parent);
	event_free(d.beat);
	event_base_free(d.base);
	return RTRD_OK;
}

int rtrd_check(const char *path, FILE *out)
{
	char *text;
	int r = rtr_file_read(path, 16 << 20, &text, NULL);

	if (r) {
		fprintf(out, "%s: %s\n", path, strerror(-r));
		return RTRD_CONFIG;
	}
	free(text);
	return RTRD_OK;
}
