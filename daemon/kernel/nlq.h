/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the one queue that carries every write to the kernel: rtnetlink messages and files below
 * /proc/sys. Messages are sent many to a system call and never more than their acknowledgements'
 * room in the receive buffer; writes complete in the order of queueing.
 * Owns: queued messages until they complete. Threads: rtrd's loop only; callbacks come from the
 * loop, never from inside nlq_netlink or nlq_sysctl. The kernel answers inside sendmsg, so nothing
 * here waits; after NLQ_TURN writes the loop gets its turn. A batch of nftables is one write; its
 * system call is made by a thread of its own (kernel/nlq_nft.h).
 * Failure: each write reports errno and the kernel's words (extack). A lost acknowledgement is
 * -ENOBUFS: the outcome is then unknown, and a plan made from a fresh look tells.
 *
 * RTR_FAULT=fail:N  the N-th write since start (1, 2, ...) fails with EIO "injected" instead of
 *                   reaching the kernel
 * RTR_FAULT=kill:N  the process kills itself (SIGKILL) before the N-th write
 */
#ifndef RTR_NLQ_H
#define RTR_NLQ_H

#include "util.h"

#include <event2/event.h>

struct nfbatch;
struct nl_msg;

/* Most messages in flight at once. An acknowledgement occupies less than 1 KiB of the receive
 * buffer, extack text included: 64 KiB, a third of the default net.core.rmem_default. */
#define NLQ_BATCH 64
/* Writes in one turn of the loop: about 1-2 ms of the kernel's time. */
#define NLQ_TURN 256

/* error: 0 or -errno. text: what the kernel said, "" when nothing; valid during the call. With
 * error 0 the text is the kernel's warning. */
typedef void (*nlq_done_fn)(void *arg, int error, const char *text);

/* Opens the socket and reads RTR_FAULT. 0 or -errno (-EINVAL: RTR_FAULT is malformed). */
int nlq_init(struct event_base *base);
/* What is still queued completes with -ECANCELED. */
void nlq_fini(void);

/* Queues an rtnetlink message, or one of kernel/genl.h, and consumes it; NLM_F_REQUEST and
 * NLM_F_ACK are added. */
void nlq_netlink(struct nl_msg *msg, nlq_done_fn done, void *arg);
/* Queues the write of value to /proc/sys/<path>. Both texts are copied. */
void nlq_sysctl(const char *path, const char *value, nlq_done_fn done, void *arg);
/* Queues a write of another kind: fn makes it from a copy of data, without waiting. It returns 0 or
 * -errno; or it sets *ret_fd to a descriptor (then the queue's) from which an int32_t comes: 0 or
 * -errno. Nothing else is sent meanwhile. */
typedef int (*nlq_call_fn)(const void *data, int *ret_fd);
void nlq_call(nlq_call_fn fn, const void *data, size_t size, nlq_done_fn done, void *arg);
/* Queues a batch (a reference is taken); its answers are in it when done is called. The text names
 * the message at fault. */
void nlq_nft(struct nfbatch *b, nlq_done_fn done, void *arg);
/* Everything not yet sent completes with -ECANCELED, in order, from the loop. */
void nlq_cancel(void);

bool nlq_idle(void);       /* nothing queued, nothing in flight */
uint64_t nlq_writes(void); /* since start, failed and injected ones included */

enum nlq_fault { NLQ_FAULT_NONE, NLQ_FAULT_FAIL, NLQ_FAULT_KILL };
/* For tests: as RTR_FAULT, with n counted from now. */
void nlq_set_fault(enum nlq_fault fault, uint64_t n);

#endif
