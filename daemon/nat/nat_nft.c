/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NAT in nftables: the chains, in the order in which a packet meets them. All are in our inet
 * table, but those of NPTv6 (the targets insist on ip6 "mangle").
 *
 *	prerouting  -290 NPTv6, before tracking
 *	            -145 guard: nothing of no flow reaches a port of the fast plane, nor what is
 *	                 invalid a shared address: dropped, never answered
 *	            -100 destinations (output too: what the box itself asks for)
 *	forward      -10 guard: invalid packets have no translation, so they would leave as they are
 *	postrouting  100 sources: sockets of the box on a fast port, hairpin, outside hosts, inside
 *	             101 guard: what the lines would translate and is not translated is dropped
 *	             320 NPTv6
 *
 * NAT chains see the first packet of a connection; guards let established ones pass first thing.
 */
#include "nat/nat_nft.h"

#include "domain.h"
#include "firewall/compile.h"
#include "firewall/policy.h"
#include "hash.h"
#include "schema/text.h"
#include "strbuf.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIO_NPT_IN     (-290)
#define PRIO_GUARD_PRE  (-145)
#define PRIO_DST        (-100)
#define PRIO_GUARD_FWD  (-10)
#define PRIO_SRC        100
#define PRIO_GUARD_POST 101
#define PRIO_NPT_OUT    320
#define SHARED_TABLE    "mangle"
#define FAST            "nat_fast"

/* What the last build made, and of what. */
static struct {
	const struct policy *pol; /* reference: holds the lists that the policy names */
	const struct nat_policy *p;
	struct nat_kept kept, npt;
} last;

/* ---- keeping ---- */

struct nft_chain *nat_base_chain(struct nat_build *b, const struct nft_chain_spec *spec)
{
	struct nat_kept *k = b->kept;

	k->chains = xrealloc(k->chains, (k->n_chains + 1) * sizeof(*k->chains));
	return k->chains[k->n_chains++] = nft_chain_new(spec);
}

struct nft_chain *nat_chain(struct nat_build *b, const char *name)
{
	return nat_base_chain(b, &(struct nft_chain_spec){ .name = name });
}

void nat_put_set(struct nat_build *b, const char *name, struct nft_set *s)
{
	struct nat_kept *k = b->kept;

	k->names = xrealloc(k->names, (k->n_sets + 1) * sizeof(*k->names));
	k->names[k->n_sets] = xstrdup(name);
	k->sets = xrealloc(k->sets, (k->n_sets + 1) * sizeof(*k->sets));
	k->sets[k->n_sets++] = s;
}

bool nat_has_set(const struct nat_build *b, const char *name)
{
	for (size_t i = 0; i < b->kept->n_sets; i++) {
		if (!strcmp(b->kept->names[i], name))
			return true;
	}
	return false;
}

/* ---- counters of static lines ---- */

struct line_counter {
	uint64_t id;
	struct nft_obj *obj;
	char name[32];
};

struct nft_set *nat_hits_map(const struct nft_set_spec *of, const char *name)
{
	struct nft_set_spec spec = *of;

	spec.name = name;
	spec.data_type = spec.data_size = 0;
	spec.obj_type = NFT_OBJECT_COUNTER;
	return nft_set_new(&spec);
}

struct nft_data nat_hits_of(struct nat_build *b, const struct rec *rec)
{
	struct id_table *t = &b->kept->counters;
	uint64_t id = nat_line_id(rec);
	struct line_counter *c;

	t->size = sizeof(*c);
	c = id_table_take(t, id);
	if (!c->obj) {
		snprintf(c->name, sizeof(c->name), "nat_line.%08x", (uint32_t)id);
		c->obj = nft_obj_counter(c->name, id);
	}
	return (struct nft_data){ .obj = c->name };
}

static struct line_counter *next_counter(const struct nat_kept *k, const struct line_counter *c)
{
	return id_table_next(&k->counters, c);
}

static void kept_fini(struct nat_kept *k)
{
	for (struct line_counter *c = next_counter(k, NULL); c; c = next_counter(k, c))
		nft_obj_unref(c->obj);
	id_table_fini(&k->counters);
	for (size_t i = 0; i < k->n_chains; i++)
		nft_chain_unref(k->chains[i]);
	for (size_t i = 0; i < k->n_sets; i++) {
		nft_set_unref(k->sets[i]);
		free(k->names[i]);
	}
	free(k->names);
	free(k->chains);
	free(k->sets);
	*k = (struct nat_kept){ 0 };
}

