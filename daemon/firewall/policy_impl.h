/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the files that build a policy share: the policy with what only they look at, and the
 * state of a build. Owns: see policy.h. Threads: rtrd's loop only. Failure: by check_error.
 */
#ifndef RTR_POLICY_IMPL_H
#define RTR_POLICY_IMPL_H

#include "firewall/fw.h"
#include "firewall/local.h"
#include "firewall/policy_set.h"

/* Services of a rule, shared by all rules that name the group. */
struct svc_set {
	unsigned refs;
	size_t n;
	struct pol_service v[];
};

/* An object group, resolved. */
struct group {
	const struct rec *rec;
	const char *name;
	const struct pol_addrs *addrs[2]; /* network: IPv4, IPv6 */
	struct svc_set *svc[2];           /* service: in rules of IPv4, of IPv6 */
};

struct rule {
	struct pol_rule pub;
	struct svc_set *svc;
	const struct rec *svc_group; /* the group that gave svc; NULL: the line itself */
};

struct id_slot {
	pol_id id; /* 0: free */
	const struct pol_rule *rule;
	const struct pol_list *list;
};

struct policy_impl {
	struct policy pub;
	time_t built;
	struct group *nets, *svcs; /* in the order of the model */
	size_t n_nets, n_svcs;
	struct id_slot *slot;
	size_t n_slots; /* power of two */
};

struct fw_locals {
	struct pol_local *v;
	size_t n, room;
};

struct build {
	const struct rec *model;
	const struct policy_impl *old; /* NULL: none */
	struct policy_impl *p;
	struct check *c; /* NULL: plan */
	time_t now;
	bool failed;
};

RTR_PRINTF(3, 4) void build_error(struct build *b, const struct rec *rec, const char *fmt, ...);

/* policy_group.c */
void build_groups(struct build *b);
const struct group *group_find(const struct group *v, size_t n, const char *name);
struct svc_set *svc_set_ref(struct svc_set *s);
struct svc_set *svc_set_unref(struct svc_set *s); /* NULL */
void groups_free(struct group *v, size_t n);

/* policy_list.c */
void build_lists(struct build *b);
const struct pol_rule *pol_rule_ref(const struct pol_rule *r);
const struct pol_rule *pol_rule_unref(const struct pol_rule *r); /* NULL */
const struct pol_list *pol_list_ref(const struct pol_list *l);
const struct pol_list *pol_list_unref(const struct pol_list *l); /* NULL */
/* A rule of our own making; *spec without refs, id and services is copied. */
const struct pol_rule *pol_rule_make(const struct pol_rule *spec, const struct pol_service *svc,
				     pol_id id);
pol_id pol_id_of(const char *what, uint8_t family, uint32_t seq, uint32_t salt);

/* policy_urpf.c */
struct iface;
/* A static default route leads out by the interface. */
bool urpf_default_by(const struct rec *model, const struct iface *i, uint8_t family);
const struct pol_addrs *urpf_feasible(const struct rec *model, const struct iface *i,
				      uint8_t family, bool allow_default);

/* policy_zone.c */
void build_zones(struct build *b);
void build_pairs(struct build *b);
void build_locals(struct build *b);
void zones_free(struct policy *p);

#endif
