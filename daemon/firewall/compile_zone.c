/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zones, their pairs and the box itself, as chains of nftables. */
#include "firewall/compile.h"
#include "firewall/policy_set.h"
#include "vrrp/vrrp_packet.h"

#include <linux/netfilter_ipv4.h>
#include <stdlib.h>
#include <string.h>

#define FORWARD_JUDGE "fw-forward.judge"
#define INPUT_JUDGE   "fw-input.judge"

static void add_verdict(struct nft_chain *c, int32_t code)
{
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	nft_verdict(r, code);
	nft_chain_add(c, r);
}

static void add_goto(struct nft_chain *c, const char *chain)
{
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	nft_goto(r, chain);
	nft_chain_add(c, r);
}

/* ---- classes of a pair ---- */

/* What is done with a packet of a class. */
static void act_chain(struct fwc *f, const struct pol_class *k, const char *name)
{
	struct nft_chain *c = nft_chain_new(
		&(struct nft_chain_spec){ .name = name, .rec = k->rec });
	uint32_t mark = k->id | (k->action == POL_PASS ? POL_LABEL_PASS : 0);
	struct nft_rule *r;

	if (k->action == POL_PERMIT || k->action == POL_PASS) {
		r = nft_rule_new(0, k->rec, NULL);
		fwc_label(r, 1, mark);
		nft_chain_add(c, r);
	}
	if (k->log)
		fwc_log(c, k->id, k->rec, 0);
	r = nft_rule_new(k->id, k->rec, k->name);
	nft_counter(r);
	if (k->action != POL_REJECT)
		nft_verdict(r, k->action == POL_DENY ? NF_DROP : NF_ACCEPT);
	nft_chain_add(c, r);
	/* Here, for the kernel follows 16 chains at most, and a list of the class is many of them.
	 */
	if (k->action == POL_REJECT)
		fwc_add_reject(c);
	nft_table_add_chain(f->t, c);
}

/* Connections that wait at a line with a server name pass until it is known. */
static bool wait_chains(struct fwc *f, const struct pol_class *k, const struct pol_list *l,
			const char *stem)
{
	bool any = false;

	for (size_t i = 0; i < l->n; i++) {
		const struct pol_rule *p = l->rules[i];
		char name[FWC_NAME + 24];
		struct nft_chain *c;
		struct nft_rule *r;

		if (!p->tls_name || !p->active)
			continue;
		any = true;
		snprintf(name, sizeof(name), "%s.%08x", stem, p->id);
		if (nft_table_chain(f->t, name))
			continue;
		c = nft_chain_new(&(struct nft_chain_spec){ .name = name, .rec = p->rec });
		r = nft_rule_new(0, p->rec, NULL);
		fwc_label(r, 1, pol_tls_class_chain(k, p) | inspect_wait(1));
		nft_chain_add(c, r);
		add_verdict(c, NF_ACCEPT);
		nft_table_add_chain(f->t, c);
	}
	return any;
}

/* How a list of a class is asked. */
struct asked {
	const struct pol_class *k;
	const char *yes;
	bool nested;
};

/* Asks one list: a permit goes on to `yes`, all else comes back. Those of a match-all class ask one
 * from within the other. */
