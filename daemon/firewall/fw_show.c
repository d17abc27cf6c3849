/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show access-lists, zones, pairs, object groups, time ranges. */
#include "firewall/fw_show.h"

#include "conntrack/ct.h"
#include "domain.h"
#include "firewall/compile.h"
#include "firewall/fw.h"
#include "firewall/fw_log.h"
#include "fastpath/fast_hits.h"
#include "fastpath/fastpath.h"
#include "firewall/list_hits.h"
#include "iface/iface.h"
#include "inspect/inspect.h"
#include "kernel/shadow.h"
#include "nft/nft_count.h"
#include "schema/text.h"
#include "txn/txn.h"

#include <stdlib.h>
#include <string.h>

/* ---- what an id stands for ---- */

const struct pol_class *policy_class(const struct policy *p, pol_id id,
				     const struct pol_pair **ret_pair)
{
	for (size_t i = 0; i < p->n_pairs; i++) {
		for (size_t k = 0; k < p->pairs[i].n_classes; k++) {
			if (p->pairs[i].classes[k].id != id)
				continue;
			*ret_pair = &p->pairs[i];
			return &p->pairs[i].classes[k];
		}
	}
	return NULL;
}

bool fw_id_text(const struct policy *p, pol_id id, struct strbuf *ret)
{
	const struct pol_list *list;
	const struct pol_pair *pair;
	const struct pol_rule *r = policy_rule(p, id, &list);
	const struct pol_class *k = r ? NULL : policy_class(p, id, &pair);

	if (r)
		strbuf_addf(ret, "%s %u", list->name, r->seq);
	else if (k)
		strbuf_addf(ret, "%s class %s", pair->name, k->name);
	else
		return false;
	return true;
}

static bool name_pair(const struct ct_entry *e, struct strbuf *ret)
{
	const struct policy *p = policy_running();
	const struct pol_pair *pair;

	if (!p || !policy_class(p, POL_LABEL_ID(e->label[1]), &pair))
		return false;
	strbuf_adds(ret, pair->name);
	return true;
}

/* The line of `in` says most; else that of the pair or of `out`. */
static bool name_rule(const struct ct_entry *e, struct strbuf *ret)
{
	const struct policy *p = policy_running();

	return p && (fw_id_text(p, POL_LABEL_ID(e->label[0]), ret) ||
		     fw_id_text(p, POL_LABEL_ID(e->label[1]), ret) ||
		     fw_id_text(p, POL_LABEL_ID(e->label[2]), ret));
}

static int zone_number(const char *name)
{
	const struct policy *p = policy_running();

	if (p && !strcmp(name, "self"))
		return POL_ZONE_SELF;
	for (size_t i = 0; p && i < p->n_zones; i++) {
		if (!strcmp(p->zones[i].name, name))
			return p->zones[i].id;
	}
	return -1;
}

static const char *iface_of(unsigned ifindex)
{
	const struct shadow_link *l = shadow_link_by_index((int)ifindex);
	const struct policy *p = policy_running();

	return l && p ? pol_alias_iface(p->aliases, l->name) : l ? l->name : NULL;
}

/* What the interface is in now that it came by. The box's own connections note no interface. */
static int zone_of(const struct ct_entry *e)
{
	const struct shadow_link *l = shadow_link_by_index((int)ct_iif(e));
	const struct policy *p = policy_running();
	const struct pol_iface *i = p && l ? policy_iface(p, l->name) : NULL;
	const struct pol_pair *pair;

	if (i)
		return i->zone == POL_ZONE_NONE ? -1 : i->zone;
	if (p && policy_class(p, POL_LABEL_ID(e->label[1]), &pair))
		return pair->from;
	return -1;
}

void fw_names_init(void)
{
	ct_set_policy_names(&(struct ct_policy_names){ .iface = iface_of,
						       .zone_pair = name_pair,
						       .rule = name_rule,
						       .zone_id = zone_number,
						       .zone_of = zone_of });
}

/* ---- commands that first read counters ---- */

struct pending {
	struct cmd_ctx *c;
	char *name; /* of what was asked for; NULL: all */
	json_t *(*data)(struct pending *q);
	void (*text)(struct cmd_ctx *c, const json_t *doc);
	int family; /* access lists: AF_UNSPEC both */
};

static void pending_free(struct pending *q)
{
	free(q->name);
	free(q);
}

