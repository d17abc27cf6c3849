/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show ip nat translations and statistics, clear ip nat translation; the same for IPv6. */
#include "conntrack/ct_nat.h"

#include "cli/command.h"
#include "conntrack/ct_text.h"
#include "domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Columns of an address with its port. */
#define WIDTH4 22
#define WIDTH6 44

static struct ct_nat_source src;

void ct_set_nat_source(const struct ct_nat_source *s)
{
	src = s ? *s : (struct ct_nat_source){ 0 };
}

/* ---- a row ---- */

void ct_nat_row(const struct ct_entry *e, int from_inside, struct ct_nat_row *ret)
{
	struct ct_nat_end as_sent = { e->orig.src, e->orig.sport };
	struct ct_nat_end seen_as = { e->reply.dst, e->reply.dport };
	struct ct_nat_end asked = { e->orig.dst, e->orig.dport };
	struct ct_nat_end reached = { e->reply.src, e->reply.sport };

	if (from_inside < 0)
		from_inside = ct_is_snat(e) || !ct_is_dnat(e);
	ret->proto = e->orig.proto;
	if (from_inside) {
		ret->inside_local = as_sent;
		ret->inside_global = seen_as;
		ret->outside_local = asked;
		ret->outside_global = reached;
	} else {
		ret->inside_local = reached;
		ret->inside_global = asked;
		ret->outside_local = seen_as;
		ret->outside_global = as_sent;
	}
}

static int from_inside(const struct ct_entry *e)
{
	return src.from_inside ? src.from_inside(e) : -1;
}

static json_t *end_json(const struct ct_nat_end *e, bool ports)
{
	char buf[RTR_ADDR_STRLEN];
	json_t *o;

	if (!e->addr.family)
		return json_null();
	o = json_pack("{s:s}", "address", rtr_addr_str(&e->addr, buf));
	if (ports)
		json_object_set_new(o, "port", json_integer(e->port));
	return o;
}

static json_t *row_json(const struct ct_nat_row *r, bool is_static)
{
	bool ports = ct_proto_has_ports(r->proto);
	char buf[8];

	return json_pack("{s:s,s:b,s:o,s:o,s:o,s:o}", "protocol",
			 r->proto ? ct_proto_name(r->proto, buf) : "---", "static", is_static,
			 "inside_global", end_json(&r->inside_global, ports), "inside_local",
			 end_json(&r->inside_local, ports), "outside_local",
			 end_json(&r->outside_local, ports), "outside_global",
			 end_json(&r->outside_global, ports));
}

static const char *end_text(const json_t *o, char buf[64])
{
	const char *a = ct_json_text(o, "address");

	return *a ? ct_endpoint(a, ct_json_num(o, "port"), buf) : "---";
}

/* IPv4: the columns of IOS; IPv6 needs more room. */
static void row_text(const json_t *o, int width, bool verbose, struct strbuf *b)
{
	char t[4][64], d[3][24];
	const json_t *flow = json_object_get(o, "flow");
	const char *rule = ct_json_text(flow, "rule");

	strbuf_addf(b, "%-*s%-*s%-*s%-*s%s\n", width == WIDTH4 ? 5 : 6, ct_json_text(o, "protocol"),
		    width, end_text(json_object_get(o, "inside_global"), t[0]), width,
		    end_text(json_object_get(o, "inside_local"), t[1]), width,
		    end_text(json_object_get(o, "outside_local"), t[2]),
		    end_text(json_object_get(o, "outside_global"), t[3]));
	if (!verbose || !flow)
		return;
	strbuf_addf(b, "     create %s, use %s, left %s, flags: %s%s, dpath %s%s%s\n",
		    ct_duration(ct_json_num(flow, "age_sec"), d[0]),
		    ct_duration(ct_json_num(flow, "idle_sec"), d[1]),
		    ct_duration(ct_json_num(flow, "ttl_sec"), d[2]),
		    json_is_true(json_object_get(o, "static")) ? "static, " : "",
		    json_object_get(json_object_get(o, "inside_global"), "port") ? "extended"
										 : "none",
		    ct_json_text(flow, "path"), *rule ? ", rule " : "", rule);
}

/* ---- show ip nat translations ---- */

struct listing {
	struct cmd_ctx *c;
	struct ct_list *dump;
	struct ct_view view;
	struct rtr_addr inside; /* family 0: any */
	uint8_t family, proto;
	bool json, paused, verbose, total, statistics;
	uint64_t n, n_static, n_dynamic, n_extended;
};

