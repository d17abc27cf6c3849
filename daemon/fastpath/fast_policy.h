/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the policy as rtr-fastpath takes it (rtr/fastpol.h), compiled after the same struct policy
 * as the kernel's ruleset. Lines that cannot match the first packet of a TCP or UDP connection are
 * left out.
 * Files: fast_policy.c (lists, zones, interfaces), fast_policy_nat.c (translations).
 * Owns: nothing. Threads: rtrd's loop only. Failure: what the fast plane cannot do for single flows
 * is marked, and they are the kernel's; what it cannot do at all is refused with the reason.
 */
#ifndef RTR_FAST_POLICY_H
#define RTR_FAST_POLICY_H

#include "firewall/policy.h"
#include "rtr/fastpol.h"

struct fast_policy_conf {
	/* By the kernel's name; 0: there is no such link now. */
	int (*ifindex)(void *arg, const char *name);
	void *arg;
};

struct fast_blob {
	uint8_t *v; /* free */
	size_t len;
};

/* Why the fast plane cannot take a policy, static text; NULL: it can. Cheap. */
const char *fast_policy_refuses(const struct policy *p);
/* False: it would be larger than FASTPOL_SIZE_MAX. */
bool fast_policy_compile(const struct policy *p, const struct fast_policy_conf *conf,
			 struct fast_blob *ret);

/* ---- fast_policy.c, for fast_policy_nat.c ---- */

struct fp_vec {
	uint8_t *v;
	uint32_t n, room;
};

struct fp_seen; /* what was added already, by address */

struct fp_compile {
	const struct policy *p;
	const struct fast_policy_conf *conf;
	struct fp_vec sec[FASTPOL_S__MAX];
	struct fp_seen *seen;
	struct fastpol_hdr hdr;
};

/* A new element, zeroed. */
void *fp_add(struct fp_compile *c, enum fastpol_section s);
uint32_t fp_list(struct fp_compile *c, const struct pol_list *l); /* NULL: FASTPOL_NONE */
void fp_addr(uint8_t to[16], const struct rtr_addr *a);
uint32_t fp_ifindex(const struct fp_compile *c, const char *name);

/* fast_policy_nat.c */
void fp_compile_nat(struct fp_compile *c);

#endif
