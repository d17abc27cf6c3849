/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ping and traceroute, with IOS's options and output. */
#include "cli/command.h"
#include "diag/probe.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "schema/types.h"

#include <errno.h>
#include <string.h>

#define PING_SIZE    100
#define PING_REPEAT  5
#define PING_TIMEOUT 2
/* Kept for the document; of more only the sums are. A million would be half a gigabyte. */
#define PING_ANSWERS  1000
#define TRACE_SIZE    60
#define TRACE_PORT    33434
#define TRACE_TIMEOUT 3
#define TRACE_PROBES  3
#define TRACE_TTL_MAX 30

struct run {
	struct cmd_ctx *c;
	struct probe *probe;
	struct probe_opts o;
	uint32_t repeat, timeout, done, good;
	uint64_t min_us, max_us, sum_us;
	char dst[RTR_ADDR_STRLEN + IFNAMSIZ]; /* the destination as typed */
	json_t *answers;                      /* for | json */
	struct event *again;
	/* traceroute */
	unsigned ttl, ttl_max, probes, probe_no;
	struct rtr_addr last_from;
	bool arrived, stopped;
	json_t *hop;
};

/* source: an address, or an interface whose first address it is */
static bool read_source(struct cmd_ctx *c, struct run *r)
{
	char name[IFNAMSIZ];
	const struct shadow_link *l;

	if (cmd_get(c, "src", &r->o.src)) {
		if (r->o.src.family != r->o.dst.family) {
			cmd_fail(c, "The source is of the other address family");
			return false;
		}
		return true;
	}
	if (!cmd_get(c, "ifname", name))
		return true;
	l = iface_link(name);
	for (size_t i = 0; l && i < l->n_addrs; i++) {
		if (l->addrs[i].addr.addr.family == r->o.dst.family &&
		    rtr_addr_is_linklocal(&l->addrs[i].addr.addr) == (r->o.ifindex != 0)) {
			r->o.src = l->addrs[i].addr.addr;
			return true;
		}
	}
	cmd_fail(c, "%s: %s", name,
		 l ? "has no address of that family" : "there is no such interface");
	return false;
}

/* The destination; a link-local one with its interface, which may also be the source's. */
static bool read_dest(struct cmd_ctx *c, struct run *r)
{
	struct zoned_addr z = { 0 };
	const struct shadow_link *l;
	char text[RTR_ADDR_STRLEN];

	cmd_get(c, "dst", &z);
	r->o.dst = z.addr;
	snprintf(r->dst, sizeof(r->dst), "%s%s%s", rtr_addr_str(&z.addr, text), *z.zone ? "%" : "",
		 z.zone);
	if (z.addr.family != AF_INET6 || !rtr_addr_is_linklocal(&z.addr))
		return true;
	if (!*z.zone && !cmd_get(c, "ifname", z.zone)) {
		cmd_fail(c, "A link-local address needs its interface: %s%%IFNAME", text);
		return false;
	}
	l = iface_link(z.zone);
	if (l)
		r->o.ifindex = l->ifindex;
	else
		cmd_fail(c, "%s: there is no such interface", z.zone);
	return l != NULL;
}

/* IOS has `vrf NAME` before the destination; behind it it stands with the other options. */
static bool read_vrf(struct cmd_ctx *c, struct run *r, char name[IFNAMSIZ])
{
	char *typed = NULL;
	const struct shadow_link *l;

	if (!cmd_get(c, "vrf", &typed) && !cmd_get(c, "in_vrf", &typed))
		return true;
	l = shadow_link_by_name(typed);
	if (l && !strcmp(l->kind, "vrf")) {
		rtr_strlcpy(name, l->name, IFNAMSIZ);
		r->o.vrf = name;
	} else {
		cmd_fail(c, "There is no VRF %s", typed);
	}
	free(typed);
	return r->o.vrf != NULL;
}

static void end(struct run *r)
{
	struct cmd_ctx *c = r->c;

	if (r->probe)
		probe_free(r->probe);
	if (r->again)
		event_free(r->again);
	json_decref(r->answers);
	json_decref(r->hop);
	free(r);
	cmd_done(c);
}

static void print_json(struct cmd_ctx *c, json_t *doc)
{
	char *text = json_dumps(doc, JSON_INDENT(2));

	cmd_printf(c, "%s\n", text);
	free(text);
	json_decref(doc);
}

static void fail_run(struct run *r, int error)
{
	cmd_fail(r->c, "%s",
		 error == -EADDRNOTAVAIL ? "The source is not an address of this router"
					 : strerror(-error));
	end(r);
}

static struct run *new_run(struct cmd_ctx *c, enum probe_kind kind, probe_done_fn done)
{
	struct run *r = xcalloc(1, sizeof(*r));
	char vrf[IFNAMSIZ];
	int e;

