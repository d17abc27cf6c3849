/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expressions of rules, built by libnftnl into the rule's bytes. */
#include "nft/nft_expr.h"

#include "nft/nft_data.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <linux/netfilter/xt_SYNPROXY.h>
#include <linux/netfilter_ipv6/ip6t_NPT.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

/* What an expression of fixed size takes at most: its name, some fourteen attributes, two of them
 * data of sixteen bytes. What has text, expressions or extensions asks for more. */
#define EXPR_ROOM 512

/* ---- helpers ---- */

static struct nftnl_expr *expr_new(const char *name)
{
	struct nftnl_expr *e = nftnl_expr_alloc(name);

	if (!e)
		abort();
	return e;
}

/* Adds and frees it; `more` is what it needs beyond EXPR_ROOM. */
static void add(struct nft_rule *r, struct nftnl_expr *e, size_t more)
{
	struct nlattr *nest;

	if (r->sealed || r->n_exprs++ == NFT_RULE_MAXEXPRS_OURS)
		abort();
	nft_attrs_need(&r->open, EXPR_ROOM + more);
	nest = mnl_attr_nest_start(r->open.h, NFTA_LIST_ELEM);
	nftnl_expr_build_payload(r->open.h, e);
	mnl_attr_nest_end(r->open.h, nest);
	nftnl_expr_free(e);
}

static void u32(struct nftnl_expr *e, uint16_t attr, uint32_t v)
{
	nftnl_expr_set_u32(e, attr, v);
}

/* ---- loads ---- */

void nft_payload(struct nft_rule *r, uint32_t base, uint32_t off, uint32_t len, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("payload");

	u32(e, NFTNL_EXPR_PAYLOAD_DREG, dreg);
	u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, off);
	u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	add(r, e, 0);
}

void nft_meta(struct nft_rule *r, uint32_t key, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("meta");

	u32(e, NFTNL_EXPR_META_KEY, key);
	u32(e, NFTNL_EXPR_META_DREG, dreg);
	add(r, e, 0);
}

void nft_ct(struct nft_rule *r, uint32_t key, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("ct");

	u32(e, NFTNL_EXPR_CT_KEY, key);
	u32(e, NFTNL_EXPR_CT_DREG, dreg);
	add(r, e, 0);
}

void nft_ct_dir(struct nft_rule *r, uint32_t key, uint8_t dir, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("ct");

	u32(e, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u8(e, NFTNL_EXPR_CT_DIR, dir);
	u32(e, NFTNL_EXPR_CT_DREG, dreg);
	add(r, e, 0);
}

void nft_fib(struct nft_rule *r, uint32_t flags, uint32_t result, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("fib");

	u32(e, NFTNL_EXPR_FIB_FLAGS, flags);
	u32(e, NFTNL_EXPR_FIB_RESULT, result);
	u32(e, NFTNL_EXPR_FIB_DREG, dreg);
	add(r, e, 0);
}

void nft_rt(struct nft_rule *r, uint32_t key, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("rt");

	u32(e, NFTNL_EXPR_RT_KEY, key);
	u32(e, NFTNL_EXPR_RT_DREG, dreg);
	add(r, e, 0);
}

void nft_socket(struct nft_rule *r, uint32_t key, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("socket");

	u32(e, NFTNL_EXPR_SOCKET_KEY, key);
	u32(e, NFTNL_EXPR_SOCKET_DREG, dreg);
	add(r, e, 0);
}

void nft_exthdr(struct nft_rule *r, uint32_t op, uint8_t type, uint32_t off, uint32_t len,
		uint32_t flags, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("exthdr");

	u32(e, NFTNL_EXPR_EXTHDR_DREG, dreg);
	nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, type);
	u32(e, NFTNL_EXPR_EXTHDR_OFFSET, off);
	u32(e, NFTNL_EXPR_EXTHDR_LEN, len);
	u32(e, NFTNL_EXPR_EXTHDR_OP, op);
	if (flags)
		u32(e, NFTNL_EXPR_EXTHDR_FLAGS, flags);
	add(r, e, 0);
}

void nft_osf(struct nft_rule *r, uint8_t ttl, uint32_t flags, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("osf");

	u32(e, NFTNL_EXPR_OSF_DREG, dreg);
	nftnl_expr_set_u8(e, NFTNL_EXPR_OSF_TTL, ttl);
	u32(e, NFTNL_EXPR_OSF_FLAGS, flags);
	add(r, e, 0);
}

