/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the expressions of a rule, one call each, in the order in which the kernel runs them.
 * Registers are NFT_REG32_00 ... NFT_REG32_15 (four bytes each; a longer value takes those that
 * follow) or NFT_REG_1 ... NFT_REG_4 (sixteen bytes). Bytes are in network order where the packet
 * has them so; marks, states and interface indexes in the host's.
 * Owns: what is passed is copied. Threads: rtrd's loop only. Failure: aborts on a rule longer than
 * the kernel takes (NFT_RULE_MAXEXPRS); the kernel judges the rest at commit.
 */
#ifndef RTR_NFT_EXPR_H
#define RTR_NFT_EXPR_H

#include "nft/nft.h"

#define NFT_RULE_MAXEXPRS_OURS 128

/* ---- loads ---- */
void nft_payload(struct nft_rule *r, uint32_t base, uint32_t off, uint32_t len, uint32_t dreg);
void nft_meta(struct nft_rule *r, uint32_t key, uint32_t dreg);
void nft_ct(struct nft_rule *r, uint32_t key, uint32_t dreg);
void nft_ct_dir(struct nft_rule *r, uint32_t key, uint8_t dir, uint32_t dreg); /* IP_CT_DIR_* */
void nft_fib(struct nft_rule *r, uint32_t flags, uint32_t result, uint32_t dreg);
void nft_rt(struct nft_rule *r, uint32_t key, uint32_t dreg);
void nft_socket(struct nft_rule *r, uint32_t key, uint32_t dreg);
/* op: NFT_EXTHDR_OP_*; flags: NFT_EXTHDR_F_PRESENT. */
void nft_exthdr(struct nft_rule *r, uint32_t op, uint8_t type, uint32_t off, uint32_t len,
		uint32_t flags, uint32_t dreg);
void nft_osf(struct nft_rule *r, uint8_t ttl, uint32_t flags, uint32_t dreg);
/* Jenkins hash of len bytes at sreg, modulo, plus offset. */
void nft_jhash(struct nft_rule *r, uint32_t sreg, uint32_t len, uint32_t modulus, uint32_t seed,
	       uint32_t offset, uint32_t dreg);
void nft_numgen(struct nft_rule *r, uint32_t type, uint32_t modulus, uint32_t offset,
		uint32_t dreg);
void nft_imm(struct nft_rule *r, uint32_t dreg, const void *data, uint32_t len);

/* ---- arithmetic ---- */
void nft_bitwise(struct nft_rule *r, uint32_t sreg, uint32_t dreg, uint32_t len, const void *mask,
		 const void * xor);
void nft_shift(struct nft_rule *r, uint32_t sreg, uint32_t dreg, uint32_t len, bool left,
	       uint32_t bits);
void nft_byteorder(struct nft_rule *r, uint32_t sreg, uint32_t dreg, uint32_t op, uint32_t len,
		   uint32_t size);

/* ---- matches: the rule ends where one fails ---- */
void nft_cmp(struct nft_rule *r, uint32_t sreg, uint32_t op, const void *data, uint32_t len);
void nft_range(struct nft_rule *r, uint32_t sreg, uint32_t op, const void *lo, const void *hi,
	       uint32_t len);
void nft_lookup(struct nft_rule *r, const char *set, uint32_t sreg, bool invert);
/* Into dreg; no element, no match. */
void nft_map(struct nft_rule *r, const char *set, uint32_t sreg, uint32_t dreg);
/* Runs the element's verdict; without an element the rule does not match. */
void nft_vmap(struct nft_rule *r, const char *set, uint32_t sreg);

/* ---- both in one ---- */
void nft_meta_is(struct nft_rule *r, uint32_t key, const void *data, uint32_t len);
void nft_family_is(struct nft_rule *r, uint8_t nfproto); /* in inet tables */
void nft_l4proto_is(struct nft_rule *r, uint8_t proto);
/* Interface name; one that ends in '*' is a prefix. */
void nft_iif_is(struct nft_rule *r, const char *name);
void nft_oif_is(struct nft_rule *r, const char *name);
/* Any of these, 1 << IP_CT_NEW ... as nft has them. */
#define NFT_CT_INVALID     (1u << 0)
#define NFT_CT_ESTABLISHED (1u << 1)
#define NFT_CT_RELATED     (1u << 2)
#define NFT_CT_NEW         (1u << 3)
#define NFT_CT_UNTRACKED   (1u << 6)
void nft_ct_state(struct nft_rule *r, uint32_t states);
/* Matches the first packet of a connection only: it is not in the table yet. Labels are set then:
 * they can be added to, not replaced. */
void nft_ct_unconfirmed(struct nft_rule *r);

