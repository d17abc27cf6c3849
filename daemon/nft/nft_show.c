/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show firewall hooks, show platform capabilities. */
#include "cli/command.h"
#include "domain.h"
#include "nft/nft_data.h"
#include "nft/nft_query.h"

#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <stdlib.h>
#include <string.h>

/* ---- show firewall hooks ---- */

/* In the order in which a forwarded packet, then one of the box, meets them. */
static const char *const hook_order[] = { "ingress", "prerouting",  "input", "forward",
					  "output",  "postrouting", "egress" };

static const char *hook_name(uint8_t family, uint32_t hook)
{
	static const char *const inet[] = { "prerouting", "input",       "forward",
					    "output",     "postrouting", "ingress" };
	static const char *const arp[] = { "input", "output", "forward" };
	static const char *const netdev[] = { "ingress", "egress" };

	if (family == NFPROTO_NETDEV)
		return hook < ARRAY_LEN(netdev) ? netdev[hook] : "?";
	if (family == NFPROTO_ARP)
		return hook < ARRAY_LEN(arp) ? arp[hook] : "?";
	return hook < ARRAY_LEN(inet) ? inet[hook] : "?";
}

static const char *family_name(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_BRIDGE:
		return "bridge";
	case NFPROTO_NETDEV:
		return "netdev";
	default:
		return "?";
	}
}

struct hook {
	unsigned order;
	int32_t prio;
	uint64_t handle;
	json_t *j;
};

struct hooks {
	struct hook *v;
	size_t n;
	json_t *dormant; /* "family table" of tables that are switched off */
};

static void take_table(void *arg, const struct nlmsghdr *h)
{
	struct hooks *k = arg;
	struct nlattr *tb[NFTA_TABLE_MAX + 1];
	char *name;

	if (!nftq_parse(h, tb, NFTA_TABLE_MAX) ||
	    !(nftq_u32(tb[NFTA_TABLE_FLAGS]) & NFT_TABLE_F_DORMANT))
		return;
	name = xasprintf("%s %s", family_name(nftq_family(h)), nftq_text(tb[NFTA_TABLE_NAME]));
	json_object_set_new(k->dormant, name, json_true());
	free(name);
}

static json_t *devices(struct nlattr *const *hook)
{
	json_t *j = json_array();
	const struct nlattr *a;
	int rem;

	if (hook[NFTA_HOOK_DEVS]) {
		nla_for_each_nested(a, hook[NFTA_HOOK_DEVS], rem)
			json_array_append_new(j, json_string(nftq_text(a)));
	} else if (hook[NFTA_HOOK_DEV]) {
		json_array_append_new(j, json_string(nftq_text(hook[NFTA_HOOK_DEV])));
	}
	return j;
}

static void add_counters(json_t *j, const struct nlattr *a)
{
	struct nlattr *tb[NFTA_COUNTER_MAX + 1];

	if (!a || nla_parse_nested(tb, NFTA_COUNTER_MAX, (struct nlattr *)(uintptr_t)a, NULL))
		return;
	json_object_set_new(j, "packets",
			    json_integer((json_int_t)nftq_u64(tb[NFTA_COUNTER_PACKETS])));
	json_object_set_new(j, "bytes", json_integer((json_int_t)nftq_u64(tb[NFTA_COUNTER_BYTES])));
}

static unsigned order_of(const char *hook)
{
	unsigned i = 0;

	while (i < ARRAY_LEN(hook_order) && strcmp(hook_order[i], hook))
		i++;
	return i;
}

static bool dormant(const struct hooks *k, const char *family, const char *table)
{
	char *name = xasprintf("%s %s", family, table);
	bool is = json_object_get(k->dormant, name);

	free(name);
	return is;
}

