/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The box as a whole: the top-level leaves, and the commands about rtrd and its sessions. */
#include "cli/session.h"
#include "domain.h"
#include "kernel/nlq.h"
#include "kernel/shadow.h"
#include "rtr/version.h"
#include "system/global.h"
#include "txn/txn.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static time_t started;

static struct sch_field global_fields[] = {
	SCH_F(global, hostname),
	SCH_F(global, ip_routing),
	SCH_F(global, ipv6_unicast_routing),
	SCH_F(global, martian_filter),
	SCH_F(global, host_sessions),
	SCH_F(global, conntrack_max),
	SCH_F(global, conntrack_buckets),
	SCH_F(global, conntrack_watermark),
	SCH_F(global, tcp_pickup),
	SCH_F(global, tcp_window_check),
	SCH_F(global, arp_limit),
	SCH_F(global, nd_limit),
	SCH_F(global, fhrp_version),
	SCH_F(global, inspect_tls),
	SCH_F(global, fast_workers),
	SCH_F(global, fast_memory),
	SCH_F(global, fast_flows4),
	SCH_F(global, fast_flows6),
	SCH_F(global, log_trap),
	SCH_F(global, log_facility),
	SCH_F(global, log_source),
	SCH_F(global, log_origin),
	SCH_F(global, health_interval),
	SCH_F(global, health_probes),
};

struct sch_type global_type = {
	.name = "global",
	.size = sizeof(struct global),
	.fields = global_fields,
	.n_fields = ARRAY_LEN(global_fields),
};

static const struct sch_row rows[] = {
	SCH_LEAF("hostname <hostname:WORD>", global,
		 .help = "Name of this router, in prompt and log"),
	SCH_LEAF("ip routing", global, .flag = "ip_routing", .dflt = "on",
		 .help = "Forward IPv4 packets"),
	SCH_LEAF("ipv6 unicast-routing", global, .flag = "ipv6_unicast_routing", .dflt = "on",
		 .help = "Forward IPv6 packets"),
};

static void check(struct check *c)
{
	const struct global *g = (const void *)c->new;

	if (g->hostname && strlen(g->hostname) > 63)
		check_error(c, NULL, "hostname: longer than 63 characters");
}

/* ---- sessions ---- */

static void enable(struct cmd_ctx *c)
{
	struct session *s = cmd_session(c);

	if (conn_peer(s->conn)->level != CONN_ADMIN)
		cmd_fail(c, "Access denied: enable needs root or the group rtradmin");
	else
		s->enabled = true;
}

static void disable(struct cmd_ctx *c)
{
	cmd_session(c)->enabled = false;
}

static void leave(struct cmd_ctx *c)
{
	conn_close(cmd_session(c)->conn, "");
}

static void terminal_length(struct cmd_ctx *c)
{
	uint32_t n = 0;

	cmd_get(c, "rows", &n);
	conn_set_length(cmd_session(c)->conn, n);
}

static void terminal_width(struct cmd_ctx *c)
{
	uint32_t n = 0;

	cmd_get(c, "cols", &n);
	cmd_session(c)->width = n;
}

static void terminal_monitor(struct cmd_ctx *c)
{
	session_monitor(cmd_session(c), true);
}

static void terminal_no_monitor(struct cmd_ctx *c)
{
	session_monitor(cmd_session(c), false);
}

static json_t *show_users(struct cmd_ctx *c)
{
	json_t *out = json_array();

	for (const struct session *s = session_first(); s; s = s->next_session) {
		const struct conn_peer *p = conn_peer(s->conn);

		json_array_append_new(
			out, json_pack("{s:s,s:i,s:b,s:s,s:I,s:b}", "user", p->user, "pid",
				       (int)p->pid, "privileged", s->enabled, "mode",
				       s->mode == MODE_EXEC        ? "exec"
				       : s->mode == MODE_CANDIDATE ? "candidate"
								   : "configure",
				       "connected_sec", (json_int_t)(time(NULL) - s->since), "self",
				       s == cmd_session(c)));
	}
	return out;
}

static void print_users(struct cmd_ctx *c, const json_t *doc)
{
	json_t *e;
	size_t i;

	cmd_printf(c, "    %-16s %-8s %-10s %s\n", "User", "Pid", "Mode", "Connected");
	json_array_foreach(doc, i, e) {
		json_int_t sec = json_integer_value(json_object_get(e, "connected_sec"));

		cmd_printf(c, "%s %-16s %-8" JSON_INTEGER_FORMAT " %-10s %02d:%02d:%02d\n",
			   json_is_true(json_object_get(e, "self")) ? "*  " : "   ",
			   json_string_value(json_object_get(e, "user")),
			   json_integer_value(json_object_get(e, "pid")),
			   json_string_value(json_object_get(e, "mode")), (int)(sec / 3600),
			   (int)(sec / 60 % 60), (int)(sec % 60));
	}
}

