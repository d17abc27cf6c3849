/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/inspect.h"

#include "cli/command.h"
#include "domain.h"
#include "firewall/compile.h"
#include "firewall/fw_log.h"
#include "firewall/fw_show.h"
#include "rtr/inspectd.h"
#include "schema/types.h"
#include "system/global.h"
#include "system/log.h"
#include "system/program.h"
#include "txn/txn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Between two starts of rtr-inspectd. */
#define RESTART_MIN_MS 100
#define RESTART_MAX_MS 10000
/* How often a changed policy is looked for: a time range that starts or ends makes no commit. */
#define LOOK_SEC 1

struct hits {
	uint32_t rule;
	uint64_t n;
};

static struct {
	struct program prog;
	struct event *ev_look;
	/* What it shall know; sent: how many of them it was told. */
	struct inspectd_req *v;
	size_t n, sent;
	const struct policy *policy; /* that they are made of */
	bool fail_open;
	uint64_t counters[INSPECTD_COUNTER__MAX];
	struct hits *hits;
	size_t n_hits;
} d;

bool inspect_fail_open(const struct rec *root)
{
	const struct global *g = (const void *)root;

	return SCH_HAS(g, inspect_tls) && g->inspect_tls == INSPECT_FAIL_OPEN;
}

/* ---- what it shall know ---- */

static struct inspectd_req *add(enum inspectd_op op)
{
	d.v = xrealloc(d.v, (d.n + 1) * sizeof(*d.v));
	d.v[d.n] = (struct inspectd_req){ .op = op };
	return &d.v[d.n++];
}

static void add_line(void *arg, const struct pol_tls_line *l)
{
	static const uint8_t actions[] = { [POL_DENY] = INSPECTD_DENY,
					   [POL_PERMIT] = INSPECTD_PERMIT,
					   [POL_PASS] = INSPECTD_PERMIT,
					   [POL_REJECT] = INSPECTD_REJECT };
	struct inspectd_req *q = add(INSPECTD_LINE);

	q->chain = l->chain;
	if (l->cls) {
		q->rule = l->cls->id;
		q->action = actions[l->cls->action];
		q->log = l->cls->log;
	} else if (l->rule) {
		q->rule = l->rule->id;
		q->action = actions[l->rule->action];
		q->log = l->rule->log;
	}
	if (l->rule && l->rule->tls_name)
		rtr_strlcpy(q->name, l->rule->tls_name, sizeof(q->name));
}

static void make_requests(const struct policy *p)
{
	struct inspectd_req *q;

	d.n = d.sent = 0;
	q = add(INSPECTD_BEGIN);
	q->queue = fw_queue();
	q->fail_open = d.fail_open;
	pol_tls_chains(p, add_line, NULL);
	if (d.n == 1)
		d.n = 0;
	else
		add(INSPECTD_COMMIT);
}

/* ---- talking ---- */

static void talk(void)
{
	while (d.sent < d.n && program_send(&d.prog, &d.v[d.sent], sizeof(*d.v)))
		d.sent++;
}

static void take_hits(uint32_t rule, uint64_t n)
{
	size_t i = 0;

	while (i < d.n_hits && d.hits[i].rule != rule)
		i++;
	if (i == d.n_hits) {
		d.hits = xrealloc(d.hits, ++d.n_hits * sizeof(*d.hits));
		d.hits[i].rule = rule;
	}
	d.hits[i].n = n;
}

uint64_t inspect_hits(uint32_t id)
{
	for (size_t i = 0; i < d.n_hits; i++)
		if (d.hits[i].rule == id)
			return d.hits[i].n;
	return 0;
}

