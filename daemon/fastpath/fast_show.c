/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show dataplane ...: rtr-fastpath is asked, the answer is one document, the text is made of it. */
#include "fastpath/fast_show.h"

#include "domain.h"
#include "kernel/shadow.h"
#include "system/global.h"
#include "txn/txn.h"
#include "vrrp/vrrp.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define FLOWS_DEFAULT 100

const char *fast_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

long long fast_int(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void put(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer((json_int_t)n));
}

/* ---- documents ---- */

static const char *const wishes[] = {
	[DATAPLANE_AUTO] = "auto", [DATAPLANE_FAST] = "fast", [DATAPLANE_KERNEL] = "kernel"
};

static const struct fast_port *port_named(const char *kernel_name)
{
	const struct fast_port *p = fast_seen()->ports;

	while (p && strcmp(p->name, kernel_name))
		p = p->next;
	return p;
}

/* Why an interface is where it is. */
static const char *reason_of(const struct iface *i, const struct fast_port *p)
{
	const struct fast_seen *s = fast_seen();

	if (fast_against(i))
		return fast_against(i);
	if (*s->failure)
		return s->failure;
	if (!s->ready || !p || !p->heard)
		return s->running ? "rtr-fastpath is starting" : "rtr-fastpath is not running";
	return p->state.u.state.reason;
}

void fast_put_vrf(json_t *o, const struct shadow_link *l)
{
	const struct shadow_link *vrf = shadow_link_vrf(l);

	if (vrf)
		json_object_set_new(o, "vrf", json_string(iface_operator_name(vrf->name)));
}

bool fast_any_vrf(const json_t *list)
{
	bool any = false;
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
		any |= json_object_get(o, "vrf") != NULL;
	return any;
}

static json_t *iface_doc(const struct iface *i)
{
	const struct fast_port *p = port_named(iface_kernel_name(i->name));
	const struct fastpath_event *st = p && p->heard ? &p->state : NULL;
	bool fast = st && p->wanted && st->u.state.fast;
	char note[VRRP_VMAC_NOTE_SIZE] = "";
	json_t *o;

	if (fast)
		vrrp_vmac_note(p->name, note);
	o = json_pack("{s:s,s:s,s:s,s:s,s:s}", "name", i->name, "configured", wishes[fast_wish(i)],
		      "plane", fast ? "fast" : "kernel", "reason", reason_of(i, p), "note", note);

	if (iface_link(i->name))
		fast_put_vrf(o, iface_link(i->name));
	if (!st)
		return o;
	json_object_set_new(o, "express_in", json_boolean(fast && st->u.state.express_in));
	json_object_set_new(o, "express_out", json_boolean(fast && st->u.state.express_out));
	json_object_set_new(o, "mode", json_string(st->u.state.zero_copy ? "zero-copy" : "copy"));
	json_object_set_new(o, "xdp", json_string(st->u.state.native ? "native" : "none"));
	put(o, "queues", st->u.state.n_queues);
	return o;
}

/* What rtr-fastpath found out about the driver; NULL: nothing yet. */
static json_t *able_doc(const struct iface *i)
{
	const struct fast_port *p = port_named(iface_kernel_name(i->name));
	const struct fastpath_event *st = p && p->heard ? &p->state : NULL;

	if (!st || !*st->u.state.driver)
		return NULL;
	return json_pack("{s:s,s:s,s:b,s:b,s:b,s:b,s:s,s:s}", "name", i->name, "driver",
			 st->u.state.driver, "native_xdp", st->u.state.native, "redirect",
			 st->u.state.redirect, "zero_copy", st->u.state.zero_copy_known,
			 "zero_copy_used", st->u.state.zero_copy, "copy_reason", st->u.state.copy,
			 "reason", reason_of(i, p));
}

static json_t *ables_doc(void)
{
	json_t *out = json_array();
	const struct iface *i;

	recvec_foreach(rec_kids(txn_running(), &iface_type), i) {
		json_t *o = able_doc(i);

		if (o)
			json_array_append_new(out, o);
	}
	return out;
}

