/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mss.h"

#include "csum.h"

enum { OPT_END = 0, OPT_NOP = 1, OPT_MSS = 2, OPT_MSS_LEN = 4 };

static void set_mss(uint8_t *tcp, unsigned at, uint16_t max)
{
	uint16_t delta = fp_csum_delta16(fp_ld16_be(tcp + at), htons(max));

	/* At an odd offset the value's bytes are the halves of two words: RFC 1071 section 2B. */
	if (at & 1)
		delta = (uint16_t)(delta << 8 | delta >> 8);
	fp_st16(tcp + at, max);
	fp_st16_be(tcp + FP_TCP_CSUM, fp_csum_adjust(fp_ld16_be(tcp + FP_TCP_CSUM), delta));
}

bool fp_mss_clamp(uint8_t *frame, const struct fp_pkt *p, uint16_t max)
{
	uint8_t *tcp = frame + p->l4_off;
	unsigned len;
	bool changed = false;

	if (p->proto != IPPROTO_TCP || !(p->flags & FP_F_L4) || !(p->tcp_flags & FP_TCP_SYN) ||
	    !max)
		return false;
	len = (tcp[12] >> 4) * 4u;
	for (unsigned i = 20; i + 1 < len;) {
		if (tcp[i] == OPT_END)
			break;
		if (tcp[i] == OPT_NOP) {
			i++;
			continue;
		}
		if (tcp[i + 1] < 2 || i + tcp[i + 1] > len)
			break;
		/* A second MSS option would win in some stacks: none is left out. */
		if (tcp[i] == OPT_MSS && tcp[i + 1] == OPT_MSS_LEN && fp_ld16(tcp + i + 2) > max) {
			set_mss(tcp, i + 2, max);
			changed = true;
		}
		i += tcp[i + 1];
	}
	return changed;
}