static void take_log(const struct inspectd_event *e)
{
	static const enum pol_action actions[] = { [INSPECTD_DENY] = POL_DENY,
						   [INSPECTD_PERMIT] = POL_PERMIT,
						   [INSPECTD_REJECT] = POL_REJECT };
	struct pol_packet p = { .family = e->family,
				.proto = IPPROTO_TCP,
				.src.family = e->family,
				.dst.family = e->family,
				.sport = ntohs(e->sport),
				.dport = ntohs(e->dport) };
	char name[INSPECTD_NAME + 16];

	if ((e->family != AF_INET && e->family != AF_INET6) || e->did >= ARRAY_LEN(actions) ||
	    !memchr(e->name, 0, sizeof(e->name)))
		return;
	memcpy(p.src.b, e->src, rtr_family_size(e->family));
	memcpy(p.dst.b, e->dst, rtr_family_size(e->family));
	snprintf(name, sizeof(name), "%s",
		 e->unreadable ? "unreadable server name"
		 : *e->name    ? e->name
			       : "no server name");
	fw_log_name(e->rule, actions[e->did], (int)e->ifindex, &p, name);
}

static void take_event(const void *event)
{
	const struct inspectd_event *e = event;
	static struct log_limit limit;
	struct strbuf who = STRBUF_INIT;

	switch (e->kind) {
	case INSPECTD_STATS:
		memcpy(d.counters, e->n, sizeof(d.counters));
		break;
	case INSPECTD_RULE:
		if (d.policy && fw_id_text(d.policy, e->rule, &who))
			take_hits(e->rule, e->n[0]);
		strbuf_fini(&who);
		break;
	case INSPECTD_LOG:
		take_log(e);
		break;
	case INSPECTD_NO_QUEUE:
		log_event_limited(&limit, 1, "FW", LOG_L_ERR, "NOQUEUE",
				  "The kernel gives no queue for server names: %s",
				  strerror((int)(e->n[0] & 0xfff)));
		break;
	}
}

static void complain(void)
{
	log_event("FW", LOG_L_WARN, "INSPECTD",
		  "rtr-inspectd ended: connections that wait for a server name %s until it runs "
		  "again",
		  d.fail_open ? "pass" : "stand still");
}

static void forget_told(void)
{
	d.sent = 0;
	memset(d.counters, 0, sizeof(d.counters));
	d.n_hits = 0;
}

/* ---- the policy changes ---- */

static void look(void)
{
	const struct policy *p = policy_running();
	bool open = txn_running() && inspect_fail_open(txn_running());

	if (!p || (p == d.policy && open == d.fail_open))
		return;
	policy_unref(d.policy);
	d.policy = policy_ref(p);
	d.fail_open = open;
	make_requests(p);
	if (!d.n)
		program_stop(&d.prog);
	else if (program_runs(&d.prog))
		talk();
	else
		program_start(&d.prog);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	look();
}

static void published(const struct rec *old, const struct rec *new, const char *user,
		      const char *source)
{
	look();
}

/* ---- show inspect ---- */

static uint64_t hits_of(uint32_t rule)
{
	for (size_t i = 0; i < d.n_hits; i++) {
		if (d.hits[i].rule == rule)
			return d.hits[i].n;
	}
	return 0;
}

static json_t *show_line(const struct inspectd_req *q)
{
	static const char *const actions[] = {
		[INSPECTD_DENY] = "deny", [INSPECTD_PERMIT] = "permit", [INSPECTD_REJECT] = "reject"
	};
	const struct pol_list *l = NULL;
	const struct pol_pair *pair = NULL;
	const struct pol_rule *r = policy_rule(d.policy, q->rule, &l);
	const struct pol_class *k = r ? NULL : policy_class(d.policy, q->rule, &pair);
	json_t *o;

	if (!r && !k)
		return NULL;
	o = json_pack("{s:s,s:s,s:s,s:I}", "list", r ? l->name : pair->name, "action",
		      actions[q->action], "name", *q->name ? q->name : "(other)", "connections",
		      (json_int_t)hits_of(q->rule));
	if (r)
		json_object_set_new(o, "line", json_integer(r->seq));
	else
		json_object_set_new(o, "class", json_string(k->name));
	return o;
}

