/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an ICMP error quotes: the error's checksum is made right, so that the quote is reached. */
#include "../../fastpath/csum.h"
#include "../../fastpath/icmp_quote.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *ip = malloc(size ? size : 1);
	struct fp_pkt p;
	struct fp_quote q;

	memcpy(ip, data, size);
	if (fp_parse_ip(ip, (uint32_t)size, &p) == FP_V_FORWARD && p.flags & FP_F_ICMP_ERR) {
		fp_csum_l4_fill(ip, &p);
		if (!fp_quote_parse(ip, &p, &q)) {
			if (q.l4_off > p.end || q.l4_off + q.avail > p.end)
				abort();
			if (p.family == AF_INET) {
				struct fp_tuple4 t;

				fp_quote_tuple4(ip, &q, &t);
				t.src_be ^= 0x01020304;
				t.sport_be ^= 0x0506;
				fp_quote_nat4(ip, &p, &q, &t, 0x11223344, 0x55667788);
			} else {
				struct fp_tuple6 t;
				const uint8_t src[16] = { 1, 2, 3 }, dst[16] = { 4, 5, 6 };

				fp_quote_tuple6(ip, &q, &t);
				t.dst[3] ^= 0x77;
				t.dport_be ^= 0x0506;
				fp_quote_nat6(ip, &p, &q, &t, src, dst);
			}
			/* Translated with all its parts, the error is still right. */
			if (!fp_csum_l4_ok(ip, &p))
				abort();
		}
	}
	free(ip);
	return 0;
}
