/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rtr-autod does with a frame: a DHCP answer in every state of the client, or a router
 * solicitation. The first byte chooses state and transaction. */
#include "auto/dhcp_client.h"
#include "auto/ra.h"

#include <stdlib.h>
#include <string.h>

static uint32_t half(uint32_t below)
{
	return below / 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct autod_dhcp nothing;
	struct dhcp_client c;
	struct dhcp_in in;
	struct dhcp_out o;
	uint64_t now = NSEC_PER_SEC;
	int r;

	if (size < 1)
		return 0;
	ra_is_solicitation(data + 1, size - 1);
	if (!dhcp_read(data + 1, size - 1, &in))
		return 0;
	if (in.n_routes > AUTOD_ROUTES || in.n_dns > AUTOD_DNS || in.len > 32 ||
	    !memchr(in.domain, 0, sizeof(in.domain)))
		abort();
	dhcp_begin(&c, in.mac, &nothing, now, half);
	c.state = (enum dhcp_state)(data[0] % (DHCP_S_REBINDING + 1));
	c.xid = data[0] & 0x80 ? in.xid : c.xid;
	r = dhcp_answer(&c, &in, now);
	if (r == AUTOD_BOUND && (c.state != DHCP_S_BOUND || !c.addr[0]))
		abort();
	for (int i = 0; i < 16 && dhcp_next(&c, now, &o) != DHCP_WAIT; i++)
		;
	if (dhcp_due(&c) <= now)
		abort();
	return 0;
}
