/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show interfaces X queues | offload | rss | transceiver. */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "nic/module.h"
#include "nic/nic.h"

#include <errno.h>

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static long long int_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const struct shadow_link *link_of(struct cmd_ctx *c)
{
	const struct shadow_link *l;
	char name[IFNAMSIZ];

	cmd_get(c, "ifname", name);
	l = iface_link(name);
	if (!l)
		cmd_fail(c, "%s: there is no such interface", name);
	return l;
}

static json_t *show_queues(struct cmd_ctx *c)
{
	const struct shadow_link *l = link_of(c);
	struct nic_pair r;
	struct nic_queues q;
	json_t *o;

	if (!l)
		return NULL;
	o = json_pack("{s:s}", "name", iface_operator_name(l->name));
	if (!nic_queues(l->ifindex, &q))
		json_object_set_new(o, "queues",
				    json_pack("{s:I,s:I,s:I,s:I}", "combined",
					      (json_int_t)q.combined, "combined_max",
					      (json_int_t)q.combined_max, "rx", (json_int_t)q.rx,
					      "tx", (json_int_t)q.tx));
	if (!nic_rings(l->ifindex, &r))
		json_object_set_new(o, "rings",
				    json_pack("{s:I,s:I,s:I,s:I}", "rx", (json_int_t)r.rx, "rx_max",
					      (json_int_t)r.rx_max, "tx", (json_int_t)r.tx,
					      "tx_max", (json_int_t)r.tx_max));
	return o;
}

static void print_queues(struct cmd_ctx *c, const json_t *o)
{
	const json_t *q = json_object_get(o, "queues"), *r = json_object_get(o, "rings");

	cmd_printf(c, "%s\n", text_of(o, "name"));
	if (q)
		cmd_printf(c,
			   "  Queues: %lld combined (at most %lld), %lld receive, %lld transmit\n",
			   int_of(q, "combined"), int_of(q, "combined_max"), int_of(q, "rx"),
			   int_of(q, "tx"));
	else
		cmd_puts(c, "  Queues: the driver does not tell\n");
	if (r)
		cmd_printf(
			c, "  Rings: receive %lld (at most %lld), transmit %lld (at most %lld)\n",
			int_of(r, "rx"), int_of(r, "rx_max"), int_of(r, "tx"), int_of(r, "tx_max"));
	else
		cmd_puts(c, "  Rings: the driver does not tell\n");
}

static json_t *show_offload(struct cmd_ctx *c)
{
	static struct nic_features now;
	const struct shadow_link *l = link_of(c);
	json_t *out;
	int r;

	if (!l)
		return NULL;
	r = nic_features(l->ifindex, &now);
	if (r) {
		cmd_fail(c, "%s: %s", l->name, strerror(-r));
		return NULL;
	}
	out = json_array();
	for (unsigned f = 0; f < NIC_FEATURE__MAX; f++) {
		for (size_t k = 0; k < NIC_NAMES && nic_names[f][k]; k++) {
			const struct nic_feature_bits *b = nic_find(&now, nic_names[f][k]);

			json_array_append_new(out, json_pack("{s:s,s:s,s:b,s:b}", "offload",
							     nic_words[f], "feature",
							     nic_names[f][k], "on", b && b->active,
							     "fixed", !b || !b->settable));
		}
	}
	return out;
}

static void print_offload(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_printf(c, "%-14s%-30s%s\n", "Offload", "Kernel's name", "State");
	json_array_foreach(doc, i, o)
		cmd_printf(c, "%-14s%-30s%s%s\n", text_of(o, "offload"), text_of(o, "feature"),
			   json_is_true(json_object_get(o, "on")) ? "on" : "off",
			   json_is_true(json_object_get(o, "fixed")) ? " (fixed)" : "");
}

static json_t *show_rss(struct cmd_ctx *c)
{
	const struct shadow_link *l = link_of(c);
	static struct nic_rss rss;
	char key[3 * sizeof(rss.key) + 1] = "";
	bool symmetric;
	json_t *table;
	int r;

	if (!l)
		return NULL;
	r = nic_rss(l->ifindex, &rss);
	if (r || !rss.key_size) {
		cmd_fail(c, "%s spreads packets over its queues by nothing that it tells", l->name);
		return NULL;
	}
	/* A key that repeats every two bytes gives both directions of a flow one hash. */
	symmetric = rss.key_size > 2;
	for (size_t i = 0; i < rss.key_size; i++) {
		snprintf(key + 3 * i, 4, "%02x:", rss.key[i]);
		symmetric &= i < 2 || rss.key[i] == rss.key[i - 2];
	}
	key[3 * rss.key_size - 1] = '\0';
	table = json_array();
	for (size_t i = 0; i < rss.n_table; i++)
		json_array_append_new(table, json_integer(rss.table[i]));
	return json_pack("{s:s,s:s,s:b,s:o}", "name", iface_operator_name(l->name), "key", key,
			 "symmetric", symmetric, "table", table);
}