void nft_jhash(struct nft_rule *r, uint32_t sreg, uint32_t len, uint32_t modulus, uint32_t seed,
	       uint32_t offset, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("hash");

	u32(e, NFTNL_EXPR_HASH_SREG, sreg);
	u32(e, NFTNL_EXPR_HASH_DREG, dreg);
	u32(e, NFTNL_EXPR_HASH_LEN, len);
	u32(e, NFTNL_EXPR_HASH_MODULUS, modulus);
	u32(e, NFTNL_EXPR_HASH_SEED, seed);
	u32(e, NFTNL_EXPR_HASH_OFFSET, offset);
	u32(e, NFTNL_EXPR_HASH_TYPE, NFT_HASH_JENKINS);
	add(r, e, 0);
}

void nft_numgen(struct nft_rule *r, uint32_t type, uint32_t modulus, uint32_t offset, uint32_t dreg)
{
	struct nftnl_expr *e = expr_new("numgen");

	u32(e, NFTNL_EXPR_NG_DREG, dreg);
	u32(e, NFTNL_EXPR_NG_MODULUS, modulus);
	u32(e, NFTNL_EXPR_NG_TYPE, type);
	u32(e, NFTNL_EXPR_NG_OFFSET, offset);
	add(r, e, 0);
}

void nft_imm(struct nft_rule *r, uint32_t dreg, const void *data, uint32_t len)
{
	struct nftnl_expr *e = expr_new("immediate");

	u32(e, NFTNL_EXPR_IMM_DREG, dreg);
	nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, data, len);
	add(r, e, 0);
}

/* ---- arithmetic ---- */

void nft_bitwise(struct nft_rule *r, uint32_t sreg, uint32_t dreg, uint32_t len, const void *mask,
		 const void * xor)
{
	struct nftnl_expr *e = expr_new("bitwise");

	u32(e, NFTNL_EXPR_BITWISE_SREG, sreg);
	u32(e, NFTNL_EXPR_BITWISE_DREG, dreg);
	u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, xor, len);
	add(r, e, 0);
}

void nft_shift(struct nft_rule *r, uint32_t sreg, uint32_t dreg, uint32_t len, bool left,
	       uint32_t bits)
{
	struct nftnl_expr *e = expr_new("bitwise");

	u32(e, NFTNL_EXPR_BITWISE_SREG, sreg);
	u32(e, NFTNL_EXPR_BITWISE_DREG, dreg);
	u32(e, NFTNL_EXPR_BITWISE_OP, left ? NFT_BITWISE_LSHIFT : NFT_BITWISE_RSHIFT);
	u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_DATA, &bits, sizeof(bits));
	add(r, e, 0);
}

void nft_byteorder(struct nft_rule *r, uint32_t sreg, uint32_t dreg, uint32_t op, uint32_t len,
		   uint32_t size)
{
	struct nftnl_expr *e = expr_new("byteorder");

	u32(e, NFTNL_EXPR_BYTEORDER_SREG, sreg);
	u32(e, NFTNL_EXPR_BYTEORDER_DREG, dreg);
	u32(e, NFTNL_EXPR_BYTEORDER_OP, op);
	u32(e, NFTNL_EXPR_BYTEORDER_LEN, len);
	u32(e, NFTNL_EXPR_BYTEORDER_SIZE, size);
	add(r, e, 0);
}

/* ---- matches ---- */

void nft_cmp(struct nft_rule *r, uint32_t sreg, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = expr_new("cmp");

	u32(e, NFTNL_EXPR_CMP_SREG, sreg);
	u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
	add(r, e, 0);
}

void nft_range(struct nft_rule *r, uint32_t sreg, uint32_t op, const void *lo, const void *hi,
	       uint32_t len)
{
	struct nftnl_expr *e = expr_new("range");

	u32(e, NFTNL_EXPR_RANGE_SREG, sreg);
	u32(e, NFTNL_EXPR_RANGE_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_RANGE_FROM_DATA, lo, len);
	nftnl_expr_set(e, NFTNL_EXPR_RANGE_TO_DATA, hi, len);
	add(r, e, 0);
}

/* dreg SIZE_MAX: none. */
static void lookup(struct nft_rule *r, const char *set, uint32_t sreg, uint32_t dreg,
		   uint32_t flags)
{
	struct nftnl_expr *e = expr_new("lookup");

	u32(e, NFTNL_EXPR_LOOKUP_SREG, sreg);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set);
	if (dreg != UINT32_MAX)
		u32(e, NFTNL_EXPR_LOOKUP_DREG, dreg);
	if (flags)
		u32(e, NFTNL_EXPR_LOOKUP_FLAGS, flags);
	nft_rule_uses(r, NFT_SET, set);
	add(r, e, strlen(set));
}

