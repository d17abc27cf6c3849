/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show ip arp, show ipv6 neighbors and their summaries, in IOS's shapes. Tables may be long: they
 * are read at once and printed as fast as the client takes them. */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "neigh/neigh.h"
#include "neigh/neigh_list.h"

#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>

/* Timers in force on an interface, ms; the kernel draws reachable from 0.5 to 1.5 of its base. */
struct parms {
	int ifindex;
	uint64_t reachable, retrans, delay, stale;
	struct parms *next;
};

struct listing {
	struct neigh_list list;
	size_t at;
	bool detail, json, any;
	struct parms *parms;
};

/* ---- timers ---- */

static uint64_t get_ms(const struct nlattr *a)
{
	return a && nla_len(a) >= 8 ? nla_get_u64((struct nlattr *)(uintptr_t)a) : 0;
}

static void take_parms(void *arg, const struct nlmsghdr *h)
{
	struct listing *l = arg;
	struct nlattr *tb[NDTA_MAX + 1], *p[NDTPA_MAX + 1];
	struct parms *one;

	if (h->nlmsg_type != RTM_NEWNEIGHTBL ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct ndtmsg), tb, NDTA_MAX,
			NULL) ||
	    !tb[NDTA_PARMS] || nla_parse_nested(p, NDTPA_MAX, tb[NDTA_PARMS], NULL) ||
	    !p[NDTPA_IFINDEX])
		return;
	one = xcalloc(1, sizeof(*one));
	one->ifindex = (int)nla_get_u32(p[NDTPA_IFINDEX]);
	one->reachable = get_ms(p[NDTPA_REACHABLE_TIME]);
	one->retrans = get_ms(p[NDTPA_RETRANS_TIME]);
	one->delay = get_ms(p[NDTPA_DELAY_PROBE_TIME]);
	one->stale = get_ms(p[NDTPA_GC_STALETIME]);
	one->next = l->parms;
	l->parms = one;
}

static void read_parms(struct listing *l)
{
	struct ndtmsg ndt = { .ndtm_family = (uint8_t)l->list.family };

	/* Without an answer the times are left out. */
	kquery_all(rtmsg_new(RTM_GETNEIGHTBL, 0, &ndt, sizeof(ndt), RTMSG_SIZE), take_parms, l);
}

static uint64_t left(uint64_t time, uint64_t since)
{
	return time > since ? time - since : 0;
}

/* What happens to the entry next by itself; NULL: nothing. */
static const char *next_step(const struct listing *l, const struct neigh_entry *e, uint64_t *ret_ms)
{
	const struct parms *p = l->parms;

	while (p && p->ifindex != e->ifindex)
		p = p->next;
	if (!p || e->own || e->proxy)
		return NULL;
	switch (e->state) {
	case NUD_REACHABLE:
		*ret_ms = left(p->reachable, e->confirmed_ms);
		return "stale";
	case NUD_DELAY:
		*ret_ms = left(p->delay, e->updated_ms);
		return "probe";
	case NUD_INCOMPLETE:
	case NUD_PROBE:
		*ret_ms = p->retrans ? p->retrans - e->updated_ms % p->retrans : 0;
		return "request";
	case NUD_STALE:
	case NUD_FAILED:
		*ret_ms = left(p->stale, e->used_ms);
		return "removal";
	default:
		return NULL;
	}
}

/* ---- one entry ---- */

static const char *state_name(const struct neigh_entry *e)
{
	if (e->own)
		return "INTERFACE";
	if (e->proxy)
		return "PROXY";
	switch (e->state) {
	case NUD_INCOMPLETE:
		return "INCOMPLETE";
	case NUD_REACHABLE:
		return "REACHABLE";
	case NUD_STALE:
		return "STALE";
	case NUD_DELAY:
		return "DELAY";
	case NUD_PROBE:
		return "PROBE";
	case NUD_FAILED:
		return "FAILED";
	case NUD_PERMANENT:
		return "PERMANENT";
	default:
		return "NONE";
	}
}