static void counters_read(void *arg, int error)
{
	struct pending *q = arg;
	struct cmd_ctx *c = q->c;
	json_t *doc = q->data(q);

	if (doc && cmd_json(c)) {
		char *text = json_dumps(doc, JSON_INDENT(2));

		cmd_printf(c, "%s\n", text);
		free(text);
	} else if (doc) {
		q->text(c, doc);
	}
	json_decref(doc);
	pending_free(q);
	cmd_done(c);
}

static void hits_read(void *arg, int error)
{
	nft_count_read(counters_read, arg);
}

static void show_later(struct cmd_ctx *c, json_t *(*data)(struct pending *q),
		       void (*text)(struct cmd_ctx *c, const json_t *doc), int family)
{
	struct pending *q = xcalloc(1, sizeof(*q));

	q->c = c;
	q->data = data;
	q->text = text;
	q->family = family;
	cmd_get(c, "name", &q->name);
	cmd_set_data(c, q);
	cmd_pend(c);
	lc_hits_read(hits_read, q);
}

static void stop(struct cmd_ctx *c)
{
	struct pending *q = cmd_data(c);

	lc_hits_forget(q);
	nft_count_forget(q);
	pending_free(q);
	cmd_done(c);
}

static json_t *missing(struct pending *q, json_t *list, const char *what)
{
	if (!q->name || json_array_size(list))
		return list;
	json_decref(list);
	cmd_fail(q->c, "There is no %s %s", what, q->name);
	return NULL;
}

static bool wanted(const struct pending *q, const char *name)
{
	return !q->name || !strcmp(q->name, name);
}

static void set_ago(json_t *j, uint64_t at_ns)
{
	json_object_set_new(
		j, "last_seconds",
		at_ns ? json_integer((json_int_t)((rtr_now_ns() - at_ns) / NSEC_PER_SEC))
		      : json_null());
}

/* "(12 matches, last 00:00:03)" */
static void print_hits(struct cmd_ctx *c, const json_t *j, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(j, key));
	const json_t *last = json_object_get(j, "last_seconds");
	json_int_t s = json_integer_value(last);

	if (!n)
		return;
	cmd_printf(c, " (%lld match%s", (long long)n, n == 1 ? "" : "es");
	if (json_is_integer(last))
		cmd_printf(c, ", last %02lld:%02lld:%02lld", (long long)s / 3600,
			   (long long)s / 60 % 60, (long long)s % 60);
	cmd_puts(c, ")");
}

/* ---- access lists ---- */

static const char *rec_text(const struct rec *r, struct strbuf *b)
{
	strbuf_reset(b);
	text_rec(r, b);
	return strbuf_str(b);
}

static json_t *rule_json(const struct rec *rec, const struct pol_rule *r)
{
	struct strbuf b = STRBUF_INIT;
	json_t *j = json_pack("{s:i, s:s}", "seq",
			      (int)((const struct ace *)(const void *)rec)->seq, "line",
			      rec_text(rec, &b));

	strbuf_fini(&b);
	if (r) {
		struct lc_hit h = lc_hits_get(r->id);

		json_object_set_new(j, "matches", json_integer((json_int_t)h.packets));
		json_object_set_new(j, "bytes", json_integer((json_int_t)h.bytes));
		json_object_set_new(j, "active", json_boolean(r->active));
		set_ago(j, h.last_ns);
	}
	return j;
}

static json_t *uses_json(const struct policy *p, const struct pol_list *l)
{
	json_t *v = json_array();

	for (size_t i = 0; i < p->n_ifaces; i++) {
		const struct pol_iface *f = &p->ifaces[i];

		if (f->in4 == l || f->in6 == l)
			json_array_append_new(v, json_sprintf("%s in", f->name));
		if (f->out4 == l || f->out6 == l)
			json_array_append_new(v, json_sprintf("%s out", f->name));
	}
	return v;
}

static json_t *acl_json(const struct policy *p, const struct rec *rec, int family, const char *kind,
			const struct sch_type *kid)
{
	const char *name = ((const struct acl *)(const void *)rec)->name;
	const struct pol_list *l = policy_list(p, (uint8_t)family, name);
	const struct recvec *v = rec_kids(rec, kid);
	json_t *rules = json_array();
	size_t at = 0;

	for (size_t i = 0; i < v->len; i++) {
		const struct ace *a = (const void *)v->v[i];
		const struct pol_rule *r = NULL;

		while (l && at < l->n && l->rules[at]->seq < a->seq)
			at++;
		if (l && at < l->n && l->rules[at]->seq == a->seq)
			r = l->rules[at];
		json_array_append_new(rules, rule_json(v->v[i], r));
	}
	return json_pack("{s:s, s:s, s:o, s:o}", "name", name, "kind", kind, "rules", rules,
			 "used_by", l ? uses_json(p, l) : json_array());
}