void nft_lookup(struct nft_rule *r, const char *set, uint32_t sreg, bool invert)
{
	lookup(r, set, sreg, UINT32_MAX, invert ? NFT_LOOKUP_F_INV : 0);
}

void nft_map(struct nft_rule *r, const char *set, uint32_t sreg, uint32_t dreg)
{
	lookup(r, set, sreg, dreg, 0);
}

void nft_vmap(struct nft_rule *r, const char *set, uint32_t sreg)
{
	lookup(r, set, sreg, NFT_REG_VERDICT, 0);
}

/* ---- both in one ---- */

void nft_meta_is(struct nft_rule *r, uint32_t key, const void *data, uint32_t len)
{
	nft_meta(r, key, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, data, len);
}

void nft_family_is(struct nft_rule *r, uint8_t nfproto)
{
	nft_meta_is(r, NFT_META_NFPROTO, &nfproto, sizeof(nfproto));
}

void nft_l4proto_is(struct nft_rule *r, uint8_t proto)
{
	nft_meta_is(r, NFT_META_L4PROTO, &proto, sizeof(proto));
}

static void name_is(struct nft_rule *r, uint32_t key, const char *name)
{
	char buf[16] = ""; /* IFNAMSIZ */
	size_t n = strnlen(name, sizeof(buf) - 1);

	memcpy(buf, name, n);
	if (n && name[n - 1] == '*')
		nft_meta_is(r, key, buf, (uint32_t)n - 1);
	else
		nft_meta_is(r, key, buf, sizeof(buf));
}

void nft_iif_is(struct nft_rule *r, const char *name)
{
	name_is(r, NFT_META_IIFNAME, name);
}

void nft_oif_is(struct nft_rule *r, const char *name)
{
	name_is(r, NFT_META_OIFNAME, name);
}

void nft_ct_state(struct nft_rule *r, uint32_t states)
{
	const uint32_t zero = 0;

	nft_ct(r, NFT_CT_STATE, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, sizeof(states), &states, &zero);
	nft_cmp(r, NFT_REG_1, NFT_CMP_NEQ, &zero, sizeof(zero));
}

void nft_ct_unconfirmed(struct nft_rule *r)
{
	static const uint32_t confirmed = IPS_CONFIRMED, zero;

	nft_ct(r, NFT_CT_STATUS, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, sizeof(confirmed), &confirmed, &zero);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &zero, sizeof(zero));
}

/* ---- stateful ---- */

static struct nftnl_expr *limit_expr(const struct nft_stateful *s)
{
	struct nftnl_expr *e = expr_new("limit");

	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, s->value);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, s->unit_sec ? s->unit_sec : 1);
	u32(e, NFTNL_EXPR_LIMIT_BURST, s->burst);
	u32(e, NFTNL_EXPR_LIMIT_TYPE, s->bytes ? NFT_LIMIT_PKT_BYTES : NFT_LIMIT_PKTS);
	u32(e, NFTNL_EXPR_LIMIT_FLAGS, s->over ? NFT_LIMIT_F_INV : 0);
	return e;
}

struct nftnl_expr *nft_stateful_expr(const struct nft_stateful *s)
{
	struct nftnl_expr *e;

	switch (s->kind) {
	case NFT_S_COUNTER:
		e = expr_new("counter");
		nftnl_expr_set_u64(e, NFTNL_EXPR_CTR_PACKETS, 0);
		nftnl_expr_set_u64(e, NFTNL_EXPR_CTR_BYTES, 0);
		return e;
	case NFT_S_LIMIT:
		return limit_expr(s);
	case NFT_S_CONNLIMIT:
		e = expr_new("connlimit");
		u32(e, NFTNL_EXPR_CONNLIMIT_COUNT, (uint32_t)s->value);
		u32(e, NFTNL_EXPR_CONNLIMIT_FLAGS, s->over ? NFT_CONNLIMIT_F_INV : 0);
		return e;
	case NFT_S_QUOTA:
		e = expr_new("quota");
		nftnl_expr_set_u64(e, NFTNL_EXPR_QUOTA_BYTES, s->value);
		u32(e, NFTNL_EXPR_QUOTA_FLAGS, s->over ? NFT_QUOTA_F_INV : 0);
		return e;
	case NFT_S_LAST:
		return expr_new("last");
	}
	abort();
}

