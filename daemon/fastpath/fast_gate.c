/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does our own ruleset look at packets in passing? Asked last for every ruleset that is built. */
#include "fastpath/fastpath.h"
#include "nft/nft_data.h"

#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

/* After all that make chains. */
#define ORDER_LAST 1000000

static char reason[FASTPATH_TEXT];

/* The chain of martians and nothing else: parse.h drops them too. */
static bool is_martians(const struct nft_table *t, const struct nft_chain *c)
{
	return !strcmp(c->node.name, "fw-raw") && !nft_table_set(t, "urpf4") &&
	       !nft_table_set(t, "urpf6");
}

static bool sees_transit(const struct nft_table *t, const struct nft_chain *c)
{
	if (!c->base || is_martians(t, c))
		return false;
	/* Hooks of the families netdev and bridge have numbers of their own. */
	if (t->family != NFPROTO_INET && t->family != NFPROTO_IPV4 && t->family != NFPROTO_IPV6)
		return true;
	return c->hook != NF_INET_LOCAL_IN && c->hook != NF_INET_LOCAL_OUT;
}

static const struct nft_chain *find(const struct nft_ruleset *rs)
{
	for (size_t i = 0; i < rs->n; i++) {
		const struct nft_nodes *m = &rs->tables[i]->nodes[NFT_CHAIN];

		for (size_t k = 0; k < m->n; k++) {
			const struct nft_chain *c = (const void *)m->v[k];

			if (sees_transit(rs->tables[i], c))
				return c;
		}
	}
	return NULL;
}

static void look(struct nft_ruleset *rs, const struct rec *want)
{
	const struct nft_chain *c = find(rs);

	*reason = '\0';
	if (!c)
		return;
	snprintf(reason, sizeof(reason), "policy: chain %s judges packets in passing",
		 c->node.name);
	fast_gate_closed();
}
NFT_SOURCE(dataplane, ORDER_LAST, look);

const char *fast_gate(void)
{
	return reason;
}
