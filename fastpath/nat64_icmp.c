/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The maps of ICMP types, codes, pointers and MTUs: RFC 7915 sections 4.2 and 5.2. */
#include "nat64_int.h"

#include "util.h"

#define NO 0xff

/* Unreachable codes of IPv4 -> IPv6 (type 1 unless said otherwise). */
static const uint8_t unreach46[16] = {
	[0] = 0,
	[1] = 0,
	[2] = NO /* type 4 */,
	[3] = 4,
	[4] = NO /* type 2 */,
	[5] = 0,
	[6] = 0,
	[7] = 0,
	[8] = 0,
	[9] = 1,
	[10] = 1,
	[11] = 0,
	[12] = 0,
	[13] = 1,
	[14] = NO,
	[15] = 1,
};

/* Pointers into the header: figure 3 and figure 6 of RFC 7915. */
static uint8_t pointer46(uint8_t at)
{
	static const uint8_t map[20] = { 0,  1,  4, 4, NO, NO, NO, NO, 7,  6,
					 NO, NO, 8, 8, 8,  8,  24, 24, 24, 24 };

	return at < ARRAY_LEN(map) ? map[at] : NO;
}

static uint8_t pointer64(uint32_t at)
{
	static const uint8_t map[8] = { 0, 1, NO, NO, 2, 2, 9, 8 };

	if (at < ARRAY_LEN(map))
		return map[at];
	return at < 24 ? 12 : at < 40 ? 16 : NO;
}

/* RFC 1191 section 7: the greatest usual MTU below the packet that did not fit. */
static uint32_t plateau(uint32_t total)
{
	static const uint16_t usual[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296 };

	for (unsigned i = 0; i < ARRAY_LEN(usual); i++)
		if (usual[i] < total)
			return usual[i];
	return 68;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return b && b < a ? b : a;
}

static enum rtr_drop unreach_46(uint8_t h[8], uint32_t quoted_total, uint32_t mtu4, uint32_t mtu6)
{
	uint32_t mtu = fp_ld16(h + 6);

	if (h[1] == FP_ICMP4_CODE_FRAG_NEEDED) {
		if (mtu == 0)
			mtu = plateau(quoted_total);
		mtu = least(least(mtu + 20, mtu6), mtu4 ? mtu4 + 20 : 0);
		h[0] = FP_ICMP6_TOO_BIG;
		h[1] = 0;
		fp_st32(h + 4, MAX(mtu, 1280));
		return RTR_DROP_NONE;
	}
	fp_st32(h + 4, 0);
	if (h[1] == 2) { /* protocol unreachable: next header not known, at the next-header byte */
		h[0] = FP_ICMP6_PARAM;
		h[1] = 1;
		fp_st32(h + 4, 6);
		return RTR_DROP_NONE;
	}
	if (h[1] >= ARRAY_LEN(unreach46) || unreach46[h[1]] == NO)
		return RTR_DROP_NAT64_ICMP;
	h[0] = FP_ICMP6_UNREACH;
	h[1] = unreach46[h[1]];
	return RTR_DROP_NONE;
}

enum rtr_drop nat64_error_46(uint8_t h[8], uint32_t quoted_total, uint32_t mtu4, uint32_t mtu6)
{
	uint8_t ptr;

	switch (h[0]) {
	case FP_ICMP4_UNREACH:
		return unreach_46(h, quoted_total, mtu4, mtu6);
	case FP_ICMP4_TIME:
		h[0] = FP_ICMP6_TIME;
		fp_st32(h + 4, 0);
		return RTR_DROP_NONE;
	case FP_ICMP4_PARAM:
		ptr = pointer46(h[4]);
		if ((h[1] != 0 && h[1] != 2) || ptr == NO)
			return RTR_DROP_NAT64_ICMP;
		h[0] = FP_ICMP6_PARAM;
		h[1] = 0;
		fp_st32(h + 4, ptr);
		return RTR_DROP_NONE;
	default:
		return RTR_DROP_NAT64_ICMP;
	}
}

static enum rtr_drop param_64(uint8_t h[8])
{
	uint8_t ptr = pointer64(fp_ld32(h + 4));

	if (h[1] == 1) { /* next header not known: protocol unreachable */
		h[0] = FP_ICMP4_UNREACH;
		h[1] = 2;
		fp_st32(h + 4, 0);
		return RTR_DROP_NONE;
	}
	if (h[1] != 0 || ptr == NO)
		return RTR_DROP_NAT64_ICMP;
	h[0] = FP_ICMP4_PARAM;
	fp_st32(h + 4, (uint32_t)ptr << 24);
	return RTR_DROP_NONE;
}

enum rtr_drop nat64_error_64(uint8_t h[8], uint32_t mtu4, uint32_t mtu6)
{
	static const uint8_t unreach[5] = { 1, 10, 1, 1, 3 };
	uint32_t mtu;

	switch (h[0]) {
	case FP_ICMP6_UNREACH:
		if (h[1] >= ARRAY_LEN(unreach))
			return RTR_DROP_NAT64_ICMP;
		h[0] = FP_ICMP4_UNREACH;
		h[1] = unreach[h[1]];
		fp_st32(h + 4, 0);
		return RTR_DROP_NONE;
	case FP_ICMP6_TOO_BIG:
		mtu = MAX(fp_ld32(h + 4), 1280u) - 20;
		mtu = least(least(mtu, mtu4), mtu6 > 20 ? mtu6 - 20 : 0);
		h[0] = FP_ICMP4_UNREACH;
		h[1] = FP_ICMP4_CODE_FRAG_NEEDED;
		fp_st32(h + 4, MIN(mtu, 0xffffu));
		return RTR_DROP_NONE;
	case FP_ICMP6_TIME:
		h[0] = FP_ICMP4_TIME;
		fp_st32(h + 4, 0);
		return RTR_DROP_NONE;
	case FP_ICMP6_PARAM:
		return param_64(h);
	default:
		return RTR_DROP_NAT64_ICMP;
	}
}