static json_t *ifaces_doc(void)
{
	json_t *out = json_array();
	const struct iface *i;

	recvec_foreach(rec_kids(txn_running(), &iface_type), i)
		json_array_append_new(out, iface_doc(i));
	return out;
}

static json_t *drops_doc(const struct fastpath_count *c)
{
	json_t *o = json_object();

	for (unsigned k = 1; k < RTR_DROP__MAX; k++)
		if (c->drop[k] + c->xdp.drop[k])
			put(o, rtr_drop_text(k), c->drop[k] + c->xdp.drop[k]);
	return o;
}

static json_t *punts_doc(const struct fastpath_count *c)
{
	static const char *const names[] = {
#define X(id, name, text) name,
		FASTPATH_TO_KERNEL(X)
#undef X
	};
	json_t *o = json_object();

	for (unsigned k = 0; k < ARRAY_LEN(names); k++)
		if (c->punt[k])
			put(o, names[k], c->punt[k]);
	return o;
}

static uint64_t sum(const uint64_t *v, size_t n)
{
	uint64_t s = 0;

	for (size_t i = 0; i < n; i++)
		s += v[i];
	return s;
}

static json_t *count_doc(const struct fast_port *p)
{
	const struct fastpath_count *c = &p->count.u.count;
	const uint64_t *v = c->xdp.verdict;
	json_t *o = json_pack("{s:s}", "name", iface_operator_name(p->name));

	put(o, "express", v[EXPRESS_V_SENT] + v[EXPRESS_V_SENT_ALONE]);
	put(o, "to_worker", v[EXPRESS_V_WORKER_FLOW] + v[EXPRESS_V_WORKER_NEW]);
	put(o, "to_kernel",
	    v[EXPRESS_V_KERNEL_OFF] + v[EXPRESS_V_KERNEL_PLAIN] + v[EXPRESS_V_KERNEL_MAC] +
		    v[EXPRESS_V_KERNEL_NEW] + v[EXPRESS_V_KERNEL_ROUTE] + v[EXPRESS_V_KERNEL_FLOW] +
		    v[EXPRESS_V_KERNEL_MIRROR] + v[EXPRESS_V_KERNEL_CT]);
	put(o, "to_kernel_other_mac", v[EXPRESS_V_KERNEL_MAC]);
	put(o, "unattended",
	    v[EXPRESS_V_SENT_ALONE] + v[EXPRESS_V_KERNEL_NEW] + v[EXPRESS_V_KERNEL_MIRROR] +
		    c->xdp.drop[RTR_DROP_NO_WORKER]);
	put(o, "rx", c->rx);
	put(o, "forwarded", c->forwarded);
	put(o, "tx", c->tx);
	put(o, "made", c->made);
	put(o, "punted", sum(c->punt, FASTPATH_PUNTS));
	put(o, "dropped", sum(c->drop, RTR_DROP__MAX) + sum(c->xdp.drop, RTR_DROP__MAX));
	put(o, "ring_full", c->ring_full);
	put(o, "ring_dropped", c->ring_dropped);
	put(o, "fill_empty", c->fill_empty);
	put(o, "tx_invalid", c->tx_invalid);
	json_object_set_new(o, "drops", drops_doc(c));
	json_object_set_new(o, "punts", punts_doc(c));
	return o;
}

static json_t *counts_doc(void)
{
	json_t *out = json_array();

	for (const struct fast_port *p = fast_seen()->ports; p; p = p->next)
		if (p->heard)
			json_array_append_new(out, count_doc(p));
	return out;
}