/* The states' names on IOS, for IPv6; NULL ends. */
static const char *const ios_states[][2] = {
	{ "INCOMPLETE", "INCMP" }, { "FAILED", "INCMP" },
	{ "REACHABLE", "REACH" },  { "PERMANENT", "REACH" },
	{ "INTERFACE", "REACH" },  { "STALE", "STALE" },
	{ "DELAY", "DELAY" },      { "PROBE", "PROBE" },
	{ "PROXY", "PROXY" },      { NULL, NULL },
};

static json_t *entry_json(const struct listing *l, const struct neigh_entry *e)
{
	const struct shadow_link *k = e->ifindex ? shadow_link_by_index(e->ifindex) : NULL;
	char text[RTR_ADDR_STRLEN], mac[16] = "";
	const char *next;
	uint64_t ms;
	json_t *o;

	if (e->has_mac)
		snprintf(mac, sizeof(mac), "%02x%02x.%02x%02x.%02x%02x", e->mac[0], e->mac[1],
			 e->mac[2], e->mac[3], e->mac[4], e->mac[5]);
	o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b}", "address", rtr_addr_str(&e->addr, text), "mac",
		      mac, "state", state_name(e), "type",
		      e->own                     ? "own"
		      : e->proxy                 ? "proxy"
		      : e->state & NUD_PERMANENT ? "static"
						 : "dynamic",
		      "interface", k ? iface_operator_name(k->name) : "", "configured", e->ours);
	if (e->own || e->proxy || e->state & NUD_PERMANENT)
		return o;
	json_object_set_new(o, "age_sec", json_integer(e->confirmed_ms / 1000));
	json_object_set_new(o, "used_sec", json_integer(e->used_ms / 1000));
	json_object_set_new(o, "updated_sec", json_integer(e->updated_ms / 1000));
	json_object_set_new(o, "probes", json_integer(e->probes));
	json_object_set_new(o, "references", json_integer(e->refs));
	if (e->flags & NTF_ROUTER)
		json_object_set_new(o, "router", json_true());
	next = next_step(l, e, &ms);
	if (next) {
		json_object_set_new(o, "next", json_string(next));
		json_object_set_new(o, "next_ms", json_integer((json_int_t)ms));
	}
	return o;
}

/* ---- text ---- */

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* Minutes, or "-" for what does not age. */
static const char *age(const json_t *o, char buf[24])
{
	const json_t *a = json_object_get(o, "age_sec");

	if (!a)
		return "-";
	snprintf(buf, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(a) / 60);
	return buf;
}

static void print_head(struct cmd_ctx *c, const struct listing *l)
{
	bool v4 = l->list.family == AF_INET;

	if (v4)
		cmd_puts(c, "Protocol  Address          Age (min)  Hardware Addr   Type   "
			    "Interface");
	else
		cmd_puts(c, "IPv6 Address                              Age Link-layer Addr State "
			    "Interface");
	cmd_puts(c, l->detail ? "        State      Probes Confirmed Used      Next\n" : "\n");
}

static void print_detail(struct cmd_ctx *c, const json_t *o)
{
	static const char *const keys[] = { "age_sec", "used_sec" };
	json_int_t ms = json_integer_value(json_object_get(o, "next_ms"));

	cmd_printf(c, " %-10s %6" JSON_INTEGER_FORMAT, str(o, "state"),
		   json_integer_value(json_object_get(o, "probes")));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const json_t *v = json_object_get(o, keys[i]);
		char text[24] = "-";

		if (v)
			snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT " s",
				 json_integer_value(v));
		cmd_printf(c, " %-9s", text);
	}
	if (*str(o, "next"))
		cmd_printf(c, " %s in %" JSON_INTEGER_FORMAT ".%" JSON_INTEGER_FORMAT " s",
			   str(o, "next"), ms / 1000, ms % 1000 / 100);
}

static void print_entry(struct cmd_ctx *c, const struct listing *l, const json_t *o)
{
	const char *mac = str(o, "mac"), *state = str(o, "state"), *ios = state;
	const char *name = *str(o, "interface") ? str(o, "interface") : "(all)";
	int pad = l->detail ? 16 : 0;
	char buf[24];

	if (l->list.family == AF_INET) {
		if (!*mac)
			mac = strcmp(state, "PROXY") ? "Incomplete" : "Proxy";
		cmd_printf(c, "Internet  %-15s %10s  %-15s ARPA   %-*s", str(o, "address"),
			   age(o, buf), mac, pad, name);
	} else {
		for (size_t i = 0; ios_states[i][0]; i++) {
			if (!strcmp(ios_states[i][0], state))
				ios = ios_states[i][1];
		}
		cmd_printf(c, "%-39s %5s %-15s %-5s %-*s", str(o, "address"), age(o, buf),
			   *mac ? mac : "-", ios, pad, name);
	}
	if (l->detail)
		print_detail(c, o);
	cmd_puts(c, "\n");
}

