/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show ip nat rules, show ip nat pools, and what NAT adds to show ip nat statistics and
 * translations (conntrack/ct_nat.h). Lines are shown in the order in which they are asked, with
 * the connections that each has translated.
 */
#include "conntrack/ct_nat.h"
#include "fastpath/fast_hits.h"
#include "fastpath/fastpath.h"
#include "nat/nat.h"
#include "nat/nat_nft.h"
#include "nft/nft_count.h"
#include "schema/text.h"
#include "txn/txn.h"

#include <stdlib.h>
#include <string.h>

/* Addresses of a pool that are counted one by one. */
#define USED_MAX 65536

static const char *const stage_names[] = {
	"outside static", "port forward", "static host", "static network", "rotary",
	"exempt",         "policy",       "pool",        "interface",      "prefix (NPTv6)",
};
enum stage {
	ST_OUTSIDE,
	ST_FORWARD,
	ST_HOST,
	ST_NETWORK,
	ST_ROTARY,
	ST_EXEMPT,
	ST_POLICY,
	ST_POOL,
	ST_IFACE,
	ST_NPT
};

static const struct nat_policy *running(void)
{
	return txn_running() ? nat_policy_for(txn_running()) : NULL;
}

/* ---- rules ---- */

/* Connections that a line has translated, on both planes. */
static uint64_t translated(const struct rec *rec)
{
	uint64_t id = nat_line_id(rec);

	return nft_count_get(id).packets + fast_hits_get(id).hits;
}

static void clear_line(const struct rec *rec)
{
	nft_count_clear(nat_line_id(rec));
	fast_hits_clear(nat_line_id(rec));
}

static void add_rule(json_t *list, enum stage st, const struct rec *rec, bool counted)
{
	struct strbuf b = STRBUF_INIT;
	json_t *o;

	text_rec(rec, &b);
	o = json_pack("{s:s,s:s}", "kind", stage_names[st], "line", strbuf_str(&b));
	if (counted)
		json_object_set_new(o, "connections", json_integer((json_int_t)translated(rec)));
	json_array_append_new(list, o);
	strbuf_fini(&b);
}

/* Static lines in the order of evaluation. */
static void each_static(const struct nat_family *f,
			void (*fn)(void *arg, enum stage st, const struct rec *rec), void *arg)
{
	static const struct {
		uint8_t first, last;
		enum stage st;
	} order[] = { { NAT_TCP, NAT_UDP, ST_FORWARD },
		      { NAT_HOST, NAT_HOST, ST_HOST },
		      { NAT_NETWORK, NAT_NETWORK, ST_NETWORK } };

	for (size_t i = 0; i < f->n_outsides; i++)
		fn(arg, ST_OUTSIDE, f->outsides[i].rec);
	for (size_t k = 0; k < ARRAY_LEN(order); k++) {
		const struct rec *before = NULL;

		for (size_t i = 0; i < f->n_statics; i++) {
			const struct nat_static *s = &f->statics[i];

			/* A line of an interface stands once for each of its addresses. */
			if (s->kind >= order[k].first && s->kind <= order[k].last &&
			    s->rec != before)
				fn(arg, order[k].st, s->rec);
			before = s->rec;
		}
	}
}

static void add_static(void *list, enum stage st, const struct rec *rec)
{
	add_rule(list, st, rec, true);
}

static json_t *rules(const struct nat_policy *p, unsigned fam)
{
	const struct nat_family *f = &p->f[fam];
	json_t *list = json_array();

	each_static(f, add_static, list);
	for (size_t i = 0; i < f->n_rotaries; i++)
		add_rule(list, ST_ROTARY, f->rotaries[i].rec, true);
	for (size_t i = 0; i < f->n_dynamics; i++) {
		const struct nat_dynamic *d = &f->dynamics[i];
		enum stage st = d->exempt ? ST_EXEMPT
				: d->seq  ? ST_POLICY
				: d->pool ? ST_POOL
					  : ST_IFACE;

		add_rule(list, st, d->rec, !d->exempt);
	}
	for (size_t i = 0; fam && i < p->n_npts; i++)
		add_rule(list, ST_NPT, p->npts[i].rec, true);
	return list;
}

