/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show dhcp lease, renew dhcp, show ipv6 nd ra. */
#include "auto/auto.h"
#include "cli/command.h"
#include "domain.h"
#include "kernel/shadow.h"
#include "txn/txn.h"

#include <string.h>

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static long long int_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static json_t *addr_json(int family, const uint8_t *b)
{
	struct rtr_addr a = { .family = (uint8_t)family };
	char text[RTR_ADDR_STRLEN];

	memcpy(a.b, b, rtr_family_size(a.family));
	return json_string(rtr_addr_str(&a, text));
}

/* ---- DHCP ---- */

static json_t *lease_json(const struct iface *i)
{
	const struct lease *l = auto_lease(i);
	json_t *o = json_pack("{s:s,s:s}", "interface", i->name, "state",
			      l ? "bound" : "selecting"),
	       *routes, *dns;
	uint64_t now = auto_now_ns();

	if (!l)
		return o;
	routes = json_array();
	dns = json_array();
	json_object_set_new(o, "address", addr_json(AF_INET, l->e.addr));
	json_object_set_new(o, "length", json_integer(l->e.len));
	json_object_set_new(o, "server", addr_json(AF_INET, l->e.server));
	json_object_set_new(o, "lease_sec", json_integer(l->e.lease_sec));
	if (l->expire_ns != UINT64_MAX)
		json_object_set_new(
			o, "left_sec",
			json_integer((json_int_t)((l->expire_ns - now) / NSEC_PER_SEC)));
	json_object_set_new(o, "bound_sec",
			    json_integer((json_int_t)((now - l->bound_ns) / NSEC_PER_SEC)));
	for (unsigned k = 0; k < l->e.n_routes; k++) {
		struct rtr_prefix p = { .addr = { .family = AF_INET }, .len = l->e.routes[k].len };
		char text[RTR_PREFIX_STRLEN];

		memcpy(p.addr.b, l->e.routes[k].net, 4);
		json_array_append_new(routes,
				      json_pack("{s:s,s:o}", "prefix", rtr_prefix_str(&p, text),
						"via", addr_json(AF_INET, l->e.routes[k].gw)));
	}
	for (unsigned k = 0; k < l->e.n_dns; k++)
		json_array_append_new(dns, addr_json(AF_INET, l->e.dns[k]));
	json_object_set_new(o, "routes", routes);
	json_object_set_new(o, "name_servers", dns);
	if (*l->e.domain)
		json_object_set_new(o, "domain", json_string(l->e.domain));
	return o;
}

static json_t *show_lease(struct cmd_ctx *c)
{
	const struct recvec *ifaces = rec_kids(txn_running(), &iface_type);
	json_t *out = json_array();
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		if (i->dhcp)
			json_array_append_new(out, lease_json(i));
	}
	return out;
}

static void print_lease(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o, *e;
	size_t i, k;

	json_array_foreach(doc, i, o) {
		cmd_printf(c, "Interface %s: ", text_of(o, "interface"));
		if (strcmp(text_of(o, "state"), "bound")) {
			cmd_puts(c, "no lease yet\n");
			continue;
		}
		cmd_printf(c, "%s/%lld\n  DHCP Lease server: %s, state: Bound\n",
			   text_of(o, "address"), int_of(o, "length"), text_of(o, "server"));
		if (json_object_get(o, "left_sec"))
			cmd_printf(c, "  Lease: %lld secs, left: %lld secs\n",
				   int_of(o, "lease_sec"), int_of(o, "left_sec"));
		else
			cmd_puts(c, "  Lease: for ever\n");
		json_array_foreach(json_object_get(o, "routes"), k, e)
			cmd_printf(c, "  Route: %s via %s\n", text_of(e, "prefix"),
				   text_of(e, "via"));
		json_array_foreach(json_object_get(o, "name_servers"), k, e)
			cmd_printf(c, "  Name server: %s\n", json_string_value(e));
		if (*text_of(o, "domain"))
			cmd_printf(c, "  Domain: %s\n", text_of(o, "domain"));
	}
}

