/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show conntrack, clear conntrack, monitor conntrack. Entries are printed as the dump comes, and
 * the dump waits while the client does not read: a million of them cost no memory here. Columns are
 * as wide as the first HELD lines need; a wider one later gets a head of its own.
 */
#include "cli/command.h"
#include "conntrack/ct_text.h"
#include "conntrack/ct_top.h"
#include "domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOP_DEFAULT 10
#define HELD        1000

enum what { COUNT, TOP_SOURCE, TOP_DESTINATION, LIST };

struct listing {
	struct cmd_ctx *c;
	struct ct_list *dump;
	struct ct_view view;
	enum what what;
	uint32_t limit, n; /* limit 0: all */
	bool json, paused;
	struct ct_top *top;
	struct ct_widths widths;
	struct ct_row *held; /* NULL: they are printed */
	size_t n_held;
};

static void drop_held(struct listing *l)
{
	for (size_t i = 0; i < l->n_held; i++)
		ct_row_free(&l->held[i]);
	free(l->held);
	l->held = NULL;
	l->n_held = 0;
}

static void end(struct listing *l)
{
	struct cmd_ctx *c = l->c;

	ct_list_cancel(l->dump);
	ct_top_free(l->top);
	drop_held(l);
	free(l);
	cmd_done(c);
}

static void stop(struct cmd_ctx *c)
{
	end(cmd_data(c));
}

static void drained(struct cmd_ctx *c)
{
	struct listing *l = cmd_data(c);

	if (l->paused && l->dump) {
		l->paused = false;
		ct_list_resume(l->dump);
	}
}

static void print_json(struct cmd_ctx *c, json_t *o)
{
	char *text = json_dumps(o, JSON_INDENT(2));

	cmd_printf(c, "%s\n", text);
	free(text);
	json_decref(o);
}

/* ---- the list ---- */

static void print_held(struct listing *l)
{
	struct strbuf b = STRBUF_INIT;

	/* Not even an empty text: a command that put nothing out is said to have no entries. */
	if (!l->n_held)
		return;
	ct_head_text(&l->widths, &b);
	for (size_t i = 0; i < l->n_held; i++)
		ct_row_text(&l->held[i], &l->widths, &b);
	cmd_puts(l->c, strbuf_str(&b));
	strbuf_fini(&b);
	drop_held(l);
}

static void emit_row(struct listing *l, const json_t *o)
{
	struct ct_row r = ct_row_of(o);
	bool wider = ct_row_widen(&r, &l->widths);
	struct strbuf b = STRBUF_INIT;

	if (l->held) {
		l->held[l->n_held++] = r;
		if (l->n_held == HELD)
			print_held(l);
		return;
	}
	if (wider)
		ct_head_text(&l->widths, &b);
	ct_row_text(&r, &l->widths, &b);
	cmd_puts(l->c, strbuf_str(&b));
	strbuf_fini(&b);
	ct_row_free(&r);
}

static void emit(struct listing *l, const struct ct_entry *e)
{
	json_t *o = ct_entry_json(e, &l->view);
	char *text;

	if (l->json) {
		text = json_dumps(o, JSON_COMPACT);
		cmd_printf(l->c, "%s\n  %s", l->n ? "," : "[", text);
		free(text);
	} else {
		emit_row(l, o);
	}
	l->n++;
	json_decref(o);
}

static void end_list(struct listing *l)
{
	if (l->json)
		cmd_puts(l->c, l->n ? "\n]\n" : "[]\n");
	else if (l->held)
		print_held(l);
	end(l);
}

static void list_each(void *arg, const struct ct_entry *e)
{
	struct listing *l = arg;

	emit(l, e);
	if (l->n == l->limit) {
		end_list(l);
		return;
	}
	if (!l->paused && cmd_congested(l->c)) {
		l->paused = true;
		ct_list_pause(l->dump);
	}
}

/* ---- counts ---- */

static void count_each(void *arg, const struct ct_entry *e)
{
	struct listing *l = arg;

	l->n++;
	if (l->top)
		ct_top_add(l->top, &(struct ct_top_key){ l->what == TOP_SOURCE ? e->orig.src
									       : e->orig.dst });
}

static json_t *top_json(const struct listing *l)
{
	size_t room = l->limit ? MIN(l->limit, CT_TOP_ROOM) : TOP_DEFAULT, n;
	struct ct_top_item *v = xcalloc(room, sizeof(*v));
	json_t *list = json_array();

	n = ct_top_list(l->top, v, room);
	for (size_t i = 0; i < n; i++) {
		char a[RTR_ADDR_STRLEN];

		json_array_append_new(
			list, json_pack("{s:s,s:I,s:f}", "address", rtr_addr_str(&v[i].key.addr, a),
					"connections", (json_int_t)v[i].n, "percent",
					100.0 * v[i].n / (double)ct_top_total(l->top)));
	}
	free(v);
	return json_pack("{s:s,s:I,s:I,s:o}", "by",
			 l->what == TOP_SOURCE ? "source" : "destination", "connections",
			 (json_int_t)ct_top_total(l->top), "low_by_at_most",
			 (json_int_t)ct_top_error(l->top), "top", list);
}

