/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show conntrack summary: fill, states, rate of new connections, the kernel's counters; and
 * diagnose conntrack: who fills the table, with what, and what to do about it.
 *
 * New connections a second come from the entries' own start times (those of the last RATE_SEC
 * seconds), so that counting them costs nothing while nobody asks. It misses what was thrown out
 * again meanwhile; the kernel keeps even a reset connection for 10 s.
 */
#include "cli/command.h"
#include "conntrack/ct_text.h"
#include "conntrack/ct_top.h"
#include "conntrack/ct_watch.h"
#include "domain.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RATE_SEC 5
#define TOP      5

/* Rows of the table of states. */
enum group { G_TCP, G_UDP, G_ICMP, G_OTHER, G__MAX };
static const char *const group_names[G__MAX] = { "tcp", "udp", "icmp", "other" };

struct summary {
	struct cmd_ctx *c;
	struct ct_list *dump;
	struct ct_view view;
	uint64_t state[G__MAX][CT_S__MAX][2]; /* by family: IPv4, IPv6 */
	uint64_t total, translated, assured, fresh;
	uint64_t fast, mirrored; /* of the fast plane, and in the kernel's table, too */
	/* diagnose only */
	bool diagnose;
	struct ct_top *sources, *services;
	struct ct_top_item host;
	uint64_t host_total, host_unreplied;
	json_t *doc;
};

static void end(struct summary *s)
{
	struct cmd_ctx *c = s->c;

	ct_list_cancel(s->dump);
	ct_top_free(s->sources);
	ct_top_free(s->services);
	json_decref(s->doc);
	free(s);
	cmd_done(c);
}

static void stop(struct cmd_ctx *c)
{
	end(cmd_data(c));
}

static void failed(struct summary *s, int error)
{
	cmd_fail(s->c, "The connection table cannot be read: %s", strerror(-error));
	end(s);
}

/* ---- what the entries tell ---- */

static enum group group_of(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return G_TCP;
	case IPPROTO_UDP:
		return G_UDP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return G_ICMP;
	default:
		return G_OTHER;
	}
}

static void each(void *arg, const struct ct_entry *e)
{
	struct summary *s = arg;
	int64_t since = s->view.now_ns - (int64_t)(RATE_SEC * NSEC_PER_SEC);

	s->total++;
	s->state[group_of(e->orig.proto)][e->state][e->orig.src.family == AF_INET6]++;
	s->translated += ct_is_snat(e) || ct_is_dnat(e);
	s->assured += (e->status & IPS_ASSURED) != 0;
	s->fast += e->fast_ref != 0;
	s->mirrored += e->fast_ref && e->mirrored;
	s->fresh += (int64_t)e->start_real_ns > since &&
		    (int64_t)e->start_real_ns <= s->view.now_ns;
	if (s->sources)
		ct_top_add(s->sources, &(struct ct_top_key){ e->orig.src });
}

static json_t *states_json(const struct summary *s)
{
	json_t *list = json_array();

	for (unsigned g = 0; g < G__MAX; g++) {
		for (unsigned st = 0; st < CT_S__MAX; st++) {
			const uint64_t *n = s->state[g][st];

			if (n[0] + n[1])
				json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:I}",
								      "protocol", group_names[g],
								      "state", ct_state_name(st),
								      "ipv4", (json_int_t)n[0],
								      "ipv6", (json_int_t)n[1]));
		}
	}
	return list;
}

static json_t *cpus_json(void)
{
	struct ct_cpu_stats *v = NULL;
	int n = ct_stats_get(&v);
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list,
				      json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "cpu",
						(int)v[i].cpu, "found", (json_int_t)v[i].found,
						"invalid", (json_int_t)v[i].invalid,
						"insert_failed", (json_int_t)v[i].insert_failed,
						"drop", (json_int_t)v[i].drop, "early_drop",
						(json_int_t)v[i].early_drop, "error",
						(json_int_t)v[i].error, "search_restart",
						(json_int_t)v[i].search_restart, "clash_resolve",
						(json_int_t)v[i].clash_resolve, "chain_too_long",
						(json_int_t)v[i].chain_toolong));
	if (n > 0)
		free(v);
	return list;
}