	r->c = c;
	r->o.kind = kind;
	r->o.size = kind == PROBE_UDP ? TRACE_SIZE : PING_SIZE;
	r->o.port = TRACE_PORT;
	cmd_get(c, "size", &r->o.size);
	r->o.df = cmd_flag(c, "df_bit");
	if (!read_dest(c, r) || !read_source(c, r) || !read_vrf(c, r, vrf)) {
		free(r);
		return NULL;
	}
	if (cmd_json(c))
		r->answers = json_array();
	cmd_set_data(c, r);
	cmd_pend(c);
	r->probe = probe_new(cmd_base(), &r->o, done, r, &e);
	r->o.vrf = NULL;
	if (!r->probe) {
		fail_run(r, e);
		return NULL;
	}
	return r;
}

/* ---- ping ---- */

static void ping_end(struct run *r)
{
	unsigned percent = r->done ? r->good * 100 / r->done : 0;

	if (r->answers) {
		print_json(r->c, json_pack("{s:s,s:i,s:i,s:i,s:O,s:i,s:f,s:f,s:f}", "destination",
					   r->dst, "sent", (int)r->done, "received", (int)r->good,
					   "success_percent", (int)percent, "answers", r->answers,
					   "answers_left_out",
					   (int)(r->done - json_array_size(r->answers)), "min_ms",
					   (double)r->min_us / 1000, "avg_ms",
					   r->good ? (double)r->sum_us / r->good / 1000 : 0.0,
					   "max_ms", (double)r->max_us / 1000));
	} else {
		cmd_printf(r->c, "\nSuccess rate is %u percent (%u/%u)", percent, r->good, r->done);
		if (r->good)
			cmd_printf(r->c, ", round-trip min/avg/max = %llu/%llu/%llu ms",
				   (unsigned long long)(r->min_us + 500) / 1000,
				   (unsigned long long)(r->sum_us / r->good + 500) / 1000,
				   (unsigned long long)(r->max_us + 500) / 1000);
		cmd_puts(r->c, "\n");
	}
	end(r);
}

static void ping_next(struct run *r);

static void keep_answer(struct run *r, enum probe_answer a, uint64_t us,
			const struct rtr_addr *from, unsigned mtu)
{
	char code[2] = { (char)a, 0 }, buf[RTR_ADDR_STRLEN];
	json_t *o;

	if (json_array_size(r->answers) == PING_ANSWERS)
		return;
	o = json_pack("{s:s}", "code", code);
	if (from->family)
		json_object_set_new(o, "from", json_string(rtr_addr_str(from, buf)));
	if (a == PROBE_REPLY)
		json_object_set_new(o, "ms", json_real((double)us / 1000));
	if (mtu)
		json_object_set_new(o, "mtu", json_integer(mtu));
	json_array_append_new(r->answers, o);
}

static void ping_answer(void *arg, enum probe_answer a, uint64_t us, const struct rtr_addr *from,
			unsigned mtu)
{
	struct run *r = arg;

	r->done++;
	if (a == PROBE_REPLY) {
		r->good++;
		r->sum_us += us;
		r->min_us = r->good == 1 ? us : MIN(r->min_us, us);
		r->max_us = MAX(r->max_us, us);
	}
	if (r->answers) {
		keep_answer(r, a, us, from, mtu);
	} else {
		cmd_printf(r->c, "%c%s", (char)a, r->done % 70 ? "" : "\n");
	}
	ping_next(r);
}

static void ping_again(evutil_socket_t fd, short what, void *arg)
{
	ping_answer(arg, PROBE_TOO_BIG, 0, &(struct rtr_addr){ 0 }, 0);
}

/* What the own stack refuses is an answer too, told from the loop so that a thousand of them do
 * not nest. */
static void ping_next(struct run *r)
{
	struct timeval now = { 0 };
	int e;

	if (r->done == r->repeat || r->stopped) {
		ping_end(r);
		return;
	}
	e = probe_send(r->probe, 0, r->timeout * 1000);
	if (!e)
		return;
	if (e != -EMSGSIZE) {
		if (r->done && !r->answers)
			cmd_puts(r->c, "\n");
		fail_run(r, e);
		return;
	}
	if (!r->again)
		r->again = evtimer_new(cmd_base(), ping_again, r);
	event_add(r->again, &now);
}

static void ping(struct cmd_ctx *c)
{
	struct run *r = new_run(c, PROBE_ECHO, ping_answer);

	if (!r)
		return;
	r->repeat = PING_REPEAT;
	r->timeout = PING_TIMEOUT;
	cmd_get(c, "repeat", &r->repeat);
	cmd_get(c, "timeout", &r->timeout);
	if (!r->answers)
		cmd_printf(
			c,
			"Type escape sequence to abort.\nSending %u, %u-byte ICMP Echos to %s, timeout is %u seconds:\n",
			r->repeat, r->o.size, r->dst, r->timeout);
	ping_next(r);
}

static void ping_stop(struct cmd_ctx *c)
{
	ping_end(cmd_data(c));
}

/* ---- traceroute ---- */