static void print_rss(struct cmd_ctx *c, const json_t *o)
{
	json_t *e;
	size_t i;

	cmd_printf(c, "%s\n  Hash key %s\n  Both directions of a flow %s\n  Queues by hash:",
		   text_of(o, "name"), text_of(o, "key"),
		   json_is_true(json_object_get(o, "symmetric")) ? "meet in one queue"
								 : "may be in two queues");
	json_array_foreach(json_object_get(o, "table"), i, e)
		cmd_printf(c, "%s%lld", i % 16 ? " " : "\n    ", (long long)json_integer_value(e));
	cmd_puts(c, "\n");
}

static json_t *show_transceiver(struct cmd_ctx *c)
{
	const struct shadow_link *l = link_of(c);
	struct nic_module m;
	json_t *o;
	int r = l ? nic_module(l->ifindex, &m) : 0;

	if (!l)
		return NULL;
	if (r == -EOPNOTSUPP) {
		cmd_fail(c, "%s: not supported by this driver", iface_operator_name(l->name));
		return NULL;
	}
	if (r) {
		cmd_fail(c, "%s: no module, or it does not answer (%s)",
			 iface_operator_name(l->name), strerror(-r));
		return NULL;
	}
	o = module_json(&m);
	json_object_set_new(o, "name", json_string(iface_operator_name(l->name)));
	return o;
}

static void print_transceiver(struct cmd_ctx *c, const json_t *o)
{
	static const char *const texts[][2] = {
		{ "connector", "Connector" }, { "vendor", "Vendor" }, { "part", "Part" },
		{ "revision", "Revision" },   { "serial", "Serial" }, { "date", "Date" },
	};
	json_t *e;
	size_t i;

	cmd_printf(c, "%s\n  Type: %s (0x%02llx)\n", text_of(o, "name"), text_of(o, "type"),
		   (unsigned long long)int_of(o, "identifier"));
	for (i = 0; i < ARRAY_LEN(texts); i++) {
		if (*text_of(o, texts[i][0]))
			cmd_printf(c, "  %s: %s\n", texts[i][1], text_of(o, texts[i][0]));
	}
	if (int_of(o, "bitrate_mbps"))
		cmd_printf(c, "  Bit rate: %lld Mbit/s\n", int_of(o, "bitrate_mbps"));
	if (json_object_get(o, "wavelength_nm"))
		cmd_printf(c, "  Wavelength: %.1f nm\n",
			   json_real_value(json_object_get(o, "wavelength_nm")));
	if (json_object_get(o, "temperature_c"))
		cmd_printf(c, "  Temperature: %.1f C, voltage %.2f V\n",
			   json_real_value(json_object_get(o, "temperature_c")),
			   json_real_value(json_object_get(o, "voltage_v")));
	json_array_foreach(json_object_get(o, "lanes"), i, e)
		cmd_printf(c, "  Lane %zu: receives %.1f dBm, sends %.1f dBm, bias %.1f mA\n",
			   i + 1, json_real_value(json_object_get(e, "rx_dbm")),
			   json_real_value(json_object_get(e, "tx_dbm")),
			   json_real_value(json_object_get(e, "bias_ma")));
}

static const struct cmd cmds[] = {
	{ "show interfaces <ifname:IFNAME> queues", "Queues and rings of a NIC",
	  .data = show_queues, .text = print_queues },
	{ "show interfaces <ifname:IFNAME> offload", "What a NIC does with packets in passing",
	  .data = show_offload, .text = print_offload },
	{ "show interfaces <ifname:IFNAME> rss", "How a NIC spreads packets over its queues",
	  .data = show_rss, .text = print_rss },
	{ "show interfaces <ifname:IFNAME> transceiver", "What is plugged in, and how it is doing",
	  .data = show_transceiver, .text = print_transceiver },
};

static const struct sch_word words[] = {
	{ "queues", "Queues and rings of a NIC" },
	{ "transceiver", "What is plugged in, and how it is doing" },
	{ "rss", "How a NIC spreads packets over its queues" },
};

static const struct domain nic_show_domain = {
	.name = "nic-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(nic_show_domain);
