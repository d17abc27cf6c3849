/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of a list that are rules of their own, judged in their place: see list_box.h. */
#include "firewall/list_impl.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <string.h>

void lc_in_range(struct nft_rule *r, const void *lo, const void *hi, unsigned size)
{
	if (!memcmp(lo, hi, size))
		nft_cmp(r, REG(0), NFT_CMP_EQ, lo, size);
	else
		nft_range(r, REG(0), NFT_RANGE_EQ, lo, hi, size);
}

/* What several lines name by its group is one set. */
static void addr_set_name(const struct lc_list *l, const struct pol_rule *p, enum lb_field f,
			  char name[NAME_SIZE])
{
	const struct pol_addrs *a = f == LB_DST ? p->dst : p->src;

	if (a->group)
		snprintf(name, NAME_SIZE, "group%d.%s", p->family == AF_INET6 ? 6 : 4, a->group);
	else
		snprintf(name, NAME_SIZE, "%s.%u.%s", l->key, p->seq, f == LB_DST ? "dst" : "src");
}

static void match_addrs(struct nft_rule *r, const struct lc_list *l, const struct pol_rule *p,
			enum lb_field f)
{
	const struct pol_addrs *a = f == LB_DST ? p->dst : p->src;
	unsigned size = rtr_family_size(p->family), at = p->family == AF_INET6 ? 8 : 12;
	char name[NAME_SIZE];

	if (!a)
		return;
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, f == LB_DST ? at + size : at, size, REG(0));
	if (a->n == 1) {
		lc_in_range(r, a->r[0].lo.b, a->r[0].hi.b, size);
		return;
	}
	addr_set_name(l, p, f, name);
	nft_lookup(r, name, REG(0), false);
}

void lc_add_addr_set(struct lc_list *l, const struct pol_rule *p, enum lb_field f)
{
	const struct pol_addrs *a = f == LB_DST ? p->dst : p->src;
	struct nft_set_spec spec = { .flags = NFT_SET_INTERVAL,
				     .key_type = p->family == AF_INET6 ? NFT_T_IP6ADDR
								       : NFT_T_IPADDR,
				     .key_size = (uint8_t)rtr_family_size(p->family),
				     .rec = p->rec };
	char name[NAME_SIZE];
	struct nft_set *s;

	if (!a || a->n == 1)
		return;
	addr_set_name(l, p, f, name);
	if (lc_holds_set(&l->sets, name))
		return;
	spec.name = name;
	s = nft_set_new(&spec);
	for (size_t i = 0; i < a->n; i++)
		nft_set_add_range(s, a->r[i].lo.b, a->r[i].hi.b, NULL);
	lc_hold_set(&l->sets, name, s);
}

static void match_ports(struct nft_rule *r, const struct pol_port_range *p, unsigned off)
{
	uint8_t lo[2], hi[2];

	if (p->lo == 0 && p->hi == UINT16_MAX)
		return;
	lc_put_num(lo, p->lo, 2);
	lc_put_num(hi, p->hi, 2);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, off, 2, REG(0));
	lc_in_range(r, lo, hi, 2);
}

static void match_byte(struct nft_rule *r, uint32_t base, uint32_t off, uint8_t lo, uint8_t hi)
{
	if (lo == 0 && hi == UINT8_MAX)
		return;
	nft_payload(r, base, off, 1, REG(0));
	lc_in_range(r, &lo, &hi, 1);
}

/* DSCP is six bits across two bytes in IPv6, the upper six of one in IPv4. */
static void match_dscp(struct nft_rule *r, const struct pol_rule *p, unsigned dscp)
{
	bool v6 = p->family == AF_INET6;
	uint8_t mask[2] = { 0x0f, 0xc0 }, want[2] = { 0 }, zero[2] = { 0 };

	if (v6) {
		want[0] = (uint8_t)(dscp >> 2);
		want[1] = (uint8_t)(dscp << 6);
	} else {
		mask[0] = 0xfc;
		want[0] = (uint8_t)(dscp << 2);
	}
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 0 : 1, v6 ? 2 : 1, REG(0));
	nft_bitwise(r, REG(0), REG(0), v6 ? 2 : 1, mask, zero);
	nft_cmp(r, REG(0), NFT_CMP_EQ, want, v6 ? 2 : 1);
}

