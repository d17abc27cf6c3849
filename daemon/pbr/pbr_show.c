/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show route-map, show ip policy, show ip rules. */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "pbr/pbr.h"
#include "schema/text.h"
#include "txn/txn.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ---- show route-map ---- */

/* Where a table leads now: "via 10.0.0.1 dev eth1", "" = nowhere. */
static void lead_text(const struct pbr_table *t, struct strbuf *b)
{
	const struct shadow_route *r = pbr_installed(t);
	char gw[RTR_ADDR_STRLEN];

	if (r && r->type == RTN_BLACKHOLE)
		strbuf_adds(b, "Null0");
	for (unsigned i = 0; r && i < r->n_hops; i++) {
		const struct shadow_link *l = shadow_link_by_index(r->hops[i].ifindex);

		if (b->len)
			strbuf_adds(b, ", ");
		if (r->hops[i].gw.family)
			strbuf_addf(b, "via %s ", rtr_addr_str(&r->hops[i].gw, gw));
		strbuf_addf(b, "dev %s", l ? iface_operator_name(l->name) : "?");
	}
}

/* The lines of a sequence that start with a word, in the order of the configuration. */
static json_t *clauses(const struct route_map *m, const char *word)
{
	struct sch_line *const *lines;
	size_t n = schema_lines(&route_map_type, &lines);
	json_t *out = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct sch_type *t = lines[i]->row->type;
		const struct recvec *v = t != &route_map_type ? rec_kids(&m->rec, t) : NULL;

		if (strncmp(lines[i]->row->line, word, strlen(word)))
			continue;
		for (size_t k = 0; k < (v ? v->len : 1); k++) {
			struct strbuf b = STRBUF_INIT;

			if (text_line(lines[i], v ? v->v[k] : &m->rec, TEXT_MASKED, &b))
				json_array_append_new(out,
						      json_string(strbuf_str(&b) + strlen(word)));
			strbuf_fini(&b);
		}
	}
	return out;
}

static json_t *map_json(const struct pbr *b, const struct route_map *m)
{
	json_t *o, *leads = json_array();
	size_t rules = 0;

	for (size_t i = 0; i < b->n_tables; i++) {
		const struct pbr_table *t = &b->tables[i];
		struct strbuf lead = STRBUF_INIT;

		if (t->map != m)
			continue;
		lead_text(t, &lead);
		json_array_append_new(
			leads, json_pack("{s:s,s:b,s:I,s:s}", "family",
					 t->family == AF_INET6 ? "ipv6" : "ip", "default", t->dflt,
					 "table", (json_int_t)t->id, "leads", strbuf_str(&lead)));
		strbuf_fini(&lead);
	}
	for (size_t i = 0; i < b->n_rules; i++)
		rules += b->rules[i].map == m;
	o = json_pack("{s:s,s:i,s:s,s:o,s:o,s:o,s:I}", "name", m->name, "sequence", m->seq,
		      "action", m->action == PBR_DENY ? "deny" : "permit", "match",
		      clauses(m, "match "), "set", clauses(m, "set "), "tables", leads, "rules",
		      (json_int_t)rules);
	if (SCH_HAS(m, description))
		json_object_set_new(o, "description", json_string(m->description));
	return o;
}

static json_t *show_route_map(struct cmd_ctx *c)
{
	const struct recvec *v = rec_kids(txn_running(), &route_map_type);
	json_t *out = json_array();
	const struct route_map *m;
	char *name = NULL;
	struct pbr b;

	cmd_get(c, "name", &name);
	pbr_compile(&b, txn_running(), shadow_proto(), pbr_table_base(shadow_proto()));
	recvec_foreach(v, m) {
		if (!name || !strcmp(m->name, name))
			json_array_append_new(out, map_json(&b, m));
	}
	pbr_fini(&b);
	if (name && !json_array_size(out)) {
		json_decref(out);
		out = NULL;
		cmd_fail(c, "There is no route-map %s", name);
	}
	free(name);
	return out;
}

static void print_clauses(struct cmd_ctx *c, const char *title, const json_t *list)
{
	json_t *e;
	size_t i;

	cmd_printf(c, "  %s clauses:\n", title);
	json_array_foreach(list, i, e)
		cmd_printf(c, "    %s\n", json_string_value(e));
}

