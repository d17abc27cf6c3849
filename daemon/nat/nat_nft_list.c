/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A list as NAT asks it: permit or not. Where sources alone decide, it becomes one set; else a
 * chain of its lines, in order. NAT looks at the first packet of a connection only.
 */
#include "firewall/compile.h"
#include "nat/nat_nft.h"

#include <linux/netfilter.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing is cut: fwc_part bounds the operator's part. */
RTR_PRINTF(2, 3) static void name_set(char buf[NAT_NAME_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, NAT_NAME_MAX, fmt, ap);
	va_end(ap);
}

static struct nft_set *addr_set(const struct nat_build *b, const char *name,
				const struct pol_addrs *a)
{
	struct nft_set *s = nft_set_new(
		&(struct nft_set_spec){ .name = name,
					.flags = NFT_SET_INTERVAL,
					.key_type = b->fam ? NFT_T_IP6ADDR : NFT_T_IPADDR,
					.key_size = (uint8_t)b->size });

	for (size_t i = 0; i < a->n; i++)
		nft_set_add_range(s, a->r[i].lo.b, a->r[i].hi.b, NULL);
	return s;
}

/* The value at reg is one of a; one range needs no set. */
static void in_addrs(struct nat_build *b, struct nft_rule *r, uint32_t reg,
		     const struct pol_addrs *a, const char *name)
{
	if (a->n == 1) {
		nft_range(r, reg, NFT_RANGE_EQ, a->r[0].lo.b, a->r[0].hi.b, b->size);
		return;
	}
	if (!nat_has_set(b, name))
		nat_put_set(b, name, addr_set(b, name, a));
	nft_lookup(r, name, reg, false);
}

static void in_ports(struct nat_build *b, struct nft_rule *r, uint32_t off,
		     const struct pol_ports *p, const char *name)
{
	struct nft_set *s;

	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, off, 2, W(0));
	if (p->n == 1) {
		uint16_t lo = htons(p->r[0].lo), hi = htons(p->r[0].hi);

		nft_range(r, W(0), NFT_RANGE_EQ, &lo, &hi, 2);
		return;
	}
	if (!nat_has_set(b, name)) {
		s = nft_set_new(&(struct nft_set_spec){ .name = name,
							.flags = NFT_SET_INTERVAL,
							.key_type = NFT_T_INET_SERVICE,
							.key_size = 2 });
		for (size_t i = 0; i < p->n; i++) {
			uint16_t lo = htons(p->r[i].lo), hi = htons(p->r[i].hi);

			nft_set_add_range(s, &lo, &hi, NULL);
		}
		nat_put_set(b, name, s);
	}
	nft_lookup(r, name, W(0), false);
}

static void match_service(struct nat_build *b, struct nft_rule *r, const struct pol_service *s,
			  const char *name)
{
	char buf[NAT_NAME_MAX];

	if (s->proto != POL_PROTO_ANY)
		nft_l4proto_is(r, (uint8_t)s->proto);
	if (s->has_icmp_type) {
		nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, W(0));
		nft_cmp(r, W(0), NFT_CMP_EQ, &s->icmp_type, 1);
	}
	if (s->has_icmp_code) {
		nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 1, 1, W(0));
		nft_cmp(r, W(0), NFT_CMP_EQ, &s->icmp_code, 1);
	}
	name_set(buf, "%s.sp", name);
	if (s->sport)
		in_ports(b, r, 0, s->sport, buf);
	name_set(buf, "%s.dp", name);
	if (s->dport)
		in_ports(b, r, 2, s->dport, buf);
}

static void line_rules(struct nat_build *b, struct nft_chain *c, const struct pol_list *l,
		       const struct pol_rule *line, const struct nat_then *then)
{
	char name[NAT_NAME_MAX], set[NAT_NAME_MAX], part[FWC_PART];

	for (size_t k = 0; k < line->n_services; k++) {
		struct nft_rule *r = nft_rule_new(0, line->rec, NULL);

		name_set(name, "nat.list%c.%s.%u", b->v, fwc_part(l->name, part), line->seq);
		if (line->src) {
			nat_load_src(b, r, W(0));
			name_set(set, "%s.src", name);
			in_addrs(b, r, W(0), line->src, set);
		}
		if (line->dst) {
			nat_load_dst(b, r, W(0));
			name_set(set, "%s.dst", name);
			in_addrs(b, r, W(0), line->dst, set);
		}
		name_set(set, "%s.%zu", name, k);
		match_service(b, r, &line->services[k], set);
		if (line->action != POL_PERMIT)
			nft_verdict(r, NFT_RETURN);
		else if (then->verdict == NFT_GOTO)
			nft_goto(r, then->chain);
		else
			nft_verdict(r, then->verdict);
		nft_chain_add(c, r);
	}
}

static void add_entry(struct nat_build *b, struct nft_chain *c, const struct pol_list *l,
		      const char *oif, const char *chain, const struct nat_then *then)
{
	struct nft_rule *r = nft_rule_new(0, l->rec, l->name);

	if (*oif)
		nft_oif_is(r, oif);
	if (chain) {
		nft_jump(r, chain);
	} else {
		struct pol_addrs *a = nat_list_sources(l);
		char name[NAT_NAME_MAX], part[FWC_PART];

		name_set(name, "nat.list%c.%s", b->v, fwc_part(l->name, part));
		if (!a->n) { /* permits nobody */
			free(a);
			nft_rule_unref(r);
			return;
		}
		nat_load_src(b, r, W(0));
		in_addrs(b, r, W(0), a, name);
		free(a);
		if (then->verdict == NFT_GOTO)
			nft_goto(r, then->chain);
		else
			nft_verdict(r, then->verdict);
	}
	nft_chain_add(c, r);
}

void nat_list_rules(struct nat_build *b, struct nft_chain *c, const struct pol_list *l,
		    const char *oif, const char *key, const struct nat_then *then)
{
	struct nft_chain *own;

	if (nat_list_is_sources(l)) {
		add_entry(b, c, l, oif, NULL, then);
		return;
	}
	own = nat_chain(b, key);
	for (size_t i = 0; i < l->n; i++) {
		if (l->rules[i]->active)
			line_rules(b, own, l, l->rules[i], then);
	}
	add_entry(b, c, l, oif, key, then);
}