void nft_stateful(struct nft_rule *r, const struct nft_stateful *s)
{
	r->counts |= s->kind == NFT_S_COUNTER;
	add(r, nft_stateful_expr(s), 0);
}

void nft_counter(struct nft_rule *r)
{
	nft_stateful(r, &(struct nft_stateful){ .kind = NFT_S_COUNTER });
}

void nft_dynset(struct nft_rule *r, const char *set, uint32_t op, uint32_t sreg, uint32_t data_reg,
		uint64_t timeout_ms, const struct nft_stateful *exprs, size_t n)
{
	struct nftnl_expr *e = expr_new("dynset");

	nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, set);
	u32(e, NFTNL_EXPR_DYNSET_OP, op);
	u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, sreg);
	if (data_reg)
		u32(e, NFTNL_EXPR_DYNSET_SREG_DATA, data_reg);
	if (timeout_ms)
		nftnl_expr_set_u64(e, NFTNL_EXPR_DYNSET_TIMEOUT, timeout_ms);
	/* The flag says that the set's expressions may be several, and of this order. */
	if (n > 1)
		u32(e, NFTNL_EXPR_DYNSET_FLAGS, NFT_DYNSET_F_EXPR);
	for (size_t i = 0; i < n; i++)
		nftnl_expr_add_expr(e,
				    n > 1 ? NFTNL_EXPR_DYNSET_EXPRESSIONS : NFTNL_EXPR_DYNSET_EXPR,
				    nft_stateful_expr(&exprs[i]));
	nft_rule_uses(r, NFT_SET, set);
	add(r, e, strlen(set) + n * EXPR_ROOM);
}

void nft_obj_use(struct nft_rule *r, uint32_t type, const char *name)
{
	struct nftnl_expr *e = expr_new("objref");

	u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, type);
	nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, name);
	nft_rule_uses(r, NFT_OBJ, name);
	add(r, e, strlen(name));
}

void nft_obj_map(struct nft_rule *r, const char *set, uint32_t sreg)
{
	struct nftnl_expr *e = expr_new("objref");

	u32(e, NFTNL_EXPR_OBJREF_SET_SREG, sreg);
	nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_SET_NAME, set);
	nft_rule_uses(r, NFT_SET, set);
	add(r, e, strlen(set));
}

/* ---- verdicts ---- */

static void verdict(struct nft_rule *r, int32_t code, const char *chain)
{
	struct nftnl_expr *e = expr_new("immediate");

	u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	if (chain) {
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
		nft_rule_uses(r, NFT_CHAIN, chain);
	}
	add(r, e, chain ? strlen(chain) : 0);
}

void nft_verdict(struct nft_rule *r, int32_t code)
{
	verdict(r, code, NULL);
}

void nft_jump(struct nft_rule *r, const char *chain)
{
	verdict(r, NFT_JUMP, chain);
}

void nft_goto(struct nft_rule *r, const char *chain)
{
	verdict(r, NFT_GOTO, chain);
}

/* ---- what packets are made to do ---- */

void nft_log(struct nft_rule *r, const struct nft_log *l)
{
	struct nftnl_expr *e = expr_new("log");

	if (l->prefix)
		nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, l->prefix);
	if (l->group >= 0) {
		nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, (uint16_t)l->group);
		if (l->snaplen)
			u32(e, NFTNL_EXPR_LOG_SNAPLEN, l->snaplen);
		if (l->qthreshold)
			nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_QTHRESHOLD, (uint16_t)l->qthreshold);
	} else {
		u32(e, NFTNL_EXPR_LOG_LEVEL, l->level);
		if (l->flags)
			u32(e, NFTNL_EXPR_LOG_FLAGS, l->flags);
	}
	add(r, e, l->prefix ? strlen(l->prefix) : 0);
}

void nft_reject(struct nft_rule *r, uint32_t type, uint8_t code)
{
	struct nftnl_expr *e = expr_new("reject");

	u32(e, NFTNL_EXPR_REJECT_TYPE, type);
	nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, code);
	add(r, e, 0);
}

