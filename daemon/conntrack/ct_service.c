/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `ip firewall timeout service`: the kernel has one timeout a state for all ports; those of single
 * ports are nft objects that a rule gives to a connection before its first packet has passed.
 * The port is the one that the client asks for: the rules stand before destination NAT, and in
 * output for the box itself.
 */
#include "conntrack/ct_conf.h"
#include "nft/nft_expr.h"

#include <linux/netfilter/nfnetlink_cttimeout.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>

/* Places in nft_obj_timeout's array are the kernel's numbers less one. */
#define PLACE(attr) ((attr)-1)

struct build {
	struct nft_ruleset *rs;
	struct nft_table *table; /* made for the first service: without one there are no rules */
	struct nft_chain *in, *out;
};

static struct nft_rule *rule(uint8_t nfproto, uint8_t proto, uint16_t port, const char *object,
			     const struct rec *rec)
{
	struct nft_rule *r = nft_rule_new(0, rec, NULL);
	uint8_t be[2] = { (uint8_t)(port >> 8), (uint8_t)port };

	nft_ct_state(r, NFT_CT_NEW);
	nft_family_is(r, nfproto);
	nft_l4proto_is(r, proto);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(be), NFT_REG32_00);
	nft_cmp(r, NFT_REG32_00, NFT_CMP_EQ, be, sizeof(be));
	nft_obj_use(r, NFT_OBJECT_CT_TIMEOUT, object);
	return r;
}

/* Objects belong to one family. */
static void add_family(struct build *b, uint8_t nfproto, uint8_t proto, uint16_t port,
		       uint32_t seconds, const struct rec *rec)
{
	uint32_t tcp[] = { [PLACE(CTA_TIMEOUT_TCP_ESTABLISHED)] = seconds };
	uint32_t udp[] = { [PLACE(CTA_TIMEOUT_UDP_UNREPLIED)] = seconds,
			   [PLACE(CTA_TIMEOUT_UDP_REPLIED)] = seconds };
	bool is_udp = proto == IPPROTO_UDP;
	struct nft_obj *o;
	char name[32];

	snprintf(name, sizeof(name), "service-%s-%u-%s", is_udp ? "udp" : "tcp", port,
		 nfproto == NFPROTO_IPV4 ? "ip" : "ip6");
	o = nft_obj_timeout(name, nfproto, proto, is_udp ? udp : tcp,
			    is_udp ? ARRAY_LEN(udp) : ARRAY_LEN(tcp));
	nft_obj_set_rec(o, rec);
	nft_table_add_obj(b->table, o);
	nft_chain_add(b->in, rule(nfproto, proto, port, name, rec));
	nft_chain_add(b->out, rule(nfproto, proto, port, name, rec));
}

static struct nft_chain *chain(const char *name, uint32_t hook)
{
	/* After the connection is known, before destination NAT. */
	return nft_chain_new(&(struct nft_chain_spec){ .name = name,
						       .type = "filter",
						       .hook = hook,
						       .prio = NF_IP_PRI_MANGLE,
						       .policy = NF_ACCEPT });
}

static void add(void *arg, uint8_t proto, uint16_t port, uint32_t seconds, const struct rec *rec)
{
	struct build *b = arg;

	if (!b->table) {
		b->table = nft_ruleset_table(b->rs, NFPROTO_INET, nft_table_name());
		b->in = chain("service-timeout-in", NF_INET_PRE_ROUTING);
		b->out = chain("service-timeout-out", NF_INET_LOCAL_OUT);
	}
	add_family(b, NFPROTO_IPV4, proto, port, seconds, rec);
	add_family(b, NFPROTO_IPV6, proto, port, seconds, rec);
}

static void build(struct nft_ruleset *rs, const struct rec *want)
{
	struct build b = { .rs = rs };

	ct_services(want, add, &b);
	if (!b.table)
		return;
	nft_table_add_chain(b.table, b.in);
	nft_table_add_chain(b.table, b.out);
}
NFT_SOURCE(conntrack, 50, build);
