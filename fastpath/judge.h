/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: judges a connection again, by another policy than the one that admitted it: may it go on as
 * it is? Not when its first packet would be denied now, would be the kernel's, or would be
 * translated otherwise.
 *
 * Owns: nothing. Threads: any reader of the policies. Failure: an answer, never else.
 */
#ifndef FP_JUDGE_H
#define FP_JUDGE_H

#include "worker.h"

enum fp_judge {
	FP_JUDGE_KEEP,
	FP_JUDGE_END,
	FP_JUDGE_LATER, /* its way cannot be told now */
};

/* The packets of its opener as they come in, and as they leave. IPv4 in the first four bytes. */
struct fp_judge_flow {
	uint8_t family, proto;
	unsigned ifindex; /* that they come in by */
	unsigned vrf;     /* of that, as in fp_pol_key */
	unsigned oif;     /* where answers are awaited; 0: not on the fast plane */
	uint8_t src[16], dst[16], to_src[16], to_dst[16];
	uint16_t sport_be, dport_be, to_sport_be, to_dport_be;
	uint32_t id[3]; /* what admitted it, in old */
	bool mapped;    /* by an endpoint-independent mapping, either way */
};

/* old: the policy that judged it last; NULL: not known. */
enum fp_judge fp_judge_again(const struct fp_pol *pol, const struct fp_pol *old,
			     const struct fp_judge_flow *f, const struct fp_worker_ops *ops);

#endif