static void ask(struct fwc *f, struct nft_chain *c, const struct pol_list *l, const char *name,
		const struct asked *a)
{
	struct lc_use use = { .chain = name,
			      .word = -1,
			      .count = true,
			      .lines = a->nested,
			      .carry = nft_cap(NFT_CAP_SECMARK) };
	char wait[FWC_NAME + 8];
	struct nft_rule *r;

	if (!l)
		return;
	snprintf(wait, sizeof(wait), "%s.wait", name);
	if (wait_chains(f, a->k, l, wait))
		use.wait = wait;
	for (size_t i = 0; i < LC_ACTIONS; i++)
		use.verdict[i] = (struct lc_verdict){ .code = NFT_RETURN };
	use.verdict[POL_PERMIT] = (struct lc_verdict){ .code = NFT_GOTO, .chain = a->yes };
	fwc_list(f, l, &use);
	r = nft_rule_new(0, l->rec, NULL);
	nft_family_is(r, l->family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_jump(r, name);
	nft_chain_add(c, r);
}

/* A class in names: its place in the pair, and the pair. */
struct place {
	size_t k;
	char pair[FWC_PART];
};

static void ask_both(struct fwc *f, struct nft_chain *c, const struct asked *a, size_t i,
		     const struct place *at)
{
	const struct pol_match *m = &a->k->matches[i];
	char name[FWC_NAME];

	snprintf(name, sizeof(name), "match4-%zu-%zu.%s", at->k, i, at->pair);
	ask(f, c, m->list4, name, a);
	snprintf(name, sizeof(name), "match6-%zu-%zu.%s", at->k, i, at->pair);
	ask(f, c, m->list6, name, a);
}

/* Rules of one class in the pair's chain. Of match-all each list leads to the next one. */
static void class_rules(struct fwc *f, struct nft_chain *pair, const struct pol_class *k,
			const struct place *at)
{
	char yes[FWC_NAME], step[FWC_NAME];

	snprintf(yes, sizeof(yes), "do%zu.%s", at->k, at->pair);
	act_chain(f, k, yes);
	if (!k->n_matches)
		add_goto(pair, yes);
	for (size_t i = 0; !k->match_all && i < k->n_matches; i++)
		ask_both(f, pair, &(struct asked){ k, yes, false }, i, at);
	for (size_t i = k->match_all ? k->n_matches : 0; i-- > 0;) {
		struct nft_chain *c = pair;

		if (i) {
			snprintf(step, sizeof(step), "and%zu-%zu.%s", at->k, i, at->pair);
			c = nft_chain_new(&(struct nft_chain_spec){ .name = step, .rec = k->rec });
		}
		ask_both(f, c, &(struct asked){ k, yes, true }, i, at);
		if (i) {
			nft_table_add_chain(f->t, c);
			rtr_strlcpy(yes, step, sizeof(yes));
		}
	}
}

static const char *pair_name(const struct pol_pair *p, char name[FWC_NAME])
{
	char part[FWC_PART];

	snprintf(name, FWC_NAME, "pair.%s", fwc_part(p->name, part));
	return name;
}

static void pair_chain(struct fwc *f, const struct pol_pair *p)
{
	struct nft_chain *c;
	char name[FWC_NAME];
	struct place at;

	pair_name(p, name);
	fwc_part(p->name, at.pair);
	c = nft_chain_new(&(struct nft_chain_spec){ .name = name, .rec = p->rec });
	for (at.k = 0; at.k < p->n_classes; at.k++)
		class_rules(f, c, &p->classes[at.k], &at);
	fwc_drop(c, FW_CNT_NO_PAIR, "no class of the zone pair");
	nft_table_add_chain(f->t, c);
}

/* ---- through the box ---- */

/* Where packets from one zone go, by the interface that they leave by. */
static void from_zone(struct fwc *f, uint16_t zone, const char *name)
{
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){ .name = name });
	char map[FWC_NAME], pair[FWC_NAME];
	const struct policy *p = f->p;
	struct nft_set *s;

	snprintf(map, sizeof(map), "%s.to", name);
	s = fwc_iface_map(map);
	for (size_t i = 0; i < p->n_ifaces; i++) {
		const struct pol_iface *to = &p->ifaces[i];
		const struct pol_pair *pp = policy_pair(p, zone, to->zone);

		if (to->zone == zone && zone != POL_ZONE_NONE) {
			fwc_iface_to(f, s, to->name, NF_ACCEPT, NULL);
		} else if (to->zone != POL_ZONE_NONE && pp) {
			fwc_iface_to(f, s, to->name, NFT_GOTO, pair_name(pp, pair));
		} else if (to->zone != POL_ZONE_NONE && zone == POL_ZONE_NONE) {
			fwc_iface_to(f, s, to->name, NFT_GOTO, "fw-no-pair");
		}
	}
	nft_table_add_set(f->t, s);
	fwc_iface_vmap(c, NFT_META_OIFNAME, map);
	if (zone == POL_ZONE_NONE)
		add_verdict(c, NF_ACCEPT);
	else
		add_goto(c, "fw-no-pair");
	nft_table_add_chain(f->t, c);
}