static void print_top(struct cmd_ctx *c, const json_t *doc)
{
	const char *by = json_string_value(json_object_get(doc, "by"));
	json_int_t low = json_integer_value(json_object_get(doc, "low_by_at_most"));
	json_t *o;
	size_t i;

	cmd_printf(c, "%-40s Connections  Share\n",
		   !strcmp(by, "source") ? "Source" : "Destination");
	json_array_foreach(json_object_get(doc, "top"), i, o)
		cmd_printf(c, "%-40s %11lld %5.1f%%\n",
			   json_string_value(json_object_get(o, "address")),
			   (long long)json_integer_value(json_object_get(o, "connections")),
			   json_real_value(json_object_get(o, "percent")));
	cmd_printf(c, "%-40s %11lld\n", "Total",
		   (long long)json_integer_value(json_object_get(doc, "connections")));
	if (low)
		cmd_printf(c, "Counts may be low by up to %lld: there are very many addresses\n",
			   (long long)low);
}

static void finish(void *arg, int error)
{
	struct listing *l = arg;
	json_t *o;

	l->dump = NULL;
	if (error) {
		if (l->held)
			print_held(l);
		cmd_fail(l->c, "The connection table cannot be read: %s", strerror(-error));
		end(l);
	} else if (l->what == LIST) {
		end_list(l);
	} else {
		o = l->top ? top_json(l) : json_pack("{s:I}", "connections", (json_int_t)l->n);
		if (l->json)
			print_json(l->c, json_incref(o));
		else if (l->top)
			print_top(l->c, o);
		else
			cmd_printf(l->c, "%u connections\n", l->n);
		json_decref(o);
		end(l);
	}
}

static void show(struct cmd_ctx *c)
{
	static const struct ct_dump_fns list = { list_each, finish },
					count = { count_each, finish };
	struct ct_filter f;
	struct listing *l;
	int what = cmd_choice(c, "what"), e = 0;

	if (!ct_args(c, &f))
		return;
	l = xcalloc(1, sizeof(*l));
	l->c = c;
	l->json = cmd_json(c);
	l->what = what < 0 ? LIST : (enum what)what;
	cmd_get(c, "limit", &l->limit);
	if (l->what == TOP_SOURCE || l->what == TOP_DESTINATION)
		l->top = ct_top_new();
	ct_widths_init(&l->widths);
	if (l->what == LIST && !l->json)
		l->held = xcalloc(HELD, sizeof(*l->held));
	ct_view_init(&l->view);
	cmd_set_data(c, l);
	cmd_pend(c);
	l->dump = ct_list_start(ct_filter_empty(&f) ? NULL : &f, l->what == LIST ? &list : &count,
				l, &e);
	if (!l->dump)
		finish(l, e);
}

/* ---- clear ---- */

struct clearing {
	struct cmd_ctx *c;
	void *owned;
	struct ct_end *change;
};

static void cleared(void *arg, const struct ct_change_result *r)
{
	struct clearing *k = arg;
	struct cmd_ctx *c = k->c;

	if (r->error)
		cmd_fail(c, "The connection table cannot be read: %s", strerror(-r->error));
	else if (cmd_json(c))
		print_json(c, json_pack("{s:I,s:I}", "ended", (json_int_t)r->ended, "failed",
					(json_int_t)r->failed));
	else
		cmd_printf(c, "%llu connections ended\n", (unsigned long long)r->ended);
	if (r->failed)
		cmd_fail(c, "%llu connections could not be ended: %s",
			 (unsigned long long)r->failed, strerror(r->fail_errno));
	free(k->owned);
	free(k);
	cmd_done(c);
}

void ct_clear_stop(struct cmd_ctx *c)
{
	struct clearing *k = cmd_data(c);

	ct_end_cancel(k->change);
	free(k->owned);
	free(k);
	cmd_done(c);
}

void ct_clear(struct cmd_ctx *c, const struct ct_filter *f, void *owned)
{
	struct clearing *k = xcalloc(1, sizeof(*k));
	int e = 0;

	k->c = c;
	k->owned = owned;
	cmd_set_data(c, k);
	cmd_pend(c);
	k->change = ct_end_start(f, cleared, k, &e);
	if (!k->change)
		cleared(k, &(struct ct_change_result){ .error = e });
}

static void clear(struct cmd_ctx *c)
{
	struct ct_filter f;

	if (ct_args(c, &f))
		ct_clear(c, &f, NULL);
}

/* ---- monitor ---- */

struct monitoring {
	struct cmd_ctx *c;
	struct ct_events *events;
	struct ct_view view;
	struct ct_widths widths;
	uint64_t left_out;
};

static void event_head(const struct monitoring *m, struct strbuf *b)
{
	strbuf_addf(b, "%-8s", "Event");
	ct_head_text(&m->widths, b);
}

