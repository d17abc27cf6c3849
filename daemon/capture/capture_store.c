/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The folder of captures: definitions, packets, exports. */
#include "capture/capture.h"

#include "system/parent.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MODE 0640
/* For group rtradmin, whose members alone may pass the folder and are in no group of ours. */
#define EXPORT_MODE 0644
/* Of the file system, left to others: a full disk would take rtrd's own files along. */
#define LEAVE_PERCENT 5
#define DEF_MAX_BYTES 8192
#define SUFFIX        ".pcapng"

const char *capture_folder(void)
{
	static char path[PATH_MAX];

	if (!parent_args() || !parent_args()->state_dir)
		return NULL;
	if (!*path) {
		snprintf(path, sizeof(path), "%s/captures", parent_args()->state_dir);
		/* The parent has made it, for group rtradmin; without a parent it is our own. */
		(void)!mkdir(path, 0750);
	}
	return path;
}

static int folder_fd(void)
{
	const char *path = capture_folder();
	int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd >= 0 ? fd : path ? -errno : -ENOENT;
}

static void file_name(const char *name, const char *what, char buf[NAME_MAX + 1])
{
	snprintf(buf, NAME_MAX + 1, ".%s.%s", name, what);
}

static const char *number(unsigned i)
{
	static const char *const text[CAPTURED_FILES] = { "0", "1", "2", "3" };

	return text[i];
}

int capture_files_open(const struct capture_def *d, int fds[CAPTURED_FILES], unsigned *ret_n)
{
	unsigned n = d->rotate ? CAPTURED_FILES : 1;
	int dir = folder_fd(), r = dir < 0 ? dir : 0;
	char name[NAME_MAX + 1];

	for (unsigned i = 0; i < n && !r; i++) {
		file_name(d->name, number(i), name);
		fds[i] = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, MODE);
		if (fds[i] >= 0)
			continue;
		r = -errno;
		while (i--)
			close(fds[i]);
		break;
	}
	if (dir >= 0)
		close(dir);
	*ret_n = r ? 0 : n;
	return r;
}

void capture_files_remove(const struct capture_def *d)
{
	int dir = folder_fd();
	char name[NAME_MAX + 1];

	if (dir < 0)
		return;
	for (unsigned i = 0; i < CAPTURED_FILES; i++) {
		file_name(d->name, number(i), name);
		unlinkat(dir, name, 0);
	}
	file_name(d->name, "json", name);
	unlinkat(dir, name, 0);
	close(dir);
}

/* ---- definitions ---- */

int capture_def_save(const struct capture_entry *e)
{
	const struct capture_def *d = &e->def;
	json_t *o = json_pack(
		"{s:s,s:s,s:s,s:i,s:b,s:I,s:I,s:I,s:I,s:b,s:i,s:I,s:I,s:I,s:I}", "name", d->name,
		"interface", d->ifname, "filter", d->filter, "direction", (int)d->dir, "rotate",
		d->rotate, "snap_length", (json_int_t)d->snap, "packets", (json_int_t)d->packets,
		"size_mb", (json_int_t)d->size_mb, "seconds", (json_int_t)d->seconds, "ever",
		e->ever, "end", e->running ? CAPTURED_END_RESTART : (int)e->end, "started",
		(json_int_t)e->started, "stopped", (json_int_t)e->stopped, "seen",
		(json_int_t)e->figures.seen, "dropped", (json_int_t)e->figures.dropped);
	char *text = o ? json_dumps(o, 0) : NULL, *path;
	char name[NAME_MAX + 1];
	int r = -ENOENT;

	file_name(d->name, "json", name);
	path = xasprintf("%s/%s", capture_folder() ? capture_folder() : "", name);
	if (capture_folder() && text)
		r = rtr_file_swap(path, text, strlen(text), MODE);
	json_decref(o);
	free(text);
	free(path);
	return r;
}

static void text_into(const json_t *o, const char *key, char *buf, size_t size)
{
	const char *s = json_string_value(json_object_get(o, key));

	rtr_strlcpy(buf, s ? s : "", size);
}