static json_t *show_history(struct cmd_ctx *c)
{
	const struct session *s = cmd_session(c);
	json_t *out = json_array();

	for (size_t i = 0; i < s->n_history; i++)
		json_array_append_new(out, json_string(s->history[i]));
	return out;
}

static void print_lines(struct cmd_ctx *c, const json_t *doc)
{
	json_t *e;
	size_t i;

	json_array_foreach(doc, i, e)
		cmd_printf(c, "%s\n", json_string_value(e));
}

/* ---- the box ---- */

static long peak_kib(void)
{
	struct rusage ru;

	return getrusage(RUSAGE_SELF, &ru) ? 0 : ru.ru_maxrss;
}

static json_t *show_version(struct cmd_ctx *c)
{
	struct utsname u;
	struct global *g = (void *)(uintptr_t)txn_running();

	uname(&u);
	return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:I}", "version", RTR_VERSION,
			 "hostname", g->hostname ? g->hostname : "rtr", "kernel", u.release,
			 "machine", u.machine, "uptime_sec", (json_int_t)(time(NULL) - started),
			 "revision", (json_int_t)txn_revision(), "kernel_writes",
			 (json_int_t)nlq_writes(), "degraded", txn_degraded(), "memory_kib",
			 (json_int_t)peak_kib());
}

static void print_version(struct cmd_ctx *c, const json_t *doc)
{
	json_int_t up = json_integer_value(json_object_get(doc, "uptime_sec"));

	cmd_printf(c, "rtr %s, Linux %s %s\n", json_string_value(json_object_get(doc, "version")),
		   json_string_value(json_object_get(doc, "kernel")),
		   json_string_value(json_object_get(doc, "machine")));
	cmd_printf(c, "%s uptime is %d days, %d hours, %d minutes\n",
		   json_string_value(json_object_get(doc, "hostname")), (int)(up / 86400),
		   (int)(up / 3600 % 24), (int)(up / 60 % 60));
	cmd_printf(c,
		   "%" JSON_INTEGER_FORMAT " changes of the configuration, %" JSON_INTEGER_FORMAT
		   " kernel writes, peak memory %" JSON_INTEGER_FORMAT " KiB\n",
		   json_integer_value(json_object_get(doc, "revision")),
		   json_integer_value(json_object_get(doc, "kernel_writes")),
		   json_integer_value(json_object_get(doc, "memory_kib")));
	if (json_is_true(json_object_get(doc, "degraded")))
		cmd_puts(c, "State DEGRADED: see show kernel drift\n");
}

static json_t *show_clock(struct cmd_ctx *c)
{
	time_t now = time(NULL);
	char text[64];
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(text, sizeof(text), "%H:%M:%S %Z %a %b %e %Y", &tm);
	return json_pack("{s:s,s:I}", "text", text, "unix", (json_int_t)now);
}

static void print_clock(struct cmd_ctx *c, const json_t *doc)
{
	cmd_printf(c, "%s\n", json_string_value(json_object_get(doc, "text")));
}

static const struct cmd cmds[] = {
	{ "enable", "Turn on privileged commands", .run = enable },
	{ "disable", "Turn off privileged commands", .run = disable },
	{ "exit", "Leave rtrctl", .run = leave },
	{ "logout", "Leave rtrctl", .run = leave },
	{ "quit", "Leave rtrctl", .run = leave },
	{ "terminal length <rows:U32(0,512)>", "Lines on a page; 0 turns the pager off",
	  .run = terminal_length },
	{ "terminal width <cols:U32(20,512)>", "Columns of the terminal", .run = terminal_width },
	{ "terminal monitor", "Show log lines in this session", .run = terminal_monitor },
	{ "terminal no monitor", "Show log lines no more", .run = terminal_no_monitor },
	{ "show version", "Version, uptime, kernel", .data = show_version, .text = print_version },
	{ "show clock", "Time of day", .data = show_clock, .text = print_clock },
	{ "show users", "Sessions", .data = show_users, .text = print_users },
	{ "show history", "Commands typed in this session", .data = show_history,
	  .text = print_lines },
};

static const struct sch_word words[] = {
	{ "ip", "IPv4" },
	{ "ipv6", "IPv6" },
	{ "terminal", "Settings of this terminal" },
	{ "length", "Lines on a page" },
	{ "width", "Columns" },
	{ "monitor", "Log lines in this session" },
	{ "no", "Negate" },
	{ "clear", "Reset" },
};

static int init(void)
{
	started = time(NULL);
	return 0;
}

static const struct domain system_domain = {
	.name = "system",
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.init = init,
	.check = check,
};
RTR_DOMAIN(system_domain);
