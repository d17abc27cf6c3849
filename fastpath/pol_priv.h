/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a policy's inside, shared by pol.c (made and freed, counters), pol_check.c (is a blob
 * sound?), pol_list.c (access lists), pol_eval.c (the judge) and pol_nat.c (translations).
 * Owns: see pol.h. Threads: see pol.h. Failure: none here.
 */
#ifndef FP_POL_PRIV_H
#define FP_POL_PRIV_H

#include "classify.h"
#include "pol.h"
#include "rtr/fastpol.h"

#include <string.h>
#include <sys/socket.h>

/* The blob as arrays. */
struct pol_blob {
	const struct fastpol_hdr *h;
#define X(id, name, type)                                                                          \
	const type *name;                                                                          \
	uint32_t n_##name;
	FASTPOL_SECTIONS(X)
#undef X
};

/*
 * One access list: what a line says of addresses, ports and protocol the classifier finds at once;
 * lines that ask for more, or for too many ranges, are asked one by one, as far as they come
 * before what the classifier found.
 */
struct pol_acl {
	unsigned refs;      /* policies that it is of */
	struct fp_cls *cls; /* NULL: no plain line; answers by place in the list */
	uint32_t *special;  /* places, ascending */
	uint32_t n_special;
};

struct pol_asks {
	uint32_t id, asks;
};

struct fp_pol {
	struct pol_blob b;
	void *copy;
	struct pol_acl **acl; /* of each list */
	uint32_t *iface;      /* hash of ifindex -> index + 1; 0: free */
	uint32_t iface_mask;
	struct pol_asks *asks; /* lines that ask for more, by id */
	uint32_t n_asks;
	struct fp_pol_pool *pools;
	struct fp_nat *nat;
	struct nat_ports fast;
	struct nat_ports *carve;
	struct fp_pol_claim *claims;
	uint32_t n_claims;
	unsigned n_workers;
	struct fp_pol_hits *counters; /* wk:own those of worker 0, of worker 1 ... */
	struct fp_pol_hits *before;   /* cp:own: those of policies before */
	uint16_t generation;
};

/* Counters: of lines, classes, NAT lines with lists, static lines by both their orders, outside
 * ones by both of theirs. */
static inline uint32_t pol_c_dynamic(const struct pol_blob *b)
{
	return b->n_rules + b->n_classes;
}

static inline uint32_t pol_c_static(const struct pol_blob *b, bool local)
{
	return pol_c_dynamic(b) + b->n_dynamics + (local ? b->n_globals : 0);
}

static inline uint32_t pol_c_outside(const struct pol_blob *b, bool by_local)
{
	return pol_c_static(b, true) + b->n_locals + (by_local ? 0 : b->n_out_local);
}

static inline unsigned pol_fam(uint8_t family)
{
	return family == AF_INET6;
}

static inline unsigned pol_size(uint8_t family)
{
	return family == AF_INET6 ? 16 : 4;
}

static inline bool pol_has(const struct pol_blob *b, unsigned flag)
{
	return b->h->flags & flag;
}

/* pol_check.c: the sections of a sound blob; text says what is wrong with another. */
bool pol_blob_open(const void *blob, size_t len, struct pol_blob *ret, char *text);

/* pol_list.c */
int pol_acl_new(const struct pol_blob *b, const struct fastpol_list *l, struct pol_acl **ret);
struct pol_acl *pol_acl_unref(struct pol_acl *a); /* NULL */
/* Both match the same packets by lines in the same places, whatever these do then. */
bool pol_acl_same(const struct pol_blob *a, const struct fastpol_list *x, const struct pol_blob *b,
		  const struct fastpol_list *y);

/* A packet at a stage. */
struct pol_at {
	const struct fp_pol *p;
	const struct fp_pol_key *k;
	uint8_t ttl;
	bool of_class; /* judged by the class that admitted it: struct pol_past */
	uint8_t src[16], dst[16];
	uint16_t sport, dport;  /* host order */
	struct fp_cls_key6 key; /* the same, for classifiers */
};

/* Addresses or ports have changed. */
void pol_at_key(struct pol_at *at);
/* The rule of the first line that matches; FASTPOL_NONE: none does. */
uint32_t pol_acl_match(const struct pol_at *at, uint32_t list);
bool pol_acl_permits(const struct pol_at *at, uint32_t list);

/* pol_eval.c */
/* False: there is no room to note one more; the kernel counts instead. */
bool pol_hit(struct fp_pol_state *st, uint32_t counter);
const struct fastpol_iface *pol_iface(const struct fp_pol *p, unsigned ifindex);

/* pol_nat.c */
void pol_nat_claims(struct fp_pol *p);
bool pol_nat_mapped(const struct pol_at *at, const struct fastpol_iface *in);
/* How many that fills in, at most. */
uint32_t pol_nat_n_claims(const struct pol_blob *b);
/* After these at->dst, dport are as translated; KERNEL or PERMIT. */
enum fp_pol_act pol_dnat(struct pol_at *at, const struct fastpol_iface *in,
			 struct fp_pol_state *st);
enum fp_pol_act pol_snat(struct pol_at *at, const struct fastpol_iface *in,
			 const struct fastpol_iface *out, struct fp_pol_state *st);

#endif
