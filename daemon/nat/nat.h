/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the records of the NAT lines, and what the files of this folder ask of each other. What
 * other domains need is in nat_policy.h; docs/nat.md explains the lines to their users.
 * Files: nat_types.c (values), nat_schema.c (lines), nat_policy.c, nat_ports.c, nat_map.c and
 * nat_det.c (the policy), nat_check.c, nat_eval.c (the judge); nat_nft*.c (nftables), nat_kernel.c
 * (addresses, ports), nat_flows.c (live connections), nat_show*.c. Owns: records belong to their
 * model. Threads: rtrd's loop only. Failure: none here.
 */
#ifndef RTR_NAT_H
#define RTR_NAT_H

#include "kernel/shadow.h"
#include "cli/command.h"
#include "nat/nat_policy.h"

/* "80", "8000-8010": a port or a range of them. */
struct nat_port_span {
	uint16_t lo, hi;
};

struct nat_if_conf { /* ip nat inside|outside */
	struct rec rec;
	uint8_t side; /* enum nat_side_word */
};
enum nat_side_word { NAT_WORD_INSIDE, NAT_WORD_OUTSIDE };

struct nat_npt_conf { /* nptv6 prefix inside P outside P */
	struct rec rec;
	struct rtr_prefix inside, outside;
};

struct nat_pool_conf_line { /* ip nat pool */
	struct rec rec;
	char *name;
	struct rtr_addr lo, hi;
	uint8_t mask_kind; /* 0: netmask, 1: prefix-length */
	struct rtr_addr mask;
	uint8_t len;
	uint8_t type;   /* enum nat_pool_word */
	uint16_t ports; /* of a host; type deterministic */
	bool no_alias;
};
enum nat_pool_word { NAT_POOL_ROTARY, NAT_POOL_MATCH_HOST, NAT_POOL_DETERMINISTIC };

struct nat_source_conf { /* ip nat inside source list */
	struct rec rec;
	uint16_t seq; /* of a policy line; 0: no policy line */
	char *acl;
	uint8_t to; /* enum nat_to */
	char *pool;
	char ifname[IFNAMSIZ]; /* interface X, or pool P via X */
	bool overload;
};
enum nat_to { NAT_TO_INTERFACE, NAT_TO_POOL, NAT_TO_NOTHING };

struct nat_static_conf { /* ip nat inside source static */
	struct rec rec;
	uint8_t kind; /* enum nat_static_kind */
	struct rtr_addr local, global;
	uint8_t len; /* network */
	struct nat_port_span lports, gports;
	uint8_t at; /* 0: global address, 1: interface */
	char ifname[IFNAMSIZ];
	bool no_alias;
};

struct nat_outside_conf { /* ip nat outside source static */
	struct rec rec;
	struct rtr_addr global, local;
};

struct nat_dest_conf { /* ip nat inside destination list */
	struct rec rec;
	char *acl, *pool;
};

struct nat_range_conf { /* ip nat settings port-range */
	struct rec rec;
	uint8_t who; /* enum nat_port_user */
	uint16_t lo, hi;
};

struct nat_reserve_conf { /* ip nat settings port-reserve */
	struct rec rec;
	struct nat_port_span ports;
};

struct nat_mapping_conf { /* ip nat settings mapping */
	struct rec rec;
	uint8_t mapping; /* enum nat_mapping_word */
};
enum nat_mapping_word { NAT_MAPPING_CONNECTION, NAT_MAPPING_ENDPOINT };

struct nat_filtering_conf { /* ip nat settings filtering */
	struct rec rec;
	uint8_t filtering; /* enum nat_mapping_word */
};

struct nat_block_conf { /* ip nat settings port-block */
	struct rec rec;
	uint16_t size, limit;
};

/* [0] IPv4, [1] IPv6 */
extern struct sch_type nat_npt_type, nat_block_type;
extern struct sch_type nat_range_type, nat_reserve_type, nat_mapping_type, nat_filtering_type;
extern struct sch_type *const nat_pool_types[2],
	*const nat_source_types[2], *const nat_static_types[2],
					    *const nat_outside_types[2],
						    *const nat_dest_types[2],
							    *const nat_if_types[2];

/* ---- address arithmetic (nat_ports.c) ---- */