static void kept_add(const struct nat_kept *k, struct nft_table *t)
{
	for (struct line_counter *c = next_counter(k, NULL); c; c = next_counter(k, c))
		nft_table_add_obj(t, nft_obj_ref(c->obj));
	for (size_t i = 0; i < k->n_sets; i++)
		nft_table_add_set(t, nft_set_ref(k->sets[i]));
	for (size_t i = 0; i < k->n_chains; i++)
		nft_table_add_chain(t, nft_chain_ref(k->chains[i]));
}

char *nat_name(const struct nat_build *b, char buf[NAT_NAME_MAX], const char *what)
{
	snprintf(buf, NAT_NAME_MAX, "nat_%s%c", what, b->v);
	return buf;
}

/* Apart from pol_ids, which have 32 bits. */
#define ID_LINE  (1ull << 40)
#define ID_GUARD (1ull << 41)

uint64_t nat_line_id(const struct rec *rec)
{
	struct strbuf b = STRBUF_INIT;
	uint64_t id;

	text_rec(rec, &b);
	id = ID_LINE | (hash_bytes(strbuf_str(&b), b.len, 0) & 0xffffffff);
	strbuf_fini(&b);
	return id;
}

uint64_t nat_guard_id(enum nat_guard_id id)
{
	return ID_GUARD | id;
}

/* ---- matches ---- */

void nat_load_src(const struct nat_build *b, struct nft_rule *r, uint32_t reg)
{
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, b->fam ? 8 : 12, b->size, reg);
}

void nat_load_dst(const struct nat_build *b, struct nft_rule *r, uint32_t reg)
{
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, b->fam ? 24 : 16, b->size, reg);
}

void nat_ifname_in(struct nft_rule *r, uint32_t key, const char *set)
{
	nft_meta(r, key, W(0));
	nft_lookup(r, set, W(0), false);
}

/* ---- sets ---- */

/* The interfaces of a side; NAT_NO_SIDE: of both. */
static void side_set(struct nat_build *b, const char *what, enum nat_side side)
{
	char buf[NAT_NAME_MAX];
	struct nft_set *s = nft_set_new(&(struct nft_set_spec){
		.name = nat_name(b, buf, what), .key_type = NFT_T_IFNAME, .key_size = IFNAMSIZ });

	for (size_t i = 0; i < b->p->n_ifaces; i++) {
		const struct nat_iface *f = &b->p->ifaces[i];

		if (side == NAT_NO_SIDE ? f->side[b->fam] == NAT_NO_SIDE : f->side[b->fam] != side)
			continue;
		for (const char *n = f->name; n; n = pol_alias_next(b->p->aliases, f->name, n)) {
			char name[IFNAMSIZ] = { 0 };

			rtr_strlcpy(name, n, sizeof(name));
			nft_set_add(s, name, NULL);
		}
	}
	nat_put_set(b, buf, s);
}

struct spans {
	size_t n;
	struct pol_addr_range *v;
};

static void span_add(struct spans *s, const struct rtr_addr *lo, const struct rtr_addr *hi)
{
	s->v = xrealloc(s->v, (s->n + 1) * sizeof(*s->v));
	s->v[s->n++] = (struct pol_addr_range){ *lo, *hi };
}

static int span_cmp(const void *a, const void *b)
{
	return rtr_addr_cmp(&((const struct pol_addr_range *)a)->lo,
			    &((const struct pol_addr_range *)b)->lo);
}

static void iface_spans(const struct nat_build *b, struct spans *s, const char *ifname)
{
	const struct nat_iface *i = nat_iface_find(b->p, ifname);

	for (size_t k = 0; i && k < i->n_addrs[b->fam]; k++)
		span_add(s, &i->addrs[b->fam][k], &i->addrs[b->fam][k]);
}

/* Addresses whose ports are shared: of overload, and those that forwards answer for; or all that
 * something is translated to. */
