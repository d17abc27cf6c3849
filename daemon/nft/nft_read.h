/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: our part of the kernel's ruleset, read back into the structs of nft_data.h: what a restart
 * finds, and what is left after somebody else changed it. Rules, sets and objects are known again
 * by the digests in their userdata; elements, policies and hooks are compared as they are.
 * Owns: the caller gets a reference. Threads: rtrd's loop only.
 * Failure: -errno; -EINTR when it kept changing meanwhile.
 */
#ifndef RTR_NFT_READ_H
#define RTR_NFT_READ_H

#include "nft/nft_data.h"
#include "nft/nft_query.h"

/* At one generation of the ruleset, which *ret_gen gets. */
int nft_read(struct nftq *q, struct nft_ruleset **ret, uint32_t *ret_gen);
/* The digest that marks a table as made by us. */
uint64_t nft_table_mark(void);

#endif