static json_int_t int_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static bool read_def(const char *path, struct capture_entry *e)
{
	struct capture_def *d = &e->def;
	char *text = NULL;
	size_t size;
	json_t *o;

	if (rtr_file_read(path, DEF_MAX_BYTES, &text, &size))
		return false;
	o = json_loads(text, 0, NULL);
	free(text);
	text_into(o, "name", d->name, sizeof(d->name));
	text_into(o, "interface", d->ifname, sizeof(d->ifname));
	text_into(o, "filter", d->filter, sizeof(d->filter));
	d->dir = (uint8_t)int_of(o, "direction");
	d->rotate = json_is_true(json_object_get(o, "rotate"));
	d->snap = (uint32_t)int_of(o, "snap_length");
	d->packets = (uint32_t)int_of(o, "packets");
	d->size_mb = (uint32_t)int_of(o, "size_mb");
	d->seconds = (uint32_t)int_of(o, "seconds");
	e->ever = json_is_true(json_object_get(o, "ever"));
	e->end = (uint8_t)MIN(int_of(o, "end"), (json_int_t)CAPTURED_END__MAX - 1);
	e->started = int_of(o, "started");
	e->stopped = int_of(o, "stopped");
	e->figures.seen = (uint64_t)int_of(o, "seen");
	e->figures.dropped = (uint64_t)int_of(o, "dropped");
	json_decref(o);
	return *d->name && *d->ifname && d->snap && d->size_mb && d->dir <= CAPTURED_OUT;
}

void capture_defs_load(void (*fn)(const struct capture_entry *e))
{
	DIR *dir = capture_folder() ? opendir(capture_folder()) : NULL;
	const struct dirent *de;

	while (dir && (de = readdir(dir))) {
		size_t n = strlen(de->d_name);
		struct capture_entry e = { .used = true };
		char *path, own[NAME_MAX + 1];

		if (n < 7 || de->d_name[0] != '.' || strcmp(de->d_name + n - 5, ".json") != 0)
			continue;
		path = xasprintf("%s/%s", capture_folder(), de->d_name);
		if (read_def(path, &e)) {
			file_name(e.def.name, "json", own);
			if (!strcmp(own, de->d_name))
				fn(&e);
		}
		free(path);
	}
	if (dir)
		closedir(dir);
}

/* ---- room ---- */

uint64_t capture_free_bytes(void)
{
	struct statvfs v;
	uint64_t leave;

	if (!capture_folder() || statvfs(capture_folder(), &v) < 0)
		return 0;
	leave = (uint64_t)v.f_blocks * LEAVE_PERCENT / 100;
	return v.f_bavail > leave ? (v.f_bavail - leave) * (uint64_t)v.f_frsize : 0;
}

/* ---- exports ---- */

bool capture_export_name(const char *typed, char name[NAME_MAX + 1])
{
	size_t n = strlen(typed), end = sizeof(SUFFIX) - 1;

	if (!n || n > 64 || typed[0] == '.' || typed[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)typed[i]) && !strchr("._-", typed[i]))
			return false;
	}
	snprintf(name, NAME_MAX + 1, "%s%s", typed,
		 n > end && !strcmp(typed + n - end, SUFFIX) ? "" : SUFFIX);
	return true;
}

int capture_export_open(const char *name)
{
	int dir = folder_fd(), fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
	if (fd < 0)
		fd = -errno;
	else
		(void)fchmod(fd, EXPORT_MODE);
	close(dir);
	return fd;
}

int capture_export_remove(const char *name)
{
	int dir = folder_fd(), r;

	if (dir < 0)
		return dir;
	r = unlinkat(dir, name, 0) < 0 ? -errno : 0;
	close(dir);
	return r;
}

json_t *capture_exports(void)
{
	DIR *dir = capture_folder() ? opendir(capture_folder()) : NULL;
	json_t *out = json_array();
	const struct dirent *de;
	struct stat st;

	while (dir && (de = readdir(dir))) {
		if (de->d_name[0] == '.' ||
		    fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode))
			continue;
		json_array_append_new(out, json_pack("{s:s,s:I,s:I}", "file", de->d_name, "bytes",
						     (json_int_t)st.st_size, "time",
						     (json_int_t)st.st_mtime));
	}
	if (dir)
		closedir(dir);
	return out;
}