static json_t *summary_json(const struct summary *s, const struct ct_count *n)
{
	int64_t when;
	uint32_t peak = ct_watch_peak(&when);
	json_t *o = json_pack(
		"{s:I,s:I,s:I,s:i,s:I,s:f,s:I,s:I,s:o,s:o}", "count", (json_int_t)n->n, "max",
		(json_int_t)n->max, "buckets", (json_int_t)n->buckets, "percent",
		(int)ct_watch_percent(n), "peak", (json_int_t)MAX(peak, n->n), "new_per_sec",
		(double)s->fresh / RATE_SEC, "translated", (json_int_t)s->translated, "assured",
		(json_int_t)s->assured, "states", states_json(s), "cpus", cpus_json());

	json_object_set_new(o, "fast", json_integer((json_int_t)s->fast));
	json_object_set_new(o, "fast_mirrored", json_integer((json_int_t)s->mirrored));
	if (when && peak >= n->n)
		json_object_set_new(o, "peak_unix", json_integer(when));
	return o;
}

/* ---- show conntrack summary ---- */

static long long num(const json_t *o, const char *key)
{
	return (long long)ct_json_num(o, key);
}

static void print_summary(struct cmd_ctx *c, const json_t *o)
{
	const json_t *e;
	char t[24];
	size_t i;

	cmd_printf(c, "Connections  %lld of %lld (%lld %%), peak %lld, hash buckets %lld\n",
		   num(o, "count"), num(o, "max"), num(o, "percent"), num(o, "peak"),
		   num(o, "buckets"));
	if (json_object_get(o, "peak_unix"))
		cmd_printf(c, "Peak         %s ago\n",
			   ct_duration((int64_t)time(NULL) - num(o, "peak_unix"), t));
	cmd_printf(c, "New          %.1f a second (last %d s)\n",
		   json_number_value(json_object_get(o, "new_per_sec")), RATE_SEC);
	cmd_printf(c, "Translated   %lld, assured %lld\n", num(o, "translated"), num(o, "assured"));
	if (num(o, "fast"))
		cmd_printf(c, "Fast plane   %lld, %lld of them in the kernel's table, too\n",
			   num(o, "fast"), num(o, "fast_mirrored"));
	cmd_printf(c, "\n%-6s %-12s %10s %10s\n", "Pro", "State", "IPv4", "IPv6");
	json_array_foreach(json_object_get(o, "states"), i, e)
		cmd_printf(c, "%-6s %-12s %10lld %10lld\n", ct_json_text(e, "protocol"),
			   ct_json_text(e, "state"), num(e, "ipv4"), num(e, "ipv6"));
	cmd_printf(c, "\n%3s %10s %10s %11s %8s %10s %8s %8s %10s\n", "CPU", "found", "invalid",
		   "insert-fail", "drop", "early-drop", "error", "clash", "long-chain");
	json_array_foreach(json_object_get(o, "cpus"), i, e)
		cmd_printf(c, "%3lld %10lld %10lld %11lld %8lld %10lld %8lld %8lld %10lld\n",
			   num(e, "cpu"), num(e, "found"), num(e, "invalid"),
			   num(e, "insert_failed"), num(e, "drop"), num(e, "early_drop"),
			   num(e, "error"), num(e, "clash_resolve"), num(e, "chain_too_long"));
}

static void print_json(struct cmd_ctx *c, const json_t *o)
{
	char *text = json_dumps(o, JSON_INDENT(2));

	cmd_printf(c, "%s\n", text);
	free(text);
}

/* ---- diagnose conntrack ---- */