static void trace_end(struct run *r)
{
	if (r->answers) {
		print_json(r->c, json_pack("{s:s,s:b,s:O}", "destination", r->dst, "reached",
					   r->arrived, "hops", r->answers));
	}
	end(r);
}

static void trace_stop(struct cmd_ctx *c)
{
	struct run *r = cmd_data(c);

	if (!r->answers)
		cmd_puts(c, "\n");
	trace_end(r);
}

static void trace_next(struct run *r)
{
	int e;

	if (r->probe_no == r->probes) {
		if (r->answers) {
			json_array_append_new(r->answers, r->hop);
			r->hop = NULL;
		} else {
			cmd_puts(r->c, "\n");
		}
		if (r->arrived || r->ttl == r->ttl_max) {
			trace_end(r);
			return;
		}
		r->ttl++;
		r->probe_no = 0;
	}
	if (!r->probe_no) {
		r->last_from = (struct rtr_addr){ 0 };
		if (r->answers)
			r->hop = json_pack("{s:i,s:[]}", "ttl", (int)r->ttl, "probes");
		else
			cmd_printf(r->c, "%3u", r->ttl);
	}
	e = probe_send(r->probe, r->ttl, r->timeout * 1000);
	if (e)
		fail_run(r, e);
}

static void trace_answer(void *arg, enum probe_answer a, uint64_t us, const struct rtr_addr *from,
			 unsigned mtu)
{
	struct run *r = arg;
	char buf[RTR_ADDR_STRLEN];

	r->probe_no++;
	/* Whatever the last one on the way says, nothing lies behind it. */
	r->arrived |= a != PROBE_TTL && a != PROBE_TIMEOUT;
	if (r->answers) {
		char code[2] = { (char)a, 0 };
		json_t *o = json_pack("{s:s}", "code", code);

		if (from->family) {
			json_object_set_new(o, "from", json_string(rtr_addr_str(from, buf)));
			json_object_set_new(o, "ms", json_real((double)us / 1000));
		}
		json_array_append_new(json_object_get(r->hop, "probes"), o);
	} else if (a == PROBE_TIMEOUT) {
		cmd_puts(r->c, "  *");
	} else {
		if (rtr_addr_cmp(from, &r->last_from))
			cmd_printf(r->c, " %s", rtr_addr_str(from, buf));
		cmd_printf(r->c, " %llu msec%s", (unsigned long long)(us + 500) / 1000,
			   a == PROBE_UNREACHABLE  ? " !H"
			   : a == PROBE_PROHIBITED ? " !A"
						   : "");
		r->last_from = *from;
	}
	trace_next(r);
}

static void traceroute(struct cmd_ctx *c)
{
	struct run *r = new_run(c, PROBE_UDP, trace_answer);
	uint32_t n;

	if (!r)
		return;
	r->timeout = TRACE_TIMEOUT;
	r->probes = TRACE_PROBES;
	r->ttl = 1;
	r->ttl_max = TRACE_TTL_MAX;
	cmd_get(c, "timeout", &r->timeout);
	if (cmd_get(c, "probes", &n))
		r->probes = n;
	if (cmd_get(c, "first", &n))
		r->ttl = n;
	if (cmd_get(c, "last", &n))
		r->ttl_max = MAX(n, r->ttl);
	if (!r->answers)
		cmd_printf(c, "Type escape sequence to abort.\nTracing the route to %s\n", r->dst);
	trace_next(r);
}

#define VRF    "[ vrf <vrf:WORD>]"
#define IN_VRF "[ vrf <in_vrf:WORD>]"
#define SOURCE "[ source {<src:ADDR>|<ifname:IFNAME>}]"

static const struct cmd cmds[] = {
	{ "ping" VRF
	  "[ {ip|ipv6}] <dst:DEST>[ repeat <repeat:U32(1,1000000)>][ size <size:U32(36,18024)>][ timeout <timeout:U32(1,3600)>]"
	  "[ df-bit]" SOURCE IN_VRF,
	  "Send echo requests", .run = ping, .interrupt = ping_stop },
	{ "traceroute" VRF
	  "[ {ip|ipv6}] <dst:DEST>[ numeric][ probe <probes:U32(1,10)>][ timeout <timeout:U32(1,60)>]"
	  "[ ttl <first:U32(1,255)> <last:U32(1,255)>]" SOURCE IN_VRF,
	  "Find the way to a destination", .run = traceroute, .interrupt = trace_stop },
};

static const struct sch_word words[] = {
	{ "ping", "Send echo requests" },
	{ "traceroute", "Find the way to a destination" },
	{ "repeat", "How many" },
	{ "size", "Bytes of the whole packet" },
	{ "timeout", "Seconds to wait for an answer" },
	{ "df-bit", "Do not fragment" },
	{ "source", "Source address, or the interface that has it" },
	{ "numeric", "No names (always so)" },
	{ "probe", "Probes a hop" },
	{ "ttl", "First and last time to live" },
};

static const struct domain ping_domain = {
	.name = "ping",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(ping_domain);
