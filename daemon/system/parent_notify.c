/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parent_notify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int sock = -1;
static struct sockaddr_un to;
static socklen_t to_size;
static char *env_path, *env_usec;

static void find_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;

	/* A path, or '@' for the abstract name space; vsock is for virtual machines' hosts. */
	if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	to.sun_family = AF_UNIX;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

uint64_t notify_init(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us = 0, p = 0;

	find_socket();
	if (!usec || rtr_parse_u64(usec, 1, UINT64_MAX / 1000, &us))
		us = 0;
	if (pid && (rtr_parse_u64(pid, 1, INT32_MAX, &p) || (pid_t)p != getpid()))
		us = 0;
	env_path = getenv("NOTIFY_SOCKET") ? xstrdup(getenv("NOTIFY_SOCKET")) : NULL;
	env_usec = usec ? xstrdup(usec) : NULL;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return sock >= 0 ? us * 1000 : 0;
}

void notify_send(const char *state)
{
	if (sock >= 0)
		(void)!sendto(sock, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
			      to_size);
}

void notify_reloading(void)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, rtr_now_ns() / 1000);
	notify_send(state);
}

void notify_export(void)
{
	if (env_path)
		setenv("NOTIFY_SOCKET", env_path, 1);
	if (env_usec)
		setenv("WATCHDOG_USEC", env_usec, 1);
}

void notify_fini(void)
{
	free(env_path);
	free(env_usec);
	env_path = env_usec = NULL;
	if (sock >= 0)
		close(sock);
	sock = -1;
}
