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

static const char *dash(const char *text)
{
	return *text ? text : "-";
}

static void put_cpus(json_t *o, const char *key, int ifindex, enum nic_serve what, unsigned number)
{
	char list[CPUS_LIST_MAX];
	struct cpus c;

	if (!nic_cpus(ifindex, what, number, &c))
		json_object_set_new(o, key, json_string(cpus_list(&c, list)));
}

/* Of each queue its interrupts, and the CPUs of these, of RPS and of XPS. */
static json_t *serving(const struct shadow_link *l, const struct nic_queues *q)
{
	static struct nic_irq irqs[IRQ_MAX];
	size_t n = nic_irqs(l->ifindex, l->name, irqs);
	unsigned most = MAX(q->combined + MAX(q->rx, q->tx), n ? irqs[n - 1].queue + 1 : 1);
	json_t *out = json_array();

	for (unsigned i = 0; i < most; i++) {
		json_t *list = json_array(),
		       *o = json_pack("{s:i,s:o}", "queue", (int)i, "interrupts", list);

		for (size_t k = 0; k < n; k++) {
			if (irqs[k].queue != i)
				continue;
			/* Those of one queue are set together. */
			put_cpus(o, "cpu", l->ifindex, NIC_CPU, irqs[k].irq);
			json_array_append_new(list, json_integer(irqs[k].irq));
		}
		put_cpus(o, "rps", l->ifindex, NIC_RPS, i);
		put_cpus(o, "xps", l->ifindex, NIC_XPS, i);
		json_array_append_new(out, o);
	}
	return out;
}

static json_t *queues_of(const struct shadow_link *l)
{
	struct nic_pair r;
	struct nic_queues q = { 0 };
	json_t *o;

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
	json_object_set_new(o, "serving", serving(l, &q));
	json_object_set_new(o, "counters", nic_queue_stats(l->ifindex, l->name));
	return o;
}

static void print_serving(struct cmd_ctx *c, const json_t *list)
{
	const json_t *e, *irq, *irqs;
	char text[64];
	size_t i, k;

	if (!json_array_size(list))
		return;
	cmd_printf(c, "\n%-6s %-16s %-16s %-16s %s\n", "Queue", "Interrupts", "CPU", "RPS", "XPS");
	json_array_foreach(list, i, e) {
		size_t at = 0;

		irqs = json_object_get(e, "interrupts");
		*text = '\0';
		json_array_foreach(irqs, k, irq)
			at += (size_t)snprintf(text + at, sizeof(text) - MIN(at, sizeof(text)),
					       "%s%lld", k ? "," : "",
					       (long long)json_integer_value(irq));
		cmd_printf(c, "%-6lld %-16s %-16s %-16s %s\n", int_of(e, "queue"), dash(text),
			   dash(text_of(e, "cpu")), dash(text_of(e, "rps")),
			   dash(text_of(e, "xps")));
	}
	cmd_puts(c, "\n");
}

static const char *number(const json_t *o, const char *key, char buf[24])
{
	snprintf(buf, 24, "%lld", int_of(o, key));
	return json_object_get(o, key) ? buf : "-";
}

static void print_counters(struct cmd_ctx *c, const json_t *list)
{
	char a[24], b[24], d[24];
	const json_t *e;
	size_t i;

	if (!json_array_size(list)) {
		cmd_puts(c, "The driver counts nothing by queue\n");
		return;
	}
	cmd_printf(c, "%-10s %20s %20s %15s\n", "Counters", "Packets", "Bytes", "Drops");
	json_array_foreach(list, i, e)
		cmd_printf(c, "%s %-7lld %20s %20s %15s\n", text_of(e, "direction"),
			   int_of(e, "queue"), number(e, "packets", a), number(e, "bytes", b),
			   number(e, "drops", d));
}

static void print_one(struct cmd_ctx *c, const json_t *o)
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
	print_serving(c, json_object_get(o, "serving"));
	print_counters(c, json_object_get(o, "counters"));
}

static json_t *show_queues(struct cmd_ctx *c)
{
	const struct shadow_link *l;
	char name[IFNAMSIZ];
	json_t *out;

	if (cmd_get(c, "ifname", name)) {
		l = link_of(c);
		return l ? queues_of(l) : NULL;
	}
	out = json_array();
	for (l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		if (iface_kind_of(iface_operator_name(l->name)) == IFACE_HARD)
			json_array_append_new(out, queues_of(l));
	}
	return out;
}

static void print_queues(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	if (!json_is_array(doc)) {
		print_one(c, doc);
		return;
	}
	json_array_foreach(doc, i, o) {
		if (i)
			cmd_puts(c, "\n");
		print_one(c, o);
	}
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
	json_t *table;
	int r;

	if (!l)
		return NULL;
	r = nic_rss(l->ifindex, &rss);
	if (r || !rss.key_size) {
		cmd_fail(c, "%s spreads packets over its queues by nothing that it tells", l->name);
		return NULL;
	}
	for (size_t i = 0; i < rss.key_size; i++)
		snprintf(key + 3 * i, 4, "%02x:", rss.key[i]);
	key[3 * rss.key_size - 1] = '\0';
	table = json_array();
	for (size_t i = 0; i < rss.n_table; i++)
		json_array_append_new(table, json_integer(rss.table[i]));
	return json_pack("{s:s,s:s,s:b,s:b,s:o}", "name", iface_operator_name(l->name), "key", key,
			 "symmetric_xor", rss.xfrm & NIC_XFRM_SYM_XOR, "symmetric",
			 nic_rss_symmetric(&rss), "table", table);
}

static void print_rss(struct cmd_ctx *c, const json_t *o)
{
	json_t *e;
	size_t i;

	cmd_printf(c, "%s\n  Hash key %s%s\n  Both directions of a flow %s\n  Queues by hash:",
		   text_of(o, "name"), text_of(o, "key"),
		   json_is_true(json_object_get(o, "symmetric_xor")) ? ", symmetric-xor" : "",
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
	{ "show interfaces[ <ifname:IFNAME>] queues", "Queues and rings of NICs",
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
