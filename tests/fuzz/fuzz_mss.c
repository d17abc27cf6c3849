/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP options: the input is the options of a SYN; clamped, its checksum is still right. */
#include "../../fastpath/csum.h"
#include "../../fastpath/mss.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned n = (unsigned)(size < 40 ? size : 40) / 4 * 4, len = 40 + n;
	uint8_t *ip = calloc(1, len);
	struct fp_pkt p;

	ip[0] = 0x45;
	fp_st16(ip + 2, (uint16_t)len);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	fp_st32(ip + 12, 0x0a000001);
	fp_st32(ip + 16, 0x0a000002);
	ip[32] = (uint8_t)((20 + n) / 4 << 4);
	ip[33] = FP_TCP_SYN;
	if (n)
		memcpy(ip + 40, data, n);
	if (fp_parse_ip(ip, len, &p) != FP_V_FORWARD || !fp_csum_l4_fill(ip, &p))
		abort();
	for (uint16_t max = 2000; max; max = (uint16_t)(max - 200))
		fp_mss_clamp(ip, &p, max);
	if (!fp_csum_l4_ok(ip, &p))
		abort();
	/* Nothing is left to lower. */
	if (fp_mss_clamp(ip, &p, 200))
		abort();
	free(ip);
	return 0;
}
