/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frag.h"

#include "csum.h"
#include "util.h"

#define OPT_END  0
#define OPT_NOP  1
#define OPT_COPY 0x80

/* Leaves in hdr what every piece but the first carries: options with the copy flag. */
static void later_header(struct fp_frag4 *f)
{
	uint8_t opt[FP_IP4_MAX_LEN - FP_IP4_LEN] = { 0 };
	unsigned n = 0;

	for (unsigned i = FP_IP4_LEN; i < f->hlen && f->hdr[i] != OPT_END;) {
		/* The parser has proved that every option ends inside the header. */
		unsigned len = f->hdr[i] == OPT_NOP ? 1 : f->hdr[i + 1];

		if (f->hdr[i] & OPT_COPY) {
			memcpy(opt + n, f->hdr + i, len);
			n += len;
		}
		i += len;
	}
	n = ROUND_UP(n, 4);
	memcpy(f->hdr + FP_IP4_LEN, opt, n);
	f->hlen = (uint8_t)(FP_IP4_LEN + n);
	f->hdr[0] = (uint8_t)(0x40 | f->hlen / 4);
}

enum rtr_drop fp_frag4_init(struct fp_frag4 *f, const uint8_t *frame, const struct fp_pkt *p,
			    uint32_t mtu)
{
	const uint8_t *ip = frame + p->l3_off;
	unsigned hlen = (ip[0] & 15) * 4u;

	if (p->flags & FP_F_DF)
		return RTR_DROP_MTU_DF;
	if (mtu < hlen + 8)
		return RTR_DROP_MTU_SMALL;
	*f = (struct fp_frag4){ .ip = ip,
				.payload = ip + hlen,
				.mtu = mtu,
				.left = (uint16_t)(p->end - p->l3_off - hlen),
				.off = p->frag_off,
				.hlen = (uint8_t)hlen,
				.more = p->flags & FP_F_FRAG_MORE };
	memcpy(f->hdr, ip, hlen);
	return RTR_DROP_NONE;
}

uint32_t fp_frag4_next(struct fp_frag4 *f, uint8_t *out, uint32_t cap)
{
	uint32_t room = f->mtu - f->hlen, n = f->left, len;
	uint16_t fo = f->off / 8;

	if (n == 0)
		return 0;
	if (n > room)
		n = room & ~7u;
	len = f->hlen + n;
	if (len > cap)
		return 0;
	if (n < f->left || f->more)
		fo |= FP_IP4_MF;
	memcpy(out, f->hdr, f->hlen);
	memcpy(out + f->hlen, f->payload, n);
	fp_st16(out + 2, (uint16_t)len);
	fp_st16(out + 6, fo);
	fp_st16_be(out + 10, fp_csum_ip4(out, f->hlen));
	f->payload += n;
	f->left = (uint16_t)(f->left - n);
	f->off = (uint16_t)(f->off + n);
	if (f->hlen > FP_IP4_LEN)
		later_header(f);
	return len;
}
