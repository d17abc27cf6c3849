/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rtr-arpd does with a frame: read as the answer to a question, read as ARP, judged as a
 * conflict at any moment of an address's life. The first two bytes choose mode and moment. */
#include "neigh/arpd_dad.h"
#include "neigh/arpd_frame.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static uint32_t half(uint32_t below)
{
	return below / 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now = NSEC_PER_SEC, told = 0;
	bool say, defend;
	static const uint8_t zero[16];
	struct arpd_arp arp;
	struct dad d;

	if (size >= 2) {
		/* For whatever the frame says that it is about: most of them would name another. */
		const uint8_t *arp_target = size >= 2 + 32 ? data + 2 + 28 : zero,
			      *target = size >= 2 + 78 ? data + 2 + 62 : zero;
		uint8_t mac[6];

		(void)arpd_answer_read(data + 2, size - 2, AF_INET, arp_target, mac);
		(void)arpd_answer_read(data + 2, size - 2, AF_INET6, target, mac);
	}
	if (size < 2 || !arpd_arp_read(data + 2, size - 2, &arp))
		return 0;
	dad_begin(&d, data[0] % 3, 2, 2000, now, half);
	for (unsigned i = 0; i < 64; i++) {
		now += data[1] * 20 * NSEC_PER_MSEC;
		while (dad_next(&d, now, half) != DAD_NONE)
			;
		dad_conflict(&d, !(arp.spa[0] | arp.spa[1] | arp.spa[2] | arp.spa[3]), now, &say,
			     &defend);
		if (say && told && now - told < DAD_DEFEND_INTERVAL_MS * NSEC_PER_MSEC)
			abort();
		if (defend && !d.in_use)
			abort();
		told = say ? now : told;
	}
	return 0;
}