static void global_set(struct nat_build *b, const char *what, bool all)
{
	char buf[NAT_NAME_MAX];
	struct nft_set *set = nft_set_new(
		&(struct nft_set_spec){ .name = nat_name(b, buf, what),
					.flags = NFT_SET_INTERVAL,
					.key_type = b->fam ? NFT_T_IP6ADDR : NFT_T_IPADDR,
					.key_size = (uint8_t)b->size });
	struct spans s = { 0 };

	for (size_t i = 0; i < b->f->n_dynamics; i++) {
		const struct nat_dynamic *d = &b->f->dynamics[i];

		if (d->pool && (all || d->overload))
			span_add(&s, &d->pool->lo, &d->pool->hi);
		else if (!d->pool && !d->exempt)
			iface_spans(b, &s, *d->loopback ? d->loopback : d->ifname);
	}
	for (size_t i = 0; i < b->f->n_statics; i++) {
		const struct nat_static *n = &b->f->statics[i];
		struct rtr_prefix net = { .addr = n->global, .len = n->len };
		struct rtr_addr end = nat_prefix_last(&net);

		if (all || n->kind >= NAT_TCP)
			span_add(&s, &n->global, &end);
	}
	if (s.n)
		qsort(s.v, s.n, sizeof(*s.v), span_cmp);
	for (size_t i = 0, k; i < s.n; i = k) {
		struct rtr_addr hi = s.v[i].hi;

		for (k = i + 1; k < s.n && rtr_addr_cmp(&s.v[k].lo, &hi) <= 0; k++) {
			if (rtr_addr_cmp(&s.v[k].hi, &hi) > 0)
				hi = s.v[k].hi;
		}
		nft_set_add_range(set, s.v[i].lo.b, hi.b, NULL);
	}
	free(s.v);
	nat_put_set(b, buf, set);
}

static void fast_set(struct nat_build *b)
{
	const struct pol_ports *p = b->p->ports[NAT_PORTS_FAST];
	struct nft_set *s = nft_set_new(&(struct nft_set_spec){ .name = FAST,
								.flags = NFT_SET_INTERVAL,
								.key_type = NFT_T_INET_SERVICE,
								.key_size = 2 });

	for (size_t i = 0; i < p->n; i++) {
		uint16_t lo = htons(p->r[i].lo), hi = htons(p->r[i].hi);

		nft_set_add_range(s, &lo, &hi, NULL);
	}
	nat_put_set(b, FAST, s);
}

/* ---- guards ---- */

static void drop(struct nft_chain *c, struct nft_rule *r)
{
	nft_counter(r);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
}

static struct nft_rule *to_shared(struct nat_build *b, enum nat_guard_id id, uint32_t states)
{
	struct nft_rule *r = nft_rule_new(nat_guard_id(id), NULL, NULL);
	char buf[NAT_NAME_MAX], lo[IFNAMSIZ] = "lo";

	nft_ct_state(r, states);
	nft_family_is(r, b->nfproto);
	nat_load_dst(b, r, W(0));
	nft_lookup(r, nat_name(b, buf, "shared"), W(0), false);
	/* The box talks to itself by way of lo. */
	nft_meta(r, NFT_META_IIFNAME, W(0));
	nft_cmp(r, W(0), NFT_CMP_NEQ, lo, IFNAMSIZ);
	return r;
}

static void guard_pre(struct nat_build *b, struct nft_chain *c)
{
	const uint32_t unknown = NFT_CT_NEW | NFT_CT_INVALID | NFT_CT_UNTRACKED;
	uint8_t reply = b->fam ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	struct nft_rule *r = to_shared(b, NAT_ID_INVALID, NFT_CT_INVALID);

	drop(c, r);
	r = to_shared(b, NAT_ID_FAST, unknown);
	nft_meta(r, NFT_META_L4PROTO, W(0));
	nft_lookup(r, "nat_l4", W(0), false);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, W(0));
	nft_lookup(r, FAST, W(0), false);
	drop(c, r);
	/* Requests are for the box; answers may be to a request of the fast plane. */
	r = to_shared(b, NAT_ID_FAST, unknown);
	nft_l4proto_is(r, b->fam ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, W(0));
	nft_cmp(r, W(0), NFT_CMP_EQ, &reply, 1);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 4, 2, W(0));
	nft_lookup(r, FAST, W(0), false);
	drop(c, r);
}

