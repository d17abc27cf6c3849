/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines "logging ...", show logging, and the domain "logging". */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "system/global.h"
#include "system/syslog.h"
#include "txn/txn.h"
#include "vrf/vrf.h"

#include <string.h>

SCH_TYPE(log_host, SCH_F(log_host, addr), SCH_F(log_host, transport), SCH_F(log_host, port));
/* Lists of their own, as those of the routes: what is left out cannot be part of a key. */
static struct sch_field log_host_vrf_fields[] = { SCH_F(log_host, addr), SCH_F(log_host, vrf),
						  SCH_F(log_host, transport),
						  SCH_F(log_host, port) };
struct sch_type log_host_vrf_type = {
	.name = "log_host_vrf",
	.size = sizeof(struct log_host),
	.fields = log_host_vrf_fields,
	.n_fields = ARRAY_LEN(log_host_vrf_fields),
};

#define LEVELS "emergencies|alerts|critical|errors|warnings|notifications|informational|debugging"
/* RFC 5424 table 1, in its order. */
#define FACILITIES                                                                                 \
	"kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|ntp|audit|alert|clock|" \
	"local0|local1|local2|local3|local4|local5|local6|local7"
#define HOST_OPTIONS "[ transport {transport:udp|tcp}][ port <port:U16(1,65535)>]"

static const char *const levels[] = {
	"emergencies", "alerts",        "critical",      "errors",
	"warnings",    "notifications", "informational", "debugging"
};

static const struct sch_row rows[] = {
	SCH_LIST("logging host <addr:ADDR>" HOST_OPTIONS, log_host, .key = "addr",
		 .help = "Send the log to this host, as RFC 5424"),
	SCH_LIST("logging host <addr:ADDR> vrf <vrf:WORD>" HOST_OPTIONS, log_host_vrf,
		 .key = "addr vrf", .help = "Send the log to this host of a VRF, as RFC 5424"),
	SCH_LEAF("logging trap {log_trap:" LEVELS "}", global,
		 .help = "Least severe lines that are sent to hosts, informational when not "
			 "configured"),
	SCH_LEAF(
		"logging facility {log_facility:" FACILITIES "}", global,
		.help = "Facility of the lines that are sent to hosts, local7 when not configured"),
	SCH_LEAF("logging source-interface <log_source:IFNAME>", global,
		 .help = "Interface whose address is the source of what is sent to hosts"),
	SCH_LEAF("logging origin-id <log_origin:WORD>", global,
		 .help = "Name that hosts get to see instead of the hostname"),
};

static const struct sch_word words[] = {
	{ "logging", "The log" },
	{ "logging host", "Send the log to a host" },
	{ "transport", "How lines are sent" },
	{ "udp", "One datagram a line (port 514)" },
	{ "tcp", "A connection, with counted octets (port 601)" },
	{ "port", "Port number" },
	{ "trap", "Least severe lines that are sent" },
	{ "facility", "Facility of the lines that are sent" },
	{ "origin-id", "Name of this router in the lines" },
	{ "emergencies", "0: the system is unusable" },
	{ "alerts", "1: action must be taken at once" },
	{ "critical", "2: critical conditions" },
	{ "errors", "3: error conditions" },
	{ "warnings", "4: warning conditions" },
	{ "notifications", "5: normal but significant" },
	{ "informational", "6: informational" },
	{ "debugging", "7: debugging" },
	{ "kern", "0: the kernel" },
	{ "user", "1: user programs" },
	{ "mail", "2: mail" },
	{ "daemon", "3: daemons" },
	{ "auth", "4: security" },
	{ "syslog", "5: syslog itself" },
	{ "lpr", "6: printers" },
	{ "news", "7: news" },
	{ "uucp", "8: UUCP" },
	{ "cron", "9: clock daemon" },
	{ "authpriv", "10: security, private" },
	{ "ftp", "11: FTP" },
	{ "ntp", "12: NTP" },
	{ "audit", "13: log audit" },
	{ "alert", "14: log alert" },
	{ "clock", "15: clock daemon" },
	{ "local0", "16: local use" },
	{ "local1", "17: local use" },
	{ "local2", "18: local use" },
	{ "local3", "19: local use" },
	{ "local4", "20: local use" },
	{ "local5", "21: local use" },
	{ "local6", "22: local use" },
	{ "local7", "23: local use" },
};

/* ---- check ---- */

static void check_hosts(struct check *c, const struct sch_type *type, size_t *n)
{
	const struct recvec *v = rec_kids(c->new, type);
	const struct log_host *h;
	char text[RTR_ADDR_STRLEN];

	*n += v->len;
	if (v == rec_kids(c->old, type))
		return;
	recvec_foreach(v, h) {
		if (rtr_addr_is_any(&h->addr) || rtr_addr_is_multicast(&h->addr) ||
		    rtr_addr_is_linklocal(&h->addr))
			check_error(c, &h->rec, "%s cannot be a log host",
				    rtr_addr_str(&h->addr, text));
		if (h->vrf)
			vrf_check_ref(c, &h->rec, h->vrf);
	}
}

