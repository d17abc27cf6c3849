/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: starting and ending the reader of counters (nft_count.h), for the domain alone.
 * Owns: nothing. Threads: rtrd's loop only. Failure: none.
 */
#ifndef RTR_NFT_COUNT_RUN_H
#define RTR_NFT_COUNT_RUN_H

#include <event2/event.h>

void nft_count_init(struct event_base *base);
/* Who waits gets -ECANCELED. */
void nft_count_fini(void);

#endif
