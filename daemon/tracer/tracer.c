/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command: packet-tracer input. */
#include "tracer/tracer.h"

#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "schema/types.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define TTL_DEFAULT 64

static uint16_t header_size(const struct pol_packet *p)
{
	unsigned l4 = p->proto == IPPROTO_TCP ? 20
		      : p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6 ||
				      p->proto == IPPROTO_UDP
			      ? 8
			      : 0;

	return (uint16_t)((p->family == AF_INET6 ? 40 : 20) + l4);
}

static void read_l4(struct cmd_ctx *c, struct pol_packet *p)
{
	uint32_t a = 0, b = 0;

	if (cmd_get(c, "protocol", &a)) {
		p->proto = (uint8_t)a;
	} else if (cmd_get(c, "type", &a)) {
		cmd_get(c, "code", &b);
		p->proto = p->family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		p->icmp_type = (uint8_t)a;
		p->icmp_code = (uint8_t)b;
		p->sport = p->dport = TRACER_ICMP_ID;
	} else {
		p->proto = cmd_choice(c, "proto") ? IPPROTO_UDP : IPPROTO_TCP;
		cmd_get(c, "sport", &a);
		cmd_get(c, "dport", &b);
		p->sport = (uint16_t)a;
		p->dport = (uint16_t)b;
		p->tcp_flags = p->proto == IPPROTO_TCP ? 0x02 : 0; /* SYN */
	}
	p->ttl = TTL_DEFAULT;
	p->len = header_size(p);
}

static bool read_ask(struct cmd_ctx *c, struct tracer_ask *a)
{
	char name[IFNAMSIZ];

	cmd_get(c, "ifname", name);
	cmd_get(c, "src", &a->pkt.src);
	cmd_get(c, "dst", &a->pkt.dst);
	if (!shadow_link_by_name(iface_kernel_name(name))) {
		cmd_fail(c, "%s: there is no such interface", name);
		return false;
	}
	if (a->pkt.src.family != a->pkt.dst.family) {
		cmd_fail(c, "The source is of the other address family");
		return false;
	}
	rtr_strlcpy(a->pkt.iif, iface_kernel_name(name), IFNAMSIZ);
	a->pkt.family = a->pkt.src.family;
	read_l4(c, &a->pkt);
	a->detailed = cmd_flag(c, "detailed");
	return true;
}

static void print(struct cmd_ctx *c, const json_t *doc)
{
	char *text;

	if (!cmd_json(c) && !cmd_flag(c, "json")) {
		tracer_print(c, doc);
		return;
	}
	text = json_dumps(doc, JSON_INDENT(2));
	cmd_printf(c, "%s\n", text);
	free(text);
}

static void trace(struct cmd_ctx *c)
{
	const struct policy *p = policy_running();
	struct tracer_ask a = { 0 };
	struct tracer_result r;

	if (!read_ask(c, &a))
		return;
	if (!p) {
		cmd_fail(c, "There is no policy yet");
		return;
	}
	tracer_run(&a, p, tracer_kernel(), &r);
	print(c, r.doc);
	json_decref(r.doc);
}

#define HEAD "packet-tracer input <ifname:IFNAME> "
#define TAIL "[ detailed][ json]"

static const struct cmd cmds[] = {
	{ HEAD
	  "{proto:tcp|udp} <src:ADDR> <sport:U32(0,65535)> <dst:ADDR> <dport:U32(0,65535)>" TAIL,
	  "What becomes of a packet that comes by an interface", .run = trace },
	{ HEAD "icmp <src:ADDR> <type:U32(0,255)> <code:U32(0,255)> <dst:ADDR>" TAIL,
	  "The same of an ICMP message", .run = trace },
	{ HEAD "rawip <src:ADDR> <protocol:U32(0,255)> <dst:ADDR>" TAIL,
	  "The same of a packet of any protocol", .run = trace },
};

static const struct sch_word words[] = {
	{ "packet-tracer", "Follow a packet through the router" },
	{ "packet-tracer input", "The interface that it comes by" },
	{ "rawip", "Protocol by its number" },
	{ "detailed", "The packet as each stage sees it" },
	{ "json", "As a JSON document" },
};

static const struct domain tracer = {
	.name = "tracer",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(tracer);
