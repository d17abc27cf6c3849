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
 * kernel, and may come and go at run time. Only links that we created are ever deleted.
 * Files: iface.c (names), iface_schema.c (lines), iface_check.c, iface_link.c and iface_addr.c
 * (plans), addr_order.c (in which order to add and delete IPv4 addresses).
 */
#ifndef RTR_IFACE_H
#define RTR_IFACE_H

#include "prefix.h"
#include "schema/model.h"

#include <net/if.h>

struct shadow_link;

struct iface {
	struct rec rec;
	char name[IFNAMSIZ]; /* as the operator sees it: "Loopback0", "eth0.100" */
	char *description;
	uint32_t mtu;
	uint8_t mac[6];
	bool shutdown;
	uint16_t dot1q;        /* encapsulation dot1Q; of QinQ the outer tag */
	uint16_t second_dot1q; /* the inner tag; 0 = one tag only */
	uint16_t bridge_group; /* member of BVI<n> */
	bool redirects;        /* ip redirects; not configured = on */
	bool ipv6_enable;
	struct rtr_addr link_local; /* in place of the one that the kernel makes; family 0 = none */
	/* neighbours: daemon/neigh */
	bool proxy_arp, local_proxy_arp;
	bool gratuitous_arps, unsolicited_na; /* not configured = on */
	uint8_t dad;                          /* enum dad_mode; not configured = DAD_ON */
	uint8_t garp_accept;                  /* enum garp_accept; not configured = update */
	uint16_t nd_dad;
	char *policy4, *policy6; /* route maps: pbr/pbr.h */
	char *vrf;               /* vrf/vrf.h */
	/* iface_virtual.c */
	uint8_t tunnel_mode; /* enum iface_tunnel */
	struct rtr_addr tunnel_src, tunnel_dst;
	char tunnel_src_if[IFNAMSIZ];
	uint32_t tunnel_key;
	uint8_t tunnel_ttl;
	uint32_t vni;
	struct rtr_addr vxlan_src, vxlan_dst;
	char vxlan_dev[IFNAMSIZ];
	uint16_t vxlan_port;
	uint16_t channel_group; /* member of Port-channel<n> */
	uint8_t channel_mode;   /* enum iface_channel */
	uint8_t lacp_rate, load_balance;
	uint16_t min_links;
	uint16_t fhrp_delay, fhrp_reload, fhrp_routes; /* seconds: daemon/vrrp */
	/* auto/auto.h */
	bool dhcp;
	uint8_t dhcp_distance;
	bool ra_suppress; /* not configured = on */
	bool ra_managed, ra_other;
	uint8_t ra_hop_limit, ra_preference;
	uint16_t ra_max, ra_min, ra_lifetime;
	uint32_t ring_rx, ring_tx; /* nic/nic.h */
	uint16_t hw_queues;
	char *rss_key;
	bool rss_xor;
	uint8_t dataplane; /* enum dataplane: fastpath/fastpath.h; not configured = kernel */
	uint8_t dp_express, dp_zero_copy; /* there as well; not configured = on, auto */
};

struct iface_addr4 {
	struct rec rec;
	struct rtr_prefix addr; /* host bits kept */
	bool secondary;
};

struct iface_addr6 {
	struct rec rec;
	struct rtr_prefix addr;
	bool eui_64; /* host part from the MAC; addr holds the network */
};

extern struct sch_type iface_type, iface_addr4_type, iface_addr6_type;

enum iface_kind {
	IFACE_HARD,      /* must exist in the kernel */
	IFACE_LOOPBACK0, /* lo */
	IFACE_LOOPBACK,
	IFACE_BVI,
	IFACE_SUB,    /* NAME.VID */
	IFACE_TUNNEL, /* GRE, IPIP, 6in4 */
	IFACE_BOND,   /* Port-channelN */
	IFACE_NVE,    /* VXLAN */
};

enum iface_tunnel { TUNNEL_GRE, TUNNEL_GRE6, TUNNEL_IPIP, TUNNEL_SIT, TUNNEL_IP6 };
enum iface_channel { CHANNEL_ACTIVE, CHANNEL_PASSIVE, CHANNEL_ON };

/* What a link that we make must be. */
#define IFACE_MAKE_ATTRS 16
struct iface_make {
	const char *kind; /* NULL: not ours to make, or it waits for another link */
	int parent;       /* IFLA_LINK; 0 = none */
	struct {
		uint16_t type, size;
		uint8_t data[16];
	} info[IFACE_MAKE_ATTRS]; /* IFLA_INFO_DATA */
	unsigned n_info;
};
void iface_make(const struct rec *root, const struct iface *i, struct iface_make *ret);
/* Is the link what shall be made? */
bool iface_is_made(const struct iface_make *m, const struct shadow_link *l);
/* The interface of the outer tag of a QinQ subinterface; NULL when it has none. */
const struct iface *iface_outer(const struct rec *root, const struct iface *i);

/* The kernel's name of an interface: "Loopback0" -> "lo", others as they are. */
const char *iface_kernel_name(const char *name);
/* And back, for what the kernel reports. */
const char *iface_operator_name(const char *kernel_name);

enum iface_kind iface_kind_of(const char *name);
/* Loopback0 or LoopbackN: no wire, no other side. */
static inline bool iface_is_loopback(const char *name)
{
	enum iface_kind kind = iface_kind_of(name);

	return kind == IFACE_LOOPBACK0 || kind == IFACE_LOOPBACK;
}
/* "eth0.100" -> "eth0" (operator's name); false when it is no subinterface's name. */
bool iface_parent_name(const char *name, char ret[IFNAMSIZ]);

/* The interface of that name in a model; NULL when it has none. */
const struct iface *iface_find(const struct rec *root, const char *name);
/* The one that has the address, by its lines; NULL when none has. */
const struct iface *iface_owner_of(const struct rec *root, const struct rtr_addr *a);
/* Is the address in a network of its lines? */
bool iface_on_link(const struct iface *i, const struct rtr_addr *a);
/* Its link in the kernel now; NULL when there is none. */
const struct shadow_link *iface_link(const char *name);

bool iface_redirects(const struct iface *i);
bool iface_wants_ipv6(const struct iface *i);
/* The address as the kernel shall hold it: with eui-64 the host part comes from mac (NULL =
 * unknown). False when it cannot be told. */
bool iface_addr6_effective(const struct iface_addr6 *a, const uint8_t *mac, struct rtr_prefix *ret);

struct plan;
struct check;
void iface_plan_links(struct plan *p);
void iface_plan_addrs(struct plan *p);
void iface_check(struct check *c);

#endif
