/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: endpoint-independent mappings (RFC 4787 REQ-1, RFC 5382 REQ-1): an inside endpoint and the
 * external one that it has toward all destinations. A mapping is an entry of the flow table like
 * any flow, so that it is unique, outlives the process and ends by its timer:
 *
 *	dir[0] key {inside endpoint -> pool, 0}    rewrite {external endpoint, ...}
 *	dir[1] key {0 -> external endpoint}        rewrite {..., inside endpoint}
 *
 * in a zone of its own, where no packet looks. It lives while it is asked for or one of its flows
 * lives: who sweeps the table keeps it for them (fp_mapping_keep).
 *
 * A block of ports (RFC 6888 REQ-14) is an entry of the same kind, of protocol 0: inside are the
 * host and the number of the block among his, outside the address and the first port. It lives
 * while one of its mappings or flows does, and some time longer (fp_block_keep).
 *
 * Owns: nothing. Threads: find, keep: any; take: the worker. Failure: -errno, nothing is changed.
 */
#ifndef FP_NAT_MAPPING_H
#define FP_NAT_MAPPING_H

#include "flow.h"
#include "pol.h"

/* No interface has it. */
#define FP_ZONE_MAPPING 0x4000
/* RFC 4787 REQ-5: at least 2 minutes, 5 recommended. */
#define FP_MAPPING_SEC 300
/* Of a block, since its last flow: RFC 6888 REQ-8, nobody else has its ports before. */
#define FP_BLOCK_SEC 180
/* A flow keeps its mapping and block at least so often. */
#define FP_MAPPING_KEEP_SEC 120

/* Addresses as in the packet; IPv4 in the first four bytes, zeros behind. */
struct fp_endpoint {
	uint8_t addr[16];
	uint16_t port_be;
};

struct fp_mapping {
	enum flow_family fam;
	uint8_t proto;
	uint32_t pool; /* tells pools apart; not 0 */
	uint16_t cold; /* of a new one: enum flow_cold_flag */
	struct fp_endpoint in, out;
};

/* Fills out of the mapping of m->in, and keeps it (now 0: only looks). */
bool fp_mapping_find(const struct fp_flow *t, struct fp_mapping *m, uint32_t now);
/* Fills in of the mapping to m->out, and keeps it (now 0: only looks); m->pool is not asked for. */
bool fp_mapping_find_out(const struct fp_flow *t, struct fp_mapping *m, uint32_t now);
/* A new one from m->in to m->out. -EADDRINUSE: m->out is another's; -EEXIST: m->in has one; else
 * as fp_flow_insert. */
int fp_mapping_take(const struct fp_flow *t, struct fp_flow_worker *fw, const struct fp_mapping *m,
		    uint32_t now, uint16_t policy);

/* Fills mapped and what follows of a first packet that comes in by a mapping. Only looks: a packet
 * that the policy then refuses keeps no mapping alive (RFC 7857). */
bool fp_mapping_behind(const struct fp_flow *t, const struct fp_pol *p, struct fp_pol_key *k);
/* The packet came in and is admitted: keeps the mapping behind its destination. */
void fp_mapping_admitted(const struct fp_flow *t, const struct fp_pol_key *k, uint32_t now);

/* Was an entry with these keys a block of ports? Then where it began. */
bool fp_mapping_was_block(enum flow_family fam, const flow_word *key[2],
			  struct fp_endpoint *ret_out);

static inline bool fp_mapping_is(const struct fp_flow_half *h, enum flow_family fam)
{
	return (fam == FLOW_4 ? h->key4.zone : h->key6.zone) == FP_ZONE_MAPPING;
}

#endif
