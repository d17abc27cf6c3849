/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What keeps the connection table from being filled: management goes by it, sources have quotas,
 * clients of protected services first prove that they are there. */
#include "firewall/compile.h"
#include "nat/nat_policy.h"

#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <linux/netfilter/nf_synproxy.h>
#include <string.h>

/* ---- management goes by the table ---- */

static struct nft_set *management(struct fwc *f)
{
	struct nft_set *s = nft_set_new(&(struct nft_set_spec){
		.name = "untracked", .key_type = NFT_T_IFNAME, .key_size = IFNAMSIZ });

	for (size_t i = 0; i < f->p->n_ifaces; i++) {
		if (!policy_untracked(f->p, &f->p->ifaces[i]))
			continue;
		fwc_iface_add(f, s, f->p->ifaces[i].name);
	}
	if (nft_set_len(s))
		return s;
	return nft_set_unref(s);
}

/* Translated connections have to be known, whoever they are from: what goes to an address that NAT
 * translates to, or comes from there, is tracked. The sets are NAT's own, in the same table. */
static void tracked_global(const struct fwc *f, struct nft_chain *c, bool dst)
{
	for (unsigned v6 = 0; f->p->nat && v6 < 2; v6++) {
		struct nft_rule *r;

		if (!nat_family_used(&f->p->nat->f[v6]))
			continue;
		r = nft_rule_new(0, NULL, "management");
		nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
		nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER,
			    (v6 ? 8 : 12) + (dst ? (v6 ? 16 : 4) : 0), v6 ? 16 : 4, NFT_REG_1);
		nft_lookup(r, v6 ? "nat_global6" : "nat_global4", NFT_REG_1, false);
		nft_verdict(r, NF_ACCEPT);
		nft_chain_add(c, r);
	}
}

static void notrack_if(struct nft_chain *c, uint32_t meta, bool local)
{
	static const uint32_t type = RTN_LOCAL;
	struct nft_rule *r = nft_rule_new(0, NULL, "management");

	nft_meta(r, meta, NFT_REG_1);
	nft_lookup(r, "untracked", NFT_REG_1, false);
	if (local) {
		nft_fib(r, NFTA_FIB_F_DADDR, NFT_FIB_RESULT_ADDRTYPE, NFT_REG_1);
		nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &type, sizeof(type));
	}
	nft_notrack(r);
	nft_chain_add(c, r);
}

/* ---- handshakes ---- */

#define FLAGS_MASK 0x17 /* FIN, SYN, RST, ACK */
#define FLAG_SYN   0x02

/* Segment sizes of Ethernet, and the window scale of every system of today. */
#define MSS4   1460
#define MSS6   1440
#define WSCALE 7

static const char *syn_set_name(bool v6)
{
	return v6 ? "syn-protected6" : "syn-protected";
}

/* Address and port of the protected services of a family. */
static void syn_set(struct fwc *f, bool v6)
{
	uint32_t addr = v6 ? NFT_T_IP6ADDR : NFT_T_IPADDR;
	uint8_t size = v6 ? 16 : 4;
	struct nft_set *s = nft_set_new(
		&(struct nft_set_spec){ .name = syn_set_name(v6),
					.key_type = NFT_T2(addr, NFT_T_INET_SERVICE),
					.key_size = (uint8_t)(size + 4),
					.n_fields = 2,
					.field_size = { size, 2 } });

	for (size_t i = 0; i < f->p->n_syn; i++) {
		const struct pol_syn *p = &f->p->syn[i];
		uint16_t port = htons(p->port);
		uint8_t key[20] = { 0 };

		if ((p->addr.family == AF_INET6) != v6)
			continue;
		memcpy(key, p->addr.b, size);
		memcpy(key + size, &port, 2);
		nft_set_add(s, key, NULL);
	}
	if (nft_set_len(s))
		nft_table_add_set(f->t, s);
	else
		nft_set_unref(s);
}

static void to_service(struct nft_rule *r, bool v6)
{
	unsigned size = v6 ? 16 : 4;

	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 24 : 16, size, NFT_REG32_00);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_00 + size / 4);
	nft_lookup(r, syn_set_name(v6), NFT_REG32_00, false);
}

static bool has_services(const struct fwc *f, bool v6)
{
	return nft_table_set(f->t, syn_set_name(v6));
}

/* A SYN to a service is no connection yet. */
static void notrack_syn(struct fwc *f, struct nft_chain *c)
{
	static const uint8_t mask = FLAGS_MASK, syn = FLAG_SYN, zero;

	for (int v6 = 0; v6 < 2; v6++) {
		struct nft_rule *r;

		if (!has_services(f, v6))
			continue;
		r = nft_rule_new(0, NULL, "handshake");
		to_service(r, v6);
		nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, NFT_REG_1);
		nft_bitwise(r, NFT_REG_1, NFT_REG_1, 1, &mask, &zero);
		nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &syn, 1);
		nft_notrack(r);
		nft_chain_add(c, r);
	}
}

/* Untracked SYNs, and the ACKs that answer our own SYN-ACKs: they are judged like new ones, and
 * what may pass comes to the proxy. */