static void end(struct listing *l)
{
	struct cmd_ctx *c = l->c;

	ct_list_cancel(l->dump);
	free(l);
	cmd_done(c);
}

static void stop(struct cmd_ctx *c)
{
	end(cmd_data(c));
}

static void drained(struct cmd_ctx *c)
{
	struct listing *l = cmd_data(c);

	if (l->paused && l->dump) {
		l->paused = false;
		ct_list_resume(l->dump);
	}
}

static int width_of(const struct listing *l)
{
	return l->family == AF_INET ? WIDTH4 : WIDTH6;
}

static void emit(struct listing *l, json_t *o)
{
	struct strbuf b = STRBUF_INIT;
	char *text = NULL;

	if (l->json) {
		text = json_dumps(o, JSON_COMPACT);
		strbuf_addf(&b, "%s\n  %s", l->n ? "," : "[", text);
	} else {
		if (!l->n)
			strbuf_addf(&b, "%-*s%-*s%-*s%-*s%s\n", width_of(l) == WIDTH4 ? 5 : 6,
				    "Pro", width_of(l), "Inside global", width_of(l),
				    "Inside local", width_of(l), "Outside local", "Outside global");
		row_text(o, width_of(l), l->verbose, &b);
	}
	l->n++;
	cmd_puts(l->c, strbuf_str(&b));
	free(text);
	strbuf_fini(&b);
	json_decref(o);
}

static bool wanted(const struct listing *l, const struct ct_nat_row *r)
{
	bool icmp = r->proto == IPPROTO_ICMP || r->proto == IPPROTO_ICMPV6;

	if (l->inside.family && rtr_addr_cmp(&l->inside, &r->inside_local.addr) &&
	    rtr_addr_cmp(&l->inside, &r->inside_global.addr))
		return false;
	return !l->proto || r->proto == l->proto || (l->proto == IPPROTO_ICMP && icmp);
}

/* A configured line stands in the table whether it is used or not. */
static void take_static(void *arg, const struct ct_nat_row *r)
{
	struct listing *l = arg;

	if (r->inside_local.addr.family != l->family || !wanted(l, r))
		return;
	l->n_static++;
	if (!l->total && !l->statistics)
		emit(l, row_json(r, true));
}

static void take_entry(void *arg, const struct ct_entry *e)
{
	struct listing *l = arg;
	struct ct_nat_row r;
	json_t *o;

	ct_nat_row(e, from_inside(e), &r);
	if (!wanted(l, &r))
		return;
	l->n_dynamic++;
	l->n_extended += ct_proto_has_ports(r.proto);
	if (l->total || l->statistics)
		return;
	o = row_json(&r, src.is_static && src.is_static(e));
	if (l->json || l->verbose)
		json_object_set_new(o, "flow", ct_entry_json(e, &l->view));
	emit(l, o);
	if (!l->paused && cmd_congested(l->c)) {
		l->paused = true;
		ct_list_pause(l->dump);
	}
}

static void print_json(struct cmd_ctx *c, const json_t *o)
{
	char *text = json_dumps(o, JSON_INDENT(2));

	cmd_printf(c, "%s\n", text);
	free(text);
}

static void print_names(struct cmd_ctx *c, const char *title, const json_t *list)
{
	const json_t *name;
	size_t i;

	if (!json_array_size(list))
		return;
	cmd_printf(c, "%s:\n ", title);
	json_array_foreach(list, i, name)
		cmd_printf(c, " %s", json_string_value(name));
	cmd_puts(c, "\n");
}

static void print_mappings(struct cmd_ctx *c, const json_t *fixed, const json_t *list)
{
	const json_t *m, *line;
	size_t i, k;

	if (json_array_size(fixed))
		cmd_puts(c, "Static mappings:\n");
	json_array_foreach(fixed, i, m)
		cmd_printf(c, "%s refcount %lld\n", ct_json_text(m, "line"),
			   (long long)ct_json_num(m, "connections"));
	if (json_array_size(list))
		cmd_puts(c, "Dynamic mappings:\n");
	json_array_foreach(list, i, m) {
		cmd_printf(c, "%s\n", ct_json_text(m, "text"));
		json_array_foreach(json_object_get(m, "lines"), k, line)
			cmd_printf(c, " %s\n", json_string_value(line));
	}
}

