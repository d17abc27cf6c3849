/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "diag/diagnose.h"

#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "schema/types.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define ECHO_SIZE 64

/* ---- the document ---- */

RTR_PRINTF(1, 0)
static char *text_of(const char *fmt, va_list ap)
{
	struct strbuf b = STRBUF_INIT;

	strbuf_vaddf(&b, fmt, ap);
	return strbuf_steal(&b);
}

void diag_step(struct diagnose *d, const char *layer, enum diag_result r, const char *fmt, ...)
{
	static const char *const words[] = { "ok", "bad", "note" };
	char *text;
	va_list ap;

	va_start(ap, fmt);
	text = text_of(fmt, ap);
	va_end(ap);
	json_array_append_new(d->steps, json_pack("{s:s,s:s,s:s}", "layer", layer, "result",
						  words[r], "evidence", text));
	if (!cmd_json(d->c))
		cmd_printf(d->c, "%-5s %-11s %s\n", words[r], layer, text);
	free(text);
}

void diag_fix(struct diagnose *d, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = text_of(fmt, ap);
	va_end(ap);
	json_array_append_new(d->fix, json_string(text));
	free(text);
}

static void stop_questions(struct diagnose *d)
{
	if (d->probe)
		d->probe = probe_free(d->probe);
	d->who = whohas_free(d->who);
	if (d->connect)
		event_free(d->connect);
	if (d->timer)
		event_free(d->timer);
	if (d->fd >= 0)
		close(d->fd);
	d->connect = d->timer = NULL;
	d->fd = -1;
}

static void end(struct diagnose *d)
{
	struct cmd_ctx *c = d->c;

	stop_questions(d);
	json_decref(d->steps);
	json_decref(d->fix);
	free(d);
	cmd_done(c);
}

static void print_verdict(struct diagnose *d, const char *layer, const char *why)
{
	json_t *line;
	size_t i;

	cmd_printf(d->c, "\n%s: %s\n", strcmp(layer, LAYER_NONE) ? layer : "No fault found", why);
	if (json_array_size(d->fix))
		cmd_puts(d->c, "It would be mended by:\n");
	json_array_foreach(d->fix, i, line)
		cmd_printf(d->c, "  %s\n", json_string_value(line));
}

void diag_verdict(struct diagnose *d, const char *layer, const char *fmt, ...)
{
	char *why, *text;
	json_t *doc;
	va_list ap;

	va_start(ap, fmt);
	why = text_of(fmt, ap);
	va_end(ap);
	if (cmd_json(d->c)) {
		doc = json_pack("{s:s,s:s,s:b,s:s,s:O,s:O}", "destination", d->dst_text, "layer",
				layer, "good", !strcmp(layer, LAYER_NONE), "verdict", why, "fix",
				d->fix, "steps", d->steps);
		text = json_dumps(doc, JSON_INDENT(2));
		cmd_printf(d->c, "%s\n", text);
		free(text);
		json_decref(doc);
	} else {
		print_verdict(d, layer, why);
	}
	free(why);
	end(d);
}

/* ---- echoes ---- */

static void send_one(struct diagnose *d);

static void on_answer(void *arg, enum probe_answer a, uint64_t us, const struct rtr_addr *from,
		      unsigned mtu)
{
	struct diagnose *d = arg;

	if (a == PROBE_TIMEOUT && d->tries) {
		send_one(d);
		return;
	}
	d->answer(d, a, from, mtu);
}

/* What the own stack refuses, told from the loop like every answer. */
static void on_refused(evutil_socket_t fd, short what, void *arg)
{
	static const struct rtr_addr none;
	struct diagnose *d = arg;

	d->answer(d, d->refused, &none, 0);
}

static void send_one(struct diagnose *d)
{
	static const struct timeval now;
	int e;

	d->tries--;
	e = probe_send(d->probe, d->ttl, d->timeout_ms);
	if (!e)
		return;
	if (e == -EPERM || e == -EACCES) {
		diag_fix(d, "show firewall hooks names who drops packets of the router itself");
		diag_verdict(d, LAYER_POLICY, "the router's own rules drop what it sends to %s",
			     d->dst_text);
		return;
	}
	d->refused = e == -EMSGSIZE ? PROBE_TOO_BIG : PROBE_TIMEOUT;
	if (!d->timer)
		d->timer = evtimer_new(cmd_base(), on_refused, d);
	event_add(d->timer, &now);
}

void diag_ping(struct diagnose *d, unsigned tries, unsigned timeout_ms, unsigned ttl,
	       diag_answer_fn answer)
{
	struct probe_opts o = { .kind = PROBE_ECHO,
				.dst = d->dst,
				.size = d->size ? d->size : ECHO_SIZE,
				.df = d->df };
	int e;

	if (rtr_addr_is_linklocal(&d->dst))
		o.ifindex = d->hop_if;
	if (*d->vrf)
		o.vrf = d->vrf;
	if (d->probe)
		d->probe = probe_free(d->probe);
	d->tries = tries;
	d->timeout_ms = timeout_ms;
	d->ttl = ttl;
	d->answer = answer;
	d->probe = probe_new(cmd_base(), &o, on_answer, d, &e);
	if (d->probe)
		send_one(d);
	else
		diag_verdict(d, LAYER_NONE, "no probe can be sent: %s", strerror(-e));
}