static void stop_monitor(struct cmd_ctx *c)
{
	struct monitoring *m = cmd_data(c);

	if (m->left_out && !cmd_json(c))
		cmd_printf(c, "%llu events were left out: the terminal is slower\n",
			   (unsigned long long)m->left_out);
	ct_events_stop(m->events);
	free(m);
	cmd_done(c);
}

static const char *const event_names[] = {
	[CT_EV_NEW] = "new",   [CT_EV_UPDATE] = "update", [CT_EV_DESTROY] = "destroy",
	[CT_EV_LOST] = "lost", [CT_EV_SYNC] = "sync",     [CT_EV_SYNCED] = "synced",
};

static void on_event(void *arg, enum ct_event ev, const struct ct_entry *e)
{
	struct monitoring *m = arg;
	struct strbuf b = STRBUF_INIT;
	char *text;
	json_t *o;

	/* What happens is told, what is there is `show conntrack`. */
	if (ev == CT_EV_SYNC || ev == CT_EV_SYNCED)
		return;
	if (cmd_congested(m->c)) {
		m->left_out++;
		return;
	}
	ct_view_now(&m->view);
	o = e ? ct_entry_json(e, &m->view) : json_object();
	json_object_set_new(o, "event", json_string(event_names[ev]));
	if (cmd_json(m->c)) {
		text = json_dumps(o, JSON_COMPACT);
		strbuf_addf(&b, "%s\n", text);
		free(text);
	} else if (e) {
		struct ct_row r = ct_row_of(o);

		if (ct_row_widen(&r, &m->widths))
			event_head(m, &b);
		strbuf_addf(&b, "%-8s", event_names[ev]);
		ct_row_text(&r, &m->widths, &b);
		ct_row_free(&r);
	} else {
		strbuf_adds(&b, "lost     the kernel's queue was full: some events are missing\n");
	}
	cmd_puts(m->c, strbuf_str(&b));
	strbuf_fini(&b);
	json_decref(o);
}

static void monitor(struct cmd_ctx *c)
{
	struct ct_filter f;
	struct monitoring *m;
	struct strbuf b = STRBUF_INIT;
	int e = 0;

	if (!ct_args(c, &f))
		return;
	m = xcalloc(1, sizeof(*m));
	m->c = c;
	ct_widths_init(&m->widths);
	ct_view_init(&m->view);
	cmd_set_data(c, m);
	cmd_pend(c);
	m->events = ct_events_start(1 << CT_EV_NEW | 1 << CT_EV_UPDATE | 1 << CT_EV_DESTROY,
				    ct_filter_empty(&f) ? NULL : &f, on_event, m, &e);
	if (!m->events) {
		cmd_fail(c, "The kernel's events cannot be had: %s", strerror(-e));
		free(m);
		cmd_done(c);
		return;
	}
	if (cmd_json(c))
		return;
	event_head(m, &b);
	cmd_puts(c, strbuf_str(&b));
	strbuf_fini(&b);
}

static const struct cmd cmds[] = {
	{ "show conntrack" CT_ARGS "[ limit <limit:U32(1,4294967295)>]"
	  "[ {what:count|top source|top destination}]",
	  "Connections, of both planes", .run = show, .interrupt = stop, .drained = drained },
	{ "clear conntrack" CT_ARGS, "Forget connections", .run = clear, .interrupt = ct_clear_stop,
	  .admin = true },
	{ "monitor conntrack" CT_ARGS, "Connections as they come, change and go; ^C ends",
	  .run = monitor, .interrupt = stop_monitor },
};

static const struct sch_word words[] = {
	{ "conntrack", "The connection table" },
	{ "ipv4", "IPv4 only" },
	{ "protocol", "One protocol" },
	{ "source", "Who opened the connection; also as translated" },
	{ "destination", "Whom it goes to; also as translated" },
	{ "sport", "Port or ICMP id of the source" },
	{ "dport", "Port of the destination" },
	{ "state", "One state" },
	{ "none", "No state yet" },
	{ "syn-sent2", "Both sides have sent a SYN" },
	{ "unreplied", "No answer was seen" },
	{ "replied", "An answer was seen" },
	{ "assured", "Packets went both ways for a while" },
	{ "zone", "Security zone that it came in by" },
	{ "interface", "Interface that it came or left by" },
	{ "ct-zone", "Number of the kernel's conntrack zone" },
	{ "mark", "Value of the mark" },
	{ "limit", "Most that are shown" },
	{ "count", "Only how many" },
	{ "top", "Who has the most" },
	{ "show conntrack nat", "Translated ones only" },
	{ "clear conntrack nat", "Translated ones only" },
	{ "monitor conntrack nat", "Translated ones only" },
	{ "clear", "Reset" },
	{ "monitor", "Watch something until ^C" },
};

static const struct domain conntrack_show_domain = {
	.name = "conntrack-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(conntrack_show_domain);
