/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sequence of fragments, ticks and answers for virtual reassembly, six bytes each; and cutting
 * whatever the rest of the input makes of an IPv4 packet. What is held must come out once.
 */
#include "../../fastpath/frag.h"
#include "../../fastpath/vfr.h"
#include "util.h"

#define HANDLES 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(struct fp_vfr *v, uint8_t *state)
{
	uint64_t h, ctx;
	enum rtr_drop why;
	uint32_t note;

	while (fp_vfr_released(v, &h, &ctx, &note)) {
		if (state[h] != 1)
			abort();
		state[h] = 2;
	}
	while (fp_vfr_dead(v, &h, &why)) {
		if (state[h] != 1 || why == RTR_DROP_NONE)
			abort();
		state[h] = 2;
	}
}

static void step(struct fp_vfr *v, const uint8_t d[6], uint64_t h, uint64_t now, uint8_t *state)
{
	uint8_t frame[64] = { 0 };
	bool v6 = d[0] & 1, more = d[0] & 2;
	unsigned off = (d[1] | (d[2] & 3u) << 8) * 8u, len = 8u * (1 + d[3] % 32);
	struct fp_pkt p = { .family = v6 ? AF_INET6 : AF_INET,
			    .proto = 17,
			    .l4_off = 48,
			    .frag_hdr_off = v6 ? 40 : 0,
			    .frag_off = (uint16_t)off,
			    .frag_id = d[4] % 4,
			    .end = (uint16_t)(48 + len),
			    .flags = FP_F_FRAG | (more ? FP_F_FRAG_MORE : 0) };
	struct fp_vfr_ret ret;

	if (off + len > 65535 || (off == 0 && !more))
		return;
	frame[v6 ? 8 : 12] = d[5] % 4;
	switch (fp_vfr_input(v, frame, &p, 0, h, now, &ret)) {
	case FP_VFR_HELD:
		state[h] = 1;
		break;
	case FP_VFR_DROP:
		if (ret.drop == RTR_DROP_NONE)
			abort();
		break;
	default:
		if (ret.first && d[0] & 4)
			fp_vfr_resolve(v, ret.dgram, h, (uint32_t)h);
		else if (ret.first && d[0] & 8)
			fp_vfr_refuse(v, ret.dgram, RTR_DROP_ACL_DENY);
	}
}

static void cut(const uint8_t *data, size_t size)
{
	struct fp_pkt p;
	struct fp_frag4 f;
	uint8_t out[1500], *exact = malloc(size ? size : 1);
	uint32_t mtu = size ? 28 + data[0] * 5u : 68, len, sum = 0;

	memcpy(exact, data, size);
	if (size && exact[0] >> 4 != 6 && fp_parse_ip(exact, (uint32_t)size, &p) == FP_V_FORWARD &&
	    !fp_frag4_init(&f, exact, &p, mtu)) {
		while ((len = fp_frag4_next(&f, out, sizeof(out))) != 0) {
			if (len > mtu)
				abort();
			sum += len - (out[0] & 15) * 4u;
		}
		if (sum != p.end - p.l4_off)
			abort();
	}
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fp_vfr_cfg cfg = { 8, 16, 3, 12, 100, 7 };
	static struct fp_vfr *v; /* empty again after each input, which is checked */
	uint8_t state[HANDLES] = { 0 };
	static uint64_t now;
	struct fp_vfr_stats st;

	if (!v)
		v = fp_vfr_new(&cfg);
	if (!v)
		abort();
	for (uint64_t h = 0; h < HANDLES && (h + 1) * 6 <= size; h++) {
		const uint8_t *d = data + h * 6;

		if (d[0] & 16)
			now += d[3];
		step(v, d, h, now, state);
		if (d[0] & 32)
			fp_vfr_expire(v, now, 4);
		drain(v, state);
	}
	now += 1000;
	fp_vfr_expire(v, now, UINT32_MAX);
	drain(v, state);
	fp_vfr_stats(v, &st);
	if (st.n_open || st.n_held || memchr(state, 1, sizeof(state)))
		abort();
	cut(data, size);
	return 0;
}
