/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Before tracking: addresses that no host has, sources that are not routed back. */
#include "firewall/compile.h"
#include "firewall/policy_set.h"

#include <linux/netfilter_ipv4.h>
#include <string.h>

static void martian_set(struct fwc *f, bool v6, bool source)
{
	uint8_t family = v6 ? AF_INET6 : AF_INET;
	struct rtr_prefix nets[8];
	size_t n = pol_martians(family, source, nets, ARRAY_LEN(nets));
	struct pol_ranges l = { 0 };
	struct pol_addrs *a;
	struct nft_set *s;
	char name[32];

	snprintf(name, sizeof(name), "martian%d.%s", v6 ? 6 : 4, source ? "src" : "dst");
	for (size_t i = 0; i < n; i++)
		pol_ranges_add_prefix(&l, &nets[i]);
	a = pol_ranges_set(&l, family, NULL);
	/* 0.0.0.0 asks for an address; 255.255.255.255 is no one's. */
	if (!v6 && source)
		a->r[0].lo.b[3] = 1;
	s = nft_set_new(&(struct nft_set_spec){
		.name = name,
		.flags = NFT_SET_INTERVAL,
		.key_type = v6 ? NFT_T_IP6ADDR : NFT_T_IPADDR,
		.key_size = (uint8_t)rtr_family_size(family),
	});
	for (size_t i = 0; i < a->n; i++)
		nft_set_add_range(s, a->r[i].lo.b, a->r[i].hi.b, NULL);
	nft_table_add_set(f->t, s);
	pol_addrs_unref(a);
	pol_ranges_fini(&l);
}

static void load_addr(struct nft_rule *r, bool v6, bool source)
{
	unsigned size = v6 ? 16 : 4, at = v6 ? 8 : 12;

	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, source ? at : at + size, size, NFT_REG_1);
}

static void martians(struct fwc *f, struct nft_chain *c)
{
	for (int v6 = 0; v6 < 2; v6++) {
		for (int source = 1; source >= 0; source--) {
			struct nft_rule *r = nft_rule_new(FW_CNT_ID(FW_CNT_MARTIAN), NULL,
							  "martian");
			char name[32];

			martian_set(f, v6, source);
			snprintf(name, sizeof(name), "martian%d.%s", v6 ? 6 : 4,
				 source ? "src" : "dst");
			nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
			load_addr(r, v6, source);
			nft_lookup(r, name, NFT_REG_1, false);
			nft_counter(r);
			nft_verdict(r, NF_DROP);
			nft_chain_add(c, r);
		}
	}
}

/* Who has no address yet, or speaks on this link only, is not routed to. */
static void urpf_except(struct nft_chain *c, bool v6)
{
	static const uint8_t zero[16], ll[2] = { 0xfe, 0x80 }, mask[2] = { 0xff, 0xc0 };
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	load_addr(r, v6, true);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, zero, v6 ? 16 : 4);
	nft_verdict(r, NFT_RETURN);
	nft_chain_add(c, r);
	if (!v6)
		return;
	r = nft_rule_new(0, NULL, NULL);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 8, 2, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, 2, mask, zero);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, ll, 2);
	nft_verdict(r, NFT_RETURN);
	nft_chain_add(c, r);
}

/* One way to ask; a chain each. */
struct urpf {
	const struct pol_iface *i;
	const struct pol_addrs *also; /* feasible sources; NULL: none */
	bool v6, loose, alias;
};

static void urpf_also(struct fwc *f, struct nft_chain *c, const struct urpf *u, const char *iface)
{
	struct nft_rule *r = nft_rule_new(0, u->i->rec, "feasible");
	char name[FWC_NAME];
	struct nft_set *s;

	snprintf(name, sizeof(name), "feasible%c.%s", u->v6 ? '6' : '4', iface);
	if (!nft_table_set(f->t, name)) {
		s = nft_set_new(&(struct nft_set_spec){
			.name = name,
			.flags = NFT_SET_INTERVAL,
			.key_type = u->v6 ? NFT_T_IP6ADDR : NFT_T_IPADDR,
			.key_size = (uint8_t)rtr_family_size(u->also->family) });
		for (size_t i = 0; i < u->also->n; i++)
			nft_set_add_range(s, u->also->r[i].lo.b, u->also->r[i].hi.b, NULL);
		nft_table_add_set(f->t, s);
	}
	load_addr(r, u->v6, true);
	nft_lookup(r, name, NFT_REG_1, false);
	nft_verdict(r, NFT_RETURN);
	nft_chain_add(c, r);
}