static void take_chain(void *arg, const struct nlmsghdr *h)
{
	struct hooks *k = arg;
	struct nlattr *tb[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1];
	const char *name, *table, *chain, *family = family_name(nftq_family(h));
	int32_t prio;

	if (!nftq_parse(h, tb, NFTA_CHAIN_MAX) || !tb[NFTA_CHAIN_HOOK] ||
	    nla_parse_nested(hook, NFTA_HOOK_MAX, tb[NFTA_CHAIN_HOOK], NULL))
		return;
	name = hook_name(nftq_family(h), nftq_u32(hook[NFTA_HOOK_HOOKNUM]));
	prio = (int32_t)nftq_u32(hook[NFTA_HOOK_PRIORITY]);
	table = nftq_text(tb[NFTA_CHAIN_TABLE]);
	chain = nftq_text(tb[NFTA_CHAIN_NAME]);
	k->v = xrealloc(k->v, (k->n + 1) * sizeof(*k->v));
	k->v[k->n] = (struct hook){
		.order = order_of(name),
		.prio = prio,
		.handle = nftq_u64(tb[NFTA_CHAIN_HANDLE]),
		.j = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:b, s:o}", "hook",
			       name, "priority", prio, "family", family, "table", table, "chain",
			       chain, "type", nftq_text(tb[NFTA_CHAIN_TYPE]), "policy",
			       nftq_u32(tb[NFTA_CHAIN_POLICY]) == NF_DROP ? "drop" : "accept",
			       "rules", (json_int_t)nftq_u32(tb[NFTA_CHAIN_USE]), "ours",
			       !strcmp(table, nft_table_name()) || nft_name_is_ours(chain),
			       "active", !dormant(k, family, table), "devices", devices(hook)),
	};
	add_counters(k->v[k->n++].j, tb[NFTA_CHAIN_COUNTERS]);
}

static int hook_cmp(const void *x, const void *y)
{
	const struct hook *a = x, *b = y;

	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	if (a->prio != b->prio)
		return a->prio < b->prio ? -1 : 1;
	/* Of one priority the kernel asks the one that came first. */
	return a->handle < b->handle ? -1 : a->handle > b->handle;
}

/* Tables that iptables-legacy made: they have hooks of their own at the known priorities. */
static void add_legacy(json_t *j, const char *path, const char *family)
{
	char *text, *rest, *line;

	if (rtr_file_read(path, 4096, &text, NULL))
		return;
	for (rest = text; (line = strsep(&rest, "\n"));) {
		if (*line)
			json_array_append_new(
				j, json_pack("{s:s, s:s}", "family", family, "table", line));
	}
	free(text);
}

static json_t *show_hooks(struct cmd_ctx *c)
{
	struct hooks k = { .dormant = json_object() };
	json_t *list = json_array(), *legacy = json_array();
	struct nftq q;
	int r = nftq_open(&q);

	if (!r)
		r = nftq_all(&q, NFT_MSG_GETTABLE, NFPROTO_UNSPEC, NULL, NULL, take_table, &k);
	if (!r || r == -EINTR)
		r = nftq_all(&q, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, NULL, NULL, take_chain, &k);
	nftq_close(&q);
	if (k.n)
		qsort(k.v, k.n, sizeof(*k.v), hook_cmp);
	for (size_t i = 0; i < k.n; i++)
		json_array_append_new(list, k.v[i].j);
	free(k.v);
	json_decref(k.dormant);
	if (r && r != -EINTR) {
		json_decref(list);
		json_decref(legacy);
		cmd_fail(c, "The kernel's chains cannot be read: %s", strerror(-r));
		return NULL;
	}
	add_legacy(legacy, "/proc/net/ip_tables_names", "ip");
	add_legacy(legacy, "/proc/net/ip6_tables_names", "ip6");
	return json_pack("{s:o, s:o}", "hooks", list, "legacy", legacy);
}

static const char *prio_name(int prio)
{
	static const struct {
		int prio;
		const char *name;
	} known[] = {
		{ NF_IP_PRI_RAW_BEFORE_DEFRAG, "before defrag" },
		{ NF_IP_PRI_CONNTRACK_DEFRAG, "defrag" },
		{ NF_IP_PRI_RAW, "raw" },
		{ NF_IP_PRI_CONNTRACK, "conntrack" },
		{ NF_IP_PRI_MANGLE, "mangle" },
		{ NF_IP_PRI_NAT_DST, "dstnat" },
		{ NF_IP_PRI_FILTER, "filter" },
		{ NF_IP_PRI_SECURITY, "security" },
		{ NF_IP_PRI_NAT_SRC, "srcnat" },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i].prio == prio)
			return known[i].name;
	}
	return "";
}