void fwc_syn_to(struct fwc *f, struct nft_chain *c, const char *judge)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct nft_rule *r;

		if (!has_services(f, v6))
			continue;
		r = nft_rule_new(0, NULL, "handshake");
		nft_ct_state(r, NFT_CT_INVALID | NFT_CT_UNTRACKED);
		to_service(r, v6);
		if (judge)
			nft_goto(r, judge);
		else
			nft_verdict(r, NF_ACCEPT);
		nft_chain_add(c, r);
	}
}

#define OPTIONS                                                                                    \
	(NF_SYNPROXY_OPT_MSS | NF_SYNPROXY_OPT_WSCALE | NF_SYNPROXY_OPT_SACK_PERM |                \
	 NF_SYNPROXY_OPT_TIMESTAMP)

static void proxy(struct nft_chain *c, const struct pol_syn *p, bool v6)
{
	struct nft_rule *r = nft_rule_new(0, p->rec, "handshake");
	uint16_t port = htons(p->port);
	unsigned size = v6 ? 16 : 4;

	nft_ct_state(r, NFT_CT_INVALID | NFT_CT_UNTRACKED);
	if (!v6)
		nft_family_is(r, NFPROTO_IPV4);
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 24 : 16, size, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, p->addr.b, size);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &port, 2);
	if (v6)
		nft_xt_synproxy6(r, p->mss ? p->mss : MSS6, WSCALE, OPTIONS);
	else
		nft_synproxy(r, p->mss ? p->mss : MSS4, WSCALE, OPTIONS);
	nft_chain_add(c, r);
}

static void proxies(struct fwc *f, struct nft_chain *c, bool v6)
{
	for (size_t i = 0; i < f->p->n_syn; i++) {
		if ((f->p->syn[i].addr.family == AF_INET6) == v6)
			proxy(c, &f->p->syn[i], v6);
	}
}

static void build_syn(struct fwc *f)
{
	struct nft_chain *c = fwc_base("fw-syn", NF_INET_FORWARD, NF_IP_PRI_FILTER + 20, NF_ACCEPT);
	struct nft_rule *r;

	proxies(f, c, false);
	r = nft_rule_new(FW_CNT_ID(FW_CNT_INVALID), NULL, "invalid state");
	nft_ct_state(r, NFT_CT_INVALID);
	nft_counter(r);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
	nft_table_add_chain(f->t, c);
	if (!has_services(f, true))
		return;
	/* The target is for tables of its own family. */
	c = fwc_base("fw-syn6", NF_INET_FORWARD, NF_IP_PRI_FILTER + 19, NF_ACCEPT);
	proxies(f, c, true);
	nft_table_add_chain(nft_ruleset_table(f->rs, NFPROTO_IPV6, nft_table_name()), c);
}

/* ---- quotas ---- */

/* Sources with live connections that are counted: bounds memory. Beyond it the kernel ends the rule
 * for a new one, which goes on uncounted. So be it: so many come of a flood with forged sources, a
 * packet from each, which no quota holds, and others are not to be locked out by it. */
#define QUOTA_SOURCES 1048576

static void quota(struct fwc *f, struct nft_chain *c, bool v6)
{
	static const uint8_t net64[16] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	static const uint8_t none[16];
	const char *name = v6 ? "quota6" : "quota4";
	struct nft_rule *r = nft_rule_new(FW_CNT_ID(FW_CNT_HOST), NULL, "above host-sessions");

	nft_table_add_set(f->t, nft_set_new(&(struct nft_set_spec){ .name = name,
								    .flags = NFT_SET_EVAL,
								    .key_type = v6 ? NFT_T_IP6ADDR
										   : NFT_T_IPADDR,
								    .key_size = v6 ? 16 : 4,
								    .size = QUOTA_SOURCES }));
	nft_ct_state(r, NFT_CT_NEW);
	nft_ct_unconfirmed(r);
	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 8 : 12, v6 ? 16 : 4, NFT_REG_1);
	if (v6)
		nft_bitwise(r, NFT_REG_1, NFT_REG_1, 16, net64, none);
	nft_dynset(r, name, NFT_DYNSET_OP_ADD, NFT_REG_1, 0, 0,
		   &(struct nft_stateful){
			   .kind = NFT_S_CONNLIMIT, .value = f->p->host_sessions, .over = true },
		   1);
	nft_counter(r);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
}

void fwc_guards(struct fwc *f)
{
	struct nft_set *m = management(f);
	bool syn = f->p->n_syn;
	struct nft_chain *c;

	syn_set(f, false);
	syn_set(f, true);

	if (m || syn) {
		c = fwc_base("fw-notrack", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW + 10, NF_ACCEPT);
		if (syn)
			notrack_syn(f, c);
		if (m) {
			tracked_global(f, c, true);
			notrack_if(c, NFT_META_IIFNAME, true);
		}
		nft_table_add_chain(f->t, c);
	}
	if (m) {
		nft_table_add_set(f->t, m);
		c = fwc_base("fw-notrack-out", NF_INET_LOCAL_OUT, NF_IP_PRI_RAW + 10, NF_ACCEPT);
		tracked_global(f, c, false);
		notrack_if(c, NFT_META_OIFNAME, false);
		nft_table_add_chain(f->t, c);
	}
	if (syn)
		build_syn(f);
	if (f->p->host_sessions) {
		c = fwc_base("fw-quota", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE - 10, NF_ACCEPT);
		quota(f, c, false);
		quota(f, c, true);
		nft_table_add_chain(f->t, c);
	}
}
