/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: events of nftables: which generation the ruleset is of, and whether somebody else touched
 * what is ours.
 * Owns: a socket. Threads: rtrd's loop only. Failure: a kernel without them leaves drift unseen;
 * lost events count as a touch.
 */
#ifndef RTR_NFT_WATCH_H
#define RTR_NFT_WATCH_H

#include "util.h"

#include <event2/event.h>
#include <linux/filter.h>

/* touched() is called from the loop and from nft_watch_drain. 0 or -errno. */
int nft_watch_init(struct event_base *base, void (*touched)(void));
void nft_watch_fini(void);
/* Takes in all events that there are now. After an acknowledged change those of it are here. */
void nft_watch_drain(void);
/* Are there tables that we share with others? Their events are then looked at one by one. */
void nft_watch_shared(bool on);
/* No events until it resumes: with nobody who listens the kernel makes none of them, which are a
 * tenth of a large change. Who pauses compares generations afterwards. */
void nft_watch_pause(void);
void nft_watch_resume(void);
/* 0: not known. */
uint32_t nft_watch_generation(void);
void nft_watch_set_generation(uint32_t gen);

/* The filter that runs in the kernel; table NULL: changes of all tables pass. Returns its length,
 * at most NFT_FILTER_MAX. */
#define NFT_FILTER_MAX 64
size_t nft_watch_filter(struct sock_filter *f, const char *table, uint32_t portid);

#endif