static const struct {
	const char *name, *text;
	enum nat_guard_id id;
} guards[] = {
	{ "fast_port", "to fast ports", NAT_ID_FAST },
	{ "invalid", "of no connection", NAT_ID_INVALID },
	{ "leak", "untranslated", NAT_ID_LEAK },
};

/* Interfaces with a side where the kernel translates: its mapping and filtering are by connection,
 * whatever the settings say. */
static json_t *on_kernel(const struct nat_policy *p, unsigned fam)
{
	json_t *list = json_array();

	for (size_t i = 0; p && i < p->n_ifaces; i++)
		if (p->ifaces[i].side[fam] != NAT_NO_SIDE && !fast_carries(p->ifaces[i].name))
			json_array_append_new(list,
					      json_string(iface_operator_name(p->ifaces[i].name)));
	return list;
}

static json_t *rules_json(unsigned fam)
{
	static const char *const users[] = { "local", "kernel", "fast" };
	const struct nat_policy *p = running();
	json_t *o = json_object(), *drops = json_object(), *ports = json_object();

	json_object_set_new(o, "rules", p ? rules(p, fam) : json_array());
	for (size_t i = 0; i < ARRAY_LEN(guards); i++)
		json_object_set_new(
			drops, guards[i].name,
			json_integer(
				(json_int_t)nft_count_get(nat_guard_id(guards[i].id)).packets));
	json_object_set_new(o, "dropped", drops);
	json_object_set_new(
		o, "hairpin",
		json_integer((json_int_t)nft_count_get(nat_guard_id(NAT_ID_HAIRPIN)).packets));
	for (unsigned i = 0; p && i < NAT_PORTS__MAX; i++) {
		json_t *list = json_array();

		for (size_t k = 0; k < p->ports[i]->n; k++) {
			const struct pol_port_range *r = &p->ports[i]->r[k];
			char text[16];

			snprintf(text, sizeof(text), "%u-%u", r->lo, r->hi);
			json_array_append_new(list, json_string(text));
		}
		json_object_set_new(ports, users[i], list);
	}
	json_object_set_new(o, "ports", ports);
	json_object_set_new(
		o, "mapping",
		json_string(p && p->eim ? "endpoint-independent" : "connection-dependent"));
	json_object_set_new(
		o, "filtering",
		json_string(p && p->eif ? "endpoint-independent" : "connection-dependent"));
	json_object_set_new(o, "kernel_plane", on_kernel(p, fam));
	return o;
}

static void print_rules(struct cmd_ctx *c, const json_t *o)
{
	const json_t *list = json_object_get(o, "rules"), *r, *v;
	const char *name;
	size_t i, k;

	cmd_printf(c, "%-16s %12s  %s\n", "Kind", "Connections", "Line");
	json_array_foreach(list, i, r) {
		const json_t *n = json_object_get(r, "connections");
		char count[24] = "-";

		if (n)
			snprintf(count, sizeof(count), "%lld", (long long)json_integer_value(n));
		cmd_printf(c, "%-16s %12s  %s\n", json_string_value(json_object_get(r, "kind")),
			   count, json_string_value(json_object_get(r, "line")));
	}
	cmd_puts(c, "Ports:");
	json_object_foreach((json_t *)(uintptr_t)json_object_get(o, "ports"), name, v) {
		cmd_printf(c, " %s", name);
		for (k = 0; k < json_array_size(v); k++)
			cmd_printf(c, "%s%s", k ? "," : " ",
				   json_string_value(json_array_get(v, k)));
	}
	cmd_printf(c, "\nMapping: %s, filtering: %s\n",
		   json_string_value(json_object_get(o, "mapping")),
		   json_string_value(json_object_get(o, "filtering")));
	list = json_object_get(o, "kernel_plane");
	json_array_foreach(list, i, r) {
		cmd_printf(c, "%s%s",
			   i ? ", " : "By connection, on the kernel plane: ", json_string_value(r));
		cmd_puts(c, i + 1 == json_array_size(list) ? "\n" : "");
	}
	cmd_puts(c, "Dropped:");
	for (i = 0; i < ARRAY_LEN(guards); i++)
		cmd_printf(c, "%s %s %lld", i ? "," : "", guards[i].text,
			   (long long)json_integer_value(
				   json_object_get(json_object_get(o, "dropped"), guards[i].name)));
	cmd_puts(c, "\n");
}

