/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: which external port a translated flow gets, and the proof that no two flows share one.
 *
 * A pool is a set of external addresses (known here by index only: IPv4 and NAT66 alike) with the
 * port ranges of the fast plane. Ports come in chunks of 64, one per bit of a word:
 *
 *	port range       0 ......... 65535 of one address and protocol (ICMP: identifiers)
 *	  local sockets | kernel NAT | fast plane, less carve-outs   disjoint; only the last is here
 *	                               [chunk][chunk][chunk]...
 *	slices           worker 0's home        | worker 1's home    | ...
 *
 * A chunk is idle (a bit in its home slice's word) or owned by one worker, which alone allocates
 * from it without atomics. Claiming is one atomic and of the idle bit, giving back one atomic or:
 * a worker whose home is dry claims from any other slice in the same way, so that a handover
 * needs no message and no lock. Preferences (port preservation, random ports) leave a quarter of
 * the home slice idle for others; need may take all.
 *
 * Mapping modes:
 *  NAT_EDM  endpoint-dependent: a port is used once for each destination endpoint, so an address
 *           carries 64,000 flows to each. Per destination a group with one 64-bit set a chunk;
 *           a free bit is found by the group's list of sets with room, a new chunk by 16 words:
 *           no probing, whatever the load. Flow and grant belong to one worker.
 *  NAT_EIM  endpoint-independent (RFC 4787 REQ-1, RFC 5382 REQ-1): one mapping an inside endpoint
 *           for all workers, in a shared table with a lock word a bucket. The port comes from the
 *           creator's slice; whoever ends the last flow sends it back through the chunk.
 *
 * With block_ports an inside address draws from blocks of its own (RFC 6888 REQ-14, one log line
 * a block, shared by all workers under the address's bucket lock); with det_subs the block is
 * computed (RFC 7422) and never logged.
 *
 * Rules kept: ports 0-1023 stay below 1024 while one is free there, others above (RFC 4787
 * REQ-3a); parity kept when the destination's sets have a port for it (REQ-4); one external
 * address an inside address (REQ-2) by hash, the same after restart and failover; hairpin flows
 * are ordinary grants whose destination is the external endpoint (REQ-9), found by nat_port_find;
 * a freed port rests hold_sec[proto] to 2 x hold_sec (RFC 6888 REQ-8: 120 s, not needed where
 * state is tracked or filtering is endpoint-dependent: TCP, NAT_EDM); random ports (RFC 6056).
 *
 * Owns: all memory of the pool, taken at nat_pool_new. Nothing is allocated later.
 * Threads: nat_pool_new/free: control. Everything with a worker number: that worker's thread; a
 * NAT_EDM grant is freed by the worker that got it, NAT_EIM and block grants by any.
 * Failure: -ENOSPC no port, -EDQUOT quota, -ENOBUFS a table is full; nothing is changed by them
 * and each is counted. A full pool is a normal state.
 */
#ifndef FP_NAT_PORT_H
#define FP_NAT_PORT_H

#include "util.h"

#define NAT_MAX_WORKERS 64
#define NAT_MAX_RANGES  16
#define NAT_MAX_BLOCKS  8 /* a subscriber; 8 x 512 ports is beyond any advice in RFC 7422 */
#define NAT_CHUNK_PORTS 64

enum nat_proto { NAT_P_TCP, NAT_P_UDP, NAT_P_ICMP, NAT_P__MAX };
enum nat_mode { NAT_EDM, NAT_EIM };

struct nat_ports {
	uint16_t lo, hi; /* inclusive */
};

struct nat_pool_conf {
	enum nat_mode mode;
	uint16_t n_workers;
	uint32_t n_addrs; /* external addresses, at most 4096 */
	struct nat_ports fast[NAT_MAX_RANGES];
	unsigned n_fast;
	const struct nat_ports *carve; /* static and forwarded ports: never handed out */
	unsigned n_carve;
	bool preserve, parity, random, paired;
	uint16_t block_ports; /* 0 = no blocks, else a multiple of 64, at most 4096 */
	uint8_t max_blocks;   /* dynamic blocks a subscriber and protocol may hold */
	uint32_t det_subs;    /* > 0: blocks computed from the subscriber's number, RFC 7422 */
	uint32_t quota[NAT_P__MAX]; /* ports (EIM, blocks) or flows (EDM) a subscriber; 0 = none */
	uint32_t hold_sec[NAT_P__MAX];
	uint32_t max_flows; /* EDM: a worker; EIM: mappings of the pool */
	uint32_t max_subs;  /* subscribers with quota or blocks at a time */
	uint64_t seed; /* of hashes and random ports; equal seeds pair equally after failover */
};

struct nat_endpoint {
	uint8_t addr[16]; /* IPv4: first four bytes, the rest zero */
	uint16_t port;    /* host order; ICMP identifier */
};

struct nat_req {
	enum nat_proto proto;
	struct nat_endpoint in, dst;
	uint32_t sub_no; /* det_subs: number of the subscriber, from its prefix */
};

/* What the flow keeps to give back. */
struct nat_grant {
	uint32_t addr; /* index of the external address */
	uint16_t port;
	uint16_t worker; /* who must free it (NAT_EDM without blocks) */
	uint32_t id;     /* mapping or subscriber record */
	bool new_block;  /* a dynamic block was taken for it: log it */
};

struct nat_gauges {
	uint64_t granted, freed, stolen_chunks, hold_cut;
	uint64_t fail_ports, fail_quota, fail_table;
	uint64_t in_use, held; /* ports or (port, destination) pairs */
	uint64_t idle_chunks, chunks;
};

struct nat_pool;

/* -EINVAL: no ports, or numbers out of range; -ENOMEM. */
int nat_pool_new(const struct nat_pool_conf *conf, struct nat_pool **ret_pool);
struct nat_pool *nat_pool_free(struct nat_pool *p);

int nat_port_alloc(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		   struct nat_grant *ret_grant);
void nat_port_free(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		   const struct nat_grant *g);

/*
 * Restart: an existing translation (g->addr, g->port) is entered before any worker runs; fills
 * the rest of g. g->worker is the one who is to own the flow. -EEXIST: taken by another.
 */
int nat_port_adopt(struct nat_pool *p, const struct nat_req *req, struct nat_grant *g);

/* NAT_EIM: who is behind an external endpoint (inbound flows, hairpin)? False: nobody. */
bool nat_port_find(struct nat_pool *p, enum nat_proto proto, uint32_t addr, uint16_t port,
		   struct nat_endpoint *ret_in);
/* The same, and a new inbound flow holds the mapping: freed as any other grant. */
bool nat_port_ref(struct nat_pool *p, enum nat_proto proto, uint32_t addr, uint16_t port,
		  struct nat_endpoint *ret_in, struct nat_grant *ret_grant);

/* RFC 7422: the block of a subscriber, and whose block a port is (-ENOENT). */
int nat_det_block(const struct nat_pool *p, uint32_t sub_no, uint32_t *ret_addr,
		  struct nat_ports *ret);
int nat_det_owner(const struct nat_pool *p, uint32_t addr, uint16_t port, uint32_t *ret_sub_no);

/* Is the port one of the fast plane's? */
bool nat_port_is_fast(const struct nat_pool *p, uint16_t port);

/* A worker's housekeeping, at least once a second: ends hold-downs and takes returned ports, at
 * most budget of them. True when more is due. */
bool nat_port_tick(struct nat_pool *p, unsigned worker, uint32_t now_sec, unsigned budget);

void nat_port_gauges(const struct nat_pool *p, struct nat_gauges *ret);

#endif
