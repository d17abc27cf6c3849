/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Static lines as maps: one look-up a kind, however many lines there are.
 *	nat_dport   protocol, address, port        -> address, port   (hash)
 *	nat_drange  protocol, address, port range  -> address         (ports kept)
 *	nat_dhost, nat_dnet, and for sources nat_sport, nat_srange, nat_shost, nat_snet; those of
 *	sources whose line names an interface have it in front of the key (nat_sportif ...).
 * Beside each one stands another of the same keys (nat_hits_dport ...) that leads to the counter of
 * the line: a rule that has found its translation counts there.
 */
#include "firewall/compile.h"
#include "nat/nat_nft.h"

#include <linux/netfilter/nf_nat.h>
#include <stdio.h>
#include <string.h>

/* Keys from W(0) - interface name 4 words, protocol 1, address 1 or 4, port 1 - and data from
 * W(10): IPv6 has two addresses of 4 words only where the key is one of 4. */
#define REG_DATA W(10)
/* Two addresses of IPv6: W(4) to W(11). */
#define REG_PAIR W(4)

struct kind {
	const char *name;
	bool source, bound, range;
};

static bool wants(const struct nat_static *s, const struct kind *k)
{
	bool range = s->n_ports > 1 && s->lport == s->gport;

	return s->kind >= NAT_TCP && range == k->range && (!k->source || !*s->ifname != k->bound);
}

static size_t key_of(const struct nat_build *b, const struct kind *k, const struct nat_static *s,
		     uint16_t port, uint8_t key[NFT_KEY_MAX])
{
	uint16_t be = htons(port);
	size_t n = 0;

	memset(key, 0, NFT_KEY_MAX);
	if (k->bound) {
		memcpy(key, s->ifname, IFNAMSIZ);
		n = IFNAMSIZ;
	}
	key[n] = s->kind == NAT_TCP ? IPPROTO_TCP : IPPROTO_UDP;
	memcpy(key + n + 4, k->source ? s->local.b : s->global.b, b->size);
	memcpy(key + n + 4 + b->size, &be, 2);
	return n + 8 + b->size;
}

/* A map of translations and that of its counters. */
struct maps {
	struct nft_set *to, *hits;
};

static char *hits_name(const struct nat_build *b, char buf[NAT_NAME_MAX], const char *what)
{
	char name[32];

	snprintf(name, sizeof(name), "hits_%s", what);
	return nat_name(b, buf, name);
}

static struct maps maps_new(const struct nat_build *b, struct nft_set_spec *spec, const char *what)
{
	char name[NAT_NAME_MAX];
	struct maps m;

	spec->name = nat_name(b, name, what);
	m.to = nft_set_new(spec);
	m.hits = nat_hits_map(spec, hits_name(b, name, what));
	return m;
}

static void maps_put(struct nat_build *b, const struct maps *m, const char *what)
{
	char name[NAT_NAME_MAX];

	if (!m->to)
		return;
	nat_put_set(b, nat_name(b, name, what), m->to);
	nat_put_set(b, hits_name(b, name, what), m->hits);
}

/* hi NULL: one key. */
static void maps_add(const struct maps *m, const void *lo, const void *hi, const void *to,
		     const struct nft_data *hits)
{
	struct nft_data data = { .bytes = to };

	if (hi) {
		nft_set_add_range(m->to, lo, hi, &data);
		nft_set_add_range(m->hits, lo, hi, hits);
	} else {
		nft_set_add(m->to, lo, &data);
		nft_set_add(m->hits, lo, hits);
	}
}

/* In a rule: the translation of the key at W(0), counted. */
static void maps_find(const struct nat_build *b, struct nft_rule *r, const char *what, uint32_t to,
		      bool counted)
{
	char name[NAT_NAME_MAX];

	nft_map(r, nat_name(b, name, what), W(0), to);
	if (counted)
		nft_obj_map(r, hits_name(b, name, what), W(0));
}

static struct maps port_maps(const struct nat_build *b, const struct kind *k)
{
	uint32_t addr = b->fam ? NFT_T_IP6ADDR : NFT_T_IPADDR;
	struct nft_set_spec spec = { .flags = k->range ? NFT_SET_INTERVAL : 0,
				     .key_type = NFT_T3(NFT_T_INET_PROTO, addr, NFT_T_INET_SERVICE),
				     .key_size = (uint8_t)(b->size + 8),
				     .n_fields = 3,
				     .field_size = { 1, (uint8_t)b->size, 2 },
				     .data_type = k->range ? addr
							   : NFT_T2(addr, NFT_T_INET_SERVICE),
				     .data_size = (uint8_t)(k->range ? b->size : b->size + 4) };

