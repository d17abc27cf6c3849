/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: every reason for which a packet is dropped: the one list behind the enum, the counters,
 * the CLI text of `show drops` and the reference documentation. XDP programs, workers and rtrd
 * include it; it therefore needs no other header.
 *
 *	X(SYMBOL, stage, "cli-text", "what it means and, where one exists, the rule behind it")
 *
 * The numbers are not an ABI beyond one build: programs that share counters compare RTR_DROP__MAX
 * and rtr_drop_list_id. Append inside a stage, keep a text once it has been released.
 * Owns: nothing. Threads: any. Failure: none.
 */
#ifndef RTR_DROP_H
#define RTR_DROP_H

/* clang-format off */
#define RTR_DROP_STAGES(S)                                                                         \
	S(PARSE, "parse") S(VALID, "validation") S(FRAG, "reassembly") S(POLICY, "policy")         \
	S(TRACK, "tracking") S(NAT, "nat") S(ROUTE, "routing") S(NEIGH, "neighbour")               \
	S(MTU, "mtu") S(TTL, "ttl") S(RESOURCE, "resource") S(QDISC, "qdisc") S(INTERNAL, "internal")

#define RTR_DROP_REASONS(X)                                                                        \
	/* headers that cannot be read */                                                          \
	X(ETH_SHORT, PARSE, "eth-short", "frame ends inside the Ethernet header or a VLAN tag")    \
	X(FRAME_LONG, PARSE, "frame-too-long",                                                     \
	  "frame is longer than 65535 bytes or than a packet buffer")                              \
	X(PPPOE, PARSE, "pppoe-header", "PPPoE version, type, code or length is wrong")            \
	X(IP4_SHORT, PARSE, "ipv4-short", "frame ends inside the IPv4 header")                     \
	X(IP4_VERSION, PARSE, "ipv4-version", "IPv4 version is not 4 (RFC 1812 5.2.2)")            \
	X(IP4_IHL, PARSE, "ipv4-ihl", "IPv4 header length below 5 words (RFC 1812 5.2.2)")         \
	X(IP4_LENGTH, PARSE, "ipv4-length",                                                        \
	  "IPv4 total length below the header or beyond the frame (RFC 1812 5.2.2)")               \
	X(IP4_OPTION, PARSE, "ipv4-option", "an IPv4 option runs out of the header")               \
	X(IP6_SHORT, PARSE, "ipv6-short", "frame ends inside the IPv6 header")                     \
	X(IP6_VERSION, PARSE, "ipv6-version", "IPv6 version is not 6")                             \
	X(IP6_LENGTH, PARSE, "ipv6-length", "IPv6 payload length is beyond the frame")             \
	X(IP6_JUMBO, PARSE, "ipv6-jumbogram", "IPv6 payload length 0 with a payload (RFC 2675)")   \
	X(IP6_EXT_SHORT, PARSE, "ipv6-ext-short", "packet ends inside an extension header")        \
	X(IP6_EXT_CHAIN, PARSE, "ipv6-ext-chain", "more extension headers than the limit")         \
	X(IP6_EXT_ORDER, PARSE, "ipv6-ext-order",                                                  \
	  "hop-by-hop options not first (RFC 8200 4.3) or a second fragment header")               \
	X(L4_SHORT, PARSE, "l4-short", "packet ends inside the transport header")                  \
	X(TCP_OFFSET, PARSE, "tcp-offset", "TCP data offset below 5 words or beyond the packet")   \
	X(UDP_LENGTH, PARSE, "udp-length", "UDP length below 8 or beyond the packet")              \
	X(GRE_HEADER, PARSE, "gre-header", "GRE header is incomplete")                             \
	/* headers that may not be believed */                                                     \
	X(IP4_CSUM, VALID, "ipv4-checksum", "IPv4 header checksum is wrong (RFC 1812 5.2.2)")      \
	X(SRC_MARTIAN, VALID, "martian-source",                                                    \
	  "source can be no host: loopback, this-network, multicast, reserved, mapped (RFC 1812 5.3.7)") \
	X(DST_MARTIAN, VALID, "martian-destination",                                               \
	  "destination never leaves a host: loopback, this-network, reserved, mapped")             \
	X(LAND, VALID, "land", "source and destination address are the same")                      \
	X(SRC_ROUTE, VALID, "ipv4-source-route", "loose or strict source route option (RFC 7126)") \
	X(IP6_RH0, VALID, "ipv6-rh0", "routing header type 0 (RFC 5095)")                          \
	X(FRAG_TINY, VALID, "frag-tiny",                                                           \
	  "fragment made to hide the transport header (RFC 1858, RFC 3128)")                       \
	X(FRAG_CHAIN, VALID, "frag-header-chain",                                                  \
	  "first fragment does not hold the whole header chain (RFC 7112)")                        \
	X(FRAG_ALIGN, VALID, "frag-align", "inner fragment is not a multiple of 8 bytes")          \
	X(FRAG_BEYOND, VALID, "frag-beyond", "fragment reaches beyond 65535 bytes")                \
	X(FRAG_EMPTY, VALID, "frag-empty", "fragment without payload")                             \
	X(L4_CSUM, VALID, "l4-checksum", "transport checksum is wrong")                            \
	X(UDP6_NOCSUM, VALID, "udp6-no-checksum", "UDP over IPv6 without checksum (RFC 8200 8.1)") \
	X(TCP_FLAGS, VALID, "tcp-flags", "combination of TCP flags that no stack sends")           \
	X(ICMP_QUOTE, VALID, "icmp-quote", "ICMP error quotes no packet that can be read")         \
	X(ARP_INVALID, VALID, "arp-invalid", "ARP packet contradicts the frame or the subnet")     \
	/* fragments */                                                                            \
	X(FRAG_OVERLAP, FRAG, "frag-overlap", "fragments overlap: all are discarded (RFC 5722)")   \
	X(FRAG_LENGTHS, FRAG, "frag-lengths", "fragments disagree about the datagram's length")    \
	X(FRAG_DUPLICATE, FRAG, "frag-duplicate", "the same fragment once more")                   \
	X(FRAG_TIMEOUT, FRAG, "frag-timeout", "first fragment did not come in time")               \
	X(FRAG_COUNT, FRAG, "frag-count", "more fragments of one datagram than the limit")         \
	X(FRAG_SOURCE, FRAG, "frag-source-limit", "too many open datagrams from one source")       \
	X(FRAG_TABLE, FRAG, "frag-table-full", "reassembly table is full")                         \
	X(FRAG_HELD, FRAG, "frag-hold-limit", "no room to hold a fragment that came early")        \
	X(FRAG_DEAD, FRAG, "frag-discarded", "fragment of a datagram that was discarded before")   \
	/* what the operator decided */                                                            \
	X(ACL_DENY, POLICY, "acl-deny", "denied by an access list entry")                          \
	X(ACL_DEFAULT, POLICY, "acl-default", "matched no access list entry")                      \
	X(ZONE_DENY, POLICY, "zone-deny", "zone pair has no policy or its class says drop")        \
	X(INSPECT, POLICY, "inspect", "refused by protocol inspection")                            \
	X(URPF, POLICY, "urpf", "source has no route back by this interface (RFC 3704)")           \
	X(POLICED, POLICY, "policed", "above the rate of a policer")                               \
	X(SRC_BLOCKED, POLICY, "source-blocked", "source is in a block set")                       \
	X(STORM, POLICY, "storm-control", "above the rate for broadcast or multicast")             \
	X(NO_FORWARDING, POLICY, "forwarding-off", "forwarding is off on the interface")           \
	X(REDIRECT_IGNORED, POLICY, "icmp-redirect", "ICMP redirect is not accepted or forwarded") \
	/* connection tracking */                                                                  \
	X(CT_INVALID, TRACK, "ct-invalid", "packet fits no state of its connection")               \
	X(CT_NO_SYN, TRACK, "tcp-no-syn", "TCP packet of no known connection is not a SYN")        \
	X(CT_WINDOW, TRACK, "tcp-window", "TCP sequence or acknowledgement outside the window")    \
	X(CT_CLOSED, TRACK, "tcp-closed", "packet of a closed TCP connection")                     \
	X(CT_HOST_LIMIT, TRACK, "host-limit", "host has its share of connections")                 \
	X(CT_RATE, TRACK, "new-flow-rate", "new connections above the configured rate")            \
	X(CT_SYN_FLOOD, TRACK, "syn-flood", "half-open connections above the limit")               \
	/* translation */                                                                          \
	X(NAT_PORTS, NAT, "nat-no-port", "no free port or ICMP id on the NAT address")             \
	X(NAT_POOL, NAT, "nat-no-address", "NAT pool has no usable address")                       \
	X(NAT_QUOTA, NAT, "nat-quota", "host has its share of NAT mappings")                       \
	X(NAT_NO_MAPPING, NAT, "nat-no-mapping", "packet to a NAT address without a mapping")      \
	X(NAT_FILTER, NAT, "nat-filter", "mapping exists, remote endpoint is not allowed (RFC 4787 5)") \
	X(NAT_PROTO, NAT, "nat-protocol", "protocol cannot be translated")                         \
	X(NAT_LEAK, NAT, "nat-untranslated", "inside source would have left untranslated")         \
	X(NAT_ICMP, NAT, "nat-icmp-error", "ICMP error about a packet of no known flow")           \
	X(NPT_ADDR, NAT, "nptv6-address", "address cannot be mapped checksum-neutrally (RFC 6296)") \
	X(NAT64_ICMP, NAT, "nat64-icmp", "ICMP type or code without counterpart (RFC 7915)")       \
	X(NAT64_FRAG, NAT, "nat64-fragment", "fragment that cannot be translated (RFC 7915)")      \
	X(NAT64_HEADER, NAT, "nat64-header", "header that cannot be translated (RFC 7915)")        \
	X(NAT64_ADDR, NAT, "nat64-address", "address is not of the NAT64 prefix (RFC 6052)")       \
	/* where to */                                                                             \
	X(NO_ROUTE, ROUTE, "no-route", "no route to the destination")                              \
	X(BLACKHOLE, ROUTE, "route-blackhole", "route says discard")                               \
	X(UNREACHABLE, ROUTE, "route-unreachable", "route says unreachable")                       \
	X(PROHIBIT, ROUTE, "route-prohibit", "route says prohibited")                              \
	X(LINK_SCOPE, ROUTE, "link-scope", "link-local address beyond its link (RFC 4291, 3927)")  \
	X(BROADCAST, ROUTE, "directed-broadcast", "broadcast of a connected subnet (RFC 2644)")    \
	X(MULTICAST, ROUTE, "multicast", "multicast without a route")                              \
	X(L2_GROUP, ROUTE, "l2-group", "unicast packet in a broadcast or multicast frame")         \
	X(OTHER_HOST, ROUTE, "other-host", "frame is for another station")                         \
	X(EGRESS_DOWN, ROUTE, "egress-down", "egress interface is down or gone")                   \
	X(INGRESS_DOWN, ROUTE, "ingress-down", "ingress interface is down or gone")                \
	/* next hop */                                                                             \
	X(NEIGH_QUEUE, NEIGH, "neigh-queue-full", "too many packets wait for the neighbour")       \
	X(NEIGH_FAILED, NEIGH, "neigh-failed", "neighbour did not answer")                         \
	X(NEIGH_NONE, NEIGH, "neigh-incomplete", "no neighbour entry and none may be made")        \
	/* size */                                                                                 \
	X(MTU_DF, MTU, "mtu-df", "too big for the egress and must not be fragmented")              \
	X(MTU_IP6, MTU, "mtu-ipv6", "IPv6 packet too big for the egress")                          \
	X(MTU_SMALL, MTU, "mtu-too-small", "egress MTU is too small to fragment into")             \
	/* time */                                                                                 \
	X(TTL_EXPIRED, TTL, "ttl-expired", "TTL or hop limit ran out in transit")                  \
	/* room */                                                                                 \
	X(FLOW_FULL, RESOURCE, "flow-table-full", "flow table is full")                            \
	X(NO_FRAME, RESOURCE, "no-frame", "no free packet buffer")                                 \
	X(HEADROOM, RESOURCE, "headroom", "no room in the buffer for longer headers")              \
	X(RX_RING, RESOURCE, "rx-ring-full", "receive ring of a worker is full")                   \
	X(TX_RING, RESOURCE, "tx-ring-full", "transmit ring is full")                              \
	X(HANDOFF, RESOURCE, "handoff-full", "ring between two workers is full")                   \
	X(PUNT_RING, RESOURCE, "punt-full", "ring to the kernel is full")                          \
	X(PUNT_RATE, RESOURCE, "punt-rate", "above the rate of packets to the kernel")             \
	X(ICMP_RATE, RESOURCE, "icmp-rate", "ICMP errors above the rate limit")                    \
	/* queues */                                                                               \
	X(QUEUE_FULL, QDISC, "queue-full", "queue of the class is full")                           \
	X(AQM, QDISC, "aqm", "delay above target (RFC 8289, RFC 8290)")                            \
	X(AQM_FAT, QDISC, "aqm-fattest-flow", "queue memory used up: fattest flow is cut")         \
	X(WRED, QDISC, "random-detect", "weighted random early detection")                         \
	/* faults of ours or of the machine */                                                     \
	X(XMIT, INTERNAL, "xmit-failed", "egress driver refused the frame after redirect")         \
	X(REDIRECT, INTERNAL, "redirect-failed", "XDP redirect failed")                            \
	X(NO_WORKER, INTERNAL, "no-worker", "flow needs a worker, none lives, kernel has no mirror") \
	X(GENERATION, INTERNAL, "stale-generation", "entry of a policy that is no longer valid")   \
	X(XDP_ABORTED, INTERNAL, "xdp-aborted", "XDP program met a case that cannot be")           \
	X(BUG, INTERNAL, "internal", "a check of the program's own state failed")
/* clang-format on */

#define RTR_DROP_ENUM_(sym, stage, text, doc) RTR_DROP_##sym,
enum rtr_drop { RTR_DROP_NONE = 0, RTR_DROP_REASONS(RTR_DROP_ENUM_) RTR_DROP__MAX };
#undef RTR_DROP_ENUM_

#define RTR_DROP_STAGE_ENUM_(sym, text) RTR_DROP_STAGE_##sym,
enum rtr_drop_stage { RTR_DROP_STAGES(RTR_DROP_STAGE_ENUM_) RTR_DROP_STAGE__MAX };
#undef RTR_DROP_STAGE_ENUM_

#ifndef __bpf__
/* Static texts; "none" for 0 and "unknown" beyond the list, never NULL. */
const char *rtr_drop_text(unsigned reason);
const char *rtr_drop_doc(unsigned reason);
enum rtr_drop_stage rtr_drop_stage(unsigned reason);
const char *rtr_drop_stage_text(unsigned stage);
/* The reason with this CLI text, or RTR_DROP_NONE. */
enum rtr_drop rtr_drop_find(const char *text);
/* Changes whenever a reason is added, removed, moved or renamed. */
unsigned rtr_drop_list_id(void);
#endif

#endif