static json_t *workers_doc(void)
{
	const struct fast_seen *s = fast_seen();
	json_t *out = json_array(), *o;

	for (unsigned i = 0; i < s->n_workers; i++) {
		const struct fastpath_worker *w = &s->workers[i];

		o = json_object();
		put(o, "worker", w->id);
		put(o, "queues", w->n_socks);
		put(o, "packets", w->packets);
		put(o, "bursts", w->bursts);
		put(o, "sleeps", w->sleeps);
		put(o, "cpu_ms", w->cpu_ns / 1000000);
		put(o, "flows_inserted", w->inserted);
		put(o, "flows_refused", w->refused);
		put(o, "promoted", w->promoted);
		put(o, "forced", w->forced);
		put(o, "reconciled", w->reconciled);
		put(o, "icmp_errors_lost", w->errors_lost);
		put(o, "injected", w->injected);
		json_object_set_new(o, "buffers",
				    json_pack("{s:i,s:i,s:i,s:i,s:I}", "free", (int)w->frames[0],
					      "fill", (int)w->frames[1], "work", (int)w->frames[2],
					      "tx", (int)w->frames[3], "wrong",
					      (json_int_t)w->frames_wrong));
		json_array_append_new(out, o);
	}
	return out;
}

static json_t *memory_doc(void)
{
	const struct fastpath_table *t = &fast_seen()->table;
	json_t *o = json_object();

	put(o, "flow_table_bytes", t->flow_bytes);
	put(o, "packet_buffer_bytes", t->frame_bytes);
	put(o, "route_table_bytes", t->fib_bytes);
	put(o, "flows_ipv4", t->n_flows[0]);
	put(o, "flows_ipv4_max", t->max_flows[0]);
	put(o, "flows_ipv6", t->n_flows[1]);
	put(o, "flows_ipv6_max", t->max_flows[1]);
	put(o, "flows_inserted", t->inserted);
	put(o, "flows_freed", t->freed);
	put(o, "flows_evicted", t->evicted);
	put(o, "flows_refused", t->no_pair + t->no_slot + t->busy);
	put(o, "flows_adopted", t->adopted);
	put(o, "routes_ipv4", t->n_routes[0]);
	put(o, "routes_ipv6", t->n_routes[1]);
	put(o, "adjacencies", t->n_adj);
	put(o, "adjacencies_ready", t->n_adj_ready);
	put(o, "adjacencies_max", t->max_adj);
	put(o, "sweeps", t->sweeps);
	put(o, "sweep_flows", t->sweep_flows);
	put(o, "sweep_changed", t->sweep_changed);
	put(o, "sweep_us", t->sweep_ns / 1000);
	put(o, "epoch", t->epoch);
	return o;
}

/* Connections of the fast plane that the kernel holds, too. */
static json_t *mirror_doc(void)
{
	static const char *const states[] = { "not needed", "on", "refused by the kernel" };
	const struct fastpath_table *t = &fast_seen()->table;
	json_t *o = json_pack("{s:s}", "state",
			      t->mirror < ARRAY_LEN(states) ? states[t->mirror] : "?");

	put(o, "held", t->mirror_held);
	put(o, "waiting", t->mirror_waiting);
	put(o, "lag_ms", t->mirror_lag_ms);
	put(o, "written", t->mirror_written);
	put(o, "renewed", t->mirror_renewed);
	put(o, "ended", t->mirror_ended);
	put(o, "given", t->mirror_given);
	put(o, "known_before", t->mirror_exists);
	put(o, "refused", t->mirror_refused);
	put(o, "found_alone", t->mirror_orphans);
	put(o, "kernel_entries", t->n_ct);
	put(o, "kernel_entries_max", t->max_ct);
	return o;
}

/* What came in less what became of it; 0 when nothing is on its way. */
static json_t *audit_doc(void)
{
	json_t *out = json_array();
	uint64_t forwarded = 0, tx = 0, wrong = 0;

	for (const struct fast_port *p = fast_seen()->ports; p; p = p->next) {
		const struct fastpath_count *c = &p->count.u.count;
		json_t *o;

		if (!p->heard)
			continue;
		forwarded += c->forwarded;
		tx += c->tx;
		o = json_pack("{s:s}", "name", iface_operator_name(p->name));
		json_object_set_new(
			o, "xdp_to_worker",
			json_integer((json_int_t)(c->xdp.verdict[EXPRESS_V_WORKER_FLOW] +
						  c->xdp.verdict[EXPRESS_V_WORKER_NEW] - c->before -
						  c->rx - c->ring_full - c->ring_dropped)));
		json_object_set_new(o, "worker",
				    json_integer((json_int_t)(c->rx - c->forwarded -
							      sum(c->punt, FASTPATH_PUNTS) -
							      sum(c->drop, RTR_DROP__MAX))));
		json_array_append_new(out, o);
	}
	for (unsigned i = 0; i < fast_seen()->n_workers; i++)
		wrong += fast_seen()->workers[i].frames_wrong;
	return json_pack("{s:o,s:I,s:I}", "unaccounted", out, "forwarded_not_sent",
			 (json_int_t)(forwarded - tx), "buffers_wrong", (json_int_t)wrong);
}

