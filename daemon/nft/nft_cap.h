/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: asks the kernel what of nftables it takes: all questions in one batch whose last message
 * must fail, so that nothing comes to be.
 * Owns: the answers. Threads: rtrd's loop only; one batch, at start. Failure: what cannot be asked
 * counts as there.
 */
#ifndef RTR_NFT_CAP_H
#define RTR_NFT_CAP_H

#include "nft/nft.h"

void nft_cap_probe(void);
/* Back to not asked: all are there. */
void nft_cap_reset(void);

#endif