static void guard_forward(struct nat_build *b)
{
	struct nft_chain *c = nat_base_chain(b, &(struct nft_chain_spec){ .name = "nat_guard_fwd",
									  .type = "filter",
									  .hook = NF_INET_FORWARD,
									  .prio = PRIO_GUARD_FWD,
									  .policy = NF_ACCEPT });
	struct nft_rule *r = nft_rule_new(nat_guard_id(NAT_ID_INVALID), NULL, NULL);

	nft_ct_state(r, NFT_CT_INVALID);
	drop(c, r);
}

/* The connection has one of these bits of its status. */
static void has_status(struct nft_rule *r, uint32_t bits)
{
	uint32_t zero = 0;

	nft_ct(r, NFT_CT_STATUS, W(0));
	nft_bitwise(r, W(0), W(0), 4, &bits, &zero);
	nft_cmp(r, W(0), NFT_CMP_NEQ, &zero, 4);
}

static void is_snat(struct nft_rule *r)
{
	has_status(r, IPS_SRC_NAT);
}

/* Translated, or an answer that its connection leads back: not looked at. An answer to who came
 * here untranslated is: it would tell an inside address. */
static void let_translated_pass(struct nft_chain *c)
{
	uint8_t answer = 1; /* IP_CT_DIR_REPLY */
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	is_snat(r);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
	r = nft_rule_new(0, NULL, NULL);
	nft_ct(r, NFT_CT_DIRECTION, W(0));
	nft_cmp(r, W(0), NFT_CMP_EQ, &answer, 1);
	has_status(r, IPS_NAT_MASK);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
}

/* True when every line that translates to the pool names the interface to leave by. */
static bool bound_pool(const struct nat_family *f, const struct nat_addrs *pool)
{
	bool any = false;

	for (size_t i = 0; i < f->n_dynamics; i++) {
		if (f->dynamics[i].pool != pool)
			continue;
		if (!*f->dynamics[i].ifname)
			return false;
		any = true;
	}
	return any;
}

/* A connection with an address of one provider whose way now leads to another: until it is ended
 * (nat_flows.c) nothing of it leaves there. The address of an interface the kernel watches itself.
 */
static void guard_ways(struct nat_build *b, struct nft_chain *c)
{
	for (size_t k = 0; k < b->f->n_pools; k++) {
		const struct nat_addrs *a = &b->f->pools[k];
		struct nft_rule *r;
		char buf[NAT_NAME_MAX];

		if (!bound_pool(b->f, a))
			continue;
		r = nft_rule_new(nat_guard_id(NAT_ID_LEAK), a->rec, a->name);
		nft_family_is(r, b->nfproto);
		nat_load_src(b, r, W(0));
		nft_range(r, W(0), NFT_RANGE_EQ, a->lo.b, a->hi.b, b->size);
		is_snat(r);
		nat_ifname_in(r, NFT_META_OIFNAME, nat_name(b, buf, "out"));
		for (size_t i = 0; i < b->f->n_dynamics; i++) {
			char name[IFNAMSIZ] = { 0 };

			if (b->f->dynamics[i].pool != a)
				continue;
			rtr_strlcpy(name, b->f->dynamics[i].ifname, sizeof(name));
			nft_meta(r, NFT_META_OIFNAME, W(0));
			nft_cmp(r, W(0), NFT_CMP_NEQ, name, IFNAMSIZ);
		}
		drop(c, r);
	}
}

/* ---- sources ---- */

/* A key that names a line's chains: unique as the line's is. Names of pools and interfaces would be
 * too long together with that of the list. */
static void line_key(const struct nat_build *b, const struct nat_dynamic *d, const char *what,
		     char buf[NAT_NAME_MAX])
{
	const char *pool = d->pool ? d->pool->name : "";
	const char *ifname = *d->loopback ? d->loopback : d->ifname;
	uint64_t to = hash_bytes(pool, strlen(pool) + 1, 0);
	char part[FWC_PART];

	to = hash_bytes(ifname, strlen(ifname), to);
	snprintf(buf, NAT_NAME_MAX, "nat.%s%c.%u.%s.%016llx", what, b->v, d->seq,
		 fwc_part(d->list->name, part), (unsigned long long)to);
}

static void put_port(uint8_t *to, uint16_t port)
{
	uint16_t be = htons(port);

	memcpy(to, &be, sizeof(be));
}

struct map_ctx {
	const struct nat_build *b;
	struct nft_set *set;
};

