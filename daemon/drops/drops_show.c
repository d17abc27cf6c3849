/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show drops, clear drops, monitor drops. */
#include "cli/command.h"
#include "domain.h"
#include "drops/drops.h"
#include "drops/reason.h"
#include "iface/iface.h"
#include "kernel/shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* One that waits for the sources, or watches. */
struct session_drops {
	struct cmd_ctx *c;
	bool detail;
	char ifname[IFNAMSIZ], reason[DROPD_NAME]; /* "" all */
	int ifindex;
	/* monitor */
	uint64_t shown, missed;
	struct session_drops *next;
};

static struct session_drops *watchers;

/* ---- the table ---- */

static bool reason_is(const char *want, enum rtr_drop reason, const char *name)
{
	return !*want || !strcasecmp(want, name) ||
	       (reason && !strcasecmp(want, rtr_drop_text(reason)));
}

static json_t *row_json(const struct drop_row *r, uint64_t now)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:I,s:f,s:[]}", "reason", drop_row_reason(r), "stage",
			      drop_at_text(r->at), "interface", r->ifname, "packets",
			      (json_int_t)drop_row_count(r), "pps", drop_row_rate(r, now), "where");

	if (*r->where)
		json_array_append_new(json_object_get(o, "where"), json_string(r->where));
	/* Of those that have a row each. */
	if (r->at == DROP_AT_NFT)
		json_object_set_new(o, "place", json_string(r->where));
	if (r->reason)
		json_object_set_new(o, "class",
				    json_string(rtr_drop_stage_text(rtr_drop_stage(r->reason))));
	if (*r->name)
		json_object_set_new(o, "kernel_reason", json_string(r->name));
	if (r->last_ns)
		json_object_set_new(
			o, "last_seen_sec",
			json_integer((json_int_t)((now - MIN(r->last_ns, now)) / NSEC_PER_SEC)));
	json_object_set_new(o, "source", json_string(r->traced ? "trace" : "counter"));
	return o;
}

static void add_to(json_t *o, const struct drop_row *r, uint64_t now)
{
	json_t *last = json_object_get(o, "last_seen_sec");
	json_int_t ago = (json_int_t)((now - MIN(r->last_ns, now)) / NSEC_PER_SEC);

	json_object_set_new(o, "packets",
			    json_integer(json_integer_value(json_object_get(o, "packets")) +
					 (json_int_t)drop_row_count(r)));
	json_object_set_new(
		o, "pps",
		json_real(json_real_value(json_object_get(o, "pps")) + drop_row_rate(r, now)));
	if (*r->where)
		json_array_append_new(json_object_get(o, "where"), json_string(r->where));
	if (r->last_ns && (!last || ago < json_integer_value(last)))
		json_object_set_new(o, "last_seen_sec", json_integer(ago));
}

struct group {
	const struct drop_row *first;
	json_t *o;
};

static int group_cmp(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	json_int_t n = json_integer_value(json_object_get(x->o, "packets")),
		   m = json_integer_value(json_object_get(y->o, "packets"));

	return n != m ? (n < m ? 1 : -1) : strcmp(x->first->ifname, y->first->ifname);
}

/* Places in the kernel that drop for one reason are one row, unless all are wanted. */
static bool same_group(const struct drop_row *a, const struct drop_row *b, bool detail)
{
	return a->at == b->at && !strcmp(a->ifname, b->ifname) &&
	       !strcmp(drop_row_reason(a), drop_row_reason(b)) &&
	       (!detail || !strcmp(a->where, b->where)) && a->at != DROP_AT_NFT;
}

static json_t *table(const struct session_drops *s)
{
	uint64_t now = rtr_now_ns();
	struct group *v = NULL;
	json_t *out = json_array();
	size_t n = 0;

	for (const struct drop_row *r = drops_next(NULL); r; r = drops_next(r)) {
		size_t i = 0;

		if (!drop_row_count(r) || (*s->ifname && strcmp(s->ifname, r->ifname) != 0) ||
		    !reason_is(s->reason, r->reason, r->name))
			continue;
		while (i < n && !same_group(v[i].first, r, s->detail))
			i++;
		if (i < n) {
			add_to(v[i].o, r, now);
			continue;
		}
		v = xrealloc(v, (n + 1) * sizeof(*v));
		v[n++] = (struct group){ r, row_json(r, now) };
	}
	if (n)
		qsort(v, n, sizeof(*v), group_cmp);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, v[i].o);
	free(v);
	return out;
}

