/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show interfaces, show ip interface brief and their kin, in IOS's shapes. */
#include "iface/iface_show.h"

#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "neigh/dad.h"
#include "schema/text.h"
#include "schema/types.h"
#include "txn/txn.h"
#include "vrrp/vrrp.h"

#include <inttypes.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
	const struct shadow_link *x = *(const struct shadow_link *const *)a;
	const struct shadow_link *y = *(const struct shadow_link *const *)b;
	static const struct val_type *ifname;

	if (!ifname)
		ifname = val_type_find("IFNAME", 6);
	return ifname->cmp(iface_operator_name(x->name), iface_operator_name(y->name));
}

/* All links, or the one named; *ret_n = 0 after cmd_fail. The caller frees. */
static const struct shadow_link **pick(struct cmd_ctx *c, size_t *ret_n)
{
	const struct shadow_link **v = xcalloc(shadow_n_links() + 1, sizeof(*v)), *l;
	char name[IFNAMSIZ];
	size_t n = 0;

	if (cmd_get(c, "ifname", name)) {
		l = iface_link(name);
		if (l)
			v[n++] = l;
		else
			cmd_fail(c, "%s: there is no such interface%s", name,
				 iface_find(txn_running(), name)
					 ? " in the kernel now (it is configured)"
					 : "");
	} else {
		for (l = shadow_link_next(NULL); l; l = shadow_link_next(l))
			v[n++] = l;
		qsort(v, n, sizeof(*v), by_name);
	}
	*ret_n = n;
	return v;
}

