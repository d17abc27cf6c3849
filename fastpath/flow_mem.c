/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow_mem.h"
#include "util.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_PAIRS (1u << 25)

static const struct {
	const char *name;
	uint32_t size; /* of an element */
} regions[FP_FLOW_R__MAX] = {
	[FP_FLOW_R_HDR] = { "flow_hdr", FLOW_HDR_SIZE },
	[FP_FLOW_R_BUCKETS4] = { "flow_buckets4", sizeof(struct flow_bucket) },
	[FP_FLOW_R_LINES4] = { "flow_lines4", sizeof(struct flow_pair4) },
	[FP_FLOW_R_COLD4] = { "flow_cold4", sizeof(struct flow_cold) },
	[FP_FLOW_R_BUCKETS6] = { "flow_buckets6", sizeof(struct flow_bucket) },
	[FP_FLOW_R_LINES6] = { "flow_lines6", sizeof(struct flow_pair6) },
	[FP_FLOW_R_COLD6] = { "flow_cold6", sizeof(struct flow_cold) },
};

static int set_sizes(struct fp_flow_mem *m, const uint32_t pairs[FLOW__FAMILIES])
{
	*m = (struct fp_flow_mem){ 0 };
	for (int r = 0; r < FP_FLOW_R__MAX; r++)
		m->fd[r] = -1;
	for (int f = 0; f < FLOW__FAMILIES; f++) {
		if (pairs[f] > MAX_PAIRS)
			return -EINVAL;
		m->n_pairs[f] = ROUND_UP(MAX(pairs[f], 1u), (uint32_t)FLOW_SEGMENTS);
		m->n_buckets[f] = 2;
		while (m->n_buckets[f] < DIV_ROUND_UP(m->n_pairs[f], 2))
			m->n_buckets[f] *= 2;
	}
	return 0;
}

static uint32_t region_len(const struct fp_flow_mem *m, int r)
{
	if (r == FP_FLOW_R_HDR)
		return 1;
	if (r == FP_FLOW_R_BUCKETS4 || r == FP_FLOW_R_BUCKETS6)
		return m->n_buckets[r == FP_FLOW_R_BUCKETS6];
	return m->n_pairs[r > FP_FLOW_R_COLD4];
}

static int map_region(struct fp_flow_mem *m, int r)
{
	size_t size = ROUND_UP((size_t)region_len(m, r) * regions[r].size, (size_t)FLOW_HDR_SIZE);
	int flags = m->fd[r] < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, m->fd[r], 0);

	if (p == MAP_FAILED)
		return -errno;
	m->base[r] = p;
	m->size[r] = size;
	return 0;
}

/* A descriptor of the pinned array when it is there and has our shape, else of a new one. */
static int open_region(const struct fp_flow_mem *m, int r, const char *pin_dir)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[PATH_MAX];
	int fd, err;

	if (pin_dir) {
		snprintf(path, sizeof(path), "%s/%s", pin_dir, regions[r].name);
		fd = bpf_obj_get(path);
		if (fd >= 0) {
			err = bpf_obj_get_info_by_fd(fd, &info, &len);
			if (!err && (info.type != BPF_MAP_TYPE_ARRAY ||
				     info.value_size != regions[r].size ||
				     info.max_entries != region_len(m, r)))
				err = -EPROTO;
			if (!err)
				return fd;
			close(fd);
			return err;
		}
		if (fd != -ENOENT)
			return fd;
	}
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, regions[r].name, sizeof(uint32_t), regions[r].size,
			    region_len(m, r), &opts);
	if (fd >= 0 && pin_dir) {
		err = bpf_obj_pin(fd, path);
		if (err) {
			close(fd);
			return err;
		}
	}
	return fd;
}

int fp_flow_mem_anon(const uint32_t pairs[FLOW__FAMILIES], struct fp_flow_mem *ret)
{
	struct fp_flow_mem m;
	int r, err = set_sizes(&m, pairs);

	for (r = 0; !err && r < FP_FLOW_R__MAX; r++)
		err = map_region(&m, r);
	if (err)
		fp_flow_mem_fini(&m);
	else
		*ret = m;
	return err;
}

int fp_flow_mem_bpf(const uint32_t pairs[FLOW__FAMILIES], const char *pin_dir,
		    struct fp_flow_mem *ret)
{
	struct fp_flow_mem m;
	int r, err = set_sizes(&m, pairs);

	for (r = 0; !err && r < FP_FLOW_R__MAX; r++) {
		m.fd[r] = open_region(&m, r, pin_dir);
		err = m.fd[r] < 0 ? m.fd[r] : map_region(&m, r);
	}
	if (err)
		fp_flow_mem_fini(&m);
	else
		*ret = m;
	return err;
}

void fp_flow_mem_fini(struct fp_flow_mem *m)
{
	for (int r = 0; r < FP_FLOW_R__MAX; r++) {
		if (m->base[r])
			munmap(m->base[r], m->size[r]);
		if (m->fd[r] >= 0)
			close(m->fd[r]);
		m->base[r] = NULL;
		m->fd[r] = -1;
	}
}