static json_t *doc_of(const struct session_drops *s)
{
	json_t *doc = json_pack("{s:o,s:b}", "drops", table(s), "traced", !drops_untraced());

	if (drops_untraced())
		json_object_set_new(doc, "untraced_because", json_string(drops_untraced()));
	if (drops_unplaced())
		json_object_set_new(doc, "unplaced", json_integer((json_int_t)drops_unplaced()));
	return doc;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *t = json_string_value(json_object_get(o, key));

	return t ? t : "";
}

static void ago_text(const json_t *o, char buf[24])
{
	const json_t *v = json_object_get(o, "last_seen_sec");
	long long s = (long long)json_integer_value(v);

	if (!v)
		rtr_strlcpy(buf, "-", 24);
	else if (s >= 86400)
		snprintf(buf, 24, "%lldd%02lldh", s / 86400, s / 3600 % 24);
	else
		snprintf(buf, 24, "%02u:%02u:%02u", (unsigned)s / 3600, (unsigned)s / 60 % 60,
			 (unsigned)s % 60);
}

static void print_row(struct cmd_ctx *c, const json_t *o)
{
	const json_t *w = json_object_get(o, "where");
	const char *first = json_string_value(json_array_get(w, 0));
	size_t more = json_array_size(w);
	char ago[24];

	ago_text(o, ago);
	cmd_printf(c, "%-24s %-10s %-15s %12lld %9.1f  %-9s %s", text_of(o, "reason"),
		   text_of(o, "stage"), text_of(o, "interface"),
		   (long long)json_integer_value(json_object_get(o, "packets")),
		   json_real_value(json_object_get(o, "pps")), ago, first ? first : "");
	if (more > 1)
		cmd_printf(c, " and %zu more", more - 1);
	cmd_puts(c, "\n");
}

static void print(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *o;
	size_t i;

	cmd_printf(c, "%-24s %-10s %-15s %12s %9s  %-9s %s\n", "Reason", "Stage", "Interface",
		   "Packets", "pps", "Last seen", "Where");
	json_array_foreach(json_object_get(doc, "drops"), i, o)
		print_row(c, o);
	if (json_object_get(doc, "unplaced"))
		cmd_printf(c, "%lld more, of places for which there was no room\n",
			   (long long)json_integer_value(json_object_get(doc, "unplaced")));
	if (json_object_get(doc, "untraced_because"))
		cmd_printf(
			c,
			"The kernel's own reasons are missing: %s.\nStages stack, qdisc, softnet "
			"and socket are from its counters, most without an interface.\n",
			text_of(doc, "untraced_because"));
}

/* ---- show drops ---- */

static void show_end(struct session_drops *s)
{
	struct cmd_ctx *c = s->c;

	free(s);
	cmd_done(c);
}

static void show_ready(void *arg)
{
	struct session_drops *s = arg;
	json_t *doc = doc_of(s);

	if (cmd_json(s->c)) {
		char *text = json_dumps(doc, JSON_INDENT(2));

		cmd_printf(s->c, "%s\n", text);
		free(text);
	} else {
		print(s->c, doc);
	}
	json_decref(doc);
	show_end(s);
}

static struct session_drops *new_session(struct cmd_ctx *c)
{
	struct session_drops *s = xcalloc(1, sizeof(*s));
	const struct shadow_link *l;
	char *reason = NULL;

	s->c = c;
	s->detail = cmd_flag(c, "detail");
	cmd_get(c, "ifname", s->ifname);
	cmd_get(c, "reason", &reason);
	rtr_strlcpy(s->reason, reason ? reason : "", sizeof(s->reason));
	free(reason);
	l = *s->ifname ? iface_link(s->ifname) : NULL;
	s->ifindex = l ? l->ifindex : 0;
	cmd_set_data(c, s);
	cmd_pend(c);
	return s;
}

static void show(struct cmd_ctx *c)
{
	drops_refresh(show_ready, new_session(c));
}

static void show_stop(struct cmd_ctx *c)
{
	drops_refresh_forget(cmd_data(c));
	show_end(cmd_data(c));
}

static void clear_ready(void *arg)
{
	struct session_drops *s = arg;

	drops_clear();
	show_end(s);
}

static void clear(struct cmd_ctx *c)
{
	drops_refresh(clear_ready, new_session(c));
}

/* ---- monitor drops ---- */