	if (k->bound) {
		spec.key_type = NFT_T4(NFT_T_IFNAME, NFT_T_INET_PROTO, addr, NFT_T_INET_SERVICE);
		spec.key_size = (uint8_t)(spec.key_size + IFNAMSIZ);
		spec.n_fields = 4;
		memmove(spec.field_size + 1, spec.field_size, 3);
		spec.field_size[0] = IFNAMSIZ;
	}
	return maps_new(b, &spec, k->name);
}

/* Of lines with the same local port the first in order stays: as nat_snat has it. */
static bool hidden(const struct nat_family *f, size_t at, const struct kind *k, uint16_t port)
{
	const struct nat_static *s = &f->by_local[at];

	if (!k->source)
		return false;
	for (size_t i = at; i--;) {
		const struct nat_static *o = &f->by_local[i];

		if (o->kind != s->kind || rtr_addr_cmp(&o->local, &s->local))
			break;
		if (!*o->ifname == !*s->ifname && !strcmp(o->ifname, s->ifname) &&
		    port >= o->lport && port - o->lport < o->n_ports)
			return true;
	}
	return false;
}

static void add_ports(struct nat_build *b, const struct maps *m, const struct kind *k, size_t at)
{
	const struct nat_static *s = k->source ? &b->f->by_local[at] : &b->f->statics[at];
	uint16_t from = k->source ? s->lport : s->gport, to = k->source ? s->gport : s->lport;
	uint8_t lo[NFT_KEY_MAX], hi[NFT_KEY_MAX], data[24] = { 0 };
	struct nft_data hits = nat_hits_of(b, s->rec);

	memcpy(data, k->source ? s->global.b : s->local.b, b->size);
	if (k->range) {
		key_of(b, k, s, from, lo);
		key_of(b, k, s, (uint16_t)(from + s->n_ports - 1), hi);
		if (!hidden(b->f, at, k, from))
			maps_add(m, lo, hi, data, &hits);
		return;
	}
	for (uint16_t i = 0; i < s->n_ports; i++) {
		uint16_t be = htons((uint16_t)(to + i));

		if (hidden(b->f, at, k, (uint16_t)(from + i)))
			continue;
		memcpy(data + b->size, &be, 2);
		key_of(b, k, s, (uint16_t)(from + i), lo);
		maps_add(m, lo, NULL, data, &hits);
	}
}

static const struct kind kinds[] = {
	{ .name = "dport" },
	{ .name = "drange", .range = true },
	{ .name = "sportif", .source = true, .bound = true },
	{ .name = "srangeif", .source = true, .bound = true, .range = true },
	{ .name = "sport", .source = true },
	{ .name = "srange", .source = true, .range = true },
};

static void forward_maps(struct nat_build *b)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct maps m = { 0 };

		for (size_t k = 0; k < b->f->n_statics; k++) {
			if (!wants(kinds[i].source ? &b->f->by_local[k] : &b->f->statics[k],
				   &kinds[i]))
				continue;
			if (!m.to)
				m = port_maps(b, &kinds[i]);
			add_ports(b, &m, &kinds[i], k);
		}
		maps_put(b, &m, kinds[i].name);
	}
}

/* Of an address to another one. */
static struct maps addr_maps(const struct nat_build *b, const char *what)
{
	uint32_t addr = b->fam ? NFT_T_IP6ADDR : NFT_T_IPADDR;
	struct nft_set_spec spec = { .key_type = addr,
				     .key_size = (uint8_t)b->size,
				     .data_type = addr,
				     .data_size = (uint8_t)b->size };

	return maps_new(b, &spec, what);
}

static void host_map(struct nat_build *b, bool source)
{
	const char *what = source ? "shost" : "dhost";
	struct maps m = { 0 };

	for (size_t i = 0; i < b->f->n_statics; i++) {
		const struct nat_static *s = &b->f->statics[i];
		struct nft_data hits;

		if (s->kind != NAT_HOST)
			continue;
		if (!m.to)
			m = addr_maps(b, what);
		hits = nat_hits_of(b, s->rec);
		maps_add(&m, source ? s->local.b : s->global.b, NULL,
			 source ? s->global.b : s->local.b, &hits);
	}
	maps_put(b, &m, what);
}