/* Counters of both planes are read first; the command waits for them. */
struct rules_show {
	unsigned fam;
	struct fast_ask *ask;
};

static void rules_show(struct cmd_ctx *c)
{
	struct rules_show *s = cmd_data(c);
	json_t *o = rules_json(s->fam);

	if (cmd_json(c)) {
		char *text = json_dumps(o, JSON_INDENT(2));

		cmd_printf(c, "%s\n", text);
		free(text);
	} else {
		print_rules(c, o);
	}
	json_decref(o);
	free(s);
	cmd_done(c);
}

static void fast_ready(void *arg, bool ok)
{
	rules_show(arg);
}

static void rules_ready(void *arg, int error)
{
	struct rules_show *s = cmd_data(arg);

	s->ask = fast_ask(false, 0, NULL, fast_ready, arg);
	if (!s->ask)
		rules_show(arg);
}

static void stop_rules(struct cmd_ctx *c)
{
	struct rules_show *s = cmd_data(c);

	nft_count_forget(c);
	fast_ask_drop(s->ask);
	free(s);
	cmd_done(c);
}

static void run_rules(struct cmd_ctx *c, unsigned fam)
{
	struct rules_show *s = xcalloc(1, sizeof(*s));

	s->fam = fam;
	cmd_set_data(c, s);
	cmd_pend(c);
	nft_count_read(rules_ready, c);
}

static void run_rules4(struct cmd_ctx *c)
{
	run_rules(c, 0);
}

static void run_rules6(struct cmd_ctx *c)
{
	run_rules(c, 1);
}

/* ---- pools ---- */

struct use {
	uint64_t n;
	uint8_t *bits; /* of the first USED_MAX addresses */
};

/* What the table in use tells, connection by connection. */
struct census {
	struct cmd_ctx *c;
	struct ct_list *dump;
	unsigned fam;
	size_t n_pools;
	const struct policy *pol; /* reference */
	struct use *use;
};

/* Counts connections and distinct addresses. */
static void count_entry(struct census *s, const struct ct_entry *e)
{
	const struct nat_policy *p = s->pol->nat;
	const struct nat_addrs *a = ct_is_snat(e) ? nat_pool_of(p, &e->reply.dst) : NULL;
	struct use *u;
	uint64_t at;

	if (!a || nat_fam(e->reply.dst.family) != s->fam)
		return;
	u = &s->use[a - p->f[s->fam].pools];
	at = nat_addr_diff(&e->reply.dst, &a->lo);
	u->n++;
	if (!u->bits)
		u->bits = xcalloc(USED_MAX / 8, 1);
	if (at < USED_MAX)
		u->bits[at / 8] |= (uint8_t)(1u << at % 8);
}

static uint64_t used(const struct use *u)
{
	uint64_t n = 0;

	for (size_t i = 0; u->bits && i < USED_MAX / 8; i++)
		n += (unsigned)__builtin_popcount(u->bits[i]);
	return n;
}

