/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source translation into the kernel's ports. Linux would keep any source port, also one of the
 * fast plane's; so every rule names a range. A source port inside is kept while it is free.
 *
 * When forwards have cut the range into pieces, one range will not do. Then:
 *	source port in a piece           -> that piece (map nat_kport), so it can be kept
 *	else hash of source and port     -> a piece by its share of the ports (map nat_khash)
 * so that an inside endpoint has one piece for all destinations. ICMP identifiers likewise.
 */
#include "nat/nat_nft.h"

#include <linux/netfilter/nf_nat.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#define KPORT "nat_kport"
#define KHASH "nat_khash"
#define L4    "nat_l4"

/* Registers of every rule here: key from W(0), address from W(4), ports in the last two. */
#define REG_ADDR W(4)
#define REG_LO   W(12)
#define REG_HI   W(13)

static const struct pol_ports *pieces(const struct nat_build *b)
{
	return b->p->ports[NAT_PORTS_KERNEL];
}

static uint32_t n_ports(const struct nat_build *b)
{
	const struct pol_ports *p = pieces(b);
	uint32_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->r[i].hi - p->r[i].lo + 1u;
	return n;
}

static void add_piece_maps(struct nat_build *b)
{
	struct nft_set *by_port = nft_set_new(
		&(struct nft_set_spec){ .name = KPORT,
					.flags = NFT_SET_INTERVAL,
					.key_type = NFT_T_INET_SERVICE,
					.key_size = 2,
					.data_type = NFT_T2(NFT_T_INET_SERVICE, NFT_T_INET_SERVICE),
					.data_size = 8 });
	struct nft_set *by_hash = nft_set_new(
		&(struct nft_set_spec){ .name = KHASH,
					.flags = NFT_SET_INTERVAL,
					.key_type = NFT_T_INTEGER,
					.key_size = 4,
					.data_type = NFT_T2(NFT_T_INET_SERVICE, NFT_T_INET_SERVICE),
					.data_size = 8 });
	const struct pol_ports *p = pieces(b);
	uint32_t at = 0;

	for (size_t i = 0; i < p->n; i++) {
		uint16_t lo = htons(p->r[i].lo), hi = htons(p->r[i].hi);
		uint32_t n = p->r[i].hi - p->r[i].lo + 1u;
		uint32_t first = htonl(at), last = htonl(at + n - 1);
		uint16_t both[4] = { lo, 0, hi, 0 };

		nft_set_add_range(by_port, &lo, &hi, &(struct nft_data){ .bytes = both });
		nft_set_add_range(by_hash, &first, &last, &(struct nft_data){ .bytes = both });
		at += n;
	}
	nat_put_set(b, KPORT, by_port);
	nat_put_set(b, KHASH, by_hash);
}

void nat_port_sets(struct nat_build *b)
{
	static const uint8_t l4[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP,
				      IPPROTO_UDPLITE };
	struct nft_set *s = nft_set_new(
		&(struct nft_set_spec){ .name = L4, .key_type = NFT_T_INET_PROTO, .key_size = 1 });

	for (size_t i = 0; i < ARRAY_LEN(l4); i++)
		nft_set_add(s, &l4[i], NULL);
	nat_put_set(b, L4, s);
	if (pieces(b)->n > 1)
		add_piece_maps(b);
}

/* ---- the translation itself ---- */

static void load_target(const struct nat_build *b, struct nft_rule *r, const struct nat_target *t)
{
	switch (t->kind) {
	case NAT_T_MASQ:
		break;
	case NAT_T_ADDRS:
		nft_imm(r, REG_ADDR, t->lo.b, b->size);
		nft_imm(r, REG_ADDR + b->words, t->hi.b, b->size);
		break;
	case NAT_T_ORIG_DST:
		nft_ct_dir(r, b->fam ? NFT_CT_DST_IP6 : NFT_CT_DST_IP, 0, REG_ADDR);
		break;
	case NAT_T_SAME:
		nat_load_src(b, r, REG_ADDR);
		break;
	}
}

static void translate(const struct nat_build *b, struct nft_rule *r, const struct nat_target *t,
		      bool ports)
{
	bool many = t->kind == NAT_T_ADDRS && rtr_addr_cmp(&t->lo, &t->hi);

	if (t->kind == NAT_T_MASQ) {
		nft_masq(r, ports ? REG_LO : 0, ports ? REG_HI : 0,
			 ports ? NF_NAT_RANGE_PROTO_SPECIFIED : 0); /* not implied, as by nat */
		return;
	}
	/* Persistent: a source has one address for all destinations (RFC 4787 REQ-2). */
	nft_nat(r, &(struct nft_nat){ .type = NFT_NAT_SNAT,
				      .family = b->nfproto,
				      .addr_lo = REG_ADDR,
				      .addr_hi = t->kind == NAT_T_ADDRS ? REG_ADDR + b->words
									: REG_ADDR,
				      .proto_lo = ports ? REG_LO : 0,
				      .proto_hi = ports ? REG_HI : 0,
				      .flags = many ? NF_NAT_RANGE_PERSISTENT : 0 });
}

static void end_rule(const struct nat_build *b, struct nft_chain *c, struct nft_rule *r,
		     const struct nat_target *t, bool ports)
{
	load_target(b, r, t);
	translate(b, r, t, ports);
	nft_chain_add(c, r);
}

static void match_l4(const struct nat_build *b, struct nft_rule *r, bool icmp)
{
	if (icmp) {
		nft_l4proto_is(r, b->fam ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
		return;
	}
	nft_meta(r, NFT_META_L4PROTO, W(0));
	nft_lookup(r, L4, W(0), false);
}

static void piece_rules(const struct nat_build *b, struct nft_chain *c, const struct nat_target *t,
			const struct rec *rec, bool icmp)
{
	/* The identifier of an echo request lies where ports have their checksum. */
	uint32_t off = icmp ? 4 : 0;
	struct nft_rule *r = nft_rule_new(0, rec, NULL);

	match_l4(b, r, icmp);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, off, 2, W(0));
	nft_map(r, KPORT, W(0), REG_LO);
	end_rule(b, c, r, t, true);

	r = nft_rule_new(0, rec, NULL);
	match_l4(b, r, icmp);
	nat_load_src(b, r, W(0));
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, off, 2, W(b->words));
	nft_jhash(r, W(0), b->size + 4, n_ports(b), 0, 0, W(0));
	nft_byteorder(r, W(0), W(0), NFT_BYTEORDER_HTON, 4, 4);
	nft_map(r, KHASH, W(0), REG_LO);
	end_rule(b, c, r, t, true);
}

void nat_snat_rules(struct nat_build *b, struct nft_chain *c, const struct nat_target *t,
		    const struct rec *rec)
{
	const struct pol_ports *p = pieces(b);
	struct nft_rule *r;

	if (p->n > 1) {
		piece_rules(b, c, t, rec, false);
		piece_rules(b, c, t, rec, true);
	}
	r = nft_rule_new(0, rec, NULL);
	if (p->n == 1) {
		/* Of protocols without ports the kernel looks at the address only. */
		uint16_t lo = htons(p->r[0].lo), hi = htons(p->r[0].hi);

		nft_imm(r, REG_LO, &lo, 2);
		nft_imm(r, REG_HI, &hi, 2);
	}
	end_rule(b, c, r, t, p->n == 1);
}