static json_t *acls_data(struct pending *q)
{
	static const struct {
		const struct sch_type *list, *line;
		int family;
		const char *kind;
	} kinds[] = {
		{ &acl_std_type, &std_ace_type, AF_INET, "Standard IP" },
		{ &acl4_type, &ace4_type, AF_INET, "Extended IP" },
		{ &acl6_type, &ace6_type, AF_INET6, "IPv6" },
	};
	const struct policy *p = policy_running();
	json_t *list = json_array();

	for (size_t k = 0; p && k < ARRAY_LEN(kinds); k++) {
		const struct recvec *v = rec_kids(p->model, kinds[k].list);

		if (q->family != AF_UNSPEC && q->family != kinds[k].family)
			continue;
		for (size_t i = 0; i < v->len; i++) {
			if (wanted(q, ((const struct acl *)(const void *)v->v[i])->name))
				json_array_append_new(list, acl_json(p, v->v[i], kinds[k].family,
								     kinds[k].kind, kinds[k].line));
		}
	}
	return missing(q, list, "access list");
}

static void print_acls(struct cmd_ctx *c, const json_t *doc)
{
	size_t i, k;
	const json_t *l, *r;

	json_array_foreach(doc, i, l) {
		cmd_printf(c, "%s access list %s\n", json_string_value(json_object_get(l, "kind")),
			   json_string_value(json_object_get(l, "name")));
		json_array_foreach(json_object_get(l, "rules"), k, r) {
			cmd_printf(c, "    %s", json_string_value(json_object_get(r, "line")));
			print_hits(c, r, "matches");
			if (json_is_false(json_object_get(r, "active")))
				cmd_puts(c, " (inactive)");
			cmd_puts(c, "\n");
		}
	}
}

static void show_acls(struct cmd_ctx *c)
{
	show_later(c, acls_data, print_acls, AF_UNSPEC);
}

static void show_acls4(struct cmd_ctx *c)
{
	show_later(c, acls_data, print_acls, AF_INET);
}

static void show_acls6(struct cmd_ctx *c)
{
	show_later(c, acls_data, print_acls, AF_INET6);
}

/* ---- clear ---- */

static void clear_read(void *arg, int error)
{
	struct pending *q = arg;
	const struct policy *p = policy_running();
	struct cmd_ctx *c = q->c;
	bool is = !q->name;

	for (size_t i = 0; p && i < p->n_lists; i++) {
		if (!wanted(q, p->lists[i]->name))
			continue;
		is = true;
		for (size_t k = 0; k < p->lists[i]->n; k++)
			lc_hits_clear(p->lists[i]->rules[k]->id);
	}
	if (!is)
		cmd_fail(c, "There is no access list %s", q->name);
	pending_free(q);
	cmd_done(c);
}

/* From the latest reading on. */
static void clear_counters(struct cmd_ctx *c)
{
	struct pending *q = xcalloc(1, sizeof(*q));

	q->c = c;
	cmd_get(c, "name", &q->name);
	cmd_set_data(c, q);
	cmd_pend(c);
	lc_hits_read(clear_read, q);
}

/* ---- zones ---- */

static json_t *show_zones(struct cmd_ctx *c)
{
	const struct policy *p = policy_running();
	json_t *list = json_array();
	char *name = NULL;

	cmd_get(c, "name", &name);
	for (size_t i = 0; p && i < p->n_zones; i++) {
		const struct pol_zone *z = &p->zones[i];
		const char *about = ((const struct zone *)(const void *)z->rec)->description;
		json_t *members = json_array();

		for (size_t k = 0; k < p->n_ifaces; k++) {
			if (p->ifaces[k].zone == z->id)
				json_array_append_new(members, json_string(iface_operator_name(
								       p->ifaces[k].name)));
		}
		if (name && strcmp(name, z->name)) {
			json_decref(members);
			continue;
		}
		json_array_append_new(list, json_pack("{s:s, s:s?, s:b, s:o}", "name", z->name,
						      "description", about, "management",
						      z->management, "interfaces", members));
	}
	if (name && !json_array_size(list)) {
		cmd_fail(c, "There is no zone %s", name);
		json_decref(list);
		list = NULL;
	}
	free(name);
	return list;
}