static void forward_judge(struct fwc *f)
{
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){ .name = FORWARD_JUDGE });
	struct nft_set *s = fwc_iface_map("zone-of");
	const struct policy *p = f->p;
	char name[FWC_NAME], part[FWC_PART];

	for (size_t i = 0; i < p->n_zones; i++) {
		snprintf(name, sizeof(name), "from.%s", fwc_part(p->zones[i].name, part));
		from_zone(f, p->zones[i].id, name);
	}
	for (size_t i = 0; i < p->n_ifaces; i++) {
		const struct pol_zone *z = policy_zone(p, p->ifaces[i].zone);

		if (!z)
			continue;
		snprintf(name, sizeof(name), "from.%s", fwc_part(z->name, part));
		fwc_iface_to(f, s, p->ifaces[i].name, NFT_GOTO, name);
	}
	nft_table_add_set(f->t, s);
	from_zone(f, POL_ZONE_NONE, "from-none");
	fwc_iface_vmap(c, NFT_META_IIFNAME, "zone-of");
	add_goto(c, "from-none");
	nft_table_add_chain(f->t, c);
}

static void add_no_pair(struct fwc *f)
{
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){ .name = "fw-no-pair" });

	fwc_drop(c, FW_CNT_NO_PAIR, "no zone pair");
	nft_table_add_chain(f->t, c);
}

static void drop_invalid(struct nft_chain *c)
{
	struct nft_rule *r = nft_rule_new(FW_CNT_ID(FW_CNT_INVALID), NULL, "invalid state");

	nft_ct_state(r, NFT_CT_INVALID);
	nft_counter(r);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
}

static void build_forward(struct fwc *f)
{
	bool zones = f->p->n_zones;
	struct nft_chain *c = fwc_base("fw-forward", NF_INET_FORWARD, NF_IP_PRI_FILTER,
				       zones ? NF_DROP : NF_ACCEPT);

	fwc_syn_to(f, c, zones ? FORWARD_JUDGE : NULL);
	drop_invalid(c);
	fwc_accept_known(f, c, FORWARD_JUDGE);
	fwc_label_iface(c, NFT_META_IIF, false);
	fwc_label_iface(c, NFT_META_OIF, true);
	if (zones) {
		forward_judge(f);
		add_goto(c, FORWARD_JUDGE);
	}
	nft_table_add_chain(f->t, c);
}

/* ---- the box itself ---- */

static void match_net(struct nft_rule *r, const struct pol_addrs *a, bool v6, bool source)
{
	unsigned size = v6 ? 16 : 4, at = v6 ? 8 : 12;

	if (!a)
		return;
	/* A permit names one network. */
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, source ? at : at + size, size, NFT_REG_1);
	nft_range(r, NFT_REG_1, NFT_RANGE_EQ, a->r[0].lo.b, a->r[0].hi.b, size);
}

static void match_port(struct nft_rule *r, const struct pol_ports *p, unsigned off)
{
	uint16_t lo, hi;

	if (!p)
		return;
	lo = htons(p->r[0].lo);
	hi = htons(p->r[0].hi);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, off, 2, NFT_REG_1);
	nft_range(r, NFT_REG_1, NFT_RANGE_EQ, &lo, &hi, 2);
}

/* What a service opened: one rule, as fw_local_permit makes it. ifname NULL: by any interface. */
static void local_rule(struct nft_chain *c, const struct pol_local *l, const char *ifname)
{
	const struct pol_service *s = &l->rule->services[0];
	bool v6 = l->rule->family == AF_INET6;
	struct nft_rule *r = nft_rule_new(l->rule->id, l->rule->rec, l->why);

	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	if (ifname)
		nft_iif_is(r, ifname);
	if (s->proto != POL_PROTO_ANY)
		nft_l4proto_is(r, (uint8_t)s->proto);
	match_net(r, l->rule->src, v6, true);
	match_net(r, l->rule->dst, v6, false);
	match_port(r, s->sport, 0);
	match_port(r, s->dport, 2);
	if (s->has_icmp_type) {
		nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
		nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &s->icmp_type, 1);
	}
	if (l->rule->ttl_lo == l->rule->ttl_hi) {
		nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 7 : 8, 1, NFT_REG_1);
		nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &l->rule->ttl_lo, 1);
	}
	nft_counter(r);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
}

