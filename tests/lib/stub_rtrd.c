/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrd with its real main(), parent and CLI connections, and the stub session in place of
 * the router: tests of transport, rtrctl and supervision do not depend on any command.
 * A file named `held` in the run folder goes through parent_hold as key 7 at the first start; later
 * ones append its number of held descriptors to it. `refuse` in its place of the configuration
 * makes it end with RTRD_CONFIG.
 */
#include "cli/conn.h"
#include "system/parent.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(arg);
}

static void on_hup(evutil_socket_t fd, short what, void *arg)
{
	const struct rtrd_args *args = arg;

	fprintf(stderr, "stub: SIGHUP\n");
	parent_ready(args->parent_fd);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	const struct rtrd_args *args = arg;

	parent_beat(args->parent_fd);
}

static void try_holding(const struct rtrd_args *args)
{
	char *path = xasprintf("%s/held", args->run_dir);
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	free(path);
	if (fd < 0)
		return;
	if (!args->n_held && parent_hold(args->parent_fd, 7, fd))
		abort();
	for (size_t i = 0; i < args->n_held; i++)
		dprintf(args->held[i].fd, "key %u after %u crashes\n", args->held[i].key,
			args->n_crashes);
	close(fd);
}

int rtrd_main(const struct rtrd_args *args)
{
	struct event_base *base = event_base_new();
	struct timeval tv = { .tv_usec = (suseconds_t)(args->beat_ns / 1000) };
	struct event *ev[4] = { 0 };
	struct conn_server *cli;

	if (!strcmp(args->config, "refuse"))
		return RTRD_CONFIG;
	ev[0] = evsignal_new(base, SIGTERM, on_stop, base);
	ev[1] = evsignal_new(base, SIGHUP, on_hup, (void *)args);
	ev[2] = event_new(base, args->parent_fd, EV_READ, on_stop, base);
	ev[3] = event_new(base, -1, EV_PERSIST, on_beat, (void *)args);
	event_add(ev[0], NULL);
	event_add(ev[1], NULL);
	if (args->parent_fd >= 0)
		event_add(ev[2], NULL);
	if (args->beat_ns)
		event_add(ev[3], &tv);
	try_holding(args);
	cli = conn_server_new(base, args->listen_fd, NULL);
	parent_ready(args->parent_fd);
	event_base_dispatch(base);
	conn_server_free(cli, "rtrd stops");
	for (size_t i = 0; i < ARRAY_LEN(ev); i++)
		event_free(ev[i]);
	event_base_free(base);
	return RTRD_OK;
}

int rtrd_check(const char *path, FILE *out)
{
	fprintf(out, "%s: the stub accepts everything\n", path);
	return RTRD_OK;
}

int rtrd_manual(FILE *out)
{
	return RTRD_OK;
}