static void match_length(struct nft_rule *r, const struct pol_rule *p)
{
	unsigned head = p->family == AF_INET6 ? 40 : 0;
	uint8_t lo[2], hi[2];

	if (p->len_lo == 0 && p->len_hi == UINT16_MAX)
		return;
	/* The header's own field; that of IPv6 counts the payload. */
	lc_put_num(lo, p->len_lo > head ? p->len_lo - head : 0, 2);
	lc_put_num(hi, p->len_hi > head ? p->len_hi - head : 0, 2);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, p->family == AF_INET6 ? 4 : 2, 2, REG(0));
	lc_in_range(r, lo, hi, 2);
}

static uint32_t ct_states(uint8_t states)
{
	static const uint32_t bits[] = { [POL_NEW] = NFT_CT_NEW,
					 [POL_ESTABLISHED] = NFT_CT_ESTABLISHED,
					 [POL_RELATED] = NFT_CT_RELATED,
					 [POL_INVALID] = NFT_CT_INVALID,
					 [POL_UNTRACKED] = NFT_CT_UNTRACKED };
	uint32_t m = 0;

	for (unsigned i = 0; i < ARRAY_LEN(bits); i++)
		if (states >> i & 1)
			m |= bits[i];
	return m;
}

static void match_service(struct nft_rule *r, const struct pol_service *s)
{
	if (s->proto != POL_PROTO_ANY)
		nft_l4proto_is(r, (uint8_t)s->proto);
	if (s->has_icmp_type)
		match_byte(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, s->icmp_type, s->icmp_type);
	if (s->has_icmp_code)
		match_byte(r, NFT_PAYLOAD_TRANSPORT_HEADER, 1, s->icmp_code, s->icmp_code);
}

/* One rule of the kernel: what a line's alternatives have in common, and one of each. */
struct alternative {
	const struct pol_service *s;
	const struct pol_port_range *sport, *dport;
	int flags, dscp; /* index, number; -1: any */
};

static void line_rule(const struct line *x, const struct alternative *a)
{
	const struct pol_rule *p = x->p;
	struct nft_rule *r = nft_rule_new(p->id, p->rec, NULL);
	static const uint8_t zero[1];

	if (p->states)
		nft_ct_state(r, ct_states(p->states));
	/* What nft would write, in its order: else it lists raw bytes, or aborts. */
	nft_family_is(r, p->family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	match_addrs(r, x->l, p, LB_SRC);
	match_addrs(r, x->l, p, LB_DST);
	if (a->dscp >= 0)
		match_dscp(r, p, (unsigned)a->dscp);
	match_byte(r, NFT_PAYLOAD_NETWORK_HEADER, p->family == AF_INET6 ? 7 : 8, p->ttl_lo,
		   p->ttl_hi);
	match_length(r, p);
	match_service(r, a->s);
	match_ports(r, a->sport, 0);
	match_ports(r, a->dport, 2);
	if (a->flags >= 0) {
		uint8_t mask = a->s->flags[a->flags].mask, value = a->s->flags[a->flags].value;

		nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, REG(0));
		nft_bitwise(r, REG(0), REG(0), 1, &mask, zero);
		nft_cmp(r, REG(0), NFT_CMP_EQ, &value, 1);
	}
	lc_line_act(r, x->u, p);
	nft_chain_add(x->c, r);
}

static const struct pol_port_range any_port = { 0, UINT16_MAX };

static void line_ports(const struct line *x, struct alternative *a)
{
	const struct pol_ports *sp = a->s->sport, *dp = a->s->dport;

	for (size_t i = 0; i < (sp ? sp->n : 1); i++) {
		for (size_t k = 0; k < (dp ? dp->n : 1); k++) {
			a->sport = sp ? &sp->r[i] : &any_port;
			a->dport = dp ? &dp->r[k] : &any_port;
			line_rule(x, a);
		}
	}
}

void lc_line_rules(const struct line *x)
{
	const struct pol_rule *p = x->p;

	for (size_t i = 0; i < p->n_services; i++) {
		struct alternative a = { .s = &p->services[i] };

		for (a.dscp = p->dscp ? 0 : -1; a.dscp < 64; a.dscp++) {
			if (a.dscp >= 0 && !(p->dscp >> a.dscp & 1))
				continue;
			for (int f = a.s->n_flags ? 0 : -1; f < (int)a.s->n_flags; f++) {
				a.flags = f;
				line_ports(x, &a);
			}
			if (a.dscp < 0)
				break;
		}
	}
}