static json_t *show_inspect(struct cmd_ctx *c)
{
	static const char *const names[] = {
#define X(id, name, text) name,
		INSPECTD_COUNTERS(X)
#undef X
	};
	json_t *counters = json_object(), *lines = json_array();

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		json_object_set_new(counters, names[i], json_integer((json_int_t)d.counters[i]));
	for (size_t i = 0; i < d.n; i++) {
		json_t *o = d.v[i].op == INSPECTD_LINE && d.v[i].rule ? show_line(&d.v[i]) : NULL;

		if (o)
			json_array_append_new(lines, o);
	}
	return json_pack("{s:s,s:s,s:i,s:I,s:o,s:o}", "state",
			 !d.n                    ? "not needed"
			 : program_runs(&d.prog) ? "running"
						 : "not running",
			 "on_failure", d.fail_open ? "fail-open" : "fail-closed", "queue",
			 (int)fw_queue(), "starts", (json_int_t)d.prog.n_starts, "counters",
			 counters, "lines", lines);
}

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void print_inspect(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *counters = json_object_get(doc, "counters"), *o;
	size_t i;

	cmd_printf(c, "TLS server names: rtr-inspectd %s, %s, queue %lld\n", text_of(doc, "state"),
		   text_of(doc, "on_failure"),
		   (long long)json_integer_value(json_object_get(doc, "queue")));
#define X(id, name, text)                                                                          \
	cmd_printf(c, "  %-56s %12lld\n", text,                                                    \
		   (long long)json_integer_value(json_object_get(counters, name)));
	INSPECTD_COUNTERS(X)
#undef X
	if (json_array_size(json_object_get(doc, "lines")))
		cmd_printf(c, "\n%-20s %10s %-7s %-40s %12s\n", "List, pair", "Line, class",
			   "Action", "Server name", "Connections");
	json_array_foreach(json_object_get(doc, "lines"), i, o) {
		const json_t *line = json_object_get(o, "line");
		char at[24];

		if (line)
			snprintf(at, sizeof(at), "%lld", (long long)json_integer_value(line));
		else
			rtr_strlcpy(at, text_of(o, "class"), sizeof(at));
		cmd_printf(c, "%-20s %10s %-7s %-40s %12lld\n", text_of(o, "list"), at,
			   text_of(o, "action"), text_of(o, "name"),
			   (long long)json_integer_value(json_object_get(o, "connections")));
	}
}

/* ---- the domain ---- */

static const struct sch_row rows[] = {
	SCH_LEAF("ip inspect tls {inspect_tls:fail-closed|fail-open}", global,
		 .dflt = "fail-closed",
		 .help = "What happens to connections whose server name cannot be read"),
};

static const struct sch_word words[] = {
	{ "fail-closed", "They end" },
	{ "fail-open", "They pass" },
	{ "inspect", "Inspection of connections" },
	{ "tls", "Server names of TLS clients" },
};

static const struct cmd cmds[] = {
	{ "show inspect", "Server names that were read, and what they decided",
	  .data = show_inspect, .text = print_inspect },
};

static int init(void)
{
	static const struct timeval often = { LOOK_SEC, 0 };

	d.prog = (struct program){ .number = PARENT_PROG_INSPECTD,
				   .restart_min_ms = RESTART_MIN_MS,
				   .restart_max_ms = RESTART_MAX_MS,
				   .event_size = sizeof(struct inspectd_event),
				   .take_event = take_event,
				   .talk = talk,
				   .forget = forget_told,
				   .complain = complain };
	d.ev_look = event_new(cmd_base(), -1, EV_PERSIST, on_look, NULL);
	if (program_init(&d.prog) || !d.ev_look)
		return -ENOMEM;
	event_add(d.ev_look, &often);
	txn_on_publish(published);
	return 0;
}

static void fini(void)
{
	program_fini(&d.prog);
	if (d.ev_look)
		event_free(d.ev_look);
	d.ev_look = NULL;
	free(d.v);
	free(d.hits);
	d.v = NULL;
	d.hits = NULL;
	d.n = d.n_hits = 0;
	d.policy = policy_unref(d.policy);
}

static const char *const after[] = { "firewall", NULL };

static const struct domain inspect_domain = {
	.name = "inspect",
	.after = after,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.init = init,
	.fini = fini,
};
RTR_DOMAIN(inspect_domain);