static void input_judge(struct fwc *f)
{
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){ .name = INPUT_JUDGE });
	struct nft_set *open = fwc_iface_map("box-open"), *s = fwc_iface_map("box-from");
	const struct policy *p = f->p;
	char pair[FWC_NAME];

	for (size_t i = 0; i < p->n_ifaces; i++) {
		const struct pol_zone *z = policy_zone(p, p->ifaces[i].zone);
		const struct pol_pair *pp = z ? policy_pair(p, z->id, POL_ZONE_SELF) : NULL;

		if (z && z->management) {
			fwc_iface_to(f, open, p->ifaces[i].name, NF_ACCEPT, NULL);
		} else if (pp) {
			fwc_iface_to(f, s, p->ifaces[i].name, NFT_GOTO, pair_name(pp, pair));
		}
	}
	nft_table_add_set(f->t, open);
	nft_table_add_set(f->t, s);
	fwc_iface_vmap(c, NFT_META_IIFNAME, "box-open");
	for (size_t i = 0; i < p->n_locals; i++) {
		const struct pol_local *l = &p->locals[i];

		if (!*l->iface)
			local_rule(c, l, NULL);
		for (const char *n = *l->iface ? l->iface : NULL; n;
		     n = pol_alias_next(p->aliases, l->iface, n))
			local_rule(c, l, n);
	}
	fwc_iface_vmap(c, NFT_META_IIFNAME, "box-from");
	fwc_drop(c, FW_CNT_BOX, "the box is closed");
	nft_table_add_chain(f->t, c);
}

static void build_input(struct fwc *f)
{
	bool zones = f->p->n_zones;
	struct nft_chain *c = fwc_base("fw-input", NF_INET_LOCAL_IN, NF_IP_PRI_FILTER,
				       zones ? NF_DROP : NF_ACCEPT);
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	nft_iif_is(r, "lo");
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
	drop_invalid(c);
	fwc_accept_known(f, c, INPUT_JUDGE);
	fwc_label_iface(c, NFT_META_IIF, false);
	if (zones) {
		input_judge(f);
		add_goto(c, INPUT_JUDGE);
	}
	nft_table_add_chain(f->t, c);
}

/* The router's own VRRP adverts to unicast peers: not sent, both routers would be master. */
static void accept_adverts(struct nft_chain *c)
{
	struct nft_rule *r = nft_rule_new(0, NULL, "vrrp");

	nft_l4proto_is(r, VRRP_PROTO);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
}

static void build_output(struct fwc *f)
{
	struct nft_set *s = fwc_iface_map("box-to");
	struct nft_chain *c;
	struct nft_rule *r;
	char pair[FWC_NAME];

	for (size_t i = 0; i < f->p->n_ifaces; i++) {
		const struct pol_iface *to = &f->p->ifaces[i];
		const struct pol_pair *pp = to->zone ? policy_pair(f->p, POL_ZONE_SELF, to->zone)
						     : NULL;

		if (!pp)
			continue;
		fwc_iface_to(f, s, to->name, NFT_GOTO, pair_name(pp, pair));
	}
	if (!nft_set_len(s)) {
		nft_set_unref(s);
		return;
	}
	nft_table_add_set(f->t, s);
	c = fwc_base("fw-output", NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER, NF_ACCEPT);
	r = nft_rule_new(0, NULL, NULL);
	nft_oif_is(r, "lo");
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
	fwc_accept_known(f, c, "fw-output.judge");
	fwc_accept_nd(c);
	accept_adverts(c);
	add_goto(c, "fw-output.judge");
	nft_table_add_chain(f->t, c);
	c = nft_chain_new(&(struct nft_chain_spec){ .name = "fw-output.judge" });
	fwc_iface_vmap(c, NFT_META_OIFNAME, "box-to");
	nft_table_add_chain(f->t, c);
}

void fwc_zones(struct fwc *f)
{
	if (!f->p->stateful)
		return;
	if (f->p->n_zones) {
		add_no_pair(f);
		for (size_t i = 0; i < f->p->n_pairs; i++)
			pair_chain(f, &f->p->pairs[i]);
	}
	build_forward(f);
	build_input(f);
	build_output(f);
}
