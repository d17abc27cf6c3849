/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "icmp_err.h"

#include "csum.h"
#include "hash.h"
#include "util.h"

#define ERR_TTL      64
#define TOS_CONTROL  0xc0 /* precedence 6, RFC 1812 4.3.2.5 */
#define TOS_KEPT     0x1e /* the type of service itself, as the kernel does */
#define MTU_MIN4     68   /* RFC 791 */
#define MTU_MIN6     1280 /* RFC 8200 section 5 */
#define FORGET_AFTER NSEC_PER_SEC

static const struct {
	uint8_t type4, code4, type6, code6;
} kinds[FP_ICMP_K__MAX] = {
#define ROW(sym, t4, c4, t6, c6) [FP_ICMP_K_##sym] = { t4, c4, t6, c6 },
	FP_ICMP_KINDS(ROW)
#undef ROW
};

/* ICMP that must not be answered by an error; a header that was not reached counts as such. */
static bool is_error(const uint8_t *frame, const struct fp_pkt *p)
{
	if (p->proto != (p->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6) || p->frag_off)
		return false;
	if (p->l4_off >= p->end)
		return true;
	if (p->family == AF_INET6 && frame[p->l4_off] == FP_ICMP6_REDIRECT)
		return true;
	return fp_icmp_sort(p->family, frame[p->l4_off]) == FP_F_ICMP_ERR;
}

bool fp_icmp_err_allowed(const uint8_t *frame, const struct fp_pkt *p, enum fp_icmp_kind kind)
{
	const uint8_t *ip = frame + p->l3_off;
	bool group;

	if (p->family == AF_INET) {
		uint32_t dst = fp_ld32_be(ip + 16);

		return !(p->flags & FP_F_L2_GROUP) && !p->frag_off && !is_error(frame, p) &&
		       !fp_ip4_src_martian(fp_ld32_be(ip + 12)) && !fp_ip4_multicast(dst) &&
		       dst != INADDR_BROADCAST;
	}
	if (p->family != AF_INET6 || is_error(frame, p) || fp_ip6_src_martian(ip + 8))
		return false;
	/* RFC 4443 2.4(e.3): path MTU discovery and unknown options work for multicast too. */
	group = p->flags & FP_F_L2_GROUP || ip[24] == 0xff;
	return !group || kind == FP_ICMP_K_TOO_BIG || (kind == FP_ICMP_K_PARAM && p->err.code == 2);
}

/* The second word of the ICMP header, host order. */
static uint32_t rest(const struct fp_pkt *p, const struct fp_icmp_req *req)
{
	bool v4 = p->family == AF_INET;

	if (req->kind == FP_ICMP_K_TOO_BIG)
		return v4 ? MIN(MAX(req->arg, MTU_MIN4), 0xffffu) : MAX(req->arg, MTU_MIN6);
	if (req->kind == FP_ICMP_K_PARAM)
		return v4 ? (uint32_t)p->err.pointer << 24 : p->err.pointer;
	return 0;
}

static void icmp_header(uint8_t *h, const struct fp_pkt *p, const struct fp_icmp_req *req)
{
	bool v4 = p->family == AF_INET;

	h[0] = v4 ? kinds[req->kind].type4 : kinds[req->kind].type6;
	h[1] = v4 ? kinds[req->kind].code4 : kinds[req->kind].code6;
	if (req->kind == FP_ICMP_K_PARAM)
		h[1] = p->err.code;
	fp_st16_be(h + FP_ICMP_CSUM, 0);
	fp_st32(h + 4, rest(p, req));
}

static uint32_t build4(uint8_t *out, const uint8_t *ip, uint32_t quote, const struct fp_pkt *p,
		       const struct fp_icmp_req *req)
{
	uint32_t len = FP_IP4_LEN + FP_ICMP_LEN + quote;
	uint8_t *h = out + FP_IP4_LEN;

	out[0] = 0x45;
	out[1] = TOS_CONTROL | (ip[1] & TOS_KEPT);
	fp_st16(out + 2, (uint16_t)len);
	fp_st16(out + 4, req->id);
	fp_st16_be(out + 6, 0);
	out[8] = ERR_TTL;
	out[9] = IPPROTO_ICMP;
	memcpy(out + 12, req->src, 4);
	memcpy(out + 16, ip + 12, 4);
	fp_st16_be(out + 10, fp_csum_ip4(out, FP_IP4_LEN));
	icmp_header(h, p, req);
	memcpy(h + FP_ICMP_LEN, ip, quote);
	fp_st16_be(h + FP_ICMP_CSUM,
		   (uint16_t)~fp_csum_fold(fp_csum_add(h, FP_ICMP_LEN + quote, 0)));
	return len;
}

