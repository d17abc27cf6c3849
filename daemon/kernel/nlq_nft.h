/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the part of the send queue (kernel/nlq.h) that speaks nftables. A batch of 10,000 rules
 * keeps the kernel busy for tens of milliseconds, and another program's may hold its lock for as
 * long, all of it inside sendmsg: so that call is made by a thread that lives for one batch, and
 * the loop goes on. Nothing else of the queue is sent meanwhile; order is kept.
 * Owns: a socket; the batch while it is sent. Threads: rtrd's loop; the sender touches nothing
 * but its batch and the socket. Failure: as told by the done of nlq_nft.
 */
#ifndef RTR_NLQ_NFT_H
#define RTR_NLQ_NFT_H

#include "kernel/nfbatch.h"

#include <event2/event.h>

/* done is called from the loop, with the batch's answers in place. */
int nft_sender_init(struct event_base *base, void (*done)(int error, const char *text));
/* Waits for what is being sent; it is then done. */
void nft_sender_fini(void);
void nft_sender_start(struct nfbatch *b);
bool nft_sender_busy(void);
/* nlmsg_pid of our changes in the events that they cause; 0: there is no socket. */
uint32_t nft_sender_portid(void);

#endif