static const char *state_text(void)
{
	const struct fast_seen *s = fast_seen();

	return !s->needed   ? "not needed"
	       : s->ready   ? "running"
	       : s->running ? "starting"
			    : "not running";
}

static json_t *flows_doc(void)
{
	const struct fastpath_table *t = &fast_seen()->table;
	json_t *o = json_object();

	put(o, "ipv4", t->n_flows[0]);
	put(o, "ipv4_max", t->max_flows[0]);
	put(o, "ipv6", t->n_flows[1]);
	put(o, "ipv6_max", t->max_flows[1]);
	put(o, "evicted", t->evicted);
	put(o, "refused", t->no_pair + t->no_slot + t->busy);
	return o;
}

static json_t *summary_doc(void)
{
	return json_pack("{s:s,s:I,s:s,s:o,s:o,s:o}", "state", state_text(), "starts",
			 (json_int_t)fast_seen()->starts, "gate",
			 fast_seen()->needed ? fast_gate() : "none asks for the fast plane",
			 "flows", flows_doc(), "interfaces", ifaces_doc(), "counters",
			 counts_doc());
}

/* ---- text ---- */

static void print_ifaces(struct cmd_ctx *c, const json_t *list)
{
	bool vrfs = fast_any_vrf(list);
	json_t *o;
	size_t i;

	cmd_printf(c, "%-16s %-10s %-7s %-9s %-8s ", "Interface", "Configured", "Plane", "Mode",
		   "Express");
	if (vrfs)
		cmd_printf(c, "%-15s ", "VRF");
	cmd_puts(c, "Reason\n");
	json_array_foreach(list, i, o) {
		bool in = json_is_true(json_object_get(o, "express_in"));
		bool out = json_is_true(json_object_get(o, "express_out"));
		bool fast = !strcmp(fast_text(o, "plane"), "fast");

		cmd_printf(c, "%-16s %-10s %-7s %-9s %-8s ", fast_text(o, "name"),
			   fast_text(o, "configured"), fast_text(o, "plane"),
			   fast ? fast_text(o, "mode") : "-",
			   in && out ? "in,out"
			   : in      ? "in"
				     : "-");
		if (vrfs)
			cmd_printf(c, "%-15s ", *fast_text(o, "vrf") ? fast_text(o, "vrf") : "-");
		cmd_printf(c, "%s\n",
			   *fast_text(o, "reason") ? fast_text(o, "reason") : fast_text(o, "note"));
	}
}

static const char *yes(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key)) ? "yes" : "no";
}

static void print_ables(struct cmd_ctx *c, const json_t *list)
{
	json_t *o;
	size_t i;

	cmd_printf(c, "%-16s %-12s %-10s %-12s %-9s %-9s %s\n", "Interface", "Driver", "Native XDP",
		   "Express out", "Zero-copy", "Sockets", "Why");
	json_array_foreach(list, i, o) {
		bool zc = json_is_true(json_object_get(o, "zero_copy_used"));

		cmd_printf(c, "%-16s %-12s %-10s %-12s %-9s %-9s %s\n", fast_text(o, "name"),
			   fast_text(o, "driver"), yes(o, "native_xdp"), yes(o, "redirect"),
			   yes(o, "zero_copy"), zc ? "zero-copy" : "copy",
			   *fast_text(o, "reason") ? fast_text(o, "reason")
						   : fast_text(o, "copy_reason"));
	}
}