static bool map_block(void *arg, const struct rtr_addr *src, const struct rtr_addr *dst,
		      unsigned bits)
{
	struct map_ctx *m = arg;
	struct rtr_addr src_last = *src, dst_last = *dst;
	uint8_t data[32];

	nat_addr_add(&src_last, (1ull << bits) - 1);
	nat_addr_add(&dst_last, (1ull << bits) - 1);
	memcpy(data, dst->b, m->b->size);
	memcpy(data + m->b->size, dst_last.b, m->b->size);
	nft_set_add_range(m->set, src->b, src_last.b, &(struct nft_data){ .bytes = data });
	return true;
}

/* Each source its own address: blocks that move by a change of prefix. */
static void map_rules(struct nat_build *b, struct nft_chain *c, const struct nat_dynamic *d)
{
	uint32_t addr = b->fam ? NFT_T_IP6ADDR : NFT_T_IPADDR;
	char name[NAT_NAME_MAX];
	struct map_ctx m = { .b = b };
	struct nft_rule *r = nft_rule_new(0, d->rec, NULL);

	line_key(b, d, "map", name);
	m.set = nft_set_new(&(struct nft_set_spec){ .name = name,
						    .flags = NFT_SET_INTERVAL,
						    .key_type = addr,
						    .key_size = (uint8_t)b->size,
						    .data_type = addr,
						    .data_size = (uint8_t)(2 * b->size),
						    .rec = d->rec });
	for (size_t i = 0; i < d->n_map; i++)
		nat_map_blocks(&d->map[i], map_block, &m);
	nat_put_set(b, name, m.set);
	nat_load_src(b, r, W(0));
	nft_map(r, name, W(0), W(4));
	nft_nat(r, &(struct nft_nat){ .type = NFT_NAT_SNAT,
				      .family = b->nfproto,
				      .addr_lo = W(4),
				      .addr_hi = W(4) + b->words,
				      .flags = NF_NAT_RANGE_NETMAP });
	nft_chain_add(c, r);
}

/* Each source its share of an address: one look-up gives address and ports. */
static void share_rules(struct nat_build *b, struct nft_chain *c, const struct nat_dynamic *d)
{
	uint32_t addr = b->fam ? NFT_T_IP6ADDR : NFT_T_IPADDR;
	const struct nat_det *t = d->det;
	char name[NAT_NAME_MAX];
	struct nft_rule *r = nft_rule_new(0, d->rec, NULL);
	struct nft_set *s;

	line_key(b, d, "det", name);
	s = nft_set_new(&(struct nft_set_spec){
		.name = name,
		.key_type = addr,
		.key_size = (uint8_t)b->size,
		.data_type = NFT_T3(addr, NFT_T_INET_SERVICE, NFT_T_INET_SERVICE),
		.data_size = (uint8_t)(b->size + 8),
		.rec = d->rec });
	for (size_t i = 0; t && i < t->n; i++) {
		struct rtr_addr src = t->r[i].lo;
		uint32_t host = t->r[i].first;

		do {
			uint8_t data[16 + 8] = { 0 };
			struct nat_share share;

			nat_det_share(b->p, d, host++, &share);
			memcpy(data, share.addr.b, b->size);
			put_port(data + b->size, share.kernel.lo);
			put_port(data + b->size + 4, share.kernel.hi);
			nft_set_add(s, src.b, &(struct nft_data){ .bytes = data });
		} while (rtr_addr_cmp(&src, &t->r[i].hi) && nat_addr_add(&src, 1));
	}
	nat_put_set(b, name, s);
	nat_load_src(b, r, W(0));
	nft_map(r, name, W(0), W(4));
	nft_nat(r, &(struct nft_nat){ .type = NFT_NAT_SNAT,
				      .family = b->nfproto,
				      .addr_lo = W(4),
				      .addr_hi = W(4),
				      .proto_lo = W(4) + b->words,
				      .proto_hi = W(4) + b->words + 1 });
	nft_chain_add(c, r);
}

