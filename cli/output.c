/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output.h"
#include "term.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void output_start(struct output *o, struct term *t, unsigned length, const char *command)
{
	*o = (struct output){ .paged = t, .command = command, .file = -1 };
	if (t)
		pager_start(&o->pager, t, length);
}

static int write_all(int fd, const char *s, size_t len)
{
	while (len) {
		ssize_t n = write(fd, s, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool fail(struct output *o, const char *what, const char *path, int r)
{
	fprintf(stderr, "%% Cannot %s %s: %s\n", what, path, strerror(-r));
	if (o->file >= 0)
		close(o->file);
	o->file = -1;
	o->failed = o->swallow = true;
	return false;
}

bool output_put(struct output *o, enum clp_stream stream, const char *s, size_t len)
{
	int r;

	if (stream == CLP_STREAM_ERR) {
		if (o->paged)
			term_text(s, len);
		else
			(void)write_all(STDERR_FILENO, s, len);
		return true;
	}
	if (o->swallow)
		return true;
	if (o->file >= 0) {
		r = write_all(o->file, s, len);
		if (r)
			return fail(o, "write", "the file", r);
		if (!o->tee)
			return true;
	}
	if (!o->paged) {
		r = write_all(STDOUT_FILENO, s, len);
		o->swallow = o->failed = r < 0;
		return !o->swallow;
	}
	pager_write(&o->pager, s, len);
	o->swallow = o->pager.quit;
	return !o->swallow;
}

bool output_redirect(struct output *o, enum clp_redirect mode, const char *path)
{
	int flags = mode == CLP_REDIRECT_APPEND ? O_APPEND : O_TRUNC;

	/* rtrctl often runs as root and rtrd does not: only the user names files. */
	if (!o->command || !*path || !strstr(o->command, path))
		return fail(o, "write", path, -EPERM);
	o->file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | flags, 0666);
	if (o->file < 0)
		return fail(o, "open", path, -errno);
	o->tee = mode == CLP_REDIRECT_TEE;
	return true;
}

int output_end(struct output *o, int status)
{
	if (o->paged)
		pager_end(&o->pager);
	/* A full disk or a network file system may say so only now. */
	if (o->file >= 0) {
		int fd = o->file;

		o->file = -1;
		if (close(fd) < 0)
			fail(o, "write", "the file", -errno);
	}
	return o->failed && !status ? 1 : status;
}