/* ---- running ---- */

static void end(struct cmd_ctx *c)
{
	struct listing *l = cmd_data(c);

	neigh_list_fini(&l->list);
	while (l->parms) {
		struct parms *p = l->parms;

		l->parms = p->next;
		free(p);
	}
	free(l);
	cmd_done(c);
}

static void go_on(struct cmd_ctx *c)
{
	struct listing *l = cmd_data(c);

	while (l->at < l->list.n) {
		json_t *o;

		if (cmd_congested(c))
			return; /* drained() comes back */
		o = entry_json(l, &l->list.v[l->at++]);
		if (l->json) {
			char *text = json_dumps(o, JSON_COMPACT);

			cmd_printf(c, "%s%s", l->any ? ",\n  " : "[\n  ", text);
			free(text);
		} else {
			print_entry(c, l, o);
		}
		l->any = true;
		json_decref(o);
	}
	if (l->json)
		cmd_puts(c, l->any ? "\n]\n" : "[]\n");
	end(c);
}

/* `vrf NAME`: its ifindex, 0 without; -1: there is none. */
static int read_vrf(struct cmd_ctx *c)
{
	const struct shadow_link *l;
	char *name = NULL;
	int ifindex = -1;

	if (!cmd_get(c, "vrf", &name))
		return 0;
	l = shadow_link_by_name(name);
	if (l && !strcmp(l->kind, "vrf"))
		ifindex = l->ifindex;
	else
		cmd_fail(c, "There is no VRF %s", name);
	free(name);
	return ifindex;
}

static void keep_vrf(struct neigh_list *l, int vrf)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct shadow_link *k = shadow_link_by_index(l->v[i].ifindex);

		if (k && k->master == vrf)
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

static void show(struct cmd_ctx *c, int family)
{
	int r, vrf = read_vrf(c);
	struct listing *l;
	char name[IFNAMSIZ];
	const struct shadow_link *k = NULL;

	if (vrf < 0)
		return;

	if (cmd_get(c, "ifname", name)) {
		k = iface_link(name);
		if (!k) {
			cmd_fail(c, "%s: there is no such interface", name);
			return;
		}
	}
	l = xcalloc(1, sizeof(*l));
	l->list.family = family;
	l->list.ifindex = k ? k->ifindex : 0;
	cmd_get(c, "addr", &l->list.addr);
	l->detail = cmd_flag(c, "detail");
	l->json = cmd_json(c);
	cmd_set_data(c, l);
	cmd_pend(c);
	r = neigh_list_read(&l->list, true);
	if (r) {
		cmd_fail(c, "The kernel's neighbours cannot be read: %s", strerror(-r));
		end(c);
		return;
	}
	if (family == AF_INET) {
		neigh_list_own(&l->list);
		neigh_list_sort(&l->list);
	}
	if (vrf)
		keep_vrf(&l->list, vrf);
	if (l->detail || l->json)
		read_parms(l);
	if (!l->json)
		print_head(c, l);
	go_on(c);
}

static void show_arp(struct cmd_ctx *c)
{
	show(c, AF_INET);
}

static void show_neighbors(struct cmd_ctx *c)
{
	show(c, AF_INET6);
}

/* ---- summary ---- */