/* ---- commands ---- */

static void stop(struct cmd_ctx *c)
{
	end(cmd_data(c));
}

static bool read_dest(struct cmd_ctx *c, struct diagnose *d)
{
	struct zoned_addr z = { 0 };
	char text[RTR_ADDR_STRLEN], name[IFNAMSIZ] = "";
	const struct shadow_link *l;

	cmd_get(c, "dst", &z);
	cmd_get(c, "ifname", name);
	if (!*name)
		rtr_strlcpy(name, z.zone, sizeof(name));
	d->dst = z.addr;
	snprintf(d->dst_text, sizeof(d->dst_text), "%s%s%s", rtr_addr_str(&z.addr, text),
		 *z.zone ? "%" : "", z.zone);
	if (rtr_addr_is_multicast(&d->dst) || rtr_addr_is_any(&d->dst)) {
		cmd_fail(c, "%s is no host's address", d->dst_text);
		return false;
	}
	if (!*name && rtr_addr_is_linklocal(&d->dst) && d->dst.family == AF_INET6) {
		cmd_fail(c, "A link-local address needs its interface: %s%%IFNAME", text);
		return false;
	}
	l = *name ? iface_link(name) : NULL;
	if (*name && !l) {
		cmd_fail(c, "%s: there is no such interface", name);
		return false;
	}
	d->hop_if = l ? l->ifindex : 0;
	return true;
}

static void enter_vrf(struct diagnose *d, const struct shadow_link *l)
{
	if (!l || strcmp(l->kind, "vrf"))
		return;
	rtr_strlcpy(d->vrf, l->name, sizeof(d->vrf));
	d->vrf_if = l->ifindex;
}

/* The one that is named, else that of the interface that is. */
static bool read_vrf(struct cmd_ctx *c, struct diagnose *d)
{
	const struct shadow_link *l = *d->from_if ? shadow_link_by_name(d->from_if)
						  : shadow_link_by_index(d->hop_if);
	char *name = NULL;

	if (!cmd_get(c, "vrf", &name)) {
		enter_vrf(d, l && l->master ? shadow_link_by_index(l->master) : NULL);
		return true;
	}
	enter_vrf(d, shadow_link_by_name(name));
	if (!*d->vrf)
		cmd_fail(c, "There is no VRF %s", name);
	else if (l && !diag_in_vrf(d, l))
		cmd_fail(c, "%s is not in vrf %s", iface_operator_name(l->name), name);
	free(name);
	return *d->vrf && (!l || diag_in_vrf(d, l));
}

static bool read_source(struct cmd_ctx *c, struct diagnose *d)
{
	char name[IFNAMSIZ];

	if (!cmd_get(c, "src", &d->src))
		return true;
	cmd_get(c, "iif", name);
	if (d->src.family != d->dst.family) {
		cmd_fail(c, "The source is of the other address family");
		return false;
	}
	if (!iface_link(name)) {
		cmd_fail(c, "%s: there is no such interface", name);
		return false;
	}
	rtr_strlcpy(d->from_if, iface_link(name)->name, IFNAMSIZ);
	return true;
}

static void run(struct cmd_ctx *c, void (*kind)(struct diagnose *d))
{
	struct diagnose *d = xcalloc(1, sizeof(*d));
	uint32_t port = 0;

	d->c = c;
	d->fd = -1;
	if (!read_dest(c, d) || !read_source(c, d) || !read_vrf(c, d)) {
		free(d);
		return;
	}
	d->proto = d->dst.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	if (cmd_get(c, "port", &port)) {
		d->port = (uint16_t)port;
		d->proto = cmd_choice(c, "proto") ? IPPROTO_UDP : IPPROTO_TCP;
	}
	d->steps = json_array();
	d->fix = json_array();
	cmd_set_data(c, d);
	cmd_pend(c);
	kind(d);
}

static void neighbor(struct cmd_ctx *c)
{
	run(c, diag_neighbour);
}

static void path(struct cmd_ctx *c)
{
	run(c, diag_path);
}

static void mtu(struct cmd_ctx *c)
{
	run(c, diag_mtu);
}

static const struct cmd cmds[] = {
	{ "diagnose neighbor[ vrf <vrf:WORD>] <dst:DEST>[ interface <ifname:IFNAME>]",
	  "Why a neighbour does not answer", .run = neighbor, .interrupt = stop },
	{ "diagnose path[ vrf <vrf:WORD>] <dst:DEST>[ {proto:tcp|udp} <port:U32(1,65535)>]"
	  "[ from <src:ADDR> interface <iif:IFNAME>]",
	  "Why a host cannot be reached: from the router, or from a host behind it", .run = path,
	  .interrupt = stop },
	{ "diagnose mtu[ vrf <vrf:WORD>] <dst:DEST>",
	  "How large packets may be, and who swallows larger ones", .run = mtu, .interrupt = stop },
};

static const struct sch_word words[] = {
	{ "diagnose", "Find the layer at fault" },
	{ "diagnose neighbor", "A host on a link" },
	{ "diagnose path", "A host anywhere" },
	{ "diagnose mtu", "Large packets to a host" },
	{ "diagnose neighbor interface", "The link that it should be on" },
	{ "from", "A host behind the router that cannot reach it" },
};

static const struct domain diagnose_domain = {
	.name = "diagnose",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(diagnose_domain);
