/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drops/reason.h"

#include <string.h>

#define R(r)  RTR_DROP_##r
#define AT(a) DROP_AT_##a

/* First match; NULL: any. The names are of Linux 6.1 to 6.18; what a newer one calls differently
 * is shown by its own name. */
static const struct {
	const char *name, *function;
	enum rtr_drop reason;
	enum drop_at at;
} meanings[] = {
	/* What the function alone tells; 6.1 has no reason for most of these. */
	{ "IP_INHDR", "ip_forward", R(TTL_EXPIRED), AT(STACK) },
	{ "IP_INHDR", "ip6_forward", R(TTL_EXPIRED), AT(STACK) },
	{ "PKT_TOO_BIG", "ip_forward", R(MTU_DF), AT(STACK) },
	{ "PKT_TOO_BIG", "ip6_forward", R(MTU_IP6), AT(STACK) },
	{ "NOT_SPECIFIED", "ip_error", R(NO_ROUTE), AT(STACK) },
	{ "NOT_SPECIFIED", "ip6_pkt_discard", R(NO_ROUTE), AT(STACK) },
	{ "NOT_SPECIFIED", "ip6_pkt_prohibit", R(PROHIBIT), AT(STACK) },
	{ "NOT_SPECIFIED", "dst_discard", R(BLACKHOLE), AT(STACK) },
	{ "NOT_SPECIFIED", "dst_discard_out", R(BLACKHOLE), AT(STACK) },
	{ "NOT_SPECIFIED", "ip6_mc_input", R(MULTICAST), AT(STACK) },
	{ "NOT_SPECIFIED", "do_xdp_generic", R(NONE), AT(XDP) },
	{ "NOT_SPECIFIED", "nf_hook_slow", R(NONE), AT(NETFILTER) },
	/* Headers. */
	{ "IP_CSUM", NULL, R(IP4_CSUM), AT(STACK) },
	{ "PKT_TOO_SMALL", "ip_rcv_core", R(IP4_LENGTH), AT(STACK) },
	{ "PKT_TOO_SMALL", "ip6_rcv_core", R(IP6_LENGTH), AT(STACK) },
	{ "TCP_CSUM", NULL, R(L4_CSUM), AT(SOCKET) },
	{ "UDP_CSUM", NULL, R(L4_CSUM), AT(SOCKET) },
	{ "ICMP_CSUM", NULL, R(L4_CSUM), AT(SOCKET) },
	{ "TCP_FLAGS", NULL, R(TCP_FLAGS), AT(SOCKET) },
	{ "IP_INVALID_SOURCE", NULL, R(SRC_MARTIAN), AT(STACK) },
	{ "IP_LOCAL_SOURCE", NULL, R(SRC_MARTIAN), AT(STACK) },
	{ "IP_INVALID_DEST", NULL, R(DST_MARTIAN), AT(STACK) },
	{ "IP_LOCALNET", NULL, R(DST_MARTIAN), AT(STACK) },
	{ "UNICAST_IN_L2_MULTICAST", NULL, R(L2_GROUP), AT(STACK) },
	{ "OTHERHOST", NULL, R(OTHER_HOST), AT(STACK) },
	{ "DUP_FRAG", NULL, R(FRAG_DUPLICATE), AT(STACK) },
	{ "FRAG_REASM_TIMEOUT", NULL, R(FRAG_TIMEOUT), AT(STACK) },
	/* Where to. */
	{ "IP_RPFILTER", NULL, R(URPF), AT(STACK) },
	{ "IP_INNOROUTES", NULL, R(NO_ROUTE), AT(STACK) },
	{ "IP_OUTNOROUTES", NULL, R(NO_ROUTE), AT(STACK) },
	{ "DEV_READY", NULL, R(EGRESS_DOWN), AT(STACK) },
	{ "NEIGH_CREATEFAIL", NULL, R(NEIGH_NONE), AT(NEIGH) },
	{ "NEIGH_FAILED", NULL, R(NEIGH_FAILED), AT(NEIGH) },
	{ "NEIGH_DEAD", NULL, R(NEIGH_FAILED), AT(NEIGH) },
	{ "NEIGH_QUEUEFULL", NULL, R(NEIGH_QUEUE), AT(NEIGH) },
	/* Queues. */
	{ "QDISC_DROP", NULL, R(QUEUE_FULL), AT(QDISC) },
	{ "QDISC_OVERLIMIT", NULL, R(QUEUE_FULL), AT(QDISC) },
	{ "QDISC_CONGESTED", NULL, R(AQM), AT(QDISC) },
	{ "CAKE_FLOOD", NULL, R(AQM_FAT), AT(QDISC) },
	{ "FQ_FLOW_LIMIT", NULL, R(AQM_FAT), AT(QDISC) },
	{ "FQ_BAND_LIMIT", NULL, R(QUEUE_FULL), AT(QDISC) },
	{ "NOMEM", NULL, R(NO_FRAME), AT(STACK) },
};

