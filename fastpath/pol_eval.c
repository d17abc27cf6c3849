/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The judge: the stages of docs/design/policy.md, as policy_eval of the daemon has them, for the
 * first packet of a TCP or UDP flow. */
#include "pol_priv.h"

#include "rtr/drop.h"

#include <endian.h>
#include <netinet/in.h>
#include <stdlib.h>

#define TCP_FIN_SYN_RST_ACK 0x17
#define TCP_SYN             0x02

const struct fastpol_iface *pol_iface(const struct fp_pol *p, unsigned ifindex)
{
	for (uint32_t i = ifindex * 0x9e3779b1u;; i++) {
		uint32_t at = p->iface[i & p->iface_mask];

		if (!at || p->b.ifaces[at - 1].ifindex == ifindex)
			return at ? &p->b.ifaces[at - 1] : NULL;
	}
}

/* What packets come by behind the route. Lines of a VRF's device are the kernel's (is_of_vrf). */
static const struct fastpol_iface *routed_in(const struct fp_pol *p, const struct fp_pol_key *k)
{
	return k->vrf ? NULL : pol_iface(p, k->ifindex);
}

static enum fp_pol_act drop(struct fp_pol_state *st, enum rtr_drop why)
{
	st->drop = why;
	return FP_POL_DROP;
}

bool pol_hit(struct fp_pol_state *st, uint32_t counter)
{
	if (st->n_hits == FP_POL_HITS)
		return false;
	st->hit[st->n_hits++] = counter;
	return true;
}

static struct pol_at at_of(const struct fp_pol *p, const struct fp_pol_key *k,
			   const struct fp_pol_state *st)
{
	struct pol_at at = { .p = p,
			     .k = k,
			     .ttl = k->ttl,
			     .sport = be16toh(k->sport_be),
			     .dport = be16toh(st ? st->dport_be : k->dport_be) };

	memcpy(at.src, k->src, pol_size(k->family));
	memcpy(at.dst, st ? st->dst : k->dst, pol_size(k->family));
	pol_at_key(&at);
	return at;
}

/* --- martians --- */

struct net {
	uint8_t family, len;
	uint8_t b[16];
};

/* As policy_eval.c has them. */
static const struct net bad_src[] = {
	{ AF_INET, 8, { 0 } },           { AF_INET, 8, { 127 } },
	{ AF_INET, 4, { 224 } },         { AF_INET, 4, { 240 } },
	{ AF_INET6, 128, { [15] = 1 } }, { AF_INET6, 96, { [10] = 0xff, [11] = 0xff } },
	{ AF_INET6, 8, { 0xff } },
};
static const struct net bad_dst[] = {
	{ AF_INET, 8, { 0 } },
	{ AF_INET, 8, { 127 } },
	{ AF_INET6, 128, { 0 } },
	{ AF_INET6, 128, { [15] = 1 } },
	{ AF_INET6, 96, { [10] = 0xff, [11] = 0xff } },
};

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned len)
{
	unsigned whole = len / 8, rest = len % 8;

	return !memcmp(a, b, whole) &&
	       (!rest || !((a[whole] ^ b[whole]) & (uint8_t)(0xff00 >> rest)));
}

static bool in_nets(const struct net *v, size_t n, uint8_t family, const uint8_t *a)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].family == family && same_bits(a, v[i].b, v[i].len))
			return true;
	}
	return false;
}

static bool is_zero4(const struct pol_at *at)
{
	static const uint8_t zero[4];

	return at->k->family == AF_INET && !memcmp(at->src, zero, 4);
}

static enum rtr_drop martian(const struct pol_at *at)
{
	if (!is_zero4(at) && in_nets(bad_src, ARRAY_LEN(bad_src), at->k->family, at->src))
		return RTR_DROP_SRC_MARTIAN;
	return in_nets(bad_dst, ARRAY_LEN(bad_dst), at->k->family, at->dst) ? RTR_DROP_DST_MARTIAN
									    : RTR_DROP_NONE;
}

/* --- access lists of interfaces --- */

/* Does the kernel do more with it than decide? A flow that lives has been through that. */
static bool has_effect(const struct pol_at *at, const struct fastpol_rule *r)
{
	return !at->k->past && (r->flags || r->action == FASTPOL_REJECT);
}

static enum fp_pol_act list_stage(const struct pol_at *at, uint32_t list, unsigned stage,
				  struct fp_pol_state *st)
{
	const struct fastpol_rule *r;
	uint32_t i;

	if (list == FASTPOL_NONE)
		return FP_POL_PERMIT;
	i = pol_acl_match(at, list);
	if (i == FASTPOL_NONE)
		return drop(st, RTR_DROP_ACL_DEFAULT);
	r = &at->p->b.rules[i];
	if (has_effect(at, r) || !pol_hit(st, i))
		return FP_POL_KERNEL;
	st->id[stage] = r->id;
	return r->action == FASTPOL_PERMIT ? FP_POL_PERMIT : drop(st, RTR_DROP_ACL_DENY);
}

