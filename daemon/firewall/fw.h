/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the records of the firewall's configuration lines, and what the files of this folder ask of
 * each other. What other domains need is in policy.h.
 * Files: fw_types.c (values), fw_schema.c (lines), fw_check.c; policy_*.c (the policy, the judge);
 * compile*.c (nftables); fw_show.c.
 * Owns: the records belong to their model. Threads: rtrd's loop only. Failure: none here.
 */
#ifndef RTR_FW_H
#define RTR_FW_H

#include "firewall/fw_types.h"
#include "firewall/policy.h"
#include "schema/types.h"

/* ---- access lists ---- */

struct acl { /* ip access-list extended, ip access-list standard, ipv6 access-list */
	struct rec rec;
	char *name;
};

#define ACE_FLAG_WORDS 4

struct ace {
	struct rec rec;
	uint32_t seq;
	char *remark;   /* NULL: a rule */
	uint8_t action; /* permit, deny, reject: enum ace_action */
	uint16_t proto; /* IPPROTO_*, ACL_PROTO_ANY */
	char *service;  /* object group in place of proto and ports */
	struct acl_addr src, dst;
	char *src_group, *dst_group;
	struct rtr_addr src_lo, src_hi, dst_lo, dst_hi;
	struct acl_ports sport, dport;
	struct acl_icmp icmp;
	uint8_t icmp_code;
	bool established, fragments, log, per_source;
	uint8_t tcp_match; /* 0: match-all, 1: match-any */
	struct acl_flags flags1, flags2, flags3, flags4;
	uint8_t dscp;
	struct acl_span ttl, length;
	uint8_t states;
	char *time_range;
	uint32_t log_rate, limit_rate, burst, connections;
	uint8_t helper; /* enum fw_helper */
	char *server_name;
};

enum ace_action { ACE_PERMIT, ACE_DENY, ACE_REJECT };

/* Helpers: schema word, kernel's name, protocol and port that it listens on. */
#define FW_HELPERS(X)                                                                              \
	X("amanda", "amanda", IPPROTO_UDP)                                                         \
	X("ftp", "ftp", IPPROTO_TCP)                                                               \
	X("h323", "Q.931", IPPROTO_TCP)                                                            \
	X("irc", "irc", IPPROTO_TCP)                                                               \
	X("netbios-ns", "netbios-ns", IPPROTO_UDP)                                                 \
	X("pptp", "pptp", IPPROTO_TCP)                                                             \
	X("sane", "sane", IPPROTO_TCP)                                                             \
	X("sip", "sip", IPPROTO_UDP)                                                               \
	X("snmp", "snmp", IPPROTO_UDP)                                                             \
	X("tftp", "tftp", IPPROTO_UDP)

struct std_ace { /* of a standard access list */
	struct rec rec;
	uint32_t seq;
	char *remark;
	uint8_t action;
	struct acl_addr src;
	bool log;
};

extern struct sch_type acl4_type, ace4_type, acl6_type, ace6_type, acl_std_type, std_ace_type;

/* ---- object groups, time ranges ---- */

struct og { /* object-group network|service|interface */
	struct rec rec;
	char *name, *description;
};
struct og_group { /* group-object */
	struct rec rec;
	char *group;
};
struct og_host {
	struct rec rec;
	struct rtr_addr host;
};
struct og_range {
	struct rec rec;
	struct rtr_addr lo, hi;
};
struct og_net {
	struct rec rec;
	struct rtr_prefix net;
};
struct og_service {
	struct rec rec;
	uint16_t proto;
	struct acl_ports sport, dport;
};
struct og_icmp {
	struct rec rec;
	struct acl_icmp icmp;
};
struct og_iface {
	struct rec rec;
	char name[IFNAMSIZ];
};
extern struct sch_type og_network_type, og_service_type, og_interface_type;
extern struct sch_type og_host_type, og_range_type, og_net4_type, og_net6_type, og_ngroup_type;
extern struct sch_type og_svc_type, og_icmp4_type, og_icmp6_type, og_sgroup_type;
extern struct sch_type og_iface_type, og_igroup_type;

struct trange {
	struct rec rec;
	char *name;
	struct trange_moment start, end;
};
struct trange_period {
	struct rec rec;
	struct trange_periodic when;
};
extern struct sch_type trange_type, trange_period_type;

/* In force at a time; a time range without lines always is. */
bool trange_active(const struct trange *t, time_t now);
/* When that changes; 0: never. */
time_t trange_next(const struct trange *t, time_t now);

/* ---- zones ---- */

struct zone {
	struct rec rec;
	char *name, *description;
	bool management;
};
struct zone_member { /* member interface-group */
	struct rec rec;
	char *group;
};
struct zone_pair {
	struct rec rec;
	char *name, *source, *destination; /* "self" */
	char *description, *policy;
};
struct cmap {
	struct rec rec;
	char *name, *description;
	uint8_t match; /* enum cmap_match */
};
enum cmap_match { CMAP_ANY, CMAP_ALL };
struct cmap_proto {
	struct rec rec;
	char *protocol;
};
struct cmap_acl {
	struct rec rec;
	char *acl;
};
struct pmap {
	struct rec rec;
	char *name, *description;
};
struct pmap_class {
	struct rec rec;
	char *name;
	uint32_t order;
	uint8_t action; /* enum pmap_action */
	bool log;
};
enum pmap_action { PMAP_INSPECT, PMAP_PASS, PMAP_DROP, PMAP_REJECT };
extern struct sch_type zone_type, zone_member_type, zone_pair_type, cmap_type, cmap_proto_type,
	cmap_acl_type, pmap_type, pmap_class_type;

struct syn_conf { /* firewall syn-protection */
	struct rec rec;
	struct rtr_addr addr;
	uint16_t port, mss;
};
extern struct sch_type syn_conf_type;

/* ---- lines of interfaces: a line that stands once is a list without a key ---- */

struct if_acl { /* ip access-group, ipv6 traffic-filter */
	struct rec rec;
	char *acl;
	uint8_t dir; /* 0 in, 1 out */
};
struct if_zone {
	struct rec rec;
	char *zone;
};
struct if_urpf { /* one family */
	struct rec rec;
	uint8_t via; /* enum if_urpf_via */
	bool allow_default;
};
enum if_urpf_via { IF_URPF_RX, IF_URPF_ANY, IF_URPF_FEASIBLE };
struct if_mss {
	struct rec rec;
	uint8_t kind; /* 0: auto, 1: mss */
	uint16_t mss;
};
extern struct sch_type if_acl4_type, if_acl6_type, if_zone_type, if_urpf4_type, if_urpf6_type,
	if_mss4_type, if_mss6_type;

/* ---- shared by the files of this folder ---- */

/* The access list of a family, extended or standard; NULL when there is none. */
const struct rec *fw_acl(const struct rec *root, uint8_t family, const char *name);
/* A record whose key is its name, the first field. */
const struct rec *fw_named(const struct rec *root, const struct sch_type *type, const char *name);
/* Ports and protocols of `match protocol NAME`; NULL: unknown name. */
struct fw_protocol {
	const char *name, *list; /* "http", and the name of its list: "protocol http" */
	uint16_t proto[2];       /* 0: none */
	uint16_t port;           /* 0: any */
};
const struct fw_protocol *fw_protocol_find(const char *name);

void fw_check(struct check *c);

#endif
