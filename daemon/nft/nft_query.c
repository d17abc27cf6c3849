/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/nft_query.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel fills dump buffers of at most 32 KiB when the reader offers as much. */
#define PIECE 32768
/* A table's and a chain's name, 256 bytes each at most. */
#define REQUEST 1024

int nftq_open(struct nftq *q)
{
	*q = (struct nftq){ .fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER) };
	return q->fd < 0 ? -errno : 0;
}

void nftq_close(struct nftq *q)
{
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
}

static void put_text(struct nlmsghdr *h, uint16_t attr, const char *s)
{
	struct nlattr *a = (void *)((char *)h + h->nlmsg_len);
	size_t size = strlen(s) + 1;

	if (h->nlmsg_len + NLA_HDRLEN + NLA_ALIGN(size) > REQUEST)
		return; /* no such name can be */
	a->nla_type = attr;
	a->nla_len = (uint16_t)(NLA_HDRLEN + size);
	memcpy(a + 1, s, size);
	h->nlmsg_len += NLA_HDRLEN + (uint32_t)NLA_ALIGN(size);
}

static int ask(struct nftq *q, uint8_t type, uint16_t flags, uint8_t family, const char *table,
	       const char *name)
{
	union {
		struct nlmsghdr h;
		char b[REQUEST];
	} m = { .h = { .nlmsg_len = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg)),
		       .nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
		       .nlmsg_flags = NLM_F_REQUEST | flags,
		       .nlmsg_seq = ++q->seq } };
	struct nfgenmsg *nf = NLMSG_DATA(&m.h);

	*nf = (struct nfgenmsg){ .nfgen_family = family, .version = NFNETLINK_V0 };
	if (table)
		put_text(&m.h, 1, table);
	if (name)
		put_text(&m.h, 2, name);
	q->interrupted = false;
	return send(q->fd, &m, m.h.nlmsg_len, 0) < 0 ? -errno : 0;
}

int nftq_dump(struct nftq *q, uint8_t type, uint8_t family, const char *table, const char *name)
{
	return ask(q, type, NLM_F_DUMP, family, table, name);
}

int nftq_step(struct nftq *q, nftq_fn fn, void *arg)
{
	static union {
		struct nlmsghdr h;
		char b[PIECE];
	} buf;
	ssize_t n = recv(q->fd, buf.b, sizeof(buf.b), 0);
	int left = (int)n;

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	for (struct nlmsghdr *h = &buf.h; NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		if (h->nlmsg_seq != q->seq)
			continue; /* of a dump that was given up */
		q->interrupted |= h->nlmsg_flags & NLM_F_DUMP_INTR;
		if (h->nlmsg_type == NLMSG_ERROR)
			return e->error;
		if (h->nlmsg_type == NLMSG_DONE)
			return q->interrupted ? -EINTR : 0;
		fn(arg, h);
		if (!(h->nlmsg_flags & NLM_F_MULTI))
			return 0;
	}
	return 1;
}

int nftq_all(struct nftq *q, uint8_t type, uint8_t family, const char *table, const char *name,
	     nftq_fn fn, void *arg)
{
	int r = nftq_dump(q, type, family, table, name);

	if (r)
		return r;
	while ((r = nftq_step(q, fn, arg)) > 0)
		;
	return r;
}

static void take_generation(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NFTA_GEN_MAX + 1];

	if (nftq_parse(h, tb, NFTA_GEN_MAX))
		*(uint32_t *)arg = nftq_u32(tb[NFTA_GEN_ID]);
}

uint32_t nftq_generation(struct nftq *q)
{
	uint32_t gen = 0;

	if (ask(q, NFT_MSG_GETGEN, 0, 0, NULL, NULL) || nftq_step(q, take_generation, &gen) < 0)
		return 0;
	return gen;
}

bool nftq_parse(const struct nlmsghdr *h, struct nlattr **tb, int max)
{
	return !nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg), tb, max,
			    NULL);
}

uint32_t nftq_u32(const struct nlattr *a)
{
	uint32_t v;

	if (!a || nla_len(a) < (int)sizeof(v))
		return 0;
	memcpy(&v, nla_data(a), sizeof(v));
	return ntohl(v);
}

uint64_t nftq_u64(const struct nlattr *a)
{
	uint64_t v;

	if (!a || nla_len(a) < (int)sizeof(v))
		return 0;
	memcpy(&v, nla_data(a), sizeof(v));
	return be64toh(v);
}

const char *nftq_text(const struct nlattr *a)
{
	if (!a || !nla_len(a) || ((const char *)nla_data(a))[nla_len(a) - 1])
		return "";
	return nla_data(a);
}

uint8_t nftq_family(const struct nlmsghdr *h)
{
	const struct nfgenmsg *nf = NLMSG_DATA(h);

	return nf->nfgen_family;
}
