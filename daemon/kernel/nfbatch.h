/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: one atomic change of nftables: messages between NFNL_MSG_BATCH_BEGIN and _END, and what
 * the kernel answered to each. The kernel takes all of them or none.
 * Owns: the bytes. Reference-counted. Threads: filled by rtrd's loop, then left alone until
 * nlq_nft is done with it (the send queue writes the answers from its sender thread).
 * Failure: aborts when a message outgrows NFBATCH_MSG_MAX; that is for the caller to keep.
 */
#ifndef RTR_NFBATCH_H
#define RTR_NFBATCH_H

#include "strbuf.h"

#include <linux/netlink.h>

/* A netlink attribute holds 64 KiB less its header; what has more (elements of a set) is split. */
#define NFBATCH_MSG_MAX 65536

#define NFBATCH_NONE SIZE_MAX

struct nfbatch {
	unsigned refs;
	char *buf; /* messages, with room for BEGIN before them and END after */
	size_t len, room;
	size_t *at; /* offset of each message */
	size_t n, n_room;
	/* Fails with -ERESTART when the kernel's ruleset is of another generation; 0: whichever. */
	uint32_t genid;

	/* What a message is about and whose configuration line, for errors; may be NULL. */
	void (*describe)(void *arg, size_t msg, struct strbuf *ret);
	/* It is sent next; what follows is done(). May be NULL. */
	void (*begin)(void *arg);
	/* The kernel answered, before the done of nlq_nft; may be NULL. */
	void (*done)(void *arg, struct nfbatch *b, int error);
	void (*free)(void *arg);
	void *arg;

	/* answers */
	size_t bad, n_bad; /* the first message that failed (NFBATCH_NONE: all or none of them) */
	uint64_t *handle;  /* of message i, when it asked for it (NLM_F_ECHO) and came to be */
	bool lost;         /* some answers found no room */
};

struct nfbatch *nfbatch_new(void);
struct nfbatch *nfbatch_ref(struct nfbatch *b);
struct nfbatch *nfbatch_unref(struct nfbatch *b); /* NULL */

/* Starts a message NFT_MSG_<type>; returns its number. Attributes follow until the next one. */
size_t nfbatch_msg(struct nfbatch *b, uint8_t type, uint8_t family, uint16_t flags);
/* The message under way with at least `size` bytes of room behind it, for libnftnl's builders:
 * they write and grow nlmsg_len; then nfbatch_grown. */
struct nlmsghdr *nfbatch_hdr(struct nfbatch *b, size_t size);
void nfbatch_grown(struct nfbatch *b);

void nfbatch_put(struct nfbatch *b, uint16_t attr, const void *data, size_t size);
void nfbatch_text(struct nfbatch *b, uint16_t attr, const char *s);
void nfbatch_u32(struct nfbatch *b, uint16_t attr, uint32_t v); /* in network order */
void nfbatch_u64(struct nfbatch *b, uint16_t attr, uint64_t v); /* in network order */
/* Bytes that are attributes already. */
void nfbatch_raw(struct nfbatch *b, const void *attrs, size_t size);
/* Returns the place to give to nfbatch_nest_end. */
size_t nfbatch_nest(struct nfbatch *b, uint16_t attr);
void nfbatch_nest_end(struct nfbatch *b, size_t nest);
/* Puts begin, end and numbers in place: message i gets seq + 1 + i. The bytes to be sent are then
 * at b->buf; returns their number. Of at least one message. */
size_t nfbatch_frame(struct nfbatch *b, uint32_t seq);
size_t nfbatch_msg_size(const struct nfbatch *b); /* of the message under way */

#endif