static void renew(struct cmd_ctx *c)
{
	char name[IFNAMSIZ];
	const struct iface *i;

	cmd_get(c, "ifname", name);
	i = iface_find(txn_running(), name);
	if (!i || !i->dhcp || !auto_renew(i))
		cmd_fail(c, "%s: there is no DHCP client on it", name);
}

/* ---- advertisements ---- */

static json_t *ra_json(const struct iface *i, const struct autod_ra *ra)
{
	json_t *prefixes = json_array(), *dns = json_array();

	for (unsigned k = 0; k < ra->n_prefixes; k++) {
		const struct autod_prefix *x = &ra->prefixes[k];
		struct rtr_prefix p = { .addr = { .family = AF_INET6 }, .len = x->len };
		char text[RTR_PREFIX_STRLEN];

		memcpy(p.addr.b, x->net, 16);
		json_array_append_new(prefixes, json_pack("{s:s,s:I,s:I,s:b,s:b}", "prefix",
							  rtr_prefix_str(&p, text), "valid_sec",
							  (json_int_t)x->valid_sec, "preferred_sec",
							  (json_int_t)x->preferred_sec, "on_link",
							  x->flags >> 7 & 1, "autoconfig",
							  x->flags >> 6 & 1));
	}
	for (unsigned k = 0; k < ra->n_dns; k++)
		json_array_append_new(dns, addr_json(AF_INET6, ra->dns[k]));
	return json_pack("{s:s,s:i,s:i,s:i,s:i,s:b,s:b,s:I,s:o,s:o}", "interface", i->name,
			 "interval_max_sec", ra->max_sec, "interval_min_sec", ra->min_sec,
			 "lifetime_sec", ra->lifetime_sec, "hop_limit", ra->hop_limit, "managed",
			 ra->flags >> 7 & 1, "other", ra->flags >> 6 & 1, "mtu",
			 (json_int_t)ra->mtu, "prefixes", prefixes, "name_servers", dns);
}

static json_t *show_ra(struct cmd_ctx *c)
{
	const struct recvec *ifaces = rec_kids(txn_running(), &iface_type);
	json_t *out = json_array();
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = iface_link(i->name);
		struct autod_ra ra;

		if (l && ra_wish(txn_running(), i, l, &ra))
			json_array_append_new(out, ra_json(i, &ra));
	}
	return out;
}

static void print_ra(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o, *p;
	size_t i, k;

	json_array_foreach(doc, i, o) {
		cmd_printf(c, "%s sends router advertisements every %lld to %lld seconds\n",
			   text_of(o, "interface"), int_of(o, "interval_min_sec"),
			   int_of(o, "interval_max_sec"));
		cmd_printf(c, "  Lifetime %lld seconds, hop limit %lld, MTU %lld\n",
			   int_of(o, "lifetime_sec"), int_of(o, "hop_limit"), int_of(o, "mtu"));
		json_array_foreach(json_object_get(o, "prefixes"), k, p)
			cmd_printf(c, "  Prefix %s, valid %lld, preferred %lld seconds%s%s\n",
				   text_of(p, "prefix"), int_of(p, "valid_sec"),
				   int_of(p, "preferred_sec"),
				   json_is_true(json_object_get(p, "on_link")) ? "" : ", off-link",
				   json_is_true(json_object_get(p, "autoconfig"))
					   ? ""
					   : ", no autoconfiguration");
		json_array_foreach(json_object_get(o, "name_servers"), k, p)
			cmd_printf(c, "  Name server %s\n", json_string_value(p));
	}
}

static const struct cmd cmds[] = {
	{ "show dhcp lease", "Addresses that came by DHCP", .data = show_lease,
	  .text = print_lease },
	{ "renew dhcp <ifname:IFNAME>", "Ask for the lease again", .run = renew, .admin = true },
	{ "show ipv6 nd ra", "Router advertisements that are sent", .data = show_ra,
	  .text = print_ra },
};

static const struct sch_word words[] = {
	{ "lease", "Addresses that came by DHCP" },
	{ "renew", "Ask again" },
	{ "show ipv6 nd", "Neighbour discovery" },
};

static const struct domain auto_show_domain = {
	.name = "autoconfiguration-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(auto_show_domain);