/* What one host holds: its services, and how much of it was never answered. */
static void host_each(void *arg, const struct ct_entry *e)
{
	struct summary *s = arg;
	struct ct_top_key k = { 0 };

	k.addr.b[0] = e->orig.proto;
	k.addr.b[1] = (uint8_t)(e->orig.dport >> 8);
	k.addr.b[2] = (uint8_t)e->orig.dport;
	ct_top_add(s->services, &k);
	s->host_total++;
	s->host_unreplied += !(e->status & IPS_SEEN_REPLY);
}

static void add_advice(json_t *list, const char *fmt, ...) RTR_PRINTF(2, 3);
static void add_advice(json_t *list, const char *fmt, ...)
{
	struct strbuf b = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&b, fmt, ap);
	va_end(ap);
	json_array_append_new(list, json_string(strbuf_str(&b)));
	strbuf_fini(&b);
}

static uint64_t refused(const json_t *doc)
{
	uint64_t sum = 0;
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(doc, "cpus"), i, e)
		sum += (uint64_t)(num(e, "drop") + num(e, "early_drop"));
	return sum;
}

/* The host with the most, when it has more than half of a table that is short of room. */
static void judge_host(struct summary *s, json_t *list)
{
	struct ct_top_item most;
	char a[RTR_ADDR_STRLEN];

	rtr_addr_str(&s->host.key.addr, a);
	if (s->host_unreplied * 2 > s->host_total)
		add_advice(list, "Mostly without an answer: a scan, a flood, or a host that looks "
				 "for what is not there");
	/* No service has a twentieth of it. */
	if (ct_top_list(s->services, &most, 1) && most.n * 20ull < s->host_total)
		add_advice(list, "Spread over very many ports, as of a port scan");
	add_advice(list, "To end them: clear conntrack source %s", a);
}

static void judge(struct summary *s)
{
	json_t *list = json_array();
	long long pct = num(s->doc, "percent");
	bool tight = pct >= (long long)ct_watch_watermark();
	char a[RTR_ADDR_STRLEN];

	add_advice(list, "The table is %lld percent full: %s", pct,
		   !tight       ? "it is not short of room"
		   : pct >= 100 ? "new connections are refused"
				: "new connections will soon be refused");
	if (refused(s->doc))
		add_advice(list,
			   "%llu connections were refused or thrown out for lack of room since "
			   "the kernel counts",
			   (unsigned long long)refused(s->doc));
	if (s->host_total)
		add_advice(list, "%s holds %llu of %llu connections, %llu of them never answered",
			   rtr_addr_str(&s->host.key.addr, a), (unsigned long long)s->host_total,
			   (unsigned long long)s->total, (unsigned long long)s->host_unreplied);
	if (tight && s->host_total * 2 > s->total)
		judge_host(s, list);
	else if (tight)
		add_advice(list, "No single host is to blame: enlarge the table (ip firewall "
				 "conntrack max) or shorten timeouts (ip firewall timeout)");
	json_object_set_new(s->doc, "findings", list);
}

static json_t *sources_json(const struct summary *s)
{
	struct ct_top_item v[TOP];
	size_t n = ct_top_list(s->sources, v, TOP);
	json_t *list = json_array();
	char a[RTR_ADDR_STRLEN];

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s,s:I}", "address",
						      rtr_addr_str(&v[i].key.addr, a),
						      "connections", (json_int_t)v[i].n));
	return list;
}

static json_t *services_json(const struct summary *s)
{
	struct ct_top_item v[TOP];
	size_t n = ct_top_list(s->services, v, TOP);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const uint8_t *k = v[i].key.addr.b;
		char buf[8];
		json_t *o = json_pack("{s:s,s:I}", "protocol", ct_proto_name(k[0], buf),
				      "connections", (json_int_t)v[i].n);

		/* The id of an echo request is no service. */
		if (group_of(k[0]) != G_ICMP && ct_proto_has_ports(k[0]))
			json_object_set_new(o, "port", json_integer(k[1] << 8 | k[2]));
		json_array_append_new(list, o);
	}
	return list;
}