static void net_map(struct nat_build *b, bool source)
{
	uint32_t addr = b->fam ? NFT_T_IP6ADDR : NFT_T_IPADDR;
	struct nft_set_spec spec = { .flags = NFT_SET_INTERVAL,
				     .key_type = addr,
				     .key_size = (uint8_t)b->size,
				     .data_type = addr,
				     .data_size = (uint8_t)(2 * b->size) };
	const char *what = source ? "snet" : "dnet";
	struct maps m = { 0 };

	for (size_t i = 0; i < b->f->n_statics; i++) {
		const struct nat_static *s = &b->f->statics[i];
		struct rtr_prefix from = { .addr = source ? s->local : s->global, .len = s->len };
		struct rtr_prefix to = { .addr = source ? s->global : s->local, .len = s->len };
		struct rtr_addr from_last = nat_prefix_last(&from), to_last = nat_prefix_last(&to);
		struct nft_data hits;
		uint8_t data[32];

		if (s->kind != NAT_NETWORK)
			continue;
		if (!m.to)
			m = maps_new(b, &spec, what);
		memcpy(data, to.addr.b, b->size);
		memcpy(data + b->size, to_last.b, b->size);
		hits = nat_hits_of(b, s->rec);
		maps_add(&m, from.addr.b, from_last.b, data, &hits);
	}
	maps_put(b, &m, what);
}

void nat_static_sets(struct nat_build *b)
{
	forward_maps(b);
	host_map(b, false);
	host_map(b, true);
	net_map(b, false);
	net_map(b, true);
}

/* ---- rules ---- */

/* Loads the key of a map of forwards. */
static void load_key(const struct nat_build *b, struct nft_rule *r, const struct kind *k)
{
	uint32_t at = 0;

	if (k->bound) {
		nft_meta(r, NFT_META_OIFNAME, W(0));
		at = IFNAMSIZ / 4;
	}
	nft_meta(r, NFT_META_L4PROTO, W(at));
	if (k->source)
		nat_load_src(b, r, W(at + 1));
	else
		nat_load_dst(b, r, W(at + 1));
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, k->source ? 0 : 2, 2, W(at + 1 + b->words));
}

static void nat_to(const struct nat_build *b, struct nft_rule *r, bool source, uint32_t addr,
		   uint32_t port)
{
	nft_nat(r, &(struct nft_nat){ .type = source ? NFT_NAT_SNAT : NFT_NAT_DNAT,
				      .family = b->nfproto,
				      .addr_lo = addr,
				      .addr_hi = addr,
				      .proto_lo = port,
				      .proto_hi = port });
}

/* A rule for one map; guard: a jump in place of the translation. */
static void forward_rule(const struct nat_build *b, struct nft_chain *c, const struct kind *k,
			 const char *guard)
{
	char name[NAT_NAME_MAX];
	struct nft_rule *r;

	if (!nat_has_set(b, nat_name(b, name, k->name)))
		return;
	r = nft_rule_new(0, NULL, NULL);
	load_key(b, r, k);
	/* IPv6 with an interface in the key fills W(0) to W(9). */
	maps_find(b, r, k->name, REG_DATA, !guard);
	if (guard)
		nft_goto(r, guard);
	else
		nat_to(b, r, k->source, REG_DATA, k->range ? 0 : REG_DATA + b->words);
	nft_chain_add(c, r);
}

static void host_rule(const struct nat_build *b, struct nft_chain *c, bool source,
		      const char *guard)
{
	const char *what = source ? "shost" : "dhost";
	char name[NAT_NAME_MAX];
	struct nft_rule *r;

	if (!nat_has_set(b, nat_name(b, name, what)))
		return;
	r = nft_rule_new(0, NULL, NULL);
	if (source)
		nat_load_src(b, r, W(0));
	else
		nat_load_dst(b, r, W(0));
	maps_find(b, r, what, REG_DATA, !guard);
	if (guard)
		nft_goto(r, guard);
	else
		nat_to(b, r, source, REG_DATA, 0);
	nft_chain_add(c, r);
}

static void net_rule(const struct nat_build *b, struct nft_chain *c, bool source, const char *guard)
{
	const char *what = source ? "snet" : "dnet";
	char name[NAT_NAME_MAX];
	struct nft_rule *r;

	if (!nat_has_set(b, nat_name(b, name, what)))
		return;
	r = nft_rule_new(0, NULL, NULL);
	if (source)
		nat_load_src(b, r, W(0));
	else
		nat_load_dst(b, r, W(0));
	maps_find(b, r, what, REG_PAIR, !guard);
	if (guard)
		nft_goto(r, guard);
	else
		nft_nat(r, &(struct nft_nat){ .type = source ? NFT_NAT_SNAT : NFT_NAT_DNAT,
					      .family = b->nfproto,
					      .addr_lo = REG_PAIR,
					      .addr_hi = REG_PAIR + b->words,
					      .flags = NF_NAT_RANGE_NETMAP });
	nft_chain_add(c, r);
}