static const char *mac_text(const uint8_t mac[6], char buf[16])
{
	snprintf(buf, 16, "%02x%02x.%02x%02x.%02x%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
	return buf;
}

static const char *status_text(const struct shadow_link *l)
{
	return !(l->flags & IFF_UP)   ? "administratively down"
	       : shadow_link_is_up(l) ? "up"
				      : "down";
}

static json_t *addrs_json(const struct shadow_link *l)
{
	json_t *out = json_array();

	for (size_t i = 0; i < l->n_addrs; i++) {
		const struct shadow_addr *a = &l->addrs[i];
		bool v4 = a->addr.addr.family == AF_INET;
		char buf[RTR_PREFIX_STRLEN];
		json_t *o = json_pack("{s:s,s:s,s:b,s:b}", "address", rtr_prefix_str(&a->addr, buf),
				      "family", v4 ? "ipv4" : "ipv6", "configured", a->ours, "vrrp",
				      !a->ours && vrrp_set_addr(l, a));

		if (v4)
			json_object_set_new(o, "secondary",
					    json_boolean(a->flags & IFA_F_SECONDARY));
		else
			json_object_set_new(o, "state",
					    json_string(a->flags & IFA_F_DADFAILED ? "DUPLICATE"
							: a->flags & IFA_F_TENTATIVE
								? "TENTATIVE"
								: "PREFERRED"));
		dad_describe(l->ifindex, &a->addr.addr, o);
		json_array_append_new(out, o);
	}
	return out;
}

static json_t *counters_json(const struct rtnl_link_stats64 *s)
{
	return json_pack(
		"{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "rx_packets",
		(json_int_t)s->rx_packets, "rx_bytes", (json_int_t)s->rx_bytes, "rx_errors",
		(json_int_t)s->rx_errors, "rx_dropped", (json_int_t)s->rx_dropped, "rx_missed",
		(json_int_t)s->rx_missed_errors, "rx_crc", (json_int_t)s->rx_crc_errors, "rx_frame",
		(json_int_t)s->rx_frame_errors, "multicast", (json_int_t)s->multicast, "tx_packets",
		(json_int_t)s->tx_packets, "tx_bytes", (json_int_t)s->tx_bytes, "tx_errors",
		(json_int_t)s->tx_errors, "tx_dropped", (json_int_t)s->tx_dropped, "collisions",
		(json_int_t)s->collisions);
}

/* The lines of its mode, without those that what is above says already. */
static json_t *config_json(const struct iface *i)
{
	static const char *const said[] = { "description ", "ip address ", "ipv6 address " };
	struct strbuf b = STRBUF_INIT;
	struct rec *root = model_new();
	json_t *out = json_array();
	char *rest = NULL;

	rec_put(root, rec_ref((struct rec *)(uintptr_t)&i->rec));
	text_config(root, TEXT_MASKED | TEXT_NO_TOP, &b);
	for (char *l = strtok_r(b.s, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest)) {
		bool skip = *l++ != ' ';

		for (size_t k = 0; k < ARRAY_LEN(said); k++)
			skip |= !strncmp(l, said[k], strlen(said[k]));
		if (!skip)
			json_array_append_new(out, json_string(l));
	}
	rec_unref(root);
	strbuf_fini(&b);
	return out;
}

static json_t *link_json(const struct shadow_link *l)
{
	const struct iface_seen *s = iface_seen_get(l->ifindex);
	const struct shadow_link *master = l->master ? shadow_link_by_index(l->master) : NULL;
	const struct iface *i = iface_find(txn_running(), iface_operator_name(l->name));
	char mac[16];
	json_t *o = json_pack("{s:s,s:s,s:b,s:s,s:i,s:s,s:b,s:i,s:I,s:o,s:o}", "name",
			      iface_operator_name(l->name), "status", status_text(l),
			      "line_protocol", shadow_link_is_up(l), "kind", l->kind, "mtu",
			      (int)l->mtu, "mac", l->has_mac ? mac_text(l->mac, mac) : "",
			      "configured", i != NULL, "flaps", (int)s->flaps, "last_change",
			      (json_int_t)s->last_change, "addresses", addrs_json(l), "counters",
			      counters_json(&s->stats));

	json_object_set_new(o, "rates",
			    json_pack("{s:f,s:f,s:f,s:f}", "in_bps", s->rate[0], "in_pps",
				      s->rate[1], "out_bps", s->rate[2], "out_pps", s->rate[3]));
	json_object_set_new(o, "waiting", dad_waiting(l->ifindex));
	json_object_set_new(o, "vrrp", json_boolean(vrrp_is_vmac(l)));
	if (i)
		json_object_set_new(o, "configuration", config_json(i));
	if (l->alias)
		json_object_set_new(o, "description", json_string(l->alias));
	if (master)
		json_object_set_new(o, "master", json_string(iface_operator_name(master->name)));
	if (l->vlan_id)
		json_object_set_new(o, "vlan", json_integer(l->vlan_id));
	return o;
}

/* A line names it, and the kernel has no such link now. */
static json_t *absent_json(const struct iface *i)
{
	const struct recvec *v4 = rec_kids(&i->rec, &iface_addr4_type),
			    *v6 = rec_kids(&i->rec, &iface_addr6_type);
	json_t *addrs = json_array();
	char buf[RTR_PREFIX_STRLEN];

	for (size_t k = 0; k < v4->len; k++) {
		const struct iface_addr4 *a = (const void *)v4->v[k];

		json_array_append_new(addrs,
				      json_pack("{s:s,s:s,s:b,s:b}", "address",
						rtr_prefix_str(&a->addr, buf), "family", "ipv4",
						"configured", 1, "secondary", a->secondary));
	}
	for (size_t k = 0; k < v6->len; k++) {
		const struct iface_addr6 *a = (const void *)v6->v[k];

		json_array_append_new(addrs, json_pack("{s:s,s:s,s:b,s:s}", "address",
						       rtr_prefix_str(&a->addr, buf), "family",
						       "ipv6", "configured", 1, "state", "ABSENT"));
	}
	return json_pack("{s:s,s:s,s:b,s:b,s:o,s:s}", "name", i->name, "status",
			 i->shutdown ? "administratively down" : "absent", "line_protocol", 0,
			 "configured", 1, "addresses", addrs, "description",
			 i->description ? i->description : "");
}

static json_t *links_json(struct cmd_ctx *c)
{
	const struct shadow_link **v;
	json_t *out = NULL;
	size_t n;
	int r = iface_read_counters();

	if (r) {
		cmd_fail(c, "The kernel's counters cannot be read: %s", strerror(-r));
		return NULL;
	}
	v = pick(c, &n);
	if (n) {
		out = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(out, link_json(v[i]));
	}
	free(v);
	return out;
}

static int by_json_name(const void *a, const void *b)
{
	static const struct val_type *ifname;

	if (!ifname)
		ifname = val_type_find("IFNAME", 6);
	return ifname->cmp(json_string_value(json_object_get(*(json_t *const *)a, "name")),
			   json_string_value(json_object_get(*(json_t *const *)b, "name")));
}

static json_t *sorted(json_t *list)
{
	size_t n = json_array_size(list);
	json_t **v = xcalloc(n + 1, sizeof(*v)), *out = json_array();

	for (size_t i = 0; i < n; i++)
		v[i] = json_array_get(list, i);
	qsort(v, n, sizeof(*v), by_json_name);
	for (size_t i = 0; i < n; i++)
		json_array_append(out, v[i]);
	free(v);
	json_decref(list);
	return out;
}

/* Of a table of lines the interfaces that are configured and not there are part, too. */
static json_t *brief_json(struct cmd_ctx *c)
{
	const struct recvec *v = rec_kids(txn_running(), &iface_type);
	const struct iface *i;
	char name[IFNAMSIZ];
	json_t *out;

	if (cmd_get(c, "ifname", name)) {
		i = iface_find(txn_running(), name);
		return i && !iface_link(name) ? json_pack("[o]", absent_json(i)) : links_json(c);
	}
	out = links_json(c);
	recvec_foreach(v, i) {
		if (out && !iface_link(i->name))
			json_array_append_new(out, absent_json(i));
	}
	return out ? sorted(out) : NULL;
}

/* ---- tables ---- */

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static json_int_t num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *protocol(const json_t *o)
{
	return json_is_true(json_object_get(o, "line_protocol")) ? "up" : "down";
}

/* Ours before others': Loopback0 has 127.0.0.1 too. */
static const char *first_address(const json_t *o, const char *family, const char **ret_method)
{
	const char *other = NULL, *method = "unset";
	json_t *a;
	size_t i;

	json_array_foreach(json_object_get(o, "addresses"), i, a) {
		if (strcmp(str(a, "family"), family))
			continue;
		if (json_is_true(json_object_get(a, "configured"))) {
			*ret_method = "NVRAM";
			return str(a, "address");
		}
		if (!other) {
			other = str(a, "address");
			method = json_is_true(json_object_get(a, "vrrp")) ? "VRRP" : "other";
		}
	}
	*ret_method = method;
	return other ? other : "unassigned";
}

static void print_ip_brief(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_puts(
		c,
		"Interface              IP-Address      OK? Method Status                Protocol\n");
	json_array_foreach(doc, i, o) {
		const char *method, *addr = first_address(o, "ipv4", &method);

		cmd_printf(c, "%-22s %-15.*s YES %-6s %-21s %s\n", str(o, "name"),
			   (int)strcspn(addr, "/"), addr, method, str(o, "status"), protocol(o));
	}
}

static void print_ipv6_brief(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o, *a;
	size_t i, k;

	json_array_foreach(doc, i, o) {
		bool any = false;

		cmd_printf(c, "%-22s [%s/%s]\n", str(o, "name"), str(o, "status"), protocol(o));
		json_array_foreach(json_object_get(o, "addresses"), k, a) {
			const char *addr = str(a, "address");

			if (strcmp(str(a, "family"), "ipv6"))
				continue;
			any = true;
			cmd_printf(c, "    %.*s%s%s%s\n", (int)strcspn(addr, "/"), addr,
				   strcmp(str(a, "state"), "PREFERRED") ? " [" : "",
				   strcmp(str(a, "state"), "PREFERRED") ? str(a, "state") : "",
				   strcmp(str(a, "state"), "PREFERRED") ? "]" : "");
		}
		if (!any)
			cmd_puts(c, "    unassigned\n");
	}
}

static const char *mtu_text(const json_t *o, char buf[16])
{
	snprintf(buf, 16, "%" JSON_INTEGER_FORMAT, num(o, "mtu"));
	return json_object_get(o, "mtu") ? buf : "-";
}

static const char *dash(const char *text)
{
	return *text ? text : "-";
}

static void print_brief(struct cmd_ctx *c, const json_t *doc)
{
	char mtu[16];
	json_t *o;
	size_t i;

	cmd_puts(
		c,
		"Interface              Status                Protocol MTU    MAC             Description\n");
	json_array_foreach(doc, i, o)
		cmd_printf(c, "%-22s %-21s %-8s %-6s %-15s %s\n", str(o, "name"), str(o, "status"),
			   protocol(o), mtu_text(o, mtu), dash(str(o, "mac")),
			   str(o, "description"));
}

static void print_counters(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_puts(
		c,
		"Interface                    InOctets          InPkts       InMcastPkts         OutOctets         OutPkts\n");
	json_array_foreach(doc, i, o) {
		const json_t *k = json_object_get(o, "counters");

		cmd_printf(c,
			   "%-20s %17" PRId64 " %15" PRId64 " %17" PRId64 " %17" PRId64
			   " %15" PRId64 "\n",
			   str(o, "name"), (int64_t)num(k, "rx_bytes"),
			   (int64_t)num(k, "rx_packets"), (int64_t)num(k, "multicast"),
			   (int64_t)num(k, "tx_bytes"), (int64_t)num(k, "tx_packets"));
	}
}

static void print_errors(struct cmd_ctx *c, const json_t *doc)
{
	static const char *const keys[] = { "rx_errors", "rx_dropped", "rx_missed",  "rx_crc",
					    "rx_frame",  "tx_errors",  "tx_dropped", "collisions" };
	static const char *const heads[] = { "InErr", "InDrop", "Missed",  "CRC",
					     "Frame", "OutErr", "OutDrop", "Collis" };
	json_t *o;
	size_t i;

	cmd_printf(c, "%-20s", "Interface");
	for (size_t k = 0; k < ARRAY_LEN(heads); k++)
		cmd_printf(c, " %10s", heads[k]);
	cmd_puts(c, "\n");
	json_array_foreach(doc, i, o) {
		cmd_printf(c, "%-20s", str(o, "name"));
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			cmd_printf(c, " %10" JSON_INTEGER_FORMAT,
				   num(json_object_get(o, "counters"), keys[k]));
		cmd_puts(c, "\n");
	}
}

/* What is to be said about an address beside that it is there. */
static const char *dad_note(const json_t *a, char *buf, size_t size)
{
	const char *dad = str(a, "dad"), *state = str(a, "state");

	*buf = '\0';
	if (!strcmp(dad, "duplicate"))
		snprintf(buf, size, " [DUPLICATE: %s has it too]", str(a, "conflict_mac"));
	else if (!strcmp(dad, "probing"))
		snprintf(buf, size, " [TENTATIVE]");
	else if (*state && strcmp(state, "PREFERRED"))
		snprintf(buf, size, " [%s]", state);
	return buf;
}

static void print_one(struct cmd_ctx *c, const json_t *o, bool lines)
{
	char note[64];
	const json_t *k = json_object_get(o, "counters"), *r = json_object_get(o, "rates");
	json_t *a;
	size_t i;

	cmd_printf(c, "%s is %s, line protocol is %s\n", str(o, "name"), str(o, "status"),
		   protocol(o));
	if (*str(o, "mac"))
		cmd_printf(c, "  Hardware is %s, address is %s\n",
			   *str(o, "kind") ? str(o, "kind") : "Ethernet", str(o, "mac"));
	if (json_is_true(json_object_get(o, "vrrp")))
		cmd_puts(c, "  Made by rtr for the virtual MAC of a VRRP group\n");
	if (*str(o, "description"))
		cmd_printf(c, "  Description: %s\n", str(o, "description"));
	json_array_foreach(json_object_get(o, "addresses"), i, a)
		cmd_printf(c, "  %s address is %s%s%s%s\n",
			   strcmp(str(a, "family"), "ipv4") ? "IPv6" : "Internet",
			   str(a, "address"),
			   json_is_true(json_object_get(a, "secondary")) ? " secondary" : "",
			   json_is_true(json_object_get(a, "configured")) ? ""
			   : json_is_true(json_object_get(a, "vrrp"))     ? " (VRRP)"
									  : " (not ours)",
			   dad_note(a, note, sizeof(note)));
	json_array_foreach(json_object_get(o, "waiting"), i, a)
		cmd_printf(c, "  Internet address %s is not used%s\n", str(a, "address"),
			   dad_note(a, note, sizeof(note)));
	cmd_printf(c, "  MTU %" JSON_INTEGER_FORMAT " bytes\n", num(o, "mtu"));
	if (json_object_get(o, "vlan"))
		cmd_printf(c, "  Encapsulation 802.1Q, VLAN %" JSON_INTEGER_FORMAT "\n",
			   num(o, "vlan"));
	if (*str(o, "master"))
		cmd_printf(c, "  Member of %s\n", str(o, "master"));
	if (lines)
		json_array_foreach(json_object_get(o, "configuration"), i, a)
			cmd_printf(c, "  Configured: %s\n", json_string_value(a));
	cmd_printf(c, "  Last change %ld s ago, %" JSON_INTEGER_FORMAT " flaps since start\n",
		   (long)(time(NULL) - (time_t)num(o, "last_change")), num(o, "flaps"));
	cmd_printf(c, "  5 minute input rate %.0f bits/sec, %.0f packets/sec\n",
		   json_real_value(json_object_get(r, "in_bps")),
		   json_real_value(json_object_get(r, "in_pps")));
	cmd_printf(c, "  5 minute output rate %.0f bits/sec, %.0f packets/sec\n",
		   json_real_value(json_object_get(r, "out_bps")),
		   json_real_value(json_object_get(r, "out_pps")));
	cmd_printf(c,
		   "     %" JSON_INTEGER_FORMAT " packets input, %" JSON_INTEGER_FORMAT " bytes\n",
		   num(k, "rx_packets"), num(k, "rx_bytes"));
	cmd_printf(c,
		   "     %" JSON_INTEGER_FORMAT " multicast, %" JSON_INTEGER_FORMAT
		   " input errors, %" JSON_INTEGER_FORMAT " CRC, %" JSON_INTEGER_FORMAT
		   " frame, %" JSON_INTEGER_FORMAT " dropped, %" JSON_INTEGER_FORMAT " missed\n",
		   num(k, "multicast"), num(k, "rx_errors"), num(k, "rx_crc"), num(k, "rx_frame"),
		   num(k, "rx_dropped"), num(k, "rx_missed"));
	cmd_printf(c,
		   "     %" JSON_INTEGER_FORMAT " packets output, %" JSON_INTEGER_FORMAT " bytes\n",
		   num(k, "tx_packets"), num(k, "tx_bytes"));
	cmd_printf(c,
		   "     %" JSON_INTEGER_FORMAT " output errors, %" JSON_INTEGER_FORMAT
		   " collisions, %" JSON_INTEGER_FORMAT " dropped\n",
		   num(k, "tx_errors"), num(k, "collisions"), num(k, "tx_dropped"));
}

static void print_blocks(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	json_array_foreach(doc, i, o)
		print_one(c, o, false);
}

/* As above, with what is configured for its packets: lists, zone, translation, ... */
static void print_ip_blocks(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	json_array_foreach(doc, i, o)
		print_one(c, o, true);
}

static void show_running(struct cmd_ctx *c)
{
	char name[IFNAMSIZ] = "";
	const struct iface *i;
	struct rec *root;

	cmd_get(c, "ifname", name);
	i = iface_find(txn_running(), name);
	if (!i) {
		cmd_fail(c, "%s is not configured", name);
		return;
	}
	root = model_new();
	rec_put(root, rec_ref(&i->rec));
	cmd_config(c, root, cmd_flag(c, "all") ? TEXT_ALL | TEXT_NO_TOP : TEXT_NO_TOP);
	rec_unref(root);
}

static const struct cmd cmds[] = {
	{ "show running-config interface <ifname:IFNAME>[ all]",
	  "Current operating configuration of an interface", .run = show_running },
	{ "show interfaces[ <ifname:IFNAME>]", "State and counters of interfaces",
	  .data = links_json, .text = print_blocks },
	{ "show interfaces[ <ifname:IFNAME>] brief", "One line an interface", .data = brief_json,
	  .text = print_brief },
	{ "show interfaces[ <ifname:IFNAME>] description", "One line an interface",
	  .data = brief_json, .text = print_brief, .alias = true },
	{ "show interfaces[ <ifname:IFNAME>] counters", "Packets and bytes", .data = links_json,
	  .text = print_counters },
	{ "show interfaces[ <ifname:IFNAME>] counters errors", "Errors and drops",
	  .data = links_json, .text = print_errors },
	{ "show ip interface[ <ifname:IFNAME>]", "State, addresses and settings of interfaces",
	  .data = links_json, .text = print_ip_blocks },
	{ "show ipv6 interface[ <ifname:IFNAME>]", "State, addresses and settings of interfaces",
	  .data = links_json, .text = print_ip_blocks, .alias = true },
	{ "show ip interface[ <ifname:IFNAME>] brief", "Interfaces and their IPv4 addresses",
	  .data = brief_json, .text = print_ip_brief },
	{ "show ipv6 interface[ <ifname:IFNAME>] brief", "Interfaces and their IPv6 addresses",
	  .data = brief_json, .text = print_ipv6_brief },
};

static const struct sch_word words[] = {
	{ "interfaces", "State and counters of interfaces" },
	{ "interface", "Interfaces" },
	{ "brief", "One line each" },
	{ "description", "Descriptions" },
	{ "counters", "Packets and bytes" },
	{ "errors", "Errors and drops" },
};

static void offer_links(val_word_fn fn, void *arg)
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l))
		fn(arg, iface_operator_name(l->name));
	for (size_t i = 0; i < rec_kids(txn_running(), &iface_type)->len; i++) {
		const struct iface *f = (const void *)rec_kids(txn_running(), &iface_type)->v[i];

		if (!iface_link(f->name))
			fn(arg, f->name);
	}
}

static int init(void)
{
	val_ifname_source = offer_links;
	return 0;
}

static const struct domain iface_show_domain = {
	.name = "iface-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.init = init,
};
RTR_DOMAIN(iface_show_domain);