static void print_diagnosis(struct cmd_ctx *c, const json_t *o)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(o, "findings"), i, e)
		cmd_printf(c, "%s\n", json_string_value(e));
	cmd_printf(c, "\n%-40s %s\n", "Source", "Connections");
	json_array_foreach(json_object_get(o, "sources"), i, e)
		cmd_printf(c, "%-40s %11lld\n", ct_json_text(e, "address"), num(e, "connections"));
	if (!json_array_size(json_object_get(o, "services")))
		return;
	cmd_printf(c, "\nTo what the first of them goes\n");
	json_array_foreach(json_object_get(o, "services"), i, e) {
		char text[64];

		ct_endpoint(ct_json_text(e, "protocol"), ct_json_num(e, "port"), text);
		cmd_printf(c, "%-40s %11lld\n", text, num(e, "connections"));
	}
}

static void finish_diagnosis(struct summary *s)
{
	judge(s);
	json_object_set_new(s->doc, "sources", sources_json(s));
	json_object_set_new(s->doc, "services", services_json(s));
	if (cmd_json(s->c))
		print_json(s->c, s->doc);
	else
		print_diagnosis(s->c, s->doc);
	end(s);
}

static void host_done(void *arg, int error)
{
	struct summary *s = arg;

	s->dump = NULL;
	if (error)
		failed(s, error);
	else
		finish_diagnosis(s);
}

static void look_at_host(struct summary *s)
{
	static const struct ct_dump_fns fns = { host_each, host_done };
	struct ct_filter f = { .as_sent = true, .has_src = true };
	int e = 0;

	s->services = ct_top_new();
	if (!ct_top_list(s->sources, &s->host, 1)) {
		finish_diagnosis(s);
		return;
	}
	f.src.addr = s->host.key.addr;
	f.src.len = (uint8_t)rtr_family_bits(f.src.addr.family);
	s->dump = ct_list_start(&f, &fns, s, &e);
	if (!s->dump)
		failed(s, e);
}

/* ---- both ---- */

static void finish(void *arg, int error)
{
	struct summary *s = arg;
	struct ct_count n;

	s->dump = NULL;
	if (!error)
		error = ct_count_get(&n);
	if (error) {
		failed(s, error);
		return;
	}
	s->doc = summary_json(s, &n);
	if (s->diagnose) {
		look_at_host(s);
		return;
	}
	if (cmd_json(s->c))
		print_json(s->c, s->doc);
	else
		print_summary(s->c, s->doc);
	end(s);
}

static void start(struct cmd_ctx *c, bool diagnose)
{
	static const struct ct_dump_fns fns = { each, finish };
	struct summary *s = xcalloc(1, sizeof(*s));
	int e = 0;

	s->c = c;
	s->diagnose = diagnose;
	if (diagnose)
		s->sources = ct_top_new();
	ct_view_init(&s->view);
	cmd_set_data(c, s);
	cmd_pend(c);
	s->dump = ct_list_start(NULL, &fns, s, &e);
	if (!s->dump)
		failed(s, e);
}

static void show_summary(struct cmd_ctx *c)
{
	start(c, false);
}

static void diagnose(struct cmd_ctx *c)
{
	start(c, true);
}

static const struct cmd cmds[] = {
	{ "show conntrack summary", "Fill, states, rate and counters of the connection table",
	  .run = show_summary, .interrupt = stop },
	{ "diagnose conntrack", "Who fills the connection table, and what helps", .run = diagnose,
	  .interrupt = stop },
};

static const struct sch_word words[] = {
	{ "diagnose", "Look for the cause of a trouble" },
};

static const struct domain conntrack_summary_domain = {
	.name = "conntrack-summary",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(conntrack_summary_domain);
