/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: longest prefix match for IPv6, one instance a VRF.
 *
 * The address is cut at bits 16, 24, 36, 48, 56, 64, 76, 88, 100, 112 and 120: an array of 65,536
 * words, arrays of 256 entries under the few dozen /16s that the Internet uses, then range nodes
 * (lpm_range.h) of 12 or 8 bits. The cuts follow the real table: /48, /44, /40 and /32 make up four
 * fifths of it, and 12-bit keys put a /32 one node below the arrays and a /48 two, where a
 * trie of bytes (DPDK's fib6) needs two and four. Nearly all nodes have at most nine runs and are
 * one cache line with their entries. Past /64, where the real table has next to nothing, depth
 * costs a line a cut.
 *
 * Cost: the words and arrays in use lie in L2; then a line a node, two where a node has 10 to 33
 * runs. Full table of 160,147 prefixes: docs/design/lpm.md.
 *
 * Limits: next hops are 1 to LPM_NH_MAX, 0 means no route. A change of a prefix of length L < 16
 * visits 2^(16-L) root words; the default route is one word.
 *
 * Threads: lookups from any thread that the caller's QSBR covers; all else from one writer. What
 * lpm_rib.h says of memory, batches and failures holds here.
 */
#ifndef RTR_LPM6_H
#define RTR_LPM6_H

#include "lpm_rib.h"

struct lpm6_route {
	uint8_t addr[16]; /* addresses are in network order throughout */
	uint32_t nh;
	uint8_t len;
};

struct lpm6;

/* 0 or -ENOMEM. */
int lpm6_new(const struct lpm_params *p, struct lpm6 **ret);
/* No reader may be left; batches still with the hook are void. */
struct lpm6 *lpm6_free(struct lpm6 *t);

/* Fills an empty table with routes ascending by (addr, len). 0, -EEXIST, -EINVAL, -ENOMEM. */
int lpm6_build(struct lpm6 *t, const struct lpm6_route *routes, size_t n);
int lpm6_set(struct lpm6 *t, const uint8_t addr[16], unsigned len, uint32_t nh);
int lpm6_del(struct lpm6 *t, const uint8_t addr[16], unsigned len);
uint32_t lpm6_get(const struct lpm6 *t, const uint8_t addr[16], unsigned len);
/* Hands a partly filled batch of retired memory to the hook. */
void lpm6_flush(struct lpm6 *t);
void lpm6_stats(const struct lpm6 *t, struct lpm_stats *ret);

uint32_t lpm6_lookup(const struct lpm6 *t, const uint8_t addr[16]);
void lpm6_lookup_batch(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *ret_nh,
		       unsigned n);

/* The forms that the batch lookup has on this machine, for tests and benchmarks: 0 is portable and
 * always there. NULL past the last. */
typedef void lpm6_batch_fn(const struct lpm6 *t, const uint8_t (*addr)[16], uint32_t *ret_nh,
			   unsigned n);
lpm6_batch_fn *lpm6_batch_form(unsigned i, const char **ret_name);

#endif
