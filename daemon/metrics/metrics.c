/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The line "metrics listen", show metrics, show commit statistics, show programs, the domain. */
#include "metrics/metrics.h"

#include "cli/command.h"
#include "domain.h"
#include "system/programs.h"
#include "txn/txn.h"

#include <string.h>

SCH_TYPE(metrics_listen, SCH_F(metrics_listen, addr), SCH_F(metrics_listen, port),
	 SCH_F(metrics_listen, allow4), SCH_F(metrics_listen, allow6));

static const struct sch_row rows[] = {
	SCH_LIST("metrics listen <addr:ADDR> port <port:U16(1024,65535)>"
		 "[ allow {<allow4:PREFIX4>|<allow6:PREFIX6>}]",
		 metrics_listen, .key = "addr port",
		 .help = "Offer all counters to Prometheus, to this machine when nobody else is "
			 "allowed"),
};

static const struct sch_word words[] = {
	{ "metrics", "Counters for Prometheus" },
	{ "listen", "Answer requests to this address" },
	{ "port", "Port number" },
	{ "allow", "Who may ask" },
};

/* Listeners are few; each has a socket. */
#define MAX_LISTENERS 8

static void check(struct check *c)
{
	const struct recvec *v = rec_kids(c->new, &metrics_listen_type);
	const struct metrics_listen *l;
	char text[RTR_ADDR_STRLEN];

	if (v == rec_kids(c->old, &metrics_listen_type))
		return;
	if (v->len > MAX_LISTENERS)
		check_error(c, NULL, "metrics listen: %zu addresses, at most %d", v->len,
			    MAX_LISTENERS);
	recvec_foreach(v, l) {
		bool v6 = l->addr.family == AF_INET6;

		if (v6 ? SCH_HAS(l, allow4) : SCH_HAS(l, allow6))
			check_error(c, &l->rec, "who is allowed is of the other address family");
		else if (!rtr_addr_is_loopback(&l->addr) && !SCH_HAS(l, allow4) &&
			 !SCH_HAS(l, allow6))
			check_error(c, &l->rec, "others can reach %s: say who is allowed",
				    rtr_addr_str(&l->addr, text));
		if (rtr_addr_is_multicast(&l->addr) || rtr_addr_is_linklocal(&l->addr))
			check_error(c, &l->rec, "%s is no address to listen on",
				    rtr_addr_str(&l->addr, text));
	}
}

/* ---- show metrics ---- */

static json_t *show_metrics(struct cmd_ctx *c)
{
	json_t *out = json_array();

	for (size_t i = 0; i < n_metric_sources; i++) {
		const struct metric_source *s = &metric_sources[i];

		for (size_t k = 0; k < s->n; k++)
			json_array_append_new(
				out,
				json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:f}", "metric",
					  s->metrics[k].name, "help", s->metrics[k].help, "command",
					  s->command, "rows", s->rows, "labels", s->labels, "path",
					  s->metrics[k].path, "scale",
					  s->metrics[k].scale > 0 ? s->metrics[k].scale : 1.0));
	}
	return out;
}

static void print_metrics(struct cmd_ctx *c, const json_t *doc)
{
	json_t *e;
	size_t i;

	cmd_printf(c, "%-44s %-36s %s\n", "Metric", "Command", "Meaning");
	json_array_foreach(doc, i, e)
		cmd_printf(c, "%-44s %-36s %s\n", json_string_value(json_object_get(e, "metric")),
			   json_string_value(json_object_get(e, "command")),
			   json_string_value(json_object_get(e, "help")));
}

/* ---- show commit statistics ---- */

static json_t *show_commits(struct cmd_ctx *c)
{
	const struct txn_stats *s = txn_stats();

	return json_pack("{s:I,s:I,s:I,s:f,s:f}", "commits", (json_int_t)s->commits, "refused",
			 (json_int_t)s->refused, "undone", (json_int_t)s->undone, "last_ms",
			 (double)s->last_ns / NSEC_PER_MSEC, "total_ms",
			 (double)s->total_ns / NSEC_PER_MSEC);
}

static void print_commits(struct cmd_ctx *c, const json_t *doc)
{
	cmd_printf(c,
		   "%" JSON_INTEGER_FORMAT " changes made, %" JSON_INTEGER_FORMAT
		   " refused, %" JSON_INTEGER_FORMAT
		   " taken back\nThe last one took %.1f ms, all together %.1f ms\n",
		   json_integer_value(json_object_get(doc, "commits")),
		   json_integer_value(json_object_get(doc, "refused")),
		   json_integer_value(json_object_get(doc, "undone")),
		   json_real_value(json_object_get(doc, "last_ms")),
		   json_real_value(json_object_get(doc, "total_ms")));
}

/* ---- show programs ---- */

static void add_program(void *arg, const char *name, unsigned starts, unsigned ends)
{
	json_array_append_new(arg, json_pack("{s:s,s:i,s:i}", "program", name, "starts",
					     (int)starts, "restarts", (int)ends));
}

static json_t *show_programs(struct cmd_ctx *c)
{
	json_t *out = json_array();

	programs_foreach(add_program, out);
	return out;
}

static void print_programs(struct cmd_ctx *c, const json_t *doc)
{
	json_t *e;
	size_t i;

	cmd_printf(c, "%-16s %8s %8s\n", "Program", "Starts", "Restarts");
	json_array_foreach(doc, i, e)
		cmd_printf(c, "%-16s %8d %8d\n", json_string_value(json_object_get(e, "program")),
			   (int)json_integer_value(json_object_get(e, "starts")),
			   (int)json_integer_value(json_object_get(e, "restarts")));
}

static const struct cmd cmds[] = {
	{ "show metrics", "Metrics that are offered, and the commands that show the same",
	  .data = show_metrics, .text = print_metrics },
	{ "show commit statistics", "How many changes were made, and how long they took",
	  .data = show_commits, .text = print_commits },
	{ "show programs", "Programs that belong to rtrd, and how often they were started",
	  .data = show_programs, .text = print_programs },
};

static const struct domain metrics_domain = {
	.name = "metrics",
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.init = metrics_http_init,
	.fini = metrics_http_fini,
	.check = check,
};
RTR_DOMAIN(metrics_domain);