/* Connections in turn; numgen counts on every CPU alike. */
static void rotary_rule(struct nat_build *b, struct nft_chain *c, const struct nat_rotary *ro)
{
	uint32_t addr = b->fam ? NFT_T_IP6ADDR : NFT_T_IPADDR;
	uint32_t n = (uint32_t)nat_addrs_size(ro->pool);
	char set[NAT_NAME_MAX], chain[NAT_NAME_MAX], list[NAT_NAME_MAX], part[FWC_PART];
	struct nat_then then = { .verdict = NFT_GOTO, .chain = chain };
	struct rtr_addr a = ro->pool->lo;
	struct nft_chain *act;
	struct nft_rule *r;

	fwc_part(ro->list->name, part);
	snprintf(chain, sizeof(chain), "nat.rotary%c.%s", b->v, part);
	snprintf(list, sizeof(list), "nat.rotary-list%c.%s", b->v, part);
	snprintf(set, sizeof(set), "nat.pool%c.%s", b->v, fwc_part(ro->pool->name, part));
	if (!nat_has_set(b, set)) {
		struct nft_set *s = nft_set_new(
			&(struct nft_set_spec){ .name = set,
						.key_type = NFT_T_INTEGER,
						.key_size = 4,
						.data_type = addr,
						.data_size = (uint8_t)b->size });

		for (uint32_t i = 0; i < n; i++, nat_addr_add(&a, 1))
			nft_set_add(s, &i, &(struct nft_data){ .bytes = a.b });
		nat_put_set(b, set, s);
	}
	act = nat_chain(b, chain);
	r = nft_rule_new(nat_line_id(ro->rec), ro->rec, NULL);
	nft_counter(r);
	nft_numgen(r, NFT_NG_INCREMENTAL, n, 0, W(0));
	nft_map(r, set, W(0), REG_DATA);
	nat_to(b, r, false, REG_DATA, 0);
	nft_chain_add(act, r);
	nat_list_rules(b, c, ro->list, "", list, &then);
}

void nat_dst_rules(struct nat_build *b, struct nft_chain *c)
{
	forward_rule(b, c, &kinds[0], NULL);
	forward_rule(b, c, &kinds[1], NULL);
	host_rule(b, c, false, NULL);
	net_rule(b, c, false, NULL);
	for (size_t i = 0; i < b->f->n_rotaries; i++)
		rotary_rule(b, c, &b->f->rotaries[i]);
}

void nat_src_static(struct nat_build *b, struct nft_chain *c, bool forwards)
{
	for (size_t i = 2; forwards && i < ARRAY_LEN(kinds); i++)
		forward_rule(b, c, &kinds[i], NULL);
	host_rule(b, c, true, NULL);
	net_rule(b, c, true, NULL);
}

void nat_src_static_guard(struct nat_build *b, struct nft_chain *c, const char *chain)
{
	for (size_t i = 2; i < ARRAY_LEN(kinds); i++)
		forward_rule(b, c, &kinds[i], chain);
	host_rule(b, c, true, chain);
	net_rule(b, c, true, chain);
}

/* ---- outside hosts under an inside name ---- */

static void outside_map(struct nat_build *b, const char *what, bool source)
{
	struct maps m = addr_maps(b, what);

	for (size_t i = 0; i < b->f->n_outsides; i++) {
		const struct nat_outside *o = &b->f->outsides[i];
		struct nft_data hits = nat_hits_of(b, o->rec);

		maps_add(&m, source ? o->global.b : o->local.b, NULL,
			 source ? o->local.b : o->global.b, &hits);
	}
	maps_put(b, &m, what);
}

void nat_outside_rules(struct nat_build *b, struct nft_chain *dst, struct nft_chain *src)
{
	char in[NAT_NAME_MAX], out[NAT_NAME_MAX];

	nat_name(b, in, "in");
	nat_name(b, out, "out");
	for (int source = 0; b->f->n_outsides && source < 2; source++) {
		struct nft_rule *r = nft_rule_new(0, NULL, NULL);
		const char *what = source ? "sout" : "dout";

		outside_map(b, what, source);
		nft_family_is(r, b->nfproto);
		nat_ifname_in(r, NFT_META_IIFNAME, source ? out : in);
		if (source) {
			nat_ifname_in(r, NFT_META_OIFNAME, in);
			nat_load_src(b, r, W(0));
		} else {
			nat_load_dst(b, r, W(0));
		}
		maps_find(b, r, what, REG_DATA, true);
		nat_to(b, r, source, REG_DATA, 0);
		nft_chain_add(source ? src : dst, r);
	}
}