static void print_zones(struct cmd_ctx *c, const json_t *doc)
{
	size_t i, k;
	const json_t *z, *m;

	json_array_foreach(doc, i, z) {
		const json_t *about = json_object_get(z, "description");

		cmd_printf(c, "zone %s%s\n", json_string_value(json_object_get(z, "name")),
			   json_is_true(json_object_get(z, "management")) ? " (management)" : "");
		if (json_is_string(about))
			cmd_printf(c, "  Description: %s\n", json_string_value(about));
		cmd_puts(c, "  Member Interfaces:\n");
		json_array_foreach(json_object_get(z, "interfaces"), k, m)
			cmd_printf(c, "    %s\n", json_string_value(m));
	}
}

static const char *zone_name(const struct policy *p, uint16_t id)
{
	const struct pol_zone *z = policy_zone(p, id);

	return id == POL_ZONE_SELF ? "self" : z ? z->name : "none";
}

static const char *const actions[] = {
	[POL_DENY] = "drop", [POL_PERMIT] = "inspect", [POL_REJECT] = "reject", [POL_PASS] = "pass"
};

static json_t *classes_json(const struct pol_pair *pair)
{
	json_t *v = json_array();

	for (size_t i = 0; i < pair->n_classes; i++) {
		const struct pol_class *k = &pair->classes[i];
		struct nft_count n = nft_count_get(k->id);
		struct fast_hit f = fast_hits_get(k->id);
		json_t *j = json_pack("{s:s, s:s, s:b, s:I, s:I}", "class", k->name, "action",
				      actions[k->action], "log", k->log, "matches",
				      (json_int_t)(n.packets + f.hits + inspect_hits(k->id)),
				      "bytes", (json_int_t)(n.bytes + f.bytes));

		set_ago(j, MAX(n.last_hit_ns, f.last_ns));
		json_array_append_new(v, j);
	}
	return v;
}

static json_t *pairs_data(struct pending *q)
{
	const struct policy *p = policy_running();
	json_t *list = json_array();

	for (size_t i = 0; p && i < p->n_pairs; i++) {
		const struct pol_pair *pair = &p->pairs[i];
		const struct zone_pair *z = (const void *)pair->rec;

		if (wanted(q, pair->name))
			json_array_append_new(
				list, json_pack("{s:s, s:s, s:s, s:s?, s:o}", "name", pair->name,
						"source", zone_name(p, pair->from), "destination",
						zone_name(p, pair->to), "policy", z->policy,
						"classes", classes_json(pair)));
	}
	return missing(q, list, "zone pair");
}

static void print_pairs(struct cmd_ctx *c, const json_t *doc)
{
	size_t i;
	const json_t *p;

	json_array_foreach(doc, i, p) {
		const json_t *policy = json_object_get(p, "policy");

		cmd_printf(c, "Zone-pair name %s\n    Source-Zone %s  Destination-Zone %s\n",
			   json_string_value(json_object_get(p, "name")),
			   json_string_value(json_object_get(p, "source")),
			   json_string_value(json_object_get(p, "destination")));
		if (json_is_string(policy))
			cmd_printf(c, "    service-policy %s\n", json_string_value(policy));
		else
			cmd_puts(c, "    no service-policy: all is dropped\n");
	}
}

static void print_pair_classes(struct cmd_ctx *c, const json_t *doc)
{
	size_t i, k;
	const json_t *p, *j;

	json_array_foreach(doc, i, p) {
		const json_t *policy = json_object_get(p, "policy");

		cmd_printf(c, "Zone-pair: %s (%s to %s)\n  Service-policy inspect: %s\n",
			   json_string_value(json_object_get(p, "name")),
			   json_string_value(json_object_get(p, "source")),
			   json_string_value(json_object_get(p, "destination")),
			   json_is_string(policy) ? json_string_value(policy) : "none");
		json_array_foreach(json_object_get(p, "classes"), k, j) {
			cmd_printf(c, "    Class-map: %s\n      %s%s",
				   json_string_value(json_object_get(j, "class")),
				   json_string_value(json_object_get(j, "action")),
				   json_is_true(json_object_get(j, "log")) ? " log" : "");
			print_hits(c, j, "matches");
			cmd_puts(c, "\n");
		}
	}
}

static void show_pairs(struct cmd_ctx *c)
{
	show_later(c, pairs_data, print_pairs, AF_UNSPEC);
}