static void check(struct check *c)
{
	const struct global *g = (const void *)c->new, *old = (const void *)c->old;
	size_t n = 0;

	check_hosts(c, &log_host_type, &n);
	check_hosts(c, &log_host_vrf_type, &n);
	if (n > SYSLOG_MAX_HOSTS)
		check_error(c, NULL, "logging host: %zu hosts, at most %d", n, SYSLOG_MAX_HOSTS);
	if (SCH_HAS(g, log_source) && strcmp(g->log_source, old->log_source) &&
	    !iface_find(c->new, g->log_source) && !c->offline && !iface_link(g->log_source))
		check_warn(c, NULL, "logging source-interface: there is no interface %s",
			   g->log_source);
}

/* ---- show logging ---- */

static void add_hosts(json_t *out, const struct sch_type *type)
{
	const struct recvec *v = rec_kids(txn_running(), type);
	const struct log_host *h;
	char text[RTR_ADDR_STRLEN];

	recvec_foreach(v, h) {
		struct syslog_view s = { .error = "" };
		json_t *o;

		syslog_view(h, &s);
		o = json_pack("{s:s,s:s,s:i,s:b,s:I,s:I,s:I,s:I}", "address",
			      rtr_addr_str(&h->addr, text), "transport",
			      h->transport == SYSLOG_TCP ? "tcp" : "udp", "port", syslog_port(h),
			      "open", s.open, "sent", (json_int_t)s.sent, "lost",
			      (json_int_t)s.lost, "queued", (json_int_t)s.queued, "errors",
			      (json_int_t)s.errors);
		if (h->vrf)
			json_object_set_new(o, "vrf", json_string(h->vrf));
		if (*s.error)
			json_object_set_new(o, "last_error", json_string(s.error));
		json_array_append_new(out, o);
	}
}

static void add_line(void *arg, const char *line)
{
	json_array_append_new(arg, json_string(line));
}

static json_t *show_hosts(struct cmd_ctx *c)
{
	json_t *hosts = json_array();

	add_hosts(hosts, &log_host_type);
	add_hosts(hosts, &log_host_vrf_type);
	return hosts;
}

static json_t *show_logging(struct cmd_ctx *c)
{
	const struct global *g = (const void *)txn_running();
	json_t *hosts = show_hosts(c), *buffer = json_array();

	log_foreach(add_line, buffer);
	return json_pack("{s:s,s:i,s:o,s:o}", "trap",
			 levels[SCH_HAS(g, log_trap) ? g->log_trap : SYSLOG_LEVEL_DEFAULT],
			 "facility",
			 SCH_HAS(g, log_facility) ? g->log_facility : SYSLOG_FACILITY_DEFAULT,
			 "hosts", hosts, "buffer", buffer);
}

static json_int_t int_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void print_host(struct cmd_ctx *c, const json_t *h)
{
	const char *vrf = json_string_value(json_object_get(h, "vrf"));
	const char *error = json_string_value(json_object_get(h, "last_error"));

	cmd_printf(c,
		   "    Logging to %s%s%s (%s port %d, %s): %" JSON_INTEGER_FORMAT
		   " lines sent, %" JSON_INTEGER_FORMAT " lost, %" JSON_INTEGER_FORMAT
		   " waiting, %" JSON_INTEGER_FORMAT " errors%s%s\n",
		   json_string_value(json_object_get(h, "address")), vrf ? " vrf " : "",
		   vrf ? vrf : "", json_string_value(json_object_get(h, "transport")),
		   (int)int_of(h, "port"),
		   json_is_true(json_object_get(h, "open")) ? "open" : "closed", int_of(h, "sent"),
		   int_of(h, "lost"), int_of(h, "queued"), int_of(h, "errors"),
		   error ? ", the last one: " : "", error ? error : "");
}

static void print_hosts(struct cmd_ctx *c, const json_t *hosts)
{
	json_t *e;
	size_t i;

	json_array_foreach(hosts, i, e)
		print_host(c, e);
}

static void print_logging(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *hosts = json_object_get(doc, "hosts"),
		     *buffer = json_object_get(doc, "buffer");
	json_t *e;
	size_t i;

	cmd_printf(c, "Trap logging: level %s, %zu hosts\n",
		   json_string_value(json_object_get(doc, "trap")), json_array_size(hosts));
	print_hosts(c, hosts);
	cmd_printf(c, "Log buffer: %zu of %d lines\n\n", json_array_size(buffer),
		   LOG_BUFFER_DEFAULT);
	json_array_foreach(buffer, i, e)
		cmd_printf(c, "%s\n", json_string_value(e));
}

static void clear_logging(struct cmd_ctx *c)
{
	log_clear();
}

static const struct cmd cmds[] = {
	{ "show logging", "The log buffer, and the hosts that the log is sent to",
	  .data = show_logging, .text = print_logging },
	{ "show logging hosts", "The hosts that the log is sent to", .data = show_hosts,
	  .text = print_hosts },
	{ "clear logging", "Empty the log buffer", .run = clear_logging, .admin = true },
};

static const char *const after_links[] = { "links", NULL };

static const struct domain logging_domain = {
	.name = "logging",
	.after = after_links,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.init = syslog_init,
	.fini = syslog_fini,
	.observed = syslog_observed,
	.check = check,
};
RTR_DOMAIN(logging_domain);
