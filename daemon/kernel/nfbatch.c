/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nfbatch.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

/* BEGIN with its generation lies before the messages. */
#define HEAD (NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg)) + NLA_HDRLEN + sizeof(uint32_t))
/* END. */
#define TAIL (NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg)))

struct nfbatch *nfbatch_new(void)
{
	struct nfbatch *b = xcalloc(1, sizeof(*b));

	b->refs = 1;
	b->room = 16384;
	b->buf = xmalloc(b->room);
	b->len = HEAD;
	b->bad = NFBATCH_NONE;
	return b;
}

struct nfbatch *nfbatch_ref(struct nfbatch *b)
{
	b->refs++;
	return b;
}

struct nfbatch *nfbatch_unref(struct nfbatch *b)
{
	if (!b || --b->refs)
		return NULL;
	if (b->free)
		b->free(b->arg);
	free(b->buf);
	free(b->at);
	free(b->handle);
	free(b);
	return NULL;
}

static void *room(struct nfbatch *b, size_t size)
{
	if (b->len + size + TAIL > b->room) {
		b->room = MAX(b->room * 2, b->len + size + TAIL);
		b->buf = xrealloc(b->buf, b->room);
	}
	return b->buf + b->len;
}

static struct nlmsghdr *last(const struct nfbatch *b)
{
	return (struct nlmsghdr *)(void *)(b->buf + b->at[b->n - 1]);
}

size_t nfbatch_msg(struct nfbatch *b, uint8_t type, uint8_t family, uint16_t flags)
{
	struct nlmsghdr *h = room(b, TAIL);
	struct nfgenmsg *nf;

	if (b->n == b->n_room) {
		b->n_room = b->n_room ? b->n_room * 2 : 64;
		b->at = xrealloc(b->at, b->n_room * sizeof(*b->at));
	}
	*h = (struct nlmsghdr){ .nlmsg_len = TAIL,
				.nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
				.nlmsg_flags = NLM_F_REQUEST | flags };
	nf = NLMSG_DATA(h);
	*nf = (struct nfgenmsg){ .nfgen_family = family, .version = NFNETLINK_V0 };
	b->at[b->n] = b->len;
	b->len += TAIL;
	return b->n++;
}

struct nlmsghdr *nfbatch_hdr(struct nfbatch *b, size_t size)
{
	room(b, size);
	return last(b);
}

void nfbatch_grown(struct nfbatch *b)
{
	b->len = b->at[b->n - 1] + NLMSG_ALIGN(last(b)->nlmsg_len);
}

static void grow(struct nfbatch *b, size_t size)
{
	b->len += size;
	last(b)->nlmsg_len += (uint32_t)size;
	if (last(b)->nlmsg_len > NFBATCH_MSG_MAX)
		abort();
}

void nfbatch_put(struct nfbatch *b, uint16_t attr, const void *data, size_t size)
{
	size_t all = NLA_HDRLEN + NLA_ALIGN(size);
	struct nlattr *a = room(b, all);

	a->nla_type = attr;
	a->nla_len = (uint16_t)(NLA_HDRLEN + size);
	if (size)
		memcpy((char *)a + NLA_HDRLEN, data, size);
	memset((char *)a + NLA_HDRLEN + size, 0, all - NLA_HDRLEN - size);
	grow(b, all);
}

void nfbatch_text(struct nfbatch *b, uint16_t attr, const char *s)
{
	nfbatch_put(b, attr, s, strlen(s) + 1);
}

void nfbatch_u32(struct nfbatch *b, uint16_t attr, uint32_t v)
{
	v = htonl(v);
	nfbatch_put(b, attr, &v, sizeof(v));
}

void nfbatch_u64(struct nfbatch *b, uint16_t attr, uint64_t v)
{
	v = htobe64(v);
	nfbatch_put(b, attr, &v, sizeof(v));
}

void nfbatch_raw(struct nfbatch *b, const void *attrs, size_t size)
{
	if (!size)
		return;
	memcpy(room(b, size), attrs, size);
	grow(b, size);
}

size_t nfbatch_nest(struct nfbatch *b, uint16_t attr)
{
	size_t at = b->len;

	nfbatch_put(b, attr | NLA_F_NESTED, NULL, 0);
	return at;
}

void nfbatch_nest_end(struct nfbatch *b, size_t nest)
{
	struct nlattr *a = (void *)(b->buf + nest);

	a->nla_len = (uint16_t)(b->len - nest);
}

size_t nfbatch_msg_size(const struct nfbatch *b)
{
	return last(b)->nlmsg_len;
}

size_t nfbatch_frame(struct nfbatch *b, uint32_t seq)
{
	struct nlmsghdr *h = (void *)b->buf;
	struct nfgenmsg *nf = NLMSG_DATA(h);
	uint16_t size = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(*nf));
	struct nlattr *gen = (void *)(b->buf + size);

	/* A begin without generation is as long, its last eight bytes being no attribute. */
	*h = (struct nlmsghdr){ .nlmsg_type = NFNL_MSG_BATCH_BEGIN,
				.nlmsg_flags = NLM_F_REQUEST,
				.nlmsg_seq = seq };
	*nf = (struct nfgenmsg){ .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES) };
	h->nlmsg_len = (uint32_t)b->at[0];
	gen->nla_len = (uint16_t)(b->at[0] - size);
	gen->nla_type = b->genid ? NFNL_BATCH_GENID : NFNL_BATCH_UNSPEC;
	b->genid = htonl(b->genid);
	memcpy(gen + 1, &b->genid, sizeof(b->genid));
	b->genid = ntohl(b->genid);
	for (size_t i = 0; i < b->n; i++) {
		h = (void *)(b->buf + b->at[i]);
		h->nlmsg_seq = seq + 1 + (uint32_t)i;
		/* The last one's acknowledgement says that all is done. */
		if (i == b->n - 1)
			h->nlmsg_flags |= NLM_F_ACK;
	}
	h = (void *)(b->buf + b->len);
	*h = (struct nlmsghdr){ .nlmsg_len = size,
				.nlmsg_type = NFNL_MSG_BATCH_END,
				.nlmsg_flags = NLM_F_REQUEST,
				.nlmsg_seq = seq + 1 + (uint32_t)b->n };
	nf = NLMSG_DATA(h);
	*nf = (struct nfgenmsg){ .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES) };
	return b->len + size;
}
