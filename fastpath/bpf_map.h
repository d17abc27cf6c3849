/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: maps that outlive the process: found by their pin, or created and pinned.
 * Owns: nothing; the caller closes. Threads: any. Failure: -errno; -EPROTO: pinned in another
 * shape.
 */
#ifndef FP_BPF_MAP_H
#define FP_BPF_MAP_H

#include <stddef.h>
#include <stdint.h>

struct fp_bpf_map {
	const char *name; /* of the map, and of its pin */
	uint32_t type;    /* enum bpf_map_type */
	uint32_t value_size, n, flags;
	uint32_t key_size; /* 0: a u32 */
};

/* A descriptor. pin_dir NULL: a new one that nothing else holds. */
int fp_bpf_map_open(const char *pin_dir, const struct fp_bpf_map *m);

/* All of an array with BPF_F_MMAPABLE; munmap ends it. */
int fp_bpf_map_map(int fd, const struct fp_bpf_map *m, void **ret, size_t *ret_size);

#endif
