/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: policy routing: `route-map` and where it is applied, as rules of the kernel.
 *
 * A sequence of a map becomes, for each place where the map is applied and each pair of a source
 * and a destination that it matches, at most four rules of rising preference:
 *	base + 4i      MATCH iif X lookup T                  what `set` says: T holds one default
 *	                                                    route, or none while nothing can be
 *reached base + 4i + 1  MATCH iif X lookup main suppress 0    only with set default next-hop base +
 *4i + 2  MATCH iif X lookup T+1                likewise base + 4i + 3  MATCH iif X goto END nothing
 *came of it, or deny: as usual and END, behind all of them, is a rule that does nothing. So a
 *packet that meets a sequence whose next hops are all gone is routed as usual, as on IOS, and never
 *by a later sequence. Every rule carries our FRA_PROTOCOL; changes are added before old rules go,
 *so a packet is always routed by the map before or the map after.
 *
 * With `match ip address` each line of the list takes such a step of four, in the list's order; a
 * deny goes to a rule that does nothing behind the last of them, and so to the next sequence.
 *
 * Tables: 0x72000000 + (number of the instance << 16) + 2 * (hash of map and sequence).
 * Owns: nothing but the lines. Threads: rtrd's loop only. Failure: as plan_nl's.
 */
#ifndef RTR_PBR_H
#define RTR_PBR_H

#include "kernel/rule.h"
#include "prefix.h"
#include "schema/model.h"

#include <net/if.h>

#define PBR_PREF_FIRST    10000
#define PBR_PREF_END      29999
#define PBR_MAX_SEQUENCES ((PBR_PREF_END - PBR_PREF_FIRST) / 4)
/* The kernel walks rules one by one, for each packet. */
#define PBR_MAX_RULES 4096
#define PBR_HOPS      4

enum { PBR_PERMIT, PBR_DENY };

struct route_map {
	struct rec rec;
	char *name;
	uint16_t seq;
	uint8_t action; /* PBR_PERMIT, PBR_DENY */
	char *description;

	char *acl4, *acl6; /* match ip|ipv6 address */
	uint8_t dscp, ip_proto;
	uint16_t sport, sport_last, dport, dport_last;
	uint32_t mark, mask;

	/* by family: [0] IPv4, [1] IPv6; those of the second are in fields of their own */
	struct rtr_addr hop4_1, hop4_2, hop4_3, hop4_4;
	struct rtr_addr hop6_1, hop6_2, hop6_3, hop6_4;
	struct rtr_addr dflt4_1, dflt4_2, dflt6_1, dflt6_2;
	char ifname[IFNAMSIZ];
	uint32_t table;
	char *vrf;
};

struct route_map_net { /* match ip|ipv6 source|destination */
	struct rec rec;
	struct rtr_prefix net;
};

struct route_map_verify { /* set ip|ipv6 next-hop verify-availability */
	struct rec rec;
	struct rtr_addr hop;
	uint16_t seq, track;
};

struct pbr_local { /* ip|ipv6 local policy route-map */
	struct rec rec;
	uint8_t family; /* 0 IPv4, 1 IPv6 */
	char *map;
};

extern struct sch_type route_map_type, route_map_src4_type, route_map_dst4_type,
	route_map_src6_type, route_map_dst6_type, route_map_verify4_type, route_map_verify6_type,
	pbr_local_type;

/* A rule that the lines ask for, and the sequence that it comes from (NULL: END). */
struct pbr_rule {
	struct rule rule;
	const struct route_map *map;
};

/* A table that the lines ask for. */
struct pbr_table {
	uint8_t family;
	uint32_t id;
	const struct route_map *map;
	bool dflt; /* of set default next-hop */
};

struct pbr {
	struct pbr_rule *rules; /* in order of rule_cmp */
	struct pbr_table *tables;
	const struct rec *root;
	size_t n_rules, rules_room, n_tables, tables_room;
	bool overflow; /* PBR_MAX_RULES: nothing of it is to be used */
};

/* ---- pbr_acl.c ---- */

struct pbr_ace { /* a line, or one pair of port ranges of it */
	bool deny;
	unsigned line; /* 0, 1, ... */
	uint8_t ip_proto;
	struct rtr_prefix src, dst;
	struct rule_ports sport, dport;
};
struct pbr_acl {
	struct pbr_ace *v;
	size_t n, n_lines;
};
struct pbr_misfit { /* the line that no rule of the kernel can say, and what of it */
	const struct rec *line;
	const char *what;
};
/* Pure. 0, -ENOENT (no such list), -EOPNOTSUPP with *ret_misfit. */
int pbr_acl_read(const struct rec *root, uint8_t family, const char *name, struct pbr_acl *ret,
		 struct pbr_misfit *ret_misfit);
void pbr_acl_fini(struct pbr_acl *a);

/* Pure: the rules and tables of a model. proto: our FRA_PROTOCOL; base: of our tables. */
void pbr_compile(struct pbr *b, const struct rec *root, uint8_t proto, uint32_t base);
void pbr_fini(struct pbr *b);
uint32_t pbr_table_base(uint8_t proto);

/* For packet-tracer: the sequence of the running model that made a rule of ours; NULL = none. */
const struct route_map *pbr_origin(const struct rec *root, const struct rule *r);

/* All rules of the kernel now, of one family, sorted by preference (rule_next walks them). Returns
 * their number, or -errno; *ret is the caller's. */
int pbr_kernel_rules(uint8_t family, struct rule **ret);

struct plan;
void pbr_plan(struct plan *p);
/* What a sequence's table leads to now; false while nothing. */
struct shadow_route;
const struct shadow_route *pbr_installed(const struct pbr_table *t);

struct check;
void pbr_check(struct check *c);

#endif
