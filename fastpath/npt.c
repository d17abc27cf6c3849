/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "npt.h"

#include "csum.h"
#include "util.h"

#include <errno.h>

int fp_npt_init(struct fp_npt *n, const uint8_t inside[16], const uint8_t outside[16], uint8_t len)
{
	if (len < 1 || len > 64)
		return -EINVAL;
	*n = (struct fp_npt){ .len = len };
	for (unsigned i = 0; i < 8; i++) {
		unsigned bits = len > i * 8 ? MIN(len - i * 8, 8u) : 0;

		n->mask[i] = (uint8_t)(0xff00 >> bits);
		n->in[i] = inside[i] & n->mask[i];
		n->out[i] = outside[i] & n->mask[i];
	}
	/* What leaves with the old prefix must come back in the word: -(new - old). */
	n->adjust_out = fp_csum_delta(n->out, n->in, 8);
	n->adjust_in = fp_csum_delta(n->in, n->out, 8);
	return 0;
}

bool fp_npt_match(const struct fp_npt *n, const uint8_t addr[16], bool outward)
{
	const uint8_t *prefix = outward ? n->in : n->out;

	for (unsigned i = 0; i < 8; i++)
		if ((addr[i] & n->mask[i]) != prefix[i])
			return false;
	return true;
}

/* Offset of the word that takes the adjustment, 16 when there is none. */
static unsigned word_at(const struct fp_npt *n, const uint8_t addr[16])
{
	unsigned at = n->len <= 48 ? 6 : 8, end = n->len <= 48 ? 8 : 16;

	for (; at < end; at += 2)
		if (fp_ld16_be(addr + at) != 0xffff)
			return at;
	return 16;
}

bool fp_npt_map(const struct fp_npt *n, uint8_t addr[16], bool outward)
{
	const uint8_t *prefix = outward ? n->out : n->in;
	unsigned at = word_at(n, addr);
	uint16_t w;

	if (at == 16)
		return false;
	for (unsigned i = 0; i < 8; i++)
		addr[i] = (uint8_t)((addr[i] & ~n->mask[i]) | prefix[i]);
	w = fp_csum_fold((uint32_t)fp_ld16_be(addr + at) +
			 (outward ? n->adjust_out : n->adjust_in));
	fp_st16_be(addr + at, w == 0xffff ? 0 : w);
	return true;
}

enum rtr_drop fp_npt_apply(uint8_t *frame, const struct fp_pkt *p, const struct fp_npt *n,
			   bool outward)
{
	uint8_t *addr = frame + p->l3_off + (outward ? 8 : 24), *quoted;
	bool here = fp_npt_match(n, addr, outward);

	if (here && word_at(n, addr) == 16)
		return RTR_DROP_NPT_ADDR;
	/* The quoted packet went the other way: our source was its destination. */
	if (p->flags & FP_F_ICMP_ERR && p->end - p->l4_off >= FP_ICMP_LEN + FP_IP6_LEN) {
		quoted = frame + p->l4_off + FP_ICMP_LEN + (outward ? 24 : 8);
		if (fp_npt_match(n, quoted, outward) && !fp_npt_map(n, quoted, outward))
			return RTR_DROP_NPT_ADDR;
	}
	if (here)
		fp_npt_map(n, addr, outward);
	return RTR_DROP_NONE;
}
