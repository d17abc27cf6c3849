/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: interfaces and their addresses: the records, and what other domains ask of them.
 *
 * An interface that the model does not name is left alone. One that it names is up unless
 * `shutdown`, and carries exactly the addresses that the model gives it plus those that others
 * put there (told apart by IFA_PROTO). MTU, MAC and alias return to what they were before rtr
 * touched them when the line is removed (kernel/baseline.h).
 * Names: Loopback0 is the kernel's lo; LoopbackN a dummy, or a memberless bridge where the kernel
 * has no dummy; BVIN a bridge; NAME.VID a VLAN subinterface; any other name must exist in the
 * kernel, and may come and go at run time.
 */
#ifndef RTR_IFACE_H
#define RTR_IFACE_H

#include "prefix.h"
#include "schema/model.h"

#include <net/if.h>

struct iface {
	struct rec rec;
	char name[IFNAMSIZ]; /* as the operator sees it: "Loopback0", "eth0.100" */
	char *description;
	uint32_t mtu;
	uint8_t mac[6];
	bool shutdown;
	uint16_t dot1q;        /* encapsulation dot1Q */
	uint16_t bridge_group; /* member of BVI<n> */
	bool redirects;        /* ip redirects */
	bool ipv6_enable;
};

struct iface_addr4 {
	struct rec rec;
	struct rtr_prefix addr; /* host bits kept */
	bool secondary;
};

struct iface_addr6 {
	struct rec rec;
	struct rtr_prefix addr;
	bool link_local; /* "ipv6 address fe80::1 link-local": /64 */
	bool eui_64;     /* host part from the MAC; addr holds the network */
};

extern struct sch_type iface_type, iface_addr4_type, iface_addr6_type;

/* The kernel's name of an interface: "Loopback0" -> "lo", others as they are. */
const char *iface_kernel_name(const char *name);
/* And back, for what the kernel reports. */
const char *iface_operator_name(const char *kernel_name);

#endif