/* False: the loopback has no address, nothing to translate to. */
static bool target_of(const struct nat_build *b, const struct nat_dynamic *d, struct nat_target *t)
{
	const struct nat_iface *i;

	*t = (struct nat_target){ .kind = NAT_T_MASQ };
	if (d->pool) {
		*t = (struct nat_target){ .kind = NAT_T_ADDRS,
					  .lo = d->pool->lo,
					  .hi = d->pool->hi };
	} else if (*d->loopback) {
		i = nat_iface_find(b->p, d->loopback);
		if (!i || !i->n_addrs[b->fam])
			return false;
		*t = (struct nat_target){ .kind = NAT_T_ADDRS,
					  .lo = i->addrs[b->fam][0],
					  .hi = i->addrs[b->fam][0] };
	}
	return true;
}

/* What a dynamic line does: counts, then translates. */
static void action_chain(struct nat_build *b, const struct nat_dynamic *d, const char *name)
{
	struct nft_chain *c = nat_chain(b, name);
	struct nft_rule *r = nft_rule_new(nat_line_id(d->rec), d->rec, NULL);
	struct nat_target t;

	nft_counter(r);
	nft_chain_add(c, r);
	if (d->pool && d->pool->det_ports)
		share_rules(b, c, d);
	else if (d->pool && !d->overload)
		map_rules(b, c, d);
	else if (target_of(b, d, &t))
		nat_snat_rules(b, c, &t, d->rec);
}

/* leak NULL: translate; else what would be translated goes there. */
static void dynamic_rules(struct nat_build *b, struct nft_chain *c, const struct nat_dynamic *d,
			  const char *leak)
{
	char list[NAT_NAME_MAX], act[NAT_NAME_MAX];
	struct nat_then then = { .verdict = NF_ACCEPT };

	line_key(b, d, leak ? "gl" : "l", list);
	if (!d->exempt) {
		line_key(b, d, "t", act);
		if (!leak)
			action_chain(b, d, act);
		then = (struct nat_then){ .verdict = NFT_GOTO, .chain = leak ? leak : act };
	}
	nat_list_rules(b, c, d->list, d->ifname, list, &then);
}

static void source_chain(struct nat_build *b, const char *name, const char *leak)
{
	struct nft_chain *c = nat_chain(b, name);
	size_t i = 0;

	for (; i < b->f->n_dynamics && b->f->dynamics[i].exempt; i++)
		dynamic_rules(b, c, &b->f->dynamics[i], leak);
	if (leak)
		nat_src_static_guard(b, c, leak);
	else
		nat_src_static(b, c, true);
	for (; i < b->f->n_dynamics; i++)
		dynamic_rules(b, c, &b->f->dynamics[i], leak);
}

/* A socket of the box on a port of the fast plane: its answers would be taken for the fast
 * plane's, so it speaks from a port of the kernel's. */
static void local_rules(struct nat_build *b, struct nft_chain *c)
{
	char chain[NAT_NAME_MAX], buf[NAT_NAME_MAX];
	uint8_t request = b->fam ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	struct nft_chain *act = nat_chain(b, nat_name(b, chain, "local"));
	struct nft_rule *r = nft_rule_new(nat_guard_id(NAT_ID_LOCAL), NULL, NULL);
	uint32_t none = 0;

	nft_counter(r);
	nft_chain_add(act, r);
	nat_snat_rules(b, act, &(struct nat_target){ .kind = NAT_T_SAME }, NULL);
	for (int icmp = 0; icmp < 2; icmp++) {
		r = nft_rule_new(0, NULL, NULL);
		nft_family_is(r, b->nfproto);
		nft_meta(r, NFT_META_IIF, W(0));
		nft_cmp(r, W(0), NFT_CMP_EQ, &none, 4);
		nat_load_src(b, r, W(0));
		nft_lookup(r, nat_name(b, buf, "shared"), W(0), false);
		if (icmp) {
			nft_l4proto_is(r, b->fam ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
			nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, W(0));
			nft_cmp(r, W(0), NFT_CMP_EQ, &request, 1);
		} else {
			nft_meta(r, NFT_META_L4PROTO, W(0));
			nft_lookup(r, "nat_l4", W(0), false);
		}
		nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, icmp ? 4 : 0, 2, W(0));
		nft_lookup(r, FAST, W(0), false);
		nft_goto(r, chain);
		nft_chain_add(c, r);
	}
}

