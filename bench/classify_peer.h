/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the peer of bench_classify: DPDK's rte_acl, or nothing where DPDK is absent. IPv4 only.
 * The peer is given rules and keys in its own forms, made before any clock runs.
 */
#ifndef CLASSIFY_PEER_H
#define CLASSIFY_PEER_H

#include "classbench.h"

struct peer;

/* True when there is a peer; starts EAL without huge pages or devices. */
bool peer_start(void);
/* NULL when the rules do not fit it. build_s and bytes are of its run-time tables alone. */
struct peer *peer_new(const struct cb_set *set, const struct fp_cls_key4 *keys, size_t n_keys,
		      double *ret_build_s, size_t *ret_bytes);
void peer_free(struct peer *p);
const char *peer_method(const struct peer *p);
/* Looks up keys from..from+n-1; ids like fp_cls_lookup4. */
void peer_lookup(struct peer *p, size_t from, size_t n, uint32_t *ret_ids);

#endif