static void print_counts(struct cmd_ctx *c, const json_t *list)
{
	const char *reason;
	json_t *o, *n;
	size_t i;

	cmd_printf(c, "\n%-16s %12s %12s %12s %12s %10s %10s\n", "Interface", "Express",
		   "Forwarded", "Sent", "To kernel", "Punted", "Dropped");
	json_array_foreach(list, i, o) {
		cmd_printf(c, "%-16s %12lld %12lld %12lld %12lld %10lld %10lld\n",
			   fast_text(o, "name"), fast_int(o, "express"), fast_int(o, "forwarded"),
			   fast_int(o, "tx"), fast_int(o, "to_kernel"), fast_int(o, "punted"),
			   fast_int(o, "dropped"));
		if (fast_int(o, "to_kernel_other_mac"))
			cmd_printf(c, "  to kernel: %-22s %lld\n", "other-mac",
				   fast_int(o, "to_kernel_other_mac"));
		json_object_foreach(json_object_get(o, "drops"), reason, n)
			cmd_printf(c, "  dropped: %-24s %lld\n", reason,
				   (long long)json_integer_value(n));
		json_object_foreach(json_object_get(o, "punts"), reason, n)
			cmd_printf(c, "  punted: %-25s %lld\n", reason,
				   (long long)json_integer_value(n));
	}
}

static void print_summary(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *flows = json_object_get(doc, "flows");

	cmd_printf(c, "Fast plane: rtr-fastpath %s, started %lld times\n", fast_text(doc, "state"),
		   fast_int(doc, "starts"));
	if (*fast_text(doc, "gate"))
		cmd_printf(c, "All interfaces are on the kernel plane: %s\n",
			   fast_text(doc, "gate"));
	cmd_printf(
		c,
		"Flows: %lld of %lld IPv4, %lld of %lld IPv6; %lld evicted for others, %lld refused\n",
		fast_int(flows, "ipv4"), fast_int(flows, "ipv4_max"), fast_int(flows, "ipv6"),
		fast_int(flows, "ipv6_max"), fast_int(flows, "evicted"),
		fast_int(flows, "refused"));
	cmd_puts(c, "\n");
	print_ifaces(c, json_object_get(doc, "interfaces"));
	if (json_array_size(json_object_get(doc, "counters")))
		print_counts(c, json_object_get(doc, "counters"));
}

static void print_workers(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_printf(c, "%-7s %6s %14s %12s %10s %10s %10s %22s\n", "Worker", "Queues", "Packets",
		   "Bursts", "Sleeps", "CPU ms", "Express", "Buffers free/fill/tx");
	json_array_foreach(doc, i, o) {
		const json_t *b = json_object_get(o, "buffers");
		char text[40];

		snprintf(text, sizeof(text), "%lld/%lld/%lld", fast_int(b, "free"),
			 fast_int(b, "fill"), fast_int(b, "tx"));
		cmd_printf(c, "%-7lld %6lld %14lld %12lld %10lld %10lld %10lld %22s\n",
			   fast_int(o, "worker"), fast_int(o, "queues"), fast_int(o, "packets"),
			   fast_int(o, "bursts"), fast_int(o, "sleeps"), fast_int(o, "cpu_ms"),
			   fast_int(o, "promoted"), text);
	}
}

static void print_numbers(struct cmd_ctx *c, const json_t *doc)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)doc, key, v) {
		char name[64];

		rtr_strlcpy(name, key, sizeof(name));
		for (char *s = name; *s; s++)
			if (*s == '_')
				*s = ' ';
		cmd_printf(c, "%-24s %14lld\n", name, (long long)json_integer_value(v));
	}
}

static void print_mirror(struct cmd_ctx *c, const json_t *doc)
{
	json_t *numbers = json_copy((json_t *)(uintptr_t)doc);

	cmd_printf(c, "Connections of the fast plane in the kernel's table: %s\n",
		   fast_text(doc, "state"));
	json_object_del(numbers, "state");
	print_numbers(c, numbers);
	json_decref(numbers);
}

