/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the policy as rtrd sends it to rtr-fastpath: a header and sections, each an array of one
 * fixed struct, which name each other by index. rtrd compiles it after the same struct policy as
 * the kernel's ruleset (daemon/fastpath/fast_policy.c); rtr-fastpath checks every index, count
 * and range before it uses any (fastpath/pol_check.c), and evaluates it (fastpath/pol.h).
 *
 * Addresses are in network order, IPv4 in the first four bytes and zero behind; ports in host
 * order. Both ends are of one build.
 */
#ifndef RTR_FASTPOL_H
#define RTR_FASTPOL_H

#include <stdint.h>

#define FASTPOL_MAGIC   0x72747270u /* "rtrp" */
#define FASTPOL_VERSION 3
/* 200,000 lines are 40 MB; rtr-fastpath takes no more than this. */
#define FASTPOL_SIZE_MAX (256u << 20)
#define FASTPOL_NONE     UINT32_MAX /* no list, pool ... */
#define FASTPOL_MSS_PATH 1          /* no number: what the path takes */

#define FASTPOL_SECTIONS(X)                                                                        \
	X(IFACES, ifaces, struct fastpol_iface) /* by ifindex */                                   \
	X(PAIRS, pairs, struct fastpol_pair)    /* by from, to */                                  \
	X(CLASSES, classes, struct fastpol_class)                                                  \
	X(MATCHES, matches, struct fastpol_match)                                                  \
	X(LISTS, lists, struct fastpol_list)                                                       \
	X(RULES, rules, struct fastpol_rule)                                                       \
	X(SERVICES, services, struct fastpol_service)                                              \
	X(ADDRS, addrs, struct fastpol_addrs)                                                      \
	X(PORTS, ports, struct fastpol_ports)                                                      \
	X(SYNS, syns, struct fastpol_endpoint)     /* by family, address, port */                  \
	X(GLOBALS, globals, struct fastpol_static) /* by family, kind, global, port */             \
	X(LOCALS, locals, struct fastpol_static) /* by family, kind, local, port, global, port */  \
	X(OUT_LOCAL, out_local, struct fastpol_outside)   /* by family, local */                   \
	X(OUT_GLOBAL, out_global, struct fastpol_outside) /* by family, global */                  \
	X(ROTARIES, rotaries, struct fastpol_rotary)                                               \
	X(DYNAMICS, dynamics, struct fastpol_dynamic) /* in order of evaluation */                 \
	X(MAPS, maps, struct fastpol_map)                                                          \
	X(HOSTS, hosts, struct fastpol_hosts)                                                      \
	X(POOLS, pools, struct fastpol_pool)                                                       \
	X(SHARED, shared, struct fastpol_shared) /* by family, address; disjoint */

enum fastpol_section {
#define X(id, name, type) FASTPOL_S_##id,
	FASTPOL_SECTIONS(X)
#undef X
		FASTPOL_S__MAX
};

/* Elements first to first + n - 1 of a section. */
struct fastpol_span {
	uint32_t first, n;
};

enum fastpol_flag {
	FASTPOL_F_STATEFUL = 1 << 0, /* flows are tracked */
	FASTPOL_F_MARTIANS = 1 << 1,
	FASTPOL_F_ZONES = 1 << 2, /* there is a zone: what no pair lets pass is dropped */
	FASTPOL_F_NAT = 1 << 3,
	FASTPOL_F_EIM = 1 << 4,    /* an inside endpoint has one external one in a pool */
	FASTPOL_F_HELPER = 1 << 5, /* some line names a helper: connections may be expected */
	FASTPOL_F_EIF = 1 << 6,    /* with EIM: anybody outside may use that external one */
};

struct fastpol_hdr {
	uint32_t magic, version;
	uint64_t size;              /* of all */
	uint32_t flags;             /* enum fastpol_flag */
	uint16_t block, blocks;     /* pools: ports of a host's block, and most of these; 0, 0 */
	uint16_t fast_lo, fast_hi;  /* the fast plane's ports of a shared address ... */
	struct fastpol_span carved; /* ... less these, in PORTS: ascending */
	uint32_t host_max;          /* connections of a source; 0: any number */
	struct {
		uint64_t off; /* from the start; a multiple of 8 */
		uint64_t n;
	} section[FASTPOL_S__MAX];
};

struct fastpol_addrs {
	uint8_t lo[16], hi[16];
};

struct fastpol_ports {
	uint16_t lo, hi;
};

#define FASTPOL_ANY 256 /* protocol */

struct fastpol_service {
	uint16_t proto;
	uint8_t n_flags, zero;
	struct {
		uint8_t mask, value;
	} flags[4]; /* matches when one does; n_flags 0: any */
	uint32_t sport_first, sport_n, dport_first, dport_n; /* PORTS, ascending; n 0: any */
};

enum fastpol_action { FASTPOL_DENY, FASTPOL_PERMIT, FASTPOL_REJECT, FASTPOL_PASS };