static uint32_t build6(uint8_t *out, const uint8_t *ip, uint32_t quote, const struct fp_pkt *p,
		       const struct fp_icmp_req *req)
{
	uint32_t payload = FP_ICMP_LEN + quote;
	uint8_t *h = out + FP_IP6_LEN;

	fp_st32(out, 0x60000000);
	fp_st16(out + 4, (uint16_t)payload);
	out[6] = IPPROTO_ICMPV6;
	out[7] = ERR_TTL;
	memcpy(out + 8, req->src, 16);
	memcpy(out + 24, ip + 8, 16);
	icmp_header(h, p, req);
	memcpy(h + FP_ICMP_LEN, ip, quote);
	fp_st16_be(
		h + FP_ICMP_CSUM,
		(uint16_t)~fp_csum_fold(fp_csum_add(
			h, payload, fp_csum_pseudo6(out + 8, out + 24, IPPROTO_ICMPV6, payload))));
	return FP_IP6_LEN + payload;
}

uint32_t fp_icmp_err_build(uint8_t *out, uint32_t cap, const uint8_t *frame, const struct fp_pkt *p,
			   const struct fp_icmp_req *req)
{
	bool v4 = p->family == AF_INET;
	uint32_t headers = (v4 ? FP_IP4_LEN : FP_IP6_LEN) + FP_ICMP_LEN;
	uint32_t max = v4 ? FP_ICMP4_MAX : FP_ICMP6_MAX, quote;

	if (req->mtu)
		max = MIN(max, (uint32_t)req->mtu);
	/* An IPv4 link may be as small as 68 bytes: more than the headers in any case. */
	quote = MIN((uint32_t)(p->end - p->l3_off), max - MIN(max, headers));
	if (cap < headers + quote)
		return 0;
	return v4 ? build4(out, frame + p->l3_off, quote, p, req)
		  : build6(out, frame + p->l3_off, quote, p, req);
}

void fp_icmp_rl_init(struct fp_icmp_rl *rl, uint32_t rate, uint32_t burst, uint64_t seed,
		     uint64_t now_ns)
{
	*rl = (struct fp_icmp_rl){ .cost_ns = NSEC_PER_SEC / MAX(rate, 1), .seed = seed };
	rl->max_ns = rl->cost_ns * MAX(burst, 1);
	for (unsigned k = 0; k < FP_ICMP_K__MAX; k++)
		rl->again[k] = rl->first[k] = (struct fp_icmp_bucket){ rl->max_ns, now_ns };
}

static bool take(const struct fp_icmp_rl *rl, struct fp_icmp_bucket *b, uint64_t now_ns)
{
	/* A clock that steps back adds nothing. */
	uint64_t gone = now_ns > b->last_ns ? now_ns - b->last_ns : 0;

	b->credit_ns = gone >= rl->max_ns ? rl->max_ns : MIN(b->credit_ns + gone, rl->max_ns);
	b->last_ns = now_ns;
	if (b->credit_ns < rl->cost_ns)
		return false;
	b->credit_ns -= rl->cost_ns;
	return true;
}

bool fp_icmp_rl_take(struct fp_icmp_rl *rl, enum fp_icmp_kind kind, const uint8_t *frame,
		     const struct fp_pkt *p, uint64_t now_ns)
{
	const uint8_t *src = frame + p->l3_off + (p->family == AF_INET ? 12 : 8);
	uint64_t key = hash_bytes(src, p->family == AF_INET ? 4 : 16, rl->seed + kind) | 1;
	unsigned i = key >> 32 & (FP_ICMP_RL_SLOTS - 1);
	bool fresh = rl->slot[i].key != key || now_ns - rl->slot[i].at_ns >= FORGET_AFTER;

	if (fresh ? !take(rl, &rl->first[kind], now_ns) : !take(rl, &rl->again[kind], now_ns)) {
		rl->n_limited[kind]++;
		return false;
	}
	if (fresh) {
		rl->slot[i].key = key;
		rl->slot[i].at_ns = now_ns;
	}
	rl->n_sent[kind]++;
	return true;
}