static void print_audit(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_printf(c, "%-16s %24s %18s\n", "Interface", "XDP gave, not received",
		   "Not accounted for");
	json_array_foreach(json_object_get(doc, "unaccounted"), i, o)
		cmd_printf(c, "%-16s %24lld %18lld\n", fast_text(o, "name"),
			   fast_int(o, "xdp_to_worker"), fast_int(o, "worker"));
	cmd_printf(c, "Forwarded but not sent: %lld. Buffers in a wrong state: %lld.\n",
		   fast_int(doc, "forwarded_not_sent"), fast_int(doc, "buffers_wrong"));
}

/* ---- commands that ask first ---- */

struct view {
	json_t *(*doc)(void);
	void (*print)(struct cmd_ctx *c, const json_t *doc);
	struct cmd_ctx *c;
	struct fast_ask *ask;
	json_t *flows, *route;
};

static void finish(struct view *v, json_t *doc)
{
	struct cmd_ctx *c = v->c;

	if (cmd_json(c)) {
		char *text = json_dumps(doc, JSON_INDENT(2));

		cmd_printf(c, "%s\n", text);
		free(text);
	} else {
		v->print(c, doc);
	}
	json_decref(doc);
	free(v);
	cmd_done(c);
}

static void answered(void *arg, bool ok)
{
	struct view *v = arg;

	finish(v, v->flows ? v->flows : v->route ? v->route : v->doc());
}

static void on_flow(void *arg, const struct fastpath_flow *f)
{
	struct view *v = arg;

	json_array_append_new(v->flows, fast_flow_doc(f));
}

static void run(struct cmd_ctx *c, json_t *(*doc)(void),
		void (*print)(struct cmd_ctx *c, const json_t *doc), bool flows)
{
	struct view *v = xcalloc(1, sizeof(*v));
	uint32_t n = FLOWS_DEFAULT;

	*v = (struct view){ .doc = doc, .print = print, .c = c };
	if (flows) {
		cmd_get(c, "n", &n);
		v->flows = json_array();
	}
	cmd_set_data(c, v);
	cmd_pend(c);
	v->ask = fast_ask(flows, n, on_flow, answered, v);
	if (!v->ask)
		answered(v, false);
}

static void interrupt(struct cmd_ctx *c)
{
	struct view *v = cmd_data(c);

	fast_ask_drop(v->ask);
	json_decref(v->flows);
	json_decref(v->route);
	free(v);
	cmd_done(c);
}

static void show(struct cmd_ctx *c)
{
	run(c, summary_doc, print_summary, false);
}

static void show_ifaces(struct cmd_ctx *c)
{
	run(c, ifaces_doc, print_ifaces, false);
}

static void show_ables(struct cmd_ctx *c)
{
	run(c, ables_doc, print_ables, false);
}

static void show_workers(struct cmd_ctx *c)
{
	run(c, workers_doc, print_workers, false);
}

static void show_memory(struct cmd_ctx *c)
{
	run(c, memory_doc, print_numbers, false);
}

static void show_mirror(struct cmd_ctx *c)
{
	run(c, mirror_doc, print_mirror, false);
}

static void show_audit(struct cmd_ctx *c)
{
	run(c, audit_doc, print_audit, false);
}

static void show_flows(struct cmd_ctx *c)
{
	run(c, NULL, fast_flows_print, true);
}

/* ---- show dataplane fib ---- */

static void on_route(void *arg, const struct fastpath_route *r)
{
	const struct shadow_link *in = shadow_link_by_index(r->in);
	const struct shadow_link *out = shadow_link_by_index(r->out);
	char dst[INET6_ADDRSTRLEN] = "", nh[INET6_ADDRSTRLEN] = "";
	struct view *v = arg;

	inet_ntop(r->family, r->dst, dst, sizeof(dst));
	if (r->nh_family)
		inet_ntop(r->nh_family, r->nh, nh, sizeof(nh));
	json_object_update_new(
		v->route,
		json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:b,s:b}", "destination", dst, "from",
			  in ? iface_operator_name(in->name) : "", "verdict", r->verdict, "reason",
			  r->reason, "interface", out ? iface_operator_name(out->name) : "",
			  "next_hop", nh, "neighbour", out ? r->neighbour : "", "adjacency",
			  (json_int_t)r->adj, "connected", r->connected, "default", r->by_default));
	if (in)
		fast_put_vrf(v->route, in);
}