static const char *text(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static void print_number(struct cmd_ctx *c, const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	if (v)
		cmd_printf(c, " %10lld", (long long)json_integer_value(v));
	else
		cmd_printf(c, " %10s", "-");
}

static void print_hook(struct cmd_ctx *c, const json_t *j)
{
	const json_t *devs = json_object_get(j, "devices");
	int prio = (int)json_integer_value(json_object_get(j, "priority"));

	cmd_printf(c, "%c%5d %-13s %-6s %-16s %-24s %-6s %-6s",
		   json_is_true(json_object_get(j, "ours")) ? '*' : ' ', prio, prio_name(prio),
		   text(j, "family"), text(j, "table"), text(j, "chain"), text(j, "type"),
		   json_is_true(json_object_get(j, "active")) ? text(j, "policy") : "off");
	cmd_printf(c, " %6lld", (long long)json_integer_value(json_object_get(j, "rules")));
	print_number(c, j, "packets");
	print_number(c, j, "bytes");
	for (size_t i = 0; i < json_array_size(devs); i++)
		cmd_printf(c, " %s", json_string_value(json_array_get(devs, i)));
	cmd_puts(c, "\n");
}

static void print_hooks(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "hooks"),
		     *legacy = json_object_get(doc, "legacy");
	const char *last = "";

	cmd_puts(c, "In order of traversal; * made by this instance of rtr\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *j = json_array_get(list, i);

		if (strcmp(last, text(j, "hook"))) {
			last = text(j, "hook");
			cmd_printf(c,
				   "\n%s\n Prio  %-13s %-6s %-16s %-24s %-6s %-6s %6s %10s %10s "
				   "Devices\n",
				   last, "Name", "Family", "Table", "Chain", "Type", "Policy",
				   "Rules", "Packets", "Bytes");
		}
		print_hook(c, j);
	}
	if (!json_array_size(list))
		cmd_puts(c, "No chain is hooked\n");
	for (size_t i = 0; i < json_array_size(legacy); i++) {
		const json_t *j = json_array_get(legacy, i);

		cmd_printf(c, "%siptables-legacy has table %s of family %s\n", i ? "" : "\n",
			   text(j, "table"), text(j, "family"));
	}
}

/* ---- show platform capabilities ---- */

static const char *reason(int error)
{
	if (error == -ENOENT || error == -EOPNOTSUPP)
		return "not in this kernel";
	return error ? strerror(-error) : "";
}

static json_t *show_capabilities(struct cmd_ctx *c)
{
	json_t *list = json_array();

	for (int i = 0; i < NFT_CAP__MAX; i++) {
		enum nft_cap cap = (enum nft_cap)i;
		int e = nft_cap_error(cap);

		json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s}", "name",
						      nft_cap_name(cap), "help", nft_cap_help(cap),
						      "there", !e, "reason", reason(e)));
	}
	return json_pack("{s:o}", "nftables", list);
}

static void print_capabilities(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "nftables");

	cmd_puts(c, "Firewall\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *j = json_array_get(list, i);
		bool there = json_is_true(json_object_get(j, "there"));

		cmd_printf(c, "  %-16s %-4s %s%s%s%s\n", text(j, "name"), there ? "yes" : "no",
			   text(j, "help"), there ? "" : " (", there ? "" : text(j, "reason"),
			   there ? "" : ")");
	}
}

static const struct cmd cmds[] = {
	{ "show firewall hooks", "Chains at each hook of the kernel, in order, foreign ones too",
	  .data = show_hooks, .text = print_hooks },
	{ "show platform capabilities", "What this kernel can do, found by trying",
	  .data = show_capabilities, .text = print_capabilities },
};

static const struct sch_word words[] = {
	{ "capabilities", "What this kernel can do" },
	{ "firewall", "Packet filter of the kernel" },
	{ "hooks", "Where packets are judged" },
	{ "platform", "The machine and its kernel" },
};

static const struct domain nft_show = {
	.name = "nft-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(nft_show);
