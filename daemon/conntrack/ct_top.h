/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: who has the most: counts of up to CT_TOP_ROOM keys, exact while there are no more. Above
 * that the smaller half is forgotten and its middle subtracted from the rest (the frequent items
 * sketch of Anderson et al., 2017), so that memory stays bounded when every entry has a source of
 * its own, and a key with more than total / (CT_TOP_ROOM / 2) is always found.
 * Owns: 600 KiB. Threads: one at a time. Failure: none; counts may be low by ct_top_error.
 */
#ifndef RTR_CT_TOP_H
#define RTR_CT_TOP_H

#include "prefix.h"

#define CT_TOP_ROOM 16384

/* An address; or any other 20 bytes. */
struct ct_top_key {
	struct rtr_addr addr;
};

struct ct_top_item {
	struct ct_top_key key;
	uint32_t n;
};

struct ct_top;
struct ct_top *ct_top_new(void);
struct ct_top *ct_top_free(struct ct_top *t);
void ct_top_add(struct ct_top *t, const struct ct_top_key *key);
uint64_t ct_top_total(const struct ct_top *t);
uint32_t ct_top_error(const struct ct_top *t); /* 0: exact */
/* The largest into ret[0..room), largest first, equal ones by key. Returns how many. */
size_t ct_top_list(const struct ct_top *t, struct ct_top_item *ret, size_t room);

#endif
