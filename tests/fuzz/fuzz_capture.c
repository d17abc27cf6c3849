/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A packet as text, and a damaged file of a capture: the first byte says how much was captured. */
#include "capture/pcapng.h"
#include "capture/pkt_text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *t)
{
	if (strlen(t) >= PKT_TEXT_MAX)
		abort();
	for (; *t; t++) {
		if (*t < ' ' || *t > '~')
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[PKT_TEXT_MAX];
	struct pcapng_head head;
	struct pcapng_packet p;
	size_t have, block;

	if (size < 1)
		return 0;
	have = (size_t)*data++ * --size / 255;
	check(pkt_text(PKT_ETHERNET, data, have, size, text));
	check(pkt_text(PKT_IP, data, have, size, text));
	if (pcapng_get_head(data, size, &head) > size)
		abort();
	for (size_t at = 0; at < size; at += block) {
		enum pcapng_block k = pcapng_next(data + at, size - at, &block, &p);

		if (k == PCAPNG_MORE || k == PCAPNG_BAD)
			break;
		if (block > size - at ||
		    (k == PCAPNG_PACKET && p.data + p.have > data + at + block))
			abort();
		if (k == PCAPNG_PACKET)
			check(pkt_text(PKT_ETHERNET, p.data, p.have, p.size, text));
	}
	return 0;
}