static void hairpin_rules(struct nat_build *b, struct nft_chain *c)
{
	char chain[NAT_NAME_MAX], in[NAT_NAME_MAX];
	struct nft_chain *act = nat_chain(b, nat_name(b, chain, "hairpin"));
	struct nft_rule *r = nft_rule_new(nat_guard_id(NAT_ID_HAIRPIN), NULL, NULL);
	uint32_t dnat = IPS_DST_NAT, zero = 0;

	nft_counter(r);
	nft_chain_add(act, r);
	nat_src_static(b, act, false);
	nat_snat_rules(b, act, &(struct nat_target){ .kind = NAT_T_ORIG_DST }, NULL);

	r = nft_rule_new(0, NULL, NULL);
	nft_family_is(r, b->nfproto);
	nft_ct(r, NFT_CT_STATUS, W(0));
	nft_bitwise(r, W(0), W(0), 4, &dnat, &zero);
	nft_cmp(r, W(0), NFT_CMP_NEQ, &zero, 4);
	nat_name(b, in, "in");
	nat_ifname_in(r, NFT_META_IIFNAME, in);
	nat_ifname_in(r, NFT_META_OIFNAME, in);
	nft_goto(r, chain);
	nft_chain_add(c, r);
}

/* From inside to outside. */
static void in_to_out(struct nat_build *b, struct nft_chain *c, const char *chain)
{
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);
	char buf[NAT_NAME_MAX];

	nft_family_is(r, b->nfproto);
	nat_ifname_in(r, NFT_META_OIFNAME, nat_name(b, buf, "out"));
	nat_ifname_in(r, NFT_META_IIFNAME, nat_name(b, buf, "in"));
	nft_jump(r, chain);
	nft_chain_add(c, r);
}

/* ---- all ---- */

struct bases {
	struct nft_chain *pre, *out, *post, *guard_pre, *guard_post;
};

static void family_rules(struct nat_build *b, const struct bases *base)
{
	char dst[NAT_NAME_MAX], src[NAT_NAME_MAX], leak[NAT_NAME_MAX], buf[NAT_NAME_MAX];
	struct nft_chain *c;
	struct nft_rule *r;

	side_set(b, "in", NAT_INSIDE);
	side_set(b, "out", NAT_OUTSIDE);
	side_set(b, "any", NAT_NO_SIDE);
	global_set(b, "shared", false);
	global_set(b, "global", true);
	nat_static_sets(b);
	guard_pre(b, base->guard_pre);

	nat_outside_rules(b, base->pre, base->post);
	nat_dst_rules(b, nat_chain(b, nat_name(b, dst, "dst")));
	r = nft_rule_new(0, NULL, NULL);
	nft_family_is(r, b->nfproto);
	nat_ifname_in(r, NFT_META_IIFNAME, nat_name(b, buf, "any"));
	nft_jump(r, dst);
	nft_chain_add(base->pre, r);
	r = nft_rule_new(0, NULL, NULL);
	nft_family_is(r, b->nfproto);
	nft_jump(r, dst);
	nft_chain_add(base->out, r);

	local_rules(b, base->post);
	hairpin_rules(b, base->post);
	source_chain(b, nat_name(b, src, "src"), NULL);
	in_to_out(b, base->post, src);

	c = nat_chain(b, nat_name(b, leak, "leak"));
	drop(c, nft_rule_new(nat_guard_id(NAT_ID_LEAK), NULL, NULL));
	source_chain(b, nat_name(b, src, "gsrc"), leak);
	in_to_out(b, base->guard_post, src);
}

static struct nft_chain *base_of(struct nat_build *b, const char *name, const char *type,
				 uint32_t hook, int32_t prio)
{
	return nat_base_chain(b, &(struct nft_chain_spec){ .name = name,
							   .type = type,
							   .hook = hook,
							   .prio = prio,
							   .policy = NF_ACCEPT });
}

