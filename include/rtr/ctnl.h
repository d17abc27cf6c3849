/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the beginning of a ctnetlink message, and attributes by type: what rtrd (conntrack) and
 * rtr-fastpath (the mirror) both need.
 * Owns: nothing. Threads: any. Failure: -1 of a nest that is not one.
 */
#ifndef RTR_CTNL_H
#define RTR_CTNL_H

#include "util.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

/* type: IPCTNL_MSG_CT_...; flags beside NLM_F_REQUEST. */
static inline struct nlmsghdr *ctnl_start(void *buf, unsigned type, unsigned flags, uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	return h;
}

/* Attributes of one nest by type; those above max are newer than we are. */
struct ctnl_table {
	const struct nlattr **tb;
	uint16_t max;
};

static inline int ctnl_take(const struct nlattr *a, void *arg)
{
	const struct ctnl_table *n = arg;

	if (mnl_attr_get_type(a) <= n->max)
		n->tb[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

/* table: an array of const struct nlattr *, all NULL. < 0: it is cut off. */
#define CTNL_NEST(attr, table)                                                                     \
	mnl_attr_parse_nested(attr, ctnl_take, &(struct ctnl_table){ table, ARRAY_LEN(table) - 1 })

/* Those of a whole message. */
#define CTNL_MESSAGE(h, table)                                                                     \
	((h)->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg)                               \
		 ? -1                                                                              \
		 : mnl_attr_parse(h, sizeof(struct nfgenmsg), ctnl_take,                           \
				  &(struct ctnl_table){ table, ARRAY_LEN(table) - 1 }))

#endif
