/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the flow table's maps as a BPF program sees them, the lookups in them (flow_lookup.h), and
 * the way from a place to its line and side.
 * Owns: the maps' shapes; the loader has the maps. Threads: any CPU. Failure: NULL, a miss.
 */
#ifndef RTR_FLOW_MAPS_H
#define RTR_FLOW_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "rtr/flow.h"

#define SHARED(name, kind, what, ...)                                                              \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(max_entries, 1); /* the loader has the maps */                              \
		__type(key, uint32_t);                                                             \
		__type(value, what);                                                               \
		__VA_ARGS__                                                                        \
	} name SEC(".maps")
#define MMAPABLE __uint(map_flags, BPF_F_MMAPABLE);

struct flow_hdr_page {
	struct flow_hdr hdr;
	uint8_t rest[FLOW_HDR_SIZE - sizeof(struct flow_hdr)];
};

SHARED(flow_hdr, BPF_MAP_TYPE_ARRAY, struct flow_hdr_page, MMAPABLE);
SHARED(flow_buckets4, BPF_MAP_TYPE_ARRAY, struct flow_bucket, MMAPABLE);
SHARED(flow_lines4, BPF_MAP_TYPE_ARRAY, struct flow_pair4, MMAPABLE);
SHARED(flow_sides4, BPF_MAP_TYPE_ARRAY, struct flow_sides4, MMAPABLE);
SHARED(flow_buckets6, BPF_MAP_TYPE_ARRAY, struct flow_bucket, MMAPABLE);
SHARED(flow_lines6, BPF_MAP_TYPE_ARRAY, struct flow_pair6, MMAPABLE);

#define FLOW_ENV void *
static __always_inline struct flow_bucket *bucket(enum flow_family fam, uint32_t i)
{
	return fam == FLOW_4 ? bpf_map_lookup_elem(&flow_buckets4, &i)
			     : bpf_map_lookup_elem(&flow_buckets6, &i);
}
#define FLOW_BUCKET(env, fam, i) bucket(fam, i)
static __always_inline struct flow_pair4 *pair4(uint32_t i)
{
	return bpf_map_lookup_elem(&flow_lines4, &i);
}
#define FLOW_PAIR4(env, i) pair4(i)
static __always_inline struct flow_pair6 *pair6(uint32_t i)
{
	return bpf_map_lookup_elem(&flow_lines6, &i);
}
#define FLOW_PAIR6(env, i) pair6(i)
#include "flow_lookup.h"
FLOW_DEFINE_FIND(4)
FLOW_DEFINE_FIND(6)
FLOW_DEFINE_GUESS(4)
FLOW_DEFINE_GUESS(6)

/* clang would add to the pointer before it is tested, which the verifier refuses. */
#define TESTED(p) asm volatile("" : "+r"(p))

/* The side of the line in a place. */
static __always_inline struct flow_side *side4(uint32_t place)
{
	uint32_t i = place >> 1;
	struct flow_sides4 *s = bpf_map_lookup_elem(&flow_sides4, &i);

	if (!s)
		return NULL;
	TESTED(s);
	return &s->dir[place & 1];
}

/* What the line in a place has sent and allowed. */
static __always_inline const struct flow_tcp *tcp4(uint32_t place)
{
	struct flow_pair4 *p = pair4(place >> 1);

	if (!p)
		return NULL;
	TESTED(p);
	return &p->dir[place & 1].tcp;
}

static __always_inline const struct flow_tcp *tcp6(uint32_t place)
{
	struct flow_pair6 *p = pair6(place >> 1);

	if (!p)
		return NULL;
	TESTED(p);
	return &p->dir[place & 1].tcp;
}

#endif