/* a + n; false when it overflows. */
bool nat_addr_add(struct rtr_addr *a, uint64_t n);
/* b - a, UINT64_MAX when it is that or more; b >= a. */
uint64_t nat_addr_diff(const struct rtr_addr *b, const struct rtr_addr *a);
/* Last address of a network. */
struct rtr_addr nat_prefix_last(const struct rtr_prefix *p);

/* ---- the port ranges (nat_ports.c) ---- */

/* Fills ranges and the carve-outs. */
void nat_ports_build(struct nat_policy *p, const struct rec *model, struct check *c);
void nat_ports_fini(struct nat_policy *p);

/* ---- pools without overload (nat_map.c) ---- */

/* True when nothing but the source decides whether the list permits. */
bool nat_list_is_sources(const struct pol_list *l);
/* The sources that such a list permits; the caller frees. */
struct pol_addrs *nat_list_sources(const struct pol_list *l);
void nat_map_build(struct nat_dynamic *d, struct check *c);
bool nat_map_find(const struct nat_dynamic *d, const struct rtr_addr *src, struct rtr_addr *ret);
/* Cuts a range into blocks of 2^bits addresses that move by a change of prefix alone. fn returns
 * false to stop; then so does this. */
typedef bool (*nat_block_fn)(void *arg, const struct rtr_addr *src, const struct rtr_addr *dst,
			     unsigned bits);
bool nat_map_blocks(const struct nat_map_range *m, nat_block_fn fn, void *arg);

/* ---- deterministic pools (nat_det.c) ---- */

/* Fills nat_dynamic.det of a policy whose ports are there. */
void nat_det_build(struct nat_policy *p, struct check *c);
/* Blocks of that size in what is left of a range, none with a hole. */
uint32_t nat_ports_blocks(const struct nat_policy *p, enum nat_port_user who, uint32_t size);

/* First match of a list permits (nat_eval.c). */
bool nat_list_permits(const struct pol_list *l, const struct pol_packet *pkt);

/* ---- what is wrong with a policy (nat_check.c) ---- */

void nat_check_policy(const struct nat_policy *p, const struct rec *model, struct check *c);

/* ---- the kernel (nat_nft.c, nat_kernel.c) ---- */

struct plan;
/* IFA_PROTO of the addresses that we answer for: 97 for the instance "main", others 100 to 149. */
static inline uint8_t nat_alias_proto(void)
{
	uint8_t num = shadow_proto();

	return num < 200 ? (uint8_t)(num - 1) : (uint8_t)(num - 100);
}
/* Frees what the last build of the ruleset keeps. */
void nat_nft_forget(void);
/* The NAT policy of a model, with the addresses of now; valid until the loop's next turn. */
const struct nat_policy *nat_policy_for(const struct rec *want);
/* The policy that holds it; the same from call to call while nothing changed. */
const struct policy *nat_policy_holder(const struct rec *want);
void nat_plan(struct plan *p);

/* ---- live connections (nat_flows.c) ---- */

int nat_flows_init(void);
void nat_flows_fini(void);
void nat_flows_observed(unsigned change);
/* Is a change still to be followed, or a walk under way? */
bool nat_flows_busy(void);

/* ---- blocks of ports (nat_blocks.c) ---- */

int nat_blocks_init(void);
void nat_blocks_fini(void);
void nat_show_blocks4(struct cmd_ctx *c);
void nat_show_blocks6(struct cmd_ctx *c);
void nat_stop_blocks(struct cmd_ctx *c);

/* ---- show commands (nat_show.c) ---- */

/* Of deterministic pools (nat_show_det.c): all, one host by either end. */
json_t *nat_show_det4(struct cmd_ctx *c);
json_t *nat_show_det6(struct cmd_ctx *c);
void nat_print_det(struct cmd_ctx *c, const json_t *list);
json_t *nat_show_det_inside(struct cmd_ctx *c);
json_t *nat_show_det_outside(struct cmd_ctx *c);
void nat_print_share(struct cmd_ctx *c, const json_t *o);

#define NAT_N_CMDS 12
extern const struct cmd nat_cmds[NAT_N_CMDS];
void nat_show_init(void);
void nat_show_fini(void);

#endif