static void print_statistics(struct cmd_ctx *c, const json_t *o)
{
	cmd_printf(c,
		   "Total active translations: %lld (%lld static, %lld dynamic; %lld extended)\n",
		   (long long)ct_json_num(o, "total"), (long long)ct_json_num(o, "static"),
		   (long long)ct_json_num(o, "dynamic"), (long long)ct_json_num(o, "extended"));
	print_names(c, "Outside interfaces", json_object_get(o, "outside_interfaces"));
	print_names(c, "Inside interfaces", json_object_get(o, "inside_interfaces"));
	if (json_object_get(o, "hits"))
		cmd_printf(c, "Hits: %lld  Misses: %lld\n", (long long)ct_json_num(o, "hits"),
			   (long long)MAX(ct_json_num(o, "misses"), 0));
	if (json_object_get(o, "expired"))
		cmd_printf(c, "Expired translations: %lld\n", (long long)ct_json_num(o, "expired"));
	print_mappings(c, json_object_get(o, "static_mappings"), json_object_get(o, "mappings"));
}

static void finish_numbers(struct listing *l)
{
	json_t *o = json_pack("{s:I,s:I,s:I,s:I}", "total",
			      (json_int_t)(l->n_static + l->n_dynamic), "static",
			      (json_int_t)l->n_static, "dynamic", (json_int_t)l->n_dynamic,
			      "extended", (json_int_t)l->n_extended);

	if (l->statistics && src.statistics)
		src.statistics(l->family, o);
	if (l->json)
		print_json(l->c, o);
	else if (l->statistics)
		print_statistics(l->c, o);
	else
		cmd_printf(l->c, "Total number of translations: %lld\n",
			   (long long)ct_json_num(o, "total"));
	json_decref(o);
}

static void finish(void *arg, int error)
{
	struct listing *l = arg;

	l->dump = NULL;
	if (error)
		cmd_fail(l->c, "The connection table cannot be read: %s", strerror(-error));
	else if (l->total || l->statistics)
		finish_numbers(l);
	else if (l->json)
		cmd_puts(l->c, l->n ? "\n]\n" : "[]\n");
	end(l);
}

static void start(struct listing *l)
{
	static const struct ct_dump_fns fns = { take_entry, finish };
	struct ct_filter f = { .family = l->family, .nat = true };
	int e = 0;

	l->json = cmd_json(l->c);
	ct_view_init(&l->view);
	cmd_set_data(l->c, l);
	cmd_pend(l->c);
	if (src.statics)
		src.statics(take_static, l);
	l->dump = ct_list_start(&f, &fns, l, &e);
	if (!l->dump)
		finish(l, e);
}

static void show_translations(struct cmd_ctx *c, uint8_t family)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	struct listing *l = xcalloc(1, sizeof(*l));
	int proto = cmd_choice(c, "proto");

	l->c = c;
	l->family = family;
	l->proto = proto >= 0 ? protos[proto] : 0;
	l->verbose = cmd_flag(c, "verbose");
	l->total = cmd_flag(c, "total");
	cmd_get(c, "inside", &l->inside);
	start(l);
}

static void show_translations4(struct cmd_ctx *c)
{
	show_translations(c, AF_INET);
}

static void show_translations6(struct cmd_ctx *c)
{
	show_translations(c, AF_INET6);
}

static void show_statistics(struct cmd_ctx *c, uint8_t family)
{
	struct listing *l = xcalloc(1, sizeof(*l));

	l->c = c;
	l->family = family;
	l->statistics = true;
	start(l);
}

static void show_statistics4(struct cmd_ctx *c)
{
	show_statistics(c, AF_INET);
}

static void show_statistics6(struct cmd_ctx *c)
{
	show_statistics(c, AF_INET6);
}

static void clear_statistics(struct cmd_ctx *c)
{
	if (src.clear_statistics)
		src.clear_statistics();
}

/* ---- clear ip nat translation ---- */

/* Rows are compared with one that leaves some places open: family 0, port 0. */
static bool end_is(const struct ct_nat_end *want, const struct ct_nat_end *have)
{
	return (!want->addr.family || !rtr_addr_cmp(&want->addr, &have->addr)) &&
	       (!want->port || want->port == have->port);
}