static void print_packet(struct session_drops *s, const struct dropd_event *e)
{
	const struct shadow_link *l = e->ifindex ? shadow_link_by_index(e->ifindex) : NULL;
	const char *ifname = l ? iface_operator_name(l->name) : "-";
	const char *reason = e->reason ? rtr_drop_text(e->reason) : e->name;
	uint64_t ago = rtr_now_ns() - e->when_ns;
	struct timespec ts;
	char text[32] = "";
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec -= (time_t)(ago / NSEC_PER_SEC);
	ts.tv_nsec -= (long)(ago % NSEC_PER_SEC);
	if (ts.tv_nsec < 0) {
		ts.tv_sec--;
		ts.tv_nsec += (long)NSEC_PER_SEC;
	}
	if (cmd_json(s->c)) {
		json_t *o = json_pack("{s:f,s:s,s:s,s:s,s:s,s:I,s:s,s:s}", "unix",
				      (double)ts.tv_sec + (double)ts.tv_nsec / NSEC_PER_SEC,
				      "reason", reason, "stage", drop_at_text(e->at), "interface",
				      ifname, "kernel_reason", e->name, "bytes",
				      (json_int_t)e->bytes, "where", e->where, "packet", e->text);
		char *line = json_dumps(o, 0);

		cmd_printf(s->c, "%s\n", line);
		free(line);
		json_decref(o);
		return;
	}
	if (localtime_r(&ts.tv_sec, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	cmd_printf(s->c, "%s.%06ld %s %s %s: %s (%s)\n", text, ts.tv_nsec / 1000, ifname,
		   drop_at_text(e->at), reason, e->text, e->where);
}

static void print_missed(struct session_drops *s, uint64_t n)
{
	s->missed += n;
	if (cmd_congested(s->c))
		return;
	if (cmd_json(s->c))
		cmd_printf(s->c, "{\"missed\": %llu}\n", (unsigned long long)n);
	else
		cmd_printf(s->c, "... %llu more\n", (unsigned long long)n);
}

static void on_event(const struct dropd_event *e)
{
	for (struct session_drops *s = watchers; s; s = s->next) {
		if (e->kind == DROPD_MISSED) {
			print_missed(s, e->packets);
			continue;
		}
		if ((s->ifindex && s->ifindex != e->ifindex) ||
		    !reason_is(s->reason, (enum rtr_drop)e->reason, e->name))
			continue;
		/* A terminal that is slow misses some; it is told at the end. */
		if (cmd_congested(s->c)) {
			s->missed++;
			continue;
		}
		s->shown++;
		print_packet(s, e);
	}
}

/* One who watches tells rtr-dropd what he wants; several get all and choose here. */
static void set_watch(void)
{
	if (!watchers)
		drops_watch(0, "", NULL);
	else if (watchers->next)
		drops_watch(0, "", on_event);
	else
		drops_watch(watchers->ifindex, watchers->reason, on_event);
}

/* From now on each one is seen. */
static void monitor_on(void *arg)
{
	struct session_drops *s = arg;

	if (!cmd_json(s->c))
		cmd_puts(s->c, "Type escape sequence to end.\n");
}

static void monitor_ready(void *arg)
{
	struct session_drops *s = arg;

	if (drops_untraced()) {
		cmd_fail(s->c, "Packets that are dropped cannot be seen: %s", drops_untraced());
		show_end(s);
		return;
	}
	s->next = watchers;
	watchers = s;
	set_watch();
	drops_sync(monitor_on, s);
}

static void monitor(struct cmd_ctx *c)
{
	struct session_drops *s = new_session(c);

	if (*s->ifname && !s->ifindex) {
		cmd_fail(c, "%s: there is no such interface", s->ifname);
		show_end(s);
		return;
	}
	drops_sync(monitor_ready, s);
}

static void monitor_stop(struct cmd_ctx *c)
{
	struct session_drops **pp = &watchers, *s = cmd_data(c);

	drops_sync_forget(s);
	while (*pp && *pp != s)
		pp = &(*pp)->next;
	if (*pp) {
		*pp = s->next;
		set_watch();
	}
	if (!cmd_json(c))
		cmd_printf(c, "%llu packets shown, %llu more were dropped too fast to be shown\n",
			   (unsigned long long)s->shown, (unsigned long long)s->missed);
	show_end(s);
}

/* ---- the domain ---- */

#define WHICH "[ interface <ifname:IFNAME>][ reason <reason:WORD>]"

static const struct cmd cmds[] = {
	{ "show drops" WHICH "[ detail]", "Packets that were lost, by reason, place and interface",
	  .run = show, .interrupt = show_stop },
	{ "clear drops", "Count from now on", .run = clear, .interrupt = show_stop, .admin = true },
	{ "monitor drops" WHICH, "Packets that the kernel drops, as it does", .run = monitor,
	  .interrupt = monitor_stop, .admin = true },
};

static const struct sch_word words[] = {
	{ "interface", "Packets of one interface" },
	{ "drops", "Packets that were lost" },
	{ "reason", "One reason alone" },
	{ "detail", "Every place in the kernel" },
};

static const struct domain drops_show_domain = {
	.name = "drops-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(drops_show_domain);