static json_t *pools_json(const struct census *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_pools; i++) {
		const struct nat_addrs *a = &s->pol->nat->f[s->fam].pools[i];
		uint64_t total = nat_addrs_size(a), n = used(&s->use[i]);
		char lo[RTR_ADDR_STRLEN], hi[RTR_ADDR_STRLEN];

		json_array_append_new(
			list, json_pack("{s:s,s:s,s:s,s:i,s:s,s:I,s:I,s:i,s:I}", "name", a->name,
					"start", rtr_addr_str(&a->lo, lo), "end",
					rtr_addr_str(&a->hi, hi), "prefix_length", a->len, "type",
					a->rotary       ? "rotary"
					: a->match_host ? "match-host"
					: a->det_ports  ? "deterministic"
							: "generic",
					"total", (json_int_t)MIN(total, INT64_MAX), "allocated",
					(json_int_t)n, "percent", (int)(n * 100 / total),
					"connections", (json_int_t)s->use[i].n));
	}
	return list;
}

static void print_pools(struct cmd_ctx *c, const json_t *list)
{
	const json_t *p;
	int width = 15; /* of an address; IPv6 is longer */
	size_t i;

	json_array_foreach(list, i, p)
		width = MAX(width, (int)json_string_length(json_object_get(p, "end")));
	cmd_printf(c, "%-16s %-*s %-*s %-13s %10s %16s %12s\n", "Pool", width, "Start", width,
		   "End", "Type", "Addresses", "Allocated", "Connections");
	json_array_foreach(list, i, p) {
		char alloc[32];

		snprintf(alloc, sizeof(alloc), "%lld (%lld%%)",
			 (long long)json_integer_value(json_object_get(p, "allocated")),
			 (long long)json_integer_value(json_object_get(p, "percent")));
		cmd_printf(c, "%-16s %-*s %-*s %-13s %10lld %16s %12lld\n",
			   json_string_value(json_object_get(p, "name")), width,
			   json_string_value(json_object_get(p, "start")), width,
			   json_string_value(json_object_get(p, "end")),
			   json_string_value(json_object_get(p, "type")),
			   (long long)json_integer_value(json_object_get(p, "total")), alloc,
			   (long long)json_integer_value(json_object_get(p, "connections")));
	}
}

static void census_free(struct census *s)
{
	for (size_t i = 0; i < s->n_pools; i++)
		free(s->use[i].bits);
	free(s->use);
	policy_unref(s->pol);
	free(s);
}

static void census_each(void *arg, const struct ct_entry *e)
{
	count_entry(arg, e);
}

static void census_end(struct census *s)
{
	struct cmd_ctx *c = s->c;

	census_free(s);
	cmd_done(c);
}

static void census_done(void *arg, int error)
{
	struct census *s = arg;
	json_t *list = pools_json(s);

	if (error) {
		cmd_fail(s->c, "The connection table cannot be read: %s", strerror(-error));
	} else if (cmd_json(s->c)) {
		char *text = json_dumps(list, JSON_INDENT(2));

		cmd_printf(s->c, "%s\n", text);
		free(text);
	} else {
		print_pools(s->c, list);
	}
	json_decref(list);
	census_end(s);
}

static void stop_pools(struct cmd_ctx *c)
{
	struct census *s = cmd_data(c);

	ct_list_cancel(s->dump);
	census_end(s);
}

