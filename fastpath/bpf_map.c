/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bpf_map.h"
#include "util.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t key_size(const struct fp_bpf_map *m)
{
	return m->key_size ? m->key_size : sizeof(uint32_t);
}

static int open_pinned(const char *path, const struct fp_bpf_map *m)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_obj_get(path), err;

	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!err && (info.type != m->type || info.key_size != key_size(m) ||
		     info.value_size != m->value_size || info.max_entries != m->n))
		err = -EPROTO;
	if (!err)
		return fd;
	close(fd);
	return err;
}

int fp_bpf_map_open(const char *pin_dir, const struct fp_bpf_map *m)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = m->flags);
	char path[PATH_MAX];
	int fd, err;

	if (pin_dir) {
		snprintf(path, sizeof(path), "%s/%s", pin_dir, m->name);
		fd = open_pinned(path, m);
		if (fd != -ENOENT)
			return fd;
	}
	fd = bpf_map_create(m->type, m->name, key_size(m), m->value_size, m->n, &opts);
	if (fd >= 0 && pin_dir) {
		err = bpf_obj_pin(fd, path);
		if (err) {
			close(fd);
			return err;
		}
	}
	return fd;
}

int fp_bpf_map_map(int fd, const struct fp_bpf_map *m, void **ret, size_t *ret_size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = ROUND_UP((size_t)m->n * m->value_size, page);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	*ret_size = size;
	return 0;
}