static void print_route_map(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o, *t;
	size_t i, k;

	json_array_foreach(doc, i, o) {
		cmd_printf(c, "route-map %s, %s, sequence %d\n", text_of(o, "name"),
			   text_of(o, "action"),
			   (int)json_integer_value(json_object_get(o, "sequence")));
		if (json_object_get(o, "description"))
			cmd_printf(c, "  %s\n", text_of(o, "description"));
		print_clauses(c, "Match", json_object_get(o, "match"));
		print_clauses(c, "Set", json_object_get(o, "set"));
		json_array_foreach(json_object_get(o, "tables"), k, t)
			cmd_printf(c, "  %s%s packets go %s\n",
				   json_is_true(json_object_get(t, "default")) ? "Default " : "",
				   strcmp(text_of(t, "family"), "ip") ? "IPv6" : "IPv4",
				   *text_of(t, "leads") ? text_of(t, "leads")
							: "as usual: nothing can be reached");
		cmd_printf(c, "  Policy routing: %lld rules\n",
			   (long long)json_integer_value(json_object_get(o, "rules")));
	}
}

/* ---- show ip policy ---- */

static json_t *show_policy(struct cmd_ctx *c)
{
	const struct recvec *ifaces = rec_kids(txn_running(), &iface_type);
	const struct recvec *locals = rec_kids(txn_running(), &pbr_local_type);
	bool v6 = cmd_choice(c, "family") == 1;
	json_t *out = json_array();
	const struct pbr_local *l;
	const struct iface *i;

	recvec_foreach(locals, l) {
		if (l->family == v6)
			json_array_append_new(out, json_pack("{s:s,s:s}", "interface", "local",
							     "route_map", l->map));
	}
	recvec_foreach(ifaces, i) {
		const char *map = v6 ? i->policy6 : i->policy4;

		if (map)
			json_array_append_new(out, json_pack("{s:s,s:s}", "interface", i->name,
							     "route_map", map));
	}
	return out;
}

static void print_policy(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_printf(c, "%-15s %s\n", "Interface", "Route map");
	json_array_foreach(doc, i, o)
		cmd_printf(c, "%-15s %s\n", text_of(o, "interface"), text_of(o, "route_map"));
}

/* ---- show ip rules ---- */

static const char *who_made(const struct rule *r)
{
	return r->proto == shadow_proto() ? "rtr" : r->proto == RTPROT_KERNEL ? "kernel" : "other";
}

static json_t *show_rules(struct cmd_ctx *c)
{
	struct rule *rules = NULL;
	json_t *out;
	int n = pbr_kernel_rules(cmd_choice(c, "family") == 1 ? AF_INET6 : AF_INET, &rules);

	if (n < 0) {
		cmd_fail(c, "The kernel's rules: %s", strerror(-n));
		return NULL;
	}
	out = json_array();
	for (int i = 0; i < n; i++) {
		const struct route_map *m = rules[i].proto == shadow_proto()
						    ? pbr_origin(txn_running(), &rules[i])
						    : NULL;
		struct strbuf b = STRBUF_INIT;
		json_t *o;

		rule_text(&rules[i], &b);
		o = json_pack("{s:I,s:s,s:s}", "preference", (json_int_t)rules[i].pref, "rule",
			      strbuf_str(&b), "by", who_made(&rules[i]));
		if (m)
			json_object_set_new(o, "route_map",
					    json_sprintf("%s %s %u", m->name,
							 m->action == PBR_DENY ? "deny" : "permit",
							 m->seq));
		json_array_append_new(out, o);
		strbuf_fini(&b);
	}
	free(rules);
	return out;
}

static void print_rules(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	json_array_foreach(doc, i, o) {
		cmd_puts(c, text_of(o, "rule"));
		if (json_object_get(o, "route_map"))
			cmd_printf(c, "  (route-map %s)", text_of(o, "route_map"));
		else if (!strcmp(text_of(o, "by"), "other"))
			cmd_puts(c, "  (not ours)");
		cmd_puts(c, "\n");
	}
}

static const struct cmd cmds[] = {
	{ "show route-map[ <name:WORD>]", "Route maps and where they lead now",
	  .data = show_route_map, .text = print_route_map },
	{ "show {family:ip|ipv6} policy", "Where route maps are applied", .data = show_policy,
	  .text = print_policy },
	{ "show {family:ip|ipv6} rules", "All rules of the kernel, in the order of looking",
	  .data = show_rules, .text = print_rules },
};

static const struct sch_word words[] = {
	{ "policy", "Interfaces with policy routing" },
	{ "rules", "Rules that choose the routing table" },
};

static const struct domain pbr_show_domain = {
	.name = "policy-routing-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(pbr_show_domain);