static bool row_is(void *arg, const struct ct_entry *e)
{
	const struct ct_nat_row *want = arg;
	struct ct_nat_row r;

	ct_nat_row(e, from_inside(e), &r);
	return end_is(&want->inside_global, &r.inside_global) &&
	       end_is(&want->inside_local, &r.inside_local) &&
	       end_is(&want->outside_local, &r.outside_local) &&
	       end_is(&want->outside_global, &r.outside_global);
}

static void clear(struct cmd_ctx *c, uint8_t family)
{
	struct ct_nat_row *want = xcalloc(1, sizeof(*want));
	struct ct_filter f = { .family = family, .nat = true, .match = row_is, .arg = want };
	int proto = cmd_choice(c, "proto");

	f.has_proto = proto >= 0;
	f.proto = proto ? IPPROTO_UDP : IPPROTO_TCP;
	cmd_get(c, "ig", &want->inside_global.addr);
	cmd_get(c, "igport", &want->inside_global.port);
	cmd_get(c, "il", &want->inside_local.addr);
	cmd_get(c, "ilport", &want->inside_local.port);
	cmd_get(c, "ol", &want->outside_local.addr);
	cmd_get(c, "olport", &want->outside_local.port);
	cmd_get(c, "og", &want->outside_global.addr);
	cmd_get(c, "ogport", &want->outside_global.port);
	ct_clear(c, &f, want);
}

static void clear4(struct cmd_ctx *c)
{
	clear(c, AF_INET);
}

static void clear6(struct cmd_ctx *c)
{
	clear(c, AF_INET6);
}

/* The lines of both families: A is "ip" or "ipv6", T the type of an address. */
#define TRANSLATIONS(A, T, fn)                                                                     \
	{                                                                                          \
		"show " A " nat translations[ {proto:tcp|udp|icmp}][ inside <inside:" T            \
		">][ verbose][ total]",                                                            \
			"Translations in use", .run = fn, .interrupt = stop, .drained = drained    \
	}
#define STATISTICS(A, fn)                                                                          \
	{                                                                                          \
		"show " A " nat statistics", "How many translations, where, and their hits",       \
			.run = fn, .interrupt = stop, .drained = drained                           \
	}
#define CLEAR(A, rest, text, fn)                                                                   \
	{                                                                                          \
		"clear " A " nat translation " rest, text, .run = fn, .interrupt = ct_clear_stop,  \
							   .admin = true                           \
	}
#define CLEAR_ALL(A, T, fn)                                                                        \
	CLEAR(A, "*", "End all translations", fn),                                                 \
		CLEAR(A, "inside <ig:" T "> <il:" T ">[ outside <ol:" T "> <og:" T ">]",           \
		      "End translations of an inside host: its global, then its local address",    \
		      fn),                                                                         \
		CLEAR(A, "outside <ol:" T "> <og:" T ">",                                          \
		      "End translations of an outside host: its local, then its global address",   \
		      fn),                                                                         \
		CLEAR(A,                                                                           \
		      "{proto:tcp|udp} inside <ig:" T "> <igport:U16(1,65535)> <il:" T             \
		      "> <ilport:U16(1,65535)>[ outside <ol:" T "> <olport:U16(1,65535)> <og:" T   \
		      "> <ogport:U16(1,65535)>]",                                                  \
		      "End one translation", fn)

static const struct cmd cmds[] = {
	TRANSLATIONS("ip", "ADDR4", show_translations4),
	TRANSLATIONS("ipv6", "ADDR6", show_translations6),
	STATISTICS("ip", show_statistics4),
	STATISTICS("ipv6", show_statistics6),
	CLEAR_ALL("ip", "ADDR4", clear4),
	CLEAR_ALL("ipv6", "ADDR6", clear6),
	{ "clear ip nat statistics", "Set hits and misses of NAT to 0", .run = clear_statistics,
	  .admin = true },
};

static const struct sch_word words[] = {
	{ "nat", "Network address translation" },
	{ "translations", "Translations in use" },
	{ "translation", "Translations in use" },
	{ "statistics", "How many, where, and their hits" },
	{ "*", "All" },
	{ "inside", "Host inside: its global, its local address" },
	{ "outside", "Host outside: its local, its global address" },
	{ "show ip nat translations inside", "Only of this inside host" },
	{ "show ipv6 nat translations inside", "Only of this inside host" },
	{ "verbose", "With times, flags and rule" },
	{ "total", "Only how many" },
};

static const struct domain nat_show_domain = {
	.name = "nat-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(nat_show_domain);