/* Where, of those that have no row above, by how their names begin. */
static const struct {
	const char *begin;
	enum drop_at at;
} places[] = {
	{ "NETFILTER", AT(NETFILTER) }, { "NEIGH", AT(NEIGH) },      { "QDISC", AT(QDISC) },
	{ "FQ_", AT(QDISC) },           { "DUALPI2", AT(QDISC) },    { "TC_", AT(QDISC) },
	{ "CPU_BACKLOG", AT(SOFTNET) }, { "XDP", AT(XDP) },          { "FULL_RING", AT(NIC) },
	{ "DEV_HDR", AT(NIC) },         { "TAP_", AT(NIC) },         { "SOCKET", AT(SOCKET) },
	{ "NO_SOCKET", AT(SOCKET) },    { "PROTO_MEM", AT(SOCKET) }, { "TCP_", AT(SOCKET) },
	{ "PACKET_SOCK", AT(SOCKET) },  { "UNIX_", AT(SOCKET) },
};

/* Where the function tells more than the reason, the name that other kernels give it. */
static const char *better_name(const char *name, enum drop_at at)
{
	if (strcmp(name, "NOT_SPECIFIED") != 0)
		return name;
	return at == DROP_AT_XDP ? "XDP" : at == DROP_AT_NETFILTER ? "NETFILTER_DROP" : name;
}

struct drop_meaning drop_meaning(const char *name, const char *function)
{
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		if (!strcmp(meanings[i].name, name) &&
		    (!meanings[i].function || !strcmp(meanings[i].function, function)))
			return (struct drop_meaning){ meanings[i].reason, meanings[i].at,
						      better_name(name, meanings[i].at) };
	}
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (!strncmp(name, places[i].begin, strlen(places[i].begin)))
			return (struct drop_meaning){ RTR_DROP_NONE, places[i].at, name };
	}
	return (struct drop_meaning){ RTR_DROP_NONE, DROP_AT_STACK, name };
}

bool drop_is_innocent(const char *name, const char *function)
{
	/* By how the function's name begins: which of the small ones stay functions of their own is
	 * the compiler's choice. */
	static const struct {
		const char *name, *function;
	} innocents[] = {
		/* An echo reply: whoever asks by a raw socket has had his copy. */
		{ "NO_SOCKET", "ping_rcv" },
		/* Each raw socket of a protocol gets a copy; one did not want his. */
		{ "SOCKET_FILTER", "raw_" },
		{ "SOCKET_FILTER", "rawv6_" },
		{ "SOCKET_FILTER", "raw6_" },
		{ "SOCKET_FILTER", "ipv6_raw_" },
	};

	for (size_t i = 0; i < ARRAY_LEN(innocents); i++) {
		if (!strcmp(innocents[i].name, name) &&
		    !strncmp(innocents[i].function, function, strlen(innocents[i].function)))
			return true;
	}
	return false;
}

const char *drop_at_text(unsigned at)
{
	static const char *const texts[] = {
#define X(id, text) text,
		DROP_AT_LIST(X)
#undef X
	};

	return at < ARRAY_LEN(texts) ? texts[at] : "unknown";
}
