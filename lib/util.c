/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t rtr_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void *check_oom(void *p)
{
	if (!p)
		abort();
	return p;
}

void *xmalloc(size_t size)
{
	return check_oom(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
	return check_oom(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
	return check_oom(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return check_oom(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
	return check_oom(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return check_oom(s);
}

bool rtr_strlcpy(char *dst, const char *src, size_t size)
{
	size_t n = strnlen(src, size);
	bool fits = n < size;

	if (!size)
		return false;
	if (!fits)
		n = size - 1;
	memcpy(dst, src, n);
	dst[n] = '\0';
	return fits;
}

int rtr_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	}
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

static int write_all(int fd, const char *buf, size_t size)
{
	while (size) {
		ssize_t n = write(fd, buf, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		size -= (size_t)n;
	}
	return 0;
}

static int open_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path))
			  : xstrdup(".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : fd;

	free(dir);
	return r;
}

static int fsync_parent(const char *path)
{
	int fd = open_parent(path);
	int r = 0;

	if (fd < 0)
		return fd;
	if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* So that nobody's own copy, "rtrd.conf.backup", is taken for one of these. */
#define TEMP   "~rtr-"
#define RANDOM "XXXXXX"

static int replace_file(const char *path, const void *buf, size_t size, mode_t mode, bool sync,
			bool *ret_replaced)
{
	char *tmp = xasprintf("%s" TEMP RANDOM, path);
	int fd = mkostemp(tmp, O_CLOEXEC);
	int r = 0;

	if (fd < 0) {
		r = -errno;
		goto out;
	}
	r = write_all(fd, buf, size);
	if (!r && fchmod(fd, mode) < 0)
		r = -errno;
	if (!r && sync && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && !r)
		r = -errno;
	if (!r && rename(tmp, path) < 0)
		r = -errno;
	*ret_replaced = !r;
	if (r)
		unlink(tmp);
	else if (sync)
		r = fsync_parent(path);
out:
	free(tmp);
	return r;
}

int rtr_file_replace(const char *path, const void *buf, size_t size, mode_t mode,
		     bool *ret_replaced)
{
	bool replaced = false;
	int r = replace_file(path, buf, size, mode, true, &replaced);

	if (ret_replaced)
		*ret_replaced = replaced;
	return r;
}

int rtr_file_swap(const char *path, const void *buf, size_t size, mode_t mode)
{
	bool replaced;

	return replace_file(path, buf, size, mode, false, &replaced);
}

bool rtr_file_is_temp(const char *name)
{
	size_t n = strlen(name), tail = strlen(TEMP RANDOM);

	return n > tail && !strncmp(name + n - tail, TEMP, strlen(TEMP));
}

void rtr_file_sweep(const char *path)
{
	const char *base = strrchr(path, '/');
	int fd = open_parent(path);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	size_t n;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	base = base ? base + 1 : path;
	n = strlen(base);
	while ((e = readdir(d))) {
		if (!strncmp(e->d_name, base, n) && rtr_file_is_temp(e->d_name) &&
		    strlen(e->d_name + n) == strlen(TEMP RANDOM))
			unlinkat(fd, e->d_name, 0);
	}
	closedir(d);
}

int rtr_file_read(const char *path, size_t max, char **ret_buf, size_t *ret_size)
{
	/* A pipe would block for ever, in open or in read. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *buf = NULL;
	size_t used = 0, room = 0;
	struct stat st;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	for (;;) {
		ssize_t n;

		if (used == room) {
			room = room ? room * 2 : 4096;
			buf = xrealloc(buf, room + 1);
		}
		n = read(fd, buf + used, room - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		used += (size_t)n;
		if (used > max) {
			r = -EFBIG;
			break;
		}
	}
	close(fd);
	if (r) {
		free(buf);
		return r;
	}
	buf[used] = '\0';
	*ret_buf = buf;
	if (ret_size)
		*ret_size = used;
	return 0;
}
