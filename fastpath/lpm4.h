/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: longest prefix match for IPv4, one instance a VRF.
 *
 * A root array has a 64-bit word for each /19, and each word is complete in itself:
 *
 *	63            32 31             0
 *	| bitmap of runs | entry or index |
 *
 * A /19 holds 32 /24s. Bit i of the bitmap says that the /24 number i has another entry than the
 * one before it (bit 0 is never needed). No bit: the low half is the entry for the whole /19.
 * Otherwise it is where the entries of the runs lie, and popcount gives the run. Prefixes longer
 * than /24 are in range nodes (lpm_range.h). This is Poptrie (Asai and Ohara, 2015) with the node
 * drawn into the pointer to it, so that a lookup touches two lines and a change of any kind is
 * published by one 8-byte store.
 *
 * Cost: one line of the 4 MB root and at most one of the entries (5-6 MB for a full table); a third
 * and fourth under a prefix longer than /24. The full table of 901,899 prefixes stays inside a 32
 *MB L3, where DIR-24-8 (32 or 64 MB) does not; docs/design/lpm.md has the measurements.
 *
 * Limits: next hops are 1 to LPM_NH_MAX, 0 means no route. A change of a prefix of length L < 19
 * visits 2^(19-L) root words; the default route is one word.
 *
 * Threads: lookups from any thread that the caller's QSBR covers; all else from one writer. What
 * lpm_rib.h says of memory, batches and failures holds here.
 */
#ifndef RTR_LPM4_H
#define RTR_LPM4_H

#include "lpm_rib.h"

struct lpm4_route {
	uint32_t addr; /* addresses are in host order throughout */
	uint32_t nh;
	uint8_t len;
};

struct lpm4;

/* 0 or -ENOMEM. */
int lpm4_new(const struct lpm_params *p, struct lpm4 **ret);
/* No reader may be left; batches still with the hook are void. */
struct lpm4 *lpm4_free(struct lpm4 *t);

/* Fills an empty table with routes ascending by (addr, len). 0, -EEXIST, -EINVAL, -ENOMEM. */
int lpm4_build(struct lpm4 *t, const struct lpm4_route *routes, size_t n);
int lpm4_set(struct lpm4 *t, uint32_t addr, unsigned len, uint32_t nh);
int lpm4_del(struct lpm4 *t, uint32_t addr, unsigned len);
uint32_t lpm4_get(const struct lpm4 *t, uint32_t addr, unsigned len);
/* Hands a partly filled batch of retired memory to the hook. */
void lpm4_flush(struct lpm4 *t);
void lpm4_stats(const struct lpm4 *t, struct lpm_stats *ret);

uint32_t lpm4_lookup(const struct lpm4 *t, uint32_t addr);
/* Best with 16 and more; 64 hides most of the memory's latency. */
void lpm4_lookup_batch(const struct lpm4 *t, const uint32_t *addr, uint32_t *ret_nh, unsigned n);

/* The forms that the batch lookup has on this machine, for tests and benchmarks: 0 is portable and
 * always there. NULL past the last. */
typedef void lpm4_batch_fn(const struct lpm4 *t, const uint32_t *addr, uint32_t *ret_nh,
			   unsigned n);
lpm4_batch_fn *lpm4_batch_form(unsigned i, const char **ret_name);

#endif
