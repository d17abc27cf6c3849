/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the DHCPv4 client's state machine (RFC 2131 section 4.4): what to send when, and what an
 * answer means. Pure: time and chance come in, messages go out. Owns: nothing.
 * Threads: any. Failure: none; a server that does not answer is asked again for ever.
 */
#ifndef RTR_DHCP_CLIENT_H
#define RTR_DHCP_CLIENT_H

#include "auto/dhcp_wire.h"

enum dhcp_state {
	DHCP_S_REBOOT,     /* asks for the address of before */
	DHCP_S_SELECTING,  /* looks for a server */
	DHCP_S_REQUESTING, /* takes what it offered */
	DHCP_S_BOUND,
	DHCP_S_RENEWING,  /* asks its server for more time */
	DHCP_S_REBINDING, /* asks any server */
};

struct dhcp_client {
	enum dhcp_state state;
	uint8_t mac[6], server_mac[6];
	uint8_t addr[4], server[4]; /* zero: none */
	char hostname[64];
	uint32_t xid;
	unsigned tries;
	uint64_t started_ns, next_ns;
	uint64_t t1_ns, t2_ns, expire_ns; /* expire 0: no lease */
	uint32_t (*rnd)(uint32_t below);
};

enum dhcp_act { DHCP_WAIT, DHCP_SEND, DHCP_GONE };

/* addr zero: no lease is known; else one with left_sec seconds to go. */
void dhcp_begin(struct dhcp_client *c, const uint8_t mac[6], const struct autod_dhcp *d,
		uint64_t now, uint32_t (*rnd)(uint32_t below));
/* Does what is due. DHCP_SEND: *ret; call again. DHCP_GONE: the lease ran out; call again. */
enum dhcp_act dhcp_next(struct dhcp_client *c, uint64_t now, struct dhcp_out *ret);
uint64_t dhcp_due(const struct dhcp_client *c);
/* An answer. AUTOD_BOUND: the lease in `in` holds; AUTOD_LOST: the one that was is no more; 0. */
int dhcp_answer(struct dhcp_client *c, const struct dhcp_in *in, uint64_t now);
/* The message that gives the lease back; false when there is none. */
bool dhcp_release(const struct dhcp_client *c, struct dhcp_out *ret);

#endif
