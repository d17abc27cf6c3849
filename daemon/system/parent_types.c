/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parent_types.h"

#include "rtr/ct_types.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long r = syscall(__NR_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static int is_ours(int fd)
{
	char name[sizeof(CT_TYPES_MODULE) + 1] = "";
	struct bpf_btf_info info = { .name = (uintptr_t)name, .name_len = sizeof(name) };
	union bpf_attr attr = { .info = { .bpf_fd = (uint32_t)fd,
					  .info_len = sizeof(info),
					  .info = (uintptr_t)&info } };

	/* -ENOSPC: a longer name, which was cut. */
	return !bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) && info.kernel_btf &&
	       !strcmp(name, CT_TYPES_MODULE);
}

int parent_types_open(void)
{
	union bpf_attr next = { .start_id = 0 };

	for (; !bpf(BPF_BTF_GET_NEXT_ID, &next); next.start_id = next.next_id) {
		union bpf_attr one = { .btf_id = next.next_id };
		int fd = bpf(BPF_BTF_GET_FD_BY_ID, &one);

		if (fd < 0)
			continue; /* unloaded meanwhile */
		if (is_ours(fd))
			return fd;
		close(fd);
	}
	return -ENOENT;
}
