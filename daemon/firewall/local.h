/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: how a configured service opens the box for its own packets, in zones that are not called
 * management: a routing daemon for its neighbours, VRRP for its adverts, a DHCP client for answers.
 *
 *	static void permits(const struct rec *model, struct fw_locals *l)
 *	{
 *		fw_local_permit(l, &(struct fw_permit){ .why = "vrrp", .iface = "eth0",
 *			.family = AF_INET, .proto = 112, .ttl = 255 }, &vrrp->rec);
 *	}
 *	FW_LOCAL_SOURCE(vrrp, permits);
 *
 * Owns: all is copied. Threads: rtrd's loop only. Failure: none.
 */
#ifndef RTR_FW_LOCAL_H
#define RTR_FW_LOCAL_H

#include "prefix.h"
#include "schema/model.h"

struct fw_locals;

struct fw_permit {
	const char *why;   /* shown to people: "bgp neighbor 192.0.2.1" */
	const char *iface; /* kernel's name; NULL: any */
	uint8_t family;
	uint16_t proto;              /* IPPROTO_*; 256: any */
	struct rtr_prefix src, dst;  /* family 0: any */
	uint16_t sport_lo, sport_hi; /* 0, 0: any */
	uint16_t dport_lo, dport_hi; /* 0, 0: any */
	bool has_icmp_type;
	uint8_t icmp_type;
	uint8_t ttl; /* exactly, or 0: any */
};

void fw_local_permit(struct fw_locals *l, const struct fw_permit *p, const struct rec *rec);

typedef void (*fw_local_fn)(const struct rec *model, struct fw_locals *l);
#define FW_LOCAL_SOURCE(id, fn)                                                                    \
	static const fw_local_fn fw_local_##id                                                     \
		__attribute__((used, section("rtr_fw_locals"))) = (fn)

#endif
