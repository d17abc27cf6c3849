/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the first packet of a flow becomes by NAT, and the entry of the flow in the table.
 *
 * The flow table is the only book of ports. An external endpoint of a pool is free for one remote
 * endpoint when no flow has the tuple of its answers as a key, which is what fp_flow_insert tests
 * under the bucket's lock in any case. So a port is taken by inserting the flow, given back when
 * the flow ends, by whatever way, shared by all workers without slices, and known to the next
 * process without adoption. It costs no memory beside the flow (tables of ports and destinations
 * took 108 to 150 bytes a flow, of 320 that it may have) and one attempt while the range is not
 * crowded. docs/design/nat.md has the figures.
 *
 * Which port is tried, in turn: the inside port, when it is in the fast range; then ports of the
 * same class (below 1024 or not) and parity (RFC 4787 REQ-3a, REQ-4), from a place on that is a
 * secret hash of the inside endpoint; then any. So an inside endpoint has one port toward all
 * destinations until another one is in its way (REQ-1), also after a restart. FP_NAT_TRIES in all,
 * about as many as the kernel makes: a range that is nearly full for one remote endpoint is full.
 * The address of a pool is the one that the kernel's `persistent` gives to the inside address
 * (REQ-2), so that it is the same on both planes. In a pool with shares the inside address alone
 * says the address and a block of ports (RFC 7422); of these the order is the same.
 *
 * Owns: fp_nat, made from the pools of one policy, lives as long as that; it is immutable but for
 * what it remembers of zones and blocks.
 * Threads: new, free: control; fp_nat_insert: the worker that owns the flow, under QSBR.
 * Failure: an error of fp_nat_insert changes nothing and is counted in fp_nat_self.
 */
#ifndef FP_NAT_WAY_H
#define FP_NAT_WAY_H

#include "flow.h"
#include "pol.h"

#define FP_NAT_TRIES 256

struct fp_nat;

/* A worker's own; zero is fresh. */
struct fp_nat_self {
	uint64_t kept, changed; /* flows of pools, by whether the port was kept */
	uint64_t tries;         /* attempts beyond the first */
	uint64_t exhausted;     /* no port in the fast range for that remote endpoint */
	uint64_t blocks;        /* taken by hosts */
	uint64_t clash;         /* an exact translation whose answers are another flow's */
};

/* fp_pol_new calls it; n may be 0. -ENOMEM, -EINVAL: a pool without port or address, or
 * with blocks and 2^32 addresses or more. */
int fp_nat_new(const struct fp_pol_pool *pools, unsigned n, struct fp_nat **ret);
struct fp_nat *fp_nat_free(struct fp_nat *n);
/* By which interfaces living flows have their answers, before it is used. prev: of the policy
 * before, and once more when nobody uses that any more; NULL: flows of an earlier process may have
 * them by any of zones, a bit each. */
void fp_nat_follow(struct fp_nat *n, const struct fp_nat *prev, uint64_t zones);

/* What a host has of a deterministic pool. -ENOENT: it is none, or too small. */
int fp_nat_share(const struct fp_nat *n, uint32_t pool, uint32_t host, uint8_t ret_addr[16],
		 struct nat_ports *ret_ports);

/* The ports of the block that a port of an address is of; false: of no pool with blocks, or of no
 * block. */
bool fp_nat_block(const struct fp_nat *n, enum flow_family fam, const uint8_t *addr, uint16_t port,
		  struct nat_ports *ret);
/* Ports of a block of the pool that mappings know by the name; 0: there is none. */
uint16_t fp_nat_block_size(const struct fp_nat *n, uint32_t name);
/* A flow lives that has the port: its block lives on. */
void fp_nat_block_keep(const struct fp_nat *n, const struct fp_flow *flows, enum flow_family fam,
		       const uint8_t *addr, uint16_t port, uint32_t now);
/* The block that began at the port is nobody's any more, and its entry can be found no more. */
void fp_nat_block_ended(const struct fp_nat *n, enum flow_family fam, const uint8_t *addr,
			uint16_t first);
/* May a flow of the host go on with the port, where pools have blocks? */
bool fp_nat_block_holds(const struct fp_nat *n, const struct fp_flow *flows, enum flow_family fam,
			const uint8_t *host, const uint8_t *addr, uint16_t port);

struct fp_nat_ask {
	const struct fp_flow *flows;
	struct fp_flow_worker *fw;
	struct fp_nat_self *self;
	enum flow_family fam;
	const struct fp_pol_state *st; /* after fp_pol_out */
	uint16_t zone_back;            /* of the answers: the interface that the packet leaves by */
};

/*
 * Inserts a flow. The caller fills *f (state, flags, egress, TCP, times, rule) and the key of
 * dir[0], as received; this fills the key of dir[1], both rewrites, and FLOW_F_REWRITE in both
 * flags where something changes. Without translation it is fp_flow_insert of the plain tuple.
 *
 *	0            inserted; f->dir[0].rw is what the packet becomes
 *	-EEXIST      the flow is known already: look again
 *	-EADDRINUSE  its answers could not be told from another flow's: RTR_DROP_NAT_PORTS
 *	-ENOSPC      no port left in the fast range (without blocks), its mapping's port is another
 *	             flow's, or the table is full: the flow is the kernel's, which has a range of
 *	             its own
 *	-EBUSY       as fp_flow_insert
 *	-EUSERS      its host has as many blocks of ports as it may: RTR_DROP_NAT_QUOTA
 *	-ENOBUFS     no block is left for its host: RTR_DROP_NAT_PORTS
 *	-EPROTO      neither TCP nor UDP and ports would change: the kernel's
 */
int fp_nat_insert(const struct fp_nat *n, const struct fp_nat_ask *a, struct fp_flow_new *f,
		  uint64_t *ret_ref);

#endif