/* ---- stateful ---- */
struct nft_stateful {
	enum nft_stateful_kind {
		NFT_S_COUNTER,
		NFT_S_LIMIT,
		NFT_S_CONNLIMIT,
		NFT_S_QUOTA,
		NFT_S_LAST
	} kind;
	uint64_t value;    /* limit: rate; connlimit: connections; quota: bytes */
	uint64_t unit_sec; /* limit: rate is per this many seconds */
	uint32_t burst;    /* limit */
	bool bytes;        /* limit: bytes, not packets */
	bool over;         /* matches above it, not up to it */
};
void nft_counter(struct nft_rule *r);
void nft_stateful(struct nft_rule *r, const struct nft_stateful *s);
/* Each key (at sreg) has its own, in a set with NFT_SET_EVAL. op NFT_DYNSET_OP_*; timeout 0: the
 * set's. dreg 0: no data. */
void nft_dynset(struct nft_rule *r, const char *set, uint32_t op, uint32_t sreg, uint32_t data_reg,
		uint64_t timeout_ms, const struct nft_stateful *exprs, size_t n);
/* A named object; type NFT_OBJECT_*. */
void nft_obj_use(struct nft_rule *r, uint32_t type, const char *name);
void nft_obj_map(struct nft_rule *r, const char *set, uint32_t sreg);

/* ---- verdicts and what packets are made to do ---- */
void nft_verdict(struct nft_rule *r, int32_t code); /* NF_ACCEPT, NF_DROP, NFT_RETURN, ... */
void nft_jump(struct nft_rule *r, const char *chain);
void nft_goto(struct nft_rule *r, const char *chain);
struct nft_log {
	const char *prefix;
	int32_t group;  /* NFLOG group; -1: the kernel's log */
	uint32_t level; /* kernel's log: LOG_WARNING ... */
	uint32_t snaplen, qthreshold, flags;
};
void nft_log(struct nft_rule *r, const struct nft_log *l);
/* type NFT_REJECT_*; code of ICMP, or NFT_REJECT_ICMPX_*. */
void nft_reject(struct nft_rule *r, uint32_t type, uint8_t code);
struct nft_nat {
	uint32_t type;               /* NFT_NAT_SNAT, NFT_NAT_DNAT */
	uint32_t family;             /* NFPROTO_IPV4, NFPROTO_IPV6 */
	uint32_t addr_lo, addr_hi;   /* registers; 0: none */
	uint32_t proto_lo, proto_hi; /* registers with the port in their first two bytes */
	uint32_t flags;              /* NF_NAT_RANGE_* */
};
void nft_nat(struct nft_rule *r, const struct nft_nat *n);
void nft_masq(struct nft_rule *r, uint32_t proto_lo, uint32_t proto_hi, uint32_t flags);
void nft_redir(struct nft_rule *r, uint32_t proto_lo, uint32_t proto_hi, uint32_t flags);
void nft_notrack(struct nft_rule *r);
void nft_meta_set(struct nft_rule *r, uint32_t key, uint32_t sreg);
void nft_ct_set(struct nft_rule *r, uint32_t key, uint32_t sreg);
void nft_payload_set(struct nft_rule *r, uint32_t base, uint32_t off, uint32_t len, uint32_t sreg,
		     uint32_t csum_type, uint32_t csum_off, uint32_t csum_flags);
void nft_tcpopt_set(struct nft_rule *r, uint8_t option, uint32_t off, uint32_t len, uint32_t sreg);
/* Lowers the maximum segment size of a SYN; 0: to what the route's MTU allows. */
void nft_mss_clamp(struct nft_rule *r, uint16_t mss);
void nft_synproxy(struct nft_rule *r, uint16_t mss, uint8_t wscale, uint32_t flags);
void nft_queue(struct nft_rule *r, uint16_t num, uint16_t total, uint16_t flags);
void nft_tproxy(struct nft_rule *r, uint32_t family, uint32_t reg_addr, uint32_t reg_port);
void nft_dup(struct nft_rule *r, uint32_t reg_addr, uint32_t reg_dev);
void nft_fwd(struct nft_rule *r, uint32_t reg_dev);

/* ---- x_tables extensions, through nft_compat ---- */
/* The highest revision that the kernel has is asked for with nft_xt_revision. */
void nft_xt_target(struct nft_rule *r, const char *name, uint32_t rev, const void *info,
		   size_t size);
void nft_xt_match(struct nft_rule *r, const char *name, uint32_t rev, const void *info,
		  size_t size);
/* The NFQUEUE target; bypass: without a listener packets go on. */
void nft_xt_nfqueue(struct nft_rule *r, uint16_t num, uint16_t total, bool bypass);
/* The SYN proxy of IPv6 (family ip6; the rule matches TCP). The native expression checks IPv6
 * packets by the sum of IPv4 (nft_synproxy_do_eval, as of Linux 6.18): where the NIC has not
 * checked, it drops each SYN. */
void nft_xt_synproxy6(struct nft_rule *r, uint16_t mss, uint8_t wscale, uint8_t options);
/* NPTv6 (table "mangle", family ip6): SNPT in postrouting, DNPT in prerouting. Prefix lengths are
 * equal. */
void nft_xt_npt(struct nft_rule *r, bool source, const uint8_t from[16], const uint8_t to[16],
		uint8_t len);
/* True when the kernel knows revision `rev` or higher, exactly as its x_tables counts. */
bool nft_xt_revision(uint8_t family, const char *name, uint32_t rev, bool target);

#endif
