/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accept_Mode off (`no accept-mode`, RFC 9568 section 6.1): a master forwards for the group and
 * answers ARP and neighbour discovery, but is no host under the virtual addresses. The kernel has
 * to have them to answer at all, so what is sent to them is dropped at the input hook. The rules
 * stand on backups too, where nothing meets them.
 */
#include "nft/nft.h"
#include "nft/nft_expr.h"
#include "vrrp/vrrp.h"

#include <linux/netfilter_ipv4.h>
#include <netinet/icmp6.h>

/* Before whatever the firewall accepts. */
#define PRIORITY (NF_IP_PRI_FILTER - 5)

static struct nft_rule *rule_to(const struct vrrp_want *w, const struct rtr_addr *a)
{
	struct nft_rule *r = nft_rule_new(0, w->rec, "vrrp: no accept-mode");
	bool v4 = a->family == AF_INET;

	nft_family_is(r, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, v4 ? 16 : 24, rtr_family_size(a->family),
		    NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, a->b, rtr_family_size(a->family));
	return r;
}

static void add_rules(struct nft_chain *c, const struct vrrp_want *w)
{
	static const uint8_t first = ND_ROUTER_SOLICIT, last = ND_NEIGHBOR_ADVERT;

	for (unsigned i = 0; i < w->conf.n_addrs; i++) {
		const struct rtr_addr *a = &w->conf.addrs[i];
		struct nft_rule *r = rule_to(w, a);

		if (a->family == AF_INET6) {
			nft_l4proto_is(r, IPPROTO_ICMPV6);
			nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
			nft_range(r, NFT_REG_1, NFT_RANGE_EQ, &first, &last, 1);
			nft_verdict(r, NF_ACCEPT);
			nft_chain_add(c, r);
			r = rule_to(w, a);
		}
		nft_counter(r);
		nft_verdict(r, NF_DROP);
		nft_chain_add(c, r);
	}
}

static void build(struct nft_ruleset *rs, const struct rec *want)
{
	struct nft_chain *c = NULL;
	struct vrrp_wants ws;

	vrrp_want(want, &ws);
	for (size_t i = 0; i < ws.n; i++) {
		/* An owner is a host under its own address in any case. */
		if (!ws.v[i].no_accept || ws.v[i].conf.flags & VRRP_F_OWNER)
			continue;
		if (!c)
			c = nft_chain_new(&(struct nft_chain_spec){ .name = "vrrp-accept",
								    .type = "filter",
								    .hook = NF_INET_LOCAL_IN,
								    .prio = PRIORITY,
								    .policy = NF_ACCEPT });
		add_rules(c, &ws.v[i]);
	}
	if (c)
		nft_table_add_chain(nft_ruleset_table(rs, NFPROTO_INET, nft_table_name()), c);
	vrrp_wants_fini(&ws);
}

NFT_SOURCE(vrrp, 60, build);