/* The kernel's lookup knows macvlans as interfaces of their own, that no route leads out by: for
 * them the way back is compared with the name of the interface below. */
static void urpf_ask(struct nft_rule *r, const struct urpf *u)
{
	static const uint32_t none;
	char name[IFNAMSIZ] = "";

	if (u->alias && !u->loose) {
		rtr_strlcpy(name, u->i->name, sizeof(name));
		nft_fib(r, NFTA_FIB_F_SADDR, NFT_FIB_RESULT_OIFNAME, NFT_REG_1);
		nft_cmp(r, NFT_REG_1, NFT_CMP_NEQ, name, sizeof(name));
		return;
	}
	nft_fib(r, NFTA_FIB_F_SADDR | (u->loose ? 0 : NFTA_FIB_F_IIF), NFT_FIB_RESULT_OIF,
		NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &none, sizeof(none));
}

/* The chain that asks; made once. */
static void urpf_chain(struct fwc *f, const struct urpf *u, char name[FWC_NAME])
{
	char iface[FWC_PART];
	struct nft_chain *c;
	struct nft_rule *r;

	fwc_part(u->i->name, iface);
	if (u->alias || u->also)
		snprintf(name, FWC_NAME, "urpf%c.%s.%s", u->v6 ? '6' : '4',
			 u->loose   ? "loose"
			 : u->alias ? "alias"
				    : "feasible",
			 iface);
	else
		snprintf(name, FWC_NAME, "urpf%c.%s", u->v6 ? '6' : '4',
			 u->loose ? "loose" : "strict");
	if (nft_table_chain(f->t, name))
		return;
	c = nft_chain_new(&(struct nft_chain_spec){ .name = name });
	urpf_except(c, u->v6);
	if (u->also && u->also->n)
		urpf_also(f, c, u, iface);
	r = nft_rule_new(FW_CNT_ID(FW_CNT_URPF), NULL, "no way back");
	urpf_ask(r, u);
	nft_counter(r);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
	nft_table_add_chain(f->t, c);
}

static void urpf_iface(struct fwc *f, struct nft_set *s, const struct pol_iface *i, bool v6)
{
	enum pol_urpf mode = v6 ? i->urpf6 : i->urpf4;
	struct urpf u = { .i = i, .v6 = v6, .loose = mode == POL_URPF_LOOSE };
	char name[FWC_NAME];

	if (mode == POL_URPF_OFF)
		return;
	if (mode == POL_URPF_FEASIBLE)
		u.also = v6 ? i->feasible6 : i->feasible4;
	for (const char *n = i->name; n; n = pol_alias_next(f->p->aliases, i->name, n)) {
		u.alias = strcmp(n, i->name);
		urpf_chain(f, &u, name);
		fwc_name_to(s, n, &(struct nft_data){ .verdict = NFT_JUMP, .chain = name });
	}
}

static void urpf(struct fwc *f, struct nft_chain *base, bool v6)
{
	const char *map = v6 ? "urpf6" : "urpf4";
	struct nft_set *s = fwc_iface_map(map);
	struct nft_rule *r;

	for (size_t i = 0; i < f->p->n_ifaces; i++)
		urpf_iface(f, s, &f->p->ifaces[i], v6);
	if (!nft_set_len(s)) {
		nft_set_unref(s);
		return;
	}
	nft_table_add_set(f->t, s);
	r = nft_rule_new(0, NULL, NULL);
	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_meta(r, NFT_META_IIFNAME, NFT_REG_1);
	nft_vmap(r, map, NFT_REG_1);
	nft_chain_add(base, r);
}

static bool any_urpf(const struct policy *p)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		if (p->ifaces[i].urpf4 || p->ifaces[i].urpf6)
			return true;
	}
	return false;
}

void fwc_raw(struct fwc *f)
{
	bool martian = f->p->martians && f->p->n_ifaces;
	struct nft_chain *c;
	struct nft_rule *r;

	if (!martian && !any_urpf(f->p))
		return;
	c = fwc_base("fw-raw", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW, NF_ACCEPT);
	r = nft_rule_new(0, NULL, NULL);
	nft_iif_is(r, "lo");
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
	if (martian)
		martians(f, c);
	urpf(f, c, false);
	urpf(f, c, true);
	nft_table_add_chain(f->t, c);
}