static void show_pair_classes(struct cmd_ctx *c)
{
	show_later(c, pairs_data, print_pair_classes, AF_UNSPEC);
}

/* ---- drops that no line names ---- */

static const struct {
	enum fw_counter id;
	const char *key, *text;
} drops[] = {
	{ FW_CNT_MARTIAN, "martian", "addresses that cannot be" },
	{ FW_CNT_URPF, "reverse_path", "sources without a way back" },
	{ FW_CNT_INVALID, "invalid", "state invalid" },
	{ FW_CNT_NO_PAIR, "no_zone_pair", "no zone pair, or no class of it" },
	{ FW_CNT_BOX, "box_closed", "for the box itself, which is closed" },
	{ FW_CNT_IN_END, "access_list_in", "end of an access list in" },
	{ FW_CNT_OUT_END, "access_list_out", "end of an access list out" },
	{ FW_CNT_LIMIT, "limit", "above the limit of a line" },
	{ FW_CNT_HOST, "host_sessions", "above host-sessions" },
	{ FW_CNT_NAME, "server_name", "server name of the connection" },
};

static json_t *drops_data(struct pending *q)
{
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(drops); i++) {
		struct nft_count n = nft_count_get(FW_CNT_ID(drops[i].id));

		json_object_set_new(o, drops[i].key,
				    json_pack("{s:I, s:I}", "packets", (json_int_t)n.packets,
					      "bytes", (json_int_t)n.bytes));
	}
	return o;
}

static void print_drops(struct cmd_ctx *c, const json_t *doc)
{
	cmd_printf(c, "%-40s %12s %14s\n", "Dropped", "Packets", "Bytes");
	for (size_t i = 0; i < ARRAY_LEN(drops); i++) {
		const json_t *j = json_object_get(doc, drops[i].key);

		cmd_printf(c, "%-40s %12lld %14lld\n", drops[i].text,
			   (long long)json_integer_value(json_object_get(j, "packets")),
			   (long long)json_integer_value(json_object_get(j, "bytes")));
	}
	/* Its workers do not tell an end of a list in from one out, nor count bytes. */
	if (fast_seen()->was_ready)
		cmd_puts(c, "Of the kernel alone; what the fast plane dropped: show drops\n");
}

static void show_drops(struct cmd_ctx *c)
{
	show_later(c, drops_data, print_drops, AF_UNSPEC);
}

/* ---- groups and hours ---- */

static json_t *group_lines(const struct rec *g)
{
	static const struct sch_type *const kids[] = {
		&og_host_type,   &og_net4_type,  &og_net6_type,   &og_range_type,
		&og_ngroup_type, &og_svc_type,   &og_icmp4_type,  &og_icmp6_type,
		&og_sgroup_type, &og_iface_type, &og_igroup_type,
	};
	struct strbuf b = STRBUF_INIT;
	json_t *v = json_array();

	for (size_t k = 0; k < ARRAY_LEN(kids); k++) {
		const struct recvec *r = rec_kids(g, kids[k]);

		for (size_t i = 0; i < r->len; i++)
			json_array_append_new(v, json_string(rec_text(r->v[i], &b)));
	}
	strbuf_fini(&b);
	return v;
}

/* NULL, after cmd_fail, when one was asked for by name and is not there. Takes over both. */
static json_t *found(struct cmd_ctx *c, const char *what, char *name, json_t *list)
{
	if (name && !json_array_size(list)) {
		cmd_fail(c, "There is no %s %s", what, name);
		json_decref(list);
		list = NULL;
	}
	free(name);
	return list;
}

static json_t *show_groups(struct cmd_ctx *c)
{
	static const struct {
		const struct sch_type *type;
		const char *kind;
	} kinds[] = { { &og_network_type, "network" },
		      { &og_service_type, "service" },
		      { &og_interface_type, "interface" } };
	json_t *list = json_array();
	char *name = NULL;

	cmd_get(c, "name", &name);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct recvec *v = rec_kids(txn_running(), kinds[k].type);
		const struct og *g;

		recvec_foreach(v, g) {
			if (!name || !strcmp(name, g->name))
				json_array_append_new(list,
						      json_pack("{s:s, s:s, s:s?, s:o}", "kind",
								kinds[k].kind, "name", g->name,
								"description", g->description,
								"lines", group_lines(&g->rec)));
		}
	}
	return found(c, "object-group", name, list);
}