void nft_nat(struct nft_rule *r, const struct nft_nat *n)
{
	struct nftnl_expr *e = expr_new("nat");

	u32(e, NFTNL_EXPR_NAT_TYPE, n->type);
	u32(e, NFTNL_EXPR_NAT_FAMILY, n->family);
	if (n->addr_lo)
		u32(e, NFTNL_EXPR_NAT_REG_ADDR_MIN, n->addr_lo);
	if (n->addr_hi)
		u32(e, NFTNL_EXPR_NAT_REG_ADDR_MAX, n->addr_hi);
	if (n->proto_lo)
		u32(e, NFTNL_EXPR_NAT_REG_PROTO_MIN, n->proto_lo);
	if (n->proto_hi)
		u32(e, NFTNL_EXPR_NAT_REG_PROTO_MAX, n->proto_hi);
	if (n->flags)
		u32(e, NFTNL_EXPR_NAT_FLAGS, n->flags);
	add(r, e, 0);
}

void nft_masq(struct nft_rule *r, uint32_t proto_lo, uint32_t proto_hi, uint32_t flags)
{
	struct nftnl_expr *e = expr_new("masq");

	if (flags)
		u32(e, NFTNL_EXPR_MASQ_FLAGS, flags);
	if (proto_lo)
		u32(e, NFTNL_EXPR_MASQ_REG_PROTO_MIN, proto_lo);
	if (proto_hi)
		u32(e, NFTNL_EXPR_MASQ_REG_PROTO_MAX, proto_hi);
	add(r, e, 0);
}

void nft_redir(struct nft_rule *r, uint32_t proto_lo, uint32_t proto_hi, uint32_t flags)
{
	struct nftnl_expr *e = expr_new("redir");

	if (flags)
		u32(e, NFTNL_EXPR_REDIR_FLAGS, flags);
	if (proto_lo)
		u32(e, NFTNL_EXPR_REDIR_REG_PROTO_MIN, proto_lo);
	if (proto_hi)
		u32(e, NFTNL_EXPR_REDIR_REG_PROTO_MAX, proto_hi);
	add(r, e, 0);
}

void nft_notrack(struct nft_rule *r)
{
	add(r, expr_new("notrack"), 0);
}

void nft_meta_set(struct nft_rule *r, uint32_t key, uint32_t sreg)
{
	struct nftnl_expr *e = expr_new("meta");

	u32(e, NFTNL_EXPR_META_KEY, key);
	u32(e, NFTNL_EXPR_META_SREG, sreg);
	add(r, e, 0);
}

void nft_ct_set(struct nft_rule *r, uint32_t key, uint32_t sreg)
{
	struct nftnl_expr *e = expr_new("ct");

	u32(e, NFTNL_EXPR_CT_KEY, key);
	u32(e, NFTNL_EXPR_CT_SREG, sreg);
	add(r, e, 0);
}

void nft_payload_set(struct nft_rule *r, uint32_t base, uint32_t off, uint32_t len, uint32_t sreg,
		     uint32_t csum_type, uint32_t csum_off, uint32_t csum_flags)
{
	struct nftnl_expr *e = expr_new("payload");

	u32(e, NFTNL_EXPR_PAYLOAD_SREG, sreg);
	u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, off);
	u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	u32(e, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, csum_type);
	u32(e, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, csum_off);
	if (csum_flags)
		u32(e, NFTNL_EXPR_PAYLOAD_FLAGS, csum_flags);
	add(r, e, 0);
}

void nft_tcpopt_set(struct nft_rule *r, uint8_t option, uint32_t off, uint32_t len, uint32_t sreg)
{
	struct nftnl_expr *e = expr_new("exthdr");

	u32(e, NFTNL_EXPR_EXTHDR_SREG, sreg);
	nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, option);
	u32(e, NFTNL_EXPR_EXTHDR_OFFSET, off);
	u32(e, NFTNL_EXPR_EXTHDR_LEN, len);
	u32(e, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
	add(r, e, 0);
}

void nft_mss_clamp(struct nft_rule *r, uint16_t mss)
{
	const uint8_t syn = TH_SYN, mask = TH_SYN | TH_RST, none = 0;
	uint16_t be = htons(mss);

	nft_l4proto_is(r, IPPROTO_TCP);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, 1, &mask, &none);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &syn, 1);
	if (mss) {
		nft_imm(r, NFT_REG_1, &be, sizeof(be));
	} else {
		nft_rt(r, NFT_RT_TCPMSS, NFT_REG_1);
		nft_byteorder(r, NFT_REG_1, NFT_REG_1, NFT_BYTEORDER_HTON, 2, 2);
	}
	/* The kernel never raises it (nft_exthdr_tcp_set_eval). */
	nft_tcpopt_set(r, TCPOPT_MAXSEG, 2, 2, NFT_REG_1);
}

