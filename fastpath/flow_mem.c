/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow_mem.h"
#include "bpf_map.h"
#include "util.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_FLOWS (1u << 25)

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
	[FP_FLOW_R_SIDES4] = { "flow_sides4", sizeof(struct flow_sides4) },
};

static int set_sizes(struct fp_flow_mem *m, const uint32_t flows[FLOW__FAMILIES])
{
	*m = (struct fp_flow_mem){ 0 };
	for (int r = 0; r < FP_FLOW_R__MAX; r++)
		m->fd[r] = -1;
	for (int f = 0; f < FLOW__FAMILIES; f++) {
		if (flows[f] > MAX_FLOWS)
			return -EINVAL;
		m->n_flows[f] = flows[f];
		m->n_pairs[f] = ROUND_UP(MAX(flows[f] + flows[f] / 4, 1u), (uint32_t)FLOW_SEGMENTS);
		m->n_buckets[f] = 2;
		while (m->n_buckets[f] < DIV_ROUND_UP(flows[f], 2))
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
	return m->n_pairs[r == FP_FLOW_R_LINES6 || r == FP_FLOW_R_COLD6];
}

static struct fp_bpf_map shape_of(const struct fp_flow_mem *m, int r)
{
	return (struct fp_bpf_map){ .name = regions[r].name,
				    .type = BPF_MAP_TYPE_ARRAY,
				    .value_size = regions[r].size,
				    .n = region_len(m, r),
				    .flags = BPF_F_MMAPABLE };
}

static int map_anon(struct fp_flow_mem *m, int r)
{
	size_t size = ROUND_UP((size_t)region_len(m, r) * regions[r].size, (size_t)FLOW_HDR_SIZE);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	m->base[r] = p;
	m->size[r] = size;
	return 0;
}

static int map_bpf(struct fp_flow_mem *m, int r, const char *pin_dir)
{
	struct fp_bpf_map shape = shape_of(m, r);

	m->fd[r] = fp_bpf_map_open(pin_dir, &shape);
	if (m->fd[r] < 0)
		return m->fd[r];
	return fp_bpf_map_map(m->fd[r], &shape, &m->base[r], &m->size[r]);
}

int fp_flow_mem_anon(const uint32_t flows[FLOW__FAMILIES], struct fp_flow_mem *ret)
{
	struct fp_flow_mem m;
	int r, err = set_sizes(&m, flows);

	for (r = 0; !err && r < FP_FLOW_R__MAX; r++)
		err = map_anon(&m, r);
	if (err)
		fp_flow_mem_fini(&m);
	else
		*ret = m;
	return err;
}

int fp_flow_mem_bpf(const uint32_t flows[FLOW__FAMILIES], const char *pin_dir,
		    struct fp_flow_mem *ret)
{
	struct fp_flow_mem m;
	int r, err = set_sizes(&m, flows);

	for (r = 0; !err && r < FP_FLOW_R__MAX; r++)
		err = map_bpf(&m, r, pin_dir);
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