enum fastpol_rule_flag {
	FASTPOL_R_EFFECT = 1 << 0, /* logs, limits, names a helper */
	FASTPOL_R_NAME = 1 << 1,   /* a server name decides */
	FASTPOL_R_HELPER = 1 << 2, /* names a helper */
};

/* One line that is in force and may match the first packet of a TCP or UDP connection. */
struct fastpol_rule {
	uint64_t dscp;  /* set; 0: any */
	uint32_t id;    /* pol_id */
	uint32_t asks;  /* hash of what it asks for beside the 5-tuple; 0: nothing */
	uint8_t action; /* enum fastpol_action */
	uint8_t flags;  /* enum fastpol_rule_flag */
	uint8_t ttl_lo, ttl_hi;
	uint16_t len_lo, len_hi;
	struct fastpol_span src, dst; /* ADDRS, ascending and disjoint; n 0: any */
	struct fastpol_span services; /* at least one */
};

struct fastpol_list {
	uint8_t family, zero[7];
	struct fastpol_span rules;
};

struct fastpol_match {
	uint32_t list[2]; /* IPv4, IPv6; FASTPOL_NONE */
};

struct fastpol_class {
	uint32_t id;
	uint8_t action, match_all, log, zero;
	struct fastpol_span matches; /* none: everything */
};

struct fastpol_pair {
	uint16_t from, to;
	uint32_t zero;
	struct fastpol_span classes;
};

enum fastpol_side { FASTPOL_NO_SIDE, FASTPOL_INSIDE, FASTPOL_OUTSIDE };

/* [0] IPv4, [1] IPv6 */
struct fastpol_iface {
	uint32_t ifindex;
	uint16_t zone; /* POL_ZONE_NONE: 0 */
	uint8_t urpf[2];
	uint32_t in[2], out[2]; /* lists; FASTPOL_NONE */
	uint16_t mss[2];        /* 0: none, or FASTPOL_MSS_PATH */
	uint8_t side[2];        /* enum fastpol_side */
	uint8_t npt, zero;      /* IPv6 prefixes are translated here, by the kernel alone */
};

struct fastpol_endpoint {
	uint8_t family, zero;
	uint16_t port;
	uint32_t zero2;
	uint8_t addr[16];
};

enum fastpol_static_kind {
	FASTPOL_HOST,
	FASTPOL_NETWORK,
	FASTPOL_TCP,
	FASTPOL_UDP,
	FASTPOL_STATIC__MAX
};

struct fastpol_static {
	uint8_t family, kind, len; /* len: of a network */
	uint8_t bound;             /* its address is that of an interface */
	uint32_t ifindex;          /* 0: it is not there now */
	uint64_t line;             /* what it is counted as */
	uint16_t lport, gport, n_ports, zero;
	uint8_t local[16], global[16];
};

struct fastpol_outside {
	uint8_t family, zero[7];
	uint64_t line;
	uint8_t local[16], global[16];
};

struct fastpol_rotary {
	uint32_t list;
};

enum fastpol_dynamic_kind {
	FASTPOL_D_EXEMPT,
	FASTPOL_D_MAP,    /* one to one */
	FASTPOL_D_POOL,   /* of many */
	FASTPOL_D_SHARE,  /* of a deterministic pool, to each host its ports */
	FASTPOL_D_KERNEL, /* its flows are the kernel's */
	FASTPOL_D__MAX
};

struct fastpol_dynamic {
	uint8_t kind, bound, zero[2]; /* bound: of what leaves by the interface only */
	uint32_t ifindex;
	uint32_t list;
	uint32_t pool;           /* FASTPOL_D_POOL, SHARE */
	uint64_t line;           /* nat_line_id: its connections are counted */
	struct fastpol_span map; /* FASTPOL_D_MAP: of MAPS; FASTPOL_D_SHARE: of HOSTS, ascending */
};

struct fastpol_map {
	uint8_t lo[16], hi[16], dst[16];
};

/* Hosts lo to hi have the shares of this number and the following. */
struct fastpol_hosts {
	uint8_t lo[16], hi[16];
	uint32_t first, zero;
};

struct fastpol_pool {
	uint8_t family, zero;
	uint16_t share;  /* deterministic: ports of a host; else 0 */
	uint32_t shares; /* a hash of who has them */
	uint8_t lo[16], hi[16];
};

/* Addresses of which what comes to a port of the fast plane is of a flow or of nobody. */
struct fastpol_shared {
	uint8_t family, zero[7];
	uint8_t lo[16], hi[16];
};

#define FASTPOL_ASSERT(name, expr) _Static_assert(expr, name)
FASTPOL_ASSERT("rule", sizeof(struct fastpol_rule) == 48);
FASTPOL_ASSERT("service", sizeof(struct fastpol_service) == 28);
FASTPOL_ASSERT("iface", sizeof(struct fastpol_iface) == 32);
FASTPOL_ASSERT("static", sizeof(struct fastpol_static) == 56);
FASTPOL_ASSERT("dynamic", sizeof(struct fastpol_dynamic) == 32);

#endif
