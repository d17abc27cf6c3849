/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: why a packet, a flow or an interface is the kernel's: the one list behind the enum, the
 * text of `show dataplane eligibility` and the documentation. XDP runs before much of what the
 * kernel would do; what the fast plane cannot do exactly as the kernel does is left to it.
 *
 *	X(SYMBOL, "cli-text", "what it means")
 *
 * Owns: nothing. Threads: any. Failure: none.
 */
#ifndef FP_ELIGIBLE_H
#define FP_ELIGIBLE_H

/* clang-format off */
#define ELIG_REASONS(X)                                                                            \
	/* state of the fast plane */                                                              \
	X(SYNCING, "syncing", "tables are still being read from the kernel")                       \
	X(CLASSIFYING, "classifying", "something changed in the kernel and is being looked at")    \
	X(NO_LINK, "unknown-interface", "interface is not known yet, or gone")                     \
	X(NO_PORT, "no-fast-port", "interface is not attached to the fast plane")                  \
	X(LIMIT, "table-limit", "a table of the fast plane is full")                               \
	/* the interface */                                                                        \
	X(LINK_TYPE, "link-type", "interface is not plain Ethernet (tunnel, PPP, VPN)")            \
	X(LINK_MASTER, "bridge-or-bond", "interface is a port of a bridge or bond")                \
	X(VLAN_TAGS, "vlan-tags", "VLAN in a VLAN, or of another tag than 802.1Q")                 \
	X(VLAN_MAC, "vlan-mac", "VLAN has another MAC address than its parent")                    \
	X(VLAN_QOS, "vlan-qos", "VLAN marks priorities in its tags (egress-qos-map)")              \
	X(VRF_DOWN, "vrf-down", "interface is in a VRF whose device is down")                      \
	X(FORWARDING_OFF, "forwarding-off", "forwarding is off on the ingress interface")          \
	/* the route */                                                                            \
	X(RULE, "policy-rule", "an ip rule that the fast plane does not model may match")          \
	X(ROUTE_TOS, "route-tos", "route depends on the type of service")                          \
	X(ROUTE_SOURCE, "route-source", "IPv6 route depends on the source")                        \
	X(ROUTE_ENCAP, "route-encap", "route encapsulates (MPLS, SRv6, IP tunnel)")                \
	X(ROUTE_MTU, "route-mtu", "route has an MTU below its interface's")                        \
	X(ROUTE_TYPE, "route-type", "route is of a type that only the kernel follows")             \
	X(ROUTE_VRF, "route-vrf", "route leads into a VRF by its device: the kernel looks up again")    \
	X(ROUTE_TIE, "route-tie", "several routes of one prefix and metric: the kernel picks")     \
	X(ROUTE_DEAD, "route-dead", "next hops are dead, kernel has not withdrawn the route yet")  \
	X(NEXTHOP, "nexthop-object", "next hop object is unknown or of another kind")              \
	X(SCOPE, "scope", "destination is multicast, link-local, loopback or unspecified")         \
	/* what XDP would bypass */                                                                \
	X(XFRM, "ipsec-policy", "an IPsec policy may match")                                       \
	X(NFT, "foreign-nftables", "an nftables chain that is not ours sees forwarded packets")    \
	X(IPTABLES, "iptables", "legacy iptables rules see forwarded packets")                     \
	X(IPTABLES_BLIND, "iptables-unwatched", "legacy iptables cannot be watched")               \
	X(TC, "foreign-tc", "a foreign traffic control filter or queueing discipline")             \
	X(BPF, "foreign-bpf", "a foreign BPF program sees packets of the interface (tcx)")           \
	X(UNWATCHED, "unwatched", "the kernel refuses to say what hooks there are")
/* clang-format on */

#define ELIG_ENUM_(sym, text, doc) ELIG_##sym,
enum elig { ELIG_OK = 0, ELIG_REASONS(ELIG_ENUM_) ELIG__MAX };
#undef ELIG_ENUM_

/* Static texts; "fast" for 0 and "unknown" beyond the list, never NULL. */
const char *elig_text(unsigned reason);
const char *elig_doc(unsigned reason);

#endif