static json_t *summary(struct cmd_ctx *c, int family)
{
	static const struct {
		uint16_t state;
		const char *name;
	} states[] = {
		{ NUD_INCOMPLETE, "incomplete" }, { NUD_REACHABLE, "reachable" },
		{ NUD_STALE, "stale" },           { NUD_DELAY, "delay" },
		{ NUD_PROBE, "probe" },           { NUD_FAILED, "failed" },
		{ NUD_PERMANENT, "static" },
	};
	struct neigh_list list = { .family = family };
	struct neigh_limits limits;
	json_t *o = NULL, *counts;
	int r = neigh_list_read(&list, false);

	if (!r)
		r = neigh_read_limits(family, &limits);
	if (r) {
		cmd_fail(c, "The kernel's neighbours cannot be read: %s", strerror(-r));
		neigh_list_fini(&list);
		return NULL;
	}
	neigh_watch_limit(family, &limits);
	counts = json_object();
	for (size_t s = 0; s < ARRAY_LEN(states); s++) {
		json_int_t n = 0;

		for (size_t i = 0; i < list.n; i++)
			n += list.v[i].state == states[s].state;
		json_object_set_new(counts, states[s].name, json_integer(n));
	}
	o = json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b}", "states", counts, "total",
		      (json_int_t)list.n, "machine_entries", (json_int_t)limits.entries,
		      "gc_thresh1", (json_int_t)limits.thresh1, "gc_thresh2",
		      (json_int_t)limits.thresh2, "limit", (json_int_t)limits.thresh3,
		      "table_fulls", (json_int_t)limits.table_fulls, "failed",
		      (json_int_t)limits.failed, "alarm",
		      limits.entries * 100ull >= limits.thresh3 * 80ull);
	neigh_list_fini(&list);
	return o;
}

static json_t *arp_summary(struct cmd_ctx *c)
{
	return summary(c, AF_INET);
}

static json_t *neighbors_summary(struct cmd_ctx *c)
{
	return summary(c, AF_INET6);
}

static void print_summary(struct cmd_ctx *c, const json_t *doc)
{
	const char *name;
	json_t *v;

	json_object_foreach(json_object_get(doc, "states"), name, v)
		cmd_printf(c, "%-12s %8" JSON_INTEGER_FORMAT "\n", name, json_integer_value(v));
	cmd_printf(c, "%-12s %8" JSON_INTEGER_FORMAT "\n", "total",
		   json_integer_value(json_object_get(doc, "total")));
	cmd_printf(c,
		   "The machine's table, all namespaces: %" JSON_INTEGER_FORMAT
		   " entries of at most %" JSON_INTEGER_FORMAT " (gc_thresh3)%s\n",
		   json_integer_value(json_object_get(doc, "machine_entries")),
		   json_integer_value(json_object_get(doc, "limit")),
		   json_is_true(json_object_get(doc, "alarm")) ? ", nearly full" : "");
	cmd_printf(c,
		   "Entries refused because it was full: %" JSON_INTEGER_FORMAT
		   ", neighbours that did not answer: %" JSON_INTEGER_FORMAT "\n",
		   json_integer_value(json_object_get(doc, "table_fulls")),
		   json_integer_value(json_object_get(doc, "failed")));
}

#define WHICH4 "[ vrf <vrf:WORD>][ {<addr:ADDR4>|interface <ifname:IFNAME>}][ detail]"
#define WHICH6 "[ vrf <vrf:WORD>][ {<addr:ADDR6>|interface <ifname:IFNAME>}][ detail]"

static const struct cmd cmds[] = {
	{ "show ip arp" WHICH4, "ARP table", .run = show_arp, .drained = go_on, .interrupt = end },
	{ "show arp" WHICH4, "ARP table", .run = show_arp, .drained = go_on, .interrupt = end,
	  .alias = true },
	{ "show ipv6 neighbors" WHICH6, "IPv6 neighbours", .run = show_neighbors, .drained = go_on,
	  .interrupt = end },
	{ "show ip arp summary", "Number of ARP entries, and their limit", .data = arp_summary,
	  .text = print_summary },
	{ "show arp summary", "Number of ARP entries, and their limit", .data = arp_summary,
	  .text = print_summary, .alias = true },
	{ "show ipv6 neighbors summary", "Number of IPv6 neighbours, and their limit",
	  .data = neighbors_summary, .text = print_summary },
};

static const struct sch_word words[] = {
	{ "interface", "Entries of one interface" },
	{ "neighbors", "IPv6 neighbours" },
	{ "detail", "With states, probes and timers" },
	{ "summary", "Numbers only" },
};

static const struct domain neigh_show_domain = {
	.name = "neigh-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(neigh_show_domain);
