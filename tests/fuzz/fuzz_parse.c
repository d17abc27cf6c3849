/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any frame: one verdict, offsets inside the frame, and every stage that rewrites in place. */
#include "../../fastpath/csum.h"
#include "../../fastpath/icmp_err.h"
#include "../../fastpath/mss.h"
#include "../../fastpath/npt.h"
#include "../../fastpath/rewrite.h"
#include "util.h"

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rewrite(uint8_t *frame, uint32_t len, struct fp_pkt *p)
{
	const struct fp_l2_spec spec = { .n_vlan = 2, .pppoe = true };
	struct fp_buf b = { frame, len, 64, 60 };
	bool ok = fp_csum_l4_ok(frame, p);
	struct fp_pkt again;
	struct fp_l2 l2;

	fp_mss_clamp(frame, p, 1000);
	if (p->family == AF_INET) {
		struct fp_tuple4 from = { fp_ld32_be(frame + p->l3_off + 12),
					  fp_ld32_be(frame + p->l3_off + 16), p->sport_be,
					  p->dport_be, p->proto };
		struct fp_tuple4 to = from;
		struct fp_nat4 nat;

		to.src_be = htonl(0xc6336401);
		to.sport_be = to.dport_be = p->flags & FP_F_PORTS ? htons(7777) : from.sport_be;
		if (!fp_nat4_init(&nat, &from, &to))
			fp_nat4_apply(frame, p, &nat);
	} else {
		static const uint8_t in[16] = { 0x20, 1 }, out[16] = { 0x30, 2 };
		struct fp_npt npt;

		CHECK(fp_npt_init(&npt, in, out, 16) == 0);
		fp_npt_apply(frame, p, &npt, true);
	}
	fp_ttl_dec(frame, p);
	CHECK(!ok || fp_csum_l4_ok(frame, p));
	fp_csum_l4_is_partial(frame, p);
	fp_csum_l4_fill(frame, p);
	fp_l2_init(&l2, &spec);
	if (fp_l2_apply(&b, p, &l2))
		return;
	CHECK(fp_parse(b.data, b.len, &again) != FP_V_DROP);
	CHECK(again.l3_off == p->l3_off && again.l4_off == p->l4_off && again.end == p->end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t src[16] = { 0x20, 1 };
	/* Room in front and behind as in a UMEM frame; a read before or after it is still seen, as
	 * the judging is done on a copy of exactly the frame's size. */
	uint8_t *exact = malloc(size ? size : 1), *room = malloc(64 + size + 60);
	struct fp_pkt p, q;
	enum fp_verdict v;

	memcpy(exact, data, size);
	v = fp_classify(exact, (uint32_t)size, &p);
	CHECK(v == p.verdict && v < FP_V__MAX);
	CHECK((v == FP_V_DROP) == (p.drop != RTR_DROP_NONE));
	CHECK((v == FP_V_KERNEL) == (p.punt != FP_PUNT_NONE));
	if (v == FP_V_FORWARD || v == FP_V_EXPIRED)
		CHECK(p.l3_off + 20u <= p.l4_off && p.l4_off <= p.end && p.end <= size);
	for (unsigned k = 0; k < FP_ICMP_K__MAX; k++) {
		struct fp_icmp_req req = { .kind = k, .src = src, .arg = 1300 };
		uint8_t out[FP_ICMP6_MAX];

		if ((p.family == AF_INET && p.l3_off + 20u <= p.end) ||
		    (p.family == AF_INET6 && p.l3_off + 40u <= p.end))
			if (fp_icmp_err_allowed(exact, &p, k))
				CHECK(fp_icmp_err_build(out, sizeof(out), exact, &p, &req));
	}
	fp_parse_ip(exact, (uint32_t)size, &q);
	if (v == FP_V_FORWARD) {
		memcpy(room + 64, data, size);
		rewrite(room + 64, (uint32_t)size, &p);
	}
	free(exact);
	free(room);
	return 0;
}
