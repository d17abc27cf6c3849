/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: questions to the kernel about nftables: one socket, one question after the other, the
 * answer in pieces. The kernel makes each piece inside recv and takes no lock that a writer holds,
 * so nothing here waits.
 * Owns: a socket. Threads: rtrd's loop only. Failure: -errno; -EINTR: the ruleset changed while it
 * was dumped, ask again.
 */
#ifndef RTR_NFT_QUERY_H
#define RTR_NFT_QUERY_H

#include "util.h"

#include <linux/netlink.h>

struct nftq {
	int fd;
	uint32_t seq;
	bool interrupted;
};

typedef void (*nftq_fn)(void *arg, const struct nlmsghdr *h);

int nftq_open(struct nftq *q);
void nftq_close(struct nftq *q);
/* Asks for a dump of NFT_MSG_GET<type>: of one table (attribute 1) and of what is called name in
 * it (attribute 2); NULL: of all. */
int nftq_dump(struct nftq *q, uint8_t type, uint8_t family, const char *table, const char *name);
/* Reads a piece. 1: more follows, 0: that was all, -errno. */
int nftq_step(struct nftq *q, nftq_fn fn, void *arg);
/* Both, to the end. */
int nftq_all(struct nftq *q, uint8_t type, uint8_t family, const char *table, const char *name,
	     nftq_fn fn, void *arg);
/* The generation of the ruleset; 0 when the kernel does not say. */
uint32_t nftq_generation(struct nftq *q);

/* The attributes of an nftables message, by number up to max. False when they are malformed. */
struct nlattr;
bool nftq_parse(const struct nlmsghdr *h, struct nlattr **tb, int max);
uint32_t nftq_u32(const struct nlattr *a); /* 0 when there is none */
uint64_t nftq_u64(const struct nlattr *a);
const char *nftq_text(const struct nlattr *a); /* "" when there is none or it has no end */
uint8_t nftq_family(const struct nlmsghdr *h);

#endif
