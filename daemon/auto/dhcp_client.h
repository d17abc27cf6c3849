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
	DHCP_S_PROBING,    /* has it; asks whether somebody else uses the address */
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
	struct dhcp_in held;              /* PROBING: the lease, and since when */
	uint64_t held_ns;
	uint32_t (*rnd)(uint32_t below);
};

/* RFC 2131 section 4.4.1 asks for a probe, RFC 5227 for four to seven seconds of them: an uplink
 * that takes so long is the worse evil. What comes later the kernel's own answers meet. */
#define DHCP_PROBES   3
#define DHCP_PROBE_MS 200
/* RFC 2131 section 3.1 point 5: before it asks again. */
#define DHCP_DECLINE_SEC 10

enum dhcp_act { DHCP_WAIT, DHCP_SEND, DHCP_GONE, DHCP_PROBE, DHCP_BOUND };

/* addr zero: no lease is known; else one with left_sec seconds to go. */
void dhcp_begin(struct dhcp_client *c, const uint8_t mac[6], const struct autod_dhcp *d,
		uint64_t now, uint32_t (*rnd)(uint32_t below));
/* Does what is due; call again until DHCP_WAIT. DHCP_SEND: *ret. DHCP_GONE: the lease ran out.
 * DHCP_PROBE: ask who has c->addr. DHCP_BOUND: nobody; the lease in c->held holds. */
enum dhcp_act dhcp_next(struct dhcp_client *c, uint64_t now, struct dhcp_out *ret);
uint64_t dhcp_due(const struct dhcp_client *c);
/* An answer. AUTOD_BOUND: the lease in `in` holds (a first one is probed for before); AUTOD_LOST:
 * the one that was is no more; 0. */
int dhcp_answer(struct dhcp_client *c, const struct dhcp_in *in, uint64_t now);
/* Somebody else has c->addr. True while probing: *ret tells the server. */
bool dhcp_conflict(struct dhcp_client *c, uint64_t now, struct dhcp_out *ret);
/* The message that gives the lease back; false when there is none. */
bool dhcp_release(const struct dhcp_client *c, struct dhcp_out *ret);

#endif
