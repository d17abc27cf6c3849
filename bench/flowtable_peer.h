/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rte_hash of DPDK as peer of bench_flowtable: two keys a flow, each leading to a value of
 * the size of our line. Both variants can be had: plain (no reader beside a writer: faster) and
 * lock-free readers.
 */
#ifndef BENCH_FLOWTABLE_PEER_H
#define BENCH_FLOWTABLE_PEER_H

#include "rtr/flow.h"

#include <stdbool.h>

struct ft_peer;

bool ft_peer_start(void);
struct ft_peer *ft_peer_new(enum flow_family fam, uint32_t n_keys, bool lock_free);
struct ft_peer *ft_peer_free(struct ft_peer *p);

/* Key i of the array (of struct flow_key4 or flow_key6) gets value i. False: an insert failed. */
bool ft_peer_add(struct ft_peer *p, const char *keys, const uint32_t *order, uint32_t n);
bool ft_peer_del(struct ft_peer *p, const char *keys, const uint32_t *order, uint32_t n);
/* Looks keys up in bursts and reads the rewrite of each; returns the hits. */
uint32_t ft_peer_find(struct ft_peer *p, const void *const *keys, uint32_t n, unsigned burst,
		      uint64_t *inout_sum);

#endif