static void print_groups(struct cmd_ctx *c, const json_t *doc)
{
	size_t i, k;
	const json_t *g, *l;

	json_array_foreach(doc, i, g) {
		cmd_printf(c, "%s object group %s\n", json_string_value(json_object_get(g, "kind")),
			   json_string_value(json_object_get(g, "name")));
		json_array_foreach(json_object_get(g, "lines"), k, l)
			cmd_printf(c, " %s\n", json_string_value(l));
	}
}

static json_t *show_hours(struct cmd_ctx *c)
{
	const struct recvec *v = rec_kids(txn_running(), &trange_type);
	time_t now = time(NULL);
	json_t *list = json_array();
	char *name = NULL;
	const struct trange *t;

	cmd_get(c, "name", &name);
	recvec_foreach(v, t) {
		const struct recvec *w = rec_kids(&t->rec, &trange_period_type);
		time_t next = trange_next(t, now);
		struct strbuf b = STRBUF_INIT;
		json_t *lines = json_array(), *j;

		for (size_t i = 0; i < w->len; i++)
			json_array_append_new(lines, json_string(rec_text(w->v[i], &b)));
		strbuf_fini(&b);
		j = json_pack("{s:s, s:b, s:o, s:o}", "name", t->name, "active",
			      trange_active(t, now), "changes_in_seconds",
			      next ? json_integer((json_int_t)(next - now)) : json_null(),
			      "periods", lines);
		if (SCH_HAS(t, start))
			json_object_set_new(j, "start", json_integer(t->start.at));
		if (SCH_HAS(t, end))
			json_object_set_new(j, "end", json_integer(t->end.at));
		if (!name || !strcmp(name, t->name))
			json_array_append(list, j);
		json_decref(j);
	}
	return found(c, "time-range", name, list);
}

static void print_moment(struct cmd_ctx *c, const json_t *at, const char *what)
{
	time_t t = (time_t)json_integer_value(at);
	char text[64];
	struct tm tm;

	if (!json_is_integer(at))
		return;
	localtime_r(&t, &tm);
	strftime(text, sizeof(text), "%H:%M %e %B %Y", &tm);
	cmd_printf(c, "   absolute %s %s\n", what, text);
}

static void print_hours(struct cmd_ctx *c, const json_t *doc)
{
	size_t i, k;
	const json_t *t, *l;

	json_array_foreach(doc, i, t) {
		cmd_printf(c, "time-range entry: %s (%s)\n",
			   json_string_value(json_object_get(t, "name")),
			   json_is_true(json_object_get(t, "active")) ? "active" : "inactive");
		print_moment(c, json_object_get(t, "start"), "start");
		print_moment(c, json_object_get(t, "end"), "end");
		json_array_foreach(json_object_get(t, "periods"), k, l)
			cmd_printf(c, "   %s\n", json_string_value(l));
	}
}

const struct cmd fw_cmds[N_FW_CMDS] = {
	{ "show access-lists[ <name:WORD>]", "Access lists with their hits", .run = show_acls,
	  .interrupt = stop },
	{ "show ip access-lists[ <name:WORD>]", "IPv4 access lists with their hits",
	  .run = show_acls4, .interrupt = stop },
	{ "show ipv6 access-list[ <name:WORD>]", "IPv6 access lists with their hits",
	  .run = show_acls6, .interrupt = stop },
	{ "clear access-list counters[ <name:WORD>]", "Count hits of access lists anew",
	  .run = clear_counters, .interrupt = stop, .admin = true },
	{ "clear ip access-list counters[ <name:WORD>]", "Count hits of access lists anew",
	  .run = clear_counters, .interrupt = stop, .admin = true },
	{ "show zone security[ <name:WORD>]", "Zones and their interfaces", .data = show_zones,
	  .text = print_zones },
	{ "show zone-pair security[ <name:WORD>]", "Zone pairs and their policies",
	  .run = show_pairs, .interrupt = stop },
	{ "show policy-map type inspect zone-pair[ <name:WORD>]",
	  "Hits of the classes of zone pairs", .run = show_pair_classes, .interrupt = stop },
	{ "show firewall drops", "What the firewall dropped without a line that says so",
	  .run = show_drops, .interrupt = stop },
	{ "show firewall log", "Packets of lines with log, and those that were lost",
	  .data = fw_log_show, .text = fw_log_print },
	{ "show object-group[ <name:WORD>]", "Object groups", .data = show_groups,
	  .text = print_groups },
	{ "show time-range[ <name:WORD>]", "Time ranges, and whether they are in force",
	  .data = show_hours, .text = print_hours },
};