/* --- zone pairs --- */

enum is { IS_NOT, IS, IS_KERNEL };

/* A line limits and logs wherever it is asked, whatever that means for its class. */
static enum is of_list(const struct pol_at *at, uint32_t list, struct fp_pol_state *st)
{
	const struct fastpol_rule *r;
	uint32_t i;

	if (list == FASTPOL_NONE)
		return IS_NOT;
	i = pol_acl_match(at, list);
	if (i == FASTPOL_NONE)
		return IS_NOT;
	r = &at->p->b.rules[i];
	if ((r->flags && !at->k->past) || !pol_hit(st, i))
		return IS_KERNEL;
	return r->action == FASTPOL_PERMIT ? IS : IS_NOT;
}

static enum is of_class(struct pol_at *at, const struct fastpol_class *c, struct fp_pol_state *st)
{
	unsigned fam = pol_fam(at->k->family);

	at->of_class = at->k->past && c->id == at->k->old_id[1];
	for (uint32_t i = 0; i < c->matches.n; i++) {
		enum is is = of_list(at, at->p->b.matches[c->matches.first + i].list[fam], st);

		if (is == IS_KERNEL || is != (c->match_all ? IS : IS_NOT))
			return is;
	}
	return c->match_all || !c->matches.n ? IS : IS_NOT;
}

static enum fp_pol_act class_act(const struct pol_at *at, uint32_t i, struct fp_pol_state *st)
{
	const struct fastpol_class *c = &at->p->b.classes[i];

	/* Answers of `pass` are judged by themselves, but not those of a connection that lives:
	 * it has its state, whatever class would let it in now. */
	if ((!at->k->past &&
	     (c->log || c->action == FASTPOL_PASS || c->action == FASTPOL_REJECT)) ||
	    !pol_hit(st, at->p->b.n_rules + i))
		return FP_POL_KERNEL;
	if (c->action != FASTPOL_PERMIT && c->action != FASTPOL_PASS)
		return drop(st, RTR_DROP_ZONE_DENY);
	st->id[1] = c->id;
	return FP_POL_PERMIT;
}

static uint32_t pair_key(const struct fastpol_pair *p)
{
	return (uint32_t)p->from << 16 | p->to;
}

static int pair_cmp(const void *key, const void *elem)
{
	uint32_t a = pair_key(key), b = pair_key(elem);

	return a < b ? -1 : a > b;
}

static const struct fastpol_pair *find_pair(const struct pol_blob *b, uint16_t from, uint16_t to)
{
	struct fastpol_pair key = { .from = from, .to = to };

	return bsearch(&key, b->pairs, b->n_pairs, sizeof(key), pair_cmp);
}

static enum fp_pol_act zone_stage(struct pol_at *at, uint16_t from, uint16_t to,
				  struct fp_pol_state *st)
{
	const struct pol_blob *b = &at->p->b;
	const struct fastpol_pair *pair;

	if (!pol_has(b, FASTPOL_F_ZONES) || from == to)
		return FP_POL_PERMIT;
	pair = find_pair(b, from, to);
	for (uint32_t i = 0; pair && i < pair->classes.n; i++) {
		enum is is = of_class(at, &b->classes[pair->classes.first + i], st);

		at->of_class = false;
		if (is == IS_KERNEL)
			return FP_POL_KERNEL;
		if (is == IS)
			return class_act(at, pair->classes.first + i, st);
	}
	return drop(st, RTR_DROP_ZONE_DENY);
}

/* --- the kernel's alone --- */

/* key: the packet that asks. */
static int endpoint_cmp(const void *key, const void *elem)
{
	const struct fastpol_endpoint *e = elem;
	const struct pol_at *at = key;
	int c = (int)at->k->family - e->family;

	if (!c)
		c = memcmp(at->dst, e->addr, 16);
	return c ? c : (int)at->dport - e->port;
}

/* Clients of this service first prove to the kernel that they are there. */
static bool is_syn_proxy(const struct pol_at *at)
{
	const struct pol_blob *b = &at->p->b;

	return at->k->proto == IPPROTO_TCP && !at->k->past &&
	       bsearch(at, b->syns, b->n_syns, sizeof(*b->syns), endpoint_cmp);
}

/* A first packet that workers may judge. Without state all may; then there is nothing to judge. */
static bool is_first(const struct fp_pol_key *k)
{
	if (k->proto == IPPROTO_TCP)
		return k->past || (k->tcp_flags & TCP_FIN_SYN_RST_ACK) == TCP_SYN;
	return k->proto == IPPROTO_UDP;
}

/* What the interface does that only the kernel does, to this packet or to its answers. */
static bool is_kernels(const struct pol_at *at, const struct fastpol_iface *f)
{
	unsigned fam = pol_fam(at->k->family);

	return f && (f->urpf[fam] || (f->npt && fam) ||
		     (f->mss[fam] && at->k->proto == IPPROTO_TCP &&
		      !pol_has(&at->p->b, FASTPOL_F_STATEFUL)));
}