static void run_pools(struct cmd_ctx *c, unsigned fam)
{
	static const struct ct_dump_fns fns = { .each = census_each, .done = census_done };
	struct ct_filter f = { .family = fam ? AF_INET6 : AF_INET, .nat = true };
	const struct nat_policy *p = running();
	struct census *s;
	int error;

	if (!p || !p->f[fam].n_pools) {
		if (cmd_json(c))
			cmd_puts(c, "[]\n");
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->c = c;
	s->fam = fam;
	s->n_pools = p->f[fam].n_pools;
	s->pol = policy_ref(nat_policy_holder(txn_running()));
	s->use = xcalloc(s->n_pools, sizeof(*s->use));
	s->dump = ct_list_start(&f, &fns, s, &error);
	if (!s->dump) {
		cmd_fail(c, "The connection table cannot be read: %s", strerror(-error));
		census_free(s);
		return;
	}
	cmd_set_data(c, s);
	cmd_pend(c);
}

static void run_pools4(struct cmd_ctx *c)
{
	run_pools(c, 0);
}

static void run_pools6(struct cmd_ctx *c)
{
	run_pools(c, 1);
}

const struct cmd nat_cmds[NAT_N_CMDS] = {
	{ "show ip nat rules", "Lines of address translation in the order of evaluation",
	  .run = run_rules4, .interrupt = stop_rules },
	{ "show ipv6 nat rules", "Lines of address translation in the order of evaluation",
	  .run = run_rules6, .interrupt = stop_rules },
	{ "show ip nat pools", "Pools and how much of them is in use", .run = run_pools4,
	  .interrupt = stop_pools },
	{ "show ipv6 nat pools", "Pools and how much of them is in use", .run = run_pools6,
	  .interrupt = stop_pools },
	{ "show ip nat blocks", "Blocks of ports that inside hosts have", .run = nat_show_blocks4,
	  .interrupt = nat_stop_blocks },
	{ "show ipv6 nat blocks", "Blocks of ports that inside hosts have", .run = nat_show_blocks6,
	  .interrupt = nat_stop_blocks },
	{ "show ip nat deterministic", "Deterministic pools and the room in them",
	  .data = nat_show_det4, .text = nat_print_det },
	{ "show ip nat deterministic inside <inside:ADDR4>", "Address and ports of an inside host",
	  .data = nat_show_det_inside, .text = nat_print_share },
	{ "show ip nat deterministic outside <outside:ADDR4> <port:U16(1,65535)>",
	  "The inside host that has a port", .data = nat_show_det_outside,
	  .text = nat_print_share },
	{ "show ipv6 nat deterministic", "Deterministic pools and the room in them",
	  .data = nat_show_det6, .text = nat_print_det },
	{ "show ipv6 nat deterministic inside <inside:ADDR6>",
	  "Address and ports of an inside host", .data = nat_show_det_inside,
	  .text = nat_print_share },
	{ "show ipv6 nat deterministic outside <outside:ADDR6> <port:U16(1,65535)>",
	  "The inside host that has a port", .data = nat_show_det_outside,
	  .text = nat_print_share },
};

/* ---- for show ip nat statistics and translations ---- */

static void statics(void (*fn)(void *fn_arg, const struct ct_nat_row *row), void *fn_arg)
{
	const struct nat_policy *p = running();

	for (unsigned f = 0; p && f < 2; f++) {
		for (size_t i = 0; i < p->f[f].n_statics; i++) {
			const struct nat_static *s = &p->f[f].statics[i];
			struct ct_nat_row row = { .proto = s->kind == NAT_TCP   ? IPPROTO_TCP
							   : s->kind == NAT_UDP ? IPPROTO_UDP
										: 0,
						  .inside_global = { s->global, s->gport },
						  .inside_local = { s->local, s->lport } };

			fn(fn_arg, &row);
		}
		for (size_t i = 0; i < p->f[f].n_outsides; i++) {
			const struct nat_outside *o = &p->f[f].outsides[i];
			struct ct_nat_row row = { .outside_local = { o->local, 0 },
						  .outside_global = { o->global, 0 } };

			fn(fn_arg, &row);
		}
	}
}

static bool is_static(const struct ct_entry *e)
{
	const struct nat_policy *p = running();
	struct pol_packet pkt = { .family = e->orig.src.family,
				  .src = e->orig.src,
				  .dst = e->orig.dst,
				  .proto = e->orig.proto,
				  .sport = e->orig.sport,
				  .dport = e->orig.dport };

	return p && nat_is_static(p, &pkt, &e->reply.src, &e->reply.dst);
}

static void add_names(json_t *doc, const char *key, const struct nat_policy *p, unsigned fam,
		      enum nat_side side)
{
	json_t *list = json_array();

	for (size_t i = 0; p && i < p->n_ifaces; i++) {
		if (p->ifaces[i].side[fam] == side)
			json_array_append_new(list, json_string(p->ifaces[i].name));
	}
	json_object_set_new(doc, key, list);
}

static char counting[1]; /* names our reading of counters */

static void counted(void *arg, int error)
{
}

static void told(void *arg, bool ok)
{
}

static json_t *static_mappings(const struct nat_policy *p, unsigned fam, json_int_t *hits)
{
	json_t *list = json_array(), *o;
	size_t i;

	if (p)
		each_static(&p->f[fam], add_static, list);
	json_array_foreach(list, i, o)
		*hits += json_integer_value(json_object_get(o, "connections"));
	return list;
}

static void statistics(uint8_t family, json_t *doc)
{
	const struct nat_policy *p = running();
	unsigned fam = nat_fam(family);
	json_t *maps = json_array();
	json_int_t hits = 0;

	/* The next one is fresher; this one shows what was read last, at most 10 s ago. */
	nft_count_read(counted, counting);
	fast_ask(false, 0, NULL, told, NULL);
	json_object_set_new(doc, "judging", json_boolean(nat_flows_busy()));
	json_object_set_new(doc, "static_mappings", static_mappings(p, fam, &hits));
	add_names(doc, "outside_interfaces", p, fam, NAT_OUTSIDE);
	add_names(doc, "inside_interfaces", p, fam, NAT_INSIDE);
	for (size_t i = 0; p && i < p->f[fam].n_dynamics; i++) {
		const struct nat_dynamic *d = &p->f[fam].dynamics[i];
		char lo[RTR_ADDR_STRLEN], hi[RTR_ADDR_STRLEN];
		struct strbuf text = STRBUF_INIT, line = STRBUF_INIT;
		uint64_t n;

		if (d->exempt)
			continue;
		n = translated(d->rec);
		hits += (json_int_t)n;
		strbuf_addf(&text, "[Id: %zu] access-list %s %s %s refcount %llu", i + 1,
			    d->list->name, d->pool ? "pool" : "interface",
			    d->pool        ? d->pool->name
			    : *d->loopback ? d->loopback
					   : d->ifname,
			    (unsigned long long)n);
		if (d->pool)
			strbuf_addf(
				&line,
				"pool %s: prefix-length %u, start %s end %s, total addresses %llu",
				d->pool->name, d->pool->len, rtr_addr_str(&d->pool->lo, lo),
				rtr_addr_str(&d->pool->hi, hi),
				(unsigned long long)nat_addrs_size(d->pool));
		json_array_append_new(
			maps,
			line.len ? json_pack("{s:s,s:[s]}", "text", strbuf_str(&text), "lines",
					     strbuf_str(&line))
				 : json_pack("{s:s,s:[]}", "text", strbuf_str(&text), "lines"));
		strbuf_fini(&text);
		strbuf_fini(&line);
	}
	json_object_set_new(doc, "hits", json_integer(hits));
	json_object_set_new(
		doc, "misses",
		json_integer((json_int_t)nft_count_get(nat_guard_id(NAT_ID_LEAK)).packets));
	json_object_set_new(doc, "mappings", maps);
}

static void clear_static(void *arg, enum stage st, const struct rec *rec)
{
	clear_line(rec);
}

static void clear_statistics(void)
{
	const struct nat_policy *p = running();

	for (unsigned f = 0; p && f < 2; f++) {
		each_static(&p->f[f], clear_static, NULL);
		for (size_t i = 0; i < p->f[f].n_dynamics; i++)
			clear_line(p->f[f].dynamics[i].rec);
		for (size_t i = 0; i < p->f[f].n_rotaries; i++)
			clear_line(p->f[f].rotaries[i].rec);
	}
	for (unsigned i = 1; i < NAT_ID__MAX; i++)
		nft_count_clear(nat_guard_id(i));
}

void nat_show_init(void)
{
	static const struct ct_nat_source source = { .statics = statics,
						     .is_static = is_static,
						     .statistics = statistics,
						     .clear_statistics = clear_statistics };

	ct_set_nat_source(&source);
}

void nat_show_fini(void)
{
	nft_count_forget(counting);
	ct_set_nat_source(NULL);
}