static void print_route(struct cmd_ctx *c, const json_t *o)
{
	if (!*fast_text(o, "verdict")) {
		cmd_puts(c, "% rtr-fastpath does not answer\n");
		return;
	}
	cmd_printf(c, "%s from %s%s%s%s: %s\n", fast_text(o, "destination"), fast_text(o, "from"),
		   json_is_true(json_object_get(o, "from_assumed")) ? " (assumed)" : "",
		   *fast_text(o, "vrf") ? " of vrf " : "", fast_text(o, "vrf"),
		   fast_text(o, "verdict"));
	if (*fast_text(o, "reason"))
		cmd_printf(c, "  the kernel decides: %s\n", fast_text(o, "reason"));
	if (!*fast_text(o, "interface"))
		return;
	cmd_printf(c, "  %s %s, interface %s%s\n",
		   json_is_true(json_object_get(o, "connected")) ? "connected:" : "via",
		   fast_text(o, "next_hop"), fast_text(o, "interface"),
		   json_is_true(json_object_get(o, "default")) ? ", by the default route" : "");
	cmd_printf(c, "  neighbour %s, adjacency %lld\n", fast_text(o, "neighbour"),
		   fast_int(o, "adjacency"));
}

static void show_fib(struct cmd_ctx *c)
{
	struct view *v;
	char from[IFNAMSIZ + 1] = "", *vrf = NULL;
	const struct shadow_link *l = NULL, *of = NULL;
	struct rtr_addr dst;

	if (cmd_get(c, "from", from) && !(l = iface_link(from))) {
		cmd_fail(c, "%s: there is no such interface", from);
		return;
	}
	if (cmd_get(c, "vrf", &vrf)) {
		of = shadow_link_by_name(vrf);
		if (!of || strcmp(of->kind, "vrf")) {
			cmd_fail(c, "There is no VRF %s", vrf);
			free(vrf);
			return;
		}
		free(vrf);
	}
	cmd_get(c, "dst", &dst);
	v = xcalloc(1, sizeof(*v));
	*v = (struct view){ .print = print_route, .c = c };
	v->route = json_pack("{s:b}", "from_assumed", !l);
	cmd_set_data(c, v);
	cmd_pend(c);
	v->ask = fast_ask_way(&dst, l ? l->ifindex : 0, of ? of->ifindex : 0, on_route, answered,
			      v);
	if (!v->ask)
		answered(v, false);
}

static const struct cmd cmds[] = {
	{ "show dataplane", "The fast plane: interfaces and what became of packets", .run = show,
	  .interrupt = interrupt },
	{ "show dataplane interfaces", "On which plane each interface is", .run = show_ifaces,
	  .interrupt = interrupt },
	{ "show dataplane eligibility", "On which plane each interface is, and why",
	  .run = show_ifaces, .interrupt = interrupt },
	{ "show dataplane qualification", "What the driver of each interface can do for it",
	  .run = show_ables, .interrupt = interrupt },
	{ "show dataplane fib <dst:ADDR>[ {from <from:IFNAME>|vrf <vrf:WORD>}]",
	  "Which way the fast plane sends packets to an address", .run = show_fib,
	  .interrupt = interrupt },
	{ "show dataplane workers", "Threads of the fast plane", .run = show_workers,
	  .interrupt = interrupt },
	{ "show dataplane memory", "Memory and tables of the fast plane", .run = show_memory,
	  .interrupt = interrupt },
	{ "show dataplane mirror", "Connections of the fast plane that the kernel holds, too",
	  .run = show_mirror, .interrupt = interrupt },
	{ "show dataplane audit", "Whether every packet is accounted for", .run = show_audit,
	  .interrupt = interrupt },
	{ "show dataplane flows[ limit <n:U32(1,1000000)>]", "Flows of the fast plane",
	  .run = show_flows, .interrupt = interrupt },
};

static const char *const after[] = { "dataplane", NULL };

static const struct domain dataplane_show_domain = {
	.name = "dataplane-show",
	.after = after,
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(dataplane_show_domain);