static void build_chains(const struct nat_policy *p)
{
	struct nat_build b[2];
	struct bases base;

	for (unsigned f = 0; f < 2; f++)
		b[f] = (struct nat_build){ .p = p,
					   .f = &p->f[f],
					   .kept = &last.kept,
					   .family = f ? AF_INET6 : AF_INET,
					   .nfproto = f ? NFPROTO_IPV6 : NFPROTO_IPV4,
					   .v = f ? '6' : '4',
					   .fam = f,
					   .size = f ? 16 : 4,
					   .words = f ? 4 : 1 };
	if (!nat_family_used(&p->f[0]) && !nat_family_used(&p->f[1]))
		return;
	nat_port_sets(&b[0]);
	fast_set(&b[0]);
	base.guard_pre = base_of(&b[0], "nat_guard_pre", "filter", NF_INET_PRE_ROUTING,
				 PRIO_GUARD_PRE);
	base.pre = base_of(&b[0], "nat_pre", "nat", NF_INET_PRE_ROUTING, PRIO_DST);
	base.out = base_of(&b[0], "nat_out", "nat", NF_INET_LOCAL_OUT, PRIO_DST);
	guard_forward(&b[0]);
	base.post = base_of(&b[0], "nat_post", "nat", NF_INET_POST_ROUTING, PRIO_SRC);
	base.guard_post = base_of(&b[0], "nat_guard_post", "filter", NF_INET_POST_ROUTING,
				  PRIO_GUARD_POST);
	for (unsigned f = 0; f < 2; f++)
		guard_ways(&b[f], base.guard_post);
	let_translated_pass(base.guard_post);
	for (unsigned f = 0; f < 2; f++) {
		if (nat_family_used(&p->f[f]))
			family_rules(&b[f], &base);
	}
}

static void npt_rule(struct nft_chain *c, const struct nat_npt *n, const char *ifname, bool source)
{
	const struct rtr_prefix *from = source ? &n->inside : &n->outside;
	const struct rtr_prefix *to = source ? &n->outside : &n->inside;
	struct rtr_addr last_addr = nat_prefix_last(from);
	struct nft_rule *r = nft_rule_new(nat_line_id(n->rec), n->rec, NULL);

	if (source)
		nft_oif_is(r, ifname);
	else
		nft_iif_is(r, ifname);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, source ? 8 : 24, 16, W(0));
	nft_range(r, W(0), NFT_RANGE_EQ, from->addr.b, last_addr.b, 16);
	nft_counter(r);
	nft_xt_npt(r, source, from->addr.b, to->addr.b, from->len);
	nft_chain_add(c, r);
}

/* Prefix translation is before tracking, so that connections have inside addresses throughout. */
static void build_npt(const struct nat_policy *p)
{
	struct nat_build b = { .kept = &last.npt };
	char name[2][NAT_NAME_MAX];
	struct nft_chain *in, *out;

	if (!p->n_npts)
		return;
	snprintf(name[0], NAT_NAME_MAX, "%s/npt_in", nft_table_name());
	snprintf(name[1], NAT_NAME_MAX, "%s/npt_out", nft_table_name());
	in = base_of(&b, name[0], "filter", NF_INET_PRE_ROUTING, PRIO_NPT_IN);
	out = base_of(&b, name[1], "filter", NF_INET_POST_ROUTING, PRIO_NPT_OUT);
	for (size_t i = 0; i < p->n_npts; i++) {
		const char *ifname = p->npts[i].ifname;

		for (const char *n = ifname; n; n = pol_alias_next(p->aliases, ifname, n))
			npt_rule(in, &p->npts[i], n, false);
		npt_rule(out, &p->npts[i], ifname, true);
	}
}

const struct policy *nat_policy_holder(const struct rec *want)
{
	nat_policy_for(want);
	return last.pol;
}

const struct nat_policy *nat_policy_for(const struct rec *want)
{
	const struct policy *pol = policy_build(want, last.pol, time(NULL), NULL);
	const struct nat_policy *p = pol ? pol->nat : NULL;

	if (p != last.p) {
		kept_fini(&last.kept);
		kept_fini(&last.npt);
		if (p) {
			build_chains(p);
			build_npt(p);
		}
	}
	policy_unref(last.pol);
	last.pol = pol;
	last.p = p;
	return p;
}

static void build(struct nft_ruleset *rs, const struct rec *want)
{
	nat_policy_for(want);
	if (last.kept.n_chains)
		kept_add(&last.kept, nft_ruleset_table(rs, NFPROTO_INET, nft_table_name()));
	if (last.npt.n_chains)
		kept_add(&last.npt, nft_ruleset_table(rs, NFPROTO_IPV6, SHARED_TABLE));
}

NFT_SOURCE(nat, 30, build);

void nat_nft_forget(void)
{
	kept_fini(&last.kept);
	kept_fini(&last.npt);
	last.pol = policy_unref(last.pol);
	last.p = NULL;
}
