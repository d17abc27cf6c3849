/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any packet to the other family and back: what comes out parses, and stays in its buffer. */
#include "../../fastpath/csum.h"
#include "../../fastpath/nat64.h"

#include <stdlib.h>

#define ROOM                                                                                       \
	40 /* what the longest growth, an ICMP error with a fragment inside, needs and no more */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sane(const struct fp_buf *b, const struct fp_pkt *p)
{
	struct fp_pkt q;

	if (p->end > b->len ||
	    fp_parse_ip(b->data + p->l3_off, (uint32_t)p->end - p->l3_off, &q) == FP_V_DROP)
		abort();
	if (q.l4_off != p->l4_off - p->l3_off || q.proto != p->proto || q.family != p->family ||
	    q.sport_be != p->sport_be || q.dport_be != p->dport_be)
		abort();
}

static enum rtr_drop translate(struct fp_buf *b, struct fp_pkt *p)
{
	const struct fp_nat64_4 to4 = {
		.to = { htonl(0xc6336401), htonl(0xc0000201), htons(1), htons(1) },
		.quoted = { htonl(0xc0000201), htonl(0xc6336401), htons(2), htons(3) },
		.id = 5,
		.mtu4 = 1400
	};
	const struct fp_nat64_6 to6 = { .to = { { 0x20, 1 }, { 0x20, 2 }, htons(1), htons(1) },
					.quoted = { { 0x20, 2 }, { 0x20, 1 }, htons(2), htons(3) },
					.mtu6 = 1500 };

	return p->family == AF_INET ? fp_nat64_4to6(b, p, &to6) : fp_nat64_6to4(b, p, &to4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool fix = size && data[0] & 1;
	uint8_t *room;
	struct fp_pkt p;
	struct fp_buf b;

	if (size < 1)
		return 0;
	data++, size--;
	room = malloc(ROOM + size);
	memcpy(room + ROOM, data, size);
	b = (struct fp_buf){ room + ROOM, (uint32_t)size, ROOM, 0 };
	if (fp_parse_ip(b.data, b.len, &p) == FP_V_FORWARD) {
		bool ok;

		if (fix)
			fp_csum_l4_fill(b.data, &p);
		ok = fp_csum_l4_ok(b.data, &p) && !(p.flags & FP_F_UDP_NOCSUM);
		if (!translate(&b, &p)) {
			sane(&b, &p);
			if (ok && !(p.flags & FP_F_ICMP_ERR) && !fp_csum_l4_ok(b.data, &p))
				abort();
			if (!translate(&b, &p))
				sane(&b, &p);
		}
	}
	free(room);
	return 0;
}
