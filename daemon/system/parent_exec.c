/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/parent_exec.h"

#include "strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "RTR_PARENT_KEEP"
/* Of the text below: an older program's is not understood, and not used. */
#define KEEP_VERSION "1"

char *parent_exec_path(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return NULL;
	path[n] = '\0';
	return xstrdup(path);
}

static void inherit(int fd, bool on)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, on ? 0 : FD_CLOEXEC);
}

static void inherit_all(const struct parent_keep *k, bool on)
{
	inherit(k->lock_fd, on);
	inherit(k->listen_fd, on);
	inherit(k->vrrp_shm_fd, on);
	inherit(k->vrrp_listen_fd, on);
	for (size_t i = 0; i < k->n_held; i++)
		inherit(k->held[i].fd, on);
}

int parent_exec(const char *path, char *const *argv, const struct parent_keep *k)
{
	struct strbuf b = STRBUF_INIT;
	int r;

	strbuf_addf(&b, KEEP_VERSION " %d %d %d %d %d %" PRIu64 " %zu", k->lock_fd, k->listen_fd,
		    (int)k->vrrp_pid, k->vrrp_shm_fd, k->vrrp_listen_fd, k->vrrp_started_ns,
		    k->n_held);
	for (size_t i = 0; i < k->n_held; i++)
		strbuf_addf(&b, " %" PRIu32 " %d", k->held[i].key, k->held[i].fd);
	setenv(VARIABLE, strbuf_str(&b), 1);
	strbuf_fini(&b);
	inherit_all(k, true);
	execv(path, argv);
	r = -errno;
	inherit_all(k, false);
	unsetenv(VARIABLE);
	return r;
}

/* The next number; -1 after the last. */
static int64_t next(char **save)
{
	const char *t = strtok_r(NULL, " ", save);
	char *end;
	long long v;

	if (!t)
		return -1;
	v = strtoll(t, &end, 10);
	return *end ? -1 : v;
}

bool parent_exec_taken(struct parent_keep *k)
{
	const char *env = getenv(VARIABLE);
	char *text = xstrdup(env ? env : ""), *save = NULL;
	const char *version = strtok_r(text, " ", &save);
	bool ok = version && !strcmp(version, KEEP_VERSION);
	size_t n;

	unsetenv(VARIABLE);
	if (ok) {
		*k = (struct parent_keep){ .lock_fd = (int)next(&save) };
		k->listen_fd = (int)next(&save);
		k->vrrp_pid = (pid_t)next(&save);
		k->vrrp_shm_fd = (int)next(&save);
		k->vrrp_listen_fd = (int)next(&save);
		k->vrrp_started_ns = (uint64_t)next(&save);
		n = (size_t)next(&save);
		for (; k->n_held < MIN(n, (size_t)PARENT_MAX_HELD); k->n_held++) {
			k->held[k->n_held].key = (uint32_t)next(&save);
			k->held[k->n_held].fd = (int)next(&save);
		}
		inherit_all(k, false);
		ok = k->lock_fd >= 0 && k->listen_fd >= 0;
	}
	free(text);
	return ok;
}