/* The VRF itself has lines, which hold for all that comes by its members. */
static bool is_of_vrf(const struct fp_pol *p, const struct fp_pol_key *k)
{
	return k->vrf && pol_iface(p, k->vrf);
}

/* --- both halves --- */

enum fp_pol_act fp_pol_in(const struct fp_pol *p, const struct fp_pol_key *k,
			  struct fp_pol_state *ret)
{
	const struct fastpol_iface *in = pol_iface(p, k->ifindex);
	struct pol_at at = at_of(p, k, NULL);
	enum fp_pol_act act;
	enum rtr_drop why;

	*ret = (struct fp_pol_state){ .dport_be = k->dport_be, .len = k->len };
	memcpy(ret->dst, at.dst, sizeof(ret->dst));
	if (is_kernels(&at, in) || is_of_vrf(p, k))
		return FP_POL_KERNEL;
	why = pol_has(&p->b, FASTPOL_F_MARTIANS) ? martian(&at) : RTR_DROP_NONE;
	if (why)
		return drop(ret, why);
	/* The answers would come from a martian. */
	if (pol_has(&p->b, FASTPOL_F_MARTIANS) &&
	    in_nets(bad_src, ARRAY_LEN(bad_src), k->family, at.dst))
		return FP_POL_KERNEL;
	if ((pol_has(&p->b, FASTPOL_F_STATEFUL) && !is_first(k)) || is_syn_proxy(&at))
		return FP_POL_KERNEL;
	act = in ? list_stage(&at, in->in[pol_fam(k->family)], 0, ret) : FP_POL_PERMIT;
	if (act != FP_POL_PERMIT)
		return act;
	act = pol_dnat(&at, in, ret);
	memcpy(ret->dst, at.dst, sizeof(ret->dst));
	ret->dport_be = htobe16(at.dport);
	return act;
}

bool fp_pol_mapped(const struct fp_pol *p, const struct fp_pol_key *k)
{
	struct pol_at at;

	if (!pol_has(&p->b, FASTPOL_F_EIM))
		return false;
	at = at_of(p, k, NULL);
	return pol_nat_mapped(&at, pol_iface(p, k->ifindex));
}

enum fp_pol_act fp_pol_out(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif,
			   struct fp_pol_state *st)
{
	const struct fastpol_iface *in = routed_in(p, k), *out = pol_iface(p, oif);
	struct pol_at at = at_of(p, k, st);
	enum fp_pol_act act;

	/* From here on as it leaves: lines see the lower number. */
	at.ttl--;
	if (is_kernels(&at, out) || is_syn_proxy(&at))
		return FP_POL_KERNEL;
	act = zone_stage(&at, in ? in->zone : 0, out ? out->zone : 0, st);
	if (act == FP_POL_PERMIT && out)
		act = list_stage(&at, out->out[pol_fam(k->family)], 2, st);
	return act == FP_POL_PERMIT ? pol_snat(&at, in, out, st) : act;
}

enum fp_pol_act fp_pol_source(const struct fp_pol *p, const struct fp_pol_key *k, uint8_t *ret_drop)
{
	const struct fastpol_iface *in = pol_iface(p, k->ifindex);
	struct pol_at at = at_of(p, k, NULL);
	enum rtr_drop why = pol_has(&p->b, FASTPOL_F_MARTIANS) ? martian(&at) : RTR_DROP_NONE;

	if ((in && in->urpf[pol_fam(k->family)]) || is_of_vrf(p, k))
		return FP_POL_KERNEL;
	if (!why)
		return FP_POL_PERMIT;
	*ret_drop = (uint8_t)why;
	return FP_POL_DROP;
}

bool fp_pol_leaks(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif)
{
	const struct fastpol_iface *in = routed_in(p, k), *out = pol_iface(p, oif);
	unsigned fam = pol_fam(k->family);
	struct fp_pol_state st = { 0 };
	struct pol_at at;

	if (!in || !out || in->side[fam] != FASTPOL_INSIDE || out->side[fam] != FASTPOL_OUTSIDE)
		return false;
	at = at_of(p, k, NULL);
	return pol_snat(&at, in, out, &st) != FP_POL_PERMIT || st.snat.kind != FP_XL_NONE;
}

struct fp_pol_mss fp_pol_mss(const struct fp_pol *p, uint8_t family, unsigned iif, unsigned oif)
{
	const struct fastpol_iface *f[] = { pol_iface(p, iif), pol_iface(p, oif) };
	struct fp_pol_mss ret = { 0 };

	for (unsigned i = 0; i < ARRAY_LEN(f); i++) {
		uint16_t mss = f[i] ? f[i]->mss[pol_fam(family)] : 0;

		if (mss == FASTPOL_MSS_PATH)
			ret.path = true;
		else if (mss && (!ret.max || mss < ret.max))
			ret.max = mss;
	}
	return ret;
}
