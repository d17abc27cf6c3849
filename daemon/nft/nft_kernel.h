/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the domain "nft": what the kernel has of ours, and the plan that makes it what the sources
 * want. For daemon/nft and its tests.
 * Owns: the ruleset as it is in the kernel. Threads: rtrd's loop only.
 * Failure: in the plan; a ruleset that cannot be read is read again with the next plan.
 */
#ifndef RTR_NFT_KERNEL_H
#define RTR_NFT_KERNEL_H

#include "nft/nft_data.h"

/* What the sources want of the model; the caller unrefs. */
struct nft_ruleset *nft_build(const struct rec *want);
/* For tests and benches: asks this source alone; NULL: all. */
void nft_source_only(const char *name);
/* The kernel's ruleset is not what we think any more: read again before the next plan. */
void nft_forget(void);

/* What the kernel has of ours, read when it has to be; NULL: it cannot be. The caller unrefs. */
struct nft_ruleset *nft_installed(void);

struct nft_stats {
	uint64_t reads, batches, touched;
};
const struct nft_stats *nft_stats(void);

#endif