void nft_synproxy(struct nft_rule *r, uint16_t mss, uint8_t wscale, uint32_t flags)
{
	struct nftnl_expr *e = expr_new("synproxy");

	nftnl_expr_set_u16(e, NFTNL_EXPR_SYNPROXY_MSS, mss);
	nftnl_expr_set_u8(e, NFTNL_EXPR_SYNPROXY_WSCALE, wscale);
	u32(e, NFTNL_EXPR_SYNPROXY_FLAGS, flags);
	add(r, e, 0);
}

void nft_queue(struct nft_rule *r, uint16_t num, uint16_t total, uint16_t flags)
{
	struct nftnl_expr *e = expr_new("queue");

	nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_NUM, num);
	nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_TOTAL, total);
	if (flags)
		nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_FLAGS, flags);
	add(r, e, 0);
}

void nft_tproxy(struct nft_rule *r, uint32_t family, uint32_t reg_addr, uint32_t reg_port)
{
	struct nftnl_expr *e = expr_new("tproxy");

	u32(e, NFTNL_EXPR_TPROXY_FAMILY, family);
	if (reg_addr)
		u32(e, NFTNL_EXPR_TPROXY_REG_ADDR, reg_addr);
	if (reg_port)
		u32(e, NFTNL_EXPR_TPROXY_REG_PORT, reg_port);
	add(r, e, 0);
}

void nft_dup(struct nft_rule *r, uint32_t reg_addr, uint32_t reg_dev)
{
	struct nftnl_expr *e = expr_new("dup");

	if (reg_addr)
		u32(e, NFTNL_EXPR_DUP_SREG_ADDR, reg_addr);
	if (reg_dev)
		u32(e, NFTNL_EXPR_DUP_SREG_DEV, reg_dev);
	add(r, e, 0);
}

void nft_fwd(struct nft_rule *r, uint32_t reg_dev)
{
	struct nftnl_expr *e = expr_new("fwd");

	u32(e, NFTNL_EXPR_FWD_SREG_DEV, reg_dev);
	add(r, e, 0);
}

/* ---- x_tables extensions ---- */

static void xt(struct nft_rule *r, const char *expr, const char *name, uint32_t rev,
	       const void *info, size_t size)
{
	struct nftnl_expr *e = expr_new(expr);
	size_t padded = ROUND_UP(size, 8); /* XT_ALIGN */
	void *copy = xcalloc(1, padded);

	/* Both expressions number their attributes alike; the copy becomes the expression's. */
	_Static_assert((int)NFTNL_EXPR_TG_INFO == (int)NFTNL_EXPR_MT_INFO, "same attributes");
	memcpy(copy, info, size);
	nftnl_expr_set_str(e, NFTNL_EXPR_TG_NAME, name);
	u32(e, NFTNL_EXPR_TG_REV, rev);
	nftnl_expr_set(e, NFTNL_EXPR_TG_INFO, copy, (uint32_t)padded);
	add(r, e, padded);
}

void nft_xt_target(struct nft_rule *r, const char *name, uint32_t rev, const void *info,
		   size_t size)
{
	xt(r, "target", name, rev, info, size);
}

void nft_xt_match(struct nft_rule *r, const char *name, uint32_t rev, const void *info, size_t size)
{
	xt(r, "match", name, rev, info, size);
}

void nft_xt_nfqueue(struct nft_rule *r, uint16_t num, uint16_t total, bool bypass)
{
	struct xt_NFQ_info_v3 info = { .queuenum = num,
				       .queues_total = total,
				       .flags = bypass ? NFQ_FLAG_BYPASS : 0 };

	nft_xt_target(r, "NFQUEUE", 3, &info, sizeof(info));
}

void nft_xt_npt(struct nft_rule *r, bool source, const uint8_t from[16], const uint8_t to[16],
		uint8_t len)
{
	struct ip6t_npt_tginfo info = { .src_pfx_len = len, .dst_pfx_len = len };

	memcpy(&info.src_pfx, from, sizeof(info.src_pfx));
	memcpy(&info.dst_pfx, to, sizeof(info.dst_pfx));
	nft_xt_target(r, source ? "SNPT" : "DNPT", 0, &info, sizeof(info));
}

void nft_xt_synproxy6(struct nft_rule *r, uint16_t mss, uint8_t wscale, uint8_t options)
{
	struct xt_synproxy_info info = { .options = options, .wscale = wscale, .mss = mss };

	r->compat_proto = IPPROTO_TCP;
	nft_xt_target(r, "SYNPROXY", 0, &info, sizeof(info));
}
